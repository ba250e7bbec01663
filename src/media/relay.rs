//! What becomes of a payload number on its way from one stream to another: mapped by codec, recoded between the G.711 laws, decoded to be
//! spoken anew in a codec that the other side has, or dropped.

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
    /// Off the fast path: decoded.
    Decode,
    /// A telephone event among speech that is decoded, under this number: it must go under the same source.
    Event(u8),
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Not for the other side.
    Drop,
    /// Rewritten in place, to be sent as it is now.
    Pass,
    /// Speech that the other side has no codec for: to be decoded and spoken anew.
    Decode,
    /// An event to be said anew under this number.
    Event(u8),
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
    /// other G.711 law, the words are translated: a table look-up each. When it has none of the two, and both sides have a codec that
    /// we speak, speech is decoded.
    pub fn between(from: &MediaPlan, to: &MediaPlan) -> Route {
        let mut route = Route::default();
        for received in &from.receive {
            let pass = to
                .payloads
                .iter()
                .find(|sent| sent.same_format(received))
                .map(|sent| Pass::As(sent.number))
                .or_else(|| recode(received, &to.payloads))
                .or_else(|| decode(received, &to.payloads))
                .unwrap_or(Pass::Drop);
            route.set(received.number, pass);
        }
        if route.decodes(from) {
            // events have their place among the speech, which has a source of its own now; noise is made anew by who needs it
            for received in &from.receive {
                let pass = match received.codec {
                    Codec::TelephoneEvent => to.telephone_event.map_or(Pass::Drop, Pass::Event),
                    Codec::ComfortNoise => Pass::Drop,
                    _ => continue,
                };
                route.set(received.number, pass);
            }
        }
        route
    }

    /// True when the speech that `from` will most probably send is decoded.
    pub fn decodes(&self, from: &MediaPlan) -> bool {
        from.receive
            .iter()
            .find(|payload| payload.codec.is_speech())
            .is_some_and(|payload| self.decodes_number(payload.number))
    }

    /// True when what comes under this number is decoded.
    pub fn decodes_number(&self, number: u8) -> bool {
        self.get(number) == Pass::Decode
    }

    fn get(&self, number: u8) -> Pass {
        let pass = self.pass.get(usize::from(number));
        pass.copied().unwrap_or(Pass::Drop)
    }

    fn set(&mut self, number: u8, pass: Pass) {
        if let Some(place) = self.pass.get_mut(usize::from(number)) {
            *place = pass;
        }
    }

    /// Rewrites a packet in place, or says what else is to be done with it.
    #[inline]
    pub fn apply(&self, header: &Header, packet: &mut [u8]) -> Way {
        match self.get(header.payload_number) {
            Pass::Drop => Way::Drop,
            Pass::Decode => Way::Decode,
            Pass::Event(number) => Way::Event(number),
            Pass::As(number) => {
                if number != header.payload_number {
                    set_payload_number(packet, number);
                }
                Way::Pass
            }
            Pass::Recode(number, law) => {
                set_payload_number(packet, number);
                let table = law.to_other();
                for word in header.payload_mut(packet) {
                    *word = table[usize::from(*word)];
                }
                Way::Pass
            }
        }
    }
}

fn decode(received: &Payload, offered: &[Payload]) -> Option<Pass> {
    received.codec.coder()?;
    let spoken = offered.iter().any(|sent| sent.codec.coder().is_some());
    spoken.then_some(Pass::Decode)
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
            telephone_event: payloads
                .iter()
                .find(|payload| payload.codec == Codec::TelephoneEvent)
                .map(|payload| payload.number),
            payloads,
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
        (route.apply(&header, &mut packet) == Way::Pass).then_some(packet)
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

    fn way(route: &Route, number: u8) -> Way {
        let mut packet = packet(number, b"x");
        let header = Header::parse(&packet).expect("valid");
        route.apply(&header, &mut packet)
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
                let way = Route::between(&from, &to).apply(&before, &mut packet);
                assert_eq!(way, Way::Pass);
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
    fn codec_that_the_other_side_lacks_is_decoded_where_both_can_be_spoken() {
        let opus = Payload::new(111, Codec::Opus);
        let g729 = Payload::new(18, Codec::G729);
        let event = Payload {
            clock_hz: 48_000,
            ..Payload::telephone_event(110)
        };
        let a = plan(vec![opus.clone(), event, g729]);
        let b = plan(vec![
            Payload::new(9, Codec::G722),
            Payload::telephone_event(96),
        ]);
        let there = Route::between(&a, &b);
        assert_eq!(way(&there, 111), Way::Decode);
        assert_eq!(way(&there, 110), Way::Event(96));
        assert_eq!(way(&there, 18), Way::Drop);
        assert!(there.decodes(&a));
        let back = Route::between(&b, &a);
        assert_eq!(way(&back, 9), Way::Decode);
        assert_eq!(way(&back, 96), Way::Event(110));
        // what both have is never decoded, and events then go as they are
        let c = plan(vec![Payload::pcma(), opus, Payload::telephone_event(97)]);
        let plain = Route::between(&c, &b);
        assert_eq!(way(&plain, 8), Way::Decode);
        let direct = Route::between(&c, &c);
        assert_eq!(way(&direct, 8), Way::Pass);
        assert_eq!(way(&direct, 97), Way::Pass);
        assert!(!direct.decodes(&c));
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
