//! Rules of acd.toml §5.4, §10 and §11: the two-phase win, the outcome table, RONA, cancelled callers.

use super::*;

fn ring_all(agents: &[&str]) -> QueueSettings {
    QueueSettings {
        strategy: Strategy::RingAll,
        ..queue("q", agents)
    }
}

#[test]
fn two_agents_answer_in_the_same_step_and_exactly_one_wins() {
    let mut floor = Floor::staffed(ring_all(&["1", "2", "3", "4", "5"]));
    assert_eq!(offered(&floor.enter(1, "q")).len(), 5);
    let (one, two) = (floor.rings("1", 1), floor.rings("2", 1));
    floor.alerting(one);
    floor.alerting(two);
    let first = floor.answered(two);
    assert!(first.contains(&AcdEffect::Accepted {
        offer: two,
        item: item(1)
    }));
    assert_eq!(cancelled(&first).len(), 4);
    assert!(
        cancelled(&first)
            .iter()
            .all(|(_, why)| *why == CancelReason::AnsweredElsewhere)
    );
    let second = floor.answered(one);
    assert_eq!(cancelled(&second), [(one, CancelReason::AnsweredElsewhere)]);
    assert!(
        !second
            .iter()
            .any(|e| matches!(e, AcdEffect::Accepted { .. }))
    );
    floor.bridged(two);
    assert_eq!(floor.metrics("q").counters.answered, 1);
    assert!(
        cancelled(&floor.answered(two)).is_empty(),
        "a repeated answer of the winner is no new one"
    );
}

#[test]
fn losers_of_a_broadcast_keep_idle_clock_and_counters() {
    let mut floor = Floor::staffed(ring_all(&["1", "2"]));
    let idle = floor.agent("1").idle_ms;
    floor.enter(1, "q");
    floor.wait(secs(4));
    let offer = floor.rings("2", 1);
    floor.answered(offer);
    let view = floor.agent("1");
    assert_eq!(view.state, AgentDisplay::Ready);
    assert_eq!(view.idle_ms, idle + 4000);
    assert_eq!(view.counters.offer_results.rona, 0);
    assert_eq!(view.counters.offer_results.cancelled, 1);
}

#[test]
fn a_broadcast_goes_in_waves() {
    let mut floor = Floor::staffed(QueueSettings {
        ring_all_max: 2,
        ..ring_all(&["1", "2", "3"])
    });
    assert_eq!(offered(&floor.enter(1, "q")), ["1", "2"]);
    let (one, two) = (floor.rings("1", 1), floor.rings("2", 1));
    assert!(
        offered(&floor.ended(one, OfferOutcome::Declined)).is_empty(),
        "the wave is not over"
    );
    assert_eq!(offered(&floor.ended(two, OfferOutcome::Declined)), ["3"]);
}

#[test]
fn winner_dropping_before_the_bridge_is_counted_and_the_caller_is_re_offered_at_its_place() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    floor.enter(2, "q");
    floor.enter(3, "q");
    let key = floor.acd.waiting(floor.now, "q")[0].clone();
    let offer = floor.rings("1", 1);
    floor.answered(offer);
    let out = floor.ended(offer, OfferOutcome::Failed(487));
    assert_eq!(floor.agent("1").counters.offer_results.answer_then_drop, 1);
    assert_eq!(
        offered(&out),
        ["1"],
        "free for the next one, not for the dropped"
    );
    floor.rings("1", 3);
    let view = floor.acd.item(floor.now, item(1)).expect("waits");
    assert_eq!((view.position, view.arrival), (Some(1), key.arrival));
    let two = floor.rings("2", 2);
    assert_eq!(offered(&floor.ended(two, OfferOutcome::Declined)), ["2"]);
    floor.rings("2", 1);
}

