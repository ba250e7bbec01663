//! Accessors that parse: addresses, hops, numbers and options of a message.
#![deny(clippy::indexing_slicing)]

use super::message::Parts;
use super::parse::number;
use super::{CSeq, ContactValue, Name, NameAddr, ParseError, Uri, Via, split_commas};

impl Parts {
    /// The Request-URI, parsed. An error here is a 400, or a 416 if only the scheme is foreign to who asks.
    pub fn uri(&self) -> Result<Uri<'_>, ParseError> {
        Uri::parse(self.uri_bytes())
    }

    /// The value of Call-ID; compared byte by byte (RFC 3261 §20.8).
    pub fn call_id(&self) -> &[u8] {
        self.value_at(self.first.of(Name::CallId))
    }

    /// The value of CSeq (RFC 3261 §20.16).
    pub fn cseq(&self) -> CSeq {
        CSeq {
            number: self.cseq_number,
            method: self.method.clone(),
        }
    }

    /// The value of From (RFC 3261 §20.20).
    pub fn from(&self) -> NameAddr<'_> {
        address_or_nobody(self.value_at(self.first.of(Name::From)))
    }

    /// The value of To (RFC 3261 §20.39).
    pub fn to(&self) -> NameAddr<'_> {
        address_or_nobody(self.value_at(self.first.of(Name::To)))
    }

    /// The tag of From; peers of RFC 2543 have none.
    pub fn from_tag(&self) -> Option<&[u8]> {
        self.from_tag.map(|span| span.get(self.text()))
    }

    /// The tag of To; a request outside of a dialog has none.
    pub fn to_tag(&self) -> Option<&[u8]> {
        self.to_tag.map(|span| span.get(self.text()))
    }

    /// The topmost Via value (RFC 3261 §20.42).
    pub fn top_via(&self) -> Via<'_> {
        split_commas(self.value_at(self.first.of(Name::Via)))
            .next()
            .and_then(|value| Via::parse(value).ok())
            .unwrap_or_else(|| Via::parse(b"SIP/2.0/UDP invalid.invalid").expect("a constant"))
    }

    /// Every Via value of every line, top first. Only the topmost is known to be well formed.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, ParseError>> + '_ {
        self.headers(Name::Via)
            .flat_map(split_commas)
            .map(Via::parse)
    }

    /// Every Contact value of every line.
    pub fn contacts(&self) -> impl Iterator<Item = Result<ContactValue<'_>, ParseError>> + '_ {
        self.headers(Name::Contact)
            .flat_map(split_commas)
            .map(ContactValue::parse)
    }

    /// Every Route value of every line, next hop first.
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> + '_ {
        self.addresses(Name::Route)
    }

    /// Every Record-Route value of every line, last proxy first.
    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> + '_ {
        self.addresses(Name::RecordRoute)
    }

    /// Every value of a header that lists addresses: Path, Diversion, P-Asserted-Identity and their like.
    pub fn addresses(
        &self,
        name: Name,
    ) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> + '_ {
        self.headers(name)
            .flat_map(split_commas)
            .map(NameAddr::parse)
    }

    /// Hops left, 0 to 255; `None` if the header is absent (RFC 3261 §20.22).
    pub fn max_forwards(&self) -> Option<u8> {
        number(self.value_at(self.first.of(Name::MaxForwards)))
            .and_then(|hops| u8::try_from(hops).ok())
    }

    /// Seconds of the Expires header; a number too large is the largest (RFC 3261 §20.19).
    pub fn expires(&self) -> Option<u32> {
        seconds(self.header(Name::Expires)?)
    }

    /// The media type of the body with its parameters, as written.
    pub fn content_type(&self) -> Option<&[u8]> {
        self.header(Name::ContentType)
    }

    /// Whether the body is of this type, such as `application/sdp`; parameters and case do not count.
    pub fn is_content_type(&self, wanted: &str) -> bool {
        self.content_type().is_some_and(|value| {
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            value
                .get(..end)
                .unwrap_or_default()
                .trim_ascii()
                .eq_ignore_ascii_case(wanted.as_bytes())
        })
    }

    /// Whether a header that lists tokens (Supported, Require, Allow, Privacy by lines) has this one, in any case.
    pub fn has_option_tag(&self, name: Name, tag: &str) -> bool {
        self.headers(name)
            .flat_map(split_commas)
            .any(|item| item.eq_ignore_ascii_case(tag.as_bytes()))
    }
}

/// Decimal seconds; parameters behind `;` are left aside, what does not fit 32 bits saturates.
fn seconds(value: &[u8]) -> Option<u32> {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let digits = value.get(..end)?.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(number(digits).unwrap_or(u32::MAX))
}

/// Only a message of our own can lack a readable address, and only if we forgot it.
fn address_or_nobody(value: &[u8]) -> NameAddr<'_> {
    NameAddr::parse(value)
        .unwrap_or_else(|_| NameAddr::parse(b"<sip:nobody@invalid.invalid>").expect("a constant"))
}
