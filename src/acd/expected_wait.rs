//! Expected wait: the queue's measured speed of answering, blended with what the staff could do, told only as a band.

use super::effect::WaitBand;
use crate::base::{Duration, Instant};

/// Time constant of the measured speed (acd rule: answers of the last 15 minutes, exponentially weighted).
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// With fewer answers than this in the window, the measured speed is blended with the staff's.
const ANSWERS_FOR_TRUST: f64 = 10.0;
/// Handle time that is assumed before any was measured (guess).
const HANDLE_TIME_FIRST: f64 = 180.0;
/// Weight of the newest handle time in the average.
const HANDLE_TIME_WEIGHT: f64 = 0.1;

/// How fast a queue answers, as two exponentially weighted averages.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Speed {
    answers: f64,
    at: Instant,
    handle_secs: Option<f64>,
}

impl Speed {
    fn answers_at(&self, now: Instant) -> f64 {
        self.answers * (-now.since(self.at).as_secs_f64() / WINDOW.as_secs_f64()).exp()
    }

    pub(super) fn answered(&mut self, now: Instant) {
        self.answers = self.answers_at(now) + 1.0;
        self.at = now;
    }

    pub(super) fn handled(&mut self, time: Duration) {
        let secs = time.as_secs_f64();
        self.handle_secs = Some(match self.handle_secs {
            Some(average) => average + (secs - average) * HANDLE_TIME_WEIGHT,
            None => secs,
        });
    }

    /// Expected wait of position `position` with `staff` agents wanting work; `None` with nobody.
    pub(super) fn expected(&self, now: Instant, position: u32, staff: u32) -> Option<Duration> {
        if staff == 0 {
            return None;
        }
        let answers = self.answers_at(now);
        let measured = answers / WINDOW.as_secs_f64();
        let possible = f64::from(staff) / self.handle_secs.unwrap_or(HANDLE_TIME_FIRST).max(1.0);
        let trust = (answers / ANSWERS_FOR_TRUST).min(1.0);
        let rate = trust * measured + (1.0 - trust) * possible;
        let secs = f64::from(position) / rate.max(1e-6);
        Some(Duration::from_secs_f64(secs.min(86_400.0)))
    }
}

pub(super) fn band(wait: Duration) -> WaitBand {
    match wait.as_secs() {
        0..120 => WaitBand::UnderTwo,
        120..300 => WaitBand::TwoToFive,
        300..600 => WaitBand::FiveToTen,
        _ => WaitBand::OverTen,
    }
}

/// What may be said after `last` was said: never worse, unless it moved by more than one band.
pub(super) fn announced(last: Option<WaitBand>, now: WaitBand) -> WaitBand {
    match last {
        Some(last) if now > last && now as u8 - last as u8 <= 1 => last,
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn with_nobody_to_serve_nothing_is_said() {
        assert_eq!(Speed::default().expected(at(0), 1, 0), None);
    }

    #[test]
    fn before_answers_are_known_the_staff_and_their_handle_time_count() {
        let mut speed = Speed::default();
        speed.handled(Duration::from_secs(120));
        assert_eq!(speed.expected(at(0), 4, 2), Some(Duration::from_secs(240)));
    }

    #[test]
    fn many_answers_outweigh_the_staff() {
        let mut speed = Speed::default();
        for minute in 0..120u64 {
            speed.answered(at(minute * 60));
        }
        let wait = speed.expected(at(119 * 60), 5, 100).expect("staffed");
        assert!(
            (270..=330).contains(&wait.as_secs()),
            "one answer a minute: {wait:?}"
        );
    }

    #[test]
    fn a_band_gets_worse_only_by_more_than_one() {
        use WaitBand::*;
        assert_eq!(announced(None, FiveToTen), FiveToTen);
        assert_eq!(announced(Some(UnderTwo), TwoToFive), UnderTwo);
        assert_eq!(announced(Some(UnderTwo), FiveToTen), FiveToTen);
        assert_eq!(announced(Some(OverTen), TwoToFive), TwoToFive);
    }

    #[test]
    fn bands_meet_at_two_five_and_ten_minutes() {
        let secs = Duration::from_secs;
        assert_eq!(band(secs(119)), WaitBand::UnderTwo);
        assert_eq!(band(secs(120)), WaitBand::TwoToFive);
        assert_eq!(band(secs(300)), WaitBand::FiveToTen);
        assert_eq!(band(secs(600)), WaitBand::OverTen);
    }
}
