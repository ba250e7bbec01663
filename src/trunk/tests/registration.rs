//! Registration: what is asked, and what is made of answers, silence and lies.

use super::*;

/// A bench that is registered after one challenge.
fn registered() -> Bench {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
    let (ask, _) = bench.register();
    let asked = challenge(REALM, "n1", false);
    bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    let (ask, register) = bench.register();
    assert!(register.proof.is_some());
    bench.answer(&ask, 200, &[CONTACT]);
    assert_eq!(bench.state(), ("registered", None));
    bench
}

#[test]
fn a_challenge_is_answered_and_the_registration_is_refreshed_before_it_ends() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
    let (ask, first) = bench.register();
    assert_eq!(ask.remote.to_string(), "192.0.2.1:5060");
    assert_eq!(first.uri, "sip:carrier.example");
    assert_eq!(first.aor, "sip:lab@carrier.example");
    assert_eq!((&*first.contact_user, first.expires), ("k7", 600));
    assert_eq!(first.proof, None);
    let asked = challenge(REALM, "n1", false);
    bench.answer(&ask, 407, &[(Name::ProxyAuthenticate, &asked)]);
    let (ask, second) = bench.register();
    assert_eq!(second.cseq, first.cseq + 1);
    assert_eq!(second.call_id, first.call_id);
    let (name, proof) = second.proof.expect("credentials");
    assert_eq!(name, Name::ProxyAuthorization);
    assert!(proof.contains("username=\"lab\"") && proof.contains("nc=00000001"));
    bench.answer(&ask, 200, &[CONTACT]);
    assert!(matches!(
        bench.facts().as_slice(),
        [TrunkFact::Registered { .. }]
    ));
    // refreshed between 75 and 90 % of the time, with the nonce that is known
    bench.pass(secs(449));
    assert!(bench.registers().is_empty());
    let (ask, refresh) = bench.next_register();
    assert!(bench.now.mono.since(crate::base::Instant::ZERO) <= secs(541));
    assert_eq!(refresh.call_id, first.call_id);
    assert!(
        refresh
            .proof
            .is_some_and(|(_, proof)| proof.contains("nc=00000002"))
    );
    bench.answer(&ask, 200, &[CONTACT]);
    assert_eq!(bench.facts(), []);
    assert_eq!(bench.state(), ("registered", None));
}

#[test]
fn a_registrar_that_forgot_its_nonce_is_answered_once_more() {
    let mut bench = registered();
    let (ask, _) = bench.next_register();
    let asked = challenge(REALM, "n2", false);
    bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    let (ask, register) = bench.register();
    assert!(register.proof.is_some_and(|(_, p)| p.contains("\"n2\"")));
    // and a second time only if it says that the nonce alone was old
    let asked = challenge(REALM, "n3", true);
    bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    let (ask, _) = bench.register();
    let asked = challenge(REALM, "n4", true);
    bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    assert!(bench.registers().is_empty(), "two answers are enough");
}

#[test]
fn a_registrar_that_challenges_for_ever_gets_two_answers() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
    let mut proofs = 0;
    for n in 0..50 {
        let Some((ask, register)) = bench.registers().pop() else {
            break;
        };
        proofs += u32::from(register.proof.is_some());
        let asked = challenge(REALM, &format!("n{n}"), true);
        bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    }
    assert_eq!(proofs, 2);
    assert_eq!(bench.state().0, "unregistered");
}

#[test]
fn wrong_credentials_are_not_repeated_for_five_minutes() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1", "sip:192.0.2.2"]));
    let (ask, _) = bench.register();
    let asked = challenge(REALM, "n1", false);
    bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    let (ask, _) = bench.register();
    bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    assert!(
        matches!(bench.facts().as_slice(), [TrunkFact::Unregistered { reason, .. }] if reason == "it refuses the credentials")
    );
    bench.pass(secs(269));
    assert!(bench.registers().is_empty());
    bench.next_register();
    assert!(bench.now.mono.since(crate::base::Instant::ZERO) <= secs(331));
    assert_eq!(bench.facts(), [], "said once");
}

