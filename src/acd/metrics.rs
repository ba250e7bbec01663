//! Counters of queues and agents, and every figure derived from them with its formula.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::event::{CallbackEnd, OfferResult};
use crate::base::Duration;

/// Upper bounds, in seconds, of the classes in which waits are counted for median and 90th percentile.
const WAIT_BOUNDS_SECS: [u64; 30] = [
    1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 75, 90, 120, 150, 180, 240, 300, 420,
    600, 900, 1200, 1800, 3600, 86_400,
];

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The flow-out of a caller who chose to be called back.
pub(super) const CHOSE_CALLBACK: &str = "callback";

/// How a queue segment ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SegmentEnd {
    Answered,
    Abandoned,
    FlowedOut(Arc<str>),
    TimedOut,
    Withdrawn,
    Failed,
    /// Of a callback.
    Callback(CallbackEnd),
}

/// Sums of one queue since its counters began. `offered = answered + abandoned + flowed_out + timed_out + withdrawn + waiting` at
/// every instant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct QueueCounters {
    /// O: entries to the queue.
    pub offered: u64,
    /// A: bridged to an agent.
    pub answered: u64,
    /// A within the service level's time.
    pub answered_within: u64,
    /// B: the caller left while waiting or alerting.
    pub abandoned: u64,
    /// S: of B, sooner than the short-abandon limit.
    pub abandoned_short: u64,
    /// Of B, within the service level's time.
    pub abandoned_within: u64,
    /// Of B, while an agent was being rung.
    pub abandoned_while_alerting: u64,
    /// F: left by rule or by the dialplan.
    pub flowed_out: u64,
    /// F by reason, in order of the reason.
    #[schema(value_type = Object)]
    pub flowed_out_by: std::collections::BTreeMap<Arc<str>, u64>,
    /// T: longest wait over.
    pub timed_out: u64,
    /// W: taken out by staff or a program, or failed.
    pub withdrawn: u64,
    /// Of W: the call died with the process.
    pub failed: u64,
    /// Sum of wait of A, in milliseconds.
    pub wait_answered_ms: u64,
    /// Sum of wait of B − S, in milliseconds.
    pub wait_abandoned_ms: u64,
    /// Longest wait of any ended segment, in milliseconds.
    pub wait_max_ms: u64,
    /// A by wait: classes for median and percentile.
    pub wait_classes: Vec<u64>,
    /// Agent segments ended.
    pub handled: u64,
    /// Sum of talk of ended agent segments, in milliseconds.
    pub talk_ms: u64,
    /// Sum of ended wrap-ups, in milliseconds.
    pub wrap_ms: u64,
    /// Callbacks, which are counted apart from calls.
    pub callbacks: CallbackCounters,
    /// F by the caller's own choice: a callback instead of the wait.
    pub flowed_out_by_choice: u64,
    /// Wrap-ups that ended without the disposition that the queue demands.
    pub dispositions_missing: u64,
    /// Dispositions by code.
    #[schema(value_type = Object)]
    pub dispositions: std::collections::BTreeMap<Arc<str>, u64>,
    /// AgentOffers made.
    pub offers: u64,
    /// AgentOffers by what they came to.
    pub offer_results: OfferCounters,
    /// Declined AgentOffers by the reason given.
    #[schema(value_type = Object)]
    pub declined_by: std::collections::BTreeMap<Arc<str>, u64>,
    /// Times that a work item was passed over because an agent could not serve it.
    pub bypassed: u64,
}

/// Callbacks of one queue. `promised = connected + failed + expired + cancelled + superseded + open` at every instant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CallbackCounters {
    /// Promised.
    pub promised: u64,
    /// Asked for again by a number that has one: the first is kept.
    pub duplicates: u64,
    /// Asked for above the cap.
    pub over_cap: u64,
    /// Agent and customer talked.
    pub connected: u64,
    /// Of these, within the service level's time from the first arrival.
    pub connected_within: u64,
    /// Tries in which the customer could not be had.
    pub attempts_failed: u64,
    /// Given up after the last try.
    pub failed: u64,
    /// Expired.
    pub expired: u64,
    /// Taken back.
    pub cancelled: u64,
    /// The customer called in and took its place.
    pub superseded: u64,
}

impl CallbackCounters {
    /// True when every promise is accounted for, `open` being those that are not over.
    pub fn identity_holds(&self, open: u64) -> bool {
        let over = self.connected + self.failed + self.expired + self.cancelled + self.superseded;
        self.promised == over + open
    }
}

