//! What the switch keeps of a call beyond the call itself: where its dialplan stands, whom it rings, its work item.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::acd::{OfferId, WorkItemId};
use crate::auth::identity::Verdict;
use crate::base::{Duration, Instant, Key, Now, TimerId, WallTime};
use crate::call::{Call, Leg, LegSpec, Sides};
use crate::dialplan::{DialAction, DialOutcome, Run};
use crate::event::Party;
use crate::sip::StatusCode;

/// Timers of the switch itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SwitchTimer {
    /// What is rung has not answered in time.
    Ring(Key<Call>),
    /// No key, or no further key, was pressed.
    Keys(Key<Call>),
    /// A wait of the dialplan is over.
    Wait(Key<Call>),
    /// A gateway has had its time to say something to an INVITE.
    Silence(Key<Leg>),
    /// A waiting caller is told how to ask for a callback.
    CallbackOffer(Key<Call>),
    /// Trunks may have room for those who wait.
    Room,
    /// A sign of life is due in the journal.
    Alive,
}

/// One target of a dial step: ways to try, one after the other.
#[derive(Debug)]
pub(super) struct Branch {
    /// Ways not tried yet.
    pub ways: VecDeque<LegSpec>,
    /// How long it waits for a trunk with room, while it does.
    pub until: Option<Instant>,
}

/// Who is rung for a call.
#[derive(Debug)]
pub(super) struct Fork {
    /// How long each wave rings.
    pub timeout: Duration,
    /// Waves that have not been rung.
    pub waves: VecDeque<Vec<Branch>>,
    /// What rings now.
    pub ringing: Vec<(Key<Leg>, Branch)>,
    /// What waits for a trunk with room.
    pub held: Vec<Branch>,
    /// The best refusal so far.
    pub best: Option<StatusCode>,
    /// Somebody rang and did not answer in time.
    pub timed_out: bool,
    /// A leg rang.
    pub rang: bool,
    /// Played to an answered caller meanwhile.
    pub music: Option<Arc<str>>,
    /// The wave's end.
    pub timer: Option<TimerId>,
}

/// Keys being collected.
#[derive(Debug)]
pub(super) struct Keys {
    pub digits: String,
    pub max: u8,
    pub timeout: Duration,
    pub digit_timeout: Duration,
    pub terminator: Option<char>,
    /// The prompt still plays under this number.
    pub prompt: Option<u32>,
    pub timer: Option<TimerId>,
}

/// What follows when somebody has been told something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    /// The caller was promised a callback, and leaves the queue.
    LeaveQueue,
    /// The agent knows that it is a callback: its customer is called.
    CallCustomer,
    /// Whoever is on the line knows that a number may not be called: the dialplan goes on.
    NotAllowed,
}

/// A dial step that waits for a PIN.
#[derive(Debug)]
pub(super) struct PinAsked {
    /// The step.
    pub dial: Box<DialAction>,
}

/// A callback whose agent or customer is being had.
#[derive(Debug)]
pub(super) struct CallingBack {
    /// The agent's offer.
    pub offer: OfferId,
    /// What came of the last try to reach the customer.
    pub outcome: Option<DialOutcome>,
    /// It may be called later, at this time where somebody knows it.
    pub not_now: Option<Option<WallTime>>,
}

/// What a call waits for.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its dialplan is about to run.
    Running,
    /// A playback; it may be cut by a key.
    Playing { play: u32, interruptible: bool },
    /// Keys.
    Keys(Keys),
    /// Time.
    Waiting(TimerId),
    /// Somebody who is rung.
    Ringing(Fork),
    /// The devices of the extension that asked for the call; then `to` is called.
    Originating { to: Arc<str>, fork: Fork },
    /// An agent. `announcing` is the playback that interrupts the music.
    Queued { announcing: Option<u32> },
    /// A playback, and then that.
    Telling { play: u32, then: Then },
    /// Somebody who takes it out of its slot.
    Parked { slot: Arc<str>, timer: TimerId },
    /// The end: two parties talk.
    Bridged,
    /// The end: the caller hears itself.
    Echo,
    /// The end: the caller is in a conference.
    Conference,
    /// Hanging up.
    Over,
}

