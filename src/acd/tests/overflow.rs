//! Rules of acd.toml §9 and §14: leaving by rule, announcements, the identity of the counters.

use super::*;

fn ruled(max_wait: Option<u64>, rules: &[OverflowWhen]) -> QueueSettings {
    QueueSettings {
        max_wait: max_wait.map(secs),
        overflow: rules
            .iter()
            .map(|when| OverflowRule { when: *when })
            .collect(),
        ..queue("q", &["1"])
    }
}

#[test]
fn waited_leaves_as_a_flow_out_with_the_rules_steps() {
    let mut floor = Floor::staffed(ruled(
        None,
        &[OverflowWhen::Full, OverflowWhen::Waited(secs(60))],
    ));
    floor.not_ready("1", "lunch");
    floor.enter(1, "q");
    assert!(left(&floor.wait(Duration::from_millis(59_999))).is_empty());
    let out = floor.wait(Duration::from_millis(1));
    assert_eq!(left(&out), [(item(1), LeaveWhy::Overflow, Some(1))]);
    let c = floor.metrics("q").counters;
    assert_eq!((c.flowed_out, c.abandoned, c.timed_out), (1, 0, 0));
    assert_eq!(c.flowed_out_by.get("waited"), Some(&1));
}

#[test]
fn the_longest_wait_counts_as_timed_out_with_or_without_a_rule() {
    for (rules, steps) in [(vec![], None), (vec![OverflowWhen::MaxWait], Some(0))] {
        let mut floor = Floor::new(vec![ruled(Some(90), &rules)]);
        floor.enter(1, "q");
        let out = floor.wait(secs(90));
        assert_eq!(left(&out), [(item(1), LeaveWhy::TimedOut, steps)]);
        assert_eq!(floor.metrics("q").counters.timed_out, 1);
    }
}

#[test]
fn max_wait_lets_an_alerting_offer_finish_and_then_applies() {
    let mut floor = Floor::staffed(ruled(Some(30), &[]));
    floor.not_ready("1", "lunch");
    floor.enter(1, "q");
    floor.wait(secs(25));
    floor.ready("1");
    let offer = floor.rings("1", 1);
    floor.alerting(offer);
    assert!(
        left(&floor.wait(secs(19))).is_empty(),
        "30 s are over while it rings"
    );
    let out = floor.wait(secs(1));
    assert_eq!(left(&out), [(item(1), LeaveWhy::TimedOut, None)]);
    let mut floor = Floor::staffed(ruled(Some(30), &[]));
    floor.not_ready("1", "lunch");
    floor.enter(1, "q");
    floor.wait(secs(25));
    floor.ready("1");
    floor.wait(secs(10));
    floor.connect("1");
    assert_eq!(
        floor.metrics("q").counters.answered,
        1,
        "answered in time after all"
    );
}

#[test]
fn the_first_rule_in_file_order_wins() {
    let mut floor = Floor::new(vec![ruled(
        None,
        &[
            OverflowWhen::NobodyReady(Duration::ZERO),
            OverflowWhen::NobodyLoggedIn(Duration::ZERO),
        ],
    )]);
    assert_eq!(
        left(&floor.enter(1, "q")),
        [(item(1), LeaveWhy::Overflow, Some(0))]
    );
}

#[test]
fn nobody_logged_in_applies_on_entry_and_when_the_last_one_leaves() {
    let rules = [OverflowWhen::NobodyLoggedIn(Duration::ZERO)];
    let mut floor = Floor::new(vec![ruled(None, &rules)]);
    assert_eq!(left(&floor.enter(1, "q")).len(), 1);
    floor.login("1");
    assert!(left(&floor.enter(2, "q")).is_empty());
    let out = floor.send(AcdCommand::Logout { agent: "1".into() });
    assert_eq!(left(&out), [(item(2), LeaveWhy::Overflow, Some(0))]);
}

#[test]
fn nobody_ready_may_have_to_last() {
    let rules = [OverflowWhen::NobodyReady(secs(30))];
    let mut floor = Floor::staffed(ruled(None, &rules));
    floor.enter(1, "q");
    floor.connect("1");
    floor.enter(2, "q");
    assert!(
        left(&floor.wait(secs(300))).is_empty(),
        "a busy agent wants more"
    );
    floor.not_ready("1", "lunch");
    assert!(left(&floor.wait(secs(29))).is_empty());
    assert_eq!(left(&floor.wait(secs(1))).len(), 1);
    floor.hang_up(1, "1");
    floor.wait(secs(60));
    assert_eq!(
        left(&floor.enter(3, "q")).len(),
        1,
        "on entry the time before counts"
    );
}

