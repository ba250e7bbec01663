//! Rules of acd.toml §6 and §7: static keys, head start, fairness over queues, levels and delays, skills that are skipped.

use super::*;

/// Serves everybody with one agent, who takes each call for a second; the order of service.
fn serve(floor: &mut Floor, agent: &str) -> Vec<u64> {
    let mut served = Vec::new();
    while let Some(of) = floor.agent(agent).item {
        floor.connect(agent);
        floor.wait(secs(1));
        let n = u64::try_from(of.0).expect("a small number");
        served.push(n);
        floor.hang_up(n, agent);
    }
    served
}

fn no_wrap(name: &str, agents: &[&str]) -> QueueSettings {
    QueueSettings {
        wrap_up: Duration::ZERO,
        ..queue(name, agents)
    }
}

#[test]
fn thirteen_callers_and_one_agent_are_served_in_key_order() {
    let mut floor = Floor::new(vec![no_wrap("q", &["1"])]);
    for n in 1..=13 {
        floor.enter(n, "q");
        floor.wait(secs(1));
    }
    floor.staff("1");
    assert_eq!(serve(&mut floor, "1"), (1..=13).collect::<Vec<_>>());
}

#[test]
fn two_queues_are_served_oldest_first_over_both() {
    let mut floor = Floor::new(vec![no_wrap("a", &["1"]), no_wrap("b", &["1"])]);
    for n in 1..=20 {
        floor.enter(n, if n % 3 == 0 { "a" } else { "b" });
        floor.wait(Duration::from_millis(10));
    }
    floor.staff("1");
    assert_eq!(serve(&mut floor, "1"), (1..=20).collect::<Vec<_>>());
}

#[test]
fn priority_is_a_head_start_in_seconds() {
    let mut floor = Floor::new(vec![no_wrap("q", &["1"])]);
    floor.enter(1, "q");
    floor.wait(secs(50));
    floor.enter(2, "q");
    floor.wait(secs(10));
    floor.enter_with(3, "q", secs(30), 5, &[]);
    floor.enter_with(4, "q", Duration::ZERO, 0, &[]);
    floor.staff("1");
    assert_eq!(serve(&mut floor, "1"), [4, 1, 3, 2]);
}

#[test]
fn the_credit_of_a_queue_is_added() {
    let mut floor = Floor::new(vec![
        no_wrap("a", &["1"]),
        QueueSettings {
            credit: secs(60),
            ..no_wrap("gold", &["1"])
        },
    ]);
    floor.enter(1, "a");
    floor.wait(secs(59));
    floor.enter(2, "gold");
    floor.staff("1");
    assert_eq!(serve(&mut floor, "1"), [2, 1]);
}

#[test]
fn the_agents_level_of_a_queue_comes_before_age() {
    let mut second = no_wrap("second", &["1"]);
    second.agents[0].level = 2;
    let mut floor = Floor::new(vec![no_wrap("first", &["1"]), second]);
    floor.enter(1, "second");
    floor.wait(secs(100));
    floor.enter(2, "first");
    floor.staff("1");
    assert_eq!(serve(&mut floor, "1"), [2, 1]);
}

#[test]
fn a_failed_offer_keeps_the_place() {
    let mut floor = Floor::staffed(no_wrap("q", &["1"]));
    floor.enter(1, "q");
    floor.wait(secs(1));
    floor.enter(2, "q");
    let offer = floor.rings("1", 1);
    floor.ended(offer, OfferOutcome::Busy);
    floor.wait(secs(10));
    floor.rings("1", 1);
}

#[test]
fn arrival_is_kept_over_another_queue() {
    let mut floor = Floor::new(vec![no_wrap("a", &[]), no_wrap("b", &["1"])]);
    floor.enter(1, "a");
    floor.wait(secs(30));
    floor.enter(2, "b");
    floor.wait(secs(30));
    floor.send(AcdCommand::Withdraw {
        item: item(1),
        cause: Withdrawal::DialplanLeft("menu".into()),
    });
    floor.enter(1, "b");
    assert_eq!(floor.metrics("a").counters.flowed_out, 1);
    floor.staff("1");
    assert_eq!(serve(&mut floor, "1"), [1, 2]);
}

