//! Tests of the registrar, one for each rule of RFC 3261 §10.3 and of what was added to it.

mod flows;
mod gruu;
mod health;
mod kept;
mod policy;

use bytes::Bytes;

use super::*;
use crate::base::{Duration, WallTime};
use crate::sip::{Message, StatusCode};
use crate::transport::{ProfileId, Transport};

struct Bench {
    registrar: Registrar,
    now: Now,
    aor: AddressOfRecord,
    flow: Flow,
    out: RegisterOutcome,
    cseq: u32,
}

impl Bench {
    fn new() -> Self {
        Bench::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        Bench {
            registrar: registrar(policy),
            now: Now {
                mono: Instant::ZERO + Duration::from_secs(1_000),
                wall: WallTime::from_millis(1_795_000_000_000),
            },
            aor: AddressOfRecord::new("alice", "Example.COM"),
            flow: udp(5070),
            out: RegisterOutcome::default(),
            cseq: 0,
        }
    }

    /// Sends a REGISTER with these header lines and the next CSeq.
    fn register(&mut self, lines: &[&str]) -> u16 {
        self.cseq += 1;
        let cseq = self.cseq;
        self.register_as("call-1", cseq, lines)
    }

    fn register_as(&mut self, call_id: &str, cseq: u32, lines: &[&str]) -> u16 {
        let request = request(call_id, cseq, lines);
        self.registrar
            .register(self.now, self.flow, &request, &self.aor, &mut self.out);
        self.out.status.as_u16()
    }

    /// The 200, or whatever it is, to a REGISTER with these lines.
    fn answer(&mut self, lines: &[&str]) -> Message {
        self.register(lines);
        let request = request("call-1", self.cseq, lines);
        self.out.response(&request, b"tt").finish()
    }

    fn contacts(&self) -> Vec<&str> {
        self.out.contacts().collect()
    }

    fn changes(&self) -> Vec<String> {
        self.out.changes.iter().map(change_line).collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.now.mono += Duration::from_secs(seconds);
        self.now.wall = self.now.wall + Duration::from_secs(seconds);
    }

    fn bound(&self) -> Vec<String> {
        self.registrar
            .lookup(self.now, &self.aor)
            .map(|binding| binding.contact().to_owned())
            .collect()
    }
}

fn registrar(policy: Policy) -> Registrar {
    Registrar::new(vec![Arc::new(policy)], Entropy::from_number(1))
}

fn change_line(change: &BindingChange) -> String {
    format!("{:?} {}", change.change, change.binding.contact())
}

fn udp(port: u16) -> Flow {
    Flow {
        profile: ProfileId(0),
        transport: Transport::Udp,
        local: "127.0.0.1:5060".parse().expect("address"),
        remote: std::net::SocketAddr::from(([127, 0, 0, 2], port)),
        connection: None,
    }
}

fn tcp(connection: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        remote: "127.0.0.2:40000".parse().expect("address"),
        connection: Some(ConnectionId(connection)),
        ..udp(0)
    }
}

fn request(call_id: &str, cseq: u32, lines: &[&str]) -> Message {
    let mut text = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2:5070;branch=z9hG4bKr{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@example.com>;tag=f\r\nTo: <sip:alice@example.com>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n"
    );
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    Message::parse(Bytes::from(text)).expect("a test's REGISTER parses")
}

const PHONE: &str = "Contact: <sip:alice@127.0.0.2:5070>";

#[test]
fn address_of_record_is_canonical() {
    let aor = AddressOfRecord::new("Alice", "Example.COM.");
    assert_eq!(aor.as_str(), "Alice@example.com");
    assert_eq!((aor.user(), aor.domain()), ("Alice", "example.com"));
    let of = |uri: &str| AddressOfRecord::of(&crate::sip::Uri::parse(uri.as_bytes()).expect("URI"));
    assert_eq!(of("sip:%41lice@EXAMPLE.com:5070;transport=tcp"), Some(aor));
    assert_eq!(of("sip:example.com"), None);
    assert_eq!(of("sip:al%00ice@example.com"), None);
}

#[test]
fn contact_is_bound_for_the_default_time_and_listed() {
    let mut bench = Bench::new();
    assert_eq!(bench.register(&[PHONE]), 200);
    assert_eq!(
        bench.contacts(),
        ["<sip:alice@127.0.0.2:5070>;expires=3600"]
    );
    assert_eq!(bench.changes(), ["Added sip:alice@127.0.0.2:5070"]);
    assert_eq!(bench.bound(), ["sip:alice@127.0.0.2:5070"]);
    assert!(bench.registrar.is_registered(bench.now, &bench.aor));
}

