//! Name service for the core: SRV, then addresses (RFC 3263 §4), with a limit on time and on look-ups under way.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::inbox::Inbox;
use super::metrics::{Metrics, count};
use super::outlet::Query;
use crate::base::Entropy;
use crate::switch::Input;
use crate::transport::Transport;

/// A look-up may take so long in all; a dead resolver then looks like a name without address.
const PATIENCE: Duration = Duration::from_secs(4);
/// Look-ups under way at most; more wait.
const AT_ONCE: usize = 64;
/// Addresses in an answer at most.
const ADDRESSES_MAX: usize = 16;

/// Answers `Effect::Resolve`.
#[derive(Clone)]
pub struct NameService {
    runtime: tokio::runtime::Handle,
    resolver: Option<Arc<TokioResolver>>,
    places: Arc<Semaphore>,
    inbox: Inbox,
    metrics: Arc<Metrics>,
    entropy: Arc<parking_lot::Mutex<Entropy>>,
}

impl NameService {
    /// With the system's resolvers. Without a usable configuration every name has no address, and a warning says so.
    pub fn start(
        runtime: tokio::runtime::Handle,
        inbox: Inbox,
        metrics: Arc<Metrics>,
        entropy: Entropy,
    ) -> Self {
        let _on_runtime = runtime.enter();
        let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        let resolver = built
            .inspect_err(
                |error| tracing::warn!(%error, "no name service: only addresses will work"),
            )
            .ok()
            .map(Arc::new);
        drop(_on_runtime);
        NameService {
            runtime,
            resolver,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            inbox,
            metrics,
            entropy: Arc::new(parking_lot::Mutex::new(entropy)),
        }
    }

    /// Looks `query` up and sends the answer to the inbox. Never blocks.
    pub fn resolve(&self, query: Query) {
        // An address literal needs nobody's help.
        let literal = query.host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = literal.parse::<IpAddr>() {
            return self.answer(query.query, vec![(ip, 0)]);
        }
        count(&self.metrics.lookups);
        let service = self.clone();
        self.runtime.spawn(async move {
            let Ok(_place) = service.places.clone().acquire_owned().await else {
                return;
            };
            let addresses = timeout(PATIENCE, service.look_up(&query))
                .await
                .unwrap_or_default();
            if addresses.is_empty() {
                count(&service.metrics.lookups_failed);
                tracing::warn!(host = %query.host, "the name has no address, or nobody answered");
            }
            service.answer(query.query, addresses);
        });
    }

    fn answer(&self, query: u64, addresses: Vec<(IpAddr, u16)>) {
        self.inbox.input(Input::Resolved { query, addresses });
    }

    async fn look_up(&self, query: &Query) -> Vec<(IpAddr, u16)> {
        let Some(resolver) = &self.resolver else {
            return Vec::new();
        };
        let mut targets = Vec::new();
        if query.srv {
            let service = match query.transport {
                Transport::Udp => "_sip._udp",
                Transport::Tcp => "_sip._tcp",
                Transport::Tls => "_sips._tcp",
                // never asked: WebSocket peers come to us
                Transport::Ws | Transport::Wss => return Vec::new(),
            };
            let name = format!("{service}.{}.", query.host.trim_end_matches('.'));
            if let Ok(found) = resolver.lookup(name, RecordType::SRV).await {
                for record in found.answers() {
                    if let RData::SRV(srv) = &record.data {
                        targets.push(Srv {
                            priority: srv.priority,
                            weight: srv.weight,
                            port: srv.port,
                            host: srv.target.to_string(),
                        });
                    }
                }
            }
            let mut entropy = self.entropy.lock();
            order(&mut targets, &mut entropy);
        }
        if targets.is_empty() {
            targets.push(Srv {
                priority: 0,
                weight: 0,
                port: 0,
                host: query.host.to_string(),
            });
        }
        let mut addresses = Vec::new();
        for target in targets {
            if let Ok(found) = resolver.lookup_ip(target.host.as_str()).await {
                for ip in found.iter() {
                    if addresses.len() < ADDRESSES_MAX && !addresses.contains(&(ip, target.port)) {
                        addresses.push((ip, target.port));
                    }
                }
            }
        }
        addresses
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Srv {
    priority: u16,
    weight: u16,
    port: u16,
    host: String,
}

/// RFC 2782: lowest priority first; within one, drawn by weight, where zero has a small chance too.
fn order(targets: &mut [Srv], entropy: &mut Entropy) {
    targets.sort_by(|a, b| (a.priority, &a.host, a.port).cmp(&(b.priority, &b.host, b.port)));
    let mut start = 0;
    while let Some(rest) = targets.get_mut(start..).filter(|rest| !rest.is_empty()) {
        let priority = rest.first().map(|t| t.priority);
        let group = rest.iter().take_while(|t| Some(t.priority) == priority);
        let weights: Vec<u64> = group.map(|t| u64::from(t.weight) * 100 + 1).collect();
        let mut draw = entropy.below(weights.iter().sum());
        let mut chosen = 0;
        for (index, &weight) in weights.iter().enumerate() {
            chosen = index;
            if draw < weight {
                break;
            }
            draw -= weight;
        }
        rest.swap(0, chosen);
        start += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, host: &str) -> Srv {
        Srv {
            priority,
            weight,
            port: 5060,
            host: host.into(),
        }
    }

    #[test]
    fn lower_priority_numbers_come_first_and_weight_decides_within_one() {
        let mut entropy = Entropy::from_number(1);
        let mut heavy_first = 0;
        for _ in 0..1000 {
            let mut targets = vec![srv(20, 1, "c"), srv(10, 90, "a"), srv(10, 10, "b")];
            order(&mut targets, &mut entropy);
            assert_eq!(targets[2].host, "c");
            heavy_first += usize::from(targets[0].host == "a");
        }
        assert!((850..950).contains(&heavy_first), "{heavy_first} of 1000");
    }

    #[test]
    fn an_address_literal_is_answered_without_a_look_up() {
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let (inbox, letters) = crate::io::inbox::inbox().expect("inbox");
        let metrics = Arc::new(Metrics::default());
        let service = NameService::start(
            runtime.handle().clone(),
            inbox,
            metrics.clone(),
            Entropy::from_number(1),
        );
        service.resolve(Query {
            query: 7,
            host: "[::1]".into(),
            srv: true,
            transport: Transport::Udp,
        });
        let Some(crate::io::inbox::Letter::Input(input)) = letters.take() else {
            panic!("no answer");
        };
        let Input::Resolved {
            query: 7,
            addresses,
        } = *input
        else {
            panic!("another answer");
        };
        assert_eq!(addresses, [("::1".parse().expect("ip"), 0)]);
        assert_eq!(
            metrics.lookups.load(std::sync::atomic::Ordering::Relaxed),
            0
        );
    }
}
