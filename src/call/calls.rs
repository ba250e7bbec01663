//! The arena of calls and legs, and what every operation on them needs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::asking::Pending;
use super::cause::Cause;
use super::due::Due;
use super::farewell::Farewell;
use super::leg::{Endpoint, Leg, LegState, Role};
use super::loops::Cookie;
use super::music::Held;
use super::network::Network;
use super::parting::PartingOn;
use super::redirect::Redirect;
use super::referral::Referral;
use super::transfer::Unmet;
use crate::base::{Arena, Duration, Entropy, Instant, Key, Map, Now, Ulid, WallTime};
use crate::dialog::Tag;
use crate::event::{CallFact, CallRecord, Outcome, Party};
use crate::media::{MediaCommand, Ports, StreamId};
use crate::sip::{Message, ReferTo, StatusCode};
use crate::transaction::{Act, ClientKey, ServerKey, Transactions};
use crate::transport::Flow;

/// Whom the responses to a client transaction are for. What is not a call's is a number that only its room can read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum User {
    /// The INVITE that opens a leg.
    Invite(Key<Leg>),
    /// A request of ours in a leg's dialog.
    InDialog(Key<Leg>, Asked),
    /// An OPTIONS to a trunk's gateway, or a REGISTER at its registrar.
    Trunk(u64),
    /// A question to a registered flow whether it is alive.
    Health(u64),
    /// A NOTIFY of a subscription, or a MESSAGE that is passed on.
    Notify(u64),
    /// A request that is forwarded and belongs to no call.
    Proxy(u64),
    /// Nobody: its answer changes nothing.
    Nobody,
}

/// What a request of ours in a leg's dialog is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Asked {
    /// A re-INVITE, or an UPDATE that changes or refreshes the session.
    Change,
    /// A PRACK: its 2xx needs nothing more.
    Prack,
    /// An INFO that was passed on.
    Info,
    /// An OPTIONS, to see whether the peer is still there.
    Probe,
    /// The end of the dialog: whatever is answered, the leg is gone.
    Bye,
    /// A NOTIFY of how a transfer goes.
    Notify,
}

/// All legs under one control.
#[derive(Debug)]
pub struct Call {
    /// Its cluster-wide id.
    pub id: Ulid,
    /// The caller's leg, while it is there.
    pub a: Option<Key<Leg>>,
    /// The leg that the caller hears, once bridged.
    pub b: Option<Key<Leg>>,
    /// The leg of who asked for the transfer that is under way, or was: it is there, but in nobody's ear.
    pub transferor: Option<Key<Leg>>,
    /// Whom it is with, or is to be with, since a transfer: no longer whom its first caller asked for.
    pub with: Option<Party>,
    /// Who of its parties is not shown yet whom it talks to.
    pub unmet: Unmet,
    /// The leg whose early media the caller hears.
    pub early: Option<Key<Leg>>,
    /// Max-Breadth that the call came with, and the branches of its present fork (RFC 5393 §5.3.3).
    pub breadth: (u16, u16),
    /// What it asked for and on whose behalf, as a fingerprint (RFC 5393 §4.2).
    pub cookie: Option<Cookie>,
    /// Where the caller is sent instead, when it is refused with a 3xx: Contact values.
    pub elsewhere: Vec<String>,
    /// All legs that belong to it now.
    pub legs: Vec<Key<Leg>>,
    /// Its record so far.
    pub record: CallRecord,
    /// Streams whose final counts have not come, with the place of their leg in the record.
    pub closing_streams: Vec<(StreamId, Option<usize>)>,
    /// The media worker that its streams live with, where it is not the one that its id says.
    pub worker: Option<u16>,
    /// It is being hung up.
    pub ending: bool,
    /// How the last attempt to call somebody failed, while nothing better has come of the call.
    pub failed: Option<Outcome>,
    /// The number of the last playback to the caller.
    pub play: u32,
    /// A playback is running.
    pub playing: bool,
    /// When it began.
    pub started: Instant,
    /// When the caller was answered, on the clock that never steps: what the record's duration is measured by.
    pub answered: Option<Instant>,
    /// When a side ended, and the reasons it gave (RFC 3326).
    pub said: (Instant, Vec<String>),
    /// What an application of a side gave its own kind on the other, and when (RFC 7433): it crosses in the same step or not at all.
    pub data: Option<(Instant, String)>,
    /// Its queue's music, which who is held hears in place of the profile's.
    pub queue_music: Option<Arc<str>>,
    /// Who of its bridge is held and hears music, or nothing.
    pub held: Option<Held>,
}

