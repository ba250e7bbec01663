//! Each gate by itself, and their order.

mod lists;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::*;
use crate::base::{Duration, Secret, WallTime};

const LONDON: &str = "+442071838750";

/// A Tuesday, in UTC.
fn at(time: &str) -> WallTime {
    let text = format!("2026-12-01T{time}:00Z");
    WallTime::from_timestamp(text.parse().expect("a time"))
}

fn list(name: &str, kind: ListKind, numbers: &[&str]) -> ListSettings {
    let keys = numbers.iter().map(|n| key_of(n).expect("a number"));
    ListSettings {
        numbers: Arc::new(NumberSet::of(keys.collect())),
        ..ListSettings::new(name.into(), kind)
    }
}

fn with(rules: Rules) -> Outbound {
    let mut outbound = Outbound::default();
    outbound.configure(Arc::new(rules));
    outbound
}

fn rules() -> Rules {
    Rules {
        zones: Arc::new(Zones::with(&[])),
        ..Rules::default()
    }
}

fn question(number: &str) -> Question<'_> {
    Question {
        stage: Stage::Leaving,
        purpose: Purpose::Callback,
        ..Question::ordered(number, None)
    }
}

fn entry(at: WallTime) -> Entry {
    Entry {
        at,
        until: None,
        note: None,
        by: None,
    }
}

#[track_caller]
fn denied(outbound: &Outbound, at: WallTime, question: &Question<'_>, gate: Gate, why: &str) {
    let record = outbound.ask(at, question);
    assert_eq!(record.verdict, Said::Deny, "{record:?}");
    let answer = record.decided().expect("a gate");
    assert_eq!(answer.gate, gate, "{record:?}");
    assert!(answer.reason.contains(why), "{}", answer.reason);
}

#[track_caller]
fn allowed(outbound: &Outbound, at: WallTime, question: &Question<'_>) -> GateRecord {
    let record = outbound.ask(at, question);
    assert_eq!(record.verdict, Said::Allow, "{record:?}");
    record
}

#[test]
fn an_emergency_number_passes_whatever_else_is_said_and_nothing_else_is_asked() {
    let mut outbound = with(Rules {
        countries: Some(vec![]),
        hours: Some(LocalHours {
            first: 0,
            last: 1,
            holidays: vec![],
        }),
        emergency: vec!["112".into(), LONDON.into()],
        lists: vec![list("national", ListKind::DoNotCall, &[LONDON])],
        ..rules()
    });
    for number in ["112", LONDON] {
        let mut ask = question(number);
        ask.channel = Channel::NoTrunk;
        assert_eq!(allowed(&outbound, at("03:00"), &ask).answers.len(), 1);
    }
    outbound.configure(Arc::new(rules()));
    denied(
        &outbound,
        at("12:00"),
        &question("118"),
        Gate::Number,
        "118",
    );
}

#[test]
fn a_number_must_be_international_and_a_trunk_must_lead_there() {
    let outbound = with(rules());
    for bad in [
        "020 7183 8750",
        "1001",
        "",
        "+0123456",
        "+12345678901234567",
    ] {
        let why = "not an international number";
        denied(&outbound, at("12:00"), &question(bad), Gate::Number, why);
    }
    let mut ask = question(LONDON);
    ask.channel = Channel::NoTrunk;
    denied(&outbound, at("12:00"), &ask, Gate::Number, "no trunk");
    let record = allowed(&outbound, at("12:00"), &question("+44 20 7183 8750"));
    assert_eq!(&*record.number, LONDON);
    let gates: Vec<Gate> = record.answers.iter().map(|answer| answer.gate).collect();
    assert_eq!(gates, Gate::ALL, "each gate answers, in order");
}

#[test]
fn do_not_call_names_the_list_and_its_version_and_an_entry_ends() {
    let mut outbound = with(Rules {
        lists: vec![list("national", ListKind::DoNotCall, &["+4930123456"])],
        ..rules()
    });
    let number = question("+4930123456");
    denied(
        &outbound,
        at("12:00"),
        &number,
        Gate::DoNotCall,
        "`national`",
    );
    let record = outbound.ask(at("12:00"), &number);
    let answer = record.decided().expect("a gate");
    assert_eq!(answer.list.as_deref(), Some("national"));
    let before = answer.version.clone().expect("a version");
    let until = Entry {
        until: Some(at("13:00")),
        note: Some("asked us to stop".into()),
        ..entry(at("12:00"))
    };
    let added = outbound
        .lists
        .add(&"national".into(), "+44 20 7183 8750", until);
    assert!(added.is_ok());
    let why = "asked us to stop";
    denied(
        &outbound,
        at("12:30"),
        &question(LONDON),
        Gate::DoNotCall,
        why,
    );
    let record = allowed(&outbound, at("13:00"), &question(LONDON));
    let looked_at = record.answers[2].version.clone().expect("versions");
    assert!(looked_at.starts_with("national@1-"), "{looked_at}");
    assert!(!looked_at.contains(&before));
}

