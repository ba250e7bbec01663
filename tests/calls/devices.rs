//! Devices and their flows: several flows of one, flows that die and come back, GRUUs, Path, questions whether they live.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use strowger::base::{Duration, Entropy, Now};
use strowger::config::Settings;
use strowger::event::RegistrationFact;
use strowger::media::{MediaCommand, MediaEvent, StreamStatistics};
use strowger::sim::house;
use strowger::sip::{Builder, Message, Method, Name, StatusCode};
use strowger::switch::{
    Answer, Boot, Command, Effect, Effects, Fact, Input, Record, RegistrationView, Switch,
};
use strowger::transport::{ConnectionId, Flow, ProfileId, Transport};

use super::parties;
use super::stage::s;

const INSTANCE: &str = "urn:uuid:00000000-0000-1000-8000-00000000000a";

/// A server whose peers are played by hand, message by message and flow by flow.
struct Hand {
    switch: Switch,
    now: Now,
    sent: Vec<(Flow, Message)>,
    empty_lines: Vec<Flow>,
    facts: Vec<RegistrationFact>,
    journal: Vec<Record>,
    registrations: Vec<RegistrationView>,
    serial: u32,
}

fn settings() -> Settings {
    with_registration("qualify = \"off\"")
}

/// The house with these lines in the table `[registration]`.
fn with_registration(lines: &str) -> Settings {
    parties::settings(|name, text| match name {
        "sip-profiles/internal.toml" => {
            text.replace("qualify = \"off\"\nnat-ping = \"off\"", lines)
        }
        _ => text,
    })
}

fn udp(remote: &str) -> Flow {
    Flow {
        // the profiles stand in the order of their files: `external`, `internal`
        profile: ProfileId(1),
        transport: Transport::Udp,
        local: house::internal(),
        remote: remote.parse().expect("an address"),
        connection: None,
    }
}

/// A connection of the telephone of 1001: each comes from another port.
fn tcp(number: u64) -> Flow {
    let port = 40_000 + u16::try_from(number).expect("a small number");
    Flow {
        transport: Transport::Tcp,
        remote: SocketAddr::from(([10, 0, 0, 50], port)),
        connection: Some(ConnectionId(number)),
        ..udp("10.0.0.50:5060")
    }
}

/// The telephone of 1002, over UDP.
fn other() -> Flow {
    udp("10.0.0.60:5060")
}

fn sdp() -> &'static str {
    "v=0\r\no=- 1 1 IN IP4 10.0.0.60\r\ns=-\r\nc=IN IP4 10.0.0.60\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
}

impl Hand {
    fn new(settings: Settings) -> Hand {
        Hand::on(settings, Now::default(), &[])
    }

    /// A server that finds these records in its journal.
    fn on(settings: Settings, now: Now, journal: &[Record]) -> Hand {
        let boot = Boot {
            entropy: Entropy::from_number(3),
            primary: house::internal().ip(),
            media_workers: 1,
        };
        let mut hand = Hand {
            switch: Switch::new(now, Arc::new(settings), boot),
            now,
            sent: Vec::new(),
            empty_lines: Vec::new(),
            facts: Vec::new(),
            journal: Vec::new(),
            registrations: Vec::new(),
            serial: 0,
        };
        for record in journal {
            hand.give(Input::Restore(Box::new(record.clone())));
        }
        hand.give(Input::Ready);
        hand
    }

