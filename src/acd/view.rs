//! What the ACD shows of itself: plain data, made on request, stored nowhere.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::command::{AgentStatus, CallerInfo, OfferId, SkillNeed, WorkItemId};
use super::effect::WaitBand;
use super::event::AgentDisplay;
use super::metrics::{AgentCounters, QueueMetrics};
use super::strategy::Strategy;
use crate::base::{Ulid, WallTime};
use crate::directory::toggles::Silent;

/// A queue with its live figures.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    /// Name.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// How agents are chosen.
    pub strategy: Strategy,
    /// Work items waiting now, those being rung for included.
    pub waiting: u32,
    /// Callbacks promised and not done; they stand in line too, and are not counted in `waiting`.
    pub callbacks: u32,
    /// Of these, rung for or being connected.
    pub alerting: u32,
    /// Talking to an agent now.
    pub talking: u32,
    /// Longest wait of those waiting now, in milliseconds.
    pub longest_wait_ms: u64,
    /// Agents assigned.
    pub agents_assigned: u32,
    /// Of these, logged in with the assignment on.
    pub agents_logged_in: u32,
    /// Of these, wanting work (free or busy).
    pub agents_ready: u32,
    /// Of these, free for a call this moment.
    pub agents_free: u32,
    /// What a caller entering now would be told; `None` when nobody serves the queue.
    pub expected_wait: Option<WaitBand>,
    /// Removed from the configuration; finishes its calls.
    pub closing: bool,
    /// Why a caller who enters now would not wait: `closing`, `full`, or the overflow rule that holds (`nobody-logged-in`,
    /// `nobody-ready`, …); `None` while callers are taken.
    #[schema(value_type = Option<String>)]
    pub closed: Option<Arc<str>>,
    /// Most that may wait.
    pub max_waiting: Option<u32>,
    /// Of those waiting, for longer than the service level's time.
    pub waiting_late: u32,
    /// Rules by which callers leave, in the order of the file.
    pub overflow: Vec<OverflowView>,
    /// Figures since the counters began.
    pub metrics: QueueMetrics,
}

/// An overflow rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OverflowView {
    /// When it applies, as the file says it.
    pub when: String,
    /// A caller who enters now would be taken by it.
    pub holds: bool,
    /// Callers taken for this reason since the counters began (`max-wait`: the longest wait was over).
    pub taken: u64,
    /// Where they go on: the steps of the rule in words.
    pub then: String,
}

/// An agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// Extension.
    #[schema(value_type = String)]
    pub extension: Arc<str>,
    /// The person's name.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// One word.
    pub state: AgentDisplay,
    /// Why not ready, if said.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Arc<str>>,
    /// Since when `state` holds.
    #[schema(value_type = String)]
    pub since: WallTime,
    /// What the agent wants now.
    pub status: AgentStatus,
    /// What follows when the work is done.
    pub next: Option<AgentStatus>,
    /// Since when logged in.
    #[schema(value_type = Option<String>)]
    pub logged_in: Option<WallTime>,
    /// Devices that can be rung.
    pub devices: u32,
    /// Why none rings although some are there: what the agent has switched.
    pub silent: Option<Silent>,
    /// Other live calls on the extension.
    pub other_calls: u32,
    /// The work item offered, talked about or wrapped up.
    #[schema(value_type = Option<String>)]
    pub item: Option<WorkItemId>,
    /// The queue of that work item.
    #[schema(value_type = Option<String>)]
    pub queue: Option<Arc<str>>,
    /// The AgentOffer that rings or is being connected.
    #[schema(value_type = Option<String>)]
    pub offer: Option<OfferId>,
    /// When the wrap-up ends by itself.
    #[schema(value_type = Option<String>)]
    pub wrap_until: Option<WallTime>,
    /// The wrap-up waits for a disposition.
    pub wants_disposition: bool,
    /// Why the agent has no call now, as the rest of a sentence that begins with the agent: what is said of it at a call that waits.
    pub idle_because: String,
    /// The same for programs, as `code` of a candidate.
    pub idle_code: String,
    /// The call that this is about, when one waits that the agent may not have.
    #[schema(value_type = Option<String>)]
    pub idle_item: Option<WorkItemId>,
    /// Idle clock: time wanting work since the last call, in milliseconds.
    pub idle_ms: u64,
    /// (talk + wrap) / (talk + wrap + ready and free), since log-in, 0 to 1; `None` before there is anything to divide by.
    pub occupancy: Option<f64>,
    /// Queues served.
    pub queues: Vec<AssignmentView>,
    /// Counters since log-in.
    pub counters: AgentCounters,
}

/// An agent's assignment to a queue.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssignmentView {
    /// Queue.
    #[schema(value_type = String)]
    pub queue: Arc<str>,
    /// 1 first.
    pub level: u8,
    /// 1 first.
    pub rank: u16,
    /// Where the toggle stands.
    pub enabled: bool,
}

