//! What a script or a seed tells a peer to do.

use crate::base::Duration;

/// What a phone does with an incoming call.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Rings, answers, and hangs up after `talk`, or leaves that to the other end.
    After {
        /// How long it rings.
        ring: Duration,
        /// How long it talks.
        talk: Option<Duration>,
    },
    /// 486.
    Busy,
    /// 603 after ringing that long.
    Decline(Duration),
    /// Rings for ever.
    Never,
    /// Does not even say that it rings.
    Mute,
}

/// How a phone says that it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HoldDialect {
    /// `a=sendonly` (RFC 3264 §8.4).
    SendOnly,
    /// `a=inactive`.
    Inactive,
    /// `c=IN IP4 0.0.0.0` (RFC 2543).
    ZeroAddress,
}

/// What a caller does with its call.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CallPlan {
    /// CANCEL after that long without an answer; `None`: for ever.
    pub patience: Option<Duration>,
    /// BYE that long after the answer; `None`: the other end hangs up.
    pub talk: Option<Duration>,
    /// Hold after that long, in that dialect, for that long.
    pub hold: Option<(Duration, HoldDialect, Duration)>,
    /// Keys to press, one a second, beginning one second after the answer.
    pub keys: String,
}

/// How a phone misbehaves.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Rudeness {
    /// ACK to a 2xx comes that late.
    pub late_ack: Option<Duration>,
    /// No ACK to a 2xx at all.
    pub no_ack: bool,
    /// Each 2xx to INVITE is sent three times at once.
    pub repeat_2xx: bool,
    /// The BYE comes with a wrong To tag first.
    pub wrong_tag: bool,
    /// Answers 200 although CANCEL has come.
    pub answer_after_cancel: bool,
    /// BYE is sent twice, as two transactions.
    pub bye_twice: bool,
    /// Sends responses to what nobody asked.
    pub stray_responses: bool,
    /// Sends messages that are no SIP.
    pub malformed: bool,
    /// Sends headers of tens of thousands of bytes.
    pub huge: bool,
}

/// What a peer is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Register now and stay registered.
    Register,
    /// Unregister.
    Unregister,
    /// Call a user part.
    Call(String, CallPlan),
    /// Hang up everything.
    HangUp,
    /// Hold every call.
    Hold(HoldDialect),
    /// Resume every call.
    Resume,
    /// Press a key in every call.
    Press(char),
    /// Answer that way from now on.
    Answer(Answer),
    /// Lose power: everything is forgotten, nothing is said.
    Vanish,
    /// Get power again (and register, if it did before).
    Return,
    /// Lose all connections.
    Reset,
    /// Use this password from now on.
    Password(String),
    /// Behave from now on: no rudeness, answer what rings, hang up what talks, call nobody.
    Heal,
    /// Unregister and stay silent.
    Retire,
}
