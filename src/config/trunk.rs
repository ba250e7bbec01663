//! The settings of a trunk, checked, and what its machines are told of them.

use std::net::IpAddr;
use std::sync::Arc;

use super::certificates::TrunkTls;
use super::settings::Redirects;
use super::stir::Stir;
use crate::base::Network;
use crate::base::{Duration, Secret};
use crate::call::InvitePolicy;
use crate::directory::{NumberFormat, Place};
use crate::sip::Uri;
use crate::transport::target;
use crate::trunk::{self, BreakerSettings, Host, Login};

/// User name and password for digest challenges of the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkCredentials {
    /// User name.
    pub username: Arc<str>,
    /// Password.
    pub password: Secret,
}

/// `register = { .. }`: the trunk is registered at the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkRegister {
    /// User part of the address that is registered.
    pub user: Arc<str>,
    /// Where, if not where calls go: a SIP URI.
    pub registrar: Option<Arc<str>>,
    /// User part of our Contact. Default: the user.
    pub contact_user: Arc<str>,
    /// Expiry asked for. Default 10 min, range 1 min – 24 h.
    pub expires: Duration,
    /// All numbers of the trunk at once (RFC 6140). Default: false.
    pub bulk: bool,
}

/// When the display name of who calls goes to a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallerName {
    /// Never.
    #[default]
    None,
    /// With the caller's own number, not beside one that stands for the company.
    OwnNumber,
    /// Whatever number is shown.
    Always,
}

/// Where our number stands in calls to a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallerIdHeader {
    /// P-Asserted-Identity (RFC 3325).
    #[default]
    Pai,
    /// Remote-Party-ID.
    Rpid,
    /// From.
    From,
    /// P-Asserted-Identity, and Diversion (RFC 5806) for calls that were forwarded.
    DiversionAware,
}

/// `[[trunk]]`: a peer that leads to another network.
#[derive(Debug, Clone, PartialEq)]
pub struct Trunk {
    /// Its name, unique over all profiles.
    pub name: Arc<str>,
    /// Its name before a rename.
    pub was: Option<Arc<str>>,
    /// Name of its profile.
    pub profile: Arc<str>,
    /// SIP URIs to send to, tried in order; empty: calls only come from it.
    pub proxy: Vec<Arc<str>>,
    /// Source addresses taken as this trunk. Default: those of `proxy` that are addresses.
    pub from: Vec<Network>,
    /// How it is known and what it is shown over TLS.
    pub tls: Arc<TrunkTls>,
    /// Domain of From and To in requests to it; `None`: the host of the proxy.
    pub domain: Option<Arc<str>>,
    /// For challenges: of `register`, or of `auth` where nothing is registered.
    pub credentials: Option<TrunkCredentials>,
    /// The only realm that the password answers to; `None`: the first that took it.
    pub realm: Option<Arc<str>>,
    /// Registers there; `None`: does not register.
    pub register: Option<TrunkRegister>,
    /// Calls at a time, both directions; `None`: no limit.
    pub max_channels: Option<u32>,
    /// New calls a second towards it; `None`: no limit.
    pub max_cps: Option<u32>,
    /// How long a call waits for a free channel before it goes on without. Default 2 s, range 0 – 30 s.
    pub wait: Duration,
    /// How long a gateway may take to say anything at all to an INVITE before the next is tried. Default 5 s, range 1 – 32 s.
    pub answer_timeout: Duration,
    /// When a gateway is left alone.
    pub breaker: BreakerSettings,
    /// How it writes numbers. Default `+E164`.
    pub number_format: NumberFormat,
    /// Whether numbers in URIs to it are marked as such (`user=phone`). Default: false.
    pub user_phone: bool,
    /// Where our number stands. Default P-Asserted-Identity.
    pub caller_id: CallerIdHeader,
    /// The number that every call to it shows; `None`: the caller's.
    pub caller_number: Option<Arc<str>>,
    /// When the display name of who calls goes there. Default: never.
    pub caller_name: CallerName,
    /// What is done when it answers with a 3xx. Default: refuse.
    pub redirect: Redirects,
    /// Whether it may transfer calls with REFER. Default: false, since what it transfers to is called at our cost.
    pub transfer: bool,
    /// Time between OPTIONS to each gateway; `None`: none are sent. Default 30 s when it has a proxy.
    pub options_ping: Option<Duration>,
    /// Reliable provisionals, session timers, early media. Default: those of its profile, key by key.
    pub invite: InvitePolicy,
    /// Signed identity of callers, in and out; `None`: nobody looks and nothing is signed.
    pub stir: Option<Arc<Stir>>,
    /// Where it is defined.
    pub place: Place,
}

impl Trunk {
    /// True when a request from `source` is taken as this trunk's.
    pub fn takes(&self, source: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(source))
    }

    /// What its machines need of it.
    pub fn machine(&self) -> trunk::Settings {
        let first_host = || {
            let uri = self
                .register
                .as_ref()
                .and_then(|register| register.registrar.as_ref())
                .or(self.proxy.first());
            uri.map_or_else(|| Arc::from(""), |uri| Arc::from(host_of(uri)))
        };
        trunk::Settings {
            name: self.name.clone(),
            profile: self.profile.clone(),
            hosts: self.proxy.iter().filter_map(host).collect(),
            login: self.credentials.as_ref().map(|credentials| Login {
                username: credentials.username.clone(),
                password: credentials.password.clone(),
                realm: self.realm.clone(),
            }),
            register: self
                .register
                .as_ref()
                .map(|register| trunk::RegisterSettings {
                    user: register.user.clone(),
                    domain: self.domain.clone().unwrap_or_else(first_host),
                    registrar: register.registrar.as_ref().and_then(host),
                    contact_user: register.contact_user.clone(),
                    expires: register.expires,
                    bulk: register.bulk,
                }),
            options_ping: self.options_ping,
            breaker: self.breaker,
            cps_max: self.max_cps,
        }
    }
}

fn host(uri: &Arc<str>) -> Option<Host> {
    let target = target::of(&Uri::parse(uri.as_bytes()).ok()?).ok()?;
    Some(Host {
        uri: uri.clone(),
        target,
    })
}

/// `host` or `host:port` of a SIP URI, without user and parameters; nothing of what is none.
pub fn host_of(uri: &str) -> String {
    let Ok(parsed) = Uri::parse(uri.as_bytes()) else {
        return String::new();
    };
    let host = String::from_utf8_lossy(parsed.host);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.into_owned()
    };
    match parsed.port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}
