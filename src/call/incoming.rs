//! A party calls: its leg opens, is told of progress, answered or refused (RFC 3261 §13.3).

use std::sync::Arc;

use bytes::Bytes;

use super::calls::{Call, CallEvent, CallOutput, Calls, Ctx};
use super::cause::Cause;
use super::due::Due;
use super::leg::{Audio, Endpoint, Invite, Leg, LegState, NewLeg, PeerLogin, Role};
use super::loops::{BREADTH_MAX, Cookie, breadth_of};
use super::policy::{InvitePolicy, Prack};
use super::session_timer;
use super::transfer::Unmet;
use crate::base::{Duration, Key, id};
use crate::dialog::offer_answer::{Event, Exchange};
use crate::dialog::{Dialog, OfferAnswer, Tag};
use crate::event::{CallFact, CallRecord, Direction, Outcome, Party};
use crate::media::{self, Codec, Payload};
use crate::sdp::SdpOffer;
use crate::sip::{Builder, Message, Name, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::Flow;

/// Methods that we serve in a dialog, for Allow.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER";

/// An INVITE that opens a call, its sender known.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its transaction.
    pub server: ServerKey,
    /// Where it came from.
    pub flow: Flow,
    /// The request.
    pub invite: Message,
    /// The sender as configured.
    pub endpoint: Endpoint,
    /// The sender for people.
    pub from: Party,
    /// Whom it asks for.
    pub to: Party,
    /// Where the call comes from.
    pub direction: Direction,
    /// What we answer with when the sender challenges our requests.
    pub login: Option<PeerLogin>,
    /// The registered device that calls, if it is one.
    pub device: Option<u64>,
    /// The sender is not to be named to whom it calls.
    pub private: bool,
    /// What it asks for and on whose behalf, as a fingerprint.
    pub cookie: Option<Cookie>,
}

/// Why an INVITE opens no call: a status, and the header that the status needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The final status.
    pub status: StatusCode,
    /// For example Min-SE with 422.
    pub header: Option<(Name, String)>,
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Refusal {
            status,
            header: None,
        }
    }
}

/// Are our rules for this peer and its own wishes compatible (RFC 3262 §3, RFC 4028 §9)?
fn check_extensions(invite: &Message, policy: &InvitePolicy) -> Result<(), Refusal> {
    let tagged = |name, status| Refusal {
        status,
        header: Some((name, "100rel".to_owned())),
    };
    let insists = invite.has_option_tag(Name::Require, "100rel");
    let knows = insists || invite.has_option_tag(Name::Supported, "100rel");
    match policy.prack {
        Prack::Off if insists => {
            return Err(tagged(Name::Unsupported, StatusCode::BAD_EXTENSION));
        }
        Prack::Required if !knows => {
            return Err(tagged(Name::Require, StatusCode::EXTENSION_REQUIRED));
        }
        Prack::Off | Prack::Supported | Prack::Required => {}
    }
    if !reads_descriptions(invite) {
        return Err(StatusCode::NOT_ACCEPTABLE.into());
    }
    match session_timer::too_small(invite, policy) {
        Some(min) => Err(Refusal {
            status: StatusCode::SESSION_INTERVAL_TOO_SMALL,
            header: Some((Name::MinSe, min.to_string())),
        }),
        None => Ok(()),
    }
}

/// False when the sender names what it reads and a session description is not among it (RFC 3261 §21.4.7, RFC 4475 §3.3.15). Who names
/// nothing reads them.
fn reads_descriptions(invite: &Message) -> bool {
    let mut named = invite
        .headers(Name::Accept)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .filter_map(|value| value.split(|&byte| byte == b';').next())
        .map(<[u8]>::trim_ascii)
        .filter(|kind| !kind.is_empty())
        .peekable();
    named.peek().is_none()
        || named.any(|kind| {
            [&b"application/sdp"[..], b"application/*", b"*/*"]
                .iter()
                .any(|read| kind.eq_ignore_ascii_case(read))
        })
}

/// What the leg of an INVITE begins with.
pub(super) struct Opening {
    tag: Tag,
    dialog: Dialog,
    audio: Audio,
    offers: OfferAnswer,
    policy: InvitePolicy,
}

/// The offer in a request or response, if its body is one.
pub(super) fn sdp_of(message: &Message) -> Option<Bytes> {
    if message.body().is_empty() {
        return None;
    }
    let kind = message.content_type()?;
    let kind = kind.split(|&byte| byte == b';').next()?.trim_ascii();
    kind.eq_ignore_ascii_case(b"application/sdp")
        .then(|| Bytes::copy_from_slice(message.body()))
}

