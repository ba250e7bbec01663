//! Puts the ACD's state into views, made on request.

use super::agent::{Agent, AgentKey, Work};
use super::command::WorkItemId;
use super::core::Acd;
use super::expected_wait;
use super::explain::Why;
use super::item::Item;
use super::metrics::{QueueMetrics, millis};
use super::queue::{Queue, QueueKey};
use super::view::{
    AgentView, AssignmentView, Decision, ItemState, JourneyEntry, QueueView, WorkItemView,
};
use crate::base::{Duration, Now, Ulid};

/// Ready agents that are named with what keeps each from a call that waits.
const READY_NAMED: usize = 3;
/// Agents of a queue that are looked at for them: a list of all that wait must stay cheap.
const READY_LOOKED_AT: usize = 50;

impl Acd {
    /// All queues, by name.
    pub fn queues(&self, now: Now) -> Vec<QueueView> {
        let keys = self.queue_names.values();
        keys.filter_map(|key| Some(self.queue_view(now, self.queues.get(*key)?)))
            .collect()
    }

    /// One queue.
    pub fn queue(&self, now: Now, name: &str) -> Option<QueueView> {
        let key = self.queue_names.get(name)?;
        Some(self.queue_view(now, self.queues.get(*key)?))
    }

    fn queue_view(&self, now: Now, queue: &Queue) -> QueueView {
        let items = || {
            queue
                .line
                .iter()
                .filter_map(|order| self.items.get(&order.item))
                .filter(|item| item.callback.is_none())
        };
        let longest = items().map(|item| item.waited(now.mono)).max();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let level = queue.settings.service_level;
        QueueView {
            name: queue.name().clone(),
            strategy: queue.settings.strategy,
            waiting: queue.waiting(),
            callbacks: queue.promised,
            alerting: count(items().filter(|item| !item.offers.is_empty()).count()),
            talking: queue.talking,
            longest_wait_ms: millis(longest.unwrap_or(Duration::ZERO)),
            agents_assigned: count(queue.assigned.len()),
            agents_logged_in: queue.logged_in,
            agents_ready: queue.wanting,
            agents_free: count(queue.free.len()),
            expected_wait: queue
                .speed
                .expected(now.mono, queue.in_line() + 1, queue.wanting)
                .map(expected_wait::band),
            closing: queue.closing,
            closed: queue.closed(now.mono).map(Into::into),
            max_waiting: queue.settings.max_waiting,
            waiting_late: count(
                items()
                    .filter(|item| item.waited(now.mono) > level.within)
                    .count(),
            ),
            overflow: queue.overflow_view(now.mono),
            metrics: QueueMetrics::of(
                &queue.counters,
                u64::from(queue.waiting()),
                level.within,
                level.target,
            ),
        }
    }

    /// Counters and every figure of one queue.
    pub fn metrics(&self, name: &str) -> Option<QueueMetrics> {
        let queue = self.queues.get(*self.queue_names.get(name)?)?;
        let level = queue.settings.service_level;
        Some(QueueMetrics::of(
            &queue.counters,
            u64::from(queue.waiting()),
            level.within,
            level.target,
        ))
    }

    /// All agents, by extension.
    pub fn agents(&self, now: Now) -> Vec<AgentView> {
        let keys = self.agent_names.values();
        keys.filter_map(|key| self.agent_view(now, *key)).collect()
    }

    /// One agent.
    pub fn agent(&self, now: Now, extension: &str) -> Option<AgentView> {
        self.agent_view(now, *self.agent_names.get(extension)?)
    }

    fn agent_view(&self, now: Now, key: AgentKey) -> Option<AgentView> {
        let agent = self.agents.get(key)?;
        let name_of = |key: &QueueKey| Some(self.queues.get(*key)?.name().clone());
        let (item, queue, offer, wrap_until) = match &agent.work {
            Work::Idle => (None, None, None, None),
            Work::Offered {
                item, queue, offer, ..
            } => (Some(*item), name_of(queue), Some(*offer), None),
            Work::Talking { item, queue, .. } => (Some(*item), name_of(queue), None, None),
            Work::Wrap(wrap) => (
                Some(wrap.item),
                Some(wrap.queue_name.clone()),
                None,
                Some(wrap.until_wall),
            ),
        };
        let mut queues: Vec<AssignmentView> = agent
            .assignments
            .iter()
            .filter(|(_, assignment)| assignment.is_own())
            .filter_map(|(queue, assignment)| {
                Some(AssignmentView {
                    queue: name_of(queue)?,
                    level: assignment.level,
                    rank: assignment.rank,
                    enabled: assignment.enabled(),
                })
            })
            .collect();
        queues.sort_by(|a, b| a.queue.cmp(&b.queue));
        let counters = agent.counters_at(now.mono);
        let (state, reason, _) = agent.shown.clone();
        let (idle, idle_item) = self.idle_because(now, key, agent);
        Some(AgentView {
            extension: agent.extension().clone(),
            name: agent.settings.name.clone(),
            state,
            reason,
            since: agent.shown_since,
            status: agent.status.clone(),
            next: agent.next.clone(),
            logged_in: agent.logged_in,
            devices: agent.ringable,
            silent: agent.silent,
            other_calls: agent.live,
            item,
            queue,
            offer,
            wrap_until,
            wants_disposition: matches!(&agent.work, Work::Wrap(wrap) if wrap.misses()),
            idle_because: idle.words(),
            idle_code: idle.code().into(),
            idle_item,
            idle_ms: millis(agent.idle.idle(now.mono)),
            occupancy: counters.occupancy(),
            queues,
            counters,
        })
    }

