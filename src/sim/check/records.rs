//! Call records: exactly one for each call, written before what it backs, with true times.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Evidence, Verdict};
use crate::base::{Duration, Instant};
use crate::sim::trace::Happening;
use crate::sim::wire::Text;

/// Each call that was opened is closed exactly once, and each INVITE that the server answered with 2xx is in exactly one record.
pub(super) fn one_record_for_each_call(evidence: &Evidence<'_>) -> Verdict {
    let mut opened: BTreeSet<String> = BTreeSet::new();
    let mut closed: BTreeMap<String, Value> = BTreeMap::new();
    for line in evidence.journal {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            return Err((None, format!("the journal holds what is no JSON: {line}")));
        };
        if let Some(call) = record.get("call-opened") {
            let id = call["id"].as_str().unwrap_or("").to_string();
            if !opened.insert(id.clone()) {
                return Err((None, format!("call {id} was opened twice")));
            }
        }
        if let Some(call) = record.get("call-closed") {
            let id = call["id"].as_str().unwrap_or("").to_string();
            if closed.insert(id.clone(), call.clone()).is_some() {
                return Err((None, format!("call {id} was closed twice")));
            }
        }
    }
    if let Some(id) = opened.iter().find(|id| !closed.contains_key(*id)) {
        return Err((None, format!("call {id} was opened and never closed")));
    }
    if let Some(id) = closed.keys().find(|id| !opened.contains(*id)) {
        return Err((None, format!("call {id} was closed and never opened")));
    }
    let mut legs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, call) in &closed {
        if call["ended_by"]["how"] == "transfer" || call["ended_by"] == "transfer" {
            continue; // its parties went on in another call, which has them too
        }
        for leg in call["legs"].as_array().into_iter().flatten() {
            let call_id = leg["call_id"].as_str().unwrap_or("").to_string();
            legs.entry(call_id).or_default().push(id.clone());
        }
    }
    let moved: BTreeSet<String> = closed
        .values()
        .flat_map(|call| call["legs"].as_array().into_iter().flatten())
        .filter_map(|leg| leg["call_id"].as_str().map(str::to_string))
        .collect();
    // A record that was closed after a death may have lost the legs that came after it was opened.
    let recovered = closed.values().filter(|c| c["recovered"] == true).count();
    let mut missing = 0;
    let torn = torn(evidence);
    for (at, call_id) in answered(evidence) {
        match legs.get(&call_id).map(Vec::len) {
            // two, when one of them had fetched the other
            None if missing < 2 * recovered => missing += 1,
            None if moved.contains(&call_id) => {}
            None => {
                let sentence = format!("the answered call with Call-ID {call_id} is in no record");
                return Err((Some(at), sentence));
            }
            Some(1) => {}
            Some(2) if torn.contains(&call_id) => {}
            Some(n) => {
                let sentence = format!("the call with Call-ID {call_id} is in {n} legs");
                return Err((Some(at), sentence));
            }
        }
    }
    Ok(())
}

