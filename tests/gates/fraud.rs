//! T-FRAUD-1: whatever comes from outside, nothing of it reaches the trunk. T-AUTH-3 and T-AUTH-4: our password at a carrier is not
//! given to others, and not again and again.

use std::net::IpAddr;

use super::ground::{Ground, assert_well};
use super::hand::{Hand, Proof, nonce_of, offer, status};
use super::peers::{Callee, answer, polite};
use super::report::row;
use super::wires::{Way, each_alone};
use crate::devices::Device;
use crate::support::lab::{DID, DOMAIN, TRUNK_USER, password};
use crate::support::{pause, seconds};

const OUTSIDE: &str = "+442079460123";

/// Ways to ask for an expensive call.
fn crafted(ground: &Ground, hand: &mut Hand) -> Vec<String> {
    let (server, carrier) = (ground.server.lab.server, ground.server.lab.carrier);
    let own = hand.own;
    let uris = [
        format!("sip:{OUTSIDE}@{DOMAIN}"),
        format!("sip:{OUTSIDE}@{server}"),
        format!("sip:{OUTSIDE}@{carrier}"),
        format!("sip:{OUTSIDE}@{carrier}:5060;transport=udp"),
        format!("sip:{OUTSIDE}@{DOMAIN};user=phone"),
        format!("tel:{OUTSIDE}"),
        format!("sip:00{}@{DOMAIN}", &OUTSIDE[1..]),
        format!("sip:{DID}@{DOMAIN}"),
        format!("sip:1001@{DOMAIN}"),
        format!("sip:1002;phone-context={OUTSIDE}@{DOMAIN}"),
    ];
    let decorations = [
        String::new(),
        format!("Route: <sip:{carrier};lr>\r\n"),
        format!("Route: <sip:{server};lr>, <sip:{OUTSIDE}@{carrier};lr>\r\n"),
        format!("P-Asserted-Identity: <sip:1001@{DOMAIN}>\r\n"),
        format!("Remote-Party-ID: <sip:1001@{DOMAIN}>;party=calling\r\n"),
        format!("Diversion: <sip:1001@{DOMAIN}>;reason=unconditional\r\n"),
        format!("Referred-By: <sip:1001@{DOMAIN}>\r\nRefer-To: <sip:{OUTSIDE}@{DOMAIN}>\r\n"),
        "Replaces: 1;from-tag=2;to-tag=3\r\n".to_owned(),
        format!(
            "Authorization: Digest username=\"{TRUNK_USER}\", realm=\"{DOMAIN}\", nonce=\"a\", uri=\"sip:x\", response=\"0123456789abcdef0123456789abcdef\"\r\n"
        ),
        format!("History-Info: <sip:1001@{DOMAIN}>;index=1\r\nRecord-Route: <sip:{own};lr>\r\n"),
    ];
    let froms = ["1001", OUTSIDE, "anonymous"];
    let mut out = Vec::new();
    for (u, uri) in uris.iter().enumerate() {
        for (d, lines) in decorations.iter().enumerate() {
            for method in ["INVITE", "REFER", "MESSAGE"] {
                let from = froms[(u + d) % froms.len()];
                let body = if method == "INVITE" {
                    offer(own)
                } else {
                    String::new()
                };
                let refer = match method {
                    "REFER" if !lines.contains("Refer-To") => {
                        format!("Refer-To: <sip:{OUTSIDE}@{carrier}>\r\n")
                    }
                    _ => String::new(),
                };
                out.push(hand.request(
                    method,
                    uri,
                    (from, OUTSIDE),
                    &format!("{lines}{refer}"),
                    &body,
                ));
            }
            // an answer to a call that nobody made, which sends it elsewhere
            let invite = hand.request("INVITE", uri, ("1001", "1002"), lines, "");
            let contact = format!("Contact: <sip:{OUTSIDE}@{carrier}>\r\n");
            let moved = answer(invite.as_bytes(), "302 Moved Temporarily", &contact, b"");
            let moved = String::from_utf8(moved).expect("text");
            out.push(moved.replacen(&own.to_string(), &format!("{server}:5060"), 1));
        }
    }
    out
}

