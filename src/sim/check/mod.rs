//! The checkers: they read the trace and the journal, never the core, and name the first broken promise in a sentence.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::trace::{Happening, Trace};
use super::world::World;
use crate::base::{Duration, Instant};

mod dialogs;
mod marks;
mod queues;
mod records;
mod registrations;
#[cfg(test)]
mod tests;
mod transactions;

/// What a checker may know.
pub struct Evidence<'a> {
    /// What happened.
    pub trace: &'a Trace,
    /// What was written.
    pub journal: &'a [Arc<str>],
    /// Names of the peers, by number.
    pub names: Vec<String>,
    /// Which peers write what no peer should.
    pub hostile: Vec<bool>,
    /// Wrap-up of each queue.
    pub wrap_up: &'a BTreeMap<String, Duration>,
}

impl Evidence<'_> {
    /// Published facts with their times: the room (`acd`, `call`, …), the type and the fact itself.
    pub fn facts(&self) -> impl Iterator<Item = (Instant, &str, &str, &Value)> {
        self.trace.entries().iter().filter_map(|(at, h)| {
            let Happening::Event(event) = h else {
                return None;
            };
            let (room, fact) = event.get("fact")?.as_object()?.iter().next()?;
            let kind = fact.get("type").and_then(Value::as_str).unwrap_or("");
            Some((*at, room.as_str(), kind, fact))
        })
    }

    /// Times at which the server died.
    pub fn crashes(&self) -> Vec<Instant> {
        self.trace
            .entries()
            .iter()
            .filter(|(_, h)| matches!(h, Happening::Crash))
            .map(|(at, _)| *at)
            .collect()
    }

    fn name(&self, actor: usize) -> &str {
        self.names.get(actor).map_or("somebody", String::as_str)
    }
}

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which checker saw it.
    pub checker: &'static str,
    /// When.
    pub at: Option<Instant>,
    /// What it saw.
    pub sentence: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.checker, self.sentence)?;
        match self.at {
            Some(at) => write!(f, " (at {} ms)", super::media::millis(at)),
            None => Ok(()),
        }
    }
}

type Verdict = Result<(), (Option<Instant>, String)>;
type Checker = fn(&Evidence<'_>) -> Verdict;

const CHECKERS: [(&str, Checker); 14] = [
    ("foreign marks", marks::nothing_foreign_leaves),
    ("own faults", marks::no_fault_is_logged),
    ("one final response", transactions::one_final_response),
    (
        "every request answered",
        transactions::every_request_is_answered,
    ),
    ("rising sequence numbers", dialogs::sequence_numbers_rise),
    (
        "final responses acknowledged",
        dialogs::finals_are_acknowledged,
    ),
    (
        "cancel after provisional",
        dialogs::cancel_only_when_allowed,
    ),
    ("bye only in dialogs", dialogs::bye_only_in_dialogs),
    ("queue sums", queues::sums_hold),
    ("offers", queues::offers_are_legal),
    ("order of the queue", queues::first_come_first_served),
    ("call records", records::one_record_for_each_call),
    ("true durations", records::durations_are_true),
    (
        "registrations survive",
        registrations::acknowledged_ones_survive,
    ),
];

/// Runs every checker, then looks at what is left of the world.
pub fn all(world: &mut World, wrap_up: &BTreeMap<String, Duration>) -> Result<(), Broken> {
    let broken = |checker, at, sentence| Broken {
        checker,
        at,
        sentence,
    };
    if let Some(sentence) = world.complaints().into_iter().next() {
        return Err(broken("world", Some(world.now().mono), sentence));
    }
    let evidence = Evidence {
        trace: world.trace(),
        journal: world.journal(),
        names: world.names(),
        hostile: world.hostile(),
        wrap_up,
    };
    for (checker, check) in CHECKERS {
        check(&evidence).map_err(|(at, sentence)| broken(checker, at, sentence))?;
    }
    if let Some(sentence) = world.unfinished().into_iter().next() {
        return Err(broken("liveness", None, sentence));
    }
    if world.media().open() > 0 {
        let sentence = format!("{} media streams are still open", world.media().open());
        return Err(broken("residue", None, sentence));
    }
    match world.node().map(|n| n.residue()) {
        None => Err(broken("liveness", None, "the server is not running".into())),
        Some(residue) => match residue.complaint() {
            Some(sentence) => Err(broken("residue", None, sentence)),
            None => Ok(()),
        },
    }
}
