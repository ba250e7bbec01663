//! What a REGISTER asks for, read and checked before anything is changed (RFC 3261 §10.3 steps 6 and 7).

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::base::Duration;
use crate::sip::{ContactValue, Message, Name, Scheme, StatusCode, Uri};

use super::Policy;
use crate::base::Entropy;

/// Longest Contact URI, instance, Call-ID or Path that is kept, in bytes (guess; the longest seen in the field are under 300).
const TEXT_MAX: usize = 512;
/// Most Path values.
const PATHS_MAX: usize = 8;

/// Why a REGISTER is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub reason: &'static str,
    /// The extension that is not to be had here.
    pub unsupported: &'static str,
}

impl Refusal {
    pub const fn bad(reason: &'static str) -> Self {
        Refusal::of(StatusCode::BAD_REQUEST, reason)
    }

    pub const fn of(status: StatusCode, reason: &'static str) -> Self {
        Refusal {
            status,
            reason,
            unsupported: "",
        }
    }
}

/// What a REGISTER supports and how it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrival {
    /// Path values, topmost first, separated by commas.
    pub path: String,
    /// The device uses outbound, and its first hop plays along (RFC 5626 §6).
    pub outbound: bool,
    /// The device would use outbound, but a proxy between it and us does not know it.
    pub lacks_outbound: bool,
    /// It can use GRUUs, and they are given (RFC 5627 §5.1).
    pub gruu: bool,
}

/// Reads what goes for the request as a whole.
pub(super) fn arrival(
    request: &Message,
    policy: &Policy,
    source: std::net::IpAddr,
) -> Result<Arrival, Refusal> {
    let takes_path = policy.path.takes(source);
    let path = if takes_path {
        path(request)?
    } else if request.has_option_tag(Name::Require, "path") {
        return Err(Refusal {
            unsupported: "path",
            ..Refusal::of(StatusCode::BAD_EXTENSION, "")
        });
    } else {
        String::new()
    };
    let is_direct = request.vias().nth(1).is_none();
    let wants = request.has_option_tag(Name::Supported, "outbound");
    // the first hop is the proxy that wrote its Path first: the last of the list
    let edge = crate::sip::split_commas(path.as_bytes())
        .last()
        .and_then(|value| crate::sip::NameAddr::parse(value.trim_ascii()).ok())
        .is_some_and(|edge| edge.uri.param("ob").is_some());
    Ok(Arrival {
        outbound: wants && (is_direct || edge),
        lacks_outbound: wants && !is_direct && !edge,
        gruu: policy.gruu && request.has_option_tag(Name::Supported, "gruu"),
        path,
    })
}

/// One contact that is to be bound, or with no time unbound.
pub(super) struct Wish<'a> {
    pub contact: &'a str,
    pub uri: Uri<'a>,
    pub q: u16,
    /// Zero: remove.
    pub expires: Duration,
    pub instance: Option<Cow<'a, str>>,
    pub reg_id: Option<u32>,
}

