//! Facts about a call as remarks in its ladder: what no message says.

use crate::acd::AcdEvent;
use crate::base::Ulid;
use crate::event::CallFact;
use crate::io::log_lines;

/// The leg, and what happened.
pub fn of_call(fact: &CallFact) -> Option<(Option<Ulid>, String)> {
    Some(match fact {
        CallFact::Started { from, to, .. } => {
            (None, format!("call from {} to {}", from.number, to.number))
        }
        CallFact::Bridged { .. } => (None, "bridged".to_owned()),
        CallFact::Held { leg, .. } => (Some(*leg), "holds".to_owned()),
        CallFact::Resumed { leg, .. } => (Some(*leg), "resumes".to_owned()),
        CallFact::OneWayAudio { leg, detail, .. } => {
            (Some(*leg), format!("one-way audio: {detail}"))
        }
        CallFact::TransferStarted { by, to, .. } => {
            (None, format!("{} asks for a transfer to {to}", by.number))
        }
        CallFact::Transferred { by, to, how, .. } => (
            None,
            format!("transferred to {to} by {} ({how})", by.number),
        ),
        CallFact::TransferFailed { to, status, .. } => {
            (None, format!("the transfer to {to} failed ({status})"))
        }
        CallFact::LegEnded {
            leg,
            silent_since: Some(at),
            ..
        } => (
            Some(*leg),
            format!(
                "given up: the device has not responded since {}",
                at.timestamp().strftime("%H:%M:%S UTC")
            ),
        ),
        CallFact::LegEnded {
            leg,
            status,
            refusal: Some(refusal),
            ..
        } => {
            let who = match &refusal.party.trunk {
                Some(trunk) => format!("gateway {} of {trunk}", refusal.peer),
                None => format!("{} at {}", refusal.party.number, refusal.peer),
            };
            let why = match &refusal.reason {
                Some(reason) => format!(", {reason}"),
                None => String::new(),
            };
            (Some(*leg), format!("{who}: {status}{why}"))
        }
        CallFact::Forwarded {
            by,
            device,
            to,
            refused,
            ..
        } => {
            let by = match &by.trunk {
                Some(trunk) => trunk,
                None => &by.number,
            };
            let refused = match refused {
                Some(why) => format!(": {why}"),
                None => String::new(),
            };
            (
                None,
                format!("forwarded by {by} ({device}) to {to}{refused}"),
            )
        }
        CallFact::Ended { ended_by, .. } => (None, format!("call ended by {ended_by}")),
        // the messages say it
        _ => return None,
    })
}

/// The call that a fact about queues names.
pub fn named_call(fact: &AcdEvent) -> Option<Ulid> {
    match fact {
        AcdEvent::Queued { call, .. } | AcdEvent::Connected { call, .. } => Some(*call),
        _ => None,
    }
}

/// The work item that a fact is about.
pub fn item_of(fact: &AcdEvent) -> Option<Ulid> {
    match fact {
        AcdEvent::Queued { item, .. }
        | AcdEvent::Rekeyed { item, .. }
        | AcdEvent::Expanded { item, .. }
        | AcdEvent::AgentOffered { item, .. }
        | AcdEvent::AgentOfferEnded { item, .. }
        | AcdEvent::AgentAnswered { item, .. }
        | AcdEvent::Connected { item, .. }
        | AcdEvent::Abandoned { item, .. }
        | AcdEvent::Left { item, .. }
        | AcdEvent::Withdrawn { item, .. }
        | AcdEvent::SegmentEnded { item, .. } => Some(*item),
        _ => None,
    }
}

/// What happened in the queue.
pub fn of_queue(fact: &AcdEvent) -> Option<String> {
    Some(match fact {
        AcdEvent::Queued {
            queue, position, ..
        } => format!("queue {queue}, place {position}"),
        AcdEvent::Rekeyed { by, position, .. } => format!("moved to place {position} by {by}"),
        AcdEvent::Expanded { ring, .. } => format!("asks for less: ring {ring}"),
        AcdEvent::AgentOffered {
            agent, waited_ms, ..
        } => format!(
            "agent offer to {agent} after {:.1} s",
            *waited_ms as f64 / 1e3
        ),
        AcdEvent::AgentOfferEnded { agent, result, .. } => match log_lines::words(*result) {
            Some(how) => format!("agent offer to {agent} ended: {agent} {how}"),
            None => format!("agent offer to {agent} taken back"),
        },
        AcdEvent::AgentAnswered { agent, .. } => format!("agent {agent} answered"),
        AcdEvent::Connected { agent, queue, .. } => format!("{queue} connected to agent {agent}"),
        AcdEvent::Abandoned { queue, .. } => format!("the caller left queue {queue}"),
        AcdEvent::Left { queue, why, .. } => {
            format!("left queue {queue}: {}", log_lines::why_left(*why))
        }
        AcdEvent::Withdrawn { queue, cause, .. } => format!("taken out of queue {queue}: {cause}"),
        AcdEvent::SegmentEnded { agent, talk_ms, .. } => {
            format!("agent {agent} is done after {:.1} s", *talk_ms as f64 / 1e3)
        }
        _ => return None,
    })
}

/// What the gates said.
pub fn of_gates(record: &crate::event::GateRecord) -> String {
    match record.verdict {
        crate::event::Said::Allow => format!("the gates let {} through", record.number),
        crate::event::Said::Deny => format!("{} is not called: {record}", record.number),
        crate::event::Said::Ask => {
            format!("a gate asks before {} is called: {record}", record.number)
        }
    }
}
