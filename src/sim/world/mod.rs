//! The virtual world: one clock, one heap of events in total order, one seed. Peers and a server talk through a simulated network.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::base::{Duration, Entropy, Instant, Now, WallTime};
use crate::sim::actors::{Actor, Context, Deed, Order, Packet, Reminder};
use crate::sim::media::{MediaPlane, MediaReport, MediaTimer};
use crate::sim::nat::Nat;
use crate::sim::network::Link;
use crate::sim::node::{Node, NodeInput, NodeMaker, Path};
use crate::sim::trace::{Happening, Trace};

mod faults;
mod server;
mod wires;

pub use faults::Resolver;

#[cfg(test)]
mod tests;

/// Where in the handling of a batch the server dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashPoint {
    /// Between two batches.
    Between,
    /// The next batch was decided, and nothing of it was written or sent.
    BeforeWrite,
    /// The next batch was written, and nothing of it was sent.
    AfterWrite,
}

enum Event {
    ToNode(NodeInput),
    ToNodeFrom {
        actor: usize,
        path: Path,
        bytes: Bytes,
    },
    ToActor {
        actor: usize,
        packet: Packet,
        /// Over this connection, which must still be open.
        connection: Option<u64>,
        /// To this public port of its NAT.
        through: Option<u16>,
    },
    Remind {
        actor: usize,
        reminder: Reminder,
    },
    Order {
        actor: usize,
        order: Order,
    },
    ActorClosed {
        actor: usize,
        lane: u8,
    },
    NodeClosed {
        id: u64,
        path: Path,
    },
    Media {
        life: u32,
        timer: MediaTimer,
    },
    MediaReport {
        life: u32,
        report: MediaReport,
    },
    Wake(Instant),
    Crash {
        point: CrashPoint,
        down: Duration,
    },
    Restart,
    Command {
        id: u64,
        command: Value,
    },
    Partition {
        actor: usize,
        until: Instant,
    },
    HealNetwork,
    Rebind {
        actor: usize,
    },
    Resolver(Resolver),
    Answer {
        life: u32,
        answer: NodeInput,
    },
    Reload {
        files: Vec<(String, String)>,
        valid: bool,
    },
    Load(u8),
    StepClock {
        forward: bool,
        by: Duration,
    },
    JournalRefuses {
        length: Duration,
    },
    JournalWrites,
}

struct Queued {
    at: Instant,
    sequence: u64,
    event: Event,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

struct Peer {
    actor: Box<dyn Actor>,
    link: Link,
    entropy: Entropy,
}

struct Connection {
    actor: usize,
    lane: u8,
    /// Nothing passes any more, and nobody knows.
    half_open: bool,
    peer: SocketAddr,
    server: SocketAddr,
    to_node: Instant,
    to_actor: Instant,
}

/// The world.
pub struct World {
    now: Instant,
    wall: WallTime,
    heap: BinaryHeap<Reverse<Queued>>,
    sequence: u64,
    entropy: Entropy,
    peers: Vec<Peer>,
    owners: BTreeMap<SocketAddr, usize>,
    /// NATs, by the peer behind them.
    nats: BTreeMap<usize, Nat>,
    /// What name service is like.
    resolver: Resolver,
    names: BTreeMap<String, Vec<SocketAddr>>,
    server_addresses: Vec<SocketAddr>,
    maker: NodeMaker,
    node: Option<Box<dyn Node>>,
    boots: u32,
    armed: Option<Instant>,
    doomed: Option<(CrashPoint, Duration)>,
    journal: Vec<Arc<str>>,
    /// While the journal refuses: whether the server knows, and the records that are kept in memory until it can be written.
    refusing: Option<(bool, Vec<Arc<str>>)>,
    connections: BTreeMap<u64, Connection>,
    /// Connections that were reset: what was under way on them is lost.
    reset: BTreeSet<u64>,
    next_connection: u64,
    media: MediaPlane,
    trace: Trace,
    complaints: Vec<String>,
    at_once: u32,
}

impl World {
    /// A world at nine o'clock on a Monday, with one server at `server_addresses` that is not yet running.
    pub fn new(seed: u64, server_addresses: Vec<SocketAddr>, maker: NodeMaker) -> World {
        World {
            now: Instant::ZERO,
            wall: WallTime::from_millis(1_772_442_000_000),
            heap: BinaryHeap::new(),
            sequence: 0,
            entropy: Entropy::from_number(seed),
            peers: Vec::new(),
            owners: BTreeMap::new(),
            nats: BTreeMap::new(),
            resolver: Resolver::default(),
            names: BTreeMap::new(),
            server_addresses,
            maker,
            node: None,
            boots: 0,
            armed: None,
            doomed: None,
            journal: Vec::new(),
            refusing: None,
            connections: BTreeMap::new(),
            reset: BTreeSet::new(),
            next_connection: 1,
            media: MediaPlane::default(),
            trace: Trace::new(),
            complaints: Vec::new(),
            at_once: 0,
        }
    }

