//! Rules of acd.toml §12: wrap-up is a lease of the agent.

use super::*;

fn talking() -> Floor {
    let mut floor = Floor::new(vec![
        QueueSettings {
            wrap_up: secs(30),
            ..queue("a", &["1"])
        },
        queue("b", &["1"]),
    ]);
    floor.staff("1");
    floor.enter(1, "a");
    floor.connect("1");
    floor
}

fn how(effects: &[AcdEffect]) -> Option<(WrapEnd, u64)> {
    effects.iter().find_map(|effect| match effect {
        AcdEffect::Event(AcdEvent::WrapEnded { how, wrap_ms, .. }) => Some((*how, *wrap_ms)),
        _ => None,
    })
}

#[test]
fn wrap_blocks_offers_from_all_queues_for_exactly_its_time() {
    let mut floor = talking();
    floor.enter(2, "b");
    floor.hang_up(1, "1");
    let out = floor.wait(Duration::from_millis(29_999));
    assert!(offered(&out).is_empty());
    let out = floor.wait(Duration::from_millis(1));
    assert_eq!(how(&out), Some((WrapEnd::Timer, 30_000)));
    floor.rings("1", 2);
}

#[test]
fn a_reload_or_a_queue_change_neither_ends_nor_restarts_wrap() {
    let mut floor = talking();
    floor.hang_up(1, "1");
    floor.wait(secs(10));
    let mut settings = floor.settings.clone();
    settings.queues[0].wrap_up = secs(5);
    settings.queues[1].wrap_up = secs(500);
    floor.configure(settings);
    floor.send(AcdCommand::QueueLogin {
        agent: "1".into(),
        queue: Some("a".into()),
        on: false,
    });
    assert_eq!(floor.state("1"), AgentDisplay::Wrap);
    let out = floor.wait(secs(20));
    assert_eq!(how(&out), Some((WrapEnd::Timer, 30_000)));
}

#[test]
fn a_step_of_the_wall_clock_neither_ends_nor_lengthens_wrap() {
    for step in [-3_600_000, 3_600_000] {
        let mut floor = talking();
        floor.hang_up(1, "1");
        floor.now.wall = WallTime::from_millis(floor.now.wall.as_millis() + step);
        assert_eq!(how(&floor.wait(Duration::from_millis(29_999))), None);
        assert!(how(&floor.wait(Duration::from_millis(1))).is_some());
    }
}

#[test]
fn the_agent_may_only_shorten_wrap() {
    for (most, wanted) in [(10, 10_000), (90, 30_000)] {
        let mut floor = talking();
        let mut settings = floor.settings.clone();
        settings.agents[0].wrap_up_max = Some(secs(most));
        floor.configure(settings);
        floor.hang_up(1, "1");
        assert_eq!(how(&floor.wait(secs(100))), Some((WrapEnd::Timer, wanted)));
    }
}

#[test]
fn wrap_ends_by_agent_supervisor_status_and_logout() {
    let end = |by| AcdCommand::EndWrap {
        agent: "1".into(),
        by,
    };
    let status = AcdCommand::SetStatus {
        agent: "1".into(),
        status: AgentStatus::NotReady { reason: None },
    };
    for (command, how_wanted, state) in [
        (end(WrapEndedBy::Agent), WrapEnd::Agent, AgentDisplay::Ready),
        (
            end(WrapEndedBy::Supervisor),
            WrapEnd::Supervisor,
            AgentDisplay::Ready,
        ),
        (status, WrapEnd::Agent, AgentDisplay::NotReady),
        (
            AcdCommand::Logout { agent: "1".into() },
            WrapEnd::Logout,
            AgentDisplay::LoggedOut,
        ),
    ] {
        let mut floor = talking();
        floor.hang_up(1, "1");
        floor.wait(secs(4));
        let out = floor.send(command);
        assert_eq!(how(&out), Some((how_wanted, 4_000)));
        assert_eq!(floor.state("1"), state);
        assert!(how(&floor.wait(secs(100))).is_none(), "it ends once");
    }
}

#[test]
fn choosing_a_status_waits_for_the_end_of_wrap_where_it_must() {
    let mut floor = talking();
    let mut settings = floor.settings.clone();
    settings.agents[0].status_change_ends_wrap = false;
    floor.configure(settings);
    floor.hang_up(1, "1");
    floor.not_ready("1", "lunch");
    assert_eq!(floor.state("1"), AgentDisplay::Wrap);
    floor.wait(secs(30));
    assert_eq!(floor.state("1"), AgentDisplay::NotReady);
}

#[test]
fn each_agents_wrap_ends_on_its_own_clock() {
    let mut floor = Floor::staffed(queue("q", &["1", "2"]));
    floor.enter(1, "q");
    floor.enter(2, "q");
    floor.connect("1");
    floor.connect("2");
    floor.hang_up(1, "1");
    floor.wait(secs(10));
    floor.hang_up(2, "2");
    floor.enter(3, "q");
    assert_eq!(
        offered(&floor.wait(secs(5))),
        ["1"],
        "the first to finish gets the next call"
    );
}

#[test]
fn a_customer_who_hangs_up_ends_the_agents_segment_once() {
    let mut floor = talking();
    floor.withdraw(1);
    assert_eq!(floor.state("1"), AgentDisplay::Wrap);
    floor.hang_up(1, "1");
    let c = floor.metrics("a").counters;
    assert_eq!((c.handled, c.abandoned, c.answered), (1, 0, 1));
}

#[test]
fn a_rule_broken_on_purpose_rings_during_wrap() {
    let mut floor = talking();
    floor.acd.break_rule(BrokenRule::OfferDuringWrap);
    floor.hang_up(1, "1");
    assert_eq!(floor.state("1"), AgentDisplay::Wrap);
    assert_eq!(offered(&floor.enter(2, "b")), ["1"]);
}

#[test]
fn an_agents_segment_ends_with_its_own_leg_whoever_talks_on() {
    let mut floor = Floor::new(vec![queue("a", &["1"]), queue("b", &["2"])]);
    floor.staff("1");
    floor.staff("2");
    floor.enter(1, "a");
    floor.connect("1");
    floor.wait(secs(30));
    // The agent brings the customer to another queue and stays until somebody is there.
    floor.enter(1, "b");
    floor.connect("2");
    floor.wait(secs(5));
    let out = floor.hang_up(1, "1");
    let talk = |out: &[AcdEffect]| {
        out.iter().find_map(|effect| match effect {
            AcdEffect::Event(AcdEvent::SegmentEnded { talk_ms, .. }) => Some(*talk_ms),
            _ => None,
        })
    };
    assert_eq!(talk(&out), Some(35_000));
    assert_eq!(floor.state("1"), AgentDisplay::Wrap);
    assert_eq!(floor.state("2"), AgentDisplay::Talking);
    floor.wait(secs(100));
    assert_eq!(talk(&floor.hang_up(1, "2")), Some(105_000));
    assert_eq!(floor.agent("1").counters.talk_ms, 35_000);
    assert_eq!(floor.metrics("a").counters.talk_ms, 35_000);
    assert_eq!(floor.metrics("b").counters.talk_ms, 105_000);
}
