//! A change of level that does not click: it glides to its new value within a frame.

/// One is 65,536.
const ONE: i32 = 1 << 16;

/// A gain of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Gain {
    wanted: i32,
    now: i32,
}

impl Default for Gain {
    fn default() -> Self {
        Gain {
            wanted: ONE,
            now: ONE,
        }
    }
}

impl Gain {
    /// In decibels, held between −60 and +20.
    pub fn of_db(db: f32) -> Gain {
        let wanted = (10f32.powf(db.clamp(-60.0, 20.0) / 20.0) * ONE as f32) as i32;
        Gain {
            wanted,
            now: wanted,
        }
    }

    /// A new value, reached with the next frame's end.
    pub fn set_db(&mut self, db: f32) {
        self.wanted = Gain::of_db(db).wanted;
    }

    /// True when it changes nothing.
    pub fn is_unity(&self) -> bool {
        self.now == ONE && self.wanted == ONE
    }

    /// Changes a frame.
    pub fn apply(&mut self, samples: &mut [i16]) {
        if self.is_unity() || samples.is_empty() {
            return;
        }
        let change = i64::from(self.wanted - self.now);
        let count = samples.len() as i64;
        for (n, sample) in samples.iter_mut().enumerate() {
            let gain = i64::from(self.now) + change * (n as i64 + 1) / count;
            let louder = (i64::from(*sample) * gain) >> 16;
            *sample = louder.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
        }
        self.now = self.wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::signal::tone::{rms, sine};

    #[test]
    fn decibels_are_decibels() {
        for db in [-20.0f32, -6.0, 0.0, 6.0] {
            let mut samples = sine(8_000, 500.0, 8_000.0, 800);
            let before = rms(&samples);
            Gain::of_db(db).apply(&mut samples);
            let change = 20.0 * (rms(&samples) / before).log10();
            assert!((change - f64::from(db)).abs() < 0.05, "{db}: {change}");
        }
    }

    #[test]
    fn change_glides_and_overload_clips() {
        let mut gain = Gain::default();
        gain.set_db(-60.0);
        let mut samples = [10_000i16; 160];
        gain.apply(&mut samples);
        assert!(
            samples
                .windows(2)
                .all(|pair| (pair[0] - pair[1]).abs() < 70)
        );
        assert!(samples[159].abs() < 20);
        let mut loud = [30_000i16, -30_000];
        Gain::of_db(20.0).apply(&mut loud);
        assert_eq!(loud, [i16::MAX, i16::MIN]);
    }
}
