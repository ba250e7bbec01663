//! One list of numbers: what files say of it, what was imported, and what people put on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::entry::{Entry, NumberOrPrefix};
use super::numbers::NumberSet;
use super::rules::ListSettings;
use crate::base::{Duration, WallTime};

/// What being on a list means.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ListKind {
    /// Whoever is on it has said that it does not want to be called.
    DoNotCall,
    /// We do not call them.
    Black,
    /// Where the company has one, only who is on one is called.
    White,
}

impl ListKind {
    /// All with their names.
    pub const NAMES: &'static [(&'static str, ListKind)] = &[
        ("do-not-call", ListKind::DoNotCall),
        ("black", ListKind::Black),
        ("white", ListKind::White),
    ];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            ListKind::DoNotCall => "do-not-call",
            ListKind::Black => "black",
            ListKind::White => "white",
        }
    }
}

/// Numbers that came all at once. They are in a file of the data directory, not in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Name of the file.
    pub file: Arc<str>,
    /// How many.
    pub count: u64,
    /// When.
    pub at: WallTime,
}

/// What a list says of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// Not on it.
    No,
    /// On it, in these words.
    Yes(String),
    /// It cannot be said.
    Unknown(String),
}

/// A list.
#[derive(Debug, Clone)]
pub struct List {
    /// What the files say; for a list that people made, what they said.
    pub settings: ListSettings,
    /// It stands in the files.
    pub from_files: bool,
    /// What was imported last, and its numbers unless they could not be read.
    pub import: Option<(Import, Option<Arc<NumberSet>>)>,
    /// What people put on it.
    pub entries: BTreeMap<NumberOrPrefix, Entry>,
    /// How often people changed it.
    pub changes: u64,
}

impl List {
    /// A list of which nothing is known but this.
    pub fn new(settings: ListSettings, from_files: bool) -> List {
        List {
            settings,
            from_files,
            import: None,
            entries: BTreeMap::new(),
            changes: 0,
        }
    }

    /// Names what it was when it was asked: how often people changed it, and what came in bulk.
    pub fn version(&self) -> String {
        let imported = self.import.as_ref().and_then(|(_, set)| set.as_ref());
        let prefixes = self.settings.prefixes.iter().fold(0u64, |hash, prefix| {
            (hash ^ prefix).wrapping_mul(0x0100_0000_01b3)
        });
        let bulk = self.settings.numbers.fingerprint()
            ^ imported.map_or(0, |set| set.fingerprint().rotate_left(1))
            ^ (prefixes >> 16) as u32;
        format!("{}-{bulk:08x}", self.changes)
    }

    /// What it says of a number at this time.
    pub fn says(&self, key: u64, at: WallTime) -> Listed {
        if let Some((import, set)) = &self.import {
            let Some(set) = set else {
                return Listed::Unknown(format!(
                    "the numbers of list `{}` cannot be read",
                    self.settings.name
                ));
            };
            if set.contains(key) {
                return Listed::Yes(format!("imported on {}", date(import.at)));
            }
        }
        if self.settings.numbers.contains(key) {
            return Listed::Yes(self.where_defined());
        }
        if let Some(entry) = self.entry(NumberOrPrefix::Number(key), at) {
            return Listed::Yes(told(entry));
        }
        let mut prefix = key;
        while prefix > 0 {
            if self.settings.prefixes.contains(&prefix) {
                return Listed::Yes(format!("as +{prefix}*, {}", self.where_defined()));
            }
            if let Some(entry) = self.entry(NumberOrPrefix::Prefix(prefix), at) {
                return Listed::Yes(format!("as +{prefix}*, {}", told(entry)));
            }
            prefix /= 10;
        }
        match self.stale(at) {
            Some(why) => Listed::Unknown(why),
            None => Listed::No,
        }
    }

    fn entry(&self, key: NumberOrPrefix, at: WallTime) -> Option<&Entry> {
        self.entries.get(&key).filter(|entry| entry.holds(at))
    }

    fn where_defined(&self) -> String {
        match &self.settings.place {
            Some(place) => format!("by {place}"),
            None => "by a file".to_owned(),
        }
    }

    /// Why who is not on it may be on a newer one, in words.
    pub fn stale(&self, at: WallTime) -> Option<String> {
        let after: Duration = self.settings.stale_after?;
        let name = &self.settings.name;
        match &self.import {
            None => Some(format!("list `{name}` has never been imported")),
            Some((import, _)) if at.since(import.at) > after => Some(format!(
                "list `{name}` is out of date: it was imported on {}",
                date(import.at)
            )),
            Some(_) => None,
        }
    }

    /// For people and programs.
    pub fn view(&self, at: WallTime) -> ListView {
        let set = self.import.as_ref().and_then(|(_, set)| set.as_ref());
        let defined = self.settings.numbers.len() + self.settings.prefixes.len();
        let entries = self.entries.values().filter(|e| e.holds(at)).count();
        ListView {
            name: self.settings.name.clone(),
            kind: self.settings.kind,
            owner: self.settings.owner.clone(),
            version: self.version(),
            numbers: defined + entries + set.map_or(0, |set| set.len()),
            entries,
            imported_at: self.import.as_ref().map(|(import, _)| import.at),
            imported: self.import.as_ref().map(|(import, _)| import.count),
            memory_bytes: self.settings.numbers.bytes() + set.map_or(0, |set| set.bytes()),
            defined_in: self.settings.place.as_ref().map(ToString::to_string),
            problem: match &self.import {
                Some((import, None)) => Some(format!(
                    "the imported numbers ({}) cannot be read: import them again",
                    import.file
                )),
                _ => self.stale(at),
            },
        }
    }
}

fn told(entry: &Entry) -> String {
    let by = entry.by.as_deref().unwrap_or("the API");
    let mut text = format!("since {} by {by}", date(entry.at));
    if let Some(note) = &entry.note {
        text.push_str(&format!(" ({note})"));
    }
    text
}

fn date(at: WallTime) -> String {
    at.timestamp().strftime("%Y-%m-%d").to_string()
}

/// A list as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListView {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// What being on it means.
    pub kind: ListKind,
    /// The extension whose own it is; the company's without.
    #[schema(value_type = Option<String>)]
    pub owner: Option<Arc<str>>,
    /// Changes with every change of what is on it.
    pub version: String,
    /// How many numbers and prefixes are on it.
    pub numbers: usize,
    /// How many of them were put there one by one.
    pub entries: usize,
    /// When numbers were imported last.
    #[schema(value_type = Option<String>)]
    pub imported_at: Option<WallTime>,
    /// How many.
    pub imported: Option<u64>,
    /// Memory that the numbers of files and imports take.
    pub memory_bytes: usize,
    /// File and line, of a list that the files define: its own numbers change only there.
    pub defined_in: Option<String>,
    /// Why it cannot say no, in words: it is out of date, or cannot be read. Until that is mended every number counts as unknown.
    pub problem: Option<String>,
}
