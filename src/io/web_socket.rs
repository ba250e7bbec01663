//! SIP over WebSocket (RFC 7118): the handshake on a listener of our own, and the life of a connection that carries frames.
//!
//! One frame is one SIP message; a ping of ours every 25 s keeps the path open and finds out who is gone. The API's listener does
//! its own handshake and hands the frames over ([`Streams::adopt`](super::tcp::Streams::adopt)).

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::connection::{self, Connection};
use super::metrics::count;
use super::tcp::{Shared, flow_of};
use crate::base::limits::MESSAGE_BYTES_MAX;
use crate::switch::Input;
use crate::transport::ProfileId;

/// The subprotocol of SIP (RFC 7118 §4.1).
pub const SUBPROTOCOL: &str = "sip";

/// What a listener without SIP's subprotocol in the request answers, after which it closes.
const UPGRADE_REQUIRED: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\
    Connection: Upgrade, close\r\nSec-WebSocket-Protocol: sip\r\nContent-Length: 0\r\n\r\n";

/// A frame, as far as SIP cares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Text or binary: one SIP message, or a keep-alive. Outgoing it becomes text where it is UTF-8.
    Message(Bytes),
    /// Are you there?
    Ping,
    /// Yes.
    Pong,
    /// The end.
    Close,
    /// The peer broke the rules of WebSocket, or a frame is larger than [`MESSAGE_BYTES_MAX`].
    Broken,
}

/// Both directions of a WebSocket after its handshake. Incoming pings have been answered by whoever made it.
pub struct Frames {
    /// From the peer; ends when the connection does.
    pub incoming: Pin<Box<dyn Stream<Item = Frame> + Send>>,
    /// To the peer.
    pub outgoing: Pin<Box<dyn Sink<Frame, Error = ()> + Send>>,
}

/// Whose WebSocket another listener hands over.
#[derive(Clone, Copy, Debug)]
pub struct WebPeer {
    /// The profile that it belongs to.
    pub profile: ProfileId,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
}

/// Limits that hold for every WebSocket that carries SIP.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MESSAGE_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// The server's side of the handshake. `None` when the peer does not speak SIP over WebSocket; it has been told.
pub(super) async fn accept<S>(mut stream: S) -> Option<Frames>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut answered = false;
    let accepted =
        accept_hdr_async_with_config(&mut stream, Greeter(&mut answered), Some(config())).await;
    match accepted {
        // A client may not speak before the answer, so nothing of it is lost here (RFC 6455 §4.1).
        Ok(_) => {
            let socket =
                WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await;
            Some(frames(socket))
        }
        Err(error) => {
            tracing::debug!(%error, "no SIP over WebSocket");
            if !answered && !matches!(error, tungstenite::Error::Io(_)) {
                let _ = stream.write_all(UPGRADE_REQUIRED).await;
            }
            let _ = timeout(Duration::from_millis(100), stream.shutdown()).await;
            None
        }
    }
}

/// Looks for the subprotocol in the request and puts it into the answer.
struct Greeter<'a>(&'a mut bool);

impl tungstenite::handshake::server::Callback for Greeter<'_> {
    #[allow(clippy::result_large_err)] // the trait's own type
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        *self.0 = true;
        let offered = request
            .headers()
            .get_all(header::SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|name| name.trim().eq_ignore_ascii_case(SUBPROTOCOL));
        if !offered {
            let mut refusal = ErrorResponse::new(Some("the subprotocol is `sip`\n".to_owned()));
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            return Err(refusal);
        }
        response.headers_mut().insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        );
        Ok(response)
    }
}

