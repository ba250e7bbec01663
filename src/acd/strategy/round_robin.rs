//! `round-robin`: the agent after the one offered last, in order of extension. The position is an extension, not an index, so it
//! survives agents that come and go.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use super::Place;

/// The free agents of each ring and level, the ones after `last` before the ones up to `last`.
pub(in crate::acd) fn rotated<'a>(
    free: &'a BTreeSet<Place>,
    last: Option<&Arc<str>>,
) -> Box<dyn Iterator<Item = &'a Place> + 'a> {
    let Some(last) = last.cloned() else {
        return Box::new(free.iter());
    };
    let mut group = free.first().map(Place::group);
    let groups = std::iter::from_fn(move || {
        let this = group?;
        group = free
            .range((Excluded(Place::after(this)), Unbounded))
            .next()
            .map(Place::group);
        Some(this)
    });
    Box::new(groups.flat_map(move |group| {
        let split = Place::after_agent(group, &last);
        let after = free.range((Excluded(split.clone()), Excluded(Place::after(group))));
        let upto = free.range((Included(Place::before(group)), Included(split)));
        after.chain(upto)
    }))
}
