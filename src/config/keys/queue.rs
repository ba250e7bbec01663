//! The keys of `queues/*.toml`.

use super::parts::{EXTENSION, NAME, s};
use super::{Form, Key, Keys, Kind, key};
use crate::acd::{OverflowWhen, RonaAction};
use crate::config::units::duration;

/// Names of the strategies.
pub const STRATEGIES: &[&str] = &[
    "longest-idle",
    "most-proficient",
    "fewest-calls",
    "least-occupied",
    "round-robin",
    "fixed",
    "random",
    "ring-all",
];

/// What may end wrap-up.
pub const WRAP_MODES: &[&str] = &["timed", "until-disposition", "manual", "none"];

const SERVICE_LEVEL: Keys = Keys::of(
    "`service-level`",
    &[
        key(
            "within",
            Kind::Duration(s(1), s(86_400)),
            "Answered within this wait.",
        )
        .default("\"20s\""),
        key("target", Kind::Number(0.0, 1.0), "Wanted share.").default("0.8"),
    ],
);

const ANNOUNCE: Keys = Keys::of(
    "`announce`",
    &[
        key(
            "every",
            Kind::Duration(s(5), s(3600)),
            "Time between announcements.",
        )
        .default("\"45s\""),
        key("position", Kind::Flag, "Say the place in the queue.").default("false"),
        key("wait", Kind::Flag, "Say the expected wait as a band.").default("false"),
    ],
);

const AGENT: Keys = Keys::of(
    "an agent of a queue",
    &[
        key("extension", EXTENSION, "Extension of the person.").required(),
        key(
            "level",
            Kind::Integer(1, 100),
            "Served first by level 1; the others after `delay`.",
        )
        .default("1"),
        key(
            "rank",
            Kind::Integer(1, 10_000),
            "Order inside the level, 1 first.",
        )
        .default("1"),
        key(
            "delay",
            Kind::Duration(s(0), s(86_400)),
            "A call must have waited this long, unless nobody of a lower level is there.",
        )
        .default("\"0s\""),
        key(
            "enabled",
            Kind::Flag,
            "Where the toggle stands until somebody moves it.",
        )
        .default("true"),
    ],
);

const WHEN: Kind = Kind::Form(&Form {
    what: "`waited 20m`, `expected-wait 10m`, `max-wait`, `nobody-logged-in`, `nobody-ready 2m`, `closed` or `full`",
    example: "waited 20m",
    check: |text| overflow_when(text).map(|_| ()),
});

const OVERFLOW: Keys = Keys::of(
    "an overflow rule",
    &[
        key("when", WHEN, "When a waiting call leaves.").required(),
        key(
            "do",
            Kind::Steps,
            "Its steps then; after them, those after the `queue` step.",
        )
        .required(),
    ],
);

const ACTION: Kind = Kind::Form(&Form {
    what: "`not-ready`, `cooldown 30s` or `next-only`",
    example: "not-ready",
    check: |text| rona_action(text).map(|_| ()),
});

const RONA: Keys = Keys::of(
    "`rona`",
    &[
        key(
            "after",
            Kind::Integer(1, 100),
            "Unanswered offers in a row.",
        )
        .default("2"),
        key("action", ACTION, "What happens to the agent.").default("\"not-ready\""),
    ],
);

const EXPAND: Keys = Keys::of(
    "a ring of `expand`",
    &[
        key(
            "after",
            Kind::Duration(s(1), s(86_400)),
            "Wait in this queue.",
        )
        .required(),
        key(
            "min-delta",
            Kind::Integer(0, 9),
            "Proficiencies asked for are lower by this, but at least 1.",
        )
        .default("0"),
        key(
            "drop",
            Kind::OneOrMore(&NAME),
            "Skills that are not asked for any more.",
        ),
        key(
            "add-queues",
            Kind::OneOrMore(&NAME),
            "Queues whose agents serve this one too.",
        ),
        key(
            "add-agents",
            Kind::OneOrMore(&EXTENSION),
            "Extensions that serve this queue too.",
        ),
    ],
);

