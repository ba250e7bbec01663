//! The checkers: they read the trace and the journal, never the core, and name the first broken promise in a sentence.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::trace::{Happening, Trace};
use super::world::World;
use crate::base::{Duration, Instant};

mod dialogs;
mod events;
#[cfg(test)]
mod exact_tests;
#[cfg(test)]
mod flow_tests;
mod flows;
mod marks;
mod probes;
mod queues;
mod records;
mod registrations;
#[cfg(test)]
mod tests;
mod transactions;
mod trunks;

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
    /// What the house's files promise.
    pub rules: &'a Rules,
}

/// What the house's files promise.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Wrap-up of each queue.
    pub wrap_up: BTreeMap<String, Duration>,
    /// Most calls at a time with the carrier.
    pub max_channels: Option<u32>,
    /// Most new calls a second to the carrier.
    pub max_cps: Option<u32>,
}

/// What a checker believes the server to know. What could not be written is unknown to the next process: a death while the journal refuses
/// takes it back to where that began.
#[derive(Default)]
struct Known<T> {
    now: T,
    written: Option<T>,
}

impl<T: Clone> Known<T> {
    /// To be shown every happening, before it is looked at.
    fn pass(&mut self, happening: &Happening) {
        match happening {
            Happening::JournalRefuses(true) if self.written.is_none() => {
                self.written = Some(self.now.clone());
            }
            Happening::JournalRefuses(false) => self.written = None,
            Happening::Crash(_) => {
                if let Some(written) = &self.written {
                    self.now = written.clone();
                }
            }
            _ => {}
        }
    }
}

/// The fact of the queues in this happening, if it is one.
fn acd_fact(happening: &Happening) -> Option<&Value> {
    let Happening::Event(event) = happening else {
        return None;
    };
    event.get("fact")?.get("acd")
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
            .filter(|(_, h)| matches!(h, Happening::Crash(_)))
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

const CHECKERS: [(&str, Checker); 22] = [
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
    ("flows", flows::calls_go_where_the_phone_is),
    ("calls a second", trunks::calls_a_second),
    ("channels", trunks::channels),
    ("rising versions", events::versions_rise),
    ("subscribers told", events::subscribers_are_told),
    ("lamps", events::lamps_go_out),
    ("transferors told", events::transferors_are_told),
    ("probes", probes::calls_come_through),
];

/// Runs every checker, then looks at what is left of the world.
pub fn all(world: &mut World, rules: &Rules) -> Result<(), Broken> {
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
        rules,
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
