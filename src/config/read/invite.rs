//! Reads how INVITE usages are run: `prack`, `session-timer`, `early-media` and `trusted` of a profile or trunk.

use super::Reading;
use crate::call::{EarlyMedia, InvitePolicy, Prack, Refresher, SESSION_MIN, SessionTimer};
use crate::config::fields::Fields;

/// Reads the keys; what is absent is as in `default`.
pub fn read(reading: &mut Reading<'_>, fields: &Fields<'_>, default: InvitePolicy) -> InvitePolicy {
    InvitePolicy {
        prack: fields
            .one_of(
                "prack",
                &[
                    ("off", Prack::Off),
                    ("supported", Prack::Supported),
                    ("required", Prack::Required),
                ],
            )
            .unwrap_or(default.prack),
        early_media: fields
            .one_of(
                "early-media",
                &[
                    ("pass", EarlyMedia::Pass),
                    ("ring", EarlyMedia::Ring),
                    ("ignore", EarlyMedia::Ignore),
                ],
            )
            .unwrap_or(default.early_media),
        trusted: fields.flag("trusted").unwrap_or(default.trusted),
        session_timer: match fields.text("session-timer") {
            Some("off") => None,
            Some(_) => default.session_timer,
            None => match fields.fields("session-timer") {
                Some(table) => Some(timer(reading, &table)),
                None => default.session_timer,
            },
        },
    }
}

fn timer(reading: &mut Reading<'_>, table: &Fields<'_>) -> SessionTimer {
    let default = SessionTimer::default();
    let min = table.duration("min").unwrap_or(default.min);
    let expires = table
        .duration("expires")
        .unwrap_or(default.expires.max(min));
    if expires < min && expires >= SESSION_MIN {
        let message =
            "`expires` is shorter than `min`: our own calls would be refused by our own rule";
        reading.error(table.source, table.span("expires"), message);
    }
    SessionTimer {
        expires,
        min,
        refresher: table
            .one_of(
                "refresher",
                &[
                    ("auto", Refresher::Auto),
                    ("us", Refresher::Us),
                    ("peer", Refresher::Peer),
                ],
            )
            .unwrap_or_default(),
    }
}
