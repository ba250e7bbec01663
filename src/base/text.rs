//! A piece of a shared text: several strings that live and die together cost one allocation, and none to copy.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A part of an `Arc<str>`, used like a `str`.
#[derive(Clone)]
pub struct Text {
    whole: Arc<str>,
    start: u32,
    end: u32,
}

impl Text {
    /// The part `range` of `whole`, in bytes; empty when the range does not lie on characters of it.
    pub fn part(whole: &Arc<str>, range: Range<usize>) -> Text {
        let fits = whole.get(range.clone()).is_some();
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Text {
            whole: whole.clone(),
            start: if fits { place(range.start) } else { 0 },
            end: if fits { place(range.end) } else { 0 },
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.whole
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::part(&Arc::from(text), 0..text.len())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::from(text.as_str())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        String::deserialize(deserializer).map(Text::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_their_whole_and_read_like_strings() {
        let whole: Arc<str> = "contact\u{e9}instance".into();
        let part = Text::part(&whole, 0..9);
        assert_eq!(&*part, "contact\u{e9}");
        assert_eq!(Text::part(&whole, 9..17), Text::from("instance"));
        assert_eq!(
            &*Text::part(&whole, 0..8),
            "",
            "in the middle of a character"
        );
        assert_eq!(&*Text::part(&whole, 0..99), "");
        assert_eq!(
            serde_json::to_string(&part).expect("a string"),
            "\"contact\u{e9}\""
        );
        let back: Text = serde_json::from_str("\"x\"").expect("a string");
        assert_eq!(&*back, "x");
    }
}
