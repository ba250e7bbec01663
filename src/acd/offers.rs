//! AgentOffers: made with the token in one step, won in two, and the table of what each outcome means for agent and work item.

use std::sync::Arc;

use super::agent::{AgentKey, Stage, Work};
use super::command::{OfferId, OfferOutcome, WorkItemId};
use super::core::{Acd, Cx, Timer};
use super::effect::{AcdEffect, CancelReason};
use super::event::{AcdEvent, OfferResult};
use super::explain::Trigger;
use super::metrics::{SegmentEnd, millis};
use super::queue::QueueKey;
use super::settings::RonaAction;
use super::view::ItemState;
use crate::base::id::ulid;
use crate::base::{Duration, TimerId};

/// Pause of an agent whose device said busy although our table said free, or failed in an unknown way.
const BUSY_COOLDOWN: Duration = Duration::from_secs(10);
/// Pause of an agent whose devices could not be reached: they count as unhealthy for this long.
const UNREACHABLE_COOLDOWN: Duration = Duration::from_secs(30);
/// Ended AgentOffers whose reason is kept for late answers.
const DEAD_OFFERS_MAX: usize = 10_000;

/// One attempt to give one work item to one agent.
pub(super) struct AgentOffer {
    pub item: WorkItemId,
    pub agent: AgentKey,
    pub queue: QueueKey,
    pub timer: TimerId,
    /// A device of the agent rang: it can be reached.
    pub alerted: bool,
    /// It won and waits for its bridge.
    pub answered: bool,
}

fn result_of(outcome: OfferOutcome) -> OfferResult {
    match outcome {
        OfferOutcome::NoAnswer => OfferResult::Rona,
        OfferOutcome::Declined | OfferOutcome::Failed(603) => OfferResult::Declined,
        OfferOutcome::Busy | OfferOutcome::Failed(486 | 600) => OfferResult::Busy,
        OfferOutcome::Unreachable | OfferOutcome::Failed(404 | 408 | 430 | 480) => {
            OfferResult::Unreachable
        }
        OfferOutcome::NoMedia => OfferResult::AnswerNoMedia,
        OfferOutcome::Failed(300..400) => OfferResult::RedirectRefused,
        OfferOutcome::Failed(_) => OfferResult::Failed,
        OfferOutcome::CallerGone => OfferResult::Cancelled(CancelReason::CallerGone),
    }
}

impl Acd {
    /// Takes the agent's token and offers the work item, in one step.
    pub(super) fn offer(&mut self, cx: &mut Cx, item_id: WorkItemId, key: AgentKey) {
        let id = ulid(cx.now.wall, &mut self.entropy);
        let (Some(agent), Some(item)) = (self.agents.get_mut(key), self.items.get_mut(&item_id))
        else {
            return;
        };
        let Some(queue) = self.queues.get_mut(item.queue) else {
            return;
        };
        if let Work::Wrap(wrap) = &agent.work {
            // Only a rule broken on purpose comes here.
            self.timers.cancel(wrap.timer);
            queue.wrapping = queue.wrapping.saturating_sub(1);
        }
        agent.work = Work::Offered {
            stage: Stage::Reserved,
            offer: id,
            item: item_id,
            queue: item.queue,
            token: self.tokens.take(),
        };
        agent.counters.offers += 1;
        let extension = agent.extension().clone();
        queue.counters.offers += 1;
        queue.last_offered = Some(extension.clone());
        queue.shut(item);
        let ring_timeout = queue.settings.ring_timeout;
        self.offers.insert(
            id,
            AgentOffer {
                item: item_id,
                agent: key,
                queue: item.queue,
                timer: self.timers.set(cx.now.mono + ring_timeout, Timer::Ring(id)),
                alerted: false,
                answered: false,
            },
        );
        item.offers.push(id);
        item.state = ItemState::Reserved;
        item.note(cx.now.wall, "offered", Some(&extension), "");
        cx.out.push(AcdEffect::Offer {
            offer: id,
            item: item_id,
            call: item.call,
            agent: extension.clone(),
            queue: queue.name().clone(),
            ring_timeout,
            callback: item
                .callback
                .as_ref()
                .map(|callback| callback.number.clone()),
        });
        cx.event(AcdEvent::AgentOffered {
            offer: id,
            item: item_id,
            agent: extension,
            queue: queue.name().clone(),
            waited_ms: millis(item.waited(cx.now.mono)),
        });
        self.dirty_queues.insert(item.queue);
        self.touch(cx, key);
    }

