//! Values with units: `20s`, `1h30m`; and the nearest word to a misspelt one.

use crate::base::Duration;

/// Parses a duration: whole numbers with `ms`, `s`, `m`, `h`, `d`, largest first.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration");
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut last_unit = u64::MAX;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits).ok_or_else(wrong)?;
        let letters = after.len()
            - after
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let (unit, after) = after.split_at_checked(letters).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return Err(format!("`{text}` has no unit")),
            _ => return Err(format!("`{unit}` is not a unit of time")),
        };
        if millis >= last_unit {
            return Err(wrong());
        }
        last_unit = millis;
        let part = number.checked_mul(millis).ok_or_else(wrong)?;
        total = total
            .checked_add(Duration::from_millis(part))
            .ok_or_else(wrong)?;
        rest = after;
    }
    Ok(total)
}

/// Parses a size in bytes: a whole number with `B`, `KiB`, `MiB` or `GiB`; `0` needs no unit.
pub fn size(text: &str) -> Result<usize, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let wrong = || format!("`{text}` is not a size");
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: usize = number.parse().map_err(|_| wrong())?;
    let unit: usize = match unit {
        "" if number == 0 => 1,
        "" => return Err(format!("`{text}` has no unit")),
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        unit => return Err(format!("`{unit}` is not a unit of size")),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// A duration as one writes it in a file.
pub fn show(duration: Duration) -> String {
    let mut millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (size, unit) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
        (1, "ms"),
    ] {
        if millis >= size {
            out.push_str(&format!("{}{unit}", millis / size));
            millis %= size;
        }
    }
    out
}

/// The word of `words` that is nearest to `word`, if one is near: two letters swapped, one wrong, missing or too many count one each.
pub fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let normal = |text: &str| -> Vec<char> {
        text.to_lowercase()
            .chars()
            .map(|c| if c == '_' { '-' } else { c })
            .collect()
    };
    let word = normal(word);
    let most = (word.len() / 3).max(1);
    words
        .into_iter()
        .map(|candidate| (distance(&word, &normal(candidate)), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
        for bad in [
            "",
            "20",
            "s",
            "20 s",
            "1m1h",
            "1s1s",
            "-1s",
            "1.5s",
            "20sec",
            "99999999999999999999s",
            "1s ",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["0s", "20s", "1h30m", "250ms", "1d1ms"] {
            assert_eq!(duration(text).map(show), Ok(text.to_owned()));
        }
    }

    #[test]
    fn misspelt_words_find_their_neighbour() {
        let keys = ["listen", "dialplan", "ring-timeout", "codecs"];
        assert_eq!(nearest("lisen", keys), Some("listen"));
        assert_eq!(nearest("ring_timeout", keys), Some("ring-timeout"));
        assert_eq!(nearest("codesc", keys), Some("codecs"));
        assert_eq!(nearest("colour", keys), None);
    }
}
