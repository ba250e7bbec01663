//! Calls between extensions: tones both ways, hold, cancel, busy, decline, no answer, a wrong password; nothing is left behind.

use std::time::Instant;

use crate::devices::Device;
use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::tone::{self, RATE_HZ};
use crate::support::{pause, seconds};

#[test]
fn both_sides_hear_each_other_and_the_caller_hangs_up() {
    let server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::new("1001", Some(440.0)),
        Device::registered(&server, "1002", Some(700.0)),
    );
    let mut answer = bob.sipp("answer").set("ring_ms", 200).start();
    bob.ear.follow(&answer.actions());
    let begin = Instant::now();
    let mut call = ann
        .calls(&server, "call", "1002")
        .set("talk_ms", 2000)
        .start();
    ann.ear.follow(&call.actions());
    call.succeed();
    answer.succeed();
    ann.ear.assert_heard_since("the caller", begin, 700.0, 1.5);
    bob.ear.assert_heard_since("the called", begin, 440.0, 1.5);
    // All audio goes through the server: neither side learns where the other is.
    let server_ip = server.lab.server.to_string();
    assert!(
        ann.ear
            .arrivals()
            .iter()
            .chain(&bob.ear.arrivals())
            .all(|a| a.from.ip().to_string() == server_ip)
    );
    assert!(
        !answer.messages().contains(&ann.address.to_string()),
        "the caller's address crossed the server"
    );
    let record = server.wait_records(1).remove(0);
    assert_eq!(
        (&record["outcome"], &record["ended_by"]),
        (&"answered".into(), &"caller".into())
    );
    assert_eq!(record["legs"].as_array().map(Vec::len), Some(2));
    server.wait_idle();
}

#[test]
fn the_called_side_hangs_up() {
    let server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    let mut answer = bob
        .sipp("answer-then-bye")
        .set("ring_ms", 50)
        .set("talk_ms", 300)
        .start();
    ann.calls(&server, "call-until-bye", "1002").run();
    answer.succeed();
    assert_eq!(server.wait_records(1)[0]["ended_by"], "callee");
    server.wait_idle();
}

#[test]
fn hold_in_three_dialects_stops_the_tones_and_resume_brings_them_back() {
    // RFC 3264 §8.4: by direction, and the old way by the address 0.0.0.0.
    for (hold, old_way, held) in [
        ("sendonly", false, "recvonly"),
        ("inactive", false, "inactive"),
        ("sendrecv", true, "recvonly"),
    ] {
        let server = Server::start(Lab::new());
        let (ann, bob) = (
            Device::new("1001", Some(440.0)),
            Device::registered(&server, "1002", Some(700.0)),
        );
        let hold_ip = if old_way {
            "0.0.0.0".to_string()
        } else {
            ann.address.to_string()
        };
        let mut answer = bob.sipp("answer-held").set("held", held).start();
        bob.ear.follow(&answer.actions());
        let begin = Instant::now();
        let mut call = ann
            .calls(&server, "hold", "1002")
            .set("hold", hold)
            .set("hold_ip", hold_ip)
            .set("talk_ms", 2000)
            .start();
        ann.ear.follow(&call.actions());
        // 1 and 2 are the INVITE without and with credentials.
        call.wait_for_message("CSeq: 3 INVITE", seconds(10.0));
        let first = Instant::now();
        pause(seconds(0.3));
        let silent_from = Instant::now();
        pause(seconds(1.4));
        let silent_to = Instant::now();
        call.wait_for_message("CSeq: 4 INVITE", seconds(10.0));
        let resumed = Instant::now() + seconds(0.3);
        call.succeed();
        answer.succeed();
        let heard = |device: &Device, from, to| device.ear.heard_between(from, to);
        tone::assert_heard(
            "the caller before",
            &heard(&ann, begin, first),
            RATE_HZ,
            700.0,
            1.0,
        );
        tone::assert_heard(
            "the called before",
            &heard(&bob, begin, first),
            RATE_HZ,
            440.0,
            1.0,
        );
        tone::assert_not_heard(
            "the holder",
            &heard(&ann, silent_from, silent_to),
            RATE_HZ,
            700.0,
        );
        tone::assert_heard(
            "the caller after",
            &heard(&ann, resumed, Instant::now()),
            RATE_HZ,
            700.0,
            1.0,
        );
        tone::assert_heard(
            "the called after",
            &heard(&bob, resumed, Instant::now()),
            RATE_HZ,
            440.0,
            1.0,
        );
        server.wait_idle();
    }
}

