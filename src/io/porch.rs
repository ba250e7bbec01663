//! How a connection begins, in either direction: who the load balancer brings, TLS, WebSocket, and then the door to its life.
//!
//! ```text
//! accepted -> PROXY header, if the source is a load balancer -> TLS -> WebSocket -> in the table, served
//! ```
//! Each step has a deadline, and nobody is in the table before the last one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::connection::{self, Connection};
use super::metrics::count;
use super::places::Place;
use super::proxy_protocol::{self, Introduced};
use super::tcp::{Entrance, Shared};
use super::web_socket::{self, Frames};
use crate::config::certificate_names;
use crate::switch::Input;
use crate::transport::Transport;

/// Takes an accepted connection in and serves it until it ends.
pub(super) async fn come_in(
    shared: Arc<Shared>,
    entrance: Entrance,
    mut place: Place,
    balanced: bool,
    (mut stream, mut remote): (TcpStream, SocketAddr),
) {
    let Ok(mut local) = stream.local_addr() else {
        return;
    };
    connection::tune(&stream);
    if balanced {
        let header = timeout(shared.limits.first, proxy_protocol::read(&mut stream)).await;
        match header {
            Ok(Ok(Introduced::Peer(source, target))) => (remote, local) = (source, target),
            Ok(Ok(Introduced::Itself)) => {}
            Ok(Err(error)) => {
                tracing::debug!(%remote, %error, "no PROXY header from a load balancer");
                return count(&shared.metrics.cut_malformed);
            }
            Err(_) => return count(&shared.metrics.cut_slow),
        }
        if !place.name(remote.ip()) {
            return count(&shared.metrics.connections_refused);
        }
    }
    let ends = (local, remote);
    match entrance.transport {
        Transport::Udp => {}
        Transport::Tcp => {
            let (served, outbox) = shared.enter(&entrance, place, local, remote, None);
            let (reader, writer) = stream.into_split();
            connection::serve(shared, served, reader, writer, outbox).await;
        }
        Transport::Ws => accept_web_socket(shared, entrance, place, ends, Vec::new(), stream).await,
        Transport::Tls | Transport::Wss => {
            let Some(stream) = shake_hands(&shared, &entrance, &place, remote, stream).await else {
                return;
            };
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            let names = certificate
                .map(|der| certificate_names(der))
                .unwrap_or_default();
            if entrance.transport == Transport::Wss {
                accept_web_socket(shared, entrance, place, ends, names, stream).await;
            } else {
                let (served, outbox) = shared.enter(&entrance, place, local, remote, None);
                introduce(&shared, &served, names);
                let (reader, writer) = tokio::io::split(stream);
                connection::serve(shared, served, reader, writer, outbox).await;
            }
        }
    }
}

/// Tells the core who has proved to be at the other end.
fn introduce(shared: &Shared, connection: &Connection, names: Vec<Arc<str>>) {
    if names.is_empty() {
        return;
    }
    connection.verified.lock().clone_from(&names);
    shared.inbox.input(Input::PeerVerified {
        connection: connection.id,
        names,
    });
}

/// The server's side of a TLS handshake. Handshakes of one source, and all of them, wait for their turn, each in its own line, so
/// that a storm of one does not keep the others out.
async fn shake_hands(
    shared: &Shared,
    entrance: &Entrance,
    place: &Place,
    remote: SocketAddr,
    stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let turn = timeout(shared.limits.turn, async {
        let of_source = match place.handshakes() {
            Some(line) => line.acquire_owned().await.ok(),
            None => None,
        };
        (of_source, shared.places.handshakes.acquire().await)
    })
    .await;
    let Ok(_turn) = turn else {
        count(&shared.metrics.connections_refused);
        return None;
    };
    // Only now: a reload while it waited counts.
    let greeting = shared.security().door(entrance.profile()).greeting();
    let Some(config) = greeting else {
        tracing::warn!(%remote, "TLS, but the profile has no certificate any more");
        return None;
    };
    let accepting = tokio_rustls::TlsAcceptor::from(config).accept(stream);
    match timeout(shared.limits.handshake, accepting).await {
        Ok(Ok(stream)) => {
            count(&shared.metrics.handshakes);
            Some(stream)
        }
        Ok(Err(error)) => {
            tracing::debug!(%remote, %error, "a TLS handshake failed");
            count(&shared.metrics.handshakes_failed);
            None
        }
        Err(_) => {
            count(&shared.metrics.handshakes_failed);
            count(&shared.metrics.cut_slow);
            None
        }
    }
}

async fn accept_web_socket<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    shared: Arc<Shared>,
    entrance: Entrance,
    place: Place,
    ends: (SocketAddr, SocketAddr),
    names: Vec<Arc<str>>,
    stream: S,
) {
    match timeout(shared.limits.handshake, web_socket::accept(stream)).await {
        Ok(Some(frames)) => serve_frames(shared, entrance, place, ends, names, frames).await,
        Ok(None) => count(&shared.metrics.cut_malformed),
        Err(_) => count(&shared.metrics.cut_slow),
    }
}

/// Serves a WebSocket whose handshake is over.
pub(super) async fn serve_frames(
    shared: Arc<Shared>,
    entrance: Entrance,
    place: Place,
    (local, remote): (SocketAddr, SocketAddr),
    names: Vec<Arc<str>>,
    frames: Frames,
) {
    let (served, outbox) = shared.enter(&entrance, place, local, remote, None);
    introduce(&shared, &served, names);
    web_socket::serve(shared, served, frames, outbox).await;
}

/// Makes a connection of ours, then serves it; a failure is reported once, for the flow that asked.
pub(super) async fn leave(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    messages: UnboundedReceiver<Bytes>,
) {
    let made = timeout(shared.limits.connect, dial(&connection)).await;
    let stream = match made {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refuse(&shared, &connection, &error.to_string()),
        Err(_) => return refuse(&shared, &connection, "no answer in time"),
    };
    connection::tune(&stream);
    if let Ok(local) = stream.local_addr() {
        connection.leaves_from(local.ip());
    }
    if connection.transport != Transport::Tls {
        let (reader, writer) = stream.into_split();
        return connection::serve(shared, connection, reader, writer, messages).await;
    }
    let profile = super::tcp::flow_of(&connection).profile;
    let shaking = shared
        .security()
        .connect(profile, connection.remote, stream);
    match timeout(shared.limits.handshake, shaking).await {
        Ok(Ok(stream)) => {
            count(&shared.metrics.handshakes);
            let (reader, writer) = tokio::io::split(stream);
            connection::serve(shared, connection, reader, writer, messages).await;
        }
        Ok(Err(error)) => {
            count(&shared.metrics.handshakes_failed);
            tracing::warn!(remote = %connection.remote, %error, "no TLS with a trunk's gateway");
            refuse(&shared, &connection, "no TLS");
        }
        Err(_) => {
            count(&shared.metrics.handshakes_failed);
            refuse(&shared, &connection, "no TLS in time");
        }
    }
}

fn refuse(shared: &Shared, connection: &Connection, why: &str) {
    tracing::debug!(remote = %connection.remote, why, "cannot connect");
    connection.cut.cancel();
    shared.remove(connection);
    if let Some(flow) = connection.asked {
        shared.inbox.input(Input::SendFailed { flow });
    }
}

async fn dial(connection: &Connection) -> io::Result<TcpStream> {
    let socket = if connection.remote.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    let mut local = connection.local();
    if !local.ip().is_unspecified() && local.is_ipv4() == connection.remote.is_ipv4() {
        local.set_port(0);
        socket.bind(local)?;
    }
    socket.connect(connection.remote).await
}
