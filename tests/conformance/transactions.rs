//! Two transaction layers over a network that loses, repeats and reorders (RFC 3261 §17, §9, §13.3.1.4): whatever it does, each
//! request is heard at most once, each ends exactly once, and nothing is left on either side.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use strowger::base::{Duration, Entropy, Instant, Now};
use strowger::sip::{Builder, Message, Method, Name, StatusCode};
use strowger::transaction::{Act, ClientKey, Counts, ServerKey, Transactions};
use strowger::transport::{ConnectionId, Flow, ProfileId, Transport, via};

const CALLER: usize = 0;
const CALLEE: usize = 1;

/// What the callee does with the request of this number.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Plan {
    Options,
    Answer,
    Busy,
    /// Rings until the caller takes it back.
    Ring,
}

impl Plan {
    fn of(number: u32) -> Plan {
        [Plan::Options, Plan::Answer, Plan::Busy, Plan::Ring][number as usize % 4]
    }

    fn method(self) -> Method {
        match self {
            Plan::Options => Method::Options,
            Plan::Answer | Plan::Busy | Plan::Ring => Method::Invite,
        }
    }

    fn ends(self) -> &'static [u16] {
        match self {
            Plan::Options | Plan::Answer => &[200],
            Plan::Busy => &[486],
            Plan::Ring => &[487],
        }
    }
}

enum Happening {
    Arrives(usize, Flow, Box<Message>),
    Call(u32),
    TakeBack(ClientKey),
    Final(ServerKey, Box<Message>),
}

struct World {
    now: Now,
    dice: Entropy,
    transport: Transport,
    loss_percent: u64,
    layers: [Transactions<u32>; 2],
    agenda: BTreeMap<(Instant, u64), Happening>,
    serial: u64,
    heard: BTreeSet<u32>,
    pending: BTreeMap<u32, (ServerKey, Message)>,
    answered: BTreeMap<u32, ServerKey>,
    ends: BTreeMap<u32, Vec<u16>>,
    sent: usize,
}

fn address(side: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1 + side as u8], 5060))
}

fn number_of(message: &Message) -> u32 {
    message.cseq().number
}

impl World {
    fn new(seed: u64, transport: Transport, loss_percent: u64) -> Self {
        World {
            now: Now {
                mono: Instant::ZERO + Duration::from_secs(100),
                ..Now::default()
            },
            dice: Entropy::from_number(seed),
            transport,
            loss_percent,
            layers: [
                Transactions::new(Entropy::from_number(seed + 1)),
                Transactions::new(Entropy::from_number(seed + 2)),
            ],
            agenda: BTreeMap::new(),
            serial: 0,
            heard: BTreeSet::new(),
            pending: BTreeMap::new(),
            answered: BTreeMap::new(),
            ends: BTreeMap::new(),
            sent: 0,
        }
    }

