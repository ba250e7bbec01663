//! After the trouble: calls come through to everybody, and out through the carrier. What was broken has come back by itself.

use std::collections::BTreeMap;

use super::{Evidence, Verdict};
use crate::base::Instant;
use crate::sim::trace::Happening;
use crate::sim::wire::Text;

/// Each probe was answered.
pub(super) fn calls_come_through(evidence: &Evidence<'_>) -> Verdict {
    let mut waiting: BTreeMap<String, (Instant, String)> = BTreeMap::new();
    for (at, happening) in evidence.trace.entries() {
        match happening {
            Happening::Note(text) => {
                if let Some(rest) = text.strip_prefix("probe ")
                    && let Some((call_id, who)) = rest.split_once(' ')
                {
                    waiting.insert(call_id.to_string(), (*at, who.to_string()));
                }
            }
            Happening::NodeSent { bytes, .. } => {
                if let Ok(text) = Text::parse(bytes)
                    && text.about() == "INVITE"
                    && text.status().is_some_and(|s| (200..300).contains(&s))
                {
                    waiting.remove(text.call_id());
                }
            }
            _ => {}
        }
    }
    match waiting.into_values().next() {
        Some((at, who)) => {
            let sentence = format!("after the trouble, the call {who} was not answered");
            Err((Some(at), sentence))
        }
        None => Ok(()),
    }
}
