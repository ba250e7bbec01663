//! The gates of reliability against the real binary: malformed messages by the thousand with calls up, amplification, what reaches
//! the other leg, floods, slow peers, memory.
//!
//! Without more words this is the short form, for every run of the tests. The long one, whose figures count, is `make gates`
//! (`cargo test --release --test gates -- --ignored --test-threads 1`).

// These tests drive real processes: they may wait on a clock.
#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)] // carriers are for others
#[path = "../server/devices.rs"]
mod devices;
mod ground;
mod sets;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use devices::Device;
use ground::{Bystander, OPEN_PORT, OtherLeg, Strangers, assert_well, lab, memory, over_tcp};
use sets::{Maker, PLANTED};
use support::lab::Lab;
use support::server::Server;
use support::{address, at, pause, seconds};

/// Calls up meanwhile, and how much of the sets is played.
struct Size {
    calls: u32,
    thin: usize,
    /// The share of the bystander's questions that must be answered within 500 ms, and the longest silence.
    share: f64,
    gap: Duration,
}

const SHORT: Size = Size {
    calls: 20,
    thin: 10,
    // the short form runs beside whatever else the machine does: it finds hangs, the long form measures
    share: 0.1,
    gap: Duration::from_secs(5),
};
const LONG: Size = Size {
    calls: 200,
    thin: 1,
    share: 0.999,
    gap: Duration::from_millis(600),
};

/// Messages a second of the strangers together.
const RATE: u32 = 2_000;

/// Plays all sets over UDP, at a rate that the guard lets in.
fn over_udp(
    strangers: &mut Strangers,
    server: &mut Server,
    seed: u64,
    thin: usize,
    ports: &[u16],
) -> usize {
    let mut maker = Maker::new(strangers.address(), "UDP");
    let mut sent = 0;
    for set in sets::all(&mut maker, seed, thin) {
        let begin = Instant::now();
        for (number, message) in set.messages.iter().enumerate() {
            let port = ports[number % ports.len()];
            strangers.send(message, at(server.lab.server, port));
            sent += 1;
            let due = begin + Duration::from_secs(1) * number as u32 / RATE;
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                pause(early);
            }
        }
        assert_well(server, set.name);
    }
    pause(Duration::from_millis(300));
    strangers.drain();
    sent
}

fn malformed(size: &Size) {
    let mut server = Server::start(lab());
    let phones = server.lab.phones();
    let talk_ms = if size.thin == 1 { 120_000 } else { 30_000 };
    let each = size.calls / 2;
    let mut sides = Vec::new();
    let pairs = [("1001", "1002"), ("1003", "1004")].map(|(caller, callee)| {
        let bob = Device::registered(&server, callee, None);
        let answers = bob.sipp("answer").set("ring_ms", 50).calls(each);
        let answers = answers.timeout(seconds(300.0)).start();
        let ann = Device::new(caller, None);
        let calls = ann.calls(&server, "call", callee).set("talk_ms", talk_ms);
        let calls = calls.calls(each).rate(each.min(25)).at_once(each);
        sides.push((ann, bob));
        (calls.timeout(seconds(300.0)).start(), answers)
    });
    support::wait_for("the calls to be up", seconds(60.0), || {
        (server.api().get("/status")["calls"] == size.calls).then_some(())
    });
    let bystander = Bystander::begin(phones, Duration::from_millis(100));
    let mut strangers = Strangers::new(8);
    let sent = over_udp(&mut strangers, &mut server, 1, size.thin, &[5060]);
    let mut maker = Maker::new(strangers.address(), "TCP");
    let mut streamed = 0;
    for set in sets::all(&mut maker, 2, size.thin * 2) {
        over_tcp(&set.messages, phones);
        streamed += set.messages.len();
        assert_well(&mut server, set.name);
    }
    let watch = bystander.end();
    eprintln!(
        "{sent} malformed messages over UDP and {streamed} over TCP beside {} calls: {} of {} pings answered within 500 ms, longest silence {:?}; {} bytes came back for {}",
        size.calls, watch.served, watch.asked, watch.gap, strangers.bytes_in, strangers.bytes_out
    );
    assert!(
        strangers.bytes_in <= strangers.bytes_out,
        "{} bytes came back for {}",
        strangers.bytes_in,
        strangers.bytes_out
    );
    assert!(strangers.bytes_in > 0, "nobody was answered at all");
    assert!(watch.share() >= size.share, "{watch:?}");
    assert!(watch.gap <= size.gap, "{watch:?}");
    assert_eq!(
        server.api().get("/status")["calls"],
        size.calls,
        "a call was lost"
    );
    for (mut calls, mut answers) in pairs {
        calls.succeed();
        answers.succeed();
    }
    let records = server.wait_records(size.calls as usize);
    assert!(records.iter().all(|record| record["ended_by"] == "caller"));
    server.wait_idle();
}

#[test]
fn malformed_messages_cost_no_call_and_no_service() {
    malformed(&SHORT);
}

#[test]
#[ignore = "long: make gates"]
fn gate_malformed_messages_cost_no_call_and_no_service() {
    malformed(&LONG);
}

