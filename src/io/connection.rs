//! One connection that carries bytes, with or without TLS: its reading and its writing task, and the patience that each peer gets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::metrics::count;
use super::places::Place;
use super::tcp::{Entrance, Shared, flow_of};
use crate::base::limits::{FIRST_MESSAGE_MAX, WRITE_QUEUE_BYTES_MAX};
use crate::sip::stream::{StreamFramer, StreamItem};
use crate::switch::Input;
use crate::transport::{ConnectionId, Flow, Transport};

/// The patience that a peer gets.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the connection to the first complete request.
    pub first: Duration,
    /// From the first to the last byte of any later message.
    pub whole: Duration,
    /// Without any byte from the peer, until one of its requests was answered with a 2xx.
    pub idle: Duration,
    /// Without any byte from a peer that we served: a phone that registers for an hour and sends no keep-alive is not dead.
    pub idle_served: Duration,
    /// For a TCP connection to be made.
    pub connect: Duration,
    /// For a TLS or WebSocket handshake to be over.
    pub handshake: Duration,
    /// For its turn to come when many shake hands.
    pub turn: Duration,
    /// For the peer to take any byte at all while we have some for it.
    pub write: Duration,
    /// Between two pings to a WebSocket peer; shorter than what proxies and NATs on the way allow.
    pub web_ping: Duration,
    /// Without any frame from a WebSocket peer: browsers answer pings by themselves.
    pub web_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            first: FIRST_MESSAGE_MAX,
            whole: Duration::from_secs(30),
            idle: Duration::from_secs(600),
            idle_served: Duration::from_secs(3900),
            connect: Duration::from_secs(4),
            handshake: Duration::from_secs(5),
            turn: Duration::from_secs(10),
            write: Duration::from_secs(20),
            web_ping: Duration::from_secs(25),
            web_idle: Duration::from_secs(65),
        }
    }
}

/// What the table keeps of a connection.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) profile: Arc<AtomicU16>,
    pub(super) transport: Transport,
    pub(super) remote: SocketAddr,
    local: Mutex<SocketAddr>,
    /// The flow for which we opened it; `None` when the peer did.
    pub(super) asked: Option<Flow>,
    /// Names that the peer's certificate proved.
    pub(super) verified: Mutex<Vec<Arc<str>>>,
    outbox: UnboundedSender<Bytes>,
    queued_bytes: AtomicUsize,
    served: AtomicBool,
    pub(super) cut: CancellationToken,
    _place: Place,
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        entrance: &Entrance,
        place: Place,
        (local, remote): (SocketAddr, SocketAddr),
        asked: Option<Flow>,
    ) -> (Self, UnboundedReceiver<Bytes>) {
        let (outbox, messages) = unbounded_channel();
        let connection = Connection {
            id,
            profile: entrance.profile.clone(),
            transport: entrance.transport,
            remote,
            local: Mutex::new(local),
            asked,
            verified: Mutex::default(),
            outbox,
            queued_bytes: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            cut: CancellationToken::new(),
            _place: place,
        };
        (connection, messages)
    }

    pub(super) fn local(&self) -> SocketAddr {
        *self.local.lock()
    }

    /// A connection of ours leaves from this address. Its port stays that of the listener: peers are shown where they can come back
    /// to, which is not the port that the system drew for this one connection.
    pub(super) fn leaves_from(&self, ip: IpAddr) {
        self.local.lock().set_ip(ip);
    }

    /// True once the peer got an answer that proves that we know it.
    pub(super) fn is_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Notes that so many bytes of the queue are written.
    pub(super) fn wrote(&self, shared: &Shared, length: usize) {
        self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
        if length > 2 {
            count(&shared.metrics.stream_messages_out);
        }
    }

    /// Queues a message. False when the connection is over; a peer that leaves 64 KB unread is cut. One message larger than that
    /// may pass alone.
    pub(super) fn queue(&self, shared: &Shared, bytes: Bytes) -> bool {
        if self.cut.is_cancelled() {
            return false;
        }
        let length = bytes.len();
        let before = self.queued_bytes.fetch_add(length, Ordering::Relaxed);
        if before > 0 && before + length > WRITE_QUEUE_BYTES_MAX {
            count(&shared.metrics.cut_unread);
            self.cut.cancel();
            return false;
        }
        // anybody gets a 200 to OPTIONS: it proves nothing
        if bytes.starts_with(b"SIP/2.0 2")
            && memchr::memmem::find(&bytes, b" OPTIONS\r\n").is_none()
        {
            self.served.store(true, Ordering::Relaxed);
        }
        self.outbox.send(bytes).is_ok()
    }
}

/// What every TCP socket gets.
pub(super) fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keep_alive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20));
    let _ = SockRef::from(stream).set_tcp_keepalive(&keep_alive);
}

/// Serves an open connection until it ends, then says so to the core.
pub(super) async fn serve(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    messages: UnboundedReceiver<Bytes>,
) {
    until_the_end(
        &shared,
        &connection,
        read(&shared, &connection, reader),
        write(&shared, &connection, writer, messages),
    )
    .await;
}