    fn give(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut fx = Effects::new();
            self.switch.handle(self.now, input, &mut fx);
            for effect in fx.drain() {
                match effect {
                    Effect::Send { flow, bytes } if &bytes[..] == b"\r\n\r\n" => {
                        self.empty_lines.push(flow);
                    }
                    Effect::Send { flow, bytes } => {
                        let message = Message::parse(bytes).expect("we send what can be read");
                        self.sent.push((flow, message));
                    }
                    Effect::Journal(record) => self.journal.push(record),
                    Effect::Event(event) => {
                        if let Fact::Registration(fact) = &event.fact {
                            self.facts.push(fact.clone());
                        }
                    }
                    Effect::Media(MediaCommand::Close { stream }) => {
                        inputs.push(Input::Media(MediaEvent::Closed {
                            stream,
                            statistics: StreamStatistics::default(),
                        }));
                    }
                    Effect::Reply {
                        reply: Ok(Answer::Registrations(list)),
                        ..
                    } => self.registrations = list,
                    _ => {}
                }
            }
        }
    }

    fn says(&mut self, flow: Flow, text: &str) {
        let bytes = Bytes::from(text.to_owned());
        self.give(Input::Received { flow, bytes });
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.switch.next_deadline().filter(|due| *due <= end) {
            self.now.mono = due.max(self.now.mono);
            self.give(Input::Tick);
        }
        self.now.mono = end;
        self.now.wall = self.now.wall + time;
    }

    /// A REGISTER of a user on a flow; gives the answer.
    fn register(&mut self, user: &str, flow: Flow, contact: &str, more: &str) -> Message {
        self.serial += 1;
        let n = self.serial;
        let (transport, remote) = (flow.transport.as_str(), flow.remote);
        self.says(
            flow,
            &format!(
                "REGISTER sip:{0} SIP/2.0\r\nVia: SIP/2.0/{transport} {remote};branch=z9hG4bKr{n};rport\r\nMax-Forwards: 70\r\n\
                 From: <sip:{user}@{0}>;tag=f\r\nTo: <sip:{user}@{0}>\r\nCall-ID: reg-{user}\r\nCSeq: {n} REGISTER\r\n\
                 Contact: {contact}\r\n{more}Content-Length: 0\r\n\r\n",
                house::DOMAIN
            ),
        );
        self.last(flow, |message| *message.method() == Method::Register)
    }

    /// The telephone of 1001 registers one of its flows.
    fn flow(&mut self, number: u64, reg_id: u32) -> Message {
        let contact = format!(
            "<sip:1001@10.0.0.50:5060;transport=tcp>;+sip.instance=\"<{INSTANCE}>\";reg-id={reg_id}"
        );
        let supported = "Supported: outbound, path, gruu\r\n";
        self.register("1001", tcp(number), &contact, supported)
    }

    fn last(&self, flow: Flow, fits: impl Fn(&Message) -> bool) -> Message {
        let mut found = self.sent.iter().rev();
        found
            .find(|(to, message)| *to == flow && fits(message))
            .unwrap_or_else(|| panic!("nothing like that on {flow}: {:#?}", self.told()))
            .1
            .clone()
    }

    /// Where requests of a method went, in order.
    fn went(&self, method: &Method) -> Vec<Flow> {
        let requests = self.sent.iter();
        requests
            .filter(|(_, message)| message.is_request() && message.method() == method)
            .map(|(flow, _)| *flow)
            .collect()
    }

    fn told(&self) -> Vec<String> {
        let line = |(flow, message): &(Flow, Message)| {
            let what = match message.status() {
                Some(status) => status.as_u16().to_string(),
                None => "request".to_owned(),
            };
            format!("{flow}: {what} {}", message.method())
        };
        self.sent.iter().map(line).collect()
    }

    /// The telephone of 1002 calls a URI.
    fn call(&mut self, uri: &str) {
        self.request_of_other("INVITE", uri, "", sdp());
    }

    fn request_of_other(&mut self, method: &str, uri: &str, tag: &str, body: &str) {
        self.serial += 1;
        let n = self.serial;
        let cseq = if method == "ACK" { 1 } else { n };
        let cseq = if method == "INVITE" { 1 } else { cseq };
        let kind = match body {
            "" => "",
            _ => "Content-Type: application/sdp\r\n",
        };
        self.says(
            other(),
            &format!(
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.60:5060;branch=z9hG4bKo{n};rport\r\nMax-Forwards: 70\r\n\
                 From: <sip:1002@{0}>;tag=o\r\nTo: <{uri}>{tag}\r\nCall-ID: call\r\nCSeq: {cseq} {method}\r\n\
                 Contact: <sip:1002@10.0.0.60:5060>\r\n{kind}Content-Length: {1}\r\n\r\n{body}",
                house::DOMAIN,
                body.len()
            ),
        );
    }

    /// The telephone of 1001 answers the last INVITE on a flow.
    fn answers(&mut self, flow: Flow, code: u16) {
        let invite = self.last(flow, |m| m.is_request() && *m.method() == Method::Invite);
        let status = StatusCode::new(code).expect("a status");
        let answer = Builder::response(&invite, status, "")
            .to_tag(b"phone")
            .header(Name::Contact, "<sip:1001@10.0.0.50:5060;transport=tcp>");
        let answer = match code {
            200 => answer.body("application/sdp", sdp().as_bytes()),
            _ => answer.finish(),
        };
        let bytes = answer.bytes().clone();
        self.give(Input::Received { flow, bytes });
    }

    /// 1002 calls 1001, who answers on a flow.
    fn talk(&mut self, flow: Flow) {
        self.call(&uri("1001"));
        self.answers(flow, 200);
        let tag = self.tag();
        self.request_of_other("ACK", &uri("1001"), &tag, "");
    }

    /// Our tag in the call of 1002, as a parameter of To.
    fn tag(&self) -> String {
        let ok = self.last(other(), |m| {
            m.status() == Some(StatusCode::OK) && *m.method() == Method::Invite
        });
        format!(
            ";tag={}",
            String::from_utf8_lossy(ok.to_tag().expect("a tag"))
        )
    }

    fn hangs_up(&mut self) {
        let tag = self.tag();
        self.request_of_other("BYE", &uri("1001"), &tag, "");
    }

    fn closes(&mut self, number: u64) {
        self.give(Input::ConnectionClosed {
            connection: ConnectionId(number),
        });
    }

    /// The final status of the call of 1002.
    fn outcome(&self) -> Option<u16> {
        self.sent
            .iter()
            .filter(|(flow, m)| *flow == other() && *m.method() == Method::Invite)
            .filter_map(|(_, message)| message.status())
            .find(|status| status.is_final())
            .map(StatusCode::as_u16)
    }

    fn registered(&mut self) -> usize {
        self.give(Input::Command {
            id: 1,
            command: Command::Registrations,
        });
        self.registrations.len()
    }
}

