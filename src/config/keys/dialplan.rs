//! The keys of `dialplans/*.toml`, and the steps.

use super::parts::{
    CONDITION, EXTENSION, LABEL, NAME, PATTERN, SPAN, TEMPLATE, VARIABLE, ZONE, ms, s,
};
use super::{Form, Key, Keys, Kind, StepKeys, key};

const CHOICE: Form = Form {
    what: "the keys to press",
    example: "1",
    check: |text| {
        let fine = !text.is_empty()
            && text.len() <= 16
            && text.chars().all(|c| c.is_ascii_digit() || "*#".contains(c));
        fine.then_some(())
            .ok_or_else(|| format!("`{text}` cannot be pressed on a telephone"))
    },
};

const MENU: Keys = Keys {
    what: "a menu",
    keys: &[
        key(
            "prompt",
            Kind::OneOrMore(&TEMPLATE),
            "What is played before.",
        )
        .required(),
        key(
            "timeout",
            Kind::Duration(s(1), s(120)),
            "Time to the first digit after the prompt.",
        )
        .default("\"6s\""),
        key(
            "digit-timeout",
            Kind::Duration(ms(500), s(60)),
            "Time between digits.",
        )
        .default("\"3s\""),
        key(
            "retries",
            Kind::Integer(0, 20),
            "How often the prompt is repeated after silence or a wrong choice.",
        )
        .default("2"),
        key(
            "invalid",
            Kind::Steps,
            "Steps after a wrong choice, each time.",
        ),
        key("none", Kind::Steps, "Steps when the repeats are used up."),
    ],
    others: Some((&CHOICE, Kind::Steps)),
};

const HOURS: Keys = Keys::of(
    "a table of opening hours",
    &[
        key(
            "zone",
            ZONE,
            "Where the times are meant. Default: the server's zone.",
        ),
        key(
            "open",
            Kind::List(&SPAN),
            "Open then. A date replaces what the weekday says.",
        )
        .required(),
        key("closed", Kind::List(&SPAN), "Closed then."),
    ],
);

const GROUP: Keys = Keys::of(
    "a ring group",
    &[
        key("extensions", Kind::List(&EXTENSION), "Who rings.").required(),
        key(
            "strategy",
            Kind::OneOf(&["parallel", "serial", "first"]),
            "In which order.",
        )
        .default("\"parallel\""),
    ],
);

const RULE: Keys = Keys::of(
    "a rule",
    &[
        key("name", LABEL, "For people, and for `goto`."),
        key(
            "number",
            Kind::OneOrMore(&PATTERN),
            "Called numbers. Default: any.",
        ),
        key("from", PATTERN, "Caller's number."),
        key("trunk", NAME, "Trunk on which the call came."),
        key(
            "header",
            Kind::Map(&Kind::Text),
            "Headers of the INVITE: a text, `*` for any, or `re:` and an expression.",
        ),
        key(
            "hours",
            NAME,
            "Opening hours; outside, `closed` runs, or the rule does not match.",
        ),
        key("language", Kind::Text, "Language of the caller."),
        key("if", CONDITION, "An expression over variables."),
        key("do", Kind::Steps, "The steps.").required(),
        key("closed", Kind::Steps, "The steps outside `hours`."),
    ],
);

const KEYS: &[Key] = &[
    key("context", NAME, "Name of the context.").required(),
    key("rule", Kind::Tables(&RULE), "What to do with which call."),
    key(
        "hours",
        Kind::Map(&Kind::Table(&HOURS)),
        "Opening hours by name.",
    ),
    key("menu", Kind::Map(&Kind::Table(&MENU)), "Menus by name."),
    key(
        "group",
        Kind::Map(&Kind::Table(&GROUP)),
        "Ring groups by name.",
    ),
];

/// A context.
pub const FILE: Keys = Keys::of("a dialplan file", KEYS);

/// Features by name.
pub const FEATURES: &[&str] = &[
    "queue-login",
    "queue-logout",
    "ready",
    "not-ready",
    "end-wrap",
    "do-not-disturb-on",
    "do-not-disturb-off",
    "ring-on",
    "ring-off",
    "echo",
    "time",
];

