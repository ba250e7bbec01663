//! The gateways of a trunk: places that the name service found, what is known of each, and the order in which to try them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::breaker::{Admission, Breaker};
use super::settings::Host;
use crate::base::{Duration, Entropy, Instant};
use crate::transport::locate::{self, Question};
use crate::transport::{Located, Transport};

/// What OPTIONS say of a gateway.
#[derive(Default, Debug, Clone)]
pub(super) struct Ping {
    /// When the one under way left, and under which ticket.
    pub asked: Option<(Instant, u64)>,
    /// Round trip of the last answer.
    pub round_trip: Option<Duration>,
    /// It answers.
    pub up: Option<bool>,
    /// Why it is down.
    pub why: Option<Arc<str>>,
}

/// One address of a host.
#[derive(Debug, Clone)]
pub(super) struct Gateway {
    /// Names it in timers and tickets; never used again.
    pub id: u64,
    /// Where it is.
    pub place: Located,
    /// Whether calls may go there.
    pub breaker: Breaker,
    /// Whether it answers.
    pub ping: Ping,
}

impl Gateway {
    /// Up, down, or nobody knows.
    pub fn is_up(&mut self, now: Instant) -> Option<bool> {
        match (self.breaker.admission(now), self.ping.up) {
            (Admission::No | Admission::LastResort, _) | (_, Some(false)) => Some(false),
            (Admission::Yes | Admission::Trial, up) => up,
        }
    }

    /// How willingly it is tried: lower first; `None` not at all.
    fn class(&mut self, now: Instant) -> Option<u8> {
        match (self.breaker.admission(now), self.ping.up) {
            (Admission::No, _) => None,
            (Admission::Yes, None | Some(true)) => Some(0),
            (Admission::Trial, None | Some(true)) => Some(1),
            (Admission::Yes | Admission::Trial, Some(false)) | (Admission::LastResort, _) => {
                Some(2)
            }
        }
    }
}

/// A configured host with its gateways.
#[derive(Debug)]
pub(super) struct Resolved {
    pub host: Host,
    pub gateways: Vec<Gateway>,
    /// Calls go there; false for one that only registers.
    pub for_calls: bool,
    /// The look-up under way.
    pub query: Option<u64>,
}

impl Resolved {
    /// A host whose name has not been looked up.
    pub fn new(host: Host, for_calls: bool, next_id: &mut u64) -> Resolved {
        let mut it = Resolved {
            gateways: Vec::new(),
            for_calls,
            query: None,
            host,
        };
        if let Question::Known(place) = locate::question(&it.host.target) {
            it.place(vec![place], next_id);
        }
        it
    }

    /// True when the name service has something to say about it.
    pub fn has_name(&self) -> bool {
        !matches!(locate::question(&self.host.target), Question::Known(_))
    }

    /// Takes the places found; those that were known keep what is known of them. The new ones' ids come back.
    pub fn place(&mut self, places: Vec<Located>, next_id: &mut u64) -> Vec<u64> {
        let mut before = std::mem::take(&mut self.gateways);
        let mut new = Vec::new();
        for place in places.into_iter().take(locate::PLACES_MAX) {
            let known = before.iter().position(|gateway| {
                gateway.place.address == place.address && gateway.place.transport == place.transport
            });
            let gateway = match known {
                Some(at) => Gateway {
                    place,
                    ..before.swap_remove(at)
                },
                None => {
                    *next_id += 1;
                    new.push(*next_id);
                    Gateway {
                        id: *next_id,
                        place,
                        breaker: Breaker::default(),
                        ping: Ping::default(),
                    }
                }
            };
            self.gateways.push(gateway);
        }
        new
    }
}

/// A gateway to try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Choice {
    pub id: u64,
    pub transport: Transport,
    pub address: SocketAddr,
    pub uri: Arc<str>,
    /// It is known not to work; there is nothing better.
    pub last_resort: bool,
}

/// The gateways for one call, best first: the hosts in their order, within one the priorities and weights of RFC 2782 drawn anew, those
/// that are tried out or known to be down behind all others. `favourite` comes first among its equals: where we are registered.
pub(super) fn choices(
    hosts: &mut [Resolved],
    now: Instant,
    entropy: &mut Entropy,
    favourite: Option<u64>,
    calls: bool,
) -> Vec<Choice> {
    let mut found: Vec<(u8, bool, Choice)> = Vec::new();
    for host in hosts.iter_mut().filter(|host| host.for_calls == calls) {
        let mut list: Vec<(u8, Located, u64)> = host
            .gateways
            .iter_mut()
            .filter_map(|gateway| Some((gateway.class(now)?, gateway.place, gateway.id)))
            .collect();
        locate::order(&mut list, entropy, |(_, place, _)| *place);
        for (class, place, id) in list {
            found.push((
                class,
                favourite != Some(id),
                Choice {
                    id,
                    transport: place.transport,
                    address: place.address,
                    uri: host.host.uri.clone(),
                    last_resort: class == 2,
                },
            ));
        }
    }
    // stable: what was said above stays within a class
    found.sort_by_key(|(class, other, _)| (*class, *other));
    found.into_iter().map(|(_, _, choice)| choice).collect()
}

/// True when one of the hosts is known to be at the address.
pub(super) fn are_at(hosts: &[Resolved], ip: IpAddr) -> bool {
    hosts
        .iter()
        .flat_map(|host| &host.gateways)
        .any(|gateway| gateway.place.address.ip().to_canonical() == ip)
}