/// A work item.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WorkItemView {
    /// The work item.
    #[schema(value_type = String)]
    pub id: WorkItemId,
    /// Its call.
    #[schema(value_type = String)]
    pub call: Ulid,
    /// Where it is.
    pub state: ItemState,
    /// Queue, the last one when it is in none.
    #[schema(value_type = String)]
    pub queue: Arc<str>,
    /// Who waits.
    pub caller: CallerInfo,
    /// First arrival in any queue for this need.
    #[schema(value_type = String)]
    pub arrival: WallTime,
    /// Entered this queue.
    #[schema(value_type = String)]
    pub entered: WallTime,
    /// Wait in this queue so far, or until it left, in milliseconds.
    pub waited_ms: u64,
    /// Place in the queue, 1 is next; `None` when it does not wait.
    pub position: Option<u32>,
    /// 0 to 9, 5 is ordinary.
    pub class: u8,
    /// Head start, in milliseconds.
    pub credit_ms: u64,
    /// What an agent must be able to do.
    pub skills: Vec<SkillNeed>,
    /// Agents rung for it or talking with it.
    #[schema(value_type = Vec<String>)]
    pub agents: Vec<Arc<str>>,
    /// Times that it was passed over because an agent could not serve it.
    pub bypassed: u32,
    /// What came of it, in a code of its queue.
    #[schema(value_type = Option<String>)]
    pub disposition: Option<Arc<str>>,
    /// What that means to a customer: one of six words.
    pub phase: Phase,
    /// The number to call, when it is a callback.
    #[schema(value_type = Option<String>)]
    pub callback: Option<Arc<str>>,
    /// The reason why it waits, in words.
    pub waits_for: String,
    /// The same for programs: `nobody-logged-in`, `nobody-reachable`, `nobody-ready`, `next-step`, `next-try`, `restart`, `answer`, `bridge`;
    /// `agents` when it is the ready agents who may not have it or are not free. Empty when it does not wait.
    #[serde(default)]
    pub waits_code: String,
}

/// Where a work item is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ItemState {
    /// Waits for an agent.
    Queued,
    /// A callback that waits for its next try.
    Later,
    /// An agent is about to be rung.
    Reserved,
    /// An agent is rung.
    Alerting,
    /// An agent answered, not yet bridged.
    Connecting,
    /// Bridged.
    Connected,
    /// Left the queue by rule or by the dialplan; may enter again.
    FlowedOut,
    /// Longest wait over.
    TimedOut,
    /// The caller gave up.
    Abandoned,
    /// Taken out by staff or a program.
    Withdrawn,
    /// Ended after being served.
    Ended,
    /// Its call died with the process.
    Failed,
}

/// Where a work item is, as customers' histories say it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// In line, or promised for later.
    Waiting,
    /// An agent is being had.
    Assigning,
    /// With an agent.
    Assigned,
    /// Between two queues or agents.
    Transferring,
    /// Over, after it was served or taken out.
    Ended,
    /// Over, and the customer did not get what was asked for.
    Failed,
}

impl ItemState {
    /// The word that customers' histories have for it.
    pub fn phase(self) -> Phase {
        match self {
            ItemState::Queued | ItemState::Later => Phase::Waiting,
            ItemState::Reserved | ItemState::Alerting | ItemState::Connecting => Phase::Assigning,
            ItemState::Connected => Phase::Assigned,
            // It goes on in its next segment, wherever that is.
            ItemState::FlowedOut => Phase::Transferring,
            ItemState::Withdrawn | ItemState::Ended => Phase::Ended,
            ItemState::TimedOut | ItemState::Abandoned | ItemState::Failed => Phase::Failed,
        }
    }
}

/// One thing that happened to a work item.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct JourneyEntry {
    /// When.
    #[schema(value_type = String)]
    pub at: WallTime,
    /// `entered`, `offered`, `alerting`, `answered`, `connected`, `offer-ended`, `left`, `segment-ended`, …
    #[schema(value_type = String)]
    pub what: Arc<str>,
    /// Queue concerned.
    #[schema(value_type = String)]
    pub queue: Arc<str>,
    /// Agent concerned.
    #[schema(value_type = Option<String>)]
    pub agent: Option<Arc<str>>,
    /// More, in words; may be empty.
    pub detail: String,
}

/// One decision: who was considered, by which rule each was left out, who was chosen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// When.
    #[schema(value_type = String)]
    pub at: WallTime,
    /// What made the ACD decide: `entered`, `requeued`, `agent-free`, `timer`, `configured`, `caller-changed`.
    #[schema(value_type = String)]
    pub trigger: Arc<str>,
    /// The work item that it was about; `None` when no work item was there to give.
    #[schema(value_type = Option<String>)]
    pub item: Option<WorkItemId>,
    /// Its queue.
    #[schema(value_type = Option<String>)]
    pub queue: Option<Arc<str>>,
    /// Its place in the order: class, virtual start of waiting, number.
    pub key: String,
    /// Agents considered (at most 50), in the strategy's order, each with the first rule that left it out.
    pub candidates: Vec<Candidate>,
    /// Candidates beyond those listed.
    pub more: u32,
    /// Extensions chosen; several for `ring-all`, none when nobody could.
    #[schema(value_type = Vec<String>)]
    pub chosen: Vec<Arc<str>>,
}

/// An agent as a decision saw it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Extension.
    #[schema(value_type = String)]
    pub agent: Arc<str>,
    /// What is true of the agent, as the rest of a sentence that begins with it: `was chosen`, or the first rule that left it out.
    pub verdict: String,
    /// The same for programs: `chosen`, `after-chosen`, `not-ready`, `other-call`, `own-call`, `no-reoffer`, …
    #[schema(value_type = String)]
    #[serde(default)]
    pub code: Arc<str>,
}