#[test]
fn a_foreign_realm_gets_no_answer() {
    let mut bench = registered();
    let (ask, _) = bench.next_register();
    let asked = challenge("elsewhere.example", "n9", false);
    bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    assert!(bench.registers().is_empty());
    let (state, why) = bench.state();
    assert_eq!(state, "unregistered");
    assert!(why.is_some_and(|why| why.contains("elsewhere.example")));
    // of two challenges the one that is ours is answered, wherever it stands
    let mut bench = registered();
    let (ask, _) = bench.next_register();
    let (foreign, ours) = (
        challenge("elsewhere.example", "n9", false),
        challenge(REALM, "n10", false),
    );
    bench.answer(
        &ask,
        401,
        &[
            (Name::WwwAuthenticate, &foreign),
            (Name::WwwAuthenticate, &ours),
        ],
    );
    let (_, register) = bench.register();
    assert!(register.proof.is_some_and(|(_, p)| p.contains("\"n10\"")));
}

#[test]
fn a_configured_realm_is_the_only_one() {
    let mut settings = registering(&["sip:192.0.2.1"]);
    if let Some(login) = &mut settings.login {
        login.realm = Some("Carrier.Example".into());
    }
    let mut bench = Bench::new(settings);
    assert_eq!(
        bench.trunks.realm("acme").as_deref(),
        Some("Carrier.Example")
    );
    let (ask, _) = bench.register();
    let asked = challenge("other.example", "n1", false);
    bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    assert!(bench.registers().is_empty());
    let mut bench = registered();
    assert_eq!(
        bench.trunks.realm("acme").as_deref(),
        Some(REALM),
        "the realm that took the proof is pinned for calls, too"
    );
    bench.pass(secs(1));
}

#[test]
fn too_brief_asks_for_what_the_registrar_wants_once() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
    let (ask, _) = bench.register();
    bench.answer(&ask, 423, &[(Name::MinExpires, "1800")]);
    let (ask, register) = bench.register();
    assert_eq!(register.expires, 1800);
    bench.answer(&ask, 423, &[(Name::MinExpires, "3600")]);
    assert!(bench.registers().is_empty());
    // a registrar that names no time, or less than was asked, is not believed
    for least in ["", "600", "99999999"] {
        let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
        let (ask, _) = bench.register();
        bench.answer(&ask, 423, &[(Name::MinExpires, least)]);
        assert!(bench.registers().is_empty(), "{least}");
    }
}

#[test]
fn silence_and_503_move_on_to_the_next_registrar_and_then_pause_longer_each_time() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1", "sip:192.0.2.2"]));
    let (ask, _) = bench.register();
    assert_eq!(ask.remote.ip().to_string(), "192.0.2.1");
    bench.pass(secs(8));
    let (ask, _) = bench.register();
    assert_eq!(ask.remote.ip().to_string(), "192.0.2.2");
    bench.answer(&ask, 503, &[]);
    assert!(matches!(
        bench.facts().as_slice(),
        [TrunkFact::Unregistered { .. }]
    ));
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let begin = bench.now.mono;
        let asks = loop {
            bench.pass(secs(1));
            let asks = bench.registers();
            if !asks.is_empty() {
                break asks;
            }
        };
        pauses.push(bench.now.mono.since(begin).as_secs());
        bench.answer(&asks[0].0, 500, &[]);
        let (ask, _) = bench.register();
        bench.answer(&ask, 500, &[]);
    }
    for (pause, wanted) in pauses.iter().zip([30, 60, 120, 240, 480, 600, 600]) {
        let (low, high) = (wanted * 9 / 10, wanted * 11 / 10 + 1);
        assert!((low..=high).contains(pause), "{pauses:?}");
    }
}

