//! Is somebody still there? An OPTIONS in the dialog of every answered leg from time to time (RFC 3261 §11, §12.2.1.2).
//!
//! Audio that stops tells of a lost peer within half a minute. But a party on hold need not send any, and one whose audio never came is
//! not watched at all: without a question now and then such a call would outlive its parties for ever.

use super::calls::{Asked, Calls, Ctx};
use super::cause::Cause;
use super::due::Due;
use super::leg::{Leg, LegState};
use crate::base::{Duration, Key};
use crate::sip::{Method, Name, StatusCode};

/// Between two questions (guess: far below what a forgotten call costs, far above what a busy server would feel).
const PROBE: Duration = Duration::from_secs(300);

impl Calls {
    /// The leg is answered: it will be asked.
    pub(super) fn begin_probes(&mut self, ctx: &Ctx<'_>, key: Key<Leg>) {
        self.arm(key, Due::Probe, ctx.now.mono + PROBE);
    }

    /// Asks a leg that is due.
    pub(super) fn probe(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        if !self.legs.get(key).is_some_and(Leg::is_answered) {
            return;
        }
        self.begin_probes(ctx, key);
        self.ask(ctx, key, &Method::Options, Asked::Probe, |builder| {
            builder.header(Name::Accept, "application/sdp").finish()
        });
    }

    /// What came of it; no status when nothing came. Any answer but 481 shows that the dialog lives. Silence alone, which a proxy tells as
    /// 408, is held against a party only when its audio does not speak for it: a phone may be too simple to answer.
    pub(super) fn on_probe_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        status: Option<StatusCode>,
    ) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let heard = leg.audio.audible
            && !leg.holding
            && leg
                .audio
                .plan
                .as_ref()
                .is_some_and(|plan| plan.direction.receives());
        let lost = match status {
            Some(status) if status != StatusCode::REQUEST_TIMEOUT => {
                status == StatusCode::CALL_DOES_NOT_EXIST
            }
            Some(_) | None => !heard,
        };
        if lost && leg.state == LegState::Answered && leg.bye_when_acked.is_none() {
            self.lose_leg(ctx, key, Cause::PeerLost);
        }
    }
}
