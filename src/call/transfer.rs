//! Transfers: who is taken out of a bridge, who stays, and how legs move from call to call (RFC 3515, RFC 5589).
//!
//! ```text
//!  a ═ b   ── b asks for it ──>  a, ringing is heard   (b is the transferor, in nobody's ear)
//!                                 ├── c answers ──> a ═ c, b gets its BYE
//!                                 └── nobody ─────> a ═ b again, while b is there
//! ```
//!
//! Whom the party may be transferred to, and what becomes of it, is the switch's to decide.

use super::calls::{Call, CallEvent, CallOutput, Calls, Ctx};
use super::cause::Cause;
use super::leg::{Leg, Role};
use crate::base::{Duration, Key, id};
use crate::event::{CallFact, Party};
use crate::media::{MediaCommand, StreamId};
use crate::sip::{Message, Method, Name, ReferTo, StatusCode};
use crate::transaction::ServerKey;

/// How long a transferor whose transfer is done may take to hang up by itself before it gets a BYE (guess: phones do it at once).
const LINGER: Duration = Duration::from_secs(2);

/// Who of a call's parties knows the other by a name that is not true any more when the two come together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unmet {
    /// Each was named to the other when the call was made.
    Nobody,
    /// Who is transferred: whom it reaches is rung in its name.
    Caller,
    /// Both: who is rung was told of somebody else, whose place another has taken since.
    Both,
}

/// Where the two parties of a bridge stood before a transfer, to be put back if it fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sides {
    /// Who is transferred.
    pub transferee: Key<Leg>,
    /// Who asked for it.
    pub transferor: Key<Leg>,
    /// The transferor had called.
    pub transferor_called: bool,
    /// What the transferee was to its call.
    pub role: Role,
}

impl Call {
    /// Somebody or something has answered. Whoever waits in another's place was answered in another call; this one is only now.
    pub(super) fn note_answered(&mut self, ctx: &mut Ctx<'_>) {
        if self.answered.is_some() {
            return;
        }
        self.answered = Some(ctx.now.mono);
        self.record.answered_at = Some(ctx.now.wall);
        let (id, at) = (self.id, ctx.now.wall);
        ctx.out.push(CallOutput::Answered { id, at });
    }
}

