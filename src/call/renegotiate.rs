//! Re-INVITE and UPDATE: a party changes the session, and the change crosses to the other leg (RFC 3261 §14, RFC 3311).
//!
//! A refresh that changes nothing, and any change while no other party is connected, is answered here. Everything else goes to the
//! other leg as a re-INVITE of ours, and its answer comes back as the answer to the party that asked.

use bytes::Bytes;

use super::calls::{Asked, Calls, Ctx};
use super::cause::Cause;
use super::incoming::{ALLOW, sdp_of};
use super::leg::{Crossing, Leg, LegState};
use crate::base::Key;
use crate::dialog::ends_dialog;
use crate::media;
use crate::sdp::{Connection, Direction, SdpOffer};
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::{ClientKey, ServerKey};
use crate::transport::Flow;

/// The direction that an offer asks for, as its sender sees it; `c=0.0.0.0` is the old dialect of `sendonly` (RFC 2543 §B.5).
pub(super) fn offered_direction(offer: &SdpOffer) -> Direction {
    let Some(media) = offer.session().media().find(|media| media.port() != 0) else {
        return Direction::SendRecv;
    };
    match media.connection() {
        Some(Connection::Address(ip)) if ip.is_unspecified() => {
            media.direction().and(Direction::SendOnly)
        }
        _ => media.direction(),
    }
}

impl Calls {
    fn partner(&self, key: Key<Leg>) -> Option<Key<Leg>> {
        let call = self.calls.get(self.legs.get(key)?.call)?;
        let other = if call.a == Some(key) {
            call.b
        } else if call.b == Some(key) {
            call.a
        } else {
            None
        }?;
        let leg = self.legs.get(other)?;
        (leg.is_answered() && leg.dialog.is_some() && leg.audio.plan.is_some()).then_some(other)
    }

