//! The reference's choice: which pairs are possible, which is the least, who of the free comes first.

use std::sync::Arc;

use super::{Agent, Item, ReferenceAcd, Timer, Work, nanos_of};
use crate::acd::{AssignmentSettings, QueueSettings, Strategy};
use crate::base::{Duration, Instant};

impl ReferenceAcd {
    fn assignment<'a>(
        &self,
        queue: &'a QueueSettings,
        agent: &Agent,
    ) -> Option<&'a AssignmentSettings> {
        let of = queue
            .agents
            .iter()
            .rfind(|of| of.agent == agent.extension)?;
        let moved = self
            .toggles
            .iter()
            .find(|(a, q, _)| *a == agent.extension && *q == queue.name);
        moved.map_or(of.enabled, |(_, _, on)| *on).then_some(of)
    }

    fn staffed(&self, queue: &QueueSettings, agent: &Agent) -> Option<u8> {
        let of = self.assignment(queue, agent)?;
        (agent.logged_in && !agent.leaving && !agent.unreachable).then_some(of.level)
    }

    /// The conjunction that makes a pair possible.
    fn eligible(&self, now: Instant, i: usize, item: &Item) -> bool {
        let a = &self.agents[i];
        let settings = &self.settings.agents[i];
        let Some(queue) = self.queue(&item.queue) else {
            return false;
        };
        let Some(of) = self.assignment(queue, a) else {
            return false;
        };
        let levels: Vec<u8> = self
            .agents
            .iter()
            .filter_map(|a| self.staffed(queue, a))
            .collect();
        let refused = item
            .refused_by
            .iter()
            .find(|(agent, _)| *agent == a.extension);
        let away = Duration::from_secs(if levels.len() == 1 { 10 } else { 30 });
        let skilled = item
            .skills
            .iter()
            .filter(|need| need.mandatory)
            .all(|need| {
                settings
                    .skills
                    .iter()
                    .any(|(skill, level)| *skill == need.skill && *level >= need.min)
            });
        a.logged_in
            && !a.leaving
            && a.ready
            && a.next != Some(false)
            && a.work == Work::Idle
            && (a.live == 0 || settings.call_waiting)
            && a.live < settings.max_concurrent_calls
            && a.ringable > 0
            && a.cooldown_until <= now
            && refused.is_none_or(|(_, since)| *since + away <= now)
            && skilled
            && (now.since(item.entered) >= of.delay
                || !levels.iter().any(|level| *level < of.level))
    }

    /// Gives until no pair is left: the least work item first, each to whom its queue's strategy says.
    pub(super) fn give(&mut self, now: Instant) {
        loop {
            let mut best: Option<((u8, u8, i64, u64), usize)> = None;
            for (n, item) in self.items.iter().enumerate() {
                let rung = self
                    .agents
                    .iter()
                    .any(|a| matches!(&a.work, Work::Rung { item: of, .. } if *of == item.id));
                if rung {
                    continue;
                }
                for i in 0..self.agents.len() {
                    if self.eligible(now, i, item) {
                        let level = self
                            .queue(&item.queue)
                            .and_then(|queue| self.assignment(queue, &self.agents[i]))
                            .map_or(u8::MAX, |of| of.level);
                        let key = (item.class, level, item.virtual_start, item.number);
                        if best.is_none_or(|(least, _)| key < least) {
                            best = Some((key, n));
                        }
                    }
                }
            }
            let Some((_, n)) = best else { return };
            self.give_item(now, n);
        }
    }

    fn give_item(&mut self, now: Instant, n: usize) {
        let item = &self.items[n];
        let Some(queue) = self.queue(&item.queue).cloned() else {
            return;
        };
        let last = self
            .last_offered
            .iter()
            .find(|(q, _)| *q == queue.name)
            .map(|(_, a)| a.clone());
        let mut candidates: Vec<_> = (0..self.agents.len())
            .filter(|i| self.eligible(now, *i, item))
            .map(|i| (self.key(now, i, &queue, item, last.as_ref()), i))
            .collect();
        candidates.sort();
        let many = if queue.strategy == Strategy::RingAll {
            queue.ring_all_max.max(1)
        } else {
            1
        };
        let id = item.id;
        for (_, i) in candidates.into_iter().take(many) {
            let name = self.agents[i].extension.clone();
            self.agents[i].work = Work::Rung {
                item: id,
                offer: None,
                alerted: false,
                answered: false,
            };
            self.agents[i].offers += 1;
            self.last_offered.retain(|(q, _)| *q != queue.name);
            self.last_offered.push((queue.name.clone(), name.clone()));
            let agent = name.clone();
            self.arm(now + queue.ring_timeout, |armed| {
                Timer::Ring(id, agent, armed)
            });
            self.given.push((id, name));
        }
    }

    /// The order of the free: level, the strategy's key, rank, longest idle, fewest AgentOffers, extension.
    fn key(
        &self,
        now: Instant,
        i: usize,
        queue: &QueueSettings,
        item: &Item,
        last: Option<&Arc<str>>,
    ) -> (u8, i64, u16, i64, u64, Arc<str>) {
        let a = &self.agents[i];
        let of = self.assignment(queue, a);
        let (level, rank) = of.map_or((u8::MAX, u16::MAX), |of| (of.level, of.rank));
        let idle = a.gathered + a.runs_since.map_or(0, |since| nanos_of(now.since(since)));
        let window = Duration::from_secs(8 * 3600);
        let key = match queue.strategy {
            Strategy::LongestIdle => -idle,
            Strategy::RoundRobin => {
                // Those after the last come first.
                let wrapped = last.is_some_and(|last| a.extension <= *last);
                return (level, i64::from(wrapped), 0, 0, 0, a.extension.clone());
            }
            Strategy::Fixed | Strategy::RingAll => i64::from(rank),
            Strategy::FewestCalls => {
                i64::try_from(a.handled.iter().filter(|at| **at + window > now).count())
                    .unwrap_or(i64::MAX)
            }
            Strategy::LeastOccupied if a.busy == 0 => 0,
            Strategy::LeastOccupied => {
                i64::try_from(a.busy * 1_000_000 / (a.busy + a.free)).unwrap_or(i64::MAX)
            }
            Strategy::MostProficient => {
                let all: i64 = item
                    .skills
                    .iter()
                    .map(|need| i64::from(need.weight) * 10)
                    .sum();
                let sum: i64 = item
                    .skills
                    .iter()
                    .map(|need| {
                        let has = self.settings.agents[i]
                            .skills
                            .iter()
                            .find(|(skill, _)| *skill == need.skill);
                        i64::from(need.weight) * has.map_or(0, |(_, level)| i64::from(*level))
                    })
                    .sum();
                if all == 0 {
                    0
                } else {
                    -(sum * 1_000_000 / all)
                }
            }
            Strategy::Random => 0,
        };
        (level, key, rank, -idle, a.offers, a.extension.clone())
    }
}
