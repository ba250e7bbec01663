//! Queues and `queue` steps: what the files say is what the ACD is told, and what they cannot say is refused with its place.

use std::time::Duration;

use strowger::acd::{
    AgeScope, AtClosing, CallbackSettings, Declining, Expansion, OverflowWhen, QueueSettings,
    RonaAction, WrapMode,
};
use strowger::base::WallTime;
use strowger::dialplan::{CallFacts, Variables};

use super::bad_values::{Case, check};
use super::house;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn hours_and_what_becomes_of_those_who_wait_are_read_and_must_fit() {
    let closed = "overflow = [ { when = \"closed\", do = [ { hangup = \"normal\" } ] } ]\n";
    let with = |queue: &str| {
        let mut house = house();
        let office = "\n[hours.office]\nopen = [\"mon-fri 09:00-17:00\"]";
        house.change("dialplans/inbound.toml", "", office);
        house.change("queues/support.toml", "", queue);
        house
    };
    let fine = with(&format!(
        "hours = \"office\"\nat-closing = \"send-on\"\n{closed}"
    ));
    let settings = fine.settings();
    let queue = settings.queue("support").expect("read");
    assert_eq!(queue.hours.as_deref(), Some("office"));
    assert_eq!(queue.acd.at_closing, AtClosing::SendOn);
    assert_eq!(queue.acd.overflow[0].when, OverflowWhen::Closed);
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    let told = |queue: &str| {
        let found = with(queue).problems();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        told(&format!("at-closing = \"serve\"\n{closed}")),
        [
            "queues/support.toml:3:14: warning: the queue never closes: it has no `hours`",
            "queues/support.toml:4:23: warning: this rule never applies: the queue has no `hours`",
        ]
    );
    assert_eq!(
        told("hours = \"offfice\"\n"),
        ["queues/support.toml:3:9: error: there are no hours `offfice` (did you mean `office`?)"]
    );
    assert_eq!(
        told("hours = \"office\"\nat-closing = \"hang-up\"\n"),
        [
            "queues/support.toml:4:14: error: `at-closing` cannot be `hang-up` (expected `serve` or `send-on`)"
        ]
    );
}

#[test]
fn what_a_queue_file_says_is_read_whole() {
    let mut house = house();
    house.change(
        "directory/people.toml",
        "password = \"secret-1001\"",
        "password = \"secret-1001\"\nskills = { german = 5 }\n\n[[user]]\nextension = \"1002\"\nname = \"Ben Example\"\npassword = \"secret-1002\"",
    );
    house.change(
        "queues/support.toml",
        "",
        r#"weight = 3
age-scope = "queue"
class-promote-after = "5m"
skip-delay-when-unstaffed = false
wrap-mode = "until-disposition"
wrap-hard-max = "4m"
disposition-required = true
dispositions = ["solved", "lost"]
decline-reason-required = true
decline-reasons = ["lunch", "too-hard"]
decline-action = "cooldown 20s"
no-reoffer = "45s"
expand = [ { after = "30s", min-delta = 2, drop = "german" }, { after = "1m", add-queues = ["support"], add-agents = "1002" } ]
overflow = [ { when = "expected-wait 10m", do = [ { hangup = "normal" } ] } ]
"#,
    );
    let settings = house.settings();
    let queue = settings.queue("support").expect("read").acd.clone();
    assert_eq!(queue.weight, 3);
    assert_eq!(queue.age_scope, AgeScope::Queue);
    assert_eq!(queue.class_promote_after, Some(secs(300)));
    assert!(!queue.skip_delay_when_unstaffed);
    assert_eq!(queue.wrap_mode, WrapMode::UntilDisposition);
    assert_eq!(queue.wrap_hard_max, secs(240));
    assert!(queue.disposition_required);
    assert_eq!(queue.dispositions, ["solved".into(), "lost".into()]);
    let declining = Declining {
        reason_required: true,
        reasons: vec!["lunch".into(), "too-hard".into()],
        action: RonaAction::Cooldown(secs(20)),
    };
    assert_eq!(queue.decline, declining);
    assert_eq!(queue.no_reoffer, secs(45));
    let rings = [
        Expansion {
            after: secs(30),
            min_delta: 2,
            drop: vec!["german".into()],
            ..Expansion::default()
        },
        Expansion {
            after: secs(60),
            add_queues: vec!["support".into()],
            add_agents: vec!["1002".into()],
            ..Expansion::default()
        },
    ];
    assert_eq!(queue.expand, rings);
    assert_eq!(
        queue.overflow[0].when,
        OverflowWhen::ExpectedWait(secs(600))
    );
    // Who is only drawn in is an agent all the same.
    let agents = settings.acd().agents;
    assert!(agents.iter().any(|agent| &*agent.extension == "1002"));
}

/// The table of defaults (acd.toml §23), as far as this version has them.
#[test]
fn a_queue_that_says_nothing_has_the_defaults_of_the_table() {
    let settings = house().settings();
    let read = settings.queue("support").expect("read").acd.clone();
    let plain = QueueSettings {
        agents: read.agents.clone(),
        ..QueueSettings::named("support")
    };
    assert_eq!(read, plain);
    assert_eq!(read.ring_timeout, secs(20));
    assert_eq!(read.wrap_up, secs(15));
    assert_eq!(read.rona.after, 2);
    assert_eq!(read.no_reoffer, secs(30));
    assert_eq!(read.short_abandon, secs(5));
    assert_eq!(read.service_level.within, secs(20));
    assert_eq!(read.max_wait, Some(secs(20 * 60)));
    assert_eq!(read.ring_all_max, 20);
    assert_eq!(read.wrap_hard_max, secs(600));
    assert_eq!(CallbackSettings::default().ttl, secs(24 * 3600));
    let agent = &settings.acd().agents[0];
    assert_eq!(agent.max_concurrent_calls, 2);
    assert_eq!(strowger::base::limits::QUEUES_PER_AGENT_MAX, 100);
}

