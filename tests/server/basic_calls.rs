//! Calls between extensions: tones both ways, hold, cancel, busy, decline, no answer, a wrong password; nothing is left behind.

use std::time::Instant;

use crate::devices::Device;
use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::tone::{self, RATE_HZ};
use crate::support::{pause, seconds, wait_for};

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
        ("inactive", false, "recvonly"),
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
        // the held party hears our music in the place of the holder (RFC 5359 §2.3)
        let music = heard(&bob, silent_from, silent_to);
        tone::assert_not_heard("the held", &music, RATE_HZ, 440.0);
        let active = tone::listen(&music, RATE_HZ, 440.0).active_seconds();
        assert!(active > 0.3, "{active} s of music");
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

#[test]
fn one_way_audio_is_named_within_three_seconds() {
    let server = Server::start(Lab::new());
    // The called phone answers and never sends.
    let (ann, bob) = (
        Device::new("1001", Some(440.0)),
        Device::registered(&server, "1002", None),
    );
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    let mut call = ann
        .calls(&server, "call", "1002")
        .set("talk_ms", 6000)
        .start();
    ann.ear.follow(&call.actions());
    answer.wait_for_message("ACK sip:", seconds(5.0));
    let answered = Instant::now();
    let line = wait_for("one-way audio to be named", seconds(8.0), || {
        server
            .log()
            .lines()
            .find(|line| line.contains("one-way audio"))
            .map(str::to_string)
    });
    let late = answered.elapsed();
    assert!(late < seconds(4.0), "named only after {late:?}: {line}");
    // Which leg, in which direction, what was expected.
    for part in [
        "nothing heard from callee 1002",
        &format!("expected RTP from {}", bob.ear.address()),
        "nothing came",
    ] {
        assert!(line.contains(part), "`{part}` is missing: {line}");
    }
    call.succeed();
    answer.succeed();
    assert!(
        !server.log().contains("nothing heard from caller"),
        "the caller was heard"
    );
    server.wait_idle();
}

#[test]
fn a_party_that_fell_silent_is_given_up_and_both_legs_end() {
    let server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::new("1001", Some(440.0)),
        Device::registered(&server, "1002", Some(700.0)),
    );
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    bob.ear.follow(&answer.actions());
    let mut call = ann
        .calls(&server, "call-until-bye", "1002")
        .timeout(seconds(60.0))
        .start();
    ann.ear.follow(&call.actions());
    wait_for("tones both ways", seconds(10.0), || {
        (ann.ear.received() > 50 && bob.ear.received() > 50).then_some(())
    });
    // As when its plug is pulled: no more audio, no answer to anything.
    bob.ear.mute(true);
    answer.kill();
    call.succeed();
    let record = server.wait_records(1).remove(0);
    assert!(
        record["duration_secs"]
            .as_f64()
            .is_some_and(|secs| secs > 25.0),
        "{record}"
    );
    assert!(
        server.log().contains("no RTP for 30 s, ending it"),
        "the log says why"
    );
    server.wait_idle();
}

#[test]
fn what_the_called_side_plays_before_the_answer_is_heard() {
    let server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::new("1001", Some(440.0)),
        Device::registered(&server, "1002", Some(700.0)),
    );
    let mut answer = bob.sipp("answer-early").set("early_ms", 3000).start();
    bob.ear.follow(&answer.actions());
    let begin = Instant::now();
    let mut call = ann
        .calls(&server, "call", "1002")
        .set("talk_ms", 500)
        .start();
    call.wait_for_message("SIP/2.0 183", seconds(5.0));
    pause(seconds(2.0));
    assert!(
        !call.messages().contains("SIP/2.0 200 OK"),
        "not answered yet"
    );
    ann.ear
        .assert_heard_since("the caller before the answer", begin, 700.0, 1.0);
    call.succeed();
    answer.succeed();
    server.wait_idle();
}

#[test]
fn an_extension_has_no_more_calls_than_it_may_have() {
    let mut lab = Lab::new();
    lab.change(
        "directory/people.toml",
        "name = \"Ben Example\"\n",
        "name = \"Ben Example\"\nmax-concurrent-calls = 1\n",
    );
    lab.change(
        "dialplans/internal.toml",
        r#", { hangup = "no-answer" }"#,
        "",
    );
    let server = Server::start(lab);
    let (ann, bob, cyd) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
        Device::new("1003", None),
    );
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    let mut first = ann
        .calls(&server, "call", "1002")
        .set("talk_ms", 2500)
        .start();
    answer.wait_for_message("ACK sip:", seconds(5.0));
    cyd.calls(&server, "refused", "1002")
        .set("status", 486)
        .run();
    first.succeed();
    answer.succeed();
    // It has its one call again.
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    cyd.calls(&server, "call", "1002").set("talk_ms", 200).run();
    answer.succeed();
    server.wait_idle();
}
