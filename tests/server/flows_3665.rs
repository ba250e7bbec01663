//! The call flows of RFC 3665 with SIPp against the binary; who acts does so over UDP and over TCP. Digest stands before every one of them.

use std::net::UdpSocket;
use std::time::Instant;

use crate::devices::Device;
use crate::support::ear::Ear;
use crate::support::lab::{DOMAIN, Lab, TRUNK_PASSWORD, TRUNK_USER};
use crate::support::proof::proofs;
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{address, at, pause, seconds, wait_for};

const OUTSIDE: &str = "+442079460123";

fn over(tcp: bool, sipp: Sipp) -> Sipp {
    if tcp { sipp.tcp() } else { sipp }
}

fn register(server: &Server, device: &Device, tcp: bool, expires: u32) -> Sipp {
    let sipp = device.sipp("register").set("expires", expires);
    over(tcp, sipp.to(server.lab.phones()))
}

/// What came back, in order.
fn statuses(messages: &str) -> Vec<u16> {
    let lines = messages.lines().filter_map(|line| {
        let rest = line.strip_prefix("SIP/2.0 ")?;
        rest.split(' ').next()?.parse().ok()
    });
    lines.collect()
}

#[test]
fn flow_2_1_to_2_5_registration_is_made_shown_taken_back_and_refused() {
    for tcp in [false, true] {
        let server = Server::start(Lab::new());
        let desk = Device::new("1001", None);
        // §2.1: challenged first, then taken; the 200 shows the contact
        let new = register(&server, &desk, tcp, 300).run();
        assert_eq!(statuses(&new.messages()), [401, 200]);
        let (_, ok) = new
            .messages()
            .split_once("SIP/2.0 200")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("a 200");
        assert!(
            ok.contains(&format!("sip:1001@{}:5060", desk.address)),
            "{ok}"
        );
        // §2.2: a second contact beside the first (which over TCP goes with its connection)
        let mobile = Device::registered(&server, "1001", None);
        let count = if tcp { 1 } else { 2 };
        server.wait_registered("1001", count);
        // §2.3: which are there now? Nothing is changed by the question
        let asker = Device::new("1001", None);
        let ask = asker
            .sipp("contacts")
            .set("contact", format!("sip:1001@{}:5060", mobile.address));
        over(tcp, ask.to(server.lab.phones())).run();
        server.wait_registered("1001", count);
        // §2.4: taken back
        register(&server, &mobile, false, 0).run();
        server.wait_registered("1001", count - 1);
        // §2.5: a wrong password
        let stranger = Device::new("1002", None);
        let guess = register(&server, &stranger, tcp, 300).overriding("password", "guess");
        let mut guess = guess.timeout(seconds(4.0)).start();
        let outcome = wait_for("the attempt to end", seconds(20.0), || guess.outcome());
        assert!(!outcome, "a wrong password was accepted");
        assert!(!statuses(&guess.messages()).contains(&200));
        server.wait_registered("1002", 0);
    }
}

#[test]
fn flow_3_1_session_is_made_heard_and_ended_by_the_called() {
    for tcp in [false, true] {
        let server = Server::start(Lab::new());
        let ann = Device::new("1001", Some(440.0));
        let bob = Device::registered(&server, "1002", Some(700.0));
        let answer = bob.sipp("answer-then-bye").set("ring_ms", 100);
        let mut answer = answer.set("talk_ms", 1800).start();
        bob.ear.follow(&answer.actions());
        let begin = Instant::now();
        let mut call = over(tcp, ann.calls(&server, "call-until-bye", "1002")).start();
        ann.ear.follow(&call.actions());
        call.succeed();
        answer.succeed();
        ann.ear.assert_heard_since("the caller", begin, 700.0, 1.0);
        bob.ear.assert_heard_since("the called", begin, 440.0, 1.0);
        assert_eq!(server.wait_records(1)[0]["ended_by"], "callee");
        server.wait_idle();
    }
}

#[test]
fn flow_3_3_both_hops_ask_for_credentials() {
    for tcp in [false, true] {
        let server = Server::start(Lab::new());
        let ann = Device::new("1001", Some(440.0));
        let ear = Ear::open(server.lab.carrier, Some(700.0));
        let mut trunk = Sipp::new("trunk", at(server.lab.carrier, 5060))
            .ear(&ear)
            .start();
        ear.follow(&trunk.actions());
        let begin = Instant::now();
        let call = ann.calls(&server, "call", OUTSIDE).set("talk_ms", 1500);
        let mut call = over(tcp, call).start();
        ann.ear.follow(&call.actions());
        call.succeed();
        trunk.succeed();
        ann.ear.assert_heard_since("the caller", begin, 700.0, 1.0);
        ear.assert_heard_since("the called", begin, 440.0, 1.0);
        // the caller proved itself to us with its password, we to the carrier with ours
        assert!(
            statuses(&call.messages()).contains(&407) || statuses(&call.messages()).contains(&401)
        );
        let seen = trunk.messages();
        let proofs = proofs(&seen);
        let ours = proofs
            .iter()
            .all(|proof| proof.is_by(TRUNK_USER, TRUNK_PASSWORD));
        assert!(!proofs.is_empty() && ours, "{proofs:?}");
        server.wait_idle();
    }
}

