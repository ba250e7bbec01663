//! Cuts a connection's bytes into messages by Content-Length, and finds keep-alives between them.
#![deny(clippy::indexing_slicing)]

use bytes::{Buf, Bytes, BytesMut};

use super::Name;
use super::parse::number;
use super::salvage::Lines;
use crate::base::limits::MESSAGE_BYTES_MAX;

/// Longest start line and headers together, in bytes. As long as a whole datagram may be; a body shares what is left of
/// `MESSAGE_BYTES_MAX`.
pub const HEAD_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// A message longer than this gets memory for the longest at once.
const STEP: usize = 32 * 1024;

/// What a connection brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamItem {
    /// One whole message, to be read by [`Message::parse`](super::Message::parse).
    Message(Bytes),
    /// Double CRLF: the peer asks whether we live; answer with one CRLF (RFC 5626 §4.4.1).
    Ping,
    /// One CRLF between messages: the answer to our ping, or a line end too many.
    Pong,
}

/// Why a connection cannot be cut any further: there is no telling where the next message begins, so it has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameError {
    /// Headers longer than `HEAD_BYTES_MAX`, or not ending.
    #[error("headers longer than {HEAD_BYTES_MAX} bytes")]
    HeadTooLarge,
    /// Content-Length promises a message larger than `MESSAGE_BYTES_MAX`.
    #[error("message larger than {MESSAGE_BYTES_MAX} bytes")]
    MessageTooLarge,
    /// Content-Length is no number, or there are two that differ.
    #[error("unreadable Content-Length")]
    ContentLength,
}

/// The framing of one connection's incoming bytes (RFC 3261 §18.3). Once an error was returned it is returned for ever.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Bytes in which the end of the head was already sought in vain.
    searched: usize,
    /// Length of the whole message, once its head is complete.
    whole: Option<usize>,
    /// Whether the single CR LF at the front was already reported and waits for its second half.
    half_ping: bool,
    failed: Option<FrameError>,
}