#[test]
fn register_without_contact_lists_and_changes_nothing() {
    let mut bench = Bench::new();
    bench.register(&[PHONE]);
    bench.pass(100);
    assert_eq!(bench.register(&["Expires: 0"]), 200);
    assert_eq!(
        bench.contacts(),
        ["<sip:alice@127.0.0.2:5070>;expires=3500"]
    );
    assert!(bench.out.changes.is_empty());
}

#[test]
fn expires_parameter_goes_before_header_before_default() {
    let mut bench = Bench::new();
    bench.register(&[
        "Expires: 120",
        "Contact: <sip:alice@127.0.0.2:5070>;expires=90, <sip:alice@127.0.0.2:5080>",
    ]);
    assert_eq!(
        bench.contacts(),
        [
            "<sip:alice@127.0.0.2:5070>;expires=90",
            "<sip:alice@127.0.0.2:5080>;expires=120"
        ]
    );
}

#[test]
fn too_long_a_wish_is_cut_and_too_short_a_one_is_refused() {
    let mut bench = Bench::new();
    bench.register(&["Expires: 99999999999", PHONE]);
    assert_eq!(
        bench.contacts(),
        ["<sip:alice@127.0.0.2:5070>;expires=3600"]
    );
    assert_eq!(
        bench.register(&[
            "Contact: <sip:alice@127.0.0.2:5080>;expires=3600",
            "Contact: <sip:alice@127.0.0.2:5090>;expires=59"
        ]),
        423
    );
    assert_eq!(bench.out.min_expires, Some(60));
    assert!(bench.contacts().is_empty());
    assert!(bench.out.changes.is_empty(), "all or nothing");
    assert_eq!(bench.bound().len(), 1);
    let answer = bench
        .out
        .response(&request("call-1", 2, &[]), b"t")
        .finish();
    assert_eq!(answer.status(), Some(StatusCode::INTERVAL_TOO_BRIEF));
    assert_eq!(
        answer.header(crate::sip::Name::MinExpires),
        Some(&b"60"[..])
    );
}

#[test]
fn answer_carries_every_contact() {
    let mut bench = Bench::new();
    let lines = [
        PHONE,
        "Contact: <sip:alice@127.0.0.2:5080>;q=0.5;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
    ];
    bench.register(&lines);
    let request = request("call-1", 1, &lines);
    let answer = bench.out.response(&request, b"tt").finish();
    let contacts: Vec<&[u8]> = answer.headers(crate::sip::Name::Contact).collect();
    assert_eq!(
        contacts,
        [
            &b"<sip:alice@127.0.0.2:5070>;expires=3600"[..],
            b"<sip:alice@127.0.0.2:5080>;expires=3600;q=0.500;+sip.instance=\"<urn:uuid:1>\";reg-id=1"
        ]
    );
    assert_eq!(answer.to_tag(), Some(&b"tt"[..]));
}

#[test]
fn zero_removes_one_contact_and_star_removes_all() {
    let mut bench = Bench::new();
    bench.register(&["Contact: <sip:a@127.0.0.2>, <sip:b@127.0.0.2>, <sip:c@127.0.0.2>"]);
    assert_eq!(
        bench.register(&["Contact: <sip:b@127.0.0.2>;expires=0"]),
        200
    );
    assert_eq!(bench.changes(), ["Removed(Unregistered) sip:b@127.0.0.2"]);
    assert_eq!(bench.contacts().len(), 2);
    assert_eq!(bench.register(&["Contact: *", "Expires: 0"]), 200);
    assert_eq!(bench.changes().len(), 2);
    assert!(bench.contacts().is_empty());
    assert!(bench.registrar.is_empty());
    assert_eq!(bench.registrar.next_deadline(), None);
}

#[test]
fn removing_what_is_not_there_is_fine() {
    let mut bench = Bench::new();
    assert_eq!(bench.register(&["Expires: 0", PHONE]), 200);
    assert!(bench.out.changes.is_empty());
    assert_eq!(bench.register(&["Expires: 0", "Contact: *"]), 200);
}

