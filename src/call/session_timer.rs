//! Session timers (RFC 4028): granted to callers, asked of callees, refreshed by us or expected from the peer.

use super::calls::{Calls, Ctx};
use super::cause::Cause;
use super::due::Due;
use super::leg::{Leg, LegState, Why};
use super::policy::{InvitePolicy, Prack, Refresher, SESSION_MIN, SessionTimer};
use crate::base::{Duration, Key, limits};
use crate::sip::header::session_timer::min_se;
use crate::sip::{Builder, Message, Name, SessionExpires, StatusCode};

/// A session that ends unless it is refreshed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timer {
    /// Session interval, in seconds.
    pub seconds: u32,
    /// We refresh.
    pub ours: bool,
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn expires_of(message: &Message) -> Option<SessionExpires> {
    SessionExpires::parse(message.header(Name::SessionExpires)?).ok()
}

fn min_of(message: &Message) -> u32 {
    message
        .header(Name::MinSe)
        .and_then(|value| min_se(value).ok())
        .unwrap_or(0)
}

/// Our Min-SE when a request asks for less; one whose sender knows no timers cannot be refused for it (RFC 4028 §9).
pub(super) fn too_small(request: &Message, policy: &InvitePolicy) -> Option<u32> {
    let min = seconds(policy.session_timer?.min);
    let asked = expires_of(request)?.seconds;
    (asked < min && request.has_option_tag(Name::Supported, "timer")).then_some(min)
}

/// What a 2xx of ours grants to `request` (RFC 4028 §9, table 2).
fn granted(request: &Message, policy: &SessionTimer) -> Option<Timer> {
    let knows = request.has_option_tag(Name::Supported, "timer");
    let asked = expires_of(request);
    if !knows && asked.is_none() {
        return None;
    }
    let wanted = seconds(policy.expires);
    let least = min_of(request).max(seconds(policy.min));
    let granted = match asked {
        // what is asked for may be shortened, never lengthened
        Some(asked) => asked.seconds.min(wanted.max(least)),
        None => wanted.max(least),
    };
    let ours = match asked.and_then(|asked| asked.by_client) {
        _ if !knows => true,
        Some(by_client) => !by_client,
        None => policy.refresher == Refresher::Us,
    };
    Some(Timer {
        seconds: granted.max(seconds(SESSION_MIN)),
        ours,
    })
}

impl Leg {
    /// The option tags that a request of ours on this leg supports.
    fn supported(&self, initial: bool) -> String {
        let mut tags = Vec::new();
        if initial && self.policy.prack != Prack::Off {
            tags.push("100rel");
        }
        if self.policy.session_timer.is_some() {
            tags.push("timer");
        }
        tags.join(", ")
    }

    /// What an INVITE or UPDATE of ours says of extensions and of the session's timer.
    pub(super) fn proposal(&self, initial: bool) -> Vec<(Name, String)> {
        let mut headers = Vec::with_capacity(4);
        let supported = self.supported(initial);
        if !supported.is_empty() {
            headers.push((Name::Supported, supported));
        }
        if initial && self.policy.prack == Prack::Required {
            headers.push((Name::Require, "100rel".to_owned()));
        }
        let Some(policy) = &self.policy.session_timer else {
            return headers;
        };
        let refresher = match (self.timer, policy.refresher) {
            (Some(Timer { ours: true, .. }), _) | (None, Refresher::Us) => ";refresher=uac",
            (Some(Timer { ours: false, .. }), _) | (None, Refresher::Peer) => ";refresher=uas",
            (None, Refresher::Auto) => "",
        };
        let interval = match (self.timer, initial) {
            (Some(timer), _) => timer.seconds,
            (None, true) => seconds(policy.expires),
            // the peer has none, and need not be asked again
            (None, false) => return headers,
        };
        let min = seconds(policy.min).max(self.min_se);
        headers.push((
            Name::SessionExpires,
            format!("{}{refresher}", interval.max(min)),
        ));
        headers.push((Name::MinSe, min.to_string()));
        headers
    }
}

impl Calls {
    /// Adds to our 2xx to `request` what it grants, and starts the timer anew.
    pub(super) fn grant_timer(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        request: &Message,
        builder: Builder,
    ) -> Builder {
        let Some(leg) = self.legs.get_mut(key) else {
            return builder;
        };
        leg.min_se = leg.min_se.max(min_of(request).min(DAY));
        let timer = leg
            .policy
            .session_timer
            .and_then(|policy| granted(request, &policy));
        let knows = request.has_option_tag(Name::Supported, "timer");
        let supported = leg.supported(false);
        self.run_timer(ctx, key, timer);
        let builder = if supported.is_empty() {
            builder
        } else {
            builder.header(Name::Supported, supported)
        };
        let Some(timer) = timer else { return builder };
        let who = if timer.ours { "uas" } else { "uac" };
        let builder = if knows && !timer.ours {
            builder.header(Name::Require, "timer")
        } else {
            builder
        };
        builder.header_fmt(
            Name::SessionExpires,
            format_args!("{};refresher={who}", timer.seconds),
        )
    }

