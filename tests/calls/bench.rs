//! The shipped core between a carrier and some phones that say only what they are told to say.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use strowger::base::{Duration, Entropy, Now};
use strowger::config::Settings;
use strowger::media::{MediaCommand, MediaEvent, StreamStatistics};
use strowger::sim::house;
use strowger::sip::{Builder, Message, Method, Name, StatusCode};
use strowger::switch::{Boot, Effect, Effects, Input, Record, Residue, Switch};
use strowger::transport::{Flow, ProfileId, Transport};

use super::stage::{bound, load, s};

/// The house's files as settings, with `change` applied to each.
pub fn settings(change: impl Fn(&str, String) -> String) -> Settings {
    let people = ["1001".to_string(), "1002".to_string()];
    let files = house::files(&people, &[], &[]);
    load(files.into_iter().map(|(name, text)| {
        let text = change(&name, text);
        (name, text)
    }))
}

/// The core, and all that left it.
pub struct Bench {
    pub switch: Switch,
    pub now: Now,
    profiles: Vec<Arc<str>>,
    /// Every message that left, oldest first.
    pub sent: Vec<(Flow, Message)>,
    pub journal: Vec<Record>,
    pub media: Vec<MediaCommand>,
    /// Lines for the operator.
    pub said: Vec<String>,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(settings(|_, text| text))
    }

    pub fn with(settings: Settings) -> Bench {
        let now = Now::default();
        let boot = Boot {
            entropy: Entropy::from_number(5),
            primary: house::internal().ip(),
            media_workers: 1,
        };
        let profiles = settings.profiles.iter().map(|p| p.name.clone()).collect();
        let mut bench = Bench {
            switch: Switch::new(now, Arc::new(settings), boot),
            now,
            profiles,
            sent: Vec::new(),
            journal: Vec::new(),
            media: Vec::new(),
            said: Vec::new(),
        };
        for (user, at) in [("1001", phone(1)), ("1002", phone(2)), ("1001", phone(3))] {
            bench.give(bound(user, at, now));
        }
        bench.give(Input::Ready);
        bench
    }

    pub fn give(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut fx = Effects::new();
            self.switch.handle(self.now, input, &mut fx);
            for effect in fx.drain() {
                match effect {
                    Effect::Send { flow, bytes } => {
                        let message = Message::parse(bytes).expect("we send what can be read");
                        self.sent.push((flow, message));
                    }
                    Effect::Journal(record) => self.journal.push(record),
                    Effect::Log { text, .. } => self.said.push(text),
                    Effect::Media(command) => {
                        if let MediaCommand::Close { stream } = command {
                            inputs.push(Input::Media(MediaEvent::Closed {
                                stream,
                                statistics: StreamStatistics::default(),
                            }));
                        }
                        self.media.push(command);
                    }
                    _ => {}
                }
            }
        }
    }

    pub fn take(&mut self, profile: &str, local: SocketAddr, remote: SocketAddr, bytes: Bytes) {
        let place = self.profiles.iter().position(|p| &**p == profile);
        let flow = Flow {
            profile: ProfileId(place.expect("a profile") as u16),
            transport: Transport::Udp,
            local,
            remote,
            connection: None,
        };
        self.give(Input::Received { flow, bytes });
    }

    pub fn carrier_says(&mut self, text: &str) {
        let bytes = Bytes::from(text.to_owned());
        self.take("external", house::external(), house::carrier(), bytes);
    }

    pub fn phone_says(&mut self, number: u8, message: &Message) {
        let bytes = message.bytes().clone();
        self.take("internal", house::internal(), phone(number), bytes);
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.switch.next_deadline().filter(|due| *due <= end) {
            self.now.mono = due.max(self.now.mono);
            self.give(Input::Tick);
        }
        self.now.mono = end;
    }

    /// The last message that left for `to` and fits.
    pub fn last(&self, to: SocketAddr, fits: impl Fn(&Message) -> bool) -> Message {
        let found = self.sent.iter().rev();
        let mut found = found.filter(|(flow, message)| flow.remote == to && fits(message));
        found.next().expect("such a message").1.clone()
    }

    pub fn request(&self, to: SocketAddr, method: &Method) -> Message {
        self.last(to, |m| m.is_request() && m.method() == method)
    }

    pub fn response(&self, to: SocketAddr, method: &Method, code: u16) -> Message {
        self.last(to, |m| {
            m.status().map(StatusCode::as_u16) == Some(code) && m.method() == method
        })
    }

    pub fn count(&self, to: SocketAddr, fits: impl Fn(&Message) -> bool) -> usize {
        let sent = self.sent.iter();
        sent.filter(|(flow, m)| flow.remote == to && fits(m))
            .count()
    }

    /// A phone's answer to the last INVITE to it.
    pub fn phone_answers(&mut self, number: u8, code: u16) {
        let invite = self.request(phone(number), &Method::Invite);
        let status = StatusCode::new(code).expect("a status");
        let answer = Builder::response(&invite, status, "")
            .to_tag(b"phone")
            .header(Name::Contact, format!("<sip:1001@{}>", phone(number)));
        let answer = match code {
            200 => answer.body(
                "application/sdp",
                sdp(&phone(number).ip().to_string(), 1).as_bytes(),
            ),
            _ => answer.finish(),
        };
        self.phone_says(number, &answer);
    }

    /// What phone 1 answers to a request of ours, under a tag and with further headers.
    pub fn says(&mut self, to: &Message, code: u16, tag: &str, more: &[(Name, &str)], body: &str) {
        let status = StatusCode::new(code).expect("a status");
        let mut answer = Builder::response(to, status, "")
            .to_tag(tag.as_bytes())
            .header(Name::Contact, format!("<sip:1001@{};who={tag}>", phone(1)));
        for (name, value) in more {
            answer = answer.header(*name, value);
        }
        let answer = match body {
            "" => answer.finish(),
            body => answer.body("application/sdp", body.as_bytes()),
        };
        self.phone_says(1, &answer);
    }

    /// A request of phone 1 in the dialog that our INVITE and its `tag` make.
    pub fn asks(&mut self, method: &str, cseq: u32, tag: &str, more: &str, body: &str) {
        let invite = self.request(phone(1), &Method::Invite);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let kind = match body {
            "" => "",
            _ => "Content-Type: application/sdp\r\n",
        };
        let request = format!(
            "{method} sip:x@{us} SIP/2.0\r\nVia: SIP/2.0/UDP {it};branch=z9hG4bK{method}{cseq}{tag}\r\nMax-Forwards: 70\r\n\
             From: {from};tag={tag}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:1001@{it};who={tag}>\r\n{more}{kind}Content-Length: {length}\r\n\r\n{body}",
            us = house::internal(),
            it = phone(1),
            from = text(invite.header(Name::To).expect("To")),
            to = text(invite.header(Name::From).expect("From")),
            id = text(invite.call_id()),
            length = body.len(),
        );
        let message = Message::parse(Bytes::from(request)).expect("a request");
        self.phone_says(1, &message);
    }

    /// The carrier calls 1001 with these further headers.
    pub fn invited(&mut self, more: &str) {
        let body = sdp("203.0.113.5", 1);
        self.carrier_says(&carrier_says("INVITE", 1, "", more, &body));
    }

    /// The INVITE at phone 1.
    pub fn invite(&self) -> Message {
        self.request(phone(1), &Method::Invite)
    }

    /// Our tag towards the carrier.
    pub fn tag(&self) -> String {
        let told = self.last(house::carrier(), |m| m.to_tag().is_some());
        String::from_utf8_lossy(told.to_tag().expect("a tag")).into_owned()
    }

    /// A call of the carrier to 1001 with these headers in its INVITE and in the phone's 200; all is acknowledged. Gives our tag.
    pub fn talking(&mut self, carrier: &str, callee: &[(Name, &str)]) -> String {
        self.invited(carrier);
        let body = sdp(&phone(1).ip().to_string(), 1);
        self.says(&self.invite(), 200, "phone", callee, &body);
        let tag = self.tag();
        self.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
        tag
    }

    /// How often a response of this status to this method went to the carrier.
    pub fn told(&self, method: &Method, code: u16) -> usize {
        self.count(house::carrier(), |m| {
            m.status().map(StatusCode::as_u16) == Some(code) && m.method() == method
        })
    }

    /// How many different requests of this method phone 1 got: repetitions count once.
    pub fn asked(&self, method: &Method) -> usize {
        let sent = self.sent.iter();
        let mut branches: Vec<Vec<u8>> = sent
            .filter(|(flow, m)| flow.remote == phone(1) && m.is_request() && m.method() == method)
            .map(|(_, m)| m.top_via().branch().unwrap_or_default().to_vec())
            .collect();
        branches.sort();
        branches.dedup();
        branches.len()
    }

    /// The call ends from the carrier's side, and nothing is left.
    pub fn over(&mut self, cseq: u32, tag: &str) {
        self.carrier_says(&carrier_says("BYE", cseq, tag, "", ""));
        let bye = self.request(phone(1), &Method::Bye);
        self.says(&bye, 200, "", &[], "");
        assert_eq!(self.residue(), Residue::default());
    }

    /// A call of the carrier to 1001 that rings.
    pub fn ringing(&mut self) {
        self.carrier_says(&carrier_says("INVITE", 1, "", "", &sdp("203.0.113.5", 1)));
        self.phone_answers(1, 180);
    }

    /// The same call, answered; the carrier's ACK is still to come. Gives our tag.
    pub fn answered(&mut self) -> String {
        self.ringing();
        self.phone_answers(1, 200);
        let ok = self.response(house::carrier(), &Method::Invite, 200);
        String::from_utf8_lossy(ok.to_tag().expect("a tag")).into_owned()
    }

    /// All that may linger has had its time.
    pub fn residue(&mut self) -> Residue {
        self.pass(s(120));
        self.switch.residue()
    }
}