#[test]
fn star_is_refused_with_other_contacts_and_with_other_times() {
    let mut bench = Bench::new();
    bench.register(&[PHONE]);
    for lines in [
        &["Contact: *"][..],
        &["Contact: *", "Expires: 60"],
        &["Contact: *", PHONE, "Expires: 0"],
        &["Contact: *, *", "Expires: 0"],
    ] {
        assert_eq!(bench.register(lines), 400, "{lines:?}");
        assert_eq!(bench.bound().len(), 1);
    }
}

#[test]
fn contact_that_is_no_sip_uri_or_damaged_is_refused() {
    let mut bench = Bench::new();
    for (contact, status) in [
        ("Contact: <tel:+31201234567>", 416),
        ("Contact: <sips:alice@127.0.0.2>", 416),
        ("Contact: <mailto:alice@example.com>", 416),
        ("Contact: <sip:>", 400),
        ("Contact: <sip:alice@127.0.0.2", 400),
        ("Contact: <sip:alice\u{7}@127.0.0.2>", 400),
    ] {
        assert_eq!(bench.register(&[PHONE, contact]), status, "{contact}");
        assert!(bench.registrar.is_empty(), "all or nothing");
    }
    let long = format!("Contact: <sip:{}@127.0.0.2>", "a".repeat(600));
    assert_eq!(bench.register(&[&long]), 400);
}

#[test]
fn cseq_must_rise_under_the_same_call_id() {
    let mut bench = Bench::new();
    bench.register_as("call-1", 5, &[PHONE]);
    for cseq in [5, 4] {
        assert_eq!(
            bench.register_as("call-1", cseq, &["Contact: <sip:new@127.0.0.2>", PHONE]),
            500
        );
        assert_eq!(
            bench.bound(),
            ["sip:alice@127.0.0.2:5070"],
            "all or nothing"
        );
        assert_eq!(
            bench.register_as("call-1", cseq, &["Contact: *", "Expires: 0"]),
            500
        );
        assert_eq!(bench.bound().len(), 1);
    }
    assert_eq!(bench.register_as("call-1", 6, &[PHONE]), 200);
    assert_eq!(
        bench.register_as("call-2", 1, &[PHONE]),
        200,
        "the telephone was restarted"
    );
    assert_eq!(bench.changes(), ["Refreshed sip:alice@127.0.0.2:5070"]);
}

#[test]
fn same_contact_in_other_words_is_the_same_binding() {
    let mut bench = Bench::new();
    bench.register(&["Contact: <sip:alice@phone.example;transport=tcp>"]);
    bench.register(&["Contact: \"A\" <sip:%61lice@PHONE.example;Transport=TCP>"]);
    assert_eq!(bench.registrar.len(), 1);
    assert_eq!(bench.bound(), ["sip:%61lice@PHONE.example;Transport=TCP"]);
    bench.register(&["Contact: <sip:alice@phone.example:5060;transport=tcp>"]);
    assert_eq!(bench.registrar.len(), 2, "an explicit port is another URI");
}

#[test]
fn more_than_ten_contacts_are_refused_but_ten_may_be_exchanged() {
    let mut bench = Bench::new();
    for port in 0..10 {
        let contact = format!("Contact: <sip:a@127.0.0.2:{}>", 6000 + port);
        assert_eq!(bench.register(&[&contact]), 200);
    }
    assert_eq!(bench.register(&["Contact: <sip:a@127.0.0.2:7000>"]), 403);
    assert_eq!(bench.registrar.len(), 10);
    assert_eq!(
        bench.register(&["Contact: <sip:a@127.0.0.2:7000>, <sip:a@127.0.0.2:6000>;expires=0"]),
        200
    );
    assert_eq!(bench.registrar.len(), 10);
}

#[test]
fn contact_that_stands_twice_is_bound_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.register(&[PHONE, PHONE]), 200);
    assert_eq!(bench.registrar.len(), 1);
    assert_eq!(bench.contacts().len(), 1);
}

#[test]
fn same_instance_replaces_its_old_path_at_once() {
    let mut bench = Bench::new();
    let at = |port: u16| {
        format!(
            "Contact: <sip:alice@127.0.0.2:{port}>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000000000001>\""
        )
    };
    bench.register_as("boot-1", 900, &[&at(5070)]);
    bench.flow = udp(5099);
    assert_eq!(bench.register_as("boot-2", 1, &[&at(5099)]), 200);
    assert_eq!(bench.bound(), ["sip:alice@127.0.0.2:5099"]);
    assert_eq!(bench.changes(), ["Moved sip:alice@127.0.0.2:5099"]);
    let binding = &bench.out.changes.first().expect("a change").binding;
    assert_eq!(binding.flow, udp(5099));
    // Another device of the same person stays.
    bench.register_as("other", 1, &[PHONE]);
    assert_eq!(bench.bound().len(), 2);
}

