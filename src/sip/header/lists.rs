//! Comma lists and other places where a delimiter counts only outside of quotes and angle brackets (RFC 3261 §7.3, §25.1).
#![deny(clippy::indexing_slicing)]

/// Splits a header value at its top-level commas; items are trimmed, empty ones are skipped.
pub fn split_commas(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    Split {
        rest: Some(value),
        delimiter: b',',
    }
    .map(<[u8]>::trim_ascii)
    .filter(|item| !item.is_empty())
}

/// Splits at every `delimiter` outside of quoted strings and angle brackets. Items are not trimmed.
pub(crate) fn split_at(value: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    Split {
        rest: Some(value),
        delimiter,
    }
}

struct Split<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        match find_outside(rest, self.delimiter) {
            Some(at) => {
                self.rest = rest.get(at + 1..);
                rest.get(..at)
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        }
    }
}

/// The place of the first `wanted` outside of quoted strings and angle brackets. An unclosed quote or bracket reaches to the end.
pub(crate) fn find_outside(value: &[u8], wanted: u8) -> Option<usize> {
    // Most values have no delimiter at all, or nothing that could hide it: both are told much faster than quotes are followed.
    let first = memchr::memchr(wanted, value)?;
    if memchr::memchr2(b'"', b'<', value.get(..first)?).is_none() {
        return Some(first);
    }
    let mut quoted = false;
    let mut escaped = false;
    let mut angle = false;
    for (at, &byte) in value.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted {
            match byte {
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if byte == wanted && !angle {
            return Some(at);
        } else {
            match byte {
                b'"' => quoted = true,
                b'<' => angle = true,
                b'>' => angle = false,
                _ => {}
            }
        }
    }
    None
}

/// Whether every quoted string and angle bracket is closed again. What is put behind a value that does not close is lost in it.
pub(crate) fn closes(value: &[u8]) -> bool {
    // Most values open none.
    if memchr::memchr2(b'"', b'<', value).is_none() {
        return true;
    }
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for &byte in value {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'<' => angle = true,
            b'>' => angle = false,
            _ => {}
        }
    }
    !quoted && !angle
}

/// The content of a quoted string that begins at the start of `value`, and what follows it. `None` when it does not close.
pub(crate) fn quoted(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = value.strip_prefix(b"\"")?;
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', inner.get(from..)?)?;
        if inner.get(at) == Some(&b'"') {
            return Some((inner.get(..at)?, inner.get(at + 1..)?));
        }
        from = at + 2; // what is escaped is content
    }
}

/// Resolves the escapes of a quoted string's content.
pub(crate) fn unescape(content: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if !content.contains(&b'\\') {
        return std::borrow::Cow::Borrowed(content);
    }
    let mut out = Vec::with_capacity(content.len());
    let mut escaped = false;
    for &byte in content {
        if byte == b'\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(byte);
        }
    }
    std::borrow::Cow::Owned(out)
}

/// True for a byte of a token (RFC 3261 §25.1).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// A decimal number, digits only; numbers that do not fit are `u64::MAX`.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_inside_quotes_and_brackets_do_not_split() {
        let value = br#""Byron, Ada" <sip:a,b@x;p=","> , <sip:c@y>,, sip:d@z"#;
        let items: Vec<&[u8]> = split_commas(value).collect();
        assert_eq!(
            items,
            [
                &br#""Byron, Ada" <sip:a,b@x;p=",">"#[..],
                b"<sip:c@y>",
                b"sip:d@z"
            ]
        );
    }

    #[test]
    fn escaped_quote_does_not_end_a_quoted_string() {
        let (content, rest) = quoted(br#""a\"b" <sip:x>"#).expect("closes");
        assert_eq!(content, br#"a\"b"#);
        assert_eq!(&*unescape(content), br#"a"b"#);
        assert_eq!(rest, b" <sip:x>");
        assert!(quoted(br#""never closed"#).is_none());
        assert!(closes(br#"a="\"";b="<";c=<d>;e=">""#));
        assert!(!closes(br#"a="\""#) && !closes(br#"a="b\"#) && !closes(b"<a"));
        assert!(quoted(br#""ends in escape\"#).is_none());
    }
}
