//! The reference's wrap-ups: how long, what ends them, what a disposition does; and declines.

use std::sync::Arc;

use super::{ReferenceAcd, Timer, Work, reset_idle};
use crate::acd::{EndedBy, OfferOutcome, WorkItemId, WrapMode};
use crate::base::{Duration, Instant};

impl ReferenceAcd {
    pub(super) fn end_wrap(&mut self, now: Instant, i: usize) {
        if matches!(self.agents[i].work, Work::Wrap { .. }) {
            let name = self.agents[i].extension.clone();
            self.disarm(|t| matches!(t, Timer::Wrap(a, _) if *a == name));
            reset_idle(&mut self.agents[i], now);
            self.released(now, i);
        }
    }

    pub(super) fn misses(&self, i: usize) -> bool {
        matches!(self.agents[i].work, Work::Wrap { misses: true, .. })
    }

    pub(super) fn arm_wrap(&mut self, i: usize) {
        let name = self.agents[i].extension.clone();
        self.disarm(|t| matches!(t, Timer::Wrap(a, _) if *a == name));
        if let Work::Wrap { until, .. } = self.agents[i].work {
            self.arm(until, |n| Timer::Wrap(name, n));
        }
    }

    /// What came of it: a wrap-up that waits for nothing else ends.
    pub(super) fn dispose(&mut self, now: Instant, id: WorkItemId, code: &Arc<str>) {
        let queue = self.agents.iter().find_map(|a| match &a.work {
            Work::Talking { item, queue, .. } | Work::Wrap { item, queue, .. } if *item == id => {
                Some(queue.clone())
            }
            _ => None,
        });
        let Some(of) = queue.and_then(|name| self.queue(&name)) else {
            return;
        };
        if !of.dispositions.is_empty() && !of.dispositions.contains(code) {
            return;
        }
        let demands = of.disposition_required || of.wrap_mode == WrapMode::UntilDisposition;
        self.disposed.push(id);
        for i in 0..self.agents.len() {
            if let Work::Wrap {
                item,
                until,
                hard,
                timed,
                misses,
                ..
            } = &mut self.agents[i].work
                && *item == id
            {
                *misses = false;
                if demands && (!*timed || until == hard) {
                    self.end_wrap(now, i);
                }
            }
        }
    }

    pub(super) fn decline(&mut self, now: Instant, i: usize, reason: Option<&str>) {
        let Work::Rung {
            item,
            answered: false,
            ..
        } = self.agents[i].work
        else {
            return;
        };
        let Some(of) = self
            .items
            .iter()
            .find(|of| of.id == item)
            .and_then(|of| self.queue(&of.queue))
        else {
            return;
        };
        let taken = match reason {
            None => !of.decline.reason_required,
            Some(reason) => {
                of.decline.reasons.is_empty() || of.decline.reasons.iter().any(|r| &**r == reason)
            }
        };
        if taken {
            self.offer_ended(now, i, OfferOutcome::Declined);
        }
    }

    pub(super) fn segment_ended(&mut self, now: Instant, i: usize, id: WorkItemId, _by: EndedBy) {
        let Work::Talking { item, queue, .. } = self.agents[i].work.clone() else {
            return;
        };
        if item != id {
            return;
        }
        self.agents[i].handled.push(now);
        let Some(of) = self.queue(&queue) else { return };
        let most = self.settings.agents[i].wrap_up_max;
        let hard = of.wrap_hard_max;
        let timed = of.wrap_mode == WrapMode::Timed;
        let mut demands = of.disposition_required || of.wrap_mode == WrapMode::UntilDisposition;
        let said = self.disposed.contains(&id);
        let mut wrap = match of.wrap_mode {
            WrapMode::Timed => of.wrap_up.min(most.unwrap_or(of.wrap_up)).min(hard),
            WrapMode::UntilDisposition | WrapMode::Manual if said => Duration::ZERO,
            WrapMode::UntilDisposition | WrapMode::Manual => hard,
            WrapMode::None => {
                demands = false;
                Duration::ZERO
            }
        };
        let misses = demands && !said;
        if misses && wrap.is_zero() {
            wrap = hard;
        }
        if wrap.is_zero() || self.agents[i].leaving {
            reset_idle(&mut self.agents[i], now);
            self.released(now, i);
        } else {
            self.agents[i].work = Work::Wrap {
                item: id,
                queue,
                until: now + wrap,
                hard: now + hard,
                timed,
                misses,
            };
            self.arm_wrap(i);
        }
    }
}
