//! The proxy over real transactions and virtual time: forks, refusals, cancels, silence.

use super::*;
use crate::base::Entropy;
use crate::proxy::{is_loop, without_route};
use crate::transport::{ProfileId, Transport};

struct Bench {
    tx: Transactions<u64>,
    proxy: Proxy,
    now: Now,
    /// What left, in order.
    sent: Vec<(Flow, Message)>,
}

fn flow(remote: &str) -> Flow {
    Flow {
        profile: ProfileId(0),
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().expect("address"),
        remote: remote.parse().expect("address"),
        connection: None,
    }
}

const CALLER: &str = "192.0.2.50:5060";

fn request(method: &str, more: &str) -> Message {
    let text = format!(
        "{method} sip:ada@pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKcaller\r\n\
         Max-Forwards: 70\r\nFrom: <sip:ben@pbx.example>;tag=ben\r\nTo: <sip:ada@pbx.example>\r\nCall-ID: one\r\n\
         CSeq: 1 {method}\r\nProxy-Authorization: Digest username=\"ben\"\r\n{more}Content-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text)).expect("valid")
}

fn hop(remote: &str) -> Hop {
    Hop {
        way: Way {
            flow: flow(remote),
            request_uri: Bytes::from(format!("sip:ada@{remote}")),
            routes: Vec::new(),
        },
        sent_by: "192.0.2.1:5060".into(),
    }
}

fn plan(groups: &[&[&str]]) -> Plan {
    Plan {
        groups: groups
            .iter()
            .map(|group| group.iter().map(|remote| hop(remote)).collect())
            .collect(),
        record_route: true,
    }
}

impl Bench {
    fn new() -> Bench {
        Bench {
            tx: Transactions::new(Entropy::from_number(1)),
            proxy: Proxy::new(TokenKey::new([5; 32])),
            now: Now::default(),
            sent: Vec::new(),
        }
    }

    fn run<R>(&mut self, step: impl FnOnce(&mut Proxy, &mut Ctx<'_, u64>) -> R) -> R {
        let mut acts = Vec::new();
        let result = step(
            &mut self.proxy,
            &mut Ctx {
                now: self.now,
                tx: &mut self.tx,
                acts: &mut acts,
                user: |ticket| ticket,
            },
        );
        self.work(acts);
        result
    }

    fn work(&mut self, acts: Vec<Act<u64>>) {
        for act in acts {
            match act {
                Act::Send { flow, message } => self.sent.push((flow, message)),
                Act::Response {
                    key, user, message, ..
                } => self.run(|proxy, ctx| proxy.on_response(ctx, user, key, &message)),
                Act::Timeout { key, user } => {
                    self.run(|proxy, ctx| proxy.on_lost(ctx, user, key, false));
                }
                Act::Failed { key, user } => {
                    self.run(|proxy, ctx| proxy.on_lost(ctx, user, key, true));
                }
                Act::Cancel { key, .. } => {
                    assert!(self.run(|proxy, ctx| proxy.on_cancel(ctx, key)));
                }
                Act::Request { .. }
                | Act::Ack { .. }
                | Act::StrayResponse { .. }
                | Act::NoAck { .. } => {}
            }
        }
    }

    fn receive(&mut self, remote: &str, message: Message) -> Option<ServerKey> {
        let mut acts = Vec::new();
        self.tx.receive(self.now, flow(remote), message, &mut acts);
        let key = acts.iter().find_map(|act| match act {
            Act::Request { key, .. } => Some(*key),
            _ => None,
        });
        self.work(acts);
        key
    }

    fn forward(&mut self, message: Message, plan: Plan) -> Result<(), StatusCode> {
        let server = self
            .receive(CALLER, message.clone())
            .expect("a new request");
        self.run(|proxy, ctx| proxy.forward(ctx, server, flow(CALLER), message, plan))
    }

    /// The last request of that method to `remote`.
    fn at(&self, remote: &str, method: Method) -> Message {
        self.sent
            .iter()
            .rev()
            .find(|(flow, message)| {
                flow.remote.to_string() == remote
                    && message.is_request()
                    && *message.method() == method
            })
            .map(|(_, message)| message.clone())
            .unwrap_or_else(|| panic!("no {method} went to {remote}"))
    }

    fn count(&self, remote: &str, method: Method) -> usize {
        self.sent
            .iter()
            .filter(|(flow, message)| {
                flow.remote.to_string() == remote
                    && message.is_request()
                    && *message.method() == method
            })
            .count()
    }

    fn answer(&mut self, remote: &str, method: Method, code: u16, more: &[(Name, &str)]) {
        let request = self.at(remote, method);
        let mut builder = Builder::response(&request, StatusCode::new(code).expect("code"), "")
            .to_tag(remote.replace([':', '.'], "").as_bytes());
        for (name, value) in more {
            builder = builder.header(*name, value);
        }
        self.receive(remote, builder.finish());
    }

    /// Statuses that the caller got.
    fn told(&self) -> Vec<u16> {
        self.sent
            .iter()
            .filter(|(flow, message)| flow.remote.to_string() == CALLER && !message.is_request())
            .filter_map(|(_, message)| message.status().map(StatusCode::as_u16))
            .collect()
    }

    fn last_told(&self) -> Message {
        self.sent
            .iter()
            .rev()
            .find(|(flow, message)| flow.remote.to_string() == CALLER && !message.is_request())
            .map(|(_, message)| message.clone())
            .expect("something was told")
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now.mono + Duration::from_secs(seconds);
        loop {
            let due = [self.tx.next_deadline(), self.proxy.next_deadline()]
                .into_iter()
                .flatten()
                .min();
            let Some(at) = due.filter(|at| *at <= end) else {
                break;
            };
            self.now.mono = at;
            let mut acts = Vec::new();
            self.tx.on_time(self.now, &mut acts);
            self.work(acts);
            self.run(|proxy, ctx| proxy.on_time(ctx));
        }
        self.now.mono = end;
    }

    fn assert_empty(&mut self) {
        self.pass(300);
        assert!(self.proxy.is_empty());
        let counts = self.tx.counts();
        let transactions = [
            counts.invite_servers,
            counts.non_invite_servers,
            counts.invite_clients,
            counts.non_invite_clients,
        ];
        assert_eq!((transactions, counts.timers), ([0; 4], 0));
    }
}

const A: &str = "192.0.2.11:5060";
const B: &str = "192.0.2.12:5060";

#[test]
fn forwarded_request_changes_only_what_a_proxy_may_change() {
    let mut bench = Bench::new();
    let mut hop = hop(A);
    hop.way.routes = vec![Bytes::from_static(b"<sip:edge.example;lr>")];
    let plan = Plan {
        groups: vec![vec![hop]],
        record_route: true,
    };
    bench
        .forward(request("INVITE", "X-Kept: as it was\r\n"), plan)
        .expect("forwarded");
    let out = bench.at(A, Method::Invite);
    assert_eq!(out.uri_bytes(), format!("sip:ada@{A}").as_bytes());
    assert_eq!(out.max_forwards(), Some(69));
    assert_eq!(out.vias().count(), 2);
    assert_eq!(out.header(Name::ProxyAuthorization), None);
    assert_eq!(out.header(Name::Route), Some(&b"<sip:edge.example;lr>"[..]));
    assert_eq!(out.header_by_name("X-Kept").count(), 1);
    let route = out.record_routes().next().expect("one").expect("valid");
    let token = Token::read(route.uri.user.expect("a token"), bench.proxy.token_key());
    assert_eq!(
        token,
        Some(Token {
            caller: flow(CALLER),
            callee: flow(A)
        })
    );
}

#[test]
fn first_answer_of_a_parallel_fork_wins_and_the_others_are_taken_back() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", ""), plan(&[&[A, B]]))
        .expect("forwarded");
    bench.answer(A, Method::Invite, 180, &[]);
    bench.answer(B, Method::Invite, 180, &[]);
    bench.answer(B, Method::Invite, 200, &[]);
    assert_eq!(bench.told(), [100, 180, 180, 200]);
    assert_eq!(bench.last_told().vias().count(), 1);
    let cancel = bench.at(A, Method::Cancel);
    assert!(
        cancel
            .header(Name::Reason)
            .expect("why")
            .starts_with(b"SIP;cause=200")
    );
    bench.answer(A, Method::Invite, 487, &[]);
    // the 2xx is the answerer's to repeat, and each copy is passed on
    bench.pass(3);
    assert_eq!(bench.told(), [100, 180, 180, 200]);
    bench.answer(B, Method::Invite, 200, &[]);
    assert_eq!(bench.told(), [100, 180, 180, 200, 200]);
    bench.assert_empty();
}

#[test]
fn both_answers_of_a_fork_are_passed_on_when_they_cross() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", ""), plan(&[&[A, B]]))
        .expect("forwarded");
    bench.answer(A, Method::Invite, 200, &[]);
    bench.answer(B, Method::Invite, 200, &[]);
    assert_eq!(bench.told(), [100, 200, 200]);
    bench.assert_empty();
}

