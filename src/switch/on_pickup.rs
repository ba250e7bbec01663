//! Calls that are fetched: picked up while they ring, taken over while they talk, parked and taken out again (RFC 3891, RFC 5359).

use std::collections::VecDeque;
use std::sync::Arc;

use super::core::Switch;
use super::effect::Effects;
use super::routing::{Branch, Fork, Phase, SwitchTimer};
use crate::base::{Duration, Key, Now};
use crate::call::{Call, CallEvent, CallOutput, Cause, Endpoint, Leg, Role};
use crate::dialplan::StepInput;
use crate::event::Outcome;
use crate::sip::{Message, Name, Replaces, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::Flow;

impl Switch {
    /// An INVITE with Replaces (RFC 3891 §3). True when the request has been dealt with.
    pub(super) fn on_replaces(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        endpoint: &Endpoint,
    ) -> bool {
        let mut values = request.headers(Name::Replaces);
        let (first, second) = (values.next(), values.next());
        let Some(value) = first else { return false };
        let replaces = match (Replaces::parse(value), second) {
            (Ok(replaces), None) => replaces,
            _ => {
                self.answer(now, key, request, StatusCode::BAD_REQUEST);
                return true;
            }
        };
        if let Err(status) = self.replace(now, key, flow, request, endpoint, &replaces) {
            self.answer(now, key, request, status);
        }
        true
    }

    fn replace(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        endpoint: &Endpoint,
        replaces: &Replaces,
    ) -> Result<(), StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let old = self.calls.find_dialog(replaces).ok_or(gone)?;
        let leg = self.calls.leg(old).ok_or(gone)?;
        let (call, role, owner) = (leg.call, leg.role, leg.endpoint.clone());
        let (answered, rings) = (leg.is_answered(), self.calls.is_ringing(old));
        if self.calls.call(call).is_none_or(|call| call.ending) {
            return Err(StatusCode::DECLINE);
        }
        if answered && replaces.early_only {
            return Err(StatusCode::BUSY_HERE);
        }
        if !answered && !rings {
            // an early dialog that its party began is not ours to give away (RFC 3891 §3)
            return Err(gone);
        }
        // a call that rings may be fetched by its group; one that talks, and an agent's, only by the same person
        let same = *endpoint == owner && matches!(endpoint, Endpoint::Extension(_));
        if !(same || (rings && role == Role::Callee && self.may_pick_up(endpoint, &owner))) {
            return Err(StatusCode::FORBIDDEN);
        }
        let facts = self
            .facts(flow, request, endpoint)
            .ok_or(StatusCode::ADDRESS_INCOMPLETE)?;
        let incoming = self.incoming_of(now, key, flow, request.clone(), endpoint.clone(), &facts);
        let by = incoming.from.clone();
        let leg = self.with_calls(now, |calls, ctx| {
            calls.incoming_into(ctx, incoming, call, role)
        });
        let leg = match leg {
            Ok(leg) => leg,
            Err(refusal) => {
                self.answer_with(now, key, request, refusal.status, refusal.header);
                return Ok(());
            }
        };
        let done = if rings {
            self.pick_up(now, leg, old)
        } else {
            let partner = self.calls.talks_to(old);
            self.with_calls(now, |calls, ctx| {
                calls
                    .answer_joining(ctx, leg, partner)
                    .map(|()| calls.take_over(ctx, leg, old))
            })
            .map(|()| {
                self.note_transfer(now, call, &by, &by.number, "takeover", 200);
                self.resume_waiting(now, call);
                self.caller_changed(call);
            })
        };
        if let Err(status) = done {
            let cause = Cause::of_status(status);
            self.with_calls(now, |calls, ctx| calls.end_leg(ctx, leg, cause));
        }
        Ok(())
    }

    /// True when one may answer for the other: the same person, or both in a pickup group.
    fn may_pick_up(&self, who: &Endpoint, whose: &Endpoint) -> bool {
        let (Endpoint::Extension(who), Endpoint::Extension(whose)) = (who, whose) else {
            return false;
        };
        let directory = &self.settings.directory;
        who == whose
            || match (directory.user(who), directory.user(whose)) {
                (Some(who), Some(whose)) => {
                    who.pickup.iter().any(|group| whose.pickup.contains(group))
                }
                _ => false,
            }
    }

    /// A leg that is in the call of `old` answers in its place. It is answered, and then is one more device that has said yes.
    fn pick_up(&mut self, now: Now, leg: Key<Leg>, old: Key<Leg>) -> Result<(), StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let (call, role, whose) = self
            .calls
            .leg(old)
            .map(|leg| (leg.call, leg.role, leg.party.number.clone()))
            .ok_or(gone)?;
        let partner = match role {
            Role::Callee | Role::Agent => self.calls.call(call).and_then(|call| call.a),
            Role::Caller => None,
        };
        self.with_calls(now, |calls, ctx| calls.answer_joining(ctx, leg, partner))?;
        match role {
            Role::Callee | Role::Caller => {
                let phase = self
                    .routings
                    .get_mut(&call)
                    .map(|routing| &mut routing.phase);
                if let Some(Phase::Ringing(fork) | Phase::Originating { fork, .. }) = phase {
                    let ways = VecDeque::new();
                    fork.ringing.push((leg, Branch { ways, until: None }));
                }
            }
            Role::Agent => {
                let offer = self.offer_of(old).ok_or(gone)?;
                if let Some(offer) = self.offers.get_mut(&offer) {
                    offer.legs.push(leg);
                }
            }
        }
        let by = self
            .calls
            .leg(leg)
            .map(|leg| leg.party.clone())
            .unwrap_or_default();
        self.note_transfer(now, call, &by, &whose, "pickup", 200);
        self.outputs
            .push_back(CallOutput::Event(CallEvent::LegAnswered { call, leg }));
        Ok(())
    }

    /// The dialplan's step: the caller fetches what rings at an extension, or at anybody of its groups.
    pub(super) fn pickup_step(
        &mut self,
        now: Now,
        call: Key<Call>,
        whose: Option<&str>,
    ) -> Option<StepInput> {
        let failed = |text: &str| Some(StepInput::Failed(text.to_owned()));
        let caller = self.calls.call(call).and_then(|call| call.a);
        let Some((leg, who)) = caller.and_then(|key| {
            let leg = self.calls.leg(key)?;
            Some((key, leg.endpoint.clone()))
        }) else {
            return failed("nobody is there to pick up");
        };
        let old = self.calls.ringing_for(|endpoint| {
            let named = match (whose, endpoint) {
                (Some(name), Endpoint::Extension(extension)) => **extension == *name,
                (Some(_), _) => false,
                (None, endpoint) => *endpoint != who,
            };
            named && self.may_pick_up(&who, endpoint)
        });
        let Some((old, target)) = old.and_then(|old| Some((old, self.calls.leg(old)?.call))) else {
            return failed("no call that the caller may pick up rings there");
        };
        self.join_into(now, call, leg, target, Role::Callee);
        if let Err(status) = self.pick_up(now, leg, old) {
            let cause = Cause::of_status(status);
            self.with_calls(now, |calls, ctx| calls.end_leg(ctx, leg, cause));
        }
        None
    }

    /// The caller of one call goes into another; its own call is over, as an answered one.
    fn join_into(
        &mut self,
        now: Now,
        call: Key<Call>,
        leg: Key<Leg>,
        target: Key<Call>,
        role: Role,
    ) {
        self.with_calls(now, |calls, ctx| calls.enter_call(ctx, leg, target, role));
        if let Some(open) = self.calls.call_mut(call) {
            open.record.outcome = Outcome::Answered;
        }
        self.end_call(now, call, Cause::Normal, "transfer");
    }

    /// The dialplan's step: whoever was transferred here is parked; whoever dials a slot that is taken is connected.
    pub(super) fn park_step(
        &mut self,
        now: Now,
        call: Key<Call>,
        slot: Arc<str>,
        timeout: Duration,
        music: &str,
    ) -> Option<StepInput> {
        if slot.is_empty() {
            return Some(StepInput::Failed("the slot has no name".to_owned()));
        }
        if let Some(parked) = self
            .parked
            .get(&slot)
            .copied()
            .filter(|other| *other != call)
        {
            return self.unpark(now, call, &slot, parked);
        }
        let comes_from_outside = self
            .calls
            .caller(call)
            .is_some_and(|leg| matches!(leg.endpoint, Endpoint::Trunk(_)));
        if !self.is_transferring(call) && !comes_from_outside {
            return Some(StepInput::Failed(format!("nobody is parked in {slot}")));
        }
        if !self.answered(now, call) {
            return None;
        }
        self.transfer_reached(now, call);
        if let Some(file) = super::on_queue::music_file(music) {
            self.with_calls(now, |calls, ctx| calls.play(ctx, call, vec![file], true));
        }
        self.parked.insert(slot.clone(), call);
        let timer = self.timers.set(now.mono + timeout, SwitchTimer::Wait(call));
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.phase = Phase::Parked { slot, timer };
        }
        None
    }

    /// The caller of `call` is connected with whoever is parked.
    fn unpark(
        &mut self,
        now: Now,
        call: Key<Call>,
        slot: &Arc<str>,
        parked: Key<Call>,
    ) -> Option<StepInput> {
        let failed = |text: &str| Some(StepInput::Failed(text.to_owned()));
        let waiting = self.calls.call(parked).and_then(|call| call.a);
        let caller = self.calls.call(call).and_then(|call| call.a);
        let (Some(waiting), Some(caller)) = (waiting, caller) else {
            return failed("nobody is parked there");
        };
        self.transfer_reached(now, call);
        self.join_into(now, call, caller, parked, Role::Callee);
        let answered = self.with_calls(now, |calls, ctx| {
            calls.answer_joining(ctx, caller, Some(waiting))
        });
        if let Err(status) = answered {
            let cause = Cause::of_status(status);
            self.with_calls(now, |calls, ctx| calls.end_leg(ctx, caller, cause));
            return None;
        }
        self.leave_slot(parked);
        let ways = VecDeque::new();
        if let Some(routing) = self.routings.get_mut(&parked) {
            routing.run = None;
            routing.phase = Phase::Ringing(Fork {
                timeout: Duration::ZERO,
                waves: VecDeque::new(),
                held: Vec::new(),
                ringing: vec![(caller, Branch { ways, until: None })],
                best: None,
                timed_out: false,
                rang: true,
                music: None,
                timer: None,
            });
        }
        let by = self.calls.leg(caller).map(|leg| leg.party.clone());
        self.note_transfer(now, parked, &by.unwrap_or_default(), slot, "pickup", 200);
        self.outputs
            .push_back(CallOutput::Event(CallEvent::LegAnswered {
                call: parked,
                leg: caller,
            }));
        None
    }

    /// The slot of a call is free again, and its timer stopped.
    fn leave_slot(&mut self, call: Key<Call>) {
        self.parked.retain(|_, other| *other != call);
        let phase = self.routings.get(&call).map(|routing| &routing.phase);
        if let Some(Phase::Parked { timer, .. }) = phase {
            let timer = *timer;
            self.timers.cancel(timer);
        }
    }

    /// Nobody took the parked call out in time: its dialplan goes on.
    pub(super) fn on_parked_too_long(&mut self, now: Now, call: Key<Call>, fx: &mut Effects) {
        self.leave_slot(call);
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.phase = Phase::Running;
        }
        self.with_calls(now, |calls, ctx| calls.stop(ctx, call));
        self.drive(now, call, StepInput::Done, fx);
    }
}
