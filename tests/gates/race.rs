//! T-RACE-1: INVITEs over TCP and TLS whose connection ends at a random byte, at a random moment, sometimes with a reset. No call,
//! no leg, no connection stays.

use std::net::IpAddr;
use std::time::Duration;

use super::devices::Device;
use super::ground::{Ground, assert_well, metric};
use super::peers::{Bystander, Callee, answer, polite};
use super::report::{ms, row};
use super::sets::{Dice, Maker};
use super::wires::{Way, Wire};
use crate::support::{address, pause, seconds, wait_for};

fn race(times: usize) {
    let mut ground = Ground::open();
    let bob = Device::registered(&ground.server, "1002", None);
    // who breaks the connection leaves a call that lasts as long as its transaction, half a minute, and one person has at most a hundred:
    // some ring, some are answered at once, most of many are declined
    let (own, mut calls) = (bob.socket(), 0);
    let callee = Callee::begin(bob.address, move |message| {
        if !message.starts_with(b"INVITE ") {
            return polite(message);
        }
        calls += 1;
        let contact = format!("Contact: <sip:1002@{own}>\r\n");
        let described = format!("{contact}Content-Type: application/sdp\r\n");
        let ringing = answer(message, "180 Ringing", &contact, b"");
        let turn = if calls < 30 { calls % 3 } else { calls % 100 };
        match turn {
            0 => vec![ringing],
            2 => {
                let body = super::hand::offer(own);
                vec![
                    ringing,
                    answer(message, "200 OK", &described, body.as_bytes()),
                ]
            }
            _ => vec![answer(message, "486 Busy Here", "", b"")],
        }
    });
    let bystander = Bystander::begin(ground.server.lab.phones(), Duration::from_millis(100));
    let from: Vec<IpAddr> = (0..8).map(|_| address().into()).collect();
    let mut dice = Dice::new(11);
    let (mut sent, mut whole) = (0, 0);
    for number in 0..times {
        let way = match number % 5 {
            0 => Way::Tls,
            1 => Way::Ws,
            _ => Way::Tcp,
        };
        let source = from[number % from.len()];
        let Ok(mut wire) = Wire::open(&ground, way, true, source) else {
            continue;
        };
        let mut maker = Maker::new(
            std::net::SocketAddr::new(source, (number % 60_000) as u16 + 1),
            way.name(),
        );
        maker.skip(number as u32);
        let invite = maker.request("INVITE");
        let end = match dice.below(3) {
            0 => 1 + dice.below(invite.len()),
            _ => invite.len(),
        };
        sent += usize::from(match way.is_web() {
            true => wire.raw(&super::wires::frame(0x82, &invite)[..end + 1]),
            false => wire.raw(&invite[..end]),
        });
        whole += usize::from(end == invite.len());
        if dice.below(4) == 0 {
            wire.raw(
                &String::from_utf8_lossy(&invite)
                    .replace("INVITE", "CANCEL")
                    .into_bytes(),
            );
        }
        pause(Duration::from_micros(
            dice.below(4) as u64 * dice.below(3_000) as u64,
        ));
        if dice.below(2) == 0 {
            // closing with a reset, and what was not read is lost
            let _ = socket2::SockRef::from(&wire.tcp).set_linger(Some(Duration::ZERO));
        }
    }
    let watch = bystander.end();
    wait_for("the connections to be gone", seconds(60.0), || {
        (metric(&ground.server, "strowger_sip_connections ") == 0).then_some(())
    });
    // calls whose caller is gone end with it, or with the transaction of their INVITE
    wait_for("the calls to be over", seconds(240.0), || {
        let status = ground.server.api().get("/status");
        ["calls", "legs", "ports"]
            .iter()
            .all(|field| status[field] == 0)
            .then_some(())
    });
    let reached = callee
        .end()
        .iter()
        .filter(|m| m.starts_with(b"INVITE "))
        .count();
    assert_well(&mut ground.server, "interrupted INVITEs");
    row(
        "T-RACE-1",
        &format!(
            "{sent} INVITEs over TCP, TLS and WS cut off ({whole} whole, {reached} reached the callee): crashes, calls, ports left"
        ),
        "0, 0, 0",
        "0, 0, 0",
    );
    row(
        "T-RACE-1",
        "a bystander's longest wait meanwhile",
        ms(watch.slowest),
        "500 ms (long form)",
    );
    assert!(sent * 10 > times * 9, "only {sent} of {times}");
    assert!(reached * 4 > times, "{reached} reached the callee");
    if times > 1_000 {
        assert!(watch.share() >= 0.999, "{watch:?}");
    }
}

#[test]
fn interrupted_invites_leave_nothing_behind() {
    race(150);
}

#[test]
#[ignore = "long: make gates"]
fn gate_interrupted_invites_leave_nothing_behind() {
    race(10_000);
}
