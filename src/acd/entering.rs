//! How work items come into a queue and leave it: every entry is counted once, and every exit once.

use std::sync::Arc;

use super::command::{CallerInfo, EndedBy, Preference, SkillNeed, Withdrawal, WorkItemId};
use super::core::{Acd, Cx, Timer};
use super::effect::{AcdEffect, CancelReason, LeaveWhy};
use super::event::{AcdEvent, CallbackEnd};
use super::explain::Trigger;
use super::item::{Item, ItemTimer, Order, Place, nanos, nanos_at, virtual_start};
use super::matching::Pending;
use super::metrics::{SegmentEnd, millis};
use super::queue::QueueKey;
use super::record::AcdRecord;
use super::settings::{AgeScope, OverflowWhen};
use super::view::ItemState;
use crate::base::{Duration, Instant, Now, Ulid};

/// The fields of [`super::AcdCommand::Enter`].
pub(super) struct Entry {
    pub item: WorkItemId,
    pub queue: Arc<str>,
    pub arrival: Now,
    pub credit: Duration,
    pub class: u8,
    pub skills: Vec<SkillNeed>,
    pub prefer: Option<Preference>,
    pub caller: CallerInfo,
    pub call: Ulid,
}

/// What a closed queue segment was.
#[derive(Clone, Copy)]
pub(super) struct Closed {
    pub waited: Duration,
    pub while_alerting: bool,
    pub short: bool,
}

impl Acd {
    pub(super) fn enter(&mut self, cx: &mut Cx, entry: Entry) {
        let id = entry.item;
        let place = self.queue_names.get(&entry.queue).copied();
        if let Some(item) = self.items.get_mut(&id)
            && item.queued
        {
            if Some(item.queue) == place {
                // Entered already; a restored one whose call lives after all goes on at its place.
                if item.dormant {
                    item.dormant = false;
                    item.call = entry.call;
                    item.note(cx.now.wall, "resumed", None, "");
                    let queue = item.queue;
                    if !self.leave_if_due(cx, id) {
                        self.arm_item(cx, id);
                        self.arm_queue_rules(cx, queue);
                        self.open_item(id, Trigger::Entered);
                    }
                }
                return;
            }
            self.move_out(cx, id);
        }
        let Some(queue_key) = place.filter(|key| self.queues.get(*key).is_some_and(|q| !q.closing))
        else {
            cx.out.push(AcdEffect::Leave {
                item: id,
                call: entry.call,
                queue: entry.queue,
                why: LeaveWhy::NoSuchQueue,
                steps: None,
            });
            return;
        };
        self.admit(cx, entry, queue_key);
    }

    fn admit(&mut self, cx: &mut Cx, entry: Entry, queue_key: QueueKey) {
        let id = entry.item;
        let Some(queue) = self.queues.get_mut(queue_key) else {
            return;
        };
        queue.counters.offered += 1;
        self.dirty_queues.insert(queue_key);
        let full = queue
            .settings
            .max_waiting
            .is_some_and(|most| queue.waiting() >= most);
        self.seq += 1;
        let known = self
            .items
            .remove(&id)
            .map(|item| *item)
            .or_else(|| self.history.take(id));
        let item = Self::build(cx.now, entry, queue_key, &queue.settings, self.seq, known);
        queue.join(&item);
        let Some(queue) = self.queues.get(queue_key) else {
            return;
        };
        let position = self.place_of(&item, queue);
        cx.event(AcdEvent::Queued {
            item: id,
            call: item.call,
            queue: queue.name().clone(),
            position,
            waiting: queue.waiting(),
        });
        cx.journal(AcdRecord::Item(item.record()));
        let steps = queue
            .settings
            .overflow
            .iter()
            .position(|rule| rule.when == OverflowWhen::Full);
        self.items.insert(id, Box::new(item));
        if full {
            self.leave(cx, id, LeaveWhy::Full, "full", steps);
            return;
        }
        if self.leave_on_entry(cx, id) {
            return;
        }
        self.arm_item(cx, id);
        self.arm_queue_rules(cx, queue_key);
        self.open_item(id, Trigger::Entered);
        self.tell_in_line(cx, id);
    }

