//! What every message of ours has, and what the end of a dialog is (RFC 3261 §8.1.1, §12, RFC 3581 §3).

use std::collections::BTreeSet;

use strowger::sip::{Message, Method, Name};
use strowger::switch::Residue;

use super::bench::{Bench, carrier_says, phone, sdp};
use super::parties::{CARRIER, Parties, request, response, settings, text};
use super::stage::s;

/// RFC 3261 §8.1.1: To, From with a tag, CSeq with the method, Call-ID, Max-Forwards, one Via with the cookie; RFC 3581 §3: rport.
fn assert_whole(request: &Message) {
    let shown = text(request.bytes());
    for name in [
        Name::To,
        Name::From,
        Name::CSeq,
        Name::CallId,
        Name::MaxForwards,
        Name::Via,
    ] {
        assert_eq!(request.headers(name).count(), 1, "{name:?}: {shown}");
    }
    assert!(
        request.from_tag().is_some_and(|tag| tag.len() >= 8),
        "{shown}"
    );
    assert_eq!(request.cseq().method, *request.method(), "{shown}");
    assert!(request.call_id().len() >= 3, "{shown}");
    let hops = request.max_forwards().expect("hops");
    assert!((1..=70).contains(&hops), "{shown}");
    let via = request.top_via();
    let branch = via.branch().expect("a branch");
    assert!(
        branch.starts_with(b"z9hG4bK") && branch.len() >= 15,
        "{shown}"
    );
    assert_eq!(via.rport(), Some(None), "{shown}");
    assert_eq!(via.received(), None, "{shown}");
}

/// Looks at all requests among what was sent; gives their methods.
fn look<'a>(sent: impl Iterator<Item = &'a Message>) -> BTreeSet<String> {
    let mut methods = BTreeSet::new();
    for message in sent.filter(|message| message.is_request()) {
        assert_whole(message);
        methods.insert(message.method().to_string());
    }
    methods
}

#[test]
fn every_request_of_ours_has_what_a_request_needs() {
    let mut seen = BTreeSet::new();
    // a registration and a health check at the carrier, a call with hold, a key, a transfer and its NOTIFYs, a call given up, a message
    let mut house = Parties::with(settings(|name, text| match name {
        "sip-profiles/external.toml" => text
            .replace("options-ping = \"off\"", "options-ping = \"30s\"")
            .replace("auth = { username", "register = { username"),
        _ => text,
    }));
    let (a, b) = house.talk(1, 2);
    house.says(&a, "INFO", "Content-Type: application/dtmf\r\n", "5");
    house.offers(&a, "sendonly");
    house.says(&a, "REFER", "Refer-To: <sip:1003@pbx.example.com>\r\n", "");
    house.answers(3, 180);
    house.answers(3, 200);
    house.says(&b, "BYE", "", "");
    house.calls(1, "1002");
    house.answers(2, 180);
    let late = house.calls(1, "1005");
    house.answers(5, 180);
    house.answers(5, 200);
    house.says(&house.line(&late), "BYE", "", "");
    house.pass(s(400));
    seen.extend(look(house.sent.iter().map(|(_, message)| message)));
    // reliable responses and an UPDATE that crosses
    let mut bench = Bench::new();
    bench.invited("Supported: 100rel\r\n");
    let allow = (Name::Allow, "INVITE, ACK, BYE, CANCEL, UPDATE, PRACK");
    let rel = [(Name::Require, "100rel"), (Name::RSeq, "1"), allow];
    bench.says(&bench.invite(), 180, "phone", &rel, "");
    let body = sdp(&phone(1).ip().to_string(), 1);
    let prack = bench.request(phone(1), &Method::Prack);
    bench.says(&prack, 200, "phone", &[], "");
    bench.says(&bench.invite(), 200, "phone", &[allow], &body);
    let tag = bench.tag();
    bench.carrier_says(&carrier_says("ACK", 1, &tag, "", ""));
    bench.carrier_says(&carrier_says("UPDATE", 2, &tag, "", &sdp("203.0.113.5", 2)));
    bench.request(phone(1), &Method::Update);
    seen.extend(look(bench.sent.iter().map(|(_, message)| message)));
    for method in [
        "INVITE", "ACK", "BYE", "CANCEL", "INFO", "NOTIFY", "REGISTER", "OPTIONS", "PRACK",
        "UPDATE",
    ] {
        assert!(seen.contains(method), "no {method} was seen: {seen:?}");
    }
}

