//! Transfers: who may, where to, and what becomes of a queue's call (RFC 3515, RFC 5589; acd.toml §17).
//!
//! The number of a Refer-To goes through the dialplan as if the transferor had dialled it: with its rights, and never as a URI to send
//! to. So a transfer reaches what a call of the same person reaches, and nothing else.

use std::net::IpAddr;
use std::sync::Arc;

use super::command::Refusal;
use super::core::Switch;
use super::effect::Effects;
use super::routing::{Phase, Transfer};
use crate::acd::{AcdCommand, EndedBy};
use crate::base::{Key, Now};
use crate::call::{Call, CallOutput, Cause, Endpoint, Leg, Role};
use crate::dialplan::{CallFacts, DialAction, DialMode, DialTarget, Run, StepInput};
use crate::event::{CallFact, Party, TransferRecord};
use crate::sip::{Name, ReferTo, Replaces, StatusCode};
use crate::transport::Flow;

impl Switch {
    /// REFER in a call.
    pub(super) fn on_refer(
        &mut self,
        now: Now,
        call: Key<Call>,
        leg: Key<Leg>,
        to: &ReferTo,
        fx: &mut Effects,
    ) {
        if let Err(status) = self.may_refer(call, leg, to) {
            self.with_calls(now, |calls, ctx| calls.refuse_refer(ctx, leg, status));
            return;
        }
        self.with_calls(now, |calls, ctx| calls.accept_refer(ctx, leg));
        let done = match &to.replaces {
            // done or not, that is known at once
            Some(replaces) => self.transfer_attended(now, leg, replaces),
            None => {
                self.with_calls(now, |calls, ctx| {
                    calls.refer_progress(ctx, leg, StatusCode::TRYING);
                });
                self.transfer_blind(now, leg, &to.user, fx)
            }
        };
        if let Err(status) = done {
            self.with_calls(now, |calls, ctx| calls.refer_progress(ctx, leg, status));
        }
    }

    /// Whether a REFER is taken at all.
    fn may_refer(
        &mut self,
        call: Key<Call>,
        leg: Key<Leg>,
        to: &ReferTo,
    ) -> Result<(), StatusCode> {
        let Some(open) = self.calls.leg(leg) else {
            return Err(StatusCode::CALL_DOES_NOT_EXIST);
        };
        let (flow, number) = (open.flow, open.party.number.clone());
        let allowed = match &open.endpoint {
            Endpoint::Trunk(name) => self
                .settings
                .trunk(name)
                .is_some_and(|trunk| trunk.transfer),
            Endpoint::Extension(_) | Endpoint::Unknown => {
                super::faces::profile_of(&self.settings, flow.profile)
                    .is_some_and(|profile| profile.transfer)
            }
        };
        if !allowed {
            return Err(StatusCode::FORBIDDEN);
        }
        if self.is_transferring(call) {
            return Err(StatusCode::REQUEST_PENDING);
        }
        if to.replaces.is_some() {
            return Ok(());
        }
        if to.user.is_empty() || to.user.len() > super::opening::NUMBER_BYTES_MAX {
            return Err(StatusCode::NOT_FOUND);
        }
        if !self.is_our_host(&to.host, &flow) {
            self.outputs.push_back(CallOutput::Warn(format!(
                "{number} wanted a call transferred to `{}`, which is no address of this server: refused",
                to.host.escape_debug()
            )));
            return Err(StatusCode::FORBIDDEN);
        }
        Ok(())
    }

    /// True for our domain and our addresses, as a peer on `flow` may write them; a tel URI has no host.
    pub(super) fn is_our_host(&self, host: &str, flow: &Flow) -> bool {
        if host.is_empty() || host.eq_ignore_ascii_case(&self.settings.server.domain) {
            return true;
        }
        let Ok(ip) = host.parse::<IpAddr>() else {
            return false;
        };
        let network = self.calls.network();
        ip == network.shown_ip(flow)
            || ip == flow.local.ip()
            || ip == network.primary
            || network.profiles.iter().any(|face| face.public == Some(ip))
            || self
                .settings
                .profiles
                .iter()
                .flat_map(|profile| &profile.listen)
                .any(|listen| listen.address.ip() == ip)
    }

