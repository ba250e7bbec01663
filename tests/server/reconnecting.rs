//! A telephone over TCP whose connection breaks during a call: it comes back, and the call finds it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use strowger::base::Secret;
use strowger::sip::{Builder, Challenge, Message, Method, Name, StatusCode};

use crate::devices::Device;
use crate::support::lab::{self, DOMAIN, Lab};
use crate::support::seconds;
use crate::support::server::Server;

const INSTANCE: &str = "<urn:uuid:00000000-0000-1000-8000-0000000000aa>";

/// A telephone that is played by hand over one connection after the other.
struct TcpPhone {
    extension: &'static str,
    server: SocketAddr,
    stream: TcpStream,
    read: Vec<u8>,
    serial: u32,
}

impl TcpPhone {
    fn connect(server: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(server).expect("the server listens");
        stream
            .set_read_timeout(Some(seconds(15.0)))
            .expect("a timeout");
        stream
    }

    fn new(server: &Server, extension: &'static str) -> TcpPhone {
        let server = server.lab.phones();
        TcpPhone {
            extension,
            server,
            stream: TcpPhone::connect(server),
            read: Vec::new(),
            serial: 0,
        }
    }

    /// The connection breaks, and another one takes its place.
    fn breaks(&mut self) {
        self.stream = TcpPhone::connect(self.server);
        self.read.clear();
    }

    fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("an address")
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the connection stands");
    }

    /// The next message of the server.
    #[track_caller]
    fn next(&mut self) -> Message {
        loop {
            let head = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(head) = head {
                let text = String::from_utf8_lossy(&self.read[..head]).to_ascii_lowercase();
                let length: usize = text
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:"))
                    .map_or(0, |value| value.trim().parse().expect("a number"));
                let end = head + 4 + length;
                if self.read.len() >= end {
                    let message: Vec<u8> = self.read.drain(..end).collect();
                    return Message::parse(Bytes::from(message)).expect("a message");
                }
            }
            let mut more = [0; 4096];
            let count = self.stream.read(&mut more).expect("something comes");
            assert!(count > 0, "the server closed the connection");
            self.read.extend_from_slice(&more[..count]);
        }
    }

    fn register_text(&mut self, credentials: &str) -> String {
        self.serial += 1;
        let (n, at, user) = (self.serial, self.address(), self.extension);
        format!(
            "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TCP {at};branch=z9hG4bKr{n};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@{DOMAIN}>;tag=r\r\nTo: <sip:{user}@{DOMAIN}>\r\nCall-ID: tcp-phone\r\nCSeq: {n} REGISTER\r\n\
             Contact: <sip:{user}@{at};transport=tcp>;+sip.instance=\"{INSTANCE}\";reg-id=1\r\nSupported: outbound, path, gruu\r\n\
             Expires: 300\r\n{credentials}Content-Length: 0\r\n\r\n"
        )
    }

    /// Registers with its password.
    #[track_caller]
    fn register(&mut self) -> Message {
        let first = self.register_text("");
        self.send(first.as_bytes());
        let asked = self.next();
        assert_eq!(asked.status(), Some(StatusCode::UNAUTHORIZED));
        let value = asked
            .header(Name::WwwAuthenticate)
            .expect("a challenge")
            .to_vec();
        let credentials = strowger::auth::respond(
            &Challenge::parse(&value).expect("a challenge"),
            &Method::Register,
            format!("sip:{DOMAIN}").as_bytes(),
            self.extension,
            &Secret::new(lab::password(self.extension)),
            1,
            b"cnonce",
            b"",
        );
        let credentials = format!("Authorization: {}\r\n", credentials.expect("an answer"));
        let second = self.register_text(&credentials);
        self.send(second.as_bytes());
        let answer = self.next();
        assert_eq!(answer.status(), Some(StatusCode::OK));
        answer
    }

    fn answer(&mut self, request: &Message, sdp: &str) {
        let contact = format!("<sip:{}@{};transport=tcp>", self.extension, self.address());
        let answer = Builder::response(request, StatusCode::OK, "")
            .to_tag(b"tcp-phone")
            .header(Name::Contact, contact);
        let answer = match sdp {
            "" => answer.finish(),
            sdp => answer.body("application/sdp", sdp.as_bytes()),
        };
        let bytes = answer.bytes().clone();
        self.send(&bytes);
    }
}

#[test]
fn a_bye_reaches_a_phone_that_reconnected_during_the_call() {
    let server = Server::start(Lab::new());
    let caller = Device::new("1002", None);
    let mut phone = TcpPhone::new(&server, "1001");
    let answer = phone.register();
    assert!(answer.has_option_tag(Name::Require, "outbound"));
    let gruus = answer.header(Name::Contact).expect("a contact").to_vec();
    assert!(String::from_utf8_lossy(&gruus).contains("temp-gruu="));
    let mut call = caller
        .calls(&server, "call", "1001")
        .set("talk_ms", 3000)
        .start();
    let invite = phone.next();
    assert_eq!(*invite.method(), Method::Invite);
    let ip = phone.address().ip();
    phone.answer(
        &invite,
        &format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40400 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        ),
    );
    assert_eq!(*phone.next().method(), Method::Ack);
    phone.breaks();
    server.wait_registered("1001", 0);
    phone.register();
    let bye = phone.next();
    assert_eq!(*bye.method(), Method::Bye, "on the new connection");
    phone.answer(&bye, "");
    call.succeed();
    server.wait_idle();
}

#[test]
fn a_phone_that_is_away_when_the_call_ends_hears_of_it_when_it_is_back() {
    let server = Server::start(Lab::new());
    let caller = Device::new("1002", None);
    let mut phone = TcpPhone::new(&server, "1001");
    phone.register();
    let mut call = caller
        .calls(&server, "call", "1001")
        .set("talk_ms", 500)
        .start();
    let invite = phone.next();
    let ip = phone.address().ip();
    phone.answer(
        &invite,
        &format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40404 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        ),
    );
    assert_eq!(*phone.next().method(), Method::Ack);
    phone
        .stream
        .shutdown(std::net::Shutdown::Both)
        .expect("a connection");
    call.succeed();
    phone.breaks();
    phone.register();
    let bye = phone.next();
    assert_eq!(*bye.method(), Method::Bye);
    phone.answer(&bye, "");
    server.wait_idle();
}
