//! The situations that make a run worth its time, and how often each came up. One that never comes up is a hole in the net.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use super::actors::Rude;
use super::house;
use super::plan::FEATURES;
use super::trace::Happening;
use super::wire::Text;
use super::world::{CrashPoint, World};

/// What peers and the world count, and what is read from the trace.
const SITUATIONS: [&str; 90] = [
    // the ordinary
    "messages",
    "calls",
    "answered",
    "cancels",
    "re-invites",
    "queued",
    "connected",
    "abandoned",
    "left",
    "offers ended",
    "wrap-ups",
    "trunk proofs",
    "probes",
    // the server
    "crash between batches",
    "crash before the write",
    "crash after the write",
    "crash while the journal refuses",
    "crash with calls up",
    "journal refuses",
    "503 while the journal refuses",
    "503 under overload",
    "clock step",
    "reload",
    "reload of bad files",
    "slow name service",
    "dead name service",
    "lying name service",
    // flows
    "NAT forgets",
    "NAT mapping changed",
    "datagram for a forgotten NAT mapping",
    "registered on a new flow",
    "OPTIONS to a flow",
    "empty packet to a flow",
    "flow found dead",
    "flow found alive",
    "binding gone with its connection",
    "outbound registration",
    "two flows of one phone",
    "connection closed",
    "connection reset",
    "connection lost during REGISTER",
    "connection lost in a call",
    "connection lost while ringing",
    "half-open connection",
    "scanner probes",
    // calls
    "early media",
    "PRACK of a phone",
    "PRACK of the server",
    "reliable 180 of a phone",
    "reliable provisional of the server",
    "UPDATE of the server",
    "session refreshed by a phone",
    "session refreshed by the server",
    "INVITE again after 422",
    "491 of the server",
    "redirected call",
    "hold",
    "blind transfer",
    "attended transfer",
    "REFER accepted",
    "REFER refused",
    "transfer succeeded",
    "transfer failed",
    "transferor hangs up at once",
    // beside calls
    "SUBSCRIBE",
    "subscription granted",
    "subscription refreshed",
    "NOTIFY of a subscription",
    "MESSAGE delivered",
    "OPTIONS between phones answered",
    "PUBLISH taken",
    // trunks
    "gateway fails",
    "gateway comes back",
    "gateway is silent",
    "403 of a gateway",
    "503 of a gateway",
    "503 of a gateway with Retry-After",
    "INVITE unanswered by a gateway",
    "OPTIONS unanswered by a gateway",
    "OPTIONS of a trunk answered",
    "REGISTER taken by a carrier",
    "REGISTER refused by a carrier",
    "REGISTER challenged again and again",
    "expiry cut by a carrier",
    "carrier's registrar changes its mind",
    "gateway left alone",
    "gateway taken back",
    "trunk down",
    "trunk up",
    "call at the second gateway",
];

/// How often each situation came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary(BTreeMap<&'static str, u64>);

impl Default for Summary {
    fn default() -> Self {
        let rude = Rude::ALL.iter().map(|way| way.name());
        let all = SITUATIONS
            .into_iter()
            .chain(FEATURES.iter().map(|(name, _)| *name))
            .chain(rude);
        Summary(all.map(|name| (name, 0)).collect())
    }
}

impl Summary {
    /// Adds another run's counts.
    pub fn add(&mut self, other: &Summary) {
        for (name, count) in &other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    /// All counts with their names.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count))
    }

    /// Those that never came up.
    pub fn missing(&self) -> Vec<&'static str> {
        self.counts()
            .filter(|(_, count)| *count == 0)
            .map(|(name, _)| name)
            .collect()
    }

    /// Counts a situation.
    ///
    /// # Panics
    /// When it has no name here: what nobody looks for might as well not happen.
    pub fn count(&mut self, name: &'static str) {
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => panic!("`{name}` is not in the list of situations"),
        }
    }

    /// What came up in a world that has run, of a seed with these features.
    pub fn of(world: &World, features: &[&'static str]) -> Summary {
        let mut reading = Reading::default();
        for feature in features {
            reading.sum.count(feature);
        }
        for (_, happening) in world.trace().entries() {
            reading.take(happening);
        }
        reading.sum
    }
}

/// The trace as it is read.
#[derive(Default)]
struct Reading {
    sum: Summary,
    refusing: bool,
    loaded: bool,
    /// Where each REGISTER that got its 200 came from, by Contact.
    flows: BTreeMap<String, SocketAddr>,
    refused_timers: BTreeMap<String, u32>,
    channels: usize,
}