    /// A program asks for a blind transfer on behalf of an extension that is in the call.
    pub(super) fn transfer_by_order(
        &mut self,
        now: Now,
        call: Key<Call>,
        by: &Arc<str>,
        to: &str,
        fx: &mut Effects,
    ) -> Result<(), Refusal> {
        let leg = self.party_of(call, by)?;
        if to.is_empty() || to.len() > super::opening::NUMBER_BYTES_MAX {
            return Err(Refusal::not_found("number", to));
        }
        if self.is_transferring(call) {
            let text = "a transfer of this call is under way";
            return Err(Refusal::conflict("transferring", text));
        }
        self.transfer_blind(now, leg, to, fx).map_err(|_| {
            let text = format!("extension {by} talks to nobody who could be transferred");
            Refusal::conflict("not_bridged", text)
        })
    }

    /// The leg of an extension in the bridge of a call, for an order on its behalf.
    pub(super) fn party_of(&self, call: Key<Call>, by: &Arc<str>) -> Result<Key<Leg>, Refusal> {
        let leg = self.calls.call(call).and_then(|open| {
            [open.a, open.b].into_iter().flatten().find(|&leg| {
                let endpoint = self.calls.leg(leg).map(|leg| &leg.endpoint);
                matches!(endpoint, Some(Endpoint::Extension(extension)) if extension == by)
            })
        });
        leg.ok_or_else(|| Refusal::not_found("party of this call with extension", by))
    }

