//! The auditor: recomputes every sum that is kept while working, and says where one does not add up.

use std::collections::{BTreeMap, BTreeSet};

use super::agent::{AgentKey, Work};
use super::core::{Acd, Cx};
use super::queue::QueueKey;

impl Acd {
    /// Every difference between what is kept and what can be recomputed, in words; empty when all is well. O(everything).
    pub fn audit(&self) -> Vec<String> {
        let mut defects = Vec::new();
        self.audit_agents(&mut defects);
        self.audit_offers(&mut defects);
        self.audit_queues(&mut defects);
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

    fn audit_queues(&self, defects: &mut Vec<String>) {
        let mut lines: BTreeMap<QueueKey, BTreeSet<_>> = BTreeMap::new();
        for item in self.items.values().filter(|item| item.queued) {
            lines.entry(item.queue).or_default().insert(item.order);
        }
        let mut standings: BTreeMap<QueueKey, (BTreeSet<_>, u32, u32, u32)> = BTreeMap::new();
        for (_, agent) in self.agents.iter() {
            for (queue, standing) in &agent.standings {
                let of = standings.entry(*queue).or_default();
                of.0.extend(standing.place.clone());
                of.1 += u32::from(standing.logged_in);
                of.2 += u32::from(standing.staffed);
                of.3 += u32::from(standing.wanting);
            }
        }
        for (key, queue) in self.queues.iter() {
            let name = queue.name();
            let line = lines.remove(&key).unwrap_or_default();
            if line != queue.line {
                defects.push(format!(
                    "queue {name} lists {} work items, {} say they wait in it",
                    queue.line.len(),
                    line.len()
                ));
            }
            let open: BTreeSet<_> = queue.open.values().flatten().copied().collect();
            let free_to_offer: BTreeSet<_> = line
                .into_iter()
                .filter(|order| {
                    let item = self.items.get(&order.item);
                    item.is_some_and(|item| item.offers.is_empty() && !item.dormant)
                })
                .collect();
            if open != free_to_offer {
                defects.push(format!(
                    "queue {name} may offer {} work items, {} are free to be offered",
                    open.len(),
                    free_to_offer.len()
                ));
            }
            let waiting = u64::from(queue.waiting());
            if !queue.counters.identity_holds(waiting) {
                defects.push(format!(
                    "queue {name}: entries and exits differ: {:?} with {waiting} waiting",
                    queue.counters
                ));
            }
            let (free, logged_in, staffed, wanting) = standings.remove(&key).unwrap_or_default();
            if free != queue.free {
                defects.push(format!(
                    "queue {name} lists {} free agents, {} say they are",
                    queue.free.len(),
                    free.len()
                ));
            }
            if (logged_in, staffed, wanting)
                != (queue.logged_in, queue.staffed_total(), queue.wanting)
            {
                defects.push(format!("queue {name} counts its staff wrongly"));
            }
        }
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
