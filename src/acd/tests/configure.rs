//! Rules of acd.toml §20 on reload: a difference, applied at once, that loses nothing.

use super::*;

fn busy_floor() -> Floor {
    let mut floor = Floor::new(vec![queue("a", &["1", "2", "3"]), queue("b", &["2"])]);
    for agent in ["1", "2", "3"] {
        floor.staff(agent);
    }
    for n in 1..=5 {
        floor.enter(n, "a");
    }
    floor.connect("1");
    floor.connect("2");
    floor.hang_up(2, "2");
    floor
}

#[test]
fn an_unchanged_file_emits_nothing_however_often() {
    let mut floor = busy_floor();
    let before = floor.acd.snapshot();
    for _ in 0..100 {
        assert_eq!(floor.configure(floor.settings.clone()), []);
    }
    assert_eq!(floor.acd.snapshot(), before);
}

#[test]
fn a_changed_queue_keeps_counters_agents_and_callers() {
    let mut floor = busy_floor();
    let mut settings = floor.settings.clone();
    settings.queues[0].ring_timeout = secs(7);
    settings.queues[0].agents[2].rank = 9;
    let before = floor.acd.snapshot();
    floor.configure(settings);
    assert_eq!(floor.acd.snapshot(), before);
    assert_eq!(floor.state("1"), AgentDisplay::Talking);
    assert_eq!(floor.state("2"), AgentDisplay::Wrap);
    assert_eq!(floor.state("3"), AgentDisplay::Alerting);
}

#[test]
fn a_removed_queue_takes_nothing_new_and_finishes_its_calls() {
    let mut floor = busy_floor();
    let mut settings = floor.settings.clone();
    settings.queues.remove(0);
    floor.configure(settings);
    assert_eq!(
        left(&floor.enter(9, "a")),
        [(item(9), LeaveWhy::NoSuchQueue, None)]
    );
    assert!(
        floor
            .acd
            .queue(floor.now, "a")
            .expect("still there")
            .closing
    );
    for (n, agent) in [(3, "3"), (4, "2"), (5, "1")] {
        floor.wait(secs(15));
        if agent == "1" {
            floor.hang_up(1, "1");
            floor.wait(secs(15));
        }
        floor.rings(agent, n);
        floor.connect(agent);
    }
    for (n, agent) in [(3, "3"), (4, "2"), (5, "1")] {
        floor.hang_up(n, agent);
    }
    assert!(
        floor.acd.queue(floor.now, "a").is_some(),
        "wrap-up belongs to it"
    );
    floor.wait(secs(20));
    assert!(floor.acd.queue(floor.now, "a").is_none());
}

#[test]
fn a_removed_queue_that_comes_back_goes_on() {
    let mut floor = busy_floor();
    let settings = floor.settings.clone();
    let counters = floor.metrics("a").counters;
    let mut without = settings.clone();
    without.queues.remove(0);
    floor.configure(without);
    floor.configure(settings);
    assert_eq!(floor.metrics("a").counters, counters);
    assert!(left(&floor.enter(9, "a")).is_empty());
}

#[test]
fn a_removed_agent_finishes_the_call_and_goes() {
    let mut floor = busy_floor();
    let mut settings = floor.settings.clone();
    settings.agents.remove(0);
    floor.configure(settings);
    assert_eq!(floor.state("1"), AgentDisplay::Talking);
    floor.hang_up(1, "1");
    assert!(floor.acd.agent(floor.now, "1").is_none());
    assert_eq!(floor.metrics("a").counters.handled, 2);
}

#[test]
fn a_new_agent_and_a_new_assignment_serve_who_waits() {
    let mut floor = Floor::new(vec![queue("a", &["1"]), queue("b", &[])]);
    floor.staff("1");
    floor.enter(1, "b");
    let mut settings = floor.settings.clone();
    settings.queues[1].agents.push(AssignmentSettings::of("1"));
    assert_eq!(offered(&floor.configure(settings)), ["1"]);
}

#[test]
fn a_moved_toggle_stays_moved_over_a_reload() {
    let mut floor = Floor::new(vec![queue("a", &["1"])]);
    floor.staff("1");
    floor.send(AcdCommand::QueueLogin {
        agent: "1".into(),
        queue: None,
        on: false,
    });
    let mut settings = floor.settings.clone();
    settings.queues[0].agents[0].rank = 5;
    floor.configure(settings);
    assert!(!floor.agent("1").queues[0].enabled);
    assert!(offered(&floor.enter(1, "a")).is_empty());
}

#[test]
fn a_changed_strategy_reorders_the_free() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    let mut settings = floor.settings.clone();
    settings.queues[0].strategy = Strategy::Fixed;
    settings.queues[0].agents[0].rank = 2;
    floor.configure(settings);
    assert_eq!(offered(&floor.enter(1, "q")), ["2"]);
}

#[test]
fn new_rules_apply_to_those_who_wait() {
    let mut floor = Floor::new(vec![queue("q", &["1"])]);
    floor.enter(1, "q");
    floor.wait(secs(40));
    let mut settings = floor.settings.clone();
    settings.queues[0].max_wait = Some(secs(60));
    floor.configure(settings);
    assert_eq!(left(&floor.wait(secs(20))).len(), 1);
}

#[test]
fn the_hundred_and_first_queue_of_an_agent_is_refused() {
    let queues = (0..101)
        .map(|n| queue(&format!("q{n:03}"), &["1"]))
        .collect();
    let floor = Floor::new(queues);
    assert_eq!(floor.agent("1").queues.len(), 100);
}