const KEYPAD: Kind = Kind::Form(&Form {
    what: "one key of a telephone",
    example: "1",
    check: |text| match text.as_bytes() {
        [b'0'..=b'9' | b'*' | b'#'] => Ok(()),
        _ => Err(format!("`{text}` is not one key of a telephone")),
    },
});

const CALLBACK: Keys = Keys::of(
    "`callback`",
    &[
        key(
            "digit",
            KEYPAD,
            "The key by which a waiting caller asks to be called back.",
        ),
        key(
            "offer-after",
            Kind::Duration(s(0), s(86_400)),
            "When callers who wait are told of the key.",
        ),
        key(
            "cap",
            Kind::Integer(0, 10_000),
            "Most callbacks that wait at a time; for those of one agent also its concurrent calls.",
        ),
        key(
            "over-cap",
            Kind::OneOf(&["missed-unanswered"]),
            "What becomes of a request above the cap: the call goes on as a missed one.",
        )
        .default("\"missed-unanswered\""),
        key(
            "scope",
            Kind::OneOf(&["queue", "tenant"]),
            "Where a number has one callback only: in each queue, or over all.",
        )
        .default("\"queue\""),
        key(
            "expires",
            Kind::Duration(s(60), s(30 * 86_400)),
            "A callback that is not done is over after this.",
        )
        .default("\"24h\""),
        key(
            "retries",
            Kind::List(&Kind::Duration(s(10), s(7 * 86_400))),
            "A customer who is not reached is called again after these times.",
        )
        .default("[\"5m\", \"30m\", \"2h\"]"),
        key(
            "promised",
            Kind::Text,
            "Prompt for the caller who is promised one.",
        )
        .default("\"callback-promised\""),
        key(
            "identify",
            Kind::Text,
            "Prompt that the agent alone hears before the customer is called.",
        )
        .default("\"callback-identify\""),
    ],
);

const KEYS: &[Key] = &[
    key("name", NAME, "Name of the queue.").required(),
    key("was", NAME, "Its name before a rename."),
    key(
        "strategy",
        Kind::OneOf(STRATEGIES),
        "Who is offered a call when several are free.",
    )
    .default("\"longest-idle\""),
    key(
        "ring-timeout",
        Kind::Duration(s(1), s(180)),
        "How long an agent is rung.",
    )
    .default("\"20s\""),
    key(
        "wrap-up",
        Kind::Duration(s(0), s(3600)),
        "Time for after-call work.",
    )
    .default("\"15s\""),
    key(
        "wrap-mode",
        Kind::OneOf(WRAP_MODES),
        "What ends it: its time, a disposition, the agent; or none at all.",
    )
    .default("\"timed\""),
    key(
        "wrap-hard-max",
        Kind::Duration(s(1), s(86_400)),
        "However long it may go on, it ends after this.",
    )
    .default("\"10m\""),
    key(
        "disposition-required",
        Kind::Flag,
        "Whether it goes on until it was said what came of the call, up to `wrap-hard-max`.",
    )
    .default("false"),
    key(
        "dispositions",
        Kind::OneOrMore(&NAME),
        "The codes that are taken. Default: any.",
    ),
    key(
        "service-level",
        Kind::Table(&SERVICE_LEVEL),
        "What is reported as service level.",
    ),
    key(
        "short-abandon",
        Kind::Duration(s(0), s(600)),
        "An abandon before this is a short one.",
    )
    .default("\"5s\""),
    key("music", NAME, "What waiting callers hear.").default("\"default\""),
    key(
        "announce",
        Kind::Table(&ANNOUNCE),
        "What waiting callers are told. Default: nothing.",
    ),
    key(
        "hours",
        NAME,
        "Opening hours of the dialplans; outside of them nobody enters. Default: always open.",
    ),
    key(
        "at-closing",
        Kind::OneOf(&["serve", "send-on"]),
        "What becomes of callers who wait when it closes.",
    )
    .default("\"serve\""),
    key(
        "max-waiting",
        Kind::Integer(1, 1_000_000),
        "Most waiting calls. Default: no limit.",
    ),
    key(
        "max-wait",
        Kind::Either(&[Kind::OneOf(&["none"]), Kind::Duration(s(1), s(86_400))]),
        "Longest wait.",
    )
    .default("\"20m\""),
    key(
        "priority",
        Kind::Duration(s(0), s(86_400)),
        "Head start of every call of this queue.",
    )
    .default("\"0s\""),
    key(
        "weight",
        Kind::Integer(1, 100),
        "Multiplies the head start of its calls; it blocks no other queue.",
    )
    .default("1"),
    key(
        "age-scope",
        Kind::OneOf(&["work", "queue"]),
        "Calls age from their first arrival in any queue, or from their entry into this one.",
    )
    .default("\"work\""),
    key(
        "class-promote-after",
        Kind::Duration(s(1), s(86_400)),
        "A waiting call moves up one class each time it has waited so long. Default: never.",
    ),
    key(
        "skip-delay-when-unstaffed",
        Kind::Flag,
        "Whether a level's delay is skipped while nobody of a lower level is there.",
    )
    .default("true"),
    key(
        "expand",
        Kind::Tables(&EXPAND),
        "Who else may serve a call that has waited, ring by ring.",
    ),
    key("agents", Kind::Tables(&AGENT), "Who serves it."),
    key(
        "callback",
        Kind::Table(&CALLBACK),
        "Callers may be called back instead of waiting on the line.",
    ),
    key(
        "overflow",
        Kind::Tables(&OVERFLOW),
        "When calls leave without an agent; first match wins.",
    ),
    key(
        "rona",
        Kind::Table(&RONA),
        "What happens to agents who let it ring.",
    ),
    key(
        "decline-reason-required",
        Kind::Flag,
        "Whether who declines through the API must say why; a phone cannot.",
    )
    .default("false"),
    key(
        "decline-reasons",
        Kind::OneOrMore(&NAME),
        "The reasons that are taken. Default: any.",
    ),
    key(
        "decline-action",
        ACTION,
        "What happens to an agent who declines.",
    )
    .default("\"next-only\""),
    key(
        "no-reoffer",
        Kind::Duration(s(0), s(3600)),
        "For how long an agent who did not take a call is not offered it again; at most 10 s for the only one there.",
    )
    .default("\"30s\""),
    key(
        "ring-all-max",
        Kind::Integer(1, 1000),
        "Most agents that `ring-all` rings at once.",
    )
    .default("20"),
];

