//! Sockets without a stream, kept open for the next one on the same port: to make and bind a pair costs five times what it takes to
//! find it again (two legs of a call without audio: 60 µs of 130, November 2026).

use std::collections::VecDeque;

use crate::base::{Duration, Instant, Map};

/// Pairs that rest at most: what 400 calls a second leave within the quarantine of their ports, in 50 MB of the kernel.
const RESTING_MAX: usize = 8_192;
/// Nobody asks for a port again before its quarantine of 10 s is over; one that is not asked for in this time is let go.
const REST: Duration = Duration::from_secs(30);

/// Which place has the sockets of which port, and since when. Ports are given out by their number alone, so that one rests once.
#[derive(Default)]
pub(super) struct Resting {
    places: Map<u16, (usize, Instant)>,
    /// In the order in which they began to rest; some are in use again.
    order: VecDeque<(Instant, u16)>,
}

impl Resting {
    /// The sockets of `port` rest in the place `index` from now on. What is given back has to go for it.
    pub(super) fn put(&mut self, now: Instant, port: u16, index: usize) -> Option<usize> {
        let before = self.places.insert(port, (index, now));
        self.order.push_back((now, port));
        match before {
            Some((before, _)) => Some(before),
            None if self.places.len() > RESTING_MAX => self.first(|_| true),
            None => None,
        }
    }

    /// The place of the sockets of `port`, which rest no more.
    pub(super) fn take(&mut self, port: u16) -> Option<usize> {
        self.places.remove(&port).map(|(index, _)| index)
    }

    /// A place whose sockets have rested for long enough.
    pub(super) fn over(&mut self, now: Instant) -> Option<usize> {
        self.first(|since| now.since(since) >= REST)
    }

    fn first(&mut self, wanted: impl Fn(Instant) -> bool) -> Option<usize> {
        while let Some((since, port)) = self.order.pop_front_if(|(since, _)| wanted(*since)) {
            if self.places.get(&port).is_some_and(|(_, at)| *at == since) {
                return self.take(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn sockets_are_found_by_their_port_and_let_go_after_their_rest() {
        let mut resting = Resting::default();
        for (second, port) in [(0, 10), (1, 12), (2, 14)] {
            let index = usize::from(port);
            assert_eq!(resting.put(at(second), port, index), None);
        }
        assert_eq!(resting.take(12), Some(12));
        assert_eq!(resting.take(12), None);
        assert_eq!(resting.put(at(20), 12, 7), None);
        assert_eq!(resting.over(at(29)), None);
        assert_eq!(resting.over(at(32)), Some(10));
        assert_eq!(resting.over(at(32)), Some(14));
        assert_eq!(resting.over(at(32)), None, "the other began its rest anew");
        assert_eq!(resting.over(at(50)), Some(7));
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut resting = Resting::default();
        for n in 0..RESTING_MAX {
            assert_eq!(resting.put(at(0), n as u16, n), None);
        }
        assert_eq!(resting.put(at(1), 60_000, 99_999), Some(0));
        assert_eq!(
            resting.put(at(1), 60_000, 77_777),
            Some(99_999),
            "the same port"
        );
        assert_eq!(resting.take(60_000), Some(77_777));
    }
}
