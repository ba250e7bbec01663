//! T-LOOP-1: calls that come back, and fork bombs. T-RESP-1: answers that nobody asked for.

use std::time::Duration;

use super::ground::{Ground, OPEN_PORT, assert_well, metric};
use super::hand::{Hand, offer, status};
use super::peers::{Callee, Strangers, answer, polite};
use super::report::row;
use super::sets::{self, Maker};
use crate::devices::Device;
use crate::support::lab::DOMAIN;
use crate::support::{address, at, pause, seconds};

/// Messages of every kind that the server has sent and got.
fn messages(ground: &Ground) -> u64 {
    [
        "strowger_sip_datagrams_in_total ",
        "strowger_sip_datagrams_out_total ",
    ]
    .iter()
    .map(|line| metric(&ground.server, line))
    .sum()
}

/// One call of 1001 for `callee` on the open profile; the status of its end, and how many messages it took in all.
fn one_call(ground: &Ground, hand: &mut Hand, callee: &str, lines: &str) -> (Option<u16>, u64) {
    let before = messages(ground);
    let body = offer(hand.own);
    let uri = format!("sip:{callee}@{DOMAIN}");
    let invite = hand.request("INVITE", &uri, ("1001", callee), lines, &body);
    hand.patience = seconds(20.0);
    let end = hand.ask(&invite);
    let mut last = messages(ground);
    // until it is quiet
    for _ in 0..20 {
        pause(Duration::from_millis(300));
        let now = messages(ground);
        if now == last {
            break;
        }
        last = now;
    }
    (end.as_deref().and_then(status), last - before)
}

/// A binding of `user` that leads back to the server.
fn bind(hand: &mut Hand, user: &str, contact: &str) {
    let request = hand.request(
        "REGISTER",
        &format!("sip:{DOMAIN}"),
        (user, user),
        "Expires: 300\r\n",
        "",
    );
    let own = format!("<sip:{user}@{}>", hand.own);
    let request = request.replacen(
        &format!("Contact: {own}"),
        &format!("Contact: {contact}"),
        1,
    );
    // who has proved nothing gets no more bytes than it sent, and the answer names all contacts: it asks until it has paid
    hand.patience = seconds(1.0);
    let answer = (0..5).find_map(|_| hand.ask(&request));
    assert_eq!(answer.as_deref().and_then(status), Some(200), "{answer:?}");
}

#[test]
fn gate_loops_and_fork_bombs_come_to_an_end() {
    let mut ground = Ground::open();
    let server = ground.server.lab.server;
    let open = at(server, OPEN_PORT);
    let mut hand = Hand::new(open);
    let mut rows = Vec::new();
    // a telephone that is registered at the server itself
    bind(&mut hand, "1003", &format!("<sip:1003@{open}>"));
    rows.push((
        "a contact that is the server itself",
        one_call(&ground, &mut hand, "1003", ""),
    ));
    // two that are registered at each other
    bind(&mut hand, "1004", &format!("<sip:1003@{open};x=1>"));
    bind(&mut hand, "1003", &format!("<sip:1004@{open};x=2>"));
    rows.push((
        "two that are registered at each other",
        one_call(&ground, &mut hand, "1004", ""),
    ));
    // ten contacts, each of which leads back
    for number in 0..10 {
        bind(&mut hand, "1002", &format!("<sip:1002@{open};n={number}>"));
    }
    rows.push((
        "ten contacts, each the server itself",
        one_call(&ground, &mut hand, "1002", ""),
    ));
    // a request that is to pass the server seventy times
    let route: String = (0..70)
        .map(|_| format!("Route: <sip:{open};lr>\r\n"))
        .collect();
    rows.push((
        "a Route of seventy times the server",
        one_call(&ground, &mut hand, "1001", &route),
    ));
    for (what, (end, count)) in &rows {
        row(
            "T-LOOP-1",
            &format!("{what}: ends with {}; messages in all", end.unwrap_or(0)),
            count,
            "100",
        );
    }
    for (what, (end, count)) in rows {
        assert!(end.is_some(), "{what}: no end");
        assert!(count <= 100, "{what}: {count} messages");
    }
    ground.server.wait_idle();
    assert_well(&mut ground.server, "loops");
}

#[test]
fn gate_redirections_in_a_circle_come_to_an_end() {
    let mut ground = Ground::open();
    let phones = ["1002", "1003"].map(|user| Device::registered(&ground.server, user, None));
    let callees = [("1002", "1003"), ("1003", "1002")].map(|(own, next)| {
        let phone = phones
            .iter()
            .find(|phone| phone.extension == own)
            .expect("there");
        // on to the other, to itself, and to the server
        let contacts = format!("Contact: <sip:{next}@{DOMAIN}>, <sip:{own}@{DOMAIN}>;q=0.5\r\n");
        Callee::begin(phone.address, move |message| {
            match message.starts_with(b"INVITE ") {
                true => vec![answer(message, "302 Moved Temporarily", &contacts, b"")],
                false => polite(message),
            }
        })
    });
    let mut hand = Hand::new(at(ground.server.lab.server, OPEN_PORT));
    let (end, count) = one_call(&ground, &mut hand, "1002", "");
    let rung: usize = callees
        .map(|callee| {
            callee
                .end()
                .iter()
                .filter(|m| m.starts_with(b"INVITE "))
                .count()
        })
        .iter()
        .sum();
    row(
        "T-LOOP-1",
        &format!(
            "two telephones that redirect to each other: ends with {}; INVITEs, messages in all",
            end.unwrap_or(0)
        ),
        format!("{rung}, {count}"),
        "60, 100",
    );
    assert!(end.is_some_and(|end| end >= 400), "{end:?}");
    assert!(rung <= 60 && count <= 100, "{rung}, {count}");
    ground.server.wait_idle();
    assert_well(&mut ground.server, "redirections");
}

#[test]
fn gate_stray_responses_are_not_passed_on() {
    let mut ground = Ground::open();
    let behind = Callee::begin(address(), |_| Vec::new());
    let bob = Device::registered(&ground.server, "1002", None);
    let phone = Callee::busy(bob.address);
    let mut strangers = Strangers::new(2);
    let server = ground.server.lab.server;
    let mut sent = 0;
    for (port, top) in [
        (5060, strangers.address()),
        (OPEN_PORT, at(server, OPEN_PORT)),
        (5080, at(server, 5080)),
    ] {
        // as answers to the stranger, and as answers to the server itself
        let mut maker = Maker::new(top, "UDP");
        maker.skip(u32::from(port) * 1_000);
        for message in sets::stray(&mut maker, &behind.own.to_string()).messages {
            strangers.send(&message, at(server, port));
            sent += 1;
            pause(Duration::from_micros(700));
        }
    }
    pause(seconds(0.5));
    strangers.drain();
    let forwarded = behind.end().len();
    let rung = phone
        .end()
        .iter()
        .filter(|m| !m.starts_with(b"OPTIONS "))
        .count();
    row(
        "T-RESP-1",
        &format!("{sent} stray responses: passed on, answered"),
        format!("{}, {} bytes", forwarded + rung, strangers.bytes_in),
        "0, 0",
    );
    assert_eq!((forwarded, rung, strangers.bytes_in), (0, 0, 0));
    assert_well(&mut ground.server, "stray responses");
}
