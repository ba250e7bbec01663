//! What calls want to know of trunks and what they teach them: ways, channels, sources; and what trunks show of themselves.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::breaker::Admission;
use super::gateway::{self, Gateway};
use super::proof::RealmPolicy;
use super::registration::{Registration, retry_after};
use super::trunks::{Output, Trunks};
use super::verdict;
use super::view::{GatewayView, View};
use crate::base::{Duration, Instant, Now};
use crate::event::TrunkFact;
use crate::sip::{Message, StatusCode};
use crate::transport::{TargetHost, Transport};

/// A way for a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// The URI in the configuration that led there.
    pub uri: Arc<str>,
    /// It is known not to work, and there is nothing better.
    pub last_resort: bool,
}

/// A gateway over TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Secure<'a> {
    /// The trunk.
    pub trunk: &'a Arc<str>,
    /// The profile that it is reached from.
    pub profile: &'a str,
    /// Where it is.
    pub address: SocketAddr,
    /// Who must be there.
    pub host: &'a TargetHost,
}

impl Trunks {
    /// Ways for a call, best first.
    pub fn ways(&mut self, now: Now, name: &str) -> Vec<Way> {
        let mut entropy = self.entropy.fork();
        let Some(trunk) = self.named(name) else {
            return Vec::new();
        };
        let favourite = trunk.registration.as_ref().and_then(Registration::at);
        gateway::choices(&mut trunk.hosts, now.mono, &mut entropy, favourite, true)
            .into_iter()
            .map(|choice| Way {
                transport: choice.transport,
                address: choice.address,
                uri: choice.uri,
                last_resort: choice.last_resort,
            })
            .collect()
    }

    /// What calls through it carry as Route (RFC 3608).
    pub fn service_route(&self, name: &str) -> &[String] {
        self.registration_of(name)
            .map_or(&[], Registration::service_route)
    }

    fn registration_of(&self, name: &str) -> Option<&Registration> {
        self.list
            .iter()
            .find(|trunk| &*trunk.settings.name == name)?
            .registration
            .as_ref()
    }

    /// The only realm that the trunk's password answers to, as far as it is known.
    pub fn realm(&self, name: &str) -> Option<Arc<str>> {
        let trunk = self
            .list
            .iter()
            .find(|trunk| &*trunk.settings.name == name)?;
        let login = trunk.settings.login.as_ref()?;
        let policy = match &trunk.registration {
            Some(registration) => registration.realm(login),
            None => match &login.realm {
                Some(realm) => RealmPolicy::Only(realm.clone()),
                None => RealmPolicy::First,
            },
        };
        match policy {
            RealmPolicy::Only(realm) => Some(realm),
            RealmPolicy::First => trunk.realm.clone(),
        }
    }

    /// A call was taken after the password had been proved to this realm: it is the one from now on.
    pub fn realm_took(&mut self, name: &str, realm: &Arc<str>) {
        if let Some(trunk) = self.named(name)
            && trunk.realm.is_none()
        {
            trunk.realm = Some(realm.clone());
        }
    }

    /// Takes the start of a call; otherwise says when there is room for the next.
    pub fn take_start(&mut self, now: Now, name: &str) -> Result<(), Instant> {
        match self.named(name) {
            Some(trunk) => trunk.starts.take(now.mono, trunk.settings.cps_max),
            None => Err(now.mono + Duration::from_secs(1)),
        }
    }

    /// A call goes to the gateway at this address.
    pub fn call_sent(&mut self, now: Now, name: &str, address: SocketAddr) {
        if let Some(gateway) = self.at(name, address) {
            gateway.breaker.tried(now.mono);
        }
    }

    fn at(&mut self, name: &str, address: SocketAddr) -> Option<&mut Gateway> {
        self.named(name)?
            .gateways()
            .find(|gateway| gateway.place.address == address)
    }

    /// The gateway at this address answered a call: whatever it said, and with what wish to be left alone.
    pub fn call_answered(
        &mut self,
        now: Now,
        name: &str,
        address: SocketAddr,
        response: &Message,
        out: &mut Vec<Output>,
    ) {
        let Some(status) = response.status().map(StatusCode::as_u16) else {
            return;
        };
        let Some(trunk) = self.named(name) else {
            return;
        };
        let (number, settings) = (trunk.number, trunk.settings.breaker);
        let Some(gateway) = trunk
            .gateways()
            .find(|gateway| gateway.place.address == address)
        else {
            return;
        };
        if !verdict::of_status(status).blames {
            gateway.breaker.worked(now.mono);
            let unasked = gateway.ping.up.is_none();
            if unasked && trunk.up == Some(false) {
                // nothing else would ever say that it is back
                trunk.up = Some(true);
                let name = trunk.settings.name.clone();
                out.push(Output::Fact(TrunkFact::Up { trunk: name }));
            }
            return;
        }
        let rest = retry_after(response);
        let why = format!("{status} to INVITE");
        let opened = if rest.is_zero() {
            gateway.breaker.failed(now.mono, &settings, &why)
        } else {
            gateway.breaker.asked_for_rest(now.mono, rest, &why)
        };
        if opened {
            self.left_alone(now, number, address, &why, out);
        }
    }

