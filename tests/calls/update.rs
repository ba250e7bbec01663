//! UPDATE and re-INVITE across the server: who may change what and when (RFC 3311, RFC 3261 §14, RFC 3264 §8).

use strowger::sim::house;
use strowger::sip::{Message, Method, Name};

use super::bench::{Bench, carrier_says, origin, phone, sdp, value};
use super::stage::s;

const UPDATES: &[(Name, &str)] = &[(Name::Allow, "INVITE, ACK, BYE, CANCEL, UPDATE")];

fn callee(version: u32) -> String {
    sdp(&phone(1).ip().to_string(), version)
}

fn hold(version: u32) -> String {
    format!("{}a=sendonly\r\n", sdp("203.0.113.5", version))
}

fn told(bench: &Bench, method: &Method, code: u16) -> Message {
    bench.response(house::carrier(), method, code)
}

fn body(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

#[test]
fn update_crosses_as_update_where_the_other_side_takes_it() {
    let mut bench = Bench::new();
    let tag = bench.talking("", UPDATES);
    bench.carrier_says(&carrier_says("UPDATE", 2, &tag, "", &hold(2)));
    let update = bench.request(phone(1), &Method::Update);
    assert!(body(&update).contains("a=sendonly"));
    let answer = format!("{}a=recvonly\r\n", callee(2));
    bench.says(&update, 200, "phone", UPDATES, &answer);
    assert!(body(&told(&bench, &Method::Update, 200)).contains("a=recvonly"));
    bench.over(3, &tag);
}

#[test]
fn update_crosses_as_reinvite_where_the_other_side_does_not() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[(Name::Allow, "INVITE, ACK, BYE, CANCEL")]);
    bench.carrier_says(&carrier_says("UPDATE", 2, &tag, "", &hold(2)));
    assert_eq!(bench.asked(&Method::Update), 0);
    let invite = bench.invite();
    assert_eq!(invite.to_tag(), Some(&b"phone"[..]));
    bench.says(&invite, 200, "phone", &[], &callee(2));
    told(&bench, &Method::Update, 200);
    bench.over(3, &tag);
}

#[test]
fn update_that_the_other_side_does_not_answer_gets_504_and_changes_nobody() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    bench.carrier_says(&carrier_says("UPDATE", 2, &tag, "", &hold(2)));
    let asked = bench.invite();
    bench.says(&asked, 180, "phone", &[], "");
    bench.pass(s(11));
    told(&bench, &Method::Update, 504);
    let cancel = bench.request(phone(1), &Method::Cancel);
    assert_eq!(cancel.cseq().number, asked.cseq().number);
    // the phone's 200 has crossed the CANCEL: what it accepted is taken back
    bench.says(&asked, 200, "phone", &[], &callee(2));
    let back = bench.invite();
    assert!(back.cseq().number > asked.cseq().number);
    assert!(!body(&back).contains("a=sendonly"));
    bench.says(&back, 200, "phone", &[], &callee(3));
    bench.over(3, &tag);
}

#[test]
fn answer_that_crosses_the_cancel_of_a_crossed_reinvite_is_taken_back() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", &hold(2)));
    let asked = bench.invite();
    bench.carrier_says(&carrier_says("CANCEL", 2, &tag, "", ""));
    told(&bench, &Method::Invite, 487);
    bench.carrier_says(&carrier_says("ACK", 2, &tag, "", "").replace("bKACK2", "bKINVITE2"));
    let answer = format!("{}a=recvonly\r\n", callee(2));
    bench.says(&asked, 200, "phone", &[], &answer);
    let ack = bench.request(phone(1), &Method::Ack);
    assert_eq!(ack.cseq().number, asked.cseq().number);
    let back = bench.invite();
    assert!(back.cseq().number > asked.cseq().number);
    assert!(body(&back).contains("a=sendrecv") || !body(&back).contains("a=sendonly"));
    bench.says(&back, 200, "phone", &[], &callee(3));
    bench.over(3, &tag);
}

#[test]
fn second_reinvite_before_the_end_of_the_first_gets_500_and_a_time() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", &hold(2)));
    bench.carrier_says(&carrier_says("INVITE", 3, &tag, "", &hold(3)));
    let refusal = told(&bench, &Method::Invite, 500);
    assert_eq!(refusal.cseq().number, 3);
    let wait: u32 = value(&refusal, Name::RetryAfter).parse().expect("seconds");
    assert!(wait <= 10);
    // the first goes on
    let invite = bench.invite();
    bench.says(&invite, 200, "phone", &[], &callee(2));
    assert_eq!(told(&bench, &Method::Invite, 200).cseq().number, 2);
    bench.carrier_says(&carrier_says("ACK", 2, &tag, "", ""));
    bench.over(4, &tag);
}

