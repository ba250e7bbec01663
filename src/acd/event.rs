//! Facts about queues, agents and work items, as published on the event stream.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::callback::{CallbackAnswer, CallbackFailure};
use super::command::{EndedBy, OfferId, WorkItemId};
use super::effect::{CancelReason, LeaveWhy};
use crate::base::Ulid;

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum AcdEvent {
    /// An agent's display value, `next` or reason changed.
    AgentState {
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
        /// The new display value.
        state: AgentDisplay,
        /// Why not ready, if said.
        #[schema(value_type = Option<String>)]
        reason: Option<Arc<str>>,
        /// A change waits for the work to be done.
        next: bool,
    },
    /// An assignment's toggle moved.
    AssignmentToggled {
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// On or off.
        on: bool,
    },
    /// The opening hours of a queue began or ended.
    QueueHours {
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// It is open now.
        open: bool,
    },
    /// A work item entered a queue.
    Queued {
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Its call.
        #[schema(value_type = String)]
        call: Ulid,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// Its place, 1 is next.
        position: u32,
        /// Work items waiting now.
        waiting: u32,
    },
    /// The key of a waiting work item changed: its place is another one.
    Rekeyed {
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// Who asked for it; `class-promote-after` for the queue's own rule.
        #[schema(value_type = String)]
        by: Arc<str>,
        /// Class before.
        class_before: u8,
        /// Class now.
        class: u8,
        /// Head start before, in milliseconds.
        credit_before_ms: u64,
        /// Head start now, in milliseconds.
        credit_ms: u64,
        /// Place before, 1 is next.
        position_before: u32,
        /// Place now.
        position: u32,
    },
    /// What is asked of an agent for this work item has widened.
    Expanded {
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// The ring that it has reached; 0 was as asked.
        ring: u8,
    },
    /// A callback was promised.
    CallbackPromised {
        /// The callback.
        #[schema(value_type = String)]
        callback: WorkItemId,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// Whom to call.
        #[schema(value_type = String)]
        number: Arc<str>,
        /// Its place, 1 is next.
        position: u32,
    },
    /// A callback was asked for and not promised.
    CallbackNotPromised {
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// Whom to call.
        #[schema(value_type = String)]
        number: Arc<str>,
        /// Why.
        why: CallbackAnswer,
    },
    /// The customer of a callback could not be had.
    CallbackTried {
        /// The callback.
        #[schema(value_type = String)]
        callback: WorkItemId,
        /// How often so far.
        attempts: u32,
        /// Why not.
        failure: CallbackFailure,
        /// When it is tried again, in milliseconds; `None`: not again.
        again_in_ms: Option<u64>,
    },
    /// The customer of a callback may not be called now: no try was made, and it keeps its place.
    CallbackPostponed {
        /// The callback.
        #[schema(value_type = String)]
        callback: WorkItemId,
        /// When it is offered again, in milliseconds.
        again_in_ms: u64,
    },
    /// A callback is over.
    CallbackEnded {
        /// The callback.
        #[schema(value_type = String)]
        callback: WorkItemId,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// How.
        how: CallbackEnd,
    },
    /// An agent is rung for a work item.
    AgentOffered {
        /// The AgentOffer.
        #[schema(value_type = String)]
        offer: OfferId,
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// How long it has waited, in milliseconds.
        waited_ms: u64,
    },
    /// An agent's device rings.
    AgentAlerting {
        /// The AgentOffer.
        #[schema(value_type = String)]
        offer: OfferId,
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
    },
    /// An AgentOffer came to nothing.
    AgentOfferEnded {
        /// The AgentOffer.
        #[schema(value_type = String)]
        offer: OfferId,
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// What it counts as.
        result: OfferResult,
        /// The reason given with a decline.
        #[schema(value_type = Option<String>)]
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<Arc<str>>,
    },
    /// An agent answered and won; not yet bridged.
    AgentAnswered {
        /// The AgentOffer.
        #[schema(value_type = String)]
        offer: OfferId,
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
        /// The device that answered.
        #[schema(value_type = String)]
        device: Arc<str>,
    },
    /// Agent and customer are bridged: the queue segment is answered.
    Connected {
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Its call.
        #[schema(value_type = String)]
        call: Ulid,
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// Wait in this queue, in milliseconds.
        waited_ms: u64,
    },
    /// The caller gave up.
    Abandoned {
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// Wait in this queue, in milliseconds.
        waited_ms: u64,
        /// An agent was being rung.
        while_alerting: bool,
        /// Sooner than the queue's short-abandon limit.
        short: bool,
    },
    /// The work item left the queue by rule.
    Left {
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// Why.
        why: LeaveWhy,
        /// Wait in this queue, in milliseconds.
        waited_ms: u64,
    },
    /// The work item was taken out by staff, a program, the dialplan, or died with the process.
    Withdrawn {
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// `api`, `moved`, `process-restart`, or the dialplan's reason.
        #[schema(value_type = String)]
        cause: Arc<str>,
        /// Wait in this queue, in milliseconds.
        waited_ms: u64,
    },
    /// An agent's part in a work item ended.
    SegmentEnded {
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// Talk, in milliseconds.
        talk_ms: u64,
        /// Who ended it.
        by: EndedBy,
    },
    /// A wrap-up ended.
    WrapEnded {
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
        /// The work item that it followed.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// How.
        how: WrapEnd,
        /// How long it was, in milliseconds.
        wrap_ms: u64,
        /// What came of the work item; `missing` when its queue demands it and it was not said.
        #[schema(value_type = Option<String>)]
        #[serde(skip_serializing_if = "Option::is_none", default)]
        disposition: Option<Arc<str>>,
    },
    /// It was said what came of a work item.
    Disposed {
        /// The work item.
        #[schema(value_type = String)]
        item: WorkItemId,
        /// The queue that gave it.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// A code of its queue.
        #[schema(value_type = String)]
        code: Arc<str>,
    },
    /// An agent did not answer often enough in a row for the queue's action.
    Rona {
        /// Extension.
        #[schema(value_type = String)]
        agent: Arc<str>,
        /// Queue.
        #[schema(value_type = String)]
        queue: Arc<str>,
        /// How often in a row.
        in_a_row: u32,
    },
    /// A queue, an agent or an assignment was added, changed or removed by the configuration.
    Configured {
        /// What, in words.
        change: String,
    },
    /// A sum that does not add up, or a transition that is not in the table. Ours to mend: report it.
    Defect {
        /// What was found, in words.
        what: String,
    },
}

