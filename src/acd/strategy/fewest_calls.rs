//! `fewest-calls`: the agent with the fewest calls handled in the last eight hours, or since log-in if that is later.

use super::Facts;

/// Calls handled in the window.
pub(in crate::acd) fn key(facts: &Facts) -> i64 {
    i64::from(facts.handled_in_window)
}
