//! Flows: who registered anew is reached there and nowhere else, and what is known to be dead is left alone (RFC 5626, F12).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{Evidence, Verdict};
use crate::base::{Duration, Instant};
use crate::sim::node::Path;
use crate::sim::trace::Happening;
use crate::sim::wire::{self, Text};

/// After that long a question has no answer (RFC 3261 timer F).
const UNANSWERED: Duration = Duration::from_secs(32);

#[derive(Clone, Copy, PartialEq, Debug)]
struct Place {
    remote: SocketAddr,
    connection: Option<u64>,
}

fn place(path: &Path) -> Place {
    Place {
        remote: path.remote,
        connection: path.connection,
    }
}

/// What a flow answered of late.
#[derive(Default)]
struct Health {
    answers: bool,
    asked: Vec<Instant>,
}

#[derive(Default)]
struct Book {
    asked: BTreeMap<(String, u32), (Text, Place)>,
    /// All REGISTERs of this life: a repetition does not move what its first sending has bound, before its answer and after it.
    heard: BTreeSet<(String, u32)>,
    /// Contact, then reg-id, then where it is and since when.
    bound: BTreeMap<String, BTreeMap<String, (Instant, Place)>>,
    /// Where the last message of a dialog came from, by Call-ID.
    spoke: BTreeMap<String, (Instant, Place)>,
    /// Where it came from before a SUBSCRIBE that is not accepted yet, by Call-ID: that moves nothing.
    before: BTreeMap<String, (Instant, Place)>,
    /// Answers may be held back: what a REGISTER did is then known to the server alone.
    refusing: bool,
    /// Contacts of which nobody can say where they are.
    vague: BTreeSet<String>,
    /// The Contact of the phone whose registered flow carried the first message of a dialog, by Call-ID.
    home: BTreeMap<String, String>,
    closed: BTreeSet<u64>,
    /// Connections on which anybody ever registered.
    registered_on: BTreeSet<u64>,
    seen: BTreeSet<String>,
    questions: BTreeMap<String, SocketAddr>,
    health: BTreeMap<SocketAddr, Health>,
}

