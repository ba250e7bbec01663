//! Rank 4: who can be reached where. Addresses of record, their bindings, and the rules of RFC 3261 §10.3.
//!
//! Goes in: REGISTER requests that are authenticated and allowed for their address of record, closed connections, failed probes,
//! time. Comes out: the status and headers of the answer, and each change of a binding, for the journal and for whoever counts
//! ringable devices; and the flows that want a sign of life. RFC 3261 §10.3, RFC 5626 (`+sip.instance`, `reg-id`), RFC 3327 (Path),
//! RFC 3608 (Service-Route), RFC 5627 (GRUU). It deliberately knows no passwords, sends nothing, and does not choose whom to ring.

mod answer;
mod aor;
mod binding;
mod flows;
mod gruu;
mod health;
mod policy;
mod register;
mod request;
#[cfg(test)]
mod tests;

pub use answer::RegisterOutcome;
pub use aor::AddressOfRecord;
pub use binding::{Binding, BindingChange, Change, RemovalReason, Texts};
pub use flows::Target;
pub use gruu::{Gruu, GruuKey};
pub use health::{HealthChange, Ping};
pub use policy::{Nat, PathFrom, Policy};

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::{Arena, Entropy, Instant, Key, Map, Now, Set, TimerId, TimerQueue, WallTime};
use crate::transport::{ConnectionId, Flow, ProfileId};

struct Entry {
    aor: AddressOfRecord,
    binding: Binding,
    /// When its flow is to be pinged; `None`: never.
    ping_at: Option<Instant>,
    /// Fires at the end of the binding or for its ping. A refresh that lengthens leaves it; when it fires too early it is armed again.
    timer: TimerId,
}

impl Entry {
    fn due(&self) -> Instant {
        self.ping_at.map_or(self.binding.expires_at, |at| {
            at.min(self.binding.expires_at)
        })
    }
}

type Keys = SmallVec<[Key<Entry>; 2]>;

/// What is due: bindings that are over, and flows that want a sign of life.
#[derive(Debug, Default)]
pub struct Due {
    /// Bindings that are gone.
    pub changes: Vec<BindingChange>,
    /// What to send.
    pub pings: Vec<Ping>,
    /// Whose devices may be rung again, although nothing was heard of them.
    pub recovered: Vec<AddressOfRecord>,
}

/// All bindings of one shard.
pub struct Registrar {
    /// By `ProfileId`; a profile that is not there grants what [`Policy::default`] says.
    policies: Vec<Arc<Policy>>,
    fallback: Arc<Policy>,
    entropy: Entropy,
    entries: Arena<Entry>,
    /// Never empty lists: an address without bindings is not there. Oldest first.
    by_aor: Map<AddressOfRecord, Keys>,
    by_connection: Map<ConnectionId, Keys>,
    /// For each life that temporary GRUUs seal, one of the device's bindings.
    lives: Map<u64, Key<Entry>>,
    gruu_key: Option<GruuKey>,
    /// One timer for each binding.
    timers: TimerQueue<Key<Entry>>,
    /// Bindings whose flow is dead, by their health.
    dead: usize,
    /// Flows on which a telephone did not answer, and until when that is held against them.
    unhealthy: Map<Flow, Instant>,
    /// When that is over, in order, and for whom.
    lapses: VecDeque<(Instant, AddressOfRecord, Flow)>,
    /// One copy of each User-Agent: there are few kinds of telephones and many of each.
    user_agents: Set<Arc<str>>,
    dates: answer::Dates,
}

/// Kinds of telephones remembered as one copy; a stranger who invents more just pays for his own.
const USER_AGENTS_MAX: usize = 1_024;

impl Registrar {
    /// A registrar without bindings. `policies` by `ProfileId`.
    pub fn new(policies: Vec<Arc<Policy>>, entropy: Entropy) -> Self {
        Registrar {
            policies,
            fallback: Arc::default(),
            entropy,
            entries: Arena::new(),
            by_aor: Map::default(),
            by_connection: Map::default(),
            lives: Map::default(),
            gruu_key: None,
            timers: TimerQueue::new(),
            dead: 0,
            unhealthy: Map::default(),
            lapses: VecDeque::new(),
            user_agents: Set::default(),
            dates: answer::Dates::default(),
        }
    }

    /// Takes new policies; bindings that exist keep what they were granted, and are pinged as the new ones say.
    pub fn configure(&mut self, now: Now, policies: Vec<Arc<Policy>>) {
        if self.policies == policies {
            return;
        }
        self.policies = policies;
        let keys: Vec<Key<Entry>> = self.entries.iter().map(|(key, _)| key).collect();
        for key in keys {
            let ping_at = self.first_ping(now, key);
            if let Some(entry) = self.entries.get_mut(key) {
                entry.ping_at = ping_at;
                self.timers.cancel(entry.timer);
                entry.timer = self.timers.set(entry.due(), key);
            }
        }
    }

    /// What the journal holds is in doubt: the next refresh of each binding is to be written.
    pub fn distrust_records(&mut self) {
        for (_, entry) in self.entries.iter_mut() {
            entry.binding.kept_until = WallTime::default();
        }
    }

