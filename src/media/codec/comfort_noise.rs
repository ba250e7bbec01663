//! Comfort noise (RFC 3389): what a pause sounds like, in a level and a spectrum of a few coefficients.

/// Coefficients that are read; more make no audible difference (RFC 3389 §4 leaves the order to the sender).
const ORDER_MAX: usize = 10;

/// A description of background noise, and the noise itself.
#[derive(Clone, Debug)]
pub struct ComfortNoise {
    /// Root mean square of the noise, on the scale of 16-bit samples.
    level: f32,
    /// Reflection coefficients of the spectrum.
    reflections: Vec<f32>,
    lattice: Vec<f32>,
    /// Makes the noise white again after the filter raised its power.
    correction: f32,
    noise: u32,
}

impl ComfortNoise {
    /// Reads a payload: the level below overload in decibels, then the coefficients (RFC 3389 §3).
    pub fn parse(payload: &[u8]) -> Option<ComfortNoise> {
        let (level, coefficients) = payload.split_first()?;
        let reflections = coefficients
            .iter()
            .take(ORDER_MAX)
            .map(|byte| (f32::from(*byte) - 127.0) / 128.0)
            .collect();
        Some(ComfortNoise::new(level & 0x7f, reflections))
    }

    /// White noise of this level: `0` is overload (a square wave of full scale), 127 is silence; 60–75 are quiet rooms.
    pub fn white(level_below_overload_db: u8) -> ComfortNoise {
        ComfortNoise::new(level_below_overload_db & 0x7f, Vec::new())
    }

    fn new(level: u8, reflections: Vec<f32>) -> ComfortNoise {
        let gain: f32 = reflections.iter().map(|k| 1.0 - k * k).product();
        ComfortNoise {
            level: if level == 127 {
                0.0
            } else {
                32_767.0 * 10f32.powf(-f32::from(level) / 20.0)
            },
            lattice: vec![0.0; reflections.len() + 1],
            correction: gain.max(0.0).sqrt(),
            reflections,
            noise: 0x9e37_79b9,
        }
    }

    /// The payload that says it.
    pub fn payload(&self, out: &mut Vec<u8>) {
        let level = if self.level < 1.0 {
            127
        } else {
            (-20.0 * (self.level / 32_767.0).log10())
                .round()
                .clamp(0.0, 127.0) as u8
        };
        out.push(level);
        out.extend(
            self.reflections
                .iter()
                .map(|k| (k * 128.0 + 127.0).round() as u8),
        );
    }

    /// Appends noise.
    pub fn sound(&mut self, samples: usize, out: &mut Vec<i16>) {
        out.extend((0..samples).map(|_| self.next()));
    }

    fn next(&mut self) -> i16 {
        // noise needs no secret: a generator of Marsaglia's (xorshift, 2003), flat over 32 bits; times the square root of 3 its power is 1
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 17;
        self.noise ^= self.noise << 5;
        let white = (self.noise as i32) as f32 / 2_147_483_648.0 * 1.732;
        // the all-pole lattice: each stage adds what the last sample left in it
        let mut forward = white * self.correction;
        for stage in (0..self.reflections.len()).rev() {
            let k = self.reflections[stage];
            forward -= k * self.lattice[stage];
            self.lattice[stage + 1] = self.lattice[stage] + k * forward;
        }
        self.lattice[0] = forward;
        (forward * self.level) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(samples: &[i16]) -> f64 {
        let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        (energy / samples.len() as f64).sqrt()
    }

    fn heard(mut noise: ComfortNoise) -> Vec<i16> {
        let mut out = Vec::new();
        noise.sound(80_000, &mut out);
        out
    }

    #[test]
    fn level_is_decibels_below_overload() {
        for level in [20u8, 40, 60] {
            let expected = 32_767.0 * 10f64.powf(-f64::from(level) / 20.0);
            let made = rms(&heard(ComfortNoise::white(level)));
            assert!((made / expected - 1.0).abs() < 0.03, "{level}: {made}");
        }
        assert!(heard(ComfortNoise::white(127)).iter().all(|s| *s == 0));
    }

    #[test]
    fn spectrum_colours_the_noise_and_keeps_its_power() {
        // one coefficient makes x[n] = e[n] - k x[n-1]; neighbours then correlate by -k
        let noise = ComfortNoise::parse(&[30, 127 + 64]).expect("a payload");
        let samples = heard(noise);
        let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        let lagged: f64 = samples
            .windows(2)
            .map(|pair| f64::from(pair[0]) * f64::from(pair[1]))
            .sum();
        assert!((lagged / energy + 0.5).abs() < 0.02, "{}", lagged / energy);
        let expected = 32_767.0 * 10f64.powf(-1.5);
        assert!((rms(&samples) / expected - 1.0).abs() < 0.05);
    }

    #[test]
    fn every_payload_is_read_and_loud_ones_stay_within_16_bits() {
        assert!(ComfortNoise::parse(&[]).is_none());
        for byte in 0..=255u8 {
            let mut noise = ComfortNoise::parse(&[byte; 14]).expect("a payload");
            let mut out = Vec::new();
            noise.sound(2_000, &mut out);
            assert_eq!(out.len(), 2_000);
        }
        let mut bytes = Vec::new();
        ComfortNoise::parse(&[64, 100, 200])
            .expect("a payload")
            .payload(&mut bytes);
        assert_eq!(bytes, [64, 100, 200]);
    }
}
