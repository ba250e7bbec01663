//! One entry of a list: a number, or all that begin with some digits.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::numbers::key_of;
use crate::base::WallTime;
use crate::directory::e164;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NumberOrPrefix {
    /// This number.
    Number(u64),
    /// All that begin so.
    Prefix(u64),
}

impl NumberOrPrefix {
    /// `+442071838750`, spaces allowed, or `+44900*`.
    pub fn parse(text: &str) -> Option<NumberOrPrefix> {
        match text.trim().strip_suffix('*') {
            Some(prefix) => {
                let bare: String = prefix.chars().filter(|c| *c != ' ').collect();
                key_of(&bare).map(NumberOrPrefix::Prefix)
            }
            None => e164(text)
                .and_then(|number| key_of(&number))
                .map(NumberOrPrefix::Number),
        }
    }
}

impl fmt::Display for NumberOrPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberOrPrefix::Number(key) => write!(f, "+{key}"),
            NumberOrPrefix::Prefix(key) => write!(f, "+{key}*"),
        }
    }
}

/// Who put a number on a list, and until when it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was put there.
    pub at: WallTime,
    /// It ends then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<WallTime>,
    /// Why, in somebody's words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<Arc<str>>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<Arc<str>>,
}

impl Entry {
    /// Whether it holds at this time.
    pub fn holds(&self, at: WallTime) -> bool {
        self.until.is_none_or(|until| at < until)
    }
}