/// A new request to a registered Contact goes to the flow of its last acknowledged REGISTER, none leaves on a connection that is gone,
/// and no call goes to a flow that could answer questions and left two in a row unanswered.
pub(super) fn calls_go_where_the_phone_is(evidence: &Evidence<'_>) -> Verdict {
    let mut book = Book::default();
    for (at, happening) in evidence.trace.entries() {
        match happening {
            Happening::NodeReceived { path, bytes, .. } => {
                if let Ok(text) = Text::parse_strict(bytes) {
                    book.hear(*at, &text, place(path));
                }
            }
            Happening::NodeSent { path, bytes, .. } => {
                let Ok(text) = Text::parse_strict(bytes) else {
                    continue;
                };
                if text.method().is_some() {
                    book.request(*at, &text, place(path))
                        .map_err(|sentence| (Some(*at), sentence))?;
                } else {
                    book.answer(*at, &text);
                }
            }
            Happening::JournalRefuses(on) => book.refusing = *on,
            Happening::Closed(id) => {
                book.closed.insert(*id);
                for lanes in book.bound.values_mut() {
                    lanes.retain(|_, (_, place)| place.connection != Some(*id));
                }
            }
            Happening::Crash(_) => {
                // what is restored has lost its connections: that they are gone must be found out
                for (_, place) in book.bound.values_mut().flat_map(BTreeMap::values_mut) {
                    place.connection = None;
                }
                // what was written and not answered is known to the server alone
                for (request, _) in std::mem::take(&mut book.asked).values() {
                    if let Some(contact) = request.get("Contact") {
                        book.vague.insert(wire::uri_of(contact).to_string());
                    }
                }
                book.home.clear();
                book.heard.clear();
                book.questions.clear();
                book.health.clear();
            }
            Happening::Event(event) => {
                let fact = event.get("fact").and_then(|f| f.get("registration"));
                if let Some(fact) = fact.filter(|f| f["type"] == "removed") {
                    let contact = fact["contact"].as_str().unwrap_or("");
                    if book.bound.get(contact).is_some_and(|lanes| lanes.len() > 1) {
                        book.vague.insert(contact.to_string());
                    } else if fact["reason"] != "connection closed" {
                        book.bound.remove(contact);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

impl Book {
    fn hear(&mut self, at: Instant, text: &Text, place: Place) {
        let call_id = text.call_id().to_string();
        let before = self.spoke.insert(call_id.clone(), (at, place));
        if text.method() != Some("SUBSCRIBE") {
            self.before.remove(&call_id);
        } else if let Some(before) = before {
            self.before.entry(call_id).or_insert(before);
        }
        self.note_home(text, place);
        match text.method() {
            Some("REGISTER") => {
                if self.refusing
                    && let Some(contact) = text.get("Contact")
                {
                    self.vague.insert(wire::uri_of(contact).to_string());
                }
                let (number, _) = text.cseq().unwrap_or_default();
                let key = (text.call_id().to_string(), number);
                if self.heard.insert(key.clone()) {
                    self.asked.insert(key, (text.clone(), place));
                }
            }
            None if text.about() == "OPTIONS" => {
                if let Some(remote) = self.questions.remove(text.branch()) {
                    let health = self.health.entry(remote).or_default();
                    health.answers = true;
                    health.asked.clear();
                }
            }
            _ => {}
        }
    }

    /// Whose dialog this is, if its first message came over, or went to, a registered flow.
    fn note_home(&mut self, text: &Text, place: Place) {
        if self.home.contains_key(text.call_id()) {
            return;
        }
        let contact = self
            .bound
            .iter()
            .find(|(_, lanes)| lanes.values().any(|(_, own)| *own == place))
            .map_or(String::new(), |(contact, _)| contact.clone());
        self.home.insert(text.call_id().to_string(), contact);
    }

    /// A response of the server.
    fn answer(&mut self, at: Instant, text: &Text) {
        let (number, about) = text.cseq().unwrap_or_default();
        if about == "SUBSCRIBE" && text.status().is_some_and(|s| (200..300).contains(&s)) {
            self.before.remove(text.call_id());
        }
        if about != "REGISTER" || text.status() != Some(200) {
            return;
        }
        let key = (text.call_id().to_string(), number);
        let Some((request, place)) = self.asked.remove(&key) else {
            return;
        };
        let Some(contact) = request.get("Contact") else {
            return;
        };
        let lane = wire::param(contact, "reg-id").unwrap_or("").to_string();
        let lanes = self
            .bound
            .entry(wire::uri_of(contact).to_string())
            .or_default();
        if request.get("Expires") == Some("0") {
            lanes.remove(&lane);
        } else if place.connection.is_none_or(|id| !self.closed.contains(&id)) {
            lanes.insert(lane, (at, place));
            self.registered_on.extend(place.connection);
        }
        // RFC 5626: it lives, whatever it did not answer before
        self.health.remove(&place.remote);
    }

    /// A request of the server.
    fn request(&mut self, at: Instant, text: &Text, to: Place) -> Result<(), String> {
        let method = text.method().unwrap_or("");
        let key = format!("{}/{method}", text.branch());
        if !self.seen.insert(key) || matches!(method, "ACK" | "CANCEL") {
            return Ok(());
        }
        let begins = text.to_tag().is_empty();
        if begins && to.connection.is_some_and(|id| self.closed.contains(&id)) {
            return Err(format!(
                "`{}` left on a connection that was gone",
                text.start
            ));
        }
        if method == "OPTIONS" {
            self.questions.insert(text.branch().to_string(), to.remote);
            self.health.entry(to.remote).or_default().asked.push(at);
        }
        self.note_home(text, to);
        let uri = text.uri().unwrap_or("");
        let Some(lanes) = self.bound.get(uri).filter(|_| !self.vague.contains(uri)) else {
            return Ok(());
        };
        // The server can follow a phone of which it knew from the start that it was this one.
        if !begins && self.home.get(text.call_id()).is_none_or(|home| home != uri) {
            return Ok(());
        }
        let there = |own: &Place| {
            own.remote == to.remote
                && (to.connection.is_none()
                    || own.connection.is_none()
                    || own.connection == to.connection)
        };
        // In a dialog the phone may have spoken from elsewhere since it registered, or before over a connection of its own, still open, of
        // which nobody but that dialog knows.
        let newest = lanes.values().map(|(since, _)| *since).max();
        let apart = |own: &Place| {
            own.connection
                .is_some_and(|id| !self.closed.contains(&id) && !self.registered_on.contains(&id))
        };
        let spoke = |book: &BTreeMap<String, (Instant, Place)>| {
            book.get(text.call_id()).is_some_and(|(when, own)| {
                let counts = newest.is_none_or(|newest| *when >= newest) || apart(own);
                !begins && counts && there(own)
            })
        };
        let known = lanes.values().any(|(_, own)| there(own));
        if !lanes.is_empty() && !known && !spoke(&self.spoke) && !spoke(&self.before) {
            return Err(format!(
                "`{}` went to {}, but its phone had registered at {:?}",
                text.start,
                to.remote,
                lanes.values().map(|(_, p)| p.remote).collect::<Vec<_>>()
            ));
        }
        if method == "INVITE"
            && text.to_tag().is_empty()
            && let Some(health) = self.health.get(&to.remote)
        {
            let silent = health.asked.iter().filter(|t| **t + UNANSWERED < at);
            if health.answers && silent.count() >= 2 {
                return Err(format!(
                    "`{}` went to {}, which had not answered two questions",
                    text.start, to.remote
                ));
            }
        }
        Ok(())
    }
}
