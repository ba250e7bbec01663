//! Nonces without memory: each carries its time and a keyed hash; only those that were used are remembered, and not for long.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::base::{Duration, Entropy, Instant, Now};

/// How long a nonce may be used (RFC 7616 §3.3 leaves it to us): 300 s, so that a telephone that refreshes its binding every
/// few minutes meets one extra round trip and a stolen response is soon worthless.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Nonces in use that are remembered. Beyond it the oldest are declared stale, never forgotten while still good.
pub const NONCES_REMEMBERED_MAX: usize = 262_144;

/// Time, salt and keyed hash: 24 bytes, so that the text is 32 characters and a challenge stays shorter than its request.
const NONCE_BYTES: usize = 24;
const TEXT_BYTES: usize = 32;
const CLAIM_BYTES: usize = 12;

/// A nonce in its text form: 32 characters of `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; TEXT_BYTES]);

impl Nonce {
    /// The text that goes into a challenge.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

impl AsRef<[u8]> for Nonce {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a nonce from a peer is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NonceVerdict {
    /// Ours, in time, and this count of it was not used before.
    Fresh,
    /// Ours, but too old: challenge again with `stale=true`, if the digest was right.
    Stale,
    /// Ours and in time, but this count was used before: a replay, or a retransmission that outlived its transaction.
    Replayed,
    /// Not made by this process.
    Forged,
}

/// Sliding window over the nonce counts of one nonce: the highest, and which of the 64 up to it were used. A telephone may send
/// counts out of order (a fork of requests over UDP), but each only once.
#[derive(Clone, Copy, Default)]
struct Window {
    highest: u32,
    used: u64,
}

impl Window {
    fn has(&self, count: u32) -> bool {
        if count > self.highest {
            return false;
        }
        let age = self.highest - count;
        age >= 64 || self.used & (1 << age) != 0
    }

    fn mark(&mut self, count: u32) {
        if count > self.highest {
            self.used = self
                .used
                .checked_shl(count - self.highest)
                .unwrap_or_default();
            self.highest = count;
        }
        let age = self.highest - count;
        if age < 64 {
            self.used |= 1 << age;
        }
    }
}

/// When a nonce was made (milliseconds of the monotonic clock) and its salt: unique, and in order of age.
type Claim = (u64, u64);

/// A nonce of ours that was opened once, so that it need not be opened for each question about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened(Claim);

/// Bits of the salt that tell the source.
const SOURCE_BITS: u32 = 24;
const SOURCE_MASK: u64 = (1 << SOURCE_BITS) - 1;

/// Makes and judges nonces. One per shard and process: after a restart all are forged, and the peer is asked once more.
pub struct Nonces {
    /// The two halves of HMAC (RFC 2104) with the key already absorbed.
    inner: Sha256,
    outer: Sha256,
    used: BTreeMap<Claim, Window>,
    remembered_max: usize,
    /// Everything made at or before this claim is stale: the price of a full memory is a round trip, never a replay.
    floor: Claim,
}

impl Nonces {
    /// From a secret that the shell drew from the operating system.
    pub fn new(secret: [u8; 32]) -> Self {
        Self::with_memory(secret, NONCES_REMEMBERED_MAX)
    }

    /// The same with room for `remembered_max` nonces in use.
    pub fn with_memory(secret: [u8; 32], remembered_max: usize) -> Self {
        let mut inner = [0x36u8; 64];
        let mut outer = [0x5cu8; 64];
        for (pad, key) in inner.iter_mut().zip(secret) {
            *pad ^= key;
        }
        for (pad, key) in outer.iter_mut().zip(secret) {
            *pad ^= key;
        }
        Nonces {
            inner: Sha256::new_with_prefix(inner),
            outer: Sha256::new_with_prefix(outer),
            used: BTreeMap::new(),
            remembered_max: remembered_max.max(1),
            floor: (0, 0),
        }
    }

    /// A new nonce, good for [`NONCE_LIFETIME`]. It is not remembered.
    pub fn issue(&self, now: Now, entropy: &mut Entropy) -> Nonce {
        self.make(now, entropy.u64())
    }

