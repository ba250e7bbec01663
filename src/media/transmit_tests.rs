//! The sender alone: numbers, times and lengths of what it makes.

use super::*;
use crate::media::Codec;
use crate::media::signal::tone::{power_at, sine};
use crate::rtp::Header;
use crate::sdp::Direction;

fn plan(payload: &Payload, ptime_ms: u8) -> MediaPlan {
    MediaPlan {
        remote_rtp: None,
        remote_rtcp: None,
        payloads: vec![payload.clone()],
        receive: vec![payload.clone()],
        telephone_event: None,
        ptime_ms,
        direction: Direction::SendRecv,
        remote_hold: false,
        srtp: None,
    }
}

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn opus(fmtp: &str) -> Payload {
    Payload {
        fmtp: Some(fmtp.into()),
        ..Payload::new(111, Codec::Opus)
    }
}

/// All packets that `samples` make.
fn packets(sender: &mut Transmitter, samples: &[i16], rate_hz: u32) -> Vec<(Header, Vec<u8>)> {
    let mut all = Vec::new();
    let mut packet = [0; PACKET_BYTES_MAX];
    for (n, frame) in samples.chunks(rate_hz as usize / 50).enumerate() {
        sender.say(frame, rate_hz);
        while let Some(length) = sender.next_packet(at(n as u64 * 20), &mut packet) {
            let header = Header::parse(&packet[..length]).expect("valid");
            all.push((header, header.payload(&packet[..length]).to_vec()));
        }
    }
    all
}

#[test]
fn every_codec_speaks_samples_of_every_rate_in_packets_as_long_as_asked() {
    for payload in [
        Payload::pcma(),
        Payload::new(9, Codec::G722),
        opus("useinbandfec=1"),
    ] {
        let coder = payload.codec.coder().expect("spoken");
        for rate_hz in [8_000u32, 16_000, 24_000, 48_000] {
            for ptime in [10u8, 20, 40, 60] {
                let mut sender = Transmitter::new(5);
                sender.agree(&plan(&payload, ptime), rate_hz);
                let tone = sine(rate_hz, 600.0, 9_000.0, rate_hz as usize * 6 / 10);
                let made = packets(&mut sender, &tone, rate_hz);
                let expected = 600 / usize::from(ptime);
                assert!((expected - 1..=expected).contains(&made.len()));
                let ticks = u32::from(ptime) * payload.clock_hz / 1_000;
                for (n, pair) in made.windows(2).enumerate() {
                    assert_eq!(pair[0].0.marker, n == 0);
                    assert_eq!(pair[1].0.sequence, pair[0].0.sequence + 1);
                    assert_eq!(pair[1].0.timestamp, pair[0].0.timestamp + ticks);
                }
                let mut decoder = (coder.decoder)(coder.best_hz());
                let mut heard = Vec::new();
                for (_, payload) in &made {
                    decoder.decode(payload, &mut heard).expect("decodes");
                }
                let share = power_at(&heard[heard.len() / 2..], coder.best_hz(), 600.0);
                assert!(share > 0.9, "{payload:?} {rate_hz} {ptime}: {share}");
            }
        }
    }
}

#[test]
fn timestamps_follow_time_through_pauses_and_the_next_packet_is_marked() {
    let mut sender = Transmitter::new(1);
    sender.agree(&plan(&Payload::pcma(), 20), 8_000);
    let first = packets(&mut sender, &[1; 400], 8_000);
    assert_eq!(first.len(), 2);
    // half a packet is forgotten
    sender.pause(at(40), 100);
    let second = packets(&mut sender, &[1; 160], 8_000);
    assert!(second[0].0.marker);
    assert_eq!(second[0].0.timestamp, first[1].0.timestamp + 160 + 800);
    sender.resume(at(1_000));
    let third = packets(&mut sender, &[1; 160], 8_000);
    assert!(third[0].0.marker);
    assert_eq!(third[0].0.timestamp, second[0].0.timestamp + 160 + 8_000);
    assert_eq!(third[0].0.sequence, second[0].0.sequence + 1);
}

#[test]
fn another_clock_is_another_source_and_the_same_agreement_changes_nothing() {
    let mut sender = Transmitter::new(9);
    sender.agree(&plan(&Payload::pcma(), 20), 8_000);
    let first = packets(&mut sender, &[1; 160], 8_000);
    sender.agree(&plan(&Payload::pcma(), 20), 8_000);
    let second = packets(&mut sender, &[1; 160], 8_000);
    assert!(!second[0].0.marker);
    assert_eq!(second[0].0.ssrc, first[0].0.ssrc);
    sender.agree(&plan(&opus(""), 20), 8_000);
    let third = packets(&mut sender, &[1; 160], 8_000);
    assert!(third[0].0.marker);
    assert_ne!(third[0].0.ssrc, first[0].0.ssrc);
}

