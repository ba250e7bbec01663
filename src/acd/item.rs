//! One work item: its static key, where it is, its AgentOffers, its journey.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::agent::AgentKey;
use super::callback::Callback;
use super::command::{CallerInfo, OfferId, Preference, SkillNeed, WorkItemId};
use super::effect::WaitBand;
use super::explain::Kept;
use super::queue::QueueKey;
use super::record::ItemRecord;
use super::settings::Expansion;
use super::view::{ItemState, JourneyEntry};
use crate::base::{Duration, Instant, Now, TimerId, Ulid, WallTime};

/// Most entries of a journey that are kept; the first are kept, the rest counted.
const JOURNEY_MAX: usize = 200;

/// The static key of a waiting work item, ascending: class, virtual start (arrival − credit, in nanoseconds of the monotonic
/// clock, before its origin after a restart), number. It changes only by a re-key that an
/// event tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Order {
    pub class: u8,
    pub vts: i64,
    pub seq: u64,
    pub item: WorkItemId,
}

/// A time in signed nanoseconds.
pub(super) fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// A moment in signed nanoseconds.
pub(super) fn nanos_at(at: Instant) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

/// `at − credit` in signed nanoseconds.
pub(super) fn virtual_start(arrival: Instant, credit: Duration) -> i64 {
    nanos_at(arrival).saturating_sub(nanos(credit))
}

/// The virtual start of a work item whose arrival is known only by the wall clock.
pub(super) fn virtual_start_of_wall(now: Now, arrival: WallTime, credit: Duration) -> i64 {
    let back = now.wall.as_micros().saturating_sub(arrival.as_micros());
    virtual_start(now.mono, credit).saturating_sub(back.saturating_mul(1000))
}

/// Mandatory skills with least proficiency, sorted: work items with the same needs wait in one line.
pub(super) type Needs = Arc<[(Arc<str>, u8)]>;

/// What an agent must have to be offered a work item: the ring up to which agents are drawn in, and the skills. Work items with the
/// same want are offered from one line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Want {
    pub ring: u8,
    pub needs: Needs,
}

/// What is asked at first.
pub(super) fn needs_of(skills: &[SkillNeed]) -> Needs {
    needs_in_ring(skills, &[])
}

/// What is asked when these rings have been reached: lower proficiencies, but at least 1, and without the dropped skills.
pub(super) fn needs_in_ring(skills: &[SkillNeed], rings: &[Expansion]) -> Needs {
    let lower: u32 = rings.iter().map(|ring| u32::from(ring.min_delta)).sum();
    let lower = u8::try_from(lower).unwrap_or(u8::MAX);
    let mut needs: Vec<_> = skills
        .iter()
        .filter(|need| need.mandatory)
        .filter(|need| !rings.iter().any(|ring| ring.drop.contains(&need.skill)))
        .map(|need| (need.skill.clone(), need.min.saturating_sub(lower).max(1)))
        .collect();
    needs.sort();
    needs.dedup();
    needs.into()
}

/// The timers of a waiting work item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ItemTimer {
    /// An overflow rule or the longest wait is due.
    Overflow,
    /// A hold ends or an expansion is due: a level's delay, a `no_reoffer`, a preference, a ring.
    Wake,
    /// The next announcement.
    Announce,
    /// The next class up.
    Promote,
}

pub(super) struct Step {
    pub at: WallTime,
    pub what: &'static str,
    pub queue: Arc<str>,
    pub agent: Option<Arc<str>>,
    pub detail: String,
}

