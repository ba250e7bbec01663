//! Opening hours: weekdays, dates and zones. Local wall-clock time decides, so summer time is right by itself.

use std::sync::Arc;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use crate::base::WallTime;
use crate::directory::Place;

const DAY_MINUTES: u16 = 24 * 60;
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

#[derive(Debug, Clone, PartialEq)]
enum Days {
    /// Bit 0 is Monday.
    Weekdays(u8),
    /// Both ends included.
    Dates(Date, Date),
    /// Each year: month, day.
    Yearly(i8, i8),
}

impl Days {
    fn contain(&self, date: Date) -> bool {
        match self {
            Days::Weekdays(set) => set & (1 << date.weekday().to_monday_zero_offset()) != 0,
            Days::Dates(first, last) => (*first..=*last).contains(&date),
            Days::Yearly(month, day) => (date.month(), date.day()) == (*month, *day),
        }
    }

    fn is_weekdays(&self) -> bool {
        matches!(self, Days::Weekdays(_))
    }
}

/// Days with a span of time: `mon-fri 09:00-17:30`, `2026-12-24 09:00-12:00`, `2026-12-25`, `2026-12-24..2026-12-26`, `12-25`.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    text: Arc<str>,
    days: Days,
    /// Minutes since midnight; `last` is excluded and, when not after `first`, on the next day.
    first: u16,
    last: u16,
}

impl Span {
    /// Parses a span; the error says what was expected.
    pub fn parse(text: &str) -> Result<Span, String> {
        let text = text.trim();
        let (days, times) = match text.split_once(char::is_whitespace) {
            Some((days, times)) => (days, Some(times.trim())),
            None if text.contains(':') => ("mon-sun", Some(text)),
            None => (text, None),
        };
        let days = parse_days(days)?;
        let (first, last) = match times {
            None => (0, DAY_MINUTES),
            Some(times) => {
                let (first, last) = times
                    .split_once('-')
                    .ok_or_else(|| format!("`{times}` is not a span of time like `09:00-17:30`"))?;
                let (first, last) = (time_of_day(first)?, time_of_day(last)?);
                if first == last || first == DAY_MINUTES {
                    return Err(format!(
                        "`{times}` is no time at all; a whole day has no times behind it"
                    ));
                }
                (first, last)
            }
        };
        Ok(Span {
            text: text.into(),
            days,
            first,
            last,
        })
    }

    fn contains(&self, date: Date, minute: u16) -> bool {
        if self.first < self.last {
            return self.days.contain(date) && (self.first..self.last).contains(&minute);
        }
        let today = self.days.contain(date) && minute >= self.first;
        let since_yesterday =
            minute < self.last && date.yesterday().is_ok_and(|date| self.days.contain(date));
        today || since_yesterday
    }
}

