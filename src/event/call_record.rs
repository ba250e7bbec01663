//! One record per call: its legs, its times and how it ended. Written once, when the call is over.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::gates::GateRecord;
use crate::base::{Ulid, WallTime};

/// Where a call came from and where it went, seen from this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From a trunk.
    Inbound,
    /// From an extension to a trunk.
    Outbound,
    /// Between extensions or to a service of this server.
    Internal,
}

/// How a call ended, in the words of reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Somebody or something answered.
    Answered,
    /// The caller hung up first.
    Cancelled,
    /// It rang and nobody answered.
    NoAnswer,
    /// The other end was busy.
    Busy,
    /// The other end declined.
    Declined,
    /// It could not be set up.
    Failed,
}

impl Outcome {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Cancelled => "cancelled",
            Outcome::NoAnswer => "no-answer",
            Outcome::Busy => "busy",
            Outcome::Declined => "declined",
            Outcome::Failed => "failed",
        }
    }
}

/// Who took part: an extension, a number behind a trunk, or a service of this server.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Party {
    /// Extension, number or user part as presented.
    #[schema(value_type = String)]
    pub number: Arc<str>,
    /// Display name, if one is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub name: Option<Arc<str>>,
    /// The trunk it came or went through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub trunk: Option<Arc<str>>,
}

/// One leg of a call: one party as the B2BUA saw it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LegRecord {
    /// The leg's own id.
    #[schema(value_type = String)]
    pub id: Ulid,
    /// The party on this leg.
    pub party: Party,
    /// `caller`, `callee` or `agent`.
    #[schema(value_type = String)]
    pub role: Arc<str>,
    /// When its INVITE came or left.
    #[schema(value_type = String)]
    pub started_at: WallTime,
    /// When it was answered with a 2xx.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub answered_at: Option<WallTime>,
    /// When it was over.
    #[schema(value_type = String)]
    pub ended_at: WallTime,
    /// The final SIP status of its INVITE, or 200 when it was answered.
    pub status: u16,
    /// Call-ID of its dialog.
    pub call_id: String,
    /// RTP packets received from and sent to the party.
    pub packets: (u64, u64),
    /// Where it was signalled with, transport and address: of a trunk, which gateway it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<String>,
    /// The Reason header of the refusal, where one came (RFC 3326): `Q.850;cause=34`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The device did not respond to our INVITE at all; `status` is then ours, and nothing that it said.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub no_response: bool,
}

/// One transfer of a party of a call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TransferRecord {
    /// When it was asked for.
    #[schema(value_type = String)]
    pub at: WallTime,
    /// Who asked for it.
    pub by: Party,
    /// The number that was dialled for it, or who was on the other line.
    #[schema(value_type = String)]
    pub to: Arc<str>,
    /// `blind`, `attended`, `pickup` or `takeover`.
    #[schema(value_type = String)]
    pub how: Arc<str>,
    /// The final SIP status of the attempt; 200 when it was done, 0 while it is under way.
    pub status: u16,
}

/// The record of one call, keyed by an id that is fixed before its first INVITE is forwarded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallRecord {
    /// The call's cluster-wide id (`Ucid`).
    #[schema(value_type = String)]
    pub id: Ulid,
    /// Where it came from and went to.
    pub direction: Direction,
    /// Who called.
    pub from: Party,
    /// Whom the caller asked for.
    pub to: Party,
    /// When the first INVITE came.
    #[schema(value_type = String)]
    pub started_at: WallTime,
    /// When the caller's leg was answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub answered_at: Option<WallTime>,
    /// When the last leg was over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<WallTime>,
    /// How it ended.
    pub outcome: Outcome,
    /// Who ended it and why: `caller`, `callee`, `agent`, `system: media lost`, …
    pub ended_by: String,
    /// Seconds from answer to end, zero when unanswered.
    pub duration_secs: f64,
    /// Names of the queues it went through, in order.
    #[schema(value_type = Vec<String>)]
    pub queues: Vec<Arc<str>>,
    /// The agent who was bridged, if one was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub agent: Option<Arc<str>>,
    /// All legs, in order of their start.
    pub legs: Vec<LegRecord>,
    /// Who transferred whom, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub transfers: Vec<TransferRecord>,
    /// What the gates said before a number was called, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub gates: Vec<GateRecord>,
    /// True when the process died during the call and the record was closed afterwards, at the last sign of life.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub recovered: bool,
}