/// A blind transfer that is under way.
#[derive(Debug)]
pub(super) struct Transfer {
    /// Who asked, who is transferred, and where they stood.
    pub sides: Sides,
    /// The transferor has not hung up.
    pub here: bool,
    /// The transferor served the call for a queue.
    pub agent: bool,
    /// The transferor, for records.
    pub by: Party,
    /// Whom to call back when the transfer fails and the transferor is gone.
    pub extension: Option<Arc<str>>,
    /// How long that rings; `None`: it is not done.
    pub recall: Option<Duration>,
    /// It is being done.
    pub recalling: bool,
    /// The number that was asked for.
    pub to: Arc<str>,
}

/// A call's way through the house.
#[derive(Debug)]
pub(super) struct Routing {
    /// Its dialplan; none once it is out of the dialplan's hands.
    pub run: Option<Run>,
    /// What it waits for.
    pub phase: Phase,
    /// Its work item, from the queue's door to the end of the agent's leg.
    pub work: Option<WorkItemId>,
    /// The id of its work item, kept over all queues that it comes to.
    pub item: Option<WorkItemId>,
    /// The queue it is in, or was served from.
    pub queue: Option<Arc<str>>,
    /// The agent it is bridged to.
    pub agent: Option<Arc<str>>,
    /// When it first came to any queue: kept over overflow (acd.toml §6).
    pub arrival: Option<Now>,
    /// Numbers that it was sent on to by the phones that it rang, and those that sent it.
    pub sent_on: BTreeSet<String>,
    /// A party of it is being transferred.
    pub transfer: Option<Box<Transfer>>,
    /// It is made for a callback, and its customer has not been had.
    pub callback: Option<CallingBack>,
    /// A program has ordered it, and whom it is for has not been had.
    pub ordered: bool,
    /// A dial step waits for a PIN.
    pub pin_asked: Option<PinAsked>,
    /// PINs that were given.
    pub pins: BTreeSet<Arc<str>>,
    /// A callback of the waiting caller's number, whose place the caller may take.
    pub in_line: Option<WorkItemId>,
    /// When the waiting caller is told how to ask for a callback.
    pub callback_offer: Option<TimerId>,
    /// Whether its caller is who it claims to be, where somebody looked.
    pub verdict: Option<Verdict>,
}

impl Routing {
    pub(super) fn new(run: Option<Run>) -> Self {
        Routing {
            run,
            phase: Phase::Running,
            work: None,
            item: None,
            queue: None,
            agent: None,
            arrival: None,
            sent_on: BTreeSet::new(),
            transfer: None,
            callback: None,
            ordered: false,
            pin_asked: None,
            pins: BTreeSet::new(),
            in_line: None,
            callback_offer: None,
            verdict: None,
        }
    }
}

/// An AgentOffer whose devices ring.
#[derive(Debug)]
pub(super) struct OfferState {
    /// The caller's call.
    pub call: Key<Call>,
    /// The work item.
    pub item: WorkItemId,
    /// The agent.
    pub agent: Arc<str>,
    /// Legs that ring.
    pub legs: Vec<Key<Leg>>,
    /// The leg that was answered.
    pub answered: Option<Key<Leg>>,
    /// A device rang.
    pub alerting: bool,
    /// The worst that a device said, by rank.
    pub refusal: Option<(u8, u16)>,
}

impl OfferState {
    /// These devices have just been rung.
    pub(super) fn new(
        call: Key<Call>,
        item: WorkItemId,
        agent: Arc<str>,
        legs: Vec<Key<Leg>>,
    ) -> Self {
        OfferState {
            call,
            item,
            agent,
            legs,
            answered: None,
            alerting: false,
            refusal: None,
        }
    }
}
