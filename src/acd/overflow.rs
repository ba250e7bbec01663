//! Rules by which work items leave, their timers, and what waiting callers are told.

use super::command::WorkItemId;
use super::core::{Acd, Cx, Timer};
use super::effect::{AcdEffect, LeaveWhy};
use super::event::AcdEvent;
use super::expected_wait;
use super::explain::Trigger;
use super::item::{Item, ItemTimer};
use super::matching::Pending;
use super::queue::{Queue, QueueKey};
use super::settings::{AtClosing, OverflowWhen};
use super::view::ItemState;
use crate::base::{Duration, Instant};

/// Shortest time between announcements.
const ANNOUNCE_MIN: Duration = Duration::from_secs(5);
/// The expected wait is told only to those who have waited this long.
const WAIT_TOLD_AFTER: Duration = Duration::from_secs(120);

/// A rule that applies: why, its word, and the index whose steps go on.
struct Due {
    why: LeaveWhy,
    reason: &'static str,
    steps: Option<usize>,
}

/// The first rule of the queue that applies to the work item now, in file order; the longest wait last. `expected` is the expected
/// wait of one who enters, and nothing later.
fn due(
    now: Instant,
    item: &Item,
    queue: &Queue,
    enters: bool,
    expected: Option<Duration>,
) -> Option<Due> {
    let waited = item.waited(now);
    let over = queue.settings.max_wait.is_some_and(|most| waited >= most);
    let shut = queue.shut && (enters || queue.settings.at_closing == AtClosing::SendOn);
    let lasted = |since: Option<Instant>, time| since.is_some_and(|since| now.since(since) >= time);
    for (index, rule) in queue.settings.overflow.iter().enumerate() {
        let (applies, why, reason) = match rule.when {
            OverflowWhen::Waited(time) => (waited >= time, LeaveWhy::Overflow, "waited"),
            OverflowWhen::MaxWait => (over, LeaveWhy::TimedOut, "max-wait"),
            OverflowWhen::NobodyLoggedIn(time) => (
                lasted(queue.nobody_logged_in, time),
                LeaveWhy::Overflow,
                "nobody-logged-in",
            ),
            OverflowWhen::NobodyReady(time) => (
                lasted(queue.nobody_ready, time),
                LeaveWhy::Overflow,
                "nobody-ready",
            ),
            OverflowWhen::Closed => (shut, LeaveWhy::Closed, "closed"),
            OverflowWhen::Full => (false, LeaveWhy::Full, "full"),
            OverflowWhen::ExpectedWait(most) => (
                expected.is_some_and(|wait| wait > most),
                LeaveWhy::Overflow,
                "expected-wait",
            ),
        };
        if applies {
            return Some(Due {
                why,
                reason,
                steps: Some(index),
            });
        }
    }
    let last = |why, reason| Due {
        why,
        reason,
        steps: None,
    };
    if shut {
        return Some(last(LeaveWhy::Closed, "closed"));
    }
    over.then_some(last(LeaveWhy::TimedOut, "max-wait"))
}

impl Acd {
    /// Lets the work item leave if a rule applies and nobody is being rung for it; an AgentOffer that rings may finish first.
    pub(super) fn leave_if_due(&mut self, cx: &mut Cx, id: WorkItemId) -> bool {
        self.leave_by_rule(cx, id, false, None)
    }

    /// The same for one who has just entered, with the rule about the expected wait.
    pub(super) fn leave_on_entry(&mut self, cx: &mut Cx, id: WorkItemId) -> bool {
        let now = cx.now.mono;
        let expected = self.item_and_queue(id).and_then(|(item, queue)| {
            let mut free = self.reachable(now, item, queue);
            if free.any(|place| self.refusal(now, item, queue, place).is_none()) {
                return None;
            }
            let place = self.place_of(item, queue);
            queue.speed.expected(now, place, queue.wanting)
        });
        self.leave_by_rule(cx, id, true, expected)
    }

