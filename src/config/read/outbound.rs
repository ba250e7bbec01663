//! Reads `outbound.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{Reading, To};
use crate::base::Duration;
use crate::config::fields::Fields;
use crate::directory::e164;
use crate::outbound::{
    AttemptLimit, CountryRule, Day, ListKind, ListSettings, LocalHours, NumberOrPrefix, NumberSet,
    PinRule, Presented, Recording, Rules, Zones,
};

const RECORDING: &[(&str, Recording)] = &[
    ("any", Recording::Any),
    ("required", Recording::Required),
    ("forbidden", Recording::Forbidden),
];

/// Largest file of numbers, in bytes: a register of ten million takes 130 MB.
const NUMBERS_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Reads the file.
pub fn read(reading: &mut Reading<'_>, file: &Fields<'_>) -> Rules {
    let general = hours(file, &[]);
    let holidays = days(file);
    let mut own = Vec::new();
    for zone in file.tables("zone") {
        let digits = zone.text("prefix").and_then(|text| text.strip_prefix('+'));
        let found = zone.text("zone").and_then(|name| TimeZone::get(name).ok());
        if let (Some(digits), Some(found)) = (digits, found) {
            own.push((digits.replace(' ', ""), found));
        }
    }
    let mut hours_of = BTreeMap::new();
    for country in file.tables("country") {
        let Some(code) = country.shared("code") else {
            continue;
        };
        reading.define("country", &code, country.source, country.span("code"));
        let special = match (country.node("hours"), &general) {
            (Some(_), _) => hours(&country, &holidays),
            (None, Some(general)) => {
                let mut special = general.clone();
                special.holidays.extend(days(&country));
                Some(special)
            }
            (None, None) => Some(LocalHours {
                first: 0,
                last: 24 * 60,
                holidays: days(&country),
            }),
        };
        // one that may be called at any time is named all the same, or the general hours would hold there
        let special = special.unwrap_or(LocalHours {
            first: 0,
            last: 24 * 60,
            holidays: Vec::new(),
        });
        hours_of.insert(code, special);
    }
    let countries = file.node("countries").map(|_| {
        let texts = file.texts("countries").into_iter();
        let rules = texts.map(|(text, _)| match text.strip_prefix('+') {
            Some(digits) => CountryRule::Prefix(digits.replace(' ', "").into()),
            None => CountryRule::Code(text.into()),
        });
        rules.collect()
    });
    let attempts = file.fields("attempts").map(|limit| AttemptLimit {
        per_day: limit.integer("per-day").unwrap_or(3),
        gap: limit.duration("gap").unwrap_or(Duration::ZERO),
    });
    let emergency = match file.node("emergency") {
        Some(_) => {
            let texts = file.texts("emergency").into_iter();
            texts.map(|(text, _)| Arc::from(text)).collect()
        }
        None => Rules::default().emergency,
    };
    Rules {
        emergency,
        countries,
        hours: general,
        hours_of,
        zones: Arc::new(Zones::with(&own)),
        recording: file.one_of("recording", RECORDING).unwrap_or_default(),
        presented: presented(reading, file),
        attempts,
        pins: pins(reading, file),
        lists: lists(reading, file),
    }
}

/// `None` for any time on any day. `more` are holidays beside its own.
fn hours(fields: &Fields<'_>, more: &[Day]) -> Option<LocalHours> {
    let default = LocalHours::default();
    let (first, last) = match fields.text("hours") {
        Some("any") => (0, 24 * 60),
        Some(text) => LocalHours::parse(text)?,
        None => (default.first, default.last),
    };
    let mut holidays = more.to_vec();
    holidays.extend(days(fields));
    let always = (first, last) == (0, 24 * 60) && holidays.is_empty();
    (!always).then_some(LocalHours {
        first,
        last,
        holidays,
    })
}

fn days(fields: &Fields<'_>) -> Vec<Day> {
    let texts = fields.texts("holidays").into_iter();
    texts.filter_map(|(text, _)| Day::parse(text)).collect()
}

fn presented(
    reading: &mut Reading<'_>,
    file: &Fields<'_>,
) -> Option<BTreeMap<Arc<str>, Presented>> {
    file.node("number")?;
    let mut owned = BTreeMap::new();
    for number in file.tables("number") {
        let Some(text) = number.text("number").and_then(e164) else {
            continue;
        };
        let (source, span) = (number.source, number.span("number"));
        if !reading.define("number of ours", &text, source, span) {
            continue;
        }
        let mut who = Presented::default();
        for (extension, span) in number.texts("for") {
            reading.refer(To::Extension, extension, number.source, span);
            who.extensions.insert(extension.into());
        }
        for (queue, span) in number.texts("queues") {
            reading.refer(To::Queue, queue, number.source, span);
            who.queues.insert(queue.into());
        }
        owned.insert(Arc::from(text), who);
    }
    Some(owned)
}

