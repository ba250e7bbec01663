//! One timer queue per shard: typed keys, total order (deadline, sequence), O(log n), cancelled entries dropped lazily.
//!
//! Most timers run for one of a few fixed times (half a second, five, thirty-two), so that those of one kind are armed in the order in
//! which they are due. They stand in lanes, where arming and firing touch one end each; only what fits no lane goes into the heap,
//! in which each step down is a miss of the cache once there are tens of thousands.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::time::{Duration, Instant};

/// Lanes: more than kinds of timers that are armed all the time.
const LANES: usize = 6;
/// A timer that is due this much later than the last of a lane is of another kind.
const OTHER_KIND: Duration = Duration::from_secs(1);

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
    /// Each in order.
    lanes: [VecDeque<Entry>; LANES],
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    sequence: u64,
    armed: usize,
}

impl<K> Default for TimerQueue<K> {
    fn default() -> Self {
        TimerQueue {
            lanes: Default::default(),
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
        let entry = Entry {
            deadline,
            sequence: self.sequence,
            slot,
            generation,
        };
        match self.lane_for(deadline) {
            Some(lane) => self.lanes[lane].push_back(entry),
            None => self.heap.push(Reverse(entry)),
        }
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
        self.first().map(|(deadline, _)| deadline)
    }

    /// Takes the next timer that is due at `now`, in order of deadline, then of arming.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (deadline, lane) = self.first()?;
        if deadline > now {
            return None;
        }
        let entry = match lane {
            Some(lane) => self.lanes[lane].pop_front()?,
            None => self.heap.pop()?.0,
        };
        let place = self.slots.get_mut(entry.slot as usize)?;
        let key = place.key.take()?;
        self.free.push(entry.slot);
        self.armed -= 1;
        Some(key)
    }

    /// The lane whose last timer is due before `deadline` and as close to it as any; `None`: the heap.
    fn lane_for(&self, deadline: Instant) -> Option<usize> {
        let mut empty = None;
        let mut best: Option<(Instant, usize)> = None;
        for (index, lane) in self.lanes.iter().enumerate() {
            match lane.back() {
                None => empty = empty.or(Some(index)),
                Some(last) if last.deadline <= deadline => {
                    if best.is_none_or(|(at, _)| at < last.deadline) {
                        best = Some((last.deadline, index));
                    }
                }
                Some(_) => {}
            }
        }
        match best {
            Some((at, lane)) if deadline - at < OTHER_KIND => Some(lane),
            other => empty.or(other.map(|(_, lane)| lane)),
        }
    }

    /// The live entry that is first in order: when, and in which lane (`None`: the heap). The dead before it are dropped.
    fn first(&mut self) -> Option<(Instant, Option<usize>)> {
        let mut first: Option<(Instant, u64, Option<usize>)> = None;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            while let Some(entry) = lane.front() {
                if !Self::is_live(&self.slots, entry) {
                    lane.pop_front();
                    continue;
                }
                if first.is_none_or(|(at, sequence, _)| {
                    (entry.deadline, entry.sequence) < (at, sequence)
                }) {
                    first = Some((entry.deadline, entry.sequence, Some(index)));
                }
                break;
            }
        }
        while let Some(Reverse(entry)) = self.heap.peek() {
            if !Self::is_live(&self.slots, entry) {
                self.heap.pop();
                continue;
            }
            if first
                .is_none_or(|(at, sequence, _)| (entry.deadline, entry.sequence) < (at, sequence))
            {
                first = Some((entry.deadline, entry.sequence, None));
            }
            break;
        }
        first.map(|(at, _, lane)| (at, lane))
    }

    fn is_live(slots: &[Slot<K>], entry: &Entry) -> bool {
        slots
            .get(entry.slot as usize)
            .is_some_and(|slot| slot.generation == entry.generation && slot.key.is_some())
    }

    /// Takes the cancelled out when they are most of it, so that a long-lived queue does not grow with its past.
    fn sweep(&mut self) {
        let entries = self.heap.len() + self.lanes.iter().map(VecDeque::len).sum::<usize>();
        if entries > 64 && entries > 4 * self.armed {
            let slots = &self.slots;
            self.heap
                .retain(|Reverse(entry)| Self::is_live(slots, entry));
            for lane in &mut self.lanes {
                lane.retain(|entry| Self::is_live(slots, entry));
            }
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
        let lanes: usize = queue.lanes.iter().map(VecDeque::len).sum();
        assert!(queue.heap.len() + lanes <= 65);
    }

    #[test]
    fn any_mixture_fires_in_the_order_of_a_sorted_list() {
        use proptest::prelude::*;
        proptest!(|(steps in proptest::collection::vec((0u8..4, 0u64..40_000), 0..400))| {
            let mut queue = TimerQueue::new();
            let mut naive: Vec<(u64, usize, TimerId)> = Vec::new();
            let mut now = 0;
            for (number, (what, ms)) in steps.into_iter().enumerate() {
                match what {
                    0 => {
                        // kinds, as transactions have them
                        let due = now + [200, 500, 5_000, 32_000][ms as usize % 4];
                        naive.push((due, number, queue.set(at(due), number)));
                    }
                    1 => naive.push((now + ms, number, queue.set(at(now + ms), number))),
                    2 if !naive.is_empty() => {
                        let (_, number, id) = naive.remove(ms as usize % naive.len());
                        prop_assert_eq!(queue.cancel(id), Some(number));
                    }
                    _ => {
                        now += ms / 10;
                        naive.sort_unstable_by_key(|(due, number, _)| (*due, *number));
                        while let Some(fired) = queue.pop_due(at(now)) {
                            prop_assert_eq!(fired, naive.remove(0).1);
                        }
                        prop_assert!(naive.first().is_none_or(|(due, ..)| *due > now));
                    }
                }
                prop_assert_eq!(queue.len(), naive.len());
                let first = naive.iter().map(|(due, ..)| at(*due)).min();
                prop_assert_eq!(queue.next_deadline(), first);
            }
        });
    }
}
