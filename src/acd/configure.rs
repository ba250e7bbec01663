//! New settings as a difference: nothing that was not changed is touched, nobody is logged out, no work item moves, no counter is reset.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::agent::{Agent, AgentKey, Assignment};
use super::command::WorkItemId;
use super::core::{Acd, Cx};
use super::event::AcdEvent;
use super::explain::Trigger;
use super::matching::Pending;
use super::queue::{Queue, QueueKey};
use super::settings::{AcdSettings, AgentSettings, QueueSettings};
use crate::base::Duration;
use crate::base::limits::QUEUES_PER_AGENT_MAX;

impl Acd {
    pub(super) fn configure(&mut self, cx: &mut Cx, settings: AcdSettings) {
        let mut touched = self.configure_agents(cx, settings.agents);
        let changed = self.configure_queues(cx, settings.queues);
        touched.extend(self.configure_assignments());
        for key in &touched {
            self.touch(cx, *key);
        }
        for key in touched {
            let is_idle = self
                .agents
                .get(key)
                .is_some_and(|a| a.removed && a.is_idle());
            if is_idle {
                self.logout(cx, key);
                self.forget_removed_agent(key);
            }
        }
        self.place_restored(cx);
        for key in changed {
            self.requeue_by_new_rules(cx, key);
        }
    }

    fn configure_agents(&mut self, cx: &mut Cx, wanted: Vec<AgentSettings>) -> BTreeSet<AgentKey> {
        let mut touched = BTreeSet::new();
        let mut named = BTreeSet::new();
        for settings in wanted {
            let extension = settings.extension.clone();
            named.insert(extension.clone());
            let change = match self.agent_names.get(&extension).copied() {
                None => {
                    let mut agent = Agent::new(settings, cx.now);
                    agent.journalled = Some(agent.record());
                    let key = self.agents.insert(agent);
                    self.agent_names.insert(extension.clone(), key);
                    touched.insert(key);
                    "added"
                }
                Some(key) => {
                    let Some(agent) = self.agents.get_mut(key) else {
                        continue;
                    };
                    if agent.settings == settings && !agent.removed {
                        continue;
                    }
                    if agent.removed {
                        agent.removed = false;
                        agent.leaving = false;
                    }
                    agent.skills = settings.skills.iter().cloned().collect();
                    agent.settings = settings;
                    touched.insert(key);
                    // A new skill may fit what waits.
                    self.pending.push(Pending::Agent(key));
                    "changed"
                }
            };
            cx.event(AcdEvent::Configured {
                change: format!("agent {extension} {change}"),
            });
        }
        for (extension, key) in &self.agent_names {
            if named.contains(extension) {
                continue;
            }
            if let Some(agent) = self.agents.get_mut(*key)
                && !agent.removed
            {
                agent.removed = true;
                touched.insert(*key);
                cx.event(AcdEvent::Configured {
                    change: format!("agent {extension} removed"),
                });
            }
        }
        touched
    }

    fn configure_queues(&mut self, cx: &mut Cx, wanted: Vec<QueueSettings>) -> BTreeSet<QueueKey> {
        let mut changed = BTreeSet::new();
        let mut named = BTreeSet::new();
        for settings in wanted {
            let name = settings.name.clone();
            named.insert(name.clone());
            let (key, change) = match self.queue_names.get(&name).copied() {
                None => {
                    let mut queue = Queue::new(settings, cx.now.mono);
                    queue.journalled = Some(queue.record());
                    let key = self.queues.insert(queue);
                    self.queue_names.insert(name.clone(), key);
                    (key, "added")
                }
                Some(key) => {
                    let Some(queue) = self.queues.get_mut(key) else {
                        continue;
                    };
                    if queue.settings == settings && !queue.closing {
                        continue;
                    }
                    queue.closing = false;
                    queue.settings = settings;
                    (key, "changed")
                }
            };
            if let Some(queue) = self.queues.get_mut(key) {
                queue.delays = delays(&queue.settings);
            }
            changed.insert(key);
            cx.event(AcdEvent::Configured {
                change: format!("queue {name} {change}"),
            });
        }
        for (name, key) in &self.queue_names {
            if named.contains(name) {
                continue;
            }
            if let Some(queue) = self.queues.get_mut(*key)
                && !queue.closing
            {
                queue.closing = true;
                self.dirty_queues.insert(*key);
                cx.event(AcdEvent::Configured {
                    change: format!("queue {name} removed"),
                });
            }
        }
        changed
    }

