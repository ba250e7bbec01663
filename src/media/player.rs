//! Turns decoded sound into frames of 20 ms.

use std::sync::Arc;

/// The rate of what is played, in hertz.
pub const RATE_HZ: u32 = 8_000;
/// Length of a frame in milliseconds.
pub const FRAME_MS: u32 = 20;
/// Samples in a frame.
pub const FRAME_SAMPLES: usize = (RATE_HZ * FRAME_MS / 1_000) as usize;

/// Plays clips one after the other.
#[derive(Debug)]
pub struct Player {
    clips: Vec<Arc<[i16]>>,
    clip: usize,
    sample: usize,
    repeat: bool,
}

impl Player {
    /// A player of clips of 8 kHz mono. Clips without samples are left out; `None` when there are no others.
    pub fn new(clips: Vec<Arc<[i16]>>, repeat: bool) -> Option<Player> {
        let clips: Vec<_> = clips.into_iter().filter(|clip| !clip.is_empty()).collect();
        (!clips.is_empty()).then_some(Player {
            clips,
            clip: 0,
            sample: 0,
            repeat,
        })
    }

    /// Writes the next frame. The last one is filled up with silence. False when there is no more.
    pub fn next_frame(&mut self, frame: &mut [i16; FRAME_SAMPLES]) -> bool {
        let mut filled = 0;
        while filled < FRAME_SAMPLES {
            let Some(clip) = self.clips.get(self.clip) else {
                break;
            };
            let rest = clip.get(self.sample..).unwrap_or_default();
            let count = rest.len().min(FRAME_SAMPLES - filled);
            frame[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            self.sample += count;
            if self.sample >= clip.len() {
                self.sample = 0;
                self.clip += 1;
                if self.repeat && self.clip == self.clips.len() {
                    self.clip = 0;
                }
            }
        }
        frame[filled..].fill(0);
        filled > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(value: i16, samples: usize) -> Arc<[i16]> {
        vec![value; samples].into()
    }

    fn frames(player: &mut Player, limit: usize) -> Vec<[i16; FRAME_SAMPLES]> {
        let mut frame = [0; FRAME_SAMPLES];
        (0..limit)
            .map_while(|_| player.next_frame(&mut frame).then_some(frame))
            .collect()
    }

    #[test]
    fn clips_follow_each_other_without_gap_and_end_in_silence() {
        let mut player =
            Player::new(vec![clip(1000, 200), clip(-1000, 140)], false).expect("plays");
        let frames = frames(&mut player, 10);
        assert_eq!(frames.len(), 3);
        let words = frames.concat();
        assert!(words[..200].iter().all(|word| *word == 1000));
        assert!(words[200..340].iter().all(|word| *word == -1000));
        assert!(words[340..].iter().all(|word| *word == 0));
    }

    #[test]
    fn repeated_clip_never_ends_and_has_no_seam() {
        let mut player = Player::new(vec![clip(500, 250)], true).expect("plays");
        let words = frames(&mut player, 100).concat();
        assert_eq!(words.len(), 16_000);
        assert!(words.iter().all(|word| *word == 500));
    }

    #[test]
    fn nothing_to_play_is_no_player() {
        assert!(Player::new(vec![], true).is_none());
        assert!(Player::new(vec![clip(0, 0)], true).is_none());
    }
}
