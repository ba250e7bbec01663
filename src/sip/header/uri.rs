//! SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966), and any other as opaque text.
#![deny(clippy::indexing_slicing)]

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::params::Params;
use crate::sip::ParseError;

/// The scheme of a URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`; the number is in `user`.
    Tel,
    /// Anything else: only `raw` means something.
    Other,
}

/// A URI, borrowed from the message that carries it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uri<'a> {
    /// Its scheme.
    pub scheme: Scheme,
    /// User part, escapes unresolved; the number of a tel URI.
    pub user: Option<&'a [u8]>,
    /// Password (RFC 3261 §19.1.1 advises against it).
    pub password: Option<&'a [u8]>,
    /// Host; IPv6 without brackets.
    pub host: &'a [u8],
    /// Port, if written.
    pub port: Option<u16>,
    /// URI parameters.
    pub params: Params<'a>,
    /// What follows `?`.
    pub headers: &'a [u8],
    /// As written.
    pub raw: &'a [u8],
}

/// What a byte may mean in a URI, as bits; most mean nothing.
const FORBIDDEN: u8 = 1;
const AT: u8 = 2;
const SEMICOLON: u8 = 4;
const QUESTION: u8 = 8;
const NO_HOST: u8 = 16;

const MEANING: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0usize;
    while byte < 256 {
        let char = byte as u8;
        let mut meaning = match char {
            0..=b' ' | 0x7f | b'<' | b'>' | b'"' => FORBIDDEN,
            b'@' => AT,
            b';' => SEMICOLON,
            b'?' => QUESTION,
            _ => 0,
        };
        if !(char.is_ascii_alphanumeric() || matches!(char, b'-' | b'.' | b'_')) {
            meaning |= NO_HOST;
        }
        // in range: the loop ends at the table's length
        #[allow(clippy::indexing_slicing)]
        {
            table[byte] = meaning;
        }
        byte += 1;
    }
    table
};

fn meaning(byte: u8) -> u8 {
    MEANING.get(usize::from(byte)).copied().unwrap_or(FORBIDDEN)
}

fn scheme_of(raw: &[u8]) -> Option<(Scheme, &[u8])> {
    if let Some((name, rest)) = raw.split_at_checked(4)
        && name.eq_ignore_ascii_case(b"sip:")
    {
        return Some((Scheme::Sip, rest));
    }
    let colon = memchr::memchr(b':', raw)?;
    let (name, rest) = (raw.get(..colon)?, raw.get(colon + 1..)?);
    let scheme = if name.eq_ignore_ascii_case(b"sip") {
        Scheme::Sip
    } else if name.eq_ignore_ascii_case(b"sips") {
        Scheme::Sips
    } else if name.eq_ignore_ascii_case(b"tel") {
        Scheme::Tel
    } else {
        let first = name.first()?;
        if !first.is_ascii_alphabetic()
            || !name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        {
            return None;
        }
        Scheme::Other
    };
    Some((scheme, rest))
}

fn is_host(host: &[u8]) -> bool {
    !host.is_empty() && host.iter().all(|byte| meaning(*byte) & NO_HOST == 0)
}

/// Host and port as they stand in a URI or in Via: names, IPv4, `[IPv6]`. White space around the colon is the caller's.
pub(crate) fn host_port(text: &[u8]) -> Result<(&[u8], Option<u16>), ParseError> {
    let bad = || ParseError::new("host");
    let (host, rest) = match text.strip_prefix(b"[") {
        Some(inner) => {
            let end = memchr::memchr(b']', inner).ok_or_else(bad)?;
            let host = inner.get(..end).ok_or_else(bad)?;
            let parsed = std::str::from_utf8(host)
                .ok()
                .and_then(|host| host.parse::<Ipv6Addr>().ok());
            if parsed.is_none() {
                return Err(bad());
            }
            (host, inner.get(end + 1..).ok_or_else(bad)?)
        }
        None => {
            let end = text
                .iter()
                .position(|byte| *byte == b':')
                .unwrap_or(text.len());
            let host = text.get(..end).ok_or_else(bad)?.trim_ascii_end();
            if !is_host(host) {
                return Err(bad());
            }
            if end == text.len() {
                return Ok((host, None));
            }
            (host, text.get(end..).ok_or_else(bad)?)
        }
    };
    let rest = rest.trim_ascii();
    if rest.is_empty() {
        return Ok((host, None));
    }
    let port = rest
        .strip_prefix(b":")
        .map(<[u8]>::trim_ascii)
        .and_then(super::lists::number)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|&port| port != 0)
        .ok_or_else(|| ParseError::new("port"))?;
    Ok((host, Some(port)))
}

