//! Workers over loopback: fake phones, strangers, a tone that is heard again.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::base::Duration;
use crate::media::codec::g711::Law;
use crate::media::{MediaPlan, Payload, SourcePolicy, StreamStatistics};
use crate::rtp::rtcp::Report;
use crate::rtp::{HEADER_BYTES, Header, TelephoneEvent, write_header};
use crate::sdp::Direction;

/// How long a test waits for what must come. No test passes by waiting for less.
const PATIENCE: Duration = Duration::from_secs(20);
const LEARN: SourcePolicy = SourcePolicy::Learn {
    window: Duration::from_secs(30),
};

const A: StreamId = StreamId::new(0, 1);
const B: StreamId = StreamId::new(0, 2);

/// Workers on a loopback address of their own, so that tests cannot meet.
pub(super) struct Lab {
    pub(super) workers: Workers,
    events: Receiver<MediaEvent>,
    octet: u8,
    _prompts: tempfile::TempDir,
}

pub(super) struct Phone {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    sequence: u16,
}

impl Lab {
    pub(super) fn new() -> Lab {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let prompts = tempfile::tempdir().expect("a folder");
        tone(prompts.path(), "tone.wav", 1_000.0);
        let store = PromptStore::new(Some(prompts.path().to_owned()));
        let (sender, events) = channel();
        let tell = move |event| {
            let _ = sender.send(event);
        };
        Lab {
            workers: Workers::start(1, Arc::new(store), tell).expect("starts"),
            events,
            octet: NEXT.fetch_add(1, Ordering::Relaxed),
            _prompts: prompts,
        }
    }

    fn address(&self, side: u8, port: u16) -> SocketAddr {
        // test runs of other checkouts on this machine have other process numbers
        let process = std::process::id();
        let net = 64 + (process & 0x3f) as u8;
        let host = 8 * (process >> 6 & 0x1f) as u8 + side;
        SocketAddr::from(([127, net, host, self.octet], port))
    }

    pub(super) fn phone(&self, side: u8) -> Phone {
        let bind = |port| {
            let socket = UdpSocket::bind(self.address(side, port)).expect("binds");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            socket
        };
        Phone {
            rtp: bind(4000),
            rtcp: bind(4001),
            sequence: 0,
        }
    }

    pub(super) fn port_of(&self, stream: StreamId) -> SocketAddr {
        self.address(0, 20_000 + 2 * stream.serial() as u16)
    }

    pub(super) fn open(&self, stream: StreamId) {
        self.open_at(stream, self.port_of(stream));
    }

    fn open_at(&self, stream: StreamId, local: SocketAddr) {
        self.workers.send(MediaCommand::Open { stream, local });
    }

    pub(super) fn agree(&self, stream: StreamId, phone: &Phone, source: SourcePolicy) {
        let plan = plan_for(phone);
        self.workers.send(MediaCommand::Agree {
            stream,
            plan,
            source,
        });
    }

    /// Two phones, opened and joined.
    fn joined(&self, source: SourcePolicy) -> (Phone, Phone) {
        let (a, b) = (self.phone(1), self.phone(2));
        self.open(A);
        self.open(B);
        self.agree(A, &a, source);
        self.agree(B, &b, source);
        self.workers.send(MediaCommand::Join { a: A, b: B });
        self.settle();
        (a, b)
    }

    /// Waits until all commands so far were obeyed.
    pub(super) fn settle(&self) {
        let stream = StreamId::new(0, 0xffff);
        self.workers.send(MediaCommand::Close { stream });
        self.wait(
            |event| matches!(event, MediaEvent::Closed { stream: closed, .. } if *closed == stream),
        );
    }

    /// The next event that fits; others are passed over.
    pub(super) fn wait(&self, fits: impl Fn(&MediaEvent) -> bool) -> MediaEvent {
        let until = std::time::Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let event = self.events.recv_timeout(left).expect("the event comes");
            if fits(&event) {
                return event;
            }
        }
    }

    pub(super) fn close(&self, stream: StreamId) -> StreamStatistics {
        self.workers.send(MediaCommand::Close { stream });
        match self.wait(|event| matches!(event, MediaEvent::Closed { .. })) {
            MediaEvent::Closed { statistics, .. } => statistics,
            other => panic!("{other:?}"),
        }
    }
}

