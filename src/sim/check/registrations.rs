//! A registration whose 200 has left is known to the server after it died and came back.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Verdict};
use crate::base::{Duration, Instant};
use crate::sim::trace::Happening;
use crate::sim::wire::{self, Text};

/// Folds REGISTERs and their 200s from the wire and compares with what the server has after each restart. Bindings over streams
/// are left out: their connections died with the process. What was granted is owed, whether the last REGISTER was written or the journal
/// held the binding for long enough; that it may hold it for longer is no fault.
pub(super) fn acknowledged_ones_survive(evidence: &Evidence<'_>) -> Verdict {
    let mut asked: BTreeMap<(String, u32), Text> = BTreeMap::new();
    let mut bound: BTreeMap<(String, String), Instant> = BTreeMap::new();
    let mut doubtful: BTreeSet<(String, String)> = BTreeSet::new();
    for (at, happening) in evidence.trace.entries() {
        match happening {
            Happening::NodeReceived { path, bytes, .. } if !path.stream => {
                if let Ok(text) = Text::parse_strict(bytes)
                    && text.method() == Some("REGISTER")
                {
                    let (number, _) = text.cseq().unwrap_or_default();
                    if let Some(key) = binding(&text)
                        && expires(&text) == 0
                    {
                        doubtful.insert(key); // until its 200: it may be gone already
                    }
                    asked.insert((text.call_id().to_string(), number), text);
                }
            }
            Happening::NodeSent { bytes, .. } => {
                let Ok(text) = Text::parse_strict(bytes) else {
                    continue;
                };
                let (number, about) = text.cseq().unwrap_or_default();
                if about != "REGISTER" || text.status() != Some(200) {
                    continue;
                }
                let Some(request) = asked.get(&(text.call_id().to_string(), number)) else {
                    continue;
                };
                let Some(key) = binding(request) else {
                    continue;
                };
                match expires(request) {
                    0 => {
                        bound.remove(&key);
                    }
                    seconds => {
                        doubtful.remove(&key);
                        let seconds = granted(&text, &key.1).unwrap_or(seconds);
                        bound.insert(key, *at + Duration::from_secs(seconds));
                    }
                }
            }
            Happening::Event(event) => {
                let fact = event.get("fact").and_then(|f| f.get("registration"));
                if let Some(fact) = fact.filter(|f| f["type"] == "removed") {
                    let user = |s: &str| s.split('@').next().unwrap_or("").to_string();
                    bound.remove(&(
                        user(fact["aor"].as_str().unwrap_or("")),
                        fact["contact"].as_str().unwrap_or("").to_string(),
                    ));
                }
            }
            Happening::Restart { bindings, .. } => {
                let has: BTreeSet<(String, String)> = bindings
                    .iter()
                    .map(|(aor, contact)| {
                        let user = aor.split('@').next().unwrap_or("");
                        (user.to_string(), contact.clone())
                    })
                    .collect();
                for (key, until) in &bound {
                    if *until > *at && !doubtful.contains(key) && !has.contains(key) {
                        let sentence =
                            format!("{} at {} was acknowledged and is forgotten", key.0, key.1);
                        return Err((Some(*at), sentence));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The time that a 200 grants to a contact.
fn granted(answer: &Text, contact: &str) -> Option<u64> {
    answer
        .all("Contact")
        .find(|value| wire::uri_of(value) == contact)
        .and_then(|value| wire::param(value, "expires")?.parse().ok())
}

fn binding(register: &Text) -> Option<(String, String)> {
    let user = wire::user_of(wire::uri_of(register.get("To")?)).to_string();
    let contact = wire::uri_of(register.get("Contact")?).to_string();
    Some((user, contact))
}

fn expires(register: &Text) -> u64 {
    register
        .get("Expires")
        .and_then(|e| e.parse().ok())
        .unwrap_or(3600)
}
