//! The overflow of a queue for people: which rules hold now, how many callers each has taken, whether it takes callers at all.

use super::queue::Queue;
use super::settings::OverflowWhen;
use super::view::OverflowView;
use crate::base::{Duration, Instant};

impl OverflowWhen {
    /// The word of the counters.
    fn reason(self) -> &'static str {
        match self {
            OverflowWhen::Waited(_) => "waited",
            OverflowWhen::MaxWait => "max-wait",
            OverflowWhen::NobodyLoggedIn(_) => "nobody-logged-in",
            OverflowWhen::NobodyReady(_) => "nobody-ready",
            OverflowWhen::Closed => "closed",
            OverflowWhen::Full => "full",
            OverflowWhen::ExpectedWait(_) => "expected-wait",
        }
    }

    /// As files write it.
    fn words(self) -> String {
        let reason = self.reason();
        match self {
            OverflowWhen::Waited(time)
            | OverflowWhen::NobodyLoggedIn(time)
            | OverflowWhen::NobodyReady(time)
            | OverflowWhen::ExpectedWait(time)
                if !time.is_zero() =>
            {
                format!("{reason} {time:?}")
            }
            _ => reason.to_owned(),
        }
    }
}

impl Queue {
    fn is_full(&self) -> bool {
        let most = self.settings.max_waiting;
        most.is_some_and(|most| self.waiting() >= most)
    }

    /// True when a caller who enters now, and waits for nobody who is free, would be taken by the rule at once.
    fn holds(&self, now: Instant, when: OverflowWhen) -> bool {
        let lasted =
            |since: Option<Instant>, time| since.is_some_and(|since| now.since(since) >= time);
        match when {
            OverflowWhen::NobodyLoggedIn(time) => lasted(self.nobody_logged_in, time),
            OverflowWhen::NobodyReady(time) => lasted(self.nobody_ready, time),
            OverflowWhen::Closed => self.shut,
            OverflowWhen::Full => self.is_full(),
            OverflowWhen::ExpectedWait(most) => self
                .speed
                .expected(now, self.in_line() + 1, self.wanting)
                .is_some_and(|wait| self.free.is_empty() && wait > most),
            OverflowWhen::Waited(time) => time == Duration::ZERO,
            OverflowWhen::MaxWait => false,
        }
    }

    /// Why a caller who enters now would not wait; `None` while the queue takes callers.
    pub(super) fn closed(&self, now: Instant) -> Option<&'static str> {
        if self.closing {
            return Some("closing");
        }
        if self.is_full() {
            return Some("full");
        }
        let mut rules = self.settings.overflow.iter();
        let rule = rules.find(|rule| self.holds(now, rule.when));
        rule.map(|rule| rule.when.reason())
            .or(self.shut.then_some("closed"))
    }

    /// Its rules, in the order of the file.
    pub(super) fn overflow_view(&self, now: Instant) -> Vec<OverflowView> {
        let rules = self.settings.overflow.iter();
        rules
            .map(|rule| OverflowView {
                when: rule.when.words(),
                holds: self.holds(now, rule.when),
                taken: match rule.when {
                    OverflowWhen::MaxWait => self.counters.timed_out,
                    when => {
                        let by = &self.counters.flowed_out_by;
                        by.get(when.reason()).copied().unwrap_or(0)
                    }
                },
                then: String::new(),
            })
            .collect()
    }
}
