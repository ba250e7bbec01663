//! T-FLOOD-1: one source sends as fast as it can. Others are served, calls are set up, phones come back, memory stays.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::crowd::Crowd;
use super::devices::Device;
use super::ground::{self, Ground, assert_well, memory, metric};
use super::peers::{Bystander, Watch};
use super::report::row;
use super::sets::Maker;
use super::{LONG, SHORT};
use crate::support::lab::Lab;
use crate::support::{address, pause, seconds};

/// Phones that register while the flood lasts.
const PHONES: usize = 200;

fn flood(change: impl FnOnce(&mut Lab), method: &str, time: Duration) -> Watch {
    let mut ground = Ground::with(|lab| {
        ground::crowd(lab, PHONES);
        change(lab);
    });
    let to = ground.server.lab.phones();
    let bob = Device::registered(&ground.server, "1002", None);
    let ann = Device::registered(&ground.server, "1001", None);
    let before = memory(&mut ground.server);
    let calls = (time.as_secs() * 5) as u32;
    let mut answers = bob.sipp("answer").set("ring_ms", 20).calls(calls);
    answers = answers.timeout(time + seconds(60.0));
    let mut answers = answers.start();
    let mut talks = ann
        .calls(&ground.server, "call", "1002")
        .set("talk_ms", 200);
    talks = talks.calls(calls).rate(5).timeout(time + seconds(60.0));
    let socket = UdpSocket::bind((address(), 5060)).expect("an address of its own");
    let message = Maker::new(socket.local_addr().expect("bound"), "UDP").request(method);
    // often, so that one lost datagram is not a tenth of a percent
    let bystander = Bystander::begin(to, Duration::from_millis(5));
    let mut talks = talks.start();
    let mut crowd = Crowd::new(to, PHONES, 2);
    let (begin, mut sent, mut most) = (Instant::now(), 0u64, 0);
    let figures = std::thread::scope(|scope| {
        let phones = scope
            .spawn(|| crowd.register(PHONES as f64 / time.as_secs_f64() * 1.5, time, |_| false));
        let mut looked = begin;
        while begin.elapsed() < time {
            for _ in 0..100 {
                sent += u64::from(socket.send_to(&message, to).is_ok());
            }
            if looked.elapsed() > seconds(2.0) {
                looked = Instant::now();
                most = most.max(memory(&mut ground.server));
            }
        }
        phones.join().expect("the phones")
    });
    let rate = (sent as f64 / begin.elapsed().as_secs_f64()) as u64;
    let watch = bystander.end();
    assert_well(&mut ground.server, "a flood");
    let dropped = metric(
        &ground.server,
        r#"strowger_guard_dropped_total{reason="over-rate"} "#,
    );
    let grown = most.saturating_sub(before);
    let what = |what: &str| format!("{method} flood of one source, {rate} a second: {what}");
    row(
        "T-FLOOD-1",
        &what("a bystander's OPTIONS within 500 ms"),
        watch.words(),
        "99.9 %",
    );
    row(
        "T-FLOOD-1",
        &what("phones of others registered"),
        format!("{} of {PHONES}", figures.bound),
        "all",
    );
    row(
        "T-FLOOD-1",
        &what("growth of memory"),
        format!("{:.1} MB", grown as f64 / 1e6),
        "64 MB",
    );
    assert!(dropped > 0);
    assert_eq!(figures.bound, PHONES);
    assert!(grown < 64 << 20, "{grown}");
    talks.succeed();
    answers.succeed();
    row(
        "T-FLOOD-1",
        &what("calls of registered phones that went as they should"),
        format!("{calls} of {calls}"),
        "99.9 %",
    );
    pause(Duration::from_millis(10));
    watch
}

#[test]
fn a_flood_of_one_source_leaves_others_served() {
    let watch = flood(
        |lab| lab.change("strowger.toml", "[guard]", "[guard]\nrate = 100"),
        "REGISTER",
        seconds(3.0),
    );
    assert!(watch.share() >= SHORT.share, "{watch:?}");
}

#[test]
#[ignore = "long: make gates"]
fn gate_a_flood_of_one_source_leaves_others_served() {
    for method in ["REGISTER", "INVITE"] {
        let watch = flood(|_| {}, method, seconds(30.0));
        assert!(watch.share() >= LONG.share, "{watch:?}");
    }
}
