//! The RTP header (RFC 3550 §5.1): checked once, read by offset, changed in place.
#![deny(clippy::indexing_slicing)]

/// Length of a header without contributing sources and extension.
pub const HEADER_BYTES: usize = 12;

/// What a valid RTP packet's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// First packet of a talk spurt, or of an event.
    pub marker: bool,
    /// Payload number, 0–127.
    pub payload_number: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in ticks of the payload's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Where the payload begins.
    pub payload_start: u16,
    /// Where it ends, padding left out.
    pub payload_end: u16,
}

impl Header {
    /// Checks a datagram (RFC 3550 §A.1): version 2, room for contributing sources, extension and padding, and no RTCP type
    /// in the place of marker and payload number.
    #[inline]
    pub fn parse(packet: &[u8]) -> Option<Header> {
        let fixed = packet.first_chunk::<HEADER_BYTES>()?;
        let [first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *fixed;
        if first >> 6 != 2 || (200..=207).contains(&second) || packet.len() > usize::from(u16::MAX)
        {
            return None;
        }
        let mut start = HEADER_BYTES;
        let mut end = packet.len();
        // nearly every packet has neither contributing sources nor extension nor padding
        if first & 0x3f != 0 {
            start += usize::from(first & 0x0f) * 4;
            if first & 0x10 != 0 {
                let words = packet.get(start + 2..start + 4)?;
                let words = u16::from_be_bytes(words.try_into().ok()?);
                start += 4 + usize::from(words) * 4;
            }
            if first & 0x20 != 0 {
                let padding = usize::from(*packet.last()?);
                if padding == 0 {
                    return None;
                }
                end = end.checked_sub(padding)?;
            }
            if start > end {
                return None;
            }
        }
        Some(Header {
            marker: second & 0x80 != 0,
            payload_number: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
            payload_start: start as u16,
            payload_end: end as u16,
        })
    }

    /// The payload within its packet.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet
            .get(usize::from(self.payload_start)..usize::from(self.payload_end))
            .unwrap_or_default()
    }

    /// The payload within its packet, to be changed in place.
    pub fn payload_mut<'a>(&self, packet: &'a mut [u8]) -> &'a mut [u8] {
        packet
            .get_mut(usize::from(self.payload_start)..usize::from(self.payload_end))
            .unwrap_or_default()
    }
}

/// Replaces the payload number, keeping the marker.
pub fn set_payload_number(packet: &mut [u8], number: u8) {
    if let Some(byte) = packet.get_mut(1) {
        *byte = *byte & 0x80 | number & 0x7f;
    }
}

/// Sets the marker.
pub fn set_marker(packet: &mut [u8]) {
    if let Some(byte) = packet.get_mut(1) {
        *byte |= 0x80;
    }
}

/// Replaces sequence number, timestamp and synchronisation source.
pub fn set_numbers(header: &mut [u8; HEADER_BYTES], sequence: u16, timestamp: u32, ssrc: u32) {
    let [first, second, ..] = *header;
    let [s0, s1] = sequence.to_be_bytes();
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [r0, r1, r2, r3] = ssrc.to_be_bytes();
    *header = [first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
}

/// Writes a plain header.
pub fn write_header(
    packet: &mut [u8; HEADER_BYTES],
    marker: bool,
    payload_number: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
) {
    let [s0, s1] = sequence.to_be_bytes();
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [r0, r1, r2, r3] = ssrc.to_be_bytes();
    let second = payload_number & 0x7f | if marker { 0x80 } else { 0 };
    *packet = [0x80, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // a test may fall over its own bytes
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut header = [0; HEADER_BYTES];
        write_header(&mut header, true, 8, 65_535, 0x0102_0304, 0xdead_beef);
        [&header[..], payload].concat()
    }

    #[test]
    fn written_header_reads_back() {
        let packet = packet(b"abc");
        let header = Header::parse(&packet).expect("valid");
        assert!(header.marker);
        assert_eq!(header.payload_number, 8);
        assert_eq!(header.sequence, 65_535);
        assert_eq!(header.timestamp, 0x0102_0304);
        assert_eq!(header.ssrc, 0xdead_beef);
        assert_eq!(header.payload(&packet), b"abc");
    }

    #[test]
    fn sources_extension_and_padding_are_outside_the_payload() {
        let mut packet = packet(&[]);
        packet[0] = 0x80 | 0x20 | 0x10 | 2;
        packet.extend([0; 8]); // two contributing sources
        packet.extend([0xbe, 0xde, 0, 1, 9, 9, 9, 9]); // one word of extension
        packet.extend(b"payload");
        packet.extend([0, 0, 3]); // padding
        let header = Header::parse(&packet).expect("valid");
        assert_eq!(header.payload(&packet), b"payload");
    }

    #[test]
    fn what_is_no_rtp_is_refused() {
        assert_eq!(Header::parse(&[]), None);
        assert_eq!(Header::parse(&[0x80; 11]), None);
        let good = packet(b"xyz");
        let with = |at: usize, value: u8| {
            let mut bad = good.clone();
            bad[at] = value;
            Header::parse(&bad)
        };
        assert_eq!(with(0, 0x40), None, "version");
        assert_eq!(with(0, 0x00), None, "STUN");
        assert_eq!(with(0, 0x8f), None, "contributing sources beyond the end");
        assert_eq!(with(0, 0x90), None, "extension beyond the end");
        assert_eq!(with(1, 200), None, "sender report");
        let mut padded = good.clone();
        padded[0] = 0xa0;
        padded[14] = 0;
        assert_eq!(Header::parse(&padded), None, "padding of zero");
        padded[14] = 4;
        assert_eq!(Header::parse(&padded), None, "padding over the header");
    }

    #[test]
    fn changes_in_place_touch_nothing_else() {
        let mut packet = packet(b"abc");
        set_payload_number(&mut packet, 101);
        let header = Header::parse(&packet).expect("valid");
        assert!(header.marker);
        assert_eq!((header.payload_number, header.sequence), (101, 65_535));
        let fixed = packet.first_chunk_mut().expect("a header");
        set_numbers(fixed, 5, 6, 7);
        let header = Header::parse(&packet).expect("valid");
        assert!(header.marker);
        assert_eq!((header.sequence, header.timestamp, header.ssrc), (5, 6, 7));
        assert_eq!(
            (header.payload_number, header.payload(&packet)),
            (101, &b"abc"[..])
        );
        set_payload_number(&mut [], 1);
        set_marker(&mut [0]);
    }

    proptest! {
        #[test]
        fn payload_of_any_valid_packet_lies_within_it(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(header) = Header::parse(&bytes) {
                prop_assert!(header.payload_start <= header.payload_end);
                prop_assert!(usize::from(header.payload_end) <= bytes.len());
            }
        }
    }
}
