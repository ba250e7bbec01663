//! The INVITE usage with SIPp on both sides: reliable provisional responses, UPDATE, session timers.

use std::time::Instant;

use crate::devices::Device;
use crate::support::lab::Lab;
use crate::support::seconds;
use crate::support::server::Server;

fn pair(server: &Server) -> (Device, Device) {
    (
        Device::new("1001", Some(440.0)),
        Device::registered(server, "1002", Some(700.0)),
    )
}

#[test]
fn early_media_is_acknowledged_on_both_legs_and_heard_before_the_answer() {
    let server = Server::start(Lab::new());
    let (ann, bob) = pair(&server);
    let mut answer = bob.sipp("answer-reliably").set("early_ms", 1500).start();
    bob.ear.follow(&answer.actions());
    let begin = Instant::now();
    let mut call = ann
        .calls(&server, "call-reliably", "1002")
        .set("extensions", "Require: 100rel")
        .set("talk_ms", 500)
        .start();
    ann.ear.follow(&call.actions());
    call.wait_for_message("RAck: ", seconds(10.0));
    call.succeed();
    answer.succeed();
    ann.ear.assert_heard_since("the caller", begin, 700.0, 1.0);
    server.wait_idle();
}

#[test]
fn hold_by_update_crosses_as_update() {
    let server = Server::start(Lab::new());
    let (ann, bob) = pair(&server);
    let mut answer = bob.sipp("answer-updates").start();
    ann.calls(&server, "call-updates", "1002")
        .set("extensions", "Supported: timer")
        .set("talk_ms", 300)
        .run();
    answer.succeed();
    server.wait_idle();
}

#[test]
fn session_that_would_expire_too_soon_is_refused_with_the_least_that_is_taken() {
    let server = Server::start(Lab::new());
    let (ann, _bob) = pair(&server);
    let timer = "Supported: timer\r\nSession-Expires: 60";
    ann.calls(&server, "too-short", "1002")
        .set("extensions", timer.replace('\r', ""))
        .run();
    server.wait_idle();
}

#[test]
fn session_is_refreshed_by_us_at_half_its_time() {
    let server = Server::start(Lab::new());
    let (ann, bob) = pair(&server);
    let mut answer = bob.sipp("answer-expires").timeout(seconds(90.0)).start();
    let begin = Instant::now();
    let mut call = ann
        .calls(&server, "call", "1002")
        .set("talk_ms", 50_000)
        .timeout(seconds(90.0))
        .start();
    answer.wait_for_message("UPDATE sip:", seconds(60.0));
    assert!(begin.elapsed() >= seconds(44.0));
    call.succeed();
    answer.succeed();
    server.wait_idle();
}
