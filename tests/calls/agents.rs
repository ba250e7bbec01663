//! Agents whose phone is in a call: with their own queue, with a feature code, with a call that is being left.

use std::collections::BTreeSet;

use strowger::acd::AcdEvent;
use strowger::event::CallFact;
use strowger::media::{MediaCommand, MediaEvent};
use strowger::sip::Method;
use strowger::switch::{Answer, Command};

use super::parties::{Line, Parties, at, request, response, settings, text};
use super::stage::{ms, s};

/// A house whose code for "ready" says so, as the shipped one does, and whose agent is 1004.
fn house() -> Parties {
    house_with(|_, text| text)
}

fn house_with(change: impl Fn(&str, String) -> String) -> Parties {
    let said = "do = [ { feature = \"ready\" }, { play = \"ready\" } ]";
    Parties::with(settings(|name, text| {
        change(name, text.replace("do = [ { feature = \"ready\" } ]", said))
    }))
}

/// Calls that the phone was invited to, each once.
fn rung(house: &Parties, party: u8) -> usize {
    let invites = house
        .sent
        .iter()
        .filter(|(to, m)| *to == at(party) && request(&Method::Invite)(m) && m.to_tag().is_none());
    let calls: BTreeSet<String> = invites.map(|(_, m)| text(m.call_id())).collect();
    calls.len()
}

impl Parties {
    /// What is played to the end was heard.
    fn prompt_ends(&mut self) {
        let play = self.media.iter().rev().find_map(|command| match command {
            MediaCommand::Play {
                stream,
                play,
                repeat: false,
                ..
            } => Some((*stream, *play)),
            _ => None,
        });
        let (stream, play) = play.expect("a prompt");
        self.give(strowger::switch::Input::Media(MediaEvent::PlayEnded {
            stream,
            play,
        }));
    }

    /// The agent is logged in, not ready, and the phone is told `*11`: the code says that the agent is ready.
    fn dials_ready(&mut self) -> Line {
        let login = self.command(Command::AgentSession {
            extension: "1004".into(),
            logged_in: true,
        });
        login.expect("logged in");
        self.calls(4, "*11")
    }

    /// The last verdict about the agent in what is asked of `why`.
    fn verdict_of(&mut self, agent: &str) -> String {
        let Ok(Answer::Decisions(decisions)) = self.command(Command::WhyAgent {
            extension: agent.into(),
        }) else {
            panic!("decisions");
        };
        let last = decisions.last().expect("a decision");
        let of = last.candidates.iter().find(|c| &*c.agent == agent);
        of.expect("considered").verdict.clone()
    }
}

#[test]
fn agent_who_calls_the_own_queue_is_not_offered_that_call() {
    let mut house = house();
    house.log_in("1004");
    let call = house.calls(4, "8750");
    house.last(4, response(&Method::Invite, 200));
    assert_eq!(rung(&house, 4), 0, "nobody is offered their own call");
    assert_eq!(
        house.verdict_of("1004"),
        "is the caller, and nobody is offered their own call"
    );
    house.says(&call, "BYE", "", "");
    // and is free for others as soon as it is over
    house.calls(1, "8750");
    assert_eq!(rung(&house, 4), 1);
}

#[test]
fn agent_who_leaves_the_own_queue_is_free_when_that_call_is_out_of_it() {
    let mut house = house();
    house.log_in("1004");
    let call = house.calls(4, "8750");
    house.calls(1, "8750");
    assert_eq!(rung(&house, 4), 0);
    house.says(&call, "BYE", "", "");
    assert_eq!(rung(&house, 4), 1);
    let at = |fits: fn(&AcdEvent) -> bool| house.acd.iter().position(fits).expect("happened");
    let left = at(|event| matches!(event, AcdEvent::Abandoned { .. }));
    let offered = at(|event| matches!(event, AcdEvent::AgentOffered { .. }));
    assert!(left < offered, "nobody overtakes who waits");
}

#[test]
fn who_was_given_the_callers_place_is_not_offered_the_call_but_the_agent_who_left_is() {
    let mut house = house();
    house.log_in("1004");
    let (a, _) = house.talk(4, 2);
    let c = house.calls(4, "8750");
    let target = format!("<sip:8750@pbx.example.com?Replaces={}>", c.escaped());
    house.says(&a, "REFER", &format!("Refer-To: {target}\r\n"), "");
    assert_eq!(house.told(4), ["200!"]);
    // 1004's phone is in its calls until it has been let go
    assert_eq!(rung(&house, 4), 0);
    house.pass(s(3));
    assert_eq!(rung(&house, 4), 1, "1002 waits now, and 1004 may serve");
    let items = match house.command(Command::Work) {
        Ok(Answer::Work(items)) => items,
        other => panic!("{other:?}"),
    };
    assert_eq!(&*items[0].caller.number, "1002");
}

#[test]
fn feature_call_that_makes_ready_is_over_before_the_agent_is_rung() {
    let mut house = house();
    house.calls(1, "8750");
    house.dials_ready();
    house.last(4, response(&Method::Invite, 200));
    assert_eq!(rung(&house, 4), 0, "the code still speaks");
    // the phone does not answer the BYE yet
    house.mute.push(4);
    house.prompt_ends();
    let bye = house.last(4, request(&Method::Bye));
    assert_eq!(rung(&house, 4), 0, "the phone is still in the call");
    house.reply_to(4, &bye, 200);
    assert_eq!(rung(&house, 4), 1);
}

