//! Token buckets: one, and a table of them for the accounts of users.

use std::hash::BuildHasher;

use crate::base::Instant;
use crate::base::map::HashKey;

/// Tokens are counted in nanosecond shares, so that no rate is lost to rounding: this is one.
pub const ONE: u64 = 1_000_000_000;

/// A token bucket. It does not know its rate: settings may change.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    tokens: u64,
    seen: Instant,
}

impl Bucket {
    /// Nothing in it.
    pub const EMPTY: Bucket = Bucket {
        tokens: 0,
        seen: Instant::ZERO,
    };

    /// A full one.
    pub fn full(now: Instant, rate: u32, burst_seconds: u64) -> Bucket {
        Bucket {
            tokens: full(rate, burst_seconds),
            seen: now,
        }
    }

    /// Takes `price` (in shares of [`ONE`]) out, at `rate` tokens a second of which `burst_seconds`' worth are saved. False when
    /// there is not as much.
    pub fn take(&mut self, now: Instant, rate: u32, burst_seconds: u64, price: u64) -> bool {
        let passed = u64::try_from(now.since(self.seen).as_nanos()).unwrap_or(u64::MAX);
        self.tokens = self
            .tokens
            .saturating_add(passed.saturating_mul(u64::from(rate)))
            .min(full(rate, burst_seconds));
        self.seen = now;
        if self.tokens < price {
            return false;
        }
        self.tokens -= price;
        true
    }

    /// Notes the time without taking anything; nothing is gained for the time that passed.
    pub fn touch(&mut self, now: Instant) {
        self.seen = now;
    }

    /// When something was last asked of it.
    pub fn seen(&self) -> Instant {
        self.seen
    }
}

fn full(rate: u32, burst_seconds: u64) -> u64 {
    u64::from(rate)
        .saturating_mul(burst_seconds)
        .saturating_mul(ONE)
}

/// Accounts counted at a time; one that was idle for longer than 4,000 others begins with a full bucket again.
const ACCOUNTS: usize = 4_096;
const WAYS: usize = 4;
/// Seconds of its rate that an account may save up.
const BURST_SECONDS: u64 = 4;

/// Requests a second of each user, in bounded memory (about 100 kB).
pub struct Accounts {
    sets: Vec<[(u64, Bucket); WAYS]>,
    hash: HashKey,
    /// Requests that came too fast.
    pub refused: u64,
}

impl Default for Accounts {
    fn default() -> Self {
        Accounts {
            sets: vec![[(0, Bucket::EMPTY); WAYS]; ACCOUNTS / WAYS],
            hash: HashKey::default(),
            refused: 0,
        }
    }
}

impl Accounts {
    /// May this user have one more request, at `rate` a second?
    pub fn admit(&mut self, now: Instant, user: &str, rate: u32) -> bool {
        let name = self.hash.hash_one(user) | 1;
        let index = (name >> 1) as usize & (self.sets.len() - 1);
        let Some(set) = self.sets.get_mut(index) else {
            return true;
        };
        let known = set.iter().position(|(other, _)| *other == name);
        let way = known.unwrap_or_else(|| {
            let ways = set.iter().enumerate();
            let oldest = ways.min_by_key(|(_, (_, bucket))| bucket.seen());
            oldest.map_or(0, |(way, _)| way)
        });
        let Some(place) = set.get_mut(way) else {
            return true;
        };
        if known.is_none() {
            *place = (name, Bucket::full(now, rate, BURST_SECONDS));
        }
        let admitted = place.1.take(now, rate, BURST_SECONDS, ONE);
        self.refused += u64::from(!admitted);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Duration;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(1_000) + Duration::from_millis(millis)
    }

    #[test]
    fn an_account_is_limited_and_its_neighbour_is_not() {
        let mut accounts = Accounts::default();
        let admitted = (0..1_000)
            .filter(|_| accounts.admit(at(0), "1001", 10))
            .count();
        assert_eq!(admitted, 40, "four seconds of burst");
        assert_eq!(accounts.refused, 960);
        assert!(accounts.admit(at(0), "1002", 10));
        assert!(!accounts.admit(at(99), "1001", 10));
        assert!(accounts.admit(at(100), "1001", 10));
    }

    #[test]
    fn accounts_without_number_take_no_more_memory() {
        let mut accounts = Accounts::default();
        for user in 0..100_000 {
            assert!(accounts.admit(at(user), &user.to_string(), 10));
        }
        assert_eq!(accounts.sets.len() * WAYS, ACCOUNTS);
    }
}
