//! Addresses of record: the public name under which a person is registered and called (RFC 3261 §6, §10.3 step 5).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::sip::Uri;

/// `user@domain` in canonical form: escapes of the user part resolved, its case kept; the domain in lower case; no port, no
/// parameters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressOfRecord(Arc<str>);

impl AddressOfRecord {
    /// From user and domain.
    pub fn new(user: &str, domain: &str) -> Self {
        let mut text = String::with_capacity(user.len() + 1 + domain.len());
        text.push_str(user);
        text.push('@');
        for c in domain.trim_end_matches('.').chars() {
            text.push(c.to_ascii_lowercase());
        }
        AddressOfRecord(text.into())
    }

    /// From the To URI of a REGISTER or the Request-URI of a call. `None` without a user part that is text.
    pub fn of(uri: &Uri<'_>) -> Option<Self> {
        let user = uri.user_text()?;
        let domain = std::str::from_utf8(uri.host).ok()?;
        (!user.is_empty()).then(|| Self::new(&user, domain))
    }

    /// `user@domain`, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// `user@domain`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the last `@`.
    pub fn user(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(user, _)| user)
    }

    /// The part after the last `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl Borrow<str> for AddressOfRecord {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AddressOfRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AddressOfRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
