//! Packets to samples, one by one as they come: what transcoding listens with. Nothing waits for late packets, so nothing is delayed.
//!
//! What is missing between two packets is filled: from the copy that the later packet may hold, else by concealment; a longer gap is a
//! pause. Packets that come out of their order are late, and late is lost.

use super::codec::{Decoder, PACKET_MS_MAX, Payload};
use crate::rtp::Header;
use crate::rtp::arithmetic::{sequence_ahead, timestamp_ahead};

/// Longest gap that is filled; beyond it concealment has nothing left to say.
const GAP_MS_MAX: u32 = 100;
/// A jump of the sequence further than this is a new sender, not loss (RFC 3550 §A.1: MAX_DROPOUT).
const RESTART: i16 = 3_000;

/// What a packet meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Its samples were appended, behind those for what was lost before it.
    Samples,
    /// The same, after a pause of so many milliseconds.
    AfterPause(u32),
    /// Late, repeated, or not of its codec: nothing was appended.
    Nothing,
}

#[derive(Clone, Copy)]
struct Last {
    ssrc: u32,
    sequence: u16,
    /// Where the next packet should begin.
    next: u32,
}

/// The ear for one stream.
#[derive(Default)]
pub struct Hearing {
    decoder: Option<(Payload, u32, Box<dyn Decoder>)>,
    last: Option<Last>,
    /// Samples of the last packet: the length of one that is lost.
    packet: usize,
}

impl std::fmt::Debug for Hearing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hearing").finish_non_exhaustive()
    }
}

impl Hearing {
    /// Rate of what was appended last, in hertz.
    pub fn rate_hz(&self) -> u32 {
        self.decoder
            .as_ref()
            .map_or(8_000, |(_, _, decoder)| decoder.rate_hz())
    }

    /// A packet of speech that `known` stands for; decoded at the codec's rate that suits a listener at `wanted_hz`.
    pub fn hear(
        &mut self,
        header: &Header,
        payload: &[u8],
        known: &Payload,
        wanted_hz: u32,
        out: &mut Vec<i16>,
    ) -> Heard {
        let Some(coder) = known.codec.coder() else {
            return Heard::Nothing;
        };
        if self
            .decoder
            .as_ref()
            .is_none_or(|(codec, wanted, _)| codec != known || *wanted != wanted_hz)
        {
            let decoder = (coder.decoder)(coder.rate_for(wanted_hz));
            self.packet = decoder.rate_hz() as usize / 50;
            self.decoder = Some((known.clone(), wanted_hz, decoder));
        }
        let Some((_, _, decoder)) = &mut self.decoder else {
            return Heard::Nothing;
        };
        let clock = known.clock_hz.max(1);
        let mut pause_ms = 0;
        if let Some(last) = self.last.filter(|last| last.ssrc == header.ssrc) {
            let ahead = sequence_ahead(header.sequence, last.sequence);
            if ahead <= 0 && ahead > -RESTART {
                return Heard::Nothing;
            }
            let missing = timestamp_ahead(header.timestamp, last.next);
            let missing_ms = (i64::from(missing.max(0)) * 1_000 / i64::from(clock)) as u32;
            if ahead > 1 && ahead < RESTART && (1..=GAP_MS_MAX).contains(&missing_ms) {
                let rate = u64::from(decoder.rate_hz());
                let samples = missing as u64 * rate / u64::from(clock);
                decoder.conceal(samples as usize, Some(payload), out);
            } else if missing_ms > 0 {
                pause_ms = missing_ms;
            }
        }
        let start = out.len();
        let decoded = decoder.decode(payload, out);
        let samples = out.len() - start;
        if decoded.is_err() {
            // it took its time all the same
            decoder.conceal(self.packet, None, out);
        } else {
            self.packet = samples.min(decoder.rate_hz() as usize * PACKET_MS_MAX / 1_000);
        }
        let ticks = self.packet as u64 * u64::from(clock) / u64::from(decoder.rate_hz());
        self.last = Some(Last {
            ssrc: header.ssrc,
            sequence: header.sequence,
            next: header.timestamp.wrapping_add(ticks as u32),
        });
        if pause_ms > 0 {
            Heard::AfterPause(pause_ms)
        } else {
            Heard::Samples
        }
    }

