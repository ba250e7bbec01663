//! What befalls the server from outside of the network: a journal that cannot be written, a clock that steps, name service, reloads.

use std::net::SocketAddr;

use super::{Event, World};
use crate::base::{Duration, WallTime};
use crate::sim::nat::Nat;
use crate::sim::node::NodeInput;
use crate::sim::trace::Happening;

/// What name service is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Resolver {
    /// Answers at once, and rightly.
    #[default]
    Works,
    /// Answers rightly after that long.
    Slow(Duration),
    /// Gives up after ten seconds, without any address.
    Dead,
    /// Answers with an address where nobody is.
    Wrong,
}

/// Where nobody is.
const NOBODY: &str = "203.0.113.250:5060";

impl World {
    /// Puts a peer behind a NAT: its datagrams come from there, and only what is sent there reaches it.
    pub fn behind_nat(&mut self, actor: usize, nat: Nat) {
        let Some(peer) = self.peers.get(actor) else {
            return;
        };
        for private in peer.actor.addresses() {
            self.owners.remove(&private);
        }
        self.nats.insert(actor, nat);
    }

    /// The NAT in front of a peer forgets its mapping `after` this instant: the next datagram comes from elsewhere.
    pub fn rebind_after(&mut self, after: Duration, actor: usize) {
        self.push(self.now + after, Event::Rebind { actor });
    }

    /// Name service is like that `after` this instant.
    pub fn resolver_after(&mut self, after: Duration, resolver: Resolver) {
        self.push(self.now + after, Event::Resolver(resolver));
    }

    /// A name leads to these addresses.
    pub fn name(&mut self, name: &str, places: Vec<SocketAddr>) {
        self.names.insert(name.to_string(), places);
    }

    /// The server is given other configuration files `after` this instant, which it must take or refuse.
    pub fn reload_after(&mut self, after: Duration, files: Vec<(String, String)>, valid: bool) {
        self.push(self.now + after, Event::Reload { files, valid });
    }

    /// The server is told how far it is behind `after` this instant.
    pub fn load_after(&mut self, after: Duration, level: u8) {
        self.push(self.now + after, Event::Load(level));
    }

    /// The wall clock steps `after` this instant; the monotonic clock does not.
    pub fn step_clock_after(&mut self, after: Duration, forward: bool, by: Duration) {
        self.push(self.now + after, Event::StepClock { forward, by });
    }

    /// The journal cannot be written from `after` this instant, for `length`.
    pub fn refuse_journal_after(&mut self, after: Duration, length: Duration) {
        self.push(self.now + after, Event::JournalRefuses { length });
    }

    /// Cuts a peer off `after` this instant for `length`.
    pub fn partition_after(&mut self, after: Duration, actor: usize, length: Duration) {
        let from = self.now + after;
        self.push(
            from,
            Event::Partition {
                actor,
                until: from + length,
            },
        );
    }

    pub(super) fn reached(&mut self, situation: &'static str) {
        self.trace.push(self.now, Happening::Reached(situation));
    }

    pub(super) fn rebind(&mut self, actor: usize) {
        if let Some(nat) = self.nats.get_mut(&actor) {
            nat.forget();
            let name = self.peers[actor].actor.name().to_string();
            self.trace
                .push(self.now, Happening::Note(format!("{name}'s NAT forgets")));
            self.reached("NAT forgets");
        }
    }

    pub(super) fn resolver_is(&mut self, resolver: Resolver) {
        if resolver != self.resolver {
            self.trace.push(
                self.now,
                Happening::Note(format!("name service: {resolver:?}")),
            );
        }
        self.resolver = resolver;
    }

    /// The server asks for a name.
    pub(super) fn resolve(&mut self, query: u64, name: &str) {
        let known = self.names.get(name).cloned().unwrap_or_default();
        let (after, places) = match self.resolver {
            Resolver::Works => (Duration::from_millis(2), known),
            Resolver::Slow(time) => {
                self.reached("slow name service");
                (time, known)
            }
            Resolver::Dead => {
                self.reached("dead name service");
                (Duration::from_secs(10), Vec::new())
            }
            Resolver::Wrong => {
                self.reached("lying name service");
                let nobody = NOBODY.parse().into_iter().collect();
                (Duration::from_millis(2), nobody)
            }
        };
        let answer = NodeInput::Resolved {
            query,
            places,
            ttl: Duration::from_secs(20),
        };
        let life = self.boots;
        self.push(self.now + after, Event::Answer { life, answer });
    }

    pub(super) fn reload(&mut self, files: Vec<(String, String)>, valid: bool) {
        if self.node.is_none() {
            return;
        }
        self.reached(if valid {
            "reload"
        } else {
            "reload of bad files"
        });
        let before = self.trace.entries().len();
        self.batch(vec![NodeInput::Reload { files }]);
        if self.node.is_none() {
            return; // it died in the midst of it, and what it said of the files with it
        }
        let refused = self.trace.entries().iter().skip(before).any(
            |(_, h)| matches!(h, Happening::Log(false, text) if text.starts_with("refused: ")),
        );
        if refused == valid {
            self.complaints.push(format!(
                "files that are {} were {}",
                if valid { "fine" } else { "bad" },
                if refused { "refused" } else { "taken" }
            ));
        }
    }

    pub(super) fn step_clock(&mut self, forward: bool, by: Duration) {
        let text = format!(
            "the wall clock steps {} s {}",
            by.as_secs(),
            if forward { "forward" } else { "back" }
        );
        self.trace.push(self.now, Happening::Note(text));
        self.reached("clock step");
        let micros = i64::try_from(by.as_micros()).unwrap_or(0);
        let signed = if forward { micros } else { -micros };
        self.wall = WallTime::from_micros(self.wall.as_micros() + signed);
    }

    pub(super) fn journal_refuses(&mut self, length: Duration) {
        if self.refusing.is_none() {
            self.trace.push(self.now, Happening::JournalRefuses(true));
            self.refusing = Some((false, Vec::new()));
            self.push(self.now + length, Event::JournalWrites);
        }
    }

    pub(super) fn journal_writes(&mut self) {
        if let Some((told, unwritten)) = self.refusing.take() {
            self.trace.push(self.now, Happening::JournalRefuses(false));
            self.journal.extend(unwritten);
            if told {
                self.batch(vec![NodeInput::StoreHealth { ok: true }]);
            }
        }
    }
}