fn theirs(sequence: u16, source: u32) -> [u8; HEADER_BYTES + 4] {
    let mut packet = [0; HEADER_BYTES + 4];
    let header = packet.first_chunk_mut().expect("a header");
    write_header(
        header,
        false,
        8,
        sequence,
        u32::from(sequence) * 160,
        source,
    );
    packet
}

#[test]
fn relayed_packets_pass_as_they_are_until_there_was_anything_of_ours() {
    let mut sender = Transmitter::new(7);
    for sequence in [65_534, 65_535, 0, 1] {
        let mut packet = theirs(sequence, 0xabc);
        sender.relay(at(0), &mut packet);
        assert_eq!(packet, theirs(sequence, 0xabc));
    }
    assert!(!sender.numbers());
    sender.agree(&plan(&Payload::pcma(), 20), 8_000);
    sender.resume(at(20));
    let own = packets(&mut sender, &[1; 160], 8_000);
    assert_eq!((own[0].0.ssrc, own[0].0.sequence), (0xabc, 2));
    assert!(sender.numbers());
}

#[test]
fn overtaken_packet_keeps_its_place_and_does_not_turn_the_count_back() {
    let mut sender = Transmitter::new(7);
    sender.take_over();
    let numbers: Vec<u16> = [10, 12, 11, 13]
        .into_iter()
        .map(|sequence| {
            let mut packet = theirs(sequence, 0xabc);
            sender.relay(at(0), &mut packet);
            Header::parse(&packet).expect("valid").sequence
        })
        .collect();
    let steps: Vec<u16> = numbers.iter().map(|n| n - numbers[0]).collect();
    assert_eq!(steps, [0, 2, 1, 3]);
    sender.agree(&plan(&Payload::pcma(), 20), 8_000);
    let own = packets(&mut sender, &[1; 160], 8_000);
    assert_eq!(own[0].0.sequence, numbers[3] + 1);
}

#[test]
fn opus_rests_in_silence_where_the_peer_lets_it_and_only_there() {
    let mut samples = sine(16_000, 400.0, 8_000.0, 16_000);
    samples.extend(vec![0; 48_000]);
    samples.extend(sine(16_000, 400.0, 8_000.0, 16_000));
    let count = |fmtp: &str| {
        let mut sender = Transmitter::new(2);
        sender.agree(&plan(&opus(fmtp), 20), 16_000);
        packets(&mut sender, &samples, 16_000)
    };
    assert_eq!(count("").len(), 250);
    let rested = count("usedtx=1");
    assert!((115..135).contains(&rested.len()), "{}", rested.len());
    // timestamps tell of the time that passed
    let span = rested[rested.len() - 1].0.timestamp - rested[0].0.timestamp;
    assert_eq!(span, 249 * 960);
    let spurts = rested.iter().filter(|(header, _)| header.marker).count();
    assert!((2..12).contains(&spurts), "{spurts}");
    let numbers = rested.windows(2);
    assert!(
        numbers
            .into_iter()
            .all(|pair| pair[1].0.sequence == pair[0].0.sequence + 1)
    );
}

#[test]
fn reports_of_an_event_share_its_timestamp() {
    let mut sender = Transmitter::new(3);
    sender.agree(&plan(&Payload::pcma(), 20), 8_000);
    packets(&mut sender, &[1; 160], 8_000);
    let mut packet = [0; PACKET_BYTES_MAX];
    let mut headers = Vec::new();
    for n in 0..4u16 {
        let event = TelephoneEvent::of_digit('5', n == 3, n * 160).expect("a key");
        let length = sender.event(at(20), 101, &event, n == 0, &mut packet);
        assert_eq!(length, Some(HEADER_BYTES + 4));
        headers.push(Header::parse(&packet[..HEADER_BYTES + 4]).expect("valid"));
    }
    assert!(headers[0].marker && !headers[1].marker && !headers[3].marker);
    assert!(headers.iter().all(|h| h.timestamp == headers[0].timestamp));
    assert!(
        headers
            .windows(2)
            .all(|h| h[1].sequence == h[0].sequence + 1)
    );
}

#[test]
fn nothing_agreed_is_nothing_said() {
    let mut sender = Transmitter::new(4);
    assert!(packets(&mut sender, &[1; 320], 8_000).is_empty());
    sender.agree(&plan(&Payload::new(18, Codec::G729), 20), 8_000);
    assert!(!sender.can_speak());
    assert!(packets(&mut sender, &[1; 320], 8_000).is_empty());
    assert!(sender.report(at(0), 0).is_none());
}
