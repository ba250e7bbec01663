//! `outbound.toml`: what it says is read whole, and every bad value is refused with its place and a way out.

use strowger::base::Duration;
use strowger::outbound::{CountryRule, ListKind, Recording};

use super::house;

const WHOLE: &str = r#"emergency = ["112", "999"]
countries = ["GB", "+353"]
hours     = "09:00-20:00"
holidays  = ["12-25"]
recording = "forbidden"
attempts  = { per-day = 2, gap = "2h" }

[[country]]
code     = "DE"
hours    = "09:00-18:00"
holidays = ["2026-10-03"]

[[zone]]
prefix = "+4420"
zone   = "Europe/London"

[[number]]
number = "+44 20 7183 8000"
queues = ["support"]

[[pin]]
name = "abroad"
code = "4711"

[[list]]
name    = "national"
kind    = "do-not-call"
file    = "national.csv"
stale-after = "31d"

[[list]]
name    = "premium"
kind    = "black"
numbers = ["+44900*", "+442071838001"]
"#;

#[test]
fn what_the_file_says_is_read_whole() {
    let mut house = house();
    house.file("outbound.toml", WHOLE);
    house.file(
        "national.csv",
        "number;since\n+49 30 123456;2026\n+4930123457\n",
    );
    let rules = house.settings().outbound;
    assert_eq!(rules.emergency.len(), 2);
    let countries = rules.countries.as_ref().expect("countries");
    assert_eq!(
        countries[..],
        [
            CountryRule::Code("GB".into()),
            CountryRule::Prefix("353".into())
        ]
    );
    let hours = rules.hours.as_ref().expect("hours");
    assert_eq!(
        (hours.first, hours.last, hours.holidays.len()),
        (540, 1200, 1)
    );
    let german = &rules.hours_of["DE"];
    assert_eq!(
        (german.first, german.last, german.holidays.len()),
        (540, 1080, 2)
    );
    assert_eq!(rules.recording, Recording::Forbidden);
    let attempts = rules.attempts.expect("attempts");
    assert_eq!(
        (attempts.per_day, attempts.gap),
        (2, Duration::from_secs(7200))
    );
    let pin = &rules.pins["abroad"];
    assert_eq!((pin.wrong_max, pin.lock), (3, Duration::from_secs(900)));
    let owned = rules.presented.as_ref().expect("numbers");
    assert!(owned["+442071838000"].queues.contains("support"));
    let [national, premium] = &rules.lists[..] else {
        panic!("{:?}", rules.lists);
    };
    assert_eq!(
        (national.kind, national.numbers.len()),
        (ListKind::DoNotCall, 2)
    );
    assert!(national.numbers.contains(4_930_123_456));
    assert_eq!(national.stale_after, Some(Duration::from_secs(31 * 86_400)));
    assert!(premium.prefixes.contains(&44_900) && premium.numbers.len() == 1);
    assert_eq!(
        premium.place.as_ref().map(ToString::to_string).as_deref(),
        Some("outbound.toml:31")
    );
}

#[test]
fn without_the_file_nothing_is_said() {
    let rules = house().settings().outbound;
    assert!(rules.hours.is_none() && rules.countries.is_none() && rules.presented.is_none());
    assert_eq!(rules.emergency.len(), 3);
}

#[test]
fn an_empty_file_sets_the_hours_that_are_usual() {
    let mut house = house();
    house.file("outbound.toml", "");
    let rules = house.settings().outbound;
    let hours = rules.hours.as_ref().expect("hours");
    assert_eq!((hours.first, hours.last), (480, 1260));
}

#[test]
fn holidays_hold_at_any_hour_and_those_of_a_country_beside_the_general_ones() {
    let read = |text: &str| {
        let mut house = house();
        house.file("outbound.toml", text);
        house.settings().outbound
    };
    let rules = read(
        "hours = \"any\"\nholidays = \"12-25\"\n[[country]]\ncode = \"DE\"\nholidays = \"10-03\"\n",
    );
    let hours = rules.hours.as_ref().expect("hours");
    assert_eq!(
        (hours.first, hours.last, hours.holidays.len()),
        (0, 1440, 1)
    );
    assert_eq!(rules.hours_of["DE"].holidays.len(), 2);
    let rules = read("hours = \"any\"\n[[country]]\ncode = \"DE\"\nhours = \"any\"\n");
    assert!(rules.hours.is_none());
    assert_eq!(rules.hours_of["DE"].last, 1440);
    let rules = read("[[country]]\ncode = \"DE\"\nhours = \"any\"\n");
    assert_eq!(
        (rules.hours_of["DE"].first, rules.hours_of["DE"].last),
        (0, 1440)
    );
}

