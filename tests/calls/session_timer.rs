//! Session timers on either leg (RFC 4028).

use strowger::sim::house;
use strowger::sip::{Message, Method, Name};
use strowger::switch::Residue;

use super::bench::{Bench, carrier_says, origin, phone, sdp, settings, value};
use super::stage::{ms, s};

const UPDATES: &str = "INVITE, ACK, BYE, CANCEL, UPDATE";

fn callee() -> String {
    sdp(&phone(1).ip().to_string(), 1)
}

fn answer(bench: &Bench) -> Message {
    bench.response(house::carrier(), &Method::Invite, 200)
}

#[test]
fn interval_that_is_too_small_gets_422_with_ours() {
    let mut bench = Bench::new();
    bench.invited("Supported: timer\r\nSession-Expires: 60\r\n");
    let refusal = bench.response(house::carrier(), &Method::Invite, 422);
    assert_eq!(value(&refusal, Name::MinSe), "90");
    // the same within the dialog
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    let timer = "Supported: timer\r\nSession-Expires: 60\r\n";
    bench.carrier_says(&carrier_says("UPDATE", 2, &tag, timer, ""));
    let refusal = bench.response(house::carrier(), &Method::Update, 422);
    assert_eq!(value(&refusal, Name::MinSe), "90");
    bench.over(3, &tag);
}

#[test]
fn caller_with_a_timer_refreshes_and_is_hung_up_on_when_it_does_not() {
    let mut bench = Bench::new();
    let tag = bench.talking("Supported: timer\r\nSession-Expires: 120\r\n", &[]);
    let granted = answer(&bench);
    assert_eq!(value(&granted, Name::SessionExpires), "120;refresher=uac");
    assert!(granted.has_option_tag(Name::Require, "timer"));
    // a refresh starts it anew: 120 s less a third of it, or 32 s
    bench.pass(s(80));
    let timer = "Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n";
    bench.carrier_says(&carrier_says("UPDATE", 2, &tag, timer, ""));
    let refreshed = bench.response(house::carrier(), &Method::Update, 200);
    assert_eq!(value(&refreshed, Name::SessionExpires), "120;refresher=uac");
    bench.pass(s(86));
    assert_eq!(bench.asked(&Method::Bye), 0);
    bench.pass(s(4));
    let bye = bench.request(house::carrier(), &Method::Bye);
    assert!(value(&bye, Name::Reason).contains("cause=102"));
    bench.request(phone(1), &Method::Bye);
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn caller_without_timers_is_asked_whether_it_is_there_instead() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    assert_eq!(value(&answer(&bench), Name::SessionExpires), "");
    bench.pass(s(301));
    bench.request(house::carrier(), &Method::Options);
    bench.over(2, &tag);
}

#[test]
fn we_refresh_with_update_at_half_the_interval() {
    let mut bench = Bench::new();
    let grants = [
        (Name::SessionExpires, "120;refresher=uac"),
        (Name::Require, "timer"),
        (Name::Allow, UPDATES),
    ];
    let tag = bench.talking("", &grants);
    let invite = bench.invite();
    assert_eq!(value(&invite, Name::SessionExpires), "1800");
    assert_eq!(value(&invite, Name::MinSe), "90");
    assert!(invite.has_option_tag(Name::Supported, "timer"));
    bench.pass(s(59));
    assert_eq!(bench.asked(&Method::Update), 0);
    bench.pass(s(2));
    let update = bench.request(phone(1), &Method::Update);
    assert_eq!(value(&update, Name::SessionExpires), "120;refresher=uac");
    assert!(update.body().is_empty());
    bench.says(&update, 200, "phone", &grants, "");
    bench.pass(s(60));
    assert_eq!(bench.asked(&Method::Update), 2);
    let update = bench.request(phone(1), &Method::Update);
    bench.says(&update, 200, "phone", &grants, "");
    bench.over(2, &tag);
}

