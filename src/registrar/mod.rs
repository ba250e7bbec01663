//! Rank 4: who can be reached where. Addresses of record, their bindings, and the rules of RFC 3261 §10.3.
//!
//! Goes in: REGISTER requests that are authenticated and allowed for their address of record, closed connections, failed probes,
//! time. Comes out: the status and headers of the answer, and each change of a binding, for the journal and for whoever counts
//! ringable devices. RFC 3261 §10.3, RFC 5626 (`+sip.instance`, `reg-id`), RFC 3327 (Path). It deliberately knows no passwords, sends
//! nothing, and does not choose whom to ring.

mod aor;
mod binding;
mod register;
mod request;
#[cfg(test)]
mod tests;

pub use aor::AddressOfRecord;
pub use binding::{Binding, BindingChange, Change, RemovalReason};
pub use register::RegisterOutcome;

use smallvec::SmallVec;

use crate::base::{Arena, Duration, Instant, Key, Map, Now, Set, TimerId, TimerQueue};
use crate::transport::{ConnectionId, Flow};
use std::sync::Arc;

/// What a registrar grants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrarSettings {
    /// Shortest registration; a shorter wish is answered 423 with Min-Expires (RFC 3261 §10.3). Default 60 s.
    pub expires_min: Duration,
    /// Granted when the request wishes nothing. Default 3,600 s.
    pub expires_default: Duration,
    /// Longest registration; a longer wish is cut. Default 3,600 s.
    pub expires_max: Duration,
    /// Bindings that one address of record may have. Default 10.
    pub contacts_max: usize,
}

impl Default for RegistrarSettings {
    fn default() -> Self {
        RegistrarSettings {
            expires_min: Duration::from_secs(60),
            expires_default: Duration::from_secs(3_600),
            expires_max: Duration::from_secs(3_600),
            contacts_max: 10,
        }
    }
}

struct Entry {
    aor: AddressOfRecord,
    binding: Binding,
    /// A refresh that lengthens leaves it; when it fires too early it is armed again.
    timer: TimerId,
}

type Keys = SmallVec<[Key<Entry>; 2]>;

/// All bindings of one shard.
#[derive(Default)]
pub struct Registrar {
    settings: RegistrarSettings,
    entries: Arena<Entry>,
    /// Never empty lists: an address without bindings is not there. Oldest first.
    by_aor: Map<AddressOfRecord, Keys>,
    by_connection: Map<ConnectionId, Keys>,
    /// One timer for each binding.
    timers: TimerQueue<Key<Entry>>,
    /// Flows on which a telephone did not answer, and until when that is held against them.
    unhealthy: Map<Flow, Instant>,
    /// One copy of each User-Agent: there are few kinds of telephones and many of each.
    user_agents: Set<Arc<str>>,
}

/// Kinds of telephones remembered as one copy; a stranger who invents more just pays for his own.
const USER_AGENTS_MAX: usize = 1_024;
/// Unhealthy flows kept before those whose time is over are looked for.
const UNHEALTHY_SWEEP: usize = 1_024;

impl Registrar {
    /// A registrar without bindings.
    pub fn new(settings: RegistrarSettings) -> Self {
        Registrar {
            settings,
            ..Registrar::default()
        }
    }

    /// Takes new settings; bindings that exist keep what they were granted.
    pub fn configure(&mut self, settings: RegistrarSettings) {
        self.settings = settings;
    }

    /// The live bindings of an address: highest `q` first, among equals the newest first.
    pub fn lookup(&self, now: Now, aor: &AddressOfRecord) -> impl Iterator<Item = &Binding> {
        let mut found: SmallVec<[&Binding; 4]> = self
            .keys_of(aor)
            .iter()
            .rev()
            .filter_map(|key| self.entries.get(*key))
            .map(|entry| &entry.binding)
            .filter(|binding| binding.expires_at > now.mono)
            .collect();
        found.sort_by_key(|binding| std::cmp::Reverse((binding.q, binding.registered_at)));
        found.into_iter()
    }

    /// True when an address has a live binding.
    pub fn is_registered(&self, now: Now, aor: &AddressOfRecord) -> bool {
        self.keys_of(aor)
            .iter()
            .filter_map(|key| self.entries.get(*key))
            .any(|entry| entry.binding.expires_at > now.mono)
    }

    /// A connection is gone: its bindings go with it at once, because a telephone behind a NAT cannot be reached without it, and
    /// one that is not registers again.
    pub fn flow_closed(&mut self, _now: Now, connection: ConnectionId) -> Vec<BindingChange> {
        let keys = self.by_connection.get(&connection).cloned();
        keys.unwrap_or_default()
            .into_iter()
            .filter_map(|key| self.remove(key, RemovalReason::ConnectionClosed))
            .collect()
    }

