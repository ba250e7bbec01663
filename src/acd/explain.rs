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
use crate::directory::toggles::Silent;

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
    /// Devices are there, and switched off by their owner.
    Silent(Silent),
    Cooldown(WallTime),
    NoReoffer(Duration),
    /// The agent is the one who waits.
    OwnCall,
    /// The queue is closed, and nobody is called back meanwhile.
    QueueClosed,
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
    /// The rule, for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Why::Chosen => "chosen",
            Why::AfterChosen => "after-chosen",
            Why::NothingWaits => "nothing-waits",
            Why::LoggedOut => "logged-out",
            Why::NotReady(_) => "not-ready",
            Why::NextNotReady => "next-not-ready",
            Why::AssignmentOff => "assignment-off",
            Why::Offered(Stage::Reserved | Stage::Alerting, _) => "alerting",
            Why::Offered(Stage::Connecting, _) => "connecting",
            Why::Talking(_) => "talking",
            Why::Wrap(_) => "wrap",
            Why::OtherCall(_) => "other-call",
            Why::TooManyCalls(_) => "too-many-calls",
            Why::NoDevice => "no-device",
            Why::Silent(Silent::DoNotDisturb) => "do-not-disturb",
            Why::Silent(Silent::RingOff) => "ring-off",
            Why::Cooldown(_) => "cooldown",
            Why::NoReoffer(_) => "no-reoffer",
            Why::OwnCall => "own-call",
            Why::QueueClosed => "queue-closed",
            Why::KeptFor(_) => "kept-for-others",
            Why::BoundTo(_) => "bound-to-another",
            Why::OuterRing(_) => "outer-ring",
            Why::Skill(..) => "skill",
            Why::LevelDelay { .. } => "level-delay",
        }
    }

    /// The rest of a sentence that begins with the agent.
    pub(super) fn words(&self) -> String {
        let seconds = |left: &Duration| millis(*left).div_ceil(1000);
        match self {
            Why::Chosen => "was chosen".into(),
            Why::AfterChosen => "is free, and came after the one who was chosen".into(),
            Why::NothingWaits => "is free, and nothing waits that they may take".into(),
            Why::LoggedOut => "is logged out".into(),
            Why::NotReady(None) => "is not ready".into(),
            Why::NotReady(Some(reason)) => format!("is not ready ({reason})"),
            Why::NextNotReady => "will be not ready after the present call".into(),
            Why::AssignmentOff => "is logged out of this queue".into(),
            Why::Offered(Stage::Reserved, item) => format!("is about to be rung for {item}"),
            Why::Offered(Stage::Alerting, item) => format!("is being rung for {item}"),
            Why::Offered(Stage::Connecting, item) => format!("is being connected to {item}"),
            Why::Talking(item) => format!("talks with {item}"),
            Why::Wrap(until) => format!("wraps up until {}", clock(*until)),
            Why::OtherCall(1) => "is in another call".into(),
            Why::OtherCall(calls) => format!("is in {calls} other calls"),
            Why::TooManyCalls(most) => format!("has as many calls as they may have ({most})"),
            Why::NoDevice => "has no device that can be rung".into(),
            Why::Silent(Silent::DoNotDisturb) => "has switched do-not-disturb on".into(),
            Why::Silent(Silent::RingOff) => "has switched every device off".into(),
            Why::QueueClosed => "calls nobody back while the queue is closed".into(),
            Why::Cooldown(until) => format!(
                "is left alone until {}, because the last call could not be given to them",
                clock(*until)
            ),
            Why::NoReoffer(left) => format!(
                "had this call already, and is not rung for it again for {} s",
                seconds(left)
            ),
            Why::OwnCall => "is the caller, and nobody is offered their own call".into(),
            Why::KeptFor(left) => format!(
                "has to leave it for {} s more to others, for whom it is kept",
                seconds(left)
            ),
            Why::BoundTo(agent) => format!("may not have it, because it is a callback for {agent}"),
            Why::OuterRing(ring) => {
                format!("helps in this queue only when a call has waited longer (ring {ring})")
            }
            Why::Skill(skill, min, 0) => format!("lacks the skill {skill} (at least {min})"),
            Why::Skill(skill, min, has) => {
                format!("has the skill {skill} at {has}, and at least {min} is asked")
            }
            Why::LevelDelay {
                level,
                delay,
                waited,
            } => format!(
                "helps when a call has waited {} s (level {level}), and this one has waited {} s",
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
                    code: why.code().into(),
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
        assert_eq!(Why::Wrap(at).words(), "wraps up until 10:02:11 UTC");
    }

    #[test]
    fn a_delay_is_explained_with_both_times() {
        let why = Why::LevelDelay {
            level: 2,
            delay: Duration::from_secs(30),
            waited: Duration::from_secs(12),
        };
        assert_eq!(
            why.words(),
            "helps when a call has waited 30 s (level 2), and this one has waited 12 s"
        );
    }
}
