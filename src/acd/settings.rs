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
    /// What ends wrap-up. Default: its time.
    pub wrap_mode: WrapMode,
    /// However long wrap-up may go on, it ends after this. Default 10 min.
    pub wrap_hard_max: Duration,
    /// Wrap-up does not end before the agent has said what came of it, or the hard limit is over. Default false.
    pub disposition_required: bool,
    /// The dispositions that are taken; empty for any.
    pub dispositions: Vec<Arc<str>>,
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
    /// Multiplies the head start of its work items; it blocks no other queue. Default 1, at least 1.
    pub weight: u32,
    /// From when a work item ages in this queue. Default: from its first arrival anywhere.
    pub age_scope: AgeScope,
    /// A work item moves up one class after each such stretch of waiting here. Default: never.
    pub class_promote_after: Option<Duration>,
    /// Whether the delay of a level is skipped while nobody of a lower level is staffed. Default true.
    pub skip_delay_when_unstaffed: bool,
    /// How what is asked of an agent widens with the wait, in ascending order of time. Default: it does not.
    pub expand: Vec<Expansion>,
    /// Who serves it. At most one assignment an agent counts: the last.
    pub agents: Vec<AssignmentSettings>,
    /// When a work item leaves by rule; first match in this order wins.
    pub overflow: Vec<OverflowRule>,
    /// What becomes of callers who wait when the queue closes by its hours. Default: they are served.
    pub at_closing: AtClosing,
    /// What happens to agents who do not answer.
    pub rona: Rona,
    /// What declining is like here.
    pub decline: Declining,
    /// An agent who let a work item ring, declined or dropped it is not offered it again for this long. Default 30 s; for the only
    /// staffed agent at most 10 s, so that nobody is orphaned.
    pub no_reoffer: Duration,
    /// Callbacks; `None`: this queue takes none (the default).
    pub callback: Option<CallbackSettings>,
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
            wrap_mode: WrapMode::Timed,
            wrap_hard_max: Duration::from_secs(10 * 60),
            disposition_required: false,
            dispositions: Vec::new(),
            service_level: ServiceLevel::default(),
            short_abandon: Duration::from_secs(5),
            announce: None,
            max_waiting: None,
            max_wait: Some(Duration::from_secs(20 * 60)),
            credit: Duration::ZERO,
            weight: 1,
            age_scope: AgeScope::Work,
            class_promote_after: None,
            skip_delay_when_unstaffed: true,
            expand: Vec::new(),
            agents: Vec::new(),
            overflow: Vec::new(),
            at_closing: AtClosing::Serve,
            rona: Rona::default(),
            decline: Declining::default(),
            callback: None,
            no_reoffer: Duration::from_secs(30),
            ring_all_max: 20,
        }
    }
}

/// What becomes of callers who wait when their queue closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AtClosing {
    /// They are served; nobody else comes in.
    #[default]
    Serve,
    /// They go by the rule `closed`; one for whom an agent is being rung may be answered first.
    SendOn,
}

/// What ends a wrap-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WrapMode {
    /// Its time, or the agent sooner.
    #[default]
    Timed,
    /// The agent says what came of it.
    UntilDisposition,
    /// The agent.
    Manual,
    /// There is none.
    None,
}

/// From when a work item ages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AgeScope {
    /// From when the customer first entered any queue for this need.
    #[default]
    Work,
    /// From its entry into this queue.
    Queue,
}

/// One ring of an expansion: what is asked of an agent from some wait on. Rings add up, they only widen, and agents of an inner ring
/// stay preferred.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expansion {
    /// Wait in this queue.
    pub after: Duration,
    /// Least proficiencies are lower by this; they do not fall below 1.
    pub min_delta: u8,
    /// Skills that are not asked for any more.
    pub drop: Vec<Arc<str>>,
    /// Queues whose agents may serve this one too.
    pub add_queues: Vec<Arc<str>>,
    /// Extensions that may serve this queue too.
    pub add_agents: Vec<Arc<str>>,
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

/// What a queue does with callers who want to be called back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallbackSettings {
    /// Most open callbacks of the queue; of those bound to one agent, the smaller of this and its concurrent calls. Default: no limit.
    pub cap: Option<u32>,
    /// Where a number may have one callback only. Default: in the queue.
    pub scope: CallbackScope,
    /// A callback that is not done expires after this. Default 24 h.
    pub ttl: Duration,
    /// A customer who is not reached is called again after these times, one after the other. Default 5 min, 30 min, 2 h.
    pub retries: Vec<Duration>,
}

impl Default for CallbackSettings {
    fn default() -> Self {
        CallbackSettings {
            cap: None,
            scope: CallbackScope::Queue,
            ttl: Duration::from_secs(24 * 3600),
            retries: [5, 30, 120]
                .map(|min| Duration::from_secs(min * 60))
                .to_vec(),
        }
    }
}

/// Where a number may have one callback only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CallbackScope {
    /// In each queue.
    #[default]
    Queue,
    /// Over all queues.
    Tenant,
}

/// What declining an AgentOffer takes, and what it means for the agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declining {
    /// An order to decline must give a reason. A phone that declines cannot, and is counted without one. Default false.
    pub reason_required: bool,
    /// The reasons that are taken; empty for any.
    pub reasons: Vec<Arc<str>>,
    /// What is done with the agent. Default: only this work item goes on to the next agent.
    pub action: RonaAction,
}

impl Default for Declining {
    fn default() -> Self {
        Declining {
            reason_required: false,
            reasons: Vec::new(),
            action: RonaAction::NextOnly,
        }
    }
}

/// The action of [`Rona`] and of [`Declining`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RonaAction {
    /// The agent is made not ready, with the reason `RONA` or `declined`.
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
    /// The queue is closed by its hours: on entry, and with [`AtClosing::SendOn`] for those who wait when it closes.
    Closed,
    /// [`QueueSettings::max_waiting`] work items wait already.
    Full,
    /// On entry, with nobody free for it: the expected wait is longer than this.
    ExpectedWait(Duration),
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
