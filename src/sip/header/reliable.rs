//! RSeq and RAck: the numbers of reliable provisional responses (RFC 3262 §7).
#![deny(clippy::indexing_slicing)]

use super::lists::number;
use crate::sip::{Method, ParseError};

/// The value of RAck: which provisional response a PRACK acknowledges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RAck {
    /// RSeq of the response.
    pub rseq: u32,
    /// CSeq number of the response.
    pub cseq: u32,
    /// CSeq method of the response.
    pub method: Method,
}

impl RAck {
    /// Reads the value.
    pub fn parse(value: &[u8]) -> Result<RAck, ParseError> {
        let bad = || ParseError::new("RAck");
        let mut parts = value
            .split(u8::is_ascii_whitespace)
            .filter(|part| !part.is_empty());
        let mut small = || number(parts.next()?).and_then(|number| u32::try_from(number).ok());
        let rseq = small().ok_or_else(bad)?;
        let cseq = small().ok_or_else(bad)?;
        let method = parts.next().and_then(Method::parse).ok_or_else(bad)?;
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(RAck { rseq, cseq, method })
    }
}

/// Reads the value of RSeq: 1 to 2^32 - 1.
pub fn rseq(value: &[u8]) -> Result<u32, ParseError> {
    number(value.trim_ascii())
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| ParseError::new("RSeq"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rack_names_a_response() {
        let rack = RAck::parse(b" 776656  1 INVITE ").expect("fine");
        assert_eq!((rack.rseq, rack.cseq), (776_656, 1));
        assert_eq!(rack.method, Method::Invite);
    }

    #[test]
    fn broken_racks_are_refused() {
        for value in [
            &b""[..],
            b"1",
            b"1 2",
            b"1 INVITE",
            b"x 1 INVITE",
            b"1 99999999999 INVITE",
            b"1 2 INVITE more",
        ] {
            assert!(RAck::parse(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn rseq_begins_at_one() {
        assert_eq!(rseq(b" 7 "), Ok(7));
        for value in [&b"0"[..], b"", b"-1", b"4294967296", b"1 2"] {
            assert!(rseq(value).is_err(), "{value:?}");
        }
    }
}
