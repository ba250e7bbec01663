//! Rules of acd.toml §7.3 and §7.4: who gets the work item when several agents are free.

use std::collections::BTreeMap;

use super::*;

fn of(strategy: Strategy, agents: &[&str]) -> QueueSettings {
    QueueSettings {
        strategy,
        wrap_up: Duration::ZERO,
        ..queue("q", agents)
    }
}

/// Who gets each of `count` callers when every call takes `talk`.
fn service(floor: &mut Floor, count: u64, talk: Duration) -> Vec<String> {
    let mut got = Vec::new();
    for n in 0..count {
        let agent = offered(&floor.enter(100 + n, "q")).remove(0);
        floor.connect(&agent);
        floor.wait(talk);
        floor.hang_up(100 + n, &agent);
        got.push(agent);
    }
    got
}

#[test]
fn longest_idle_goes_round_by_idle_time() {
    let mut floor = Floor::staffed(of(Strategy::LongestIdle, &["3", "1", "2"]));
    assert_eq!(service(&mut floor, 5, secs(5)), ["3", "1", "2", "3", "1"]);
}

#[test]
fn toggling_ready_does_not_reset_the_idle_clock_but_a_break_pauses_it() {
    let mut floor = Floor::staffed(of(Strategy::LongestIdle, &["1", "2"]));
    floor.not_ready("1", "coffee");
    floor.ready("1");
    assert_eq!(offered(&floor.enter(1, "q")), ["1"]);
    floor.withdraw(1);
    floor.not_ready("1", "lunch");
    floor.wait(secs(2));
    floor.ready("1");
    assert_eq!(offered(&floor.enter(2, "q")), ["2"]);
}

#[test]
fn a_long_direct_call_resets_the_idle_clock_and_a_short_one_does_not() {
    for (talk, first) in [(19, "1"), (20, "2")] {
        let mut floor = Floor::staffed(of(Strategy::LongestIdle, &["1", "2"]));
        let live = |calls| AcdCommand::Live {
            agent: "1".into(),
            calls,
        };
        floor.send(live(1));
        floor.wait(secs(talk));
        floor.send(live(0));
        assert_eq!(offered(&floor.enter(1, "q")), [first]);
    }
}

#[test]
fn rona_and_decline_do_not_reset_the_idle_clock() {
    let mut floor = Floor::staffed(of(Strategy::LongestIdle, &["1", "2"]));
    floor.enter(1, "q");
    let offer = floor.rings("1", 1);
    floor.ended(offer, OfferOutcome::Declined);
    assert_eq!(offered(&floor.enter(2, "q")), ["1"]);
}

#[test]
fn round_robin_goes_by_extension_and_counts_offers_not_answers() {
    let mut floor = Floor::staffed(of(Strategy::RoundRobin, &["3", "1", "2"]));
    assert_eq!(service(&mut floor, 2, secs(5)), ["1", "2"]);
    floor.enter(1, "q");
    let offer = floor.rings("3", 1);
    assert_eq!(offered(&floor.ended(offer, OfferOutcome::Declined)), ["1"]);
    floor.withdraw(1);
    assert_eq!(service(&mut floor, 2, secs(5)), ["2", "3"]);
}

#[test]
fn round_robin_survives_agents_that_come_and_go() {
    let mut floor = Floor::staffed(of(Strategy::RoundRobin, &["1", "2", "3"]));
    assert_eq!(service(&mut floor, 2, secs(5)), ["1", "2"]);
    let mut settings = floor.settings.clone();
    settings.queues[0].agents.remove(1);
    settings.agents.remove(1);
    floor.configure(settings);
    assert_eq!(service(&mut floor, 3, secs(5)), ["3", "1", "3"]);
}

