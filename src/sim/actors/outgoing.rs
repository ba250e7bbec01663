//! What a phone sends on its own: calls, CANCEL, ACK, BYE, hold and resume, keys, and the nonsense of rude phones.

use super::order::{CallPlan, HoldDialect};
use super::phone::{MARKER, Phone};
use super::rude::Rude;
use super::session::{Session, Stage, mirrored};
use super::transactions::{Heard, Purpose, key_of};
use super::{Context, Deed, Reminder, Way};
use crate::base::Duration;
use crate::sim::wire::{self, Text};

impl Phone {
    /// Calls a user part; the number of the call.
    pub(super) fn call(
        &mut self,
        context: &mut Context<'_>,
        to: &str,
        plan: CallPlan,
    ) -> Option<u64> {
        if self.live().count() >= self.settings.lines + 6 {
            return None;
        }
        let id = self.new_session_id();
        let remote_uri = format!("sip:{to}@{}", self.settings.domain);
        let call_id = format!("{}-{}", self.settings.name, context.token());
        let mut session = Session::new(id, true, call_id, self.media_address(id));
        session.local = format!("<sip:{}@{}>", self.settings.user, self.settings.domain);
        session.local_tag = context.token();
        session.remote = format!("<{remote_uri}>");
        session.target = remote_uri;
        session.talk = plan.talk;
        session.plan = plan;
        session.lane = self.best_lane();
        if let Some(patience) = session.plan.patience {
            context.remind(patience, Reminder::Patience(id));
        }
        let contact = self.contact_of_call(context);
        let mut invite = session.request("INVITE", &self.via(context), &contact);
        invite.push("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO");
        let mut supported = Vec::new();
        if self.settings.reliable || self.settings.rudeness.has(Rude::NoPrack) {
            supported.push("100rel");
        }
        if self.settings.rudeness.has(Rude::NoPrack) {
            invite.push("Require", "100rel");
        }
        if let Some(timer) = self.settings.timer {
            supported.push("timer");
            let who = if self.settings.refreshes {
                "uac"
            } else {
                "uas"
            };
            invite.push("Session-Expires", &format!("{timer};refresher={who}"));
        }
        if !supported.is_empty() {
            invite.push("Supported", &supported.join(", "));
        }
        invite.push("Content-Type", "application/sdp");
        invite.body = session.sdp("sendrecv");
        context.deeds.push(Deed::Speak(session.media));
        session.invite = invite.clone();
        session.invite_key = key_of(&invite);
        self.sessions.insert(id, session);
        let way = self.way_out();
        self.ask(context, way, invite.clone(), Purpose::Invite(id));
        if !way.stream && self.is_rude(context, Rude::AlteredRepeat) {
            self.stamp(&mut invite);
            invite.body = invite.body.replace("RTP/AVP 8 0 101", "RTP/AVP 0");
            self.transactions.send(context, way, invite.to_bytes());
        }
        self.be_rude(context, way);
        Some(id)
    }

    /// Calls after the trouble, to see whether calls come through.
    pub(super) fn probe(&mut self, context: &mut Context<'_>, to: &str) {
        let plan = CallPlan {
            patience: Some(Duration::from_secs(20)),
            talk: Some(Duration::from_secs(2)),
            ..CallPlan::default()
        };
        let before = self.healed;
        self.healed = false;
        let id = self.call(context, to, plan);
        if let Some(session) = id.and_then(|id| self.sessions.get(&id)) {
            let note = format!(
                "probe {} of {} to {to}",
                session.call_id, self.settings.name
            );
            context.deeds.push(Deed::Note(note));
        }
        self.healed = before;
    }

