//! kill -9 in the middle: what was acknowledged is there after the restart.

use std::time::Instant;

use serde_json::json;

use crate::devices::{Carrier, Device};
use crate::support::lab::{DOMAIN, Lab, password};
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{address, at, seconds, wait_for};

#[test]
fn a_registered_device_is_callable_after_kill_9() {
    let mut server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    server.kill9();
    server.restart();
    server.wait_registered("1002", 1);
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    ann.calls(&server, "call", "1002").set("talk_ms", 200).run();
    answer.succeed();
}

#[test]
fn every_acknowledged_registration_survives_kill_9() {
    let mut lab = Lab::new();
    let people: String = (0..2000)
        .map(|n| {
            format!(
                "[[user]]\nextension = \"5{n:04}\"\nname = \"Load {n}\"\npassword = \"{}\"\n\n",
                password("load")
            )
        })
        .collect();
    lab.file("directory/load.toml", &people);
    let mut server = Server::start(lab);
    let users = (0..2000).map(|n| {
        format!(
            "5{n:04};[authentication username=5{n:04} password={}]",
            password("load")
        )
    });
    let mut load = Sipp::new("register-many", at(address(), 5060))
        .to(server.lab.phones())
        .set("domain", DOMAIN)
        .users(users)
        .calls(2000)
        .rate(500)
        .timeout(seconds(60.0))
        .start();
    wait_for("some hundreds of registrations", seconds(30.0), || {
        (acknowledged(&load.messages()).len() > 300).then_some(())
    });
    server.kill9();
    load.kill();
    let acknowledged = acknowledged(&load.messages());
    server.restart();
    let rows = server.api().list("/registrations");
    let lost: Vec<&String> = acknowledged
        .iter()
        .filter(|user| {
            !rows
                .iter()
                .any(|row| row["aor"] == format!("{user}@{DOMAIN}"))
        })
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged registrations are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
}

/// The users whose REGISTER was answered with 200, from a message log.
fn acknowledged(messages: &str) -> Vec<String> {
    let mut users = Vec::new();
    let mut ok = false;
    for line in messages.lines() {
        if line.starts_with("SIP/2.0 ") || line.ends_with(" SIP/2.0") {
            ok = line.starts_with("SIP/2.0 200");
        } else if ok && let Some(rest) = line.strip_prefix("To: <sip:") {
            users.push(rest.split('@').next().unwrap_or_default().to_string());
        }
    }
    users
}

#[test]
fn a_wrap_up_ends_after_kill_9_when_it_would_have_ended() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    lab.change(
        "queues/support.toml",
        r#"wrap-up      = "3s""#,
        r#"wrap-up      = "12s""#,
    );
    let mut server = Server::start(lab);
    let desk = Device::registered(&server, "1001", None);
    let mut answer = desk
        .sipp("answer-then-bye")
        .set("ring_ms", 50)
        .set("talk_ms", 300)
        .start();
    server.agent_ready("1001");
    let carrier = Carrier::new(&server, 1, None);
    carrier.calls(&server, "call-until-bye").run();
    answer.succeed();
    let agent = |server: &Server, state: &str| {
        wait_for(&format!("1001 to be {state}"), seconds(20.0), || {
            let agent = server.api().get("/agents/1001");
            (agent["state"] == state).then_some(agent)
        })
    };
    let before = agent(&server, "wrap");
    let began = Instant::now();
    server.kill9();
    server.restart();
    let after = server.api().get("/agents/1001");
    assert_eq!(
        (&after["state"], &after["wrap_until"]),
        (&"wrap".into(), &before["wrap_until"]),
        "{after}"
    );
    agent(&server, "ready");
    let held = began.elapsed();
    assert!(
        held > seconds(10.5) && held < seconds(12.5),
        "wrap-up of 12 s held the agent {held:?} over the restart"
    );
}

#[test]
fn waiting_callers_keep_their_order_and_their_moments_over_kill_9() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    let mut server = Server::start(lab);
    let (first, second) = (
        Carrier::new(&server, 1, None),
        Carrier::new(&server, 2, None),
    );
    let line = |server: &Server, count: usize| {
        wait_for(&format!("{count} callers to wait"), seconds(20.0), || {
            let items = server.api().get("/queues/support")["items"]
                .as_array()
                .cloned()?;
            (items.len() == count).then_some(items)
        })
    };
    let mut calls = vec![first.calls(&server, "call-until-bye").start()];
    line(&server, 1);
    calls.push(second.calls(&server, "call-until-bye").start());
    let before = line(&server, 2);
    server.kill9();
    for call in &mut calls {
        call.kill();
    }
    server.restart();
    for item in &before {
        let id = item["id"].as_str().expect("an id");
        let after = server.api().get(&format!("/work/{id}"));
        for field in [
            "queue",
            "caller",
            "call",
            "arrival",
            "entered",
            "class",
            "credit_ms",
        ] {
            assert_eq!(after[field], item[field], "{field} of {after}");
        }
        // Its audio died with the process: it is taken out with that reason, and counted.
        assert_eq!(after["state"], "failed", "{after}");
    }
    let queue = server.api().get("/queues/support");
    assert_eq!(queue["metrics"]["counters"]["failed"], 2);
    crate::queue::assert_sums(&queue);
    let records = server.wait_records(2);
    assert!(records.iter().all(|record| record["recovered"] == true));
}

#[test]
fn agent_states_and_the_record_of_a_broken_call_survive_kill_9() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    let mut server = Server::start(lab);
    server.agent_ready("1001");
    server.api().put(
        "/agents/1001/status",
        &json!({ "status": "not-ready", "reason": "lunch" }),
    );
    let carrier = Carrier::new(&server, 1, None);
    let mut call = carrier.calls(&server, "call-until-bye").start();
    let id = wait_for("the caller to wait", seconds(20.0), || {
        let queue = server.api().get("/queues/support");
        queue["items"]
            .get(0)
            .map(|item| item["id"].as_str().expect("an id").to_string())
    });
    server.kill9();
    call.kill();
    server.restart();
    let agent = server.api().get("/agents/1001");
    assert_eq!(
        (&agent["state"], &agent["reason"]),
        (&"not-ready".into(), &"lunch".into()),
        "{agent}"
    );
    let item = server.api().get(&format!("/work/{id}"));
    assert_eq!(
        item["id"],
        id.as_str(),
        "the item and its journey are still there"
    );
    let records = server.wait_records(1);
    assert_eq!(records[0]["recovered"], true, "{records:?}");
    server.kill9();
    server.restart();
    server.wait_records(1);
}
