//! Fills what was lost in speech by repeating its last pitch period, as G.711 Appendix I does, at any rate.
//!
//! The first lost 10 ms repeat one period, the next two, then three, so that a long gap does not buzz; after 10 ms it fades by a fifth
//! each 10 ms, and after 60 ms it is silent. What comes after the gap is faded in over the continued repetition. Unlike the
//! appendix nothing is delayed for the fade into the gap: repetition a whole period back needs none.

/// Milliseconds of the past that are kept: the longest pitch thrice, and a window to find it in.
const HISTORY_MS: usize = 70;
/// Pitch of human voices that is looked for: 66 to 200 Hz (G.711 Appendix I).
const PITCH_MIN_HZ: usize = 66;
const PITCH_MAX_HZ: usize = 200;
/// Milliseconds that are compared with the past.
const WINDOW_MS: usize = 20;
/// Lost milliseconds without fading, and after which all is silent.
const FULL_MS: usize = 10;
const SILENT_MS: usize = 60;
/// Longest fade into what comes after the gap.
const FADE_MS_MAX: usize = 10;

/// The concealment of one stream.
#[derive(Clone, Debug)]
pub struct Concealer {
    rate_hz: usize,
    history: Vec<i16>,
    pitch: usize,
    /// The repeated part, with its seam smoothed.
    template: Vec<f32>,
    at: usize,
    /// Samples lost in a row so far.
    lost: usize,
}

impl Concealer {
    /// For a stream of this rate.
    pub fn new(rate_hz: u32) -> Concealer {
        let rate_hz = rate_hz as usize;
        Concealer {
            rate_hz,
            history: vec![0; ms(rate_hz, HISTORY_MS)],
            pitch: 0,
            template: Vec::new(),
            at: 0,
            lost: 0,
        }
    }

    /// Good samples: remembered, and faded in when something was lost before them.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if self.lost > 0 {
            // 4 ms, and 4 more for each 10 that were lost (G.711 Appendix I, 2.7)
            let fade = ms(self.rate_hz, 4) + self.lost * 4 / 10;
            let fade = fade.min(ms(self.rate_hz, FADE_MS_MAX)).min(samples.len());
            for (n, sample) in samples.iter_mut().take(fade).enumerate() {
                let share = (n + 1) as f32 / (fade + 1) as f32;
                let old = self.next();
                *sample = (f32::from(*sample) * share + old * (1.0 - share)) as i16;
            }
            self.lost = 0;
        }
        self.remember(samples);
    }

    /// Appends `samples` in the place of what was lost.
    pub fn lost(&mut self, samples: usize, out: &mut Vec<i16>) {
        if self.lost == 0 {
            self.find_pitch();
            self.take_template(1);
        }
        // what is made does not become part of the past: the next pitch is looked for in what was said
        out.extend((0..samples).map(|_| self.next() as i16));
    }

    /// The next sample of the repetition.
    fn next(&mut self) -> f32 {
        let step = ms(self.rate_hz, 10);
        if self.lost == step || self.lost == 2 * step {
            // more periods, begun at the same place within the first
            let phase = self.at;
            self.take_template(self.lost / step + 1);
            self.at = phase % self.template.len().max(1);
        }
        let gain = self.gain();
        self.lost += 1;
        let Some(sample) = self.template.get(self.at) else {
            return 0.0;
        };
        self.at = (self.at + 1) % self.template.len();
        sample * gain
    }

    fn gain(&self) -> f32 {
        let full = ms(self.rate_hz, FULL_MS);
        let silent = ms(self.rate_hz, SILENT_MS);
        let faded = self.lost.saturating_sub(full) as f32 / (silent - full) as f32;
        (1.0 - faded).max(0.0)
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.history.len();
        let new = samples.get(samples.len().saturating_sub(length)..);
        let new = new.unwrap_or_default();
        self.history.copy_within(new.len().., 0);
        let from = length - new.len();
        if let Some(place) = self.history.get_mut(from..) {
            place.copy_from_slice(new);
        }
    }

    /// The lag at which the end of the past is most like what was before it (normalised cross-correlation).
    fn find_pitch(&mut self) {
        let shortest = self.rate_hz / PITCH_MAX_HZ;
        let longest = self.rate_hz / PITCH_MIN_HZ;
        // looked for in steps of 8 kHz first, then exactly around the best
        let step = (self.rate_hz / 8_000).max(1);
        let rough = self.best_lag((shortest..=longest).step_by(step), step);
        let near = rough.saturating_sub(step).max(shortest)..=(rough + step).min(longest);
        self.pitch = self.best_lag(near, 1);
    }

    fn best_lag(&self, lags: impl Iterator<Item = usize>, step: usize) -> usize {
        let window = ms(self.rate_hz, WINDOW_MS);
        let end = self.history.len();
        let recent = self.history.get(end - window..).unwrap_or_default();
        let mut best = (f32::MIN, self.rate_hz / PITCH_MAX_HZ);
        for lag in lags {
            let before = self.history.get(end - window - lag..end - lag);
            let (mut product, mut energy) = (0f32, 1f32);
            let pairs = recent.iter().zip(before.unwrap_or_default());
            for (now, then) in pairs.step_by(step) {
                product += f32::from(*now) * f32::from(*then);
                energy += f32::from(*then) * f32::from(*then);
            }
            let likeness = product / energy.sqrt();
            if likeness > best.0 {
                best = (likeness, lag);
            }
        }
        best.1
    }

    /// The last `periods` periods, their end overlapped with what was before their beginning so that repeating has no seam.
    fn take_template(&mut self, periods: usize) {
        let end = self.history.len();
        let length = (self.pitch * periods).min(end / 2);
        let overlap = (self.pitch / 4).min(end - length);
        let last = self.history.get(end - length..).unwrap_or_default();
        self.template = last.iter().map(|sample| f32::from(*sample)).collect();
        let before = self.history.get(end - length - overlap..end - length);
        let before = before.unwrap_or_default();
        let tail = self.template.iter_mut().skip(length - overlap);
        for (n, (sample, earlier)) in tail.zip(before).enumerate() {
            let share = (n + 1) as f32 / (overlap + 1) as f32;
            *sample = *sample * (1.0 - share) + f32::from(*earlier) * share;
        }
        self.at = 0;
    }
}