impl StreamFramer {
    /// For a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read from the connection.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let length = self.buffer.len() + bytes.len();
        if length > self.buffer.capacity() && length > STEP {
            // Doubling would take twice of what a message may have.
            let mut larger = BytesMut::with_capacity(length.max(MESSAGE_BYTES_MAX + 1));
            larger.extend_from_slice(&self.buffer);
            self.buffer = larger;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes to be pushed at most before [`next`](Self::next) is asked again, so that the memory of a connection is that of one message.
    pub fn room(&self) -> usize {
        (MESSAGE_BYTES_MAX + 1)
            .saturating_sub(self.buffer.len())
            .max(1)
    }

    /// Bytes that wait for the rest of their message.
    pub fn waiting_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The next message or keep-alive; `None` until more bytes come. Call it until `None` after every push.
    ///
    /// # Errors
    /// The connection has to be closed.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at the first None"
    )]
    pub fn next(&mut self) -> Result<Option<StreamItem>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let item = self.cut();
        if let Err(error) = item {
            self.failed = Some(error);
            self.buffer = BytesMut::new();
        }
        item
    }

    fn cut(&mut self) -> Result<Option<StreamItem>, FrameError> {
        if self.whole.is_none() {
            if let Some(item) = self.keep_alive() {
                return Ok(Some(item));
            }
            let Some(head) = self.head_end()? else {
                return Ok(None);
            };
            let body = body_length(self.buffer.get(..head).unwrap_or_default())?;
            let whole = head
                .checked_add(body)
                .filter(|&whole| whole <= MESSAGE_BYTES_MAX)
                .ok_or(FrameError::MessageTooLarge)?;
            self.whole = Some(whole);
        }
        let Some(whole) = self.whole.filter(|&whole| whole <= self.buffer.len()) else {
            return Ok(None);
        };
        self.whole = None;
        self.searched = 0;
        self.half_ping = false;
        Ok(Some(StreamItem::Message(
            self.buffer.split_to(whole).freeze(),
        )))
    }

    /// Line ends before a message. A lone CRLF is reported as pong at once, and as ping if its second half comes directly
    /// behind it: a peer waits for our pong, while nobody is hurt by one that was not expected.
    fn keep_alive(&mut self) -> Option<StreamItem> {
        while self.buffer.first() == Some(&b'\n') {
            self.buffer.advance(1);
        }
        if !self.buffer.starts_with(b"\r\n") {
            return None;
        }
        self.searched = 0;
        if self.half_ping {
            self.buffer.advance(2);
            self.half_ping = false;
            return Some(StreamItem::Ping);
        }
        if self.buffer.starts_with(b"\r\n\r\n") {
            self.buffer.advance(4);
            return Some(StreamItem::Ping);
        }
        self.buffer.advance(2);
        self.half_ping = true;
        Some(StreamItem::Pong)
    }

    /// Where the first empty line ends.
    fn head_end(&mut self) -> Result<Option<usize>, FrameError> {
        let mut from = self.searched;
        while let Some(offset) = memchr::memchr(b'\n', self.buffer.get(from..).unwrap_or_default())
        {
            let after = from + offset + 1;
            let end = match self.buffer.get(after..).unwrap_or_default() {
                [b'\n', ..] => after + 1,
                [b'\r', b'\n', ..] => after + 2,
                // The line end may be cut in two: look at it again when there is more.
                [] | [b'\r'] => {
                    from = after - 1;
                    break;
                }
                _ => {
                    from = after;
                    continue;
                }
            };
            return if end > HEAD_BYTES_MAX {
                Err(FrameError::HeadTooLarge)
            } else {
                Ok(Some(end))
            };
        }
        self.searched = match self.buffer.get(from) {
            Some(b'\n') => from,
            _ => self.buffer.len(),
        };
        if self.buffer.len() > HEAD_BYTES_MAX {
            return Err(FrameError::HeadTooLarge);
        }
        Ok(None)
    }
}