/// A queue.
pub const FILE: Keys = Keys::of("a queue", KEYS);

/// When calls leave.
pub fn overflow_when(text: &str) -> Result<OverflowWhen, String> {
    let (word, time) = match text.split_once(' ') {
        Some((word, time)) => (word, Some(duration(time.trim())?)),
        None => (text, None),
    };
    match (word, time) {
        ("waited", Some(time)) => Ok(OverflowWhen::Waited(time)),
        ("waited", None) => Err("`waited` needs a time, like `waited 20m`".to_owned()),
        ("expected-wait", Some(time)) => Ok(OverflowWhen::ExpectedWait(time)),
        ("expected-wait", None) => {
            Err("`expected-wait` needs a time, like `expected-wait 10m`".to_owned())
        }
        ("max-wait", None) => Ok(OverflowWhen::MaxWait),
        ("nobody-logged-in", time) => Ok(OverflowWhen::NobodyLoggedIn(time.unwrap_or_default())),
        ("nobody-ready", time) => Ok(OverflowWhen::NobodyReady(time.unwrap_or_default())),
        ("full", None) => Ok(OverflowWhen::Full),
        ("closed", None) => Ok(OverflowWhen::Closed),
        ("max-wait" | "full" | "closed", Some(_)) => Err(format!("`{word}` takes no time")),
        _ => Err(format!("`{text}` is not a reason to leave a queue")),
    }
}

/// What happens to an agent who lets it ring.
pub fn rona_action(text: &str) -> Result<RonaAction, String> {
    match text.split_once(' ') {
        None if text == "not-ready" => Ok(RonaAction::NotReady),
        None if text == "next-only" => Ok(RonaAction::NextOnly),
        None if text == "cooldown" => {
            Err("`cooldown` needs a time, like `cooldown 30s`".to_owned())
        }
        Some(("cooldown", time)) => Ok(RonaAction::Cooldown(duration(time.trim())?)),
        _ => Err(format!("`{text}` is not an action")),
    }
}
