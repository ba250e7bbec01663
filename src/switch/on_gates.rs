//! Asks the gates before a number leaves the house: for callbacks and for calls that programs order always, for people where the route says so.
//!
//! What they said is in the call's record, on the event stream, and shown by `why` and `calls ID`. Who is on the line is told in words when a
//! number is denied, and gives its PIN by keys when one is asked for.

use std::sync::Arc;

use super::command::Refusal;
use super::core::Switch;
use super::effect::Effects;
use super::record::{Fact, Record};
use super::routing::{Keys, Phase, PinAsked, SwitchTimer, Then};
use crate::base::{Duration, Key, Now};
use crate::call::{Call, Endpoint};
use crate::dialplan::{DialAction, DialOutcome, DialTarget, StepInput};
use crate::directory::e164;
use crate::event::{Gate, GateRecord, Purpose, Said};
use crate::outbound::{Channel, PinAnswer, Question, Stage};

/// Records that a call keeps: a dialplan may try many numbers.
const RECORDS_MAX: usize = 32;
/// Longest PIN.
const PIN_DIGITS: u8 = 12;
/// From the prompt to the first digit of a PIN, and between digits.
const PIN_PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// What is told to whoever is on the line, by the gate that denied.
fn words(gate: Gate) -> &'static str {
    match gate {
        Gate::Emergency | Gate::Number | Gate::Recording => "not-allowed",
        Gate::DoNotCall => "not-allowed-do-not-call",
        Gate::BlackList | Gate::WhiteList => "not-allowed-list",
        Gate::Country => "not-allowed-country",
        Gate::Pin => "pin-locked",
        Gate::Hours => "not-allowed-hours",
        Gate::PresentedNumber => "not-allowed-presented-number",
        Gate::Attempts => "not-allowed-attempts",
        Gate::Channel => "not-allowed-channel",
    }
}

/// What this gate denies it may allow later.
fn passes(gate: Gate) -> bool {
    matches!(gate, Gate::Hours | Gate::Attempts | Gate::Channel)
}

impl Switch {
    /// Why the number of a dial step is called, when the gates are to be asked.
    fn purpose(&self, call: Key<Call>, dial: &DialAction) -> Option<Purpose> {
        let routing = self.routings.get(&call)?;
        if routing.callback.is_some() {
            return Some(Purpose::Callback);
        }
        if routing.ordered {
            return Some(Purpose::ClickToDial);
        }
        dial.gates.then_some(Purpose::Route)
    }

    /// A dial step: what the gates deny is left out, and when that is all, the step has failed. `Some` when it is over at once.
    pub(super) fn dial_through_gates(
        &mut self,
        now: Now,
        call: Key<Call>,
        mut dial: DialAction,
        fx: &mut Effects,
    ) -> Option<StepInput> {
        let Some(purpose) = self.purpose(call, &dial) else {
            return self.dial_step(now, call, dial);
        };
        let mut denied: Option<GateRecord> = None;
        let mut targets = Vec::with_capacity(dial.targets.len());
        let mut numbers = Vec::new();
        for target in &dial.targets {
            let DialTarget::Trunk { number, trunks } = target else {
                targets.push(target.clone());
                continue;
            };
            let record = self.ask_gates(now, call, purpose, (number, trunks), &dial);
            let verdict = record.verdict;
            self.note_gates(now, Some(call), &record, fx);
            match verdict {
                Said::Allow => {
                    if record.answers.len() > 1 {
                        numbers.push(number.clone());
                    }
                    targets.push(target.clone());
                }
                Said::Deny => {
                    denied.get_or_insert(record);
                }
                Said::Ask => {
                    self.ask_pin(now, call, dial, &["pin-please"]);
                    return None;
                }
            }
        }
        if let (true, Some(record)) = (targets.is_empty(), denied) {
            return self.gates_deny(now, call, &record);
        }
        for number in numbers {
            if let Some(record) = self.outbound.called(now.wall, &number) {
                Self::journal(fx, Record::Outbound(record));
            }
        }
        dial.targets = targets;
        self.dial_step(now, call, dial)
    }

    /// The step itself.
    fn dial_step(&mut self, now: Now, call: Key<Call>, dial: DialAction) -> Option<StepInput> {
        let ended = self.dial(now, call, dial);
        if let Some(StepInput::DialEnded(outcome)) = ended {
            self.note_failed(call, outcome);
            self.customer_not_reached(call, outcome);
        }
        ended
    }

