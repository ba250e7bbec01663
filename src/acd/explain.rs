//! Why: the last decisions of each work item and each agent, kept as plain values and put into words only when asked.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::agent::Stage;
use super::command::WorkItemId;
use super::item::Order;
use super::metrics::millis;
use super::view::{Candidate, Decision};
use crate::base::{Duration, WallTime};

/// Decisions kept of each work item and each agent.
const DECISIONS_MAX: usize = 50;
/// Candidates kept of each decision.
pub(super) const CANDIDATES_MAX: usize = 50;

/// What made the ACD decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trigger {
    Entered,
    Requeued,
    AgentFree,
    Timer,
    Configured,
    CallerChanged,
}

impl Trigger {
    fn as_str(self) -> &'static str {
        match self {
            Trigger::Entered => "entered",
            Trigger::Requeued => "requeued",
            Trigger::AgentFree => "agent-free",
            Trigger::Timer => "timer",
            Trigger::Configured => "configured",
            Trigger::CallerChanged => "caller-changed",
        }
    }
}

/// The first rule that left an agent out, or that it was not left out.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Why {
    Chosen,
    AfterChosen,
    NothingWaits,
    LoggedOut,
    NotReady(Option<Arc<str>>),
    NextNotReady,
    AssignmentOff,
    Offered(Stage, WorkItemId),
    Talking(WorkItemId),
    Wrap(WallTime),
    OtherCall(u32),
    TooManyCalls(u32),
    NoDevice,
    Cooldown(WallTime),
    NoReoffer(Duration),
    /// The agent is the one who waits.
    OwnCall,
    KeptFor(Duration),
    BoundTo(Arc<str>),
    OuterRing(u8),
    Skill(Arc<str>, u8, u8),
    LevelDelay {
        level: u8,
        delay: Duration,
        waited: Duration,
    },
}

fn clock(at: WallTime) -> String {
    at.timestamp().strftime("%H:%M:%S UTC").to_string()
}

impl Why {
    pub(super) fn words(&self) -> String {
        match self {
            Why::Chosen => "chosen".into(),
            Why::AfterChosen => "free, but after the chosen one".into(),
            Why::NothingWaits => "free, but nothing waits that it may take now".into(),
            Why::LoggedOut => "logged out".into(),
            Why::NotReady(None) => "not ready".into(),
            Why::NotReady(Some(reason)) => format!("not ready: {reason}"),
            Why::NextNotReady => "not ready next".into(),
            Why::AssignmentOff => "logged out of this queue".into(),
            Why::Offered(Stage::Reserved, item) => format!("about to ring for {item}"),
            Why::Offered(Stage::Alerting, item) => format!("ringing for {item}"),
            Why::Offered(Stage::Connecting, item) => format!("being connected to {item}"),
            Why::Talking(item) => format!("talking with {item}"),
            Why::Wrap(until) => format!("wrap until {}", clock(*until)),
            Why::OtherCall(calls) => format!("{calls} other live call(s) on the extension"),
            Why::TooManyCalls(most) => format!("at its limit of {most} concurrent call(s)"),
            Why::NoDevice => "no device that can be rung".into(),
            Why::Cooldown(until) => {
                format!("pause after a failed AgentOffer until {}", clock(*until))
            }
            Why::NoReoffer(left) => format!(
                "had this work item already; not again for {} s",
                millis(*left).div_ceil(1000)
            ),
            Why::OwnCall => "is the caller, and nobody is offered their own call".into(),
            Why::KeptFor(left) => format!(
                "kept for others, whom it prefers, for {} s more",
                millis(*left).div_ceil(1000)
            ),
            Why::BoundTo(agent) => format!("a callback for {agent}"),
            Why::OuterRing(ring) => format!("serves this queue only from ring {ring} on"),
            Why::Skill(skill, min, 0) => format!("lacks the skill {skill} (at least {min})"),
            Why::Skill(skill, min, has) => {
                format!("skill {skill} is {has}, at least {min} is asked")
            }
            Why::LevelDelay {
                level,
                delay,
                waited,
            } => format!(
                "level {level} delay {} s, waited {} s",
                delay.as_secs(),
                waited.as_secs()
            ),
        }
    }
}

/// Agents, each with the first rule that left it out.
pub(super) type Notes = Arc<[(Arc<str>, Why)]>;

/// One decision as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub at: WallTime,
    pub trigger: Trigger,
    pub item: Option<WorkItemId>,
    pub queue: Option<Arc<str>>,
    pub order: Option<Order>,
    pub candidates: Vec<(Arc<str>, Why)>,
    /// Those who were not free, shared by all decisions of the queue until one of its agents changes.
    pub busy: Notes,
    pub more: u32,
    pub chosen: SmallVec<[Arc<str>; 1]>,
}

impl Kept {
    /// The candidates, the free before the others, up to the limit.
    pub(super) fn notes(&self) -> impl Iterator<Item = &(Arc<str>, Why)> {
        let room = CANDIDATES_MAX.saturating_sub(self.candidates.len());
        // what is true of this work item alone stands before what is shared with all that wait
        let named = |agent: &Arc<str>| self.candidates.iter().any(|(other, _)| other == agent);
        let busy = self.busy.iter().filter(move |(agent, _)| !named(agent));
        self.candidates.iter().chain(busy.take(room))
    }

    pub(super) fn words(&self) -> Decision {
        Decision {
            at: self.at,
            trigger: self.trigger.as_str().into(),
            item: self.item,
            queue: self.queue.clone(),
            key: self.order.map_or_else(String::new, |order| {
                format!(
                    "class {}, virtual start {:.3} s, number {}",
                    order.class,
                    order.vts as f64 / 1e9,
                    order.seq
                )
            }),
            candidates: self
                .notes()
                .map(|(agent, why)| Candidate {
                    agent: agent.clone(),
                    verdict: why.words(),
                })
                .collect(),
            more: self.more,
            chosen: self.chosen.to_vec(),
        }
    }
}

/// Adds a decision and forgets the oldest beyond the limit.
pub(super) fn keep(ring: &mut VecDeque<Arc<Kept>>, decision: &Arc<Kept>) {
    if ring.len() >= DECISIONS_MAX {
        ring.pop_front();
    }
    ring.push_back(Arc::clone(decision));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrap_is_explained_with_its_end() {
        let at = WallTime::from_millis(10 * 3_600_000 + 2 * 60_000 + 11_000);
        assert_eq!(Why::Wrap(at).words(), "wrap until 10:02:11 UTC");
    }

    #[test]
    fn a_delay_is_explained_with_both_times() {
        let why = Why::LevelDelay {
            level: 2,
            delay: Duration::from_secs(30),
            waited: Duration::from_secs(12),
        };
        assert_eq!(why.words(), "level 2 delay 30 s, waited 12 s");
    }
}
