//! What happened to calls, queues and agents as log lines: one when a call starts, when it is answered, when it is over.
//!
//! Lines are made of the facts and records that pass anyway; nothing is formatted at a level that is not logged.

use std::fmt;

use crate::acd::{AcdEvent, LeaveWhy, OfferResult};
use crate::base::Duration;
use crate::event::{
    CallFact, CallRecord, GateRecord, LegRecord, Outcome as How, Party, RegistrationFact, Said,
    TrunkFact,
};
use crate::switch::{Event, Fact, Record};

/// A party in a log line: `1001`, or `+442071838750 via acme`. Numbers come from the network, so nothing in them may end the line.
struct Shown<'a>(&'a Party);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match &*self.0.number {
            "" => "anonymous",
            number => number,
        };
        write!(f, "{}", number.escape_debug())?;
        match &self.0.trunk {
            Some(trunk) => write!(f, " via {trunk}"),
            None => Ok(()),
        }
    }
}

/// Seconds with one decimal: `12.3 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

fn waited(ms: u64) -> Seconds {
    Seconds(Duration::from_millis(ms))
}

/// Logs a published fact, if people want to read of it.
pub fn of_event(event: &Event) {
    match &event.fact {
        Fact::Call(fact) => of_call(fact),
        Fact::Acd(fact) => of_acd(fact),
        Fact::Registration(RegistrationFact::Added { aor, contact }) => {
            tracing::info!("{aor} registered at {contact}");
        }
        Fact::Registration(RegistrationFact::Removed {
            aor,
            contact,
            reason,
        }) => tracing::info!("{aor} is no longer registered at {contact}: {reason}"),
        Fact::Registration(RegistrationFact::Unreachable { aor, contact }) => {
            tracing::info!("{aor} at {contact} does not answer: it is not rung until it does");
        }
        Fact::Registration(RegistrationFact::Reachable { aor, contact }) => {
            tracing::info!("{aor} at {contact} answers again");
        }
        Fact::Trunk(TrunkFact::Up { trunk }) => tracing::info!("trunk {trunk} is up"),
        Fact::Trunk(TrunkFact::GatewayUp { trunk, gateway }) => {
            tracing::info!("trunk {trunk}: gateway {gateway} is up");
        }
        Fact::Trunk(TrunkFact::Registered {
            trunk,
            registrar,
            expires_at,
        }) => tracing::info!("trunk {trunk} is registered at {registrar} until {expires_at}"),
        // the switch warns of these, with the reason
        Fact::Trunk(
            TrunkFact::Down { .. } | TrunkFact::GatewayDown { .. } | TrunkFact::Unregistered { .. },
        ) => {}
        Fact::Gates(record) => of_gates(record),
        Fact::Server { what } => tracing::info!("server {what}"),
    }
}

fn of_gates(record: &GateRecord) {
    let by = record.by.as_deref().unwrap_or("nobody");
    let purpose = record.purpose.as_str();
    match record.verdict {
        Said::Deny => {
            tracing::info!(
                "{} is not called ({purpose} for {by}): {record}",
                record.number
            );
        }
        Said::Allow | Said::Ask => {
            tracing::debug!("{} ({purpose} for {by}): {record}", record.number);
        }
    }
}

