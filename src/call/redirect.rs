//! 3xx: whom a called party names to be called instead (RFC 3261 §8.1.3.4, §21.3).

use super::calls::{CallEvent, Calls, Ctx};
use super::leg::Leg;
use crate::base::Key;
use crate::sip::{Message, Scheme, StatusCode};

/// Most targets of one response that are looked at.
const TARGETS_MAX: usize = 8;

/// One target of a redirection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// User part, escapes resolved; the number of a tel URI.
    pub user: String,
    /// Host of a SIP URI, lower case; empty for tel.
    pub host: String,
    /// Preference, 0 to 1000 (RFC 3261 §20.10).
    pub q: u16,
    /// The URI as written.
    pub uri: String,
}

/// The targets of a 3xx that could be called, best first; those of equal preference in the order of the message.
fn targets(response: &Message) -> Vec<Redirect> {
    let mut list: Vec<Redirect> = response
        .contacts()
        .filter_map(Result::ok)
        .filter_map(|contact| {
            let uri = *contact.uri()?;
            if uri.scheme == Scheme::Other || uri.raw.len() > 256 {
                return None;
            }
            Some(Redirect {
                user: uri.user_text()?,
                host: String::from_utf8_lossy(uri.host).to_ascii_lowercase(),
                q: contact.q(),
                uri: String::from_utf8(uri.raw.to_vec()).ok()?,
            })
        })
        .take(TARGETS_MAX)
        .collect();
    list.sort_by_key(|target| std::cmp::Reverse(target.q));
    list
}

impl Calls {
    /// Tells the switch whom a leg names instead of itself.
    pub(super) fn tell_redirects(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        status: StatusCode,
        response: &Message,
    ) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        ctx.event(CallEvent::Redirected {
            call: leg.call,
            leg: key,
            endpoint: leg.endpoint.clone(),
            flow: leg.flow,
            status,
            rang: leg.rang,
            to: targets(response),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_by_preference_and_without_what_cannot_be_called() {
        let text = "SIP/2.0 302 Moved\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\n\
             From: <sip:a@192.0.2.9>;tag=1\r\nTo: <sip:b@192.0.2.1>;tag=2\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:1@x>;q=0.2, <mailto:a@x>, <sip:2@X>\r\nContact: <tel:+44>;q=0.9\r\n\
             Contact: <sip:x>;q=0.5\r\nContent-Length: 0\r\n\r\n";
        let response = Message::parse(bytes::Bytes::from(text)).expect("a response");
        let found = targets(&response);
        let users: Vec<&str> = found.iter().map(|target| target.user.as_str()).collect();
        assert_eq!(users, ["2", "+44", "1"]);
        assert_eq!(found[0].host, "x");
    }
}