#[test]
fn entering_another_queue_moves_and_counts_a_flow_out() {
    let mut floor = Floor::new(vec![no_wrap("a", &["1"]), no_wrap("b", &["2"])]);
    floor.staff("1");
    floor.enter(1, "a");
    let offer = floor.rings("1", 1);
    floor.staff("2");
    let out = floor.enter(1, "b");
    assert_eq!(cancelled(&out), [(offer, CancelReason::Withdrawn)]);
    assert_eq!(offered(&out), ["2"]);
    let m = floor.metrics("a");
    assert_eq!(
        (m.counters.offered, m.counters.flowed_out, m.waiting),
        (1, 1, 0)
    );
}

#[test]
fn an_item_that_the_agent_cannot_serve_is_skipped_and_counted() {
    let mut floor = Floor::new(vec![no_wrap("q", &["1", "2"])]);
    let mut settings = floor.settings.clone();
    settings.agents[1].skills = vec![("german".into(), 8)];
    floor.configure(settings);
    floor.enter_with(1, "q", Duration::ZERO, 5, &[("german", 5)]);
    floor.wait(secs(1));
    floor.enter(2, "q");
    floor.staff("1");
    floor.rings("1", 2);
    assert_eq!(
        floor.acd.item(floor.now, item(1)).expect("waits").bypassed,
        1
    );
    assert_eq!(floor.metrics("q").counters.bypassed, 1);
    floor.staff("2");
    floor.rings("2", 1);
}

#[test]
fn a_new_skill_lets_a_free_agent_take_who_waits_for_it() {
    let mut floor = Floor::staffed(no_wrap("q", &["1"]));
    floor.enter_with(1, "q", Duration::ZERO, 5, &[("german", 5)]);
    assert!(floor.offer_of("1").is_none());
    let mut settings = floor.settings.clone();
    settings.agents[0].skills = vec![("german".into(), 5)];
    assert_eq!(offered(&floor.configure(settings)), ["1"]);
}

fn two_levels() -> QueueSettings {
    let mut q = no_wrap("q", &["1", "2"]);
    q.agents[1].level = 2;
    q.agents[1].delay = secs(10);
    q
}

#[test]
fn a_higher_level_gets_the_caller_only_after_its_delay() {
    let mut floor = Floor::staffed(two_levels());
    floor.not_ready("1", "lunch");
    floor.enter(1, "q");
    assert!(offered(&floor.wait(Duration::from_millis(9_999))).is_empty());
    assert_eq!(offered(&floor.wait(Duration::from_millis(1))), ["2"]);
}

#[test]
fn the_delay_is_skipped_when_nobody_of_a_lower_level_is_staffed() {
    let mut floor = Floor::new(vec![two_levels()]);
    floor.staff("2");
    assert_eq!(offered(&floor.enter(1, "q")), ["2"]);
    let mut floor = Floor::staffed(two_levels());
    floor.not_ready("1", "lunch");
    floor.enter(1, "q");
    let out = floor.send(AcdCommand::Logout { agent: "1".into() });
    assert_eq!(offered(&out), ["2"], "the last of the level leaves");
}

#[test]
fn the_oldest_gets_the_best_agent_when_several_become_free_at_once() {
    // 1 serves only b; 2 serves both and is idle longer. Both lose a broadcast in the same step.
    let all = QueueSettings {
        strategy: Strategy::RingAll,
        ..no_wrap("all", &["1", "2", "3"])
    };
    let mut floor = Floor::new(vec![all, no_wrap("a", &["2"]), no_wrap("b", &["1", "2"])]);
    for agent in ["2", "1", "3"] {
        floor.staff(agent);
        floor.wait(secs(1));
    }
    floor.enter(9, "all");
    floor.enter(1, "a");
    floor.wait(secs(1));
    floor.enter(2, "b");
    let winner = floor.rings("3", 9);
    floor.answered(winner);
    floor.rings("2", 1);
    floor.rings("1", 2);
}

#[test]
fn within_a_class_a_caller_is_overtaken_only_by_a_larger_head_start() {
    // Starvation bound: credit c waited w is overtaken only by credit > c + w.
    let mut floor = Floor::new(vec![no_wrap("q", &["1"])]);
    floor.enter_with(1, "q", secs(20), 5, &[]);
    floor.wait(secs(40));
    floor.enter_with(2, "q", secs(60), 5, &[]);
    floor.wait(secs(1));
    floor.enter_with(3, "q", secs(62), 5, &[]);
    floor.staff("1");
    assert_eq!(serve(&mut floor, "1"), [3, 1, 2]);
}
