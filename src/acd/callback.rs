//! Callbacks: promised at the place that the caller had, one per number, offered like calls, superseded when the customer calls in; how
//! often and when they are tried is in `callback_tries`. The ACD names the number; whether it may be called, and calling it, is the switch's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agent::{Agent, Assignment};
use super::command::{CallerInfo, Preference, SkillNeed, WorkItemId};
use super::core::{Acd, Cx};
use super::effect::{AcdEffect, CancelReason};
use super::event::{AcdEvent, CallbackEnd};
use super::explain::Trigger;
use super::item::{Item, ItemTimer, Order, Place, nanos, nanos_at, needs_of};
use super::metrics::{CHOSE_CALLBACK, SegmentEnd, millis};
use super::queue::{Queue, QueueKey};
use super::record::{AcdRecord, CallbackRecord};
use super::settings::CallbackScope;
use super::view::ItemState;
use crate::base::{Duration, Instant, Now, Ulid, WallTime};

/// A request for a callback. The number has been normalised and checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallbackRequest {
    /// Names the callback if it is promised.
    pub callback: WorkItemId,
    /// The waiting work item whose caller asks: it leaves, and the callback has its place.
    pub of: Option<WorkItemId>,
    /// Queue.
    pub queue: Arc<str>,
    /// The agent who is to call back; `None`: anybody of the queue.
    pub agent: Option<Arc<str>>,
    /// Whom to call.
    pub number: Arc<str>,
    /// Head start, without a waiting work item.
    pub credit: Duration,
    /// Class, without a waiting work item.
    pub class: u8,
    /// What an agent must be able to do, without a waiting work item.
    pub skills: Vec<SkillNeed>,
    /// Who should serve it, without a waiting work item.
    pub prefer: Option<Preference>,
    /// Who asks.
    pub caller: CallerInfo,
    /// The call that asks.
    pub call: Ulid,
}

/// What became of a request for a callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackAnswer {
    /// Promised, at this place.
    Promised(u32),
    /// The number has one already; it is kept, and stands at this place, or waits for its next try.
    InLineAlready {
        /// The first one.
        #[schema(value_type = String)]
        callback: WorkItemId,
        /// Its place, 1 is next.
        position: Option<u32>,
    },
    /// Above the cap: the request goes the way of a missed call.
    OverCap,
    /// The queue takes none, or there is no such queue or agent.
    NotTaken,
}

/// Why the customer of a callback could not be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackFailure {
    /// Rang in vain, or could not be reached.
    NoAnswer,
    /// Busy.
    Busy,
    /// Refused.
    Refused,
    /// A machine answered.
    Machine,
    /// A gate does not let the call out.
    NotAllowed,
}

/// What makes a work item a callback.
pub(super) struct Callback {
    pub number: Arc<str>,
    /// Bound to this agent.
    pub agent: Option<Arc<str>>,
    pub expires: Instant,
    pub expires_wall: WallTime,
    pub attempts: u32,
    /// The next try, while it waits for that.
    pub due: Option<(Instant, WallTime)>,
    /// It may not be called before that: no try was made, and its place does not change.
    pub postponed: bool,
}

impl Callback {
    pub(super) fn record(&self) -> CallbackRecord {
        CallbackRecord {
            number: self.number.clone(),
            agent: self.agent.clone(),
            expires: self.expires_wall,
            attempts: self.attempts,
            due: self.due.map(|(_, wall)| wall),
            postponed: self.postponed,
        }
    }

    pub(super) fn restored(now: Now, record: CallbackRecord) -> Callback {
        Callback {
            number: record.number,
            agent: record.agent,
            expires: now.mono_at(record.expires),
            expires_wall: record.expires,
            attempts: record.attempts,
            due: record.due.map(|wall| (now.mono_at(wall), wall)),
            postponed: record.postponed,
        }
    }
}

impl Queue {
    /// Counts the end of a callback; `within` when it came within the service level's time.
    pub(super) fn count_callback(&mut self, end: &SegmentEnd, within: bool) -> CallbackEnd {
        self.promised = self.promised.saturating_sub(1);
        let counters = &mut self.counters.callbacks;
        let (how, counter) = match end {
            SegmentEnd::Answered => {
                counters.connected_within += u64::from(within);
                (CallbackEnd::Connected, &mut counters.connected)
            }
            SegmentEnd::Callback(CallbackEnd::Connected) => {
                (CallbackEnd::Connected, &mut counters.connected)
            }
            SegmentEnd::Failed | SegmentEnd::Callback(CallbackEnd::Failed) => {
                (CallbackEnd::Failed, &mut counters.failed)
            }
            SegmentEnd::TimedOut | SegmentEnd::Callback(CallbackEnd::Expired) => {
                (CallbackEnd::Expired, &mut counters.expired)
            }
            SegmentEnd::Callback(CallbackEnd::Superseded) => {
                (CallbackEnd::Superseded, &mut counters.superseded)
            }
            SegmentEnd::Abandoned
            | SegmentEnd::FlowedOut(_)
            | SegmentEnd::Withdrawn
            | SegmentEnd::Callback(CallbackEnd::Cancelled) => {
                (CallbackEnd::Cancelled, &mut counters.cancelled)
            }
        };
        *counter += 1;
        how
    }
}

