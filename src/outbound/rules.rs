//! What the files say of calls that leave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attempts::AttemptLimit;
use super::hours::{LocalHours, Zones};
use super::list::ListKind;
use super::numbers::NumberSet;
use super::pins::PinRule;
use crate::base::Duration;
use crate::directory::Place;

/// A country, or the first digits of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CountryRule {
    /// ISO 3166-1.
    Code(Arc<str>),
    /// Digits without `+`.
    Prefix(Arc<str>),
}

/// What is said about recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recording {
    /// Nothing.
    #[default]
    Any,
    /// A call that is not recorded may not be made.
    Required,
    /// A call that is recorded may not be made.
    Forbidden,
}

/// Who may present a number that we own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presented {
    /// These extensions; with no queues either, everybody.
    pub extensions: BTreeSet<Arc<str>>,
    /// Callbacks of these queues.
    pub queues: BTreeSet<Arc<str>>,
}

/// A list as the files define it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListSettings {
    /// Its name.
    pub name: Arc<str>,
    /// What being on it means.
    pub kind: ListKind,
    /// The extension whose own it is; the company's without.
    pub owner: Option<Arc<str>>,
    /// Numbers of the files.
    pub numbers: Arc<NumberSet>,
    /// First digits of the files.
    pub prefixes: Arc<BTreeSet<u64>>,
    /// An import that is older says nothing any more of who is not on it.
    pub stale_after: Option<Duration>,
    /// Where it is defined.
    pub place: Option<Place>,
}

impl ListSettings {
    /// An empty list.
    pub fn new(name: Arc<str>, kind: ListKind) -> Self {
        ListSettings {
            name,
            kind,
            owner: None,
            numbers: Arc::default(),
            prefixes: Arc::default(),
            stale_after: None,
            place: None,
        }
    }

    /// The same, somebody's own.
    #[must_use]
    pub fn owned_by(mut self, owner: Option<Arc<str>>) -> Self {
        self.owner = owner;
        self
    }
}

/// `outbound.toml`
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Numbers that are always allowed. Default: 112, 911, 999.
    pub emergency: Vec<Arc<str>>,
    /// Countries that may be called; `None`: nothing is said.
    pub countries: Option<Vec<CountryRule>>,
    /// When, in the called number's own time; `None`: at any time.
    pub hours: Option<LocalHours>,
    /// Instead, for these countries.
    pub hours_of: BTreeMap<Arc<str>, LocalHours>,
    /// Where numbers are.
    pub zones: Arc<Zones>,
    /// About recording.
    pub recording: Recording,
    /// Numbers that we own; `None`: nothing is said.
    pub presented: Option<BTreeMap<Arc<str>, Presented>>,
    /// How often one number may be called; `None`: nothing is said.
    pub attempts: Option<AttemptLimit>,
    /// PINs by name.
    pub pins: BTreeMap<Arc<str>, PinRule>,
    /// Lists.
    pub lists: Vec<ListSettings>,
}

impl Default for Rules {
    /// What holds without the file: nothing is said of anything.
    fn default() -> Self {
        Rules {
            emergency: ["112", "911", "999"].map(Arc::from).to_vec(),
            countries: None,
            hours: None,
            hours_of: BTreeMap::new(),
            zones: Arc::default(),
            recording: Recording::Any,
            presented: None,
            attempts: None,
            pins: BTreeMap::new(),
            lists: Vec::new(),
        }
    }
}
