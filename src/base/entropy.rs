//! Entropy as a value: seeded by the shell from the operating system, by the simulator from its seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A cryptographic generator (the standard generator of `rand`, ChaCha12) with one owner.
pub struct Entropy(StdRng);

impl Entropy {
    /// From 32 bytes that the shell drew from the operating system.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Entropy(StdRng::from_seed(seed))
    }

    /// From a small number, for simulation and tests.
    pub fn from_number(seed: u64) -> Self {
        Entropy(StdRng::seed_from_u64(seed))
    }

    /// A fresh generator whose stream is independent of this one's.
    pub fn fork(&mut self) -> Entropy {
        let mut seed = [0u8; 32];
        self.0.fill_bytes(&mut seed);
        Entropy(StdRng::from_seed(seed))
    }

    /// 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 32 random bits.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 128 random bits.
    pub fn u128(&mut self) -> u128 {
        (u128::from(self.u64()) << 64) | u128::from(self.u64())
    }

    /// A number below `bound`, without noticeable bias for bounds far below 2^64; zero when `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// `N` characters of `[a-z2-7]`, five random bits each: for tags, branches, nonces.
    pub fn token<const N: usize>(&mut self) -> [u8; N] {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut bits = 0u64;
        let mut left = 0u32;
        std::array::from_fn(|_| {
            if left < 5 {
                bits = self.u64();
                left = 60;
            }
            let c = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
            left -= 5;
            c
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_stream() {
        let mut a = Entropy::from_number(7);
        let mut b = Entropy::from_number(7);
        assert_eq!(a.token::<26>(), b.token::<26>());
        assert_eq!(a.below(1000), b.below(1000));
        assert_eq!(a.fork().u64(), b.fork().u64());
    }
}
