//! Before the answer and around it: what a callee's progress becomes at the caller, keys in INFO, calls that come back, breadth.

use strowger::sim::house;
use strowger::sip::{Builder, Message, Method, Name, StatusCode};
use strowger::switch::Residue;

use super::bench::{Bench, carrier_says, phone, sdp, settings, value};

fn callee() -> String {
    sdp(&phone(1).ip().to_string(), 1)
}

/// A bench whose phones' early media goes by this policy.
fn with(policy: &str) -> Bench {
    let key = format!("early-media = \"{policy}\"\nauth = \"digest\"");
    Bench::with(settings(|_, text| text.replace("auth = \"digest\"", &key)))
}

fn progress(bench: &Bench) -> Vec<(u16, bool)> {
    let told = bench
        .sent
        .iter()
        .filter(|(flow, m)| flow.remote == house::carrier() && *m.method() == Method::Invite);
    told.filter_map(|(_, m)| Some((m.status()?.as_u16(), !m.body().is_empty())))
        .filter(|(code, _)| *code > 100 && *code < 200)
        .collect()
}

#[test]
fn early_media_reaches_the_caller_or_rings_or_is_nothing() {
    for (policy, code, expected) in [
        ("pass", 183, vec![(183, true)]),
        ("pass", 180, vec![(180, true)]),
        ("ring", 183, vec![(180, false)]),
        ("ignore", 183, vec![]),
        ("ignore", 180, vec![(180, false)]),
    ] {
        let mut bench = with(policy);
        bench.invited("");
        bench.says(&bench.invite(), code, "phone", &[], &callee());
        assert_eq!(progress(&bench), expected, "{policy} {code}");
    }
}

#[test]
fn progress_without_a_description_is_passed_on_until_it_rings() {
    let mut bench = Bench::new();
    bench.invited("");
    for code in [183, 181, 182, 180, 183, 180] {
        bench.says(&bench.invite(), code, "phone", &[], "");
    }
    assert_eq!(
        progress(&bench),
        [(183, false), (181, false), (182, false), (180, false)]
    );
}

#[test]
fn early_media_of_the_newest_branch_is_heard_and_an_ended_branch_is_forgotten() {
    let mut bench = Bench::new();
    bench.invited("");
    let invite = bench.invite();
    bench.says(&invite, 183, "one", &[], &sdp("10.0.1.1", 1));
    bench.says(&invite, 183, "two", &[], &sdp("10.0.1.1", 2));
    let heard = bench.media.iter().rev().find_map(|command| match command {
        strowger::media::MediaCommand::Agree { plan, .. } => plan.remote_rtp,
        _ => None,
    });
    assert_eq!(heard.map(|rtp| rtp.port()), Some(40_002));
    assert_eq!(progress(&bench), [(183, true)]);
    bench.says(&invite, 199, "one", &[], "");
    bench.says(&invite, 200, "two", &[], &sdp("10.0.1.1", 2));
    let ack = bench.request(phone(1), &Method::Ack);
    assert_eq!(ack.to_tag(), Some(&b"two"[..]));
    let tag = bench.tag();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.over(2, &tag);
}

#[test]
fn endless_branches_of_a_fork_are_not_kept() {
    let mut bench = Bench::new();
    bench.invited("");
    let invite = bench.invite();
    for number in 0..40 {
        let rel = [(Name::Require, "100rel"), (Name::RSeq, "1")];
        bench.says(&invite, 180, &format!("tag{number}"), &rel, "");
    }
    assert_eq!(bench.asked(&Method::Prack), 16);
}

fn info(kind: &str, body: &str) -> (String, String) {
    (format!("Content-Type: {kind}\r\n"), body.to_owned())
}

/// INFO of the carrier with a body of its own sort.
fn says_info(bench: &mut Bench, cseq: u32, tag: &str, more: &str, body: &str) {
    let text = carrier_says("INFO", cseq, tag, more, body);
    bench.carrier_says(&text.replace("Content-Type: application/sdp\r\n", ""));
}

#[test]
fn key_in_an_info_reaches_the_other_side_as_it_was_sent() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[(Name::Allow, "INVITE, ACK, BYE, INFO")]);
    let (kind, body) = info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
    says_info(&mut bench, 2, &tag, &kind, &body);
    bench.response(house::carrier(), &Method::Info, 200);
    let passed = bench.request(phone(1), &Method::Info);
    assert_eq!(passed.body(), body.as_bytes());
    assert_eq!(value(&passed, Name::ContentType), "application/dtmf-relay");
    bench.says(&passed, 200, "phone", &[], "");
    bench.over(3, &tag);
}

