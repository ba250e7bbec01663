//! The keys of `outbound.toml`: what may leave the house on its own account, or for an agent.

use super::parts::{EXTENSION, NAME, NUMBER, ZONE, s};
use super::{Form, Key, Keys, Kind, key};
use crate::outbound::{Day, LocalHours, NumberOrPrefix, is_country};

const SHORT: Kind = Kind::Form(&Form {
    what: "a number as it is dialled",
    example: "112",
    check: |text| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let fine = (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        fine.then_some(())
            .ok_or_else(|| format!("`{text}` is not a number as it is dialled"))
    },
});

const CODE: Kind = Kind::Form(&Form {
    what: "the ISO 3166 code of a country",
    example: "GB",
    check: country,
});

const COUNTRY_OR_PREFIX: Kind = Kind::Form(&Form {
    what: "the ISO 3166 code of a country, or the first digits of numbers",
    example: "GB",
    check: |text| match text.starts_with('+') {
        true => prefix(text),
        false => country(text),
    },
});

const PREFIX: Kind = Kind::Form(&Form {
    what: "the first digits of numbers",
    example: "+4420",
    check: prefix,
});

const ENTRY: Kind = Kind::Form(&Form {
    what: "a number, or first digits with `*`",
    example: "+442071838750",
    check: |text| {
        NumberOrPrefix::parse(text).map(|_| ()).ok_or_else(|| {
            format!("`{text}` is neither an international number nor first digits like `+44900*`")
        })
    },
});

const HOURS: Kind = Kind::Form(&Form {
    what: "a span of the day, or `any`",
    example: "08:00-21:00",
    check: |text| match text == "any" || LocalHours::parse(text).is_some() {
        true => Ok(()),
        false => Err(format!(
            "`{text}` is not a span of the day like `08:00-21:00`"
        )),
    },
});

const DAY: Kind = Kind::Form(&Form {
    what: "a date, or a day of each year",
    example: "12-25",
    check: |text| {
        Day::parse(text)
            .map(|_| ())
            .ok_or_else(|| format!("`{text}` is not a day: write `2026-12-25` or `12-25`"))
    },
});

fn country(text: &str) -> Result<(), String> {
    match is_country(text) {
        true => Ok(()),
        false if text == "UK" => Err("the United Kingdom is `GB`".to_owned()),
        false => Err(format!("there is no country `{text}`")),
    }
}

fn prefix(text: &str) -> Result<(), String> {
    match NumberOrPrefix::parse(&format!("{text}*")) {
        Some(_) => Ok(()),
        None => Err(format!("`{text}` are not first digits like `+4420`")),
    }
}

const ATTEMPTS: Keys = Keys::of(
    "`attempts`",
    &[
        key(
            "per-day",
            Kind::Integer(1, 1000),
            "Calls to one number in any 24 hours.",
        )
        .default("3"),
        key(
            "gap",
            Kind::Duration(s(0), s(7 * 86_400)),
            "Between two calls to one number.",
        )
        .default("\"0s\""),
    ],
);

const COUNTRY: Keys = Keys::of(
    "a country",
    &[
        key("code", CODE, "ISO 3166 code.").required(),
        key("hours", HOURS, "Instead of the general ones."),
        key(
            "holidays",
            Kind::OneOrMore(&DAY),
            "Days on which nobody is called there, beside the general ones.",
        ),
    ],
);

const OWN_ZONE: Keys = Keys::of(
    "a zone",
    &[
        key("prefix", PREFIX, "First digits of the numbers.").required(),
        key("zone", ZONE, "Where they are.").required(),
    ],
);

const OWN_NUMBER: Keys = Keys::of(
    "a number of ours",
    &[
        key("number", NUMBER, "The number.").required(),
        key(
            "for",
            Kind::OneOrMore(&EXTENSION),
            "Extensions that may present it. Without these and `queues`: everybody.",
        ),
        key(
            "queues",
            Kind::OneOrMore(&NAME),
            "Queues whose callbacks may present it.",
        ),
    ],
);

const PIN: Keys = Keys::of(
    "a PIN",
    &[
        key("name", NAME, "What `dial` steps call it.").required(),
        key("code", Kind::Secret, "Its digits, 4 to 12.").required(),
        key(
            "wrong-max",
            Kind::Integer(1, 20),
            "So many wrong ones in a row lock the extension out.",
        )
        .default("3"),
        key("lock", Kind::Duration(s(1), s(86_400)), "For so long.").default("\"15m\""),
    ],
);

const LIST: Keys = Keys::of(
    "a list of numbers",
    &[
        key("name", NAME, "Its name in the API.").required(),
        key(
            "kind",
            Kind::OneOf(&["do-not-call", "black", "white"]),
            "What being on it means.",
        )
        .required(),
        key(
            "owner",
            EXTENSION,
            "The extension whose own it is, of a black or white list. Without: the company's.",
        ),
        key(
            "numbers",
            Kind::OneOrMore(&ENTRY),
            "Numbers, or first digits with `*`.",
        ),
        key(
            "file",
            Kind::Text,
            "A text file with a number a line, or a CSV file with the numbers in the first column.",
        ),
        key(
            "stale-after",
            Kind::Duration(s(60), s(366 * 86_400)),
            "Without an import that is younger nobody may be called who is not on it.",
        ),
    ],
);

const KEYS: &[Key] = &[
    key(
        "emergency",
        Kind::OneOrMore(&SHORT),
        "Numbers that are always allowed.",
    )
    .default("[\"112\", \"911\", \"999\"]"),
    key(
        "countries",
        Kind::OneOrMore(&COUNTRY_OR_PREFIX),
        "What may be called. Without: every country.",
    ),
    key(
        "hours",
        HOURS,
        "When, in the time of the called number; the stricter of several zones.",
    )
    .default("\"08:00-21:00\""),
    key(
        "holidays",
        Kind::OneOrMore(&DAY),
        "Days on which nobody is called.",
    ),
    key(
        "recording",
        Kind::OneOf(&["any", "required", "forbidden"]),
        "Whether calls must be recorded, or must not.",
    )
    .default("\"any\""),
    key(
        "attempts",
        Kind::Table(&ATTEMPTS),
        "How often one number may be called. Without: as often as you like.",
    ),
    key(
        "country",
        Kind::Tables(&COUNTRY),
        "Hours and holidays of a country.",
    ),
    key(
        "zone",
        Kind::Tables(&OWN_ZONE),
        "Where numbers are, when the built-in table knows less.",
    ),
    key(
        "number",
        Kind::Tables(&OWN_NUMBER),
        "Numbers that may be presented, beside the direct numbers of people. Without: every number.",
    ),
    key(
        "pin",
        Kind::Tables(&PIN),
        "PINs for which `dial` steps ask.",
    ),
    key("list", Kind::Tables(&LIST), "Lists of numbers."),
];

/// What may leave.
pub const FILE: Keys = Keys::of("`outbound.toml`", KEYS);
