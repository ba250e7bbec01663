//! Targets: where a URI leads, as far as it says so itself; names are for the shell to resolve (RFC 3263).

use std::net::{IpAddr, SocketAddr};

use crate::sip::{Scheme, Uri};

use super::Transport;

/// The host of a target.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TargetHost {
    /// An address literal: nothing to resolve.
    Address(IpAddr),
    /// A name in lower case, for the shell to resolve.
    Name(String),
}

/// Where a URI leads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target {
    /// Address or name. `maddr` is not followed (it is deprecated, and a peer could name anyone).
    pub host: TargetHost,
    /// The port, if the URI names one.
    pub port: Option<u16>,
    /// The transport, if the URI names one.
    pub transport: Option<Transport>,
}

/// Why a URI leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoTarget {
    /// The scheme is neither `sip` nor `sips`; `tel` numbers need the dialplan. Answer 416.
    #[error("a URI of this scheme leads nowhere by itself")]
    Scheme,
    /// A transport on which we open no connection: one that we do not speak, a WebSocket (its peers come to us, RFC 7118 §4), or
    /// one without TLS for `sips`. Treat it as 503.
    #[error("the URI asks for a transport that we do not speak")]
    Transport,
    /// A host that is neither an address nor a name.
    #[error("the URI's host is neither an address nor a name")]
    Host,
}

/// The target of a URI (RFC 3263 §4 without NAPTR and SRV). `sips` means TLS over TCP (RFC 3261 §26.2.2).
pub fn of(uri: &Uri<'_>) -> Result<Target, NoTarget> {
    let named = match uri.transport() {
        Some(name) => Some(Transport::parse(name).ok_or(NoTarget::Transport)?),
        None => None,
    };
    let transport = match (uri.scheme, named) {
        (Scheme::Tel | Scheme::Other, _) => return Err(NoTarget::Scheme),
        (_, Some(Transport::Ws | Transport::Wss)) | (Scheme::Sips, Some(Transport::Udp)) => {
            return Err(NoTarget::Transport);
        }
        (Scheme::Sips, None | Some(Transport::Tcp | Transport::Tls)) => Some(Transport::Tls),
        (Scheme::Sip, named) => named,
    };
    let host = match uri.host_ip() {
        Some(address) => TargetHost::Address(address),
        None => TargetHost::Name(name_of(uri.host).ok_or(NoTarget::Host)?),
    };
    Ok(Target {
        host,
        port: uri.port,
        transport,
    })
}

/// A host name of letters, digits, dots, hyphens and underscores, at most 253 characters, in lower case.
fn name_of(host: &[u8]) -> Option<String> {
    let fits = !host.is_empty()
        && host.len() <= 253
        && host
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'));
    fits.then(|| String::from_utf8_lossy(host).to_ascii_lowercase())
}

impl Target {
    /// The transport to use: the one named, else UDP (RFC 3263 §4.1).
    pub fn transport_or_default(&self) -> Transport {
        self.transport.unwrap_or(Transport::Udp)
    }

    /// The socket address, when the host is a literal. For a name it is known once the shell has resolved it.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match &self.host {
            TargetHost::Address(address) => Some(self.at(*address)),
            TargetHost::Name(_) => None,
        }
    }

    /// The socket address once the host is known to be at `address`.
    pub fn at(&self, address: IpAddr) -> SocketAddr {
        let port = self
            .port
            .unwrap_or(self.transport_or_default().default_port());
        SocketAddr::new(address, port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Result<Target, NoTarget> {
        of(&Uri::parse(uri.as_bytes()).expect("a URI"))
    }

    #[test]
    fn literals_lead_straight_and_names_are_left_to_the_shell() {
        let literal = target("sip:a@127.0.0.5:5070;transport=tcp").expect("leads somewhere");
        assert_eq!(literal.transport_or_default(), Transport::Tcp);
        assert_eq!(
            literal.socket_address(),
            Some("127.0.0.5:5070".parse().expect("address"))
        );
        let six = target("sip:a@[2001:db8::1]").expect("leads somewhere");
        assert_eq!(
            six.socket_address(),
            Some("[2001:db8::1]:5060".parse().expect("address"))
        );
        let name = target("sip:a@Trunk.Example").expect("leads somewhere");
        assert_eq!(name.host, TargetHost::Name("trunk.example".to_string()));
        assert_eq!(name.socket_address(), None);
        assert_eq!(
            name.at("127.0.0.7".parse().expect("address")).to_string(),
            "127.0.0.7:5060"
        );
    }

    #[test]
    fn foreign_schemes_and_transports_lead_nowhere() {
        assert_eq!(target("tel:+31201234567"), Err(NoTarget::Scheme));
        assert_eq!(
            target("sip:a@b.example;transport=sctp"),
            Err(NoTarget::Transport)
        );
        for uri in [
            "sip:a@b.invalid;transport=ws",
            "sips:a@b.invalid;transport=ws",
            "sips:a@b.example;transport=udp",
        ] {
            assert_eq!(target(uri), Err(NoTarget::Transport), "{uri}");
        }
    }

    #[test]
    fn sips_and_the_parameter_lead_over_tls() {
        for uri in [
            "sips:a@b.example",
            "sips:a@b.example;transport=tcp",
            "sip:a@b.example;transport=tls",
        ] {
            let found = target(uri).expect("leads somewhere");
            assert_eq!(found.transport, Some(Transport::Tls), "{uri}");
            let at = found.at("127.0.0.7".parse().expect("address"));
            assert_eq!(at.port(), 5061);
        }
    }
}
