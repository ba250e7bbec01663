//! What agents do and what happens to their devices: log-in, status, toggles, reach; and keeping every queue's view of them true.

use std::sync::Arc;

use super::agent::{Agent, AgentKey, Reach, Work};
use super::command::AgentStatus;
use super::core::{Acd, BrokenRule, Cx, Timer};
use super::effect::CancelReason;
use super::event::{AcdEvent, WrapEnd};
use super::matching::Pending;
use super::record::AcdRecord;
use crate::base::{Duration, Instant};
use crate::directory::toggles::Silent;

/// Without a ringable device for this long, an agent is unreachable.
const UNREACHABLE_GRACE: Duration = Duration::from_secs(20);
/// Unreachable for this long, an agent is logged out.
const UNREACHABLE_LOGOUT: Duration = Duration::from_secs(15 * 60);
/// A direct or internal call of this length resets the idle clock.
const CALL_RESETS_IDLE: Duration = Duration::from_secs(20);

impl Acd {
    pub(super) fn login(&mut self, cx: &mut Cx, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if agent.removed {
            return;
        }
        if agent.logged_in.is_some() {
            // Logging in again takes a pending log-out back.
            if agent.leaving {
                agent.leaving = false;
                self.touch(cx, key);
            }
            return;
        }
        agent.book(cx.now.mono);
        agent.logged_in = Some(cx.now.wall);
        agent.set_status(cx.now.mono, AgentStatus::NotReady { reason: None });
        agent.next = None;
        agent.rona_in_a_row = 0;
        agent.counters = Default::default();
        agent.idle.reset(cx.now.mono);
        agent.book(cx.now.mono);
        self.handled.retain(|(_, of)| *of != key);
        if let Some(agent) = self.agents.get_mut(key) {
            agent.handled_in_window = 0;
        }
        self.watch_reach(cx, key);
        self.touch(cx, key);
    }

    /// Ends the shift: at once when free, after the call when talking. An AgentOffer that rings is taken back.
    pub(super) fn logout(&mut self, cx: &mut Cx, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if agent.logged_in.is_none() {
            return;
        }
        agent.leaving = true;
        match &agent.work {
            Work::Idle => self.finish_logout(cx, key),
            Work::Offered { offer, .. } => {
                let offer = *offer;
                if self.offers.get(&offer).is_some_and(|offer| offer.answered) {
                    self.touch(cx, key);
                } else {
                    self.cancel_offer(cx, offer, CancelReason::Withdrawn);
                }
            }
            Work::Talking { .. } => self.touch(cx, key),
            Work::Wrap(_) => self.end_wrap(cx, key, WrapEnd::Logout),
        }
    }

    fn finish_logout(&mut self, cx: &mut Cx, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        agent.book(cx.now.mono);
        agent.logged_in = None;
        agent.leaving = false;
        agent.next = None;
        agent.set_status(cx.now.mono, AgentStatus::NotReady { reason: None });
        if let Some((_, _, timer)) = agent.cooldown.take() {
            self.timers.cancel(timer);
        }
        self.watch_reach(cx, key);
        self.touch(cx, key);
        self.forget_removed_agent(key);
    }

