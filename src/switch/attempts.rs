//! What came of the attempts to reach somebody for a call: for its outcome, for the ladder and for the log.

use std::sync::Arc;

use super::core::Switch;
use super::on_redirect::Moved;
use crate::base::Key;
use crate::call::{Call, CallOutput, Endpoint};
use crate::dialplan::{Action, DialOutcome};
use crate::event::{CallFact, Outcome, Party};

impl Switch {
    /// A dial step reached nobody.
    pub(super) fn note_failed(&mut self, call: Key<Call>, outcome: DialOutcome) {
        let Some(call) = self.calls.call_mut(call) else {
            return;
        };
        call.failed = match outcome {
            DialOutcome::Answered | DialOutcome::Cancelled => None,
            DialOutcome::Busy => Some(Outcome::Busy),
            DialOutcome::Declined => Some(Outcome::Declined),
            DialOutcome::NoAnswer => Some(Outcome::NoAnswer),
            DialOutcome::Failed(_) | DialOutcome::NotAllowed => Some(Outcome::Failed),
            // a carrier that cannot be used, or sends the call away, is no person who does not pick up
            DialOutcome::Unreachable => {
                let last = call.record.legs.last();
                Some(match last.is_some_and(|leg| leg.party.trunk.is_some()) {
                    true => Outcome::Failed,
                    false => Outcome::NoAnswer,
                })
            }
        };
    }

    /// The dialplan tries something else: what failed before counts no more.
    pub(super) fn begin_anew(&mut self, call: Key<Call>, action: &Action) {
        let anew = matches!(
            action,
            Action::Dial(_)
                | Action::Queue(_)
                | Action::Conference(_)
                | Action::Pickup(_)
                | Action::Park { .. }
                | Action::Feature(_)
        );
        if anew && let Some(call) = self.calls.call_mut(call) {
            call.failed = None;
        }
    }

    /// A party names somebody else: followed, or why not.
    pub(super) fn note_forwarded(&mut self, moved: &Moved, to: &str, refused: Option<&str>) {
        let Some(call) = self.calls.call(moved.call) else {
            return;
        };
        let (number, trunk): (Arc<str>, _) = match &moved.endpoint {
            Endpoint::Trunk(name) => (call.record.to.number.clone(), Some(name.clone())),
            Endpoint::Extension(extension) => (extension.clone(), None),
            Endpoint::Unknown => return,
        };
        let fact = CallFact::Forwarded {
            call: call.id,
            by: Party {
                number,
                name: None,
                trunk,
            },
            device: format!("{} {}", moved.flow.transport, moved.flow.remote),
            to: to.escape_debug().to_string(),
            status: moved.status.as_u16(),
            refused: refused.map(str::to_owned),
        };
        self.outputs.push_back(CallOutput::Fact(fact));
    }
}
