//! Hands out RTP ports: random choice, and a rest before a port is given out again.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::base::{Duration, Entropy, Instant, Now};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    InUse(u16),
    Resting(u16),
}

/// The even ports of a range, each with the odd one above it for RTCP. Keep the range out of the kernel's `ip_local_port_range`.
pub struct Ports {
    first: u16,
    places: Vec<Place>,
    free: Vec<u16>,
    /// Free ones that were in use before, by the worker that had them: it may have their sockets still, which spares making them, and
    /// while it has no other worker could make them.
    warm: Vec<Vec<u16>>,
    resting: VecDeque<(Instant, u16)>,
    in_use: usize,
    rest: Duration,
    entropy: Entropy,
    missing: u64,
    complained: Option<Instant>,
}

/// Ports that were used before are drawn from when there are as many: a choice of fewer could be guessed.
const WARM_MIN: usize = 512;
/// How long nothing more is said of missing ports.
const QUIET: Duration = Duration::from_secs(60);

impl Ports {
    /// Pairs wholly within `range`. `quarantine` is how long a freed pair rests (default `base::limits::PORT_QUARANTINE`), so that
    /// packets of an old call never reach a new one.
    pub fn new(range: RangeInclusive<u16>, quarantine: Duration, entropy: Entropy) -> Ports {
        let first = u32::from(*range.start()).max(2).next_multiple_of(2);
        let end = u32::from(*range.end());
        let count = if end > first {
            (end - first).div_ceil(2)
        } else {
            0
        } as usize;
        let first = first.min(u32::from(u16::MAX)) as u16;
        Ports {
            first,
            places: vec![Place::Free; count],
            free: (0..count as u16).collect(),
            warm: Vec::new(),
            resting: VecDeque::new(),
            in_use: 0,
            rest: quarantine,
            entropy,
            missing: 0,
            complained: None,
        }
    }

    /// An even port for a stream of `worker` whose pair nobody has; `None` when all are taken or resting (the call is refused with 503).
    pub fn take(&mut self, now: Now, worker: u16) -> Option<u16> {
        while let Some((until, index)) = self.resting.front().copied() {
            if until > now.mono {
                break;
            }
            self.resting.pop_front();
            let place = &mut self.places[usize::from(index)];
            if let Place::Resting(worker) = *place {
                self.warm[usize::from(worker)].push(index);
            }
            *place = Place::Free;
        }
        if self.warm.len() <= usize::from(worker) {
            self.warm.resize_with(usize::from(worker) + 1, Vec::new);
        }
        let stock = self.stock(usize::from(worker));
        let from = stock.map_or(&mut self.free, |of| &mut self.warm[of]);
        if from.is_empty() {
            self.missing += 1;
            return None;
        }
        let pick = self.entropy.below(from.len() as u64) as usize;
        let index = from.swap_remove(pick);
        self.places[usize::from(index)] = Place::InUse(worker);
        self.in_use += 1;
        Some(self.first + 2 * index)
    }

    /// Where to draw from for this worker: what it had before if that is enough to choose from, else what nobody had (`None`), else what
    /// there is.
    fn stock(&self, worker: usize) -> Option<usize> {
        if self.warm[worker].len() < WARM_MIN && !self.free.is_empty() {
            return None;
        }
        let fullest = (0..self.warm.len()).max_by_key(|other| self.warm[*other].len());
        fullest
            .filter(|_| self.warm[worker].is_empty())
            .or(Some(worker))
    }

    /// Gives a port back after `MediaEvent::Closed` or `Failed`. Ports that were not taken are ignored.
    pub fn give_back(&mut self, now: Now, port: u16) {
        let Some(distance) = port.checked_sub(self.first) else {
            return;
        };
        let index = distance / 2;
        let Some(place) = self.places.get_mut(usize::from(index)) else {
            return;
        };
        let Place::InUse(worker) = *place else {
            return;
        };
        if distance % 2 == 1 {
            return;
        }
        *place = Place::Resting(worker);
        self.in_use -= 1;
        self.resting.push_back((now.mono + self.rest, index));
    }

    /// Pairs in use: zero when no call is left.
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    /// Pairs that rest. Some of them may be free again by now.
    pub fn resting(&self) -> usize {
        self.resting.len()
    }

    /// How often none was free.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// What to tell the operator when none is free; at most once a minute.
    pub fn complaint(&mut self, now: Now) -> Option<String> {
        if self.complained.is_some_and(|at| now.mono.since(at) < QUIET) {
            return None;
        }
        self.complained = Some(now.mono);
        Some(format!(
            "no RTP port is free, a call is refused: {} pairs are in use and {} rest of {}; widen `rtp-ports` of [server]",
            self.in_use,
            self.resting.len(),
            self.places.len()
        ))
    }

