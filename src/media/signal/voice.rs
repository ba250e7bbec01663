//! Tells speech from background: energy against a floor that follows the background, with a hang-over behind words.

/// Below this root mean square nothing is speech: about −55 dB of full scale, a quiet line (guess).
const QUIET: f32 = 60.0;
/// Speech is this much above the floor: 9 dB.
const ABOVE: f32 = 2.8;
/// Milliseconds after speech that still count as speech: the ends of words are soft (usual in GSM's detectors).
const HANGOVER_MS: u32 = 200;
/// How much the floor rises in a second under a sound that stays: 6 dB, so that a fan becomes background in a few seconds.
const RISE_PER_SECOND: f32 = 2.0;

/// The detector of one stream.
#[derive(Clone, Copy, Debug)]
pub struct VoiceActivity {
    floor: f32,
    hangover_ms: u32,
    level: f32,
}

impl Default for VoiceActivity {
    fn default() -> Self {
        VoiceActivity {
            floor: QUIET,
            hangover_ms: 0,
            level: 0.0,
        }
    }
}

impl VoiceActivity {
    /// True when a frame of 5–60 ms is speech.
    pub fn judge(&mut self, frame: &[i16], rate_hz: u32) -> bool {
        if frame.is_empty() {
            return self.hangover_ms > 0;
        }
        let energy: f32 = frame.iter().map(|s| f32::from(*s) * f32::from(*s)).sum();
        let rms = (energy / frame.len() as f32).sqrt();
        let ms = (frame.len() as u64 * 1_000 / u64::from(rate_hz.max(1))) as u32;
        // the loudness by which speakers are compared: quick to rise, slow to fall
        let share = if rms > self.level { 0.4 } else { 0.05 };
        self.level += (rms - self.level) * share;
        if rms > QUIET.max(self.floor * ABOVE) {
            self.hangover_ms = HANGOVER_MS;
        } else {
            self.hangover_ms = self.hangover_ms.saturating_sub(ms);
        }
        self.floor = if rms < self.floor {
            rms
        } else {
            let rise = RISE_PER_SECOND.powf(ms as f32 / 1_000.0);
            (self.floor.max(1.0) * rise).min(rms)
        };
        self.hangover_ms > 0
    }

    /// What was judged last.
    pub fn is_speech(&self) -> bool {
        self.hangover_ms > 0
    }

    /// How loud it is of late, as root mean square.
    pub fn level(&self) -> f32 {
        self.level
    }

    /// The background's root mean square.
    pub fn floor(&self) -> f32 {
        self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::ComfortNoise;
    use crate::media::signal::tone::sine;

    fn frames(samples: &[i16]) -> impl Iterator<Item = &[i16]> {
        samples.chunks(160)
    }

    #[test]
    fn words_are_speech_and_the_room_is_not() {
        let mut room = Vec::new();
        ComfortNoise::white(50).sound(16_000, &mut room);
        let mut voice = VoiceActivity::default();
        frames(&room).for_each(|frame| {
            voice.judge(frame, 8_000);
        });
        let quiet = frames(&room).filter(|f| voice.judge(f, 8_000)).count();
        assert_eq!(quiet, 0);
        let word = sine(8_000, 300.0, 4_000.0, 3_200);
        assert!(frames(&word).all(|frame| voice.judge(frame, 8_000)));
        assert!(voice.level() > 2_000.0);
        // the hang-over: ten frames, then it is over
        let after: Vec<bool> = frames(&room).map(|f| voice.judge(f, 8_000)).collect();
        assert_eq!(after.iter().filter(|speech| **speech).count(), 9);
        assert!(!after[20]);
    }

    #[test]
    fn noise_that_stays_becomes_background() {
        let mut fan = Vec::new();
        ComfortNoise::white(30).sound(8_000 * 8, &mut fan);
        let mut voice = VoiceActivity::default();
        let judged: Vec<bool> = frames(&fan).map(|f| voice.judge(f, 8_000)).collect();
        assert!(judged[0], "at first it might be speech");
        assert!(judged[350..].iter().all(|speech| !speech));
    }
}
