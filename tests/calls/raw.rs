//! What a peer could send by hand: single messages to the shipped core, its answers looked at one by one.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use strowger::sim::house;
use strowger::sip::{Builder, Message, Method, Name, StatusCode};
use strowger::switch::{Command, Input, Record, Residue};

use super::bench::{Bench, carrier_says, is, phone, sdp, settings};
use super::stage::{ms, s};

#[test]
fn hops_are_counted_down_from_leg_to_leg() {
    let mut bench = Bench::new();
    bench.ringing();
    let invite = bench.request(phone(1), &Method::Invite);
    assert_eq!(invite.max_forwards(), Some(4));
}

#[test]
fn caller_that_ends_its_early_dialog_with_bye_has_its_invite_answered() {
    let mut bench = Bench::new();
    bench.ringing();
    let ringing = bench.response(house::carrier(), &Method::Invite, 180);
    let tag = String::from_utf8_lossy(ringing.to_tag().expect("a tag")).into_owned();
    bench.carrier_says(&carrier_says("BYE", 2, &tag, "", ""));
    bench.response(house::carrier(), &Method::Bye, 200);
    bench.response(house::carrier(), &Method::Invite, 487);
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", "").replace("bKACK1", "bKINVITE1"));
    let cancel = bench.request(phone(1), &Method::Cancel);
    bench.phone_says(1, &Builder::response(&cancel, StatusCode::OK, "").finish());
    bench.phone_answers(1, 487);
    assert_eq!(bench.residue(), Residue::default());
    let closed = bench.journal.iter().find_map(|record| match record {
        Record::CallClosed(record) => Some(record.outcome),
        _ => None,
    });
    assert_eq!(closed, Some(strowger::event::Outcome::Cancelled));
}

