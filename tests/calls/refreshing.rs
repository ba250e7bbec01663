//! Which REGISTERs the journal hears of, and what a server knows that died between two of them: single messages to the shipped core.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use strowger::auth;
use strowger::base::{Duration, Entropy, Now, Secret, WallTime};
use strowger::config::Settings;
use strowger::sim::house;
use strowger::sip::{Challenge, Message, Method, Name, StatusCode};
use strowger::switch::{
    Answer, Boot, Command, Effect, Effects, Input, Record, RegistrationView, Switch,
};
use strowger::transport::{Flow, ProfileId, Transport};

use super::stage::{load, s};

const MINUTE: &str = "Expires: 60\r\n";
const GONE: &str = "Expires: 0\r\n";

/// The house; with `auth = "none"` for its phones when nobody is to ask.
fn settings(asks: bool) -> Settings {
    let files = house::files(&["1001".to_string()], &[], &[]);
    load(files.into_iter().map(|(name, mut text)| {
        if name == "sip-profiles/internal.toml" {
            text = text.replace(
                "[registration]",
                "[registration]\nexpires-jitter = 0\npath = \"accept\"",
            );
            if !asks {
                let open = "auth = \"none\"\ninsecure = true";
                text = text.replace("auth = \"digest\"", open);
            }
        }
        (name, text)
    }))
}

/// A switch, its journal as text, and the phone of 1001, which keeps its Call-ID.
struct Desk {
    switch: Switch,
    settings: Settings,
    now: Now,
    lives: u64,
    journal: Vec<String>,
    from: SocketAddr,
    cseq: u32,
    branch: u32,
}

impl Desk {
    fn open(asks: bool) -> Desk {
        let mut now = Now::default();
        now.mono += s(1_000);
        now.wall = WallTime::from_millis(1_795_000_000_000);
        let settings = settings(asks);
        let mut desk = Desk {
            switch: life(now, &settings, 1),
            settings,
            now,
            lives: 1,
            journal: Vec::new(),
            from: house::desk(0, 0),
            cseq: 0,
            branch: 0,
        };
        desk.give(Input::Ready);
        desk
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall = self.now.wall + time;
    }

    fn give(&mut self, input: Input) -> Vec<Effect> {
        let mut fx = Effects::new();
        self.switch.handle(self.now, input, &mut fx);
        for effect in &fx.list {
            if let Effect::Journal(record) = effect {
                let line = serde_json::to_string(record).expect("a record is JSON");
                self.journal.push(line);
            }
        }
        fx.list
    }

    /// kill -9, and another process with what the journal holds.
    fn kill(&mut self) {
        self.lives += 1;
        self.switch = life(self.now, &self.settings, self.lives);
        for line in self.journal.clone() {
            let record: Record = serde_json::from_str(&line).expect("a record");
            self.give(Input::Restore(Box::new(record)));
        }
        self.give(Input::Ready);
    }