#[test]
fn retry_after_is_respected() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
    let (ask, _) = bench.register();
    bench.answer(&ask, 503, &[(Name::RetryAfter, "900 (later);duration=5")]);
    bench.pass(secs(899));
    assert!(bench.registers().is_empty());
    bench.pass(secs(2));
    assert_eq!(bench.registers().len(), 1);
}

#[test]
fn a_registration_that_cannot_be_refreshed_ends_when_its_time_is_over() {
    let mut bench = registered();
    bench.facts();
    bench.pass(secs(599));
    assert_eq!(bench.facts(), []);
    assert!(bench.registers().len() >= 2, "tried again meanwhile");
    bench.pass(secs(2));
    assert!(
        matches!(bench.facts().as_slice(), [TrunkFact::Unregistered { reason, .. }] if reason == "no answer to REGISTER")
    );
    let source: IpAddr = "192.0.2.1".parse().expect("address");
    assert_eq!(
        bench.trunks.registered_for("external", source, Some("k7")),
        None
    );
}

#[test]
fn a_registrar_that_grants_nothing_has_not_registered_us() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
    let (ask, _) = bench.register();
    bench.answer(
        &ask,
        200,
        &[(Name::Contact, "<sip:k7@192.0.2.9>;expires=0")],
    );
    assert_eq!(bench.state().0, "unregistered");
}

#[test]
fn the_grant_for_our_contact_counts_not_that_of_others() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
    let (ask, _) = bench.register();
    let contacts = "<sip:other@192.0.2.8>;expires=3600, <sip:k7@192.0.2.9:5060>;expires=100";
    bench.answer(
        &ask,
        200,
        &[(Name::Contact, contacts), (Name::Expires, "7200")],
    );
    bench.pass(secs(91));
    assert_eq!(bench.registers().len(), 1);
}

#[test]
fn service_route_is_kept_and_goes_with_the_registration() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
    let (ask, _) = bench.register();
    let route = "<sip:edge1.carrier.example;lr>, <sip:core.carrier.example;lr>";
    bench.answer(&ask, 200, &[CONTACT, (Name::ServiceRoute, route)]);
    assert_eq!(
        bench.trunks.service_route("acme"),
        [
            "<sip:edge1.carrier.example;lr>",
            "<sip:core.carrier.example;lr>"
        ]
    );
    bench.pass(secs(650));
    assert!(bench.trunks.service_route("acme").is_empty());
}

#[test]
fn calls_to_the_registered_contact_are_known_by_address_and_user() {
    let bench = registered();
    let at = |ip: &str, user: Option<&str>| {
        let ip: IpAddr = ip.parse().expect("address");
        bench.trunks.registered_for("external", ip, user)
    };
    assert_eq!(at("192.0.2.1", Some("k7")).as_deref(), Some("acme"));
    assert_eq!(at("192.0.2.1", Some("+442071838750")), None);
    assert_eq!(at("192.0.2.1", None), None);
    assert_eq!(at("192.0.2.2", Some("k7")), None);
    let source: IpAddr = "192.0.2.1".parse().expect("address");
    assert_eq!(
        bench.trunks.registered_for("internal", source, Some("k7")),
        None
    );
}

#[test]
fn bulk_registers_every_number() {
    let mut settings = registering(&["sip:192.0.2.1"]);
    if let Some(register) = &mut settings.register {
        register.bulk = true;
    }
    let mut bench = Bench::new(settings);
    let (ask, register) = bench.register();
    assert!(register.bulk && register.contact_user.is_empty());
    bench.answer(
        &ask,
        200,
        &[(Name::Contact, "<sip:192.0.2.9:5060;bnc>;expires=300")],
    );
    let source: IpAddr = "192.0.2.1".parse().expect("address");
    let number = bench
        .trunks
        .registered_for("external", source, Some("+442071838750"));
    assert_eq!(number.as_deref(), Some("acme"));
    bench.pass(secs(271));
    assert_eq!(bench.registers().len(), 1, "the granted time counts");
}

