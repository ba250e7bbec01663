//! Another place for a work item that waits: the only way in which a key changes, once for each order, and never without an event.

use std::sync::Arc;

use super::command::{Priority, WorkItemId};
use super::core::{Acd, Cx};
use super::event::AcdEvent;
use super::item::{ItemTimer, nanos};
use super::metrics::millis;
use super::record::AcdRecord;
use crate::base::{Duration, Instant};

/// How far before the first of the queue `Front` puts a work item. The journal keeps milliseconds, so less would be lost in a restart.
const FRONT_BY: i64 = 1_000_000;

impl Acd {
    pub(super) fn rekey(&mut self, cx: &mut Cx, id: WorkItemId, to: Priority, by: &Arc<str>) {
        let item = self.items.get(&id);
        let Some(item) = item.filter(|item| item.queued && !item.parked) else {
            return;
        };
        let Some(queue) = self.queues.get(item.queue) else {
            return;
        };
        let before = item.order;
        let aged_from = before.vts.saturating_add(nanos(item.credit));
        let (class, credit) = match to {
            Priority::Credit(credit) => (before.class, credit),
            Priority::Class(class) => (class.min(9), item.credit),
            Priority::Front => {
                let Some(first) = queue.line.first().filter(|first| **first != before) else {
                    return;
                };
                let start = first.vts.saturating_sub(FRONT_BY).min(before.vts);
                let credit = aged_from.saturating_sub(start);
                let credit = Duration::from_nanos(u64::try_from(credit).unwrap_or(0));
                (first.class, credit)
            }
        };
        if (class, credit) == (before.class, item.credit) {
            return;
        }
        let position_before = self.place_of(item, queue);
        let of = item.queue;
        let (Some(item), Some(queue)) = (self.items.get_mut(&id), self.queues.get_mut(of)) else {
            return;
        };
        let was_open = queue.leave(item);
        let credit_before = std::mem::replace(&mut item.credit, credit);
        item.order.class = class;
        item.order.vts = aged_from.saturating_sub(nanos(credit));
        queue.join(item);
        if was_open {
            queue.open(item);
        }
        item.note(cx.now.wall, "re-keyed", None, &**by);
        let (key, name) = (item.queue, queue.name().clone());
        cx.journal(AcdRecord::Item(item.record()));
        self.arm_promotion(cx.now.mono, id);
        let position = self
            .items
            .get(&id)
            .zip(self.queues.get(key))
            .map_or(0, |(item, queue)| self.place_of(item, queue));
        cx.event(AcdEvent::Rekeyed {
            item: id,
            queue: name,
            by: by.clone(),
            class_before: before.class,
            class,
            credit_before_ms: millis(credit_before),
            credit_ms: millis(credit),
            position_before,
            position,
        });
    }

    /// The work item has waited long enough for the next class up.
    pub(super) fn promote(&mut self, cx: &mut Cx, id: WorkItemId) {
        if let Some(class) = self.items.get(&id).map(|item| item.order.class) {
            let up = Priority::Class(class.saturating_sub(1));
            self.rekey(cx, id, up, &"class-promote-after".into());
        }
        self.arm_promotion(cx.now.mono, id);
    }

    /// Arms the next promotion, one after each stretch of waiting; the first class has none.
    pub(super) fn arm_promotion(&mut self, now: Instant, id: WorkItemId) {
        let Some(item) = self.items.get(&id) else {
            return;
        };
        let every = self
            .queues
            .get(item.queue)
            .and_then(|queue| queue.settings.class_promote_after)
            .filter(|every| !every.is_zero() && item.order.class > 0);
        let next = every.map(|every| {
            let over = item.waited(now).as_nanos() / every.as_nanos();
            item.entered.mono + every * u32::try_from(over + 1).unwrap_or(u32::MAX)
        });
        self.set_item_timer(id, ItemTimer::Promote, next);
    }
}
