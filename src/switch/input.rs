//! Everything that can reach the switch. Together with `effect.rs` this is its whole contact with the world.

use std::sync::Arc;

use bytes::Bytes;

use super::command::Command;
use super::record::Record;
use crate::base::Duration;
use crate::config::Settings;
use crate::media::MediaEvent;
use crate::transport::{ConnectionId, Flow, Located};

/// How far the shard is behind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum LoadLevel {
    /// It keeps up.
    #[default]
    Easy,
    /// It lags: registrations, subscriptions and pings are asked to come later.
    High,
    /// It goes on lagging: new calls are asked to come later as well.
    Severe,
}

/// One input. `Switch::handle` takes it with the time at which the shell saw it.
#[derive(Clone, Debug)]
pub enum Input {
    /// One datagram, or one message framed from a stream.
    Received {
        /// Where it came from and where it arrived.
        flow: Flow,
        /// The message, not yet parsed.
        bytes: Bytes,
    },
    /// A connection is gone.
    ConnectionClosed {
        /// Which one.
        connection: ConnectionId,
    },
    /// The peer of a connection has proved with a certificate who it is. Comes before the connection's first message.
    PeerVerified {
        /// Which one.
        connection: ConnectionId,
        /// Names in its certificate, in lower case (RFC 5922 §7.1).
        names: Vec<Arc<str>>,
    },
    /// A message could not be sent: no connection, or ICMP said so.
    SendFailed {
        /// Where it should have gone.
        flow: Flow,
    },
    /// Time has passed: a deadline named by `Switch::next_deadline` is due.
    Tick,
    /// From a media worker.
    Media(MediaEvent),
    /// From the API or the command line.
    Command {
        /// Names the answer in `Effect::Reply`.
        id: u64,
        /// What is asked.
        command: Command,
    },
    /// A new configuration, valid as a whole.
    Settings(Arc<Settings>),
    /// The answer to `Effect::Resolve`; empty when the name has no address.
    Resolved {
        /// The query's number.
        query: u64,
        /// Where its servers may be, in no order.
        places: Vec<Located>,
        /// How long that holds.
        ttl: Duration,
    },
    /// An entry of the journal, in order, before `Ready`.
    Restore(Box<Record>),
    /// The journal has been read: close what was left open, then take calls.
    Ready,
    /// The shard cannot, or can again, keep up with what comes.
    Load {
        /// How bad it is.
        level: LoadLevel,
    },
    /// The journal can, or cannot, be written.
    StoreHealth {
        /// True when it can.
        ok: bool,
    },
}
