//! What people and programs ask of a running switch, and what it answers. The API and the command line are built on this.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::on_numbers::{NumbersAnswer, NumbersOrder};
use super::view::{
    BanView, CallView, QueueDetail, RegistrationView, StatusView, TrunkView, WorkDetail,
};
use crate::acd;
use crate::base::{Network, Ulid};
use crate::event::CallRecord;

/// A question or an order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// The switch as a whole.
    Status,
    /// All bindings.
    Registrations,
    /// All trunks with their health and channels.
    Trunks,
    /// All live calls.
    Calls,
    /// One live call.
    Call {
        /// Its id.
        id: Ulid,
    },
    /// The record of a live call so far, with the legs that are up.
    Record {
        /// Its id.
        id: Ulid,
    },
    /// Sources that are banned.
    Bans,
    /// Bans a source.
    Ban {
        /// Its address (of IPv6 the whole /64), or a range.
        source: Network,
        /// For how long, in seconds.
        seconds: u64,
        /// Also when that shuts out this machine itself.
        force: bool,
    },
    /// Ends a ban.
    LiftBan {
        /// Its address, or the range as it was banned.
        source: Network,
    },
    /// Removes a device from an address of record, or all of them.
    DropDevice {
        /// `user@domain`, or the extension alone.
        aor: Arc<str>,
        /// The contact of the device; all when it is absent.
        contact: Option<Arc<str>>,
    },
    /// Do-not-disturb of an extension.
    SetDoNotDisturb {
        /// The extension.
        extension: Arc<str>,
        /// On, or off.
        on: bool,
    },
    /// Whether a registered device rings.
    SetRing {
        /// The extension.
        extension: Arc<str>,
        /// The contact of the device; all when it is absent.
        contact: Option<Arc<str>>,
        /// On, or off.
        on: bool,
    },
    /// Registers a trunk now, whatever it waits for.
    RegisterTrunk {
        /// Its name.
        name: Arc<str>,
    },
    /// Rings `from`'s devices and, when they answer, calls `to` on their behalf.
    Originate {
        /// The extension that calls; its devices ring first.
        from: Arc<str>,
        /// What it would have dialled.
        to: Arc<str>,
    },
    /// Ends a call.
    Hangup {
        /// Its id.
        id: Ulid,
    },
    /// Transfers whom an extension talks to, as if its phone had asked for it.
    Transfer {
        /// The call.
        id: Ulid,
        /// The extension that transfers.
        by: Arc<str>,
        /// What it would have dialled.
        to: Arc<str>,
    },
    /// Holds whom an extension talks to, or takes it back, whatever its phone does.
    Hold {
        /// The call.
        id: Ulid,
        /// The extension that holds.
        by: Arc<str>,
        /// Hold, or take back.
        hold: bool,
    },
    /// All queues with their live figures.
    Queues,
    /// One queue with its waiting items.
    Queue {
        /// Its name.
        name: Arc<str>,
    },
    /// All agents.
    Agents,
    /// One agent.
    Agent {
        /// Its extension.
        extension: Arc<str>,
    },
    /// Logs an agent in or out.
    AgentSession {
        /// Its extension.
        extension: Arc<str>,
        /// In, or out.
        logged_in: bool,
    },
    /// Sets an agent ready or not ready.
    AgentStatus {
        /// Its extension.
        extension: Arc<str>,
        /// Ready, or not.
        ready: bool,
        /// Why not.
        reason: Option<Arc<str>>,
    },
    /// Declines an agent offer that rings, for the agent.
    Decline {
        /// The agent offer.
        offer: Ulid,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// Ends an agent's wrap-up now.
    EndWrap {
        /// Its extension.
        extension: Arc<str>,
    },
    /// All open work items.
    Work,
    /// One work item with its journey and the reasons for where it is.
    WorkItem {
        /// Its id, or that of its call.
        id: Ulid,
    },
    /// Extends an agent's wrap-up.
    ExtendWrap {
        /// Its extension.
        extension: Arc<str>,
        /// By how much, in seconds.
        seconds: u64,
    },
    /// Says what came of a work item.
    Dispose {
        /// Its id.
        id: Ulid,
        /// A code of its queue.
        code: Arc<str>,
    },
    /// Gives a waiting work item another place.
    Prioritise {
        /// Its id.
        id: Ulid,
        /// What changes.
        to: acd::Priority,
        /// Who asks, for the event.
        by: Arc<str>,
    },
    /// All callbacks that are not over.
    Callbacks,
    /// Asks for a callback.
    RequestCallback {
        /// The queue whose agents call back.
        queue: Arc<str>,
        /// Whom to call, `+E164`.
        number: Arc<str>,
        /// The customer's name.
        name: Option<Arc<str>>,
        /// The agent who is to call; nobody in particular if there is none.
        agent: Option<Arc<str>>,
    },
    /// Takes a callback back.
    CancelCallback {
        /// Its id.
        id: Ulid,
    },
    /// Lists of numbers, and questions to the gates.
    Numbers(NumbersOrder),
    /// Why an agent is or is not offered work.
    WhyAgent {
        /// Its extension.
        extension: Arc<str>,
    },
    /// Says how many messages wait in a voicemail box.
    SetMessages {
        /// Whose box.
        extension: Arc<str>,
        /// Not heard yet.
        new: u32,
        /// Heard and kept.
        old: u32,
    },
    /// No new calls from now on.
    Drain,
    /// Ends all calls, for the server stops: their parties get BYE and their records an end.
    EndCalls,
}

