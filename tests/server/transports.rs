//! Every way in: STUN beside SIP, WebSockets on a listener of their own and on the web server's, certificates instead of addresses, IPv6.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::support::authority::Authority;
use crate::support::lab::{DID, DOMAIN, Lab};
use crate::support::server::Server;
use crate::support::{address, at, seconds};

/// TCP, with or without TLS.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

type Web = WebSocket<Box<dyn Stream>>;

/// What carries the messages of a peer that writes them by hand.
enum Wire {
    Udp(UdpSocket, SocketAddr),
    Web(Box<Web>),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>, Vec<u8>),
}

impl Wire {
    fn udp(own: SocketAddr, server: SocketAddr) -> Wire {
        let socket = UdpSocket::bind(own).expect("binds");
        socket
            .set_read_timeout(Some(seconds(5.0)))
            .expect("a timeout");
        Wire::Udp(socket, server)
    }

    fn web(url: &str, stream: impl Stream + 'static) -> Wire {
        let mut request = url.into_client_request().expect("a URL");
        let sip = "sip".parse().expect("a value");
        request.headers_mut().insert("Sec-WebSocket-Protocol", sip);
        let stream: Box<dyn Stream> = Box::new(stream);
        let Ok((socket, response)) = tungstenite::client(request, stream) else {
            panic!("no WebSocket at {url}");
        };
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
        Wire::Web(Box::new(socket))
    }

    fn say(&mut self, text: &str) {
        match self {
            Wire::Udp(socket, server) => {
                socket.send_to(text.as_bytes(), *server).expect("sent");
            }
            Wire::Web(socket) => socket.send(Message::text(text)).expect("sent"),
            Wire::Tls(tls, _) => tls.write_all(text.as_bytes()).expect("sent"),
        }
    }

    /// The next message.
    #[track_caller]
    fn hear(&mut self) -> String {
        match self {
            Wire::Udp(socket, _) => {
                let mut buffer = [0; 4096];
                let length = socket.recv(&mut buffer).expect("a message");
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            }
            Wire::Web(socket) => loop {
                match socket.read().expect("a message") {
                    Message::Text(text) => return text.to_string(),
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => panic!("{other:?}"),
                }
            },
            Wire::Tls(tls, kept) => loop {
                let text = String::from_utf8_lossy(kept).into_owned();
                if let Some(end) = text.find("\r\n\r\n") {
                    let length: usize = field(&text, "Content-Length").parse().expect("a length");
                    if kept.len() >= end + 4 + length {
                        let rest = kept.split_off(end + 4 + length);
                        let message = std::mem::replace(kept, rest);
                        return String::from_utf8_lossy(&message).into_owned();
                    }
                }
                let mut buffer = [0; 4096];
                let length = tls.read(&mut buffer).expect("a message");
                assert_ne!(length, 0, "the server hung up after {text}");
                kept.extend(&buffer[..length]);
            },
        }
    }

    /// The next that is no provisional response.
    #[track_caller]
    fn hear_final(&mut self) -> String {
        loop {
            let text = self.hear();
            if !text.starts_with("SIP/2.0 1") {
                return text;
            }
        }
    }
}

fn stream(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("connects");
    stream
        .set_read_timeout(Some(seconds(10.0)))
        .expect("a timeout");
    stream
}

/// The same with TLS, to a server that the authority vouches for.
fn secure(
    server: SocketAddr,
    authority: &Authority,
    name: Option<&str>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let host = ServerName::try_from(DOMAIN).expect("a name");
    let session = ClientConnection::new(authority.client(name), host).expect("a session");
    StreamOwned::new(session, stream(server))
}

/// The first value of a header.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
    let found = lines.find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    found.unwrap_or_else(|| panic!("no {name} in {text}"))
}

fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").expect("a head").1
}

/// Somebody with a wire, and a socket for audio.
struct Party {
    wire: Wire,
    user: &'static str,
    /// `UDP host:port` of its Via.
    via: String,
    contact: String,
    audio: UdpSocket,
    sent: u32,
}

