//! Name service for the core: NAPTR, SRV and addresses (RFC 3263 §4), with a limit on time and on look-ups under way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::inbox::Inbox;
use super::metrics::{Metrics, count};
use super::outlet::Query;
use crate::switch::Input;
use crate::transport::locate::{self, Naptr, Question, UNNAMED};
use crate::transport::{Located, TargetHost, Transport};

/// A look-up may take so long in all; a dead resolver then looks like a name without address.
const PATIENCE: Duration = Duration::from_secs(4);
/// Look-ups under way at most; more wait.
const AT_ONCE: usize = 64;
/// How long an answer holds at most, and how long one without a time holds. Guess.
const TTL_MAX: Duration = Duration::from_secs(3600);

/// Answers `Effect::Resolve`.
#[derive(Clone)]
pub struct NameService {
    runtime: tokio::runtime::Handle,
    resolver: Option<Arc<TokioResolver>>,
    places: Arc<Semaphore>,
    inbox: Inbox,
    metrics: Arc<Metrics>,
}

/// What a look-up found so far.
struct Found {
    places: Vec<Located>,
    ttl: Duration,
}

impl Found {
    fn holds(&mut self, seconds: u32) {
        self.ttl = self.ttl.min(Duration::from_secs(u64::from(seconds)));
    }
}

impl NameService {
    /// With these name servers, or the system's where none is named. Without a usable configuration every name has no address, and a
    /// warning says so.
    pub fn start(
        runtime: tokio::runtime::Handle,
        inbox: Inbox,
        metrics: Arc<Metrics>,
        servers: &[SocketAddr],
    ) -> Self {
        let _on_runtime = runtime.enter();
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
            Ok(TokioResolver::builder_with_config(
                config,
                Default::default(),
            ))
        };
        let resolver = builder
            .and_then(|builder| builder.build())
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
        }
    }

    /// Looks `query` up and sends the answer to the inbox. Never blocks.
    pub fn resolve(&self, query: Query) {
        let question = locate::question(&query.target);
        let host = match (&query.target.host, question) {
            (_, Question::Known(place)) => {
                return self.answer(
                    query.query,
                    Found {
                        places: vec![place],
                        ttl: TTL_MAX,
                    },
                );
            }
            (TargetHost::Name(name), _) => name.clone(),
            (TargetHost::Address(_), _) => return,
        };
        count(&self.metrics.lookups);
        let service = self.clone();
        self.runtime.spawn(async move {
            let Ok(_place) = service.places.clone().acquire_owned().await else {
                return;
            };
            let question = locate::question(&query.target);
            let found = timeout(PATIENCE, service.look_up(&host, question))
                .await
                .unwrap_or(Found {
                    places: Vec::new(),
                    ttl: Duration::ZERO,
                });
            if found.places.is_empty() {
                count(&service.metrics.lookups_failed);
                tracing::warn!(%host, "the name has no address, or nobody answered");
            }
            service.answer(query.query, found);
        });
    }

    fn answer(&self, query: u64, found: Found) {
        self.inbox.input(Input::Resolved {
            query,
            places: found.places,
            ttl: found.ttl,
        });
    }

    async fn look_up(&self, host: &str, question: Question) -> Found {
        let mut found = Found {
            places: Vec::new(),
            ttl: TTL_MAX,
        };
        match question {
            Question::Known(place) => found.places.push(place),
            Question::Addresses(transport, port) => {
                self.addresses(host, transport, port, 0, 0, &mut found)
                    .await;
            }
            Question::Service(transport) => {
                self.services(host, &[transport], &mut found).await;
            }
            Question::Any => {
                let named = self.named_services(host, &mut found).await;
                for (rank, (transport, name)) in named.into_iter().enumerate() {
                    self.service(&name, transport, rank, &mut found).await;
                }
                if found.places.is_empty() {
                    self.services(host, &UNNAMED, &mut found).await;
                }
            }
        }
        found
    }

    /// SRV of each transport; without any, the addresses of the name over the first.
    async fn services(&self, host: &str, transports: &[Transport], found: &mut Found) {
        for (rank, &transport) in transports.iter().enumerate() {
            if let Some(name) = locate::service_name(transport, host) {
                self.service(&name, transport, rank, found).await;
            }
        }
        if found.places.is_empty()
            && let Some(&transport) = transports.first()
        {
            let port = transport.default_port();
            self.addresses(host, transport, port, 0, 0, found).await;
        }
    }

    async fn named_services(&self, host: &str, found: &mut Found) -> Vec<(Transport, String)> {
        let mut records = Vec::new();
        let name = format!("{}.", host.trim_end_matches('.'));
        if let Some(resolver) = &self.resolver
            && let Ok(answer) = resolver.lookup(name, RecordType::NAPTR).await
        {
            for record in answer.answers() {
                if let RData::NAPTR(naptr) = &record.data {
                    found.holds(record.ttl);
                    records.push(Naptr {
                        order: naptr.order,
                        preference: naptr.preference,
                        flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
                        service: String::from_utf8_lossy(&naptr.services).into_owned(),
                        replacement: naptr.replacement.to_string(),
                    });
                }
            }
        }
        locate::services(records)
    }

    async fn service(&self, name: &str, transport: Transport, rank: usize, found: &mut Found) {
        let Some(resolver) = &self.resolver else {
            return;
        };
        let Ok(answer) = resolver.lookup(name, RecordType::SRV).await else {
            return;
        };
        let mut records = Vec::new();
        for record in answer.answers() {
            if let RData::SRV(srv) = &record.data {
                // a lone dot says that the service is not there (RFC 2782)
                if !srv.target.is_root() {
                    found.holds(record.ttl);
                    records.push((srv.priority, srv.weight, srv.port, srv.target.to_string()));
                }
            }
        }
        records.sort();
        for (priority, weight, port, host) in records.into_iter().take(locate::PLACES_MAX) {
            let priority = locate::priority(rank, priority);
            self.addresses(&host, transport, port, priority, weight, found)
                .await;
        }
    }

    async fn addresses(
        &self,
        host: &str,
        transport: Transport,
        port: u16,
        priority: u32,
        weight: u16,
        found: &mut Found,
    ) {
        let Some(resolver) = &self.resolver else {
            return;
        };
        let Ok(answer) = resolver.lookup_ip(host).await else {
            return;
        };
        for record in answer.as_lookup().answers() {
            found.holds(record.ttl);
        }
        let list: Vec<IpAddr> = answer.iter().collect();
        locate::add(&mut found.places, transport, port, priority, weight, list);
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Target;

    #[test]
    fn an_address_literal_is_answered_without_a_look_up() {
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let (inbox, letters) = crate::io::inbox::inbox().expect("inbox");
        let metrics = Arc::new(Metrics::default());
        let service = NameService::start(runtime.handle().clone(), inbox, metrics.clone(), &[]);
        service.resolve(Query {
            query: 7,
            target: Target {
                host: TargetHost::Address("::1".parse().expect("ip")),
                port: None,
                transport: Some(Transport::Tls),
            },
        });
        let Some(crate::io::inbox::Letter::Input(input)) = letters.take() else {
            panic!("no answer");
        };
        let Input::Resolved {
            query: 7, places, ..
        } = *input
        else {
            panic!("another answer");
        };
        let address = "[::1]:5061".parse().expect("address");
        assert_eq!(places, [Located::literal(Transport::Tls, address)]);
        assert_eq!(
            metrics.lookups.load(std::sync::atomic::Ordering::Relaxed),
            0
        );
    }
}
