//! Reliable provisional responses on either leg (RFC 3262).

use strowger::sim::house;
use strowger::sip::{Message, Method, Name, StatusCode};
use strowger::switch::Residue;

use super::bench::{Bench, carrier_says, origin, phone, sdp, settings, value};
use super::stage::{ms, s};

const INSISTS: &str = "Require: 100rel\r\n";
const KNOWS: &str = "Supported: 100rel\r\n";

fn callee() -> String {
    sdp(&phone(1).ip().to_string(), 1)
}

fn told(bench: &Bench, code: u16) -> Message {
    bench.response(house::carrier(), &Method::Invite, code)
}

/// PRACK of the carrier for a response of ours.
fn prack(bench: &mut Bench, response: &Message, cseq: u32, off: u32, body: &str) {
    let rseq: u32 = value(response, Name::RSeq).parse().expect("a number");
    let tag = bench.tag();
    let rack = format!("RAck: {} 1 INVITE\r\n", rseq + off);
    bench.carrier_says(&carrier_says("PRACK", cseq, &tag, &rack, body));
}

/// The phone tells the last of its CANCEL.
fn cancelled(bench: &mut Bench) {
    let invite = bench.invite();
    let cancel = bench.request(phone(1), &Method::Cancel);
    bench.says(&cancel, 200, "phone", &[], "");
    bench.says(&invite, 487, "phone", &[], "");
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn who_insists_on_reliability_is_told_again_until_its_prack() {
    let mut bench = Bench::new();
    bench.invited(INSISTS);
    // 100 is never sent reliably
    let trying = told(&bench, 100);
    assert!(trying.header(Name::RSeq).is_none() && trying.header(Name::Require).is_none());
    bench.says(&bench.invite(), 180, "phone", &[], "");
    let ringing = told(&bench, 180);
    assert!(ringing.has_option_tag(Name::Require, "100rel"));
    // RFC 3262 §3: after 0.5 s and 1.5 s
    bench.pass(ms(1_600));
    assert_eq!(bench.told(&Method::Invite, 180), 3);
    prack(&mut bench, &ringing, 2, 1, "");
    assert_eq!(bench.told(&Method::Prack, 481), 1);
    prack(&mut bench, &ringing, 3, 0, "");
    assert_eq!(bench.told(&Method::Prack, 200), 1);
    bench.pass(s(20));
    assert_eq!(bench.told(&Method::Invite, 180), 3);
    // what is acknowledged once is known no more
    prack(&mut bench, &ringing, 4, 0, "");
    assert_eq!(bench.told(&Method::Prack, 481), 2);
    bench.says(&bench.invite(), 486, "phone", &[], "");
    bench.phone_answers(3, 486);
    told(&bench, 486);
}

#[test]
fn second_reliable_response_waits_for_the_prack_of_the_first() {
    let mut bench = Bench::new();
    bench.invited(INSISTS);
    bench.says(&bench.invite(), 180, "phone", &[], "");
    let ringing = told(&bench, 180);
    bench.says(&bench.invite(), 183, "phone", &[], &callee());
    assert_eq!(bench.told(&Method::Invite, 183), 0);
    prack(&mut bench, &ringing, 2, 0, "");
    let progress = told(&bench, 183);
    let number = |m: &Message| value(m, Name::RSeq).parse::<u32>().expect("a number");
    assert_eq!(number(&progress), number(&ringing) + 1);
}

#[test]
fn response_that_nobody_acknowledges_ends_the_call_with_5xx() {
    // it may ring for longer than a PRACK is waited for
    let longer = |_: &str, text: String| text.replace("timeout = \"25s\"", "timeout = \"60s\"");
    let mut bench = Bench::with(settings(longer));
    bench.invited(INSISTS);
    bench.says(&bench.invite(), 180, "phone", &[], "");
    bench.pass(s(31));
    assert_eq!(bench.told(&Method::Invite, 504), 0);
    bench.pass(s(2));
    told(&bench, 504);
    let tag = bench.tag();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", "").replace("bKACK1", "bKINVITE1"));
    cancelled(&mut bench);
}

#[test]
fn answer_waits_until_early_media_is_acknowledged_and_brings_no_second_description() {
    let mut bench = Bench::new();
    bench.invited(KNOWS);
    bench.says(&bench.invite(), 183, "phone", &[], &callee());
    let progress = told(&bench, 183);
    assert!(progress.has_option_tag(Name::Require, "100rel"));
    bench.says(&bench.invite(), 200, "phone", &[], &callee());
    assert_eq!(bench.told(&Method::Invite, 200), 0);
    prack(&mut bench, &progress, 2, 0, "");
    assert!(told(&bench, 200).body().is_empty());
    let tag = bench.tag();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.over(3, &tag);
}

#[test]
fn caller_that_gives_up_while_the_answer_waits_gets_487() {
    for method in ["CANCEL", "BYE"] {
        let mut bench = Bench::new();
        bench.invited(KNOWS);
        bench.says(&bench.invite(), 183, "phone", &[], &callee());
        bench.says(&bench.invite(), 200, "phone", &[], &callee());
        let tag = bench.tag();
        match method {
            "CANCEL" => bench.carrier_says(&carrier_says("CANCEL", 1, "", "", "")),
            method => bench.carrier_says(&carrier_says(method, 2, &tag, "", "")),
        }
        told(&bench, 487);
        assert_eq!(bench.told(&Method::Invite, 200), 0);
        bench.carrier_says(&carrier_says("ACK", 1, &tag, "", "").replace("bKACK1", "bKINVITE1"));
        let bye = bench.request(phone(1), &Method::Bye);
        bench.says(&bye, 200, "", &[], "");
        assert_eq!(bench.residue(), Residue::default());
    }
}

#[test]
fn who_only_knows_reliability_gets_plain_ringing() {
    let mut bench = Bench::new();
    bench.invited(KNOWS);
    bench.says(&bench.invite(), 180, "phone", &[], "");
    assert!(told(&bench, 180).header(Name::RSeq).is_none());
    bench.pass(s(5));
    assert_eq!(bench.told(&Method::Invite, 180), 1);
}

#[test]
fn profile_may_refuse_reliability_or_insist_on_it() {
    let with = |prack: &str| {
        let line = format!("prack = \"{prack}\"\nauth = \"trunk\"");
        Bench::with(settings(|_, text| text.replace("auth = \"trunk\"", &line)))
    };
    let mut off = with("off");
    off.invited(INSISTS);
    assert_eq!(value(&told(&off, 420), Name::Unsupported), "100rel");
    let mut required = with("required");
    required.invited("");
    assert_eq!(value(&told(&required, 421), Name::Require), "100rel");
    let mut required = with("required");
    required.invited(KNOWS);
    required.says(&required.invite(), 180, "phone", &[], "");
    assert!(told(&required, 180).header(Name::RSeq).is_some());
}

#[test]
fn caller_without_an_offer_gets_ours_reliably_and_answers_in_its_prack() {
    let mut bench = Bench::new();
    bench.carrier_says(&carrier_says("INVITE", 1, "", INSISTS, ""));
    bench.says(&bench.invite(), 180, "phone", &[], "");
    let ringing = told(&bench, 180);
    assert!(!ringing.body().is_empty());
    prack(&mut bench, &ringing, 2, 0, &sdp("203.0.113.5", 1));
    assert_eq!(bench.told(&Method::Prack, 200), 1);
    bench.says(&bench.invite(), 200, "phone", &[], &callee());
    assert!(told(&bench, 200).body().is_empty());
    let tag = bench.tag();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.over(3, &tag);
}

#[test]
fn offer_in_a_prack_is_answered_in_its_200() {
    let mut bench = Bench::new();
    bench.invited(KNOWS);
    bench.says(&bench.invite(), 183, "phone", &[], &callee());
    let progress = told(&bench, 183);
    prack(&mut bench, &progress, 2, 0, &sdp("203.0.113.5", 2));
    let answer = bench.response(house::carrier(), &Method::Prack, 200);
    assert!(String::from_utf8_lossy(answer.body()).contains("m=audio"));
    assert_eq!(origin(&answer), origin(&progress));
}

#[test]
fn reliable_responses_of_a_callee_are_acknowledged_once_and_in_order() {
    let mut bench = Bench::new();
    bench.invited("");
    let invite = bench.invite();
    assert!(invite.has_option_tag(Name::Supported, "100rel"));
    let rel = |number: &'static str| [(Name::Require, "100rel"), (Name::RSeq, number)];
    bench.says(&invite, 183, "phone", &rel("7"), &callee());
    let prack = bench.request(phone(1), &Method::Prack);
    assert_eq!(value(&prack, Name::RAck), "7 1 INVITE");
    assert_eq!(prack.to_tag(), Some(&b"phone"[..]));
    assert_eq!(prack.uri_bytes(), b"sip:1001@10.0.1.1:5060;who=phone");
    bench.says(&prack, 200, "phone", &[], "");
    // the same again, and one too far
    bench.says(&invite, 183, "phone", &rel("7"), &callee());
    bench.says(&invite, 180, "phone", &rel("9"), "");
    assert_eq!(bench.asked(&Method::Prack), 1);
    bench.says(&invite, 180, "phone", &rel("8"), "");
    assert_eq!(bench.asked(&Method::Prack), 2);
    let last = bench.request(phone(1), &Method::Prack);
    bench.says(&last, 200, "phone", &[], "");
    // what was answered reliably stands, whatever the 200 says
    let other = sdp("192.0.2.99", 4);
    bench.says(&invite, 200, "phone", &[], &other);
    let ack = bench.request(phone(1), &Method::Ack);
    assert_eq!(ack.cseq().number, 1);
    let tag = bench.tag();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.over(2, &tag);
    let bye = bench.request(phone(1), &Method::Bye);
    assert!(bye.cseq().number > last.cseq().number);
}

#[test]
fn each_branch_of_a_fork_has_its_own_numbers_and_the_2xx_chooses() {
    let mut bench = Bench::new();
    bench.invited("");
    let invite = bench.invite();
    for (tag, number) in [("one", "7"), ("two", "300")] {
        let rel = [(Name::Require, "100rel"), (Name::RSeq, number)];
        bench.says(&invite, 180, tag, &rel, "");
        let prack = bench.request(phone(1), &Method::Prack);
        assert_eq!(prack.to_tag(), Some(tag.as_bytes()));
        assert_eq!(value(&prack, Name::RAck), format!("{number} 1 INVITE"));
        bench.says(&prack, 200, tag, &[], "");
    }
    bench.says(&invite, 200, "one", &[], &callee());
    let ack = bench.request(phone(1), &Method::Ack);
    assert_eq!(ack.to_tag(), Some(&b"one"[..]));
    // the other answers too: it is acknowledged and hung up on
    bench.says(&invite, 200, "two", &[], &callee());
    let bye = bench.request(phone(1), &Method::Bye);
    assert_eq!(bye.to_tag(), Some(&b"two"[..]));
    assert!(bye.cseq().number > 2);
    bench.says(&bye, 200, "two", &[], "");
    assert_eq!(
        bench
            .response(house::carrier(), &Method::Invite, 200)
            .status(),
        Some(StatusCode::OK)
    );
    let tag = bench.tag();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.over(2, &tag);
}