impl Party {
    fn new(user: &'static str, wire: Wire, transport: &str, own: SocketAddr) -> Party {
        let audio = UdpSocket::bind((own.ip(), 0)).expect("binds");
        audio
            .set_read_timeout(Some(seconds(5.0)))
            .expect("a timeout");
        Party {
            wire,
            user,
            via: format!("{} {own}", transport.to_uppercase()),
            contact: match transport {
                "ws" => format!("sip:{user}@{user}.invalid;transport=ws"),
                "tls" => format!("sip:{user}@{own};transport=tls"),
                _ => format!("sip:{user}@{own}"),
            },
            audio,
            sent: 0,
        }
    }

    fn sdp(&self) -> String {
        let own = self.audio.local_addr().expect("bound");
        let family = if own.is_ipv4() { "IP4" } else { "IP6" };
        let ip = own.ip();
        format!(
            "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 8\r\n",
            own.port()
        )
    }

    /// Sends a request outside of dialogs; it has no Content-Length where a frame is a message (RFC 7118 §5.4).
    fn request(&mut self, method: &str, uri: &str, body: &str) -> String {
        self.sent += 1;
        let (n, user) = (self.sent, self.user);
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let length = match self.wire {
            Wire::Web(_) => String::new(),
            Wire::Udp(..) | Wire::Tls(..) => format!("Content-Length: {}\r\n", body.len()),
        };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{};branch=z9hG4bK{user}x{n};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@{DOMAIN}>;tag=t{user}{n}\r\nTo: <{uri}>\r\nCall-ID: {user}-{n}\r\nCSeq: {n} {method}\r\n\
             Contact: <{}>\r\n{kind}{length}\r\n{body}",
            self.via, self.contact
        );
        self.wire.say(&text);
        text
    }

    #[track_caller]
    fn registers(&mut self) {
        let user = self.user;
        self.sent += 1;
        self.request("REGISTER", &format!("sip:{user}@{DOMAIN}"), "");
        let answer = self.wire.hear_final();
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }

    /// A request in the dialog that `answer` to `request` made.
    fn follow(&mut self, method: &str, cseq: u32, request: &str, answer: &str) {
        self.sent += 1;
        let contact = field(answer, "Contact");
        let uri = contact.trim_start_matches('<').split('>').next();
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{};branch=z9hG4bK{}y{};rport\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
            uri.expect("a URI"),
            self.via,
            self.user,
            self.sent,
            field(request, "From"),
            field(answer, "To"),
            field(request, "Call-ID"),
        );
        self.wire.say(&text);
    }

    fn answers(&mut self, request: &str, status: &str, sdp: &str) {
        let vias: String = request
            .split("\r\n")
            .filter(|line| line.starts_with("Via:"))
            .map(|line| format!("{line}\r\n"))
            .collect();
        let kind = if sdp.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let tag = if field(request, "To").contains(";tag=") {
            String::new()
        } else {
            format!(";tag=a{}", self.user)
        };
        let text = format!(
            "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <{}>\r\n{kind}Content-Length: {}\r\n\r\n{sdp}",
            field(request, "From"),
            field(request, "To"),
            field(request, "Call-ID"),
            field(request, "CSeq"),
            self.contact,
            sdp.len(),
        );
        self.wire.say(&text);
    }
}

/// Where a description wants audio, and the line that says so.
fn audio_at(description: &str) -> (SocketAddr, String) {
    let line = |start: &str| {
        let mut lines = description.lines();
        let found = lines.find(|line| line.starts_with(start));
        found
            .unwrap_or_else(|| panic!("no {start} in {description}"))
            .to_owned()
    };
    let connection = line("c=");
    let ip: IpAddr = connection
        .split(' ')
        .nth(2)
        .expect("c=")
        .parse()
        .expect("an address");
    let port = line("m=audio")
        .split(' ')
        .nth(1)
        .expect("m=")
        .parse()
        .expect("a port");
    ((ip, port).into(), connection)
}

