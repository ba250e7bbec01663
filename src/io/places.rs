//! How many connections there may be, by source and in all, and how many handshakes of one source at a time.
//!
//! A source is an IPv4 address or an IPv6 /64, because that is what one subscriber gets. A place is taken before anything is read
//! from a peer and given back when its connection is over, however it ended.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Connections from one source at most: an office behind one NAT (guess).
pub(super) const PER_SOURCE_MAX: usize = 256;
/// Connections in all at most; half of the usual file limit of 65,536 stays for media (guess).
const CONNECTIONS_MAX: usize = 20_000;
/// TLS handshakes of one source at a time; more wait. One takes about a millisecond of computing (guess).
const HANDSHAKES_PER_SOURCE_MAX: usize = 32;
/// TLS handshakes in all at a time; more wait.
const HANDSHAKES_MAX: usize = 512;

/// All places.
pub(super) struct Places {
    taken: Mutex<Taken>,
    /// Handshakes in all.
    pub(super) handshakes: Semaphore,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            taken: Mutex::default(),
            handshakes: Semaphore::new(HANDSHAKES_MAX),
        }
    }
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_source: HashMap<IpAddr, Source>,
}

struct Source {
    connections: usize,
    handshakes: Arc<Semaphore>,
}

/// One connection's place; free again when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    /// `None`: nobody has said yet whose it is.
    source: Option<IpAddr>,
}

impl Places {
    /// A place for a peer; `None` when there is none.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut place = self.take_unnamed()?;
        place.name(peer).then_some(place)
    }

    /// A place for a peer behind a load balancer that has not said whom it brings.
    pub(super) fn take_unnamed(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken.lock();
        if taken.all >= CONNECTIONS_MAX {
            return None;
        }
        taken.all += 1;
        Some(self.place(None))
    }

    /// A place for a connection that we open: never refused, our own calls depend on it.
    pub(super) fn take_for_us(self: &Arc<Self>, peer: IpAddr) -> Place {
        self.taken.lock().all += 1;
        let mut place = self.place(None);
        place.join(peer, usize::MAX);
        place
    }

    fn place(self: &Arc<Self>, source: Option<IpAddr>) -> Place {
        Place {
            places: self.clone(),
            source,
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let taken = self.taken.lock();
        taken.all == 0 && taken.by_source.is_empty()
    }
}

impl Place {
    /// Says whose place it is. False when that source has as many as it may.
    pub(super) fn name(&mut self, peer: IpAddr) -> bool {
        self.join(peer, PER_SOURCE_MAX)
    }

    fn join(&mut self, peer: IpAddr, most: usize) -> bool {
        let source = source_of(peer);
        self.part();
        let mut taken = self.places.taken.lock();
        let found = taken.by_source.entry(source).or_insert_with(|| Source {
            connections: 0,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_PER_SOURCE_MAX)),
        });
        if found.connections >= most {
            return false;
        }
        found.connections += 1;
        self.source = Some(source);
        true
    }

    fn part(&mut self) {
        let Some(source) = self.source.take() else {
            return;
        };
        let mut taken = self.places.taken.lock();
        if let Some(found) = taken.by_source.get_mut(&source) {
            found.connections -= 1;
            if found.connections == 0 {
                taken.by_source.remove(&source);
            }
        }
    }

    /// Where handshakes of this source wait for their turn; `None` for one that is not named.
    pub(super) fn handshakes(&self) -> Option<Arc<Semaphore>> {
        let taken = self.places.taken.lock();
        let source = taken.by_source.get(&self.source?)?;
        Some(source.handshakes.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.part();
        self.places.taken.lock().all -= 1;
    }
}

fn source_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (!0 << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_and_one_source_has_so_many() {
        let places = Arc::new(Places::default());
        let ip = |text: &str| text.parse::<IpAddr>().expect("address");
        let mut taken: Vec<Place> = (0..PER_SOURCE_MAX)
            .map(|n| {
                let peer = ip(&format!("2001:db8::{n:x}"));
                places.take(peer).expect("a place")
            })
            .collect();
        assert!(places.take(ip("2001:db8::ffff")).is_none());
        assert!(places.take(ip("2001:db8:0:1::1")).is_some());
        let mut balanced = places.take_unnamed().expect("a place");
        assert!(!balanced.name(ip("2001:db8::9")));
        taken.pop();
        assert!(balanced.name(ip("2001:db8::9")));
        // Calls out are not counted against anybody's cap, but count.
        let ours = places.take_for_us(ip("2001:db8::1"));
        drop((taken, balanced, ours));
        assert!(places.is_empty());
    }
}