    /// Sends a REGISTER as it is; its final answer.
    fn send(&mut self, cseq: u32, lines: &str) -> Message {
        self.branch += 1;
        let (us, from, n) = (house::DOMAIN, self.from, self.branch);
        let text = format!(
            "REGISTER sip:{us} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKf{n};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:1001@{us}>;tag=d{n}\r\nTo: <sip:1001@{us}>\r\nCall-ID: one\r\nCSeq: {cseq} REGISTER\r\n\
             Contact: <sip:1001@10.9.9.9>\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        let profile = self
            .settings
            .profiles
            .iter()
            .position(|profile| &*profile.name == "internal");
        let flow = Flow {
            profile: ProfileId(profile.expect("a profile") as u16),
            transport: Transport::Udp,
            local: house::internal(),
            remote: from,
            connection: None,
        };
        let bytes = Bytes::from(text);
        let effects = self.give(Input::Received { flow, bytes });
        let mut answers = effects.into_iter().filter_map(|effect| match effect {
            Effect::Send { bytes, .. } => Message::parse(bytes).ok(),
            _ => None,
        });
        let finals = |m: &Message| m.status().is_some_and(|s| s.as_u16() >= 200);
        answers.find(finals).expect("an answer")
    }

    /// Registers, with a proof if one is asked for. Gives the records that the journal got meanwhile, and the lines that it took.
    fn register(&mut self, lines: &str) -> (Vec<Record>, String) {
        let before = self.journal.len();
        self.cseq += 1;
        let mut answer = self.send(self.cseq, lines);
        let mut whole = lines.to_owned();
        if let Some(value) = answer.header(Name::WwwAuthenticate) {
            let challenge = Challenge::parse(value).expect("a challenge");
            let (uri, secret) = (format!("sip:{}", house::DOMAIN), Secret::new("secret-1001"));
            let method = Method::Register;
            let uri = uri.as_bytes();
            let proof = auth::respond(&challenge, &method, uri, "1001", &secret, 1, b"c", b"");
            whole = format!("{lines}Authorization: {}\r\n", proof.expect("a proof"));
            self.cseq += 1;
            answer = self.send(self.cseq, &whole);
        }
        assert_eq!(code(&answer), 200);
        let records = self.journal.get(before..).unwrap_or_default();
        let records = records.iter().map(|line| serde_json::from_str(line));
        let records = records.collect::<Result<_, _>>().expect("records");
        (records, whole)
    }

    /// How many records a REGISTER a second later costs.
    fn costs(&mut self, lines: &str) -> usize {
        self.pass(s(1));
        self.register(lines).0.len()
    }

    fn devices(&mut self) -> Vec<RegistrationView> {
        let command = Command::Registrations;
        let effects = self.give(Input::Command { id: 1, command });
        let mut lists = effects.into_iter().filter_map(|effect| match effect {
            Effect::Reply {
                reply: Ok(Answer::Registrations(list)),
                ..
            } => Some(list),
            _ => None,
        });
        lists.next().expect("a list")
    }

    /// How long the only device is registered yet; `None` when there is none.
    fn left(&mut self) -> Option<u64> {
        let devices = self.devices();
        assert!(devices.len() < 2, "{devices:?}");
        let until = devices.first()?.expires_at;
        Some(until.since(self.now.wall).as_secs())
    }
}

fn life(now: Now, settings: &Settings, number: u64) -> Switch {
    let boot = Boot {
        entropy: Entropy::from_number(number),
        primary: house::internal().ip(),
        media_workers: 1,
    };
    Switch::new(now, Arc::new(settings.clone()), boot)
}

fn code(answer: &Message) -> u16 {
    answer.status().map_or(0, StatusCode::as_u16)
}

fn bound(records: &[Record]) -> Vec<&WallTime> {
    let bound = records.iter().filter_map(|record| match record {
        Record::Bound(record) => Some(&record.expires_at),
        _ => None,
    });
    bound.collect()
}

#[test]
fn refresh_costs_no_record_until_the_slack_is_used_up() {
    let mut desk = Desk::open(true);
    let (records, _) = desk.register(MINUTE);
    assert_eq!(bound(&records), [&(desk.now.wall + s(90))]);
    for _ in 0..3 {
        desk.pass(s(9));
        assert_eq!(desk.costs(MINUTE), 0);
        assert_eq!(desk.left(), Some(60), "its true time is what is shown");
    }
    desk.pass(s(9));
    desk.pass(s(1));
    let (records, _) = desk.register(MINUTE);
    assert_eq!(bound(&records), [&(desk.now.wall + s(90))]);
    assert_eq!(desk.costs(MINUTE), 0);
}

#[test]
fn binding_is_there_after_a_kill_between_refreshes() {
    let mut desk = Desk::open(true);
    desk.register(MINUTE);
    desk.pass(s(28));
    assert_eq!(desk.costs(MINUTE), 0);
    // longer than the first REGISTER granted, and within what the second did
    desk.pass(s(58));
    desk.kill();
    assert_eq!(desk.left(), Some(3), "what was acknowledged, and the slack");
    // the snapshot that begins the next journal adds nothing to that
    let snapshot = desk.switch.snapshot(desk.now);
    assert_eq!(bound(&snapshot), [&(desk.now.wall + s(3))]);
    desk.pass(s(3));
    desk.kill();
    assert_eq!(desk.left(), None);
}

#[test]
fn snapshot_holds_a_binding_as_long_as_the_journal_did() {
    let mut desk = Desk::open(true);
    desk.register(MINUTE);
    desk.pass(s(9));
    assert_eq!(desk.costs(MINUTE), 0);
    let snapshot = desk.switch.snapshot(desk.now);
    assert_eq!(bound(&snapshot), [&(desk.now.wall + s(80))]);
    desk.journal = snapshot
        .iter()
        .map(|record| serde_json::to_string(record).expect("JSON"))
        .collect();
    desk.pass(s(15));
    assert_eq!(desk.costs(MINUTE), 0, "the new journal promises as much");
    desk.pass(s(59));
    desk.kill();
    assert_eq!(desk.left(), Some(5));
}

#[test]
fn refresh_after_a_kill_goes_on_from_what_the_journal_holds() {
    let mut desk = Desk::open(true);
    desk.register(MINUTE);
    desk.kill();
    assert_eq!(desk.left(), Some(90));
    assert_eq!(desk.costs(MINUTE), 0);
    assert_eq!(desk.left(), Some(60), "now its true time is known again");
    desk.pass(s(30));
    assert_eq!(desk.costs(MINUTE), 1);
}

#[test]
fn changed_path_or_flow_is_written_at_once_and_so_is_the_end() {
    let mut desk = Desk::open(true);
    desk.register(MINUTE);
    assert_eq!(desk.costs(MINUTE), 0);
    let path = format!("Path: <sip:192.0.2.7;lr>\r\n{MINUTE}");
    assert_eq!(desk.costs(&path), 1);
    assert_eq!(desk.costs(&path), 0);
    desk.from = house::desk(0, 1);
    assert_eq!(desk.costs(&path), 1);
    assert_eq!(desk.costs(&path), 0);
    desk.kill();
    let source = desk.devices().first().map(|device| device.source.clone());
    assert_eq!(source, Some(desk.from.to_string()));
    desk.pass(s(1));
    let (records, _) = desk.register(GONE);
    let gone = |record: &Record| matches!(record, Record::Unbound { .. });
    assert!(records.iter().any(gone), "{records:?}");
    desk.kill();
    assert_eq!(desk.left(), None);
}

#[test]
fn binding_that_runs_out_is_gone_from_the_journal_before_its_slack() {
    let mut desk = Desk::open(true);
    desk.register(MINUTE);
    desk.pass(s(61));
    desk.give(Input::Tick);
    desk.kill();
    assert_eq!(desk.left(), None);
}

#[test]
fn reload_makes_the_next_refresh_a_record() {
    let mut desk = Desk::open(true);
    desk.register(MINUTE);
    let settings = Arc::new(desk.settings.clone());
    desk.give(Input::Settings(settings));
    assert_eq!(desk.costs(MINUTE), 1, "its profile may be called otherwise");
    assert_eq!(desk.costs(MINUTE), 0);
}

#[test]
fn late_register_of_the_life_before_must_prove_itself_anew() {
    let mut desk = Desk::open(true);
    desk.register(MINUTE);
    desk.pass(s(1));
    // a farewell that the network held back, overtaken by the next refresh
    let (_, proved) = desk.register(MINUTE);
    let late = proved.replace(MINUTE, GONE);
    let before = desk.cseq;
    assert_eq!(desk.costs(MINUTE), 0);
    desk.kill();
    assert_eq!(code(&desk.send(before, &late)), 401);
    assert!(desk.left().is_some());
}

#[test]
fn where_nobody_asks_for_a_proof_the_journal_knows_the_last_cseq() {
    let mut desk = Desk::open(false);
    desk.register(MINUTE);
    desk.cseq += 1; // a farewell that the network holds back
    let late = desk.cseq;
    assert_eq!(desk.costs(MINUTE), 1);
    desk.kill();
    assert_eq!(code(&desk.send(late, GONE)), 500);
    assert!(desk.left().is_some());
    assert_eq!(desk.costs(MINUTE), 1);
}