#[test]
fn serial_fork_goes_on_after_a_refusal_and_the_best_answer_is_told() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", ""), plan(&[&[A], &[B]]))
        .expect("forwarded");
    assert_eq!(bench.count(B, Method::Invite), 0);
    bench.answer(A, Method::Invite, 404, &[]);
    assert_eq!(bench.count(B, Method::Invite), 1);
    bench.answer(B, Method::Invite, 503, &[]);
    assert_eq!(bench.told(), [100, 404]);
    bench.assert_empty();
}

#[test]
fn refusal_for_everybody_ends_the_search() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", ""), plan(&[&[A, B], &[A]]))
        .expect("forwarded");
    bench.answer(B, Method::Invite, 180, &[]);
    bench.answer(A, Method::Invite, 603, &[]);
    assert_eq!(bench.told(), [100, 180]);
    bench.at(B, Method::Cancel);
    bench.answer(B, Method::Invite, 487, &[]);
    assert_eq!(bench.told(), [100, 180, 603]);
    assert_eq!(bench.count(A, Method::Invite), 1);
    bench.assert_empty();
}

#[test]
fn challenges_of_all_branches_reach_the_sender_together() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", ""), plan(&[&[A, B]]))
        .expect("forwarded");
    bench.answer(
        A,
        Method::Invite,
        401,
        &[(Name::WwwAuthenticate, "Digest realm=\"a\"")],
    );
    bench.answer(
        B,
        Method::Invite,
        407,
        &[(Name::ProxyAuthenticate, "Digest realm=\"b\"")],
    );
    let told = bench.last_told();
    assert!(told.header(Name::WwwAuthenticate).is_some());
    assert!(told.header(Name::ProxyAuthenticate).is_some());
    bench.assert_empty();
}