#[test]
fn fixed_goes_by_rank_and_never_stops_at_the_last() {
    let mut q = of(Strategy::Fixed, &["1", "2", "3"]);
    q.agents[0].rank = 3;
    q.agents[1].rank = 1;
    q.agents[2].rank = 2;
    let mut floor = Floor::staffed(q);
    assert_eq!(service(&mut floor, 3, secs(5)), ["2", "2", "2"]);
    floor.not_ready("1", "lunch");
    floor.enter(1, "q");
    floor.enter(2, "q");
    floor.enter(3, "q");
    assert!(
        floor
            .acd
            .item(floor.now, item(3))
            .is_some_and(|i| i.agents.is_empty())
    );
    floor.connect("2");
    floor.hang_up(1, "2");
    floor.rings("2", 3);
}

#[test]
fn fewest_calls_counts_the_last_eight_hours() {
    let mut floor = Floor::staffed(of(Strategy::FewestCalls, &["1", "2"]));
    floor.not_ready("2", "training");
    assert_eq!(service(&mut floor, 3, secs(5)), ["1", "1", "1"]);
    floor.ready("2");
    assert_eq!(service(&mut floor, 3, secs(5)), ["2", "2", "2"]);
    floor.wait(secs(8 * 3600 - 20));
    assert_eq!(
        service(&mut floor, 1, secs(1)),
        ["1"],
        "the three of 1 are forgotten first"
    );
}

#[test]
fn least_occupied_takes_the_one_who_worked_least() {
    let mut floor = Floor::staffed(of(Strategy::LeastOccupied, &["1", "2"]));
    floor.wait(secs(60));
    floor.not_ready("2", "training");
    service(&mut floor, 1, secs(600));
    floor.ready("2");
    service(&mut floor, 1, secs(60));
    assert_eq!(
        service(&mut floor, 1, secs(1)),
        ["2"],
        "60 s worked against 600 s"
    );
}

#[test]
fn random_reaches_everybody_about_equally_and_repeats_from_its_seed() {
    let run = || {
        let mut floor = Floor::staffed(of(Strategy::Random, &["1", "2", "3", "4"]));
        service(&mut floor, 400, secs(1))
    };
    let got = run();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for agent in &got {
        *counts.entry(agent).or_default() += 1;
    }
    assert_eq!(counts.len(), 4);
    assert!(counts.values().all(|n| (60..140).contains(n)), "{counts:?}");
    assert_eq!(got, run());
}

#[test]
fn most_proficient_takes_the_best_score_then_the_longest_idle() {
    let mut floor = Floor::staffed(of(Strategy::MostProficient, &["1", "2", "3"]));
    let mut settings = floor.settings.clone();
    for (agent, level) in [(0, 5), (1, 9), (2, 9)] {
        settings.agents[agent].skills = vec![("german".into(), level)];
    }
    floor.configure(settings);
    let ask = |floor: &mut Floor, n| floor.enter_with(n, "q", Duration::ZERO, 5, &[("german", 1)]);
    assert_eq!(offered(&ask(&mut floor, 1)), ["2"]);
    assert_eq!(offered(&ask(&mut floor, 2)), ["3"]);
    assert_eq!(offered(&ask(&mut floor, 3)), ["1"]);
}

#[test]
fn rank_breaks_ties_before_idle_time_in_counting_strategies() {
    let mut q = of(Strategy::FewestCalls, &["1", "2"]);
    q.agents[0].rank = 2;
    let mut floor = Floor::staffed(q);
    assert_eq!(offered(&floor.enter(1, "q")), ["2"]);
}

#[test]
fn agents_of_a_lower_level_come_first_in_every_strategy() {
    for strategy in [
        Strategy::LongestIdle,
        Strategy::RoundRobin,
        Strategy::Fixed,
        Strategy::FewestCalls,
        Strategy::LeastOccupied,
        Strategy::Random,
        Strategy::MostProficient,
    ] {
        let mut q = of(strategy, &["1", "2", "3"]);
        q.agents[0].level = 2;
        q.agents[2].level = 3;
        let mut floor = Floor::staffed(q);
        assert_eq!(offered(&floor.enter(1, "q")), ["2"], "{strategy:?}");
        assert_eq!(offered(&floor.enter(2, "q")), ["1"], "{strategy:?}");
        assert_eq!(offered(&floor.enter(3, "q")), ["3"], "{strategy:?}");
    }
}