#[test]
fn flow_3_4_gateway_that_is_dead_is_passed_over() {
    for tcp in [false, true] {
        let mut lab = Lab::new();
        let (dead, well) = (lab.carrier, address());
        lab.change(
            "sip-profiles/external.toml",
            &format!("[\"sip:{dead}:5060\"]"),
            &format!("[\"sip:{dead}:5060\", \"sip:{well}:5060\"]"),
        );
        lab.change(
            "sip-profiles/external.toml",
            "max-channels ",
            "answer-timeout = \"1s\"\nmax-channels ",
        );
        let silence = UdpSocket::bind((dead, 5060)).expect("free");
        let server = Server::start(lab);
        let ann = Device::new("1001", Some(440.0));
        let ear = Ear::open(well, None);
        let mut trunk = Sipp::new("trunk", at(well, 5060)).ear(&ear).start();
        ear.follow(&trunk.actions());
        let begin = Instant::now();
        let call = ann.calls(&server, "call", OUTSIDE).set("talk_ms", 1500);
        let mut call = over(tcp, call).start();
        ann.ear.follow(&call.actions());
        call.succeed();
        trunk.succeed();
        ear.assert_heard_since("the second gateway", begin, 440.0, 1.0);
        let mut buffer = [0; 2048];
        let length = silence.recv(&mut buffer).expect("the first INVITE");
        assert!(buffer[..length].starts_with(b"INVITE "));
    }
}

#[test]
fn flow_3_6_redirected_session_has_its_offer_in_the_200_and_its_answer_in_the_ack() {
    for tcp in [false, true] {
        let server = Server::start(Lab::new());
        let ann = Device::new("1001", Some(440.0));
        let bob = Device::registered(&server, "1002", None);
        let cyd = Device::registered(&server, "1003", Some(700.0));
        let redirect = bob.sipp("redirect");
        let mut redirect = redirect.set("target", format!("sip:1003@{DOMAIN}")).start();
        let mut answer = cyd.sipp("answer").set("ring_ms", 100).start();
        cyd.ear.follow(&answer.actions());
        let begin = Instant::now();
        let call = ann.calls(&server, "call-late", "1002").set("talk_ms", 1500);
        let mut call = over(tcp, call).start();
        ann.ear.follow(&call.actions());
        call.succeed();
        redirect.succeed();
        answer.succeed();
        ann.ear.assert_heard_since("the caller", begin, 700.0, 1.0);
        cyd.ear.assert_heard_since("the called", begin, 440.0, 1.0);
        server.wait_idle();
    }
}

#[test]
fn flow_3_7_audio_follows_an_address_that_changes() {
    for tcp in [false, true] {
        let server = Server::start(Lab::new());
        let ann = Device::new("1001", Some(440.0));
        let bob = Device::registered(&server, "1002", Some(700.0));
        let moved = Ear::open(ann.address, Some(950.0));
        let mut answer = bob.sipp("answer-moved").set("ring_ms", 100).start();
        bob.ear.follow(&answer.actions());
        let begin = Instant::now();
        let call = ann.calls(&server, "change-address", "1002");
        let call = call
            .set("new_ip", moved.address().ip())
            .set("new_port", moved.address().port())
            .set("talk_ms", 1500);
        let mut call = over(tcp, call).start();
        ann.ear.follow(&call.actions());
        moved.follow(&call.actions());
        // 1 and 2 are the INVITE without and with credentials
        call.wait_for_message("CSeq: 3 ACK", seconds(15.0));
        let changed = Instant::now();
        ann.ear.mute(true);
        pause(seconds(0.2));
        let settled = Instant::now();
        call.succeed();
        let end = Instant::now();
        answer.succeed();
        let heard = |ear: &Ear, from, to, hz| {
            let samples = ear.heard_between(from, to);
            crate::support::tone::listen(&samples, crate::support::tone::RATE_HZ, hz).dominated
        };
        // 25 frames a second
        assert!(
            heard(&ann.ear, begin, changed, 700.0) > 20,
            "the caller before"
        );
        assert!(
            heard(&bob.ear, begin, changed, 440.0) > 20,
            "the called before"
        );
        assert!(
            heard(&moved, settled, end, 700.0) > 20,
            "the caller at its new address"
        );
        assert!(
            heard(&bob.ear, settled, end, 950.0) > 20,
            "the called from there"
        );
        assert!(
            heard(&ann.ear, settled, end, 700.0) < 3,
            "nothing to the old address"
        );
        server.wait_idle();
    }
}

#[test]
fn flow_3_8_to_3_11_sessions_that_do_not_come_to_be() {
    for tcp in [false, true] {
        let mut lab = Lab::new();
        // whoever is not reached says why
        lab.change(
            "dialplans/internal.toml",
            ", { hangup = \"no-answer\" } ]",
            " ]",
        );
        let server = Server::start(lab);
        let ann = Device::new("1001", None);
        let bob = Device::registered(&server, "1002", None);
        // §3.8: nobody answers, the caller gives up
        let mut rings = bob
            .sipp("ring-cancelled")
            .set("reason", "cause=487")
            .start();
        let cancel = ann.calls(&server, "cancel", "1002").set("ring_ms", 500);
        over(tcp, cancel).run();
        rings.succeed();
        // §3.9 busy, §3.11 temporarily unavailable
        for (status, reason) in [(486, "Busy Here"), (480, "Temporarily Unavailable")] {
            let refuse = bob.sipp("refuse").set("ring_ms", 50);
            let mut refuse = refuse.set("status", status).set("reason", reason).start();
            let call = ann.calls(&server, "refused", "1002").set("status", status);
            over(tcp, call).run();
            refuse.succeed();
        }
        // §3.10: the phone says nothing at all
        let _deaf = UdpSocket::bind(bob.socket()).expect("its address is free again");
        let call = ann.calls(&server, "refused", "1002").set("status", 480);
        over(tcp, call).run();
        let records = server.wait_records(4);
        assert!(records.iter().all(|record| record["outcome"] != "answered"));
        server.wait_idle();
    }
}
