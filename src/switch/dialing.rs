//! A dial step: from targets to legs, waves of them, and the outcome.

use std::collections::VecDeque;
use std::sync::Arc;

use super::core::Switch;
use super::effect::Effects;
use super::routing::{Branch, Fork, Phase, Routing, SwitchTimer};
use crate::base::{Duration, Key, Now};
use crate::call::{Call, Cause, Endpoint, Leg, LegSpec, Role};
use crate::dialplan::{CallFacts, DialAction, DialMode, DialOutcome, DialTarget, Run, StepInput};
use crate::event::{Direction, Party};
use crate::registrar::{Binding, Target};
use crate::sip::{Name, StatusCode};
use crate::transport::Way;

/// How long the devices of an extension ring for a call that a program asked for.
const ORIGINATE_RINGS: Duration = Duration::from_secs(30);

impl Switch {
    /// Begins a dial step. `Some` when nobody can be rung at all.
    pub(super) fn dial(
        &mut self,
        now: Now,
        call: Key<Call>,
        action: DialAction,
    ) -> Option<StepInput> {
        let mut best = None;
        let mut waves: VecDeque<Vec<Branch>> = VecDeque::new();
        let mut all = Vec::new();
        for target in &action.targets {
            let branches = match self.branches(now, call, target, action.caller_id.as_deref()) {
                Ok(mut branches) => {
                    if action.auto_answer {
                        self.ask_to_answer(call, &mut branches);
                    }
                    branches
                }
                Err(status) => {
                    best = better(best, status);
                    continue;
                }
            };
            match action.mode {
                DialMode::Parallel => all.extend(branches),
                DialMode::Serial => waves.push_back(branches),
                DialMode::First => {
                    if waves.is_empty() {
                        waves.push_back(branches);
                    }
                }
            }
        }
        if !all.is_empty() {
            waves.push_back(all);
        }
        let fork = Fork {
            timeout: action.timeout,
            waves,
            ringing: Vec::new(),
            held: Vec::new(),
            best,
            timed_out: false,
            rang: false,
            music: action.music,
            timer: None,
        };
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.phase = Phase::Ringing(fork);
        }
        if self.next_wave(now, call) {
            return None;
        }
        let outcome = self
            .take_fork(call)
            .map_or(DialOutcome::Unreachable, |fork| outcome(&fork));
        Some(StepInput::DialEnded(outcome))
    }

    pub(super) fn fork(&mut self, call: Key<Call>) -> Option<&mut Fork> {
        match &mut self.routings.get_mut(&call)?.phase {
            Phase::Ringing(fork) | Phase::Originating { fork, .. } => Some(fork),
            _ => None,
        }
    }

    fn take_fork(&mut self, call: Key<Call>) -> Option<Fork> {
        let routing = self.routings.get_mut(&call)?;
        match std::mem::replace(&mut routing.phase, Phase::Running) {
            Phase::Ringing(fork) | Phase::Originating { fork, .. } => {
                if let Some(timer) = fork.timer {
                    self.timers.cancel(timer);
                }
                Some(fork)
            }
            other => {
                routing.phase = other;
                None
            }
        }
    }

    /// Rings the next wave that can be rung; false when none is left.
    pub(super) fn next_wave(&mut self, now: Now, call: Key<Call>) -> bool {
        loop {
            let Some(wave) = self.fork(call).and_then(|fork| fork.waves.pop_front()) else {
                return false;
            };
            self.calls.spread(call, wave.len());
            for branch in wave {
                self.try_ways(now, call, branch, false);
            }
            let Some(fork) = self.fork(call) else {
                return false;
            };
            if !fork.ringing.is_empty() || !fork.held.is_empty() {
                let due = now.mono + fork.timeout;
                let before = fork.timer.take();
                if let Some(timer) = before {
                    self.timers.cancel(timer);
                }
                let timer = self.timers.set(due, SwitchTimer::Ring(call));
                if let Some(fork) = self.fork(call) {
                    fork.timer = Some(timer);
                }
                return true;
            }
        }
    }

    /// Dials the first way of a branch that can be dialled. When only trunks without room are left, it waits for one of them.
    /// `waited` says that it did, and that its turn has come.
    pub(super) fn try_ways(&mut self, now: Now, call: Key<Call>, mut branch: Branch, waited: bool) {
        let mut full = VecDeque::new();
        while let Some(spec) = branch.ways.pop_front() {
            if let Endpoint::Trunk(trunk) = &spec.endpoint
                && ((!waited && self.is_waited_for(trunk)) || !self.trunk_takes(now, trunk))
            {
                full.push_back(spec);
                continue;
            }
            match self.with_calls(now, |calls, ctx| calls.dial(ctx, call, spec)) {
                Ok(leg) => {
                    self.watch_gateway(now, leg);
                    // should this one fail, those without room may have it by then
                    branch.ways.extend(full);
                    branch.until = None;
                    if let Some(fork) = self.fork(call) {
                        fork.ringing.push((leg, branch));
                    }
                    return;
                }
                Err(status) => {
                    if let Some(fork) = self.fork(call) {
                        fork.best = better(fork.best, status);
                    }
                }
            }
        }
        branch.ways = full;
        if branch.ways.is_empty() || self.hold(now, call, branch).is_ok() {
            return;
        }
        self.no_room(call);
    }

    /// The legs that a target means.
    pub(super) fn branches(
        &mut self,
        now: Now,
        call: Key<Call>,
        target: &DialTarget,
        caller_id: Option<&str>,
    ) -> Result<Vec<Branch>, StatusCode> {
        match target {
            DialTarget::Extension(extension) => {
                let user = self
                    .settings
                    .directory
                    .user(extension)
                    .cloned()
                    .ok_or(StatusCode::NOT_FOUND)?;
                let (live, _) = self.calls.live_on(extension);
                if live >= user.max_concurrent_calls as usize {
                    return Err(StatusCode::BUSY_HERE);
                }
                if self.toggles.do_not_disturb(extension) {
                    return Err(StatusCode::BUSY_HERE);
                }
                let specs = self.device_specs(now, call, &user.extension, Role::Callee);
                if specs.is_empty() {
                    return Err(StatusCode::TEMPORARILY_UNAVAILABLE);
                }
                Ok(specs
                    .into_iter()
                    .map(|spec| Branch {
                        ways: VecDeque::from([spec]),
                        until: None,
                    })
                    .collect())
            }
            DialTarget::Trunk { number, trunks } => {
                let ways = self.trunk_specs(now, call, number, trunks, caller_id);
                if ways.is_empty() {
                    return Err(StatusCode::SERVICE_UNAVAILABLE);
                }
                if let Some(call) = self.calls.call_mut(call)
                    && call.record.direction == Direction::Internal
                {
                    call.record.direction = Direction::Outbound;
                }
                Ok(vec![Branch {
                    ways: ways.into(),
                    until: None,
                }])
            }
            DialTarget::Uri(_) => Err(StatusCode::FORBIDDEN),
        }
    }

    /// One leg for each ringable device of an extension.
    pub(super) fn device_specs(
        &self,
        now: Now,
        call: Key<Call>,
        extension: &Arc<str>,
        role: Role,
    ) -> Vec<LegSpec> {
        let on = |binding: &Binding| self.device_rings(extension, binding);
        self.specs_to(now, call, extension, role, on)
    }

    /// One leg for each of those that `wanted` wants; the several flows of a device are ways of one leg.
    pub(super) fn specs_to(
        &self,
        now: Now,
        call: Key<Call>,
        extension: &Arc<str>,
        role: Role,
        wanted: impl Fn(&Binding) -> bool,
    ) -> Vec<LegSpec> {
        let domain = &self.settings.server.domain;
        let aor = self.aor(extension);
        let name = self
            .settings
            .directory
            .user(extension)
            .map(|user| user.name.clone());
        let (number, display) = match self.calls.call(call) {
            Some(open) if role != Role::Caller => {
                let party = self.calls.calling_party(call);
                let party = party.unwrap_or_else(|| open.record.from.clone());
                (party.number, party.name)
            }
            Some(call) => (call.record.to.number.clone(), call.record.to.name.clone()),
            None => return Vec::new(),
        };
        let mut extra = self.diverted_before(call, false);
        extra.extend(self.referred_by(call));
        let caller_trunk = self
            .calls
            .caller(call)
            .is_some_and(|leg| matches!(leg.endpoint, Endpoint::Trunk(_)) && !leg.private);
        let spec = |target: &Target<'_>| {
            let binding = target.first().filter(|binding| wanted(binding))?;
            let Way {
                flow,
                request_uri,
                routes,
            } = binding.way();
            Some(LegSpec {
                role,
                party: Party {
                    number: extension.clone(),
                    name: name.clone(),
                    trunk: None,
                },
                endpoint: Endpoint::Extension(extension.clone()),
                flow,
                request_uri,
                to: format!("<sip:{}@{domain}>", uri_user(extension)),
                from: format!(
                    "{}<sip:{}@{domain}>",
                    display_text(display.as_deref()),
                    uri_user(&number)
                ),
                contact_user: Arc::from(uri_user(&number)),
                route: routes,
                headers: extra
                    .iter()
                    .cloned()
                    .chain(if caller_trunk {
                        vec![(
                            Name::PAssertedIdentity,
                            format!(
                                "{}<sip:{}@{domain}>",
                                display_text(display.as_deref()),
                                uri_user(&number)
                            ),
                        )]
                    } else {
                        Vec::new()
                    })
                    .collect(),
                login: None,
                device: Some(binding.device()),
                otherwise: target.iter().skip(1).map(|other| other.way()).collect(),
            })
        };
        let targets = self.registrar.targets(now, &aor);
        targets.iter().filter_map(spec).collect()
    }

    pub(super) fn on_ringing(&mut self, now: Now, call: Key<Call>, leg: Key<Leg>) {
        let role = self.calls.leg(leg).map(|leg| leg.role);
        if role == Some(Role::Agent) {
            self.on_agent_ringing(leg);
            return;
        }
        let Some(fork) = self.fork(call) else { return };
        let first = !std::mem::replace(&mut fork.rang, true);
        let music = fork.music.clone();
        if first && role == Some(Role::Callee) {
            self.transfer_rings(now, call);
        }
        if role == Some(Role::Caller) || !first {
            return;
        }
        let answered = self
            .calls
            .caller(call)
            .is_some_and(crate::call::Leg::is_answered);
        if answered {
            let file = match music {
                Some(music) => super::on_queue::music_file(&music),
                // a transferee has heard it from the beginning
                None if self.is_transferring(call) => None,
                None => Some(Arc::from("tones/ringback")),
            };
            if let Some(file) = file {
                self.with_calls(now, |calls, ctx| calls.play(ctx, call, vec![file], true));
            }
        } else {
            self.with_calls(now, |calls, ctx| calls.ring(ctx, call));
        }
    }

    pub(super) fn on_leg_answered(
        &mut self,
        now: Now,
        call: Key<Call>,
        leg: Key<Leg>,
        fx: &mut Effects,
    ) {
        let role = self.calls.leg(leg).map(|leg| leg.role);
        match role {
            Some(Role::Agent) => self.on_agent_answered(now, leg),
            Some(Role::Caller) => self.on_originator_answered(now, call, leg, fx),
            Some(Role::Callee) => {
                let ringing = self
                    .fork(call)
                    .is_some_and(|fork| fork.ringing.iter().any(|(other, _)| *other == leg));
                if !ringing {
                    self.with_calls(now, |calls, ctx| {
                        calls.end_leg(ctx, leg, Cause::AnsweredElsewhere);
                    });
                    return;
                }
                self.take_fork(call);
                if let Some(routing) = self.routings.get_mut(&call) {
                    routing.phase = Phase::Bridged;
                    routing.run = None;
                    routing.ordered = false;
                }
                let connected = self.with_calls(now, |calls, ctx| calls.connect(ctx, call, leg));
                if connected {
                    self.transfer_reached(now, call);
                    self.customer_reached(call);
                } else {
                    self.customer_not_reached(call, DialOutcome::Failed(488));
                    self.end_call(now, call, Cause::NotAcceptable, "system: no common codec");
                }
            }
            None => {}
        }
    }

    /// A leg of a fork did not come to be: its next way, the next wave, or the end of the step.
    pub(super) fn on_branch_failed(
        &mut self,
        now: Now,
        call: Key<Call>,
        leg: Key<Leg>,
        status: StatusCode,
        fx: &mut Effects,
    ) {
        let Some(fork) = self.fork(call) else { return };
        let Some(at) = fork.ringing.iter().position(|(other, _)| *other == leg) else {
            return;
        };
        let (_, branch) = fork.ringing.remove(at);
        // the next gateway may do better when this one is overloaded or dead, not when the called person has spoken
        if !branch.ways.is_empty() && crate::trunk::of_status(status.as_u16()).next {
            self.try_ways(now, call, branch, false);
        } else {
            fork.best = better(fork.best, status);
        }
        let Some(fork) = self.fork(call) else { return };
        // 6xx speaks for the called person everywhere (RFC 3261 §16.7 step 5)
        if status.is_global_failure() {
            let rest: Vec<Key<Leg>> = fork.ringing.drain(..).map(|(leg, _)| leg).collect();
            fork.waves.clear();
            fork.held.clear();
            for leg in rest {
                self.with_calls(now, |calls, ctx| calls.end_leg(ctx, leg, Cause::Normal));
            }
        }
        let Some(fork) = self.fork(call) else { return };
        if fork.ringing.is_empty() && fork.held.is_empty() {
            self.wave_failed(now, call, fx);
        }
    }

    /// A wave has rung long enough.
    pub(super) fn on_ring_timeout(&mut self, now: Now, call: Key<Call>, fx: &mut Effects) {
        let Some(fork) = self.fork(call) else { return };
        fork.timer = None;
        fork.timed_out = true;
        fork.held.clear();
        let rest: Vec<Key<Leg>> = fork.ringing.drain(..).map(|(leg, _)| leg).collect();
        for leg in rest {
            self.with_calls(now, |calls, ctx| calls.end_leg(ctx, leg, Cause::NoAnswer));
        }
        self.wave_failed(now, call, fx);
    }

    pub(super) fn fork_over(&mut self, now: Now, call: Key<Call>, fx: &mut Effects) {
        let originating = self
            .routings
            .get(&call)
            .is_some_and(|routing| matches!(routing.phase, Phase::Originating { .. }));
        let Some(fork) = self.take_fork(call) else {
            return;
        };
        let dialplan = self.routings.get(&call).is_some_and(|r| r.run.is_some());
        if originating {
            self.end_call(
                now,
                call,
                Cause::NoAnswer,
                "system: the caller's devices did not answer",
            );
        } else if self.is_recalling(call) {
            self.end_call(
                now,
                call,
                Cause::NoAnswer,
                "system: nobody took the transferred call back",
            );
        } else if !dialplan {
            self.device_did_not_answer(now, call, &fork);
        } else {
            self.dial_ended(now, call, outcome(&fork), fx);
        }
    }

    /// A program asks for a call: the extension's own devices ring first.
    pub(super) fn originate(
        &mut self,
        now: Now,
        from: &Arc<str>,
        to: &Arc<str>,
    ) -> Result<Key<Call>, super::Refusal> {
        use super::Refusal;
        let user = self
            .settings
            .directory
            .user(from)
            .cloned()
            .ok_or_else(|| Refusal::not_found("extension", from))?;
        if !self.takes_calls() {
            return Err(Refusal::unavailable(
                "not_taking_calls",
                "the server takes no new calls now",
            ));
        }
        let (live, _) = self.calls.live_on(from);
        if live >= user.max_concurrent_calls as usize {
            return Err(Refusal::conflict(
                "agent_busy",
                format!(
                    "extension {from} has {live} calls, its limit is {}",
                    user.max_concurrent_calls
                ),
            ));
        }
        let party = |number: &Arc<str>, name: Option<Arc<str>>| Party {
            number: number.clone(),
            name,
            trunk: None,
        };
        let call = self.with_calls(now, |calls, ctx| {
            calls.open_call(
                ctx,
                Direction::Internal,
                party(from, Some(user.name.clone())),
                party(to, None),
            )
        });
        let wave: Vec<Branch> = self
            .device_specs(now, call, from, Role::Caller)
            .into_iter()
            .map(|spec| Branch {
                ways: VecDeque::from([spec]),
                until: None,
            })
            .collect();
        let none = wave.is_empty();
        let mut routing = Routing::new(None);
        routing.ordered = true;
        routing.phase = Phase::Originating {
            to: to.clone(),
            fork: Fork {
                timeout: ORIGINATE_RINGS,
                waves: VecDeque::from([wave]),
                ringing: Vec::new(),
                held: Vec::new(),
                best: None,
                timed_out: false,
                rang: false,
                music: None,
                timer: None,
            },
        };
        self.routings.insert(call, routing);
        if none || !self.next_wave(now, call) {
            self.end_call(now, call, Cause::Unavailable, "system: no device");
            return Err(Refusal::conflict(
                "no_device",
                format!("extension {from} has no registered device; activate a device first"),
            ));
        }
        Ok(call)
    }

    /// The one who asked for the call is on the line: now the dialplan runs as if that phone had dialled.
    fn on_originator_answered(
        &mut self,
        now: Now,
        call: Key<Call>,
        leg: Key<Leg>,
        fx: &mut Effects,
    ) {
        let to = match self.routings.get(&call).map(|routing| &routing.phase) {
            Some(Phase::Originating { to, .. }) => to.clone(),
            _ => {
                self.with_calls(now, |calls, ctx| {
                    calls.end_leg(ctx, leg, Cause::AnsweredElsewhere);
                });
                return;
            }
        };
        self.take_fork(call);
        self.with_calls(now, |calls, ctx| calls.adopt_caller(ctx, call, leg));
        self.dial_for(now, call, leg, &to, fx);
    }

    /// The dialplan runs as if the phone of this leg, which is on the line, had dialled.
    pub(super) fn dial_for(
        &mut self,
        now: Now,
        call: Key<Call>,
        leg: Key<Leg>,
        to: &str,
        fx: &mut Effects,
    ) {
        let Some(leg) = self.calls.leg(leg) else {
            return;
        };
        let Some(profile) = super::faces::profile_of(&self.settings, leg.flow.profile) else {
            self.end_call(now, call, Cause::Forbidden, "system: its profile is gone");
            return;
        };
        let facts = CallFacts {
            profile: profile.name.clone(),
            context: profile.dialplan.clone(),
            from: leg.party.number.to_string(),
            to: to.to_owned(),
            trunk: None,
            caller_name: leg.party.name.as_deref().unwrap_or_default().to_owned(),
            headers: Arc::default(),
            language: "en".to_owned(),
        };
        let mut run = Run::start(self.settings.dialplan.clone(), facts);
        run.set_answered();
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.run = Some(run);
        }
        self.drive(now, call, StepInput::Begin, fx);
    }
}

