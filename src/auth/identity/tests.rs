//! Identity end to end: an authority, a signer, calls that are right and calls that are not.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};

use super::passport::{Claims, Destination, Kind, Priority};
use super::*;
use crate::base::{Duration, WallTime};

const URL: &str = "https://certs.example/sti.pem";
const CALLER: &str = "12025550123";
const CALLED: &str = "442071838750";
/// 2026-01-01.
const NOW: u64 = 1_767_225_600;

fn now() -> WallTime {
    WallTime::from_timestamp(
        jiff::Timestamp::from_second(i64::try_from(NOW).expect("small")).expect("a time"),
    )
}

fn ia5(text: &str) -> Vec<u8> {
    let mut out = vec![0x16, u8::try_from(text.len()).expect("short")];
    out.extend(text.bytes());
    out
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, u8::try_from(content.len()).expect("short")];
    out.extend(content);
    out
}

fn provider(code: &str) -> Vec<u8> {
    tagged(0xa0, &ia5(code))
}

fn number(text: &str) -> Vec<u8> {
    tagged(0xa2, &ia5(text))
}

fn range(start: &str, count: u8) -> Vec<u8> {
    let mut body = ia5(start);
    body.extend([2, 1, count]);
    tagged(0xa1, &tagged(0x30, &body))
}

/// An authority with one signer.
struct World {
    anchors: Anchors,
    chain: Arc<Chain>,
    signer: Signer,
}

fn world_with(entries: Option<&[u8]>, not_after: i32) -> World {
    let authority_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.not_before = rcgen::date_time_ymd(2020, 1, 1);
    authority.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let root = authority.self_signed(&authority_key).expect("signed");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut leaf = CertificateParams::new(Vec::new()).expect("parameters");
    leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(not_after, 1, 1);
    if let Some(entries) = entries {
        leaf.custom_extensions = vec![CustomExtension::from_oid_content(
            &[1, 3, 6, 1, 5, 5, 7, 1, 26],
            tagged(0x30, entries),
        )];
    }
    let issuer = Issuer::new(authority, authority_key);
    let certificate = leaf.signed_by(&key, &issuer).expect("signed");
    World {
        anchors: Anchors::parse(root.pem().as_bytes()).expect("an authority"),
        chain: Arc::new(Chain::parse(certificate.pem().as_bytes()).expect("a certificate")),
        signer: Signer::parse(key.serialize_pem().as_bytes(), URL).expect("a key"),
    }
}

fn world() -> World {
    world_with(Some(&provider("1234")), 2030)
}

fn tn(number: &str) -> Party {
    Party {
        tn: Some(number.to_owned()),
        uri: None,
    }
}

fn facts() -> Facts {
    Facts {
        caller: tn(CALLER),
        called: vec![tn(CALLED)],
        date: Some(NOW),
        priorities: Vec::new(),
    }
}

fn claims() -> Claims {
    Claims {
        attest: Some(Attestation::A),
        dest: Destination {
            tn: vec![CALLED.to_owned()],
            uri: Vec::new(),
        },
        div: None,
        iat: NOW,
        orig: tn(CALLER),
        origid: Some("here".to_owned()),
        rph: None,
    }
}

impl World {
    fn header(&self) -> String {
        self.signer
            .sign(
                now(),
                &tn(CALLER),
                &tn(CALLED),
                Attestation::A,
                "de305d54-75b4-431b-adb2-eb6b9e546014",
            )
            .expect("two numbers")
    }

    fn signed(&self, kind: Kind, ppt: &str, claims: &Claims) -> String {
        let token = self.signer.signed(kind, claims).expect("signed");
        format!("{token};info=<{URL}>;alg=ES256;ppt={ppt}")
    }

    fn judge_at(&self, headers: &[String], facts: &Facts, at: u64) -> Verdict {
        let values = headers.iter().map(|header| header.as_bytes());
        let presented = match presented(values) {
            Ok(presented) => presented,
            Err(failure) => return Verdict::of(failure),
        };
        let chain = |url: &str| (url == URL).then(|| self.chain.clone());
        judge(
            &presented,
            facts,
            &self.anchors,
            &chain,
            Duration::from_secs(at),
        )
    }