fn of_call(fact: &CallFact) {
    match fact {
        CallFact::Started { call, from, to, .. } => {
            tracing::info!("call {call}: {} -> {} started", Shown(from), Shown(to));
        }
        CallFact::Answered { call, role, .. } if &**role == "caller" => {
            tracing::debug!("call {call}: the caller is answered");
        }
        CallFact::Answered { call, party, .. } => {
            tracing::info!("call {call}: answered by {}", Shown(party));
        }
        CallFact::Ringing { call, party, .. } => {
            tracing::debug!("call {call}: {} rings", Shown(party));
        }
        CallFact::Held { call, leg } => tracing::debug!("call {call}: leg {leg} holds"),
        CallFact::Resumed { call, leg } => tracing::debug!("call {call}: leg {leg} resumes"),
        CallFact::LegEnded {
            call,
            leg,
            silent_since: Some(at),
            ..
        } => {
            tracing::debug!(
                "call {call}: leg {leg} is over: its device has not responded since {at}"
            );
        }
        CallFact::LegEnded {
            call,
            status,
            refusal: Some(refusal),
            ..
        } if refusal.party.trunk.is_some() => {
            tracing::info!(
                "call {call}: {} refused at {}: {}",
                Shown(&refusal.party),
                refusal.peer,
                Refused(*status, refusal.reason.as_deref()),
            );
        }
        CallFact::LegEnded {
            call, leg, status, ..
        } => {
            tracing::debug!("call {call}: leg {leg} is over ({status})");
        }
        CallFact::Forwarded {
            call,
            by,
            device,
            to,
            status,
            refused,
        } => {
            let by = by.trunk.as_deref().unwrap_or(&by.number).escape_debug();
            match refused {
                Some(why) => tracing::warn!(
                    "call {call}: forwarded by {by} ({device}) to {to} with {status}: {why}"
                ),
                None => {
                    tracing::info!("call {call}: forwarded by {by} ({device}) to {to}");
                }
            }
        }
        CallFact::TransferStarted { call, by, to } => {
            tracing::debug!("call {call}: {} transfers to {to}", Shown(by));
        }
        CallFact::Transferred { call, by, to, how } => {
            tracing::info!("call {call}: transferred to {to} by {} ({how})", Shown(by));
        }
        CallFact::TransferFailed {
            call,
            by,
            to,
            status,
        } => {
            tracing::info!(
                "call {call}: transfer to {to} by {} failed ({status})",
                Shown(by)
            );
        }
        // the switch warns of the first; the record of the call says more than the last
        CallFact::OneWayAudio { .. } | CallFact::Bridged { .. } | CallFact::Ended { .. } => {}
    }
}

fn of_acd(fact: &AcdEvent) {
    match fact {
        AcdEvent::AgentState {
            agent,
            state,
            reason,
            ..
        } => match reason {
            Some(reason) => tracing::info!("agent {agent}: {} ({reason})", state.as_str()),
            None => tracing::info!("agent {agent}: {}", state.as_str()),
        },
        AcdEvent::Queued {
            item,
            call,
            queue,
            position,
            ..
        } => tracing::info!("call {call}: waits in {queue} at place {position} as {item}"),
        AcdEvent::Connected {
            call,
            agent,
            queue,
            waited_ms,
            ..
        } => tracing::info!(
            "call {call}: {queue} connected it to agent {agent} after {}",
            waited(*waited_ms)
        ),
        AcdEvent::QueueHours { queue, open } => {
            let now = if *open { "open" } else { "closed" };
            tracing::info!("queue {queue} is {now}");
        }
        AcdEvent::Abandoned {
            item,
            queue,
            waited_ms,
            ..
        } => tracing::info!(
            "work item {item}: the caller left {queue} after {}",
            waited(*waited_ms)
        ),
        AcdEvent::Left {
            item,
            queue,
            why,
            waited_ms,
        } => {
            let why = why_left(*why);
            tracing::info!(
                "work item {item}: left {queue} after {}, {why}",
                waited(*waited_ms)
            );
        }
        AcdEvent::AgentOfferEnded {
            item,
            agent,
            queue,
            result,
            ..
        } => match words(*result) {
            Some(why) => tracing::info!("agent {agent}: {why} for {item} of {queue}"),
            None => tracing::debug!("agent {agent}: {item} of {queue} was taken back"),
        },
        _ => {}
    }
}

/// Why a work item left its queue by rule.
pub(super) fn why_left(why: LeaveWhy) -> &'static str {
    match why {
        LeaveWhy::Overflow => "an overflow rule matched",
        LeaveWhy::TimedOut => "the longest wait was over",
        LeaveWhy::Closed => "the queue is closed",
        LeaveWhy::Full => "the queue was full",
        LeaveWhy::NoSuchQueue => "there is no such queue",
    }
}

/// What came of an AgentOffer; `None` when the agent had no part in that.
pub(super) fn words(result: OfferResult) -> Option<&'static str> {
    match result {
        OfferResult::Rona => Some("let it ring"),
        OfferResult::Declined => Some("declined"),
        OfferResult::Busy => Some("was busy"),
        OfferResult::Unreachable => Some("could not be reached"),
        OfferResult::RedirectRefused => Some("was redirected, which queues do not follow,"),
        OfferResult::AnswerNoMedia => Some("answered without audio"),
        OfferResult::CustomerNotReached => Some("could not get the customer"),
        OfferResult::AnswerThenDrop => Some("answered and hung up at once"),
        OfferResult::Failed => Some("could not be called"),
        OfferResult::Cancelled(_) => None,
    }
}

/// Logs a record of the journal, if people want to read of it: the end of a call.
pub fn of_record(record: &Record) {
    if let Record::CallClosed(call) = record {
        ended(call);
    }
}

