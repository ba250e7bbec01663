//! Decodes sound files to what the player plays: 8 kHz mono PCM of 16 bits.

use std::io::Cursor;

use super::signal::Resampler;

/// The rate that prompts are played at, in hertz.
pub const RATE_HZ: u32 = 8_000;
/// Longest sound in memory: one hour, which is 57.6 MB (guess; music on hold is minutes).
pub const SAMPLES_MAX: usize = 3_600 * RATE_HZ as usize;

/// Why a sound file could not be used: the operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// Neither FLAC nor WAV.
    #[error("neither a FLAC nor a WAV file")]
    Unknown,
    /// Broken, or of a kind that is not read.
    #[error("cannot be decoded: {0}")]
    Broken(String),
    /// Longer than an hour.
    #[error("longer than an hour")]
    TooLong,
    /// Nothing in it.
    #[error("empty")]
    Empty,
}

/// Decodes FLAC (any depth up to 32 bits) or WAV (integer or float): mixes channels down and brings the rate to 8 kHz.
pub fn decode(bytes: &[u8]) -> Result<Vec<i16>, SoundError> {
    let (samples, channels, rate) = match bytes.first_chunk::<4>() {
        Some(b"fLaC") => decode_flac(bytes)?,
        Some(b"RIFF") => decode_wav(bytes)?,
        _ => return Err(SoundError::Unknown),
    };
    let mono = mix_down(samples, channels);
    if !(4_000..=192_000).contains(&rate) {
        return Err(SoundError::Broken(format!("{rate} samples a second")));
    }
    // odd rates are taken for the next multiple of 25, which keeps the filter short and changes the pitch by less than anybody hears
    let samples = if rate == RATE_HZ {
        mono
    } else {
        Resampler::convert(&mono, (rate + 12) / 25 * 25, RATE_HZ)
    };
    if samples.is_empty() {
        return Err(SoundError::Empty);
    }
    if samples.len() > SAMPLES_MAX {
        return Err(SoundError::TooLong);
    }
    Ok(samples)
}

/// Interleaved samples of 16 bits, channels, rate.
type Decoded = (Vec<i16>, usize, u32);

/// No file may unpack to more than an hour at 48 kHz with two channels.
const RAW_SAMPLES_MAX: usize = SAMPLES_MAX * 12;

fn decode_flac(bytes: &[u8]) -> Result<Decoded, SoundError> {
    let broken = |error: claxon::Error| SoundError::Broken(error.to_string());
    let mut reader = claxon::FlacReader::new(Cursor::new(bytes)).map_err(broken)?;
    let info = reader.streaminfo();
    let mut samples = Vec::new();
    for sample in reader.samples() {
        if samples.len() == RAW_SAMPLES_MAX {
            return Err(SoundError::TooLong);
        }
        samples.push(to_16(sample.map_err(broken)?, info.bits_per_sample));
    }
    Ok((samples, info.channels as usize, info.sample_rate))
}

fn decode_wav(bytes: &[u8]) -> Result<Decoded, SoundError> {
    let broken = |error: hound::Error| SoundError::Broken(error.to_string());
    let mut reader = hound::WavReader::new(Cursor::new(bytes)).map_err(broken)?;
    let spec = reader.spec();
    if reader.len() as usize > RAW_SAMPLES_MAX {
        return Err(SoundError::TooLong);
    }
    let samples: Result<Vec<i16>, _> = match spec.sample_format {
        hound::SampleFormat::Int => reader
            .samples::<i32>()
            .map(|sample| sample.map(|value| to_16(value, u32::from(spec.bits_per_sample))))
            .collect(),
        hound::SampleFormat::Float => reader
            .samples::<f32>()
            .map(|sample| sample.map(|value| (value * 32_767.0) as i16))
            .collect(),
    };
    Ok((
        samples.map_err(broken)?,
        usize::from(spec.channels),
        spec.sample_rate,
    ))
}