    /// A new nonce that also tells, by half of its salt, to whom it was sent: see [`Nonces::was_issued_to`].
    pub fn issue_to(&self, now: Now, entropy: &mut Entropy, source: IpAddr) -> Nonce {
        self.make(now, entropy.u64() << SOURCE_BITS | self.source_mark(source))
    }

    /// True when this nonce is ours and went to `source` (an IPv4 address or an IPv6 /64). Who answers with another one has not
    /// received our challenge there: over UDP anybody may have written that address. [`Nonces::check`] does not ask for it.
    pub fn was_issued_to(&self, nonce: &[u8], source: IpAddr) -> bool {
        self.opened(nonce)
            .is_some_and(|opened| self.is_for(opened, source))
    }

    /// Opens a nonce; `None` when it is not ours.
    pub fn opened(&self, nonce: &[u8]) -> Option<Opened> {
        self.open(nonce).map(Opened)
    }

    /// [`Nonces::was_issued_to`] of a nonce that is open.
    pub fn is_for(&self, Opened((_, salt)): Opened, source: IpAddr) -> bool {
        salt & SOURCE_MASK == self.source_mark(source)
    }

    fn source_mark(&self, source: IpAddr) -> u64 {
        let mut claim = [0xff; CLAIM_BYTES]; // no time of a claim
        let bits = match source.to_canonical() {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64, // what one subscriber gets
        };
        for (place, byte) in claim.iter_mut().zip(bits.to_be_bytes()) {
            *place = byte;
        }
        let mut mark = [0; 8];
        for (place, byte) in mark.iter_mut().zip(self.mac(&claim)) {
            *place = byte;
        }
        u64::from_be_bytes(mark) & SOURCE_MASK
    }

    fn make(&self, now: Now, salt: u64) -> Nonce {
        let claim = claim_bytes(millis(now.mono), salt);
        let mut text = [0u8; TEXT_BYTES];
        let mut bytes = [0u8; NONCE_BYTES];
        let mac = self.mac(&claim);
        for (place, byte) in bytes.iter_mut().zip(claim.iter().chain(mac.iter())) {
            *place = *byte;
        }
        URL_SAFE_NO_PAD
            .encode_slice(bytes, &mut text)
            .expect("24 bytes are 32 characters");
        Nonce(text)
    }

    /// Judges a nonce and its count (`nc`; zero when the credentials carry none). Nothing is recorded: whoever holds no
    /// password must not be able to fill the memory. Call [`Nonces::consume`] once the digest has proved right.
    pub fn check(&self, now: Now, nonce: &[u8], count: u32) -> NonceVerdict {
        match self.open(nonce) {
            Some(claim) => self.check_claim(now, claim, count),
            None => NonceVerdict::Forged,
        }
    }

    fn check_claim(&self, now: Now, claim: Claim, count: u32) -> NonceVerdict {
        let made = Instant::from_nanos(claim.0.saturating_mul(1_000_000));
        if made > now.mono {
            return NonceVerdict::Forged;
        }
        if now.mono.since(made) > NONCE_LIFETIME || claim <= self.floor {
            return NonceVerdict::Stale;
        }
        match self.used.get(&claim) {
            Some(window) if window.has(count) => NonceVerdict::Replayed,
            Some(_) | None => NonceVerdict::Fresh,
        }
    }

    /// Uses up one count of a nonce, after the digest has proved right. The verdict is [`NonceVerdict::Fresh`] exactly once for
    /// each nonce and count.
    pub fn consume(&mut self, now: Now, nonce: &[u8], count: u32) -> NonceVerdict {
        match self.opened(nonce) {
            Some(opened) => self.consume_opened(now, opened, count),
            None => NonceVerdict::Forged,
        }
    }

    /// [`Nonces::consume`] of a nonce that is open.
    pub fn consume_opened(&mut self, now: Now, Opened(claim): Opened, count: u32) -> NonceVerdict {
        let verdict = self.check_claim(now, claim, count);
        if verdict != NonceVerdict::Fresh {
            return verdict;
        }
        self.forget_old(now);
        self.used.entry(claim).or_default().mark(count);
        while self.used.len() > self.remembered_max {
            if let Some((oldest, _)) = self.used.pop_first() {
                self.floor = oldest;
            }
        }
        verdict
    }

