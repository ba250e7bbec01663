//! 3xx from a called party: followed, refused or passed on (RFC 3261 §8.1.3.4, §16.5).
//!
//! Followed means dialled: what a phone names goes through the dialplan with the rights of its own user, never to an address of the
//! phone's choice. No number is tried twice in a call, so that two phones that send calls to each other end it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::core::Switch;
use super::effect::Effects;
use super::routing::{Branch, Phase};
use crate::base::{Key, Now};
use crate::call::{Call, Cause, Diversion, Endpoint, Leg, Redirect};
use crate::config::{CallerIdHeader, Redirects};
use crate::dialplan::{Action, CallFacts, Run, StepInput};
use crate::sip::{Name, StatusCode};
use crate::transport::Flow;

/// Most targets that a call is sent on to (guess: a few times what a person would set up).
const REDIRECTS_MAX: usize = 8;

/// A 3xx as it came.
pub(super) struct Moved {
    pub call: Key<Call>,
    pub leg: Key<Leg>,
    pub endpoint: Endpoint,
    pub flow: Flow,
    pub status: StatusCode,
    pub rang: bool,
    pub to: Vec<Redirect>,
}

impl Switch {
    /// A leg that we dialled names others. That it failed is told after this.
    pub(super) fn on_redirected(&mut self, now: Now, moved: &Moved, fx: &mut Effects) {
        let (policy, own) = match &moved.endpoint {
            Endpoint::Trunk(name) => (
                self.settings.trunk(name).map(|trunk| trunk.redirect),
                name.clone(),
            ),
            Endpoint::Extension(extension) => (
                super::faces::profile_of(&self.settings, moved.flow.profile)
                    .map(|profile| profile.redirect),
                extension.clone(),
            ),
            Endpoint::Unknown => return,
        };
        // an agent's phone does not send a queue's caller elsewhere: the next agent is asked
        let dialled = self.routings.get(&moved.call).is_some_and(|routing| {
            matches!(&routing.phase, Phase::Ringing(fork) if fork.ringing.iter().any(|(leg, _)| *leg == moved.leg))
        });
        if !dialled {
            return;
        }
        match policy.unwrap_or_default() {
            Redirects::Refuse => {
                let first = moved.to.first().map_or("nobody", |target| &target.uri);
                let why = "`redirect` says that this is not followed";
                self.note_forwarded(moved, first, Some(why));
            }
            Redirects::Pass => self.pass_redirect(now, moved),
            Redirects::Follow => self.send_on(now, moved, &own, fx),
        }
    }

    /// The caller hears of it, if nobody else rings: it may call there itself.
    fn pass_redirect(&mut self, now: Now, moved: &Moved) {
        let alone = self.routings.get(&moved.call).is_some_and(|routing| {
            matches!(&routing.phase, Phase::Ringing(fork) if fork.ringing.len() == 1 && fork.waves.is_empty())
        });
        let unanswered = self
            .calls
            .caller(moved.call)
            .is_some_and(|leg| !leg.is_answered());
        if !alone || !unanswered {
            return;
        }
        if let Some(call) = self.calls.call_mut(moved.call) {
            call.elsewhere = moved
                .to
                .iter()
                .map(|target| format!("<{}>;q={:.3}", target.uri, f32::from(target.q) / 1000.0))
                .collect();
        }
        let first = moved.to.first().map_or("nobody", |target| &target.uri);
        self.note_forwarded(moved, first, Some("the caller is told, and may call there"));
        self.end_call(now, moved.call, Cause::Status(moved.status), "callee");
    }