/// What the call core tells the switch, for the dialplan and the queues.
#[derive(Clone, PartialEq, Debug)]
pub enum CallEvent {
    /// A leg that we dialled rings.
    Ringing {
        /// The call.
        call: Key<Call>,
        /// The leg.
        leg: Key<Leg>,
    },
    /// A leg that we dialled was answered; its media is agreed. Connect it or end it.
    LegAnswered {
        /// The call.
        call: Key<Call>,
        /// The leg.
        leg: Key<Leg>,
    },
    /// A leg that we dialled did not come to be; it is gone.
    LegFailed {
        /// The call.
        call: Key<Call>,
        /// The leg that was.
        leg: Key<Leg>,
        /// What it was to the call.
        role: Role,
        /// Whom it should have reached.
        endpoint: Endpoint,
        /// The way it should have gone.
        flow: Flow,
        /// Its final status; 408 when nothing came.
        status: StatusCode,
        /// Nothing came back at all: the device or the way to it is dead.
        dead: bool,
    },
    /// A flow of a device that we called is dead; the device is called on its next one.
    FlowFailed {
        /// Whose device it is.
        endpoint: Endpoint,
        /// The dead flow.
        flow: Flow,
    },
    /// An answered leg is over; the caller's too.
    LegEnded {
        /// The call.
        call: Key<Call>,
        /// The leg that was.
        leg: Key<Leg>,
        /// What it was to the call.
        role: Role,
        /// Why.
        cause: Cause,
    },
    /// A leg that we dialled names others to be called instead (RFC 3261 §21.3); [`CallEvent::LegFailed`] follows.
    Redirected {
        /// The call.
        call: Key<Call>,
        /// The leg that was.
        leg: Key<Leg>,
        /// Whose word that is.
        endpoint: Endpoint,
        /// The way to it.
        flow: Flow,
        /// The 3xx.
        status: StatusCode,
        /// It had rung.
        rang: bool,
        /// Whom it names, best first.
        to: Vec<Redirect>,
    },
    /// A party asks for the other one to be transferred (RFC 3515). Accept it or refuse it.
    Refer {
        /// The call.
        call: Key<Call>,
        /// The transferor's leg.
        leg: Key<Leg>,
        /// Where to.
        to: Box<ReferTo>,
    },
    /// The party that asked for a transfer has hung up; the other one goes on being transferred.
    TransferorGone {
        /// The call.
        call: Key<Call>,
        /// The leg that was.
        leg: Key<Leg>,
    },
    /// The caller gave up before an answer.
    CallerGone {
        /// The call.
        call: Key<Call>,
    },
    /// The caller pressed a key.
    Digit {
        /// The call.
        call: Key<Call>,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// A playback to the caller came to its end.
    PlayEnded {
        /// The call.
        call: Key<Call>,
        /// The number that `play` returned.
        play: u32,
    },
    /// The call is over and its record is written; the key is dead.
    Closed {
        /// The call that was.
        call: Key<Call>,
    },
}

/// What comes out of the call core, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum CallOutput {
    /// For a media worker.
    Media(MediaCommand),
    /// For the switch's own logic.
    Event(CallEvent),
    /// To publish.
    Fact(CallFact),
    /// To journal before the first INVITE leaves.
    Opened(Box<CallRecord>),
    /// To journal before the caller's 200 leaves.
    Answered {
        /// The call.
        id: Ulid,
        /// When.
        at: WallTime,
    },
    /// To journal at the end.
    Closed(Box<CallRecord>),
    /// A line for the operator.
    Warn(String),
}

/// What an operation borrows from the switch.
pub struct Ctx<'a> {
    /// The time of this input.
    pub now: Now,
    /// The transactions that carry our messages.
    pub tx: &'a mut Transactions<User>,
    /// What the transactions want done; the switch works it off.
    pub acts: &'a mut Vec<Act<User>>,
    /// What the call core wants done.
    pub out: &'a mut Vec<CallOutput>,
}

impl Ctx<'_> {
    pub(super) fn event(&mut self, event: CallEvent) {
        self.out.push(CallOutput::Event(event));
    }

    pub(super) fn media(&mut self, command: MediaCommand) {
        self.out.push(CallOutput::Media(command));
    }

    pub(super) fn fact(&mut self, fact: CallFact) {
        self.out.push(CallOutput::Fact(fact));
    }
}

