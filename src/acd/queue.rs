//! One queue: who waits, in which lines; who serves it, who is free, in the strategy's order.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::agent::{AgentKey, Standing};
use super::expected_wait::Speed;
use super::explain::Notes;
use super::item::{Item, Needs, Order, Want};
use super::line::Line;
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
    /// Closed by its hours.
    pub shut: bool,
    /// Everything in the queue until bridged, rung for or not.
    pub line: Line,
    /// The same, one line for each set of needs: for places among those who need the same agents.
    pub by_needs: BTreeMap<Needs, Line>,
    /// What may be offered now, one line for each ring and set of needs.
    pub open: BTreeMap<Want, BTreeSet<Order>>,
    /// Of the line, those who prefer somebody.
    pub preferring: u32,
    /// Of the line, callbacks.
    pub callbacks: u32,
    /// Callbacks promised and not over, those included that wait for another try.
    pub promised: u32,
    /// All agents assigned.
    pub assigned: BTreeSet<AgentKey>,
    /// Agents who are drawn in by an expansion.
    pub drawn: BTreeSet<AgentKey>,
    /// Why each agent who is not free is not; gone when one of them changes.
    pub busy: RefCell<Option<Notes>>,
    /// Whether two sets of needs have an agent in common, as far as it was asked.
    pub in_common: RefCell<BTreeMap<(Needs, Needs), bool>>,
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
    /// A level has lost its last staffed agent, one agent is left, or somebody preferred is gone: holds may have ended.
    pub holds_may_end: bool,
    /// Nobody is logged in or ready any more.
    pub deserted: bool,
}

impl Queue {
    pub(super) fn new(settings: QueueSettings, now: Instant) -> Self {
        Queue {
            settings,
            closing: false,
            shut: false,
            line: Line::default(),
            by_needs: BTreeMap::new(),
            open: BTreeMap::new(),
            preferring: 0,
            callbacks: 0,
            promised: 0,
            assigned: BTreeSet::new(),
            drawn: BTreeSet::new(),
            busy: RefCell::default(),
            in_common: RefCell::default(),
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

    /// Those who wait on the line; callbacks are counted apart.
    pub(super) fn waiting(&self) -> u32 {
        self.in_line() - self.callbacks
    }

    /// Everybody in line, callbacks too.
    pub(super) fn in_line(&self) -> u32 {
        u32::try_from(self.line.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn staffed_total(&self) -> u32 {
        self.staffed.values().sum()
    }

    /// True when an agent of a level below `level` is staffed.
    pub(super) fn lower_level_staffed(&self, level: u8) -> bool {
        self.staffed.range(..level).next().is_some()
    }

    /// The work item waits here from now on.
    pub(super) fn join(&mut self, item: &Item) {
        self.line.insert(item.order);
        let same = self.by_needs.entry(item.needs.clone()).or_default();
        same.insert(item.order);
        self.preferring += u32::from(item.prefer.is_some());
        self.callbacks += u32::from(item.callback.is_some());
    }

    /// The work item waits here no longer; true when it could have been offered.
    pub(super) fn leave(&mut self, item: &Item) -> bool {
        if !self.line.remove(&item.order) {
            return false;
        }
        if let Some(same) = self.by_needs.get_mut(&item.needs) {
            same.remove(&item.order);
            if same.is_empty() {
                self.by_needs.remove(&item.needs);
            }
        }
        self.preferring -= u32::from(item.prefer.is_some());
        self.callbacks -= u32::from(item.callback.is_some());
        self.shut(item)
    }

    /// The work item may be offered.
    pub(super) fn open(&mut self, item: &Item) {
        self.open.entry(item.want()).or_default().insert(item.order);
    }

    /// The work item may not be offered now; true when it could have been.
    pub(super) fn shut(&mut self, item: &Item) -> bool {
        let want = item.want();
        let Some(line) = self.open.get_mut(&want) else {
            return false;
        };
        let was = line.remove(&item.order);
        if line.is_empty() {
            self.open.remove(&want);
        }
        was
    }

    pub(super) fn is_open(&self, item: &Item) -> bool {
        let line = self.open.get(&item.want());
        line.is_some_and(|line| line.contains(&item.order))
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
        let gone = before.is_some_and(|s| s.staffed) && !after.is_some_and(|s| s.staffed);
        shift.holds_may_end |= gone && self.preferring > 0;
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
        self.closing
            && self.line.is_empty()
            && self.promised == 0
            && self.talking == 0
            && self.wrapping == 0
    }

    pub(super) fn record(&self) -> QueueRecord {
        QueueRecord {
            queue: self.settings.name.clone(),
            counters: self.counters.clone(),
            last_offered: self.last_offered.clone(),
        }
    }
}
