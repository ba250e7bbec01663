//! What an endpoint hears of each codec, over a network that jitters and loses.

use super::*;
use crate::base::Entropy;
use crate::media::codec::PAYLOAD_BYTES_MAX;
use crate::media::signal::tone::{power_at, rms, sine};

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn header(n: u32, number: u8, clock_hz: u32) -> Header {
    Header {
        marker: n == 0,
        payload_number: number,
        sequence: n as u16,
        timestamp: n * (clock_hz / 50),
        ssrc: 5,
        payload_start: 12,
        payload_end: 12,
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

/// Two seconds of a tone, a packet each 20 ms.
fn packets(payload: &Payload) -> Vec<Vec<u8>> {
    let coder = payload.codec.coder().expect("spoken");
    let rate = coder.best_hz();
    let mut encoder = (coder.encoder)(rate, payload);
    sine(rate, 500.0, 10_000.0, rate as usize * 2)
        .chunks(rate as usize / 50)
        .map(|frame| {
            let mut out = [0; PAYLOAD_BYTES_MAX];
            let length = encoder.encode(frame, &mut out);
            out[..length].to_vec()
        })
        .collect()
}

#[test]
fn every_codec_is_heard_at_every_rate_over_a_rough_network() {
    let mut entropy = Entropy::from_number(4);
    for payload in codecs() {
        let packets = packets(&payload);
        for rate_hz in [8_000u32, 16_000, 48_000] {
            let mut playout = Playout::new(rate_hz, std::slice::from_ref(&payload));
            let mut arrivals: Vec<(u64, usize)> = (0..packets.len())
                .filter(|n| n % 20 != 11)
                .map(|n| (n as u64 * 20 + entropy.below(15), n))
                .collect();
            arrivals.sort_unstable();
            let mut arrivals = arrivals.into_iter().peekable();
            let mut out = vec![0; rate_hz as usize / 50];
            let mut heard = Vec::new();
            for now in 0..2_000 {
                while let Some((_, n)) = arrivals.next_if(|(arrival, _)| *arrival <= now) {
                    let header = header(n as u32, payload.number, payload.clock_hz);
                    playout.put(at(now), &header, &packets[n]);
                }
                if now % 20 == 3 && playout.frame(at(now), &mut out) {
                    heard.extend(&out);
                }
            }
            let name = format!("{payload:?} at {rate_hz} Hz");
            assert!(heard.len() > rate_hz as usize * 18 / 10, "{name}");
            // in windows, since a stretched frame turns the phase
            let window = rate_hz as usize / 20;
            let good = heard[heard.len() / 4..]
                .chunks_exact(window)
                .map(|part| power_at(part, rate_hz, 500.0));
            let shares: Vec<f64> = good.collect();
            // what Opus makes up has not quite the pitch of what was said
            let clear = shares.iter().filter(|share| **share > 0.6).count();
            assert!(clear * 10 >= shares.len() * 8, "{name}: {shares:.2?}");
            assert_eq!(playout.counts().lost, 5, "{name}");
        }
    }
}

#[test]
fn pause_sounds_like_the_background_that_was_described() {
    let receive = [Payload::pcma(), Payload::new(13, Codec::ComfortNoise)];
    let packets = packets(&receive[0]);
    let mut playout = Playout::new(8_000, &receive);
    let mut out = [0; 160];
    let mut levels = Vec::new();
    for n in 0..150u32 {
        let now = at(u64::from(n) * 20);
        match n {
            0..=49 => playout.put(now, &header(n, 8, 8_000), &packets[n as usize]),
            // the description, then nothing for a second
            50 => playout.put(now, &header(n, 13, 8_000), &[40]),
            100.. => {
                let header = Header {
                    sequence: n as u16 - 49,
                    ..header(n, 8, 8_000)
                };
                playout.put(now, &header, &packets[n as usize - 50]);
            }
            _ => {}
        }
        playout.frame(now, &mut out);
        levels.push(rms(&out));
    }
    assert!(levels[20..45].iter().all(|level| *level > 6_000.0));
    // 40 dB below 32,767
    let pause = &levels[60..95];
    let mean = pause.iter().sum::<f64>() / pause.len() as f64;
    assert!((mean / 327.0 - 1.0).abs() < 0.1, "{mean}");
    assert!(levels[110..].iter().all(|level| *level > 6_000.0));
    assert_eq!(playout.counts().lost, 0);
}

#[test]
fn nothing_is_heard_of_nobody_and_of_what_was_not_agreed() {
    let mut playout = Playout::new(16_000, &[Payload::pcma()]);
    let mut out = [7; 320];
    assert!(!playout.frame(at(0), &mut out));
    assert_eq!(out, [0; 320]);
    for n in 0..20 {
        let now = at(u64::from(n) * 20);
        playout.put(now, &header(n, 0, 8_000), &[1; 160]);
        assert!(!playout.frame(now, &mut out));
    }
}
