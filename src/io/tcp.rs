//! TCP: the table of connections, listeners, and the sending side that the shard sees. One connection's life is in `connection.rs`.
//!
//! A message for a peer without a named connection goes over one that is open to it, or opens one (RFC 3261 §18.1.1). What a
//! peer may cost is bounded: connections by source and in all, time to the first request, bytes that it does not read.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connection::{self, Connection};
use super::inbox::Inbox;
use super::metrics::{Metrics, count};
use crate::switch::Input;
use crate::transport::{ConnectionId, Flow, ProfileId, Transport};

/// Connections from one source address at most: an office behind one NAT (guess).
const PER_SOURCE_MAX: usize = 256;
/// Connections in all at most; half of the usual file limit of 65,536 stays for media (guess).
const CONNECTIONS_MAX: usize = 20_000;
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
    table: Mutex<Table>,
    next: AtomicU64,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<ConnectionId, Arc<Connection>>,
    by_peer: HashMap<SocketAddr, ConnectionId>,
    per_source: HashMap<IpAddr, usize>,
    listeners: Vec<Listener>,
}

struct Listener {
    configured: SocketAddr,
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
                table: Mutex::default(),
                next: AtomicU64::new(1),
            }),
        }
    }

    /// Listens at `configured` for `profile`; gives the bound address.
    pub fn listen(&self, profile: ProfileId, configured: SocketAddr) -> io::Result<SocketAddr> {
        let socket = Socket::new(
            Domain::for_address(configured),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if configured.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&configured.into())?;
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
        self.shared
            .runtime
            .spawn(accept(self.shared.clone(), listener, profile, closed));
        Ok(local)
    }

    /// Addresses as configured at which it listens.
    pub fn listening(&self) -> Vec<SocketAddr> {
        let table = self.shared.table.lock();
        table.listeners.iter().map(|l| l.configured).collect()
    }

    /// After a reload: the profile of every configured address that stays. Listeners of other addresses close; their connections
    /// live on until they end.
    pub fn relabel(&self, profiles: &[(SocketAddr, ProfileId)]) {
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
            (None, None) => self.open(flow).queue(&self.shared, bytes),
        };
        if !sent {
            self.shared.inbox.input(Input::SendFailed { flow });
        }
    }

    fn find(&self, flow: &Flow) -> Option<Arc<Connection>> {
        let table = self.shared.table.lock();
        let id = match flow.connection {
            Some(id) => id,
            None => *table.by_peer.get(&flow.remote)?,
        };
        let connection = table.by_id.get(&id)?;
        let ours = flow.connection.is_some()
            || connection.profile.load(Ordering::Relaxed) == flow.profile.0;
        ours.then(|| connection.clone())
    }

    /// Begins a connection to `flow.remote`; messages may be queued on it at once.
    fn open(&self, flow: Flow) -> Arc<Connection> {
        let id = self.shared.next_id();
        let profile = Arc::new(AtomicU16::new(flow.profile.0));
        let (connection, outbox) =
            Connection::new(id, profile, flow.local, flow.remote, Some(flow));
        let connection = Arc::new(connection);
        self.shared.insert(&connection);
        let task = connection::connect(self.shared.clone(), connection.clone(), outbox);
        self.shared.runtime.spawn(task);
        connection
    }

    /// Closes a connection.
    pub fn close(&self, id: ConnectionId) {
        if let Some(connection) = self.shared.table.lock().by_id.get(&id) {
            connection.cut.cancel();
        }
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

impl Shared {
    fn next_id(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn insert(&self, connection: &Arc<Connection>) {
        let mut table = self.table.lock();
        table.by_id.insert(connection.id, connection.clone());
        table.by_peer.insert(connection.remote, connection.id);
        *table.per_source.entry(connection.remote.ip()).or_default() += 1;
        count(&self.metrics.connections_total);
        self.metrics
            .connections
            .store(table.by_id.len() as u64, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, connection: &Connection) {
        let mut table = self.table.lock();
        table.by_id.remove(&connection.id);
        // A newer connection to the same peer keeps its place.
        if table.by_peer.get(&connection.remote) == Some(&connection.id) {
            table.by_peer.remove(&connection.remote);
        }
        if let Some(number) = table.per_source.get_mut(&connection.remote.ip()) {
            *number -= 1;
            if *number == 0 {
                table.per_source.remove(&connection.remote.ip());
            }
        }
        self.metrics
            .connections
            .store(table.by_id.len() as u64, Ordering::Relaxed);
    }

    fn has_room_for(&self, source: IpAddr) -> bool {
        let table = self.table.lock();
        table.by_id.len() < CONNECTIONS_MAX
            && table.per_source.get(&source).copied().unwrap_or(0) < PER_SOURCE_MAX
    }
}

async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    profile: Arc<AtomicU16>,
    closed: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = closed.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => take_in(&shared, stream, remote, &profile),
            Err(error) => {
                // Out of descriptors, most likely: let some go before trying again.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn take_in(shared: &Arc<Shared>, stream: TcpStream, remote: SocketAddr, profile: &Arc<AtomicU16>) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    if !shared.has_room_for(remote.ip()) {
        count(&shared.metrics.connections_refused);
        return;
    }
    let id = shared.next_id();
    let (connection, outbox) = Connection::new(id, profile.clone(), local, remote, None);
    let connection = Arc::new(connection);
    shared.insert(&connection);
    let task = connection::serve(shared.clone(), connection, stream, outbox);
    shared.runtime.spawn(task);
}

/// The flow of a message that came on `connection`.
pub(super) fn flow_of(connection: &Connection) -> Flow {
    Flow {
        profile: ProfileId(connection.profile.load(Ordering::Relaxed)),
        transport: Transport::Tcp,
        local: connection.local(),
        remote: connection.remote,
        connection: Some(connection.id),
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
