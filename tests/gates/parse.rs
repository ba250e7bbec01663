//! T-PARSE: bodies. Session descriptions that phones disagree about or that nobody should send, in offers and in answers; multipart
//! bodies deep and wide. Nothing falls, every call ends, every port comes back, no message holds the others up.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::devices::Device;
use super::ground::{self, Ground, OPEN_PORT, assert_well};
use super::hand::{Hand, follow, offer, status};
use super::peers::{Callee, answer, polite};
use super::report::{ms, row};
use super::sets;
use crate::support::lab::DOMAIN;
use crate::support::{at, seconds};

/// Calls with the odd descriptions of the sets in offers, then in answers, to one who answers.
fn descriptions(thin: usize) {
    let mut ground = Ground::with(ground::unhurried);
    let bob = Device::registered(&ground.server, "1002", None);
    let body: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (said, own) = (body.clone(), bob.socket());
    let callee = Callee::begin(bob.address, move |message| {
        if !message.starts_with(b"INVITE ") {
            return polite(message);
        }
        let lines = format!("Contact: <sip:1002@{own}>\r\nContent-Type: application/sdp\r\n");
        let said = said.lock().expect("no panic");
        let body = match said.is_empty() {
            true => offer(own).into_bytes(),
            false => said.clone(),
        };
        vec![answer(message, "200 OK", &lines, &body)]
    });
    let open = at(ground.server.lab.server, OPEN_PORT);
    let mut hand = Hand::new(open);
    let bodies: Vec<Vec<u8>> = sets::bodies().into_iter().step_by(thin).collect();
    let uri = format!("sip:1002@{DOMAIN}");
    let (mut answered, mut accepted, mut silent) = (0, 0, 0);
    for odd in &bodies {
        for in_answer in [false, true] {
            let offered = match in_answer {
                true => offer(hand.own).into_bytes(),
                false => odd.clone(),
            };
            *body.lock().expect("no panic") = if in_answer { odd.clone() } else { Vec::new() };
            let head = hand.request(
                "INVITE",
                &uri,
                ("1001", "1002"),
                "Content-Type: application/sdp\r\n",
                "",
            );
            let head = head.replace(
                "Content-Length: 0",
                &format!("Content-Length: {}", offered.len()),
            );
            let invite = [head.as_bytes(), &offered].concat();
            if invite.len() > 60_000 {
                continue;
            }
            hand.say(&invite);
            let Some(answer) = hand.hear(&head) else {
                silent += 1;
                continue;
            };
            answered += 1;
            if status(&answer) == Some(200) {
                accepted += 1;
                hand.say(follow(&head, &answer, "BYE"));
            }
        }
    }
    ground.server.wait_idle();
    assert_well(&mut ground.server, "session descriptions");
    callee.end();
    row(
        "T-PARSE-3",
        &format!(
            "{answered} calls with odd descriptions in offer or answer ({accepted} accepted): panics, unanswered, ports left"
        ),
        format!("0, {silent}, 0"),
        "0, 0, 0",
    );
    assert_eq!(silent, 0);
    assert!(
        accepted > answered / 10 && accepted < answered,
        "{accepted} of {answered}"
    );
}

#[test]
fn odd_session_descriptions_leave_no_call_and_no_port() {
    descriptions(40);
}

#[test]
#[ignore = "long: make gates"]
fn gate_odd_session_descriptions_leave_no_call_and_no_port() {
    descriptions(1);
}

/// How long others wait behind one message, at its best of three times.
fn time_of_bodies(thin: usize) {
    let mut ground = Ground::with(ground::unhurried);
    let bob = Device::registered(&ground.server, "1002", None);
    let leg = Callee::busy(bob.address);
    let open = at(ground.server.lab.server, OPEN_PORT);
    let (mut sender, mut other) = (Hand::new(open), Hand::new(ground.server.lab.phones()));
    let mut maker = sets::Maker::new(sender.own, "UDP");
    let uri = format!("sip:{DOMAIN}");
    let mut slowest = Duration::ZERO;
    let messages: Vec<Vec<u8>> = sets::multiparts(&mut maker)
        .messages
        .into_iter()
        .filter(|message| message.len() < 65_000)
        .step_by(thin)
        .collect();
    for message in &messages {
        let mut best = Duration::MAX;
        for _ in 0..3 {
            sender.say(message);
            let ping = other.request("OPTIONS", &uri, ("1001", "1001"), "", "");
            let began = Instant::now();
            other.ask(&ping).expect("an answer to OPTIONS");
            best = best.min(began.elapsed());
        }
        slowest = slowest.max(best);
        sender.listen(Duration::ZERO);
    }
    sender.patience = seconds(0.1);
    leg.end();
    row(
        "T-PARSE-2",
        &format!(
            "{} multipart bodies: OPTIONS behind the slowest of them",
            messages.len()
        ),
        ms(slowest),
        "50 ms",
    );
    assert!(slowest < Duration::from_millis(50), "{slowest:?}");
    assert_well(&mut ground.server, "multipart bodies");
}

#[test]
#[ignore = "long: make gates"]
fn gate_multipart_bodies_hold_nobody_up() {
    time_of_bodies(1);
}
