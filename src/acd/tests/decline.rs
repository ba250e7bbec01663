//! acd.toml §10.4: declining with a reason, and the outcome of every final response.

use super::*;

fn demanding() -> QueueSettings {
    QueueSettings {
        decline: Declining {
            reason_required: true,
            reasons: vec!["lunch".into(), "too-hard".into()],
            action: RonaAction::NextOnly,
        },
        ..queue("a", &["1", "2"])
    }
}

fn decline(floor: &mut Floor, offer: OfferId, reason: Option<&str>) -> Vec<AcdEffect> {
    floor.send(AcdCommand::Decline {
        offer,
        reason: reason.map(Into::into),
    })
}

#[test]
fn a_decline_without_a_valid_reason_is_refused_and_the_offer_rings_on() {
    let mut floor = Floor::staffed(demanding());
    floor.enter(1, "a");
    let offer = floor.rings("1", 1);
    let codes: Vec<Arc<str>> = vec!["lunch".into(), "too-hard".into()];
    let refused = |floor: &Floor, reason| floor.acd.decline_refused(offer, reason);
    let required = Some(DeclineRefused::ReasonRequired(codes.clone()));
    assert_eq!(refused(&floor, None), required);
    assert_eq!(refused(&floor, Some("")), required);
    let unknown = Some(DeclineRefused::UnknownReason(codes));
    assert_eq!(refused(&floor, Some("mood")), unknown);
    for reason in [None, Some(""), Some("mood")] {
        assert_eq!(decline(&mut floor, offer, reason), []);
    }
    floor.rings("1", 1);
    assert_eq!(refused(&floor, Some("lunch")), None);
}

#[test]
fn a_decline_with_a_reason_stops_the_phones_counts_it_and_goes_on_from_its_place() {
    let mut floor = Floor::staffed(demanding());
    floor.enter(1, "a");
    let offer = floor.rings("1", 1);
    floor.alerting(offer);
    let out = decline(&mut floor, offer, Some("lunch"));
    assert_eq!(cancelled(&out), [(offer, CancelReason::Withdrawn)]);
    assert_eq!(offered(&out), ["2"]);
    let told = out.iter().any(|effect| {
        matches!(effect, AcdEffect::Event(AcdEvent::AgentOfferEnded { result: OfferResult::Declined, reason, .. })
            if reason.as_deref() == Some("lunch"))
    });
    assert!(told, "{out:?}");
    let counters = floor.metrics("a").counters;
    assert_eq!(counters.offer_results.declined, 1);
    assert_eq!(counters.declined_by.get("lunch"), Some(&1));
    assert_eq!(floor.line("a"), [1]);
    // The same order again is the same decline; an answer that crosses is released.
    assert_eq!(floor.acd.decline_refused(offer, Some("lunch")), None);
    assert_eq!(decline(&mut floor, offer, Some("lunch")), []);
    let late = floor.answered(offer);
    assert_eq!(cancelled(&late), [(offer, CancelReason::Withdrawn)]);
}

#[test]
fn a_phone_that_declines_can_give_no_reason_and_is_counted_without() {
    let mut floor = Floor::staffed(demanding());
    floor.enter(1, "a");
    let offer = floor.rings("1", 1);
    floor.ended(offer, OfferOutcome::Declined);
    let counters = floor.metrics("a").counters;
    assert_eq!(counters.declined_by.get("none given"), Some(&1));
}

#[test]
fn an_answered_offer_and_one_that_is_over_cannot_be_declined() {
    let mut floor = Floor::staffed(queue("a", &["1"]));
    floor.enter(1, "a");
    let offer = floor.rings("1", 1);
    floor.answered(offer);
    let refused = Some(DeclineRefused::NotRinging);
    assert_eq!(floor.acd.decline_refused(offer, None), refused);
    assert_eq!(decline(&mut floor, offer, None), []);
    floor.bridged(offer);
    assert_eq!(floor.acd.decline_refused(offer, None), refused);
    assert_eq!(floor.acd.decline_refused(Ulid(77), None), refused);
}

#[test]
fn what_an_agent_gets_who_declines_is_the_queues_choice() {
    for (action, state) in [
        (RonaAction::NextOnly, AgentDisplay::Ready),
        (RonaAction::NotReady, AgentDisplay::NotReady),
        (RonaAction::Cooldown(secs(60)), AgentDisplay::Ready),
    ] {
        let mut settings = queue("a", &["1"]);
        settings.decline.action = action;
        settings.no_reoffer = Duration::ZERO;
        let mut floor = Floor::staffed(settings);
        floor.enter(1, "a");
        let offer = floor.rings("1", 1);
        let out = decline(&mut floor, offer, Some("any"));
        let again = action == RonaAction::NextOnly;
        assert_eq!(!offered(&out).is_empty(), again, "{action:?}");
        if !again {
            assert_eq!(floor.state("1"), state, "{action:?}");
        }
        if action == RonaAction::NotReady {
            assert_eq!(floor.agent("1").reason.as_deref(), Some("declined"));
        }
    }
}

#[test]
fn for_how_long_who_declined_is_not_asked_again_is_the_queues_choice() {
    let settings = QueueSettings {
        no_reoffer: secs(60),
        ..queue("a", &["1", "2"])
    };
    let mut floor = Floor::staffed(settings);
    floor.enter(1, "a");
    let offer = floor.rings("1", 1);
    floor.not_ready("2", "break");
    decline(&mut floor, offer, None);
    assert_eq!(offered(&floor.wait(Duration::from_millis(59_999))), [""; 0]);
    assert_eq!(offered(&floor.wait(Duration::from_millis(1))), ["1"]);
}

/// Every final response that is no success, from 300 to 699: the agent's device said it, the work item never pays for it.
#[test]
fn every_class_of_final_response_has_an_outcome_and_none_ends_the_work_item() {
    for code in 300..700u16 {
        let mut floor = Floor::staffed(queue("a", &["1", "2"]));
        floor.enter(1, "a");
        floor.enter(2, "a");
        let offer = floor.rings("1", 1);
        let out = floor.ended(offer, OfferOutcome::Failed(code));
        let result = out.iter().find_map(|effect| match effect {
            AcdEffect::Event(AcdEvent::AgentOfferEnded { result, .. }) => Some(*result),
            _ => None,
        });
        let expected = match code {
            300..400 => OfferResult::RedirectRefused,
            404 | 408 | 430 | 480 => OfferResult::Unreachable,
            486 | 600 => OfferResult::Busy,
            603 => OfferResult::Declined,
            _ => OfferResult::Failed,
        };
        assert_eq!(result, Some(expected), "{code}");
        let rona = floor.agent("1").counters.offer_results.rona;
        assert_eq!(rona, 0, "{code} is no RONA");
        assert_eq!(floor.line("a"), [1, 2], "{code}: both keep their places");
        floor.connect("2");
        assert_eq!(floor.line("a"), [1], "{code}");
        floor.hang_up(2, "2");
        floor.wait(secs(60));
        let waits_or_rings = floor.acd.item(floor.now, item(1)).expect("there");
        assert!(waits_or_rings.position.is_some(), "{code}");
        assert!(floor.metrics("a").identity_holds, "{code}");
    }
}
