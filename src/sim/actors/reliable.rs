//! What a phone says before it answers: 180, reliable or not (RFC 3262), redirections, refused session timers; and what it makes of
//! the provisional responses to its own calls.

use super::order::Answer;
use super::phone::{Phone, PhoneSettings};
use super::rude::Rude;
use super::session::{Session, Stage, Unpracked, mirrored};
use super::transactions::{Purpose, key_of};
use super::{Context, Reminder};
use crate::base::Duration;
use crate::sim::wire::{self, Text};

const T1: Duration = Duration::from_millis(500);
const GIVE_UP: Duration = Duration::from_secs(32);

/// What a phone with reliable provisionals can do.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK";

fn names(message: &Text, header: &str, token: &str) -> bool {
    message
        .all(header)
        .flat_map(|v| v.split(','))
        .any(|t| t.trim().eq_ignore_ascii_case(token))
}

impl PhoneSettings {
    /// Grants the session timer that an INVITE asks for, if it knows of such; true when it will refresh the session itself (RFC 4028 §9).
    pub(super) fn grants_timer(&self, invite: &Text, response: &mut Text) -> bool {
        let (Some(asked), Some(_)) = (invite.get("Session-Expires"), self.timer) else {
            return false;
        };
        let ours = match wire::param(asked, "refresher") {
            Some("uac") => false,
            Some("uas") => true,
            _ => self.refreshes,
        };
        let seconds = asked.split(';').next().unwrap_or(asked).trim();
        if !self.reliable {
            response.push("Allow", ALLOW);
        }
        response.push("Supported", "timer");
        if !ours {
            response.push("Require", "timer");
        }
        let who = if ours { "uas" } else { "uac" };
        response.push("Session-Expires", &format!("{seconds};refresher={who}"));
        ours
    }
}

impl Phone {
    /// Says that it rings.
    pub(super) fn ring(&mut self, context: &mut Context<'_>, id: u64) {
        let contact = self.contact();
        let deaf = self.settings.rudeness.has(Rude::DeafToPrack);
        let able = self.settings.reliable || deaf;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.rings += 1;
        let invite = session.invite.clone();
        let early = self.settings.early_media && session.rings == 1 && !invite.body.is_empty();
        let (code, reason) = if early {
            (183, "Session Progress")
        } else {
            (180, "Ringing")
        };
        let mut ringing = Text::response(&invite, code, reason, &session.local_tag);
        ringing.push("Contact", &contact);
        if self.settings.reliable {
            ringing.push("Allow", ALLOW);
        }
        let known = names(&invite, "Supported", "100rel") || names(&invite, "Require", "100rel");
        let reliable = able && known && session.rings == 1;
        if early {
            ringing.push("Content-Type", "application/sdp");
            let ours = mirrored(wire::sdp_direction(&invite.body), "sendrecv");
            ringing.body = session.sdp(ours);
            context.reach("early media");
            if reliable {
                session.early_answer = Some(ringing.body.clone());
            }
        }
        if reliable {
            ringing.push("Require", "100rel");
            ringing.push("RSeq", "4711");
        }
        self.stamp(&mut ringing);
        let key = key_of(&invite);
        self.transactions.respond(context, &key, &ringing);
        if reliable {
            let way = self.way_back(&key);
            if let Some(session) = self.sessions.get_mut(&id) {
                session.unpracked = Some(Unpracked {
                    rseq: 4711,
                    bytes: ringing.to_bytes(),
                    interval: T1,
                    waited: Duration::ZERO,
                    way,
                });
            }
            context.reach("reliable 180 of a phone");
            context.remind(T1, Reminder::ResendReliable(id, 4711));
        }
        if self.settings.rudeness.has(Rude::EndlessRinging) {
            let wait = Duration::from_millis(500 + context.entropy.below(20_000));
            context.remind(wait, Reminder::RingAgain(id));
        }
    }

    /// Says it once more.
    pub(super) fn ring_again(&mut self, context: &mut Context<'_>, id: u64) {
        let rings = self
            .sessions
            .get(&id)
            .is_some_and(|s| s.stage == Stage::Early && !s.outgoing);
        if rings && self.is_rude(context, Rude::EndlessRinging) {
            self.ring(context, id);
        }
    }

