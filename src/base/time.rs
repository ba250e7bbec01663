//! Time as the core sees it: a monotonic instant for durations and deadlines, wall time for records and schedules.
//!
//! The core never reads a clock. The shell (or the simulator) hands a [`Now`] with every input, so a step of the wall clock
//! neither ends a wrap-up nor reorders a queue.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

pub use std::time::Duration;

/// A point on the monotonic clock: nanoseconds since an origin of the shell's choice (process start, or zero in simulation).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Instant = Instant(0);

    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since `earlier`, or zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The first multiple of `grid` since the origin that is not before it.
    pub fn on_grid(self, grid: Duration) -> Instant {
        let grid = nanos(grid).max(1);
        Instant(self.0.checked_next_multiple_of(grid).unwrap_or(u64::MAX))
    }

    /// `self - duration`, not before the origin.
    pub fn saturating_sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(duration)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.since(earlier)
    }
}

/// Wall time: microseconds since the Unix epoch, UTC. Written as RFC 3339 in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(i64);

impl WallTime {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        WallTime(micros)
    }

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        WallTime(millis.saturating_mul(1000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Time since `earlier`, or zero when `earlier` is later.
    pub fn since(self, earlier: WallTime) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same moment as a `jiff` timestamp. Values outside its range are clamped to its ends.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }

    /// From a `jiff` timestamp.
    pub fn from_timestamp(at: jiff::Timestamp) -> Self {
        WallTime(at.as_microsecond())
    }
}

impl Add<Duration> for WallTime {
    type Output = WallTime;
    fn add(self, duration: Duration) -> WallTime {
        WallTime(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.timestamp())
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `2026-11-18T11:06:40.123456Z`.
const TEXT_BYTES: usize = 27;

impl WallTime {
    /// RFC 3339 with microseconds, for the years that have four digits: a call's records hold some twenty times, and formatting
    /// them took as long as parsing its messages.
    fn text(self) -> Option<[u8; TEXT_BYTES]> {
        let seconds = self.as_secs();
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Days to a date of the Gregorian calendar, counted in eras of 400 years that begin on 1 March.
        let shifted = days + 719_468;
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        let year = year_of_era + shifted.div_euclid(146_097) * 400 + i64::from(month <= 2);
        if !(1..=9999).contains(&year) {
            return None;
        }
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |at: usize, digits: usize, mut number: i64| {
            for place in text.iter_mut().skip(at).take(digits).rev() {
                *place = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, second / 3600);
        put(14, 2, second / 60 % 60);
        put(17, 2, second % 60);
        put(20, 6, self.0.rem_euclid(1_000_000));
        Some(text)
    }
}

impl Serialize for WallTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = self.text()
            && let Ok(text) = std::str::from_utf8(&text)
        {
            return serializer.serialize_str(text);
        }
        serializer.collect_str(&format_args!("{:.6}", self.timestamp()))
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let at = jiff::Timestamp::deserialize(deserializer)?;
        Ok(WallTime::from_timestamp(at))
    }
}

/// The time of one input: both clocks, read once by the shell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// For durations, deadlines and order.
    pub mono: Instant,
    /// For records, schedules and anything a person reads.
    pub wall: WallTime,
}

impl Now {
    /// The wall time of a monotonic instant, taking the clocks of this `Now` as the common point.
    pub fn wall_at(&self, at: Instant) -> WallTime {
        if at >= self.mono {
            self.wall + (at - self.mono)
        } else {
            let back = i64::try_from((self.mono - at).as_micros()).unwrap_or(i64::MAX);
            WallTime(self.wall.0.saturating_sub(back))
        }
    }

    /// The monotonic instant of a wall time: how deadlines kept across a restart come back.
    pub fn mono_at(&self, at: WallTime) -> Instant {
        if at >= self.wall {
            self.mono + at.since(self.wall)
        } else {
            self.mono.saturating_sub(self.wall.since(at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_survives_json() {
        let at = WallTime::from_micros(1_795_000_000_123_456);
        let text = serde_json::to_string(&at).expect("serialises");
        assert_eq!(text, "\"2026-11-18T11:06:40.123456Z\"");
        assert_eq!(serde_json::from_str::<WallTime>(&text).expect("parses"), at);
    }

    #[test]
    fn wall_time_is_written_as_jiff_writes_it() {
        let day = 86_400_000_000i64;
        let odd = (0..400_000).map(|n| n * (day / 2 + 7_654_321) - 1_000_000 * day);
        let edges = [
            i64::MIN,
            -1,
            0,
            1,
            951_782_399_999_999,
            951_782_400_000_000,
            i64::MAX,
        ];
        for micros in odd.step_by(7).chain(edges) {
            let at = WallTime::from_micros(micros);
            let text = serde_json::to_string(&at).expect("serialises");
            assert_eq!(text, format!("\"{:.6}\"", at.timestamp()), "{micros}");
        }
    }

    #[test]
    fn clocks_convert_both_ways() {
        let now = Now {
            mono: Instant::from_nanos(5_000_000_000),
            wall: WallTime::from_millis(100_000),
        };
        let later = now.mono + Duration::from_secs(7);
        assert_eq!(now.wall_at(later), WallTime::from_millis(107_000));
        assert_eq!(now.mono_at(WallTime::from_millis(107_000)), later);
        assert_eq!(now.mono_at(WallTime::from_millis(0)), Instant::ZERO);
    }
}