impl<'a> Uri<'a> {
    /// Reads a URI. Of unknown schemes only the characters are checked.
    pub fn parse(raw: &'a [u8]) -> Result<Uri<'a>, ParseError> {
        let bad = || ParseError::new("URI");
        let seen = raw.iter().fold(0, |seen, byte| seen | meaning(*byte));
        if seen & FORBIDDEN != 0 {
            return Err(ParseError::new("character in URI"));
        }
        let (scheme, rest) = scheme_of(raw).ok_or_else(bad)?;
        let mut uri = Uri {
            scheme,
            user: None,
            password: None,
            host: b"",
            port: None,
            params: Params::default(),
            headers: b"",
            raw,
        };
        match scheme {
            Scheme::Other => Ok(uri),
            Scheme::Tel => {
                let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
                let number = rest.get(..end).ok_or_else(bad)?;
                if number.is_empty()
                    || !number
                        .iter()
                        .all(|byte| byte.is_ascii_hexdigit() || b"+-.()*#".contains(byte))
                {
                    return Err(ParseError::new("telephone number"));
                }
                uri.user = Some(number);
                uri.params = Params::new(rest.get(end + 1..).unwrap_or_default());
                Ok(uri)
            }
            Scheme::Sip | Scheme::Sips => {
                // user parts may hold ';' and '?', so the '@' is found first; hosts never hold one
                let at = match seen & (AT | QUESTION) {
                    0 | QUESTION => None,
                    AT => rest.iter().rposition(|byte| *byte == b'@'),
                    _ => memchr::memrchr(b'@', before_headers(rest)),
                };
                let hostpart = match at {
                    Some(at) => {
                        let userinfo = rest.get(..at).ok_or_else(bad)?;
                        let colon = userinfo.iter().position(|byte| *byte == b':');
                        let (user, password) = match colon {
                            Some(colon) => (
                                userinfo.get(..colon).ok_or_else(bad)?,
                                userinfo.get(colon + 1..),
                            ),
                            None => (userinfo, None),
                        };
                        if user.is_empty() || user.contains(&b'@') {
                            return Err(ParseError::new("user part"));
                        }
                        uri.user = Some(user);
                        uri.password = password;
                        rest.get(at + 1..).ok_or_else(bad)?
                    }
                    None => rest,
                };
                if seen & (SEMICOLON | QUESTION) == 0 {
                    (uri.host, uri.port) = host_port(hostpart)?;
                    return Ok(uri);
                }
                let end = memchr::memchr2(b';', b'?', hostpart).unwrap_or(hostpart.len());
                (uri.host, uri.port) = host_port(hostpart.get(..end).ok_or_else(bad)?)?;
                let tail = hostpart.get(end..).unwrap_or_default();
                let question = memchr::memchr(b'?', tail).unwrap_or(tail.len());
                uri.params = Params::new(
                    tail.get(..question)
                        .unwrap_or_default()
                        .strip_prefix(b";")
                        .unwrap_or_default(),
                );
                uri.headers = tail.get(question + 1..).unwrap_or_default();
                Ok(uri)
            }
        }
    }

    /// The value of a URI parameter: `Some(None)` for a flag such as `lr`.
    pub fn param(&self, name: &str) -> Option<Option<&'a [u8]>> {
        self.params.get(name)
    }

