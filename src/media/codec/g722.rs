//! G.722 (ITU-T, 1988) at 64 kbit/s: 16 kHz speech split into two bands, each in adaptive differences. Its RTP clock counts 8,000 a
//! second, one for each octet (RFC 3551 §4.5.2).
//!
//! The names of steps are those of the recommendation's blocks. All is in whole numbers, and agrees with other implementations to the
//! bit (tests/conformance/codecs.rs).

use super::coder::{Coder, Decoder, Encoder, PACKET_MS_MAX, Undecodable};
use crate::media::signal::Concealer;

const RATE_HZ: u32 = 16_000;
/// Longest payload that is decoded: an octet for two samples.
const PAYLOAD_MAX: usize = PACKET_MS_MAX * RATE_HZ as usize / 2_000;

/// G.722 in the table of codecs.
pub static G722: Coder = Coder {
    rates_hz: &[RATE_HZ],
    packets_ms: &[10, 20, 30, 40, 50, 60],
    encoder: |_, _| Box::new(Compressor::new()),
    decoder: |_| Box::new(Expander::new()),
};

/// The quadrature mirror filter, one half of its symmetric 24 coefficients (table 11).
const MIRROR: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// What tells the two bands apart (tables 14 to 21).
struct Band {
    /// Output of the inverse quantiser that drives the adaptation, by code: 4 bits in the lower band, 2 in the higher.
    inverse: &'static [i32],
    /// Step of the logarithmic scale factor, by code.
    step: &'static [i32],
    scale_max: i32,
    scale_shift: i32,
    /// Scale factor at the beginning.
    first: i32,
}

static LOW: Band = Band {
    inverse: &[
        0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
        1200, 0,
    ],
    step: &[
        -60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60,
    ],
    scale_max: 18_432,
    scale_shift: 8,
    first: 32,
};

static HIGH: Band = Band {
    inverse: &[-7408, -1616, 7408, 1616],
    step: &[798, -214, 798, -214],
    scale_max: 22_528,
    scale_shift: 10,
    first: 8,
};

/// Decision levels of the lower band's quantiser, in 1/4096 of the scale factor.
const LEVELS: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940,
    1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// Decision level of the higher band's quantiser.
const LEVEL_HIGH: i32 = 564;

/// Inverse quantiser of the lower band with all six bits, for what is heard.
const INVERSE_64: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];

/// 2048 times the powers of two in steps of a thirty-second.
const ANTILOG: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

const fn saturate(value: i32) -> i32 {
    if value > 32_767 {
        32_767
    } else if value < -32_768 {
        -32_768
    } else {
        value
    }
}

const fn at(table: &[i32], index: i32) -> i32 {
    table[index as usize & (table.len() - 1)]
}

/// Predictor and scale factor of one band; index 0 is now, 1 and on are before.
#[derive(Clone)]
struct Adaptive {
    band: &'static Band,
    /// What is predicted, and the part of it that the zeros give.
    predicted: i32,
    predicted_zeros: i32,
    reconstructed: [i32; 3],
    partial: [i32; 3],
    poles: [i32; 3],
    zeros: [i32; 7],
    differences: [i32; 7],
    log_scale: i32,
    scale: i32,
}

impl Adaptive {
    fn new(band: &'static Band) -> Adaptive {
        Adaptive {
            band,
            predicted: 0,
            predicted_zeros: 0,
            reconstructed: [0; 3],
            partial: [0; 3],
            poles: [0; 3],
            zeros: [0; 7],
            differences: [0; 7],
            log_scale: 0,
            scale: band.first,
        }
    }

    /// Takes the code of a sample: scale factor, reconstruction and prediction of the next one. Returns the quantised difference.
    fn adapt(&mut self, code: i32) -> i32 {
        let difference = (self.scale * at(self.band.inverse, code)) >> 15;
        // LOGSCL, SCALEL
        self.log_scale = (((self.log_scale * 127) >> 7) + at(self.band.step, code))
            .clamp(0, self.band.scale_max);
        let mantissa = at(&ANTILOG, self.log_scale >> 6);
        let shift = self.band.scale_shift - (self.log_scale >> 11);
        self.scale = if shift < 0 {
            mantissa << -shift
        } else {
            mantissa >> shift
        } << 2;
        self.predict(difference);
        difference
    }

