//! The reference's keys: how a work item comes to another place.

use super::{ReferenceAcd, nanos_of};
use crate::acd::{Priority, WorkItemId};
use crate::base::Instant;

impl ReferenceAcd {
    /// A new priority: nothing but the key changes.
    pub(super) fn rekey(&mut self, id: WorkItemId, to: Priority) {
        let Some(at) = self.items.iter().position(|i| i.id == id && !i.parked()) else {
            return;
        };
        let first = self
            .items
            .iter()
            .filter(|other| other.queue == self.items[at].queue && !other.parked())
            .min_by_key(|i| (i.class, i.virtual_start, i.number))
            .map(|first| (first.id, first.class, first.virtual_start));
        let item = &mut self.items[at];
        match (to, first) {
            (Priority::Credit(credit), _) => item.virtual_start = item.aged_from - nanos_of(credit),
            (Priority::Class(class), _) => item.class = class,
            (Priority::Front, Some((first, class, start))) if first != id => {
                item.class = class;
                item.virtual_start = item.virtual_start.min(start - 1_000_000);
            }
            (Priority::Front, _) => {}
        }
    }

    /// One class up for each stretch of waiting that is over.
    pub(super) fn promote(&mut self, now: Instant) {
        let settings = &self.settings;
        for item in &mut self.items {
            let of = settings.queues.iter().find(|q| q.name == item.queue);
            let Some(every) = of.and_then(|of| of.class_promote_after) else {
                continue;
            };
            let over = now.since(item.entered).as_nanos() / every.as_nanos();
            let steps = u8::try_from(over - item.promoted).unwrap_or(u8::MAX);
            if !item.parked() {
                item.class = item.class.saturating_sub(steps);
            }
            item.promoted = over;
        }
    }
}
