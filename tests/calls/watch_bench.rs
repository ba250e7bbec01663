//! Phones that watch each other, by hand: single messages to the shipped core, its NOTIFYs looked at one by one, a restart from its journal.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use strowger::base::{Duration, Entropy, Now};
use strowger::config::Settings;
use strowger::media::{MediaCommand, MediaEvent, StreamStatistics};
use strowger::sim::house;
use strowger::sip::{Builder, Message, Method, Name, StatusCode};
use strowger::switch::{Boot, Command, Effect, Effects, Input, Record, Switch};
use strowger::transport::{ConnectionId, Flow, ProfileId, Transport};

use super::stage::{load, s};

/// The house with four people, of whom 1004 keeps the server, a list of two, and phones that need not prove who they are.
pub fn settings(change: impl Fn(&str, String) -> String) -> Arc<Settings> {
    let people = ["1001", "1002", "1003", "1004"].map(str::to_string);
    let files = house::files(&people, &[], &[]);
    Arc::new(load(files.into_iter().map(|(name, text)| {
        let text = match name.as_str() {
            "directory/people.toml" => {
                let keeper = "password = \"secret-1004\"\n";
                text.replace(keeper, &format!("{keeper}role = \"admin\"\n"))
                    + "[[list]]\nname = \"desk\"\nmembers = [\"1001\", \"1002\"]\n"
            }
            "sip-profiles/internal.toml" => {
                text.replace("auth = \"digest\"", "auth = \"none\"\ninsecure = true")
            }
            _ => text,
        };
        let text = change(&name, text);
        (name, text)
    })))
}

/// The switch and what it said.
pub struct Desk {
    pub switch: Switch,
    pub now: Now,
    settings: Arc<Settings>,
    profile: ProfileId,
    /// Every message that left, oldest first.
    pub sent: Vec<(Flow, Message)>,
    pub journal: Vec<Record>,
    branches: u32,
    boots: u64,
}

/// Where the phone of an extension lives.
pub fn phone(extension: u16) -> SocketAddr {
    house::desk(usize::from(extension - 1001), 0)
}

fn started(settings: &Arc<Settings>, now: Now, boots: u64) -> Switch {
    let boot = Boot {
        entropy: Entropy::from_number(5 + boots),
        primary: house::internal().ip(),
        media_workers: 1,
    };
    Switch::new(now, settings.clone(), boot)
}

impl Desk {
    pub fn new() -> Desk {
        Desk::with(settings(|_, text| text))
    }