impl Phone {
    fn at(&self) -> SocketAddr {
        self.rtp.local_addr().expect("bound")
    }

    pub(super) fn send(&mut self, to: SocketAddr, number: u8, payload: &[u8]) {
        self.sequence += 1;
        let mut header = [0; HEADER_BYTES];
        let timestamp = u32::from(self.sequence) * 160;
        write_header(&mut header, false, number, self.sequence, timestamp, 7);
        let packet = [&header[..], payload].concat();
        self.rtp.send_to(&packet, to).expect("sends");
    }

    pub(super) fn receive(&self) -> (Header, Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (length, from) = self.rtp.recv_from(&mut buffer).expect("a packet comes");
        let header = Header::parse(&buffer[..length]).expect("valid RTP");
        (header, header.payload(&buffer[..length]).to_vec(), from)
    }

    /// Everything that has arrived by now.
    pub(super) fn drain(&self) -> Vec<Vec<u8>> {
        self.rtp.set_nonblocking(true).expect("switches");
        let mut buffer = [0; 2048];
        let mut packets = Vec::new();
        while let Ok((length, _)) = self.rtp.recv_from(&mut buffer) {
            packets.push(buffer[..length].to_vec());
        }
        self.rtp.set_nonblocking(false).expect("switches");
        packets
    }
}

fn plan_for(phone: &Phone) -> MediaPlan {
    let payloads = vec![Payload::pcma(), Payload::telephone_event(101)];
    MediaPlan {
        remote_rtp: Some(phone.at()),
        remote_rtcp: phone.rtcp.local_addr().ok(),
        receive: payloads.clone(),
        payloads,
        telephone_event: Some(101),
        ptime_ms: 20,
        direction: Direction::SendRecv,
        remote_hold: false,
        srtp: None,
    }
}

fn tone(folder: &std::path::Path, file: &str, hertz: f64) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(folder.join(file), spec).expect("creates");
    for n in 0..4_000 {
        let phase = 2.0 * std::f64::consts::PI * hertz * f64::from(n) / 8_000.0;
        writer
            .write_sample((phase.sin() * 10_000.0) as i16)
            .expect("writes");
    }
    writer.finalize().expect("finishes");
}

/// Share of the energy of `samples` that lies at `hertz`, by Goertzel's algorithm: 1 for a pure tone.
fn share_at(hertz: f64, samples: &[i16]) -> f64 {
    let coefficient = 2.0 * (2.0 * std::f64::consts::PI * hertz / 8_000.0).cos();
    let (mut one, mut two, mut energy) = (0.0, 0.0, 0.0);
    for sample in samples {
        let x = f64::from(*sample);
        energy += x * x;
        (one, two) = (x + coefficient * one - two, one);
    }
    let power = one * one + two * two - coefficient * one * two;
    2.0 * power / (samples.len() as f64 * energy.max(1.0))
}

#[test]
fn two_phones_hear_each_other_and_every_packet_is_counted() {
    let lab = Lab::new();
    let (mut a, mut b) = lab.joined(SourcePolicy::Signalled);
    for n in 0..200u8 {
        a.send(lab.port_of(A), 8, &[n; 160]);
        let (header, payload, from) = b.receive();
        assert_eq!(
            (header.payload_number, header.sequence),
            (8, u16::from(n) + 1)
        );
        assert_eq!(payload, [n; 160]);
        assert_eq!(from, lab.port_of(B), "symmetric RTP");
        b.send(lab.port_of(B), 8, &[!n; 160]);
        assert_eq!(a.receive().1, [!n; 160]);
    }
    for stream in [A, B] {
        let statistics = lab.close(stream);
        assert_eq!(statistics.packets_received, 200);
        assert_eq!(statistics.packets_sent, 200);
        assert_eq!(statistics.octets_received, 200 * 172);
        assert_eq!(statistics.lost, 0);
        assert_eq!(statistics.strays_dropped + statistics.malformed_dropped, 0);
        assert_eq!(statistics.unwanted_dropped + statistics.overflow_dropped, 0);
    }
}

