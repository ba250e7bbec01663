//! Why a call or a leg ends: one list, with the SIP status, the Q.850 cause and the words for each.

use crate::sip::StatusCode;

/// Why something ends, in our words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Somebody hung up.
    Normal,
    /// The callee is busy.
    Busy,
    /// It rang and nobody answered.
    NoAnswer,
    /// The callee declined.
    Declined,
    /// The callee has no device or does not answer at all.
    Unavailable,
    /// There is no such number.
    NotFound,
    /// Not allowed.
    Forbidden,
    /// No capacity: channels, ports, store.
    Congestion,
    /// The sides have no codec in common.
    NotAcceptable,
    /// The caller gave up before an answer.
    CallerGone,
    /// Another device or agent answered first.
    AnsweredElsewhere,
    /// No audio came for too long.
    MediaLost,
    /// The peer does not answer in its dialog.
    PeerLost,
    /// The session was not refreshed in time (RFC 4028 §10).
    SessionExpired,
    /// An operator or program ended it.
    Operator,
    /// The server shuts down.
    Shutdown,
    /// The peer's own final status.
    Status(StatusCode),
}

impl Cause {
    /// The final status for an INVITE that ends this way.
    pub fn status(self) -> StatusCode {
        let code = match self {
            Cause::Normal | Cause::NoAnswer | Cause::Unavailable => 480,
            Cause::Busy => 486,
            Cause::Declined => 603,
            Cause::NotFound => 404,
            Cause::Forbidden => 403,
            Cause::Congestion | Cause::Shutdown => 503,
            Cause::NotAcceptable => 488,
            Cause::CallerGone | Cause::AnsweredElsewhere | Cause::Operator => 487,
            Cause::MediaLost | Cause::PeerLost | Cause::SessionExpired => 408,
            Cause::Status(code) => return code,
        };
        StatusCode::new(code).expect("a status from 400 to 699")
    }

    /// The Q.850 cause value (ITU-T Q.850, mapped as RFC 3398 §8.2.6.1 does).
    pub fn q850(self) -> u8 {
        match self {
            Cause::Normal | Cause::Operator | Cause::CallerGone => 16,
            Cause::Busy => 17,
            Cause::NoAnswer => 19,
            Cause::Declined => 21,
            Cause::Unavailable => 20,
            Cause::NotFound => 1,
            Cause::Forbidden => 21,
            Cause::Congestion | Cause::Shutdown => 42,
            Cause::NotAcceptable => 88,
            Cause::AnsweredElsewhere => 26,
            Cause::MediaLost | Cause::PeerLost => 27,
            Cause::SessionExpired => 102,
            Cause::Status(code) => match code.as_u16() {
                404 | 485 | 604 => 1,
                480 => 18,
                408 | 504 => 102,
                410 => 22,
                486 | 600 => 17,
                401..=403 | 407 | 603 => 21,
                405 => 63,
                483 => 25,
                484 => 28,
                488 | 606 => 88,
                502 => 38,
                500..=599 => 41,
                _ => 31,
            },
        }
    }

    /// The value of a Reason header with the Q.850 cause (RFC 3326 §2).
    pub fn reason(self) -> String {
        format!("Q.850;cause={};text=\"{}\"", self.q850(), self.words())
    }

    /// For people: logs, records, Reason text.
    pub fn words(self) -> &'static str {
        match self {
            Cause::Normal => "hung up",
            Cause::Busy => "busy",
            Cause::NoAnswer => "no answer",
            Cause::Declined => "declined",
            Cause::Unavailable => "unavailable",
            Cause::NotFound => "no such number",
            Cause::Forbidden => "not allowed",
            Cause::Congestion => "no capacity",
            Cause::NotAcceptable => "no common codec",
            Cause::CallerGone => "caller gave up",
            Cause::AnsweredElsewhere => "answered elsewhere",
            Cause::MediaLost => "media lost",
            Cause::PeerLost => "peer lost",
            Cause::SessionExpired => "session timer expired",
            Cause::Operator => "ended by operator",
            Cause::Shutdown => "server stops",
            Cause::Status(code) => code.default_reason(),
        }
    }

    /// What a final status of a leg means. It reaches the caller as it is, but for 408 and 430: that a device did not answer us is, to the
    /// caller, that nobody can be reached.
    pub fn of_status(code: StatusCode) -> Cause {
        match code.as_u16() {
            486 => Cause::Busy,
            603 => Cause::Declined,
            480 | 408 | 430 => Cause::Unavailable,
            404 => Cause::NotFound,
            403 => Cause::Forbidden,
            488 => Cause::NotAcceptable,
            487 => Cause::CallerGone,
            503 => Cause::Congestion,
            _ => Cause::Status(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losing_leg_is_told_that_the_call_was_completed_elsewhere() {
        assert_eq!(
            Cause::AnsweredElsewhere.reason(),
            "Q.850;cause=26;text=\"answered elsewhere\""
        );
    }

    #[test]
    fn a_status_without_a_word_of_ours_has_the_cause_of_rfc_3398() {
        for (code, q850) in [
            (410, 22),
            (484, 28),
            (483, 25),
            (600, 17),
            (604, 1),
            (500, 41),
        ] {
            let code = StatusCode::new(code).expect("valid");
            assert_eq!(Cause::of_status(code).q850(), q850, "{code:?}");
        }
    }

    #[test]
    fn every_status_survives_the_way_through_a_cause() {
        for code in [403, 404, 410, 480, 484, 486, 488, 503, 600, 603, 604, 606] {
            let code = StatusCode::new(code).expect("valid");
            assert_eq!(Cause::of_status(code).status(), code);
        }
    }
}
