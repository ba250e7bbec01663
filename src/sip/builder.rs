//! Writes new messages straight into one buffer, noting the places of headers on the way.
#![deny(clippy::indexing_slicing)]

use std::fmt::{self, Write as _};

use bytes::{Bytes, BytesMut};

use super::message::{Line, Message, Parts, Span, Start};
use super::parse::trimmed;
use super::{Method, Name, Salvaged, StatusCode};

/// Room for a usual response, so that it is written without growing.
const ROOM_BYTES: usize = 1024;

/// A message being written. Every step returns the builder; [`Builder::finish`] or [`Builder::body`] ends it.
///
/// Values are given without line ends: CR, LF and NUL in them are written as spaces, so that no value from a peer can make
/// another header (RFC 3261 §7.3.1). What was built is not checked against the mandatory headers: that is its author's duty.
#[derive(Debug)]
pub struct Builder {
    buffer: BytesMut,
    message: Parts,
    /// Tags, CSeq and method of the message are known, from the request that it answers: nothing is left to be looked up at its end.
    noted: bool,
}

impl Builder {
    /// A request line. The headers are the caller's, Via first.
    pub fn request(method: &Method, uri: &[u8]) -> Builder {
        let mut builder = Builder::empty();
        builder.put(method.as_bytes());
        builder.buffer.extend_from_slice(b" ");
        let uri = builder.put(uri);
        builder.buffer.extend_from_slice(b" SIP/2.0\r\n");
        builder.message.start = Start::Request { uri };
        builder.message.method = method.clone();
        builder
    }

    /// A response to `request` with its Vias, From, To, Call-ID and CSeq (RFC 3261 §8.2.6.2). An empty `reason` stands for
    /// the default phrase of the code.
    pub fn response(request: &Message, code: StatusCode, reason: &str) -> Builder {
        let mut builder = Builder::status_line(code, reason)
            .copy(request, Name::Via)
            .copy(request, Name::From)
            .copy(request, Name::To)
            .copy(request, Name::CallId)
            .copy(request, Name::CSeq);
        builder.message.method = request.method().clone();
        builder.message.cseq_number = request.cseq_number;
        builder.message.from_tag = builder.copied(request, Name::From, request.from_tag);
        builder.message.to_tag = builder.copied(request, Name::To, request.to_tag);
        builder.noted = true;
        builder
    }

    /// Where a part of the first such header of `request` stands in the copy of it.
    fn copied(&self, request: &Message, name: Name, part: Option<Span>) -> Option<Span> {
        let there = request.span_at(request.first.of(name)).start;
        let here = self.message.span_at(self.message.first.of(name)).start;
        part.map(|part| Span {
            start: here + part.start.saturating_sub(there),
            end: here + part.end.saturating_sub(there),
        })
    }

    /// The response to a request that could not be read.
    pub fn refusal(salvaged: &Salvaged, code: StatusCode, reason: &str) -> Builder {
        let builder = salvaged
            .vias
            .iter()
            .fold(Builder::status_line(code, reason), |builder, via| {
                builder.header(Name::Via, via)
            });
        builder
            .header(Name::From, &salvaged.from)
            .header(Name::To, &salvaged.to)
            .header(Name::CallId, &salvaged.call_id)
            .header(Name::CSeq, &salvaged.cseq)
    }

