//! The top Via: stamped on the way in, followed on the way back (RFC 3261 §18.2, RFC 3581).

use std::net::SocketAddr;

use crate::sip::{Message, Via, edit};

use super::Flow;

/// Writes what we saw into the top Via of a request: `received` when its sent-by is not the source address, or when `rport` asks;
/// the source port as the value of `rport` when it stands there (RFC 3261 §18.2.1, RFC 3581 §4). A `received` that the peer wrote
/// itself is replaced. Responses, and requests with nothing to add, come back as they are.
pub fn stamp(message: Message, source: SocketAddr) -> Message {
    if !message.is_request() {
        return message;
    }
    let via = message.top_via();
    let needed = via.rport().is_some()
        || via.received().is_some()
        || via.host_ip() != Some(source.ip().to_canonical());
    if needed {
        edit::stamp_received(&message, source.ip().to_canonical(), source.port())
    } else {
        message
    }
}

/// Where the response to a request goes (RFC 3261 §18.2.2, RFC 3581 §4): over its connection; over UDP to the source address, and
/// there to the source port if `rport` asked for it, else to the port of sent-by. `maddr` is not followed: nobody needs it, and it
/// would let a stranger choose where our responses go.
pub fn response_flow(request_flow: Flow, top_via: &Via<'_>) -> Flow {
    if request_flow.transport.is_reliable() || top_via.rport().is_some() {
        return request_flow;
    }
    with_sent_by_port(request_flow, top_via)
}

/// Where the response goes when the connection of its request is gone: a new one to the source address and the port of sent-by
/// (RFC 3261 §18.2.2).
pub fn new_connection_flow(request_flow: Flow, top_via: &Via<'_>) -> Flow {
    Flow {
        connection: None,
        ..with_sent_by_port(request_flow, top_via)
    }
}

fn with_sent_by_port(flow: Flow, via: &Via<'_>) -> Flow {
    let port = via.port.unwrap_or(flow.transport.default_port());
    let mut remote = flow.remote;
    remote.set_port(port);
    Flow { remote, ..flow }
}
