//! What audio costs that is not only relayed: codecs, resampling, mixing. Printed as CPU time for a second of audio, and as a share of a core.
//!
//! Times are of this thread alone, so that neighbours on the machine disturb less; compare within one run. On two virtual cores in November
//! 2026: 200 members at 16 kHz in G.722 35 % of a core, 50 conferences of 4 in PCMA 1 %, 1,000 listeners to one music 6 %.

// A bench measures time: that is what it is for.
#![allow(clippy::disallowed_methods)]

use strowger::media::codec::{Codec, Decoder, Encoder, PAYLOAD_BYTES_MAX, Payload};
use strowger::media::mixer::{Mixer, Part, Seat};
use strowger::media::signal::tone::sine_from;
use strowger::media::signal::{Concealer, Resampler};

/// Seconds of audio for each figure.
const SECONDS: u64 = 4;
const FRAMES: u64 = SECONDS * 50;

/// CPU time of the thread so far, in seconds.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos: f64 = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .expect("nanoseconds");
    nanos / 1e9
}

/// Runs `frame` for each 20 ms and prints what a second of audio costs. What is cheap goes several `rounds`: the kernel counts in steps.
fn measure(name: &str, rounds: u64, mut frame: impl FnMut(u64)) -> f64 {
    (0..20).for_each(&mut frame);
    let before = cpu();
    for _ in 0..rounds {
        (20..20 + FRAMES).for_each(&mut frame);
    }
    let share = (cpu() - before) / (SECONDS * rounds) as f64;
    println!(
        "{name:<64} {:>10.3} ms for a second of audio, {:>6.2} % of a core",
        share * 1e3,
        share * 100.0
    );
    share
}

struct Speaker {
    encoder: Box<dyn Encoder>,
    decoder: Box<dyn Decoder>,
    rate_hz: u32,
    hz: f64,
}

impl Speaker {
    fn new(codec: Codec, rate_hz: u32, n: usize) -> Speaker {
        let payload = Payload::new(96, codec.clone());
        let coder = codec.coder().expect("spoken");
        Speaker {
            encoder: (coder.encoder)(rate_hz, &payload),
            decoder: (coder.decoder)(rate_hz),
            rate_hz,
            hz: 200.0 + 7.0 * n as f64,
        }
    }

    fn says(&self, n: u64) -> Vec<i16> {
        let frame = self.rate_hz as usize / 50;
        sine_from(self.rate_hz, self.hz, 5_000.0, n * frame as u64, frame)
    }

    fn encode(&mut self, samples: &[i16]) -> Vec<u8> {
        let mut out = [0; PAYLOAD_BYTES_MAX];
        let length = self.encoder.encode(samples, &mut out);
        out[..length].to_vec()
    }
}

fn codecs() {
    for (codec, rate_hz) in [
        (Codec::Pcma, 8_000),
        (Codec::G722, 16_000),
        (Codec::Opus, 8_000),
        (Codec::Opus, 16_000),
        (Codec::Opus, 48_000),
    ] {
        let mut speaker = Speaker::new(codec.clone(), rate_hz, 1);
        let said: Vec<Vec<i16>> = (0..20 + FRAMES).map(|n| speaker.says(n)).collect();
        let mut packets = Vec::new();
        measure(
            &format!("{} at {rate_hz} Hz, encode", codec.name()),
            25,
            |n| {
                packets.push(speaker.encode(&said[n as usize]));
            },
        );
        let mut out = Vec::new();
        measure(
            &format!("{} at {rate_hz} Hz, decode", codec.name()),
            25,
            |n| {
                out.clear();
                speaker
                    .decoder
                    .decode(&packets[n as usize], &mut out)
                    .expect("decodes");
            },
        );
    }
    for (from, to) in [
        (8_000, 16_000),
        (16_000, 8_000),
        (8_000, 48_000),
        (48_000, 8_000),
    ] {
        let mut resampler = Resampler::new(from, to);
        let frame = sine_from(from, 500.0, 9_000.0, 0, from as usize / 50);
        let mut out = Vec::new();
        measure(&format!("resample {from} to {to} Hz"), 25, |_| {
            out.clear();
            resampler.push(&frame, &mut out);
        });
    }
    let mut concealer = Concealer::new(8_000);
    let frame = sine_from(8_000, 120.0, 9_000.0, 0, 160);
    let mut out = Vec::new();
    measure("conceal every second frame at 8000 Hz", 25, |n| {
        if n % 2 == 0 {
            concealer.heard(&mut frame.clone());
        } else {
            out.clear();
            concealer.lost(160, &mut out);
        }
    });
}