    fn flow(&self, side: usize) -> Flow {
        Flow {
            profile: ProfileId(0),
            transport: self.transport,
            local: address(side),
            remote: address(1 - side),
            connection: match self.transport {
                Transport::Udp => None,
                Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                    Some(ConnectionId(1))
                }
            },
        }
    }

    fn in_millis(&mut self, millis: u64, happening: Happening) {
        self.serial += 1;
        let at = self.now.mono + Duration::from_millis(millis);
        self.agenda.insert((at, self.serial), happening);
    }

    /// A reliable transport keeps everything and its order; a datagram may be lost, come twice, or be overtaken.
    fn put_on_wire(&mut self, from: usize, message: Message) {
        self.sent += 1;
        let to = 1 - from;
        let message = via::stamp(message, address(from));
        if self.transport.is_reliable() {
            let flow = self.flow(to);
            self.in_millis(20, Happening::Arrives(to, flow, Box::new(message)));
            return;
        }
        let copies = 1 + u64::from(self.dice.below(100) < 10);
        for _ in 0..copies {
            if self.dice.below(100) >= self.loss_percent {
                let delay = 5 + self.dice.below(300);
                let flow = self.flow(to);
                self.in_millis(
                    delay,
                    Happening::Arrives(to, flow, Box::new(message.clone())),
                );
            }
        }
    }

    fn run(&mut self) {
        loop {
            let timers = self
                .layers
                .iter_mut()
                .filter_map(|layer| layer.next_deadline());
            let next_timer = timers.min();
            let next_happening = self.agenda.keys().next().copied();
            let mut acts = Vec::new();
            match (next_timer, next_happening) {
                (None, None) => return,
                (Some(timer), happening) if happening.is_none_or(|(at, _)| timer <= at) => {
                    self.now.mono = self.now.mono.max(timer);
                    for side in [CALLER, CALLEE] {
                        self.layers[side].on_time(self.now, &mut acts);
                        self.user(side, std::mem::take(&mut acts));
                    }
                }
                (_, Some(key)) => {
                    self.now.mono = self.now.mono.max(key.0);
                    let happening = self.agenda.remove(&key).expect("it was there");
                    let side = self.happen(happening, &mut acts);
                    self.user(side, acts);
                }
                (Some(_), None) => unreachable!("a timer before nothing is the case above"),
            }
        }
    }

    fn happen(&mut self, happening: Happening, acts: &mut Vec<Act<u32>>) -> usize {
        match happening {
            Happening::Arrives(side, flow, message) => {
                self.layers[side].receive(self.now, flow, *message, acts);
                side
            }
            Happening::Call(number) => {
                let method = Plan::of(number).method();
                let branch = self.layers[CALLER].branch();
                let request = Builder::request(&method, b"sip:callee@127.0.0.2")
                    .via(self.transport.as_str(), "127.0.0.1:5060", branch, true)
                    .header(Name::MaxForwards, "70")
                    .header(Name::From, "<sip:caller@127.0.0.1>;tag=f")
                    .header(Name::To, "<sip:callee@127.0.0.2>")
                    .header_fmt(Name::CallId, format_args!("call-{number}"))
                    .header_fmt(Name::CSeq, format_args!("{number} {method}"))
                    .finish();
                let flow = self.flow(CALLER);
                let layer = &mut self.layers[CALLER];
                let key = layer.send_request(self.now, flow, request, number, acts);
                if Plan::of(number) == Plan::Ring {
                    let after = self.dice.below(4_000);
                    self.in_millis(after, Happening::TakeBack(key));
                }
                CALLER
            }
            Happening::TakeBack(key) => {
                self.layers[CALLER].cancel(self.now, key, None, acts);
                CALLER
            }
            Happening::Final(key, response) => {
                self.layers[CALLEE].respond(self.now, key, *response, acts);
                CALLEE
            }
        }
    }

    /// The users of both layers.
    fn user(&mut self, side: usize, acts: Vec<Act<u32>>) {
        for act in acts {
            match act {
                Act::Send { message, .. } => self.put_on_wire(side, message),
                Act::Request { key, message, .. } => self.on_request(key, message),
                Act::Cancel { key, message } => {
                    let (_, request) = &self.pending[&number_of(&message)];
                    let response = reply(request, StatusCode::REQUEST_TERMINATED);
                    self.in_millis(0, Happening::Final(key, Box::new(response)));
                }
                Act::Ack { message, .. } => {
                    if let Some(key) = self.answered.get(&number_of(&message)) {
                        self.layers[CALLEE].acked(*key);
                    }
                }
                Act::Response { user, message, .. } => self.on_response(user, &message),
                Act::Timeout { user, .. } => self.ends.entry(user).or_default().push(408),
                Act::Failed { .. } => panic!("nothing fails here"),
                Act::NoAck { .. } | Act::StrayResponse { .. } => {}
            }
        }
    }

    fn on_request(&mut self, key: ServerKey, message: Message) {
        let number = number_of(&message);
        // An INVITE delayed beyond the life of its transaction would be a new one; delays here are short.
        assert!(
            self.heard.insert(number),
            "request {number} was heard twice"
        );
        let plan = Plan::of(number);
        let mut acts = Vec::new();
        if plan.method() == Method::Invite {
            let ringing = reply(&message, StatusCode::RINGING);
            self.layers[CALLEE].respond(self.now, key, ringing, &mut acts);
        }
        // A caller that gave up before it heard anything sends no CANCEL: only the callee's own limit ends the ringing.
        let (code, after) = match plan {
            Plan::Options | Plan::Answer => (StatusCode::OK, self.dice.below(3_000)),
            Plan::Busy => (StatusCode::BUSY_HERE, self.dice.below(3_000)),
            Plan::Ring => (StatusCode::TEMPORARILY_UNAVAILABLE, 180_000),
        };
        let response = Box::new(reply(&message, code));
        self.in_millis(after, Happening::Final(key, response));
        if plan == Plan::Answer {
            self.answered.insert(number, key);
        }
        self.pending.insert(number, (key, message));
        self.user(CALLEE, acts);
    }

    fn on_response(&mut self, number: u32, response: &Message) {
        let status = response.status().expect("a response");
        if status.is_provisional() {
            return;
        }
        let invite = Plan::of(number).method() == Method::Invite;
        if status.is_success() && invite {
            let branch = self.layers[CALLER].branch();
            let ack = Builder::request(&Method::Ack, b"sip:callee@127.0.0.2")
                .via(self.transport.as_str(), "127.0.0.1:5060", branch, true)
                .header(Name::MaxForwards, "70")
                .copy(response, Name::From)
                .copy(response, Name::To)
                .copy(response, Name::CallId)
                .header_fmt(Name::CSeq, format_args!("{number} ACK"))
                .finish();
            self.put_on_wire(CALLER, ack);
            // The same 2xx again is no second end: its ACK was lost.
            if self.ends.get(&number).is_some_and(|ends| *ends == [200]) {
                return;
            }
        }
        self.ends.entry(number).or_default().push(status.as_u16());
    }

    fn assert_over(&self, seed: u64, calls: u32) {
        for side in [CALLER, CALLEE] {
            let left = self.layers[side].counts();
            assert_eq!(left, Counts::default(), "seed {seed}: side {side}");
        }
        for number in 1..=calls {
            let ends = self.ends.get(&number).cloned().unwrap_or_default();
            assert_eq!(
                ends.len(),
                1,
                "seed {seed}: {:?} {number}: {ends:?}",
                Plan::of(number)
            );
            let expected = Plan::of(number).ends();
            assert!(
                ends == expected || ends == [408],
                "seed {seed}: {:?} {number}: {ends:?}",
                Plan::of(number)
            );
        }
    }
}

