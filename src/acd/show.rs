//! Puts the ACD's state into views, made on request.

use super::agent::{AgentKey, Work};
use super::command::WorkItemId;
use super::core::Acd;
use super::expected_wait;
use super::item::Item;
use super::metrics::{QueueMetrics, millis};
use super::queue::{Queue, QueueKey};
use super::view::{
    AgentView, AssignmentView, Decision, ItemState, JourneyEntry, QueueView, WorkItemView,
};
use crate::base::{Duration, Now, Ulid};

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
            other_calls: agent.live,
            item,
            queue,
            offer,
            wrap_until,
            wants_disposition: matches!(&agent.work, Work::Wrap(wrap) if wrap.misses()),
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
            waits_for: self.waits_for(now, item),
        }
    }

    fn waits_for(&self, now: Now, item: &Item) -> String {
        match item.state {
            ItemState::Queued => {}
            ItemState::Later => return "its next try".into(),
            ItemState::Reserved | ItemState::Alerting => return "an agent to answer".into(),
            ItemState::Connecting => return "the bridge".into(),
            ItemState::Connected
            | ItemState::FlowedOut
            | ItemState::TimedOut
            | ItemState::Abandoned
            | ItemState::Withdrawn
            | ItemState::Ended
            | ItemState::Failed => return String::new(),
        }
        let Some(queue) = self.queues.get(item.queue) else {
            return String::new();
        };
        if item.dormant {
            "its call, which is not known to live after a restart".into()
        } else if queue.logged_in == 0 {
            "somebody who serves this queue to log in".into()
        } else if queue.staffed_total() == 0 {
            "an agent with a device that can be rung".into()
        } else if queue.wanting == 0 {
            "an agent to become ready".into()
        } else if let Some(place) = queue.free.first() {
            self.refusal(now.mono, item, queue, place).map_or_else(
                || "the next step".into(),
                |why| format!("{}: {}", place.extension, why.words()),
            )
        } else {
            match queue.wanting {
                1 => "its only ready agent to become free".into(),
                ready => format!("one of its {ready} ready agents to become free"),
            }
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
