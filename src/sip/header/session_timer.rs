//! Session-Expires and Min-SE (RFC 4028 §4, §5).
#![deny(clippy::indexing_slicing)]

use super::lists::{number, split_at};
use super::params::Params;
use crate::sip::ParseError;

/// The value of Session-Expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionExpires {
    /// Seconds; values beyond a day are read as they stand.
    pub seconds: u32,
    /// Who refreshes, if it is said: `Some(true)` the client of this transaction (`uac`), `Some(false)` its server (`uas`).
    pub by_client: Option<bool>,
}

impl SessionExpires {
    /// Reads the value. A refresher that is neither `uac` nor `uas` counts as none.
    pub fn parse(value: &[u8]) -> Result<SessionExpires, ParseError> {
        let (seconds, params) = delta(value).ok_or_else(|| ParseError::new("Session-Expires"))?;
        let by_client = match params.value("refresher") {
            Some(who) if who.eq_ignore_ascii_case(b"uac") => Some(true),
            Some(who) if who.eq_ignore_ascii_case(b"uas") => Some(false),
            _ => None,
        };
        Ok(SessionExpires { seconds, by_client })
    }
}

/// Reads the seconds of a Min-SE; its parameters mean nothing.
pub fn min_se(value: &[u8]) -> Result<u32, ParseError> {
    delta(value)
        .map(|(seconds, _)| seconds)
        .ok_or_else(|| ParseError::new("Min-SE"))
}

fn delta(value: &[u8]) -> Option<(u32, Params<'_>)> {
    let digits = split_at(value, b';').next()?;
    let params = Params::new(value.get(digits.len() + 1..).unwrap_or_default());
    let seconds = number(digits.trim_ascii())?;
    Some((u32::try_from(seconds).unwrap_or(u32::MAX), params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_refresher_are_read() {
        let read = |text: &str| SessionExpires::parse(text.as_bytes());
        let of = |seconds, by_client| Ok(SessionExpires { seconds, by_client });
        assert_eq!(read("1800"), of(1800, None));
        assert_eq!(read(" 90 ; refresher=UAC"), of(90, Some(true)));
        assert_eq!(read("90;x=1;refresher=uas"), of(90, Some(false)));
        assert_eq!(read("90;refresher=proxy"), of(90, None));
        assert_eq!(read("99999999999"), of(u32::MAX, None));
        for broken in ["", ";refresher=uac", "-1", "30m"] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn smallest_interval_is_read() {
        assert_eq!(min_se(b"120;lr"), Ok(120));
        assert!(min_se(b"soon").is_err());
    }
}