/// Bytes of a message before its body.
fn head(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n");
    &message[..end.map_or(message.len(), |end| end + 4)]
}

fn other_leg(thin: usize) {
    let mut server = Server::start(lab());
    let bob = Device::registered(&server, "1002", None);
    let leg = OtherLeg::begin(bob.address);
    let mut strangers = Strangers::new(8);
    let sent = over_udp(&mut strangers, &mut server, 3, thin, &[OPEN_PORT]);
    pause(seconds(1.0));
    let seen = leg.end();
    let invites = seen.iter().filter(|m| m.starts_with(b"INVITE ")).count();
    let (mut nul, mut bare, mut planted) = (0, 0, 0);
    for message in &seen {
        let text = head(message);
        nul += usize::from(text.contains(&0));
        let lone = |i: usize| match text[i] {
            b'\r' => text.get(i + 1) != Some(&b'\n'),
            b'\n' => i == 0 || text[i - 1] != b'\r',
            _ => false,
        };
        bare += usize::from((0..text.len()).any(lone));
        let line = format!("\n{}", PLANTED.to_ascii_lowercase());
        let lower = text.to_ascii_lowercase();
        // outside of calls requests are passed on as a proxy does, with the headers that it does not know (RFC 3261 §16.6)
        let passed_on = text.starts_with(b"OPTIONS ") || text.starts_with(b"MESSAGE ");
        planted +=
            usize::from(!passed_on && lower.windows(line.len()).any(|w| w == line.as_bytes()));
    }
    eprintln!(
        "{sent} messages to an open profile, {invites} INVITEs reached the other leg: {nul} with NUL, {bare} with bare CR or LF, {planted} with planted headers"
    );
    assert!(
        invites > sent / 50,
        "hardly anything reached the other leg: {invites} of {sent}"
    );
    assert_eq!((nul, bare, planted), (0, 0, 0));
    assert_well(&mut server, "calls to the other leg");
}

#[test]
fn nothing_malformed_reaches_the_other_leg() {
    other_leg(10);
}

#[test]
#[ignore = "long: make gates"]
fn gate_nothing_malformed_reaches_the_other_leg() {
    other_leg(1);
}

