//! Certificates as operators meet them: good ones, ones that do not belong together, and ones whose time is over.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use strowger::base::WallTime;
use strowger::config::{TlsVersion, Trust};

use super::{House, house};

const PROFILE: &str = "sip-profiles/internal.toml";

fn certificate() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["pbx.test".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2026, 12, 31);
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// The house with a profile that listens on TLS and shows a certificate until the end of 2026.
fn with_tls(more: &str) -> House {
    let mut house = house();
    let (certificate, key) = certificate();
    house.file("certs/pbx.pem", &certificate);
    house.file("certs/pbx.key", &key);
    house.file("certs/other.key", &self::certificate().1);
    house.change(PROFILE, "udp:127.0.0.1:5060", "tls:127.0.0.1:5061");
    let table =
        format!("tls = {{ certificate = \"certs/pbx.pem\", key = \"certs/pbx.key\"{more} }}");
    house.change(PROFILE, "", &table);
    house
}

fn at(date: &str) -> WallTime {
    WallTime::from_timestamp(date.parse().expect("a time"))
}

#[test]
fn a_certificate_with_its_key_is_taken() {
    let settings = with_tls("").settings();
    let profile = settings.profile("internal").expect("there");
    let tls = profile.tls.as_ref().expect("there");
    assert_eq!(tls.identity.chain.len(), 1);
    assert_eq!(tls.client_ca, None);
    assert_eq!(tls.min_version, TlsVersion::V1_2);
    let settings = with_tls(
        ", client-ca = \"certs/pbx.pem\", client-certificate = \"optional\", min-version = \"1.3\"",
    )
    .settings();
    let profile = settings.profile("internal").expect("there");
    let tls = profile.tls.as_ref().expect("there");
    assert!(matches!(&tls.client_ca, Some(Trust::Roots(roots)) if roots.len() == 1));
    assert!(!tls.client_required);
    assert_eq!(tls.min_version, TlsVersion::V1_3);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let mut house = with_tls("");
    house.change(PROFILE, "pbx.key", "other.key");
    let found: Vec<String> = house.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "sip-profiles/internal.toml:5:46: error: the key in `certs/other.key` does not belong to the certificate in `certs/pbx.pem`"
        ]
    );
}

#[test]
fn a_demand_for_client_certificates_needs_somebody_who_vouches() {
    let house = with_tls(", client-certificate = \"required\"");
    let found: Vec<String> = house.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "sip-profiles/internal.toml:5:84: error: `client-certificate` needs `client-ca`: who vouches for them?"
        ]
    );
}

#[test]
fn a_trunk_known_by_its_certificate_needs_a_profile_that_asks_for_one() {
    let mut house = house();
    let (certificate, key) = certificate();
    house.file("certs/pbx.pem", &certificate);
    house.file("certs/pbx.key", &key);
    let path = "sip-profiles/external.toml";
    house.change(path, "udp:127.0.0.1:5080", "tls:127.0.0.1:5081");
    house.change(
        path,
        "auth = \"trunk\"\n",
        "auth = \"trunk\"\ntls = { certificate = \"certs/pbx.pem\", key = \"certs/pbx.key\" }\n",
    );
    house.change(path, "sip:127.0.0.2", "sips:gw.acme.example");
    house.change(
        path,
        "",
        "tls = { ca = \"certs/pbx.pem\", names = \"GW.acme.example\" }",
    );
    let found: Vec<String> = house.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "sip-profiles/external.toml:10:7: error: trunk `acme` cannot be known by its certificate: the profile asks for none (give `client-ca` in the profile's `tls`)"
        ]
    );
    house.change(
        path,
        "pbx.key\" }",
        "pbx.key\", client-ca = \"certs/pbx.pem\" }",
    );
    let settings = house.settings();
    let trunk = settings.trunk("acme").expect("there");
    assert_eq!(&*trunk.tls.names[0], "gw.acme.example");
}

#[test]
fn dates_are_warnings_that_stop_nothing() {
    let told = |now: &str| {
        let mut settings = with_tls("").settings();
        settings.warnings.clear();
        settings.look_at_dates(at(now));
        let warnings = settings.warnings.iter();
        warnings.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told("2026-06-01T00:00:00Z"), [""; 0]);
    assert_eq!(
        told("2026-12-11T12:00:00Z"),
        [
            "sip-profiles/internal.toml:5:23: warning: the certificate in `certs/pbx.pem` expires in 19 days (put the new one in its place and reload; nothing else is touched)"
        ]
    );
    assert_eq!(
        told("2027-01-10T12:00:00Z"),
        [
            "sip-profiles/internal.toml:5:23: warning: the certificate in `certs/pbx.pem` expired 10 days ago: peers will refuse TLS (put the new one in its place and reload; nothing else is touched)"
        ]
    );
    assert_eq!(told("2025-12-31T00:00:00Z").len(), 1);
}

#[test]
fn a_new_certificate_under_the_same_name_is_a_change() {
    let mut house = with_tls("");
    let directory = tempfile::tempdir().expect("a directory");
    let load = |house: &House| house.load_in(directory.path(), &|_| None).expect("fine");
    let before = load(&house);
    assert_eq!(strowger::config::diff(&before, &load(&house)), []);
    let (certificate, key) = certificate();
    house.file("certs/pbx.pem", &certificate);
    house.file("certs/pbx.key", &key);
    let changes = strowger::config::diff(&before, &load(&house));
    let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["profile `internal` changed"]);
}
