//! Streams as a worker drives them, on a made-up clock.

use super::*;
use crate::base::Duration;
use crate::media::codec::g711::Law;
use crate::media::signal::tone::sine;
use crate::media::{MediaEvent, Payload};
use crate::rtp::TelephoneEvent;
use crate::rtp::{HEADER_BYTES, write_header};
use crate::sdp::Direction;

const SEED: u128 = 0x0000_0000_0001_0000_0000_0000_aaaa_bbbb;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn phone(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 4000))
}

fn plan(remote: SocketAddr, payloads: Vec<Payload>) -> MediaPlan {
    MediaPlan {
        remote_rtp: Some(remote),
        remote_rtcp: Some(SocketAddr::new(remote.ip(), remote.port() + 1)),
        receive: payloads.clone(),
        telephone_event: payloads
            .iter()
            .find(|payload| payload.codec == Codec::TelephoneEvent)
            .map(|payload| payload.number),
        payloads,
        ptime_ms: 20,
        direction: Direction::SendRecv,
        remote_hold: false,
        srtp: None,
    }
}

fn stream(last: u8, payloads: Vec<Payload>) -> Stream {
    let mut stream = Stream::new(StreamId::new(0, u64::from(last)), SEED + u128::from(last));
    stream.agree(at(0), plan(phone(last), payloads), SourcePolicy::Signalled);
    stream
}

fn g711(last: u8) -> Stream {
    stream(last, vec![Payload::pcma(), Payload::telephone_event(101)])
}

fn packet(number: u8, sequence: u16) -> Vec<u8> {
    let mut header = [0; HEADER_BYTES];
    write_header(
        &mut header,
        false,
        number,
        sequence,
        u32::from(sequence) * 160,
        0x55,
    );
    [&header[..], &[0xd5; 160]].concat()
}

fn pass(
    from: &mut Stream,
    to: &mut Stream,
    ms: u64,
    source: SocketAddr,
    packet: &mut [u8],
) -> Option<SocketAddr> {
    match from.receive(at(ms), source, packet, &mut Vec::new()) {
        Taken::Relay => to.send(at(ms), packet),
        Taken::Drop | Taken::Echo | Taken::Speech => None,
    }
}

/// A tick of the player; the length of the packet that goes to the phone, if one does.
fn tick(stream: &mut Stream, ms: u64, packet: &mut [u8]) -> Option<usize> {
    if stream.play_frame(at(ms)) != Played::Frame {
        return None;
    }
    let (to, length) = stream.next_packet(at(ms), packet)?;
    assert_eq!(Some(to), stream.destination());
    assert_eq!(stream.next_packet(at(ms), packet), None);
    Some(length)
}

#[test]
fn joined_streams_relay_and_only_the_first_packet_is_marked() {
    let (mut a, mut b) = (
        g711(1),
        stream(2, vec![Payload::pcma(), Payload::telephone_event(96)]),
    );
    join(at(0), &mut a, &mut b);
    let mut first = packet(8, 1);
    assert_eq!(
        pass(&mut a, &mut b, 0, phone(1), &mut first),
        Some(phone(2))
    );
    assert!(Header::parse(&first).expect("valid").marker);
    let mut second = packet(8, 2);
    assert_eq!(
        pass(&mut a, &mut b, 20, phone(1), &mut second),
        Some(phone(2))
    );
    assert_eq!(second, packet(8, 2), "nothing else is touched");
    let mut event = packet(101, 3);
    assert_eq!(
        pass(&mut a, &mut b, 40, phone(1), &mut event),
        Some(phone(2))
    );
    assert_eq!(Header::parse(&event).expect("valid").payload_number, 96);
    assert_eq!(a.statistics().packets_received, 3);
    assert_eq!(b.statistics().packets_sent, 3);
    assert_eq!(b.statistics().octets_sent, 3 * 172);
}

