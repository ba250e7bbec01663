//! Reason: why a request was sent (RFC 3326).
#![deny(clippy::indexing_slicing)]

use super::lists::{number, split_at};
use super::params::Params;
use crate::sip::ParseError;

/// One Reason value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason<'a> {
    /// `SIP` or `Q.850`.
    pub protocol: &'a [u8],
    /// The status or cause number.
    pub cause: Option<u16>,
    /// For people; content of the quotes.
    pub text: Option<&'a [u8]>,
}

impl<'a> Reason<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Result<Reason<'a>, ParseError> {
        let value = value.trim_ascii();
        let protocol = split_at(value, b';').next().unwrap_or_default();
        let params = Params::new(value.get(protocol.len() + 1..).unwrap_or_default());
        let protocol = protocol.trim_ascii();
        if protocol.is_empty() || !protocol.iter().all(|&byte| super::lists::is_token(byte)) {
            return Err(ParseError::new("Reason"));
        }
        Ok(Reason {
            protocol,
            cause: params
                .value("cause")
                .and_then(number)
                .and_then(|cause| u16::try_from(cause).ok()),
            text: params.value("text"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_cause_and_text() {
        let it =
            Reason::parse(br#"SIP ;cause=200 ;text="Call completed elsewhere""#).expect("parses");
        assert_eq!(it.protocol, b"SIP");
        assert_eq!(it.cause, Some(200));
        assert_eq!(it.text, Some(&b"Call completed elsewhere"[..]));
        assert!(Reason::parse(b"").is_err());
    }
}
