//! Writes a session description line by line.

use std::fmt::Write;
use std::net::IpAddr;

use bytes::Bytes;

use super::Direction;

/// Builds a description in the order of RFC 8866 §5. Values with control characters are cut at the first one.
pub struct Writer {
    text: String,
}

impl Writer {
    /// Begins with `v`, `o`, `s`, `c` and `t`. `version` rises by one with each changed description (RFC 3264 §8).
    pub fn new(session_id: u64, version: u64, address: IpAddr) -> Writer {
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        let mut text = String::with_capacity(384);
        let written = write!(
            text,
            "v=0\r\no=- {session_id} {version} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n"
        );
        debug_assert!(written.is_ok());
        Writer { text }
    }

    /// A media line. Formats must be tokens.
    pub fn media<'a>(
        mut self,
        kind: &str,
        port: u16,
        profile: &str,
        formats: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.push("m=");
        self.push(clean(kind));
        let written = write!(self.text, " {port} ");
        debug_assert!(written.is_ok());
        self.push(clean(profile));
        for format in formats {
            self.push(" ");
            self.push(clean(format));
        }
        self.end()
    }

    /// `a=name:value`.
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.push("a=");
        self.push(clean(name));
        self.push(":");
        self.push(clean(value));
        self.end()
    }

    /// `a=rtpmap`; channels are written when there is more than one.
    pub fn rtpmap(self, number: u8, name: &str, clock_hz: u32, channels: u8) -> Self {
        let name = clean(name);
        if channels > 1 {
            self.attribute("rtpmap", &format!("{number} {name}/{clock_hz}/{channels}"))
        } else {
            self.attribute("rtpmap", &format!("{number} {name}/{clock_hz}"))
        }
    }

    /// `a=fmtp`.
    pub fn fmtp(self, number: u8, parameters: &str) -> Self {
        let parameters = clean(parameters);
        self.attribute("fmtp", &format!("{number} {parameters}"))
    }

    /// The direction attribute.
    pub fn direction(mut self, direction: Direction) -> Self {
        self.push("a=");
        self.push(direction.as_str());
        self.end()
    }

    /// The finished description.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.text)
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn end(mut self) -> Self {
        self.push("\r\n");
        self
    }
}

/// Up to the first control character: a value can never open a line of its own.
fn clean(value: &str) -> &str {
    value.split(char::is_control).next().unwrap_or_default()
}