fn uri(user: &str) -> String {
    format!("sip:{user}@{}", house::DOMAIN)
}

#[test]
fn newest_flow_of_a_device_is_called_and_the_next_one_when_it_is_dead() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.pass(s(1));
    hand.flow(2, 2);
    assert_eq!(hand.registered(), 2);
    hand.call(&uri("1001"));
    assert_eq!(
        hand.went(&Method::Invite),
        [tcp(2)],
        "one device, one INVITE"
    );
    hand.give(Input::SendFailed { flow: tcp(2) });
    assert_eq!(hand.went(&Method::Invite), [tcp(2), tcp(1)]);
    hand.answers(tcp(1), 200);
    assert_eq!(hand.outcome(), Some(200));
    assert_eq!(hand.went(&Method::Ack), [tcp(1)]);
    hand.registered();
    let healthy =
        |list: &[RegistrationView]| -> Vec<bool> { list.iter().map(|view| view.healthy).collect() };
    assert_eq!(healthy(&hand.registrations), [true, false]);
}

#[test]
fn flow_that_its_edge_calls_failed_is_left_for_the_next_one() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.pass(s(1));
    hand.flow(2, 2);
    hand.call(&uri("1001"));
    hand.answers(tcp(2), 430);
    assert_eq!(hand.went(&Method::Invite), [tcp(2), tcp(1)]);
    hand.answers(tcp(1), 486);
    assert_eq!(
        hand.went(&Method::Invite),
        [tcp(2), tcp(1)],
        "who is busy is busy on every flow"
    );
    assert_eq!(hand.outcome(), Some(486));
}

#[test]
fn closed_connection_fails_the_call_on_it_at_once() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.pass(s(1));
    hand.flow(2, 2);
    hand.call(&uri("1001"));
    hand.closes(2);
    assert_eq!(hand.went(&Method::Invite), [tcp(2), tcp(1)]);
    hand.closes(1);
    assert_eq!(hand.went(&Method::Invite).len(), 2);
    assert_eq!(hand.outcome(), Some(480));
}

