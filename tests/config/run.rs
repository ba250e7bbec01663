//! The interpreter on files: what it asks for, step by step, and what it does when things fail.

use std::sync::Arc;

use strowger::base::WallTime;
use strowger::dialplan::{
    Action, CallFacts, DialOutcome, DialTarget, HangupCause, QueueExit, Run, StepInput,
};

use super::{House, house, shipped};

fn at() -> WallTime {
    WallTime::from_timestamp("2026-11-20T10:00:00Z".parse().expect("a time"))
}

fn run_of(settings: &strowger::config::Settings, context: &str, to: &str) -> Run {
    let facts = CallFacts {
        context: context.into(),
        from: "1001".to_owned(),
        to: to.to_owned(),
        ..CallFacts::default()
    };
    Run::start(Arc::clone(&settings.dialplan), facts)
}

/// A run of the one rule of a house whose steps are these.
fn run_with(steps: &str, more: &str) -> Run {
    let mut house: House = house();
    house.change("dialplans/internal.toml", "{ dial = \"{ext}\" }", steps);
    house.change("dialplans/internal.toml", "", more);
    run_of(&house.settings(), "internal", "1001")
}

fn play(names: &[&str]) -> Action {
    Action::Play {
        files: names.iter().map(|name| Arc::from(*name)).collect(),
        interruptible: false,
    }
}

fn hangup(cause: HangupCause) -> Action {
    Action::Hangup { cause }
}

#[test]
fn the_support_line_answers_once_plays_and_queues() {
    let mut run = run_of(&shipped(), "inbound", "+442071838750");
    assert_eq!(run.step(StepInput::Begin, at()), Action::Answer);
    assert_eq!(run.step(StepInput::Done, at()), play(&["welcome"]));
    assert_eq!(run.rule().map(|rule| &**rule), Some("support line"));
    let Action::Queue(queue) = run.step(StepInput::Done, at()) else {
        panic!("a queue");
    };
    assert_eq!(&*queue.name, "support");
    let overflow = shipped().queue("support").expect("there").overflow[0].clone();
    let left = StepInput::QueueLeft(QueueExit::Overflow(overflow));
    assert_eq!(run.step(left, at()), play(&["nobody"]));
    assert_eq!(run.step(StepInput::Done, at()), hangup(HangupCause::NORMAL));
    assert_eq!(run.step(StepInput::Done, at()), Action::End);
}

#[test]
fn a_dial_that_fails_goes_on_and_the_reason_ends_the_call() {
    let mut run = run_with("{ dial = \"{ext}\" }", "");
    let Action::Dial(dial) = run.step(StepInput::Begin, at()) else {
        panic!("a dial");
    };
    assert_eq!(dial.targets, [DialTarget::Extension("1001".into())]);
    let busy = StepInput::DialEnded(DialOutcome::Busy);
    assert_eq!(run.step(busy, at()), hangup(HangupCause::BUSY));
    let mut run = run_with("{ dial = \"{ext}\" }, { play = \"unavailable\" }", "");
    run.step(StepInput::Begin, at());
    let late = StepInput::DialEnded(DialOutcome::NoAnswer);
    assert_eq!(run.step(late, at()), Action::Answer);
    assert_eq!(run.step(StepInput::Done, at()), play(&["unavailable"]));
    assert_eq!(
        run.step(StepInput::Done, at()),
        hangup(HangupCause::NO_ANSWER)
    );
}

#[test]
fn an_answered_dial_is_the_end_of_the_run() {
    let mut run = run_with("{ dial = \"{ext}\" }, { play = \"unavailable\" }", "");
    run.step(StepInput::Begin, at());
    let answered = StepInput::DialEnded(DialOutcome::Answered);
    assert_eq!(run.step(answered, at()), hangup(HangupCause::NORMAL));
    assert!(run.is_over());
}

#[test]
fn numbers_go_through_trunks_and_groups_become_extensions() {
    let mut run = run_of(&shipped(), "internal", "004930123456");
    let Action::Dial(dial) = run.step(StepInput::Begin, at()) else {
        panic!("a dial");
    };
    assert_eq!(
        dial.targets,
        [DialTarget::Trunk {
            number: "+4930123456".into(),
            trunks: vec!["acme".into()]
        }]
    );
    assert_eq!(dial.caller_id.as_deref(), Some("+442071838750"));
    let mut run = run_of(&shipped(), "internal", "100");
    let Action::Dial(dial) = run.step(StepInput::Begin, at()) else {
        panic!("a dial");
    };
    assert_eq!(dial.targets.len(), 2);
}

