//! The auditor: recomputes every sum that is kept while working, and says where one does not add up.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::agent::{Agent, AgentKey, Work};
use super::core::{Acd, Cx};
use super::explain::Notes;
use super::line::Line;
use super::queue::{Queue, QueueKey};

/// Queues whose sums are recomputed each second, so that the audit of a large floor never holds up its calls.
const QUEUES_A_SECOND: usize = 20;

impl Acd {
    /// Every difference between what is kept and what can be recomputed, in words; empty when all is well. O(everything).
    pub fn audit(&self) -> Vec<String> {
        let mut defects = Vec::new();
        self.audit_agents(&mut defects);
        self.audit_offers(&mut defects);
        for (key, queue) in self.queues.iter() {
            self.audit_queue(key, queue, &mut defects);
        }
        for (key, agent) in self.agents.iter() {
            self.audit_free(key, agent, &mut defects);
        }
        defects
    }

    fn audit_agents(&self, defects: &mut Vec<String>) {
        let mut holders = 0;
        for (key, agent) in self.agents.iter() {
            let extension = agent.extension();
            holders += usize::from(!agent.is_idle());
            match &agent.work {
                Work::Idle | Work::Wrap(_) => {}
                Work::Offered { offer, .. } => {
                    let of = self.offers.get(offer);
                    if of.is_none_or(|of| of.agent != key) {
                        defects.push(format!(
                            "{extension} is held by AgentOffer {offer}, which does not know it"
                        ));
                    }
                }
                Work::Talking { item, .. } => {
                    let of = self.items.get(item);
                    if of.is_none_or(|item| !item.talking.contains(&key)) {
                        defects.push(format!(
                            "{extension} talks with {item}, which does not know it"
                        ));
                    }
                }
            }
            if agent.logged_in.is_none() && !agent.is_idle() {
                defects.push(format!("{extension} is logged out and holds work"));
            }
        }
        if holders != self.tokens.held() {
            defects.push(format!(
                "{} tokens are held, by {holders} agents",
                self.tokens.held()
            ));
        }
    }

    fn audit_offers(&self, defects: &mut Vec<String>) {
        for (id, offer) in &self.offers {
            let item_knows = self
                .items
                .get(&offer.item)
                .is_some_and(|item| item.queued && item.offers.contains(id));
            let agent_knows = self.agents.get(offer.agent).is_some_and(
                |agent| matches!(&agent.work, Work::Offered { offer, .. } if offer == id),
            );
            if !item_knows || !agent_knows {
                defects.push(format!("AgentOffer {id} is known to its agent: {agent_knows}, to its work item: {item_knows}"));
            }
        }
        let lines: usize = self.queues.iter().map(|(_, queue)| queue.line.len()).sum();
        let queued = self
            .items
            .values()
            .filter(|item| item.queued && !item.parked)
            .count();
        if lines != queued {
            defects.push(format!("{queued} work items wait, queues list {lines}"));
        }
        for item in self.items.values() {
            let live = item.offers.iter().all(|id| self.offers.contains_key(id));
            let winner = item.winner.is_none_or(|id| item.offers.contains(&id));
            if !live || !winner {
                defects.push(format!(
                    "work item {} counts on an AgentOffer that has ended",
                    item.id
                ));
            }
            let winners = item
                .offers
                .iter()
                .filter(|id| self.offers.get(id).is_some_and(|o| o.answered))
                .count();
            if winners > 1 {
                defects.push(format!("work item {} has {winners} winners", item.id));
            }
        }
    }

