//! Speaks values through prompts: which sound files say a number, digits, the time, a place in line (English, the names of `prompts/README.md`).

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::base::WallTime;

/// Most characters that `digits` speaks.
const DIGITS_MAX: usize = 32;

/// Every prompt that speaking may ask for.
pub fn prompt_names() -> Vec<String> {
    let mut names: Vec<String> = (0..=20)
        .chain((30..=90).step_by(10))
        .map(|n| format!("digits/{n}"))
        .collect();
    names.extend(
        [
            "hundred",
            "thousand",
            "plus",
            "star",
            "hash",
            "the-time-is",
            "am",
            "pm",
            "o-clock",
            "oh",
            "you-are-number",
            "in-line",
            "expected-wait",
            "less-than-2-minutes",
            "2-to-5-minutes",
            "5-to-10-minutes",
            "more-than-10-minutes",
        ]
        .map(str::to_owned),
    );
    names
}

/// A whole number from 0 to 999,999, as words. `None` when the text is not one.
pub fn number(text: &str) -> Option<Vec<Arc<str>>> {
    let value: u32 = text.trim().parse().ok()?;
    if value >= 1_000_000 {
        return None;
    }
    let mut words = Vec::new();
    cardinal(value, &mut words);
    Some(words)
}

fn cardinal(value: u32, words: &mut Vec<Arc<str>>) {
    for (size, name) in [(1_000, "thousand"), (100, "hundred")] {
        if value >= size {
            cardinal(value / size, words);
            words.push(name.into());
            if !value.is_multiple_of(size) {
                cardinal(value % size, words);
            }
            return;
        }
    }
    if value <= 20 {
        words.push(format!("digits/{value}").into());
        return;
    }
    words.push(format!("digits/{}", value / 10 * 10).into());
    if !value.is_multiple_of(10) {
        words.push(format!("digits/{}", value % 10).into());
    }
}

/// Each digit, `+`, `*` and `#` by itself; other characters are passed over. `None` when nothing is left to say.
pub fn digits(text: &str) -> Option<Vec<Arc<str>>> {
    let words: Vec<Arc<str>> = text
        .chars()
        .filter_map(|c| match c {
            '0'..='9' => Some(format!("digits/{c}").into()),
            '+' => Some("plus".into()),
            '*' => Some("star".into()),
            '#' => Some("hash".into()),
            _ => None,
        })
        .take(DIGITS_MAX)
        .collect();
    (!words.is_empty()).then_some(words)
}

/// The time of day in a zone: "the time is two oh five P M", "nine o'clock A M".
pub fn time(at: WallTime, zone: &str) -> Option<Vec<Arc<str>>> {
    let local = at.timestamp().to_zoned(TimeZone::get(zone).ok()?);
    let hour = u32::try_from(local.hour()).ok()?;
    let minute = u32::try_from(local.minute()).ok()?;
    let mut words: Vec<Arc<str>> = vec!["the-time-is".into()];
    cardinal((hour + 11) % 12 + 1, &mut words);
    match minute {
        0 => words.push("o-clock".into()),
        1..10 => {
            words.push("oh".into());
            cardinal(minute, &mut words);
        }
        _ => cardinal(minute, &mut words),
    }
    words.push(if hour < 12 { "am" } else { "pm" }.into());
    Some(words)
}

/// A place in a queue: "you are number three in line".
pub fn position(text: &str) -> Option<Vec<Arc<str>>> {
    let mut words: Vec<Arc<str>> = vec!["you-are-number".into()];
    words.extend(number(text)?);
    words.push("in-line".into());
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: Option<Vec<Arc<str>>>) -> String {
        let known = prompt_names();
        let words = words.expect("can be said");
        for word in &words {
            assert!(
                known.iter().any(|name| **name == **word),
                "{word} is not listed"
            );
        }
        words.join(" ")
    }

    #[test]
    fn every_word_is_in_the_default_set() {
        let lines = include_str!("../../prompts/lines.tsv");
        for name in prompt_names() {
            assert!(
                lines
                    .lines()
                    .any(|line| line.split('\t').next() == Some(&name)),
                "{name} is missing"
            );
        }
    }

    #[test]
    fn numbers_are_words() {
        assert_eq!(text(number("0")), "digits/0");
        assert_eq!(text(number("15")), "digits/15");
        assert_eq!(text(number("42")), "digits/40 digits/2");
        assert_eq!(
            text(number("203019")),
            "digits/2 hundred digits/3 thousand digits/19"
        );
        assert_eq!(number("many"), None);
        assert_eq!(number("-1"), None);
        assert_eq!(number("1000000"), None);
    }

    #[test]
    fn digits_are_said_one_by_one() {
        assert_eq!(text(digits("+1 0#*")), "plus digits/1 digits/0 hash star");
        assert_eq!(digits("abc"), None);
    }

    #[test]
    fn times_are_local() {
        let at = WallTime::from_timestamp("2026-07-31T13:05:00Z".parse().expect("timestamp"));
        assert_eq!(
            text(time(at, "Europe/London")),
            "the-time-is digits/2 oh digits/5 pm"
        );
        assert_eq!(
            text(time(at, "Asia/Kolkata")),
            "the-time-is digits/6 digits/30 digits/5 pm"
        );
        let midnight = WallTime::from_timestamp("2026-01-01T00:00:00Z".parse().expect("timestamp"));
        assert_eq!(
            text(time(midnight, "UTC")),
            "the-time-is digits/12 o-clock am"
        );
        assert_eq!(time(at, "Nowhere/Else"), None);
    }
}
