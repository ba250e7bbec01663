//! From bytes to a request or response that somebody is responsible for.

use bytes::Bytes;

use super::core::{State, Switch};
use super::effect::{Effect, Effects, Level};
use super::source::Source;
use crate::base::Now;
use crate::call::{Endpoint, User};
use crate::sip::{Builder, Message, Method, Name, Scheme, StatusCode};
use crate::transaction::{Act, ServerKey};
use crate::transport::{ConnectionId, Flow, Transport, scanner, stun, via};

/// Methods that we serve at all.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, REGISTER, SUBSCRIBE, PUBLISH, MESSAGE";

impl Switch {
    pub(super) fn on_bytes(&mut self, now: Now, flow: Flow, bytes: Bytes, fx: &mut Effects) {
        let size = bytes.len();
        let source = flow.remote.ip().to_canonical();
        if !self.guard.admit(now, source, size).is_admitted() {
            fx.turned_away = true;
            return;
        }
        if flow.transport == Transport::Udp && stun::is_stun(&bytes) {
            if let Some(answer) = stun::answer(&bytes, flow.remote) {
                self.send(now, flow, answer, fx);
            }
            return;
        }
        let message = match Message::parse(bytes.clone()) {
            Ok(message) => message,
            Err(error) => {
                fx.turned_away = true;
                self.turned_away.malformed += 1;
                self.on_malformed(now, flow, &bytes, &error, fx);
                return;
            }
        };
        if message.is_request() {
            if message
                .header(Name::UserAgent)
                .is_some_and(scanner::is_scanner)
            {
                fx.turned_away = true;
                self.turned_away.scanner += 1;
                return;
            }
            self.note_alias(&flow, &message, fx);
            let message = via::stamp(message, flow.remote);
            self.with_tx(|tx, acts| tx.receive(now, flow, message, acts));
        } else {
            self.with_tx(|tx, acts| tx.receive(now, flow, message, acts));
        }
    }

    /// 400 when the sender can be told, and never more bytes than it sent (RFC 3261 §21.4.1).
    fn on_malformed(
        &mut self,
        now: Now,
        flow: Flow,
        bytes: &Bytes,
        error: &crate::sip::ParseError,
        fx: &mut Effects,
    ) {
        let Some(status) = error.status() else { return };
        let Some(salvaged) = Message::salvage(bytes) else {
            return;
        };
        let response = Builder::refusal(&salvaged, status, error.what)
            .finish()
            .bytes()
            .clone();
        let stranger = flow.transport == Transport::Udp
            && !self.guard.is_proven(now, flow.remote.ip().to_canonical());
        if stranger && response.len() > bytes.len() {
            return;
        }
        self.send(now, flow, response, fx);
    }

    pub(super) fn on_connection_closed(
        &mut self,
        now: Now,
        connection: ConnectionId,
        fx: &mut Effects,
    ) {
        self.with_tx(|tx, acts| tx.connection_closed(now, connection, acts));
        self.verified.forget(connection);
        let changes = self.registrar.flow_closed(now, connection);
        self.note_bindings(now, changes, fx);
    }