    pub(super) fn set_status(&mut self, cx: &mut Cx, key: AgentKey, status: AgentStatus) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if agent.logged_in.is_none() {
            return;
        }
        match &agent.work {
            Work::Idle => {
                agent.next = None;
                agent.set_status(cx.now.mono, status);
                self.touch(cx, key);
            }
            Work::Wrap(wrap) if agent.settings.status_change_ends_wrap && !wrap.misses() => {
                agent.next = Some(status);
                self.end_wrap(cx, key, WrapEnd::Agent);
            }
            Work::Offered { .. } | Work::Talking { .. } | Work::Wrap(_) => {
                // Kept for later; setting it again overwrites it, back to what it is now too.
                agent.next = (agent.status != status).then_some(status);
                self.touch(cx, key);
            }
        }
    }

    pub(super) fn toggle(
        &mut self,
        cx: &mut Cx,
        key: AgentKey,
        queue: Option<&Arc<str>>,
        on: bool,
    ) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let extension = agent.extension().clone();
        let mut moved = Vec::new();
        for (queue_key, assignment) in &mut agent.assignments {
            let Some(of) = self.queues.get(*queue_key) else {
                continue;
            };
            if assignment.is_own()
                && queue.is_none_or(|name| name == of.name())
                && assignment.enabled() != on
            {
                assignment.moved = Some(on);
                moved.push(of.name().clone());
            }
        }
        for queue in moved {
            cx.journal(AcdRecord::Assignment {
                agent: extension.clone(),
                queue: queue.clone(),
                enabled: on,
            });
            cx.event(AcdEvent::AssignmentToggled {
                agent: extension.clone(),
                queue,
                on,
            });
        }
        self.touch(cx, key);
        self.pending.push(Pending::Agent(key));
    }

    pub(super) fn devices(&mut self, cx: &mut Cx, key: AgentKey, ringable: u32) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        agent.ringable = ringable;
        self.watch_reach(cx, key);
        self.touch(cx, key);
    }

    pub(super) fn silent(&mut self, cx: &mut Cx, key: AgentKey, silent: Option<Silent>) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if agent.silent != silent {
            agent.silent = silent;
            self.touch(cx, key);
        }
    }

    /// Starts or stops the clocks of reach.
    pub(super) fn watch_reach(&mut self, cx: &mut Cx, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let missing = agent.ringable == 0 && agent.logged_in.is_some();
        match (missing, agent.reach) {
            (true, Reach::Reachable) => {
                let timer = self
                    .timers
                    .set(cx.now.mono + UNREACHABLE_GRACE, Timer::Grace(key));
                agent.reach = Reach::Grace(timer);
            }
            (false, Reach::Grace(timer) | Reach::Unreachable(timer)) => {
                self.timers.cancel(timer);
                agent.reach = Reach::Reachable;
            }
            (true, Reach::Grace(_) | Reach::Unreachable(_)) | (false, Reach::Reachable) => {}
        }
    }

    pub(super) fn grace_over(&mut self, cx: &mut Cx, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let timer = self.timers.set(
            cx.now.mono + UNREACHABLE_LOGOUT,
            Timer::UnreachableLogout(key),
        );
        agent.reach = Reach::Unreachable(timer);
        self.touch(cx, key);
    }

    pub(super) fn live(&mut self, cx: &mut Cx, key: AgentKey, calls: u32) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let now = cx.now.mono;
        if agent.live == 0 && calls > 0 {
            agent.live_since = now;
        } else if agent.live > 0 && calls == 0 && now.since(agent.live_since) >= CALL_RESETS_IDLE {
            agent.idle.reset(now);
        }
        agent.live = calls;
        self.touch(cx, key);
    }

    /// Gives the agent nothing for `time`.
    pub(super) fn cool_down(&mut self, cx: &mut Cx, key: AgentKey, time: Duration) {
        if time == Duration::ZERO {
            return; // or the agent would be kept from this step's match until the next tick
        }
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let until = cx.now.mono + time;
        if let Some((running, _, timer)) = agent.cooldown {
            if running >= until {
                return;
            }
            self.timers.cancel(timer);
        }
        let timer = self.timers.set(until, Timer::Cooldown(key));
        agent.cooldown = Some((until, cx.now.wall + time, timer));
    }

    pub(super) fn cooldown_over(&mut self, cx: &mut Cx, key: AgentKey) {
        if let Some(agent) = self.agents.get_mut(key) {
            agent.cooldown = None;
            self.touch(cx, key);
        }
    }

    /// The token was given back: what was put off until now happens.
    pub(super) fn released(&mut self, cx: &mut Cx, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if agent.leaving || agent.removed {
            if agent.logged_in.is_some() {
                self.finish_logout(cx, key);
            }
            return;
        }
        if let Some(next) = agent.next.take() {
            agent.set_status(cx.now.mono, next);
        }
        self.touch(cx, key);
    }

    /// After any change of an agent: books its time, corrects every queue's view of it, publishes and journals what changed.
    pub(super) fn touch(&mut self, cx: &mut Cx, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        agent.book(cx.now.mono);
        let shown = (
            agent.display(),
            match &agent.status {
                AgentStatus::NotReady { reason } => reason.clone(),
                AgentStatus::Ready => None,
            },
            agent.next.is_some() || agent.leaving,
        );
        if shown != agent.shown {
            if shown.0 != agent.shown.0 {
                agent.shown_since = cx.now.wall;
            }
            agent.shown = shown.clone();
            cx.event(AcdEvent::AgentState {
                agent: agent.extension().clone(),
                state: shown.0,
                reason: shown.1,
                next: shown.2,
            });
        }
        self.dirty_agents.insert(key);
        self.restand(cx.now.mono, key, false);
    }

    /// Corrects what the agent counts as in each of its queues; with `force` even where nothing seems to have changed. O(queues of
    /// the agent).
    pub(super) fn restand(&mut self, now: Instant, key: AgentKey, force: bool) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let free = agent
            .blocked(self.broken != Some(BrokenRule::OfferDuringWrap))
            .is_none();
        let mut newly_free = false;
        let mut standings = std::mem::take(&mut agent.standings);
        let agent: &Agent = agent;
        standings.retain(|queue_key, old| {
            if agent.assignments.contains_key(queue_key) {
                return true;
            }
            if let Some(queue) = self.queues.get_mut(*queue_key) {
                let shift = queue.restand(now, Some(old), None);
                note_shift(&mut self.pending, *queue_key, queue, shift);
            }
            false
        });
        for (queue_key, assignment) in &agent.assignments {
            let Some(queue) = self.queues.get_mut(*queue_key) else {
                standings.remove(queue_key);
                continue;
            };
            *queue.busy.get_mut() = None;
            let place = (free && agent.ring_in(assignment).is_some()).then(|| {
                queue
                    .settings
                    .strategy
                    .place(&agent.facts(assignment), agent.extension(), key)
            });
            let new = agent.standing(assignment, place);
            let old = standings.get(queue_key);
            if old == Some(&new) && !force {
                continue;
            }
            newly_free |= new.place.is_some() && old.is_none_or(|old| old.place.is_none());
            let shift = queue.restand(now, old, Some(&new));
            note_shift(&mut self.pending, *queue_key, queue, shift);
            standings.insert(*queue_key, new);
        }
        if let Some(agent) = self.agents.get_mut(key) {
            agent.standings = standings;
        }
        if newly_free {
            self.pending.push(Pending::Agent(key));
        }
    }
}

fn note_shift(
    pending: &mut Vec<Pending>,
    key: super::queue::QueueKey,
    queue: &super::queue::Queue,
    shift: super::queue::Shift,
) {
    if shift.holds_may_end && !queue.open.is_empty() {
        pending.push(Pending::Queue(key));
    }
    if shift.deserted && !queue.line.is_empty() {
        pending.push(Pending::Rules(key));
    }
}
