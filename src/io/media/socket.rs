//! The two sockets of a stream.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::sys;

/// Receive buffer of a leg: at 20 ms of G.711 some 60 ms per 1.5 kB of kernel memory. More would replay seconds of stale audio after a
/// stall, less drops at the first one (measured).
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// Expedited forwarding (RFC 4594 §4.1): DSCP 46.
const EXPEDITED: u32 = 46 << 2;

/// RTP and RTCP of one stream.
pub struct SocketPair {
    /// RTP, on the even port.
    pub rtp: UdpSocket,
    /// RTCP, one above.
    pub rtcp: UdpSocket,
    local: SocketAddr,
    connected: Option<SocketAddr>,
    /// Drops that were told before.
    drops_told: Cell<u64>,
}

/// Datagrams that are read in vain from one socket at a time: a peer that goes on sending must not keep the worker.
const DISCARDED_MAX: usize = 256;

impl SocketPair {
    /// Binds both.
    pub fn bind(local: SocketAddr) -> io::Result<SocketPair> {
        let above = local
            .port()
            .checked_add(1)
            .ok_or_else(|| io::Error::other("no port above for RTCP"))?;
        Ok(SocketPair {
            rtp: bind(local)?,
            rtcp: bind(SocketAddr::new(local.ip(), above))?,
            local,
            connected: None,
            drops_told: Cell::new(0),
        })
    }

    /// The address that it was bound to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Reads what nobody is there for.
    pub fn discard(&self) {
        let mut buffer = [0; 1];
        for socket in [&self.rtp, &self.rtcp] {
            // the rest of a datagram that does not fit is gone with it
            let read = |_: &usize| socket.recv_from(&mut buffer).is_ok();
            (0..DISCARDED_MAX).take_while(read).count();
        }
    }

    /// Lets only `source` in, for the rest of the agreement. The caller still looks at each source: datagrams that were queued before
    /// are from anybody.
    pub fn connect(&mut self, source: SocketAddr) {
        if self.connected != Some(source) && self.rtp.connect(source).is_ok() {
            self.connected = Some(source);
        }
    }

    /// True when the kernel turns strangers away.
    pub fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    /// Lets everybody in again.
    pub fn dissolve(&mut self) {
        if self.connected.take().is_some() {
            // fails only for what is not connected
            let _ = sys::dissolve(&self.rtp);
        }
    }

    /// Sends RTP. What the network answers (port unreachable, no route) is no error of ours: the peer may come back.
    pub fn send(&self, packet: &[u8], to: SocketAddr) {
        if self.connected == Some(to) {
            if let Err(error) = self.rtp.send(packet)
                && error.kind() == io::ErrorKind::ConnectionRefused
            {
                // the answer to an earlier packet, told now in place of sending this one
                let _ = self.rtp.send(packet);
            }
            return;
        }
        // a connected socket can still be told another destination
        let _ = self.rtp.send_to(packet, to);
    }

    /// Sends RTCP.
    pub fn send_rtcp(&self, datagram: &[u8], to: SocketAddr) {
        let _ = self.rtcp.send_to(datagram, to);
    }

    /// RTP datagrams that the kernel dropped for want of buffer, since it was asked last.
    pub fn overflow_drops(&self) -> u64 {
        let drops = sys::overflow_drops(&self.rtp);
        drops.saturating_sub(self.drops_told.replace(drops))
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    // a network that does not care for classes of service is no reason to refuse the call
    if address.is_ipv4() {
        let _ = socket.set_tos_v4(EXPEDITED);
    } else {
        let _ = socket.set_tclass_v6(EXPEDITED);
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}
