//! What a phone does with requests: rings, answers, refuses, takes offers, hears BYE and CANCEL.

use super::order::{Answer, CallPlan};
use super::phone::Phone;
use super::session::{Session, Stage, Unacked, mirrored};
use super::transactions::key_of;
use super::{Context, Deed, Packet, Reminder};
use crate::base::Duration;
use crate::sim::wire::{self, Text};

const REALM: &str = "carrier.example";

impl Phone {
    pub(super) fn asked(&mut self, context: &mut Context<'_>, request: &Text, packet: &Packet) {
        if !self
            .transactions
            .is_new(context, request, packet.from, packet.stream)
        {
            return;
        }
        match request.method().unwrap_or("") {
            "INVITE" if request.to_tag().is_empty() => self.rung(context, request),
            "INVITE" | "UPDATE" => self.offered(context, request),
            "ACK" => self.acked(context, request),
            "BYE" => self.bye(context, request),
            "CANCEL" => self.cancelled(context, request),
            "OPTIONS" | "INFO" | "NOTIFY" => {
                let tag = context.token();
                self.reply(context, request, 200, "OK", &tag);
            }
            _ => {
                let tag = context.token();
                self.reply(context, request, 501, "Not Implemented", &tag);
            }
        }
    }

    fn rung(&mut self, context: &mut Context<'_>, request: &Text) {
        let tag = context.token();
        if let Some((user, password)) = self.settings.challenge.clone()
            && !proves(request, &user, &password)
        {
            let mut response = Text::response(request, 407, "Proxy Authentication Required", &tag);
            response.push(
                "Proxy-Authenticate",
                &format!(
                    "Digest realm=\"{REALM}\", nonce=\"{}\", algorithm=MD5, qop=\"auth\"",
                    context.token()
                ),
            );
            self.stamp(&mut response);
            self.transactions
                .respond(context, &key_of(request), &response);
            return;
        }
        let busy = self.live().count() >= self.settings.lines;
        if busy || self.settings.answer == Answer::Busy {
            self.reply(context, request, 486, "Busy Here", &tag);
            return;
        }
        let id = self.new_session_id();
        let from = request.get("From").unwrap_or("");
        let (talk, ring) = match self.settings.answer {
            Answer::After { ring, talk } => (talk, Some(ring)),
            Answer::Decline(ring) => (None, Some(ring)),
            _ => (None, None),
        };
        let mut session = Session {
            id,
            outgoing: false,
            stage: Stage::Early,
            call_id: request.call_id().to_string(),
            local: request.get("To").unwrap_or("").to_string(),
            local_tag: tag.clone(),
            remote: from
                .rsplit_once(";tag=")
                .map_or(from, |(value, _)| value)
                .to_string(),
            remote_tag: request.from_tag().to_string(),
            target: String::new(),
            routes: Vec::new(),
            cseq: 0,
            remote_cseq: request.cseq().map_or(0, |(n, _)| n),
            invite: request.clone(),
            invite_key: key_of(request),
            attempts: 0,
            cancelled: false,
            wants_cancel: false,
            plan: CallPlan::default(),
            talk,
            media: self.media_address(id),
            version: 0,
            direction: "sendrecv",
            pending_offer: None,
            ack: None,
            unacked: None,
            how: String::new(),
        };
        session.learn(request, true);
        self.sessions.insert(id, session);
        if self.settings.answer != Answer::Mute {
            let mut ringing = Text::response(request, 180, "Ringing", &tag);
            ringing.push("Contact", &self.contact());
            self.stamp(&mut ringing);
            self.transactions
                .respond(context, &key_of(request), &ringing);
        }
        if let Some(ring) = ring {
            context.remind(ring, Reminder::Answer(id));
        }
    }

    /// Answers or refuses, as the phone's settings say by now.
    pub(super) fn answer_now(&mut self, context: &mut Context<'_>, id: u64) {
        if let Answer::Decline(_) = self.settings.answer {
            self.refuse(context, id, 603, "Decline");
            return;
        }
        let contact = self.contact();
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.stage != Stage::Early || session.outgoing {
            return;
        }
        session.stage = Stage::Talking;
        context.deeds.push(Deed::Speak(session.media));
        let offered = wire::sdp_direction(&session.invite.body);
        let direction = if session.invite.body.is_empty() {
            "sendrecv"
        } else {
            mirrored(offered, "sendrecv")
        };
        let body = session.sdp(direction);
        let mut response = Text::response(&session.invite, 200, "OK", &session.local_tag);
        response.push("Contact", &contact);
        response.push("Content-Type", "application/sdp");
        response.body = body;
        let cseq = session.remote_cseq;
        let key = session.invite_key.clone();
        self.accept(context, id, cseq, &key, response);
        if self.settings.rudeness.repeat_2xx {
            for _ in 0..2 {
                self.repeat_now(context, id);
            }
        }
    }

    /// Sends a 2xx to INVITE and repeats it until its ACK comes (RFC 3261 §13.3.1.4).
    fn accept(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        cseq: u32,
        key: &str,
        mut response: Text,
    ) {
        self.stamp(&mut response);
        self.transactions.respond(context, key, &response);
        let (remote, stream) = self
            .transactions
            .path_of(key)
            .unwrap_or((self.settings.server, self.settings.stream));
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.unacked = Some(Unacked {
            cseq,
            bytes: response.to_bytes(),
            interval: Duration::from_millis(500),
            waited: Duration::ZERO,
            remote,
            stream,
        });
        context.remind(Duration::from_millis(500), Reminder::Resend2xx(id, cseq));
    }

