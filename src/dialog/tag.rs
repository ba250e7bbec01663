//! Local tags: what we put into From or To, long enough that nobody guesses one (RFC 3261 §19.3).

use std::fmt;

use crate::base::Entropy;

/// A tag of ours: 80 random bits in 16 characters. It names one dialog on this shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag([u8; 16]);

impl Tag {
    /// A new tag.
    pub fn new(entropy: &mut Entropy) -> Self {
        Tag(entropy.token::<16>())
    }

    /// The tag that `bytes` spell, if they could be one of ours.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        <[u8; 16]>::try_from(bytes).ok().map(Tag)
    }

    /// As it stands in the header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
