//! What the ACD asks of the switch.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::callback::CallbackAnswer;
use super::command::{OfferId, WorkItemId};
use super::event::AcdEvent;
use super::record::AcdRecord;
use crate::base::{Duration, Ulid};

/// One thing to do or to keep.
#[derive(Clone, PartialEq, Debug)]
#[allow(clippy::large_enum_variant)] // made once, moved once, in a list that is reused
pub enum AcdEffect {
    /// Ring this agent for this work item. The token is taken; report how it goes.
    Offer {
        /// The AgentOffer.
        offer: OfferId,
        /// The work item.
        item: WorkItemId,
        /// The call that waits.
        call: Ulid,
        /// Extension.
        agent: Arc<str>,
        /// The queue.
        queue: Arc<str>,
        /// The ACD cancels after this; a phone's own timer should be longer.
        ring_timeout: Duration,
        /// A callback: no call waits. When the agent has accepted, this number is to be called on the agent's time.
        callback: Option<Arc<str>>,
    },
    /// Stop ringing, or release the leg that answered too late. It is over for the ACD: no report is awaited.
    CancelOffer {
        /// The AgentOffer.
        offer: OfferId,
        /// Why; only `AnsweredElsewhere` is told to phones as such.
        reason: CancelReason,
    },
    /// This AgentOffer won: bridge it and report `Bridged`, or `OfferEnded` if that fails.
    Accepted {
        /// The AgentOffer.
        offer: OfferId,
        /// The work item.
        item: WorkItemId,
    },
    /// The work item has left the queue by rule: its call goes on with these steps.
    Leave {
        /// The work item.
        item: WorkItemId,
        /// The call that waited.
        call: Ulid,
        /// The queue that it left.
        queue: Arc<str>,
        /// Why.
        why: LeaveWhy,
        /// Index of the overflow rule whose steps go on; `None`: the steps after `queue`.
        steps: Option<usize>,
    },
    /// Tell the caller. What is `None` is not said.
    Announce {
        /// The work item.
        item: WorkItemId,
        /// The call that waits.
        call: Ulid,
        /// Place in the queue, 1 is next.
        position: Option<u32>,
        /// Expected wait.
        wait: Option<WaitBand>,
    },
    /// What became of the request for a callback.
    CallbackAnswered {
        /// The callback that was asked for.
        callback: WorkItemId,
        /// The call that asked.
        call: Ulid,
        /// The answer.
        answer: CallbackAnswer,
    },
    /// One who has just entered is in line already with a callback: offer its place.
    InLineAlready {
        /// The work item that entered.
        item: WorkItemId,
        /// Its call.
        call: Ulid,
        /// The callback of the same number.
        callback: WorkItemId,
        /// The callback's place, 1 is next; `None` while it waits for its next try.
        position: Option<u32>,
    },
    /// Keep this; the last record of a key wins.
    Journal(AcdRecord),
    /// Publish this.
    Event(AcdEvent),
}

/// Why an AgentOffer is cancelled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CancelReason {
    /// Another agent's answer won.
    AnsweredElsewhere,
    /// The caller hung up.
    CallerGone,
    /// It rang for too long.
    TimedOut,
    /// Taken back: the agent logged out, or the work item left by another way.
    Withdrawn,
}

/// Why a work item left by rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeaveWhy {
    /// An overflow rule matched: waited, nobody logged in, nobody ready.
    Overflow,
    /// The longest wait is over.
    TimedOut,
    /// The queue is closed by its hours.
    Closed,
    /// The queue was full.
    Full,
    /// There is no such queue, or it is being removed.
    NoSuchQueue,
}

/// Expected wait, as it may be announced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitBand {
    /// Less than two minutes.
    UnderTwo,
    /// Two to five minutes.
    TwoToFive,
    /// Five to ten minutes.
    FiveToTen,
    /// More than ten minutes.
    OverTen,
}
