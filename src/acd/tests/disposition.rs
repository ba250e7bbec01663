//! acd.toml §12: what ends a wrap-up, dispositions, the hard limit.

use super::*;

/// One agent who has just ended a call of work item 1.
fn wrapping(settings: QueueSettings) -> Floor {
    let mut floor = Floor::staffed(settings);
    floor.enter(1, "a");
    floor.connect("1");
    floor.wait(secs(30));
    floor.hang_up(1, "1");
    floor
}

fn dispose(floor: &mut Floor, code: &str) -> Vec<AcdEffect> {
    floor.send(AcdCommand::Dispose {
        item: item(1),
        code: code.into(),
    })
}

fn end(floor: &mut Floor, by: WrapEndedBy) -> Vec<AcdEffect> {
    floor.send(AcdCommand::EndWrap {
        agent: "1".into(),
        by,
    })
}

/// How a wrap-up ended, and with which disposition.
fn ended(out: &[AcdEffect]) -> Option<(WrapEnd, Option<String>)> {
    out.iter().find_map(|effect| match effect {
        AcdEffect::Event(AcdEvent::WrapEnded {
            how, disposition, ..
        }) => Some((*how, disposition.as_deref().map(str::to_owned))),
        _ => None,
    })
}

#[test]
fn a_demanded_disposition_keeps_the_agent_in_wrap_up_until_it_is_said() {
    let mut floor = wrapping(QueueSettings {
        disposition_required: true,
        ..queue("a", &["1"])
    });
    floor.enter(2, "a");
    assert_eq!(offered(&floor.wait(secs(100))), [""; 0]);
    assert_eq!(floor.state("1"), AgentDisplay::Wrap);
    assert!(floor.agent("1").wants_disposition);
    // The agent cannot get round it.
    assert_eq!(end(&mut floor, WrapEndedBy::Agent), []);
    floor.ready("1");
    assert_eq!(floor.state("1"), AgentDisplay::Wrap);
    let out = dispose(&mut floor, "solved");
    assert_eq!(
        ended(&out),
        Some((WrapEnd::Disposition, Some("solved".into())))
    );
    assert_eq!(offered(&out), ["1"]);
    let counters = floor.metrics("a").counters;
    assert_eq!(counters.dispositions.get("solved"), Some(&1));
    assert_eq!(counters.dispositions_missing, 0);
    let view = floor
        .acd
        .item(floor.now, item(1))
        .expect("kept for a while");
    assert_eq!(view.disposition.as_deref(), Some("solved"));
}

#[test]
fn at_the_hard_limit_the_wrap_up_ends_and_the_disposition_counts_as_missing() {
    let mut floor = wrapping(QueueSettings {
        disposition_required: true,
        ..queue("a", &["1"])
    });
    assert_eq!(ended(&floor.wait(Duration::from_millis(599_999))), None);
    let out = floor.wait(Duration::from_millis(1));
    assert_eq!(ended(&out), Some((WrapEnd::Timer, Some("missing".into()))));
    assert_eq!(floor.metrics("a").counters.dispositions_missing, 1);
    // It may still be said, and changed.
    dispose(&mut floor, "solved");
    dispose(&mut floor, "solved");
    dispose(&mut floor, "lost");
    let counters = floor.metrics("a").counters;
    assert_eq!(counters.dispositions.get("solved"), Some(&0));
    assert_eq!(counters.dispositions.get("lost"), Some(&1));
}

#[test]
fn a_disposition_that_comes_early_does_not_shorten_a_timed_wrap_up() {
    let mut floor = wrapping(QueueSettings {
        disposition_required: true,
        ..queue("a", &["1"])
    });
    floor.wait(secs(5));
    assert_eq!(ended(&dispose(&mut floor, "solved")), None);
    assert_eq!(ended(&floor.wait(Duration::from_millis(9_999))), None);
    let out = floor.wait(Duration::from_millis(1));
    assert_eq!(ended(&out), Some((WrapEnd::Timer, Some("solved".into()))));
}

