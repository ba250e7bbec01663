//! Messages from person to person (RFC 3428).

use strowger::sip::{Method, Name};

use super::stage::s;
use super::watch_bench::{Desk, body, code, header};

const TEXT: &str = "Content-Type: text/plain\r\n";

fn writes(desk: &mut Desk, from: u16, to: &str, text: &str) -> Option<u16> {
    let answer = desk.asks(from, "MESSAGE", to, 1, "", TEXT, text);
    answer.map(|answer| code(&answer))
}

/// The answer that the sender got in the end.
fn answered(desk: &Desk) -> Option<u16> {
    let mut answers = desk.sent.iter().rev().map(|(_, m)| m);
    let answer = answers.find(|m| !m.is_request() && *m.method() == Method::Message);
    answer.map(code)
}

#[test]
fn message_reaches_the_device_and_its_answer_the_sender() {
    let mut desk = Desk::new();
    desk.registers(1001);
    let headers = "Content-Type: text/plain;charset=utf-8\r\nSubject: lunch\r\nX-Secret: y\r\nP-Asserted-Identity: <sip:boss@pbx.example.com>\r\n";
    let early = desk.asks(1002, "MESSAGE", "1001", 1, "", headers, "Shall we?");
    assert!(early.is_none());
    let message = desk
        .requests(1001, &Method::Message)
        .pop()
        .expect("passed on");
    assert_eq!(body(&message), "Shall we?");
    assert_eq!(
        header(&message, Name::ContentType),
        "text/plain;charset=utf-8"
    );
    assert_eq!(header(&message, Name::Subject), "lunch");
    assert!(
        header(&message, Name::From).starts_with("\"Person 1002\" <sip:1002@pbx.example.com>;tag=")
    );
    assert_eq!(header(&message, Name::To), "<sip:1001@pbx.example.com>");
    assert_eq!(message.max_forwards(), Some(69));
    assert!(message.header(Name::Contact).is_none());
    assert_eq!(message.header_by_name("X-Secret").count(), 0);
    assert!(message.header(Name::PAssertedIdentity).is_none());
    assert_eq!(answered(&desk), None);
    desk.answers(1001, &Method::Message, 200, "");
    assert_eq!(answered(&desk), Some(200));
    assert_eq!(desk.left(), (0, 0));
}

#[test]
fn answers_of_devices_are_what_the_sender_can_use() {
    for (device, sender) in [
        (202, 202),
        (404, 404),
        (415, 415),
        (401, 480),
        (503, 480),
        (603, 603),
    ] {
        let mut desk = Desk::new();
        desk.registers(1001);
        assert_eq!(writes(&mut desk, 1002, "1001", "hello"), None);
        desk.answers(1001, &Method::Message, device, "");
        assert_eq!(answered(&desk), Some(sender), "{device}");
        assert_eq!(desk.left(), (0, 0));
    }
}

#[test]
fn message_to_nobody_or_to_nobody_there_is_refused() {
    let mut desk = Desk::new();
    assert_eq!(writes(&mut desk, 1002, "1001", "hello"), Some(480));
    assert_eq!(writes(&mut desk, 1002, "7777", "hello"), Some(404));
    assert_eq!(writes(&mut desk, 1002, "+4930123456", "hello"), Some(404));
    // who is no person of the house sends nothing at all
    desk.registers(1001);
    assert_eq!(writes(&mut desk, 1999, "1001", "hello"), Some(403));
    assert!(desk.requests(1001, &Method::Message).is_empty());
}

#[test]
fn sender_is_answered_in_time_when_the_device_is_silent() {
    let mut desk = Desk::new();
    desk.registers(1001);
    assert_eq!(writes(&mut desk, 1002, "1001", "hello"), None);
    desk.pass(s(19));
    assert_eq!(answered(&desk), None);
    desk.pass(s(2));
    assert_eq!(answered(&desk), Some(480));
    // what the device says after that changes nothing
    desk.answers(1001, &Method::Message, 200, "");
    assert_eq!(answered(&desk), Some(480));
    assert_eq!(desk.left(), (0, 0));
}

#[test]
fn message_that_is_too_large_for_a_datagram_is_refused() {
    let mut desk = Desk::new();
    desk.registers(1001);
    assert_eq!(
        writes(&mut desk, 1002, "1001", &"x".repeat(1_300)),
        Some(513)
    );
    // over a stream it may come in, and still does not fit the device's datagram
    let flow = desk.stream(1002, 4);
    let answer = desk.asks_on(
        flow,
        1002,
        "MESSAGE",
        "1001",
        2,
        "",
        TEXT,
        &"x".repeat(1_300),
    );
    assert_eq!(answer.map(|a| code(&a)), Some(513));
    let flow = desk.stream(1001, 5);
    desk.registers_on(flow, 1001, 2, 3600);
    let flow = desk.stream(1002, 4);
    let answer = desk.asks_on(
        flow,
        1002,
        "MESSAGE",
        "1001",
        3,
        "",
        TEXT,
        &"x".repeat(1_300),
    );
    assert!(answer.is_none());
    assert_eq!(desk.requests(1001, &Method::Message).len(), 1);
}

#[test]
fn message_goes_to_every_device_and_the_first_that_takes_it_answers() {
    let mut desk = Desk::new();
    desk.registers(1001);
    let mut second = desk.flow(1001);
    second.remote = super::watch_bench::phone(1009);
    let headers = format!(
        "Expires: 3600\r\nCall-ID: second\r\nContact: <sip:1001@{}>\r\n",
        second.remote
    );
    desk.asks_on(second, 1001, "REGISTER", "1001", 1, "", &headers, "");
    assert_eq!(writes(&mut desk, 1002, "1001", "hello"), None);
    let to = |desk: &Desk, extension| desk.requests(extension, &Method::Message).len();
    assert_eq!((to(&desk, 1001), to(&desk, 1009)), (1, 1));
    desk.answers(1001, &Method::Message, 486, "");
    assert_eq!(answered(&desk), None);
    let message = desk.requests(1009, &Method::Message).pop().expect("one");
    let answer =
        strowger::sip::Builder::response(&message, strowger::sip::StatusCode::OK, "").finish();
    desk.says_on(second, &answer);
    assert_eq!(answered(&desk), Some(200));
    assert_eq!(desk.left(), (0, 0));
}
