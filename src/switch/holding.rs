//! Calls that wait a moment for a trunk: all channels are in use, or the second has had its calls, and no other trunk took them.
//!
//! First come, first served: while one waits for a trunk, a new call does not overtake it.

use super::core::Switch;
use super::effect::Effects;
use super::routing::{Branch, SwitchTimer};
use crate::base::{Duration, Key, Now};
use crate::call::{Call, Endpoint};
use crate::sip::StatusCode;

/// Calls that wait at a time; more are refused at once.
const HELD_MAX: usize = 256;
/// Between two looks whether there is room.
const LOOK: Duration = Duration::from_millis(50);

impl Switch {
    /// True when somebody waits for the trunk.
    pub(super) fn is_waited_for(&mut self, trunk: &str) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let calls: Vec<Key<Call>> = self.held.iter().copied().collect();
        calls.into_iter().any(|call| {
            self.fork(call).is_some_and(|fork| {
                fork.held
                    .iter()
                    .flat_map(|branch| &branch.ways)
                    .any(|spec| matches!(&spec.endpoint, Endpoint::Trunk(name) if **name == *trunk))
            })
        })
    }

    /// Lets a branch wait whose ways are all through trunks without room; the branch comes back when it may not.
    pub(super) fn hold(
        &mut self,
        now: Now,
        call: Key<Call>,
        mut branch: Branch,
    ) -> Result<(), Branch> {
        let until = match branch.until {
            Some(until) => until,
            None => {
                let trunks = branch.ways.iter().filter_map(|spec| match &spec.endpoint {
                    Endpoint::Trunk(name) => self.settings.trunk(name),
                    Endpoint::Extension(_) | Endpoint::Unknown => None,
                });
                let wait = trunks.map(|trunk| trunk.wait).max().unwrap_or_default();
                if self.held.len() >= HELD_MAX {
                    return Err(branch);
                }
                now.mono + wait
            }
        };
        if until <= now.mono {
            return Err(branch);
        }
        branch.until = Some(until);
        let Some(fork) = self.fork(call) else {
            return Err(branch);
        };
        fork.held.push(branch);
        if !self.held.contains(&call) {
            self.held.push_back(call);
        }
        if self.room.is_none() {
            self.room = Some(self.timers.set(now.mono + LOOK, SwitchTimer::Room));
        }
        Ok(())
    }

    /// Looks whether there is room for those who wait, in the order in which they came.
    pub(super) fn on_room_look(&mut self, now: Now, fx: &mut Effects) {
        self.room = None;
        for call in std::mem::take(&mut self.held) {
            let Some(fork) = self.fork(call) else {
                continue;
            };
            for branch in std::mem::take(&mut fork.held) {
                self.try_ways(now, call, branch, true);
            }
            let Some(fork) = self.fork(call) else {
                continue;
            };
            if fork.ringing.is_empty() && fork.held.is_empty() {
                self.wave_failed(now, call, fx);
            }
        }
    }

    /// Nobody of a wave rings or waits any more: the next wave, or the end of the step.
    pub(super) fn wave_failed(&mut self, now: Now, call: Key<Call>, fx: &mut Effects) {
        if !self.next_wave(now, call) {
            self.fork_over(now, call, fx);
        }
    }

    /// A branch that found no room anywhere.
    pub(super) fn no_room(&mut self, call: Key<Call>) {
        if let Some(fork) = self.fork(call) {
            fork.best = super::dialing::better(fork.best, StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}
