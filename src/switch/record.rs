//! What the journal keeps: enough to be the same switch after a kill, nothing that can be derived.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::acd::{AcdEvent, AcdRecord};
use crate::base::{Secret, Text, Ulid, WallTime};
use crate::directory::toggles::Toggles;
use crate::event::{CallFact, CallRecord, GateRecord, RegistrationFact, TrunkFact};
use crate::notifier::{Messages, SubscriptionRecord};
use crate::outbound::OutboundRecord;

/// A published fact with its place in the order of all facts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Gap-free, rising by one, kept across restarts.
    pub seq: u64,
    /// When it happened.
    pub at: WallTime,
    /// What happened.
    pub fact: Fact,
}

/// A fact by the room that it comes from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// About a call.
    Call(CallFact),
    /// About a device.
    Registration(RegistrationFact),
    /// About a trunk.
    Trunk(TrunkFact),
    /// About a queue, an agent or a work item.
    Acd(AcdEvent),
    /// The gates were asked before a number was called.
    Gates(Box<GateRecord>),
    /// The server started, was reloaded, drains or stops.
    Server {
        /// What it did.
        what: Arc<str>,
    },
}

/// A binding as the journal keeps it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BindingRecord {
    /// `user@domain`.
    pub aor: Arc<str>,
    /// The contact URI; the binding's key together with `aor`.
    pub contact: Text,
    /// Name of the profile that it came through.
    pub profile: Arc<str>,
    /// `UDP` or `TCP`.
    pub transport: Arc<str>,
    /// Our address.
    #[serde(serialize_with = "crate::base::digits::serialize_socket")]
    pub local: SocketAddr,
    /// The device's address.
    #[serde(serialize_with = "crate::base::digits::serialize_socket")]
    pub remote: SocketAddr,
    /// Quality, 0 to 1000 (RFC 3261 §20.10).
    pub q: u16,
    /// When it ends at the latest: later than what was granted, so that a mere refresh needs no record.
    pub expires_at: WallTime,
    /// When it began.
    pub registered_at: WallTime,
    /// `+sip.instance` (RFC 5626 §4.1).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instance: Option<Text>,
    /// `reg-id` (RFC 5626 §4.2).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reg_id: Option<u32>,
    /// Call-ID of the REGISTER.
    pub call_id: Text,
    /// CSeq number of the REGISTER; those that only refreshed it since then may have had higher ones.
    pub cseq: u32,
    /// What the device calls itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_agent: Option<Arc<str>>,
    /// Path values (RFC 3327).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub path: Vec<Arc<str>>,
    /// It is behind a NAT.
    #[serde(default)]
    pub behind_nat: bool,
    /// Its flows are counted by outbound (RFC 5626).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outbound: bool,
    /// Names the life of the registration in temporary GRUUs (RFC 5627); zero when it has none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub life: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A subscription as the journal keeps it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SubscribedRecord {
    /// Its dialog, what it watches, its time.
    #[serde(flatten)]
    pub subscription: SubscriptionRecord,
    /// Name of the profile that it came through.
    pub profile: Arc<str>,
    /// Name of its transport.
    pub transport: Arc<str>,
    /// Our address.
    pub local: SocketAddr,
    /// The subscriber's address.
    pub remote: SocketAddr,
}

/// One entry of the journal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A binding was added or refreshed.
    Bound(BindingRecord),
    /// A binding is gone.
    Unbound {
        /// `user@domain`.
        aor: Arc<str>,
        /// The contact URI.
        contact: Arc<str>,
        /// Which of several flows with that contact.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reg_id: Option<u32>,
    },
    /// The key that seals temporary GRUUs, in hexadecimal digits: they last as long as the registrations do.
    GruuKey(Secret),
    /// A subscription began, was refreshed, or has used up the numbers that it had.
    Subscribed(Box<SubscribedRecord>),
    /// A subscription is over.
    Unsubscribed {
        /// Our tag in its dialog.
        tag: Arc<str>,
    },
    /// What waits in a voicemail box.
    Messages {
        /// The extension.
        extension: Arc<str>,
        /// How many.
        messages: Messages,
    },
    /// A call began: written before its first INVITE is forwarded. Closed by `CallClosed`, or by reconciliation.
    CallOpened(Box<CallRecord>),
    /// The caller was answered: written before the 200 leaves.
    CallAnswered {
        /// The call.
        id: Ulid,
        /// When.
        at: WallTime,
    },
    /// A call is over.
    CallClosed(Box<CallRecord>),
    /// A sign of life while calls are up, once a second: where reconciliation closes what was open.
    Alive {
        /// When.
        at: WallTime,
    },
    /// A published fact.
    Event(Event),
    /// State of queues and agents.
    Acd(AcdRecord),
    /// Do-not-disturb and ring toggles of a person.
    Toggles {
        /// The extension.
        extension: Arc<str>,
        /// All of them.
        toggles: Toggles,
    },
    /// Lists of numbers, calls that were tried, PINs.
    Outbound(OutboundRecord),
    /// Snapshot only: the number of the last event.
    Seq(u64),
}