#[test]
fn a_caller_who_gives_up_stops_the_ringing_and_leaves_a_missed_call() {
    let server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    let mut ring = bob.sipp("ring-cancelled").set("reason", "SIP").start();
    ann.calls(&server, "cancel", "1002")
        .set("ring_ms", 500)
        .run();
    ring.succeed();
    // Cause 200 would say that somebody else answered: the phone would not show a missed call.
    assert!(!ring.messages().contains("cause=200"));
    assert_eq!(server.wait_records(1)[0]["outcome"], "cancelled");
    server.wait_idle();
}

#[test]
fn busy_and_decline_reach_the_caller_as_they_are() {
    for (status, reason, outcome) in [(486, "Busy Here", "busy"), (603, "Decline", "declined")] {
        let mut lab = Lab::new();
        lab.change(
            "dialplans/internal.toml",
            r#", { hangup = "no-answer" }"#,
            "",
        );
        let server = Server::start(lab);
        let (ann, bob) = (
            Device::new("1001", None),
            Device::registered(&server, "1002", None),
        );
        let mut refuse = bob
            .sipp("refuse")
            .set("ring_ms", 100)
            .set("status", status)
            .set("reason", reason)
            .start();
        ann.calls(&server, "refused", "1002")
            .set("status", status)
            .run();
        refuse.succeed();
        assert_eq!(server.wait_records(1)[0]["outcome"], outcome);
        server.wait_idle();
    }
}

#[test]
fn nobody_answers_within_the_ring_time() {
    let mut lab = Lab::new();
    lab.change(
        "dialplans/internal.toml",
        r#"timeout = "6s""#,
        r#"timeout = "2s""#,
    );
    let server = Server::start(lab);
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    let mut ring = bob
        .sipp("ring-cancelled")
        .set("reason", "SIP|Q.850")
        .start();
    ann.calls(&server, "refused", "1002")
        .set("status", 480)
        .run();
    ring.succeed();
    assert_eq!(server.wait_records(1)[0]["outcome"], "no-answer");
    server.wait_idle();
}

#[test]
fn both_devices_ring_and_the_loser_is_told_that_it_was_answered_elsewhere() {
    let server = Server::start(Lab::new());
    let ann = Device::new("1001", None);
    let (desk, mobile) = (
        Device::registered(&server, "1002", None),
        Device::registered(&server, "1002", None),
    );
    let mut loser = mobile
        .sipp("ring-cancelled")
        .set("reason", "cause=200")
        .start();
    let mut winner = desk.sipp("answer").set("ring_ms", 500).start();
    ann.calls(&server, "call", "1002").set("talk_ms", 300).run();
    winner.succeed();
    loser.succeed();
    server.wait_idle();
}

#[test]
fn a_wrong_password_is_refused_after_a_bounded_number_of_tries() {
    let server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    let mut never = bob.sipp("answer").set("ring_ms", 10).start();
    ann.calls(&server, "wrong-password", "1002")
        .overriding("password", "guess")
        .run();
    assert!(
        never.messages().is_empty(),
        "an unproved call reached a phone"
    );
    assert_eq!(never.outcome(), None);
    server.wait_idle();
}

#[test]
fn the_echo_test_gives_the_caller_back_to_himself() {
    let server = Server::start(Lab::new());
    let ann = Device::new("1001", Some(440.0));
    let begin = Instant::now();
    let mut call = ann
        .calls(&server, "call", "*43")
        .set("talk_ms", 8000)
        .start();
    ann.ear.follow(&call.actions());
    call.succeed();
    // First the announcement (4 s of speech), then the caller's own tone.
    let all = ann.ear.heard_between(begin, Instant::now());
    let tail = &all[all.len().saturating_sub(8000 * 2)..];
    crate::support::tone::assert_heard(
        "the caller",
        tail,
        crate::support::tone::RATE_HZ,
        440.0,
        1.5,
    );
    server.wait_idle();
}
