//! Tones: made, and found by Goertzel's algorithm.

use std::f64::consts::TAU;

/// A sine of `hz` with this amplitude.
pub fn sine(rate_hz: u32, hz: f64, amplitude: f64, samples: usize) -> Vec<i16> {
    sine_from(rate_hz, hz, amplitude, 0, samples)
}

/// The same, `first` samples after its beginning.
pub fn sine_from(rate_hz: u32, hz: f64, amplitude: f64, first: u64, samples: usize) -> Vec<i16> {
    (first..first + samples as u64)
        .map(|n| ((TAU * hz * n as f64 / f64::from(rate_hz)).sin() * amplitude).round() as i16)
        .collect()
}

/// The share of the power of `samples` that a tone of `hz` has: 1 for that tone alone, 0 for silence.
pub fn power_at(samples: &[i16], rate_hz: u32, hz: f64) -> f64 {
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    if energy == 0.0 {
        return 0.0;
    }
    goertzel(samples, rate_hz, hz) / energy
}

/// Amplitude of the component at `hz`.
pub fn amplitude_at(samples: &[i16], rate_hz: u32, hz: f64) -> f64 {
    (goertzel(samples, rate_hz, hz) * 2.0 / samples.len().max(1) as f64).sqrt()
}

/// Energy of the component at `hz`: the sum of the squares of a pure tone.
pub fn goertzel(samples: &[i16], rate_hz: u32, hz: f64) -> f64 {
    let turn = 2.0 * (TAU * hz / f64::from(rate_hz)).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        (one, two) = (f64::from(*sample) + turn * one - two, one);
    }
    (one * one + two * two - turn * one * two) * 2.0 / samples.len().max(1) as f64
}

/// Root mean square.
pub fn rms(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    (energy / samples.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tone_is_found_where_it_is_and_nowhere_else() {
        let tone = sine(8_000, 1_000.0, 10_000.0, 800);
        assert!((power_at(&tone, 8_000, 1_000.0) - 1.0).abs() < 1e-3);
        assert!(power_at(&tone, 8_000, 1_200.0) < 1e-3);
        assert!((amplitude_at(&tone, 8_000, 1_000.0) - 10_000.0).abs() < 5.0);
        assert!((rms(&tone) - 7_071.0).abs() < 5.0);
        assert_eq!(power_at(&[0; 10], 8_000, 1_000.0), 0.0);
    }

    #[test]
    fn parts_of_a_tone_have_no_seam() {
        let whole = sine(8_000, 437.0, 9_000.0, 320);
        let parts = [
            sine_from(8_000, 437.0, 9_000.0, 0, 160),
            sine_from(8_000, 437.0, 9_000.0, 160, 160),
        ];
        assert_eq!(whole, parts.concat());
    }
}
