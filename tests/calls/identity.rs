//! Who is shown to whom: asserted identities, privacy, connected parties, diversions, intercom, data of applications.

use strowger::sip::{Message, Method, Name};

use super::parties::{CARRIER, Parties, request, response, settings, text};

fn distrustful() -> Parties {
    Parties::with(settings(|_, text| {
        text.replace(
            "options-ping = \"off\"",
            "options-ping = \"off\"\ntrusted = false",
        )
    }))
}

fn whole(message: &Message) -> String {
    text(message.bytes())
}

const ASSERTED: &str = "P-Asserted-Identity: \"Grace\" <sip:+4930555@carrier.example>\r\n";

#[test]
fn trusted_carrier_says_who_calls_and_another_does_not() {
    let mut house = Parties::new();
    house.calls_with(CARRIER, "+442071831001", ASSERTED);
    let invite = house.last(1, request(&Method::Invite));
    assert_eq!(invite.from().uri.user, Some(&b"+4930555"[..]));
    assert_eq!(invite.from().display_text().as_deref(), Some("Grace"));
    let mut house = distrustful();
    house.calls_with(CARRIER, "+442071831001", ASSERTED);
    let invite = house.last(1, request(&Method::Invite));
    assert_eq!(invite.from().uri.user, Some(&b"+4930123456"[..]));
    assert!(!whole(&invite).contains("555"));
}

#[test]
fn caller_from_outside_that_wants_privacy_is_named_to_nobody() {
    let mut house = Parties::new();
    let headers = format!("{ASSERTED}Privacy: id\r\n");
    house.calls_with(CARRIER, "+442071831001", &headers);
    let invite = house.last(1, request(&Method::Invite));
    assert_eq!(invite.from().uri.host, b"anonymous.invalid");
    assert!(!whole(&invite).contains("4930"), "{}", whole(&invite));
    house.answers(1, 486);
    let record = house.records.last().expect("a record");
    assert_eq!(&*record.from.number, "anonymous");
}

#[test]
fn caller_from_inside_that_wants_privacy_is_named_to_the_trusted_alone() {
    for trusted in [true, false] {
        let mut house = match trusted {
            true => Parties::new(),
            false => distrustful(),
        };
        house.calls_with(1, "+4930999", "Privacy: id\r\n");
        let invite = house.last(CARRIER, request(&Method::Invite));
        assert_eq!(invite.from().uri.host, b"anonymous.invalid");
        assert_eq!(invite.header(Name::PAssertedIdentity).is_some(), trusted);
        assert_eq!(invite.header(Name::Privacy).is_some(), trusted);
        if !trusted {
            assert!(!whole(&invite).contains("1001"), "{}", whole(&invite));
        }
        // our own people are not told either
        house.calls_with(1, "1002", "Privacy: user;critical\r\n");
        let invite = house.last(2, request(&Method::Invite));
        assert!(!whole(&invite).contains("1001"), "{}", whole(&invite));
        assert!(!whole(&invite).contains("Person 1001"));
    }
}

#[test]
fn phones_cannot_assert_who_they_are() {
    let mut house = Parties::new();
    house.calls_with(1, "+4930999", "P-Asserted-Identity: <sip:+442071830000@x>\r\nP-Preferred-Identity: <sip:+442071830000@x>\r\nRemote-Party-ID: <sip:+442071830000@x>\r\n");
    let invite = house.last(CARRIER, request(&Method::Invite));
    assert!(
        !whole(&invite).contains("442071830000"),
        "{}",
        whole(&invite)
    );
}

#[test]
fn caller_is_shown_who_answered_and_who_is_there_after_a_transfer() {
    let mut house = Parties::new();
    let (_, b) = house.talk(1, 2);
    let ok = house.last(1, response(&Method::Invite, 200));
    assert_eq!(
        ok.header(Name::PAssertedIdentity).map(text).as_deref(),
        Some("\"Person 1002\" <sip:1002@pbx.example.com>")
    );
    let (c, _) = house.talk(2, 3);
    let refer = format!(
        "Refer-To: <sip:1003@pbx.example.com?Replaces={}>\r\n",
        c.escaped()
    );
    house.says(&b, "REFER", &refer, "");
    let told = house.last(1, request(&Method::Invite));
    assert_eq!(
        told.header(Name::PAssertedIdentity).map(text).as_deref(),
        Some("\"Person 1003\" <sip:1003@pbx.example.com>")
    );
    let told = house.last(3, request(&Method::Invite));
    assert_eq!(
        told.header(Name::PAssertedIdentity).map(text).as_deref(),
        Some("\"Person 1001\" <sip:1001@pbx.example.com>")
    );
}

