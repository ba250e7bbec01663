//! The gates in whole calls: what a callback, a program's call and a route make of what they say.

use strowger::acd::{AcdEvent, CallbackEnd, CallbackFailure};
use strowger::event::{Gate, Said};
use strowger::media::{MediaCommand, MediaEvent};
use strowger::sip::Method;
use strowger::switch::{Answer, Command, Input, NumbersOrder, Reply, Residue};

use super::parties::{CARRIER, Line, Parties, request, settings_beside};
use super::stage::s;

const CUSTOMER: &str = "+4930123456";
const AGENT: u8 = 4;

/// A house whose queue takes callbacks, with this `outbound.toml`. Its clock begins at midnight in London on the first of January 1970, an
/// hour ahead of UTC, as it is in Berlin.
fn house(outbound: &str) -> Parties {
    house_with(outbound, |_, text| text)
}

fn house_with(outbound: &str, change: impl Fn(&str, String) -> String) -> Parties {
    Parties::with(settings_beside(
        &["outbound.toml"],
        |name, text| match name {
            "outbound.toml" => outbound.to_string(),
            "queues/support.toml" => {
                format!("{text}callback = {{ digit = \"1\", retries = [\"1m\"] }}\n")
            }
            _ => change(name, text),
        },
    ))
}

impl Parties {
    fn prompt(&self) -> String {
        let played = self.media.iter().rev().find_map(|command| match command {
            MediaCommand::Play { files, .. } => Some(files[0].to_string()),
            _ => None,
        });
        played.expect("something was played")
    }

    fn is_told(&mut self) {
        let last = self.media.iter().rev().find_map(|command| match command {
            MediaCommand::Play { stream, play, .. } => Some((*stream, *play)),
            _ => None,
        });
        let (stream, play) = last.expect("something is played");
        self.give(Input::Media(MediaEvent::PlayEnded { stream, play }));
    }

    /// The agent accepts a callback of this number, and has heard what it is.
    fn accepts_callback(&mut self, number: &str) -> Line {
        let asked = self.command(Command::RequestCallback {
            queue: "support".into(),
            number: number.into(),
            name: None,
            agent: None,
        });
        asked.expect("promised");
        self.log_in("1004");
        let agent = self.answers(AGENT, 200);
        assert_eq!(self.prompt(), "callback-identify");
        self.is_told();
        agent
    }

    fn orders(&mut self, from: &str, to: &str) -> Reply {
        self.command(Command::Originate {
            from: from.into(),
            to: to.into(),
        })
    }

    fn failures(&self) -> Vec<CallbackFailure> {
        let tried = self.acd.iter().filter_map(|event| match event {
            AcdEvent::CallbackTried { failure, .. } => Some(*failure),
            _ => None,
        });
        tried.collect()
    }

    /// Callbacks that were put off, and for how long, in milliseconds.
    fn postponed(&self) -> Vec<u64> {
        let put_off = self.acd.iter().filter_map(|event| match event {
            AcdEvent::CallbackPostponed { again_in_ms, .. } => Some(*again_in_ms),
            _ => None,
        });
        put_off.collect()
    }

    fn callback_ends(&self) -> Vec<CallbackEnd> {
        let ended = self.acd.iter().filter_map(|event| match event {
            AcdEvent::CallbackEnded { how, .. } => Some(*how),
            _ => None,
        });
        ended.collect()
    }

    /// The last record: which gate decided in each of its gate records.
    fn decided(&self) -> Vec<(Said, Option<Gate>)> {
        let record = self.records.last().expect("a record");
        let gates = record.gates.iter();
        gates
            .map(|gates| (gates.verdict, gates.decided().map(|answer| answer.gate)))
            .collect()
    }
}

#[test]
fn a_callback_outside_the_hours_of_its_number_has_its_place_again_when_they_begin_and_no_try_is_counted()
 {
    let mut house = house("hours = \"08:00-21:00\"\n");
    house.accepts_callback(CUSTOMER);
    assert_eq!(house.prompt(), "not-allowed-hours");
    assert_eq!(house.postponed(), [0; 0], "the agent still listens");
    house.is_told();
    // at 07:00 UTC it is 8 there; the virtual clock began at midnight
    let began = house.postponed()[0];
    assert!((25_100_000..=25_200_000).contains(&began), "{began}");
    assert!(house.failures().is_empty() && house.callback_ends().is_empty());
    assert_eq!(house.count(CARRIER, request(&Method::Invite)), 0);
    assert_eq!(house.count(AGENT, request(&Method::Bye)), 1);
    assert_eq!(house.decided(), [(Said::Deny, Some(Gate::Hours))]);
    let not_before = house.records[0].gates[0].not_before.expect("a time");
    assert_eq!(not_before.to_string(), "1970-01-01T07:00:00.000Z");
}

#[test]
fn an_agent_who_hangs_up_while_being_told_that_it_may_not_be_called_now_has_not_dropped_it() {
    let mut house = house("hours = \"08:00-21:00\"\n");
    let agent = house.accepts_callback(CUSTOMER);
    assert_eq!(house.prompt(), "not-allowed-hours");
    house.says(&agent, "BYE", "", "");
    assert_eq!(house.postponed().len(), 1);
    assert!(house.failures().is_empty() && house.callback_ends().is_empty());
}

