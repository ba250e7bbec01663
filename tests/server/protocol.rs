//! What a stranger with a socket is told: methods, extensions, hops, dialogs that do not exist, broken messages.

use std::net::{SocketAddr, UdpSocket};

use crate::support::lab::Lab;
use crate::support::server::Server;
use crate::support::{address, seconds};

/// A peer that writes its messages by hand.
struct Peer {
    socket: UdpSocket,
    server: SocketAddr,
    sent: u32,
}

impl Peer {
    fn new(server: &Server) -> Peer {
        let socket = UdpSocket::bind((address(), 5060)).expect("an address of its own");
        socket
            .set_read_timeout(Some(seconds(3.0)))
            .expect("a timeout");
        Peer {
            socket,
            server: server.lab.phones(),
            sent: 0,
        }
    }

    /// A request with these lines after the usual ones.
    fn request(&mut self, method: &str, to_tag: &str, lines: &str) -> String {
        self.sent += 1;
        let own = self.own();
        let n = self.sent;
        format!(
            "{method} sip:1002@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP hidden.example:5060;branch=z9hG4bKpeer{n};rport\r\n\
             From: <sip:peer@pbx.test>;tag=p{n}\r\nTo: <sip:1002@pbx.test>{to_tag}\r\nCall-ID: peer-{n}@{ip}\r\nCSeq: 7 {method}\r\n\
             Contact: <sip:peer@{own}>\r\n{lines}Content-Length: 0\r\n\r\n",
            ip = own.ip()
        )
    }

    /// Sends one, and gives its answer.
    #[track_caller]
    fn ask(&mut self, method: &str, to_tag: &str, lines: &str) -> String {
        let text = self.request(method, to_tag, lines);
        self.say(&text);
        self.answer()
            .unwrap_or_else(|| panic!("no answer to\n{text}"))
    }

    fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).expect("sent");
    }

    /// The next final answer.
    fn answer(&self) -> Option<String> {
        let mut buffer = [0u8; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).ok()?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if !text.starts_with("SIP/2.0 1") {
                return Some(text);
            }
        }
    }
}

#[track_caller]
fn assert_answer(answer: &str, status: u16, parts: &[&str]) {
    assert!(
        answer.starts_with(&format!("SIP/2.0 {status} ")),
        "{status} expected: {answer}"
    );
    for part in parts {
        assert!(answer.contains(part), "`{part}` is missing: {answer}");
    }
}

const HOPS: &str = "Max-Forwards: 70\r\n";

#[test]
fn options_says_what_is_served() {
    let server = Server::start(Lab::new());
    let mut peer = Peer::new(&server);
    // a stranger hears no more than it says, so it says much
    let long = format!("{HOPS}Subject: {}\r\n", "a question ".repeat(40));
    let answer = peer.ask("OPTIONS", "", &long);
    assert_answer(
        &answer,
        200,
        &["\r\nAllow: INVITE, ACK", "\r\nAccept: application/sdp"],
    );
    let own = peer.socket.local_addr().expect("bound");
    // RFC 3581 §4: where the request came from, whatever its Via says.
    assert_answer(
        &answer,
        200,
        &[
            &format!("received={}", own.ip()),
            "rport=5060",
            "branch=z9hG4bKpeer1",
            "Call-ID: peer-1@",
            "CSeq: 7 OPTIONS",
            "From: <sip:peer@pbx.test>;tag=p1",
            "To: <sip:1002@pbx.test>;tag=",
        ],
    );
}

#[test]
fn what_is_not_served_is_refused_with_what_is() {
    let server = Server::start(Lab::new());
    let mut peer = Peer::new(&server);
    // what is served is served to people who prove who they are
    for method in ["MESSAGE", "SUBSCRIBE", "PUBLISH", "FROBNICATE"] {
        assert_answer(
            &peer.ask(method, "", HOPS),
            407,
            &["\r\nProxy-Authenticate: Digest "],
        );
    }
    assert_answer(
        &peer.ask(
            "INVITE",
            "",
            "Max-Forwards: 70\r\nRequire: frobnication, outbound\r\nRequire: nonsense\r\n",
        ),
        420,
        &["\r\nUnsupported: frobnication, nonsense\r\n"],
    );
    assert_answer(&peer.ask("OPTIONS", "", "Max-Forwards: 0\r\n"), 483, &[]);
}