/// AgentOffers by what they came to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OfferCounters {
    /// Bridged.
    pub answered: u64,
    /// Rang in vain on a reachable device.
    pub rona: u64,
    /// Refused.
    pub declined: u64,
    /// Busy although our table said free.
    pub busy: u64,
    /// No device could be reached.
    pub unreachable: u64,
    /// Redirections, which queues do not follow.
    pub redirect_refused: u64,
    /// Answered without media.
    pub answer_no_media: u64,
    /// Answered and dropped before the bridge.
    pub answer_then_drop: u64,
    /// Answered, but the customer of the callback could not be had.
    pub customer_not_reached: u64,
    /// Any other failure.
    pub failed: u64,
    /// Cancelled by us: answered elsewhere, caller gone, withdrawn.
    pub cancelled: u64,
}

impl OfferCounters {
    pub(super) fn count(&mut self, result: OfferResult) {
        let counter = match result {
            OfferResult::Rona => &mut self.rona,
            OfferResult::Declined => &mut self.declined,
            OfferResult::Busy => &mut self.busy,
            OfferResult::Unreachable => &mut self.unreachable,
            OfferResult::RedirectRefused => &mut self.redirect_refused,
            OfferResult::AnswerNoMedia => &mut self.answer_no_media,
            OfferResult::AnswerThenDrop => &mut self.answer_then_drop,
            OfferResult::CustomerNotReached => &mut self.customer_not_reached,
            OfferResult::Failed => &mut self.failed,
            OfferResult::Cancelled(_) => &mut self.cancelled,
        };
        *counter += 1;
    }

    /// All AgentOffers that have ended one way or the other.
    pub fn total(&self) -> u64 {
        self.answered
            + self.rona
            + self.declined
            + self.busy
            + self.unreachable
            + self.redirect_refused
            + self.answer_no_media
            + self.answer_then_drop
            + self.customer_not_reached
            + self.failed
            + self.cancelled
    }
}

impl QueueCounters {
    /// Counts the end of one queue segment that waited `wait`.
    pub(super) fn ended(
        &mut self,
        end: &SegmentEnd,
        wait: Duration,
        within: Duration,
        short: Duration,
        while_alerting: bool,
    ) {
        let wait_ms = millis(wait);
        self.wait_max_ms = self.wait_max_ms.max(wait_ms);
        match end {
            SegmentEnd::Answered => {
                self.answered += 1;
                self.answered_within += u64::from(wait <= within);
                self.wait_answered_ms += wait_ms;
                self.wait_classes.resize(WAIT_BOUNDS_SECS.len(), 0);
                let class = WAIT_BOUNDS_SECS
                    .partition_point(|bound| bound * 1000 < wait_ms)
                    .min(WAIT_BOUNDS_SECS.len() - 1);
                if let Some(count) = self.wait_classes.get_mut(class) {
                    *count += 1;
                }
            }
            SegmentEnd::Abandoned => {
                self.abandoned += 1;
                self.abandoned_within += u64::from(wait <= within);
                self.abandoned_while_alerting += u64::from(while_alerting);
                if wait < short {
                    self.abandoned_short += 1;
                } else {
                    self.wait_abandoned_ms += wait_ms;
                }
            }
            SegmentEnd::FlowedOut(reason) => {
                self.flowed_out += 1;
                self.flowed_out_by_choice += u64::from(&**reason == CHOSE_CALLBACK);
                *self.flowed_out_by.entry(reason.clone()).or_default() += 1;
            }
            SegmentEnd::TimedOut => self.timed_out += 1,
            SegmentEnd::Withdrawn | SegmentEnd::Callback(_) => self.withdrawn += 1,
            SegmentEnd::Failed => {
                self.withdrawn += 1;
                self.failed += 1;
            }
        }
    }

    /// True when every entry is accounted for, `waiting` being Q₀.
    pub fn identity_holds(&self, waiting: u64) -> bool {
        self.offered
            == self.answered
                + self.abandoned
                + self.flowed_out
                + self.timed_out
                + self.withdrawn
                + waiting
    }

