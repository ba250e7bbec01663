//! Rules of acd.toml §20 on restart: what the journal keeps is what comes back.

use std::collections::BTreeMap;

use super::*;

/// The last record of each key, without work items that are gone: what a snapshot must be.
pub(super) fn folded(journal: &[AcdRecord]) -> BTreeMap<String, AcdRecord> {
    let mut last = BTreeMap::new();
    for record in journal {
        match record {
            AcdRecord::Agent(r) => last.insert(format!("agent {}", r.agent), record.clone()),
            AcdRecord::Queue(r) => last.insert(format!("queue {}", r.queue), record.clone()),
            AcdRecord::Assignment { agent, queue, .. } => {
                last.insert(format!("assignment {agent} {queue}"), record.clone())
            }
            AcdRecord::Item(r) => last.insert(format!("item {}", r.item), record.clone()),
            AcdRecord::ItemGone { item } => last.remove(&format!("item {item}")),
        };
    }
    last
}

/// A new ACD from the journal of `floor`, as after kill -9 and `down` time.
pub(super) fn restarted(floor: &Floor, down: Duration) -> Floor {
    let mut new = Floor::bare();
    new.now = Now {
        mono: Instant::ZERO + secs(1),
        wall: floor.now.wall + down,
    };
    new.configure(floor.settings.clone());
    new.take();
    new.journal.clear();
    for record in &floor.journal {
        // Through JSON, as the journal file does.
        let text = serde_json::to_string(record).expect("serialises");
        let record = serde_json::from_str(&text).expect("parses");
        let mut out = Vec::new();
        new.acd
            .handle(new.now, AcdCommand::Restore(record), &mut out);
        assert!(
            !out.iter()
                .any(|e| matches!(e, AcdEffect::Journal(_) | AcdEffect::Offer { .. })),
            "restoring writes nothing and offers nothing: {out:?}"
        );
    }
    assert_eq!(new.acd.audit(), Vec::<String>::new());
    new
}

fn floor_in_full_swing() -> Floor {
    let mut floor = Floor::new(vec![
        QueueSettings {
            strategy: Strategy::RoundRobin,
            ..queue("a", &["1", "2", "3", "4"])
        },
        queue("b", &["2", "4"]),
    ]);
    for agent in ["1", "2", "3"] {
        floor.staff(agent);
    }
    floor.enter(1, "a");
    floor.enter(2, "a");
    floor.enter(3, "a");
    floor.connect("1");
    floor.connect("2");
    let offer = floor.rings("3", 3);
    floor.ended(offer, OfferOutcome::NoAnswer);
    floor.hang_up(2, "2");
    floor.not_ready("1", "lunch");
    floor.send(AcdCommand::QueueLogin {
        agent: "4".into(),
        queue: Some("b".into()),
        on: false,
    });
    for n in 4..=23 {
        floor.wait(Duration::from_millis(137));
        floor.enter_with(n, if n % 2 == 0 { "a" } else { "b" }, secs(n % 5), 5, &[]);
    }
    floor.withdraw(7);
    floor
}

#[test]
fn the_journal_folded_is_the_state() {
    let floor = floor_in_full_swing();
    let state = folded(&floor.acd.snapshot());
    assert_eq!(folded(&floor.journal), {
        let mut state = state;
        // An agent nobody has touched is in the snapshot, not in the journal.
        state.retain(|key, _| folded(&floor.journal).contains_key(key));
        state
    });
}

