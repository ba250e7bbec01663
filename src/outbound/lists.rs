//! All lists, and what people do to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::entry::{Entry, NumberOrPrefix};
use super::list::{Import, List, ListKind, ListView, Listed};
use super::numbers::NumberSet;
use super::record::OutboundRecord;
use super::rules::ListSettings;
use crate::base::WallTime;

/// Most entries that people put on one list one by one; more come in a file. An entry takes some 200 bytes.
const ENTRIES_MAX: usize = 1_000_000;
/// Most lists.
const LISTS_MAX: usize = 10_000;

/// Why a change of a list was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListRefusal {
    /// There is no list of that name.
    NoSuchList,
    /// There is one, of another kind or owner.
    Another(ListKind),
    /// The files define it.
    FromFiles(String),
    /// This is no number and no prefix.
    NotANumber,
    /// It is not on the list.
    NotListed,
    /// It stands in a file or an import, and not by itself.
    NotByItself(String),
    /// As many as there may be.
    Full,
}

/// An entry as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntryView {
    /// The number, or `+44900*` for all that begin so.
    pub number: String,
    /// When it was put there.
    #[schema(value_type = String)]
    pub at: WallTime,
    /// When it ends.
    #[schema(value_type = Option<String>)]
    pub until: Option<WallTime>,
    /// Why.
    #[schema(value_type = Option<String>)]
    pub note: Option<Arc<str>>,
    /// Who did it.
    #[schema(value_type = Option<String>)]
    pub by: Option<Arc<str>>,
}

/// All lists by name.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    lists: BTreeMap<Arc<str>, List>,
    /// Numbers of imports, by their files, before the journal says whose they are.
    loaded: BTreeMap<Arc<str>, Arc<NumberSet>>,
}

impl Lists {
    /// Numbers of imports that the data directory holds, by their files.
    pub fn load(&mut self, loaded: BTreeMap<Arc<str>, Arc<NumberSet>>) {
        self.loaded = loaded;
    }

    /// Takes the lists of the files; what people did to those that are still there stays.
    pub fn configure(&mut self, settings: &[ListSettings]) {
        for one in settings {
            let list = self
                .lists
                .entry(one.name.clone())
                .or_insert_with(|| List::new(one.clone(), true));
            list.settings = one.clone();
            list.from_files = true;
        }
        self.lists.retain(|name, list| {
            if list.from_files && !settings.iter().any(|one| one.name == *name) {
                // what people put on it is theirs: it goes on as one that people made
                list.from_files = false;
                list.settings = ListSettings::new(name.clone(), list.settings.kind)
                    .owned_by(list.settings.owner.clone());
                return !list.entries.is_empty() || list.import.is_some();
            }
            true
        });
    }

