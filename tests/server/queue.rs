//! The carrier calls the number of the queue: welcome, music, the longest-idle agent on all devices, wrap-up, the next caller, an abandoned one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

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

/// A time as the API writes it, since 1970.
fn moment(value: &Value) -> Duration {
    let text = value.as_str().expect("a time");
    let at: jiff::Timestamp = text.parse().expect("a time as RFC 3339 has it");
    at.duration_since(jiff::Timestamp::UNIX_EPOCH)
        .unsigned_abs()
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
fn round_robin_goes_on_after_the_agent_who_was_offered_last() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    lab.change("queues/support.toml", "longest-idle", "round-robin");
    lab.change(
        "queues/support.toml",
        r#"wrap-up      = "3s""#,
        r#"wrap-up      = "0s""#,
    );
    let server = Server::start(lab);
    let desks = ["1001", "1002"].map(|extension| Device::registered(&server, extension, None));
    let mut answers = desks.each_ref().map(|desk| {
        desk.sipp("answer-then-bye")
            .set("ring_ms", 50)
            .set("talk_ms", 200)
            .calls(2)
            .timeout(seconds(60.0))
            .start()
    });
    server.agent_ready("1001");
    server.agent_ready("1002");
    let carrier = Carrier::new(&server, 1, None);
    let mut served = Vec::new();
    for turn in 0..4 {
        carrier.calls(&server, "call-until-bye").run();
        let record = server.wait_records(turn + 1).remove(turn);
        let agent = record["agent"].as_str().expect("an agent").to_string();
        agent_state(&server, &agent, "ready");
        // The other one is idle for less time than this one from now on, which must not matter.
        let other = if agent == "1001" { "1002" } else { "1001" };
        for status in ["not-ready", "ready"] {
            server.api().put(
                &format!("/agents/{other}/status"),
                &json!({ "status": status }),
            );
        }
        served.push(agent);
    }
    assert_eq!(served, ["1001", "1002", "1001", "1002"]);
    for answer in &mut answers {
        answer.succeed();
    }
    assert_sums(&queue(&server));
}

#[test]
fn ring_all_rings_every_agent_and_the_first_to_answer_wins() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    lab.change("queues/support.toml", "longest-idle", "ring-all");
    let server = Server::start(lab);
    let (ann, ben) = (
        Device::registered(&server, "1001", None),
        Device::registered(&server, "1002", None),
    );
    server.agent_ready("1001");
    server.agent_ready("1002");
    let mut loser = ann
        .sipp("ring-cancelled")
        .set("reason", "cause=200")
        .start();
    let mut winner = ben
        .sipp("answer-then-bye")
        .set("ring_ms", 800)
        .set("talk_ms", 300)
        .start();
    let carrier = Carrier::new(&server, 1, None);
    carrier.calls(&server, "call-until-bye").run();
    winner.succeed();
    loser.succeed();
    agent_state(&server, "1001", "ready");
    agent_state(&server, "1002", "wrap");
    assert_eq!(server.wait_records(1)[0]["agent"], "1002");
    let queue = queue(&server);
    let results = &queue["metrics"]["counters"]["offer_results"];
    assert_eq!(
        (
            &results["answered"],
            &results["cancelled"],
            &results["rona"]
        ),
        (&1.into(), &1.into(), &0.into()),
        "the one who was slower has not failed to answer"
    );
    assert_sums(&queue);
    server.wait_idle();
}

