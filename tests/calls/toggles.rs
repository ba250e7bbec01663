//! Do-not-disturb and ring toggles in whole calls: who is rung, what callers hear, what queues do, what a restart keeps.

use strowger::acd::AcdEvent;
use strowger::sip::Method;
use strowger::switch::{Answer, Command, Record};

use super::parties::{CARRIER, Parties, at, request, settings};
use super::stage::bound;

const LINE: &str = "+442071838750";
const AGENT: u8 = 4;
const CODES: &str = r#"
[[rule]]
number = "*76"
do = [ { feature = "ring-on" } ]

[[rule]]
number = "*77"
do = [ { feature = "ring-off" } ]

[[rule]]
number = "*78"
do = [ { feature = "do-not-disturb-on" } ]
"#;

fn house(journal: &[Record]) -> Parties {
    let with_codes = settings(|name, text| match name {
        "dialplans/internal.toml" => format!("{text}{CODES}"),
        _ => text,
    });
    Parties::after(with_codes, journal)
}

impl Parties {
    fn dnd(&mut self, extension: &str, on: bool) {
        let order = Command::SetDoNotDisturb {
            extension: extension.into(),
            on,
        };
        self.command(order).expect("known");
    }

    fn agent_offers(&self) -> usize {
        let offered = self.acd.iter();
        offered
            .filter(|event| matches!(event, AcdEvent::AgentOffered { .. }))
            .count()
    }

    fn idle(&mut self) -> (String, Option<String>) {
        let agent = self.command(Command::Agent {
            extension: "1004".into(),
        });
        let agent = serde_json::to_value(agent.expect("an agent")).expect("JSON");
        (
            agent["idle_because"].as_str().expect("why").to_string(),
            agent["silent"].as_str().map(str::to_string),
        )
    }

    /// Invitations that this party has had.
    fn invited(&self, party: u8) -> usize {
        self.count(party, request(&Method::Invite))
    }
}

#[test]
fn a_caller_of_who_is_not_to_be_disturbed_hears_busy_and_nothing_rings() {
    let mut house = house(&[]);
    house.dnd("1002", true);
    house.calls(1, "1002");
    assert_eq!(house.invited(2), 0);
    house.last(1, |message| {
        message.status().is_some_and(|s| s.as_u16() == 486)
    });
    // the toggle does not keep its owner from calling
    house.calls(2, "1003");
    assert_eq!(house.invited(3), 1);
    house.dnd("1002", false);
    house.calls(1, "1002");
    assert_eq!(house.invited(2), 1);
}

#[test]
fn an_agent_who_is_not_to_be_disturbed_is_offered_nothing_and_why_says_so_also_after_a_restart() {
    let mut first = house(&[]);
    first.log_in("1004");
    first.dnd("1004", true);
    first.calls(CARRIER, LINE);
    assert_eq!((first.agent_offers(), first.invited(AGENT)), (0, 0));
    let because = (
        "has switched do-not-disturb on".to_string(),
        Some("do-not-disturb".to_string()),
    );
    assert_eq!(first.idle(), because);

    let journal = first.journal.clone();
    let mut second = house(&journal);
    second.give(bound("1004", at(AGENT), second.now));
    second.log_in("1004");
    assert_eq!(second.idle(), because);
    second.calls(CARRIER, LINE);
    assert_eq!(second.agent_offers(), 0);
    second.dnd("1004", false);
    assert_eq!(second.agent_offers(), 1);
    // a snapshot has it too
    second.dnd("1004", true);
    let snapshot = second.switch.snapshot(second.now);
    let mut third = house(&snapshot);
    third.log_in("1004");
    assert_eq!(third.idle(), because);
}

#[test]
fn a_phone_switches_itself_off_by_code_and_the_others_of_its_owner_ring() {
    let mut house = house(&[]);
    // a second telephone of 1002, at the place of 1005's
    house.give(bound("1002", at(5), house.now));
    house.calls(2, "*77");
    house.calls(1, "1002");
    assert_eq!((house.invited(2), house.invited(5)), (0, 1));
    house.calls(2, "*76");
    house.calls(3, "1002");
    assert_eq!((house.invited(2), house.invited(5)), (1, 2));
}

#[test]
fn with_every_device_off_the_agent_is_offered_nothing() {
    let mut house = house(&[]);
    house.log_in("1004");
    house.calls(AGENT, "*77");
    let (because, silent) = house.idle();
    assert_eq!(
        (&*because, silent.as_deref()),
        ("has switched every device off", Some("ring-off"))
    );
    house.calls(CARRIER, LINE);
    assert_eq!(house.agent_offers(), 0);
    let on = Command::SetRing {
        extension: "1004".into(),
        contact: None,
        on: true,
    };
    let Ok(Answer::Registrations(devices)) = house.command(on) else {
        panic!("no devices");
    };
    assert!(
        devices
            .iter()
            .all(|device| device.ring && !device.do_not_disturb)
    );
    assert_eq!(house.agent_offers(), 1);
    let nowhere = Command::SetRing {
        extension: "1004".into(),
        contact: Some("sip:1004@192.0.2.1".into()),
        on: false,
    };
    assert_eq!(house.command(nowhere).expect_err("unknown").status, 404);
}

#[test]
fn do_not_disturb_by_code_is_for_every_extension_and_leaves_own_orders_alone() {
    let mut house = house(&[]);
    house.calls(1, "*78");
    house.calls(3, "1001");
    assert_eq!(house.invited(1), 0);
    // who asks for a call is rung for it all the same
    let order = Command::Originate {
        from: "1001".into(),
        to: "1002".into(),
    };
    house.command(order).expect("rings");
    assert_eq!(house.invited(1), 1);
}