#[test]
fn a_list_that_is_out_of_date_or_cannot_be_read_lets_nobody_through() {
    let mut outbound = with(Rules {
        lists: vec![ListSettings {
            stale_after: Some(Duration::from_secs(86_400)),
            ..list("national", ListKind::DoNotCall, &[])
        }],
        ..rules()
    });
    let ask = question(LONDON);
    let gate = Gate::DoNotCall;
    denied(&outbound, at("12:00"), &ask, gate, "never been imported");
    let import = Import {
        file: "national-1.numbers".into(),
        count: 1,
        at: at("12:00"),
    };
    let set = NumberSet::of(vec![4_930_123_456]);
    let name: Arc<str> = "national".into();
    let record = outbound.lists.import(&name, import, Arc::new(set));
    let record = record.expect("imported");
    allowed(&outbound, at("13:00"), &ask);
    denied(
        &outbound,
        at("13:00"),
        &question("+4930123456"),
        gate,
        "imported on",
    );
    let later = at("13:00") + Duration::from_secs(86_400);
    denied(&outbound, later, &ask, gate, "out of date");
    // after a restart its file is not there
    let mut outbound = with((*outbound.rules()).clone());
    outbound.restore(&record);
    denied(&outbound, at("13:00"), &ask, gate, "cannot be read");
}

#[test]
fn a_personal_white_list_overrides_neither_do_not_call_nor_a_black_list() {
    let own = Some(Arc::from("1001"));
    let white = list(
        "ada",
        ListKind::White,
        &[LONDON, "+4930123456", "+15550001"],
    )
    .owned_by(own.clone());
    let mut outbound = with(Rules {
        lists: vec![
            list("national", ListKind::DoNotCall, &[LONDON]),
            list("bad", ListKind::Black, &["+4930123456"]),
            list("own", ListKind::Black, &["+33140000000"]).owned_by(own),
            list(
                "customers",
                ListKind::White,
                &["+33140000000", "+33140000001"],
            ),
            white,
        ],
        ..rules()
    });
    let ada: Arc<str> = "1001".into();
    let mut ask = question(LONDON);
    ask.by = Some(&ada);
    denied(&outbound, at("12:00"), &ask, Gate::DoNotCall, "national");
    ask.number = "+4930123456";
    denied(&outbound, at("12:00"), &ask, Gate::BlackList, "`bad`");
    ask.number = "+33140000000";
    denied(&outbound, at("12:00"), &ask, Gate::BlackList, "`own`");
    ask.number = "+33140000001";
    allowed(&outbound, at("12:00"), &ask);
    ask.number = "+15550001";
    allowed(&outbound, at("12:00"), &ask);
    ask.by = None;
    denied(
        &outbound,
        at("12:00"),
        &ask,
        Gate::WhiteList,
        "no white list",
    );
    let premium = outbound
        .lists
        .add(&"bad".into(), "+331*", entry(at("12:00")));
    assert!(premium.is_ok());
    ask.number = "+33140000001";
    denied(&outbound, at("12:00"), &ask, Gate::BlackList, "+331*");
}

#[test]
fn a_country_is_allowed_by_its_code_or_its_digits_and_an_unknown_one_never() {
    let outbound = with(Rules {
        countries: Some(vec![
            CountryRule::Code("GB".into()),
            CountryRule::Code("US".into()),
            CountryRule::Prefix("3531".into()),
        ]),
        ..rules()
    });
    for fine in [LONDON, "+12125550123", "+35315550123"] {
        allowed(&outbound, at("12:00"), &question(fine));
    }
    for (bad, why) in [
        ("+4930123456", "DE may not"),
        ("+353215550123", "IE may not"),
        ("+16475550123", "CA may not"),
        // an area code that the table does not know: Canada or the United States
        ("+19995550123", "US or CA may not"),
        ("+441534555012", "JE may not"),
        ("+2105550123", "which country"),
    ] {
        denied(&outbound, at("12:00"), &question(bad), Gate::Country, why);
    }
}