impl Acd {
    pub(super) fn request_callback(&mut self, cx: &mut Cx, request: CallbackRequest) {
        let (callback, call) = (request.callback, request.call);
        let (queue, number) = (request.queue.clone(), request.number.clone());
        let answer = self.answer_request(cx, request);
        if !matches!(answer, CallbackAnswer::Promised(_)) {
            cx.event(AcdEvent::CallbackNotPromised {
                queue,
                number,
                why: answer,
            });
        }
        cx.out.push(AcdEffect::CallbackAnswered {
            callback,
            call,
            answer,
        });
    }

    /// True when the queue takes callbacks and has not as many as it may have.
    pub fn takes_callbacks(&self, queue: &str) -> bool {
        let key = self.queue_names.get(queue);
        let queue = key.and_then(|key| self.queues.get(*key));
        queue.filter(|queue| !queue.closing).is_some_and(|queue| {
            let settings = queue.settings.callback.as_ref();
            settings.is_some_and(|of| of.cap.is_none_or(|cap| queue.promised < cap))
        })
    }

    fn answer_request(&mut self, cx: &mut Cx, request: CallbackRequest) -> CallbackAnswer {
        let key = self.queue_names.get(&request.queue).copied();
        let open = |queue: &&mut Queue| !queue.closing;
        let Some((key, queue)) =
            key.and_then(|key| Some((key, self.queues.get_mut(key).filter(open)?)))
        else {
            return CallbackAnswer::NotTaken;
        };
        let Some(settings) = queue.settings.callback.clone() else {
            return CallbackAnswer::NotTaken;
        };
        if let Some(first) = self.callback_of(key, &request.number, settings.scope) {
            self.count_at(key, |queue| queue.counters.callbacks.duplicates += 1);
            let position = self
                .items
                .get(&first)
                .and_then(|item| self.callback_place(item));
            return CallbackAnswer::InLineAlready {
                callback: first,
                position,
            };
        }
        let cap = match &request.agent {
            None => settings.cap,
            Some(agent) => {
                let of = self
                    .agent_names
                    .get(agent)
                    .and_then(|of| self.agents.get(*of));
                let serves = |of: &&Agent| of.assignments.get(&key).is_some_and(Assignment::is_own);
                let Some(of) = of.filter(serves) else {
                    return CallbackAnswer::NotTaken;
                };
                let calls = of.settings.max_concurrent_calls;
                Some(settings.cap.map_or(calls, |cap| cap.min(calls)))
            }
        };
        let have = match &request.agent {
            None => self.queues.get(key).map_or(0, |queue| queue.promised),
            Some(agent) => self.bound_to(agent),
        };
        if cap.is_some_and(|cap| have >= cap) || self.items.contains_key(&request.callback) {
            self.count_at(key, |queue| queue.counters.callbacks.over_cap += 1);
            return CallbackAnswer::OverCap;
        }
        self.promise(cx, key, request, settings.ttl)
    }

    fn count_at(&mut self, key: QueueKey, count: impl FnOnce(&mut Queue)) {
        if let Some(queue) = self.queues.get_mut(key) {
            count(queue);
            self.dirty_queues.insert(key);
        }
    }

    /// The open callback of a number, in this queue or in any.
    fn callback_of(
        &self,
        key: QueueKey,
        number: &Arc<str>,
        scope: CallbackScope,
    ) -> Option<WorkItemId> {
        match scope {
            CallbackScope::Queue => self.callbacks.get(&(key, number.clone())).copied(),
            CallbackScope::Tenant => self
                .queue_names
                .values()
                .find_map(|of| self.callbacks.get(&(*of, number.clone())).copied()),
        }
    }

