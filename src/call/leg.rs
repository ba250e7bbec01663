//! One leg: one party as the B2BUA sees it, with its dialog, its INVITE and its audio.

use std::sync::Arc;

use bytes::Bytes;

use super::calls::Call;
use super::cause::Cause;
use super::change::Wanted;
use super::due::DueTimes;
use super::early::Fork;
use super::flows::OtherFlows;
use super::policy::InvitePolicy;
use super::reliable::Reliable;
use super::session_timer::Timer;
use crate::base::{Key, Secret, Ulid, WallTime};
use crate::dialog::{Dialog, OfferAnswer, Tag};
use crate::event::Party;
use crate::media::{LocalMedia, MediaPlan, StreamId};
use crate::sdp::SdpOffer;
use crate::sip::{Message, Name};
use crate::transaction::{ClientKey, ServerKey};
use crate::transport::{Flow, Way};

/// What a party is to its call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Who called, or on whose behalf the call was made.
    Caller,
    /// Whom the dialplan dialled.
    Callee,
    /// Whom a queue offered the call to.
    Agent,
}

impl Role {
    /// As records and views write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Caller => "caller",
            Role::Callee => "callee",
            Role::Agent => "agent",
        }
    }
}

/// The configured thing behind a leg.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// A person's extension.
    Extension(Arc<str>),
    /// A trunk, by name.
    Trunk(Arc<str>),
    /// Nobody that is configured (labs without authentication).
    Unknown,
}

/// Where a leg stands. A leg that is over is not in the arena any more.
///
/// ```text
///  Incoming ──2xx──> Answered ──BYE──> (gone)
///     └──3xx–6xx──> (gone)
///  Calling ──1xx──> Ringing ──2xx──> Answered
///     └───────┬────────┴── CANCEL ──> Cancelling ──final──> (gone)
///             └──3xx–6xx, timeout──> (gone)
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LegState {
    /// The party's INVITE has no final answer yet.
    Incoming,
    /// Our INVITE has left.
    Calling,
    /// A provisional answer above 100 came.
    Ringing,
    /// A 2xx went one way or the other.
    Answered,
    /// We sent, or will send, CANCEL; the leg is no longer part of its call.
    Cancelling(Cause),
}

/// The INVITE transaction that opened the leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invite {
    /// The party called us.
    Server {
        /// The transaction.
        key: ServerKey,
        /// The ACK to our 2xx has come.
        acked: bool,
    },
    /// We called the party.
    Client {
        /// The transaction of the last INVITE; none while the first is being made.
        key: Option<ClientKey>,
    },
}

/// A re-INVITE or UPDATE of the party that waits for the other leg's answer.
#[derive(Clone, Debug)]
pub struct Crossing {
    /// The party's transaction, to be answered.
    pub server: ServerKey,
    /// Its request.
    pub request: Message,
    /// The session description in it, as it came and as an offer; none when the other leg shall make one.
    pub offer: Option<(Bytes, SdpOffer)>,
}

/// Why we change, or refresh, the session of a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The other party asked for it.
    Cross,
    /// The other party asked for an offer.
    CrossLate,
    /// What was changed here is not changed there: back to what was.
    Restore,
    /// So that the session does not expire (RFC 4028 §10).
    Refresh,
    /// Another party is at the other end now.
    Reoffer,
}

/// A re-INVITE or UPDATE of ours that has no final answer.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Its transaction.
    pub client: ClientKey,
    /// It is an UPDATE.
    pub update: bool,
    /// Why we ask.
    pub why: Why,
    /// Our offer in it, as text.
    pub offer: Option<Bytes>,
    /// What that offer wants, where it wants a change.
    pub(super) wanted: Option<Wanted>,
    /// What our description was before that offer, should it be refused.
    pub before: Option<LocalMedia>,
}

/// A change of ours that met one of the peer's and is tried again.
#[derive(Clone, Debug)]
pub struct Again {
    /// Why we ask.
    pub why: Why,
    /// What it wants.
    pub(super) wanted: Option<Wanted>,
}

/// An offer of the party in its 2xx to our re-INVITE, which our ACK must answer once the other party has.
#[derive(Clone, Debug)]
pub struct OwedAnswer {
    /// The transaction of our re-INVITE.
    pub client: ClientKey,
    /// The number of our re-INVITE.
    pub cseq: u32,
    /// The offer as it came.
    pub body: Bytes,
    /// The offer.
    pub offer: SdpOffer,
}

/// What the party says that it serves (RFC 3261 §20.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allows {
    /// UPDATE.
    pub update: bool,
    /// INFO; `None`: it has not said.
    pub info: Option<bool>,
    /// It follows a change of From within a dialog (RFC 4916).
    pub from_change: bool,
}

