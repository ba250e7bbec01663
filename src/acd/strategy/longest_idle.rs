//! `longest-idle`: the agent whose idle clock has run longest.

use super::Facts;

/// The virtual start of the idle clock: smaller is longer idle, and it stands still while the clock runs.
pub(in crate::acd) fn key(facts: &Facts) -> i64 {
    facts.idle_start
}