    pub(super) fn on_act(&mut self, now: Now, act: Act<User>, fx: &mut Effects) {
        match act {
            Act::Send { flow, message } if message.is_request() => fx.push(Effect::Send {
                flow,
                bytes: message.bytes().clone(),
            }),
            Act::Send { flow, message } => self.send(now, flow, message.bytes().clone(), fx),
            Act::Request { key, flow, message } => self.on_request(now, key, flow, message, fx),
            Act::Ack { flow, message } => {
                if self.pass_ack_on(now, flow, &message) {
                    return;
                }
                self.with_calls(now, |calls, ctx| calls.on_ack(ctx, &message));
            }
            Act::Cancel { key, message } => {
                if self.with_proxy(now, |proxy, ctx| proxy.on_cancel(ctx, key)) {
                    return;
                }
                self.with_calls(now, |calls, ctx| calls.on_cancel(ctx, key, &message));
            }
            Act::Response {
                key,
                user,
                flow,
                message,
            } => match user {
                User::Invite(leg) => {
                    self.on_gateway_answer(now, leg, &message, fx);
                    self.with_calls(now, |calls, ctx| {
                        calls.on_invite_response(ctx, leg, key, flow, &message);
                    });
                }
                User::InDialog(leg, what) => self.with_calls(now, |calls, ctx| {
                    calls.on_response(ctx, leg, what, key, flow, &message);
                }),
                User::Trunk(ticket) => self.on_trunk_response(now, ticket, &message, fx),
                User::Health(ticket) => {
                    self.on_health_response(now, ticket, message.status(), fx);
                }
                User::Proxy(ticket) => self.with_proxy(now, |proxy, ctx| {
                    proxy.on_response(ctx, ticket, key, &message);
                }),
                User::Notify(sent) => self.on_notified(now, sent, Some(&message), fx),
                User::Nobody => {}
            },
            Act::StrayResponse {
                flow,
                message,
                forgotten: Some(forgotten),
            } => {
                let (key, invite) = *forgotten;
                self.with_calls(now, |calls, ctx| {
                    calls.forgotten_answered(ctx, key, &invite, flow, &message);
                });
            }
            Act::StrayResponse {
                forgotten: None, ..
            } => {}
            Act::Failed {
                key,
                user: User::Proxy(ticket),
            } => self.with_proxy(now, |proxy, ctx| proxy.on_lost(ctx, ticket, key, true)),
            // a way that is closed is no silence: the subscriber may come back on another
            Act::Failed {
                user: User::Notify(sent),
                ..
            } => self.on_notify_failed(now, sent, fx),
            Act::Timeout { key, user, .. } | Act::Failed { key, user, .. } => match user {
                User::Invite(leg) => {
                    self.with_calls(now, |calls, ctx| calls.on_invite_lost(ctx, leg));
                }
                User::InDialog(leg, what) => {
                    self.with_calls(now, |calls, ctx| calls.on_lost(ctx, leg, what, key));
                }
                User::Trunk(ticket) => self.on_trunk_lost(now, ticket, "no answer", fx),
                User::Health(ticket) => self.on_health_response(now, ticket, None, fx),
                User::Proxy(ticket) => {
                    self.with_proxy(now, |proxy, ctx| proxy.on_lost(ctx, ticket, key, false));
                }
                User::Notify(sent) => self.on_notified(now, sent, None, fx),
                User::Nobody => {}
            },
            Act::NoAck { key } => {
                self.with_calls(now, |calls, ctx| calls.on_no_ack(ctx, key));
            }
        }
    }

