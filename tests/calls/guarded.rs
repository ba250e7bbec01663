//! What strangers, eager users and an overloaded server are told: single messages to the shipped core.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use strowger::auth;
use strowger::base::{Entropy, Now, Secret};
use strowger::config::Settings;
use strowger::sim::house;
use strowger::sip::{Challenge, Message, Method, Name, StatusCode};
use strowger::switch::{Answer, Boot, Command, Effect, Effects, Input, LoadLevel, Switch};
use strowger::transport::{Flow, ProfileId, Transport};

use super::stage::{bound, load, ms, s};

/// The house with this `[guard]`.
fn settings(guard: &str) -> Settings {
    let files = house::files(&["1001".to_string()], &[], &[]);
    load(files.into_iter().map(|(name, mut text)| {
        if name == "strowger.toml" {
            text.push_str(&format!("\n[guard]\n{guard}\n"));
        }
        (name, text)
    }))
}

struct Door {
    switch: Switch,
    now: Now,
    /// That of the telephones.
    profile: ProfileId,
    /// From of what is asked.
    who: String,
    asked: u32,
}

impl Door {
    /// A switch that has started, with one phone of 1001 registered at [`phone`].
    fn open(guard: &str) -> Door {
        // far enough from zero that a bucket which was never used is not refilled from nothing
        let mut now = Now::default();
        now.mono += s(1_000);
        let boot = Boot {
            entropy: Entropy::from_number(5),
            primary: house::internal().ip(),
            media_workers: 1,
        };
        let settings = settings(guard);
        let place = settings
            .profiles
            .iter()
            .position(|profile| &*profile.name == "internal");
        let mut door = Door {
            switch: Switch::new(now, Arc::new(settings), boot),
            now,
            profile: ProfileId(place.expect("a profile") as u16),
            who: format!("<sip:1001@{}>", house::DOMAIN),
            asked: 0,
        };
        door.give(bound("1001", phone(), now));
        door.give(Input::Ready);
        door
    }

    fn give(&mut self, input: Input) -> Vec<Effect> {
        let mut fx = Effects::new();
        self.switch.handle(self.now, input, &mut fx);
        fx.list
    }

    /// The code of the answer when the phone sends its last request once more.
    fn repeated(&mut self, method: &str) -> Option<u16> {
        self.asked -= 1;
        self.status(phone(), method)
    }

    fn load(&mut self, level: LoadLevel) {
        self.give(Input::Load { level });
    }

    /// What comes back at once for a request of `method`, if anything.
    fn ask(&mut self, from: SocketAddr, method: &str, lines: &str) -> Option<Message> {
        let uri = format!("sip:{}", house::DOMAIN);
        self.ask_for(&uri, from, method, lines)
    }

    fn ask_for(
        &mut self,
        uri: &str,
        from: SocketAddr,
        method: &str,
        lines: &str,
    ) -> Option<Message> {
        self.asked += 1;
        let (us, who, n) = (house::DOMAIN, &self.who, self.asked);
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKd{n};rport\r\nMax-Forwards: 70\r\n\
             From: {who};tag=d{n}\r\nTo: <sip:1001@{us}>\r\nCall-ID: d{n}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:1001@{from}>\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        let flow = Flow {
            profile: self.profile,
            transport: Transport::Udp,
            local: house::internal(),
            remote: from,
            connection: None,
        };
        let bytes = Bytes::from(text);
        let came = bytes.len();
        let effects = self.give(Input::Received { flow, bytes });
        let mut answers = effects.into_iter().filter_map(|effect| match effect {
            Effect::Send { flow, bytes } if flow.remote == from => Message::parse(bytes).ok(),
            _ => None,
        });
        let answer = answers.find(|m| m.status().is_some_and(|s| s.as_u16() >= 200))?;
        assert!(
            from == phone() || answer.bytes().len() <= came + 1_024,
            "a stranger gets no more than it sent, but for the first kilobyte"
        );
        Some(answer)
    }

    fn status(&mut self, from: SocketAddr, method: &str) -> Option<u16> {
        let answer = self.ask(from, method, "")?;
        answer.status().map(StatusCode::as_u16)
    }

