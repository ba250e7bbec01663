//! Hash maps of the core: keyed once per process against collision floods, with a fixed key in simulation and tests.
//!
//! Never let the order of a `Map` reach an effect: iterate an arena, a `BTreeMap` or a sorted list instead.

#![allow(clippy::disallowed_types)] // the one place that names them

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::sync::OnceLock;

static SEED: OnceLock<u64> = OnceLock::new();

/// Keys the hashes of this process. The shell calls it once, before the first map is made; later calls do nothing.
pub fn seed_hashing(seed: u64) {
    let _ = SEED.set(seed);
}

/// Makes the hashers of [`Map`] and [`Set`]: SipHash-1-3 with the process's key.
#[derive(Clone, Copy)]
pub struct HashKey(u64);

impl Default for HashKey {
    fn default() -> Self {
        HashKey(SEED.get().copied().unwrap_or(0))
    }
}

impl BuildHasher for HashKey {
    type Hasher = DefaultHasher;
    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// The core's hash map.
pub type Map<K, V> = HashMap<K, V, HashKey>;
/// The core's hash set.
pub type Set<K> = HashSet<K, HashKey>;
