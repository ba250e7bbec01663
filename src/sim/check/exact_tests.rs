//! What a checker once took for a fault and is none, and beside each the fault that it must still find.

use serde_json::json;

use super::tests::{Story, answer, bites, invite, message};
use super::*;
use crate::sim::world::CrashPoint;

#[test]
fn number_that_could_not_be_written_may_come_again_after_a_death_and_no_other() {
    let notify = |branch: &str| message("NOTIFY sip:b@x SIP/2.0", ("a", "t"), branch, "5 NOTIFY");
    let check = dialogs::sequence_numbers_rise;
    let unwritten = Story::default()
        .push(Happening::JournalRefuses(true))
        .leaves(&notify("1"))
        .push(Happening::Crash(CrashPoint::Between))
        .leaves(&notify("2"));
    assert_eq!(unwritten.verdict(check), None);
    let alive = Story::default()
        .push(Happening::JournalRefuses(true))
        .leaves(&notify("1"))
        .leaves(&notify("2"));
    bites(&alive, check, "CSeq 5 after 5");
    let written = Story::default()
        .leaves(&notify("1"))
        .push(Happening::JournalRefuses(true))
        .push(Happening::Crash(CrashPoint::Between))
        .leaves(&notify("2"));
    bites(&written, check, "CSeq 5 after 5");
    let late = Story::default()
        .push(Happening::JournalRefuses(true))
        .leaves(&notify("1"))
        .push(Happening::JournalRefuses(false))
        .push(Happening::Crash(CrashPoint::Between))
        .leaves(&notify("2"));
    bites(&late, check, "CSeq 5 after 5");
}

#[test]
fn bye_that_was_out_of_order_ends_nothing() {
    let check = dialogs::bye_only_in_dialogs;
    let story = |status: &str| {
        Story::default()
            .leaves(&invite())
            .comes(&answer("200", "t"))
            .comes(&message("BYE sip:a@x SIP/2.0", ("t", "a"), "2", "1 BYE"))
            .leaves(&message(
                &format!("SIP/2.0 {status} X"),
                ("t", "a"),
                "2",
                "1 BYE",
            ))
            .leaves(&message(
                "INVITE sip:b@x SIP/2.0",
                ("a", "t"),
                "3",
                "3 INVITE",
            ))
    };
    assert_eq!(story("500").verdict(check), None);
    bites(&story("200"), check, "had ended");
    bites(&story("481"), check, "had ended");
}

#[test]
fn nobody_waits_for_an_answer_longer_than_32_seconds_after_a_cancel_whatever_rings() {
    let cancel = message("CANCEL sip:b@x SIP/2.0", ("a", ""), "1", "1 CANCEL");
    let check = dialogs::finals_are_acknowledged;
    let story = |ms: u64| {
        Story::default()
            .leaves(&invite())
            .comes(&answer("180", "t"))
            .leaves(&cancel)
            .after(1_000)
            .comes(&answer("180", "t"))
            .after(ms)
            .comes(&answer("200", "t"))
    };
    assert_eq!(story(31_500).verdict(check), None);
    bites(&story(30_500), check, "200");
}

#[test]
fn call_whose_answer_waited_for_a_prack_began_when_it_was_picked_up() {
    let closed = |secs: f64| {
        json!({"call-closed": {"id": "A", "duration_secs": secs, "legs": [
            {"call_id": "c1", "role": "caller"}, {"call_id": "c2", "role": "callee"}]}})
    };
    let callee = |text: String| text.replace("c1", "c2");
    let prack = message("PRACK sip:b@x SIP/2.0", ("a", "t"), "5", "2 PRACK");
    let story = |wait: u64| {
        Story::default()
            .comes(&invite())
            .leaves(&callee(invite()))
            .comes(&callee(answer("200", "u")))
            .after(5_000)
            .comes(&prack)
            .after(wait)
            .at_once()
            .leaves(&answer("200", "t"))
            .comes(&message("ACK sip:b@x SIP/2.0", ("a", "t"), "9", "1 ACK"))
            .after(1_000)
            .comes(&message("BYE sip:b@x SIP/2.0", ("a", "t"), "2", "3 BYE"))
            .leaves(&message("SIP/2.0 200 OK", ("a", "t"), "2", "3 BYE"))
    };
    let check = records::durations_are_true;
    assert_eq!(story(0).write(closed(6.0)).verdict(check), None);
    bites(&story(0).write(closed(20.0)), check, "lasted 6.0");
    // the PRACK had nothing to do with it
    bites(&story(100).write(closed(6.0)), check, "lasted 1.0");
}

#[test]
fn answered_call_may_be_lost_with_what_the_journal_refused_and_no_other() {
    let check = records::one_record_for_each_call;
    let refuses = Happening::JournalRefuses;
    let dies = Happening::Crash(CrashPoint::Between);
    let begun = || {
        Story::default()
            .push(refuses(true))
            .comes(&invite())
            .leaves(&answer("200", "t"))
    };
    let lost = begun().push(dies.clone()).push(refuses(false));
    assert_eq!(lost.verdict(check), None);
    bites(&begun(), check, "is in no record");
    let late = begun().push(refuses(false)).push(dies.clone());
    bites(&late, check, "is in no record");
    // its opening was written
    let before = Story::default()
        .comes(&invite())
        .push(refuses(true))
        .comes(&invite())
        .leaves(&answer("200", "t"))
        .push(dies);
    bites(&before, check, "is in no record");
}