#[test]
fn info_that_nobody_reads_is_refused_and_a_flood_is_not_passed_on() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[(Name::Allow, "INVITE, ACK, BYE, INFO")]);
    says_info(&mut bench, 2, &tag, "Info-Package: foo\r\n", "");
    let refusal = bench.response(house::carrier(), &Method::Info, 469);
    assert!(refusal.header(Name::RecvInfo).is_some());
    let (kind, body) = info("text/plain", "hello");
    says_info(&mut bench, 3, &tag, &kind, &body);
    let refusal = bench.response(house::carrier(), &Method::Info, 415);
    assert!(value(&refusal, Name::Accept).contains("dtmf-relay"));
    let (kind, body) = info("application/dtmf", "5");
    for cseq in 4..40 {
        says_info(&mut bench, cseq, &tag, &kind, &body);
    }
    assert_eq!(bench.asked(&Method::Info), 8);
    // a side that does not name INFO gets none
    let mut bench = Bench::new();
    let tag = bench.talking("", &[(Name::Allow, "INVITE, ACK, BYE")]);
    says_info(&mut bench, 2, &tag, &kind, &body);
    bench.response(house::carrier(), &Method::Info, 200);
    assert_eq!(bench.asked(&Method::Info), 0);
}

#[test]
fn extension_that_nobody_knows_is_refused_within_a_dialog_too() {
    let mut bench = Bench::new();
    let tag = bench.talking("", &[]);
    bench.carrier_says(&carrier_says("OPTIONS", 2, &tag, "Require: warp\r\n", ""));
    let refusal = bench.response(house::carrier(), &Method::Options, 420);
    assert_eq!(value(&refusal, Name::Unsupported), "warp");
    bench.over(3, &tag);
}

#[test]
fn breadth_is_shared_by_the_branches_and_a_call_without_any_is_refused() {
    let mut bench = Bench::new();
    bench.invited("");
    // two devices of 1001 ring
    assert_eq!(value(&bench.invite(), Name::MaxBreadth), "30");
    assert_eq!(
        value(&bench.request(phone(3), &Method::Invite), Name::MaxBreadth),
        "30"
    );
    let mut bench = Bench::new();
    bench.invited("Max-Breadth: 1\r\n");
    assert_eq!(bench.told(&Method::Invite, 440), 1);
    assert_eq!(bench.asked(&Method::Invite), 0);
}

#[test]
fn call_that_comes_back_the_same_is_a_loop() {
    let mut bench = Bench::new();
    bench.invited("");
    let via = value(&bench.invite(), Name::Via);
    let below = format!("Via: {via}\r\n");
    // the same through a proxy that has changed the tag and the Call-ID
    let again = carrier_says("INVITE", 1, "", &below, &sdp("203.0.113.5", 1))
        .replace("bKINVITE1", "bKback")
        .replace("Call-ID: raw", "Call-ID: other");
    bench.carrier_says(&again);
    let refusal = bench.response(house::carrier(), &Method::Invite, 482);
    assert_eq!(refusal.call_id(), b"other");
    // for somebody else it is a spiral
    let spiral = again
        .replace("bKback", "bKspiral")
        .replace("Call-ID: other", "Call-ID: third")
        .replace("+442071831001", "+442071831002");
    bench.carrier_says(&spiral);
    let passed = bench.request(phone(2), &Method::Invite);
    bench.phone_says(
        2,
        &Builder::response(&passed, StatusCode::BUSY_HERE, "").finish(),
    );
    assert_eq!(bench.told(&Method::Invite, 482), 1);
}

#[test]
fn bye_of_a_leg_whose_early_dialog_was_chosen_has_a_number_of_its_own() {
    let mut bench = Bench::new();
    bench.invited("");
    let invite = bench.invite();
    bench.says(
        &invite,
        180,
        "phone",
        &[(Name::Require, "100rel"), (Name::RSeq, "1")],
        "",
    );
    let prack = bench.request(phone(1), &Method::Prack);
    bench.says(&prack, 200, "phone", &[], "");
    let numbers: Vec<u32> = {
        bench.carrier_says(&carrier_says("CANCEL", 1, "", "", ""));
        bench.says(&invite, 200, "phone", &[], &callee());
        let bye: Message = bench.request(phone(1), &Method::Bye);
        bench.says(&bye, 200, "phone", &[], "");
        vec![prack.cseq().number, bye.cseq().number]
    };
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let tag = bench.tag();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", "").replace("bKACK1", "bKINVITE1"));
    assert_eq!(bench.residue(), Residue::default());
}
