//! A phone as transferor (RFC 5589): REFER blind and attended, what the NOTIFYs say, and what rude phones send when all is over.

use super::order::{CallPlan, HoldDialect, Transfer};
use super::phone::Phone;
use super::rude::Rude;
use super::session::Stage;
use super::transactions::Purpose;
use super::{Context, Reminder};
use crate::base::Duration;
use crate::sim::wire::Text;

impl Phone {
    /// The plan of a call asks for a transfer, and it is time.
    pub(super) fn transfer_as_planned(&mut self, context: &mut Context<'_>, id: u64) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if session.stage != Stage::Talking || self.healed {
            return;
        }
        match session.plan.transfer.clone() {
            Some((_, Transfer::Blind(to))) => {
                let target = format!("<sip:{to}@{}>", self.settings.domain);
                context.reach("blind transfer");
                self.refer(context, id, &target);
            }
            Some((_, Transfer::Attended(to, after))) => {
                self.hold(context, id, HoldDialect::SendOnly);
                if let Some(second) = self.call(context, &to, CallPlan::default()) {
                    if let Some(session) = self.sessions.get_mut(&second) {
                        session.consults_for = Some(id);
                    }
                    context.remind(after, Reminder::Complete(id, second));
                }
            }
            None => {}
        }
    }

    /// Joins the two others, if both are there by now.
    pub(super) fn complete_transfer(&mut self, context: &mut Context<'_>, first: u64, second: u64) {
        let up = |id: u64| {
            self.sessions
                .get(&id)
                .is_some_and(|s| s.stage == Stage::Talking)
        };
        if !up(first) || !up(second) || self.healed {
            for id in [second, first] {
                self.hang_up(context, id);
            }
            return;
        }
        let Some(other) = self.sessions.get(&second) else {
            return;
        };
        let escaped = |text: &str| {
            text.replace('%', "%25")
                .replace('@', "%40")
                .replace(';', "%3B")
                .replace('=', "%3D")
        };
        let replaces = format!(
            "{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}",
            escaped(&other.call_id),
            other.remote_tag,
            other.local_tag
        );
        // what phones put there: the address of record, or the other end's Contact (SIP.js)
        let whom = if context.coin() {
            other.remote.trim_matches(['<', '>']).to_string()
        } else {
            other.target.split(';').next().unwrap_or("").to_string()
        };
        let target = format!("<{whom}?Replaces={replaces}>");
        context.reach("attended transfer");
        self.refer(context, first, &target);
    }

    fn refer(&mut self, context: &mut Context<'_>, id: u64, target: &str) {
        let (via, contact) = (self.via(context), self.contact());
        let by = format!("<sip:{}@{}>", self.settings.user, self.settings.domain);
        let server = self.settings.server;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let mut refer = session.request("REFER", &via, &contact);
        refer.push("Refer-To", target);
        refer.push("Referred-By", &by);
        let (hop, lane) = (session.next_hop(server), session.lane);
        let way = self.way_to(hop, lane);
        self.ask(context, way, refer, Purpose::Refer(id));
        // whatever becomes of it, this phone has done its part
        let wait = Duration::from_millis(20_000 + context.entropy.below(40_000));
        context.remind(wait, Reminder::TalkOver(id));
    }

    pub(super) fn refer_answered(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        response: &Text,
        fresh: bool,
    ) {
        let status = response.status().unwrap_or(0);
        if status < 200 || !fresh {
            return;
        }
        if status < 300 {
            context.reach("REFER accepted");
            if context.entropy.below(4) == 0 {
                context.reach("transferor hangs up at once");
                self.hang_up(context, id);
            }
        } else {
            context.reach("REFER refused");
        }
    }

    /// What a NOTIFY about a transfer says.
    pub(super) fn told_of_transfer(&mut self, context: &mut Context<'_>, notify: &Text) {
        let Some(id) = self.session_of(notify, true).map(|s| s.id) else {
            return;
        };
        let first = notify.body.lines().next().unwrap_or("");
        if first.starts_with("SIP/2.0 2") {
            context.reach("transfer succeeded");
            let wait = Duration::from_millis(10 + context.entropy.below(500));
            context.remind(wait, Reminder::TalkOver(id));
        } else if first.starts_with("SIP/2.0 1") {
            // under way
        } else {
            context.reach("transfer failed");
        }
    }

    /// What rude phones send in a call that has ended.
    pub(super) fn after_the_end(&mut self, context: &mut Context<'_>, id: u64) {
        if self.is_rude(context, Rude::ReferAfterBye) {
            let (via, contact) = (self.via(context), self.contact());
            let server = self.settings.server;
            if let Some(session) = self.sessions.get_mut(&id) {
                let mut refer = session.request("REFER", &via, &contact);
                refer.push("Refer-To", "<sip:1001@pbx.example.com>");
                let (hop, lane) = (session.next_hop(server), session.lane);
                let way = self.way_to(hop, lane);
                self.ask(context, way, refer, Purpose::Cancel);
            }
        }
        if self.settings.rudeness.has(Rude::LateBye) {
            let wait = Duration::from_millis(500 + context.entropy.below(40_000));
            context.remind(wait, Reminder::LateBye(id));
        }
    }

    /// A BYE for what is over.
    pub(super) fn late_bye(&mut self, context: &mut Context<'_>, id: u64) {
        if !self.is_rude(context, Rude::LateBye) {
            return;
        }
        let (via, contact) = (self.via(context), self.contact());
        let server = self.settings.server;
        if let Some(session) = self.sessions.get_mut(&id) {
            let bye = session.request("BYE", &via, &contact);
            let (hop, lane) = (session.next_hop(server), session.lane);
            let way = self.way_to(hop, lane);
            self.ask(context, way, bye, Purpose::Bye(id));
        }
    }

    /// Refreshes the session (RFC 4028 §10), with an offer like the last one.
    pub(super) fn refresh(&mut self, context: &mut Context<'_>, id: u64) {
        let Some(timer) = self.settings.timer else {
            return;
        };
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if session.stage != Stage::Talking {
            return;
        }
        let direction = session.direction;
        context.reach("session refreshed by a phone");
        self.offer(context, id, direction);
        let half = Duration::from_secs(u64::from(timer / 2));
        context.remind(half, Reminder::Refresh(id));
    }
}