#[test]
fn one_dead_branch_is_told_as_500() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", ""), plan(&[&[A]]))
        .expect("forwarded");
    bench.answer(A, Method::Invite, 503, &[]);
    assert_eq!(bench.told(), [100, 500]);
    bench.assert_empty();
}

#[test]
fn cancel_goes_down_every_branch_and_their_answer_comes_back() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", ""), plan(&[&[A, B], &[A]]))
        .expect("forwarded");
    bench.answer(A, Method::Invite, 180, &[]);
    bench.answer(B, Method::Invite, 180, &[]);
    let cancel = request("CANCEL", "");
    bench.receive(CALLER, cancel);
    bench.answer(A, Method::Invite, 487, &[]);
    bench.answer(B, Method::Invite, 487, &[]);
    assert_eq!(bench.told(), [100, 180, 180, 200, 487]);
    assert_eq!(bench.count(A, Method::Invite), 1, "no further group");
    bench.assert_empty();
}

#[test]
fn silence_is_408_for_an_invite_and_nothing_for_other_requests() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", ""), plan(&[&[A]]))
        .expect("forwarded");
    bench.pass(40);
    assert_eq!(bench.told()[..2], [100, 408]);
    bench.assert_empty();

    let mut bench = Bench::new();
    bench
        .forward(request("OPTIONS", ""), plan(&[&[A]]))
        .expect("forwarded");
    bench.pass(40);
    assert_eq!(bench.told(), [] as [u16; 0]);
    bench.assert_empty();
}

