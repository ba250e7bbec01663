//! Rules of acd.toml §2–§4: session, routability with `next`, reach, toggles, other calls.

use super::*;

#[test]
fn login_leaves_the_agent_not_ready() {
    let mut floor = Floor::new(vec![queue("q", &["1001"])]);
    floor.devices("1001", 1);
    floor.enter(1, "q");
    floor.login("1001");
    assert_eq!(floor.state("1001"), AgentDisplay::NotReady);
    assert!(floor.offer_of("1001").is_none());
    assert_eq!(offered(&floor.ready("1001")), ["1001"]);
}

#[test]
fn a_break_asked_for_in_a_call_waits_and_can_be_taken_back() {
    let mut floor = Floor::staffed(queue("q", &["1001"]));
    floor.enter(1, "q");
    floor.connect("1001");
    floor.not_ready("1001", "lunch");
    assert_eq!(floor.state("1001"), AgentDisplay::Talking);
    assert!(floor.agent("1001").next.is_some());
    floor.ready("1001");
    assert!(floor.agent("1001").next.is_none());
    floor.hang_up(1, "1001");
    floor.wait(secs(15));
    assert_eq!(floor.state("1001"), AgentDisplay::Ready);
}

#[test]
fn next_is_applied_when_the_last_token_is_released() {
    let mut floor = Floor::staffed(queue("q", &["1001"]));
    floor.enter(1, "q");
    floor.connect("1001");
    floor.not_ready("1001", "lunch");
    floor.hang_up(1, "1001");
    assert_eq!(floor.state("1001"), AgentDisplay::Wrap);
    floor.enter(2, "q");
    floor.wait(secs(15));
    let view = floor.agent("1001");
    assert_eq!(view.state, AgentDisplay::NotReady);
    assert_eq!(view.reason.as_deref(), Some("lunch"));
    assert!(view.offer.is_none());
}

#[test]
fn a_break_asked_for_while_ringing_lets_the_ringing_finish() {
    let mut floor = Floor::staffed(queue("q", &["1001"]));
    floor.enter(1, "q");
    let offer = floor.rings("1001", 1);
    floor.not_ready("1001", "lunch");
    assert_eq!(floor.rings("1001", 1), offer);
    floor.ended(offer, OfferOutcome::Declined);
    assert_eq!(floor.state("1001"), AgentDisplay::NotReady);
}

#[test]
fn without_a_device_the_agent_is_unreachable_after_20_s_and_logged_out_after_15_min() {
    let mut floor = Floor::staffed(queue("q", &["1001"]));
    floor.devices("1001", 0);
    floor.enter(1, "q");
    assert!(floor.offer_of("1001").is_none(), "not routable at once");
    floor.wait(secs(19));
    assert_eq!(floor.state("1001"), AgentDisplay::Ready);
    floor.wait(secs(1));
    assert_eq!(floor.state("1001"), AgentDisplay::Unreachable);
    floor.wait(secs(15 * 60 - 1));
    assert_eq!(floor.state("1001"), AgentDisplay::Unreachable);
    floor.wait(secs(1));
    assert_eq!(floor.state("1001"), AgentDisplay::LoggedOut);
}

#[test]
fn a_device_that_comes_back_makes_the_agent_routable_at_once() {
    let mut floor = Floor::staffed(queue("q", &["1001"]));
    floor.devices("1001", 0);
    floor.wait(secs(60));
    floor.enter(1, "q");
    assert_eq!(offered(&floor.devices("1001", 2)), ["1001"]);
    assert_eq!(floor.state("1001"), AgentDisplay::Alerting);
}

#[test]
fn another_live_call_makes_the_agent_ineligible() {
    let mut floor = Floor::staffed(queue("q", &["1001"]));
    let live = |calls| AcdCommand::Live {
        agent: "1001".into(),
        calls,
    };
    floor.send(live(1));
    assert!(offered(&floor.enter(1, "q")).is_empty());
    assert_eq!(offered(&floor.send(live(0))), ["1001"]);
}

#[test]
fn call_waiting_allows_an_offer_up_to_the_concurrent_calls_of_the_extension() {
    let mut floor = Floor::staffed(queue("q", &["1001"]));
    let mut settings = floor.settings.clone();
    settings.agents[0].call_waiting = true;
    floor.configure(settings);
    let live = |calls| AcdCommand::Live {
        agent: "1001".into(),
        calls,
    };
    floor.send(live(2));
    assert!(offered(&floor.enter(1, "q")).is_empty(), "two of two calls");
    assert_eq!(offered(&floor.send(live(1))), ["1001"]);
}

#[test]
fn nobody_is_offered_their_own_call_not_even_with_call_waiting() {
    let mut floor = Floor::staffed(queue("q", &["1001", "1002"]));
    let mut settings = floor.settings.clone();
    settings.agents[0].call_waiting = true;
    floor.configure(settings);
    floor.not_ready("1002", "lunch");
    assert!(offered(&floor.enter_of(1, "q", "1001")).is_empty());
    // the next in line is not kept from the agent by it
    assert_eq!(offered(&floor.enter(2, "q")), ["1001"]);
    floor.connect("1001");
    let why = floor.acd.why_item(item(1));
    let last = &why.last().expect("a decision").candidates;
    let own: Vec<&str> = last
        .iter()
        .filter(|c| &*c.agent == "1001")
        .map(|c| &*c.verdict)
        .collect();
    assert_eq!(own, ["is the caller, and nobody is offered their own call"]);
    assert_eq!(offered(&floor.ready("1002")), ["1002"]);
}