    fn leave_by_rule(
        &mut self,
        cx: &mut Cx,
        id: WorkItemId,
        enters: bool,
        expected: Option<Duration>,
    ) -> bool {
        let Some(item) = self.items.get(&id) else {
            return false;
        };
        if !item.queued || !item.offers.is_empty() || item.dormant {
            return false;
        }
        if item.callback.is_some() {
            return self.expire_if_due(cx, id);
        }
        let rule = self
            .queues
            .get(item.queue)
            .and_then(|queue| due(cx.now.mono, item, queue, enters, expected));
        match rule {
            Some(rule) => {
                self.leave(cx, id, rule.why, rule.reason, rule.steps);
                true
            }
            None => false,
        }
    }

    /// Arms everything that a waiting work item waits for.
    pub(super) fn arm_item(&mut self, cx: &mut Cx, id: WorkItemId) {
        self.widen(cx, id);
        self.arm_overflow(cx, id);
        self.arm_wake(cx.now.mono, id);
        self.arm_promotion(cx.now.mono, id);
        let Some((item, queue)) = self.item_and_queue(id) else {
            return;
        };
        let announce = queue.settings.announce.filter(|_| item.callback.is_none());
        let first = announce.map(|announce| {
            let every = announce.every.max(ANNOUNCE_MIN);
            let told = item.waited(cx.now.mono).as_nanos() / every.as_nanos();
            item.entered.mono + every * u32::try_from(told + 1).unwrap_or(u32::MAX)
        });
        self.set_item_timer(id, ItemTimer::Announce, first);
    }

    fn item_and_queue(&self, id: WorkItemId) -> Option<(&Item, &Queue)> {
        let item: &Item = self.items.get(&id)?;
        Some((item, self.queues.get(item.queue)?))
    }

    fn arm_overflow(&mut self, cx: &Cx, id: WorkItemId) {
        let Some((item, queue)) = self.item_and_queue(id) else {
            return;
        };
        if let Some(callback) = &item.callback {
            // Rules about waiting callers are not for those who do not wait on the line.
            // When it is over while somebody is being had, that is looked at when the AgentOffer has ended.
            let expires = Some(callback.expires.max(cx.now.mono))
                .filter(|at| *at > cx.now.mono || item.offers.is_empty());
            self.set_item_timer(id, ItemTimer::Overflow, expires);
            return;
        }
        let waits = queue
            .settings
            .overflow
            .iter()
            .filter_map(|rule| match rule.when {
                OverflowWhen::Waited(time) => Some(time),
                OverflowWhen::MaxWait
                | OverflowWhen::NobodyLoggedIn(_)
                | OverflowWhen::NobodyReady(_)
                | OverflowWhen::Closed
                | OverflowWhen::Full
                | OverflowWhen::ExpectedWait(_) => None,
            });
        let next = waits
            .chain(queue.settings.max_wait)
            .map(|wait| item.entered.mono + wait)
            .filter(|at| *at > cx.now.mono)
            .min();
        self.set_item_timer(id, ItemTimer::Overflow, next);
    }

    pub(super) fn item_timer(&mut self, cx: &mut Cx, id: WorkItemId, timer: ItemTimer) {
        match timer {
            ItemTimer::Overflow => {
                if !self.leave_if_due(cx, id) {
                    self.arm_overflow(cx, id);
                }
            }
            ItemTimer::Wake if self.items.get(&id).is_some_and(|item| item.parked) => {
                self.try_again(cx, id);
            }
            ItemTimer::Wake => {
                self.widen(cx, id);
                self.arm_wake(cx.now.mono, id);
                self.pending.push(Pending::Item(id, Trigger::Timer));
            }
            ItemTimer::Promote => self.promote(cx, id),
            ItemTimer::Announce => self.announce(cx, id),
        }
    }

