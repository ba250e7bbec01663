//! The instruments, without a server: if one of these fails, the fault is in the harness, not in the server.

use std::time::Instant;

use crate::support::baresip::Phone;
use crate::support::ear::Ear;
use crate::support::lab::Lab;
use crate::support::proof::proofs;
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{address, at, pause, seconds};

#[test]
fn two_phones_hear_each_other_directly() {
    let mut ann = Phone::new("ann").tone(440).start();
    let mut bob = Phone::new("bob").tone(700).start();
    let uri = bob.uri().to_string();
    ann.dial(&uri);
    bob.wait("CALL_INCOMING", seconds(5.0));
    bob.accept();
    ann.wait("CALL_ESTABLISHED", seconds(5.0));
    pause(seconds(2.0));
    ann.digits("5");
    bob.wait("CALL_DTMF_START", seconds(5.0));
    ann.hold();
    pause(seconds(0.5));
    let before = (ann.packets(), bob.packets());
    pause(seconds(0.5));
    assert_eq!(ann.packets().0, before.0.0, "a held phone sends nothing");
    ann.resume();
    pause(seconds(1.0));
    let after = (ann.packets(), bob.packets());
    assert!(
        after.0.0 > before.0.0 + 25 && after.1.0 > before.1.0 + 25,
        "{before:?} {after:?}"
    );
    bob.hangup();
    ann.wait("CALL_CLOSED", seconds(5.0));
    ann.assert_heard(700.0, 1.5);
    bob.assert_heard(440.0, 1.5);
}

#[test]
fn a_wrong_tone_is_noticed() {
    let mut ann = Phone::new("ann").tone(440).start();
    let bob = Phone::new("bob").tone(500).auto_answer().start();
    let uri = bob.uri().to_string();
    ann.dial(&uri);
    ann.wait("CALL_ESTABLISHED", seconds(5.0));
    pause(seconds(1.0));
    ann.hangup();
    ann.wait("CALL_CLOSED", seconds(5.0));
    let heard = ann
        .recordings()
        .pop()
        .map(|(samples, rate)| crate::support::tone::listen(&samples, rate, 700.0));
    let heard = heard.expect("a recording");
    assert!(heard.active > 10 && heard.dominated == 0, "{heard:?}");
}

#[test]
fn a_scenario_calls_another_and_their_ears_hear_tones() {
    let (caller, called) = (address(), address());
    let (left, right) = (
        Ear::open(caller, Some(440.0)),
        Ear::open(called, Some(700.0)),
    );
    let mut answer = Sipp::new("answer", at(called, 5060))
        .ear(&right)
        .set("ring_ms", 200)
        .start();
    right.follow(&answer.actions());
    let mut call = caller_of("call", caller, called)
        .ear(&left)
        .set("talk_ms", 1500)
        .start();
    left.follow(&call.actions());
    let begin = Instant::now();
    call.succeed();
    answer.succeed();
    left.assert_heard_since("the caller", begin, 700.0, 1.0);
    right.assert_heard_since("the called", begin, 440.0, 1.0);
}

#[test]
fn every_scenario_ends_as_it_says() {
    for (answering, calling, settings) in [
        (
            "answer-then-bye",
            "call-until-bye",
            &[("ring_ms", "50"), ("talk_ms", "200")][..],
        ),
        (
            "answer-held",
            "hold",
            &[
                ("held", "recvonly"),
                ("hold", "sendonly"),
                ("hold_ip", "127.0.0.1"),
                ("talk_ms", "300"),
            ],
        ),
        (
            "refuse",
            "refused",
            &[
                ("ring_ms", "50"),
                ("status", "486"),
                ("reason", "Busy Here"),
            ],
        ),
        (
            "refuse",
            "refused",
            &[("ring_ms", "50"), ("status", "603"), ("reason", "Decline")],
        ),
    ] {
        let (caller, called) = (address(), address());
        let (left, right) = (Ear::open(caller, None), Ear::open(called, None));
        let fill = |mut sipp: Sipp| {
            for (name, value) in settings {
                sipp = sipp.set(name, value);
            }
            sipp
        };
        let mut answer = fill(Sipp::new(answering, at(called, 5060)).ear(&right)).start();
        fill(caller_of(calling, caller, called).ear(&left)).run();
        answer.succeed();
    }
}

#[test]
fn a_scenario_that_gets_something_else_fails() {
    let (caller, called) = (address(), address());
    let (left, right) = (Ear::open(caller, None), Ear::open(called, None));
    let _answer = Sipp::new("refuse", at(called, 5060))
        .ear(&right)
        .set("ring_ms", 10)
        .set("status", 486)
        .set("reason", "Busy Here")
        .start();
    let mut call = caller_of("refused", caller, called)
        .ear(&left)
        .set("status", 603)
        .start();
    let ended = crate::support::wait_for("SIPp to end", seconds(20.0), || call.outcome());
    assert!(!ended, "a 486 where 603 was due is a failure");
}

#[test]
fn the_carrier_insists_on_digest() {
    let (caller, called) = (address(), address());
    let (left, right) = (Ear::open(caller, None), Ear::open(called, None));
    let mut trunk = Sipp::new("trunk", at(called, 5060)).ear(&right).start();
    Sipp::new("call", at(caller, 5060))
        .to(at(called, 5060))
        .ear(&left)
        .set("caller", "lab")
        .set("callee", "bob")
        .set("domain", called)
        .set("password", "good")
        .set("talk_ms", 100)
        .run();
    trunk.succeed();
    let proofs = proofs(&trunk.messages());
    assert_eq!(proofs.len(), 1);
    assert!(proofs[0].is_by("lab", "good"));
    assert!(!proofs[0].is_by("lab", "bad") && !proofs[0].is_by("other", "good"));
}

fn caller_of(scenario: &str, caller: std::net::Ipv4Addr, called: std::net::Ipv4Addr) -> Sipp {
    Sipp::new(scenario, at(caller, 5060))
        .to(at(called, 5060))
        .set("caller", "ann")
        .set("callee", "bob")
        .set("domain", called)
        .set("password", "none")
        .timeout(seconds(15.0))
}

#[test]
fn the_lab_and_the_shipped_example_are_valid_configurations() {
    for lab in [Lab::new(), Lab::shipped()] {
        let checked = Server::prepare(lab).command(&["check"]);
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
}
