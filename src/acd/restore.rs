//! The journal's records back into state, and state into records: after a kill, the same agents, wrap-ups, toggles, counters and keys.

use std::sync::Arc;

use super::agent::{AgentKey, Work, Wrap};
use super::callback::Callback;
use super::configure::unplaced_key;
use super::core::{Acd, Cx, Timer};
use super::item::{Item, Order, Place, virtual_start_of_wall};
use super::queue::QueueKey;
use super::record::{AcdRecord, AgentRecord, ItemRecord, QueueRecord};
use crate::base::{Duration, Now};

impl Acd {
    /// Everything that must survive, as records: a snapshot of the journal. Ordered, so that equal states give equal snapshots.
    pub fn snapshot(&self) -> Vec<AcdRecord> {
        let mut records = Vec::new();
        for key in self.queue_names.values() {
            records.extend(self.queues.get(*key).map(|q| AcdRecord::Queue(q.record())));
        }
        for key in self.agent_names.values() {
            let Some(agent) = self.agents.get(*key) else {
                continue;
            };
            records.push(AcdRecord::Agent(agent.record()));
            for (queue, assignment) in &agent.assignments {
                if let (Some(enabled), Some(queue)) = (assignment.moved, self.queues.get(*queue)) {
                    records.push(AcdRecord::Assignment {
                        agent: agent.extension().clone(),
                        queue: queue.name().clone(),
                        enabled,
                    });
                }
            }
        }
        let queued = self.items.values().filter(|item| item.queued);
        records.extend(queued.map(|item| AcdRecord::Item(item.record())));
        records
    }

    pub(super) fn restore(&mut self, cx: &mut Cx, record: AcdRecord) {
        if let AcdRecord::ItemGone { item } = &record {
            self.unplaced.remove(&unplaced_key(&item.to_string(), ""));
            self.drop_restored(*item);
        } else if let Some(record) = self.place(cx, record) {
            self.unplaced.insert(key_of(&record), record);
        }
    }

    /// After a configuration: puts the records in place that waited for their agent or queue.
    pub(super) fn place_restored(&mut self, cx: &mut Cx) {
        for (key, record) in std::mem::take(&mut self.unplaced) {
            if let Some(record) = self.place(cx, record) {
                self.unplaced.insert(key, record);
            }
        }
    }

    /// Puts one record in place, or gives it back when what it is about is unknown.
    fn place(&mut self, cx: &mut Cx, record: AcdRecord) -> Option<AcdRecord> {
        let agent_key = |acd: &Self, name: &Arc<str>| acd.agent_names.get(name).copied();
        let queue_key = |acd: &Self, name: &Arc<str>| acd.queue_names.get(name).copied();
        match record {
            AcdRecord::Agent(record) => match agent_key(self, &record.agent) {
                Some(key) => {
                    self.place_agent(cx, key, record);
                    None
                }
                None => Some(AcdRecord::Agent(record)),
            },
            AcdRecord::Queue(record) => match queue_key(self, &record.queue) {
                Some(key) => {
                    self.place_queue(key, record);
                    None
                }
                None => Some(AcdRecord::Queue(record)),
            },
            AcdRecord::Item(record) => match queue_key(self, &record.queue) {
                Some(key) => {
                    self.place_item(cx, key, record);
                    None
                }
                None => Some(AcdRecord::Item(record)),
            },
            AcdRecord::Assignment {
                agent,
                queue,
                enabled,
            } => {
                let place = agent_key(self, &agent).zip(queue_key(self, &queue));
                let assignment = place.and_then(|(agent, queue)| {
                    let agent = self.agents.get_mut(agent)?;
                    agent.assignments.get_mut(&queue)
                });
                if let (Some(assignment), Some((key, _))) = (assignment, place) {
                    assignment.moved = Some(enabled);
                    self.touch(cx, key);
                    return None;
                }
                Some(AcdRecord::Assignment {
                    agent,
                    queue,
                    enabled,
                })
            }
            AcdRecord::ItemGone { .. } => None,
        }
    }