#[test]
fn an_agent_who_lets_it_ring_is_passed_over_and_the_caller_keeps_the_place() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    lab.change("queues/support.toml", r#""8s""#, r#""2s""#);
    let server = Server::start(lab);
    let (ann, ben) = (
        Device::registered(&server, "1001", None),
        Device::registered(&server, "1002", None),
    );
    server.agent_ready("1001");
    pause(seconds(0.3));
    let mut deaf = ann
        .sipp("ring-cancelled")
        .set("reason", "SIP|Q.850")
        .start();
    let mut answer = ben
        .sipp("answer-then-bye")
        .set("ring_ms", 50)
        .set("talk_ms", 300)
        .start();
    server.agent_ready("1002");
    let carrier = Carrier::new(&server, 1, None);
    let mut call = carrier.calls(&server, "call-until-bye").start();
    let waits = waiting(&server, 1).remove(0);
    call.succeed();
    deaf.succeed();
    answer.succeed();
    assert!(!deaf.messages().contains("cause=200"));
    let id = waits["id"].as_str().expect("an id");
    let journey = server.api().get(&format!("/work/{id}"))["journey"].clone();
    let entered = journey
        .as_array()
        .expect("a journey")
        .iter()
        .filter(|entry| entry["what"] == "entered")
        .count();
    assert_eq!(entered, 1, "the place was kept: {journey}");
    let queue = queue(&server);
    let results = &queue["metrics"]["counters"]["offer_results"];
    assert_eq!(
        (&results["rona"], &results["answered"]),
        (&1.into(), &1.into())
    );
    // Each step has its reason: the first decision names both and why the second came after.
    let why = server.command(&["why", id]);
    let text = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.status.success(), "{why:?}");
    for part in [
        "the call entered",
        "Chosen: 1001.",
        "the call is back in its place, because the agent who was rung did not take it",
        "Chosen: 1002.",
    ] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    assert_sums(&queue);
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
    assert_eq!(
        (&line[0]["position"], &line[1]["position"]),
        (&1.into(), &2.into())
    );
    server.agent_ready("1001");
    let until = agent_state(&server, "1001", "wrap")["wrap_until"].clone();
    assert_eq!(
        waiting(&server, 1)[0]["id"],
        line[1]["id"],
        "the one who came second waits on"
    );
    one.succeed();
    two.succeed();
    answers.succeed();
    let records = server.wait_records(2);
    assert_eq!(
        (&records[0]["from"]["number"], &records[1]["from"]["number"]),
        (&"+493012347010".into(), &"+493012347020".into()),
        "served in the order in which they came"
    );
    // by the server's own times: how late this test looks says nothing about the wrap-up
    let ended = moment(&records[0]["ended_at"]);
    let told = (moment(&until) - ended).as_millis();
    // times are written in milliseconds
    assert!(
        (2999..=3001).contains(&told),
        "told to be over after {told} ms"
    );
    let rung = records[1]["legs"].as_array().expect("legs");
    let rung = rung.iter().find(|leg| leg["role"] == "agent");
    let rung = moment(&rung.expect("the agent's leg")["started_at"]);
    let held = rung - ended;
    assert!(
        held >= seconds(2.999) && held < seconds(3.5),
        "wrap-up of 3 s held the agent {held:?}"
    );
    let second = line[1]["id"].as_str().expect("an id");
    let why = server.command(&["why", second]);
    let text = String::from_utf8_lossy(&why.stdout).into_owned();
    for part in [
        "the call entered",
        "Chosen: nobody.",
        "an agent became free",
        "Chosen: 1001.",
    ] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    server.wait_idle();
    assert_sums(&queue(&server));
}

#[test]
fn an_agent_who_ends_the_wrap_up_is_free_at_once() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    lab.change("queues/support.toml", r#""3s""#, r#""60s""#);
    let server = Server::start(lab);
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
    agent_state(&server, "1001", "wrap");
    server
        .api()
        .put("/agents/1001/wrap", &json!({ "wrap": "end" }));
    agent_state(&server, "1001", "ready");
    server.wait_idle();
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
    let mut call = carrier.calls(&server, "call").set("talk_ms", 1500).start();
    let caller = waiting(&server, 1).remove(0);
    call.succeed();
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
    let why = server.command(&["why", caller["id"].as_str().expect("an id")]);
    let text = String::from_utf8_lossy(&why.stdout).into_owned();
    for part in ["waits no more: it hung up", "Chosen: 1001."] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
}

#[test]
fn an_overflow_takes_the_caller_out_and_is_counted_with_its_reason() {
    let mut lab = Lab::new();
    lab.change(
        "dialplans/inbound.toml",
        r#"{ play = "welcome" }, { queue = "support" }"#,
        r#"{ queue = "support" }"#,
    );
    lab.change(
        "queues/support.toml",
        "max-waiting  = 10\n",
        "max-waiting  = 10\noverflow     = [ { when = \"waited 2s\", do = [ { dial = \"1003\", timeout = \"5s\" } ] } ]\n",
    );
    let server = Server::start(lab);
    let other = Device::registered(&server, "1003", None);
    let mut answer = other
        .sipp("answer-then-bye")
        .set("ring_ms", 50)
        .set("talk_ms", 300)
        .start();
    let carrier = Carrier::new(&server, 1, None);
    let mut call = carrier.calls(&server, "call-until-bye").start();
    let caller = waiting(&server, 1).remove(0);
    let began = Instant::now();
    answer.wait_for_message("INVITE sip:", seconds(10.0));
    assert!(
        began.elapsed() > Duration::from_millis(1500),
        "taken out after {:?}",
        began.elapsed()
    );
    call.succeed();
    answer.succeed();
    let queue = queue(&server);
    assert_eq!(queue["metrics"]["counters"]["flowed_out"], 1, "{queue}");
    assert_sums(&queue);
    let why = server.command(&["why", caller["id"].as_str().expect("an id")]);
    let text = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(
        text.contains("it left the queue by one of its rules"),
        "{text}"
    );
    server.wait_idle();
}

/// O = A + B + F + T + W + Q₀; what failed is part of what was withdrawn.
pub fn assert_sums(queue: &Value) {
    let metrics = &queue["metrics"];
    let of = |name: &str| {
        metrics["counters"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no `{name}` in {metrics}"))
    };
    let ended =
        of("answered") + of("abandoned") + of("flowed_out") + of("timed_out") + of("withdrawn");
    let live = queue["items"].as_array().map_or(0, Vec::len) as u64;
    assert_eq!(of("offered"), ended + live, "{metrics}");
    assert_eq!(metrics["identity_holds"], true);
}
