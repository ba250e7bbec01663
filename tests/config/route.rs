//! Where calls go on the shipped example.

use strowger::base::WallTime;
use strowger::dialplan::{CallFacts, Variables};

use super::shipped;

fn at(text: &str) -> WallTime {
    WallTime::from_timestamp(text.parse().expect("a time"))
}

fn steps(context: &str, to: &str, time: &str) -> Vec<String> {
    let settings = shipped();
    let facts = CallFacts {
        context: context.into(),
        from: "1001".to_owned(),
        to: to.to_owned(),
        ..CallFacts::default()
    };
    let route = settings.dialplan.route(&facts, at(time));
    let found = route.found.expect("a rule");
    let mut variables = Variables::default();
    for (name, value) in &found.captures {
        variables.set(name, value);
    }
    let mut out = vec![format!("[{}]", found.rule.name)];
    out.extend(found.steps.iter().map(|step| step.describe(&variables)));
    out
}

const FRIDAY: &str = "2026-11-20T10:00:00Z";

#[test]
fn colleagues_are_dialled_by_four_digits() {
    assert_eq!(
        steps("internal", "1002", FRIDAY),
        [
            "[colleagues]",
            "dial 1002, for 30s",
            "play unavailable",
            "hangup no-answer (480)"
        ]
    );
}

#[test]
fn the_support_line_is_closed_at_christmas() {
    assert_eq!(
        steps("inbound", "+442071838750", FRIDAY),
        ["[support line]", "answer", "play welcome", "queue support"]
    );
    assert_eq!(
        steps("inbound", "+442071838750", "2026-12-25T10:00:00Z"),
        ["[support line]", "play closed", "hangup normal (480)"]
    );
}

#[test]
fn an_exact_number_wins_over_the_direct_lines() {
    assert_eq!(
        steps("inbound", "+442071838700", FRIDAY)[0],
        "[main number]"
    );
    assert_eq!(
        steps("inbound", "+442071831002", FRIDAY),
        ["[direct lines]", "dial 1002, for 25s", "play unavailable"]
    );
    assert_eq!(steps("inbound", "+4930123", FRIDAY)[0], "[anything else]");
}

#[test]
fn the_explanation_names_each_rule_before_the_match() {
    let settings = shipped();
    let facts = CallFacts {
        context: "inbound".into(),
        to: "+442071831002".to_owned(),
        ..CallFacts::default()
    };
    let route = settings.dialplan.route(&facts, at(FRIDAY));
    let told: Vec<String> = route
        .explanation
        .iter()
        .map(|verdict| {
            format!(
                "{}: {}",
                verdict.rule,
                verdict.why_not.as_deref().unwrap_or("matches")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "support line: the called number `+442071831002` is not `+44 20 7183 8750`",
            "main number: the called number `+442071831002` is not `+44 20 7183 8700`",
            "direct lines: matches",
        ]
    );
}

#[test]
fn the_quick_search_agrees_with_the_explanation() {
    let settings = shipped();
    for context in ["internal", "inbound"] {
        for to in [
            "100",
            "200",
            "1002",
            "*43",
            "+4930123",
            "004930123",
            "+442071838750",
            "+442071831002",
            "5",
        ] {
            let facts = CallFacts {
                context: context.into(),
                to: to.to_owned(),
                ..CallFacts::default()
            };
            let explained = settings.dialplan.route(&facts, at(FRIDAY)).found;
            let found = settings
                .dialplan
                .find(context, to, &facts.variables(), at(FRIDAY));
            assert_eq!(explained, found, "{context} {to}");
        }
    }
}
