//! One party takes another's place: a call that rings is picked up, one that talks is taken over (RFC 3891).

use super::calls::{Call, Calls, Ctx};
use super::cause::Cause;
use super::incoming::{Incoming, Refusal};
use super::leg::{Endpoint, Invite, Leg, LegState, Role};
use crate::base::Key;
use crate::media::{self, MediaCommand};
use crate::sdp::Direction;
use crate::sip::{Replaces, StatusCode};

impl Calls {
    /// The dialog of ours that a Replaces names, by either side's view of it: our tag and Call-ID are enough to know it, and the
    /// peer's tag must fit where it is known (RFC 3891 §3).
    pub fn find_dialog(&self, replaces: &Replaces) -> Option<Key<Leg>> {
        let fits = |ours: &[u8], theirs: &[u8]| {
            let tag = crate::dialog::Tag::from_bytes(ours)?;
            let key = self.by_tag.get(&tag).copied()?;
            let leg = self.legs.get(key)?;
            let same = leg.request.call_id() == &replaces.call_id[..];
            let known = match (&leg.dialog, leg.invite) {
                (Some(dialog), _) if !leg.is_called_early() => dialog.remote_tag == theirs,
                (_, Invite::Server { .. }) => leg.request.from_tag() == Some(theirs),
                // an early dialog of a leg that we called: whatever tag it rings under
                (_, Invite::Client { .. }) => true,
            };
            (same && known).then_some(key)
        };
        fits(&replaces.to_tag, &replaces.from_tag)
            .or_else(|| fits(&replaces.from_tag, &replaces.to_tag))
    }

    /// True when both are the same configured party.
    pub fn same_party(&self, one: Key<Leg>, other: Key<Leg>) -> bool {
        match (self.legs.get(one), self.legs.get(other)) {
            (Some(one), Some(other)) => {
                one.endpoint == other.endpoint && one.endpoint != Endpoint::Unknown
            }
            _ => false,
        }
    }

    /// Opens a leg of `call` for an INVITE that is to take somebody's place there. An error is the final status to refuse it with.
    pub fn incoming_into(
        &mut self,
        ctx: &mut Ctx<'_>,
        incoming: Incoming,
        call: Key<Call>,
        role: Role,
    ) -> Result<Key<Leg>, Refusal> {
        let opening = self.read_opening(&incoming)?;
        if self.calls.get(call).is_none_or(|call| call.ending) {
            return Err(StatusCode::CALL_DOES_NOT_EXIST.into());
        }
        Ok(self.open_leg(ctx, incoming, opening, call, role))
    }

    /// Answers a leg that joins a call, with what both it and the party that it is to talk to speak. The status to refuse it with when
    /// they have nothing in common. A leg that is answered already stays as it is.
    pub fn answer_joining(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        partner: Option<Key<Leg>>,
    ) -> Result<(), StatusCode> {
        let leg = self.legs.get(key).ok_or(StatusCode::CALL_DOES_NOT_EXIST)?;
        if leg.is_answered() {
            // it may have come with another port than it was answered with
            self.refresh(ctx, key);
            return Ok(());
        }
        if leg.audio.offer.is_none() {
            // who comes without an offer would have to be waited for while the other one listens to nothing
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        }
        let theirs = partner.and_then(|partner| {
            let audio = &self.legs.get(partner)?.audio;
            match (&audio.plan, &audio.offer) {
                (Some(plan), _) => Some(plan.payloads.clone()),
                (None, Some(offer)) => Some(media::payloads_of(offer.session())),
                (None, None) => None,
            }
        });
        let payloads = match theirs {
            // what it has not in common with them is transcoded
            Some(theirs) => match self.allowed(&leg.flow, theirs.clone()) {
                direct if direct.iter().any(|p| p.codec.is_speech()) => direct,
                _ => self.bridgeable(&leg.flow, theirs),
            },
            None => self.our_codecs(&leg.flow, true),
        };
        if !payloads.iter().any(|payload| payload.codec.is_speech()) {
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        }
        self.answer_leg(ctx, key, payloads, Direction::SendRecv)
    }

    /// A leg that has been answered takes the place of `old`, which gets its BYE (RFC 3891 §3).
    pub fn take_over(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, old: Key<Leg>) {
        let partner = self.other_party(old);
        let Some(call_key) = self.legs.get(old).map(|leg| leg.call) else {
            return;
        };
        if let Some(stream) = self.legs.get(old).and_then(|leg| leg.audio.stream) {
            ctx.media(MediaCommand::Part { stream });
        }
        if let Some(call) = self.calls.get_mut(call_key) {
            for place in [&mut call.a, &mut call.b] {
                if *place == Some(old) {
                    *place = Some(key);
                }
            }
        }
        self.end_leg(ctx, old, Cause::AnsweredElsewhere);
        if let Some(partner) = partner {
            self.join(ctx, key, partner);
            self.refresh_with(ctx, partner, key);
        }
    }

    /// True for a leg that we called and that has not answered.
    pub fn is_ringing(&self, key: Key<Leg>) -> bool {
        self.legs
            .get(key)
            .is_some_and(|leg| matches!(leg.state, LegState::Calling | LegState::Ringing))
    }

    /// The oldest leg that rings for a callee that `wanted` knows.
    pub fn ringing_for(&self, wanted: impl Fn(&Endpoint) -> bool) -> Option<Key<Leg>> {
        self.by_id
            .values()
            .filter_map(|call| self.calls.get(*call))
            .flat_map(|call| &call.legs)
            .copied()
            .find(|&key| {
                self.is_ringing(key)
                    && self
                        .legs
                        .get(key)
                        .is_some_and(|leg| leg.role == Role::Callee && wanted(&leg.endpoint))
            })
    }
}
