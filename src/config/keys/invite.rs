//! The keys of profiles and trunks that say how INVITE usages are run.

use super::parts::s;
use super::{Keys, Kind, key};

const TIMER: Keys = Keys::of(
    "`session-timer`",
    &[
        key(
            "expires",
            Kind::Duration(s(90), s(86_400)),
            "After how long a call that nobody refreshes is over.",
        )
        .default("\"30m\""),
        key(
            "min",
            Kind::Duration(s(90), s(86_400)),
            "The shortest such time that is taken; less gets 422.",
        )
        .default("\"90s\""),
        key(
            "refresher",
            Kind::OneOf(&["auto", "us", "peer"]),
            "Who refreshes, where the choice is ours.",
        )
        .default("\"auto\""),
    ],
);

/// `prack`
pub const PRACK: Kind = Kind::OneOf(&["off", "supported", "required"]);
/// `session-timer`
pub const SESSION_TIMER: Kind = Kind::Either(&[Kind::OneOf(&["off"]), Kind::Table(&TIMER)]);
/// `early-media`
pub const EARLY_MEDIA: Kind = Kind::OneOf(&["pass", "ring", "ignore"]);
