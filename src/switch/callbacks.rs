//! Callbacks: asked for by a key or by a program, told to callers, and made: the agent first, then the customer.
//!
//! A callback is called in a call of its own, whose first leg is the agent's. The customer is called by the dialplan, as if the agent's
//! phone had dialled the number: what that phone may not call, a callback may not call either.

use std::sync::Arc;

use super::command::{Answer, CallbackMade, Refusal, Reply};
use super::core::Switch;
use super::effect::Effects;
use super::on_queue::{music_file, token_text};
use super::routing::{CallingBack, OfferState, Phase, Routing, SwitchTimer, Then};
use crate::acd::{
    self, AcdCommand, CallbackAnswer, CallbackFailure, CallbackRequest, CallerInfo, OfferId,
    OfferOutcome, Withdrawal, WorkItemId,
};
use crate::base::{Duration, Key, Now, Ulid, id};
use crate::call::{Call, Cause, Leg, Role};
use crate::config::settings::Callbacks;
use crate::dialplan::{Action, DialOutcome, QueueExit, say};
use crate::directory::e164;
use crate::event::{Direction, Party};
use crate::sip::Name;

/// Who asks for a callback, and for whom.
struct Request {
    of: Option<WorkItemId>,
    queue: Arc<str>,
    agent: Option<Arc<str>>,
    number: Arc<str>,
    caller: CallerInfo,
    call: Ulid,
}

impl Switch {
    /// What the queue that the call waits in says of callbacks.
    fn callbacks_of(&self, call: Key<Call>) -> Option<&Callbacks> {
        let queue = self.routings.get(&call)?.queue.as_deref()?;
        self.settings.queue(queue)?.callback.as_ref()
    }

    /// A waiting caller is told later how to ask for a callback.
    pub(super) fn offer_callback_later(&mut self, now: Now, call: Key<Call>) {
        let after = self
            .callbacks_of(call)
            .filter(|of| of.digit.is_some())
            .and_then(|of| of.offer_after);
        let timer = after.map(|after| {
            let due = now.mono + after;
            self.timers.set(due, SwitchTimer::CallbackOffer(call))
        });
        if let Some(routing) = self.routings.get_mut(&call)
            && let Some(before) = std::mem::replace(&mut routing.callback_offer, timer)
        {
            self.timers.cancel(before);
        }
    }

    /// It is time: unless no callback would be promised, or the caller has one.
    pub(super) fn on_callback_offer(&mut self, now: Now, call: Key<Call>) {
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        routing.callback_offer = None;
        let waits = matches!(routing.phase, Phase::Queued { .. }) && routing.in_line.is_none();
        let queue = routing.queue.clone().filter(|_| waits);
        let digit = self.callbacks_of(call).and_then(|of| of.digit);
        let (Some(queue), Some(digit)) = (queue, digit) else {
            return;
        };
        if self.acd.takes_callbacks(&queue) && self.number_of(call).is_some() {
            let mut files: Vec<Arc<str>> = vec!["callback-offer".into()];
            files.extend(say::digits(&digit.to_string()).unwrap_or_default());
            self.tell_waiting(now, call, files);
        }
    }

    /// The number at which the caller can be called back.
    fn number_of(&self, call: Key<Call>) -> Option<Arc<str>> {
        let party = self.calls.calling_party(call)?;
        e164(&party.number).map(Arc::from)
    }

