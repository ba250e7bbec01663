//! T-TLS-1: ten thousand handshakes that come to nothing. None makes the server fall, each costs little, and others shake hands
//! meanwhile.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::ground::{Ground, assert_well, metric, processor};
use super::peers::Bystander;
use super::report::{ms, row};
use super::sets::Dice;
use super::wires::{Way, Wire, secure, tcp};
use crate::support::lab::DOMAIN;
use crate::support::{address, pause, seconds, wait_for};

/// Kinds of broken greetings.
const KINDS: [&str; 12] = [
    "part of a ClientHello",
    "a ClientHello with flipped bytes",
    "another name",
    "a name of 250 bytes",
    "a record of random bytes",
    "a record with a length of 65,535",
    "an alert",
    "application data",
    "SSL 2",
    "SIP in the clear",
    "a ClientHello in records of one byte",
    "a second ClientHello instead of an answer",
];

/// What a client would say first.
fn hello(ground: &Ground, name: &str) -> Vec<u8> {
    let host = ServerName::try_from(name.to_owned()).expect("a name");
    let mut session =
        ClientConnection::new(ground.authority.client(None), host).expect("a session");
    let mut out = Vec::new();
    session.write_tls(&mut out).expect("into memory");
    out
}

fn record(kind: u8, length: u16, content: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 3, 1];
    out.extend(length.to_be_bytes());
    out.extend_from_slice(content);
    out
}

fn greeting(kind: usize, whole: &[u8], dice: &mut Dice) -> Vec<u8> {
    let random = |dice: &mut Dice, length: usize| -> Vec<u8> {
        (0..length).map(|_| dice.below(256) as u8).collect()
    };
    match KINDS[kind] {
        "part of a ClientHello" => whole[..dice.below(whole.len())].to_vec(),
        "a ClientHello with flipped bytes" => {
            let mut bytes = whole.to_vec();
            for _ in 0..=dice.below(5) {
                let at = 5 + dice.below(bytes.len() - 5);
                bytes[at] ^= 1 + dice.below(255) as u8;
            }
            bytes
        }
        "a record of random bytes" => {
            let length = 1 + dice.below(2_000);
            let content = random(dice, length);
            record(22, length as u16, &content)
        }
        "a record with a length of 65,535" => record(22, 0xffff, &random(dice, 1_000)),
        "an alert" => record(21, 2, &[2, dice.below(256) as u8]),
        "application data" => {
            let content = random(dice, 100);
            record(23, 100, &content)
        }
        "SSL 2" => [
            &[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10][..],
            &random(dice, 37),
        ]
        .concat(),
        "SIP in the clear" => b"OPTIONS sip:pbx.test SIP/2.0\r\n\r\n".to_vec(),
        "a ClientHello in records of one byte" => whole[5..]
            .iter()
            .flat_map(|byte| record(22, 1, &[*byte]))
            .collect(),
        "a second ClientHello instead of an answer" => [whole, whole].concat(),
        _ => whole.to_vec(),
    }
}

