//! Parameters behind semicolons: `;name=value;flag;name="quoted"` (RFC 3261 §7.3.1).
#![deny(clippy::indexing_slicing)]

use super::lists::{quoted, split_at};

/// The parameters of a header value or URI, read when asked for. White space around `;` and `=` is tolerated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Params<'a>(&'a [u8]);

impl<'a> Params<'a> {
    /// From the bytes behind the first semicolon.
    pub fn new(raw: &'a [u8]) -> Self {
        Params(raw)
    }

    /// As written, without the first semicolon.
    pub fn raw(&self) -> &'a [u8] {
        self.0
    }

    /// All parameters in order: name and value. Values of quoted strings come without quotes, escapes unresolved.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        split_at(self.0, b';').filter_map(|item| {
            let item = item.trim_ascii();
            if item.is_empty() {
                return None;
            }
            Some(match item.iter().position(|&byte| byte == b'=') {
                Some(at) => {
                    let name = item.get(..at)?.trim_ascii();
                    let value = item.get(at + 1..)?.trim_ascii();
                    let value = quoted(value).map_or(value, |(content, _)| content);
                    (name, Some(value))
                }
                None => (item, None),
            })
        })
    }

    /// The first parameter of that name, in any case: `Some(None)` for a flag.
    pub fn get(&self, name: &str) -> Option<Option<&'a [u8]>> {
        if self.0.is_empty() {
            return None;
        }
        self.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The value of the first parameter of that name.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.get(name).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_case_flags_and_quotes() {
        let params = Params::new(br#" Tag = abc ; lr;q="0.5;x" ;;empty="#);
        assert_eq!(params.value("tag"), Some(&b"abc"[..]));
        assert_eq!(params.get("LR"), Some(None));
        assert_eq!(params.value("q"), Some(&b"0.5;x"[..]));
        assert_eq!(params.value("empty"), Some(&b""[..]));
        assert_eq!(params.get("none"), None);
        assert_eq!(params.iter().count(), 4);
    }
}
