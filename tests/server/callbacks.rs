//! A caller from the carrier asks to be called back by a key, hangs up, and is called: over a kill -9, with real telephone-events and audio.

use std::time::Instant;

use serde_json::json;

use crate::devices::{Carrier, Device};
use crate::support::ear::Ear;
use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{at, pause, seconds, wait_for};

#[test]
fn a_caller_who_pressed_the_key_is_called_back_after_kill_9() {
    let mut lab = Lab::new();
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    lab.change(
        "queues/support.toml",
        "max-waiting  = 10\n",
        "max-waiting  = 10\ncallback     = { digit = \"1\" }\n",
    );
    let mut server = Server::start(lab);
    let carrier = Carrier::new(&server, 1, Some(440.0));
    let mut call = carrier.calls(&server, "call-until-bye").start();
    carrier.ear.follow(&call.actions());
    wait_for("the caller to wait", seconds(20.0), || {
        let queue = server.api().get("/queues/support");
        (queue["waiting"] == 1).then_some(())
    });
    pause(seconds(0.5));
    carrier.ear.press("1");
    // the prompt is heard to its end, then the server hangs up
    call.succeed();
    let promised = server.api().list("/callbacks");
    assert_eq!(promised.len(), 1, "{promised:?}");
    let number = promised[0]["callback"].as_str().expect("a number");
    assert!(number.starts_with("+49301234"), "{number}");
    server.kill9();
    server.restart();
    let restored = server.api().list("/callbacks");
    assert_eq!(
        (
            &restored[0]["id"],
            &restored[0]["position"],
            &restored[0]["arrival"]
        ),
        (&promised[0]["id"], &json!(1), &promised[0]["arrival"])
    );

    let desk = Device::registered(&server, "1001", Some(700.0));
    let ear = Ear::open(server.lab.carrier, Some(440.0));
    let mut customer = Sipp::new("trunk", at(server.lab.carrier, 5060))
        .ear(&ear)
        .timeout(seconds(60.0))
        .start();
    ear.follow(&customer.actions());
    let mut agent = desk
        .sipp("answer-then-bye")
        .set("ring_ms", 300)
        .set("talk_ms", 9000)
        .timeout(seconds(60.0))
        .start();
    desk.ear.follow(&agent.actions());
    server.agent_ready("1001");
    wait_for("the two to be connected", seconds(30.0), || {
        let list = server.api().list("/callbacks");
        (list.first()?["state"] == "connected").then_some(())
    });
    let bridged = Instant::now() + seconds(0.2);
    customer.succeed();
    agent.succeed();
    ear.assert_heard_since("the customer", bridged, 700.0, 0.5);
    desk.ear
        .assert_heard_since("the agent", bridged, 440.0, 0.5);
    assert!(
        agent.messages().contains("From: \"Callback +49301234"),
        "the agent's telephone shows what it is"
    );
    assert!(server.api().list("/callbacks").is_empty());
    let record = server.wait_records(2).remove(1);
    assert_eq!(
        (&record["agent"], &record["direction"], &record["queues"][0]),
        (&json!("1001"), &json!("outbound"), &json!("support"))
    );
    server.wait_idle();
}
