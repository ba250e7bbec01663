//! Before the answer: the early dialogs of a leg that we call, and what the caller is let hear and told of them.
//!
//! A proxy behind the party may fork our INVITE, and each of its branches answers with a To tag of its own (RFC 3261 §12.1, §13.2.2.4).
//! The dialog that was last heard with a description or a reliable response is the leg's own; the others stand by in `forks`.

use bytes::Bytes;

use super::calls::{Call, CallEvent, Calls, Ctx};
use super::incoming::sdp_of;
use super::leg::{Allows, Leg, LegState, Role};
use super::policy::EarlyMedia;
use crate::base::Key;
use crate::dialog::offer_answer::Event;
use crate::dialog::{Dialog, OfferAnswer};
use crate::event::CallFact;
use crate::media::{MediaCommand, MediaPlan};
use crate::sip::{Message, Name, StatusCode};
use crate::transport::Flow;

/// Early dialogs of one INVITE beside the leg's own (guess: 16 in all; groups behind a carrier's proxy have fewer members).
pub(super) const FORKS_MAX: usize = 15;

/// An early dialog that stands by.
#[derive(Debug)]
pub struct Fork {
    dialog: Dialog,
    offers: OfferAnswer,
    rseq: Option<u32>,
    heard: Option<Bytes>,
    plan: Option<MediaPlan>,
    allows: Allows,
}

impl Fork {
    /// Its device is reached on another flow now.
    pub(super) fn move_to(&mut self, flow: Flow) {
        self.dialog.flow = flow;
    }

    fn new(dialog: Dialog) -> Fork {
        Fork {
            dialog,
            offers: offered(),
            rseq: None,
            heard: None,
            plan: None,
            allows: Allows::default(),
        }
    }
}

/// The exchange of a dialog that our INVITE with its offer opens.
pub(super) fn offered() -> OfferAnswer {
    let mut offers = OfferAnswer::calling();
    let fits = offers.on(Event::Offer);
    debug_assert!(fits.is_ok(), "the first offer of a dialog");
    offers
}

impl Leg {
    /// Makes the early dialog with this remote tag the leg's own; false when there is none.
    pub(super) fn select(&mut self, tag: &[u8]) -> bool {
        if self.has_tag(tag) {
            return true;
        }
        let Some(at) = self
            .forks
            .iter()
            .position(|fork| fork.dialog.remote_tag == tag)
        else {
            return false;
        };
        let fork = self.forks.swap_remove(at);
        self.enter(fork);
        true
    }

    fn has_tag(&self, tag: &[u8]) -> bool {
        self.dialog
            .as_ref()
            .is_some_and(|dialog| dialog.remote_tag == tag)
    }

    /// Puts `fork` in front; the dialog that was there stands by.
    fn enter(&mut self, fork: Fork) {
        let before = self.dialog.replace(fork.dialog).map(|dialog| Fork {
            dialog,
            offers: self.offers,
            rseq: self.rseq,
            heard: self.audio.heard.take(),
            plan: self.audio.plan.take(),
            allows: self.allows,
        });
        self.offers = fork.offers;
        self.rseq = fork.rseq;
        self.audio.heard = fork.heard;
        self.audio.plan = fork.plan;
        self.allows = fork.allows;
        self.forks.extend(before);
    }

    /// Takes the dialog that a response makes or has made. False when there are too many.
    fn open_early(&mut self, response: &Message, flow: Flow, in_front: bool) -> bool {
        let Some(tag) = response.to_tag() else {
            return true;
        };
        if self.has_tag(tag) {
            return true;
        }
        let known = self.forks.iter().any(|fork| fork.dialog.remote_tag == tag);
        if known {
            return !in_front || self.select(tag);
        }
        let Some(dialog) = Dialog::uac(&self.request, response, flow) else {
            return false;
        };
        if self.dialog.is_none() || in_front {
            if self.forks.len() >= FORKS_MAX {
                return false;
            }
            self.enter(Fork::new(dialog));
        } else if self.forks.len() < FORKS_MAX {
            self.forks.push(Fork::new(dialog));
        } else {
            return false;
        }
        true
    }

    /// The 2xx decides: its dialog is the leg's, the other early ones are over (RFC 3261 §13.2.2.4). False when it makes none.
    pub(super) fn confirm(&mut self, response: &Message, flow: Flow) -> bool {
        let tag = response.to_tag().unwrap_or_default();
        if self.select(tag) {
            if let Some(dialog) = self.dialog.as_mut() {
                dialog.confirm(response, flow);
            }
        } else {
            let Some(dialog) = Dialog::uac(&self.request, response, flow) else {
                return false;
            };
            self.enter(Fork::new(dialog));
        }
        self.forks.clear();
        self.offers.invite_out = false;
        self.allows.note(response);
        true
    }

    /// A new INVITE takes the place of the first: what its responses made is void.
    pub(super) fn forget_early(&mut self) {
        self.dialog = None;
        self.forks.clear();
        self.rseq = None;
        self.audio.heard = None;
        self.audio.plan = None;
        self.offers = offered();
    }
}