    /// Lists of a kind, the company's or those of one extension.
    pub(super) fn of<'a>(
        &'a self,
        kind: ListKind,
        owner: Option<&'a str>,
    ) -> impl Iterator<Item = &'a List> {
        self.lists.values().filter(move |list| {
            list.settings.kind == kind && list.settings.owner.as_deref() == owner
        })
    }

    /// All as they are shown.
    pub fn views(&self, at: WallTime) -> Vec<ListView> {
        self.lists.values().map(|list| list.view(at)).collect()
    }

    /// One as it is shown.
    pub fn view(&self, name: &str, at: WallTime) -> Option<ListView> {
        self.lists.get(name).map(|list| list.view(at))
    }

    /// What people put on a list.
    pub fn entries(&self, name: &str, at: WallTime) -> Option<Vec<EntryView>> {
        let list = self.lists.get(name)?;
        let held = list.entries.iter().filter(|(_, entry)| entry.holds(at));
        let shown = held.map(|(number, entry)| EntryView {
            number: number.to_string(),
            at: entry.at,
            until: entry.until,
            note: entry.note.clone(),
            by: entry.by.clone(),
        });
        Some(shown.collect())
    }

    /// Makes a list, unless it is there as it is wanted.
    pub fn make(
        &mut self,
        name: Arc<str>,
        kind: ListKind,
        owner: Option<Arc<str>>,
    ) -> Result<Option<OutboundRecord>, ListRefusal> {
        if let Some(list) = self.lists.get(&name) {
            return match (list.settings.kind, &list.settings.owner) == (kind, &owner) {
                true => Ok(None),
                false => Err(ListRefusal::Another(list.settings.kind)),
            };
        }
        if self.lists.len() >= LISTS_MAX {
            return Err(ListRefusal::Full);
        }
        let record = OutboundRecord::List { name, kind, owner };
        self.restore(&record);
        Ok(Some(record))
    }

    /// Takes away a list that people made.
    pub fn remove(&mut self, name: &Arc<str>) -> Result<OutboundRecord, ListRefusal> {
        let list = self.lists.get(name).ok_or(ListRefusal::NoSuchList)?;
        if list.from_files {
            let place = list.settings.place.as_ref().map(ToString::to_string);
            return Err(ListRefusal::FromFiles(place.unwrap_or_default()));
        }
        let record = OutboundRecord::ListGone { name: name.clone() };
        self.restore(&record);
        Ok(record)
    }

    /// Puts a number, or a prefix, on a list.
    pub fn add(
        &mut self,
        list: &Arc<str>,
        number: &str,
        entry: Entry,
    ) -> Result<OutboundRecord, ListRefusal> {
        let found = self.lists.get_mut(list).ok_or(ListRefusal::NoSuchList)?;
        let number = NumberOrPrefix::parse(number).ok_or(ListRefusal::NotANumber)?;
        found.entries.retain(|_, other| other.holds(entry.at));
        if found.entries.len() >= ENTRIES_MAX {
            return Err(ListRefusal::Full);
        }
        let record = OutboundRecord::Entry {
            list: list.clone(),
            number: number.to_string().into(),
            entry,
            changes: found.changes + 1,
        };
        self.restore(&record);
        Ok(record)
    }

    /// Takes a number from a list.
    pub fn take(
        &mut self,
        list: &Arc<str>,
        number: &str,
        at: WallTime,
    ) -> Result<OutboundRecord, ListRefusal> {
        let found = self.lists.get(list).ok_or(ListRefusal::NoSuchList)?;
        let number = NumberOrPrefix::parse(number).ok_or(ListRefusal::NotANumber)?;
        if !found.entries.contains_key(&number) {
            let NumberOrPrefix::Number(key) = number else {
                return Err(ListRefusal::NotListed);
            };
            return Err(match found.says(key, at) {
                Listed::Yes(how) => ListRefusal::NotByItself(how),
                Listed::No | Listed::Unknown(_) => ListRefusal::NotListed,
            });
        }
        let record = OutboundRecord::EntryGone {
            list: list.clone(),
            number: number.to_string().into(),
            changes: found.changes + 1,
        };
        self.restore(&record);
        Ok(record)
    }

    /// Puts the numbers of a file in the place of those that were imported before.
    pub fn import(
        &mut self,
        list: &Arc<str>,
        import: Import,
        set: Arc<NumberSet>,
    ) -> Result<OutboundRecord, ListRefusal> {
        let found = self.lists.get(list).ok_or(ListRefusal::NoSuchList)?;
        let record = OutboundRecord::Imported {
            list: list.clone(),
            import: import.clone(),
            changes: found.changes + 1,
        };
        self.loaded.insert(import.file.clone(), set);
        self.restore(&record);
        self.loaded.remove(&import.file);
        Ok(record)
    }

    /// The file of the last import of a list.
    pub fn file_of(&self, list: &str) -> Option<Arc<str>> {
        let (import, _) = self.lists.get(list)?.import.as_ref()?;
        Some(import.file.clone())
    }

    /// What the journal says happened; also how it happens.
    pub(super) fn restore(&mut self, record: &OutboundRecord) {
        match record {
            OutboundRecord::List { name, kind, owner } => {
                self.lists.entry(name.clone()).or_insert_with(|| {
                    let settings = ListSettings::new(name.clone(), *kind);
                    List::new(settings.owned_by(owner.clone()), false)
                });
            }
            OutboundRecord::ListGone { name } => {
                self.lists.remove(name);
            }
            OutboundRecord::Entry {
                list,
                number,
                entry,
                changes,
            } => {
                if let (Some(list), Some(number)) =
                    (self.lists.get_mut(list), NumberOrPrefix::parse(number))
                {
                    list.entries.insert(number, entry.clone());
                    list.changes = *changes;
                }
            }
            OutboundRecord::EntryGone {
                list,
                number,
                changes,
            } => {
                if let (Some(list), Some(number)) =
                    (self.lists.get_mut(list), NumberOrPrefix::parse(number))
                {
                    list.entries.remove(&number);
                    list.changes = *changes;
                }
            }
            OutboundRecord::Imported {
                list,
                import,
                changes,
            } => {
                let set = self.loaded.get(&import.file).cloned();
                if let Some(list) = self.lists.get_mut(list) {
                    list.import = Some((import.clone(), set));
                    list.changes = *changes;
                }
            }
            OutboundRecord::Attempt { .. } | OutboundRecord::WrongPin { .. } => {}
        }
    }

    /// Numbers that were loaded and are nobody's are forgotten.
    pub fn settle(&mut self) {
        self.loaded.clear();
    }

    /// Everything that people did, as the journal keeps it.
    pub(super) fn snapshot(&self, at: WallTime) -> Vec<OutboundRecord> {
        let mut records = Vec::new();
        for (name, list) in &self.lists {
            if list.from_files && list.import.is_none() && list.entries.is_empty() {
                continue;
            }
            // also of those that the files define: they may be gone from there when it is read
            records.push(OutboundRecord::List {
                name: name.clone(),
                kind: list.settings.kind,
                owner: list.settings.owner.clone(),
            });
            if let Some((import, _)) = &list.import {
                records.push(OutboundRecord::Imported {
                    list: name.clone(),
                    import: import.clone(),
                    changes: list.changes,
                });
            }
            for (number, entry) in list.entries.iter().filter(|(_, e)| e.holds(at)) {
                records.push(OutboundRecord::Entry {
                    list: name.clone(),
                    number: number.to_string().into(),
                    entry: entry.clone(),
                    changes: list.changes,
                });
            }
        }
        records
    }
}