#[test]
fn stranger_is_never_forwarded_under_the_signalled_policy() {
    let lab = Lab::new();
    let (mut a, b) = (lab.phone(1), lab.phone(2));
    let mut stranger = lab.phone(3);
    let mut spray = || {
        for _ in 0..20 {
            stranger.send(lab.port_of(A), 8, &[0xee; 160]);
            stranger.send(lab.port_of(B), 8, &[0xee; 160]);
        }
    };
    lab.open(A);
    lab.open(B);
    lab.settle();
    spray();
    lab.agree(A, &a, SourcePolicy::Signalled);
    lab.agree(B, &b, SourcePolicy::Signalled);
    lab.workers.send(MediaCommand::Join { a: A, b: B });
    lab.settle();
    spray();
    a.send(lab.port_of(A), 8, &[1; 160]);
    assert_eq!(b.receive().1, [1; 160]);
    spray();
    a.send(lab.port_of(A), 8, &[2; 160]);
    assert_eq!(b.receive().1, [2; 160]);
    assert!(b.drain().is_empty());
    assert!(a.drain().is_empty());
    assert!(stranger.drain().is_empty(), "no audio goes to a stranger");
    let statistics = lab.close(A);
    assert_eq!(statistics.packets_received, 2);
    assert!(statistics.strays_dropped >= 20, "{statistics:?}");
}

#[test]
fn learned_source_is_the_first_and_then_nobody_else() {
    let lab = Lab::new();
    let (mut a, mut b) = lab.joined(LEARN);
    // the phone sits behind a NAT: its packets come from where nobody said
    let mut behind_nat = lab.phone(3);
    let mut stranger = lab.phone(4);
    behind_nat.send(lab.port_of(A), 8, &[1; 160]);
    assert_eq!(b.receive().1, [1; 160]);
    let latched = lab.wait(|event| matches!(event, MediaEvent::Latched { stream: A, .. }));
    assert_eq!(
        latched,
        MediaEvent::Latched {
            stream: A,
            remote: behind_nat.at()
        }
    );
    for n in 2..50 {
        stranger.send(lab.port_of(A), 8, &[0xee; 160]);
        behind_nat.send(lab.port_of(A), 8, &[n; 160]);
        assert_eq!(b.receive().1, [n; 160]);
    }
    b.send(lab.port_of(B), 8, &[99; 160]);
    assert_eq!(behind_nat.receive().1, [99; 160]);
    assert!(stranger.drain().is_empty());
    assert_eq!(lab.close(A).strays_dropped, 48);
    // the address that was signalled takes nothing any more: it is somebody else's
    a.send(lab.port_of(A), 8, &[0; 160]);
}

#[test]
fn peer_that_moves_is_heard_after_the_new_agreement() {
    let lab = Lab::new();
    let (mut a, b) = lab.joined(SourcePolicy::Signalled);
    a.send(lab.port_of(A), 8, &[1; 160]);
    assert_eq!(b.receive().1, [1; 160]);
    let mut moved = lab.phone(3);
    lab.agree(A, &moved, SourcePolicy::Signalled);
    lab.settle();
    moved.send(lab.port_of(A), 8, &[2; 160]);
    assert_eq!(b.receive().1, [2; 160]);
    a.send(lab.port_of(A), 8, &[3; 160]);
    moved.send(lab.port_of(A), 8, &[4; 160]);
    assert_eq!(b.receive().1, [4; 160]);
}

#[test]
fn played_prompt_is_the_tone_of_its_file() {
    let lab = Lab::new();
    let a = lab.phone(1);
    lab.open(A);
    lab.agree(A, &a, SourcePolicy::Signalled);
    let files = vec![Arc::from("tone"), Arc::from("tone")];
    lab.workers.send(MediaCommand::Play {
        stream: A,
        play: 5,
        files,
        repeat: false,
    });
    let mut samples = Vec::new();
    let mut headers = Vec::new();
    for _ in 0..50 {
        let (header, payload, _) = a.receive();
        samples.extend(payload.iter().map(|word| Law::A.decode(*word)));
        headers.push(header);
    }
    assert!(headers[0].marker && headers[1..].iter().all(|header| !header.marker));
    assert!(
        headers
            .windows(2)
            .all(|pair| pair[1].timestamp == pair[0].timestamp.wrapping_add(160))
    );
    for frame in samples.chunks(400) {
        assert!(share_at(1_000.0, frame) > 0.95);
        assert!(share_at(1_300.0, frame) < 0.05);
    }
    let ended = lab.wait(|event| matches!(event, MediaEvent::PlayEnded { .. }));
    assert_eq!(ended, MediaEvent::PlayEnded { stream: A, play: 5 });
    assert!(a.drain().is_empty(), "a second of tone is 50 packets");
}