    fn predict(&mut self, difference: i32) {
        // RECONS, PARREC
        self.differences[0] = difference;
        self.reconstructed[0] = saturate(self.predicted + difference);
        self.partial[0] = saturate(self.predicted_zeros + difference);
        let same = |before: i32| (self.partial[0] < 0) == (before < 0);
        let like = [same(self.partial[1]), same(self.partial[2])];
        // UPPOL2
        let turned = if like[0] {
            -saturate(self.poles[1] * 4)
        } else {
            saturate(self.poles[1] * 4)
        };
        let second = if like[1] { 128 } else { -128 };
        let second = second + (saturate(turned) >> 7) + ((self.poles[2] * 32_512) >> 15);
        let second = second.clamp(-12_288, 12_288);
        // UPPOL1
        let first = if like[0] { 192 } else { -192 };
        let first = saturate(first + ((self.poles[1] * 32_640) >> 15));
        let bound = saturate(15_360 - second);
        self.poles = [0, first.clamp(-bound, bound), second];
        // UPZERO
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(&self.differences).skip(1) {
            let step = if (*before < 0) == (difference < 0) {
                step
            } else {
                -step
            };
            *zero = saturate(step + ((*zero * 32_640) >> 15));
        }
        // DELAYA
        self.differences.copy_within(0..6, 1);
        self.reconstructed.copy_within(0..2, 1);
        self.partial.copy_within(0..2, 1);
        // FILTEP, FILTEZ, PREDIC
        let pole = |n: usize| (self.poles[n] * saturate(self.reconstructed[n] * 2)) >> 15;
        let by_poles = saturate(pole(1) + pole(2));
        let pairs = self.zeros.iter().zip(&self.differences).skip(1);
        let by_zeros: i32 = pairs
            .map(|(zero, before)| (zero * saturate(before * 2)) >> 15)
            .sum();
        self.predicted_zeros = saturate(by_zeros);
        self.predicted = saturate(by_poles + self.predicted_zeros);
    }
}

/// The 24 last samples that the mirror filter looks at.
#[derive(Clone, Default)]
struct Mirror {
    past: [i32; 24],
}

impl Mirror {
    /// Takes two and returns what the two halves of the filter make of all.
    fn pass(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.past.copy_within(2.., 0);
        self.past[22] = first;
        self.past[23] = second;
        let (mut even, mut odd) = (0, 0);
        for (n, pair) in self.past.chunks_exact(2).enumerate() {
            even += pair[0] * MIRROR[n];
            odd += pair[1] * MIRROR[11 - n];
        }
        (even, odd)
    }
}

struct Compressor {
    low: Adaptive,
    high: Adaptive,
    mirror: Mirror,
}

impl Compressor {
    fn new() -> Compressor {
        Compressor {
            low: Adaptive::new(&LOW),
            high: Adaptive::new(&HIGH),
            mirror: Mirror::default(),
        }
    }

    fn code(&mut self, first: i16, second: i16) -> u8 {
        let (even, odd) = self.mirror.pass(i32::from(first), i32::from(second));
        let low = quantise_low(((even + odd) >> 14) - self.low.predicted, self.low.scale);
        self.low.adapt(low >> 2);
        let high = quantise_high(((odd - even) >> 14) - self.high.predicted, self.high.scale);
        self.high.adapt(high);
        (high << 6 | low) as u8
    }
}

/// QUANTL: the six bits of a difference of the lower band.
fn quantise_low(difference: i32, scale: i32) -> i32 {
    let difference = saturate(difference);
    let size = if difference < 0 {
        -(difference + 1)
    } else {
        difference
    };
    let place = LEVELS
        .iter()
        .skip(1)
        .position(|level| size < (level * scale) >> 12);
    let place = place.map_or(30, |place| place as i32 + 1);
    match (difference < 0, place) {
        (false, place) => 62 - place,
        // the two smallest negative ones have codes of their own, so that a code is never all zero
        (true, 1 | 2) => 64 - place,
        (true, place) => 34 - place,
    }
}

/// QUANTH: the two bits of a difference of the higher band.
fn quantise_high(difference: i32, scale: i32) -> i32 {
    let difference = saturate(difference);
    let size = if difference < 0 {
        -(difference + 1)
    } else {
        difference
    };
    let large = size >= (LEVEL_HIGH * scale) >> 12;
    match (difference < 0, large) {
        (true, false) => 1,
        (true, true) => 0,
        (false, false) => 3,
        (false, true) => 2,
    }
}