#[test]
fn dialogs_and_transactions_that_do_not_exist_are_denied() {
    let server = Server::start(Lab::new());
    let mut peer = Peer::new(&server);
    for method in ["BYE", "INVITE", "UPDATE", "INFO"] {
        assert_answer(&peer.ask(method, ";tag=nowhere", HOPS), 481, &[]);
    }
    assert_answer(&peer.ask("BYE", "", HOPS), 481, &[]);
    assert_answer(&peer.ask("CANCEL", "", HOPS), 481, &[]);
}

#[test]
fn a_stranger_who_calls_is_challenged_once_and_costs_nothing() {
    let server = Server::start(Lab::new());
    let mut peer = Peer::new(&server);
    assert_answer(
        &peer.ask("INVITE", "", HOPS),
        407,
        &[
            "\r\nProxy-Authenticate: Digest realm=\"pbx.test\"",
            "algorithm=MD5",
            "qop=\"auth\"",
        ],
    );
    // Nobody repeats it for the want of an ACK.
    assert!(peer.answer().is_none());
    let status = server.api().get("/status");
    assert_eq!(
        (&status["calls"], &status["transactions"]),
        (&0.into(), &0.into()),
        "{status}"
    );
}

#[test]
fn broken_messages_are_named_where_the_sender_can_be_told_and_harm_nobody() {
    let server = Server::start(Lab::new());
    let peer = Peer::new(&server);
    let own = peer.socket.local_addr().expect("bound");
    peer.send(
        format!(
            "OPTIONS sip:1002@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKbroken\r\nFrom: <sip:peer@pbx.test>;tag=b\r\n\
             To: <sip:1002@pbx.test>\r\nCall-ID: broken\r\nCSeq: seven OPTIONS\r\nMax-Forwards: 70\r\nUser-Agent: a client with a bug\r\n\
             X-Padding: {}\r\nContent-Length: 0\r\n\r\n",
            "x".repeat(200)
        )
        .as_bytes(),
    );
    let answer = peer.answer().expect("an answer");
    assert_answer(&answer, 400, &["branch=z9hG4bKbroken", "Call-ID: broken"]);
    for garbage in [
        &b"\0\0\0\0"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"INVITE",
        b"\xff\xfe\xfd",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"\r\n\r\n",
    ] {
        peer.send(garbage);
    }
    let mut peer = peer;
    assert_answer(&peer.ask("OPTIONS", "", HOPS), 200, &[]);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// The value of a header line, by its full name.
fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A response to `request` of a peer, with these lines.
fn response(request: &str, line: &str, to_tag: &str, more: &str) -> String {
    let mut text = format!("SIP/2.0 {line}\r\n");
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        let value = header(request, name).expect("a header that every request has");
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let to = header(request, "To").expect("a To");
    let tag = if to.contains(";tag=") { "" } else { to_tag };
    text.push_str(&format!("To: {to}{tag}\r\n{more}"));
    if !more.contains("Content-Length") {
        text.push_str("Content-Length: 0\r\n\r\n");
    }
    text
}

fn sdp(ip: std::net::IpAddr) -> String {
    sdp_with(ip, "")
}

fn sdp_with(ip: std::net::IpAddr, more: &str) -> String {
    let body = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=secret-session\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\na=x-secret:line\r\n{more}"
    );
    format!(
        "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The lab with phones that need no password.
fn trusting() -> Lab {
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/internal.toml",
        r#"auth     = "digest""#,
        r#"auth     = "none""#,
    );
    lab
}

impl Peer {
    fn own(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    fn say(&self, text: &str) {
        self.send(text.as_bytes());
    }

    #[track_caller]
    fn register(&self, extension: &str) {
        let own = self.own();
        self.say(&format!(
            "REGISTER sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKreg\r\nMax-Forwards: 70\r\nFrom: <sip:{extension}@pbx.test>;tag=r\r\n\
             To: <sip:{extension}@pbx.test>\r\nCall-ID: reg\r\nCSeq: 1 REGISTER\r\nContact: <sip:{extension}@{own}>\r\nExpires: 300\r\n\
             Content-Length: 0\r\n\r\n"
        ));
        self.hear("SIP/2.0 200");
    }

    /// The next message that begins like this; others are passed over.
    #[track_caller]
    fn hear(&self, begin: &str) -> String {
        let mut buffer = [0u8; 8192];
        loop {
            let length = self
                .socket
                .recv(&mut buffer)
                .unwrap_or_else(|_| panic!("`{begin}` did not come"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with(begin) {
                return text;
            }
        }
    }
}

#[test]
fn nothing_crosses_that_the_table_does_not_name() {
    let server = Server::start(trusting());
    let (caller, callee) = (Peer::new(&server), Peer::new(&server));
    let (a, b) = (caller.own(), callee.own());
    callee.register("1002");

    // What the table lets through is marked `open`, what it does not `secret`.
    caller.say(&format!(
        "INVITE sip:1002@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {a};branch=z9hG4bKcall-secret\r\nMax-Forwards: 70\r\n\
         From: \"Ann\" <sip:1001@pbx.test>;tag=secret-a\r\nTo: <sip:1002@pbx.test>\r\nCall-ID: secret-id\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:1001@{a};secret=1>\r\nSubject: open-subject\r\nUser-to-User: open-uui;encoding=hex\r\n\
         User-Agent: secret-phone\r\nX-Trace: secret-x\r\nP-Asserted-Identity: <sip:secret@pbx.test>\r\nAlert-Info: <http://secret.example/>\r\n\
         Organization: secret-org\r\nRecord-Route: <sip:secret.example;lr>\r\n{}",
        sdp(a.ip())
    ));
    let invite = callee.hear("INVITE ");
    assert_eq!(header(&invite, "Subject"), Some("open-subject"), "{invite}");
    assert!(invite.contains("open-uui"), "{invite}");
    for hidden in ["secret", &a.ip().to_string()] {
        assert!(!invite.contains(hidden), "`{hidden}` crossed: {invite}");
    }

    callee.say(&response(
        &invite,
        "200 OK",
        ";tag=secret-b",
        &format!(
            "Contact: <sip:1002@{b};secret=2>\r\nX-Trace: secret-y\r\nServer: secret-phone\r\nSubject: secret-subject\r\n{}",
            sdp(b.ip())
        ),
    ));
    callee.hear("ACK ");
    let ok = caller.hear("SIP/2.0 200");
    let (body_of_ours, own_lines) = (
        ok.split("\r\n\r\n").nth(1).unwrap_or_default(),
        ok.replace("secret-a", "")
            .replace("secret-id", "")
            .replace("call-secret", ""),
    );
    assert!(body_of_ours.contains("m=audio"), "{ok}");
    // The caller's own Record-Route comes back to it (RFC 3261 §12.1.1); that is its own word.
    let own_lines = own_lines.replace("<sip:secret.example;lr>", "");
    for hidden in ["secret", &b.ip().to_string()] {
        assert!(!own_lines.contains(hidden), "`{hidden}` crossed back: {ok}");
    }

    let target = header(&ok, "Contact")
        .and_then(|contact| contact.split(['<', '>']).nth(1))
        .expect("a Contact");
    let to = header(&ok, "To").expect("a To");
    for (method, reason) in [
        ("ACK", ""),
        (
            "BYE",
            "Reason: Q.850;cause=31;text=\"open-reason\"\r\nX-Trace: secret-z\r\n",
        ),
    ] {
        let cseq = if method == "ACK" { 1 } else { 2 };
        caller.say(&format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {a};branch=z9hG4bK{method}-secret\r\nMax-Forwards: 70\r\n\
             From: \"Ann\" <sip:1001@pbx.test>;tag=secret-a\r\nTo: {to}\r\nCall-ID: secret-id\r\nCSeq: {cseq} {method}\r\n{reason}Content-Length: 0\r\n\r\n"
        ));
    }
    let bye = callee.hear("BYE ");
    assert!(
        bye.contains("open-reason"),
        "the Reason of one side reaches the other: {bye}"
    );
    let of_theirs = bye.replace("secret-b", "").replace("secret=2", "");
    assert!(!of_theirs.contains("secret"), "{bye}");
    callee.say(&response(&bye, "200 OK", "", ""));
    caller.hear("SIP/2.0 200");
    server.wait_records(1);
    server.wait_idle();
}

#[test]
fn a_call_cancelled_because_it_was_answered_elsewhere_is_no_missed_call_here_either() {
    let server = Server::start(trusting());
    let (caller, callee) = (Peer::new(&server), Peer::new(&server));
    callee.register("1002");
    let a = caller.own();
    let request = |method: &str, more: &str| {
        format!(
            "{method} sip:1002@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {a};branch=z9hG4bKfork\r\nMax-Forwards: 70\r\nFrom: <sip:1001@pbx.test>;tag=a\r\n\
             To: <sip:1002@pbx.test>\r\nCall-ID: fork\r\nCSeq: 1 {method}\r\n{more}"
        )
    };
    caller.say(&request(
        "INVITE",
        &format!("Contact: <sip:1001@{a}>\r\n{}", sdp(a.ip())),
    ));
    let invite = callee.hear("INVITE ");
    callee.say(&response(&invite, "180 Ringing", ";tag=b", ""));
    caller.hear("SIP/2.0 180");
    caller.say(&request(
        "CANCEL",
        "Reason: SIP;cause=200;text=\"picked up at the desk\"\r\nContent-Length: 0\r\n\r\n",
    ));
    let cancel = callee.hear("CANCEL ");
    assert_eq!(
        header(&cancel, "Reason"),
        Some("SIP;cause=200;text=\"picked up at the desk\""),
        "{cancel}"
    );
    callee.say(&response(&cancel, "200 OK", ";tag=b", ""));
    callee.say(&response(&invite, "487 Request Terminated", ";tag=b", ""));
    callee.hear("ACK ");
    let refused = caller.hear("SIP/2.0 487");
    let to = header(&refused, "To").expect("a To");
    caller.say(
        &request("ACK", "Content-Length: 0\r\n\r\n")
            .replace("To: <sip:1002@pbx.test>", &format!("To: {to}")),
    );
    assert_eq!(server.wait_records(1)[0]["outcome"], "cancelled");
    server.wait_idle();
}

#[test]
fn a_request_out_of_order_in_its_dialog_is_refused_and_the_call_goes_on() {
    let server = Server::start(trusting());
    let caller = Peer::new(&server);
    let a = caller.own();
    caller.say(&format!(
        "INVITE sip:*43@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {a};branch=z9hG4bKecho\r\nMax-Forwards: 70\r\nFrom: <sip:1001@pbx.test>;tag=a\r\n\
         To: <sip:*43@pbx.test>\r\nCall-ID: echo\r\nCSeq: 10 INVITE\r\nContact: <sip:1001@{a}>\r\n{}",
        sdp(a.ip())
    ));
    let ok = caller.hear("SIP/2.0 200");
    // RFC 3261 §13.3.1.4: it comes again until it is acknowledged.
    caller.hear("SIP/2.0 200");
    let target = header(&ok, "Contact")
        .and_then(|contact| contact.split(['<', '>']).nth(1))
        .expect("a Contact");
    let to = header(&ok, "To").expect("a To");
    let in_dialog = |method: &str, cseq: u32| {
        caller.say(&format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {a};branch=z9hG4bKd{cseq}{method}\r\nMax-Forwards: 70\r\nFrom: <sip:1001@pbx.test>;tag=a\r\n\
             To: {to}\r\nCall-ID: echo\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
        ));
    };
    in_dialog("ACK", 10);
    in_dialog("OPTIONS", 9);
    caller.hear("SIP/2.0 500");
    in_dialog("OPTIONS", 11);
    let answer = caller.hear("SIP/2.0 200 OK");
    let answer = if answer.contains("CSeq: 11 OPTIONS") {
        answer
    } else {
        caller.hear("SIP/2.0 200 OK")
    };
    assert!(answer.contains("CSeq: 11 OPTIONS"), "{answer}");
    in_dialog("MESSAGE", 12);
    let refused = caller.hear("SIP/2.0 405");
    assert!(refused.contains("\r\nAllow: "), "{refused}");
    // RFC 3311: an offer in UPDATE is answered in its 200.
    caller.say(&format!(
        "UPDATE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {a};branch=z9hG4bKupdate\r\nMax-Forwards: 70\r\nFrom: <sip:1001@pbx.test>;tag=a\r\n\
         To: {to}\r\nCall-ID: echo\r\nCSeq: 13 UPDATE\r\nContact: <sip:1001@{a}>\r\n{}",
        sdp_with(a.ip(), "a=inactive\r\n")
    ));
    let held = caller.hear("SIP/2.0 200");
    assert!(
        held.contains("CSeq: 13 UPDATE") && held.contains("a=inactive"),
        "{held}"
    );
    assert_eq!(server.api().get("/status")["calls"], 1);
    in_dialog("BYE", 14);
    caller.hear("SIP/2.0 200");
    server.wait_records(1);
    server.wait_idle();
}

#[test]
fn an_invite_with_a_body_that_is_no_session_is_refused_with_what_is_read() {
    let server = Server::start(trusting());
    let caller = Peer::new(&server);
    let a = caller.own();
    caller.say(&format!(
        "INVITE sip:*43@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {a};branch=z9hG4bKbody\r\nMax-Forwards: 70\r\nFrom: <sip:1001@pbx.test>;tag=a\r\n\
         To: <sip:*43@pbx.test>\r\nCall-ID: body\r\nCSeq: 1 INVITE\r\nContact: <sip:1001@{a}>\r\n\
         Content-Type: application/x-frobnication\r\nContent-Length: 4\r\n\r\nabcd"
    ));
    let answer = caller.answer().expect("an answer");
    assert_answer(&answer, 415, &["\r\nAccept: application/sdp"]);
    server.wait_idle();
}

#[test]
fn a_profile_may_ask_for_sha_256_and_takes_nothing_less() {
    use sha2::{Digest, Sha256};
    let hex = |text: String| -> String {
        Sha256::digest(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let mut lab = Lab::new();
    lab.change(
        "sip-profiles/internal.toml",
        r#"auth     = "digest""#,
        "auth     = \"digest\"\ndigest   = \"sha-256\"",
    );
    let server = Server::start(lab);
    let mut peer = Peer::new(&server);
    let asked = peer.ask("REGISTER", "", HOPS);
    assert_answer(&asked, 401, &["algorithm=SHA-256"]);
    let nonce = asked
        .split("nonce=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a nonce");
    let own = peer.own();
    let register = |cseq: u32, algorithm: &str, response: &str| {
        format!(
            "REGISTER sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKsha{cseq}\r\nMax-Forwards: 70\r\nFrom: <sip:1002@pbx.test>;tag=r\r\n\
             To: <sip:1002@pbx.test>\r\nCall-ID: sha\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:1002@{own}>\r\n\
             Authorization: Digest username=\"1002\", realm=\"pbx.test\", nonce=\"{nonce}\", uri=\"sip:pbx.test\", algorithm={algorithm}, \
             qop=auth, nc=00000001, cnonce=\"c\", response=\"{response}\"\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let secret = hex(format!(
        "1002:pbx.test:{}",
        crate::support::lab::password("1002")
    ));
    let request = hex("REGISTER:sip:pbx.test".to_string());
    let response = hex(format!("{secret}:{nonce}:00000001:c:auth:{request}"));
    peer.say(&register(1, "MD5", &response[..32]));
    assert_answer(&peer.answer().expect("an answer"), 401, &["SHA-256"]);
    peer.say(&register(2, "SHA-256", &response));
    assert_answer(&peer.answer().expect("an answer"), 200, &[]);
    server.wait_registered("1002", 1);
}

#[test]
fn a_reload_opens_a_new_address_and_closes_the_old_one() {
    let server = Server::start(Lab::new());
    let mut peer = Peer::new(&server);
    assert_answer(&peer.ask("OPTIONS", "", HOPS), 200, &[]);
    let file = server.path("sip-profiles/internal.toml");
    let text = std::fs::read_to_string(&file).expect("readable");
    std::fs::write(&file, text.replace(":5060\"", ":5062\"")).expect("writable");
    let answer = server.api().post("/reload", &serde_json::json!({}));
    assert!(
        answer["opened"].to_string().contains(":5062")
            && answer["closed"].to_string().contains(":5060"),
        "{answer}"
    );
    let old = peer.server;
    peer.server.set_port(5062);
    assert_answer(&peer.ask("OPTIONS", "", HOPS), 200, &[]);
    peer.server = old;
    let late = peer.request("OPTIONS", "", HOPS);
    peer.say(&late);
    assert!(peer.answer().is_none(), "the old address is closed");
}

#[test]
fn a_register_with_a_wrong_password_gets_403_after_a_few_tries() {
    let server = Server::start(Lab::new());
    let mut peer = Peer::new(&server);
    let mut lines = HOPS.to_string();
    for tries in 0..10 {
        let answer = peer.ask("REGISTER", "", &lines);
        if answer.starts_with("SIP/2.0 403") {
            assert!(tries > 1, "a slip of the finger is forgiven");
            server.wait_registered("1002", 0);
            return;
        }
        assert_answer(&answer, 401, &["WWW-Authenticate: Digest"]);
        let nonce = answer
            .split("nonce=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a nonce");
        lines = format!(
            "{HOPS}Authorization: Digest username=\"1002\", realm=\"pbx.test\", nonce=\"{nonce}\", uri=\"sip:pbx.test\", algorithm=MD5, \
             qop=auth, nc=00000001, cnonce=\"c\", response=\"{}\"\r\n",
            "0".repeat(32)
        );
    }
    panic!("ten wrong passwords and no 403");
}
