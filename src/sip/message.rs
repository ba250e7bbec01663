//! A parsed message: its buffer and the places of its parts in it.
#![deny(clippy::indexing_slicing)]

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Method, Name, StatusCode};

/// A range of the buffer. Offsets fit 32 bits because a message fits `base::limits::MESSAGE_BYTES_MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// From offsets in a buffer whose length was checked.
    pub(super) fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Where `part`, a slice of `whole`, stands in it.
    pub(super) fn of(whole: &[u8], part: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        Span::new(start, start + part.len())
    }

    pub(super) fn get(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// Header fields for which there is room in the message itself. Messages are kept for half a minute, so that each byte of theirs is cold
/// memory when it is written: more room than most need costs more than the allocation of those that need more.
const LINES_INLINE: usize = 16;

/// One header field: sixteen bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) start: u32,
    pub(super) value: Span,
    pub(super) name_length: u16,
    pub(super) name: Name,
    /// The value has line ends in it.
    pub(super) folded: bool,
}

impl Line {
    fn name_as_written(self, bytes: &[u8]) -> &[u8] {
        Span {
            start: self.start,
            end: self.start + u32::from(self.name_length),
        }
        .get(bytes)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    Request { uri: Span },
    Response { status: StatusCode, reason: Span },
}

/// Indices of the first lines of the headers that every message has, by [`Name`]: those that stand first in its table.
#[derive(Clone, Copy, Debug)]
pub(super) struct First([u16; FIRST_NAMES]);

const FIRST_NAMES: usize = Name::ContentLength as usize + 1;

/// The index of a header that is not there.
pub(super) const NOWHERE: u16 = u16::MAX;

impl First {
    pub(super) const NONE: First = First([NOWHERE; FIRST_NAMES]);

    /// The index of the first line of that header, if it is one of those kept here.
    #[inline]
    pub(super) fn of(&self, name: Name) -> u16 {
        self.0.get(name as usize).copied().unwrap_or(NOWHERE)
    }
}

/// A SIP request or response (RFC 3261 §7).
///
/// Owns one buffer; header values are slices of it, parsed when asked for. [`Message::parse`] guarantees that top Via, From,
/// To, Call-ID and CSeq exist and are well formed, so their accessors return plain values. A clone shares the buffer.
///
/// Messages go through many hands and are kept by several (a transaction, a leg, the wire), so that a `Message` is only a share of
/// its [`Parts`]: moving or cloning it costs nothing.
#[derive(Clone)]
pub struct Message(Arc<Parts>);

/// What a [`Message`] is made of, and all that can be asked of it.
#[derive(Clone, Debug)]
pub struct Parts {
    /// As received or written, without leading line ends and without what follows the body.
    pub(super) bytes: Bytes,
    /// The same with line folding replaced by spaces, byte for byte, if there is any: spans fit both.
    pub(super) unfolded: Option<Bytes>,
    pub(super) start: Start,
    /// Of the request line; of CSeq in a response.
    pub(super) method: Method,
    pub(super) lines: SmallVec<[Line; LINES_INLINE]>,
    pub(super) body: u32,
    pub(super) first: First,
    pub(super) cseq_number: u32,
    pub(super) from_tag: Option<Span>,
    pub(super) to_tag: Option<Span>,
}

impl Message {
    /// A placeholder without content, for taking a message out of its place. Never send it.
    pub fn empty() -> Message {
        Parts::empty().into()
    }

    /// The status of a response.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status()
    }
}

impl From<Parts> for Message {
    fn from(parts: Parts) -> Message {
        Message(Arc::new(parts))
    }
}

impl Deref for Message {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Parts {
    pub(super) fn empty() -> Parts {
        Parts {
            bytes: Bytes::new(),
            unfolded: None,
            start: Start::Request {
                uri: Span::default(),
            },
            method: Method::Other(Bytes::new()),
            lines: SmallVec::new(),
            body: 0,
            first: First::NONE,
            cseq_number: 0,
            from_tag: None,
            to_tag: None,
        }
    }

    /// Whether this is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The method of a request; of a response, the method that CSeq says it answers.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The status of a response.
    pub fn status(&self) -> Option<StatusCode> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    /// The reason phrase of a response, as written; empty for a request.
    pub fn reason_phrase(&self) -> &[u8] {
        match self.start {
            Start::Request { .. } => &[],
            Start::Response { reason, .. } => reason.get(&self.bytes),
        }
    }

