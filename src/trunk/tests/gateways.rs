//! Gateways: health, order, names that change.

use super::*;

fn pinging(hosts: &[&str]) -> Settings {
    Settings {
        options_ping: Some(secs(30)),
        ..settings(hosts)
    }
}

#[test]
fn every_gateway_is_asked_and_the_one_that_is_silent_comes_last() {
    let mut bench = Bench::new(pinging(&["sip:192.0.2.1", "sip:192.0.2.2"]));
    bench.pass(secs(1));
    let asks = bench.asks();
    assert_eq!(asks.len(), 2);
    bench.answer(&asks[1], 404, &[]);
    bench.pass(secs(5));
    let facts = bench.facts();
    assert!(
        matches!(&facts[..], [TrunkFact::Up { .. }, TrunkFact::GatewayDown { gateway, .. }] if gateway.contains("192.0.2.1")),
        "{facts:?}"
    );
    assert_eq!(bench.addresses(), ["192.0.2.2", "192.0.2.1"]);
    assert!(bench.trunks.ways(bench.now, "acme")[1].last_resort);
    bench.pass(secs(25));
    for ask in bench.asks() {
        bench.answer(&ask, 200, &[]);
    }
    assert!(matches!(
        bench.facts().as_slice(),
        [TrunkFact::GatewayUp { .. }]
    ));
    assert_eq!(bench.addresses(), ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn a_trunk_is_down_when_all_its_gateways_are_and_says_it_once() {
    let mut bench = Bench::new(pinging(&["sip:192.0.2.1", "sip:192.0.2.2"]));
    bench.pass(secs(200));
    let down = |fact: &TrunkFact| matches!(fact, TrunkFact::Down { .. });
    assert_eq!(bench.facts().iter().filter(|fact| down(fact)).count(), 1);
    assert_eq!(bench.trunks.show(bench.now)[0].state, "down");
    assert!(bench.trunks.is_down("acme"));
}

fn refuses(bench: &mut Bench, address: &str, status: u16, headers: &[(Name, &str)]) {
    let ask = Ask {
        ticket: 0,
        trunk: "acme".into(),
        profile: "external".into(),
        transport: Transport::Udp,
        remote: address.parse().expect("address"),
        what: Asked::Options {
            uri: "sip:x".into(),
        },
    };
    let response = response(&ask, status, headers);
    bench
        .trunks
        .call_answered(bench.now, "acme", ask.remote, &response, &mut bench.out);
}

#[test]
fn five_failures_in_half_a_minute_leave_a_gateway_alone_until_one_call_finds_it_well() {
    let mut bench = Bench::new(settings(&["sip:192.0.2.1", "sip:192.0.2.2"]));
    for _ in 0..4 {
        refuses(&mut bench, "192.0.2.1:5060", 500, &[]);
    }
    assert_eq!(bench.addresses(), ["192.0.2.1", "192.0.2.2"]);
    refuses(&mut bench, "192.0.2.1:5060", 500, &[]);
    assert_eq!(bench.addresses(), ["192.0.2.2"]);
    bench.pass(secs(30));
    assert_eq!(bench.addresses(), ["192.0.2.2", "192.0.2.1"]);
    let first = "192.0.2.1:5060".parse().expect("address");
    bench.trunks.call_sent(bench.now, "acme", first);
    assert_eq!(bench.addresses(), ["192.0.2.2"], "one call tries it");
    refuses(&mut bench, "192.0.2.1:5060", 486, &[]);
    assert_eq!(
        bench.addresses(),
        ["192.0.2.1", "192.0.2.2"],
        "what the called person says is a sign of health"
    );
}

#[test]
fn a_gateway_that_names_a_time_is_left_alone_so_long() {
    let mut bench = Bench::new(settings(&["sip:192.0.2.1", "sip:192.0.2.2"]));
    refuses(
        &mut bench,
        "192.0.2.1:5060",
        503,
        &[(Name::RetryAfter, "120")],
    );
    bench.pass(secs(119));
    assert_eq!(bench.addresses(), ["192.0.2.2"]);
    bench.pass(secs(1));
    assert_eq!(bench.addresses(), ["192.0.2.2", "192.0.2.1"]);
}

#[test]
fn a_single_silent_gateway_is_still_the_last_resort() {
    let mut bench = Bench::new(settings(&["sip:192.0.2.1"]));
    let first = "192.0.2.1:5060".parse().expect("address");
    bench
        .trunks
        .call_lost(bench.now, "acme", first, &mut bench.out);
    assert_eq!(bench.trunks.show(bench.now)[0].state, "down");
    assert_eq!(bench.addresses(), ["192.0.2.1"]);
    // a call that goes through all the same closes it, and says so
    refuses(&mut bench, "192.0.2.1:5060", 180, &[]);
    let facts = bench.facts();
    assert!(
        matches!(
            facts.as_slice(),
            [TrunkFact::Down { .. }, TrunkFact::Up { .. }]
        ),
        "{facts:?}"
    );
}

fn located(ip: [u8; 4], priority: u32, weight: u16) -> Located {
    Located {
        transport: Transport::Udp,
        address: SocketAddr::from((ip, 5060)),
        priority,
        weight,
    }
}

impl Bench {
    fn queries(&mut self) -> Vec<u64> {
        let mut queries = Vec::new();
        self.out.retain(|output| match output {
            Output::Resolve { query, .. } => {
                queries.push(*query);
                false
            }
            _ => true,
        });
        queries
    }

    fn locate(&mut self, places: &[Located], ttl: u64) {
        let queries = self.queries();
        assert_eq!(queries.len(), 1);
        self.trunks.located(
            self.now,
            queries[0],
            places.to_vec(),
            secs(ttl),
            &mut self.out,
        );
        self.trunks.on_time(self.now, &mut self.out);
    }
}

#[test]
fn calls_are_shared_by_weight_and_fall_to_the_next_priority() {
    let mut bench = Bench::new(settings(&["sip:carrier.example"]));
    let places = [
        located([192, 0, 2, 1], 10, 75),
        located([192, 0, 2, 2], 10, 25),
        located([192, 0, 2, 3], 20, 0),
    ];
    bench.locate(&places, 3600);
    let mut heavy = 0;
    for _ in 0..1000 {
        let list = bench.addresses();
        assert_eq!(list.len(), 3);
        assert_eq!(list[2], "192.0.2.3");
        heavy += u32::from(list[0] == "192.0.2.1");
    }
    assert!((700..800).contains(&heavy), "{heavy}");
}

#[test]
fn names_are_looked_up_again_when_their_time_is_over_and_a_dead_resolver_changes_nothing() {
    let mut bench = Bench::new(settings(&["sip:carrier.example"]));
    bench.locate(&[located([192, 0, 2, 1], 0, 0)], 120);
    let first = "192.0.2.1:5060".parse().expect("address");
    bench
        .trunks
        .call_lost(bench.now, "acme", first, &mut bench.out);
    bench.pass(secs(119));
    assert!(bench.queries().is_empty());
    bench.pass(secs(1));
    bench.locate(
        &[located([192, 0, 2, 1], 0, 0), located([192, 0, 2, 2], 0, 0)],
        0,
    );
    assert_eq!(bench.addresses().len(), 2);
    bench.pass(secs(30));
    bench.locate(&[], 0);
    assert_eq!(bench.addresses().len(), 2, "what was known stays");
    bench.pass(secs(30));
    assert_eq!(bench.queries().len(), 1);
}

#[test]
fn a_registration_waits_for_the_name_and_begins_when_it_is_found() {
    let mut bench = Bench::new(registering(&["sip:carrier.example"]));
    assert!(bench.registers().is_empty());
    bench.locate(&[], 0);
    assert_eq!(bench.state().0, "unregistered");
    assert!(bench.registers().is_empty());
    bench.pass(secs(30));
    bench.locate(&[located([192, 0, 2, 7], 0, 0)], 60);
    let (ask, _) = bench.register();
    assert_eq!(ask.remote.ip().to_string(), "192.0.2.7");
}

#[test]
fn a_registrar_of_its_own_takes_no_calls() {
    let mut settings = registering(&["sip:192.0.2.1"]);
    if let Some(register) = &mut settings.register {
        register.registrar = Some(host("sip:192.0.2.50"));
    }
    let mut bench = Bench::new(settings);
    let (ask, _) = bench.register();
    assert_eq!(ask.remote.ip().to_string(), "192.0.2.50");
    bench.answer(&ask, 200, &[CONTACT]);
    assert_eq!(bench.addresses(), ["192.0.2.1"]);
}

#[test]
fn calls_go_first_where_we_are_registered() {
    let mut bench = Bench::new(registering(&["sip:192.0.2.1", "sip:192.0.2.2"]));
    bench.register();
    bench.pass(secs(8));
    let (ask, _) = bench.register();
    bench.answer(&ask, 200, &[CONTACT]);
    assert_eq!(bench.addresses(), ["192.0.2.2", "192.0.2.1"]);
}
