//! G.711 (ITU-T, 1988): logarithmic 8-bit companding of 8 kHz speech, A-law and µ-law.

use super::coder::{Coder, Decoder, Encoder, PACKET_MS_MAX, Undecodable};
use crate::media::signal::Concealer;

/// G.711's sampling rate.
const RATE_HZ: u32 = 8_000;
/// Longest payload that is decoded.
const PAYLOAD_MAX: usize = PACKET_MS_MAX * RATE_HZ as usize / 1_000;

/// A-law in the table of codecs.
pub static PCMA: Coder = Coder {
    rates_hz: &[RATE_HZ],
    packets_ms: &[10, 20, 30, 40, 50, 60],
    encoder: |_, _| Box::new(Compressor { law: Law::A }),
    decoder: |_| Box::new(Expander::new(Law::A)),
};

/// µ-law in the table of codecs.
pub static PCMU: Coder = Coder {
    rates_hz: &[RATE_HZ],
    packets_ms: &[10, 20, 30, 40, 50, 60],
    encoder: |_, _| Box::new(Compressor { law: Law::Mu }),
    decoder: |_| Box::new(Expander::new(Law::Mu)),
};

struct Compressor {
    law: Law,
}

impl Encoder for Compressor {
    fn rate_hz(&self) -> u32 {
        RATE_HZ
    }

    fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let length = samples.len().min(out.len());
        self.law.encode_into(samples, out);
        length
    }
}

struct Expander {
    law: Law,
    concealer: Concealer,
}

impl Expander {
    fn new(law: Law) -> Expander {
        Expander {
            law,
            concealer: Concealer::new(RATE_HZ),
        }
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
        out.extend(payload.iter().map(|code| self.law.decode(*code)));
        self.concealer.heard(&mut out[start..]);
        Ok(())
    }

    fn conceal(&mut self, samples: usize, _next: Option<&[u8]>, out: &mut Vec<i16>) {
        self.concealer.lost(samples, out);
    }
}

/// Which of the two laws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// A-law: Europe and most of the world.
    A,
    /// µ-law: North America and Japan.
    Mu,
}

impl Law {
    /// One 16-bit linear sample to a code word.
    pub const fn encode(self, sample: i16) -> u8 {
        match self {
            Law::A => encode_a(sample),
            Law::Mu => encode_mu(sample),
        }
    }

    /// One code word to a 16-bit linear sample.
    pub const fn decode(self, code: u8) -> i16 {
        match self {
            Law::A => A_TO_LINEAR[code as usize],
            Law::Mu => MU_TO_LINEAR[code as usize],
        }
    }

    /// Encodes samples into `codes`; stops at the shorter of the two.
    pub fn encode_into(self, samples: &[i16], codes: &mut [u8]) {
        for (code, sample) in codes.iter_mut().zip(samples) {
            *code = self.encode(*sample);
        }
    }

    /// The table that turns a code word of this law into one of the other.
    pub const fn to_other(self) -> &'static [u8; 256] {
        match self {
            Law::A => &A_TO_MU,
            Law::Mu => &MU_TO_A,
        }
    }

    /// The code word of silence.
    pub const fn silence(self) -> u8 {
        self.encode(0)
    }
}

