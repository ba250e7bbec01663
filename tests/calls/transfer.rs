//! Transfers: blind and attended, refused, failed, taken back, and with a party that vanishes in the middle.

use strowger::event::CallFact;
use strowger::sip::{Method, Name};
use strowger::switch::{Command, Residue};

use super::parties::{CARRIER, Parties, at, request, response, settings, text};
use super::stage::s;

fn refer(to: &str) -> String {
    format!("Refer-To: {to}\r\n")
}

/// 1001 and 1002 talk, 1001 holds and transfers 1002 to 1003, who rings.
fn ringing(house: &mut Parties) -> (super::parties::Line, super::parties::Line) {
    let (a, b) = house.talk(1, 2);
    house.offers(&a, "sendonly");
    house.says(&a, "REFER", &refer("<sip:1003@pbx.example.com>"), "");
    house.answers(3, 180);
    (a, b)
}

#[test]
fn blind_transfer_rings_the_target_and_tells_the_transferor() {
    let mut house = Parties::new();
    let (a, b) = ringing(&mut house);
    house.last(1, response(&Method::Refer, 202));
    assert_eq!(house.told(1), ["100", "180"]);
    assert!(!house.hear_each_other(1, 2));
    let invite = house.last(3, request(&Method::Invite));
    assert_eq!(invite.from().uri.user, Some(&b"1002"[..]));
    assert_eq!(
        invite.header(Name::ReferredBy),
        Some(&b"<sip:1001@pbx.example.com>"[..])
    );
    house.answers(3, 200);
    assert_eq!(house.told(1), ["100", "180", "200!"]);
    assert!(house.hear_each_other(2, 3));
    house.says(&a, "BYE", "", "");
    assert!(house.hear_each_other(2, 3));
    house.says(&b, "BYE", "", "");
    house.last(3, request(&Method::Bye));
    assert_eq!(house.residue(), Residue::default());
    let record = house.records.last().expect("a record");
    assert_eq!(record.transfers.len(), 1);
    let transfer = &record.transfers[0];
    assert_eq!(
        (&*transfer.by.number, &*transfer.to, transfer.status),
        ("1001", "1003", 200)
    );
    assert_eq!(record.legs.len(), 3);
    assert_eq!(house.records.len(), 1);
}

#[test]
fn who_is_transferred_is_off_hold_and_hears_ringing() {
    use strowger::media::MediaCommand;
    let mut house = Parties::new();
    ringing(&mut house);
    // the hold crossed to 1002; now it is asked for its audio again
    let again = house.last(2, request(&Method::Invite));
    assert!(text(again.body()).contains("a=sendrecv"));
    let plays = house.media.iter().filter(|command| {
        matches!(command, MediaCommand::Play { files, repeat: true, .. } if &*files[0] == "tones/ringback")
    });
    assert_eq!(plays.count(), 1);
}

#[test]
fn transferor_that_does_not_hang_up_gets_a_bye() {
    let mut house = Parties::new();
    ringing(&mut house);
    house.answers(3, 200);
    assert_eq!(house.count(1, request(&Method::Bye)), 0);
    house.pass(s(3));
    assert_eq!(house.count(1, request(&Method::Bye)), 1);
    assert!(house.hear_each_other(2, 3));
    let id = house.switch.residue().calls;
    assert_eq!(id, 1);
}

#[test]
fn failed_transfer_gives_the_transferee_back() {
    let mut house = Parties::new();
    let (a, _) = ringing(&mut house);
    house.answers(3, 486);
    assert_eq!(house.told(1), ["100", "180", "486!"]);
    // it is back with its holder, who takes it off hold
    assert!(!house.hear_each_other(1, 2));
    house.offers(&a, "sendrecv");
    assert!(house.hear_each_other(1, 2));
    let failed = house
        .facts
        .iter()
        .any(|fact| matches!(fact, CallFact::TransferFailed { status: 486, .. }));
    assert!(failed);
    // and it can be tried again: the second subscription bears the number of its REFER
    house.says(&a, "REFER", &refer("<sip:1005@pbx.example.com>"), "");
    let notify = house.last(1, request(&Method::Notify));
    assert_eq!(notify.header(Name::Event), Some(&b"refer;id=5"[..]));
    house.answers(5, 200);
    assert!(house.hear_each_other(2, 5));
}