/// One party speaks to where it was told to, until the other hears exactly that.
#[track_caller]
fn assert_heard(from: &Party, to: SocketAddr, by: &Party, mark: u8) {
    by.audio
        .set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout");
    for n in 0..150u16 {
        let mut packet = vec![0x80, 8, 0, 0, 0, 0, 0, 0, 1, 2, 3, mark];
        packet[2..4].copy_from_slice(&n.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(n) * 160).to_be_bytes());
        packet.extend([mark; 160]);
        from.audio.send_to(&packet, to).expect("sent");
        let mut buffer = [0; 2048];
        while let Ok(length) = by.audio.recv(&mut buffer) {
            if buffer[..length].ends_with(&[mark; 160]) {
                return;
            }
        }
    }
    panic!("nothing of {} arrives at {}", from.user, by.user);
}

/// `one` calls `other`; both are heard; `one` hangs up. Gives the connection lines that each was shown.
#[track_caller]
fn call(server: &Server, one: &mut Party, other: &mut Party) -> (String, String) {
    let uri = format!("sip:{}@{DOMAIN}", other.user);
    let offer = one.sdp();
    let invite = one.request("INVITE", &uri, &offer);
    let cseq = one.sent;
    let incoming = other.wire.hear_final();
    assert!(incoming.starts_with("INVITE "), "{incoming}");
    let answer = other.sdp();
    other.answers(&incoming, "200 OK", &answer);
    let accepted = one.wire.hear_final();
    assert!(accepted.starts_with("SIP/2.0 200 "), "{accepted}");
    one.follow("ACK", cseq, &invite, &accepted);
    let ack = other.wire.hear_final();
    assert!(ack.starts_with("ACK "), "{ack}");
    let (to_one, shown_one) = audio_at(body(&accepted));
    let (to_other, shown_other) = audio_at(body(&incoming));
    assert_heard(one, to_one, other, 0x55);
    assert_heard(other, to_other, one, 0x2a);
    one.follow("BYE", cseq + 1, &invite, &accepted);
    let bye = other.wire.hear_final();
    assert!(bye.starts_with("BYE "), "{bye}");
    other.answers(&bye, "200 OK", "");
    let over = one.wire.hear_final();
    assert!(over.starts_with("SIP/2.0 200 "), "{over}");
    server.wait_idle();
    (shown_one, shown_other)
}

/// A lab whose phones need no password, with more lines in their profile.
fn open_lab(listen: &[String], more: &str) -> Lab {
    let mut lab = Lab::new();
    let path = "sip-profiles/internal.toml";
    let (server, mut list) = (lab.server, String::new());
    for address in listen {
        list.push_str(&format!(", \"{address}\""));
    }
    let tcp = format!("\"tcp:{server}:5060\"");
    lab.change(path, &tcp, &format!("{tcp}{list}"));
    let more = format!("auth     = \"none\"\n{more}");
    lab.change(path, "auth     = \"digest\"\n", &more);
    lab
}

/// One that takes WebSockets at ports of its own, with and without TLS, and at the web server's.
fn web_lab(authority: &Authority) -> Lab {
    let tls = "tls = { certificate = \"certs/pbx.pem\", key = \"certs/pbx.key\" }\n";
    let mut lab = open_lab(&[], &format!("web-path = \"/sip\"\n{tls}"));
    let (certificate, key) = authority.vouch(DOMAIN);
    lab.file("certs/pbx.pem", &certificate);
    lab.file("certs/pbx.key", &key);
    let own = lab.server;
    let tcp = format!("\"tcp:{own}:5060\"");
    let with = format!("{tcp}, \"ws:{own}:5062\", \"wss:{own}:5063\"");
    lab.change("sip-profiles/internal.toml", &tcp, &with);
    lab
}

fn udp_party(server: &Server, user: &'static str) -> Party {
    let own = at(address(), 5060);
    let mut party = Party::new(user, Wire::udp(own, server.lab.phones()), "udp", own);
    party.registers();
    party
}

