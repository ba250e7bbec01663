//! What a SUBSCRIBE wishes: package, id, time, filter, lists (RFC 6665 §4.2.1, §8.2.1).
#![deny(clippy::indexing_slicing)]

use std::sync::Arc;

use super::dialog_info::Filter;
use super::package::Package;
use crate::base::Duration;
use crate::sip::{Message, Name, Params, split_commas};

/// Longest `id` and longest filter value that is kept.
const VALUE_BYTES_MAX: usize = 128;

/// A SUBSCRIBE, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// The package.
    pub package: Package,
    /// `id` of the Event header: tells subscriptions of one dialog apart.
    pub id: Option<Arc<str>>,
    /// What is granted; zero ends the subscription, or only fetches the state.
    pub expires: Duration,
    /// The subscriber understands lists (RFC 4662 §4.1).
    pub lists: bool,
    pub(super) filter: Filter,
}

/// Why a SUBSCRIBE cannot be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// 489 with Allow-Events: no package, or none that is served.
    BadEvent,
    /// 400.
    Malformed,
    /// 406: it accepts none of the package's bodies.
    NotAcceptable,
    /// 423 with Min-Expires, in seconds.
    TooBrief(u64),
}

/// The package that an Event header names, and its parameters.
pub(super) fn event_of(request: &Message) -> Result<(Package, Params<'_>), Refusal> {
    let mut lines = request.headers(Name::Event);
    let value = lines.next().ok_or(Refusal::BadEvent)?;
    if lines.next().is_some() {
        return Err(Refusal::Malformed);
    }
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let name = value.get(..end).unwrap_or_default().trim_ascii();
    let package = Package::parse(name).ok_or(Refusal::BadEvent)?;
    Ok((
        package,
        Params::new(value.get(end + 1..).unwrap_or_default()),
    ))
}

/// The time that is granted for a wish of so many seconds.
pub(super) fn granted(package: Package, wish: Option<u32>) -> Result<Duration, Refusal> {
    match wish.map(|seconds| Duration::from_secs(u64::from(seconds))) {
        None => Ok(package.expires_default()),
        Some(Duration::ZERO) => Ok(Duration::ZERO),
        Some(wish) if wish < package.expires_min() => {
            Err(Refusal::TooBrief(package.expires_min().as_secs()))
        }
        Some(wish) => Ok(wish.min(package.expires_max())),
    }
}

impl Wish {
    /// Reads a SUBSCRIBE.
    pub fn read(request: &Message) -> Result<Wish, Refusal> {
        let (package, params) = event_of(request)?;
        let text = |name: &str| match params.value(name) {
            None => Ok(None),
            Some(value) if value.len() > VALUE_BYTES_MAX => Err(Refusal::Malformed),
            Some(value) => match std::str::from_utf8(value) {
                Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                    Ok(Some(text.to_owned()))
                }
                Ok(_) | Err(_) => Err(Refusal::Malformed),
            },
        };
        let id = text("id")?;
        // it is written into the Event header of each NOTIFY
        if id.as_deref().is_some_and(|id| !is_token(id)) {
            return Err(Refusal::Malformed);
        }
        let filter = match package {
            Package::Dialog => Filter {
                call_id: text("call-id")?,
                to_tag: text("to-tag")?,
                from_tag: text("from-tag")?,
            },
            Package::MessageSummary | Package::Presence | Package::Reg => Filter::default(),
        };
        if request.header(Name::Expires).is_some() && request.expires().is_none() {
            return Err(Refusal::Malformed);
        }
        if !accepts(request, package.body_type()) {
            return Err(Refusal::NotAcceptable);
        }
        Ok(Wish {
            package,
            id: id.map(Arc::from),
            expires: granted(package, request.expires())?,
            lists: request.has_option_tag(Name::Supported, "eventlist")
                || request.has_option_tag(Name::Require, "eventlist"),
            filter,
        })
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// Without Accept the package's own type is meant (RFC 6665 §4.1.3 leaves it to the packages, and all four say so).
fn accepts(request: &Message, body_type: &str) -> bool {
    let mut named = false;
    for line in request.headers(Name::Accept) {
        for value in split_commas(line) {
            named = true;
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            let kind = value.get(..end).unwrap_or_default().trim_ascii();
            if kind.eq_ignore_ascii_case(body_type.as_bytes())
                || kind == b"*/*"
                || kind.eq_ignore_ascii_case(b"application/*")
            {
                return true;
            }
        }
    }
    !named
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(headers: &str) -> Result<Wish, Refusal> {
        let text = format!(
            "SUBSCRIBE sip:1001@example.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bK1\r\n\
             From: <sip:1002@example.test>;tag=a\r\nTo: <sip:1001@example.test>\r\nCall-ID: c\r\nCSeq: 1 SUBSCRIBE\r\n\
             Contact: <sip:1002@127.0.0.9>\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        Wish::read(&Message::parse(Bytes::from(text)).expect("a request"))
    }

    #[test]
    fn a_wish_is_read_with_id_time_and_filter() {
        let wish = read(
            "Event: dialog;id=7;call-id=abc;to-tag=x\r\nExpires: 120\r\nSupported: eventlist\r\nAccept: text/plain, application/dialog-info+xml;q=1\r\n",
        );
        let wish = wish.expect("fine");
        assert_eq!(wish.package, Package::Dialog);
        assert_eq!(wish.id.as_deref(), Some("7"));
        assert_eq!(wish.expires, Duration::from_secs(120));
        assert!(wish.lists);
        assert_eq!(wish.filter.call_id.as_deref(), Some("abc"));
        assert_eq!(wish.filter.to_tag.as_deref(), Some("x"));
    }

    #[test]
    fn times_are_brought_into_bounds() {
        let of =
            |expires: &str| read(&format!("Event: reg\r\n{expires}")).map(|w| w.expires.as_secs());
        assert_eq!(of(""), Ok(3_761));
        assert_eq!(of("Expires: 0\r\n"), Ok(0));
        assert_eq!(of("Expires: 59\r\n"), Err(Refusal::TooBrief(60)));
        assert_eq!(of("Expires: 60\r\n"), Ok(60));
        assert_eq!(of("Expires: 4294967295\r\n"), Ok(3_761));
        assert_eq!(of("Expires: 99999999999999999999\r\n"), Ok(3_761));
        assert_eq!(of("Expires: soon\r\n"), Err(Refusal::Malformed));
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        assert_eq!(read(""), Err(Refusal::BadEvent));
        assert_eq!(read("Event: kpml\r\n"), Err(Refusal::BadEvent));
        assert_eq!(
            read("Event: dialog;id=\"a,b\"\r\n"),
            Err(Refusal::Malformed)
        );
        assert_eq!(
            read("Event: dialog\r\nEvent: reg\r\n"),
            Err(Refusal::Malformed)
        );
        let long = format!("Event: dialog;call-id={}\r\n", "x".repeat(500));
        assert_eq!(read(&long), Err(Refusal::Malformed));
        assert_eq!(
            read("Event: presence\r\nAccept: application/xpidf+xml\r\n"),
            Err(Refusal::NotAcceptable)
        );
        assert!(read("o: presence\r\nAccept: */*\r\n").is_ok());
    }
}