    /// Sends what no well-behaved phone sends.
    fn be_rude(&mut self, context: &mut Context<'_>, way: Way) {
        let mut nonsense: Vec<Vec<u8>> = Vec::new();
        if self.is_rude(context, Rude::StrayResponses) {
            let stray = Text::request("INVITE", "sip:x@pbx.example.com")
                .with("Via", &self.via(context))
                .with("From", "<sip:x@pbx.example.com>;tag=stray")
                .with("To", "<sip:y@pbx.example.com>")
                .with("Call-ID", &context.token())
                .with("CSeq", "7 INVITE");
            nonsense.push(Text::response(&stray, 180, "Ringing", "s").to_bytes());
            nonsense.push(Text::response(&stray, 200, "OK", "s").to_bytes());
        }
        if !way.stream && self.is_rude(context, Rude::Malformed) {
            let picks: [&[u8]; 6] = [
                b"\0\0\0\0",
                b"INVITE sip:1002@pbx.example.com SIP/2.0\r\nVia: SIP/2.0/UDP",
                b"INVITE sip:1002@pbx.example.com SIP/2.0\r\nVia: x\r\nFrom: y\r\nTo: z\r\nCall-ID: q\r\nCSeq: 99999999999 INVITE\r\n\r\n",
                b"SIP/2.0 999999 What\r\n\r\n",
                b"REGISTER  SIP/2.0\r\n\r\n",
                b"BYE sip:\xff\xfe@pbx SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK\r\nFrom: <sip:a@b>;tag=\r\nTo: <\r\nCall-ID: \r\nCSeq: 1 BYE\r\nContent-Length: -1\r\n\r\n",
            ];
            let pick = usize::try_from(context.entropy.below(picks.len() as u64)).unwrap_or(0);
            nonsense.push(picks[pick].to_vec());
        }
        if self.is_rude(context, Rude::Huge) {
            let huge = Text::request("OPTIONS", "sip:pbx.example.com")
                .with("Via", &self.via(context))
                .with("From", "<sip:x@pbx.example.com>;tag=huge")
                .with("To", "<sip:pbx.example.com>")
                .with("Call-ID", &context.token())
                .with("CSeq", "1 OPTIONS")
                .with("Subject", &"long ".repeat(8_000));
            nonsense.push(huge.to_bytes());
        }
        if self.is_rude(context, Rude::UnknownRequire) {
            let whim = Text::request("OPTIONS", "sip:pbx.example.com")
                .with("Via", &self.via(context))
                .with(
                    "From",
                    &format!("<sip:x@pbx.example.com>;tag={}", context.token()),
                )
                .with("To", "<sip:pbx.example.com>")
                .with("Call-ID", &context.token())
                .with("CSeq", "1 OPTIONS")
                .with("Max-Forwards", "70")
                .with("Require", "telepathy");
            self.ask(context, way, whim, Purpose::Cancel);
        }
        for bytes in nonsense {
            self.transactions.send(context, way, bytes);
        }
    }

    pub(super) fn invite_answered(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        response: &Text,
        heard: &Heard,
    ) {
        let status = response.status().unwrap_or(0);
        match status {
            0..=199 => {
                self.acknowledge_early(context, id, response);
                self.maybe_cancel(context, id);
            }
            200..=299 => self.call_answered(context, id, response, &heard.request),
            401 | 407 if heard.fresh => {
                let Some(session) = self.sessions.get_mut(&id) else {
                    return;
                };
                session.attempts += 1;
                let again = session.attempts <= 1 && !session.wants_cancel;
                let challenge = Phone::challenge_in(response);
                match challenge.filter(|_| again) {
                    Some((challenge, proxy)) => {
                        self.call_with_credentials(context, id, &challenge, proxy);
                    }
                    None => self.over(context, id, &format!("refused with {status}")),
                }
            }
            _ => {
                if heard.fresh {
                    self.over(context, id, &format!("refused with {status}"));
                }
            }
        }
    }

    fn call_with_credentials(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        challenge: &str,
        proxy: bool,
    ) {
        let via = self.via(context);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.cseq += 1;
        let mut invite = session.invite.clone();
        invite.set("Via", &via);
        invite.set("CSeq", &format!("{} INVITE", session.cseq));
        if !self.authorize(context, &mut invite, challenge, proxy) {
            self.over(context, id, "challenged in an unknown way");
            return;
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.invite = invite.clone();
            session.invite_key = key_of(&invite);
        }
        let way = self.way_of_call(id, self.settings.server);
        self.ask(context, way, invite, Purpose::Invite(id));
    }

    /// The way of a call to a place.
    pub(super) fn way_of_call(&self, id: u64, remote: std::net::SocketAddr) -> Way {
        let lane = self.sessions.get(&id).map_or(0, |s| s.lane);
        self.way_to(remote, lane)
    }

    fn call_answered(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        response: &Text,
        request: &Text,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.ack.is_some() && response.to_tag() == session.remote_tag {
            if self.is_rude(context, Rude::NoAck) {
                return;
            }
            self.send_ack(context, id); // a repeated 2xx
            return;
        }
        let cseq = request.cseq().map_or(1, |(n, _)| n);
        if session.stage != Stage::Early {
            self.refuse_second_answer(context, id, response, cseq);
            return;
        }
        session.remote_tag = response.to_tag().to_string();
        session.stage = Stage::Talking;
        session.learn(response, true);
        let (plan, cancelled) = (session.plan.clone(), session.wants_cancel);
        self.make_ack(context, id, cseq, None);
        if self.is_rude(context, Rude::NoAck) {
            // never
        } else if self.is_rude(context, Rude::LateAck) {
            let late = Duration::from_millis(600 + context.entropy.below(19_400));
            context.remind(late, Reminder::LateAck(id));
        } else {
            self.send_ack(context, id);
        }
        if self.settings.timer.is_some() && self.settings.refreshes {
            context.remind(Duration::from_secs(45), Reminder::Refresh(id));
        }
        if let Some((after, _)) = &plan.transfer {
            context.remind(*after, Reminder::Transfer(id));
        }
        if cancelled || (self.healed && plan.talk.is_none()) {
            context.remind(Duration::from_millis(20), Reminder::TalkOver(id));
            return;
        }
        if let Some(talk) = plan.talk {
            context.remind(talk, Reminder::TalkOver(id));
        }
        if let Some((after, _, _)) = plan.hold {
            context.remind(after, Reminder::Hold(id));
        }
        if !plan.keys.is_empty() {
            context.remind(Duration::from_secs(1), Reminder::Press(id, 0));
        }
    }

