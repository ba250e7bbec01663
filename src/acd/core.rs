//! The single writer: owns all state, takes one command or timer at a time, settles what can be matched, and journals what changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::agent::{Agent, AgentKey};
use super::command::{AcdCommand, OfferId, Withdrawal, WorkItemId};
use super::effect::AcdEffect;
use super::event::{AcdEvent, OfferResult};
use super::history::History;
use super::item::{Item, ItemTimer};
use super::lease::Tokens;
use super::matching::Pending;
use super::offers::AgentOffer;
use super::queue::{Queue, QueueKey};
use super::record::AcdRecord;
use crate::base::{Arena, Duration, Entropy, Instant, Now, TimerQueue};

/// How long a handled call counts for `fewest-calls`.
const HANDLED_WINDOW: Duration = Duration::from_secs(8 * 3600);
/// How often the sums are recomputed while there is anything to audit.
const AUDIT_EVERY: Duration = Duration::from_secs(1);

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    Ring(OfferId),
    Wrap(AgentKey),
    Cooldown(AgentKey),
    Grace(AgentKey),
    UnreachableLogout(AgentKey),
    Item(WorkItemId, ItemTimer),
    QueueRules(QueueKey),
    Audit,
}

/// A rule that can be broken on purpose, to prove that a checker sees it.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrokenRule {
    /// Wrap-up does not keep AgentOffers away.
    OfferDuringWrap,
}

/// One step: the time, and where its effects go.
pub(super) struct Cx<'a> {
    pub now: Now,
    pub out: &'a mut Vec<AcdEffect>,
}

impl Cx<'_> {
    pub(super) fn event(&mut self, event: AcdEvent) {
        self.out.push(AcdEffect::Event(event));
    }

    pub(super) fn journal(&mut self, record: AcdRecord) {
        self.out.push(AcdEffect::Journal(record));
    }
}

/// The automatic call distributor of one tenant.
pub struct Acd {
    pub(super) entropy: Entropy,
    pub(super) agents: Arena<Agent>,
    pub(super) agent_names: BTreeMap<Arc<str>, AgentKey>,
    pub(super) queues: Arena<Queue>,
    pub(super) queue_names: BTreeMap<Arc<str>, QueueKey>,
    /// Queued or connected work items.
    /// In boxes: the nodes of a tree that only grows at its end are half empty.
    pub(super) items: BTreeMap<WorkItemId, Box<Item>>,
    pub(super) history: History,
    /// Open callbacks by queue and number: a number has one in its scope.
    pub(super) callbacks: BTreeMap<(QueueKey, Arc<str>), WorkItemId>,
    pub(super) offers: BTreeMap<OfferId, AgentOffer>,
    /// AgentOffers that won and whose call goes on.
    pub(super) bridged: BTreeSet<OfferId>,
    /// AgentOffers that ended, so that a late answer is told why.
    pub(super) dead_offers: BTreeMap<OfferId, OfferResult>,
    pub(super) timers: TimerQueue<Timer>,
    pub(super) tokens: Tokens,
    pub(super) seq: u64,
    pub(super) pending: Vec<Pending>,
    pub(super) dirty_agents: BTreeSet<AgentKey>,
    pub(super) dirty_queues: BTreeSet<QueueKey>,
    /// Records of agents and queues that are not configured yet.
    pub(super) unplaced: BTreeMap<(Arc<str>, Arc<str>), AcdRecord>,
    pub(super) handled: VecDeque<(Instant, AgentKey)>,
    pub(super) audit_armed: bool,
    /// The last queue that was audited; the next second goes on after it.
    pub(super) audited_to: Option<Arc<str>>,
    pub(super) broken: Option<BrokenRule>,
}

impl Acd {
    /// An ACD without queues and agents.
    pub fn new(entropy: Entropy) -> Self {
        Acd {
            entropy,
            agents: Arena::new(),
            agent_names: BTreeMap::new(),
            queues: Arena::new(),
            queue_names: BTreeMap::new(),
            items: BTreeMap::new(),
            history: History::default(),
            callbacks: BTreeMap::new(),
            offers: BTreeMap::new(),
            bridged: BTreeSet::new(),
            dead_offers: BTreeMap::new(),
            timers: TimerQueue::new(),
            tokens: Tokens::default(),
            seq: 0,
            pending: Vec::new(),
            dirty_agents: BTreeSet::new(),
            dirty_queues: BTreeSet::new(),
            unplaced: BTreeMap::new(),
            handled: VecDeque::new(),
            audit_armed: false,
            audited_to: None,
            broken: None,
        }
    }

