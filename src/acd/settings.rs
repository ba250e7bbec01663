//! What the operator wants: queues, who serves them, and the rules of each. Applied whole; the core takes the difference.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Strategy;
use crate::base::Duration;

/// The whole desired set of queues and agents.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AcdSettings {
    /// Queues, by unique name.
    pub queues: Vec<QueueSettings>,
    /// Agents, by unique extension. An assignment to an extension that is not here has no effect.
    pub agents: Vec<AgentSettings>,
}

/// One queue.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueSettings {
    /// Its name, unique.
    pub name: Arc<str>,
    /// Who is offered a work item when several agents are free. Default: longest idle.
    pub strategy: Strategy,
    /// How long an agent is rung. Default 20 s.
    pub ring_timeout: Duration,
    /// Wrap-up after a call of this queue. Default 15 s; zero means none.
    pub wrap_up: Duration,
    /// The service level that is reported. Default 80 % within 20 s.
    pub service_level: ServiceLevel,
    /// An abandon that waited less than this is a short abandon. Default 5 s.
    pub short_abandon: Duration,
    /// Announcements to waiting callers; `None` for none.
    pub announce: Option<Announce>,
    /// Most waiting work items; `None` for no limit (the default).
    pub max_waiting: Option<u32>,
    /// Longest wait in this queue before a work item leaves as timed out. Default 20 min; `None` for no limit.
    pub max_wait: Option<Duration>,
    /// Head start of every work item of this queue, added to its own. Default zero.
    pub credit: Duration,
    /// Who serves it. At most one assignment an agent counts: the last.
    pub agents: Vec<AssignmentSettings>,
    /// When a work item leaves by rule; first match in this order wins.
    pub overflow: Vec<OverflowRule>,
    /// What happens to agents who do not answer.
    pub rona: Rona,
    /// Most agents rung at once by `ring-all`, in waves. Default 20, at least 1.
    pub ring_all_max: usize,
}

impl QueueSettings {
    /// A queue with every default and nobody to serve it.
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        QueueSettings {
            name: name.into(),
            strategy: Strategy::default(),
            ring_timeout: Duration::from_secs(20),
            wrap_up: Duration::from_secs(15),
            service_level: ServiceLevel::default(),
            short_abandon: Duration::from_secs(5),
            announce: None,
            max_waiting: None,
            max_wait: Some(Duration::from_secs(20 * 60)),
            credit: Duration::ZERO,
            agents: Vec::new(),
            overflow: Vec::new(),
            rona: Rona::default(),
            ring_all_max: 20,
        }
    }
}

/// Share of work items to be answered within a time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ServiceLevel {
    /// Answered at or before this wait is within the service level. Default 20 s.
    pub within: Duration,
    /// Wanted share, 0 to 1. Default 0.8.
    pub target: f64,
}

impl Default for ServiceLevel {
    fn default() -> Self {
        ServiceLevel {
            within: Duration::from_secs(20),
            target: 0.8,
        }
    }
}

/// What a waiting caller is told, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announce {
    /// Time between announcements. Default 45 s; shorter than 5 s is taken as 5 s.
    pub every: Duration,
    /// Say the place in the queue.
    pub position: bool,
    /// Say the expected wait as a band (only after 2 min of waiting, and only with somebody to serve).
    pub wait: bool,
}

/// One agent in one queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssignmentSettings {
    /// The agent's extension.
    pub agent: Arc<str>,
    /// 1 first: the agent prefers queues of a lower level, and the queue prefers agents of a lower level.
    pub level: u8,
    /// A work item must have waited this long before this agent gets it, unless nobody of a lower level is staffed. Default zero.
    pub delay: Duration,
    /// Order inside the level, 1 first: the main order of `fixed`, a tie-break elsewhere.
    pub rank: u16,
    /// Where the toggle stands until somebody moves it. Default true.
    pub enabled: bool,
}

impl AssignmentSettings {
    /// Level 1, rank 1, no delay, enabled.
    pub fn of(agent: impl Into<Arc<str>>) -> Self {
        AssignmentSettings {
            agent: agent.into(),
            level: 1,
            delay: Duration::ZERO,
            rank: 1,
            enabled: true,
        }
    }
}

/// Redirect on no answer: what happens to an agent who lets it ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rona {
    /// After this many in a row the action is taken. Default 2; 0 is taken as 1.
    pub after: u32,
    /// What is done. Default: not ready.
    pub action: RonaAction,
}

impl Default for Rona {
    fn default() -> Self {
        Rona {
            after: 2,
            action: RonaAction::NotReady,
        }
    }
}

/// The action of [`Rona`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RonaAction {
    /// The agent is made not ready with the reason `RONA`.
    NotReady,
    /// The agent gets nothing for this time.
    #[schema(value_type = String)]
    Cooldown(Duration),
    /// Only this work item goes on to the next agent.
    NextOnly,
}

/// A rule by which work items leave the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverflowRule {
    /// When it applies.
    pub when: OverflowWhen,
}

/// When an overflow rule applies. Its steps are known to the dialplan by the rule's index in [`QueueSettings::overflow`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OverflowWhen {
    /// The work item has waited this long in this queue: a flow-out.
    Waited(Duration),
    /// The longest wait ([`QueueSettings::max_wait`]) is over: counted as timed out, not as flow-out.
    MaxWait,
    /// Nobody who serves the queue has been logged in for this long.
    NobodyLoggedIn(Duration),
    /// Nobody who serves the queue has been ready (or busy and wanting more) for this long.
    NobodyReady(Duration),
    /// [`QueueSettings::max_waiting`] work items wait already.
    Full,
}

/// One agent: a person with an extension.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentSettings {
    /// The extension, unique; the agent's name everywhere in the ACD.
    pub extension: Arc<str>,
    /// The person's name.
    pub name: Arc<str>,
    /// Skills with proficiency 1 to 10, higher is better.
    pub skills: Vec<(Arc<str>, u8)>,
    /// Live calls that the extension may have, AgentOffers included. Default 2.
    pub max_concurrent_calls: u32,
    /// May be offered work while another call is live on the extension. Default false.
    pub call_waiting: bool,
    /// Shortens the queue's wrap-up, never lengthens it.
    pub wrap_up_max: Option<Duration>,
    /// Choosing a status during wrap-up ends the wrap-up. Default true.
    pub status_change_ends_wrap: bool,
}

impl AgentSettings {
    /// An agent with every default.
    pub fn of(extension: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        AgentSettings {
            extension: extension.into(),
            name: name.into(),
            skills: Vec::new(),
            max_concurrent_calls: 2,
            call_waiting: false,
            wrap_up_max: None,
            status_change_ends_wrap: true,
        }
    }
}
