//! A circuit breaker for one gateway: it is left alone after failures, and asked again with one call before it is trusted.
//!
//! ```text
//!              failures in a window, or silence, or Retry-After
//!   +--------+ -----------------------------------------------> +------+
//!   | Closed |                                                  | Open |<-----.
//!   +--------+ <---------. success                              +------+      | failure:
//!        ^               |                                          | time    | twice as long
//!        |          +----------+ <----------------------------------'         |
//!        '----------| HalfOpen | ---------------------------------------------'
//!                   +----------+   (one call, or an OPTIONS, tries it)
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::{Duration, Instant};

/// A gateway is left alone this long at most, whatever it says in Retry-After.
pub(super) const OPEN_MAX: Duration = Duration::from_secs(600);
/// A call that tries a gateway out has this long to hear from it, before another may try.
const TRIAL: Duration = Duration::from_secs(33);

/// When a gateway is left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerSettings {
    /// Failures within the window that open it. Range 1–100, default 5.
    pub failures: u32,
    /// The window. Range 1 s – 10 min, default 30 s.
    pub window: Duration,
    /// How long it is left alone at first; each failed trial doubles that, up to 10 min. Range 1 s – 10 min, default 30 s.
    pub open: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings {
            failures: 5,
            window: Duration::from_secs(30),
            open: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Closed,
    Open {
        until: Instant,
        for_time: Duration,
        why: Arc<str>,
        kind: Kind,
    },
    HalfOpen {
        /// Since when something tries it out.
        trial: Option<Instant>,
        for_time: Duration,
        why: Arc<str>,
    },
}

/// Why it is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Nothing came back: any sign of life closes it.
    Silent,
    /// It failed calls or asked to be left alone: only time and a trial close it.
    Failing,
}

/// What may be sent to a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// Calls.
    Yes,
    /// One call, to see whether it works again.
    Trial,
    /// A call that has nowhere else to go: it was silent, and nobody knows since when it is not.
    LastResort,
    /// Nothing.
    No,
}

/// The breaker of one gateway.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    state: State,
    failures: VecDeque<Instant>,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            state: State::Closed,
            failures: VecDeque::new(),
        }
    }
}

impl Breaker {
    /// What may be sent now.
    pub fn admission(&mut self, now: Instant) -> Admission {
        self.pass(now);
        match &self.state {
            State::Closed => Admission::Yes,
            State::HalfOpen { trial, .. } => match trial {
                Some(since) if now.since(*since) < TRIAL => Admission::No,
                Some(_) | None => Admission::Trial,
            },
            State::Open { kind, .. } => match kind {
                Kind::Silent => Admission::LastResort,
                Kind::Failing => Admission::No,
            },
        }
    }

    /// Time opens it half.
    fn pass(&mut self, now: Instant) {
        if let State::Open {
            until,
            for_time,
            why,
            ..
        } = &self.state
            && *until <= now
        {
            self.state = State::HalfOpen {
                trial: None,
                for_time: *for_time,
                why: why.clone(),
            };
        }
    }

    /// A call goes there.
    pub fn tried(&mut self, now: Instant) {
        self.pass(now);
        if let State::HalfOpen { trial, .. } = &mut self.state {
            *trial = Some(now);
        }
    }

    /// It served a call.
    pub fn worked(&mut self, now: Instant) {
        self.pass(now);
        match &self.state {
            // an older call that is answered late says nothing about why it was opened
            State::Open {
                kind: Kind::Failing,
                ..
            } => {}
            State::Open {
                kind: Kind::Silent, ..
            }
            | State::HalfOpen { .. } => {
                self.state = State::Closed;
                self.failures.clear();
            }
            State::Closed => {
                self.failures.pop_front();
            }
        }
    }

    /// It answered an OPTIONS: it is alive, which does not say that its calls go through.
    pub fn alive(&mut self, now: Instant) {
        self.pass(now);
        match &self.state {
            State::Open {
                kind: Kind::Silent, ..
            } => self.state = State::Closed,
            State::HalfOpen { trial: None, .. } => self.state = State::Closed,
            State::HalfOpen { .. } | State::Closed | State::Open { .. } => {}
        }
    }

    /// A call failed there by its fault. True when that opened it.
    pub fn failed(&mut self, now: Instant, settings: &BreakerSettings, why: &str) -> bool {
        self.pass(now);
        while self
            .failures
            .front()
            .is_some_and(|&at| now.since(at) > settings.window)
        {
            self.failures.pop_front();
        }
        match &self.state {
            State::HalfOpen { for_time, .. } => {
                let longer = (*for_time * 2).min(OPEN_MAX);
                self.open(now, longer, why, Kind::Failing)
            }
            State::Closed => {
                self.failures.push_back(now);
                if self.failures.len() < settings.failures as usize {
                    return false;
                }
                self.open(now, settings.open, why, Kind::Failing)
            }
            State::Open { .. } => false,
        }
    }

