//! Dispositions: what came of a work item, in a code of its queue.

use std::sync::Arc;

use super::agent::{AgentKey, Work};
use super::command::WorkItemId;
use super::core::{Acd, Cx};
use super::event::{AcdEvent, WrapEnd};
use super::item::Item;

/// Why a disposition is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DispositionRefused {
    /// No agent has served the work item, or it is not known any more.
    NotServed,
    /// The code is none of these.
    UnknownCode(Vec<Arc<str>>),
}

impl Acd {
    /// Why this disposition would not be taken; `None` when it would be.
    pub fn disposition_refused(&self, id: WorkItemId, code: &str) -> Option<DispositionRefused> {
        let served = |item: &Item| !item.talking.is_empty() || item.served;
        let item = self.items.get(&id).map(AsRef::as_ref);
        let item = item.or_else(|| self.history.get(id));
        let wrapping = self.wrapping_up(id).is_some();
        if !wrapping && !item.is_some_and(served) {
            return Some(DispositionRefused::NotServed);
        }
        let key = self.queue_of_service(id)?;
        let codes = &self.queues.get(key)?.settings.dispositions;
        let known = codes.is_empty() || codes.iter().any(|known| &**known == code);
        (!known).then(|| DispositionRefused::UnknownCode(codes.clone()))
    }

    /// True while the agent's wrap-up waits for a disposition that its queue demands.
    pub fn wants_disposition(&self, extension: &str) -> bool {
        self.agent_names
            .get(extension)
            .and_then(|key| self.agents.get(*key))
            .is_some_and(|agent| matches!(&agent.work, Work::Wrap(wrap) if wrap.misses()))
    }

    pub(super) fn dispose(&mut self, cx: &mut Cx, id: WorkItemId, code: &Arc<str>) {
        if self.disposition_refused(id, code).is_some() {
            return;
        }
        let item = match self.items.get_mut(&id) {
            Some(item) => Some(item.as_mut()),
            None => self.history.get_mut(id),
        };
        let mut before = None;
        if let Some(item) = item {
            before = item.disposition.replace(code.clone());
            item.note(cx.now.wall, "disposed", None, &**code);
        }
        let wrapping = self.wrapping_up(id);
        if let Some(agent) = wrapping.and_then(|key| self.agents.get_mut(key))
            && let Work::Wrap(wrap) = &mut agent.work
        {
            let old = wrap.disposition.replace(code.clone());
            before = before.or(old);
        }
        if before.as_ref() == Some(code) {
            return;
        }
        if let Some(key) = self.queue_of_service(id)
            && let Some(queue) = self.queues.get_mut(key)
        {
            let counters = &mut queue.counters.dispositions;
            if let Some(old) = before.and_then(|old| counters.get_mut(&old)) {
                *old = old.saturating_sub(1);
            }
            *counters.entry(code.clone()).or_default() += 1;
            self.dirty_queues.insert(key);
            cx.event(AcdEvent::Disposed {
                item: id,
                queue: queue.name().clone(),
                code: code.clone(),
            });
        }
        let Some(key) = wrapping else {
            return;
        };
        // A wrap-up that waited for nothing else ends with it; one with time left goes on to its end.
        let over = self.agents.get(key).is_some_and(|agent| {
            matches!(&agent.work, Work::Wrap(wrap)
                if wrap.demands && (!wrap.timed || wrap.hard_wall == wrap.until_wall))
        });
        if over {
            self.end_wrap(cx, key, WrapEnd::Disposition);
        } else {
            self.touch(cx, key);
        }
    }

    /// The agent who wraps the work item up. O(agents): asked by people, not by the match step.
    fn wrapping_up(&self, id: WorkItemId) -> Option<AgentKey> {
        let mut agents = self.agents.iter();
        agents
            .find(|(_, agent)| matches!(&agent.work, Work::Wrap(wrap) if wrap.item == id))
            .map(|(key, _)| key)
    }

    /// The queue that gave the work item to its agent.
    fn queue_of_service(&self, id: WorkItemId) -> Option<super::queue::QueueKey> {
        let wrapping = self.wrapping_up(id).and_then(|key| self.agents.get(key));
        if let Some(Work::Wrap(wrap)) = wrapping.map(|agent| &agent.work) {
            return Some(wrap.queue);
        }
        let item = self.items.get(&id).map(AsRef::as_ref);
        let item = item.or_else(|| self.history.get(id))?;
        Some(item.queue)
    }
}
