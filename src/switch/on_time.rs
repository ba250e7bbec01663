//! What is due: timers of the transactions, bindings, calls, the ACD and the switch itself.

use super::core::Switch;
use super::effect::Effects;
use super::record::Record;
use super::routing::{Phase, SwitchTimer};
use crate::base::{Duration, Key, Now};
use crate::call::Call;
use crate::dialplan::StepInput;

impl Switch {
    pub(super) fn on_tick(&mut self, now: Now, fx: &mut Effects) {
        self.with_tx(|tx, acts| tx.on_time(now, acts));
        self.work_off(now, fx);
        if self
            .registrar
            .next_deadline()
            .is_some_and(|at| at <= now.mono)
        {
            self.on_bindings_due(now, fx);
        }
        self.with_calls(now, |calls, ctx| calls.on_time(ctx));
        self.with_proxy(now, |proxy, ctx| proxy.on_time(ctx));
        self.work_off(now, fx);
        if self.acd.next_deadline().is_some_and(|at| at <= now.mono) {
            self.acd_on_time(now, fx);
            self.work_off(now, fx);
        }
        if self.trunks.next_deadline().is_some_and(|at| at <= now.mono) {
            self.on_trunks_due(now, fx);
            self.work_off(now, fx);
        }
        if self
            .notifier
            .next_deadline()
            .is_some_and(|at| at <= now.mono)
        {
            self.on_notifier_due(now, fx);
            self.work_off(now, fx);
        }
        if self.hours_due.is_some_and(|at| at <= now.mono) {
            self.look_at_hours(now);
            self.work_off(now, fx);
        }
        while let Some(timer) = self.timers.pop_due(now.mono) {
            match timer {
                SwitchTimer::Ring(call) => self.on_ring_timeout(now, call, fx),
                SwitchTimer::Keys(call) => self.on_keys_timeout(now, call, fx),
                SwitchTimer::Wait(call) => self.on_wait_over(now, call, fx),
                SwitchTimer::CallbackOffer(call) => self.on_callback_offer(now, call),
                SwitchTimer::Silence(leg) => self.on_gateway_silent(now, leg, fx),
                SwitchTimer::Room => self.on_room_look(now, fx),
                SwitchTimer::Alive => {
                    Self::journal(fx, Record::Alive { at: now.wall });
                    let due = now.mono + Duration::from_secs(1);
                    self.alive = Some(self.timers.set(due, SwitchTimer::Alive));
                }
            }
            self.work_off(now, fx);
        }
    }

    fn on_keys_timeout(&mut self, now: Now, call: Key<Call>, fx: &mut Effects) {
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        let Phase::Keys(keys) = &mut routing.phase else {
            return;
        };
        keys.timer = None;
        let digits = std::mem::take(&mut keys.digits);
        routing.phase = Phase::Running;
        let input = if digits.is_empty() {
            StepInput::NoDigits
        } else {
            StepInput::Digits(digits)
        };
        self.drive(now, call, input, fx);
    }

    fn on_wait_over(&mut self, now: Now, call: Key<Call>, fx: &mut Effects) {
        let Some(routing) = self.routings.get_mut(&call) else {
            return;
        };
        if matches!(routing.phase, Phase::Parked { .. }) {
            self.on_parked_too_long(now, call, fx);
            return;
        }
        if !matches!(routing.phase, Phase::Waiting(_)) {
            return;
        }
        routing.phase = Phase::Running;
        self.drive(now, call, StepInput::Done, fx);
    }
}