#[test]
fn hours_are_those_of_the_called_number_and_the_stricter_zone_counts() {
    let outbound = with(Rules {
        hours: Some(LocalHours {
            holidays: vec![Day::parse("12-25").expect("a day")],
            ..LocalHours::default()
        }),
        hours_of: BTreeMap::from([(
            "DE".into(),
            LocalHours {
                first: 9 * 60,
                last: 18 * 60,
                holidays: vec![],
            },
        )]),
        ..rules()
    });
    let hours = Gate::Hours;
    allowed(&outbound, at("08:00"), &question(LONDON));
    denied(
        &outbound,
        at("07:59"),
        &question(LONDON),
        hours,
        "07:59 in Europe/London",
    );
    denied(
        &outbound,
        at("21:00"),
        &question(LONDON),
        hours,
        "from 08:00 to 21:00",
    );
    // Berlin is an hour ahead, and has hours of its own
    allowed(&outbound, at("08:00"), &question("+4930123456"));
    denied(
        &outbound,
        at("17:00"),
        &question("+4930123456"),
        hours,
        "18:00 in Europe/Berlin",
    );
    // New York alone, and a number that may be there or in Chicago
    allowed(&outbound, at("13:30"), &question("+12125550123"));
    denied(
        &outbound,
        at("13:30"),
        &question("+18505550123"),
        hours,
        "America/Chicago",
    );
    // in the evening the eastern one is the stricter
    denied(
        &outbound,
        at("02:30"),
        &question("+18505550123"),
        hours,
        "America/New_York",
    );
    // an area code that nobody knows is anywhere
    denied(
        &outbound,
        at("13:30"),
        &question("+19995550123"),
        hours,
        "in ",
    );
    denied(
        &outbound,
        at("12:00"),
        &question("+2105550123"),
        hours,
        "what time it is",
    );
    let record = outbound.ask(at("21:30"), &question(LONDON));
    let next = at("08:00") + Duration::from_secs(86_400);
    assert_eq!(record.not_before, Some(next));
    let christmas = at("12:00") + Duration::from_secs(24 * 86_400);
    denied(
        &outbound,
        christmas,
        &question(LONDON),
        hours,
        "2026-12-25 is a holiday",
    );
    let own = [(
        "442".to_owned(),
        TimeZone::get("Asia/Tokyo").expect("a zone"),
    )];
    let moved = with(Rules {
        zones: Arc::new(Zones::with(&own)),
        ..(*outbound.rules()).clone()
    });
    denied(
        &moved,
        at("12:00"),
        &question(LONDON),
        hours,
        "21:00 in Asia/Tokyo",
    );
}

#[test]
fn recording_and_the_presented_number_follow_their_rules() {
    for (rule, recorded, fine) in [
        (Recording::Any, false, true),
        (Recording::Required, false, false),
        (Recording::Required, true, true),
        (Recording::Forbidden, true, false),
    ] {
        let outbound = with(Rules {
            recording: rule,
            ..rules()
        });
        let mut ask = question(LONDON);
        ask.recorded = recorded;
        let verdict = outbound.ask(at("12:00"), &ask);
        assert_eq!(verdict.verdict == Said::Allow, fine, "{verdict:?}");
        assert!(fine || verdict.decided().expect("one").gate == Gate::Recording);
    }
    let of = |extensions: &[&str], queues: &[&str]| Presented {
        extensions: extensions.iter().copied().map(Arc::from).collect(),
        queues: queues.iter().copied().map(Arc::from).collect(),
    };
    let outbound = with(Rules {
        presented: Some(BTreeMap::from([
            ("+442071838000".into(), of(&[], &[])),
            ("+442071838001".into(), of(&["1001"], &[])),
            ("+442071838002".into(), of(&[], &["support"])),
        ])),
        ..rules()
    });
    let (ada, ben): (Arc<str>, Arc<str>) = ("1001".into(), "1002".into());
    let shown =
        |numbers: &[&str]| -> Vec<Arc<str>> { numbers.iter().copied().map(Arc::from).collect() };
    let (all, first, second) = (
        shown(&["+442071838000"]),
        shown(&["+442071838001"]),
        shown(&["+442071838002"]),
    );
    let (foreign, inside, mixed) = (
        shown(&["+442071838003"]),
        shown(&["1002"]),
        shown(&["+442071838000", "+442071838003"]),
    );
    let noon = at("12:00");
    for (by, queue, presented, why) in [
        (&ben, None, &all, None),
        (&ada, None, &first, None),
        (&ben, Some("support"), &second, None),
        (&ben, None, &first, Some("not for this caller")),
        (&ben, None, &second, Some("not for this caller")),
        (&ben, None, &foreign, Some("no number of ours")),
        // one of two trunks would present what is not ours
        (&ben, None, &mixed, Some("no number of ours")),
        (&ben, None, &inside, Some("has no direct number")),
        (&ben, None, &Vec::new(), Some("has no direct number")),
    ] {
        let question = Question {
            by: Some(by),
            queue,
            presented,
            ..question(LONDON)
        };
        match why {
            None => {
                allowed(&outbound, noon, &question);
            }
            Some(why) => denied(&outbound, noon, &question, Gate::PresentedNumber, why),
        }
    }
}