    pub fn with(settings: Arc<Settings>) -> Desk {
        let now = Now::default();
        let place = settings
            .profiles
            .iter()
            .position(|p| &*p.name == "internal");
        let mut desk = Desk {
            switch: started(&settings, now, 0),
            now,
            settings,
            profile: ProfileId(place.expect("a profile") as u16),
            sent: Vec::new(),
            journal: Vec::new(),
            branches: 0,
            boots: 0,
        };
        desk.give(Input::Ready);
        desk
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
                    Effect::Media(MediaCommand::Close { stream }) => {
                        inputs.push(Input::Media(MediaEvent::Closed {
                            stream,
                            statistics: StreamStatistics::default(),
                        }));
                    }
                    _ => {}
                }
            }
        }
    }

    pub fn flow(&self, extension: u16) -> Flow {
        Flow {
            profile: self.profile,
            transport: Transport::Udp,
            local: house::internal(),
            remote: phone(extension),
            connection: None,
        }
    }

    pub fn stream(&self, extension: u16, connection: u64) -> Flow {
        Flow {
            transport: Transport::Tcp,
            connection: Some(ConnectionId(connection)),
            ..self.flow(extension)
        }
    }

    pub fn says(&mut self, extension: u16, message: &Message) {
        self.says_on(self.flow(extension), message);
    }

    pub fn says_on(&mut self, flow: Flow, message: &Message) {
        let bytes = message.bytes().clone();
        self.give(Input::Received { flow, bytes });
    }

    /// A request of a phone, as text; the answer to it.
    #[allow(clippy::too_many_arguments)] // the parts of a message
    pub fn asks(
        &mut self,
        extension: u16,
        method: &str,
        user: &str,
        cseq: u32,
        to_tag: &str,
        headers: &str,
        body: &str,
    ) -> Option<Message> {
        let flow = self.flow(extension);
        self.asks_on(flow, extension, method, user, cseq, to_tag, headers, body)
    }

    /// The same on a flow.
    #[allow(clippy::too_many_arguments)]
    pub fn asks_on(
        &mut self,
        flow: Flow,
        extension: u16,
        method: &str,
        user: &str,
        cseq: u32,
        to_tag: &str,
        headers: &str,
        body: &str,
    ) -> Option<Message> {
        self.branches += 1;
        let at = phone(extension);
        let branch = format!("z9hG4bKw{}", self.branches);
        let tag = match to_tag {
            "" => String::new(),
            tag => format!(";tag={tag}"),
        };
        let contact = match method {
            _ if method == "MESSAGE" || headers.contains("Contact: ") => String::new(),
            _ => format!("Contact: <sip:{extension}@{at}>\r\n"),
        };
        let call_id = match headers.split_once("Call-ID") {
            Some(_) => String::new(),
            None => format!("Call-ID: {extension}-{method}-{user}\r\n"),
        };
        let domain = house::DOMAIN;
        let text = format!(
            "{method} sip:{user}@{domain} SIP/2.0\r\nVia: SIP/2.0/{} {at};branch={branch};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{extension}@{domain}>;tag=t{extension}\r\nTo: <sip:{user}@{domain}>{tag}\r\n{call_id}\
             CSeq: {cseq} {method}\r\n{contact}{headers}Content-Length: {}\r\n\r\n{body}",
            flow.transport.as_str(),
            body.len()
        );
        let before = self.sent.len();
        let message = Message::parse(Bytes::from(text)).expect("a request");
        self.says_on(flow, &message);
        let answers = self.sent[before..].iter();
        let mut answers = answers
            .filter(|(_, m)| !m.is_request() && m.top_via().branch() == Some(branch.as_bytes()));
        answers.next_back().map(|(_, m)| m.clone())
    }

    /// A SUBSCRIBE outside of dialogs; its answer.
    pub fn subscribes(&mut self, extension: u16, event: &str, user: &str, more: &str) -> Message {
        let headers = format!("Event: {event}\r\n{more}");
        let answer = self.asks(extension, "SUBSCRIBE", user, 1, "", &headers, "");
        answer.expect("an answer")
    }

    pub fn registers(&mut self, extension: u16) {
        let flow = self.flow(extension);
        self.registers_on(flow, extension, 1, 3600);
    }

    pub fn registers_on(&mut self, flow: Flow, extension: u16, cseq: u32, expires: u32) {
        let headers = format!("Expires: {expires}\r\n");
        let user = extension.to_string();
        let answer = self.asks_on(flow, extension, "REGISTER", &user, cseq, "", &headers, "");
        assert_eq!(code(&answer.expect("an answer")), 200);
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.switch.next_deadline().filter(|due| *due <= end) {
            let due = due.max(self.now.mono);
            self.now.wall = self.now.wall_at(due);
            self.now.mono = due;
            self.give(Input::Tick);
        }
        self.now.wall = self.now.wall_at(end);
        self.now.mono = end;
    }

    /// Requests of this method to a phone, oldest first, each once.
    pub fn requests(&self, extension: u16, method: &Method) -> Vec<Message> {
        let mut found: Vec<Message> = Vec::new();
        for (flow, message) in &self.sent {
            let fits = flow.remote == phone(extension)
                && message.is_request()
                && message.method() == method;
            let again = |other: &Message| other.top_via().branch() == message.top_via().branch();
            if fits && !found.iter().any(again) {
                found.push(message.clone());
            }
        }
        found
    }

    pub fn notifies(&self, extension: u16) -> Vec<Message> {
        self.requests(extension, &Method::Notify)
    }

    /// A phone's answer to our last request of a method.
    pub fn answers(&mut self, extension: u16, method: &Method, status: u16, more: &str) {
        let request = self.requests(extension, method).pop().expect("a request");
        self.answers_to(extension, &request, status, more);
    }

    pub fn answers_to(&mut self, extension: u16, request: &Message, status: u16, more: &str) {
        let status = StatusCode::new(status).expect("a status");
        let mut builder = Builder::response(request, status, "").to_tag(b"phone");
        if let Some((name, value)) = more.split_once(": ") {
            builder = builder.raw_header(name, value);
        }
        let contact = format!("<sip:{extension}@{}>", phone(extension));
        let answer = if *request.method() == Method::Invite && status.is_success() {
            let sdp = sdp(extension);
            builder
                .header(Name::Contact, contact)
                .body("application/sdp", sdp.as_bytes())
        } else {
            builder.header(Name::Contact, contact).finish()
        };
        self.says(extension, &answer);
    }

    /// Takes the last NOTIFY to a phone, and answers it with 200.
    pub fn takes(&mut self, extension: u16) -> Message {
        let notify = self.notifies(extension).pop().expect("a NOTIFY");
        self.answers_to(extension, &notify, 200, "");
        notify
    }

    /// A call of one phone to another begins.
    pub fn calls(&mut self, from: u16, to: u16) {
        let headers = "Content-Type: application/sdp\r\n";
        let (user, body) = (to.to_string(), sdp(from));
        self.asks(from, "INVITE", &user, 1, "", headers, &body);
    }

    pub fn command(&mut self, command: Command) {
        self.give(Input::Command { id: 1, command });
    }

    /// The process is killed; another one reads its journal.
    pub fn restarts(&mut self, settings: Option<Arc<Settings>>) {
        self.boots += 1;
        if let Some(settings) = settings {
            self.settings = settings;
        }
        self.switch = started(&self.settings, self.now, self.boots);
        self.sent.clear();
        for record in self.journal.clone() {
            // as the shell does: through its text
            let text = serde_json::to_string(&record).expect("text");
            let record = serde_json::from_str(&text).expect("a record");
            self.give(Input::Restore(Box::new(record)));
        }
        self.give(Input::Ready);
    }

    /// Transactions and other work that is left when all that may linger has had its time.
    pub fn left(&mut self) -> (usize, usize) {
        self.pass(s(60));
        let residue = self.switch.residue();
        (residue.transactions, residue.timers)
    }
}

pub fn sdp(extension: u16) -> String {
    let ip = phone(extension).ip();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    )
}

pub fn code(message: &Message) -> u16 {
    message.status().map_or(0, StatusCode::as_u16)
}

/// A header's value as text.
pub fn header(message: &Message, name: Name) -> String {
    String::from_utf8_lossy(message.header(name).unwrap_or_default()).into_owned()
}

pub fn body(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

/// The text of the first element or attribute of that name.
pub fn value(document: &str, name: &str) -> Option<String> {
    let document = document.replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "");
    if let Some((_, rest)) = document.split_once(&format!("<{name}>")) {
        return Some(rest.split('<').next()?.to_owned());
    }
    let (_, rest) = document.split_once(&format!(" {name}=\""))?;
    Some(rest.split('"').next()?.to_owned())
}

pub fn tag(message: &Message) -> String {
    String::from_utf8_lossy(message.to_tag().expect("a tag")).into_owned()
}
