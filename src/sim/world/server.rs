//! The world's server: batches of inputs, the journal before the wire, deaths and returns.

use std::cmp::Reverse;

use super::{CrashPoint, Event, Queued, World};
use crate::base::Duration;
use crate::sim::media::MediaTimer;
use crate::sim::node::{NodeEffect, NodeInput};
use crate::sim::trace::Happening;

impl World {
    /// One input and all others for the server that are due at this very instant make one batch, as the shell reads them.
    pub(super) fn node_batch(&mut self, first: NodeInput) {
        let mut inputs = vec![first];
        while inputs.len() < 32 {
            match self.heap.peek() {
                Some(Reverse(next))
                    if next.at == self.now && matches!(next.event, Event::ToNodeFrom { .. }) => {}
                _ => break,
            }
            if let Some(Reverse(Queued {
                event: Event::ToNodeFrom { actor, path, bytes },
                ..
            })) = self.heap.pop()
            {
                self.trace.push(
                    self.now,
                    Happening::NodeReceived {
                        actor,
                        path,
                        bytes: bytes.clone(),
                    },
                );
                inputs.push(NodeInput::Received { path, bytes });
            }
        }
        self.batch(inputs);
    }

    pub(super) fn batch(&mut self, inputs: Vec<NodeInput>) {
        let now = self.now();
        let Some(node) = self.node.as_mut() else {
            return;
        };
        let mut groups: Vec<Vec<NodeEffect>> = Vec::new();
        for input in inputs {
            let mut fx = Vec::new();
            node.handle(now, input, &mut fx);
            groups.push(fx);
        }
        let deadline = node.next_deadline();
        if let Some((point @ CrashPoint::BeforeWrite, down)) = self.doomed {
            self.crash(point, down);
            return;
        }
        let began_to_refuse = self.write(&mut groups);
        if let Some((point, down)) = self.doomed {
            // What is written has happened, even if nobody was told.
            for effect in groups.into_iter().flatten() {
                if let NodeEffect::Event(_) = effect {
                    self.effect(effect);
                }
            }
            self.crash(point, down);
            return;
        }
        for effect in groups.into_iter().flatten() {
            self.effect(effect);
        }
        if began_to_refuse {
            self.batch(vec![NodeInput::StoreHealth { ok: false }]);
            return;
        }
        if let Some(at) = deadline {
            let at = at.max(self.now);
            if self.armed.is_none_or(|armed| at < armed) {
                self.armed = Some(at);
                self.push(at, Event::Wake(at));
            }
        }
    }

    /// Writes the records of a batch. When the journal begins to refuse, the messages that answer an input whose records are not
    /// written are held back, all but ACKs, and the server is to be told (true); the records are kept, as the shell keeps them.
    pub(super) fn write(&mut self, groups: &mut [Vec<NodeEffect>]) -> bool {
        let journals = |e: &NodeEffect| matches!(e, NodeEffect::Journal(_));
        let mut began = false;
        for group in groups {
            if !group.iter().any(journals) {
                continue;
            }
            let records = group.iter().filter_map(|e| match e {
                NodeEffect::Journal(record) => Some(record.clone()),
                _ => None,
            });
            match &mut self.refusing {
                None => self.journal.extend(records),
                Some((told, unwritten)) => {
                    unwritten.extend(records);
                    if !*told || began {
                        *told = true;
                        began = true;
                        group.retain(|e| match e {
                            NodeEffect::Send { bytes, .. } => bytes.starts_with(b"ACK "),
                            _ => true,
                        });
                    }
                }
            }
        }
        began
    }

    pub(super) fn effect(&mut self, effect: NodeEffect) {
        match effect {
            NodeEffect::Send { path, bytes } => self.node_sends(path, bytes),
            NodeEffect::Close { connection } => {
                if let Some(open) = self.connections.get(&connection) {
                    let path = crate::sim::node::Path {
                        stream: true,
                        local: open.server,
                        remote: open.peer,
                        connection: Some(connection),
                    };
                    // the process is told of its own close, as the shell tells it
                    self.push(
                        self.now,
                        Event::NodeClosed {
                            id: connection,
                            path,
                        },
                    );
                }
                self.close(connection, false, false);
            }
            NodeEffect::Media(order) => {
                self.trace
                    .push(self.now, Happening::MediaOrder(order.clone()));
                let mut later = Vec::new();
                self.media.order(&order, &mut later);
                self.media_later(later);
            }
            NodeEffect::Resolve { query, name } => self.resolve(query, &name),
            NodeEffect::Journal(_) => {}
            NodeEffect::Event(value) => self.trace.push(self.now, Happening::Event(value)),
            NodeEffect::Reply { id, reply } => {
                self.trace.push(self.now, Happening::Reply(id, reply));
            }
            NodeEffect::Log { fault, text } => {
                self.trace.push(self.now, Happening::Log(fault, text));
            }
        }
    }

    pub(super) fn media_later(&mut self, later: Vec<(Duration, MediaTimer)>) {
        let life = self.boots;
        for (after, timer) in later {
            self.push(self.now + after, Event::Media { life, timer });
        }
    }

    pub(super) fn crash(&mut self, point: CrashPoint, down: Duration) {
        self.trace.push(self.now, Happening::Crash(point));
        self.node = None;
        self.doomed = None;
        self.armed = None;
        self.media.crash();
        if let Some((told, unwritten)) = &mut self.refusing {
            // what was kept in memory is gone, and the next life does not know yet
            unwritten.clear();
            *told = false;
        }
        for connection in self.connections.keys().copied().collect::<Vec<_>>() {
            self.close(connection, false, false);
        }
        self.push(self.now + down, Event::Restart);
    }

    pub(super) fn restart(&mut self) {
        let now = self.now();
        self.node = Some((self.maker)(now, self.boots));
        self.boots += 1;
        let mut inputs: Vec<NodeInput> = self
            .journal
            .iter()
            .map(|record| NodeInput::Restore(record.clone()))
            .collect();
        inputs.push(NodeInput::Ready);
        let records = self.journal.len();
        self.trace.push(
            self.now,
            Happening::Note(format!("restoring {records} records")),
        );
        self.batch(inputs);
        let bindings = self
            .node
            .as_mut()
            .map(|n| n.bindings(now))
            .unwrap_or_default();
        self.trace
            .push(self.now, Happening::Restart { records, bindings });
    }
}
