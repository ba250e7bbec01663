//! One datagram at an audio port: RTP, RTCP, a telephone event. What is read lies within it, and reads back when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strowger_fuzz::rtp::rtcp::{self, Report};
use strowger_fuzz::rtp::{
    HEADER_BYTES, Header, TelephoneEvent, set_marker, set_numbers, set_payload_number, write_header,
};

fuzz_target!(|data: &[u8]| {
    if let Some(header) = Header::parse(data) {
        assert!(usize::from(header.payload_start) >= HEADER_BYTES);
        assert!(header.payload_start <= header.payload_end);
        assert!(usize::from(header.payload_end) <= data.len());
        assert!(!rtcp::is_compound(data), "RTP and RTCP at once");
        rewritten(&header, data);
        if let Some(event) = TelephoneEvent::parse(header.payload(data)) {
            telephone_event(&event);
        }
    }
    let mut read = 0;
    for packet in rtcp::packets(data) {
        read += 4 + packet.body.len();
        assert!((192..=223).contains(&packet.kind) && packet.count <= 31);
        if let Some(report) = Report::parse(&packet) {
            reported(&report);
        }
    }
    assert!(read <= data.len());
    assert!(!rtcp::is_compound(data) || read == data.len());
});

/// What a relay changes in a packet leaves the rest as it was.
fn rewritten(header: &Header, data: &[u8]) {
    let mut packet = data.to_vec();
    set_payload_number(&mut packet, 101);
    set_numbers(packet.first_chunk_mut().expect("a header"), 5, 6, 7);
    let changed = Header::parse(&packet).expect("still RTP");
    assert_eq!((changed.payload_number, changed.ssrc), (101, 7));
    assert_eq!((changed.sequence, changed.timestamp), (5, 6));
    assert_eq!(changed.marker, header.marker);
    assert_eq!(changed.payload(&packet), header.payload(data));
    assert_eq!(
        header.clone().payload_mut(&mut packet),
        header.payload(data)
    );
    set_marker(&mut packet);
    assert!(Header::parse(&packet).expect("still RTP").marker);
    let mut plain = [0; HEADER_BYTES];
    write_header(
        &mut plain,
        header.marker,
        header.payload_number,
        header.sequence,
        header.timestamp,
        header.ssrc,
    );
    let again = Header::parse(&plain).expect("we read what we write");
    assert_eq!(
        (again.marker, again.payload_number, again.sequence),
        (header.marker, header.payload_number, header.sequence)
    );
    assert_eq!(
        (again.timestamp, again.ssrc),
        (header.timestamp, header.ssrc)
    );
}

fn telephone_event(event: &TelephoneEvent) {
    assert_eq!(TelephoneEvent::parse(&event.bytes()), Some(*event));
    if let Some(digit) = event.digit() {
        let made = TelephoneEvent::of_digit(digit, event.end, event.duration);
        assert_eq!(made.map(|made| made.event), Some(event.event));
    }
}

fn reported(report: &Report) {
    let mut out = Vec::new();
    report.write("a name", &mut out);
    assert!(rtcp::is_compound(&out));
    let first = rtcp::packets(&out).next().expect("a report");
    assert_eq!(Report::parse(&first).as_ref(), Some(report));
}
