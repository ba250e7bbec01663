//! What the ACD is told: settings, work items, agents, and how AgentOffers go.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::callback::{CallbackFailure, CallbackRequest};
use super::record::AcdRecord;
use super::settings::AcdSettings;
use crate::base::{Duration, Now, Ulid, WallTime};
use crate::directory::toggles::Silent;

/// Names one AgentOffer: one attempt to give one work item to one agent.
pub type OfferId = Ulid;
/// Names one work item through all queues that it passes.
pub type WorkItemId = Ulid;

/// One command. They are handled one at a time, in order; a command about something that is gone does nothing.
#[derive(Clone, PartialEq, Debug)]
#[allow(clippy::large_enum_variant)] // made once, moved once
pub enum AcdCommand {
    /// The whole desired set; applied as a difference that loses nothing.
    Configure(AcdSettings),
    /// A work item enters a queue. A work item that is in a queue already moves (the old queue counts a flow-out).
    Enter {
        /// The work item; the same through overflow, transfer and restart.
        item: WorkItemId,
        /// The queue's name.
        queue: Arc<str>,
        /// When the customer first entered any queue for this need; the time of this command when it is the first. A work item
        /// that the ACD has seen before keeps its first arrival if that is earlier.
        arrival: Now,
        /// Head start over others of its class.
        credit: Duration,
        /// 0 to 9, strict, lower first; 5 is ordinary.
        class: u8,
        /// What an agent must be able to do.
        skills: Vec<SkillNeed>,
        /// Who should serve it, if anybody in particular.
        prefer: Option<Preference>,
        /// Who waits.
        caller: CallerInfo,
        /// The call that waits.
        call: Ulid,
    },
    /// Somebody else waits as this work item now: a transfer has put another party in the caller's place.
    CallerIs {
        /// The work item.
        item: WorkItemId,
        /// Who waits now.
        caller: CallerInfo,
    },
    /// A waiting work item leaves, or the customer of a connected one is gone. Every AgentOffer of it is cancelled in this step.
    Withdraw {
        /// The work item.
        item: WorkItemId,
        /// Why.
        cause: Withdrawal,
    },
    /// The priority of a waiting work item changes: it is re-keyed once, and an event says by whom and by how much.
    Rekey {
        /// The work item.
        item: WorkItemId,
        /// What changes.
        to: Priority,
        /// Who asked for it, for the event.
        by: Arc<str>,
    },
    /// The hours of a queue begin or end. Until it is told otherwise a queue is open.
    QueueHours {
        /// The queue's name.
        queue: Arc<str>,
        /// It is open.
        open: bool,
    },
    /// The agent's shift begins, not ready.
    Login {
        /// Extension.
        agent: Arc<str>,
    },
    /// The agent's shift ends; during a call, when the call has ended.
    Logout {
        /// Extension.
        agent: Arc<str>,
    },
    /// What the agent wants; kept as `next` while work is held.
    SetStatus {
        /// Extension.
        agent: Arc<str>,
        /// Ready or not.
        status: AgentStatus,
    },
    /// Ends the wrap-up now.
    EndWrap {
        /// Extension.
        agent: Arc<str>,
        /// Who ends it.
        by: WrapEndedBy,
    },
    /// A supervisor gives an agent more time for after-call work, at most up to the hard limit.
    ExtendWrap {
        /// Extension.
        agent: Arc<str>,
        /// By how much.
        by: Duration,
    },
    /// What came of a work item that an agent talks about, wraps up or has served. A code that its queue does not take does nothing:
    /// ask [`super::Acd::disposition_refused`] first.
    Dispose {
        /// The work item.
        item: WorkItemId,
        /// A code of its queue.
        code: Arc<str>,
    },
    /// Turns the agent's assignment to a queue on or off.
    QueueLogin {
        /// Extension.
        agent: Arc<str>,
        /// Queue name; `None` for every queue of the agent.
        queue: Option<Arc<str>>,
        /// On or off.
        on: bool,
    },
    /// How many devices of the agent can be rung now; none makes the agent unreachable after a grace of 20 s.
    Devices {
        /// Extension.
        agent: Arc<str>,
        /// Ringable devices.
        ringable: u32,
    },
    /// Why the agent's devices do not ring although they are there, for those who ask why; told before [`AcdCommand::Devices`].
    Silent {
        /// Extension.
        agent: Arc<str>,
        /// What the agent has switched; `None`: nothing.
        silent: Option<Silent>,
    },
    /// Live dialogs on the extension that are not legs of AgentOffers or of calls that the ACD gave.
    Live {
        /// Extension.
        agent: Arc<str>,
        /// How many.
        calls: u32,
    },
    /// A device of the agent rings.
    Alerting {
        /// The AgentOffer.
        offer: OfferId,
    },
    /// A device of the agent answered (2xx). The first one in ACD order wins: `Accepted` or `CancelOffer` answers this.
    Answered {
        /// The AgentOffer.
        offer: OfferId,
        /// Which device.
        device: Arc<str>,
    },
    /// Agent and customer hear each other: the work item has left the queue.
    Bridged {
        /// The AgentOffer.
        offer: OfferId,
    },
    /// The AgentOffer came to nothing; also when the winner drops before `Bridged`.
    OfferEnded {
        /// The AgentOffer.
        offer: OfferId,
        /// How.
        outcome: OfferOutcome,
    },
    /// An agent, or a program for it, declines an AgentOffer that rings. Without a reason that its queue demands nothing happens: ask
    /// [`super::Acd::decline_refused`] first.
    Decline {
        /// The AgentOffer.
        offer: OfferId,
        /// Why, as a code of the queue.
        reason: Option<Arc<str>>,
    },
    /// A caller, an agent or a program asks for a callback. [`super::AcdEffect::CallbackAnswered`] answers it.
    RequestCallback(Box<CallbackRequest>),
    /// Somebody takes a callback back.
    CancelCallback {
        /// The callback.
        callback: WorkItemId,
    },
    /// An agent took the callback, and its customer is called in this call: from now on it is the work item's.
    CallbackCalled {
        /// The AgentOffer that was accepted.
        offer: OfferId,
        /// The call.
        call: Ulid,
    },
    /// An agent took the callback, and the customer could not be had. The agent is free again, and the customer is called later, if
    /// there is another try.
    CallbackFailed {
        /// The AgentOffer that was accepted.
        offer: OfferId,
        /// Why.
        failure: CallbackFailure,
    },
    /// An agent took the callback, and its customer may not be called now. The agent is free again, no try is counted, and the callback has
    /// its place again at that time.
    CallbackPostponed {
        /// The AgentOffer that was accepted.
        offer: OfferId,
        /// When it may be called, where somebody knows.
        until: Option<WallTime>,
    },
    /// A caller who waits takes the place of the callback that its number has: the two become one, and the callback is superseded.
    TakePlace {
        /// The work item that waits.
        item: WorkItemId,
        /// The callback of [`super::AcdEffect::InLineAlready`].
        callback: WorkItemId,
    },
    /// The agent's leg has left the bridge; wrap-up begins.
    SegmentEnded {
        /// The work item.
        item: WorkItemId,
        /// Extension.
        agent: Arc<str>,
        /// Who ended it.
        by: EndedBy,
    },
    /// One record of the journal, at start. Send `Configure` first or after, and all records before any other command.
    Restore(AcdRecord),
}