impl Encoder for Compressor {
    fn rate_hz(&self) -> u32 {
        RATE_HZ
    }

    fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let mut length = 0;
        for (place, pair) in out.iter_mut().zip(samples.chunks_exact(2)) {
            *place = self.code(pair[0], pair[1]);
            length += 1;
        }
        length
    }
}

struct Expander {
    low: Adaptive,
    high: Adaptive,
    mirror: Mirror,
    concealer: Concealer,
}

impl Expander {
    fn new() -> Expander {
        Expander {
            low: Adaptive::new(&LOW),
            high: Adaptive::new(&HIGH),
            mirror: Mirror::default(),
            concealer: Concealer::new(RATE_HZ),
        }
    }

    fn samples(&mut self, code: u8) -> [i16; 2] {
        let (low, high) = (i32::from(code & 63), i32::from(code >> 6));
        // all six bits are heard, four of them adapt
        let heard = (self.low.scale * at(&INVERSE_64, low)) >> 15;
        let heard_low = (self.low.predicted + heard).clamp(-16_384, 16_383);
        self.low.adapt(low >> 2);
        let predicted = self.high.predicted;
        let heard_high = (predicted + self.high.adapt(high)).clamp(-16_384, 16_383);
        let (even, odd) = self
            .mirror
            .pass(heard_low + heard_high, heard_low - heard_high);
        [saturate(odd >> 11) as i16, saturate(even >> 11) as i16]
    }
}

impl Decoder for Expander {
    fn rate_hz(&self) -> u32 {
        RATE_HZ
    }

    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), Undecodable> {
        if payload.is_empty() || payload.len() > PAYLOAD_MAX {
            return Err(Undecodable);
        }
        let start = out.len();
        for code in payload {
            out.extend(self.samples(*code));
        }
        self.concealer.heard(&mut out[start..]);
        Ok(())
    }

    fn conceal(&mut self, samples: usize, _next: Option<&[u8]>, out: &mut Vec<i16>) {
        self.concealer.lost(samples, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Entropy;
    use crate::media::signal::tone::{amplitude_at, power_at, sine};

    #[test]
    fn tones_of_both_bands_come_through() {
        for hz in [300.0, 1_000.0, 3_400.0, 5_000.0, 6_500.0] {
            let tone = sine(RATE_HZ, hz, 10_000.0, 8_000);
            let mut octets = vec![0; 4_000];
            assert_eq!(Compressor::new().encode(&tone, &mut octets), 4_000);
            let (mut decoder, mut heard) = (Expander::new(), Vec::new());
            for payload in octets.chunks(160) {
                decoder.decode(payload, &mut heard).expect("decodes");
            }
            let tail = &heard[1_600..];
            assert!(power_at(tail, RATE_HZ, hz) > 0.95, "{hz} Hz");
            let level = amplitude_at(tail, RATE_HZ, hz) / 10_000.0;
            assert!((0.85..1.15).contains(&level), "{hz} Hz: {level}");
        }
    }

    #[test]
    fn all_bytes_and_all_samples_stay_within_their_bounds() {
        let mut entropy = Entropy::from_number(3);
        let (mut decoder, mut encoder) = (Expander::new(), Compressor::new());
        let mut bytes = [0; 160];
        for round in 0..2_000u32 {
            entropy.fill(&mut bytes);
            let mut heard = Vec::new();
            decoder.decode(&bytes, &mut heard).expect("decodes");
            assert_eq!(heard.len(), 320);
            // the loudest there is: full scale in alternation
            let loud: Vec<i16> = (0..320u32)
                .map(|n| {
                    if (n * round / 64) % 2 == 0 {
                        i16::MAX
                    } else {
                        i16::MIN
                    }
                })
                .collect();
            assert_eq!(encoder.encode(&loud, &mut bytes), 160);
        }
        assert_eq!(decoder.decode(&[], &mut Vec::new()), Err(Undecodable));
        let long = vec![0; PAYLOAD_MAX + 1];
        assert_eq!(decoder.decode(&long, &mut Vec::new()), Err(Undecodable));
    }
}