#[test]
fn a_callback_that_may_never_be_called_is_over() {
    let mut house = house("hours = \"any\"\ncountries = [\"GB\"]\n");
    house.accepts_callback(CUSTOMER);
    assert_eq!(house.prompt(), "not-allowed-country");
    house.is_told();
    assert_eq!(house.failures(), [CallbackFailure::NotAllowed]);
    assert_eq!(house.callback_ends(), [CallbackEnd::Failed]);
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn a_callback_without_a_channel_keeps_its_place_and_no_try_is_counted() {
    let full = |name: &str, text: String| match name {
        "sip-profiles/external.toml" => format!("{text}\nmax-channels = 1\n"),
        _ => text,
    };
    let mut house = house_with("hours = \"any\"\n", full);
    house.calls(1, CUSTOMER);
    house.answers(CARRIER, 200);
    house.accepts_callback("+4930123457");
    assert_eq!(house.prompt(), "not-allowed-channel");
    house.is_told();
    assert!(house.failures().is_empty() && house.callback_ends().is_empty());
    assert_eq!(house.postponed(), [60_000], "not to the next agent at once");
    let Ok(Answer::Work(list)) = house.command(Command::Callbacks) else {
        panic!("no list");
    };
    assert_eq!((list.len(), list[0].position), (1, None));
    house.pass(s(61));
    let Ok(Answer::Work(list)) = house.command(Command::Callbacks) else {
        panic!("no list");
    };
    assert_eq!(list[0].position, Some(1));
    assert_eq!(house.count(CARRIER, request(&Method::Invite)), 1);
}

#[test]
fn without_a_number_to_present_a_person_calls_out_for_a_queue_only() {
    let own = "hours = \"any\"\n[[number]]\nnumber = \"+442071838750\"\nqueues = \"support\"\n";
    let shown = |name: &str, text: String| match name {
        "dialplans/internal.toml" => text.replace(
            "{ dial = \"+49{rest}\"",
            "{ dial = \"+49{rest}\", caller-id = \"+442071838750\"",
        ),
        _ => text,
    };
    let mut house = house_with(own, shown);
    house.orders("1001", CUSTOMER).expect("1001 is rung");
    house.answers(1, 200);
    assert_eq!(house.prompt(), "not-allowed-presented-number");
    house.is_told();
    assert_eq!(house.count(CARRIER, request(&Method::Invite)), 0);
    assert_eq!(house.decided(), [(Said::Deny, Some(Gate::PresentedNumber))]);
    house.accepts_callback(CUSTOMER);
    assert_eq!(house.count(CARRIER, request(&Method::Invite)), 1);
}

#[test]
fn every_leg_that_leaves_for_the_house_has_a_record_of_its_gates() {
    let mut house = house("hours = \"any\"\nattempts = { per-day = 5 }\n");
    house.accepts_callback(CUSTOMER);
    let customer = house.answers(CARRIER, 200);
    house.says(&customer, "BYE", "", "");
    house.orders("1001", "+4930123458").expect("1001 is rung");
    house.answers(1, 200);
    let callee = house.answers(CARRIER, 200);
    house.says(&callee, "BYE", "", "");
    let of_house: Vec<_> = house.records.iter().collect();
    assert_eq!(of_house.len(), 2);
    for record in of_house {
        let out = record.legs.iter().filter(|leg| leg.party.trunk.is_some());
        let numbers: Vec<_> = out.map(|leg| leg.party.number.clone()).collect();
        assert_eq!(numbers.len(), 1, "{record:?}");
        for number in numbers {
            let mut gates = record.gates.iter();
            let fits = gates.any(|gates| {
                let asked: Vec<Gate> = gates.answers.iter().map(|answer| answer.gate).collect();
                gates.verdict == Said::Allow && gates.number == number && asked == Gate::ALL
            });
            assert!(fits, "{number}: {:?}", record.gates);
        }
    }
    // what a person dials on a route that does not ask is the dialplan's
    house.calls(2, CUSTOMER);
    let line = house.answers(CARRIER, 200);
    house.says(&line, "BYE", "", "");
    assert!(house.records[2].gates.is_empty());
}

#[test]
fn what_is_asked_aloud_is_what_an_order_would_hear() {
    let list = "hours = \"any\"\n[[list]]\nname = \"company\"\nkind = \"do-not-call\"\n";
    let mut house = house(list);
    let add = NumbersOrder::Add {
        name: "company".into(),
        number: "+49301234*".into(),
        until: None,
        note: None,
        by: None,
    };
    house.command(Command::Numbers(add)).expect("on the list");
    let refused = house.orders("1001", CUSTOMER).expect_err("denied");
    assert_eq!((refused.status, refused.code), (403, "gate_denied"));
    assert!(
        refused.detail.contains("as +49301234*"),
        "{}",
        refused.detail
    );
    let ask = NumbersOrder::Ask {
        number: CUSTOMER.into(),
        from: Some("1001".into()),
    };
    let said = house.command(Command::Numbers(ask)).expect("an answer");
    let said = serde_json::to_value(said).expect("JSON");
    assert_eq!(
        (&said["verdict"], &said["by"]),
        (&"deny".into(), &"1001".into())
    );
    assert_eq!(house.residue(), Residue::default());
    // a number that is nobody's list's business
    house.orders("1001", "+4930999999").expect("1001 is rung");
}
