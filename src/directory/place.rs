//! Where in the files something is defined, so that every object can say where it came from.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A file (relative to the configuration directory) and a line, from 1.
///
/// Two places always compare as equal: an object that moved within its file has not changed, so a reload leaves it alone.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// File, relative to the configuration directory.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
}

impl Default for Place {
    fn default() -> Self {
        Place {
            file: Arc::from(""),
            line: 0,
        }
    }
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
