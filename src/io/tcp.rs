//! Streams: the table of connections, listeners, and the sending side that the shard sees. How a connection begins is in
//! `porch.rs`, its life in `connection.rs` and `web_socket.rs`.
//!
//! A message for a peer without a named connection goes over one that is open to it, or opens one (RFC 3261 §18.1.1). What a
//! peer may cost is bounded: connections by source and in all, time to the first request, bytes that it does not read.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Connection};
use super::inbox::Inbox;
use super::metrics::{Metrics, count};
use super::places::{Place, Places};
use super::porch;
use super::tls::Security;
use super::web_socket::{Frames, WebPeer};
use crate::config::{ListenAddress, Settings};
use crate::switch::Input;
use crate::transport::{ConnectionId, Flow, ProfileId, Transport};

/// Pending connections that the kernel keeps for us.
const BACKLOG: i32 = 1024;

/// All streams of a shard.
#[derive(Clone)]
pub struct Streams {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    runtime: tokio::runtime::Handle,
    pub(super) inbox: Inbox,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: connection::Limits,
    pub(super) places: Arc<Places>,
    security: RwLock<Arc<Security>>,
    table: Mutex<Table>,
    next: AtomicU64,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<ConnectionId, Arc<Connection>>,
    by_peer: HashMap<(Transport, SocketAddr), ConnectionId>,
    listeners: Vec<Listener>,
}

struct Listener {
    configured: ListenAddress,
    profile: Arc<AtomicU16>,
    closed: CancellationToken,
}

impl Streams {
    /// Streams whose messages go to `inbox` and whose tasks run on `runtime`.
    pub fn new(
        runtime: tokio::runtime::Handle,
        inbox: Inbox,
        metrics: Arc<Metrics>,
        limits: connection::Limits,
    ) -> Self {
        Streams {
            shared: Arc::new(Shared {
                runtime,
                inbox,
                metrics,
                limits,
                places: Arc::default(),
                security: RwLock::default(),
                table: Mutex::default(),
                next: AtomicU64::new(1),
            }),
        }
    }

    /// Takes certificates, authorities and load balancers of the settings: handshakes from now on go by them, connections that are
    /// up stay. The text of an error is for the operator, and nothing has changed then.
    pub fn configure(&self, settings: &Settings) -> Result<(), String> {
        let before = self.shared.security();
        let mut next = Security::of(settings, &before)?;
        let mut current = self.shared.security.write();
        // What the shard said meanwhile about its trunks must not be lost.
        next.take_peers_of(&current);
        let stale = next.unlike(&current);
        *current = Arc::new(next);
        drop(current);
        self.leave_alone(&stale);
        Ok(())
    }

    /// From now on, who is connected to at `remote` for `profile` must prove to be `host`, by the rules of `trunk`.
    pub fn expect(&self, profile: ProfileId, remote: SocketAddr, host: &str, trunk: Arc<str>) {
        let mut current = self.shared.security.write();
        if current.expects(profile, remote, host, &trunk) {
            return;
        }
        Arc::make_mut(&mut current).expect(profile, remote, host, trunk);
        drop(current);
        self.leave_alone(&[remote]);
    }

    /// Nothing new goes over TLS connections to these addresses: their peers have not proved what is asked of them now. Who answers
    /// on such a connection may go on.
    fn leave_alone(&self, remotes: &[SocketAddr]) {
        let mut table = self.shared.table.lock();
        for remote in remotes {
            table.by_peer.remove(&(Transport::Tls, *remote));
        }
    }

