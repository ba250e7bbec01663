//! Requests in the dialog of a leg: which are served, and how.

use super::calls::{Calls, Ctx};
use super::incoming::ALLOW;
use super::leg::{Invite, Leg, LegState};
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
        if leg.is_called_early() {
            // each branch of a fork behind the party speaks in a dialog of its own
            let known = leg.select(request.from_tag().unwrap_or_default());
            if !known && *request.method() != Method::Bye {
                return false;
            }
        }
        if let Some(dialog) = leg.dialog.as_mut().filter(|dialog| dialog.matches(request)) {
            if dialog.receive(request, flow).is_err() {
                self.reply(ctx, server, request, StatusCode::SERVER_INTERNAL_ERROR);
                return true;
            }
            leg.flow = flow;
        }
        if let Some(unknown) = unknown_extensions(request) {
            let response = Builder::response(request, StatusCode::BAD_EXTENSION, "")
                .header(Name::Unsupported, unknown)
                .finish();
            ctx.tx.respond(ctx.now, server, response, ctx.acts);
            return true;
        }
        match request.method() {
            Method::Bye => {
                self.reply(ctx, server, request, StatusCode::OK);
                self.on_bye(ctx, key, request);
            }
            Method::Invite | Method::Update => self.on_change(ctx, key, server, request.clone()),
            Method::Refer => self.on_refer(ctx, key, server, request),
            Method::Subscribe if self.resubscribe(ctx, key, server, request).is_some() => {}
            Method::Info => self.on_info(ctx, key, server, request),
            Method::Options => self.reply(ctx, server, request, StatusCode::OK),
            Method::Prack => self.on_prack(ctx, key, server, request),
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

    /// A response without a body to a request in a dialog, with the headers that its status needs.
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
        if status == StatusCode::SERVER_INTERNAL_ERROR {
            let seconds = self.entropy.below(10).to_string();
            builder = builder.header(Name::RetryAfter, seconds);
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            builder = match request.method() {
                Method::Info => builder.header(Name::Accept, super::info::ACCEPT),
                _ => builder.header(Name::Accept, "application/sdp"),
            };
        }
        ctx.tx.respond(ctx.now, server, builder.finish(), ctx.acts);
    }
}

/// Extensions that a request may insist on.
pub const EXTENSIONS: &[&str] = &[
    "100rel",
    "norefersub",
    "outbound",
    "path",
    "replaces",
    "timer",
];

/// Those that `request` insists on and that we do not have (RFC 3261 §8.2.2.3).
pub fn unknown_extensions(request: &Message) -> Option<String> {
    let known = |tag: &[u8]| {
        EXTENSIONS
            .iter()
            .any(|known| tag.eq_ignore_ascii_case(known.as_bytes()))
    };
    // what is for one method alone: lists to subscribe to (RFC 4662 §4.1), ways to register (the registrar may still refuse a Path)
    let own: &[&str] = match request.method() {
        Method::Subscribe => &["eventlist"],
        Method::Register => &["path", "outbound", "gruu"],
        _ => &[],
    };
    let is_own = |tag: &[u8]| {
        own.iter()
            .any(|own| tag.eq_ignore_ascii_case(own.as_bytes()))
    };
    let missing: Vec<String> = request
        .headers(Name::Require)
        .flat_map(crate::sip::split_commas)
        .filter(|tag| !known(tag) && !is_own(tag))
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}