/// A new priority for a work item that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// This head start in all, the queue's included.
    Credit(Duration),
    /// This class.
    Class(u8),
    /// Before everybody who waits in its queue now.
    Front,
}

/// Agents who should serve a work item. Others get it after `hold`, or at once while none of these is staffed in its queue.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Preference {
    /// Extensions.
    pub agents: Vec<Arc<str>>,
    /// How long it is kept for them, from its entry into the queue.
    pub hold: Duration,
}

/// A skill that a work item asks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
pub struct SkillNeed {
    /// Name of the skill.
    #[schema(value_type = String)]
    pub skill: Arc<str>,
    /// Least proficiency, 1 to 10.
    pub min: u8,
    /// Weight in the score of `most-proficient`; 1 is ordinary.
    pub weight: u8,
    /// False: counts in the score, but keeps nobody out.
    pub mandatory: bool,
}

/// Who waits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CallerInfo {
    /// Presented number.
    #[schema(value_type = String)]
    pub number: Arc<str>,
    /// Presented name, may be empty.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// The extension that it is, if it is one of ours: an agent is never offered the call that it is making itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub extension: Option<Arc<str>>,
}

/// Why a work item is withdrawn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Withdrawal {
    /// The caller hung up: an abandon.
    CallerHungUp,
    /// The dialplan took it out for this reason: a flow-out.
    DialplanLeft(Arc<str>),
    /// Staff or a program took it out: withdrawn.
    Api,
    /// Its call died with the process: withdrawn, of which failed.
    ProcessRestart,
}

/// What the agent wants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum AgentStatus {
    /// Wants work.
    Ready,
    /// Wants none.
    NotReady {
        /// Why, if said.
        #[schema(value_type = Option<String>)]
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<Arc<str>>,
    },
}

impl AgentStatus {
    /// True for ready.
    pub fn is_ready(&self) -> bool {
        matches!(self, AgentStatus::Ready)
    }
}

/// Who ends a wrap-up by command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WrapEndedBy {
    /// The agent.
    Agent,
    /// A supervisor.
    Supervisor,
}

/// How an AgentOffer ended, as the signalling saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OfferOutcome {
    /// The devices rang and nobody answered (the ACD's own ring timer says this too).
    NoAnswer,
    /// The agent refused (603, or the button).
    Declined,
    /// A device was busy (486, 600).
    Busy,
    /// No device could be reached (408, 404, 430, 480, transport failure, no device).
    Unreachable,
    /// Answered, but no media or no ACK came.
    NoMedia,
    /// Any other final response. 3xx, 404, 408, 430, 480, 486, 600, 603 are sorted as above.
    Failed(u16),
    /// The caller is gone (`Withdraw` follows or came before).
    CallerGone,
}

/// Who ended an agent's segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// The customer hung up.
    Customer,
    /// The agent hung up or left by transfer.
    Agent,
    /// The server ended it.
    System,
}
