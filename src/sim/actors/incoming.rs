//! What a phone does with requests: rings, answers, refuses, takes offers, hears BYE and CANCEL.

use super::order::Answer;
use super::phone::Phone;
use super::rude::Rude;
use super::session::{Session, Stage, Unacked, mirrored};
use super::transactions::key_of;
use super::{Context, Deed, Packet, Reminder, Way};
use crate::base::Duration;
use crate::sim::wire::{self, Text};

pub(super) const REALM: &str = "carrier.example";

impl Phone {
    pub(super) fn asked(&mut self, context: &mut Context<'_>, request: &Text, packet: &Packet) {
        if !self.transactions.is_new(context, request, packet.way) {
            return;
        }
        if self.settings.is_gateway && self.gateway_answers(context, request) {
            return;
        }
        match request.method().unwrap_or("") {
            "INVITE" if request.to_tag().is_empty() => self.rung(context, request, packet.way.lane),
            "PRACK" => self.pracked(context, request),
            "NOTIFY" => self.notified(context, request),
            "INVITE" | "UPDATE" => self.offered(context, request),
            "ACK" => self.acked(context, request),
            "BYE" => self.bye(context, request),
            "CANCEL" => self.cancelled(context, request),
            "OPTIONS" | "INFO" | "MESSAGE" => {
                let tag = context.token();
                let session = self.session_of(request, true);
                if request.to_tag().is_empty() || session.is_some_and(|s| s.stage != Stage::Over) {
                    self.reply(context, request, 200, "OK", &tag);
                } else {
                    // it is over, or the phone has been without power since
                    self.deny_dialog(context, request, &tag);
                }
            }
            _ => {
                let tag = context.token();
                self.reply(context, request, 501, "Not Implemented", &tag);
            }
        }
    }

