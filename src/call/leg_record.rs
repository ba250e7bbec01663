//! What is kept of a leg when it is over: its part of the call's record, and of a refusal who refused, where and why.

use super::leg::{Leg, LegState, Role};
use crate::base::WallTime;
use crate::event::{LegRecord, LegRefusal};
use crate::sip::{Message, Name};

/// Longest Reason that is kept, in characters (guess: a few values with a text each).
const REASON_CHARS_MAX: usize = 200;

impl Leg {
    /// Where it is signalled with: `UDP 192.0.2.1:5060`.
    pub fn peer(&self) -> String {
        format!("{} {}", self.flow.transport, self.flow.remote)
    }

    /// Its part of the record, as of now; the counts of its stream come later.
    pub fn record(&self, now: WallTime, status: u16) -> LegRecord {
        LegRecord {
            id: self.id,
            party: self.party.clone(),
            role: self.came_as.as_str().into(),
            started_at: self.started_at,
            answered_at: self.answered_at,
            ended_at: now,
            status,
            call_id: self.call_id(),
            packets: (0, 0),
            no_response: self.silent_since().is_some(),
            peer: Some(self.peer()),
            reason: self.reason.clone(),
        }
    }

    /// Who refused, where and why; nothing of a leg that came to be, or that we took back.
    pub(super) fn refusal(&self, status: u16) -> Option<Box<LegRefusal>> {
        let refused = status >= 300
            && self.role != Role::Caller
            && !matches!(self.state, LegState::Cancelling(_));
        refused.then(|| {
            Box::new(LegRefusal {
                party: self.party.clone(),
                peer: self.peer(),
                reason: self.reason.clone(),
            })
        })
    }

    /// Keeps why its peer refuses.
    pub(super) fn note_refusal(&mut self, response: &Message) {
        self.reason = reason(response);
    }
}

/// All Reason values of a message in one line that is safe to show; `None` without one.
fn reason(message: &Message) -> Option<String> {
    let values: Vec<String> = message
        .headers(Name::Reason)
        .map(|value| String::from_utf8_lossy(value.trim_ascii()).into_owned())
        .collect();
    if values.is_empty() {
        return None;
    }
    let shown = values.join(", ");
    let safe = shown.chars().filter(|c| !c.is_control());
    Some(safe.take(REASON_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(lines: &str) -> Message {
        let text = format!(
            "SIP/2.0 503 No\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\nFrom: <sip:a@192.0.2.9>;tag=1\r\n\
             To: <sip:b@192.0.2.1>;tag=2\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        Message::parse(bytes::Bytes::from(text)).expect("a response")
    }

    #[test]
    fn every_reason_of_a_refusal_is_kept_in_one_line_of_bounded_length() {
        assert_eq!(reason(&refusal("")), None);
        assert_eq!(
            reason(&refusal(
                "Reason: SIP;cause=503\r\nReason: Q.850;cause=34;text=\"no circuit\"\r\n"
            ))
            .as_deref(),
            Some("SIP;cause=503, Q.850;cause=34;text=\"no circuit\"")
        );
        let long = format!("Reason: Q.850;text=\"{}\"\r\n", "x".repeat(1_000));
        assert_eq!(
            reason(&refusal(&long)).map(|text| text.len()),
            Some(REASON_CHARS_MAX)
        );
    }
}
