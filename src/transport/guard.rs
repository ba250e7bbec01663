//! The guard: per-source rates, back-off after failed authentication, bans, and no amplification, in bounded memory.
//!
//! What a source does costs only that source: there is no lock on an account, so a stranger cannot lock a user out. A source is
//! an IPv4 address or an IPv6 /64, because that is what one subscriber gets.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};

use super::banned_ranges::BannedRanges;
use super::bucket::{Bucket, ONE};
use crate::base::map::HashKey;
use crate::base::{Duration, Instant, Network, Now};

/// Rates and thresholds of the guard. The defaults are guesses sized for an office of some hundred phones behind one NAT.
#[derive(Clone, PartialEq, Debug)]
pub struct GuardSettings {
    /// Messages per second from a source that has proved nothing; its burst is four seconds' worth. Default 1,000.
    pub rate: u32,
    /// Messages per second from a source from which a request was authenticated in the last five minutes. Default 50,000.
    pub proven_rate: u32,
    /// Messages per second from all sources together that have proved nothing; the burst is one second's worth. Default 30,000,
    /// so that 100,000 phones that come back within ten seconds get through.
    pub total_rate: u32,
    /// Requests per second that are authenticated as one user; the burst is four seconds' worth. Default 1,000.
    pub account_rate: u32,
    /// Failed authentications before a source is banned; ten times as many for a proven source, so that one telephone with an
    /// old password does not take its office down. Default 20.
    pub failures_max: u32,
    /// Length of the first ban; each later one is twice as long, up to `ban_max`. Default 10 s.
    pub ban: Duration,
    /// Longest ban that failures lead to. Default 15 min.
    pub ban_max: Duration,
    /// Sources remembered at a time, rounded up to a power of two. Default 16,384 (less than 2 MB).
    pub sources_max: usize,
    /// Networks that are never limited nor banned, as address and prefix length: trunks, the operator's own proxies.
    pub exempt: Vec<(IpAddr, u8)>,
}

impl Default for GuardSettings {
    fn default() -> Self {
        GuardSettings {
            rate: 1_000,
            proven_rate: 50_000,
            total_rate: 30_000,
            account_rate: 1_000,
            failures_max: 20,
            ban: Duration::from_secs(10),
            ban_max: Duration::from_secs(900),
            sources_max: 16_384,
            exempt: Vec::new(),
        }
    }
}

/// How long one success proves a source.
pub const PROVEN_FOR: Duration = Duration::from_secs(300);
/// Failures are forgotten after this long without one.
const FORGET_FAILURES: Duration = Duration::from_secs(3_600);
/// Seconds of its rate that a silent source may save up.
const BURST_SECONDS: u64 = 4;
/// Bytes that one token buys: a message of up to this size costs one, a larger one more (the size of one packet).
const BYTES_PER_TOKEN: u64 = 1_500;
/// Bytes that may go to a stranger over UDP before it has sent as many: a challenge is a little larger than a terse REGISTER. Comes
/// back at [`CREDIT_A_SECOND`], so that a monitor with short requests is always answered.
const CREDIT_FIRST: u32 = 1_024;
/// Bytes of that which come back each second.
const CREDIT_A_SECOND: u64 = 64;
/// Bytes that a stranger may save up: who was silent for long is not the one whose address is forged now.
const CREDIT_MAX: u32 = 64 * 1_024;

/// What to do with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Take it.
    Admit,
    /// The source is over its rate: drop it without an answer.
    OverRate,
    /// All strangers together are over their rate: drop it without an answer.
    OverTotal,
    /// The source failed to authenticate too often: drop it without an answer.
    Banned,
}

impl Verdict {
    /// True for [`Verdict::Admit`].
    pub fn is_admitted(self) -> bool {
        self == Verdict::Admit
    }
}

/// What the guard has turned away, for the metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GuardCounts {
    /// Messages dropped because their source was over its rate.
    pub over_rate: u64,
    /// Messages dropped because all strangers together were over their rate.
    pub over_total: u64,
    /// Messages dropped because their source was banned.
    pub banned: u64,
    /// Answers not sent because they were larger than what the stranger had sent.
    pub unanswered: u64,
    /// Bans begun.
    pub bans: u64,
}

/// Who banned a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BannedBy {
    /// Its own wrong passwords.
    Failures,
    /// A person or a program with the token of the API.
    Operator,
}

/// A source that is banned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ban {
    /// The address; of IPv6 the first of its /64; of a range the first.
    pub source: IpAddr,
    /// The range, where it is one.
    pub range: Option<Network>,
    /// When the ban ends.
    pub until: Instant,
    /// Who banned it.
    pub by: BannedBy,
}

#[derive(Clone, Copy)]
struct Source {
    /// The address as 128 bits; zero marks an empty place.
    address: u128,
    bucket: Bucket,
    proven_until: Instant,
    banned_until: Instant,
    failed: Instant,
    failures: u32,
    bans: u16,
    by_operator: bool,
    /// Bytes that may go to it over UDP while it is a stranger, and when some last came back.
    credit: u32,
    credited: Instant,
}