/// The whole request. It lives on the stack for one step; a box would cost every REGISTER an allocation.
#[allow(clippy::large_enum_variant)]
pub(super) enum Wishes<'a> {
    /// No Contact: what is there?
    Query,
    /// `*`: remove all.
    RemoveAll,
    /// These contacts.
    Bind(SmallVec<[Wish<'a>; 2]>),
}

/// Reads the Contacts. Nothing is changed by a request that is refused here.
pub(super) fn read<'a>(
    request: &'a Message,
    policy: &Policy,
    secure: bool,
    entropy: &mut Entropy,
) -> Result<Wishes<'a>, Refusal> {
    if request.call_id().len() > TEXT_MAX {
        return Err(Refusal::bad("Call-ID Too Long"));
    }
    let header = request.expires();
    let mut star = false;
    let mut wishes: SmallVec<[Wish<'a>; 2]> = SmallVec::new();
    for contact in request.contacts() {
        let contact = contact.map_err(|_| Refusal::bad("Bad Contact"))?;
        let address = match &contact {
            ContactValue::Star => {
                if star {
                    return Err(Refusal::bad("More Than One Star Contact"));
                }
                star = true;
                continue;
            }
            ContactValue::Addr(address) => address,
        };
        let uri = address.uri;
        match uri.scheme {
            Scheme::Sip => {}
            // it may only be reached the way that it came (RFC 5630 §4)
            Scheme::Sips if secure => {}
            Scheme::Sips | Scheme::Tel | Scheme::Other => {
                let status = StatusCode::UNSUPPORTED_URI_SCHEME;
                return Err(Refusal::of(status, "Contact Must Be a SIP URI"));
            }
        }
        if uri.param("gr").is_some() {
            // it would lead to itself (RFC 5627 §5.1)
            return Err(Refusal::of(StatusCode::FORBIDDEN, "Contact Is a GRUU"));
        }
        // A contact is written into request lines and headers: it must be text without controls, and within bounds.
        let text = match std::str::from_utf8(uri.raw) {
            Ok(text) if text.len() <= TEXT_MAX && !text.chars().any(is_unfit) => text,
            Ok(_) | Err(_) => return Err(Refusal::bad("Bad Contact URI")),
        };
        let instance = match contact.instance() {
            Some(instance) if instance.len() > TEXT_MAX => {
                return Err(Refusal::bad("Bad Instance"));
            }
            Some(instance) => Some(String::from_utf8_lossy(instance)),
            None => None,
        };
        if instance.as_ref().is_some_and(|text| {
            text.chars()
                .any(|c| c.is_control() || c == '"' || c == '\\')
        }) {
            return Err(Refusal::bad("Bad Instance"));
        }
        wishes.push(Wish {
            contact: text,
            uri,
            q: contact.q(),
            expires: granted(contact.expires().or(header), policy, entropy)?,
            // without an instance it counts nothing (RFC 5626 §6)
            reg_id: contact.reg_id().filter(|_| instance.is_some()),
            instance,
        });
    }
    match (star, wishes.is_empty()) {
        (true, false) => Err(Refusal::bad("Star Contact With Others")),
        (true, true) if header == Some(0) => Ok(Wishes::RemoveAll),
        (true, true) => Err(Refusal::bad("Star Contact Needs Expires 0")),
        (false, true) => Ok(Wishes::Query),
        (false, false) => Ok(Wishes::Bind(wishes)),
    }
}

/// The Path of a REGISTER (RFC 3327 §5.3), topmost first, as one list. Each value must be an address in angle brackets: it is written
/// into the Route headers of requests.
fn path(request: &Message) -> Result<String, Refusal> {
    let mut path = String::new();
    let mut count = 0;
    for line in request.headers(Name::Path) {
        for value in crate::sip::split_commas(line) {
            let value = value.trim_ascii();
            let address = crate::sip::NameAddr::parse(value)
                .ok()
                .filter(|_| value.contains(&b'<') && count < PATHS_MAX)
                .map(|address| address.uri.scheme);
            let text = std::str::from_utf8(value)
                .ok()
                .filter(|text| text.len() <= TEXT_MAX && !text.chars().any(char::is_control));
            let (Some(Scheme::Sip | Scheme::Sips), Some(text)) = (address, text) else {
                return Err(Refusal::bad("Bad Path"));
            };
            if !path.is_empty() {
                path.push(',');
            }
            path.push_str(text);
            count += 1;
        }
    }
    Ok(path)
}

/// White space, controls, and what would end a URI that is written between angle brackets.
fn is_unfit(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"')
}

/// The time granted for a wish in seconds.
fn granted(wish: Option<u32>, policy: &Policy, entropy: &mut Entropy) -> Result<Duration, Refusal> {
    let time = match wish.map(|seconds| Duration::from_secs(u64::from(seconds))) {
        None => policy.expires_default,
        Some(Duration::ZERO) => return Ok(Duration::ZERO),
        Some(wish) if wish < policy.expires_min => {
            return Err(Refusal::of(StatusCode::INTERVAL_TOO_BRIEF, ""));
        }
        Some(wish) => wish.min(policy.expires_max),
    };
    let spread = time.as_secs() * u64::from(policy.expires_jitter) / 100;
    if spread == 0 {
        return Ok(time);
    }
    let less = Duration::from_secs(entropy.below(spread + 1));
    Ok(time.saturating_sub(less).max(policy.expires_min.min(time)))
}
