//! A house whose phones do as they are told and otherwise behave: every message of every party can be looked at one by one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use strowger::acd::AcdEvent;
use strowger::base::{Duration, Entropy, Now};
use strowger::config::Settings;
use strowger::event::{CallFact, CallRecord};
use strowger::media::{MediaCommand, MediaEvent, StreamStatistics};
use strowger::sim::house;
use strowger::sip::{Builder, Message, Method, Name, StatusCode};
use strowger::switch::{
    Boot, Command, Effect, Effects, Fact, Input, Record, Reply, Residue, Switch,
};
use strowger::transport::{Flow, ProfileId, Transport};

use super::stage::{bound, load, s};

/// Extensions of the house; the phone of `1001` is number 1.
const PEOPLE: [&str; 5] = ["1001", "1002", "1003", "1004", "1005"];

/// The number that stands for the carrier where a phone's number is asked for.
pub const CARRIER: u8 = 0;

/// The house's files as settings, with `change` applied to each. Phones need no password.
pub fn settings(change: impl Fn(&str, String) -> String) -> Settings {
    settings_beside(&[], change)
}

/// The same, with further files that hold what `change` makes of nothing.
pub fn settings_beside(more: &[&str], change: impl Fn(&str, String) -> String) -> Settings {
    let people = PEOPLE.map(str::to_string);
    let agents = ["1004".to_string()];
    let queues = [strowger::sim::plan::PlannedQueue {
        name: "support",
        strategy: "longest-idle",
        wrap_up: s(5),
        ring: s(15),
        overflow: None,
        max_waiting: None,
    }];
    let files = house::files(&people, &agents, &queues);
    let files = files.into_iter().map(|(name, text)| {
        let text = text.replace("auth = \"digest\"", "auth = \"none\"\ninsecure = true");
        let text = change(&name, text);
        (name, text)
    });
    let more = more
        .iter()
        .map(|name| (name.to_string(), change(name, String::new())));
    load(files.chain(more))
}

/// Where a party lives.
pub fn at(number: u8) -> SocketAddr {
    match number {
        CARRIER => house::carrier(),
        number => house::desk(usize::from(number - 1), 0),
    }
}

/// A party's end of one dialog.
#[derive(Clone, Debug)]
pub struct Line {
    pub party: u8,
    pub call_id: String,
    pub ours: String,
    pub theirs: String,
    from: String,
    to: String,
    target: String,
    cseq: u32,
}

impl Line {
    /// As a Replaces value that the server knows: its own tag is to-tag.
    pub fn replaces(&self) -> String {
        format!(
            "{};to-tag={};from-tag={}",
            self.call_id, self.theirs, self.ours
        )
    }

    /// The same, escaped for a URI.
    pub fn escaped(&self) -> String {
        self.replaces()
            .replace('@', "%40")
            .replace(';', "%3B")
            .replace('=', "%3D")
    }
}

/// The house.
pub struct Parties {
    pub switch: Switch,
    pub now: Now,
    profiles: Vec<Arc<str>>,
    /// Every message that left, oldest first.
    pub sent: Vec<(SocketAddr, Message)>,
    pub facts: Vec<CallFact>,
    pub records: Vec<CallRecord>,
    /// What was kept, oldest first.
    pub journal: Vec<Record>,
    /// What the queues said happened.
    pub acd: Vec<AcdEvent>,
    pub media: Vec<MediaCommand>,
    pub reply: Option<Reply>,
    /// Codecs of a party, if not PCMA alone.
    pub codecs: BTreeMap<u8, &'static [&'static str]>,
    /// Parties that answer no request in a dialog by themselves.
    pub mute: Vec<u8>,
    /// What a party answers re-INVITEs with instead of 200, once.
    pub refuses_once: BTreeMap<u8, u16>,
    /// From of new calls names nobody.
    pub anonymous: bool,
    lines: Vec<Line>,
    serial: u32,
}

impl Parties {
    pub fn new() -> Parties {
        Parties::with(settings(|_, text| text))
    }

    pub fn with(settings: Settings) -> Parties {
        Parties::after(settings, &[])
    }

