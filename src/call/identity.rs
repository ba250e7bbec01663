//! Who a party is, who it is shown to be, and what it wants hidden (RFC 3323, RFC 3324, RFC 3325, RFC 4916).
//!
//! One rule at every border: what a peer asserts of its callers counts only where the peer is trusted, and what a caller wants hidden
//! leaves only towards a peer that is trusted to keep it. A B2BUA hides the rest by itself: Via, Contact and SDP are its own.

use super::calls::{Call, Calls};
use super::leg::{Endpoint, Leg, LegSpec};
use crate::base::Key;
use crate::sip::{Message, Name, NameAddr};

/// From of a caller that is not to be named (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// What an INVITE says of its caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Presented {
    /// User part or number: asserted, if the peer is trusted to, else that of From.
    pub number: String,
    /// Display name from the same place.
    pub name: Option<String>,
    /// The URI from the same place.
    pub uri: Vec<u8>,
    /// It is not to be shown to those who are called.
    pub private: bool,
}

fn presented(address: &NameAddr<'_>) -> Option<(String, Option<String>, Vec<u8>)> {
    let user = address.uri.user_text().filter(|user| !user.is_empty())?;
    Some((user, address.display_text(), address.uri.raw.to_vec()))
}

/// Reads From, and of a trusted peer P-Asserted-Identity or the older Remote-Party-ID.
pub fn read(request: &Message, trusted: bool) -> Presented {
    let from = request.from();
    let mut private = wants_privacy(request);
    let asserted = || {
        request
            .addresses(Name::PAssertedIdentity)
            .filter_map(Result::ok)
            .find_map(|address| presented(&address))
    };
    let remote_party = || {
        request
            .addresses(Name::RemotePartyId)
            .filter_map(Result::ok)
            .find(|address| {
                address
                    .params
                    .value("party")
                    .is_none_or(|party| party.eq_ignore_ascii_case(b"calling"))
            })
    };
    if trusted && let Some(address) = remote_party() {
        private |= address
            .params
            .value("privacy")
            .is_some_and(|value| !value.eq_ignore_ascii_case(b"off"));
    }
    let found = trusted
        .then(|| asserted().or_else(|| presented(&remote_party()?)))
        .flatten();
    let (number, name, uri) = found
        .or_else(|| presented(&from))
        .unwrap_or_else(|| (String::new(), from.display_text(), from.uri.raw.to_vec()));
    Presented {
        number,
        name,
        uri,
        private,
    }
}

/// Privacy asks for the caller not to be named, or From names nobody (RFC 3323 §4.2, RFC 3325 §9.3).
fn wants_privacy(request: &Message) -> bool {
    is_anonymous(request) || asks_for_privacy(request)
}

/// The same of a request or response whose From says nothing of its sender: Privacy alone counts.
pub(super) fn asks_for_privacy(message: &Message) -> bool {
    let asked = message
        .headers(Name::Privacy)
        .flat_map(|value| value.split(|&byte| byte == b';' || byte == b','))
        .map(<[u8]>::trim_ascii);
    let mut private = false;
    for value in asked {
        if value.eq_ignore_ascii_case(b"none") {
            return false;
        }
        private |= [&b"id"[..], b"user"]
            .iter()
            .any(|kind| value.eq_ignore_ascii_case(kind));
    }
    private
}

/// True when From names nobody.
pub fn is_anonymous(request: &Message) -> bool {
    let uri = request.from().uri;
    uri.host.eq_ignore_ascii_case(b"anonymous.invalid")
        || uri
            .user
            .is_some_and(|user| user.eq_ignore_ascii_case(b"anonymous"))
}

/// Headers that name the caller, or those that sent the call on.
const NAMING: &[Name] = &[
    Name::PAssertedIdentity,
    Name::PPreferredIdentity,
    Name::RemotePartyId,
    Name::Diversion,
    Name::HistoryInfo,
    Name::ReferredBy,
];

impl Calls {
    /// A leg to be called, with its caller hidden if that is what it wants. A trusted peer is told who it is, and that it is not to be
    /// passed on (RFC 3325 §7); any other is not told.
    pub(super) fn veiled(&self, call: Key<Call>, mut spec: LegSpec) -> LegSpec {
        if !self.caller(call).is_some_and(|caller| caller.private) {
            return spec;
        }
        spec.from = ANONYMOUS.to_owned();
        spec.contact_user = std::sync::Arc::from("anonymous");
        let trusted = self.network.policy(&spec.endpoint, &spec.flow).trusted;
        if !trusted {
            spec.headers.retain(|(name, _)| !NAMING.contains(name));
            return spec;
        }
        for (name, value) in &mut spec.headers {
            if *name == Name::RemotePartyId {
                *value = value.replace(";privacy=off", ";privacy=full");
            }
        }
        spec.headers.push((Name::Privacy, "id".to_owned()));
        spec
    }

