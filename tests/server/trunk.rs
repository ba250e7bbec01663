//! The carrier: calls out with digest, numbers as it writes them, whether it answers; what is not proved never reaches it.

use std::time::Instant;

use crate::devices::{Carrier, Device};
use crate::support::ear::Ear;
use crate::support::lab::{DOMAIN, Lab, TRUNK_PASSWORD, TRUNK_USER};
use crate::support::proof::proofs;
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{at, seconds, wait_for};

const OUTSIDE: &str = "+442079460123";

fn carrier(server: &Server, ear: &Ear) -> Sipp {
    Sipp::new("trunk", at(server.lab.carrier, 5060))
        .ear(ear)
        .timeout(seconds(30.0))
}

#[test]
fn an_extension_calls_out_with_digest_and_is_heard() {
    let server = Server::start(Lab::new());
    let ann = Device::new("1001", Some(440.0));
    let ear = Ear::open(server.lab.carrier, Some(700.0));
    let mut trunk = carrier(&server, &ear).start();
    ear.follow(&trunk.actions());
    let begin = Instant::now();
    let mut call = ann
        .calls(&server, "call", OUTSIDE)
        .set("talk_ms", 2000)
        .start();
    ann.ear.follow(&call.actions());
    call.succeed();
    trunk.succeed();
    ann.ear.assert_heard_since("the caller", begin, 700.0, 1.5);
    ear.assert_heard_since("the carrier", begin, 440.0, 1.5);
    let seen = trunk.messages();
    let proofs = proofs(&seen);
    assert!(
        !proofs.is_empty()
            && proofs
                .iter()
                .all(|proof| proof.is_by(TRUNK_USER, TRUNK_PASSWORD)),
        "{proofs:?}"
    );
    assert!(
        seen.contains(&format!("INVITE sip:{OUTSIDE}@")),
        "the number goes out as the carrier wants it"
    );
    // The caller's credentials and place are nobody's business outside.
    assert!(
        !seen.contains(&ann.address.to_string())
            && !seen.contains(&format!("username=\"{}\"", ann.extension))
            && !seen.contains(DOMAIN)
    );
    assert_eq!(server.wait_records(1)[0]["direction"], "outbound");
    server.wait_idle();
}

#[test]
fn nothing_unproved_reaches_the_trunk() {
    let server = Server::start(Lab::new());
    let ann = Device::new("1001", None);
    let ear = Ear::open(server.lab.carrier, None);
    let trunk = carrier(&server, &ear).start();
    ann.calls(&server, "wrong-password", OUTSIDE)
        .overriding("password", "guess")
        .run();
    assert!(!trunk.messages().contains("INVITE"), "{}", trunk.messages());
    server.wait_idle();
}

#[test]
fn a_stranger_at_the_trunk_port_gets_no_service() {
    let server = Server::start(Lab::new());
    let stranger = Device::new("0", None);
    let bob = Device::registered(&server, "1002", None);
    let never = bob.sipp("answer").set("ring_ms", 10).start();
    for callee in [crate::support::lab::DID, OUTSIDE, "1002"] {
        let mut call = stranger
            .sipp("call")
            .to(server.lab.trunks())
            .set("callee", callee)
            .set("talk_ms", 100)
            .timeout(seconds(3.0))
            .start();
        let served =
            crate::support::wait_for("the stranger to give up", seconds(20.0), || call.outcome());
        assert!(!served, "a stranger's call to {callee} was answered");
    }
    assert!(
        never.messages().is_empty(),
        "a stranger's call reached a phone"
    );
    server.wait_idle();
}

#[test]
fn the_channel_cap_holds() {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/external.toml",
        "max-channels  = 2",
        "max-channels  = 1",
    );
    let server = Server::start(lab);
    let (ann, bob) = (Device::new("1001", None), Device::new("1002", None));
    let ear = Ear::open(server.lab.carrier, None);
    let mut trunk = carrier(&server, &ear).start();
    let mut first = ann
        .calls(&server, "call", OUTSIDE)
        .set("talk_ms", 3000)
        .start();
    trunk.wait_for_message("200 OK", seconds(10.0));
    let mut second = bob
        .calls(&server, "call", OUTSIDE)
        .set("talk_ms", 100)
        .timeout(seconds(5.0))
        .start();
    let served =
        crate::support::wait_for("the second call to end", seconds(20.0), || second.outcome());
    assert!(
        !served,
        "a second call got through a trunk with one channel"
    );
    first.succeed();
    trunk.succeed();
    server.wait_idle();
}