/// The same with what each does, for people.
pub const FEATURE_DOCS: &[(&str, &str)] = &[
    (
        "queue-login",
        "logs the agent in to all own queues, or with `queue` into that one",
    ),
    (
        "queue-logout",
        "logs the agent out of everything, or with `queue` of that queue",
    ),
    ("ready", "the agent takes work"),
    (
        "not-ready",
        "the agent takes none; `reason` is shown to supervisors",
    ),
    ("end-wrap", "ends the wrap-up now"),
    (
        "do-not-disturb-on",
        "nothing of the caller's rings; callers hear busy, queues offer nothing; for every extension",
    ),
    ("do-not-disturb-off", "ends that"),
    (
        "ring-on",
        "the phone that calls the code rings again; for every extension",
    ),
    (
        "ring-off",
        "the phone that calls the code does not ring any more; others of the same person do",
    ),
    ("echo", "the caller hears itself; for anybody"),
    ("time", "speaks the time of day; for anybody"),
];

const SAY: Keys = Keys::of(
    "`say`",
    &[
        key("number", TEMPLATE, "A whole number."),
        key("digits", TEMPLATE, "Digits one by one."),
        key(
            "time",
            Kind::Either(&[Kind::Flag, ZONE]),
            "The time of day: `true`, or a zone.",
        ),
        key("position", TEMPLATE, "A place in a queue."),
        key("date", Kind::NotYet, "The date."),
    ],
);

const TERMINATOR: Kind = Kind::Form(&Form {
    what: "one key, or `none`",
    example: "#",
    check: |text| {
        let fine = text == "none"
            || (text.chars().count() == 1
                && text.chars().all(|c| c.is_ascii_digit() || "*#".contains(c)));
        fine.then_some(())
            .ok_or_else(|| format!("`{text}` is not one key"))
    },
});

const GOTO: Kind = Kind::Form(&Form {
    what: "`context` or `context/rule name`",
    example: "internal",
    check: |text| {
        let fine = !text.is_empty() && !text.starts_with('/') && !text.ends_with('/');
        fine.then_some(())
            .ok_or_else(|| format!("`{text}` leads nowhere"))
    },
});

const CAUSES: &[&str] = &[
    "normal",
    "busy",
    "no-answer",
    "unreachable",
    "declined",
    "forbidden",
    "not-found",
    "gone",
    "incomplete",
    "congestion",
    "no-route",
    "not-acceptable",
    "failure",
];

const fn step(
    verb: &'static str,
    argument: Kind,
    options: &'static [Key],
    doc: &'static str,
) -> StepKeys {
    StepKeys {
        verb,
        argument,
        options,
        doc,
    }
}

const fn not_yet(verb: &'static str) -> StepKeys {
    step(verb, Kind::NotYet, &[], "Not available in this version.")
}

const SKILL: Keys = Keys::of(
    "a skill of a call",
    &[
        key("min", Kind::Integer(1, 10), "Least proficiency.").default("1"),
        key(
            "weight",
            Kind::Integer(1, 100),
            "Weight in the score of `most-proficient`.",
        )
        .default("1"),
        key(
            "mandatory",
            Kind::Flag,
            "Whether it keeps out who lacks it.",
        )
        .default("true"),
    ],
);

