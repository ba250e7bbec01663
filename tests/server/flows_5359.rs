//! The call flows of RFC 5359 with SIPp against the binary: transfer, forwarding, pickup, park. Hold is in `basic_calls`. The party that
//! acts does so over UDP and over TCP; audio goes where the flow says.

use std::time::Instant;

use crate::devices::Device;
use crate::support::lab::{DOMAIN, Lab};
use crate::support::server::Server;
use crate::support::sipp::{Running, Sipp};
use crate::support::{seconds, wait_for};

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.change(
        "dialplans/internal.toml",
        "[[rule]]\nname   = \"outside\"",
        "[[rule]]\nname   = \"park\"\nnumber = \"7{slot:2}\"\ndo     = [ { park = \"{slot}\" } ]\n\n\
         [[rule]]\nname   = \"fetch\"\nnumber = \"*8{ext:4}\"\ndo     = [ { pickup = \"{ext}\" } ]\n\n\
         [[rule]]\nname   = \"outside\"",
    );
    for person in ["1002", "1003"] {
        let line = format!("extension = \"{person}\"\n");
        lab.change(
            "directory/people.toml",
            &line,
            &format!("{line}pickup = \"sales\"\n"),
        );
    }
    lab
}

fn over(tcp: bool, sipp: Sipp) -> Sipp {
    if tcp { sipp.tcp() } else { sipp }
}

/// Ends the only call from outside.
fn hang_up(server: &Server) {
    let calls = server.api().list("/calls");
    assert_eq!(calls.len(), 1, "{calls:?}");
    let id = calls[0]["id"].as_str().expect("an id");
    let nothing = serde_json::json!({});
    let answer = server
        .api()
        .try_post(&format!("/calls/{id}/hangup"), &nothing);
    assert_eq!(answer.status, 204);
}

/// What the party was told of its transfer, in order.
fn told(running: &Running) -> Vec<String> {
    let text = std::fs::read_to_string(running.actions()).unwrap_or_default();
    text.lines()
        .filter_map(|line| Some(line.split_once("told SIP/2.0 ")?.1.trim().to_string()))
        .collect()
}

/// The dialog that the first INVITE with a final answer made, as its caller knows it: Call-ID, own tag, the other's tag.
fn dialog_of(running: &Running) -> (String, String, String) {
    let messages = running.messages();
    let at = messages.find("SIP/2.0 200 OK").expect("an answer");
    let value = |name: &str| {
        messages[at..]
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("the header")
            .trim()
            .to_string()
    };
    let tag = |text: String| text.split("tag=").nth(1).expect("a tag").to_string();
    (value("Call-ID:"), tag(value("From:")), tag(value("To:")))
}

#[test]
fn unattended_transfer() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", None);
        let bob = Device::registered(&server, "1002", Some(440.0));
        let cyd = Device::registered(&server, "1003", Some(700.0));
        let mut first = bob.sipp("answer-moved").set("ring_ms", 100).start();
        let mut second = cyd.sipp("answer-moved").set("ring_ms", 500).start();
        bob.ear.follow(&first.actions());
        cyd.ear.follow(&second.actions());
        let call = ann.calls(&server, "transfer", "1002").set("talk_ms", 300);
        let call = call.set("target", format!("sip:1003@{DOMAIN}"));
        let mut call = over(tcp, call).start();
        call.succeed();
        assert_eq!(told(&call), ["100", "180", "200"]);
        let joined = Instant::now();
        crate::support::pause(seconds(1.5));
        bob.ear
            .assert_heard_since("the transferee", joined, 700.0, 1.0);
        cyd.ear.assert_heard_since("the target", joined, 440.0, 1.0);
        hang_up(&server);
        first.succeed();
        second.succeed();
        let record = server.wait_records(1).remove(0);
        assert_eq!(record["transfers"][0]["status"], 200);
        server.wait_idle();
    }
}

#[test]
fn unattended_transfer_to_one_who_is_busy_gives_the_party_back() {
    let server = Server::start(lab());
    let ann = Device::new("1001", None);
    let bob = Device::registered(&server, "1002", None);
    let cyd = Device::registered(&server, "1003", None);
    let mut first = bob.sipp("answer-moved").set("ring_ms", 100).start();
    let second = cyd.sipp("refuse").set("ring_ms", 100);
    let second = second.set("status", 486).set("reason", "Busy Here");
    let mut second = second.start();
    let call = ann.calls(&server, "transfer", "1002").set("talk_ms", 300);
    let mut call = call.set("target", format!("sip:1003@{DOMAIN}")).start();
    call.succeed();
    second.succeed();
    first.succeed();
    assert_eq!(told(&call), ["100", "180", "486"]);
    assert_eq!(server.wait_records(1)[0]["ended_by"], "caller");
    server.wait_idle();
}

