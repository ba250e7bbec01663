//! PROXY protocol, version 2: a load balancer says whose connection it passes on.
//!
//! The header is binary: a signature of twelve bytes, version and command, family, length, then addresses and extensions that we
//! skip. Nothing behind the header is touched: what follows is the peer's own first byte.
#![deny(clippy::indexing_slicing)]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes behind the fixed part at most; addresses take 36, the rest are extensions (a TLS one may hold a certificate's name).
const REST_MAX: usize = 2048;

/// Whom the load balancer brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Introduced {
    /// Itself: a health check.
    Itself,
    /// The peer at the first address, which had asked for the second.
    Peer(SocketAddr, SocketAddr),
}

/// Reads a header from the front of `stream`, and not a byte more.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Introduced> {
    let mut fixed = [0; 16];
    stream.read_exact(&mut fixed).await?;
    let (command, family, length) = begin(&fixed).ok_or_else(|| wrong("no header of version 2"))?;
    if length > REST_MAX {
        return Err(wrong("a header that is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    match command {
        // A health check may leave the family open.
        0 => Ok(Introduced::Itself),
        1 => addresses(family, &rest).ok_or_else(|| wrong("no TCP over IPv4 or IPv6")),
        _ => Err(wrong("an unknown command")),
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Command, family and length of the rest.
fn begin(fixed: &[u8; 16]) -> Option<(u8, u8, usize)> {
    let [command, family, high, low] = *fixed.strip_prefix(SIGNATURE)?.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    (command >> 4 == 2).then_some((command & 0x0f, family, length))
}

fn addresses(family: u8, rest: &[u8]) -> Option<Introduced> {
    let (source, rest, target) = match family {
        0x11 => {
            let (source, rest) = rest.split_first_chunk::<4>()?;
            let (target, rest) = rest.split_first_chunk::<4>()?;
            let (source, target) = (Ipv4Addr::from(*source), Ipv4Addr::from(*target));
            (source.into(), rest, target.into())
        }
        0x21 => {
            let (source, rest) = rest.split_first_chunk::<16>()?;
            let (target, rest) = rest.split_first_chunk::<16>()?;
            let (source, target) = (Ipv6Addr::from(*source), Ipv6Addr::from(*target));
            (source.to_canonical(), rest, target.to_canonical())
        }
        _ => return None,
    };
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let (target_port, _) = rest.split_first_chunk::<2>()?;
    Some(Introduced::Peer(
        SocketAddr::new(source, u16::from_be_bytes(*source_port)),
        SocketAddr::new(target, u16::from_be_bytes(*target_port)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn take(bytes: &[u8]) -> (io::Result<Introduced>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("runtime");
        let mut stream = bytes;
        let found = runtime.block_on(read(&mut stream));
        (found, stream.len())
    }

    #[test]
    fn addresses_of_both_families_are_read_and_what_follows_is_left() {
        let four = [192, 0, 2, 1, 203, 0, 113, 9, 0x9c, 0x40, 0x13, 0xc4];
        let mut bytes = header(0x21, 0x11, &four);
        bytes.extend(b"OPTIONS");
        let (found, left) = take(&bytes);
        let expected = Introduced::Peer(
            "192.0.2.1:40000".parse().expect("address"),
            "203.0.113.9:5060".parse().expect("address"),
        );
        assert_eq!(found.expect("reads"), expected);
        assert_eq!(left, b"OPTIONS".len());
        let mut six = Vec::new();
        six.extend(Ipv6Addr::LOCALHOST.octets());
        six.extend(Ipv6Addr::LOCALHOST.octets());
        six.extend([0, 1, 0, 2, 4, 0, 1, 0]); // an extension behind it
        let expected = Introduced::Peer(
            "[::1]:1".parse().expect("address"),
            "[::1]:2".parse().expect("address"),
        );
        assert_eq!(take(&header(0x21, 0x21, &six)).0.expect("reads"), expected);
    }

    #[test]
    fn a_health_check_brings_nobody() {
        let found = take(&header(0x20, 0, &[])).0.expect("reads");
        assert_eq!(found, Introduced::Itself);
    }

    #[test]
    fn everything_else_is_refused() {
        let text = b"PROXY TCP4 192.0.2.1 203.0.113.9 40000 5060\r\n";
        let long = header(0x21, 0x11, &[0; REST_MAX + 1]);
        for bytes in [
            text.to_vec(),
            header(0x11, 0x11, &[0; 12]),  // version 1 in binary
            header(0x22, 0x11, &[0; 12]),  // no such command
            header(0x21, 0x12, &[0; 12]),  // UDP
            header(0x21, 0x31, &[0; 216]), // a local socket
            header(0x21, 0x11, &[0; 11]),  // cut short
            header(0x21, 0x21, &[0; 12]),
            long,
        ] {
            assert!(take(&bytes).0.is_err(), "{bytes:?}");
        }
    }
}
