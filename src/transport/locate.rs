//! Locating a server by name (RFC 3263 §4): which records to ask for, what the answers mean, and the order of RFC 2782. The shell asks.

use std::net::{IpAddr, SocketAddr};

use super::{Target, TargetHost, Transport};
use crate::base::Entropy;

/// Most places that one name is taken to have; what comes behind is never tried.
pub const PLACES_MAX: usize = 16;

/// A place where a server may be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Located {
    /// How to reach it.
    pub transport: Transport,
    /// Where it is.
    pub address: SocketAddr,
    /// Lower is tried first: the rank of the service in the upper half, the priority of the SRV record in the lower.
    pub priority: u32,
    /// Share of the calls among those of one priority (RFC 2782).
    pub weight: u16,
}

impl Located {
    /// The place of an address that needs no name service.
    pub fn literal(transport: Transport, address: SocketAddr) -> Located {
        Located {
            transport,
            address,
            priority: 0,
            weight: 0,
        }
    }
}

/// The first question about a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// None: the host is an address.
    Known(Located),
    /// The name's own addresses, for this transport and port: the URI named a port (§4.2).
    Addresses(Transport, u16),
    /// SRV of one transport, which the URI named; without records the name's own addresses (§4.2).
    Service(Transport),
    /// NAPTR; without usable records SRV of each transport; without those the addresses of the name, over UDP (§4.1).
    Any,
}

/// Transports that are asked for without NAPTR, best first. Not TLS: `sips` and `transport=tls` say when it is meant.
pub const UNNAMED: [Transport; 2] = [Transport::Udp, Transport::Tcp];

/// What to ask first.
pub fn question(target: &Target) -> Question {
    match (&target.host, target.port, target.transport) {
        (TargetHost::Address(_), _, _) => Question::Known(Located::literal(
            target.transport_or_default(),
            target.socket_address().expect("the host is an address"),
        )),
        (TargetHost::Name(_), Some(port), _) => {
            Question::Addresses(target.transport_or_default(), port)
        }
        (TargetHost::Name(_), None, Some(transport)) => Question::Service(transport),
        (TargetHost::Name(_), None, None) => Question::Any,
    }
}

/// The name of the SRV records of a transport (§4.2); `None` for those to which nobody connects.
pub fn service_name(transport: Transport, host: &str) -> Option<String> {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        Transport::Ws | Transport::Wss => return None,
    };
    Some(format!("{service}.{}.", host.trim_end_matches('.')))
}