    /// Work items waiting in a queue, in the order in which they will be served.
    pub fn waiting(&self, now: Now, queue: &str) -> Vec<WorkItemView> {
        let key = self.queue_names.get(queue);
        let Some(queue) = key.and_then(|key| self.queues.get(*key)) else {
            return Vec::new();
        };
        let items = queue
            .line
            .iter()
            .filter_map(|order| self.items.get(&order.item));
        items
            .zip(1..)
            .map(|(item, position)| self.item_view(now, item, Some(position)))
            .collect()
    }

    /// All work items that wait or are talked with, by id.
    pub fn items(&self, now: Now) -> Vec<WorkItemView> {
        let items = self.items.values();
        items
            .map(|item| self.item_view(now, item, self.position(item)))
            .collect()
    }

    /// One work item, also for a while after it has ended.
    pub fn item(&self, now: Now, id: WorkItemId) -> Option<WorkItemView> {
        let item = self.find_item(id)?;
        Some(self.item_view(now, item, self.position(item)))
    }

    /// The work item of a call: the open one, else the newest of those that are still known.
    pub fn item_of_call(&self, call: Ulid) -> Option<WorkItemId> {
        let open = self.items.values().find(|item| item.call == call);
        open.map(|item| item.id)
            .or_else(|| self.history.of_call(call))
    }

    /// Work items waiting in all queues.
    pub fn waiting_total(&self) -> usize {
        self.queues.iter().map(|(_, queue)| queue.line.len()).sum()
    }

    fn find_item(&self, id: WorkItemId) -> Option<&Item> {
        let item = self.items.get(&id).map(AsRef::as_ref);
        item.or_else(|| self.history.get(id))
    }

    fn position(&self, item: &Item) -> Option<u32> {
        let in_line = item.queued && !item.parked;
        let queue = self.queues.get(item.queue).filter(|_| in_line)?;
        Some(self.place_of(item, queue))
    }

    fn item_view(&self, now: Now, item: &Item, position: Option<u32>) -> WorkItemView {
        let rung = item
            .offers
            .iter()
            .filter_map(|id| Some(self.offers.get(id)?.agent));
        let agents = rung
            .chain(item.talking.iter().copied())
            .filter_map(|key| Some(self.agents.get(key)?.extension().clone()))
            .collect();
        let (code, waits_for) = self.waits_for(now, item);
        WorkItemView {
            id: item.id,
            call: item.call,
            state: item.state,
            queue: item.queue_name.clone(),
            caller: item.caller.clone(),
            arrival: item.arrival,
            entered: item.entered.wall,
            waited_ms: millis(item.waited(now.mono)),
            position,
            class: item.order.class,
            credit_ms: millis(item.credit),
            skills: item.skills.to_vec(),
            agents,
            bypassed: item.bypassed,
            disposition: item.disposition.clone(),
            phase: item.state.phase(),
            callback: item.callback.as_ref().map(|c| c.number.clone()),
            waits_for,
            waits_code: code.into(),
        }
    }

    /// The first rule that keeps this agent of the queue from this work item now; `None` when the next step gives it. Both the work
    /// item and the agent are explained by it.
    fn between(&self, now: Now, item: &Item, queue: &Queue, key: AgentKey) -> Option<Why> {
        let agent = self.agents.get(key)?;
        if item.caller.extension.as_ref() == Some(agent.extension()) {
            return Some(Why::OwnCall);
        }
        agent.blocked(true).or_else(|| {
            let place = queue.free.iter().find(|place| place.agent == Some(key));
            place.map_or(Some(Why::AssignmentOff), |place| {
                self.refusal(now.mono, item, queue, place)
            })
        })
    }

