//! Which refreshes the journal need not hear of, because it holds the binding as it is and for long enough.

use super::*;

const MINUTE: [&str; 2] = [PHONE, "Expires: 60"];

/// Sends a REGISTER a second later; true when its only change is held by the journal.
fn kept(bench: &mut Bench, lines: &[&str]) -> bool {
    bench.pass(1);
    assert_eq!(bench.register(lines), 200, "{lines:?}");
    only(bench)
}

fn only(bench: &Bench) -> bool {
    assert_eq!(bench.out.changes.len(), 1);
    bench.out.changes[0].kept
}

fn held(bench: &Bench) -> Duration {
    let binding = bench.registrar.lookup(bench.now, &bench.aor).next();
    binding.expect("a binding").kept_until.since(bench.now.wall)
}

#[test]
fn refresh_is_held_until_half_of_the_granted_time_is_used_up() {
    for (grant, slack) in [(60, 30), (600, 300), (7_200, 1_800)] {
        let mut bench = Bench::with(Policy {
            expires_max: Duration::from_secs(7_200),
            ..Policy::default()
        });
        let expires = format!("Expires: {grant}");
        let lines = [PHONE, &expires];
        bench.register(&lines);
        assert!(!only(&bench), "it is new");
        assert_eq!(held(&bench).as_secs(), grant + slack);
        assert!(kept(&mut bench, &lines));
        bench.pass(slack - 2);
        assert!(kept(&mut bench, &lines), "to the last second");
        assert_eq!(held(&bench).as_secs(), grant);
        assert!(!kept(&mut bench, &lines), "and no longer");
        assert_eq!(held(&bench).as_secs(), grant + slack);
        assert!(kept(&mut bench, &lines));
        let binding = bench.registrar.lookup(bench.now, &bench.aor).next();
        let ends = binding.expect("a binding").expires_at;
        assert_eq!(ends.since(bench.now.mono).as_secs(), grant, "the true time");
    }
}

#[test]
fn what_else_changes_is_written_at_once() {
    let device = "Contact: <sip:alice@127.0.0.2:5070>;+sip.instance=\"<urn:uuid:1>\"";
    let plain = [device, "Expires: 60"];
    let contact = device.replace("alice@", "other@");
    let with = |more: &str| format!("{device}{more}");
    let (q, flow) = (with(";q=0.3"), with(";reg-id=1"));
    let variants: [&[&str]; 8] = [
        &[&contact],
        &[PHONE], // no instance
        &[&q],
        &[&flow],
        &[&flow, "Supported: outbound"],
        &[device, "User-Agent: Other/2"],
        &[device, "Path: <sip:edge.example;lr>"],
        &[device, "Supported: gruu"],
    ];
    for variant in variants {
        let mut bench = Bench::with(Policy {
            path: PathFrom::Anybody,
            ..Policy::default()
        });
        bench.register(&plain);
        assert!(kept(&mut bench, &plain));
        let mut lines = variant.to_vec();
        lines.push("Expires: 60");
        assert!(!kept(&mut bench, &lines), "{variant:?}");
        assert_eq!(bench.registrar.len(), 1, "{variant:?} is no other device");
        assert!(kept(&mut bench, &lines), "{variant:?} again");
        assert!(!kept(&mut bench, &plain), "and back from {variant:?}");
    }
}

#[test]
fn another_flow_call_id_or_nat_is_written_at_once() {
    let mut bench = Bench::new();
    bench.register(&MINUTE);
    bench.flow = udp(5071);
    assert!(!kept(&mut bench, &MINUTE));
    assert!(kept(&mut bench, &MINUTE));
    bench.pass(1);
    bench.register_as("call-2", 1, &MINUTE);
    assert!(!only(&bench));
    bench.pass(1);
    bench.register_as("call-2", 2, &MINUTE);
    assert!(only(&bench));
    let never = Policy {
        nat: Nat::Never,
        ..Policy::default()
    };
    bench.registrar.configure(bench.now, vec![Arc::new(never)]);
    bench.pass(1);
    bench.register_as("call-2", 3, &MINUTE);
    assert!(!only(&bench), "it is behind a NAT no more");
}

#[test]
fn time_that_the_journal_holds_for_much_too_long_is_written() {
    let mut bench = Bench::new();
    bench.register(&[PHONE, "Expires: 3600"]);
    assert!(!kept(&mut bench, &MINUTE), "a shorter grant");
    assert_eq!(held(&bench).as_secs(), 90);
    bench.now.wall = WallTime::from_micros(bench.now.wall.as_micros() - 3_600_000_000);
    assert!(!kept(&mut bench, &MINUTE), "the wall clock went back");
    assert_eq!(held(&bench).as_secs(), 90);
    bench.now.wall = bench.now.wall + Duration::from_secs(3_600);
    assert!(!kept(&mut bench, &MINUTE), "the wall clock went forth");
    assert_eq!(held(&bench).as_secs(), 90);
}

#[test]
fn what_was_written_in_the_same_instant_does_not_count() {
    let mut bench = Bench::new();
    bench.register(&MINUTE);
    bench.register(&MINUTE);
    assert!(!only(&bench), "the write of their batch may fail");
    assert!(kept(&mut bench, &MINUTE));
}

#[test]
fn records_in_doubt_are_written_with_the_next_refresh() {
    let mut bench = Bench::new();
    bench.register(&MINUTE);
    bench.registrar.distrust_records();
    assert!(!kept(&mut bench, &MINUTE));
    assert!(kept(&mut bench, &MINUTE));
}

#[test]
fn new_life_of_a_device_is_written_with_each_of_its_flows() {
    let flow = |reg_id: u32| {
        format!(
            "Contact: <sip:alice@127.0.0.2:5070>;+sip.instance=\"<urn:uuid:1>\";reg-id={reg_id}"
        )
    };
    let (one, two) = (flow(1), flow(2));
    let mut bench = Bench::new();
    let lines = |flow| [flow, "Supported: gruu, outbound", "Expires: 60"];
    bench.register(&lines(&one));
    assert!(!kept(&mut bench, &lines(&two)));
    assert!(kept(&mut bench, &lines(&one)));
    bench.pass(1);
    bench.register_as("call-2", 1, &lines(&one));
    assert!(!only(&bench), "a new life");
    assert!(!kept(&mut bench, &lines(&two)), "of its other flow too");
    assert!(kept(&mut bench, &lines(&two)));
}

#[test]
fn later_record_that_ran_out_ends_an_earlier_one_that_did_not() {
    let mut bench = Bench::new();
    let texts = Texts {
        contact: "sip:alice@127.0.0.2:5070",
        ..Texts::default()
    };
    let until = |seconds| {
        let at = Instant::ZERO + Duration::from_secs(seconds);
        Binding::new(texts, udp(5070), at)
    };
    let aor = bench.aor.clone();
    bench
        .registrar
        .restore(bench.now, aor.clone(), until(2_000));
    assert_eq!(bench.registrar.len(), 1);
    bench.registrar.restore(bench.now, aor, until(900));
    assert_eq!(bench.registrar.len(), 0);
}
