//! Contact: `*`, or an address with registration parameters (RFC 3261 §20.10, RFC 5626 §4).
#![deny(clippy::indexing_slicing)]

use super::lists::number;
use super::name_addr::NameAddr;
use super::uri::Uri;
use crate::sip::ParseError;

/// One Contact value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContactValue<'a> {
    /// `*`: all bindings (RFC 3261 §10.2.2).
    Star,
    /// An address.
    Addr(NameAddr<'a>),
}

impl<'a> ContactValue<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Result<ContactValue<'a>, ParseError> {
        if value.trim_ascii() == b"*" {
            return Ok(ContactValue::Star);
        }
        NameAddr::parse(value).map(ContactValue::Addr)
    }

    /// The address, unless it is `*`.
    pub fn addr(&self) -> Option<&NameAddr<'a>> {
        match self {
            ContactValue::Star => None,
            ContactValue::Addr(addr) => Some(addr),
        }
    }

    /// The URI, unless it is `*`.
    pub fn uri(&self) -> Option<&Uri<'a>> {
        self.addr().map(|addr| &addr.uri)
    }

    /// The `expires` parameter in seconds; what does not fit is the largest number, what is no number is absent.
    pub fn expires(&self) -> Option<u32> {
        let value = self.addr()?.params.value("expires")?;
        number(value).map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// The `q` parameter in thousandths; 1000 when absent or unreadable (RFC 3261 §20.10).
    pub fn q(&self) -> u16 {
        self.addr()
            .and_then(|addr| addr.params.value("q"))
            .and_then(thousandths)
            .unwrap_or(1000)
    }

    /// The device's `+sip.instance` without quotes (RFC 5626 §4.1).
    pub fn instance(&self) -> Option<&'a [u8]> {
        self.addr()?.params.value("+sip.instance")
    }

    /// The flow's `reg-id` (RFC 5626 §4.2): 1 to 2^31 - 1.
    pub fn reg_id(&self) -> Option<u32> {
        let id = number(self.addr()?.params.value("reg-id")?)?;
        u32::try_from(id)
            .ok()
            .filter(|id| (1..1 << 31).contains(id))
    }
}

/// `0` to `1` with up to three decimals.
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(dot) => (text.get(..dot)?, text.get(dot + 1..)?),
        None => (text, &b""[..]),
    };
    let whole = match whole {
        b"0" | b"" => 0,
        b"1" => 1000,
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut part = 0u16;
    let mut place = 100;
    for digit in fraction {
        part += u16::from(digit - b'0') * place;
        place /= 10;
    }
    Some((whole + part).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registration_parameters() {
        let it = ContactValue::parse(
            br#"<sip:a@192.0.2.2;transport=tcp>;q=0.75;expires=60;+sip.instance="<urn:uuid:0001>";reg-id=2"#,
        )
        .expect("parses");
        assert_eq!(
            (it.q(), it.expires(), it.reg_id()),
            (750, Some(60), Some(2))
        );
        assert_eq!(it.instance(), Some(&b"<urn:uuid:0001>"[..]));
        assert_eq!(
            ContactValue::parse(b" * ").expect("parses"),
            ContactValue::Star
        );
        let it =
            ContactValue::parse(b"<sip:a@x>;expires=99999999999999999999;q=7").expect("parses");
        assert_eq!((it.q(), it.expires()), (1000, Some(u32::MAX)));
    }
}