pub fn phone(number: u8) -> SocketAddr {
    house::desk(usize::from(number - 1), 0)
}

pub fn sdp(ip: &str, version: u32) -> String {
    format!(
        "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000{version} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    )
}

/// A request of the carrier in its one call, to 1001's direct line.
pub fn carrier_says(method: &str, cseq: u32, tag: &str, more: &str, body: &str) -> String {
    let (us, it) = (house::external(), house::carrier());
    let to_tag = match tag {
        "" => String::new(),
        tag => format!(";tag={tag}"),
    };
    let kind = match body {
        "" => "",
        _ => "Content-Type: application/sdp\r\n",
    };
    let of = if method == "CANCEL" { "INVITE" } else { method };
    format!(
        "{method} sip:+442071831001@{us} SIP/2.0\r\nVia: SIP/2.0/UDP {it};branch=z9hG4bK{of}{cseq};rport\r\n\
         Max-Forwards: 5\r\nFrom: <sip:+4930123456@{it}>;tag=carrier\r\nTo: <sip:+442071831001@{us}>{to_tag}\r\n\
         Call-ID: raw\r\nCSeq: {cseq} {method}\r\nContact: <sip:+4930123456@{it}>\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn is(code: u16) -> impl Fn(&Message) -> bool {
    move |m| m.status().map(StatusCode::as_u16) == Some(code) && *m.method() == Method::Invite
}

/// The value of a header as text; empty when it is not there.
pub fn value(message: &Message, name: Name) -> String {
    String::from_utf8_lossy(message.header(name).unwrap_or_default()).into_owned()
}

/// The `o=` line of a body.
pub fn origin(message: &Message) -> String {
    let body = String::from_utf8_lossy(message.body()).into_owned();
    let line = body.lines().find(|line| line.starts_with("o="));
    line.expect("an o= line").to_owned()
}