fn reply(request: &Message, code: StatusCode) -> Message {
    Builder::response(request, code, "")
        .to_tag(b"callee")
        .finish()
}

fn run(seed: u64, transport: Transport, loss_percent: u64) -> World {
    const CALLS: u32 = 12;
    let mut world = World::new(seed, transport, loss_percent);
    for number in 1..=CALLS {
        world.in_millis(u64::from(number) * 100, Happening::Call(number));
    }
    world.run();
    world.assert_over(seed, CALLS);
    world
}

#[test]
fn every_request_ends_once_over_a_network_that_loses_a_third() {
    let mut timeouts = 0;
    for seed in 0..100 {
        let world = run(seed, Transport::Udp, 33);
        timeouts += world.ends.values().filter(|ends| **ends == [408]).count();
    }
    // 1,200 requests; retransmission carries nearly all of them through (an OPTIONS has 11 attempts, an INVITE 7).
    assert!(timeouts <= 12, "{timeouts}");
}

#[test]
fn dead_network_ends_every_request_by_timeout() {
    let world = run(7, Transport::Udp, 100);
    assert!(world.ends.values().all(|ends| *ends == [408]));
    assert!(world.heard.is_empty());
}

#[test]
fn reliable_transport_carries_each_message_once() {
    let world = run(7, Transport::Tcp, 0);
    assert!(world.ends.values().all(|ends| *ends != [408]));
    // OPTIONS, 200; INVITE, 180, 200, ACK; INVITE, 180, 486, ACK; INVITE, 180, CANCEL, 200, 487, ACK: three times.
    assert_eq!(world.sent, 3 * (2 + 4 + 4 + 6));
}