const NOBODY: Source = Source {
    address: 0,
    bucket: Bucket::EMPTY,
    proven_until: Instant::ZERO,
    banned_until: Instant::ZERO,
    failed: Instant::ZERO,
    failures: 0,
    bans: 0,
    by_operator: false,
    credit: 0,
    credited: Instant::ZERO,
};

impl Source {
    fn ban(&self) -> Ban {
        Ban {
            source: source_of(self.address),
            range: None,
            until: self.banned_until,
            by: if self.by_operator {
                BannedBy::Operator
            } else {
                BannedBy::Failures
            },
        }
    }
}

/// Places that one source may take; the one seen longest ago yields.
const WAYS: usize = 4;

/// Judges every message before it is parsed, and remembers who failed. One per shard.
pub struct Guard {
    settings: GuardSettings,
    sets: Vec<[Source; WAYS]>,
    ranges: BannedRanges,
    /// All strangers together.
    total: Bucket,
    hash: HashKey,
    counts: GuardCounts,
}

impl Guard {
    /// A guard with no memory of anyone. Its table is allocated here and never grows.
    pub fn new(settings: GuardSettings) -> Self {
        let sets = settings.sources_max.div_ceil(WAYS).next_power_of_two();
        Guard {
            sets: vec![[NOBODY; WAYS]; sets],
            ranges: BannedRanges::default(),
            total: Bucket::full(Instant::ZERO, settings.total_rate, 1),
            hash: HashKey::default(),
            counts: GuardCounts::default(),
            settings,
        }
    }

    /// Takes new settings; sources keep their history. The size of the table stays as it was.
    pub fn configure(&mut self, settings: GuardSettings) {
        self.settings = settings;
    }

    /// The settings in force.
    pub fn settings(&self) -> &GuardSettings {
        &self.settings
    }