    pub(super) fn repeat_reliable(&mut self, context: &mut Context<'_>, id: u64, rseq: u32) {
        let Some(waits) = self
            .sessions
            .get_mut(&id)
            .filter(|s| s.stage == Stage::Early)
            .and_then(|s| s.unpracked.as_mut())
            .filter(|u| u.rseq == rseq)
        else {
            return;
        };
        waits.waited += waits.interval;
        if waits.waited >= GIVE_UP {
            // RFC 3262 §3: the request should be refused; phones of the real world go on ringing
            if let Some(session) = self.sessions.get_mut(&id) {
                session.unpracked = None;
            }
            return;
        }
        waits.interval *= 2;
        let (way, bytes, interval) = (waits.way, waits.bytes.clone(), waits.interval);
        self.transactions.send(context, way, bytes);
        context.remind(interval, Reminder::ResendReliable(id, rseq));
    }

    /// A PRACK came.
    pub(super) fn pracked(&mut self, context: &mut Context<'_>, request: &Text) {
        let tag = context.token();
        let deaf = self.settings.rudeness.has(Rude::DeafToPrack);
        let Some(session) = self.session_of(request, true) else {
            self.deny_dialog(context, request, &tag);
            return;
        };
        session.remote_cseq = session
            .remote_cseq
            .max(request.cseq().map_or(0, |(n, _)| n));
        let matches = session.unpracked.as_ref().is_some_and(|u| {
            request
                .get("RAck")
                .is_some_and(|r| r.starts_with(&format!("{} ", u.rseq)))
        });
        if deaf {
            context.reach(Rude::DeafToPrack.name());
            return;
        }
        if matches {
            session.unpracked = None;
            self.reply(context, request, 200, "OK", &tag);
        } else {
            self.deny_dialog(context, request, &tag);
        }
    }

    /// A reliable provisional response to our INVITE gets its PRACK, each once.
    pub(super) fn acknowledge_early(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        response: &Text,
    ) {
        let Some(rseq) = response.get("RSeq").and_then(|r| r.parse::<u32>().ok()) else {
            return;
        };
        if !names(response, "Require", "100rel") {
            return;
        }
        if self.is_rude(context, Rude::NoPrack) {
            return;
        }
        let (via, contact) = (self.via(context), self.contact());
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let this = (response.to_tag().to_string(), rseq);
        if session.stage != Stage::Early || session.pracked.as_ref() == Some(&this) {
            return;
        }
        let number = session.invite.cseq().map_or(1, |(n, _)| n);
        session.cseq += 1;
        let cseq = session.cseq;
        let mut early = Session::new(0, true, session.call_id.clone(), session.media);
        early.local = session.local.clone();
        early.local_tag = session.local_tag.clone();
        early.remote = session.remote.clone();
        early.remote_tag.clone_from(&this.0);
        early.target = session.target.clone();
        session.pracked = Some(this);
        let lane = session.lane;
        early.learn(response, true);
        let mut prack = early.request_numbered("PRACK", &via, &contact, cseq);
        prack.push("RAck", &format!("{rseq} {number} INVITE"));
        let way = self.way_to(early.next_hop(self.settings.server), lane);
        context.reach("PRACK of a phone");
        self.ask(context, way, prack, Purpose::Cancel);
    }

    /// Refuses a session timer, if it is one of those that do.
    pub(super) fn refuses_timer(
        &mut self,
        context: &mut Context<'_>,
        request: &Text,
        tag: &str,
    ) -> bool {
        let asked: Option<u32> = request
            .get("Session-Expires")
            .and_then(|v| v.split(';').next())
            .and_then(|v| v.trim().parse().ok());
        let (Some(asked), true) = (asked, self.settings.rudeness.has(Rude::TimerRefuser)) else {
            return false;
        };
        if context.entropy.below(3) == 0 {
            return false;
        }
        context.reach(Rude::TimerRefuser.name());
        let mut response = Text::response(request, 422, "Session Interval Too Small", tag);
        response.push("Min-SE", &(asked.saturating_mul(2)).to_string());
        self.stamp(&mut response);
        self.transactions
            .respond(context, &key_of(request), &response);
        true
    }

    /// Redirects a call, if it does that.
    pub(super) fn redirects(
        &mut self,
        context: &mut Context<'_>,
        request: &Text,
        tag: &str,
    ) -> bool {
        let own = format!("sip:{}@{}", self.settings.user, self.settings.domain);
        let to = match &self.settings.answer {
            Answer::Redirect(to) => format!("sip:{to}@{}", self.settings.domain),
            _ if self.settings.rudeness.has(Rude::RedirectToSelf) && context.coin() => {
                context.reach(Rude::RedirectToSelf.name());
                if context.coin() {
                    own
                } else {
                    self.contact_uri()
                }
            }
            _ => return false,
        };
        context.reach("redirected call");
        let mut response = Text::response(request, 302, "Moved Temporarily", tag);
        response.push("Contact", &format!("<{to}>"));
        self.stamp(&mut response);
        self.transactions
            .respond(context, &key_of(request), &response);
        true
    }
}
