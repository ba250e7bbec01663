//! Subscriptions and transfers, seen from the wire: who asked is told, in order, to the end (RFC 6665, RFC 4235, RFC 3515).

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Verdict};
use crate::base::{Duration, Instant};
use crate::sim::trace::Happening;
use crate::sim::wire::Text;

/// An attribute of the document's root.
fn attribute<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let body = body.get(body.find("<dialog-info")?..)?;
    let start = body.find(&format!(" {name}=\""))? + name.len() + 3;
    body.get(start..)?.split('"').next()
}

/// A request or its response, sent once or again.
fn key(text: &Text) -> (String, u32) {
    (
        text.call_id().to_string(),
        text.cseq().map_or(0, |(n, _)| n),
    )
}

/// Versions of dialog-info rise with each NOTIFY of a subscription, over restarts too.
pub(super) fn versions_rise(evidence: &Evidence<'_>) -> Verdict {
    let mut last: BTreeMap<(String, String), (u32, u64)> = BTreeMap::new();
    for (at, happening) in evidence.trace.entries() {
        let Happening::NodeSent { bytes, .. } = happening else {
            continue;
        };
        let Ok(text) = Text::parse_strict(bytes) else {
            continue;
        };
        if text.method() != Some("NOTIFY") || !text.body.contains("<dialog-info") {
            continue;
        }
        let Some(version) = attribute(&text.body, "version").and_then(|v| v.parse().ok()) else {
            return Err((Some(*at), "a dialog-info has no version".into()));
        };
        let number = text.cseq().map_or(0, |(n, _)| n);
        let key = (text.call_id().to_string(), text.to_tag().to_string());
        if let Some((before, old)) = last.get(&key)
            && number > *before
            && version <= *old
        {
            let sentence = format!("dialog-info version {version} came after {old}");
            return Err((Some(*at), sentence));
        }
        last.insert(key, (number, version));
    }
    Ok(())
}

/// Each SUBSCRIBE that is granted is followed by a NOTIFY at once (RFC 6665 §4.2.1.2).
pub(super) fn subscribers_are_told(evidence: &Evidence<'_>) -> Verdict {
    const SOON: Duration = Duration::from_secs(5);
    let mut waiting: BTreeMap<String, (Instant, Option<u64>)> = BTreeMap::new();
    let mut known: BTreeSet<(String, u32)> = BTreeSet::new();
    let mut closed: BTreeSet<u64> = BTreeSet::new();
    let mut refusing = false;
    for (at, happening) in evidence.trace.entries() {
        if let Some((since, _)) = waiting.values().find(|(since, _)| *since + SOON < *at) {
            let sentence = "a granted SUBSCRIBE was followed by no NOTIFY";
            return Err((Some(*since), sentence.into()));
        }
        match happening {
            // what was held back is told later, or after the restart, or before the answer
            Happening::Crash(_) => waiting.clear(),
            Happening::JournalRefuses(on) => {
                refusing = *on;
                waiting.clear();
            }
            // whose connection is gone is told when it has registered again
            Happening::Closed(id) => {
                closed.insert(*id);
                waiting.retain(|_, (_, connection)| *connection != Some(*id));
            }
            Happening::NodeSent { bytes, path, .. } => {
                let Ok(text) = Text::parse_strict(bytes) else {
                    continue;
                };
                match (text.method(), text.status(), text.about().as_str()) {
                    (None, Some(200..=299), "SUBSCRIBE")
                        if known.insert(key(&text))
                            && !refusing
                            && path.connection.is_none_or(|id| !closed.contains(&id)) =>
                    {
                        waiting.insert(text.call_id().to_string(), (*at, path.connection));
                    }
                    (Some("NOTIFY"), ..) => {
                        waiting.remove(text.call_id());
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// When all calls are over, no lamp is lit: what a subscriber was told last says so, if it was told anything after the last call.
pub(super) fn lamps_go_out(evidence: &Evidence<'_>) -> Verdict {
    const GRACE: Duration = Duration::from_secs(40);
    let mut last_call = Instant::ZERO;
    let mut last: BTreeMap<(String, String), (Instant, String)> = BTreeMap::new();
    for (at, happening) in evidence.trace.entries() {
        let (bytes, sent) = match happening {
            Happening::NodeSent { bytes, .. } => (bytes, true),
            Happening::NodeReceived { bytes, .. } => (bytes, false),
            _ => continue,
        };
        let Ok(text) = Text::parse_strict(bytes) else {
            continue;
        };
        match text.about().as_str() {
            "INVITE" | "ACK" | "BYE" | "CANCEL" => last_call = *at,
            "NOTIFY" if sent && text.method().is_some() && text.body.contains("<dialog-info") => {
                let key = (text.call_id().to_string(), text.to_tag().to_string());
                last.insert(key, (*at, text.body.clone()));
            }
            _ => {}
        }
    }
    for (at, body) in last.into_values() {
        let lit = [">trying<", ">proceeding<", ">early<", ">confirmed<"];
        if at > last_call + GRACE && lit.iter().any(|state| body.contains(state)) {
            let whose = attribute(&body, "entity").unwrap_or("").to_string();
            let sentence = format!("the lamp of {whose} is lit long after the last call");
            return Err((Some(at), sentence));
        }
    }
    Ok(())
}

/// Who was told 202 to a REFER is told how it ended (RFC 3515 §2.4.4).
pub(super) fn transferors_are_told(evidence: &Evidence<'_>) -> Verdict {
    let mut waiting: BTreeMap<String, Instant> = BTreeMap::new();
    let mut asked: BTreeMap<String, String> = BTreeMap::new();
    let mut excused: BTreeSet<String> = BTreeSet::new();
    let mut known: BTreeSet<(String, u32)> = BTreeSet::new();
    for (at, happening) in evidence.trace.entries() {
        match happening {
            Happening::Crash(_) => waiting.clear(),
            Happening::NodeSent { bytes, .. } => {
                let Ok(text) = Text::parse_strict(bytes) else {
                    continue;
                };
                let call = text.call_id().to_string();
                match (text.method(), text.status(), text.about().as_str()) {
                    (None, Some(202), "REFER") if known.insert(key(&text)) => {
                        waiting.insert(call, *at);
                    }
                    (Some("NOTIFY"), ..)
                        if text.get("Event").is_some_and(|e| e.starts_with("refer")) =>
                    {
                        asked.insert(text.branch().to_string(), call.clone());
                        let over = text
                            .get("Subscription-State")
                            .is_some_and(|s| s.starts_with("terminated"));
                        if over {
                            waiting.remove(&call);
                        }
                    }
                    _ => {}
                }
            }
            Happening::NodeReceived { bytes, .. } => {
                let Ok(text) = Text::parse_strict(bytes) else {
                    continue;
                };
                if text.about() == "NOTIFY"
                    && let Some(call) = asked.remove(text.branch())
                    && text.status().is_some_and(|s| s >= 300)
                {
                    excused.insert(call); // it does not want to know
                }
            }
            _ => {}
        }
    }
    // who never answered a NOTIFY is not told any more
    excused.extend(asked.into_values());
    match waiting
        .into_iter()
        .find(|(call, _)| !excused.contains(call))
    {
        Some((_, at)) => {
            let sentence = "a REFER was accepted and its transferor never told how it ended";
            Err((Some(at), sentence.into()))
        }
        None => Ok(()),
    }
}
