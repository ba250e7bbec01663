//! Who is on hold hears music (RFC 5359 §2.3).
//!
//! A hold crosses to the other party, and with it what the holder sends. Where the holder's profile has music, the held party hears that
//! instead: its stream leaves the bridge and plays, until the holder takes the call back. A carrier that holds and sends keeps what it
//! sends: that is the music, or the announcement, of who is behind it.

use std::sync::Arc;

use super::calls::{Call, Calls, Ctx};
use super::leg::{Endpoint, Leg};
use crate::base::Key;
use crate::event::CallFact;
use crate::media::MediaCommand;
use crate::sdp::Direction;

/// What the held party of a bridge gets from us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The leg of who is held.
    pub leg: Key<Leg>,
    /// Music plays to it; else it hears nothing.
    pub music: bool,
}

impl Calls {
    /// The sound file that whoever `holder` holds hears, if any: that of the call's queue, or of the holder's profile. `sends`: the holder
    /// says that it sends something itself.
    fn music_of(&self, holder: &Leg, sends: bool) -> Option<Arc<str>> {
        let face = self.network.profile(holder.flow.profile)?;
        let ours = face.hold_music.clone()?;
        if sends && matches!(holder.endpoint, Endpoint::Trunk(_)) {
            return None;
        }
        let call = self.calls.get(holder.call)?;
        Some(call.queue_music.clone().unwrap_or(ours))
    }

    /// True when there is music for whom `holder` talks to.
    fn has_music(&self, holder: Key<Leg>) -> bool {
        let holds = self.legs.get(holder).filter(|leg| leg.is_answered());
        holds.is_some_and(|leg| self.music_of(leg, false).is_some())
            && self.talks_to(holder).is_some()
    }

    /// The direction that the other party is asked for when `holder` wants `wanted`: who is to hear our music must not be told that
    /// nothing comes.
    pub(super) fn crossing_direction(&self, holder: Key<Leg>, wanted: Direction) -> Direction {
        let other = self.other_party(holder).and_then(|key| self.legs.get(key));
        match wanted {
            Direction::Inactive
                if other.is_some_and(|leg| !leg.holding) && self.has_music(holder) =>
            {
                Direction::SendOnly
            }
            _ => wanted,
        }
    }

    /// The same for the answer to a party whose change `holder`, which holds on, has agreed to in `agreed`.
    pub(super) fn answering_direction(&self, holder: Key<Leg>, agreed: Direction) -> Direction {
        let holds = self.legs.get(holder).is_some_and(|leg| leg.holding);
        match agreed {
            Direction::Inactive if holds && self.has_music(holder) => Direction::SendOnly,
            _ => agreed,
        }
    }

    /// What the held party of a call should get now.
    fn held_now(&self, key: Key<Call>) -> Option<(Held, Option<Arc<str>>)> {
        let call = self.calls.get(key)?;
        let (a, b) = (call.a?, call.b?);
        let (a_leg, b_leg) = (self.legs.get(a)?, self.legs.get(b)?);
        if !a_leg.is_answered() || !b_leg.is_answered() {
            return None;
        }
        if a_leg.holds() && b_leg.holds() {
            // both have put their receivers down; what an order has parted stays so
            let it = Held {
                leg: b,
                music: false,
            };
            let ordered = a_leg.held_by_order || b_leg.held_by_order;
            return ordered.then_some((it, None));
        }
        let (holder, leg, held) = match (a_leg.holds(), b_leg.holds()) {
            (true, _) => (a_leg, b, b_leg),
            (_, true) => (b_leg, a, a_leg),
            (false, false) => return None,
        };
        let takes = held.audio.plan.as_ref()?.direction.sends();
        let sends = !holder.held_by_order && holder.audio.plan.as_ref()?.direction.receives();
        let music = self.music_of(holder, sends).filter(|_| takes);
        let it = Held {
            leg,
            music: music.is_some(),
        };
        (it.music || holder.held_by_order).then_some((it, music))
    }

    /// After any change of who holds whom, or of what they agreed on: music begins, or they hear each other again.
    pub(super) fn tend_hold(&mut self, ctx: &mut Ctx<'_>, key: Key<Call>) {
        let found = self.held_now(key);
        let wanted = found.as_ref().map(|(held, _)| *held);
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if call.held == wanted {
            return;
        }
        let before = std::mem::replace(&mut call.held, wanted);
        let (a, b) = (call.a, call.b);
        match found {
            Some((held, music)) => {
                let Some(stream) = self.legs.get(held.leg).and_then(|leg| leg.audio.stream) else {
                    return;
                };
                if before.is_some_and(|before| before.leg != held.leg)
                    && let (Some(a), Some(b)) = (a, b)
                {
                    self.couple(ctx, a, b);
                }
                match music {
                    Some(file) => {
                        let Some(call) = self.calls.get_mut(key) else {
                            return;
                        };
                        call.play = call.play.wrapping_add(1);
                        ctx.media(MediaCommand::Play {
                            stream,
                            play: call.play,
                            files: vec![file],
                            repeat: true,
                        });
                    }
                    None => {
                        ctx.media(MediaCommand::Part { stream });
                        if before.is_some_and(|before| before.music) {
                            ctx.media(MediaCommand::Stop { stream });
                        }
                    }
                }
            }
            None => {
                if let (Some(a), Some(b)) = (a, b) {
                    self.couple(ctx, a, b);
                }
            }
        }
    }

    /// A bridge ends: what plays to its held party ends with it.
    pub(super) fn end_hold(&mut self, ctx: &mut Ctx<'_>, key: Key<Call>) {
        let Some(held) = self.calls.get_mut(key).and_then(|call| call.held.take()) else {
            return;
        };
        let stream = self.legs.get(held.leg).and_then(|leg| leg.audio.stream);
        if let Some(stream) = stream.filter(|_| held.music) {
            ctx.media(MediaCommand::Stop { stream });
        }
    }

    /// Holds the other party of `by`, or takes it back, although the telephone of `by` does not know. False when `by` talks to nobody.
    pub fn hold_by_order(&mut self, ctx: &mut Ctx<'_>, by: Key<Leg>, hold: bool) -> bool {
        if self.talks_to(by).is_none() {
            return false;
        }
        let Some(leg) = self.legs.get_mut(by) else {
            return false;
        };
        if std::mem::replace(&mut leg.held_by_order, hold) == hold {
            return true;
        }
        let (key, id, by_phone) = (leg.call, leg.id, leg.holding);
        if let Some(call) = self.calls.get(key)
            && !by_phone
        {
            let call = call.id;
            ctx.fact(match hold {
                true => CallFact::Held { call, leg: id },
                false => CallFact::Resumed { call, leg: id },
            });
        }
        self.tend_hold(ctx, key);
        true
    }
}
