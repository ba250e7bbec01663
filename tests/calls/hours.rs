//! Queues with hours, in whole calls: who comes in, who is sent on when the queue closes, all by the calendar.

use strowger::base::WallTime;
use strowger::media::MediaCommand;
use strowger::switch::Residue;

use super::parties::{CARRIER, Parties, settings};
use super::stage::s;

const LINE: &str = "+442071838750";
const OFFICE: &str =
    "\n[hours.office]\nzone = \"Europe/London\"\nopen = [\"mon-sun 09:00-17:00\"]\n";

/// Its clock begins on the first of January 1970; London was an hour ahead of UTC then.
fn house(at_closing: &str) -> Parties {
    Parties::with(settings(|name, text| match name {
        "dialplans/inbound.toml" => format!("{text}{OFFICE}"),
        "queues/support.toml" => format!(
            "{text}hours = \"office\"\nat-closing = \"{at_closing}\"\noverflow = [ {{ when = \"closed\", do = [ {{ play = \"closed\" }}, {{ hangup = \"normal\" }} ] }} ]\n"
        ),
        _ => text,
    }))
}

impl Parties {
    /// It is that time, in UTC, and a minute has begun since then.
    fn it_is(&mut self, time: &str) {
        let at = format!("1970-01-01T{time}:00Z");
        self.now.wall = WallTime::from_timestamp(at.parse().expect("a time"));
        self.pass(s(60));
    }

    fn hears(&self) -> String {
        let played = self.media.iter().rev().find_map(|command| match command {
            MediaCommand::Play { files, .. } => Some(files[0].to_string()),
            _ => None,
        });
        played.expect("something was played")
    }
}

#[test]
fn nobody_enters_before_the_hours_and_from_their_first_minute_on_callers_wait() {
    let mut house = house("serve");
    assert!(house.switch.next_deadline().is_some(), "it looks again");
    house.calls(CARRIER, LINE);
    assert_eq!(house.hears(), "closed");
    house.it_is("07:59");
    house.calls(CARRIER, LINE);
    assert_eq!(house.hears(), "closed");
    house.it_is("08:00");
    house.calls(CARRIER, LINE);
    assert_eq!(house.hears(), "music/default");
}

#[test]
fn who_waits_at_closing_time_is_served_or_sent_on_as_the_queue_says() {
    for (at_closing, hears) in [("serve", "music/default"), ("send-on", "closed")] {
        let mut house = house(at_closing);
        house.it_is("15:00");
        house.calls(CARRIER, LINE);
        assert_eq!(house.hears(), "music/default");
        house.it_is("16:00");
        assert_eq!(house.hears(), hears, "{at_closing}");
    }
}

#[test]
fn a_queue_without_hours_has_no_timer_for_them() {
    let mut house = Parties::new();
    assert_eq!(house.residue(), Residue::default());
    let deadlines = house.switch.next_deadline();
    let minute = house.now.mono + s(61);
    assert!(deadlines.is_none_or(|at| at > minute), "{deadlines:?}");
}