#[test]
fn every_bad_value_is_refused_with_its_place_and_a_way_out() {
    let mut wrong = Vec::new();
    for (text, expected) in CASES {
        let mut house = house();
        house.file("outbound.toml", text);
        house.file("bad.csv", "+442071838750\n020 7183\n");
        let found: Vec<String> = house.problems().iter().map(ToString::to_string).collect();
        if found != *expected {
            wrong.push(format!(
                "{text}\n  expected {expected:#?}\n  found {found:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_dial_step_names_a_pin_that_is_there() {
    let mut house = house();
    house.change(
        "dialplans/internal.toml",
        "{ dial = \"{ext}\" }",
        "{ dial = \"+4930123456\", pin = \"abroud\" }",
    );
    house.file(
        "outbound.toml",
        "[[pin]]\nname = \"abroad\"\ncode = \"4711\"\n",
    );
    let found: Vec<String> = house.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["dialplans/internal.toml:5:38: error: there is no PIN `abroud` (did you mean `abroad`?)"]
    );
}

/// What the file says, problems with their help.
#[rustfmt::skip]
const CASES: &[(&str, &[&str])] = &[
    ("countrys = [\"GB\"]", &[
        "outbound.toml:1:1: error: unknown key `countrys` in `outbound.toml` (did you mean `country`?)",
    ]),
    ("countries = [\"UK\"]", &[
        "outbound.toml:1:14: error: the United Kingdom is `GB` (for example `GB`)",
    ]),
    ("countries = [\"44\"]", &[
        "outbound.toml:1:14: error: there is no country `44` (for example `GB`)",
    ]),
    ("hours = \"21:00-08:00\"", &[
        "outbound.toml:1:9: error: `21:00-08:00` is not a span of the day like `08:00-21:00` (for example `08:00-21:00`)",
    ]),
    ("holidays = [\"13-25\"]", &[
        "outbound.toml:1:13: error: `13-25` is not a day: write `2026-12-25` or `12-25` (for example `12-25`)",
    ]),
    ("attempts = { per-day = 0 }", &[
        "outbound.toml:1:24: error: `per-day` must be from 1 to 1000",
    ]),
    ("emergency = \"help\"", &[
        "outbound.toml:1:13: error: `help` is not a number as it is dialled (for example `112`)",
    ]),
    ("recording = \"maybe\"", &[
        "outbound.toml:1:13: error: `recording` cannot be `maybe` (expected `any`, `required` or `forbidden`)",
    ]),
    ("[[zone]]\nprefix = \"4420\"\nzone = \"Europe/London\"", &[
        "outbound.toml:2:10: error: `4420` are not first digits like `+4420` (for example `+4420`)",
    ]),
    ("[[country]]\ncode = \"GB\"\n[[country]]\ncode = \"GB\"", &[
        "outbound.toml:4:8: error: country `GB` is defined twice (it is already at outbound.toml:2)",
    ]),
    ("[[number]]\nnumber = \"+442071838000\"\nfor = \"1009\"", &[
        "outbound.toml:3:7: error: there is no extension `1009` (did you mean `1001`?)",
    ]),
    ("[[pin]]\nname = \"abroad\"\ncode = \"47\"", &[
        "outbound.toml:3:8: error: PIN `abroad` is not 4 to 12 digits: nobody can key it in",
    ]),
    ("[[list]]\nname = \"a\"\nkind = \"grey\"", &[
        "outbound.toml:3:8: error: `kind` cannot be `grey` (expected `do-not-call`, `black` or `white`)",
    ]),
    ("[[list]]\nname = \"a\"\nkind = \"black\"\n[[list]]\nname = \"a\"\nkind = \"white\"", &[
        "outbound.toml:5:8: error: list of numbers `a` is defined twice (it is already at outbound.toml:2)",
    ]),
    ("[[list]]\nname = \"a\"\nkind = \"do-not-call\"\nowner = \"1001\"", &[
        "outbound.toml:4:9: error: a do-not-call list is the company's, nobody's own (make it a black list, or leave `owner` out)",
    ]),
    ("[[list]]\nname = \"a\"\nkind = \"black\"\nnumbers = \"020 7183\"", &[
        "outbound.toml:4:11: error: `020 7183` is neither an international number nor first digits like `+44900*` (for example `+442071838750`)",
    ]),
    ("[[list]]\nname = \"a\"\nkind = \"black\"\nfile = \"nowhere.csv\"", &[
        "outbound.toml:4:8: error: cannot read `nowhere.csv`: No such file or directory (os error 2) (paths are relative to the configuration directory)",
    ]),
    ("[[list]]\nname = \"a\"\nkind = \"black\"\nfile = \"bad.csv\"", &[
        "outbound.toml:4:8: error: `bad.csv`, line 2: `020 7183` is not an international number like +442071838750 (paths are relative to the configuration directory)",
    ]),
];