#[test]
fn gate_nothing_from_outside_reaches_the_trunk() {
    let mut ground = Ground::open();
    let carrier = Callee::busy(ground.server.lab.carrier);
    let (phones, trunks) = (ground.server.lab.phones(), ground.server.lab.trunks());
    let mut hand = Hand::new(phones);
    let messages = crafted(&ground, &mut hand);
    let mut sent = 0;
    for to in [phones, trunks, ground.six] {
        if to.is_ipv6() {
            // the same over IPv6, from its own socket
            let six = std::net::UdpSocket::bind((std::net::Ipv6Addr::LOCALHOST, 0)).expect("IPv6");
            for text in &messages {
                sent += usize::from(six.send_to(text.as_bytes(), to).is_ok());
                pause(std::time::Duration::from_micros(1_200));
            }
            continue;
        }
        let sender = Hand::new(to);
        for text in &messages {
            sender.say(text);
            sent += 1;
            pause(std::time::Duration::from_micros(1_200));
        }
    }
    let streamed: Vec<Vec<u8>> = messages
        .iter()
        .map(|text| text.replace("SIP/2.0/UDP", "SIP/2.0/TCP").into_bytes())
        .collect();
    let from: Vec<IpAddr> = vec![crate::support::address().into()];
    sent += each_alone(&ground, Way::Tcp, false, &streamed, &from);
    pause(seconds(1.0));
    // a telephone of ours gets through, so it was not the road that was closed
    let ann = Device::new("1001", None);
    let mut call = ann
        .calls(&ground.server, "call", OUTSIDE)
        .set("talk_ms", 100)
        .timeout(seconds(10.0))
        .start();
    crate::support::wait_for("the honest call to end", seconds(20.0), || call.outcome());
    let seen: Vec<String> = carrier
        .end()
        .iter()
        .map(|m| String::from_utf8_lossy(m).into_owned())
        .collect();
    let own = seen
        .iter()
        .filter(|m| m.starts_with("INVITE ") && m.contains("sip:1001@"))
        .count();
    let other: Vec<&String> = seen
        .iter()
        .filter(|m| !m.starts_with("ACK ") && !m.starts_with("OPTIONS "))
        .collect();
    let reached = other.len() - own;
    row(
        "T-FRAUD-1",
        &format!(
            "{sent} crafted INVITE, REFER, MESSAGE and 302 over UDP, IPv6 and TCP: reached the trunk"
        ),
        reached,
        0,
    );
    assert!(own > 0, "{seen:?}");
    assert_eq!(reached, 0, "{other:?}");
    assert_well(&mut ground.server, "fraud");
}

/// What the carrier says to every INVITE.
fn challenges(realm: &str) -> String {
    format!(
        "WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\nProxy-Authenticate: Digest realm=\"{realm}\", nonce=\"n\", algorithm=MD5, qop=\"auth\", stale=true\r\n"
    )
}

/// A call over the trunk to a carrier that challenges for ever: how many INVITEs came, and how many proofs of our password.
fn attempts(change: &str, status: &'static str) -> (usize, usize) {
    let mut ground = Ground::with(|lab| {
        let cap = "max-channels  = 2\n";
        lab.change("sip-profiles/external.toml", cap, &format!("{cap}{change}"));
    });
    let carrier = Callee::begin(ground.server.lab.carrier, move |message| {
        match message.starts_with(b"INVITE ") {
            true => vec![answer(message, status, &challenges("evil.example"), b"")],
            false => polite(message),
        }
    });
    let ann = Device::new("1001", None);
    let mut call = ann
        .calls(&ground.server, "call", OUTSIDE)
        .set("talk_ms", 100)
        .timeout(seconds(10.0))
        .start();
    crate::support::wait_for("the call to fail", seconds(20.0), || call.outcome());
    ground.server.wait_idle();
    assert_well(&mut ground.server, "challenges without end");
    let seen: Vec<String> = carrier
        .end()
        .iter()
        .map(|m| String::from_utf8_lossy(m).into_owned())
        .collect();
    let invites = seen.iter().filter(|m| m.starts_with("INVITE ")).count();
    let proofs = seen
        .iter()
        .filter(|m| m.contains("uthorization: Digest"))
        .count();
    (invites, proofs)
}