    /// Begins a blind transfer of whom `leg` talks to. An error is the status that it fails with.
    pub(super) fn transfer_blind(
        &mut self,
        now: Now,
        leg: Key<Leg>,
        number: &str,
        fx: &mut Effects,
    ) -> Result<(), StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let (call, endpoint, by, flow) = self
            .calls
            .leg(leg)
            .map(|leg| (leg.call, leg.endpoint.clone(), leg.party.clone(), leg.flow))
            .ok_or(gone)?;
        let transferee = self.calls.talks_to(leg).ok_or(StatusCode::FORBIDDEN)?;
        let bridged = self
            .routings
            .get(&call)
            .is_some_and(|routing| matches!(routing.phase, Phase::Bridged));
        if !bridged {
            return Err(StatusCode::REQUEST_PENDING);
        }
        let profile = super::faces::profile_of(&self.settings, flow.profile)
            .cloned()
            .ok_or(StatusCode::FORBIDDEN)?;
        let to: Arc<str> = Arc::from(number);
        let facts = CallFacts {
            profile: profile.name.clone(),
            context: profile.dialplan.clone(),
            from: by.number.to_string(),
            to: number.to_owned(),
            trunk: match &endpoint {
                Endpoint::Trunk(name) => Some(name.clone()),
                Endpoint::Extension(_) | Endpoint::Unknown => None,
            },
            caller_name: self
                .calls
                .leg(transferee)
                .and_then(|leg| leg.party.name.as_deref().map(str::to_owned))
                .unwrap_or_default(),
            headers: Arc::default(),
            language: "en".to_owned(),
        };
        let agent = self
            .calls
            .leg(leg)
            .is_some_and(|leg| leg.role == Role::Agent);
        let sides = self
            .with_calls(now, |calls, ctx| calls.begin_transfer(ctx, leg))
            .ok_or(gone)?;
        let mut run = Run::start(self.settings.dialplan.clone(), facts);
        run.set_answered();
        run.set_variable("transferred-by", &by.number);
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.run = Some(run);
            routing.phase = Phase::Running;
            routing.transfer = Some(Box::new(Transfer {
                sides,
                here: true,
                agent,
                by: by.clone(),
                extension: match endpoint {
                    Endpoint::Extension(extension) => Some(extension),
                    Endpoint::Trunk(_) | Endpoint::Unknown => None,
                },
                recall: profile.transfer_recall,
                recalling: false,
                to: to.clone(),
            }));
        }
        self.note_transfer(now, call, &by, &to, "blind", 0);
        // from here to the next bridge nobody is left in silence (acd.toml §17.3)
        self.ring_transferee(now, call);
        self.drive(now, call, StepInput::Begin, fx);
        Ok(())
    }

    /// Lets the transferee hear ringing.
    fn ring_transferee(&mut self, now: Now, call: Key<Call>) {
        let tone = vec![Arc::from("tones/ringback")];
        self.with_calls(now, |calls, ctx| calls.play(ctx, call, tone, true));
    }

    /// The parties of two dialogs of one person are joined, and both its legs end (RFC 5589 §7). A party that has nobody yet, because
    /// it waits in a queue or for an answer, is waited for by the other one.
    fn transfer_attended(
        &mut self,
        now: Now,
        leg: Key<Leg>,
        replaces: &Replaces,
    ) -> Result<(), StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let other = self.calls.find_dialog(replaces).ok_or(gone)?;
        let (call, by) = self
            .calls
            .leg(leg)
            .map(|leg| (leg.call, leg.party.clone()))
            .ok_or(gone)?;
        let (call2, answered) = self
            .calls
            .leg(other)
            .map(|leg| (leg.call, leg.is_answered()))
            .ok_or(gone)?;
        if call == call2 || !self.calls.same_party(leg, other) {
            return Err(StatusCode::FORBIDDEN);
        }
        if replaces.early_only && answered {
            return Err(StatusCode::BUSY_HERE);
        }
        if self.is_transferring(call2) {
            return Err(StatusCode::REQUEST_PENDING);
        }
        match (self.calls.talks_to(leg), self.calls.talks_to(other)) {
            (here @ Some(_), Some(there)) => self.hand_over(now, there, leg, other, here, &by),
            (None, Some(there)) if self.waits(call, leg) => {
                self.hand_over(now, there, leg, other, None, &by)
            }
            (Some(here), None) if self.waits(call2, other) => {
                self.hand_over(now, here, other, leg, None, &by)
            }
            _ => Err(StatusCode::DECLINE),
        }
    }

    /// True when `leg` called and waits for somebody, in a queue or while it rings: another may wait in its place.
    fn waits(&self, call: Key<Call>, leg: Key<Leg>) -> bool {
        self.calls
            .call(call)
            .is_some_and(|call| call.a == Some(leg))
            && self.routings.get(&call).is_some_and(|routing| {
                let phase = &routing.phase;
                matches!(
                    phase,
                    Phase::Queued { .. } | Phase::Ringing(_) | Phase::Waiting(_)
                )
            })
    }

    /// `moved` leaves its call, in which `left` stays behind, and takes the place of `instead`. The call that it left is over. With
    /// `transferee` it is the target, whom that party of the call talks to from now on; else it waits there for whoever comes.
    fn hand_over(
        &mut self,
        now: Now,
        moved: Key<Leg>,
        instead: Key<Leg>,
        left: Key<Leg>,
        transferee: Option<Key<Leg>>,
        by: &Party,
    ) -> Result<(), StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let to = self.calls.leg(instead).map(|leg| leg.call).ok_or(gone)?;
        let from = self.calls.leg(left).map(|leg| leg.call).ok_or(gone)?;
        // who is on the other line, or what waits there for the transferee
        let party = self.calls.leg(moved).map(|leg| leg.party.clone());
        let waits = self.calls.call(to).map(|open| self.calls_for(to, open));
        let target = if transferee.is_some() { party } else { waits };
        let target = target.ok_or(gone)?;
        // who leaves a queue's call has done its part; whom a queue chose goes on with the call that it moves to
        self.agent_leaves(to, instead);
        self.agent_leaves(from, left);
        let served = self.routings.get_mut(&from).and_then(|routing| {
            let agent = routing.agent.take()?;
            Some((agent, routing.work.take()?, routing.queue.clone()))
        });
        if !self.with_calls(now, |calls, ctx| calls.move_leg(ctx, moved, instead)) {
            return Err(gone);
        }
        if let Some((agent, item, queue)) = served {
            match self.routings.get_mut(&to) {
                Some(routing) if routing.work.is_none() => {
                    routing.agent = Some(agent);
                    routing.work = Some(item);
                    routing.queue = queue;
                }
                _ => self.orders.push_back(AcdCommand::SegmentEnded {
                    item,
                    agent,
                    by: EndedBy::Customer,
                }),
            }
        }
        if let Some(routing) = self.routings.get_mut(&to)
            && let Some(run) = routing.run.as_mut()
        {
            run.set_answered();
        }
        let is_agent = self
            .calls
            .leg(moved)
            .is_some_and(|leg| leg.role == Role::Agent);
        if let Some(open) = self.calls.call_mut(to).filter(|_| transferee.is_some()) {
            open.with = Some(target.clone());
            if is_agent {
                open.record.agent.get_or_insert(target.number.clone());
            }
        }
        self.with_calls(now, |calls, ctx| {
            if let Some(transferee) = transferee {
                calls.seat(to, transferee);
            }
            calls.settle_bridge(ctx, to);
        });
        self.resume_waiting(now, to);
        self.caller_changed(to);
        self.note_transfer(now, to, by, &target.number, "attended", 200);
        let referrer = [instead, left];
        for leg in referrer {
            self.with_calls(now, |calls, ctx| {
                calls.refer_progress(ctx, leg, StatusCode::OK);
            });
        }
        self.leave(now, instead);
        self.end_call(now, from, Cause::Normal, "transfer");
        Ok(())
    }

    /// Whom a call is with, or asks for, now: after a transfer no longer whom its first caller asked for.
    pub(super) fn calls_for(&self, key: Key<Call>, call: &Call) -> Party {
        let transfer = self.routings.get(&key).and_then(|r| r.transfer.as_ref());
        match transfer {
            Some(transfer) if transfer.recalling => transfer.by.clone(),
            Some(transfer) => self.party_of_number(&transfer.to),
            None => call.with.clone().unwrap_or_else(|| call.record.to.clone()),
        }
    }

    /// A number as people know it: with the name of the extension, if it is one.
    fn party_of_number(&self, number: &Arc<str>) -> Party {
        Party {
            number: number.clone(),
            name: self
                .settings
                .directory
                .user(number)
                .map(|user| user.name.clone()),
            trunk: None,
        }
    }

    /// A leg whose part is over: an answered one may hang up by itself.
    fn leave(&mut self, now: Now, leg: Key<Leg>) {
        let answered = self.calls.leg(leg).is_some_and(Leg::is_answered);
        self.with_calls(now, |calls, ctx| {
            if answered {
                calls.dismiss(ctx, leg);
            } else {
                calls.end_leg(ctx, leg, Cause::Normal);
            }
        });
    }

    /// Whoever came into a call that waits hears what its predecessor heard.
    pub(super) fn resume_waiting(&mut self, now: Now, call: Key<Call>) {
        let phase = self
            .routings
            .get_mut(&call)
            .map(|routing| &mut routing.phase);
        match phase {
            Some(Phase::Queued { announcing }) => {
                // what was being said to the predecessor is not said to the end
                *announcing = None;
                self.play_music(now, call);
            }
            Some(Phase::Ringing(fork)) if fork.rang => self.ring_transferee(now, call),
            _ => {}
        }
    }

    /// The agent's part of a queue's call ends when its leg leaves, whoever goes on talking (acd.toml §17.2).
    pub(super) fn agent_leaves(&mut self, call: Key<Call>, leg: Key<Leg>) {
        let is_agent = self
            .calls
            .leg(leg)
            .is_some_and(|leg| leg.role == Role::Agent);
        if is_agent {
            self.end_segment(call, EndedBy::Agent);
        }
    }

    fn end_segment(&mut self, call: Key<Call>, by: EndedBy) {
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        let (Some(agent), Some(item)) = (routing.agent.take(), routing.work.take()) else {
            return;
        };
        self.orders
            .push_back(AcdCommand::SegmentEnded { item, agent, by });
    }

    /// The call comes to a queue: if it was one agent's until now, that part is over.
    pub(super) fn queue_again(&mut self, call: Key<Call>) {
        self.end_segment(call, EndedBy::Agent);
    }

    pub(super) fn is_transferring(&self, call: Key<Call>) -> bool {
        self.routings
            .get(&call)
            .is_some_and(|routing| routing.transfer.is_some())
    }

    pub(super) fn is_recalling(&self, call: Key<Call>) -> bool {
        self.routings
            .get(&call)
            .and_then(|routing| routing.transfer.as_ref())
            .is_some_and(|transfer| transfer.recalling)
    }

    /// Referred-By for whom a transfer reaches (RFC 3892 §2).
    pub(super) fn referred_by(&self, call: Key<Call>) -> Option<(Name, String)> {
        let transfer = self.routings.get(&call)?.transfer.as_ref()?;
        let extension = transfer.extension.as_deref()?;
        let domain = &self.settings.server.domain;
        let user = super::dialing::uri_user(extension);
        Some((Name::ReferredBy, format!("<sip:{user}@{domain}>")))
    }

    /// Somebody rings for the transferee.
    pub(super) fn transfer_rings(&mut self, now: Now, call: Key<Call>) {
        let routing = self.routings.get(&call);
        let Some(transfer) = routing.and_then(|routing| routing.transfer.as_ref()) else {
            return;
        };
        let leg = transfer.sides.transferor;
        self.with_calls(now, |calls, ctx| {
            calls.refer_progress(ctx, leg, StatusCode::RINGING);
        });
    }

    /// The transferee has reached somebody, or a service of this server.
    pub(super) fn transfer_reached(&mut self, now: Now, call: Key<Call>) {
        let routing = self.routings.get_mut(&call);
        let Some(transfer) = routing.and_then(|routing| routing.transfer.take()) else {
            return;
        };
        let with = match transfer.recalling {
            true => transfer.by.clone(),
            false => self.party_of_number(&transfer.to),
        };
        if let Some(open) = self.calls.call_mut(call) {
            open.with = Some(with);
        }
        if transfer.recalling {
            return;
        }
        let leg = transfer.sides.transferor;
        self.with_calls(now, |calls, ctx| {
            calls.refer_progress(ctx, leg, StatusCode::OK);
            calls.dismiss(ctx, leg);
        });
        if transfer.agent {
            self.end_segment(call, EndedBy::Agent);
        }
        self.note_transfer(now, call, &transfer.by, &transfer.to, "blind", 200);
    }

    /// The transferor has hung up while the transferee waits.
    pub(super) fn on_transferor_gone(&mut self, _now: Now, call: Key<Call>, leg: Key<Leg>) {
        let routing = self.routings.get_mut(&call);
        let Some(transfer) = routing.and_then(|routing| routing.transfer.as_mut()) else {
            return;
        };
        if transfer.sides.transferor != leg {
            return;
        }
        transfer.here = false;
        if transfer.agent {
            self.end_segment(call, EndedBy::Agent);
        }
    }

    /// The transfer reached nobody: the transferee is the transferor's again, who is called back if it has hung up.
    pub(super) fn transfer_failed(&mut self, now: Now, call: Key<Call>, status: StatusCode) {
        self.stop_waiting(call);
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        routing.run = None;
        let Some(mut transfer) = routing.transfer.take() else {
            return;
        };
        let sides = transfer.sides;
        self.with_calls(now, |calls, ctx| {
            calls.refer_progress(ctx, sides.transferor, status);
        });
        let code = status.as_u16();
        self.note_transfer(now, call, &transfer.by, &transfer.to, "blind", code);
        if transfer.here && self.with_calls(now, |calls, ctx| calls.take_back(ctx, sides)) {
            if let Some(routing) = self.routings.get_mut(&call) {
                routing.phase = Phase::Bridged;
            }
            return;
        }
        let again = match (transfer.recall, transfer.extension.clone()) {
            (Some(timeout), Some(extension)) => Some(DialAction {
                targets: vec![DialTarget::Extension(extension)],
                mode: DialMode::Parallel,
                timeout,
                caller_id: None,
                music: None,
                auto_answer: false,
                gates: false,
                pin: None,
            }),
            _ => None,
        };
        let Some(again) = again else {
            self.end_call(
                now,
                call,
                Cause::of_status(status),
                "system: the transfer failed",
            );
            return;
        };
        transfer.recalling = true;
        if let Some(routing) = self.routings.get_mut(&call) {
            routing.transfer = Some(transfer);
        }
        self.ring_transferee(now, call);
        if self.dial(now, call, again).is_some() {
            self.end_call(
                now,
                call,
                Cause::of_status(status),
                "system: the transfer failed",
            );
        }
    }

    /// The call ends in the middle of a transfer.
    pub(super) fn transfer_dropped(&mut self, now: Now, call: Key<Call>) {
        let routing = self.routings.get_mut(&call);
        let Some(transfer) = routing.and_then(|routing| routing.transfer.take()) else {
            return;
        };
        let status = StatusCode::REQUEST_TERMINATED;
        self.with_calls(now, |calls, ctx| {
            calls.refer_progress(ctx, transfer.sides.transferor, status);
        });
        if !transfer.recalling {
            let code = status.as_u16();
            self.note_transfer(now, call, &transfer.by, &transfer.to, "blind", code);
        }
    }

    /// Into the record and to those who watch: a transfer began (status 0), was done (200), or failed.
    pub(super) fn note_transfer(
        &mut self,
        now: Now,
        call: Key<Call>,
        by: &Party,
        to: &Arc<str>,
        how: &str,
        status: u16,
    ) {
        let Some(open) = self.calls.call_mut(call) else {
            return;
        };
        let id = open.id;
        let transfers = &mut open.record.transfers;
        let room = transfers.len() < TRANSFERS_MAX;
        match transfers.last_mut().filter(|last| last.status == 0) {
            Some(last) => last.status = status,
            None if room => transfers.push(TransferRecord {
                at: now.wall,
                by: by.clone(),
                to: to.clone(),
                how: Arc::from(how),
                status,
            }),
            None => {}
        }
        let (by, to) = (by.clone(), to.clone());
        let fact = match status {
            0 => CallFact::TransferStarted { call: id, by, to },
            200 => CallFact::Transferred {
                call: id,
                by,
                to,
                how: Arc::from(how),
            },
            status => CallFact::TransferFailed {
                call: id,
                by,
                to,
                status,
            },
        };
        self.outputs.push_back(CallOutput::Fact(fact));
    }
}

/// Most transfers that a call's record lists; those after are done all the same.
const TRANSFERS_MAX: usize = 100;