    /// The work item as it enters: with the arrival, journey and conversation of an earlier stay, if there was one.
    fn build(
        now: Now,
        entry: Entry,
        queue: QueueKey,
        settings: &super::settings::QueueSettings,
        seq: u64,
        known: Option<Item>,
    ) -> Item {
        let weight = settings.weight.max(1);
        let credit = (entry.credit + settings.credit).saturating_mul(weight);
        let mut arrived = virtual_start(entry.arrival.mono.min(now.mono), Duration::ZERO);
        let mut arrival = entry.arrival.wall;
        let (mut journey, mut journey_lost) = (Vec::new(), 0);
        let (mut why, mut talking, mut bypassed) = Default::default();
        let (mut served, mut disposition) = (false, None);
        if let Some(known) = known {
            if known.arrived < arrived {
                (arrived, arrival) = (known.arrived, known.arrival);
            }
            (journey, journey_lost) = (known.journey, known.journey_lost);
            (why, talking, bypassed) = (known.why, known.talking, known.bypassed);
            (served, disposition) = (known.served, known.disposition);
        }
        let (ages, aged_from) = match settings.age_scope {
            AgeScope::Queue => (nanos_at(now.mono), now.wall),
            AgeScope::Work => (arrived, arrival),
        };
        let place = Place {
            queue,
            queue_name: settings.name.clone(),
            arrived,
            arrival,
            entered: now,
            credit,
            order: Order {
                class: entry.class.min(9),
                vts: ages.saturating_sub(nanos(credit)),
                seq,
                item: entry.item,
            },
            aged_from,
        };
        let mut item = Item {
            prefer: entry.prefer.map(Box::new),
            talking,
            served,
            disposition,
            bypassed,
            journey,
            journey_lost,
            why,
            ..Item::waiting(entry.call, entry.caller, entry.skills, place)
        };
        item.note(now.wall, "entered", None, "");
        item
    }

