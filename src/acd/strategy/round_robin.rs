//! `round-robin`: the agent after the one offered last, in order of extension. The position is an extension, not an index, so it
//! survives agents that come and go.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use super::Place;

/// The free agents of each level, the ones after `last` before the ones up to `last`.
pub(in crate::acd) fn rotated<'a>(
    free: &'a BTreeSet<Place>,
    last: Option<&Arc<str>>,
) -> Box<dyn Iterator<Item = &'a Place> + 'a> {
    let Some(last) = last.cloned() else {
        return Box::new(free.iter());
    };
    let mut level = free.first().map(|place| place.level);
    let levels = std::iter::from_fn(move || {
        let this = level?;
        level = free
            .range((Excluded(Place::after_level(this)), Unbounded))
            .next()
            .map(|place| place.level);
        Some(this)
    });
    Box::new(levels.flat_map(move |level| {
        let split = Place::after_agent(level, &last);
        let after = free.range((Excluded(split.clone()), Excluded(Place::after_level(level))));
        let upto = free.range((Included(Place::before_level(level)), Included(split)));
        after.chain(upto)
    }))
}
