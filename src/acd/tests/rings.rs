//! acd.toml §8 and §9: what is asked widens with the wait, preferred agents, and places among those who need the same agents.

use super::*;

fn ring(after: u64) -> Expansion {
    Expansion {
        after: secs(after),
        ..Expansion::default()
    }
}

/// One queue with agents 1 (german 8), 2 (german 4) and 3 (no skills), all ready; `other` is served by 4.
fn floor(expand: Vec<Expansion>) -> Floor {
    let a = QueueSettings {
        expand,
        max_wait: None,
        ..queue("a", &["1", "2", "3"])
    };
    let mut floor = Floor::new(vec![a, queue("other", &["4"])]);
    let mut settings = floor.settings.clone();
    settings.agents[0].skills = vec![("german".into(), 8)];
    settings.agents[1].skills = vec![("german".into(), 4)];
    floor.configure(settings);
    floor
}

fn german(floor: &mut Floor, n: u64) -> Vec<AcdEffect> {
    floor.enter_with(n, "a", Duration::ZERO, 5, &[("german", 6)])
}

#[test]
fn a_lower_proficiency_will_do_after_a_while_and_the_key_stays() {
    let mut floor = floor(vec![Expansion {
        min_delta: 2,
        ..ring(30)
    }]);
    floor.staff("2");
    assert_eq!(offered(&german(&mut floor, 1)), [""; 0]);
    floor.enter_with(2, "a", Duration::ZERO, 5, &[("french", 1)]);
    let before = floor.acd.waiting(floor.now, "a");
    assert_eq!(offered(&floor.wait(Duration::from_millis(29_999))), [""; 0]);
    let out = floor.wait(Duration::from_millis(1));
    assert_eq!(offered(&out), ["2"]);
    assert!(out.contains(&AcdEffect::Event(AcdEvent::Expanded {
        item: item(1),
        queue: "a".into(),
        ring: 1,
    })));
    let after = floor.acd.waiting(floor.now, "a");
    let keys = |views: &[WorkItemView]| -> Vec<_> {
        let key = |v: &WorkItemView| (v.id, v.class, v.credit_ms, v.arrival);
        views.iter().map(key).collect()
    };
    assert_eq!(keys(&before), keys(&after));
}

#[test]
fn a_dropped_skill_is_not_asked_for_any_more() {
    let mut floor = floor(vec![Expansion {
        drop: vec!["german".into()],
        ..ring(10)
    }]);
    floor.staff("3");
    german(&mut floor, 1);
    assert_eq!(offered(&floor.wait(secs(9))), [""; 0]);
    assert_eq!(offered(&floor.wait(secs(1))), ["3"]);
}

#[test]
fn agents_of_an_inner_ring_stay_preferred_over_the_longer_idle() {
    let mut floor = floor(vec![
        Expansion {
            min_delta: 2,
            ..ring(10)
        },
        Expansion {
            drop: vec!["german".into()],
            ..ring(20)
        },
    ]);
    // Nobody serves the queue while three wait, then everybody in one step, the least fit idle longest.
    let on = floor.settings.clone();
    let mut off = on.clone();
    for agent in &mut off.queues[0].agents {
        agent.enabled = false;
    }
    floor.configure(off);
    for agent in ["3", "2", "1"] {
        floor.staff(agent);
        floor.wait(secs(60));
    }
    for n in 1..=3 {
        german(&mut floor, n);
    }
    floor.wait(secs(25));
    let out = floor.configure(on);
    assert_eq!(offered(&out), ["1", "2", "3"]);
    for (agent, n) in [("1", 1), ("2", 2), ("3", 3)] {
        floor.rings(agent, n);
    }
}

#[test]
fn agents_of_another_queue_and_named_ones_are_drawn_in_by_their_ring_and_serve_their_own_first() {
    let mut floor = floor(vec![Expansion {
        add_queues: vec!["other".into()],
        ..ring(30)
    }]);
    floor.staff("4");
    floor.enter(1, "a");
    assert_eq!(offered(&floor.wait(secs(29))), [""; 0]);
    assert_eq!(offered(&floor.wait(secs(1))), ["4"]);
    floor.connect("4");
    floor.enter(2, "a");
    floor.wait(secs(40));
    floor.enter(3, "other");
    floor.hang_up(1, "4");
    floor.wait(secs(15));
    floor.rings("4", 3);
    assert!(
        floor.agent("4").queues.iter().all(|q| &*q.queue == "other"),
        "being drawn in is no assignment"
    );
    let view = floor.acd.queue(floor.now, "a").expect("known");
    assert_eq!((view.agents_assigned, view.agents_logged_in), (3, 0));
}

