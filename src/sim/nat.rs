//! A NAT in front of one peer: a mapping that lasts as long as it is used, and another port when it is forgotten (RFC 4787).

use std::net::{IpAddr, SocketAddr};

use crate::base::{Duration, Instant};

/// The NAT, with one mapping: its peer has one socket, and the mapping is the same for all whom it writes to.
#[derive(Clone, Debug)]
pub struct Nat {
    public: IpAddr,
    next_port: u16,
    /// A mapping that has not been used for so long is forgotten; `None`: never.
    life: Option<Duration>,
    /// What comes from the outside keeps the mapping as well.
    kept_by_both: bool,
    mapping: Option<(u16, Instant)>,
    used_before: bool,
}

impl Nat {
    /// A NAT that shows `public`.
    pub fn new(public: SocketAddr, life: Option<Duration>, kept_by_both: bool) -> Nat {
        Nat {
            public: public.ip(),
            next_port: public.port(),
            life,
            kept_by_both,
            mapping: None,
            used_before: false,
        }
    }

    /// The address that the world sees.
    pub fn ip(&self) -> IpAddr {
        self.public
    }

    /// A packet goes out: where it seems to come from. True when that is another place than before.
    pub fn out(&mut self, now: Instant) -> (SocketAddr, bool) {
        let (port, fresh) = match self.mapping {
            Some((port, used)) if self.lives(now, used) => (port, false),
            _ => {
                let port = self.next_port;
                self.next_port = self.next_port.checked_add(7).unwrap_or(40_000);
                (port, std::mem::replace(&mut self.used_before, true))
            }
        };
        self.mapping = Some((port, now));
        (SocketAddr::new(self.public, port), fresh)
    }

    /// A packet comes in for this port: whether it passes.
    pub fn admits(&mut self, now: Instant, port: u16) -> bool {
        match self.mapping {
            Some((own, used)) if own == port && self.lives(now, used) => {
                if self.kept_by_both {
                    self.mapping = Some((own, now));
                }
                true
            }
            _ => false,
        }
    }

    /// The mapping is forgotten now: the next packet comes from elsewhere.
    pub fn forget(&mut self) {
        self.mapping = None;
    }

    fn lives(&self, now: Instant, used: Instant) -> bool {
        self.life.is_none_or(|life| now.since(used) < life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn nat(life: u64, both: bool) -> Nat {
        let public = "198.18.1.1:40000".parse().expect("an address");
        Nat::new(public, Some(Duration::from_secs(life)), both)
    }

    #[test]
    fn mapping_that_is_used_stays_and_one_that_is_not_is_forgotten() {
        let mut it = nat(8, false);
        assert_eq!(it.out(at(1)).0.port(), 40_000);
        assert_eq!(it.out(at(8)).0.port(), 40_000);
        assert!(it.admits(at(15), 40_000), "within eight seconds");
        assert!(!it.admits(at(16), 40_000), "what came in did not keep it");
        let (address, moved) = it.out(at(16));
        assert!(moved && address.port() != 40_000);
        assert!(!it.admits(at(17), 40_000), "the old port is nobody's");
    }

    #[test]
    fn some_nats_are_kept_open_from_the_outside() {
        let mut it = nat(8, true);
        it.out(at(1));
        assert!(it.admits(at(8), 40_000));
        assert!(it.admits(at(15), 40_000));
    }

    #[test]
    fn forgotten_mapping_lets_nothing_in() {
        let mut it = nat(3_600, true);
        it.out(at(1));
        it.forget();
        assert!(!it.admits(at(2), 40_000));
        assert!(it.out(at(3)).0.port() != 40_000);
    }
}