/// One source sends as fast as it can; a bystander asks meanwhile.
fn flood(lab: Lab, method: &str, time: Duration) -> (u64, ground::Watch) {
    let mut server = Server::start(lab);
    let to = server.lab.phones();
    let socket = UdpSocket::bind((address(), 5060)).expect("an address of its own");
    let message = Maker::new(socket.local_addr().expect("bound"), "UDP").request(method);
    let bystander = Bystander::begin(to, Duration::from_millis(20));
    let (begin, mut sent) = (Instant::now(), 0);
    while begin.elapsed() < time {
        for _ in 0..100 {
            sent += u64::from(socket.send_to(&message, to).is_ok());
        }
    }
    let rate = (sent as f64 / begin.elapsed().as_secs_f64()) as u64;
    let watch = bystander.end();
    assert_well(&mut server, "a flood");
    let page = server.api().try_get("/metrics").text;
    let dropped = page
        .lines()
        .find_map(|line| line.strip_prefix(r#"strowger_guard_dropped_total{reason="over-rate"} "#))
        .and_then(|number| number.parse::<u64>().ok())
        .expect("the guard's counter");
    eprintln!(
        "{method} flood of one source, {rate} messages a second, {dropped} dropped by the guard: {} of {} pings answered within 500 ms, longest silence {:?}",
        watch.served, watch.asked, watch.gap
    );
    assert!(dropped > 0);
    (rate, watch)
}

#[test]
fn a_flood_of_one_source_leaves_others_served() {
    let mut lab = lab();
    lab.change("strowger.toml", "[guard]", "[guard]\nrate = 100");
    let (_, watch) = flood(lab, "REGISTER", seconds(3.0));
    assert!(watch.share() >= SHORT.share, "{watch:?}");
}

#[test]
#[ignore = "long: make gates"]
fn gate_a_flood_of_one_source_leaves_others_served() {
    for method in ["REGISTER", "INVITE"] {
        let (_, watch) = flood(lab(), method, seconds(30.0));
        assert!(watch.share() >= LONG.share, "{watch:?}");
    }
}

#[test]
fn slow_and_idle_connections_are_cut() {
    let mut server = Server::start(lab());
    let to = server.lab.phones();
    let whole = Maker::new(at(address(), 5060), "TCP").request("OPTIONS");
    let open = |first: &[u8]| {
        let mut stream = TcpStream::connect(to).expect("connects");
        stream.set_nonblocking(true).expect("a mode");
        let _ = stream.write(first);
        stream
    };
    let before = memory(&mut server);
    let mut streams: Vec<TcpStream> = Vec::new();
    for _ in 0..20 {
        streams.push(open(b""));
        streams.push(open(&whole[..40]));
        streams.push(open(
            b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 4000000000\r\n\r\n",
        ));
        streams.push(open(b"OPTIONS sip:x SIP/2.0\r\nX: "));
    }
    let begin = Instant::now();
    let mut cut = 0;
    while begin.elapsed() < seconds(12.0) && !streams.is_empty() {
        let count = streams.len();
        streams.retain_mut(|stream| {
            let alive = stream.write(b"a").is_ok();
            let mut buffer = [0; 512];
            match stream.read(&mut buffer) {
                Ok(0) => false,
                Ok(_) => true,
                Err(error) => alive && error.kind() == std::io::ErrorKind::WouldBlock,
            }
        });
        cut += count - streams.len();
        pause(seconds(0.2));
    }
    let last = begin.elapsed();
    let grown = memory(&mut server).saturating_sub(before);
    eprintln!("{cut} of 80 slow connections cut, the last after {last:?}; memory +{grown} bytes");
    assert_eq!(streams.len(), 0, "not cut after {last:?}");
    assert!(grown < 80 * 64 * 1024 + (4 << 20), "{grown}");
    assert_well(&mut server, "slow peers");
}

#[test]
#[ignore = "long: make gates"]
fn gate_memory_does_not_grow_with_a_second_pass() {
    let mut server = Server::start(lab());
    let mut strangers = Strangers::new(8);
    let mut figures = Vec::new();
    for _ in 0..3 {
        over_udp(&mut strangers, &mut server, 5, 1, &[5060, OPEN_PORT]);
        server.wait_idle();
        // transactions are over after 32 s (RFC 3261 timers), and the allocator gives back a while later
        pause(seconds(45.0));
        figures.push(memory(&mut server));
    }
    let grown = figures[2].saturating_sub(figures[1]);
    eprintln!("memory after each identical pass: {figures:?}, +{grown} bytes after the second");
    assert!(grown <= 2 << 20, "{figures:?}");
}

/// Answers of the server to a name, with what differs from request to request blanked.
fn answers_to(server: &Server, socket: &UdpSocket, user: &str, number: u32) -> Vec<String> {
    let own = socket.local_addr().expect("bound");
    let mut out = Vec::new();
    for (cseq, method) in ["REGISTER", "INVITE", "SUBSCRIBE"].iter().enumerate() {
        let mut proof = String::new();
        for _ in 0..2 {
            let n = format!("{user}-{number}-{cseq}-{}", out.len());
            let text = format!(
                "{method} sip:{user}@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKe{n};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{user}@pbx.test>;tag=e{n}\r\n\
                 To: <sip:{user}@pbx.test>\r\nCall-ID: e-{n}@{own}\r\nCSeq: 1 {method}\r\nContact: <sip:{user}@{own}>\r\nEvent: presence\r\n{proof}Content-Length: 0\r\n\r\n"
            );
            socket
                .send_to(text.as_bytes(), server.lab.phones())
                .expect("sent");
            let mut buffer = [0; 4096];
            let answer = loop {
                let length = socket.recv(&mut buffer).expect("an answer");
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.contains(&format!("e-{n}@")) && !text.starts_with("SIP/2.0 1") {
                    break text;
                }
            };
            let between = |text: &str, from: &str, to: &str| {
                let rest = text.split(from).nth(1)?;
                Some(rest.split(to).next()?.to_string())
            };
            let nonce = between(&answer, "nonce=\"", "\"").unwrap_or_default();
            let tag = between(&answer, &format!("To: <sip:{user}@pbx.test>;tag="), "\r\n")
                .unwrap_or_default();
            let header = if *method == "REGISTER" {
                "Authorization"
            } else {
                "Proxy-Authorization"
            };
            proof = format!(
                "{header}: Digest username=\"{user}\", realm=\"pbx.test\", nonce=\"{nonce}\", uri=\"sip:pbx.test\", response=\"00000000000000000000000000000000\", \
                 algorithm=MD5, cnonce=\"c\", qop=auth, nc=00000001\r\n"
            );
            let mut same = answer.replace(&n, "N").replace(user, "U");
            for (own, name) in [(&nonce, "NONCE"), (&tag, "TAG")] {
                if !own.is_empty() {
                    same = same.replace(own.as_str(), name);
                }
            }
            out.push(same);
        }
    }
    out
}

#[test]
fn known_and_unknown_users_get_the_same_bytes() {
    let server = Server::start(lab());
    let socket = UdpSocket::bind((address(), 5060)).expect("an address of its own");
    socket
        .set_read_timeout(Some(seconds(3.0)))
        .expect("a timeout");
    for number in 0..20 {
        // a name is asked for once: three wrong passwords for one name are refused, whether it exists or not
        let other = UdpSocket::bind((address(), 5060)).expect("an address of its own");
        other
            .set_read_timeout(Some(seconds(3.0)))
            .expect("a timeout");
        let known = answers_to(&server, &other, "1001", number);
        let unknown = answers_to(&server, &other, "7777", number);
        for (known, unknown) in known.iter().zip(&unknown) {
            assert_eq!(known, unknown);
        }
        assert!(
            known[0].starts_with("SIP/2.0 401 ") && known[2].starts_with("SIP/2.0 407 "),
            "{known:?}"
        );
    }
    drop(socket);
}