const fn ms(rate_hz: usize, ms: usize) -> usize {
    rate_hz * ms / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::signal::tone::{power_at, rms, sine};

    /// A vowel: the first harmonics of a voice.
    fn vowel(rate_hz: u32, pitch_hz: f64, samples: usize) -> Vec<i16> {
        let parts: Vec<Vec<i16>> = (1..=6)
            .map(|n| {
                sine(
                    rate_hz,
                    pitch_hz * f64::from(n),
                    4_000.0 / f64::from(n),
                    samples,
                )
            })
            .collect();
        (0..samples)
            .map(|n| parts.iter().map(|part| part[n]).sum())
            .collect()
    }

    fn signal_to_error_db(wanted: &[i16], got: &[i16]) -> f64 {
        let error: Vec<i16> = wanted.iter().zip(got).map(|(a, b)| a - b).collect();
        20.0 * (rms(wanted) / rms(&error).max(1e-3)).log10()
    }

    #[test]
    fn lost_10_ms_of_a_vowel_are_nearly_what_was_said() {
        for rate_hz in [8_000u32, 16_000] {
            for pitch in [85.0, 110.0, 173.0] {
                let step = rate_hz as usize / 100;
                let said = vowel(rate_hz, pitch, 20 * step);
                let mut concealer = Concealer::new(rate_hz);
                concealer.heard(&mut said[..15 * step].to_vec());
                let mut made = Vec::new();
                concealer.lost(step, &mut made);
                let db = signal_to_error_db(&said[15 * step..16 * step], &made);
                assert!(db > 12.0, "{rate_hz} Hz, voice of {pitch} Hz: {db:.1} dB");
            }
        }
    }

    #[test]
    fn there_is_no_click_into_the_gap_nor_out_of_it() {
        let said = vowel(8_000, 120.0, 3_200);
        let steepest = |samples: &[i16]| {
            let steps = samples.windows(2).map(|pair| (pair[1] - pair[0]).abs());
            steps.max().expect("samples")
        };
        let usual = steepest(&said);
        for lost in [80, 160, 320, 480] {
            let mut concealer = Concealer::new(8_000);
            let mut heard = said[..1_600].to_vec();
            concealer.heard(&mut heard);
            concealer.lost(lost, &mut heard);
            let mut rest = said[1_600 + lost..].to_vec();
            concealer.heard(&mut rest);
            heard.extend(rest);
            assert_eq!(heard.len(), said.len());
            assert!(steepest(&heard) < usual * 2, "{lost}: {}", steepest(&heard));
            assert_eq!(heard[1_800 + lost..], said[1_800 + lost..]);
        }
    }

    #[test]
    fn long_gap_fades_to_silence_in_60_ms() {
        let mut concealer = Concealer::new(8_000);
        concealer.heard(&mut vowel(8_000, 120.0, 1_600));
        let mut made = Vec::new();
        for _ in 0..10 {
            concealer.lost(160, &mut made);
        }
        assert!(power_at(&made[..80], 8_000, 120.0) > 0.3);
        assert!(rms(&made[..80]) > 2_000.0);
        let levels: Vec<f64> = made.chunks(160).map(rms).collect();
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0]));
        assert!(made[480..].iter().all(|sample| *sample == 0));
    }

    #[test]
    fn nothing_said_before_is_nothing_repeated() {
        let mut concealer = Concealer::new(16_000);
        let mut made = Vec::new();
        concealer.lost(320, &mut made);
        assert_eq!(made, vec![0; 320]);
    }
}
