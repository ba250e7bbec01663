//! What the dialplan does, asked by telephone: menus by keys, groups at once and in series, variables, hours, the agents' codes, the time.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::devices::Device;
use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::{seconds, wait_for};

/// The lab with these rules before its own.
fn lab(rules: &str) -> Lab {
    let mut lab = Lab::new();
    lab.change(
        "dialplans/internal.toml",
        "context = \"internal\"\n",
        &format!("context = \"internal\"\n{rules}"),
    );
    lab
}

/// The lab whose extensions reach everything below `more`, which is appended.
fn lab_with(rules: &str, more: &str) -> Lab {
    let mut lab = lab(rules);
    lab.change(
        "dialplans/internal.toml",
        "do     = [ { dial = \"+{number}\", timeout = \"20s\" } ]\n",
        &format!("do     = [ {{ dial = \"+{{number}}\", timeout = \"20s\" }} ]\n{more}"),
    );
    lab
}

const MENU: &str = r#"
[menu.main]
prompt  = "main-menu"
timeout = "2s"
retries = 1
"1"     = [ { dial = "1002", timeout = "5s" } ]
"2"     = [ { dial = "1003", timeout = "5s" } ]
none    = [ { hangup = "no-answer" } ]
"#;

const TO_MENU: &str = "[[rule]]\nnumber = \"300\"\ndo = [ { menu = \"main\" } ]\n";

#[test]
fn a_key_pressed_during_the_prompt_chooses_who_rings() {
    let server = Server::start(lab_with(TO_MENU, MENU));
    let (ann, one, two) = (
        Device::new("1001", Some(440.0)),
        Device::registered(&server, "1002", None),
        Device::registered(&server, "1003", Some(700.0)),
    );
    let never = one.sipp("answer").set("ring_ms", 10).start();
    let mut chosen = two.sipp("answer").set("ring_ms", 100).start();
    two.ear.follow(&chosen.actions());
    let mut call = ann
        .calls(&server, "call", "300")
        .set("talk_ms", 5000)
        .start();
    ann.ear.follow(&call.actions());
    wait_for("the prompt to begin", seconds(10.0), || {
        (ann.ear.received() > 25).then_some(())
    });
    ann.ear.press("2");
    chosen.wait_for_message("ACK sip:", seconds(5.0));
    let bridged = Instant::now();
    call.succeed();
    chosen.succeed();
    assert!(never.messages().is_empty(), "the other choice was rung");
    ann.ear
        .assert_heard_since("the caller", bridged + seconds(0.3), 700.0, 1.0);
    two.ear
        .assert_heard_since("the chosen", bridged + seconds(0.3), 440.0, 1.0);
    server.wait_idle();
}

#[test]
fn a_caller_who_presses_nothing_hears_the_menu_again_and_is_let_go() {
    let server = Server::start(lab_with(TO_MENU, MENU));
    let ann = Device::new("1001", Some(440.0));
    let mut call = ann
        .calls(&server, "call-until-bye", "300")
        .timeout(seconds(40.0))
        .start();
    ann.ear.follow(&call.actions());
    // A wrong key asks again as well.
    wait_for("the prompt to begin", seconds(10.0), || {
        (ann.ear.received() > 25).then_some(())
    });
    ann.ear.press("9");
    call.succeed();
    server.wait_idle();
}

#[test]
fn a_group_rings_all_its_phones_and_the_first_to_answer_wins() {
    let server = Server::start(lab_with(
        "[[rule]]\nnumber = \"100\"\ndo = [ { dial = \"desk\", timeout = \"8s\" } ]\n",
        "\n[group.desk]\nextensions = [\"1002\", \"1003\"]\n",
    ));
    let (ann, one, two) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
        Device::registered(&server, "1003", None),
    );
    let mut loser = one
        .sipp("ring-cancelled")
        .set("reason", "cause=200")
        .start();
    let mut winner = two.sipp("answer").set("ring_ms", 500).start();
    ann.calls(&server, "call", "100").set("talk_ms", 300).run();
    winner.succeed();
    loser.succeed();
    server.wait_idle();
}

#[test]
fn a_serial_dial_rings_one_after_the_other() {
    let server = Server::start(lab(
        "[[rule]]\nnumber = \"100\"\ndo = [ { dial = [\"1002\", \"1003\"], mode = \"serial\", timeout = \"2s\" } ]\n",
    ));
    let (ann, one, two) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
        Device::registered(&server, "1003", None),
    );
    let mut first = one
        .sipp("ring-cancelled")
        .set("reason", "SIP|Q.850")
        .start();
    let mut second = two.sipp("answer").set("ring_ms", 100).start();
    let mut call = ann
        .calls(&server, "call", "100")
        .set("talk_ms", 300)
        .start();
    first.wait_for_message("INVITE sip:", seconds(5.0));
    let rung = Instant::now();
    assert!(
        !second.messages().contains("INVITE sip:"),
        "both were rung at once"
    );
    second.wait_for_message("INVITE sip:", seconds(5.0));
    assert!(
        rung.elapsed() > Duration::from_millis(1500),
        "the first rang for {:?} of 2 s",
        rung.elapsed()
    );
    call.succeed();
    first.succeed();
    second.succeed();
    assert!(
        !first.messages().contains("cause=200"),
        "nobody had answered elsewhere when the first was given up"
    );
    server.wait_idle();
}

