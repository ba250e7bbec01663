//! Who is named after a transfer: to operators, to the phones, and in the records of both calls.

use strowger::event::{CallRecord, Outcome};
use strowger::sip::{Message, Method, Name};
use strowger::switch::{Answer, CallView, Command};

use super::parties::{Line, Parties, request, text};
use super::stage::s;

fn refer(to: &str) -> String {
    format!("Refer-To: {to}\r\n")
}

fn replacing(target: &str, other: &Line) -> String {
    refer(&format!(
        "<sip:{target}@pbx.example.com?Replaces={}>",
        other.escaped()
    ))
}

/// The only live call.
fn view(house: &mut Parties) -> CallView {
    match house.command(Command::Calls) {
        Ok(Answer::Calls(calls)) if calls.len() == 1 => calls[0].clone(),
        other => panic!("one call, not {other:?}"),
    }
}

/// Who talks with whom, as `strowger calls` says.
fn parties(house: &mut Parties) -> (String, String) {
    let view = view(house);
    (view.from.number.to_string(), view.to.number.to_string())
}

/// Roles and numbers of the legs of a live call, transferors left out.
fn seats(house: &mut Parties) -> Vec<(&'static str, String)> {
    let legs = view(house).legs;
    let here = legs.iter().filter(|leg| leg.role != "transferor");
    let mut seats: Vec<_> = here
        .map(|leg| (leg.role, leg.party.number.to_string()))
        .collect();
    seats.sort();
    seats
}

fn asserted(message: &Message) -> String {
    message
        .header(Name::PAssertedIdentity)
        .map(text)
        .unwrap_or_default()
}

/// `role number` of each leg of a record, sorted: no time passes between some of them.
fn legs(record: &CallRecord) -> Vec<String> {
    let shown = record.legs.iter();
    let mut shown: Vec<String> = shown
        .map(|leg| format!("{} {}", leg.role, leg.party.number))
        .collect();
    shown.sort();
    shown
}

fn record<'a>(house: &'a Parties, to: &str) -> &'a CallRecord {
    let found = house.records.iter().find(|record| &*record.to.number == to);
    found.expect("a record")
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_string(), b.to_string())
}

#[test]
fn attended_transfer_names_the_transferee_and_the_target() {
    for backwards in [false, true] {
        let mut house = Parties::new();
        let (a, b) = house.talk(1, 2);
        let (c, d) = house.talk(1, 3);
        // REFER on the call with 1002, or on the one with 1003
        let (on, other, first, second) = match backwards {
            false => (&a, &c, "1002", "1003"),
            true => (&c, &a, "1003", "1002"),
        };
        house.says(on, "REFER", &replacing(second, other), "");
        assert_eq!(parties(&mut house), pair(first, second));
        let expected = [
            ("callee", second.to_string()),
            ("caller", first.to_string()),
        ];
        assert_eq!(seats(&mut house), expected);
        house.pass(s(3));
        assert_eq!(seats(&mut house), expected);
        let _ = d;
        house.says(&b, "BYE", "", "");
        house.residue();
        // the call that went on
        let on_to = record(&house, first);
        assert_eq!(&*on_to.from.number, "1001");
        let came = ["callee 1002", "callee 1003", "caller 1001"];
        assert_eq!(legs(on_to), came);
        assert_eq!(&*on_to.transfers[0].to, second);
        assert_eq!(on_to.outcome, Outcome::Answered);
        assert_eq!(on_to.ended_by, "callee", "1002 was called, and hung up");
        // and the one that was left for it
        let left = record(&house, second);
        assert_eq!(legs(left), [&format!("callee {second}"), "caller 1001"]);
        assert_eq!(left.outcome, Outcome::Answered);
        assert_eq!(left.ended_by, "transfer");
        assert!(left.legs.iter().all(|leg| leg.answered_at.is_some()));
    }
}

#[test]
fn phones_that_follow_changes_of_from_are_named_each_other() {
    let mut house = Parties::new();
    let follows = "Supported: from-change\r\n";
    house.calls_with(2, "1001", follows);
    let a = house.answers(1, 200);
    let c = house.calls(1, "1003");
    house.answers_saying(3, 200, "", &[(Name::Supported, "from-change")]);
    let c = house.line(&c);
    house.says(&a, "REFER", &replacing("1003", &c), "");
    for (party, shown) in [(2, "1003"), (3, "1002")] {
        let told = house.last(party, request(&Method::Invite));
        assert_eq!(told.from().uri.user.map(text).as_deref(), Some(shown));
        assert!(asserted(&told).contains(shown), "{}", asserted(&told));
    }
    // 1002 called, and 1001 was called: the two who are left are caller and called
    assert_eq!(parties(&mut house), pair("1002", "1003"));
}

