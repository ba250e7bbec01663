//! How the conformance tests say what is expected of a message.

use bytes::Bytes;
use strowger::sip::{Fault, Message, ParseError};

/// Lines joined as they go over the wire, and a body behind them.
pub fn wire(lines: &[&str], body: &[u8]) -> Bytes {
    let mut out = Vec::new();
    for line in lines {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    Bytes::from(out)
}

/// A message without body.
pub fn lines(lines: &[&str]) -> Bytes {
    wire(lines, b"")
}

/// An OPTIONS request that is right in everything, with one line in the place of the one of that name (or behind the last).
pub fn options_with(name: &str, replacement: &str) -> Bytes {
    let mut all = vec![
        "OPTIONS sip:desk@example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.71;branch=z9hG4bKopt1",
        "Max-Forwards: 70",
        "From: <sip:lab@example.org>;tag=opt-1",
        "To: <sip:desk@example.com>",
        "Call-ID: options-1@192.0.2.71",
        "CSeq: 7 OPTIONS",
        "Content-Length: 0",
    ];
    match all.iter_mut().find(|line| line.starts_with(name)) {
        Some(line) => *line = replacement,
        None => all.push(replacement),
    }
    lines(&all)
}

/// The message reads, and its bytes come back unchanged.
#[track_caller]
pub fn understood(bytes: &Bytes) -> Message {
    match Message::parse(bytes.clone()) {
        Ok(message) => {
            assert!(bytes.starts_with(message.bytes()), "bytes were lost");
            message
        }
        Err(error) => panic!("{error}\n{}", String::from_utf8_lossy(bytes)),
    }
}

/// The request is refused with this status, and there is enough of it to be answered.
#[track_caller]
pub fn refused(bytes: &Bytes, status: u16) -> ParseError {
    let error = fault(bytes);
    assert_eq!(
        error.status().map(|status| status.as_u16()),
        Some(status),
        "{error}"
    );
    assert!(Message::salvage(bytes).is_some(), "nothing to answer with");
    error
}

/// The bytes are dropped without an answer: they are no request, or too little of one.
#[track_caller]
pub fn dropped(bytes: &Bytes) -> ParseError {
    let error = fault(bytes);
    assert!(
        error.status().is_none() || Message::salvage(bytes).is_none(),
        "would be answered: {error}"
    );
    error
}

#[track_caller]
fn fault(bytes: &Bytes) -> ParseError {
    match Message::parse(bytes.clone()) {
        Ok(_) => panic!("was understood:\n{}", String::from_utf8_lossy(bytes)),
        Err(error) => {
            assert!(error.at <= bytes.len(), "{error}");
            error
        }
    }
}

/// The fault is of this kind and in this part.
#[track_caller]
pub fn is(error: ParseError, what: &str, fault: Fault) {
    assert_eq!((error.what, error.fault), (what, fault));
}
