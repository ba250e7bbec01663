//! The cap on new calls a second: never more than so many within any second, which is what carriers police.

use std::collections::VecDeque;

use crate::base::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// The starts of the last second.
#[derive(Default, Debug)]
pub(super) struct Starts {
    at: VecDeque<Instant>,
}

impl Starts {
    /// Takes a start; otherwise when the next one may be.
    pub fn take(&mut self, now: Instant, most: Option<u32>) -> Result<(), Instant> {
        let Some(most) = most else {
            return Ok(());
        };
        match self.free_at(now, most) {
            Some(at) => Err(at),
            None => {
                self.at.push_back(now);
                Ok(())
            }
        }
    }

    /// When the next start may be, if that is not now.
    pub fn free_at(&mut self, now: Instant, most: u32) -> Option<Instant> {
        while self.at.front().is_some_and(|&at| now.since(at) >= SECOND) {
            self.at.pop_front();
        }
        if self.at.len() < most as usize {
            return None;
        }
        // after a cap was lowered several starts must pass
        let excess = self.at.len() - most as usize;
        self.at.get(excess).map(|&at| at + SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn no_second_has_more_starts_than_the_cap() {
        let mut starts = Starts::default();
        let mut taken: Vec<Instant> = Vec::new();
        for millis in (0..5_000).step_by(7) {
            if starts.take(at(millis), Some(10)).is_ok() {
                taken.push(at(millis));
            }
        }
        assert!(taken.len() >= 45, "{}", taken.len());
        for &start in &taken {
            let within = taken
                .iter()
                .filter(|&&other| other >= start && other.since(start) < SECOND);
            assert!(within.count() <= 10);
        }
    }

    #[test]
    fn whoever_is_refused_hears_when_to_come_again() {
        let mut starts = Starts::default();
        assert_eq!(starts.take(at(0), Some(2)), Ok(()));
        assert_eq!(starts.take(at(300), Some(2)), Ok(()));
        assert_eq!(starts.take(at(400), Some(2)), Err(at(1000)));
        assert_eq!(starts.take(at(1000), Some(2)), Ok(()));
        assert_eq!(starts.take(at(1000), Some(1)), Err(at(2000)));
        assert_eq!(starts.take(at(1100), None), Ok(()));
    }
}
