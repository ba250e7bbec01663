//! The tries of a callback: what follows when its customer could not be had, or may not be called yet.

use super::callback::CallbackFailure;
use super::command::{OfferId, WorkItemId};
use super::core::{Acd, Cx};
use super::effect::CancelReason;
use super::event::{AcdEvent, CallbackEnd, OfferResult};
use super::explain::Trigger;
use super::item::{Item, nanos_at};
use super::metrics::millis;
use super::queue::Queue;
use super::record::AcdRecord;
use super::view::ItemState;
use crate::base::{Duration, Ulid, WallTime};

/// Until a callback that may not be called now is offered again, where nobody knows when it may.
const POSTPONED: Duration = Duration::from_secs(60);
/// The least of it.
const POSTPONED_MIN: Duration = Duration::from_secs(1);

/// Takes a callback out of its line until its next try.
fn park(cx: &mut Cx, item: &mut Item, queue: &mut Queue, wait: Duration, postponed: bool) {
    if let Some(callback) = item.callback.as_deref_mut() {
        callback.due = Some((cx.now.mono + wait, cx.now.wall + wait));
        callback.postponed = postponed;
    }
    item.parked = true;
    item.state = ItemState::Later;
    let what = match postponed {
        true => "postponed",
        false => "customer-not-reached",
    };
    item.note(cx.now.wall, what, None, "");
    queue.leave(item);
    cx.journal(AcdRecord::Item(item.record()));
}

impl Acd {
    /// The call in which the customer is called is the work item's from now on.
    pub(super) fn callback_called(&mut self, offer: OfferId, call: Ulid) {
        let offer = self.offers.get(&offer).filter(|offer| offer.answered);
        let item = offer.and_then(|offer| self.items.get_mut(&offer.item));
        if let Some(item) = item.filter(|item| item.callback.is_some()) {
            item.call = call;
        }
    }

    /// The agent took it, and the customer could not be had: the agent is free, without a mark, and the customer is called later.
    pub(super) fn callback_failed(&mut self, cx: &mut Cx, offer: OfferId, why: CallbackFailure) {
        let Some(id) = self
            .offers
            .get(&offer)
            .filter(|o| o.answered)
            .map(|o| o.item)
        else {
            return;
        };
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        let Some(callback) = item.callback.as_deref_mut() else {
            return;
        };
        callback.attempts += 1;
        let attempts = callback.attempts;
        let Some(queue) = self.queues.get_mut(item.queue) else {
            return;
        };
        queue.counters.callbacks.attempts_failed += 1;
        self.dirty_queues.insert(item.queue);
        let retries = queue
            .settings
            .callback
            .as_ref()
            .map(|c| c.retries.as_slice());
        // A number that may not be called will not be allowed later.
        let again = retries
            .filter(|_| why != CallbackFailure::NotAllowed)
            .and_then(|retries| retries.get(attempts as usize - 1))
            .copied();
        if let Some(again) = again {
            park(cx, item, queue, again, false);
        }
        cx.event(AcdEvent::CallbackTried {
            callback: id,
            attempts,
            failure: why,
            again_in_ms: again.map(millis),
        });
        self.end_offer(cx, offer, OfferResult::CustomerNotReached, None);
        match again {
            Some(_) => self.parked(cx, id),
            None => self.end_callback(cx, id, CallbackEnd::Failed),
        }
    }

    /// The agent took it, and the customer may not be called before `until`: no try was made. It has its place again when it may.
    pub(super) fn callback_postponed(
        &mut self,
        cx: &mut Cx,
        offer: OfferId,
        until: Option<WallTime>,
    ) {
        let answered = self.offers.get(&offer).filter(|offer| offer.answered);
        let Some(id) = answered.map(|offer| offer.item) else {
            return;
        };
        let item = self.items.get_mut(&id).filter(|i| i.callback.is_some());
        let Some(item) = item else {
            return;
        };
        let Some(queue) = self.queues.get_mut(item.queue) else {
            return;
        };
        let wait = until.map_or(POSTPONED, |until| until.since(cx.now.wall));
        let wait = wait.max(POSTPONED_MIN);
        park(cx, item, queue, wait, true);
        self.dirty_queues.insert(item.queue);
        cx.event(AcdEvent::CallbackPostponed {
            callback: id,
            again_in_ms: millis(wait),
        });
        self.end_offer(cx, offer, OfferResult::CustomerNotReached, None);
        self.parked(cx, id);
    }

    /// Others who ring for it have nothing to answer any more, and it waits for its next try, or its end.
    fn parked(&mut self, cx: &mut Cx, id: WorkItemId) {
        self.cancel_all(cx, id, CancelReason::Withdrawn);
        if !self.expire_if_due(cx, id) {
            self.arm_wake(cx.now.mono, id);
        }
    }

    /// The next try is due. The first has the place of the request still; later ones age from when they were due, but for those that
    /// were only postponed.
    pub(super) fn try_again(&mut self, cx: &mut Cx, id: WorkItemId) {
        let Some(item) = self.items.get_mut(&id).filter(|item| item.parked) else {
            return;
        };
        let Some(queue) = self.queues.get_mut(item.queue) else {
            return;
        };
        let Some(callback) = item.callback.as_deref_mut() else {
            return;
        };
        let due = callback.due.take();
        let before = (item.order, item.credit);
        if let Some((due, wall)) = due
            && callback.attempts > 1
            && !callback.postponed
        {
            item.order.vts = nanos_at(due);
            (item.aged_from, item.credit) = (wall, Duration::ZERO);
        }
        callback.postponed = false;
        item.parked = false;
        item.state = ItemState::Queued;
        queue.join(item);
        item.note(cx.now.wall, "tried-again", None, "");
        cx.journal(AcdRecord::Item(item.record()));
        let (queue_name, class) = (item.queue_name.clone(), item.order.class);
        if before.0 != item.order {
            let position = self
                .items
                .get(&id)
                .and_then(|item| self.callback_place(item));
            cx.event(AcdEvent::Rekeyed {
                item: id,
                queue: queue_name,
                by: "callback-retry".into(),
                class_before: class,
                class,
                credit_before_ms: millis(before.1),
                credit_ms: 0,
                position_before: 0,
                position: position.unwrap_or(0),
            });
        }
        if !self.expire_if_due(cx, id) {
            self.arm_item(cx, id);
            self.open_item(id, Trigger::Timer);
        }
    }
}
