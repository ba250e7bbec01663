//! The UDP ports of a shard: which socket a flow uses, and what waits to be sent on each.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::batch::{self, BatchSocket, Outgoing, Received, Receiver, SIGNALLING_BUFFER_BYTES};
use super::metrics::Metrics;
use crate::transport::{Flow, ProfileId, Transport};

/// One bound port of a profile.
pub struct UdpPort {
    /// The profile that listens here.
    pub profile: ProfileId,
    /// The address as configured; its port may be zero.
    pub configured: SocketAddr,
    /// The socket.
    pub socket: BatchSocket,
    /// Its name in the poller, given by the shard.
    pub token: u64,
    dropped: u32,
    outgoing: Vec<Outgoing>,
    flows: Vec<Flow>,
}

impl UdpPort {
    /// Binds `configured` for `profile`.
    pub fn bind(profile: ProfileId, configured: SocketAddr) -> io::Result<Self> {
        Ok(UdpPort {
            profile,
            configured,
            socket: BatchSocket::bind(configured, SIGNALLING_BUFFER_BYTES)?,
            token: 0,
            dropped: 0,
            outgoing: Vec::new(),
            flows: Vec::new(),
        })
    }

    /// Takes one batch of datagrams, with their flows; gives how many came.
    pub fn receive(
        &mut self,
        receiver: &mut Receiver,
        scratch: &mut Vec<Received>,
        metrics: &Metrics,
        mut each: impl FnMut(Flow, Bytes),
    ) -> io::Result<usize> {
        scratch.clear();
        let (count, dropped) = receiver.receive(&self.socket, scratch)?;
        if let Some(total) = dropped {
            // A running total that may wrap.
            let more = total.wrapping_sub(self.dropped);
            self.dropped = total;
            metrics
                .datagrams_dropped
                .fetch_add(u64::from(more), Ordering::Relaxed);
        }
        metrics
            .datagrams_in
            .fetch_add(count as u64, Ordering::Relaxed);
        for received in scratch.drain(..) {
            // Phones keep NAT bindings open with empty lines or zeros; they ask for nothing.
            if received.bytes.len() <= 4
                && received
                    .bytes
                    .iter()
                    .all(|b| matches!(b, b'\r' | b'\n' | 0))
            {
                metrics.keep_alives.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let flow = Flow {
                profile: self.profile,
                transport: Transport::Udp,
                local: received.local,
                remote: received.source,
                connection: None,
            };
            each(flow, received.bytes);
        }
        Ok(count)
    }
}

/// All ports of a shard.
#[derive(Default)]
pub struct UdpPorts {
    /// In the order in which they were bound.
    pub list: Vec<UdpPort>,
}

impl UdpPorts {
    /// Keeps `bytes` for the next [`UdpPorts::flush`]. False when no port fits the flow.
    pub fn queue(&mut self, flow: Flow, bytes: Bytes) -> bool {
        let Some(port) = self.port_for(&flow) else {
            return false;
        };
        port.outgoing.push(Outgoing {
            bytes,
            to: flow.remote,
            from: flow.local.ip(),
        });
        port.flows.push(flow);
        true
    }

    /// The port that is bound to the flow's local address; failing that, one of its profile and family: with the same port number
    /// on a wildcard, with the same address, or any. Profiles may be renumbered by a reload while a flow lives; addresses stay.
    fn port_for(&mut self, flow: &Flow) -> Option<&mut UdpPort> {
        let fit = |port: &UdpPort| {
            let local = port.socket.local();
            let same_port = local.port() == flow.local.port();
            if local.is_ipv4() != flow.remote.is_ipv4() {
                return 0;
            }
            match (local.ip() == flow.local.ip(), same_port) {
                (true, true) => 4,
                _ if port.profile != flow.profile => 0,
                (false, true) if local.ip().is_unspecified() => 3,
                (true, false) => 2,
                _ => 1,
            }
        };
        let best = self.list.iter_mut().max_by_key(|port| fit(port))?;
        (fit(best) > 0).then_some(best)
    }