#[test]
fn after_kill_9_places_wrap_toggles_counters_and_position_are_the_same() {
    let floor = floor_in_full_swing();
    let mut new = restarted(&floor, secs(2));
    let waiting = |floor: &Floor, q: &str| -> Vec<_> {
        let items = floor.acd.waiting(floor.now, q).into_iter();
        items
            .map(|i| (i.id, i.position, i.arrival, i.class, i.credit_ms))
            .collect()
    };
    for q in ["a", "b"] {
        assert_eq!(waiting(&new, q), waiting(&floor, q));
        assert_eq!(new.metrics(q).counters, floor.metrics(q).counters);
    }
    assert_eq!(new.acd.restored_items().len(), floor.acd.waiting_total());
    assert_eq!(new.state("2"), AgentDisplay::Wrap);
    assert_eq!(new.agent("2").wrap_until, floor.agent("2").wrap_until);
    assert_eq!(
        new.state("1"),
        AgentDisplay::NotReady,
        "`next` follows the call that died"
    );
    assert!(
        !new.agent("4")
            .queues
            .iter()
            .any(|q| &*q.queue == "b" && q.enabled)
    );
    for agent in ["1", "2", "3"] {
        new.devices(agent, 1);
    }
    assert_eq!(
        offered(&new.take()),
        [] as [&str; 0],
        "nobody is rung for a call that is dead"
    );
    for id in new.acd.restored_items() {
        new.send(AcdCommand::Withdraw {
            item: id,
            cause: Withdrawal::ProcessRestart,
        });
    }
    let lost = new.metrics("a").counters.failed + new.metrics("b").counters.failed;
    assert_eq!(lost, 20, "3 and the callers 4 to 23 without 7");
    assert!(new.metrics("a").identity_holds && new.metrics("b").identity_holds);
    let kept = new.acd.item(new.now, item(4)).expect("kept in the history");
    assert_eq!(kept.state, ItemState::Failed);
    assert_eq!(kept.credit_ms, 4000);
    new.enter(100, "a");
    assert_eq!(
        offered(&new.take()),
        ["3"],
        "round-robin goes on after the agent offered last"
    );
}

#[test]
fn wrap_goes_on_to_its_wall_time_and_ends_at_once_if_that_is_over() {
    let floor = floor_in_full_swing();
    let left = floor
        .agent("2")
        .wrap_until
        .expect("wraps")
        .since(floor.now.wall);
    let mut new = restarted(&floor, secs(2));
    new.devices("2", 1);
    new.wait(left - secs(2) - Duration::from_millis(1));
    assert_eq!(new.state("2"), AgentDisplay::Wrap);
    new.wait(Duration::from_millis(1));
    assert_eq!(new.state("2"), AgentDisplay::Ready);
    let mut new = restarted(&floor, secs(3600));
    new.devices("2", 1);
    new.wait(Duration::ZERO);
    assert_eq!(new.state("2"), AgentDisplay::Ready);
}

#[test]
fn a_restored_caller_whose_call_lives_goes_on_at_its_place() {
    let mut floor = Floor::new(vec![queue("q", &["1"])]);
    for n in 1..=3 {
        floor.enter(n, "q");
        floor.wait(secs(5));
    }
    let mut new = restarted(&floor, secs(1));
    new.enter(2, "q");
    new.enter(4, "q");
    new.staff("1");
    new.rings("1", 2);
    assert_eq!(
        new.metrics("q").counters.offered,
        4,
        "an entry is counted once"
    );
}

#[test]
fn records_may_come_before_the_configuration() {
    let floor = floor_in_full_swing();
    let mut new = Floor::bare();
    new.now.wall = floor.now.wall;
    for record in &floor.journal {
        let mut out = Vec::new();
        new.acd
            .handle(new.now, AcdCommand::Restore(record.clone()), &mut out);
        assert_eq!(out, []);
    }
    new.configure(floor.settings.clone());
    assert_eq!(
        new.acd.restored_items(),
        restarted(&floor, Duration::ZERO).acd.restored_items()
    );
    assert_eq!(new.metrics("a").counters, floor.metrics("a").counters);
    assert_eq!(new.state("2"), AgentDisplay::Wrap);
}

#[test]
fn an_agent_restored_without_devices_becomes_unreachable_not_lost() {
    let floor = floor_in_full_swing();
    let mut new = restarted(&floor, secs(2));
    new.wait(secs(60));
    assert_eq!(new.state("3"), AgentDisplay::Unreachable);
    new.devices("3", 1);
    assert_eq!(new.state("3"), AgentDisplay::Ready);
}

#[test]
fn a_snapshot_restored_gives_the_same_snapshot() {
    let mut floor = floor_in_full_swing();
    floor.journal = floor.acd.snapshot();
    let new = restarted(&floor, Duration::ZERO);
    let again = restarted(
        &Floor {
            journal: new.acd.snapshot(),
            ..restarted(&floor, Duration::ZERO)
        },
        Duration::ZERO,
    );
    assert_eq!(folded(&again.acd.snapshot()), folded(&new.acd.snapshot()));
}