    /// Handles one command. Effects are appended to `out` in the order in which they are to happen.
    pub fn handle(&mut self, now: Now, command: AcdCommand, out: &mut Vec<AcdEffect>) {
        let mut cx = Cx { now, out };
        self.forget_old(now.mono);
        self.dispatch(&mut cx, command);
        self.settle(&mut cx);
        self.flush(&mut cx);
    }

    /// The earliest deadline; `None` when nothing is under way. Call [`Acd::on_time`] at or after it.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// Handles every timer that is due.
    pub fn on_time(&mut self, now: Now, out: &mut Vec<AcdEffect>) {
        let mut cx = Cx { now, out };
        self.forget_old(now.mono);
        // All of one moment first, the match then: who becomes free together is chosen among together.
        while let Some(timer) = self.timers.pop_due(now.mono) {
            self.fire(&mut cx, timer);
        }
        self.settle(&mut cx);
        self.flush(&mut cx);
    }

    /// Breaks a rule on purpose, so that a simulator can prove that its checkers see it.
    #[doc(hidden)]
    pub fn break_rule(&mut self, rule: BrokenRule) {
        self.broken = Some(rule);
    }

    /// Armed timers, for leak checks.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    fn dispatch(&mut self, cx: &mut Cx, command: AcdCommand) {
        match command {
            AcdCommand::Configure(settings) => self.configure(cx, settings),
            AcdCommand::Enter {
                item,
                queue,
                arrival,
                credit,
                class,
                skills,
                prefer,
                caller,
                call,
            } => {
                let entry = super::entering::Entry {
                    item,
                    queue,
                    arrival,
                    credit,
                    class,
                    skills,
                    prefer,
                    caller,
                    call,
                };
                self.enter(cx, entry);
            }
            AcdCommand::CallerIs { item, caller } => self.caller_is(cx, item, caller),
            AcdCommand::Withdraw { item, cause } => self.withdraw(cx, item, &cause),
            AcdCommand::Rekey { item, to, by } => self.rekey(cx, item, to, &by),
            AcdCommand::QueueHours { queue, open } => self.queue_hours(cx, &queue, open),
            AcdCommand::Login { agent } => self.with_agent(&agent, |acd, key| acd.login(cx, key)),
            AcdCommand::Logout { agent } => self.with_agent(&agent, |acd, key| acd.logout(cx, key)),
            AcdCommand::SetStatus { agent, status } => {
                self.with_agent(&agent, |acd, key| acd.set_status(cx, key, status));
            }
            AcdCommand::EndWrap { agent, by } => {
                self.with_agent(&agent, |acd, key| acd.end_wrap_by(cx, key, by));
            }
            AcdCommand::ExtendWrap { agent, by } => {
                self.with_agent(&agent, |acd, key| acd.extend_wrap(cx, key, by));
            }
            AcdCommand::Dispose { item, code } => self.dispose(cx, item, &code),
            AcdCommand::QueueLogin { agent, queue, on } => {
                self.with_agent(&agent, |acd, key| acd.toggle(cx, key, queue.as_ref(), on));
            }
            AcdCommand::Silent { agent, silent } => {
                self.with_agent(&agent, |acd, key| acd.silent(cx, key, silent));
            }
            AcdCommand::Devices { agent, ringable } => {
                self.with_agent(&agent, |acd, key| acd.devices(cx, key, ringable));
            }
            AcdCommand::Live { agent, calls } => {
                self.with_agent(&agent, |acd, key| acd.live(cx, key, calls));
            }
            AcdCommand::Alerting { offer } => self.alerting(cx, offer),
            AcdCommand::Answered { offer, device } => self.answered(cx, offer, &device),
            AcdCommand::Bridged { offer } => self.bridged(cx, offer),
            AcdCommand::OfferEnded { offer, outcome } => self.offer_ended(cx, offer, outcome),
            AcdCommand::Decline { offer, reason } => self.decline(cx, offer, reason),
            AcdCommand::RequestCallback(request) => self.request_callback(cx, *request),
            AcdCommand::CancelCallback { callback } => {
                self.end_callback(cx, callback, super::event::CallbackEnd::Cancelled);
            }
            AcdCommand::CallbackCalled { offer, call } => self.callback_called(offer, call),
            AcdCommand::CallbackFailed { offer, failure } => {
                self.callback_failed(cx, offer, failure);
            }
            AcdCommand::CallbackPostponed { offer, until } => {
                self.callback_postponed(cx, offer, until);
            }
            AcdCommand::TakePlace { item, callback } => self.take_place(cx, item, callback),
            AcdCommand::SegmentEnded { item, agent, by } => {
                self.with_agent(&agent, |acd, key| acd.segment_ended(cx, item, key, by));
            }
            AcdCommand::Restore(record) => self.restore(cx, record),
        }
    }

    fn fire(&mut self, cx: &mut Cx, timer: Timer) {
        match timer {
            Timer::Ring(offer) => self.ring_timed_out(cx, offer),
            Timer::Wrap(agent) => self.wrap_due(cx, agent),
            Timer::Cooldown(agent) => self.cooldown_over(cx, agent),
            Timer::Grace(agent) => self.grace_over(cx, agent),
            Timer::UnreachableLogout(agent) => self.logout(cx, agent),
            Timer::Item(item, timer) => self.item_timer(cx, item, timer),
            Timer::QueueRules(queue) => self.queue_rules_due(cx, queue),
            Timer::Audit => self.audit_due(cx),
        }
    }

    fn with_agent(&mut self, extension: &Arc<str>, act: impl FnOnce(&mut Self, AgentKey)) {
        if let Some(key) = self.agent_names.get(extension).copied() {
            act(self, key);
        }
    }

    /// Takes handled calls that are older than the window out of `fewest-calls`.
    fn forget_old(&mut self, now: Instant) {
        while let Some((at, agent)) = self.handled.front().copied() {
            if at + HANDLED_WINDOW > now {
                break;
            }
            self.handled.pop_front();
            if let Some(agent) = self.agents.get_mut(agent) {
                agent.handled_in_window = agent.handled_in_window.saturating_sub(1);
            }
            self.restand(now, agent, false);
        }
    }

    /// Journals what changed in this step, and arms the auditor while there is anything to audit.
    fn flush(&mut self, cx: &mut Cx) {
        for key in std::mem::take(&mut self.dirty_agents) {
            let Some(agent) = self.agents.get_mut(key) else {
                continue;
            };
            let record = agent.record();
            if agent.journalled.as_ref() != Some(&record) {
                agent.journalled = Some(record.clone());
                cx.journal(AcdRecord::Agent(record));
            }
        }
        for key in std::mem::take(&mut self.dirty_queues) {
            let Some(queue) = self.queues.get_mut(key) else {
                continue;
            };
            let record = queue.record();
            if queue.journalled.as_ref() != Some(&record) {
                queue.journalled = Some(record.clone());
                cx.journal(AcdRecord::Queue(record));
            }
            if queue.is_spent() {
                self.forget_queue(cx, key);
            }
        }
        self.arm_audit(cx.now.mono);
    }

    fn arm_audit(&mut self, now: Instant) {
        if !self.audit_armed && (!self.items.is_empty() || self.tokens.held() > 0) {
            self.audit_armed = true;
            self.timers.set(now + AUDIT_EVERY, Timer::Audit);
        }
    }

    fn audit_due(&mut self, cx: &mut Cx) {
        self.audit_armed = false;
        let defects = self.audit_some();
        if !defects.is_empty() {
            // Reported first, repaired then.
            for what in defects {
                cx.event(AcdEvent::Defect { what });
            }
            self.repair(cx);
        }
    }

    /// A caller who is gone takes everything along.
    pub(super) fn caller_gone(&mut self, cx: &mut Cx, item: WorkItemId) {
        self.withdraw(cx, item, &Withdrawal::CallerHungUp);
    }
}
