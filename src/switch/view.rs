//! What the switch shows of itself: plain data, made on request, stored nowhere.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::acd;
use crate::base::{Ulid, WallTime};
use crate::event::{Direction, GateRecord, Party};
use crate::trunk::{GatewayView, RegistrationView as TrunkRegistrationView};

/// The switch as a whole.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct StatusView {
    /// Version of the program.
    pub version: &'static str,
    /// `starting`, `ready`, `draining` or `degraded`.
    pub state: &'static str,
    /// When this process started.
    #[schema(value_type = String)]
    pub started_at: WallTime,
    /// Sequence number of the newest event.
    pub seq: u64,
    /// Live calls.
    pub calls: usize,
    /// Live legs.
    pub legs: usize,
    /// Devices registered now.
    pub registrations: usize,
    /// Those of them that are not rung because they do not answer.
    pub registrations_unreachable: usize,
    /// Live transactions.
    pub transactions: usize,
    /// RTP ports in use.
    pub ports: usize,
    /// RTP ports that rest after a call before they are given out again.
    pub ports_resting: usize,
    /// RTP ports in all.
    pub ports_all: usize,
    /// Times that none was free.
    pub ports_missing: u64,
    /// What the guard turned away since the start, and how the load is.
    pub guard: GuardView,
    /// Armed timers.
    pub timers: usize,
    /// Calls since the start.
    pub calls_total: u64,
    /// Work items waiting now.
    pub waiting: usize,
    /// False while the journal cannot be written.
    pub store_ok: bool,
    /// True while the server stops and its registrations at carriers are being taken back.
    pub unregistering: bool,
}

/// What the guard has turned away since the start, in messages unless it says otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
pub struct GuardView {
    /// Their source was over its rate.
    pub over_rate: u64,
    /// All strangers together were over their rate.
    pub over_total: u64,
    /// Their source was banned.
    pub banned: u64,
    /// They came from tools that look for open servers.
    pub scanner: u64,
    /// They were no SIP.
    pub malformed: u64,
    /// Answers not sent, because they were larger than what the stranger had sent.
    pub unanswered: u64,
    /// Requests refused because their user sent too many.
    pub over_account: u64,
    /// Requests refused because the server was overloaded.
    pub overload_refused: u64,
    /// Bans begun.
    pub bans_begun: u64,
    /// Sources banned now.
    pub bans: usize,
    /// 0: the server keeps up, 1: registrations and the like are asked to come later, 2: new calls as well.
    pub overload: u8,
}

/// A source that is banned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct BanView {
    /// The address (of IPv6 the first of its /64), or the range.
    pub source: String,
    /// When the ban ends.
    #[schema(value_type = String)]
    pub until: WallTime,
    /// `failures` (wrong passwords) or `operator`.
    pub by: &'static str,
}

/// One binding of an address of record.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct RegistrationView {
    /// `user@domain`.
    #[schema(value_type = String)]
    pub aor: Arc<str>,
    /// The device's contact URI.
    #[schema(value_type = String)]
    pub contact: Arc<str>,
    /// `UDP` or `TCP`.
    pub transport: &'static str,
    /// The address it registered from.
    pub source: String,
    /// What the device calls itself.
    #[schema(value_type = Option<String>)]
    pub user_agent: Option<Arc<str>>,
    /// When the binding ends unless it is refreshed.
    #[schema(value_type = String)]
    pub expires_at: WallTime,
    /// False while the flow is known to be dead.
    pub healthy: bool,
    /// False when its owner has switched it off.
    pub ring: bool,
    /// Its owner has do-not-disturb on, so nothing rings.
    pub do_not_disturb: bool,
}

/// One trunk.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct TrunkView {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// `up`, `down`, `unknown` (not pinged) or `registration-refused`.
    pub state: &'static str,
    /// The same in words, with the reason, and of a registration that is not there with the time of the next try.
    pub health: String,
    /// Calls through it now.
    pub channels: u32,
    /// Most calls through it, if capped.
    pub max_channels: Option<u32>,
    /// Gateways in order, as configured.
    pub proxies: Vec<String>,
    /// Round trip of the last OPTIONS to the nearest gateway, in milliseconds.
    pub ping_ms: Option<f64>,
    /// Gateways as the name service found them, with their health.
    pub gateways: Vec<GatewayView>,
    /// Its registration at the other side, if it registers.
    pub registration: Option<TrunkRegistrationView>,
}

/// One leg of a live call.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct LegView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: Ulid,
    /// `caller`, `callee` or `agent`; `transferor` while it is still there after, or during, a transfer that it asked for.
    pub role: &'static str,
    /// The party.
    pub party: Party,
    /// `calling`, `ringing`, `answered`, `held`, `ending`.
    pub state: &'static str,
    /// When the device was called, while it has not responded at all.
    #[schema(value_type = Option<String>)]
    pub silent_since: Option<WallTime>,
    /// The address it is signalled with.
    pub peer: String,
    /// Codec in use.
    pub codec: Option<String>,
}

/// A live call.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct CallView {
    /// Its id.
    #[schema(value_type = String)]
    pub id: Ulid,
    /// Where it came from.
    pub direction: Direction,
    /// Who calls; after a transfer, or while one is under way, who is transferred.
    pub from: Party,
    /// Whom the caller asked for; after a transfer, or while one is under way, its target.
    pub to: Party,
    /// `routing`, `calling` (nobody rings yet), `ringing`, `answered`, `queued`, `parked`, `bridged`, `failed` (nobody was reached, and
    /// the caller hears what the dialplan does then), `ending`.
    pub state: &'static str,
    /// When the first INVITE came.
    #[schema(value_type = String)]
    pub started_at: WallTime,
    /// When the caller was answered.
    #[schema(value_type = Option<String>)]
    pub answered_at: Option<WallTime>,
    /// The work item, while it is in a queue or with an agent.
    #[schema(value_type = Option<String>)]
    pub work: Option<Ulid>,
    /// Whether the caller is who it claims to be, where its trunk has that looked at: `TN-Validation-Passed`,
    /// `TN-Validation-Failed` or `No-TN-Validation`.
    pub verstat: Option<&'static str>,
    /// What the caller's provider attests of a caller who is proved: `A`, `B` or `C`.
    pub attestation: Option<&'static str>,
    /// What the gates said before a number was called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRecord>,
    /// Its legs.
    pub legs: Vec<LegView>,
}

/// A queue and who waits in it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueDetail {
    /// The queue and its figures.
    #[serde(flatten)]
    pub queue: acd::QueueView,
    /// Waiting items in the order in which they will be served.
    pub items: Vec<WaitingView>,
}

/// A waiting item and why it waits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WaitingView {
    /// The item.
    #[serde(flatten)]
    pub item: acd::WorkItemView,
    /// The last decision about it, with the reason for each candidate.
    pub why: Option<acd::Decision>,
}

/// A work item, its way so far and the decisions about it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkDetail {
    /// The item.
    #[serde(flatten)]
    pub item: acd::WorkItemView,
    /// What happened to it, in order.
    pub journey: Vec<acd::JourneyEntry>,
    /// What the gates said lately before its number was called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRecord>,
    /// The last decisions about it, with the reason for each candidate.
    pub why: Vec<acd::Decision>,
}
