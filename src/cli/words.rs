//! Answers of the API in words that fit a terminal: durations, times, shares, cells.
//!
//! Much of what is shown comes from the network (numbers, contacts, names of phones), so nothing in it may move the cursor.

use jiff::Timestamp;
use serde_json::Value;

/// A duration to two units: `850 ms`, `12 s`, `1 min 12 s`, `2 h 03 min`, `3 d 4 h`.
pub fn duration_ms(ms: u64) -> String {
    let secs = ms / 1000;
    let (mins, hours, days) = (secs / 60, secs / 3600, secs / 86_400);
    if ms < 1000 {
        format!("{ms} ms")
    } else if mins == 0 {
        format!("{secs} s")
    } else if hours == 0 {
        format!("{mins} min {:02} s", secs % 60)
    } else if days == 0 {
        format!("{hours} h {:02} min", mins % 60)
    } else {
        format!("{days} d {} h", hours % 24)
    }
}

/// Whole seconds, as in [`duration_ms`]: a wait of 0.4 s is `0 s`.
pub fn wait_ms(ms: u64) -> String {
    if ms < 1000 {
        "0 s".to_owned()
    } else {
        duration_ms(ms)
    }
}

/// A field of an object as text; `None` when it is absent or null.
pub fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// A field of an object as a whole number; 0 when it is absent.
pub fn number(value: &Value, field: &str) -> u64 {
    value.get(field).and_then(Value::as_u64).unwrap_or(0)
}

/// The items of a field that is a list.
pub fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A field that holds a time.
pub fn time(value: &Value, field: &str) -> Option<Timestamp> {
    text(value, field)?.parse().ok()
}

/// How long ago a field's time was, in words.
pub fn ago(value: &Value, field: &str, now: Timestamp) -> Option<String> {
    Some(wait_ms(millis_between(time(value, field)?, now)))
}

/// How far ahead a field's time is, in words.
pub fn ahead(value: &Value, field: &str, now: Timestamp) -> Option<String> {
    Some(wait_ms(millis_between(now, time(value, field)?)))
}

fn millis_between(earlier: Timestamp, later: Timestamp) -> u64 {
    u64::try_from(later.as_millisecond() - earlier.as_millisecond()).unwrap_or(0)
}

/// The time of day in UTC, with the date when that is not today's: `10:02:11 UTC`, `2026-12-24 10:02:11 UTC`.
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    if day(at) == day(now) {
        at.strftime("%H:%M:%S UTC").to_string()
    } else {
        at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }
}

/// A share from 0 to 1 in per cent; `-` where there is nothing to divide by.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", share * 100.0))
}

/// `1 call`, `2 calls`.
pub fn plural(n: u64, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}

/// Text without anything that a terminal would obey.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Plain text of at most `most` characters; what is cut ends in `…`.
pub fn cut(text: &str, most: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= most {
        return text;
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_two_units_at_most() {
        let said = [
            850,
            12_345,
            72_000,
            3_600_000 * 2 + 180_000,
            86_400_000 * 3 + 3_600_000 * 4,
        ]
        .map(duration_ms);
        assert_eq!(
            said,
            ["850 ms", "12 s", "1 min 12 s", "2 h 03 min", "3 d 4 h"]
        );
        assert_eq!(wait_ms(400), "0 s");
    }

    #[test]
    fn a_time_of_another_day_is_said_with_its_date() {
        let now: Timestamp = "2026-11-20T10:02:11.5Z".parse().expect("a time");
        let before: Timestamp = "2026-11-19T23:59:59Z".parse().expect("a time");
        assert_eq!(clock(now, now), "10:02:11 UTC");
        assert_eq!(clock(before, now), "2026-11-19 23:59:59 UTC");
    }

    #[test]
    fn nothing_from_the_network_moves_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb"), "a\u{fffd}[2Jb");
        assert_eq!(cut("Linphone Desktop/5.2", 10), "Linphone …");
        assert_eq!(cut("short", 10), "short");
    }
}
