//! Digest credentials and challenges as they stand on the wire (RFC 3261 §20.7, RFC 7616 §3).
#![deny(clippy::indexing_slicing)]

use std::borrow::Cow;

use super::lists::{number, quoted, split_at, unescape};
use crate::sip::ParseError;

/// What a client presents: Authorization or Proxy-Authorization.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Credentials<'a> {
    /// User name, escapes resolved.
    pub username: Cow<'a, [u8]>,
    /// The realm that it answers.
    pub realm: Cow<'a, [u8]>,
    /// The nonce that it answers.
    pub nonce: Cow<'a, [u8]>,
    /// The digest URI, as it was hashed.
    pub uri: Cow<'a, [u8]>,
    /// The hash, in hex.
    pub response: Cow<'a, [u8]>,
    /// `MD5`, `SHA-256`, …; absent means MD5.
    pub algorithm: Option<Cow<'a, [u8]>>,
    /// The client's nonce.
    pub cnonce: Option<Cow<'a, [u8]>>,
    /// Returned from the challenge.
    pub opaque: Option<Cow<'a, [u8]>>,
    /// Quality of protection that was used.
    pub qop: Option<Cow<'a, [u8]>>,
    /// How often the nonce has been used, with this time.
    pub nc: Option<u32>,
    /// `nc` as it was hashed: eight hex digits.
    pub nc_text: Option<Cow<'a, [u8]>>,
}

/// What a server asks for: WWW-Authenticate or Proxy-Authenticate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Challenge<'a> {
    /// Whose password is wanted.
    pub realm: Cow<'a, [u8]>,
    /// To be hashed in.
    pub nonce: Cow<'a, [u8]>,
    /// `MD5`, `SHA-256`, …; absent means MD5.
    pub algorithm: Option<Cow<'a, [u8]>>,
    /// To be returned.
    pub opaque: Option<Cow<'a, [u8]>>,
    /// The nonce was right but old.
    pub stale: bool,
    /// The list of qualities offered, as written.
    pub qop: Option<Cow<'a, [u8]>>,
}

/// Names and values in order.
type Params<'a> = Vec<(&'a [u8], Cow<'a, [u8]>)>;

/// The parameters behind `Digest`; each name once.
fn digest_params(value: &[u8]) -> Result<Params<'_>, ParseError> {
    let bad = || ParseError::new("Digest");
    let value = value.trim_ascii();
    let scheme = value.get(..6).ok_or_else(bad)?;
    let rest = value.get(6..).ok_or_else(bad)?;
    if !scheme.eq_ignore_ascii_case(b"Digest") || !rest.first().is_some_and(u8::is_ascii_whitespace)
    {
        return Err(bad());
    }
    let mut list: Params<'_> = Vec::with_capacity(10);
    for item in split_at(rest, b',') {
        let item = item.trim_ascii();
        if item.is_empty() {
            continue;
        }
        let equals = memchr::memchr(b'=', item).ok_or_else(bad)?;
        let name = item.get(..equals).ok_or_else(bad)?.trim_ascii();
        let text = item.get(equals + 1..).ok_or_else(bad)?.trim_ascii();
        let text = if text.first() == Some(&b'"') {
            let (content, tail) = quoted(text).ok_or_else(bad)?;
            if !tail.trim_ascii().is_empty() {
                return Err(bad());
            }
            unescape(content)
        } else {
            Cow::Borrowed(text)
        };
        if list.len() >= 32
            || list
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            return Err(ParseError::new("repeated Digest parameter"));
        }
        list.push((name, text));
    }
    Ok(list)
}

