//! Carries the effects of a batch out, in the order that safety needs: journal first, then the wire. Only datagrams that answer inputs before
//! the first with a record need not wait for it.
//!
//! When the journal refuses, the answers of the inputs that wanted to journal are held back, all but ACKs (their senders will ask again), the
//! switch is told, and from then on its records are kept in memory until the journal takes them. Live calls go on meanwhile.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use serde::Serialize;
use smallvec::SmallVec;
use tokio::sync::broadcast;

use super::log_lines;
use super::metrics::{Metrics, count};
use super::rows;
use super::udp::UdpPorts;
use super::witness::Witness;
use crate::base::{Duration, Instant, Now};
use crate::media::MediaCommand;
use crate::store::{Journal, Sqlite};
use crate::switch::{Effect, Event, Input, Level, Record, Reply};
use crate::transport::{ConnectionId, Flow, ProfileId, Target, Transport};

/// Time between two attempts to write a journal that refused.
const RETRY: Duration = Duration::from_secs(1);
/// Records kept in memory while the journal refuses (some 100 MB at worst: guess).
const UNWRITTEN_MAX: usize = 200_000;

/// A name to look up, as `Effect::Resolve` asks.
#[derive(Clone, Debug)]
pub struct Query {
    /// Its number, for the answer.
    pub query: u64,
    /// What to find.
    pub target: Target,
}

/// The parts of the shell that run elsewhere, as the shard reaches them. None of the calls blocks.
pub trait World: Send {
    /// Sends on a stream; a failure comes back as `Input::SendFailed`.
    fn stream(&mut self, flow: Flow, bytes: Bytes);
    /// From now on, who is connected to over TLS at `remote` must prove to be `host`.
    fn expect(&mut self, profile: ProfileId, remote: SocketAddr, host: &str, trunk: Arc<str>);
    /// The peer of a connection offers it for messages to `remote`.
    fn alias(&mut self, connection: ConnectionId, remote: SocketAddr);
    /// Closes a stream.
    fn close(&mut self, connection: ConnectionId);
    /// Orders a media worker; it may look only when the batch ends.
    fn media(&mut self, command: MediaCommand);
    /// Everything of a batch has been said, and what it sends is on the wire.
    fn batch_ends(&mut self);
    /// Looks a name up; the answer comes as `Input::Resolved`.
    fn resolve(&mut self, query: Query);
    /// Hands the answer to a command to whoever waits for it.
    fn reply(&mut self, id: u64, reply: Reply);
}

/// An event as the journal keeps it: the JSON of `Record::Event`, without a copy of the event.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Published<'a> {
    Event(&'a Event),
}

fn is_datagram(effect: &Effect) -> bool {
    matches!(effect, Effect::Send { flow, .. } if flow.transport == Transport::Udp)
}

/// How many effects come before the first input that has a record. `ends` as for [`Outlet::apply`].
fn before_records(list: &[Effect], ends: &[usize]) -> usize {
    let first = list
        .iter()
        .position(|effect| matches!(effect, Effect::Journal(_)));
    match first {
        None => list.len(),
        Some(first) => {
            let whole = ends.iter().copied().take_while(|end| *end <= first);
            whole.last().unwrap_or(0)
        }
    }
}

/// True when one response of the batch at most goes to that peer.
fn is_only_response(list: &[Effect], to: Flow) -> bool {
    let responses = list.iter().filter(|effect| {
        matches!(effect, Effect::Send { flow, bytes } if *flow == to && bytes.starts_with(b"SIP/2.0 "))
    });
    responses.take(2).count() < 2
}

/// What stands in `{"kind":…}`: a record without its kind. Empty when it is anything else.
fn inner(json: &[u8]) -> &str {
    std::str::from_utf8(json)
        .ok()
        .and_then(|json| json.strip_prefix("{\"")?.strip_suffix('}'))
        .and_then(|json| json.split_once("\":"))
        .map_or("", |(_, inner)| inner)
}

/// Where effects go.
pub struct Outlet<W> {
    journal: Journal,
    sqlite: Arc<Sqlite>,
    events: broadcast::Sender<Arc<Event>>,
    world: W,
    metrics: Arc<Metrics>,
    witness: Witness,
    /// Set while the journal refuses: when to try again.
    retry_at: Option<Instant>,
    unwritten: VecDeque<Record>,
    /// JSON of the batch's events and call records, in order, as it was made for the journal: the tables take the same.
    texts: VecDeque<String>,
}

impl<W: World> Outlet<W> {
    /// An outlet onto an open journal and database.
    pub fn new(
        journal: Journal,
        sqlite: Arc<Sqlite>,
        events: broadcast::Sender<Arc<Event>>,
        world: W,
        metrics: Arc<Metrics>,
    ) -> Self {
        Outlet {
            journal,
            sqlite,
            events,
            world,
            metrics,
            witness: Witness::default(),
            retry_at: None,
            unwritten: VecDeque::new(),
            texts: VecDeque::new(),
        }
    }