#[test]
fn strangers_garbage_and_unagreed_payloads_go_nowhere() {
    let (mut a, mut b) = (g711(1), g711(2));
    join(at(0), &mut a, &mut b);
    assert_eq!(pass(&mut a, &mut b, 0, phone(9), &mut packet(8, 1)), None);
    assert_eq!(pass(&mut a, &mut b, 0, phone(1), &mut [1, 2, 3]), None);
    assert_eq!(pass(&mut a, &mut b, 0, phone(1), &mut packet(0, 1)), None);
    let statistics = a.statistics();
    assert_eq!(statistics.strays_dropped, 1);
    assert_eq!(statistics.malformed_dropped, 1);
    assert_eq!(statistics.unwanted_dropped, 1);
    assert_eq!(b.statistics().packets_sent, 0);
}

#[test]
fn garbage_from_the_right_place_never_latches() {
    let mut a = Stream::new(StreamId(1), SEED);
    let learn = SourcePolicy::Learn {
        window: Duration::from_secs(5),
    };
    a.agree(at(0), plan(phone(1), vec![Payload::pcma()]), learn);
    let mut out = Vec::new();
    assert_eq!(
        a.receive(at(1), phone(9), &mut [0x80; 8], &mut out),
        Taken::Drop
    );
    assert!(out.is_empty());
    a.receive(at(2), phone(9), &mut packet(8, 1), &mut out);
    assert_eq!(
        out,
        [MediaEvent::Latched {
            stream: StreamId(1),
            remote: phone(9)
        }]
    );
}

#[test]
fn stream_without_agreement_takes_nothing() {
    let mut a = Stream::new(StreamId(1), SEED);
    assert_eq!(
        a.receive(at(0), phone(1), &mut packet(8, 1), &mut Vec::new()),
        Taken::Drop
    );
    assert_eq!(a.send(at(0), &mut packet(8, 1)), None);
    assert_eq!(
        a.play(at(0), 1, vec![vec![0; 160].into()], false),
        Err("nothing agreed yet")
    );
}

#[test]
fn nothing_is_sent_to_a_peer_on_hold() {
    let (mut a, mut b) = (g711(1), g711(2));
    let mut held = plan(phone(2), vec![Payload::pcma()]);
    held.direction = Direction::RecvOnly;
    b.agree(at(0), held, SourcePolicy::Signalled);
    join(at(0), &mut a, &mut b);
    assert_eq!(pass(&mut a, &mut b, 0, phone(1), &mut packet(8, 1)), None);
    assert_eq!(
        pass(&mut b, &mut a, 0, phone(2), &mut packet(8, 1)),
        Some(phone(1))
    );
    assert_eq!(b.statistics().unwanted_dropped, 1);
}

#[test]
fn played_frames_are_paced_numbered_and_marked_once() {
    let mut a = g711(1);
    a.play(at(0), 7, vec![vec![1000; 400].into()], false)
        .expect("plays");
    let mut packet = [0; PACKET_BYTES_MAX];
    let mut headers = Vec::new();
    while let Some(length) = tick(&mut a, 20 * headers.len() as u64, &mut packet) {
        assert_eq!(length, 172);
        headers.push(Header::parse(&packet).expect("valid"));
    }
    assert_eq!(headers.len(), 3);
    assert_eq!(headers.iter().filter(|header| header.marker).count(), 1);
    assert!(headers[0].marker);
    assert!(
        headers
            .windows(2)
            .all(|pair| pair[1].sequence == pair[0].sequence + 1
                && pair[1].timestamp == pair[0].timestamp.wrapping_add(160)
                && pair[1].ssrc == pair[0].ssrc)
    );
    assert!(!a.is_playing());
    assert_eq!(a.play_frame(at(100)), Played::Nothing);
    // a second play a second later goes on with the same source and a timestamp that followed the time
    a.play(at(1040), 8, vec![vec![1; 160].into()], false)
        .expect("plays");
    assert_eq!(tick(&mut a, 1040, &mut packet), Some(172));
    let next = Header::parse(&packet).expect("valid");
    assert!(next.marker);
    assert_eq!(
        next.timestamp,
        headers[2].timestamp.wrapping_add(160 + 8 * 1000)
    );
    assert_eq!(a.play_frame(at(1060)), Played::Ended(8));
}