    /// Why the agent has no call now, and which of those that wait it may not have, if that is it.
    fn idle_because(&self, now: Now, key: AgentKey, agent: &Agent) -> (Why, Option<WorkItemId>) {
        if let Some(why) = agent.blocked(true) {
            return (why, None);
        }
        let queues = agent.assignments.keys();
        let queues = queues.filter_map(|queue| self.queues.get(*queue));
        let first = queues
            .flat_map(|queue| Some((queue, queue.line.first()?)))
            .min_by_key(|(_, order)| **order)
            .and_then(|(queue, order)| Some((queue, self.items.get(&order.item)?)));
        match first.and_then(|(queue, item)| Some((self.between(now, item, queue, key)?, item.id)))
        {
            Some((why, item)) => (why, Some(item)),
            None => (Why::NothingWaits, None),
        }
    }

    /// Why the ready agents do not have it, the free ones first; `None` when one of them may.
    fn ready_but(&self, now: Now, item: &Item, queue: &Queue) -> Option<String> {
        let free = queue.free.iter().take(READY_NAMED);
        let free: Vec<AgentKey> = free.filter_map(|place| place.agent).collect();
        let wants = |key: &AgentKey| {
            let standing = self.agents.get(*key)?.standings.get(&item.queue)?;
            standing.wanting.then_some(*key)
        };
        let others = queue.assigned.iter().take(READY_LOOKED_AT);
        let others = others.filter_map(wants).filter(|key| !free.contains(key));
        let mut ready = Vec::new();
        for key in free.iter().copied().chain(others).take(READY_NAMED) {
            let why = self.between(now, item, queue, key)?;
            let agent = self.agents.get(key)?.extension();
            ready.push(format!("{agent}|{}", why.words()));
        }
        let count = (queue.wanting as usize).max(ready.len());
        let named: Vec<String> = ready.iter().map(|one| one.replacen('|', " ", 1)).collect();
        Some(match ready.as_slice() {
            [] => format!("none of its {count} ready agents is free"),
            [one] if count == 1 => one.replacen('|', ", the only ready agent, ", 1),
            _ => {
                let more = match count - named.len() {
                    0 => String::new(),
                    more => format!("; and {more} more"),
                };
                format!(
                    "none of its {count} ready agents may have it: {}{more}",
                    named.join("; ")
                )
            }
        })
    }

    /// Why it waits: a code, and the words.
    fn waits_for(&self, now: Now, item: &Item) -> (&'static str, String) {
        match item.state {
            ItemState::Queued => {}
            ItemState::Later => return ("next-try", "its next try".into()),
            ItemState::Reserved | ItemState::Alerting => {
                return ("answer", "an agent to answer".into());
            }
            ItemState::Connecting => return ("bridge", "the bridge".into()),
            ItemState::Connected
            | ItemState::FlowedOut
            | ItemState::TimedOut
            | ItemState::Abandoned
            | ItemState::Withdrawn
            | ItemState::Ended
            | ItemState::Failed => return ("", String::new()),
        }
        let Some(queue) = self.queues.get(item.queue) else {
            return ("", String::new());
        };
        if item.dormant {
            let words = "its call, which is not known to live after a restart";
            return ("restart", words.into());
        }
        if queue.logged_in == 0 {
            let words = "somebody who serves this queue to log in";
            return ("nobody-logged-in", words.into());
        }
        if queue.staffed_total() == 0 {
            let words = "an agent with a device that can be rung";
            return ("nobody-reachable", words.into());
        }
        if queue.wanting == 0 {
            return ("nobody-ready", "an agent to become ready".into());
        }
        match self.ready_but(now, item, queue) {
            Some(words) => ("agents", words),
            None => ("next-step", "the next step".into()),
        }
    }

    /// What happened to a work item, in order.
    pub fn journey(&self, id: WorkItemId) -> Vec<JourneyEntry> {
        self.find_item(id)
            .map(Item::journey_view)
            .unwrap_or_default()
    }

    /// The last 50 decisions about a work item, oldest first.
    pub fn why_item(&self, id: WorkItemId) -> Vec<Decision> {
        let item = self.find_item(id);
        item.map(|item| item.why.iter().map(|kept| kept.words()).collect())
            .unwrap_or_default()
    }

    /// The last 50 decisions in which an agent was considered, oldest first.
    pub fn why_agent(&self, extension: &str) -> Vec<Decision> {
        let key = self.agent_names.get(extension);
        let agent = key.and_then(|key| self.agents.get(*key));
        agent
            .map(|agent| agent.why.iter().map(|kept| kept.words()).collect())
            .unwrap_or_default()
    }
}
