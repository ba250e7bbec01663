//! Who is on hold hears music (RFC 5359 §2.3): by the telephone's own hold, in its dialects, and by order.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use strowger::media::MediaCommand;
use strowger::sip::{Message, Method};
use strowger::switch::{Answer, Command, Residue};

use super::parties::{
    CARRIER, Line, Parties, at, request, response, settings, settings_beside, text,
};
use super::stage::s;

/// What plays to a party again and again, if anything.
fn music(house: &Parties, party: u8) -> Option<Arc<str>> {
    let mut whose: BTreeMap<u64, IpAddr> = BTreeMap::new();
    let mut playing: BTreeMap<u64, Arc<str>> = BTreeMap::new();
    for command in &house.media {
        match command {
            MediaCommand::Agree { stream, plan, .. } => {
                whose.extend(plan.remote_rtp.map(|rtp| (stream.0, rtp.ip())));
            }
            MediaCommand::Play {
                stream,
                files,
                repeat: true,
                ..
            } => {
                playing.insert(stream.0, files[0].clone());
            }
            MediaCommand::Join { a, b } => {
                playing.remove(&a.0);
                playing.remove(&b.0);
            }
            MediaCommand::Stop { stream }
            | MediaCommand::Play { stream, .. }
            | MediaCommand::Echo { stream }
            | MediaCommand::Mix { stream, .. }
            | MediaCommand::Close { stream } => {
                playing.remove(&stream.0);
            }
            MediaCommand::Open { .. } | MediaCommand::Part { .. } => {}
        }
    }
    let mut of = playing
        .iter()
        .filter(|(stream, _)| whose.get(stream) == Some(&at(party).ip()));
    let found = of.next().map(|(_, file)| file.clone());
    assert!(of.next().is_none(), "one at a time");
    found
}

fn default() -> Option<Arc<str>> {
    Some(Arc::from("music/default"))
}

fn body(message: &Message) -> String {
    text(message.body())
}

/// A house whose profiles have this music for who is held.
fn with_music(name: &str) -> Parties {
    Parties::with(settings(|file, text| {
        match file.starts_with("sip-profiles/") {
            true => format!("hold-music = \"{name}\"\n{text}"),
            false => text,
        }
    }))
}

/// A hold in the old way: the address is 0.0.0.0 and no direction is named.
fn holds_with_zero_address(house: &mut Parties, line: &Line) {
    let sdp = house.sdp(line.party, &["PCMA"], "sendrecv");
    let own = format!("c=IN IP4 {}", at(line.party).ip());
    let sdp = sdp.replace(&own, "c=IN IP4 0.0.0.0");
    house.says(line, "INVITE", "", &sdp);
}

#[test]
fn held_party_hears_music_until_it_is_taken_back() {
    for dialect in ["sendonly", "inactive", "0.0.0.0"] {
        let mut house = Parties::new();
        let (a, _) = house.talk(1, 2);
        assert_eq!(music(&house, 2), None);
        match dialect {
            "0.0.0.0" => holds_with_zero_address(&mut house, &a),
            direction => house.offers(&a, direction),
        }
        // who is to hear something is not told that nothing comes
        let asked = body(&house.last(2, request(&Method::Invite)));
        assert!(asked.contains("a=sendonly"), "{dialect}: {asked}");
        let told = body(&house.last(1, response(&Method::Invite, 200)));
        let fits = match dialect {
            "inactive" => "a=inactive",
            _ => "a=recvonly",
        };
        assert!(told.contains(fits), "{dialect}: {told}");
        assert_eq!(music(&house, 2), default(), "{dialect}");
        assert_eq!(music(&house, 1), None);
        assert!(!house.hear_each_other(1, 2));
        house.offers(&a, "sendrecv");
        assert_eq!(music(&house, 2), None);
        assert!(house.hear_each_other(1, 2), "{dialect}");
        house.says(&a, "BYE", "", "");
        assert_eq!(house.residue(), Residue::default());
    }
}

