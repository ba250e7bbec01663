//! Is a flow alive? When to ask it, what the answers mean, and what keeps its NAT open (RFC 5626 §4.4, RFC 4787 §4.3).
//!
//! A flow is asked with OPTIONS. Behind a NAT, over UDP, it is asked so often that the mapping lasts: the answer goes from the inside
//! out, which refreshes a mapping in every NAT, while a packet from the outside refreshes it in some. A telephone that has never answered
//! such a question may be too simple to: its silence is not held against it, and it gets an empty packet instead.

use super::{AddressOfRecord, Entry, Registrar};
use crate::base::{Duration, Entropy, Instant, Key, Now, Text};
use crate::transport::{Flow, Way};

/// Questions without an answer, one after the other, after which a flow is not rung.
const MISSES: u8 = 2;
/// Questions without any answer ever, after which a telephone is taken for one that does not answer them.
const DEAF: u8 = 3;
/// How much more seldom a telephone that does not answer is asked.
const DEAF_FACTOR: u32 = 8;

/// What a flow answered of late.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Health {
    /// Questions in a row without an answer.
    missed: u8,
    /// It answered a question since it registered on this flow.
    answers: bool,
    /// A question is under way.
    asking: bool,
}

impl Health {
    /// It does not answer, although it can.
    pub(super) fn is_dead(self) -> bool {
        self.answers && self.missed >= MISSES
    }

    fn is_deaf(self) -> bool {
        !self.answers && self.missed >= DEAF
    }
}

/// What a flow is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ping {
    /// OPTIONS; tell [`Registrar::answered`] or [`Registrar::silent`] what came of it.
    Ask {
        /// Names the binding; stale once that is gone.
        ticket: u64,
        /// The way to it.
        way: Way,
        /// Whose device it is.
        aor: AddressOfRecord,
    },
    /// An empty line, for the NAT alone.
    Keep(Flow),
}

/// A flow that was dead and is alive, or the reverse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthChange {
    /// Whose device it is.
    pub aor: AddressOfRecord,
    /// Its Contact URI.
    pub contact: Text,
    /// It answers.
    pub alive: bool,
}

impl Registrar {
    /// When a binding that is new on its flow is asked first: anywhere within the interval, so that ten thousand telephones that come
    /// together, or are restored together, are not asked together. `None`: never.
    pub(super) fn first_ping(&mut self, now: Now, key: Key<Entry>) -> Option<Instant> {
        let interval = self.interval(key)?;
        Some(now.mono + part_of(interval, 0, &mut self.entropy))
    }

    /// Time between two pings of a binding.
    fn interval(&self, key: Key<Entry>) -> Option<Duration> {
        let binding = &self.entries.get(key)?.binding;
        let policy = self.policy(binding.flow.profile);
        if binding.behind_nat
            && !binding.flow.transport.is_reliable()
            && let Some(interval) = policy.nat_ping
        {
            return Some(interval);
        }
        let interval = policy.qualify?;
        Some(if binding.health.is_deaf() {
            interval * DEAF_FACTOR
        } else {
            interval
        })
    }

    /// The binding's ping is due: what to send, and when it is due next.
    pub(super) fn ping(&mut self, now: Now, key: Key<Entry>) -> (Option<Ping>, Option<Instant>) {
        let Some(interval) = self.interval(key) else {
            return (None, None);
        };
        let next = now.mono + part_of(interval, 80, &mut self.entropy);
        let Some(entry) = self.entries.get_mut(key) else {
            return (None, None);
        };
        let binding = &mut entry.binding;
        let mapped = binding.behind_nat && !binding.flow.transport.is_reliable();
        let ping = if binding.health.asking || (mapped && binding.health.is_deaf()) {
            mapped.then(|| Ping::Keep(binding.way().flow))
        } else {
            binding.health.asking = true;
            Some(Ping::Ask {
                ticket: key.to_bits(),
                way: binding.way(),
                aor: entry.aor.clone(),
            })
        };
        (ping, Some(next))
    }

    /// True when the way to the binding of this ticket leads over a proxy.
    pub fn is_routed(&self, ticket: u64) -> bool {
        self.entries
            .get(Key::from_bits(ticket))
            .is_some_and(|entry| !entry.binding.path().is_empty())
    }

    /// The flow of this ticket answered. `Some` when it was dead before.
    pub fn answered(&mut self, ticket: u64) -> Option<HealthChange> {
        let key = Key::from_bits(ticket);
        let flow = self.entries.get(key)?.binding.flow;
        self.mark_healthy(&flow);
        let alive = Health {
            missed: 0,
            answers: true,
            asking: false,
        };
        self.set_health(key, alive)
    }

    /// Nothing came back from the flow of this ticket. `Some` when it is dead now.
    pub fn silent(&mut self, ticket: u64) -> Option<HealthChange> {
        let key = Key::from_bits(ticket);
        let mut health = self.entries.get(key)?.binding.health;
        health.asking = false;
        health.missed = health.missed.saturating_add(1);
        self.set_health(key, health)
    }

    /// A REGISTER came on the flow.
    pub(super) fn heard_from(&mut self, key: Key<Entry>) -> Option<HealthChange> {
        let health = self.entries.get(key)?.binding.health;
        if !health.answers || health.missed == 0 {
            return None;
        }
        self.set_health(
            key,
            Health {
                missed: 0,
                ..health
            },
        )
    }

    /// Notes what is known of a flow now; `Some` when it died or came alive by that.
    pub(super) fn set_health(&mut self, key: Key<Entry>, health: Health) -> Option<HealthChange> {
        let entry = self.entries.get_mut(key)?;
        let was = std::mem::replace(&mut entry.binding.health, health).is_dead();
        let is = health.is_dead();
        if was == is {
            return None;
        }
        if is {
            self.dead += 1;
        } else {
            self.dead = self.dead.saturating_sub(1);
        }
        Some(HealthChange {
            aor: entry.aor.clone(),
            contact: entry.binding.contact_text(),
            alive: !is,
        })
    }

    /// Flows that are not rung now: those that stopped to answer questions, and those on which a call found nobody a moment ago.
    pub fn unhealthy_len(&self, now: Now) -> usize {
        let lately = self.unhealthy.values().filter(|end| **end > now.mono);
        self.dead + lately.count()
    }
}

/// A random part of a time: from so many percent of it to all of it.
fn part_of(time: Duration, least_percent: u64, entropy: &mut Entropy) -> Duration {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let least = nanos / 100 * least_percent;
    Duration::from_nanos(least + entropy.below(nanos - least))
}