    /// A house that finds this journal when it starts.
    pub fn after(settings: Settings, journal: &[Record]) -> Parties {
        let now = Now::default();
        let boot = Boot {
            entropy: Entropy::from_number(11),
            primary: house::internal().ip(),
            media_workers: 4,
        };
        let profiles = settings.profiles.iter().map(|p| p.name.clone()).collect();
        let mut parties = Parties {
            switch: Switch::new(now, Arc::new(settings), boot),
            now,
            profiles,
            sent: Vec::new(),
            facts: Vec::new(),
            records: Vec::new(),
            journal: Vec::new(),
            acd: Vec::new(),
            media: Vec::new(),
            reply: None,
            codecs: BTreeMap::new(),
            mute: Vec::new(),
            refuses_once: BTreeMap::new(),
            anonymous: false,
            lines: Vec::new(),
            serial: 0,
        };
        for (number, user) in (1..).zip(PEOPLE) {
            parties.give(bound(user, at(number), now));
        }
        for record in journal {
            parties.give(Input::Restore(Box::new(record.clone())));
        }
        parties.give(Input::Ready);
        parties
    }

    pub fn command(&mut self, command: Command) -> Reply {
        self.give(Input::Command { id: 1, command });
        self.reply.take().expect("a reply")
    }

    pub fn give(&mut self, input: Input) {
        let mut inputs = vec![input];
        while !inputs.is_empty() {
            let mut fx = Effects::new();
            let input = inputs.remove(0);
            self.switch.handle(self.now, input, &mut fx);
            for effect in fx.drain() {
                match effect {
                    Effect::Send { flow, bytes } => {
                        let message = Message::parse(bytes).expect("we send what can be read");
                        self.sent.push((flow.remote, message.clone()));
                        inputs.extend(self.behave(flow.remote, &message));
                    }
                    Effect::Journal(record) => {
                        if let Record::CallClosed(record) = &record {
                            self.records.push((**record).clone());
                        }
                        self.journal.push(record);
                    }
                    Effect::Event(event) => match &event.fact {
                        Fact::Call(fact) => self.facts.push(fact.clone()),
                        Fact::Acd(event) => self.acd.push(event.clone()),
                        _ => {}
                    },
                    Effect::Media(command) => {
                        if let MediaCommand::Close { stream } = command {
                            inputs.push(Input::Media(MediaEvent::Closed {
                                stream,
                                statistics: StreamStatistics::default(),
                            }));
                        }
                        self.media.push(command);
                    }
                    Effect::Reply { reply, .. } => self.reply = Some(reply),
                    _ => {}
                }
            }
        }
    }

    /// What a party that behaves does with a message by itself: it answers requests in its dialogs, and acknowledges finals.
    fn behave(&mut self, to: SocketAddr, message: &Message) -> Vec<Input> {
        let Some(party) = (0..=5).find(|number| at(*number) == to) else {
            return Vec::new();
        };
        if let Some(status) = message.status() {
            if *message.method() != Method::Invite || !status.is_final() {
                return Vec::new();
            }
            let tag = text(message.to_tag().unwrap_or_default());
            let line = self
                .lines
                .iter_mut()
                .find(|line| line.party == party && line.call_id.as_bytes() == message.call_id());
            let Some(line) = line else { return Vec::new() };
            if status.is_success() {
                line.theirs = tag.clone();
                line.to = text(message.header(Name::To).unwrap_or_default());
                if let Some(Ok(contact)) = message.contacts().next() {
                    line.target = contact.uri().map(|uri| text(uri.raw)).unwrap_or_default();
                }
            }
            if self.mute.contains(&party) {
                return Vec::new();
            }
            let line = line.clone();
            let number = message.cseq().number;
            let branch = match status.is_success() {
                true => format!("ack{number}{tag}"),
                false => {
                    text(message.top_via().branch().unwrap_or_default()).replace("z9hG4bK", "")
                }
            };
            let ack = self.compose(&line, "ACK", number, &branch, "", "");
            return vec![self.received(party, ack)];
        }
        if message.to_tag().is_none() || self.mute.contains(&party) {
            return Vec::new();
        }
        let response = match message.method() {
            Method::Ack => return Vec::new(),
            Method::Invite => {
                let code = self.refuses_once.remove(&party).unwrap_or(200);
                let status = StatusCode::new(code).expect("a status");
                let response = Builder::response(message, status, "")
                    .header(Name::Contact, format!("<sip:p@{}>", at(party)));
                match code {
                    200 => response.body(
                        "application/sdp",
                        self.answer_to(party, message.body()).as_bytes(),
                    ),
                    _ => response.finish(),
                }
            }
            _ => Builder::response(message, StatusCode::OK, "").finish(),
        };
        vec![self.received(party, text(response.bytes()))]
    }

