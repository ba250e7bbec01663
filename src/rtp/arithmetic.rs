//! Sequence numbers and timestamps wrap; these functions compare and convert them.

use crate::base::{Duration, Instant, WallTime};

/// Seconds between the epoch of NTP (1900) and of Unix (1970).
const NTP_EPOCH_SECONDS: i64 = 2_208_988_800;

/// How far `later` is ahead of `earlier` on the circle of 16 bits: positive when it is newer.
pub const fn sequence_ahead(later: u16, earlier: u16) -> i16 {
    later.wrapping_sub(earlier) as i16
}

/// How far `later` is ahead of `earlier` on the circle of 32 bits: positive when it is newer.
pub const fn timestamp_ahead(later: u32, earlier: u32) -> i32 {
    later.wrapping_sub(earlier) as i32
}

/// The tick of an RTP clock at `at`, on an arbitrary origin; wraps like a timestamp.
pub fn ticks_at(at: Instant, clock_hz: u32) -> u32 {
    // microseconds times hertz fit 64 bits for twelve years of uptime at 48,000 Hz
    ((at.as_nanos() / 1_000).wrapping_mul(u64::from(clock_hz)) / 1_000_000) as u32
}

/// Length of `ticks` of an RTP clock.
pub fn ticks_to_duration(ticks: u32, clock_hz: u32) -> Duration {
    Duration::from_micros(u64::from(ticks) * 1_000_000 / u64::from(clock_hz.max(1)))
}

/// Wall time as the 64-bit NTP timestamp of a sender report (RFC 3550 §4).
pub fn ntp(at: WallTime) -> u64 {
    let seconds = (at.as_secs() + NTP_EPOCH_SECONDS) as u32;
    let micros = at.as_micros().rem_euclid(1_000_000) as u64;
    (u64::from(seconds) << 32) | ((micros << 32) / 1_000_000)
}

/// The middle 32 bits of an NTP timestamp, as reports carry them (RFC 3550 §6.4.1).
pub const fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_is_newer_across_the_wrap() {
        assert_eq!(sequence_ahead(2, 65_534), 4);
        assert_eq!(sequence_ahead(65_534, 2), -4);
        assert_eq!(timestamp_ahead(100, u32::MAX - 59), 160);
        assert_eq!(timestamp_ahead(0, 1), -1);
    }

    #[test]
    fn ticks_and_durations_agree() {
        let second = Instant::from_nanos(1_000_000_000);
        assert_eq!(ticks_at(second, 8_000), 8_000);
        assert_eq!(ticks_to_duration(160, 8_000), Duration::from_millis(20));
        assert_eq!(ticks_to_duration(1, 0), Duration::from_secs(1));
    }

    #[test]
    fn ntp_begins_in_1900() {
        let at = ntp(WallTime::from_micros(500_000));
        assert_eq!(at >> 32, 2_208_988_800);
        assert_eq!(at as u32, 1 << 31);
        // 2,208,988,800 is 0x83AA7E80
        assert_eq!(ntp_middle(at), 0x7e80_8000);
    }
}