#[test]
fn a_server_that_stops_takes_its_registration_back() {
    let mut bench = registered();
    bench.trunks.stop(bench.now, &mut bench.out);
    let (ask, register) = bench.register();
    assert_eq!(register.expires, 0);
    assert!(register.proof.is_some(), "without another round");
    assert!(bench.trunks.is_leaving());
    let asked = challenge(REALM, "n2", false);
    bench.answer(&ask, 401, &[(Name::WwwAuthenticate, &asked)]);
    let (ask, register) = bench.register();
    assert_eq!(register.expires, 0);
    bench.answer(&ask, 200, &[]);
    assert!(!bench.trunks.is_leaving());
    bench.pass(secs(3600));
    assert!(bench.registers().is_empty(), "nothing comes after that");
}

#[test]
fn a_dead_registrar_does_not_keep_a_stopping_server() {
    let mut bench = registered();
    bench.trunks.stop(bench.now, &mut bench.out);
    bench.register();
    bench.pass(secs(3));
    assert!(!bench.trunks.is_leaving());
}

#[test]
fn a_trunk_that_a_reload_takes_out_is_unregistered_and_one_that_stays_is_not_asked_again() {
    let mut bench = registered();
    let mut other = registering(&["sip:192.0.2.1"]);
    other.cps_max = Some(3);
    bench.configure(vec![other]);
    assert!(bench.registers().is_empty());
    assert_eq!(bench.state(), ("registered", None));
    bench.configure(Vec::new());
    let (ask, register) = bench.register();
    assert_eq!(register.expires, 0);
    bench.answer(&ask, 200, &[]);
    assert!(!bench.trunks.is_leaving());
    assert_eq!(bench.trunks.next_deadline(), None);
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let mut bench = registered();
    let ask = Ask {
        ticket: 4711,
        trunk: "acme".into(),
        profile: "external".into(),
        transport: Transport::Udp,
        remote: SocketAddr::from(([192, 0, 2, 1], 5060)),
        what: Asked::Options {
            uri: "sip:x".into(),
        },
    };
    bench.answer(&ask, 403, &[]);
    bench
        .trunks
        .lost(bench.now, 4711, "no answer", &mut bench.out);
    assert_eq!(bench.state(), ("registered", None));
}

#[test]
fn a_registrar_without_bulk_is_not_pressed() {
    let mut settings = registering(&["sip:192.0.2.1", "sip:192.0.2.2"]);
    if let Some(register) = &mut settings.register {
        register.bulk = true;
    }
    let mut bench = Bench::new(settings);
    let (ask, _) = bench.register();
    bench.answer(&ask, 420, &[(Name::Unsupported, "gin")]);
    bench.pass(secs(260));
    assert!(bench.registers().is_empty());
    let (state, why) = bench.state();
    assert_eq!(
        (state, why.as_deref()),
        ("unregistered", Some("420 Bad Extension to REGISTER"))
    );
}

#[test]
fn of_several_challenges_the_topmost_that_we_speak_is_answered() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1"]));
    let (ask, _) = bench.register();
    let of = |algorithm: &str| {
        format!(
            "Digest realm=\"{REALM}\", nonce=\"{algorithm}\", algorithm={algorithm}, qop=\"auth\""
        )
    };
    let (new, strong, weak) = (of("SHA-512-256"), of("SHA-256"), of("MD5"));
    bench.answer(
        &ask,
        401,
        &[
            (Name::WwwAuthenticate, "Basic realm=\"x\""),
            (Name::WwwAuthenticate, &new),
            (Name::WwwAuthenticate, &strong),
            (Name::WwwAuthenticate, &weak),
        ],
    );
    let (_, register) = bench.register();
    let (_, proof) = register.proof.expect("credentials");
    assert!(
        proof.contains("nonce=\"SHA-256\"") && proof.contains("algorithm=SHA-256"),
        "{proof}"
    );
}
