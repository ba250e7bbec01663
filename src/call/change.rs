//! Re-INVITE and UPDATE of ours: on behalf of the other party, to refresh the session, or to take back what only one side has accepted.

use super::calls::{Asked, Calls, Ctx};
use super::cause::Cause;
use super::due::Due;
use super::incoming::{ALLOW, sdp_of};
use super::leg::{Again, Asking, Invite, Leg, OwedAnswer, Why};
use super::renegotiate::offered_direction;
use crate::base::{Duration, Key};
use crate::dialog::ends_dialog;
use crate::dialog::offer_answer::{Event, retry_after_glare};
use crate::media::{self, LocalMedia, Payload};
use crate::sdp::{Direction, SdpOffer};
use crate::sip::{Message, Method, Name, StatusCode};
use crate::transaction::ClientKey;
use crate::transport::Flow;

/// How long a re-INVITE of ours may ring: Timer B ends with its first provisional response, and no person need be asked for long (guess).
const CHANGE_PATIENCE: Duration = Duration::from_secs(60);

/// Payloads and direction of an offer.
pub(super) type Wanted = (Vec<Payload>, Direction);

impl Calls {
    /// Sends a change on our own account, by the way that the leg allows now; false when it allows none.
    pub(super) fn begin_change(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        why: Why,
        wanted: Option<Wanted>,
    ) -> bool {
        let Some(leg) = self.legs.get(key) else {
            return false;
        };
        let busy = leg.asking.is_some()
            || leg.crossing.is_some()
            || leg.owed.is_some()
            || leg.reinvite_unacked.is_some();
        if busy || !leg.is_answered() || leg.bye_when_acked.is_some() {
            return false;
        }
        let updates = leg.allows.update && why != Why::Reoffer;
        if updates && leg.offers.may_update(wanted.is_some()) {
            return self.start_change(ctx, key, why, true, wanted);
        }
        leg.offers.may_invite() && self.start_change(ctx, key, why, false, wanted)
    }

    /// Sends an UPDATE or re-INVITE. The caller has seen that the leg allows it.
    pub(super) fn start_change(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        why: Why,
        update: bool,
        wanted: Option<Wanted>,
    ) -> bool {
        let Some(leg) = self.legs.get(key) else {
            return false;
        };
        let before = leg.audio.local.clone();
        let offer = match wanted.clone() {
            Some((payloads, direction)) => match self.write_offer(ctx, key, payloads, direction) {
                Ok(offer) => Some(offer),
                Err(_) => return false,
            },
            // a refresh changes nothing: the description that stands, or none in an UPDATE (RFC 4028 §7.4)
            None if why == Why::Refresh && !update => match leg.audio.sent.clone() {
                Some(sent) => Some(sent),
                None => return false,
            },
            None => None,
        };
        let Some(leg) = self.legs.get(key) else {
            return false;
        };
        let mut proposal = leg.proposal(false);
        if why == Why::Reoffer {
            proposal.extend(self.shown_to(key));
        }
        let method = if update {
            Method::Update
        } else {
            Method::Invite
        };
        let sent = self.ask(ctx, key, &method, Asked::Change, |mut builder| {
            builder = builder.header(Name::Allow, ALLOW);
            for (name, value) in proposal {
                builder = builder.header(name, value);
            }
            match &offer {
                Some(offer) => builder.body("application/sdp", offer),
                None => builder.finish(),
            }
        });
        let (Some(client), Some(leg)) = (sent, self.legs.get_mut(key)) else {
            return false;
        };
        if update {
            leg.offers.update_out = true;
        } else {
            leg.offers.invite_out = true;
        }
        if offer.is_some() {
            let fits = leg.offers.on(Event::Offer);
            debug_assert!(fits.is_ok(), "it may be sent now");
        }
        leg.asking = Some(Box::new(Asking {
            client,
            update,
            why,
            offer,
            wanted,
            before,
        }));
        true
    }

