//! Codecs by name, payload numbers that stand for them (RFC 3551), and how those are spoken that we speak ourselves.
//!
//! A codec that has a [`Coder`] in its row can be played, recorded, mixed and transcoded; one that has none is passed through.

mod coder;
mod comfort_noise;
pub mod g711;
mod g722;
mod opus;

pub use coder::{Coder, Decoder, Encoder, PACKET_MS_MAX, PAYLOAD_BYTES_MAX, Undecodable};
pub use comfort_noise::ComfortNoise;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An audio encoding. Equal codecs with equal clocks are the same format, whatever number stands for them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s; its RTP clock says 8,000 although it samples at 16,000 (RFC 3551 §4.5.2).
    G722,
    /// G.729 (passed through only).
    G729,
    /// GSM full rate.
    Gsm,
    /// Opus (RFC 7587): always 48,000 Hz and two channels in descriptions.
    Opus,
    /// iLBC (RFC 3952).
    Ilbc,
    /// Comfort noise (RFC 3389).
    ComfortNoise,
    /// DTMF and other events in RTP (RFC 4733).
    TelephoneEvent,
    /// Any other: name in lower case, channels.
    Other(Arc<str>, u8),
}

/// One row of the table of codecs that we know by name.
struct Known {
    codec: Codec,
    name: &'static str,
    clock_hz: u32,
    channels: u8,
    number: Option<u8>,
    coder: Option<&'static Coder>,
}

const fn known(
    codec: Codec,
    name: &'static str,
    clock_hz: u32,
    channels: u8,
    number: Option<u8>,
    coder: Option<&'static Coder>,
) -> Known {
    Known {
        codec,
        name,
        clock_hz,
        channels,
        number,
        coder,
    }
}

/// Static numbers are those of RFC 3551 table 4.
static KNOWN: [Known; 9] = [
    known(Codec::Pcmu, "PCMU", 8_000, 1, Some(0), Some(&g711::PCMU)),
    known(Codec::Gsm, "GSM", 8_000, 1, Some(3), None),
    known(Codec::Pcma, "PCMA", 8_000, 1, Some(8), Some(&g711::PCMA)),
    known(Codec::G722, "G722", 8_000, 1, Some(9), Some(&g722::G722)),
    known(Codec::ComfortNoise, "CN", 8_000, 1, Some(13), None),
    known(Codec::G729, "G729", 8_000, 1, Some(18), None),
    known(Codec::Opus, "opus", 48_000, 2, None, Some(&opus::OPUS)),
    known(Codec::Ilbc, "iLBC", 8_000, 1, None, None),
    known(
        Codec::TelephoneEvent,
        "telephone-event",
        8_000,
        1,
        None,
        None,
    ),
];

impl Codec {
    /// From the encoding name and channels of an `a=rtpmap`.
    pub fn of(name: &str, channels: u8) -> Codec {
        KNOWN
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(name) && known.channels == channels)
            .map_or_else(
                || Codec::Other(Arc::from(name.to_ascii_lowercase()), channels),
                |known| known.codec.clone(),
            )
    }

    /// The name for an `a=rtpmap`.
    pub fn name(&self) -> &str {
        match self {
            Codec::Other(name, _) => name,
            codec => codec.known().map_or("", |known| known.name),
        }
    }

    /// Channels for an `a=rtpmap`.
    pub fn channels(&self) -> u8 {
        match self {
            Codec::Other(_, channels) => *channels,
            codec => codec.known().map_or(1, |known| known.channels),
        }
    }

    /// True for what is speech, not events or comfort noise.
    pub fn is_speech(&self) -> bool {
        !matches!(self, Codec::TelephoneEvent | Codec::ComfortNoise)
    }

    /// How we speak it ourselves; `None` for what is only passed through.
    pub fn coder(&self) -> Option<&'static Coder> {
        self.known()?.coder
    }

    fn known(&self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| known.codec == *self)
    }
}