#[test]
fn bye_goes_to_the_connection_on_which_the_device_came_back() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.talk(tcp(1));
    hand.closes(1);
    assert_eq!(hand.registered(), 0);
    hand.pass(s(3));
    hand.flow(7, 1);
    hand.hangs_up();
    assert_eq!(hand.went(&Method::Bye), [tcp(7)]);
}

#[test]
fn device_without_an_instance_is_known_by_its_contact() {
    let mut hand = Hand::new(settings());
    let contact = |port: u16| format!("<sip:1001@10.0.0.50:{port};transport=tcp>");
    hand.register("1001", tcp(1), &contact(40_001), "");
    hand.talk(tcp(1));
    hand.closes(1);
    hand.register("1001", tcp(2), &contact(40_002), "");
    hand.hangs_up();
    assert_eq!(hand.went(&Method::Bye), [tcp(2)]);
}

#[test]
fn call_that_a_device_made_follows_it_as_well() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.register("1002", other(), "<sip:1002@10.0.0.60:5060>", "");
    hand.says(
        tcp(1),
        &format!(
            "INVITE {0} SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.50;branch=z9hG4bKout\r\nMax-Forwards: 70\r\nFrom: <{1}>;tag=p\r\n\
             To: <{0}>\r\nCall-ID: out\r\nCSeq: 1 INVITE\r\nContact: <sip:1001@10.0.0.50;transport=tcp>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {2}\r\n\r\n{3}",
            uri("1002"),
            uri("1001"),
            sdp().len(),
            sdp()
        ),
    );
    hand.closes(1);
    hand.flow(2, 1);
    hand.answers(other(), 200);
    let ok = hand.last(tcp(2), |m| {
        m.status() == Some(StatusCode::OK) && *m.method() == Method::Invite
    });
    assert_eq!(ok.call_id(), b"out", "the answer finds the new connection");
}

#[test]
fn who_is_called_is_not_called_next_on_a_flow_that_is_gone() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.pass(s(1));
    hand.flow(2, 2);
    hand.call(&uri("1001"));
    hand.closes(1);
    hand.closes(2);
    assert_eq!(hand.went(&Method::Invite), [tcp(2)]);
    assert_eq!(hand.outcome(), Some(480));
}

#[test]
fn who_is_called_on_one_flow_stays_there_when_another_moves() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.pass(s(1));
    hand.flow(2, 2);
    hand.call(&uri("1001"));
    hand.flow(3, 1);
    assert_eq!(hand.went(&Method::Invite), [tcp(2)], "it rings there");
    // and if that fails, what replaced the other flow is next, and the other flow no more
    hand.give(Input::SendFailed { flow: tcp(2) });
    hand.give(Input::SendFailed { flow: tcp(3) });
    assert_eq!(hand.went(&Method::Invite), [tcp(2), tcp(3)]);
}

#[test]
fn what_a_device_watches_stays_on_its_flow_and_goes_on_over_another_when_that_closes() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.flow(2, 2);
    hand.says(
        tcp(2),
        &format!(
            "SUBSCRIBE sip:1001@{0} SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.50:5060;branch=z9hG4bKw;rport\r\nMax-Forwards: 70\r\n\
             From: <sip:1001@{0}>;tag=w\r\nTo: <sip:1001@{0}>\r\nCall-ID: w\r\nCSeq: 1 SUBSCRIBE\r\nEvent: reg\r\n\
             Contact: <sip:1001@10.0.0.50:5060;transport=tcp>\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n",
            house::DOMAIN
        ),
    );
    let settles = |hand: &mut Hand, flow: Flow| {
        let notify = hand.last(flow, |m| m.is_request() && *m.method() == Method::Notify);
        let ok = Builder::response(&notify, StatusCode::OK, "").finish();
        let bytes = ok.bytes().clone();
        hand.give(Input::Received { flow, bytes });
        hand.pass(s(10));
    };
    settles(&mut hand, tcp(2));
    hand.flow(3, 1);
    let desk = udp("192.0.2.9:5060");
    hand.register("1001", desk, "<sip:1001@192.0.2.9:5060>", "");
    assert_eq!(hand.went(&Method::Notify), [tcp(2), tcp(2)]);
    settles(&mut hand, tcp(2));
    hand.closes(2);
    assert_eq!(hand.went(&Method::Notify), [tcp(2), tcp(2), tcp(3)]);
}