    fn wait_percentile_secs(&self, share: f64) -> Option<u64> {
        let total: u64 = self.wait_classes.iter().sum();
        if total == 0 {
            return None;
        }
        let wanted = ((total as f64) * share).ceil() as u64;
        let mut seen = 0;
        for (bound, count) in WAIT_BOUNDS_SECS.iter().zip(&self.wait_classes) {
            seen += count;
            if seen >= wanted {
                return Some(*bound);
            }
        }
        None
    }
}

/// Sums of one agent since log-in.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AgentCounters {
    /// AgentOffers made.
    pub offers: u64,
    /// AgentOffers by what they came to.
    pub offer_results: OfferCounters,
    /// Agent segments ended.
    pub handled: u64,
    /// Talk, in milliseconds.
    pub talk_ms: u64,
    /// Wrap-up, in milliseconds.
    pub wrap_ms: u64,
    /// Ready and free, in milliseconds, up to the last change.
    pub ready_ms: u64,
    /// Not ready and without work, in milliseconds, up to the last change.
    pub not_ready_ms: u64,
    /// Rung or being connected, in milliseconds, up to the last change.
    pub alerting_ms: u64,
    /// Unreachable, in milliseconds, up to the last change.
    pub unreachable_ms: u64,
}

impl AgentCounters {
    /// (talk + wrap) / (talk + wrap + ready and free), 0 to 1. Alerting and not ready are left out.
    pub fn occupancy(&self) -> Option<f64> {
        let busy = self.talk_ms + self.wrap_ms;
        ratio(busy, busy + self.ready_ms)
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What is reported of a queue. A share is 0 to 1 and `None` where there is nothing to divide by.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct QueueMetrics {
    /// The sums.
    pub counters: QueueCounters,
    /// Q₀: waiting now.
    pub waiting: u64,
    /// `O = A + B + F + T + W + Q₀` holds.
    pub identity_holds: bool,
    /// The service level's time, in milliseconds.
    pub within_ms: u64,
    /// The wanted share.
    pub target: f64,
    /// A(wait ≤ t) / (O − S − callers who chose a callback): short abandons are left out, late abandons count against.
    pub service_level: Option<f64>,
    /// Callbacks connected within t of the first arrival / callbacks promised; never mixed into the service level of calls.
    pub callback_service_level: Option<f64>,
    /// A(wait ≤ t) / O: everything counts.
    pub service_level_strict: Option<f64>,
    /// A(wait ≤ t) / A: flatters.
    pub service_level_answered_only: Option<f64>,
    /// (A(wait ≤ t) + B(wait ≤ t)) / (A + B).
    pub service_level_with_early_abandons: Option<f64>,
    /// Average speed of answer: Σ wait(A) / A, in milliseconds, from queue entry to bridge.
    pub average_speed_of_answer_ms: Option<u64>,
    /// Half of A waited no longer than this (upper bound of its class), in seconds.
    pub wait_median_secs: Option<u64>,
    /// Nine tenths of A waited no longer than this (upper bound of its class), in seconds.
    pub wait_p90_secs: Option<u64>,
    /// Σ wait(B − S) / (B − S), in milliseconds.
    pub average_time_to_abandon_ms: Option<u64>,
    /// (B − S) / (O − S).
    pub abandonment_rate: Option<f64>,
    /// B / O.
    pub abandonment_rate_with_short: Option<f64>,
    /// F / O.
    pub flow_out_rate: Option<f64>,
    /// Average handle time: (Σ talk + Σ wrap) / handled agent segments, in milliseconds.
    pub average_handle_time_ms: Option<u64>,
    /// Σ talk / handled, in milliseconds.
    pub average_talk_time_ms: Option<u64>,
    /// Σ wrap / handled, in milliseconds.
    pub average_wrap_up_ms: Option<u64>,
    /// AgentOffers not answered by a reachable device / AgentOffers.
    pub rona_rate: Option<f64>,
}

impl QueueMetrics {
    pub(super) fn of(
        counters: &QueueCounters,
        waiting: u64,
        within: Duration,
        target: f64,
    ) -> Self {
        let c = counters;
        let late_abandoned = c.abandoned - c.abandoned_short;
        let average = |sum: u64, count: u64| (count > 0).then(|| sum / count);
        QueueMetrics {
            waiting,
            identity_holds: c.identity_holds(waiting),
            within_ms: millis(within),
            target,
            service_level: ratio(
                c.answered_within,
                c.offered
                    .saturating_sub(c.abandoned_short + c.flowed_out_by_choice),
            ),
            callback_service_level: ratio(c.callbacks.connected_within, c.callbacks.promised),
            service_level_strict: ratio(c.answered_within, c.offered),
            service_level_answered_only: ratio(c.answered_within, c.answered),
            service_level_with_early_abandons: ratio(
                c.answered_within + c.abandoned_within,
                c.answered + c.abandoned,
            ),
            average_speed_of_answer_ms: average(c.wait_answered_ms, c.answered),
            wait_median_secs: c.wait_percentile_secs(0.5),
            wait_p90_secs: c.wait_percentile_secs(0.9),
            average_time_to_abandon_ms: average(c.wait_abandoned_ms, late_abandoned),
            abandonment_rate: ratio(late_abandoned, c.offered.saturating_sub(c.abandoned_short)),
            abandonment_rate_with_short: ratio(c.abandoned, c.offered),
            flow_out_rate: ratio(c.flowed_out, c.offered),
            average_handle_time_ms: average(c.talk_ms + c.wrap_ms, c.handled),
            average_talk_time_ms: average(c.talk_ms, c.handled),
            average_wrap_up_ms: average(c.wrap_ms, c.handled),
            rona_rate: ratio(c.offer_results.rona, c.offers),
            counters: counters.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_secs(5);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn day() -> QueueCounters {
        let mut c = QueueCounters {
            offered: 10,
            ..QueueCounters::default()
        };
        for wait in [5, 10, 20, 21, 60] {
            c.ended(&SegmentEnd::Answered, secs(wait), WITHIN, SHORT, false);
        }
        c.ended(&SegmentEnd::Abandoned, secs(2), WITHIN, SHORT, false);
        c.ended(&SegmentEnd::Abandoned, secs(40), WITHIN, SHORT, true);
        c.ended(
            &SegmentEnd::FlowedOut("waited".into()),
            secs(90),
            WITHIN,
            SHORT,
            false,
        );
        c.ended(&SegmentEnd::Withdrawn, secs(3), WITHIN, SHORT, false);
        c
    }

    #[test]
    fn entries_are_accounted_for_with_those_who_wait() {
        let c = day();
        assert!(c.identity_holds(1));
        assert!(!c.identity_holds(0));
    }

    #[test]
    fn service_level_leaves_short_abandons_out_and_late_ones_in() {
        let m = QueueMetrics::of(&day(), 1, WITHIN, 0.8);
        assert_eq!(m.service_level, Some(3.0 / 9.0));
        assert_eq!(m.service_level_strict, Some(3.0 / 10.0));
        assert_eq!(m.service_level_answered_only, Some(3.0 / 5.0));
        assert_eq!(m.service_level_with_early_abandons, Some(4.0 / 7.0));
    }

    #[test]
    fn averages_are_over_what_they_name() {
        let m = QueueMetrics::of(&day(), 1, WITHIN, 0.8);
        assert_eq!(
            m.average_speed_of_answer_ms,
            Some((5 + 10 + 20 + 21 + 60) * 1000 / 5)
        );
        assert_eq!(m.average_time_to_abandon_ms, Some(40_000));
        assert_eq!(m.abandonment_rate, Some(1.0 / 9.0));
        assert_eq!(m.abandonment_rate_with_short, Some(2.0 / 10.0));
        assert_eq!(m.flow_out_rate, Some(1.0 / 10.0));
        assert_eq!(m.wait_median_secs, Some(20));
        assert_eq!(m.wait_p90_secs, Some(60));
    }

    #[test]
    fn an_empty_queue_divides_by_nothing() {
        let m = QueueMetrics::of(&QueueCounters::default(), 0, WITHIN, 0.8);
        assert_eq!(m.service_level, None);
        assert_eq!(m.average_speed_of_answer_ms, None);
        assert!(m.identity_holds);
    }

    #[test]
    fn every_result_of_an_agent_offer_is_counted_once() {
        let mut c = OfferCounters::default();
        for result in [
            OfferResult::Rona,
            OfferResult::Declined,
            OfferResult::Busy,
            OfferResult::Unreachable,
            OfferResult::RedirectRefused,
            OfferResult::AnswerNoMedia,
            OfferResult::AnswerThenDrop,
            OfferResult::CustomerNotReached,
            OfferResult::Failed,
            OfferResult::Cancelled(super::super::effect::CancelReason::CallerGone),
        ] {
            let before = c.total();
            c.count(result);
            assert_eq!(c.total(), before + 1, "{result:?}");
        }
    }
}
