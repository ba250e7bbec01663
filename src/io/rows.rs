//! Turns published facts and call records into rows of the tables.

use crate::event::{CallRecord, LegRecord};
use crate::store::{CallRow, EventRow, LegRow, Row};
use crate::switch::{Event, Record};

/// The row of an event. `text` is its JSON, where that is known already.
pub fn of_event(event: &Event, text: Option<String>) -> Row {
    let json = known_or_made(text, event);
    Row::Event(EventRow {
        seq: event.seq,
        at: event.at,
        kind: kind(&json).unwrap_or_else(|| "unknown".into()),
        json,
    })
}

/// The row of a journal record, for those that have one. `text` is the JSON of what is in it, where that is known already.
pub fn of_record(record: &Record, text: Option<String>) -> Option<Row> {
    match record {
        Record::Event(event) => Some(of_event(event, text)),
        Record::CallClosed(call) => Some(of_call(call, text)),
        // An open call is the journal's business; the table holds what is over, once.
        Record::CallOpened(_)
        | Record::Bound(_)
        | Record::Unbound { .. }
        | Record::GruuKey(_)
        | Record::Subscribed(_)
        | Record::Unsubscribed { .. }
        | Record::Messages { .. }
        | Record::CallAnswered { .. }
        | Record::Alive { .. }
        | Record::Acd(_)
        | Record::Seq(_) => None,
    }
}

/// Room and type of the fact, as the JSON of its event names them: `call.answered`, `server`. Read from the text, because a second
/// serialisation would cost more than everything else here.
fn kind(json: &str) -> Option<String> {
    let (_, fact) = json.split_once("\"fact\":{\"")?;
    let (room, inner) = fact.split_once("\":")?;
    match inner.strip_prefix("{\"type\":\"") {
        Some(rest) => Some(format!("{room}.{}", rest.split('"').next()?)),
        None => Some(room.to_string()),
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("facts and records have string keys and finite numbers")
}

fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn known_or_made(text: Option<String>, value: &impl serde::Serialize) -> String {
    match text {
        Some(text) if !text.is_empty() => text,
        Some(_) | None => json(value),
    }
}

fn of_call(call: &CallRecord, text: Option<String>) -> Row {
    Row::Call(Box::new(CallRow {
        id: call.id.to_string(),
        started_at: call.started_at,
        ended_at: call.ended_at,
        direction: word(&call.direction),
        from_number: call.from.number.to_string(),
        to_number: call.to.number.to_string(),
        outcome: word(&call.outcome),
        agent: call.agent.as_ref().map(ToString::to_string),
        duration_ms: (call.duration_secs * 1000.0).round() as i64,
        json: known_or_made(text, call),
        legs: call.legs.iter().map(of_leg).collect(),
    }))
}

fn of_leg(leg: &LegRecord) -> LegRow {
    LegRow {
        id: leg.id.to_string(),
        role: leg.role.to_string(),
        number: leg.party.number.to_string(),
        trunk: leg.party.trunk.as_ref().map(ToString::to_string),
        started_at: leg.started_at,
        answered_at: leg.answered_at,
        ended_at: leg.ended_at,
        status: leg.status,
        sip_call_id: leg.call_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Ulid, WallTime};
    use crate::event::CallFact;
    use crate::switch::Fact;

    #[test]
    fn an_events_kind_names_its_room_and_type() {
        let event = |fact| Event {
            seq: 1,
            at: WallTime::default(),
            fact,
        };
        let ended = event(Fact::Call(CallFact::Ended {
            call: Ulid::from(1u128),
            ended_by: "caller".into(),
        }));
        assert_eq!(kind(&json(&ended)).as_deref(), Some("call.ended"));
        let server = event(Fact::Server {
            what: "ready".into(),
        });
        assert_eq!(kind(&json(&server)).as_deref(), Some("server"));
    }
}
