//! The end of an agent's segment and the wrap-up after it: a lease with its own timer that nothing but its four ends can end.

use super::agent::{AgentKey, Work, Wrap};

use super::command::{EndedBy, WorkItemId, WrapEndedBy};
use super::core::{Acd, Cx, Timer};
use super::event::{AcdEvent, WrapEnd};
use super::metrics::millis;
use super::settings::{QueueSettings, WrapMode};
use super::view::ItemState;
use crate::base::{Duration, Instant};

/// What wrap-up is like after a call.
#[derive(Clone, Copy)]
struct Plan {
    /// Zero: none, unless something is demanded.
    time: Duration,
    hard: Duration,
    timed: bool,
    demands: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            time: Duration::ZERO,
            hard: Duration::ZERO,
            timed: true,
            demands: false,
        }
    }
}

impl Plan {
    /// By the queue of the segment that ended; the agent's own value only shortens a time.
    fn of(settings: &QueueSettings, most: Option<Duration>) -> Plan {
        let hard = settings.wrap_hard_max;
        let (time, timed) = match settings.wrap_mode {
            WrapMode::None => return Plan::default(),
            WrapMode::Timed => {
                let time = settings.wrap_up.min(most.unwrap_or(settings.wrap_up));
                (time, true)
            }
            WrapMode::UntilDisposition | WrapMode::Manual => (hard, false),
        };
        Plan {
            time: time.min(hard),
            hard,
            timed,
            demands: settings.disposition_required
                || settings.wrap_mode == WrapMode::UntilDisposition,
        }
    }
}

impl Wrap {
    /// A disposition is demanded and has not been said.
    pub(super) fn misses(&self) -> bool {
        self.demands && self.disposition.is_none()
    }
}

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
        let mut plan = Plan::default();
        let mut queue_name = std::sync::Arc::from("");
        if let Some(queue) = self.queues.get_mut(queue_key) {
            queue.talking = queue.talking.saturating_sub(1);
            queue.counters.handled += 1;
            queue.counters.talk_ms += millis(talk);
            queue_name = queue.name().clone();
            plan = Plan::of(&queue.settings, agent.settings.wrap_up_max);
            self.dirty_queues.insert(queue_key);
        }
        if agent.leaving || agent.removed {
            plan = Plan::default();
        }
        let disposition = self
            .items
            .get(&item_id)
            .and_then(|item| item.disposition.clone());
        // Said before the call was over: nothing is left to wait for.
        if disposition.is_some() && !plan.timed {
            plan.time = Duration::ZERO;
        }
        let misses = plan.demands && disposition.is_none();
        cx.event(AcdEvent::SegmentEnded {
            item: item_id,
            agent: extension.clone(),
            queue: queue_name.clone(),
            talk_ms: millis(talk),
            by,
        });
        if plan.time.is_zero() && !misses {
            drop(token);
            if let Some(queue) = self.queues.get_mut(queue_key) {
                queue.speed.handled(talk);
            }
            agent.idle.reset(now.mono);
            self.released(cx, key);
        } else {
            let until = if plan.time.is_zero() {
                plan.hard
            } else {
                plan.time
            };
            agent.work = Work::Wrap(Wrap {
                item: item_id,
                queue: queue_key,
                queue_name,
                since: now.mono,
                since_wall: now.wall,
                until_wall: now.wall + until,
                timer: self.timers.set(now.mono + until, Timer::Wrap(key)),
                hard: now.mono + plan.hard,
                hard_wall: now.wall + plan.hard,
                timed: plan.timed,
                demands: plan.demands,
                disposition,
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
                self.history.keep(*item);
            }
        }
    }

    /// The time of the wrap-up is over: it ends, unless a disposition is missing and the hard limit is still to come.
    pub(super) fn wrap_due(&mut self, cx: &mut Cx, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        match &mut agent.work {
            Work::Wrap(wrap) if wrap.misses() && wrap.hard > cx.now.mono => {
                let (hard, wall) = (wrap.hard, wrap.hard_wall);
                self.prolong(cx, key, hard, wall);
            }
            Work::Wrap(_) => self.end_wrap(cx, key, WrapEnd::Timer),
            Work::Idle | Work::Offered { .. } | Work::Talking { .. } => {}
        }
    }

    /// Ended by somebody: the agent may not while a disposition is demanded and missing.
    pub(super) fn end_wrap_by(&mut self, cx: &mut Cx, key: AgentKey, by: WrapEndedBy) {
        let misses = self
            .agents
            .get(key)
            .is_some_and(|agent| matches!(&agent.work, Work::Wrap(wrap) if wrap.misses()));
        if by == WrapEndedBy::Supervisor || !misses {
            self.end_wrap(cx, key, by.into());
        }
    }

    /// More time, at most up to the hard limit.
    pub(super) fn extend_wrap(&mut self, cx: &mut Cx, key: AgentKey, by: Duration) {
        let Some(agent) = self.agents.get(key) else {
            return;
        };
        let Work::Wrap(wrap) = &agent.work else {
            return;
        };
        let most = wrap.hard_wall.since(wrap.until_wall);
        let by = by.min(most);
        let wall = wrap.until_wall + by;
        let at = wrap.hard.saturating_sub(most - by);
        self.prolong(cx, key, at, wall);
    }

    fn prolong(&mut self, cx: &mut Cx, key: AgentKey, at: Instant, wall: crate::base::WallTime) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if let Work::Wrap(wrap) = &mut agent.work {
            self.timers.cancel(wrap.timer);
            wrap.timer = self.timers.set(at, Timer::Wrap(key));
            wrap.until_wall = wall;
            self.touch(cx, key);
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
            disposition: if wrap.misses() {
                Some("missing".into())
            } else {
                wrap.disposition.clone()
            },
        });
        if let Some(queue) = self.queues.get_mut(wrap.queue) {
            queue.wrapping = queue.wrapping.saturating_sub(1);
            queue.counters.wrap_ms += millis(time);
            queue.counters.dispositions_missing += u64::from(wrap.misses());
            queue.speed.handled(wrap.talked + time);
            self.dirty_queues.insert(wrap.queue);
        }
        drop(wrap);
        self.released(cx, key);
    }
}
