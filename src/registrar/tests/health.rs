//! Health of flows and NAT pings: when they are sent, spread, and what silence means.

use super::*;

const NATTED: &str = "Contact: <sip:alice@192.168.1.5:5060>";

fn policy() -> Policy {
    Policy {
        qualify: Some(Duration::from_secs(60)),
        nat_ping: Some(Duration::from_secs(25)),
        ..Policy::default()
    }
}

impl Bench {
    /// Lets a time pass and returns the pings in it, each with the second of its sending.
    fn pings(&mut self, seconds: u64) -> Vec<(u64, Ping)> {
        let begin = self.now.mono;
        let end = begin + Duration::from_secs(seconds);
        let mut pings = Vec::new();
        while let Some(at) = self.registrar.next_deadline().filter(|at| *at <= end) {
            self.now.mono = at;
            let due = self.registrar.due(self.now);
            let second = at.since(begin).as_secs();
            pings.extend(due.pings.into_iter().map(|ping| (second, ping)));
        }
        self.now.mono = end;
        pings
    }

    /// The next question; what comes of it.
    fn ask(&mut self, answered: bool) -> Option<HealthChange> {
        loop {
            for (_, ping) in self.pings(1) {
                if let Ping::Ask { ticket, .. } = ping {
                    return match answered {
                        true => self.registrar.answered(ticket),
                        false => self.registrar.silent(ticket),
                    };
                }
            }
        }
    }

    fn rings(&self) -> bool {
        !self.registrar.targets(self.now, &self.aor).is_empty()
    }
}

#[test]
fn two_silences_of_a_device_that_answered_keep_it_from_being_rung_and_one_answer_heals() {
    let mut bench = Bench::with(policy());
    bench.register(&[PHONE]);
    assert_eq!(bench.ask(true), None);
    assert_eq!(bench.ask(false), None);
    assert!(bench.rings(), "one silence is nothing");
    let change = bench.ask(false).expect("it is dead now");
    assert!(!change.alive && &*change.contact == "sip:alice@127.0.0.2:5070");
    assert!(!bench.rings());
    assert_eq!(bench.registrar.len(), 1, "it stays registered");
    assert_eq!(bench.registrar.unhealthy_len(bench.now), 1);
    assert_eq!(bench.ask(false), None, "said once");
    assert!(bench.ask(true).expect("alive again").alive);
    assert!(bench.rings());
    bench.ask(false);
    bench.ask(false);
    assert!(!bench.rings());
    bench.register(&[PHONE]);
    assert!(bench.rings(), "it registered: it is there");
    let revived = bench.out.revived.as_ref();
    assert!(revived.is_some_and(|change| change.alive));
    assert_eq!(bench.registrar.unhealthy_len(bench.now), 0);
}

#[test]
fn silence_of_a_device_that_never_answered_is_not_held_against_it() {
    let mut bench = Bench::with(policy());
    bench.register(&["Expires: 3600", PHONE]);
    for _ in 0..3 {
        assert_eq!(bench.ask(false), None);
    }
    assert!(bench.rings());
    let asked = bench.pings(1_000).len();
    assert!(asked <= 3, "{asked}: asked more seldom now");
}

#[test]
fn question_under_way_is_not_asked_again() {
    let mut bench = Bench::with(policy());
    bench.register(&["Expires: 3600", PHONE]);
    assert_eq!(bench.pings(600).len(), 1);
}

#[test]
fn mapping_behind_a_nat_never_rests_for_thirty_seconds() {
    let mut bench = Bench::with(policy());
    bench.register(&["Expires: 3600", NATTED]);
    let mut last = 0;
    let (mut asked, mut kept) = (0, 0);
    for second in 0..3_000 {
        for (_, ping) in bench.pings(1) {
            assert!(second - last < 30, "{last} to {second}");
            last = second;
            match ping {
                Ping::Ask { ticket, way, .. } => {
                    asked += 1;
                    assert_eq!(way.flow, udp(5070));
                    bench.registrar.answered(ticket);
                }
                Ping::Keep(_) => kept += 1,
            }
        }
    }
    assert!(asked > 100 && kept == 0, "{asked} {kept}");
    // A telephone that answers nothing gets an empty line instead, as often.
    bench.register_as("other", 1, &["Contact: *", "Expires: 0"]);
    bench.register(&["Expires: 3600", NATTED]);
    for _ in 0..3 {
        bench.ask(false);
    }
    let pings = bench.pings(100);
    assert!(pings.len() >= 4);
    assert!(pings.iter().all(|(_, ping)| *ping == Ping::Keep(udp(5070))));
}

#[test]
fn pings_of_ten_thousand_telephones_are_spread() {
    let mut bench = Bench::with(policy());
    for n in 0..10_000 {
        bench.aor = AddressOfRecord::new(&format!("u{n}"), "example.com");
        bench.register(&["Expires: 3600", NATTED]);
    }
    let mut per_second = vec![0; 300];
    for second in &mut per_second {
        for (_, ping) in bench.pings(1) {
            *second += 1;
            if let Ping::Ask { ticket, .. } = ping {
                bench.registrar.answered(ticket);
            }
        }
    }
    // 10,000 in 22.5 s on the average is 444 a second.
    let most = per_second.iter().max().expect("seconds");
    assert!(*most < 900, "{most} in one second");
}

#[test]
fn without_a_policy_nobody_is_asked() {
    let mut bench = Bench::new();
    bench.register(&["Expires: 3600", NATTED]);
    assert!(bench.pings(3_000).is_empty());
    // A reload that wants it begins with those that are there.
    bench
        .registrar
        .configure(bench.now, vec![Arc::new(policy())]);
    assert_eq!(bench.pings(26).len(), 1);
}

#[test]
fn stale_ticket_is_nobodys() {
    let mut bench = Bench::with(policy());
    bench.register(&[PHONE]);
    let Some((_, Ping::Ask { ticket, .. })) = bench.pings(60).pop() else {
        panic!("a question");
    };
    bench.register(&[PHONE, "Expires: 0"]);
    bench.register(&[PHONE]);
    assert_eq!(bench.registrar.answered(ticket), None);
    assert_eq!(bench.registrar.silent(ticket), None);
}
