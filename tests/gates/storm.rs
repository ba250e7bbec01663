//! T-FLOOD-2: everybody comes back at once after a restart; and kill -9 in the middle of registrations at a high rate.

use std::collections::BTreeSet;
use std::time::Duration;

use super::crowd::Crowd;
use super::devices::Device;
use super::ground::{self, Ground, assert_well};
use super::peers::Bystander;
use super::report::row;
use crate::support::lab::DOMAIN;
use crate::support::seconds;

/// All phones register, the server is killed, and all come again within `within` after its restart.
fn storm(phones: usize, addresses: usize, within: Duration) {
    let mut ground = Ground::with(|lab| ground::crowd(lab, phones));
    let to = ground.server.lab.phones();
    let ann = Device::registered(&ground.server, "1001", None);
    let bob = Device::registered(&ground.server, "1002", None);
    let mut crowd = Crowd::new(to, phones, addresses);
    let before = crowd.register(2_000.0, seconds(120.0), |_| false);
    assert_eq!(before.bound, phones, "{:?}", before.odd.first());
    crowd.forget();
    ground.server.kill9();
    ground.server.restart();
    let calls = (within.as_secs() * 5) as u32;
    let mut answers = bob.sipp("answer").set("ring_ms", 20).calls(calls);
    answers = answers.timeout(within + seconds(60.0));
    let mut answers = answers.start();
    let mut talks = ann
        .calls(&ground.server, "call", "1002")
        .set("talk_ms", 200);
    talks = talks.calls(calls).rate(5).timeout(within + seconds(60.0));
    let bystander = Bystander::begin(to, Duration::from_millis(100));
    let mut talks = talks.start();
    let rate = phones as f64 / within.as_secs_f64();
    let figures = crowd.register(rate, seconds(120.0), |_| false);
    let watch = bystander.end();
    row(
        "T-FLOOD-2",
        &format!(
            "{phones} phones come back within {} s of a restart: registered; the last after; told to come later",
            within.as_secs()
        ),
        format!(
            "{}; {:.1} s; {} times",
            figures.bound,
            figures.last.as_secs_f64(),
            figures.later
        ),
        "all; 120 s",
    );
    assert_eq!(figures.bound, phones, "{:?}", figures.odd.first());
    assert!(figures.odd.is_empty(), "{:?}", figures.odd.first());
    talks.succeed();
    answers.succeed();
    row(
        "T-FLOOD-2",
        "calls meanwhile that went as they should",
        format!("{calls} of {calls}"),
        "all",
    );
    row(
        "T-FLOOD-2",
        "a stranger's OPTIONS within 500 ms meanwhile",
        watch.words(),
        "(measured)",
    );
    assert_well(&mut ground.server, "a registration storm");
    let listed = ground.server.api().list("/registrations").len();
    assert_eq!(listed, phones + 2);
}

#[test]
fn everybody_comes_back_after_a_restart_and_calls_go_on() {
    storm(500, 4, seconds(1.0));
}

#[test]
#[ignore = "long: make gates"]
fn gate_everybody_comes_back_after_a_restart_and_calls_go_on() {
    storm(20_000, 40, seconds(10.0));
}

/// kill -9 while phones register as fast as they can; what was acknowledged is there afterwards.
fn killed(phones: usize, rate: f64) -> f64 {
    let mut ground = Ground::with(|lab| ground::crowd(lab, phones));
    let mut crowd = Crowd::new(ground.server.lab.phones(), phones, 8);
    crowd.shares_nonces = true;
    // one round to get nonces, and to be no strangers
    let first = crowd.register(500.0, seconds(0.5), |_| false);
    assert!(first.bound > 0, "{:?}", first.odd.first());
    crowd.forget();
    let began = std::time::Instant::now();
    let half = phones / 2;
    let figures = crowd.register(rate, seconds(30.0), |figures| figures.bound >= half);
    let rate = figures.bound as f64 / began.elapsed().as_secs_f64();
    ground.server.kill9();
    let acknowledged: Vec<String> = crowd.acknowledged().collect();
    ground.server.restart();
    let listed: BTreeSet<String> = ground
        .server
        .api()
        .list("/registrations")
        .iter()
        .filter_map(|row| Some(row["aor"].as_str()?.to_owned()))
        .collect();
    let lost = acknowledged
        .iter()
        .filter(|user| !listed.contains(&format!("{user}@{DOMAIN}")))
        .count();
    row(
        "kill -9",
        &format!(
            "registrations acknowledged at {rate:.0} a second that are lost, of {}",
            acknowledged.len()
        ),
        lost,
        "0 at 5,000 a second",
    );
    assert!(acknowledged.len() >= half, "{:?}", figures.odd.first());
    assert_eq!(lost, 0);
    rate
}

#[test]
fn no_acknowledged_registration_is_lost_by_kill_9() {
    killed(1_000, 2_000.0);
}

#[test]
#[ignore = "long: make gates"]
fn gate_no_acknowledged_registration_is_lost_by_kill_9() {
    let rate = killed(30_000, 12_000.0);
    assert!(rate >= 5_000.0, "only {rate} a second");
}