    fn repeat_now(&mut self, context: &mut Context<'_>, id: u64) {
        if let Some(unacked) = self.sessions.get(&id).and_then(|s| s.unacked.as_ref()) {
            let (remote, stream, bytes) = (unacked.remote, unacked.stream, unacked.bytes.clone());
            self.transactions.send(context, remote, stream, bytes);
        }
    }

    pub(super) fn repeat_2xx(&mut self, context: &mut Context<'_>, id: u64, cseq: u32) {
        let Some(unacked) = self
            .sessions
            .get_mut(&id)
            .and_then(|s| s.unacked.as_mut())
            .filter(|u| u.cseq == cseq)
        else {
            return;
        };
        unacked.waited += unacked.interval;
        if unacked.waited >= Duration::from_secs(32) {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.unacked = None;
            }
            self.hang_up(context, id); // §13.3.1.4: no ACK came, end the dialog
            return;
        }
        unacked.interval = (unacked.interval * 2).min(Duration::from_secs(4));
        let interval = unacked.interval;
        self.repeat_now(context, id);
        context.remind(interval, Reminder::Resend2xx(id, cseq));
    }

    pub(super) fn refuse(&mut self, context: &mut Context<'_>, id: u64, code: u16, reason: &str) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if session.stage != Stage::Early || session.outgoing {
            return;
        }
        let (invite, tag) = (session.invite.clone(), session.local_tag.clone());
        self.reply(context, &invite, code, reason, &tag);
        self.over(context, id, reason);
    }

    fn acked(&mut self, context: &mut Context<'_>, ack: &Text) {
        let cseq = ack.cseq().map_or(0, |(n, _)| n);
        let Some(session) = self.session_of(ack, true) else {
            return;
        };
        if session.unacked.as_ref().is_none_or(|u| u.cseq != cseq) {
            return;
        }
        session.unacked = None;
        let id = session.id;
        if let Some(talk) = session.talk.take() {
            context.remind(talk, Reminder::TalkOver(id));
        }
    }

    /// An offer inside a dialog.
    fn offered(&mut self, context: &mut Context<'_>, request: &Text) {
        let contact = self.contact();
        let update = request.method() == Some("UPDATE");
        let Some(session) = self.session_of(request, true) else {
            let tag = context.token();
            self.reply(
                context,
                request,
                481,
                "Call/Transaction Does Not Exist",
                &tag,
            );
            return;
        };
        let tag = session.local_tag.clone();
        if session.stage != Stage::Talking && !(update && session.stage == Stage::Early) {
            self.reply(
                context,
                request,
                481,
                "Call/Transaction Does Not Exist",
                &tag,
            );
            return;
        }
        let cseq = request.cseq().map_or(0, |(n, _)| n);
        if cseq <= session.remote_cseq {
            self.reply(context, request, 500, "CSeq Out Of Order", &tag);
            return;
        }
        session.remote_cseq = cseq;
        if session.pending_offer.is_some() || session.unacked.is_some() {
            self.reply(context, request, 491, "Request Pending", &tag);
            return;
        }
        session.learn(request, false);
        let ours = session.direction;
        let direction = if request.body.is_empty() {
            ours
        } else {
            mirrored(wire::sdp_direction(&request.body), ours)
        };
        let mut response = Text::response(request, 200, "OK", &tag);
        response.push("Contact", &contact);
        if !(update && request.body.is_empty()) {
            response.push("Content-Type", "application/sdp");
            response.body = session.sdp(direction);
        }
        let id = session.id;
        if update {
            self.stamp(&mut response);
            self.transactions
                .respond(context, &key_of(request), &response);
        } else {
            self.accept(context, id, cseq, &key_of(request), response);
        }
    }

    fn bye(&mut self, context: &mut Context<'_>, request: &Text) {
        let cseq = request.cseq().map_or(0, |(n, _)| n);
        let Some(session) = self.session_of(request, true) else {
            let tag = context.token();
            self.reply(
                context,
                request,
                481,
                "Call/Transaction Does Not Exist",
                &tag,
            );
            return;
        };
        let (id, tag) = (session.id, session.local_tag.clone());
        session.remote_cseq = session.remote_cseq.max(cseq);
        self.reply(context, request, 200, "OK", &tag);
        self.over(context, id, "the other end hung up");
    }

    fn cancelled(&mut self, context: &mut Context<'_>, request: &Text) {
        let invite_key = format!("{}/INVITE", request.branch());
        let Some(id) = self
            .sessions
            .values()
            .find(|s| !s.outgoing && s.invite_key == invite_key)
            .map(|s| s.id)
        else {
            let tag = context.token();
            self.reply(
                context,
                request,
                481,
                "Call/Transaction Does Not Exist",
                &tag,
            );
            return;
        };
        let tag = self
            .sessions
            .get(&id)
            .map(|s| s.local_tag.clone())
            .unwrap_or_default();
        self.reply(context, request, 200, "OK", &tag);
        if self.settings.rudeness.answer_after_cancel {
            self.answer_now(context, id);
        } else {
            self.refuse(context, id, 487, "Request Terminated");
        }
    }
}

fn proves(request: &Text, user: &str, password: &str) -> bool {
    let Some(credentials) = request.get("Proxy-Authorization") else {
        return false;
    };
    let part = |name| wire::auth_param(credentials, name).unwrap_or("");
    part("username") == user
        && part("response")
            == wire::digest_response(
                part("algorithm").eq_ignore_ascii_case("SHA-256"),
                user,
                REALM,
                password,
                "INVITE",
                part("uri"),
                part("nonce"),
                part("nc"),
                part("cnonce"),
                part("qop"),
            )
}
