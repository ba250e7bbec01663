//! Outbound: flows of one device, first hops that know it or not, devices that come back.

use super::*;
use crate::sip::Name;

const VIA_PROXY: &str = "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKp";

fn flow_line(reg_id: u32) -> String {
    format!(
        "Contact: <sip:alice@127.0.0.2;transport=tcp>;+sip.instance=\"<urn:uuid:1>\";reg-id={reg_id}"
    )
}

#[test]
fn outbound_is_required_and_timed_only_when_it_is_used() {
    let mut bench = Bench::new();
    let first = flow_line(1);
    let answer = bench.answer(&[&first, "Supported: outbound, path"]);
    assert!(answer.has_option_tag(Name::Require, "outbound"));
    assert_eq!(answer.header(Name::FlowTimer), Some(&b"120"[..]));
    assert!(bench.out.changes[0].binding.outbound);
    for lines in [
        &[&first[..]][..],
        &[PHONE, "Supported: outbound"],
        &[&first, "Supported: path"],
    ] {
        let answer = bench.answer(lines);
        assert_eq!(answer.status(), Some(StatusCode::OK), "{lines:?}");
        assert_eq!(answer.header(Name::Require), None, "{lines:?}");
        assert_eq!(answer.header(Name::FlowTimer), None);
    }
}

#[test]
fn first_hop_without_outbound_is_told_so() {
    let policy = Policy {
        path: PathFrom::Anybody,
        ..Policy::default()
    };
    let first = flow_line(1);
    let plain = "Path: <sip:edge.example;lr>";
    // The proxy that the device reached first wrote the last of the list.
    let knows = "Path: <sip:inner.example;lr>, <sip:edge.example;lr;ob>";
    let inner = "Path: <sip:inner.example;lr;ob>, <sip:edge.example;lr>";
    for (path, status) in [(plain, 439), (inner, 439), (knows, 200)] {
        let mut bench = Bench::with(policy.clone());
        let lines = [VIA_PROXY, &first, "Supported: outbound, path", path];
        assert_eq!(bench.register(&lines), status, "{path}");
        assert_eq!(bench.registrar.len(), usize::from(status == 200));
    }
    // Who does not count its flows, or leaves, is not held up.
    let mut bench = Bench::with(policy);
    assert_eq!(
        bench.register(&[VIA_PROXY, PHONE, "Supported: outbound", plain]),
        200
    );
    assert_eq!(
        bench.register(&[
            VIA_PROXY,
            &first,
            "Expires: 0",
            "Supported: outbound",
            plain
        ]),
        200
    );
}

#[test]
fn reg_id_without_an_instance_counts_nothing() {
    let mut bench = Bench::new();
    bench.register(&["Contact: <sip:a@127.0.0.2>;reg-id=1", "Supported: outbound"]);
    let binding = &bench.out.changes[0].binding;
    assert_eq!(binding.reg_id, None);
    assert!(!binding.outbound);
}

#[test]
fn several_flows_of_a_device_are_one_target_newest_first() {
    let mut bench = Bench::new();
    bench.flow = tcp(1);
    bench.register_as("one", 1, &[&flow_line(1)]);
    bench.pass(1);
    bench.flow = tcp(2);
    bench.register_as("two", 1, &[&flow_line(2)]);
    bench.pass(1);
    bench.flow = udp(5070);
    bench.register_as("other", 1, &[PHONE]);
    let shown = |bench: &Bench| -> Vec<Vec<Option<u64>>> {
        let targets = bench.registrar.targets(bench.now, &bench.aor);
        let flows = |target: &Target<'_>| -> Vec<Option<u64>> {
            let flows = target.iter().map(|binding| binding.flow.connection);
            flows.map(|id| id.map(|id| id.0)).collect()
        };
        targets.iter().map(flows).collect()
    };
    assert_eq!(shown(&bench), [vec![None], vec![Some(2), Some(1)]]);
    // The older flow is refreshed: now it is the newest.
    bench.flow = tcp(1);
    bench.pass(1);
    bench.register_as("one", 2, &[&flow_line(1)]);
    assert_eq!(shown(&bench), [vec![None], vec![Some(1), Some(2)]]);
    // A dead flow is left out; a device without another is.
    let until = bench.now.mono + Duration::from_secs(30);
    let aor = bench.aor.clone();
    bench.registrar.mark_unhealthy(&aor, tcp(1), until);
    let aor = bench.aor.clone();
    bench.registrar.mark_unhealthy(&aor, udp(5070), until);
    assert_eq!(shown(&bench), [vec![Some(2)]]);
    assert_eq!(bench.registrar.unhealthy_len(bench.now), 2);
}

#[test]
fn another_flow_of_the_device_inherits_a_closed_one() {
    let mut bench = Bench::new();
    bench.flow = tcp(1);
    bench.register_as("one", 1, &[&flow_line(1)]);
    bench.flow = tcp(2);
    bench.register_as("two", 1, &[&flow_line(2)]);
    let gone = bench.registrar.flow_closed(bench.now, ConnectionId(1));
    let gone = &gone.first().expect("one binding").binding;
    let heir = bench.registrar.heir(bench.now, &bench.aor, gone);
    assert_eq!(heir.map(|binding| binding.flow), Some(tcp(2)));
    let gone = bench.registrar.flow_closed(bench.now, ConnectionId(2));
    let gone = &gone.first().expect("one binding").binding;
    assert_eq!(bench.registrar.heir(bench.now, &bench.aor, gone), None);
}

#[test]
fn device_is_known_again_on_another_connection() {
    let device = |contact: &str, flow: Flow| {
        let mut bench = Bench::new();
        bench.flow = flow;
        bench.register(&[contact]);
        bench.out.changes[0].binding.device()
    };
    let one = "Contact: <sip:a@10.0.0.5:40001;transport=tcp>";
    let again = "Contact: <sip:a@10.0.0.5:40777;transport=tcp>";
    let other = "Contact: <sip:a@10.0.0.6:40001;transport=tcp>";
    assert_eq!(device(one, tcp(1)), device(again, tcp(2)));
    assert_ne!(device(one, tcp(1)), device(other, tcp(2)));
    assert_ne!(
        device(one, udp(40001)),
        device(again, udp(40777)),
        "over UDP the port is the device's own"
    );
    let named = |host: &str| {
        format!("Contact: <sip:a@{host};transport=tcp>;+sip.instance=\"<urn:uuid:7>\"")
    };
    assert_eq!(
        device(&named("10.0.0.5"), tcp(1)),
        device(&named("192.0.2.7"), udp(9)),
        "an instance is one device wherever it is"
    );
}
