//! Calls that are over, and how they came to be so: ladders, reasons and records afterwards, what a carrier or a phone said, and where.

use serde_json::Value;

use crate::devices::{Carrier, Device};
use crate::support::lab::{DOMAIN, Lab};
use crate::support::seconds;
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{at, wait_for};

const OUTSIDE: &str = "+442079460123";

fn shown(server: &Server, arguments: &[&str]) -> String {
    let output = server.command(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn id(record: &Value) -> &str {
    record["id"].as_str().expect("an id")
}

/// A lab whose dialplan has something to say to who is not connected.
fn lab_with_announcement() -> Lab {
    let mut lab = Lab::new();
    lab.change(
        "dialplans/internal.toml",
        r#"{ dial = "+{number}", timeout = "20s" }"#,
        r#"{ dial = "+{number}", timeout = "20s" }, { play = "unavailable" }, { hangup = "normal" }"#,
    );
    lab
}

#[test]
fn a_queued_call_is_explained_after_its_end_and_from_its_record_after_a_restart() {
    let mut server = Server::start(Lab::new());
    let agent = Device::registered(&server, "1001", None);
    server.agent_ready("1001");
    let mut answer = agent.sipp("answer").set("ring_ms", 100).start();
    let carrier = Carrier::new(&server, 1, None);
    carrier.calls(&server, "call").set("talk_ms", 4000).run();
    answer.succeed();
    let record = server.wait_records(1).remove(0);
    let why = shown(&server, &["why", id(&record)]);
    assert!(
        why.contains("waits no more: it was served and was over") && why.contains("Chosen: 1001"),
        "{why}"
    );
    let ladder = shown(&server, &["calls", id(&record), "--ladder"]);
    for part in [
        "went through 1 queue (support) and was connected to agent 1001.",
        "─ INVITE SDP ─",
        "* support connected to agent 1001",
        "─ BYE ─",
    ] {
        assert!(ladder.contains(part), "`{part}` is missing in\n{ladder}");
    }

    server.kill9();
    server.restart();
    for arguments in [
        vec!["why", id(&record)],
        vec!["calls", id(&record), "--ladder"],
    ] {
        let told = shown(&server, &arguments);
        assert!(
            told.contains("went through 1 queue (support) and was connected to agent 1001."),
            "{arguments:?}: {told}"
        );
        assert!(told.contains("in memory"), "{arguments:?}: {told}");
    }
    let nobody = server.command(&["why", "01J9Z3ZZZZZZZZZZZZZZZZZZZZ"]);
    assert!(!nobody.status.success());
}

#[test]
fn a_call_out_that_a_carrier_refuses_is_failed_with_gateway_and_reason_whatever_the_caller_heard() {
    let server = Server::start(lab_with_announcement());
    let ann = Device::new("1001", None);
    let mut gateway = Sipp::new("refuse", at(server.lab.carrier, 5060))
        .set("ring_ms", 10)
        .set("status", 500)
        .set("reason", "Broken\nReason: Q.850;cause=34")
        .start();
    let mut call = ann.calls(&server, "call-until-bye", OUTSIDE).start();
    let failed = wait_for("the call to be shown as failed", seconds(10.0), || {
        let mut calls = server.api().list("/calls");
        let call = calls.pop()?;
        (call["state"] == "failed").then_some(call)
    });
    gateway.succeed();
    call.succeed();
    let record = server.wait_records(1).remove(0);
    assert_eq!(record["id"], failed["id"]);
    assert_eq!(record["outcome"], "failed", "{record:#}");
    assert!(
        record["answered_at"].is_string(),
        "announcements were heard"
    );
    let legs = record["legs"].as_array().expect("legs");
    let out = legs.iter().find(|leg| leg["role"] == "callee").expect("it");
    let peer = format!("UDP {}:5060", server.lab.carrier);
    assert_eq!(
        (&out["status"], &out["reason"], &out["peer"]),
        (&500.into(), &"Q.850;cause=34".into(), &peer.as_str().into()),
    );
    let ladder = shown(&server, &["calls", id(&record)]);
    let rung = format!("* gateway {peer} of carrier: 500, Q.850;cause=34");
    assert!(ladder.contains(&rung), "`{rung}` is missing in\n{ladder}");
    let why = shown(&server, &["why", id(&record)]);
    assert!(
        why.contains("It was in no queue.") && !why.contains("decisions"),
        "{why}"
    );
    let ended = shown(&server, &["calls", "--ended"]);
    assert!(
        ended.contains(&format!("500 at {peer}, Q.850;cause=34")) && ended.contains("failed"),
        "{ended}"
    );
    let log = server.log();
    let line = format!(
        "call {}: {OUTSIDE} via carrier refused at {peer}: 500, Q.850;cause=34",
        id(&record)
    );
    assert!(log.contains(&line), "`{line}` is missing in\n{log}");
}

#[test]
fn a_carrier_that_sends_a_call_elsewhere_is_named_with_the_call() {
    let server = Server::start(lab_with_announcement());
    let ann = Device::new("1001", None);
    let mut gateway = Sipp::new("redirect", at(server.lab.carrier, 5060))
        .set("target", "sip:999@elsewhere.example")
        .start();
    let mut call = ann.calls(&server, "call-until-bye", OUTSIDE).start();
    gateway.succeed();
    call.succeed();
    let record = server.wait_records(1).remove(0);
    assert_eq!(record["outcome"], "failed", "{record:#}");
    let peer = format!("UDP {}:5060", server.lab.carrier);
    let line = format!("forwarded by carrier ({peer}) to sip:999@elsewhere.example");
    let ladder = shown(&server, &["calls", id(&record)]);
    assert!(ladder.contains(&line), "{ladder}");
    let logged = format!("call {}: {line} with 302", id(&record));
    assert!(
        server.log().contains(&logged),
        "{logged}:\n{}",
        server.log()
    );
}

#[test]
fn a_phone_that_forwards_is_seen_in_log_and_ladder() {
    let server = Server::start(Lab::new());
    let ann = Device::new("1001", None);
    let bob = Device::registered(&server, "1002", None);
    let cyd = Device::registered(&server, "1003", None);
    let target = format!("sip:1003@{DOMAIN}");
    let mut redirect = bob.sipp("redirect").set("target", target).start();
    let mut answer = cyd.sipp("answer").set("ring_ms", 100).start();
    ann.calls(&server, "call", "1002").set("talk_ms", 300).run();
    redirect.succeed();
    answer.succeed();
    let record = server.wait_records(1).remove(0);
    assert_eq!(record["outcome"], "answered");
    let line = format!("forwarded by 1002 (UDP {}) to 1003", bob.socket());
    let ladder = shown(&server, &["calls", id(&record)]);
    assert!(ladder.contains(&format!("* {line}")), "{ladder}");
    let logged = format!("call {}: {line}", id(&record));
    assert!(server.log().contains(&logged), "{}", server.log());
}

#[test]
fn calls_that_are_over_are_listed_newest_first_as_many_and_as_old_as_asked() {
    let server = Server::start(Lab::new());
    let ann = Device::new("1001", None);
    for _ in 0..3 {
        // nobody is registered there
        ann.calls(&server, "refused", "1003")
            .set("status", 480)
            .run();
    }
    let records = server.wait_records(3);
    let rows = |arguments: &[&str]| {
        let text = shown(&server, &[&["calls", "--ended"], arguments].concat());
        let ids = text
            .lines()
            .skip(1)
            .filter_map(|line| line.split(' ').next());
        ids.map(str::to_owned).collect::<Vec<String>>()
    };
    let newest_first: Vec<&str> = records.iter().rev().map(id).collect();
    assert_eq!(rows(&[]), newest_first);
    assert_eq!(rows(&["--limit", "2"]), newest_first[..2]);
    assert_eq!(rows(&["--since", "1h"]), newest_first);
    let second = records[1]["started_at"].as_str().expect("a time");
    assert_eq!(rows(&["--since", second]), newest_first[..2]);
    assert_eq!(
        shown(
            &server,
            &["calls", "--ended", "--since", "2100-01-01T00:00:00Z"]
        ),
        "none\n"
    );
    let json: Value =
        serde_json::from_str(&shown(&server, &["calls", "--ended", "--json"])).expect("JSON");
    assert_eq!(json["items"].as_array().map(Vec::len), Some(3));
    let wrong = server.api().try_get("/api/v1/records?since=yesterday");
    assert_eq!(wrong.status, 400);
    let wrong = server.command(&["calls", "--ended", "--since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2));
}
