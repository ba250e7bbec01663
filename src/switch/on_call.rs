//! Calls and their dialplan: what a step asks for is done, what comes of it goes back into the dialplan.

use std::sync::Arc;

use super::core::Switch;
use super::effect::Effects;
use super::on_redirect::Moved;
use super::record::{Fact, Record};
use super::routing::{Keys, Phase, Routing, SwitchTimer};
use crate::acd::{AcdCommand, AgentStatus, EndedBy, Withdrawal, WrapEndedBy};
use crate::auth::identity::Verdict;
use crate::base::{Key, Now};
use crate::call::{Call, CallEvent, CallOutput, Cause, Endpoint, Role};
use crate::dialplan::{Action, DialOutcome, Feature, HangupCause, QueueExit, Run, StepInput};
use crate::media::MixPart;
use crate::sip::{Message, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::Flow;

impl Switch {
    /// An INVITE from somebody we know: a call begins and its dialplan runs.
    #[allow(clippy::too_many_arguments)] // one INVITE and what is known of it
    pub(super) fn on_new_call(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: Message,
        endpoint: Endpoint,
        verdict: Option<Verdict>,
        fx: &mut Effects,
    ) {
        let Some(mut facts) = self.facts(flow, &request, &endpoint) else {
            self.answer(now, key, &request, StatusCode::ADDRESS_INCOMPLETE);
            return;
        };
        let called = match self.gruu_called(&request) {
            Some(Ok(called)) => Some(called),
            Some(Err(status)) => {
                self.answer(now, key, &request, status);
                return;
            }
            None => None,
        };
        if let Some(called) = &called {
            facts.to = called.extension.to_string();
        }
        if let Endpoint::Extension(extension) = &endpoint {
            let most = self
                .settings
                .directory
                .user(extension)
                .map_or(u32::MAX, |user| user.max_concurrent_calls);
            let (live, _) = self.calls.live_on(extension);
            if live >= most as usize {
                Self::warn(
                    fx,
                    format!(
                        "extension {extension}: at its limit of {most} concurrent calls, an outgoing call is refused"
                    ),
                );
                self.answer(now, key, &request, StatusCode::FORBIDDEN);
                return;
            }
        }
        let incoming = self.incoming_of(now, key, flow, request.clone(), endpoint, &facts);
        if incoming
            .cookie
            .is_some_and(|cookie| crate::call::is_loop(&request, cookie))
        {
            self.answer(now, key, &request, StatusCode::LOOP_DETECTED);
            return;
        }
        match self.with_calls(now, |calls, ctx| calls.incoming(ctx, incoming)) {
            Ok(call) if let Some(called) = &called => self.ring_device(now, call, called),
            Ok(call) => {
                facts.language = "en".to_owned();
                let mut run = Run::start(self.settings.dialplan.clone(), facts);
                if let Some(verdict) = &verdict {
                    run.know("verstat", verdict.verstat.as_str());
                    let attested = verdict.attestation.map_or("", |level| level.as_str());
                    run.know("attestation", attested);
                }
                let mut routing = Routing::new(Some(run));
                routing.verdict = verdict;
                self.routings.insert(call, routing);
                self.drive(now, call, StepInput::Begin, fx);
            }
            Err(refusal) => {
                let (status, header) = (refusal.status, refusal.header);
                self.answer_with(now, key, &request, status, header);
            }
        }
    }

    /// Runs the dialplan of a call until it must wait.
    pub(super) fn drive(&mut self, now: Now, call: Key<Call>, input: StepInput, fx: &mut Effects) {
        let Some(mut input) = self.pin_or(now, call, input, fx) else {
            return;
        };
        // the interpreter itself bounds the number of steps; this bounds what it can make us do at once
        for _ in 0..1000 {
            let Some(routing) = self.routings.get_mut(&call) else {
                return;
            };
            let Some(run) = routing.run.as_mut() else {
                return;
            };
            let action = run.step(input, now.wall);
            for line in run.take_log() {
                fx.push(super::effect::Effect::Log {
                    level: super::effect::Level::Info,
                    text: format!("dialplan: {line}"),
                });
            }
            match self.perform(now, call, action, fx) {
                Some(next) => input = next,
                None => return,
            }
        }
        // nothing would ever wake this call again
        Self::warn(fx, "the dialplan goes in circles: the call is ended");
        self.end_call(now, call, Cause::Congestion, "system: dialplan in circles");
    }

    fn phase(&mut self, call: Key<Call>, phase: Phase) {
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.phase = phase;
        }
    }

    /// Answers the caller unless that is done; tells the dialplan so.
    pub(super) fn answered(&mut self, now: Now, call: Key<Call>) -> bool {
        let answered = self.with_calls(now, |calls, ctx| calls.answer(ctx, call));
        if answered
            && let Some(run) = self
                .routings
                .get_mut(&call)
                .and_then(|routing| routing.run.as_mut())
        {
            run.set_answered();
        }
        answered
    }

    /// Does what a step asks for. `Some` when it is done at once.
    fn perform(
        &mut self,
        now: Now,
        call: Key<Call>,
        action: Action,
        fx: &mut Effects,
    ) -> Option<StepInput> {
        if self.calls_back(call) && !Self::fits_callback(&action) {
            self.end_call(now, call, Cause::Forbidden, "dialplan");
            return None;
        }
        match &action {
            // whoever is transferred to a service of this server has arrived
            Action::Answer
            | Action::Play { .. }
            | Action::Collect { .. }
            | Action::Queue(_)
            | Action::Conference(_)
            | Action::Feature(_) => self.transfer_reached(now, call),
            Action::Ring
            | Action::Wait(_)
            | Action::Pickup(_)
            | Action::Park { .. }
            | Action::Dial(_)
            | Action::Hangup { .. }
            | Action::End => {}
        }
        self.begin_anew(call, &action);
        match action {
            Action::Answer => self.answered(now, call).then_some(StepInput::Done),
            Action::Ring => {
                self.with_calls(now, |calls, ctx| calls.ring(ctx, call));
                Some(StepInput::Done)
            }
            Action::Play {
                files,
                interruptible,
            } => {
                if !self.answered(now, call) {
                    return None;
                }
                let play = self.with_calls(now, |calls, ctx| calls.play(ctx, call, files, false));
                match play {
                    Some(play) => {
                        self.phase(
                            call,
                            Phase::Playing {
                                play,
                                interruptible,
                            },
                        );
                        None
                    }
                    None => Some(StepInput::Failed("the caller has no audio".to_owned())),
                }
            }
            Action::Collect {
                files,
                max_digits,
                timeout,
                digit_timeout,
                terminator,
            } => {
                if !self.answered(now, call) {
                    return None;
                }
                let prompt = if files.is_empty() {
                    None
                } else {
                    self.with_calls(now, |calls, ctx| calls.play(ctx, call, files, false))
                };
                let timer = prompt
                    .is_none()
                    .then(|| self.timers.set(now.mono + timeout, SwitchTimer::Keys(call)));
                self.phase(
                    call,
                    Phase::Keys(Keys {
                        digits: String::new(),
                        max: max_digits,
                        timeout,
                        digit_timeout,
                        terminator,
                        prompt,
                        timer,
                    }),
                );
                None
            }
            Action::Wait(time) => {
                let timer = self.timers.set(now.mono + time, SwitchTimer::Wait(call));
                self.phase(call, Phase::Waiting(timer));
                None
            }
            Action::Dial(dial) => self.dial_through_gates(now, call, dial, fx),
            Action::Queue(queue) => self.enter_queue(now, call, queue),
            Action::Feature(feature) => self
                .toggle_feature(now, call, &feature, fx)
                .or_else(|| self.feature(now, call, feature)),
            Action::Pickup(whose) => self.pickup_step(now, call, whose.as_deref()),
            Action::Park {
                slot,
                timeout,
                music,
            } => self.park_step(now, call, slot, timeout, &music),
            Action::Conference(name) => self.conference_step(now, call, &name),
            Action::Hangup { cause } => {
                self.hang_up(now, call, cause);
                None
            }
            Action::End => {
                self.hang_up(now, call, HangupCause::NORMAL);
                None
            }
        }
    }

    /// The dialplan ends the call.
    fn hang_up(&mut self, now: Now, call: Key<Call>, cause: HangupCause) {
        if self.is_transferring(call) {
            let status = StatusCode::new(cause.status).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
            self.transfer_failed(now, call, status);
            return;
        }
        let cause = match cause {
            HangupCause::NORMAL => Cause::Normal,
            HangupCause::NO_ANSWER => Cause::NoAnswer,
            other => StatusCode::new(other.status).map_or(Cause::Normal, Cause::of_status),
        };
        self.end_call(now, call, cause, "dialplan");
    }

    /// Ends a call for good: its routing stops waiting, its work item leaves, its legs end.
    pub(super) fn end_call(&mut self, now: Now, call: Key<Call>, cause: Cause, by: &str) {
        self.stop_waiting(call);
        self.transfer_dropped(now, call);
        self.callback_ends(call, by);
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.run = None;
            if let Some(item) = routing.work.take() {
                match routing.agent.take() {
                    Some(agent) => self.orders.push_back(AcdCommand::SegmentEnded {
                        item,
                        agent,
                        by: ended_by(by),
                    }),
                    None => self.orders.push_back(AcdCommand::Withdraw {
                        item,
                        cause: match by {
                            "caller" => Withdrawal::CallerHungUp,
                            "operator" => Withdrawal::Api,
                            super::on_command::STOPS => Withdrawal::ProcessRestart,
                            _ => Withdrawal::DialplanLeft(Arc::from(by)),
                        },
                    }),
                }
            }
        }
        self.with_calls(now, |calls, ctx| calls.hangup(ctx, call, cause, by));
    }

    /// Disarms whatever the call waits for.
    pub(super) fn stop_waiting(&mut self, call: Key<Call>) {
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        let timer = match std::mem::replace(&mut routing.phase, Phase::Over) {
            Phase::Keys(keys) => keys.timer,
            Phase::Waiting(timer) => Some(timer),
            Phase::Parked { slot, timer } => {
                self.parked.remove(&slot);
                Some(timer)
            }
            Phase::Ringing(fork) | Phase::Originating { fork, .. } => fork.timer,
            Phase::Running
            | Phase::Playing { .. }
            | Phase::Queued { .. }
            | Phase::Telling { .. }
            | Phase::Bridged
            | Phase::Echo
            | Phase::Conference
            | Phase::Over => None,
        };
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
    }

    /// The dialplan's step: the caller talks with all who are in the conference of that name.
    fn conference_step(&mut self, now: Now, call: Key<Call>, name: &str) -> Option<StepInput> {
        if name.is_empty() {
            return Some(StepInput::Failed("the conference has no name".to_owned()));
        }
        if !self.answered(now, call) {
            return None;
        }
        // the same name is the same conference, whoever asks
        let number = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let part = MixPart::default();
        if self.with_calls(now, |calls, ctx| calls.conference(ctx, call, number, part)) {
            self.phase(call, Phase::Conference);
            None
        } else {
            Some(StepInput::Failed("the caller has no audio".to_owned()))
        }
    }

    /// Feature codes: what agents do from the phone.
    fn feature(&mut self, now: Now, call: Key<Call>, feature: Feature) -> Option<StepInput> {
        if feature == Feature::Echo {
            if self.answered(now, call) {
                self.with_calls(now, |calls, ctx| calls.echo(ctx, call));
                self.phase(call, Phase::Echo);
            }
            return None;
        }
        let endpoint = self.calls.caller(call).map(|leg| leg.endpoint.clone());
        let Some(Endpoint::Extension(agent)) = endpoint else {
            return Some(StepInput::Refused(
                "only an extension can do that".to_owned(),
            ));
        };
        if !self.acd.knows_agent(&agent) {
            return Some(StepInput::Refused(format!("{agent} serves no queue")));
        }
        let order = match feature {
            Feature::QueueLogin(queue) => {
                if queue.is_none() || !self.acd.is_logged_in(&agent) {
                    self.orders.push_back(AcdCommand::Login {
                        agent: agent.clone(),
                    });
                }
                AcdCommand::QueueLogin {
                    agent,
                    queue,
                    on: true,
                }
            }
            Feature::QueueLogout(None) => AcdCommand::Logout { agent },
            Feature::QueueLogout(queue) => AcdCommand::QueueLogin {
                agent,
                queue,
                on: false,
            },
            Feature::Ready => AcdCommand::SetStatus {
                agent,
                status: AgentStatus::Ready,
            },
            Feature::NotReady(reason) => AcdCommand::SetStatus {
                agent,
                status: AgentStatus::NotReady { reason },
            },
            Feature::EndWrap => AcdCommand::EndWrap {
                agent,
                by: WrapEndedBy::Agent,
            },
            Feature::Echo | Feature::Time | Feature::DoNotDisturb(_) | Feature::Ring(_) => {
                return Some(StepInput::Done);
            }
        };
        self.orders.push_back(order);
        Some(StepInput::Done)
    }

    pub(super) fn on_call_output(&mut self, now: Now, output: CallOutput, fx: &mut Effects) {
        match output {
            CallOutput::Media(command) => fx.push(super::effect::Effect::Media(command)),
            CallOutput::Event(event) => self.on_call_event(now, event, fx),
            CallOutput::Fact(fact) => {
                self.watch_fact(now, &fact);
                self.publish(now, Fact::Call(fact), fx);
            }
            CallOutput::Opened(record) => Self::journal(fx, Record::CallOpened(record)),
            CallOutput::Answered { id, at } => Self::journal(fx, Record::CallAnswered { id, at }),
            CallOutput::Closed(record) => Self::journal(fx, Record::CallClosed(record)),
            CallOutput::Warn(text) => Self::warn(fx, text),
        }
    }

    fn on_call_event(&mut self, now: Now, event: CallEvent, fx: &mut Effects) {
        match event {
            CallEvent::Ringing { call, leg } => self.on_ringing(now, call, leg),
            CallEvent::LegAnswered { call, leg } => self.on_leg_answered(now, call, leg, fx),
            CallEvent::LegFailed {
                call,
                leg,
                role,
                endpoint,
                flow,
                status,
                dead,
            } => {
                let lost = dead || matches!(status.as_u16(), 408 | 430 | 480);
                // what was to be done about a redirection is done: what is left is that nobody was reached there
                let status = match status.is_redirect() {
                    true => StatusCode::TEMPORARILY_UNAVAILABLE,
                    false => status,
                };
                if lost
                    && role != Role::Caller
                    && let Endpoint::Extension(extension) = &endpoint
                {
                    self.mark_unhealthy(now, extension, flow);
                }
                if let Some(timer) = self.silences.remove(&leg) {
                    self.timers.cancel(timer);
                }
                if dead && let Endpoint::Trunk(trunk) = &endpoint {
                    self.trunk_failed(now, trunk, flow.remote, fx);
                }
                match role {
                    Role::Agent => self.on_agent_leg_failed(now, call, leg, status, dead),
                    Role::Callee | Role::Caller => {
                        self.on_branch_failed(now, call, leg, status, fx)
                    }
                }
            }
            CallEvent::FlowFailed { endpoint, flow } => {
                if let Endpoint::Extension(extension) = &endpoint {
                    self.mark_unhealthy(now, extension, flow);
                }
            }
            CallEvent::LegEnded {
                call,
                leg,
                role,
                cause,
            } => self.on_leg_ended(now, call, leg, role, cause),
            CallEvent::Redirected {
                call,
                leg,
                endpoint,
                flow,
                status,
                rang,
                to,
            } => {
                let moved = Moved {
                    call,
                    leg,
                    endpoint,
                    flow,
                    status,
                    rang,
                    to,
                };
                self.on_redirected(now, &moved, fx);
            }
            CallEvent::Refer { call, leg, to } => self.on_refer(now, call, leg, &to, fx),
            CallEvent::TransferorGone { call, leg } => self.on_transferor_gone(now, call, leg),
            CallEvent::CallerGone { call } => {
                self.end_call(now, call, Cause::CallerGone, "caller");
            }
            CallEvent::Digit { call, digit } => self.on_digit(now, call, digit, fx),
            CallEvent::PlayEnded { call, play } => self.on_play_ended(now, call, play, fx),
            CallEvent::Closed { call } => {
                self.stop_waiting(call);
                let routing = self.routings.remove(&call);
                if let Some(timer) = routing.and_then(|routing| routing.callback_offer) {
                    self.timers.cancel(timer);
                }
                let gone: Vec<_> = self
                    .offers
                    .iter()
                    .filter(|(_, offer)| offer.call == call)
                    .map(|(id, _)| *id)
                    .collect();
                for offer in gone {
                    self.offers.remove(&offer);
                }
            }
        }
    }

    /// An answered leg is over: the coupling table. Whoever leaves a bridge ends it.
    fn on_leg_ended(
        &mut self,
        now: Now,
        call: Key<Call>,
        leg: Key<crate::call::Leg>,
        role: Role,
        cause: Cause,
    ) {
        let by = match (role, cause) {
            (_, Cause::MediaLost) => "system: media lost",
            (_, Cause::PeerLost) => "system: peer lost",
            (_, Cause::SessionExpired) => "system: session timer expired",
            (_, Cause::Congestion) => "system: no audio port",
            (Role::Caller, _) => "caller",
            (Role::Callee, _) => "callee",
            (Role::Agent, _) => "agent",
        };
        if role == Role::Agent && self.on_agent_leg_ended(now, leg) {
            return;
        }
        self.end_call(now, call, cause, by);
    }

    fn on_digit(&mut self, now: Now, call: Key<Call>, digit: char, fx: &mut Effects) {
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        match &mut routing.phase {
            Phase::Playing {
                interruptible: true,
                ..
            } => {
                routing.phase = Phase::Running;
                self.with_calls(now, |calls, ctx| calls.stop(ctx, call));
                self.drive(now, call, StepInput::Digits(digit.to_string()), fx);
            }
            Phase::Keys(keys) => {
                let prompt = keys.prompt.take().is_some();
                if let Some(timer) = keys.timer.take() {
                    self.timers.cancel(timer);
                }
                let done = keys.terminator == Some(digit);
                if !done {
                    keys.digits.push(digit);
                }
                if done || keys.digits.len() >= usize::from(keys.max) {
                    let digits = std::mem::take(&mut keys.digits);
                    routing.phase = Phase::Running;
                    if prompt {
                        self.with_calls(now, |calls, ctx| calls.stop(ctx, call));
                    }
                    let input = if digits.is_empty() {
                        StepInput::NoDigits
                    } else {
                        StepInput::Digits(digits)
                    };
                    self.drive(now, call, input, fx);
                } else {
                    let due = now.mono + keys.digit_timeout;
                    keys.timer = Some(self.timers.set(due, SwitchTimer::Keys(call)));
                    if prompt {
                        self.with_calls(now, |calls, ctx| calls.stop(ctx, call));
                    }
                }
            }
            Phase::Queued { .. } => self.on_key_in_queue(now, call, digit),
            Phase::Running
            | Phase::Playing { .. }
            | Phase::Waiting(_)
            | Phase::Ringing(_)
            | Phase::Originating { .. }
            | Phase::Telling { .. }
            | Phase::Parked { .. }
            | Phase::Bridged
            | Phase::Echo
            | Phase::Conference
            | Phase::Over => {}
        }
    }

    fn on_play_ended(&mut self, now: Now, call: Key<Call>, ended: u32, fx: &mut Effects) {
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        match &mut routing.phase {
            Phase::Playing { play, .. } if *play == ended => {
                routing.phase = Phase::Running;
                self.drive(now, call, StepInput::Done, fx);
            }
            Phase::Keys(keys) if keys.prompt == Some(ended) => {
                keys.prompt = None;
                let due = now.mono + keys.timeout;
                keys.timer = Some(self.timers.set(due, SwitchTimer::Keys(call)));
            }
            Phase::Telling { play, then } if *play == ended => {
                let then = *then;
                routing.phase = Phase::Running;
                self.on_told(now, call, then, fx);
            }
            Phase::Queued { announcing } if *announcing == Some(ended) => {
                *announcing = None;
                self.play_music(now, call);
            }
            _ => {}
        }
    }

    /// The dialplan goes on after a dial step that reached nobody.
    pub(super) fn dial_ended(
        &mut self,
        now: Now,
        call: Key<Call>,
        outcome: DialOutcome,
        fx: &mut Effects,
    ) {
        self.phase(call, Phase::Running);
        self.note_failed(call, outcome);
        self.customer_not_reached(call, outcome);
        self.with_calls(now, |calls, ctx| calls.stop(ctx, call));
        self.drive(now, call, StepInput::DialEnded(outcome), fx);
    }

    /// The dialplan goes on after the queue let the caller go unserved.
    pub(super) fn queue_left(
        &mut self,
        now: Now,
        call: Key<Call>,
        exit: QueueExit,
        fx: &mut Effects,
    ) {
        self.phase(call, Phase::Running);
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.work = None;
        }
        self.with_calls(now, |calls, ctx| calls.stop(ctx, call));
        self.drive(now, call, StepInput::QueueLeft(exit), fx);
    }
}

pub(super) fn ended_by(by: &str) -> EndedBy {
    match by {
        // a callback's customer is the one who was called
        "caller" | "callee" => EndedBy::Customer,
        "agent" => EndedBy::Agent,
        _ => EndedBy::System,
    }
}
