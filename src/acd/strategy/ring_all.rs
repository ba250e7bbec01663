//! `ring-all`: every free agent at once, a wave of at most `ring_all_max`; in the order of rank, then of idle time.

use super::Facts;

/// The order in which a wave is filled when there are more free agents than it holds.
pub(in crate::acd) fn key(facts: &Facts) -> i64 {
    i64::from(facts.rank)
}
