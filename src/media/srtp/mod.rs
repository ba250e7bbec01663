//! SRTP and SRTCP of one stream (RFC 3711, RFC 7714): packets are opened and sealed in place; nothing changes before a tag proved right.

mod derive;
mod index;
mod transform;

use serde::{Deserialize, Serialize};

use self::index::{Received, Sent};
use self::transform::Transform;
use crate::rtp::HEADER_BYTES;
use crate::sdp::{CryptoSuite, MasterKey};

/// Bytes by which a sealed packet may grow: a GCM tag and the index of SRTCP.
pub const TRAILER_BYTES_MAX: usize = 16 + 4;

/// Synchronisation sources kept a direction. A peer has one or two, a relay shows a new one with each party that it connects. Those
/// beyond are not served: forgetting one whose numbers come again would use key stream twice.
const SOURCES_MAX: usize = 64;

/// Shortest SRTCP packet: header and sender (8), index (4), the shortest tag.
const RTCP_PREFIX_BYTES: usize = 8;

/// What both sides agreed to protect a stream with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SrtpPlan {
    /// Cipher and authentication.
    pub suite: CryptoSuite,
    /// What we encrypt with.
    pub send: MasterKey,
    /// What the peer encrypts with.
    pub receive: MasterKey,
    /// The peer speaks of it as RTP/SAVP; else as keys beside RTP/AVP (RFC 8643).
    pub savp: bool,
}

/// The two directions of a protected stream.
#[derive(Debug)]
pub struct Srtp {
    suite: CryptoSuite,
    inbound: Inbound,
    outbound: Outbound,
}

#[derive(Debug)]
struct Inbound {
    key: MasterKey,
    rtp: Transform,
    rtcp: Transform,
    sources: Vec<(u32, Received)>,
    rtcp_sources: Vec<(u32, Received)>,
}

#[derive(Debug)]
struct Outbound {
    key: MasterKey,
    rtp: Transform,
    rtcp: Transform,
    sources: Vec<(u32, Sent)>,
    rtcp_index: u32,
}

impl Srtp {
    /// The state for `plan`. What `before` knows of a direction whose key did not change is kept: a re-INVITE must not begin its
    /// numbers anew (RFC 3711 §3.3.1, §9.1).
    pub fn new(plan: &SrtpPlan, before: Option<Srtp>) -> Srtp {
        let (mut inbound, mut outbound) = (None, None);
        if let Some(before) = before.filter(|before| before.suite == plan.suite) {
            inbound = Some(before.inbound).filter(|side| side.key == plan.receive);
            outbound = Some(before.outbound).filter(|side| side.key == plan.send);
        }
        let suite = plan.suite;
        Srtp {
            suite,
            inbound: inbound.unwrap_or_else(|| {
                let (rtp, rtcp) = derive::transforms(suite, &plan.receive);
                Inbound {
                    key: plan.receive.clone(),
                    rtp,
                    rtcp,
                    sources: Vec::new(),
                    rtcp_sources: Vec::new(),
                }
            }),
            outbound: outbound.unwrap_or_else(|| {
                let (rtp, rtcp) = derive::transforms(suite, &plan.send);
                Outbound {
                    key: plan.send.clone(),
                    rtp,
                    rtcp,
                    sources: Vec::new(),
                    rtcp_index: 0,
                }
            }),
        }
    }

    /// Opens an SRTP packet in place. The length of the RTP packet, or `None` when it is forged, repeated, too old or no RTP.
    pub fn open(&mut self, packet: &mut [u8]) -> Option<usize> {
        let head = head(packet)?;
        let side = &mut self.inbound;
        let place = side.sources.iter().position(|(ssrc, _)| *ssrc == head.ssrc);
        if place.is_none() && side.sources.len() >= SOURCES_MAX {
            return None;
        }
        let known = place.and_then(|place| side.sources.get(place));
        let index = known.map_or(u64::from(head.sequence), |(_, received)| {
            received.guess(head.sequence)
        });
        if known.is_some_and(|(_, received)| !received.is_new(index)) {
            return None;
        }
        let length = side.rtp.open_rtp(packet, head.payload, head.ssrc, index)?;
        match place.and_then(|place| side.sources.get_mut(place)) {
            Some((_, received)) => received.note(index),
            None => side.sources.push((head.ssrc, Received::first(index))),
        }
        Some(length)
    }