/// An ACK to a 2xx that may have to be repeated after its leg is gone (RFC 3261 §13.2.2.4, RFC 6026 §7.2).
#[derive(Debug)]
pub(super) struct LateAck {
    pub flow: Flow,
    pub ack: Message,
    /// Of forks behind the peer that answered too and were ended: each gets its ACK again, and no second BYE.
    pub forks: Vec<(Flow, Message)>,
}

/// A leg of an extension; `true` when it is an agent's.
type ExtensionLeg = (Key<Call>, Key<Leg>, bool);

/// How long a call waits for the last counts of its streams before its record is written without them.
pub(super) const COUNTS_DUE: Duration = Duration::from_secs(2);

/// All calls of a shard.
pub struct Calls {
    pub(super) calls: Arena<Call>,
    pub(super) legs: Arena<Leg>,
    pub(super) by_id: BTreeMap<Ulid, Key<Call>>,
    pub(super) by_tag: Map<Tag, Key<Leg>>,
    pub(super) by_server: Map<ServerKey, Key<Leg>>,
    pub(super) by_stream: Map<StreamId, Key<Call>>,
    /// Calls of an extension, with how many of its legs each has; `true` when the leg is an agent's.
    pub(super) on_extension: BTreeMap<Arc<str>, Vec<ExtensionLeg>>,
    /// Live legs of each trunk.
    pub(super) on_trunk: BTreeMap<Arc<str>, usize>,
    /// Extensions whose number of live calls changed since the switch last asked.
    pub(super) touched: Vec<Arc<str>>,
    /// Legs that are over for us, whose devices have not answered our BYE, with their extensions.
    pub(super) parting: Map<Key<Leg>, Arc<str>>,
    pub(super) parting_on: PartingOn,
    pub(super) parting_changed: Vec<Arc<str>>,
    /// The order in which we stop to wait for them: for all equally long.
    pub(super) parting_lapse: VecDeque<(Instant, Key<Leg>)>,
    /// Requests in dialogs whose peer may want credentials first.
    pub(super) pending: Map<ClientKey, Box<Pending>>,
    /// BYEs to devices over connections, until they are answered.
    pub(super) byes: Map<ClientKey, Box<Farewell>>,
    /// BYEs that did not arrive, oldest first.
    pub(super) farewells: VecDeque<Farewell>,
    pub(super) late_acks: Map<ClientKey, LateAck>,
    /// The order in which they lapse: all are kept equally long.
    pub(super) late_acks_lapse: VecDeque<(Instant, ClientKey)>,
    pub(super) counts_due: BTreeMap<(Instant, Key<Call>), ()>,
    /// Who is told how a transfer goes, by the leg that asked for it.
    pub(super) referrals: BTreeMap<Key<Leg>, Referral>,
    /// When re-INVITEs of ours are tried again.
    pub(super) reoffers: BTreeSet<(Instant, Key<Leg>)>,
    /// When legs whose part is over get their BYE, unless they hang up first.
    pub(super) leaving: BTreeSet<(Instant, Key<Leg>)>,
    /// Legs of no call any more that wait for their ACK before they may send BYE.
    pub(super) waiting_for_ack: BTreeSet<Key<Leg>>,
    /// What is due on legs.
    pub(super) due: BTreeSet<(Instant, Key<Leg>, Due)>,
    pub(super) ports: Ports,
    pub(super) network: Network,
    pub(super) entropy: Entropy,
    /// What makes our fingerprints of calls ours.
    pub(super) secret: u64,
    pub(super) streams: u64,
    pub(super) workers: u16,
    /// Calls since the start.
    pub total: u64,
    /// Name in Server and User-Agent headers.
    pub(super) product: Arc<str>,
}

