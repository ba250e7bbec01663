//! What a phone sends on its own: calls, CANCEL, ACK, BYE, hold and resume, keys, and the nonsense of rude phones.

use super::order::{CallPlan, HoldDialect};
use super::phone::{MARKER, Phone};
use super::session::{Session, Stage};
use super::transactions::{Heard, Purpose, key_of};
use super::{Context, Deed, Reminder};
use crate::base::Duration;
use crate::sim::wire::Text;

impl Phone {
    pub(super) fn call(&mut self, context: &mut Context<'_>, to: &str, plan: CallPlan) {
        if self.healed {
            return;
        }
        let id = self.new_session_id();
        let local = format!("<sip:{}@{}>", self.settings.user, self.settings.domain);
        let remote_uri = format!("sip:{to}@{}", self.settings.domain);
        let call_id = format!("{}-{}", self.settings.name, context.token());
        let mut session = Session {
            id,
            outgoing: true,
            stage: Stage::Early,
            call_id,
            local,
            local_tag: context.token(),
            remote: format!("<{remote_uri}>"),
            remote_tag: String::new(),
            target: remote_uri,
            routes: Vec::new(),
            cseq: 0,
            remote_cseq: 0,
            invite: Text::request("INVITE", "sip:none"),
            invite_key: String::new(),
            attempts: 0,
            cancelled: false,
            wants_cancel: false,
            talk: plan.talk,
            media: self.media_address(id),
            version: 0,
            direction: "sendrecv",
            pending_offer: None,
            ack: None,
            unacked: None,
            how: String::new(),
            plan,
        };
        if let Some(patience) = session.plan.patience {
            context.remind(patience, Reminder::Patience(id));
        }
        let mut invite = session.request("INVITE", &self.via(context), &self.contact());
        invite.push("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO");
        invite.push("Content-Type", "application/sdp");
        invite.body = session.sdp("sendrecv");
        context.deeds.push(Deed::Speak(session.media));
        session.invite = invite.clone();
        session.invite_key = key_of(&invite);
        self.sessions.insert(id, session);
        let server = self.settings.server;
        self.ask(context, server, invite, Purpose::Invite(id));
        self.be_rude(context);
    }

    /// Sends what no well-behaved phone sends.
    fn be_rude(&mut self, context: &mut Context<'_>) {
        let rude = self.settings.rudeness.clone();
        let server = self.settings.server;
        let stream = self.settings.stream;
        let mut nonsense: Vec<Vec<u8>> = Vec::new();
        if rude.stray_responses {
            let stray = Text::request("INVITE", "sip:x@pbx.example.com")
                .with("Via", &self.via(context))
                .with("From", "<sip:x@pbx.example.com>;tag=stray")
                .with("To", "<sip:y@pbx.example.com>")
                .with("Call-ID", &context.token())
                .with("CSeq", "7 INVITE");
            nonsense.push(Text::response(&stray, 180, "Ringing", "s").to_bytes());
            nonsense.push(Text::response(&stray, 200, "OK", "s").to_bytes());
        }
        if rude.malformed && !stream {
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
        if rude.huge {
            let huge = Text::request("OPTIONS", "sip:pbx.example.com")
                .with("Via", &self.via(context))
                .with("From", "<sip:x@pbx.example.com>;tag=huge")
                .with("To", "<sip:pbx.example.com>")
                .with("Call-ID", &context.token())
                .with("CSeq", "1 OPTIONS")
                .with("Subject", &"long ".repeat(8_000));
            nonsense.push(huge.to_bytes());
        }
        for bytes in nonsense {
            self.transactions.send(context, server, stream, bytes);
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
            0..=199 => self.maybe_cancel(context, id),
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
        let server = self.settings.server;
        self.ask(context, server, invite, Purpose::Invite(id));
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
            if self.settings.rudeness.no_ack {
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
        self.make_ack(context, id, cseq);
        let rude = self.settings.rudeness.clone();
        match rude.late_ack {
            _ if rude.no_ack => {}
            Some(late) => context.remind(late, Reminder::LateAck(id)),
            None => self.send_ack(context, id),
        }
        if cancelled || self.healed {
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
        let mut other = Session {
            id: 0,
            outgoing: true,
            stage: Stage::Over,
            call_id: session.call_id.clone(),
            local: session.local.clone(),
            local_tag: session.local_tag.clone(),
            remote: session.remote.clone(),
            remote_tag: response.to_tag().to_string(),
            target: session.target.clone(),
            routes: Vec::new(),
            cseq,
            remote_cseq: 0,
            invite: session.invite.clone(),
            invite_key: String::new(),
            attempts: 0,
            cancelled: false,
            wants_cancel: false,
            plan: CallPlan::default(),
            talk: None,
            media: session.media,
            version: 0,
            direction: "sendrecv",
            pending_offer: None,
            ack: None,
            unacked: None,
            how: String::new(),
        };
        other.learn(response, true);
        let mut ack = other.request_numbered("ACK", &via_ack, &contact, cseq);
        self.stamp(&mut ack);
        let hop = other.next_hop(self.settings.server);
        let stream = self.settings.stream;
        self.transactions.send(context, hop, stream, ack.to_bytes());
        let bye = other.request("BYE", &via_bye, &contact);
        self.ask(context, hop, bye, Purpose::Cancel);
    }

    fn make_ack(&mut self, context: &mut Context<'_>, id: u64, cseq: u32) {
        let (via, contact) = (self.via(context), self.contact());
        let marker = self.settings.name.clone();
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let mut ack = session.request_numbered("ACK", &via, &contact, cseq);
        ack.push(MARKER, &marker);
        session.ack = Some(ack.to_bytes());
    }

    pub(super) fn send_ack(&mut self, context: &mut Context<'_>, id: u64) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let hop = session.next_hop(self.settings.server);
        if let Some(ack) = session.ack.clone() {
            let stream = self.settings.stream;
            self.transactions.send(context, hop, stream, ack);
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
        let server = self.settings.server;
        self.ask(context, server, cancel, Purpose::Cancel);
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
        let hop = session.next_hop(self.settings.server);
        let rude = self.settings.rudeness.clone();
        let mut requests = vec![session.request("BYE", &via, &contact)];
        session.stage = Stage::Over;
        session.how = "hung up".to_string();
        session.pending_offer = None;
        context.deeds.push(Deed::Mute(session.media));
        if rude.wrong_tag {
            let mut wrong = requests[0].clone();
            wrong.set("To", "<sip:nobody@pbx.example.com>;tag=wrong");
            wrong.set("Via", &wrong_via);
            requests.insert(0, wrong);
        }
        if rude.bye_twice {
            let again = self
                .sessions
                .get_mut(&id)
                .map(|s| s.request("BYE", &second_via, &contact));
            requests.extend(again);
        }
        for request in requests {
            self.ask(context, hop, request, Purpose::Bye(id));
        }
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
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.stage != Stage::Talking {
            return;
        }
        let mut invite = session.request("INVITE", &via, &contact);
        invite.push("Content-Type", "application/sdp");
        invite.body = session.sdp(direction);
        let hop = session.next_hop(self.settings.server);
        self.ask(context, hop, invite, Purpose::ReInvite(id));
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
                self.make_ack(context, id, cseq);
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