#[test]
fn transfer_to_nobody_fails_and_changes_nothing() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    house.says(&a, "REFER", &refer("<sip:77@pbx.example.com>"), "");
    assert_eq!(house.told(1), ["100", "404!"]);
    assert!(house.hear_each_other(1, 2));
}

#[test]
fn target_that_does_not_answer_in_time_is_given_up() {
    let mut house = Parties::new();
    let (a, _) = ringing(&mut house);
    house.pass(s(26));
    house.last(3, request(&Method::Cancel));
    assert_eq!(house.told(1), ["100", "180", "480!"]);
    house.offers(&a, "sendrecv");
    assert!(house.hear_each_other(1, 2));
}

#[test]
fn transferor_that_hung_up_is_called_back_when_nobody_answers() {
    let mut house = Parties::new();
    let (a, b) = ringing(&mut house);
    house.says(&a, "BYE", "", "");
    assert_eq!(house.count(2, request(&Method::Bye)), 0);
    house.answers(3, 603);
    // the subscription outlives the call
    assert_eq!(house.told(1), ["100", "180", "603!"]);
    let back = house.answers(1, 200);
    assert!(house.hear_each_other(1, 2));
    house.says(&back, "BYE", "", "");
    house.last(2, request(&Method::Bye));
    let _ = b;
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn call_back_that_nobody_takes_ends_the_call() {
    let mut house = Parties::new();
    let (a, _) = ringing(&mut house);
    house.says(&a, "BYE", "", "");
    house.answers(3, 486);
    house.answers(1, 180);
    house.pass(s(31));
    house.last(1, request(&Method::Cancel));
    house.last(2, request(&Method::Bye));
    house.answers(1, 487);
    house.answers(3, 487);
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn transferee_that_hangs_up_ends_the_transfer() {
    let mut house = Parties::new();
    let (_, b) = ringing(&mut house);
    house.says(&b, "BYE", "", "");
    house.last(3, request(&Method::Cancel));
    house.answers(3, 487);
    assert_eq!(house.told(1), ["100", "180", "487!"]);
    house.last(1, request(&Method::Bye));
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn callee_transfers_the_caller_out_through_a_trunk() {
    let mut house = Parties::new();
    let (_, b) = house.talk(1, 2);
    house.says(&b, "REFER", &refer("<sip:+4930777@pbx.example.com>"), "");
    let invite = house.last(CARRIER, request(&Method::Invite));
    assert_eq!(invite.uri().expect("a URI").user, Some(&b"+4930777"[..]));
    house.answers(CARRIER, 200);
    assert_eq!(house.told(2), ["100", "200!"]);
    assert!(house.hear_each_other(1, CARRIER));
}

#[test]
fn caller_from_outside_reaches_only_what_the_transferor_may_dial() {
    let mut house = Parties::new();
    let a = house.calls(CARRIER, "+442071831001");
    let b = house.answers(1, 200);
    // a raw address is never called, whoever names it
    for target in [
        "<sip:1003@attacker.invalid>",
        "<sip:+4930777@203.0.113.10>",
        "<sip:1003@198.51.100.7;transport=tcp>",
    ] {
        house.says(&b, "REFER", &refer(target), "");
        house.last(1, response(&Method::Refer, 403));
    }
    // dial strings of other programs are numbers that nobody has
    for target in [
        "<sip:sofia%2Fgateway%2Fx@pbx.example.com>",
        "<sip:1003%26echo@pbx.example.com>",
    ] {
        house.says(&b, "REFER", &refer(target), "");
        assert_eq!(house.told(1).last().map(String::as_str), Some("404!"));
    }
    assert_eq!(house.count(3, |_| true), 0);
    assert!(house.hear_each_other(CARRIER, 1));
    // and a trunk transfers nobody unless it is allowed to
    house.says(&a, "REFER", &refer("<sip:+442071831003@192.0.2.1>"), "");
    house.last(CARRIER, response(&Method::Refer, 403));
    assert_eq!(house.count(3, |_| true), 0);
}

#[test]
fn trunk_that_may_transfers_with_the_rights_of_its_own_calls() {
    let allowed = settings(|_, text| {
        text.replace(
            "options-ping = \"off\"",
            "options-ping = \"off\"\ntransfer = true",
        )
    });
    let mut house = Parties::with(allowed);
    let a = house.calls(CARRIER, "+442071831001");
    house.answers(1, 200);
    let a = house.line(&a);
    house.says(&a, "REFER", &refer("<sip:1003@192.0.2.1>"), "");
    assert_eq!(house.told(CARRIER), ["100", "404!"]);
    house.says(&a, "REFER", &refer("<sip:+442071831003@192.0.2.1>"), "");
    house.answers(3, 200);
    assert!(house.hear_each_other(1, 3));
}

#[test]
fn profile_that_may_not_transfer_refuses() {
    let refused = settings(|name, text| match name {
        "sip-profiles/internal.toml" => text.replace("name =", "transfer = false\nname ="),
        _ => text,
    });
    let mut house = Parties::with(refused);
    let (a, _) = house.talk(1, 2);
    house.says(&a, "REFER", &refer("<sip:1003@pbx.example.com>"), "");
    house.last(1, response(&Method::Refer, 403));
    assert!(house.hear_each_other(1, 2));
}

#[test]
fn broken_refers_are_refused() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    let two = format!(
        "{}{}",
        refer("<sip:1003@pbx.example.com>"),
        refer("<sip:1004@pbx.example.com>")
    );
    for (headers, code) in [
        (String::new(), 400),
        (two, 400),
        (refer("<mailto:a@example.com>"), 400),
        (refer("<sip:1003@pbx.example.com;method=BYE>"), 403),
        (refer("<sip:pbx.example.com>"), 404),
    ] {
        house.says(&a, "REFER", &headers, "");
        house.last(1, response(&Method::Refer, code));
    }
    house.says(&a, "REFER", &refer("<sip:1003@pbx.example.com>"), "");
    house.says(&a, "REFER", &refer("<sip:1004@pbx.example.com>"), "");
    house.last(1, response(&Method::Refer, 491));
    assert_eq!(house.count(4, request(&Method::Invite)), 0);
}

#[test]
fn refer_outside_of_a_dialog_is_refused() {
    let mut house = Parties::new();
    let line = house.calls(1, "77");
    house.says(&line, "REFER", &refer("<sip:1003@pbx.example.com>"), "");
    let refused = house.last(1, |m| *m.method() == Method::Refer);
    assert_eq!(refused.status().map(|s| s.as_u16()), Some(403));
}

#[test]
fn program_transfers_as_a_phone_would() {
    let mut house = Parties::new();
    let (_, b) = house.talk(1, 2);
    let id = house.facts.iter().find_map(|fact| match fact {
        CallFact::Started { call, .. } => Some(*call),
        _ => None,
    });
    let id = id.expect("a call");
    let order = |by: &str, to: &str| Command::Transfer {
        id,
        by: by.into(),
        to: to.into(),
    };
    house
        .command(order("1005", "1003"))
        .expect_err("it is not in the call");
    house.command(order("1001", "1003")).expect("taken");
    house
        .command(order("1001", "1004"))
        .expect_err("one is under way");
    house.answers(3, 200);
    assert!(house.hear_each_other(2, 3));
    house.pass(s(3));
    house.last(1, request(&Method::Bye));
    house.says(&b, "BYE", "", "");
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn who_wants_no_notifies_gets_none() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    let headers = format!(
        "{}Refer-Sub: false\r\n",
        refer("<sip:1003@pbx.example.com>")
    );
    house.says(&a, "REFER", &headers, "");
    let accepted = house.last(1, response(&Method::Refer, 202));
    assert_eq!(accepted.header(Name::ReferSub), Some(&b"false"[..]));
    house.answers(3, 200);
    assert!(house.hear_each_other(2, 3));
    assert!(house.told(1).is_empty());
}

#[test]
fn transferor_that_unsubscribes_hears_no_more() {
    let mut house = Parties::new();
    let (a, _) = ringing(&mut house);
    house.says(&a, "SUBSCRIBE", "Event: refer\r\nExpires: 0\r\n", "");
    house.last(1, response(&Method::Subscribe, 200));
    assert_eq!(house.told(1), ["100", "180", "180!"]);
    house.answers(3, 200);
    assert_eq!(house.told(1).len(), 3);
    assert!(house.hear_each_other(2, 3));
}

#[test]
fn notifies_wait_for_each_other_and_the_newest_is_told() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    house.mute.push(1);
    house.says(&a, "REFER", &refer("<sip:1003@pbx.example.com>"), "");
    house.answers(3, 180);
    house.answers(3, 200);
    assert_eq!(house.told(1), ["100"]);
    let notify = house.last(1, request(&Method::Notify));
    house.mute.clear();
    house.reply_to(1, &notify, 200);
    assert_eq!(house.told(1), ["100", "200!"]);
}

#[test]
fn transferor_that_answers_no_notify_keeps_nobody_from_talking() {
    let mut house = Parties::new();
    let (a, b) = house.talk(1, 2);
    house.mute.push(1);
    house.says(&a, "REFER", &refer("<sip:1003@pbx.example.com>"), "");
    house.answers(3, 200);
    house.pass(s(40));
    assert!(house.hear_each_other(2, 3));
    house.says(&b, "BYE", "", "");
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn attended_transfer_joins_the_two_who_are_left() {
    for backwards in [false, true] {
        let mut house = Parties::new();
        let (a, b) = house.talk(1, 2);
        house.offers(&a, "sendonly");
        let (c, d) = house.talk(1, 3);
        let before = house.count(3, request(&Method::Invite));
        let (on, other) = if backwards { (&c, &a) } else { (&a, &c) };
        let target = format!("<sip:1003@pbx.example.com?Replaces={}>", other.escaped());
        house.says(on, "REFER", &refer(&target), "");
        assert_eq!(house.told(1), ["200!"]);
        assert!(house.hear_each_other(2, 3));
        // no new call reaches 1003; both are asked to be off hold
        let fresh = |m: &strowger::sip::Message| {
            m.to_tag().is_none() && *m.method() == Method::Invite && m.is_request()
        };
        assert_eq!(house.count(3, fresh), 1);
        assert_eq!(house.count(3, request(&Method::Invite)), before + 1);
        let asked = house.last(2, request(&Method::Invite));
        assert!(text(asked.body()).contains("a=sendrecv"));
        house.pass(s(3));
        assert_eq!(house.count(1, request(&Method::Bye)), 2);
        assert!(house.hear_each_other(2, 3));
        house.says(&b, "BYE", "", "");
        house.last(3, request(&Method::Bye));
        let _ = d;
        assert_eq!(house.residue(), Residue::default());
        assert_eq!(house.records.len(), 2);
        let transfers: usize = house.records.iter().map(|r| r.transfers.len()).sum();
        assert_eq!(transfers, 1);
    }
}

#[test]
fn parties_with_different_codecs_are_brought_to_a_common_one() {
    let mut house = Parties::new();
    house.codecs.insert(1, &["PCMA", "PCMU"]);
    house.codecs.insert(2, &["PCMA", "PCMU"]);
    house.codecs.insert(3, &["PCMU"]);
    let (a, _) = house.talk(1, 2);
    let (c, _) = house.talk(1, 3);
    let target = format!("<sip:1003@pbx.example.com?Replaces={}>", c.escaped());
    house.says(&a, "REFER", &refer(&target), "");
    let asked = house.last(2, request(&Method::Invite));
    assert!(text(asked.body()).contains("PCMU") && !text(asked.body()).contains("PCMA"));
    assert!(house.hear_each_other(2, 3));
}

#[test]
fn party_that_is_busy_with_a_change_of_its_own_is_asked_again() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    let (c, _) = house.talk(1, 3);
    house.refuses_once.insert(2, 491);
    let target = format!("<sip:1003@pbx.example.com?Replaces={}>", c.escaped());
    let before = house.count(2, request(&Method::Invite));
    house.says(&a, "REFER", &refer(&target), "");
    assert_eq!(house.count(2, request(&Method::Invite)), before + 1);
    house.pass(s(5));
    assert_eq!(house.count(2, request(&Method::Invite)), before + 2);
    assert!(house.hear_each_other(2, 3));
}

#[test]
fn replaces_of_nobody_or_of_somebody_else_joins_nothing() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    let (c, _) = house.talk(3, 4);
    let broken = format!("{}%3Bto-tag%3Dx", c.escaped());
    for (replaces, said) in [
        ("nobody%3Bto-tag%3Dx%3Bfrom-tag%3Dy".to_string(), "481!"),
        // another person's call is not 1001's to give
        (c.escaped(), "403!"),
        (a.escaped(), "403!"),
    ] {
        let target = format!("<sip:1003@pbx.example.com?Replaces={replaces}>");
        house.says(&a, "REFER", &refer(&target), "");
        assert_eq!(house.told(1).last().map(String::as_str), Some(said));
    }
    let target = format!("<sip:1003@pbx.example.com?Replaces={broken}>");
    house.says(&a, "REFER", &refer(&target), "");
    house.last(1, response(&Method::Refer, 400));
    assert!(house.hear_each_other(1, 2));
    assert!(house.hear_each_other(3, 4));
}