/// Every step.
pub const STEPS: &[StepKeys] = &[
    step("answer", Kind::Flag, &[], "Answers the call."),
    step(
        "ring",
        Kind::Either(&[Kind::Flag, Kind::Duration(ms(1), s(180))]),
        &[],
        "Lets the caller hear ringing, for a time if one is given.",
    ),
    step(
        "play",
        Kind::OneOrMore(&TEMPLATE),
        &[key("interruptible", Kind::Flag, "Whether a key ends it.").default("false")],
        "Plays prompts one after the other.",
    ),
    step("say", Kind::Table(&SAY), &[], "Speaks a value."),
    step("menu", NAME, &[], "Offers a menu."),
    step(
        "collect",
        Kind::Form(&VARIABLE),
        &[
            key(
                "prompt",
                Kind::OneOrMore(&TEMPLATE),
                "What is played before.",
            ),
            key("max-digits", Kind::Integer(1, 32), "Ends after this many.").default("20"),
            key("min-digits", Kind::Integer(1, 32), "Fewer count as none.").default("1"),
            key(
                "timeout",
                Kind::Duration(s(1), s(120)),
                "Time to the first digit.",
            )
            .default("\"6s\""),
            key(
                "digit-timeout",
                Kind::Duration(ms(500), s(60)),
                "Time between digits.",
            )
            .default("\"3s\""),
            key("terminator", TERMINATOR, "Ends the entry.").default("\"#\""),
            key(
                "retries",
                Kind::Integer(0, 20),
                "How often the prompt is repeated.",
            )
            .default("1"),
            key("none", Kind::Steps, "Steps when nothing usable came."),
        ],
        "Asks for digits and keeps them in a variable.",
    ),
    step("set", Kind::Map(&TEMPLATE), &[], "Sets variables."),
    step(
        "dial",
        Kind::OneOrMore(&TEMPLATE),
        &[
            key(
                "mode",
                Kind::OneOf(&["parallel", "serial", "first"]),
                "In which order. Default: that of the ring group, else parallel.",
            ),
            key(
                "timeout",
                Kind::Duration(s(1), s(180)),
                "Ring time, of each target when serial.",
            )
            .default("\"60s\""),
            key(
                "trunk",
                Kind::OneOrMore(&NAME),
                "Trunks to try in order. Default: every trunk.",
            ),
            key(
                "caller-id",
                TEMPLATE,
                "Number to present instead of the caller's.",
            ),
            key("music", NAME, "What the caller hears instead of ringing."),
            key(
                "auto-answer",
                Kind::Flag,
                "Tells phones of this house to answer by themselves, for an intercom.",
            )
            .default("false"),
            key(
                "gates",
                Kind::Flag,
                "Asks the gates of `outbound.toml` before a number is called through a trunk.",
            )
            .default("false"),
            key(
                "pin",
                NAME,
                "The PIN of `outbound.toml` that the caller must give first; the other gates are asked too.",
            ),
        ],
        "Calls an extension, a ring group, a number or a SIP URI.",
    ),
    step(
        "queue",
        TEMPLATE,
        &[
            key(
                "priority",
                Kind::Duration(s(0), s(86_400)),
                "Head start in the order of waiting.",
            )
            .default("\"0s\""),
            key(
                "class",
                Kind::Integer(0, 9),
                "Strict class, lower first; for emergencies.",
            )
            .default("5"),
            key(
                "skills",
                Kind::Map(&Kind::Either(&[Kind::Integer(1, 10), Kind::Table(&SKILL)])),
                "Least proficiency asked for.",
            ),
            key(
                "prefer",
                Kind::OneOrMore(&TEMPLATE),
                "Extensions that should serve the call.",
            ),
            key(
                "prefer-hold",
                Kind::Duration(s(0), s(3600)),
                "How long it is kept for them while one of them is there.",
            )
            .default("\"30s\""),
        ],
        "Waits in a queue.",
    ),
    step(
        "pickup",
        TEMPLATE,
        &[],
        "Takes over a call that rings at an extension; `*`: at anybody in a pickup group of the caller.",
    ),
    step(
        "park",
        TEMPLATE,
        &[
            key("timeout", Kind::Duration(s(1), s(3600)), "How long.").default("\"2m\""),
            key("music", NAME, "What is heard meanwhile.").default("\"default\""),
        ],
        "Parks a transferred caller in a slot, or connects the caller with whoever is parked there.",
    ),
    step(
        "conference",
        TEMPLATE,
        &[],
        "Takes the caller into the conference of that name, until the caller hangs up.",
    ),
    step("wait", Kind::Duration(ms(1), s(3600)), &[], "Waits."),
    step(
        "hangup",
        Kind::Either(&[Kind::OneOf(CAUSES), Kind::Integer(400, 699)]),
        &[],
        "Ends the call with a cause or a SIP status.",
    ),
    step(
        "goto",
        GOTO,
        &[key(
            "number",
            TEMPLATE,
            "Number to match there instead of the called one.",
        )],
        "Goes on in a context or a rule.",
    ),
    step("log", TEMPLATE, &[], "Writes a line to the server's log."),
    step(
        "feature",
        Kind::OneOf(FEATURES),
        &[
            key(
                "queue",
                NAME,
                "Of `queue-login` and `queue-logout`: that queue only.",
            ),
            key("reason", LABEL, "Of `not-ready`: why."),
            key("refused", Kind::Steps, "Steps for a caller who may not."),
        ],
        "Does something for the calling agent.",
    ),
    not_yet("callback"),
    not_yet("voicemail"),
    not_yet("page"),
    not_yet("http"),
    not_yet("transfer"),
    not_yet("record"),
];
