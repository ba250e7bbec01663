//! How far the shard is behind: whether its queues have stood, without ever being empty, for longer than anybody should wait.
//!
//! What waits cannot be seen in the kernel, but a queue that a whole batch did not empty is a standing one, and whatever is in it
//! has waited for at most as long as it stands. Batches that the guard mostly threw away do not count: a flood that costs little is
//! no reason to send phones away.

use std::time::Duration;

use crate::base::Instant;
use crate::switch::LoadLevel;

/// A queue that stands for so long: registrations and the like come later (guess: well below the 500 ms after which senders repeat).
const HIGH_AFTER: Duration = Duration::from_millis(250);
/// And for so long: new calls as well (guess: a second after the first measure did not help).
const SEVERE_AFTER: Duration = Duration::from_millis(1_250);
/// How long a level holds after the queue was last seen to stand, so that it does not flutter.
const HOLD: Duration = Duration::from_secs(1);

/// Watches the turns of a shard.
#[derive(Default)]
pub struct LoadGauge {
    /// Since when every batch was full.
    standing_since: Option<Instant>,
    /// When it was last bad enough for the level.
    bad_at: Instant,
    level: LoadLevel,
}

impl LoadGauge {
    /// A turn that began at `began` is over at `now`. `full`: something is still waiting. Gives the level when it changed.
    pub fn turn(&mut self, began: Instant, now: Instant, full: bool) -> Option<LoadLevel> {
        if full {
            self.standing_since.get_or_insert(began);
        } else {
            self.standing_since = None;
        }
        let stands = self.standing_since.map_or(Duration::ZERO, |at| now - at);
        let level = if stands >= SEVERE_AFTER {
            LoadLevel::Severe
        } else if stands >= HIGH_AFTER {
            LoadLevel::High
        } else {
            LoadLevel::Easy
        };
        if level >= self.level {
            self.bad_at = now;
        } else if now - self.bad_at < HOLD {
            return None;
        }
        (level != std::mem::replace(&mut self.level, level)).then_some(level)
    }

    /// When to look again although nothing came: a level must end also when everybody is gone.
    pub fn looks_again(&self) -> Option<Instant> {
        (self.level != LoadLevel::Easy).then(|| self.bad_at + HOLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(100) + Duration::from_millis(millis)
    }

    #[test]
    fn only_a_standing_queue_is_overload() {
        let mut gauge = LoadGauge::default();
        for millis in 0..10_000 {
            // busy all the time, but every hundredth batch empties the queue
            let full = millis % 100 != 0;
            assert_eq!(gauge.turn(at(millis), at(millis + 1), full), None);
        }
        assert_eq!(gauge.looks_again(), None);
    }

    #[test]
    fn levels_rise_with_the_time_that_the_queue_stands_and_hold_for_a_second() {
        let mut gauge = LoadGauge::default();
        let mut changes = Vec::new();
        for millis in 0..2_000 {
            if let Some(level) = gauge.turn(at(millis), at(millis + 1), true) {
                changes.push((millis + 1, level));
            }
        }
        assert_eq!(
            changes,
            [(250, LoadLevel::High), (1_250, LoadLevel::Severe)]
        );
        assert_eq!(gauge.turn(at(2_500), at(2_501), false), None);
        assert_eq!(gauge.looks_again(), Some(at(3_000)));
        assert_eq!(
            gauge.turn(at(3_000), at(3_000), false),
            Some(LoadLevel::Easy)
        );
        assert_eq!(gauge.looks_again(), None);
    }
}