    fn rung(&mut self, context: &mut Context<'_>, request: &Text, lane: u8) {
        let tag = context.token();
        if let Some((user, password)) = self.settings.challenge.clone()
            && !proves(request, "Proxy-Authorization", &user, &password)
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
        if self.refuses_timer(context, request, &tag) || self.redirects(context, request, &tag) {
            return;
        }
        let id = self.new_session_id();
        let from = request.get("From").unwrap_or("");
        let (talk, ring) = match self.settings.answer {
            Answer::After { ring, talk } => (talk, Some(ring)),
            Answer::Decline(ring) => (None, Some(ring)),
            _ => (None, None),
        };
        let media = self.media_address(id);
        let mut session = Session::new(id, false, request.call_id().to_string(), media);
        session.local = request.get("To").unwrap_or("").to_string();
        session.local_tag = tag.clone();
        session.remote = from
            .rsplit_once(";tag=")
            .map_or(from, |(value, _)| value)
            .to_string();
        session.remote_tag = request.from_tag().to_string();
        session.remote_cseq = request.cseq().map_or(0, |(n, _)| n);
        session.invite = request.clone();
        session.invite_key = key_of(request);
        session.talk = talk;
        session.lane = lane;
        session.learn(request, true);
        self.sessions.insert(id, session);
        if self.settings.answer != Answer::Mute {
            self.ring(context, id);
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
        let contact = self.contact_of_call(context);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.stage != Stage::Early || session.outgoing {
            return;
        }
        if session.unpracked.is_some() && session.early_answer.is_some() {
            // RFC 3262 §3: not before the PRACK of a provisional with a description, or its end
            context.remind(Duration::from_millis(500), Reminder::Answer(id));
            return;
        }
        session.stage = Stage::Talking;
        session.unpracked = None;
        context.deeds.push(Deed::Speak(session.media));
        let offered = wire::sdp_direction(&session.invite.body);
        let direction = if session.invite.body.is_empty() {
            "sendrecv"
        } else {
            mirrored(offered, "sendrecv")
        };
        let body = match session.early_answer.clone() {
            Some(same) => same,
            None => session.sdp(direction),
        };
        let mut response = Text::response(&session.invite, 200, "OK", &session.local_tag);
        response.push("Contact", &contact);
        if self.settings.reliable {
            response.push("Allow", super::reliable::ALLOW);
        }
        response.push("Content-Type", "application/sdp");
        response.body = body;
        let refreshes = self.settings.grants_timer(&session.invite, &mut response);
        let cseq = session.remote_cseq;
        let key = session.invite_key.clone();
        if self.is_rude(context, Rude::WrongCseq) {
            let mut wrong = response.clone();
            wrong.set("CSeq", &format!("{} INVITE", cseq + 77));
            self.stamp(&mut wrong);
            let way = self.way_back(&key);
            self.transactions.send(context, way, wrong.to_bytes());
        }
        self.accept(context, id, cseq, &key, response);
        if refreshes {
            context.remind(Duration::from_secs(45), Reminder::Refresh(id));
        }
        self.answer_rudely(context, id, &key);
    }

    /// What rude phones do right after their 2xx.
    fn answer_rudely(&mut self, context: &mut Context<'_>, id: u64, key: &str) {
        if self.is_rude(context, Rude::Repeat2xx) {
            for _ in 0..2 {
                self.repeat_now(context, id);
            }
        }
        let way = self.way_back(key);
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let (invite, tag) = (session.invite.clone(), session.local_tag.clone());
        let Some(mut other) = session
            .unacked
            .as_ref()
            .and_then(|u| Text::parse(&u.bytes).ok())
        else {
            return;
        };
        if self.is_rude(context, Rude::RingAfterAnswer) {
            let mut ringing = Text::response(&invite, 180, "Ringing", &tag);
            self.stamp(&mut ringing);
            self.transactions.send(context, way, ringing.to_bytes());
        }
        if self.is_rude(context, Rude::TwoTags) {
            let mut second = other.clone();
            let to = invite.get("To").unwrap_or("");
            second.set("To", &format!("{to};tag=second{tag}"));
            self.transactions.send(context, way, second.to_bytes());
        }
        if self.is_rude(context, Rude::AlteredRepeat) {
            other.body = other.body.replace("RTP/AVP 8 0 101", "RTP/AVP 0");
            self.transactions.send(context, way, other.to_bytes());
        }
    }

    /// Where responses of a transaction go.
    pub(super) fn way_back(&self, key: &str) -> Way {
        self.transactions
            .path_of(key)
            .unwrap_or_else(|| self.way_out())
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
        let way = self.way_back(key);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.unacked = Some(Unacked {
            cseq,
            bytes: response.to_bytes(),
            interval: Duration::from_millis(500),
            waited: Duration::ZERO,
            way,
        });
        context.remind(Duration::from_millis(500), Reminder::Resend2xx(id, cseq));
    }

    fn repeat_now(&mut self, context: &mut Context<'_>, id: u64) {
        if let Some(unacked) = self.sessions.get(&id).and_then(|s| s.unacked.as_ref()) {
            let (way, bytes) = (unacked.way, unacked.bytes.clone());
            self.transactions.send(context, way, bytes);
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
            self.deny_dialog(context, request, &tag);
            return;
        };
        let (tag, id) = (session.local_tag.clone(), session.id);
        let quiet = session.pending_offer.is_none() && session.unacked.is_none();
        if !update
            && quiet
            && session.stage == Stage::Talking
            && self.settings.rudeness.has(Rude::Glare)
        {
            context.reach(Rude::Glare.name());
            self.reply(context, request, 491, "Request Pending", &tag);
            self.offer(context, id, "sendrecv");
            return;
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.stage != Stage::Talking && !(update && session.stage == Stage::Early) {
            self.deny_dialog(context, request, &tag);
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
        if let (Some(asked), Some(_)) = (request.get("Session-Expires"), self.settings.timer) {
            response.push("Session-Expires", asked); // as who asks wants it, the refresher too
        }
        if !(update && request.body.is_empty()) {
            response.push("Content-Type", "application/sdp");
            response.body = session.sdp(direction);
        }
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
            self.deny_dialog(context, request, &tag);
            return;
        };
        let (id, tag) = (session.id, session.local_tag.clone());
        session.remote_cseq = session.remote_cseq.max(cseq);
        let was_up = session.stage == Stage::Talking;
        if self.is_rude(context, Rude::DeafToBye) {
            // says nothing, ever
        } else if self.is_rude(context, Rude::SlowBye) {
            self.transactions.keep(&key_of(request), request.clone());
            let wait = Duration::from_millis(600 + context.entropy.below(8_000));
            context.remind(wait, Reminder::SlowBye(key_of(request)));
        } else {
            self.reply(context, request, 200, "OK", &tag);
        }
        self.over(context, id, "the other end hung up");
        if was_up {
            self.after_the_end(context, id);
        }
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
            self.deny_dialog(context, request, &tag);
            return;
        };
        let tag = self
            .sessions
            .get(&id)
            .map(|s| s.local_tag.clone())
            .unwrap_or_default();
        if self.is_rude(context, Rude::DeafToCancel) {
            return;
        }
        if self.is_rude(context, Rude::AnswerBeforeCancel) {
            self.answer_now(context, id);
            self.reply(context, request, 200, "OK", &tag);
            return;
        }
        self.reply(context, request, 200, "OK", &tag);
        if self.is_rude(context, Rude::AnswerAfterCancel) {
            self.answer_now(context, id);
        } else {
            self.refuse(context, id, 487, "Request Terminated");
        }
    }

    /// Answers a BYE at last.
    pub(super) fn slow_bye(&mut self, context: &mut Context<'_>, key: &str) {
        if let Some(request) = self.transactions.kept(key) {
            let tag = request.to_tag().to_string();
            self.reply(context, &request, 200, "OK", &tag);
        }
    }
}

/// Whether a request proves by digest, in that header, to know a password.
pub(super) fn proves(request: &Text, header: &str, user: &str, password: &str) -> bool {
    let Some(credentials) = request.get(header) else {
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
                &request.about(),
                part("uri"),
                part("nonce"),
                part("nc"),
                part("cnonce"),
                part("qop"),
            )
}
