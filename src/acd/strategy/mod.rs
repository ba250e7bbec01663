//! Who is offered a work item when several agents are free: one file for each strategy, one arm for each here.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