#[test]
fn repeated_answer_to_the_change_before_leaves_the_next_alone() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", &hold(2)));
    let first = bench.invite();
    let held = format!("{}a=recvonly\r\n", callee(2));
    bench.says(&first, 200, "phone", &[], &held);
    bench.carrier_says(&carrier_says("ACK", 2, &tag, "", ""));
    let resume = sdp("203.0.113.5", 3);
    bench.carrier_says(&carrier_says("INVITE", 3, &tag, "", &resume));
    let second = bench.invite();
    assert!(second.cseq().number > first.cseq().number);
    // the ACK of the first was lost
    bench.says(&first, 200, "phone", &[], &held);
    let acknowledged = |bench: &Bench| bench.request(phone(1), &Method::Ack).cseq().number;
    assert_eq!(acknowledged(&bench), first.cseq().number);
    bench.says(&second, 200, "phone", &[], &callee(3));
    assert_eq!(acknowledged(&bench), second.cseq().number);
    assert_eq!(told(&bench, &Method::Invite, 200).cseq().number, 3);
    bench.carrier_says(&carrier_says("ACK", 3, &tag, "", ""));
    bench.over(4, &tag);
}

#[test]
fn change_that_meets_ours_gets_491_and_a_second_update_500() {
    let mut bench = Bench::new();
    let tag = bench.talking("", UPDATES);
    bench.carrier_says(&carrier_says("UPDATE", 2, &tag, "", &hold(2)));
    // ours is at the phone, which sends its own
    bench.asks("UPDATE", 1, "phone", "", &callee(5));
    bench.response(phone(1), &Method::Update, 491);
    bench.asks("INVITE", 2, "phone", "", &callee(5));
    bench.response(phone(1), &Method::Invite, 491);
    // and the carrier, impatient, a second
    bench.carrier_says(&carrier_says("UPDATE", 3, &tag, "", &hold(3)));
    let refusal = told(&bench, &Method::Update, 500);
    assert!(refusal.header(Name::RetryAfter).is_some());
    let update = bench.request(phone(1), &Method::Update);
    bench.says(&update, 491, "phone", &[], "");
    assert_eq!(told(&bench, &Method::Update, 491).cseq().number, 2);
}

#[test]
fn update_before_the_answer_needs_a_finished_exchange() {
    let mut bench = Bench::new();
    bench.invited("Supported: 100rel\r\n");
    bench.says(&bench.invite(), 183, "phone", &[], &callee(1));
    let progress = told(&bench, &Method::Invite, 183);
    let tag = bench.tag();
    let rack = format!("RAck: {} 1 INVITE\r\n", value(&progress, Name::RSeq));
    bench.carrier_says(&carrier_says("PRACK", 2, &tag, &rack, ""));
    // the callee's own exchange is not over: it is answered here
    bench.carrier_says(&carrier_says("UPDATE", 3, &tag, "", &sdp("203.0.113.6", 2)));
    let answer = told(&bench, &Method::Update, 200);
    assert!(body(&answer).contains("m=audio"));
    bench.says(&bench.invite(), 200, "phone", &[], &callee(1));
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.over(4, &tag);
    // an unreliable description finishes nothing
    let mut bench = Bench::new();
    bench.invited("");
    bench.says(&bench.invite(), 183, "phone", &[], &callee(1));
    let tag = bench.tag();
    bench.carrier_says(&carrier_says("UPDATE", 2, &tag, "", &sdp("203.0.113.6", 2)));
    assert!(
        told(&bench, &Method::Update, 500)
            .header(Name::RetryAfter)
            .is_some()
    );
}

#[test]
fn update_before_the_answer_crosses_when_both_sides_are_agreed() {
    let mut bench = Bench::new();
    bench.invited("Supported: 100rel\r\nAllow: INVITE, ACK, PRACK, UPDATE\r\n");
    let invite = bench.invite();
    let rel = [
        (Name::Require, "100rel"),
        (Name::RSeq, "1"),
        (Name::Allow, "INVITE, ACK, PRACK, UPDATE"),
    ];
    bench.says(&invite, 183, "phone", &rel, &callee(1));
    let prack = bench.request(phone(1), &Method::Prack);
    bench.says(&prack, 200, "phone", &[], "");
    let progress = told(&bench, &Method::Invite, 183);
    let tag = bench.tag();
    let rack = format!("RAck: {} 1 INVITE\r\n", value(&progress, Name::RSeq));
    bench.carrier_says(&carrier_says("PRACK", 2, &tag, &rack, ""));
    bench.carrier_says(&carrier_says("UPDATE", 3, &tag, "", &hold(2)));
    let update = bench.request(phone(1), &Method::Update);
    assert_eq!(update.to_tag(), Some(&b"phone"[..]));
    let answer = format!("{}a=recvonly\r\n", callee(2));
    bench.says(&update, 200, "phone", &[], &answer);
    assert!(body(&told(&bench, &Method::Update, 200)).contains("a=recvonly"));
    // and the other way
    bench.asks("UPDATE", 1, "phone", "", &callee(3));
    let crossed = bench.request(house::carrier(), &Method::Update);
    assert!(body(&crossed).contains("m=audio"));
}