    fn policy(&self, profile: ProfileId) -> &Arc<Policy> {
        self.policies
            .get(usize::from(profile.0))
            .unwrap_or(&self.fallback)
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

    /// Removes one binding by its contact, and by its `reg-id` where several flows have the same: for an operator's command, and when
    /// the journal says so.
    pub fn remove_contact(
        &mut self,
        aor: &AddressOfRecord,
        contact: &str,
        reg_id: Option<u32>,
    ) -> Option<BindingChange> {
        let key = self.keys_of(aor).iter().copied().find(|key| {
            self.entries.get(*key).is_some_and(|entry| {
                entry.binding.contact() == contact
                    && (reg_id.is_none() || entry.binding.reg_id == reg_id)
            })
        })?;
        self.remove(key, RemovalReason::Operator)
    }

    /// Removes what has run out, and says which flows want a sign of life.
    pub fn due(&mut self, now: Now) -> Due {
        let mut due = Due::default();
        while let Some((until, aor, flow)) =
            self.lapses.pop_front_if(|(until, ..)| *until <= now.mono)
        {
            if self.unhealthy.get(&flow) == Some(&until) {
                self.unhealthy.remove(&flow);
                due.recovered.push(aor);
            }
        }
        while let Some(key) = self.timers.pop_due(now.mono) {
            let Some(entry) = self.entries.get(key) else {
                continue;
            };
            if entry.binding.expires_at <= now.mono {
                due.changes.extend(self.remove(key, RemovalReason::Expired));
                continue;
            }
            if entry.ping_at.is_some_and(|at| at <= now.mono) {
                let (ping, next) = self.ping(now, key);
                due.pings.extend(ping);
                if let Some(entry) = self.entries.get_mut(key) {
                    entry.ping_at = next;
                }
            }
            if let Some(entry) = self.entries.get_mut(key) {
                entry.timer = self.timers.set(entry.due(), key);
            }
        }
        due
    }

    /// Removes the bindings for which `keep` is false: of users and profiles that the configuration knows no more.
    pub fn retain(
        &mut self,
        keep: impl Fn(&AddressOfRecord, &Binding) -> bool,
    ) -> Vec<BindingChange> {
        let gone: Vec<Key<Entry>> = self
            .entries
            .iter()
            .filter(|(_, entry)| !keep(&entry.aor, &entry.binding))
            .map(|(key, _)| key)
            .collect();
        gone.into_iter()
            .filter_map(|key| self.remove(key, RemovalReason::NotConfigured))
            .collect()
    }

    /// When [`Registrar::due`] is due next.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let lapse = self.lapses.front().map(|(until, ..)| *until);
        self.timers.next_deadline().into_iter().chain(lapse).min()
    }

    /// Puts back a binding that was kept over a restart. One with the same contact or instance is replaced; one whose time is over
    /// is left out, and so is what it replaced: an older record may have been written for longer.
    pub fn restore(&mut self, now: Now, aor: AddressOfRecord, binding: Binding) {
        let same = self.keys_of(&aor).iter().copied().find(|key| {
            self.entries
                .get(*key)
                .is_some_and(|entry| entry.binding.is_same_device(&binding))
        });
        if let Some(key) = same {
            self.remove(key, RemovalReason::Replaced);
        }
        if binding.expires_at > now.mono {
            self.insert(now, aor, binding);
        }
    }

    /// All bindings, in order of their address of record.
    pub fn all(&self) -> impl Iterator<Item = (&AddressOfRecord, &Binding)> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .map(|(_, entry)| (&entry.aor, &entry.binding))
            .collect();
        all.sort_by(|a, b| (a.0, a.1.contact()).cmp(&(b.0, b.1.contact())));
        all.into_iter()
    }

    /// Number of bindings, the expired ones that [`Registrar::due`] has not met yet included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no binding.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A telephone did not answer on this flow: it is not rung before `until`, which never lies before that of an earlier call. Other
    /// flows of the same telephone are not touched, so that a dead old path does not silence the live new one. A REGISTER on the flow
    /// clears it; time does, and [`Registrar::due`] tells so.
    pub fn mark_unhealthy(&mut self, aor: &AddressOfRecord, flow: Flow, until: Instant) {
        self.unhealthy.insert(flow, until);
        self.lapses.push_back((until, aor.clone(), flow));
    }

    /// Something came on this flow after all; true when it was held for dead.
    pub fn mark_healthy(&mut self, flow: &Flow) -> bool {
        !self.unhealthy.is_empty() && self.unhealthy.remove(flow).is_some()
    }

    /// May this binding be rung: live, and its flow not unhealthy?
    pub fn healthy(&self, now: Now, binding: &Binding) -> bool {
        binding.expires_at > now.mono
            && !binding.health.is_dead()
            && self
                .unhealthy
                .get(&binding.flow)
                .is_none_or(|until| *until <= now.mono)
    }

    fn keys_of(&self, aor: &AddressOfRecord) -> &[Key<Entry>] {
        self.by_aor.get(aor).map_or(&[], |keys| keys.as_slice())
    }

    fn insert(&mut self, now: Now, aor: AddressOfRecord, binding: Binding) -> Key<Entry> {
        let connection = binding.flow.connection;
        let life = binding.life;
        let timers = &mut self.timers;
        let key = self.entries.insert_with(|key| Entry {
            aor: aor.clone(),
            ping_at: None,
            timer: timers.set(binding.expires_at, key),
            binding,
        });
        self.by_aor.entry(aor).or_default().push(key);
        if let Some(connection) = connection {
            self.by_connection.entry(connection).or_default().push(key);
        }
        if life != 0 {
            self.lives.insert(life, key);
        }
        let ping_at = self.first_ping(now, key);
        if let Some(entry) = self.entries.get_mut(key)
            && ping_at.is_some()
        {
            entry.ping_at = ping_at;
            if entry.due() < entry.binding.expires_at {
                self.timers.cancel(entry.timer);
                entry.timer = self.timers.set(entry.due(), key);
            }
        }
        key
    }

    fn remove(&mut self, key: Key<Entry>, reason: RemovalReason) -> Option<BindingChange> {
        let life = self.entries.get(key)?.binding.life;
        self.end_life(key, life);
        self.set_health(key, health::Health::default());
        let Entry {
            aor,
            binding,
            timer,
            ..
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
            kept: false,
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