#[test]
fn we_refresh_with_the_same_description_where_update_is_not_known() {
    let mut bench = Bench::new();
    let grants = [
        (Name::SessionExpires, "120;refresher=uac"),
        (Name::Allow, "INVITE, ACK, BYE, CANCEL"),
    ];
    let tag = bench.talking("", &grants);
    let first = bench.invite();
    bench.pass(s(61));
    let again = bench.invite();
    assert_eq!(again.to_tag(), Some(&b"phone"[..]));
    assert_eq!(origin(&again), origin(&first));
    // it meets one of the phone's: 2.1 to 4 s later, for the Call-ID is ours
    bench.says(&again, 491, "phone", &[], "");
    let asked = bench.asked(&Method::Invite);
    bench.pass(ms(2_000));
    assert_eq!(bench.asked(&Method::Invite), asked);
    bench.pass(ms(2_100));
    assert_eq!(bench.asked(&Method::Invite), asked + 1);
    let again = bench.invite();
    bench.says(&again, 200, "phone", &grants, &callee());
    assert_eq!(
        bench.request(phone(1), &Method::Ack).cseq().number,
        again.cseq().number
    );
    bench.over(2, &tag);
}

#[test]
fn refresh_that_is_never_accepted_ends_in_the_expiry() {
    let mut bench = Bench::new();
    let grants = [
        (Name::SessionExpires, "120;refresher=uac"),
        (Name::Allow, UPDATES),
    ];
    bench.talking("", &grants);
    bench.pass(s(61));
    for _ in 0..3 {
        let update = bench.request(phone(1), &Method::Update);
        bench.says(&update, 500, "phone", &[], "");
        bench.pass(s(10));
    }
    let bye = bench.request(phone(1), &Method::Bye);
    assert!(value(&bye, Name::Reason).contains("cause=102"));
    bench.says(&bye, 200, "", &[], "");
    bench.request(house::carrier(), &Method::Bye);
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn callee_that_wants_a_longer_session_is_asked_again_with_it() {
    let mut bench = Bench::new();
    bench.invited("");
    let first = bench.invite();
    bench.says(&first, 422, "phone", &[(Name::MinSe, "3600")], "");
    let again = bench.invite();
    assert_eq!(value(&again, Name::SessionExpires), "3600");
    assert_eq!(value(&again, Name::MinSe), "3600");
    assert_eq!(again.cseq().number, first.cseq().number + 1);
    assert_eq!(again.call_id(), first.call_id());
    // it must name more each time
    bench.says(&again, 422, "phone", &[(Name::MinSe, "3600")], "");
    assert_eq!(bench.asked(&Method::Invite), 2);
    // and what is between the two of us is not told to the caller
    bench.phone_answers(3, 422);
    let last = bench.last(house::carrier(), |m| *m.method() == Method::Invite);
    let told = last.status().expect("a response");
    assert!(told.is_final() && told.as_u16() != 422, "{told}");
}

#[test]
fn profile_without_timers_asks_for_none_and_grants_none() {
    let off = |_: &str, text: String| {
        text.replace(
            "auth = \"trunk\"",
            "session-timer = \"off\"\nauth = \"trunk\"",
        )
        .replace(
            "auth = \"digest\"",
            "session-timer = \"off\"\nauth = \"digest\"",
        )
    };
    let mut bench = Bench::with(settings(off));
    let tag = bench.talking("Supported: timer\r\nSession-Expires: 120\r\n", &[]);
    assert_eq!(value(&answer(&bench), Name::SessionExpires), "");
    assert_eq!(value(&bench.invite(), Name::SessionExpires), "");
    bench.over(2, &tag);
}

#[test]
fn profile_may_want_to_refresh_itself() {
    let us = |_: &str, text: String| {
        let key = "session-timer = { expires = \"5m\", refresher = \"us\" }\nauth = \"trunk\"";
        text.replace("auth = \"trunk\"", key)
    };
    let mut bench = Bench::with(settings(us));
    let tag = bench.talking("Supported: timer\r\nAllow: INVITE, UPDATE\r\n", &[]);
    let granted = answer(&bench);
    assert_eq!(value(&granted, Name::SessionExpires), "300;refresher=uas");
    bench.pass(s(151));
    let update = bench.request(house::carrier(), &Method::Update);
    assert_eq!(value(&update, Name::SessionExpires), "300;refresher=uac");
    bench.over(2, &tag);
}