impl Calls {
    /// No calls yet.
    pub fn new(network: Network, ports: Ports, workers: u16, mut entropy: Entropy) -> Self {
        let streams = entropy.u64() & 0xffff_ffff;
        let secret = entropy.u64();
        Calls {
            calls: Arena::new(),
            legs: Arena::new(),
            by_id: BTreeMap::new(),
            by_tag: Map::default(),
            by_server: Map::default(),
            by_stream: Map::default(),
            on_extension: BTreeMap::new(),
            on_trunk: BTreeMap::new(),
            touched: Vec::new(),
            parting: Map::default(),
            parting_on: PartingOn::default(),
            parting_changed: Vec::new(),
            parting_lapse: VecDeque::new(),
            pending: Map::default(),
            byes: Map::default(),
            farewells: VecDeque::new(),
            late_acks: Map::default(),
            late_acks_lapse: VecDeque::new(),
            counts_due: BTreeMap::new(),
            referrals: BTreeMap::new(),
            reoffers: BTreeSet::new(),
            leaving: BTreeSet::new(),
            waiting_for_ack: BTreeSet::new(),
            due: BTreeSet::new(),
            ports,
            network,
            entropy,
            secret,
            streams,
            workers: workers.max(1),
            total: 0,
            product: Arc::from(concat!("Strowger/", env!("CARGO_PKG_VERSION"))),
        }
    }

    /// Takes new addresses and codecs; running calls keep theirs.
    pub fn configure(&mut self, network: Network) {
        self.network = network;
    }

    /// The addresses that peers see.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// A call.
    pub fn call(&self, key: Key<Call>) -> Option<&Call> {
        self.calls.get(key)
    }

    /// A call, to note things in its record.
    pub fn call_mut(&mut self, key: Key<Call>) -> Option<&mut Call> {
        self.calls.get_mut(key)
    }

    /// A leg.
    pub fn leg(&self, key: Key<Leg>) -> Option<&Leg> {
        self.legs.get(key)
    }

    /// The caller's leg.
    pub fn caller(&self, call: Key<Call>) -> Option<&Leg> {
        self.legs.get(self.calls.get(call)?.a?)
    }

    /// The call with this id.
    pub fn find(&self, id: Ulid) -> Option<Key<Call>> {
        self.by_id.get(&id).copied()
    }

    /// All calls, in order of their ids.
    pub fn all(&self) -> impl Iterator<Item = (Key<Call>, &Call)> {
        self.by_id
            .values()
            .filter_map(|&key| self.calls.get(key).map(|call| (key, call)))
    }

    /// Live calls.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// True without a live call.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Live legs, those being cancelled included.
    pub fn legs_len(&self) -> usize {
        self.legs.len()
    }

    /// The RTP ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// RTP ports in use.
    pub fn ports_in_use(&self) -> usize {
        self.ports.in_use()
    }

    /// ACKs kept for repetition, requests kept for a challenge, calls that wait for their last counts, and what is due on legs.
    pub fn timers_len(&self) -> usize {
        self.late_acks.len()
            + self.pending.len()
            + self.counts_due.len()
            + self.due.len()
            + self.referrals.len()
            + self.reoffers.len()
            + self.leaving.len()
            + self.farewells.len()
            + self.parting_len()
    }

