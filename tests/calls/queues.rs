//! Calls through a queue: waiting, agents on two devices, wrap-up, callers who give up.

use insta::assert_snapshot;
use strowger::sim::actors::{Answer, CallPlan};
use strowger::sim::ladder::SERVER;

use crate::stage::{House, answers_after, s, talks};

const LINE: &str = "+442071838750";

#[test]
fn queue_call_is_answered_on_one_of_two_devices() {
    let mut stage = House::new()
        .agent("1001", answers_after(s(2)))
        .phone("1001", Answer::Never)
        .carrier(Answer::Never, false)
        .ready();
    stage.call("carrier", LINE, talks(s(6)));
    assert_snapshot!(stage.ladder(s(10), &["carrier", SERVER, "1001", "1001b"]));
}

#[test]
fn next_caller_waits_until_the_wrap_up_is_over() {
    let mut stage = House::new()
        .agent("1001", answers_after(s(1)))
        .carrier(Answer::Never, false)
        .ready();
    stage.call("carrier", LINE, talks(s(4)));
    stage.world.run_for(s(2));
    stage.call("carrier", LINE, talks(s(10)));
    assert_snapshot!(stage.ladder(s(16), &["carrier", SERVER, "1001"]));
}

#[test]
fn caller_gives_up_while_the_agent_is_rung() {
    let mut stage = House::new()
        .agent("1001", Answer::Never)
        .carrier(Answer::Never, false)
        .ready();
    stage.call("carrier", LINE, talks(s(5)));
    assert_snapshot!(stage.ladder(s(8), &["carrier", SERVER, "1001"]));
}

#[test]
fn agent_who_does_not_answer_is_passed_over() {
    let mut stage = House::new()
        .agent("1001", Answer::Never)
        .agent("1002", answers_after(s(1)))
        .carrier(Answer::Never, false)
        .ready();
    stage.call(
        "carrier",
        LINE,
        CallPlan {
            talk: Some(s(25)),
            ..CallPlan::default()
        },
    );
    assert_snapshot!(stage.ladder(s(40), &["carrier", SERVER, "1001", "1002"]));
}
