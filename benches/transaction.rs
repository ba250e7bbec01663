//! What a digest registration over UDP costs without the kernel: the challenge (REGISTER, 401) and the binding (REGISTER with
//! credentials, 200), from datagram to datagram, with some 64,000 transactions alive as at 2,000 registrations a second.

use std::borrow::Cow;
use std::hint::black_box;
use std::net::SocketAddr;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use strowger::auth::{
    Algorithm, Held, Nonces, Outcome, Policy, Stored, authenticate, challenge, respond,
};
use strowger::base::{Duration, Entropy, Instant, Now, Secret};
use strowger::registrar::{AddressOfRecord, RegisterOutcome, Registrar};
use strowger::sip::{Builder, Challenge, Message, Method, Name, StatusCode};
use strowger::transaction::{Act, Transactions};
use strowger::transport::{Flow, Guard, GuardSettings, ProfileId, Transport, via};

/// Time between two registrations.
const STEP: Duration = Duration::from_micros(500);
const PHONES: u64 = 10_000;

struct Server {
    now: Now,
    guard: Guard,
    layer: Transactions<u32>,
    nonces: Nonces,
    entropy: Entropy,
    policy: Policy,
    stored: Stored,
    registrar: Registrar,
    outcome: RegisterOutcome,
    acts: Vec<Act<u32>>,
}

impl Server {
    fn new() -> Self {
        Server {
            now: Now {
                mono: Instant::ZERO + Duration::from_secs(1_000),
                ..Now::default()
            },
            guard: Guard::new(GuardSettings {
                rate: 1_000_000,
                ..GuardSettings::default()
            }),
            layer: Transactions::new(Entropy::from_number(1)),
            nonces: Nonces::new([1; 32]),
            entropy: Entropy::from_number(2),
            policy: Policy::new("example.com"),
            stored: Stored::Password(Secret::new("correct horse battery staple")),
            registrar: Registrar::new(Vec::new(), Entropy::from_number(3)),
            outcome: RegisterOutcome::default(),
            acts: Vec::new(),
        }
    }

    /// One datagram in, at most one out.
    fn step(&mut self, source: SocketAddr, datagram: Bytes) -> Option<Bytes> {
        self.now.mono += STEP;
        self.layer.on_time(self.now, &mut self.acts);
        self.registrar.due(self.now);
        let size = datagram.len();
        if !self.guard.admit(self.now, source.ip(), size).is_admitted() {
            return None;
        }
        let flow = Flow {
            profile: ProfileId(0),
            transport: Transport::Udp,
            local: SocketAddr::from(([127, 0, 0, 1], 5060)),
            remote: source,
            connection: None,
        };
        let message = via::stamp(Message::parse(datagram).ok()?, source);
        self.layer.receive(self.now, flow, message, &mut self.acts);
        let Some(Act::Request { key, message, .. }) = self.acts.pop() else {
            return None;
        };
        let outcome = authenticate(
            &mut self.nonces,
            self.now,
            &message,
            Name::Authorization,
            None,
            &self.policy,
            |_| Held::Theirs(Cow::Borrowed(&self.stored)),
        );
        let tag = self.entropy.token::<10>();
        match outcome {
            Outcome::Granted { username } => {
                let aor = AddressOfRecord::new(&username, "example.com");
                self.registrar
                    .register(self.now, flow, &message, &aor, &mut self.outcome);
                let response = self.outcome.response(&message, &tag).finish();
                self.layer.respond(self.now, key, response, &mut self.acts);
            }
            Outcome::Missing | Outcome::Stale | Outcome::Wrong | Outcome::Malformed => {
                let nonce = self.nonces.issue(self.now, &mut self.entropy);
                let (name, value) = challenge(
                    &self.policy.realm,
                    nonce.as_str(),
                    Algorithm::Md5,
                    false,
                    false,
                );
                let response = Builder::response(&message, StatusCode::UNAUTHORIZED, "")
                    .to_tag(&tag)
                    .header(name, value)
                    .finish();
                let fits = self
                    .guard
                    .may_answer(self.now, source.ip(), response.bytes().len());
                let response = fits.then_some(response);
                self.layer
                    .answer_once(self.now, key, response, &mut self.acts);
            }
        }
        match self.acts.pop() {
            Some(Act::Send { message, .. }) => Some(message.bytes().clone()),
            _ => None,
        }
    }
}

fn source(phone: u64) -> SocketAddr {
    SocketAddr::from((
        [127, 0, 1, (phone % 200) as u8],
        20_000 + (phone % 40_000) as u16,
    ))
}

/// A REGISTER as a desk telephone sends it.
fn register(phone: u64, serial: u64, authorization: &str) -> Bytes {
    let from = source(phone);
    Bytes::from(format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{serial:016x};rport\r\n\
         Contact: <sip:u{phone}@{from};ob>;expires=300;+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-{phone:012x}>\"\r\n\
         Max-Forwards: 70\r\nTo: <sip:u{phone}@example.com>\r\nFrom: <sip:u{phone}@example.com>;tag=t{serial:x}\r\n\
         Call-ID: {phone:016x}@{}\r\nCSeq: {} REGISTER\r\nUser-Agent: Deskphone 9.1\r\n{authorization}\
         Allow: INVITE,ACK,BYE,CANCEL,OPTIONS,NOTIFY,INFO,MESSAGE,UPDATE,REFER\r\nSupported: gruu, replaces, path, outbound\r\n\
         Content-Length: 0\r\n\r\n",
        from.ip(),
        serial + 1,
    ))
}

fn answer(server: &mut Server, phone: u64) -> String {
    let nonce = server.nonces.issue(server.now, &mut server.entropy);
    let (_, value) = challenge("example.com", nonce.as_str(), Algorithm::Md5, false, false);
    let challenge = Challenge::parse(value.as_bytes()).expect("our own challenge");
    let value = respond(
        &challenge,
        &Method::Register,
        b"sip:example.com",
        &format!("u{phone}"),
        &Secret::new("correct horse battery staple"),
        1,
        b"0123456789abcdef",
        b"",
    )
    .expect("our own challenge can be met");
    format!("Authorization: {value}\r\n")
}

fn transaction(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("register");
    group.throughput(Throughput::Elements(1));
    let server = std::cell::RefCell::new(Server::new());
    let mut serial = 1u64;

    let reply = server
        .borrow_mut()
        .step(source(1), register(1, 1, ""))
        .expect("a challenge that is no larger than its request");
    assert!(reply.starts_with(b"SIP/2.0 401"));

    group.bench_function("challenge, 401", |bencher| {
        bencher.iter_batched(
            || {
                serial += 1;
                (serial % PHONES, register(serial % PHONES, serial, ""))
            },
            |(phone, datagram)| black_box(server.borrow_mut().step(source(phone), datagram)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("binding, 200", |bencher| {
        bencher.iter_batched(
            || {
                serial += 1;
                let phone = serial % PHONES;
                let authorization = answer(&mut server.borrow_mut(), phone);
                (phone, register(phone, serial, &authorization))
            },
            |(phone, datagram)| {
                let reply = server.borrow_mut().step(source(phone), datagram);
                assert!(
                    reply
                        .as_ref()
                        .is_some_and(|reply| reply.starts_with(b"SIP/2.0 200"))
                );
                black_box(reply)
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
    let counts = server.borrow().layer.counts();
    println!(
        "{} transactions alive, {} bindings",
        counts.non_invite_servers,
        server.borrow().registrar.len()
    );
}

criterion_group!(benches, transaction);
criterion_main!(benches);