#[test]
fn a_browser_registers_and_calls_over_a_web_socket_of_either_listener() {
    let authority = Authority::new();
    let server = Server::start(web_lab(&authority));
    let own = server.lab.server;
    let mut desk = udp_party(&server, "1002");
    for (user, transport, port, path) in [
        ("1001", "WS", 5062, "/"),
        ("1003", "WS", 8080, "/sip"),
        ("1004", "WSS", 5063, "/"),
    ] {
        let address = at(own, port);
        let wire = match transport {
            "WSS" => {
                let tls = secure(address, &authority, None);
                Wire::web(&format!("wss://{address}{path}"), tls)
            }
            _ => Wire::web(&format!("ws://{address}{path}"), stream(address)),
        };
        let mut browser = Party::new(user, wire, "ws", at(crate::support::address(), 9));
        browser.via = format!("{transport} {user}.invalid");
        browser.registers();
        let registered = server.wait_registered(user, 1);
        assert_eq!(registered[0]["transport"], transport, "{registered:?}");
        call(&server, &mut browser, &mut desk);
        // And the other way: down the connection on which it registered.
        call(&server, &mut desk, &mut browser);
        drop(browser);
        server.wait_registered(user, 0);
    }
}

#[test]
fn a_web_socket_without_sip_and_a_plain_request_are_told_why() {
    let lab = web_lab(&Authority::new());
    let own = lab.server;
    let _server = Server::start(lab);
    for (port, path) in [(5062, "/"), (8080, "/sip")] {
        let address = at(own, port);
        let url = format!("ws://{address}{path}");
        let Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(refusal))) =
            tungstenite::client(url.as_str(), stream(address))
        else {
            panic!("a WebSocket without the subprotocol");
        };
        assert_eq!(refusal.status(), 400);
        let mut plain = stream(address);
        let get = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        plain.write_all(get.as_bytes()).expect("sent");
        let mut answer = String::new();
        let _ = plain.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    }
}

#[test]
fn a_trunk_is_known_by_the_name_in_its_certificate() {
    let authority = Authority::new();
    let mut lab = Lab::new();
    let (own, path) = (lab.server, "sip-profiles/external.toml");
    let (certificate, key) = authority.vouch(DOMAIN);
    lab.file("certs/pbx.pem", &certificate);
    lab.file("certs/pbx.key", &key);
    lab.file("certs/ca.pem", &authority.pem());
    let udp = format!("\"udp:{own}:5080\"");
    lab.change(path, &udp, &format!("{udp}, \"tls:{own}:5081\""));
    let tls = "tls = { certificate = \"certs/pbx.pem\", key = \"certs/pbx.key\", client-ca = \"certs/ca.pem\" }";
    lab.change(path, "[[trunk]]\n", &format!("{tls}\n\n[[trunk]]\n"));
    let ping = "options-ping  = \"off\"\n";
    lab.change(
        path,
        ping,
        &format!("{ping}tls = {{ names = \"gw.acme.example\" }}\n"),
    );
    let server = Server::start(lab);
    let calls = |user, name: &str| {
        let tcp = stream(at(own, 5081));
        let local = tcp.local_addr().expect("bound");
        let host = ServerName::try_from(DOMAIN).expect("a name");
        let session = ClientConnection::new(authority.client(Some(name)), host).expect("a session");
        let tls = Box::new(StreamOwned::new(session, tcp));
        let mut gateway = Party::new(user, Wire::Tls(tls, Vec::new()), "tls", local);
        let sdp = gateway.sdp();
        let invite = gateway.request("INVITE", &format!("sip:{DID}@{DOMAIN}"), &sdp);
        let answer = gateway.wire.hear_final();
        if answer.starts_with("SIP/2.0 200 ") {
            gateway.follow("ACK", 1, &invite, &answer);
            gateway.follow("BYE", 2, &invite, &answer);
            gateway.wire.hear_final();
        }
        answer
    };
    let known = calls("acme", "gw.acme.example");
    assert!(known.starts_with("SIP/2.0 200 "), "{known}");
    assert_eq!(server.wait_records(1)[0]["direction"], "inbound");
    let stranger = calls("evil", "gw.evil.example");
    assert!(stranger.starts_with("SIP/2.0 403 "), "{stranger}");
    server.wait_idle();
}

