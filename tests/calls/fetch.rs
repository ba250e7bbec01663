//! Calls that are fetched or sent elsewhere: pickup, takeover, park, and 3xx.

use strowger::event::CallFact;
use strowger::sip::{Method, Name};
use strowger::switch::Residue;

use super::parties::{CARRIER, Parties, request, response, settings, text};
use super::stage::s;

/// A house in which 1003 and 1002 share a pickup group, with steps for pickup and park.
fn house() -> Parties {
    Parties::with(settings(|name, text| match name {
        "directory/people.toml" => ["1002", "1003"].iter().fold(text, |text, person| {
            let line = format!("extension = \"{person}\"\n");
            text.replace(&line, &format!("{line}pickup = \"sales\"\n"))
        }),
        "dialplans/internal.toml" => format!(
            "{text}\n[[rule]]\nname = \"fetch\"\nnumber = \"*8{{ext:4}}\"\ndo = [ {{ pickup = \"{{ext}}\" }} ]\n\
             [[rule]]\nname = \"fetch any\"\nnumber = \"*8\"\ndo = [ {{ pickup = \"*\" }} ]\n\
             [[rule]]\nname = \"park\"\nnumber = \"7{{slot:2}}\"\ndo = [ {{ park = \"{{slot}}\", timeout = \"60s\" }}, {{ dial = \"{{transferred-by}}\", timeout = \"20s\" }} ]\n"
        ),
        _ => text,
    }))
}

/// The dialog of a ringing phone as a watcher sees it: the phone's own tag first.
fn ringing_at(house: &Parties, party: u8) -> String {
    let invite = house.last(party, request(&Method::Invite));
    format!(
        "{};to-tag=t{party};from-tag={}",
        text(invite.call_id()),
        text(invite.from_tag().expect("a tag"))
    )
}

fn replaces(value: &str) -> String {
    format!("Replaces: {value}\r\nRequire: replaces\r\n")
}

#[test]
fn ringing_call_is_picked_up_with_replaces() {
    let mut house = house();
    let a = house.calls(1, "1002");
    house.answers(2, 180);
    let fetch = replaces(&format!("{};early-only", ringing_at(&house, 2)));
    let c = house.calls_with(3, "1002", &fetch);
    house.last(3, response(&Method::Invite, 200));
    house.last(1, response(&Method::Invite, 200));
    assert!(house.hear_each_other(1, 3));
    let cancel = house.last(2, request(&Method::Cancel));
    let reasons: Vec<String> = cancel.headers(Name::Reason).map(text).collect();
    assert!(
        reasons.iter().any(|reason| reason.contains("cause=200")),
        "{reasons:?}"
    );
    house.answers(2, 487);
    house.says(&c, "BYE", "", "");
    house.last(1, request(&Method::Bye));
    assert_eq!(house.residue(), Residue::default());
    assert_eq!(house.records.len(), 1);
    let transfer = &house.records[0].transfers[0];
    assert_eq!(
        (&*transfer.by.number, &*transfer.to, &*transfer.how),
        ("1003", "1002", "pickup")
    );
    let _ = a;
}

#[test]
fn only_the_group_may_pick_up() {
    let mut house = house();
    house.calls(1, "1002");
    house.answers(2, 180);
    let fetch = replaces(&ringing_at(&house, 2));
    house.calls_with(4, "1002", &fetch);
    house.last(4, response(&Method::Invite, 403));
    house.calls_with(CARRIER, "+442071831002", &fetch);
    house.last(CARRIER, response(&Method::Invite, 403));
    house.answers(2, 200);
    assert!(house.hear_each_other(1, 2));
}

#[test]
fn replaces_of_what_is_not_there_or_not_for_the_taking_is_refused() {
    let mut house = house();
    house.calls_with(3, "1002", &replaces("nobody;to-tag=a;from-tag=b"));
    house.last(3, response(&Method::Invite, 481));
    house.calls_with(3, "1002", "Replaces: nobody\r\n");
    house.last(3, response(&Method::Invite, 400));
    let (a, b) = house.talk(1, 2);
    // it is answered: too late for who wants it only while it rings
    let early = format!("{};early-only", b.replaces());
    house.calls_with(2, "1001", &replaces(&early));
    house.last(2, response(&Method::Invite, 486));
    // and a call that talks is nobody's but its own person's, group or not
    house.calls_with(3, "1001", &replaces(&b.replaces()));
    house.last(3, response(&Method::Invite, 403));
    assert!(house.hear_each_other(1, 2));
    // an early dialog that its own party began is not given away
    let c = house.calls(5, "1003");
    house.answers(3, 180);
    let ringing = house.last(5, response(&Method::Invite, 180));
    let mut c = house.line(&c);
    c.theirs = text(ringing.to_tag().expect("a tag"));
    house.calls_with(5, "1001", &replaces(&c.replaces()));
    house.last(5, response(&Method::Invite, 481));
    let _ = a;
}

