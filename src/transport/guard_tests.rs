//! The guard under floods, guesses and forged addresses.

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
fn strangers_together_are_limited_and_the_proven_are_not() {
    let mut guard = Guard::new(GuardSettings {
        total_rate: 100,
        ..GuardSettings::default()
    });
    guard.succeeded(at(0), source(1));
    let admitted = (0..1_000u32)
        .filter(|i| {
            let stranger = IpAddr::from((0x7f10_0000 + i).to_be_bytes());
            guard.admit(at(0), stranger, 400).is_admitted()
        })
        .count();
    assert_eq!(admitted, 100, "one second of burst");
    assert_eq!(guard.admit(at(0), source(1), 400), Verdict::Admit);
    assert_eq!(guard.admit(at(0), source(2), 400), Verdict::OverTotal);
    assert_eq!(guard.counts().over_total, 901);
    assert_eq!(guard.admit(at(10), source(2), 400), Verdict::Admit);
}

#[test]
fn a_stranger_gets_no_more_bytes_than_it_sent_but_for_a_first_answer() {
    let mut guard = guard(1_000);
    let (mut came, mut left) = (0, 0);
    for _ in 0..1_000 {
        guard.admit(at(0), source(1), 300);
        came += 300;
        if guard.may_answer(at(0), source(1), 450) {
            left += 450;
        }
    }
    assert!(left <= came + CREDIT_FIRST as usize, "{left} of {came}");
    assert!(
        left + 450 > came + CREDIT_FIRST as usize,
        "{left} of {came}"
    );
    assert_eq!(guard.counts().unanswered, 1_000 - left as u64 / 450);
}

#[test]
fn what_was_left_unanswered_long_ago_is_not_paid_out_at_once() {
    let mut guard = guard(1_000_000);
    for _ in 0..10_000 {
        guard.admit(at(0), source(1), 1_000);
    }
    let answered = (0..10_000)
        .filter(|_| guard.may_answer(at(0), source(1), 1_000))
        .count();
    assert_eq!(answered, CREDIT_MAX as usize / 1_000);
}

#[test]
fn a_slow_stranger_is_answered_for_ever() {
    let mut guard = guard(1_000);
    for minute in 0..1_000 {
        guard.admit(at(minute * 60_000), source(1), 300);
        assert!(guard.may_answer(at(minute * 60_000), source(1), 450));
    }
}

#[test]
fn who_is_proven_or_exempt_gets_any_answer() {
    let mut guard = Guard::new(GuardSettings {
        exempt: vec![(IpAddr::from([127, 0, 1, 0]), 24)],
        ..GuardSettings::default()
    });
    guard.succeeded(at(0), source(1));
    for _ in 0..100 {
        assert!(guard.may_answer(at(0), source(1), 60_000));
        assert!(guard.may_answer(at(0), IpAddr::from([127, 0, 1, 1]), 60_000));
    }
    assert!(!guard.may_answer(at(0), source(2), 60_000));
}

#[test]
fn bans_are_shown_set_and_lifted_by_the_operator() {
    let mut guard = guard(1_000);
    assert!(guard.bans(at(0)).is_empty());
    assert!(
        guard
            .ban(at(0), source(7), Duration::from_secs(3_600))
            .is_some()
    );
    for _ in 0..20 {
        guard.failed(at(0), source(9));
    }
    let shown = guard.bans(at(0));
    assert_eq!(
        shown,
        [
            Ban {
                source: source(7),
                range: None,
                until: at(3_600_000).mono,
                by: BannedBy::Operator
            },
            Ban {
                source: source(9),
                range: None,
                until: at(10_000).mono,
                by: BannedBy::Failures
            },
        ]
    );
    assert_eq!(guard.admit(at(60_000), source(7), 400), Verdict::Banned);
    assert_eq!(guard.bans(at(60_000)).len(), 1);
    assert!(guard.lift(at(60_000), source(7)));
    assert!(!guard.lift(at(60_000), source(7)));
    assert!(!guard.lift(at(60_000), source(8)));
    assert_eq!(guard.admit(at(60_000), source(7), 400), Verdict::Admit);
}

#[test]
fn a_ban_by_the_operator_is_not_shortened_by_failures_and_never_hits_the_exempt() {
    let mut guard = Guard::new(GuardSettings {
        exempt: vec![(IpAddr::from([127, 0, 1, 0]), 24)],
        ..GuardSettings::default()
    });
    guard.ban(at(0), source(7), Duration::from_secs(3_600));
    for _ in 0..20 {
        guard.failed(at(0), source(7));
    }
    assert_eq!(guard.bans(at(0))[0].until, at(3_600_000).mono);
    let trunk = IpAddr::from([127, 0, 1, 9]);
    assert_eq!(guard.ban(at(0), trunk, Duration::from_secs(3_600)), None);
    assert_eq!(guard.admit(at(1), trunk, 400), Verdict::Admit);
}

#[test]
fn a_banned_range_is_kept_out_but_for_the_exempt_in_it() {
    let mut guard = Guard::new(GuardSettings {
        exempt: vec![(source(8), 32)],
        ..GuardSettings::default()
    });
    let range = crate::base::Network::parse("127.0.0.0/28").expect("a range");
    let ban = guard.ban_range(at(0), range, Duration::from_secs(60));
    assert_eq!(ban.and_then(|ban| ban.range), Some(range));
    assert_eq!(guard.admit(at(1), source(7), 400), Verdict::Banned);
    assert_eq!(guard.admit(at(1), source(8), 400), Verdict::Admit);
    assert_eq!(guard.counts().banned, 1);
    assert_eq!(guard.bans(at(1)).len(), 1);
    assert!(guard.lift_range(at(1), range));
    assert_eq!(guard.admit(at(2), source(7), 400), Verdict::Admit);
}

#[test]
fn a_source_of_ipv6_is_shown_by_its_network() {
    let mut guard = guard(1_000);
    let address: IpAddr = "2001:db8:1:2:3:4:5:6".parse().expect("address");
    guard.ban(at(0), address, Duration::from_secs(60));
    let shown: IpAddr = "2001:db8:1:2::".parse().expect("address");
    assert_eq!(guard.bans(at(0))[0].source, shown);
    assert!(guard.lift(at(0), shown));
}