    fn send_on(&mut self, now: Now, moved: &Moved, own: &str, fx: &mut Effects) {
        let mut groups: Vec<(u16, Vec<Branch>)> = Vec::new();
        let mut service = None;
        for target in &moved.to {
            if target.user.is_empty() || !self.is_our_host(&target.host, &moved.flow) {
                let why = "that is no number of this server, it is not called";
                self.note_forwarded(moved, &target.uri, Some(why));
                continue;
            }
            if !self.is_new_target(moved.call, own, &target.user) {
                let why = "it was tried in this call before";
                self.note_forwarded(moved, &target.uri, Some(why));
                continue;
            }
            self.note_forwarded(moved, &target.user, None);
            let Some(facts) = self.facts_of_redirect(moved, own, &target.user) else {
                continue;
            };
            // what its user would reach by dialling it
            let mut run = Run::start(self.settings.dialplan.clone(), facts.clone());
            match run.step(StepInput::Begin, now.wall) {
                Action::Dial(dial) => {
                    for one in &dial.targets {
                        let found = self.branches(now, moved.call, one, dial.caller_id.as_deref());
                        let Ok(mut found) = found else { continue };
                        self.mark_diverted(moved, own, &target.user, &mut found);
                        match groups.last_mut().filter(|(q, _)| *q == target.q) {
                            Some((_, group)) => group.extend(found),
                            None => groups.push((target.q, found)),
                        }
                    }
                }
                Action::Hangup { .. } | Action::End => {}
                _ => service = service.or(Some(facts)),
            }
        }
        let mut groups = groups.into_iter().map(|(_, group)| group);
        match groups.next() {
            Some(first) => {
                let routing = self.routings.get_mut(&moved.call);
                if let Some(Phase::Ringing(fork)) = routing.map(|routing| &mut routing.phase) {
                    let rest: VecDeque<Vec<Branch>> = groups.collect();
                    for wave in rest.into_iter().rev() {
                        fork.waves.push_front(wave);
                    }
                }
                for branch in first {
                    self.try_ways(now, moved.call, branch, false);
                }
            }
            None => {
                if let Some(facts) = service {
                    self.go_to_service(now, moved, facts, fx);
                }
            }
        }
    }

    /// A service of this server was named, a queue or a greeting: the call goes on there, if nobody else rings for it.
    fn go_to_service(&mut self, now: Now, moved: &Moved, facts: CallFacts, fx: &mut Effects) {
        let answered = self.calls.caller(moved.call).is_some_and(Leg::is_answered);
        let Some(routing) = self.routings.get_mut(&moved.call) else {
            return;
        };
        let Phase::Ringing(fork) = &mut routing.phase else {
            return;
        };
        if fork.ringing.len() > 1 || !fork.waves.is_empty() {
            return;
        }
        if let Some(timer) = fork.timer.take() {
            self.timers.cancel(timer);
        }
        let mut run = Run::start(self.settings.dialplan.clone(), facts);
        if answered {
            run.set_answered();
        }
        routing.run = Some(run);
        routing.phase = Phase::Running;
        self.drive(now, moved.call, StepInput::Begin, fx);
    }

    /// Notes a target; false when the call has been there, or has been sent on too often.
    fn is_new_target(&mut self, call: Key<Call>, own: &str, number: &str) -> bool {
        let dialled = self
            .calls
            .call(call)
            .map(|call| call.record.to.number.to_string());
        let Some(routing) = self.routings.get_mut(&call) else {
            return false;
        };
        if routing.sent_on.is_empty() {
            routing.sent_on.extend(dialled);
        }
        routing.sent_on.insert(own.to_owned());
        number.len() <= super::opening::NUMBER_BYTES_MAX
            && routing.sent_on.len() < REDIRECTS_MAX
            && routing.sent_on.insert(number.to_owned())
    }

    fn facts_of_redirect(&self, moved: &Moved, own: &str, number: &str) -> Option<CallFacts> {
        let profile = super::faces::profile_of(&self.settings, moved.flow.profile)?;
        let party = self.calls.calling_party(moved.call)?;
        Some(CallFacts {
            profile: profile.name.clone(),
            context: profile.dialplan.clone(),
            from: own.to_owned(),
            to: number.to_owned(),
            trunk: match &moved.endpoint {
                Endpoint::Trunk(name) => Some(name.clone()),
                Endpoint::Extension(_) | Endpoint::Unknown => None,
            },
            caller_name: party.name.as_deref().unwrap_or_default().to_owned(),
            headers: Arc::default(),
            language: "en".to_owned(),
        })
    }

