//! One timer queue per shard: typed keys, total order (deadline, sequence), O(log n), cancelled entries dropped lazily.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::time::Instant;

/// Names one armed timer. Cancelling a timer that has fired or was cancelled does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct TimerId {
    slot: u32,
    generation: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: Instant,
    sequence: u64,
    slot: u32,
    generation: u32,
}

struct Slot<K> {
    generation: u32,
    key: Option<K>,
}

/// Timers of one owner; `K` says what each is for.
pub struct TimerQueue<K> {
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    sequence: u64,
    armed: usize,
}

impl<K> Default for TimerQueue<K> {
    fn default() -> Self {
        TimerQueue {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            armed: 0,
        }
    }
}

impl<K> TimerQueue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of armed timers.
    pub fn len(&self) -> usize {
        self.armed
    }

    /// True when no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// Arms a timer that fires at `deadline`.
    pub fn set(&mut self, deadline: Instant, key: K) -> TimerId {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot {
                    generation: 0,
                    key: None,
                });
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 timers")
            }
        };
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        place.key = Some(key);
        let generation = place.generation;
        self.heap.push(Reverse(Entry {
            deadline,
            sequence: self.sequence,
            slot,
            generation,
        }));
        self.sequence += 1;
        self.armed += 1;
        TimerId { slot, generation }
    }

    /// Disarms a timer and returns what it was for.
    pub fn cancel(&mut self, id: TimerId) -> Option<K> {
        let place = self.slots.get_mut(id.slot as usize)?;
        if place.generation != id.generation {
            return None;
        }
        let key = place.key.take()?;
        self.free.push(id.slot);
        self.armed -= 1;
        self.sweep();
        Some(key)
    }

    /// The earliest deadline, if any timer is armed.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.drop_dead();
        self.heap.peek().map(|Reverse(entry)| entry.deadline)
    }

    /// Takes the next timer that is due at `now`, in order of deadline, then of arming.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        self.drop_dead();
        match self.heap.peek() {
            Some(Reverse(entry)) if entry.deadline <= now => {}
            _ => return None,
        }
        let Reverse(entry) = self.heap.pop()?;
        let place = self.slots.get_mut(entry.slot as usize)?;
        let key = place.key.take()?;
        self.free.push(entry.slot);
        self.armed -= 1;
        Some(key)
    }

    fn is_live(slots: &[Slot<K>], entry: &Entry) -> bool {
        slots
            .get(entry.slot as usize)
            .is_some_and(|slot| slot.generation == entry.generation && slot.key.is_some())
    }

    fn drop_dead(&mut self) {
        while let Some(Reverse(entry)) = self.heap.peek() {
            if Self::is_live(&self.slots, entry) {
                break;
            }
            self.heap.pop();
        }
    }

    /// Rebuilds the heap when most of it is cancelled, so that a long-lived queue does not grow with its past.
    fn sweep(&mut self) {
        if self.heap.len() > 64 && self.heap.len() > 4 * self.armed {
            let slots = &self.slots;
            self.heap
                .retain(|Reverse(entry)| Self::is_live(slots, entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn fires_by_deadline_then_by_order_of_arming() {
        let mut queue = TimerQueue::new();
        queue.set(at(20), 'c');
        queue.set(at(10), 'a');
        queue.set(at(10), 'b');
        assert_eq!(queue.next_deadline(), Some(at(10)));
        assert_eq!(queue.pop_due(at(9)), None);
        assert_eq!(queue.pop_due(at(10)), Some('a'));
        assert_eq!(queue.pop_due(at(30)), Some('b'));
        assert_eq!(queue.pop_due(at(30)), Some('c'));
        assert!(queue.is_empty());
    }

    #[test]
    fn cancelled_timer_does_not_fire_and_its_id_stays_dead() {
        let mut queue = TimerQueue::new();
        let id = queue.set(at(10), 1);
        assert_eq!(queue.cancel(id), Some(1));
        assert_eq!(queue.cancel(id), None);
        let other = queue.set(at(10), 2);
        assert_eq!(queue.cancel(id), None);
        assert_eq!(queue.pop_due(at(10)), Some(2));
        assert_eq!(queue.cancel(other), None);
        assert_eq!(queue.next_deadline(), None);
    }

    #[test]
    fn cancelled_entries_do_not_pile_up() {
        let mut queue = TimerQueue::new();
        for i in 0..10_000u64 {
            let id = queue.set(at(1_000_000 + i), i);
            queue.cancel(id);
        }
        assert!(queue.heap.len() <= 65);
    }
}