impl<'a> Credentials<'a> {
    /// Reads the value. All that a hash needs must be there.
    pub fn parse(value: &'a [u8]) -> Result<Credentials<'a>, ParseError> {
        let mut it = Credentials::default();
        let mut seen = 0u8;
        for (name, text) in digest_params(value)? {
            match name.to_ascii_lowercase().as_slice() {
                b"username" => {
                    it.username = text;
                    seen |= 1;
                }
                b"realm" => {
                    it.realm = text;
                    seen |= 2;
                }
                b"nonce" => {
                    it.nonce = text;
                    seen |= 4;
                }
                b"uri" => {
                    it.uri = text;
                    seen |= 8;
                }
                b"response" => {
                    it.response = text;
                    seen |= 16;
                }
                b"algorithm" => it.algorithm = Some(text),
                b"cnonce" => it.cnonce = Some(text),
                b"opaque" => it.opaque = Some(text),
                b"qop" => it.qop = Some(text),
                b"nc" => {
                    // `from_str_radix` would take a sign, too.
                    let hex = std::str::from_utf8(&text)
                        .ok()
                        .filter(|hex| hex.len() == 8 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
                    it.nc = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
                    if it.nc.is_none() {
                        return Err(ParseError::new("nc"));
                    }
                    it.nc_text = Some(text);
                }
                _ => {}
            }
        }
        if seen != 31 {
            return Err(ParseError::new("incomplete Digest credentials"));
        }
        Ok(it)
    }
}

impl<'a> Challenge<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Result<Challenge<'a>, ParseError> {
        let mut it = Challenge::default();
        let mut seen = 0u8;
        for (name, text) in digest_params(value)? {
            match name.to_ascii_lowercase().as_slice() {
                b"realm" => {
                    it.realm = text;
                    seen |= 1;
                }
                b"nonce" => {
                    it.nonce = text;
                    seen |= 2;
                }
                b"algorithm" => it.algorithm = Some(text),
                b"opaque" => it.opaque = Some(text),
                b"stale" => it.stale = text.eq_ignore_ascii_case(b"true"),
                b"qop" => it.qop = Some(text),
                _ => {}
            }
        }
        if seen != 3 {
            return Err(ParseError::new("incomplete Digest challenge"));
        }
        Ok(it)
    }

    /// True when `auth` is among the qualities offered.
    pub fn offers_auth(&self) -> bool {
        self.qop.as_ref().is_some_and(|list| {
            list.split(|&byte| byte == b',')
                .any(|item| item.trim_ascii().eq_ignore_ascii_case(b"auth"))
        })
    }
}

/// `text` as a quoted string, quotes and backslashes escaped, control characters left out.
pub fn quote(text: &[u8], out: &mut String) {
    out.push('"');
    for char in String::from_utf8_lossy(text).chars() {
        if char == '"' || char == '\\' {
            out.push('\\');
        }
        if !char.is_control() {
            out.push(char);
        }
    }
    out.push('"');
}

/// A decimal parameter, as `Expires` and `Min-Expires` carry it; what does not fit is the largest number.
pub fn seconds(value: &[u8]) -> Option<u32> {
    number(value.trim_ascii()).map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_with_quotes_and_commas() {
        let it = Credentials::parse(
            br#"Digest username="a\"b,c", realm="x", nonce="n==", uri="sip:x;a=1,2", response="00", algorithm=MD5, qop=auth, nc=0000000a, cnonce="c""#,
        )
        .expect("parses");
        assert_eq!(&*it.username, b"a\"b,c");
        assert_eq!(&*it.uri, b"sip:x;a=1,2");
        assert_eq!(it.nc, Some(10));
        for bad in [
            "Basic abc",
            "Digest",
            "Digest username=\"a\"",
            "Digest username",
            "Digest username=\"a",
            "Digest realm=\"x\", realm=\"y\", nonce=\"n\", username=\"u\", uri=\"u\", response=\"r\"",
            "Digest realm=\"x\", nonce=\"n\", username=\"u\", uri=\"u\", response=\"r\", nc=1",
            "Digest realm=\"x\", nonce=\"n\", username=\"u\", uri=\"u\", response=\"r\", nc=+0000001",
        ] {
            assert!(Credentials::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn challenge_and_its_qualities() {
        let it =
            Challenge::parse(br#"digest realm="x",nonce="n",stale=TRUE,qop="auth-int , auth""#)
                .expect("parses");
        assert!(it.stale && it.offers_auth());
        let mut text = String::new();
        quote(b"a\"b\\c\r\n", &mut text);
        assert_eq!(text, r#""a\"b\\c""#);
    }
}
