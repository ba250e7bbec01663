//! What the journal keeps of the ACD: absolute values by key, so the last record of a key wins and a snapshot is the same thing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::{AgentStatus, CallerInfo, Preference, SkillNeed, WorkItemId};
use super::metrics::{AgentCounters, QueueCounters};
use crate::base::{Ulid, WallTime};

/// One record. Its key is the kind with the agent, the queue, both, or the work item.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AcdRecord {
    /// An agent: session, status, wrap-up, counters.
    Agent(AgentRecord),
    /// Where somebody moved an assignment's toggle.
    Assignment {
        /// Extension.
        agent: Arc<str>,
        /// Queue.
        queue: Arc<str>,
        /// On or off.
        enabled: bool,
    },
    /// A queue: counters, round-robin position.
    Queue(QueueRecord),
    /// A work item waits, with its key.
    Item(ItemRecord),
    /// A work item waits no longer.
    ItemGone {
        /// The work item.
        item: WorkItemId,
    },
}

/// What survives of an agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Extension.
    pub agent: Arc<str>,
    /// Since when logged in; `None`: logged out.
    pub logged_in: Option<WallTime>,
    /// What the agent wants.
    pub status: AgentStatus,
    /// What is to follow when the work is done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<AgentStatus>,
    /// The wrap-up that runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrap: Option<WrapRecord>,
    /// AgentOffers not answered in a row.
    pub rona_in_a_row: u32,
    /// Counters since log-in.
    pub counters: AgentCounters,
}

/// A wrap-up that survives.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WrapRecord {
    /// The queue whose call it follows.
    pub queue: Arc<str>,
    /// The work item.
    pub item: WorkItemId,
    /// When it began.
    pub since: WallTime,
    /// When it ends by itself.
    pub until: WallTime,
    /// When it ends whatever is missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hard: Option<WallTime>,
    /// It ends with its time.
    #[serde(skip_serializing_if = "is_true", default = "yes")]
    pub timed: bool,
    /// Its queue demands a disposition.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub demands: bool,
    /// What came of the work item, if it was said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disposition: Option<Arc<str>>,
}

fn yes() -> bool {
    true
}

fn is_true(flag: &bool) -> bool {
    *flag
}

/// What survives of a queue.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QueueRecord {
    /// Name.
    pub queue: Arc<str>,
    /// Counters.
    pub counters: QueueCounters,
    /// The agent to whom an AgentOffer went last: the position of `round-robin`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_offered: Option<Arc<str>>,
}

/// What survives of a waiting work item: everything that its key is made of.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ItemRecord {
    /// The work item.
    pub item: WorkItemId,
    /// Queue.
    pub queue: Arc<str>,
    /// When it entered this queue.
    pub entered: WallTime,
    /// When the customer first entered any queue.
    pub arrival: WallTime,
    /// Head start in milliseconds, the queue's included.
    pub credit_ms: u64,
    /// 0 to 9.
    pub class: u8,
    /// Total order among equals.
    pub seq: u64,
    /// What an agent must be able to do.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub skills: Vec<SkillNeed>,
    /// Who waits.
    pub caller: CallerInfo,
    /// The call that waited.
    pub call: Ulid,
    /// From when it ages, if not from its arrival.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub aged_from: Option<WallTime>,
    /// Who should serve it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prefer: Option<Preference>,
    /// It is a callback.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub callback: Option<CallbackRecord>,
}

/// What survives of a callback.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallbackRecord {
    /// Whom to call.
    pub number: Arc<str>,
    /// The agent to whom it is bound.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<Arc<str>>,
    /// When it expires.
    pub expires: WallTime,
    /// Tries so far.
    pub attempts: u32,
    /// The next try.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub due: Option<WallTime>,
    /// It waits because it may not be called yet, and keeps its place.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub postponed: bool,
}
