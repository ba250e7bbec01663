//! The whole switch without the kernel: a digest registration and a call between trunk and phone, from datagrams to datagrams, with
//! their records as the journal takes them.
//!
//! `cargo bench --bench signalling` tells times. `signalling register 1000` and `signalling call 1000` only run, so that
//! `benches/instructions.py` can count the instructions of [`serve`]. `signalling phones 20000` and `signalling held 2000` end with so many
//! registered phones or calls up, all transactions forgotten: `valgrind --tool=dhat` then shows who holds which memory.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use criterion::Criterion;

use strowger::auth::respond;
use strowger::base::{Duration, Entropy, Instant, Now, Secret, WallTime};
use strowger::config;
use strowger::media::{MediaCommand, MediaEvent, StreamStatistics};
use strowger::sip::{Builder, Challenge, Message, Method, Name, StatusCode};
use strowger::store::frame;
use strowger::switch::{Boot, Effect, Effects, Input, Switch};
use strowger::transport::{Flow, ProfileId, Transport};

const PHONES: usize = 1000;
/// Between two registrations: 2,000 a second.
const STEP: Duration = Duration::from_micros(500);
/// Longer than any transaction lives (RFC 3261 §17, 32 s).
const REST: Duration = Duration::from_secs(40);
/// Between two calls: as many as the audio ports allow, which rest for 10 s.
const CALL_STEP: Duration = Duration::from_millis(3);

const FILES: &[(&str, &str)] = &[
    (
        "strowger.toml",
        "[server]\ndomain = \"192.0.2.1\"\npublic-address = \"192.0.2.1\"\nrtp-ports = \"10000-32767\"\n",
    ),
    (
        "sip-profiles/a-phones.toml",
        "name = \"phones\"\nlisten = \"udp:192.0.2.1:5060\"\ndialplan = \"calls\"\nauth = \"digest\"\n",
    ),
    (
        "sip-profiles/b-carrier.toml",
        "name = \"carrier\"\nlisten = \"udp:192.0.2.1:5062\"\ndialplan = \"calls\"\nauth = \"trunk\"\n\n[[trunk]]\nname = \"callers\"\nfrom = \"198.51.100.1\"\nproxy = \"sip:198.51.100.1:5080\"\noptions-ping = \"off\"\n",
    ),
    (
        "dialplans/calls.toml",
        "context = \"calls\"\n\n[[rule]]\nname = \"phones\"\nnumber = \"u{ext:6}\"\ndo = [ { dial = \"u{ext}\", timeout = \"30s\" } ]\n",
    ),
];

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn settings(phones: usize) -> Arc<config::Settings> {
    let dir = tempfile::tempdir().expect("a directory");
    let put = |file: &str, text: &str| {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("makes");
        std::fs::write(path, text).expect("writes");
    };
    for (file, text) in FILES {
        put(file, text);
    }
    let users: String = (0..phones)
        .map(|n| {
            format!("[[user]]\nextension = \"u{n:06}\"\nname = \"User {n}\"\npassword = \"pw\"\nmax-concurrent-calls = 100\n")
        })
        .collect();
    put("directory/users.toml", &users);
    Arc::new(config::load(dir.path()).expect("a good configuration"))
}

/// A server and everybody around it.
struct World {
    now: Now,
    switch: Switch,
    effects: Effects,
    journal: Vec<u8>,
    inbox: VecDeque<Input>,
    /// Numbers Call-IDs, branches and CSeqs.
    serial: u32,
    phones: Flow,
    carrier: Flow,
    finished: u32,
    phones_max: usize,
    /// Callers do not hang up.
    held: bool,
}

/// What a shard does with one input, without system calls. Its instructions are what is counted.
#[inline(never)]
fn serve(
    switch: &mut Switch,
    now: Now,
    input: Input,
    effects: &mut Effects,
    journal: &mut Vec<u8>,
) {
    switch.handle(now, input, effects);
    if switch.next_deadline().is_some_and(|due| due <= now.mono) {
        switch.handle(now, Input::Tick, effects);
    }
    for effect in &effects.list {
        let written = match effect {
            Effect::Journal(record) => frame::encode(journal, record).is_ok(),
            Effect::Event(event) => frame::encode(journal, &**event).is_ok(),
            _ => true,
        };
        assert!(written, "records can be written");
    }
}

