//! Work items that have left: kept for a while for their journey and decisions, and for their arrival should they come again.

use std::collections::{BTreeMap, VecDeque};

use super::command::WorkItemId;
use super::item::Item;
use crate::base::Ulid;

/// Work items kept after they have left.
const HISTORY_MAX: usize = 2000;

#[derive(Default)]
pub(super) struct History {
    items: BTreeMap<WorkItemId, Item>,
    order: VecDeque<WorkItemId>,
}

impl History {
    pub(super) fn keep(&mut self, item: Item) {
        if self.items.len() >= HISTORY_MAX {
            // Ids of work items that came back are passed over.
            while let Some(oldest) = self.order.pop_front() {
                if self.items.remove(&oldest).is_some() {
                    break;
                }
            }
        }
        if self.order.len() >= 2 * HISTORY_MAX {
            let items = &self.items;
            self.order.retain(|id| items.contains_key(id));
        }
        self.order.push_back(item.id);
        self.items.insert(item.id, item);
    }

    pub(super) fn take(&mut self, id: WorkItemId) -> Option<Item> {
        self.items.remove(&id)
    }

    pub(super) fn get_mut(&mut self, id: WorkItemId) -> Option<&mut Item> {
        self.items.get_mut(&id)
    }

    /// The newest one of a call.
    pub(super) fn of_call(&self, call: Ulid) -> Option<WorkItemId> {
        let of_call = self.items.values().filter(|item| item.call == call);
        of_call.map(|item| item.id).max()
    }

    pub(super) fn get(&self, id: WorkItemId) -> Option<&Item> {
        self.items.get(&id)
    }
}