#[test]
fn blind_transfer_names_its_target_also_to_the_transferee() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    house.says(&a, "REFER", &refer("<sip:1003@pbx.example.com>"), "");
    house.answers(3, 180);
    assert_eq!(parties(&mut house), pair("1002", "1003"), "under way");
    house.answers(3, 200);
    assert_eq!(parties(&mut house), pair("1002", "1003"));
    let told = house.last(2, request(&Method::Invite));
    assert_eq!(
        asserted(&told),
        "\"Person 1003\" <sip:1003@pbx.example.com>"
    );
    // it was rung in the name of 1002
    let fresh = |m: &Message| request(&Method::Invite)(m) && m.to_tag().is_some();
    assert_eq!(house.count(3, fresh), 0);
}

#[test]
fn failed_transfer_names_those_who_talk_again() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    house.says(&a, "REFER", &refer("<sip:1003@pbx.example.com>"), "");
    house.answers(3, 486);
    assert_eq!(parties(&mut house), pair("1001", "1002"));
    // and whom the transferor's phone is rung for
    house.says(&a, "REFER", &refer("<sip:1005@pbx.example.com>"), "");
    house.says(&a, "BYE", "", "");
    house.answers(5, 486);
    assert_eq!(parties(&mut house), pair("1002", "1001"));
    house.answers(1, 200);
    assert_eq!(parties(&mut house), pair("1002", "1001"));
}

/// 1001 talks with 1002 and gives it to 1003, who still rings.
fn given_while_ringing(house: &mut Parties) -> Line {
    let (a, b) = house.talk(1, 2);
    let c = house.rings(1, 3);
    house.says(&a, "REFER", &replacing("1003", &c), "");
    assert_eq!(house.told(1), ["200!"]);
    b
}

#[test]
fn who_was_rung_in_anothers_name_is_told_who_is_there() {
    let mut house = Parties::new();
    let b = given_while_ringing(&mut house);
    house.answers(3, 200);
    let told = house.last(3, |m| request(&Method::Invite)(m) && m.to_tag().is_some());
    assert_eq!(
        asserted(&told),
        "\"Person 1002\" <sip:1002@pbx.example.com>"
    );
    let told = house.last(2, request(&Method::Invite));
    assert_eq!(
        asserted(&told),
        "\"Person 1003\" <sip:1003@pbx.example.com>"
    );
    house.pass(s(3));
    assert_eq!(parties(&mut house), pair("1002", "1003"));
    house.says(&b, "BYE", "", "");
    house.residue();
    let record = record(&house, "1003");
    assert_eq!(record.outcome, Outcome::Answered);
    assert!(record.answered_at.is_some());
    assert_eq!(&*record.transfers[0].to, "1003");
}

#[test]
fn transfer_to_one_who_rings_and_is_busy_then_was_not_answered() {
    let mut house = Parties::new();
    given_while_ringing(&mut house);
    house.answers(3, 486);
    house.residue();
    let record = record(&house, "1003");
    assert_eq!(record.outcome, Outcome::Busy);
    assert_eq!(record.answered_at, None);
    assert_eq!(record.duration_secs, 0.0);
}

#[test]
fn customer_that_is_given_to_a_queue_is_named_with_the_queue() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    let c = house.calls(1, "8750");
    house.says(&a, "REFER", &replacing("8750", &c), "");
    assert_eq!(parties(&mut house), pair("1002", "8750"));
    house.pass(s(3));
    house.log_in("1004");
    house.answers(4, 200);
    assert_eq!(parties(&mut house), pair("1002", "8750"));
    let agent = ("agent", "1004".to_string());
    assert!(seats(&mut house).contains(&agent));
    let told = house.last(2, request(&Method::Invite));
    assert!(asserted(&told).contains("1004"), "{}", asserted(&told));
    let id = view(&mut house).id;
    house.command(Command::Hangup { id }).expect("ended");
    house.residue();
    assert_eq!(&*record(&house, "8750").transfers[0].to, "8750");
}
