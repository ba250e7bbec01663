//! What happened, in order: every message on the wire and every event with its time, folded into one hash. Checkers and ladders
//! read nothing else.

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::Value;

use super::media::{MediaOrder, MediaReport};
use super::node::Path;
use super::world::CrashPoint;
use crate::base::Instant;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A peer sent a message; `copies` reached the network's other end.
    PeerSent {
        /// Which peer.
        actor: usize,
        /// To whom.
        to: SocketAddr,
        /// Over a stream.
        stream: bool,
        /// The message.
        bytes: Bytes,
    },
    /// A message was handed to the server.
    NodeReceived {
        /// The sending peer.
        actor: usize,
        /// As the server sees it.
        path: Path,
        /// The message.
        bytes: Bytes,
    },
    /// The server sent a message.
    NodeSent {
        /// The peer that it is for, if one lives there.
        actor: Option<usize>,
        /// As the server sees it.
        path: Path,
        /// The message.
        bytes: Bytes,
    },
    /// A message was handed to a peer.
    PeerReceived {
        /// Which peer.
        actor: usize,
        /// From whom.
        from: SocketAddr,
        /// The message.
        bytes: Bytes,
    },
    /// The server published a fact.
    Event(Value),
    /// The server told the media plane something.
    MediaOrder(MediaOrder),
    /// The media plane told the server something.
    MediaReport(MediaReport),
    /// The server answered a command.
    Reply(u64, Value),
    /// The server was told something by the API.
    Command(u64, Value),
    /// A line of the server's log; true for its own faults.
    Log(bool, String),
    /// The server died, at this point.
    Crash(CrashPoint),
    /// The server lives again.
    Restart {
        /// How many records it was given.
        records: usize,
        /// Address of record and contact of the bindings that it has then.
        bindings: Vec<(String, String)>,
    },
    /// The server was told that a connection is gone.
    Closed(u64),
    /// A situation worth counting: a name of [`super::reach`].
    Reached(&'static str),
    /// The journal refuses to be written (true), or takes what was kept (false).
    JournalRefuses(bool),
    /// Trouble is over: the network is perfect, peers behave and hang up.
    Healing,
    /// Something worth reading, said by a peer or by the world.
    Note(String),
}

/// All that happened.
#[derive(Default)]
pub struct Trace {
    entries: Vec<(Instant, Happening)>,
    hash: u64,
}

const FNV_PRIME: u64 = 0x0100_0000_01b3;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

impl Trace {
    /// An empty trace.
    pub fn new() -> Trace {
        Trace {
            entries: Vec::new(),
            hash: FNV_OFFSET,
        }
    }

    /// Appends, and folds into the hash (FNV-1a, so that the value does not depend on the compiler).
    pub fn push(&mut self, at: Instant, happening: Happening) {
        self.fold(&at.as_nanos().to_le_bytes());
        match &happening {
            Happening::PeerSent {
                actor, to, bytes, ..
            } => {
                self.fold(format!("p>{actor}{to}").as_bytes());
                self.fold(bytes);
            }
            Happening::NodeReceived { actor, path, bytes } => {
                self.fold(format!("n<{actor}{path:?}").as_bytes());
                self.fold(bytes);
            }
            Happening::NodeSent { actor, path, bytes } => {
                self.fold(format!("n>{actor:?}{path:?}").as_bytes());
                self.fold(bytes);
            }
            Happening::PeerReceived { actor, from, bytes } => {
                self.fold(format!("p<{actor}{from}").as_bytes());
                self.fold(bytes);
            }
            Happening::Event(value) => self.fold(value.to_string().as_bytes()),
            Happening::Reply(id, value) | Happening::Command(id, value) => {
                self.fold(&id.to_le_bytes());
                self.fold(value.to_string().as_bytes());
            }
            other => self.fold(format!("{other:?}").as_bytes()),
        }
        self.entries.push((at, happening));
    }

    fn fold(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Everything so far, in order.
    pub fn entries(&self) -> &[(Instant, Happening)] {
        &self.entries
    }

    /// True when the server died at least once.
    pub fn has_crash(&self) -> bool {
        self.entries
            .iter()
            .any(|(_, h)| matches!(h, Happening::Crash(_)))
    }
}