    /// May a message of `size` bytes from `source` come in?
    pub fn admit(&mut self, now: Now, source: IpAddr, size: usize) -> Verdict {
        if self.is_exempt(source) {
            return Verdict::Admit;
        }
        if self.ranges.hold(now.mono, source) {
            self.counts.banned += 1;
            return Verdict::Banned;
        }
        let (rate, proven_rate) = (self.settings.rate, self.settings.proven_rate);
        let place = self.place(now.mono, source);
        if place.banned_until > now.mono {
            place.bucket.touch(now.mono);
            self.counts.banned += 1;
            return Verdict::Banned;
        }
        let proven = place.proven_until > now.mono;
        let rate = if proven { proven_rate.max(rate) } else { rate };
        let price = ONE * (1 + size as u64 / BYTES_PER_TOKEN);
        if !place.bucket.take(now.mono, rate, BURST_SECONDS, price) {
            self.counts.over_rate += 1;
            return Verdict::OverRate;
        }
        if proven {
            return Verdict::Admit;
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        place.credit = place.credit.saturating_add(size).min(CREDIT_MAX);
        if !self
            .total
            .take(now.mono, self.settings.total_rate, 1, price)
        {
            self.counts.over_total += 1;
            return Verdict::OverTotal;
        }
        Verdict::Admit
    }

    /// May an answer of `size` bytes go to `source` over UDP? To one that has proved nothing never more bytes than came, so that a
    /// forged source address gains an attacker nothing.
    pub fn may_answer(&mut self, now: Now, source: IpAddr, size: usize) -> bool {
        if self.is_exempt(source) {
            return true;
        }
        let place = self.place(now.mono, source);
        if place.proven_until > now.mono {
            return true;
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        if place.credit < CREDIT_FIRST {
            let passed = now.mono.since(place.credited).as_millis() as u64;
            let back = (passed.saturating_mul(CREDIT_A_SECOND) / 1_000).min(CREDIT_FIRST.into());
            place.credit = (place.credit + back as u32).min(CREDIT_FIRST);
        }
        place.credited = now.mono;
        let pays = place.credit >= size;
        if pays {
            place.credit -= size;
        } else {
            self.counts.unanswered += 1;
        }
        pays
    }

    /// A request from `source` was authenticated: it is proven for [`PROVEN_FOR`], its failures are forgiven.
    pub fn succeeded(&mut self, now: Now, source: IpAddr) {
        let place = self.place(now.mono, source);
        place.proven_until = now.mono + PROVEN_FOR;
        place.failures = 0;
    }

    /// A request from `source` carried wrong credentials. True when this failure began a ban.
    pub fn failed(&mut self, now: Now, source: IpAddr) -> bool {
        if self.is_exempt(source) {
            return false;
        }
        let (first, longest) = (self.settings.ban, self.settings.ban_max);
        let limit = self.settings.failures_max;
        let place = self.place(now.mono, source);
        if now.mono.since(place.failed) > FORGET_FAILURES {
            place.failures = 0;
            place.bans = 0;
        }
        place.failed = now.mono;
        place.failures = place.failures.saturating_add(1);
        let limit = if place.proven_until > now.mono {
            limit.saturating_mul(10)
        } else {
            limit
        };
        if place.failures < limit {
            return false;
        }
        place.failures = 0;
        let ban = first
            .saturating_mul(1u32 << place.bans.min(16))
            .min(longest);
        place.bans = place.bans.saturating_add(1);
        if now.mono + ban > place.banned_until {
            place.banned_until = now.mono + ban;
            place.by_operator = false;
        }
        self.counts.bans += 1;
        true
    }

    /// Bans a source by hand, from now on for `length`. `None` when it is exempt.
    pub fn ban(&mut self, now: Now, source: IpAddr, length: Duration) -> Option<Ban> {
        if self.is_exempt(source) {
            return None;
        }
        let place = self.place(now.mono, source);
        place.banned_until = now.mono + length;
        place.by_operator = true;
        place.bucket.touch(now.mono);
        let ban = place.ban();
        self.counts.bans += 1;
        Some(ban)
    }

    /// Bans a range by hand, but for what in it is exempt. `None` when there are too many.
    pub fn ban_range(&mut self, now: Now, range: Network, length: Duration) -> Option<Ban> {
        let ban = self.ranges.ban(now.mono, range, now.mono + length)?;
        self.counts.bans += 1;
        Some(ban)
    }

    /// Ends the ban of a range. False when there is none.
    pub fn lift_range(&mut self, now: Now, range: Network) -> bool {
        self.ranges.lift(now.mono, range)
    }

    /// Ends a ban, and forgives what led to it. False when there is none.
    pub fn lift(&mut self, now: Now, source: IpAddr) -> bool {
        let address = source_bits(source);
        let places = self.sets.iter_mut().flatten();
        let mut banned = places.filter(|place| place.banned_until > now.mono);
        match banned.find(|place| place.address == address) {
            Some(place) => {
                place.banned_until = Instant::ZERO;
                place.failures = 0;
                place.bans = 0;
                true
            }
            None => false,
        }
    }

    /// Who is banned now, in the order of the addresses.
    pub fn bans(&self, now: Now) -> Vec<Ban> {
        let places = self.sets.iter().flatten();
        let mut found: Vec<Ban> = places
            .filter(|place| place.banned_until > now.mono)
            .map(Source::ban)
            .collect();
        found.extend(self.ranges.all(now.mono));
        found.sort_by_key(|ban| (ban.source, ban.range.map(|range| range.prefix())));
        found
    }

    /// True when a request from `source` was authenticated in the last five minutes.
    pub fn is_proven(&mut self, now: Now, source: IpAddr) -> bool {
        self.is_exempt(source) || self.place(now.mono, source).proven_until > now.mono
    }

    /// What was turned away since the start.
    pub fn counts(&self) -> GuardCounts {
        self.counts
    }

    fn is_exempt(&self, source: IpAddr) -> bool {
        self.settings
            .exempt
            .iter()
            .any(|(network, prefix)| in_network(source, *network, *prefix))
    }

    /// The source's place, made empty and full of tokens when it is new.
    fn place(&mut self, now: Instant, source: IpAddr) -> &mut Source {
        let address = source_bits(source);
        let index = self.hash.hash_one(address) as usize & (self.sets.len() - 1);
        let set = self
            .sets
            .get_mut(index)
            .expect("the mask keeps the index inside the table");
        let way = set
            .iter()
            .position(|place| place.address == address)
            .unwrap_or_else(|| {
                let (way, place) = set
                    .iter_mut()
                    .enumerate()
                    .min_by_key(|(_, place)| (place.banned_until > now, place.bucket.seen()))
                    .expect("a set has places");
                *place = Source {
                    address,
                    bucket: Bucket::full(now, self.settings.rate, BURST_SECONDS),
                    credit: CREDIT_FIRST,
                    credited: now,
                    ..NOBODY
                };
                way
            });
        set.get_mut(way).expect("found in this set")
    }
}

/// A source as 128 bits that are never zero: IPv4 mapped, IPv6 cut to its /64.
fn source_bits(source: IpAddr) -> u128 {
    match source.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => (u128::from(v6) & (u128::MAX << 64)) | 1,
    }
}

/// The address of [`source_bits`]; of IPv6 the first of the /64.
fn source_of(bits: u128) -> IpAddr {
    match IpAddr::V6(Ipv6Addr::from(bits)).to_canonical() {
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(bits & (u128::MAX << 64))),
        v4 => v4,
    }
}

fn in_network(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(prefix.min(32)))
                .unwrap_or(0);
            u32::from(a) & mask == u32::from(n) & mask
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(prefix.min(128)))
                .unwrap_or(0);
            u128::from(a) & mask == u128::from(n) & mask
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
