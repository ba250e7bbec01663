//! How legs and calls end: refusal, CANCEL, BYE, lost peers, and the record.

use super::calls::{Asked, Call, CallEvent, Calls, Ctx};
use super::cause::Cause;
use super::header_policy::{self, From, On};
use super::leg::{Invite, Leg, LegState, Role};
use crate::base::Key;
use crate::dialog::Dialog;
use crate::event::{LegRecord, Outcome};
use crate::sip::{Message, Method, Name, StatusCode, Uri};
use crate::transaction::ServerKey;
use crate::transport::{Flow, Transport};

impl Calls {
    /// Ends one leg the way its state demands. Its call goes on; the leg is no longer part of it.
    pub fn end_leg(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, cause: Cause) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        match (leg.state, leg.invite) {
            (LegState::Incoming, _) => self.refuse_leg(ctx, key, cause),
            (LegState::Calling | LegState::Ringing, Invite::Client { key: client }) => {
                leg.state = LegState::Cancelling(cause);
                let call = leg.call;
                let reasons = self.reasons(ctx, call, cause).join("\n");
                self.detach(ctx, key, 487);
                if let Some(client) = client {
                    let reasons = (!reasons.is_empty()).then_some(reasons.as_bytes());
                    ctx.tx.cancel(ctx.now, client, reasons, ctx.acts);
                }
            }
            // the 2xx is still held back: the caller hears of no answer at all
            (LegState::Answered, _) if leg.waits_for_answer() => self.refuse_leg(ctx, key, cause),
            (LegState::Answered, Invite::Server { acked: false, .. }) => {
                // no BYE before the ACK, or before we gave up waiting for it (RFC 3261 §15)
                leg.bye_when_acked = Some(cause);
                self.part_with(ctx.now.mono, key);
                self.waiting_for_ack.insert(key);
                self.detach(ctx, key, 200);
            }
            (LegState::Answered, _) => self.bye(ctx, key, cause),
            (LegState::Calling | LegState::Ringing | LegState::Cancelling(_), _) => {}
        }
    }

    /// BYE, and the leg is gone: what the peer answers changes nothing.
    pub(super) fn bye(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, cause: Cause) {
        self.send_bye(ctx, key, cause);
        self.detach(ctx, key, 200);
        self.remove_leg(key);
    }

    pub(super) fn send_bye(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, cause: Cause) {
        self.settle(ctx, key, None);
        let Some(call) = self.legs.get(key).map(|leg| leg.call) else {
            return;
        };
        let reasons = self.reasons(ctx, call, cause);
        let data = self.data_of(ctx, call);
        self.ask(ctx, key, &Method::Bye, Asked::Bye, |mut builder| {
            if let Some(data) = data {
                builder = builder.header(Name::UserToUser, data);
            }
            for reason in reasons {
                builder = builder.header(Name::Reason, reason);
            }
            builder.finish()
        });
    }

    /// Where the next request of a dialog goes: to its route set or target when that is an address that can be reached, else to
    /// where the peer was last heard (phones behind NAT, connections that only the peer can open).
    pub(super) fn route(&self, dialog: &Dialog, flow: &Flow) -> Flow {
        route(&self.network, dialog, flow)
    }

    /// Ends the whole call. `ended_by` goes into the record unless something stands there already.
    pub fn hangup(&mut self, ctx: &mut Ctx<'_>, key: Key<Call>, cause: Cause, ended_by: &str) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if !call.ending {
            call.ending = true;
            let record = &mut call.record;
            record.ended_at = Some(ctx.now.wall);
            if record.ended_by.is_empty() {
                ended_by.clone_into(&mut record.ended_by);
            }
            if let Some(answered) = call.answered {
                record.duration_secs = ctx.now.mono.since(answered).as_secs_f64();
            }
            if record.outcome == Outcome::Failed {
                let served = |leg: &LegRecord| &*leg.role != "caller" && leg.answered_at.is_some();
                let served = record.legs.iter().any(served)
                    || call
                        .legs
                        .iter()
                        .filter_map(|key| self.legs.get(*key))
                        .any(|leg| leg.role != Role::Caller && leg.is_answered());
                // an announcement after an attempt that failed is no answer of whom the caller wanted
                record.outcome = match call.failed.filter(|_| !served) {
                    Some(failed) if record.answered_at.is_some() => failed,
                    Some(Outcome::Failed)
                        if matches!(cause, Cause::Unavailable | Cause::NoAnswer) =>
                    {
                        Outcome::Failed
                    }
                    _ => outcome(cause, record.answered_at.is_some()),
                };
            }
        }
        // the caller last, so that a refusal carries what the others said
        let mut legs = call.legs.clone();
        if let Some(a) = call.a {
            legs.retain(|&leg| leg != a);
            legs.push(a);
        }
        for leg in legs {
            self.end_leg(ctx, leg, cause);
        }
        self.close_if_over(ctx, key);
    }

    /// The peer of an answered leg is lost: BYE all the same, and tell the switch.
    pub(super) fn lose_leg(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, cause: Cause) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let transferor = self
            .calls
            .get(leg.call)
            .is_some_and(|call| call.transferor == Some(key));
        let event = if transferor {
            CallEvent::TransferorGone {
                call: leg.call,
                leg: key,
            }
        } else {
            CallEvent::LegEnded {
                call: leg.call,
                leg: key,
                role: leg.came_as,
                cause,
            }
        };
        match leg.state {
            LegState::Answered => {
                self.end_leg(ctx, key, cause);
                ctx.event(event);
            }
            LegState::Incoming => {
                self.end_leg(ctx, key, cause);
                ctx.event(event);
            }
            LegState::Calling | LegState::Ringing => {
                let (call, role, endpoint, flow) =
                    (leg.call, leg.role, leg.endpoint.clone(), leg.flow);
                self.end_leg(ctx, key, cause);
                ctx.event(CallEvent::LegFailed {
                    call,
                    leg: key,
                    role,
                    endpoint,
                    flow,
                    status: cause.status(),
                    dead: false,
                });
            }
            LegState::Cancelling(_) => {}
        }
    }

    /// BYE from the peer.
    pub(super) fn on_bye(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, request: &Message) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let (call, role) = (leg.call, leg.came_as);
        let attached = self
            .calls
            .get(call)
            .is_some_and(|call| call.legs.contains(&key));
        if leg.is_answered() && leg.waits_for_answer() {
            self.refuse_leg(ctx, key, Cause::CallerGone);
            self.note_reason(ctx, call, request);
            let cause = Cause::CallerGone;
            ctx.event(CallEvent::LegEnded {
                call,
                leg: key,
                role,
                cause,
            });
            return;
        }
        match leg.state {
            LegState::Incoming => {
                // the caller ends its early dialog; its INVITE still wants an answer (RFC 3261 §15.1.2)
                self.refuse_leg(ctx, key, Cause::CallerGone);
                self.note_reason(ctx, call, request);
                ctx.event(CallEvent::CallerGone { call });
                return;
            }
            LegState::Calling | LegState::Ringing => {
                // RFC 3261 §15 lets only the caller send BYE on an early dialog: we take it for a refusal of this leg alone
                let event = self.failure(key, StatusCode::REQUEST_TERMINATED, false);
                self.end_leg(ctx, key, Cause::Normal);
                if let Some(event) = event {
                    ctx.event(event);
                }
                return;
            }
            LegState::Answered | LegState::Cancelling(_) => {}
        }
        if let Invite::Server {
            key: server,
            acked: false,
        } = leg.invite
        {
            // who ends the call has our 2xx: it need not be repeated
            ctx.tx.acked(server);
        }
        let transferor = self
            .calls
            .get(call)
            .is_some_and(|call| call.transferor == Some(key));
        self.detach(ctx, key, 200);
        self.remove_leg(key);
        if transferor {
            ctx.event(CallEvent::TransferorGone { call, leg: key });
            self.close_if_over(ctx, call);
        } else if attached {
            let cause = reason_of(request).unwrap_or(Cause::Normal);
            self.note_reason(ctx, call, request);
            ctx.event(CallEvent::LegEnded {
                call,
                leg: key,
                role,
                cause,
            });
            self.close_if_over(ctx, call);
        }
    }

    /// CANCEL of the caller's INVITE: 487, and everything that rings stops (RFC 3261 §9.2).
    pub fn on_cancel(&mut self, ctx: &mut Ctx<'_>, server: ServerKey, request: &Message) {
        let Some(&key) = self.by_server.get(&server) else {
            return;
        };
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let call = leg.call;
        if !leg.waits_for_answer() {
            self.cancel_change(ctx, key, server);
            return;
        }
        let event = match leg.state {
            LegState::Answered => CallEvent::LegEnded {
                call,
                leg: key,
                role: leg.came_as,
                cause: Cause::CallerGone,
            },
            _ => CallEvent::CallerGone { call },
        };
        self.refuse_leg(ctx, key, Cause::CallerGone);
        self.note_reason(ctx, call, request);
        ctx.event(event);
    }

    /// Keeps why a side ended, for the other legs that end with it.
    fn note_reason(&mut self, ctx: &Ctx<'_>, call: Key<Call>, request: &Message) {
        let crossing = |wanted: Name| {
            header_policy::crossing(request, On::End, From::Anyone)
                .filter(move |(name, _)| *name == wanted)
                .filter_map(|(_, value)| String::from_utf8(value.to_vec()).ok())
        };
        let said = crossing(Name::Reason).collect();
        let data = crossing(Name::UserToUser).next();
        if let Some(call) = self.calls.get_mut(call) {
            call.said = (ctx.now.mono, said);
            call.data = data.map(|data| (ctx.now.mono, data));
        }
    }

    /// Reason values for the CANCEL or BYE of a leg: what the side said whose end this is, else our own. A side's word is for the legs
    /// that end in the same step; a call that went on after it and ends later has another reason.
    fn reasons(&self, ctx: &Ctx<'_>, call: Key<Call>, cause: Cause) -> Vec<String> {
        let passes = matches!(
            cause,
            Cause::Normal | Cause::CallerGone | Cause::AnsweredElsewhere
        );
        match self.calls.get(call).map(|call| &call.said) {
            Some((at, said)) if passes && *at == ctx.now.mono && !said.is_empty() => said.clone(),
            _ => cancel_reasons(cause),
        }
    }

    /// No ACK came to our final answer (RFC 3261 §13.3.1.4, §17.2.1 Timer H).
    pub fn on_no_ack(&mut self, ctx: &mut Ctx<'_>, server: ServerKey) {
        let Some(key) = self.by_server.remove(&server) else {
            return;
        };
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        if leg.reinvite_unacked.is_some_and(|(own, _)| own == server) {
            leg.reinvite_unacked = None;
            self.lose_leg(ctx, key, Cause::PeerLost);
            return;
        }
        if let Invite::Server { key: own, acked } = &mut leg.invite
            && *own == server
        {
            *acked = true;
            match leg.bye_when_acked.take() {
                Some(cause) => {
                    self.send_bye(ctx, key, cause);
                    self.remove_leg(key);
                }
                None => self.lose_leg(ctx, key, Cause::PeerLost),
            }
        }
    }

    /// ACK to a 2xx of ours.
    pub fn on_ack(&mut self, ctx: &mut Ctx<'_>, request: &Message) {
        let Some(key) = self.leg_of(request) else {
            return;
        };
        let number = request.cseq().number;
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        // an ACK belongs to the INVITE of its own number (RFC 3261 §13.2.2.4): one that comes again, or late, ends no other's wait
        if let Some((server, own)) = leg.reinvite_unacked
            && own == number
        {
            leg.reinvite_unacked = None;
            self.by_server.remove(&server);
            ctx.tx.acked(server);
            self.read_late_answer(ctx, key, request);
            return;
        }
        if let Invite::Server { key: server, acked } = &mut leg.invite
            && !*acked
            && leg.request.cseq().number == number
        {
            *acked = true;
            let server = *server;
            ctx.tx.acked(server);
            self.by_server.remove(&server);
            match leg.bye_when_acked.take() {
                Some(cause) => {
                    self.send_bye(ctx, key, cause);
                    self.remove_leg(key);
                }
                None => self.read_late_answer(ctx, key, request),
            }
        }
    }
}