#[test]
fn who_comes_into_the_callers_place_is_not_offered_the_call_and_who_left_it_may_be() {
    let mut floor = Floor::staffed(queue("q", &["1001", "1002"]));
    assert_eq!(offered(&floor.enter_of(1, "q", "1001")), ["1002"]);
    let caller = CallerInfo {
        number: "1002".into(),
        name: "".into(),
        extension: Some("1002".into()),
    };
    let item = item(1);
    let effects = floor.send(AcdCommand::CallerIs { item, caller });
    let taken_back = |effect: &&AcdEffect| {
        let reason = CancelReason::Withdrawn;
        matches!(effect, AcdEffect::CancelOffer { reason: why, .. } if *why == reason)
    };
    assert_eq!(effects.iter().filter(taken_back).count(), 1);
    assert_eq!(offered(&effects), ["1001"]);
    let view = floor.acd.item(floor.now, item).expect("known");
    assert_eq!(&*view.caller.number, "1002");
}

#[test]
fn a_toggle_turns_one_queue_off_and_the_others_stay() {
    let mut floor = Floor::new(vec![queue("a", &["1001"]), queue("b", &["1001"])]);
    floor.staff("1001");
    let toggle = |on| AcdCommand::QueueLogin {
        agent: "1001".into(),
        queue: Some("a".into()),
        on,
    };
    floor.send(toggle(false));
    assert!(offered(&floor.enter(1, "a")).is_empty());
    assert_eq!(offered(&floor.enter(2, "b")), ["1001"]);
    floor.connect("1001");
    floor.hang_up(2, "1001");
    floor.wait(secs(15));
    assert_eq!(offered(&floor.send(toggle(true))), ["1001"]);
}

#[test]
fn logging_out_while_ringing_takes_the_offer_back_and_the_caller_goes_on() {
    let mut floor = Floor::staffed(queue("q", &["1001", "1002"]));
    floor.enter(1, "q");
    let offer = floor.rings("1001", 1);
    let out = floor.send(AcdCommand::Logout {
        agent: "1001".into(),
    });
    assert_eq!(cancelled(&out), [(offer, CancelReason::Withdrawn)]);
    assert_eq!(offered(&out), ["1002"]);
    assert_eq!(floor.state("1001"), AgentDisplay::LoggedOut);
}

#[test]
fn logging_out_while_talking_ends_the_shift_after_the_call_without_wrap() {
    let mut floor = Floor::staffed(queue("q", &["1001"]));
    floor.enter(1, "q");
    floor.connect("1001");
    floor.send(AcdCommand::Logout {
        agent: "1001".into(),
    });
    assert_eq!(floor.state("1001"), AgentDisplay::Talking);
    floor.hang_up(1, "1001");
    assert_eq!(floor.state("1001"), AgentDisplay::LoggedOut);
}

#[test]
fn the_states_of_an_agent_add_up_to_the_time_logged_in() {
    let mut floor = Floor::new(vec![queue("q", &["1001"])]);
    floor.login("1001");
    floor.devices("1001", 1);
    floor.wait(secs(7));
    floor.ready("1001");
    floor.wait(secs(11));
    floor.enter(1, "q");
    floor.wait(secs(3));
    floor.connect("1001");
    floor.wait(secs(60));
    floor.hang_up(1, "1001");
    floor.wait(secs(15));
    floor.wait(secs(4));
    let c = floor.agent("1001").counters;
    assert_eq!(
        (
            c.not_ready_ms,
            c.ready_ms,
            c.alerting_ms,
            c.talk_ms,
            c.wrap_ms,
            c.unreachable_ms
        ),
        (7_000, 15_000, 3_000, 60_000, 15_000, 0)
    );
    assert_eq!(floor.agent("1001").occupancy, Some(75.0 / 90.0));
}

#[test]
fn an_idle_acd_has_no_timer() {
    let mut floor = Floor::staffed(queue("q", &["1001", "1002"]));
    floor.enter(1, "q");
    floor.connect("1001");
    floor.hang_up(1, "1001");
    floor.wait(secs(120));
    assert_eq!(floor.acd.next_deadline(), None);
    assert_eq!(floor.acd.timers(), 0);
}

#[test]
fn a_sum_that_does_not_add_up_is_reported_within_a_second_and_repaired() {
    let mut floor = Floor::staffed(queue("q", &["1001", "1002"]));
    floor.enter(1, "q");
    for (_, queue) in floor.acd.queues.iter_mut() {
        queue.free.clear();
    }
    let at = floor.acd.next_deadline().expect("the auditor is awake");
    assert!(at <= floor.now.mono + secs(1));
    floor.now.mono = at;
    let mut out = Vec::new();
    floor.acd.on_time(floor.now, &mut out);
    let told = |out: &[AcdEffect]| {
        let defect = |e: &&AcdEffect| matches!(e, AcdEffect::Event(AcdEvent::Defect { .. }));
        out.iter().filter(defect).count()
    };
    assert!(told(&out) > 0, "{out:?}");
    assert_eq!(told(&floor.wait(secs(5))), 0, "repaired");
    assert_eq!(offered(&floor.enter(2, "q")), ["1002"]);
}