    fn place_agent(&mut self, cx: &mut Cx, key: AgentKey, record: AgentRecord) {
        let now = cx.now;
        let wrap_queue = record
            .wrap
            .as_ref()
            .and_then(|wrap| self.queue_names.get(&wrap.queue).copied());
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if let Work::Wrap(old) = std::mem::replace(&mut agent.work, Work::Idle) {
            self.timers.cancel(old.timer);
            if let Some(queue) = self.queues.get_mut(old.queue) {
                queue.wrapping = queue.wrapping.saturating_sub(1);
            }
        }
        agent.logged_in = record.logged_in;
        agent.rona_in_a_row = record.rona_in_a_row;
        agent.counters = record.counters;
        agent.next = record.next;
        agent.set_status(now.mono, record.status);
        if let Some(wrap) = record.wrap {
            let until = now.mono_at(wrap.until);
            let hard_wall = wrap.hard.unwrap_or(wrap.until);
            if let Some(queue) = wrap_queue.and_then(|key| self.queues.get_mut(key)) {
                queue.wrapping += 1;
            }
            agent.work = Work::Wrap(Wrap {
                item: wrap.item,
                // A queue that is gone is found by nobody under this key.
                queue: wrap_queue.unwrap_or(QueueKey::from_bits(u64::MAX)),
                queue_name: wrap.queue,
                since: now.mono_at(wrap.since),
                since_wall: wrap.since,
                until_wall: wrap.until,
                timer: self.timers.set(until, Timer::Wrap(key)),
                hard: now.mono_at(hard_wall),
                hard_wall,
                timed: wrap.timed,
                demands: wrap.demands,
                disposition: wrap.disposition,
                talked: Duration::ZERO,
                _token: self.tokens.take(),
            });
        } else if let Some(next) = agent.next.take() {
            // The call that it waited for died with the process.
            agent.set_status(now.mono, next);
        }
        agent.booked_to = now.mono;
        agent.booked_as = super::agent::Account::LoggedOut;
        agent.book(now.mono);
        self.watch_reach(cx, key);
        self.touch(cx, key);
        if let Some(agent) = self.agents.get_mut(key) {
            agent.journalled = Some(agent.record());
        }
    }

    fn place_queue(&mut self, key: QueueKey, record: QueueRecord) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.counters = record.counters;
            queue.last_offered = record.last_offered;
            queue.journalled = Some(queue.record());
        }
    }

    /// A work item at its old place, not offered until its call is known to live; counted already by the queue's record.
    fn place_item(&mut self, cx: &mut Cx, key: QueueKey, record: ItemRecord) {
        let now = cx.now;
        self.drop_restored(record.item);
        if self.items.contains_key(&record.item) {
            return;
        }
        self.seq = self.seq.max(record.seq);
        let credit = Duration::from_millis(record.credit_ms);
        let aged_from = record.aged_from.unwrap_or(record.arrival);
        let order = Order {
            class: record.class,
            vts: virtual_start_of_wall(now, aged_from, credit),
            seq: record.seq,
            item: record.item,
        };
        let place = Place {
            queue: key,
            queue_name: record.queue,
            arrived: virtual_start_of_wall(now, record.arrival, Duration::ZERO),
            arrival: record.arrival,
            entered: Now {
                mono: now.mono_at(record.entered),
                wall: record.entered,
            },
            credit,
            order,
            aged_from,
        };
        let mut item = Item {
            prefer: record.prefer.map(Box::new),
            // A callback needs no call that lives: it goes on at once.
            dormant: record.callback.is_none(),
            callback: record
                .callback
                .map(|of| Box::new(Callback::restored(now, of))),
            ..Item::waiting(record.call, record.caller, record.skills, place)
        };
        item.note(record.entered, "entered", None, "");
        item.note(now.wall, "restored", None, "");
        let Some(queue) = self.queues.get_mut(key) else {
            return;
        };
        let (id, is_callback) = (item.id, item.callback.is_some());
        item.parked = item.callback.as_ref().is_some_and(|c| c.due.is_some());
        if !item.parked {
            queue.join(&item);
        }
        self.items.insert(id, Box::new(item));
        if is_callback {
            self.callback_restored(cx, id);
        }
    }

    fn drop_restored(&mut self, id: super::command::WorkItemId) {
        let restored = |item: &Item| item.dormant || item.callback.is_some();
        if self.items.get(&id).is_some_and(|item| restored(item))
            && let Some(item) = self.items.remove(&id)
            && let Some(queue) = self.queues.get_mut(item.queue)
        {
            queue.leave(&item);
            if let Some(callback) = &item.callback {
                queue.promised = queue.promised.saturating_sub(1);
                let number = callback.number.clone();
                self.callbacks.remove(&(item.queue, number));
                for timer in item.timers.into_iter().flatten() {
                    self.timers.cancel(timer);
                }
            }
        }
    }

    /// Work items that were restored and whose calls have not been heard of: reconciliation withdraws them.
    pub fn restored_items(&self) -> Vec<super::command::WorkItemId> {
        let dormant = self.items.values().filter(|item| item.dormant);
        dormant.map(|item| item.id).collect()
    }
}

fn key_of(record: &AcdRecord) -> (Arc<str>, Arc<str>) {
    match record {
        AcdRecord::Agent(record) => unplaced_key(&record.agent, ""),
        AcdRecord::Queue(record) => unplaced_key("", &record.queue),
        AcdRecord::Assignment { agent, queue, .. } => unplaced_key(agent, queue),
        AcdRecord::Item(record) => unplaced_key(&record.item.to_string(), ""),
        AcdRecord::ItemGone { item } => unplaced_key(&item.to_string(), ""),
    }
}