    fn received(&self, party: u8, text: String) -> Input {
        let (profile, local) = match party {
            CARRIER => ("external", house::external()),
            _ => ("internal", house::internal()),
        };
        let place = self.profiles.iter().position(|p| &**p == profile);
        Input::Received {
            flow: Flow {
                profile: ProfileId(place.expect("a profile") as u16),
                transport: Transport::Udp,
                local,
                remote: at(party),
                connection: None,
            },
            bytes: Bytes::from(text),
        }
    }

    fn speaks(&self, party: u8) -> &'static [&'static str] {
        self.codecs.get(&party).copied().unwrap_or(&["PCMA"])
    }

    /// A description of a party; its port tells parties apart.
    pub fn sdp(&self, party: u8, codecs: &[&str], direction: &str) -> String {
        let ip = at(party).ip();
        let number = |codec: &str| match codec {
            "PCMU" => 0,
            "G729" => 18,
            _ => 8,
        };
        let list: String = codecs.iter().map(|c| format!(" {}", number(c))).collect();
        let maps: String = codecs
            .iter()
            .map(|c| format!("a=rtpmap:{} {c}/8000\r\n", number(c)))
            .collect();
        format!(
            "v=0\r\no=- 1 {} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 400{party}0 RTP/AVP{list}\r\n{maps}a={direction}\r\n",
            self.sent.len() + 1
        )
    }

    fn answer_to(&self, party: u8, offer: &[u8]) -> String {
        let offer = String::from_utf8_lossy(offer).into_owned();
        let common: Vec<&str> = self
            .speaks(party)
            .iter()
            .copied()
            .filter(|codec| offer.contains(*codec))
            .collect();
        let direction = ["sendonly", "recvonly", "inactive"]
            .into_iter()
            .find(|direction| offer.contains(&format!("a={direction}")));
        let direction = match direction {
            Some("sendonly") => "recvonly",
            Some("recvonly") => "sendonly",
            Some(same) => same,
            None => "sendrecv",
        };
        self.sdp(party, &common, direction)
    }

    fn compose(
        &self,
        line: &Line,
        method: &str,
        cseq: u32,
        branch: &str,
        more: &str,
        body: &str,
    ) -> String {
        let kind = match body {
            "" => "",
            _ => "Content-Type: application/sdp\r\n",
        };
        let it = at(line.party);
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {it};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: <sip:p@{it}>\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            line.target,
            line.from,
            line.to,
            line.call_id,
            body.len()
        )
    }

    /// A party calls a number; what comes of it is in `sent`.
    pub fn calls(&mut self, party: u8, number: &str) -> Line {
        self.calls_with(party, number, "")
    }

    /// The same with further headers, each with its line end.
    pub fn calls_with(&mut self, party: u8, number: &str, more: &str) -> Line {
        let body = self.sdp(party, self.speaks(party), "sendrecv");
        self.serial += 1;
        let (user, us) = match party {
            CARRIER => ("+4930123456".to_string(), house::external()),
            _ => (
                PEOPLE[usize::from(party - 1)].to_string(),
                house::internal(),
            ),
        };
        let line = Line {
            party,
            call_id: format!("call{}@{party}", self.serial),
            ours: format!("o{}", self.serial),
            theirs: String::new(),
            from: match self.anonymous {
                true => format!(
                    "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=o{}",
                    self.serial
                ),
                false => format!("<sip:{user}@{us}>;tag=o{}", self.serial),
            },
            to: format!("<sip:{number}@{us}>"),
            target: format!("sip:{number}@{us}"),
            cseq: 1,
        };
        let branch = format!("i{}", self.serial);
        let invite = self.compose(&line, "INVITE", 1, &branch, more, &body);
        self.lines.push(line.clone());
        let input = self.received(party, invite);
        self.give(input);
        self.line(&line)
    }

    /// The line as it is by now.
    pub fn line(&self, line: &Line) -> Line {
        let known = self
            .lines
            .iter()
            .find(|known| known.call_id == line.call_id && known.party == line.party);
        known.expect("a line of ours").clone()
    }

    /// A message of a party, as it is.
    pub fn sends(&mut self, party: u8, message: String) {
        let input = self.received(party, message);
        self.give(input);
    }

    /// The line of a party in the call of this Call-ID.
    pub fn line_at(&self, party: u8, call_id: &str) -> Line {
        let known = self.lines.iter().rev();
        let mut known = known.filter(|line| line.party == party && line.call_id == call_id);
        known.next().expect("a line of ours").clone()
    }

    /// A request of a party in its dialog.
    pub fn says(&mut self, line: &Line, method: &str, more: &str, body: &str) {
        let place = self
            .lines
            .iter()
            .position(|known| known.call_id == line.call_id && known.party == line.party)
            .expect("a line of ours");
        self.lines[place].cseq += 1;
        let line = self.lines[place].clone();
        self.serial += 1;
        let branch = format!("r{}", self.serial);
        let request = self.compose(&line, method, line.cseq, &branch, more, body);
        let input = self.received(line.party, request);
        self.give(input);
    }

    /// From now on the party has another address in From of its dialog.
    pub fn renamed(&mut self, line: &Line, address: &str) -> Line {
        let mut known = self.lines.iter_mut();
        let known = known.find(|known| known.call_id == line.call_id && known.party == line.party);
        let known = known.expect("a line of ours");
        known.from = format!("{address};tag={}", line.ours);
        known.clone()
    }

    /// A re-INVITE of a party, to hold (`sendonly`) or resume (`sendrecv`).
    pub fn offers(&mut self, line: &Line, direction: &str) {
        let body = self.sdp(line.party, self.speaks(line.party), direction);
        self.says(line, "INVITE", "", &body);
    }

    /// The answer of a party to the last INVITE outside of dialogs that it got.
    pub fn answers(&mut self, party: u8, code: u16) -> Line {
        self.answers_with(party, code, "")
    }

    /// The same with a Contact of its own.
    pub fn answers_with(&mut self, party: u8, code: u16, contact: &str) -> Line {
        self.answers_saying(party, code, contact, &[])
    }

    /// The same with further headers.
    pub fn answers_saying(
        &mut self,
        party: u8,
        code: u16,
        contact: &str,
        more: &[(Name, &str)],
    ) -> Line {
        let invite = self.last(party, |m| {
            m.is_request() && *m.method() == Method::Invite && m.to_tag().is_none()
        });
        let status = StatusCode::new(code).expect("a status");
        let tag = format!("t{party}");
        let contact = match contact {
            "" => format!("<sip:p@{}>", at(party)),
            own => own.to_string(),
        };
        let mut response = Builder::response(&invite, status, "")
            .to_tag(tag.as_bytes())
            .header(Name::Contact, contact);
        for (name, value) in more {
            response = response.header(*name, *value);
        }
        let response = match code {
            200 => response.body(
                "application/sdp",
                self.answer_to(party, invite.body()).as_bytes(),
            ),
            _ => response.finish(),
        };
        let line = Line {
            party,
            call_id: text(invite.call_id()),
            ours: tag.clone(),
            theirs: text(invite.from_tag().unwrap_or_default()),
            from: format!(
                "{};tag={tag}",
                text(invite.header(Name::To).unwrap_or_default())
            ),
            to: text(invite.header(Name::From).unwrap_or_default()),
            target: invite
                .contacts()
                .next()
                .and_then(Result::ok)
                .and_then(|c| c.uri().map(|uri| text(uri.raw)))
                .unwrap_or_default(),
            cseq: 0,
        };
        let input = self.received(party, text(response.bytes()));
        self.lines.push(line.clone());
        self.give(input);
        line
    }

    /// Two parties talk: both ends.
    pub fn talk(&mut self, caller: u8, callee: u8) -> (Line, Line) {
        let number = match callee {
            CARRIER => "+4930999".to_string(),
            callee => PEOPLE[usize::from(callee - 1)].to_string(),
        };
        let a = self.calls(caller, &number);
        self.answers(callee, 180);
        let b = self.answers(callee, 200);
        (self.line(&a), b)
    }

    /// A party calls another, who rings: the caller's end, as it knows the early dialog.
    pub fn rings(&mut self, caller: u8, callee: u8) -> Line {
        let call = self.calls(caller, PEOPLE[usize::from(callee - 1)]);
        self.answers(callee, 180);
        let ringing = self.last(caller, response(&Method::Invite, 180));
        let mut line = self.line(&call);
        line.theirs = text(ringing.to_tag().expect("a tag"));
        line
    }

    /// A party's answer to a request that it left unanswered.
    pub fn reply_to(&mut self, party: u8, request: &Message, code: u16) {
        let status = StatusCode::new(code).expect("a status");
        let response = Builder::response(request, status, "").finish();
        let input = self.received(party, text(response.bytes()));
        self.give(input);
    }

    /// A party's 200 with this description to a request that it left unanswered.
    pub fn describes(&mut self, party: u8, request: &Message, sdp: &str) {
        let response = Builder::response(request, StatusCode::OK, "")
            .header(Name::Contact, format!("<sip:p@{}>", at(party)))
            .body("application/sdp", sdp.as_bytes());
        let input = self.received(party, text(response.bytes()));
        self.give(input);
    }

    /// An agent begins to work.
    pub fn log_in(&mut self, extension: &str) {
        let extension: Arc<str> = Arc::from(extension);
        let login = self.command(Command::AgentSession {
            extension: extension.clone(),
            logged_in: true,
        });
        login.expect("logged in");
        let ready = self.command(Command::AgentStatus {
            extension,
            ready: true,
            reason: None,
        });
        ready.expect("ready");
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.switch.next_deadline().filter(|due| *due <= end) {
            self.now.mono = due.max(self.now.mono);
            self.give(Input::Tick);
        }
        self.now.mono = end;
    }

    /// The last message to a party that fits.
    pub fn last(&self, party: u8, fits: impl Fn(&Message) -> bool) -> Message {
        let mut found = self.sent.iter().rev();
        let found = found.find(|(to, message)| *to == at(party) && fits(message));
        found.expect("such a message").1.clone()
    }

    pub fn count(&self, party: u8, fits: impl Fn(&Message) -> bool) -> usize {
        let sent = self.sent.iter();
        sent.filter(|(to, m)| *to == at(party) && fits(m)).count()
    }

    /// The status of each NOTIFY to a party, in order; the last with `!` when it ends the subscription.
    pub fn told(&self, party: u8) -> Vec<String> {
        let notifies = self
            .sent
            .iter()
            .filter(|(to, m)| *to == at(party) && m.is_request() && *m.method() == Method::Notify);
        notifies
            .map(|(_, m)| {
                let state = text(m.header(Name::SubscriptionState).expect("a state"));
                let code = text(m.body())
                    .split(' ')
                    .nth(1)
                    .expect("a code")
                    .to_string();
                match state.starts_with("terminated") {
                    true => format!("{code}!"),
                    false => code,
                }
            })
            .collect()
    }

    /// Whether the two parties' streams are joined, by the addresses that they were agreed with.
    pub fn hear_each_other(&self, one: u8, other: u8) -> bool {
        let mut where_to: BTreeMap<u64, SocketAddr> = BTreeMap::new();
        let mut joined: BTreeMap<u64, u64> = BTreeMap::new();
        for command in &self.media {
            match command {
                MediaCommand::Agree { stream, plan, .. } => {
                    if let Some(rtp) = plan.remote_rtp {
                        where_to.insert(stream.0, rtp);
                    }
                }
                MediaCommand::Join { a, b } => {
                    assert_eq!(
                        a.worker(),
                        b.worker(),
                        "streams of two workers cannot be joined"
                    );
                    for stream in [a, b] {
                        if let Some(before) = joined.remove(&stream.0) {
                            joined.remove(&before);
                        }
                    }
                    joined.insert(a.0, b.0);
                    joined.insert(b.0, a.0);
                }
                MediaCommand::Part { stream }
                | MediaCommand::Play { stream, .. }
                | MediaCommand::Close { stream } => {
                    if let Some(before) = joined.remove(&stream.0) {
                        joined.remove(&before);
                    }
                }
                _ => {}
            }
        }
        joined.iter().any(|(a, b)| {
            let is = |stream: &u64, party: u8| {
                where_to.get(stream).is_some_and(|rtp| {
                    rtp.ip() == at(party).ip() && rtp.port() == 40_000 + u16::from(party) * 10
                })
            };
            is(a, one) && is(b, other)
        })
    }

    /// All that may linger has had its time.
    pub fn residue(&mut self) -> Residue {
        self.pass(s(400));
        self.switch.residue()
    }
}

/// True for a request of this method.
pub fn request(method: &Method) -> impl Fn(&Message) -> bool + '_ {
    move |m| m.is_request() && m.method() == method
}

/// True for a response with this status to this method.
pub fn response(method: &Method, code: u16) -> impl Fn(&Message) -> bool + '_ {
    move |m| m.status().map(StatusCode::as_u16) == Some(code) && m.method() == method
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