#[test]
fn each_mode_ends_as_it_says_and_none_later_than_the_hard_limit() {
    let hard = secs(120);
    let mode = |wrap_mode| {
        wrapping(QueueSettings {
            wrap_mode,
            wrap_hard_max: hard,
            ..queue("a", &["1"])
        })
    };
    let mut floor = mode(WrapMode::Manual);
    assert_eq!(ended(&floor.wait(secs(119))), None);
    let out = end(&mut floor, WrapEndedBy::Agent);
    assert_eq!(ended(&out), Some((WrapEnd::Agent, None)));

    let mut floor = mode(WrapMode::Manual);
    let out = floor.wait(hard);
    assert_eq!(ended(&out), Some((WrapEnd::Timer, None)), "hard limit");

    let mut floor = mode(WrapMode::UntilDisposition);
    assert_eq!(end(&mut floor, WrapEndedBy::Agent), []);
    assert_eq!(ended(&floor.wait(secs(119))), None);
    let out = dispose(&mut floor, "solved");
    let said = Some((WrapEnd::Disposition, Some("solved".into())));
    assert_eq!(ended(&out), said);

    let mut floor = mode(WrapMode::UntilDisposition);
    let out = end(&mut floor, WrapEndedBy::Supervisor);
    let missing = Some("missing".into());
    assert_eq!(ended(&out), Some((WrapEnd::Supervisor, missing)));

    let floor = mode(WrapMode::None);
    assert_eq!(floor.state("1"), AgentDisplay::Ready);
}

#[test]
fn a_disposition_said_during_the_call_is_enough() {
    let settings = QueueSettings {
        wrap_mode: WrapMode::UntilDisposition,
        ..queue("a", &["1"])
    };
    let mut floor = Floor::staffed(settings);
    floor.enter(1, "a");
    floor.connect("1");
    dispose(&mut floor, "solved");
    floor.hang_up(1, "1");
    assert_eq!(floor.state("1"), AgentDisplay::Ready);
}

#[test]
fn a_code_that_the_queue_does_not_have_is_refused() {
    let mut floor = wrapping(QueueSettings {
        wrap_mode: WrapMode::UntilDisposition,
        dispositions: vec!["solved".into(), "lost".into()],
        ..queue("a", &["1"])
    });
    assert_eq!(
        floor.acd.disposition_refused(item(1), "mood"),
        Some(DispositionRefused::UnknownCode(vec![
            "solved".into(),
            "lost".into()
        ]))
    );
    assert_eq!(dispose(&mut floor, "mood"), []);
    assert_eq!(floor.state("1"), AgentDisplay::Wrap);
    floor.enter(2, "a");
    assert_eq!(
        floor.acd.disposition_refused(item(2), "solved"),
        Some(DispositionRefused::NotServed)
    );
    assert_eq!(
        floor.acd.disposition_refused(item(9), "solved"),
        Some(DispositionRefused::NotServed)
    );
}

#[test]
fn a_supervisor_extends_wrap_up_at_most_to_the_hard_limit() {
    let mut floor = wrapping(queue("a", &["1"]));
    let extend = |floor: &mut Floor, by| {
        floor.send(AcdCommand::ExtendWrap {
            agent: "1".into(),
            by: secs(by),
        })
    };
    floor.wait(secs(10));
    extend(&mut floor, 60);
    assert_eq!(ended(&floor.wait(Duration::from_millis(64_999))), None);
    assert!(ended(&floor.wait(Duration::from_millis(1))).is_some());
    assert_eq!(extend(&mut floor, 60), [], "there is none");
    floor.enter(2, "a");
    floor.connect("1");
    floor.hang_up(2, "1");
    extend(&mut floor, 100_000);
    assert_eq!(ended(&floor.wait(secs(599))), None);
    assert!(ended(&floor.wait(secs(1))).is_some());
}

#[test]
fn a_wrap_up_that_waits_for_a_disposition_survives_a_restart_as_it_was() {
    let mut floor = wrapping(QueueSettings {
        disposition_required: true,
        ..queue("a", &["1"])
    });
    floor.wait(secs(60));
    let mut again = super::restore::restarted(&floor, Duration::ZERO);
    again.devices("1", 1);
    assert_eq!(again.state("1"), AgentDisplay::Wrap);
    assert_eq!(end(&mut again, WrapEndedBy::Agent), []);
    let out = dispose(&mut again, "solved");
    let said = Some((WrapEnd::Disposition, Some("solved".into())));
    assert_eq!(ended(&out), said);
}