    fn announce(&mut self, cx: &mut Cx, id: WorkItemId) {
        let now = cx.now.mono;
        let Some((item, queue)) = self.item_and_queue(id) else {
            return;
        };
        let Some(announce) = queue.settings.announce else {
            return;
        };
        let position = self.place_of(item, queue);
        let tell_wait = announce.wait && item.waited(now) >= WAIT_TOLD_AFTER;
        let band = tell_wait
            .then(|| queue.speed.expected(now, position, queue.wanting))
            .flatten()
            .map(|wait| expected_wait::announced(item.last_band, expected_wait::band(wait)));
        let speaks = (announce.position || band.is_some()) && item.state != ItemState::Connecting;
        if speaks {
            cx.out.push(AcdEffect::Announce {
                item: id,
                call: item.call,
                position: announce.position.then_some(position),
                wait: band,
            });
        }
        if let Some(item) = self.items.get_mut(&id)
            && speaks
        {
            item.last_band = band.or(item.last_band);
        }
        let next = now + announce.every.max(ANNOUNCE_MIN);
        self.set_item_timer(id, ItemTimer::Announce, Some(next));
    }

    /// Arms the next moment at which a rule about the staff would apply to those who wait.
    pub(super) fn arm_queue_rules(&mut self, cx: &Cx, key: QueueKey) {
        let Some(queue) = self.queues.get_mut(key) else {
            return;
        };
        if let Some(timer) = queue.rule_timer.take() {
            self.timers.cancel(timer);
        }
        if queue.line.is_empty() {
            return;
        }
        let next = queue
            .settings
            .overflow
            .iter()
            .filter_map(|rule| match rule.when {
                OverflowWhen::NobodyLoggedIn(time) => queue.nobody_logged_in.map(|at| at + time),
                OverflowWhen::NobodyReady(time) => queue.nobody_ready.map(|at| at + time),
                OverflowWhen::Waited(_)
                | OverflowWhen::MaxWait
                | OverflowWhen::Closed
                | OverflowWhen::Full
                | OverflowWhen::ExpectedWait(_) => None,
            })
            .filter(|at| *at > cx.now.mono)
            .min();
        queue.rule_timer = next.map(|at| self.timers.set(at, Timer::QueueRules(key)));
    }

    /// The hours of a queue begin or end. Who waits on the line when they end is served or sent on, as the queue says; callbacks keep their
    /// places and are not called before it opens.
    pub(super) fn queue_hours(&mut self, cx: &mut Cx, name: &std::sync::Arc<str>, open: bool) {
        let Some(key) = self.queue_names.get(name).copied() else {
            return;
        };
        let Some(queue) = self.queues.get_mut(key) else {
            return;
        };
        if queue.shut != open {
            return;
        }
        queue.shut = !open;
        *queue.busy.get_mut() = None;
        let waiting: Vec<WorkItemId> = queue.line.iter().map(|order| order.item).collect();
        self.dirty_queues.insert(key);
        cx.event(AcdEvent::QueueHours {
            queue: name.clone(),
            open,
        });
        if open {
            self.pending.push(Pending::Queue(key));
            return;
        }
        for id in waiting {
            self.leave_if_due(cx, id);
        }
    }

    /// The staff has gone, or has been gone for long enough: rules are looked at for everyone who waits.
    pub(super) fn queue_rules_due(&mut self, cx: &mut Cx, key: QueueKey) {
        let Some(queue) = self.queues.get(key) else {
            return;
        };
        let about_staff = queue.settings.overflow.iter().any(|rule| match rule.when {
            OverflowWhen::NobodyLoggedIn(_) | OverflowWhen::NobodyReady(_) => true,
            OverflowWhen::Waited(_)
            | OverflowWhen::MaxWait
            | OverflowWhen::Closed
            | OverflowWhen::Full
            | OverflowWhen::ExpectedWait(_) => false,
        });
        if about_staff {
            let waiting: Vec<WorkItemId> = queue.line.iter().map(|order| order.item).collect();
            for id in waiting {
                self.leave_if_due(cx, id);
            }
            self.arm_queue_rules(cx, key);
        }
    }
}
