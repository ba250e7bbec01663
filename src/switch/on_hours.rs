//! Opening hours of queues: the calendar is looked at when a minute begins, and the ACD is told.

use super::core::Switch;
use crate::acd::AcdCommand;
use crate::base::{Duration, Now};

const MINUTE_MICROS: i64 = 60_000_000;

impl Switch {
    /// Tells the ACD which queues are open now, and looks again when the next minute of the wall clock begins. It has no timer where no queue
    /// has hours.
    pub(super) fn look_at_hours(&mut self, now: Now) {
        let mut any = false;
        for queue in &self.settings.queues {
            let hours = queue.hours.as_deref();
            let hours = hours.and_then(|name| self.settings.dialplan.hours(name));
            any |= hours.is_some();
            self.orders.push_back(AcdCommand::QueueHours {
                queue: queue.acd.name.clone(),
                open: hours.is_none_or(|hours| hours.is_open(now.wall)),
            });
        }
        let left = MINUTE_MICROS - now.wall.as_micros().rem_euclid(MINUTE_MICROS);
        let left = Duration::from_micros(u64::try_from(left).unwrap_or_default());
        self.hours_due = any.then(|| now.mono + left);
    }
}