/// Minutes since midnight of `09:00`; `24:00` is the end of the day.
pub fn time_of_day(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{}` is not a time of day like `09:00`", text.trim());
    let (hours, minutes) = text.trim().split_once(':').ok_or_else(wrong)?;
    if minutes.len() != 2 || !(1..=2).contains(&hours.len()) {
        return Err(wrong());
    }
    let hours: u16 = hours.parse().map_err(|_| wrong())?;
    let minutes: u16 = minutes.parse().map_err(|_| wrong())?;
    let of_day = hours * 60 + minutes;
    if hours > 24 || minutes > 59 || of_day > DAY_MINUTES {
        return Err(wrong());
    }
    Ok(of_day)
}

fn parse_days(text: &str) -> Result<Days, String> {
    let wrong = || {
        format!(
            "`{text}` is not days: write `mon-fri`, `sat,sun`, `2026-12-25`, `2026-12-24..2026-12-26` or `12-25`"
        )
    };
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        if let Some((first, last)) = text.split_once("..") {
            let first: Date = first.parse().map_err(|_| wrong())?;
            let last: Date = last.parse().map_err(|_| wrong())?;
            return if first <= last {
                Ok(Days::Dates(first, last))
            } else {
                Err(format!("`{text}` ends before it begins"))
            };
        }
        if let Some((month, day)) = text.split_once('-')
            && text.len() == 5
        {
            let month = month.parse().map_err(|_| wrong())?;
            let day = day.parse().map_err(|_| wrong())?;
            // 2024 has a 29th of February.
            Date::new(2024, month, day).map_err(|_| wrong())?;
            return Ok(Days::Yearly(month, day));
        }
        let date: Date = text.parse().map_err(|_| wrong())?;
        return Ok(Days::Dates(date, date));
    }
    let weekday = |name: &str| {
        WEEKDAYS
            .iter()
            .position(|(short, _)| name.eq_ignore_ascii_case(short))
            .ok_or_else(wrong)
    };
    let mut set = 0u8;
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None => (weekday(part)?, weekday(part)?),
        };
        let mut day = first;
        set |= 1 << day;
        while day != last {
            day = (day + 1) % 7;
            set |= 1 << day;
        }
    }
    Ok(Days::Weekdays(set))
}

/// Named opening hours.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    /// Their name.
    pub name: Arc<str>,
    /// Zone in which the times are meant.
    pub zone: TimeZone,
    /// Open then. A date replaces what the weekday would say.
    pub open: Vec<Span>,
    /// Closed then, unless `open` names the date.
    pub closed: Vec<Span>,
    /// Where they are defined.
    pub place: Place,
}

impl Hours {
    /// Whether it is open at `at`.
    pub fn is_open(&self, at: WallTime) -> bool {
        let local = at.timestamp().to_zoned(self.zone.clone());
        let date = local.date();
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let dated = |span: &&Span| !span.days.is_weekdays();
        if self
            .open
            .iter()
            .filter(dated)
            .any(|span| span.days.contain(date))
        {
            return self
                .open
                .iter()
                .filter(dated)
                .any(|span| span.contains(date, minute));
        }
        !self.closing(date, minute) && self.open.iter().any(|span| span.contains(date, minute))
    }

    fn closing(&self, date: Date, minute: u16) -> bool {
        self.closed.iter().any(|span| span.contains(date, minute))
    }

    /// For people: what time it is there and why it is open or closed.
    pub fn explain(&self, at: WallTime) -> String {
        let local = at.timestamp().to_zoned(self.zone.clone());
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let time = local.strftime("%a %Y-%m-%d %H:%M %Z");
        let name = &self.name;
        if self.is_open(at) {
            return format!("open by hours `{name}`: it is {time} there");
        }
        let closing = self
            .closed
            .iter()
            .find(|span| span.contains(local.date(), minute));
        match closing {
            Some(span) => format!(
                "closed by hours `{name}`: it is {time} there, closed on `{}`",
                span.text
            ),
            None => format!("closed by hours `{name}`: it is {time} there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &str, open: &[&str], closed: &[&str]) -> Hours {
        let parse = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| Span::parse(text).expect(text))
                .collect()
        };
        Hours {
            name: "office".into(),
            zone: TimeZone::get(zone).expect("known zone"),
            open: parse(open),
            closed: parse(closed),
            place: Place::default(),
        }
    }

    fn at(text: &str) -> WallTime {
        WallTime::from_timestamp(text.parse().expect("timestamp"))
    }

    #[test]
    fn office_hours_follow_weekdays_and_exclude_their_end() {
        let office = hours(
            "Europe/London",
            &["mon-fri 09:00-17:30", "sat 10:00-14:00"],
            &[],
        );
        // 2026-11-20 is a Friday; London is on UTC.
        assert!(!office.is_open(at("2026-11-20T08:59:59Z")));
        assert!(office.is_open(at("2026-11-20T09:00:00Z")));
        assert!(office.is_open(at("2026-11-20T17:29:59Z")));
        assert!(!office.is_open(at("2026-11-20T17:30:00Z")));
        assert!(office.is_open(at("2026-11-21T13:00:00Z")));
        assert!(!office.is_open(at("2026-11-22T13:00:00Z")));
    }

    #[test]
    fn summer_time_moves_the_opening_in_utc() {
        let office = hours("Europe/London", &["mon-sun 09:00-17:00"], &[]);
        // Clocks go forward on 2026-03-29 at 01:00 UTC.
        assert!(!office.is_open(at("2026-03-28T08:30:00Z")));
        assert!(office.is_open(at("2026-03-29T08:30:00Z")));
        assert!(!office.is_open(at("2026-03-29T16:00:00Z")));
        // And back on 2026-10-25.
        assert!(office.is_open(at("2026-10-24T08:30:00Z")));
        assert!(!office.is_open(at("2026-10-25T08:30:00Z")));
    }

    #[test]
    fn an_hour_that_happens_twice_is_open_twice() {
        let night = hours("Europe/Berlin", &["sun 02:00-03:00"], &[]);
        // On 2026-10-25 Berlin has 02:30 at 00:30 UTC (summer) and 01:30 UTC (winter).
        assert!(night.is_open(at("2026-10-25T00:30:00Z")));
        assert!(night.is_open(at("2026-10-25T01:30:00Z")));
        assert!(!night.is_open(at("2026-10-25T02:30:00Z")));
        // On 2026-03-29 it does not happen at all.
        for minute in [0, 30, 59] {
            assert!(!night.is_open(at(&format!("2026-03-29T00:{minute:02}:00Z"))));
            assert!(!night.is_open(at(&format!("2026-03-29T01:{minute:02}:00Z"))));
        }
    }

    #[test]
    fn holidays_close_and_special_days_replace_the_weekday() {
        let office = hours(
            "Europe/London",
            &["mon-fri 09:00-17:30", "2026-12-24 09:00-12:00"],
            &["12-25", "2026-12-28..2026-12-29", "2026-11-20 12:00-13:00"],
        );
        assert!(office.is_open(at("2026-12-24T11:00:00Z")));
        assert!(!office.is_open(at("2026-12-24T13:00:00Z")));
        assert!(!office.is_open(at("2026-12-25T11:00:00Z")));
        assert!(!office.is_open(at("2028-12-25T11:00:00Z")));
        assert!(!office.is_open(at("2026-12-29T11:00:00Z")));
        assert!(office.is_open(at("2026-12-30T11:00:00Z")));
        assert!(!office.is_open(at("2026-11-20T12:30:00Z")));
        assert!(office.is_open(at("2026-11-20T13:00:00Z")));
    }

    #[test]
    fn a_span_over_midnight_belongs_to_the_day_it_begins() {
        let night = hours("UTC", &["fri 22:00-06:00"], &[]);
        assert!(night.is_open(at("2026-11-20T23:00:00Z")));
        assert!(night.is_open(at("2026-11-21T05:59:00Z")));
        assert!(!night.is_open(at("2026-11-21T06:00:00Z")));
        assert!(!night.is_open(at("2026-11-20T05:00:00Z")));
        assert!(!night.is_open(at("2026-11-21T23:00:00Z")));
    }

    #[test]
    fn the_explanation_says_the_local_time_and_the_holiday() {
        let office = hours("Europe/London", &["mon-fri 09:00-17:30"], &["12-25"]);
        assert_eq!(
            office.explain(at("2026-12-25T10:00:00Z")),
            "closed by hours `office`: it is Fri 2026-12-25 10:00 GMT there, closed on `12-25`"
        );
        assert_eq!(
            office.explain(at("2026-07-03T10:00:00Z")),
            "open by hours `office`: it is Fri 2026-07-03 11:00 BST there"
        );
    }

    #[test]
    fn broken_spans_are_refused() {
        for bad in [
            "",
            "monday",
            "mon 9-17",
            "mon 09:00",
            "mon 09:00-25:00",
            "mon 09:60-10:00",
            "2026-13-01",
            "2026-12-26..2026-12-24",
            "02-30",
            "mon 24:00-01:00",
            "mon 09:00-09:00",
            "mon-fry",
        ] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
        for good in [
            "mon",
            "sat,sun",
            "fri-mon",
            "09:00-17:00",
            "mon 00:00-24:00",
            "02-29",
        ] {
            assert!(Span::parse(good).is_ok(), "{good}");
        }
    }
}
