//! `"Display" <uri>;params` and the form without brackets (RFC 3261 §20.10).
#![deny(clippy::indexing_slicing)]

use super::lists::{closes, find_outside, quoted, unescape};
use super::params::Params;
use super::uri::Uri;
use crate::sip::ParseError;

/// The value of From, To, Contact, Route and their like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameAddr<'a> {
    /// Display name: content of the quotes (escapes unresolved) or the plain words.
    pub display: Option<&'a [u8]>,
    /// The URI.
    pub uri: Uri<'a>,
    /// Parameters of the header, not of the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value. Without angle brackets everything behind the first `;` belongs to the header (RFC 3261 §20).
    pub fn parse(value: &'a [u8]) -> Result<NameAddr<'a>, ParseError> {
        let bad = || ParseError::new("name-addr");
        let value = value.trim_ascii();
        let (display, rest) = if value.first() == Some(&b'"') {
            let (content, rest) =
                quoted(value).ok_or_else(|| ParseError::new("quoted display name"))?;
            let rest = rest.trim_ascii_start();
            if rest.first() != Some(&b'<') {
                return Err(bad());
            }
            (Some(content), rest)
        } else {
            match memchr::memchr(b'<', value) {
                Some(0) => (None, value),
                Some(at) => {
                    let words = value.get(..at).ok_or_else(bad)?.trim_ascii();
                    let plain = words
                        .iter()
                        .all(|&byte| byte >= b' ' && byte != b'"' && byte != b'>' || byte == b'\t');
                    if !plain {
                        return Err(ParseError::new("display name"));
                    }
                    let display = (!words.is_empty()).then_some(words);
                    (display, value.get(at..).ok_or_else(bad)?)
                }
                None => (None, value),
            }
        };
        if let Some(inner) = rest.strip_prefix(b"<") {
            let end = memchr::memchr(b'>', inner).ok_or_else(bad)?;
            let uri = Uri::parse(inner.get(..end).ok_or_else(bad)?.trim_ascii())?;
            let tail = inner.get(end + 1..).unwrap_or_default().trim_ascii();
            let params = match tail.strip_prefix(b";") {
                Some(params) => Params::new(params),
                None if tail.is_empty() => Params::default(),
                None => return Err(ParseError::new("text behind >")),
            };
            if !closes(params.raw()) {
                return Err(ParseError::new("unclosed parameter"));
            }
            Ok(NameAddr {
                display,
                uri,
                params,
            })
        } else {
            let end = find_outside(rest, b';').unwrap_or(rest.len());
            let uri = Uri::parse(rest.get(..end).ok_or_else(bad)?.trim_ascii_end())?;
            // Without brackets nobody can tell whose the headers would be (RFC 3261 §20.10).
            if !uri.headers.is_empty() {
                return Err(bad());
            }
            let params = Params::new(rest.get(end + 1..).unwrap_or_default());
            if !closes(params.raw()) {
                return Err(ParseError::new("unclosed parameter"));
            }
            Ok(NameAddr {
                display,
                uri,
                params,
            })
        }
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.value("tag")
    }

    /// A header parameter: `Some(None)` for a flag.
    pub fn param(&self, name: &str) -> Option<Option<&'a [u8]>> {
        self.params.get(name)
    }

    /// The display name for people: escapes resolved, `None` when empty or when it holds control characters.
    pub fn display_text(&self) -> Option<String> {
        let text = String::from_utf8(unescape(self.display?).into_owned()).ok()?;
        let text = text.trim();
        (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> NameAddr<'_> {
        NameAddr::parse(text.as_bytes()).expect("parses")
    }

    #[test]
    fn both_forms_and_their_parameters() {
        let it = parse(r#""A. \"Bell\"" <sip:bell@x;lr>;tag=1;q=0.5"#);
        assert_eq!(it.display_text().as_deref(), Some("A. \"Bell\""));
        assert_eq!(it.uri.param("lr"), Some(None));
        assert_eq!(it.tag(), Some(&b"1"[..]));
        let it = parse("sip:bell@x;tag=2");
        assert_eq!(it.uri.raw, b"sip:bell@x");
        assert_eq!(it.tag(), Some(&b"2"[..]));
        let it = parse("Alexander Bell <sip:bell@x>");
        assert_eq!(it.display, Some(&b"Alexander Bell"[..]));
        let it = parse(r#""<sip:evil@x>" <sip:good@x>"#);
        assert_eq!(it.uri.user, Some(&b"good"[..]));
    }

    #[test]
    fn what_is_broken_is_refused() {
        for bad in [
            "",
            "\"open <sip:a@x>",
            "<sip:a@x",
            "<sip:a@x> junk",
            "\"a\" sip:a@x",
            "a\"b <sip:a@x>",
            "<>",
            "Bob",
            "sip:a@x;y=\"open",
            "<sip:a@x>;y=<open",
            "<sip:a@x>;y=\"open\\\"",
        ] {
            assert!(NameAddr::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn display_text_never_holds_control_characters() {
        assert_eq!(parse("\"a\u{1b}[2J\" <sip:a@x>").display_text(), None);
        assert_eq!(parse("\"\" <sip:a@x>").display_text(), None);
    }
}