    pub(super) fn alerting(&mut self, cx: &mut Cx, id: OfferId) {
        let Some(offer) = self.offers.get_mut(&id) else {
            return;
        };
        if offer.alerted || offer.answered {
            return;
        }
        offer.alerted = true;
        let (key, item) = (offer.agent, offer.item);
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        if let Work::Offered { stage, .. } = &mut agent.work {
            *stage = Stage::Alerting;
        }
        let extension = agent.extension().clone();
        if let Some(item) = self.items.get_mut(&item) {
            item.state = ItemState::Alerting;
            item.note(cx.now.wall, "alerting", Some(&extension), "");
        }
        cx.event(AcdEvent::AgentAlerting {
            offer: id,
            agent: extension,
        });
        self.touch(cx, key);
    }

    /// The first answer wins; every other AgentOffer of the work item is cancelled in the same step. A late one is cancelled again.
    pub(super) fn answered(&mut self, cx: &mut Cx, id: OfferId, device: &Arc<str>) {
        let Some(offer) = self.offers.get_mut(&id) else {
            if !self.bridged.contains(&id) {
                let reason = self.dead_offers.get(&id).map(|result| late(*result));
                cx.out.push(AcdEffect::CancelOffer {
                    offer: id,
                    reason: reason.unwrap_or(CancelReason::Withdrawn),
                });
            }
            return;
        };
        if offer.answered {
            return;
        }
        let (key, item_id) = (offer.agent, offer.item);
        let Some(item) = self.items.get_mut(&item_id) else {
            return;
        };
        offer.answered = true;
        self.timers.cancel(offer.timer);
        item.winner = Some(id);
        item.state = ItemState::Connecting;
        let losers: Vec<OfferId> = item.offers.iter().copied().filter(|o| *o != id).collect();
        cx.out.push(AcdEffect::Accepted {
            offer: id,
            item: item_id,
        });
        if let Some(agent) = self.agents.get_mut(key) {
            agent.rona_in_a_row = 0;
            if let Work::Offered { stage, .. } = &mut agent.work {
                *stage = Stage::Connecting;
            }
            let extension = agent.extension().clone();
            item.note(
                cx.now.wall,
                "answered",
                Some(&extension),
                device.to_string(),
            );
            cx.event(AcdEvent::AgentAnswered {
                offer: id,
                item: item_id,
                agent: extension,
                device: device.clone(),
            });
        }
        self.touch(cx, key);
        for loser in losers {
            self.cancel_offer(cx, loser, CancelReason::AnsweredElsewhere);
        }
    }

    /// Agent and customer hear each other: only now has the work item left the queue.
    pub(super) fn bridged(&mut self, cx: &mut Cx, id: OfferId) {
        let Some(offer) = self.offers.get(&id) else {
            return;
        };
        if !offer.answered {
            cx.event(AcdEvent::Defect {
                what: format!("AgentOffer {id} was bridged before it was answered"),
            });
            self.answered(cx, id, &Arc::from(""));
        }
        let Some(offer) = self.offers.remove(&id) else {
            return;
        };
        self.bridged.insert(id);
        if let Some(item) = self.items.get_mut(&offer.item) {
            item.offers.retain(|other| *other != id);
            item.winner = None;
        }
        let closed = self.close_segment(cx, offer.item, &SegmentEnd::Answered);
        let (Some(agent), Some(item)) = (
            self.agents.get_mut(offer.agent),
            self.items.get_mut(&offer.item),
        ) else {
            return;
        };
        let extension = agent.extension().clone();
        agent.counters.offer_results.answered += 1;
        let token = match std::mem::replace(&mut agent.work, Work::Idle) {
            Work::Offered { token, .. } => token,
            Work::Idle | Work::Talking { .. } | Work::Wrap(_) => {
                unreachable!("a live AgentOffer holds its agent's token")
            }
        };
        agent.work = Work::Talking {
            offer: id,
            item: offer.item,
            queue: offer.queue,
            since: cx.now.mono,
            token,
        };
        item.state = ItemState::Connected;
        item.served = true;
        item.talking.push(offer.agent);
        item.note(cx.now.wall, "connected", Some(&extension), "");
        if let Some(queue) = self.queues.get_mut(offer.queue) {
            queue.talking += 1;
            queue.counters.offer_results.answered += 1;
            queue.speed.answered(cx.now.mono);
            cx.event(AcdEvent::Connected {
                item: offer.item,
                call: item.call,
                agent: extension,
                queue: queue.name().clone(),
                waited_ms: millis(closed.map_or(Duration::ZERO, |closed| closed.waited)),
            });
        }
        self.touch(cx, offer.agent);
    }

