//! Reads `[registration]` of a profile.

use std::sync::Arc;

use super::Reading;
use crate::base::{Duration, Network};
use crate::config::fields::Fields;
use crate::registrar::{Nat, PathFrom, Policy};

/// What the table says; its defaults where it is absent.
pub(super) fn read(reading: &mut Reading<'_>, profile: &Fields<'_>) -> Policy {
    let seconds = Duration::from_secs;
    let fields = profile.fields("registration");
    let fields = fields.as_ref();
    let duration = |key| fields.and_then(|fields| fields.duration(key));
    let word = |key| fields.and_then(|fields| fields.text(key));
    let or_off = |key, default| match word(key) {
        Some("off") => None,
        Some(_) | None => Some(duration(key).unwrap_or(default)),
    };
    let networks = |key| -> Vec<Network> {
        let texts = fields.map(|fields| fields.texts(key)).unwrap_or_default();
        texts
            .into_iter()
            .filter_map(|(text, _)| Network::parse(text).ok())
            .collect()
    };
    let expires_min = duration("expires-min").unwrap_or(seconds(60));
    let expires_max = duration("expires-max").unwrap_or(seconds(3600).max(expires_min));
    let expires_default = duration("expires-default")
        .unwrap_or(seconds(3600).clamp(expires_min, expires_max.max(expires_min)));
    if let Some(fields) = fields {
        let show = crate::config::show_duration;
        if expires_max < expires_min {
            let message = format!(
                "`expires-max` is {}, less than `expires-min`, which is {}",
                show(expires_max),
                show(expires_min)
            );
            reading.error(fields.source, fields.span("expires-max"), message);
        } else if expires_default < expires_min || expires_default > expires_max {
            let message = format!(
                "`expires-default` is {}, not between `expires-min` and `expires-max`: {} and {}",
                show(expires_default),
                show(expires_min),
                show(expires_max)
            );
            reading.error(fields.source, fields.span("expires-default"), message);
        }
    }
    Policy {
        expires_min,
        expires_default,
        expires_max,
        expires_jitter: fields
            .and_then(|fields| fields.integer("expires-jitter"))
            .unwrap_or(10),
        contacts_max: fields
            .and_then(|fields| fields.integer("contacts-max"))
            .unwrap_or(10),
        replace_oldest: word("contacts-over") == Some("replace-oldest"),
        path: match word("path") {
            Some("accept") => PathFrom::Anybody,
            Some("off") => PathFrom::Nobody,
            _ if networks("path").is_empty() => PathFrom::Nobody,
            _ => PathFrom::Networks(networks("path")),
        },
        service_route: fields
            .map(|fields| fields.texts("service-route"))
            .unwrap_or_default()
            .into_iter()
            .map(|(uri, _)| match uri.contains(";lr") {
                true => Arc::from(format!("<{uri}>")),
                // a proxy that is named without it is meant as one all the same: strict routers died out
                false => Arc::from(format!("<{uri};lr>")),
            })
            .collect(),
        qualify: or_off("qualify", seconds(60)),
        nat: match word("nat") {
            Some("always") => Nat::Always,
            Some("never") => Nat::Never,
            Some("auto") => Nat::Auto,
            _ if networks("nat").is_empty() => Nat::Auto,
            _ => Nat::Networks(networks("nat")),
        },
        nat_ping: or_off("nat-ping", seconds(25)),
        flow_timer: duration("flow-timer").unwrap_or(seconds(120)),
        gruu: fields
            .and_then(|fields| fields.flag("gruu"))
            .unwrap_or(true),
    }
}
