//! Rules of acd.toml §22: every decision says who was considered and by which rule each was left out; every item has its journey.

use super::*;

fn verdict(decision: &Decision, agent: &str) -> String {
    let of = decision.candidates.iter().find(|c| &*c.agent == agent);
    of.map(|c| c.verdict.clone()).expect("considered")
}

#[test]
fn a_waiting_caller_is_explained_by_the_first_failing_rule_of_each_agent() {
    let mut floor = Floor::staffed(queue("q", &["1", "2", "3", "4", "5", "6"]));
    floor.enter(1, "q");
    floor.connect("1");
    floor.hang_up(1, "1");
    floor.enter(2, "q");
    floor.connect("2");
    floor.not_ready("3", "lunch");
    floor.devices("4", 0);
    floor.send(AcdCommand::Logout { agent: "5".into() });
    floor.send(AcdCommand::QueueLogin {
        agent: "6".into(),
        queue: None,
        on: false,
    });
    floor.enter(3, "q");
    let why = floor.acd.why_item(item(3));
    let last = why.last().expect("a decision");
    assert_eq!(&*last.trigger, "entered");
    assert!(last.chosen.is_empty());
    assert!(
        verdict(last, "1").starts_with("wraps up until "),
        "{last:?}"
    );
    assert!(verdict(last, "2").starts_with("talks with "));
    assert_eq!(verdict(last, "3"), "is not ready (lunch)");
    assert_eq!(verdict(last, "4"), "has no device that can be rung");
    assert_eq!(verdict(last, "5"), "is logged out");
    assert_eq!(verdict(last, "6"), "is logged out of this queue");
}

#[test]
fn the_chosen_and_those_after_it_are_named_with_the_key() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    let why = floor.acd.why_item(item(1));
    assert_eq!(why.len(), 1);
    assert_eq!(
        why[0].chosen.iter().map(|c| &**c).collect::<Vec<_>>(),
        ["1"]
    );
    assert_eq!(verdict(&why[0], "1"), "was chosen");
    assert_eq!(
        verdict(&why[0], "2"),
        "is free, and came after the one who was chosen"
    );
    assert!(
        why[0].key.starts_with("class 5, virtual start "),
        "{}",
        why[0].key
    );
    assert_eq!(floor.acd.why_agent("2").last(), why.last());
}

#[test]
fn holds_are_explained_with_their_numbers() {
    let mut q = queue("q", &["1", "2"]);
    q.agents[1].level = 2;
    q.agents[1].delay = secs(30);
    let mut floor = Floor::staffed(q);
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.wait(secs(12));
    floor.ended(offer, OfferOutcome::Declined);
    let why = floor.acd.why_item(item(1));
    let last = why.last().expect("a decision");
    assert_eq!(&*last.trigger, "requeued");
    assert_eq!(
        verdict(last, "1"),
        "had this call already, and is not rung for it again for 30 s"
    );
    assert_eq!(
        verdict(last, "2"),
        "helps when a call has waited 30 s (level 2), and this one has waited 12 s"
    );
    let view = floor.acd.item(floor.now, item(1)).expect("waits");
    assert_eq!(
        view.waits_for,
        "none of its 2 ready agents may have it: 1 had this call already, and is not rung for it again for 30 s; 2 helps when a call has waited 30 s (level 2), and this one has waited 12 s"
    );
}

#[test]
fn an_idle_agent_is_told_that_nothing_waits() {
    let floor = Floor::staffed(queue("q", &["1"]));
    let why = floor.acd.why_agent("1");
    let last = why.last().expect("a decision");
    assert_eq!(
        verdict(last, "1"),
        "is free, and nothing waits that they may take"
    );
}

#[test]
fn fifty_decisions_and_fifty_candidates_are_kept() {
    let names: Vec<String> = (0..60).map(|n| format!("{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut floor = Floor::staffed(queue("q", &names));
    for n in 0..60 {
        floor.enter(n, "q");
        floor.withdraw(n);
    }
    assert_eq!(floor.acd.why_agent("00").len(), 50);
    let why = floor.acd.why_item(item(59));
    assert_eq!((why[0].candidates.len(), why[0].more), (50, 10));
}

#[test]
fn the_journey_tells_everything_in_order_also_after_the_end() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.alerting(offer);
    floor.ended(offer, OfferOutcome::Declined);
    floor.connect("2");
    floor.wait(secs(9));
    floor.hang_up(1, "2");
    let journey = floor.acd.journey(item(1));
    let told: Vec<(&str, Option<&str>, &str)> = journey
        .iter()
        .map(|e| (&*e.what, e.agent.as_deref(), &*e.detail))
        .collect();
    assert_eq!(
        told,
        [
            ("entered", None, ""),
            ("offered", Some("1"), ""),
            ("alerting", Some("1"), ""),
            ("offer-ended", Some("1"), "declined"),
            ("offered", Some("2"), ""),
            ("alerting", Some("2"), ""),
            ("answered", Some("2"), "desk"),
            ("connected", Some("2"), ""),
            ("segment-ended", Some("2"), "by the customer"),
        ]
    );
    assert!(journey.is_sorted_by_key(|e| e.at));
    assert_eq!(
        floor.acd.item(floor.now, item(1)).expect("kept").state,
        ItemState::Ended
    );
}

#[test]
fn views_serialise() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    floor.enter(2, "q");
    floor.connect("1");
    let text = serde_json::to_string(&(
        floor.acd.queues(floor.now),
        floor.acd.agents(floor.now),
        floor.acd.items(floor.now),
        floor.acd.why_item(item(1)),
    ));
    let text = text.expect("serialises");
    assert!(
        text.contains("\"state\":\"talking\"") && text.contains("\"strategy\":\"longest-idle\"")
    );
    for effect in floor.take() {
        if let AcdEffect::Event(event) = effect {
            let text = serde_json::to_string(&event).expect("serialises");
            assert_eq!(
                serde_json::from_str::<AcdEvent>(&text).expect("parses"),
                event
            );
        }
    }
}

/// Whatever keeps an agent from a call, the call's answer and the agent's say it in the same words.
#[test]
fn the_call_and_the_agent_are_explained_by_the_same_rule() {
    type Change = fn(&mut Floor);
    let changes: [(&str, Change); 4] = [
        ("other-call", |floor| {
            floor.send(AcdCommand::Live {
                agent: "1".into(),
                calls: 1,
            });
            floor.enter(1, "q");
        }),
        ("cooldown", |floor| {
            floor.enter(1, "q");
            let offer = floor.rings("1", 1);
            floor.ended(offer, OfferOutcome::Busy);
        }),
        ("no-reoffer", |floor| {
            floor.enter(1, "q");
            let offer = floor.rings("1", 1);
            floor.ended(offer, OfferOutcome::Declined);
        }),
        ("own-call", |floor| {
            floor.enter_of(1, "q", "1");
        }),
    ];
    for (code, change) in changes {
        let mut floor = Floor::staffed(queue("q", &["1"]));
        change(&mut floor);
        let agent = floor.acd.agent(floor.now, "1").expect("known");
        let call = floor.acd.item(floor.now, item(1)).expect("waits");
        assert_eq!(agent.idle_code, code);
        assert_eq!(call.waits_code, "agents");
        let words = format!("1, the only ready agent, {}", agent.idle_because);
        assert_eq!(call.waits_for, words);
        for jargon in ["AgentOffer", "RONA", "work item"] {
            assert!(!words.contains(jargon), "{words}");
        }
    }
}