#[test]
fn peer_that_follows_changes_of_from_sees_the_new_party_there() {
    for follows in [true, false] {
        let mut house = Parties::new();
        let headers = if follows {
            "Supported: from-change\r\n"
        } else {
            ""
        };
        house.calls_with(1, "1002", headers);
        let b = house.answers(2, 200);
        let (c, _) = house.talk(2, 3);
        let refer = format!(
            "Refer-To: <sip:1003@pbx.example.com?Replaces={}>\r\n",
            c.escaped()
        );
        house.says(&b, "REFER", &refer, "");
        let told = house.last(1, request(&Method::Invite));
        let user = told.from().uri.user.map(text);
        let shown = if follows { "1003" } else { "1002" };
        assert_eq!(user.as_deref(), Some(shown));
    }
}

#[test]
fn diversions_of_a_trusted_carrier_reach_the_phone_in_both_forms() {
    let diverted = "Diversion: <sip:+4940111@carrier.example>;reason=user-busy\r\n";
    let mut house = Parties::new();
    house.calls_with(CARRIER, "+442071831001", diverted);
    let invite = house.last(1, request(&Method::Invite));
    let diversion = invite
        .header(Name::Diversion)
        .map(text)
        .expect("a diversion");
    assert!(diversion.starts_with("<sip:+4940111@carrier.example>;reason=user-busy"));
    let history: Vec<String> = invite.headers(Name::HistoryInfo).map(text).collect();
    assert_eq!(history.len(), 2);
    assert!(history[1].contains("cause=486"), "{history:?}");
    let mut house = distrustful();
    house.calls_with(CARRIER, "+442071831001", diverted);
    let invite = house.last(1, request(&Method::Invite));
    assert!(invite.header(Name::Diversion).is_none() && invite.header(Name::HistoryInfo).is_none());
}

#[test]
fn history_of_a_trusted_carrier_is_understood_as_diversions() {
    let mut house = Parties::new();
    house.calls_with(
        CARRIER,
        "+442071831001",
        "History-Info: <sip:+4940222@carrier.example>;index=1, <sip:+442071831001@x;cause=302>;index=1.1;mp=1\r\n",
    );
    let invite = house.last(1, request(&Method::Invite));
    let diversion = invite
        .header(Name::Diversion)
        .map(text)
        .expect("a diversion");
    assert!(
        diversion.starts_with("<sip:+4940222@carrier.example>;reason=unconditional"),
        "{diversion}"
    );
}

fn intercom() -> Parties {
    Parties::with(settings(|name, text| match name {
        "dialplans/internal.toml" => format!(
            "{text}\n[[rule]]\nname = \"intercom\"\nnumber = \"*80{{ext:4}}\"\ndo = [ {{ dial = \"{{ext}}\", auto-answer = true }} ]\n"
        ),
        "dialplans/inbound.toml" => {
            text.replace("timeout = \"25s\"", "timeout = \"25s\", auto-answer = true")
        }
        _ => text,
    }))
}

#[test]
fn intercom_asks_in_every_dialect_and_only_from_inside() {
    let mut house = intercom();
    house.calls(1, "*801002");
    let invite = house.last(2, request(&Method::Invite));
    assert_eq!(
        invite.header(Name::CallInfo).map(text).as_deref(),
        Some("<sip:pbx.example.com>;answer-after=0")
    );
    assert_eq!(
        invite.header(Name::AlertInfo).map(text).as_deref(),
        Some("<http://pbx.example.com>;info=alert-autoanswer;delay=0")
    );
    assert_eq!(invite.header(Name::AnswerMode), Some(&b"Auto"[..]));
    house.calls(CARRIER, "+442071831003");
    let invite = house.last(3, request(&Method::Invite));
    for name in [Name::CallInfo, Name::AlertInfo, Name::AnswerMode] {
        assert!(invite.header(name).is_none());
    }
    // and no phone tells another to pick up by itself
    house.calls_with(1, "1004", "Call-Info: <sip:x>;answer-after=0\r\nAlert-Info: <http://x>;info=alert-autoanswer\r\nAnswer-Mode: Auto\r\n");
    let invite = house.last(4, request(&Method::Invite));
    for name in [Name::CallInfo, Name::AlertInfo, Name::AnswerMode] {
        assert!(invite.header(name).is_none());
    }
}