    /// Adds a peer behind `link` and returns its number.
    pub fn add(&mut self, actor: Box<dyn Actor>, link: Link) -> usize {
        let number = self.peers.len();
        for address in actor.addresses() {
            self.owners.insert(address, number);
        }
        let entropy = self.entropy.fork();
        self.peers.push(Peer {
            actor,
            link,
            entropy,
        });
        number
    }

    /// Starts the server with an empty journal.
    pub fn boot(&mut self) {
        let now = self.now();
        self.node = Some((self.maker)(now, self.boots));
        self.boots += 1;
        self.batch(vec![NodeInput::Ready]);
    }

    /// Tells a peer something `after` this instant.
    pub fn order_after(&mut self, after: Duration, actor: usize, order: Order) {
        self.push(self.now + after, Event::Order { actor, order });
    }

    /// Gives the server an API command `after` this instant.
    pub fn command_after(&mut self, after: Duration, id: u64, command: Value) {
        self.push(self.now + after, Event::Command { id, command });
    }

    /// Kills the server `after` this instant; it comes back `down` later.
    pub fn crash_after(&mut self, after: Duration, point: CrashPoint, down: Duration) {
        self.push(self.now + after, Event::Crash { point, down });
    }

    /// Trouble ends `after` this instant: links become perfect and every peer is told to behave and to hang up.
    pub fn heal_after(&mut self, after: Duration) {
        self.push(self.now + after, Event::HealNetwork);
    }

    /// Lets time pass until `length` from now.
    pub fn run_for(&mut self, length: Duration) {
        let end = self.now + length;
        while self.complaints.is_empty() {
            match self.heap.peek() {
                Some(Reverse(next)) if next.at <= end => {}
                _ => break,
            }
            let Some(Reverse(next)) = self.heap.pop() else {
                break;
            };
            if next.at == self.now {
                self.at_once += 1;
                if self.at_once > 200_000 {
                    self.complaints.push(
                        "time stands still: events follow each other at one instant for ever"
                            .into(),
                    );
                }
            } else {
                self.at_once = 0;
            }
            self.now = next.at;
            self.happen(next.event);
        }
        self.now = self.now.max(end);
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        Now {
            mono: self.now,
            wall: self.wall + (self.now - Instant::ZERO),
        }
    }

    /// Everything that happened.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The server, while it runs.
    pub fn node(&mut self) -> Option<&mut (dyn Node + 'static)> {
        self.node.as_deref_mut()
    }

    /// The media plane.
    pub fn media(&self) -> &MediaPlane {
        &self.media
    }

    /// The journal as it was written.
    pub fn journal(&self) -> &[Arc<str>] {
        &self.journal
    }

    /// Names of the peers, by number.
    pub fn names(&self) -> Vec<String> {
        self.peers
            .iter()
            .map(|p| p.actor.name().to_string())
            .collect()
    }

    /// Which peers write what no peer should.
    pub fn hostile(&self) -> Vec<bool> {
        self.peers.iter().map(|p| p.actor.is_hostile()).collect()
    }

    /// What peers still wait for.
    pub fn unfinished(&self) -> Vec<String> {
        self.peers
            .iter()
            .flat_map(|p| p.actor.unfinished())
            .collect()
    }