pub(super) struct Item {
    pub id: WorkItemId,
    pub call: Ulid,
    pub caller: CallerInfo,
    pub skills: Arc<[SkillNeed]>,
    pub needs: Needs,
    pub queue: QueueKey,
    pub queue_name: Arc<str>,
    /// Arrival in signed nanoseconds of the monotonic clock: before its origin after a restart.
    pub arrived: i64,
    pub arrival: WallTime,
    pub entered: Now,
    pub left: Option<Instant>,
    pub credit: Duration,
    pub order: Order,
    /// From when it ages, by the wall clock: its arrival, unless a rule says otherwise.
    pub aged_from: WallTime,
    /// How far what it asks for has widened: `needs` are those of this ring.
    pub ring: u8,
    pub prefer: Option<Box<Preference>>,
    /// A promise to call back, not a call.
    pub callback: Option<Box<Callback>>,
    /// A callback that waits for its next try: it stands in no line.
    pub parked: bool,
    pub state: ItemState,
    /// In a queue, rung for or not.
    pub queued: bool,
    /// Restored from the journal; not offered until its call is known to live.
    pub dormant: bool,
    /// Live AgentOffers, and the one that answered first.
    pub offers: SmallVec<[OfferId; 2]>,
    pub winner: Option<OfferId>,
    /// Who is not offered it again for a while, and since when.
    pub no_reoffer: SmallVec<[(AgentKey, Instant); 2]>,
    /// Agents who talk with it.
    pub talking: SmallVec<[AgentKey; 1]>,
    /// An agent has served it.
    pub served: bool,
    pub disposition: Option<Arc<str>>,
    pub timers: [Option<TimerId>; 4],
    pub last_band: Option<WaitBand>,
    pub bypassed: u32,
    pub journey: Vec<Step>,
    pub journey_lost: u32,
    pub why: VecDeque<Arc<Kept>>,
}

/// Where a work item stands, and since when.
pub(super) struct Place {
    pub queue: QueueKey,
    pub queue_name: Arc<str>,
    pub arrived: i64,
    pub arrival: WallTime,
    pub entered: Now,
    pub credit: Duration,
    pub order: Order,
    pub aged_from: WallTime,
}

impl Item {
    /// One that waits in its queue, with nothing behind it yet.
    pub(super) fn waiting(
        call: Ulid,
        caller: CallerInfo,
        skills: impl Into<Arc<[SkillNeed]>>,
        place: Place,
    ) -> Item {
        let skills = skills.into();
        Item {
            id: place.order.item,
            call,
            caller,
            needs: needs_of(&skills),
            skills,
            queue: place.queue,
            queue_name: place.queue_name,
            arrived: place.arrived,
            arrival: place.arrival,
            entered: place.entered,
            left: None,
            credit: place.credit,
            order: place.order,
            aged_from: place.aged_from,
            ring: 0,
            prefer: None,
            callback: None,
            parked: false,
            state: ItemState::Queued,
            queued: true,
            dormant: false,
            offers: SmallVec::new(),
            winner: None,
            no_reoffer: SmallVec::new(),
            talking: SmallVec::new(),
            served: false,
            disposition: None,
            timers: [None; 4],
            last_band: None,
            bypassed: 0,
            journey: Vec::new(),
            journey_lost: 0,
            why: VecDeque::new(),
        }
    }

    pub(super) fn waited(&self, now: Instant) -> Duration {
        self.left.unwrap_or(now).since(self.entered.mono)
    }

    pub(super) fn want(&self) -> Want {
        Want {
            ring: self.ring,
            needs: self.needs.clone(),
        }
    }

    pub(super) fn note(
        &mut self,
        at: WallTime,
        what: &'static str,
        agent: Option<&Arc<str>>,
        detail: impl Into<String>,
    ) {
        if self.journey.len() >= JOURNEY_MAX {
            self.journey_lost += 1;
            return;
        }
        if self.journey.is_empty() {
            // Most of those who wait have nothing but their entry to tell.
            self.journey.reserve_exact(1);
        }
        self.journey.push(Step {
            at,
            what,
            queue: self.queue_name.clone(),
            agent: agent.cloned(),
            detail: detail.into(),
        });
    }