    /// The Request-URI as written; empty for a response.
    pub fn uri_bytes(&self) -> &[u8] {
        match self.start {
            Start::Request { uri } => uri.get(&self.bytes),
            Start::Response { .. } => &[],
        }
    }

    /// The whole message as received or written.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body; empty if there is none.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body as usize..).unwrap_or_default()
    }

    /// The body as a share of the buffer, without copying.
    pub fn body_bytes(&self) -> Bytes {
        self.bytes
            .slice((self.body as usize).min(self.bytes.len())..)
    }

    /// The value of the first such header, trimmed, folding read as spaces. Not for [`Name::Other`].
    pub fn header(&self, name: Name) -> Option<&[u8]> {
        self.headers(name).next()
    }

    /// The first such header with each fold collapsed to one space (RFC 3261 §7.3.1), for showing and copying.
    pub fn header_text(&self, name: Name) -> Option<Cow<'_, [u8]>> {
        let line = self.lines.iter().find(|line| line.name == name)?;
        let written = line.value.get(&self.bytes);
        Some(if line.folded {
            Cow::Owned(collapse(written))
        } else {
            Cow::Borrowed(written)
        })
    }

    /// The value of each such header line, in order. Comma-separated values stay together.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &[u8]> + '_ {
        let text = self.text();
        self.lines
            .iter()
            .filter(move |line| line.name == name && name != Name::Other)
            .map(move |line| line.value.get(text))
    }

    /// The value of each header line whose name is `name` in any case; known names are found in compact form too.
    pub fn header_by_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        let wanted = Name::parse(name.as_bytes());
        let text = self.text();
        self.lines
            .iter()
            .filter(move |line| {
                line.name == wanted
                    && (wanted != Name::Other
                        || line
                            .name_as_written(text)
                            .eq_ignore_ascii_case(name.as_bytes()))
            })
            .map(move |line| line.value.get(text))
    }

    /// Every header in order: its name, the name as written, and its value.
    pub fn each_header(&self) -> impl Iterator<Item = (Name, &[u8], &[u8])> + '_ {
        let text = self.text();
        self.lines
            .iter()
            .map(move |line| (line.name, line.name_as_written(text), line.value.get(text)))
    }

    /// The buffer in which header values are read: folds are spaces there.
    pub(super) fn text(&self) -> &[u8] {
        self.unfolded.as_ref().unwrap_or(&self.bytes)
    }

    /// The value of the line with this index; empty for `NOWHERE`.
    pub(super) fn value_at(&self, index: u16) -> &[u8] {
        self.lines
            .get(usize::from(index))
            .map_or(&[], |line| line.value.get(self.text()))
    }

    /// Where the value of the line with this index stands.
    pub(super) fn span_at(&self, index: u16) -> Span {
        self.lines
            .get(usize::from(index))
            .map_or(Span::default(), |line| line.value)
    }

    /// Adds a line and notes it if it is the first of a header that every message has; false if it is not the first.
    #[inline]
    pub(super) fn push_line(&mut self, line: Line) -> bool {
        let index = self.lines.len() as u16;
        self.lines.push(line);
        match self.first.0.get_mut(line.name as usize) {
            Some(slot) if *slot == NOWHERE => {
                *slot = index;
                true
            }
            Some(_) => false,
            None => true,
        }
    }
}

impl Default for Message {
    fn default() -> Self {
        Message::empty()
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message(")?;
        fmt::Debug::fmt(&self.bytes, f)?;
        f.write_str(")")
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

/// Each line end with the white space around it becomes one space.
fn collapse(written: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(written.len());
    let mut after_fold = false;
    for &byte in written {
        match byte {
            b'\r' | b'\n' => {
                while out.last().is_some_and(|last| matches!(last, b' ' | b'\t')) {
                    out.pop();
                }
                after_fold = true;
            }
            b' ' | b'\t' if after_fold => {}
            _ => {
                if after_fold {
                    out.push(b' ');
                    after_fold = false;
                }
                out.push(byte);
            }
        }
    }
    out
}
