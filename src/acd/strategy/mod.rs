//! Who is offered a work item when several agents are free: one file for each strategy, one arm for each here.

pub(super) mod fewest_calls;
pub(super) mod fixed;
pub(super) mod least_occupied;
pub(super) mod longest_idle;
pub(super) mod most_proficient;
pub(super) mod random;
pub(super) mod ring_all;
pub(super) mod round_robin;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agent::AgentKey;

/// The strategies, by their names in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The agent who has been idle longest (the default).
    #[default]
    LongestIdle,
    /// The next agent after the one offered last, by extension.
    RoundRobin,
    /// By rank.
    Fixed,
    /// The fewest calls handled in the last eight hours.
    FewestCalls,
    /// The lowest occupancy in the last eight hours.
    LeastOccupied,
    /// Any of them, from the seed.
    Random,
    /// The best score of skills, then the longest idle.
    MostProficient,
    /// All free agents at once, in waves.
    RingAll,
}

/// What a strategy may know of a free agent in a queue. All of it stands still while the agent is free.
pub(super) struct Facts {
    pub ring: u8,
    pub level: u8,
    pub rank: u16,
    /// Virtual start of the idle clock in nanoseconds of the monotonic clock; smaller is longer idle.
    pub idle_start: i64,
    /// AgentOffers since log-in.
    pub offers: u64,
    /// Calls handled in the last eight hours.
    pub handled_in_window: u32,
}

/// Where a free agent stands in a queue: `(ring, level, strategy key, rank, −idle time, offers, agent)`, least first. Ring 0 are those
/// who serve the queue from the start; the others are drawn in by an expansion.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub ring: u8,
    pub level: u8,
    pub key: i64,
    pub rank: u16,
    pub idle_start: i64,
    pub offers: u64,
    pub extension: Arc<str>,
    pub agent: Option<AgentKey>,
}

impl Place {
    fn bound((ring, level): (u8, u8), extension: &Arc<str>) -> Place {
        Place {
            ring,
            level,
            key: i64::MIN,
            rank: 0,
            idle_start: 0,
            offers: 0,
            extension: extension.clone(),
            agent: None,
        }
    }

    /// Ring and level: those who are chosen among by the strategy's key.
    pub(super) fn group(&self) -> (u8, u8) {
        (self.ring, self.level)
    }

    /// A bound before every agent of a group.
    pub(super) fn before(group: (u8, u8)) -> Place {
        Place::bound(group, &Arc::from(""))
    }

    /// A bound after every agent of a group.
    pub(super) fn after(group: (u8, u8)) -> Place {
        Place {
            key: i64::MAX,
            rank: u16::MAX,
            ..Place::bound(group, &Arc::from(""))
        }
    }

    /// A bound after the agent with `extension` in a set kept by round-robin.
    pub(super) fn after_agent(group: (u8, u8), extension: &Arc<str>) -> Place {
        Place {
            key: 0,
            agent: Some(AgentKey::from_bits(u64::MAX)),
            ..Place::bound(group, extension)
        }
    }
}

/// How the free agents of a queue are brought into order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// The set is kept in the strategy's order: the first who passes is chosen, O(log n).
    Sorted,
    /// The set is kept by extension and read from the position on, O(log n).
    Rotating,
    /// The key depends on the work item, the moment or a draw: computed for each free agent of the queue, O(free agents).
    Computed,
}

impl Strategy {
    pub(super) fn kept(self) -> Kept {
        match self {
            Strategy::LongestIdle | Strategy::Fixed | Strategy::FewestCalls | Strategy::RingAll => {
                Kept::Sorted
            }
            Strategy::RoundRobin => Kept::Rotating,
            Strategy::LeastOccupied | Strategy::Random | Strategy::MostProficient => Kept::Computed,
        }
    }

    /// Where an agent with these facts stands in a queue of this strategy.
    pub(super) fn place(self, facts: &Facts, extension: &Arc<str>, agent: AgentKey) -> Place {
        let key = match self {
            Strategy::LongestIdle => longest_idle::key(facts),
            Strategy::Fixed => fixed::key(facts),
            Strategy::FewestCalls => fewest_calls::key(facts),
            Strategy::RingAll => ring_all::key(facts),
            Strategy::RoundRobin
            | Strategy::LeastOccupied
            | Strategy::Random
            | Strategy::MostProficient => 0,
        };
        // Round-robin is stable by extension: nothing else may come before it.
        let rotating = self.kept() == Kept::Rotating;
        Place {
            ring: facts.ring,
            level: facts.level,
            key,
            rank: if rotating { 0 } else { facts.rank },
            idle_start: if rotating { 0 } else { facts.idle_start },
            offers: if rotating { 0 } else { facts.offers },
            extension: extension.clone(),
            agent: Some(agent),
        }
    }

    /// True when all free agents are rung at once.
    pub(super) fn is_broadcast(self) -> bool {
        self == Strategy::RingAll
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn facts(level: u8) -> Facts {
        Facts {
            ring: 0,
            level,
            rank: 1,
            idle_start: 0,
            offers: 0,
            handled_in_window: 0,
        }
    }

    #[test]
    fn names_are_those_of_the_configuration() {
        for (strategy, name) in [
            (Strategy::LongestIdle, "\"longest-idle\""),
            (Strategy::RoundRobin, "\"round-robin\""),
            (Strategy::Fixed, "\"fixed\""),
            (Strategy::FewestCalls, "\"fewest-calls\""),
            (Strategy::LeastOccupied, "\"least-occupied\""),
            (Strategy::Random, "\"random\""),
            (Strategy::MostProficient, "\"most-proficient\""),
            (Strategy::RingAll, "\"ring-all\""),
        ] {
            assert_eq!(serde_json::to_string(&strategy).expect("serialises"), name);
        }
    }

    #[test]
    fn round_robin_goes_on_after_the_last_offered_inside_each_level() {
        let free: BTreeSet<Place> = [
            (1, "1001"),
            (1, "1002"),
            (1, "1003"),
            (2, "1000"),
            (2, "1004"),
        ]
        .iter()
        .enumerate()
        .map(|(i, (level, name))| {
            Strategy::RoundRobin.place(
                &facts(*level),
                &Arc::from(*name),
                AgentKey::from_bits(i as u64),
            )
        })
        .collect();
        let order = |last: Option<&str>| -> Vec<String> {
            round_robin::rotated(&free, last.map(Arc::from).as_ref())
                .map(|place| place.extension.to_string())
                .collect()
        };
        assert_eq!(order(None), ["1001", "1002", "1003", "1000", "1004"]);
        assert_eq!(
            order(Some("1002")),
            ["1003", "1001", "1002", "1004", "1000"]
        );
        assert_eq!(
            order(Some("1002a")),
            ["1003", "1001", "1002", "1004", "1000"]
        );
        assert_eq!(order(Some("9")), ["1001", "1002", "1003", "1000", "1004"]);
    }
}