#[test]
fn only_an_accepted_request_moves_the_target() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    let moved = |text: String, to: &str| {
        text.replace(
            "Contact: <sip:+4930123456@",
            &format!("Contact: <sip:{to}@"),
        )
    };
    let refused = carrier_says("INVITE", 2, &tag, "", &hold(2));
    bench.carrier_says(&moved(refused, "refused"));
    let invite = bench.invite();
    bench.says(&invite, 488, "phone", &[], "");
    told(&bench, &Method::Invite, 488);
    bench.carrier_says(&carrier_says("ACK", 2, &tag, "", "").replace("bKACK2", "bKINVITE2"));
    let accepted = carrier_says("UPDATE", 3, &tag, "", "");
    bench.asks("INFO", 1, "phone", "", "");
    bench.asks("INVITE", 2, "phone", "", &callee(2));
    let crossed = bench.request(house::carrier(), &Method::Invite);
    assert!(crossed.uri_bytes().starts_with(b"sip:+4930123456@"));
    bench.carrier_says(&format!(
        "SIP/2.0 488 No\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
        value(&crossed, Name::Via),
        value(&crossed, Name::From),
        value(&crossed, Name::To),
        value(&crossed, Name::CallId),
        value(&crossed, Name::CSeq),
    ));
    bench.carrier_says(&moved(accepted, "moved"));
    told(&bench, &Method::Update, 200);
    bench.asks("BYE", 3, "phone", "", "");
    let bye = bench.request(house::carrier(), &Method::Bye);
    assert!(bye.uri_bytes().starts_with(b"sip:moved@"));
}

#[test]
fn reinvite_without_an_offer_crosses_and_so_does_the_answer_in_its_ack() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    let before = bench.request(phone(1), &Method::Ack);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", ""));
    let asked = bench.invite();
    assert!(asked.body().is_empty());
    bench.says(&asked, 200, "phone", &[], &callee(2));
    let offer = told(&bench, &Method::Invite, 200);
    assert!(body(&offer).contains("m=audio"));
    // the phone's 200 is acknowledged only when the carrier's answer is here
    assert_eq!(
        bench.request(phone(1), &Method::Ack).cseq().number,
        before.cseq().number
    );
    let answer = format!("{}a=sendonly\r\n", sdp("203.0.113.7", 2));
    bench.carrier_says(&carrier_says("ACK", 2, &tag, "", &answer));
    let ack = bench.request(phone(1), &Method::Ack);
    assert_eq!(ack.cseq().number, asked.cseq().number);
    assert!(body(&ack).contains("m=audio"));
    assert!(body(&ack).contains("a=sendonly"));
    bench.over(3, &tag);
}

#[test]
fn offer_that_its_asker_never_answers_is_answered_as_before() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", ""));
    let asked = bench.invite();
    bench.says(&asked, 200, "phone", &[], &callee(2));
    bench.carrier_says(&carrier_says("ACK", 2, &tag, "", ""));
    let ack = bench.request(phone(1), &Method::Ack);
    assert_eq!(ack.cseq().number, asked.cseq().number);
    assert!(body(&ack).contains("m=audio"));
    bench.over(3, &tag);
}

#[test]
fn reinvite_that_only_rings_is_taken_back() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", &hold(2)));
    let asked = bench.invite();
    bench.says(&asked, 180, "phone", &[], "");
    bench.pass(s(59));
    assert_eq!(bench.asked(&Method::Cancel), 0);
    bench.pass(s(2));
    told(&bench, &Method::Invite, 504);
    bench.carrier_says(&carrier_says("ACK", 2, &tag, "", "").replace("bKACK2", "bKINVITE2"));
    let cancel = bench.request(phone(1), &Method::Cancel);
    bench.says(&cancel, 200, "phone", &[], "");
    bench.says(&asked, 487, "phone", &[], "");
    bench.over(3, &tag);
}

#[test]
fn version_of_our_description_rises_exactly_when_it_changes() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    let first = origin(&told(&bench, &Method::Invite, 200));
    // the same description again: nothing changes, and nothing crosses
    let asked = bench.asked(&Method::Invite);
    bench.carrier_says(&carrier_says("INVITE", 2, &tag, "", &sdp("203.0.113.5", 1)));
    assert_eq!(origin(&told(&bench, &Method::Invite, 200)), first);
    assert_eq!(bench.asked(&Method::Invite), asked);
    bench.carrier_says(&carrier_says("ACK", 2, &tag, "", ""));
    // hold: one more
    let at_phone = origin(&bench.invite());
    bench.carrier_says(&carrier_says("INVITE", 3, &tag, "", &hold(2)));
    let crossed = bench.invite();
    let version = |line: &str| {
        let number = line
            .split(' ')
            .nth(2)
            .and_then(|part| part.parse::<u64>().ok());
        number.expect("a version")
    };
    assert_eq!(version(&origin(&crossed)), version(&at_phone) + 1);
    let answer = format!("{}a=recvonly\r\n", callee(2));
    bench.says(&crossed, 200, "phone", &[], &answer);
    let held = origin(&told(&bench, &Method::Invite, 200));
    assert_eq!(version(&held), version(&first) + 1);
    bench.carrier_says(&carrier_says("ACK", 3, &tag, "", ""));
    bench.over(4, &tag);
}
