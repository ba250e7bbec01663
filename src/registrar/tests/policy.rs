//! What a profile grants: times, places, Path, Service-Route.

use super::*;
use crate::base::Network;
use crate::sip::Name;

fn values(answer: &Message, name: Name) -> Vec<String> {
    answer
        .headers(name)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

#[test]
fn granted_times_are_spread_but_never_longer_than_asked_nor_below_the_minimum() {
    let mut bench = Bench::with(Policy {
        expires_jitter: 10,
        ..Policy::default()
    });
    let mut granted: Vec<u64> = Vec::new();
    for n in 0..200 {
        let contact = format!("Contact: <sip:a@127.0.0.2:5070>;x={n}");
        bench.register(&[&contact]);
        let left = bench.out.contacts().next().expect("a contact");
        let (_, seconds) = left.rsplit_once('=').expect("expires");
        granted.push(seconds.parse().expect("a number"));
    }
    assert!(
        granted
            .iter()
            .all(|seconds| (3240..=3600).contains(seconds))
    );
    granted.sort_unstable();
    granted.dedup();
    assert!(granted.len() > 50, "{} different times", granted.len());
    for wish in [60, 61, 65] {
        let expires = format!("Expires: {wish}");
        for _ in 0..50 {
            bench.register(&[&expires, PHONE]);
            let binding = &bench.out.changes.first().expect("bound").binding;
            let seconds = binding.expires_at.since(bench.now.mono).as_secs();
            assert!((60..=wish).contains(&seconds), "{seconds} of {wish}");
        }
    }
}

#[test]
fn one_device_too_many_takes_the_place_of_the_one_refreshed_longest_ago() {
    let mut bench = Bench::with(Policy {
        contacts_max: 2,
        replace_oldest: true,
        ..Policy::default()
    });
    bench.register_as("a", 1, &["Contact: <sip:a@127.0.0.2>"]);
    bench.pass(1);
    bench.register_as("b", 1, &["Contact: <sip:b@127.0.0.2>"]);
    bench.pass(1);
    bench.register_as("a", 2, &["Contact: <sip:a@127.0.0.2>"]);
    bench.pass(1);
    assert_eq!(
        bench.register_as("c", 1, &["Contact: <sip:c@127.0.0.2>"]),
        200
    );
    assert_eq!(
        bench.changes(),
        ["Removed(Replaced) sip:b@127.0.0.2", "Added sip:c@127.0.0.2"]
    );
    assert_eq!(bench.registrar.len(), 2);
    // Three at once do not fit whoever goes, and then nobody goes.
    let three = "Contact: <sip:x@127.0.0.2>, <sip:y@127.0.0.2>, <sip:z@127.0.0.2>";
    assert_eq!(bench.register_as("d", 1, &[three]), 403);
    assert_eq!(bench.registrar.len(), 2);
}

#[test]
fn path_is_kept_shown_and_becomes_the_route() {
    let mut bench = Bench::with(Policy {
        path: PathFrom::Anybody,
        ..Policy::default()
    });
    let lines = [
        PHONE,
        "Supported: path",
        "User-Agent: Deskphone 9",
        "Path: <sip:edge1.example;lr>, <sip:edge2.example;lr>",
    ];
    let answer = bench.answer(&lines);
    assert_eq!(
        values(&answer, Name::Path),
        ["<sip:edge1.example;lr>, <sip:edge2.example;lr>"]
    );
    assert!(answer.has_option_tag(Name::Supported, "path"));
    let binding = &bench.out.changes.first().expect("bound").binding;
    assert_eq!(binding.user_agent.as_deref(), Some("Deskphone 9"));
    let paths: Vec<&str> = binding.paths().collect();
    assert_eq!(paths, ["<sip:edge1.example;lr>", "<sip:edge2.example;lr>"]);
    let way = binding.way();
    assert_eq!(
        way.routes,
        ["<sip:edge1.example;lr>", "<sip:edge2.example;lr>"]
    );
    assert_eq!(way.request_uri, "sip:alice@127.0.0.2:5070");
    assert_eq!(
        way.flow, bench.flow,
        "a name is not looked up: back where it came from"
    );
    // The device comes without the proxies: they are out of the way at once.
    bench.register(&[PHONE]);
    let binding = &bench.out.changes.first().expect("bound").binding;
    assert!(binding.way().routes.is_empty());
}

#[test]
fn path_with_an_address_is_the_next_hop() {
    let mut bench = Bench::with(Policy {
        path: PathFrom::Anybody,
        ..Policy::default()
    });
    bench.register(&[PHONE, "Path: <sip:127.0.0.9:5090;lr>"]);
    let way = bench.out.changes.first().expect("bound").binding.way();
    assert_eq!(way.flow.remote.to_string(), "127.0.0.9:5090");
    // Over its own connection a proxy is reached on that, and when it is gone on a new one: the binding stays.
    bench.flow = tcp(4);
    bench.register(&[PHONE, "Path: <sip:127.0.0.2:5090;transport=tcp;lr>"]);
    let way = bench.out.changes.first().expect("bound").binding.way();
    assert_eq!(way.flow, tcp(4));
    let changes = bench.registrar.flow_closed(bench.now, ConnectionId(4));
    assert_eq!(
        changes.iter().map(change_line).collect::<Vec<_>>(),
        ["Moved sip:alice@127.0.0.2:5070"]
    );
    let binding = bench.registrar.lookup(bench.now, &bench.aor).next();
    let way = binding.expect("still there").way();
    assert_eq!(way.flow.remote.to_string(), "127.0.0.2:5090");
    assert_eq!(way.flow.connection, None);
}

#[test]
fn path_is_taken_from_trusted_proxies_only() {
    let path = "Path: <sip:evil.example;lr>";
    let mut bench = Bench::new();
    let answer = bench.answer(&[PHONE, path]);
    assert_eq!(values(&answer, Name::Path), [""; 0]);
    let binding = &bench.out.changes.first().expect("bound").binding;
    assert_eq!(binding.path(), "", "an unknown header is ignored");
    let answer = bench.answer(&[PHONE, path, "Require: path"]);
    assert_eq!(answer.status(), Some(StatusCode::BAD_EXTENSION));
    assert_eq!(values(&answer, Name::Unsupported), ["path"]);
    let from = |network: &str| {
        let network = Network::parse(network).expect("a network");
        Bench::with(Policy {
            path: PathFrom::Networks(vec![network]),
            ..Policy::default()
        })
    };
    let mut bench = from("127.0.0.0/24");
    assert_eq!(bench.register(&[PHONE, path, "Require: path"]), 200);
    assert_eq!(bench.out.changes[0].binding.paths().count(), 1);
    let mut bench = from("192.0.2.0/24");
    assert_eq!(bench.register(&[PHONE, path]), 200);
    assert_eq!(bench.out.changes[0].binding.paths().count(), 0);
}

#[test]
fn path_that_could_not_stand_in_a_route_is_refused() {
    let mut bench = Bench::with(Policy {
        path: PathFrom::Anybody,
        ..Policy::default()
    });
    let nine = format!("Path: {}", ["<sip:p.example;lr>"; 9].join(","));
    for path in [
        "Path: sip:p.example",
        "Path: <tel:+31201234567>",
        "Path: <sip:p.example",
        &nine,
    ] {
        assert_eq!(bench.register(&[PHONE, path]), 400, "{path}");
        assert!(bench.registrar.is_empty());
    }
}

#[test]
fn service_route_and_date_stand_in_the_answer() {
    let mut bench = Bench::with(Policy {
        service_route: vec!["<sip:p1.example;lr>".into(), "<sip:p2.example;lr>".into()],
        ..Policy::default()
    });
    let answer = bench.answer(&[PHONE]);
    assert_eq!(
        values(&answer, Name::ServiceRoute),
        ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]
    );
    assert_eq!(
        values(&answer, Name::Date),
        ["Wed, 18 Nov 2026 11:06:40 GMT"]
    );
    let refused = bench.answer(&["Contact: *"]);
    assert_eq!(values(&refused, Name::ServiceRoute), [""; 0]);
}