/// What came of a command.
pub type Reply = Result<Answer, Refusal>;

/// The answer to a command that was taken.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Done; there is nothing to show.
    Done,
    /// To [`Command::Status`], [`Command::Drain`] and [`Command::EndCalls`].
    Status(Box<StatusView>),
    /// To [`Command::Registrations`], and with those that are gone to [`Command::DropDevice`].
    Registrations(Vec<RegistrationView>),
    /// To [`Command::Trunks`], and with one alone to [`Command::RegisterTrunk`].
    Trunks(Vec<TrunkView>),
    /// To [`Command::Calls`].
    Calls(Vec<CallView>),
    /// To [`Command::Call`] and [`Command::Originate`].
    Call(Box<CallView>),
    /// To [`Command::Record`].
    Record(Box<CallRecord>),
    /// To [`Command::Bans`], and with the new one alone to [`Command::Ban`].
    Bans(Vec<BanView>),
    /// To [`Command::Queues`].
    Queues(Vec<acd::QueueView>),
    /// To [`Command::Queue`].
    Queue(Box<QueueDetail>),
    /// To [`Command::Agents`].
    Agents(Vec<acd::AgentView>),
    /// To [`Command::Agent`] and the agent's orders.
    Agent(Box<acd::AgentView>),
    /// To [`Command::Work`] and [`Command::Callbacks`].
    Work(Vec<acd::WorkItemView>),
    /// To [`Command::WorkItem`].
    WorkItem(Box<WorkDetail>),
    /// To [`Command::RequestCallback`].
    Callback(Box<CallbackMade>),
    /// To [`Command::Numbers`].
    Numbers(NumbersAnswer),
    /// To [`Command::WhyAgent`].
    Decisions(Vec<acd::Decision>),
}

/// A callback that was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct CallbackMade {
    /// It, or the one that the number had already.
    pub item: acd::WorkItemView,
    /// It is a new one.
    pub promised: bool,
}

/// Why a command was not taken. `code` is stable, `detail` is for people (RFC 9457).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Refusal {
    /// HTTP status that fits.
    pub status: u16,
    /// Stable word for programs.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// What was wrong and what to do.
    pub detail: String,
}

impl Refusal {
    /// 404: there is no such thing.
    pub fn not_found(what: &str, which: &str) -> Self {
        Refusal {
            status: 404,
            code: "not_found",
            detail: format!("there is no {what} `{which}`"),
        }
    }

    /// 403: may not be.
    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Refusal {
            status: 403,
            code,
            detail: detail.into(),
        }
    }

    /// 422: understood, and not allowed as it is.
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Refusal {
            status: 422,
            code,
            detail: detail.into(),
        }
    }

    /// 409: not in this state.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Refusal {
            status: 409,
            code,
            detail: detail.into(),
        }
    }

    /// 503: not now.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Refusal {
            status: 503,
            code,
            detail: detail.into(),
        }
    }
}