#[test]
fn phones_of_both_families_call_each_other() {
    let port = {
        let free = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("IPv6 on loopback");
        free.local_addr().expect("bound").port()
    };
    let server = Server::start(open_lab(&[format!("udp:[::1]:{port}")], ""));
    let mut four = udp_party(&server, "1001");
    let local = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .expect("a free port");
    let wire = Wire::udp(local, (Ipv6Addr::LOCALHOST, port).into());
    let mut six = Party::new("1002", wire, "udp", local);
    six.registers();
    for _ in 0..2 {
        let (shown_six, shown_four) = call(&server, &mut six, &mut four);
        assert_eq!(shown_six, "c=IN IP6 ::1");
        assert!(shown_four.starts_with("c=IN IP4 127."), "{shown_four}");
        let (shown_four, shown_six) = call(&server, &mut four, &mut six);
        assert_eq!(shown_six, "c=IN IP6 ::1");
        assert!(shown_four.starts_with("c=IN IP4 127."), "{shown_four}");
    }
}

#[test]
fn stun_on_the_sip_port_is_answered_as_far_as_it_was_paid_for() {
    let server = Server::start(Lab::new());
    let socket = UdpSocket::bind((address(), 0)).expect("binds");
    socket
        .set_read_timeout(Some(seconds(0.5)))
        .expect("a timeout");
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([7; 12]);
    let mut answered = 0;
    for _ in 0..500 {
        socket.send_to(&request, server.lab.phones()).expect("sent");
    }
    let mut buffer = [0; 64];
    while let Ok(length) = socket.recv(&mut buffer) {
        assert_eq!(length, 32);
        assert_eq!(&buffer[..2], &[1, 1]);
        let port = u16::from_be_bytes([buffer[26], buffer[27]]) ^ 0x2112;
        assert_eq!(port, socket.local_addr().expect("bound").port());
        answered += 1;
    }
    // 500 requests pay for 10,000 bytes; a stranger has 1,024 to begin with, and a little more each second.
    assert!((100..=360).contains(&answered), "{answered} answers");
}

#[test]
fn a_frame_is_a_message_and_rude_web_sockets_are_cut() {
    let server = Server::start(web_lab(&Authority::new()));
    let address = at(server.lab.server, 5062);
    let open = || match Wire::web(&format!("ws://{address}/"), stream(address)) {
        Wire::Web(socket) => *socket,
        Wire::Udp(..) | Wire::Tls(..) => unreachable!("a WebSocket"),
    };
    let began = std::time::Instant::now();
    let mut silent = open();
    let options = format!(
        "OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/WS frames.invalid;branch=z9hG4bKframe\r\nMax-Forwards: 70\r\n\
         From: <sip:1001@{DOMAIN}>;tag=f\r\nTo: <sip:{DOMAIN}>\r\nCall-ID: frame\r\nCSeq: 1 OPTIONS\r\n\r\n"
    );
    let mut socket = open();
    socket
        .send(Message::binary(options.clone().into_bytes()))
        .expect("sent");
    let answer = socket.read().expect("an answer").into_text().expect("text");
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(
        answer.contains("Via: SIP/2.0/WS frames.invalid;"),
        "{answer}"
    );
    socket
        .send(Message::Ping(b"there?".to_vec().into()))
        .expect("sent");
    assert_eq!(
        socket.read().expect("a pong"),
        Message::Pong(b"there?".to_vec().into())
    );
    socket.send(Message::text("\r\n\r\n")).expect("sent");
    assert_eq!(socket.read().expect("a pong"), Message::text("\r\n"));

    let is_over = |socket: &mut Web| {
        loop {
            match socket.read() {
                Ok(Message::Close(_)) => return true,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) => {
                    return error.kind() == std::io::ErrorKind::ConnectionReset;
                }
                Err(_) => return true,
            }
        }
    };
    let mut large = open();
    let _ = large.send(Message::text("x".repeat(70_000)));
    assert!(is_over(&mut large));
    let mut rude = open();
    rude.send(Message::text("{\"not\": \"SIP\"}"))
        .expect("sent");
    assert!(is_over(&mut rude));
    assert!(is_over(&mut silent));
    assert!(began.elapsed() < seconds(9.0), "{:?}", began.elapsed());
    // Whoever spoke SIP is still there.
    socket.send(Message::text(options)).expect("sent");
    assert!(socket.read().is_ok());
}
