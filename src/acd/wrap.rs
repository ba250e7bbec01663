//! The end of an agent's segment and the wrap-up after it: a lease with its own timer that nothing but its four ends can end.

use super::agent::{AgentKey, Work, Wrap};
use super::command::{EndedBy, WorkItemId, WrapEndedBy};
use super::core::{Acd, Cx, Timer};
use super::event::{AcdEvent, WrapEnd};
use super::metrics::millis;
use super::view::ItemState;

impl From<WrapEndedBy> for WrapEnd {
    fn from(by: WrapEndedBy) -> Self {
        match by {
            WrapEndedBy::Agent => WrapEnd::Agent,
            WrapEndedBy::Supervisor => WrapEnd::Supervisor,
        }
    }
}

impl Acd {
    /// The agent's leg has left: the segment ends for this agent alone, and wrap-up begins if the queue has one.
    pub(super) fn segment_ended(
        &mut self,
        cx: &mut Cx,
        item_id: WorkItemId,
        key: AgentKey,
        by: EndedBy,
    ) {
        let now = cx.now;
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if !matches!(&agent.work, Work::Talking { item, .. } if *item == item_id) {
            return;
        }
        let Work::Talking {
            offer,
            queue: queue_key,
            since,
            token,
            ..
        } = std::mem::replace(&mut agent.work, Work::Idle)
        else {
            return;
        };
        // What was talked so far is booked before the work changes.
        let talk = now.mono.since(since);
        self.bridged.remove(&offer);
        let extension = agent.extension().clone();
        agent.counters.handled += 1;
        agent.handled_in_window += 1;
        self.handled.push_back((now.mono, key));
        let mut wrap_up = crate::base::Duration::ZERO;
        let mut queue_name = std::sync::Arc::from("");
        if let Some(queue) = self.queues.get_mut(queue_key) {
            queue.talking = queue.talking.saturating_sub(1);
            queue.counters.handled += 1;
            queue.counters.talk_ms += millis(talk);
            queue_name = queue.name().clone();
            wrap_up = queue.settings.wrap_up;
            self.dirty_queues.insert(queue_key);
        }
        if let Some(most) = agent.settings.wrap_up_max {
            wrap_up = wrap_up.min(most);
        }
        if agent.leaving || agent.removed {
            wrap_up = crate::base::Duration::ZERO;
        }
        cx.event(AcdEvent::SegmentEnded {
            item: item_id,
            agent: extension.clone(),
            queue: queue_name.clone(),
            talk_ms: millis(talk),
            by,
        });
        if wrap_up.is_zero() {
            drop(token);
            if let Some(queue) = self.queues.get_mut(queue_key) {
                queue.speed.handled(talk);
            }
            agent.idle.reset(now.mono);
            self.released(cx, key);
        } else {
            let until = now.mono + wrap_up;
            agent.work = Work::Wrap(Wrap {
                item: item_id,
                queue: queue_key,
                queue_name,
                since: now.mono,
                since_wall: now.wall,
                until_wall: now.wall + wrap_up,
                timer: self.timers.set(until, Timer::Wrap(key)),
                talked: talk,
                _token: token,
            });
            if let Some(queue) = self.queues.get_mut(queue_key) {
                queue.wrapping += 1;
            }
            self.touch(cx, key);
        }
        self.leave_conversation(cx, item_id, key, &extension, by);
    }

    /// Takes the agent out of the work item's conversation; without agents and out of every queue, the work item has ended.
    fn leave_conversation(
        &mut self,
        cx: &mut Cx,
        item_id: WorkItemId,
        key: AgentKey,
        extension: &std::sync::Arc<str>,
        by: EndedBy,
    ) {
        let Some(item) = self.items.get_mut(&item_id) else {
            return;
        };
        item.talking.retain(|agent| *agent != key);
        let by = match by {
            EndedBy::Customer => "by the customer",
            EndedBy::Agent => "by the agent",
            EndedBy::System => "by the server",
        };
        item.note(cx.now.wall, "segment-ended", Some(extension), by);
        if item.talking.is_empty() && !item.queued {
            item.state = ItemState::Ended;
            if let Some(item) = self.items.remove(&item_id) {
                self.history.keep(item);
            }
        }
    }

    /// Ends the wrap-up, if there is one.
    pub(super) fn end_wrap(&mut self, cx: &mut Cx, key: AgentKey, how: WrapEnd) {
        let now = cx.now;
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if !matches!(agent.work, Work::Wrap(_)) {
            return;
        }
        let Work::Wrap(wrap) = std::mem::replace(&mut agent.work, Work::Idle) else {
            return;
        };
        self.timers.cancel(wrap.timer);
        let time = now.mono.since(wrap.since);
        agent.idle.reset(now.mono);
        cx.event(AcdEvent::WrapEnded {
            agent: agent.extension().clone(),
            item: wrap.item,
            how,
            wrap_ms: millis(time),
        });
        if let Some(queue) = self.queues.get_mut(wrap.queue) {
            queue.wrapping = queue.wrapping.saturating_sub(1);
            queue.counters.wrap_ms += millis(time);
            queue.speed.handled(wrap.talked + time);
            self.dirty_queues.insert(wrap.queue);
        }
        drop(wrap);
        self.released(cx, key);
    }
}
