//! The subscription that a REFER opens: who asked for a transfer is told how it goes (RFC 3515 §2.4.4, RFC 6665, RFC 4488).
//!
//! ```text
//!  REFER ──202──> told 100 ──> told 180 ──> told the final status, "terminated" ──> (gone)
//!                    └── 481 to a NOTIFY, no answer to it, un-subscription ────────> (gone)
//! ```
//!
//! One NOTIFY is under way at a time, so that none overtakes another; of what happens meanwhile only the newest is told.

use super::calls::{Asked, Calls, Ctx, User};
use super::leg::Leg;
use crate::base::{Duration, Instant, Key};
use crate::dialog::Dialog;
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::{ClientKey, ServerKey};
use crate::transport::Flow;

/// How long a transfer may take before its subscription lapses: longer than any ring time (guess).
const LASTS: Duration = Duration::from_secs(300);

/// The body of a NOTIFY (RFC 3420).
const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// One subscription to the progress of a transfer.
#[derive(Debug)]
pub(super) struct Referral {
    /// The REFER, until it is answered.
    request: Option<(ServerKey, Message)>,
    /// The id that NOTIFYs bear: none for the first REFER of a dialog.
    id: Option<u32>,
    /// The party wants no NOTIFYs (RFC 4488).
    quiet: bool,
    /// What it was told last.
    told: u16,
    /// What it is to be told when it has answered the NOTIFY under way.
    next: Option<(u16, bool)>,
    /// The NOTIFY under way.
    asked: Option<ClientKey>,
    /// The dialog, once its call is over: the subscription outlives it (RFC 5057 §4.2).
    alone: Option<(Dialog, Flow)>,
    /// The final status was told, or is under way.
    over: bool,
    /// When it lapses.
    until: Instant,
}

impl Calls {
    /// A REFER arrived and is being decided on. False when the party's last one is not done: it must wait.
    pub(super) fn open_referral(
        &mut self,
        ctx: &Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
    ) -> bool {
        if self.referrals.contains_key(&key) {
            return false;
        }
        let Some(leg) = self.legs.get_mut(key) else {
            return false;
        };
        let first = !std::mem::replace(&mut leg.referred, true);
        let quiet = request
            .header(Name::ReferSub)
            .is_some_and(|value| value.to_ascii_lowercase().starts_with(b"false"));
        let number = request.cseq().number;
        self.referrals.insert(
            key,
            Referral {
                request: Some((server, request.clone())),
                id: (!first).then_some(number),
                quiet,
                told: 0,
                next: None,
                asked: None,
                alone: None,
                over: false,
                until: ctx.now.mono + LASTS,
            },
        );
        true
    }