#[test]
fn endless_ringing_is_taken_back_by_timer_c() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", ""), plan(&[&[A]]))
        .expect("forwarded");
    bench.answer(A, Method::Invite, 180, &[]);
    bench.pass(170);
    assert_eq!(bench.count(A, Method::Cancel), 0);
    bench.answer(A, Method::Invite, 183, &[]);
    bench.pass(170);
    assert_eq!(
        bench.count(A, Method::Cancel),
        0,
        "a provisional begins it anew"
    );
    bench.pass(11);
    assert!(bench.count(A, Method::Cancel) > 0);
    bench.pass(40);
    assert_eq!(
        bench.last_told().status(),
        Some(StatusCode::REQUEST_TIMEOUT)
    );
    bench.assert_empty();
}

#[test]
fn breadth_is_shared_among_branches_and_ends_a_bomb() {
    let mut bench = Bench::new();
    bench
        .forward(request("INVITE", "Max-Breadth: 5\r\n"), plan(&[&[A, B]]))
        .expect("forwarded");
    assert_eq!(
        bench.at(A, Method::Invite).header(Name::MaxBreadth),
        Some(&b"2"[..])
    );
    let mut bench = Bench::new();
    assert_eq!(
        bench.forward(request("INVITE", "Max-Breadth: 1\r\n"), plan(&[&[A, B]])),
        Err(StatusCode::MAX_BREADTH_EXCEEDED)
    );
    let mut bench = Bench::new();
    let spent = edit::replace(&request("INVITE", ""), Name::MaxForwards, b"0");
    assert_eq!(
        bench.forward(spent, plan(&[&[A]])),
        Err(StatusCode::TOO_MANY_HOPS)
    );
}

#[test]
fn request_that_runs_in_circles_is_known_and_a_spiral_is_not() {
    let ours = |host: &[u8], port: Option<u16>| host == b"192.0.2.1" && port == Some(5060);
    let mut bench = Bench::new();
    let first = edit::remove(&request("OPTIONS", ""), Name::ProxyAuthorization);
    bench
        .forward(first.clone(), plan(&[&[A]]))
        .expect("forwarded");
    let out = bench.at(A, Method::Options);
    assert!(
        !is_loop(&out, ours),
        "it was retargeted on its way: a spiral"
    );
    let back = edit::set_uri(&out, b"sip:ada@pbx.example");
    assert!(is_loop(&back, ours));
    assert!(!is_loop(&back, |_, _| false), "another proxy's word");
    let routed = edit::push(&first, Name::Route, b"<sip:x@192.0.2.1:5060;lr>");
    assert_eq!(without_route(&routed).header(Name::Route), None);
}

#[test]
fn stray_second_via_in_a_response_is_for_nobody() {
    let mut bench = Bench::new();
    bench
        .forward(request("OPTIONS", ""), plan(&[&[A]]))
        .expect("forwarded");
    let out = bench.at(A, Method::Options);
    let stripped = edit::pop_via(&edit::pop_via(&out));
    let single = edit::push_via(&stripped, out.top_via().raw);
    let response = Builder::response(&single, StatusCode::OK, "")
        .to_tag(b"x")
        .finish();
    bench.receive(A, response);
    assert_eq!(bench.told(), [] as [u16; 0]);
}