    /// Another branch of a fork answered too, or an answer to what is over: ACK and BYE (RFC 3261 §13.2.2.4).
    fn refuse_second_answer(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        response: &Text,
        cseq: u32,
    ) {
        let (via_ack, via_bye) = (self.via(context), self.via(context));
        let contact = self.contact();
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let mut other = Session::new(0, true, session.call_id.clone(), session.media);
        other.stage = Stage::Over;
        other.local = session.local.clone();
        other.local_tag = session.local_tag.clone();
        other.remote = session.remote.clone();
        other.remote_tag = response.to_tag().to_string();
        other.target = session.target.clone();
        other.cseq = cseq;
        other.lane = session.lane;
        other.learn(response, true);
        let mut ack = other.request_numbered("ACK", &via_ack, &contact, cseq);
        self.stamp(&mut ack);
        let way = self.way_to(other.next_hop(self.settings.server), other.lane);
        self.transactions.send(context, way, ack.to_bytes());
        let bye = other.request("BYE", &via_bye, &contact);
        self.ask(context, way, bye, Purpose::Cancel);
    }

    fn make_ack(&mut self, context: &mut Context<'_>, id: u64, cseq: u32, answer: Option<String>) {
        let (via, contact) = (self.via(context), self.contact());
        let marker = self.settings.name.clone();
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let mut ack = session.request_numbered("ACK", &via, &contact, cseq);
        ack.push(MARKER, &marker);
        if let Some(answer) = answer {
            ack.push("Content-Type", "application/sdp");
            ack.body = answer;
        }
        session.ack = Some(ack.to_bytes());
    }

    pub(super) fn send_ack(&mut self, context: &mut Context<'_>, id: u64) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let way = self.way_to(session.next_hop(self.settings.server), session.lane);
        if let Some(ack) = session.ack.clone() {
            self.transactions.send(context, way, ack);
        }
    }

    pub(super) fn lose_patience(&mut self, context: &mut Context<'_>, id: u64) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.outgoing
            && session.stage == Stage::Early
        {
            session.wants_cancel = true;
            self.maybe_cancel(context, id);
        }
    }