    fn ask_gates(
        &mut self,
        now: Now,
        call: Key<Call>,
        purpose: Purpose,
        (number, trunks): (&Arc<str>, &[Arc<str>]),
        dial: &DialAction,
    ) -> GateRecord {
        let (channel, presented) =
            self.ways_out(now, call, trunks, dial.caller_id.as_deref(), purpose);
        let by = match self.calls.caller(call).map(|leg| &leg.endpoint) {
            Some(Endpoint::Extension(extension)) => Some(extension.clone()),
            _ => None,
        };
        let routing = self.routings.get(&call);
        let callback = routing.and_then(|routing| routing.callback.as_ref());
        let work = callback.and_then(|of| self.offers.get(&of.offer).map(|offer| offer.item));
        let queue = routing.and_then(|of| of.queue.clone().filter(|_| of.callback.is_some()));
        let pin_given = dial
            .pin
            .as_ref()
            .is_some_and(|pin| routing.is_some_and(|of| of.pins.contains(pin)));
        let question = Question {
            stage: Stage::Leaving,
            number,
            purpose,
            by: by.as_ref(),
            queue: queue.as_deref(),
            call: self.calls.call(call).map(|call| call.id),
            work,
            pin: dial.pin.as_deref(),
            pin_given,
            recorded: false,
            presented: &presented,
            channel,
        };
        self.outbound.ask(now.wall, &question)
    }

    /// Whether a trunk can carry the call, and the numbers that those which might would present.
    fn ways_out(
        &mut self,
        now: Now,
        call: Key<Call>,
        names: &[Arc<str>],
        caller_id: Option<&str>,
        purpose: Purpose,
    ) -> (Channel, Vec<Arc<str>>) {
        let trunks: Vec<_> = match names.is_empty() {
            true => self.settings.trunks().cloned().collect(),
            false => names
                .iter()
                .filter_map(|name| self.settings.trunk(name).cloned())
                .collect(),
        };
        let mut channel = Channel::NoTrunk;
        let mut presented = Vec::new();
        for trunk in trunks {
            if self.trunks.ways(now, &trunk.name).is_empty() {
                continue;
            }
            let number = self
                .presented_by(call, &trunk, caller_id)
                .unwrap_or_default();
            if !presented.contains(&number) {
                presented.push(number);
            }
            // a callback waits at its place in the queue, not with an agent on the line
            let may_wait = !trunk.wait.is_zero() && purpose != Purpose::Callback;
            channel = match (channel, self.trunk_has_room(&trunk.name)) {
                (Channel::Free, _) | (_, true) => Channel::Free,
                (Channel::Waits, false) => Channel::Waits,
                (Channel::None | Channel::NoTrunk, false) if may_wait => Channel::Waits,
                (Channel::None | Channel::NoTrunk, false) => Channel::None,
            };
        }
        (channel, presented)
    }

    /// What the gates said goes into the record of the call, on the event stream, and is kept for `why`.
    fn note_gates(
        &mut self,
        now: Now,
        call: Option<Key<Call>>,
        record: &GateRecord,
        fx: &mut Effects,
    ) {
        if let Some(open) = call.and_then(|call| self.calls.call_mut(call))
            && open.record.gates.len() < RECORDS_MAX
        {
            open.record.gates.push(record.clone());
        }
        self.outbound.keep(record.clone());
        self.publish(now, Fact::Gates(Box::new(record.clone())), fx);
    }

    /// A number may not be called. Whoever is on the line is told, then the dialplan goes on.
    fn gates_deny(&mut self, now: Now, call: Key<Call>, record: &GateRecord) -> Option<StepInput> {
        let gate = record.decided().map_or(Gate::Number, |answer| answer.gate);
        if let Some(routing) = self.routings.get_mut(&call) {
            if let Some(callback) = routing.callback.as_mut() {
                callback.outcome = Some(DialOutcome::NotAllowed);
                callback.not_now = passes(gate).then_some(record.not_before);
            }
            if let Some(run) = routing.run.as_mut() {
                run.set_variable("gate", gate.as_str());
            }
        }
        let answered = self.calls.caller(call).is_some_and(|leg| leg.is_answered());
        if answered {
            let files = vec![Arc::from(words(gate))];
            let play = self.with_calls(now, |calls, ctx| calls.play(ctx, call, files, false));
            if let (Some(play), Some(routing)) = (play, self.routings.get_mut(&call)) {
                let then = Then::NotAllowed;
                routing.phase = Phase::Telling { play, then };
                return None;
            }
        }
        self.note_failed(call, DialOutcome::NotAllowed);
        Some(StepInput::DialEnded(DialOutcome::NotAllowed))
    }