impl Allows {
    /// Reads Allow of a message, if it has one.
    pub fn note(&mut self, message: &Message) {
        self.from_change |= message.has_option_tag(Name::Supported, "from-change");
        if message.header(Name::Allow).is_none() {
            return;
        }
        let serves = |method: &str| message.has_option_tag(Name::Allow, method);
        *self = Allows {
            update: serves("UPDATE"),
            info: Some(serves("INFO")),
            from_change: self.from_change,
        };
    }
}

/// Audio of a leg.
#[derive(Debug, Default)]
pub struct Audio {
    /// The stream in a media worker.
    pub stream: Option<StreamId>,
    /// Our RTP port.
    pub port: u16,
    /// What we last described to the party.
    pub local: Option<LocalMedia>,
    /// What we last sent as SDP text, to be repeated where nothing changed.
    pub sent: Option<Bytes>,
    /// The party's last offer or answer, as it came, to know a refresh from a change.
    pub heard: Option<Bytes>,
    /// The party's offer that has no answer yet.
    pub offer: Option<SdpOffer>,
    /// The last description that left for the party in any message, and its version: the version rises when the text differs, and
    /// only then (RFC 3264 §8).
    pub issued: Option<(Bytes, u64)>,
    /// What is agreed.
    pub plan: Option<MediaPlan>,
    /// Packets of the party have been heard.
    pub audible: bool,
    /// Our 2xx carried an offer; the ACK must bring the answer.
    pub answer_due_in_ack: bool,
}

/// User and password for a challenge of the peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerLogin {
    /// User name in the peer's realm.
    pub username: Arc<str>,
    /// Its password.
    pub password: Secret,
    /// The only realm that the password answers to; `None`: the first that asks, and no other after that.
    pub realm: Option<Arc<str>>,
}

/// What a new outgoing leg should look like.
#[derive(Clone, Debug)]
pub struct LegSpec {
    /// What it is to the call.
    pub role: Role,
    /// Whom it reaches, for people.
    pub party: Party,
    /// Whom it reaches, for the configuration.
    pub endpoint: Endpoint,
    /// Where the INVITE goes.
    pub flow: Flow,
    /// Request-URI.
    pub request_uri: Bytes,
    /// To value without tag.
    pub to: String,
    /// From value without tag.
    pub from: String,
    /// User part of our Contact.
    pub contact_user: Arc<str>,
    /// Route values.
    pub route: Vec<Bytes>,
    /// Further headers of our own.
    pub headers: Vec<(Name, String)>,
    /// For a challenge.
    pub login: Option<PeerLogin>,
    /// Names the device among those of its extension, so that its leg follows it to a new flow; `None` for trunks.
    pub device: Option<u64>,
    /// Further flows of the same device, newest first: each is tried when the one before it failed (RFC 5626 §5.3).
    pub otherwise: Vec<Way>,
}

/// One party of a call.
#[derive(Debug)]
pub struct Leg {
    /// Its id in records and views.
    pub id: Ulid,
    /// Its call; stale once the leg is cancelling.
    pub call: Key<Call>,
    /// What it is to the call.
    pub role: Role,
    /// What it was when it came into the call, which is what its record says: who is transferred becomes the caller of what follows.
    pub came_as: Role,
    /// For people.
    pub party: Party,
    /// For the configuration.
    pub endpoint: Endpoint,
    /// Where it stands.
    pub state: LegState,
    /// The transaction that opened it.
    pub invite: Invite,
    /// Our tag on it.
    pub tag: Tag,
    /// Its dialog, once there is one.
    pub dialog: Option<Dialog>,
    /// Who offers and who answers in it.
    pub offers: OfferAnswer,
    /// Our reliable provisional responses to the party.
    pub reliable: Reliable,
    /// RSeq of the party's last reliable provisional response in the dialog.
    pub rseq: Option<u32>,
    /// Further early dialogs that a fork behind the party has made of our INVITE; at most [`super::early::FORKS_MAX`].
    pub forks: Vec<Fork>,
    /// What the party serves.
    pub allows: Allows,
    /// How its INVITE usage is run.
    pub policy: InvitePolicy,
    /// Its session timer, while one runs.
    pub timer: Option<Timer>,
    /// Times that its INVITE was sent again with a longer session.
    pub longer: u8,
    /// The largest Min-SE that the party has named, in seconds.
    pub min_se: u32,
    /// INFO requests of ours that have no final response.
    pub infos: u8,
    /// Where its peer was last heard.
    pub flow: Flow,
    /// The INVITE that opened it, as received or as sent.
    pub request: Message,
    /// Its audio.
    pub audio: Audio,
    /// For challenges of the peer.
    pub login: Option<PeerLogin>,
    /// INVITEs with credentials so far.
    pub logins: u8,
    /// The device of its extension that it is, if that is known.
    pub device: Option<u64>,
    /// Other flows of that device, until it answers.
    pub others: Option<Box<OtherFlows>>,
    /// Our re-INVITE or UPDATE that has no final answer.
    pub asking: Option<Box<Asking>>,
    /// What is tried again after glare.
    pub again: Option<Box<Again>>,
    /// The party's offer that our ACK must answer.
    pub owed: Option<Box<OwedAnswer>>,
    /// The party's re-INVITE or UPDATE that waits for the other leg.
    pub crossing: Option<Box<Crossing>>,
    /// The party's re-INVITE answered by us with a 2xx that has no ACK yet, and its CSeq number, which the ACK will bear.
    pub reinvite_unacked: Option<(ServerKey, u32)>,
    /// It must end as soon as the ACK to our 2xx is here (RFC 3261 §15).
    pub bye_when_acked: Option<Cause>,
    /// The party holds the other.
    pub holding: bool,
    /// The party holds the other by an order of its console; its telephone knows nothing of it.
    pub held_by_order: bool,
    /// When its INVITE came or left.
    pub started_at: WallTime,
    /// When the 2xx went.
    pub answered_at: Option<WallTime>,
    /// Its device has responded to our INVITE; of a 100 only the transaction knows until the leg ends.
    pub heard: bool,
    /// A 18x came from it or went to it.
    pub rang: bool,
    /// The Reason header of its refusal.
    pub reason: Option<String>,
    /// What is due on it.
    pub due: DueTimes,
    /// The status of the last provisional that we sent to the caller.
    pub told: u16,
    /// Its party is not to be named to others (RFC 3323).
    pub private: bool,
    /// Its party has sent a REFER before.
    pub referred: bool,
    /// A re-INVITE of ours that brings it together with another party.
    pub reoffer: Option<Box<super::reoffer::Reoffer>>,
}