#[test]
fn flows_with_different_reg_ids_stand_side_by_side() {
    let mut bench = Bench::new();
    let flow = |id: u32| {
        format!("Contact: <sip:alice@127.0.0.2>;+sip.instance=\"<urn:uuid:1>\";reg-id={id}")
    };
    bench.register_as("one", 1, &[&flow(1)]);
    bench.register_as("two", 1, &[&flow(2)]);
    assert_eq!(bench.registrar.len(), 2);
    bench.register_as("three", 1, &[&flow(2)]);
    assert_eq!(bench.registrar.len(), 2);
}

#[test]
fn look_up_orders_by_q_and_then_newest_first() {
    let mut bench = Bench::new();
    bench.register(&["Contact: <sip:old@127.0.0.2>;q=0.5"]);
    bench.pass(1);
    bench.register(&["Contact: <sip:low@127.0.0.2>;q=0.1"]);
    bench.pass(1);
    bench.register(&["Contact: <sip:new@127.0.0.2>;q=0.5"]);
    bench.register(&["Contact: <sip:best@127.0.0.2>"]);
    assert_eq!(
        bench.bound(),
        [
            "sip:best@127.0.0.2",
            "sip:new@127.0.0.2",
            "sip:old@127.0.0.2",
            "sip:low@127.0.0.2"
        ]
    );
}

#[test]
fn bindings_expire_on_time_and_a_refresh_moves_the_time() {
    let mut bench = Bench::new();
    bench.register(&["Expires: 100", PHONE]);
    bench.pass(90);
    bench.register(&["Expires: 100", PHONE]);
    bench.pass(99);
    assert!(bench.registrar.due(bench.now).changes.is_empty());
    assert_eq!(bench.bound().len(), 1);
    assert_eq!(
        bench.registrar.next_deadline(),
        Some(bench.now.mono + Duration::from_secs(1))
    );
    bench.pass(1);
    assert!(bench.bound().is_empty(), "not even before it is swept");
    let changes: Vec<String> = bench
        .registrar
        .due(bench.now)
        .changes
        .iter()
        .map(change_line)
        .collect();
    assert_eq!(changes, ["Removed(Expired) sip:alice@127.0.0.2:5070"]);
    assert!(bench.registrar.is_empty());
    assert_eq!(bench.registrar.next_deadline(), None);
}

#[test]
fn shorter_refresh_expires_at_its_own_time() {
    let mut bench = Bench::new();
    bench.register(&[PHONE]);
    for _ in 0..100 {
        bench.register(&["Expires: 60", PHONE]);
        bench.register(&["Expires: 3600", PHONE]);
    }
    bench.register(&["Expires: 60", PHONE]);
    bench.pass(60);
    assert_eq!(bench.registrar.due(bench.now).changes.len(), 1);
    assert_eq!(bench.registrar.next_deadline(), None, "no timer stays");
}

#[test]
fn closed_connection_takes_its_bindings_with_it_and_no_others() {
    let mut bench = Bench::new();
    bench.flow = tcp(1);
    bench.register(&["Contact: <sip:one@127.0.0.2;transport=tcp>"]);
    bench.flow = tcp(2);
    bench.register(&["Contact: <sip:two@127.0.0.2;transport=tcp>"]);
    // The second device comes back on a third connection; the end of the second is then nothing to it.
    bench.flow = tcp(3);
    bench.register(&["Contact: <sip:two@127.0.0.2;transport=tcp>"]);
    assert!(
        bench
            .registrar
            .flow_closed(bench.now, ConnectionId(2))
            .is_empty()
    );
    let changes = bench.registrar.flow_closed(bench.now, ConnectionId(1));
    assert_eq!(
        changes.iter().map(change_line).collect::<Vec<_>>(),
        ["Removed(ConnectionClosed) sip:one@127.0.0.2;transport=tcp"]
    );
    assert_eq!(bench.bound(), ["sip:two@127.0.0.2;transport=tcp"]);
    assert_eq!(bench.registrar.by_connection.len(), 1);
}

