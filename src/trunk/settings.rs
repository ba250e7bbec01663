//! What a trunk's machines are told of the configuration.

use std::sync::Arc;

use super::breaker::BreakerSettings;
use crate::base::{Duration, Secret};
use crate::transport::Target;

/// A configured place of a trunk, before the name service was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// The URI as written, with its scheme.
    pub uri: Arc<str>,
    /// Where it leads.
    pub target: Target,
}

/// User and password at the other side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Login {
    /// User name in the credentials.
    pub username: Arc<str>,
    /// Password.
    pub password: Secret,
    /// The only realm that the password answers to; `None`: the registrar's domain, or the first realm that took it.
    pub realm: Option<Arc<str>>,
}

/// How a trunk registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterSettings {
    /// User part of the address of record.
    pub user: Arc<str>,
    /// Domain of the address of record and of the Request-URI.
    pub domain: Arc<str>,
    /// Where to register, when that is not where calls go.
    pub registrar: Option<Host>,
    /// User part of our Contact, by which calls to it are known. Nothing in bulk, where the number stands there.
    pub contact_user: Arc<str>,
    /// Expiry asked for. Range 1 min – 24 h, default 10 min.
    pub expires: Duration,
    /// All numbers of the trunk with one REGISTER (RFC 6140).
    pub bulk: bool,
}

/// One trunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Its name, unique.
    pub name: Arc<str>,
    /// Name of the profile that it is reached from.
    pub profile: Arc<str>,
    /// Where calls go, best first.
    pub hosts: Vec<Host>,
    /// For challenges.
    pub login: Option<Login>,
    /// Registers there.
    pub register: Option<RegisterSettings>,
    /// Time between OPTIONS to each gateway; `None`: none are sent.
    pub options_ping: Option<Duration>,
    /// When a gateway is left alone.
    pub breaker: BreakerSettings,
    /// New calls a second towards it; `None`: no limit.
    pub cps_max: Option<u32>,
}

impl Settings {
    /// True when the machines of the other settings can go on under these.
    pub(super) fn continues(&self, before: &Settings) -> bool {
        self.profile == before.profile
            && self.hosts == before.hosts
            && self.login == before.login
            && self.register == before.register
    }
}
