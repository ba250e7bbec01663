//! Reliable provisional responses, both ways (RFC 3262): ours to a caller until its PRACK, a callee's acknowledged by our PRACK.

use std::collections::VecDeque;

use bytes::Bytes;

use super::calls::{Asked, Calls, Ctx};
use super::cause::Cause;
use super::due::Due;
use super::incoming::sdp_of;
use super::leg::{Invite, Leg};
use super::policy::Prack;
use crate::base::{Duration, Instant, Key, limits};
use crate::dialog::offer_answer::Event;
use crate::sip::header::reliable::rseq;
use crate::sip::{Builder, Message, Method, Name, RAck, StatusCode};
use crate::transaction::ServerKey;

/// Provisional responses that wait for the PRACK of the one before; a later one of the same status replaces the earlier.
const WAITING_MAX: usize = 4;

/// Our reliable provisional responses to one INVITE.
#[derive(Debug, Default)]
pub struct Reliable {
    /// RSeq of the last one; 0 before the first.
    last: u32,
    /// The one that has no PRACK yet; there is never a second (RFC 3262 §3).
    open: Option<Open>,
    /// What is to be told after it: status and description.
    waiting: VecDeque<(u16, Option<Bytes>)>,
    /// The 2xx that must not leave before the description in `open` is acknowledged.
    pub(super) answer: Option<Message>,
}

#[derive(Debug)]
struct Open {
    message: Message,
    interval: Duration,
    since: Instant,
    describes: bool,
}

impl Reliable {
    /// True while a response waits for its PRACK.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// True while the 2xx must wait (RFC 3262 §3).
    pub(super) fn holds_answer(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.describes)
    }

    /// Keeps what can be told only after the PRACK.
    pub(super) fn wait(&mut self, code: u16, sdp: Option<Bytes>) {
        self.waiting
            .retain(|(other, old)| *other != code || (old.is_some() && sdp.is_none()));
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((code, sdp));
        }
    }

    /// The INVITE has its final response: nothing is repeated any more.
    pub(super) fn finish(&mut self) {
        self.open = None;
        self.waiting.clear();
        self.answer = None;
    }
}

impl Leg {
    /// True when a provisional response to this caller is sent reliably.
    pub(super) fn is_told_reliably(&self, describes: bool) -> bool {
        let knows = self.request.has_option_tag(Name::Supported, "100rel");
        let insists = self.request.has_option_tag(Name::Require, "100rel");
        match self.policy.prack {
            Prack::Off => false,
            Prack::Supported => insists || (describes && knows),
            Prack::Required => insists || knows,
        }
    }
}

impl Calls {
    /// Sends a provisional response that asks for a PRACK.
    pub(super) fn tell_reliably(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        builder: Builder,
        sdp: Option<Bytes>,
    ) {
        let first = u32::try_from(self.entropy.below(1 << 30)).unwrap_or(0);
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let Invite::Server { key: server, .. } = leg.invite else {
            return;
        };
        // RFC 3262 §3: the first number from 1 to 2^31 - 1, then one more each
        leg.reliable.last = match leg.reliable.last {
            0 => first + 1,
            last => last + 1,
        };
        let builder = builder
            .header(Name::Require, "100rel")
            .header_fmt(Name::RSeq, format_args!("{}", leg.reliable.last));
        let describes = sdp.is_some();
        let message = match sdp {
            Some(sdp) => {
                // an answer that is sent reliably completes the exchange, and so stands for good
                if leg.offers.owes_answer() {
                    let fits = leg.offers.on(Event::Answer);
                    debug_assert!(fits.is_ok(), "an answer was owed");
                }
                builder.body("application/sdp", &sdp)
            }
            None => builder.finish(),
        };
        leg.reliable.open = Some(Open {
            message: message.clone(),
            interval: limits::T1,
            since: ctx.now.mono,
            describes,
        });
        ctx.tx.respond(ctx.now, server, message, ctx.acts);
        self.arm(key, Due::Provisional, ctx.now.mono + limits::T1);
    }

