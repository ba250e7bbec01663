//! STUN on the SIP port: the keep-alive of outbound flows over UDP (RFC 5626 §4.4.2, §8; RFC 5389).
//!
//! Only Binding requests are answered, with the address that they came from. The answer is larger than the shortest request (32 bytes
//! to 20), so the guard has a say: a source is answered as far as it has paid or proved itself.
#![deny(clippy::indexing_slicing)]

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// Attributes from here on may be ignored by who does not know them (RFC 5389 §15).
const OPTIONAL_FROM: u16 = 0x8000;
/// Unknown attributes named in a refusal at most.
const UNKNOWN_MAX: usize = 8;

/// True for a datagram that is STUN and cannot be SIP: no method begins with a byte of two zero bits (RFC 5626 §8).
pub fn is_stun(datagram: &[u8]) -> bool {
    let Some(([first, ..], rest)) = datagram.split_first_chunk::<4>() else {
        return false;
    };
    first & 0xc0 == 0 && rest.starts_with(&COOKIE)
}

/// The answer to a Binding request from `source`: its address, or 420 with the attributes that we would have to understand. `None`
/// for anything else: indications and answers are not answered, nor is what is broken.
pub fn answer(datagram: &[u8], source: SocketAddr) -> Option<Bytes> {
    let (head, attributes) = datagram.split_first_chunk::<20>()?;
    let (kind, rest) = head.split_first_chunk::<2>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (cookie, transaction) = rest.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if *kind != BINDING_REQUEST || *cookie != COOKIE || length != attributes.len() {
        return None;
    }
    let unknown = required(attributes)?;
    let mut body = BytesMut::with_capacity(48);
    let kind = if unknown.is_empty() {
        put_address(&mut body, source, transaction);
        BINDING_SUCCESS
    } else {
        put_refusal(&mut body, &unknown);
        BINDING_ERROR
    };
    let mut out = BytesMut::with_capacity(20 + body.len());
    out.put_u16(kind);
    out.put_u16(u16::try_from(body.len()).ok()?);
    out.put_slice(&COOKIE);
    out.put_slice(transaction);
    out.put_slice(&body);
    Some(out.freeze())
}

/// The attributes that must be understood; we understand none. `None` when they are not whole.
fn required(mut attributes: &[u8]) -> Option<Vec<u16>> {
    let mut found = Vec::new();
    while !attributes.is_empty() {
        let (kind, rest) = attributes.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let padded = usize::from(u16::from_be_bytes(*length)).next_multiple_of(4);
        attributes = rest.get(padded..)?;
        let kind = u16::from_be_bytes(*kind);
        if kind < OPTIONAL_FROM && found.len() < UNKNOWN_MAX && !found.contains(&kind) {
            found.push(kind);
        }
    }
    Some(found)
}

fn put_address(body: &mut BytesMut, source: SocketAddr, transaction: &[u8]) {
    let mask = COOKIE.iter().chain(transaction);
    let ip = source.ip().to_canonical();
    let port = source.port() ^ 0x2112;
    let mut put = |family: u8, octets: &[u8]| {
        body.put_u16(XOR_MAPPED_ADDRESS);
        body.put_u16(4 + octets.len() as u16);
        body.put_u8(0);
        body.put_u8(family);
        body.put_u16(port);
        body.extend(octets.iter().zip(mask.clone()).map(|(a, b)| a ^ b));
    };
    match ip {
        IpAddr::V4(ip) => put(1, &ip.octets()),
        IpAddr::V6(ip) => put(2, &ip.octets()),
    }
}

fn put_refusal(body: &mut BytesMut, unknown: &[u16]) {
    body.put_u16(ERROR_CODE);
    body.put_u16(4);
    body.put_slice(&[0, 0, 4, 20]);
    body.put_u16(UNKNOWN_ATTRIBUTES);
    body.put_u16(2 * unknown.len() as u16);
    for kind in unknown {
        body.put_u16(*kind);
    }
    // padding to four bytes (RFC 5389 §15)
    if unknown.len() % 2 == 1 {
        body.put_u16(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: [u8; 12] = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];

    fn request(kind: u16, attributes: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend((attributes.len() as u16).to_be_bytes());
        bytes.extend(COOKIE);
        bytes.extend(TRANSACTION);
        bytes.extend(attributes);
        bytes
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[test]
    fn the_address_comes_back_as_the_vectors_of_rfc_5769_have_it() {
        let four = answer(&request(1, &[]), at("192.0.2.1:32853")).expect("answered");
        assert_eq!(four.len(), 32);
        assert_eq!(four[..2], [0x01, 0x01]);
        assert_eq!(four[8..20], TRANSACTION);
        assert_eq!(
            four[20..],
            [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]
        );
        let six = answer(
            &request(1, &[]),
            at("[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        )
        .expect("answered");
        assert_eq!(
            six[20..],
            [
                0, 0x20, 0, 0x14, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79,
                0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9
            ]
        );
    }

    #[test]
    fn what_must_be_understood_is_refused_and_what_may_be_ignored_is() {
        let software = [0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        let fine = answer(&request(1, &software), at("192.0.2.1:1")).expect("answered");
        assert_eq!(fine[..2], [0x01, 0x01]);
        let username = [0, 6, 0, 1, b'a', 0, 0, 0];
        let refused = answer(&request(1, &username), at("192.0.2.1:1")).expect("answered");
        assert_eq!(refused[..2], [0x01, 0x11]);
        assert_eq!(
            refused[20..],
            [0, 9, 0, 4, 0, 0, 4, 20, 0, 0x0a, 0, 2, 0, 6, 0, 0]
        );
    }

    #[test]
    fn nothing_else_is_answered() {
        let source = at("192.0.2.1:1");
        for datagram in [
            request(0x0011, &[]), // an indication
            request(0x0101, &[]), // an answer
            request(0x0003, &[]), // Allocate
            request(1, &[0, 6, 0, 9, 1, 2, 3, 4]),
            request(1, &[])[..19].to_vec(),
            [request(1, &[]), vec![0]].concat(),
        ] {
            assert_eq!(answer(&datagram, source), None, "{datagram:?}");
        }
        assert!(is_stun(&request(0x0011, &[])));
        assert!(!is_stun(b"OPTIONS sip:x SIP/2.0"));
        assert!(!is_stun(&[0, 1, 0]));
    }
}