    /// Nothing came back from the gateway at this address.
    pub fn call_lost(&mut self, now: Now, name: &str, address: SocketAddr, out: &mut Vec<Output>) {
        let Some(trunk) = self.named(name) else {
            return;
        };
        let (number, settings) = (trunk.number, trunk.settings.breaker);
        let why = "no answer to INVITE";
        let opened = trunk
            .gateways()
            .find(|gateway| gateway.place.address == address)
            .is_some_and(|gateway| gateway.breaker.silent(now.mono, &settings, why));
        if opened {
            self.left_alone(now, number, address, why, out);
        }
    }

    fn left_alone(
        &mut self,
        now: Now,
        number: u32,
        address: SocketAddr,
        why: &str,
        out: &mut Vec<Output>,
    ) {
        if let Some(trunk) = self.numbered(number) {
            let name = trunk.settings.name.clone();
            out.push(Output::Warn(format!(
                "trunk {name}: gateway {address} is left alone for a while: {why}"
            )));
            if trunk.gateways().count() > 1 {
                out.push(Output::Fact(TrunkFact::GatewayDown {
                    trunk: name,
                    gateway: address.to_string(),
                    reason: why.to_owned(),
                }));
            }
        }
        self.note_state(now, number, why, out);
    }

    /// The trunk of `profile` that has registered the contact to which a request from `source` is addressed. In bulk every number is.
    pub fn registered_for(
        &self,
        profile: &str,
        source: IpAddr,
        user: Option<&str>,
    ) -> Option<Arc<str>> {
        let of = |bulk: bool| {
            self.list
                .iter()
                .find(|trunk| {
                    &*trunk.settings.profile == profile
                        && trunk.registration.as_ref().is_some_and(|it| {
                            it.is_registered()
                                && it.settings().bulk == bulk
                                && (bulk || user == Some(&*it.settings().contact_user))
                        })
                        && gateway::are_at(&trunk.hosts, source)
                })
                .map(|trunk| trunk.settings.name.clone())
        };
        of(false).or_else(|| of(true))
    }

    /// Addresses of all gateways that are known now.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.list
            .iter()
            .flat_map(|trunk| &trunk.hosts)
            .flat_map(|host| &host.gateways)
            .map(|gateway| gateway.place.address.ip().to_canonical())
    }

    /// Gateways that are reached over TLS, as they are known now, each with the host of the URI that led there: the name that it must
    /// prove (RFC 5922 §4).
    pub fn secure(&self) -> impl Iterator<Item = Secure<'_>> {
        let hosts = self
            .list
            .iter()
            .flat_map(|trunk| trunk.hosts.iter().map(move |host| (trunk, host)));
        hosts.flat_map(|(trunk, host)| {
            host.gateways
                .iter()
                .filter(|gateway| gateway.place.transport == Transport::Tls)
                .map(move |gateway| Secure {
                    trunk: &trunk.settings.name,
                    profile: &trunk.settings.profile,
                    address: gateway.place.address,
                    host: &host.host.target.host,
                })
        })
    }

    /// Gateways that are reached over UDP, each with the profile that it is reached from.
    pub fn over_udp(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.list.iter().flat_map(|trunk| {
            trunk
                .hosts
                .iter()
                .flat_map(|host| &host.gateways)
                .filter(|gateway| gateway.place.transport == Transport::Udp)
                .map(|gateway| (&*trunk.settings.profile, gateway.place.address))
        })
    }

    /// False when the trunk is known to be down.
    pub fn is_down(&mut self, name: &str) -> bool {
        self.named(name)
            .is_some_and(|trunk| trunk.up == Some(false))
    }

    /// All trunks as they are now.
    pub fn show(&mut self, now: Now) -> Vec<View> {
        self.list
            .iter_mut()
            .map(|trunk| View {
                name: trunk.settings.name.clone(),
                state: match &trunk.registration {
                    Some(registration) if registration.is_refused() => "registration-refused",
                    _ => word(trunk.up),
                },
                proxies: trunk
                    .settings
                    .hosts
                    .iter()
                    .map(|host| host.uri.to_string())
                    .collect(),
                registration: trunk.registration.as_ref().map(|it| it.view(now)),
                gateways: trunk
                    .hosts
                    .iter_mut()
                    .flat_map(|host| {
                        let uri = host.host.uri.clone();
                        host.gateways
                            .iter_mut()
                            .map(move |gateway| gateway_view(gateway, uri.clone(), now))
                    })
                    .collect(),
            })
            .collect()
    }
}

fn word(up: Option<bool>) -> &'static str {
    match up {
        Some(true) => "up",
        Some(false) => "down",
        None => "unknown",
    }
}

fn gateway_view(gateway: &mut Gateway, uri: Arc<str>, now: Now) -> GatewayView {
    let admission = gateway.breaker.admission(now.mono);
    let (breaker, why, until) = gateway.breaker.show(now.mono);
    let up = match admission {
        Admission::No | Admission::LastResort => Some(false),
        Admission::Yes | Admission::Trial => gateway.ping.up,
    };
    GatewayView {
        uri,
        transport: gateway.place.transport.as_str(),
        address: gateway.place.address.to_string(),
        state: word(up),
        why: why.or_else(|| gateway.ping.why.clone()),
        breaker,
        open_until: until.map(|at| now.wall_at(at)),
        ping_ms: gateway
            .ping
            .round_trip
            .map(|time| time.as_secs_f64() * 1000.0),
    }
}
