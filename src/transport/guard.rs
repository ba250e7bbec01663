//! The guard: per-source rates, scanners, back-off after failed authentication, and no amplification, in bounded memory.
//!
//! What a source does costs only that source: there is no lock on an account, so a stranger cannot lock a user out. A source is
//! an IPv4 address or an IPv6 /64, because that is what one subscriber gets.

use std::hash::BuildHasher;
use std::net::IpAddr;

use crate::base::map::HashKey;
use crate::base::{Duration, Instant, Now};

/// Rates and thresholds of the guard. The defaults are guesses sized for an office of some hundred phones behind one NAT.
#[derive(Clone, Debug)]
pub struct GuardSettings {
    /// Messages per second from a source that has proved nothing; its burst is four seconds' worth. Default 1,000.
    pub rate: u32,
    /// Messages per second from a source from which a request was authenticated in the last five minutes. Default 50,000.
    pub proven_rate: u32,
    /// Failed authentications before a source is banned; ten times as many for a proven source, so that one telephone with an
    /// old password does not take its office down. Default 20.
    pub failures_max: u32,
    /// Length of the first ban; each later one is twice as long, up to [`BAN_MAX`]. Default 10 s.
    pub ban: Duration,
    /// Sources remembered at a time, rounded up to a power of two. Default 16,384 (less than 1 MB).
    pub sources_max: usize,
    /// Networks that are never limited nor banned, as address and prefix length: trunks, the operator's own proxies.
    pub exempt: Vec<(IpAddr, u8)>,
}

impl Default for GuardSettings {
    fn default() -> Self {
        GuardSettings {
            rate: 1_000,
            proven_rate: 50_000,
            failures_max: 20,
            ban: Duration::from_secs(10),
            sources_max: 16_384,
            exempt: Vec::new(),
        }
    }
}

/// Longest ban of a source.
pub const BAN_MAX: Duration = Duration::from_secs(900);
/// How long one success proves a source.
pub const PROVEN_FOR: Duration = Duration::from_secs(300);
/// Failures are forgotten after this long without one.
const FORGET_FAILURES: Duration = Duration::from_secs(3_600);
/// Seconds of its rate that a silent source may save up.
const BURST_SECONDS: u64 = 4;
/// Bytes that one token buys: a message of up to this size costs one, a larger one more (the size of one packet).
const BYTES_PER_TOKEN: u64 = 1_500;
/// Tokens are counted in nanosecond shares, so that no rate is lost to rounding.
const ONE: u64 = 1_000_000_000;

/// What to do with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Take it.
    Admit,
    /// The source is over its rate: drop it without an answer.
    OverRate,
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
    /// Messages dropped because their source was banned.
    pub banned: u64,
    /// Bans begun.
    pub bans: u64,
}

#[derive(Clone, Copy)]
struct Source {
    /// The address as 128 bits; zero marks an empty place.
    address: u128,
    tokens: u64,
    seen: Instant,
    proven_until: Instant,
    banned_until: Instant,
    failed: Instant,
    failures: u32,
    bans: u32,
}

const NOBODY: Source = Source {
    address: 0,
    tokens: 0,
    seen: Instant::ZERO,
    proven_until: Instant::ZERO,
    banned_until: Instant::ZERO,
    failed: Instant::ZERO,
    failures: 0,
    bans: 0,
};

/// Places that one source may take; the one seen longest ago yields.
const WAYS: usize = 4;

/// Judges every message before it is parsed, and remembers who failed. One per shard.
pub struct Guard {
    settings: GuardSettings,
    sets: Vec<[Source; WAYS]>,
    hash: HashKey,
    counts: GuardCounts,
}

impl Guard {
    /// A guard with no memory of anyone. Its table is allocated here and never grows.
    pub fn new(settings: GuardSettings) -> Self {
        let sets = settings.sources_max.div_ceil(WAYS).next_power_of_two();
        Guard {
            settings,
            sets: vec![[NOBODY; WAYS]; sets],
            hash: HashKey::default(),
            counts: GuardCounts::default(),
        }
    }

