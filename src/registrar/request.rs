//! What a REGISTER asks for, read and checked before anything is changed (RFC 3261 §10.3 steps 6 and 7).

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::base::Duration;
use crate::sip::{ContactValue, Message, Name, Scheme, StatusCode, Uri};

use super::RegistrarSettings;

/// Longest Contact URI, instance, Call-ID or Path that is kept, in bytes (guess; the longest seen in the field are under 300).
const TEXT_MAX: usize = 512;
/// Most Path values.
const PATHS_MAX: usize = 8;

/// Why a REGISTER is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub reason: &'static str,
}

impl Refusal {
    pub const fn bad(reason: &'static str) -> Self {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            reason,
        }
    }
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
    settings: &RegistrarSettings,
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
            Scheme::Sips | Scheme::Tel | Scheme::Other => {
                return Err(Refusal {
                    status: StatusCode::UNSUPPORTED_URI_SCHEME,
                    reason: "Contact Must Be a SIP URI",
                });
            }
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
            expires: granted(contact.expires().or(header), settings)?,
            instance,
            reg_id: contact.reg_id(),
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

/// The Path of a REGISTER (RFC 3327 §5.3), topmost first.
pub(super) fn path(request: &Message) -> Result<Vec<std::sync::Arc<str>>, Refusal> {
    let mut path = Vec::new();
    for line in request.headers(Name::Path) {
        for value in crate::sip::split_commas(line) {
            match std::str::from_utf8(value.trim_ascii()) {
                Ok(text)
                    if text.len() <= TEXT_MAX
                        && !text.chars().any(char::is_control)
                        && path.len() < PATHS_MAX =>
                {
                    path.push(text.into());
                }
                Ok(_) | Err(_) => return Err(Refusal::bad("Bad Path")),
            }
        }
    }
    Ok(path)
}

/// White space, controls, and what would end a URI that is written between angle brackets.
fn is_unfit(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"')
}

/// The time granted for a wish in seconds.
fn granted(wish: Option<u32>, settings: &RegistrarSettings) -> Result<Duration, Refusal> {
    match wish.map(|seconds| Duration::from_secs(u64::from(seconds))) {
        None => Ok(settings.expires_default),
        Some(Duration::ZERO) => Ok(Duration::ZERO),
        Some(wish) if wish < settings.expires_min => Err(Refusal {
            status: StatusCode::INTERVAL_TOO_BRIEF,
            reason: "",
        }),
        Some(wish) => Ok(wish.min(settings.expires_max)),
    }
}