    /// Gives every agent the assignments that the queues name; returns those whose assignments differ. A moved toggle stays moved.
    fn configure_assignments(&mut self) -> BTreeSet<AgentKey> {
        let mut wanted: BTreeMap<AgentKey, BTreeMap<QueueKey, Assignment>> = BTreeMap::new();
        for key in self.queue_names.values() {
            let Some(queue) = self.queues.get_mut(*key) else {
                continue;
            };
            queue.assigned.clear();
            queue.drawn.clear();
            queue.in_common.get_mut().clear();
            *queue.busy.get_mut() = None;
            for settings in &queue.settings.agents {
                let Some(agent_key) = self.agent_names.get(&settings.agent).copied() else {
                    continue;
                };
                let Some(agent) = self.agents.get(agent_key).filter(|agent| !agent.removed) else {
                    continue;
                };
                let of = wanted.entry(agent_key).or_default();
                if of.len() >= QUEUES_PER_AGENT_MAX && !of.contains_key(key) {
                    continue;
                }
                let moved = agent.assignments.get(key).and_then(|old| old.moved);
                of.insert(
                    *key,
                    Assignment {
                        drawn: SmallVec::new(),
                        level: settings.level,
                        delay: settings.delay,
                        rank: settings.rank,
                        configured: settings.enabled,
                        moved,
                    },
                );
                queue.assigned.insert(agent_key);
            }
        }
        self.draw_in(&mut wanted);
        let mut differ = BTreeSet::new();
        for (key, agent) in self.agents.iter_mut() {
            let wanted = wanted.remove(&key).unwrap_or_default();
            let places_differ = wanted.keys().any(|queue| {
                let old = agent.standings.get(queue).and_then(|s| s.place.as_ref());
                old.is_some_and(|old| {
                    let of = self.queues.get(*queue);
                    let assignment = wanted.get(queue);
                    of.zip(assignment).is_none_or(|(of, assignment)| {
                        of.settings
                            .strategy
                            .place(&agent.facts(assignment), agent.extension(), key)
                            != *old
                    })
                })
            });
            if agent.assignments != wanted || places_differ {
                agent.assignments = wanted;
                differ.insert(key);
            }
        }
        differ
    }

    /// Adds the agents whom expansions draw in: those named, and those of queues named, each from its ring on. After every own
    /// assignment, so that who serves a queue anyway is not drawn into it.
    fn draw_in(&mut self, wanted: &mut BTreeMap<AgentKey, BTreeMap<QueueKey, Assignment>>) {
        let mut drawn: Vec<(QueueKey, u8, Option<QueueKey>, AgentKey)> = Vec::new();
        for key in self.queue_names.values() {
            let Some(queue) = self.queues.get(*key) else {
                continue;
            };
            for (expansion, ring) in queue.settings.expand.iter().zip(1..) {
                let named = expansion.add_agents.iter();
                let named = named.filter_map(|name| self.agent_names.get(name));
                drawn.extend(named.map(|agent| (*key, ring, None, *agent)));
                for name in &expansion.add_queues {
                    let Some(via) = self.queue_names.get(name) else {
                        continue;
                    };
                    let of = self.queues.get(*via).into_iter().flat_map(|q| &q.assigned);
                    drawn.extend(of.map(|agent| (*key, ring, Some(*via), *agent)));
                }
            }
        }
        for (key, ring, via, agent_key) in drawn {
            let gone = self.agents.get(agent_key).is_none_or(|a| a.removed);
            let of = wanted.entry(agent_key).or_default();
            if gone || of.get(&key).is_some_and(Assignment::is_own) {
                continue;
            }
            // Its own queues come first for the agent: the last of all levels.
            let assignment = of.entry(key).or_insert_with(|| Assignment {
                drawn: SmallVec::new(),
                level: u8::MAX,
                delay: Duration::ZERO,
                rank: 1,
                configured: true,
                moved: None,
            });
            assignment.drawn.push((ring, via));
            if let Some(queue) = self.queues.get_mut(key) {
                queue.drawn.insert(agent_key);
            }
        }
    }

    /// Applies a changed queue's rules and timers to those who wait in it.
    fn requeue_by_new_rules(&mut self, cx: &mut Cx, key: QueueKey) {
        let Some(queue) = self.queues.get(key) else {
            return;
        };
        let waiting: Vec<WorkItemId> = queue.line.iter().map(|order| order.item).collect();
        for id in waiting {
            if !self.leave_if_due(cx, id) && self.items.get(&id).is_some_and(|item| !item.dormant) {
                self.arm_item(cx, id);
                self.pending.push(Pending::Item(id, Trigger::Configured));
            }
        }
        self.arm_queue_rules(cx, key);
    }

    /// Forgets an agent who is gone from the configuration, logged out and without work.
    pub(super) fn forget_removed_agent(&mut self, key: AgentKey) {
        let Some(agent) = self.agents.get(key) else {
            return;
        };
        if agent.removed && agent.logged_in.is_none() && agent.is_idle() {
            debug_assert!(agent.standings.is_empty(), "its assignments went first");
            self.agent_names.remove(agent.extension());
            self.agents.remove(key);
            self.dirty_agents.remove(&key);
        }
    }

    /// Forgets a queue that is gone from the configuration and has finished its calls.
    pub(super) fn forget_queue(&mut self, cx: &mut Cx, key: QueueKey) {
        let Some(queue) = self.queues.get_mut(key) else {
            return;
        };
        let name = queue.name().clone();
        let mut served = std::mem::take(&mut queue.assigned);
        served.append(&mut queue.drawn);
        for agent in served {
            if let Some(agent) = self.agents.get_mut(agent) {
                agent.assignments.remove(&key);
                agent.standings.remove(&key);
            }
        }
        self.queues.remove(key);
        self.queue_names.remove(&name);
        cx.event(AcdEvent::Configured {
            change: format!("queue {name} finished"),
        });
    }
}

fn delays(settings: &QueueSettings) -> Vec<Duration> {
    let delays: BTreeSet<Duration> = settings
        .agents
        .iter()
        .map(|assignment| assignment.delay)
        .filter(|delay| !delay.is_zero())
        .collect();
    delays.into_iter().collect()
}

/// The key under which a record waits until what it is about is configured.
pub(super) fn unplaced_key(agent: &str, queue: &str) -> (Arc<str>, Arc<str>) {
    (agent.into(), queue.into())
}
