//! Trunks over virtual time: a bench with a clock that keeps everything they say.

mod gateways;
mod registration;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::*;
use crate::base::{Duration, Entropy, Now, Secret};
use crate::event::TrunkFact;
use crate::sip::{Builder, Message, Method, Name, StatusCode, Uri};
use crate::transport::{Located, Transport, target};

const REALM: &str = "carrier.example";

fn host(uri: &str) -> Host {
    let parsed = Uri::parse(uri.as_bytes()).expect("a URI");
    Host {
        uri: Arc::from(uri),
        target: target::of(&parsed).expect("leads somewhere"),
    }
}

fn settings(hosts: &[&str]) -> Settings {
    Settings {
        name: "acme".into(),
        profile: "external".into(),
        hosts: hosts.iter().map(|uri| host(uri)).collect(),
        login: Some(Login {
            username: "lab".into(),
            password: Secret::new("open sesame"),
            realm: None,
        }),
        register: None,
        options_ping: None,
        breaker: BreakerSettings::default(),
        cps_max: None,
    }
}

fn registering(hosts: &[&str]) -> Settings {
    Settings {
        register: Some(RegisterSettings {
            user: "lab".into(),
            domain: REALM.into(),
            registrar: None,
            contact_user: "k7".into(),
            expires: Duration::from_secs(600),
            bulk: false,
        }),
        ..settings(hosts)
    }
}

/// Trunks with a clock and everything that they said.
struct Bench {
    trunks: Trunks,
    now: Now,
    out: Vec<Output>,
}

impl Bench {
    fn new(settings: Settings) -> Bench {
        let mut it = Bench {
            trunks: Trunks::new(Entropy::from_number(5)),
            now: Now::default(),
            out: Vec::new(),
        };
        it.configure(vec![settings]);
        it
    }

    fn configure(&mut self, all: Vec<Settings>) {
        self.trunks.configure(self.now, all, &mut self.out);
        self.trunks.on_time(self.now, &mut self.out);
    }

    /// Time passes; everything that is due happens when it is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.trunks.next_deadline().filter(|&due| due <= end) {
            let step = due.since(self.now.mono);
            self.now.mono = due.max(self.now.mono);
            self.now.wall = self.now.wall + step;
            self.trunks.on_time(self.now, &mut self.out);
        }
        let step = end.since(self.now.mono);
        self.now.mono = end;
        self.now.wall = self.now.wall + step;
    }

    /// What was asked since the last look.
    fn asks(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        self.out.retain(|output| match output {
            Output::Ask(ask) => {
                asks.push(ask.clone());
                false
            }
            _ => true,
        });
        asks
    }

    fn registers(&mut self) -> Vec<(Ask, Register)> {
        self.asks()
            .into_iter()
            .filter_map(|ask| match &ask.what {
                Asked::Register(register) => Some((ask.clone(), (**register).clone())),
                Asked::Options { .. } => None,
            })
            .collect()
    }

    /// The only REGISTER since the last look.
    fn register(&mut self) -> (Ask, Register) {
        let mut list = self.registers();
        assert_eq!(list.len(), 1, "{list:?}");
        list.remove(0)
    }

    /// The next REGISTER, when it comes.
    fn next_register(&mut self) -> (Ask, Register) {
        for _ in 0..4000 {
            let mut list = self.registers();
            if !list.is_empty() {
                return list.remove(0);
            }
            self.pass(secs(1));
        }
        panic!("no REGISTER");
    }

    fn answer(&mut self, ask: &Ask, status: u16, headers: &[(Name, &str)]) {
        let response = response(ask, status, headers);
        self.trunks
            .answered(self.now, ask.ticket, &response, &mut self.out);
    }

    fn facts(&mut self) -> Vec<TrunkFact> {
        let mut facts = Vec::new();
        self.out.retain(|output| match output {
            Output::Fact(fact) => {
                facts.push(fact.clone());
                false
            }
            _ => true,
        });
        facts
    }

    fn state(&mut self) -> (&'static str, Option<Arc<str>>) {
        let view = self.trunks.show(self.now).remove(0);
        let registration = view.registration.expect("registers");
        (registration.state, registration.why)
    }

    fn addresses(&mut self) -> Vec<String> {
        self.trunks
            .ways(self.now, "acme")
            .into_iter()
            .map(|way| way.address.ip().to_string())
            .collect()
    }
}

fn response(ask: &Ask, status: u16, headers: &[(Name, &str)]) -> Message {
    let method = match ask.what {
        Asked::Options { .. } => Method::Options,
        Asked::Register(_) => Method::Register,
    };
    let request = Builder::request(&method, b"sip:carrier.example")
        .via("UDP", "192.0.2.9:5060", b"z9hG4bKa", true)
        .header(Name::From, "<sip:lab@carrier.example>;tag=1")
        .header(Name::To, "<sip:lab@carrier.example>")
        .header(Name::CallId, "a")
        .header(Name::CSeq, format!("1 {}", method.as_str()))
        .finish();
    let status = StatusCode::new(status).expect("a status");
    let mut builder = Builder::response(&request, status, "").to_tag(b"t");
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.finish()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn challenge(realm: &str, nonce: &str, stale: bool) -> String {
    let stale = if stale { ", stale=true" } else { "" };
    format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"{stale}")
}

const CONTACT: (Name, &str) = (Name::Contact, "<sip:k7@192.0.2.9:5060>;expires=600");