    fn on_request(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: Message,
        fx: &mut Effects,
    ) {
        if self.state == State::Starting {
            self.answer_stranger(now, key, flow, &request, StatusCode::SERVICE_UNAVAILABLE);
            return;
        }
        if *request.method() == Method::Subscribe && self.notifier.knows(&request) {
            self.on_subscribe(now, key, flow, &request, fx);
            return;
        }
        if request.to_tag().is_none() && self.comes_later(now, key, &request) {
            return;
        }
        // RFC 3261 §8.2.2.1: a scheme that we do not know
        if request.uri().is_ok_and(|uri| uri.scheme == Scheme::Other) {
            let status = StatusCode::UNSUPPORTED_URI_SCHEME;
            self.answer_stranger(now, key, flow, &request, status);
            return;
        }
        if self.passed_on(now, key, flow, &request) {
            return;
        }
        if request.to_tag().is_some() && *request.method() != Method::Register {
            let known =
                self.with_calls(now, |calls, ctx| calls.in_dialog(ctx, key, flow, &request));
            if !known && *request.method() == Method::Subscribe {
                // no subscription of ours: 481, or 489 with what there is
                self.on_subscribe(now, key, flow, &request, fx);
            } else if !known {
                self.answer_stranger(now, key, flow, &request, StatusCode::CALL_DOES_NOT_EXIST);
            }
            return;
        }
        if request.max_forwards() == Some(0) && *request.method() != Method::Register {
            self.answer_stranger(now, key, flow, &request, StatusCode::TOO_MANY_HOPS);
            return;
        }
        if let Some(unsupported) = crate::call::unknown_extensions(&request) {
            // once, like every challenge: nobody has proved anything yet
            let tag = super::source::stateless_tag(&request);
            let response = Builder::response(&request, StatusCode::BAD_EXTENSION, "")
                .to_tag(tag.as_bytes())
                .header(Name::Unsupported, unsupported)
                .finish();
            self.with_tx(|tx, acts| tx.answer_once(now, key, Some(response), acts));
            return;
        }
        match request.method() {
            Method::Register => self.on_register(now, key, flow, &request, fx),
            Method::Invite => self.on_invite(now, key, flow, request, fx),
            Method::Options => self.on_options(now, key, flow, &request),
            Method::Subscribe => self.on_subscribe(now, key, flow, &request, fx),
            Method::Publish => self.on_publish(now, key, flow, &request),
            Method::Message => self.on_page(now, key, flow, &request, fx),
            Method::Bye | Method::Update | Method::Info | Method::Prack | Method::Notify => {
                self.answer(now, key, &request, StatusCode::CALL_DOES_NOT_EXIST);
            }
            Method::Ack | Method::Cancel => {}
            // what is to be called is decided by a person's own call, never by a request from nowhere (RFC 3515 §4.1)
            Method::Refer => {
                self.answer_stranger(now, key, flow, &request, StatusCode::FORBIDDEN);
            }
            Method::Other(_) => self.answer(now, key, &request, StatusCode::NOT_IMPLEMENTED),
        }
    }

    fn on_options(&mut self, now: Now, key: ServerKey, flow: Flow, request: &Message) {
        let status = if self.takes_calls() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let tag = self.entropy.token::<8>();
        let answer = || Builder::response(request, status, "").to_tag(&tag);
        let mut response = answer()
            .header(Name::Allow, ALLOW)
            .header(Name::Accept, "application/sdp")
            .header(Name::Supported, "100rel, timer")
            .finish();
        // what a stranger asks is answered with no more bytes than it took to ask: monitors look at the status
        if response.bytes().len() > request.bytes().len()
            && flow.transport == Transport::Udp
            && !self.guard.is_proven(now, flow.remote.ip().to_canonical())
        {
            response = answer().finish();
        }
        self.with_tx(|tx, acts| tx.respond(now, key, response, acts));
    }

    fn on_invite(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: Message,
        fx: &mut Effects,
    ) {
        if self.tx.is_merged(key) {
            self.answer_stranger(now, key, flow, &request, StatusCode::LOOP_DETECTED);
            return;
        }
        let Source::Known(endpoint) = self.source(now, key, flow, &request) else {
            return;
        };
        if !self.takes_calls() {
            self.answer(now, key, &request, StatusCode::SERVICE_UNAVAILABLE);
            return;
        }
        self.with_tx(|tx, acts| tx.trying(now, key, acts));
        if self.on_replaces(now, key, flow, &request, &endpoint) {
            return;
        }
        if let Endpoint::Trunk(trunk) = &endpoint
            && !self.trunk_has_room(trunk)
        {
            fx.push(Effect::Log {
                level: Level::Warn,
                text: format!("trunk {trunk}: all channels are in use, a call is refused"),
            });
            self.answer(now, key, &request, StatusCode::SERVICE_UNAVAILABLE);
            return;
        }
        let verdict = match self.verify_caller(now, &request, &endpoint) {
            Ok(verdict) => verdict,
            Err(failure) => {
                self.refuse_caller(now, key, &request, &endpoint, &failure, fx);
                return;
            }
        };
        self.on_new_call(now, key, flow, request, endpoint, verdict, fx);
    }
}
