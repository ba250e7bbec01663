//! Copies of all SIP messages to a capture server (Homer and others) in HEP version 3, over UDP.
//!
//! A thread of its own makes and sends the packets; when it lags, copies are dropped and counted, and calls never wait. Proofs of
//! passwords and keys of audio are masked. What the guard turned away is not copied: a flood must not become another one.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;

use super::metrics::{Metrics, count};
use super::trace::{Heading, masked};
use crate::base::{Now, Secret, WallTime};
use crate::config::HepSettings;
use crate::transport::{Flow, Transport};

/// Copies that may wait for the thread.
const WAITING_MAX: usize = 4096;
/// Largest packet: what fits into a UDP datagram over IPv4.
const PACKET_BYTES_MAX: usize = 65_507;
/// Room for the chunks before the payload.
const CHUNK_BYTES_MAX: usize = 512;

/// The chunk types of HEP 3 that we write (vendor 0).
mod chunk {
    pub const FAMILY: u16 = 1;
    pub const PROTOCOL: u16 = 2;
    pub const SOURCE_V4: u16 = 3;
    pub const TARGET_V4: u16 = 4;
    pub const SOURCE_V6: u16 = 5;
    pub const TARGET_V6: u16 = 6;
    pub const SOURCE_PORT: u16 = 7;
    pub const TARGET_PORT: u16 = 8;
    pub const SECONDS: u16 = 9;
    pub const MICROSECONDS: u16 = 10;
    pub const KIND: u16 = 11;
    pub const CAPTURE_ID: u16 = 12;
    pub const PASSWORD: u16 = 14;
    pub const PAYLOAD: u16 = 15;
}
/// Payload kind: SIP.
const SIP: u8 = 1;

/// One copy.
struct Copy {
    at: WallTime,
    way: Heading,
    flow: Flow,
    bytes: Bytes,
}

/// The way to the capture server; clones share the thread, which ends with the last of them.
#[derive(Clone)]
pub struct Hep {
    copies: SyncSender<Copy>,
    metrics: Arc<Metrics>,
}

impl Hep {
    /// Opens a socket and starts the thread.
    pub fn start(settings: &HepSettings, metrics: Arc<Metrics>) -> io::Result<Hep> {
        let any: SocketAddr = if settings.server.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0u16; 8], 0).into()
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(settings.server)?;
        let (copies, waiting) = sync_channel(WAITING_MAX);
        let (id, password) = (settings.capture_id, settings.password.clone());
        let counters = metrics.clone();
        std::thread::Builder::new()
            .name("hep".into())
            .spawn(move || send_all(&waiting, &socket, id, password.as_ref(), &counters))?;
        Ok(Hep { copies, metrics })
    }

    /// Copies a message. Never blocks.
    pub fn message(&self, now: Now, way: Heading, flow: Flow, bytes: &Bytes) {
        let copy = Copy {
            at: now.wall,
            way,
            flow,
            bytes: bytes.clone(),
        };
        if self.copies.try_send(copy).is_err() {
            count(&self.metrics.hep_dropped);
        }
    }
}

fn send_all(
    waiting: &Receiver<Copy>,
    socket: &UdpSocket,
    capture_id: u32,
    password: Option<&Secret>,
    metrics: &Metrics,
) {
    while let Ok(copy) = waiting.recv() {
        // Nobody listening (ECONNREFUSED) is no fault of ours: the next copy is tried again.
        match socket.send(&packet(&copy, capture_id, password)) {
            Ok(_) => count(&metrics.hep_sent),
            Err(_) => count(&metrics.hep_dropped),
        }
    }
}

fn push(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&((value.len() + 6) as u16).to_be_bytes());
    out.extend_from_slice(value);
}