    /// Removes one binding by its contact, for an operator's command.
    pub fn remove_contact(
        &mut self,
        aor: &AddressOfRecord,
        contact: &str,
    ) -> Option<BindingChange> {
        let key = self.keys_of(aor).iter().copied().find(|key| {
            self.entries
                .get(*key)
                .is_some_and(|entry| &*entry.binding.contact == contact)
        })?;
        self.remove(key, RemovalReason::Operator)
    }

    /// Removes what has run out.
    pub fn expire(&mut self, now: Now) -> Vec<BindingChange> {
        let mut changes = Vec::new();
        while let Some(key) = self.timers.pop_due(now.mono) {
            let Some(entry) = self.entries.get_mut(key) else {
                continue;
            };
            if entry.binding.expires_at > now.mono {
                entry.timer = self.timers.set(entry.binding.expires_at, key);
            } else {
                changes.extend(self.remove(key, RemovalReason::Expired));
            }
        }
        changes
    }

    /// When [`Registrar::expire`] is due next.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// Puts back a binding that was kept over a restart. One with the same contact or instance is replaced; one whose time is over
    /// is left out.
    pub fn restore(&mut self, now: Now, aor: AddressOfRecord, binding: Binding) {
        if binding.expires_at <= now.mono {
            return;
        }
        let same = self.keys_of(&aor).iter().copied().find(|key| {
            self.entries
                .get(*key)
                .is_some_and(|entry| entry.binding.is_same_device(&binding))
        });
        if let Some(key) = same {
            self.remove(key, RemovalReason::Replaced);
        }
        self.insert(aor, binding);
    }

    /// All bindings, in order of their address of record.
    pub fn all(&self) -> impl Iterator<Item = (&AddressOfRecord, &Binding)> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .map(|(_, entry)| (&entry.aor, &entry.binding))
            .collect();
        all.sort_by(|a, b| (a.0, &a.1.contact).cmp(&(b.0, &b.1.contact)));
        all.into_iter()
    }

    /// Number of bindings, the expired ones that [`Registrar::expire`] has not met yet included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no binding.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A telephone did not answer on this flow: it is not rung before `until`. Other flows of the same telephone are not touched,
    /// so that a dead old path does not silence the live new one. A REGISTER on the flow clears it.
    pub fn mark_unhealthy(&mut self, now: Now, flow: Flow, until: Instant) {
        if self.unhealthy.len() >= UNHEALTHY_SWEEP {
            self.unhealthy.retain(|_, end| *end > now.mono);
        }
        self.unhealthy.insert(flow, until);
    }

    /// Something came on this flow after all.
    pub fn mark_healthy(&mut self, flow: &Flow) {
        if !self.unhealthy.is_empty() {
            self.unhealthy.remove(flow);
        }
    }

    /// May this binding be rung: live, and its flow not unhealthy?
    pub fn healthy(&self, now: Now, binding: &Binding) -> bool {
        binding.expires_at > now.mono
            && self
                .unhealthy
                .get(&binding.flow)
                .is_none_or(|until| *until <= now.mono)
    }

    fn keys_of(&self, aor: &AddressOfRecord) -> &[Key<Entry>] {
        self.by_aor.get(aor).map_or(&[], |keys| keys.as_slice())
    }

    fn insert(&mut self, aor: AddressOfRecord, binding: Binding) -> Key<Entry> {
        let connection = binding.flow.connection;
        let timers = &mut self.timers;
        let key = self.entries.insert_with(|key| Entry {
            aor: aor.clone(),
            timer: timers.set(binding.expires_at, key),
            binding,
        });
        self.by_aor.entry(aor).or_default().push(key);
        if let Some(connection) = connection {
            self.by_connection.entry(connection).or_default().push(key);
        }
        key
    }

    /// Moves a binding to another flow.
    fn move_to(&mut self, key: Key<Entry>, flow: Flow) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut entry.binding.flow, flow).connection;
        if before == flow.connection {
            return;
        }
        self.unlink(before, key);
        if let Some(connection) = flow.connection {
            self.by_connection.entry(connection).or_default().push(key);
        }
    }

    fn unlink(&mut self, connection: Option<ConnectionId>, key: Key<Entry>) {
        if let Some(connection) = connection
            && let Some(keys) = self.by_connection.get_mut(&connection)
        {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }

    fn remove(&mut self, key: Key<Entry>, reason: RemovalReason) -> Option<BindingChange> {
        let Entry {
            aor,
            binding,
            timer,
        } = self.entries.remove(key)?;
        self.timers.cancel(timer);
        if let Some(keys) = self.by_aor.get_mut(&aor) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_aor.remove(&aor);
            }
        }
        self.unlink(binding.flow.connection, key);
        self.unhealthy.remove(&binding.flow);
        Some(BindingChange {
            change: Change::Removed(reason),
            aor,
            binding,
        })
    }

    fn user_agent(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.user_agents.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        if self.user_agents.len() < USER_AGENTS_MAX {
            self.user_agents.insert(new.clone());
        }
        new
    }
}
