//! Views of one media section: address, port, direction, formats and their attributes.
#![deny(clippy::indexing_slicing)]

use std::net::IpAddr;

use super::Direction;
use super::session::{Section, Session, attribute_value, decimal, words};

/// Where media goes, from a `c=` line (RFC 8866 §5.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connection<'a> {
    /// An address. `0.0.0.0` and `::` mean hold (RFC 3264 §8.4).
    Address(IpAddr),
    /// A host name, which RFC 8866 allows and which nobody should resolve for a call.
    Name(&'a [u8]),
}

impl<'a> Connection<'a> {
    /// Reads `IN IP4 192.0.2.1[/ttl[/count]]` and its IPv6 twin.
    pub fn parse(value: &'a [u8]) -> Option<Connection<'a>> {
        let mut words = words(value);
        let network = words.next()?;
        let family = words.next()?;
        let address = words.next()?;
        if !network.eq_ignore_ascii_case(b"IN") {
            return None;
        }
        let address = address.split(|byte| *byte == b'/').next()?;
        let text = std::str::from_utf8(address).ok()?;
        let parsed = text.parse::<IpAddr>().ok();
        match parsed {
            Some(ip) if family.eq_ignore_ascii_case(b"IP4") && ip.is_ipv4() => {
                Some(Connection::Address(ip))
            }
            Some(ip) if family.eq_ignore_ascii_case(b"IP6") && ip.is_ipv6() => {
                Some(Connection::Address(ip))
            }
            Some(_) => None,
            None if text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
                && text.bytes().any(|b| b.is_ascii_alphabetic()) =>
            {
                Some(Connection::Name(address))
            }
            None => None,
        }
    }
}

/// `a=rtpmap` (RFC 8866 §6.6): what a format number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtpMap<'a> {
    /// Payload number, 0–127.
    pub number: u8,
    /// Encoding name as written; compare without case.
    pub name: &'a str,
    /// RTP clock in hertz.
    pub clock_hz: u32,
    /// Channels, 1 when not said.
    pub channels: u8,
}

impl<'a> RtpMap<'a> {
    fn parse(value: &'a [u8]) -> Option<RtpMap<'a>> {
        let mut words = words(value);
        let number = decimal::<u8>(words.next()?).filter(|number| *number < 128)?;
        let encoding = std::str::from_utf8(words.next()?).ok()?;
        let mut parts = encoding.split('/');
        let name = parts.next().filter(|name| is_token(name.as_bytes()))?;
        let clock_hz = decimal(parts.next()?.as_bytes()).filter(|clock| *clock > 0)?;
        let channels = match parts.next() {
            Some(count) => decimal(count.as_bytes()).filter(|count| *count > 0)?,
            None => 1,
        };
        Some(RtpMap {
            number,
            name,
            clock_hz,
            channels,
        })
    }
}

/// `a=rtcp` (RFC 3605): where RTCP goes, when not to the port above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtcpAddress {
    /// Port.
    pub port: u16,
    /// Address, when it differs from the stream's.
    pub address: Option<IpAddr>,
}

/// One media section of a [`Session`].
#[derive(Clone, Copy, Debug)]
pub struct Media<'a> {
    session: &'a Session,
    section: Section,
}

impl<'a> Media<'a> {
    pub(super) fn new(session: &'a Session, section: Section) -> Self {
        Media { session, section }
    }

    /// Media type: `audio`, `video`, `text`, `image`, `application`, `message`.
    pub fn kind(&self) -> &'a [u8] {
        self.word(0)
    }

    /// Port; zero means refused or no longer wanted (RFC 3264 §6, §8.2).
    pub fn port(&self) -> u16 {
        self.section.port
    }

    /// Profile, as `RTP/AVP`.
    pub fn profile(&self) -> &'a [u8] {
        self.word(2)
    }

    /// Formats in the order of preference; for RTP these are payload numbers.
    pub fn formats(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        words(self.session.media_line(self.section)).skip(3)
    }

    /// Payload numbers among the formats, in order, without what is not a number of 0–127.
    pub fn payload_numbers(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.formats()
            .filter_map(decimal::<u8>)
            .filter(|number| *number < 128)
    }

    /// The stream's `c=` line, else the session's.
    pub fn connection(&self) -> Option<Connection<'a>> {
        let mut own = self
            .session
            .section_lines(self.section)
            .filter(|(letter, _)| *letter == b'c');
        match own.next() {
            Some((_, value)) => Connection::parse(value),
            None => self.session.connection(),
        }
    }

    /// Direction of the stream, else of the session, else `sendrecv`.
    pub fn direction(&self) -> Direction {
        let find = |(letter, value): (u8, &[u8])| {
            (letter == b'a')
                .then(|| Direction::parse(value.trim_ascii()))
                .flatten()
        };
        self.session
            .section_lines(self.section)
            .find_map(find)
            .or_else(|| self.session.session_lines().find_map(find))
            .unwrap_or_default()
    }

    /// Values of all attributes of that name in this section; a flag gives an empty value.
    pub fn attributes(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.session
            .section_lines(self.section)
            .filter(|(letter, _)| *letter == b'a')
            .filter_map(move |(_, value)| attribute_value(value, name))
    }

    /// Value of the first attribute of that name in this section.
    pub fn attribute(&self, name: &'a str) -> Option<&'a [u8]> {
        self.attributes(name).next()
    }

    /// The `a=rtpmap` of a payload number. Static numbers may have none.
    pub fn rtpmap(&self, number: u8) -> Option<RtpMap<'a>> {
        self.attributes("rtpmap")
            .filter_map(RtpMap::parse)
            .find(|map| map.number == number)
    }

    /// The parameters of `a=fmtp` of a payload number, when they are printable text.
    pub fn fmtp(&self, number: u8) -> Option<&'a str> {
        self.attributes("fmtp").find_map(|value| {
            let at = value.iter().position(|byte| *byte == b' ')?;
            if decimal::<u8>(value.get(..at)?)? != number {
                return None;
            }
            let text = std::str::from_utf8(value.get(at..)?).ok()?.trim();
            (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
        })
    }

    /// `a=ptime` in milliseconds, whole (some phones write `20.0`).
    pub fn ptime_ms(&self) -> Option<u16> {
        let value = self.attribute("ptime")?;
        let whole = value.split(|byte| *byte == b'.').next()?;
        decimal(whole).filter(|ms| *ms > 0)
    }

    /// `a=rtcp` (RFC 3605).
    pub fn rtcp(&self) -> Option<RtcpAddress> {
        let value = self.attribute("rtcp")?;
        let mut parts = words(value);
        let port = decimal(parts.next()?).filter(|port| *port > 0)?;
        let rest = value
            .iter()
            .position(|byte| *byte == b' ')
            .and_then(|at| value.get(at..));
        let address = match rest.and_then(Connection::parse) {
            Some(Connection::Address(ip)) => Some(ip),
            Some(Connection::Name(_)) | None => None,
        };
        Some(RtcpAddress { port, address })
    }

    fn word(&self, index: usize) -> &'a [u8] {
        words(self.session.media_line(self.section))
            .nth(index)
            .unwrap_or_default()
    }
}

/// A token of RFC 8866 §9, as far as encoding names need it.
fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(b))
}
