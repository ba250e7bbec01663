//! One datagram: read, asked everything, answered, edited, refused.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use strowger_fuzz::same::{assert_reads_back, read_back};
use strowger_fuzz::sip::{Builder, Message, Name, StatusCode, edit};
use strowger_fuzz::walk;

const SEEN_FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const SEEN_PORT: u16 = 6000;

fuzz_target!(|data: &[u8]| {
    let datagram = Bytes::copy_from_slice(data);
    refuse(&datagram);
    match Message::parse(datagram) {
        Ok(message) => {
            unchanged(data, &message);
            walk::message(&message);
            answer(&message);
            edit_everything(&message);
        }
        Err(error) => {
            assert!(error.at <= data.len(), "{error}");
            assert!(!error.to_string().is_empty());
            let _ = error.status();
        }
    }
});

/// What was read is what came, without the line ends before and the excess behind.
fn unchanged(data: &[u8], message: &Message) {
    let blank = data
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    assert!(data[blank..].starts_with(message.bytes()));
    read_back(message).expect("what was read once reads again");
}

/// What cannot be read is refused with the lines that it has, and with none that hides in their values.
fn refuse(datagram: &Bytes) {
    let Some(salvaged) = Message::salvage(datagram) else {
        return;
    };
    let refusal = Builder::refusal(&salvaged, StatusCode::BAD_REQUEST, "")
        .to_tag(b"t1")
        .finish();
    let lines = refusal.bytes().iter().filter(|&&byte| byte == b'\n');
    assert_eq!(lines.count(), 1 + salvaged.vias.len() + 4 + 1 + 1);
    let _ = read_back(&refusal);
}

fn answer(message: &Message) {
    if !message.is_request() {
        return;
    }
    let answer = Builder::response(message, StatusCode::RINGING, "")
        .to_tag(b"t1")
        .header(Name::Subject, message.header(Name::Subject).unwrap_or(b"-"))
        .body("text/plain", message.body());
    assert_reads_back(&answer);
    assert_eq!(answer.body(), message.body());
    assert_eq!(answer.vias().count(), message.vias().count());
    assert_eq!(answer.method(), message.method());
    let tag = match message.to().param("tag") {
        Some(tag) => tag,
        None => Some(&b"t1"[..]),
    };
    assert_eq!(answer.to_tag(), tag, "of {answer:?}");
}

fn edit_everything(message: &Message) {
    vias(message);
    let moved = edit::set_uri(message, b"sips:someone@example.org;transport=tcp");
    assert_reads_back(&moved);
    for name in [
        Name::Route,
        Name::Contact,
        Name::Subject,
        Name::UserAgent,
        Name::Expires,
    ] {
        let without = edit::remove(message, name);
        assert_reads_back(&without);
        assert!(without.header(name).is_none());
        let one = edit::replace(message, name, b"<sip:one@192.0.2.1;lr>\r\nEvil: 1");
        assert_reads_back(&one);
        assert_eq!(one.headers(name).count(), 1);
        let more = edit::add(message, name, b"<sip:more@192.0.2.1>");
        assert_reads_back(&more);
        assert_eq!(
            more.headers(name).count(),
            message.headers(name).count() + 1
        );
    }
    let other = edit::replace(message, Name::From, b"<sip:other@example.org>;tag=o");
    assert_reads_back(&other);
    assert_eq!(other.from_tag(), Some(&b"o"[..]));
    match edit::decrement_max_forwards(message) {
        Some(less) => {
            assert_reads_back(&less);
            let left = message.max_forwards().map_or(70, |hops| hops - 1);
            assert_eq!(less.max_forwards(), Some(left));
        }
        None => assert_eq!(message.max_forwards(), Some(0)),
    }
}

fn vias(message: &Message) {
    let count = message.vias().count();
    let pushed = edit::push_via(message, b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnew");
    assert_reads_back(&pushed);
    assert_eq!(pushed.vias().count(), count + 1);
    assert_eq!(pushed.top_via().branch(), Some(&b"z9hG4bKnew"[..]));
    assert_eq!(&edit::pop_via(&pushed), message);

    let popped = edit::pop_via(message);
    assert_eq!(popped.vias().count(), count - 1);
    // Without a readable Via it is no message any more, and whoever popped it knows.
    if let Some(Ok(top)) = popped.vias().next() {
        assert_eq!(top, popped.top_via());
        assert_reads_back(&popped);
    }

    let asked = message.top_via().rport().is_some();
    let differs = message.top_via().host_ip() != Some(SEEN_FROM);
    let stamped = edit::stamp_received(message, SEEN_FROM, SEEN_PORT);
    assert_reads_back(&stamped);
    assert_eq!(stamped.vias().count(), count);
    let top = stamped.top_via();
    let received = (asked || differs).then_some(SEEN_FROM);
    assert_eq!(top.received(), received, "{stamped:?}");
    assert_eq!(top.rport(), asked.then_some(Some(SEEN_PORT)), "{stamped:?}");
}
