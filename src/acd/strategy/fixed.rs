//! `fixed`: always in the order of rank.

use super::Facts;

/// The rank.
pub(in crate::acd) fn key(facts: &Facts) -> i64 {
    i64::from(facts.rank)
}