fn frames<S>(socket: WebSocketStream<S>) -> Frames
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sink, stream) = socket.split();
    let incoming = stream.filter_map(|item| async {
        match item {
            Ok(Message::Text(text)) => Some(Frame::Message(text.into())),
            Ok(Message::Binary(bytes)) => Some(Frame::Message(bytes)),
            Ok(Message::Ping(_)) => Some(Frame::Ping),
            Ok(Message::Pong(_)) => Some(Frame::Pong),
            Ok(Message::Close(_)) => Some(Frame::Close),
            Ok(Message::Frame(_)) => None,
            Err(tungstenite::Error::Io(_)) => Some(Frame::Close),
            Err(_) => Some(Frame::Broken),
        }
    });
    let outgoing = sink
        .with(|frame: Frame| async move { Ok::<_, tungstenite::Error>(message(frame)) })
        .sink_map_err(drop);
    Frames {
        incoming: Box::pin(incoming),
        outgoing: Box::pin(outgoing),
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Message(bytes) => match tungstenite::Utf8Bytes::try_from(bytes.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(bytes),
        },
        Frame::Ping => Message::Ping(Bytes::new()),
        Frame::Pong => Message::Pong(Bytes::new()),
        Frame::Close | Frame::Broken => Message::Close(None),
    }
}

/// Serves a WebSocket until it ends, then says so to the core.
pub(super) async fn serve(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    frames: Frames,
    messages: UnboundedReceiver<Bytes>,
) {
    connection::until_the_end(
        &shared,
        &connection,
        read(&shared, &connection, frames.incoming),
        write(&shared, &connection, frames.outgoing, messages),
    )
    .await;
}

async fn read(
    shared: &Shared,
    connection: &Connection,
    mut incoming: Pin<Box<dyn Stream<Item = Frame> + Send>>,
) {
    let limits = &shared.limits;
    let first_until = Instant::now() + limits.first;
    let mut proved = false;
    loop {
        while shared.inbox.is_crowded() {
            sleep(Duration::from_millis(5)).await;
        }
        let (until, late) = match proved {
            false => (first_until, &shared.metrics.cut_slow),
            true => (Instant::now() + limits.web_idle, &shared.metrics.cut_idle),
        };
        let bytes = match timeout_at(until, incoming.next()).await {
            Err(_) => return count(late),
            Ok(None | Some(Frame::Close)) => return,
            Ok(Some(Frame::Broken)) => return count(&shared.metrics.cut_malformed),
            Ok(Some(Frame::Ping)) => {
                count(&shared.metrics.keep_alives);
                continue;
            }
            Ok(Some(Frame::Pong)) => continue,
            Ok(Some(Frame::Message(bytes))) => bytes,
        };
        // Some stacks keep alive as on TCP (RFC 5626 §3.5.1).
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
            count(&shared.metrics.keep_alives);
            if bytes.len() >= 4 {
                connection.queue(shared, Bytes::from_static(b"\r\n"));
            }
            continue;
        }
        if !connection::speaks_sip(&bytes) {
            return count(&shared.metrics.cut_malformed);
        }
        proved = true;
        count(&shared.metrics.stream_messages_in);
        let flow = flow_of(connection);
        shared.inbox.input(Input::Received { flow, bytes });
    }
}

async fn write(
    shared: &Shared,
    connection: &Connection,
    mut outgoing: Pin<Box<dyn Sink<Frame, Error = ()> + Send>>,
    mut messages: UnboundedReceiver<Bytes>,
) {
    let every = shared.limits.web_ping;
    let mut pings = interval_at(Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (frame, length) = tokio::select! {
            biased;
            message = messages.recv() => match message {
                Some(bytes) => {
                    let length = bytes.len();
                    (Frame::Message(bytes), length)
                }
                None => break,
            },
            () = connection.cut.cancelled() => break,
            _ = pings.tick() => (Frame::Ping, 0),
        };
        let writing = timeout(shared.limits.write, outgoing.send(frame));
        let written = tokio::select! {
            written = writing => written,
            () = connection::patience_after(&connection.cut) => return,
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(())) => return,
            Err(_) => return count(&shared.metrics.cut_unread),
        }
        if length > 0 {
            connection.wrote(shared, length);
        }
    }
    let _ = timeout(Duration::from_millis(100), async {
        // a sink that has failed must not be asked again
        if outgoing.send(Frame::Close).await.is_ok() {
            let _ = outgoing.close().await;
        }
    })
    .await;
}