    /// What a party is shown of the one it talks to: in the answer to its call, and in re-INVITEs after somebody else has come
    /// (RFC 4916, with P-Asserted-Identity as phones read it). Carriers are not shown our extensions.
    pub(super) fn shown_to(&self, key: Key<Leg>) -> Vec<(Name, String)> {
        match (self.legs.get(key), self.connected(key)) {
            (Some(leg), Some(value)) if !matches!(leg.endpoint, Endpoint::Trunk(_)) => {
                vec![(Name::PAssertedIdentity, value)]
            }
            _ => Vec::new(),
        }
    }

    /// The address of the party at the other end of a leg's bridge, unless it is not to be named.
    fn connected(&self, key: Key<Leg>) -> Option<String> {
        let other = self.legs.get(self.other_party(key)?)?;
        if other.private || other.party.number.is_empty() {
            return None;
        }
        let mut value = String::new();
        if let Some(name) = other.party.name.as_deref().filter(|name| !name.is_empty()) {
            crate::sip::header::auth::quote(name.as_bytes(), &mut value);
            value.push(' ');
        }
        let number = other.party.number.bytes().map(|byte| {
            let plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,".contains(&byte);
            match plain {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            }
        });
        value.push_str("<sip:");
        value.extend(number);
        value.push('@');
        value.push_str(&self.network.domain);
        value.push('>');
        Some(value)
    }

    /// Our side of a dialog whose peer follows changes of From bears the name of the party that is there now (RFC 4916 §3.1).
    pub(super) fn rename(&mut self, key: Key<Leg>) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        if !leg.allows.from_change || matches!(leg.endpoint, Endpoint::Trunk(_)) {
            return;
        }
        let value = self.connected(key);
        let dialog = self.legs.get_mut(key).and_then(|leg| leg.dialog.as_mut());
        if let (Some(value), Some(dialog)) = (value, dialog) {
            dialog.set_local(value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(from: &str, headers: &str) -> Message {
        let text = format!(
            "INVITE sip:1001@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\n\
             From: {from};tag=1\r\nTo: <sip:1001@192.0.2.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\
             {headers}Content-Length: 0\r\n\r\n"
        );
        Message::parse(bytes::Bytes::from(text)).expect("an INVITE")
    }

    #[test]
    fn asserted_identity_counts_only_from_the_trusted() {
        let request = invite(
            "\"Boss\" <sip:1@x>",
            "P-Asserted-Identity: \"Ada\" <sip:+4930123@y>, <tel:+4930123>\r\nP-Preferred-Identity: <sip:9@x>\r\n",
        );
        let it = read(&request, true);
        assert_eq!(
            (it.number.as_str(), it.name.as_deref()),
            ("+4930123", Some("Ada"))
        );
        let it = read(&request, false);
        assert_eq!(
            (it.number.as_str(), it.name.as_deref()),
            ("1", Some("Boss"))
        );
        assert!(!it.private);
        let old = invite(
            "<sip:1@x>",
            "Remote-Party-ID: <sip:2@x>;party=calling;privacy=full\r\n",
        );
        let it = read(&old, true);
        assert_eq!((it.number.as_str(), it.private), ("2", true));
        assert_eq!(read(&old, false).number, "1");
    }

    #[test]
    fn privacy_is_read_in_all_its_words() {
        for (headers, private) in [
            ("", false),
            ("Privacy: id\r\n", true),
            ("Privacy: header; session ;ID;critical\r\n", true),
            ("Privacy: user\r\n", true),
            ("Privacy: header\r\n", false),
            ("Privacy: session;critical\r\n", false),
            ("Privacy: none\r\n", false),
        ] {
            assert_eq!(
                read(&invite("<sip:1@x>", headers), false).private,
                private,
                "{headers}"
            );
        }
        for from in [
            "<sip:anonymous@x>",
            "\"A\" <sip:c8oqz84zk7z@anonymous.invalid>",
        ] {
            assert!(read(&invite(from, ""), true).private, "{from}");
        }
    }

    #[test]
    fn broken_identities_fall_back_to_from() {
        let request = invite(
            "<sip:1@x>",
            "P-Asserted-Identity: <sip:\r\nP-Asserted-Identity: <sip:y>\r\n",
        );
        assert_eq!(read(&request, true).number, "1");
    }
}
