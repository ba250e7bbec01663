//! A naive reference ACD: flat lists, every rule asked anew of every pair after every event, O(n²), written to be obvious.
//!
//! It answers one question: which work item goes to which agent, in which order. It is written from the rules, not from the ACD's
//! code, and shares only its commands and settings. It knows no overflow, no journal, no metrics and no `random`.

use std::sync::Arc;

use crate::acd::{
    AcdCommand, AcdSettings, AgeScope, AgentStatus, EndedBy, OfferId, OfferOutcome, Preference,
    QueueSettings, RonaAction, SkillNeed, WorkItemId, WrapEndedBy,
};
use crate::base::{Duration, Instant, Now};

/// One AgentOffer that the reference would make: this work item to this agent.
pub type Given = (WorkItemId, Arc<str>);

#[derive(Clone, PartialEq, Debug)]
enum Work {
    Idle,
    Rung {
        item: WorkItemId,
        offer: Option<OfferId>,
        alerted: bool,
        answered: bool,
    },
    Talking {
        item: WorkItemId,
        queue: Arc<str>,
        offer: Option<OfferId>,
    },
    Wrap {
        item: WorkItemId,
        queue: Arc<str>,
        until: Instant,
        hard: Instant,
        timed: bool,
        misses: bool,
    },
}

struct Agent {
    extension: Arc<str>,
    logged_in: bool,
    leaving: bool,
    ready: bool,
    next: Option<bool>,
    work: Work,
    ringable: u32,
    unreachable: bool,
    live: u32,
    live_since: Instant,
    cooldown_until: Instant,
    rona: u32,
    /// Idle clock: what it gathered, and since when it runs.
    gathered: i64,
    runs_since: Option<Instant>,
    offers: u64,
    handled: Vec<Instant>,
    /// Time worked and time free, in nanoseconds.
    busy: u128,
    free: u128,
    booked_to: Instant,
}

/// What makes a work item a callback.
struct Promise {
    number: Arc<str>,
    agent: Option<Arc<str>>,
    expires: Instant,
    attempts: usize,
    postponed: bool,
    /// The next try; it stands in no line until then.
    due: Option<Instant>,
}

struct Item {
    id: WorkItemId,
    queue: Arc<str>,
    class: u8,
    virtual_start: i64,
    number: u64,
    entered: Instant,
    skills: Vec<SkillNeed>,
    /// The extension that waits, if it is one.
    caller: Option<Arc<str>>,
    prefer: Option<Preference>,
    promise: Option<Promise>,
    /// Arrival, or entry, in nanoseconds: what the head start is taken from.
    aged_from: i64,
    /// Stretches of waiting after which it was promoted.
    promoted: u128,
    /// Agents who may not have it again for a while, and since when.
    refused_by: Vec<(Arc<str>, Instant)>,
}

#[derive(Clone, PartialEq, Debug)]
enum Timer {
    Ring(WorkItemId, Arc<str>, u64),
    Wrap(Arc<str>, u64),
    Grace(Arc<str>, u64),
    Logout(Arc<str>, u64),
}

/// The reference. Feed it every command that the ACD gets, and [`ReferenceAcd::on_time`] whenever the ACD gets the time.
pub struct ReferenceAcd {
    settings: AcdSettings,
    agents: Vec<Agent>,
    items: Vec<Item>,
    toggles: Vec<(Arc<str>, Arc<str>, bool)>,
    last_offered: Vec<(Arc<str>, Arc<str>)>,
    /// Deadline, number in the order of arming, purpose.
    timers: Vec<(Instant, u64, Timer)>,
    armed: u64,
    number: u64,
    given: Vec<Given>,
    /// Work items of which it was said what came.
    disposed: Vec<WorkItemId>,
}

fn nanos(at: Instant) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

