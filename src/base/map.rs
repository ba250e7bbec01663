//! Hash maps of the core: keyed once per process against collision floods, with a fixed key in simulation and tests.
//!
//! Never let the order of a `Map` reach an effect: iterate an arena, a `BTreeMap` or a sorted list instead.

#![allow(clippy::disallowed_types)] // the one place that names them

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher};
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

/// For keys that are themselves outputs of a keyed hash: takes their last eight bytes as they are.
#[derive(Clone, Copy, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

/// A map from keys that are outputs of a keyed hash, so that nobody outside can choose them.
pub type PrintMap<K, V> = HashMap<K, V, BuildHasherDefault<AsItIs>>;

/// The core's hash map.
pub type Map<K, V> = HashMap<K, V, HashKey>;
/// The core's hash set.
pub type Set<K> = HashSet<K, HashKey>;