    fn judge(&self, headers: &[String], facts: &Facts) -> Verdict {
        self.judge_at(headers, facts, NOW)
    }
}

fn status(verdict: &Verdict) -> u16 {
    verdict
        .failure
        .as_ref()
        .map_or(200, |failure| failure.status().0)
}

#[test]
fn what_we_sign_is_proved_with_its_attestation() {
    let world = world();
    let verdict = world.judge(&[world.header()], &facts());
    assert_eq!(verdict.verstat, Verstat::Passed, "{verdict:?}");
    assert_eq!(verdict.attestation, Some(Attestation::A));
    assert_eq!(
        verdict.origin.as_deref(),
        Some("de305d54-75b4-431b-adb2-eb6b9e546014")
    );
    assert_eq!(verdict.priority, None);
}

#[test]
fn the_text_that_is_signed_is_the_one_of_rfc_8225() {
    use base64::Engine as _;
    let text = super::passport::text(Kind::Shaken, URL, &claims());
    let (header, payload) = text.split_once('.').expect("two parts");
    let read = |part: &str| {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(part)
            .expect("base64url");
        String::from_utf8(bytes).expect("text")
    };
    assert_eq!(
        read(header),
        format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{URL}"}}"#)
    );
    assert_eq!(
        read(payload),
        format!(
            r#"{{"attest":"A","dest":{{"tn":["{CALLED}"]}},"iat":{NOW},"orig":{{"tn":"{CALLER}"}},"origid":"here"}}"#
        )
    );
}

#[test]
fn nothing_presented_is_no_validation_and_428_where_it_is_required() {
    let verdict = world().judge(&[], &facts());
    assert_eq!(verdict.verstat, Verstat::None);
    assert_eq!(status(&verdict), 428);
    // an extension that nobody here knows counts as nothing
    let unknown = format!("a.b.c;info=<{URL}>;alg=ES256;ppt=msgi");
    let verdict = world().judge(&[unknown], &facts());
    assert_eq!(status(&verdict), 428);
}

#[test]
fn it_holds_for_a_minute_around_its_time_and_no_longer() {
    let world = world();
    let header = [world.header()];
    let mut facts = facts();
    facts.date = None;
    for (at, wanted) in [
        (NOW + 60, 200),
        (NOW + 61, 403),
        (NOW - 60, 200),
        (NOW - 61, 403),
    ] {
        assert_eq!(status(&world.judge_at(&header, &facts, at)), wanted, "{at}");
    }
    facts.date = Some(NOW - 120);
    assert_eq!(status(&world.judge(&header, &facts)), 403, "Date counts");
}

#[test]
fn another_caller_or_another_number_is_not_proved() {
    let world = world();
    let header = [world.header()];
    let mut other = facts();
    other.caller = tn("12025550124");
    assert_eq!(status(&world.judge(&header, &other)), 438);
    let mut other = facts();
    other.called = vec![tn("442071838751")];
    assert_eq!(status(&world.judge(&header, &other)), 438);
    // the Request-URI counts where To says something else
    other.called.push(tn(CALLED));
    assert_eq!(status(&world.judge(&header, &other)), 200);
}

#[test]
fn a_changed_byte_anywhere_in_it_is_seen() {
    let world = world();
    let header = world.header();
    let end = header.find(';').expect("parameters");
    for at in (0..end).step_by(7) {
        let mut bytes = header.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("text");
        let verdict = world.judge(std::slice::from_ref(&changed), &facts());
        assert_eq!(verdict.verstat, Verstat::Failed, "{at}: {changed}");
    }
}