#[test]
fn data_of_applications_crosses_within_its_bounds() {
    let mut house = Parties::new();
    let data = "User-to-User: 56a390f3d2b7310023;encoding=hex\r\n";
    let a = house.calls_with(1, "1002", data);
    let invite = house.last(2, request(&Method::Invite));
    assert_eq!(
        invite.header(Name::UserToUser).map(text).as_deref(),
        Some("56a390f3d2b7310023;encoding=hex")
    );
    house.answers(2, 200);
    let a = house.line(&a);
    house.says(
        &a,
        "BYE",
        "User-to-User: 00ff;encoding=hex\r\nReason: Q.850;cause=16\r\n",
        "",
    );
    let bye = house.last(2, request(&Method::Bye));
    assert_eq!(
        bye.header(Name::UserToUser).map(text).as_deref(),
        Some("00ff;encoding=hex")
    );
    let reasons: Vec<String> = bye.headers(Name::Reason).map(text).collect();
    assert_eq!(reasons, ["Q.850;cause=16"]);
    let endless = format!("User-to-User: {}\r\n", "0".repeat(2_000));
    house.calls_with(1, "1003", &endless);
    let invite = house.last(3, request(&Method::Invite));
    assert!(invite.header(Name::UserToUser).is_none());
}

#[test]
fn data_of_who_rings_answers_or_refuses_reaches_the_caller() {
    let said = |house: &Parties, code: u16| {
        let told = house.last(1, response(&Method::Invite, code));
        told.headers(Name::UserToUser).map(text).collect::<Vec<_>>()
    };
    let mut house = Parties::new();
    house.calls(1, "1002");
    house.answers_saying(2, 180, "", &[(Name::UserToUser, "01;encoding=hex")]);
    assert_eq!(said(&house, 180), ["01;encoding=hex"]);
    house.pass(strowger::base::Duration::from_secs(1));
    house.answers_saying(2, 200, "", &[(Name::UserToUser, "02;encoding=hex")]);
    assert_eq!(said(&house, 200), ["02;encoding=hex"]);
    // what was said while it rang is not repeated by an answer that says nothing, and what is too long does not cross
    let endless = "0".repeat(2_000);
    let nothing: &[(Name, &str)] = &[];
    for more in [nothing, &[(Name::UserToUser, endless.as_str())]] {
        let mut house = Parties::new();
        house.calls(1, "1003");
        house.answers_saying(3, 180, "", &[(Name::UserToUser, "03;encoding=hex")]);
        house.answers_saying(3, 200, "", more);
        assert!(said(&house, 200).is_empty());
    }
    // a refusal that reaches the caller says it too
    house.calls(1, "1005");
    house.answers_saying(5, 603, "", &[(Name::UserToUser, "04;encoding=hex")]);
    assert_eq!(said(&house, 603), ["04;encoding=hex"]);
}

#[test]
fn called_party_that_wants_privacy_is_not_named_to_its_caller() {
    let mut house = Parties::new();
    let a = house.calls(1, "1002");
    house.answers_saying(2, 200, "", &[(Name::Privacy, "id")]);
    let ok = house.last(1, response(&Method::Invite, 200));
    assert!(ok.header(Name::PAssertedIdentity).is_none());
    // nor to whom it talks after a transfer
    let (c, _) = house.talk(1, 3);
    let refer = format!(
        "Refer-To: <sip:1003@pbx.example.com?Replaces={}>\r\n",
        c.escaped()
    );
    house.says(&a, "REFER", &refer, "");
    assert!(house.hear_each_other(2, 3));
    let told = house.last(3, |m| {
        m.is_request() && *m.method() == Method::Invite && m.to_tag().is_some()
    });
    assert!(told.header(Name::PAssertedIdentity).is_none());
    let told = house.last(2, request(&Method::Invite));
    assert!(told.header(Name::PAssertedIdentity).is_some());
    // one that says `none`, or nothing, is named
    let nothing: &[(Name, &str)] = &[];
    for more in [nothing, &[(Name::Privacy, "none")]] {
        house.calls(1, "1002");
        house.answers_saying(2, 200, "", more);
        let ok = house.last(1, response(&Method::Invite, 200));
        let named = ok.header(Name::PAssertedIdentity).map(text);
        assert_eq!(
            named.as_deref(),
            Some("\"Person 1002\" <sip:1002@pbx.example.com>")
        );
    }
}

#[test]
fn new_from_keeps_its_tag_and_stays() {
    let mut house = Parties::new();
    house.calls_with(1, "1002", "Supported: from-change\r\n");
    let b = house.answers(2, 200);
    let ours = house.last(1, response(&Method::Invite, 200));
    let tag = ours.to_tag().map(text);
    let (c, d) = house.talk(2, 3);
    let refer = format!(
        "Refer-To: <sip:1003@pbx.example.com?Replaces={}>\r\n",
        c.escaped()
    );
    house.says(&b, "REFER", &refer, "");
    let told = house.last(1, request(&Method::Invite));
    assert_eq!(told.from_tag().map(text), tag);
    // the request after it says the same
    house.says(&d, "BYE", "", "");
    let bye = house.last(1, request(&Method::Bye));
    assert_eq!(bye.from().uri.user.map(text).as_deref(), Some("1003"));
    assert_eq!(bye.from_tag().map(text), tag);
}
