//! Digest credentials and challenges as they stand on the wire (RFC 3261 §20.7, RFC 7616 §3).
#![deny(clippy::indexing_slicing)]

use std::borrow::Cow;

use smallvec::SmallVec;

use super::lists::{number, quoted, unescape};
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

/// The parameters that mean something to us; their order is that of the bits in [`Seen`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Param {
    Username,
    Realm,
    Nonce,
    Uri,
    Response,
    Algorithm,
    Cnonce,
    Opaque,
    Qop,
    Nc,
    Stale,
}

impl Param {
    fn of(name: &[u8]) -> Option<Param> {
        let candidates: &[(&[u8], Param)] = match name.len() {
            2 => &[(b"nc", Param::Nc)],
            3 => &[(b"uri", Param::Uri), (b"qop", Param::Qop)],
            5 => &[
                (b"realm", Param::Realm),
                (b"nonce", Param::Nonce),
                (b"stale", Param::Stale),
            ],
            6 => &[(b"cnonce", Param::Cnonce), (b"opaque", Param::Opaque)],
            8 => &[
                (b"username", Param::Username),
                (b"response", Param::Response),
            ],
            9 => &[(b"algorithm", Param::Algorithm)],
            _ => &[],
        };
        candidates
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, param)| *param)
    }
}

/// Which parameters stood there already: each may once.
#[derive(Default)]
struct Seen<'a> {
    known: u16,
    others: SmallVec<[&'a [u8]; 4]>,
}

/// Parameters that mean nothing to us and are read over, at most.
const OTHERS_MAX: usize = 20;

impl<'a> Seen<'a> {
    /// What `name` is, `None` for nothing that we know.
    fn note(&mut self, name: &'a [u8]) -> Result<Option<Param>, ParseError> {
        let repeated = match Param::of(name) {
            Some(param) => {
                let bit = 1 << param as u16;
                let repeated = self.known & bit != 0;
                self.known |= bit;
                if !repeated {
                    return Ok(Some(param));
                }
                repeated
            }
            None => {
                self.others.len() >= OTHERS_MAX
                    || self.others.iter().any(|it| it.eq_ignore_ascii_case(name))
            }
        };
        if repeated {
            return Err(ParseError::new("repeated Digest parameter"));
        }
        self.others.push(name);
        Ok(None)
    }

    fn has_all(&self, wanted: &[Param]) -> bool {
        wanted
            .iter()
            .all(|param| self.known & (1 << *param as u16) != 0)
    }
}

/// The parameters behind `Digest`, one after the other.
struct DigestParams<'a>(&'a [u8]);

impl<'a> DigestParams<'a> {
    fn of(value: &'a [u8]) -> Result<Self, ParseError> {
        match value.trim_ascii().split_at_checked(6) {
            Some((scheme, rest))
                if scheme.eq_ignore_ascii_case(b"Digest")
                    && rest.first().is_some_and(u8::is_ascii_whitespace) =>
            {
                Ok(DigestParams(rest))
            }
            Some(_) | None => Err(ParseError::new("Digest")),
        }
    }