    /// A response to a change of ours.
    pub(super) fn on_change_response(
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
        let current = self.legs.get(key).is_some_and(|leg| {
            leg.asking
                .as_deref()
                .is_some_and(|asking| asking.client == client)
        });
        if status.is_provisional() {
            if current && client.is_invite() {
                let unarmed = self
                    .legs
                    .get(key)
                    .is_some_and(|leg| leg.due.get(Due::Change as usize) == Some(&None));
                if unarmed {
                    self.arm(key, Due::Change, ctx.now.mono + CHANGE_PATIENCE);
                }
            }
            return;
        }
        // a 2xx to a re-INVITE before this one is only acknowledged again: what is asked now has no answer yet
        let asking = if current { self.take_asking(key) } else { None };
        let Some(asking) = asking else {
            self.repeat_ack(ctx, client);
            return;
        };
        if status.is_success() {
            self.change_accepted(ctx, key, *asking, flow, response);
        } else {
            self.change_refused(ctx, key, *asking, status, response);
        }
    }

    fn take_asking(&mut self, key: Key<Leg>) -> Option<Box<Asking>> {
        let leg = self.legs.get_mut(key)?;
        let asking = leg.asking.take()?;
        if asking.update {
            leg.offers.update_out = false;
        } else {
            leg.offers.invite_out = false;
        }
        self.disarm(key, Due::Change);
        Some(asking)
    }

    /// The offer of a change did not lead to an answer: what stood before stands.
    fn withdraw(&mut self, key: Key<Leg>, asking: &Asking) {
        if asking.offer.is_none() {
            return;
        }
        if let Some(leg) = self.legs.get_mut(key) {
            let fits = leg.offers.on(Event::Refused);
            debug_assert!(fits.is_ok(), "our offer had no answer");
            if asking.before.is_some() {
                leg.audio.local.clone_from(&asking.before);
            }
        }
    }

    fn change_refused(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        asking: Asking,
        status: StatusCode,
        response: &Message,
    ) {
        self.withdraw(key, &asking);
        if asking.update
            && matches!(status.as_u16(), 405 | 501)
            && let Some(leg) = self.legs.get_mut(key)
        {
            leg.allows.update = false;
        }
        let asker = self.partner_asking(key);
        if ends_dialog(status) {
            self.finish_crossing_with(ctx, asker, StatusCode::SERVER_INTERNAL_ERROR);
            self.lose_leg(ctx, key, Cause::PeerLost);
            return;
        }
        match asking.why {
            // who asked waits by its own timer and asks again
            Why::Cross | Why::CrossLate => {
                let passed = match status.as_u16() {
                    415 | 488 | 491 | 500 | 503 | 504 | 603 | 606 => status,
                    _ => StatusCode::NOT_ACCEPTABLE_HERE,
                };
                self.finish_crossing_with(ctx, asker, passed);
            }
            Why::Restore | Why::Refresh if status == StatusCode::REQUEST_PENDING => {
                self.again_after_glare(ctx, key, asking.why, asking.wanted);
            }
            Why::Reoffer if status == StatusCode::REQUEST_PENDING => {
                let wait = self.wait_after_glare(key);
                self.reoffer_met(ctx, key, wait);
            }
            Why::Reoffer => self.end_reoffer(key),
            Why::Restore => {}
            Why::Refresh => self.refresh_refused(ctx, key, asking.update, response),
        }
    }

