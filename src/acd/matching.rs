//! The match step: the least pair of a waiting work item and a free agent that may have each other, until there is none left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::agent::{Agent, AgentKey};
use super::command::WorkItemId;
use super::core::{Acd, Cx};
use super::explain::{self, CANDIDATES_MAX, Kept, Trigger, Why};
use super::item::{Item, Needs, Order};
use super::queue::{Queue, QueueKey};
use super::strategy::{self, Place};
use crate::base::Instant;

/// What a step has freed, and must be looked at before the step ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pending {
    /// An agent became free.
    Agent(AgentKey),
    /// A work item may be offered.
    Item(WorkItemId, Trigger),
    /// A hold on pairs of this queue may have ended.
    Queue(QueueKey),
    /// Nobody is logged in or ready any more: overflow rules may apply.
    Rules(QueueKey),
}

/// Order of pairs over all queues: class, the agent's preference for the queue, then the oldest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct PairKey {
    class: u8,
    level: u8,
    vts: i64,
    seq: u64,
    item: WorkItemId,
}

impl PairKey {
    fn new(order: Order, level: u8) -> Self {
        PairKey {
            class: order.class,
            level,
            vts: order.vts,
            seq: order.seq,
            item: order.item,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Agent(AgentKey),
    Item(WorkItemId),
}

/// The first mandatory skill that the agent lacks.
pub(super) fn lacking(agent: &Agent, needs: &Needs) -> Option<Why> {
    needs.iter().find_map(|(skill, min)| {
        let has = agent.skills.get(skill).copied().unwrap_or(0);
        (has < *min).then(|| Why::Skill(skill.clone(), *min, has))
    })
}

impl Acd {
    /// Matches until no pair is left that something freed in this step could have made.
    pub(super) fn settle(&mut self, cx: &mut Cx) {
        while !self.pending.is_empty() {
            let mut sources = BTreeSet::new();
            let mut triggers: BTreeMap<WorkItemId, Trigger> = BTreeMap::new();
            for pending in std::mem::take(&mut self.pending) {
                match pending {
                    Pending::Agent(agent) => {
                        sources.insert(Source::Agent(agent));
                    }
                    Pending::Item(item, trigger) => {
                        sources.insert(Source::Item(item));
                        triggers.insert(item, trigger);
                    }
                    Pending::Queue(queue) => {
                        let free = self.queues.get(queue).into_iter().flat_map(|q| &q.free);
                        sources.extend(free.filter_map(|place| place.agent.map(Source::Agent)));
                    }
                    Pending::Rules(queue) => self.queue_rules_due(cx, queue),
                }
            }
            self.match_sources(cx, &sources, &triggers);
        }
    }

    fn match_sources(
        &mut self,
        cx: &mut Cx,
        sources: &BTreeSet<Source>,
        triggers: &BTreeMap<WorkItemId, Trigger>,
    ) {
        let now = cx.now.mono;
        let mut best: BTreeSet<(PairKey, Source)> = sources
            .iter()
            .filter_map(|source| Some((self.best(now, *source)?, *source)))
            .collect();
        while let Some((key, source)) = best.pop_first() {
            // Earlier matches of this step may have taken either side.
            match self.best(now, source) {
                Some(current) if current == key => {
                    let trigger = match source {
                        Source::Item(item) => triggers.get(&item).copied(),
                        Source::Agent(_) => None,
                    };
                    self.match_item(cx, key.item, trigger.unwrap_or(Trigger::AgentFree));
                    best.extend(self.best(now, source).map(|next| (next, source)));
                }
                Some(current) => {
                    best.insert((current, source));
                }
                None => {}
            }
        }
        for source in sources {
            self.explain_unmatched(cx, *source, triggers);
        }
    }

    fn best(&self, now: Instant, source: Source) -> Option<PairKey> {
        match source {
            Source::Agent(agent) => self.best_item(now, agent),
            Source::Item(item) => self.best_level(now, item),
        }
    }

    /// The least work item that this agent may have, over all its queues. O(queues of the agent).
    fn best_item(&self, now: Instant, key: AgentKey) -> Option<PairKey> {
        let agent = self.agents.get(key)?;
        let mut best: Option<PairKey> = None;
        for (queue_key, standing) in &agent.standings {
            let Some(ring) = standing.place.as_ref().map(|place| place.ring) else {
                continue;
            };
            let Some(queue) = self.queues.get(*queue_key) else {
                continue;
            };
            if queue.open.is_empty() {
                continue;
            }
            let Some(assignment) = agent.assignments.get(queue_key) else {
                continue;
            };
            for (want, line) in &queue.open {
                if want.ring < ring || lacking(agent, &want.needs).is_some() {
                    continue;
                }
                let first = line.iter().find(|order| {
                    self.items.get(&order.item).is_some_and(|item| {
                        self.held(now, item, (key, agent), assignment, queue)
                            .is_none()
                    })
                });
                if let Some(order) = first {
                    let pair = PairKey::new(*order, assignment.level);
                    best = Some(best.map_or(pair, |best| best.min(pair)));
                }
            }
        }
        best
    }

    /// The pair of this work item with the least level of a free agent that may have it.
    fn best_level(&self, now: Instant, id: WorkItemId) -> Option<PairKey> {
        let item = self.items.get(&id)?;
        let queue = self.queues.get(item.queue)?;
        if !queue.is_open(item) {
            return None;
        }
        self.reachable(now, item, queue)
            .find(|place| self.refusal(now, item, queue, place).is_none())
            .map(|place| PairKey::new(item.order, place.level))
    }

    /// Why this free agent may not have this work item.
    pub(super) fn refusal(
        &self,
        now: Instant,
        item: &Item,
        queue: &Queue,
        place: &Place,
    ) -> Option<Why> {
        let Some((key, agent)) = place
            .agent
            .and_then(|key| Some((key, self.agents.get(key)?)))
        else {
            return Some(Why::LoggedOut);
        };
        let Some(assignment) = agent.assignments.get(&item.queue) else {
            return Some(Why::AssignmentOff);
        };
        lacking(agent, &item.needs)
            .or_else(|| self.held(now, item, (key, agent), assignment, queue))
    }

    /// Offers the work item to whom the queue's strategy chooses among the free.
    fn match_item(&mut self, cx: &mut Cx, id: WorkItemId, trigger: Trigger) {
        let seed = self
            .items
            .get(&id)
            .and_then(|item| self.queues.get(item.queue))
            .filter(|queue| queue.settings.strategy == strategy::Strategy::Random)
            .map(|_| self.entropy.u64());
        let Some((chosen, decision)) = self.choose(cx, id, trigger, seed) else {
            return;
        };
        self.remember(decision);
        self.count_bypassed(id);
        for agent in chosen {
            self.offer(cx, id, agent);
        }
    }

    /// The strategy's choice with its reasons; `None` when the work item is not open.
    fn choose(
        &self,
        cx: &Cx,
        id: WorkItemId,
        trigger: Trigger,
        seed: Option<u64>,
    ) -> Option<(SmallVec<[AgentKey; 2]>, Kept)> {
        let now = cx.now.mono;
        let item = self.items.get(&id)?;
        let queue = self.queues.get(item.queue)?;
        let strategy = queue.settings.strategy;
        let limit = if strategy.is_broadcast() {
            queue.settings.ring_all_max.max(1)
        } else {
            1
        };
        let computed;
        let plain = item.ring == 0 && item.prefer.is_none();
        let order: Box<dyn Iterator<Item = &Place>> = match strategy.kept() {
            strategy::Kept::Sorted if plain => {
                Box::new(queue.free.iter().take_while(|place| place.ring == 0))
            }
            strategy::Kept::Rotating if plain => Box::new(
                strategy::round_robin::rotated(&queue.free, queue.last_offered.as_ref())
                    .take_while(|place| place.ring == 0),
            ),
            _ => {
                computed = self.ranked(now, item, queue, seed);
                Box::new(computed.iter().map(|(_, place)| *place))
            }
        };
        let mut chosen = SmallVec::new();
        let mut names = SmallVec::new();
        let mut notes: Vec<(Arc<str>, Why)> = Vec::new();
        for place in order {
            let why = match self.refusal(now, item, queue, place) {
                None if chosen.len() < limit => {
                    chosen.extend(place.agent);
                    names.push(place.extension.clone());
                    Why::Chosen
                }
                None => Why::AfterChosen,
                Some(why) => why,
            };
            if notes.len() < CANDIDATES_MAX || why == Why::Chosen {
                notes.push((place.extension.clone(), why));
            } else if chosen.len() >= limit {
                break;
            }
        }
        if let Some(own) = self.own_agent(item, queue)
            && !notes.iter().any(|(agent, _)| *agent == own)
        {
            notes.push((own, Why::OwnCall));
        }
        notes.shrink_to_fit();
        let busy = Arc::clone(
            queue
                .busy
                .borrow_mut()
                .get_or_insert_with(|| self.busy_notes(item.queue, queue)),
        );
        let twice = busy
            .iter()
            .filter(|(agent, _)| notes.iter().any(|(other, _)| other == agent));
        let named = notes.len() + busy.len() - twice.count();
        let shown = named.min(CANDIDATES_MAX.max(notes.len()));
        let more = queue.assigned.len().saturating_sub(shown);
        let decision = Kept {
            at: cx.now.wall,
            trigger,
            item: Some(id),
            queue: Some(queue.name().clone()),
            order: Some(item.order),
            candidates: notes,
            busy,
            more: u32::try_from(more).unwrap_or(u32::MAX),
            chosen: names,
        };
        Some((chosen, decision))
    }

    /// The agent of this queue who is the caller.
    fn own_agent(&self, item: &Item, queue: &Queue) -> Option<Arc<str>> {
        let own = item.caller.extension.as_ref()?;
        let key = self.agent_names.get(own)?;
        queue.assigned.contains(key).then(|| own.clone())
    }

    /// Agents who are not free, with the first rule that says so, up to the limit of a decision.
    pub(super) fn busy_notes(&self, queue_key: QueueKey, queue: &Queue) -> explain::Notes {
        let agents = queue
            .assigned
            .iter()
            .filter_map(|key| self.agents.get(*key));
        let busy = agents.filter_map(|agent| {
            let off = agent
                .assignments
                .get(&queue_key)
                .is_none_or(|assignment| !assignment.enabled());
            let why = agent.blocked(true).or(off.then_some(Why::AssignmentOff))?;
            Some((agent.extension().clone(), why))
        });
        busy.take(CANDIDATES_MAX).collect()
    }

    fn count_bypassed(&mut self, id: WorkItemId) {
        let Some(item) = self.items.get(&id) else {
            return;
        };
        let (order, needs) = (item.order, item.needs.clone());
        let Some(queue) = self.queues.get_mut(item.queue) else {
            return;
        };
        let passed: SmallVec<[WorkItemId; 4]> = queue
            .open
            .iter()
            .filter(|(of, _)| of.needs != needs)
            .filter_map(|(_, line)| line.first())
            .filter(|head| **head < order)
            .map(|head| head.item)
            .collect();
        queue.counters.bypassed += passed.len() as u64;
        for id in passed {
            if let Some(item) = self.items.get_mut(&id) {
                item.bypassed += 1;
            }
        }
    }

    /// A decision that gave nobody anything is a decision too.
    fn explain_unmatched(
        &mut self,
        cx: &Cx,
        source: Source,
        triggers: &BTreeMap<WorkItemId, Trigger>,
    ) {
        match source {
            Source::Item(id) => {
                let open = self.items.get(&id).is_some_and(|item| {
                    self.queues
                        .get(item.queue)
                        .is_some_and(|queue| queue.is_open(item))
                });
                let trigger = triggers.get(&id).copied().unwrap_or(Trigger::Entered);
                if open && let Some((_, decision)) = self.choose(cx, id, trigger, Some(0)) {
                    self.remember(decision);
                }
            }
            Source::Agent(key) => {
                let Some(agent) = self.agents.get_mut(key) else {
                    return;
                };
                if agent.blocked(true).is_some() {
                    return;
                }
                let decision = Arc::new(Kept {
                    at: cx.now.wall,
                    trigger: Trigger::AgentFree,
                    item: None,
                    queue: None,
                    order: None,
                    candidates: vec![(agent.extension().clone(), Why::NothingWaits)],
                    busy: Arc::new([]),
                    more: 0,
                    chosen: SmallVec::new(),
                });
                explain::keep(&mut agent.why, &decision);
            }
        }
    }

    /// Keeps a decision with its work item and with every agent that it names.
    fn remember(&mut self, decision: Kept) {
        let decision = Arc::new(decision);
        for (extension, _) in decision.notes() {
            if let Some(agent) = self
                .agent_names
                .get(extension)
                .and_then(|key| self.agents.get_mut(*key))
            {
                explain::keep(&mut agent.why, &decision);
            }
        }
        if let Some(item) = decision.item.and_then(|id| self.items.get_mut(&id)) {
            explain::keep(&mut item.why, &decision);
        }
    }

    /// Pairs that should not exist after a step: an open work item and a free agent with nothing between them. O(everything), for
    /// checkers.
    pub fn unmatched_pairs(&self, now: Instant) -> Vec<(WorkItemId, Arc<str>)> {
        let mut pairs = Vec::new();
        for (_, queue) in self.queues.iter() {
            for item in queue
                .open
                .values()
                .flatten()
                .filter_map(|o| self.items.get(&o.item))
            {
                for place in &queue.free {
                    if self.refusal(now, item, queue, place).is_none() {
                        pairs.push((item.id, place.extension.clone()));
                    }
                }
            }
        }
        pairs
    }
}
