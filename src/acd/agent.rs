//! One agent: session, routability and work as three dimensions, the idle clock, and the first rule that keeps work away.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;

use super::command::{AgentStatus, OfferId, WorkItemId};
use super::event::AgentDisplay;
use super::explain::{Kept, Why};
use super::lease::Token;
use super::metrics::{AgentCounters, millis};
use super::queue::QueueKey;
use super::record::{AgentRecord, WrapRecord};
use super::settings::AgentSettings;
use super::strategy::least_occupied::Window;
use super::strategy::{Facts, Place};
use crate::base::{Duration, Instant, Key, Now, TimerId, WallTime};
use crate::directory::toggles::Silent;

pub(super) type AgentKey = Key<Agent>;

/// How far an AgentOffer has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The token is taken; no device rings yet.
    Reserved,
    /// A device rings.
    Alerting,
    /// A device answered and won; not yet bridged.
    Connecting,
}

/// What the agent is doing. Every variant but `Idle` holds the token, so leaving it gives the token back.
pub(super) enum Work {
    Idle,
    Offered {
        stage: Stage,
        offer: OfferId,
        item: WorkItemId,
        queue: QueueKey,
        token: Token,
    },
    Talking {
        offer: OfferId,
        item: WorkItemId,
        queue: QueueKey,
        since: Instant,
        token: Token,
    },
    Wrap(Wrap),
}

/// After-call work: a lease with its own timer.
pub(super) struct Wrap {
    pub item: WorkItemId,
    pub queue: QueueKey,
    pub queue_name: Arc<str>,
    pub since: Instant,
    pub since_wall: WallTime,
    pub until_wall: WallTime,
    pub timer: TimerId,
    /// Nothing but its other ends ends it before this.
    pub hard: Instant,
    pub hard_wall: WallTime,
    /// It ends with its time; else with an end that is said.
    pub timed: bool,
    /// Its queue demands a disposition.
    pub demands: bool,
    pub disposition: Option<Arc<str>>,
    /// Talk of the segment that it follows.
    pub talked: Duration,
    pub _token: Token,
}

/// Whether any device can be rung.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// Yes, or nobody is logged in to miss it.
    Reachable,
    /// The last one went a moment ago.
    Grace(TimerId),
    /// None for longer than the grace; the timer logs out.
    Unreachable(TimerId),
}

/// One queue that the agent serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Assignment {
    pub level: u8,
    pub delay: Duration,
    pub rank: u16,
    /// The rings of an expansion that draw the agent in, each by name or through another queue, whose toggle counts. Empty: it
    /// serves the queue from the start.
    pub drawn: SmallVec<[(u8, Option<QueueKey>); 1]>,
    /// Where the configuration puts the toggle.
    pub configured: bool,
    /// Where somebody moved it.
    pub moved: Option<bool>,
}

impl Assignment {
    pub(super) fn is_own(&self) -> bool {
        self.drawn.is_empty()
    }

    pub(super) fn enabled(&self) -> bool {
        self.moved.unwrap_or(self.configured)
    }
}

/// What an agent counts as in one of its queues.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    pub level: u8,
    /// Logged in with the assignment on.
    pub logged_in: bool,
    /// Logged in and reachable.
    pub staffed: bool,
    /// Staffed and wanting work, free or busy.
    pub wanting: bool,
    /// Among the free agents at this place.
    pub place: Option<Place>,
}

/// What the time since the last change is booked as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Account {
    LoggedOut,
    Ready,
    NotReady,
    Alerting,
    Talking,
    Wrap,
    Unreachable,
}

/// Time spent wanting work since the last call; it pauses in not ready and stands still otherwise only by being reset.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct IdleClock {
    gathered: Duration,
    running: Option<Instant>,
}

impl IdleClock {
    pub(super) fn run(&mut self, now: Instant) {
        self.running.get_or_insert(now);
    }