fn nanos_of(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl ReferenceAcd {
    /// A reference with everybody logged out.
    pub fn new(settings: AcdSettings) -> Self {
        let agents = settings.agents.iter().map(|of| Agent {
            extension: of.extension.clone(),
            logged_in: false,
            leaving: false,
            ready: false,
            next: None,
            work: Work::Idle,
            ringable: 0,
            unreachable: false,
            live: 0,
            live_since: Instant::ZERO,
            cooldown_until: Instant::ZERO,
            rona: 0,
            gathered: 0,
            runs_since: None,
            offers: 0,
            handled: Vec::new(),
            busy: 0,
            free: 0,
            booked_to: Instant::ZERO,
        });
        ReferenceAcd {
            agents: agents.collect(),
            settings,
            items: Vec::new(),
            toggles: Vec::new(),
            last_offered: Vec::new(),
            timers: Vec::new(),
            armed: 0,
            number: 0,
            given: Vec::new(),
            disposed: Vec::new(),
        }
    }

    /// Handles a command and returns the AgentOffers that it leads to, in order. Tell the reference the ids of these AgentOffers with
    /// [`ReferenceAcd::name`] before the next command.
    pub fn handle(&mut self, now: Now, command: &AcdCommand) -> Vec<Given> {
        self.book(now.mono);
        self.promote(now.mono);
        self.keep_promises(now.mono);
        self.apply(now, command);
        self.keep_promises(now.mono);
        self.give(now.mono);
        std::mem::take(&mut self.given)
    }

    /// Handles what is due and returns the AgentOffers that it leads to.
    pub fn on_time(&mut self, now: Now) -> Vec<Given> {
        let now = now.mono;
        self.book(now);
        self.promote(now);
        self.keep_promises(now);
        loop {
            self.timers.sort_by_key(|(at, number, _)| (*at, *number));
            match self.timers.first() {
                Some((at, _, _)) if *at <= now => {}
                _ => break,
            }
            let (_, _, timer) = self.timers.remove(0);
            self.fire(now, timer);
        }
        self.keep_promises(now);
        self.give(now);
        std::mem::take(&mut self.given)
    }

    /// The id that the ACD gave to an AgentOffer.
    pub fn name(&mut self, offer: OfferId, item: WorkItemId, agent: &str) {
        for a in &mut self.agents {
            if &*a.extension == agent
                && let Work::Rung {
                    item: of,
                    offer: id,
                    ..
                } = &mut a.work
                && *of == item
            {
                *id = Some(offer);
            }
        }
    }

    /// Work items that wait in a queue, in the order in which they will be served.
    pub fn waiting(&self, queue: &str) -> Vec<WorkItemId> {
        let stands = |i: &&Item| &*i.queue == queue && !i.parked();
        let mut items: Vec<&Item> = self.items.iter().filter(stands).collect();
        items.sort_by_key(|i| (i.class, i.virtual_start, i.number));
        items.into_iter().map(|i| i.id).collect()
    }

    fn arm(&mut self, at: Instant, timer: impl FnOnce(u64) -> Timer) -> u64 {
        self.armed += 1;
        self.timers.push((at, self.armed, timer(self.armed)));
        self.armed
    }

    fn disarm(&mut self, matches: impl Fn(&Timer) -> bool) {
        self.timers.retain(|(_, _, timer)| !matches(timer));
    }

    fn index(&self, agent: &str) -> Option<usize> {
        self.agents.iter().position(|a| &*a.extension == agent)
    }

    fn by_offer(&self, id: OfferId) -> Option<usize> {
        self.agents
            .iter()
            .position(|a| matches!(&a.work, Work::Rung { offer: Some(offer), .. } if *offer == id))
    }

    fn queue(&self, name: &str) -> Option<&QueueSettings> {
        self.settings.queues.iter().find(|q| &*q.name == name)
    }

    /// Books the time up to now as what each agent does.
    fn book(&mut self, now: Instant) {
        for a in &mut self.agents {
            let span = now.since(a.booked_to).as_nanos();
            a.booked_to = now;
            match a.work {
                _ if !a.logged_in => {}
                Work::Talking { .. } | Work::Wrap { .. } => a.busy += span,
                Work::Idle if a.ready && !a.unreachable => a.free += span,
                Work::Idle | Work::Rung { .. } => {}
            }
        }
    }

    fn apply(&mut self, at: Now, command: &AcdCommand) {
        let now = at.mono;
        match command {
            AcdCommand::Enter {
                item,
                queue,
                arrival,
                credit,
                class,
                skills,
                prefer,
                caller,
                ..
            } => {
                if self.items.iter().any(|i| i.id == *item) {
                    return;
                }
                let Some(of) = self.queue(queue) else { return };
                let head_start = nanos_of((*credit + of.credit) * of.weight);
                let aged_from = match of.age_scope {
                    AgeScope::Work => nanos(arrival.mono),
                    AgeScope::Queue => nanos(now),
                };
                self.number += 1;
                self.items.push(Item {
                    id: *item,
                    queue: queue.clone(),
                    class: *class,
                    virtual_start: aged_from - head_start,
                    aged_from,
                    promoted: 0,
                    caller: caller.extension.clone(),
                    prefer: prefer.clone(),
                    promise: None,
                    number: self.number,
                    entered: now,
                    skills: skills.clone(),
                    refused_by: Vec::new(),
                });
            }
            // no queue of a simulation has hours, and why nothing rings changes nothing
            AcdCommand::QueueHours { .. } | AcdCommand::Silent { .. } => {}
            AcdCommand::CallerIs { item, caller } => {
                if let Some(known) = self.items.iter_mut().find(|i| i.id == *item) {
                    known.caller = caller.extension.clone();
                }
            }
            AcdCommand::Withdraw { item, .. } => self.withdraw(now, *item),
            AcdCommand::Rekey { item, to, .. } => self.rekey(*item, *to),
            AcdCommand::Login { agent } => {
                if let Some(i) = self.index(agent) {
                    self.login(now, i);
                }
            }
            AcdCommand::Logout { agent } => {
                if let Some(i) = self.index(agent) {
                    self.logout(now, i);
                }
            }
            AcdCommand::SetStatus { agent, status } => {
                if let Some(i) = self.index(agent) {
                    self.set_status(now, i, status);
                }
            }
            AcdCommand::EndWrap { agent, by } => {
                if let Some(i) = self.index(agent)
                    && (*by == WrapEndedBy::Supervisor || !self.misses(i))
                {
                    self.end_wrap(now, i);
                }
            }
            AcdCommand::ExtendWrap { agent, by } => {
                if let Some(i) = self.index(agent)
                    && let Work::Wrap { until, hard, .. } = &mut self.agents[i].work
                {
                    *until = (*until + *by).min(*hard);
                    self.arm_wrap(i);
                }
            }
            AcdCommand::Dispose { item, code } => self.dispose(now, *item, code),
            AcdCommand::Decline { offer, reason } => {
                if let Some(i) = self.by_offer(*offer) {
                    self.decline(now, i, reason.as_deref());
                }
            }
            AcdCommand::QueueLogin { agent, queue, on } => {
                for q in self.settings.queues.clone() {
                    if queue.as_ref().is_none_or(|name| *name == q.name) {
                        self.toggles
                            .retain(|(a, of, _)| !(a == agent && *of == q.name));
                        self.toggles.push((agent.clone(), q.name, *on));
                    }
                }
            }
            AcdCommand::Devices { agent, ringable } => {
                if let Some(i) = self.index(agent) {
                    self.agents[i].ringable = *ringable;
                    self.watch(now, i);
                }
            }
            AcdCommand::Live { agent, calls } => {
                if let Some(i) = self.index(agent) {
                    let a = &mut self.agents[i];
                    if a.live == 0 && *calls > 0 {
                        a.live_since = now;
                    }
                    if a.live > 0
                        && *calls == 0
                        && now.since(a.live_since) >= Duration::from_secs(20)
                    {
                        reset_idle(a, now);
                    }
                    a.live = *calls;
                }
            }
            AcdCommand::Alerting { offer } => {
                if let Some(i) = self.by_offer(*offer)
                    && let Work::Rung {
                        alerted,
                        answered: false,
                        ..
                    } = &mut self.agents[i].work
                {
                    *alerted = true;
                }
            }
            AcdCommand::Answered { offer, .. } => self.answered(now, *offer),
            AcdCommand::Bridged { offer } => self.bridged(now, *offer),
            AcdCommand::OfferEnded { offer, outcome } => {
                if let Some(i) = self.by_offer(*offer) {
                    self.offer_ended(now, i, *outcome);
                }
            }
            AcdCommand::SegmentEnded { item, agent, by } => {
                if let Some(i) = self.index(agent) {
                    self.segment_ended(now, i, *item, *by);
                }
            }
            AcdCommand::RequestCallback(request) => self.request(now, request),
            AcdCommand::CancelCallback { callback } => self.take_back(now, *callback),
            AcdCommand::CallbackFailed { offer, failure } => {
                self.not_reached(now, *offer, *failure);
            }
            AcdCommand::CallbackPostponed { offer, until } => {
                self.not_yet(now, *offer, until.map(|until| at.mono_at(until)));
            }
            AcdCommand::TakePlace { item, callback } => self.take_place(now, *item, *callback),
            AcdCommand::Configure(_)
            | AcdCommand::Restore(_)
            | AcdCommand::CallbackCalled { .. } => {}
        }
    }

    fn fire(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Ring(item, agent, _) => {
                let Some(i) = self.index(&agent) else { return };
                if let Work::Rung {
                    item: of,
                    alerted,
                    answered: false,
                    ..
                } = &self.agents[i].work
                    && *of == item
                {
                    let outcome = if *alerted {
                        OfferOutcome::NoAnswer
                    } else {
                        OfferOutcome::Unreachable
                    };
                    self.offer_ended(now, i, outcome);
                }
            }
            Timer::Wrap(agent, _) => {
                let Some(i) = self.index(&agent) else { return };
                let misses = self.misses(i);
                match &mut self.agents[i].work {
                    Work::Wrap { until, hard, .. } if misses && *hard > now => {
                        *until = *hard;
                        self.arm_wrap(i);
                    }
                    _ => self.end_wrap(now, i),
                }
            }
            Timer::Grace(agent, _) => {
                if let Some(i) = self.index(&agent) {
                    self.agents[i].unreachable = true;
                    let name = agent.clone();
                    self.arm(now + Duration::from_secs(900), |n| Timer::Logout(name, n));
                }
            }
            Timer::Logout(agent, _) => {
                if let Some(i) = self.index(&agent) {
                    self.logout(now, i);
                }
            }
        }
    }

    fn watch(&mut self, now: Instant, i: usize) {
        let name = self.agents[i].extension.clone();
        let missing = self.agents[i].logged_in && self.agents[i].ringable == 0;
        let watched = self
            .timers
            .iter()
            .any(|(_, _, t)| matches!(t, Timer::Grace(a, _) | Timer::Logout(a, _) if *a == name));
        if missing && !watched && !self.agents[i].unreachable {
            self.arm(now + Duration::from_secs(20), |n| Timer::Grace(name, n));
        } else if !missing {
            self.agents[i].unreachable = false;
            self.disarm(|t| matches!(t, Timer::Grace(a, _) | Timer::Logout(a, _) if *a == name));
        }
    }

    fn login(&mut self, now: Instant, i: usize) {
        let a = &mut self.agents[i];
        if a.logged_in {
            a.leaving = false;
            return;
        }
        a.logged_in = true;
        a.ready = false;
        a.next = None;
        a.rona = 0;
        a.offers = 0;
        a.handled.clear();
        a.gathered = 0;
        a.runs_since = None;
        self.watch(now, i);
    }

    fn logout(&mut self, now: Instant, i: usize) {
        if !self.agents[i].logged_in {
            return;
        }
        self.agents[i].leaving = true;
        match self.agents[i].work.clone() {
            Work::Idle => self.released(now, i),
            Work::Rung {
                answered: false, ..
            } => self.drop_offer(now, i),
            Work::Rung { .. } | Work::Talking { .. } => {}
            Work::Wrap { .. } => self.end_wrap(now, i),
        }
    }

    fn set_ready(&mut self, now: Instant, i: usize, ready: bool) {
        let a = &mut self.agents[i];
        if ready && a.runs_since.is_none() {
            a.runs_since = Some(now);
        }
        if !ready && let Some(since) = a.runs_since.take() {
            a.gathered += nanos_of(now.since(since));
        }
        a.ready = ready;
    }

    fn set_status(&mut self, now: Instant, i: usize, status: &AgentStatus) {
        let ready = *status == AgentStatus::Ready;
        if !self.agents[i].logged_in {
            return;
        }
        match self.agents[i].work {
            Work::Idle => {
                self.agents[i].next = None;
                self.set_ready(now, i, ready);
            }
            Work::Wrap { misses: false, .. } if self.settings.agents[i].status_change_ends_wrap => {
                self.agents[i].next = Some(ready);
                self.end_wrap(now, i);
            }
            Work::Wrap { .. } | Work::Rung { .. } | Work::Talking { .. } => {
                self.agents[i].next = Some(ready);
            }
        }
    }

    /// The agent has nothing to do any more.
    fn released(&mut self, now: Instant, i: usize) {
        self.agents[i].work = Work::Idle;
        if self.agents[i].leaving {
            self.agents[i].leaving = false;
            self.agents[i].logged_in = false;
            self.agents[i].next = None;
            self.agents[i].cooldown_until = Instant::ZERO;
            self.set_ready(now, i, false);
            self.watch(now, i);
        } else if let Some(next) = self.agents[i].next.take() {
            self.set_ready(now, i, next);
        }
    }

    fn drop_offer(&mut self, now: Instant, i: usize) {
        let name = self.agents[i].extension.clone();
        self.disarm(|t| matches!(t, Timer::Ring(_, a, _) if *a == name));
        self.released(now, i);
    }

    fn withdraw(&mut self, now: Instant, id: WorkItemId) {
        self.items.retain(|item| item.id != id);
        for i in 0..self.agents.len() {
            match self.agents[i].work.clone() {
                Work::Rung { item, .. } if item == id => self.drop_offer(now, i),
                Work::Talking { item, .. } if item == id => {
                    self.segment_ended(now, i, id, EndedBy::Customer);
                }
                _ => {}
            }
        }
    }

    fn answered(&mut self, now: Instant, offer: OfferId) {
        let Some(i) = self.by_offer(offer) else {
            return;
        };
        let Work::Rung { item, answered, .. } = &mut self.agents[i].work else {
            return;
        };
        *answered = true;
        let (item, name) = (*item, self.agents[i].extension.clone());
        self.agents[i].rona = 0;
        self.disarm(|t| matches!(t, Timer::Ring(_, a, _) if *a == name));
        for other in 0..self.agents.len() {
            if other != i
                && matches!(&self.agents[other].work, Work::Rung { item: of, .. } if *of == item)
            {
                self.drop_offer(now, other);
            }
        }
    }

    fn bridged(&mut self, now: Instant, offer: OfferId) {
        let Some(i) = self.by_offer(offer) else {
            return;
        };
        self.answered(now, offer);
        let Work::Rung { item, offer, .. } = self.agents[i].work.clone() else {
            return;
        };
        let Some(at) = self.items.iter().position(|of| of.id == item) else {
            return;
        };
        let queue = self.items.remove(at).queue;
        self.agents[i].work = Work::Talking { item, queue, offer };
    }

    fn offer_ended(&mut self, now: Instant, i: usize, outcome: OfferOutcome) {
        let Work::Rung { item, answered, .. } = self.agents[i].work.clone() else {
            return;
        };
        let name = self.agents[i].extension.clone();
        let pause = |secs| now + Duration::from_secs(secs);
        let mut refused = answered;
        let mut cooldown = Instant::ZERO;
        let (mut rona, mut declined) = (false, false);
        match outcome {
            OfferOutcome::CallerGone => return self.withdraw(now, item),
            OfferOutcome::NoMedia => {
                cooldown = pause(30);
                refused = false;
            }
            _ if answered => {}
            OfferOutcome::NoAnswer => {
                refused = true;
                rona = true;
            }
            OfferOutcome::Declined | OfferOutcome::Failed(603) => {
                refused = true;
                declined = true;
            }
            OfferOutcome::Unreachable | OfferOutcome::Failed(404 | 408 | 430 | 480) => {
                cooldown = pause(30)
            }
            OfferOutcome::Busy | OfferOutcome::Failed(_) => cooldown = pause(10),
        }
        if refused && let Some(of) = self.items.iter_mut().find(|of| of.id == item) {
            of.refused_by.retain(|(agent, _)| *agent != name);
            of.refused_by.push((name.clone(), now));
        }
        self.agents[i].cooldown_until = self.agents[i].cooldown_until.max(cooldown);
        self.disarm(|t| matches!(t, Timer::Ring(_, a, _) if *a == name));
        self.agents[i].work = Work::Idle;
        if rona {
            self.rona(now, i, item);
        }
        if declined {
            let of = self.items.iter().find(|of| of.id == item);
            let of = of.and_then(|of| self.queue(&of.queue));
            let action = of.map_or(RonaAction::NextOnly, |of| of.decline.action);
            self.act_on(now, i, action);
        }
        self.released(now, i);
    }

    fn rona(&mut self, now: Instant, i: usize, item: WorkItemId) {
        let rona = self
            .items
            .iter()
            .find(|of| of.id == item)
            .and_then(|of| self.queue(&of.queue))
            .map(|q| q.rona)
            .unwrap_or_default();
        self.agents[i].rona += 1;
        if self.agents[i].rona < rona.after.max(1) {
            return;
        }
        self.agents[i].rona = 0;
        self.act_on(now, i, rona.action);
    }

    fn act_on(&mut self, now: Instant, i: usize, action: RonaAction) {
        match action {
            RonaAction::NotReady => {
                if self.agents[i].next != Some(false) {
                    self.agents[i].next = None;
                    self.set_ready(now, i, false);
                }
            }
            RonaAction::Cooldown(time) => {
                self.agents[i].cooldown_until = self.agents[i].cooldown_until.max(now + time);
            }
            RonaAction::NextOnly => {}
        }
    }
}

fn reset_idle(agent: &mut Agent, now: Instant) {
    agent.gathered = 0;
    if agent.runs_since.is_some() {
        agent.runs_since = Some(now);
    }
}

mod callbacks;
mod giving;
mod keys;
#[cfg(test)]
mod tests;
mod wrapping;
