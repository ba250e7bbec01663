//! Turns published facts and call records into rows of the tables.

use crate::event::CallRecord;
use crate::store::{CallRow, EventRow, Row};
use crate::switch::{Event, Record};

/// The row of an event. `text` is its JSON, where that is known already.
pub fn of_event(event: &Event, text: Option<String>) -> Row {
    Row::Event(EventRow {
        seq: event.seq,
        json: known_or_made(text, event),
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
        | Record::Outbound(_)
        | Record::Toggles { .. }
        | Record::Seq(_) => None,
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
    }))
}