fn ended(call: &CallRecord) {
    tracing::info!(
        "call {}: {} -> {} ended by {}, {}",
        call.id,
        Shown(&call.from),
        Shown(&call.to),
        call.ended_by,
        Outcome(call),
    );
}

/// `503, Q.850;cause=34`.
struct Refused<'a>(u16, Option<&'a str>);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.1 {
            Some(reason) => write!(f, ", {}", reason.escape_debug()),
            None => Ok(()),
        }
    }
}

/// `answered, 12.3 s`, or how it failed.
struct Outcome<'a>(&'a CallRecord);

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = self.0;
        if call.answered_at.is_some() && call.outcome == How::Answered {
            return write!(f, "answered, {:.1} s", call.duration_secs);
        }
        write!(f, "{}", call.outcome.as_str())?;
        // Of several legs that failed the last is the one that the caller was told of.
        let called = |leg: &&LegRecord| &*leg.role != "caller" && leg.status >= 300;
        match call.legs.iter().rev().find(called) {
            Some(leg) if leg.no_response => {
                let waited = leg.ended_at.since(leg.started_at);
                write!(
                    f,
                    " (no response from {} in {})",
                    Shown(&leg.party),
                    Seconds(waited)
                )
            }
            Some(leg) => write!(
                f,
                " ({} from {}{})",
                leg.status,
                Shown(&leg.party),
                match &leg.reason {
                    Some(reason) => format!(", {}", reason.escape_debug()),
                    None => String::new(),
                }
            ),
            None => match call.legs.first().filter(|leg| leg.status >= 300) {
                Some(caller) => write!(f, " ({})", caller.status),
                None => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Ulid, WallTime};
    use crate::event::Direction;

    fn party(number: &str) -> Party {
        Party {
            number: number.into(),
            ..Party::default()
        }
    }

    fn call() -> CallRecord {
        CallRecord {
            id: Ulid::default(),
            direction: Direction::Internal,
            from: party("1001"),
            to: party("1002"),
            started_at: WallTime::from_millis(0),
            answered_at: None,
            ended_at: None,
            outcome: How::Busy,
            ended_by: "callee".to_owned(),
            duration_secs: 12.34,
            queues: Vec::new(),
            agent: None,
            legs: Vec::new(),
            transfers: Vec::new(),
            gates: Vec::new(),
            recovered: false,
        }
    }

    fn leg(role: &str, number: &str, status: u16) -> LegRecord {
        LegRecord {
            id: Ulid::default(),
            party: party(number),
            role: role.into(),
            started_at: WallTime::from_millis(0),
            answered_at: None,
            ended_at: WallTime::from_millis(1),
            status,
            call_id: String::new(),
            packets: (0, 0),
            peer: None,
            reason: None,
            no_response: false,
        }
    }

    #[test]
    fn an_answered_call_is_logged_with_its_duration() {
        let mut call = call();
        call.answered_at = Some(WallTime::from_millis(5));
        assert_eq!(Outcome(&call).to_string(), "busy", "an announcement only");
        call.outcome = How::Answered;
        assert_eq!(Outcome(&call).to_string(), "answered, 12.3 s");
    }

    #[test]
    fn a_failed_call_is_logged_with_the_last_refusal() {
        let mut call = call();
        call.legs.push(leg("caller", "1001", 486));
        assert_eq!(Outcome(&call).to_string(), "busy (486)");
        call.legs.push(leg("callee", "1002", 486));
        assert_eq!(Outcome(&call).to_string(), "busy (486 from 1002)");
        call.legs[1].reason = Some("Q.850;cause=17".to_owned());
        assert_eq!(
            Outcome(&call).to_string(),
            "busy (486 from 1002, Q.850;cause=17)"
        );
    }

    #[test]
    fn a_device_that_never_responded_is_not_said_to_have_refused() {
        let mut call = call();
        call.outcome = How::Cancelled;
        let mut silent = leg("callee", "1002", 487);
        silent.no_response = true;
        silent.ended_at = WallTime::from_millis(7_400);
        call.legs.push(silent);
        let line = Outcome(&call).to_string();
        assert_eq!(line, "cancelled (no response from 1002 in 7.4 s)");
    }

    #[test]
    fn a_number_from_the_network_cannot_forge_a_line() {
        assert_eq!(Shown(&party("10\n01")).to_string(), "10\\n01");
        assert_eq!(Shown(&party("")).to_string(), "anonymous");
        let carrier = Party {
            trunk: Some("acme".into()),
            ..party("+447700900123")
        };
        assert_eq!(Shown(&carrier).to_string(), "+447700900123 via acme");
    }
}