    /// Listens at `configured` for `profile`; gives the bound address.
    pub fn listen(&self, profile: ProfileId, configured: ListenAddress) -> io::Result<SocketAddr> {
        let socket = Socket::new(
            Domain::for_address(configured.address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if configured.address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&configured.address.into())?;
        socket.listen(BACKLOG)?;
        let _on_runtime = self.shared.runtime.enter();
        let listener = TcpListener::from_std(socket.into())?;
        let local = listener.local_addr()?;
        let profile = Arc::new(AtomicU16::new(profile.0));
        let closed = CancellationToken::new();
        self.shared.table.lock().listeners.push(Listener {
            configured,
            profile: profile.clone(),
            closed: closed.clone(),
        });
        let door = Entrance {
            transport: configured.transport,
            profile,
        };
        self.shared
            .runtime
            .spawn(accept(self.shared.clone(), listener, door, closed));
        Ok(local)
    }

    /// Addresses as configured at which it listens.
    pub fn listening(&self) -> Vec<ListenAddress> {
        let table = self.shared.table.lock();
        table.listeners.iter().map(|l| l.configured).collect()
    }

    /// After a reload: the profile of every configured address that stays. Listeners of other addresses close; their connections
    /// live on until they end.
    pub fn relabel(&self, profiles: &[(ListenAddress, ProfileId)]) {
        let mut table = self.shared.table.lock();
        table.listeners.retain(|listener| {
            match profiles.iter().find(|(a, _)| *a == listener.configured) {
                Some((_, profile)) => {
                    listener.profile.store(profile.0, Ordering::Relaxed);
                    true
                }
                None => {
                    listener.closed.cancel();
                    false
                }
            }
        });
    }

    /// Sends `bytes` on `flow`. Never blocks; a failure comes back as `Input::SendFailed`.
    pub fn send(&self, flow: Flow, bytes: Bytes) {
        let found = self.find(&flow);
        let sent = match (found, flow.connection) {
            (Some(connection), _) => connection.queue(&self.shared, bytes),
            (None, Some(_)) => false,
            // A browser cannot be called back (RFC 7118 §4).
            (None, None) if flow.transport.is_web_socket() => false,
            (None, None) => self.open(flow, bytes),
        };
        if !sent {
            self.shared.inbox.input(Input::SendFailed { flow });
        }
    }

    fn find(&self, flow: &Flow) -> Option<Arc<Connection>> {
        let table = self.shared.table.lock();
        let id = match flow.connection {
            Some(id) => id,
            None => *table.by_peer.get(&(flow.transport, flow.remote))?,
        };
        let connection = table.by_id.get(&id)?;
        let ours = flow.connection.is_some()
            || connection.profile.load(Ordering::Relaxed) == flow.profile.0;
        ours.then(|| connection.clone())
    }

    /// Begins a connection to `flow.remote`, with a first message that waits for it.
    fn open(&self, flow: Flow, bytes: Bytes) -> bool {
        let place = self.shared.places.take_for_us(flow.remote.ip());
        let entrance = Entrance {
            transport: flow.transport,
            profile: Arc::new(AtomicU16::new(flow.profile.0)),
        };
        let (connection, outbox) =
            self.shared
                .enter(&entrance, place, flow.local, flow.remote, Some(flow));
        // Before the task runs: it may fail at once, and says so for what is queued then.
        let queued = connection.queue(&self.shared, bytes);
        let task = porch::leave(self.shared.clone(), connection, outbox);
        self.shared.runtime.spawn(task);
        queued
    }

    /// The peer of `connection` may be sent over it what is meant for `remote` (RFC 5923 §5): it proved with its certificate every
    /// name that is expected there. Without that proof nothing happens.
    pub fn alias(&self, connection: ConnectionId, remote: SocketAddr) {
        let security = self.shared.security();
        let mut table = self.shared.table.lock();
        let Some(found) = table.by_id.get(&connection) else {
            return;
        };
        let profile = ProfileId(found.profile.load(Ordering::Relaxed));
        if security.may_be(profile, remote, &found.verified.lock()) {
            table.by_peer.insert((Transport::Tls, remote), connection);
        }
    }

    /// Closes a connection.
    pub fn close(&self, id: ConnectionId) {
        if let Some(connection) = self.shared.table.lock().by_id.get(&id) {
            connection.cut.cancel();
        }
    }

    /// Serves a WebSocket whose handshake another listener has done, for the profile that it belongs to. False when the peer's
    /// source, or the server, has as many connections as it may.
    pub fn adopt(&self, peer: WebPeer, frames: Frames) -> bool {
        let Some(place) = self.shared.places.take(peer.remote.ip()) else {
            count(&self.shared.metrics.connections_refused);
            return false;
        };
        let entrance = Entrance {
            transport: Transport::Ws,
            profile: Arc::new(AtomicU16::new(peer.profile.0)),
        };
        let task = porch::serve_frames(
            self.shared.clone(),
            entrance,
            place,
            (peer.local, peer.remote),
            Vec::new(),
            frames,
        );
        self.shared.runtime.spawn(task);
        true
    }

    /// Closes everything, so that peers learn at once that the server goes, and waits at most `patience` for what is still to be
    /// written.
    pub async fn close_all(&self, patience: Duration) {
        self.cut_all();
        let until = Instant::now() + patience;
        while !self.shared.table.lock().by_id.is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn cut_all(&self) {
        let table = self.shared.table.lock();
        for listener in &table.listeners {
            listener.closed.cancel();
        }
        for connection in table.by_id.values() {
            connection.cut.cancel();
        }
    }
}

/// Where a connection came in, or would have.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) transport: Transport,
    pub(super) profile: Arc<AtomicU16>,
}

impl Entrance {
    pub(super) fn profile(&self) -> ProfileId {
        ProfileId(self.profile.load(Ordering::Relaxed))
    }
}

impl Shared {
    pub(super) fn security(&self) -> Arc<Security> {
        self.security.read().clone()
    }

