//! What is passed on instead of answered, as single messages: questions between telephones, and a whole call of a profile in proxy mode.

use super::*;

/// The house without passwords, and `mode` for its telephones.
fn house_in(mode: &str) -> Bench {
    Bench::with(settings(|name, text| {
        if name.ends_with("internal.toml") && name.starts_with("sip-profiles") {
            text.replace(
                "auth = \"digest\"",
                &format!("auth = \"none\"\ninsecure = true\nmode = \"{mode}\""),
            )
        } else {
            text
        }
    }))
}

/// A request of 1002 (telephone 2), outside of dialogs or with what `more` says.
fn says(method: &str, uri: &str, cseq: u32, to_tag: &str, more: &str) -> Message {
    let us = house::internal();
    let tag = match to_tag {
        "" => String::new(),
        tag => format!(";tag={tag}"),
    };
    let text = format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{method}{cseq};rport\r\nMax-Forwards: 9\r\n\
         From: <sip:1002@{}>;tag=two\r\nTo: <sip:1001@{us}>{tag}\r\nCall-ID: passed\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:1002@{}>\r\n{more}Content-Length: 0\r\n\r\n",
        phone(2),
        house::DOMAIN,
        phone(2),
    );
    Message::parse(Bytes::from(text)).expect("a request")
}

fn ask(method: &str) -> Message {
    says(method, &format!("sip:1001@{}", house::DOMAIN), 1, "", "")
}

/// Answers the last request of that method which reached a telephone.
fn answer(bench: &mut Bench, number: u8, method: &Method, code: u16) {
    let request = bench.request(phone(number), method);
    let status = StatusCode::new(code).expect("a status");
    let response = Builder::response(&request, status, "")
        .to_tag(b"one")
        .copy(&request, Name::RecordRoute)
        .header(Name::Contact, format!("<sip:1001@{}>", phone(number)))
        .finish();
    bench.phone_says(number, &response);
}

#[test]
fn question_for_a_telephone_is_answered_by_the_telephone() {
    let mut bench = house_in("b2bua");
    bench.phone_says(2, &ask("OPTIONS"));
    let asked = bench.request(phone(1), &Method::Options);
    assert_eq!(asked.max_forwards(), Some(8));
    assert_eq!(asked.vias().count(), 2);
    answer(&mut bench, 1, &Method::Options, 200);
    let told = bench.response(phone(2), &Method::Options, 200);
    assert_eq!(told.vias().count(), 1);
    assert_eq!(told.to_tag(), Some(&b"one"[..]));
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn method_that_we_do_not_know_is_passed_on_as_it_is() {
    let mut bench = house_in("b2bua");
    let unknown = Method::parse(b"WAVE").expect("a token");
    bench.phone_says(2, &ask("WAVE"));
    bench.request(phone(1), &unknown);
    answer(&mut bench, 1, &unknown, 606);
    answer(&mut bench, 3, &unknown, 200);
    bench.response(phone(2), &unknown, 200);
    let again = says("WAVE", &format!("sip:1001@{}", house::DOMAIN), 2, "", "");
    bench.phone_says(2, &again);
    answer(&mut bench, 3, &unknown, 404);
    answer(&mut bench, 1, &unknown, 606);
    bench.response(phone(2), &unknown, 606);
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn question_for_nobody_who_is_there_is_answered_here() {
    let mut bench = house_in("b2bua");
    let nobody = says("OPTIONS", &format!("sip:{}", house::DOMAIN), 1, "", "");
    bench.phone_says(2, &nobody);
    bench.response(phone(2), &Method::Options, 200);
    let spent = says("OPTIONS", &format!("sip:1001@{}", house::DOMAIN), 2, "", "");
    let spent = strowger::sip::edit::replace(&spent, Name::MaxForwards, b"0");
    bench.phone_says(2, &spent);
    bench.response(phone(2), &Method::Options, 483);
    let strict = says(
        "OPTIONS",
        &format!("sip:1001@{}", house::DOMAIN),
        3,
        "",
        "Proxy-Require: sec-agree\r\n",
    );
    bench.phone_says(2, &strict);
    let refused = bench.response(phone(2), &Method::Options, 420);
    assert_eq!(refused.header(Name::Unsupported), Some(&b"sec-agree"[..]));
    assert_eq!(bench.count(phone(1), |_| true), 0);
}

#[test]
fn call_of_a_proxy_profile_passes_with_all_of_its_requests_and_leaves_nothing() {
    let mut bench = house_in("proxy");
    bench.phone_says(2, &ask("INVITE"));
    // both of her telephones at once
    answer(&mut bench, 1, &Method::Invite, 180);
    answer(&mut bench, 3, &Method::Invite, 180);
    answer(&mut bench, 1, &Method::Invite, 200);
    let ok = bench.response(phone(2), &Method::Invite, 200);
    let route = ok.header(Name::RecordRoute).expect("we stay in the path");
    let route = format!("Route: {}\r\n", String::from_utf8_lossy(route));
    bench.request(phone(3), &Method::Cancel);
    answer(&mut bench, 3, &Method::Cancel, 200);
    answer(&mut bench, 3, &Method::Invite, 487);
    let target = format!("sip:1001@{}", phone(1));
    bench.phone_says(2, &says("ACK", &target, 1, "one", &route));
    let ack = bench.request(phone(1), &Method::Ack);
    assert_eq!(ack.header(Name::Route), None);
    assert_eq!(ack.uri_bytes(), target.as_bytes());

    // the called side ends it: its BYE comes with the same route, from the other end
    let ended = says("BYE", &format!("sip:1002@{}", phone(2)), 7, "two", &route);
    let from_her = ended.bytes().clone();
    bench.take("internal", house::internal(), phone(1), from_her);
    let bye = bench.request(phone(2), &Method::Bye);
    let done = Builder::response(&bye, StatusCode::OK, "").finish();
    bench.phone_says(2, &done);
    bench.response(phone(1), &Method::Bye, 200);
    assert!(
        bench
            .journal
            .iter()
            .all(|record| !matches!(record, Record::CallOpened(_)))
    );
    assert_eq!(bench.residue(), Residue::default());
}

#[test]
fn stranger_cannot_use_the_route_of_a_dialog_or_make_one() {
    let mut bench = house_in("proxy");
    bench.phone_says(2, &ask("INVITE"));
    answer(&mut bench, 1, &Method::Invite, 200);
    let ok = bench.response(phone(2), &Method::Invite, 200);
    let route = ok.header(Name::RecordRoute).expect("we stay in the path");
    let route = format!("Route: {}\r\n", String::from_utf8_lossy(route));
    let stranger: SocketAddr = "198.51.100.66:5060".parse().expect("an address");
    let bye = says("BYE", &format!("sip:1001@{}", phone(1)), 9, "one", &route);
    bench.take("internal", house::internal(), stranger, bye.bytes().clone());
    assert_eq!(
        bench.count(phone(1), |m| m.is_request() && *m.method() == Method::Bye),
        0
    );
    let forged = route.replacen("sip:A", "sip:B", 1);
    assert_ne!(forged, route);
    let bye = says("BYE", &format!("sip:1001@{}", phone(1)), 10, "one", &forged);
    bench.phone_says(2, &bye);
    assert_eq!(
        bench.count(phone(1), |m| m.is_request() && *m.method() == Method::Bye),
        0
    );
    bench.response(phone(2), &Method::Bye, 481);
}
