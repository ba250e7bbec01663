//! Scenarios for the four transactions on virtual time. The tables stand in the snapshots; here is what they add up to.

mod client;
mod server;
mod size;

use bytes::Bytes;

use crate::base::{Duration, Entropy, Instant, Now};
use crate::sip::{Builder, Message, Method, StatusCode};
use crate::transport::{ConnectionId, Flow, ProfileId, Transport};

use super::{Act, ClientKey, Counts, ServerKey, Transactions};

/// Transactions, a clock, and what came out.
pub(super) struct Bench {
    pub layer: Transactions<u32>,
    pub now: Now,
    pub out: Vec<Act<u32>>,
}

impl Bench {
    pub fn new() -> Self {
        Bench {
            layer: Transactions::new(Entropy::from_number(1)),
            now: Now {
                mono: Instant::ZERO + Duration::from_secs(1_000),
                ..Now::default()
            },
            out: Vec::new(),
        }
    }

    pub fn receive(&mut self, flow: Flow, text: &str) {
        self.layer
            .receive(self.now, flow, message(text), &mut self.out);
    }

    pub fn respond(&mut self, key: ServerKey, request: &str, code: u16) {
        let response = response(request, code);
        self.layer.respond(self.now, key, response, &mut self.out);
    }

    /// What came out since the last call, one line each.
    pub fn acts(&mut self) -> Vec<String> {
        self.out.drain(..).map(|act| line(&act)).collect()
    }

    /// Lets `time` pass, firing what is due when it is due; each line begins with the milliseconds since the start of the wait.
    pub fn wait(&mut self, time: Duration) -> Vec<String> {
        assert!(self.out.is_empty(), "take what came out before you wait");
        let start = self.now.mono;
        let end = start + time;
        let mut lines = Vec::new();
        while let Some(deadline) = self.layer.next_deadline().filter(|at| *at <= end) {
            self.now.mono = self.now.mono.max(deadline);
            self.layer.on_time(self.now, &mut self.out);
            let at = self.now.mono.since(start).as_millis();
            lines.extend(self.out.drain(..).map(|act| format!("{at} {}", line(&act))));
        }
        self.now.mono = end;
        lines
    }

    pub fn server_key(&self) -> ServerKey {
        self.out
            .iter()
            .find_map(|act| match act {
                Act::Request { key, .. } => Some(*key),
                _ => None,
            })
            .expect("a request came out")
    }

    pub fn send(&mut self, flow: Flow, request: Message) -> ClientKey {
        self.layer
            .send_request(self.now, flow, request, 7, &mut self.out)
    }