#[test]
fn other_flow_of_a_device_takes_over_its_dialogs_at_once() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.pass(s(1));
    hand.flow(2, 2);
    hand.talk(tcp(2));
    hand.closes(2);
    hand.hangs_up();
    assert_eq!(hand.went(&Method::Bye), [tcp(1)]);
}

#[test]
fn bye_that_found_no_connection_is_said_when_the_device_is_back() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.talk(tcp(1));
    hand.closes(1);
    hand.hangs_up();
    assert_eq!(hand.went(&Method::Bye), [tcp(1)]);
    hand.give(Input::SendFailed { flow: tcp(1) });
    hand.pass(s(5));
    hand.flow(2, 1);
    assert_eq!(hand.went(&Method::Bye), [tcp(1), tcp(2)]);
    let bye = hand.last(tcp(2), |m| m.is_request() && *m.method() == Method::Bye);
    assert_eq!(bye.to_tag(), Some(&b"phone"[..]));
    let ok = Builder::response(&bye, StatusCode::OK, "").finish();
    let bytes = ok.bytes().clone();
    hand.give(Input::Received {
        flow: tcp(2),
        bytes,
    });
    hand.flow(3, 1);
    assert_eq!(hand.went(&Method::Bye).len(), 2, "once is enough");
    // Who stays away for long is told nothing.
    hand.pass(s(120));
    assert_eq!(hand.switch.residue(), Default::default());
}

#[test]
fn device_that_moves_while_it_is_called_is_called_where_it_is() {
    let mut hand = Hand::new(settings());
    let contact = format!("<sip:1001@10.0.0.50:5060>;+sip.instance=\"<{INSTANCE}>\"");
    let (before, after) = (udp("192.0.2.7:1024"), udp("192.0.2.7:2048"));
    hand.register("1001", before, &contact, "");
    hand.call(&uri("1001"));
    hand.register("1001", after, &contact, "");
    assert_eq!(hand.went(&Method::Invite), [before, after]);
    assert!(hand.went(&Method::Cancel).is_empty(), "nothing came back");
    // the first INVITE had arrived, and what the device said of it comes late
    hand.answers(before, 180);
    assert_eq!(hand.went(&Method::Cancel), [before]);
    hand.answers(after, 200);
    assert_eq!(hand.outcome(), Some(200));
}

#[test]
fn device_that_answers_the_call_that_it_moved_away_from_is_let_go() {
    let mut hand = Hand::new(settings());
    let contact = format!("<sip:1001@10.0.0.50:5060>;+sip.instance=\"<{INSTANCE}>\"");
    let (before, after) = (udp("192.0.2.7:1024"), udp("192.0.2.7:2048"));
    hand.register("1001", before, &contact, "");
    hand.call(&uri("1001"));
    hand.register("1001", after, &contact, "");
    // it rings for the first without a word, and so has no line for the second
    hand.answers(after, 486);
    assert_eq!(hand.outcome(), Some(486));
    assert_eq!(hand.went(&Method::Ack), [after]);
    hand.answers(before, 200);
    assert_eq!(hand.went(&Method::Ack), [after, before]);
    let ack = hand.last(before, |m| *m.method() == Method::Ack);
    let invite = hand.last(before, |m| m.is_request() && *m.method() == Method::Invite);
    assert_eq!(ack.call_id(), invite.call_id());
    assert_eq!(ack.cseq().number, invite.cseq().number);
    assert_eq!(hand.went(&Method::Bye), [before]);
    // the ACK was lost
    hand.answers(before, 200);
    assert_eq!(hand.went(&Method::Ack), [after, before, before]);
    assert_eq!(hand.went(&Method::Bye), [before], "once is enough");
    // until its registration is over, and with it the questions whether it lives
    hand.pass(s(4_000));
    assert_eq!(hand.switch.residue(), Default::default());
}

