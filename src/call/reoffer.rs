//! Two parties that did not call each other are brought together: each is offered what the other speaks (RFC 3261 §14, RFC 3264 §8).
//!
//! After a transfer, a pickup or a queue the parties of a bridge may have agreed with us on different codecs, or one may still be on
//! hold. A party is then asked with a re-INVITE of ours, and the other one after it if their codecs still differ.

use super::calls::{Calls, Ctx};
use super::leg::{Leg, Why};
use crate::base::{Duration, Instant, Key};
use crate::media::{self, MediaCommand, Payload};
use crate::sdp::Direction;

/// How often a party that is busy with another change is asked again before it is left as it is.
const TRIES_MAX: u8 = 12;

/// How soon it is asked again when it is we who must wait, for its ACK or its own change (guess).
const SOON: Duration = Duration::from_millis(500);

/// A re-INVITE of ours that is due or under way on a leg.
#[derive(Clone, Debug)]
pub struct Reoffer {
    /// What is offered, best first.
    payloads: Vec<Payload>,
    /// The other party is asked next, whether its codecs differ or not: it is told who is there now.
    both: bool,
    tries: u8,
    /// When it is tried, unless it is under way.
    at: Option<Instant>,
}

fn speech(payloads: &[Payload]) -> Vec<&Payload> {
    payloads
        .iter()
        .filter(|payload| payload.codec.is_speech())
        .collect()
}

impl Calls {
    /// Brings the two parties of a bridge to codecs that both have, each sending and receiving, and tells each who the other is.
    pub(super) fn reconcile(&mut self, ctx: &mut Ctx<'_>, first: Key<Leg>, second: Key<Leg>) {
        let theirs = self
            .legs
            .get(second)
            .and_then(|leg| leg.audio.plan.as_ref())
            .map(|plan| plan.payloads.clone())
            .unwrap_or_default();
        self.reoffer(ctx, first, theirs, true);
    }

    /// Asks `first` for the codecs of `second` if what it may send is not what `second` takes, or if it is on hold.
    pub(super) fn align(&mut self, ctx: &mut Ctx<'_>, first: Key<Leg>, second: Key<Leg>) {
        let plan = |key: Key<Leg>| self.legs.get(key).and_then(|leg| leg.audio.plan.as_ref());
        let (Some(ours), Some(theirs)) = (plan(first), plan(second)) else {
            return;
        };
        let spoken: Vec<_> = speech(&theirs.payloads)
            .iter()
            .map(|p| p.codec.clone())
            .collect();
        let understood = speech(&ours.payloads)
            .iter()
            .all(|payload| spoken.contains(&payload.codec));
        if understood && ours.direction == Direction::SendRecv {
            return;
        }
        let (both, theirs) = (ours.direction, theirs.payloads.clone());
        let flow = self.legs.get(first).map(|leg| leg.flow);
        let direct = flow.map(|flow| self.allowed(&flow, theirs.clone()));
        if both == Direction::SendRecv && direct.is_some_and(|direct| speech(&direct).is_empty()) {
            // its profile has nothing of this: there is nothing to ask for, speech is transcoded
            return;
        }
        self.reoffer(ctx, first, theirs, false);
    }

    /// Asks a party that is on hold for its audio again, with the codecs that it has.
    pub(super) fn wake(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let held = self
            .legs
            .get(key)
            .and_then(|leg| leg.audio.plan.as_ref())
            .is_some_and(|plan| plan.direction != Direction::SendRecv);
        if held {
            self.refresh(ctx, key);
        }
    }

    /// Asks `first` for the codecs of `second`: another party than before is there.
    pub(super) fn refresh_with(&mut self, ctx: &mut Ctx<'_>, first: Key<Leg>, second: Key<Leg>) {
        let plan = self
            .legs
            .get(second)
            .and_then(|leg| leg.audio.plan.as_ref());
        if let Some(plan) = plan {
            let payloads = plan.payloads.clone();
            self.reoffer(ctx, first, payloads, false);
        }
    }

    /// Asks a party for what it has agreed to, both ways, under the port that we have now.
    pub(super) fn refresh(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let plan = self.legs.get(key).and_then(|leg| leg.audio.plan.as_ref());
        if let Some(plan) = plan {
            let payloads = plan.payloads.clone();
            self.reoffer(ctx, key, payloads, false);
        }
    }

