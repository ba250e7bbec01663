//! Writes a session description line by line.

use std::net::IpAddr;

use bytes::Bytes;

use super::Direction;
use crate::base::digits::{push_ip, push_number};

/// Builds a description in the order of RFC 8866 §5. Values with control characters are cut at the first one.
pub struct Writer {
    text: String,
}

impl Writer {
    /// Begins with `v`, `o`, `s`, `c` and `t`. `version` rises by one with each changed description (RFC 3264 §8).
    pub fn new(session_id: u64, version: u64, address: IpAddr) -> Writer {
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        let mut text = String::with_capacity(384);
        text.push_str("v=0\r\no=- ");
        push_number(&mut text, session_id);
        text.push(' ');
        push_number(&mut text, version);
        let connection = text.len();
        text.push_str(" IN ");
        text.push_str(family);
        text.push(' ');
        push_ip(&mut text, address);
        text.push_str("\r\ns=-\r\nc=IN ");
        // the address again, behind "c=IN "
        let written = connection + " IN ".len()..text.len() - "\r\ns=-\r\nc=IN ".len();
        text.extend_from_within(written);
        text.push_str("\r\nt=0 0\r\n");
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
        self.push(" ");
        push_number(&mut self.text, port);
        self.push(" ");
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
    pub fn rtpmap(mut self, number: u8, name: &str, clock_hz: u32, channels: u8) -> Self {
        self.push("a=rtpmap:");
        push_number(&mut self.text, number);
        self.push(" ");
        self.push(clean(name));
        self.push("/");
        push_number(&mut self.text, clock_hz);
        if channels > 1 {
            self.push("/");
            push_number(&mut self.text, channels);
        }
        self.end()
    }

    /// `a=fmtp`.
    pub fn fmtp(mut self, number: u8, parameters: &str) -> Self {
        self.push("a=fmtp:");
        push_number(&mut self.text, number);
        self.push(" ");
        self.push(clean(parameters));
        self.end()
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