#[test]
fn person_takes_its_call_over_on_another_phone() {
    let mut house = house();
    let (a, b) = house.talk(1, 2);
    let before = house.count(1, request(&Method::Invite));
    let new = house.calls_with(2, "1001", &replaces(&b.replaces()));
    house.last(2, response(&Method::Invite, 200));
    let bye = house.last(2, request(&Method::Bye));
    assert_eq!(text(bye.call_id()), b.call_id);
    // the other party is told that something has changed
    assert_eq!(house.count(1, request(&Method::Invite)), before + 1);
    house.says(&a, "BYE", "", "");
    let bye = house.last(2, request(&Method::Bye));
    assert_eq!(text(bye.call_id()), new.call_id);
    assert_eq!(house.residue(), Residue::default());
    assert_eq!(&*house.records[0].transfers[0].how, "takeover");
}

#[test]
fn pickup_with_another_codec_that_we_speak_is_transcoded() {
    let mut house = house();
    house.codecs.insert(3, &["PCMU"]);
    house.calls(1, "1002");
    house.answers(2, 180);
    let fetch = replaces(&ringing_at(&house, 2));
    house.calls_with(3, "1002", &fetch);
    house.last(3, response(&Method::Invite, 200));
    assert!(house.hear_each_other(1, 3));
}

#[test]
fn pickup_without_a_common_codec_leaves_the_call_ringing() {
    let mut house = house();
    house.codecs.insert(3, &["G729"]);
    house.calls(1, "1002");
    house.answers(2, 180);
    let fetch = replaces(&ringing_at(&house, 2));
    house.calls_with(3, "1002", &fetch);
    house.last(3, response(&Method::Invite, 488));
    house.answers(2, 200);
    assert!(house.hear_each_other(1, 2));
}

#[test]
fn call_is_picked_up_by_number_and_by_group() {
    for number in ["*81002", "*8"] {
        let mut house = house();
        let a = house.calls(1, "1002");
        house.answers(2, 180);
        let c = house.calls(3, number);
        assert!(house.hear_each_other(1, 3), "{number}");
        house.last(2, request(&Method::Cancel));
        house.answers(2, 487);
        house.says(&c, "BYE", "", "");
        house.last(1, request(&Method::Bye));
        assert_eq!(house.residue(), Residue::default());
        let _ = a;
    }
}

#[test]
fn nothing_to_pick_up_is_said() {
    let mut house = house();
    house.calls(3, "*8");
    house.last(3, response(&Method::Invite, 480));
    // 1004 is in no group, and 1001's ringing is none of 1003's business
    house.calls(5, "1001");
    house.answers(1, 180);
    for (who, number) in [(4, "*81001"), (3, "*8"), (3, "*81001")] {
        house.calls(who, number);
        house.last(who, response(&Method::Invite, 480));
    }
    house.answers(1, 200);
    assert!(house.hear_each_other(5, 1));
}

#[test]
fn parked_call_is_taken_out_by_whoever_dials_its_slot() {
    let mut house = house();
    let (a, b) = house.talk(1, 2);
    house.says(&a, "REFER", "Refer-To: <sip:701@pbx.example.com>\r\n", "");
    assert_eq!(house.told(1), ["100", "200!"]);
    house.pass(s(3));
    house.last(1, request(&Method::Bye));
    assert!(!house.hear_each_other(1, 2));
    let c = house.calls(3, "701");
    assert!(house.hear_each_other(2, 3));
    house.says(&b, "BYE", "", "");
    house.last(3, request(&Method::Bye));
    assert_eq!(house.residue(), Residue::default());
    let _ = c;
    // the slot is free again
    house.calls(3, "701");
    house.last(3, response(&Method::Invite, 404));
}

#[test]
fn parked_call_that_nobody_takes_comes_back_to_who_parked_it() {
    let mut house = house();
    let (a, b) = house.talk(1, 2);
    house.says(&a, "REFER", "Refer-To: <sip:702@pbx.example.com>\r\n", "");
    house.pass(s(61));
    let back = house.answers(1, 200);
    assert!(house.hear_each_other(1, 2));
    house.says(&back, "BYE", "", "");
    house.last(2, request(&Method::Bye));
    assert_eq!(house.residue(), Residue::default());
    let _ = b;
}

