//! The dialplan: patterns, templates, conditions and hours as an operator may misspell them, then a call's way through the shipped
//! plans with whatever comes of each step. Input: lines of text, and behind an empty line the bytes that choose what happens.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use strowger::base::WallTime;
use strowger::config;
use strowger::dialplan::hours::Span;
use strowger::dialplan::{
    Action, CallFacts, Condition, DialOutcome, Dialplan, Pattern, QueueExit, Run, StepInput,
    Template, Variables,
};

/// The plans that are shipped.
static PLAN: LazyLock<Arc<Dialplan>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let settings = config::load(&root).expect("the shipped example is fine");
    settings.dialplan.clone()
});

/// A moment in November 2026, in microseconds.
const NOW: i64 = 1_795_000_000_000_000;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (words, choices) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut variables = Variables::default();
    let mut before: Option<Pattern> = None;
    for line in words.lines() {
        if let Some((name, value)) = line.split_once('=') {
            variables.set(name, value);
        }
        if let Some(pattern) = pattern(line) {
            if let Some(before) = &before {
                // whatever the narrower takes, the wider takes
                if pattern.covers(before)
                    && let Some(exact) = before.as_exact()
                {
                    assert!(pattern.matches(&exact).is_some(), "{pattern} and {before}");
                }
            }
            before = Some(pattern);
        }
        if let Ok(template) = Template::parse(line) {
            let rendered = template.render(&variables);
            if let Some(literal) = template.as_literal() {
                assert_eq!(rendered, literal);
            }
            assert!(!template.preview(&variables).is_empty() || rendered.is_empty());
        }
        if let Ok(condition) = Condition::parse(line) {
            let _ = condition.holds(&variables);
            let _ = condition.variables().count();
        }
        let _ = Span::parse(line);
    }
    for (line, context) in words.lines().zip(["internal", "inbound", "nowhere"]) {
        run(line, context, choices.as_bytes());
    }
});

fn pattern(line: &str) -> Option<Pattern> {
    let pattern = Pattern::parse(line).ok()?;
    let again = Pattern::parse(&pattern.to_string()).expect("what it shows can be read");
    assert_eq!(again, pattern);
    assert!(
        pattern.covers(&pattern) || line.trim().starts_with("re:"),
        "{pattern} covers itself"
    );
    if let Some(exact) = pattern.as_exact() {
        assert!(
            pattern.matches(&exact).is_some(),
            "{pattern} is exactly {exact}"
        );
    }
    let names = pattern.names();
    for number in ["1001", "+442071838750", "", "*45", line] {
        if let Some(kept) = pattern.matches(number) {
            for (name, value) in kept {
                assert!(names.contains(&name));
                assert!(number.contains(&value) || line.trim().starts_with("re:"));
            }
        }
    }
    Some(pattern)
}

/// A call to `number`; each byte of `choices` says what came of an action.
fn run(number: &str, context: &str, choices: &[u8]) {
    let facts = CallFacts {
        profile: context.into(),
        context: context.into(),
        from: "1001".to_owned(),
        to: number.to_owned(),
        ..CallFacts::default()
    };
    let at = WallTime::from_micros(NOW);
    let route = PLAN.route(&facts, at);
    let mut run = Run::start(PLAN.clone(), facts);
    let mut action = run.step(StepInput::Begin, at);
    if route.found.is_none() {
        assert!(
            matches!(action, Action::Hangup { .. }),
            "{action:?} without a rule"
        );
    }
    for choice in choices {
        if matches!(action, Action::Hangup { .. } | Action::End) {
            break;
        }
        action = run.step(outcome(*choice), at);
        let _ = run.take_log();
        let _ = (run.rule(), run.place());
    }
    assert_eq!(run.step(StepInput::HungUp, at), Action::End);
    assert!(run.is_over());
    assert_eq!(run.step(StepInput::Done, at), Action::End, "over is over");
}

fn outcome(choice: u8) -> StepInput {
    match choice % 16 {
        0..4 => StepInput::Done,
        4 => StepInput::Failed("it failed".to_owned()),
        5 => StepInput::Digits(char::from(b'0' + choice / 16 % 10).to_string()),
        6 => StepInput::Digits("*1#".to_owned()),
        7 => StepInput::NoDigits,
        8 => StepInput::DialEnded(DialOutcome::NoAnswer),
        9 => StepInput::DialEnded(DialOutcome::Failed(400 + u16::from(choice))),
        10 => StepInput::DialEnded(DialOutcome::Answered),
        11 => StepInput::QueueLeft(QueueExit::TimedOut),
        12 => StepInput::QueueLeft(QueueExit::Full),
        13 => StepInput::Refused("not now".to_owned()),
        14 => StepInput::Begin,
        _ => StepInput::DialEnded(DialOutcome::Busy),
    }
}