    /// Asks whoever is on the line for the PIN of a dial step.
    fn ask_pin(&mut self, now: Now, call: Key<Call>, dial: DialAction, files: &[&str]) {
        if !self.answered(now, call) {
            return;
        }
        let files = files.iter().copied().map(Arc::from).collect();
        let prompt = self.with_calls(now, |calls, ctx| calls.play(ctx, call, files, false));
        let (timeout, digit_timeout) = PIN_PATIENCE;
        let timer = prompt
            .is_none()
            .then(|| self.timers.set(now.mono + timeout, SwitchTimer::Keys(call)));
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.pin_asked = Some(PinAsked {
                dial: Box::new(dial),
            });
            routing.phase = Phase::Keys(Keys {
                digits: String::new(),
                max: PIN_DIGITS,
                timeout,
                digit_timeout,
                terminator: Some('#'),
                prompt,
                timer,
            });
        }
    }

    /// What goes into the dialplan, unless it is the PIN for which a gate has asked: that is tried, and the step goes on or asks again.
    pub(super) fn pin_or(
        &mut self,
        now: Now,
        call: Key<Call>,
        input: StepInput,
        fx: &mut Effects,
    ) -> Option<StepInput> {
        let asked = self
            .routings
            .get_mut(&call)
            .and_then(|routing| routing.pin_asked.take());
        let Some(PinAsked { dial }) = asked else {
            return Some(input);
        };
        let digits = match &input {
            StepInput::Digits(digits) => digits.as_str(),
            StepInput::NoDigits => "",
            _ => return Some(input),
        };
        let extension = match self.calls.caller(call).map(|leg| &leg.endpoint) {
            Some(Endpoint::Extension(extension)) => extension.clone(),
            _ => return Some(StepInput::DialEnded(DialOutcome::NotAllowed)),
        };
        let pin = dial.pin.clone().unwrap_or_default();
        let (answer, record) = self.outbound.give_pin(now.wall, &extension, &pin, digits);
        if let Some(record) = record {
            Self::journal(fx, Record::Outbound(record));
        }
        match answer {
            PinAnswer::Right => {
                if let Some(routing) = self.routings.get_mut(&call) {
                    routing.pins.insert(pin);
                }
                self.dial_through_gates(now, call, *dial, fx)
            }
            PinAnswer::Wrong => {
                self.ask_pin(now, call, *dial, &["pin-wrong", "pin-please"]);
                None
            }
            PinAnswer::Locked(until) => {
                Self::warn(
                    fx,
                    format!(
                        "extension {extension}: too many wrong PINs `{pin}`, none is taken until {until}"
                    ),
                );
                // the gate says so
                self.dial_through_gates(now, call, *dial, fx)
            }
        }
    }

    /// A program orders a call: what is known of the number already is asked before anybody's phone rings.
    pub(super) fn may_order(
        &mut self,
        now: Now,
        from: &Arc<str>,
        to: &str,
        fx: &mut Effects,
    ) -> Result<(), Refusal> {
        // what is no whole number yet is made one by the dialplan, and one of ours leads to a person here; the gates are asked of what leaves
        let Some(number) = e164(to).filter(|number| {
            let mut users = self.settings.directory.users();
            !users.any(|user| user.number.as_deref() == Some(number))
        }) else {
            return Ok(());
        };
        let question = Question::ordered(&number, Some(from));
        let record = self.outbound.ask(now.wall, &question);
        if record.verdict == Said::Allow {
            // it is asked again, of all gates, when the call leaves
            return Ok(());
        }
        self.note_gates(now, None, &record, fx);
        Err(Refusal::forbidden(
            "gate_denied",
            format!("{} may not be called: {record}", record.number),
        ))
    }
}