    /// The earliest time at which something of ours is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let acks = self.late_acks_lapse.front().map(|(at, _)| *at);
        let counts = self.counts_due.keys().next().map(|(at, _)| *at);
        let due = self.due.first().map(|(at, _, _)| *at);
        let reoffers = self.reoffers.first().map(|(at, _)| *at);
        let leaving = self.leaving.first().map(|(at, _)| *at);
        let referrals = self.referrals_due();
        acks.into_iter()
            .chain(counts)
            .chain(due)
            .chain(reoffers)
            .chain(leaving)
            .chain(referrals)
            .chain(self.farewells_due())
            .chain(self.next_parting())
            .min()
    }

    /// Does what is due.
    pub fn on_time(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono;
        self.forget_farewells(now);
        self.parting_due(now);
        self.reoffers_due(ctx);
        self.leave_due(ctx);
        self.lapse_referrals(ctx);
        self.legs_due(ctx);
        while let Some(&(at, key)) = self.late_acks_lapse.front() {
            if at > now {
                break;
            }
            self.late_acks_lapse.pop_front();
            self.late_acks.remove(&key);
        }
        while let Some((&(at, call), ())) = self.counts_due.iter().next() {
            if at > now {
                break;
            }
            self.counts_due.remove(&(at, call));
            if let Some(call) = self.calls.get_mut(call) {
                for (stream, _) in std::mem::take(&mut call.closing_streams) {
                    self.by_stream.remove(&stream);
                }
            }
            self.close_if_over(ctx, call);
        }
    }

    /// Takes a leg out of its call and of all indexes, closes its stream and writes its part of the record.
    pub(super) fn detach(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, status: u16) {
        self.close_audio(ctx, key);
        self.end_reoffer(key);
        self.leave_referral(ctx, key);
        self.disarm_all(key);
        // a change that waits for the other leg gets its answer before the dialog is gone
        self.finish_changes(ctx, key);
        let Some(leg) = self.legs.get_mut(key) else {
            return;
        };
        let call_key = leg.call;
        let endpoint = leg.endpoint.clone();
        let Some(call) = self.calls.get_mut(call_key) else {
            return;
        };
        if !call.legs.contains(&key) {
            return;
        }
        leg.heard |= leg
            .invite_client()
            .is_some_and(|invite| ctx.tx.is_heard(invite));
        let bridged = call.a == Some(key) || call.b == Some(key);
        call.legs.retain(|other| *other != key);
        if call.a == Some(key) {
            call.a = None;
        }
        if call.b == Some(key) {
            call.b = None;
        }
        if call.transferor == Some(key) {
            call.transferor = None;
        }
        if call.early == Some(key) {
            call.early = None;
        }
        call.record.legs.push(leg.record(ctx.now.wall, status));
        let place = call.record.legs.len() - 1;
        let stream = leg.audio.stream.take();
        if let Some(stream) = stream
            && let Some(waiting) = call
                .closing_streams
                .iter_mut()
                .find(|(other, _)| *other == stream)
        {
            waiting.1 = Some(place);
        }
        ctx.fact(CallFact::LegEnded {
            call: call.id,
            leg: leg.id,
            status,
            refusal: leg.refusal(status),
            silent_since: leg.silent_since(),
        });
        if bridged {
            self.end_hold(ctx, call_key);
        }
        self.count_out(key, &endpoint);
    }

    /// Forgets a leg that is over.
    pub(super) fn remove_leg(&mut self, key: Key<Leg>) {
        self.waiting_for_ack.remove(&key);
        if let Some(leg) = self.legs.remove(key) {
            self.by_tag.remove(&leg.tag);
            if let super::leg::Invite::Server { key: server, .. } = leg.invite {
                self.by_server.remove(&server);
            }
            if let Some((server, _)) = leg.reinvite_unacked {
                self.by_server.remove(&server);
            }
            debug_assert!(leg.due.iter().all(Option::is_none), "disarmed by detach");
        }
    }

    /// Ends the call in the books when no leg is left and all counts are in.
    pub(super) fn close_if_over(&mut self, ctx: &mut Ctx<'_>, key: Key<Call>) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        if !call.legs.is_empty() || !call.ending {
            return;
        }
        if !call.closing_streams.is_empty() {
            if !self.counts_due.keys().any(|(_, other)| *other == key) {
                self.counts_due.insert((ctx.now.mono + COUNTS_DUE, key), ());
            }
            return;
        }
        self.counts_due.retain(|(_, other), ()| *other != key);
        let Some(call) = self.calls.remove(key) else {
            return;
        };
        self.by_id.remove(&call.id);
        let ended_by = call.record.ended_by.clone();
        ctx.out.push(CallOutput::Closed(Box::new(call.record)));
        ctx.fact(CallFact::Ended {
            call: call.id,
            ended_by,
        });
        ctx.event(CallEvent::Closed { call: key });
    }

    /// The leg whose dialog carries `message`, a request of the peer: our tag is in To.
    pub(super) fn leg_of(&self, message: &Message) -> Option<Key<Leg>> {
        let tag = Tag::from_bytes(message.to_tag()?)?;
        let key = self.by_tag.get(&tag).copied()?;
        let leg = self.legs.get(key)?;
        match &leg.dialog {
            // a forking proxy may have made several dialogs of our INVITE, and not all may be known to us yet
            Some(dialog) if !leg.is_called_early() => dialog.matches(message).then_some(key),
            _ => (leg.request.call_id() == message.call_id()).then_some(key),
        }
    }

    /// True while a leg of `call` in this role is being called or rings.
    pub fn has_open_legs(&self, call: Key<Call>, role: Role) -> bool {
        self.calls.get(call).is_some_and(|call| {
            call.legs.iter().any(|&leg| {
                self.legs.get(leg).is_some_and(|leg| {
                    leg.role == role && matches!(leg.state, LegState::Calling | LegState::Ringing)
                })
            })
        })
    }
}
