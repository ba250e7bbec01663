//! `least-occupied`: the lowest share of talk and wrap-up in the time worked of the last eight hours.

use crate::base::{Duration, Instant};

const HOUR_NANOS: u64 = 3_600_000_000_000;
const HOURS: usize = 8;

/// Busy and free time of the last eight hours, in whole hours of the monotonic clock.
#[derive(Clone, Default)]
pub(in crate::acd) struct Window {
    /// Hour number, busy and free nanoseconds.
    hours: [(u64, u64, u64); HOURS],
}

impl Window {
    /// Adds the time from `from` to `to`.
    pub(in crate::acd) fn add(&mut self, from: Instant, to: Instant, busy: bool) {
        let (mut at, end) = (from.as_nanos(), to.as_nanos());
        let oldest = (end / HOUR_NANOS).saturating_sub(HOURS as u64 - 1) * HOUR_NANOS;
        at = at.max(oldest);
        while at < end {
            let hour = at / HOUR_NANOS;
            let upto = end.min((hour + 1) * HOUR_NANOS);
            let Some(slot) = self.hours.get_mut((hour % HOURS as u64) as usize) else {
                return;
            };
            if slot.0 != hour {
                *slot = (hour, 0, 0);
            }
            if busy {
                slot.1 += upto - at;
            } else {
                slot.2 += upto - at;
            }
            at = upto;
        }
    }

    /// Busy share in millionths at `now`, with `running` free time that has not been added yet. Nobody's time is no occupancy.
    pub(in crate::acd) fn occupancy(&self, now: Instant, running: Duration) -> i64 {
        let hour = now.as_nanos() / HOUR_NANOS;
        let (mut busy, mut free) = (0u128, running.as_nanos());
        for (of, b, f) in self.hours {
            if of + HOURS as u64 > hour {
                busy += u128::from(b);
                free += u128::from(f);
            }
        }
        if busy == 0 {
            return 0;
        }
        i64::try_from(busy * 1_000_000 / (busy + free)).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minute: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(minute * 60)
    }

    #[test]
    fn occupancy_is_busy_over_busy_and_free() {
        let mut window = Window::default();
        window.add(minute(0), minute(30), true);
        window.add(minute(30), minute(90), false);
        assert_eq!(window.occupancy(minute(90), Duration::ZERO), 333_333);
        assert_eq!(
            window.occupancy(minute(120), Duration::from_secs(1800)),
            250_000
        );
    }

    #[test]
    fn what_is_older_than_eight_hours_is_forgotten() {
        let mut window = Window::default();
        window.add(minute(0), minute(60), true);
        window.add(minute(60), minute(120), false);
        assert_eq!(window.occupancy(minute(479), Duration::ZERO), 500_000);
        assert_eq!(window.occupancy(minute(480), Duration::ZERO), 0);
        window.add(minute(0), minute(10_000), true);
        assert_eq!(window.occupancy(minute(10_000), Duration::ZERO), 1_000_000);
    }
}
