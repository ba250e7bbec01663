//! Flows of devices: several of one device are one target, a closed one takes its bindings with it, a new one takes over.

use smallvec::SmallVec;

use super::{AddressOfRecord, Binding, BindingChange, Change, Entry, Registrar, RemovalReason};
use crate::base::{Key, Now};
use crate::transport::{ConnectionId, Flow};

/// The flows of one device in the order in which to try them: each only when the one before it failed (RFC 5626 §5.3).
pub type Target<'a> = SmallVec<[&'a Binding; 2]>;

impl Registrar {
    /// The devices of an address that may be rung: highest `q` first, among equals the newest first. A flow that is dead is left out,
    /// and a device that has no other.
    pub fn targets(&self, now: Now, aor: &AddressOfRecord) -> SmallVec<[Target<'_>; 4]> {
        let mut targets: SmallVec<[Target<'_>; 4]> = SmallVec::new();
        for binding in self.lookup(now, aor) {
            if !self.healthy(now, binding) {
                continue;
            }
            let same = targets.iter_mut().find(|target| {
                target
                    .first()
                    .is_some_and(|first| first.is_sibling_of(binding))
            });
            match same {
                Some(target) => target.push(binding),
                None => targets.push(SmallVec::from_slice(&[binding])),
            }
        }
        for target in &mut targets {
            target.sort_by_key(|binding| std::cmp::Reverse(binding.refreshed_at));
        }
        targets
    }

    /// A connection is gone: its bindings go with it at once, because a telephone behind a NAT cannot be reached without it, and
    /// one that is not registers again. A binding whose Path leads to an address stays: a new connection is opened there.
    pub fn flow_closed(&mut self, now: Now, connection: ConnectionId) -> Vec<BindingChange> {
        let keys = self.by_connection.get(&connection).cloned();
        let mut changes = Vec::new();
        for key in keys.unwrap_or_default() {
            match self.without_connection(key) {
                Some(flow) => {
                    self.move_to(now, key, flow);
                    changes.extend(self.entries.get(key).map(|entry| BindingChange {
                        change: Change::Moved,
                        kept: false,
                        aor: entry.aor.clone(),
                        binding: entry.binding.clone(),
                    }));
                }
                None => changes.extend(self.remove(key, RemovalReason::ConnectionClosed)),
            }
        }
        changes
    }

    /// The flow that a binding has after its connection closed, if its Path tells one.
    fn without_connection(&self, key: Key<Entry>) -> Option<Flow> {
        let mut binding = self.entries.get(key)?.binding.clone();
        binding.flow.connection = None;
        let flow = binding.way().flow;
        (!binding.path().is_empty() && flow.remote != binding.flow.remote).then_some(flow)
    }

    /// Moves a binding to another flow, whose health is not known yet.
    pub(super) fn move_to(&mut self, now: Now, key: Key<Entry>, flow: Flow) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut entry.binding.flow, flow);
        if before == flow {
            return;
        }
        self.set_health(key, super::health::Health::default());
        if before.connection != flow.connection {
            self.unlink(before.connection, key);
            if let Some(connection) = flow.connection {
                self.by_connection.entry(connection).or_default().push(key);
            }
        }
        let ping_at = self.first_ping(now, key);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.ping_at = ping_at;
            self.timers.cancel(entry.timer);
            entry.timer = self.timers.set(entry.due(), key);
        }
    }

    pub(super) fn unlink(&mut self, connection: Option<ConnectionId>, key: Key<Entry>) {
        if let Some(connection) = connection
            && let Some(keys) = self.by_connection.get_mut(&connection)
        {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }

    /// The newest live flow of the device that `gone` was a flow of.
    pub fn heir(&self, now: Now, aor: &AddressOfRecord, gone: &Binding) -> Option<&Binding> {
        self.lookup(now, aor)
            .filter(|binding| binding.is_sibling_of(gone))
            .max_by_key(|binding| binding.refreshed_at)
    }

    /// The other flows of a device that are not known to be dead.
    pub fn siblings<'a>(
        &'a self,
        now: Now,
        aor: &AddressOfRecord,
        of: &'a Binding,
    ) -> impl Iterator<Item = &'a Binding> {
        self.lookup(now, aor).filter(move |binding| {
            binding.is_sibling_of(of) && !binding.is_same_device(of) && self.healthy(now, binding)
        })
    }
}