#[test]
fn who_is_drawn_in_through_a_queue_stays_out_while_logged_out_of_it() {
    let mut floor = floor(vec![Expansion {
        add_queues: vec!["other".into()],
        ..ring(10)
    }]);
    floor.staff("4");
    let toggle = |on| AcdCommand::QueueLogin {
        agent: "4".into(),
        queue: Some("other".into()),
        on,
    };
    floor.send(toggle(false));
    floor.enter(1, "a");
    assert_eq!(offered(&floor.wait(secs(60))), [""; 0]);
    assert_eq!(offered(&floor.send(toggle(true))), ["4"]);
}

#[test]
fn a_caller_who_prefers_somebody_is_kept_for_a_while_then_others_may_help() {
    let mut floor = Floor::staffed(queue("a", &["1", "2"]));
    floor.send(AcdCommand::Live {
        agent: "2".into(),
        calls: 1,
    });
    assert_eq!(offered(&floor.enter_for(1, "a", &["2"], 20)), [""; 0]);
    let why = floor.acd.why_item(item(1)).pop().expect("a decision");
    let one = why.candidates.iter().find(|c| &*c.agent == "1");
    assert_eq!(
        one.map(|c| c.verdict.as_str()),
        Some("has to leave it for 20 s more to others, for whom it is kept")
    );
    assert_eq!(offered(&floor.wait(Duration::from_millis(19_999))), [""; 0]);
    assert_eq!(offered(&floor.wait(Duration::from_millis(1))), ["1"]);
}

#[test]
fn a_preferred_agent_comes_first_whatever_strategy_and_level_say() {
    let mut a = queue("a", &["1", "2"]);
    a.agents[1].level = 2;
    a.agents[1].delay = secs(30);
    let mut floor = Floor::staffed(a);
    assert_eq!(offered(&floor.enter_for(1, "a", &["2"], 20)), ["2"]);
}

#[test]
fn nobody_is_kept_waiting_for_who_is_not_there() {
    let mut floor = Floor::staffed(queue("a", &["1", "2"]));
    assert_eq!(offered(&floor.enter_for(1, "a", &["9"], 20)), ["1"]);
    floor.not_ready("2", "break");
    let out = floor.enter_for(2, "a", &["1"], 600);
    assert_eq!(
        offered(&out),
        [""; 0],
        "1 is staffed, but rings for another"
    );
    floor.ready("2");
    assert_eq!(floor.offer_of("2"), None, "kept for 1");
    let offer = floor.rings("1", 1);
    floor.answered(offer);
    floor.bridged(offer);
    let out = floor.send(AcdCommand::Logout { agent: "1".into() });
    assert_eq!(
        offered(&out),
        ["2"],
        "1 leaves after the call: nobody preferred is staffed"
    );
}

#[test]
fn a_place_counts_those_before_who_need_any_of_the_same_agents() {
    let mut floor = floor(Vec::new());
    let mut settings = floor.settings.clone();
    settings.agents[2].skills = vec![("french".into(), 5)];
    floor.configure(settings);
    floor.enter_with(1, "a", Duration::ZERO, 5, &[("french", 1)]);
    german(&mut floor, 2);
    floor.enter_with(3, "a", Duration::ZERO, 5, &[("german", 1)]);
    floor.enter(4, "a");
    let place = |floor: &Floor, n: u64| {
        let view = floor.acd.item(floor.now, item(n)).expect("waits");
        view.position.expect("a place")
    };
    // German speakers do not stand in the way of French; 4 takes anybody.
    assert_eq!([1, 2, 3, 4].map(|n| place(&floor, n)), [1, 1, 2, 4]);
    // A person who can do both puts them into one line.
    let mut settings = floor.settings.clone();
    settings.agents[2].skills = vec![("french".into(), 5), ("german".into(), 9)];
    floor.configure(settings);
    assert_eq!([1, 2, 3, 4].map(|n| place(&floor, n)), [1, 2, 3, 4]);
}
