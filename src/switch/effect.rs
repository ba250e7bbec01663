//! Everything that the switch can do to the world.
//!
//! Order matters: the shell makes the journal entries of a batch of inputs durable with one write before any of the batch's
//! messages leave (grade *written*), so an answer never promises what a kill could forget.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::command::Reply;
use super::record::{Event, Record};
use crate::media::MediaCommand;
use crate::transport::{ConnectionId, Flow, ProfileId, Target};

/// One effect.
#[allow(clippy::large_enum_variant)] // a box for each message sent would cost more
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a message. Over TCP with no connection the shell uses or opens one to `flow.remote`.
    Send {
        /// From where to where.
        flow: Flow,
        /// The message.
        bytes: Bytes,
    },
    /// From now on, who is connected to over TLS at `remote` must prove to be `host` (RFC 5922 §7), by the rules of `trunk`. A TLS
    /// connection to an address of which nothing was said is not made.
    Expect {
        /// For which profile.
        profile: ProfileId,
        /// Where.
        remote: SocketAddr,
        /// The host of the trunk's proxy, as configured: not what name service made of it.
        host: Arc<str>,
        /// The trunk.
        trunk: Arc<str>,
    },
    /// The peer of a connection offers it for messages to `remote` (RFC 5923 §5).
    Alias {
        /// The connection.
        connection: ConnectionId,
        /// Where the peer listens.
        remote: SocketAddr,
    },
    /// Close a connection that misbehaves.
    CloseConnection(ConnectionId),
    /// For a media worker.
    Media(MediaCommand),
    /// Keep this before anything of this batch is sent.
    Journal(Record),
    /// Publish this; it is journaled as well.
    Event(Arc<Event>),
    /// The answer to a command.
    Reply {
        /// The command's number.
        id: u64,
        /// What came of it.
        reply: Reply,
    },
    /// Look a name up; answered by `Input::Resolved`.
    Resolve {
        /// Number of the query.
        query: u64,
        /// What to find (RFC 3263 §4).
        target: Target,
    },
    /// Tell the operator.
    Log {
        /// How bad it is.
        level: Level,
        /// One sentence, already safe to print.
        text: String,
    },
}

/// How bad a log line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// For those who look for something.
    Debug,
    /// Normal life.
    Info,
    /// Something is odd; service goes on.
    Warn,
    /// Service suffers.
    Error,
}

/// The sink of effects of one batch, in order.
#[derive(Default, Debug)]
pub struct Effects {
    /// The effects so far.
    pub list: Vec<Effect>,
    /// The last input was turned away by the guard, or is no SIP: nobody needs to remember it.
    pub turned_away: bool,
}

impl Effects {
    /// An empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an effect.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Takes what is there.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.list.drain(..)
    }
}
