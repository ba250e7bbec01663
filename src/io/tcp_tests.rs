//! Tests of TCP over loopback with impolite peers: slow, idle, deaf, many, gone.

use std::io::{Read, Write};
use std::net::TcpStream as Peer;

use super::*;
use crate::io::inbox::{Letter, Letters, inbox};
use crate::io::places::PER_SOURCE_MAX;

pub(in crate::io) const PATIENCE: Duration = Duration::from_secs(20);
pub(in crate::io) const REQUEST: &[u8] = b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

pub(in crate::io) struct Rig {
    _runtime: tokio::runtime::Runtime,
    pub(in crate::io) streams: Streams,
    letters: Letters,
    pub(in crate::io) metrics: Arc<Metrics>,
    pub(in crate::io) server: SocketAddr,
}

pub(in crate::io) fn impatient() -> connection::Limits {
    connection::Limits {
        first: Duration::from_millis(300),
        whole: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        idle_served: Duration::from_millis(1_500),
        connect: Duration::from_millis(500),
        handshake: Duration::from_millis(300),
        turn: Duration::from_millis(300),
        write: Duration::from_secs(20),
        web_ping: Duration::from_millis(100),
        web_idle: Duration::from_millis(400),
    }
}

pub(in crate::io) fn rig(limits: connection::Limits) -> Rig {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("runtime");
    let (inbox, letters) = inbox().expect("inbox");
    let metrics = Arc::new(Metrics::default());
    let streams = Streams::new(runtime.handle().clone(), inbox, metrics.clone(), limits);
    let listen = ListenAddress {
        transport: Transport::Tcp,
        address: "127.0.0.1:0".parse().expect("address"),
    };
    let server = streams.listen(ProfileId(0), listen).expect("listens");
    Rig {
        _runtime: runtime,
        streams,
        letters,
        metrics,
        server,
    }
}

impl Rig {
    pub(in crate::io) fn connect(&self) -> Peer {
        let peer = Peer::connect(self.server).expect("connects");
        peer.set_read_timeout(Some(PATIENCE)).expect("timeout");
        peer
    }