#[test]
fn attended_transfer() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", None);
        let other = Device::new("1001", None);
        let bob = Device::registered(&server, "1002", Some(440.0));
        let cyd = Device::registered(&server, "1003", Some(700.0));
        let mut first = bob.sipp("answer-moved").set("ring_ms", 100).start();
        let mut second = cyd.sipp("answer-moved").set("ring_ms", 100).start();
        bob.ear.follow(&first.actions());
        cyd.ear.follow(&second.actions());
        let mut consulting = other.calls(&server, "call-until-bye", "1003").start();
        consulting.wait_for_message("SIP/2.0 200 OK", seconds(10.0));
        let (call_id, ours, theirs) = dialog_of(&consulting);
        let call_id = call_id.replace('@', "%40");
        let target =
            format!("sip:1003@{DOMAIN}?Replaces={call_id}%3Bto-tag%3D{theirs}%3Bfrom-tag%3D{ours}");
        let call = ann.calls(&server, "transfer", "1002").set("talk_ms", 300);
        let mut call = over(tcp, call.set("target", target)).start();
        call.succeed();
        assert_eq!(told(&call), ["200"]);
        consulting.succeed();
        let joined = Instant::now();
        crate::support::pause(seconds(1.5));
        bob.ear
            .assert_heard_since("the transferee", joined, 700.0, 1.0);
        cyd.ear.assert_heard_since("the target", joined, 440.0, 1.0);
        hang_up(&server);
        first.succeed();
        second.succeed();
        server.wait_idle();
    }
}

#[test]
fn call_forwarding_by_the_phone() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", None);
        let bob = Device::registered(&server, "1002", None);
        let cyd = Device::registered(&server, "1003", None);
        let redirect = bob.sipp("redirect");
        let mut redirect = redirect.set("target", format!("sip:1003@{DOMAIN}")).start();
        let mut answer = cyd.sipp("answer").set("ring_ms", 100).start();
        let call = ann.calls(&server, "call", "1002").set("talk_ms", 300);
        over(tcp, call).run();
        redirect.succeed();
        answer.succeed();
        assert!(
            answer
                .messages()
                .contains("Diversion: \"Ben Example\" <sip:1002@")
        );
        server.wait_idle();
    }
}

#[test]
fn call_pickup_by_replaces_and_by_number() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", Some(440.0));
        let bob = Device::registered(&server, "1002", None);
        let cyd = Device::new("1003", Some(700.0));
        let mut rings = bob
            .sipp("ring-cancelled")
            .set("reason", "cause=200")
            .start();
        let mut call = ann.calls(&server, "call-until-bye", "1002").start();
        ann.ear.follow(&call.actions());
        rings.wait_for_message("SIP/2.0 180 Ringing", seconds(10.0));
        let fetch = if tcp {
            cyd.calls(&server, "call", "*81002")
        } else {
            let messages = rings.messages();
            let value = |name: &str| {
                let line = messages.lines().find_map(|line| line.strip_prefix(name));
                line.expect("the header").trim().to_string()
            };
            let from = value("From:");
            let from_tag = from.split("tag=").nth(1).expect("a tag");
            let replaces = format!(
                "{};to-tag=s1;from-tag={from_tag};early-only",
                value("Call-ID:")
            );
            cyd.calls(&server, "call-replacing", "1002")
                .set("replaces", replaces)
        };
        let begin = Instant::now();
        let mut fetch = over(tcp, fetch.set("talk_ms", 1500)).start();
        cyd.ear.follow(&fetch.actions());
        fetch.succeed();
        ann.ear.assert_heard_since("the caller", begin, 700.0, 1.0);
        cyd.ear
            .assert_heard_since("who fetched it", begin, 440.0, 1.0);
        rings.succeed();
        call.succeed();
        server.wait_idle();
    }
}

#[test]
fn call_park_and_retrieval() {
    for tcp in [false, true] {
        let server = Server::start(lab());
        let ann = Device::new("1001", None);
        let bob = Device::registered(&server, "1002", Some(440.0));
        let cyd = Device::new("1003", Some(700.0));
        let mut parked = bob.sipp("answer-moved").set("ring_ms", 100).start();
        bob.ear.follow(&parked.actions());
        let call = ann.calls(&server, "transfer", "1002").set("talk_ms", 300);
        let call = call.set("target", format!("sip:701@{DOMAIN}"));
        let mut call = over(tcp, call).start();
        call.succeed();
        assert_eq!(told(&call), ["100", "200"]);
        wait_for("the call to be parked", seconds(5.0), || {
            let calls = server.api().list("/calls");
            calls
                .first()
                .filter(|call| call["state"] == "parked")
                .map(|_| ())
        });
        let begin = Instant::now();
        let fetch = cyd.calls(&server, "call", "701").set("talk_ms", 1500);
        let mut fetch = over(tcp, fetch).start();
        cyd.ear.follow(&fetch.actions());
        fetch.succeed();
        bob.ear
            .assert_heard_since("who was parked", begin, 700.0, 1.0);
        cyd.ear
            .assert_heard_since("who fetched it", begin, 440.0, 1.0);
        parked.succeed();
        server.wait_idle();
    }
}
