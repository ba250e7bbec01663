//! Requests in the dialog of a leg: which are served, and how.

use super::calls::{CallEvent, Calls, Ctx};
use super::incoming::ALLOW;
use super::leg::{Invite, Leg, LegState};
use crate::base::Key;
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::Flow;

/// The user part of our Contact on a leg, as the opening INVITE showed it.
pub(super) fn contact_user(leg: &Leg) -> String {
    let user = match leg.invite {
        Invite::Server { .. } => leg.request.uri().ok().and_then(|uri| uri.user),
        Invite::Client { .. } => leg
            .request
            .contacts()
            .next()
            .and_then(Result::ok)
            .and_then(|contact| contact.uri().and_then(|uri| uri.user)),
    };
    user.and_then(|user| std::str::from_utf8(user).ok())
        .unwrap_or_default()
        .to_owned()
}

impl Calls {
    /// Takes a request with a To tag. False when it belongs to none of our dialogs: the switch answers 481.
    pub fn in_dialog(
        &mut self,
        ctx: &mut Ctx<'_>,
        server: ServerKey,
        flow: Flow,
        request: &Message,
    ) -> bool {
        let Some(key) = self.leg_of(request) else {
            return false;
        };
        let Some(leg) = self.legs.get_mut(key) else {
            return false;
        };
        // a leg that only waits for an ACK before its BYE is out of its call: whatever would change it comes too late, and audio
        // that it opened now would belong to nobody
        let is_ending = leg.bye_when_acked.is_some() && *request.method() != Method::Bye;
        if is_ending || matches!(leg.state, LegState::Cancelling(_)) {
            return false;
        }
        if let Some(dialog) = leg.dialog.as_mut() {
            if dialog.receive(request, flow).is_err() {
                self.reply(ctx, server, request, StatusCode::SERVER_INTERNAL_ERROR);
                return true;
            }
            leg.flow = flow;
        }
        match request.method() {
            Method::Bye => {
                self.reply(ctx, server, request, StatusCode::OK);
                self.on_bye(ctx, key, request);
            }
            Method::Invite | Method::Update => self.on_change(ctx, key, server, request.clone()),
            Method::Info => {
                self.reply(ctx, server, request, StatusCode::OK);
                self.on_info(ctx, key, request);
            }
            Method::Options => self.reply(ctx, server, request, StatusCode::OK),
            Method::Prack => self.reply(ctx, server, request, StatusCode::CALL_DOES_NOT_EXIST),
            Method::Refer => self.on_refer(ctx, key, server, request),
            Method::Subscribe if self.resubscribe(ctx, key, server, request).is_some() => {}
            Method::Subscribe | Method::Notify => {
                self.reply(ctx, server, request, StatusCode::BAD_EVENT);
            }
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Message
            | Method::Publish
            | Method::Other(_) => self.reply(ctx, server, request, StatusCode::METHOD_NOT_ALLOWED),
        }
        true
    }

    pub(super) fn reply(
        &mut self,
        ctx: &mut Ctx<'_>,
        server: ServerKey,
        request: &Message,
        status: StatusCode,
    ) {
        let mut builder = Builder::response(request, status, "");
        if matches!(status.as_u16(), 200 | 405) && *request.method() != Method::Bye {
            builder = builder.header(Name::Allow, ALLOW);
        }
        ctx.tx.respond(ctx.now, server, builder.finish(), ctx.acts);
    }

    /// Keys sent as INFO: `application/dtmf-relay` with `Signal=5`, or `application/dtmf` with the key alone.
    fn on_info(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, request: &Message) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let call = leg.call;
        let is_caller = self.calls.get(call).is_some_and(|call| call.a == Some(key));
        let kind = request.content_type().unwrap_or_default();
        let Ok(body) = std::str::from_utf8(request.body()) else {
            return;
        };
        let signal = if kind.starts_with(b"application/dtmf-relay") {
            body.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("signal"))
                .map(|(_, value)| value.trim())
        } else if kind.starts_with(b"application/dtmf") {
            Some(body.trim())
        } else {
            None
        };
        let digit = match signal {
            Some("10") => Some('*'),
            Some("11") => Some('#'),
            Some(text) => text.chars().next().map(|char| char.to_ascii_uppercase()),
            None => None,
        };
        if let Some(digit) = digit
            && is_caller
            && "0123456789*#ABCD".contains(digit)
        {
            ctx.event(CallEvent::Digit { call, digit });
        }
    }
}