impl Reading {
    fn take(&mut self, happening: &Happening) {
        match happening {
            Happening::PeerSent { .. } => self.sum.count("messages"),
            Happening::NodeReceived { bytes, path, .. } => {
                let Ok(text) = Text::parse(bytes) else {
                    return;
                };
                match (text.method(), text.status(), text.about().as_str()) {
                    (Some("REGISTER"), ..) => {
                        if let Some(contact) = text.get("Contact") {
                            let before = self.flows.insert(contact.to_string(), path.remote);
                            if before.is_some_and(|b| b != path.remote) {
                                self.sum.count("registered on a new flow");
                            }
                        }
                    }
                    (None, Some(422), "INVITE") => {
                        self.refused_timers.insert(text.call_id().to_string(), 1);
                    }
                    (None, Some(200..=299), "OPTIONS") if is_gateway(path.remote) => {
                        self.sum.count("OPTIONS of a trunk answered");
                    }
                    _ => {}
                }
            }
            Happening::NodeSent { bytes, path, .. } => {
                self.sum.count("messages");
                if bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
                    self.sum.count("empty packet to a flow");
                } else if let Ok(text) = Text::parse(bytes) {
                    self.sent(&text, path.remote);
                }
            }
            Happening::Note(text) if text.contains(" calls ") => self.sum.count("calls"),
            Happening::Note(text) if text.starts_with("probe ") => self.sum.count("probes"),
            Happening::Note(text) if text.starts_with("load level ") => {
                self.loaded = !text.ends_with('0');
            }
            Happening::JournalRefuses(on) => {
                self.refusing = *on;
                if *on {
                    self.sum.count("journal refuses");
                }
            }
            Happening::Crash(point) => {
                self.sum.count(match point {
                    CrashPoint::Between => "crash between batches",
                    CrashPoint::BeforeWrite => "crash before the write",
                    CrashPoint::AfterWrite => "crash after the write",
                });
                if self.refusing {
                    self.sum.count("crash while the journal refuses");
                }
                if self.channels > 0 {
                    self.sum.count("crash with calls up");
                }
                self.channels = 0;
            }
            Happening::Event(event) => self.fact(event),
            Happening::Reached(name) => self.sum.count(name),
            _ => {}
        }
    }

    fn sent(&mut self, text: &Text, remote: SocketAddr) {
        let in_dialog = !text.to_tag().is_empty();
        match (text.method(), text.status(), text.about().as_str()) {
            (None, Some(200..=299), "INVITE") => self.sum.count("answered"),
            (None, Some(503), _) if self.refusing => {
                self.sum.count("503 while the journal refuses");
            }
            (None, Some(503), _) if self.loaded => self.sum.count("503 under overload"),
            (None, Some(491), _) => self.sum.count("491 of the server"),
            (None, Some(101..=199), _) if text.get("RSeq").is_some() => {
                self.sum.count("reliable provisional of the server");
            }
            (Some("CANCEL"), ..) => self.sum.count("cancels"),
            (Some("PRACK"), ..) => self.sum.count("PRACK of the server"),
            (Some("UPDATE"), ..) => {
                self.sum.count("UPDATE of the server");
                if text.get("Session-Expires").is_some() {
                    self.sum.count("session refreshed by the server");
                }
            }
            (Some("OPTIONS"), ..) if !is_gateway(remote) => self.sum.count("OPTIONS to a flow"),
            (Some("INVITE"), ..) if in_dialog => {
                self.sum.count("re-invites");
                if text.get("Session-Expires").is_some() {
                    self.sum.count("session refreshed by the server");
                }
            }
            (Some("INVITE"), ..) => {
                if self.refused_timers.remove(text.call_id()).is_some() {
                    self.sum.count("INVITE again after 422");
                }
                if is_gateway(remote) && text.get("Proxy-Authorization").is_some() {
                    self.sum.count("trunk proofs");
                }
                if is_gateway(remote) && remote != house::carrier() {
                    self.sum.count("call at the second gateway");
                }
            }
            _ => {}
        }
    }

    fn fact(&mut self, event: &Value) {
        let Some((room, fact)) = event["fact"].as_object().and_then(|f| f.iter().next()) else {
            return;
        };
        let name = match (room.as_str(), fact["type"].as_str().unwrap_or("")) {
            ("acd", "queued") => "queued",
            ("acd", "connected") => "connected",
            ("acd", "abandoned") => "abandoned",
            ("acd", "left") => "left",
            ("acd", "agent-offer-ended") => "offers ended",
            ("acd", "wrap-ended") => "wrap-ups",
            ("call", "held") => "hold",
            ("registration", "unreachable") => "flow found dead",
            ("registration", "reachable") => "flow found alive",
            ("registration", "removed") if fact["reason"] == "connection closed" => {
                "binding gone with its connection"
            }
            ("trunk", "down") => "trunk down",
            ("trunk", "up") => "trunk up",
            ("trunk", "gateway-down") => "gateway left alone",
            ("trunk", "gateway-up") => "gateway taken back",
            ("call", "bridged") => {
                self.channels += 1;
                return;
            }
            ("call", "ended") => {
                self.channels = self.channels.saturating_sub(1);
                return;
            }
            _ => return,
        };
        self.sum.count(name);
    }
}

fn is_gateway(remote: SocketAddr) -> bool {
    (0..3).any(|n| house::gateway(n) == remote)
}
