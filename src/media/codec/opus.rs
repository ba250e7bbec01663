//! Opus (RFC 6716) in RTP (RFC 7587), spoken in mono: with copies against loss (in-band FEC), any length of packet, and pauses.
//!
//! The codec takes and gives several rates by itself, so that nothing is resampled on its behalf; its RTP clock counts 48,000 a second at
//! each of them. A decoder meets bytes of strangers: what it cannot read is refused, and should it ever panic, it is thrown away
//! and begun anew, which costs its listener one packet.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opus_rs::{Application, OpusDecoder, OpusEncoder};

use super::Payload;
use super::coder::{Coder, Decoder, Encoder, PACKET_MS_MAX, PAYLOAD_BYTES_MAX, Undecodable};

/// Opus in the table of codecs.
pub static OPUS: Coder = Coder {
    rates_hz: &[8_000, 16_000, 48_000],
    packets_ms: &[10, 20, 40, 60],
    encoder: |rate_hz, payload| Box::new(Compressor::new(rate_hz, payload)),
    decoder: |rate_hz| Box::new(Expander::new(rate_hz)),
};

/// Bits per second that speech gets at each bandwidth: the sweet spots of RFC 7587 §3.1.1, upper ends.
const fn bitrate(rate_hz: u32) -> i32 {
    match rate_hz {
        0..=8_000 => 16_000,
        8_001..=16_000 => 24_000,
        _ => 40_000,
    }
}

/// Of 0–10: above this the gain in speech is small and the cost grows (to be seen in `benches/mixer.rs`).
const COMPLEXITY: i32 = 5;

/// Loss in percent that the copies are made for until the peer has reported some: WebRTC's sound default is near it (guess).
const LOSS_EXPECTED: i32 = 10;

/// What the peer asks of us in its `a=fmtp` (RFC 7587 §6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wishes {
    inband_fec: bool,
    constant: bool,
    bitrate_max: Option<i32>,
}

impl Wishes {
    fn of(payload: &Payload) -> Wishes {
        let is_set = |name| payload.parameter(name) == Some("1");
        Wishes {
            inband_fec: is_set("useinbandfec"),
            constant: is_set("cbr"),
            bitrate_max: payload
                .parameter("maxaveragebitrate")
                .and_then(|value| value.parse().ok()),
        }
    }
}

struct Compressor {
    encoder: OpusEncoder,
    rate_hz: u32,
}

impl Compressor {
    fn new(rate_hz: u32, payload: &Payload) -> Compressor {
        let wishes = Wishes::of(payload);
        let mut encoder = OpusEncoder::new(rate_hz as i32, 1, Application::Voip)
            .expect("the table has only rates that Opus has");
        // 6 to 510 kbit/s are what the codec can (RFC 6716 §2.1.1)
        let wanted = bitrate(rate_hz);
        encoder.bitrate_bps = wishes
            .bitrate_max
            .map_or(wanted, |max| wanted.min(max).max(6_000));
        encoder.complexity = COMPLEXITY;
        encoder.use_cbr = wishes.constant;
        encoder.use_inband_fec = wishes.inband_fec;
        encoder.packet_loss_perc = if wishes.inband_fec { LOSS_EXPECTED } else { 0 };
        Compressor { encoder, rate_hz }
    }
}

impl Encoder for Compressor {
    fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let length = out.len().min(PAYLOAD_BYTES_MAX);
        let Some(out) = out.get_mut(..length) else {
            return 0;
        };
        self.encoder
            .encode_i16(samples, samples.len(), out)
            .unwrap_or(0)
    }

    fn expect_loss(&mut self, percent: u8) {
        if self.encoder.use_inband_fec {
            // never below what makes copies at all: the next loss is not announced
            self.encoder.packet_loss_perc = i32::from(percent).clamp(5, 30);
        }
    }
}

struct Expander {
    decoder: OpusDecoder,
    rate_hz: u32,
    scratch: Vec<f32>,
}

fn decoder(rate_hz: u32) -> OpusDecoder {
    OpusDecoder::new(rate_hz as i32, 1).expect("the table has only rates that Opus has")
}

impl Expander {
    fn new(rate_hz: u32) -> Expander {
        Expander {
            decoder: decoder(rate_hz),
            rate_hz,
            scratch: vec![0.0; PACKET_MS_MAX * rate_hz as usize / 1_000],
        }
    }

