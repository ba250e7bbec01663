//! The carrier calls the number of the queue: welcome, music, the longest-idle agent on all devices, wrap-up, the next caller, an abandoned one.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::devices::{Carrier, Device};
use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::{pause, seconds, tone, wait_for};

fn queue(server: &Server) -> Value {
    server.api().get("/queues/support")
}

fn waiting(server: &Server, count: u64) -> Vec<Value> {
    wait_for(&format!("{count} callers to wait"), seconds(20.0), || {
        let queue = queue(server);
        let waiting = queue["items"].as_array().cloned().unwrap_or_default();
        (waiting.len() as u64 == count).then_some(waiting)
    })
}

fn agent_state(server: &Server, extension: &str, state: &str) -> Value {
    wait_for(
        &format!("agent {extension} to be {state}"),
        seconds(20.0),
        || {
            let agent = server.api().get(&format!("/agents/{extension}"));
            (agent["state"] == state).then_some(agent)
        },
    )
}

#[test]
fn a_caller_hears_the_welcome_then_music_then_the_agent() {
    let server = Server::start(Lab::new());
    let (desk, mobile) = (
        Device::registered(&server, "1001", Some(700.0)),
        Device::registered(&server, "1001", None),
    );
    let carrier = Carrier::new(&server, 1, Some(440.0));
    let mut call = carrier.calls(&server, "call").set("talk_ms", 9000).start();
    carrier.ear.follow(&call.actions());
    let begin = Instant::now();
    // The prompt is 2.4 s long; then music until an agent logs in.
    let caller = waiting(&server, 1).remove(0);
    pause(seconds(2.0));
    let music = carrier
        .ear
        .heard_between(Instant::now() - seconds(1.0), Instant::now());
    assert!(
        tone::listen(&music, tone::RATE_HZ, 440.0).active_seconds() > 0.5,
        "no music"
    );
    let welcome = carrier.ear.heard_between(begin, begin + seconds(2.5));
    assert!(
        tone::listen(&welcome, tone::RATE_HZ, 440.0).active_seconds() > 1.0,
        "no welcome"
    );

    let mut winner = desk
        .sipp("answer")
        .set("ring_ms", 500)
        .timeout(seconds(40.0))
        .start();
    let mut loser = mobile
        .sipp("ring-cancelled")
        .set("reason", "cause=200")
        .timeout(seconds(40.0))
        .start();
    desk.ear.follow(&winner.actions());
    server.agent_ready("1001");
    agent_state(&server, "1001", "talking");
    let bridged = Instant::now();
    call.succeed();
    winner.succeed();
    loser.succeed();
    carrier
        .ear
        .assert_heard_since("the customer", bridged + seconds(0.3), 700.0, 1.0);
    desk.ear
        .assert_heard_since("the agent", bridged + seconds(0.3), 440.0, 1.0);

    let record = server.wait_records(1).remove(0);
    assert_eq!(
        (&record["agent"], &record["queues"][0], &record["direction"]),
        (&"1001".into(), &"support".into(), &"inbound".into())
    );
    let id = caller["id"].as_str().expect("an id").to_string();
    let why = server.command(&["why", &id]);
    assert!(
        why.status.success() && String::from_utf8_lossy(&why.stdout).contains("1001"),
        "{why:?}"
    );
    server.wait_idle();
}

#[test]
fn the_longest_idle_agent_is_rung_first() {
    let server = Server::start(Lab::new());
    let (ann, ben) = (
        Device::registered(&server, "1001", None),
        Device::registered(&server, "1002", None),
    );
    // 1002 has been idle longer.
    server.agent_ready("1002");
    pause(seconds(1.0));
    server.agent_ready("1001");
    let never = ann.sipp("answer").set("ring_ms", 10).start();
    let mut answer = ben
        .sipp("answer")
        .set("ring_ms", 100)
        .timeout(seconds(30.0))
        .start();
    let carrier = Carrier::new(&server, 1, None);
    carrier.calls(&server, "call").set("talk_ms", 5000).run();
    answer.succeed();
    assert!(
        never.messages().is_empty(),
        "the agent who was idle for less was rung"
    );
    server.wait_idle();
}

#[test]
fn wrap_up_holds_the_agent_exactly_its_time_and_the_next_caller_is_served_then() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    let server = Server::start(lab);
    let desk = Device::registered(&server, "1001", None);
    let mut answers = desk
        .sipp("answer-then-bye")
        .set("ring_ms", 50)
        .set("talk_ms", 1500)
        .calls(2)
        .timeout(seconds(60.0))
        .start();
    let (first, second) = (
        Carrier::new(&server, 1, None),
        Carrier::new(&server, 2, None),
    );
    let mut one = first.calls(&server, "call-until-bye").start();
    waiting(&server, 1);
    let mut two = second.calls(&server, "call-until-bye").start();
    let line = waiting(&server, 2);
    assert!(line[0]["entered"].as_str() <= line[1]["entered"].as_str());
    server.agent_ready("1001");
    one.succeed();
    let agent = agent_state(&server, "1001", "wrap");
    let began = Instant::now();
    let until = agent["wrap_until"]
        .as_str()
        .expect("the end of the wrap-up")
        .to_string();
    assert!(!until.is_empty());
    wait_for("the second offer", seconds(10.0), || {
        (answers.messages().matches("INVITE sip:").count() >= 2).then_some(())
    });
    let held = began.elapsed();
    assert!(
        held > Duration::from_millis(2500) && held < Duration::from_millis(3500),
        "wrap-up of 3 s held the agent {held:?}"
    );
    two.succeed();
    answers.succeed();
    server.wait_records(2);
    server.wait_idle();
    assert_sums(&queue(&server));
}

#[test]
fn a_caller_who_hangs_up_while_the_agent_rings_leaves_no_leg() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    let server = Server::start(lab);
    let desk = Device::registered(&server, "1001", None);
    server.agent_ready("1001");
    let mut ring = desk
        .sipp("ring-cancelled")
        .set("reason", "SIP|Q.850")
        .start();
    let carrier = Carrier::new(&server, 1, None);
    // The caller is answered by the queue, so leaving is a BYE; the agent rings until then.
    carrier.calls(&server, "call").set("talk_ms", 1500).run();
    ring.succeed();
    server.wait_idle();
    agent_state(&server, "1001", "ready");
    let queue = queue(&server);
    assert_eq!(
        (
            &queue["metrics"]["counters"]["answered"],
            &queue["metrics"]["counters"]["abandoned"]
        ),
        (&0.into(), &1.into()),
        "{queue}"
    );
    assert_sums(&queue);
}

/// offered = answered + abandoned + flowed out + timed out + withdrawn + failed + waiting.
fn assert_sums(queue: &Value) {
    let metrics = &queue["metrics"];
    let of = |name: &str| {
        metrics["counters"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no `{name}` in {metrics}"))
    };
    let ended = of("answered")
        + of("abandoned")
        + of("flowed_out")
        + of("timed_out")
        + of("withdrawn")
        + of("failed");
    let live = queue["items"].as_array().map_or(0, Vec::len) as u64;
    assert_eq!(of("offered"), ended + live, "{metrics}");
    assert_eq!(metrics["identity_holds"], true);
}
