//! Ranges of addresses that an operator has banned.

use std::net::IpAddr;

use super::guard::{Ban, BannedBy};
use crate::base::{Instant, Network};

/// Ranges at a time: each is looked at for each message (guess: more is the firewall's task).
const RANGES_MAX: usize = 64;

/// The ranges, with the ends of their bans.
#[derive(Default)]
pub(super) struct BannedRanges {
    list: Vec<(Network, Instant)>,
}

impl BannedRanges {
    /// Begins a ban, or gives one another end. `None` when there are too many.
    pub(super) fn ban(&mut self, now: Instant, range: Network, until: Instant) -> Option<Ban> {
        self.list
            .retain(|(other, end)| *end > now && *other != range);
        if self.list.len() == RANGES_MAX {
            return None;
        }
        self.list.push((range, until));
        Some(shown(range, until))
    }

    /// Ends a ban. False when there is none.
    pub(super) fn lift(&mut self, now: Instant, range: Network) -> bool {
        let found = self
            .list
            .iter()
            .any(|(other, end)| *other == range && *end > now);
        self.list
            .retain(|(other, end)| *end > now && *other != range);
        found
    }

    /// True when an address is in a range that is banned.
    pub(super) fn hold(&self, now: Instant, source: IpAddr) -> bool {
        let banned = |(range, until): &(Network, Instant)| *until > now && range.contains(source);
        !self.list.is_empty() && self.list.iter().any(banned)
    }

    /// Those that are in force.
    pub(super) fn all(&self, now: Instant) -> impl Iterator<Item = Ban> + '_ {
        let live = self.list.iter().filter(move |(_, until)| *until > now);
        live.map(|(range, until)| shown(*range, *until))
    }
}

fn shown(range: Network, until: Instant) -> Ban {
    Ban {
        source: range.address(),
        range: Some(range),
        until,
        by: BannedBy::Operator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Duration;

    fn range(text: &str) -> Network {
        Network::parse(text).expect(text)
    }

    #[test]
    fn a_range_is_banned_until_its_time_is_over_or_it_is_lifted() {
        let mut ranges = BannedRanges::default();
        let (start, hour) = (Instant::ZERO, Duration::from_secs(3_600));
        let inside: IpAddr = [192, 0, 2, 200].into();
        let outside: IpAddr = [192, 0, 3, 1].into();
        ranges.ban(start, range("192.0.2.0/24"), start + hour);
        ranges.ban(start, range("2001:db8::/32"), start + hour);
        assert!(ranges.hold(start, inside) && !ranges.hold(start, outside));
        assert!(ranges.hold(start, "2001:db8:7::1".parse().expect("address")));
        assert!(!ranges.hold(start + hour, inside), "its time is over");
        assert_eq!(ranges.all(start).count(), 2);
        assert!(!ranges.lift(start, range("192.0.2.0/25")));
        assert!(ranges.lift(start, range("192.0.2.0/24")));
        assert!(!ranges.hold(start, inside));
    }

    #[test]
    fn ranges_are_bounded_and_those_that_are_over_make_room() {
        let mut ranges = BannedRanges::default();
        let (start, soon) = (Instant::ZERO, Instant::ZERO + Duration::from_secs(1));
        for last in 0..64 {
            let one = range(&format!("10.{last}.0.0/16"));
            assert!(ranges.ban(start, one, soon).is_some());
        }
        assert!(ranges.ban(start, range("10.64.0.0/16"), soon).is_none());
        assert!(ranges.ban(start, range("10.3.0.0/16"), soon).is_some());
        assert!(ranges.ban(soon, range("10.64.0.0/16"), soon).is_some());
    }
}