    /// One queue against its work items and its agents. O(waiting + assigned).
    fn audit_queue(&self, key: QueueKey, queue: &Queue, defects: &mut Vec<String>) {
        let name = queue.name();
        let (mut to_offer, mut preferring, mut callbacks) = (0, 0, 0);
        for order in queue.line.iter() {
            let item = self.items.get(&order.item);
            let Some(item) = item.filter(|i| i.queued && i.queue == key && i.order == *order)
            else {
                defects.push(format!(
                    "queue {name} lists {order:?}, which does not wait in it"
                ));
                continue;
            };
            preferring += u32::from(item.prefer.is_some());
            callbacks += u32::from(item.callback.is_some());
            let may = item.offers.is_empty() && !item.dormant;
            let open = queue.is_open(item);
            to_offer += usize::from(may);
            if may != open {
                defects.push(format!(
                    "work item {} may be offered: {may}, queue {name} says {open}",
                    item.id
                ));
            }
        }
        let open: usize = queue.open.values().map(BTreeSet::len).sum();
        if open != to_offer {
            defects.push(format!(
                "queue {name} may offer {open} work items, {to_offer} are free to be offered"
            ));
        }
        let by_needs: usize = queue.by_needs.values().map(Line::len).sum();
        let from = (key, std::sync::Arc::from(""));
        let of_queue = self.callbacks.range(from..);
        let promised = of_queue.take_while(|((of, _), _)| *of == key).count();
        let open = u64::from(queue.promised);
        let counted = queue.counters.callbacks.identity_holds(open);
        if callbacks != queue.callbacks || promised as u64 != open || !counted {
            defects.push(format!(
                "queue {name} counts {} callbacks in line of {callbacks}, {open} promised of {promised}: {:?}",
                queue.callbacks, queue.counters.callbacks
            ));
        }
        if by_needs != queue.line.len() || preferring != queue.preferring {
            defects.push(format!(
                "queue {name} lists {} work items, {by_needs} by their needs; {preferring} prefer somebody, {} are counted",
                queue.line.len(),
                queue.preferring
            ));
        }
        let stale = |kept: &Notes| *kept != self.busy_notes(key, queue);
        if queue.busy.borrow().as_ref().is_some_and(stale) {
            defects.push(format!(
                "queue {name} explains its agents as they were, not as they are"
            ));
        }
        let waiting = u64::from(queue.waiting());
        if !queue.counters.identity_holds(waiting) {
            defects.push(format!(
                "queue {name}: entries and exits differ: {:?} with {waiting} waiting",
                queue.counters
            ));
        }
        let (mut free, mut logged_in, mut staffed, mut wanting) = (0, 0, 0, 0);
        let of_queue = queue
            .assigned
            .iter()
            .chain(&queue.drawn)
            .filter_map(|agent| self.agents.get(*agent));
        for standing in of_queue.filter_map(|agent| agent.standings.get(&key)) {
            logged_in += u32::from(standing.logged_in);
            staffed += u32::from(standing.staffed);
            wanting += u32::from(standing.wanting);
            if let Some(place) = &standing.place {
                free += 1;
                if !queue.free.contains(place) {
                    defects.push(format!(
                        "queue {name} does not know that {} is free",
                        place.extension
                    ));
                }
            }
        }
        if free != queue.free.len() {
            defects.push(format!(
                "queue {name} lists {} free agents, {free} say they are",
                queue.free.len()
            ));
        }
        if (logged_in, staffed, wanting) != (queue.logged_in, queue.staffed_total(), queue.wanting)
        {
            defects.push(format!("queue {name} counts its staff wrongly"));
        }
    }

    /// An agent is listed as free exactly while nothing keeps work away from it.
    fn audit_free(&self, key: AgentKey, agent: &Agent, defects: &mut Vec<String>) {
        let free = agent.blocked(self.broken.is_none()).is_none();
        for (queue, assignment) in &agent.assignments {
            let listed = agent
                .standings
                .get(queue)
                .is_some_and(|s| s.place.is_some());
            let assigned = self
                .queues
                .get(*queue)
                .is_some_and(|q| q.assigned.contains(&key) || q.drawn.contains(&key));
            if listed != (free && agent.ring_in(assignment).is_some()) || !assigned {
                defects.push(format!(
                    "{} is free: {free}, listed as free: {listed}, assigned: {assigned}",
                    agent.extension()
                ));
            }
        }
    }

    /// The part of the audit that is done each second: all agents and AgentOffers, and the next few queues.
    pub(super) fn audit_some(&mut self) -> Vec<String> {
        let mut defects = Vec::new();
        self.audit_agents(&mut defects);
        self.audit_offers(&mut defects);
        let after = self.audited_to.clone();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let next: Vec<_> = self
            .queue_names
            .range((from, Bound::Unbounded))
            .take(QUEUES_A_SECOND)
            .collect();
        for (_, key) in &next {
            if let Some(queue) = self.queues.get(**key) {
                self.audit_queue(**key, queue, &mut defects);
                for agent in queue.assigned.iter().chain(&queue.drawn) {
                    if let Some(of) = self.agents.get(*agent) {
                        self.audit_free(*agent, of, &mut defects);
                    }
                }
            }
        }
        self.audited_to = next
            .last()
            .filter(|_| next.len() == QUEUES_A_SECOND)
            .map(|(name, _)| (*name).clone());
        defects
    }

    /// After a defect was reported: rebuilds what every queue knows of its agents.
    pub(super) fn repair(&mut self, cx: &mut Cx) {
        for (_, queue) in self.queues.iter_mut() {
            queue.free.clear();
            queue.staffed.clear();
            queue.logged_in = 0;
            queue.wanting = 0;
        }
        let keys: Vec<AgentKey> = self.agents.iter().map(|(key, _)| key).collect();
        for (_, agent) in self.agents.iter_mut() {
            agent.standings.clear();
        }
        for key in keys {
            self.restand(cx.now.mono, key, false);
        }
    }
}
