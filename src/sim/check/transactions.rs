//! The server's side of transactions, seen from the wire (RFC 3261 §17.2).

use std::collections::BTreeMap;

use super::{Evidence, Verdict};
use crate::base::Instant;
use crate::sim::trace::Happening;
use crate::sim::wire::Text;

#[derive(Default)]
struct Seen {
    asked_at: Option<Instant>,
    by: usize,
    stream: bool,
    line: String,
    finals: Vec<(u16, String)>,
    provisional_after_final: bool,
}

/// Boot, branch, method, Call-ID.
type Key = (u32, String, String, String);

fn key(boot: u32, message: &Text) -> Key {
    let method = match message.about().as_str() {
        "ACK" => "INVITE".to_string(),
        other => other.to_string(),
    };
    (
        boot,
        message.branch().to_string(),
        method,
        message.call_id().to_string(),
    )
}

/// A request that never got its final response, or a sentence about a response that should not be.
fn fold(evidence: &Evidence<'_>) -> Result<BTreeMap<Key, Seen>, (Option<Instant>, String)> {
    let mut boot = 0;
    let mut seen: BTreeMap<Key, Seen> = BTreeMap::new();
    for (at, happening) in evidence.trace.entries() {
        match happening {
            Happening::Crash(_) => boot += 1,
            Happening::NodeReceived { actor, bytes, path } => {
                let Ok(text) = Text::parse_strict(bytes) else {
                    continue;
                };
                if text.method().is_none() || text.method() == Some("ACK") {
                    continue;
                }
                let entry = seen.entry(key(boot, &text)).or_default();
                if entry.asked_at.is_none() {
                    entry.asked_at = Some(*at);
                    entry.by = *actor;
                    entry.stream = path.stream;
                    entry.line = text.start.clone();
                }
            }
            Happening::NodeSent { actor, bytes, .. } => {
                let Ok(text) = Text::parse_strict(bytes) else {
                    continue;
                };
                let Some(status) = text.status() else {
                    continue;
                };
                let actor = actor.unwrap_or(usize::MAX); // a NAT may have forgotten who it is
                if evidence.hostile.get(actor).copied().unwrap_or(false) {
                    continue; // its requests may differ from what we take them for
                }
                let Some(entry) = seen.get_mut(&key(boot, &text)) else {
                    let to = evidence.name(actor);
                    let sentence = format!(
                        "`{}` for {} went to {to}, who had not asked",
                        text.start,
                        text.about()
                    );
                    return Err((Some(*at), sentence));
                };
                if status < 200 {
                    entry.provisional_after_final |= !entry.finals.is_empty();
                } else {
                    let this = (status, text.to_tag().to_string());
                    if !entry.finals.contains(&this) {
                        entry.finals.push(this);
                    }
                }
                if entry.finals.len() > 1 || entry.provisional_after_final {
                    let sentence = format!(
                        "{}'s `{}` was answered {:?}, then `{}`",
                        evidence.name(actor),
                        entry.line,
                        entry.finals,
                        text.start
                    );
                    return Err((Some(*at), sentence));
                }
            }
            _ => {}
        }
    }
    Ok(seen)
}

/// Each transaction of the server has at most one final response, nothing after it, and no response was not asked for.
pub(super) fn one_final_response(evidence: &Evidence<'_>) -> Verdict {
    fold(evidence).map(|_| ())
}

/// Each request of a peer that can be read gets a final response, unless the server died in between.
pub(super) fn every_request_is_answered(evidence: &Evidence<'_>) -> Verdict {
    let boots = u32::try_from(evidence.crashes().len()).unwrap_or(u32::MAX);
    // Answers are held back when the journal begins to refuse; over a stream nobody asks again.
    let refused = evidence
        .trace
        .entries()
        .iter()
        .any(|(_, h)| matches!(h, Happening::JournalRefuses(_)));
    for ((boot, ..), entry) in fold(evidence)? {
        let hostile = evidence.hostile.get(entry.by).copied().unwrap_or(false);
        let excused = hostile || (refused && entry.stream);
        if !excused && boot == boots && entry.finals.is_empty() {
            let sentence = format!(
                "{}'s `{}` was never answered",
                evidence.name(entry.by),
                entry.line
            );
            return Err((entry.asked_at, sentence));
        }
    }
    Ok(())
}