#[test]
fn path_is_the_route_of_every_request_to_the_device() {
    let mut hand = Hand::new(with_registration("path = \"accept\"\nqualify = \"10s\""));
    let edge = udp("10.0.0.70:5060");
    let path = "Supported: path\r\nPath: <sip:10.0.0.70;lr>, <sip:edge.example;lr>\r\n";
    let answer = hand.register("1001", edge, "<sip:1001@192.168.7.7>", path);
    assert!(answer.header(Name::Path).is_some());
    hand.pass(s(11));
    hand.call(&uri("1001"));
    for method in [Method::Options, Method::Invite] {
        let request = hand.last(edge, |m| m.is_request() && *m.method() == method);
        assert_eq!(request.uri_bytes(), b"sip:1001@192.168.7.7");
        let routes: Vec<&[u8]> = request.headers(Name::Route).collect();
        assert_eq!(
            routes,
            [&b"<sip:10.0.0.70;lr>"[..], b"<sip:edge.example;lr>"],
            "{method}"
        );
    }
}

fn gruu_of(answer: &Message, name: &str) -> String {
    let contact = answer.header(Name::Contact).expect("a contact");
    let contact = String::from_utf8_lossy(contact).into_owned();
    let (_, rest) = contact
        .split_once(&format!("{name}=\""))
        .unwrap_or_else(|| panic!("no {name} in {contact}"));
    rest.split('"').next().expect("a value").to_owned()
}

#[test]
fn gruu_reaches_its_device_alone() {
    for kind in ["pub-gruu", "temp-gruu"] {
        let mut hand = Hand::new(settings());
        let answer = hand.flow(1, 1);
        let second = udp("10.0.0.51:5060");
        hand.register("1001", second, "<sip:1001@10.0.0.51>", "");
        hand.call(&gruu_of(&answer, kind));
        assert_eq!(hand.went(&Method::Invite), [tcp(1)], "{kind}");
        hand.answers(tcp(1), 200);
        assert_eq!(hand.outcome(), Some(200));
    }
}

#[test]
fn gruu_of_a_device_that_is_away_is_unavailable_and_one_of_nobody_is_not_found() {
    let mut hand = Hand::new(settings());
    let answer = hand.flow(1, 1);
    let temporary = gruu_of(&answer, "temp-gruu");
    hand.closes(1);
    for (gruu, status) in [
        (gruu_of(&answer, "pub-gruu"), 480),
        (temporary, 404),
        (format!("{};gr=urn:uuid:1", uri("9999")), 404),
        (format!("{};gr", uri("tgruu.x")), 404),
    ] {
        hand.sent.clear();
        hand.call(&gruu);
        assert_eq!(hand.outcome(), Some(status), "{gruu}");
        hand.request_of_other("ACK", &gruu, "", "");
        hand.pass(s(40));
    }
    assert!(hand.went(&Method::Invite).is_empty());
    assert_eq!(hand.switch.residue(), Default::default());
}

#[test]
fn refusal_of_the_device_is_what_the_caller_of_its_gruu_hears() {
    let mut hand = Hand::new(settings());
    let answer = hand.flow(1, 1);
    hand.call(&gruu_of(&answer, "pub-gruu"));
    hand.answers(tcp(1), 603);
    assert_eq!(hand.outcome(), Some(603));
}

#[test]
fn temporary_gruu_outlives_the_process() {
    let mut hand = Hand::new(settings());
    let device = udp("10.0.0.50:5060");
    let contact = format!("<sip:1001@10.0.0.50:5060>;+sip.instance=\"<{INSTANCE}>\"");
    let answer = hand.register("1001", device, &contact, "Supported: gruu\r\n");
    for journal in [hand.journal.clone(), hand.switch.snapshot(hand.now)] {
        let mut after = Hand::on(settings(), hand.now, &journal);
        after.call(&gruu_of(&answer, "temp-gruu"));
        assert_eq!(after.went(&Method::Invite), [device]);
    }
}