#[test]
fn callee_that_holds_lets_its_caller_hear_music() {
    let mut house = Parties::new();
    let (_, b) = house.talk(1, 2);
    house.offers(&b, "inactive");
    assert_eq!(music(&house, 1), default());
    // the call ends while it plays
    house.says(&b, "BYE", "", "");
    assert_eq!(music(&house, 1), None);
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn profile_may_leave_the_music_to_who_holds() {
    let mut house = with_music("none");
    let (a, _) = house.talk(1, 2);
    house.offers(&a, "sendonly");
    assert_eq!(music(&house, 2), None);
    assert!(
        house.hear_each_other(1, 2),
        "what the holder sends is heard"
    );
    house.offers(&a, "inactive");
    let asked = body(&house.last(2, request(&Method::Invite)));
    assert!(asked.contains("a=inactive"), "{asked}");
    assert_eq!(music(&house, 2), None);
}

#[test]
fn carrier_that_holds_keeps_what_it_sends() {
    let mut house = Parties::new();
    let (_, carrier) = house.talk(1, CARRIER);
    house.offers(&carrier, "sendonly");
    assert_eq!(music(&house, 1), None);
    assert!(house.hear_each_other(1, CARRIER), "its own music is heard");
    house.offers(&carrier, "sendrecv");
    // one that sends nothing leaves nobody in silence
    house.offers(&carrier, "inactive");
    assert_eq!(music(&house, 1), default());
}

#[test]
fn two_who_hold_each_other_hear_nothing_and_the_first_to_come_back_hears_music() {
    let mut house = Parties::new();
    let (a, b) = house.talk(1, 2);
    house.offers(&a, "sendonly");
    house.offers(&b, "inactive");
    assert_eq!((music(&house, 1), music(&house, 2)), (None, None));
    // the second one still holds, and says so in its answer
    house.mute.push(2);
    house.offers(&a, "sendrecv");
    let asked = house.last(2, request(&Method::Invite));
    let held = house.sdp(2, &["PCMA"], "inactive");
    house.describes(2, &asked, &held);
    let told = body(&house.last(1, response(&Method::Invite, 200)));
    assert!(told.contains("a=sendonly"), "{told}");
    assert_eq!((music(&house, 1), music(&house, 2)), (default(), None));
    house.mute.clear();
    house.offers(&b, "sendrecv");
    assert_eq!((music(&house, 1), music(&house, 2)), (None, None));
    assert!(house.hear_each_other(1, 2));
}

#[test]
fn who_is_transferred_from_hold_hears_ringing_and_music_again_when_it_fails() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    house.offers(&a, "sendonly");
    assert_eq!(music(&house, 2), default());
    house.says(&a, "REFER", "Refer-To: <sip:1003@pbx.example.com>\r\n", "");
    house.answers(3, 180);
    assert_eq!(music(&house, 2), Some(Arc::from("tones/ringback")));
    house.answers(3, 486);
    assert_eq!(house.told(1), ["100", "180", "486!"]);
    assert_eq!(music(&house, 2), default());
    house.offers(&a, "sendrecv");
    assert!(house.hear_each_other(1, 2));
    assert_eq!(music(&house, 2), None);
}

#[test]
fn caller_of_a_queue_hears_the_music_of_its_queue_when_the_agent_holds() {
    let hall = "prompts/music/hall.wav";
    let mut house = Parties::with(settings_beside(&[hall], |file, text| match file {
        "queues/support.toml" => format!("music = \"hall\"\n{text}"),
        _ => text,
    }));
    house.log_in("1004");
    house.calls(CARRIER, "+442071838750");
    let agent = house.answers(4, 200);
    assert!(house.hear_each_other(CARRIER, 4));
    house.offers(&agent, "sendonly");
    assert_eq!(music(&house, CARRIER), Some(Arc::from("music/hall")));
}

#[test]
fn order_holds_and_takes_back_whatever_the_telephone_does() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    let Ok(Answer::Calls(calls)) = house.command(Command::Calls) else {
        panic!("calls");
    };
    let id = calls[0].id;
    let order = |by: &str, hold: bool| Command::Hold {
        id,
        by: Arc::from(by),
        hold,
    };
    let invites = house.count(2, request(&Method::Invite));
    for _ in 0..2 {
        let answer = house.command(order("1001", true));
        let Ok(Answer::Call(view)) = answer else {
            panic!("{answer:?}");
        };
        let states: Vec<&str> = view.legs.iter().map(|leg| leg.state).collect();
        assert_eq!(states, ["held", "answered"]);
    }
    let fits =
        |fact: &&strowger::event::CallFact| matches!(fact, strowger::event::CallFact::Held { .. });
    assert_eq!(house.facts.iter().filter(fits).count(), 1);
    assert_eq!(music(&house, 2), default());
    assert!(!house.hear_each_other(1, 2));
    // the telephone holds and comes back meanwhile: the order stands
    house.offers(&a, "sendonly");
    house.offers(&a, "sendrecv");
    assert_eq!(music(&house, 2), default());
    house.command(order("1001", false)).expect("taken back");
    assert_eq!(music(&house, 2), None);
    assert!(house.hear_each_other(1, 2));
    assert_eq!(house.count(2, request(&Method::Invite)), invites + 2);
    assert_eq!(
        house
            .command(order("1005", true))
            .expect_err("not in it")
            .status,
        404
    );
    house.says(&a, "BYE", "", "");
    assert_eq!(
        house.command(order("1001", true)).expect_err("over").status,
        404
    );
    assert_eq!(house.residue(), Residue::default());
    // both hold: nobody hears anything, and who comes back first waits for the other
    let mut house = Parties::new();
    house.talk(1, 2);
    let Ok(Answer::Calls(calls)) = house.command(Command::Calls) else {
        panic!("calls");
    };
    let id = calls[0].id;
    let order = |by: &str, hold: bool| Command::Hold {
        id,
        by: Arc::from(by),
        hold,
    };
    house.command(order("1001", true)).expect("held");
    house.command(order("1002", true)).expect("held");
    assert_eq!((music(&house, 1), music(&house, 2)), (None, None));
    assert!(!house.hear_each_other(1, 2));
    house.command(order("1001", false)).expect("back");
    assert_eq!((music(&house, 1), music(&house, 2)), (default(), None));
    house.command(order("1002", false)).expect("back");
    assert!(house.hear_each_other(1, 2));
    // without music there is silence, not the holder's voice
    let mut house = with_music("none");
    house.talk(1, 2);
    let Ok(Answer::Calls(calls)) = house.command(Command::Calls) else {
        panic!("calls");
    };
    let hold = Command::Hold {
        id: calls[0].id,
        by: Arc::from("1002"),
        hold: true,
    };
    house.command(hold).expect("held");
    assert!(!house.hear_each_other(1, 2));
    assert_eq!(music(&house, 1), None);
    house.pass(s(1));
}