    fn guard(&mut self) -> strowger::switch::GuardView {
        let command = Command::Status;
        let effects = self.give(Input::Command { id: 1, command });
        let mut views = effects.into_iter().filter_map(|effect| match effect {
            Effect::Reply {
                reply: Ok(Answer::Status(status)),
                ..
            } => Some(status.guard),
            _ => None,
        });
        views.next().expect("a status")
    }
}

fn phone() -> SocketAddr {
    house::desk(0, 0)
}

fn stranger() -> SocketAddr {
    "198.51.100.9:5060".parse().expect("an address")
}

#[test]
fn overload_sends_registrations_away_for_different_times_and_calls_last() {
    let mut door = Door::open("");
    assert_eq!(door.status(phone(), "REGISTER"), Some(401));
    door.load(LoadLevel::High);
    let mut times = BTreeSet::new();
    for _ in 0..60 {
        let answer = door.ask(phone(), "REGISTER", "").expect("an answer");
        assert_eq!(answer.status().map(StatusCode::as_u16), Some(503));
        let later = answer.header(Name::RetryAfter).expect("when to come back");
        let later: u32 = std::str::from_utf8(later)
            .ok()
            .and_then(|text| text.parse().ok())
            .expect("seconds");
        assert!((5..=30).contains(&later), "{later}");
        times.insert(later);
    }
    assert!(times.len() >= 15, "they all come back together: {times:?}");
    for method in ["OPTIONS", "SUBSCRIBE", "MESSAGE"] {
        assert_eq!(door.status(phone(), method), Some(503), "{method}");
    }
    assert_eq!(door.status(phone(), "INVITE"), Some(407), "calls go on");
    door.load(LoadLevel::Severe);
    assert_eq!(door.status(phone(), "INVITE"), Some(503));
    assert_eq!(door.status(phone(), "BYE"), Some(481), "what is up may end");
    assert_eq!(door.guard().overload, 2);
    assert_eq!(door.guard().overload_refused, 64);
    door.load(LoadLevel::Easy);
    assert_eq!(door.status(phone(), "REGISTER"), Some(401));
    assert_eq!(door.status(phone(), "INVITE"), Some(407));
}

#[test]
fn who_repeats_a_request_hears_the_same_when_the_load_has_changed() {
    for method in ["REGISTER", "INVITE"] {
        let mut door = Door::open("");
        let asked = door.status(phone(), method).expect("who it is");
        assert!(matches!(asked, 401 | 407), "{method}: {asked}");
        door.load(LoadLevel::Severe);
        assert_eq!(door.repeated(method), Some(asked), "not 503 as well");
        assert_eq!(door.status(phone(), method), Some(503));
        door.load(LoadLevel::Easy);
        assert_eq!(door.repeated(method), Some(503), "{method}");
        assert_eq!(door.status(phone(), method), Some(asked), "a new request");
        door.asked -= 1; // the one that was sent away, once more
        assert_eq!(door.repeated(method), Some(503));
        door.asked += 1;
        door.now.mono += s(32);
        door.asked -= 1;
        assert_eq!(door.repeated(method), Some(asked), "nobody repeats so late");
    }
}

#[test]
fn unknown_schemes_extensions_and_hops_are_told_before_anybody_is_asked_who_it_is() {
    let mut door = Door::open("");
    for uri in ["nobodyknows:x@y", "soap.beep://192.0.2.103:3002", "urn:x:y"] {
        for method in ["INVITE", "OPTIONS", "MESSAGE", "REGISTER"] {
            let answer = door.ask_for(uri, phone(), method, "").expect("an answer");
            let status = answer.status().map(StatusCode::as_u16);
            assert_eq!(status, Some(416), "{method} {uri}");
        }
    }
    // unknown schemes elsewhere are nobody's business
    let lines = "Reply-To: <nobodyknows:x@y>\r\n";
    let answer = door.ask(phone(), "REGISTER", lines).expect("an answer");
    assert_eq!(answer.status().map(StatusCode::as_u16), Some(401));
    let lines = "Require: nothingSupportsThis\r\n";
    let answer = door.ask(phone(), "INVITE", lines).expect("an answer");
    assert_eq!(answer.status().map(StatusCode::as_u16), Some(420));
    assert_eq!(
        answer.header(Name::Unsupported),
        Some(&b"nothingSupportsThis"[..])
    );
    // a scheme of credentials that nobody knows is as good as none
    let lines = "Authorization: NoOneKnowsThisScheme opaque-data=here\r\n";
    let answer = door.ask(phone(), "REGISTER", lines).expect("an answer");
    assert_eq!(answer.status().map(StatusCode::as_u16), Some(401));
}