    pub(super) fn offer_ended(&mut self, cx: &mut Cx, id: OfferId, outcome: OfferOutcome) {
        let Some(offer) = self.offers.get(&id) else {
            return;
        };
        let item = offer.item;
        if outcome == OfferOutcome::CallerGone {
            // The step that says so takes the work item along, or another agent would be rung for nobody.
            self.caller_gone(cx, item);
            return;
        }
        let result = match (offer.answered, result_of(outcome)) {
            (true, OfferResult::AnswerNoMedia) => OfferResult::AnswerNoMedia,
            (true, _) => OfferResult::AnswerThenDrop,
            (false, result) => result,
        };
        self.end_offer(cx, id, result, None);
        self.reopen(cx, item);
    }

    pub(super) fn ring_timed_out(&mut self, cx: &mut Cx, id: OfferId) {
        let Some(offer) = self.offers.get(&id) else {
            return;
        };
        let (item, alerted) = (offer.item, offer.alerted);
        cx.out.push(AcdEffect::CancelOffer {
            offer: id,
            reason: CancelReason::TimedOut,
        });
        // A device that never rang was not reached: that is nobody's fault.
        let result = if alerted {
            OfferResult::Rona
        } else {
            OfferResult::Unreachable
        };
        self.end_offer(cx, id, result, None);
        self.reopen(cx, item);
    }

    /// Takes an AgentOffer back: its effect, and its end without any mark against the agent.
    pub(super) fn cancel_offer(&mut self, cx: &mut Cx, id: OfferId, reason: CancelReason) {
        let Some(offer) = self.offers.get(&id) else {
            return;
        };
        let item = offer.item;
        cx.out.push(AcdEffect::CancelOffer { offer: id, reason });
        self.end_offer(cx, id, OfferResult::Cancelled(reason), None);
        self.reopen(cx, item);
    }

    /// The agent's half of the table: token back, counters, and what the outcome means for this agent.
    pub(super) fn end_offer(
        &mut self,
        cx: &mut Cx,
        id: OfferId,
        result: OfferResult,
        reason: Option<Arc<str>>,
    ) {
        let Some(offer) = self.offers.remove(&id) else {
            return;
        };
        self.timers.cancel(offer.timer);
        self.bury(id, result);
        let mut queue_name = Arc::from("");
        let mut rona = super::settings::Rona::default();
        let mut declining = RonaAction::NextOnly;
        if let Some(queue) = self.queues.get_mut(offer.queue) {
            queue.counters.offer_results.count(result);
            if result == OfferResult::Declined {
                let word = reason.clone().unwrap_or_else(|| "none given".into());
                *queue.counters.declined_by.entry(word).or_default() += 1;
            }
            queue_name = queue.name().clone();
            rona = queue.settings.rona;
            declining = queue.settings.decline.action;
            self.dirty_queues.insert(offer.queue);
        }
        let Some(agent) = self.agents.get_mut(offer.agent) else {
            return;
        };
        let extension = agent.extension().clone();
        agent.counters.offer_results.count(result);
        // The time rung is booked before the state changes, in `touch`.
        agent.work = Work::Idle;
        if let Some(item) = self.items.get_mut(&offer.item) {
            item.offers.retain(|other| *other != id);
            if item.winner == Some(id) {
                item.winner = None;
            }
            let detail = match &reason {
                Some(reason) => format!("{}: {reason}", words(result)),
                None => words(result).to_owned(),
            };
            item.note(cx.now.wall, "offer-ended", Some(&extension), detail);
        }
        cx.event(AcdEvent::AgentOfferEnded {
            offer: id,
            item: offer.item,
            agent: extension,
            queue: queue_name.clone(),
            result,
            reason,
        });
        match result {
            OfferResult::Rona => {
                self.hold_back(cx, offer.item, offer.agent);
                self.count_rona(cx, offer.agent, &queue_name, rona);
            }
            OfferResult::Declined => {
                self.hold_back(cx, offer.item, offer.agent);
                self.act_on(cx, offer.agent, declining, "declined");
            }
            OfferResult::AnswerThenDrop => self.hold_back(cx, offer.item, offer.agent),
            OfferResult::Busy | OfferResult::Failed | OfferResult::RedirectRefused => {
                self.cool_down(cx, offer.agent, BUSY_COOLDOWN);
            }
            OfferResult::Unreachable | OfferResult::AnswerNoMedia => {
                self.cool_down(cx, offer.agent, UNREACHABLE_COOLDOWN);
            }
            OfferResult::Cancelled(_) | OfferResult::CustomerNotReached => {}
        }
        self.released(cx, offer.agent);
    }

