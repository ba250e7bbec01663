//! What is wrong with bytes from a peer, where, and whether an answer can be given.

use bytes::Bytes;

use super::StatusCode;

/// The kind of fault that a peer's bytes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The bytes do not follow the grammar of RFC 3261 §25.
    Syntax,
    /// A mandatory part is not there (RFC 3261 §8.1.1, §20 table 2).
    Missing,
    /// A part that may stand once stands more than once (RFC 3261 §7.3.1).
    Duplicate,
    /// More bytes or header fields than `base::limits` takes.
    TooLarge,
    /// Not SIP/2.0 (RFC 3261 §21.5.6).
    Version,
    /// A byte that may never stand there: NUL, or a carriage return without its line feed.
    Forbidden,
}

impl Fault {
    /// A short word for counters.
    pub const fn label(self) -> &'static str {
        match self {
            Fault::Syntax => "syntax",
            Fault::Missing => "missing",
            Fault::Duplicate => "duplicate",
            Fault::TooLarge => "too_large",
            Fault::Version => "version",
            Fault::Forbidden => "forbidden",
        }
    }
}

/// The peer's fault: which part, which kind, at which byte of the message (or of the header value that was parsed alone).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{what}: {} at byte {at}", .fault.label())]
pub struct ParseError {
    /// The part in the field's word, such as `Content-Length` or `request line`. Also goes into the reason phrase of a 400.
    pub what: &'static str,
    /// The kind of fault.
    pub fault: Fault,
    /// Offset in bytes from the start of what was parsed.
    pub at: usize,
}

impl ParseError {
    /// A syntax fault in `what`, at byte 0.
    pub const fn new(what: &'static str) -> Self {
        ParseError {
            what,
            fault: Fault::Syntax,
            at: 0,
        }
    }

    /// Of another kind than syntax.
    pub const fn with(what: &'static str, fault: Fault) -> Self {
        ParseError { what, fault, at: 0 }
    }

    /// The same fault, found at byte `at`.
    #[must_use]
    pub const fn at(self, at: usize) -> Self {
        ParseError { at, ..self }
    }

    /// The status with which a faulty *request* is refused: 400, 505 for a foreign version, 513 for one that is too large
    /// (RFC 3261 §21.4.1, §21.5.6, §21.5.7). `None` when the bytes are no SIP message at all and silence is the answer.
    /// Whether an answer can be built is said by [`salvage`](super::Message::salvage).
    pub fn status(&self) -> Option<StatusCode> {
        match self.fault {
            Fault::Version => Some(StatusCode::VERSION_NOT_SUPPORTED),
            Fault::TooLarge => Some(StatusCode::MESSAGE_TOO_LARGE),
            _ if self.what == START_LINE => None,
            Fault::Syntax | Fault::Missing | Fault::Duplicate | Fault::Forbidden => {
                Some(StatusCode::BAD_REQUEST)
            }
        }
    }
}

/// The `what` of bytes that are no SIP message at all.
pub(crate) const START_LINE: &str = "start line";

/// The parts of a refused request that its answer must repeat (RFC 3261 §8.2.6.2), as raw bytes without line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// Values of all Via lines, first on top; never empty.
    pub vias: Vec<Bytes>,
    /// Value of the From header.
    pub from: Bytes,
    /// Value of the To header.
    pub to: Bytes,
    /// Value of the Call-ID header.
    pub call_id: Bytes,
    /// Value of the CSeq header.
    pub cseq: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_the_status_of_its_kind() {
        let status = |fault| ParseError::with("CSeq", fault).status();
        assert_eq!(status(Fault::Syntax), Some(StatusCode::BAD_REQUEST));
        assert_eq!(
            status(Fault::Version),
            Some(StatusCode::VERSION_NOT_SUPPORTED)
        );
        assert_eq!(status(Fault::TooLarge), Some(StatusCode::MESSAGE_TOO_LARGE));
        assert_eq!(ParseError::new(START_LINE).status(), None);
    }

    #[test]
    fn an_error_names_part_kind_and_place() {
        let error = ParseError::with("To", Fault::Missing).at(7);
        assert_eq!(error.to_string(), "To: missing at byte 7");
    }
}