    /// Nothing came back from it. True when that opened it.
    pub fn silent(&mut self, now: Instant, settings: &BreakerSettings, why: &str) -> bool {
        self.pass(now);
        match &self.state {
            State::HalfOpen { for_time, .. } => {
                let longer = (*for_time * 2).min(OPEN_MAX);
                self.open(now, longer, why, Kind::Silent)
            }
            State::Closed => self.open(now, settings.open, why, Kind::Silent),
            State::Open { .. } => false,
        }
    }

    /// It asked to be left alone so long (RFC 3261 §21.5.4).
    pub fn asked_for_rest(&mut self, now: Instant, rest: Duration, why: &str) -> bool {
        self.open(now, rest.min(OPEN_MAX), why, Kind::Failing)
    }

    fn open(&mut self, now: Instant, for_time: Duration, why: &str, kind: Kind) -> bool {
        let was_open = matches!(self.state, State::Open { .. });
        self.failures.clear();
        self.state = State::Open {
            until: now + for_time,
            for_time,
            why: Arc::from(why),
            kind,
        };
        !was_open
    }

    /// The state in one word, why, and until when.
    pub fn show(&self, now: Instant) -> (&'static str, Option<Arc<str>>, Option<Instant>) {
        match &self.state {
            State::Closed => ("closed", None, None),
            State::Open { until, why, .. } if *until > now => {
                ("open", Some(why.clone()), Some(*until))
            }
            State::Open { why, .. } | State::HalfOpen { why, .. } => {
                ("half-open", Some(why.clone()), None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn settings() -> BreakerSettings {
        BreakerSettings {
            failures: 3,
            ..BreakerSettings::default()
        }
    }

    #[test]
    fn failures_far_apart_do_not_open_it() {
        let mut it = Breaker::default();
        for n in 0..20 {
            assert!(!it.failed(at(n * 31), &settings(), "500"));
        }
        assert_eq!(it.admission(at(600)), Admission::Yes);
    }

    #[test]
    fn failures_in_the_window_open_it_and_one_call_tries_it_after_that() {
        let mut it = Breaker::default();
        assert!(!it.failed(at(0), &settings(), "500"));
        assert!(!it.failed(at(1), &settings(), "500"));
        assert!(it.failed(at(2), &settings(), "500"));
        assert_eq!(it.admission(at(31)), Admission::No);
        assert_eq!(it.show(at(31)).0, "open");
        assert_eq!(it.admission(at(32)), Admission::Trial);
        it.tried(at(32));
        assert_eq!(it.admission(at(33)), Admission::No);
        it.worked(at(34));
        assert_eq!(it.admission(at(34)), Admission::Yes);
        assert_eq!(it.show(at(34)), ("closed", None, None));
    }

    #[test]
    fn each_failed_trial_doubles_the_rest_up_to_ten_minutes() {
        let mut it = Breaker::default();
        let mut now = Instant::ZERO;
        it.silent(now, &settings(), "silence");
        let mut rests = Vec::new();
        for _ in 0..7 {
            let (_, _, until) = it.show(now);
            let until = until.expect("open");
            rests.push(until.since(now).as_secs());
            now = until;
            it.tried(now);
            it.failed(now, &settings(), "503");
        }
        assert_eq!(rests, [30, 60, 120, 240, 480, 600, 600]);
    }

    #[test]
    fn a_trial_that_nobody_reports_on_does_not_close_the_door_for_ever() {
        let mut it = Breaker::default();
        it.silent(at(0), &settings(), "silence");
        it.tried(at(30));
        assert_eq!(it.admission(at(60)), Admission::No);
        assert_eq!(it.admission(at(63)), Admission::Trial);
    }

    #[test]
    fn a_sign_of_life_ends_silence_but_not_a_rest_that_was_asked_for() {
        let mut it = Breaker::default();
        it.silent(at(0), &settings(), "silence");
        assert_eq!(it.admission(at(1)), Admission::LastResort);
        it.alive(at(2));
        assert_eq!(it.admission(at(2)), Admission::Yes);
        it.asked_for_rest(at(3), Duration::from_secs(3_000_000), "503");
        it.alive(at(4));
        it.worked(at(4));
        assert_eq!(it.admission(at(602)), Admission::No);
        assert_eq!(it.admission(at(603)), Admission::Trial);
    }
}
