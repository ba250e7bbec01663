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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tags_are_random_enough_that_nobody_guesses_one() {
        let mut entropy = Entropy::from_number(3);
        let tags: Vec<Tag> = (0..4_096).map(|_| Tag::new(&mut entropy)).collect();
        let different: BTreeSet<&Tag> = tags.iter().collect();
        assert_eq!(different.len(), tags.len());
        // RFC 3261 §19.3 wants 32 random bits: each place takes many values, and no two places the same ones
        let mut bits = 0.0;
        for place in 0..16 {
            let values: BTreeSet<u8> = tags.iter().map(|tag| tag.0[place]).collect();
            assert!(values.iter().all(u8::is_ascii_alphanumeric));
            bits += (values.len() as f64).log2();
        }
        assert!(bits >= 64.0, "{bits} bits");
        for place in 1..16 {
            assert!(tags.iter().any(|tag| tag.0[place] != tag.0[place - 1]));
        }
    }
}
