//! acd.toml §6, §7.2, §7.3: weight, age, promotion, re-key.

use super::*;

#[test]
fn weight_multiplies_the_head_start_and_blocks_no_other_queue() {
    let heavy = QueueSettings {
        weight: 3,
        credit: secs(10),
        ..queue("heavy", &["1"])
    };
    let mut floor = Floor::new(vec![heavy, queue("light", &["1"])]);
    floor.enter(1, "light");
    floor.wait(secs(20));
    floor.enter(2, "light");
    floor.wait(secs(5));
    // 3 · 10 s ahead: older than what came 25 s ago, not than what has waited longer.
    floor.enter(3, "heavy");
    let views = floor.acd.waiting(floor.now, "heavy");
    assert_eq!(views[0].credit_ms, 30_000);
    floor.staff("1");
    floor.rings("1", 3);
    floor.connect("1");
    floor.wait(secs(1));
    floor.enter_with(4, "heavy", Duration::ZERO, 5, &[]);
    floor.hang_up(3, "1");
    floor.wait(secs(15));
    floor.rings("1", 4);
    floor.withdraw(4);
    floor.rings("1", 1);
}

#[test]
fn without_a_head_start_weight_changes_nothing() {
    let heavy = QueueSettings {
        weight: 100,
        ..queue("heavy", &["1"])
    };
    let mut floor = Floor::new(vec![heavy, queue("light", &["1"])]);
    floor.enter(1, "light");
    floor.wait(secs(1));
    floor.enter(2, "heavy");
    floor.staff("1");
    floor.rings("1", 1);
}

#[test]
fn age_counts_from_the_first_arrival_or_where_a_queue_says_so_from_its_own_entry() {
    for (scope, first) in [(AgeScope::Work, 1), (AgeScope::Queue, 2)] {
        let second = QueueSettings {
            age_scope: scope,
            ..queue("second", &["1"])
        };
        let mut floor = Floor::new(vec![queue("first", &["1"]), second]);
        floor.enter(1, "first");
        let arrival = floor.now;
        floor.wait(secs(60));
        floor.enter(2, "second");
        floor.wait(secs(5));
        // The first is sent on and brings its arrival along.
        let mut command = floor.entry(1, "second", Duration::ZERO, 5, &[]);
        if let AcdCommand::Enter { arrival: of, .. } = &mut command {
            *of = arrival;
        }
        floor.send(command);
        assert_eq!(floor.line("second")[0], first, "{scope:?}");
        // A restart changes nothing about it.
        let again = super::restore::restarted(&floor, Duration::ZERO);
        assert_eq!(again.line("second"), floor.line("second"), "{scope:?}");
    }
}

#[test]
fn a_class_is_promoted_after_each_stretch_of_waiting_which_bounds_starvation() {
    let promoting = QueueSettings {
        class_promote_after: Some(secs(60)),
        max_wait: None,
        ..queue("a", &["1"])
    };
    let mut floor = Floor::new(vec![promoting]);
    floor.enter_with(1, "a", Duration::ZERO, 7, &[]);
    let class = |floor: &Floor, n: u64| {
        let view = floor.acd.item(floor.now, item(n)).expect("waits");
        view.class
    };
    floor.wait(Duration::from_millis(59_999));
    assert_eq!(class(&floor, 1), 7);
    let out = floor.wait(Duration::from_millis(1));
    assert_eq!(class(&floor, 1), 6);
    let told = out.iter().any(|effect| {
        matches!(effect, AcdEffect::Event(AcdEvent::Rekeyed { by, class_before: 7, class: 6, .. })
            if &**by == "class-promote-after")
    });
    assert!(told, "{out:?}");
    floor.enter(2, "a");
    assert_eq!(floor.line("a"), [2, 1], "class is strict");
    floor.wait(secs(60));
    // 1 is in class 5 now, 2 in class 4: however many of class 5 come, 1 is before them after its time.
    assert_eq!((class(&floor, 1), class(&floor, 2)), (5, 4));
    floor.enter(3, "a");
    assert_eq!(floor.line("a"), [2, 1, 3]);
    floor.wait(secs(3600));
    assert_eq!(class(&floor, 1), 0, "it ends at the first class");
}

#[test]
fn a_re_key_moves_one_who_waits_once_and_tells_by_whom_and_by_how_much() {
    let mut floor = Floor::new(vec![queue("a", &["1"])]);
    for n in 1..=4 {
        floor.enter(n, "a");
        floor.wait(secs(10));
    }
    floor.take();
    let out = floor.rekey(4, Priority::Credit(secs(25)));
    assert_eq!(floor.line("a"), [1, 4, 2, 3]);
    let event = out.iter().find_map(|effect| match effect {
        AcdEffect::Event(event @ AcdEvent::Rekeyed { .. }) => Some(event.clone()),
        _ => None,
    });
    let expected = AcdEvent::Rekeyed {
        item: item(4),
        queue: "a".into(),
        by: "1000".into(),
        class_before: 5,
        class: 5,
        credit_before_ms: 0,
        credit_ms: 25_000,
        position_before: 4,
        position: 2,
    };
    assert_eq!(event, Some(expected));
    let kept = |effect: &AcdEffect| matches!(effect, AcdEffect::Journal(AcdRecord::Item(_)));
    assert_eq!(out.iter().filter(|effect| kept(effect)).count(), 1);
    assert_eq!(
        floor.rekey(4, Priority::Credit(secs(25))),
        [],
        "the same again is nothing"
    );
    floor.rekey(3, Priority::Class(4));
    assert_eq!(floor.line("a"), [3, 1, 4, 2]);
    assert_eq!(floor.rekey(99, Priority::Front), [], "nobody there");
    floor.staff("1");
    floor.rings("1", 3);
}

#[test]
fn to_the_front_is_before_everybody_who_waits_and_keeps_its_arrival() {
    let mut floor = Floor::new(vec![queue("a", &["1"])]);
    floor.enter_with(1, "a", Duration::ZERO, 3, &[]);
    floor.wait(secs(10));
    floor.enter_with(2, "a", secs(500), 5, &[]);
    floor.wait(secs(10));
    floor.enter(3, "a");
    let arrival = floor.acd.item(floor.now, item(3)).expect("waits").arrival;
    floor.rekey(3, Priority::Front);
    assert_eq!(floor.line("a"), [3, 1, 2]);
    let view = floor.acd.item(floor.now, item(3)).expect("waits");
    assert_eq!((view.class, view.arrival), (3, arrival));
    assert_eq!(floor.rekey(3, Priority::Front), [], "it is there already");
    let again = super::restore::restarted(&floor, Duration::ZERO);
    assert_eq!(again.line("a"), [3, 1, 2], "after a restart too");
}

#[test]
fn a_delay_may_be_kept_though_nobody_of_a_lower_level_is_there() {
    for (skip, at_once) in [(true, true), (false, false)] {
        let mut strict = QueueSettings {
            skip_delay_when_unstaffed: skip,
            ..queue("a", &["1", "2"])
        };
        strict.agents[1].level = 2;
        strict.agents[1].delay = secs(30);
        let mut floor = Floor::new(vec![strict]);
        floor.staff("2");
        let out = floor.enter(1, "a");
        assert_eq!(!offered(&out).is_empty(), at_once, "skip: {skip}");
        let later = floor.wait(secs(30));
        assert_eq!(offered(&later).is_empty(), at_once, "skip: {skip}");
    }
}