/// What a fork that reached nobody means for the dialplan.
fn outcome(fork: &Fork) -> DialOutcome {
    let said = fork.best.map(StatusCode::as_u16);
    match said {
        Some(603) => DialOutcome::Declined,
        Some(486 | 600) => DialOutcome::Busy,
        _ if fork.timed_out => DialOutcome::NoAnswer,
        Some(480 | 408 | 430 | 404 | 410) | None => DialOutcome::Unreachable,
        Some(code) => DialOutcome::Failed(code),
    }
}

/// The better of two refusals to pass on: what a person said before what a machine said (after RFC 3261 §16.7 step 6).
pub(super) fn better(before: Option<StatusCode>, now: StatusCode) -> Option<StatusCode> {
    let rank = |status: StatusCode| match status.as_u16() {
        600..=699 => 5,
        486 => 4,
        400..=499 if !matches!(status.as_u16(), 404 | 408 | 480) => 3,
        480 => 2,
        404 | 408 => 1,
        _ => 0,
    };
    match before {
        Some(before) if rank(before) >= rank(now) => Some(before),
        _ => Some(now),
    }
}

/// A user part: what may not stand there is escaped (RFC 3261 §25.1 `user`).
pub(super) fn uri_user(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let written = write!(out, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing to a String does not fail");
        }
    }
    out
}

/// A display name as a quoted string with a space behind it, or nothing.
pub(super) fn display_text(name: Option<&str>) -> String {
    match name {
        Some(name) if !name.is_empty() => {
            let mut out = String::with_capacity(name.len() + 3);
            crate::sip::header::auth::quote(name.as_bytes(), &mut out);
            out.push(' ');
            out
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_parts_and_names_cannot_break_out() {
        assert_eq!(uri_user("+44 20>\r\n"), "+44%2020%3E%0D%0A");
        assert_eq!(
            display_text(Some("A \"B\"\r\nEvil: x")),
            "\"A \\\"B\\\"Evil: x\" "
        );
        assert_eq!(display_text(None), "");
    }

    #[test]
    fn what_a_person_said_is_passed_on() {
        let code = |number| StatusCode::new(number).expect("valid");
        assert_eq!(better(Some(code(503)), code(486)), Some(code(486)));
        assert_eq!(better(Some(code(486)), code(480)), Some(code(486)));
        assert_eq!(better(Some(code(486)), code(603)), Some(code(603)));
        assert_eq!(better(None, code(408)), Some(code(408)));
    }
}
