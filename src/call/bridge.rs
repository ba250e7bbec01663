//! Two legs hear each other: connecting the winner, ending the losers.

use super::calls::{Call, CallOutput, Calls, Ctx};
use super::cause::Cause;
use super::leg::{Endpoint, Leg, LegState, Role};
use super::transfer::Unmet;
use crate::base::Key;
use crate::event::{CallFact, Outcome};
use crate::media::MediaCommand;

impl Calls {
    /// Lets the caller and an answered leg hear each other: answers the caller if that is still to be done, joins the streams. All
    /// other legs being called are cancelled with the Reason that says so. False when it cannot be done; then the leg has ended.
    pub fn connect(&mut self, ctx: &mut Ctx<'_>, call_key: Key<Call>, winner: Key<Leg>) -> bool {
        self.release_others(ctx, call_key, winner);
        let Some(a) = self.calls.get(call_key).and_then(|call| call.a) else {
            self.end_leg(ctx, winner, Cause::CallerGone);
            return false;
        };
        self.stop(ctx, call_key);
        let Some(plan) = self.legs.get(winner).and_then(|leg| leg.audio.plan.clone()) else {
            return false;
        };
        let answered = self.legs.get(a).is_some_and(Leg::is_answered);
        // the answer says who it is that answered
        if let Some(call) = self.calls.get_mut(call_key) {
            call.b = Some(winner);
        }
        if !answered
            && let Err(status) =
                self.answer_leg(ctx, a, plan.payloads.clone(), plan.direction.reversed())
        {
            self.end_leg(ctx, winner, Cause::NotAcceptable);
            self.hangup(
                ctx,
                call_key,
                Cause::Status(status),
                "system: no common codec",
            );
            return false;
        }
        let streams = (
            self.legs.get(a).and_then(|leg| leg.audio.stream),
            self.legs.get(winner).and_then(|leg| leg.audio.stream),
        );
        if let (Some(a), Some(b)) = streams {
            ctx.media(MediaCommand::Join { a, b });
        }
        let unmet = match self.calls.get_mut(call_key) {
            Some(call) => {
                if answered {
                    call.note_answered(ctx);
                }
                std::mem::replace(&mut call.unmet, Unmet::Nobody)
            }
            None => Unmet::Nobody,
        };
        let outside = |key: Key<Leg>| {
            let endpoint = self.legs.get(key).map(|leg| &leg.endpoint);
            matches!(endpoint, Some(Endpoint::Trunk(_)))
        };
        if answered && unmet == Unmet::Both && !(outside(a) && outside(winner)) {
            self.reconcile(ctx, a, winner);
        } else if answered && unmet == Unmet::Caller && !outside(a) {
            self.refresh_with(ctx, a, winner);
        } else if answered {
            // answered before the other was known: what it sends may be nothing that the other takes
            self.align(ctx, a, winner);
        }
        self.tend_hold(ctx, call_key);
        let a_id = self.legs.get(a).map(|leg| leg.id);
        let Some(leg) = self.legs.get(winner) else {
            return false;
        };
        let (b_id, role, party) = (leg.id, leg.role, leg.party.number.clone());
        let Some(call) = self.calls.get_mut(call_key) else {
            return false;
        };
        call.b = Some(winner);
        call.record.outcome = Outcome::Answered;
        if role == Role::Agent {
            call.record.agent = Some(party);
        }
        if let Some(a) = a_id {
            ctx.fact(CallFact::Bridged {
                call: call.id,
                a,
                b: b_id,
            });
        }
        true
    }

    /// Ends every other leg of the call that is not the caller's, telling it that the call was answered elsewhere.
    pub fn release_others(&mut self, ctx: &mut Ctx<'_>, call_key: Key<Call>, winner: Key<Leg>) {
        let Some(call) = self.calls.get(call_key) else {
            return;
        };
        let losers: Vec<Key<Leg>> = call
            .legs
            .iter()
            .copied()
            .filter(|&leg| leg != winner && Some(leg) != call.a && Some(leg) != call.transferor)
            .collect();
        for loser in losers {
            self.end_leg(ctx, loser, Cause::AnsweredElsewhere);
        }
    }

    /// Ends the legs of the call in this role that were not answered.
    pub fn cancel_open(
        &mut self,
        ctx: &mut Ctx<'_>,
        call_key: Key<Call>,
        role: Role,
        cause: Cause,
    ) {
        let Some(call) = self.calls.get(call_key) else {
            return;
        };
        let open: Vec<Key<Leg>> = call
            .legs
            .iter()
            .copied()
            .filter(|&leg| {
                self.legs.get(leg).is_some_and(|leg| {
                    leg.role == role && matches!(leg.state, LegState::Calling | LegState::Ringing)
                })
            })
            .collect();
        for leg in open {
            self.end_leg(ctx, leg, cause);
        }
    }

    /// Makes an answered leg that we dialled the caller of its call: the second half of an originated call.
    pub fn adopt_caller(&mut self, ctx: &mut Ctx<'_>, call_key: Key<Call>, key: Key<Leg>) {
        let Some(call) = self.calls.get_mut(call_key) else {
            return;
        };
        call.a = Some(key);
        call.record.answered_at = Some(ctx.now.wall);
        call.answered = Some(ctx.now.mono);
        ctx.out.push(CallOutput::Answered {
            id: call.id,
            at: ctx.now.wall,
        });
        let losers: Vec<Key<Leg>> = call
            .legs
            .iter()
            .copied()
            .filter(|&leg| leg != key)
            .collect();
        for loser in losers {
            self.end_leg(ctx, loser, Cause::AnsweredElsewhere);
        }
    }
}
