//! Two streams without a codec in common: what one says, the other hears.

use std::net::SocketAddr;

use super::*;
use crate::base::Duration;
use crate::media::Payload;
use crate::media::codec::{Decoder, Encoder};
use crate::media::signal::tone::{amplitude_at, power_at, sine};
use crate::rtp::{HEADER_BYTES, TelephoneEvent, write_header};
use crate::sdp::Direction;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn phone(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 4000))
}

fn events(clock_hz: u32) -> Payload {
    Payload {
        clock_hz,
        ..Payload::telephone_event(101)
    }
}

fn stream(last: u8, payloads: Vec<Payload>) -> Stream {
    let mut stream = Stream::new(
        StreamId::new(0, u64::from(last)),
        0xaaaa_0000_0000 + u128::from(last),
    );
    let plan = MediaPlan {
        remote_rtp: Some(phone(last)),
        remote_rtcp: Some(SocketAddr::from(([192, 0, 2, last], 4001))),
        telephone_event: Some(101),
        receive: payloads.clone(),
        payloads,
        ptime_ms: 20,
        direction: Direction::SendRecv,
        remote_hold: false,
        srtp: None,
    };
    stream.agree(at(0), plan, SourcePolicy::Signalled);
    stream
}

/// A phone with one codec: speaks a tone, decodes what it hears.
struct Phone {
    payload: Payload,
    encoder: Box<dyn Encoder>,
    decoder: Box<dyn Decoder>,
    rate_hz: u32,
    said: Vec<i16>,
    heard: Vec<i16>,
    headers: Vec<Header>,
}

impl Phone {
    fn new(payload: &Payload, hz: f64) -> Phone {
        let coder = payload.codec.coder().expect("spoken");
        let rate_hz = coder.best_hz();
        Phone {
            payload: payload.clone(),
            encoder: (coder.encoder)(rate_hz, payload),
            decoder: (coder.decoder)(rate_hz),
            rate_hz,
            said: sine(rate_hz, hz, 10_000.0, rate_hz as usize * 2),
            heard: Vec::new(),
            headers: Vec::new(),
        }
    }

    fn packet(&mut self, n: usize) -> Vec<u8> {
        let frame = self.rate_hz as usize / 50;
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let (header, payload) = packet.split_at_mut(HEADER_BYTES);
        let length = self
            .encoder
            .encode(&self.said[n * frame..(n + 1) * frame], payload);
        let ticks = self.payload.clock_hz / 50 * n as u32;
        let header = header.first_chunk_mut().expect("room");
        write_header(header, false, self.payload.number, n as u16, ticks, 0x77);
        packet.truncate(HEADER_BYTES + length);
        packet
    }

    fn hear(&mut self, packet: &[u8]) {
        let header = Header::parse(packet).expect("valid");
        assert_eq!(header.payload_number, self.payload.number);
        self.headers.push(header);
        self.decoder
            .decode(header.payload(packet), &mut self.heard)
            .expect("decodes");
    }
}

/// One packet from `from` by way of both streams to the listener.
fn pass(
    from: &mut Stream,
    to: &mut Stream,
    now: Instant,
    source: SocketAddr,
    packet: &mut [u8],
    mut hear: impl FnMut(&[u8]),
) {
    match from.receive(now, source, packet, &mut Vec::new()) {
        Taken::Relay => {
            to.send(now, packet).expect("relayed");
            hear(packet);
        }
        Taken::Speech => {
            let mut made = [0; PACKET_BYTES_MAX];
            if let Some((_, length)) = pass_on(now, from, to, &mut made) {
                hear(&made[..length]);
            }
            while let Some((_, length)) = to.next_packet(now, &mut made) {
                hear(&made[..length]);
            }
        }
        Taken::Drop | Taken::Echo => {}
    }
}

fn codecs() -> [Payload; 4] {
    [
        Payload::pcmu(),
        Payload::pcma(),
        Payload::new(9, Codec::G722),
        Payload::new(111, Codec::Opus),
    ]
}

