//! What the world sees of a server: inputs, effects and what it must be able to tell, in plain types. `Switch` fits through a
//! thin adapter; tests may put something else behind it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::media::{MediaOrder, MediaReport};
use crate::base::{Duration, Instant, Now};

/// Where a message came in or goes out, as the server sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Path {
    /// True for TCP, false for UDP.
    pub stream: bool,
    /// The server's address.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The connection of a stream, when one is meant.
    pub connection: Option<u64>,
}

/// What reaches a server.
#[derive(Clone, Debug)]
pub enum NodeInput {
    /// One framed message.
    Received {
        /// Where from.
        path: Path,
        /// The message.
        bytes: Bytes,
    },
    /// A connection is gone.
    Closed {
        /// Which.
        path: Path,
    },
    /// A message could not be sent on this path.
    SendFailed {
        /// Which.
        path: Path,
    },
    /// A deadline has come.
    Tick,
    /// From the media plane.
    Media(MediaReport),
    /// An API command as JSON, to be answered by [`NodeEffect::Reply`] with the same id.
    Command {
        /// Chosen by who asks.
        id: u64,
        /// The command.
        command: Value,
    },
    /// A record of the journal, before [`NodeInput::Ready`].
    Restore(Arc<str>),
    /// All records have been restored.
    Ready,
    /// The journal can, or cannot, be written.
    StoreHealth {
        /// True when it can.
        ok: bool,
    },
    /// The answer of the name service: where a name leads, and how long that holds.
    Resolved {
        /// The query.
        query: u64,
        /// Addresses; none when there are none.
        places: Vec<SocketAddr>,
        /// For how long.
        ttl: Duration,
    },
    /// New configuration files. What is refused changes nothing, and is said in a [`NodeEffect::Log`] that begins with `refused: `.
    Reload {
        /// Name and text of each.
        files: Vec<(String, String)>,
    },
    /// How far behind the server is: 0 not at all, 1 it lags, 2 it goes on lagging.
    Load {
        /// The level.
        level: u8,
    },
}

/// What a server wants done.
#[derive(Clone, Debug)]
pub enum NodeEffect {
    /// Send one message.
    Send {
        /// Where to.
        path: Path,
        /// The message.
        bytes: Bytes,
    },
    /// Close a connection.
    Close {
        /// Which.
        connection: u64,
    },
    /// To the media plane.
    Media(MediaOrder),
    /// Append to the journal before any message of this batch leaves.
    Journal(Arc<str>),
    /// A published fact, as JSON.
    Event(Value),
    /// Look a name up.
    Resolve {
        /// Names the answer.
        query: u64,
        /// The name.
        name: String,
    },
    /// The answer to a command.
    Reply {
        /// The command's id.
        id: u64,
        /// The answer.
        reply: Value,
    },
    /// A line of the log.
    Log {
        /// True for what a test must not pass over: an error of our own.
        fault: bool,
        /// The line.
        text: String,
    },
}

/// What a server still holds; everything must be zero when all is over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Residue(pub Vec<(&'static str, usize)>);

impl Residue {
    /// A sentence that names what is left, or nothing.
    pub fn complaint(&self) -> Option<String> {
        let left: Vec<String> = self
            .0
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        (!left.is_empty()).then(|| format!("still held: {}", left.join(", ")))
    }
}

/// A server in the world.
pub trait Node {
    /// Takes one input and pushes what must be done.
    fn handle(&mut self, now: Now, input: NodeInput, fx: &mut Vec<NodeEffect>);
    /// When it wants [`NodeInput::Tick`].
    fn next_deadline(&mut self) -> Option<Instant>;
    /// What it still holds.
    fn residue(&mut self) -> Residue;
    /// Address of record and contact of every binding, sorted.
    fn bindings(&mut self, now: Now) -> Vec<(String, String)>;
    /// Breaks one of its rules on purpose; false when it knows no such rule.
    fn break_rule(&mut self, rule: &str) -> bool;
}

/// Makes a server anew: at the start and after each crash. The number counts the boots from zero.
pub type NodeMaker = Box<dyn FnMut(Now, u32) -> Box<dyn Node>>;