    /// Another party waits in the caller's place. Whoever that is, is not offered it; who was the caller may have it now.
    pub(super) fn caller_is(&mut self, cx: &mut Cx, id: WorkItemId, caller: CallerInfo) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        if item.caller == caller {
            return;
        }
        item.note(cx.now.wall, "caller-changed", None, &*caller.number);
        item.caller = caller;
        if !item.queued {
            return;
        }
        cx.journal(AcdRecord::Item(item.record()));
        let own = item.caller.extension.clone();
        let rung = item.offers.iter().copied().find(|offer| {
            let offer = self.offers.get(offer).filter(|offer| !offer.answered);
            let agent = offer.and_then(|offer| self.agents.get(offer.agent));
            agent.is_some_and(|agent| Some(agent.extension()) == own.as_ref())
        });
        if let Some(offer) = rung {
            self.cancel_offer(cx, offer, CancelReason::Withdrawn);
        }
        self.pending.push(Pending::Item(id, Trigger::CallerChanged));
    }

    /// The work item may be offered from now on.
    pub(super) fn open_item(&mut self, id: WorkItemId, trigger: Trigger) {
        let Some(item) = self.items.get(&id) else {
            return;
        };
        if let Some(queue) = self.queues.get_mut(item.queue) {
            queue.open(item);
            self.pending.push(Pending::Item(id, trigger));
        }
    }

    pub(super) fn withdraw(&mut self, cx: &mut Cx, id: WorkItemId, cause: &Withdrawal) {
        let Some(item) = self.items.get(&id) else {
            return;
        };
        if item.queued && item.callback.is_some() {
            return self.end_callback(cx, id, CallbackEnd::Cancelled);
        }
        if !item.queued {
            // The customer of a connected work item is gone: so are the segments of its agents.
            for agent in item.talking.clone() {
                self.segment_ended(cx, id, agent, EndedBy::Customer);
            }
            return;
        }
        let (end, state, cancel, why): (_, _, _, Arc<str>) = match cause {
            Withdrawal::CallerHungUp => (
                SegmentEnd::Abandoned,
                ItemState::Abandoned,
                CancelReason::CallerGone,
                "caller hung up".into(),
            ),
            Withdrawal::DialplanLeft(reason) => (
                SegmentEnd::FlowedOut(reason.clone()),
                ItemState::FlowedOut,
                CancelReason::Withdrawn,
                reason.clone(),
            ),
            Withdrawal::Api => (
                SegmentEnd::Withdrawn,
                ItemState::Withdrawn,
                CancelReason::Withdrawn,
                "api".into(),
            ),
            Withdrawal::ProcessRestart => (
                SegmentEnd::Failed,
                ItemState::Failed,
                CancelReason::Withdrawn,
                "process-restart".into(),
            ),
        };
        let queue = item.queue_name.clone();
        let Some(closed) = self.close_segment(cx, id, &end) else {
            return;
        };
        self.cancel_all(cx, id, cancel);
        cx.event(if end == SegmentEnd::Abandoned {
            AcdEvent::Abandoned {
                item: id,
                queue,
                waited_ms: millis(closed.waited),
                while_alerting: closed.while_alerting,
                short: closed.short,
            }
        } else {
            AcdEvent::Withdrawn {
                item: id,
                queue,
                cause: why.clone(),
                waited_ms: millis(closed.waited),
            }
        });
        self.part(cx, id, state, &why);
    }

    /// A work item that enters another queue leaves this one as a flow-out.
    fn move_out(&mut self, cx: &mut Cx, id: WorkItemId) {
        let Some(queue) = self.items.get(&id).map(|item| item.queue_name.clone()) else {
            return;
        };
        let Some(closed) = self.close_segment(cx, id, &SegmentEnd::FlowedOut("moved".into()))
        else {
            return;
        };
        self.cancel_all(cx, id, CancelReason::Withdrawn);
        cx.event(AcdEvent::Withdrawn {
            item: id,
            queue,
            cause: "moved".into(),
            waited_ms: millis(closed.waited),
        });
        self.part(cx, id, ItemState::FlowedOut, "moved");
    }

    /// The work item leaves by rule, and its call goes on with the rule's steps.
    pub(super) fn leave(
        &mut self,
        cx: &mut Cx,
        id: WorkItemId,
        why: LeaveWhy,
        reason: &str,
        steps: Option<usize>,
    ) {
        let Some(item) = self.items.get(&id) else {
            return;
        };
        let (call, queue) = (item.call, item.queue_name.clone());
        let (end, state) = match why {
            LeaveWhy::TimedOut => (SegmentEnd::TimedOut, ItemState::TimedOut),
            LeaveWhy::Overflow | LeaveWhy::Closed | LeaveWhy::Full | LeaveWhy::NoSuchQueue => {
                (SegmentEnd::FlowedOut(reason.into()), ItemState::FlowedOut)
            }
        };
        let Some(closed) = self.close_segment(cx, id, &end) else {
            return;
        };
        self.cancel_all(cx, id, CancelReason::Withdrawn);
        cx.event(AcdEvent::Left {
            item: id,
            queue: queue.clone(),
            why,
            waited_ms: millis(closed.waited),
        });
        cx.out.push(AcdEffect::Leave {
            item: id,
            call,
            queue,
            why,
            steps,
        });
        self.part(cx, id, state, reason);
    }

    /// Ends the queue segment: out of the line, counted, timers off, journalled. `None` when it is in no queue.
    pub(super) fn close_segment(
        &mut self,
        cx: &mut Cx,
        id: WorkItemId,
        end: &SegmentEnd,
    ) -> Option<Closed> {
        let item = self.items.get_mut(&id)?;
        if !item.queued {
            return None;
        }
        let waited = item.waited(cx.now.mono);
        item.queued = false;
        item.dormant = false;
        item.left = Some(cx.now.mono);
        for timer in item.timers.iter_mut().filter_map(Option::take) {
            self.timers.cancel(timer);
        }
        let while_alerting = !item.offers.is_empty();
        let queue = self.queues.get_mut(item.queue)?;
        queue.leave(item);
        let short = queue.settings.short_abandon;
        let within = queue.settings.service_level.within;
        if item.callback.is_some() {
            let age = Duration::from_nanos(
                u64::try_from(nanos_at(cx.now.mono).saturating_sub(item.arrived)).unwrap_or(0),
            );
            let how = queue.count_callback(end, age <= within);
            item.parked = false;
            let event = AcdEvent::CallbackEnded {
                callback: id,
                queue: queue.name().clone(),
                how,
            };
            cx.event(event);
        } else {
            queue
                .counters
                .ended(end, waited, within, short, while_alerting);
        }
        if queue.line.is_empty()
            && let Some(timer) = queue.rule_timer.take()
        {
            self.timers.cancel(timer);
        }
        self.dirty_queues.insert(item.queue);
        let number = item.callback.as_ref().map(|c| c.number.clone());
        if let Some(number) = number {
            self.callbacks.remove(&(item.queue, number));
        }
        cx.journal(AcdRecord::ItemGone { item: id });
        Some(Closed {
            waited,
            while_alerting,
            short: waited < short,
        })
    }

    pub(super) fn cancel_all(&mut self, cx: &mut Cx, id: WorkItemId, reason: CancelReason) {
        let offers = self.items.get(&id).map(|item| item.offers.clone());
        for offer in offers.unwrap_or_default() {
            self.cancel_offer(cx, offer, reason);
        }
    }

    /// After its queue segment, a work item without a conversation goes to the history.
    pub(super) fn part(&mut self, cx: &Cx, id: WorkItemId, state: ItemState, detail: &str) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        item.note(cx.now.wall, "left", None, detail);
        if item.talking.is_empty() {
            item.state = state;
            if let Some(item) = self.items.remove(&id) {
                self.history.keep(*item);
            }
        } else {
            item.state = ItemState::Connected;
        }
    }

    /// Sets or clears one of a work item's timers.
    pub(super) fn set_item_timer(&mut self, id: WorkItemId, timer: ItemTimer, at: Option<Instant>) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        let Some(slot) = item.timers.get_mut(timer as usize) else {
            return;
        };
        if let Some(old) = slot.take() {
            self.timers.cancel(old);
        }
        *slot = at.map(|at| self.timers.set(at, Timer::Item(id, timer)));
    }
}