#[test]
fn stopped_play_sends_no_more_and_says_nothing() {
    let lab = Lab::new();
    let a = lab.phone(1);
    lab.open(A);
    lab.agree(A, &a, SourcePolicy::Signalled);
    let files = vec![Arc::from("tone")];
    lab.workers.send(MediaCommand::Play {
        stream: A,
        play: 1,
        files,
        repeat: true,
    });
    for _ in 0..30 {
        a.receive(); // longer than the file: it repeats
    }
    lab.workers.send(MediaCommand::Stop { stream: A });
    lab.settle();
    a.drain();
    std::thread::sleep(Duration::from_millis(100));
    assert!(a.drain().is_empty());
    assert!(
        lab.events
            .try_iter()
            .all(|event| !matches!(event, MediaEvent::PlayEnded { .. }))
    );
}

#[test]
fn unknown_prompt_is_reported_and_does_not_silence_the_others() {
    let lab = Lab::new();
    let a = lab.phone(1);
    lab.open(A);
    lab.agree(A, &a, SourcePolicy::Signalled);
    let play = |play, files: &[&str]| {
        let files = files.iter().map(|file| Arc::from(*file)).collect();
        lab.workers.send(MediaCommand::Play {
            stream: A,
            play,
            files,
            repeat: false,
        });
    };
    play(1, &["no-such-prompt"]);
    let failed = lab.wait(|event| matches!(event, MediaEvent::PlayFailed { .. }));
    let reason = "no prompt is named \"no-such-prompt\"".to_owned();
    assert_eq!(
        failed,
        MediaEvent::PlayFailed {
            stream: A,
            play: 1,
            reason
        }
    );
    play(2, &["no-such-prompt", "tone"]);
    lab.wait(|event| matches!(event, MediaEvent::PlayEnded { play: 2, .. }));
}

#[test]
fn keys_pressed_are_told_once_each() {
    let lab = Lab::new();
    let (mut a, b) = lab.joined(SourcePolicy::Signalled);
    let mut timestamp = 1_000u32;
    for digit in "159#".chars() {
        for end in [false, false, true, true, true] {
            a.sequence += 1;
            let event = TelephoneEvent::of_digit(digit, end, 800).expect("a key");
            let mut header = [0; HEADER_BYTES];
            write_header(&mut header, false, 101, a.sequence, timestamp, 7);
            let packet = [&header[..], &event.bytes()].concat();
            a.rtp.send_to(&packet, lab.port_of(A)).expect("sends");
            assert_eq!(b.receive().0.payload_number, 101, "and passed on");
        }
        timestamp += 1_600;
    }
    lab.settle_digits("159#");
}

impl Lab {
    fn settle_digits(&self, expected: &str) {
        let mut digits = String::new();
        let stream = StreamId::new(0, 0xfffe);
        self.workers.send(MediaCommand::Close { stream });
        loop {
            match self.wait(|_| true) {
                MediaEvent::Digit {
                    stream,
                    digit,
                    duration,
                } => {
                    assert_eq!((stream, duration), (A, Duration::from_millis(100)));
                    digits.push(digit);
                }
                MediaEvent::Closed { .. } => break,
                _ => {}
            }
        }
        assert_eq!(digits, expected);
    }
}

