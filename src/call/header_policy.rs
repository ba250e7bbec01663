//! Which headers may cross from one leg to the other: one table, and nothing crosses that it does not name.
//!
//! Everything else that the other side sees (From, To, Contact, Via, SDP) is written by us from checked values.

use crate::sip::{Message, Name};

/// On which message a header may cross.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// The INVITE that opens the other leg.
    Invite,
    /// A response to that INVITE, other than 100.
    Answer,
    /// BYE and CANCEL.
    End,
}

/// From which sort of peer it is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// Any authenticated peer.
    Anyone,
    /// Only a trunk.
    Trunk,
}

/// One permission.
pub struct Row {
    /// The header.
    pub name: Name,
    /// The message it may cross on.
    pub on: On,
    /// Who may send it.
    pub from: From,
    /// Why it is let through.
    pub why: &'static str,
}

/// The whole table.
pub const TABLE: &[Row] = &[
    Row {
        name: Name::Subject,
        on: On::Invite,
        from: From::Anyone,
        why: "what the call is about, shown by phones (RFC 3261 §20.36)",
    },
    Row {
        name: Name::UserToUser,
        on: On::Invite,
        from: From::Anyone,
        why: "end-to-end data of applications (RFC 7433)",
    },
    Row {
        name: Name::UserToUser,
        on: On::End,
        from: From::Anyone,
        why: "end-to-end data of applications at the end of a call (RFC 7433 §4)",
    },
    Row {
        name: Name::UserToUser,
        on: On::Answer,
        from: From::Anyone,
        why: "end-to-end data of applications of who rings, answers or refuses (RFC 7433 §4.2)",
    },
    Row {
        name: Name::AlertInfo,
        on: On::Invite,
        from: From::Trunk,
        why: "distinctive ringing chosen by the carrier (RFC 3261 §20.4)",
    },
    Row {
        name: Name::Reason,
        on: On::End,
        from: From::Anyone,
        why: "why the other side ended (RFC 3326 §2)",
    },
];

/// Most values that cross on one message: a BYE that one side fills with Reason headers must still fit into a datagram to the other.
const VALUES_MAX: usize = 8;

/// The values that may cross, in table order, at most [`VALUES_MAX`], each without CR, LF, NUL and other control characters.
pub fn crossing(message: &Message, on: On, from: From) -> impl Iterator<Item = (Name, &[u8])> {
    TABLE
        .iter()
        .filter(move |row| row.on == on && (row.from == From::Anyone || row.from == from))
        .flat_map(move |row| {
            message
                .headers(row.name)
                .map(move |value| (row.name, value))
        })
        .filter(|(_, value)| {
            value.len() <= 512 && !value.iter().any(|&byte| byte < 0x20 && byte != b'\t')
        })
        .filter(|(name, value)| *name != Name::AlertInfo || !makes_phones_answer(value))
        .take(VALUES_MAX)
}

/// True for an Alert-Info that tells phones to pick up by themselves (`info=alert-autoanswer`, `answer-after=0`, `auto-answer`): nobody
/// outside may listen into a room.
fn makes_phones_answer(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    [&b"answer"[..], b"intercom", b"autoans"]
        .iter()
        .any(|word| memchr::memmem::find(&value, word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_reasons_do_not_make_a_message_that_cannot_be_sent() {
        let reason = format!("Reason: SIP;text=\"{}\"\r\n", "x".repeat(400));
        let text = format!(
            "BYE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\n\
             From: <sip:a@192.0.2.9>;tag=1\r\nTo: <sip:a@192.0.2.1>;tag=2\r\nCall-ID: a\r\nCSeq: 1 BYE\r\n\
             {}Content-Length: 0\r\n\r\n",
            reason.repeat(100)
        );
        let bye = Message::parse(bytes::Bytes::from(text)).expect("a BYE");
        assert_eq!(crossing(&bye, On::End, From::Anyone).count(), VALUES_MAX);
    }

    #[test]
    fn a_carrier_chooses_the_ringing_but_makes_no_phone_pick_up() {
        let invite = |alert: &str| {
            let text = format!(
                "INVITE sip:1001@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\n\
                 From: <sip:a@192.0.2.9>;tag=1\r\nTo: <sip:1001@192.0.2.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\
                 Alert-Info: {alert}\r\nContent-Length: 0\r\n\r\n"
            );
            Message::parse(bytes::Bytes::from(text)).expect("an INVITE")
        };
        let crosses = |alert: &str| crossing(&invite(alert), On::Invite, From::Trunk).count() == 1;
        assert!(crosses("<urn:alert:source:external>"));
        assert!(!crosses("<http://a.invalid>;info=Alert-AutoAnswer"));
        assert!(!crosses("<sip:a>;Answer-After=0"));
        assert!(!crosses("Ring Answer"));
        assert!(!crosses("<urn:x>;info=intercom"));
    }
}