#[test]
fn responses_that_make_a_dialog_repeat_the_route_and_say_where_we_are() {
    let routes = [
        "<sip:edge2.example.net;lr>",
        "\"Edge\" <sip:10.0.0.1:5070;lr;x=1>;y=2",
    ];
    let headers: String = routes.map(|r| format!("Record-Route: {r}\r\n")).concat();
    let mut house = Parties::new();
    house.calls_with(1, "1002", &headers);
    house.answers(2, 180);
    let b = house.answers(2, 200);
    for code in [180, 200] {
        let told = house.last(1, response(&Method::Invite, code));
        let repeated: Vec<String> = told.headers(Name::RecordRoute).map(text).collect();
        assert_eq!(repeated, routes, "{code}");
        let contacts: Vec<String> = told.headers(Name::Contact).map(text).collect();
        let us = strowger::sim::house::internal();
        assert_eq!(contacts, [format!("<sip:1002@{us}>")], "{code}");
    }
    // what we ask that party later goes by the route, in its order (RFC 3261 §12.1.1)
    house.mute.push(1);
    house.says(&b, "BYE", "", "");
    let bye = house
        .sent
        .iter()
        .rev()
        .find(|(_, m)| {
            m.is_request() && *m.method() == Method::Bye && m.header(Name::Route).is_some()
        })
        .map(|(_, m)| m.clone())
        .expect("a BYE with a route");
    let route: Vec<String> = bye.headers(Name::Route).map(text).collect();
    assert_eq!(route.len(), 2);
    assert!(route[0].contains("edge2.example.net") && route[1].contains("10.0.0.1:5070"));
}

/// The call of a carrier whose phone answers a crossed hold with this status: true when that ended the call on both sides.
fn ends_by(method: &Method, code: u16) -> bool {
    let mut bench = Bench::new();
    let allow: &[(Name, &str)] = match method {
        Method::Update => &[(Name::Allow, "INVITE, ACK, BYE, CANCEL, UPDATE, INFO")],
        _ => &[(Name::Allow, "INVITE, ACK, BYE, CANCEL, INFO")],
    };
    let tag = bench.talking("", allow);
    match method {
        Method::Info => {
            let text = carrier_says("INFO", 2, &tag, "", "5");
            bench.carrier_says(&text.replace("application/sdp", "application/dtmf"));
        }
        _ => {
            let hold = format!("{}a=sendonly\r\n", sdp("203.0.113.5", 2));
            bench.carrier_says(&carrier_says(method.as_str(), 2, &tag, "", &hold));
        }
    }
    let asked = bench.request(phone(1), method);
    assert_eq!(asked.to_tag(), Some(&b"phone"[..]));
    bench.says(&asked, code, "phone", &[], "");
    let carrier = strowger::sim::house::carrier();
    let told = bench.count(carrier, |m| m.is_request() && *m.method() == Method::Bye);
    let phone = bench.asked(&Method::Bye);
    assert_eq!(told, phone, "both or none");
    told == 1
}

#[test]
fn who_knows_nothing_of_its_dialog_is_out_of_it() {
    for method in [Method::Invite, Method::Update] {
        for code in [481, 408] {
            assert!(ends_by(&method, code), "{method} {code}");
        }
        for code in [488, 500] {
            assert!(!ends_by(&method, code), "{method} {code}");
        }
    }
    assert!(ends_by(&Method::Info, 481));
    assert!(!ends_by(&Method::Info, 415));
}

#[test]
fn silent_dialog_is_over_when_its_question_is_answered_481_or_408() {
    for (code, ends) in [(200, false), (501, false), (481, true), (408, true)] {
        let mut bench = Bench::new();
        bench.talking("", &[]);
        bench.pass(s(301));
        let question = bench.request(phone(1), &Method::Options);
        assert_eq!(question.to_tag(), Some(&b"phone"[..]));
        bench.says(&question, code, "phone", &[], "");
        assert_eq!(bench.asked(&Method::Bye), usize::from(ends), "{code}");
    }
}

