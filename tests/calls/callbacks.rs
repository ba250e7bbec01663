//! Callbacks from the key to the conversation: who is told what, whom the agent rings for, when the customer is called, and what comes of it.

use insta::assert_snapshot;
use strowger::acd::{AcdEvent, CallbackEnd, CallbackFailure, EndedBy, OfferResult, WorkItemView};
use strowger::base::Ulid;
use strowger::media::{MediaCommand, MediaEvent};
use strowger::sim::actors::{Answer as SimAnswer, CallPlan};
use strowger::sim::ladder::SERVER;
use strowger::sip::{Method, Name};
use strowger::switch::{Answer, Command, Input, Record, Refusal, Reply, Residue};

use super::parties::{CARRIER, Line, Parties, at, request, settings, text};
use super::stage::{House, answers_after, ms, s};

const LINE: &str = "+442071838750";
const CUSTOMER: &str = "+4930123456";
const AGENT: u8 = 4;
const KEY: &str = "digit = \"1\", retries = [\"1m\"]";

/// A house whose queue takes callbacks.
fn house(callback: &str) -> Parties {
    house_after(callback, &[])
}

fn house_after(callback: &str, journal: &[Record]) -> Parties {
    let settings = settings(|name, text| match name {
        "queues/support.toml" => format!("{text}callback = {{ {callback} }}\n"),
        _ => text,
    });
    Parties::after(settings, journal)
}

fn with_key() -> Parties {
    house(KEY)
}

impl Parties {
    /// The last that was played, to whatever stream, and its number.
    fn played(&self) -> Vec<String> {
        let played = self.media.iter().rev().find_map(|command| match command {
            MediaCommand::Play { files, .. } => Some(files.iter().map(ToString::to_string)),
            _ => None,
        });
        played.expect("something was played").collect()
    }

    /// It has been heard to its end.
    fn heard(&mut self) {
        let (stream, play) = self.playing();
        self.give(Input::Media(MediaEvent::PlayEnded { stream, play }));
    }

    fn playing(&self) -> (strowger::media::StreamId, u32) {
        let last = self.media.iter().rev().find_map(|command| match command {
            MediaCommand::Play { stream, play, .. } => Some((*stream, *play)),
            _ => None,
        });
        last.expect("something is played")
    }

    /// Whoever was played to last presses a key.
    fn presses(&mut self, digit: char) {
        let (stream, _) = self.playing();
        self.give(Input::Media(MediaEvent::Digit {
            stream,
            digit,
            duration: strowger::base::Duration::from_millis(100),
        }));
    }

    fn asks(&mut self, number: &str, agent: Option<&str>) -> Reply {
        self.command(Command::RequestCallback {
            queue: "support".into(),
            number: number.into(),
            name: None,
            agent: agent.map(Into::into),
        })
    }

    fn list(&mut self) -> Vec<WorkItemView> {
        match self.command(Command::Callbacks) {
            Ok(Answer::Work(list)) => list,
            other => panic!("no list: {other:?}"),
        }
    }

    /// The customer asked for a callback by key and has hung up; the agent comes now, and is rung.
    fn rings_for_callback(&mut self) {
        self.calls(CARRIER, LINE);
        self.presses('1');
        self.heard();
        self.log_in("1004");
        self.last(AGENT, request(&Method::Invite));
    }

    /// The agent has accepted and heard what it is: the customer's phone rings.
    fn calls_customer(&mut self) -> Line {
        self.rings_for_callback();
        let agent = self.answers(AGENT, 200);
        self.heard();
        self.answers(CARRIER, 180);
        agent
    }

    /// The agent's end of its call.
    fn agent_line(&self) -> Line {
        let invite = self.last(AGENT, request(&Method::Invite));
        self.line_at(AGENT, &text(invite.call_id()))
    }

    /// How often the agent was offered something.
    fn offered(&self) -> usize {
        let offered = self.acd.iter();
        offered
            .filter(|event| matches!(event, AcdEvent::AgentOffered { .. }))
            .count()
    }

    fn ended(&self) -> Vec<CallbackEnd> {
        let ended = self.acd.iter().filter_map(|event| match event {
            AcdEvent::CallbackEnded { how, .. } => Some(*how),
            _ => None,
        });
        ended.collect()
    }

    fn tried(&self) -> Vec<CallbackFailure> {
        let tried = self.acd.iter().filter_map(|event| match event {
            AcdEvent::CallbackTried { failure, .. } => Some(*failure),
            _ => None,
        });
        tried.collect()
    }