/// A direct number is its person's to present, unless the file says who may.
pub fn own_numbers(reading: &Reading<'_>, rules: &mut Rules) {
    let Some(owned) = &mut rules.presented else {
        return;
    };
    for user in &reading.users {
        if let Some(number) = &user.number {
            let own = Presented {
                extensions: BTreeSet::from([user.extension.clone()]),
                queues: BTreeSet::new(),
            };
            owned.entry(number.clone()).or_insert(own);
        }
    }
}

fn pins(reading: &mut Reading<'_>, file: &Fields<'_>) -> BTreeMap<Arc<str>, PinRule> {
    let mut pins = BTreeMap::new();
    for pin in file.tables("pin") {
        let Some(name) = reading.name_of("PIN", &pin) else {
            continue;
        };
        let Some(code) = reading.secret(&pin, "code") else {
            continue;
        };
        let digits = code.reveal();
        let known = digits != "unknown";
        let fine =
            (4..=12).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if known && !fine {
            let message = format!("PIN `{name}` is not 4 to 12 digits: nobody can key it in");
            reading.error(pin.source, pin.span("code"), message);
        }
        let rule = PinRule {
            code,
            wrong_max: pin.integer("wrong-max").unwrap_or(3),
            lock: pin.duration("lock").unwrap_or(Duration::from_secs(900)),
        };
        pins.insert(name, rule);
    }
    pins
}

fn lists(reading: &mut Reading<'_>, file: &Fields<'_>) -> Vec<ListSettings> {
    let mut lists = Vec::new();
    for fields in file.tables("list") {
        let Some(name) = fields.shared("name") else {
            continue;
        };
        let (source, span) = (fields.source, fields.span("name"));
        if !reading.define("list of numbers", &name, source, span) {
            continue;
        }
        let Some(kind) = fields.one_of("kind", ListKind::NAMES) else {
            continue;
        };
        let owner = fields.shared("owner");
        if let Some(owner) = &owner {
            reading.refer(To::Extension, owner, fields.source, fields.span("owner"));
            if kind == ListKind::DoNotCall {
                let message = "a do-not-call list is the company's, nobody's own";
                reading
                    .error(fields.source, fields.span("owner"), message)
                    .help = Some("make it a black list, or leave `owner` out".to_owned());
            }
        }
        let mut prefixes = BTreeSet::new();
        let mut keys = Vec::new();
        for (text, _) in fields.texts("numbers") {
            match NumberOrPrefix::parse(text) {
                Some(NumberOrPrefix::Number(key)) => keys.push(key),
                Some(NumberOrPrefix::Prefix(key)) => {
                    prefixes.insert(key);
                }
                None => {}
            }
        }
        let mut numbers = NumberSet::of(keys);
        if let Some(name) = fields.text("file") {
            match numbers_of_file(reading, name) {
                Ok(read) if numbers.is_empty() => numbers = read,
                Ok(_) => {
                    let message = "give `numbers` or a `file` with numbers, not both";
                    reading
                        .error(fields.source, fields.span("numbers"), message)
                        .help = Some("first digits with `*` may stand beside a file".to_owned());
                }
                Err(message) => {
                    reading
                        .error(fields.source, fields.span("file"), message)
                        .help =
                        Some("paths are relative to the configuration directory".to_owned());
                }
            }
        }
        lists.push(ListSettings {
            numbers: Arc::new(numbers),
            prefixes: Arc::new(prefixes),
            stale_after: fields.duration("stale-after"),
            place: Some(fields.place()),
            ..ListSettings::new(name, kind).owned_by(owner)
        });
    }
    lists
}

fn numbers_of_file(reading: &Reading<'_>, name: &str) -> Result<NumberSet, String> {
    let path = reading.directory_path.join(name);
    let cannot = |error: std::io::Error| format!("cannot read `{name}`: {error}");
    if std::fs::metadata(&path).map_err(cannot)?.len() > NUMBERS_BYTES_MAX {
        return Err(format!("`{name}` is larger than 512 MiB"));
    }
    let text = std::fs::read_to_string(&path).map_err(cannot)?;
    NumberSet::read(&text).map_err(|wrong| format!("`{name}`, {wrong}"))
}