/// What a leg begins with; the rest comes in the course of its call.
pub(super) struct NewLeg {
    pub id: Ulid,
    pub call: Key<Call>,
    pub role: Role,
    pub party: Party,
    pub endpoint: Endpoint,
    pub state: LegState,
    pub invite: Invite,
    pub tag: Tag,
    pub flow: Flow,
    pub policy: InvitePolicy,
    pub started_at: WallTime,
}

impl Leg {
    pub(super) fn new(new: NewLeg) -> Leg {
        Leg {
            id: new.id,
            call: new.call,
            role: new.role,
            came_as: new.role,
            party: new.party,
            endpoint: new.endpoint,
            state: new.state,
            invite: new.invite,
            tag: new.tag,
            dialog: None,
            offers: OfferAnswer::default(),
            reliable: Reliable::default(),
            rseq: None,
            forks: Vec::new(),
            allows: Allows::default(),
            policy: new.policy,
            timer: None,
            min_se: 0,
            longer: 0,
            infos: 0,
            flow: new.flow,
            request: Message::empty(),
            audio: Audio::default(),
            login: None,
            logins: 0,
            device: None,
            others: None,
            asking: None,
            again: None,
            owed: None,
            crossing: None,
            reinvite_unacked: None,
            bye_when_acked: None,
            holding: false,
            held_by_order: false,
            started_at: new.started_at,
            answered_at: None,
            heard: false,
            rang: false,
            reason: None,
            due: Default::default(),
            told: 0,
            private: false,
            referred: false,
            reoffer: None,
        }
    }

    /// The transaction of our last INVITE to the party, if we called it.
    pub fn invite_client(&self) -> Option<ClientKey> {
        match self.invite {
            Invite::Client { key } => key,
            Invite::Server { .. } => None,
        }
    }

    /// True when the leg is up.
    pub fn is_answered(&self) -> bool {
        self.state == LegState::Answered
    }

    /// True while the party holds the other, by its telephone or by an order.
    pub fn holds(&self) -> bool {
        self.holding || self.held_by_order
    }

    /// True while our INVITE to the party has no final answer.
    pub(super) fn is_called_early(&self) -> bool {
        matches!(self.invite, Invite::Client { .. }) && !self.is_answered()
    }

    /// True while the party waits for a final response to its INVITE: nothing was answered, or the 2xx is held back.
    pub(super) fn waits_for_answer(&self) -> bool {
        self.state == LegState::Incoming || self.reliable.answer.is_some()
    }

    /// Since when the device that we called has not said a word; `None` when it has, or when it called us.
    pub fn silent_since(&self) -> Option<WallTime> {
        let called = matches!(self.invite, Invite::Client { .. });
        (called && !self.heard).then_some(self.started_at)
    }

    /// The address in Call-ID terms, for records.
    pub fn call_id(&self) -> String {
        String::from_utf8_lossy(self.request.call_id()).into_owned()
    }

    /// The state in one word, for views.
    pub fn state_word(&self) -> &'static str {
        match self.state {
            LegState::Incoming | LegState::Calling if !self.rang => "calling",
            LegState::Incoming | LegState::Calling | LegState::Ringing => "ringing",
            LegState::Answered if self.holds() => "held",
            LegState::Answered => "answered",
            LegState::Cancelling(_) => "ending",
        }
    }
}