    /// Gives To the tag if it has none (RFC 3261 §8.2.6.2). To must be there.
    #[must_use]
    pub fn to_tag(mut self, tag: &[u8]) -> Self {
        let index = usize::from(self.message.first.of(Name::To));
        let Some(line) = self.message.lines.get(index) else {
            return self;
        };
        let has_tag = if self.noted {
            self.message.to_tag.is_some()
        } else {
            super::NameAddr::parse(line.value.get(&self.buffer))
                .is_ok_and(|address| address.params.get("tag").is_some())
        };
        if has_tag {
            return self;
        }
        // What follows To moves behind the tag; directly after `response` that is Call-ID and CSeq.
        let end = line.value.end as usize;
        let before = self.buffer.len();
        self.buffer.extend_from_slice(b";tag=");
        let tag = self.put(tag);
        let added = self.buffer.len() - before;
        if let Some(tail) = self.buffer.get_mut(end..) {
            tail.rotate_right(added);
        }
        let added = added as u32;
        for (at, line) in self.message.lines.iter_mut().enumerate().skip(index) {
            if at > index {
                line.start += added;
                line.value.start += added;
            }
            line.value.end += added;
        }
        let moved = |at: u32| (end + at as usize - before) as u32;
        self.message.to_tag = Some(Span {
            start: moved(tag.start),
            end: moved(tag.end),
        });
        self
    }

    /// Adds a header. [`Name::Other`] has no text: use [`Builder::raw_header`].
    #[must_use]
    pub fn header(mut self, name: Name, value: impl AsRef<[u8]>) -> Self {
        debug_assert!(name != Name::Other, "a header without a name");
        self.line(name, name.as_str().as_bytes(), |builder| {
            builder.put(value.as_ref());
        });
        self
    }

    /// Adds a header whose value is these parts, one behind the other.
    #[must_use]
    pub fn header_parts(mut self, name: Name, parts: &[&[u8]]) -> Self {
        debug_assert!(name != Name::Other, "a header without a name");
        self.line(name, name.as_str().as_bytes(), |builder| {
            for part in parts {
                builder.put(part);
            }
        });
        self
    }

    /// Adds a header that is a number.
    #[must_use]
    pub fn number(self, name: Name, number: impl itoa::Integer) -> Self {
        self.header(name, itoa::Buffer::new().format(number))
    }

    /// Adds CSeq.
    #[must_use]
    pub fn cseq(self, number: u32, method: &Method) -> Self {
        let mut digits = itoa::Buffer::new();
        let parts = [digits.format(number).as_bytes(), b" ", method.as_bytes()];
        self.header_parts(Name::CSeq, &parts)
    }

    /// Adds a header whose value is formatted in place: `header_fmt(Name::Expires, format_args!("{seconds}"))`.
    #[must_use]
    pub fn header_fmt(mut self, name: Name, value: fmt::Arguments<'_>) -> Self {
        debug_assert!(name != Name::Other, "a header without a name");
        self.line(name, name.as_str().as_bytes(), |builder| {
            // Writing into a growing buffer fails only if a Display implementation says so; then the value ends there.
            let _ = Clean(&mut builder.buffer).write_fmt(value);
        });
        self
    }

