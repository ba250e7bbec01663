//! The ACD's orders become legs, and what becomes of legs is told to the ACD.

use std::sync::Arc;

use super::callbacks::dropped;
use super::core::Switch;
use super::effect::Effects;
use super::record::{Fact, Record};
use super::routing::{OfferState, Phase, Then};
use crate::acd::{
    AcdCommand, AcdEffect, CallerInfo, CancelReason, LeaveWhy, OfferId, OfferOutcome, Preference,
    SkillNeed, WaitBand,
};
use crate::base::{Key, Now, id};
use crate::call::{Call, Cause, Endpoint, Leg, Role};
use crate::dialplan::{QueueAction, QueueExit, StepInput, say};
use crate::sip::StatusCode;

impl Switch {
    /// A caller comes to a queue.
    pub(super) fn enter_queue(
        &mut self,
        now: Now,
        call: Key<Call>,
        action: QueueAction,
    ) -> Option<StepInput> {
        if !self.acd.knows_queue(&action.name) {
            return Some(StepInput::QueueLeft(QueueExit::NoSuchQueue));
        }
        if !self.with_calls(now, |calls, ctx| calls.answer(ctx, call)) {
            return None;
        }
        let fresh = id::ulid(now.wall, &mut self.entropy);
        let open = self.calls.call_mut(call)?;
        open.record.queues.push(action.name.clone());
        let ucid = open.id;
        let caller = self.caller_info(call)?;
        self.queue_again(call);
        let routing = self.routings.get_mut(&call)?;
        let arrival = *routing.arrival.get_or_insert(now);
        // the same piece of work in its next queue: journey and decisions go on
        let item = *routing.item.get_or_insert(fresh);
        routing.work = Some(item);
        routing.queue = Some(action.name.clone());
        routing.phase = Phase::Queued { announcing: None };
        routing.in_line = None;
        self.play_music(now, call);
        self.offer_callback_later(now, call);
        self.orders.push_back(AcdCommand::Enter {
            item,
            queue: action.name,
            arrival,
            credit: action.credit,
            class: action.class,
            skills: action
                .skills
                .into_iter()
                .map(|ask| SkillNeed {
                    skill: ask.skill,
                    min: ask.min,
                    weight: ask.weight,
                    mandatory: ask.mandatory,
                })
                .collect(),
            prefer: (!action.prefer.is_empty()).then_some(Preference {
                agents: action.prefer,
                hold: action.prefer_hold,
            }),
            caller,
            call: ucid,
        });
        None
    }

    /// Who waits, as the ACD and its people know it: whoever is in the caller's place now.
    fn caller_info(&self, call: Key<Call>) -> Option<CallerInfo> {
        let party = self.calls.calling_party(call)?;
        let endpoint = self.calls.caller(call).map(|leg| &leg.endpoint);
        Some(CallerInfo {
            number: party.number,
            name: party.name.unwrap_or_default(),
            extension: match endpoint {
                Some(Endpoint::Extension(extension)) => Some(extension.clone()),
                Some(Endpoint::Trunk(_) | Endpoint::Unknown) | None => None,
            },
        })
    }

    /// A transfer has put another party in the caller's place: the work item is that party's now.
    pub(super) fn caller_changed(&mut self, call: Key<Call>) {
        let item = self.routings.get(&call).and_then(|routing| routing.work);
        if let (Some(item), Some(caller)) = (item, self.caller_info(call)) {
            self.orders.push_back(AcdCommand::CallerIs { item, caller });
        }
    }

    /// Music for a caller who waits.
    pub(super) fn play_music(&mut self, now: Now, call: Key<Call>) {
        let music = self
            .routings
            .get(&call)
            .and_then(|routing| routing.queue.as_deref())
            .and_then(|queue| self.settings.queue(queue))
            .map_or_else(|| Arc::from("default"), |queue| queue.music.clone());
        if let Some(file) = music_file(&music) {
            self.with_calls(now, |calls, ctx| calls.play(ctx, call, vec![file], true));
        }
    }