#[test]
fn a_certificate_of_a_stranger_or_out_of_time_is_437() {
    let (world, stranger) = (world(), world());
    let header = [stranger.header()];
    // the stranger's chain under our authorities
    let mixed = World {
        anchors: world.anchors,
        ..stranger
    };
    assert_eq!(status(&mixed.judge(&header, &facts())), 437);
    let expired = world_with(Some(&provider("1234")), 2025);
    let header = [expired.header()];
    assert_eq!(status(&expired.judge(&header, &facts())), 437);
}

#[test]
fn a_certificate_that_cannot_be_had_is_436() {
    let world = world();
    let header = world.header().replace("sti.pem", "other.pem");
    assert_eq!(
        status(&world.judge(&[header], &facts())),
        436,
        "info and x5u differ"
    );
    let elsewhere = World {
        signer: world.signer,
        chain: world.chain.clone(),
        anchors: world.anchors.clone(),
    };
    let presented = presented([elsewhere.header().as_bytes()].into_iter()).expect("fine");
    let verdict = judge(
        &presented,
        &facts(),
        &elsewhere.anchors,
        &|_| None,
        Duration::from_secs(NOW),
    );
    assert_eq!(status(&verdict), 436);
}

#[test]
fn a_certificate_speaks_only_for_the_numbers_in_it() {
    for (entries, wanted) in [
        (Some(provider("1234")), 200),
        (Some(number(CALLER)), 200),
        (Some(number("12025550124")), 437),
        (Some(range("12025550100", 50)), 200),
        (Some(range("12025550100", 23)), 437),
        (Some(range("12025550124", 50)), 437),
        (Some(range("1202555010", 200)), 437),
        (Some([number("1"), number(CALLER)].concat()), 200),
        (Some(Vec::new()), 437),
        (Some(vec![0xa2, 0x7f]), 437),
        (None, 437),
    ] {
        let world = world_with(entries.as_deref(), 2030);
        let header = [world.header()];
        assert_eq!(
            status(&world.judge(&header, &facts())),
            wanted,
            "{entries:x?}"
        );
    }
}

#[test]
fn compact_form_is_made_up_from_the_request() {
    let world = world();
    let mut plain = claims();
    plain.attest = None;
    plain.origid = None;
    let token = world.signer.signed(Kind::Plain, &plain).expect("signed");
    let signature = token.rsplit('.').next().expect("three parts");
    let header = [format!("..{signature};info=<{URL}>;alg=ES256")];
    assert_eq!(status(&world.judge(&header, &facts())), 200);
    let mut other = facts();
    other.caller = tn("12025550124");
    assert_eq!(status(&world.judge(&header, &other)), 438);
    other = facts();
    other.date = None;
    assert_eq!(status(&world.judge(&header, &other)), 438);
    let shaken = [format!("..{signature};info=<{URL}>;alg=ES256;ppt=shaken")];
    assert_eq!(status(&world.judge(&shaken, &facts())), 438);
}

#[test]
fn a_diverted_call_is_proved_by_who_diverted_it() {
    let world = world();
    let shaken = world.signed(Kind::Shaken, "shaken", &claims());
    let mut diversion = claims();
    diversion.attest = None;
    diversion.origid = None;
    diversion.div = Some(tn(CALLED));
    diversion.dest.tn = vec!["442071830000".to_owned()];
    let div = world.signed(Kind::Diverted, "div", &diversion);
    let mut facts = facts();
    facts.called = vec![tn("442071830000")];
    assert_eq!(
        status(&world.judge(&[div.clone(), shaken.clone()], &facts)),
        200
    );
    assert_eq!(
        status(&world.judge(std::slice::from_ref(&shaken), &facts)),
        438
    );
    // one that begins at another number leads nowhere
    diversion.div = Some(tn("442071839999"));
    let lost = world.signed(Kind::Diverted, "div", &diversion);
    assert_eq!(status(&world.judge(&[shaken, lost], &facts)), 438);
}

