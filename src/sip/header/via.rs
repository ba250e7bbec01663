//! Via: the way back (RFC 3261 §20.42, RFC 3581).
#![deny(clippy::indexing_slicing)]

use std::net::IpAddr;

use super::params::Params;
use super::uri::host_port;
use crate::sip::ParseError;

/// One Via value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`, `WS`, …
    pub transport: &'a [u8],
    /// Host of sent-by; IPv6 without brackets.
    pub host: &'a [u8],
    /// Port of sent-by, if written.
    pub port: Option<u16>,
    /// Its parameters.
    pub params: Params<'a>,
    /// As written.
    pub raw: &'a [u8],
}

impl<'a> Via<'a> {
    /// Reads one value: `SIP/2.0/UDP host:port;params`, with white space where the grammar allows it.
    pub fn parse(raw: &'a [u8]) -> Result<Via<'a>, ParseError> {
        let bad = || ParseError::new("Via");
        let raw = raw.trim_ascii();
        let rest = match raw.strip_prefix(b"SIP/2.0/") {
            Some(rest) => rest,
            None => {
                let rest = strip_word(raw, b"SIP").ok_or_else(bad)?;
                let rest = rest.strip_prefix(b"/").ok_or_else(bad)?;
                let rest = strip_word(rest, b"2.0").ok_or_else(bad)?;
                rest.strip_prefix(b"/").ok_or_else(bad)?
            }
        };
        let rest = rest.trim_ascii_start();
        let end = rest
            .iter()
            .position(u8::is_ascii_whitespace)
            .ok_or_else(bad)?;
        let transport = rest.get(..end).ok_or_else(bad)?;
        if transport.is_empty() || !transport.iter().all(|&byte| super::lists::is_token(byte)) {
            return Err(bad());
        }
        let rest = rest.get(end..).ok_or_else(bad)?.trim_ascii_start();
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let (host, port) = host_port(rest.get(..end).ok_or_else(bad)?.trim_ascii())?;
        let params = Params::new(rest.get(end + 1..).unwrap_or_default());
        // Our `received` and `rport` would stand inside of the quotes, where nobody finds them.
        if !super::lists::closes(params.raw()) {
            return Err(ParseError::new("unclosed Via parameter"));
        }
        Ok(Via {
            transport,
            host,
            port,
            params,
            raw,
        })
    }

    /// The transaction's branch.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.params.value("branch")
    }

    /// The address that the request really came from, as a server noted it.
    pub fn received(&self) -> Option<IpAddr> {
        let text = std::str::from_utf8(self.params.value("received")?).ok()?;
        text.trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()
    }

    /// `rport`: asked for (`Some(None)`), or noted by a server (RFC 3581 §3).
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.get("rport").map(|value| {
            value
                .and_then(super::lists::number)
                .and_then(|port| u16::try_from(port).ok())
                .filter(|&port| port != 0)
        })
    }

    /// `alias`: the sender offers this connection for requests to it (RFC 5923 §8).
    pub fn has_alias(&self) -> bool {
        self.params.get("alias").is_some()
    }

    /// The host as an address, if it is one.
    pub fn host_ip(&self) -> Option<IpAddr> {
        std::str::from_utf8(self.host).ok()?.parse().ok()
    }
}

fn strip_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let text = text.trim_ascii_start();
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word)
        .then(|| text.get(word.len()..))
        .flatten()
        .map(<[u8]>::trim_ascii_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_ipv6() {
        let via = Via::parse(
            b"SIP / 2.0 / UDP  [2001:db8::9]:5061 ;branch=z9hG4bKx;rport;received=192.0.2.1",
        )
        .expect("parses");
        assert_eq!(via.transport, b"UDP");
        assert_eq!(via.host, b"2001:db8::9");
        assert_eq!(via.port, Some(5061));
        assert_eq!(via.branch(), Some(&b"z9hG4bKx"[..]));
        assert_eq!(via.rport(), Some(None));
        assert_eq!(via.received(), Some("192.0.2.1".parse().expect("address")));
        let via = Via::parse(b"SIP/2.0/TCP host;rport=5062").expect("parses");
        assert_eq!(via.rport(), Some(Some(5062)));
    }

    #[test]
    fn what_is_broken_is_refused() {
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/3.0/UDP h",
            "HTTP/2.0/UDP h",
            "SIP/2.0/ h",
            "SIP/2.0/UDP h:0",
            "SIP/2.0/UDP h x",
            "SIP/2.0/U\"P h",
            "SIP/2.0/UDP h;rport;x=\"open",
            "SIP/2.0/UDP h;rport;x=<open",
        ] {
            assert!(Via::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