/// See [`Calls::route`].
pub(super) fn route(network: &super::network::Network, dialog: &Dialog, flow: &Flow) -> Flow {
    let mut flow = Flow {
        connection: dialog.flow.connection.or(flow.connection),
        ..dialog.flow
    };
    if flow.transport != Transport::Udp || flow.connection.is_some() {
        return flow;
    }
    let trunk = network
        .profile(flow.profile)
        .is_some_and(|face| face.trunks);
    let party = dialog.remote_party();
    if let Ok(uri) = Uri::parse(&party.next_hop)
        && let Some(ip) = uri.host_ip()
        && (trunk || ip == flow.remote.ip())
        && ip.is_ipv4() == flow.remote.is_ipv4()
        && uri
            .transport()
            .is_none_or(|name| name.eq_ignore_ascii_case(b"udp"))
        && !ip.is_unspecified()
    {
        flow.remote = (ip, uri.port.unwrap_or(5060)).into();
    }
    flow
}

/// Reason values for CANCEL and BYE (RFC 3326 §2): phones log no missed call when the call was completed elsewhere.
fn cancel_reasons(cause: Cause) -> Vec<String> {
    match cause {
        Cause::AnsweredElsewhere => vec![
            "SIP;cause=200;text=\"Call completed elsewhere\"".to_owned(),
            cause.reason(),
        ],
        Cause::CallerGone => vec![
            "SIP;cause=487;text=\"Caller gave up\"".to_owned(),
            cause.reason(),
        ],
        _ => vec![cause.reason()],
    }
}

fn reason_of(request: &Message) -> Option<Cause> {
    let reason = crate::sip::Reason::parse(request.header(Name::Reason)?).ok()?;
    (reason.protocol.eq_ignore_ascii_case(b"SIP") && reason.cause == Some(200))
        .then_some(Cause::AnsweredElsewhere)
}

fn outcome(cause: Cause, answered: bool) -> Outcome {
    if answered {
        return Outcome::Answered;
    }
    match cause {
        Cause::CallerGone => Outcome::Cancelled,
        Cause::Busy => Outcome::Busy,
        Cause::Status(code) if code.as_u16() == 600 => Outcome::Busy,
        Cause::Declined => Outcome::Declined,
        Cause::NoAnswer | Cause::Unavailable | Cause::Normal => Outcome::NoAnswer,
        _ => Outcome::Failed,
    }
}