    fn change_accepted(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        asking: Asking,
        flow: Flow,
        response: &Message,
    ) {
        if let Some(leg) = self.legs.get_mut(key) {
            leg.allows.note(response);
            if let Some(dialog) = leg.dialog.as_mut() {
                dialog.refresh_target(response);
                dialog.flow.connection = flow.connection.or(dialog.flow.connection);
            }
            if leg.is_answered() {
                self.take_timer(ctx, key, response);
            }
        }
        let number = response.cseq().number;
        if asking.why == Why::CrossLate {
            self.offered_late(ctx, key, asking.client, number, response);
            return;
        }
        if !asking.update {
            self.acknowledge(ctx, key, Some(asking.client), number, None);
        }
        let Some(ours) = asking.offer.clone() else {
            return;
        };
        let asker = self.partner_asking(key);
        let plan = sdp_of(response)
            .and_then(|body| Some((self.read_answer(key, body.clone()).ok()?, body)));
        let Some((plan, body)) = plan else {
            self.withdraw(key, &asking);
            self.finish_crossing_with(ctx, asker, StatusCode::NOT_ACCEPTABLE_HERE);
            match asking.why {
                Why::Cross => self.restore(ctx, key, asking.before),
                Why::Reoffer => self.end_reoffer(key),
                Why::CrossLate | Why::Restore | Why::Refresh => {}
            }
            return;
        };
        if let Some(leg) = self.legs.get_mut(key) {
            leg.audio.sent = Some(ours);
        }
        let (payloads, direction) = (plan.payloads.clone(), plan.direction.reversed());
        self.take_answer(ctx, key, body, plan);
        match asking.why {
            Why::Cross => {}
            Why::Reoffer => return self.reoffer_answered(ctx, key, payloads),
            Why::CrossLate | Why::Restore | Why::Refresh => return,
        }
        // who asked may have taken it back meanwhile: then nothing shall have changed on either side
        let Some((asker, crossing)) =
            asker.and_then(|asker| Some((asker, self.take_crossing(asker)?)))
        else {
            self.restore(ctx, key, asking.before);
            return;
        };
        let direction = self.answering_direction(key, direction);
        let answer = match &crossing.offer {
            Some((body, offer)) => self
                .write_answer(ctx, asker, offer, payloads, direction)
                .map(|answer| (body.clone(), answer)),
            None => Err(StatusCode::NOT_ACCEPTABLE_HERE),
        };
        match answer {
            Ok((heard, (sent, plan))) => {
                if let Some(leg) = self.legs.get_mut(asker) {
                    leg.audio.heard = Some(heard);
                }
                self.agree(ctx, asker, plan);
                let (server, request) = (crossing.server, &crossing.request);
                self.finish_change(ctx, asker, server, request, StatusCode::OK, Some(sent));
            }
            Err(status) => {
                let (server, request) = (crossing.server, &crossing.request);
                self.finish_change(ctx, asker, server, request, status, None);
                self.restore(ctx, key, asking.before);
            }
        }
    }

    /// Takes a leg back to what it had before a change that the other side did not get.
    fn restore(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, before: Option<LocalMedia>) {
        let Some(before) = before else { return };
        let wanted = (before.payloads, before.direction);
        if !self.begin_change(ctx, key, Why::Restore, Some(wanted.clone())) {
            self.again_after_glare(ctx, key, Why::Restore, Some(wanted));
        }
    }

    /// The same once more, after the time of RFC 3261 §14.1.
    fn again_after_glare(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        why: Why,
        wanted: Option<Wanted>,
    ) {
        let wait = self.wait_after_glare(key);
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        leg.again = Some(Box::new(Again { why, wanted }));
        self.arm(key, Due::Retry, ctx.now.mono + wait);
    }

    fn wait_after_glare(&mut self, key: Key<Leg>) -> Duration {
        let random = self.entropy.u64();
        let owns_call_id = self
            .legs
            .get(key)
            .is_some_and(|leg| matches!(leg.invite, Invite::Client { .. }));
        retry_after_glare(owns_call_id, random)
    }

    /// The time after a glare is over.
    pub(super) fn retry_change(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let Some(again) = self.legs.get_mut(key).and_then(|leg| leg.again.take()) else {
            return;
        };
        match again.why {
            Why::Refresh => self.refresh_session(ctx, key),
            Why::Restore | Why::Cross | Why::CrossLate | Why::Reoffer => {
                if !self.begin_change(ctx, key, again.why, again.wanted.clone()) {
                    self.again_after_glare(ctx, key, again.why, again.wanted);
                }
            }
        }
    }

    /// The peer lets our re-INVITE ring for ever: it is taken back.
    pub(super) fn change_takes_too_long(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let asker = self.partner_asking(key);
        self.finish_crossing_with(ctx, asker, StatusCode::SERVER_TIMEOUT);
        let client = self
            .legs
            .get(key)
            .and_then(|leg| leg.asking.as_deref())
            .map(|asking| asking.client);
        if let Some(client) = client {
            ctx.tx.cancel(ctx.now, client, None, ctx.acts);
        }
    }