    pub(super) fn pause(&mut self, now: Instant) {
        if let Some(since) = self.running.take() {
            self.gathered += now.since(since);
        }
    }

    /// Back to zero; a running clock goes on running.
    pub(super) fn reset(&mut self, now: Instant) {
        self.gathered = Duration::ZERO;
        if self.running.is_some() {
            self.running = Some(now);
        }
    }

    pub(super) fn idle(&self, now: Instant) -> Duration {
        self.gathered
            + self
                .running
                .map_or(Duration::ZERO, |since| now.since(since))
    }

    /// When it would have started had it never paused: stands still while it runs.
    pub(super) fn start(&self) -> i64 {
        let nanos = |d: u128| i64::try_from(d).unwrap_or(i64::MAX);
        let running = self
            .running
            .map_or(i64::MAX, |at| nanos(u128::from(at.as_nanos())));
        running.saturating_sub(nanos(self.gathered.as_nanos()))
    }
}

impl AgentCounters {
    fn of_mut(&mut self, account: Account) -> Option<&mut u64> {
        match account {
            Account::LoggedOut => None,
            Account::Ready => Some(&mut self.ready_ms),
            Account::NotReady => Some(&mut self.not_ready_ms),
            Account::Alerting => Some(&mut self.alerting_ms),
            Account::Talking => Some(&mut self.talk_ms),
            Account::Wrap => Some(&mut self.wrap_ms),
            Account::Unreachable => Some(&mut self.unreachable_ms),
        }
    }
}

pub(super) struct Agent {
    pub settings: AgentSettings,
    pub skills: BTreeMap<Arc<str>, u8>,
    pub logged_in: Option<WallTime>,
    pub status: AgentStatus,
    pub next: Option<AgentStatus>,
    /// Logs out when the work is done.
    pub leaving: bool,
    /// Gone from the configuration; goes when the work is done.
    pub removed: bool,
    pub work: Work,
    pub ringable: u32,
    /// Why none rings although some are there.
    pub silent: Option<Silent>,
    pub reach: Reach,
    /// Other live calls, and since when there is one.
    pub live: u32,
    pub live_since: Instant,
    pub cooldown: Option<(Instant, WallTime, TimerId)>,
    pub assignments: BTreeMap<QueueKey, Assignment>,
    pub standings: BTreeMap<QueueKey, Standing>,
    pub idle: IdleClock,
    pub rona_in_a_row: u32,
    pub counters: AgentCounters,
    pub handled_in_window: u32,
    pub window: Window,
    pub booked_as: Account,
    pub booked_to: Instant,
    pub shown: (AgentDisplay, Option<Arc<str>>, bool),
    pub shown_since: WallTime,
    pub journalled: Option<AgentRecord>,
    pub why: VecDeque<Arc<Kept>>,
}

impl Agent {
    pub(super) fn new(settings: AgentSettings, now: Now) -> Self {
        let skills = settings.skills.iter().cloned().collect();
        Agent {
            settings,
            skills,
            logged_in: None,
            status: AgentStatus::NotReady { reason: None },
            next: None,
            leaving: false,
            removed: false,
            work: Work::Idle,
            ringable: 0,
            silent: None,
            reach: Reach::Reachable,
            live: 0,
            live_since: now.mono,
            cooldown: None,
            assignments: BTreeMap::new(),
            standings: BTreeMap::new(),
            idle: IdleClock::default(),
            rona_in_a_row: 0,
            counters: AgentCounters::default(),
            handled_in_window: 0,
            window: Window::default(),
            booked_as: Account::LoggedOut,
            booked_to: now.mono,
            shown: (AgentDisplay::LoggedOut, None, false),
            shown_since: now.wall,
            journalled: None,
            why: VecDeque::new(),
        }
    }

