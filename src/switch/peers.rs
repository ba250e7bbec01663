//! Who is at the other end of a TLS connection: names that peers have proved, names that gateways must prove.

use std::net::SocketAddr;
use std::sync::Arc;

use super::core::Switch;
use super::effect::{Effect, Effects};
use crate::base::Map;
use crate::config::{SipProfile, Trunk};
use crate::sip::Message;
use crate::transport::{ConnectionId, Flow, TargetHost, Transport};

/// Names proved by connections that are up; each goes with its connection.
#[derive(Default)]
pub(super) struct Verified(Map<ConnectionId, Vec<Arc<str>>>);

impl Verified {
    /// A connection's peer has proved these names.
    pub(super) fn note(&mut self, connection: ConnectionId, names: Vec<Arc<str>>) {
        self.0.insert(connection, names);
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.0.remove(&connection);
    }

    fn names(&self, flow: &Flow) -> &[Arc<str>] {
        flow.connection
            .and_then(|connection| self.0.get(&connection))
            .map_or(&[], Vec::as_slice)
    }
}

impl Switch {
    /// The trunk of a profile that a request on `flow` is of: by a name that its certificate proved, or by its source address.
    pub(super) fn sending_trunk<'a>(
        &self,
        profile: &'a SipProfile,
        flow: &Flow,
    ) -> Option<&'a Arc<Trunk>> {
        let names = self.verified.names(flow);
        let ip = flow.remote.ip().to_canonical();
        let by_name = |trunk: &&Arc<Trunk>| trunk.tls.names.iter().any(|name| names.contains(name));
        let mut trunks = profile.trunks.iter();
        trunks
            .clone()
            .find(by_name)
            .or_else(|| trunks.find(|trunk| trunk.takes(ip)))
    }

    /// Tells the shell whom to expect at the gateways that are reached over TLS. What is sent to them in the same batch comes later.
    pub(super) fn expect_gateways(&self, fx: &mut Effects) {
        for gateway in self.trunks.secure() {
            let flow = super::faces::flow_to(
                &self.settings,
                gateway.profile,
                Transport::Tls,
                gateway.address,
            );
            let Some(flow) = flow else { continue };
            let host: Arc<str> = match gateway.host {
                TargetHost::Address(address) => Arc::from(address.to_string()),
                TargetHost::Name(name) => Arc::from(name.as_str()),
            };
            fx.push(Effect::Expect {
                profile: flow.profile,
                remote: gateway.address,
                host,
                trunk: gateway.trunk.clone(),
            });
        }
    }

    /// Tells the transactions which gateways may be sent large requests over TCP: where the profile listens on TCP at the port of its
    /// UDP, so that the gateway's answer and its own requests find us either way.
    pub(super) fn size_gateways(&mut self) {
        let flow = |profile: &str, transport, remote| {
            super::faces::flow_to(&self.settings, profile, transport, remote)
        };
        let peers: Vec<_> = self
            .trunks
            .over_udp()
            .filter_map(|(profile, remote)| {
                let udp = flow(profile, Transport::Udp, remote)?;
                let tcp = flow(profile, Transport::Tcp, remote)?;
                (udp.local == tcp.local).then_some((tcp.profile, remote, tcp.local))
            })
            .collect();
        self.tx.large_over_tcp(peers.into_iter());
    }

    /// A peer with a certificate offers its connection for requests to where it listens (`alias`, RFC 5923 §5): the shell takes the
    /// offer when the certificate has the names that we expect there.
    pub(super) fn note_alias(&self, flow: &Flow, request: &Message, fx: &mut Effects) {
        let Some(connection) = flow.connection else {
            return;
        };
        if flow.transport != Transport::Tls || self.verified.names(flow).is_empty() {
            return;
        }
        let via = request.top_via();
        if via.has_alias() {
            let port = via.port.unwrap_or(Transport::Tls.default_port());
            fx.push(Effect::Alias {
                connection,
                remote: SocketAddr::new(flow.remote.ip(), port),
            });
        }
    }
}
