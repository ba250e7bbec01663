//! A line of waiting work items in the order of their keys that knows the place of each: sorted blocks, so that an entry, an exit and
//! a place cost about the same with ten waiting as with a hundred thousand.

use super::item::Order;

/// A block is split at this length. Moving half a block is a copy of 12 kB (48 bytes each), and a hundred thousand are some four
/// hundred blocks, whose lengths are added up for a place.
const BLOCK_MAX: usize = 512;

/// Work items in the order of their keys.
#[derive(Clone, Default, Debug)]
pub(super) struct Line {
    /// Never an empty block; ascending within and between blocks.
    blocks: Vec<Vec<Order>>,
    len: usize,
}

impl Line {
    /// The block that holds `order`, or would.
    fn block_of(&self, order: &Order) -> usize {
        let after = self
            .blocks
            .partition_point(|block| block.first().is_some_and(|first| first <= order));
        after.saturating_sub(1)
    }

    pub(super) fn insert(&mut self, order: Order) {
        let at = self.block_of(&order);
        let Some(block) = self.blocks.get_mut(at) else {
            self.blocks.push(vec![order]);
            self.len += 1;
            return;
        };
        let Err(place) = block.binary_search(&order) else {
            return;
        };
        block.insert(place, order);
        self.len += 1;
        if block.len() >= BLOCK_MAX {
            let rest = block.split_off(BLOCK_MAX / 2);
            self.blocks.insert(at + 1, rest);
        }
    }

    pub(super) fn remove(&mut self, order: &Order) -> bool {
        let at = self.block_of(order);
        let Some(block) = self.blocks.get_mut(at) else {
            return false;
        };
        let Ok(place) = block.binary_search(order) else {
            return false;
        };
        block.remove(place);
        if block.is_empty() {
            self.blocks.remove(at);
        }
        self.len -= 1;
        true
    }

    /// How many come before `order`, whether it is in the line or not.
    pub(super) fn before(&self, order: &Order) -> usize {
        let at = self.block_of(order);
        let whole: usize = self.blocks.iter().take(at).map(Vec::len).sum();
        let within = self
            .blocks
            .get(at)
            .map_or(0, |block| block.partition_point(|other| other < order));
        whole + within
    }

    pub(super) fn first(&self) -> Option<&Order> {
        self.blocks.first()?.first()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.blocks.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::{Entropy, Ulid};

    fn order(n: u64) -> Order {
        Order {
            class: 5,
            vts: (n / 3) as i64,
            seq: n,
            item: Ulid(u128::from(n)),
        }
    }

    #[test]
    fn a_line_is_a_sorted_set_that_knows_places() {
        let mut draw = Entropy::from_number(7);
        let (mut line, mut plain) = (Line::default(), BTreeSet::new());
        for step in 0..20_000u64 {
            let one = order(draw.below(4000));
            if draw.below(5) < 3 {
                line.insert(one);
                plain.insert(one);
            } else {
                assert_eq!(line.remove(&one), plain.remove(&one));
            }
            if step % 97 == 0 {
                let other = order(draw.below(4000));
                assert_eq!(line.before(&other), plain.range(..other).count());
                assert_eq!(line.first(), plain.first());
                assert!(line.iter().eq(plain.iter()));
            }
            assert_eq!(
                (line.len(), line.is_empty()),
                (plain.len(), plain.is_empty())
            );
        }
        assert!(plain.len() > 2 * BLOCK_MAX, "blocks were split");
    }
}