/// Reads and writes until either ends, takes the connection out of the table and says so to the core.
pub(super) async fn until_the_end(
    shared: &Shared,
    connection: &Connection,
    read: impl Future<Output = ()>,
    write: impl Future<Output = ()>,
) {
    let cut = connection.cut.clone();
    // also when a library panics: a place that is never given back would be missing for ever
    let _end = End { shared, connection };
    tokio::join!(
        async {
            tokio::select! {
                () = cut.cancelled() => {}
                () = read => {}
            }
            cut.cancel();
        },
        async {
            write.await;
            cut.cancel();
        }
    );
}

/// Takes a connection out of the table and says so to the core, whatever ends it.
struct End<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let End { shared, connection } = self;
        connection.cut.cancel();
        shared.remove(connection);
        let unsent = connection.queued_bytes.load(Ordering::Relaxed) > 0;
        if let (Some(flow), true) = (connection.asked, unsent) {
            shared.inbox.input(Input::SendFailed { flow });
        }
        shared.inbox.input(Input::ConnectionClosed {
            connection: connection.id,
        });
    }
}

async fn read(shared: &Shared, connection: &Connection, mut reader: impl AsyncRead + Unpin) {
    let limits = &shared.limits;
    let mut framer = StreamFramer::new();
    let mut buffer = vec![0u8; 16 * 1024];
    // A connection that we opened owes us nothing.
    let mut proved = connection.asked.is_some();
    let opened = Instant::now();
    let mut message_began: Option<Instant> = None;
    loop {
        while shared.inbox.is_crowded() {
            sleep(Duration::from_millis(5)).await;
        }
        let idle = match connection.is_served() {
            true => limits.idle_served,
            false => limits.idle,
        };
        let (until, late) = match message_began {
            _ if !proved => (opened + limits.first, &shared.metrics.cut_slow),
            Some(began) => (began + limits.whole, &shared.metrics.cut_slow),
            None => (Instant::now() + idle, &shared.metrics.cut_idle),
        };
        let room = framer.room().min(buffer.len());
        let reading = reader.read(buffer.get_mut(..room).unwrap_or_default());
        let length = match timeout_at(until, reading).await {
            Err(_) => return count(late),
            Ok(Err(_) | Ok(0)) => return,
            Ok(Ok(length)) => length,
        };
        framer.push(buffer.get(..length).unwrap_or_default());
        loop {
            match framer.next() {
                Ok(Some(StreamItem::Message(bytes))) => {
                    if !speaks_sip(&bytes) {
                        return count(&shared.metrics.cut_malformed);
                    }
                    proved = true;
                    message_began = None;
                    count(&shared.metrics.stream_messages_in);
                    let flow = flow_of(connection);
                    shared.inbox.input(Input::Received { flow, bytes });
                }
                Ok(Some(StreamItem::Ping)) => {
                    // RFC 5626 §3.5.1: a double CRLF is answered with a single one.
                    count(&shared.metrics.keep_alives);
                    connection.queue(shared, Bytes::from_static(b"\r\n"));
                }
                Ok(Some(StreamItem::Pong)) => {}
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(remote = %connection.remote, %error, "no SIP on a stream");
                    return count(&shared.metrics.cut_malformed);
                }
            }
        }
        // Two bytes may be half a ping, which needs no hurry.
        if framer.waiting_bytes() <= 2 {
            message_began = None;
        } else if message_began.is_none() {
            message_began = Some(Instant::now());
        }
    }
}

/// True when the start line names a version of SIP, wrong as the rest may be: the core answers what is wrong with it. A browser or a
/// TLS hello is nobody whom an answer would help.
pub(super) fn speaks_sip(message: &[u8]) -> bool {
    let line = message.split(|&b| b == b'\n').next().unwrap_or_default();
    memchr::memmem::find(&line.to_ascii_uppercase(), b"SIP/").is_some()
}

/// Writes what is queued. When the connection is cut, what waits still gets a moment: a refusal may be among it.
async fn write(
    shared: &Shared,
    connection: &Connection,
    mut writer: impl AsyncWrite + Unpin,
    mut messages: UnboundedReceiver<Bytes>,
) {
    loop {
        let message = tokio::select! {
            biased;
            message = messages.recv() => message,
            () = connection.cut.cancelled() => None,
        };
        let Some(message) = message else { break };
        let writing = timeout(shared.limits.write, async {
            writer.write_all(&message).await?;
            // TLS keeps what the socket did not take.
            writer.flush().await
        });
        let written = tokio::select! {
            written = writing => written,
            () = patience_after(&connection.cut) => return,
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => return count(&shared.metrics.cut_unread),
        }
        connection.wrote(shared, message.len());
    }
    let _ = timeout(Duration::from_millis(100), writer.shutdown()).await;
}

/// Ends 100 ms after the cut.
pub(super) async fn patience_after(cut: &CancellationToken) {
    cut.cancelled().await;
    sleep(Duration::from_millis(100)).await;
}