    /// Adds a header by its written name, known or not. Bytes that no name may have are left out.
    #[must_use]
    pub fn raw_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let written: Vec<u8> = name
            .bytes()
            .filter(|&byte| super::method::is_token_byte(byte))
            .collect();
        if !written.is_empty() {
            self.line(Name::parse(&written), &written, |builder| {
                builder.put(value.as_ref());
            });
        }
        self
    }

    /// Copies every line of that header, in order. Not for [`Name::Other`].
    #[must_use]
    pub fn copy(mut self, from: &Message, name: Name) -> Self {
        for value in from.headers(name) {
            self = self.header(name, value);
        }
        self
    }

    /// Adds our Via; it must come before the copied ones. `sent_by` is `host[:port]`, IPv6 in brackets; `rport` asks the
    /// next hop to answer to the port that it saw (RFC 3581 §3).
    #[must_use]
    pub fn via(
        self,
        transport: &str,
        sent_by: &str,
        branch: impl AsRef<[u8]>,
        rport: bool,
    ) -> Self {
        let rport = if rport { ";rport" } else { "" };
        self.header_parts(
            Name::Via,
            &[
                b"SIP/2.0/",
                transport.as_bytes(),
                b" ",
                sent_by.as_bytes(),
                b";branch=",
                branch.as_ref(),
                rport.as_bytes(),
            ],
        )
    }

    /// Ends the message with a body.
    #[must_use]
    pub fn body(self, content_type: &str, body: &[u8]) -> Message {
        self.header(Name::ContentType, content_type).end(body)
    }

    /// Ends the message without a body.
    #[must_use]
    pub fn finish(self) -> Message {
        self.end(&[])
    }

    fn end(mut self, body: &[u8]) -> Message {
        self = self.number(Name::ContentLength, body.len());
        self.buffer.extend_from_slice(b"\r\n");
        let mut message = self.message;
        message.body = self.buffer.len() as u32;
        self.buffer.extend_from_slice(body);
        message.bytes = self.buffer.freeze();
        if !self.noted {
            // The check also fills what the accessors need; a message that lacks a mandatory header answers them with nothing.
            let _ = message.check();
        }
        message.into()
    }

    fn empty() -> Builder {
        Builder {
            buffer: BytesMut::with_capacity(ROOM_BYTES),
            message: Parts::empty(),
            noted: false,
        }
    }

    fn status_line(code: StatusCode, reason: &str) -> Builder {
        let mut builder = Builder::empty();
        let reason = if reason.is_empty() {
            code.default_reason()
        } else {
            reason
        };
        builder.buffer.extend_from_slice(b"SIP/2.0 ");
        let mut digits = itoa::Buffer::new();
        builder
            .buffer
            .extend_from_slice(digits.format(code.as_u16()).as_bytes());
        builder.buffer.extend_from_slice(b" ");
        let reason = builder.put(reason.as_bytes());
        builder.buffer.extend_from_slice(b"\r\n");
        builder.message.start = Start::Response {
            status: code,
            reason,
        };
        builder
    }

    /// One header line; `write` puts the value.
    fn line(&mut self, name: Name, written: &[u8], write: impl FnOnce(&mut Builder)) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(written);
        self.buffer.extend_from_slice(b": ");
        let value = self.buffer.len();
        write(self);
        let value = trimmed(&self.buffer, value, self.buffer.len());
        self.buffer.extend_from_slice(b"\r\n");
        self.message.push_line(Line {
            start: start as u32,
            value,
            name_length: u16::try_from(written.len()).unwrap_or(u16::MAX),
            name,
            folded: false,
        });
    }

    /// Writes bytes with CR, LF and NUL as spaces, and says where they stand.
    fn put(&mut self, value: &[u8]) -> Span {
        let start = self.buffer.len();
        put_clean(&mut self.buffer, value);
        Span::new(start, self.buffer.len())
    }
}

/// Formats into a buffer with CR, LF and NUL as spaces.
struct Clean<'a>(&'a mut BytesMut);

impl fmt::Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        put_clean(self.0, text.as_bytes());
        Ok(())
    }
}

pub(super) fn put_clean(buffer: &mut BytesMut, value: &[u8]) {
    let start = buffer.len();
    buffer.extend_from_slice(value);
    if memchr::memchr3(b'\r', b'\n', 0, value).is_some() {
        for byte in buffer.get_mut(start..).into_iter().flatten() {
            if matches!(byte, b'\r' | b'\n' | 0) {
                *byte = b' ';
            }
        }
    }
}

