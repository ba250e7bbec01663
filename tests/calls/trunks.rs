//! What the shipped core says to carriers, message by message.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use bytes::Bytes;
use strowger::auth::identity::{self, Attestation, Signer};
use strowger::base::{Duration, Entropy, Now, WallTime};
use strowger::config::{self, Settings};
use strowger::sim::house;
use strowger::sip::{Builder, Message, Method, Name};
use strowger::switch::{Answer, Boot, CallView, Command, Effect, Effects, Input, Switch};
use strowger::transport::{Flow, ProfileId, Transport};

/// The house's files as settings, the trunk with `lines` in place of its `auth`, each file changed by `change`, and `more` beside them.
fn settings_with(
    lines: &str,
    more: &[(&str, String)],
    change: impl Fn(&str, String) -> String,
) -> Settings {
    let directory = tempfile::tempdir().expect("a directory");
    let mut files = house::files(&["1001".to_string()], &[], &[]);
    files.extend(
        more.iter()
            .map(|(name, text)| ((*name).to_string(), text.clone())),
    );
    for (name, text) in files {
        let path = directory.path().join(&name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
        let text = if name.ends_with("external.toml") {
            let auth = text.find("auth = {").expect("the trunk's password");
            format!("{}{lines}\n", &text[..auth])
        } else {
            text
        };
        std::fs::write(path, change(&name, text)).expect("a file");
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
        Bench::with(settings_with(lines, &[], |_, text| text))
    }

    fn with(settings: Settings) -> Bench {
        let profile = settings
            .profiles
            .iter()
            .position(|profile| &*profile.name == "external")
            .expect("there");
        let now = Now {
            wall: WallTime::from_timestamp("2026-01-01T00:00:00Z".parse().expect("a time")),
            ..Now::default()
        };
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
        self.arrives(self.profile, house::external(), remote, message);
    }

    /// From a telephone, on the other of the two profiles.
    fn phone_says(&mut self, message: &Message) {
        let profile = ProfileId(1 - self.profile.0);
        self.arrives(profile, house::internal(), house::desk(0, 0), message);
    }

    fn arrives(
        &mut self,
        profile: ProfileId,
        local: SocketAddr,
        remote: SocketAddr,
        message: &Message,
    ) {
        let flow = Flow {
            profile,
            transport: Transport::Udp,
            local,
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
    let served = bench.sent.len();
    assert!(
        served <= 4000,
        "more than the burst of a stranger: {served}"
    );
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

/// Signed identity: an authority, a provider and its key, as files beside the configuration.
struct Provider {
    files: Vec<(&'static str, String)>,
    signer: Signer,
}

const URL: &str = "https://certs.example/sti.pem";
const CALLER: &str = "+12025550123";
/// A number that the inbound dialplan of these tests sends on to the carrier.
const ONWARD: &str = "+4930123456";

fn provider() -> Provider {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = authority.self_signed(&authority_key).expect("signed");
    let key = KeyPair::generate().expect("a key");
    let mut leaf = CertificateParams::new(Vec::new()).expect("parameters");
    // a TNAuthList with the provider code 1234 (RFC 8226 §9)
    leaf.custom_extensions = vec![CustomExtension::from_oid_content(
        &[1, 3, 6, 1, 5, 5, 7, 1, 26],
        b"\x30\x08\xa0\x06\x16\x041234".to_vec(),
    )];
    let issuer = Issuer::new(authority, authority_key);
    let certificate = leaf.signed_by(&key, &issuer).expect("signed");
    Provider {
        signer: Signer::parse(key.serialize_pem().as_bytes(), URL).expect("a key"),
        files: vec![
            ("ca.pem", root.pem()),
            ("sti.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
        ],
    }
}

impl Provider {
    fn bench(&self, lines: &str) -> Bench {
        let settings = settings_with(lines, &self.files, |name, text| match name {
            "dialplans/inbound.toml" => format!(
                "{text}\n[[rule]]\nname = \"onward\"\nnumber = \"+49{{rest}}\"\ndo = [ {{ dial = \"+49{{rest}}\", timeout = \"40s\" }} ]\n"
            ),
            "sip-profiles/internal.toml" => {
                text.replace("auth = \"digest\"", "auth = \"none\"\ninsecure = true")
            }
            _ => text,
        });
        Bench::with(settings)
    }

    fn identity(&self, bench: &Bench) -> String {
        let party = |number: &str| identity::Party {
            tn: identity::canonical(number),
            uri: None,
        };
        self.signer
            .sign(
                bench.now.wall,
                &party(CALLER),
                &party(ONWARD),
                Attestation::B,
                "de305d54-75b4-431b-adb2-eb6b9e546014",
            )
            .expect("two numbers")
    }
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 203.0.113.10\r\ns=-\r\nc=IN IP4 203.0.113.10\r\nt=0 0\r\nm=audio 7000 RTP/AVP 8\r\n";

fn invite(caller: &str, called: &str, identity: Option<&str>) -> Message {
    let mut builder = Builder::request(
        &Method::Invite,
        format!("sip:{called}@192.0.2.1").as_bytes(),
    )
    .via("UDP", "203.0.113.10:5060", b"z9hG4bKi", true)
    .header(Name::MaxForwards, "70")
    .header(
        Name::From,
        format!("<sip:{caller};verstat=TN-Validation-Passed@carrier.example>;tag=1"),
    )
    .header(Name::To, format!("<sip:{called}@192.0.2.1>"))
    .header(Name::CallId, "i")
    .header(Name::CSeq, "1 INVITE")
    .header(Name::Contact, "<sip:203.0.113.10>");
    if let Some(identity) = identity {
        builder = builder
            .header(Name::Date, "Thu, 01 Jan 2026 00:00:00 GMT")
            .header(Name::Identity, identity);
    }
    builder.body("application/sdp", SDP.as_bytes())
}

impl Bench {
    /// The last answer to the caller, and the INVITE that went on, if one did.
    fn outcome(&self) -> (u16, String, Option<&Message>) {
        let answer = self
            .sent
            .iter()
            .rev()
            .find_map(|(_, message)| Some((message.status()?, message)))
            .expect("an answer");
        let onward = self
            .sent
            .iter()
            .map(|(_, message)| message)
            .find(|message| message.is_request() && *message.method() == Method::Invite);
        let phrase = String::from_utf8_lossy(answer.1.reason_phrase()).into_owned();
        (answer.0.as_u16(), phrase, onward)
    }
}

const VERIFIES: &str = r#"ca = "ca.pem", certificates = [{ url = "https://certs.example/sti.pem", file = "sti.pem" }]"#;

#[test]
fn a_caller_who_is_not_proved_is_refused_where_proof_is_required() {
    let provider = provider();
    let lines = format!("stir = {{ verify = \"require\", {VERIFIES} }}");
    for (identity, code, phrase) in [
        (None, 428, "Use Identity Header"),
        (
            Some("a.b.c;info=<https://x>"),
            438,
            "Invalid Identity Header",
        ),
    ] {
        let mut bench = provider.bench(&lines);
        bench.from(house::carrier(), &invite(CALLER, ONWARD, identity));
        let (status, said, onward) = bench.outcome();
        assert_eq!((status, said.as_str()), (code, phrase));
        assert!(onward.is_none());
        assert!(bench.calls().is_empty());
    }
    let mut bench = provider.bench(&lines);
    let identity = provider.identity(&bench);
    bench.from(
        house::carrier(),
        &invite("+12025550199", ONWARD, Some(&identity)),
    );
    assert_eq!(bench.outcome().0, 438, "of another caller");
    let mut bench = provider.bench(&lines);
    bench.from(house::carrier(), &invite(CALLER, ONWARD, Some(&identity)));
    assert!(bench.outcome().2.is_some(), "the call goes on");
}

#[test]
fn a_marked_call_goes_on_and_says_what_was_found() {
    let provider = provider();
    let lines = format!("stir = {{ verify = \"mark\", {VERIFIES} }}");
    for (caller, signed, verstat, attested) in [
        (CALLER, true, "TN-Validation-Passed", Some("B")),
        ("+12025550199", true, "TN-Validation-Failed", None),
        (CALLER, false, "No-TN-Validation", None),
    ] {
        let mut bench = provider.bench(&lines);
        let identity = provider.identity(&bench);
        let identity = signed.then_some(identity.as_str());
        bench.from(house::carrier(), &invite(caller, ONWARD, identity));
        let call = bench.calls().pop().expect("a call");
        assert_eq!((call.verstat, call.attestation), (Some(verstat), attested));
        let onward = bench.outcome().2.expect("the call goes on");
        // what the caller's side says of its caller is not said on
        assert_eq!(onward.header(Name::Identity), None);
        assert!(!String::from_utf8_lossy(onward.bytes()).contains("verstat"));
    }
}

#[test]
fn the_dialplan_knows_whether_the_caller_is_proved() {
    let provider = provider();
    let settings = settings_with(
        &format!("stir = {{ verify = \"mark\", {VERIFIES} }}"),
        &provider.files,
        |name, text| match name {
            "dialplans/inbound.toml" => format!(
                "{text}\n[[rule]]\nname = \"doubtful\"\nnumber = \"+49{{rest}}\"\nif = \"{{verstat}} != 'TN-Validation-Passed'\"\ndo = [ {{ hangup = \"declined\" }} ]\n\n\
                 [[rule]]\nname = \"onward\"\nnumber = \"+49{{rest}}\"\ndo = [ {{ dial = \"+49{{rest}}\" }} ]\n"
            ),
            _ => text,
        },
    );
    let mut bench = Bench::with(settings.clone());
    bench.from(house::carrier(), &invite(CALLER, ONWARD, None));
    assert_eq!(bench.outcome().0, 603);
    let mut bench = Bench::with(settings);
    let identity = provider.identity(&bench);
    bench.from(house::carrier(), &invite(CALLER, ONWARD, Some(&identity)));
    assert!(bench.outcome().2.is_some());
}

#[test]
fn a_proved_identity_goes_on_untouched_where_the_trunk_says_so() {
    let provider = provider();
    let lines = format!("stir = {{ verify = \"mark\", pass = true, {VERIFIES} }}");
    let mut bench = provider.bench(&lines);
    let identity = provider.identity(&bench);
    bench.from(house::carrier(), &invite(CALLER, ONWARD, Some(&identity)));
    let onward = bench.outcome().2.expect("the call goes on");
    assert_eq!(text(onward, Name::Identity), identity);
    assert_eq!(text(onward, Name::Date), "Thu, 01 Jan 2026 00:00:00 GMT");
    // one that was not proved stays behind
    let mut bench = provider.bench(&lines);
    bench.from(
        house::carrier(),
        &invite("+12025550199", ONWARD, Some(&identity)),
    );
    let onward = bench.outcome().2.expect("the call goes on");
    assert_eq!(onward.header(Name::Identity), None);
}

#[test]
fn a_call_out_is_signed_for_the_number_that_it_shows() {
    let provider = provider();
    let mut bench = provider.bench(
        r#"caller-number = "+442071831001"
stir = { key = "key.pem", x5u = "https://certs.example/sti.pem" }"#,
    );
    // from an extension, and from the carrier itself
    for (internal, attested) in [(true, Attestation::A), (false, Attestation::C)] {
        bench.sent.clear();
        let caller = if internal { "1001" } else { CALLER };
        let text = String::from_utf8_lossy(invite(caller, ONWARD, None).bytes())
            .replace(";verstat=TN-Validation-Passed", "")
            .replace("z9hG4bKi", &format!("z9hG4bK{caller}"))
            .replace("Call-ID: i", &format!("Call-ID: {caller}"));
        let message = Message::parse(Bytes::from(text)).expect("a request");
        if internal {
            bench.phone_says(&message);
        } else {
            bench.from(house::carrier(), &message);
        }
        let onward = bench.outcome().2.expect("a call out");
        let presented =
            identity::presented(onward.headers(Name::Identity)).expect("a readable header");
        let facts = identity::Facts {
            caller: identity::Party {
                tn: Some("442071831001".into()),
                uri: None,
            },
            called: vec![identity::Party {
                tn: identity::canonical(ONWARD),
                uri: None,
            }],
            date: None,
            priorities: Vec::new(),
        };
        let chain = Arc::new(
            identity::Chain::parse(provider.files[1].1.as_bytes()).expect("a certificate"),
        );
        let verdict = identity::judge(
            &presented,
            &facts,
            &identity::Anchors::parse(provider.files[0].1.as_bytes()).expect("an authority"),
            &|url| (url == URL).then(|| chain.clone()),
            Duration::from_secs(1_767_225_600),
        );
        assert_eq!(
            (verdict.verstat, verdict.attestation),
            (identity::Verstat::Passed, Some(attested)),
            "{verdict:?}"
        );
        assert_eq!(
            crate::trunks::text(onward, Name::Date),
            "Thu, 01 Jan 2026 00:00:00 GMT"
        );
    }
}