impl Calls {
    /// REFER in a dialog (RFC 3515 §2.4.2): read here, decided on by the switch.
    pub(super) fn on_refer(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
    ) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let call = leg.call;
        if !leg.is_answered() {
            self.reply(ctx, server, request, StatusCode::REQUEST_PENDING);
            return;
        }
        let mut values = request.headers(Name::ReferTo);
        let target = match (values.next(), values.next()) {
            (Some(value), None) => ReferTo::parse(value).ok(),
            _ => None,
        };
        let Some(target) = target else {
            self.reply(ctx, server, request, StatusCode::BAD_REQUEST);
            return;
        };
        let invites = target
            .method
            .as_deref()
            .is_none_or(|method| method.eq_ignore_ascii_case(Method::Invite.as_bytes()));
        if !invites {
            self.reply(ctx, server, request, StatusCode::FORBIDDEN);
            return;
        }
        if !self.open_referral(ctx, key, server, request) {
            self.reply(ctx, server, request, StatusCode::REQUEST_PENDING);
            return;
        }
        ctx.event(CallEvent::Refer {
            call,
            leg: key,
            to: Box::new(target),
        });
    }

    /// The party that `leg` talks to.
    pub fn talks_to(&self, leg: Key<Leg>) -> Option<Key<Leg>> {
        self.other_party(leg)
            .filter(|&other| self.legs.get(other).is_some_and(Leg::is_answered))
    }

    /// Takes the transferor out of the bridge: the other party becomes the caller of what follows, off hold. `None` when there is
    /// nobody to transfer.
    pub fn begin_transfer(&mut self, ctx: &mut Ctx<'_>, transferor: Key<Leg>) -> Option<Sides> {
        let transferee = self.talks_to(transferor)?;
        let key = self.legs.get(transferor)?.call;
        self.end_hold(ctx, key);
        let call = self.calls.get_mut(key)?;
        let transferor_called = call.a == Some(transferor);
        call.a = Some(transferee);
        call.b = None;
        call.transferor = Some(transferor);
        call.unmet = Unmet::Caller;
        let role = self.legs.get(transferee)?.role;
        let sides = Sides {
            transferee,
            transferor,
            transferor_called,
            role,
        };
        if role == Role::Callee {
            self.set_role(transferee, Role::Caller);
        }
        if let Some(stream) = self.legs.get(transferee).and_then(|leg| leg.audio.stream) {
            ctx.media(MediaCommand::Part { stream });
        }
        self.wake(ctx, transferee);
        Some(sides)
    }

    /// The transfer came to nothing and the transferor is still there: the two hear each other as before. False when one is gone.
    pub fn take_back(&mut self, ctx: &mut Ctx<'_>, sides: Sides) -> bool {
        let Some(key) = self.legs.get(sides.transferor).map(|leg| leg.call) else {
            return false;
        };
        let both = self.calls.get(key).is_some_and(|call| {
            call.transferor == Some(sides.transferor) && call.a == Some(sides.transferee)
        });
        if !both {
            return false;
        }
        self.stop(ctx, key);
        self.set_role(sides.transferee, sides.role);
        let Some(call) = self.calls.get_mut(key) else {
            return false;
        };
        call.transferor = None;
        call.unmet = Unmet::Nobody;
        (call.a, call.b) = if sides.transferor_called {
            (Some(sides.transferor), Some(sides.transferee))
        } else {
            (Some(sides.transferee), Some(sides.transferor))
        };
        self.join(ctx, sides.transferee, sides.transferor);
        true
    }

    /// The transferor's part is over: it gets its BYE, unless it hangs up first.
    pub fn dismiss(&mut self, ctx: &mut Ctx<'_>, transferor: Key<Leg>) {
        if self.legs.get(transferor).is_some_and(Leg::is_answered) {
            self.count_as_own(transferor);
            self.leaving.insert((ctx.now.mono + LINGER, transferor));
        }
    }

    /// Ends the legs whose part has been over for long enough.
    pub(super) fn leave_due(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(&(at, key)) = self.leaving.first() {
            if at > ctx.now.mono {
                break;
            }
            self.leaving.pop_first();
            let call = self.legs.get(key).map(|leg| leg.call);
            self.end_leg(ctx, key, Cause::Normal);
            if let Some(call) = call {
                self.close_if_over(ctx, call);
            }
        }
    }

    fn set_role(&mut self, key: Key<Leg>, role: Role) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let endpoint = leg.endpoint.clone();
        self.count_out(key, &endpoint);
        if let Some(leg) = self.legs.get_mut(key) {
            leg.role = role;
        }
        self.count_in(key);
    }

    /// Moves a leg into another call, where it takes the place of `instead`, which steps out of the bridge. In the call that it leaves,
    /// the record closes its part. Its audio goes on, or is opened anew where the other call's streams live.
    pub fn move_leg(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, instead: Key<Leg>) -> bool {
        let Some(target) = self.legs.get(instead).map(|leg| leg.call) else {
            return false;
        };
        let calls = self
            .calls
            .get(target)
            .is_some_and(|call| call.a == Some(instead));
        // whom a queue chose stays an agent until its leg ends
        let role = match self.legs.get(key).map(|leg| leg.role) {
            Some(Role::Agent) => Role::Agent,
            _ if calls => Role::Caller,
            _ => Role::Callee,
        };
        if !self.enter_call(ctx, key, target, role) {
            return false;
        }
        if let Some(call) = self.calls.get_mut(target) {
            if calls {
                call.a = Some(key);
            } else {
                call.b = Some(key);
            }
            call.transferor = Some(instead);
            if call.b.is_none() {
                call.unmet = Unmet::Both;
            }
        }
        true
    }

    /// Whoever was transferred is the caller of what follows, and whom it was transferred to is called, whichever of them came first.
    pub fn seat(&mut self, call: Key<Call>, transferee: Key<Leg>) {
        let Some(open) = self.calls.get_mut(call).filter(|c| c.b == Some(transferee)) else {
            return;
        };
        let target = open.a.replace(transferee);
        open.b = target;
        for (key, role) in [(Some(transferee), Role::Caller), (target, Role::Callee)] {
            let is =
                |role| key.is_some_and(|key| self.legs.get(key).is_some_and(|l| l.role == role));
            if let (Some(key), false) = (key, is(Role::Agent)) {
                self.set_role(key, role);
            }
        }
        // it came to be called, into the place of one who called
        if let Some(leg) = target.and_then(|key| self.legs.get_mut(key)) {
            leg.came_as = leg.role;
        }
    }

    /// Moves a leg into another call, in no place of it yet. False when that cannot be; then nothing has changed.
    pub fn enter_call(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        target: Key<Call>,
        role: Role,
    ) -> bool {
        if self.legs.get(key).is_none_or(|leg| leg.call == target) {
            return false;
        }
        let Some(open) = self.calls.get(target).filter(|call| !call.ending) else {
            return false;
        };
        let worker = (open.id.0 as u16) % self.workers;
        self.leave_call(ctx, key);
        let now = ctx.now.wall;
        let new_id = id::ulid(now, &mut self.entropy);
        let Some(leg) = self.legs.get_mut(key) else {
            return false;
        };
        leg.call = target;
        leg.id = new_id;
        leg.started_at = now;
        (leg.role, leg.came_as) = (role, role);
        leg.held_by_order = false;
        if leg.is_answered() {
            leg.answered_at = Some(now);
        }
        let stream = leg.audio.stream;
        if let Some(call) = self.calls.get_mut(target) {
            call.legs.push(key);
        }
        self.count_in(key);
        match stream {
            Some(stream) if stream.worker() == worker => {
                self.by_stream.insert(stream, target);
            }
            Some(stream) => self.replace_stream(ctx, key, stream),
            None => {}
        }
        true
    }

    /// Takes a leg out of its call without ending it.
    fn leave_call(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>) {
        self.finish_changes(ctx, key);
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let (from, endpoint, stream) = (leg.call, leg.endpoint.clone(), leg.audio.stream);
        self.end_hold(ctx, from);
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        if let Some(stream) = stream {
            ctx.media(MediaCommand::Part { stream });
        }
        let Some(call) = self.calls.get_mut(from) else {
            return;
        };
        call.legs.retain(|other| *other != key);
        for place in [
            &mut call.a,
            &mut call.b,
            &mut call.early,
            &mut call.transferor,
        ] {
            if *place == Some(key) {
                *place = None;
            }
        }
        call.record.legs.push(leg.record(ctx.now.wall, 200));
        ctx.fact(CallFact::LegEnded {
            call: call.id,
            leg: leg.id,
            status: 200,
            refusal: None,
            silent_since: None,
        });
        self.count_out(key, &endpoint);
    }

    /// After [`Calls::move_leg`]: the parties of the call are brought together, or the one that is there is off hold.
    pub fn settle_bridge(&mut self, ctx: &mut Ctx<'_>, key: Key<Call>) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        let (id, a, b) = (call.id, call.a, call.b);
        let Some(a) = a else { return };
        let Some(b) = b else {
            self.refresh(ctx, a);
            return;
        };
        if let Some(call) = self.calls.get_mut(key) {
            call.note_answered(ctx);
        }
        self.stop(ctx, key);
        self.join(ctx, a, b);
        self.reconcile(ctx, a, b);
        let legs = (self.legs.get(a), self.legs.get(b));
        if let (Some(a), Some(b)) = legs {
            ctx.fact(CallFact::Bridged {
                call: id,
                a: a.id,
                b: b.id,
            });
        }
    }

    /// Closes a stream that lives with another worker than those of the leg's call and opens one that can be joined. What was agreed
    /// holds for it; the party hears of the new port in the re-INVITE that follows.
    pub(super) fn replace_stream(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, stream: StreamId) {
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let port = leg.audio.port;
        leg.audio.stream = None;
        let plan = leg.audio.plan.clone();
        let local = leg.audio.local.clone();
        self.by_stream.remove(&stream);
        ctx.media(MediaCommand::Close { stream });
        self.ports.give_back(ctx.now, port);
        let Some(local) = local else { return };
        let opened = self.open_audio(ctx, key, local.payloads, local.direction);
        if let (Ok(_), Some(plan)) = (opened, plan) {
            self.agree(ctx, key, plan);
        }
    }

    /// Who the caller of `call` is now, for people: whom phones and carriers are shown.
    pub fn calling_party(&self, call: Key<Call>) -> Option<Party> {
        let open = self.calls.get(call)?;
        Some(
            self.caller(call)
                .map_or_else(|| open.record.from.clone(), |leg| leg.party.clone()),
        )
    }
}