#[test]
fn the_caller_stays_in_the_queue_until_bridged() {
    let mut floor = Floor::staffed(queue("q", &["1"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.answered(offer);
    assert_eq!(floor.metrics("q").waiting, 1);
    floor.wait(secs(2));
    floor.bridged(offer);
    let m = floor.metrics("q");
    assert_eq!(
        (m.waiting, m.counters.answered, m.counters.wait_answered_ms),
        (0, 1, 2000)
    );
}

#[test]
fn caller_gone_cancels_every_offer_in_the_same_step_and_leaves_no_mark() {
    let mut floor = Floor::staffed(ring_all(&["1", "2", "3"]));
    floor.enter(1, "q");
    let one = floor.rings("1", 1);
    let out = floor.withdraw(1);
    assert_eq!(cancelled(&out).len(), 3);
    assert!(
        cancelled(&out)
            .iter()
            .all(|(_, why)| *why == CancelReason::CallerGone)
    );
    for agent in ["1", "2", "3"] {
        let view = floor.agent(agent);
        assert_eq!(view.state, AgentDisplay::Ready);
        assert_eq!(view.counters.offer_results.total(), 1);
        assert_eq!(view.counters.offer_results.cancelled, 1);
    }
    let m = floor.metrics("q");
    assert_eq!(
        (m.counters.abandoned, m.counters.abandoned_while_alerting),
        (1, 1)
    );
    let late = floor.answered(one);
    assert_eq!(
        cancelled(&late),
        [(one, CancelReason::CallerGone)],
        "no zombie"
    );
    assert_eq!(floor.state("1"), AgentDisplay::Ready, "no talk, no wrap");
}

#[test]
fn an_offer_that_reports_the_caller_gone_rings_nobody_else() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    assert!(offered(&floor.ended(offer, OfferOutcome::CallerGone)).is_empty());
    floor.withdraw(1);
    assert_eq!(floor.metrics("q").counters.abandoned, 1);
}

#[test]
fn caller_gone_between_answer_and_bridge_is_an_abandon_without_wrap() {
    let mut floor = Floor::staffed(queue("q", &["1"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.answered(offer);
    assert_eq!(
        cancelled(&floor.withdraw(1)),
        [(offer, CancelReason::CallerGone)]
    );
    assert_eq!(floor.state("1"), AgentDisplay::Ready);
    floor.bridged(offer);
    assert_eq!(floor.metrics("q").counters.answered, 0);
}

#[test]
fn ringing_in_vain_is_rona_and_the_caller_goes_on_at_once() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.alerting(offer);
    let out = floor.wait(secs(20));
    assert_eq!(cancelled(&out), [(offer, CancelReason::TimedOut)]);
    assert_eq!(offered(&out), ["2"]);
    assert_eq!(floor.agent("1").counters.offer_results.rona, 1);
    assert_eq!(floor.state("1"), AgentDisplay::Ready, "the first of two");
    assert_eq!(
        cancelled(&floor.answered(offer)),
        [(offer, CancelReason::TimedOut)]
    );
}

#[test]
fn after_two_in_a_row_rona_makes_not_ready() {
    let mut floor = Floor::staffed(queue("q", &["1"]));
    for n in 1..=2 {
        floor.enter(n, "q");
        let offer = floor.rings("1", n);
        floor.ended(offer, OfferOutcome::NoAnswer);
        floor.withdraw(n);
    }
    let view = floor.agent("1");
    assert_eq!(view.state, AgentDisplay::NotReady);
    assert_eq!(view.reason.as_deref(), Some("did not answer"));
}

#[test]
fn an_answer_ends_the_row_of_rona() {
    let mut floor = Floor::staffed(queue("q", &["1"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.ended(offer, OfferOutcome::NoAnswer);
    floor.withdraw(1);
    floor.enter(2, "q");
    floor.connect("1");
    floor.hang_up(2, "1");
    floor.wait(secs(15));
    floor.enter(3, "q");
    let offer = floor.rings("1", 3);
    floor.ended(offer, OfferOutcome::NoAnswer);
    assert_eq!(floor.state("1"), AgentDisplay::Ready);
}

#[test]
fn rona_may_cool_down_or_do_nothing_but_go_on() {
    for (action, free_after) in [
        (RonaAction::Cooldown(secs(60)), 60),
        (RonaAction::NextOnly, 0),
    ] {
        let mut floor = Floor::staffed(QueueSettings {
            rona: Rona { after: 1, action },
            ..queue("q", &["1"])
        });
        floor.enter(1, "q");
        let offer = floor.rings("1", 1);
        floor.ended(offer, OfferOutcome::NoAnswer);
        floor.withdraw(1);
        floor.enter(2, "q");
        if free_after > 0 {
            assert!(floor.offer_of("1").is_none());
            floor.wait(secs(free_after));
        }
        floor.rings("1", 2);
    }
}

#[test]
fn a_device_that_never_rang_is_unreachable_and_never_rona() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    assert_eq!(offered(&floor.wait(secs(20))), ["2"]);
    let c = floor.agent("1").counters.offer_results;
    assert_eq!((c.rona, c.unreachable), (0, 1));
    for status in [404, 408, 430, 480] {
        let mut floor = Floor::staffed(queue("q", &["1", "2"]));
        floor.enter(1, "q");
        let offer = floor.rings("1", 1);
        floor.alerting(offer);
        assert_eq!(
            offered(&floor.ended(offer, OfferOutcome::Failed(status))),
            ["2"]
        );
        let c = floor.agent("1").counters.offer_results;
        assert_eq!((c.rona, c.unreachable), (0, 1), "{status}");
        floor.connect("2");
        floor.enter(2, "q");
        assert!(floor.offer_of("1").is_none());
        floor.wait(secs(30));
        floor.rings("1", 2);
    }
}

#[test]
fn busy_pauses_the_agent_for_10_s_and_requeues_at_once() {
    for outcome in [
        OfferOutcome::Busy,
        OfferOutcome::Failed(486),
        OfferOutcome::Failed(600),
    ] {
        let mut floor = Floor::staffed(queue("q", &["1", "2"]));
        floor.enter(1, "q");
        let offer = floor.rings("1", 1);
        assert_eq!(offered(&floor.ended(offer, outcome)), ["2"]);
        assert_eq!(floor.agent("1").counters.offer_results.busy, 1);
        floor.enter(2, "q");
        assert!(offered(&floor.wait(Duration::from_millis(9_999))).is_empty());
        assert_eq!(offered(&floor.wait(Duration::from_millis(1))), ["1"]);
    }
}

#[test]
fn a_decline_keeps_this_caller_away_for_30_s_but_not_others() {
    for outcome in [OfferOutcome::Declined, OfferOutcome::Failed(603)] {
        let mut floor = Floor::staffed(queue("q", &["1", "2"]));
        floor.not_ready("2", "training");
        floor.enter(1, "q");
        let offer = floor.rings("1", 1);
        assert!(offered(&floor.ended(offer, outcome)).is_empty());
        assert_eq!(floor.agent("1").counters.offer_results.declined, 1);
        assert!(offered(&floor.wait(Duration::from_millis(29_999))).is_empty());
        assert_eq!(offered(&floor.wait(Duration::from_millis(1))), ["1"]);
        let offer = floor.rings("1", 1);
        floor.ended(offer, OfferOutcome::Declined);
        assert_eq!(offered(&floor.enter(2, "q")), ["1"]);
    }
}

#[test]
fn for_the_only_staffed_agent_no_reoffer_is_waived_after_10_s() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.send(AcdCommand::Logout { agent: "2".into() });
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.ended(offer, OfferOutcome::Declined);
    assert!(offered(&floor.wait(Duration::from_millis(9_999))).is_empty());
    assert_eq!(offered(&floor.wait(Duration::from_millis(1))), ["1"]);
}

#[test]
fn becoming_the_only_staffed_agent_waives_no_reoffer() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.not_ready("2", "training");
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.ended(offer, OfferOutcome::Declined);
    floor.wait(secs(12));
    let out = floor.send(AcdCommand::Logout { agent: "2".into() });
    assert_eq!(offered(&out), ["1"]);
}

#[test]
fn redirections_are_not_followed() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    assert_eq!(
        offered(&floor.ended(offer, OfferOutcome::Failed(302))),
        ["2"]
    );
    assert_eq!(floor.agent("1").counters.offer_results.redirect_refused, 1);
}

#[test]
fn an_answer_without_media_is_counted_as_such_and_requeued() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.answered(offer);
    assert_eq!(offered(&floor.ended(offer, OfferOutcome::NoMedia)), ["2"]);
    assert_eq!(floor.agent("1").counters.offer_results.answer_no_media, 1);
}

#[test]
fn one_agent_rings_for_one_work_item_over_all_queues() {
    let mut floor = Floor::new(vec![queue("a", &["1"]), queue("b", &["1"])]);
    floor.staff("1");
    floor.enter(1, "a");
    assert!(offered(&floor.enter(2, "b")).is_empty());
    let offer = floor.rings("1", 1);
    assert_eq!(offered(&floor.ended(offer, OfferOutcome::Declined)), ["1"]);
    floor.rings("1", 2);
}

#[test]
fn events_about_what_is_gone_do_nothing() {
    let mut floor = Floor::staffed(queue("q", &["1"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.ended(offer, OfferOutcome::Declined);
    floor.take();
    floor.send(AcdCommand::Alerting { offer });
    floor.bridged(offer);
    floor.ended(offer, OfferOutcome::NoAnswer);
    floor.hang_up(1, "1");
    floor.hang_up(7, "nobody");
    floor.withdraw(99);
    assert_eq!(floor.take(), []);
}
