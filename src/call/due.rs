//! What is due on legs: one ordered set of times, at most one of each kind for a leg.

use super::calls::{Calls, Ctx};
use super::leg::Leg;
use crate::base::{Instant, Key};

/// What a leg may wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Due {
    /// Our reliable provisional response is sent again (RFC 3262 §3).
    Provisional,
    /// A request of ours that met one of the peer's is tried again (RFC 3261 §14.1).
    Retry,
    /// Our re-INVITE has had a provisional response and nothing after it.
    Change,
    /// The peer's UPDATE waits for the other leg.
    Crossing,
    /// The session is to be refreshed by us (RFC 4028 §10).
    Refresh,
    /// The session has not been refreshed in time (RFC 4028 §10), or the invitation to it is no longer good (RFC 3261 §13.3.1).
    Expiry,
    /// The peer is asked whether it is still there.
    Probe,
}

impl Due {
    /// How many kinds there are.
    pub const COUNT: usize = Due::Probe as usize + 1;
}

/// When each kind is due on a leg; `None`: it is not waited for.
pub(super) type DueTimes = [Option<Instant>; Due::COUNT];

impl Calls {
    /// Sets the time of one kind, whatever it was before.
    pub(super) fn arm(&mut self, key: Key<Leg>, what: Due, at: Instant) {
        let Some(slot) = self
            .legs
            .get_mut(key)
            .and_then(|leg| leg.due.get_mut(what as usize))
        else {
            return;
        };
        if let Some(before) = slot.replace(at) {
            self.due.remove(&(before, key, what));
        }
        self.due.insert((at, key, what));
    }

    /// One kind is not waited for any more.
    pub(super) fn disarm(&mut self, key: Key<Leg>, what: Due) {
        let before = self
            .legs
            .get_mut(key)
            .and_then(|leg| leg.due.get_mut(what as usize))
            .and_then(Option::take);
        if let Some(before) = before {
            self.due.remove(&(before, key, what));
        }
    }

    /// The leg is over: nothing is due on it.
    pub(super) fn disarm_all(&mut self, key: Key<Leg>) {
        for what in [
            Due::Provisional,
            Due::Retry,
            Due::Change,
            Due::Crossing,
            Due::Refresh,
            Due::Expiry,
            Due::Probe,
        ] {
            self.disarm(key, what);
        }
    }

    /// Does what is due on legs.
    pub(super) fn legs_due(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(&(at, key, what)) = self.due.first() {
            if at > ctx.now.mono {
                break;
            }
            self.disarm(key, what);
            match what {
                Due::Provisional => self.repeat_provisional(ctx, key),
                Due::Retry => self.retry_change(ctx, key),
                Due::Change => self.change_takes_too_long(ctx, key),
                Due::Crossing => self.crossing_takes_too_long(ctx, key),
                Due::Refresh => self.refresh_session(ctx, key),
                Due::Expiry => self.session_expired(ctx, key),
                Due::Probe => self.probe(ctx, key),
            }
        }
    }
}