/// Conferences of `size` members who all speak all the time, with all decoding and encoding.
fn conferences(count: usize, size: usize, codec: &Codec, rate_hz: u32) -> f64 {
    let mut rooms: Vec<(Mixer, Vec<(Seat, Speaker)>)> = (0..count)
        .map(|_| {
            let mut mixer = Mixer::new(rate_hz);
            let members = (0..size)
                .map(|n| {
                    (
                        mixer.join(Part::default()),
                        Speaker::new(codec.clone(), rate_hz, n),
                    )
                })
                .collect();
            (mixer, members)
        })
        .collect();
    // what the phones send is not our cost
    let mut phones: Vec<Speaker> = (0..size)
        .map(|n| Speaker::new(codec.clone(), rate_hz, n))
        .collect();
    let sent: Vec<Vec<Vec<u8>>> = (0..20 + FRAMES)
        .map(|n| {
            let speak = |phone: &mut Speaker| {
                let said = phone.says(n);
                phone.encode(&said)
            };
            phones.iter_mut().map(speak).collect()
        })
        .collect();
    let mut heard = Vec::new();
    let mut out = vec![0; rate_hz as usize / 50];
    let mut octets = 0;
    let name = format!(
        "{count} conference(s) of {size}, {} at {rate_hz} Hz, all speaking",
        codec.name()
    );
    let share = measure(&name, 1, |n| {
        for (mixer, members) in &mut rooms {
            for ((seat, member), packet) in members.iter_mut().zip(&sent[n as usize]) {
                heard.clear();
                member.decoder.decode(packet, &mut heard).expect("decodes");
                mixer.put(*seat, &heard);
            }
            mixer.mix();
            for (seat, member) in members.iter_mut() {
                mixer.hear(*seat, &mut out);
                octets += member.encode(&out).len();
            }
            mixer.finish();
        }
    });
    assert!(octets > 0);
    share
}

/// Listeners who all hear one source of music.
fn listeners(count: usize) -> f64 {
    let mut mixer = Mixer::new(8_000);
    let music = mixer.join(Part::default());
    let quiet = Part {
        muted: true,
        ..Part::default()
    };
    let mut members: Vec<(Seat, Speaker)> = (0..count)
        .map(|n| (mixer.join(quiet), Speaker::new(Codec::Pcma, 8_000, n)))
        .collect();
    let mut out = vec![0; 160];
    let mut octets = 0;
    let share = measure(
        &format!("{count} listeners to one source of music, PCMA"),
        1,
        |n| {
            mixer.put(music, &sine_from(8_000, 440.0, 8_000.0, n * 160, 160));
            mixer.mix();
            for (seat, member) in &mut members {
                mixer.hear(*seat, &mut out);
                octets += member.encode(&out).len();
            }
            mixer.finish();
        },
    );
    assert_eq!(octets as u64 % (count as u64 * 160), 0);
    share
}

fn main() {
    codecs();
    let mut worst: f64 = 0.0;
    worst = worst.max(conferences(1, 200, &Codec::G722, 16_000));
    worst = worst.max(conferences(50, 4, &Codec::Pcma, 8_000));
    worst = worst.max(listeners(1_000));
    conferences(1, 20, &Codec::Opus, 48_000);
    println!(
        "the dearest of the three that must fit one core takes {:.1} % of it",
        worst * 100.0
    );
}
