//! How often a number has been called.

use std::collections::{BTreeMap, VecDeque};

use super::numbers::key_of;
use super::record::OutboundRecord;
use crate::base::{Duration, WallTime};

/// A day, for "so often a day": any 24 hours, which is stricter than from midnight to midnight.
const DAY: Duration = Duration::from_secs(86_400);

/// How often one number may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimit {
    /// At most so often in any 24 hours.
    pub per_day: u32,
    /// At least so long between two.
    pub gap: Duration,
}

/// When numbers were called, as long as that matters.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    by_number: BTreeMap<u64, VecDeque<WallTime>>,
    /// Numbers that were left after the last look at all.
    kept: usize,
}

impl Attempts {
    /// Notes a call.
    pub fn note(&mut self, number: &str, at: WallTime, keep: Duration) {
        let Some(key) = key_of(number) else { return };
        let times = self.by_number.entry(key).or_default();
        times.push_back(at);
        times.retain(|time| at.since(*time) < keep);
        if self.by_number.len() > 2 * self.kept + 1024 {
            self.by_number.retain(|_, times| {
                times.retain(|time| at.since(*time) < keep);
                !times.is_empty()
            });
            self.kept = self.by_number.len();
        }
    }

    /// How long attempts matter under this limit.
    pub fn keep(limit: Option<AttemptLimit>) -> Duration {
        limit.map_or(DAY, |limit| limit.gap.max(DAY))
    }

    /// Why the number may not be called now, and when it may; `None` when it may.
    pub fn over(&self, key: u64, at: WallTime, limit: AttemptLimit) -> Option<(String, WallTime)> {
        let times = self.by_number.get(&key)?;
        let last = *times.back()?;
        if at.since(last) < limit.gap {
            let minutes = at.since(last).as_secs().div_ceil(60);
            let gap = limit.gap.as_secs().div_ceil(60);
            return Some((
                format!("it was called {minutes} min ago; {gap} min must lie between two calls"),
                last + limit.gap,
            ));
        }
        let today: Vec<WallTime> = times
            .iter()
            .copied()
            .filter(|time| at.since(*time) < DAY)
            .collect();
        let most = limit.per_day as usize;
        if today.len() < most {
            return None;
        }
        let free = today.get(today.len() - most).copied().unwrap_or(last);
        Some((
            format!(
                "it was called {} times within a day, the limit is {most}",
                today.len()
            ),
            free + DAY,
        ))
    }

    /// As the journal keeps them.
    pub fn snapshot(&self, at: WallTime, keep: Duration) -> Vec<OutboundRecord> {
        let all = self
            .by_number
            .iter()
            .flat_map(|(key, times)| times.iter().map(move |time| (*key, *time)));
        all.filter(|(_, time)| at.since(*time) < keep)
            .map(|(key, at)| OutboundRecord::Attempt {
                number: format!("+{key}").into(),
                at,
            })
            .collect()
    }
}
