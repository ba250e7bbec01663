//! CSeq: a number and the method (RFC 3261 §20.16).
#![deny(clippy::indexing_slicing)]

use super::lists::number;
use crate::sip::{Method, ParseError};

/// The value of CSeq.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CSeq {
    /// Below 2^31 (RFC 3261 §8.1.1.5); up to 2^32 - 1 is taken.
    pub number: u32,
    /// The request's method.
    pub method: Method,
}

impl CSeq {
    /// Reads the value.
    pub fn parse(value: &[u8]) -> Result<CSeq, ParseError> {
        let bad = || ParseError::new("CSeq");
        let value = value.trim_ascii();
        let end = value
            .iter()
            .position(u8::is_ascii_whitespace)
            .ok_or_else(bad)?;
        let digits = value.get(..end).ok_or_else(bad)?;
        let number = number(digits)
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(bad)?;
        let method = value.get(end..).ok_or_else(bad)?.trim_ascii();
        Ok(CSeq {
            number,
            method: Method::parse(method).ok_or_else(bad)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_method() {
        let it = CSeq::parse(b" 0009  INVITE ").expect("parses");
        assert_eq!((it.number, it.method), (9, Method::Invite));
        for bad in [
            "",
            "1",
            "x INVITE",
            "4294967296 INVITE",
            "1 IN VITE",
            "-1 BYE",
        ] {
            assert!(CSeq::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
