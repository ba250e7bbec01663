//! A message that was built or edited must be what reading its bytes gives: nothing noted that is not written, nothing hidden.

use crate::sip::{Fault, Message, ParseError};

/// Reads the bytes of `made` and compares every accessor.
///
/// # Errors
/// The bytes do not read back.
///
/// # Panics
/// If the two differ.
pub fn read_back(made: &Message) -> Result<Message, ParseError> {
    let read = Message::parse(made.bytes().clone())?;
    assert_eq!(read.bytes(), made.bytes());
    assert!(
        read.each_header().eq(made.each_header()),
        "headers of {made:?}"
    );
    assert_eq!(read.body(), made.body(), "body of {made:?}");
    assert_eq!(read.is_request(), made.is_request());
    assert_eq!(read.method(), made.method());
    assert_eq!(read.status(), made.status());
    assert_eq!(read.uri_bytes(), made.uri_bytes());
    assert_eq!(read.reason_phrase(), made.reason_phrase());
    assert_eq!(read.call_id(), made.call_id());
    assert_eq!(read.cseq(), made.cseq());
    assert_eq!(
        (read.from(), read.from_tag()),
        (made.from(), made.from_tag())
    );
    assert_eq!((read.to(), read.to_tag()), (made.to(), made.to_tag()));
    assert_eq!(read.top_via(), made.top_via());
    assert_eq!(read.max_forwards(), made.max_forwards());
    Ok(read)
}

/// As [`read_back`], for what has to read back. Only the limits of a message may stand in the way of an addition.
///
/// # Panics
/// If it does not.
pub fn assert_reads_back(made: &Message) {
    if let Err(error) = read_back(made) {
        assert_eq!(error.fault, Fault::TooLarge, "{error} in {made:?}");
    }
}
