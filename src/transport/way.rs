//! A way to a peer: the flow, the Request-URI and the Route values of a request that goes there.

use bytes::Bytes;

use super::Flow;

/// How a request reaches one peer. Whoever sends it writes `request_uri` into the request line and `routes` as Route headers in
/// their order (RFC 3261 §8.1.1.1, RFC 3327 §5.4), and sends it on `flow`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// Where the message itself is sent.
    pub flow: Flow,
    /// The Request-URI.
    pub request_uri: Bytes,
    /// Values of Route headers, the next hop first; empty when the peer is reached directly.
    pub routes: Vec<Bytes>,
}
