//! A connection's bytes, fed at once and in arbitrary pieces: the same messages and the same end, and the parser sees what was cut.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use strowger_fuzz::sip::Message;
use strowger_fuzz::sip::stream::{FrameError, StreamFramer, StreamItem};

/// Bytes at the start of the input that say where the rest is cut.
const CUTS: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Some((cuts, stream)) = data.split_at_checked(CUTS) else {
        return;
    };
    let whole = feed([stream]);
    let mut pieces = Vec::new();
    let mut rest = stream;
    for length in cuts.iter().cycle().map(|&cut| usize::from(cut).max(1)) {
        let (piece, more) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(whole, feed(pieces), "in pieces of {cuts:?}");
    assert_eq!(whole, feed(stream.chunks(1)), "byte by byte");
    let mut place = 0;
    for item in &whole.items {
        if let StreamItem::Message(message) = item {
            place += find(&stream[place..], message) + message.len();
            agree(message);
        }
    }
});

#[derive(Debug, PartialEq)]
struct Fed {
    items: Vec<StreamItem>,
    waiting_bytes: usize,
    failed: Option<FrameError>,
}

fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Fed {
    let mut framer = StreamFramer::new();
    let mut items = Vec::new();
    let mut failed = None;
    'stream: for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next() {
                Ok(Some(item)) => {
                    // A ping in two pieces was taken for a pong until its second half came.
                    if item == StreamItem::Ping && items.last() == Some(&StreamItem::Pong) {
                        items.pop();
                    }
                    items.push(item);
                }
                Ok(None) => break,
                Err(error) => {
                    framer.push(b"OPTIONS sip:x SIP/2.0\r\n\r\n");
                    assert_eq!(framer.next(), Err(error), "an error is for ever");
                    failed = Some(error);
                    break 'stream;
                }
            }
        }
    }
    Fed {
        items,
        waiting_bytes: framer.waiting_bytes(),
        failed,
    }
}

fn find(stream: &[u8], message: &[u8]) -> usize {
    stream
        .windows(message.len())
        .position(|window| window == message)
        .expect("messages come out in their order, as they went in")
}

/// Framer and parser see the same end: where they differ, a message can hide behind another.
fn agree(framed: &Bytes) {
    if let Ok(read) = Message::parse(framed.clone()) {
        let blank = framed
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        assert_eq!(read.bytes(), &framed[blank..]);
    }
}