#[test]
fn nat_is_seen_when_the_contact_names_another_place() {
    for (contact, flow, expected) in [
        ("<sip:a@127.0.0.2:5070>", udp(5070), false),
        ("<sip:a@127.0.0.2>", udp(5060), false),
        ("<sip:a@127.0.0.2:5071>", udp(5070), true),
        ("<sip:a@192.168.1.5:5070>", udp(5070), true),
        ("<sip:a@127.0.0.2:5060;transport=tcp>", tcp(1), false),
        ("<sip:a@10.0.0.9;transport=tcp>", tcp(1), true),
        ("<sip:a@phone.example>", udp(5070), false),
        ("<sip:a@x1y2.invalid;transport=ws>", udp(5070), true),
    ] {
        let mut bench = Bench::new();
        bench.flow = flow;
        bench.register(&[&format!("Contact: {contact}")]);
        let binding = &bench.out.changes.first().expect("bound").binding;
        assert_eq!(binding.behind_nat, expected, "{contact}");
    }
}

#[test]
fn health_is_kept_for_each_flow() {
    let mut bench = Bench::new();
    bench.register(&["Contact: <sip:old@127.0.0.2>"]);
    bench.flow = udp(5099);
    bench.register(&["Contact: <sip:new@127.0.0.2>"]);
    let until = bench.now.mono + Duration::from_secs(30);
    let aor = bench.aor.clone();
    bench.registrar.mark_unhealthy(&aor, udp(5070), until);
    let healthy = |bench: &Bench| -> Vec<String> {
        bench
            .registrar
            .lookup(bench.now, &bench.aor)
            .filter(|binding| bench.registrar.healthy(bench.now, binding))
            .map(|binding| binding.contact().to_owned())
            .collect()
    };
    assert_eq!(healthy(&bench), ["sip:new@127.0.0.2"]);
    bench.pass(30);
    assert_eq!(healthy(&bench).len(), 2, "not for ever");
    let recovered = bench.registrar.due(bench.now).recovered;
    assert_eq!(recovered, [bench.aor.clone()], "and somebody says so");
    let until = bench.now.mono + Duration::from_secs(30);
    let aor = bench.aor.clone();
    bench.registrar.mark_unhealthy(&aor, udp(5070), until);
    bench.flow = udp(5070);
    bench.register(&["Contact: <sip:old@127.0.0.2>"]);
    assert_eq!(healthy(&bench).len(), 2, "it spoke again");
    assert!(bench.out.healed);
    bench.pass(30);
    assert!(bench.registrar.due(bench.now).recovered.is_empty());
}

#[test]
fn restored_bindings_are_there_until_their_time() {
    let mut bench = Bench::new();
    bench.register(&["Expires: 100", PHONE]);
    let kept = bench.out.changes.first().expect("bound").clone();
    let mut fresh = registrar(Policy::default());
    fresh.restore(bench.now, kept.aor.clone(), kept.binding.clone());
    fresh.restore(bench.now, kept.aor.clone(), kept.binding.clone());
    assert_eq!(fresh.len(), 1);
    assert_eq!(fresh.all().count(), 1);
    bench.pass(100);
    assert_eq!(fresh.due(bench.now).changes.len(), 1);
    fresh.restore(bench.now, kept.aor, kept.binding);
    assert!(fresh.is_empty(), "its time is over");
}

#[test]
fn all_bindings_come_in_order_of_their_address() {
    let mut bench = Bench::new();
    for user in ["carol", "alice", "bob"] {
        bench.aor = AddressOfRecord::new(user, "example.com");
        bench.register(&[PHONE]);
    }
    let all: Vec<&str> = bench.registrar.all().map(|(aor, _)| aor.user()).collect();
    assert_eq!(all, ["alice", "bob", "carol"]);
}

#[test]
fn operator_removes_a_binding() {
    let mut bench = Bench::new();
    bench.register(&[PHONE]);
    let aor = bench.aor.clone();
    let removed = bench
        .registrar
        .remove_contact(&aor, "sip:alice@127.0.0.2:5070", None)
        .expect("it was there");
    assert_eq!(removed.change, Change::Removed(RemovalReason::Operator));
    assert!(bench.registrar.is_empty());
}

#[test]
fn binding_and_index_stay_under_the_memory_promise() {
    // 1,000 bytes for each registered telephone, the texts included, which lie in one allocation.
    let fixed = size_of::<Entry>()
        + size_of::<AddressOfRecord>()
        + size_of::<Keys>()
        + size_of::<Key<Entry>>()
        + 32; // its timer
    assert!(fixed <= 344, "{fixed}");
}