#[test]
fn device_that_stops_to_answer_is_not_rung_until_it_answers_again() {
    let mut hand = Hand::new(with_registration("qualify = \"60s\""));
    let device = udp("10.0.0.50:5060");
    hand.register("1001", device, "<sip:1001@10.0.0.50>", "Expires: 3600\r\n");
    let is_options = |m: &Message| m.is_request() && *m.method() == Method::Options;
    let answer = |hand: &mut Hand| {
        hand.sent.clear();
        hand.pass(s(60));
        let options = hand.last(device, is_options);
        // Even a refusal shows that it is there.
        let refusal = Builder::response(&options, StatusCode::METHOD_NOT_ALLOWED, "").finish();
        let bytes = refusal.bytes().clone();
        hand.give(Input::Received {
            flow: device,
            bytes,
        });
    };
    answer(&mut hand);
    hand.pass(s(200));
    let gone = |fact: &&RegistrationFact| matches!(fact, RegistrationFact::Unreachable { .. });
    assert_eq!(hand.facts.iter().filter(gone).count(), 1);
    assert_eq!(hand.registered(), 1);
    assert!(!hand.registrations[0].healthy);
    hand.call(&uri("1001"));
    assert_eq!(hand.outcome(), Some(480));
    assert!(hand.went(&Method::Invite).is_empty());
    answer(&mut hand);
    hand.registered();
    assert!(hand.registrations[0].healthy);
    assert!(matches!(
        hand.facts.last(),
        Some(RegistrationFact::Reachable { .. })
    ));
}

#[test]
fn empty_line_keeps_the_mapping_of_a_telephone_that_answers_nothing() {
    let mut hand = Hand::new(with_registration("nat-ping = \"20s\""));
    let device = udp("192.0.2.7:1024");
    hand.register(
        "1001",
        device,
        "<sip:1001@192.168.1.5>",
        "Expires: 3600\r\n",
    );
    hand.pass(s(600));
    assert!(hand.empty_lines.len() > 20, "{}", hand.empty_lines.len());
    assert!(hand.empty_lines.iter().all(|flow| *flow == device));
    hand.registered();
    assert!(hand.registrations[0].healthy);
}

#[test]
fn reload_that_takes_a_person_out_ends_their_registrations() {
    let mut hand = Hand::new(settings());
    hand.flow(1, 1);
    hand.register("1002", other(), "<sip:1002@10.0.0.60:5060>", "");
    assert_eq!(hand.registered(), 2);
    let without = parties::settings(|name, text| match name {
        "directory/people.toml" => text.replace("\"1001\"", "\"1006\""),
        _ => text,
    });
    hand.give(Input::Settings(Arc::new(without)));
    assert_eq!(hand.registered(), 1);
    let left = format!("1002@{}", house::DOMAIN);
    assert_eq!(*hand.registrations[0].aor, *left);
    let unbound =
        |record: &Record| matches!(record, Record::Unbound { aor, .. } if aor.starts_with("1001@"));
    assert!(hand.journal.iter().any(unbound));
}

#[test]
fn agent_whose_only_device_did_not_answer_once_is_reachable_again_after_a_while() {
    let mut hand = Hand::new(settings());
    let device = udp("10.0.0.54:5060");
    hand.register("1004", device, "<sip:1004@10.0.0.54>", "Expires: 3600\r\n");
    hand.call(&uri("1004"));
    hand.give(Input::SendFailed { flow: device });
    let ringable = |hand: &mut Hand| {
        let now = hand.now;
        let mut fx = Effects::new();
        let command = Command::Agent {
            extension: Arc::from("1004"),
        };
        hand.switch
            .handle(now, Input::Command { id: 2, command }, &mut fx);
        let reply = fx.drain().find_map(|effect| match effect {
            Effect::Reply { reply, .. } => Some(reply),
            _ => None,
        });
        match reply {
            Some(Ok(Answer::Agent(view))) => view.devices,
            other => panic!("an agent, not {other:?}"),
        }
    };
    assert_eq!(ringable(&mut hand), 0);
    hand.pass(s(31));
    assert_eq!(ringable(&mut hand), 1);
}