fn packet(copy: &Copy, capture_id: u32, password: Option<&Secret>) -> Vec<u8> {
    let (source, target) = match copy.way {
        Heading::In => (copy.flow.remote, copy.flow.local),
        Heading::Out => (copy.flow.local, copy.flow.remote),
    };
    let mut payload = masked(&copy.bytes);
    payload.truncate(PACKET_BYTES_MAX - CHUNK_BYTES_MAX);
    let mut out = Vec::with_capacity(payload.len() + CHUNK_BYTES_MAX);
    out.extend_from_slice(b"HEP3\0\0");
    let protocol = match copy.flow.transport {
        Transport::Udp => libc::IPPROTO_UDP,
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => libc::IPPROTO_TCP,
    };
    match (source.ip().to_canonical(), target.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            push(&mut out, chunk::FAMILY, &[libc::AF_INET as u8]);
            push(&mut out, chunk::PROTOCOL, &[protocol as u8]);
            push(&mut out, chunk::SOURCE_V4, &source.octets());
            push(&mut out, chunk::TARGET_V4, &target.octets());
        }
        (source, target) => {
            let six = |ip: IpAddr| match ip {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            push(&mut out, chunk::FAMILY, &[libc::AF_INET6 as u8]);
            push(&mut out, chunk::PROTOCOL, &[protocol as u8]);
            push(&mut out, chunk::SOURCE_V6, &six(source));
            push(&mut out, chunk::TARGET_V6, &six(target));
        }
    }
    push(&mut out, chunk::SOURCE_PORT, &source.port().to_be_bytes());
    push(&mut out, chunk::TARGET_PORT, &target.port().to_be_bytes());
    let micros = copy.at.as_micros();
    let seconds = u32::try_from(micros.div_euclid(1_000_000)).unwrap_or(u32::MAX);
    let rest = u32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0);
    push(&mut out, chunk::SECONDS, &seconds.to_be_bytes());
    push(&mut out, chunk::MICROSECONDS, &rest.to_be_bytes());
    push(&mut out, chunk::KIND, &[SIP]);
    push(&mut out, chunk::CAPTURE_ID, &capture_id.to_be_bytes());
    if let Some(password) = password {
        push(&mut out, chunk::PASSWORD, password.reveal().as_bytes());
    }
    push(&mut out, chunk::PAYLOAD, &payload);
    let length = (out.len() as u16).to_be_bytes();
    if let Some(place) = out.get_mut(4..6) {
        place.copy_from_slice(&length);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::transport::ProfileId;

    /// A decoder written from the description of the protocol alone.
    fn decode(packet: &[u8]) -> BTreeMap<u16, Vec<u8>> {
        assert_eq!(&packet[..4], b"HEP3");
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!(usize::from(number(4)), packet.len());
        let (mut at, mut chunks) = (6, BTreeMap::new());
        while at < packet.len() {
            assert_eq!(number(at), 0, "vendor");
            let length = usize::from(number(at + 4));
            assert!(length >= 6);
            let twice = chunks.insert(number(at + 2), packet[at + 6..at + length].to_vec());
            assert_eq!(twice, None);
            at += length;
        }
        assert_eq!(at, packet.len());
        chunks
    }

    #[test]
    fn a_copy_reaches_the_capture_server_with_all_that_it_needs() {
        let server = UdpSocket::bind("127.0.0.1:0").expect("binds");
        server
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("sets");
        let settings = HepSettings {
            server: server.local_addr().expect("address"),
            capture_id: 2001,
            password: Some(Secret::new("hush")),
        };
        let metrics = Arc::new(Metrics::default());
        let hep = Hep::start(&settings, metrics.clone()).expect("starts");
        let now = Now {
            wall: WallTime::from_micros(1_700_000_000_000_123),
            ..Now::default()
        };
        let flow = |local: &str, remote: &str, transport| Flow {
            profile: ProfileId(0),
            transport,
            local: local.parse().expect("address"),
            remote: remote.parse().expect("address"),
            connection: None,
        };
        let text = Bytes::from_static(
            b"BYE sip:x SIP/2.0\r\nAuthorization: Digest response=\"s\"\r\n\r\n",
        );
        let mut buffer = [0; 2048];
        let mut next = |way, flow| {
            hep.message(now, way, flow, &text);
            let length = server.recv(&mut buffer).expect("a packet");
            decode(&buffer[..length])
        };
        let udp = next(
            Heading::In,
            flow("192.0.2.1:5060", "192.0.2.9:5080", Transport::Udp),
        );
        let expected: BTreeMap<u16, Vec<u8>> = [
            (1, vec![2]),
            (2, vec![17]),
            (3, vec![192, 0, 2, 9]),
            (4, vec![192, 0, 2, 1]),
            (7, vec![0x13, 0xd8]),
            (8, vec![0x13, 0xc4]),
            (9, 1_700_000_000u32.to_be_bytes().to_vec()),
            (10, 123u32.to_be_bytes().to_vec()),
            (11, vec![1]),
            (12, 2001u32.to_be_bytes().to_vec()),
            (14, b"hush".to_vec()),
            (
                15,
                b"BYE sip:x SIP/2.0\r\nAuthorization: ***\r\n\r\n".to_vec(),
            ),
        ]
        .into();
        assert_eq!(udp, expected);
        let tls = next(
            Heading::Out,
            flow("[2001:db8::1]:5061", "[2001:db8::2]:4000", Transport::Tls),
        );
        assert_eq!((&tls[&1], &tls[&2]), (&vec![10], &vec![6]));
        assert_eq!(tls[&5][15], 1, "from us");
        assert_eq!(tls[&6][15], 2);
        assert!(!tls.contains_key(&3));
        // counted just after it left
        for _ in 0..100 {
            if metrics.hep_sent.load(std::sync::atomic::Ordering::Relaxed) == 2 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("two copies left and were not counted");
    }
}
