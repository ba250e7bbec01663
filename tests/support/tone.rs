//! Tones: made, sent as G.711, and found again in what was heard. A call is only as good as the audio that arrived.

use std::f64::consts::TAU;
use std::path::Path;

/// Telephone audio.
pub const RATE_HZ: u32 = 8000;
/// A frame for judging: 40 ms, so tones 25 Hz apart are told apart.
const FRAME_MS: u32 = 40;
/// Below this root mean square (of 32,767) a frame counts as silence.
const SILENCE_RMS: f64 = 200.0;
/// A tone dominates a frame when it carries more than this share of its energy.
const DOMINANT_SHARE: f64 = 0.5;
/// A tone was heard when it dominates more than this share of the active frames.
pub const HEARD_SHARE: f64 = 0.9;

/// What the frames of a recording hold.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Heard {
    /// Frames in all.
    pub frames: usize,
    /// Frames that are not silence.
    pub active: usize,
    /// Active frames in which the tone dominates.
    pub dominated: usize,
}

impl Heard {
    /// Share of the active frames in which the tone dominates; 0 when nothing was heard at all.
    pub fn share(&self) -> f64 {
        if self.active == 0 {
            0.0
        } else {
            self.dominated as f64 / self.active as f64
        }
    }

    /// Seconds that were not silence.
    pub fn active_seconds(&self) -> f64 {
        self.active as f64 * f64::from(FRAME_MS) / 1000.0
    }
}

/// Looks for a tone of `hz` in `samples`.
pub fn listen(samples: &[i16], rate_hz: u32, hz: f64) -> Heard {
    let length = (rate_hz * FRAME_MS / 1000) as usize;
    let mut heard = Heard {
        frames: 0,
        active: 0,
        dominated: 0,
    };
    for frame in samples.chunks_exact(length) {
        heard.frames += 1;
        let energy: f64 = frame.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
        if (energy / length as f64).sqrt() < SILENCE_RMS {
            continue;
        }
        heard.active += 1;
        if goertzel(frame, rate_hz, hz) > DOMINANT_SHARE * energy {
            heard.dominated += 1;
        }
    }
    heard
}

/// Energy of the component at `hz`, on the scale of the sum of squares of the frame (a pure tone gives that sum).
fn goertzel(frame: &[i16], rate_hz: u32, hz: f64) -> f64 {
    let turn = 2.0 * (TAU * hz / f64::from(rate_hz)).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for &sample in frame {
        (one, two) = (f64::from(sample) + turn * one - two, one);
    }
    (one * one + two * two - turn * one * two) * 2.0 / frame.len() as f64
}

/// Fails unless the tone was heard: `seconds_min` of audio that is not silence, more than 90 % of it this tone.
#[track_caller]
pub fn assert_heard(who: &str, samples: &[i16], rate_hz: u32, hz: f64, seconds_min: f64) {
    let heard = listen(samples, rate_hz, hz);
    assert!(
        heard.active_seconds() >= seconds_min && heard.share() > HEARD_SHARE,
        "{who} should hear {hz} Hz for {seconds_min} s: {heard:?}, {:.2} s active, share {:.2}",
        heard.active_seconds(),
        heard.share()
    );
}

/// Fails unless there is next to nothing of the tone in `samples` (at most 60 ms: what was under way).
#[track_caller]
pub fn assert_not_heard(who: &str, samples: &[i16], rate_hz: u32, hz: f64) {
    let heard = listen(samples, rate_hz, hz);
    assert!(
        heard.dominated <= 2,
        "{who} should not hear {hz} Hz: {heard:?}"
    );
}

/// Reads a WAV file: its samples (first channel) and its rate.
pub fn read_wav(path: &Path) -> (Vec<i16>, u32) {
    let mut file =
        hound::WavReader::open(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    let specification = file.spec();
    let channels = usize::from(specification.channels);
    let samples = file
        .samples::<i16>()
        .step_by(channels)
        .map_while(Result::ok)
        .collect();
    (samples, specification.sample_rate)
}

/// The `n`th sample of a tone at half of full scale.
pub fn sample(hz: f64, n: u64) -> i16 {
    ((TAU * hz * n as f64 / f64::from(RATE_HZ)).sin() * 16_000.0) as i16
}

/// G.711 A-law, for one sample.
pub fn alaw_encode(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 {
        (0x80, i32::from(sample))
    } else {
        (0, -1 - i32::from(sample))
    };
    let magnitude = magnitude >> 4;
    let segment = (32 - (magnitude >> 4).max(0).leading_zeros()).min(7) as i32;
    let mantissa = if segment == 0 {
        magnitude & 15
    } else {
        (magnitude >> (segment - 1)) & 15
    };
    (sign | (segment << 4) | mantissa) as u8 ^ 0x55
}

/// G.711 A-law, one sample back.
pub fn alaw_decode(byte: u8) -> i16 {
    let byte = i32::from(byte ^ 0x55);
    let (segment, mantissa) = ((byte >> 4) & 7, byte & 15);
    let magnitude = if segment == 0 {
        (mantissa << 4) + 8
    } else {
        ((mantissa << 4) + 0x108) << (segment - 1)
    };
    (if byte & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}

/// G.711 µ-law, one sample back.
pub fn ulaw_decode(byte: u8) -> i16 {
    let byte = i32::from(!byte);
    let magnitude = ((((byte & 15) << 3) + 0x84) << ((byte >> 4) & 7)) - 0x84;
    (if byte & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }) as i16
}

#[test]
fn a_tone_survives_alaw_and_is_told_from_its_neighbour() {
    let samples: Vec<i16> = (0..8000)
        .map(|n| alaw_decode(alaw_encode(sample(440.0, n))))
        .collect();
    assert!(listen(&samples, RATE_HZ, 440.0).share() > 0.99);
    assert_eq!(listen(&samples, RATE_HZ, 700.0).dominated, 0);
    assert_eq!(
        listen(&[0; 8000], RATE_HZ, 440.0),
        Heard {
            frames: 25,
            active: 0,
            dominated: 0
        }
    );
}

#[test]
fn alaw_gives_back_its_own_code_words() {
    for byte in 0..=255 {
        assert_eq!(alaw_encode(alaw_decode(byte)), byte);
    }
}

#[test]
fn ulaw_spans_its_range() {
    assert_eq!(
        (ulaw_decode(0xff), ulaw_decode(0x80), ulaw_decode(0x00)),
        (0, 32124, -32124)
    );
}