    pub(super) fn extension(&self) -> &Arc<str> {
        &self.settings.extension
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.work, Work::Idle)
    }

    fn is_unreachable(&self) -> bool {
        matches!(self.reach, Reach::Unreachable(_))
    }

    /// Puts `status` in force now.
    pub(super) fn set_status(&mut self, now: Instant, status: AgentStatus) {
        if status.is_ready() {
            self.idle.run(now);
        } else {
            self.idle.pause(now);
        }
        self.status = status;
    }

    /// The first rule, in the order of their table, that keeps every work item away; `wrap_blocks` is false only for a deliberate break.
    pub(super) fn blocked(&self, wrap_blocks: bool) -> Option<Why> {
        if self.logged_in.is_none() || self.leaving || self.removed {
            return Some(Why::LoggedOut);
        }
        if let AgentStatus::NotReady { reason } = &self.status {
            return Some(Why::NotReady(reason.clone()));
        }
        if self.next.as_ref().is_some_and(|next| !next.is_ready()) {
            return Some(Why::NextNotReady);
        }
        match &self.work {
            Work::Idle => {}
            Work::Offered { stage, item, .. } => return Some(Why::Offered(*stage, *item)),
            Work::Talking { item, .. } => return Some(Why::Talking(*item)),
            Work::Wrap(wrap) if wrap_blocks => return Some(Why::Wrap(wrap.until_wall)),
            Work::Wrap(_) => {}
        }
        if self.live > 0 && !self.settings.call_waiting {
            return Some(Why::OtherCall(self.live));
        }
        if self.live >= self.settings.max_concurrent_calls {
            return Some(Why::TooManyCalls(self.settings.max_concurrent_calls));
        }
        if self.ringable == 0 {
            return Some(match self.silent {
                Some(silent) => Why::Silent(silent),
                None => Why::NoDevice,
            });
        }
        // It ends when its timer fires, so that a late tick finds every list in step with this rule.
        self.cooldown.map(|(_, wall, _)| Why::Cooldown(wall))
    }

    /// The ring from which the agent serves the queue of this assignment, 0 from the start; `None` while its toggle, or that of every
    /// queue through which it is drawn in, is off.
    pub(super) fn ring_in(&self, assignment: &Assignment) -> Option<u8> {
        if assignment.is_own() {
            return assignment.enabled().then_some(0);
        }
        let is_on = |via: &QueueKey| {
            let own = self.assignments.get(via);
            own.is_some_and(|own| own.is_own() && own.enabled())
        };
        let rings = assignment.drawn.iter();
        rings
            .filter(|(_, via)| via.as_ref().is_none_or(is_on))
            .map(|(ring, _)| *ring)
            .min()
    }

    /// What the agent counts as in a queue where it has `assignment`. Who is drawn in does not count as its staff.
    pub(super) fn standing(&self, assignment: &Assignment, place: Option<Place>) -> Standing {
        let logged_in = self.logged_in.is_some()
            && !self.leaving
            && assignment.is_own()
            && assignment.enabled();
        let staffed = logged_in && !self.is_unreachable();
        let wants = self.next.as_ref().unwrap_or(&self.status).is_ready();
        Standing {
            level: assignment.level,
            logged_in,
            staffed,
            wanting: staffed && wants,
            place,
        }
    }

    pub(super) fn facts(&self, assignment: &Assignment) -> Facts {
        Facts {
            ring: self.ring_in(assignment).unwrap_or(u8::MAX),
            level: assignment.level,
            rank: assignment.rank,
            idle_start: self.idle.start(),
            offers: self.counters.offers,
            handled_in_window: self.handled_in_window,
        }
    }

    /// One word: the first that applies.
    pub(super) fn display(&self) -> AgentDisplay {
        if self.logged_in.is_none() {
            return AgentDisplay::LoggedOut;
        }
        if self.is_unreachable() {
            return AgentDisplay::Unreachable;
        }
        match &self.work {
            Work::Talking { .. }
            | Work::Offered {
                stage: Stage::Connecting,
                ..
            } => AgentDisplay::Talking,
            Work::Offered { .. } => AgentDisplay::Alerting,
            Work::Wrap(_) => AgentDisplay::Wrap,
            Work::Idle if self.status.is_ready() => AgentDisplay::Ready,
            Work::Idle => AgentDisplay::NotReady,
        }
    }

    fn account(&self) -> Account {
        if self.logged_in.is_none() {
            return Account::LoggedOut;
        }
        match &self.work {
            Work::Talking { .. } => Account::Talking,
            Work::Offered { .. } => Account::Alerting,
            Work::Wrap(_) => Account::Wrap,
            Work::Idle if self.is_unreachable() => Account::Unreachable,
            Work::Idle if self.status.is_ready() => Account::Ready,
            Work::Idle => Account::NotReady,
        }
    }

    /// Books the time since the last change, so that the states of an agent add up to the time logged in without gap or overlap.
    pub(super) fn book(&mut self, now: Instant) {
        let span = Duration::from_millis(millis(now.since(self.booked_to)));
        let ms = millis(span);
        let upto = self.booked_to + span;
        if let Some(counter) = self.counters.of_mut(self.booked_as) {
            *counter += ms;
        }
        match self.booked_as {
            Account::Ready => self.window.add(self.booked_to, upto, false),
            Account::Talking | Account::Wrap => self.window.add(self.booked_to, upto, true),
            Account::LoggedOut | Account::NotReady | Account::Alerting | Account::Unreachable => {}
        }
        self.booked_to = upto;
        self.booked_as = self.account();
    }

    /// The counters with the time since the last change booked.
    pub(super) fn counters_at(&self, now: Instant) -> AgentCounters {
        let mut counters = self.counters.clone();
        let ms = millis(now.since(self.booked_to));
        if let Some(counter) = counters.of_mut(self.booked_as) {
            *counter += ms;
        }
        counters
    }

    /// Occupancy in the window, in millionths.
    pub(super) fn occupancy(&self, now: Instant) -> i64 {
        let running = match self.booked_as {
            Account::Ready => now.since(self.booked_to),
            _ => Duration::ZERO,
        };
        self.window.occupancy(now, running)
    }

    pub(super) fn record(&self) -> AgentRecord {
        AgentRecord {
            agent: self.settings.extension.clone(),
            logged_in: self.logged_in.filter(|_| !self.leaving),
            status: self.status.clone(),
            next: self.next.clone(),
            wrap: match &self.work {
                Work::Wrap(wrap) => Some(WrapRecord {
                    queue: wrap.queue_name.clone(),
                    item: wrap.item,
                    since: wrap.since_wall,
                    until: wrap.until_wall,
                    hard: Some(wrap.hard_wall),
                    timed: wrap.timed,
                    demands: wrap.demands,
                    disposition: wrap.disposition.clone(),
                }),
                _ => None,
            },
            rona_in_a_row: self.rona_in_a_row,
            counters: self.counters.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn idle_clock_pauses_and_keeps_what_it_gathered() {
        let mut clock = IdleClock::default();
        clock.run(at(10));
        clock.pause(at(15));
        assert_eq!(clock.idle(at(100)), Duration::from_secs(5));
        clock.run(at(100));
        assert_eq!(clock.idle(at(103)), Duration::from_secs(8));
        assert_eq!(clock.start(), 95_000_000_000);
        clock.run(at(104));
        assert_eq!(
            clock.start(),
            95_000_000_000,
            "a running clock is not restarted"
        );
        clock.reset(at(110));
        assert_eq!(clock.idle(at(111)), Duration::from_secs(1));
    }

    #[test]
    fn idle_clock_may_start_before_the_clock_itself() {
        let mut early = IdleClock::default();
        early.run(at(0));
        early.pause(at(50));
        early.run(at(51));
        let mut late = IdleClock::default();
        late.run(at(51));
        assert!(early.start() < late.start());
    }
}