    pub(in crate::io) fn next(&self) -> Input {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(Letter::Input(input)) = self.letters.take() {
                return *input;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("nothing came");
    }

    pub(in crate::io) fn message(&self) -> (Flow, Bytes) {
        match self.next() {
            Input::Received { flow, bytes } => (flow, bytes),
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::io) fn closed(&self) -> ConnectionId {
        match self.next() {
            Input::ConnectionClosed { connection } => connection,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::io) fn flow_to(&self, remote: SocketAddr) -> Flow {
        Flow {
            profile: ProfileId(0),
            transport: Transport::Tcp,
            local: self.server,
            remote,
            connection: None,
        }
    }

    pub(in crate::io) fn empty(&self) -> bool {
        let table = self.streams.shared.table.lock();
        table.by_id.is_empty() && table.by_peer.is_empty() && self.streams.shared.places.is_empty()
    }
}

impl Rig {
    #[track_caller]
    pub(in crate::io) fn wait_empty(&self) {
        let until = Instant::now() + PATIENCE;
        while !self.empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(self.empty());
    }
}

/// True when the peer sees the end of the stream.
pub(in crate::io) fn is_cut(peer: &mut Peer) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match peer.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn a_request_is_framed_over_pieces_and_answered_on_its_connection() {
    let rig = rig(connection::Limits::default());
    let mut peer = rig.connect();
    for piece in REQUEST.chunks(7) {
        peer.write_all(piece).expect("writes");
        peer.flush().expect("flushes");
    }
    let (flow, bytes) = rig.message();
    assert_eq!(bytes, REQUEST);
    assert_eq!(flow.remote, peer.local_addr().expect("address"));
    assert_eq!(flow.local, rig.server);
    assert!(flow.connection.is_some());
    rig.streams
        .send(flow, Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n"));
    let mut buffer = [0; 18];
    peer.read_exact(&mut buffer).expect("reads");
    assert_eq!(&buffer, b"SIP/2.0 200 OK\r\n\r\n");
    // A request to the same peer without naming the connection goes the same way.
    rig.streams
        .send(rig.flow_to(flow.remote), Bytes::from_static(b"NOTIFY"));
    let mut buffer = [0; 6];
    peer.read_exact(&mut buffer).expect("reads");
    assert_eq!(&buffer, b"NOTIFY");
    drop(peer);
    assert_eq!(Some(rig.closed()), flow.connection);
    assert!(rig.empty());
    // After its end, a named connection is a failure and not a new connection.
    rig.streams.send(flow, Bytes::from_static(b"late"));
    assert!(matches!(rig.next(), Input::SendFailed { flow: f } if f == flow));
}

#[test]
fn pings_are_answered() {
    let rig = rig(connection::Limits::default());
    let mut peer = rig.connect();
    peer.write_all(REQUEST).expect("writes");
    peer.write_all(b"\r\n\r\n").expect("writes");
    let mut buffer = [0; 2];
    peer.read_exact(&mut buffer).expect("reads");
    assert_eq!(&buffer, b"\r\n");
}

#[test]
fn slow_idle_and_malformed_peers_are_cut_and_leave_nothing() {
    let rig = rig(impatient());
    let mut silent = rig.connect();
    let mut slow = rig.connect();
    slow.write_all(&REQUEST[..40]).expect("writes");
    let mut rude = rig.connect();
    rude.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n\r\n\r\n")
        .expect("writes");
    let mut pinging = rig.connect();
    let mut stuck = rig.connect();
    stuck.write_all(REQUEST).expect("writes");
    stuck.write_all(&REQUEST[..40]).expect("writes");
    let mut idle = rig.connect();
    idle.write_all(REQUEST).expect("writes");
    // Pings do not prove that anybody speaks SIP.
    for _ in 0..5 {
        let _ = pinging.write_all(b"\r\n\r\n");
        std::thread::sleep(Duration::from_millis(100));
    }
    for peer in [
        &mut silent,
        &mut slow,
        &mut rude,
        &mut pinging,
        &mut stuck,
        &mut idle,
    ] {
        assert!(is_cut(peer));
    }
    let until = Instant::now() + PATIENCE;
    while !rig.empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(rig.empty());
    assert_eq!(rig.metrics.cut_slow.load(Ordering::Relaxed), 4);
    assert_eq!(rig.metrics.cut_malformed.load(Ordering::Relaxed), 1);
    assert_eq!(rig.metrics.cut_idle.load(Ordering::Relaxed), 1);
    assert_eq!(rig.metrics.connections.load(Ordering::Relaxed), 0);
}

#[test]
fn a_peer_that_was_served_may_be_silent_for_longer() {
    let rig = rig(impatient());
    let mut peer = rig.connect();
    peer.write_all(REQUEST).expect("writes");
    let (flow, _) = rig.message();
    let began = Instant::now();
    rig.streams
        .send(flow, Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n"));
    peer.write_all(b"\r\n").expect("writes");
    assert!(is_cut(&mut peer));
    assert!(began.elapsed() >= Duration::from_millis(1_400));
}

#[test]
fn a_peer_that_does_not_read_is_cut_at_64_kilobytes() {
    let rig = rig(connection::Limits::default());
    let mut peer = rig.connect();
    peer.write_all(REQUEST).expect("writes");
    let (flow, _) = rig.message();
    let message = Bytes::from(vec![b'x'; 16 * 1024]);
    // The kernels' buffers take some megabytes first.
    for _ in 0..4_000 {
        rig.streams.send(flow, message.clone());
        if rig.metrics.cut_unread.load(Ordering::Relaxed) > 0 {
            break;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(rig.metrics.cut_unread.load(Ordering::Relaxed), 1);
    assert!(matches!(rig.next(), Input::SendFailed { flow: f } if f == flow));
    assert_eq!(Some(rig.closed()), flow.connection);
    assert!(is_cut(&mut peer));
}

#[test]
fn one_source_has_a_cap() {
    let rig = rig(connection::Limits::default());
    let mut peers: Vec<Peer> = (0..PER_SOURCE_MAX).map(|_| rig.connect()).collect();
    let until = Instant::now() + PATIENCE;
    while rig.metrics.connections.load(Ordering::Relaxed) < PER_SOURCE_MAX as u64
        && Instant::now() < until
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(is_cut(&mut rig.connect()));
    assert_eq!(rig.metrics.connections_refused.load(Ordering::Relaxed), 1);
    // The others are served.
    peers[0].write_all(REQUEST).expect("writes");
    rig.message();
}

#[test]
fn a_connection_is_opened_for_a_peer_and_used_again() {
    let rig = rig(connection::Limits::default());
    let far = std::net::TcpListener::bind("127.0.0.2:0").expect("binds");
    let remote = far.local_addr().expect("address");
    let flow = rig.flow_to(remote);
    rig.streams.send(flow, Bytes::from_static(b"one"));
    rig.streams.send(flow, Bytes::from_static(b"two"));
    let (mut peer, source) = far.accept().expect("accepts");
    assert_eq!(source.ip(), rig.server.ip());
    let mut buffer = [0; 6];
    peer.read_exact(&mut buffer).expect("reads");
    assert_eq!(&buffer, b"onetwo");
    peer.write_all(REQUEST).expect("writes");
    let (flow, _) = rig.message();
    // Shown to the peer: where it can come back to.
    assert_eq!((flow.remote, flow.local), (remote, rig.server));
    rig.streams.send(flow, Bytes::from_static(b"three!"));
    peer.read_exact(&mut buffer).expect("reads");
    assert_eq!(&buffer, b"three!");
}

#[test]
fn a_peer_that_refuses_or_is_silent_is_a_failed_send() {
    let rig = rig(impatient());
    let far = std::net::TcpListener::bind("127.0.0.2:0").expect("binds");
    let flow = rig.flow_to(far.local_addr().expect("address"));
    drop(far);
    rig.streams.send(flow, Bytes::from_static(b"one"));
    assert!(matches!(rig.next(), Input::SendFailed { flow: f } if f == flow));
    assert!(rig.empty());
}

#[test]
fn a_reload_closes_listeners_that_are_gone_and_relabels_the_others() {
    let rig = rig(connection::Limits::default());
    let mut peer = rig.connect();
    peer.write_all(REQUEST).expect("writes");
    assert_eq!(rig.message().0.profile, ProfileId(0));
    let configured = rig.streams.listening()[0];
    rig.streams.relabel(&[(configured, ProfileId(3))]);
    peer.write_all(REQUEST).expect("writes");
    assert_eq!(rig.message().0.profile, ProfileId(3));
    rig.streams.relabel(&[]);
    assert!(rig.streams.listening().is_empty());
    let until = Instant::now() + PATIENCE;
    while Peer::connect(rig.server).is_ok() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Peer::connect(rig.server).is_err());
    // Who is connected stays. Attempts that came before the end are closed meanwhile.
    peer.write_all(REQUEST).expect("writes");
    while !matches!(rig.next(), Input::Received { .. }) {}
}