    fn reoffer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, payloads: Vec<Payload>, both: bool) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let under_way = leg.reoffer.is_some();
        let before = leg.reoffer.as_ref().and_then(|reoffer| reoffer.at);
        leg.reoffer = Some(Box::new(Reoffer {
            payloads,
            both,
            tries: 0,
            at: None,
        }));
        if let Some(at) = before {
            self.reoffers.remove(&(at, key));
        } else if under_way {
            // asked once more when the answer to the one under way is here
            self.ask_later(ctx, key, SOON);
            return;
        }
        self.try_reoffer(ctx, key);
    }

    fn ask_later(&mut self, ctx: &Ctx<'_>, key: Key<Leg>, wait: Duration) {
        let Some(reoffer) = self.legs.get_mut(key).and_then(|leg| leg.reoffer.as_mut()) else {
            return;
        };
        reoffer.tries += 1;
        if reoffer.tries > TRIES_MAX {
            self.end_reoffer(key);
            return;
        }
        let at = ctx.now.mono + wait;
        if let Some(before) = reoffer.at.replace(at) {
            self.reoffers.remove(&(before, key));
        }
        self.reoffers.insert((at, key));
    }

    /// The leg is over, or need not be asked any more.
    pub(super) fn end_reoffer(&mut self, key: Key<Leg>) {
        let reoffer = self.legs.get_mut(key).and_then(|leg| leg.reoffer.take());
        if let Some(at) = reoffer.and_then(|reoffer| reoffer.at) {
            self.reoffers.remove(&(at, key));
        }
    }

    /// Asks the parties that are due.
    pub(super) fn reoffers_due(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(&(at, key)) = self.reoffers.first() {
            if at > ctx.now.mono {
                break;
            }
            self.reoffers.pop_first();
            if let Some(reoffer) = self.legs.get_mut(key).and_then(|leg| leg.reoffer.as_mut()) {
                reoffer.at = None;
            }
            self.try_reoffer(ctx, key);
        }
    }

    fn try_reoffer(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let Some(reoffer) = leg.reoffer.as_deref().cloned() else {
            return;
        };
        if !leg.is_answered() || leg.bye_when_acked.is_some() {
            self.end_reoffer(key);
            return;
        }
        let mut payloads = self.allowed(&leg.flow, reoffer.payloads.clone());
        let own = leg
            .audio
            .plan
            .as_ref()
            .map(|plan| plan.payloads.clone())
            .unwrap_or_default();
        if !payloads.iter().any(|payload| payload.codec.is_speech()) {
            // nothing in common: its own codecs, so that it is off hold all the same
            payloads = own;
        } else if !own.iter().any(|payload| {
            payload.codec.is_speech() && payloads.iter().any(|p| p.same_format(payload))
        }) {
            // it may have nothing of this: then its own is transcoded
            payloads = media::widen(payloads, &own);
        }
        self.rename(key);
        let wanted = Some((payloads, Direction::SendRecv));
        if !self.begin_change(ctx, key, Why::Reoffer, wanted) {
            self.ask_later(ctx, key, SOON);
        }
    }

    /// Such a re-INVITE met one of the party's: it is tried again after this time.
    pub(super) fn reoffer_met(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, wait: Duration) {
        self.ask_later(ctx, key, wait);
    }

    /// The party has answered such a re-INVITE, with these payloads.
    pub(super) fn reoffer_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        answered: Vec<Payload>,
    ) {
        let reoffer = self.legs.get_mut(key).and_then(|leg| {
            // one that came in meanwhile has a time of its own
            match &leg.reoffer {
                Some(reoffer) if reoffer.at.is_none() => leg.reoffer.take(),
                _ => None,
            }
        });
        let Some(other) = self.other_party(key) else {
            return;
        };
        self.join(ctx, key, other);
        match reoffer {
            Some(reoffer) if reoffer.both => self.reoffer(ctx, other, answered, false),
            _ => self.align_once(ctx, other, key),
        }
    }

    /// [`Calls::align`], unless the one to be asked was just the one who answered.
    fn align_once(&mut self, ctx: &mut Ctx<'_>, first: Key<Leg>, second: Key<Leg>) {
        let settled = self
            .legs
            .get(first)
            .is_some_and(|leg| leg.reoffer.is_some() || leg.asking.is_some());
        let common = |key: Key<Leg>| {
            self.legs
                .get(key)
                .and_then(|leg| leg.audio.plan.as_ref())
                .map(|plan| {
                    speech(&plan.payloads)
                        .iter()
                        .map(|p| p.codec.clone())
                        .collect::<Vec<_>>()
                })
                .unwrap_or_default()
        };
        let (ours, theirs) = (common(first), common(second));
        // the first is narrowed to what the second takes; parties with nothing in common are left as they are, or this would never end
        let common = ours.iter().any(|codec| theirs.contains(codec));
        if !settled && common && ours.iter().any(|codec| !theirs.contains(codec)) {
            self.align(ctx, first, second);
        }
    }

    /// The leg at the other end of the bridge.
    pub(super) fn other_party(&self, key: Key<Leg>) -> Option<Key<Leg>> {
        let call = self.calls.get(self.legs.get(key)?.call)?;
        match (call.a, call.b) {
            (Some(a), Some(b)) if a == key => Some(b),
            (Some(a), Some(b)) if b == key => Some(a),
            _ => None,
        }
    }

    /// Joins the streams of two legs, when both have one. Who of them is held hears music.
    pub(super) fn join(&mut self, ctx: &mut Ctx<'_>, a: Key<Leg>, b: Key<Leg>) {
        self.couple(ctx, a, b);
        if let Some(key) = self.legs.get(a).map(|leg| leg.call) {
            if let Some(call) = self.calls.get_mut(key) {
                call.held = None;
            }
            self.tend_hold(ctx, key);
        }
    }

    /// Joins the streams of two legs, when both have one.
    pub(super) fn couple(&mut self, ctx: &mut Ctx<'_>, a: Key<Leg>, b: Key<Leg>) {
        let stream = |key: Key<Leg>| self.legs.get(key).and_then(|leg| leg.audio.stream);
        if let (Some(a), Some(b)) = (stream(a), stream(b)) {
            ctx.media(MediaCommand::Join { a, b });
        }
    }
}
