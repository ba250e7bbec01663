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
    /// 302 to that user part at the domain.
    Redirect(String),
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
    /// Transfer the other end after that long.
    pub transfer: Option<(Duration, Transfer)>,
}

/// How a phone transfers (RFC 5589).
#[derive(Clone, Debug, PartialEq)]
pub enum Transfer {
    /// REFER to this user part.
    Blind(String),
    /// Hold, call this user part, and REFER with Replaces that long after it rings or talks.
    Attended(String, Duration),
}

/// What a gateway of a carrier does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mood {
    /// Serves.
    #[default]
    Up,
    /// Says nothing at all.
    Silent,
    /// 503 to calls, with that many seconds of Retry-After if it says any.
    Unavailable(Option<u32>),
    /// 403 to calls.
    Forbidden,
    /// Serves calls and answers no OPTIONS.
    NoOptions,
    /// Answers OPTIONS and not calls.
    NoCalls,
}

/// What a gateway does with our REGISTERs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Admits {
    /// Challenges once, then grants what is asked.
    #[default]
    All,
    /// Grants that many seconds at most.
    Cut(u32),
    /// 403.
    Nobody,
    /// Challenges again and again, whatever the proof.
    Challenges,
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
    /// Lose all connections, in order or abruptly.
    Reset,
    /// Send a REGISTER and lose the connection while it is under way.
    RegisterAndReset,
    /// Lose the way to the server so that nobody notices: connections stay half-open.
    HalfOpen,
    /// Lose one of two connections.
    ResetLane(u8),
    /// Subscribe to an event package of a user.
    Subscribe(&'static str, String),
    /// End all subscriptions.
    Unsubscribe,
    /// Send a text to a user.
    Message(String),
    /// Publish presence.
    Publish,
    /// Ask what a user can do (OPTIONS).
    Ask(String),
    /// As a gateway: be that way from now on.
    Mood(Mood),
    /// As a registrar of a carrier: be that way from now on.
    Admits(Admits),
    /// Call a user part after the trouble, to see whether calls reach it.
    Probe(String),
    /// Use this password from now on.
    Password(String),
    /// Behave from now on: no rudeness, answer what rings, hang up what talks, call nobody.
    Heal,
    /// Unregister and stay silent.
    Retire,
}