    /// What went wrong with the world itself or was seen by its media plane.
    pub fn complaints(&self) -> Vec<String> {
        let mut all = self.complaints.clone();
        all.extend(self.media.complaints.iter().cloned());
        all
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.sequence += 1;
        self.heap.push(Reverse(Queued {
            at,
            sequence: self.sequence,
            event,
        }));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToNode(input) => self.node_batch(input),
            Event::ToNodeFrom { actor, path, bytes } => {
                if self.node.is_none() {
                    return; // datagrams to a dead process are lost
                }
                if path.connection.is_some_and(|id| self.reset.contains(&id)) {
                    return;
                }
                self.trace.push(
                    self.now,
                    Happening::NodeReceived {
                        actor,
                        path,
                        bytes: bytes.clone(),
                    },
                );
                self.node_batch(NodeInput::Received { path, bytes });
            }
            Event::ToActor {
                actor,
                packet,
                connection,
                through,
            } => {
                if !self.passes(actor, connection, through) {
                    return;
                }
                self.trace.push(
                    self.now,
                    Happening::PeerReceived {
                        actor,
                        from: packet.way.remote,
                        bytes: packet.bytes.clone(),
                    },
                );
                self.with_actor(actor, |a, c| a.receive(c, &packet));
            }
            Event::Remind { actor, reminder } => {
                self.with_actor(actor, |a, c| a.remind(c, reminder))
            }
            Event::Order { actor, order } => {
                if let Order::Call(to, _) = &order {
                    self.trace.push(
                        self.now,
                        Happening::Note(format!("{} calls {to}", self.peers[actor].actor.name())),
                    );
                }
                self.with_actor(actor, |a, c| a.order(c, order));
            }
            Event::ActorClosed { actor, lane } => self.with_actor(actor, |a, c| a.closed(c, lane)),
            Event::NodeClosed { id, path } => {
                if self.node.is_some() {
                    self.trace.push(self.now, Happening::Closed(id));
                    self.node_batch(NodeInput::Closed { path });
                }
            }
            Event::Media { life, timer } => {
                if life == self.boots {
                    let mut later = Vec::new();
                    let report = self.media.timer(&timer, &mut later);
                    self.media_later(later);
                    self.report(report);
                }
            }
            Event::MediaReport { life, report } => {
                if life == self.boots {
                    self.report(Some(report));
                }
            }
            Event::Wake(at) => {
                if self.armed == Some(at) {
                    self.armed = None;
                    self.node_batch(NodeInput::Tick);
                }
            }
            Event::Crash { point, down } => {
                if self.node.is_some() && self.doomed.is_none() {
                    match point {
                        CrashPoint::Between => self.crash(point, down),
                        _ => self.doomed = Some((point, down)),
                    }
                }
            }
            Event::Restart => self.restart(),
            Event::Command { id, command } => {
                self.trace
                    .push(self.now, Happening::Command(id, command.clone()));
                self.node_batch(NodeInput::Command { id, command });
            }
            Event::Partition { actor, until } => {
                self.trace.push(
                    self.now,
                    Happening::Note(format!("{} is cut off", self.peers[actor].actor.name())),
                );
                let link = &mut self.peers[actor].link;
                link.down_until = link.down_until.max(until);
            }
            Event::Rebind { actor } => self.rebind(actor),
            Event::Resolver(resolver) => self.resolver_is(resolver),
            Event::Answer { life, answer } => {
                if life == self.boots {
                    self.node_batch(answer);
                }
            }
            Event::Reload { files, valid } => self.reload(files, valid),
            Event::Load(level) => {
                self.trace
                    .push(self.now, Happening::Note(format!("load level {level}")));
                self.node_batch(NodeInput::Load { level });
            }
            Event::JournalRefuses { length } => self.journal_refuses(length),
            Event::JournalWrites => self.journal_writes(),
            Event::StepClock { forward, by } => self.step_clock(forward, by),
            Event::HealNetwork => {
                self.trace.push(self.now, Happening::Healing);
                self.resolver_is(Resolver::Works);
                self.node_batch(NodeInput::Load { level: 0 });
                for number in 0..self.peers.len() {
                    let link = &mut self.peers[number].link;
                    *link = Link::perfect(link.latency_min);
                    self.with_actor(number, |a, c| a.order(c, Order::Heal));
                }
            }
        }
    }

    fn report(&mut self, report: Option<MediaReport>) {
        if let Some(report) = report
            && self.node.is_some()
        {
            self.trace
                .push(self.now, Happening::MediaReport(report.clone()));
            self.node_batch(NodeInput::Media(report));
        }
    }

    fn with_actor(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut Box<dyn Actor>, &mut Context<'_>),
    ) {
        let mut deeds = Vec::new();
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        let mut context = Context {
            now: self.now,
            entropy: &mut peer.entropy,
            deeds: &mut deeds,
        };
        act(&mut peer.actor, &mut context);
        for deed in deeds {
            self.deed(number, deed);
        }
    }

    fn deed(&mut self, actor: usize, deed: Deed) {
        match deed {
            Deed::Send { local, way, bytes } => {
                self.actor_sends(actor, local, way, Bytes::from(bytes));
            }
            Deed::Remind { after, reminder } => {
                self.push(self.now + after, Event::Remind { actor, reminder })
            }
            Deed::Close { lane, abrupt } => self.close_own(actor, lane, abrupt),
            Deed::HalfOpen => self.half_open(actor),
            Deed::Reach(situation) => self.reached(situation),
            Deed::Speak(address) => self.media.speak(address),
            Deed::Mute(address) => self.media.mute(address),
            Deed::Press(address, digit) => {
                if let Some(report) = self.media.press(address, digit) {
                    let life = self.boots;
                    self.push(
                        self.now + Duration::from_millis(60),
                        Event::MediaReport { life, report },
                    );
                }
            }
            Deed::Note(text) => self.trace.push(self.now, Happening::Note(text)),
        }
    }
}
