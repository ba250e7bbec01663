//! What becomes of a payload number on its way from one stream to another: mapped by codec, recoded between the G.711 laws, or dropped.

use super::codec::g711::Law;
use super::codec::{Codec, Payload};
use super::plan::MediaPlan;
use crate::rtp::{Header, set_payload_number};

/// What to do with one payload number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pass {
    /// The other side did not agree to it.
    Drop,
    /// Under this number.
    As(u8),
    /// Under this number, from this law of G.711 to the other.
    Recode(u8, Law),
}

/// The way from one stream to another, for each of the 128 payload numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    pass: [Pass; 128],
}

impl Default for Route {
    fn default() -> Self {
        Route {
            pass: [Pass::Drop; 128],
        }
    }
}

impl Route {
    /// From what `from` sends us to what `to` agreed to receive. Formats match by name, clock and channels. When `to` has only the
    /// other G.711 law, the words are translated: a table look-up each.
    pub fn between(from: &MediaPlan, to: &MediaPlan) -> Route {
        let mut route = Route::default();
        for received in &from.receive {
            let pass = to
                .payloads
                .iter()
                .find(|sent| sent.same_format(received))
                .map(|sent| Pass::As(sent.number))
                .or_else(|| recode(received, &to.payloads))
                .unwrap_or(Pass::Drop);
            if let Some(place) = route.pass.get_mut(usize::from(received.number)) {
                *place = pass;
            }
        }
        route
    }

    /// Rewrites a packet in place. False when it must be dropped.
    #[inline]
    pub fn apply(&self, header: &Header, packet: &mut [u8]) -> bool {
        let pass = self
            .pass
            .get(usize::from(header.payload_number))
            .copied()
            .unwrap_or(Pass::Drop);
        match pass {
            Pass::Drop => false,
            Pass::As(number) => {
                if number != header.payload_number {
                    set_payload_number(packet, number);
                }
                true
            }
            Pass::Recode(number, law) => {
                set_payload_number(packet, number);
                let table = law.to_other();
                for word in header.payload_mut(packet) {
                    *word = table[usize::from(*word)];
                }
                true
            }
        }
    }
}

fn recode(received: &Payload, offered: &[Payload]) -> Option<Pass> {
    let (law, other) = match received.codec {
        Codec::Pcma => (Law::A, Codec::Pcmu),
        Codec::Pcmu => (Law::Mu, Codec::Pcma),
        _ => return None,
    };
    offered
        .iter()
        .find(|sent| sent.codec == other && sent.clock_hz == received.clock_hz)
        .map(|sent| Pass::Recode(sent.number, law))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{HEADER_BYTES, write_header};
    use crate::sdp::Direction;

    fn plan(payloads: Vec<Payload>) -> MediaPlan {
        MediaPlan {
            remote_rtp: None,
            remote_rtcp: None,
            receive: payloads.clone(),
            payloads,
            telephone_event: None,
            ptime_ms: 20,
            direction: Direction::SendRecv,
            remote_hold: false,
            srtp: None,
        }
    }

    fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = [0; HEADER_BYTES];
        write_header(&mut header, true, number, 1, 2, 3);
        [&header[..], payload].concat()
    }

    fn passed(route: &Route, number: u8, payload: &[u8]) -> Option<Vec<u8>> {
        let mut packet = packet(number, payload);
        let header = Header::parse(&packet).expect("valid");
        route.apply(&header, &mut packet).then_some(packet)
    }

    #[test]
    fn same_codec_gets_the_other_sides_number() {
        let a = plan(vec![Payload::pcma(), Payload::telephone_event(101)]);
        let b = plan(vec![Payload::telephone_event(96), Payload::pcma()]);
        let route = Route::between(&a, &b);
        assert_eq!(passed(&route, 8, b"x"), Some(packet(8, b"x")));
        assert_eq!(
            passed(&route, 101, b"\x01\0\0\0"),
            Some(packet(96, b"\x01\0\0\0"))
        );
        assert_eq!(passed(&route, 96, b"x"), None);
        assert_eq!(passed(&route, 0, b"x"), None);
    }

    #[test]
    fn relayed_packet_keeps_its_sequence_number_timestamp_source_and_marker() {
        let translated = plan(vec![Payload::pcmu(), Payload::telephone_event(96)]);
        let same = plan(vec![Payload::pcma(), Payload::telephone_event(96)]);
        let from = plan(vec![Payload::pcma(), Payload::telephone_event(101)]);
        for to in [same, translated] {
            for (number, becomes) in [(8, to.payloads[0].number), (101, 96)] {
                let mut packet = [0; HEADER_BYTES + 4];
                let (header, _) = packet.split_at_mut(HEADER_BYTES);
                write_header(
                    header.try_into().expect("a header"),
                    true,
                    number,
                    0xfffe,
                    0xdead_beef,
                    0x1234_5678,
                );
                let before = Header::parse(&packet).expect("valid");
                let mut packet = packet.to_vec();
                assert!(Route::between(&from, &to).apply(&before, &mut packet));
                let after = Header::parse(&packet).expect("valid");
                assert_eq!(after.payload_number, becomes);
                assert_eq!(
                    (after.sequence, after.timestamp, after.ssrc, after.marker),
                    (0xfffe, 0xdead_beef, 0x1234_5678, true)
                );
                assert_eq!(packet.len(), HEADER_BYTES + 4);
            }
        }
    }

    #[test]
    fn codec_that_the_other_side_lacks_is_dropped() {
        let a = plan(vec![Payload::new(111, Codec::Opus), Payload::pcma()]);
        let b = plan(vec![Payload::pcma()]);
        assert_eq!(passed(&Route::between(&a, &b), 111, b"x"), None);
    }

    #[test]
    fn laws_of_g711_are_translated_when_only_one_is_on_each_side() {
        let a = plan(vec![Payload::pcma()]);
        let b = plan(vec![Payload::pcmu()]);
        let silence = [Law::A.silence(); 4];
        let out = passed(&Route::between(&a, &b), 8, &silence).expect("passes");
        let header = Header::parse(&out).expect("valid");
        assert_eq!(header.payload_number, 0);
        for word in header.payload(&out) {
            assert!(Law::Mu.decode(*word).abs() <= 8);
        }
        assert!(passed(&Route::between(&b, &a), 0, &silence).is_some());
    }

    #[test]
    fn route_without_agreement_drops_everything() {
        // 72–79 with the marker are RTCP types, no packets
        let numbers = (0..72).chain(80..128);
        assert!(
            numbers
                .into_iter()
                .all(|number| passed(&Route::default(), number, b"x").is_none())
        );
    }
}