/// One word for what an agent does: the first that applies of this list, from the top.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentDisplay {
    /// Not at work.
    LoggedOut,
    /// Logged in, but no device can be rung.
    Unreachable,
    /// With a customer (or being connected to one).
    Talking,
    /// Rung for a work item.
    Alerting,
    /// After-call work.
    Wrap,
    /// Wants no work.
    NotReady,
    /// Free.
    Ready,
}

impl AgentDisplay {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentDisplay::LoggedOut => "logged-out",
            AgentDisplay::Unreachable => "unreachable",
            AgentDisplay::Talking => "talking",
            AgentDisplay::Alerting => "alerting",
            AgentDisplay::Wrap => "wrap",
            AgentDisplay::NotReady => "not-ready",
            AgentDisplay::Ready => "ready",
        }
    }
}

/// What an AgentOffer that came to nothing counts as (an answered one counts as answered).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OfferResult {
    /// Rang in vain on a reachable device.
    Rona,
    /// Refused.
    Declined,
    /// The device was busy while our table said free.
    Busy,
    /// No device could be reached.
    Unreachable,
    /// The device answered with a redirection, which queues do not follow.
    RedirectRefused,
    /// Answered, but no media.
    AnswerNoMedia,
    /// Answered, and dropped before the bridge.
    AnswerThenDrop,
    /// Answered, but the customer of the callback could not be had.
    CustomerNotReached,
    /// Any other failure.
    Failed,
    /// Cancelled by us.
    Cancelled(CancelReason),
}

/// How a callback ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackEnd {
    /// Agent and customer talked.
    Connected,
    /// The customer could not be had in any try.
    Failed,
    /// Its time was over.
    Expired,
    /// Somebody took it back.
    Cancelled,
    /// The customer called in and took its place.
    Superseded,
}

/// How a wrap-up ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WrapEnd {
    /// Its time was over.
    Timer,
    /// The agent ended it.
    Agent,
    /// The agent said what came of the work item.
    Disposition,
    /// A supervisor ended it.
    Supervisor,
    /// The agent logged out.
    Logout,
}