#[test]
fn callee_that_sends_bye_while_it_rings_ends_its_leg_alone() {
    let mut bench = Bench::new();
    bench.ringing();
    let invite = bench.request(phone(1), &Method::Invite);
    let text = format!(
        "BYE sip:x@{} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKearly\r\nMax-Forwards: 70\r\nFrom: <sip:1001@example.test>;tag=phone\r\nTo: <sip:x@example.test>;tag={}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        house::internal(),
        phone(1),
        String::from_utf8_lossy(invite.from_tag().expect("a tag")),
        String::from_utf8_lossy(invite.call_id()),
    );
    bench.phone_says(1, &Message::parse(Bytes::from(text)).expect("a BYE"));
    bench.response(phone(1), &Method::Bye, 200);
    bench.request(phone(1), &Method::Cancel);
    bench.phone_answers(1, 487);
    // the person's other device goes on ringing, and answers
    bench.phone_answers(3, 200);
    bench.response(house::carrier(), &Method::Invite, 200);
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn reinvite_to_a_leg_that_only_waits_for_its_ack_opens_no_audio() {
    let mut bench = Bench::new();
    let tag = bench.answered();
    let id = bench.journal.iter().find_map(|record| match record {
        Record::CallOpened(record) => Some(record.id),
        _ => None,
    });
    let id = id.expect("a call");
    bench.give(Input::Command {
        id: 1,
        command: Command::Hangup { id },
    });
    let body = sdp("203.0.113.5", 2);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", &body));
    bench.response(house::carrier(), &Method::Invite, 481);
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.request(house::carrier(), &Method::Bye);
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn ack_that_comes_again_does_not_stand_for_the_one_that_is_due() {
    let mut bench = Bench::new();
    let tag = bench.answered();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    let body = sdp("203.0.113.5", 1);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", &body));
    let before = bench.count(house::carrier(), is(200));
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.pass(ms(600));
    assert_eq!(bench.count(house::carrier(), is(200)), before + 1);
    bench.carrier_says(&carrier_says("ACK", 2, &tag, "", ""));
    bench.pass(s(20));
    assert_eq!(bench.count(house::carrier(), is(200)), before + 1);
}

#[test]
fn change_that_its_asker_takes_back_is_taken_back_from_the_other_leg() {
    let mut bench = Bench::new();
    let tag = bench.answered();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    let body = sdp("203.0.113.5", 2);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", &body));
    bench.phone_answers(1, 180);
    bench.carrier_says(&carrier_says("CANCEL", 2, &tag, "", ""));
    bench.response(house::carrier(), &Method::Invite, 487);
    let cancel = bench.request(phone(1), &Method::Cancel);
    assert_eq!(
        cancel.cseq().number,
        bench.request(phone(1), &Method::Invite).cseq().number
    );
    bench.phone_answers(1, 487);
    // the call is as before
    bench.carrier_says(&carrier_says("BYE", 3, &tag, "", ""));
    bench.request(phone(1), &Method::Bye);
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn stranger_gets_its_refusal_once() {
    let mut bench = Bench::new();
    let stranger: SocketAddr = "198.51.100.9:5060".parse().expect("an address");
    for tag in ["", ";tag=guessed"] {
        let text = carrier_says("INVITE", 1, "", "", &sdp("203.0.113.5", 1))
            .replace("bKINVITE1", &format!("bK{}", tag.len()))
            .replace(&house::carrier().to_string(), &stranger.to_string())
            .replace(">\r\nCall-ID", &format!(">{tag}\r\nCall-ID"));
        let before = bench.count(stranger, |_| true);
        bench.take("external", house::external(), stranger, Bytes::from(text));
        bench.pass(s(40));
        let refusals = bench.count(stranger, is(403)) + bench.count(stranger, is(481));
        assert_eq!(bench.count(stranger, |_| true), before + 1);
        assert_eq!(refusals, before + 1);
    }
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn originated_call_is_journaled_as_answered() {
    let mut bench = Bench::new();
    bench.give(Input::Command {
        id: 1,
        command: Command::Originate {
            from: Arc::from("1001"),
            to: Arc::from("1002"),
        },
    });
    bench.phone_answers(1, 200);
    let answered = |record: &Record| matches!(record, Record::CallAnswered { .. });
    assert_eq!(bench.journal.iter().filter(|r| answered(r)).count(), 1);
    bench.phone_answers(2, 200);
    assert_eq!(bench.journal.iter().filter(|r| answered(r)).count(), 1);
}

#[test]
fn endless_numbers_are_refused_and_endless_names_are_cut() {
    let mut bench = Bench::new();
    let invite = carrier_says("INVITE", 1, "", "", &sdp("203.0.113.5", 1));
    let long = "1".repeat(3_000);
    bench.carrier_says(&invite.replace("sip:+442071831001@", &format!("sip:+44{long}@")));
    bench.response(house::carrier(), &Method::Invite, 484);
    let named = invite
        .replace("INVITE1", "INVITE9")
        .replace("CSeq: 1", "CSeq: 9");
    bench.carrier_says(&named.replace("From: <", &format!("From: \"{long}\" <")));
    let passed = bench.request(phone(1), &Method::Invite);
    assert_eq!(passed.from().display.map(<[u8]>::len), Some(128));
}

#[test]
fn call_whose_parties_vanished_before_any_audio_does_not_stay_for_ever() {
    let mut bench = Bench::new();
    let tag = bench.answered();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.pass(s(200));
    assert_eq!(bench.switch.residue().calls, 1);
    bench.pass(s(101));
    let options = bench.request(phone(1), &Method::Options);
    bench.phone_says(1, &Builder::response(&options, StatusCode::OK, "").finish());
    bench.request(house::carrier(), &Method::Options);
    bench.pass(s(40));
    // the phone is there, the carrier is not
    bench.request(phone(1), &Method::Bye);
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn phone_that_forgot_its_call_ends_it_when_it_is_asked() {
    let mut bench = Bench::new();
    let tag = bench.answered();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.pass(s(301));
    let options = bench.request(phone(1), &Method::Options);
    let forgotten = StatusCode::CALL_DOES_NOT_EXIST;
    bench.phone_says(1, &Builder::response(&options, forgotten, "").finish());
    bench.request(house::carrier(), &Method::Bye);
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn wrong_credentials_under_a_borrowed_address_do_not_ban_it() {
    let mut bench = Bench::new();
    let register = |n: u32, authorization: &str| {
        let (us, at) = (house::DOMAIN, phone(1));
        Bytes::from(format!(
            "REGISTER sip:{us} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKr{n};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:1001@{us}>;tag=r\r\nTo: <sip:1001@{us}>\r\nCall-ID: r{n}\r\nCSeq: {n} REGISTER\r\n\
             Contact: <sip:1001@{at}>\r\n{authorization}Content-Length: 0\r\n\r\n"
        ))
    };
    let guess = |nonce: &str| {
        format!(
            "Authorization: Digest username=\"1001\", realm=\"{0}\", nonce=\"{nonce}\", uri=\"sip:{0}\", qop=auth, nc=00000001, cnonce=\"c\", response=\"{1}\"\r\n",
            house::DOMAIN,
            "0".repeat(32)
        )
    };
    let challenges = |bench: &Bench, to: SocketAddr| {
        bench.count(to, |m| m.status().map(StatusCode::as_u16) == Some(401))
    };
    // the stranger has a nonce of its own, and writes the phone's address into what it sends with it
    let stranger: SocketAddr = "198.51.100.9:5060".parse().expect("an address");
    bench.take("internal", house::internal(), stranger, register(1, ""));
    let asked = bench.last(stranger, |m| m.header(Name::WwwAuthenticate).is_some());
    let challenge = asked.header(Name::WwwAuthenticate).expect("a challenge");
    let challenge = strowger::sip::Challenge::parse(challenge).expect("a challenge");
    let nonce = String::from_utf8_lossy(&challenge.nonce).into_owned();
    for n in 2..300 {
        let text = register(n, &guess(&nonce));
        bench.take("internal", house::internal(), phone(1), text);
    }
    // every one was asked again, none was counted, and the phone is still heard
    assert_eq!(challenges(&bench, phone(1)), 298);
    bench.take("internal", house::internal(), phone(1), register(300, ""));
    assert_eq!(challenges(&bench, phone(1)), 299);
    // under its own address the stranger is soon silenced
    for n in 301..400 {
        let text = register(n, &guess(&nonce));
        bench.take("internal", house::internal(), stranger, text);
    }
    assert!(bench.count(stranger, |_| true) <= 21);
    let told = |word: &str| bench.said.iter().filter(|line| line.contains(word)).count();
    assert_eq!(told("198.51.100.9 is banned for too many wrong"), 1);
    assert_eq!(told(&format!("{} is banned", phone(1).ip())), 0);
}

#[test]
fn stop_ends_the_calls_and_their_records() {
    let mut bench = Bench::new();
    let tag = bench.answered();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.pass(s(7));
    bench.give(Input::Command {
        id: 1,
        command: Command::EndCalls,
    });
    bench.request(phone(1), &Method::Bye);
    bench.request(house::carrier(), &Method::Bye);
    let closed = bench.journal.iter().find_map(|record| match record {
        Record::CallClosed(record) => Some(record.clone()),
        _ => None,
    });
    let closed = closed.expect("a record with an end");
    assert_eq!(closed.ended_by, "system: the server stops");
    assert_eq!(closed.duration_secs, 7.0);
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn trunks_are_pinged_as_before_when_a_reload_puts_another_in_front() {
    let other: SocketAddr = "203.0.113.77:5060".parse().expect("an address");
    let ping =
        |_: &str, text: String| text.replace("options-ping = \"off\"", "options-ping = \"10s\"");
    let mut bench = Bench::with(settings(ping));
    bench.pass(s(25));
    let front = format!(
        "[[trunk]]\nname = \"first\"\nproxy = [\"sip:{other}\"]\nfrom = [\"{}/32\"]\noptions-ping = \"10s\"\n\n[[trunk]]\nname = \"acme\"",
        other.ip()
    );
    let added =
        settings(|name, text| ping(name, text).replace("[[trunk]]\nname = \"acme\"", &front));
    let is_ping = |m: &Message| m.is_request() && *m.method() == Method::Options;
    let branches = |bench: &Bench, to: SocketAddr| {
        let sent = bench
            .sent
            .iter()
            .filter(|(flow, m)| flow.remote == to && is_ping(m));
        let mut ids: Vec<Vec<u8>> = sent.map(|(_, m)| m.call_id().to_vec()).collect();
        ids.sort();
        ids.dedup();
        ids.len()
    };
    let before = branches(&bench, house::carrier());
    bench.give(Input::Settings(Arc::new(added)));
    bench.pass(s(60));
    assert_eq!(branches(&bench, house::carrier()), before + 6);
    assert!((6..=7).contains(&branches(&bench, other)));
}

#[path = "proxied.rs"]
mod proxied;
