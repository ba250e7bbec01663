//! A lamp on the real server: it follows a call, and after kill -9 it comes back by itself.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::{address, seconds};

/// A phone that writes its messages by hand and takes every NOTIFY.
struct Desk {
    socket: UdpSocket,
    server: SocketAddr,
    user: &'static str,
    sent: u32,
}

impl Desk {
    fn new(server: &Server, user: &'static str) -> Desk {
        let socket = UdpSocket::bind((address(), 5060)).expect("an address of its own");
        socket
            .set_read_timeout(Some(seconds(0.2)))
            .expect("a timeout");
        Desk {
            socket,
            server: server.lab.phones(),
            user,
            sent: 0,
        }
    }

    fn send(&self, text: &str) {
        self.socket
            .send_to(text.as_bytes(), self.server)
            .expect("sent");
    }

    fn asks(&mut self, method: &str, to: &str, to_tag: &str, cseq: u32, lines: &str, body: &str) {
        self.sent += 1;
        let (own, user, n) = (self.own(), self.user, self.sent);
        self.send(&format!(
            "{method} sip:{to}@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{user}x{n};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@pbx.test>;tag=f{user}\r\nTo: <sip:{to}@pbx.test>{to_tag}\r\nCall-ID: {user}-{to}@{own}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:{user}@{own}>\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    }

    fn own(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// The next message that holds all of these; NOTIFYs on the way are taken.
    #[track_caller]
    fn hears(&self, parts: &[&str]) -> String {
        let begin = Instant::now();
        let mut heard = Vec::new();
        let mut buffer = [0u8; 8192];
        while begin.elapsed() < seconds(10.0) {
            let Ok(length) = self.socket.recv(&mut buffer) else {
                continue;
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with("NOTIFY ") {
                let line = |name: &str| {
                    let start = format!("{name}: ");
                    let found = text.lines().find(|line| line.starts_with(&start));
                    found.map(|line| format!("{line}\r\n")).unwrap_or_default()
                };
                let same = ["Via", "From", "To", "Call-ID", "CSeq"].map(line).concat();
                self.send(&format!(
                    "SIP/2.0 200 OK\r\n{same}Content-Length: 0\r\n\r\n"
                ));
            }
            if parts.iter().all(|part| text.contains(part)) {
                return text;
            }
            heard.push(text);
        }
        panic!("{parts:?} was not heard, but\n{}", heard.join("\n"));
    }
}

fn number_after(text: &str, before: &str) -> u32 {
    let (_, rest) = text.split_once(before).expect("it is there");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

fn tag_of(answer: &str) -> String {
    let to = answer.lines().find(|line| line.starts_with("To: "));
    let (_, tag) = to.and_then(|to| to.split_once(";tag=")).expect("a tag");
    format!(";tag={tag}")
}

#[test]
fn lamp_follows_a_call_and_comes_back_after_kill_9() {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/internal.toml",
        "auth     = \"digest\"",
        "auth     = \"none\"",
    );
    let mut server = Server::start(lab);
    let mut console = Desk::new(&server, "1003");
    console.asks(
        "SUBSCRIBE",
        "1002",
        "",
        1,
        "Event: dialog\r\nExpires: 600\r\n",
        "",
    );
    console.hears(&["SIP/2.0 200", "Expires: 600"]);
    let first = console.hears(&["NOTIFY ", "state=\"full\""]);
    assert!(!first.contains("<dialog "), "{first}");
    server.kill9();
    server.restart();
    let second = console.hears(&[
        "NOTIFY ",
        "Subscription-State: active;expires=",
        "state=\"full\"",
    ]);
    let call_id = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("Call-ID: "));
        line.map(str::to_owned)
    };
    assert_eq!(call_id(&first), call_id(&second));
    assert!(number_after(&second, "CSeq: ") > number_after(&first, "CSeq: "));
    assert!(
        number_after(&second, "dialog-info\" version=\"")
            > number_after(&first, "dialog-info\" version=\"")
    );
    // the same lamp shows a call that begins after the restart
    let mut phone = Desk::new(&server, "1002");
    let ip = phone.own().ip();
    let body = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    );
    phone.asks(
        "INVITE",
        "*43",
        "",
        1,
        "Content-Type: application/sdp\r\n",
        &body,
    );
    let answer = phone.hears(&["SIP/2.0 200", "INVITE"]);
    let tag = tag_of(&answer);
    phone.asks("ACK", "*43", &tag, 1, "", "");
    let up = console.hears(&[
        "NOTIFY ",
        "<state>confirmed</state>",
        "direction=\"initiator\"",
    ]);
    assert!(
        up.contains(&format!("call-id=\"1002-*43@{}\"", phone.own())),
        "{up}"
    );
    assert!(up.contains("local-tag=\"f1002\""), "{up}");
    assert!(
        up.contains(&format!(
            "remote-tag=\"{}\"",
            tag.trim_start_matches(";tag=")
        )),
        "{up}"
    );
    phone.asks("BYE", "*43", &tag, 2, "", "");
    console.hears(&["NOTIFY ", "<state>terminated</state>"]);
}

#[test]
fn a_device_that_an_operator_drops_is_rung_no_more_and_its_watcher_hears_that_it_was_deactivated() {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/internal.toml",
        "auth     = \"digest\"",
        "auth     = \"none\"",
    );
    let server = Server::start(lab);
    let mut phone = Desk::new(&server, "1002");
    let mut other = Desk::new(&server, "1002");
    for desk in [&mut phone, &mut other] {
        desk.asks("REGISTER", "1002", "", 1, "Expires: 600\r\n", "");
        desk.hears(&["SIP/2.0 200", "CSeq: 1 REGISTER"]);
    }
    phone.asks(
        "SUBSCRIBE",
        "1002",
        "",
        2,
        "Event: reg\r\nExpires: 600\r\n",
        "",
    );
    phone.hears(&["NOTIFY ", "event=\"registered\""]);
    let stale = format!("sip:1002@{}", phone.own());
    let nobody = server.command(&["devices", "drop", "1002", "--contact", "sip:nobody@x"]);
    assert!(!nobody.status.success(), "{nobody:?}");
    let dropped = server.command(&["devices", "drop", "1002", "--contact", &stale]);
    let text = String::from_utf8_lossy(&dropped.stdout).into_owned();
    assert!(
        dropped.status.success() && text.contains(&phone.own().to_string()),
        "{dropped:?}"
    );
    let told = phone.hears(&["NOTIFY ", "event=\"deactivated\""]);
    assert!(told.contains("state=\"terminated\""), "{told}");
    assert!(
        told.contains("event=\"registered\""),
        "the other stays: {told}"
    );
    server.wait_registered("1002", 1);
    let all = server.api().try_delete("/registrations?aor=1002@pbx.test");
    assert_eq!(all.status, 200, "{all:?}");
    server.wait_registered("1002", 0);
    let none = server.api().try_delete("/registrations?aor=1002");
    assert_eq!(none.status, 404);
}
