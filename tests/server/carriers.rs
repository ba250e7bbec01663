//! Carriers at which the server registers, that are found by name, fail, challenge in a dialog, or are full for a moment.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

use serde_json::Value;

use crate::devices::Device;
use crate::support::dns::{Dns, Zone};
use crate::support::ear::Ear;
use crate::support::lab::{DID, Lab, TRUNK_PASSWORD, TRUNK_USER};
use crate::support::proof::proofs;
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{address, at, seconds, wait_for};

const OUTSIDE: &str = "+442079460123";
const PROFILE: &str = "sip-profiles/external.toml";

/// The lab with a name server of its own, which knows what `zone` says; the trunk is found by name.
fn named(lab: &mut Lab, zone: impl FnOnce(Zone) -> Zone) -> Dns {
    let server = address();
    lab.change(
        "strowger.toml",
        "time-zone ",
        &format!("name-servers = [\"{server}:5353\"]\ntime-zone "),
    );
    let proxy = format!("[\"sip:{}:5060\"]", lab.carrier);
    lab.change(PROFILE, &proxy, "[\"sip:carrier.test\"]");
    zone(Zone::default()).serve(at(server, 5353))
}

fn trunk(server: &Server) -> Value {
    server.api().list("/trunks").remove(0)
}

fn gateway(server: &Server, ip: Ipv4Addr) -> Value {
    let trunk = trunk(server);
    let list = trunk["gateways"].as_array().expect("a list").clone();
    let wanted = format!("{ip}:5060");
    list.into_iter()
        .find(|gateway| gateway["address"] == wanted.as_str())
        .unwrap_or_else(|| panic!("no gateway {wanted} in {trunk:#}"))
}

/// Waits until the name service has found all gateways.
fn wait_for_gateways(server: &Server, count: usize) {
    wait_for("the gateways to be found", seconds(10.0), || {
        let trunk = trunk(server);
        (trunk["gateways"].as_array().map(Vec::len) == Some(count)).then_some(())
    });
}

#[test]
fn a_trunk_registers_takes_calls_to_its_contact_and_takes_the_registration_back_when_it_stops() {
    let mut lab = Lab::new();
    let carrier = lab.carrier;
    let _dns = named(&mut lab, |zone| {
        zone.naptr("carrier.test", 10, "SIP+D2U", "_sip._udp.carrier.test")
            .srv("_sip._udp.carrier.test", 10, 10, 5060, "gw1.carrier.test")
            .address("gw1.carrier.test", carrier)
    });
    lab.change(
        PROFILE,
        &format!("from          = [\"{carrier}/32\"]\n"),
        "",
    );
    lab.change(
        PROFILE,
        "auth          = {",
        "register      = { contact-user = \"k7line\",",
    );
    lab.change("dialplans/inbound.toml", r#"{ play = "welcome" }, "#, "");
    let mut registrar = Sipp::new("registrar", at(carrier, 5060))
        .set("realm", "carrier.test")
        .set("edge", format!("{carrier}:5060"))
        .timeout(seconds(60.0))
        .start();
    let mut server = Server::start(lab);
    let state = wait_for("the registration", seconds(10.0), || {
        let trunk = trunk(&server);
        (trunk["registration"]["state"] == "registered").then_some(trunk)
    });
    assert_eq!(state["registration"]["aor"], "sip:lab-trunk@carrier.test");
    let seen = registrar.messages();
    let proofs = proofs(&seen);
    assert!(
        !proofs.is_empty()
            && proofs
                .iter()
                .all(|proof| proof.is_by(TRUNK_USER, TRUNK_PASSWORD)),
        "{proofs:?}"
    );
    assert!(seen.contains("Contact: <sip:k7line@"), "{seen}");
    assert!(
        String::from_utf8_lossy(&server.command(&["trunks"]).stdout).contains("yes, 9 min"),
        "the table says until when"
    );
    // A call to the contact comes from an address that no `from` names; the number stands in To.
    let socket = UdpSocket::bind((carrier, 7777)).expect("free");
    let invite = |user: &str| {
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 {carrier}\r\ns=-\r\nc=IN IP4 {carrier}\r\nt=0 0\r\nm=audio 7780 RTP/AVP 8\r\n"
        );
        let text = format!(
            "INVITE sip:{user}@{}:5080 SIP/2.0\r\nVia: SIP/2.0/UDP {carrier}:7777;branch=z9hG4bK{user}\r\nMax-Forwards: 70\r\n\
             From: <sip:+442079460999@carrier.test>;tag=1\r\nTo: <sip:{DID}@carrier.test>\r\nCall-ID: {user}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:{carrier}:7777>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            server.lab.server,
            body.len()
        );
        let to = server.lab.trunks();
        socket.send_to(text.as_bytes(), to).expect("sendable");
    };
    invite("stranger");
    let mut buffer = [0; 4096];
    socket
        .set_read_timeout(Some(seconds(5.0)))
        .expect("settable");
    let length = socket.recv(&mut buffer).expect("an answer");
    let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(answer.starts_with("SIP/2.0 403"), "{answer}");
    invite("k7line");
    let call = wait_for("the call", seconds(5.0), || {
        server.api().list("/calls").into_iter().next()
    });
    assert_eq!(
        (&call["to"]["number"], &call["from"]["trunk"]),
        (&DID.into(), &"carrier".into()),
        "{call:#}"
    );
    let id = call["id"].as_str().expect("an id").to_owned();
    server
        .api()
        .post(&format!("/calls/{id}/hangup"), &serde_json::json!({}));
    // SIGTERM: the carrier hears that we go before the process ends.
    server.process().signal("TERM");
    registrar.succeed();
}