    /// A packet that is no speech came in between: its number is not missing.
    pub fn passed(&mut self, header: &Header) {
        if let Some(last) = &mut self.last
            && last.ssrc == header.ssrc
            && sequence_ahead(header.sequence, last.sequence) > 0
        {
            last.sequence = header.sequence;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::{Codec, PAYLOAD_BYTES_MAX};
    use crate::media::signal::tone::{power_at, sine};

    fn header(n: u32, ticks: u32) -> Header {
        Header {
            marker: false,
            payload_number: 8,
            sequence: (65_530 + n) as u16,
            timestamp: 0xffff_ff00u32.wrapping_add(n * ticks),
            ssrc: 7,
            payload_start: 12,
            payload_end: 12,
        }
    }

    /// A second of a tone in packets of 20 ms.
    fn packets(payload: &Payload) -> Vec<Vec<u8>> {
        let coder = payload.codec.coder().expect("spoken");
        let rate = coder.best_hz();
        let mut encoder = (coder.encoder)(rate, payload);
        sine(rate, 500.0, 10_000.0, rate as usize)
            .chunks(rate as usize / 50)
            .map(|frame| {
                let mut out = [0; PAYLOAD_BYTES_MAX];
                let length = encoder.encode(frame, &mut out);
                out[..length].to_vec()
            })
            .collect()
    }

    fn speech() -> [Payload; 4] {
        [
            Payload::pcmu(),
            Payload::pcma(),
            Payload::new(9, Codec::G722),
            Payload::new(111, Codec::Opus),
        ]
    }

    #[test]
    fn lost_packets_are_filled_to_their_length_and_late_ones_ignored() {
        for payload in speech() {
            let ticks = payload.clock_hz / 50;
            let packets = packets(&payload);
            let mut hearing = Hearing::default();
            let mut out = Vec::new();
            let order = (0..50u32).filter(|n| !matches!(n, 10 | 20 | 21));
            for n in order {
                let packet = &packets[n as usize];
                let heard = hearing.hear(&header(n, ticks), packet, &payload, 8_000, &mut out);
                assert_eq!(heard, Heard::Samples, "{payload:?} {n}");
            }
            let length = out.len();
            let late = hearing.hear(&header(20, ticks), &packets[20], &payload, 8_000, &mut out);
            assert_eq!(late, Heard::Nothing);
            let rate = hearing.rate_hz();
            assert_eq!(length, rate as usize, "{payload:?}");
            assert_eq!(out.len(), length);
            let share = power_at(&out[length / 4..], rate, 500.0);
            assert!(share > 0.9, "{payload:?}: {share}");
        }
    }

    #[test]
    fn long_gap_is_a_pause_and_so_is_silence_without_loss() {
        let payload = Payload::pcma();
        let packets = packets(&payload);
        let mut hearing = Hearing::default();
        let mut out = Vec::new();
        let mut hear = |sequence: u32, at: u32| {
            let header = Header {
                sequence: sequence as u16,
                ..header(at, 160)
            };
            let heard = hearing.hear(&header, &packets[0], &payload, 8_000, &mut out);
            (heard, out.len())
        };
        assert_eq!(hear(1, 1), (Heard::Samples, 160));
        assert_eq!(hear(2, 10), (Heard::AfterPause(160), 320));
        assert_eq!(hear(40, 48), (Heard::AfterPause(740), 480));
        assert_eq!(hear(41, 49), (Heard::Samples, 640));
    }

    #[test]
    fn another_source_and_another_codec_begin_anew() {
        let (pcma, g722) = (Payload::pcma(), Payload::new(9, Codec::G722));
        let mut hearing = Hearing::default();
        let mut out = Vec::new();
        hearing.hear(&header(0, 160), &[0xd5; 160], &pcma, 16_000, &mut out);
        assert_eq!((hearing.rate_hz(), out.len()), (8_000, 160));
        let other = Header {
            ssrc: 8,
            ..header(9, 160)
        };
        let heard = hearing.hear(&other, &[0xfa; 160], &g722, 16_000, &mut out);
        assert_eq!(heard, Heard::Samples);
        assert_eq!((hearing.rate_hz(), out.len()), (16_000, 480));
    }

    #[test]
    fn what_cannot_be_decoded_takes_its_time_and_no_more() {
        let opus = Payload::new(111, Codec::Opus);
        let packets = packets(&opus);
        let mut hearing = Hearing::default();
        let mut out = Vec::new();
        hearing.hear(&header(0, 960), &packets[0], &opus, 48_000, &mut out);
        // three frames said, none there
        hearing.hear(&header(1, 960), &[0x03], &opus, 48_000, &mut out);
        hearing.hear(&header(2, 960), &packets[2], &opus, 48_000, &mut out);
        assert_eq!(out.len(), 3 * 960);
    }
}
