//! `application/reginfo+xml` (RFC 3680 §5): the contacts of an address of record, always as the full state.

use std::fmt::Write as _;

use super::facts::{ContactFacts, ContactState};
use super::xml;
use crate::base::WallTime;

/// Most contacts that one document tells of: twice what an address of record may have, those that have just gone included.
pub(super) const CONTACTS_MAX: usize = 20;

impl ContactState {
    /// The event that led to it, as documents write it; what is there is told as `registered` in a full state.
    const fn event(self) -> &'static str {
        match self {
            ContactState::Registered => "registered",
            ContactState::Unregistered => "unregistered",
            ContactState::Expired => "expired",
            ContactState::Deactivated => "deactivated",
        }
    }
}

/// The document. Contacts that are gone stand behind those that are there.
pub(super) fn write<'a>(
    aor: &str,
    version: u32,
    now: WallTime,
    contacts: impl Iterator<Item = &'a ContactFacts>,
) -> String {
    let mut listed = String::new();
    let mut active = false;
    for contact in contacts.take(CONTACTS_MAX) {
        active |= contact.state == ContactState::Registered;
        one(&mut listed, contact, now);
    }
    let state = if active { "active" } else { "init" };
    let mut out = String::with_capacity(256 + listed.len());
    out.push_str(xml::PROLOGUE);
    let written = write!(
        out,
        "<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"{version}\" state=\"full\">\n<registration"
    );
    debug_assert!(written.is_ok(), "writing to a String does not fail");
    xml::attribute(&mut out, "aor", aor);
    xml::attribute(&mut out, "id", "r1");
    let state = if !active && !listed.is_empty() {
        "terminated"
    } else {
        state
    };
    xml::attribute(&mut out, "state", state);
    out.push_str(">\n");
    out.push_str(&listed);
    out.push_str("</registration>\n</reginfo>\n");
    out
}

fn one(out: &mut String, contact: &ContactFacts, now: WallTime) {
    let there = contact.state == ContactState::Registered;
    out.push_str("<contact");
    xml::attribute(out, "id", &id_of(&contact.uri));
    xml::attribute(out, "state", if there { "active" } else { "terminated" });
    xml::attribute(out, "event", contact.state.event());
    let held = now.since(contact.registered_at).as_secs();
    xml::attribute(out, "duration-registered", &held.to_string());
    if there {
        xml::attribute(out, "expires", &contact.expires_secs.to_string());
    }
    let q = contact.q.min(1000);
    xml::attribute(out, "q", &format!("{}.{:03}", q / 1000, q % 1000));
    xml::attribute(out, "callid", &contact.call_id);
    xml::attribute(out, "cseq", &contact.cseq.to_string());
    out.push('>');
    xml::element(out, "uri", &contact.uri);
    out.push_str("</contact>\n");
}

/// A name for a contact that stays the same as long as its URI does (RFC 3680 §5.2): FNV-1a, whose value is the same everywhere.
fn id_of(uri: &str) -> String {
    let hash = uri.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("c{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Duration;

    fn contact(uri: &str, state: ContactState) -> ContactFacts {
        ContactFacts {
            uri: uri.into(),
            state,
            expires_secs: 50,
            registered_at: WallTime::from_millis(0),
            q: 500,
            call_id: "r&1".into(),
            cseq: 7,
        }
    }

    #[test]
    fn contacts_are_told_with_what_became_of_them() {
        let now = WallTime::from_millis(0) + Duration::from_secs(10);
        let list = [
            contact("sip:1001@127.0.0.9", ContactState::Registered),
            contact("sip:1001@127.0.0.8", ContactState::Expired),
        ];
        let text = write("sip:1001@example.test", 2, now, list.iter());
        insta::assert_snapshot!(text, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="2" state="full">
        <registration aor="sip:1001@example.test" id="r1" state="active">
        <contact id="c5e9ab720071b42e8" state="active" event="registered" duration-registered="10" expires="50" q="0.500" callid="r&amp;1" cseq="7"><uri>sip:1001@127.0.0.9</uri></contact>
        <contact id="c5e9ab820071b449b" state="terminated" event="expired" duration-registered="10" q="0.500" callid="r&amp;1" cseq="7"><uri>sip:1001@127.0.0.8</uri></contact>
        </registration>
        </reginfo>
        "#);
        let text = write("sip:a@x", 0, now, list.iter().skip(1));
        assert!(text.contains("id=\"r1\" state=\"terminated\""));
        let text = write("sip:a@x", 0, now, std::iter::empty());
        assert!(text.contains("id=\"r1\" state=\"init\""));
    }
}
