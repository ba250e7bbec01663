//! How INVITE usages are run towards a peer: reliable provisionals, session timers, early media. One value per profile, and per trunk.

use crate::base::Duration;

/// Reliable provisional responses (RFC 3262).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Prack {
    /// Never: we neither offer them nor send them, and a caller who insists is refused with 420.
    Off,
    /// Offered on our calls; sent to a caller who insists, or who knows them and gets early media.
    #[default]
    Supported,
    /// Insisted on: a peer without them is refused with 421, and refuses us with 420.
    Required,
}

/// What becomes of audio that comes before the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EarlyMedia {
    /// The caller hears it (RFC 3960 §3).
    #[default]
    Pass,
    /// The caller hears its own phone's ringing tone instead.
    Ring,
    /// It does not count at all: only 180 rings.
    Ignore,
}

/// Who refreshes a session that has a timer, where the choice is ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Refresher {
    /// The peer when it called us and can, else we: as RFC 4028 §7.1 and §9 recommend.
    #[default]
    Auto,
    /// We.
    Us,
    /// The peer.
    Peer,
}

/// Session timers (RFC 4028).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionTimer {
    /// Session-Expires that we ask for and grant at most. Range `min`–24 h, default 30 min.
    pub expires: Duration,
    /// Min-SE: what is below gets 422. Range 90 s–24 h, default 90 s (RFC 4028 §4).
    pub min: Duration,
    /// Who refreshes. Default: `Auto`.
    pub refresher: Refresher,
}

/// RFC 4028 §4: the recommended interval.
pub const SESSION_EXPIRES: Duration = Duration::from_secs(1800);
/// RFC 4028 §4: the smallest interval that may be asked for.
pub const SESSION_MIN: Duration = Duration::from_secs(90);

impl Default for SessionTimer {
    fn default() -> Self {
        SessionTimer {
            expires: SESSION_EXPIRES,
            min: SESSION_MIN,
            refresher: Refresher::Auto,
        }
    }
}

/// All of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvitePolicy {
    /// Reliable provisionals.
    pub prack: Prack,
    /// Early media that comes from the peer.
    pub early_media: EarlyMedia,
    /// It is believed who its callers are, and is told who ours are when they are not to be named (RFC 3324).
    pub trusted: bool,
    /// Session timers; `None`: we do not ask for them and grant none.
    pub session_timer: Option<SessionTimer>,
}

impl Default for InvitePolicy {
    fn default() -> Self {
        InvitePolicy {
            prack: Prack::Supported,
            early_media: EarlyMedia::Pass,
            trusted: false,
            session_timer: Some(SessionTimer::default()),
        }
    }
}
