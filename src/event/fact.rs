//! Facts about calls, registrations and trunks, as published on the event stream.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call_record::{Direction, Party};
use crate::base::{Ulid, WallTime};

/// Who refused a call that we sent, where, and why.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LegRefusal {
    /// The party.
    pub party: Party,
    /// Transport and address: of a trunk, which gateway it was.
    pub peer: String,
    /// The Reason header of the refusal, where one came (RFC 3326).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// What happened to a call or to one of its legs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum CallFact {
    /// A call began.
    Started {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// Where it came from.
        direction: Direction,
        /// Who calls.
        from: Party,
        /// Whom the caller asked for.
        to: Party,
    },
    /// The first ringing of a party was reported.
    Ringing {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// The leg that rings.
        #[schema(value_type = String)]
        leg: Ulid,
        /// Who is rung.
        party: Party,
    },
    /// A leg was answered.
    Answered {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// The leg that is answered.
        #[schema(value_type = String)]
        leg: Ulid,
        /// `caller` when this server answered the caller, `callee` or `agent` when a party that it called did.
        #[schema(value_type = String)]
        #[serde(default)]
        role: Arc<str>,
        /// The party on that leg.
        party: Party,
    },
    /// Two legs hear each other.
    Bridged {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// The caller's leg.
        #[schema(value_type = String)]
        a: Ulid,
        /// The other leg.
        #[schema(value_type = String)]
        b: Ulid,
    },
    /// A party put the other on hold.
    Held {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// The leg that holds.
        #[schema(value_type = String)]
        leg: Ulid,
    },
    /// A party took the other off hold.
    Resumed {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// The leg that resumed.
        #[schema(value_type = String)]
        leg: Ulid,
    },
    /// No audio from a leg although it is due.
    OneWayAudio {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// The leg that is not heard.
        #[schema(value_type = String)]
        leg: Ulid,
        /// What was expected and what was seen, in words.
        detail: String,
    },
    /// A party of the call is being transferred.
    TransferStarted {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// Who asked for it.
        by: Party,
        /// Where to.
        #[schema(value_type = String)]
        to: Arc<str>,
    },
    /// A party of the call talks to somebody else now.
    Transferred {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// Who did it.
        by: Party,
        /// Where to: the number that was dialled, or who was on the other line.
        #[schema(value_type = String)]
        to: Arc<str>,
        /// `blind`, `attended`, `pickup` or `takeover`.
        #[schema(value_type = String)]
        how: Arc<str>,
    },
    /// A transfer came to nothing.
    TransferFailed {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// Who asked for it.
        by: Party,
        /// Where to.
        #[schema(value_type = String)]
        to: Arc<str>,
        /// The final SIP status of the attempt.
        status: u16,
    },
    /// A leg is over.
    LegEnded {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// The leg.
        #[schema(value_type = String)]
        leg: Ulid,
        /// Final status of its INVITE; 200 when it had been answered.
        status: u16,
        /// Of a party that was called and refused: who, where, why.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        refusal: Option<Box<LegRefusal>>,
        /// When the device was called that has not responded at all; then the status is ours.
        #[schema(value_type = Option<String>)]
        #[serde(skip_serializing_if = "Option::is_none", default)]
        silent_since: Option<WallTime>,
    },
    /// A party that was called named somebody else (3xx).
    Forwarded {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// Who forwards.
        by: Party,
        /// Transport and address of the device or gateway that said so.
        device: String,
        /// Whom it names: the number, or the URI where it is none of ours.
        to: String,
        /// The status that it gave, 300 to 399.
        status: u16,
        /// Why that is not followed; absent when it is.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        refused: Option<String>,
    },
    /// The call is over; its record follows in the journal.
    Ended {
        /// The call.
        #[schema(value_type = String)]
        call: Ulid,
        /// Who ended it and why.
        ended_by: String,
    },
}

impl CallFact {
    /// The call that it is about.
    pub fn call(&self) -> Ulid {
        match self {
            CallFact::Started { call, .. }
            | CallFact::Ringing { call, .. }
            | CallFact::Answered { call, .. }
            | CallFact::Bridged { call, .. }
            | CallFact::Held { call, .. }
            | CallFact::Resumed { call, .. }
            | CallFact::OneWayAudio { call, .. }
            | CallFact::TransferStarted { call, .. }
            | CallFact::Transferred { call, .. }
            | CallFact::TransferFailed { call, .. }
            | CallFact::LegEnded { call, .. }
            | CallFact::Forwarded { call, .. }
            | CallFact::Ended { call, .. } => *call,
        }
    }
}

/// What happened to a binding.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum RegistrationFact {
    /// A device registered.
    Added {
        /// `user@domain`.
        #[schema(value_type = String)]
        aor: Arc<str>,
        /// Its contact URI.
        #[schema(value_type = String)]
        contact: Arc<str>,
    },
    /// A device is gone.
    Removed {
        /// `user@domain`.
        #[schema(value_type = String)]
        aor: Arc<str>,
        /// Its contact URI.
        #[schema(value_type = String)]
        contact: Arc<str>,
        /// `unregistered`, `expired`, `replaced`, `connection closed`.
        reason: String,
    },
    /// A device does not answer any more: it is not rung until it does.
    Unreachable {
        /// `user@domain`.
        #[schema(value_type = String)]
        aor: Arc<str>,
        /// Its contact URI.
        #[schema(value_type = String)]
        contact: Arc<str>,
    },
    /// A device that did not answer does again.
    Reachable {
        /// `user@domain`.
        #[schema(value_type = String)]
        aor: Arc<str>,
        /// Its contact URI.
        #[schema(value_type = String)]
        contact: Arc<str>,
    },
}

/// What happened to a trunk.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum TrunkFact {
    /// It answers.
    Up {
        /// The trunk's name.
        #[schema(value_type = String)]
        trunk: Arc<str>,
    },
    /// It does not answer or refuses.
    Down {
        /// The trunk's name.
        #[schema(value_type = String)]
        trunk: Arc<str>,
        /// Why we think so.
        reason: String,
    },
    /// One of its several gateways answers again.
    GatewayUp {
        /// The trunk's name.
        #[schema(value_type = String)]
        trunk: Arc<str>,
        /// Transport and address.
        gateway: String,
    },
    /// One of its several gateways does not answer, or is left alone for a while.
    GatewayDown {
        /// The trunk's name.
        #[schema(value_type = String)]
        trunk: Arc<str>,
        /// Transport and address.
        gateway: String,
        /// Why we think so.
        reason: String,
    },
    /// It is registered at the other side.
    Registered {
        /// The trunk's name.
        #[schema(value_type = String)]
        trunk: Arc<str>,
        /// Transport and address of the registrar.
        registrar: String,
        /// When it ends unless it is refreshed.
        #[schema(value_type = String)]
        expires_at: WallTime,
    },
    /// It is no longer registered, or could not be.
    Unregistered {
        /// The trunk's name.
        #[schema(value_type = String)]
        trunk: Arc<str>,
        /// Why.
        reason: String,
    },
}