/// A payload number and what it stands for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Payload {
    /// 0–127.
    pub number: u8,
    /// The encoding.
    pub codec: Codec,
    /// RTP clock in hertz.
    pub clock_hz: u32,
    /// Parameters of `a=fmtp`.
    pub fmtp: Option<Arc<str>>,
}

impl Payload {
    /// PCMU, number 0.
    pub fn pcmu() -> Payload {
        Payload::new(0, Codec::Pcmu)
    }

    /// PCMA, number 8.
    pub fn pcma() -> Payload {
        Payload::new(8, Codec::Pcma)
    }

    /// `telephone-event/8000` with events 0–15, which is what phones have keys for. 101 is the number that most use.
    pub fn telephone_event(number: u8) -> Payload {
        Payload {
            fmtp: Some(Arc::from("0-15")),
            ..Payload::new(number, Codec::TelephoneEvent)
        }
    }

    /// A payload with the usual clock of its codec, 8,000 Hz for codecs that we do not know.
    pub fn new(number: u8, codec: Codec) -> Payload {
        let clock_hz = codec.known().map_or(8_000, |known| known.clock_hz);
        Payload {
            number,
            codec,
            clock_hz,
            fmtp: None,
        }
    }

    /// From a name in the configuration (`pcma`, `opus`, …): static number where there is one, else `dynamic` (96–127).
    /// `None` when the name is not known.
    pub fn of_name(name: &str, dynamic: u8) -> Option<Payload> {
        let known = KNOWN
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(name))?;
        if known.codec == Codec::TelephoneEvent {
            return Some(Payload::telephone_event(dynamic));
        }
        Some(Payload {
            // we hear the copies of what is lost (RFC 7587 §6.1)
            fmtp: (known.codec == Codec::Opus).then(|| Arc::from("useinbandfec=1")),
            ..Payload::new(known.number.unwrap_or(dynamic), known.codec.clone())
        })
    }

    /// What a static number means without `a=rtpmap` (RFC 3551 table 4).
    pub fn of_static(number: u8) -> Option<Payload> {
        KNOWN
            .iter()
            .find(|known| known.number == Some(number))
            .map(|known| Payload::new(number, known.codec.clone()))
    }

    /// A parameter of `a=fmtp` by its name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.as_deref()?.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// True when both mean the same format, by name, clock and channels.
    pub fn same_format(&self, other: &Payload) -> bool {
        self.codec == other.codec && self.clock_hz == other.clock_hz
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_without_case_and_with_channels() {
        assert_eq!(Codec::of("pcma", 1), Codec::Pcma);
        assert_eq!(Codec::of("OPUS", 2), Codec::Opus);
        assert_eq!(Codec::of("L16", 2), Codec::Other("l16".into(), 2));
        assert_ne!(Codec::of("PCMA", 2), Codec::Pcma);
    }

    #[test]
    fn static_numbers_need_no_rtpmap() {
        assert_eq!(Payload::of_static(0), Some(Payload::pcmu()));
        assert_eq!(Payload::of_static(8), Some(Payload::pcma()));
        assert_eq!(Payload::of_static(96), None);
    }

    #[test]
    fn configuration_names_give_payloads() {
        assert_eq!(Payload::of_name("pcmu", 96), Some(Payload::pcmu()));
        assert_eq!(Payload::of_name("opus", 107).map(|p| p.number), Some(107));
        assert_eq!(Payload::of_name("speex9", 97), None);
    }

    #[test]
    fn parameters_are_found_by_name() {
        let payload = Payload {
            fmtp: Some("minptime=10; UseInbandFEC=1;".into()),
            ..Payload::new(111, Codec::Opus)
        };
        assert_eq!(payload.parameter("useinbandfec"), Some("1"));
        assert_eq!(payload.parameter("minptime"), Some("10"));
        assert_eq!(payload.parameter("ptime"), None);
        assert_eq!(Payload::pcma().parameter("x"), None);
    }
}