#[test]
fn what_a_queue_step_asks_for_is_read_whole() {
    let mut house = house();
    house.change(
        "directory/people.toml",
        "password = \"secret-1001\"",
        "password = \"secret-1001\"\nskills = { german = 5, billing = 2 }",
    );
    house.change(
        "dialplans/inbound.toml",
        "{ queue = \"support\" }",
        r#"{ queue = "support", skills = { german = 3, billing = { min = 2, weight = 4, mandatory = false } }, prefer = "1001", prefer-hold = "45s" }"#,
    );
    let facts = CallFacts {
        context: "inbound".into(),
        to: "+442071838750".to_owned(),
        ..CallFacts::default()
    };
    let settings = house.settings();
    let at = WallTime::from_millis(1_795_000_000_000);
    let found = settings.dialplan.route(&facts, at).found.expect("a rule");
    let steps = found.steps.iter();
    let steps: Vec<_> = steps
        .map(|step| step.describe(&Variables::default()))
        .collect();
    let out = steps.join("\n");
    for part in [
        "german at least 3",
        "billing preferably 2",
        "for 1001 during 45s",
    ] {
        assert!(out.contains(part), "`{part}` is missing:\n{out}");
    }
}

#[test]
fn every_bad_value_of_a_queue_is_refused_with_its_place_and_a_way_out() {
    check(CASES);
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    (r#"queues/support.toml"#, r#""#, r#"weight = 0"#, &[
        r#"queues/support.toml:3:10: error: `weight` must be from 1 to 100"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"age-scope = "call""#, &[
        r#"queues/support.toml:3:13: error: `age-scope` cannot be `call` (expected `work` or `queue`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"class-promote-after = "0s""#, &[
        r#"queues/support.toml:3:23: error: `class-promote-after` must be from 1s to 1d"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"skip-delay-when-unstaffed = "no""#, &[
        r#"queues/support.toml:3:29: error: `skip-delay-when-unstaffed` must be `true` or `false` (this is a string)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"expand = [ { min-delta = 2 } ]"#, &[
        r#"queues/support.toml:3:12: error: a ring of `expand` needs `after` (Wait in this queue.)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"expand = [ { after = "1m", min-delta = 10 }, { after = "1m" } ]"#, &[
        r#"queues/support.toml:3:40: error: `min-delta` must be from 0 to 9"#,
        r#"queues/support.toml:3:56: error: each ring of `expand` comes later than the one before"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"expand = [ { after = "1m", add-queues = "sails", add-agents = "1009" } ]"#, &[
        r#"queues/support.toml:3:41: error: there is no queue `sails` (there is: support)"#,
        r#"queues/support.toml:3:63: error: there is no extension `1009` (did you mean `1001`?)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"wrap-mode = "forever""#, &[
        r#"queues/support.toml:3:13: error: `wrap-mode` cannot be `forever` (expected `timed`, `until-disposition`, `manual` or `none`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"wrap-hard-max = "0s""#, &[
        r#"queues/support.toml:3:17: error: `wrap-hard-max` must be from 1s to 1d"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"dispositions = ["not solved"]"#, &[
        r#"queues/support.toml:3:17: error: `not solved` is not a name (for example `support`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"disposition-required = 1"#, &[
        r#"queues/support.toml:3:24: error: `disposition-required` must be `true` or `false` (this is a whole number)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"decline-action = "punish""#, &[
        r#"queues/support.toml:3:18: error: `punish` is not an action (for example `not-ready`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"decline-reasons = "no time""#, &[
        r#"queues/support.toml:3:19: error: `no time` is not a name (for example `support`)"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"no-reoffer = "2h""#, &[
        r#"queues/support.toml:3:14: error: `no-reoffer` must be from 0s to 1h"#,
    ]),
    (r#"queues/support.toml"#, r#""#, r#"overflow = [ { when = "expected-wait", do = [] } ]"#, &[
        r#"queues/support.toml:3:23: error: `expected-wait` needs a time, like `expected-wait 10m` (for example `waited 20m`)"#,
    ]),
    (r#"dialplans/inbound.toml"#, r#"{ queue = "support" }"#, r#"{ queue = "support", prefer = "1009", prefer-hold = "2h" }"#, &[
        r#"dialplans/inbound.toml:6:38: error: there is no extension `1009` (did you mean `1001`?)"#,
        r#"dialplans/inbound.toml:6:60: error: `prefer-hold` must be from 0s to 1h"#,
    ]),
    (r#"dialplans/inbound.toml"#, r#"{ queue = "support" }"#, r#"{ queue = "support", skills = { german = { min = 0, heavy = 2 } } }"#, &[
        r#"dialplans/inbound.toml:6:49: warning: nobody has the skill `german`"#,
        r#"dialplans/inbound.toml:6:57: error: `min` must be from 1 to 10"#,
        r#"dialplans/inbound.toml:6:60: error: unknown key `heavy` in a skill of a call (the keys here are `min`, `weight` and `mandatory`)"#,
    ]),
];
