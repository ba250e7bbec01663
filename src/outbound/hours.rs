//! The time of day where the called number is: a call is polite, and in many countries lawful, only then.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::places;
use crate::base::{Duration, WallTime};

/// A look ahead for the next time that fits goes in such steps.
const STEP: Duration = Duration::from_secs(300);
/// It goes no further than this.
const AHEAD: Duration = Duration::from_secs(14 * 86_400);

/// A day on which nobody is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// That day.
    Date(Date),
    /// Each year: month, day.
    Yearly(i8, i8),
}

impl Day {
    /// `2026-12-25` or `12-25`.
    pub fn parse(text: &str) -> Option<Day> {
        if let Ok(date) = text.parse::<Date>() {
            return Some(Day::Date(date));
        }
        let (month, day) = text.split_once('-').filter(|_| text.len() == 5)?;
        let (month, day) = (month.parse().ok()?, day.parse().ok()?);
        // 2024 has a 29th of February
        Date::new(2024, month, day).ok()?;
        Some(Day::Yearly(month, day))
    }

    fn is(self, date: Date) -> bool {
        match self {
            Day::Date(day) => day == date,
            Day::Yearly(month, day) => (date.month(), date.day()) == (month, day),
        }
    }
}

/// When numbers may be called, in their own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalHours {
    /// Minutes since midnight.
    pub first: u16,
    /// Excluded, and after `first`.
    pub last: u16,
    /// Days on which nobody is called at all.
    pub holidays: Vec<Day>,
}

impl Default for LocalHours {
    /// 08:00–21:00 (47 CFR 64.1200(c)(1) has it so, and nobody asks for more).
    fn default() -> Self {
        LocalHours {
            first: 8 * 60,
            last: 21 * 60,
            holidays: Vec::new(),
        }
    }
}

impl LocalHours {
    /// `08:00-21:00`.
    pub fn parse(text: &str) -> Option<(u16, u16)> {
        let time = |text: &str| {
            let (hours, minutes) = text.trim().split_once(':')?;
            let fine = minutes.len() == 2 && (1..=2).contains(&hours.len());
            let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
            let of_day = hours * 60 + minutes;
            (fine && hours <= 24 && minutes < 60 && of_day <= 24 * 60).then_some(of_day)
        };
        let (first, last) = text.split_once('-')?;
        let (first, last) = (time(first)?, time(last)?);
        (first < last).then_some((first, last))
    }

    /// Whether it is open there and then; else what it is there, in words.
    fn closed(&self, at: WallTime, zone: &TimeZone) -> Option<String> {
        let local = at.timestamp().to_zoned(zone.clone());
        let minute = u16::try_from(i16::from(local.hour()) * 60 + i16::from(local.minute()))
            .unwrap_or_default();
        let name = zone.iana_name().unwrap_or("UTC");
        if self.holidays.iter().any(|day| day.is(local.date())) {
            return Some(format!("{} is a holiday in {name}", local.date()));
        }
        if (self.first..self.last).contains(&minute) {
            return None;
        }
        Some(format!(
            "it is {:02}:{:02} in {name}, and calls are made from {} to {}",
            local.hour(),
            local.minute(),
            clock(self.first),
            clock(self.last)
        ))
    }

    /// In which of these zones it is closed, in words; `None` when all are open.
    pub fn closed_in(&self, at: WallTime, zones: &[TimeZone]) -> Option<String> {
        zones.iter().find_map(|zone| self.closed(at, zone))
    }

    /// The next time at which all zones are open, to five minutes.
    pub fn opens(&self, at: WallTime, zones: &[TimeZone]) -> Option<WallTime> {
        let step = i64::try_from(STEP.as_micros()).unwrap_or(i64::MAX);
        let mut next = WallTime::from_micros((at.as_micros().div_euclid(step) + 1) * step);
        while next.since(at) < AHEAD {
            if self.closed_in(next, zones).is_none() {
                return Some(next);
            }
            next = next + STEP;
        }
        None
    }
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// First digits, countries, zones.
type Row = (String, Arc<[Arc<str>]>, Arc<[TimeZone]>);

/// Where numbers are, by their first digits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Zones {
    /// Sorted by prefix.
    rows: Vec<Row>,
}

impl Zones {
    /// The table of this program, with the operator's rows in front of it: prefix without `+`, zone. It looks zones up, so it is made when
    /// files are read, not while calls are up.
    pub fn with(own: &[(String, TimeZone)]) -> Zones {
        let mut rows: Vec<_> = places::rows()
            .map(|(prefix, countries, zones)| {
                let zones: Vec<TimeZone> = zones
                    .split(' ')
                    .filter_map(|zone| TimeZone::get(zone).ok())
                    .collect();
                let countries: Vec<Arc<str>> = countries.split(' ').map(Arc::from).collect();
                (prefix, Arc::from(countries), Arc::from(zones))
            })
            .collect();
        for (prefix, zone) in own {
            let countries = find(&rows, prefix).map_or_else(|| Arc::from([]), |row| row.1.clone());
            rows.retain(|(other, _, _)| other != prefix);
            rows.push((prefix.clone(), countries, Arc::from([zone.clone()])));
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        Zones { rows }
    }

    /// Countries and zones of a number, digits without `+`; empty where nothing is known.
    pub fn of(&self, digits: &str) -> (&[Arc<str>], &[TimeZone]) {
        (0..=digits.len())
            .rev()
            .filter_map(|len| digits.get(..len))
            .find_map(|prefix| {
                let at = self.rows.binary_search_by(|row| row.0.as_str().cmp(prefix));
                self.rows.get(at.ok()?)
            })
            .map_or((&[], &[]), |row| (&row.1, &row.2))
    }
}

fn find<'a>(rows: &'a [Row], digits: &str) -> Option<&'a Row> {
    rows.iter()
        .filter(|row| digits.starts_with(row.0.as_str()))
        .max_by_key(|row| row.0.len())
}
