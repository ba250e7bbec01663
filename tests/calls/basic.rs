//! Registration and calls between two extensions.

use insta::assert_snapshot;
use strowger::sim::actors::{Answer, CallPlan, Carriage, HoldDialect, Order};
use strowger::sim::ladder::SERVER;

use crate::stage::{House, PAIR, answers_after, ms, s, talks};

#[test]
fn phone_registers_and_unregisters() {
    let mut stage = House::new().phone("1001", Answer::Never).open();
    stage.tell(ms(0), "1001", Order::Register);
    stage.tell(s(2), "1001", Order::Unregister);
    assert_snapshot!(stage.ladder(s(3), &["1001", SERVER]));
}

#[test]
fn phone_over_tcp_registers_and_is_called() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone_with("1002", |p| {
            p.carriage = Carriage::Tcp;
            p.answer = answers_after(s(1));
        })
        .ready();
    stage.call("1001", "1002", talks(s(2)));
    assert_snapshot!(stage.ladder(s(10), &PAIR));
}

#[test]
fn callee_answers_and_caller_hangs_up() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", answers_after(s(2)))
        .ready();
    stage.call("1001", "1002", talks(s(3)));
    assert_snapshot!(stage.ladder(s(10), &PAIR));
}

#[test]
fn callee_answers_and_hangs_up() {
    let answer = Answer::After {
        ring: s(2),
        talk: Some(s(3)),
    };
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", answer)
        .ready();
    stage.call("1001", "1002", CallPlan::default());
    assert_snapshot!(stage.ladder(s(10), &PAIR));
}

#[test]
fn caller_gives_up_while_it_rings() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", Answer::Never)
        .ready();
    let plan = CallPlan {
        patience: Some(s(4)),
        ..CallPlan::default()
    };
    stage.call("1001", "1002", plan);
    assert_snapshot!(stage.ladder(s(10), &PAIR));
}

#[test]
fn callee_is_busy() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", Answer::Busy)
        .ready();
    stage.call("1001", "1002", CallPlan::default());
    assert_snapshot!(stage.ladder(s(5), &PAIR));
}

#[test]
fn callee_declines() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", Answer::Decline(s(1)))
        .ready();
    stage.call("1001", "1002", CallPlan::default());
    assert_snapshot!(stage.ladder(s(5), &PAIR));
}

#[test]
fn callee_does_not_answer() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", Answer::Never)
        .ready();
    stage.call("1001", "1002", CallPlan::default());
    assert_snapshot!(stage.ladder(s(40), &PAIR));
}

fn held(dialect: HoldDialect) -> String {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", answers_after(s(1)))
        .ready();
    let plan = CallPlan {
        talk: Some(s(6)),
        hold: Some((s(2), dialect, s(2))),
        ..CallPlan::default()
    };
    stage.call("1001", "1002", plan);
    stage.ladder(s(12), &PAIR)
}

#[test]
fn caller_holds_with_sendonly_and_resumes() {
    assert_snapshot!(held(HoldDialect::SendOnly));
}

#[test]
fn caller_holds_with_inactive_and_resumes() {
    assert_snapshot!(held(HoldDialect::Inactive));
}

#[test]
fn caller_holds_with_the_zero_address_and_resumes() {
    assert_snapshot!(held(HoldDialect::ZeroAddress));
}

#[test]
fn callee_holds_and_resumes() {
    let mut stage = House::new()
        .phone("1001", Answer::Never)
        .phone("1002", answers_after(s(1)))
        .ready();
    stage.call("1001", "1002", talks(s(8)));
    stage.tell(s(3), "1002", Order::Hold(HoldDialect::SendOnly));
    stage.tell(s(5), "1002", Order::Resume);
    assert_snapshot!(stage.ladder(s(12), &PAIR));
}