fn broken_handshakes(times: usize) -> (Duration, f64) {
    let mut ground = Ground::open();
    let bystander = Bystander::begin(ground.server.lab.phones(), Duration::from_millis(100));
    let to = Way::Tls.to(&ground, false);
    let from: Vec<IpAddr> = (0..8).map(|_| address().into()).collect();
    let hellos = [
        hello(&ground, DOMAIN),
        hello(&ground, "elsewhere.example"),
        hello(&ground, &format!("{}.example", ["a"; 60].join("."))),
    ];
    let mut dice = Dice::new(9);
    let before = processor(&mut ground.server);
    let (mut open, mut made) = (Vec::new(), 0);
    for number in 0..times {
        let kind = number % KINDS.len();
        let whole = match KINDS[kind] {
            "another name" => &hellos[1],
            "a name of 250 bytes" => &hellos[2],
            _ => &hellos[0],
        };
        let Ok(mut stream) = tcp(from[number % from.len()], to, None) else {
            continue;
        };
        made += usize::from(stream.write_all(&greeting(kind, whole, &mut dice)).is_ok());
        stream.set_nonblocking(true).expect("a mode");
        open.push(stream);
        if open.len() == 64 {
            pause(Duration::from_millis(2));
            for mut stream in open.drain(..) {
                let _ = stream.read(&mut [0; 4_096]);
            }
        }
    }
    drop(open);
    // none open is not enough: the last ones may still wait to be accepted
    let failures = |server: &_| metric(server, "strowger_tls_handshakes_failed_total ") as usize;
    wait_for("the handshakes to have failed", seconds(30.0), || {
        let over = failures(&ground.server) * 10 > made * 9;
        (over && metric(&ground.server, "strowger_sip_connections ") == 0).then_some(())
    });
    let each = (processor(&mut ground.server) - before) / made as u32;
    let failed = failures(&ground.server);
    let watch = bystander.end();
    assert_well(&mut ground.server, "broken handshakes");
    row(
        "T-TLS-1",
        &format!(
            "{made} broken handshakes of {} kinds: crashes; counted as failed",
            KINDS.len()
        ),
        format!("0; {failed}"),
        "0",
    );
    row(
        "T-TLS-1",
        "processor time of the server for each (bystander, TCP and all)",
        ms(each),
        "2 ms",
    );
    row(
        "T-TLS-1",
        "a bystander's OPTIONS within 500 ms meanwhile",
        watch.words(),
        "99.9 %",
    );
    assert!(made * 10 > times * 9, "only {made} connections");
    (each, watch.share())
}

#[test]
fn broken_handshakes_harm_nobody() {
    broken_handshakes(300);
}

#[test]
#[ignore = "long: make gates"]
fn gate_broken_handshakes_cost_little() {
    let (each, share) = broken_handshakes(10_000);
    assert!(each < Duration::from_millis(2), "{each:?}");
    assert!(share >= 0.999, "{share}");
}

/// Records that do not belong there, after a handshake that was fine: the connection ends, and nothing else.
#[test]
fn gate_records_that_do_not_belong_there_end_their_connection_only() {
    let mut ground = Ground::open();
    let from: IpAddr = address().into();
    let mut fine = Wire::open(&ground, Way::Tls, false, from).expect("connects");
    let whole = hello(&ground, DOMAIN);
    let mut long = record(23, 0xffff, &[0; 60]);
    long.extend([0; 70_000]);
    let broken = [
        whole.clone(),                   // a wish to negotiate anew
        record(23, 64, &[7; 64]),        // encrypted by nobody
        record(20, 1, &[1]).repeat(200), // change of ciphers, again and again
        record(21, 2, &[2, 40]),         // an alert in the clear
        record(99, 4, b"what"),          // no such record
        long,
    ];
    for (number, bytes) in broken.iter().enumerate() {
        let stream = tcp(from, Way::Tls.to(&ground, false), None).expect("connects");
        let tls =
            secure(&ground, stream.try_clone().expect("the same"), DOMAIN).expect("shakes hands");
        let mut raw = stream;
        let _ = raw.write_all(bytes);
        raw.set_read_timeout(Some(seconds(8.0))).expect("a timeout");
        let (began, mut buffer) = (Instant::now(), [0; 4_096]);
        // tickets and an alert come before the end
        while matches!(raw.read(&mut buffer), Ok(length) if length > 0) {}
        assert!(began.elapsed() < seconds(7.0), "case {number} is not cut");
        drop(tls);
    }
    fine.send(
        format!(
            "OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TLS h.invalid;branch=z9hG4bKfine\r\nMax-Forwards: 70\r\nFrom: <sip:v@{DOMAIN}>;tag=v\r\nTo: <sip:{DOMAIN}>\r\n\
             Call-ID: fine\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        .as_bytes(),
    );
    // it said nothing for more than five seconds, so it may have been cut: a new one is served
    let mut other = Wire::open(&ground, Way::Tls, false, from).expect("connects");
    assert!(other.send(b"\r\n\r\n"));
    assert!(other.wait_for("\r\n", seconds(3.0)).is_some());
    drop(fine);
    assert_well(&mut ground.server, "records out of place");
}