    /// Takes new settings; sources keep their history. The size of the table stays as it was.
    pub fn configure(&mut self, settings: GuardSettings) {
        self.settings = settings;
    }

    /// May a message of `size` bytes from `source` come in?
    pub fn admit(&mut self, now: Now, source: IpAddr, size: usize) -> Verdict {
        if self.is_exempt(source) {
            return Verdict::Admit;
        }
        let (rate, proven_rate) = (self.settings.rate, self.settings.proven_rate);
        let place = self.place(now.mono, source);
        if place.banned_until > now.mono {
            place.seen = now.mono;
            self.counts.banned += 1;
            return Verdict::Banned;
        }
        let rate = u64::from(if place.proven_until > now.mono {
            proven_rate.max(rate)
        } else {
            rate
        });
        let passed = u64::try_from(now.mono.since(place.seen).as_nanos()).unwrap_or(u64::MAX);
        let full = rate.saturating_mul(BURST_SECONDS).saturating_mul(ONE);
        place.tokens = place
            .tokens
            .saturating_add(passed.saturating_mul(rate))
            .min(full);
        place.seen = now.mono;
        let price = ONE * (1 + size as u64 / BYTES_PER_TOKEN);
        if place.tokens < price {
            self.counts.over_rate += 1;
            return Verdict::OverRate;
        }
        place.tokens -= price;
        Verdict::Admit
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
        let (first, limit) = (self.settings.ban, self.settings.failures_max);
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
            .min(BAN_MAX);
        place.bans = place.bans.saturating_add(1);
        place.banned_until = now.mono + ban;
        self.counts.bans += 1;
        true
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
                    .min_by_key(|(_, place)| (place.banned_until > now, place.seen))
                    .expect("a set has places");
                *place = Source {
                    address,
                    tokens: u64::from(self.settings.rate)
                        .saturating_mul(BURST_SECONDS)
                        .saturating_mul(ONE),
                    seen: now,
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

/// May a response of `response_bytes` go to a UDP source that has proved nothing and sent `request_bytes`? Never more out than
/// came in, so that a forged source address gains an attacker nothing.
pub fn fits(request_bytes: usize, response_bytes: usize) -> bool {
    response_bytes <= request_bytes
}

/// Names that scanning tools give themselves, lower case.
const SCANNERS: [&[u8]; 12] = [
    b"friendly-scanner",
    b"friendly-request",
    b"sipvicious",
    b"sipcli",
    b"sip-scan",
    b"sipscan",
    b"sundayddr",
    b"iwar",
    b"vaxsipuseragent",
    b"pplsip",
    b"smap ",
    b"gulp/",
];

/// True when a User-Agent value names a known scanner: the request is dropped without an answer, which would tell it that
/// someone lives here.
pub fn is_scanner(user_agent: &[u8]) -> bool {
    SCANNERS.iter().any(|name| {
        user_agent
            .windows(name.len())
            .any(|window| window.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Now {
        Now {
            mono: Instant::ZERO + Duration::from_secs(10_000) + Duration::from_millis(millis),
            ..Now::default()
        }
    }

    fn source(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn guard(rate: u32) -> Guard {
        Guard::new(GuardSettings {
            rate,
            ..GuardSettings::default()
        })
    }

    #[test]
    fn flood_of_one_source_leaves_others_alone() {
        let mut guard = guard(10);
        let admitted = (0..1_000)
            .filter(|_| guard.admit(at(0), source(1), 500).is_admitted())
            .count();
        assert_eq!(admitted, 40, "four seconds of burst");
        assert_eq!(guard.admit(at(0), source(1), 500), Verdict::OverRate);
        assert_eq!(guard.admit(at(0), source(2), 500), Verdict::Admit);
        assert_eq!(guard.counts().over_rate, 961);
    }

    #[test]
    fn rate_comes_back_with_time() {
        let mut guard = guard(10);
        while guard.admit(at(0), source(1), 500).is_admitted() {}
        assert_eq!(guard.admit(at(99), source(1), 500), Verdict::OverRate);
        assert_eq!(guard.admit(at(100), source(1), 500), Verdict::Admit);
        assert_eq!(guard.admit(at(100), source(1), 500), Verdict::OverRate);
    }

    #[test]
    fn large_messages_cost_more() {
        let mut guard = guard(10);
        let admitted = (0..100)
            .filter(|_| guard.admit(at(0), source(1), 14_000).is_admitted())
            .count();
        assert_eq!(admitted, 4);
    }

    #[test]
    fn failures_ban_the_source_with_growing_length_and_never_its_neighbours() {
        let mut guard = guard(1_000);
        let began: Vec<bool> = (0..20).map(|_| guard.failed(at(0), source(9))).collect();
        assert_eq!(began.iter().filter(|began| **began).count(), 1);
        assert_eq!(guard.admit(at(9_999), source(9), 400), Verdict::Banned);
        assert_eq!(guard.admit(at(9_999), source(8), 400), Verdict::Admit);
        assert_eq!(guard.admit(at(10_001), source(9), 400), Verdict::Admit);
        for _ in 0..20 {
            guard.failed(at(10_001), source(9));
        }
        assert_eq!(guard.admit(at(29_000), source(9), 400), Verdict::Banned);
        assert_eq!(guard.admit(at(30_002), source(9), 400), Verdict::Admit);
        assert_eq!(guard.counts().bans, 2);
    }

    #[test]
    fn proven_source_bears_ten_times_the_failures_and_a_higher_rate() {
        let mut guard = guard(10);
        guard.succeeded(at(0), source(5));
        assert!((0..199).all(|_| !guard.failed(at(1), source(5))));
        assert!(guard.failed(at(1), source(5)));
        guard.succeeded(at(0), source(6));
        let admitted = (0..1_000)
            .filter(|i| guard.admit(at(*i), source(6), 100).is_admitted())
            .count();
        assert_eq!(admitted, 1_000);
    }

    #[test]
    fn exempt_networks_are_neither_limited_nor_banned() {
        let mut guard = Guard::new(GuardSettings {
            rate: 1,
            exempt: vec![(IpAddr::from([127, 0, 1, 0]), 24)],
            ..GuardSettings::default()
        });
        let trunk = IpAddr::from([127, 0, 1, 77]);
        for _ in 0..1_000 {
            guard.failed(at(0), trunk);
            assert_eq!(guard.admit(at(0), trunk, 1_000), Verdict::Admit);
        }
    }

    #[test]
    fn memory_is_bounded_and_a_ban_outlives_a_spray_of_sources() {
        let mut guard = Guard::new(GuardSettings {
            sources_max: 64,
            ..GuardSettings::default()
        });
        for _ in 0..20 {
            guard.failed(at(0), source(66));
        }
        for i in 0..100_000u32 {
            guard.admit(at(1), IpAddr::from((0x7f10_0000 + i).to_be_bytes()), 400);
        }
        assert_eq!(guard.sets.len() * WAYS, 64);
        assert_eq!(guard.admit(at(2), source(66), 400), Verdict::Banned);
    }

    #[test]
    fn one_ipv6_subscriber_is_one_source() {
        let mut guard = guard(1);
        let addresses = (0..100u16).map(|i| IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, i]));
        assert_eq!(
            addresses
                .filter(|a| guard.admit(at(0), *a, 400).is_admitted())
                .count(),
            4
        );
    }

    #[test]
    fn scanners_are_known_by_name_in_any_case() {
        assert!(is_scanner(b"Friendly-Scanner"));
        assert!(is_scanner(b"Mozilla sipvicious 0.3"));
        assert!(!is_scanner(b"baresip v1.0.0"));
        assert!(!is_scanner(b""));
    }

    #[test]
    fn nothing_larger_than_the_request_fits() {
        assert!(fits(400, 400));
        assert!(!fits(400, 401));
    }
}
