//! Draws from the seed: numbers, characters, calls.

use crate::base::{Duration, Entropy};
use crate::sim::actors::{Admits, Answer, CallPlan, HoldDialect, Mood, Rude, Rudeness, Transfer};

/// The seed as a source of choices.
pub(super) struct Draw(pub Entropy);

/// What calls of this world may do.
#[derive(Clone, Default)]
pub(super) struct Manners {
    /// Calls hold.
    pub hold: bool,
    /// Some calls last longer than a session timer.
    pub long: bool,
    /// Calls are transferred, to one of these.
    pub transfer: Vec<String>,
    /// Some redirect, to one of these.
    pub redirect: Vec<String>,
}

impl Draw {
    pub fn one_in(&mut self, n: u64) -> bool {
        self.0.below(n) == 0
    }

    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = usize::try_from(self.0.below(of.len() as u64)).unwrap_or(0);
        &of[at]
    }

    pub fn index(&mut self, of: usize) -> usize {
        usize::try_from(self.0.below(of as u64)).unwrap_or(0)
    }

    /// One to three ways to misbehave.
    pub fn rudeness(&mut self) -> Rudeness {
        let ways = self.between(1, 3);
        Rudeness::of((0..ways).map(|_| *self.pick(&Rude::ALL)))
    }

    pub fn answer(&mut self, manners: &Manners) -> Answer {
        match self.0.below(10) {
            0 => Answer::Busy,
            1 => Answer::Decline(self.millis(100, 5_000)),
            2 => Answer::Never,
            3 if manners.redirect.is_empty() || self.one_in(2) => Answer::Mute,
            3 => Answer::Redirect(self.pick(&manners.redirect).clone()),
            _ => Answer::After {
                ring: self.millis(10, 12_000),
                talk: (!self.one_in(3) && !manners.long).then(|| self.millis(100, 40_000)),
            },
        }
    }

    pub fn call(&mut self, manners: &Manners) -> CallPlan {
        let dialects = [
            HoldDialect::SendOnly,
            HoldDialect::Inactive,
            HoldDialect::ZeroAddress,
        ];
        let mut plan = CallPlan {
            patience: self.one_in(2).then(|| self.millis(5, 45_000)),
            talk: if manners.long && self.one_in(2) {
                Some(self.millis(50_000, 140_000))
            } else {
                (!self.one_in(4)).then(|| self.millis(50, 60_000))
            },
            hold: (self.one_in(4) && manners.hold).then(|| {
                (
                    self.millis(200, 8_000),
                    *self.pick(&dialects),
                    self.millis(200, 8_000),
                )
            }),
            keys: if self.one_in(4) {
                "1".into()
            } else {
                String::new()
            },
            transfer: None,
        };
        if !manners.transfer.is_empty() && self.one_in(2) {
            let to = self.pick(&manners.transfer).clone();
            let how = if self.one_in(2) {
                Transfer::Blind(to)
            } else {
                Transfer::Attended(to, self.millis(500, 15_000))
            };
            plan.transfer = Some((self.millis(300, 10_000), how));
            plan.hold = None;
        }
        plan
    }

    /// How a gateway may be.
    pub fn mood(&mut self) -> Mood {
        match self.0.below(7) {
            0 | 1 => Mood::Silent,
            2 => Mood::Unavailable(None),
            3 => Mood::Unavailable(Some(u32::try_from(self.between(1, 30)).unwrap_or(1))),
            4 => Mood::Forbidden,
            5 => Mood::NoOptions,
            _ => Mood::NoCalls,
        }
    }

    /// How a carrier's registrar may be.
    pub fn admits(&mut self) -> Admits {
        match self.0.below(4) {
            0 => Admits::All,
            1 => Admits::Cut(u32::try_from(self.between(10, 50)).unwrap_or(30)),
            2 => Admits::Nobody,
            _ => Admits::Challenges,
        }
    }
}
