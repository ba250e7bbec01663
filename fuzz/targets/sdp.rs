//! One session description: read, asked everything, written anew with the writer and read again.
#![no_main]

use std::net::{IpAddr, Ipv6Addr};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use strowger_fuzz::sdp::{Media, Session, Writer};
use strowger_fuzz::walk;

/// Formats of one media line that are written anew: all of them, many times over, would pass the reader's limit of lines.
const FORMATS_MAX: usize = 16;

fuzz_target!(|data: &[u8]| {
    match Session::parse(Bytes::copy_from_slice(data)) {
        Ok(session) => {
            assert_eq!(&session.bytes()[..], data);
            walk::session(&session);
            rewrite(&session);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fn rewrite(session: &Session) {
    let (id, version) = session.origin().unwrap_or((1, 1));
    let mut writer = Writer::new(id, version, IpAddr::V6(Ipv6Addr::LOCALHOST));
    for media in session.media() {
        writer = writer
            .media(
                text(media.kind()),
                media.port(),
                text(media.profile()),
                formats(&media),
            )
            .direction(media.direction());
        for number in numbers(&media) {
            if let Some(map) = media.rtpmap(number) {
                writer = writer.rtpmap(number, map.name, map.clock_hz, map.channels);
            }
            if let Some(parameters) = media.fmtp(number) {
                writer = writer.fmtp(number, parameters);
            }
        }
        if let Some(ms) = media.ptime_ms() {
            writer = writer.attribute("ptime", &ms.to_string());
        }
    }
    let read = Session::parse(writer.finish()).expect("we read what we write");
    walk::session(&read);
    assert_eq!(read.origin(), Some((id, version)));
    assert_eq!(read.media_count(), session.media_count());
    for (old, new) in session.media().zip(read.media()) {
        assert_eq!(new.kind(), old.kind());
        assert_eq!(new.port(), old.port());
        assert_eq!(new.profile(), old.profile());
        assert!(new.formats().map(text).eq(formats(&old)));
        assert_eq!(new.direction(), old.direction());
        assert_eq!(new.ptime_ms(), old.ptime_ms());
        for number in numbers(&old) {
            assert_eq!(new.rtpmap(number), old.rtpmap(number));
            assert_eq!(new.fmtp(number), old.fmtp(number));
        }
    }
}

fn formats<'a>(media: &Media<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    media.formats().take(FORMATS_MAX).map(text)
}

/// The payload numbers that are written anew, each once.
fn numbers(media: &Media<'_>) -> Vec<u8> {
    let mut numbers: Vec<u8> = media.payload_numbers().take(FORMATS_MAX).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn text(word: &[u8]) -> &str {
    std::str::from_utf8(word).expect("a media line is printable ASCII")
}