#[test]
fn attempts_are_counted_over_a_day_and_have_a_gap_and_are_restored() {
    let limits = Rules {
        attempts: Some(AttemptLimit {
            per_day: 3,
            gap: Duration::from_secs(3600),
        }),
        ..rules()
    };
    let mut outbound = with(limits.clone());
    let ask = question(LONDON);
    let mut journal = Vec::new();
    for hour in ["08:00", "10:00", "12:00"] {
        allowed(&outbound, at(hour), &ask);
        journal.extend(outbound.called(at(hour), LONDON));
    }
    denied(
        &outbound,
        at("12:30"),
        &ask,
        Gate::Attempts,
        "called 30 min ago",
    );
    let mut restored = with(limits);
    journal.iter().for_each(|record| restored.restore(record));
    let mut again = with((*outbound.rules()).clone());
    let snapshot = outbound.snapshot(at("12:30"));
    assert_eq!(snapshot.len(), 3);
    snapshot.iter().for_each(|record| again.restore(record));
    for outbound in [&outbound, &restored, &again] {
        denied(
            outbound,
            at("13:00"),
            &ask,
            Gate::Attempts,
            "3 times within a day",
        );
        let next = outbound.ask(at("13:00"), &ask).not_before;
        assert_eq!(next, Some(at("08:00") + Duration::from_secs(86_400)));
        allowed(outbound, next.expect("a time"), &ask);
        allowed(outbound, at("13:00"), &question("+442071838751"));
    }
}

#[test]
fn three_wrong_pins_lock_for_a_while_and_the_lock_is_restored() {
    let pins = Rules {
        pins: BTreeMap::from([(
            "abroad".into(),
            PinRule {
                code: Secret::new("4711"),
                wrong_max: 3,
                lock: Duration::from_secs(900),
            },
        )]),
        ..rules()
    };
    let mut outbound = with(pins.clone());
    let ada: Arc<str> = "1001".into();
    let mut ask = question(LONDON);
    ask.pin = Some("abroad");
    denied(&outbound, at("12:00"), &ask, Gate::Pin, "only an extension");
    ask.by = Some(&ada);
    let record = outbound.ask(at("12:00"), &ask);
    assert_eq!(record.verdict, Said::Ask);
    assert_eq!(record.answers.last().expect("one").gate, Gate::Pin);
    let mut journal = Vec::new();
    let mut give = |outbound: &mut Outbound, time, digits| {
        let (answer, record) = outbound.give_pin(at(time), &ada, "abroad", digits);
        journal.extend(record);
        answer
    };
    assert_eq!(give(&mut outbound, "12:00", "0000"), PinAnswer::Wrong);
    assert_eq!(give(&mut outbound, "12:00", "47110"), PinAnswer::Wrong);
    // a right one forgets the wrong ones
    assert_eq!(give(&mut outbound, "12:01", "4711"), PinAnswer::Right);
    assert_eq!(give(&mut outbound, "12:02", ""), PinAnswer::Wrong);
    assert_eq!(give(&mut outbound, "12:02", "1"), PinAnswer::Wrong);
    let locked = PinAnswer::Locked(at("12:17"));
    assert_eq!(give(&mut outbound, "12:02", "2"), locked);
    assert_eq!(
        give(&mut outbound, "12:16", "4711"),
        locked,
        "the right one too"
    );
    let mut restored = with(pins);
    journal.iter().for_each(|record| restored.restore(record));
    for outbound in [&mut outbound, &mut restored] {
        ask.pin_given = true;
        denied(outbound, at("12:16"), &ask, Gate::Pin, "locked until 12:17");
        allowed(outbound, at("12:17"), &ask);
        let (answer, _) = outbound.give_pin(at("12:17"), &ada, "abroad", "9");
        assert_eq!(answer, PinAnswer::Wrong, "the count begins anew");
    }
    ask.pin = Some("unknown");
    denied(&outbound, at("12:20"), &ask, Gate::Pin, "no PIN `unknown`");
}

#[test]
fn a_call_needs_a_channel_and_one_that_is_only_asked_for_does_not() {
    let outbound = with(rules());
    let mut ask = question(LONDON);
    ask.channel = Channel::None;
    denied(&outbound, at("12:00"), &ask, Gate::Channel, "in use");
    ask.channel = Channel::Waits;
    allowed(&outbound, at("12:00"), &ask);
    ask.channel = Channel::NoTrunk;
    ask.stage = Stage::Asked;
    allowed(&outbound, at("12:00"), &ask);
}
