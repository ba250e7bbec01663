//! acd.toml §14: a queue that its hours close.

use super::*;

fn with_hours(at_closing: AtClosing, rules: &[OverflowWhen]) -> Floor {
    let rules = rules.iter().map(|when| OverflowRule { when: *when });
    let mut floor = Floor::new(vec![QueueSettings {
        at_closing,
        overflow: rules.collect(),
        callback: Some(CallbackSettings::default()),
        ..queue("q", &["1"])
    }]);
    floor.login("1");
    floor
}

fn hours(floor: &mut Floor, open: bool) -> Vec<AcdEffect> {
    floor.send(AcdCommand::QueueHours {
        queue: "q".into(),
        open,
    })
}

fn left(out: &[AcdEffect]) -> Vec<(WorkItemId, LeaveWhy, Option<usize>)> {
    out.iter()
        .filter_map(|effect| match effect {
            AcdEffect::Leave {
                item, why, steps, ..
            } => Some((*item, *why, *steps)),
            _ => None,
        })
        .collect()
}

fn told(out: &[AcdEffect]) -> Vec<bool> {
    out.iter()
        .filter_map(|effect| match effect {
            AcdEffect::Event(AcdEvent::QueueHours { open, .. }) => Some(*open),
            _ => None,
        })
        .collect()
}

#[test]
fn nobody_enters_a_closed_queue_and_who_waits_already_is_served() {
    let mut floor = with_hours(
        AtClosing::Serve,
        &[OverflowWhen::Waited(secs(600)), OverflowWhen::Closed],
    );
    floor.enter(1, "q");
    let out = hours(&mut floor, false);
    assert_eq!(told(&out), [false]);
    assert!(left(&out).is_empty(), "who waits is served");
    let view = floor.acd.queue(floor.now, "q").expect("the queue");
    assert_eq!(view.closed.as_deref(), Some("closed"));
    let out = floor.enter(2, "q");
    assert_eq!(left(&out), [(item(2), LeaveWhy::Closed, Some(1))]);
    assert!(told(&hours(&mut floor, false)).is_empty(), "it is known");
    floor.devices("1", 1);
    floor.ready("1");
    floor.connect("1");
    let counters = floor.metrics("q").counters;
    assert_eq!(
        (counters.offered, counters.answered, counters.flowed_out),
        (2, 1, 1)
    );
    assert_eq!(counters.flowed_out_by.get("closed"), Some(&1));
    floor.hang_up(1, "1");
    assert_eq!(told(&hours(&mut floor, true)), [true]);
    assert!(left(&floor.enter(3, "q")).is_empty());
}

#[test]
fn who_waits_is_sent_on_when_the_queue_says_so_and_one_who_is_rung_for_may_be_answered_first() {
    for (rules, steps) in [(vec![OverflowWhen::Closed], Some(0)), (vec![], None)] {
        let mut floor = with_hours(AtClosing::SendOn, &rules);
        floor.devices("1", 1);
        floor.enter(1, "q");
        floor.ready("1");
        let offer = floor.rings("1", 1);
        floor.alerting(offer);
        floor.enter(2, "q");
        let out = hours(&mut floor, false);
        assert_eq!(left(&out), [(item(2), LeaveWhy::Closed, steps)]);
        // it rings out: the one who was rung for goes as well
        let out = floor.ended(offer, OfferOutcome::NoAnswer);
        assert_eq!(left(&out), [(item(1), LeaveWhy::Closed, steps)]);
        assert!(floor.line("q").is_empty());
    }
    let mut floor = with_hours(AtClosing::SendOn, &[OverflowWhen::Closed]);
    floor.devices("1", 1);
    floor.enter(1, "q");
    floor.ready("1");
    let offer = floor.rings("1", 1);
    floor.alerting(offer);
    hours(&mut floor, false);
    floor.answered(offer);
    floor.bridged(offer);
    assert_eq!(floor.metrics("q").counters.answered, 1);
}

#[test]
fn nobody_is_called_back_while_the_queue_is_closed_and_the_place_is_kept() {
    let mut floor = with_hours(AtClosing::SendOn, &[]);
    let request = CallbackRequest {
        callback: item(9),
        of: None,
        queue: "q".into(),
        agent: None,
        number: "+442071830001".into(),
        credit: Duration::ZERO,
        class: 5,
        skills: Vec::new(),
        prefer: None,
        caller: CallerInfo::default(),
        call: item(1009),
    };
    let later = CallbackRequest {
        callback: item(10),
        number: "+442071830002".into(),
        ..request.clone()
    };
    floor.send(AcdCommand::RequestCallback(Box::new(later)));
    assert!(left(&hours(&mut floor, false)).is_empty());
    floor.devices("1", 1);
    floor.ready("1");
    floor.send(AcdCommand::RequestCallback(Box::new(request)));
    assert_eq!(floor.offer_of("1"), None);
    let why = floor.acd.why_item(item(9)).pop().expect("a decision");
    let verdict = &why.candidates[0].verdict;
    assert!(verdict.contains("while the queue is closed"), "{verdict}");
    floor.wait(secs(3600));
    assert_eq!(floor.line("q"), [10, 9]);
    hours(&mut floor, true);
    floor.rings("1", 10);
}

#[test]
fn a_reload_neither_opens_nor_closes() {
    let mut floor = with_hours(AtClosing::Serve, &[]);
    hours(&mut floor, false);
    let settings = floor.settings.clone();
    floor.configure(settings);
    let out = floor.enter(1, "q");
    assert_eq!(left(&out), [(item(1), LeaveWhy::Closed, None)]);
    // a queue that is not there has no hours
    let out = floor.send(AcdCommand::QueueHours {
        queue: "nowhere".into(),
        open: false,
    });
    assert!(out.is_empty());
}