    /// Seals the RTP packet that fills the first `length` bytes of `buffer`, which has room for the trailer. The new length.
    pub fn seal(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let head = head(buffer.get(..length)?)?;
        let side = &mut self.outbound;
        let place = side.sources.iter().position(|(ssrc, _)| *ssrc == head.ssrc);
        let place = match place {
            Some(place) => place,
            None if side.sources.len() < SOURCES_MAX => {
                side.sources.push((head.ssrc, Sent::first(head.sequence)));
                side.sources.len() - 1
            }
            None => return None,
        };
        let index = side.sources.get_mut(place)?.1.take(head.sequence)?;
        side.rtp
            .seal_rtp(buffer, head.payload, length, head.ssrc, index)
    }

    /// Opens an SRTCP packet in place; the length of the RTCP packet.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let ssrc = rtcp_ssrc(packet)?;
        let side = &mut self.inbound;
        let index = side.rtcp.rtcp_index(packet)?;
        let place = side.rtcp_sources.iter().position(|(own, _)| *own == ssrc);
        if place.is_none() && side.rtcp_sources.len() >= SOURCES_MAX {
            return None;
        }
        let known = place.and_then(|place| side.rtcp_sources.get(place));
        if known.is_some_and(|(_, received)| !received.is_new(u64::from(index))) {
            return None;
        }
        let length = side
            .rtcp
            .open_rtcp(packet, RTCP_PREFIX_BYTES, ssrc, index)?;
        match place.and_then(|place| side.rtcp_sources.get_mut(place)) {
            Some((_, received)) => received.note(u64::from(index)),
            None => side
                .rtcp_sources
                .push((ssrc, Received::first(u64::from(index)))),
        }
        Some(length)
    }

    /// Seals the RTCP packet that fills the first `length` bytes of `buffer`; the new length. The index is one for all sources, which
    /// keeps every key stream apart.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let ssrc = rtcp_ssrc(buffer.get(..length)?)?;
        let side = &mut self.outbound;
        let index = side.rtcp_index;
        if index >= 1 << 31 {
            return None;
        }
        let sealed = side
            .rtcp
            .seal_rtcp(buffer, RTCP_PREFIX_BYTES, length, ssrc, index)?;
        side.rtcp_index += 1;
        Some(sealed)
    }
}

struct Head {
    sequence: u16,
    ssrc: u32,
    /// Where the part begins that is encrypted: behind contributing sources and extension (RFC 3711 §3.1).
    payload: usize,
}

fn head(packet: &[u8]) -> Option<Head> {
    let fixed = packet.first_chunk::<HEADER_BYTES>()?;
    let [first, second, s0, s1, _, _, _, _, r0, r1, r2, r3] = *fixed;
    if first >> 6 != 2 || (200..=207).contains(&second) {
        return None;
    }
    let mut payload = HEADER_BYTES + usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let words = packet.get(payload + 2..payload + 4)?;
        payload += 4 + usize::from(u16::from_be_bytes(words.try_into().ok()?)) * 4;
    }
    (payload <= packet.len()).then_some(Head {
        sequence: u16::from_be_bytes([s0, s1]),
        ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
        payload,
    })
}

fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let [first, _, _, _, r0, r1, r2, r3] = *packet.first_chunk::<RTCP_PREFIX_BYTES>()?;
    (first >> 6 == 2).then_some(u32::from_be_bytes([r0, r1, r2, r3]))
}

#[cfg(test)]
mod tests;
