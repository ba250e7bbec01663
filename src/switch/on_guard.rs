//! Whom the switch turns away: answers to strangers, overload, bans, and what is counted of it.

use std::net::IpAddr;

use bytes::Bytes;

use super::command::{Answer, Refusal, Reply};
use super::core::Switch;
use super::effect::{Effect, Effects, Level};
use super::input::LoadLevel;
use super::view::{BanView, GuardView};
use crate::base::{Duration, Now, Ulid};
use crate::call::CallOutput;
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::{Ban, BannedBy, Flow, Transport};

/// Longest ban by hand, in seconds: ten years.
const BAN_SECONDS_MAX: u64 = 10 * 366 * 86_400;
/// Whom overload sends away comes back between this many seconds ...
const LATER_FIRST: u64 = 5;
/// ... and so many more, so that they do not all come back together (RFC 3261 §21.5.4).
const LATER_SPREAD: u64 = 26;

/// What is turned away after the guard has let it in.
#[derive(Default)]
pub(super) struct TurnedAway {
    pub(super) scanner: u64,
    pub(super) malformed: u64,
    pub(super) overload: u64,
}

fn ban_view(now: Now, ban: Ban) -> BanView {
    BanView {
        source: ban.source,
        until: now.wall_at(ban.until),
        by: match ban.by {
            BannedBy::Failures => "failures",
            BannedBy::Operator => "operator",
        },
    }
}

impl Switch {
    /// Sends an answer, unless it would be one byte more than a stranger has paid for.
    pub(super) fn send(&mut self, now: Now, flow: Flow, bytes: Bytes, fx: &mut Effects) {
        if flow.transport == Transport::Udp {
            let source = flow.remote.ip().to_canonical();
            if !self.guard.may_answer(now, source, bytes.len()) {
                return;
            }
        }
        fx.push(Effect::Send { flow, bytes });
    }

    /// The shard says that it lags, or no longer.
    pub(super) fn on_load(&mut self, level: LoadLevel, fx: &mut Effects) {
        if self.load == level {
            return;
        }
        let text = match level {
            LoadLevel::Easy => "the server keeps up again",
            LoadLevel::High => {
                "overload: registrations, subscriptions and pings are asked to come later"
            }
            LoadLevel::Severe => "overload: new calls are asked to come later as well",
        };
        self.load = level;
        fx.push(Effect::Log {
            level: Level::Warn,
            text: text.to_owned(),
        });
    }

    /// Under overload asks what can wait to come later; calls that are up go on, and new ones come last. Who repeats a request hears
    /// what it heard before, whatever the load is by now: two answers to one request confuse it. True when it was answered.
    pub(super) fn comes_later(&mut self, now: Now, key: ServerKey, request: &Message) -> bool {
        let can_wait = match self.load {
            LoadLevel::Easy => false,
            LoadLevel::High => !matches!(
                request.method(),
                Method::Invite | Method::Bye | Method::Update | Method::Info | Method::Prack
            ),
            LoadLevel::Severe => !matches!(
                request.method(),
                Method::Bye | Method::Update | Method::Info | Method::Prack
            ),
        };
        let comes_later = if can_wait {
            let before = self.tx.answered(now, key);
            before.is_none_or(|code| code == StatusCode::SERVICE_UNAVAILABLE.as_u16())
        } else {
            self.tx.was_sent_away(now, key)
        };
        if !comes_later {
            return false;
        }
        self.turned_away.overload += 1;
        let later = LATER_FIRST + self.entropy.below(LATER_SPREAD);
        let tag = super::source::stateless_tag(request);
        let response = Builder::response(request, StatusCode::SERVICE_UNAVAILABLE, "")
            .to_tag(tag.as_bytes())
            .header(Name::RetryAfter, later.to_string())
            .finish();
        self.with_tx(|tx, acts| tx.answer_once(now, key, Some(response), acts));
        true
    }

    /// The sources of all bindings are known: after a restart, phones that come back are no strangers.
    pub(super) fn know_bindings(&mut self, now: Now) {
        let (guard, registrar) = (&mut self.guard, &self.registrar);
        for (_, binding) in registrar.all() {
            guard.succeeded(now, binding.flow.remote.ip().to_canonical());
        }
    }

    pub(super) fn guard_view(&self, now: Now) -> GuardView {
        let counts = self.guard.counts();
        GuardView {
            over_rate: counts.over_rate,
            over_total: counts.over_total,
            banned: counts.banned,
            scanner: self.turned_away.scanner,
            malformed: self.turned_away.malformed,
            unanswered: counts.unanswered,
            over_account: self.accounts.refused,
            overload_refused: self.turned_away.overload,
            bans_begun: counts.bans,
            bans: self.guard.bans(now).len(),
            overload: self.load as u8,
        }
    }

    pub(super) fn ban_views(&self, now: Now) -> Vec<BanView> {
        let bans = self.guard.bans(now).into_iter();
        bans.map(|ban| ban_view(now, ban)).collect()
    }

    pub(super) fn ban(&mut self, now: Now, source: IpAddr, seconds: u64) -> Reply {
        if seconds == 0 || seconds > BAN_SECONDS_MAX {
            return Err(Refusal {
                status: 400,
                code: "bad_seconds",
                detail: "a ban lasts between a second and ten years".to_owned(),
            });
        }
        match self.guard.ban(now, source, Duration::from_secs(seconds)) {
            Some(ban) => {
                let line = format!("{source} is banned by command for {seconds} s");
                self.outputs.push_back(CallOutput::Warn(line));
                Ok(Answer::Bans(vec![ban_view(now, ban)]))
            }
            None => Err(Refusal::conflict(
                "exempt",
                format!("{source} is exempt: see `exempt` of [guard] and `from` of the trunks"),
            )),
        }
    }

    pub(super) fn lift_ban(&mut self, now: Now, source: IpAddr) -> Reply {
        if !self.guard.lift(now, source) {
            return Err(Refusal::not_found("ban of", &source.to_string()));
        }
        let line = format!("the ban of {source} is lifted by command");
        self.outputs.push_back(CallOutput::Warn(line));
        Ok(Answer::Done)
    }

    /// The record of a live call as it would be if it ended now.
    pub(super) fn record_so_far(&self, now: Now, id: Ulid) -> Reply {
        let call = self.calls.find(id).and_then(|key| self.calls.call(key));
        let Some(call) = call else {
            return Err(Refusal::not_found("call", &id.to_string()));
        };
        let mut record = call.record.clone();
        let live = call.legs.iter().filter_map(|leg| self.calls.leg(*leg));
        record.legs.extend(live.map(|leg| leg.record(now.wall, 0)));
        record.legs.sort_by_key(|leg| leg.started_at);
        Ok(Answer::Record(Box::new(record)))
    }
}
