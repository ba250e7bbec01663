//! The buffer on a network that is made up: what comes late, what is lost, and how long all takes.

use super::*;
use crate::base::Entropy;

const FRAME: u32 = 160;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn header(n: u32) -> Header {
    Header {
        marker: false,
        payload_number: 8,
        sequence: (65_500 + n) as u16,
        timestamp: 0xffff_f000u32.wrapping_add(n * FRAME),
        ssrc: 9,
        payload_start: 12,
        payload_end: 172,
    }
}

/// What was played, frame by frame: the number of the packet, or how it was missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Frame {
    Packet(u32),
    LeftOut(u32),
    Lost,
    Copied,
    Stretched,
    Paused,
    Nothing,
}

/// Plays `packets` (arrival in ms, number) for `ms`; each 20 ms a frame is asked for. Also tells when each was played.
fn play(buffer: &mut JitterBuffer, mut packets: Vec<(u64, u32)>, ms: u64) -> Vec<(u64, Frame)> {
    packets.sort_unstable();
    let mut packets = packets.into_iter().peekable();
    let mut frames = Vec::new();
    for now in (0..ms).step_by(1) {
        while let Some((_, n)) = packets.next_if(|(arrival, _)| *arrival <= now) {
            buffer.put(at(now), &header(n), &n.to_be_bytes());
        }
        if now % 20 != 7 {
            continue;
        }
        let frame = match buffer.take(at(now)) {
            Take::Packet {
                payload, surplus, ..
            } => {
                buffer.played(FRAME);
                let n = u32::from_be_bytes(payload.try_into().expect("four bytes"));
                if surplus {
                    // all of this is quiet: the next one is played in its place
                    frames.push((now, Frame::LeftOut(n)));
                    let Take::Packet { payload, .. } = buffer.take(at(now)) else {
                        continue;
                    };
                    buffer.played(FRAME);
                    Frame::Packet(u32::from_be_bytes(payload.try_into().expect("four bytes")))
                } else {
                    Frame::Packet(n)
                }
            }
            Take::Lost { copy: Some(_), .. } => Frame::Copied,
            Take::Lost { .. } => Frame::Lost,
            Take::Stretch { .. } => Frame::Stretched,
            Take::Pause { .. } => Frame::Paused,
            Take::Empty => Frame::Nothing,
        };
        frames.push((now, frame));
    }
    frames
}

fn numbers(frames: &[(u64, Frame)]) -> Vec<u32> {
    let numbers = frames.iter().filter_map(|(_, frame)| match frame {
        Frame::Packet(n) | Frame::LeftOut(n) => Some(*n),
        _ => None,
    });
    numbers.collect()
}

fn delay_ms(frames: &[(u64, Frame)]) -> f64 {
    let delays: Vec<f64> = frames
        .iter()
        .filter_map(|(now, frame)| match frame {
            Frame::Packet(n) => Some(*now as f64 - f64::from(*n) * 20.0),
            _ => None,
        })
        .collect();
    delays.iter().sum::<f64>() / delays.len() as f64
}