#[test]
fn a_full_queue_takes_no_more_and_says_so() {
    let mut floor = Floor::new(vec![QueueSettings {
        max_waiting: Some(2),
        ..ruled(None, &[OverflowWhen::Full])
    }]);
    floor.enter(1, "q");
    floor.enter(2, "q");
    assert_eq!(
        left(&floor.enter(3, "q")),
        [(item(3), LeaveWhy::Full, Some(0))]
    );
    let m = floor.metrics("q");
    assert_eq!(
        (m.counters.offered, m.counters.flowed_out, m.waiting),
        (3, 1, 2)
    );
    floor.withdraw(1);
    assert!(left(&floor.enter(4, "q")).is_empty());
}

#[test]
fn an_unknown_queue_gives_the_call_back() {
    let mut floor = Floor::new(vec![queue("q", &[])]);
    assert_eq!(
        left(&floor.enter(1, "nowhere")),
        [(item(1), LeaveWhy::NoSuchQueue, None)]
    );
}

#[test]
fn every_exit_is_counted_once_and_the_identity_holds() {
    let mut floor = Floor::staffed(ruled(Some(600), &[OverflowWhen::Waited(secs(300))]));
    floor.enter(1, "q");
    floor.connect("1");
    for n in 2..=7 {
        floor.enter(n, "q");
    }
    floor.wait(secs(3));
    floor.withdraw(2);
    floor.wait(secs(30));
    floor.withdraw(3);
    floor.send(AcdCommand::Withdraw {
        item: item(4),
        cause: Withdrawal::Api,
    });
    floor.send(AcdCommand::Withdraw {
        item: item(5),
        cause: Withdrawal::DialplanLeft("key".into()),
    });
    floor.send(AcdCommand::Withdraw {
        item: item(6),
        cause: Withdrawal::ProcessRestart,
    });
    let m = floor.metrics("q");
    let c = &m.counters;
    assert_eq!(
        (
            c.offered,
            c.answered,
            c.abandoned,
            c.abandoned_short,
            c.flowed_out,
            c.withdrawn,
            c.failed
        ),
        (7, 1, 2, 1, 1, 2, 1)
    );
    assert_eq!(m.waiting, 1);
    assert!(m.identity_holds);
}

#[test]
fn announcements_come_every_so_often_with_position_and_later_a_band() {
    let mut floor = Floor::staffed(QueueSettings {
        announce: Some(Announce {
            every: secs(45),
            position: true,
            wait: true,
        }),
        ..ruled(None, &[])
    });
    floor.enter(1, "q");
    floor.connect("1");
    floor.enter(2, "q");
    floor.wait(secs(1));
    floor.enter(3, "q");
    let told = |effects: &[AcdEffect], n: u64| -> Vec<(Option<u32>, Option<WaitBand>)> {
        effects
            .iter()
            .filter_map(|effect| match effect {
                AcdEffect::Announce {
                    item: of,
                    position,
                    wait,
                    ..
                } if *of == item(n) => Some((*position, *wait)),
                _ => None,
            })
            .collect()
    };
    let out = floor.wait(secs(135));
    assert_eq!(told(&out, 3).len(), 3);
    assert_eq!(
        told(&out, 3)[0],
        (Some(2), None),
        "no band before two minutes"
    );
    assert_eq!(told(&out, 3)[2], (Some(2), Some(WaitBand::FiveToTen)));
    assert_eq!(told(&out, 2)[2].0, Some(1));
}

#[test]
fn a_long_expected_wait_sends_on_who_enters_but_not_when_somebody_is_free_nor_later() {
    let settings = QueueSettings {
        overflow: vec![OverflowRule {
            when: OverflowWhen::ExpectedWait(secs(300)),
        }],
        max_wait: None,
        ..queue("a", &["1"])
    };
    let mut floor = Floor::staffed(settings);
    // Nothing was measured yet: one agent, 180 s a call. The first finds the agent free whatever is expected.
    let mut long = floor.settings.clone();
    long.queues[0].overflow[0].when = OverflowWhen::ExpectedWait(secs(1));
    let short = floor.settings.clone();
    floor.configure(long);
    assert_eq!(left(&floor.enter(1, "a")), []);
    floor.connect("1");
    floor.configure(short);
    assert_eq!(
        left(&floor.enter(2, "a")),
        [],
        "180 s is no more than 300 s"
    );
    let out = floor.enter(3, "a");
    assert_eq!(left(&out), [(item(3), LeaveWhy::Overflow, Some(0))]);
    assert_eq!(
        floor
            .metrics("a")
            .counters
            .flowed_out_by
            .get("expected-wait"),
        Some(&1)
    );
    // Who waits already is not sent away because it has become worse.
    let out = floor.wait(secs(3600));
    assert_eq!(left(&out), []);
    assert_eq!(floor.line("a"), [2]);
}
