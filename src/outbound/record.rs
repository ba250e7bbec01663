//! What the journal keeps of lists, attempts and PINs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::list::{Import, ListKind};
use crate::base::WallTime;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutboundRecord {
    /// A list is there.
    List {
        /// Its name.
        name: Arc<str>,
        /// What being on it means.
        kind: ListKind,
        /// Whose own it is.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        owner: Option<Arc<str>>,
    },
    /// A list is gone, with all that was on it.
    ListGone {
        /// Its name.
        name: Arc<str>,
    },
    /// A number is on a list.
    Entry {
        /// The list.
        list: Arc<str>,
        /// The number or prefix.
        number: Arc<str>,
        /// Who, why, until when.
        entry: Entry,
        /// The list's count of changes.
        changes: u64,
    },
    /// A number is not on a list any more.
    EntryGone {
        /// The list.
        list: Arc<str>,
        /// The number or prefix.
        number: Arc<str>,
        /// The list's count of changes.
        changes: u64,
    },
    /// Numbers were imported.
    Imported {
        /// The list.
        list: Arc<str>,
        /// Which, how many, when.
        import: Import,
        /// The list's count of changes.
        changes: u64,
    },
    /// A number was called.
    Attempt {
        /// It.
        number: Arc<str>,
        /// When.
        at: WallTime,
    },
    /// A PIN was wrong, or right after wrong ones.
    WrongPin {
        /// Who tried.
        extension: Arc<str>,
        /// How often in a row.
        wrong: u8,
        /// Until when no PIN of it is taken.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        locked_until: Option<WallTime>,
    },
}