#[test]
fn steady_network_plays_all_in_order_with_little_delay() {
    let mut buffer = JitterBuffer::new(8_000);
    let packets = (0..500).map(|n| (u64::from(n) * 20, n)).collect();
    let frames = play(&mut buffer, packets, 10_000);
    let played = numbers(&frames);
    assert!(played.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(played.len() >= 495);
    assert_eq!(buffer.counts(), JitterCounts::default());
    let settled = delay_ms(&frames[250..]);
    assert!(settled < 60.0, "{settled}");
}

#[test]
fn order_is_restored_and_repetition_ignored() {
    let mut buffer = JitterBuffer::new(8_000);
    let mut packets: Vec<(u64, u32)> = (0..200).map(|n| (u64::from(n) * 20, n)).collect();
    for n in (10..190).step_by(10) {
        packets[n].0 += 25;
        packets.push((n as u64 * 20 + 30, n as u32 + 1));
    }
    let frames = play(&mut buffer, packets, 4_000);
    let played = numbers(&frames);
    assert!(played.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert_eq!(buffer.counts().late, 0);
    assert_eq!(buffer.counts().repeated, 18);
}

#[test]
fn lost_packet_is_told_with_the_copy_behind_it_and_pause_is_no_loss() {
    let mut buffer = JitterBuffer::new(8_000);
    let packets = (0..100).filter(|n| *n != 30 && !(50..53).contains(n));
    let packets = packets.map(|n| (u64::from(n) * 20, n)).collect();
    let frames: Vec<Frame> = play(&mut buffer, packets, 1_900)
        .into_iter()
        .map(|(_, frame)| frame)
        .collect();
    let behind = |n: u32| {
        let place = frames.iter().position(|frame| *frame == Frame::Packet(n));
        frames[place.expect("played") + 1..].to_vec()
    };
    assert_eq!(behind(29)[0], Frame::Copied);
    assert_eq!(
        behind(49)[..4],
        [Frame::Lost, Frame::Lost, Frame::Copied, Frame::Packet(53)]
    );
    assert_eq!(buffer.counts().lost, 4);

    // the same gap in time with no number missing: the sender was silent
    let mut buffer = JitterBuffer::new(8_000);
    let mut silent = 0;
    for n in 0..100u32 {
        let at_ms = u64::from(if n < 50 { n } else { n + 10 }) * 20;
        let sent = Header {
            timestamp: header(if n < 50 { n } else { n + 10 }).timestamp,
            ..header(n)
        };
        buffer.put(at(at_ms), &sent, &[1]);
        // asked for at the pace of the packets, all that is due is taken
        loop {
            match buffer.take(at(at_ms)) {
                Take::Packet { .. } => {
                    buffer.played(FRAME);
                    break;
                }
                Take::Pause { ticks } => silent += ticks,
                Take::Lost { .. } => panic!("nothing is lost"),
                Take::Stretch { .. } | Take::Empty => break,
            }
        }
    }
    assert!(silent > 0);
    assert_eq!(buffer.counts().lost, 0);
}

/// Arrivals with exponential jitter of this mean, and now and then a stall.
fn rough(entropy: &mut Entropy, count: u32, mean_ms: f64) -> Vec<(u64, u32)> {
    (0..count)
        .map(|n| {
            let uniform = (entropy.below(1_000_000) + 1) as f64 / 1_000_001.0;
            (u64::from(n) * 20 + (-uniform.ln() * mean_ms) as u64, n)
        })
        .collect()
}

#[test]
fn delay_follows_the_network_up_and_down() {
    let mut entropy = Entropy::from_number(11);
    for (mean, late_max, delay_max) in [(2.0, 0.03, 60.0), (10.0, 0.06, 110.0), (25.0, 0.08, 200.0)]
    {
        let mut buffer = JitterBuffer::new(8_000);
        let packets = rough(&mut entropy, 3_000, mean);
        let frames = play(&mut buffer, packets, 60_000);
        let late = buffer.counts().late as f64 / 3_000.0;
        let delay = delay_ms(&frames[1_000..]);
        assert!(late < late_max, "mean {mean} ms: {late} late");
        assert!(delay < delay_max, "mean {mean} ms: {delay} ms of delay");
        let played = numbers(&frames);
        assert!(played.windows(2).all(|pair| pair[1] > pair[0]));
    }
    // a storm of ten seconds, then calm: the delay goes back
    let mut buffer = JitterBuffer::new(8_000);
    let mut packets = rough(&mut entropy, 500, 40.0);
    packets.extend((500..3_000).map(|n| (u64::from(n) * 20, n)));
    let frames = play(&mut buffer, packets, 60_000);
    let storm = delay_ms(&frames[300..500]);
    let calm = delay_ms(&frames[2_500..]);
    assert!(storm > 90.0 && calm < 70.0, "{storm} then {calm}");
}

#[test]
fn sender_with_another_clock_neither_starves_nor_floods() {
    for drift in [-200i64, 200] {
        let mut buffer = JitterBuffer::new(8_000);
        // 200 ppm over ten minutes are 120 ms
        let packets = (0..30_000u32).map(|n| {
            let nominal = i64::from(n) * 20_000;
            (((nominal + nominal * drift / 1_000_000) / 1_000) as u64, n)
        });
        let frames = play(&mut buffer, packets.collect(), 599_000);
        let end = &frames[frames.len() - 500..];
        let missing = end.iter().filter(|(_, f)| !matches!(f, Frame::Packet(_)));
        assert!(missing.count() < 12, "drift {drift}");
        assert!(buffer.held.len() < 8);
    }
}

#[test]
fn sender_whose_time_jumps_is_heard_at_once() {
    for jump in [-400_000i32, 400_000, i32::MIN, -20_000] {
        let mut buffer = JitterBuffer::new(8_000);
        let mut heard = 0;
        for n in 0..200u32 {
            let now = at(u64::from(n) * 20);
            let mut sent = header(n);
            if n >= 100 {
                sent.timestamp = sent.timestamp.wrapping_add(jump as u32);
            }
            buffer.put(now, &sent, &[1]);
            if let Take::Packet { .. } = buffer.take(now) {
                buffer.played(FRAME);
                heard += 1;
            }
        }
        assert!(heard >= 190, "{jump}: {heard}");
    }
}

#[test]
fn another_source_begins_anew_and_silence_is_empty() {
    let mut buffer = JitterBuffer::new(8_000);
    let frames = play(
        &mut buffer,
        (0..50).map(|n| (u64::from(n) * 20, n)).collect(),
        2_000,
    );
    // three guesses, then nothing
    let tail: Vec<Frame> = frames.iter().rev().take(40).map(|(_, f)| *f).collect();
    assert_eq!(tail.iter().filter(|f| **f == Frame::Nothing).count(), 40);
    assert_eq!(buffer.counts().lost, 3);
    let other = Header {
        ssrc: 10,
        timestamp: 77,
        ..header(3)
    };
    buffer.put(at(2_000), &other, &[1]);
    assert_eq!(buffer.take(at(2_000)), Take::Empty);
    assert!(matches!(buffer.take(at(2_040)), Take::Packet { .. }));
}
