//! Phones that call each other without any server: the world and its peers, proved before the core comes in.

use super::*;
use crate::sim::actors::{Answer, CallPlan, HoldDialect, Phone, PhoneSettings};
use crate::sim::ladder::Ladder;
use crate::sim::node::{NodeEffect, Residue};

/// A server that only takes what comes; phones of these tests call each other directly.
struct Nobody;

impl Node for Nobody {
    fn handle(&mut self, _: Now, _: NodeInput, _: &mut Vec<NodeEffect>) {}
    fn next_deadline(&mut self) -> Option<Instant> {
        None
    }
    fn residue(&mut self) -> Residue {
        Residue::default()
    }
    fn bindings(&mut self, _: Now) -> Vec<(String, String)> {
        Vec::new()
    }
    fn break_rule(&mut self, _: &str) -> bool {
        false
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn two_phones(seed: u64, link: Link, answer: Answer, plan: CallPlan) -> World {
    let server = address("192.0.2.1:5060");
    let mut world = World::new(seed, vec![server], Box::new(|_, _| Box::new(Nobody)));
    let (a, b) = (address("10.0.0.1:5060"), address("10.0.0.2:5060"));
    let caller = PhoneSettings::new("1001", a, b);
    let callee = PhoneSettings {
        answer,
        ..PhoneSettings::new("1002", b, a)
    };
    let caller = world.add(Box::new(Phone::new(caller)), link.clone());
    world.add(Box::new(Phone::new(callee)), link);
    world.boot();
    world.order_after(
        Duration::from_millis(10),
        caller,
        Order::Call("1002".into(), plan),
    );
    world.run_for(Duration::from_secs(300));
    world
}

fn answered() -> (Answer, CallPlan) {
    let answer = Answer::After {
        ring: Duration::from_secs(2),
        talk: None,
    };
    let plan = CallPlan {
        talk: Some(Duration::from_secs(5)),
        hold: Some((
            Duration::from_secs(1),
            HoldDialect::SendOnly,
            Duration::from_secs(2),
        )),
        ..CallPlan::default()
    };
    (answer, plan)
}

#[test]
fn two_phones_talk_hold_and_hang_up_without_any_server() {
    let (answer, plan) = answered();
    let world = two_phones(1, Link::perfect(Duration::from_millis(5)), answer, plan);
    assert_eq!(world.unfinished(), Vec::<String>::new());
    let sent: Vec<String> = world
        .trace()
        .entries()
        .iter()
        .filter_map(|(_, h)| match h {
            Happening::PeerSent { bytes, .. } => String::from_utf8_lossy(bytes)
                .lines()
                .next()
                .map(str::to_string),
            _ => None,
        })
        .map(|l| l.replace(" SIP/2.0", "").replace("SIP/2.0 ", ""))
        .map(|l| l.split(' ').next().unwrap_or("").to_string())
        .collect();
    // The 180 stops the INVITE's repetition; each offer has its 200 and ACK.
    assert_eq!(
        sent.join(" "),
        "INVITE 180 200 ACK INVITE 200 ACK INVITE 200 ACK BYE 200"
    );
}

#[test]
fn phones_survive_a_bad_network_and_the_same_seed_gives_the_same_trace() {
    let bad = Link {
        latency_min: Duration::from_millis(5),
        latency_max: Duration::from_millis(120),
        loss_permille: 150,
        duplicate_permille: 100,
        down_until: Instant::ZERO,
    };
    let mut hashes = Vec::new();
    for seed in 0..60 {
        let (answer, plan) = answered();
        let world = two_phones(seed, bad.clone(), answer.clone(), plan.clone());
        assert_eq!(world.unfinished(), Vec::<String>::new(), "seed {seed}");
        let again = two_phones(seed, bad.clone(), answer, plan);
        assert_eq!(world.trace().hash(), again.trace().hash(), "seed {seed}");
        hashes.push(world.trace().hash());
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert!(hashes.len() > 55, "different seeds give different worlds");
}

#[test]
fn impatient_caller_cancels_and_both_sides_end() {
    let plan = CallPlan {
        patience: Some(Duration::from_secs(3)),
        ..CallPlan::default()
    };
    let link = Link::perfect(Duration::from_millis(5));
    let world = two_phones(1, link, Answer::Never, plan);
    assert_eq!(world.unfinished(), Vec::<String>::new());
    let names = world.names();
    let ladder = Ladder {
        from: Instant::ZERO,
        until: world.now().mono,
        columns: &["1001", "strowger", "1002"],
        names: &names,
        media: false,
        facts: false,
    };
    // Direct messages are drawn towards the server's column; what counts here is that they are all there.
    let drawn = ladder.draw(world.trace());
    for expected in ["CANCEL 1", "487 Request Terminated (1 INVITE)", "ACK 1"] {
        assert!(drawn.contains(expected), "{expected} in\n{drawn}");
    }
}

#[test]
fn bad_files_that_nobody_refuses_are_named_unless_the_server_died_of_that_moment() {
    let server = address("192.0.2.1:5060");
    let complaints = |doomed: Option<CrashPoint>| {
        let mut world = World::new(1, vec![server], Box::new(|_, _| Box::new(Nobody)));
        world.boot();
        world.doomed = doomed.map(|point| (point, Duration::from_secs(1)));
        world.reload(Vec::new(), false);
        world.complaints()
    };
    assert_eq!(complaints(None), ["files that are bad were taken"]);
    for point in [CrashPoint::BeforeWrite, CrashPoint::AfterWrite] {
        assert!(complaints(Some(point)).is_empty(), "{point:?}");
    }
}
