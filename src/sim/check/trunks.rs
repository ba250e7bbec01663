//! What carriers police: calls at a time and calls a second, as they count them themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Verdict};
use crate::base::{Duration, Instant};
use crate::sim::house;
use crate::sim::node::Path;
use crate::sim::trace::Happening;
use crate::sim::wire::Text;

fn is_gateway(path: &Path) -> bool {
    // whatever port its Contact names
    (0..3).any(|n| house::gateway(n).ip() == path.remote.ip())
}

/// Never more new calls to the carrier within a second than its cap.
pub(super) fn calls_a_second(evidence: &Evidence<'_>) -> Verdict {
    let Some(most) = evidence.rules.max_cps else {
        return Ok(());
    };
    let mut known = BTreeSet::new();
    let mut starts: Vec<Instant> = Vec::new();
    for (at, happening) in evidence.trace.entries() {
        match happening {
            // the new process cannot know of the last moment of the old one
            Happening::Crash(_) => starts.clear(),
            Happening::NodeSent { path, bytes, .. } if is_gateway(path) => {
                let Ok(text) = Text::parse_strict(bytes) else {
                    continue;
                };
                // the same call again with a proof is no new one
                if text.method() != Some("INVITE")
                    || !text.to_tag().is_empty()
                    || !known.insert(text.call_id().to_string())
                {
                    continue;
                }
                starts.retain(|start| at.since(*start) < Duration::from_secs(1));
                starts.push(*at);
                if starts.len() > most as usize {
                    let sentence = format!(
                        "{} calls to the carrier began within a second, {most} are allowed",
                        starts.len()
                    );
                    return Err((Some(*at), sentence));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Until a gateway that has said nothing is given up at the latest (RFC 3261 timer B).
const GIVEN_UP: Duration = Duration::from_secs(32);

/// Calls with the carrier as it counts them.
#[derive(Default)]
struct Channels {
    sent_at: BTreeMap<String, Instant>,
    heard: BTreeSet<String>,
    answered: BTreeSet<String>,
    live: BTreeSet<String>,
    over: BTreeSet<String>,
}

impl Channels {
    fn begin(&mut self, call: String) {
        if !self.over.contains(&call) {
            self.live.insert(call);
        }
    }

    fn end(&mut self, call: String) {
        self.live.remove(&call);
        self.over.insert(call);
    }

    fn sent(&mut self, at: Instant, text: &Text) {
        let call = text.call_id().to_string();
        match (text.method(), text.status(), text.about().as_str()) {
            (Some("INVITE"), ..) if text.to_tag().is_empty() => {
                self.sent_at.entry(call).or_insert(at);
            }
            // what we took back is no call of ours any more, whatever they say later
            (Some("BYE" | "CANCEL"), ..) => self.end(call),
            (None, Some(200..=299), "INVITE") => {
                self.answered.insert(call);
            }
            _ => {}
        }
    }

    fn came(&mut self, at: Instant, text: &Text) {
        let call = text.call_id().to_string();
        match (text.method(), text.status(), text.about().as_str()) {
            (Some("BYE"), ..) => self.end(call),
            // theirs talks here once it says so: who never sends ACK may think what it likes
            (Some("ACK"), ..) if self.answered.contains(&call) => self.begin(call),
            (None, Some(status), "INVITE") => {
                let Some(sent_at) = self.sent_at.get(&call) else {
                    return; // about a re-INVITE in a call of theirs
                };
                // nobody waits for what comes so late
                if *sent_at + GIVEN_UP <= at && !self.heard.contains(&call) {
                    self.over.insert(call);
                    return;
                }
                match status {
                    100 => {}
                    101..=299 => {
                        self.heard.insert(call.clone());
                        if status >= 200 {
                            self.answered.insert(call.clone());
                        }
                        self.begin(call);
                    }
                    // a challenge, or a refused re-INVITE
                    401 | 407 => {}
                    _ if self.answered.contains(&call) => {}
                    _ => self.end(call),
                }
            }
            _ => {}
        }
    }
}

/// Whether we end `call` in the moment in which it came up, the rest of which is `rest`: nobody wanted it any more, but an INVITE that no
/// provisional response came to cannot be cancelled (RFC 3261 §9.1), and a call that we answered has no BYE before its ACK (§15).
fn is_ended_at_once(rest: &[(Instant, Happening)], at: Instant, call: &str) -> bool {
    rest.iter()
        .take_while(|(later, _)| *later == at)
        .any(|(_, happening)| match happening {
            Happening::NodeSent { path, bytes, .. } if is_gateway(path) => {
                Text::parse_strict(bytes)
                    .is_ok_and(|text| text.method() == Some("BYE") && text.call_id() == call)
            }
            _ => false,
        })
}

/// Never more calls at a time with the carrier than its cap: those that ring or talk there.
pub(super) fn channels(evidence: &Evidence<'_>) -> Verdict {
    let Some(most) = evidence.rules.max_channels else {
        return Ok(());
    };
    let mut channels = Channels::default();
    let entries = evidence.trace.entries();
    for (n, (at, happening)) in entries.iter().enumerate() {
        let (path, bytes, sent) = match happening {
            Happening::NodeSent { path, bytes, .. } => (path, bytes, true),
            Happening::NodeReceived { path, bytes, .. } => (path, bytes, false),
            Happening::Crash(_) => {
                // what the old process left up is up for nobody but the carrier
                let before = std::mem::take(&mut channels);
                channels.over = before.over;
                channels.over.extend(before.live);
                channels.over.extend(before.sent_at.into_keys());
                channels.over.extend(before.answered);
                continue;
            }
            _ => continue,
        };
        if !is_gateway(path) {
            continue;
        }
        let Ok(text) = Text::parse_strict(bytes) else {
            continue;
        };
        if sent {
            channels.sent(*at, &text);
        } else {
            channels.came(*at, &text);
        }
        if channels.live.len() > most as usize
            && !is_ended_at_once(&entries[n + 1..], *at, text.call_id())
        {
            let sentence = format!(
                "{} calls are up with the carrier, {most} are allowed",
                channels.live.len()
            );
            return Err((Some(*at), sentence));
        }
    }
    Ok(())
}