    /// No PRACK has come: once more, or after 64 × T1 the end of the call (RFC 3262 §3).
    pub(super) fn repeat_provisional(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let Invite::Server { key: server, .. } = leg.invite else {
            return;
        };
        let Some(open) = leg.reliable.open.as_mut() else {
            return;
        };
        if ctx.now.mono.since(open.since) >= limits::T1 * 64 {
            self.lose_leg(ctx, key, Cause::Status(StatusCode::SERVER_TIMEOUT));
            return;
        }
        open.interval *= 2;
        let next = (ctx.now.mono + open.interval).min(open.since + limits::T1 * 64);
        let message = open.message.clone();
        ctx.tx.respond(ctx.now, server, message, ctx.acts);
        self.arm(key, Due::Provisional, next);
    }

    /// PRACK of the caller.
    pub(super) fn on_prack(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
    ) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let Some(Ok(rack)) = request.header(Name::RAck).map(RAck::parse) else {
            self.reply(ctx, server, request, StatusCode::BAD_REQUEST);
            return;
        };
        let matches = leg.reliable.is_open()
            && rack.rseq == leg.reliable.last
            && rack.cseq == leg.request.cseq().number
            && rack.method == Method::Invite;
        if !matches {
            let unknown = StatusCode::CALL_DOES_NOT_EXIST;
            self.reply(ctx, server, request, unknown);
            return;
        }
        let answer = match self.description_in_prack(ctx, key, request) {
            Ok(answer) => answer,
            Err(status) => {
                self.reply(ctx, server, request, status);
                return;
            }
        };
        self.disarm(key, Due::Provisional);
        let builder = Builder::response(request, StatusCode::OK, "");
        let message = match answer {
            Some(sdp) => builder.body("application/sdp", &sdp),
            None => builder.finish(),
        };
        ctx.tx.respond(ctx.now, server, message, ctx.acts);
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        leg.reliable.open = None;
        if let Some(answer) = leg.reliable.answer.take() {
            leg.reliable.finish();
            self.send_answer(ctx, key, answer);
        } else if let Some((code, sdp)) = leg.reliable.waiting.pop_front() {
            self.tell_now(ctx, key, code, sdp);
        }
    }

    /// A PRACK may bring the answer to an offer in our response, or a new offer once the first exchange is over (RFC 3262 §5).
    fn description_in_prack(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        request: &Message,
    ) -> Result<Option<Bytes>, StatusCode> {
        let Some(leg) = self.legs.get(key) else {
            return Ok(None);
        };
        let body = sdp_of(request);
        if leg.offers.awaits_answer() {
            let body = body.ok_or(StatusCode::BAD_REQUEST)?;
            let plan = self
                .read_answer(key, body.clone())
                .map_err(|_| StatusCode::NOT_ACCEPTABLE_HERE)?;
            self.take_answer(ctx, key, body, plan);
            return Ok(None);
        }
        let Some(body) = body else {
            return match request.body().is_empty() {
                true => Ok(None),
                false => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            };
        };
        self.answer_alone(ctx, key, body).map(Some)
    }

    /// Acknowledges a reliable provisional response of a callee. False when the response must not be looked at: it came before, or out
    /// of its order (RFC 3262 §4).
    pub(super) fn acknowledge_provisional(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        response: &Message,
    ) -> bool {
        if !response.has_option_tag(Name::Require, "100rel") {
            return true;
        }
        let Some(Ok(number)) = response.header(Name::RSeq).map(rseq) else {
            return false;
        };
        let Some(leg) = self.legs.get_mut(key) else {
            return false;
        };
        if leg
            .rseq
            .is_some_and(|last| Some(number) != last.checked_add(1))
        {
            return false;
        }
        leg.rseq = Some(number);
        let cseq = response.cseq().number;
        self.ask(ctx, key, &Method::Prack, Asked::Prack, |builder| {
            builder
                .header_fmt(Name::RAck, format_args!("{number} {cseq} INVITE"))
                .finish()
        });
        true
    }
}
