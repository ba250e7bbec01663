//! A secret: shown nowhere by accident.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A password, key or token. `Debug` prints three asterisks; reading it takes an explicit call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Default, Hash)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Secret(secret.into())
    }

    /// The secret itself. Keep it out of logs, errors and events.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