    pub(super) fn on_acd_effect(&mut self, now: Now, effect: AcdEffect, fx: &mut Effects) {
        match effect {
            AcdEffect::Offer {
                offer,
                item,
                call,
                agent,
                queue,
                callback,
                ..
            } => match callback {
                None => self.ring_agent(now, offer, item, call, agent, &queue),
                Some(number) => {
                    self.ring_for_callback(now, offer, item, &number, agent, queue);
                }
            },
            AcdEffect::CancelOffer { offer, reason } => {
                if let Some(state) = self.offers.remove(&offer) {
                    let cause = match reason {
                        CancelReason::AnsweredElsewhere => Cause::AnsweredElsewhere,
                        CancelReason::CallerGone => Cause::CallerGone,
                        CancelReason::TimedOut => Cause::NoAnswer,
                        CancelReason::Withdrawn => Cause::Normal,
                    };
                    if self.calls_back(state.call) {
                        let by = "system: the callback was taken back";
                        self.close_callback(now, state.call, cause, by);
                    } else {
                        self.end_legs(now, state.legs, cause);
                    }
                }
            }
            AcdEffect::Accepted { offer, .. } => {
                let call = self.offers.get(&offer).map(|offer| offer.call);
                if call.is_some_and(|call| self.calls_back(call)) {
                    self.agent_has_callback(now, offer, fx);
                } else {
                    self.bridge_agent(now, offer);
                }
            }
            AcdEffect::Leave {
                call,
                queue,
                why,
                steps,
                ..
            } => {
                let Some(key) = self.calls.find(call) else {
                    return;
                };
                let overflow = steps
                    .and_then(|index| self.settings.queue(&queue)?.overflow.get(index).cloned());
                let exit = match (why, overflow) {
                    (_, Some(steps)) => QueueExit::Overflow(steps),
                    (LeaveWhy::Closed, None) => QueueExit::Closed,
                    (LeaveWhy::Full, None) => QueueExit::Full,
                    (LeaveWhy::NoSuchQueue, None) => QueueExit::NoSuchQueue,
                    (LeaveWhy::TimedOut | LeaveWhy::Overflow, None) => QueueExit::TimedOut,
                };
                self.queue_left(now, key, exit, fx);
            }
            AcdEffect::Announce {
                call,
                position,
                wait,
                ..
            } => self.announce(now, call, position, wait),
            AcdEffect::CallbackAnswered {
                callback,
                call,
                answer,
            } => self.on_callback_answered(now, callback, call, answer, fx),
            AcdEffect::InLineAlready {
                call,
                callback,
                position,
                ..
            } => self.on_in_line(now, call, callback, position),
            AcdEffect::Journal(record) => Self::journal(fx, Record::Acd(record)),
            AcdEffect::Event(event) => self.publish(now, Fact::Acd(event), fx),
        }
    }

    /// Rings every ringable device of an agent at once (acd.toml §10.2).
    fn ring_agent(
        &mut self,
        now: Now,
        offer: OfferId,
        item: crate::acd::WorkItemId,
        call: crate::base::Ulid,
        agent: Arc<str>,
        queue: &str,
    ) {
        let Some(key) = self.calls.find(call) else {
            self.orders.push_back(AcdCommand::OfferEnded {
                offer,
                outcome: OfferOutcome::CallerGone,
            });
            return;
        };
        let mut legs = Vec::new();
        for mut spec in self.device_specs(now, key, &agent, Role::Agent) {
            spec.headers.push((
                crate::sip::Name::AlertInfo,
                format!(
                    "<urn:strowger:queue>;info=queue;queue={}",
                    token_text(queue)
                ),
            ));
            if let Ok(leg) = self.with_calls(now, |calls, ctx| calls.dial(ctx, key, spec)) {
                legs.push(leg);
            }
        }
        if legs.is_empty() {
            self.orders.push_back(AcdCommand::OfferEnded {
                offer,
                outcome: OfferOutcome::Unreachable,
            });
            return;
        }
        let state = OfferState::new(key, item, agent, legs);
        self.offers.insert(offer, state);
    }