impl From<Builder> for Bytes {
    fn from(builder: Builder) -> Bytes {
        builder.finish().bytes().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Message {
        Builder::request(&Method::Invite, b"sip:a@example.com")
            .via("UDP", "[::1]:5060", "z9hG4bKx", true)
            .raw_header("v", "SIP/2.0/TCP 192.0.2.7")
            .header(Name::MaxForwards, "70")
            .header(Name::From, "<sip:b@example.com>;tag=f")
            .header(Name::To, "\"A\" <sip:a@example.com>")
            .header(Name::CallId, "c@x")
            .header_fmt(Name::CSeq, format_args!("{} {}", 2, Method::Invite))
            .body("application/sdp", b"v=0\r\n")
    }

    fn assert_reads_back(built: &Message) -> Message {
        let read = Message::parse(built.bytes().clone()).expect("we write what we read");
        assert_eq!(read.bytes(), built.bytes());
        assert!(read.each_header().eq(built.each_header()));
        assert_eq!(read.body(), built.body());
        assert_eq!(read.uri_bytes(), built.uri_bytes());
        assert_eq!(read.reason_phrase(), built.reason_phrase());
        assert_eq!(
            (read.method(), read.status(), read.cseq()),
            (built.method(), built.status(), built.cseq())
        );
        assert_eq!(
            (read.from_tag(), read.to_tag(), read.call_id()),
            (built.from_tag(), built.to_tag(), built.call_id())
        );
        read
    }

    #[test]
    fn a_built_request_is_what_parsing_it_gives() {
        let m = assert_reads_back(&request());
        assert_eq!(m.top_via().host, b"::1");
        assert_eq!(m.body(), b"v=0\r\n");
        assert!(m.bytes().ends_with(b"Content-Length: 5\r\n\r\nv=0\r\n"));
    }

    #[test]
    fn a_response_repeats_what_it_must_and_tags_to_once() {
        let m = Builder::response(&request(), StatusCode::RINGING, "")
            .to_tag(b"t1")
            .to_tag(b"t2")
            .header(Name::Contact, "<sip:a@192.0.2.2>")
            .finish();
        let read = assert_reads_back(&m);
        assert_eq!(read.reason_phrase(), b"Ringing");
        assert_eq!(read.to_tag(), Some(&b"t1"[..]));
        assert_eq!(read.vias().count(), 2);
        assert_eq!(read.call_id(), b"c@x");
        assert_eq!(read.method(), &Method::Invite);
    }

    #[test]
    fn line_ends_in_values_never_make_a_header() {
        let m = Builder::response(&request(), StatusCode::OK, "fine\r\nX: y")
            .header(Name::Subject, "a\r\nEvil: 1\0")
            .header_fmt(Name::Reason, format_args!("{}", "b\n\nc"))
            .raw_header("X-\r\nEvil", "d")
            .raw_header("\r\n", "e")
            .finish();
        let read = assert_reads_back(&m);
        assert_eq!(read.header_by_name("Evil").count(), 0);
        assert_eq!(read.header_by_name("X-Evil").count(), 1);
        assert_eq!(read.header(Name::Subject), Some(&b"a  Evil: 1"[..]));
        assert_eq!(read.reason_phrase(), b"fine  X: y");
    }

    #[test]
    fn empty_and_blank_values_are_written_and_read_alike() {
        let m = Builder::response(&request(), StatusCode::OK, "")
            .header(Name::Supported, "")
            .header(Name::Subject, "   ")
            .header(Name::Allow, " INVITE ")
            .finish();
        let read = assert_reads_back(&m);
        assert_eq!(read.header(Name::Subject), Some(&b""[..]));
        assert_eq!(read.header(Name::Allow), Some(&b"INVITE"[..]));
    }

    #[test]
    fn a_refusal_answers_what_could_not_be_read() {
        let broken = request()
            .to_string()
            .replace("CSeq: 2 INVITE", "CSeq: 2 BYE");
        let salvaged = Message::salvage(&Bytes::from(broken)).expect("answerable");
        let m = Builder::refusal(&salvaged, StatusCode::BAD_REQUEST, "CSeq method")
            .to_tag(b"t")
            .finish();
        let read = assert_reads_back(&m);
        assert_eq!(read.vias().count(), 2);
        assert_eq!(read.to_tag(), Some(&b"t"[..]));
    }

    #[test]
    fn an_unfinished_message_of_our_own_does_not_panic() {
        let m = Builder::request(&Method::Ack, b"sip:x").finish();
        assert_eq!(m.cseq().method, Method::Ack);
        assert_eq!(m.from_tag(), None);
    }
}