    /// With somebody who sees all that goes out.
    pub fn seen_by(mut self, witness: Witness) -> Self {
        self.witness = witness;
        self
    }

    /// Who sees all that goes out.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// When the shard must call [`Outlet::retry`]; `None` while all is well.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// The journal, for a compaction; `None` while it refuses.
    pub fn journal(&mut self) -> Option<&mut Journal> {
        self.retry_at.is_none().then_some(&mut self.journal)
    }

    /// The database.
    pub fn sqlite(&self) -> &Arc<Sqlite> {
        &self.sqlite
    }

    /// Carries out the effects of a batch. `ends` are the lengths that the list had after each input of the batch. What the world
    /// has to say at once goes to `again`.
    pub fn apply(
        &mut self,
        now: Now,
        list: &mut Vec<Effect>,
        ends: &[usize],
        ports: &mut UdpPorts,
        again: &mut VecDeque<Input>,
    ) {
        // Up to the first input of which something must be written before: whoever waits for them need not wait for the disk. What goes by
        // a connection keeps its place among the effects that say how to connect.
        let ahead = before_records(list, ends);
        let mut last = self.send_datagrams(list, 0..ahead, ports, again);
        let failed_now = self.journal_all(now, list, again);
        if failed_now {
            self.hold_answers(list, ends);
        }
        // what is held back stands behind what was sent ahead
        last.extend(self.send_datagrams(list, ahead..list.len(), ports, again));
        for (index, effect) in list.drain(..).enumerate() {
            match &effect {
                // it is on the wire; who watches sees it among its causes
                Effect::Send { flow, bytes } if is_datagram(&effect) && !last.contains(&index) => {
                    self.witness.sent(now, *flow, bytes);
                }
                _ => self.carry_out(now, effect, ports, again),
            }
        }
        debug_assert!(self.texts.is_empty(), "every text has its effect");
        self.texts.clear();
        self.flush(ports, again);
        // Last: a worker that wakes may take this thread's core.
        self.world.batch_ends();
    }

    /// Puts those datagrams of the batch on the wire, before events, tables and log lines are seen to. A 100 to a peer that gets no other
    /// response waits for these as well: it has 200 ms (RFC 3261 §17.2.1), and who gets the request is waiting. Gives the places of such.
    fn send_datagrams(
        &self,
        list: &[Effect],
        places: Range<usize>,
        ports: &mut UdpPorts,
        again: &mut VecDeque<Input>,
    ) -> SmallVec<[usize; 4]> {
        let mut last = SmallVec::new();
        let mut any = false;
        let among = list.iter().enumerate().take(places.end);
        for (index, effect) in among.skip(places.start) {
            let Effect::Send { flow, bytes } = effect else {
                continue;
            };
            if !is_datagram(effect) {
                continue;
            }
            if bytes.starts_with(b"SIP/2.0 100 ") && is_only_response(list, *flow) {
                last.push(index);
                continue;
            }
            any = true;
            Self::queue(*flow, bytes.clone(), ports, again);
        }
        if any {
            self.flush(ports, again);
        }
        last
    }

    fn flush(&self, ports: &mut UdpPorts, again: &mut VecDeque<Input>) {
        ports.flush(&self.metrics, |flow, error| {
            tracing::debug!(%flow, %error, "a datagram could not be sent");
            again.push_back(Input::SendFailed { flow });
        });
    }