    /// A re-INVITE or UPDATE arrived in a leg's dialog.
    pub(super) fn on_change(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: Message,
    ) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        if leg.crossing.is_some() || leg.reinvite_unacked.is_some() {
            // the peer must wait for our answer to its last one (RFC 3261 §14.2)
            self.answer_change(
                ctx,
                server,
                &request,
                StatusCode::SERVER_INTERNAL_ERROR,
                None,
            );
            return;
        }
        if leg.asking.is_some() || leg.state != LegState::Answered {
            self.answer_change(ctx, server, &request, StatusCode::REQUEST_PENDING, None);
            return;
        }
        if let Some(dialog) = leg.dialog.as_mut() {
            dialog.refresh_target(&request);
        }
        let Some(body) = sdp_of(&request) else {
            if !request.body().is_empty() {
                self.answer_change(
                    ctx,
                    server,
                    &request,
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    None,
                );
            } else if *request.method() == Method::Invite {
                self.offer_again(ctx, key, server, &request);
            } else {
                self.answer_change(ctx, server, &request, StatusCode::OK, None);
            }
            return;
        };
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        if leg.audio.heard.as_ref() == Some(&body)
            && let Some(sent) = leg.audio.sent.clone()
            && leg.audio.plan.is_some()
        {
            self.accept_change(ctx, key, server, &request, sent);
            return;
        }
        let Ok(offer) = SdpOffer::parse(body.clone()) else {
            self.answer_change(ctx, server, &request, StatusCode::BAD_REQUEST, None);
            return;
        };
        match self.partner(key) {
            Some(partner) => self.cross(ctx, key, partner, server, request, body, offer),
            None => self.answer_here(ctx, key, server, &request, body, &offer),
        }
    }

    /// The other leg is asked for what this one wants.
    #[allow(clippy::too_many_arguments)] // one request and where it goes
    fn cross(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        partner: Key<Leg>,
        server: ServerKey,
        request: Message,
        body: Bytes,
        offer: SdpOffer,
    ) {
        let Some(other) = self.legs.get(partner) else {
            self.answer_change(
                ctx,
                server,
                &request,
                StatusCode::SERVER_INTERNAL_ERROR,
                None,
            );
            return;
        };
        if other.asking.is_some() || other.crossing.is_some() || other.reinvite_unacked.is_some() {
            self.answer_change(ctx, server, &request, StatusCode::REQUEST_PENDING, None);
            return;
        }
        let flow = other.flow;
        let payloads = self.allowed(&flow, media::payloads_of(offer.session()));
        if !payloads.iter().any(|payload| payload.codec.is_speech()) {
            self.answer_change(ctx, server, &request, StatusCode::NOT_ACCEPTABLE_HERE, None);
            return;
        }
        let before = other.audio.local.clone();
        let Ok(local) = self.open_audio(ctx, partner, payloads, offered_direction(&offer)) else {
            self.answer_change(ctx, server, &request, StatusCode::SERVICE_UNAVAILABLE, None);
            return;
        };
        let ours = media::offer(&local);
        let sent = self.ask(ctx, partner, &Method::Invite, Asked::Reinvite, |builder| {
            builder
                .header(Name::Allow, ALLOW)
                .body("application/sdp", &ours)
        });
        let (Some(client), Some(other)) = (sent, self.legs.get_mut(partner)) else {
            return;
        };
        other.asking = Some(client);
        other.audio.before = before;
        other.audio.asked = Some(ours);
        if let Some(leg) = self.legs.get_mut(key) {
            self.by_server.insert(server, key);
            leg.crossing = Some(Box::new(Crossing {
                server,
                request,
                body,
                offer,
            }));
        }
    }

    /// The response of the other leg.
    pub(super) fn on_reinvite_response(
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
        if status.is_provisional() {
            return;
        }
        let Some(leg) = self.legs.get_mut(key) else {
            self.repeat_ack(ctx, client);
            return;
        };
        if leg.asking != Some(client) {
            self.repeat_ack(ctx, client);
            return;
        }
        leg.asking = None;
        let asked = leg.audio.asked.take();
        let before = leg.audio.before.take();
        let asker = self.partner_asking(key);
        if !status.is_success() {
            if let Some(leg) = self.legs.get_mut(key) {
                leg.audio.local = before;
            }
            if ends_dialog(status) {
                self.finish_crossing_with(ctx, asker, StatusCode::SERVER_INTERNAL_ERROR);
                self.lose_leg(ctx, key, Cause::PeerLost);
            } else {
                let passed = match status.as_u16() {
                    415 | 488 | 491 | 500 | 503 | 603 | 606 => status,
                    _ => StatusCode::NOT_ACCEPTABLE_HERE,
                };
                self.finish_crossing_with(ctx, asker, passed);
            }
            return;
        }
        let number = response.cseq().number;
        if let Some(dialog) = self.legs.get_mut(key).and_then(|leg| leg.dialog.as_mut()) {
            dialog.refresh_target(response);
            dialog.flow.connection = flow.connection.or(dialog.flow.connection);
        }
        self.acknowledge(ctx, key, Some(client), number);
        let plan = match sdp_of(response) {
            Some(body) => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.audio.heard = Some(body.clone());
                }
                self.read_answer(key, body)
            }
            None => Err("no session description".to_owned()),
        };
        let Ok(plan) = plan else {
            self.finish_crossing_with(ctx, asker, StatusCode::NOT_ACCEPTABLE_HERE);
            return;
        };
        if let Some(leg) = self.legs.get_mut(key) {
            leg.audio.sent = asked;
        }
        let (payloads, direction) = (plan.payloads.clone(), plan.direction.reversed());
        self.agree(ctx, key, plan);
        let Some(asker) = asker else { return };
        let Some(crossing) = self.take_crossing(asker) else {
            return;
        };
        let answer = self
            .open_audio(ctx, asker, payloads, direction)
            .ok()
            .and_then(|local| media::answer(&crossing.offer, &local).ok());
        match answer {
            Some((body, plan)) => {
                if let Some(leg) = self.legs.get_mut(asker) {
                    leg.audio.heard = Some(crossing.body.clone());
                }
                self.agree(ctx, asker, plan);
                self.accept_change(ctx, asker, crossing.server, &crossing.request, body);
            }
            None => self.answer_change(
                ctx,
                crossing.server,
                &crossing.request,
                StatusCode::NOT_ACCEPTABLE_HERE,
                None,
            ),
        }
    }

    /// No answer came to a re-INVITE of ours: the peer is gone (RFC 3261 §12.2.1.2).
    pub(super) fn on_reinvite_lost(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let asker = self.partner_asking(key);
        if let Some(leg) = self.legs.get_mut(key) {
            leg.asking = None;
        }
        self.finish_crossing_with(ctx, asker, StatusCode::REQUEST_TIMEOUT);
        self.lose_leg(ctx, key, Cause::PeerLost);
    }

    /// A leg ends: a change that its peer still waits for, or that we asked its peer on behalf of the other party, gets its final
    /// response now, for none will come any more (RFC 3261 §15.1.2 for the first).
    pub(super) fn finish_changes(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        self.finish_crossing_with(ctx, Some(key), StatusCode::REQUEST_TERMINATED);
        if self.legs.get(key).is_some_and(|leg| leg.asking.is_some()) {
            let asker = self.partner_asking(key);
            self.finish_crossing_with(ctx, asker, StatusCode::SERVER_INTERNAL_ERROR);
        }
    }

    /// The party takes its re-INVITE back (RFC 3261 §9.2): it gets its 487, and the other leg a CANCEL.
    pub(super) fn cancel_change(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, server: ServerKey) {
        let ours = self.legs.get(key).is_some_and(|leg| {
            leg.crossing
                .as_ref()
                .is_some_and(|crossing| crossing.server == server)
        });
        if !ours {
            return;
        }
        let asked = self
            .partner(key)
            .and_then(|other| self.legs.get(other)?.asking);
        self.finish_crossing_with(ctx, Some(key), StatusCode::REQUEST_TERMINATED);
        if let Some(client) = asked {
            ctx.tx.cancel(ctx.now, client, None, ctx.acts);
        }
    }

    fn take_crossing(&mut self, key: Key<Leg>) -> Option<Box<Crossing>> {
        let crossing = self.legs.get_mut(key)?.crossing.take()?;
        self.by_server.remove(&crossing.server);
        Some(crossing)
    }

    fn partner_asking(&self, key: Key<Leg>) -> Option<Key<Leg>> {
        self.partner(key).filter(|&other| {
            self.legs
                .get(other)
                .is_some_and(|leg| leg.crossing.is_some())
        })
    }

    pub(super) fn finish_crossing_with(
        &mut self,
        ctx: &mut Ctx<'_>,
        asker: Option<Key<Leg>>,
        status: StatusCode,
    ) {
        let crossing = asker.and_then(|asker| self.take_crossing(asker));
        if let Some(crossing) = crossing {
            self.answer_change(ctx, crossing.server, &crossing.request, status, None);
        }
    }

    /// Nobody else is connected: the change concerns us alone.
    fn answer_here(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
        body: Bytes,
        offer: &SdpOffer,
    ) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let ours = self.our_codecs(&leg.flow, true);
        let before = leg.audio.local.clone();
        let answer = self
            .open_audio(ctx, key, ours, Direction::SendRecv)
            .ok()
            .and_then(|local| media::answer(offer, &local).ok());
        match answer {
            Some((sdp, plan)) => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.audio.heard = Some(body);
                }
                self.agree(ctx, key, plan);
                self.accept_change(ctx, key, server, request, sdp);
            }
            None => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.audio.local = before;
                }
                self.answer_change(ctx, server, request, StatusCode::NOT_ACCEPTABLE_HERE, None);
            }
        }
    }

    /// A re-INVITE without an offer: we repeat our description as an offer, the ACK brings the answer (RFC 3261 §14.2).
    fn offer_again(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
    ) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let Some(local) = leg.audio.local.clone() else {
            self.answer_change(ctx, server, request, StatusCode::NOT_ACCEPTABLE_HERE, None);
            return;
        };
        let Ok(local) = self.open_audio(ctx, key, local.payloads, Direction::SendRecv) else {
            self.answer_change(ctx, server, request, StatusCode::SERVICE_UNAVAILABLE, None);
            return;
        };
        let body = media::offer(&local);
        if let Some(leg) = self.legs.get_mut(key) {
            leg.audio.answer_due_in_ack = true;
        }
        self.accept_change(ctx, key, server, request, body);
    }

    fn accept_change(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
        body: Bytes,
    ) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        leg.audio.sent = Some(body.clone());
        if *request.method() == Method::Invite {
            leg.reinvite_unacked = Some((server, request.cseq().number));
            self.by_server.insert(server, key);
        }
        let contact = self
            .legs
            .get(key)
            .map(|leg| {
                self.network
                    .contact(&leg.flow, &super::in_dialog::contact_user(leg))
            })
            .unwrap_or_default();
        self.answer_change(ctx, server, request, StatusCode::OK, Some((body, contact)));
    }

    fn answer_change(
        &mut self,
        ctx: &mut Ctx<'_>,
        server: ServerKey,
        request: &Message,
        status: StatusCode,
        body: Option<(Bytes, String)>,
    ) {
        let mut builder = Builder::response(request, status, "");
        if status == StatusCode::SERVER_INTERNAL_ERROR {
            let seconds = self.entropy.below(10).to_string();
            builder = builder.header(Name::RetryAfter, seconds);
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            builder = builder.header(Name::Accept, "application/sdp");
        }
        let message = match body {
            Some((body, contact)) => builder
                .header(Name::Contact, contact)
                .header(Name::Allow, ALLOW)
                .body("application/sdp", &body),
            None => builder.finish(),
        };
        ctx.tx.respond(ctx.now, server, message, ctx.acts);
    }

    /// The answer to an offer that we made in a 2xx.
    pub(super) fn read_late_answer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, ack: &Message) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        if !std::mem::take(&mut leg.audio.answer_due_in_ack) {
            return;
        }
        let plan = sdp_of(ack)
            .ok_or_else(|| "the ACK carries no answer".to_owned())
            .and_then(|body| {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.audio.heard = Some(body.clone());
                }
                self.read_answer(key, body)
            });
        match plan {
            Ok(plan) => self.agree(ctx, key, plan),
            Err(_) => {
                let settled = self
                    .legs
                    .get(key)
                    .is_some_and(|leg| leg.audio.plan.is_some());
                if !settled {
                    self.lose_leg(ctx, key, Cause::NotAcceptable);
                }
            }
        }
    }
}