    /// The `transport` parameter.
    pub fn transport(&self) -> Option<&'a [u8]> {
        self.params.value("transport")
    }

    /// The host as an address, if it is one.
    pub fn host_ip(&self) -> Option<IpAddr> {
        let host = std::str::from_utf8(self.host).ok()?;
        host.parse::<Ipv4Addr>()
            .map(IpAddr::V4)
            .or_else(|_| host.parse::<Ipv6Addr>().map(IpAddr::V6))
            .ok()
    }

    /// The user part with escapes resolved; undecodable bytes become U+FFFD.
    pub fn user_decoded(&self) -> Option<Cow<'a, str>> {
        let user = self.user?;
        Some(if user.contains(&b'%') {
            Cow::Owned(String::from_utf8_lossy(&decoded(user)).into_owned())
        } else {
            String::from_utf8_lossy(user)
        })
    }

    /// The user part with escapes resolved, if it is text without control characters: what may go into logs and look-ups.
    pub fn user_text(&self) -> Option<String> {
        let bytes = decoded(self.user?);
        let text = String::from_utf8(bytes).ok()?;
        (!text.chars().any(char::is_control)).then_some(text)
    }

    /// Equality as a registrar needs it (RFC 3261 §19.1.4).
    pub fn same_as(&self, other: &Uri<'_>) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        match self.scheme {
            Scheme::Other => self.raw == other.raw,
            Scheme::Tel => {
                digits(self.user) == digits(other.user) && same_params(&self.params, &other.params)
            }
            Scheme::Sip | Scheme::Sips => {
                self.user.map(decoded) == other.user.map(decoded)
                    && self.password.map(decoded) == other.password.map(decoded)
                    && self.host.eq_ignore_ascii_case(other.host)
                    && self.port == other.port
                    && same_params(&self.params, &other.params)
                    && same_headers(self.headers, other.headers)
            }
        }
    }
}

/// The part in which the `@` may stand: a `?` after it begins headers, which may hold another.
fn before_headers(rest: &[u8]) -> &[u8] {
    match memchr::memchr(b'@', rest) {
        Some(at) => {
            let end = rest
                .get(at..)
                .and_then(|tail| memchr::memchr(b'?', tail))
                .map_or(rest.len(), |question| at + question);
            rest.get(..end).unwrap_or(rest)
        }
        None => rest,
    }
}

/// Resolves `%HH`; a broken escape stays as it is.
pub(super) fn decoded(text: &[u8]) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, hex(text.get(at + 1)), hex(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn digits(number: Option<&[u8]>) -> Vec<u8> {
    number
        .unwrap_or_default()
        .iter()
        .filter(|byte| !b"-.()".contains(byte))
        .map(u8::to_ascii_lowercase)
        .collect()
}

/// Parameters of one URI that are compared one by one (guess; real ones have up to ten). Comparing takes time with the square
/// of their number, so longer lists are the same only if they are written the same.
const COMPARED_PARAMS_MAX: usize = 64;

/// `user`, `ttl`, `method`, `maddr` and `transport` must stand in both or in neither; others are compared only where both have
/// them. Of a name that stands twice the first counts, as for [`Params::get`]: a URI is always the same as itself.
fn same_params(ours: &Params<'_>, theirs: &Params<'_>) -> bool {
    const STRICT: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];
    fn first<'a>(params: &Params<'a>, name: &[u8]) -> Option<Option<&'a [u8]>> {
        params
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
    let one_way = |a: &Params<'_>, b: &Params<'_>| {
        a.iter()
            .all(|(name, _)| match (first(a, name), first(b, name)) {
                (Some(Some(value)), Some(Some(other))) => {
                    decoded(value).eq_ignore_ascii_case(&decoded(other))
                }
                (Some(value), Some(other)) => value.is_none() && other.is_none(),
                (_, None) | (None, _) => !STRICT
                    .iter()
                    .any(|strict| strict.eq_ignore_ascii_case(name)),
            })
    };
    if [ours, theirs]
        .iter()
        .any(|params| params.iter().nth(COMPARED_PARAMS_MAX).is_some())
    {
        return ours.raw().eq_ignore_ascii_case(theirs.raw());
    }
    one_way(ours, theirs) && one_way(theirs, ours)
}