#[test]
fn nat_is_what_the_policy_says() {
    let network = Network::parse("127.0.0.2/32").expect("a network");
    for (nat, hidden, shown) in [
        (Nat::Auto, false, true),
        (Nat::Always, true, true),
        (Nat::Never, false, false),
        (Nat::Networks(vec![network]), true, true),
    ] {
        let mut bench = Bench::with(Policy {
            nat: nat.clone(),
            ..Policy::default()
        });
        bench.register(&[PHONE]);
        assert_eq!(bench.out.changes[0].binding.behind_nat, hidden, "{nat:?}");
        bench.register(&["Contact: <sip:alice@10.0.0.9:5070>"]);
        assert_eq!(bench.out.changes[0].binding.behind_nat, shown, "{nat:?}");
    }
}

#[test]
fn sips_contact_is_taken_over_tls_only() {
    let contact = "Contact: <sips:alice@127.0.0.2:5061>";
    let mut bench = Bench::new();
    assert_eq!(bench.register(&[contact]), 416);
    bench.flow.transport = Transport::Tls;
    assert_eq!(bench.register(&[contact]), 200);
}

#[test]
fn bindings_of_people_who_are_gone_end() {
    let mut bench = Bench::new();
    bench.register(&[PHONE]);
    bench.aor = AddressOfRecord::new("bob", "example.com");
    bench.register(&["Contact: <sip:bob@127.0.0.3>"]);
    let gone = bench.registrar.retain(|aor, _| aor.user() == "alice");
    assert_eq!(
        gone.iter().map(change_line).collect::<Vec<_>>(),
        ["Removed(NotConfigured) sip:bob@127.0.0.3"]
    );
    assert_eq!(bench.registrar.len(), 1);
}