fn to_16(sample: i32, bits: u32) -> i16 {
    let value = if bits > 16 {
        sample >> (bits - 16).min(16)
    } else {
        sample << (16 - bits.clamp(1, 16))
    };
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

fn mix_down(samples: Vec<i16>, channels: usize) -> Vec<i16> {
    if channels <= 1 {
        return samples;
    }
    samples.chunks_exact(channels).map(mean).collect()
}

fn mean(samples: &[i16]) -> i16 {
    let sum: i32 = samples.iter().map(|sample| i32::from(*sample)).sum();
    (sum / samples.len().max(1) as i32) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(spec: hound::WavSpec, samples: impl IntoIterator<Item = i32>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("writer");
        for sample in samples {
            match spec.sample_format {
                hound::SampleFormat::Int => writer.write_sample(sample).expect("writes"),
                hound::SampleFormat::Float => writer
                    .write_sample(sample as f32 / 32_768.0)
                    .expect("writes"),
            }
        }
        writer.finalize().expect("finishes");
        bytes.into_inner()
    }

    fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16) -> hound::WavSpec {
        hound::WavSpec {
            channels,
            sample_rate,
            bits_per_sample,
            sample_format: if bits_per_sample == 32 {
                hound::SampleFormat::Float
            } else {
                hound::SampleFormat::Int
            },
        }
    }

    #[test]
    fn eight_kilohertz_mono_comes_through_unchanged() {
        let samples = [0, 1, -1, 32_767, -32_768];
        let decoded = decode(&wav(spec(1, 8_000, 16), samples)).expect("decodes");
        assert_eq!(
            decoded.iter().map(|s| i32::from(*s)).collect::<Vec<_>>(),
            samples
        );
    }

    #[test]
    fn depth_and_channels_are_brought_to_one() {
        let decoded = decode(&wav(spec(1, 8_000, 24), [1000 << 8, -1000 * 256])).expect("decodes");
        assert_eq!(decoded, [1000, -1000]);
        let decoded = decode(&wav(spec(2, 8_000, 16), [1000, 3000, -2, -4])).expect("decodes");
        assert_eq!(decoded, [2000, -3]);
        let decoded = decode(&wav(spec(1, 8_000, 32), [16_384])).expect("decodes");
        assert!((decoded[0] - 16_384).abs() <= 1);
    }

    #[test]
    fn rates_are_brought_to_eight_kilohertz() {
        for (rate, count) in [
            (16_000, 800),
            (48_000, 2_400),
            (44_100, 2_205),
            (11_025, 551),
            (6_000, 300),
        ] {
            let decoded = decode(&wav(spec(1, rate, 16), vec![700; count])).expect("decodes");
            let expected = count * 8_000 / rate as usize;
            assert!(
                decoded.len().abs_diff(expected) <= 1,
                "{rate}: {}",
                decoded.len()
            );
            // but for the edges, where the sound begins and ends
            let middle = &decoded[100..decoded.len() - 100];
            assert!(middle.iter().all(|sample| *sample == 700), "{rate}");
        }
        let odd = decode(&wav(spec(1, 22_049, 16), vec![700; 2_205])).expect("decodes");
        assert_eq!(odd.len(), 800);
        let absurd = decode(&wav(spec(1, 1_000_000_007, 16), [1]));
        assert!(matches!(absurd, Err(SoundError::Broken(_))));
    }

    #[test]
    fn what_cannot_be_played_is_named() {
        assert!(matches!(decode(b""), Err(SoundError::Unknown)));
        assert!(matches!(decode(b"OggSxxxx"), Err(SoundError::Unknown)));
        assert!(matches!(decode(b"fLaCxxxxxx"), Err(SoundError::Broken(_))));
        assert!(matches!(decode(b"RIFFxxxxxx"), Err(SoundError::Broken(_))));
        assert!(matches!(
            decode(&wav(spec(1, 8_000, 16), [])),
            Err(SoundError::Empty)
        ));
    }

    #[test]
    fn shipped_prompt_decodes_to_speech() {
        let decoded = decode(include_bytes!("../../prompts/en/welcome.flac")).expect("decodes");
        assert!(decoded.len() > 4_000);
        assert!(decoded.iter().any(|sample| sample.abs() > 3_000));
    }
}
