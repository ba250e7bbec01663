//! Re-INVITE and UPDATE of a party: the change crosses to the other leg (RFC 3261 §14, RFC 3311), before the answer and after it.
//!
//! A refresh that changes nothing, and any change while no other party can be asked, is answered here. Everything else goes to the
//! other leg as an UPDATE or re-INVITE of ours (`change`), and its answer comes back as the answer to the party that asked. A re-INVITE
//! without an offer asks the other leg for one, and the answer in the ACK crosses as well.

use bytes::Bytes;

use super::calls::{Calls, Ctx};
use super::cause::Cause;
use super::due::Due;
use super::incoming::{ALLOW, sdp_of};
use super::leg::{Crossing, Leg, Why};
use super::session_timer;
use crate::base::{Duration, Key};
use crate::dialog::offer_answer::Event;
use crate::media::{self, MediaPlan};
use crate::sdp::{Connection, Direction, SdpOffer};
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::ServerKey;

/// How long an UPDATE may wait for the other leg: well below the 32 s after which its sender gives up (guess).
const UPDATE_PATIENCE: Duration = Duration::from_secs(10);

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

/// How the other party can be asked for a change.
enum Way {
    Invite,
    Update,
    /// Not before it has answered: the change is answered here.
    Alone,
    /// Something else is under way on its leg.
    Busy,
}

fn way(other: &Leg, update: bool, late: bool) -> Way {
    if other.asking.is_some()
        || other.crossing.is_some()
        || other.owed.is_some()
        || other.reinvite_unacked.is_some()
    {
        return Way::Busy;
    }
    let confirmed = other.is_answered() && !other.waits_for_answer();
    let updates = other.allows.update && !late;
    if updates && (update || !confirmed) && other.offers.may_update(true) {
        return Way::Update;
    }
    match (confirmed, other.offers.may_invite()) {
        (true, true) => Way::Invite,
        (true, false) => Way::Busy,
        (false, _) => Way::Alone,
    }
}