/// A-law works on 13 bits: sign, and a magnitude of 12 bits. Even bits are inverted on the line (G.711 §2).
const fn encode_a(sample: i16) -> u8 {
    let magnitude = (if sample < 0 { !sample } else { sample } >> 4) as u16;
    let segment = if magnitude < 32 {
        magnitude
    } else {
        // the leading one counts the segment, the next four bits stand in it
        let exponent = 11 - magnitude.leading_zeros() as u16;
        (exponent + 1) << 4 | (magnitude >> exponent) & 0x0f
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (segment as u8 | sign) ^ 0x55
}

/// µ-law works on 14 bits with a bias of 33, and inverts all bits on the line (G.711 §3).
const fn encode_mu(sample: i16) -> u8 {
    let magnitude = (if sample < 0 { !sample } else { sample } >> 2) as u16 + 33;
    let magnitude = if magnitude > 0x1fff {
        0x1fff
    } else {
        magnitude
    };
    let exponent = 10 - magnitude.leading_zeros() as u16;
    let segment = exponent << 4 | (magnitude >> (exponent + 1)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(segment as u8 | sign)
}

const fn decode_a(code: u8) -> i16 {
    let code = code ^ 0x55;
    let exponent = (code >> 4 & 7) as i16;
    let mantissa = (code & 0x0f) as i16;
    let magnitude = if exponent == 0 {
        (mantissa << 4) + 8
    } else {
        ((mantissa << 4) + 0x108) << (exponent - 1)
    };
    if code & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

const fn decode_mu(code: u8) -> i16 {
    let code = !code;
    let exponent = (code >> 4 & 7) as i16;
    let mantissa = (code & 0x0f) as i16;
    let magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84;
    if code & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

const fn linear(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::A => decode_a(code as u8),
            Law::Mu => decode_mu(code as u8),
        };
        code += 1;
    }
    table
}

const fn across(from: &[i16; 256], to: Law) -> [u8; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = to.encode(from[code]);
        code += 1;
    }
    table
}

static A_TO_LINEAR: [i16; 256] = linear(Law::A);
static MU_TO_LINEAR: [i16; 256] = linear(Law::Mu);
static A_TO_MU: [u8; 256] = across(&linear(Law::A), Law::Mu);
static MU_TO_A: [u8; 256] = across(&linear(Law::Mu), Law::A);

#[cfg(test)]
mod tests {
    use super::*;

    /// A-law by the text of the recommendation: walk the eight segments, each but the first twice as coarse as the one before.
    fn reference_a(sample: i16) -> u8 {
        let negative = sample < 0;
        let value = (if negative {
            -(i32::from(sample)) - 1
        } else {
            i32::from(sample)
        }) / 16;
        let mut code = None;
        let mut start = 0;
        for segment in 0..8 {
            let step = if segment < 2 { 1 } else { 1 << (segment - 1) };
            let end = start + 16 * step;
            if value < end {
                code = Some(segment * 16 + (value - start) / step);
                break;
            }
            start = end;
        }
        let code = code.expect("4096 values are covered") as u8;
        (if negative { code } else { code | 0x80 }) ^ 0x55
    }

    /// µ-law likewise: segments of 16 steps of 2, 4, 8 … on the 14-bit magnitude, the first step half as wide.
    fn reference_mu(sample: i16) -> u8 {
        let negative = sample < 0;
        let value = (if negative {
            -(i32::from(sample)) - 1
        } else {
            i32::from(sample)
        }) / 4;
        let value = value.min(8158);
        let mut start = -1;
        let mut code = 127;
        for segment in 0..8 {
            let step = 2 << segment;
            let end = start + 16 * step;
            if value < end {
                code = segment * 16 + (value - start) / step;
                break;
            }
            start = end;
        }
        !(code as u8 | if negative { 0x80 } else { 0 })
    }

    #[test]
    fn all_65536_samples_agree_with_the_recommendation() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(encode_a(sample), reference_a(sample), "A-law of {sample}");
            assert_eq!(encode_mu(sample), reference_mu(sample), "µ-law of {sample}");
        }
    }

    #[test]
    fn code_words_known_from_the_tables_of_the_recommendation() {
        assert_eq!(Law::A.encode(0), 0xd5);
        assert_eq!(Law::Mu.encode(0), 0xff);
        assert_eq!(Law::A.decode(0xaa), 32_256); // table 1a: 4032 of 4096
        assert_eq!(Law::A.decode(0x2a), -32_256);
        assert_eq!(Law::Mu.decode(0x80), 32_124); // table 2a: 8031 of 8159
        assert_eq!(Law::Mu.decode(0x00), -32_124);
    }

    #[test]
    fn decoded_code_words_encode_to_themselves() {
        for code in 0..=255u8 {
            assert_eq!(Law::A.encode(Law::A.decode(code)), code);
            // µ-law has two zeros; the negative one comes back as the positive
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(Law::Mu.encode(Law::Mu.decode(code)), expected);
        }
    }

    #[test]
    fn decoding_errs_by_at_most_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            for law in [Law::A, Law::Mu] {
                let error = (i32::from(law.decode(law.encode(sample))) - i32::from(sample)).abs();
                let step = (i32::from(sample).abs() / 16).max(16);
                assert!(error <= step / 2 + 16 || i32::from(sample).abs() > 32_000);
            }
        }
    }

    #[test]
    fn change_of_law_is_the_way_over_linear() {
        for code in 0..=255u8 {
            let there = Law::A.to_other()[usize::from(code)];
            assert_eq!(there, Law::Mu.encode(Law::A.decode(code)));
        }
    }
}