#[test]
fn parked_party_that_hangs_up_frees_its_slot() {
    let mut house = house();
    let (a, b) = house.talk(1, 2);
    house.says(&a, "REFER", "Refer-To: <sip:703@pbx.example.com>\r\n", "");
    house.says(&b, "BYE", "", "");
    house.calls(3, "703");
    house.last(3, response(&Method::Invite, 404));
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn phone_that_sends_a_call_elsewhere_is_followed() {
    let mut house = house();
    let a = house.calls(1, "1002");
    house.answers_with(2, 302, "<sip:1003@pbx.example.com>");
    let invite = house.last(3, request(&Method::Invite));
    assert_eq!(invite.from().uri.user, Some(&b"1001"[..]));
    let diversion = text(invite.header(Name::Diversion).expect("who sent it"));
    assert!(
        diversion.contains("<sip:1002@pbx.example.com>;reason=unconditional"),
        "{diversion}"
    );
    let history: Vec<String> = invite.headers(Name::HistoryInfo).map(text).collect();
    assert_eq!(
        history,
        [
            "<sip:1002@pbx.example.com>;index=1",
            "<sip:1003@pbx.example.com;cause=302>;index=1.1;mp=1"
        ]
    );
    house.answers(3, 200);
    assert!(house.hear_each_other(1, 3));
    house.says(&a, "BYE", "", "");
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn targets_of_a_redirection_ring_by_preference() {
    let mut house = house();
    house.calls(1, "1002");
    house.answers_with(
        2,
        300,
        "<sip:1003@pbx.example.com>;q=0.1, <sip:1004@pbx.example.com>;q=0.9, <sip:1005@pbx.example.com>;q=0.9",
    );
    assert_eq!(house.count(4, request(&Method::Invite)), 1);
    assert_eq!(house.count(5, request(&Method::Invite)), 1);
    assert_eq!(house.count(3, request(&Method::Invite)), 0);
    house.answers(4, 486);
    house.answers(5, 486);
    assert_eq!(house.count(3, request(&Method::Invite)), 1);
    house.answers(3, 200);
    assert!(house.hear_each_other(1, 3));
}

#[test]
fn phones_that_send_a_call_to_each_other_end_it() {
    let mut house = house();
    house.calls(1, "1002");
    house.answers_with(2, 302, "<sip:1003@pbx.example.com>");
    house.answers_with(3, 302, "<sip:1002@pbx.example.com>");
    house.last(1, response(&Method::Invite, 480));
    assert_eq!(house.count(2, request(&Method::Invite)), 1);
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn redirection_reaches_only_what_its_user_may_dial() {
    for contact in [
        "<sip:+4930777@203.0.113.10>",
        "<sip:1003@attacker.invalid>",
        "<sip:sofia%2Fgateway@pbx.example.com>",
        "<sip:pbx.example.com>",
    ] {
        let mut house = house();
        house.calls(CARRIER, "+442071831002");
        house.answers_with(2, 302, contact);
        house.last(CARRIER, response(&Method::Invite, 480));
        assert_eq!(house.count(CARRIER, request(&Method::Invite)), 0);
        assert_eq!(house.count(3, |_| true), 0);
    }
}

#[test]
fn trunk_that_sends_a_call_elsewhere_is_not_followed_unless_it_may() {
    let mut house = house();
    house.calls(1, "+4930999");
    house.answers_with(CARRIER, 302, "<sip:1003@pbx.example.com>");
    house.last(1, response(&Method::Invite, 480));
    assert_eq!(house.count(3, |_| true), 0);
    let told = house.facts.iter().any(|fact| {
        matches!(fact, CallFact::Forwarded { to, status: 302, refused: Some(why), .. }
            if to == "sip:1003@pbx.example.com" && why.contains("redirect"))
    });
    assert!(told, "{:?}", house.facts);
}

#[test]
fn redirection_is_passed_where_that_is_wanted() {
    let mut house = Parties::with(settings(|name, text| match name {
        "sip-profiles/internal.toml" => text.replace("name =", "redirect = \"pass\"\nname ="),
        _ => text,
    }));
    house.calls(1, "1002");
    house.answers_with(2, 302, "<sip:1003@elsewhere.invalid>;q=0.5");
    let moved = house.last(1, response(&Method::Invite, 302));
    let contacts: Vec<String> = moved.headers(Name::Contact).map(text).collect();
    assert_eq!(contacts, ["<sip:1003@elsewhere.invalid>;q=0.500"]);
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn redirection_to_a_service_of_the_house_goes_there() {
    let mut house = house();
    house.calls(1, "1002");
    house.answers_with(2, 302, "<sip:8750@pbx.example.com>");
    house.last(1, response(&Method::Invite, 200));
    house.log_in("1004");
    house.answers(4, 200);
    assert!(house.hear_each_other(1, 4));
}