    fn agent_state(&mut self) -> String {
        let agent = self.command(Command::Agent {
            extension: "1004".into(),
        });
        let agent = serde_json::to_value(agent.expect("an agent")).expect("JSON");
        agent["state"].as_str().expect("a state").to_string()
    }
}

fn refused(reply: Reply) -> Refusal {
    reply.expect_err("refused")
}

#[test]
fn caller_presses_the_key_and_is_called_back_agent_first() {
    let mut stage = House::new()
        .agent("1001", answers_after(s(2)))
        .carrier(
            SimAnswer::After {
                ring: s(1),
                talk: Some(s(4)),
            },
            false,
        )
        .queue("callback = { digit = \"1\" }\n")
        .ready();
    for (n, after, ready) in [(50, 1, false), (51, 8000, true)] {
        let status = serde_json::json!({"agent-status": {"extension": "1001", "ready": ready, "reason": null}});
        stage.world.command_after(ms(after), n, status);
    }
    stage.world.run_for(ms(2));
    stage.call(
        "carrier",
        LINE,
        CallPlan {
            keys: "1".to_string(),
            ..CallPlan::default()
        },
    );
    assert_snapshot!(stage.ladder(s(25), &["carrier", SERVER, "1001"]));
}

#[test]
fn a_caller_who_presses_the_key_is_promised_a_callback_and_released() {
    let mut house = with_key();
    house.calls(CARRIER, LINE);
    house.presses('7');
    assert_eq!(house.played(), ["music/default"]);
    house.presses('1');
    assert_eq!(house.played(), ["callback-promised"]);
    let list = house.list();
    assert_eq!(
        (list[0].callback.as_deref(), list[0].position),
        (Some(CUSTOMER), Some(1))
    );
    assert_eq!(house.count(CARRIER, request(&Method::Bye)), 0);
    house.heard();
    assert_eq!(house.count(CARRIER, request(&Method::Bye)), 1);
    let left = house.residue();
    assert_eq!((left.calls, left.offers, left.work_items), (0, 0, 1));
    assert_eq!(house.list().len(), 1);
}

#[test]
fn without_the_key_in_the_file_keys_mean_nothing() {
    let mut house = house("cap = 5");
    house.calls(CARRIER, LINE);
    for key in "0123456789*#".chars() {
        house.presses(key);
    }
    assert_eq!(house.played(), ["music/default"]);
    assert!(house.list().is_empty());
}

#[test]
fn a_caller_without_a_number_is_refused_and_goes_on_waiting() {
    let mut house = with_key();
    house.anonymous = true;
    house.calls(CARRIER, LINE);
    house.presses('1');
    assert_eq!(house.played(), ["not-valid"]);
    house.heard();
    assert_eq!(house.played(), ["music/default"]);
    assert!(house.list().is_empty());
    // somebody inside has no number that a carrier could call
    house.anonymous = false;
    house.calls(1, "8750");
    house.presses('1');
    assert_eq!(house.played(), ["not-valid"]);
    assert!(house.list().is_empty());
}