#[test]
fn transfer_to_one_who_still_rings_waits_for_the_answer() {
    let mut house = Parties::new();
    let (a, b) = house.talk(1, 2);
    let c = house.rings(1, 3);
    let target = format!("<sip:1003@pbx.example.com?Replaces={}>", c.escaped());
    house.says(&a, "REFER", &refer(&target), "");
    assert_eq!(house.told(1), ["200!"]);
    house.last(1, |m| m.status().map(|s| s.as_u16()) == Some(480));
    house.answers(3, 200);
    assert!(house.hear_each_other(2, 3));
    house.says(&b, "BYE", "", "");
    house.last(3, request(&Method::Bye));
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn agent_that_transfers_a_customer_is_free_when_the_target_answers() {
    use strowger::switch::Answer;
    let mut house = Parties::new();
    let agent = |house: &mut Parties| match house.command(Command::Agent {
        extension: "1004".into(),
    }) {
        Ok(Answer::Agent(view)) => {
            serde_json::to_value(&*view).expect("a view")["state"].to_string()
        }
        other => panic!("{other:?}"),
    };
    house.log_in("1004");
    let customer = house.calls(1, "8750");
    let served = house.answers(4, 200);
    assert!(house.hear_each_other(1, 4));
    let talking = agent(&mut house);
    house.says(&served, "REFER", &refer("<sip:1003@pbx.example.com>"), "");
    house.answers(3, 180);
    // not before anybody has the customer: a failed transfer gives it back
    assert_eq!(agent(&mut house), talking);
    house.answers(3, 200);
    assert_ne!(agent(&mut house), talking);
    assert!(house.hear_each_other(1, 3));
    house.says(&customer, "BYE", "", "");
    assert_eq!(house.residue().calls, 0);
    let record = house.records.last().expect("a record");
    assert_eq!(record.queues.len(), 1);
    assert_eq!(record.agent.as_deref(), Some("1004"));
    assert_eq!(record.transfers.len(), 1);
}

#[test]
fn customer_that_is_transferred_to_a_queue_keeps_its_piece_of_work() {
    use strowger::switch::Answer;
    let mut house = Parties::new();
    house.log_in("1004");
    house.calls(1, "8750");
    let served = house.answers(4, 200);
    let work = |house: &mut Parties| match house.command(Command::Work) {
        Ok(Answer::Work(items)) => items.iter().map(|item| item.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let before = work(&mut house);
    assert_eq!(before.len(), 1);
    house.says(&served, "REFER", &refer("<sip:8750@pbx.example.com>"), "");
    assert_eq!(house.told(4), ["100", "200!"]);
    assert_eq!(work(&mut house), before);
    // after the wrap-up the same agent may get it again; the transferor's leg is gone by then
    house.pass(s(60));
    assert_eq!(house.count(4, request(&Method::Bye)), 1);
}

#[test]
fn customer_waits_in_the_agents_place_after_an_attended_transfer_to_a_queue() {
    let mut house = Parties::new();
    let (a, b) = house.talk(1, 2);
    let c = house.calls(1, "8750");
    let target = format!("<sip:8750@pbx.example.com?Replaces={}>", c.escaped());
    house.says(&a, "REFER", &refer(&target), "");
    assert_eq!(house.told(1), ["200!"]);
    house.pass(s(3));
    house.log_in("1004");
    house.answers(4, 200);
    assert!(house.hear_each_other(2, 4));
    house.says(&b, "BYE", "", "");
    house.last(4, request(&Method::Bye));
    assert_eq!(house.residue().calls, 0);
    let _ = at(1);
}
