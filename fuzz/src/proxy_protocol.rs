//! The server's reader of PROXY headers, asked without a runtime: memory never makes it wait.

use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[path = "../../src/io/proxy_protocol.rs"]
mod reader;

/// What the front of a connection was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// No header.
    Refused,
    /// A header; the balancer itself when there are no addresses.
    Peer {
        /// Bytes of the header.
        taken: usize,
        /// The peer's address and the one that it asked for.
        ends: Option<(SocketAddr, SocketAddr)>,
    },
}

/// Reads the header at the front of `data`.
///
/// # Panics
/// If reading from memory would have to wait.
pub fn begin_of(data: &[u8]) -> Read {
    let mut rest = data;
    let found = {
        let reading = pin!(reader::read(&mut rest));
        match reading.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) => found,
            Poll::Pending => panic!("memory does not make anybody wait"),
        }
    };
    let ends = match found {
        Err(_) => return Read::Refused,
        Ok(reader::Introduced::Itself) => None,
        Ok(reader::Introduced::Peer(source, target)) => Some((source, target)),
    };
    Read::Peer {
        taken: data.len() - rest.len(),
        ends,
    }
}