    /// Puts a connection into the table.
    pub(super) fn enter(
        &self,
        entrance: &Entrance,
        place: Place,
        local: SocketAddr,
        remote: SocketAddr,
        asked: Option<Flow>,
    ) -> (Arc<Connection>, tokio::sync::mpsc::UnboundedReceiver<Bytes>) {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        let (connection, outbox) = Connection::new(id, entrance, place, (local, remote), asked);
        let connection = Arc::new(connection);
        let mut table = self.table.lock();
        table.by_id.insert(id, connection.clone());
        // Whoever connects to us over TLS has proved no name: it is not sent what is meant for its address, unless `alias` says so.
        if asked.is_some() || !entrance.transport.is_secure() {
            table.by_peer.insert((entrance.transport, remote), id);
        }
        count(&self.metrics.connections_total);
        self.metrics
            .connections
            .store(table.by_id.len() as u64, Ordering::Relaxed);
        drop(table);
        (connection, outbox)
    }

    pub(super) fn remove(&self, connection: &Connection) {
        let mut table = self.table.lock();
        table.by_id.remove(&connection.id);
        // A newer connection to the same peer keeps its place.
        let key = (connection.transport, connection.remote);
        if table.by_peer.get(&key) == Some(&connection.id) {
            table.by_peer.remove(&key);
        }
        if connection.transport == Transport::Tls {
            table.by_peer.retain(|_, id| *id != connection.id);
        }
        self.metrics
            .connections
            .store(table.by_id.len() as u64, Ordering::Relaxed);
    }
}

async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    entrance: Entrance,
    closed: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = closed.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                let balanced = shared
                    .security()
                    .door(entrance.profile())
                    .trusts(remote.ip());
                let place = match balanced {
                    true => shared.places.take_unnamed(),
                    false => shared.places.take(remote.ip()),
                };
                let Some(place) = place else {
                    count(&shared.metrics.connections_refused);
                    continue;
                };
                let task = porch::come_in(
                    shared.clone(),
                    entrance.clone(),
                    place,
                    balanced,
                    (stream, remote),
                );
                shared.runtime.spawn(task);
            }
            Err(error) => {
                // Out of descriptors, most likely: let some go before trying again.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The flow of a message that came on `connection`.
pub(super) fn flow_of(connection: &Connection) -> Flow {
    Flow {
        profile: ProfileId(connection.profile.load(Ordering::Relaxed)),
        transport: connection.transport,
        local: connection.local(),
        remote: connection.remote,
        connection: Some(connection.id),
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
pub(super) mod tests;
