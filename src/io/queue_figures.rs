//! The figures of the queues on `/metrics`, each by the formula that the API and the reports use.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::acd::QueueView;

type Labels = [(&'static str, String); 1];
type Gauges = Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>;
type Counters = Family<Labels, Counter>;

/// What is shown of a queue at this moment.
type Now = (&'static str, &'static str, fn(&QueueView) -> Option<f64>);
/// What has been counted of a queue.
type Sum = (&'static str, &'static str, fn(&QueueView) -> u64);

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

const NOW: &[Now] = &[
    ("waiting", "Work items waiting", |q| {
        Some(f64::from(q.waiting))
    }),
    (
        "waiting_late",
        "Of these, for longer than the service level's time",
        |q| Some(f64::from(q.waiting_late)),
    ),
    ("closed", "1: callers are not taken now, 0: they are", |q| {
        Some(f64::from(u8::from(q.closed.is_some())))
    }),
    ("alerting", "Of these, rung for or being connected", |q| {
        Some(f64::from(q.alerting))
    }),
    ("talking", "Talking to an agent", |q| {
        Some(f64::from(q.talking))
    }),
    (
        "longest_wait_seconds",
        "Longest wait of those waiting",
        |q| Some(seconds(q.longest_wait_ms)),
    ),
    ("agents_logged_in", "Agents logged in", |q| {
        Some(f64::from(q.agents_logged_in))
    }),
    ("agents_ready", "Agents that want work", |q| {
        Some(f64::from(q.agents_ready))
    }),
    ("agents_free", "Agents free for a call this moment", |q| {
        Some(f64::from(q.agents_free))
    }),
    (
        "service_level",
        "Answered in time / (offered - short abandons)",
        |q| q.metrics.service_level,
    ),
    (
        "answer_speed_seconds",
        "Average wait of those answered",
        |q| q.metrics.average_speed_of_answer_ms.map(seconds),
    ),
    (
        "time_to_abandon_seconds",
        "Average wait of those who left, short abandons left out",
        |q| q.metrics.average_time_to_abandon_ms.map(seconds),
    ),
    (
        "abandonment_rate",
        "(Abandoned - short abandons) / (offered - short abandons)",
        |q| q.metrics.abandonment_rate,
    ),
    ("flow_out_rate", "Left by rule / offered", |q| {
        q.metrics.flow_out_rate
    }),
    (
        "handle_time_seconds",
        "Average of talk and wrap-up of an agent segment",
        |q| q.metrics.average_handle_time_ms.map(seconds),
    ),
    (
        "rona_rate",
        "AgentOffers not answered by a reachable device / AgentOffers",
        |q| q.metrics.rona_rate,
    ),
];

const SUMS: &[Sum] = &[
    ("offered", "Entries", |q| q.metrics.counters.offered),
    ("answered", "Bridged to an agent", |q| {
        q.metrics.counters.answered
    }),
    (
        "answered_in_time",
        "Of these, within the service level's time",
        |q| q.metrics.counters.answered_within,
    ),
    ("abandoned", "The caller left while waiting", |q| {
        q.metrics.counters.abandoned
    }),
    (
        "abandoned_short",
        "Of these, sooner than the short-abandon limit",
        |q| q.metrics.counters.abandoned_short,
    ),
    ("flowed_out", "Left by rule or by the dialplan", |q| {
        q.metrics.counters.flowed_out
    }),
    ("timed_out", "The longest wait was over", |q| {
        q.metrics.counters.timed_out
    }),
    ("withdrawn", "Taken out by staff or a program", |q| {
        q.metrics.counters.withdrawn
    }),
    ("offers", "AgentOffers made", |q| q.metrics.counters.offers),
    (
        "offers_rona",
        "AgentOffers that rang in vain on a reachable device",
        |q| q.metrics.counters.offer_results.rona,
    ),
];

/// Puts the figures of all queues on the page. What has nothing to be divided by yet is left out.
pub fn show(page: &mut Registry, queues: &[QueueView]) {
    let page = page.sub_registry_with_prefix("queue");
    for (name, help, figure) in NOW {
        let family = Gauges::default();
        for queue in queues {
            if let Some(value) = figure(queue) {
                family
                    .get_or_create(&[("queue", queue.name.to_string())])
                    .set(value);
            }
        }
        page.register(*name, *help, family);
    }
    for (name, help, figure) in SUMS {
        let family = Counters::default();
        for queue in queues {
            family
                .get_or_create(&[("queue", queue.name.to_string())])
                .inc_by(figure(queue));
        }
        page.register(*name, *help, family);
    }
}