    fn send(
        &mut self,
        now: Now,
        flow: Flow,
        bytes: Bytes,
        ports: &mut UdpPorts,
        again: &mut VecDeque<Input>,
    ) {
        self.witness.sent(now, flow, &bytes);
        match flow.transport {
            Transport::Udp => Self::queue(flow, bytes, ports, again),
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                self.world.stream(flow, bytes);
            }
        }
    }

    fn queue(flow: Flow, bytes: Bytes, ports: &mut UdpPorts, again: &mut VecDeque<Input>) {
        if !ports.queue(flow, bytes) {
            tracing::warn!(%flow, "no port for this flow");
            again.push_back(Input::SendFailed { flow });
        }
    }

    /// Writes the records of a batch; true when the journal began to refuse.
    fn journal_all(&mut self, now: Now, list: &[Effect], again: &mut VecDeque<Input>) -> bool {
        let mut result = Ok(());
        if self.retry_at.is_none() {
            for effect in list {
                let (pushed, shared) = match effect {
                    Effect::Journal(record) => (
                        self.journal.push(record),
                        matches!(record, Record::CallClosed(_)),
                    ),
                    Effect::Event(event) => (self.journal.push(&Published::Event(event)), true),
                    _ => continue,
                };
                match pushed {
                    Ok(json) if shared => self.texts.push_back(inner(json).to_owned()),
                    Ok(_) => {}
                    Err(error) => {
                        // A record of more than 4 MiB: our fault, and no reason to stop the others.
                        count(&self.metrics.records_lost);
                        tracing::error!(%error, "a record cannot be journaled");
                        if shared {
                            self.texts.push_back(String::new());
                        }
                    }
                }
            }
            result = self.journal.commit();
        }
        let Err(error) = result else {
            if self.retry_at.is_some() {
                self.keep_unwritten(list);
            }
            return false;
        };
        tracing::error!(%error, "the journal cannot be written: no new calls until it can");
        self.retry_at = Some(now.mono + RETRY);
        self.keep_unwritten(list);
        again.push_back(Input::StoreHealth { ok: false });
        true
    }

    fn keep_unwritten(&mut self, list: &[Effect]) {
        for effect in list {
            let record = match effect {
                Effect::Journal(record) => record.clone(),
                Effect::Event(event) => Record::Event(Event::clone(event)),
                _ => continue,
            };
            if self.unwritten.len() == UNWRITTEN_MAX {
                self.unwritten.pop_front();
                count(&self.metrics.records_lost);
            }
            self.unwritten.push_back(record);
        }
    }

    /// Takes the messages out that answer an input whose records are not written. An ACK promises nothing, and over a stream nobody asks
    /// for it again, so it goes.
    fn hold_answers(&self, list: &mut Vec<Effect>, ends: &[usize]) {
        let mut keep = Vec::with_capacity(list.len());
        let mut effects = list.drain(..);
        let mut start = 0;
        for &end in ends {
            let mut group: Vec<Effect> = effects.by_ref().take(end - start).collect();
            start = end;
            if group.iter().any(|e| matches!(e, Effect::Journal(_))) {
                let before = group.len();
                group.retain(|effect| match effect {
                    Effect::Send { bytes, .. } => bytes.starts_with(b"ACK "),
                    _ => true,
                });
                let held = (before - group.len()) as u64;
                self.metrics.sends_held.fetch_add(held, Ordering::Relaxed);
            }
            keep.append(&mut group);
        }
        keep.extend(effects);
        *list = keep;
    }

    fn carry_out(
        &mut self,
        now: Now,
        effect: Effect,
        ports: &mut UdpPorts,
        again: &mut VecDeque<Input>,
    ) {
        match effect {
            Effect::Send { flow, bytes } => self.send(now, flow, bytes, ports, again),
            Effect::Expect {
                profile,
                remote,
                host,
                trunk,
            } => self.world.expect(profile, remote, &host, trunk),
            Effect::Alias { connection, remote } => self.world.alias(connection, remote),
            Effect::CloseConnection(connection) => self.world.close(connection),
            Effect::Media(command) => {
                self.witness.ordered(now, &command);
                self.world.media(command);
            }
            Effect::Journal(record) => {
                log_lines::of_record(&record);
                self.witness.kept(&record);
                let json = match record {
                    Record::CallClosed(_) => self.texts.pop_front(),
                    _ => None,
                };
                if let Some(row) = rows::of_record(&record, json) {
                    self.sqlite.write(row);
                }
            }
            Effect::Event(event) => {
                log_lines::of_event(&event);
                self.witness.published(&event);
                self.sqlite
                    .write(rows::of_event(&event, self.texts.pop_front()));
                // Nobody listening is no fault.
                let _ = self.events.send(event);
            }
            Effect::Reply { id, reply } => self.world.reply(id, reply),
            Effect::Resolve { query, target } => self.world.resolve(Query { query, target }),
            Effect::Log { level, text } => match level {
                Level::Debug => tracing::debug!("{text}"),
                Level::Info => tracing::info!("{text}"),
                Level::Warn => tracing::warn!("{text}"),
                Level::Error => tracing::error!("{text}"),
            },
        }
    }

    /// Tries a journal that refused again; `snapshot` gives the whole state if it must be written anew. True when it works again:
    /// everything is written, and the switch should hear so.
    pub fn retry(&mut self, now: Now, snapshot: impl FnOnce() -> Vec<Record>) -> bool {
        self.retry_at = Some(now.mono + RETRY);
        if !self.journal.probe() {
            return false;
        }
        if self.journal.needs_rewrite()
            && let Err(error) = self.journal.rewrite(snapshot())
        {
            tracing::error!(%error, "the journal cannot be written anew");
            return false;
        }
        let (front, back) = self.unwritten.as_slices();
        let written = front
            .iter()
            .chain(back)
            .try_for_each(|record| self.journal.push(record).map(drop))
            .and_then(|()| self.journal.commit());
        if let Err(error) = written {
            tracing::error!(%error, "the journal still cannot be written");
            return false;
        }
        tracing::warn!(
            records = self.unwritten.len(),
            "the journal can be written again"
        );
        self.unwritten.clear();
        self.retry_at = None;
        true
    }

    /// The metrics that this outlet counts into.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
