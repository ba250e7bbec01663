//! What the shipped core says to carriers, message by message.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use strowger::base::{Entropy, Now};
use strowger::config::{self, Settings};
use strowger::sim::house;
use strowger::sip::{Builder, Message, Method, Name};
use strowger::switch::{Answer, Boot, CallView, Command, Effect, Effects, Input, Switch};
use strowger::transport::{Flow, ProfileId, Transport};

/// The house's files as settings, the trunk with `lines` in place of its `auth`.
fn settings(lines: &str) -> Settings {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in house::files(&["1001".to_string()], &[], &[]) {
        let path = directory.path().join(&name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
        let text = if name.ends_with("external.toml") {
            let auth = text.find("auth = {").expect("the trunk's password");
            format!("{}{lines}\n", &text[..auth])
        } else {
            text
        };
        std::fs::write(path, text).expect("a file");
    }
    config::load(directory.path()).expect("a house that is fine")
}

struct Bench {
    switch: Switch,
    now: Now,
    profile: ProfileId,
    sent: Vec<(Flow, Message)>,
}

impl Bench {
    fn new(lines: &str) -> Bench {
        let settings = settings(lines);
        let profile = settings
            .profiles
            .iter()
            .position(|profile| &*profile.name == "external")
            .expect("there");
        let now = Now::default();
        let boot = Boot {
            entropy: Entropy::from_number(5),
            primary: house::external().ip(),
            media_workers: 1,
        };
        let mut bench = Bench {
            switch: Switch::new(now, Arc::new(settings), boot),
            now,
            profile: ProfileId(u16::try_from(profile).expect("few")),
            sent: Vec::new(),
        };
        bench.put(Input::Ready);
        bench.put(Input::Tick);
        bench
    }

    fn put(&mut self, input: Input) {
        let mut effects = Effects::new();
        self.switch.handle(self.now, input, &mut effects);
        for effect in effects.drain() {
            if let Effect::Send { flow, bytes } = effect {
                let message = Message::parse(bytes).expect("what we send parses");
                self.sent.push((flow, message));
            }
        }
    }

    fn calls(&mut self) -> Vec<CallView> {
        let mut effects = Effects::new();
        let input = Input::Command {
            id: 1,
            command: Command::Calls,
        };
        self.switch.handle(self.now, input, &mut effects);
        effects
            .drain()
            .find_map(|effect| match effect {
                Effect::Reply {
                    reply: Ok(Answer::Calls(list)),
                    ..
                } => Some(list),
                _ => None,
            })
            .expect("an answer")
    }

    fn from(&mut self, remote: SocketAddr, message: &Message) {
        let flow = Flow {
            profile: self.profile,
            transport: Transport::Udp,
            local: house::external(),
            remote,
            connection: None,
        };
        self.put(Input::Received {
            flow,
            bytes: message.bytes().clone(),
        });
    }
}

fn text(message: &Message, name: Name) -> String {
    let value = message.header(name).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

#[test]
fn a_bulk_registration_looks_as_rfc_6140_wants_it() {
    let bench = Bench::new(
        r#"register = { username = "lab", password = "open sesame", bulk = true }
domain = "carrier.example""#,
    );
    let (flow, register) = &bench.sent[0];
    assert_eq!(*register.method(), Method::Register);
    assert_eq!(flow.remote, house::carrier());
    assert_eq!(register.uri_bytes(), b"sip:carrier.example");
    assert_eq!(text(register, Name::To), "<sip:lab@carrier.example>");
    assert!(text(register, Name::From).starts_with("<sip:lab@carrier.example>;tag="));
    assert_eq!(
        text(register, Name::Contact),
        format!("<sip:{};bnc>", house::external())
    );
    assert_eq!(text(register, Name::Require), "gin");
    assert_eq!(text(register, Name::ProxyRequire), "gin");
    assert_eq!(text(register, Name::Supported), "path");
    assert_eq!(text(register, Name::Expires), "600");
}

#[test]
fn a_registration_of_one_address_names_its_contact() {
    let bench = Bench::new(
        r#"register = { username = "lab", password = "open sesame", contact-user = "k7", expires = "5m" }"#,
    );
    let (_, register) = &bench.sent[0];
    assert_eq!(
        text(register, Name::Contact),
        format!("<sip:k7@{}>", house::external())
    );
    assert_eq!(text(register, Name::Expires), "300");
    assert_eq!(text(register, Name::Require), "");
}

fn options(number: u32) -> Message {
    let text = format!(
        "OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.9>;tag={number}\r\nTo: <sip:192.0.2.1>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text)).expect("a request")
}

#[test]
fn a_carrier_is_not_held_to_the_rate_of_strangers() {
    let mut bench = Bench::new("");
    let stranger = SocketAddr::from(([198, 51, 100, 1], 5060));
    for number in 0..6000 {
        bench.from(stranger, &options(number));
    }
    assert_eq!(bench.sent.len(), 4000, "the burst of a stranger");
    bench.sent.clear();
    for number in 10_000..16_000 {
        bench.from(house::carrier(), &options(number));
    }
    assert_eq!(bench.sent.len(), 6000);
}

#[test]
fn a_number_of_the_carrier_is_read_in_any_way_that_it_is_written() {
    let mut bench = Bench::new("");
    for (number, uri) in [
        (1, "tel:+44-20-7183-8751"),
        (2, "sip:+442071838751;npdi@192.0.2.1;user=phone"),
    ] {
        let invite = Builder::request(&Method::Invite, uri.as_bytes())
            .via(
                "UDP",
                "192.0.2.9:5060",
                format!("z9hG4bK{number}").as_bytes(),
                true,
            )
            .header(Name::MaxForwards, "70")
            .header(Name::From, "<tel:+44-20-7946-0999>;tag=1")
            .header(Name::To, "<tel:+44-20-7183-8751>")
            .header(Name::CallId, format!("call-{number}"))
            .header(Name::CSeq, "1 INVITE")
            .header(Name::Contact, "<sip:192.0.2.9>")
            .finish();
        bench.from(house::carrier(), &invite);
        let call = bench.calls().pop().expect("a call");
        assert_eq!(&*call.to.number, "+442071838751", "{uri}");
        assert_eq!(&*call.from.number, "+442079460999", "{uri}");
    }
}