    pub(super) fn offer_of(&self, leg: Key<Leg>) -> Option<OfferId> {
        self.offers
            .iter()
            .find(|(_, offer)| offer.legs.contains(&leg) || offer.answered == Some(leg))
            .map(|(id, _)| *id)
    }

    pub(super) fn on_agent_ringing(&mut self, leg: Key<Leg>) {
        let Some(id) = self.offer_of(leg) else { return };
        if let Some(offer) = self.offers.get_mut(&id)
            && !std::mem::replace(&mut offer.alerting, true)
        {
            self.orders.push_back(AcdCommand::Alerting { offer: id });
        }
    }

    /// The first 2xx of an offer goes to the ACD, which decides; a later one is ended.
    pub(super) fn on_agent_answered(&mut self, now: Now, leg: Key<Leg>) {
        let Some(id) = self.offer_of(leg) else {
            self.with_calls(now, |calls, ctx| {
                calls.end_leg(ctx, leg, Cause::AnsweredElsewhere);
            });
            return;
        };
        let device = self
            .calls
            .leg(leg)
            .map(|leg| Arc::from(String::from_utf8_lossy(leg.request.uri_bytes())))
            .unwrap_or_else(|| Arc::from(""));
        let Some(offer) = self.offers.get_mut(&id) else {
            return;
        };
        if offer.answered.is_some() {
            self.with_calls(now, |calls, ctx| {
                calls.end_leg(ctx, leg, Cause::AnsweredElsewhere);
            });
            return;
        }
        offer.answered = Some(leg);
        self.orders
            .push_back(AcdCommand::Answered { offer: id, device });
    }

    /// The ACD says that this offer has won: let them talk.
    fn bridge_agent(&mut self, now: Now, id: OfferId) {
        let Some(offer) = self.offers.remove(&id) else {
            return;
        };
        let Some(leg) = offer.answered.filter(|&leg| self.calls.leg(leg).is_some()) else {
            self.orders.push_back(AcdCommand::OfferEnded {
                offer: id,
                outcome: OfferOutcome::NoMedia,
            });
            return;
        };
        let music = self
            .routings
            .get(&offer.call)
            .and_then(|routing| routing.queue.as_deref())
            .and_then(|queue| music_file(&self.settings.queue(queue)?.music));
        if let Some(call) = self.calls.call_mut(offer.call) {
            call.queue_music = music;
        }
        let connected = self.with_calls(now, |calls, ctx| calls.connect(ctx, offer.call, leg));
        if !connected {
            self.orders.push_back(AcdCommand::OfferEnded {
                offer: id,
                outcome: OfferOutcome::Failed(488),
            });
            return;
        }
        self.orders.push_back(AcdCommand::Bridged { offer: id });
        if let Some(routing) = self.routings.get_mut(&offer.call) {
            routing.phase = Phase::Bridged;
            routing.agent = Some(offer.agent);
            routing.work = Some(offer.item);
            routing.run = None;
        }
    }