    pub(super) fn journey_view(&self) -> Vec<JourneyEntry> {
        let mut entries: Vec<JourneyEntry> = self
            .journey
            .iter()
            .map(|step| JourneyEntry {
                at: step.at,
                what: step.what.into(),
                queue: step.queue.clone(),
                agent: step.agent.clone(),
                detail: step.detail.clone(),
            })
            .collect();
        if self.journey_lost > 0
            && let Some(last) = self.journey.last()
        {
            entries.push(JourneyEntry {
                at: last.at,
                what: "more".into(),
                queue: last.queue.clone(),
                agent: None,
                detail: format!("{} more not kept", self.journey_lost),
            });
        }
        entries
    }

    pub(super) fn record(&self) -> ItemRecord {
        ItemRecord {
            item: self.id,
            queue: self.queue_name.clone(),
            entered: self.entered.wall,
            arrival: self.arrival,
            credit_ms: super::metrics::millis(self.credit),
            class: self.order.class,
            seq: self.order.seq,
            skills: self.skills.to_vec(),
            caller: self.caller.clone(),
            call: self.call,
            aged_from: (self.aged_from != self.arrival).then_some(self.aged_from),
            prefer: self.prefer.as_deref().cloned(),
            callback: self.callback.as_deref().map(Callback::record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_is_a_head_start_and_class_is_strict() {
        let order = |class, arrival_s: u64, credit_s: u64, seq| Order {
            class,
            vts: virtual_start(
                Instant::ZERO + Duration::from_secs(arrival_s),
                Duration::from_secs(credit_s),
            ),
            seq,
            item: Ulid(0),
        };
        assert!(order(5, 100, 60, 2) < order(5, 50, 0, 1));
        assert!(order(5, 100, 60, 2) > order(5, 30, 0, 1));
        assert!(order(5, 100, 0, 1) < order(5, 100, 0, 2));
        assert!(order(4, 100, 0, 9) < order(5, 0, 9999, 1));
        assert!(
            order(5, 0, 3600, 9) < order(5, 0, 60, 1),
            "before the clock's origin"
        );
    }

    #[test]
    fn wall_and_monotonic_arrival_give_the_same_key() {
        let now = Now {
            mono: Instant::ZERO + Duration::from_secs(500),
            wall: WallTime::from_millis(1_000_000),
        };
        assert_eq!(
            virtual_start_of_wall(now, WallTime::from_millis(900_000), Duration::from_secs(7)),
            virtual_start(
                Instant::ZERO + Duration::from_secs(400),
                Duration::from_secs(7)
            )
        );
    }

    #[test]
    fn rings_add_up_and_never_ask_for_more() {
        let need = |skill: &str, min| SkillNeed {
            skill: skill.into(),
            min,
            weight: 1,
            mandatory: true,
        };
        let ring = |min_delta, drop: &[&str]| Expansion {
            min_delta,
            drop: drop.iter().map(|skill| (*skill).into()).collect(),
            ..Expansion::default()
        };
        let skills = [need("german", 8), need("billing", 3)];
        let rings = [ring(2, &[]), ring(2, &["billing"]), ring(200, &[])];
        let at = |n: usize| needs_in_ring(&skills, &rings[..n]).to_vec();
        assert_eq!(at(0), [("billing".into(), 3), ("german".into(), 8)]);
        assert_eq!(at(1), [("billing".into(), 1), ("german".into(), 6)]);
        assert_eq!(at(2), [("german".into(), 4)]);
        assert_eq!(
            at(3),
            [("german".into(), 1)],
            "the skill is asked for still"
        );
    }

    #[test]
    fn needs_ignore_order_and_what_is_optional() {
        let need = |skill: &str, mandatory| SkillNeed {
            skill: skill.into(),
            min: 3,
            weight: 1,
            mandatory,
        };
        assert_eq!(
            needs_of(&[need("b", true), need("a", true), need("c", false)]),
            needs_of(&[need("a", true), need("b", true)])
        );
    }
}