#[test]
fn variables_set_by_a_rule_go_with_the_call_to_another() {
    let server = Server::start(lab(
        "[[rule]]\nnumber = \"4{short:1}\"\ndo = [ { set = { whom = \"100{short}\" } }, { goto = \"internal\", number = \"{whom}\" } ]\n",
    ));
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    ann.calls(&server, "call", "42").set("talk_ms", 200).run();
    answer.succeed();
    server.wait_idle();
}

#[test]
fn a_holiday_closes_and_an_hour_opens() {
    let server = Server::start(lab_with(
        "[[rule]]\nnumber = \"501\"\nhours = \"always\"\ndo = [ { dial = \"1002\" } ]\nclosed = [ { hangup = \"gone\" } ]\n\
         [[rule]]\nnumber = \"502\"\nhours = \"holiday\"\ndo = [ { dial = \"1002\" } ]\nclosed = [ { hangup = \"gone\" } ]\n",
        "\n[hours.always]\nzone = \"Pacific/Auckland\"\nopen = [\"mon-sun 00:00-24:00\"]\n\
         [hours.holiday]\nopen = [\"mon-sun 00:00-24:00\"]\nclosed = [\"2020-01-01..2099-12-31\"]\n",
    ));
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    ann.calls(&server, "refused", "502")
        .set("status", 410)
        .run();
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    ann.calls(&server, "call", "501").set("talk_ms", 200).run();
    answer.succeed();
    server.wait_idle();
}

const CODES: &str = r#"
[[rule]]
number = "*45"
do     = [ { feature = "queue-login", refused = [ { hangup = "forbidden" } ] }, { play = "agent-logged-in" } ]
[[rule]]
number = "*46"
do     = [ { feature = "queue-logout", refused = [ { hangup = "forbidden" } ] }, { play = "agent-logged-out" } ]
[[rule]]
number = "*47"
do     = [ { feature = "ready", refused = [ { hangup = "forbidden" } ] }, { play = "ready" } ]
[[rule]]
number = "*48"
do     = [ { feature = "not-ready", reason = "break", refused = [ { hangup = "forbidden" } ] }, { play = "not-ready" } ]
[[rule]]
number = "*60"
do     = [ { feature = "time" } ]
"#;

#[test]
fn agents_log_in_and_out_and_are_ready_and_not_ready_by_code() {
    let server = Server::start(lab(CODES));
    let ann = Device::new("1001", None);
    let after = |code: &str| -> Value {
        ann.calls(&server, "call-until-bye", code).run();
        server.api().get("/agents/1001")
    };
    assert_eq!(
        server.api().get("/agents/1001")["logged_in"],
        Value::Null,
        "logged out at first"
    );
    assert_ne!(after("*45")["logged_in"], Value::Null);
    assert_eq!(after("*47")["state"], "ready");
    let resting = after("*48");
    assert_eq!(
        (&resting["state"], &resting["reason"]),
        (&"not-ready".into(), &"break".into())
    );
    assert_eq!(after("*46")["logged_in"], Value::Null);
    server.wait_idle();
}

#[test]
fn one_who_serves_no_queue_cannot_log_in_by_code() {
    let server = Server::start(lab(CODES));
    let stranger = Device::new("1003", None);
    stranger
        .calls(&server, "call-until-bye", "*45")
        .timeout(seconds(10.0))
        .run();
    assert_eq!(server.api().try_get("/api/v1/agents/1003").status, 404);
    server.wait_idle();
}

#[test]
fn the_time_is_spoken() {
    let server = Server::start(lab(CODES));
    let ann = Device::new("1001", Some(440.0));
    let begin = Instant::now();
    let mut call = ann
        .calls(&server, "call-until-bye", "*60")
        .timeout(seconds(30.0))
        .start();
    ann.ear.follow(&call.actions());
    call.succeed();
    let heard = ann.ear.heard_between(begin, Instant::now());
    let spoken = crate::support::tone::listen(&heard, crate::support::tone::RATE_HZ, 440.0);
    assert!(spoken.active_seconds() > 0.8, "{spoken:?}");
    assert!(
        !server.log().contains("cannot play"),
        "a prompt is missing: {}",
        server.log()
    );
    server.wait_idle();
}