#[test]
fn a_menu_repeats_then_gives_up() {
    let mut run = run_of(&shipped(), "inbound", "+442071838700");
    assert_eq!(run.step(StepInput::Begin, at()), Action::Answer);
    let asked = |action: Action| matches!(action, Action::Collect { max_digits: 1, .. });
    assert!(asked(run.step(StepInput::Done, at())));
    assert_eq!(
        run.step(StepInput::Digits("7".into()), at()),
        play(&["not-valid"])
    );
    assert!(asked(run.step(StepInput::Done, at())));
    assert!(asked(run.step(StepInput::NoDigits, at())));
    assert!(matches!(
        run.step(StepInput::NoDigits, at()),
        Action::Queue(_)
    ));
    let full = StepInput::QueueLeft(QueueExit::Full);
    assert_eq!(run.step(full, at()), hangup(HangupCause::CONGESTION));
}

#[test]
fn a_menu_choice_runs_its_steps() {
    let mut run = run_of(&shipped(), "inbound", "+442071838700");
    run.step(StepInput::Begin, at());
    run.step(StepInput::Done, at());
    assert!(matches!(
        run.step(StepInput::Digits("1".into()), at()),
        Action::Dial(_)
    ));
}

#[test]
fn collected_digits_become_a_variable_and_too_few_are_asked_again() {
    let steps = "{ collect = \"pin\", max-digits = 4, min-digits = 4, none = [ { hangup = \"declined\" } ] }, { say = { digits = \"{pin}\" } }";
    let mut run = run_with(steps, "");
    assert_eq!(run.step(StepInput::Begin, at()), Action::Answer);
    assert!(matches!(
        run.step(StepInput::Done, at()),
        Action::Collect { .. }
    ));
    assert!(matches!(
        run.step(StepInput::Digits("12".into()), at()),
        Action::Collect { .. }
    ));
    assert_eq!(
        run.step(StepInput::Digits("1230".into()), at()),
        play(&["digits/1", "digits/2", "digits/3", "digits/0"])
    );
    let mut run = run_with(steps, "");
    run.step(StepInput::Begin, at());
    run.step(StepInput::Done, at());
    run.step(StepInput::NoDigits, at());
    assert_eq!(
        run.step(StepInput::NoDigits, at()),
        hangup(HangupCause::DECLINED)
    );
}

#[test]
fn a_refused_feature_never_says_that_it_was_done() {
    let mut run = run_of(&shipped(), "internal", "*45");
    assert_eq!(run.step(StepInput::Begin, at()), Action::Answer);
    assert!(matches!(
        run.step(StepInput::Done, at()),
        Action::Feature(_)
    ));
    let refused = StepInput::Refused("not an agent".into());
    assert_eq!(run.step(refused, at()), play(&["not-an-agent"]));
    assert_eq!(run.step(StepInput::Done, at()), hangup(HangupCause::NORMAL));
}

#[test]
fn a_plan_that_goes_in_circles_ends() {
    let mut run = run_with("{ goto = \"internal\" }", "");
    assert_eq!(
        run.step(StepInput::Begin, at()),
        hangup(HangupCause::FAILURE)
    );
    assert!(
        run.take_log()
            .iter()
            .any(|line| line.contains("in circles"))
    );
    // A menu that calls itself may go on as long as the caller does, but not for ever.
    let menu = "[menu.main]\nprompt = \"main-menu\"\n\"1\" = [ { menu = \"main\" } ]";
    let mut run = run_with("{ menu = \"main\" }", menu);
    run.step(StepInput::Begin, at());
    run.step(StepInput::Done, at());
    for _ in 0..1000 {
        let action = run.step(StepInput::Digits("1".into()), at());
        assert!(matches!(action, Action::Collect { .. }), "{action:?}");
    }
}

#[test]
fn hanging_up_ends_every_step() {
    let mut run = run_of(&shipped(), "inbound", "+442071838750");
    run.step(StepInput::Begin, at());
    assert_eq!(run.step(StepInput::HungUp, at()), Action::End);
    assert_eq!(run.step(StepInput::Done, at()), Action::End);
}

#[test]
fn a_number_that_no_rule_takes_is_not_found() {
    let mut run = run_of(&shipped(), "internal", "5");
    assert_eq!(
        run.step(StepInput::Begin, at()),
        hangup(HangupCause::NOT_FOUND)
    );
}