impl World {
    fn new(phones: usize) -> World {
        let now = Now {
            mono: Instant::ZERO + Duration::from_secs(1_000),
            wall: WallTime::from_millis(1_795_000_000_000),
        };
        let boot = Boot {
            entropy: Entropy::from_number(1),
            primary: address("192.0.2.1:0").ip(),
            media_workers: 1,
        };
        let flow = |profile, local: &str, remote: &str| Flow {
            profile: ProfileId(profile),
            transport: Transport::Udp,
            local: address(local),
            remote: address(remote),
            connection: None,
        };
        let mut world = World {
            now,
            switch: Switch::new(now, settings(phones), boot),
            effects: Effects::new(),
            journal: Vec::new(),
            inbox: VecDeque::new(),
            serial: 0,
            phones: flow(0, "192.0.2.1:5060", "203.0.113.9:5090"),
            carrier: flow(1, "192.0.2.1:5062", "198.51.100.1:5080"),
            finished: 0,
            phones_max: phones,
            held: false,
        };
        world.switch.handle(now, Input::Ready, &mut world.effects);
        world.effects.list.clear();
        world
    }

    fn arrives(&mut self, flow: Flow, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.inbox.push_back(Input::Received { flow, bytes });
    }

    /// Serves what has come until all are content.
    fn run(&mut self) {
        while let Some(input) = self.inbox.pop_front() {
            serve(
                &mut self.switch,
                self.now,
                input,
                &mut self.effects,
                &mut self.journal,
            );
            let effects: Vec<Effect> = self.effects.drain().collect();
            for effect in effects {
                match effect {
                    Effect::Send { flow, bytes } => self.sent(flow, bytes),
                    Effect::Media(MediaCommand::Close { stream }) => {
                        self.inbox.push_back(Input::Media(MediaEvent::Closed {
                            stream,
                            statistics: StreamStatistics::default(),
                        }));
                    }
                    _ => {}
                }
            }
        }
        black_box(&self.journal);
        self.journal.clear();
    }

    /// Somebody gets a message of ours.
    fn sent(&mut self, flow: Flow, bytes: Bytes) {
        let message = Message::parse(bytes).expect("we write what we read");
        match (message.is_request(), message.method()) {
            (true, Method::Invite) => {
                let ringing = Builder::response(&message, StatusCode::RINGING, "");
                let ringing = ringing.to_tag(b"callee").finish();
                self.arrives(flow, ringing.bytes().clone());
                let answer = Builder::response(&message, StatusCode::OK, "")
                    .to_tag(b"callee")
                    .header(Name::Contact, "<sip:phone@203.0.113.9:5090>")
                    .body("application/sdp", sdp("203.0.113.9").as_bytes());
                self.arrives(flow, answer.bytes().clone());
            }
            (true, Method::Bye) => {
                let answer = Builder::response(&message, StatusCode::OK, "").finish();
                self.arrives(flow, answer.bytes().clone());
            }
            (false, Method::Register) => match message.status() {
                Some(StatusCode::UNAUTHORIZED) => self.prove(flow, &message),
                Some(StatusCode::OK) => self.finished += 1,
                other => panic!("{other:?} to a REGISTER"),
            },
            (false, Method::Invite) if message.status() == Some(StatusCode::OK) => {
                let contact = message
                    .contacts()
                    .next()
                    .expect("a contact")
                    .expect("reads");
                let strowger::sip::ContactValue::Addr(contact) = contact else {
                    panic!("a contact that is a star");
                };
                let target = String::from_utf8_lossy(contact.uri.raw).into_owned();
                self.finished += u32::from(self.held);
                let said = if self.held { 1 } else { 2 };
                for (number, method) in [(1, Method::Ack), (2, Method::Bye)].into_iter().take(said)
                {
                    let request = in_dialog(&message, &method, &target, number);
                    self.arrives(flow, request);
                }
            }
            (false, Method::Bye) => self.finished += 1,
            _ => {}
        }
    }

    /// Until every transaction is forgotten.
    fn rest(&mut self) {
        for _ in 0..80 {
            self.now.mono += REST / 80;
            self.now.wall = self.now.wall + REST / 80;
            // a tick does not do everything at once
            while self
                .switch
                .next_deadline()
                .is_some_and(|due| due <= self.now.mono)
            {
                self.inbox.push_back(Input::Tick);
                self.run();
            }
        }
    }

