//! SIP over WebSocket on the web server's own listener (RFC 7118): the handshake here, everything else in the shell.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

use super::problem::{self, Problem};
use crate::base::limits::MESSAGE_BYTES_MAX;
use crate::io::handle::Handle;
use crate::io::web_socket::{Frame, Frames, SUBPROTOCOL, WebPeer};
use crate::transport::ProfileId;

/// A path that no route has: the `web-path` of a profile, or nothing.
pub(super) async fn or_nothing(
    State(handle): State<Handle>,
    uri: Uri,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let settings = handle.settings();
    let found = settings
        .profiles
        .iter()
        .position(|profile| profile.web_path.as_deref() == Some(uri.path()));
    let Some(profile) = found.and_then(|at| u16::try_from(at).ok()).map(ProfileId) else {
        return problem::no_such_route(uri).await.into_response();
    };
    let Ok(upgrade) = upgrade else {
        let text = "SIP is spoken over WebSocket here, with the subprotocol `sip`";
        let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", text);
        let mut response = problem.into_response();
        let web_socket = HeaderValue::from_static("websocket");
        response.headers_mut().insert(header::UPGRADE, web_socket);
        return response;
    };
    let remote = settings
        .profiles
        .get(usize::from(profile.0))
        .filter(|own| own.proxy_protocol.iter().any(|n| n.contains(remote.ip())))
        .and_then(|_| introduced(&headers))
        .map_or(remote, |ip| SocketAddr::new(ip, remote.port()));
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MESSAGE_BYTES_MAX);
    if upgrade.selected_protocol().is_none() {
        let text = "the subprotocol is `sip`";
        return Problem::new(StatusCode::BAD_REQUEST, "subprotocol_required", text).into_response();
    }
    let peer = WebPeer {
        profile,
        local: settings.http.listen,
        remote,
    };
    upgrade.on_upgrade(move |socket| async move {
        handle.adopt_web_socket(peer, frames(socket));
    })
}

/// Whom a proxy before the web server brings: the last address that it wrote, which is the one that it saw itself.
fn introduced(headers: &HeaderMap) -> Option<IpAddr> {
    let written = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = written.to_str().ok()?.rsplit(',').next()?.trim();
    last.parse().ok()
}

fn frames(socket: WebSocket) -> Frames {
    let (sink, stream) = socket.split();
    let incoming = stream.map(|item| match item {
        Ok(Message::Text(text)) => Frame::Message(text.into()),
        Ok(Message::Binary(bytes)) => Frame::Message(bytes),
        Ok(Message::Ping(_)) => Frame::Ping,
        Ok(Message::Pong(_)) => Frame::Pong,
        Ok(Message::Close(_)) => Frame::Close,
        // axum does not say whether the peer is gone or rude
        Err(_) => Frame::Close,
    });
    let outgoing = sink
        .with(|frame: Frame| async move { Ok::<_, axum::Error>(message(frame)) })
        .sink_map_err(drop);
    Frames {
        incoming: Box::pin(incoming),
        outgoing: Box::pin(outgoing),
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Message(bytes) => match Utf8Bytes::try_from(bytes.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(bytes),
        },
        Frame::Ping => Message::Ping(Bytes::new()),
        Frame::Pong => Message::Pong(Bytes::new()),
        Frame::Close | Frame::Broken => Message::Close(None),
    }
}