    /// Open callbacks bound to an agent. O(callbacks), on request only.
    fn bound_to(&self, agent: &Arc<str>) -> u32 {
        let items = self.callbacks.values().filter_map(|id| self.items.get(id));
        let bound = items.filter(|item| {
            let callback = item.callback.as_ref();
            callback.is_some_and(|callback| callback.agent.as_ref() == Some(agent))
        });
        u32::try_from(bound.count()).unwrap_or(u32::MAX)
    }

    pub(super) fn callback_place(&self, item: &Item) -> Option<u32> {
        let queue = self.queues.get(item.queue).filter(|_| !item.parked)?;
        Some(self.place_of(item, queue))
    }

    /// The callback takes the place of the waiting work item that asked for it, exactly; without one, a place of its own.
    fn promise(
        &mut self,
        cx: &mut Cx,
        key: QueueKey,
        request: CallbackRequest,
        ttl: Duration,
    ) -> CallbackAnswer {
        let now = cx.now;
        let id = request.callback;
        let waiting = request
            .of
            .filter(|of| self.items.get(of).is_some_and(|item| item.queued));
        let Some(queue) = self.queues.get(key) else {
            return CallbackAnswer::NotTaken;
        };
        let queue_name = queue.name().clone();
        let weight = queue.settings.weight.max(1);
        let credit = (request.credit + queue.settings.credit).saturating_mul(weight);
        self.seq += 1;
        let place = Place {
            queue: key,
            queue_name: queue_name.clone(),
            arrived: nanos_at(now.mono),
            arrival: now.wall,
            entered: now,
            credit,
            order: Order {
                class: request.class.min(9),
                vts: nanos_at(now.mono).saturating_sub(nanos(credit)),
                seq: self.seq,
                item: id,
            },
            aged_from: now.wall,
        };
        let callback = Callback {
            number: request.number.clone(),
            agent: request.agent,
            expires: now.mono + ttl,
            expires_wall: now.wall + ttl,
            attempts: 0,
            due: None,
            postponed: false,
        };
        let mut item = Item {
            prefer: request.prefer.map(Box::new),
            callback: Some(Box::new(callback)),
            ..Item::waiting(request.call, request.caller, request.skills, place)
        };
        if let Some(of) = waiting.and_then(|of| self.items.get(&of)) {
            (item.arrived, item.arrival, item.entered) = (of.arrived, of.arrival, of.entered);
            (item.credit, item.aged_from) = (of.credit, of.aged_from);
            item.order = Order {
                item: id,
                ..of.order
            };
            (item.skills, item.prefer) = (of.skills.clone(), of.prefer.clone());
            item.needs = needs_of(&item.skills);
        }
        item.note(now.wall, "promised", None, &*request.number);
        if let Some(of) = waiting {
            self.leave_for_callback(cx, of);
        }
        self.items.insert(id, Box::new(item));
        self.callbacks.insert((key, request.number.clone()), id);
        let (Some(item), Some(queue)) = (self.items.get(&id), self.queues.get_mut(key)) else {
            return CallbackAnswer::NotTaken;
        };
        queue.counters.callbacks.promised += 1;
        queue.promised += 1;
        queue.join(item);
        self.dirty_queues.insert(key);
        cx.journal(AcdRecord::Item(item.record()));
        self.arm_item(cx, id);
        let place = self
            .items
            .get(&id)
            .and_then(|item| self.callback_place(item));
        let position = place.unwrap_or(1);
        cx.event(AcdEvent::CallbackPromised {
            callback: id,
            queue: queue_name,
            number: request.number,
            position,
        });
        self.open_item(id, Trigger::Entered);
        CallbackAnswer::Promised(position)
    }

    /// The call that asked for a callback waits no longer: a flow-out by its own choice.
    fn leave_for_callback(&mut self, cx: &mut Cx, id: WorkItemId) {
        let queue = self.items.get(&id).map(|item| item.queue_name.clone());
        let end = SegmentEnd::FlowedOut(CHOSE_CALLBACK.into());
        let (Some(queue), Some(closed)) = (queue, self.close_segment(cx, id, &end)) else {
            return;
        };
        self.cancel_all(cx, id, CancelReason::Withdrawn);
        cx.event(AcdEvent::Withdrawn {
            item: id,
            queue,
            cause: CHOSE_CALLBACK.into(),
            waited_ms: millis(closed.waited),
        });
        self.part(cx, id, ItemState::FlowedOut, CHOSE_CALLBACK);
    }