/// One NAPTR record, as far as it matters here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Naptr {
    /// Lower first, and only the lowest that can be used counts.
    pub order: u16,
    /// Lower first within an order.
    pub preference: u16,
    /// `s` is the only flag that SIP uses.
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T`.
    pub service: String,
    /// Name of the SRV records.
    pub replacement: String,
}

/// Transports with the names of their SRV records, best first. Records that mean nothing to us are passed over (§4.1).
pub fn services(mut records: Vec<Naptr>) -> Vec<(Transport, String)> {
    let meant = |record: &Naptr| {
        let (_, transport) = [
            ("SIP+D2U", Transport::Udp),
            ("SIP+D2T", Transport::Tcp),
            ("SIPS+D2T", Transport::Tls),
        ]
        .into_iter()
        .find(|(service, _)| record.service.eq_ignore_ascii_case(service))?;
        record.flags.eq_ignore_ascii_case("s").then_some(transport)
    };
    records.retain(|record| meant(record).is_some());
    records.sort_by_key(|record| (record.order, record.preference));
    let order = records.first().map(|record| record.order);
    records
        .into_iter()
        .take_while(|record| Some(record.order) == order)
        .filter_map(|record| Some((meant(&record)?, record.replacement)))
        .take(PLACES_MAX)
        .collect()
}

/// The priority of a place found through the service with this rank.
pub fn priority(rank: usize, srv: u16) -> u32 {
    u32::try_from(rank).unwrap_or(0).min(0xffff) << 16 | u32::from(srv)
}

/// Adds the addresses of one host, none twice, at most [`PLACES_MAX`] in all.
pub fn add(
    places: &mut Vec<Located>,
    transport: Transport,
    port: u16,
    priority: u32,
    weight: u16,
    addresses: impl IntoIterator<Item = IpAddr>,
) {
    for ip in addresses {
        let address = SocketAddr::new(ip, port);
        let known = places
            .iter()
            .any(|place| place.transport == transport && place.address == address);
        if !known && places.len() < PLACES_MAX {
            places.push(Located {
                transport,
                address,
                priority,
                weight,
            });
        }
    }
}

/// RFC 2782: lowest priority first; within one, drawn by weight, where zero has a small chance too. Every call draws anew, so that
/// the shares come out over the calls. `of` names the place in an item.
pub fn order<T>(items: &mut [T], entropy: &mut Entropy, of: impl Fn(&T) -> Located) {
    items.sort_by(|a, b| {
        let (a, b) = (of(a), of(b));
        (a.priority, a.address).cmp(&(b.priority, b.address))
    });
    let mut start = 0;
    while let Some(rest) = items.get_mut(start..).filter(|rest| !rest.is_empty()) {
        let priority = rest.first().map(|item| of(item).priority);
        let group = rest
            .iter()
            .map(&of)
            .take_while(|place| Some(place.priority) == priority);
        let weights: Vec<u64> = group
            .map(|place| u64::from(place.weight) * 100 + 1)
            .collect();
        let mut chosen = 0;
        if weights.len() > 1 {
            let mut draw = entropy.below(weights.iter().sum());
            for (index, &weight) in weights.iter().enumerate() {
                chosen = index;
                if draw < weight {
                    break;
                }
                draw -= weight;
            }
        }
        rest.swap(0, chosen);
        start += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Uri;

    fn asks(uri: &str) -> Question {
        let uri = Uri::parse(uri.as_bytes()).expect("a URI");
        question(&super::super::target::of(&uri).expect("leads somewhere"))
    }

    fn place(priority: u16, weight: u16, last: u8) -> Located {
        Located {
            transport: Transport::Udp,
            address: SocketAddr::from(([192, 0, 2, last], 5060)),
            priority: super::priority(0, priority),
            weight,
        }
    }

    #[test]
    fn what_the_uri_says_is_not_asked() {
        assert!(
            matches!(asks("sip:192.0.2.1"), Question::Known(place) if place.address.port() == 5060)
        );
        assert_eq!(
            asks("sip:gw.example:5070;transport=tcp"),
            Question::Addresses(Transport::Tcp, 5070)
        );
        assert_eq!(
            asks("sip:gw.example:5070"),
            Question::Addresses(Transport::Udp, 5070)
        );
        assert_eq!(
            asks("sip:gw.example;transport=tcp"),
            Question::Service(Transport::Tcp)
        );
        assert_eq!(asks("sips:gw.example"), Question::Service(Transport::Tls));
        assert_eq!(asks("sip:gw.example"), Question::Any);
    }

    #[test]
    fn naptr_chooses_the_transport_by_order_then_preference() {
        let record = |order, preference, flags: &str, service: &str, name: &str| Naptr {
            order,
            preference,
            flags: flags.into(),
            service: service.into(),
            replacement: name.into(),
        };
        let found = services(vec![
            record(20, 1, "s", "SIP+D2U", "u."),
            record(10, 50, "S", "sip+d2t", "t."),
            record(10, 10, "s", "SIPS+D2T", "s."),
            record(5, 1, "s", "SIP+D2S", "sctp."),
            record(5, 1, "u", "E2U+sip", "enum."),
        ]);
        assert_eq!(
            found,
            [
                (Transport::Tls, "s.".to_owned()),
                (Transport::Tcp, "t.".to_owned())
            ]
        );
    }

    #[test]
    fn srv_names_follow_the_transport() {
        let name = |transport| service_name(transport, "gw.example.");
        assert_eq!(
            name(Transport::Udp).as_deref(),
            Some("_sip._udp.gw.example.")
        );
        assert_eq!(
            name(Transport::Tls).as_deref(),
            Some("_sips._tcp.gw.example.")
        );
        assert_eq!(name(Transport::Ws), None);
    }

    #[test]
    fn lower_priority_numbers_come_first_and_weight_decides_within_one() {
        let mut entropy = Entropy::from_number(1);
        let mut heavy_first = 0;
        for _ in 0..1000 {
            let mut places = vec![place(20, 1, 3), place(10, 90, 1), place(10, 10, 2)];
            order(&mut places, &mut entropy, |place| *place);
            assert_eq!(places[2].address.ip().to_string(), "192.0.2.3");
            heavy_first += usize::from(places[0].weight == 90);
        }
        assert!((850..950).contains(&heavy_first), "{heavy_first} of 1000");
    }

    #[test]
    fn a_name_with_endless_addresses_has_sixteen() {
        let mut places = Vec::new();
        let addresses = (0..=255u8)
            .chain(0..=255)
            .map(|n| IpAddr::from([192, 0, 2, n]));
        add(&mut places, Transport::Udp, 5060, 0, 0, addresses);
        assert_eq!(places.len(), PLACES_MAX);
        assert!(priority(1, 0) > priority(0, u16::MAX));
    }
}