#[test]
fn every_pair_of_codecs_hears_each_other() {
    for ours in codecs() {
        for theirs in codecs() {
            let mut a = stream(1, vec![ours.clone(), Payload::telephone_event(101)]);
            let mut b = stream(2, vec![theirs.clone(), Payload::telephone_event(101)]);
            join(at(0), &mut a, &mut b);
            let (mut one, mut two) = (Phone::new(&ours, 700.0), Phone::new(&theirs, 1_100.0));
            for n in 0..100 {
                let now = at(n as u64 * 20);
                let (mut there, mut back) = (one.packet(n), two.packet(n));
                pass(&mut a, &mut b, now, phone(1), &mut there, |p| two.hear(p));
                pass(&mut b, &mut a, now, phone(2), &mut back, |p| one.hear(p));
            }
            for (who, hz) in [(&one, 1_100.0), (&two, 700.0)] {
                let name = format!("{ours:?} {theirs:?} at {:?}", who.payload);
                assert!((99..=100).contains(&who.headers.len()), "{name}");
                let tail = &who.heard[who.heard.len() / 4..];
                let share = power_at(tail, who.rate_hz, hz);
                assert!(share > 0.95, "{name}: {share}");
                let level = amplitude_at(tail, who.rate_hz, hz) / 10_000.0;
                assert!((0.7..1.3).contains(&level), "{name}: {level}");
                let ticks = who.payload.clock_hz / 50;
                for pair in who.headers.windows(2) {
                    assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
                    assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(ticks));
                }
            }
        }
    }
}

#[test]
fn loss_on_one_side_is_filled_for_the_other() {
    let (opus, pcma) = (Payload::new(111, Codec::Opus), Payload::pcma());
    let mut a = stream(1, vec![opus.clone()]);
    let mut b = stream(2, vec![pcma.clone()]);
    join(at(0), &mut a, &mut b);
    let (mut one, mut two) = (Phone::new(&opus, 700.0), Phone::new(&pcma, 1_100.0));
    for n in 0..100 {
        let mut packet = one.packet(n);
        if n % 10 != 5 {
            let now = at(n as u64 * 20);
            pass(&mut a, &mut b, now, phone(1), &mut packet, |p| two.hear(p));
        }
    }
    assert_eq!(two.headers.len(), 100, "nothing is missing");
    let share = power_at(&two.heard[4_000..], 8_000, 700.0);
    assert!(share > 0.75, "{share}");
    assert_eq!(a.statistics().lost, 10);
}

#[test]
fn key_is_said_in_the_clock_and_under_the_source_of_the_other_side() {
    let (opus, pcma) = (Payload::new(111, Codec::Opus), Payload::pcma());
    let mut a = stream(1, vec![opus.clone(), events(48_000)]);
    let mut b = stream(2, vec![pcma.clone(), events(8_000)]);
    join(at(0), &mut a, &mut b);
    let mut one = Phone::new(&opus, 700.0);
    let mut got = Vec::new();
    for n in 0..30usize {
        let mut packet = one.packet(n);
        if (10..18).contains(&n) {
            // 8 packets of a key, the last three its end
            let duration = 960 * (n as u16 - 9).min(6);
            let event = TelephoneEvent::of_digit('4', n > 14, duration).expect("a key");
            packet.truncate(HEADER_BYTES);
            packet.extend(event.bytes());
            let header = packet.first_chunk_mut().expect("room");
            write_header(header, n == 10, 101, n as u16, 960 * 10, 0x77);
        }
        pass(
            &mut a,
            &mut b,
            at(n as u64 * 20),
            phone(1),
            &mut packet,
            |p| {
                let header = Header::parse(p).expect("valid");
                got.push((header, header.payload(p).to_vec()));
            },
        );
    }
    let keys: Vec<_> = got
        .iter()
        .filter(|(header, _)| header.payload_number == 101)
        .collect();
    assert_eq!(keys.len(), 8);
    assert!(keys.iter().all(|(h, _)| h.timestamp == keys[0].0.timestamp));
    let reports: Vec<TelephoneEvent> = keys
        .iter()
        .map(|(_, payload)| TelephoneEvent::parse(payload).expect("an event"))
        .collect();
    let durations: Vec<u16> = reports.iter().map(|report| report.duration).collect();
    assert_eq!(durations, [160, 320, 480, 640, 800, 960, 960, 960]);
    assert!(reports[7].end && reports[7].digit() == Some('4'));
    // one source with rising numbers; speech goes on where its time is
    assert!(got.windows(2).all(|pair| {
        pair[1].0.ssrc == pair[0].0.ssrc && pair[1].0.sequence == pair[0].0.sequence + 1
    }));
    let (before, after) = (&got[9].0, &got[18].0);
    assert_eq!(after.timestamp - before.timestamp, 9 * 160);
    assert!(after.marker);
}