/// Call-IDs of INVITEs whose final response a crash kept back: the refusal may be in the journal, and who repeats the INVITE is a new call to
/// the next life.
fn torn(evidence: &Evidence<'_>) -> BTreeSet<String> {
    let mut open: BTreeSet<String> = BTreeSet::new();
    let mut torn = BTreeSet::new();
    for (_, happening) in evidence.trace.entries() {
        match happening {
            Happening::Crash(_) => torn.append(&mut open),
            Happening::NodeReceived { bytes, .. } => {
                if let Ok(text) = Text::parse_strict(bytes)
                    && text.method() == Some("INVITE")
                    && text.to_tag().is_empty()
                {
                    open.insert(text.call_id().to_string());
                }
            }
            Happening::NodeSent { bytes, .. } => {
                if let Ok(text) = Text::parse_strict(bytes)
                    && text.about() == "INVITE"
                    && text.status().is_some_and(|status| status >= 200)
                {
                    open.remove(text.call_id());
                }
            }
            _ => {}
        }
    }
    torn
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Call-IDs of initial INVITEs that the server answered with 2xx. A call whose INVITE came while the journal refused is in memory alone: a
/// death before the journal takes records again takes it away.
fn answered(evidence: &Evidence<'_>) -> Vec<(Instant, String)> {
    let mut known = BTreeSet::new();
    let mut all: Vec<(Instant, Text)> = Vec::new();
    let mut refuses = false;
    let mut heard: BTreeSet<String> = BTreeSet::new();
    let mut unwritten: BTreeSet<String> = BTreeSet::new();
    for (at, happening) in evidence.trace.entries() {
        match happening {
            Happening::JournalRefuses(true) => refuses = true,
            Happening::JournalRefuses(false) => {
                refuses = false;
                unwritten.clear();
            }
            Happening::Crash(_) => {
                all.retain(|(_, text)| !unwritten.contains(text.branch()));
            }
            Happening::NodeReceived { bytes, .. } => {
                if let Ok(text) = Text::parse_strict(bytes)
                    && text.method() == Some("INVITE")
                    && heard.insert(text.branch().to_string())
                    && refuses
                {
                    unwritten.insert(text.branch().to_string());
                }
            }
            Happening::NodeSent { bytes, .. } => {
                if let Ok(text) = Text::parse_strict(bytes)
                    && text.about() == "INVITE"
                    && text.status().is_some_and(is_success)
                    && !text.from_tag().is_empty()
                    && known.insert(text.call_id().to_string())
                {
                    all.push((*at, text));
                }
            }
            _ => {}
        }
    }
    let call_id = |(at, text): (Instant, Text)| (at, text.call_id().to_string());
    all.into_iter().map(call_id).collect()
}

/// The duration of each answered call is the time between its 2xx and its BYE on the wire of the caller's leg, whatever the wall
/// clock did meanwhile. A 2xx that had to wait for the PRACK of a provisional response (RFC 3262 §3) does not tell when they began to
/// talk: that is when the callee answered. Records that were closed after a death are left out: the server cannot know.
pub(super) fn durations_are_true(evidence: &Evidence<'_>) -> Verdict {
    let mut picked_up: BTreeMap<String, Instant> = BTreeMap::new();
    let mut pracked: BTreeMap<String, Instant> = BTreeMap::new();
    let mut waited: BTreeSet<String> = BTreeSet::new();
    let mut spans: BTreeMap<String, (Instant, Option<Instant>)> = BTreeMap::new();
    let mut answered_by: BTreeMap<String, u32> = BTreeMap::new();
    let mut acks: BTreeMap<(String, u32), Instant> = BTreeMap::new();
    let mut byes: BTreeMap<String, Instant> = BTreeMap::new();
    for (at, happening) in evidence.trace.entries() {
        let (bytes, sent) = match happening {
            Happening::NodeSent { bytes, .. } => (bytes, true),
            Happening::NodeReceived { bytes, .. } => (bytes, false),
            _ => continue,
        };
        let Ok(text) = Text::parse_strict(bytes) else {
            continue;
        };
        let call_id = text.call_id().to_string();
        let number = text.cseq().map_or(0, |(n, _)| n);
        if sent && text.about() == "INVITE" && text.status().is_some_and(is_success) {
            answered_by.entry(call_id.clone()).or_insert(number);
            if !spans.contains_key(&call_id) && pracked.get(&call_id) == Some(at) {
                waited.insert(call_id.clone());
            }
            spans.entry(call_id).or_insert((*at, None));
        } else if !sent && text.method() == Some("PRACK") {
            pracked.insert(call_id, *at);
        } else if !sent && text.about() == "INVITE" && text.status().is_some_and(is_success) {
            picked_up.entry(call_id).or_insert(*at);
        } else if text.method() == Some("ACK") {
            acks.entry((call_id, number)).or_insert(*at);
        } else if text.about() == "BYE" {
            let came = *byes.entry(text.branch().to_string()).or_insert(*at);
            // ours, or theirs when it was taken: those with a wrong tag, or out of order, end nothing
            if sent
                && text.status().is_none_or(|s| s < 300)
                && let Some((_, end)) = spans.get_mut(&call_id)
            {
                end.get_or_insert(came);
            }
        }
    }
    for line in evidence.journal {
        let record: Value = serde_json::from_str(line).unwrap_or_default();
        let Some(call) = record.get("call-closed") else {
            continue;
        };
        let legs = || call["legs"].as_array().into_iter().flatten();
        let id = |leg: &'_ Value| leg["call_id"].as_str().unwrap_or("").to_string();
        let caller = legs().find(|leg| leg["role"] == "caller").map(id);
        let (Some(caller), false) = (&caller, call["recovered"] == true) else {
            continue;
        };
        // A call that was transferred or fetched goes on with others.
        if call["transfers"].as_array().is_some_and(|t| !t.is_empty()) {
            continue;
        }
        let Some((from, Some(until))) = spans.get(caller) else {
            continue;
        };
        let callees = legs().filter(|leg| leg["role"] != "caller").map(id);
        let picked_up = callees.filter_map(|id| picked_up.get(&id)).min();
        let from = picked_up
            .filter(|_| waited.contains(caller))
            .unwrap_or(from);
        let real = (*until - *from).as_secs_f64();
        let told = call["duration_secs"].as_f64().unwrap_or(-1.0);
        // A call that ended before its ACK came has its BYE only afterwards (RFC 3261 §15).
        let end = *from + Duration::from_secs_f64(told.max(0.0));
        let number = answered_by.get(caller).copied().unwrap_or(0);
        let ack = acks.get(&(caller.clone(), number));
        if ack.is_none_or(|ack| *ack >= end) && told < real {
            continue;
        }
        if (real - told).abs() > 1.0 {
            let sentence = format!(
                "call {} lasted {real:.3} s, its record says {told:.3} s",
                call["id"]
            );
            return Err((Some(*until), sentence));
        }
    }
    Ok(())
}
