//! What the server shows of its work: ladders, capture files, copies for a capture server, metrics, bans.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::devices::{Carrier, Device};
use crate::support::lab::{Lab, password};
use crate::support::server::Server;
use crate::support::{address, at, seconds, wait_for};

/// `leg 0 in INVITE SDP` and so on; media and remarks have no direction.
fn lines(ladder: &Value) -> Vec<String> {
    let entries = ladder["entries"].as_array().expect("entries");
    entries
        .iter()
        .map(|e| {
            let leg = e["leg"].as_u64().map_or("-".to_string(), |l| l.to_string());
            let direction = e["direction"].as_str().unwrap_or("-");
            format!("{leg} {direction} {}", e["what"].as_str().expect("what"))
        })
        .collect()
}

/// Every one of `wanted` is there, in this order.
#[track_caller]
fn assert_in_order(lines: &[String], wanted: &[&str]) {
    let mut rest = lines.iter();
    for want in wanted {
        assert!(
            rest.any(|line| line.starts_with(want)),
            "`{want}` is missing, or too early, in {lines:#?}"
        );
    }
}

#[test]
fn a_queued_call_has_a_ladder_of_all_legs_while_it_is_up_and_afterwards() {
    let server = Server::start(Lab::new());
    let agent = Device::registered(&server, "1001", None);
    server.agent_ready("1001");
    let mut answer = agent
        .sipp("answer")
        .set("ring_ms", 100)
        .timeout(seconds(40.0))
        .start();
    let carrier = Carrier::new(&server, 1, Some(700.0));
    let mut call = carrier.calls(&server, "call").set("talk_ms", 4000).start();
    let id = wait_for("the call to be with the agent", seconds(20.0), || {
        let calls = server.api().list("/calls");
        let call = calls.iter().find(|call| call["state"] == "bridged")?;
        call["id"].as_str().map(str::to_string)
    });
    let during = server.api().get(&format!("/calls/{id}/ladder"));
    call.succeed();
    answer.succeed();
    server.wait_records(1);
    let after = server.api().get(&format!("/calls/{id}/ladder"));
    let roles: Vec<&Value> = after["legs"]
        .as_array()
        .expect("legs")
        .iter()
        .map(|leg| &leg["role"])
        .collect();
    assert_eq!(roles, ["caller", "agent"]);
    assert_eq!(
        (&during["complete"], &after["complete"]),
        (&json!(true), &json!(true))
    );
    let begin = [
        "0 in INVITE SDP",
        "0 out 200 OK SDP",
        "0 in ACK",
        "- - queue support, place 1",
        "- - agent offer to 1001",
        "1 out INVITE SDP",
        "1 in 180 Ringing",
        "1 in 200 OK SDP",
        "1 out ACK",
    ];
    assert_in_order(&lines(&during), &begin);
    assert_in_order(&lines(&after), &begin);
    assert_in_order(
        &lines(&after),
        &["1 out ACK", "0 in BYE", "1 out BYE", "1 in 200 OK (BYE)"],
    );
    for media in [
        "0 - opened at",
        "0 - agreed",
        "1 - opened at",
        "1 - agreed",
        "0 - first packet, from",
        "0 - closed",
    ] {
        assert_in_order(&lines(&after), &[media]);
    }
    // no other call's
    assert_eq!(
        lines(&after)
            .iter()
            .filter(|l| *l == "0 in INVITE SDP")
            .count(),
        1
    );

    let shown = server.command(&["calls", &id, "--ladder"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{shown:?}");
    for part in [
        "leg 1: caller",
        "leg 2: agent 1001",
        "─ INVITE SDP ─",
        "* queue support",
    ] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
    let unknown = server
        .api()
        .try_get("/api/v1/calls/01J9Z3ZZZZZZZZZZZZZZZZZZZZ/ladder");
    assert_eq!(unknown.status, 404);
}

#[test]
fn the_capture_file_of_a_call_is_read_by_tcpdump_and_holds_no_proof_of_a_password() {
    let server = Server::start(Lab::new());
    let (ann, bob) = (
        Device::new("1001", None),
        Device::registered(&server, "1002", None),
    );
    let mut answer = bob.sipp("answer").set("ring_ms", 50).start();
    ann.calls(&server, "call", "1002").set("talk_ms", 200).run();
    answer.succeed();
    let record = server.wait_records(1).remove(0);
    let id = record["id"].as_str().expect("an id");
    let file = server.path("call.pcap");
    let name = file.display().to_string();
    let wrote = server.command(&["calls", id, "--pcap", &name]);
    assert!(wrote.status.success(), "{wrote:?}");
    let read = Command::new("tcpdump")
        .args(["-nn", "-A", "-r", &name])
        .output()
        .expect("tcpdump (scripts/test-deps.sh)");
    let text = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(read.status.success(), "{read:?}");
    let from = format!("IP {}.5060 > {}.5060", ann.address, server.lab.server);
    let to = format!("IP {}.5060 > {}.5060", server.lab.server, bob.address);
    assert!(text.contains(&from) && text.contains(&to), "{text}");
    assert!(
        !text.contains("bad") && !text.contains("truncated"),
        "{text}"
    );
    // challenged, proved, and the proof is not in it
    assert!(text.contains("Proxy-Authenticate: Digest"), "{text}");
    assert!(
        text.contains("Authorization: Digest username=\"1001\""),
        "{text}"
    );
    assert!(!text.contains("response="), "{text}");
}

/// The chunks of a HEP3 packet by type, read from the description of the protocol alone.
fn chunks(packet: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    assert_eq!(&packet[..4], b"HEP3");
    let number = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    assert_eq!(number(4), packet.len());
    let (mut at, mut found) = (6, BTreeMap::new());
    while at < packet.len() {
        let length = number(at + 4);
        found.insert(number(at + 2) as u16, packet[at + 6..at + length].to_vec());
        at += length;
    }
    found
}

#[test]
fn a_capture_server_gets_a_copy_of_every_message() {
    let capture = UdpSocket::bind((address(), 9060)).expect("an address");
    capture
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let mut lab = Lab::new();
    let to = capture.local_addr().expect("bound");
    lab.change(
        "strowger.toml",
        "[server]",
        &format!("[hep]\nserver = \"udp:{to}\"\ncapture-id = 77\npassword = \"hush\"\n\n[server]"),
    );
    let server = Server::start(lab);
    let phone = Device::registered(&server, "1002", None);
    let mut seen = Vec::new();
    let mut buffer = [0; 65_536];
    while let Ok(length) = capture.recv(&mut buffer) {
        let chunks = chunks(&buffer[..length]);
        assert_eq!(chunks[&12], 77u32.to_be_bytes());
        assert_eq!(chunks[&14], b"hush");
        let text = String::from_utf8_lossy(&chunks[&15]).into_owned();
        assert!(!text.contains("response="), "{text}");
        let own = |ip: &[u8]| ip == server.lab.server.octets();
        let line = text.lines().next().unwrap_or_default().to_string();
        seen.push((own(&chunks[&3]), own(&chunks[&4]), line));
    }
    let seen: Vec<(bool, bool, &str)> = seen.iter().map(|(a, b, c)| (*a, *b, &**c)).collect();
    let asked = seen[0].2;
    assert!(asked.starts_with("REGISTER sip:"), "{asked}");
    assert_eq!(
        seen,
        [
            (false, true, asked),
            (true, false, "SIP/2.0 401 Unauthorized"),
            (false, true, asked),
            (true, false, "SIP/2.0 200 OK"),
        ]
    );
    drop(phone);
}

#[test]
fn metrics_count_messages_calls_trunks_and_queues() {
    let server = Server::start(Lab::new());
    let agent = Device::registered(&server, "1001", None);
    server.agent_ready("1001");
    let mut answer = agent
        .sipp("answer")
        .set("ring_ms", 50)
        .timeout(seconds(40.0))
        .start();
    let carrier = Carrier::new(&server, 1, None);
    carrier.calls(&server, "call").set("talk_ms", 3000).run();
    answer.succeed();
    server.wait_records(1);
    let page = server.api().try_get("/metrics").text;
    for line in [
        r#"strowger_sip_requests_total{profile="internal",direction="in",method="REGISTER"} 2"#,
        r#"strowger_sip_responses_total{profile="internal",direction="out",class="4xx"} 1"#,
        r#"strowger_sip_requests_total{profile="external",direction="in",method="INVITE"} 1"#,
        r#"strowger_sip_requests_total{profile="external",direction="in",method="BYE"} 1"#,
        r#"strowger_calls_ended_total{direction="inbound",outcome="answered"} 1"#,
        r#"strowger_call_setup_seconds_count{direction="inbound"} 1"#,
        r#"strowger_trunk_attempts_total{trunk="carrier",direction="inbound"} 1"#,
        r#"strowger_trunk_answered_total{trunk="carrier",direction="inbound"} 1"#,
        r#"strowger_registrations_added_total 1"#,
        r#"strowger_guard_dropped_total{reason="over-rate"} 0"#,
        r#"strowger_queue_offered_total{queue="support"} 1"#,
        r#"strowger_queue_answered_total{queue="support"} 1"#,
        r#"strowger_queue_waiting{queue="support"} 0.0"#,
        r#"strowger_queue_service_level{queue="support"} 1.0"#,
        r#"strowger_overload 0"#,
        r#"strowger_rtp_ports_missing_total 0"#,
    ] {
        assert!(
            page.lines().any(|have| have == line),
            "`{line}` is missing in\n{page}"
        );
    }
}

/// Asks the server for a sign of life from a socket; `None` when it stays silent.
fn ping(socket: &UdpSocket, server: &Server, number: u32) -> Option<String> {
    let own = socket.local_addr().expect("bound");
    let text = format!(
        "OPTIONS sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKban{number};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:monitor@pbx.test>;tag=m{number}\r\nTo: <sip:pbx.test>\r\nCall-ID: ban-{number}@{own}\r\nCSeq: 1 OPTIONS\r\n\
         Contact: <sip:monitor@{own}>\r\nContent-Length: 0\r\n\r\n"
    );
    socket
        .send_to(text.as_bytes(), server.lab.phones())
        .expect("sent");
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[test]
fn an_operator_bans_a_source_and_lifts_the_ban() {
    let server = Server::start(Lab::new());
    let (own, other) = (address(), address());
    let open = |ip| {
        let socket = UdpSocket::bind(at(ip, 5060)).expect("an address of its own");
        socket
            .set_read_timeout(Some(seconds(0.7)))
            .expect("a timeout");
        socket
    };
    let (stranger, bystander) = (open(own), open(other));
    assert!(ping(&stranger, &server, 1).is_some());
    let made = server.api().post(
        "/bans",
        &json!({ "source": own.to_string(), "seconds": 3600, "force": true }),
    );
    assert_eq!(
        (&made["source"], &made["by"]),
        (&json!(own), &json!("operator"))
    );
    assert_eq!(ping(&stranger, &server, 2), None);
    assert!(ping(&bystander, &server, 3).is_some(), "only that source");
    let shown = server.command(&["bans"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        text.contains(&own.to_string()) && text.contains("an operator"),
        "{text}"
    );
    let lifted = server.command(&["bans", "--lift", &own.to_string()]);
    assert!(lifted.status.success(), "{lifted:?}");
    assert!(ping(&stranger, &server, 4).is_some());
    let again = server.api().try_delete(&format!("/bans/{own}"));
    assert_eq!(
        (again.status, &again.body["code"]),
        (404, &json!("not_found"))
    );
    assert_eq!(server.api().try_delete("/bans/nobody").status, 400);
    let none = server
        .api()
        .try_post("/bans", &json!({ "source": own.to_string(), "seconds": 0 }));
    assert_eq!(none.status, 400);
    let added = server.command(&["bans", "--add", &own.to_string(), "--for", "7d", "--force"]);
    assert!(added.status.success(), "{added:?}");
    assert_eq!(server.api().list("/bans").len(), 1);
    assert_eq!(
        server
            .api()
            .with_token("wrong")
            .try_get("/api/v1/bans")
            .status,
        401
    );
}

#[test]
fn wrong_passwords_ban_their_source_and_nobody_else() {
    let server = Server::start(Lab::new());
    let (attacker, victim) = (Device::new("1002", None), Device::new("1002", None));
    // the first run is asked three times, the others are told 403 at once: one failure each
    for _ in 0..30 {
        if !server.api().list("/bans").is_empty() {
            break;
        }
        let mut tries = attacker
            .calls(&server, "wrong-password", "1001")
            .overriding("password", "guess")
            .timeout(seconds(8.0))
            .start();
        wait_for("the tries to be over", seconds(20.0), || tries.outcome());
    }
    let bans = server.api().list("/bans");
    assert_eq!(bans.len(), 1, "{bans:?}");
    assert_eq!(bans[0]["source"], json!(attacker.address));
    assert_eq!(bans[0]["by"], "failures");
    assert_ne!(password("1002"), "guess");
    // the user whose name was used registers as before
    victim.register(&server, 300);
    server.wait_registered("1002", 1);
}