    /// Runs the decoder for `samples` samples and appends what it gives.
    fn run(
        &mut self,
        samples: usize,
        out: &mut Vec<i16>,
        work: impl FnOnce(&mut OpusDecoder, &mut [f32]) -> Result<usize, &'static str>,
    ) -> Result<(), Undecodable> {
        let scratch = self.scratch.get_mut(..samples).ok_or(Undecodable)?;
        scratch.fill(0.0);
        let decoder_ = &mut self.decoder;
        match catch_unwind(AssertUnwindSafe(|| work(decoder_, scratch))) {
            Ok(Ok(count)) => {
                let heard = self.scratch.get(..count.min(samples)).unwrap_or_default();
                out.extend(heard.iter().map(|sample| to_16(*sample)));
                Ok(())
            }
            Ok(Err(_)) => Err(Undecodable),
            Err(_) => {
                self.decoder = decoder(self.rate_hz);
                Err(Undecodable)
            }
        }
    }
}

impl Decoder for Expander {
    fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), Undecodable> {
        let samples = duration(payload, self.rate_hz).ok_or(Undecodable)?;
        self.run(samples, out, |decoder, scratch| {
            decoder.decode(payload, samples, scratch)
        })
    }

    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut Vec<i16>) {
        // 2.5 ms are the codec's smallest frame; more than a packet's worth at once it does not conceal
        let step = self.rate_hz as usize / 400;
        let mut left = samples - samples % step;
        let largest = self.rate_hz as usize / 50;
        let end = out.len() + samples;
        while left > 0 {
            let part = left.min(largest);
            left -= part;
            let copy = next.filter(|_| left == 0);
            let done = self.run(part, out, |decoder, scratch| match copy {
                Some(next) => decoder.decode_fec(next, part, scratch),
                None => decoder.decode(&[], part, scratch),
            });
            if done.is_err() {
                break;
            }
        }
        out.resize(end, 0);
    }
}

fn to_16(sample: f32) -> i16 {
    // `as` saturates, and makes nothing of what is no number
    (sample * 32_768.0).round() as i16
}

