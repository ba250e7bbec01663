//! The reference's choice: which pairs are possible, which is the least, who of the free comes first.

use std::sync::Arc;

use super::{Agent, Item, ReferenceAcd, Timer, Work, nanos_of};
use crate::acd::{AssignmentSettings, QueueSettings, Strategy, WorkItemId};
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

    /// How many rings of its queue's expansion a work item has reached.
    fn rings(&self, now: Instant, item: &Item) -> usize {
        let waited = now.since(item.entered);
        let of = self.queue(&item.queue).map(|queue| &queue.expand);
        of.map_or(0, |of| of.iter().take_while(|e| e.after <= waited).count())
    }

    /// What the work item asks for in a ring.
    fn needs(&self, item: &Item, rings: usize) -> Vec<(Arc<str>, u8)> {
        let expand = self.queue(&item.queue).map_or(&[][..], |q| &q.expand);
        let mut needs = Vec::new();
        for need in item.skills.iter().filter(|need| need.mandatory) {
            let mut min = i64::from(need.min);
            let mut dropped = false;
            for ring in &expand[..rings] {
                min -= i64::from(ring.min_delta);
                dropped |= ring.drop.contains(&need.skill);
            }
            if !dropped {
                needs.push((need.skill.clone(), u8::try_from(min.max(1)).unwrap_or(1)));
            }
        }
        needs
    }

    fn can(&self, i: usize, needs: &[(Arc<str>, u8)]) -> bool {
        let skills = &self.settings.agents[i].skills;
        needs.iter().all(|(skill, min)| {
            let mut has = skills.iter().filter(|(of, _)| of == skill);
            has.any(|(_, level)| level >= min)
        })
    }

    /// The ring in which the agent may first serve the queue: 0 by its own assignment, else that which draws it in.
    fn drawn(&self, i: usize, queue: &QueueSettings, rings: usize) -> Option<usize> {
        let a = &self.agents[i];
        if queue.agents.iter().any(|of| of.agent == a.extension) {
            return self.assignment(queue, a).map(|_| 0);
        }
        (1..=rings).find(|ring| {
            let e = &queue.expand[ring - 1];
            let mut queues = e.add_queues.iter().filter_map(|name| self.queue(name));
            e.add_agents.contains(&a.extension)
                || queues.any(|other| self.assignment(other, a).is_some())
        })
    }

    fn prefers(item: &Item, agent: &str) -> bool {
        let prefer = item.prefer.iter().flat_map(|prefer| &prefer.agents);
        prefer.into_iter().any(|other| &**other == agent)
    }

    /// The work item is kept for those whom it prefers.
    fn kept(&self, now: Instant, queue: &QueueSettings, item: &Item) -> bool {
        let hold = item.prefer.as_ref().map(|prefer| prefer.hold);
        hold.is_some_and(|hold| now.since(item.entered) < hold)
            && self
                .agents
                .iter()
                .any(|a| Self::prefers(item, &a.extension) && self.staffed(queue, a).is_some())
    }

    /// Its place: those before it in its queue who need any of the same agents, plus one.
    pub fn place(&self, now: Instant, id: WorkItemId) -> Option<usize> {
        let item = self.items.iter().find(|item| item.id == id)?;
        let queue = self.queue(&item.queue)?;
        let needs = self.needs(item, self.rings(now, item));
        let before = self.items.iter().filter(|other| {
            let theirs = self.needs(other, self.rings(now, other));
            let in_common = needs == theirs
                || (0..self.agents.len()).any(|i| {
                    let name = &self.agents[i].extension;
                    let assigned = queue.agents.iter().any(|of| of.agent == *name);
                    assigned && self.can(i, &needs) && self.can(i, &theirs)
                });
            let key = |i: &Item| (i.class, i.virtual_start, i.number);
            let ahead = !other.parked() && key(other) < key(item);
            other.queue == item.queue && ahead && in_common
        });
        Some(before.count() + 1)
    }

    /// The conjunction that makes a pair possible.
    fn eligible(&self, now: Instant, i: usize, item: &Item) -> bool {
        let a = &self.agents[i];
        let settings = &self.settings.agents[i];
        let Some(queue) = self.queue(&item.queue) else {
            return false;
        };
        let rings = self.rings(now, item);
        if self.drawn(i, queue, rings).is_none() {
            return false;
        }
        let delay = self
            .assignment(queue, a)
            .map(|of| (of.level, of.delay))
            .unwrap_or((u8::MAX, Duration::ZERO));
        let preferred = Self::prefers(item, &a.extension);
        let levels: Vec<u8> = self
            .agents
            .iter()
            .filter_map(|a| self.staffed(queue, a))
            .collect();
        let refused = item
            .refused_by
            .iter()
            .find(|(agent, _)| *agent == a.extension);
        let away = if levels.len() == 1 {
            queue.no_reoffer.min(Duration::from_secs(10))
        } else {
            queue.no_reoffer
        };
        let skilled = self.can(i, &self.needs(item, rings));
        let bound = item.promise.as_ref().and_then(|p| p.agent.as_ref());
        !item.parked()
            && bound.is_none_or(|bound| *bound == a.extension)
            && item.caller.as_ref() != Some(&a.extension)
            && a.logged_in
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
            && (preferred
                || (!self.kept(now, queue, item)
                    && (now.since(item.entered) >= delay.1
                        || (queue.skip_delay_when_unstaffed
                            && !levels.iter().any(|level| *level < delay.0)))))
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

    /// The order of the free: preferred, ring, level, the strategy's key, rank, longest idle, fewest AgentOffers, extension.
    fn key(
        &self,
        now: Instant,
        i: usize,
        queue: &QueueSettings,
        item: &Item,
        last: Option<&Arc<str>>,
    ) -> ((bool, usize, u8), i64, u16, i64, u64, Arc<str>) {
        let a = &self.agents[i];
        let of = self.assignment(queue, a);
        let (level, rank) = of.map_or((u8::MAX, u16::MAX), |of| (of.level, of.rank));
        let rings = self.rings(now, item);
        let skilled = (0..=rings).find(|ring| self.can(i, &self.needs(item, *ring)));
        let ring = self
            .drawn(i, queue, rings)
            .max(skilled)
            .unwrap_or(usize::MAX);
        let level = (!Self::prefers(item, &a.extension), ring, level);
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
