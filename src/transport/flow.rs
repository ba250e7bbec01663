//! Flows: the path on which a message came or goes, and the names of its parts.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A SIP transport (RFC 3261 §18, RFC 7118).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams: unreliable, so the transaction layer retransmits.
    Udp,
    /// A byte stream.
    Tcp,
    /// TCP under TLS.
    Tls,
    /// WebSocket over TCP (RFC 7118): peers connect to us, we never to them.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    /// All of them, in the order in which an operator names them.
    pub const ALL: [Transport; 5] = [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ];

    /// The name as it stands in a Via header: `UDP`, `TCP`, `TLS`, `WS`, `WSS`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// The transport of a Via header or a `transport` parameter, in any case. `None` for one that we do not speak.
    pub fn parse(name: &[u8]) -> Option<Transport> {
        Transport::ALL
            .into_iter()
            .find(|transport| name.eq_ignore_ascii_case(transport.as_str().as_bytes()))
    }

    /// The value of the `transport` parameter in a SIP URI of ours; `None` for UDP, which needs none. A WebSocket is `ws` there
    /// whether it is encrypted or not (RFC 7118 §5.2).
    pub const fn uri_parameter(self) -> Option<&'static str> {
        match self {
            Transport::Udp => None,
            Transport::Tcp => Some("tcp"),
            Transport::Tls => Some("tls"),
            Transport::Ws | Transport::Wss => Some("ws"),
        }
    }

    /// True when the transport itself repairs loss, so that retransmission timers stay off (RFC 3261 §17). All of these have
    /// connections.
    pub const fn is_reliable(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => true,
        }
    }

    /// True when nobody on the way can read or change what is said: TLS is underneath.
    pub const fn is_secure(self) -> bool {
        match self {
            Transport::Udp | Transport::Tcp | Transport::Ws => false,
            Transport::Tls | Transport::Wss => true,
        }
    }

    /// True when messages come in WebSocket frames, and no connection to a peer can be opened (RFC 7118 §4).
    pub const fn is_web_socket(self) -> bool {
        match self {
            Transport::Udp | Transport::Tcp | Transport::Tls => false,
            Transport::Ws | Transport::Wss => true,
        }
    }

    /// The port when a URI or a Via names none (RFC 3261 §19.1.2; RFC 7118 §5.2 for WebSockets, whose peers are found by URL).
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Index of a `SipProfile` in the settings in force.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ProfileId(pub u16);

/// One connection of a stream transport, numbered by the shell and never used again in the life of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionId(pub u64);

/// One UDP path or one connection to a peer (RFC 5626 §2).
///
/// For a stream transport with `connection` empty, the shell uses or opens a connection to `remote` (RFC 3261 §18.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// The profile whose socket it is.
    pub profile: ProfileId,
    /// How.
    pub transport: Transport,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's address and port as we see them, behind its NAT if there is one.
    pub remote: SocketAddr,
    /// The connection, for a stream transport when it is known.
    pub connection: Option<ConnectionId>,
}

impl Flow {
    /// True when a failure of `other` is a failure of this flow: the same connection, or, where one of the two names no
    /// connection yet, the same transport to the same peer.
    pub fn shares_path_with(&self, other: &Flow) -> bool {
        match (self.connection, other.connection) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => {
                self.profile == other.profile
                    && self.transport == other.transport
                    && self.remote == other.remote
            }
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} > {}", self.transport, self.remote, self.local)?;
        match self.connection {
            Some(ConnectionId(number)) => write!(f, " #{number}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(remote: &str, connection: Option<u64>) -> Flow {
        Flow {
            profile: ProfileId(0),
            transport: Transport::Tcp,
            local: "127.0.0.1:5060".parse().expect("address"),
            remote: remote.parse().expect("address"),
            connection: connection.map(ConnectionId),
        }
    }

    #[test]
    fn connections_tell_flows_apart_and_unbound_flows_go_by_peer() {
        let bound = flow("127.0.0.2:4000", Some(1));
        assert!(bound.shares_path_with(&flow("127.0.0.2:4000", Some(1))));
        assert!(!bound.shares_path_with(&flow("127.0.0.2:4000", Some(2))));
        assert!(bound.shares_path_with(&flow("127.0.0.2:4000", None)));
        assert!(!bound.shares_path_with(&flow("127.0.0.3:4000", None)));
    }

    #[test]
    fn transport_names_are_read_in_any_case() {
        assert_eq!(Transport::parse(b"tcp"), Some(Transport::Tcp));
        assert_eq!(Transport::parse(b"Udp"), Some(Transport::Udp));
        assert_eq!(Transport::parse(b"SCTP"), None);
        for transport in Transport::ALL {
            let name = transport.as_str().to_ascii_lowercase();
            assert_eq!(Transport::parse(name.as_bytes()), Some(transport));
        }
    }

    #[test]
    fn only_what_lies_on_tls_is_secure_and_has_its_port() {
        assert!(Transport::Tls.is_secure() && Transport::Wss.is_secure());
        assert!(!Transport::Tcp.is_secure() && !Transport::Ws.is_secure());
        assert_eq!(Transport::Tls.default_port(), 5061);
        assert_eq!(Transport::Udp.uri_parameter(), None);
        let reliable = Transport::ALL.into_iter().filter(|t| t.is_reliable());
        assert_eq!(reliable.count(), Transport::ALL.len() - 1);
        assert_eq!(Transport::Wss.uri_parameter(), Some("ws"));
    }
}