#[test]
fn numbers_are_written_as_the_carrier_writes_them_in_both_directions() {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/external.toml",
        r#""+E164""#,
        r#""national:GB""#,
    );
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    let server = Server::start(lab);
    let ann = Device::new("1001", None);
    let ear = Ear::open(server.lab.carrier, None);
    let mut trunk = carrier(&server, &ear).start();
    ann.calls(&server, "call", OUTSIDE)
        .set("talk_ms", 200)
        .run();
    trunk.succeed();
    assert!(
        trunk.messages().contains("INVITE sip:02079460123@"),
        "{}",
        trunk.messages()
    );
    // 020 7183 8750 from the carrier is the number of the rule, +44 20 7183 8750; its caller is known in full.
    let inbound = Carrier::new(&server, 1, None);
    inbound
        .calls(&server, "call")
        .overriding("callee", "02071838750")
        .overriding("caller", "02079460999")
        .set("talk_ms", 300)
        .run();
    let records = server.wait_records(2);
    assert_eq!(
        (
            &records[1]["from"]["number"],
            &records[1]["to"]["number"],
            &records[1]["queues"][0]
        ),
        (
            &"+442079460999".into(),
            &"+442071838750".into(),
            &"support".into()
        ),
        "{records:#?}"
    );
    server.wait_idle();
}

#[test]
fn a_gateway_that_answers_options_is_up_and_one_that_says_503_is_down() {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/external.toml",
        r#"options-ping  = "off""#,
        r#"options-ping  = "5s""#,
    );
    let carrier = at(lab.carrier, 5060);
    let gateway = |status: u16, reason: &str| {
        Sipp::new("options", carrier)
            .set("status", status)
            .set("reason", reason)
            .calls(1)
            .start()
    };
    let mut well = gateway(200, "OK");
    let server = Server::start(lab);
    let becomes = |state: &str| {
        wait_for(&format!("the trunk to be {state}"), seconds(15.0), || {
            let trunk = server.api().list("/trunks").remove(0);
            (trunk["state"] == state).then_some(trunk)
        })
    };
    let up = becomes("up");
    assert!(up["ping_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{up}");
    well.succeed();
    let mut ill = gateway(503, "Service Unavailable");
    becomes("down");
    ill.succeed();
    assert!(
        server
            .log()
            .contains("trunk carrier is down: 503 to OPTIONS"),
        "the log names the trunk and the reason"
    );
    let mut again = gateway(404, "Not Found");
    becomes("up");
    again.succeed();
}

#[test]
fn a_reload_that_adds_a_trunk_goes_on_asking_the_old_one() {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/external.toml",
        r#"options-ping  = "off""#,
        r#"options-ping  = "5s""#,
    );
    let (gateway, other) = (at(lab.carrier, 5060), lab.server);
    let ask = |calls| {
        Sipp::new("options", gateway)
            .set("status", 200)
            .set("reason", "OK")
            .calls(calls)
            .start()
    };
    let mut asked = ask(1);
    let server = Server::start(lab);
    asked.succeed();
    // The new trunk stands before the old one.
    let file = server.path("sip-profiles/external.toml");
    let text = std::fs::read_to_string(&file).expect("readable").replace(
        "[[trunk]]",
        &format!(
            "[[trunk]]\nname = \"another\"\nproxy = [\"sip:{other}:5099\"]\nfrom = [\"{other}\"]\noptions-ping = \"off\"\n\n[[trunk]]"
        ),
    );
    std::fs::write(&file, text).expect("writable");
    server.api().post("/reload", &serde_json::json!({}));
    assert_eq!(server.api().list("/trunks").len(), 2);
    let mut asked = ask(2);
    asked.succeed();
    let trunks = server.api().list("/trunks");
    assert_eq!(
        (&trunks[0]["state"], &trunks[1]["state"]),
        (&"unknown".into(), &"up".into()),
        "{trunks:?}"
    );
}

#[test]
fn a_carrier_that_takes_no_proof_is_given_up_and_its_challenge_stays_with_us() {
    let server = Server::start(Lab::new());
    let ann = Device::new("1001", None);
    let ear = Ear::open(server.lab.carrier, None);
    let mut trunk = Sipp::new("trunk-refuses", at(server.lab.carrier, 5060))
        .ear(&ear)
        .timeout(seconds(30.0))
        .start();
    // What the carrier asked of us is nothing that the caller could answer.
    ann.calls(&server, "refused", OUTSIDE)
        .set("status", 503)
        .run();
    trunk.succeed();
    assert!(
        server
            .log()
            .contains("trunk carrier refuses the credentials of `lab-trunk`"),
        "the operator is told"
    );
    assert_eq!(proofs(&trunk.messages()).len(), 1, "proved once");
    assert_eq!(server.wait_records(1)[0]["outcome"], "failed");
    server.wait_idle();
}
