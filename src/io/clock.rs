//! The one place that reads clocks: once per batch of inputs.

use std::time::{Instant as Reading, SystemTime, UNIX_EPOCH};

use crate::base::{Instant, Now, WallTime};

/// The process's clock. Copies share their origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Reading,
}

impl Clock {
    /// A clock whose monotonic origin is now.
    pub fn start() -> Self {
        Clock {
            origin: Reading::now(),
        }
    }

    /// Both clocks, read now.
    pub fn now(&self) -> Now {
        let nanos = self.origin.elapsed().as_nanos();
        let mono = Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        // A wall clock before 1970 is as wrong as one at 1970.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        Now {
            mono,
            wall: WallTime::from_micros(micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back_and_the_wall_is_of_this_century() {
        let clock = Clock::start();
        let (a, b) = (clock.now(), clock.now());
        assert!(b.mono >= a.mono);
        assert!(a.wall.as_secs() > 1_700_000_000);
    }
}
