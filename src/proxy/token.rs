//! Flow tokens (RFC 5626 §5.2): both flows of a dialog in the user part of our Record-Route, sealed so that nobody can make one.
#![deny(clippy::indexing_slicing)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::transport::{ConnectionId, Flow, ProfileId, Transport};

/// Bytes of the seal: 80 bits, as RFC 5626 §5.2's example has.
const SEAL_BYTES: usize = 10;
/// Longest token text looked at.
const TEXT_BYTES_MAX: usize = 256;

/// What seals the tokens of this process.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// From random bytes.
    pub fn new(secret: [u8; 32]) -> TokenKey {
        TokenKey(secret)
    }

    /// Twice hashed with the key in front, so that nothing can be appended (as HMAC does).
    fn seal(&self, body: &[u8]) -> [u8; SEAL_BYTES] {
        let inner = Sha256::new()
            .chain_update(self.0)
            .chain_update(body)
            .finalize();
        let outer = Sha256::new()
            .chain_update(b"flow")
            .chain_update(self.0)
            .chain_update(inner)
            .finalize();
        let mut seal = [0; SEAL_BYTES];
        for (byte, from) in seal.iter_mut().zip(outer) {
            *byte = from;
        }
        seal
    }
}

/// The two ends of a proxied dialog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// Where the request that began it came from.
    pub caller: Flow,
    /// Where it was sent.
    pub callee: Flow,
}

impl Token {
    /// The text for a user part.
    pub fn text(&self, key: &TokenKey) -> String {
        let mut body = Vec::with_capacity(80);
        for flow in [&self.caller, &self.callee] {
            put(&mut body, flow);
        }
        let seal = key.seal(&body);
        body.extend_from_slice(&seal);
        URL_SAFE_NO_PAD.encode(body)
    }

    /// Reads a text of ours; `None` for anybody else's.
    pub fn read(text: &[u8], key: &TokenKey) -> Option<Token> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, seal) = bytes.split_at_checked(bytes.len().checked_sub(SEAL_BYTES)?)?;
        if !bool::from(key.seal(body)[..].ct_eq(seal)) {
            return None;
        }
        let mut reader = Reader(body);
        let caller = reader.flow()?;
        let callee = reader.flow()?;
        reader.0.is_empty().then_some(Token { caller, callee })
    }

    /// The other end from where `from` is; `None` when it is at neither.
    pub fn other_end(&self, from: &Flow) -> Option<Flow> {
        let same = |flow: &Flow| {
            flow.profile == from.profile
                && match (flow.connection, from.connection) {
                    (Some(own), Some(theirs)) => {
                        own == theirs || flow.remote.ip() == from.remote.ip()
                    }
                    (None, None) => flow.remote == from.remote,
                    (Some(_), None) | (None, Some(_)) => flow.remote.ip() == from.remote.ip(),
                }
        };
        // both ends behind one address over UDP are told apart by their ports
        if same(&self.caller) {
            Some(self.callee)
        } else if same(&self.callee) {
            Some(self.caller)
        } else {
            None
        }
    }
}

const TRANSPORTS: [Transport; 5] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Ws,
    Transport::Wss,
];

fn put(out: &mut Vec<u8>, flow: &Flow) {
    out.extend_from_slice(&flow.profile.0.to_be_bytes());
    let place = TRANSPORTS
        .iter()
        .position(|transport| *transport == flow.transport)
        .unwrap_or_default();
    out.push(place as u8);
    for address in [flow.local, flow.remote] {
        match address.ip() {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(6);
                out.extend_from_slice(&ip.octets());
            }
        }
        out.extend_from_slice(&address.port().to_be_bytes());
    }
    match flow.connection {
        Some(ConnectionId(number)) => {
            out.push(1);
            out.extend_from_slice(&number.to_be_bytes());
        }
        None => out.push(0),
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn address(&mut self) -> Option<SocketAddr> {
        let [family] = self.take()?;
        let ip = match family {
            4 => IpAddr::V4(Ipv4Addr::from(self.take::<4>()?)),
            6 => IpAddr::V6(Ipv6Addr::from(self.take::<16>()?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(self.take()?)))
    }

    fn flow(&mut self) -> Option<Flow> {
        let profile = ProfileId(u16::from_be_bytes(self.take()?));
        let [place] = self.take()?;
        let transport = *TRANSPORTS.get(usize::from(place))?;
        let local = self.address()?;
        let remote = self.address()?;
        let connection = match self.take()? {
            [1] => Some(ConnectionId(u64::from_be_bytes(self.take()?))),
            _ => None,
        };
        Some(Flow {
            profile,
            transport,
            local,
            remote,
            connection,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(remote: &str, connection: Option<u64>) -> Flow {
        Flow {
            profile: ProfileId(3),
            transport: if connection.is_some() {
                Transport::Tls
            } else {
                Transport::Udp
            },
            local: "[2001:db8::1]:5061".parse().expect("address"),
            remote: remote.parse().expect("address"),
            connection: connection.map(ConnectionId),
        }
    }

    #[test]
    fn token_brings_both_flows_back_and_nobody_else_can_make_one() {
        let key = TokenKey::new([7; 32]);
        let token = Token {
            caller: flow("192.0.2.1:5060", None),
            callee: flow("[2001:db8::9]:40000", Some(u64::MAX)),
        };
        let text = token.text(&key);
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        assert_eq!(Token::read(text.as_bytes(), &key), Some(token));
        assert_eq!(Token::read(text.as_bytes(), &TokenKey::new([8; 32])), None);
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_ne!(Token::read(&forged, &key), Some(token));
            assert_eq!(Token::read(&text.as_bytes()[..at], &key), None);
        }
        assert_eq!(Token::read(&[b'A'; 5000], &key), None);
    }

    #[test]
    fn each_end_leads_to_the_other_and_a_stranger_to_none() {
        let token = Token {
            caller: flow("192.0.2.1:5060", None),
            callee: flow("192.0.2.1:5062", None),
        };
        assert_eq!(token.other_end(&token.caller), Some(token.callee));
        assert_eq!(token.other_end(&token.callee), Some(token.caller));
        assert_eq!(token.other_end(&flow("192.0.2.2:5060", None)), None);
        // a phone that came back on another connection is still itself
        let token = Token {
            caller: flow("192.0.2.1:40000", Some(1)),
            callee: flow("192.0.2.7:5060", None),
        };
        assert_eq!(
            token.other_end(&flow("192.0.2.1:40009", Some(2))),
            Some(token.callee)
        );
    }
}