    /// Sends what was queued, in batches; `failed` is told the flow of each datagram that the kernel refused.
    pub fn flush(&mut self, metrics: &Metrics, mut failed: impl FnMut(Flow, io::Error)) {
        for port in &mut self.list {
            if port.outgoing.is_empty() {
                continue;
            }
            let flows = &port.flows;
            let sent = batch::send(&port.socket, &port.outgoing, |index, error| {
                metrics.sends_refused.fetch_add(1, Ordering::Relaxed);
                if let Some(&flow) = flows.get(index) {
                    failed(flow, error);
                }
            });
            metrics
                .datagrams_out
                .fetch_add(sent as u64, Ordering::Relaxed);
            port.outgoing.clear();
            port.flows.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(profile: u16, address: &str) -> UdpPort {
        UdpPort::bind(ProfileId(profile), address.parse().expect("address")).expect("binds")
    }

    fn flow(profile: u16, local: SocketAddr, remote: SocketAddr) -> Flow {
        Flow {
            profile: ProfileId(profile),
            transport: Transport::Udp,
            local,
            remote,
            connection: None,
        }
    }

    #[test]
    fn a_flow_finds_the_socket_of_its_profile_and_address() {
        let mut ports = UdpPorts {
            list: vec![
                port(0, "127.0.0.1:0"),
                port(1, "127.0.0.2:0"),
                port(1, "127.0.0.3:0"),
                port(1, "[::1]:0"),
            ],
        };
        let remote = "127.0.0.9:9".parse().expect("address");
        for index in 0..3 {
            let local = ports.list[index].socket.local();
            let profile = ports.list[index].profile.0;
            let found = ports
                .port_for(&flow(profile, local, remote))
                .expect("found");
            assert_eq!(found.socket.local(), local);
        }
        let local = ports.list[0].socket.local();
        let found = ports.port_for(&flow(7, local, remote)).expect("found");
        assert_eq!(found.socket.local(), local);
        let nobody = "127.0.0.8:1".parse().expect("address");
        assert!(ports.port_for(&flow(7, nobody, remote)).is_none());
        let found = ports.port_for(&flow(1, nobody, remote)).expect("found");
        assert_eq!(found.profile, ProfileId(1));
        let six = "[::1]:9".parse().expect("address");
        assert!(ports.port_for(&flow(0, local, six)).is_none());
        let found = ports.port_for(&flow(1, local, six)).expect("found");
        assert!(found.socket.local().is_ipv6());
    }

    #[test]
    fn what_is_queued_is_sent_and_refusals_name_their_flow() {
        let metrics = Metrics::default();
        let mut ports = UdpPorts {
            list: vec![port(0, "127.0.0.1:0")],
        };
        let mut peer = port(0, "127.0.0.1:0");
        let local = ports.list[0].socket.local();
        let good = flow(0, local, peer.socket.local());
        let bad = flow(0, local, "127.0.0.1:9".parse().expect("address"));
        assert!(ports.queue(good, Bytes::from_static(b"hello")));
        assert!(ports.queue(bad, Bytes::from(vec![0; 70_000])));
        assert!(ports.queue(good, Bytes::from_static(b"\r\n\r\n")));
        let mut failed = Vec::new();
        ports.flush(&metrics, |flow, _| failed.push(flow));
        assert_eq!(failed, [bad]);
        let (mut receiver, mut scratch, mut got) = (Receiver::new(), Vec::new(), Vec::new());
        while metrics.datagrams_in.load(Ordering::Relaxed) < 2 {
            peer.receive(&mut receiver, &mut scratch, &metrics, |flow, bytes| {
                got.push((flow.remote, bytes));
            })
            .expect("receives");
        }
        assert_eq!(got, [(local, Bytes::from_static(b"hello"))]);
        assert_eq!(metrics.keep_alives.load(Ordering::Relaxed), 1);
    }
}