#[test]
fn play_passes_its_time_while_the_peer_is_on_hold() {
    let mut a = g711(1);
    let mut held = plan(phone(1), vec![Payload::pcma()]);
    held.direction = Direction::RecvOnly;
    a.agree(at(0), held, SourcePolicy::Signalled);
    a.play(at(0), 1, vec![vec![1; 320].into()], false)
        .expect("plays");
    let mut packet = [0; PACKET_BYTES_MAX];
    for ms in [0, 20] {
        assert_eq!(a.play_frame(at(ms)), Played::Frame);
        assert_eq!(a.next_packet(at(ms), &mut packet), None);
    }
    assert_eq!(a.play_frame(at(40)), Played::Ended(1));
}

#[test]
fn play_without_a_codec_of_ours_is_refused_by_name() {
    let mut a = stream(1, vec![Payload::new(18, Codec::G729)]);
    assert_eq!(
        a.play(at(0), 1, vec![vec![0; 160].into()], false),
        Err("no codec agreed that can be spoken here")
    );
    assert_eq!(
        g711(1).play(at(0), 1, vec![], false),
        Err("nothing to play")
    );
}

#[test]
fn echo_comes_back_under_a_source_that_is_not_the_peers_and_follows_a_prompt() {
    let mut a = g711(1);
    let theirs = Header::parse(&packet(8, 1)).expect("valid").ssrc;
    let prompt = say(&mut a, 0);
    a.echo();
    let mut echoed = packet(8, 1);
    assert_eq!(
        a.receive(at(40), phone(1), &mut echoed, &mut Vec::new()),
        Taken::Echo
    );
    assert_eq!(a.send(at(40), &mut echoed), Some(phone(1)));
    let echoed = Header::parse(&echoed).expect("valid");
    assert_ne!(echoed.ssrc, theirs);
    assert_eq!(
        (echoed.ssrc, echoed.sequence),
        (prompt.ssrc, prompt.sequence + 1)
    );
}

/// The header of the one packet that a short prompt makes.
fn say(stream: &mut Stream, ms: u64) -> Header {
    stream
        .play(at(ms), 1, vec![vec![900; 160].into()], false)
        .expect("plays");
    let mut packet = [0; PACKET_BYTES_MAX];
    assert_eq!(tick(stream, ms, &mut packet), Some(172));
    Header::parse(&packet).expect("valid")
}

/// The header under which a packet of `from` leaves at `to`.
fn relayed(from: &mut Stream, to: &mut Stream, ms: u64, mut packet: Vec<u8>) -> Header {
    let peer = from.source.destination().expect("agreed");
    let sent = pass(from, to, ms, peer, &mut packet);
    assert!(sent.is_some());
    Header::parse(&packet).expect("valid")
}

#[test]
fn phone_gets_one_source_with_rising_numbers_through_music_hold_and_other_partners() {
    // their numbers are far below ours, then far above: half of all phones would take either for late
    for theirs in [1u16, 0x9000] {
        let (mut a, mut b, mut c) = (g711(1), g711(2), g711(3));
        let mut got = vec![say(&mut b, 0)];
        join(at(40), &mut a, &mut b);
        for n in 0..3 {
            let ms = 40 + u64::from(n) * 20;
            got.push(relayed(&mut a, &mut b, ms, packet(8, theirs + n)));
        }
        // held, and back to the same partner, who has said nothing meanwhile
        got.push(say(&mut b, 1_000));
        join(at(2_000), &mut a, &mut b);
        got.push(relayed(&mut a, &mut b, 2_000, packet(8, theirs + 3)));
        // to another partner, whose source is another
        b.idle();
        join(at(2_100), &mut c, &mut b);
        for n in [7u16, 8] {
            let mut strange = packet(8, n);
            let fixed = strange.first_chunk_mut().expect("a header");
            crate::rtp::set_numbers(fixed, n, u32::from(n) * 160, 0x77);
            let ms = 2_100 + u64::from(n - 7) * 20;
            got.push(relayed(&mut c, &mut b, ms, strange));
        }
        // and back to the first
        join(at(2_200), &mut a, &mut b);
        got.push(relayed(&mut a, &mut b, 2_200, packet(8, theirs + 4)));
        // a lost packet stays lost
        got.push(relayed(&mut a, &mut b, 2_240, packet(8, theirs + 6)));
        let steps: Vec<u16> = got
            .windows(2)
            .map(|pair| pair[1].sequence.wrapping_sub(pair[0].sequence))
            .collect();
        assert_eq!(steps, [1, 1, 1, 1, 1, 1, 1, 1, 2]);
        assert!(got.iter().all(|header| header.ssrc == got[0].ssrc));
        let passed = got[9].timestamp.wrapping_sub(got[0].timestamp);
        assert!((17_920..18_900).contains(&passed), "2.24 s: {passed}");
        assert!(got.windows(2).all(|pair| {
            let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            (160..0x8000).contains(&step)
        }));
    }
}