impl Calls {
    /// A provisional response above 100 to the INVITE of a leg.
    pub(super) fn progress(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        flow: Flow,
        response: &Message,
    ) {
        let Some(code) = response.status().map(StatusCode::as_u16) else {
            return;
        };
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        if code == StatusCode::EARLY_DIALOG_TERMINATED.as_u16() {
            // a branch behind the party is over, and the others go on (RFC 6228 §4)
            let tag = response.to_tag().unwrap_or_default();
            leg.forks.retain(|fork| fork.dialog.remote_tag != tag);
            return;
        }
        let body = sdp_of(response);
        let reliable = response.has_option_tag(Name::Require, "100rel");
        if !leg.open_early(response, flow, body.is_some() || reliable)
            || !self.acknowledge_provisional(ctx, key, response)
        {
            return;
        }
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let own = response.to_tag().is_none_or(|tag| leg.has_tag(tag));
        if own {
            leg.allows.note(response);
        }
        let call = leg.call;
        let policy = leg.policy.early_media;
        let role = leg.role;
        let first = leg.state != LegState::Ringing;
        leg.state = LegState::Ringing;
        if first {
            let (id, party) = (leg.id, leg.party.clone());
            if let Some(call) = self.calls.get(call) {
                ctx.fact(CallFact::Ringing {
                    call: call.id,
                    leg: id,
                    party,
                });
            }
        }
        let described = body.is_some();
        if let Some(body) = body {
            self.early_media(ctx, call, key, code, body, reliable);
        }
        let caller_answered = self.caller(call).is_some_and(Leg::is_answered);
        let rings = match policy {
            _ if role != Role::Callee => true,
            EarlyMedia::Ignore => code == 180,
            EarlyMedia::Ring => code == 180 || described || caller_answered,
            EarlyMedia::Pass => code == 180 || caller_answered,
        };
        if rings {
            let again = self
                .legs
                .get_mut(key)
                .is_none_or(|leg| std::mem::replace(&mut leg.rang, true));
            if !again {
                ctx.event(CallEvent::Ringing { call, leg: key });
            }
        } else if !described {
            self.pass_progress(ctx, call, code);
        }
    }

    /// 181, 182, or 183 without a description: the caller learns that something goes on, unless it knows better already.
    fn pass_progress(&mut self, ctx: &mut Ctx<'_>, call: Key<Call>, code: u16) {
        let Some(a) = self.calls.get(call).and_then(|call| call.a) else {
            return;
        };
        let knows_better = self
            .legs
            .get(a)
            .is_none_or(|leg| leg.rang || leg.audio.sent.is_some());
        if !knows_better {
            self.tell(ctx, a, code, None);
        }
    }

    /// A leg that rings sends a description: its ringing tone or announcement. The first one of an unanswered call is passed to the
    /// caller as early media (RFC 3960 §3.2); a queue's caller keeps its music. One that came reliably is the answer to our offer and
    /// stands, any other is a look at it.
    fn early_media(
        &mut self,
        ctx: &mut Ctx<'_>,
        call_key: Key<Call>,
        key: Key<Leg>,
        code: u16,
        body: Bytes,
        reliable: bool,
    ) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        // after the answer further descriptions mean nothing (RFC 3261 §13.2.1)
        if leg.offers.is_stable() || leg.audio.heard.as_ref() == Some(&body) && !reliable {
            return;
        }
        let Ok(plan) = self.read_answer(key, body.clone()) else {
            return;
        };
        let (payloads, direction) = (plan.payloads.clone(), plan.direction);
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        if reliable {
            let fits = leg.offers.on(Event::Answered);
            debug_assert!(fits.is_ok(), "our offer has no answer yet");
        }
        leg.audio.heard = Some(body);
        let (role, stream, policy) = (leg.role, leg.audio.stream, leg.policy.early_media);
        self.agree(ctx, key, plan);
        let Some(call) = self.calls.get(call_key) else {
            return;
        };
        let Some(a) = call.a else { return };
        let Some(caller) = self.legs.get(a) else {
            return;
        };
        if role != Role::Callee || policy != EarlyMedia::Pass || caller.state != LegState::Incoming
        {
            return;
        }
        if caller.audio.offer.is_some() {
            let Ok(sdp) = self.describe(ctx, a, payloads, direction.reversed()) else {
                return;
            };
            self.tell(ctx, a, code, Some(sdp));
        } else if call.early.is_some() || caller.audio.plan.is_none() {
            // somebody is heard already, or the caller has agreed to nothing yet
            return;
        }
        if let Some(call) = self.calls.get_mut(call_key) {
            call.early = Some(key);
        }
        let caller = self.legs.get(a).and_then(|leg| leg.audio.stream);
        if let (Some(a), Some(b)) = (caller, stream) {
            ctx.media(MediaCommand::Join { a, b });
        }
    }
}