#[test]
fn one_way_audio_is_named() {
    let lab = Lab::new();
    let a = lab.phone(1);
    let mut stranger = lab.phone(3);
    lab.open(A);
    lab.agree(A, &a, SourcePolicy::Signalled);
    let files = vec![Arc::from("tone")];
    lab.workers.send(MediaCommand::Play {
        stream: A,
        play: 1,
        files,
        repeat: true,
    });
    a.receive();
    stranger.send(lab.port_of(A), 8, &[0; 160]);
    match lab.wait(|event| matches!(event, MediaEvent::OneWay { .. })) {
        MediaEvent::OneWay {
            stream,
            since,
            received,
            sent,
            expected_from,
            stray_from,
        } => {
            assert_eq!((stream, received), (A, 0));
            assert!(since >= Duration::from_secs(3) && sent > 100);
            assert_eq!(expected_from, Some(a.at()));
            assert_eq!(stray_from, Some(stranger.at()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn echo_returns_what_was_said() {
    let lab = Lab::new();
    let mut a = lab.phone(1);
    lab.open(A);
    lab.agree(A, &a, SourcePolicy::Signalled);
    lab.workers.send(MediaCommand::Echo { stream: A });
    lab.settle();
    for n in 0..20 {
        a.send(lab.port_of(A), 8, &[n; 160]);
        let (header, payload, _) = a.receive();
        assert_eq!(payload, [n; 160]);
        assert_ne!(header.ssrc, 7);
    }
}

#[test]
fn reports_are_relayed_between_the_control_ports() {
    let lab = Lab::new();
    let (a, b) = lab.joined(SourcePolicy::Signalled);
    let report = Report {
        ssrc: 7,
        sender: None,
        block: None,
    };
    let mut datagram = Vec::new();
    report.write("phone", &mut datagram);
    let stranger = lab.phone(3);
    let control = SocketAddr::new(lab.port_of(A).ip(), lab.port_of(A).port() + 1);
    stranger
        .rtcp
        .send_to(&datagram[..8], control)
        .expect("sends");
    a.rtcp.send_to(&datagram, control).expect("sends");
    let mut buffer = [0; 500];
    let (length, from) = b.rtcp.recv_from(&mut buffer).expect("a report comes");
    assert_eq!(buffer[..length], datagram);
    assert_eq!(from.port(), lab.port_of(B).port() + 1);
}

#[test]
fn parted_streams_hear_nothing_of_each_other() {
    let lab = Lab::new();
    let (mut a, b) = lab.joined(SourcePolicy::Signalled);
    lab.workers.send(MediaCommand::Part { stream: B });
    lab.settle();
    a.send(lab.port_of(A), 8, &[1; 160]);
    assert_eq!(
        lab.wait(|event| matches!(event, MediaEvent::Latched { .. }))
            .stream(),
        A
    );
    assert!(b.drain().is_empty());
    lab.workers.send(MediaCommand::Join { a: B, b: A });
    lab.settle();
    a.send(lab.port_of(A), 8, &[2; 160]);
    assert_eq!(b.receive().1, [2; 160]);
}

#[test]
fn joined_stream_survives_the_close_of_the_other() {
    let lab = Lab::new();
    let (mut a, b) = lab.joined(SourcePolicy::Signalled);
    lab.close(B);
    a.send(lab.port_of(A), 8, &[1; 160]);
    lab.wait(|event| matches!(event, MediaEvent::Latched { .. }));
    let files = vec![Arc::from("tone")];
    lab.workers.send(MediaCommand::Play {
        stream: A,
        play: 9,
        files,
        repeat: false,
    });
    a.receive();
    assert!(b.drain().is_empty());
}

#[test]
fn taken_ports_are_reported_and_sockets_that_rest_serve_the_next_stream_on_their_port() {
    let lab = Lab::new();
    lab.open(A);
    lab.settle();
    let port = lab.port_of(A);
    assert!(UdpSocket::bind(port).is_err(), "taken");
    lab.open_at(B, port);
    lab.wait(|event| matches!(event, MediaEvent::Failed { stream, .. } if *stream == B));
    assert_eq!(lab.close(B), StreamStatistics::default()); // it never was
    lab.close(A);
    let mut late = lab.phone(1);
    (0..100).for_each(|n| late.send(port, 8, &[n; 160])); // to whoever was there
    lab.open_at(B, port);
    lab.agree(B, &late, SourcePolicy::Signalled);
    lab.settle();
    lab.workers.send(MediaCommand::Echo { stream: B });
    lab.settle();
    late.send(port, 8, &[200; 160]);
    assert_eq!(late.receive().1, [200; 160], "the first that it hears");
    assert_eq!(lab.close(B).packets_received, 1);
    // a stream with the same port on another address wants them gone
    lab.open_at(A, lab.address(2, port.port()));
    lab.close(A);
    UdpSocket::bind(port).expect("free again");
}

#[test]
fn peer_that_is_gone_and_comes_back_is_heard_again() {
    let lab = Lab::new();
    let (mut a, mut b) = lab.joined(SourcePolicy::Signalled);
    b.send(lab.port_of(B), 8, &[1; 160]);
    assert_eq!(a.receive().1, [1; 160]);
    let gone = b.at();
    drop(b);
    for n in 0..10 {
        a.send(lab.port_of(A), 8, &[n; 160]); // each is answered by "port unreachable"
    }
    lab.settle();
    let again = UdpSocket::bind(gone).expect("binds again");
    again.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    a.send(lab.port_of(A), 8, &[42; 160]);
    let mut buffer = [0; 500];
    loop {
        let (length, _) = again.recv_from(&mut buffer).expect("audio comes");
        if buffer[..length].ends_with(&[42; 160]) {
            break;
        }
    }
}

#[test]
fn streams_live_on_every_worker() {
    let (sender, events) = channel();
    let tell = move |event| {
        let _ = sender.send(event);
    };
    let workers = Workers::start(3, Arc::new(PromptStore::default()), tell).expect("starts");
    assert_eq!(workers.count(), 3);
    for worker in 0..5 {
        workers.send(MediaCommand::Close {
            stream: StreamId::new(worker, 1),
        });
        let closed = events.recv_timeout(PATIENCE).expect("answered");
        assert_eq!(closed.stream(), StreamId::new(worker, 1));
    }
    drop(workers);
    assert!(
        events.recv().is_err(),
        "threads ended and dropped their end"
    );
}

#[test]
fn streams_work_over_ipv6_where_the_machine_has_it() {
    let Ok(phone) = UdpSocket::bind("[::1]:0") else {
        return; // containers without IPv6 have no loopback for it either
    };
    phone.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let lab = Lab::new();
    // below the ports that the kernel gives out by itself
    let port = 20_000 + 2 * (std::process::id() % 4_096) as u16;
    let local = SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), port);
    let (mut plan, payloads) = (plan_for(&lab.phone(1)), vec![Payload::pcmu()]);
    plan.remote_rtp = phone.local_addr().ok();
    plan.remote_rtcp = None;
    (plan.payloads, plan.receive) = (payloads.clone(), payloads);
    lab.workers.send(MediaCommand::Open { stream: A, local });
    let source = SourcePolicy::Signalled;
    for _ in 0..2 {
        let plan = plan.clone();
        lab.workers.send(MediaCommand::Agree {
            stream: A,
            plan,
            source,
        });
        let files = vec![Arc::from("tone")];
        lab.workers.send(MediaCommand::Play {
            stream: A,
            play: 1,
            files,
            repeat: false,
        });
        let mut buffer = [0; 500];
        let (length, from) = phone.recv_from(&mut buffer).expect("audio comes");
        assert_eq!((length, from), (172, local));
        phone.send_to(&buffer[..length], local).expect("sends");
        lab.wait(|event| matches!(event, MediaEvent::PlayEnded { .. }));
        plan_moves(&lab, &phone);
    }
    assert_eq!(lab.close(A).packets_received, 2);
}

/// The agreement of another source dissolves the connected socket; the next one connects it again.
fn plan_moves(lab: &Lab, phone: &UdpSocket) {
    let mut plan = plan_for(&lab.phone(3));
    plan.remote_rtp = Some("[::1]:9".parse().expect("an address"));
    let source = SourcePolicy::Signalled;
    lab.workers.send(MediaCommand::Agree {
        stream: A,
        plan,
        source,
    });
    lab.settle();
    phone.set_nonblocking(true).expect("switches");
    let mut buffer = [0; 500];
    while phone.recv_from(&mut buffer).is_ok() {}
    phone.set_nonblocking(false).expect("switches");
}
