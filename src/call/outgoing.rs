//! We call a party: INVITE, progress, answer, refusal, challenge (RFC 3261 §13.2).

use std::sync::Arc;

use bytes::Bytes;

use super::calls::{Call, CallEvent, CallOutput, Calls, Ctx, LateAck, User};
use super::cause::Cause;
use super::describe;
use super::header_policy::{self, From, On};
use super::identity;
use super::incoming::{ALLOW, sdp_of};
use super::leg::{Endpoint, Invite, Leg, LegSpec, LegState, NewLeg};
use crate::base::{Duration, Key, Ulid, id, limits};
use crate::dialog::Tag;
use crate::dialog::offer_answer::Event;
use crate::event::CallFact;
use crate::media::{self, MediaPlan, Payload};
use crate::sdp::{Direction, SdpAnswer};
use crate::sip::{Builder, Message, Method, Name, StatusCode, edit};
use crate::transaction::ClientKey;
use crate::transport::Flow;

/// Max-Forwards of a call that begins here (RFC 3261 §8.1.1.6).
const HOPS: u8 = 70;

/// Further tries of an INVITE whose session was too short for the peer: one for the peer, one for a proxy before it.
const LONGER_MAX: u8 = 2;

impl Calls {
    /// Calls a party for `call`. The offer holds what the caller offers and, behind it, what can be transcoded to; our own codecs when it
    /// offers nothing yet.
    pub fn dial(
        &mut self,
        ctx: &mut Ctx<'_>,
        call_key: Key<Call>,
        spec: LegSpec,
    ) -> Result<Key<Leg>, StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let spec = self.veiled(call_key, spec);
        let payloads = match self.caller_offers(call_key) {
            Some(list) => self.bridgeable(&spec.flow, list),
            // a caller that gets our offer in a reliable provisional response has settled on it before anybody answers
            None => {
                let settles_early = self
                    .caller(call_key)
                    .is_some_and(|caller| caller.is_told_reliably(false));
                self.our_codecs(&spec.flow, settles_early)
            }
        };
        if !payloads.iter().any(|payload| payload.codec.is_speech()) {
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        }
        let call = self.calls.get(call_key).ok_or(gone)?;
        if call.ending || call.legs.len() >= limits::FORK_BRANCHES_MAX {
            return Err(gone);
        }
        let breadth = self
            .breadth(call_key)
            .ok_or(StatusCode::MAX_BREADTH_EXCEEDED)?;
        let policy = self.network.policy(&spec.endpoint, &spec.flow);
        let tag = Tag::new(&mut self.entropy);
        let mut leg = Leg::new(NewLeg {
            id: id::ulid(ctx.now.wall, &mut self.entropy),
            call: call_key,
            role: spec.role,
            party: spec.party.clone(),
            endpoint: spec.endpoint.clone(),
            state: LegState::Calling,
            invite: Invite::Client { key: None },
            tag,
            flow: spec.flow,
            policy,
            started_at: ctx.now.wall,
        });
        leg.login = spec.login.clone();
        leg.device = spec.device;
        leg.offers = super::early::offered();
        let key = self.legs.insert(leg);
        let direction = self.caller_direction(call_key);
        let body = match self.write_offer(ctx, key, payloads, direction) {
            Ok(body) => body,
            Err(status) => {
                self.legs.remove(key);
                return Err(status);
            }
        };
        let call_id = self.entropy.token::<26>();
        let message = self.invite(ctx, call_key, key, &spec, breadth, &call_id, &body);
        let client = ctx.tx.send_request(
            ctx.now,
            spec.flow,
            message.clone(),
            User::Invite(key),
            ctx.acts,
        );
        if let Some(leg) = self.legs.get_mut(key) {
            leg.request = message;
            leg.invite = Invite::Client { key: Some(client) };
            leg.audio.sent = Some(body);
            leg.others = super::flows::others_of(spec);
        }
        self.by_tag.insert(tag, key);
        if let Some(call) = self.calls.get_mut(call_key) {
            call.legs.push(key);
        }
        self.count_in(key);
        Ok(key)
    }

    /// The direction that the caller's offer asks the other side for.
    fn caller_direction(&self, call: Key<Call>) -> Direction {
        self.caller(call)
            .and_then(|leg| leg.audio.offer.as_ref())
            .map_or(Direction::SendRecv, super::renegotiate::offered_direction)
    }

    #[allow(clippy::too_many_arguments)] // the parts of one message, named at both ends
    pub(super) fn invite(
        &self,
        ctx: &mut Ctx<'_>,
        call: Key<Call>,
        key: Key<Leg>,
        spec: &LegSpec,
        breadth: u16,
        call_id: &[u8],
        body: &[u8],
    ) -> Message {
        let branch = ctx.tx.branch();
        let branch = match self.calls.get(call).and_then(|call| call.cookie) {
            Some(cookie) => cookie.mark(branch.as_ref()),
            None => branch.as_ref().to_vec(),
        };
        let sent_by = self.network.sent_by(&spec.flow);
        let mut builder = Builder::request(&Method::Invite, &spec.request_uri)
            .via(spec.flow.transport.as_str(), &sent_by, &branch, true)
            .number(Name::MaxForwards, self.hops_left(call))
            .number(Name::MaxBreadth, breadth);
        let tag = self.legs.get(key).map(|leg| leg.tag);
        let tag = tag.as_ref().map(Tag::as_str).unwrap_or_default();
        for route in &spec.route {
            builder = builder.header(Name::Route, route);
        }
        builder = builder
            .header_parts(
                Name::From,
                &[spec.from.as_bytes(), b";tag=", tag.as_bytes()],
            )
            .header(Name::To, &spec.to)
            .header(Name::CallId, call_id)
            .header(Name::CSeq, "1 INVITE")
            .header(
                Name::Contact,
                self.network.contact(&spec.flow, &spec.contact_user),
            )
            .header(Name::Allow, ALLOW)
            .header(Name::UserAgent, self.product.as_bytes());
        if let Some(leg) = self.legs.get(key) {
            for (name, value) in leg.proposal(true) {
                builder = builder.header(name, value);
            }
        }
        for (name, value) in &spec.headers {
            builder = builder.header(*name, value);
        }
        if let Some(caller) = self.caller(call)
            && matches!(caller.invite, Invite::Server { .. })
        {
            let from = match caller.endpoint {
                Endpoint::Trunk(_) => From::Trunk,
                Endpoint::Extension(_) | Endpoint::Unknown => From::Anyone,
            };
            for (name, value) in header_policy::crossing(&caller.request, On::Invite, from) {
                builder = builder.header(name, value);
            }
        }
        builder.body("application/sdp", body)
    }

    /// Hops that a call may still take: one less than its caller had left, so that a call which comes back to us by way of a trunk
    /// does not go round for ever (RFC 7332 §3).
    fn hops_left(&self, call: Key<Call>) -> u8 {
        self.caller(call)
            .filter(|caller| matches!(caller.invite, Invite::Server { .. }))
            .and_then(|caller| caller.request.max_forwards())
            .map_or(HOPS, |hops| HOPS.min(hops).saturating_sub(1))
    }

    /// Takes a response to the INVITE of a leg.
    pub fn on_invite_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        client: ClientKey,
        flow: Flow,
        response: &Message,
    ) {
        let Some(status) = response.status() else {
            return;
        };
        let Some(leg) = self.legs.get_mut(key) else {
            self.answer_after_the_end(ctx, client, flow, response);
            return;
        };
        leg.flow.connection = flow.connection.or(leg.flow.connection);
        leg.heard = true;
        let ours = leg.invite == Invite::Client { key: Some(client) };
        if ours && matches!(leg.state, LegState::Calling | LegState::Ringing) {
            // who is called may want not to be named to who calls (RFC 3323 §5.1)
            leg.private |= identity::asks_for_privacy(response);
            self.note_data(ctx, key, response);
        }
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        match (leg.state, status.class()) {
            (LegState::Cancelling(_), 1) => {}
            (LegState::Cancelling(cause), 2) => self.refuse_answer(ctx, key, flow, response, cause),
            (LegState::Cancelling(_), _) => self.remove_leg(key),
            (LegState::Answered, 2) if ours => self.second_answer(ctx, key, client, flow, response),
            (LegState::Answered | LegState::Incoming, _) => {}
            (LegState::Calling | LegState::Ringing, _) if !ours => {}
            (LegState::Calling | LegState::Ringing, 1) => {
                self.progress(ctx, key, flow, response);
            }
            (LegState::Calling | LegState::Ringing, 2) => {
                self.answered(ctx, key, client, flow, response)
            }
            (LegState::Calling | LegState::Ringing, _) => self.refused(ctx, key, response),
        }
    }

    /// Keeps what a response to our INVITE says for the caller's application (RFC 7433 §4.2).
    pub(super) fn note_data(&mut self, ctx: &Ctx<'_>, key: Key<Leg>, response: &Message) {
        let data = header_policy::crossing(response, On::Answer, From::Anyone)
            .find_map(|(_, value)| String::from_utf8(value.to_vec()).ok());
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        if let Some(call) = self.calls.get_mut(leg.call) {
            call.data = data.map(|data| (ctx.now.mono, data));
        }
    }

    /// What a side's application said in this very step.
    pub(super) fn data_of(&self, ctx: &Ctx<'_>, call: Key<Call>) -> Option<String> {
        let (at, data) = self.calls.get(call)?.data.as_ref()?;
        (*at == ctx.now.mono).then(|| data.clone())
    }

    /// Reads the answer in a response to our offer.
    pub(super) fn read_answer(&self, key: Key<Leg>, body: Bytes) -> Result<MediaPlan, String> {
        let leg = self.legs.get(key).ok_or("the leg is gone")?;
        let local = leg.audio.local.as_ref().ok_or("we made no offer")?;
        let answer = SdpAnswer::parse(body).map_err(|error| error.to_string())?;
        media::accept(local, &answer).map_err(|refusal| refusal.to_string())
    }

    /// A 2xx: ACK at once, agree on media, and ask the switch what to do with it.
    fn answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        client: ClientKey,
        flow: Flow,
        response: &Message,
    ) {
        let body = sdp_of(response);
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        if !leg.confirm(response, flow) {
            self.fail(ctx, key, StatusCode::SERVER_INTERNAL_ERROR, false);
            return;
        }
        let cseq = leg.request.cseq().number;
        leg.state = LegState::Answered;
        leg.others = None;
        leg.answered_at = Some(ctx.now.wall);
        leg.rang = true;
        self.acknowledge(ctx, key, Some(client), cseq, None);
        self.take_timer(ctx, key, response);
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        // an answer that came reliably stands: what the 2xx repeats means nothing (RFC 3261 §13.2.1)
        let settled = leg.offers.is_stable();
        let plan = match (body, leg.audio.plan.clone()) {
            (_, Some(plan)) if settled => Ok(plan),
            (Some(body), _) => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.audio.heard = Some(body.clone());
                }
                self.read_answer(key, body)
            }
            // some gateways answer in 183 alone, unreliably
            (None, Some(plan)) => Ok(plan),
            (None, None) => Err("the answer carries no session description".to_owned()),
        };
        if let Some(leg) = self.legs.get_mut(key)
            && !settled
            && plan.is_ok()
        {
            let fits = leg.offers.on(Event::Answered);
            debug_assert!(fits.is_ok(), "our offer waits for its answer");
        }
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let call = leg.call;
        match plan {
            Ok(plan) => {
                let (id, party) = (leg.id, leg.party.clone());
                let role = leg.role.as_str().into();
                self.agree(ctx, key, plan);
                if let Some(call) = self.calls.get(call) {
                    ctx.fact(CallFact::Answered {
                        call: call.id,
                        leg: id,
                        role,
                        party,
                    });
                }
                ctx.event(CallEvent::LegAnswered { call, leg: key });
            }
            Err(why) => {
                ctx.out.push(super::calls::CallOutput::Warn(format!(
                    "call {}: {} answered with media that cannot be used: {why}",
                    self.calls
                        .get(call)
                        .map_or_else(Ulid::default, |call| call.id),
                    leg.party.number
                )));
                let event = self.failure(key, StatusCode::NOT_ACCEPTABLE_HERE, false);
                self.bye(ctx, key, Cause::NotAcceptable);
                if let Some(event) = event {
                    ctx.event(event);
                }
            }
        }
    }

    /// Sends the ACK to a 2xx and keeps it for repetition while the peer may repeat its answer.
    pub(super) fn acknowledge(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        client: Option<ClientKey>,
        cseq: u32,
        body: Option<Bytes>,
    ) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let Some(dialog) = &leg.dialog else { return };
        let flow = self.route(dialog, &leg.flow);
        let branch = ctx.tx.branch();
        let sent_by = self.network.sent_by(&flow);
        let builder = dialog.ack(cseq, flow.transport.as_str(), &sent_by, branch.as_ref());
        let ack = match body {
            Some(body) => builder.body("application/sdp", &body),
            None => builder.finish(),
        };
        ctx.acts.push(crate::transaction::Act::Send {
            flow,
            message: ack.clone(),
        });
        if let Some(client) = client {
            self.keep_ack(ctx, client, flow, ack);
        }
    }

    /// Keeps an ACK while the peer may repeat its answer.
    pub(super) fn keep_ack(&mut self, ctx: &Ctx<'_>, client: ClientKey, flow: Flow, ack: Message) {
        let until = ctx.now.mono + limits::T1 * 64 + Duration::from_secs(1);
        let forks = Vec::new();
        let late = LateAck { flow, ack, forks };
        if self.late_acks.insert(client, late).is_none() {
            self.late_acks_lapse.push_back((until, client));
        }
    }

    /// A final response other than 2xx.
    fn refused(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, response: &Message) {
        let Some(status) = response.status() else {
            return;
        };
        if let Some(leg) = self.legs.get_mut(key) {
            leg.note_refusal(response);
        }
        if matches!(status.as_u16(), 415 | 488 | 606) && self.offer_savp(ctx, key) {
            return;
        }
        if status == StatusCode::FLOW_FAILED && self.try_next_flow(ctx, key) {
            return;
        }
        if status == StatusCode::SESSION_INTERVAL_TOO_SMALL
            && self.ask_for_longer_session(ctx, key, response)
        {
            return;
        }
        if status.is_redirect() {
            self.tell_redirects(ctx, key, status, response);
        }
        if matches!(status.as_u16(), 420..=422) {
            // an extension is between the peer and us: the caller can do nothing about it
            self.fail(ctx, key, StatusCode::SERVICE_UNAVAILABLE, false);
            return;
        }
        if !matches!(status.as_u16(), 401 | 407) {
            self.fail(ctx, key, status, false);
            return;
        }
        if self.log_in(ctx, key, response) {
            return;
        }
        if let Some(leg) = self.legs.get(key) {
            let why = match &leg.login {
                Some(login) => format!("refuses the credentials of `{}`", login.username),
                None => "asks for credentials, and there are none for it".to_owned(),
            };
            let who = match &leg.endpoint {
                Endpoint::Trunk(name) => format!("trunk {name}"),
                _ => format!("the device of {} at {}", leg.party.number, leg.flow.remote),
            };
            let id = self
                .calls
                .get(leg.call)
                .map_or_else(Ulid::default, |call| call.id);
            ctx.out
                .push(CallOutput::Warn(format!("call {id}: {who} {why}")));
        }
        // what was asked of us is nothing that the caller could answer
        self.fail(ctx, key, StatusCode::SERVICE_UNAVAILABLE, false);
    }

    /// Keys beside RTP/AVP were refused: a peer that speaks nothing but SRTP may only know it by its own name. False when that was
    /// offered already, or nothing of the kind.
    fn offer_savp(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) -> bool {
        let Some(leg) = self.legs.get_mut(key) else {
            return false;
        };
        let Some(local) = leg.audio.local.as_mut() else {
            return false;
        };
        match &mut local.srtp {
            Some(srtp) if !srtp.savp && !srtp.required => srtp.savp = true,
            Some(_) | None => return false,
        }
        let Ok((body, ())) = describe::issue(&mut leg.audio, |local| Ok((media::offer(local), ())))
        else {
            return false;
        };
        let number = leg.request.cseq().number.saturating_add(1);
        let message = super::asking::again(ctx, &edit::set_body(&leg.request, &body), number);
        leg.audio.sent = Some(body);
        self.invite_again(ctx, key, message);
        true
    }

    /// Sends the INVITE of a leg once more, changed, after its refusal; what responses to the first made is void.
    fn invite_again(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, message: Message) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let client = ctx.tx.send_request(
            ctx.now,
            leg.flow,
            message.clone(),
            User::Invite(key),
            ctx.acts,
        );
        leg.request = message;
        leg.invite = Invite::Client { key: Some(client) };
        leg.state = LegState::Calling;
        leg.forget_early();
    }

    /// Answers a challenge with the leg's credentials; false when there are none or they have been refused.
    fn log_in(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, response: &Message) -> bool {
        let Some(leg) = self.legs.get(key) else {
            return false;
        };
        let Some(login) = leg.login.clone() else {
            return false;
        };
        let (request, logins) = (leg.request.clone(), leg.logins);
        let number = request.cseq().number.saturating_add(1);
        let again = self.with_credentials(ctx, &request, response, &login, logins, number);
        let Some(message) = again else {
            return false;
        };
        if let Some(leg) = self.legs.get_mut(key) {
            leg.logins += 1;
            if let Some(login) = &mut leg.login {
                login.realm = super::asking::realm_of(response, login);
            }
        }
        self.invite_again(ctx, key, message);
        true
    }

    /// 422: the INVITE once more with a session that is long enough (RFC 4028 §7.4); false when that is no way.
    fn ask_for_longer_session(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        response: &Message,
    ) -> bool {
        let Some((expires, min)) = self.with_longer_session(key, response) else {
            return false;
        };
        let Some(leg) = self.legs.get_mut(key) else {
            return false;
        };
        if leg.longer >= LONGER_MAX {
            return false;
        }
        leg.longer += 1;
        let request = leg.request.clone();
        let message = edit::replace(&request, Name::SessionExpires, expires.as_bytes());
        let message = edit::replace(&message, Name::MinSe, min.as_bytes());
        let number = request.cseq().number.saturating_add(1);
        let message = super::asking::again(ctx, &message, number);
        self.invite_again(ctx, key, message);
        true
    }

    /// No final response came, or the way to the peer is broken.
    pub fn on_invite_lost(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        match self.legs.get(key).map(|leg| leg.state) {
            Some(LegState::Calling) if self.try_next_flow(ctx, key) => {}
            Some(LegState::Calling | LegState::Ringing) => {
                self.fail(ctx, key, StatusCode::REQUEST_TIMEOUT, true);
            }
            Some(LegState::Cancelling(_)) => self.remove_leg(key),
            Some(LegState::Answered | LegState::Incoming) | None => {}
        }
    }

    pub(super) fn failure(
        &self,
        key: Key<Leg>,
        status: StatusCode,
        dead: bool,
    ) -> Option<CallEvent> {
        let leg = self.legs.get(key)?;
        Some(CallEvent::LegFailed {
            call: leg.call,
            leg: key,
            role: leg.role,
            endpoint: leg.endpoint.clone(),
            flow: leg.flow,
            status,
            dead: dead && leg.state == LegState::Calling,
        })
    }

    fn fail(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, status: StatusCode, dead: bool) {
        let Some(event) = self.failure(key, status, dead) else {
            return;
        };
        let call = self.legs.get(key).map(|leg| leg.call);
        self.detach(ctx, key, status.as_u16());
        self.remove_leg(key);
        ctx.event(event);
        if let Some(call) = call {
            self.close_if_over(ctx, call);
        }
    }

    /// Payload formats of a leg's agreement, for views.
    pub fn codec_of(plan: &MediaPlan) -> Option<String> {
        plan.payloads
            .iter()
            .find(|payload: &&Payload| payload.codec.is_speech())
            .map(|payload| payload.codec.name().to_owned())
    }

    /// Product name for messages of ours outside of calls.
    pub fn product(&self) -> Arc<str> {
        self.product.clone()
    }
}