    /// Takes what a 2xx to a request of ours grants. None: the session does not expire (RFC 4028 §7.2).
    pub(super) fn take_timer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, response: &Message) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let timer = leg
            .policy
            .session_timer
            .and(expires_of(response))
            .map(|granted| Timer {
                seconds: granted.seconds.clamp(seconds(SESSION_MIN), DAY),
                ours: granted.by_client.unwrap_or(true),
            });
        self.run_timer(ctx, key, timer);
    }

    /// Starts the timer of an answered leg, or the questions to a peer that has none.
    fn run_timer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, timer: Option<Timer>) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        leg.timer = timer;
        let answered = leg.is_answered();
        let Some(timer) = timer else {
            self.disarm(key, Due::Refresh);
            self.disarm(key, Due::Expiry);
            if answered {
                self.begin_probes(ctx, key);
            }
            return;
        };
        self.disarm(key, Due::Probe);
        let interval = Duration::from_secs(u64::from(timer.seconds));
        // RFC 4028 §10: refreshed at half the interval; given up a little before its end
        let grace = Duration::from_secs(32).min(interval / 3);
        self.arm(key, Due::Expiry, ctx.now.mono + (interval - grace));
        if timer.ours {
            self.arm(key, Due::Refresh, ctx.now.mono + interval / 2);
        } else {
            self.disarm(key, Due::Refresh);
        }
    }

    /// It is time to refresh.
    pub(super) fn refresh_session(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let ours = self
            .legs
            .get(key)
            .is_some_and(|leg| leg.timer.is_some_and(|timer| timer.ours));
        if ours && !self.begin_change(ctx, key, Why::Refresh, None) {
            // something else is under way, and if it succeeds it refreshes as well
            self.arm(key, Due::Refresh, ctx.now.mono + limits::T2);
        }
    }

    /// A refresh of ours was refused: again with more time, in another way, or later. The end comes with the expiry.
    pub(super) fn refresh_refused(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        update: bool,
        response: &Message,
    ) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let now = ctx.now.mono;
        match response.status().map_or(0, StatusCode::as_u16) {
            422 => {
                let asked = min_of(response).min(DAY);
                if asked > leg.min_se {
                    leg.min_se = asked;
                    if let Some(timer) = leg.timer.as_mut() {
                        timer.seconds = timer.seconds.max(asked);
                    }
                    self.arm(key, Due::Refresh, now);
                    return;
                }
            }
            // by re-INVITE then
            405 | 501 if update => {
                self.arm(key, Due::Refresh, now);
                return;
            }
            _ => {}
        }
        self.arm(key, Due::Refresh, now + RETRY);
    }

    /// Nobody has refreshed the session in time, or there is none yet and the invitation to it is no longer good.
    pub(super) fn session_expired(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        match self.legs.get(key).map(|leg| leg.state) {
            Some(LegState::Incoming) => self.invitation_expired(ctx, key),
            Some(LegState::Answered) => {
                let leaves = self.legs.get(key).and_then(|leg| leg.bye_when_acked);
                if leaves.is_none() {
                    self.lose_leg(ctx, key, Cause::SessionExpired);
                }
            }
            Some(LegState::Calling | LegState::Ringing | LegState::Cancelling(_)) | None => {}
        }
    }

    /// The INVITE once more with the interval that a 422 asks for; `None` when it asks for nothing new or nothing sane
    /// (RFC 4028 §7.4).
    pub(super) fn with_longer_session(
        &mut self,
        key: Key<Leg>,
        response: &Message,
    ) -> Option<(String, String)> {
        let leg = self.legs.get_mut(key)?;
        let policy = leg.policy.session_timer?;
        let asked = min_of(response);
        if asked <= leg.min_se.max(seconds(policy.min)) || asked > DAY {
            return None;
        }
        leg.min_se = asked;
        let expires = seconds(policy.expires).max(asked);
        Some((expires.to_string(), asked.to_string()))
    }
}

/// A refresh that failed is tried again after this (guess: several tries fit into the shortest interval).
const RETRY: Duration = Duration::from_secs(10);

/// No peer may make us keep a dead call for longer, in seconds.
const DAY: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &str) -> Message {
        let text = format!(
            "INVITE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\nMax-Forwards: 60\r\n\
             From: <sip:b@192.0.2.9>;tag=1\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        Message::parse(bytes::Bytes::from(text)).expect("an INVITE")
    }

    fn grant(lines: &str) -> Option<(u32, bool)> {
        granted(&request(lines), &SessionTimer::default()).map(|timer| (timer.seconds, timer.ours))
    }

    #[test]
    fn table_2_of_the_rfc_decides_who_refreshes() {
        // no support: we, and only when a proxy asks for a timer
        assert_eq!(grant(""), None);
        assert_eq!(grant("Session-Expires: 600\r\n"), Some((600, true)));
        assert_eq!(
            grant("Session-Expires: 600;refresher=uac\r\n"),
            Some((600, true))
        );
        // support: as the caller says, else the caller
        let knows = "Supported: timer\r\n";
        assert_eq!(grant(knows), Some((1800, false)));
        let with = |rest: &str| grant(&format!("{knows}Session-Expires: 600{rest}\r\n"));
        assert_eq!(with(""), Some((600, false)));
        assert_eq!(with(";refresher=uac"), Some((600, false)));
        assert_eq!(with(";refresher=uas"), Some((600, true)));
    }

    #[test]
    fn interval_is_shortened_to_ours_but_not_below_min_se() {
        let with = |lines: &str| grant(&format!("Supported: timer\r\n{lines}"));
        assert_eq!(with("Session-Expires: 7200\r\n"), Some((1800, false)));
        assert_eq!(
            with("Session-Expires: 7200\r\nMin-SE: 3600\r\n"),
            Some((3600, false))
        );
        assert_eq!(with("Session-Expires: 91\r\n"), Some((91, false)));
    }

    #[test]
    fn only_who_knows_timers_is_refused_for_too_small_a_one() {
        let policy = InvitePolicy::default();
        let knows = request("Supported: timer\r\nSession-Expires: 60\r\n");
        assert_eq!(too_small(&knows, &policy), Some(90));
        let not = request("Session-Expires: 60\r\n");
        assert_eq!(too_small(&not, &policy), None);
        let off = InvitePolicy {
            session_timer: None,
            ..policy
        };
        assert_eq!(too_small(&knows, &off), None);
    }
}
