//! Rates, errors and durations: SIP messages by profile, calls by direction and by trunk, as `/metrics` shows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::trace::Heading;
use crate::event::{CallRecord, Direction, LegRecord, RegistrationFact};
use crate::switch::Fact;
use crate::transport::ProfileId;

/// Profiles counted by themselves; further ones share the last place.
const PROFILES_MAX: usize = 64;
/// The methods told apart, as they begin a request; everything else is `other`.
const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "UPDATE",
    "INFO",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "REFER",
    "MESSAGE",
];
/// Classes of responses, `1xx` to `6xx`.
const CLASSES: usize = 6;
/// Bounds of the time to answer and to ring, in seconds.
const SETUP_BOUNDS: [f64; 12] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0,
];
/// Bounds of the length of calls, in seconds.
const LENGTH_BOUNDS: [f64; 10] = [
    5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0,
];

/// Messages of one profile one way.
#[derive(Default)]
struct Counts {
    requests: [AtomicU64; METHODS.len() + 1],
    responses: [AtomicU64; CLASSES],
}

/// A call or a leg that is counted.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CallLabels {
    direction: &'static str,
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct DirectionLabel {
    direction: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TrunkLabels {
    trunk: String,
    direction: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TrunkFailure {
    trunk: String,
    direction: &'static str,
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

fn setups() -> Histogram {
    Histogram::new(SETUP_BOUNDS)
}

fn lengths() -> Histogram {
    Histogram::new(LENGTH_BOUNDS)
}

/// What is counted. The shard writes, `/metrics` reads.
pub struct Traffic {
    /// By profile and way: in, out.
    messages: Vec<[Counts; 2]>,
    calls: Family<CallLabels, Counter>,
    setup: Histograms<DirectionLabel>,
    length: Histograms<DirectionLabel>,
    trunk_attempts: Family<TrunkLabels, Counter>,
    trunk_answered: Family<TrunkLabels, Counter>,
    trunk_failed: Family<TrunkFailure, Counter>,
    trunk_setup: Histograms<TrunkLabels>,
    trunk_length: Histograms<TrunkLabels>,
    registrations_added: Counter,
    registrations_removed: Family<ReasonLabel, Counter>,
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic {
            messages: (0..PROFILES_MAX).map(|_| Default::default()).collect(),
            calls: Family::default(),
            setup: Family::new_with_constructor(setups),
            length: Family::new_with_constructor(lengths),
            trunk_attempts: Family::default(),
            trunk_answered: Family::default(),
            trunk_failed: Family::default(),
            trunk_setup: Family::new_with_constructor(setups),
            trunk_length: Family::new_with_constructor(lengths),
            registrations_added: Counter::default(),
            registrations_removed: Family::default(),
        }
    }
}

impl Traffic {
    /// Counts a message by its first line.
    pub fn message(&self, way: Heading, profile: ProfileId, bytes: &[u8]) {
        let place = usize::from(profile.0).min(PROFILES_MAX - 1);
        let Some(counts) = self
            .messages
            .get(place)
            .and_then(|ways| ways.get(way as usize))
        else {
            return;
        };
        let counter = match bytes.strip_prefix(b"SIP/2.0 ") {
            Some(status) => {
                let class = status
                    .first()
                    .map_or(u8::MAX, |digit| digit.wrapping_sub(b'1'));
                counts.responses.get(usize::from(class))
            }
            None => {
                let method = METHODS.iter().position(|name| {
                    bytes
                        .strip_prefix(name.as_bytes())
                        .is_some_and(|rest| rest.first() == Some(&b' '))
                });
                counts.requests.get(method.unwrap_or(METHODS.len()))
            }
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a call that is over, and each of its legs to or from a trunk.
    pub fn call(&self, call: &CallRecord) {
        let direction = match call.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
            Direction::Internal => "internal",
        };
        let outcome = call.outcome.as_str();
        let labels = CallLabels { direction, outcome };
        self.calls.get_or_create(&labels).inc();
        let label = DirectionLabel { direction };
        if let Some(answered) = call.answered_at {
            let setup = answered.since(call.started_at).as_secs_f64();
            self.setup.get_or_create(&label).observe(setup);
            self.length
                .get_or_create(&label)
                .observe(call.duration_secs);
        }
        for leg in &call.legs {
            self.leg(leg);
        }
    }

    fn leg(&self, leg: &LegRecord) {
        let Some(trunk) = &leg.party.trunk else {
            return;
        };
        let direction = if &*leg.role == "caller" {
            "inbound"
        } else {
            "outbound"
        };
        let labels = TrunkLabels {
            trunk: trunk.to_string(),
            direction,
        };
        self.trunk_attempts.get_or_create(&labels).inc();
        if let Some(answered) = leg.answered_at {
            self.trunk_answered.get_or_create(&labels).inc();
            let setup = answered.since(leg.started_at).as_secs_f64();
            self.trunk_setup.get_or_create(&labels).observe(setup);
            let length = leg.ended_at.since(answered).as_secs_f64();
            self.trunk_length.get_or_create(&labels).observe(length);
        } else {
            let TrunkLabels { trunk, direction } = labels;
            // a status is what a stranger says: two digits of it are enough
            let status = if (300..700).contains(&leg.status) {
                leg.status
            } else {
                0
            };
            let failure = TrunkFailure {
                trunk,
                direction,
                status,
            };
            self.trunk_failed.get_or_create(&failure).inc();
        }
    }

    /// Counts registrations.
    pub fn fact(&self, fact: &Fact) {
        match fact {
            Fact::Registration(RegistrationFact::Added { .. }) => {
                self.registrations_added.inc();
            }
            Fact::Registration(RegistrationFact::Removed { reason, .. }) => {
                let reason = match reason.as_str() {
                    "unregistered" => "unregistered",
                    "expired" => "expired",
                    "connection closed" => "connection-closed",
                    _ => "other",
                };
                self.registrations_removed
                    .get_or_create(&ReasonLabel { reason })
                    .inc();
            }
            _ => {}
        }
    }

    /// Puts everything on the page. `names` are the profiles in the order of their numbers.
    pub fn show(&self, page: &mut Registry, names: &[Arc<str>]) {
        self.show_messages(page, names);
        page.register("calls_ended", "Calls that are over", self.calls.clone());
        page.register_with_unit(
            "call_setup",
            "From the first INVITE until the caller was answered",
            Unit::Seconds,
            self.setup.clone(),
        );
        page.register_with_unit(
            "call_length",
            "Length of answered calls",
            Unit::Seconds,
            self.length.clone(),
        );
        page.register(
            "trunk_attempts",
            "Legs to and from trunks that are over",
            self.trunk_attempts.clone(),
        );
        page.register(
            "trunk_answered",
            "Of these, answered",
            self.trunk_answered.clone(),
        );
        page.register(
            "trunk_failed",
            "Of these, not answered, by final status",
            self.trunk_failed.clone(),
        );
        page.register_with_unit(
            "trunk_setup",
            "From INVITE to answer",
            Unit::Seconds,
            self.trunk_setup.clone(),
        );
        page.register_with_unit(
            "trunk_length",
            "From answer to end",
            Unit::Seconds,
            self.trunk_length.clone(),
        );
        page.register(
            "registrations_added",
            "Devices that registered",
            self.registrations_added.clone(),
        );
        page.register(
            "registrations_removed",
            "Devices that are gone",
            self.registrations_removed.clone(),
        );
    }

    fn show_messages(&self, page: &mut Registry, names: &[Arc<str>]) {
        type Labels = [(&'static str, String); 3];
        let requests: Family<Labels, Counter> = Family::default();
        let responses: Family<Labels, Counter> = Family::default();
        for (profile, ways) in self.messages.iter().enumerate().take(names.len()) {
            let profile = names.get(profile).map(ToString::to_string);
            for (direction, counts) in ["in", "out"].into_iter().zip(ways) {
                let labels = |name, value: String| {
                    [
                        ("profile", profile.clone().unwrap_or_default()),
                        ("direction", direction.to_owned()),
                        (name, value),
                    ]
                };
                let methods = METHODS.iter().chain(std::iter::once(&"other"));
                for (method, count) in methods.zip(&counts.requests) {
                    add(&requests, labels("method", (*method).to_owned()), count);
                }
                for (class, count) in (1..).zip(&counts.responses) {
                    add(&responses, labels("class", format!("{class}xx")), count);
                }
            }
        }
        page.register(
            "sip_requests",
            "SIP requests by profile, direction and method, without those that the guard dropped",
            requests,
        );
        page.register(
            "sip_responses",
            "SIP responses by profile, direction and class",
            responses,
        );
    }
}

fn add<const N: usize>(
    family: &Family<[(&'static str, String); N], Counter>,
    labels: [(&'static str, String); N],
    count: &AtomicU64,
) {
    match count.load(Ordering::Relaxed) {
        0 => {}
        count => {
            family.get_or_create(&labels).inc_by(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Ulid, WallTime};
    use crate::event::{Outcome, Party};

    fn page(traffic: &Traffic) -> String {
        let mut registry = Registry::with_prefix("x");
        traffic.show(&mut registry, &["internal".into(), "external".into()]);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        text
    }

    #[track_caller]
    fn has(page: &str, line: &str) {
        assert!(
            page.lines().any(|l| l == line),
            "{line} is missing in\n{page}"
        );
    }

    #[test]
    fn messages_are_counted_by_profile_way_and_kind() {
        let traffic = Traffic::default();
        for text in [
            "INVITE sip:x SIP/2.0\r\n",
            "INVITE sip:x SIP/2.0\r\n",
            "INVITED sip:x SIP/2.0\r\n",
            "SIP/2.0 200 OK\r\n",
            "SIP/2.0 999 Odd\r\n",
            "SIP/2.0 ",
        ] {
            traffic.message(Heading::In, ProfileId(1), text.as_bytes());
        }
        traffic.message(Heading::Out, ProfileId(0), b"SIP/2.0 404 Not Found\r\n");
        traffic.message(Heading::Out, ProfileId(9), b"SIP/2.0 404 Not Found\r\n");
        let page = page(&traffic);
        has(
            &page,
            r#"x_sip_requests_total{profile="external",direction="in",method="INVITE"} 2"#,
        );
        has(
            &page,
            r#"x_sip_requests_total{profile="external",direction="in",method="other"} 1"#,
        );
        has(
            &page,
            r#"x_sip_responses_total{profile="external",direction="in",class="2xx"} 1"#,
        );
        has(
            &page,
            r#"x_sip_responses_total{profile="internal",direction="out",class="4xx"} 1"#,
        );
        assert_eq!(page.matches("x_sip_responses_total{").count(), 2);
    }

    #[test]
    fn calls_are_counted_by_direction_and_trunk_with_their_times() {
        let at = WallTime::from_millis;
        let leg = |role: &str, trunk: Option<&str>, answered: Option<i64>, status| LegRecord {
            id: Ulid::default(),
            party: Party {
                trunk: trunk.map(Arc::from),
                ..Party::default()
            },
            role: role.into(),
            started_at: at(0),
            answered_at: answered.map(at),
            ended_at: at(70_000),
            status,
            call_id: String::new(),
            packets: (0, 0),
            peer: None,
            reason: None,
            no_response: false,
        };
        let traffic = Traffic::default();
        traffic.call(&CallRecord {
            id: Ulid::default(),
            direction: Direction::Inbound,
            from: Party::default(),
            to: Party::default(),
            started_at: at(0),
            answered_at: Some(at(3_000)),
            ended_at: Some(at(70_000)),
            outcome: Outcome::Answered,
            ended_by: String::new(),
            duration_secs: 67.0,
            queues: Vec::new(),
            agent: None,
            legs: vec![
                leg("caller", Some("acme"), Some(3_000), 200),
                leg("callee", Some("acme"), None, 486),
                leg("callee", None, Some(2_000), 200),
            ],
            transfers: Vec::new(),
            gates: Vec::new(),
            recovered: false,
        });
        let page = page(&traffic);
        for line in [
            r#"x_calls_ended_total{direction="inbound",outcome="answered"} 1"#,
            r#"x_call_setup_seconds_bucket{le="2.0",direction="inbound"} 0"#,
            r#"x_call_setup_seconds_bucket{le="4.0",direction="inbound"} 1"#,
            r#"x_call_length_seconds_sum{direction="inbound"} 67.0"#,
            r#"x_trunk_attempts_total{trunk="acme",direction="inbound"} 1"#,
            r#"x_trunk_attempts_total{trunk="acme",direction="outbound"} 1"#,
            r#"x_trunk_answered_total{trunk="acme",direction="inbound"} 1"#,
            r#"x_trunk_failed_total{trunk="acme",direction="outbound",status="486"} 1"#,
            r#"x_trunk_length_seconds_sum{trunk="acme",direction="inbound"} 67.0"#,
        ] {
            has(&page, line);
        }
    }
}