impl Calls {
    /// The leg whose party hears this one: bridged, or by early media.
    pub(super) fn partner(&self, key: Key<Leg>) -> Option<Key<Leg>> {
        let call = self.calls.get(self.legs.get(key)?.call)?;
        let b = call.b.or(call.early);
        let other = if call.a == Some(key) {
            b
        } else if b == Some(key) {
            call.a
        } else {
            None
        }?;
        let leg = self.legs.get(other)?;
        (leg.dialog.is_some() && leg.audio.plan.is_some() && leg.bye_when_acked.is_none())
            .then_some(other)
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
        let invite = *request.method() == Method::Invite;
        let body = sdp_of(&request);
        if let Err(clash) = leg.offers.admit(request.method(), body.is_some()) {
            self.reply(ctx, server, &request, clash.status());
            return;
        }
        if body.is_none() && !request.body().is_empty() {
            let unknown = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            self.reply(ctx, server, &request, unknown);
            return;
        }
        if let Some(min) = session_timer::too_small(&request, &leg.policy) {
            let response = Builder::response(&request, StatusCode::SESSION_INTERVAL_TOO_SMALL, "")
                .header_fmt(Name::MinSe, format_args!("{min}"))
                .finish();
            ctx.tx.respond(ctx.now, server, response, ctx.acts);
            return;
        }
        let offer = match body.clone().map(SdpOffer::parse) {
            None => None,
            Some(Ok(offer)) => Some(offer),
            Some(Err(_)) => {
                self.reply(ctx, server, &request, StatusCode::BAD_REQUEST);
                return;
            }
        };
        leg.allows.note(&request);
        if invite {
            leg.offers.invite_in = true;
        } else {
            leg.offers.update_in = true;
        }
        let partner = self.partner(key);
        match (body.zip(offer), partner) {
            (Some((body, offer)), partner) => {
                self.take_offer(ctx, key, partner, server, request, body, offer);
            }
            (None, Some(partner)) if invite => {
                self.cross(ctx, key, partner, server, request, None);
            }
            (None, None) if invite => self.offer_again(ctx, key, server, &request),
            (None, _) => {
                self.finish_change(ctx, key, server, &request, StatusCode::OK, None);
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // one request, taken apart, and where it goes
    fn take_offer(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        partner: Option<Key<Leg>>,
        server: ServerKey,
        request: Message,
        body: Bytes,
        offer: SdpOffer,
    ) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let fits = leg.offers.on(Event::Offered);
        debug_assert!(fits.is_ok(), "admitted");
        if leg.audio.heard.as_ref() == Some(&body)
            && let Some(sent) = leg.audio.sent.clone()
            && leg.audio.plan.is_some()
        {
            self.finish_change(ctx, key, server, &request, StatusCode::OK, Some(sent));
            return;
        }
        match partner {
            Some(partner) => {
                self.cross(ctx, key, partner, server, request, Some((body, offer)));
            }
            None => self.answer_here(ctx, key, server, &request, &body),
        }
    }

    /// The other leg is asked for what this one wants.
    fn cross(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        partner: Key<Leg>,
        server: ServerKey,
        request: Message,
        offer: Option<(Bytes, SdpOffer)>,
    ) {
        let update = *request.method() == Method::Update;
        let late = offer.is_none();
        let busy = StatusCode::REQUEST_PENDING;
        let found = self
            .legs
            .get(partner)
            .map_or(Way::Busy, |other| way(other, update, late));
        let by_update = match (found, &offer) {
            (Way::Busy, _) => {
                self.finish_change(ctx, key, server, &request, busy, None);
                return;
            }
            (Way::Alone, Some((body, _))) => {
                self.answer_here(ctx, key, server, &request, body);
                return;
            }
            (Way::Alone, None) => {
                self.offer_again(ctx, key, server, &request);
                return;
            }
            (Way::Update, _) => true,
            (Way::Invite, _) => false,
        };
        let media = match &offer {
            Some((_, offer)) => {
                let flow = self.legs.get(partner).map(|other| other.flow);
                let payloads = flow
                    .map(|flow| self.bridgeable(&flow, media::payloads_of(offer.session())))
                    .unwrap_or_default();
                if !payloads.iter().any(|payload| payload.codec.is_speech()) {
                    let refused = StatusCode::NOT_ACCEPTABLE_HERE;
                    self.finish_change(ctx, key, server, &request, refused, None);
                    return;
                }
                let wanted = offered_direction(offer);
                Some((payloads, self.crossing_direction(key, wanted)))
            }
            None => None,
        };
        let why = if late { Why::CrossLate } else { Why::Cross };
        if !self.start_change(ctx, partner, why, by_update, media) {
            let refused = StatusCode::SERVICE_UNAVAILABLE;
            self.finish_change(ctx, key, server, &request, refused, None);
            return;
        }
        if let Some(leg) = self.legs.get_mut(key) {
            self.by_server.insert(server, key);
            leg.crossing = Some(Box::new(Crossing {
                server,
                request,
                offer,
            }));
        }
        if update {
            // the sender of an UPDATE does not wait for a person (RFC 3311 §5.2)
            self.arm(key, Due::Crossing, ctx.now.mono + UPDATE_PATIENCE);
        }
    }

    /// The other leg has not answered in time: 504, and what it may still accept is taken back there.
    pub(super) fn crossing_takes_too_long(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        self.cancel_partner_change(ctx, key, StatusCode::SERVER_TIMEOUT);
    }

    /// The party takes its re-INVITE back (RFC 3261 §9.2): it gets its 487, and the other leg a CANCEL.
    pub(super) fn cancel_change(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, server: ServerKey) {
        let ours = self.legs.get(key).is_some_and(|leg| {
            leg.crossing
                .as_ref()
                .is_some_and(|crossing| crossing.server == server)
        });
        if ours {
            self.cancel_partner_change(ctx, key, StatusCode::REQUEST_TERMINATED);
        }
    }

    fn cancel_partner_change(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, status: StatusCode) {
        let asked = self
            .partner(key)
            .and_then(|other| self.legs.get(other)?.asking.as_deref())
            .filter(|asking| !asking.update)
            .map(|asking| asking.client);
        self.finish_crossing_with(ctx, Some(key), status);
        if let Some(client) = asked {
            ctx.tx.cancel(ctx.now, client, None, ctx.acts);
        }
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

    pub(super) fn take_crossing(&mut self, key: Key<Leg>) -> Option<Box<Crossing>> {
        let crossing = self.legs.get_mut(key)?.crossing.take()?;
        self.disarm(key, Due::Crossing);
        self.by_server.remove(&crossing.server);
        Some(crossing)
    }

    pub(super) fn partner_asking(&self, key: Key<Leg>) -> Option<Key<Leg>> {
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
        let Some(asker) = asker else { return };
        if let Some(crossing) = self.take_crossing(asker) {
            self.finish_change(ctx, asker, crossing.server, &crossing.request, status, None);
        }
    }

    /// Nobody else can be asked: the change concerns us alone.
    fn answer_here(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
        body: &Bytes,
    ) {
        let (status, answer) = match self.write_answer_alone(ctx, key, body) {
            Ok(answer) => (StatusCode::OK, Some(answer)),
            Err(status) => (status, None),
        };
        self.finish_change(ctx, key, server, request, status, answer);
    }

    /// Answers an offer without asking anybody, outside of a re-INVITE or UPDATE.
    pub(super) fn answer_alone(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        body: Bytes,
    ) -> Result<Bytes, StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let leg = self.legs.get_mut(key).ok_or(gone)?;
        leg.offers
            .on(Event::Offered)
            .map_err(|clash| clash.status())?;
        let answer = self.write_answer_alone(ctx, key, &body);
        let leg = self.legs.get_mut(key).ok_or(gone)?;
        let event = match &answer {
            Ok(_) => Event::Answer,
            Err(_) => Event::Refuse,
        };
        let fits = leg.offers.on(event);
        debug_assert!(fits.is_ok(), "offered a moment ago");
        if let Ok(sent) = &answer {
            leg.audio.sent = Some(sent.clone());
        }
        answer
    }

    /// With a partner, what it agreed to is all that we can promise; without one, all that we can play.
    fn write_answer_alone(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        body: &Bytes,
    ) -> Result<Bytes, StatusCode> {
        let offer = SdpOffer::parse(body.clone()).map_err(|_| StatusCode::BAD_REQUEST)?;
        let leg = self.legs.get(key).ok_or(StatusCode::CALL_DOES_NOT_EXIST)?;
        let partner = self
            .partner(key)
            .and_then(|other| self.legs.get(other)?.audio.plan.as_ref());
        let payloads = match partner {
            Some(plan) => plan.payloads.clone(),
            None => self.our_codecs(&leg.flow, true),
        };
        let (answer, plan) = self.write_answer(ctx, key, &offer, payloads, Direction::SendRecv)?;
        if let Some(leg) = self.legs.get_mut(key) {
            leg.audio.heard = Some(body.clone());
        }
        self.agree(ctx, key, plan);
        Ok(answer)
    }

    /// A re-INVITE without an offer and nobody to ask for one: we repeat our description as an offer, the ACK brings the answer
    /// (RFC 3261 §14.2).
    fn offer_again(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
    ) {
        let local = self.legs.get(key).and_then(|leg| leg.audio.local.clone());
        let offer = local
            .ok_or(StatusCode::NOT_ACCEPTABLE_HERE)
            .and_then(|local| self.write_offer(ctx, key, local.payloads, Direction::SendRecv));
        let (status, offer) = match offer {
            Ok(offer) => (StatusCode::OK, Some(offer)),
            Err(status) => (status, None),
        };
        self.finish_change(ctx, key, server, request, status, offer);
    }

    /// The final response to a re-INVITE or UPDATE that was admitted. With 2xx, `body` is the answer to its offer, or our offer.
    /// Only an accepted request moves the target of the dialog (RFC 3261 §12.2.2, §14.2).
    pub(super) fn finish_change(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
        status: StatusCode,
        body: Option<Bytes>,
    ) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let invite = *request.method() == Method::Invite;
        if !invite {
            leg.offers.update_in = false;
        } else if !status.is_success() {
            leg.offers.invite_in = false;
        }
        if !status.is_success() {
            if leg.offers.owes_answer() && sdp_of(request).is_some() {
                let fits = leg.offers.on(Event::Refuse);
                debug_assert!(fits.is_ok(), "an answer was owed");
            }
            self.reply(ctx, server, request, status);
            return;
        }
        if let Some(body) = &body {
            let event = match leg.offers.owes_answer() {
                true => Event::Answer,
                false => Event::Offer,
            };
            let fits = leg.offers.on(event);
            debug_assert!(fits.is_ok(), "a description where one was due");
            leg.audio.sent = Some(body.clone());
            leg.audio.answer_due_in_ack = event == Event::Offer;
        }
        if let Some(dialog) = leg.dialog.as_mut() {
            dialog.refresh_target(request);
        }
        if invite {
            leg.reinvite_unacked = Some((server, request.cseq().number));
            self.by_server.insert(server, key);
        }
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let contact = self
            .network
            .contact(&leg.flow, &super::in_dialog::contact_user(leg));
        let mut builder = Builder::response(request, status, "")
            .header(Name::Contact, contact)
            .header(Name::Allow, ALLOW);
        if leg.is_answered() {
            builder = self.grant_timer(ctx, key, request, builder);
        }
        let message = match body {
            Some(body) => builder.body("application/sdp", &body),
            None => builder.finish(),
        };
        ctx.tx.respond(ctx.now, server, message, ctx.acts);
    }

    /// The party's answer to our offer: its plan comes into effect.
    pub(super) fn take_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        body: Bytes,
        plan: MediaPlan,
    ) {
        if let Some(leg) = self.legs.get_mut(key) {
            leg.audio.heard = Some(body);
            let fits = leg.offers.on(Event::Answered);
            debug_assert!(fits.is_ok(), "an answer was due");
        }
        self.agree(ctx, key, plan);
    }

    /// The ACK to a 2xx of ours: it brings the answer where the 2xx made an offer, and the other leg may wait for that.
    pub(super) fn read_late_answer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, ack: &Message) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        leg.offers.invite_in = false;
        if !std::mem::take(&mut leg.audio.answer_due_in_ack) {
            return;
        }
        let plan =
            sdp_of(ack).and_then(|body| Some((self.read_answer(key, body.clone()).ok()?, body)));
        let waiting = self
            .partner(key)
            .filter(|&other| self.legs.get(other).is_some_and(|leg| leg.owed.is_some()));
        match plan {
            Some((plan, body)) => {
                let (payloads, direction) = (plan.payloads.clone(), plan.direction.reversed());
                self.take_answer(ctx, key, body, plan);
                if let Some(other) = waiting {
                    self.settle(ctx, other, Some((payloads, direction)));
                }
            }
            None => {
                if let Some(leg) = self.legs.get_mut(key) {
                    let fits = leg.offers.on(Event::Refused);
                    debug_assert!(fits.is_ok(), "an answer was due");
                }
                if let Some(other) = waiting {
                    self.settle(ctx, other, None);
                }
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
