//! One queue: who waits, in which lines; who serves it, who is free, in the strategy's order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::agent::{AgentKey, Standing};
use super::expected_wait::Speed;
use super::item::{Needs, Order};
use super::metrics::QueueCounters;
use super::record::QueueRecord;
use super::settings::QueueSettings;
use super::strategy::Place;
use crate::base::{Duration, Instant, Key, TimerId};

pub(super) type QueueKey = Key<Queue>;

pub(super) struct Queue {
    pub settings: QueueSettings,
    /// Removed from the configuration: takes nothing new, finishes what it has.
    pub closing: bool,
    /// Everything in the queue until bridged, rung for or not.
    pub line: BTreeSet<Order>,
    /// What may be offered now, one line for each set of needs.
    pub open: BTreeMap<Needs, BTreeSet<Order>>,
    /// All agents assigned.
    pub assigned: BTreeSet<AgentKey>,
    /// Agents who could take a call this moment, in the strategy's order.
    pub free: BTreeSet<Place>,
    pub logged_in: u32,
    /// Staffed agents by level.
    pub staffed: BTreeMap<u8, u32>,
    pub wanting: u32,
    pub nobody_logged_in: Option<Instant>,
    pub nobody_ready: Option<Instant>,
    pub rule_timer: Option<TimerId>,
    /// Agents talking or in wrap-up for this queue: it is not forgotten before they are done.
    pub talking: u32,
    pub wrapping: u32,
    pub counters: QueueCounters,
    pub last_offered: Option<Arc<str>>,
    pub speed: Speed,
    /// Distinct delays of assignments, ascending, zero left out.
    pub delays: Vec<Duration>,
    pub journalled: Option<QueueRecord>,
}

/// What a change of an agent's standing means for its queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Shift {
    /// A level has lost its last staffed agent, or one agent is left: holds may have ended.
    pub holds_may_end: bool,
    /// Nobody is logged in or ready any more.
    pub deserted: bool,
}

impl Queue {
    pub(super) fn new(settings: QueueSettings, now: Instant) -> Self {
        Queue {
            settings,
            closing: false,
            line: BTreeSet::new(),
            open: BTreeMap::new(),
            assigned: BTreeSet::new(),
            free: BTreeSet::new(),
            logged_in: 0,
            staffed: BTreeMap::new(),
            wanting: 0,
            nobody_logged_in: Some(now),
            nobody_ready: Some(now),
            rule_timer: None,
            talking: 0,
            wrapping: 0,
            counters: QueueCounters::default(),
            last_offered: None,
            speed: Speed::default(),
            delays: Vec::new(),
            journalled: None,
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    pub(super) fn waiting(&self) -> u32 {
        u32::try_from(self.line.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn staffed_total(&self) -> u32 {
        self.staffed.values().sum()
    }

    /// True when an agent of a level below `level` is staffed.
    pub(super) fn lower_level_staffed(&self, level: u8) -> bool {
        self.staffed.range(..level).next().is_some()
    }

    pub(super) fn open(&mut self, needs: &Needs, order: Order) {
        self.open.entry(needs.clone()).or_default().insert(order);
    }

    pub(super) fn shut(&mut self, needs: &Needs, order: Order) {
        if let Some(line) = self.open.get_mut(needs) {
            line.remove(&order);
            if line.is_empty() {
                self.open.remove(needs);
            }
        }
    }

    /// Place of a waiting work item, 1 is next.
    pub(super) fn position(&self, order: Order) -> u32 {
        u32::try_from(self.line.range(..order).count()).unwrap_or(u32::MAX - 1) + 1
    }

    /// Books what an agent counted as before and counts as now.
    pub(super) fn restand(
        &mut self,
        now: Instant,
        before: Option<&Standing>,
        after: Option<&Standing>,
    ) -> Shift {
        let mut shift = Shift::default();
        let staffed_before = self.staffed_total();
        if let Some(old) = before {
            if let Some(place) = &old.place {
                self.free.remove(place);
            }
            self.logged_in -= u32::from(old.logged_in);
            self.wanting -= u32::from(old.wanting);
            if old.staffed
                && let Some(count) = self.staffed.get_mut(&old.level)
            {
                *count -= 1;
                if *count == 0 {
                    self.staffed.remove(&old.level);
                    shift.holds_may_end = true;
                }
            }
        }
        if let Some(new) = after {
            if let Some(place) = &new.place {
                self.free.insert(place.clone());
            }
            self.logged_in += u32::from(new.logged_in);
            self.wanting += u32::from(new.wanting);
            if new.staffed {
                *self.staffed.entry(new.level).or_default() += 1;
            }
        }
        let staffed = self.staffed_total();
        shift.holds_may_end &=
            before.map(|s| (s.staffed, s.level)) != after.map(|s| (s.staffed, s.level));
        shift.holds_may_end |= staffed == 1 && staffed_before > 1;
        let since = |present: u32, since: Option<Instant>| match (present, since) {
            (0, None) => Some(now),
            (0, since) => since,
            _ => None,
        };
        let (logged, ready) = (self.nobody_logged_in, self.nobody_ready);
        self.nobody_logged_in = since(self.logged_in, logged);
        self.nobody_ready = since(self.wanting, ready);
        shift.deserted = (logged.is_none() && self.nobody_logged_in.is_some())
            || (ready.is_none() && self.nobody_ready.is_some());
        shift
    }

    pub(super) fn is_spent(&self) -> bool {
        self.closing && self.line.is_empty() && self.talking == 0 && self.wrapping == 0
    }

    pub(super) fn record(&self) -> QueueRecord {
        QueueRecord {
            queue: self.settings.name.clone(),
            counters: self.counters.clone(),
            last_offered: self.last_offered.clone(),
        }
    }
}