#[test]
fn phone_that_hangs_up_after_its_code_is_rung_at_once() {
    let mut house = house();
    house.calls(1, "8750");
    let code = house.dials_ready();
    house.says(&code, "BYE", "", "");
    assert_eq!(rung(&house, 4), 1);
}

#[test]
fn lost_bye_of_a_feature_call_holds_the_agent_back_for_seconds_only() {
    let mut house = house();
    house.calls(1, "8750");
    house.dials_ready();
    house.mute.push(4);
    house.prompt_ends();
    house.pass(ms(3_900));
    assert!(house.count(4, request(&Method::Bye)) >= 4, "it is repeated");
    assert_eq!(rung(&house, 4), 0);
    house.pass(ms(200));
    assert_eq!(rung(&house, 4), 1, "another device of the agent may ring");
}

#[test]
fn feature_call_whose_ack_is_lost_holds_the_agent_back_for_seconds_only() {
    let mut house = house();
    house.calls(1, "8750");
    house.mute.push(4);
    house.dials_ready();
    house.prompt_ends();
    assert_eq!(
        house.count(4, request(&Method::Bye)),
        0,
        "not before the ACK"
    );
    assert_eq!(rung(&house, 4), 0);
    house.pass(ms(4_100));
    assert_eq!(rung(&house, 4), 1);
}

#[test]
fn code_that_ends_wrap_up_is_over_before_the_agent_is_rung() {
    let spoken = "do = [ { feature = \"end-wrap\" }, { play = \"wrap-ended\" } ]";
    let mut house =
        house_with(|_, text| text.replace("do = [ { feature = \"end-wrap\" } ]", spoken));
    house.log_in("1004");
    let first = house.calls(1, "8750");
    house.answers(4, 200);
    house.says(&first, "BYE", "", "");
    house.calls(2, "8750");
    let code = house.calls(4, "*14");
    assert_eq!(rung(&house, 4), 1, "the code still speaks");
    house.says(&code, "BYE", "", "");
    assert_eq!(rung(&house, 4), 2);
}

#[test]
fn agent_who_gives_a_customer_back_to_the_queue_is_rung_when_the_phone_has_left_the_call() {
    let mut house = house_with(|_, text| text.replace("wrap-up = \"5s\"", "wrap-mode = \"none\""));
    house.log_in("1004");
    house.calls(1, "8750");
    let served = house.answers(4, 200);
    let again = "Refer-To: <sip:8750@pbx.example.com>\r\n";
    house.says(&served, "REFER", again, "");
    assert_eq!(house.told(4), ["100", "200!"]);
    assert_eq!(rung(&house, 4), 1, "the phone has not hung up yet");
    house.says(&served, "BYE", "", "");
    assert_eq!(rung(&house, 4), 2);
}

/// The leg of a party in the only live call: its state, and whether its device has said anything.
fn leg_of(house: &mut Parties, number: &str) -> (&'static str, &'static str, bool) {
    let Ok(Answer::Calls(calls)) = house.command(Command::Calls) else {
        panic!("calls");
    };
    let mut legs = calls[0].legs.iter();
    let leg = legs.rfind(|leg| &*leg.party.number == number);
    let leg = leg.expect("a leg");
    (calls[0].state, leg.state, leg.silent_since.is_none())
}

#[test]
fn phone_that_never_responds_does_not_ring_and_is_said_not_to_have_responded() {
    let mut house = house();
    let call = house.calls(1, "1002");
    house.pass(s(7));
    assert_eq!(leg_of(&mut house, "1002"), ("calling", "calling", false));
    house.sends(1, cancel_of(&call));
    house.residue();
    let ended = house.facts.iter().find_map(|fact| match fact {
        CallFact::LegEnded {
            silent_since: Some(at),
            ..
        } => Some(*at),
        _ => None,
    });
    let record = house.records.last().expect("a record");
    let silent = record.legs.iter().filter(|leg| leg.no_response);
    let silent: Vec<_> = silent
        .map(|leg| (&*leg.party.number, leg.started_at))
        .collect();
    assert_eq!(silent, [("1002", ended.expect("said at its end"))]);
}

#[test]
fn phone_that_responds_is_ringing_only_when_it_rings() {
    let mut house = house();
    house.calls(1, "1002");
    house.answers(2, 100);
    assert_eq!(leg_of(&mut house, "1002"), ("calling", "calling", true));
    house.answers(2, 180);
    assert_eq!(leg_of(&mut house, "1002"), ("ringing", "ringing", true));
    house.answers(2, 486);
    house.residue();
    let record = house.records.last().expect("a record");
    assert!(record.legs.iter().all(|leg| !leg.no_response));
}

/// CANCEL of the INVITE that opened a line.
fn cancel_of(line: &Line) -> String {
    let (it, us) = (at(line.party), strowger::sim::house::internal());
    let branch = line.ours.replacen('o', "i", 1);
    format!(
        "CANCEL sip:1002@{us} SIP/2.0\r\nVia: SIP/2.0/UDP {it};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:1001@{us}>;tag={}\r\nTo: <sip:1002@{us}>\r\nCall-ID: {}\r\nCSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
        line.ours, line.call_id
    )
}
