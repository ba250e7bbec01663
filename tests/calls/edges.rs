//! Forks, the carrier, wrong passwords, calls to nobody, glare, peers that misbehave.

use insta::assert_snapshot;
use strowger::sim::actors::{Answer, CallPlan, Carriage, HoldDialect, Order, Rude, Rudeness};
use strowger::sim::ladder::SERVER;

use crate::stage::{House, PAIR, answers_after, ms, s, talks};

#[test]
fn fork_to_two_devices_is_won_by_the_first() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", answers_after(s(2)))
        .phone("1002", answers_after(s(5)))
        .ready();
    stage.call("1001", "1002", talks(s(3)));
    assert_snapshot!(stage.ladder(s(10), &["1001", SERVER, "1002", "1002b"]));
}

#[test]
fn both_devices_of_a_fork_answer_at_the_same_instant() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", answers_after(s(2)))
        .phone("1002", answers_after(s(2)))
        .ready();
    stage.call("1001", "1002", talks(s(3)));
    assert_snapshot!(stage.ladder(s(10), &["1001", SERVER, "1002", "1002b"]));
}

#[test]
fn call_out_through_a_carrier_that_asks_for_credentials() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .carrier(answers_after(s(2)), true)
        .ready();
    stage.call("1001", "+4930123456", talks(s(3)));
    assert_snapshot!(stage.ladder(s(10), &["1001", SERVER, "carrier"]));
}

#[test]
fn call_in_from_the_carrier_to_a_direct_line() {
    let mut stage = House::new()
        .phone("1001", answers_after(s(1)))
        .carrier(Answer::Never, false)
        .ready();
    stage.call("carrier", "+442071831001", talks(s(2)));
    assert_snapshot!(stage.ladder(s(6), &["carrier", SERVER, "1001"]));
}

#[test]
fn phone_with_a_wrong_password_stays_outside() {
    let mut stage = House::new()
        .phone_with("1001", |p| p.password = "guess".into())
        .open();
    stage.tell(ms(0), "1001", Order::Register);
    assert_snapshot!(stage.ladder(s(20), &["1001", SERVER]));
}

#[test]
fn call_to_nobody_is_refused() {
    let mut stage = House::new().phone("1001", Answer::Never).ready();
    stage.call("1001", "7777", CallPlan::default());
    assert_snapshot!(stage.ladder(s(3), &["1001", SERVER]));
}

#[test]
fn both_sides_hold_at_the_same_instant() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", answers_after(s(1)))
        .ready();
    stage.call("1001", "1002", talks(s(12)));
    stage.tell(s(3), "1001", Order::Hold(HoldDialect::SendOnly));
    stage.tell(s(3), "1002", Order::Hold(HoldDialect::SendOnly));
    assert_snapshot!(stage.ladder(s(16), &PAIR));
}

#[test]
fn device_answers_after_it_was_cancelled() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone_with("1002", |p| {
            p.answer = Answer::Never;
            p.rudeness = Rudeness::of([Rude::AnswerAfterCancel]);
        })
        .ready();
    let plan = CallPlan {
        patience: Some(s(2)),
        ..CallPlan::default()
    };
    stage.call("1001", "1002", plan);
    assert_snapshot!(stage.ladder(s(6), &PAIR));
}

#[test]
fn callee_that_vanished_is_given_up_when_the_caller_hangs_up() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", answers_after(s(1)))
        .ready();
    stage.call("1001", "1002", talks(s(5)));
    stage.tell(s(3), "1002", Order::Vanish);
    assert_snapshot!(stage.ladder(s(50), &PAIR));
}

#[test]
fn fork_that_answers_twice_after_its_cancel_is_ended_twice() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone_with("1002", |p| {
            p.answer = Answer::Never;
            p.rudeness = Rudeness::of([Rude::AnswerAfterCancel, Rude::TwoTags]);
        })
        .ready();
    let plan = CallPlan {
        patience: Some(s(2)),
        ..CallPlan::default()
    };
    stage.call("1001", "1002", plan);
    let ladder = stage.ladder(s(6), &PAIR);
    assert_eq!(ladder.matches(" BYE ").count(), 2, "{ladder}");
}

#[test]
fn fork_that_repeats_its_answer_gets_one_bye_and_an_ack_for_each() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone_with("1002", |p| {
            p.answer = answers_after(s(1));
            p.rudeness = Rudeness::of([Rude::Repeat2xx, Rude::TwoTags]);
        })
        .ready();
    stage.call("1001", "1002", talks(s(5)));
    let ladder = stage.ladder(s(30), &["1002", SERVER]);
    assert_eq!(ladder.matches(" BYE 102 ").count(), 1, "{ladder}");
    let answers = ladder.matches("200 OK (1 INVITE)").count();
    assert!(answers > 3, "{ladder}");
    assert_eq!(ladder.matches(" ACK 1 ").count(), answers, "{ladder}");
}

#[test]
fn caller_that_sent_no_ack_hears_of_the_end_on_the_connection_that_it_came_back_on() {
    let talks_briefly = Answer::After {
        ring: s(1),
        talk: Some(s(1)),
    };
    let mut stage = House::new()
        .phone_with("1001", |p| {
            p.carriage = Carriage::Tcp;
            p.rudeness = Rudeness::of([Rude::NoAck]);
        })
        .phone("1002", talks_briefly)
        .ready();
    stage.call("1001", "1002", CallPlan::default());
    stage.tell(s(4), "1001", Order::Reset);
    let ladder = stage.ladder(s(60), &["1001", SERVER]);
    assert!(ladder.contains("200 OK (1 BYE)"), "{ladder}");
}