#[test]
fn the_agent_alone_hears_what_it_is_before_the_customer_is_called() {
    let mut house = with_key();
    house.rings_for_callback();
    let invite = house.last(AGENT, request(&Method::Invite));
    let from = text(invite.header(Name::From).expect("From"));
    assert!(
        from.starts_with(&format!("\"Callback {CUSTOMER}\" <sip:{CUSTOMER}@")),
        "{from}"
    );
    let alert = text(invite.header(Name::AlertInfo).expect("Alert-Info"));
    assert!(alert.contains("info=callback"), "{alert}");
    house.answers(AGENT, 180);
    assert_eq!(house.count(CARRIER, request(&Method::Invite)), 0);
    let agent = house.answers(AGENT, 200);
    assert_eq!(house.played(), ["callback-identify"]);
    assert_eq!(house.count(CARRIER, request(&Method::Invite)), 0);
    house.heard();
    assert_eq!(house.count(CARRIER, request(&Method::Invite)), 1);
    house.answers(CARRIER, 180);
    assert_eq!(house.played(), ["tones/ringback"]);
    assert!(house.ended().is_empty());
    house.answers(CARRIER, 200);
    assert!(house.hear_each_other(AGENT, CARRIER));
    assert_eq!(house.ended(), [CallbackEnd::Connected]);
    assert_eq!(house.agent_state(), "talking");
    house.says(&agent, "BYE", "", "");
    assert_eq!(house.count(CARRIER, request(&Method::Bye)), 2);
    assert_eq!(house.agent_state(), "wrap");
    let ends = house.acd.iter().filter_map(|event| match event {
        AcdEvent::SegmentEnded { by, .. } => Some(*by),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [EndedBy::Agent]);
    assert_eq!(house.residue(), Residue::default());
    let record = house.records.last().expect("a record");
    let connected = house.acd.iter().find_map(|event| match event {
        AcdEvent::Connected { call, .. } => Some(*call),
        _ => None,
    });
    assert_eq!(connected, Some(record.id));
    assert_eq!(
        (
            record.agent.as_deref(),
            &*record.from.number,
            &*record.to.number,
            &*record.queues[0]
        ),
        (Some("1004"), "1004", CUSTOMER, "support")
    );
}

#[test]
fn a_customer_who_hangs_up_ends_the_agents_part_as_customer() {
    let mut house = with_key();
    house.calls_customer();
    let customer = house.answers(CARRIER, 200);
    house.says(&customer, "BYE", "", "");
    let ends = house.acd.iter().filter_map(|event| match event {
        AcdEvent::SegmentEnded { by, .. } => Some(*by),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [EndedBy::Customer]);
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn a_customer_who_is_busy_or_does_not_answer_is_called_again() {
    for (code, failure) in [
        (486, CallbackFailure::Busy),
        (603, CallbackFailure::Refused),
        (480, CallbackFailure::NoAnswer),
    ] {
        let mut house = with_key();
        house.calls_customer();
        house.answers(CARRIER, code);
        assert_eq!(house.tried(), [failure]);
        assert_eq!(house.count(AGENT, request(&Method::Bye)), 1, "{code}");
        assert_eq!(house.agent_state(), "ready");
        assert_eq!(house.list()[0].position, None);
        house.pass(s(59));
        assert_eq!(house.offered(), 1);
        house.pass(s(2));
        assert_eq!(house.offered(), 2);
    }
    let mut house = with_key();
    house.calls_customer();
    house.pass(s(41));
    assert_eq!(house.tried(), [CallbackFailure::NoAnswer]);
    house.last(CARRIER, request(&Method::Cancel));
}

#[test]
fn a_number_that_the_agents_phone_may_not_call_is_not_called() {
    let mut house = with_key();
    house.asks("+442012345678", None).expect("promised");
    house.log_in("1004");
    house.answers(AGENT, 200);
    house.heard();
    assert_eq!(house.tried(), [CallbackFailure::NotAllowed]);
    assert_eq!(house.ended(), [CallbackEnd::Failed]);
    assert_eq!(house.count(CARRIER, request(&Method::Invite)), 0);
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn an_agent_who_hangs_up_before_the_customer_answers_leaves_the_callback_in_place() {
    let mut house = with_key();
    let agent = house.calls_customer();
    house.says(&agent, "BYE", "", "");
    house.last(CARRIER, request(&Method::Cancel));
    house.answers(CARRIER, 487);
    let list = house.list();
    assert_eq!((list.len(), list[0].position), (1, Some(1)));
    assert!(house.tried().is_empty());
    assert!(house.acd.iter().any(|event| matches!(
        event,
        AcdEvent::AgentOfferEnded {
            result: OfferResult::AnswerThenDrop,
            ..
        }
    )));
}

#[test]
fn an_agent_who_lets_a_callback_ring_is_passed_over_and_no_call_is_left() {
    let mut house = with_key();
    house.rings_for_callback();
    house.answers(AGENT, 180);
    house.pass(s(16));
    house.last(AGENT, request(&Method::Cancel));
    house.answers(AGENT, 487);
    assert!(house.acd.iter().any(|event| matches!(
        event,
        AcdEvent::AgentOfferEnded {
            result: OfferResult::Rona,
            ..
        }
    )));
    assert_eq!(house.list()[0].position, Some(1));
    house
        .command(Command::AgentSession {
            extension: "1004".into(),
            logged_in: false,
        })
        .expect("logged out");
    assert_eq!(house.residue().calls, 0);
}

#[test]
fn a_server_that_is_about_to_stop_keeps_callbacks_for_later() {
    let mut house = with_key();
    house.asks(CUSTOMER, None).expect("promised");
    house.command(Command::Drain).expect("drains");
    house.log_in("1004");
    house.pass(s(60));
    assert_eq!(house.count(AGENT, request(&Method::Invite)), 0);
    assert_eq!(house.list()[0].position, Some(1));
}

#[test]
fn a_callback_of_one_agent_waits_for_that_agent_and_is_capped_by_its_calls() {
    let mut house = with_key();
    for number in ["+4930111", "+4930222"] {
        house.asks(number, Some("1004")).expect("promised");
    }
    let refusal = refused(house.asks("+4930333", Some("1004")));
    assert_eq!(refusal.code, "over_cap");
    house.asks("+4930333", None).expect("promised to anybody");
    house.log_in("1004");
    let from = text(
        house
            .last(AGENT, request(&Method::Invite))
            .header(Name::From)
            .expect("From"),
    );
    assert!(from.contains("+4930111"), "{from}");
}

#[test]
fn an_agent_may_transfer_whom_a_callback_reached() {
    let mut house = with_key();
    house.calls_customer();
    let agent = {
        house.answers(CARRIER, 200);
        house.agent_line()
    };
    let refer = format!("Refer-To: <sip:1001@{}>\r\n", strowger::sim::house::DOMAIN);
    house.says(&agent, "REFER", &refer, "");
    house.answers(1, 200);
    assert!(house.hear_each_other(1, CARRIER));
    assert_eq!(house.agent_state(), "wrap");
    assert_eq!(house.ended(), [CallbackEnd::Connected]);
}

#[test]
fn an_agent_who_refuses_a_callback_leaves_it_in_place_and_no_call() {
    for code in [486, 603] {
        let mut house = with_key();
        house.rings_for_callback();
        house.answers(AGENT, code);
        assert_eq!(house.list()[0].position, Some(1), "{code}");
        assert_eq!(house.switch.residue().calls, 0, "{code}");
        assert_eq!(house.count(CARRIER, request(&Method::Invite)), 0);
    }
}

#[test]
fn of_two_agents_who_ring_for_one_callback_only_the_first_calls_the_customer() {
    let mut house = Parties::with(settings(|name, text| match name {
        "queues/support.toml" => {
            let text = text.replace("longest-idle", "ring-all");
            let two = "[ { extension = \"1003\" }, { extension = \"1004\" } ]";
            let text = text.replace("[ { extension = \"1004\" } ]", two);
            format!("{text}callback = {{ {KEY} }}\n")
        }
        _ => text,
    }));
    house.log_in("1003");
    house.log_in("1004");
    house.asks(CUSTOMER, None).expect("promised");
    house.answers(3, 180);
    house.answers(AGENT, 180);
    house.answers(3, 200);
    house.last(AGENT, request(&Method::Cancel));
    house.answers(AGENT, 487);
    assert_eq!(house.played(), ["callback-identify"]);
    house.heard();
    let customer = house.answers(CARRIER, 200);
    assert!(house.hear_each_other(3, CARRIER));
    assert_eq!(house.agent_state(), "ready");
    house.says(&customer, "BYE", "", "");
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn a_lamp_of_an_agent_who_rings_for_a_callback_shows_the_customer() {
    let mut house = with_key();
    let (it, domain) = (at(1), strowger::sim::house::DOMAIN);
    house.sends(
        1,
        format!(
            "SUBSCRIBE sip:1004@{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {it};branch=z9hG4bKlamp\r\nMax-Forwards: 70\r\n\
             From: <sip:1001@{domain}>;tag=lamp\r\nTo: <sip:1004@{domain}>\r\nCall-ID: lamp\r\nCSeq: 1 SUBSCRIBE\r\n\
             Contact: <sip:1001@{it}>\r\nEvent: dialog\r\nContent-Length: 0\r\n\r\n"
        ),
    );
    house.rings_for_callback();
    house.answers(AGENT, 180);
    house.pass(s(5));
    let notify = house.last(1, request(&Method::Notify));
    let body = text(notify.body());
    let remote = body.split("<remote>").nth(1).unwrap_or_default();
    assert!(
        body.contains("early") && remote.contains(CUSTOMER),
        "{body}"
    );
}

#[test]
fn above_the_cap_the_call_goes_on_as_a_missed_one_without_a_prompt() {
    let mut house = house("digit = \"1\", cap = 1");
    house.asks("+4930777", None).expect("promised");
    house.calls(CARRIER, LINE);
    let before = house.media.len();
    house.presses('1');
    let played = house.media[before..].iter();
    assert_eq!(
        played
            .filter(|command| matches!(command, MediaCommand::Play { .. }))
            .count(),
        0
    );
    house.last(CARRIER, request(&Method::Bye));
    assert_eq!(house.list().len(), 1);
    let refusal = refused(house.asks("+4930778", None));
    assert_eq!((refusal.status, refusal.code), (409, "over_cap"));
    assert_eq!(house.residue().calls, 0);
}

#[test]
fn who_waits_is_told_of_the_key_unless_nothing_would_be_promised() {
    let mut open = house("digit = \"1\", offer-after = \"30s\"");
    open.calls(CARRIER, LINE);
    open.pass(s(29));
    assert_eq!(open.played(), ["music/default"]);
    open.pass(s(2));
    assert_eq!(open.played(), ["callback-offer", "digits/1"]);
    open.heard();
    assert_eq!(open.played(), ["music/default"]);
    let mut full = house("digit = \"1\", offer-after = \"30s\", cap = 0");
    full.calls(CARRIER, LINE);
    full.pass(s(40));
    assert_eq!(full.played(), ["music/default"]);
}

#[test]
fn programs_ask_for_callbacks_see_their_places_and_take_them_back() {
    let mut house = with_key();
    house.asks("+49 30 111", None).expect("promised");
    house.asks("+4930222", None).expect("promised");
    let again = house.asks("+4930111", None).expect("kept");
    let list = house.list();
    let Answer::Callback(made) = again else {
        panic!("no callback");
    };
    assert_eq!(
        (made.promised, made.item.id, made.item.position),
        (false, list[0].id, Some(1))
    );
    let places: Vec<_> = list
        .iter()
        .map(|item| (item.callback.as_deref(), item.position))
        .collect();
    assert_eq!(
        places,
        [(Some("+4930111"), Some(1)), (Some("+4930222"), Some(2))]
    );
    let refusal = refused(house.asks("1001", None));
    assert_eq!((refusal.status, refusal.code), (422, "not_a_number"));
    let refusal = refused(house.asks("+4930333", Some("1001")));
    assert_eq!(refusal.status, 404);
    let id = list[0].id;
    house
        .command(Command::CancelCallback { id })
        .expect("taken back");
    assert_eq!(house.ended(), [CallbackEnd::Cancelled]);
    assert_eq!(house.list()[0].position, Some(1));
    assert_eq!(
        refused(house.command(Command::CancelCallback { id })).status,
        409
    );
    let nobody = Command::CancelCallback { id: Ulid(7) };
    assert_eq!(refused(house.command(nobody)).status, 404);
    let mut none = Parties::new();
    assert_eq!(refused(none.asks("+4930111", None)).code, "no_callbacks");
}

#[test]
fn a_callback_that_is_taken_back_frees_the_agent_whether_it_rings_or_is_called() {
    for called in [false, true] {
        let mut house = with_key();
        match called {
            true => drop(house.calls_customer()),
            false => {
                house.rings_for_callback();
                house.answers(AGENT, 180);
            }
        }
        let id = house.list()[0].id;
        house
            .command(Command::CancelCallback { id })
            .expect("taken back");
        match called {
            true => {
                house.last(AGENT, request(&Method::Bye));
                house.last(CARRIER, request(&Method::Cancel));
                house.answers(CARRIER, 487);
            }
            false => {
                house.last(AGENT, request(&Method::Cancel));
                house.answers(AGENT, 487);
            }
        }
        assert_eq!(house.ended(), [CallbackEnd::Cancelled]);
        assert_eq!(house.agent_state(), "ready");
        assert_eq!(house.residue(), Residue::default());
    }
}

#[test]
fn a_customer_who_calls_in_may_take_the_place_of_the_callback() {
    let mut house = with_key();
    house.asks(CUSTOMER, None).expect("promised");
    house.pass(s(60));
    house.calls(CARRIER, LINE);
    assert_eq!(
        house.played(),
        [
            "callback-in-line",
            "you-are-number",
            "digits/1",
            "in-line",
            "callback-take-place",
            "digits/1"
        ]
    );
    house.heard();
    assert!(house.ended().is_empty());
    house.presses('1');
    assert_eq!(house.ended(), [CallbackEnd::Superseded]);
    assert!(house.list().is_empty());
    assert_eq!(house.played(), ["music/default"]);
    // the same caller may still choose to be called back, at that place
    house.presses('1');
    assert_eq!(house.played(), ["callback-promised"]);
    assert_eq!(house.list().len(), 1);
}

#[test]
fn callbacks_are_there_after_a_crash_and_are_made() {
    let mut before = with_key();
    before.calls(CARRIER, LINE);
    before.presses('1');
    before.asks("+4930222", None).expect("promised");
    let told: Vec<_> = before.list();
    let mut house = house_after(KEY, &before.journal);
    let list = house.list();
    assert_eq!(list.len(), 2);
    for (now, then) in list.iter().zip(&told) {
        assert_eq!(
            (now.id, &now.callback, now.position),
            (then.id, &then.callback, then.position)
        );
    }
    house.log_in("1004");
    house.answers(AGENT, 200);
    house.heard();
    house.answers(CARRIER, 200);
    assert!(house.hear_each_other(AGENT, CARRIER));
    assert_eq!(house.ended(), [CallbackEnd::Connected]);
}