#[test]
fn phones_of_before_a_restart_are_no_strangers() {
    let mut door = Door::open("rate = 1\ntotal-rate = 1\nproven-rate = 1000");
    for _ in 0..100 {
        // ten a second are far beyond the rate of a stranger
        door.now.mono += ms(100);
        assert_eq!(door.status(phone(), "REGISTER"), Some(401));
    }
    let answered = (0..100)
        .filter(|_| door.status(stranger(), "REGISTER").is_some())
        .count();
    assert_eq!(
        answered, 1,
        "one of the total, although its own rate allows four"
    );
    assert_eq!(door.guard().over_total, 3);
    assert_eq!(door.guard().over_rate, 96);
}

#[test]
fn strangers_get_no_more_bytes_than_they_send() {
    let mut door = Door::open("");
    let lines = "X-Short: 1\r\n";
    let mut silent = 0;
    for _ in 0..1_000 {
        door.now.mono += ms(1);
        // terse requests: every challenge is larger than what asks for it
        silent += u32::from(door.ask(stranger(), "REGISTER", lines).is_none());
    }
    let shown = u32::try_from(door.guard().unanswered).expect("few");
    assert_eq!(silent, shown);
    assert!(silent > 0, "challenges are larger than these requests");
    // who proved itself is always answered
    for _ in 0..1_000 {
        assert!(door.ask(phone(), "REGISTER", lines).is_some());
    }
}

#[test]
fn a_user_that_asks_too_often_is_asked_to_come_later() {
    let mut door = Door::open("account-rate = 1");
    let mut last = Vec::new();
    for n in 0..6 {
        let asked = door.ask(phone(), "REGISTER", "").expect("a challenge");
        let value = asked.header(Name::WwwAuthenticate).expect("a challenge");
        let challenge = Challenge::parse(value).expect("a challenge");
        let proof = auth::respond(
            &challenge,
            &Method::Register,
            format!("sip:{}", house::DOMAIN).as_bytes(),
            "1001",
            &Secret::new("secret-1001"),
            n + 1,
            b"c",
            b"",
        )
        .expect("a proof");
        let lines = format!("Authorization: {proof}\r\n");
        let answer = door.ask(phone(), "REGISTER", &lines).expect("an answer");
        last.push(answer.status().map_or(0, StatusCode::as_u16));
    }
    assert_eq!(last, [200, 200, 200, 200, 503, 503]);
    assert_eq!(door.guard().over_account, 2);
    door.now.mono += s(1);
    assert_eq!(door.guard().bans, 0, "too many is no crime");
}

#[test]
fn anonymous_caller_that_proves_itself_is_served() {
    // RFC 3323 §4.1.1.3: From names nobody, the password is 1001's; another's name is nobody's to take
    for (who, status) in [
        ("<sip:1001@pbx.example.com>", 404),
        ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", 404),
        ("<sip:1002@pbx.example.com>", 403),
    ] {
        let mut door = Door::open("");
        door.who = who.to_owned();
        let uri = format!("sip:77@{}", house::DOMAIN);
        let asked = door
            .ask_for(&uri, phone(), "INVITE", "")
            .expect("an answer");
        let value = asked.header(Name::ProxyAuthenticate).expect("a challenge");
        let challenge = Challenge::parse(value).expect("a challenge");
        let secret = Secret::new("secret-1001");
        let method = Method::Invite;
        let (user, uri_bytes) = ("1001", uri.as_bytes());
        let proof = auth::respond(&challenge, &method, uri_bytes, user, &secret, 1, b"c", b"");
        let lines = format!("Proxy-Authorization: {}\r\n", proof.expect("a proof"));
        let answer = door.ask_for(&uri, phone(), "INVITE", &lines);
        let answer = answer.expect("an answer");
        assert_eq!(
            answer.status().map(StatusCode::as_u16),
            Some(status),
            "{who}"
        );
    }
}