    /// Phones of this house are told to answer by themselves, in every dialect at once (RFC 5373, and what phones did before it). Only
    /// a person of this house may listen into a room.
    pub(super) fn ask_to_answer(&self, call: Key<Call>, branches: &mut [Branch]) {
        let inside = self
            .calls
            .caller(call)
            .is_some_and(|leg| matches!(leg.endpoint, Endpoint::Extension(_)));
        if !inside {
            return;
        }
        let domain = &self.settings.server.domain;
        for spec in branches.iter_mut().flat_map(|branch| &mut branch.ways) {
            if !matches!(spec.endpoint, Endpoint::Extension(_)) {
                continue;
            }
            spec.headers.extend([
                (Name::CallInfo, format!("<sip:{domain}>;answer-after=0")),
                (
                    Name::AlertInfo,
                    format!("<http://{domain}>;info=alert-autoanswer;delay=0"),
                ),
                (Name::AnswerMode, "Auto".to_owned()),
            ]);
        }
    }

    /// Who sent the call on before it came here, for whom it reaches: as Diversion and History-Info inside, as Diversion to a trunk that
    /// wants it. A caller's word counts only where its peer is trusted (RFC 5806 §6.3).
    pub(super) fn diverted_before(&self, call: Key<Call>, trunk: bool) -> Vec<(Name, String)> {
        let Some(caller) = self.calls.caller(call).filter(|leg| leg.policy.trusted) else {
            return Vec::new();
        };
        let list = crate::call::diversions(&caller.request);
        let mut headers: Vec<(Name, String)> = list
            .iter()
            .map(|diversion| (Name::Diversion, diversion.value(!trunk)))
            .collect();
        if !trunk && !list.is_empty() {
            let number = self
                .calls
                .call(call)
                .map(|call| call.record.to.number.clone());
            let user = super::dialing::uri_user(number.as_deref().unwrap_or_default());
            let target = format!("sip:{user}@{}", self.settings.server.domain);
            let values = crate::call::history(&list, &target, true);
            headers.extend(values.into_iter().map(|value| (Name::HistoryInfo, value)));
        }
        headers
    }

    /// The new legs say who sent the call on: Diversion and History-Info inside, and Diversion to a trunk that wants it.
    fn mark_diverted(&self, moved: &Moved, own: &str, number: &str, branches: &mut [Branch]) {
        let domain = &self.settings.server.domain;
        let user = self.settings.directory.user(own);
        let reason = if moved.rang {
            "deflection"
        } else {
            "unconditional"
        };
        for spec in branches.iter_mut().flat_map(|branch| &mut branch.ways) {
            let (shown, trunk) = match &spec.endpoint {
                Endpoint::Trunk(name) => {
                    let wanted = self
                        .settings
                        .trunk(name)
                        .filter(|trunk| trunk.caller_id == CallerIdHeader::DiversionAware);
                    // an extension says nothing outside: only a direct number is named there
                    let number = user.and_then(|user| user.number.as_deref());
                    let (Some(trunk), Some(number)) = (wanted, number) else {
                        continue;
                    };
                    (trunk.number_format.outward(number), true)
                }
                Endpoint::Extension(_) | Endpoint::Unknown => (own.to_owned(), false),
            };
            let diversion = Diversion {
                uri: format!("sip:{}@{domain}", super::dialing::uri_user(&shown)),
                name: user.filter(|_| !trunk).map(|user| user.name.to_string()),
                reason: reason.to_owned(),
                private: false,
            };
            let value = diversion.value(false);
            spec.headers.push((Name::Diversion, value));
            if !trunk {
                let target = format!("sip:{}@{domain}", super::dialing::uri_user(number));
                let values = crate::call::history(&[diversion], &target, false);
                for value in values {
                    spec.headers.push((Name::HistoryInfo, value));
                }
            }
        }
    }
}