#[test]
fn hold_sends_nothing_and_time_passes() {
    let (opus, pcma) = (Payload::new(111, Codec::Opus), Payload::pcma());
    let mut a = stream(1, vec![opus.clone()]);
    let mut b = stream(2, vec![pcma]);
    join(at(0), &mut a, &mut b);
    let mut one = Phone::new(&opus, 700.0);
    let mut headers = Vec::new();
    for n in 0..40 {
        if n == 10 || n == 20 {
            let mut plan = b.plan.clone().expect("agreed");
            plan.direction = if n == 10 {
                Direction::RecvOnly
            } else {
                Direction::SendRecv
            };
            b.agree(at(n as u64 * 20), plan, SourcePolicy::Signalled);
            join(at(n as u64 * 20), &mut a, &mut b);
        }
        let mut packet = one.packet(n);
        let now = at(n as u64 * 20);
        pass(&mut a, &mut b, now, phone(1), &mut packet, |p| {
            headers.push(Header::parse(p).expect("valid"));
        });
    }
    assert_eq!(headers.len(), 30);
    let gap = headers[10].timestamp - headers[9].timestamp;
    assert_eq!((gap, headers[10].marker), (11 * 160, true));
    assert_eq!(headers[10].sequence, headers[9].sequence + 1);
}

#[test]
fn reports_are_ours_while_speech_is_spoken_anew() {
    let (opus, pcma) = (Payload::new(111, Codec::Opus), Payload::pcma());
    let mut a = stream(1, vec![opus.clone()]);
    let mut b = stream(2, vec![pcma.clone()]);
    join(at(0), &mut a, &mut b);
    let mut one = Phone::new(&opus, 700.0);
    let mut packet = one.packet(0);
    pass(&mut a, &mut b, at(0), phone(1), &mut packet, |_| {});
    let now = Now {
        mono: at(0) + Duration::from_secs(5),
        ..Now::default()
    };
    let mut report = Vec::new();
    assert!(b.report(now, "test", &mut report).is_some());
    let rtcp_of = |last| SocketAddr::from(([192, 0, 2, last], 4001));
    assert_eq!(a.receive_rtcp(at(1), rtcp_of(1), &report), Taken::Drop);
    // so they stay with a codec in common, since what the phone gets keeps its numbers; another phone gets the others' own
    b.agree(
        at(10),
        MediaPlan {
            payloads: vec![opus.clone()],
            receive: vec![opus.clone()],
            ..b.plan.clone().expect("agreed")
        },
        SourcePolicy::Signalled,
    );
    join(at(10), &mut a, &mut b);
    assert_eq!(a.receive_rtcp(at(11), rtcp_of(1), &report), Taken::Drop);
    let mut c = stream(3, vec![opus]);
    join(at(12), &mut a, &mut c);
    assert_eq!(a.receive_rtcp(at(13), rtcp_of(1), &report), Taken::Relay);
    assert!(c.report(now, "test", &mut Vec::new()).is_none());
}