    /// Pairs in all.
    pub fn capacity(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Instant::from_nanos(seconds * 1_000_000_000),
            ..Now::default()
        }
    }

    fn ports(range: RangeInclusive<u16>) -> Ports {
        Ports::new(range, Duration::from_secs(10), Entropy::from_number(1))
    }

    #[test]
    fn every_pair_of_the_range_is_given_once() {
        let mut ports = ports(20_001..=20_010);
        let mut taken: Vec<u16> = std::iter::from_fn(|| ports.take(at(0), 0)).collect();
        assert_eq!(ports.in_use(), 4);
        taken.sort_unstable();
        assert_eq!(taken, [20_002, 20_004, 20_006, 20_008]);
    }

    #[test]
    fn pair_needs_its_odd_port_within_the_range() {
        assert_eq!(ports(20_000..=20_000).capacity(), 0);
        assert_eq!(ports(20_000..=20_001).capacity(), 1);
        assert_eq!(ports(65_534..=65_535).take(at(0), 0), Some(65_534));
        assert_eq!(ports(65_535..=65_535).capacity(), 0);
        #[allow(clippy::reversed_empty_ranges)]
        let empty = ports(9..=1);
        assert_eq!(empty.capacity(), 0);
    }

    #[test]
    fn freed_port_rests_before_it_is_given_again() {
        let mut ports = ports(20_000..=20_001);
        let port = ports.take(at(0), 0).expect("one pair");
        ports.give_back(at(5), port);
        assert_eq!(ports.in_use(), 0);
        assert_eq!(ports.take(at(14), 0), None);
        assert_eq!(ports.take(at(15), 0), Some(port));
    }

    #[test]
    fn missing_ports_are_counted_and_told_once_a_minute() {
        let mut ports = ports(20_000..=20_003);
        let first = ports.take(at(0), 0).expect("a pair");
        ports.take(at(0), 0);
        ports.give_back(at(1), first);
        assert_eq!(ports.missing(), 0);
        for second in 1..=4 {
            assert_eq!(ports.take(at(second), 0), None);
        }
        assert_eq!(ports.missing(), 4);
        assert_eq!(ports.resting(), 1);
        let told = ports.complaint(at(1)).expect("a line");
        assert!(
            told.contains("1 pairs are in use and 1 rest of 2"),
            "{told}"
        );
        assert_eq!(ports.complaint(at(60)), None);
        assert!(ports.complaint(at(61)).is_some());
    }

    #[test]
    fn port_given_back_twice_is_free_once() {
        let mut ports = ports(20_000..=20_003);
        let port = ports.take(at(0), 0).expect("a pair");
        ports.give_back(at(0), port);
        ports.give_back(at(0), port);
        ports.give_back(at(0), port + 1);
        ports.give_back(at(0), 7);
        assert!(ports.take(at(20), 0).is_some());
        assert!(ports.take(at(20), 0).is_some());
        assert_eq!(ports.take(at(20), 0), None);
        assert_eq!(ports.in_use(), 2);
    }

    #[test]
    fn ports_that_a_worker_had_are_drawn_again_by_it_alone_while_there_are_others() {
        let mut ports = ports(20_000..=27_999);
        let mut draw = |now, worker, count| -> Vec<u16> {
            let taken: Vec<u16> = (0..count)
                .filter_map(|_| ports.take(at(now), worker))
                .collect();
            taken
                .iter()
                .for_each(|port| ports.give_back(at(now), *port));
            taken
        };
        let first = draw(0, 1, 600);
        assert_eq!(first.len(), 600);
        let others = draw(20, 0, 600);
        assert!(
            others.iter().all(|port| !first.contains(port)),
            "another worker's"
        );
        let again = draw(40, 1, 80);
        assert!(again.iter().all(|port| first.contains(port)), "its own");
        assert_eq!(
            draw(60, 2, 4_000).len(),
            4_000,
            "all, when there is no other"
        );
    }

    #[test]
    fn order_of_ports_is_not_predictable_from_the_range() {
        let mut ports = ports(20_000..=29_999);
        let run: Vec<u16> = (0..10).filter_map(|_| ports.take(at(0), 0)).collect();
        assert!(run.windows(2).any(|pair| pair[1] != pair[0] + 2));
    }
}