impl Calls {
    /// Opens a call for an INVITE. An error is the final status to refuse it with.
    pub fn incoming(
        &mut self,
        ctx: &mut Ctx<'_>,
        incoming: Incoming,
    ) -> Result<Key<Call>, Refusal> {
        let opening = self.read_opening(&incoming)?;
        let to = incoming.to.clone();
        let (cookie, breadth) = (incoming.cookie, breadth_of(&incoming.invite));
        let call = self.open_call(ctx, incoming.direction, incoming.from.clone(), to);
        let key = self.open_leg(ctx, incoming, opening, call, Role::Caller);
        if let Some(open) = self.calls.get_mut(call) {
            open.a = Some(key);
            open.cookie = cookie;
            open.breadth.0 = breadth;
        }
        Ok(call)
    }

    /// What an INVITE says of its dialog and its audio, before anything is made of it.
    pub(super) fn read_opening(&mut self, incoming: &Incoming) -> Result<Opening, Refusal> {
        let bad = StatusCode::BAD_REQUEST;
        let policy = self.network.policy(&incoming.endpoint, &incoming.flow);
        check_extensions(&incoming.invite, &policy)?;
        let tag = Tag::new(&mut self.entropy);
        let dialog = Dialog::uas(&incoming.invite, tag, incoming.flow).ok_or(bad)?;
        let mut offers = OfferAnswer::called();
        let mut audio = Audio::default();
        if let Some(body) = sdp_of(&incoming.invite) {
            audio.heard = Some(body.clone());
            let offer = SdpOffer::parse(body).map_err(|_| bad)?;
            if let Some(face) = self.network.profile(incoming.flow.profile) {
                media::judge(offer.session(), face.srtp)
                    .map_err(|refusal| StatusCode::new(refusal.status()).expect("a status"))?;
            }
            audio.offer = Some(offer);
            let fits = offers.on(Event::Offered);
            debug_assert!(fits.is_ok(), "the first offer of a dialog");
        } else if !incoming.invite.body().is_empty() {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into());
        }
        Ok(Opening {
            tag,
            dialog,
            audio,
            offers,
            policy,
        })
    }

    /// The leg of an INVITE, as one of `call`.
    pub(super) fn open_leg(
        &mut self,
        ctx: &Ctx<'_>,
        incoming: Incoming,
        opening: Opening,
        call: Key<Call>,
        role: Role,
    ) -> Key<Leg> {
        let Opening {
            tag,
            dialog,
            audio,
            offers,
            policy,
        } = opening;
        let mut leg = Leg::new(NewLeg {
            id: id::ulid(ctx.now.wall, &mut self.entropy),
            call,
            role,
            party: incoming.from,
            endpoint: incoming.endpoint,
            state: LegState::Incoming,
            invite: Invite::Server {
                key: incoming.server,
                acked: false,
            },
            tag,
            flow: incoming.flow,
            policy,
            started_at: ctx.now.wall,
        });
        let expires = incoming.invite.expires();
        leg.dialog = Some(dialog);
        leg.offers = offers;
        leg.allows.note(&incoming.invite);
        leg.request = incoming.invite;
        leg.audio = audio;
        leg.login = incoming.login;
        leg.private = incoming.private;
        leg.device = incoming.device;
        let key = self.legs.insert(leg);
        self.by_tag.insert(tag, key);
        self.by_server.insert(incoming.server, key);
        if let Some(open) = self.calls.get_mut(call) {
            open.legs.push(key);
        }
        self.count_in(key);
        if let Some(seconds) = expires.filter(|&seconds| seconds > 0) {
            let at = ctx.now.mono + Duration::from_secs(u64::from(seconds));
            self.arm(key, Due::Expiry, at);
        }
        key
    }

    /// The time is over for which the caller's invitation was good (RFC 3261 §13.3.1): 487, as if it had taken it back.
    pub(super) fn invitation_expired(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let Some(call) = self.legs.get(key).map(|leg| leg.call) else {
            return;
        };
        self.refuse_leg(ctx, key, Cause::CallerGone);
        ctx.event(CallEvent::CallerGone { call });
    }

    /// Opens a call in the books; its record is journaled before anything of it leaves.
    pub fn open_call(
        &mut self,
        ctx: &mut Ctx<'_>,
        direction: Direction,
        from: Party,
        to: Party,
    ) -> Key<Call> {
        let id = id::ulid(ctx.now.wall, &mut self.entropy);
        let record = CallRecord {
            id,
            direction,
            from: from.clone(),
            to: to.clone(),
            started_at: ctx.now.wall,
            answered_at: None,
            ended_at: None,
            outcome: Outcome::Failed,
            ended_by: String::new(),
            duration_secs: 0.0,
            queues: Vec::new(),
            agent: None,
            legs: Vec::new(),
            transfers: Vec::new(),
            gates: Vec::new(),
            recovered: false,
        };
        ctx.out.push(CallOutput::Opened(Box::new(record.clone())));
        ctx.fact(CallFact::Started {
            call: id,
            direction,
            from,
            to,
        });
        self.total += 1;
        let key = self.calls.insert(Call {
            id,
            a: None,
            b: None,
            transferor: None,
            with: None,
            unmet: Unmet::Nobody,
            early: None,
            breadth: (BREADTH_MAX, 1),
            cookie: None,
            elsewhere: Vec::new(),
            legs: Vec::with_capacity(2),
            record,
            closing_streams: Vec::new(),
            worker: None,
            ending: false,
            failed: None,
            play: 0,
            playing: false,
            started: ctx.now.mono,
            answered: None,
            said: (ctx.now.mono, Vec::new()),
            data: None,
            queue_music: None,
            held: None,
        });
        self.by_id.insert(id, key);
        key
    }

    /// What the caller offers that its profile allows, in the caller's order; `None` when the offer is still to come from us.
    pub fn caller_offers(&self, call: Key<Call>) -> Option<Vec<Payload>> {
        let leg = self.caller(call)?;
        if let Some(plan) = &leg.audio.plan {
            return Some(plan.payloads.clone());
        }
        let offer = leg.audio.offer.as_ref()?;
        Some(self.allowed(&leg.flow, media::payloads_of(offer.session())))
    }

    /// Keeps what the profile of `flow` allows; telephone-event always.
    pub(super) fn allowed(&self, flow: &Flow, payloads: Vec<Payload>) -> Vec<Payload> {
        let Some(face) = self.network.profile(flow.profile) else {
            return payloads;
        };
        payloads
            .into_iter()
            .filter(|payload| {
                payload.codec == Codec::TelephoneEvent
                    || face.codecs.iter().any(|known| known.codec == payload.codec)
            })
            .collect()
    }

    /// What to offer on `flow` for a party that has `theirs`: what both can, then what can be transcoded to.
    pub(super) fn bridgeable(&self, flow: &Flow, theirs: Vec<Payload>) -> Vec<Payload> {
        let understood = theirs.iter().any(|payload| payload.codec.coder().is_some());
        let direct = self.allowed(flow, theirs);
        let Some(face) = self.network.profile(flow.profile).filter(|_| understood) else {
            return direct;
        };
        if direct.iter().any(|payload| payload.codec.is_speech()) {
            return media::widen(direct, &face.codecs);
        }
        let ours = face.codecs.iter().filter(|p| p.codec.coder().is_some());
        ours.cloned().chain(direct).collect()
    }

    /// What we offer on our own account on `flow`.
    pub(super) fn our_codecs(&self, flow: &Flow, endpoint_only: bool) -> Vec<Payload> {
        let mut list: Vec<Payload> = self
            .network
            .profile(flow.profile)
            .map(|face| face.codecs.clone())
            .unwrap_or_default()
            .into_iter()
            .filter(|payload| !endpoint_only || matches!(payload.codec, Codec::Pcma | Codec::Pcmu))
            .collect();
        list.push(Payload::telephone_event(101));
        list
    }

    /// Tells the caller of progress, once per status (RFC 3261 §13.3.1.1). `sdp` makes it early media.
    pub(super) fn tell(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, code: u16, sdp: Option<Bytes>) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        if leg.state != LegState::Incoming || (leg.told == code && sdp.is_none()) {
            return;
        }
        leg.told = code;
        leg.rang |= code == 180;
        if leg.reliable.is_open() {
            leg.reliable.wait(code, sdp);
        } else {
            self.tell_now(ctx, key, code, sdp);
        }
    }

    /// Sends a provisional response that nothing holds back.
    pub(super) fn tell_now(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        code: u16,
        sdp: Option<Bytes>,
    ) {
        let mut sdp = sdp;
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let Invite::Server { key: server, .. } = leg.invite else {
            return;
        };
        if leg.state != LegState::Incoming {
            return;
        }
        let reliably = leg.is_told_reliably(sdp.is_some());
        if reliably && leg.offers.exchange() == Exchange::Fresh {
            // who calls without an offer gets ours in the first reliable response (RFC 3261 §13.2.1)
            let ours = self.our_codecs(&leg.flow, true);
            let Ok(body) = self.write_offer(ctx, key, ours, crate::sdp::Direction::SendRecv) else {
                return;
            };
            if let Some(leg) = self.legs.get_mut(key) {
                leg.audio.sent = Some(body.clone());
                let fits = leg.offers.on(Event::Offer);
                debug_assert!(fits.is_ok(), "nothing was offered before");
            }
            sdp = Some(body);
        }
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let status = StatusCode::new(code).expect("a provisional status");
        let contact = self
            .network
            .contact(&leg.flow, user_of(&leg.request).as_ref());
        let builder = Builder::response(&leg.request, status, "")
            .to_tag(leg.tag.as_bytes())
            .copy(&leg.request, Name::RecordRoute)
            .header(Name::Contact, contact)
            .header(Name::Allow, ALLOW);
        let builder = match self.data_of(ctx, leg.call) {
            Some(data) => builder.header(Name::UserToUser, data),
            None => builder,
        };
        if reliably {
            self.tell_reliably(ctx, key, builder, sdp);
            return;
        }
        let message = match sdp {
            Some(sdp) => builder.body("application/sdp", &sdp),
            None => builder.finish(),
        };
        ctx.tx.respond(ctx.now, server, message, ctx.acts);
    }

    /// The caller hears ringing from its own phone.
    pub fn ring(&mut self, ctx: &mut Ctx<'_>, call: Key<Call>) {
        if let Some(a) = self.calls.get(call).and_then(|call| call.a) {
            self.tell(ctx, a, 180, None);
        }
    }

    /// Answers the caller ourselves, to play and listen (RFC 3261 §13.3.1.4). True when the caller is, or already was, answered.
    /// A caller who has no codec that we can play is refused with 488 and the call is over.
    pub fn answer(&mut self, ctx: &mut Ctx<'_>, call: Key<Call>) -> bool {
        let Some(key) = self.calls.get(call).and_then(|call| call.a) else {
            return false;
        };
        let Some(leg) = self.legs.get(key) else {
            return false;
        };
        if leg.is_answered() {
            if let Some(call) = self.calls.get_mut(call) {
                call.note_answered(ctx);
            }
            return true;
        }
        let ours = self.our_codecs(&leg.flow, true);
        match self.answer_leg(ctx, key, ours, crate::sdp::Direction::SendRecv) {
            Ok(()) => true,
            Err(status) => {
                self.hangup(ctx, call, Cause::Status(status), "system: no common codec");
                false
            }
        }
    }

    /// Sends 200 with an answer (or an offer, when the caller made none) made of `payloads`.
    pub(super) fn answer_leg(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        payloads: Vec<Payload>,
        direction: crate::sdp::Direction,
    ) -> Result<(), StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        // a description that went reliably is not repeated: the exchange is over, or its answer is due in a PRACK
        let exchange = self.legs.get(key).ok_or(gone)?.offers.exchange();
        let body = match exchange {
            Exchange::Stable | Exchange::Ours { .. } => None,
            Exchange::Fresh | Exchange::Theirs { .. } => {
                Some(self.describe(ctx, key, payloads, direction)?)
            }
        };
        let leg = self.legs.get_mut(key).ok_or(gone)?;
        if !matches!(leg.invite, Invite::Server { .. }) {
            return Err(gone);
        }
        let event = match exchange {
            Exchange::Fresh => Some(Event::Offer),
            Exchange::Theirs { .. } => Some(Event::Answer),
            Exchange::Stable | Exchange::Ours { .. } => None,
        };
        if let Some(event) = event {
            let fits = leg.offers.on(event);
            debug_assert!(fits.is_ok(), "the 2xx completes the exchange");
            leg.audio.answer_due_in_ack = event == Event::Offer;
        }
        leg.state = LegState::Answered;
        leg.answered_at = Some(ctx.now.wall);
        let contact = self
            .network
            .contact(&leg.flow, user_of(&leg.request).as_ref());
        let mut builder = Builder::response(&leg.request, StatusCode::OK, "")
            .to_tag(leg.tag.as_bytes())
            .copy(&leg.request, Name::RecordRoute)
            .header(Name::Contact, contact)
            .header(Name::Allow, ALLOW)
            .header(Name::Server, self.product.as_bytes());
        let (request, call) = (leg.request.clone(), leg.call);
        if let Some(data) = self.data_of(ctx, call) {
            builder = builder.header(Name::UserToUser, data);
        }
        for (name, value) in self.shown_to(key) {
            builder = builder.header(name, value);
        }
        builder = self.grant_timer(ctx, key, &request, builder);
        let message = match body {
            Some(body) => builder.body("application/sdp", &body),
            None => builder.finish(),
        };
        let leg = self.legs.get_mut(key).ok_or(gone)?;
        let (call_key, id) = (leg.call, leg.id);
        let (role, party) = (leg.role.as_str().into(), leg.party.clone());
        if let Some(call) = self.calls.get_mut(call_key) {
            if call.a == Some(key) {
                call.note_answered(ctx);
            }
            ctx.fact(CallFact::Answered {
                call: call.id,
                leg: id,
                role,
                party,
            });
        }
        match self.legs.get_mut(key) {
            Some(leg) if leg.reliable.holds_answer() => leg.reliable.answer = Some(message),
            _ => self.send_answer(ctx, key, message),
        }
        Ok(())
    }

    /// The 2xx leaves.
    pub(super) fn send_answer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, message: Message) {
        self.disarm(key, Due::Provisional);
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        leg.reliable.finish();
        if let Invite::Server { key: server, .. } = leg.invite {
            ctx.tx.respond(ctx.now, server, message, ctx.acts);
        }
    }

    /// Our description for the caller: the one already sent as early media, the answer to its offer, or our own offer.
    pub(super) fn describe(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        payloads: Vec<Payload>,
        direction: crate::sdp::Direction,
    ) -> Result<Bytes, StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let leg = self.legs.get_mut(key).ok_or(gone)?;
        if let (Some(sent), Some(_)) = (&leg.audio.sent, &leg.audio.plan) {
            return Ok(sent.clone());
        }
        match leg.audio.offer.clone() {
            Some(offer) => {
                // early media that cannot be passed on leaves the offer to be answered later
                let (body, plan) = self.write_answer(ctx, key, &offer, payloads, direction)?;
                let leg = self.legs.get_mut(key).ok_or(gone)?;
                leg.audio.sent = Some(body.clone());
                self.agree(ctx, key, plan);
                Ok(body)
            }
            None => {
                let body = self.write_offer(ctx, key, payloads, direction)?;
                let leg = self.legs.get_mut(key).ok_or(gone)?;
                leg.audio.sent = Some(body.clone());
                Ok(body)
            }
        }
    }

    /// Refuses the caller with a final status (RFC 3261 §13.3.1.3).
    pub(super) fn refuse_leg(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, cause: Cause) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let Invite::Server { key: server, .. } = leg.invite else {
            return;
        };
        let status = cause.status();
        let mut builder = Builder::response(&leg.request, status, "")
            .to_tag(leg.tag.as_bytes())
            .header(Name::Server, self.product.as_bytes())
            .header(Name::Reason, cause.reason());
        if let Some(data) = self.data_of(ctx, leg.call) {
            builder = builder.header(Name::UserToUser, data);
        }
        if status.as_u16() == 503 {
            builder = builder.header(Name::RetryAfter, "5");
        }
        if status.is_redirect()
            && let Some(call) = self.calls.get(leg.call)
        {
            for contact in &call.elsewhere {
                builder = builder.header(Name::Contact, contact);
            }
        }
        ctx.tx.respond(ctx.now, server, builder.finish(), ctx.acts);
        if let Some(leg) = self.legs.get_mut(key) {
            leg.reliable.finish();
        }
        self.detach(ctx, key, status.as_u16());
        self.remove_leg(key);
    }
}

/// The user part that the caller asked for, as our Contact towards it.
fn user_of(invite: &Message) -> Arc<str> {
    invite
        .uri()
        .ok()
        .and_then(|uri| uri.user)
        .and_then(|user| std::str::from_utf8(user).ok())
        .filter(|user| {
            user.bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"<>@\"".contains(&byte))
        })
        .map(Arc::from)
        .unwrap_or_default()
}