    /// A device of an agent refused or did not answer. When it was the last, the offer has its outcome (acd.toml §10.4).
    pub(super) fn on_agent_leg_failed(
        &mut self,
        now: Now,
        call: Key<Call>,
        leg: Key<Leg>,
        status: StatusCode,
        dead: bool,
    ) {
        let Some(id) = self.offer_of(leg) else { return };
        let Some(offer) = self.offers.get_mut(&id) else {
            return;
        };
        debug_assert_eq!(offer.call, call);
        offer.legs.retain(|other| *other != leg);
        if offer.answered == Some(leg) {
            offer.answered = None;
        }
        let code = status.as_u16();
        // what a person said outranks what a device said
        let rank = match code {
            603 => 4,
            486 | 600 => 3,
            408 | 404 | 430 | 480 => 1,
            _ => 2,
        };
        let rank = if dead { 1 } else { rank };
        if offer.refusal.is_none_or(|(worst, _)| rank > worst) {
            offer.refusal = Some((rank, code));
        }
        if !offer.legs.is_empty() && rank != 4 {
            return;
        }
        let rest = std::mem::take(&mut offer.legs);
        let outcome = match offer.refusal {
            Some((4, _)) => OfferOutcome::Declined,
            Some((3, _)) => OfferOutcome::Busy,
            Some((2, code)) => OfferOutcome::Failed(code),
            _ => OfferOutcome::Unreachable,
        };
        self.offers.remove(&id);
        self.end_legs(now, rest, Cause::Normal);
        self.orders
            .push_back(AcdCommand::OfferEnded { offer: id, outcome });
        self.close_callback(now, call, Cause::of_status(status), "agent");
    }

    /// An answered agent leg ended. True when the caller stays: the agent left before the bridge.
    pub(super) fn on_agent_leg_ended(&mut self, now: Now, leg: Key<Leg>) -> bool {
        let Some(id) = self.offer_of(leg) else {
            return false;
        };
        let Some(offer) = self.offers.remove(&id) else {
            return false;
        };
        self.end_legs(now, offer.legs, Cause::Normal);
        // who was just being told that the number may not be called has not dropped it
        let routing = self.routings.get(&offer.call);
        let told = routing.filter(|of| {
            matches!(
                of.phase,
                Phase::Telling {
                    then: Then::NotAllowed,
                    ..
                }
            )
        });
        let told = told.and_then(|of| of.callback.as_ref());
        let order = told.map_or_else(|| dropped(id), |of| of.ends("agent"));
        self.orders.push_back(order);
        self.close_callback(now, offer.call, Cause::Normal, "agent");
        true
    }

    fn end_legs(&mut self, now: Now, legs: Vec<Key<Leg>>, cause: Cause) {
        for leg in legs {
            self.with_calls(now, |calls, ctx| calls.end_leg(ctx, leg, cause));
        }
    }

    /// Position and expected wait, spoken over the music (acd.toml §9).
    fn announce(
        &mut self,
        now: Now,
        call: crate::base::Ulid,
        position: Option<u32>,
        wait: Option<WaitBand>,
    ) {
        let Some(key) = self.calls.find(call) else {
            return;
        };
        let mut files: Vec<Arc<str>> = Vec::new();
        if let Some(position) = position {
            files.extend(say::position(&position.to_string()).unwrap_or_default());
        }
        if let Some(wait) = wait {
            files.push(Arc::from("expected-wait"));
            files.push(Arc::from(match wait {
                WaitBand::UnderTwo => "less-than-2-minutes",
                WaitBand::TwoToFive => "2-to-5-minutes",
                WaitBand::FiveToTen => "5-to-10-minutes",
                WaitBand::OverTen => "more-than-10-minutes",
            }));
        }
        let queued = self
            .routings
            .get(&key)
            .is_some_and(|routing| matches!(routing.phase, Phase::Queued { announcing: None }));
        if files.is_empty() || !queued {
            return;
        }
        let play = self.with_calls(now, |calls, ctx| calls.play(ctx, key, files, false));
        if let Some(routing) = self.routings.get_mut(&key) {
            routing.phase = Phase::Queued { announcing: play };
        }
    }
}

/// The file of a music name: `default` is `music/default`; a path is taken as it is.
pub(super) fn music_file(name: &str) -> Option<Arc<str>> {
    match name {
        "none" => None,
        path if path.contains('/') => Some(Arc::from(path)),
        name => Some(Arc::from(format!("music/{name}"))),
    }
}

/// Characters that may stand in a header parameter; others become `-`.
pub(super) fn token_text(text: &str) -> String {
    text.chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() || char == '_' {
                char
            } else {
                '-'
            }
        })
        .collect()
}