    /// No answer came to a change of ours: the peer is gone (RFC 3261 §12.2.1.2).
    pub(super) fn on_change_lost(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, client: ClientKey) {
        let current = self.legs.get(key).is_some_and(|leg| {
            leg.asking
                .as_deref()
                .is_some_and(|asking| asking.client == client)
        });
        if !current {
            return;
        }
        let asker = self.partner_asking(key);
        self.take_asking(key);
        self.finish_crossing_with(ctx, asker, StatusCode::REQUEST_TIMEOUT);
        self.lose_leg(ctx, key, Cause::PeerLost);
    }

    /// The 2xx to a re-INVITE without an offer brings the peer's. The party on whose behalf we asked gets ours made of it; the peer's
    /// ACK waits for that party's answer.
    fn offered_late(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        client: ClientKey,
        cseq: u32,
        response: &Message,
    ) {
        let asker = self.partner_asking(key);
        let offer =
            sdp_of(response).and_then(|body| Some((SdpOffer::parse(body.clone()).ok()?, body)));
        let Some((offer, body)) = offer else {
            self.acknowledge(ctx, key, Some(client), cseq, None);
            self.finish_crossing_with(ctx, asker, StatusCode::NOT_ACCEPTABLE_HERE);
            return;
        };
        let payloads = media::payloads_of(offer.session());
        let direction = offered_direction(&offer);
        if let Some(leg) = self.legs.get_mut(key) {
            let fits = leg.offers.on(Event::Offered);
            debug_assert!(fits.is_ok(), "nothing else was offered meanwhile");
            leg.owed = Some(Box::new(OwedAnswer {
                client,
                cseq,
                body,
                offer,
            }));
        }
        let Some(asker) = asker else {
            self.settle(ctx, key, None);
            return;
        };
        let payloads = match self.legs.get(asker).map(|leg| leg.flow) {
            Some(flow) => self.bridgeable(&flow, payloads),
            None => payloads,
        };
        let ours = if payloads.iter().any(|payload| payload.codec.is_speech()) {
            self.write_offer(ctx, asker, payloads, direction)
        } else {
            Err(StatusCode::NOT_ACCEPTABLE_HERE)
        };
        let Some(crossing) = self.take_crossing(asker) else {
            self.settle(ctx, key, None);
            return;
        };
        let (server, request) = (crossing.server, &crossing.request);
        match ours {
            Ok(ours) => {
                self.finish_change(ctx, asker, server, request, StatusCode::OK, Some(ours));
            }
            Err(status) => {
                self.finish_change(ctx, asker, server, request, status, None);
                self.settle(ctx, key, None);
            }
        }
    }

    /// Answers the peer's offer in the ACK to its 2xx: with `wanted`, or with what was before.
    pub(super) fn settle(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, wanted: Option<Wanted>) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let Some(owed) = leg.owed.take() else { return };
        let wanted = wanted.or_else(|| {
            let local = leg.audio.local.clone()?;
            Some((local.payloads, local.direction))
        });
        // a leg that has closed its audio opens none any more
        let open = leg.audio.stream.is_some();
        let answer = wanted.filter(|_| open).and_then(|(payloads, direction)| {
            self.write_answer(ctx, key, &owed.offer, payloads, direction)
                .ok()
        });
        let body = answer.as_ref().map(|(body, _)| body.clone());
        self.acknowledge(ctx, key, Some(owed.client), owed.cseq, body);
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let event = match answer {
            Some(_) => Event::Answer,
            None => Event::Refuse,
        };
        let fits = leg.offers.on(event);
        debug_assert!(fits.is_ok(), "an answer was owed");
        match answer {
            Some((sent, plan)) => {
                leg.audio.heard = Some(owed.body);
                leg.audio.sent = Some(sent);
                self.agree(ctx, key, plan);
            }
            // an ACK cannot refuse: without an answer there is no session any more
            None if open => self.lose_leg(ctx, key, Cause::NotAcceptable),
            None => {}
        }
    }
}