    /// Nonces remembered because they were used, for leak checks.
    pub fn remembered(&self) -> usize {
        self.used.len()
    }

    /// Drops what time has made stale, a few at each use, so that no use pays for many.
    fn forget_old(&mut self, now: Now) {
        let oldest_good = millis(now.mono.saturating_sub(NONCE_LIFETIME));
        for _ in 0..4 {
            match self.used.first_key_value() {
                Some((claim, _)) if claim.0 < oldest_good => {
                    self.used.pop_first();
                }
                Some(_) | None => break,
            }
        }
    }

    fn open(&self, nonce: &[u8]) -> Option<Claim> {
        if nonce.len() != TEXT_BYTES {
            return None;
        }
        let mut bytes = [0u8; NONCE_BYTES];
        URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes).ok()?;
        let (claim, mac) = bytes.split_first_chunk::<CLAIM_BYTES>()?;
        if !bool::from(self.mac(claim).as_slice().ct_eq(mac)) {
            return None;
        }
        let mut both = [0u8; 16];
        let (made, salt) = claim.split_at_checked(6)?;
        for (place, byte) in both.iter_mut().skip(2).zip(made) {
            *place = *byte;
        }
        for (place, byte) in both.iter_mut().skip(10).zip(salt) {
            *place = *byte;
        }
        let both = u128::from_be_bytes(both);
        Some(((both >> 64) as u64, both as u64))
    }