    /// The REFER of a leg is not done.
    pub fn refuse_refer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, status: StatusCode) {
        let Some(referral) = self.referrals.remove(&key) else {
            return;
        };
        if let Some((server, request)) = referral.request {
            let mut builder = Builder::response(&request, status, "");
            if status == StatusCode::METHOD_NOT_ALLOWED {
                builder = builder.header(Name::Allow, super::incoming::ALLOW);
            }
            ctx.tx.respond(ctx.now, server, builder.finish(), ctx.acts);
        }
    }

    /// The REFER of a leg is taken: 202. [`Calls::refer_progress`] must follow at once: the first NOTIFY is due (RFC 3515 §2.4.4).
    pub fn accept_refer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let Some(referral) = self.referrals.get_mut(&key) else {
            return;
        };
        let quiet = referral.quiet;
        let Some((server, request)) = referral.request.take() else {
            return;
        };
        let contact = self.legs.get(key).map(|leg| {
            let user = super::in_dialog::contact_user(leg);
            self.network.contact(&leg.flow, &user)
        });
        let mut builder = Builder::response(&request, StatusCode::ACCEPTED, "");
        if let Some(contact) = contact {
            builder = builder.header(Name::Contact, contact);
        }
        if quiet {
            builder = builder.header(Name::ReferSub, "false");
        }
        ctx.tx.respond(ctx.now, server, builder.finish(), ctx.acts);
    }

    /// How the transfer that a leg asked for goes: a provisional status, or the final one, which ends the subscription.
    pub fn refer_progress(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, status: StatusCode) {
        let last = status.is_final();
        // a redirection is ours to follow; what is left of it is that nobody was reached
        let code = match status.as_u16() {
            300..=399 => 480,
            code => code,
        };
        self.tell_referrer(ctx, key, code, last);
    }

    fn tell_referrer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, code: u16, last: bool) {
        let Some(referral) = self.referrals.get_mut(&key) else {
            return;
        };
        if referral.over || (referral.told == code && !last) {
            return;
        }
        if referral.quiet {
            if last {
                self.referrals.remove(&key);
            }
            return;
        }
        referral.over = last;
        if referral.asked.is_some() {
            referral.next = Some((code, last));
            return;
        }
        self.notify(ctx, key, code, last);
    }

    fn notify(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, code: u16, last: bool) {
        let Some(referral) = self.referrals.get_mut(&key) else {
            return;
        };
        referral.told = code;
        let event = match referral.id {
            Some(id) => format!("refer;id={id}"),
            None => "refer".to_owned(),
        };
        let state = if last {
            "terminated;reason=noresource".to_owned()
        } else {
            let left = referral.until.since(ctx.now.mono).as_secs();
            format!("active;expires={left}")
        };
        let status = StatusCode::new(code).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
        let fragment = format!("SIP/2.0 {} {}\r\n", status, status.default_reason());
        let write = |builder: Builder| {
            builder
                .header(Name::Event, event)
                .header(Name::SubscriptionState, state)
                .body(SIPFRAG, fragment.as_bytes())
        };
        let asked = match referral.alone.as_mut() {
            Some((dialog, flow)) => {
                let flow = super::ending::route(&self.network, dialog, flow);
                let branch = ctx.tx.branch();
                let sent_by = self.network.sent_by(&flow);
                let builder = dialog.request(
                    &Method::Notify,
                    flow.transport.as_str(),
                    &sent_by,
                    branch.as_ref(),
                );
                let message = write(builder.header(Name::Contact, self.network.contact(&flow, "")));
                let user = User::InDialog(key, Asked::Notify);
                Some(ctx.tx.send_request(ctx.now, flow, message, user, ctx.acts))
            }
            None => self.ask(ctx, key, &Method::Notify, Asked::Notify, write),
        };
        match (asked, self.referrals.get_mut(&key)) {
            (Some(client), Some(referral)) => referral.asked = Some(client),
            _ => {
                self.referrals.remove(&key);
            }
        }
    }

    /// The answer to a NOTIFY; none when nothing came. A party that does not know the subscription, or does not answer, is told no
    /// more (RFC 6665 §4.2.2).
    pub(super) fn on_notify_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        status: Option<StatusCode>,
    ) {
        let Some(referral) = self.referrals.get_mut(&key) else {
            return;
        };
        referral.asked = None;
        let heard = status.is_some_and(StatusCode::is_success);
        match referral.next.take() {
            Some((code, last)) if heard => self.notify(ctx, key, code, last),
            _ if heard && !referral.over => {}
            _ => {
                self.referrals.remove(&key);
            }
        }
    }

    /// SUBSCRIBE in the dialog: of the subscription that a REFER made, a refresh or its end (RFC 6665 §4.1.2.2). `None` when it is
    /// about something else.
    pub(super) fn resubscribe(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
    ) -> Option<()> {
        let event = request.header(Name::Event)?;
        let mut parts = event.split(|&byte| byte == b';');
        let package = parts.next()?.trim_ascii();
        let id = parts.find_map(|part| part.trim_ascii().strip_prefix(b"id="));
        let referral = self.referrals.get_mut(&key)?;
        let ours = referral.id.map(|id| id.to_string());
        let fits = package == b"refer"
            && referral.request.is_none()
            && id.is_none_or(|id| ours.as_deref().is_none_or(|ours| ours.as_bytes() == id));
        if !fits {
            return None;
        }
        let ends = request.expires() == Some(0);
        let told = referral.told;
        let left = referral.until.since(ctx.now.mono).as_secs();
        let granted = if ends { 0 } else { left };
        let response = Builder::response(request, StatusCode::OK, "")
            .header_fmt(Name::Expires, format_args!("{granted}"))
            .finish();
        ctx.tx.respond(ctx.now, server, response, ctx.acts);
        let last = ends || referral.over;
        referral.over = last;
        if referral.asked.is_some() {
            referral.next = Some((told, last));
        } else {
            self.notify(ctx, key, told, last);
        }
        Some(())
    }

    /// The leg ends: an unanswered REFER is refused, and a subscription goes on in what is left of the dialog.
    pub(super) fn leave_referral(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let Some(referral) = self.referrals.get_mut(&key) else {
            return;
        };
        if referral.request.is_some() {
            self.refuse_refer(ctx, key, StatusCode::CALL_DOES_NOT_EXIST);
            return;
        }
        let left = self
            .legs
            .get_mut(key)
            .and_then(|leg| Some((leg.dialog.clone()?, leg.flow)));
        match left {
            Some(left) => referral.alone = Some(left),
            None => {
                self.referrals.remove(&key);
            }
        }
    }

    /// When the oldest subscription lapses.
    pub(super) fn referrals_due(&self) -> Option<Instant> {
        self.referrals.values().map(|referral| referral.until).min()
    }

    /// Forgets subscriptions that have lapsed.
    pub(super) fn lapse_referrals(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono;
        let lapsed: Vec<Key<Leg>> = self
            .referrals
            .iter()
            .filter(|(_, referral)| referral.until <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in lapsed {
            let unanswered = self
                .referrals
                .get(&key)
                .is_some_and(|referral| referral.request.is_some());
            if unanswered {
                self.refuse_refer(ctx, key, StatusCode::SERVER_INTERNAL_ERROR);
            }
            self.referrals.remove(&key);
        }
    }
}
