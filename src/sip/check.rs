//! The mandatory headers: checked once when a message is made, plain values ever after (RFC 3261 §8.1.1).
#![deny(clippy::indexing_slicing)]

use super::message::{NOWHERE, Parts, Span, Start};
use super::parse::number;
use super::{CSeq, Fault, Method, Name, NameAddr, ParseError, Via, split_commas};

impl Parts {
    /// Checks top Via, From, To, Call-ID, CSeq and Max-Forwards and notes what the accessors need. Notes as much as there
    /// is even if something is wrong, for messages that are our own work.
    pub(super) fn check(&mut self) -> Result<(), ParseError> {
        let via = self.check_via();
        let from = self.check_address(Name::From, self.first.of(Name::From));
        let to = self.check_address(Name::To, self.first.of(Name::To));
        self.from_tag = from.unwrap_or_default();
        self.to_tag = to.unwrap_or_default();
        let call_id = self.check_call_id();
        let cseq = self.check_cseq();
        via?;
        from?;
        to?;
        call_id?;
        cseq?;
        self.check_max_forwards()
    }

    fn check_via(&self) -> Result<(), ParseError> {
        let missing = ParseError::with(Name::Via.as_str(), Fault::Missing);
        let value = self.value_at(self.first.of(Name::Via));
        let top = split_commas(value).next().ok_or(missing)?;
        Via::parse(top).map_err(|error| self.place(error, top))?;
        Ok(())
    }

    fn check_address(&self, name: Name, index: u16) -> Result<Option<Span>, ParseError> {
        if index == NOWHERE {
            return Err(ParseError::with(name.as_str(), Fault::Missing));
        }
        let value = self.value_at(index);
        let address = NameAddr::parse(value).map_err(|error| self.place(error, value))?;
        Ok(address.tag().map(|tag| Span::of(self.text(), tag)))
    }

    fn check_call_id(&self) -> Result<(), ParseError> {
        let value = self.call_id();
        if value.is_empty() {
            return Err(ParseError::with(Name::CallId.as_str(), Fault::Missing));
        }
        // A `word` is ASCII (RFC 3261 §25.1), and what is no text to a terminal must not get into records through here.
        if value.iter().any(|&byte| !matches!(byte, 0x21..=0x7e)) {
            return Err(self.place(ParseError::new(Name::CallId.as_str()), value));
        }
        Ok(())
    }

    fn check_cseq(&mut self) -> Result<(), ParseError> {
        if self.first.of(Name::CSeq) == NOWHERE {
            return Err(ParseError::with(Name::CSeq.as_str(), Fault::Missing));
        }
        let value = self.value_at(self.first.of(Name::CSeq));
        let (number, method) = cseq(value).map_err(|error| self.place(error, value))?;
        match self.start {
            Start::Request { .. } if method != self.method => {
                return Err(self.place(ParseError::new("CSeq method"), value));
            }
            Start::Request { .. } => {}
            Start::Response { .. } => self.method = method,
        }
        self.cseq_number = number;
        Ok(())
    }

    /// Absent is tolerated, unreadable is not: a loop that nothing counts would never end.
    fn check_max_forwards(&self) -> Result<(), ParseError> {
        let value = self.value_at(self.first.of(Name::MaxForwards));
        if self.first.of(Name::MaxForwards) == NOWHERE || self.max_forwards().is_some() {
            return Ok(());
        }
        Err(self.place(ParseError::new(Name::MaxForwards.as_str()), value))
    }

    /// The error with its place counted from the start of the message.
    fn place(&self, error: ParseError, value: &[u8]) -> ParseError {
        let start = Span::of(self.text(), value).start as usize;
        error.at(start + error.at)
    }
}

/// The common case without copying the method's name.
fn cseq(value: &[u8]) -> Result<(u32, Method), ParseError> {
    let space = memchr::memchr(b' ', value).and_then(|at| value.split_at_checked(at));
    if let Some((digits, rest)) = space
        && let (Some(number), Some(method)) = (number(digits), Method::known(rest.trim_ascii()))
    {
        return Ok((number, method));
    }
    let CSeq { number, method } = CSeq::parse(value)?;
    Ok((number, method))
}