    /// Name and value of the next one, escapes resolved; `None` at the end.
    #[allow(clippy::type_complexity)]
    fn next(&mut self) -> Result<Option<(&'a [u8], Cow<'a, [u8]>)>, ParseError> {
        let bad = || ParseError::new("Digest");
        let skipped = self
            .0
            .iter()
            .take_while(|byte| **byte == b',' || byte.is_ascii_whitespace())
            .count();
        let rest = self.0.get(skipped..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let equals = rest
            .iter()
            .position(|byte| matches!(byte, b'=' | b',' | b'"'))
            .filter(|at| rest.get(*at) == Some(&b'='))
            .ok_or_else(bad)?;
        let (name, value) = rest.split_at_checked(equals).ok_or_else(bad)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii_start();
        let (text, rest) = match value.strip_prefix(b"\"") {
            Some(_) => {
                let (content, rest) = quoted(value).ok_or_else(bad)?;
                let rest = rest.trim_ascii_start();
                if !matches!(rest.first(), None | Some(b',')) {
                    return Err(bad());
                }
                (unescape(content), rest)
            }
            None => {
                let end = memchr::memchr(b',', value).unwrap_or(value.len());
                let (text, rest) = value.split_at_checked(end).ok_or_else(bad)?;
                (Cow::Borrowed(text.trim_ascii_end()), rest)
            }
        };
        self.0 = rest;
        Ok(Some((name.trim_ascii_end(), text)))
    }
}

/// What a digest needs of its credentials.
const NEEDED: [Param; 5] = [
    Param::Username,
    Param::Realm,
    Param::Nonce,
    Param::Uri,
    Param::Response,
];

impl<'a> Credentials<'a> {
    /// Reads the value. All that a hash needs must be there.
    pub fn parse(value: &'a [u8]) -> Result<Credentials<'a>, ParseError> {
        let mut it = Credentials::default();
        let mut seen = Seen::default();
        let mut params = DigestParams::of(value)?;
        while let Some((name, text)) = params.next()? {
            match seen.note(name)? {
                Some(Param::Username) => it.username = text,
                Some(Param::Realm) => it.realm = text,
                Some(Param::Nonce) => it.nonce = text,
                Some(Param::Uri) => it.uri = text,
                Some(Param::Response) => it.response = text,
                Some(Param::Algorithm) => it.algorithm = Some(text),
                Some(Param::Cnonce) => it.cnonce = Some(text),
                Some(Param::Opaque) => it.opaque = Some(text),
                Some(Param::Qop) => it.qop = Some(text),
                Some(Param::Nc) => {
                    it.nc = Some(count(&text).ok_or(ParseError::new("nc"))?);
                    it.nc_text = Some(text);
                }
                Some(Param::Stale) | None => {}
            }
        }
        if !seen.has_all(&NEEDED) {
            return Err(ParseError::new("incomplete Digest credentials"));
        }
        Ok(it)
    }
}

/// Eight hexadecimal digits, without the sign that `from_str_radix` would take, too.
fn count(text: &[u8]) -> Option<u32> {
    if text.len() != 8 {
        return None;
    }
    text.iter().try_fold(0u32, |sum, byte| {
        char::from(*byte).to_digit(16).map(|digit| sum << 4 | digit)
    })
}

impl<'a> Challenge<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Result<Challenge<'a>, ParseError> {
        let mut it = Challenge::default();
        let mut seen = Seen::default();
        let mut params = DigestParams::of(value)?;
        while let Some((name, text)) = params.next()? {
            match seen.note(name)? {
                Some(Param::Realm) => it.realm = text,
                Some(Param::Nonce) => it.nonce = text,
                Some(Param::Algorithm) => it.algorithm = Some(text),
                Some(Param::Opaque) => it.opaque = Some(text),
                Some(Param::Stale) => it.stale = text.eq_ignore_ascii_case(b"true"),
                Some(Param::Qop) => it.qop = Some(text),
                Some(
                    Param::Username | Param::Uri | Param::Response | Param::Cnonce | Param::Nc,
                )
                | None => {}
            }
        }
        if !seen.has_all(&[Param::Realm, Param::Nonce]) {
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
    let plain = |byte: &u8| (b' '..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
    if text.iter().all(plain)
        && let Ok(text) = std::str::from_utf8(text)
    {
        out.push_str(text);
        out.push('"');
        return;
    }
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
        let it = Credentials::parse(
            b"DIGEST Username = \"u\" ,,realm=r , nonce=\"n\",uri=\"s\", response=\"0\",made-up=\"a=,b\",",
        )
        .expect("parses");
        assert_eq!((&*it.username, &*it.realm), (&b"u"[..], &b"r"[..]));
        for bad in [
            "Basic abc",
            "Digest",
            "Digest username=\"a\"",
            "Digest username",
            "Digest username=\"a",
            "Digest username=\"a\"b, realm=\"x\", nonce=\"n\", uri=\"u\", response=\"r\"",
            "Digest x=1, X=2, realm=\"x\", nonce=\"n\", username=\"u\", uri=\"u\", response=\"r\"",
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