/// Samples that a packet decodes to (RFC 6716 §3.1, §3.2); `None` when it is no packet.
fn duration(packet: &[u8], rate_hz: u32) -> Option<usize> {
    let (toc, rest) = packet.split_first()?;
    // in 2.5 ms
    let frame = match toc >> 3 {
        configuration @ 0..=11 => [4, 8, 16, 24][usize::from(configuration & 3)],
        configuration @ 12..=15 => [4, 8][usize::from(configuration & 1)],
        configuration => [1, 2, 4, 8][usize::from(configuration & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(rest.first()? & 63),
    };
    let quarters = frame * frames;
    let fits = quarters > 0 && quarters * 5 <= PACKET_MS_MAX * 2;
    fits.then(|| quarters * rate_hz as usize / 400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Entropy;
    use crate::media::codec::Codec;
    use crate::media::signal::Resampler;
    use crate::media::signal::tone::{power_at, sine};

    fn payload(fmtp: &str) -> Payload {
        Payload {
            fmtp: Some(fmtp.into()),
            ..Payload::new(111, Codec::Opus)
        }
    }

    fn packets(rate_hz: u32, ms: usize, fmtp: &str, samples: &[i16]) -> Vec<Vec<u8>> {
        let mut encoder = (OPUS.encoder)(rate_hz, &payload(fmtp));
        samples
            .chunks_exact(rate_hz as usize * ms / 1_000)
            .map(|frame| {
                let mut out = [0; PAYLOAD_BYTES_MAX];
                let length = encoder.encode(frame, &mut out);
                assert!(length > 0);
                out[..length].to_vec()
            })
            .collect()
    }

    /// A prompt at 16 kHz.
    fn speech() -> Vec<i16> {
        let prompt = include_bytes!("../../../prompts/en/welcome.flac");
        let narrow = crate::media::prompts::decode(prompt).expect("a prompt");
        let mut speech = Vec::new();
        Resampler::new(8_000, 16_000).push(&narrow, &mut speech);
        speech
    }

    #[test]
    fn tone_survives_at_every_rate_and_length_of_packet() {
        for rate_hz in [8_000u32, 16_000, 48_000] {
            for ms in [10, 20, 40, 60] {
                let tone = sine(rate_hz, 440.0, 12_000.0, rate_hz as usize);
                let mut decoder = (OPUS.decoder)(rate_hz);
                let mut heard = Vec::new();
                for packet in packets(rate_hz, ms, "", &tone) {
                    assert_eq!(
                        duration(&packet, rate_hz),
                        Some(rate_hz as usize * ms / 1_000)
                    );
                    decoder.decode(&packet, &mut heard).expect("decodes");
                }
                let tail = &heard[heard.len() / 2..];
                let share = power_at(tail, rate_hz, 440.0);
                assert!(share > 0.9, "{rate_hz} Hz, {ms} ms: {share}");
            }
        }
    }

    #[test]
    fn stereo_and_other_rates_of_the_peer_are_heard_in_mono() {
        let mut encoder = OpusEncoder::new(48_000, 2, Application::Audio).expect("stereo");
        encoder.bitrate_bps = 96_000;
        let tone = sine(48_000, 600.0, 9_000.0, 48_000);
        let both: Vec<i16> = tone.iter().flat_map(|sample| [*sample, *sample]).collect();
        let mut decoder = (OPUS.decoder)(8_000);
        let mut heard = Vec::new();
        for frame in both.chunks_exact(1_920) {
            let mut out = [0; 1_276];
            let length = encoder.encode_i16(frame, 960, &mut out).expect("encodes");
            decoder.decode(&out[..length], &mut heard).expect("decodes");
        }
        assert_eq!(heard.len(), 8_000);
        assert!(power_at(&heard[4_000..], 8_000, 600.0) > 0.9);
    }

    #[test]
    fn lost_packet_comes_back_from_the_copy_in_the_next() {
        // copies are made of speech only
        let rate_hz = 16_000;
        let speech = speech();
        let packets = packets(rate_hz, 20, "useinbandfec=1", &speech);
        let hear = |with_copy: bool| {
            let mut decoder = (OPUS.decoder)(rate_hz);
            let mut heard = Vec::new();
            for (n, packet) in packets.iter().enumerate() {
                if n % 7 == 5 {
                    let next = packets.get(n + 1).map(Vec::as_slice);
                    decoder.conceal(320, next.filter(|_| with_copy), &mut heard);
                } else {
                    decoder.decode(packet, &mut heard).expect("decodes");
                }
            }
            heard
        };
        let mut whole = Vec::new();
        let mut decoder = (OPUS.decoder)(rate_hz);
        for packet in &packets {
            decoder.decode(packet, &mut whole).expect("decodes");
        }
        let error = |heard: &[i16]| -> f64 {
            assert_eq!(heard.len(), whole.len());
            let of = |(a, b): (&i16, &i16)| (f64::from(*a) - f64::from(*b)).powi(2);
            heard.iter().zip(&whole).map(of).sum()
        };
        let (copied, guessed) = (error(&hear(true)), error(&hear(false)));
        assert!(copied * 2.0 < guessed, "{copied:e} against {guessed:e}");
    }

    #[test]
    fn wishes_of_the_peer_are_read() {
        let wishes = Wishes::of(&payload(
            "minptime=10; useinbandfec=1;maxaveragebitrate=20000 ;cbr=0",
        ));
        assert!(wishes.inband_fec && !wishes.constant);
        assert_eq!(wishes.bitrate_max, Some(20_000));
        let nothing = Wishes::of(&Payload::new(111, Codec::Opus));
        assert_eq!(nothing, Wishes::of(&payload("usedtx=1")));
        let speech = speech();
        let packets = |fmtp| packets(16_000, 20, fmtp, &speech);
        let octets = |fmtp| -> usize { packets(fmtp).iter().map(Vec::len).sum() };
        assert!(octets("maxaveragebitrate=8000") * 3 < octets("") * 2);
        let equal = packets("cbr=1");
        assert!(equal.iter().all(|packet| packet.len() == equal[0].len()));
    }

    #[test]
    fn bytes_of_strangers_neither_panic_nor_last_longer_than_a_packet() {
        let mut entropy = Entropy::from_number(7);
        for rate_hz in [8_000, 48_000] {
            let mut decoder = (OPUS.decoder)(rate_hz);
            let mut heard = Vec::new();
            for _ in 0..3_000 {
                let mut packet = vec![0; entropy.below(90) as usize];
                entropy.fill(&mut packet);
                heard.clear();
                let decoded = decoder.decode(&packet, &mut heard);
                assert!(heard.len() <= PACKET_MS_MAX * rate_hz as usize / 1_000);
                assert_eq!(decoded.is_err(), heard.is_empty(), "{packet:?}");
                heard.clear();
                decoder.conceal(rate_hz as usize / 50, Some(&packet), &mut heard);
                assert_eq!(heard.len(), rate_hz as usize / 50);
            }
        }
    }
}