fn same_headers(ours: &[u8], theirs: &[u8]) -> bool {
    let sorted = |headers: &[u8]| {
        let mut list: Vec<Vec<u8>> = headers
            .split(|&byte| byte == b'&')
            .filter(|item| !item.is_empty())
            .map(|item| decoded(item).to_ascii_lowercase())
            .collect();
        list.sort();
        list
    };
    sorted(ours) == sorted(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text.as_bytes()).expect("parses")
    }

    #[test]
    fn all_parts_are_found() {
        let it = uri(
            "sips:alice;day=tuesday:secret@[2001:db8::1]:5071;lr;Transport=TCP?subject=x&a=b@c",
        );
        assert_eq!(it.scheme, Scheme::Sips);
        assert_eq!(it.user, Some(&b"alice;day=tuesday"[..]));
        assert_eq!(it.password, Some(&b"secret"[..]));
        assert_eq!(it.host, b"2001:db8::1");
        assert_eq!(it.port, Some(5071));
        assert_eq!(it.param("LR"), Some(None));
        assert_eq!(it.transport(), Some(&b"TCP"[..]));
        assert_eq!(it.headers, b"subject=x&a=b@c");
        assert_eq!(it.host_ip(), Some("2001:db8::1".parse().expect("address")));
        let tel = uri("tel:+44-20-7946-0018;phone-context=x");
        assert_eq!(tel.user, Some(&b"+44-20-7946-0018"[..]));
        assert_eq!(uri("urn:service:sos").scheme, Scheme::Other);
    }

    #[test]
    fn what_is_broken_is_refused() {
        for bad in [
            "",
            "sip:",
            "sip:@x",
            "sip:a@",
            "sip:a@x:0",
            "sip:a@x:65536",
            "sip:a@x:",
            "sip:a@[::1",
            "sip:a@[zz]",
            "sip:a b@x",
            "sip:a@x\r\nEvil: 1",
            "a@x",
            "1ip:a@x",
            "tel:",
            "tel:abc xyz",
            "sip:a@x y",
            "sip:a@ex<ample",
        ] {
            assert!(Uri::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn equal_as_rfc_3261_19_1_4_says() {
        for (a, b) in [
            (
                "sip:%61lice@atlanta.com;transport=TCP",
                "sip:alice@AtLanTa.CoM;Transport=tcp",
            ),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            (
                "sip:carol@chicago.com;newparam=5",
                "sip:carol@chicago.com;security=on",
            ),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(uri(a).same_as(&uri(b)), "{a} = {b}");
        }
        for (a, b) in [
            (
                "SIP:ALICE@AtLanTa.CoM;Transport=udp",
                "sip:alice@AtLanTa.CoM;Transport=UDP",
            ),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            (
                "sip:bob@biloxi.com",
                "sip:bob@biloxi.com:6000;transport=tcp",
            ),
            (
                "sip:carol@chicago.com",
                "sip:carol@chicago.com?Subject=next%20meeting",
            ),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            (
                "sip:carol@chicago.com;security=on",
                "sip:carol@chicago.com;security=off",
            ),
        ] {
            assert!(!uri(a).same_as(&uri(b)), "{a} != {b}");
        }
    }

    #[test]
    fn a_uri_is_the_same_as_itself_whatever_it_repeats() {
        let repeated = uri("sip:a@x;lr=1;lr;transport=tcp;transport=udp");
        assert!(repeated.same_as(&repeated));
        assert!(repeated.same_as(&uri("sip:a@x;transport=tcp")));
        assert!(!repeated.same_as(&uri("sip:a@x;transport=udp")));
        let many = |from: u32| {
            let params: String = (from..from + 100).map(|n| format!(";p{n}")).collect();
            format!("sip:a@x{params}")
        };
        assert!(uri(&many(0)).same_as(&uri(&many(0))));
        assert!(!uri(&many(0)).same_as(&uri(&many(1))));
    }

    #[test]
    fn user_text_never_holds_control_characters() {
        assert_eq!(uri("sip:j%40s0n@x").user_text().as_deref(), Some("j@s0n"));
        assert_eq!(uri("sip:a%0d%0ab@x").user_text(), None);
        assert_eq!(uri("sip:a%00b@x").user_text(), None);
    }
}
