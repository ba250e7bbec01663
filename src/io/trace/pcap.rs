//! The messages of one call as a capture file (pcap), for those who look with other tools.
//!
//! Addresses and ports are true; the IP and UDP headers around them are made up, also for messages that came on a stream. Secrets
//! are masked as in the ladder. Format: the classic one with microseconds, link type RAW (101), readable by tcpdump and others.

use std::net::{IpAddr, SocketAddr};

use super::ladder::each_message;
use super::mask::masked;
use super::{Heading, Trace};
use crate::event::CallRecord;

/// Raw IP, version from the first four bits.
const LINKTYPE_RAW: u32 = 101;
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Longest packet that the file says it may hold: an IPv6 header and the largest payload.
const SNAP_BYTES: u32 = 65_535 + 48;
/// What fits into one UDP datagram.
const PAYLOAD_BYTES_MAX: usize = 65_535 - 28;
const UDP: u8 = 17;

/// The capture file of the call with this record; only its header when nothing is kept.
pub fn file(trace: &Trace, record: &CallRecord) -> Vec<u8> {
    let mut out = Vec::new();
    for field in [
        MAGIC_MICROSECONDS,
        4 << 16 | 2,
        0,
        0,
        SNAP_BYTES,
        LINKTYPE_RAW,
    ] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    each_message(trace, record, |found| {
        let (from, to) = match found.way {
            Heading::In => (found.flow.remote, found.flow.local),
            Heading::Out => (found.flow.local, found.flow.remote),
        };
        let mut payload = masked(found.bytes);
        payload.truncate(PAYLOAD_BYTES_MAX);
        let packet = packet(from, to, &payload);
        let micros = found.at.as_micros();
        let seconds = u32::try_from(micros.div_euclid(1_000_000)).unwrap_or(u32::MAX);
        let rest = u32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0);
        let length = packet.len() as u32;
        for field in [seconds, rest, length, length] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&packet);
    });
    out
}

/// An IP packet with a UDP datagram.
fn packet(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let udp_length = (payload.len() + 8) as u16;
    let mut udp = Vec::with_capacity(payload.len() + 8);
    udp.extend_from_slice(&from.port().to_be_bytes());
    udp.extend_from_slice(&to.port().to_be_bytes());
    udp.extend_from_slice(&udp_length.to_be_bytes());
    udp.extend_from_slice(&[0, 0]);
    udp.extend_from_slice(payload);
    let mut out = Vec::with_capacity(udp.len() + 40);
    let (from, to) = (from.ip().to_canonical(), to.ip().to_canonical());
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) {
        out.extend_from_slice(&[0x45, 0]);
        out.extend_from_slice(&(udp_length + 20).to_be_bytes());
        out.extend_from_slice(&[0, 0, 0x40, 0, 64, UDP, 0, 0]);
        out.extend_from_slice(&from.octets());
        out.extend_from_slice(&to.octets());
        let sum = checksum(&[&out]);
        if let Some(place) = out.get_mut(10..12) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
    } else {
        let six = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let (from, to) = (six(from).octets(), six(to).octets());
        let pseudo = [
            0,
            0,
            (udp_length >> 8) as u8,
            udp_length as u8,
            0,
            0,
            0,
            UDP,
        ];
        let sum = match checksum(&[&from, &to, &pseudo, &udp]) {
            // zero would mean none, which IPv6 forbids (RFC 8200 §8.1)
            0 => u16::MAX,
            sum => sum,
        };
        if let Some(place) = udp.get_mut(6..8) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
        out.extend_from_slice(&[0x60, 0, 0, 0]);
        out.extend_from_slice(&udp_length.to_be_bytes());
        out.extend_from_slice(&[UDP, 64]);
        out.extend_from_slice(&from);
        out.extend_from_slice(&to);
    }
    out.extend_from_slice(&udp);
    out
}

/// RFC 1071. All parts but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let high = pair.first().copied().unwrap_or(0);
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([high, low]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_ipv4_with_a_valid_checksum() {
        let packet = packet(
            "192.0.2.1:5060".parse().expect("address"),
            "192.0.2.2:5080".parse().expect("address"),
            b"hello",
        );
        assert_eq!(packet.len(), 33);
        assert_eq!(&packet[..4], [0x45, 0, 0, 33]);
        assert_eq!(&packet[12..20], [192, 0, 2, 1, 192, 0, 2, 2]);
        assert_eq!(&packet[20..28], [0x13, 0xc4, 0x13, 0xd8, 0, 13, 0, 0]);
        // a header with its own checksum in it sums up to nothing
        assert_eq!(checksum(&[&packet[..20]]), 0);
    }

    #[test]
    fn headers_are_those_of_ipv6_with_a_valid_checksum() {
        let packet = packet(
            "[2001:db8::1]:5060".parse().expect("address"),
            "[2001:db8::2]:5060".parse().expect("address"),
            b"hello",
        );
        assert_eq!(packet.len(), 53);
        assert_eq!(&packet[..8], [0x60, 0, 0, 0, 0, 13, UDP, 64]);
        let pseudo = [0, 0, 0, 13, 0, 0, 0, UDP];
        assert_eq!(checksum(&[&packet[8..40], &pseudo, &packet[40..]]), 0);
    }
}