#[test]
fn priority_must_be_signed_for() {
    let world = world();
    let mut facts = facts();
    facts.priorities = vec!["ets.0".to_owned()];
    let shaken = world.signed(Kind::Shaken, "shaken", &claims());
    let verdict = world.judge(std::slice::from_ref(&shaken), &facts);
    assert_eq!(verdict.verstat, Verstat::Passed);
    assert_eq!(verdict.priority, Some(false));
    let mut granted = claims();
    granted.attest = None;
    granted.rph = Some(Priority {
        auth: vec!["ets.0".to_owned(), "wps.0".to_owned()],
    });
    let rph = world.signed(Kind::Priority, "rph", &granted);
    let verdict = world.judge(&[shaken.clone(), rph.clone()], &facts);
    assert_eq!(verdict.priority, Some(true));
    facts.priorities.push("esnet.1".to_owned());
    let verdict = world.judge(&[shaken, rph], &facts);
    assert_eq!(verdict.priority, Some(false));
}

#[test]
fn broken_headers_are_438_and_nothing_worse() {
    let world = world();
    let whole = world.header();
    for broken in [
        String::new(),
        ";info=<x>".to_owned(),
        "...".to_owned(),
        format!("a.b.c.d;info=<{URL}>"),
        format!("a.b;info=<{URL}>"),
        whole.replace("ES256", "none"),
        format!("{};info=<{URL}>", "x".repeat(9000)),
        whole.replace("ppt=\"shaken\"", "ppt=div"),
        whole.replace(";ppt=\"shaken\"", ""),
    ] {
        let verdict = world.judge(std::slice::from_ref(&broken), &facts());
        assert_eq!(verdict.verstat, Verstat::Failed, "{broken}");
        assert!(matches!(status(&verdict), 436 | 438), "{broken}");
    }
    for end in (0..whole.len()).step_by(3) {
        let _ = world.judge(&[whole[..end].to_owned()], &facts());
    }
}

#[test]
fn an_empty_address_of_the_certificate_is_none() {
    let signature = "A".repeat(86);
    for (info, fine) in [("<https://x.test/c>", true), ("", false), ("<>", false)] {
        let value = format!("..{signature};info={info};alg=ES256");
        assert_eq!(
            presented([value.as_bytes()].into_iter()).is_ok(),
            fine,
            "{info}"
        );
    }
}

#[test]
fn numbers_become_digits_and_names_nothing() {
    assert_eq!(canonical("+1 (202) 555-0123").as_deref(), Some(CALLER));
    for other in [
        "2025550123",
        "anonymous",
        "+",
        "+1x",
        "",
        "+1234567890123456",
    ] {
        assert_eq!(canonical(other), None, "{other}");
    }
}

#[test]
fn files_that_are_something_else_are_refused() {
    let key = KeyPair::generate().expect("a key").serialize_pem();
    assert!(Anchors::parse(b"").is_err());
    assert!(Anchors::parse(key.as_bytes()).is_err());
    assert!(
        Chain::parse(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err()
    );
    assert!(Signer::parse(b"nothing", URL).is_err());
    let big = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    assert!(Signer::parse(big.serialize_pem().as_bytes(), URL).is_err());
}

#[test]
fn a_broken_shaken_claim_is_refused() {
    let world = world();
    let mut without = claims();
    without.attest = None;
    let header = [world.signed(Kind::Shaken, "shaken", &without)];
    assert_eq!(status(&world.judge(&header, &facts())), 438);
    let mut without = claims();
    without.origid = None;
    let header = [world.signed(Kind::Shaken, "shaken", &without)];
    assert_eq!(status(&world.judge(&header, &facts())), 438);
    // a level that does not exist, in a PASSporT of an attacker's making
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let whole = world.header();
    let parts: Vec<&str> = whole.splitn(3, '.').collect();
    let payload = engine.decode(parts[1]).expect("base64url");
    let payload = String::from_utf8(payload).expect("text");
    let payload = payload.replace("\"attest\":\"A\"", "\"attest\":\"AA\"");
    let header = [format!(
        "{}.{}.{}",
        parts[0],
        engine.encode(payload),
        parts[2]
    )];
    assert_eq!(status(&world.judge(&header, &facts())), 438);
}