    fn count_rona(
        &mut self,
        cx: &mut Cx,
        key: AgentKey,
        queue: &Arc<str>,
        rona: super::settings::Rona,
    ) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        agent.rona_in_a_row += 1;
        if agent.rona_in_a_row < rona.after.max(1) {
            return;
        }
        cx.event(AcdEvent::Rona {
            agent: agent.extension().clone(),
            queue: queue.clone(),
            in_a_row: agent.rona_in_a_row,
        });
        agent.rona_in_a_row = 0;
        self.act_on(cx, key, rona.action, "did not answer");
    }

    /// This agent is not offered this work item again for a while.
    fn hold_back(&mut self, cx: &Cx, item_id: WorkItemId, key: AgentKey) {
        let Some(item) = self.items.get_mut(&item_id) else {
            return;
        };
        let Some(queue) = self.queues.get(item.queue) else {
            return;
        };
        let hold = queue.settings.no_reoffer;
        item.no_reoffer
            .retain(|(agent, since)| *agent != key && *since + hold > cx.now.mono);
        item.no_reoffer.push((key, cx.now.mono));
        self.arm_wake(cx.now.mono, item_id);
    }

    /// The work item's half of the table: without any AgentOffer left it waits again, at its own place.
    pub(super) fn reopen(&mut self, cx: &mut Cx, item_id: WorkItemId) {
        let Some(item) = self.items.get_mut(&item_id) else {
            return;
        };
        if !item.queued || !item.offers.is_empty() || item.parked {
            return;
        }
        item.state = ItemState::Queued;
        if self.leave_if_due(cx, item_id) {
            return;
        }
        self.open_item(item_id, Trigger::Requeued);
    }

    fn bury(&mut self, id: OfferId, result: OfferResult) {
        while self.dead_offers.len() >= DEAD_OFFERS_MAX {
            self.dead_offers.pop_first();
        }
        self.dead_offers.insert(id, result);
    }
}

/// What a phone is told that answers an AgentOffer that is over.
fn late(result: OfferResult) -> CancelReason {
    match result {
        OfferResult::Cancelled(reason) => reason,
        OfferResult::Rona => CancelReason::TimedOut,
        OfferResult::Declined
        | OfferResult::Busy
        | OfferResult::Unreachable
        | OfferResult::RedirectRefused
        | OfferResult::AnswerNoMedia
        | OfferResult::AnswerThenDrop
        | OfferResult::CustomerNotReached
        | OfferResult::Failed => CancelReason::Withdrawn,
    }
}

fn words(result: OfferResult) -> &'static str {
    match result {
        OfferResult::Rona => "not answered",
        OfferResult::Declined => "declined",
        OfferResult::Busy => "busy",
        OfferResult::Unreachable => "unreachable",
        OfferResult::RedirectRefused => "redirected, refused",
        OfferResult::AnswerNoMedia => "answered without media",
        OfferResult::AnswerThenDrop => "answered and dropped",
        OfferResult::CustomerNotReached => "customer not reached",
        OfferResult::Failed => "failed",
        OfferResult::Cancelled(CancelReason::AnsweredElsewhere) => "answered elsewhere",
        OfferResult::Cancelled(CancelReason::CallerGone) => "caller gone",
        OfferResult::Cancelled(CancelReason::TimedOut) => "timed out",
        OfferResult::Cancelled(CancelReason::Withdrawn) => "withdrawn",
    }
}
