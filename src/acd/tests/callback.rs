//! acd.toml §15: callbacks, in the core.

use super::*;

fn taking(cap: Option<u32>) -> QueueSettings {
    QueueSettings {
        callback: Some(CallbackSettings {
            cap,
            ..CallbackSettings::default()
        }),
        max_wait: Some(secs(300)),
        overflow: vec![OverflowRule {
            when: OverflowWhen::Waited(secs(240)),
        }],
        ..queue("a", &["1", "2"])
    }
}

fn number(n: u64) -> Arc<str> {
    format!("+4420718300{n:02}").into()
}

fn request(n: u64, of: Option<u64>) -> CallbackRequest {
    CallbackRequest {
        callback: item(n),
        of: of.map(item),
        queue: "a".into(),
        agent: None,
        number: number(n),
        credit: Duration::ZERO,
        class: 5,
        skills: Vec::new(),
        prefer: None,
        caller: CallerInfo::default(),
        call: item(n + 1_000_000),
    }
}

fn ask(floor: &mut Floor, request: CallbackRequest) -> CallbackAnswer {
    let out = floor.send(AcdCommand::RequestCallback(Box::new(request)));
    let answers = out.iter().filter_map(|effect| match effect {
        AcdEffect::CallbackAnswered { answer, .. } => Some(*answer),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    assert_eq!(answers.len(), 1, "every request is answered once");
    answers[0]
}

fn failed(floor: &mut Floor, offer: OfferId) -> Vec<AcdEffect> {
    floor.send(AcdCommand::CallbackFailed {
        offer,
        failure: CallbackFailure::NoAnswer,
    })
}

fn counters(floor: &Floor) -> CallbackCounters {
    floor.metrics("a").counters.callbacks
}

#[test]
fn a_callback_keeps_the_exact_place_of_the_caller_who_asked() {
    let mut floor = Floor::new(vec![taking(None)]);
    for n in 1..=4 {
        floor.enter(n, "a");
        floor.wait(secs(10));
    }
    let before = floor.acd.item(floor.now, item(2)).expect("waits");
    let answer = ask(&mut floor, request(20, Some(2)));
    assert_eq!(answer, CallbackAnswer::Promised(2));
    assert_eq!(floor.line("a"), [1, 20, 3, 4]);
    let after = floor.acd.item(floor.now, item(20)).expect("promised");
    assert_eq!(
        after.arrival, before.arrival,
        "the first arrival, not the request"
    );
    assert_eq!(
        (after.class, after.credit_ms),
        (before.class, before.credit_ms)
    );
    // The call is a flow-out by choice; the identity of calls holds without the callback, that of callbacks by itself.
    let m = floor.metrics("a");
    assert_eq!(m.counters.flowed_out_by.get("callback"), Some(&1));
    assert_eq!(
        (m.counters.offered, m.waiting, m.identity_holds),
        (4, 3, true)
    );
    assert!(m.counters.callbacks.identity_holds(1));
    let view = floor.acd.queue(floor.now, "a").expect("known");
    assert_eq!((view.waiting, view.callbacks), (3, 1));
    // A restart, and a reload, change nothing.
    let again = super::restore::restarted(&floor, secs(5));
    let callback = again.acd.item(again.now, item(20)).expect("restored");
    assert_eq!(
        (callback.arrival, callback.state),
        (before.arrival, ItemState::Queued)
    );
    assert_eq!(again.line("a"), [1, 20, 3, 4]);
    assert_eq!(floor.configure(floor.settings.clone()), []);
}

#[test]
fn ten_callbacks_and_five_callers_are_served_by_first_arrival_with_no_more_dials_than_agents() {
    let agents = ["1", "2", "3", "4"];
    let mut floor = Floor::new(vec![QueueSettings {
        wrap_up: Duration::ZERO,
        max_wait: None,
        overflow: Vec::new(),
        ..QueueSettings {
            agents: queue("a", &agents).agents,
            ..taking(None)
        }
    }]);
    // Every third one waits on the line, the others want to be called back.
    let mut expected = Vec::new();
    for n in 1..=15 {
        floor.enter(n, "a");
        floor.wait(secs(1));
        if n % 3 == 0 {
            expected.push(n);
        } else {
            ask(&mut floor, request(100 + n, Some(n)));
            expected.push(100 + n);
        }
    }
    assert_eq!(floor.line("a"), expected);
    for agent in agents {
        floor.staff(agent);
    }
    let mut served = Vec::new();
    while served.len() < 15 {
        let mut dials = 0;
        for agent in agents {
            let view = floor.agent(agent);
            let Some(of) = view.item else { continue };
            let offer = view.offer.expect("rings");
            let answered = floor.answered(offer);
            assert!(answered.contains(&AcdEffect::Accepted { offer, item: of }));
            dials += usize::from(of.0 > 100);
            served.push(of.0 as u64);
        }
        assert!(dials <= agents.len());
        for agent in agents {
            let view = floor.agent(agent);
            let (Some(of), Some(offer)) = (view.item, view.offer) else {
                continue;
            };
            floor.bridged(offer);
            floor.hang_up(of.0 as u64, agent);
        }
    }
    assert_eq!(served, expected);
    assert_eq!(counters(&floor).connected, 10);
    assert!(counters(&floor).identity_holds(0));
}

#[test]
fn the_same_number_keeps_its_first_callback_and_is_told_its_place() {
    let mut floor = Floor::new(vec![
        taking(None),
        QueueSettings {
            name: "b".into(),
            ..taking(None)
        },
    ]);
    floor.enter(1, "a");
    floor.wait(secs(1));
    ask(&mut floor, request(20, None));
    let first = floor
        .acd
        .item(floor.now, item(20))
        .expect("promised")
        .arrival;
    floor.wait(secs(60));
    for n in 21..=22 {
        let again = CallbackRequest {
            number: number(20),
            ..request(n, None)
        };
        let kept = CallbackAnswer::InLineAlready {
            callback: item(20),
            position: Some(2),
        };
        assert_eq!(ask(&mut floor, again), kept);
    }
    let view = floor.acd.item(floor.now, item(20)).expect("promised");
    assert_eq!(view.arrival, first);
    assert_eq!(
        (counters(&floor).promised, counters(&floor).duplicates),
        (1, 2)
    );
    // Another queue is another scope, unless the scope is the tenant.
    let other = |n| CallbackRequest {
        queue: "b".into(),
        number: number(20),
        ..request(n, None)
    };
    let mut settings = floor.settings.clone();
    settings.queues[1]
        .callback
        .as_mut()
        .expect("takes them")
        .scope = CallbackScope::Tenant;
    floor.configure(settings);
    let kept = CallbackAnswer::InLineAlready {
        callback: item(20),
        position: Some(2),
    };
    assert_eq!(ask(&mut floor, other(23)), kept);
    let mut settings = floor.settings.clone();
    settings.queues[1]
        .callback
        .as_mut()
        .expect("takes them")
        .scope = CallbackScope::Queue;
    floor.configure(settings);
    assert_eq!(ask(&mut floor, other(24)), CallbackAnswer::Promised(1));
}

#[test]
fn the_third_callback_of_an_extension_of_two_calls_is_over_the_cap() {
    for (calls, cap, expected) in [(2, None, 2), (3, None, 3), (3, Some(2), 2), (2, Some(9), 2)] {
        let mut floor = Floor::new(vec![taking(cap)]);
        let mut settings = floor.settings.clone();
        settings.agents[0].max_concurrent_calls = calls;
        floor.configure(settings);
        let bound = |n| CallbackRequest {
            agent: Some("1".into()),
            ..request(n, None)
        };
        let mut taken = 0;
        for n in 20..30 {
            match ask(&mut floor, bound(n)) {
                CallbackAnswer::Promised(_) => taken += 1,
                CallbackAnswer::OverCap => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(taken, expected, "{calls} calls, cap {cap:?}");
        assert_eq!(counters(&floor).over_cap, 10 - expected as u64);
        // Those bound to another agent have a cap of their own.
        let other = CallbackRequest {
            agent: Some("2".into()),
            ..request(40, None)
        };
        assert!(matches!(
            ask(&mut floor, other),
            CallbackAnswer::Promised(_)
        ));
    }
}

#[test]
fn a_queue_may_cap_its_callbacks_and_one_that_takes_none_says_so() {
    let mut floor = Floor::new(vec![taking(Some(1)), queue("none", &["1"])]);
    assert_eq!(
        ask(&mut floor, request(20, None)),
        CallbackAnswer::Promised(1)
    );
    assert_eq!(ask(&mut floor, request(21, None)), CallbackAnswer::OverCap);
    for queue in ["none", "nowhere"] {
        let elsewhere = CallbackRequest {
            queue: queue.into(),
            ..request(22, None)
        };
        assert_eq!(ask(&mut floor, elsewhere), CallbackAnswer::NotTaken);
    }
    let nobody = CallbackRequest {
        agent: Some("9".into()),
        ..request(23, None)
    };
    assert_eq!(ask(&mut floor, nobody), CallbackAnswer::NotTaken);
}

#[test]
fn a_callback_bound_to_an_agent_waits_for_that_agent_and_stands_in_nobodys_way() {
    let mut floor = Floor::staffed(taking(None));
    floor.not_ready("2", "break");
    let bound = CallbackRequest {
        agent: Some("2".into()),
        ..request(20, None)
    };
    assert_eq!(ask(&mut floor, bound), CallbackAnswer::Promised(1));
    floor.enter(1, "a");
    floor.rings("1", 1);
    assert_eq!(offered(&floor.ready("2")), ["2"]);
    floor.rings("2", 20);
}

#[test]
fn an_agent_who_does_not_answer_a_callback_is_rona_and_the_callback_keeps_its_place() {
    let mut floor = Floor::staffed(taking(None));
    floor.not_ready("2", "break");
    ask(&mut floor, request(20, None));
    floor.wait(secs(1));
    floor.enter(1, "a");
    let offer = floor.rings("1", 20);
    floor.alerting(offer);
    let out = floor.wait(secs(20));
    assert_eq!(floor.agent("1").counters.offer_results.rona, 1);
    assert_eq!(floor.line("a"), [20, 1]);
    assert_eq!(
        counters(&floor).attempts_failed,
        0,
        "the customer was not touched: {out:?}"
    );
}

#[test]
fn an_offer_of_a_callback_names_the_number_and_an_agent_who_drops_leaves_it_in_place() {
    let mut floor = Floor::staffed(taking(None));
    let out = floor.send(AcdCommand::RequestCallback(Box::new(request(20, None))));
    let named = out.iter().any(
        |effect| matches!(effect, AcdEffect::Offer { callback: Some(of), .. } if *of == number(20)),
    );
    assert!(named, "{out:?}");
    let offer = floor.rings("1", 20);
    floor.answered(offer);
    let out = floor.ended(offer, OfferOutcome::Failed(487));
    assert_eq!(offered(&out), ["2"], "at once, to the next");
    assert_eq!(floor.agent("1").counters.offer_results.answer_then_drop, 1);
}

#[test]
fn a_customer_who_is_not_reached_is_called_again_and_the_agent_is_free_without_a_mark() {
    let mut floor = Floor::staffed(taking(None));
    let idle = floor.agent("1").idle_ms;
    ask(&mut floor, request(20, None));
    floor.wait(secs(1));
    for (attempt, after) in [(1, 300), (2, 1800), (3, 7200)] {
        let later = 100 + attempt;
        let agent = ["1", "2"].into_iter().find(|a| floor.offer_of(a).is_some());
        let agent = agent.expect("rung for the callback");
        let offer = floor.rings(agent, 20);
        floor.answered(offer);
        let out = failed(&mut floor, offer);
        assert_eq!(floor.state(agent), AgentDisplay::Ready);
        assert_eq!(offered(&out), [""; 0]);
        let view = floor.acd.item(floor.now, item(20)).expect("kept");
        assert_eq!(
            (view.state, view.position),
            (ItemState::Later, None),
            "{attempt}"
        );
        assert_eq!(view.waits_for, "its next try");
        // Nobody is free when it is due, and others have come: the first time it has its old place, later its due time counts.
        floor.not_ready("1", "break");
        floor.not_ready("2", "break");
        floor.wait(secs(after - 200));
        floor.enter(later, "a");
        floor.wait(secs(199));
        assert_eq!(floor.line("a"), [later]);
        floor.wait(secs(1));
        let expected = if attempt == 1 {
            [20, later]
        } else {
            [later, 20]
        };
        assert_eq!(floor.line("a"), expected, "attempt {attempt}");
        floor.withdraw(later);
        floor.ready("1");
    }
    let offer = floor.rings("1", 20);
    floor.answered(offer);
    let out = failed(&mut floor, offer);
    assert!(out.contains(&AcdEffect::Event(AcdEvent::CallbackEnded {
        callback: item(20),
        queue: "a".into(),
        how: CallbackEnd::Failed,
    })));
    let c = counters(&floor);
    assert_eq!((c.attempts_failed, c.failed), (4, 1));
    assert!(c.identity_holds(0));
    let one = floor.agent("1");
    assert!(one.idle_ms > idle, "the idle clock was not reset");
    assert_eq!(one.counters.handled, 0);
}

#[test]
fn a_customer_who_may_not_be_called_yet_costs_no_try_and_has_the_place_again_however_often() {
    let mut floor = Floor::staffed(taking(None));
    floor.not_ready("2", "break");
    ask(&mut floor, request(20, None));
    for attempt in 1..=2 {
        let offer = floor.rings("1", 20);
        floor.answered(offer);
        failed(&mut floor, offer);
        floor.wait(secs([300, 1800][attempt - 1]));
    }
    // since the second try it ages from when that was due; somebody comes after that, and the place stays before
    for night in 1..=5 {
        let offer = floor.rings("1", 20);
        floor.answered(offer);
        floor.not_ready("1", "break");
        let until = Some(floor.now.wall + secs(600));
        let out = floor.send(AcdCommand::CallbackPostponed { offer, until });
        assert!(out.contains(&AcdEffect::Event(AcdEvent::CallbackPostponed {
            callback: item(20),
            again_in_ms: 600_000,
        })));
        if night == 1 {
            ask(&mut floor, request(21, None));
        }
        floor.wait(secs(599));
        assert_eq!(floor.line("a"), [21]);
        let mut again = super::restore::restarted(&floor, secs(0));
        again.wait(secs(1));
        assert_eq!(again.line("a"), [20, 21], "over a restart too");
        floor.wait(secs(1));
        assert_eq!(floor.line("a"), [20, 21], "night {night}");
        floor.ready("1");
    }
    assert_eq!(counters(&floor).attempts_failed, 2);
    assert!(counters(&floor).identity_holds(2));
    // a try that fails counts again, and is the third
    let offer = floor.rings("1", 20);
    floor.answered(offer);
    floor.not_ready("1", "break");
    failed(&mut floor, offer);
    floor.wait(secs(7200));
    assert_eq!(floor.line("a"), [21, 20]);
}

#[test]
fn a_customer_who_may_be_called_nobody_knows_when_is_offered_again_after_a_minute() {
    let mut floor = Floor::staffed(taking(None));
    ask(&mut floor, request(20, None));
    let offer = floor.rings("1", 20);
    floor.answered(offer);
    let out = floor.send(AcdCommand::CallbackPostponed { offer, until: None });
    assert_eq!(floor.state("1"), AgentDisplay::Ready);
    assert_eq!(offered(&out), [""; 0], "not to the next agent at once");
    floor.wait(secs(59));
    assert_eq!(floor.line("a"), [0; 0]);
    assert_eq!(offered(&floor.wait(secs(1))).len(), 1);
}

#[test]
fn a_number_that_may_not_be_called_is_not_tried_again() {
    let mut floor = Floor::staffed(taking(None));
    ask(&mut floor, request(20, None));
    let offer = floor.rings("1", 20);
    assert_eq!(
        failed(&mut floor, offer),
        [],
        "not before the agent has answered"
    );
    floor.answered(offer);
    floor.send(AcdCommand::CallbackFailed {
        offer,
        failure: CallbackFailure::NotAllowed,
    });
    assert_eq!((counters(&floor).failed, floor.line("a").len()), (1, 0));
}

#[test]
fn a_caller_with_a_callback_in_line_is_offered_its_place_and_taking_it_ends_the_callback() {
    let mut floor = Floor::new(vec![taking(None)]);
    ask(&mut floor, request(20, None));
    floor.wait(secs(10));
    floor.enter(1, "a");
    let mut command = floor.entry(2, "a", Duration::ZERO, 5, &[]);
    if let AcdCommand::Enter { caller, .. } = &mut command {
        caller.number = number(20);
    }
    let out = floor.send(command);
    let told = AcdEffect::InLineAlready {
        item: item(2),
        call: item(1_000_002),
        callback: item(20),
        position: Some(1),
    };
    assert!(out.contains(&told), "{out:?}");
    assert_eq!(floor.line("a"), [20, 1, 2]);
    let arrival = floor.acd.item(floor.now, item(20)).expect("there").arrival;
    floor.send(AcdCommand::TakePlace {
        item: item(2),
        callback: item(20),
    });
    assert_eq!(floor.line("a"), [2, 1]);
    let view = floor.acd.item(floor.now, item(2)).expect("waits");
    assert_eq!(view.arrival, arrival);
    assert_eq!(counters(&floor).superseded, 1);
    assert!(floor.metrics("a").identity_holds);
    // Taking it twice, or what is no callback, does nothing.
    for callback in [20, 1] {
        let out = floor.send(AcdCommand::TakePlace {
            item: item(2),
            callback: item(callback),
        });
        assert_eq!(out, []);
    }
}

#[test]
fn a_callback_expires_after_its_time_but_not_under_the_hands_of_an_agent() {
    let mut floor = Floor::new(vec![taking(None)]);
    let day = secs(24 * 3600);
    ask(&mut floor, request(20, None));
    ask(&mut floor, request(21, None));
    let out = floor.wait(day - secs(10));
    assert_eq!(
        left(&out),
        [],
        "rules for callers on the line do not touch it"
    );
    floor.staff("1");
    let offer = floor.rings("1", 20);
    floor.alerting(offer);
    floor.answered(offer);
    floor.wait(secs(20));
    assert_eq!((counters(&floor).expired, floor.line("a")), (1, vec![20]));
    floor.bridged(offer);
    assert_eq!(counters(&floor).connected, 1);
    assert!(counters(&floor).identity_holds(0));
}

#[test]
fn a_cancelled_callback_stops_ringing_and_is_gone_also_while_it_waits_for_a_try() {
    let mut floor = Floor::staffed(taking(None));
    ask(&mut floor, request(20, None));
    let offer = floor.rings("1", 20);
    let cancel = |floor: &mut Floor| floor.send(AcdCommand::CancelCallback { callback: item(20) });
    let out = cancel(&mut floor);
    assert_eq!(cancelled(&out), [(offer, CancelReason::Withdrawn)]);
    assert_eq!(cancel(&mut floor), []);
    // The number is free again.
    assert!(matches!(
        ask(&mut floor, request(20, None)),
        CallbackAnswer::Promised(_)
    ));
    let agent = ["1", "2"].into_iter().find(|a| floor.offer_of(a).is_some());
    let offer = floor.rings(agent.expect("rung"), 20);
    floor.answered(offer);
    failed(&mut floor, offer);
    cancel(&mut floor);
    assert_eq!(counters(&floor).cancelled, 2);
    floor.wait(secs(24 * 3600 + 1));
    assert_eq!(floor.acd.timers(), 0);
}

#[test]
fn a_callback_that_waits_for_its_next_try_survives_a_restart() {
    let mut floor = Floor::staffed(taking(None));
    ask(&mut floor, request(20, None));
    let offer = floor.rings("1", 20);
    floor.answered(offer);
    failed(&mut floor, offer);
    floor.wait(secs(100));
    let mut again = super::restore::restarted(&floor, secs(100));
    assert_eq!(again.line("a"), [0; 0]);
    for agent in ["1", "2"] {
        again.devices(agent, 1);
        again.ready(agent);
    }
    assert_eq!(offered(&again.wait(secs(99))), [""; 0]);
    assert_eq!(
        offered(&again.wait(secs(1))).len(),
        1,
        "300 s after it failed"
    );
}

#[test]
fn full_counts_callers_on_the_line_not_callbacks() {
    let mut floor = Floor::new(vec![QueueSettings {
        max_waiting: Some(1),
        ..taking(None)
    }]);
    ask(&mut floor, request(20, None));
    ask(&mut floor, request(21, None));
    assert_eq!(left(&floor.enter(1, "a")), []);
    assert_eq!(
        left(&floor.enter(2, "a")),
        [(item(2), LeaveWhy::Full, None)]
    );
}

#[test]
fn every_state_of_a_work_item_shows_as_one_of_six() {
    let expected = [
        (ItemState::Queued, Phase::Waiting),
        (ItemState::Later, Phase::Waiting),
        (ItemState::Reserved, Phase::Assigning),
        (ItemState::Alerting, Phase::Assigning),
        (ItemState::Connecting, Phase::Assigning),
        (ItemState::Connected, Phase::Assigned),
        (ItemState::FlowedOut, Phase::Transferring),
        (ItemState::Ended, Phase::Ended),
        (ItemState::Withdrawn, Phase::Ended),
        (ItemState::TimedOut, Phase::Failed),
        (ItemState::Abandoned, Phase::Failed),
        (ItemState::Failed, Phase::Failed),
    ];
    for (state, phase) in expected {
        assert_eq!(state.phase(), phase, "{state:?}");
    }
}