#[test]
fn gate_a_carrier_that_challenges_for_ever_gets_two_tries_and_a_foreign_one_no_proof() {
    let (mut most, mut leaked) = (0, 0);
    for status in ["401 Unauthorized", "407 Proxy Authentication Required"] {
        let (invites, _) = attempts("", status);
        most = most.max(invites);
        let (_, proofs) = attempts("realm = \"carrier.example\"\n", status);
        leaked += proofs;
    }
    row(
        "T-AUTH-4",
        "INVITEs to a carrier that challenges for ever",
        most,
        3,
    );
    row(
        "T-AUTH-3",
        "proofs for a carrier's realm that is not ours",
        leaked,
        0,
    );
    assert!(most <= 3, "{most}");
    assert_eq!(leaked, 0);
}

/// T-AUTH-3: a telephone that challenges what we send it gets no proof of the trunk's password.
#[test]
fn gate_a_telephone_that_challenges_gets_no_proof() {
    let mut ground = Ground::open();
    let bob = Device::registered(&ground.server, "1002", None);
    let own = bob.socket();
    let mut asked = 0;
    let leg = Callee::begin(bob.address, move |message| {
        let described = format!("Contact: <sip:1002@{own}>\r\nContent-Type: application/sdp\r\n");
        if message.starts_with(b"INVITE ") {
            asked += 1;
            return match asked % 2 {
                1 => vec![answer(
                    message,
                    "407 Proxy Authentication Required",
                    &challenges(DOMAIN),
                    b"",
                )],
                _ => vec![answer(message, "200 OK", &described, offer(own).as_bytes())],
            };
        }
        match message.starts_with(b"BYE ") {
            true => vec![answer(
                message,
                "401 Unauthorized",
                &challenges("carrier.example"),
                b"",
            )],
            false => polite(message),
        }
    });
    let mut hand = Hand::new(ground.server.lab.phones());
    let uri = format!("sip:1002@{DOMAIN}");
    let secret = password("1001");
    for _ in 0..4 {
        let body = offer(hand.own);
        let bare = hand.request("INVITE", &uri, ("1001", "1002"), "", &body);
        let challenge = hand.ask(&bare).expect("a challenge");
        let nonce = nonce_of(&challenge).expect("a nonce").to_owned();
        let line = Proof {
            user: "1001",
            password: &secret,
            nonce: &nonce,
            count: 1,
        }
        .line("INVITE", &uri);
        let invite = hand.request("INVITE", &uri, ("1001", "1002"), &line, &body);
        let answer = hand.ask(&invite).expect("an answer");
        if status(&answer) == Some(200) {
            hand.say(super::hand::follow(&invite, &answer, "BYE"));
        }
    }
    ground.server.wait_idle();
    let seen: Vec<String> = leg
        .end()
        .iter()
        .map(|m| String::from_utf8_lossy(m).into_owned())
        .collect();
    let proofs = seen.iter().filter(|m| m.contains("uthorization:")).count();
    let byes = seen.iter().filter(|m| m.starts_with("BYE ")).count();
    row(
        "T-AUTH-3",
        &format!(
            "proofs for a telephone that challenges INVITE and BYE ({} requests)",
            seen.len()
        ),
        proofs,
        0,
    );
    assert!(byes > 0, "{seen:?}");
    assert_eq!(proofs, 0);
    assert_well(&mut ground.server, "challenges by telephones");
}