#[test]
fn a_call_passes_over_a_silent_gateway_to_the_next_priority_of_the_name() {
    let mut lab = Lab::new();
    let (dead, well) = (lab.carrier, address());
    let _dns = named(&mut lab, |zone| {
        zone.srv("_sip._udp.carrier.test", 10, 10, 5060, "gw1.carrier.test")
            .srv("_sip._udp.carrier.test", 20, 10, 5060, "gw2.carrier.test")
            .address("gw1.carrier.test", dead)
            .address("gw2.carrier.test", well)
    });
    lab.change(
        PROFILE,
        "max-channels ",
        "answer-timeout = \"1s\"\nmax-channels ",
    );
    let silence = UdpSocket::bind((dead, 5060)).expect("free");
    let server = Server::start(lab);
    wait_for_gateways(&server, 2);
    let ann = Device::new("1001", None);
    let ear = Ear::open(well, None);
    let mut gateway_two = Sipp::new("trunk", at(well, 5060)).ear(&ear).start();
    let begin = Instant::now();
    ann.calls(&server, "call", OUTSIDE)
        .set("talk_ms", 200)
        .run();
    gateway_two.succeed();
    assert!(begin.elapsed() < seconds(8.0), "{:?}", begin.elapsed());
    let mut buffer = [0; 2048];
    let length = silence.recv(&mut buffer).expect("the INVITE");
    assert!(buffer[..length].starts_with(b"INVITE "));
    let ill = gateway(&server, dead);
    assert_eq!(
        (&ill["state"], &ill["why"], &ill["breaker"]),
        (
            &"down".into(),
            &"no answer to INVITE".into(),
            &"open".into()
        ),
        "{ill:#}"
    );
    assert_eq!(server.wait_records(1)[0]["outcome"], "answered");
}

#[test]
fn a_gateway_that_asks_for_rest_gets_it_and_the_next_one_gets_the_calls() {
    let mut lab = Lab::new();
    let (tired, well) = (lab.carrier, address());
    lab.change(
        PROFILE,
        &format!("[\"sip:{tired}:5060\"]"),
        &format!("[\"sip:{tired}:5060\", \"sip:{well}:5060\"]"),
    );
    let server = Server::start(lab);
    let ann = Device::new("1001", None);
    let ear = Ear::open(well, None);
    let mut first = Sipp::new("trunk-rests", at(tired, 5060)).start();
    let mut second = Sipp::new("trunk", at(well, 5060))
        .ear(&ear)
        .calls(2)
        .start();
    let call = || {
        ann.calls(&server, "call", OUTSIDE)
            .set("talk_ms", 200)
            .run();
    };
    call();
    first.succeed();
    let begin = Instant::now();
    call();
    // over a gateway that is gone it would have taken five seconds
    assert!(begin.elapsed() < seconds(4.0), "{:?}", begin.elapsed());
    second.succeed();
    let resting = gateway(&server, tired);
    assert_eq!(resting["breaker"], "open");
    assert_eq!(resting["why"], "503 to INVITE");
    server.wait_idle();
}

#[test]
fn a_carrier_that_challenges_the_bye_gets_its_proof() {
    let lab = Lab::new();
    let server = Server::start(lab);
    let ann = Device::new("1001", None);
    let ear = Ear::open(server.lab.carrier, None);
    let mut carrier = Sipp::new("trunk-asks-at-bye", at(server.lab.carrier, 5060))
        .ear(&ear)
        .start();
    ann.calls(&server, "call", OUTSIDE)
        .set("talk_ms", 200)
        .run();
    carrier.succeed();
    let proofs = proofs(&carrier.messages());
    assert_eq!(proofs.len(), 1);
    assert!(proofs[0].is_by(TRUNK_USER, TRUNK_PASSWORD), "{proofs:?}");
    server.wait_idle();
}

#[test]
fn a_call_over_the_cap_waits_for_a_channel() {
    let mut lab = Lab::new();
    lab.change(
        PROFILE,
        "max-channels  = 2",
        "max-channels  = 1\nwait          = \"10s\"",
    );
    let server = Server::start(lab);
    let (ann, bob) = (Device::new("1001", None), Device::new("1002", None));
    let ear = Ear::open(server.lab.carrier, None);
    let mut carrier = Sipp::new("trunk", at(server.lab.carrier, 5060))
        .ear(&ear)
        .calls(2)
        .start();
    let begin = Instant::now();
    let mut first = ann
        .calls(&server, "call", OUTSIDE)
        .set("talk_ms", 2000)
        .start();
    carrier.wait_for_message("200 OK", seconds(10.0));
    let mut second = bob
        .calls(&server, "call", OUTSIDE)
        .set("talk_ms", 100)
        .start();
    second.succeed();
    assert!(begin.elapsed() > seconds(1.9), "{:?}", begin.elapsed());
    first.succeed();
    carrier.succeed();
    server.wait_idle();
}