    fn register(&mut self) {
        self.now.mono += STEP;
        self.now.wall = self.now.wall + STEP;
        self.serial += 1;
        let user = format!("u{:06}", self.serial as usize % self.phones_max);
        let request = register_text(&user, self.serial, 1, "");
        self.arrives(self.phones, request);
        self.run();
    }

    fn prove(&mut self, flow: Flow, challenge: &Message) {
        let value = challenge
            .header(Name::WwwAuthenticate)
            .expect("a challenge");
        let challenge_value = Challenge::parse(value).expect("reads");
        let user = challenge.to().uri.user_text().expect("a user");
        let credentials = respond(
            &challenge_value,
            &Method::Register,
            b"sip:192.0.2.1:5060",
            &user,
            &Secret::new("pw"),
            1,
            b"6b8b4567",
            b"",
        )
        .expect("answers");
        let line = format!("Authorization: {credentials}\r\n");
        let request = register_text(&user, self.serial, 2, &line);
        self.arrives(flow, request);
    }

    fn call(&mut self) {
        self.now.mono += CALL_STEP;
        self.now.wall = self.now.wall + CALL_STEP;
        self.serial += 1;
        let n = self.serial;
        let called = format!("u{:06}", n as usize % PHONES);
        let body = sdp("198.51.100.1");
        let request = format!(
            "INVITE sip:{called}@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5080;branch=z9hG4bK-{n}-0\r\n\
             Max-Forwards: 70\r\nFrom: <sip:caller@192.0.2.1>;tag=c{n}\r\nTo: <sip:{called}@192.0.2.1>\r\n\
             Call-ID: {n}-4711@198.51.100.1\r\nCSeq: 1 INVITE\r\nContact: <sip:caller@198.51.100.1:5080>\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nSupported: replaces\r\nUser-Agent: bench\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.arrives(self.carrier, request);
        self.run();
    }
}

fn register_text(user: &str, serial: u32, cseq: u32, authorization: &str) -> String {
    format!(
        "REGISTER sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.9:5090;branch=z9hG4bK-{serial}-{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@192.0.2.1>;tag=r{serial}\r\nTo: <sip:{user}@192.0.2.1>\r\nCall-ID: {serial}-42@203.0.113.9\r\n\
         CSeq: {cseq} REGISTER\r\nContact: <sip:{user}@203.0.113.9:5090>\r\n{authorization}Expires: 3600\r\nUser-Agent: bench\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn sdp(host: &str) -> String {
    format!(
        "v=0\r\no=bench 53655765 2353687637 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

/// A request of the caller in the dialog that a 200 made.
fn in_dialog(answer: &Message, method: &Method, target: &str, number: u32) -> Bytes {
    let call_id = String::from_utf8_lossy(answer.call_id()).into_owned();
    let branch = format!("z9hG4bK-{call_id}-{number}");
    Builder::request(method, target.as_bytes())
        .via("UDP", "198.51.100.1:5080", branch.replace('@', "-"), false)
        .header(Name::MaxForwards, "70")
        .copy(answer, Name::From)
        .copy(answer, Name::To)
        .copy(answer, Name::CallId)
        .header_fmt(Name::CSeq, format_args!("{number} {method}"))
        .header(Name::Contact, "<sip:caller@198.51.100.1:5080>")
        .finish()
        .bytes()
        .clone()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = arguments.first().map(String::as_str);
    let phones = match (named, arguments.get(1).map(|count| count.parse())) {
        (Some("phones"), Some(Ok(count))) => count,
        _ => PHONES,
    };
    let mut world = World::new(phones);
    for _ in 0..phones {
        world.register();
    }
    assert_eq!(world.finished as usize, phones, "every phone is registered");
    if named == Some("phones") {
        world.rest();
        std::process::exit(0); // with everything still there
    }
    world.finished = 0;
    if let [what, count] = arguments.as_slice()
        && let Ok(count) = count.parse::<u32>()
    {
        for _ in 0..count {
            match what.as_str() {
                "register" => world.register(),
                "call" => world.call(),
                "held" => {
                    world.held = true;
                    world.call();
                }
                other => panic!("`{other}` is none of register, call, held, phones"),
            }
        }
        assert_eq!(world.finished, count, "nothing may fail on the way");
        if world.held {
            world.rest();
            std::process::exit(0); // with everything still there
        }
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("registration", |bencher| bencher.iter(|| world.register()));
    criterion.bench_function("call", |bencher| bencher.iter(|| world.call()));
    criterion.final_summary();
}