/// What the head says about the length of the body in bytes; without Content-Length there is none (RFC 3261 §18.3).
fn body_length(head: &[u8]) -> Result<usize, FrameError> {
    let mut found = None;
    for line in (Lines { text: head, at: 0 }).skip(1) {
        let Some((name, value)) =
            memchr::memchr(b':', line).and_then(|colon| line.split_at_checked(colon))
        else {
            continue;
        };
        if Name::parse(name.trim_ascii()) != Name::ContentLength {
            continue;
        }
        let digits = value.get(1..).unwrap_or_default().trim_ascii();
        let length = number(digits).ok_or(FrameError::ContentLength)?;
        if found.is_some_and(|other| other != length) {
            return Err(FrameError::ContentLength);
        }
        found = Some(length);
    }
    usize::try_from(found.unwrap_or(0)).map_err(|_| FrameError::MessageTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Message;

    const ONE: &str = "OPTIONS sip:x SIP/2.0\r\nX: \r\n y\r\nl:\r\n 3\r\n\r\nabc";
    const TWO: &str = "OPTIONS sip:y SIP/2.0\r\nX: 1\r\n\r\n";

    fn drain(framer: &mut StreamFramer) -> Result<Vec<StreamItem>, FrameError> {
        let mut items = Vec::new();
        while let Some(item) = framer.next()? {
            items.push(item);
        }
        Ok(items)
    }

    fn message(text: &str) -> StreamItem {
        StreamItem::Message(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn all(text: &str) -> Result<Vec<StreamItem>, FrameError> {
        let mut framer = StreamFramer::new();
        framer.push(text.as_bytes());
        drain(&mut framer)
    }

    #[test]
    fn messages_come_out_whole_however_the_stream_was_cut() {
        let stream = format!("{ONE}{TWO}{ONE}");
        let expected = vec![message(ONE), message(TWO), message(ONE)];
        for size in 1..stream.len() {
            let mut framer = StreamFramer::new();
            let mut items = Vec::new();
            for chunk in stream.as_bytes().chunks(size) {
                framer.push(chunk);
                items.extend(drain(&mut framer).expect("well framed"));
            }
            assert_eq!(items, expected, "in pieces of {size}");
            assert_eq!(framer.waiting_bytes(), 0);
        }
    }

    #[test]
    fn keep_alives_are_told_apart() {
        assert_eq!(
            all(&format!("\r\n\r\n{ONE}\r\n\r\n")).expect("well framed"),
            [StreamItem::Ping, message(ONE), StreamItem::Ping]
        );
        assert_eq!(all("\r\n").expect("well framed"), [StreamItem::Pong]);
        let mut framer = StreamFramer::new();
        framer.push(b"\r\n\r");
        assert_eq!(drain(&mut framer).expect("so far"), [StreamItem::Pong]);
        framer.push(b"\n");
        assert_eq!(drain(&mut framer).expect("whole"), [StreamItem::Ping]);
        framer.push(b"\r");
        assert_eq!(drain(&mut framer).expect("so far"), []);
        framer.push(b"\n\r\n");
        assert_eq!(drain(&mut framer).expect("whole"), [StreamItem::Ping]);
    }

    #[test]
    fn unreadable_lengths_end_the_connection_for_good() {
        for length in ["x", "-1", "", "1 1", "4294967296"] {
            let text = TWO.replace("X: 1", &format!("Content-Length: {length}"));
            assert_eq!(all(&text), Err(FrameError::ContentLength), "{length}");
        }
        let text = TWO.replace("X: 1", "Content-Length: 1\r\nl: 2");
        assert_eq!(all(&text), Err(FrameError::ContentLength));
        let mut framer = StreamFramer::new();
        framer.push(text.as_bytes());
        assert!(framer.next().is_err());
        framer.push(TWO.as_bytes());
        assert_eq!(framer.next(), Err(FrameError::ContentLength));
        assert_eq!(framer.waiting_bytes(), 0);
    }

    #[test]
    fn a_connection_keeps_no_more_than_the_longest_message() {
        for chunk in [700, 1448, 5_000, 16_384] {
            let mut framer = StreamFramer::new();
            framer.push(b"OPTIONS sip:x SIP/2.0\r\n");
            while framer.next() == Ok(None) {
                framer.push(&vec![b'x'; chunk.min(framer.room())]);
                let kept = framer.buffer.capacity();
                assert!(kept <= MESSAGE_BYTES_MAX + 1, "{kept} in pieces of {chunk}");
            }
            assert_eq!(framer.next(), Err(FrameError::HeadTooLarge));
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let text = TWO.replace("X: 1", "Content-Length: 65536");
        assert_eq!(all(&text), Err(FrameError::MessageTooLarge));
        assert_eq!(
            all(&"A: b\r\n".repeat(20_000)),
            Err(FrameError::HeadTooLarge)
        );
        assert_eq!(all(&"x".repeat(70_000)), Err(FrameError::HeadTooLarge));
        assert_eq!(
            all(&format!("{}\r\n\r\n", "x".repeat(70_000))),
            Err(FrameError::HeadTooLarge)
        );
    }

    #[test]
    fn framer_and_parser_agree_on_folded_lines() {
        let hidden = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@x>\r\nTo: <sip:a@x>\r\n\
            Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nX: 1\r\n  \r\n Content-Length: 3\r\n\r\n";
        let items = all(&format!("{hidden}abc")).expect("well framed");
        assert_eq!(items, [message(hidden)]);
        let read = Message::parse(Bytes::copy_from_slice(hidden.as_bytes())).expect("reads");
        assert_eq!(read.header(Name::ContentLength), None);
    }

    #[test]
    fn lone_line_feeds_are_framed_too() {
        let text = ONE.replace("\r\n", "\n");
        assert_eq!(all(&text).expect("well framed"), [message(&text)]);
    }
}