    /// Interrupts the music for those who wait.
    fn tell_waiting(&mut self, now: Now, call: Key<Call>, files: Vec<Arc<str>>) {
        let waits = self
            .routings
            .get(&call)
            .is_some_and(|routing| matches!(routing.phase, Phase::Queued { .. }));
        if !waits || files.is_empty() {
            return;
        }
        let play = self.with_calls(now, |calls, ctx| calls.play(ctx, call, files, false));
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.phase = Phase::Queued { announcing: play };
        }
    }

    /// A waiting caller pressed a key: who is in line with a callback takes its place, others ask for one.
    pub(super) fn on_key_in_queue(&mut self, now: Now, call: Key<Call>, digit: char) {
        if self.callbacks_of(call).and_then(|of| of.digit) != Some(digit) {
            return;
        }
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        let (Some(item), Some(queue)) = (routing.work, routing.queue.clone()) else {
            return;
        };
        if let Some(callback) = routing.in_line.take() {
            self.orders
                .push_back(AcdCommand::TakePlace { item, callback });
            self.play_music(now, call);
            if let Some(routing) = self.routings.get_mut(&call) {
                routing.phase = Phase::Queued { announcing: None };
            }
            return;
        }
        let (Some(number), Some(open)) = (self.number_of(call), self.calls.call(call)) else {
            // there is nobody to call back: the caller goes on waiting
            self.tell_waiting(now, call, vec!["not-valid".into()]);
            return;
        };
        let name = self.calls.calling_party(call).and_then(|party| party.name);
        let request = Request {
            of: Some(item),
            queue,
            agent: None,
            caller: CallerInfo {
                number: number.clone(),
                name: name.unwrap_or_default(),
                extension: None,
            },
            number,
            call: open.id,
        };
        self.request(now, request);
    }

    fn request(&mut self, now: Now, request: Request) -> WorkItemId {
        let callback = id::ulid(now.wall, &mut self.entropy);
        self.orders
            .push_back(AcdCommand::RequestCallback(Box::new(CallbackRequest {
                callback,
                of: request.of,
                queue: request.queue,
                agent: request.agent,
                number: request.number,
                credit: Duration::ZERO,
                class: 5,
                skills: Vec::new(),
                prefer: None,
                caller: request.caller,
                call: request.call,
            })));
        callback
    }

    /// What became of a request: the caller is told, or the program that asked.
    pub(super) fn on_callback_answered(
        &mut self,
        now: Now,
        callback: WorkItemId,
        call: Ulid,
        answer: CallbackAnswer,
        fx: &mut Effects,
    ) {
        let Some(key) = self.calls.find(call) else {
            self.callback_answer = Some((callback, answer));
            return;
        };
        let waits = self
            .routings
            .get(&key)
            .is_some_and(|routing| matches!(routing.phase, Phase::Queued { .. }));
        if !waits {
            // whoever talks to an agent by now needs no callback
            if matches!(answer, CallbackAnswer::Promised(_)) {
                self.orders
                    .push_back(AcdCommand::CancelCallback { callback });
            }
            return;
        }
        match answer {
            CallbackAnswer::Promised(_) => {
                let file = self.callbacks_of(key).map(|of| of.promised.clone());
                let files = file.into_iter().collect();
                let play = self.with_calls(now, |calls, ctx| calls.play(ctx, key, files, false));
                let Some(routing) = self.routings.get_mut(&key) else {
                    return;
                };
                routing.work = None;
                match play {
                    Some(play) => {
                        let then = Then::LeaveQueue;
                        routing.phase = Phase::Telling { play, then };
                    }
                    None => self.queue_left(now, key, QueueExit::Callback, fx),
                }
            }
            CallbackAnswer::InLineAlready { callback, position } => {
                self.on_in_line(now, call, callback, position);
            }
            CallbackAnswer::OverCap => {
                let work = self.routings.get_mut(&key).and_then(|of| of.work.take());
                if let Some(item) = work {
                    let cause = Withdrawal::DialplanLeft("callback-over-cap".into());
                    self.orders.push_back(AcdCommand::Withdraw { item, cause });
                }
                self.queue_left(now, key, QueueExit::CallbackOverCap, fx);
            }
            CallbackAnswer::NotTaken => {
                self.tell_waiting(now, key, vec!["not-valid".into()]);
            }
        }
    }

    /// Whoever entered has a callback: its place is told, and the key by which it is taken.
    pub(super) fn on_in_line(
        &mut self,
        now: Now,
        call: Ulid,
        callback: WorkItemId,
        position: Option<u32>,
    ) {
        let Some(key) = self.calls.find(call) else {
            return;
        };
        let Some(routing) = self.routings.get_mut(&key) else {
            return;
        };
        routing.in_line = Some(callback);
        let mut files: Vec<Arc<str>> = vec!["callback-in-line".into()];
        if let Some(position) = position {
            files.extend(say::position(&position.to_string()).unwrap_or_default());
        }
        if let Some(digit) = self.callbacks_of(key).and_then(|of| of.digit) {
            files.push("callback-take-place".into());
            files.extend(say::digits(&digit.to_string()).unwrap_or_default());
        }
        self.tell_waiting(now, key, files);
    }

    /// Rings an agent for a callback, in a call of its own.
    pub(super) fn ring_for_callback(
        &mut self,
        now: Now,
        offer: OfferId,
        item: WorkItemId,
        number: &Arc<str>,
        agent: Arc<str>,
        queue: Arc<str>,
    ) {
        if !self.takes_calls() {
            // a server that is about to stop begins no calls: the callback waits for the next one
            self.orders.push_back(AcdCommand::OfferEnded {
                offer,
                outcome: OfferOutcome::Failed(503),
            });
            return;
        }
        let user = self.settings.directory.user(&agent);
        let from = Party {
            number: agent.clone(),
            name: user.map(|user| user.name.clone()),
            trunk: None,
        };
        let to = Party {
            number: number.clone(),
            ..Party::default()
        };
        let call = self.with_calls(now, |calls, ctx| {
            calls.open_call(ctx, Direction::Outbound, from, to)
        });
        let music = self
            .settings
            .queue(&queue)
            .and_then(|of| music_file(&of.music));
        if let Some(open) = self.calls.call_mut(call) {
            open.record.queues.push(queue.clone());
            open.queue_music = music;
        }
        let domain = self.settings.server.domain.clone();
        let shown = super::dialing::uri_user(number);
        let label = format!(
            "<urn:strowger:callback>;info=callback;queue={}",
            token_text(&queue)
        );
        let mut routing = Routing::new(None);
        routing.queue = Some(queue);
        routing.callback = Some(CallingBack {
            offer,
            outcome: None,
            not_now: None,
        });
        self.routings.insert(call, routing);
        let mut legs = Vec::new();
        // what is shown is the customer, as to one who dials: the agent hears of nobody who calls
        for mut spec in self.device_specs(now, call, &agent, Role::Caller) {
            spec.role = Role::Agent;
            spec.from = format!("\"Callback {number}\" <sip:{shown}@{domain}>");
            spec.headers.push((Name::AlertInfo, label.clone()));
            if let Ok(leg) = self.with_calls(now, |calls, ctx| calls.dial(ctx, call, spec)) {
                legs.push(leg);
            }
        }
        if legs.is_empty() {
            self.orders.push_back(AcdCommand::OfferEnded {
                offer,
                outcome: OfferOutcome::Unreachable,
            });
            self.close_callback(now, call, Cause::Unavailable, "system: no device");
            return;
        }
        let state = OfferState::new(call, item, agent, legs);
        self.offers.insert(offer, state);
    }

    /// True for a call that is made for a callback and whose customer has not been had.
    pub(super) fn calls_back(&self, call: Key<Call>) -> bool {
        let routing = self.routings.get(&call);
        routing.is_some_and(|routing| routing.callback.is_some())
    }

    /// The ACD knows that this callback's call is over.
    pub(super) fn close_callback(&mut self, now: Now, call: Key<Call>, cause: Cause, by: &str) {
        let routing = self.routings.get_mut(&call);
        if routing.and_then(|of| of.callback.take()).is_some() {
            self.end_call(now, call, cause, by);
        }
    }

    /// The agent has the callback, and is told what it is, alone.
    pub(super) fn agent_has_callback(&mut self, now: Now, id: OfferId, fx: &mut Effects) {
        let Some(offer) = self.offers.get_mut(&id) else {
            return;
        };
        let call = offer.call;
        offer.legs.clear();
        let Some(leg) = offer.answered.filter(|&leg| self.calls.leg(leg).is_some()) else {
            self.offers.remove(&id);
            self.orders.push_back(AcdCommand::OfferEnded {
                offer: id,
                outcome: OfferOutcome::NoMedia,
            });
            self.close_callback(now, call, Cause::MediaLost, "system: the agent is gone");
            return;
        };
        self.with_calls(now, |calls, ctx| calls.adopt_caller(ctx, call, leg));
        if let Some(open) = self.calls.call(call) {
            self.orders.push_back(AcdCommand::CallbackCalled {
                offer: id,
                call: open.id,
            });
        }
        let file = self.callbacks_of(call).map(|of| of.identify.clone());
        let files = vec![file.unwrap_or_else(|| "callback-identify".into())];
        let play = self.with_calls(now, |calls, ctx| calls.play(ctx, call, files, false));
        match (play, self.routings.get_mut(&call)) {
            (Some(play), Some(routing)) => {
                let then = Then::CallCustomer;
                routing.phase = Phase::Telling { play, then };
            }
            _ => self.call_customer(now, call, leg, fx),
        }
    }

    /// Somebody has been told what there was to tell.
    pub(super) fn on_told(&mut self, now: Now, call: Key<Call>, then: Then, fx: &mut Effects) {
        match (then, self.calls.call(call).and_then(|open| open.a)) {
            (Then::NotAllowed, _) => self.dial_ended(now, call, DialOutcome::NotAllowed, fx),
            (Then::LeaveQueue, _) => self.queue_left(now, call, QueueExit::Callback, fx),
            (Then::CallCustomer, Some(leg)) => self.call_customer(now, call, leg, fx),
            (Then::CallCustomer, None) => {}
        }
    }

    fn call_customer(&mut self, now: Now, call: Key<Call>, leg: Key<Leg>, fx: &mut Effects) {
        if let Some(open) = self.calls.call(call) {
            let number = open.record.to.number.clone();
            self.dial_for(now, call, leg, &number, fx);
        }
    }

    /// What a dialplan may do in the call of a callback: nothing that would keep an agent without a customer.
    pub(super) fn fits_callback(action: &Action) -> bool {
        match action {
            Action::Answer
            | Action::Ring
            | Action::Play { .. }
            | Action::Wait(_)
            | Action::Dial(_)
            | Action::Hangup { .. }
            | Action::End => true,
            Action::Collect { .. }
            | Action::Queue(_)
            | Action::Feature(_)
            | Action::Pickup(_)
            | Action::Park { .. }
            | Action::Conference(_) => false,
        }
    }

    /// A try to reach the customer came to this; the dialplan may know another way.
    pub(super) fn customer_not_reached(&mut self, call: Key<Call>, outcome: DialOutcome) {
        let routing = self.routings.get_mut(&call);
        if let Some(callback) = routing.and_then(|routing| routing.callback.as_mut()) {
            callback.outcome = Some(outcome);
        }
    }

    /// Agent and customer hear each other.
    pub(super) fn customer_reached(&mut self, call: Key<Call>) {
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        let Some(callback) = routing.callback.take() else {
            return;
        };
        let Some(offer) = self.offers.remove(&callback.offer) else {
            return;
        };
        routing.agent = Some(offer.agent.clone());
        routing.work = Some(offer.item);
        if let Some(open) = self.calls.call_mut(call) {
            open.record.agent = Some(offer.agent);
        }
        self.orders.push_back(AcdCommand::Bridged {
            offer: callback.offer,
        });
    }

    /// The call of a callback ends before its customer was had, and the ACD is told how.
    pub(super) fn callback_ends(&mut self, call: Key<Call>, by: &str) {
        let routing = self.routings.get_mut(&call);
        let Some(of) = routing.and_then(|of| of.callback.take()) else {
            return;
        };
        let Some(state) = self.offers.remove(&of.offer) else {
            return;
        };
        let answered = state.answered.is_some();
        self.orders.push_back(match answered {
            true => of.ends(by),
            false => dropped(of.offer),
        });
    }

    /// A program asks for a callback.
    pub(super) fn callback_by_order(
        &mut self,
        now: Now,
        queue: Arc<str>,
        number: &str,
        name: Option<Arc<str>>,
        agent: Option<Arc<str>>,
        fx: &mut Effects,
    ) -> Reply {
        if !self.acd.knows_queue(&queue) {
            return Err(Refusal::not_found("queue", &queue));
        }
        if let Some(agent) = &agent
            && !self.acd.knows_agent(agent)
        {
            return Err(Refusal::not_found("agent", agent));
        }
        let number: Arc<str> = e164(number).map(Arc::from).ok_or_else(|| {
            Refusal::unprocessable(
                "not_a_number",
                "this is no number that can be called back: give it as +442071838750",
            )
        })?;
        let caller = CallerInfo {
            number: number.clone(),
            name: name.unwrap_or_default(),
            extension: None,
        };
        let request = Request {
            of: None,
            queue: queue.clone(),
            agent,
            number,
            caller,
            call: id::ulid(now.wall, &mut self.entropy),
        };
        let asked = self.request(now, request);
        self.callback_answer = None;
        self.work_off(now, fx);
        let answer = self.callback_answer.take().map(|(_, answer)| answer);
        let (callback, promised) = match answer {
            Some(CallbackAnswer::Promised(_)) => (asked, true),
            Some(CallbackAnswer::InLineAlready { callback, .. }) => (callback, false),
            Some(CallbackAnswer::OverCap) => {
                return Err(Refusal::conflict(
                    "over_cap",
                    format!("queue {queue} has as many callbacks as it may have"),
                ));
            }
            Some(CallbackAnswer::NotTaken) | None => {
                return Err(Refusal::conflict(
                    "no_callbacks",
                    format!(
                        "queue {queue} takes no callbacks, or not for this agent: see `callback` in its file"
                    ),
                ));
            }
        };
        let item = self.acd.item(now, callback);
        let item = item.ok_or_else(|| Refusal::not_found("callback", &callback.to_string()))?;
        Ok(Answer::Callback(Box::new(CallbackMade { item, promised })))
    }

    /// Callbacks that are not over, by place.
    pub(super) fn callbacks(&self, now: Now) -> Reply {
        let mut items = self.acd.items(now);
        items.retain(|item| item.callback.is_some());
        items.sort_by_key(|item| (item.queue.clone(), item.position.unwrap_or(u32::MAX)));
        Ok(Answer::Work(items))
    }

    /// A callback is taken back.
    pub(super) fn cancel_callback(&mut self, now: Now, id: WorkItemId, fx: &mut Effects) -> Reply {
        let item = self
            .acd
            .item(now, id)
            .filter(|item| item.callback.is_some())
            .ok_or_else(|| Refusal::not_found("callback", &id.to_string()))?;
        if !matches!(item.phase, acd::Phase::Waiting | acd::Phase::Assigning) {
            return Err(Refusal::conflict(
                "not_waiting",
                format!("callback {id} does not wait any more"),
            ));
        }
        self.orders
            .push_back(AcdCommand::CancelCallback { callback: id });
        self.work_off(now, fx);
        Ok(Answer::Done)
    }
}

impl CallingBack {
    /// What the ACD is told when the call with the agent ends, and the customer was not had.
    pub(super) fn ends(&self, by: &str) -> AcdCommand {
        let offer = self.offer;
        let failure = match self.outcome {
            Some(DialOutcome::NotAllowed) => match self.not_now {
                Some(until) => return AcdCommand::CallbackPostponed { offer, until },
                None => CallbackFailure::NotAllowed,
            },
            Some(DialOutcome::Busy) => CallbackFailure::Busy,
            Some(DialOutcome::Declined) => CallbackFailure::Refused,
            Some(_) => CallbackFailure::NoAnswer,
            None if by == "dialplan" => CallbackFailure::NotAllowed,
            None => return dropped(offer),
        };
        AcdCommand::CallbackFailed { offer, failure }
    }
}

/// The agent's call is over before it came to anything.
pub(super) fn dropped(offer: OfferId) -> AcdCommand {
    AcdCommand::OfferEnded {
        offer,
        outcome: OfferOutcome::Failed(487),
    }
}