    /// The callback is over without a conversation.
    pub(super) fn end_callback(&mut self, cx: &mut Cx, id: WorkItemId, how: CallbackEnd) {
        let item = self.items.get(&id);
        if !item.is_some_and(|item| item.queued && item.callback.is_some()) {
            return;
        }
        self.close_segment(cx, id, &SegmentEnd::Callback(how));
        self.cancel_all(cx, id, CancelReason::Withdrawn);
        let (state, why) = match how {
            CallbackEnd::Connected => (ItemState::Ended, "connected"),
            CallbackEnd::Failed => (ItemState::Failed, "failed"),
            CallbackEnd::Expired => (ItemState::TimedOut, "expired"),
            CallbackEnd::Cancelled => (ItemState::Withdrawn, "cancelled"),
            CallbackEnd::Superseded => (ItemState::Withdrawn, "superseded"),
        };
        self.part(cx, id, state, why);
    }

    /// Its time is over, and nobody is being had for it.
    pub(super) fn expire_if_due(&mut self, cx: &mut Cx, id: WorkItemId) -> bool {
        let expired = self.items.get(&id).is_some_and(|item| {
            let callback = item.callback.as_ref();
            callback.is_some_and(|callback| callback.expires <= cx.now.mono)
        });
        if expired {
            self.end_callback(cx, id, CallbackEnd::Expired);
        }
        expired
    }

    /// One who enters and has a callback in line is told so.
    pub(super) fn tell_in_line(&mut self, cx: &mut Cx, id: WorkItemId) {
        let Some(item) = self.items.get(&id).filter(|i| !i.caller.number.is_empty()) else {
            return;
        };
        let Some(scope) = self
            .queues
            .get(item.queue)
            .and_then(|queue| queue.settings.callback.as_ref())
            .map(|callback| callback.scope)
        else {
            return;
        };
        if let Some(callback) = self.callback_of(item.queue, &item.caller.number, scope)
            && let Some(first) = self.items.get(&callback)
        {
            cx.out.push(AcdEffect::InLineAlready {
                item: id,
                call: item.call,
                callback,
                position: self.callback_place(first),
            });
        }
    }

    /// The caller takes the place of the callback, which is superseded: from now on there is one of them.
    pub(super) fn take_place(&mut self, cx: &mut Cx, id: WorkItemId, callback: WorkItemId) {
        let waiting = |id| self.items.get(id).filter(|item| item.queued);
        let (Some(item), Some(first)) = (
            waiting(&id).filter(|item| item.callback.is_none()),
            waiting(&callback).filter(|item| item.callback.is_some()),
        ) else {
            return;
        };
        let older = (first.arrived, first.arrival, first.aged_from);
        let (mut order, credit) = (first.order, first.credit);
        order.item = id;
        let position_before = self.callback_place(item).unwrap_or(0);
        let (before, credit_before) = (item.order, item.credit);
        self.end_callback(cx, callback, CallbackEnd::Superseded);
        let Some(item) = self.items.get_mut(&id).filter(|item| item.queued) else {
            return;
        };
        // Never worse than the place that the caller has already.
        if order < before {
            let Some(queue) = self.queues.get_mut(item.queue) else {
                return;
            };
            let was_open = queue.leave(item);
            (item.arrived, item.arrival, item.aged_from) = older;
            (item.order, item.credit) = (order, credit);
            queue.join(item);
            if was_open {
                queue.open(item);
            }
            item.note(cx.now.wall, "re-keyed", None, "callback-superseded");
            cx.journal(AcdRecord::Item(item.record()));
            let queue = item.queue_name.clone();
            let position = self
                .items
                .get(&id)
                .and_then(|item| self.callback_place(item));
            cx.event(AcdEvent::Rekeyed {
                item: id,
                queue,
                by: "callback-superseded".into(),
                class_before: before.class,
                class: order.class,
                credit_before_ms: millis(credit_before),
                credit_ms: millis(credit),
                position_before,
                position: position.unwrap_or(0),
            });
            self.arm_promotion(cx.now.mono, id);
        }
    }

    /// A callback that came back from the journal: it stands at its place and goes on at once, or waits for its next try.
    pub(super) fn callback_restored(&mut self, cx: &mut Cx, id: WorkItemId) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        let Some(callback) = &item.callback else {
            return;
        };
        self.callbacks
            .insert((item.queue, callback.number.clone()), id);
        if let Some(queue) = self.queues.get_mut(item.queue) {
            queue.promised += 1;
        }
        if item.parked {
            item.state = ItemState::Later;
        }
        let expires = callback.expires.max(cx.now.mono);
        self.set_item_timer(id, ItemTimer::Overflow, Some(expires));
        if self.items.get(&id).is_some_and(|item| item.parked) {
            self.arm_wake(cx.now.mono, id);
        } else {
            self.arm_item(cx, id);
            self.open_item(id, Trigger::Entered);
        }
    }
}