#[test]
fn reports_are_ours_once_the_numbers_are_and_the_phones_own_before() {
    let (mut a, mut b) = (g711(1), g711(2));
    let now = Now {
        mono: at(5_000),
        ..Now::default()
    };
    let mut report = Vec::new();
    join(at(0), &mut a, &mut b);
    let plain = relayed(&mut a, &mut b, 0, packet(8, 9));
    assert_eq!((plain.ssrc, plain.sequence), (0x55, 9));
    assert_eq!(b.report(now, "test", &mut report), None);
    say(&mut b, 100);
    join(at(200), &mut a, &mut b);
    relayed(&mut a, &mut b, 200, packet(8, 10));
    let rtcp = SocketAddr::from(([192, 0, 2, 2], 4001));
    assert_eq!(b.report(now, "test", &mut report), Some(rtcp));
    let first = rtcp::packets(&report).next().expect("a report");
    let parsed = Report::parse(&first).expect("a report");
    assert_eq!(parsed.ssrc, 0x55, "the source that the phone knows");
    assert_eq!(parsed.sender.map(|sender| sender.packets), Some(3));
    assert_eq!(a.receive_rtcp(at(300), rtcp_of(1), &report), Taken::Drop);
}

fn rtcp_of(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 4001))
}

#[test]
fn digit_is_told_once_and_relayed_each_time() {
    let (mut a, mut b) = (g711(1), g711(2));
    join(at(0), &mut a, &mut b);
    let mut out = Vec::new();
    let mut relayed = 0;
    for (sequence, end) in [(1, false), (2, true), (3, true), (4, true)] {
        let event = TelephoneEvent::of_digit('7', end, 800).expect("a key");
        let mut header = [0; HEADER_BYTES];
        write_header(&mut header, false, 101, sequence, 500, 0x55);
        let mut packet = [&header[..], &event.bytes()].concat();
        if a.receive(
            at(u64::from(sequence) * 20),
            phone(1),
            &mut packet,
            &mut out,
        ) == Taken::Relay
        {
            relayed += 1;
        }
    }
    let digits: Vec<_> = out
        .iter()
        .filter(|event| matches!(event, MediaEvent::Digit { digit: '7', .. }))
        .collect();
    assert_eq!(digits.len(), 1);
    assert_eq!(relayed, 4);
    assert_eq!(a.statistics().lost, 0);
    assert_eq!(a.statistics().jitter_us, 0);
}

/// The digits told while a peer sends two keys as sound and this server plays to it.
fn keys_by_ear(payloads: Vec<Payload>) -> String {
    let mut a = stream(1, payloads);
    a.play(at(0), 1, vec![vec![1; 160].into()], true)
        .expect("plays");
    let tones = |low: f64, high: f64| -> Vec<i16> {
        let one = sine(8_000, low, 6_000.0, 800);
        let two = sine(8_000, high, 6_000.0, 800);
        one.iter().zip(&two).map(|(a, b)| a + b).collect()
    };
    let silence = vec![0; 800];
    let sound = [
        tones(770.0, 1_336.0),
        silence.clone(),
        tones(941.0, 1_477.0),
        silence,
    ]
    .concat();
    let mut out = Vec::new();
    for (n, frame) in sound.chunks(160).enumerate() {
        let mut codes = [0; 160];
        Law::A.encode_into(frame, &mut codes);
        let mut header = [0; HEADER_BYTES];
        write_header(&mut header, false, 8, n as u16, n as u32 * 160, 0x55);
        let mut packet = [&header[..], &codes].concat();
        let taken = a.receive(at(n as u64 * 20), phone(1), &mut packet, &mut out);
        assert_eq!(taken, Taken::Drop);
    }
    let digits = out.iter().filter_map(|event| match event {
        MediaEvent::Digit { digit, .. } => Some(*digit),
        _ => None,
    });
    digits.collect()
}