    /// Nothing is left behind.
    pub fn assert_empty(&mut self) {
        assert_eq!(self.layer.counts(), Counts::default());
        assert!(self.layer.servers.is_empty());
        assert!(self.layer.clients.is_empty());
        assert!(self.layer.merges.is_empty());
        assert_eq!(self.layer.next_deadline(), None);
    }
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn message(text: &str) -> Message {
    let text = text.replace('\n', "\r\n");
    Message::parse(Bytes::from(text)).expect("a test's message parses")
}

pub(super) fn udp() -> Flow {
    Flow {
        profile: ProfileId(0),
        transport: Transport::Udp,
        local: "127.0.0.1:5060".parse().expect("address"),
        remote: "127.0.0.2:5070".parse().expect("address"),
        connection: None,
    }
}

pub(super) fn tcp() -> Flow {
    Flow {
        transport: Transport::Tcp,
        remote: "127.0.0.2:40000".parse().expect("address"),
        connection: Some(ConnectionId(3)),
        ..udp()
    }
}

/// A request from 127.0.0.2 with this branch and CSeq number.
pub(super) fn request(method: &str, branch: &str, cseq: u32) -> String {
    let cseq_method = method;
    format!(
        "{method} sip:bob@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.2:5070;branch={branch}\nMax-Forwards: 70\n\
         From: <sip:alice@127.0.0.2>;tag=a1\nTo: <sip:bob@127.0.0.1>\nCall-ID: c1@127.0.0.2\nCSeq: {cseq} {cseq_method}\n\
         Content-Length: 0\n\n"
    )
}

/// Our response to it, with the To tag `b1`.
pub(super) fn response(request: &str, code: u16) -> Message {
    let code = StatusCode::new(code).expect("a status code");
    let request = message(request);
    Builder::response(&request, code, "").to_tag(b"b1").finish()
}

/// A request of ours to 127.0.0.2 with this branch.
pub(super) fn our_request(method: Method, branch: &str) -> Message {
    message(&format!(
        "{method} sip:carol@127.0.0.2:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch={branch};rport\nMax-Forwards: 70\n\
         Route: <sip:edge.example;lr>\nRoute: <sip:core.example;lr>\nFrom: <sip:bob@127.0.0.1>;tag=b2\nTo: <sip:carol@127.0.0.2>\n\
         Call-ID: c2@127.0.0.1\nCSeq: 11 {method}\nContent-Length: 0\n\n"
    ))
}

/// The peer's response to our request, with the To tag `tag`.
pub(super) fn their_response(code: u16, tag: &str, method: &str, branch: &str) -> String {
    let tag = if tag.is_empty() {
        String::new()
    } else {
        format!(";tag={tag}")
    };
    format!(
        "SIP/2.0 {code} Whatever\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch={branch};rport=5060;received=127.0.0.1\n\
         From: <sip:bob@127.0.0.1>;tag=b2\nTo: <sip:carol@127.0.0.2>{tag}\nCall-ID: c2@127.0.0.1\nCSeq: 11 {method}\n\
         Content-Length: 0\n\n"
    )
}

fn start_line(message: &Message) -> String {
    match message.status() {
        Some(status) => format!("{status} ({})", message.cseq().method),
        None => message.method().to_string(),
    }
}

fn line(act: &Act<u32>) -> String {
    match act {
        Act::Send { flow, message } => format!("send {} to {}", start_line(message), flow.remote),
        Act::Request { message, .. } => format!("request {}", start_line(message)),
        Act::Ack { .. } => "ack".to_string(),
        Act::Cancel { .. } => "cancel".to_string(),
        Act::Response { user, message, .. } => {
            format!("response {} for {user}", start_line(message))
        }
        Act::StrayResponse { message, .. } => format!("stray {}", start_line(message)),
        Act::Timeout { user, .. } => format!("timeout for {user}"),
        Act::Failed { user, .. } => format!("failed for {user}"),
        Act::NoAck { .. } => "no ack".to_string(),
    }
}

#[test]
fn branches_differ_and_carry_the_cookie() {
    let mut bench = Bench::new();
    let (a, b) = (bench.layer.branch(), bench.layer.branch());
    assert_ne!(a, b);
    assert!(a.as_str().starts_with("z9hG4bK"));
    assert_eq!(a.as_str().len(), 27);
}

#[test]
fn keys_of_ended_transactions_do_nothing() {
    let mut bench = Bench::new();
    let options = request("OPTIONS", "z9hG4bKa", 1);
    bench.receive(tcp(), &options);
    let server = bench.server_key();
    bench.respond(server, &options, 200);
    let client = bench.send(tcp(), our_request(Method::Options, "z9hG4bKb"));
    bench.receive(tcp(), &their_response(200, "x", "OPTIONS", "z9hG4bKb"));
    bench.acts();
    bench.assert_empty();
    bench.respond(server, &options, 500);
    bench.layer.acked(server);
    bench.layer.set_user(client, 8);
    bench.layer.forget(client);
    bench.layer.cancel(bench.now, client, None, &mut bench.out);
    bench.layer.trying(bench.now, server, &mut bench.out);
    bench
        .layer
        .answer_once(bench.now, server, None, &mut bench.out);
    assert!(bench.acts().is_empty());
    bench.assert_empty();
}

/// Whatever peers and users do in whatever order, nothing is left behind once all have fallen silent and each request was answered
/// or given up, and the user hears at most one end of each of its requests.
#[test]
fn nothing_is_left_behind_by_any_order_of_events() {
    for seed in 0..300 {
        let mut dice = Entropy::from_number(seed);
        let mut bench = Bench::new();
        let mut servers: Vec<(ServerKey, String)> = Vec::new();
        let mut clients: Vec<ClientKey> = Vec::new();
        let mut ends: Vec<ClientKey> = Vec::new();
        let mut branches: Vec<(String, &str)> = Vec::new();
        for _ in 0..120 {
            let flow = if dice.below(3) == 0 { tcp() } else { udp() };
            match dice.below(9) {
                0 | 1 => {
                    let method = ["INVITE", "ACK", "CANCEL", "OPTIONS"][dice.below(4) as usize];
                    let branch = format!("z9hG4bK{}", dice.below(6));
                    let text = request(method, &branch, 1);
                    bench.receive(flow, &text);
                    for act in &bench.out {
                        if let Act::Request { key, .. } = act {
                            servers.push((*key, text.clone()));
                        }
                    }
                }
                2 | 3 if !servers.is_empty() => {
                    let (key, text) = servers[dice.below(servers.len() as u64) as usize].clone();
                    let code = [100, 180, 200, 302, 486, 603][dice.below(6) as usize];
                    bench.respond(key, &text, code);
                }
                4 => {
                    let (method, name) = if dice.below(2) == 0 {
                        (Method::Invite, "INVITE")
                    } else {
                        (Method::Options, "OPTIONS")
                    };
                    let branch = bench.layer.branch().to_string();
                    clients.push(bench.send(flow, our_request(method, &branch)));
                    branches.push((branch, name));
                }
                5 | 6 if !branches.is_empty() => {
                    let (branch, method) = &branches[dice.below(branches.len() as u64) as usize];
                    let code = [100, 180, 200, 302, 486][dice.below(5) as usize];
                    bench.receive(flow, &their_response(code, "t", method, branch));
                }
                7 if !clients.is_empty() => {
                    let key = clients[dice.below(clients.len() as u64) as usize];
                    match dice.below(3) {
                        0 => bench.layer.forget(key),
                        _ => bench.layer.cancel(bench.now, key, None, &mut bench.out),
                    }
                }
                _ => match dice.below(4) {
                    0 => bench.layer.flow_failed(bench.now, &flow, &mut bench.out),
                    1 if !servers.is_empty() => {
                        let (key, _) = servers[dice.below(servers.len() as u64) as usize];
                        bench.layer.acked(key);
                    }
                    _ => {
                        bench.now.mono += ms(dice.below(20_000));
                        bench.layer.on_time(bench.now, &mut bench.out);
                    }
                },
            }
            for act in bench.out.drain(..) {
                match act {
                    Act::Timeout { key, .. } | Act::Failed { key, .. } => ends.push(key),
                    Act::Response { key, message, .. }
                        if message.status().is_some_and(|code| code.is_failure()) =>
                    {
                        ends.push(key);
                    }
                    _ => {}
                }
            }
        }
        // The user answers what it still owes, and gives up what still rings.
        for (key, text) in &servers {
            bench.respond(*key, text, 500);
        }
        for key in &clients {
            bench.layer.cancel(bench.now, *key, None, &mut bench.out);
        }
        bench.acts();
        bench.wait(secs(200));
        let ringing = bench.layer.invite_clients.len();
        for (branch, method) in &branches {
            bench.receive(udp(), &their_response(487, "t", method, branch));
        }
        bench.acts();
        bench.wait(secs(200));
        assert_eq!(ringing, 0, "seed {seed}: a cancelled INVITE ends by itself");
        bench.assert_empty();
        let heard = ends.len();
        ends.sort();
        ends.dedup();
        assert_eq!(ends.len(), heard, "seed {seed}: one end for each request");
    }
}
