//! Our side of a description, and what was negotiated.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::codec::Codec;
use super::codec::Payload;
use super::srtp::SrtpPlan;
use crate::sdp::{Crypto, Direction};

/// What a profile wants of the protection of its audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SrtpPolicy {
    /// Never: offers of SRTP alone are refused with 488.
    #[default]
    Off,
    /// Where the peer can (RFC 8643): offered beside plain RTP, taken whenever it is offered.
    Optional,
    /// Always: plain RTP is refused with 488, and an answer without a usable key is no answer.
    Required,
}

/// Our keys for a stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocalSrtp {
    /// True when nothing else will do.
    pub required: bool,
    /// The profile that we offer is RTP/SAVP, because it is required or because the peer spoke it before.
    pub savp: bool,
    /// One line for each suite, best first.
    pub lines: Vec<Crypto>,
}

/// What we say of ourselves in an offer or answer: one audio stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocalMedia {
    /// Address that the peer sends to.
    pub address: IpAddr,
    /// RTP port, even; RTCP is one above.
    pub port: u16,
    /// Session id of the `o=` line, constant for a dialog.
    pub session_id: u64,
    /// Version of the `o=` line; the caller adds one for each changed description.
    pub version: u64,
    /// Codecs in order of preference, with `telephone-event` where wanted.
    pub payloads: Vec<Payload>,
    /// What we want; an answer may get less.
    pub direction: Direction,
    /// Our keys, where SRTP may be spoken.
    pub srtp: Option<LocalSrtp>,
}

/// What one completed offer/answer means for a stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MediaPlan {
    /// Where to send RTP. `None`: nowhere (`c=0.0.0.0`).
    pub remote_rtp: Option<SocketAddr>,
    /// Where to send RTCP.
    pub remote_rtcp: Option<SocketAddr>,
    /// As agreed, with the numbers to send, the peer's favourite first. `telephone-event` is among them.
    pub payloads: Vec<Payload>,
    /// The same codecs with the numbers that the peer sends; equal to `payloads` unless the peer chose numbers of its own
    /// (RFC 3264 §5.1).
    pub receive: Vec<Payload>,
    /// The number of `telephone-event` to send, if agreed.
    pub telephone_event: Option<u8>,
    /// Milliseconds of audio per packet that the peer asks for, 10–60; 20 when it does not say.
    pub ptime_ms: u8,
    /// As seen from us.
    pub direction: Direction,
    /// The peer put us on hold: `sendonly`, `inactive` or `c=0.0.0.0` from it.
    pub remote_hold: bool,
    /// How packets are protected; `None`: not at all.
    pub srtp: Option<SrtpPlan>,
}

impl MediaPlan {
    /// The payload to make audio with from a source of `hz`: of those that we speak the cheapest that loses nothing, else the best.
    pub fn spoken_for(&self, hz: u32) -> Option<&Payload> {
        let spoken = || {
            self.payloads
                .iter()
                .filter_map(|payload| Some((payload.codec.coder()?.best_hz(), payload)))
        };
        spoken()
            .filter(|(best, _)| *best >= hz)
            .min_by_key(|(best, _)| *best)
            .or_else(|| spoken().rev().max_by_key(|(best, _)| *best))
            .map(|(_, payload)| payload)
    }

    /// The rate of the speech that the peer probably sends: that of the first codec that we understand.
    pub fn heard_hz(&self) -> Option<u32> {
        self.receive
            .iter()
            .find_map(|payload| payload.codec.coder())
            .map(|coder| coder.best_hz())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_made_with_the_cheapest_codec_that_loses_nothing() {
        let opus = Payload::new(111, Codec::Opus);
        let g722 = Payload::new(9, Codec::G722);
        let g729 = Payload::new(18, Codec::G729);
        let plan = |payloads: &[&Payload]| MediaPlan {
            remote_rtp: None,
            remote_rtcp: None,
            payloads: payloads.iter().map(|payload| (*payload).clone()).collect(),
            receive: Vec::new(),
            telephone_event: None,
            ptime_ms: 20,
            direction: Direction::SendRecv,
            remote_hold: false,
            srtp: None,
        };
        let (pcma, pcmu) = (Payload::pcma(), Payload::pcmu());
        let all = plan(&[&g729, &opus, &g722, &pcmu, &pcma]);
        assert_eq!(all.spoken_for(8_000), Some(&pcmu));
        assert_eq!(all.spoken_for(16_000), Some(&g722));
        assert_eq!(all.spoken_for(48_000), Some(&opus));
        assert_eq!(plan(&[&pcma, &pcmu]).spoken_for(48_000), Some(&pcma));
        assert_eq!(plan(&[&opus]).spoken_for(8_000), Some(&opus));
        assert_eq!(plan(&[&g729]).spoken_for(8_000), None);
    }
}