#[test]
fn keys_are_listened_for_where_the_peer_cannot_tell_them_otherwise() {
    assert_eq!(keys_by_ear(vec![Payload::pcma()]), "5#");
    let told = vec![Payload::pcma(), Payload::telephone_event(101)];
    assert_eq!(keys_by_ear(told), "", "it would be told twice");
}

#[test]
fn one_way_audio_names_where_it_was_expected_and_where_it_came_from() {
    let mut a = g711(1);
    a.play(at(0), 1, vec![vec![1; 160].into()], true)
        .expect("plays");
    let mut packet_out = [0; PACKET_BYTES_MAX];
    for n in 0..155 {
        tick(&mut a, n * 20, &mut packet_out);
    }
    a.receive(at(2000), phone(66), &mut packet(8, 1), &mut Vec::new());
    let mut out = Vec::new();
    a.poll(at(3000), &mut out);
    assert_eq!(
        out,
        [MediaEvent::OneWay {
            stream: StreamId::new(0, 1),
            since: Duration::from_secs(3),
            received: 0,
            sent: 155,
            expected_from: Some(phone(1)),
            stray_from: Some(phone(66)),
        }]
    );
}

#[test]
fn rtcp_is_relayed_from_the_right_source_and_answered_when_we_are_the_endpoint() {
    let (mut a, mut b) = (g711(1), g711(2));
    let mut report = Vec::new();
    a.play(at(0), 1, vec![vec![1; 160].into()], true)
        .expect("plays");
    let mut packet_out = [0; PACKET_BYTES_MAX];
    tick(&mut a, 0, &mut packet_out);
    a.receive(at(1), phone(1), &mut packet(8, 1), &mut Vec::new());
    let now = Now {
        mono: at(5000),
        ..Now::default()
    };
    assert_eq!(a.report(now, "test", &mut report), Some(rtcp_of(1)));
    let first = rtcp::packets(&report).next().expect("a report");
    let parsed = Report::parse(&first).expect("parses");
    assert_eq!(
        parsed.sender.map(|sender| (sender.packets, sender.octets)),
        Some((1, 160))
    );
    assert_eq!(parsed.block.map(|block| block.ssrc), Some(0x55));

    let mut a = g711(1);
    join(at(0), &mut a, &mut b);
    assert_eq!(a.report(now, "test", &mut Vec::new()), None);
    assert_eq!(a.receive_rtcp(at(1), rtcp_of(9), &report), Taken::Drop);
    assert_eq!(a.receive_rtcp(at(1), rtcp_of(1), &report), Taken::Relay);
    assert_eq!(a.receive_rtcp(at(1), rtcp_of(1), &report[1..]), Taken::Drop);
    assert_eq!(b.send_rtcp(), Some(rtcp_of(2)));
}

#[test]
fn new_numbers_of_a_new_agreement_hold_after_joining_again() {
    let (mut a, mut b) = (g711(1), g711(2));
    join(at(0), &mut a, &mut b);
    b.agree(
        at(10),
        plan(phone(2), vec![Payload::pcmu()]),
        SourcePolicy::Signalled,
    );
    join(at(0), &mut a, &mut b);
    let mut recoded = packet(8, 1);
    assert_eq!(
        pass(&mut a, &mut b, 20, phone(1), &mut recoded),
        Some(phone(2))
    );
    assert_eq!(Header::parse(&recoded).expect("valid").payload_number, 0);
}