#[test]
fn anonymous_caller_is_named_to_nobody() {
    // From that names nobody (RFC 3323 §4.1.1.3), from the carrier and from a telephone
    let mut house = Parties::new();
    for party in [CARRIER, 1] {
        let number = match party {
            CARRIER => "+442071831002",
            _ => "1002",
        };
        house.anonymous = true;
        house.calls(party, number);
        house.anonymous = false;
        let invite = house.last(2, request(&Method::Invite));
        assert_eq!(invite.from().uri.host, b"anonymous.invalid");
        assert!(!text(invite.bytes()).contains("+4930123456"));
        house.answers(2, 486);
    }
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn invitation_that_is_no_longer_good_is_taken_back() {
    let mut house = Parties::new();
    house.calls_with(1, "1002", "Expires: 20\r\n");
    house.answers(2, 180);
    house.pass(s(19));
    assert_eq!(house.count(2, request(&Method::Cancel)), 0);
    house.pass(s(2));
    house.last(1, response(&Method::Invite, 487));
    house.last(2, request(&Method::Cancel));
    house.answers(2, 487);
    assert_eq!(house.residue(), Residue::default());
    // one that was answered in time is a call like any other
    let a = house.calls_with(1, "1002", "Expires: 20\r\n");
    house.answers(2, 200);
    house.pass(s(60));
    assert!(house.hear_each_other(1, 2));
    house.says(&house.line(&a), "BYE", "", "");
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn caller_that_reads_no_descriptions_is_refused() {
    for (accept, taken) in [
        ("Accept: text/nobodyKnowsThis\r\n", false),
        ("Accept: text/plain, application/sdp;level=1\r\n", true),
        ("Accept: text/plain\r\nAccept: APPLICATION/*\r\n", true),
        ("Accept: */*;q=0.5\r\n", true),
        ("Accept:\r\n", true),
    ] {
        let mut house = Parties::new();
        house.calls_with(1, "1002", accept);
        let rings = house.count(2, request(&Method::Invite));
        assert_eq!(rings, usize::from(taken), "{accept}");
        if !taken {
            house.last(1, response(&Method::Invite, 406));
        }
    }
}

#[test]
fn change_that_takes_the_audio_away_is_refused_and_one_that_adds_video_leaves_it_out() {
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    let asked = house.count(2, request(&Method::Invite));
    let whole = house.sdp(1, &["PCMA"], "sendrecv");
    house.says(
        &a,
        "INVITE",
        "",
        &whole.replace("m=audio 40010", "m=audio 0"),
    );
    house.last(1, response(&Method::Invite, 488));
    assert_eq!(house.count(2, request(&Method::Invite)), asked);
    assert!(house.hear_each_other(1, 2));
    let video = format!("{whole}m=video 41000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n");
    house.says(&a, "INVITE", "", &video);
    let told = text(house.last(1, response(&Method::Invite, 200)).body());
    let streams: Vec<&str> = told.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(streams.len(), 2, "{told}");
    assert!(streams[0].starts_with("m=audio 2") && streams[1].starts_with("m=video 0 "));
    assert!(house.hear_each_other(1, 2));
}

#[test]
fn request_with_another_from_uri_is_of_its_dialog_all_the_same() {
    // RFC 4916 §4.4.2: the tags and the Call-ID name a dialog, not the URIs
    let mut house = Parties::new();
    let (a, _) = house.talk(1, 2);
    let other = house.renamed(&a, "<sip:assistant@pbx.example.com>");
    house.says(&other, "UPDATE", "", "");
    house.last(1, response(&Method::Update, 200));
    house.says(&other, "BYE", "", "");
    house.last(1, response(&Method::Bye, 200));
    house.last(2, request(&Method::Bye));
    assert_eq!(house.residue(), Residue::default());
}

#[test]
fn invite_that_comes_by_two_paths_is_one_call() {
    let mut bench = Bench::new();
    bench.invited("");
    let again = carrier_says("INVITE", 1, "", "", &sdp("203.0.113.5", 1));
    bench.carrier_says(&again.replace("z9hG4bKINVITE1", "z9hG4bKother"));
    let refused = bench.response(strowger::sim::house::carrier(), &Method::Invite, 482);
    assert_eq!(refused.top_via().branch(), Some(&b"z9hG4bKother"[..]));
    assert_eq!(bench.asked(&Method::Invite), 1);
}