    /// Sends CANCEL when it is wanted and allowed (RFC 3261 §9.1: not before a provisional response).
    fn maybe_cancel(&mut self, context: &mut Context<'_>, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !session.wants_cancel || session.cancelled || session.stage != Stage::Early {
            return;
        }
        if !self.transactions.may_cancel(&session.invite_key) {
            return;
        }
        session.cancelled = true;
        let invite = &session.invite;
        let mut cancel = Text::request("CANCEL", invite.uri().unwrap_or(""));
        for name in ["Via", "From", "To", "Call-ID", "Route"] {
            for value in invite.all(name) {
                cancel.push(name, value);
            }
        }
        let number = invite.cseq().map_or(1, |(n, _)| n);
        cancel.push("CSeq", &format!("{number} CANCEL"));
        cancel.push("Max-Forwards", "70");
        context.remind(Duration::from_secs(64), Reminder::Abandon(id));
        let way = self.way_of_call(id, self.settings.server);
        self.ask(context, way, cancel, Purpose::Cancel);
    }

    pub(super) fn hang_up(&mut self, context: &mut Context<'_>, id: u64) {
        let (via, contact) = (self.via(context), self.contact());
        let (wrong_via, second_via) = (self.via(context), self.via(context));
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match session.stage {
            Stage::Over => return,
            Stage::Early if session.outgoing => {
                self.lose_patience(context, id);
                return;
            }
            Stage::Early => {
                self.refuse(context, id, 603, "Decline");
                return;
            }
            Stage::Talking => {}
        }
        if session.unacked.is_some() {
            // RFC 3261 §15: the callee may not send BYE before the ACK, or before its 2xx has given up.
            context.remind(Duration::from_secs(1), Reminder::TalkOver(id));
            return;
        }
        let (hop, lane) = (session.next_hop(self.settings.server), session.lane);
        let mut requests = vec![session.request("BYE", &via, &contact)];
        session.stage = Stage::Over;
        session.how = "hung up".to_string();
        session.pending_offer = None;
        context.deeds.push(Deed::Mute(session.media));
        if self.is_rude(context, Rude::WrongTag) {
            let mut wrong = requests[0].clone();
            wrong.set("To", "<sip:nobody@pbx.example.com>;tag=wrong");
            wrong.set("Via", &wrong_via);
            requests.insert(0, wrong);
        }
        if self.is_rude(context, Rude::ByeTwice) {
            let again = self
                .sessions
                .get_mut(&id)
                .map(|s| s.request("BYE", &second_via, &contact));
            requests.extend(again);
        }
        let way = self.way_to(hop, lane);
        for request in requests {
            self.ask(context, way, request, Purpose::Bye(id));
        }
        self.after_the_end(context, id);
    }

    pub(super) fn hold_as_planned(&mut self, context: &mut Context<'_>, id: u64) {
        let Some((_, dialect, length)) = self.sessions.get(&id).and_then(|s| s.plan.hold) else {
            return;
        };
        self.hold(context, id, dialect);
        context.remind(length, Reminder::Resume(id));
    }

    pub(super) fn hold(&mut self, context: &mut Context<'_>, id: u64, dialect: HoldDialect) {
        let direction = match dialect {
            HoldDialect::SendOnly => "sendonly",
            HoldDialect::Inactive => "inactive",
            HoldDialect::ZeroAddress => "c=0",
        };
        self.offer(context, id, direction);
    }

    /// Re-INVITE with a new offer, unless one is under way.
    pub(super) fn offer(&mut self, context: &mut Context<'_>, id: u64, direction: &'static str) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.stage != Stage::Talking || session.unacked.is_some() {
            return;
        }
        if session.pending_offer.is_some() {
            context.remind(Duration::from_secs(1), Reminder::Resume(id));
            return;
        }
        session.pending_offer = Some(direction);
        self.offer_again(context, id, direction);
    }

    pub(super) fn offer_again(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        direction: &'static str,
    ) {
        let (via, contact) = (self.via(context), self.contact());
        let asks = self.is_rude(context, Rude::OfferlessReinvite);
        let server = self.settings.server;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.stage != Stage::Talking {
            return;
        }
        let mut invite = session.request("INVITE", &via, &contact);
        session.asks_offer = asks;
        if !asks {
            invite.push("Content-Type", "application/sdp");
            invite.body = session.sdp(direction);
        }
        let way = self.way_of_call(id, hop_of(self.sessions.get(&id), server));
        self.ask(context, way, invite, Purpose::ReInvite(id));
    }

    pub(super) fn offer_answered(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        response: &Text,
        heard: &Heard,
    ) {
        let status = response.status().unwrap_or(0);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match status {
            0..=199 => {}
            200..=299 => {
                if let Some(direction) = session.pending_offer.take() {
                    session.direction = direction;
                    session.learn(response, false);
                }
                let cseq = heard.request.cseq().map_or(1, |(n, _)| n);
                let answer = (session.asks_offer && heard.fresh).then(|| {
                    let ours = mirrored(wire::sdp_direction(&response.body), session.direction);
                    session.sdp(ours)
                });
                if heard.fresh || session.ack.is_none() {
                    self.make_ack(context, id, cseq, answer);
                }
                self.send_ack(context, id);
            }
            491 if heard.fresh => {
                // RFC 3261 §14.1: the owner of the Call-ID waits longer.
                let wait = if session.outgoing {
                    2_100 + context.entropy.below(190) * 10
                } else {
                    context.entropy.below(200) * 10
                };
                context.remind(Duration::from_millis(wait), Reminder::RetryOffer(id));
            }
            408 | 481 if heard.fresh => {
                session.pending_offer = None;
                self.hang_up(context, id);
            }
            _ => session.pending_offer = None,
        }
    }

    pub(super) fn press_key(&mut self, context: &mut Context<'_>, id: u64, at: usize) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if session.stage != Stage::Talking {
            return;
        }
        if let Some(digit) = session.plan.keys.chars().nth(at) {
            context.deeds.push(Deed::Press(session.media, digit));
            context.remind(Duration::from_secs(1), Reminder::Press(id, at + 1));
        }
    }
}

fn hop_of(session: Option<&Session>, otherwise: std::net::SocketAddr) -> std::net::SocketAddr {
    session.map_or(otherwise, |s| s.next_hop(otherwise))
}
