//! `most-proficient`: the best score of the skills that the work item asks for, then the longest idle.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::acd::command::SkillNeed;

/// Score in millionths: Σ(weight · proficiency) / Σ(weight · 10). A skill that the agent lacks counts 0. Nothing asked: 0.
pub(in crate::acd) fn score(skills: &BTreeMap<Arc<str>, u8>, needs: &[SkillNeed]) -> i64 {
    let (mut sum, mut most) = (0i64, 0i64);
    for need in needs {
        let weight = i64::from(need.weight);
        sum += weight * i64::from(skills.get(&need.skill).copied().unwrap_or(0));
        most += weight * 10;
    }
    if most == 0 { 0 } else { sum * 1_000_000 / most }
}

/// The key: better scores first.
pub(in crate::acd) fn key(skills: &BTreeMap<Arc<str>, u8>, needs: &[SkillNeed]) -> i64 {
    -score(skills, needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_skill_counts_nothing_and_weight_counts() {
        let need = |skill: &str, weight| SkillNeed {
            skill: skill.into(),
            min: 1,
            weight,
            mandatory: false,
        };
        let skills = BTreeMap::from([(Arc::from("german"), 8u8)]);
        assert_eq!(score(&skills, &[need("german", 1)]), 800_000);
        assert_eq!(
            score(&skills, &[need("german", 3), need("billing", 1)]),
            600_000
        );
        assert_eq!(score(&skills, &[]), 0);
    }
}
