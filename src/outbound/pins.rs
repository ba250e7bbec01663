//! PINs, and the lock after too many wrong ones. The lock is the extension's: another route's PIN does not open it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::OutboundRecord;
use crate::base::{Duration, Secret, WallTime};

/// A PIN that routes may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct PinRule {
    /// The digits.
    pub code: Secret,
    /// So many wrong ones in a row lock.
    pub wrong_max: u8,
    /// For so long.
    pub lock: Duration,
}

/// What came of a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinAnswer {
    /// It is right.
    Right,
    /// It is wrong, and may be tried again.
    Wrong,
    /// It is wrong, or was not looked at: no PIN of this extension is taken until then.
    Locked(WallTime),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tries {
    wrong: u8,
    locked_until: Option<WallTime>,
}

/// Wrong PINs by extension.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    tries: BTreeMap<Arc<str>, Tries>,
}

impl Pins {
    /// Until when no PIN of this extension is taken.
    pub fn locked(&self, extension: &str, at: WallTime) -> Option<WallTime> {
        let until = self.tries.get(extension)?.locked_until?;
        (at < until).then_some(until)
    }

    /// Tries a PIN. The second value is for the journal.
    pub fn try_one(
        &mut self,
        extension: &Arc<str>,
        rule: &PinRule,
        digits: &str,
        at: WallTime,
    ) -> (PinAnswer, Option<OutboundRecord>) {
        if let Some(until) = self.locked(extension, at) {
            return (PinAnswer::Locked(until), None);
        }
        let before = self.tries.get(extension).copied().unwrap_or_default();
        // a lock that is over takes its wrong ones with it
        let wrong_before = match before.locked_until {
            Some(_) => 0,
            None => before.wrong,
        };
        if same(rule.code.reveal().as_bytes(), digits.as_bytes()) {
            let record = (before != Tries::default()).then(|| OutboundRecord::WrongPin {
                extension: extension.clone(),
                wrong: 0,
                locked_until: None,
            });
            if let Some(record) = &record {
                self.restore(record);
            }
            return (PinAnswer::Right, record);
        }
        let wrong = wrong_before.saturating_add(1);
        let locked_until = (wrong >= rule.wrong_max).then(|| at + rule.lock);
        let record = OutboundRecord::WrongPin {
            extension: extension.clone(),
            wrong,
            locked_until,
        };
        self.restore(&record);
        let answer = match locked_until {
            Some(until) => PinAnswer::Locked(until),
            None => PinAnswer::Wrong,
        };
        (answer, Some(record))
    }

    pub(super) fn restore(&mut self, record: &OutboundRecord) {
        let OutboundRecord::WrongPin {
            extension,
            wrong,
            locked_until,
        } = record
        else {
            return;
        };
        if *wrong == 0 {
            self.tries.remove(extension);
            return;
        }
        let tries = Tries {
            wrong: *wrong,
            locked_until: *locked_until,
        };
        self.tries.insert(extension.clone(), tries);
    }

    pub(super) fn snapshot(&self) -> Vec<OutboundRecord> {
        let all = self.tries.iter();
        all.map(|(extension, tries)| OutboundRecord::WrongPin {
            extension: extension.clone(),
            wrong: tries.wrong,
            locked_until: tries.locked_until,
        })
        .collect()
    }
}

/// Compares without telling by the time it takes how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0u8, |acc, (a, b)| acc | (a ^ b)) == 0
}
