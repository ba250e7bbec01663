//! GRUUs: who gets them, where they lead, when the temporary ones end.

use super::*;
use crate::sip::Uri;

const GRUU: &str = "Supported: gruu";

fn phone(instance: u32, reg_id: u32) -> String {
    format!(
        "Contact: <sip:alice@127.0.0.2;transport=tcp>;+sip.instance=\"<urn:uuid:{instance}>\";reg-id={reg_id}"
    )
}

/// The value of a parameter in a Contact line of the answer.
fn param<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!(";{name}=\""))?;
    rest.split('"').next()
}

fn gruus(bench: &Bench) -> (String, String) {
    let line = bench.out.contacts().next().expect("a contact");
    let get = |name| param(line, name).unwrap_or_default().to_owned();
    (get("pub-gruu"), get("temp-gruu"))
}

fn leads(bench: &Bench, uri: &str) -> Option<Gruu> {
    bench
        .registrar
        .gruu(&Uri::parse(uri.as_bytes()).expect("a URI"))
}

fn device(instance: &str) -> Option<Gruu> {
    Some(Gruu::Device {
        aor: AddressOfRecord::new("alice", "example.com"),
        instance: instance.to_owned(),
    })
}

#[test]
fn device_that_asks_gets_a_public_and_a_temporary_one() {
    let mut bench = Bench::new();
    bench.register(&[&phone(1, 1), GRUU]);
    let (public, temporary) = gruus(&bench);
    assert_eq!(public, "sip:alice@example.com;gr=urn:uuid:1");
    assert!(temporary.starts_with("sip:tgruu."), "{temporary}");
    assert!(temporary.ends_with("@example.com;gr"));
    assert!(!temporary.contains("alice") && !temporary.contains("uuid"));
    assert_eq!(leads(&bench, &public), device("urn:uuid:1"));
    assert_eq!(leads(&bench, &temporary), device("urn:uuid:1"));
    assert_eq!(leads(&bench, "sip:alice@example.com"), None);
    assert_eq!(
        leads(
            &bench,
            "sip:tgruu.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@example.com;gr"
        ),
        Some(Gruu::Unknown)
    );
}

#[test]
fn who_does_not_ask_or_has_no_instance_gets_none() {
    let mut bench = Bench::new();
    for lines in [&[&phone(1, 1)[..]][..], &[PHONE, GRUU]] {
        bench.register(lines);
        assert_eq!(gruus(&bench), Default::default(), "{lines:?}");
        bench.register(&["Contact: *", "Expires: 0"]);
    }
    let mut bench = Bench::with(Policy {
        gruu: false,
        ..Policy::default()
    });
    bench.register(&[&phone(1, 1), GRUU]);
    assert_eq!(gruus(&bench), Default::default());
}

#[test]
fn every_refresh_gives_another_temporary_one_and_the_earlier_ones_stay_good() {
    let mut bench = Bench::new();
    bench.register(&[&phone(1, 1), GRUU]);
    let (public, first) = gruus(&bench);
    bench.pass(60);
    bench.register(&[&phone(1, 1), GRUU]);
    let (again, second) = gruus(&bench);
    assert_eq!(public, again);
    assert_ne!(first, second);
    assert_eq!(leads(&bench, &first), device("urn:uuid:1"));
    assert_eq!(leads(&bench, &second), device("urn:uuid:1"));
}

#[test]
fn another_call_id_ends_the_temporary_ones() {
    let mut bench = Bench::new();
    bench.register_as("boot-1", 1, &[&phone(1, 1), GRUU]);
    let (public, temporary) = gruus(&bench);
    bench.register_as("boot-2", 1, &[&phone(1, 1), GRUU]);
    assert_eq!(leads(&bench, &temporary), Some(Gruu::Unknown));
    assert_eq!(leads(&bench, &public), device("urn:uuid:1"));
    let (_, fresh) = gruus(&bench);
    assert_eq!(leads(&bench, &fresh), device("urn:uuid:1"));
}

#[test]
fn end_of_the_registration_ends_the_temporary_ones() {
    let mut bench = Bench::new();
    bench.register(&[&phone(1, 1), GRUU]);
    let (_, temporary) = gruus(&bench);
    bench.register(&[&phone(1, 1), "Expires: 0"]);
    assert_eq!(leads(&bench, &temporary), Some(Gruu::Unknown));
    bench.register(&[&phone(1, 1), GRUU]);
    assert_eq!(
        leads(&bench, &temporary),
        Some(Gruu::Unknown),
        "what is over stays over"
    );
    let (_, temporary) = gruus(&bench);
    bench.pass(3_600);
    bench.registrar.due(bench.now);
    assert_eq!(leads(&bench, &temporary), Some(Gruu::Unknown));
    assert!(bench.registrar.lives.is_empty());
}

#[test]
fn flows_of_a_device_share_their_temporary_ones() {
    let mut bench = Bench::new();
    bench.flow = tcp(1);
    bench.register_as("same", 1, &[&phone(1, 1), GRUU]);
    let (_, temporary) = gruus(&bench);
    bench.pass(1);
    bench.flow = tcp(2);
    bench.register_as("same", 2, &[&phone(1, 2), GRUU]);
    bench.register_as("else", 1, &[&phone(2, 1), GRUU]);
    bench.registrar.flow_closed(bench.now, ConnectionId(1));
    assert_eq!(leads(&bench, &temporary), device("urn:uuid:1"));
    let flows: Vec<Flow> = bench
        .registrar
        .lookup(bench.now, &bench.aor)
        .filter(|binding| binding.is_instance("urn:uuid:1"))
        .map(|binding| binding.flow)
        .collect();
    assert_eq!(flows, [tcp(2)]);
}

#[test]
fn key_and_life_put_back_keep_temporary_ones_good() {
    let mut bench = Bench::new();
    bench.register(&[&phone(1, 1), GRUU]);
    let (_, temporary) = gruus(&bench);
    let kept = bench.out.changes[0].clone();
    let key = bench.registrar.gruu_key().expect("made").clone();
    bench.registrar = registrar(Policy::default());
    assert_eq!(leads(&bench, &temporary), Some(Gruu::Unknown));
    bench.registrar.set_gruu_key(key);
    bench.registrar.restore(bench.now, kept.aor, kept.binding);
    assert_eq!(leads(&bench, &temporary), device("urn:uuid:1"));
}

#[test]
fn gruu_is_no_contact() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.register(&["Contact: <sip:alice@example.com;gr=urn:uuid:1>"]),
        403
    );
    assert!(bench.registrar.is_empty());
}
