//! What an agent, or a program for it, does through the API: decline with a reason, say what came of it, move who waits.

use serde_json::{Value, json};

use crate::devices::{Carrier, Device};
use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::{seconds, wait_for};

fn agent_in(server: &Server, extension: &str, state: &str) -> Value {
    wait_for(
        &format!("agent {extension} to be {state}"),
        seconds(20.0),
        || {
            let agent = server.api().get(&format!("/agents/{extension}"));
            (agent["state"] == state).then_some(agent)
        },
    )
}

fn lab(more: &str) -> Lab {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    lab.change("queues/support.toml", r#"max-waiting  = 10"#, more);
    lab
}

#[test]
fn a_decline_by_the_api_needs_its_reason_and_the_phone_stops_ringing() {
    let server = Server::start(lab(
        "decline-reason-required = true\ndecline-reasons = [\"lunch\"]",
    ));
    let desk = Device::registered(&server, "1001", None);
    server.agent_ready("1001");
    let mut ring = desk
        .sipp("ring-cancelled")
        .set("reason", "SIP|Q.850")
        .start();
    let carrier = Carrier::new(&server, 1, None);
    let mut call = carrier.calls(&server, "call").set("talk_ms", 4000).start();
    let agent = agent_in(&server, "1001", "alerting");
    let decline = format!(
        "/offers/{}/decline",
        agent["offer"].as_str().expect("an id")
    );
    for (body, code) in [
        (json!({}), "reason_required"),
        (json!({ "reason": "mood" }), "unknown_reason"),
    ] {
        let answer = server.api().try_post(&decline, &body);
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(answer.body["code"], code, "{answer:?}");
    }
    agent_in(&server, "1001", "alerting");
    for _ in 0..2 {
        // The same order twice is the same decline.
        let answer = server
            .api()
            .try_post(&decline, &json!({ "reason": "lunch" }));
        assert_eq!(answer.status, 204, "{answer:?}");
    }
    ring.succeed();
    let queue = server.api().get("/queues/support");
    assert_eq!(queue["items"].as_array().map(Vec::len), Some(1), "{queue}");
    assert_eq!(
        queue["metrics"]["counters"]["declined_by"],
        json!({ "lunch": 1 }),
        "{queue}"
    );
    call.succeed();
    server.wait_idle();
}

#[test]
fn a_disposition_by_the_api_ends_the_wrap_up_that_waits_for_it() {
    let server = Server::start(lab(
        "wrap-mode = \"until-disposition\"\ndispositions = [\"solved\", \"lost\"]",
    ));
    let desk = Device::registered(&server, "1001", None);
    let mut answer = desk
        .sipp("answer-then-bye")
        .set("ring_ms", 50)
        .set("talk_ms", 200)
        .start();
    server.agent_ready("1001");
    Carrier::new(&server, 1, None)
        .calls(&server, "call-until-bye")
        .run();
    answer.succeed();
    let agent = agent_in(&server, "1001", "wrap");
    assert_eq!(agent["wants_disposition"], true, "{agent}");
    let refused = server.api().try_put("/agents/1001/wrap", &json!({}));
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.body["code"], "disposition_required");
    let work = format!("/work/{}", agent["item"].as_str().expect("an id"));
    let path = format!("{work}/disposition");
    let unknown = server.api().try_put(&path, &json!({ "code": "mood" }));
    assert_eq!(unknown.status, 422, "{unknown:?}");
    let more = json!({ "extend-seconds": 30 });
    server.api().post("/agents/1001/wrap", &more);
    server.api().put(&path, &json!({ "code": "solved" }));
    agent_in(&server, "1001", "ready");
    assert_eq!(server.api().get(&work)["disposition"], "solved");
    let again = server.api().try_post("/agents/1001/wrap", &more);
    assert_eq!(again.status, 409, "{again:?}");
    server.wait_idle();
}

#[test]
fn who_waits_is_moved_to_the_front_by_the_api() {
    let server = Server::start(lab("max-waiting = 10"));
    let carriers = [1, 2].map(|line| Carrier::new(&server, line, None));
    let mut calls = Vec::new();
    let waiting = |count: usize| {
        wait_for(&format!("{count} to wait"), seconds(20.0), || {
            let queue = server.api().get("/queues/support");
            let items = queue["items"].as_array().cloned().unwrap_or_default();
            (items.len() == count).then_some(items)
        })
    };
    for (carrier, count) in carriers.iter().zip(1..) {
        calls.push(carrier.calls(&server, "call").set("talk_ms", 5000).start());
        waiting(count);
    }
    let ids = |items: &[Value]| -> Vec<Value> { items.iter().map(|i| i["id"].clone()).collect() };
    let before = ids(&waiting(2));
    let last = before[1].as_str().expect("an id");
    let path = format!("/work/{last}/priority");
    let moved = server
        .api()
        .put(&path, &json!({ "to": "front", "by": "1000" }));
    assert_eq!(moved["position"], 1, "{moved}");
    let after = ids(&waiting(2));
    assert_eq!(after, [before[1].clone(), before[0].clone()]);
    for mut call in calls {
        call.succeed();
    }
    let gone = server
        .api()
        .try_put(&path, &json!({ "to": { "class": 3 } }));
    assert_eq!(gone.status, 409, "{gone:?}");
    server.wait_idle();
}