    /// HMAC-SHA-256 cut to 96 bits (RFC 2104 §5).
    fn mac(&self, claim: &[u8; CLAIM_BYTES]) -> [u8; NONCE_BYTES - CLAIM_BYTES] {
        let inner = self.inner.clone().chain_update(claim).finalize();
        let outer = self.outer.clone().chain_update(inner).finalize();
        let mut cut = [0u8; NONCE_BYTES - CLAIM_BYTES];
        for (place, byte) in cut.iter_mut().zip(outer) {
            *place = byte;
        }
        cut
    }
}

fn millis(at: Instant) -> u64 {
    at.as_nanos() / 1_000_000
}

/// 48 bits of milliseconds, 48 of salt.
fn claim_bytes(made: u64, salt: u64) -> [u8; CLAIM_BYTES] {
    let mut claim = [0u8; CLAIM_BYTES];
    let made = made.to_be_bytes();
    let salt = salt.to_be_bytes();
    for (place, byte) in claim
        .iter_mut()
        .zip(made.iter().skip(2).chain(salt.iter().skip(2)))
    {
        *place = *byte;
    }
    claim
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Instant::ZERO + Duration::from_secs(seconds),
            ..Now::default()
        }
    }

    fn nonces() -> (Nonces, Entropy) {
        (Nonces::new([7; 32]), Entropy::from_number(1))
    }

    #[test]
    fn nonce_tells_to_whom_it_was_sent() {
        let mut nonces = Nonces::new([3; 32]);
        let mut entropy = Entropy::from_number(1);
        let now = Now::default();
        let here = IpAddr::from([192, 0, 2, 1]);
        let there = IpAddr::from([192, 0, 2, 2]);
        let nonce = nonces.issue_to(now, &mut entropy, here);
        let text = nonce.as_str().as_bytes();
        assert!(nonces.was_issued_to(text, here));
        assert!(!nonces.was_issued_to(text, there));
        assert!(!nonces.was_issued_to(b"made up", here));
        assert!(!Nonces::new([4; 32]).was_issued_to(text, here));
        let other = nonces.issue_to(now, &mut entropy, here);
        assert_ne!(nonce.as_str(), other.as_str());
        assert_eq!(nonces.consume(now, text, 1), NonceVerdict::Fresh);
        assert_eq!(nonces.consume(now, text, 1), NonceVerdict::Replayed);
    }

    #[test]
    fn nonce_is_fresh_once_per_count() {
        let (mut nonces, mut entropy) = nonces();
        let nonce = nonces.issue(at(100), &mut entropy);
        assert_eq!(nonce.as_str().len(), 32);
        assert_eq!(
            nonces.check(at(100), nonce.as_ref(), 1),
            NonceVerdict::Fresh
        );
        assert_eq!(
            nonces.consume(at(100), nonce.as_ref(), 1),
            NonceVerdict::Fresh
        );
        assert_eq!(
            nonces.consume(at(100), nonce.as_ref(), 1),
            NonceVerdict::Replayed
        );
        assert_eq!(
            nonces.consume(at(101), nonce.as_ref(), 2),
            NonceVerdict::Fresh
        );
    }

    #[test]
    fn counts_out_of_order_are_each_good_once_within_the_window() {
        let (mut nonces, mut entropy) = nonces();
        let nonce = nonces.issue(at(0), &mut entropy);
        for count in [5, 3, 4, 70, 69] {
            assert_eq!(
                nonces.consume(at(1), nonce.as_ref(), count),
                NonceVerdict::Fresh
            );
        }
        // 6 was never used, but it is 64 behind the highest: too old to tell, so refused.
        for count in [5, 3, 4, 70, 69, 6, 1] {
            assert_eq!(
                nonces.check(at(1), nonce.as_ref(), count),
                NonceVerdict::Replayed
            );
        }
        assert_eq!(nonces.check(at(1), nonce.as_ref(), 7), NonceVerdict::Fresh);
        assert_eq!(
            nonces.consume(at(1), nonce.as_ref(), u32::MAX),
            NonceVerdict::Fresh
        );
        assert_eq!(
            nonces.check(at(1), nonce.as_ref(), 7),
            NonceVerdict::Replayed
        );
    }

    #[test]
    fn nonce_is_stale_after_its_lifetime() {
        let (nonces, mut entropy) = nonces();
        let nonce = nonces.issue(at(100), &mut entropy);
        assert_eq!(
            nonces.check(at(400), nonce.as_ref(), 1),
            NonceVerdict::Fresh
        );
        assert_eq!(
            nonces.check(at(401), nonce.as_ref(), 1),
            NonceVerdict::Stale
        );
    }

    #[test]
    fn forged_and_mangled_nonces_are_told_apart_from_ours() {
        let (nonces, mut entropy) = nonces();
        let nonce = nonces.issue(at(0), &mut entropy);
        let stranger = Nonces::new([8; 32]).issue(at(0), &mut entropy);
        assert_eq!(
            nonces.check(at(0), stranger.as_ref(), 1),
            NonceVerdict::Forged
        );
        for index in 0..32 {
            let mut mangled = nonce.0;
            mangled[index] = if mangled[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(nonces.check(at(0), &mangled, 1), NonceVerdict::Forged);
        }
        for junk in [
            &b""[..],
            b"x",
            &[0u8; 32],
            &[0xff; 32],
            b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
        ] {
            assert_eq!(nonces.check(at(0), junk, 1), NonceVerdict::Forged);
        }
    }

    #[test]
    fn nonce_of_the_future_is_forged() {
        let (nonces, mut entropy) = nonces();
        let nonce = nonces.issue(at(500), &mut entropy);
        assert_eq!(
            nonces.check(at(100), nonce.as_ref(), 1),
            NonceVerdict::Forged
        );
    }

    #[test]
    fn full_memory_makes_the_oldest_stale_and_never_replayable() {
        let mut nonces = Nonces::with_memory([7; 32], 100);
        let mut entropy = Entropy::from_number(2);
        let issued: Vec<Nonce> = (0..1_000)
            .map(|i| nonces.issue(at(i / 100), &mut entropy))
            .collect();
        for nonce in &issued {
            nonces.consume(at(10), nonce.as_ref(), 1);
        }
        assert_eq!(nonces.remembered(), 100);
        let accepted = issued
            .iter()
            .filter(|nonce| nonces.consume(at(10), nonce.as_ref(), 1) == NonceVerdict::Fresh)
            .count();
        assert_eq!(accepted, 0);
    }

    #[test]
    fn used_nonces_are_forgotten_after_their_lifetime() {
        let (mut nonces, mut entropy) = nonces();
        for i in 0..5_000u64 {
            let nonce = nonces.issue(at(i), &mut entropy);
            nonces.consume(at(i), nonce.as_ref(), 1);
        }
        assert!(nonces.remembered() <= 302, "{}", nonces.remembered());
    }
}
