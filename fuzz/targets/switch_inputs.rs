//! The whole core: phones, a carrier, the audio workers, the disk and the clock do what the input says; then everything ends and
//! nothing may be left.
//!
//! The input is a list of chunks, each ended by a byte of 0xff. The first byte of a chunk says what happens, the second who does it, the
//! third chooses among kinds, the rest is text: a message, or lines that are put into one that would be fine.
#![no_main]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use strowger::base::{Entropy, Now};
use strowger::config::{self, Settings};
use strowger::media::{MediaCommand, MediaEvent, StreamId, StreamStatistics};
use strowger::sim::house;
use strowger::sip::{Message, Method};
use strowger::switch::{Boot, Command, Effect, Effects, Input, LoadLevel, Switch};
use strowger::transport::{ConnectionId, Flow, ProfileId, Transport};

static SETTINGS: LazyLock<Arc<Settings>> = LazyLock::new(|| {
    let people: Vec<String> = (1001..1005).map(|n| n.to_string()).collect();
    let directory = std::env::temp_dir().join(format!("strowger-fuzz-{}", std::process::id()));
    for (name, text) in house::files(&people, &[], &[]) {
        let path = directory.join(&name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
        let text = text.replace("auth = \"digest\"", "auth = \"none\"\ninsecure = true");
        std::fs::write(path, text).expect("a file");
    }
    let loaded = config::load(&directory);
    let _ = std::fs::remove_dir_all(&directory);
    let mut settings = loaded.unwrap_or_else(|problems| panic!("{}", problems[0].message));
    // a table of sixteen thousand sources is more work than all the rest
    settings.guard.sources_max = 64;
    Arc::new(settings)
});

const METHODS: [&str; 16] = [
    "INVITE",
    "REGISTER",
    "OPTIONS",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
    "NOTIFY",
    "REFER",
    "BYE",
    "CANCEL",
    "ACK",
    "UPDATE",
    "INFO",
    "PRACK",
    "INVITE",
    "UNKNOWN",
];
const STATUSES: [u16; 16] = [
    200, 180, 183, 100, 200, 401, 407, 302, 486, 480, 404, 422, 491, 503, 603, 481,
];
const NUMBERS: [&str; 8] = [
    "1001",
    "1002",
    "1003",
    "1004",
    "+49301234567",
    "*43",
    "8750",
    "+442071831001",
];
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// One who can speak to the server.
struct Peer {
    flow: Flow,
    user: &'static str,
    /// Requests that it got and has not answered.
    asked: VecDeque<Message>,
    /// Its last INVITE that was accepted, with the answer; or the INVITE that it accepted, with its answer.
    dialog: Option<(Message, Message)>,
    sent: Option<Message>,
}

struct World {
    switch: Switch,
    now: Now,
    peers: Vec<Peer>,
    streams: Vec<StreamId>,
    number: u32,
}

impl World {
    fn new() -> World {
        let mut now = Now::default();
        now.mono = now.mono + Duration::from_secs(1_000);
        let boot = Boot {
            entropy: Entropy::from_number(5),
            primary: house::internal().ip(),
            media_workers: 1,
        };
        let flow = |profile: &str, local: SocketAddr, remote: SocketAddr, transport, connection| {
            let place = SETTINGS.profiles.iter().position(|p| &*p.name == profile);
            Flow {
                profile: ProfileId(place.expect("a profile") as u16),
                transport,
                local,
                remote,
                connection,
            }
        };
        let phone = |user, person, transport, connection| Peer {
            flow: flow(
                "internal",
                house::internal(),
                house::desk(person, 0),
                transport,
                connection,
            ),
            user,
            asked: VecDeque::new(),
            dialog: None,
            sent: None,
        };
        let peers = vec![
            phone("1001", 0, Transport::Udp, None),
            phone("1002", 1, Transport::Udp, None),
            phone("1003", 2, Transport::Tcp, Some(ConnectionId(7))),
            Peer {
                flow: flow(
                    "external",
                    house::external(),
                    house::carrier(),
                    Transport::Udp,
                    None,
                ),
                ..phone("+49301234567", 3, Transport::Udp, None)
            },
        ];
        let mut world = World {
            switch: Switch::new(now, SETTINGS.clone(), boot),
            now,
            peers,
            streams: Vec::new(),
            number: 0,
        };
        world.give(Input::Ready);
        world
    }

    fn give(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        // what the shell does at once: name service and audio workers answer
        while let Some(input) = inputs.pop_front() {
            let mut fx = Effects::new();
            self.switch.handle(self.now, input, &mut fx);
            for effect in fx.list {
                match effect {
                    Effect::Send { flow, bytes } => self.deliver(flow, bytes),
                    Effect::Resolve { query, .. } => inputs.push_back(Input::Resolved {
                        query,
                        places: Vec::new(),
                        ttl: Duration::from_secs(60),
                    }),
                    Effect::Media(MediaCommand::Open { stream, .. }) => self.streams.push(stream),
                    Effect::Media(MediaCommand::Close { stream }) => {
                        self.streams.retain(|open| *open != stream);
                        inputs.push_back(Input::Media(MediaEvent::Closed {
                            stream,
                            statistics: StreamStatistics::default(),
                        }));
                    }
                    Effect::Log { text, .. } => {
                        assert!(!text.chars().any(char::is_control), "a log line: {text:?}");
                    }
                    _ => {}
                }
            }
        }
    }

    /// A message of the server reaches its peer.
    fn deliver(&mut self, flow: Flow, bytes: Bytes) {
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return;
        }
        let message = Message::parse(bytes.clone())
            .unwrap_or_else(|error| panic!("we send what we cannot read: {error}: {bytes:?}"));
        let head = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap_or(bytes.len());
        for (at, byte) in bytes[..head].iter().enumerate() {
            assert_ne!(*byte, 0, "NUL in {bytes:?}");
            if *byte == b'\n' {
                assert!(at > 0 && bytes[at - 1] == b'\r', "a lone LF in {bytes:?}");
            }
        }
        let Some(peer) = self
            .peers
            .iter_mut()
            .find(|peer| peer.flow.remote == flow.remote)
        else {
            return;
        };
        if message.is_request() {
            if *message.method() != Method::Ack {
                peer.asked.push_back(message);
                peer.asked.truncate(32);
            }
        } else if *message.method() == Method::Invite
            && message
                .status()
                .is_some_and(|status| status.as_u16() == 200)
            && let Some(sent) = &peer.sent
            && sent.call_id() == message.call_id()
        {
            peer.dialog = Some((sent.clone(), message));
        }
    }

    fn receive(&mut self, who: usize, bytes: Bytes) {
        let flow = self.peers[who].flow;
        self.give(Input::Received { flow, bytes });
    }

    /// A request that is fine, but for the lines that are put into it.
    fn request(&mut self, who: usize, method: &str, to: &str, lines: &[u8]) {
        self.number += 1;
        let (n, peer) = (self.number, &self.peers[who]);
        let (own, user, us) = (peer.flow.remote, peer.user, house::DOMAIN);
        let body = if matches!(method, "INVITE" | "UPDATE") {
            SDP
        } else {
            ""
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let uri = match method {
            "REGISTER" => format!("sip:{us}"),
            _ => format!("sip:{to}@{us}"),
        };
        let to = if method == "REGISTER" { user } else { to };
        let head = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{} {own};branch=z9hG4bKf{n};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{user}@{us}>;tag=f{n}\r\n\
             To: <sip:{to}@{us}>\r\nCall-ID: f{n}\r\nCSeq: {n} {method}\r\nContact: <sip:{user}@{own}>\r\n",
            peer.flow.transport.as_str()
        );
        let length = format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len());
        let bytes = Bytes::from([head.as_bytes(), lines, length.as_bytes()].concat());
        if method == "INVITE" {
            self.peers[who].sent = Message::parse(bytes.clone()).ok();
        }
        self.receive(who, bytes);
    }

    /// Answers the oldest request that the peer got.
    fn answer(&mut self, who: usize, status: u16, described: bool, lines: &[u8]) {
        let Some(request) = self.peers[who].asked.front().cloned() else {
            return;
        };
        if status >= 200 {
            self.peers[who].asked.pop_front();
        }
        let (own, user) = (self.peers[who].flow.remote, self.peers[who].user);
        let mut out = format!("SIP/2.0 {status} Fuzzed\r\n").into_bytes();
        for (name, written, value) in request.each_header() {
            use strowger::sip::Name;
            if matches!(
                name,
                Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq | Name::RecordRoute
            ) {
                out.extend([written, b": ", value].concat());
                if name == Name::To && request.to_tag().is_none() && status > 100 {
                    out.extend(b";tag=callee");
                }
                out.extend(b"\r\n");
            }
        }
        let body = if described { SDP } else { "" };
        let kind = if described {
            "Content-Type: application/sdp\r\n"
        } else {
            ""
        };
        out.extend(format!("Contact: <sip:{user}@{own}>\r\n").into_bytes());
        out.extend(lines);
        out.extend(format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
        let bytes = Bytes::from(out);
        if *request.method() == Method::Invite
            && status == 200
            && let Ok(answer) = Message::parse(bytes.clone())
        {
            self.peers[who].dialog = Some((request, answer));
        }
        self.receive(who, bytes);
    }

    /// A request within the peer's dialog.
    fn follow(&mut self, who: usize, method: &str, lines: &[u8]) {
        let Some((invite, answer)) = self.peers[who].dialog.clone() else {
            return;
        };
        self.number += 1;
        let (n, peer) = (self.number, &self.peers[who]);
        let (own, user) = (peer.flow.remote, peer.user);
        let ours = invite.top_via().host_ip().is_some_and(|ip| ip == own.ip());
        let (from, to, target) = match ours {
            true => (
                answer.header(strowger::sip::Name::From),
                answer.header(strowger::sip::Name::To),
                &answer,
            ),
            false => (
                answer.header(strowger::sip::Name::To),
                answer.header(strowger::sip::Name::From),
                &invite,
            ),
        };
        let contact = target.contacts().next().and_then(Result::ok);
        let uri = contact
            .as_ref()
            .and_then(|contact| contact.uri())
            .map(|uri| uri.raw.to_vec());
        let number = match method {
            "ACK" => invite.cseq().number,
            _ => 100 + n,
        };
        let body = if matches!(method, "INVITE" | "UPDATE") {
            SDP
        } else {
            ""
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let parts: Vec<Vec<u8>> = vec![
            format!("{method} ").into_bytes(),
            uri.unwrap_or_else(|| b"sip:192.0.2.1".to_vec()),
            format!(" SIP/2.0\r\nVia: SIP/2.0/{} {own};branch=z9hG4bKf{n};rport\r\nMax-Forwards: 70\r\nFrom: ", peer.flow.transport.as_str()).into_bytes(),
            from.unwrap_or_default().to_vec(),
            b"\r\nTo: ".to_vec(),
            to.unwrap_or_default().to_vec(),
            b"\r\nCall-ID: ".to_vec(),
            invite.call_id().to_vec(),
            format!("\r\nCSeq: {number} {method}\r\nContact: <sip:{user}@{own}>\r\n").into_bytes(),
            lines.to_vec(),
            format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes(),
        ];
        self.receive(who, Bytes::from(parts.concat()));
    }

    fn media(&mut self, kind: u8, more: u8) {
        let Some(stream) = self
            .streams
            .get(usize::from(more) % self.streams.len().max(1))
            .copied()
        else {
            return;
        };
        let event = match kind % 6 {
            0 => MediaEvent::Latched {
                stream,
                remote: house::desk(0, 0),
            },
            1 => MediaEvent::Digit {
                stream,
                digit: char::from(b"0123456789*#ABCD"[usize::from(more % 16)]),
                duration: Duration::from_millis(100),
            },
            2 => MediaEvent::PlayEnded {
                stream,
                play: u32::from(more % 8),
            },
            3 => MediaEvent::PlayFailed {
                stream,
                play: u32::from(more % 8),
                reason: "fuzzed".to_owned(),
            },
            4 => MediaEvent::Silent {
                stream,
                silence: Duration::from_secs(30),
            },
            _ => MediaEvent::Failed {
                stream,
                reason: "fuzzed".to_owned(),
            },
        };
        if matches!(event, MediaEvent::Failed { .. }) {
            self.streams.retain(|open| *open != stream);
        }
        self.give(Input::Media(event));
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now.mono + time;
        for _ in 0..20_000 {
            match self.switch.next_deadline() {
                Some(due) if due <= until => {
                    self.now.mono = self.now.mono.max(due);
                    self.give(Input::Tick);
                }
                _ => break,
            }
        }
        self.now.mono = self.now.mono.max(until);
    }

    fn chunk(&mut self, chunk: &[u8]) {
        let [what, who, kind, rest @ ..] = chunk else {
            return;
        };
        let who = usize::from(*who) % self.peers.len();
        let method = METHODS[usize::from(*kind % 16)];
        match what % 12 {
            0 => self.receive(who, Bytes::copy_from_slice(rest)),
            1 | 2 => {
                let to = NUMBERS[usize::from(*kind / 16) % NUMBERS.len()];
                self.request(who, method, to, rest);
            }
            3..6 => self.answer(
                who,
                STATUSES[usize::from(*kind % 16)],
                *kind & 16 != 0,
                rest,
            ),
            6 | 7 => self.follow(who, method, rest),
            8 => self.pass(Duration::from_millis(1 << (*kind % 16))),
            9 => self.media(*kind, rest.first().copied().unwrap_or_default()),
            10 => {
                let flow = self.peers[who].flow;
                match (kind % 3, flow.connection) {
                    (0, Some(connection)) => self.give(Input::ConnectionClosed { connection }),
                    _ => self.give(Input::SendFailed { flow }),
                }
            }
            _ => self.give(match kind % 6 {
                0 => Input::StoreHealth { ok: false },
                1 => Input::StoreHealth { ok: true },
                2 => Input::Load {
                    level: LoadLevel::High,
                },
                3 => Input::Load {
                    level: LoadLevel::Easy,
                },
                4 => Input::Command {
                    id: 1,
                    command: Command::Originate {
                        from: "1001".into(),
                        to: NUMBERS[usize::from(*kind / 16) % NUMBERS.len()].into(),
                    },
                },
                _ => Input::Command {
                    id: 2,
                    command: Command::Calls,
                },
            }),
        }
    }

    /// Everybody goes home.
    fn end(mut self) {
        self.give(Input::StoreHealth { ok: true });
        self.give(Input::Load {
            level: LoadLevel::Easy,
        });
        self.give(Input::Command {
            id: 9,
            command: Command::EndCalls,
        });
        for _ in 0..4 {
            for who in 0..self.peers.len() {
                while !self.peers[who].asked.is_empty() {
                    self.answer(who, 200, false, b"");
                }
            }
            self.pass(Duration::from_secs(70));
        }
        // bindings and subscriptions run out, and with them what is asked of their flows
        self.pass(Duration::from_secs(90_000));
        for who in 0..self.peers.len() {
            self.peers[who].asked.clear();
        }
        self.pass(Duration::from_secs(300));
        let left = self.switch.residue();
        let counts = [
            left.calls,
            left.legs,
            left.routings,
            left.transactions,
            left.timers,
            left.ports,
            left.offers,
            left.work_items,
        ];
        assert_eq!(counts, [0; 8], "something is left: {left:?}");
        assert!(
            self.streams.is_empty(),
            "streams are left: {:?}",
            self.streams
        );
    }
}

fuzz_target!(|data: &[u8]| {
    let mut world = World::new();
    for chunk in data.split(|byte| *byte == 0xff).take(40) {
        world.chunk(chunk);
    }
    world.end();
});
