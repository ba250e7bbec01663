//! Certificates run out: said in the log 30 days, 7 days and 1 day before and when it has happened, and on `/metrics` all the time.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Handle;
use crate::base::WallTime;
use crate::config::Settings;

/// Between two looks at the dates.
const LOOK: Duration = Duration::from_secs(3600);
/// Days before the end at which it is said; zero: it is over.
const DAYS: [i64; 4] = [0, 1, 7, 30];

/// What has been said of each certificate: the end of its validity, and the mark of [`DAYS`] that was passed.
#[derive(Default)]
struct Said(HashMap<String, (WallTime, i64)>);

impl Said {
    /// The lines that are due; each certificate passes each mark once.
    fn due(&mut self, settings: &Settings, now: WallTime) -> Vec<(String, i64)> {
        let mut lines = Vec::new();
        let mut kept = HashMap::new();
        for (owner, identity) in settings.identities() {
            let end = identity.valid.1;
            let left = (end.as_secs() - now.as_secs()).div_euclid(86_400);
            let mark = DAYS.into_iter().find(|days| left < *days);
            let before = self.0.get(&owner).filter(|(same, _)| *same == end);
            let passed = before.map_or(i64::MAX, |(_, passed)| *passed);
            if let Some(mark) = mark.filter(|mark| *mark < passed) {
                lines.push((owner.clone(), left));
                kept.insert(owner, (end, mark));
            } else {
                kept.insert(owner, (end, passed));
            }
        }
        self.0 = kept;
        lines
    }
}

fn now() -> WallTime {
    WallTime::from_timestamp(Timestamp::now())
}

/// Looks at the dates every hour, as long as the server runs.
pub async fn watch(handle: Handle) {
    let mut said = Said::default();
    loop {
        for (owner, days) in said.due(&handle.settings(), now()) {
            if days < 0 {
                tracing::error!(%owner, "a certificate has expired: peers refuse TLS; UDP and TCP go on");
            } else {
                tracing::warn!(%owner, days, "a certificate expires soon");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// `strowger_certificate_expires_seconds`: the time that is left, negative when it is over.
pub fn show(page: &mut Registry, settings: &Settings) {
    let family: Family<[(&'static str, String); 1], Gauge> = Family::default();
    let now = now().as_secs();
    for (owner, identity) in settings.identities() {
        let left = identity.valid.1.as_secs() - now;
        family.get_or_create(&[("of", owner)]).set(left);
    }
    page.register(
        "certificate_expires_seconds",
        "Seconds until a certificate of ours expires, negative when it has",
        family,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::porch_tests::{Authority, settings};

    #[test]
    fn each_mark_is_said_once_for_each_certificate() {
        let mut settings = settings(&Authority::new(), "", "");
        let end = settings.identities().next().expect("one").1.valid.1;
        let before = |days: i64| WallTime::from_micros(end.as_micros() - days * 86_400_000_000);
        let mut said = Said::default();
        assert_eq!(said.due(&settings, before(31)), []);
        let of = "profile main".to_owned();
        assert_eq!(said.due(&settings, before(29)), [(of.clone(), 29)]);
        assert_eq!(said.due(&settings, before(28)), []);
        assert_eq!(said.due(&settings, before(6)), [(of.clone(), 6)]);
        assert_eq!(said.due(&settings, before(5)), []);
        assert_eq!(said.due(&settings, before(-1)), [(of.clone(), -1)]);
        assert_eq!(said.due(&settings, before(-2)), []);
        // A new one begins anew.
        let mut profile = (*settings.profiles[0]).clone();
        let mut tls = (**profile.tls.as_ref().expect("tls")).clone();
        tls.identity.valid.1 = before(-20);
        profile.tls = Some(tls.into());
        settings.profiles[0] = profile.into();
        assert_eq!(said.due(&settings, before(-2)), [(of, 18)]);
    }
}
