//! What one SIP profile grants to those who register through it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::{Duration, Network};

/// The registration policy of a profile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Shortest registration; a shorter wish is answered 423 with Min-Expires (RFC 3261 §10.3). Default 60 s.
    pub expires_min: Duration,
    /// Granted when the request wishes nothing. Default 3,600 s.
    pub expires_default: Duration,
    /// Longest registration; a longer wish is cut. Default 3,600 s.
    pub expires_max: Duration,
    /// What is granted is shortened by a random part of itself, up to so many percent, never below the minimum: telephones that
    /// came back together after an outage drift apart. 0–50, default 0; the configuration's default is 10.
    pub expires_jitter: u8,
    /// Bindings that one address of record may have. Default 10.
    pub contacts_max: usize,
    /// One binding more than that takes the place of the one refreshed longest ago; otherwise it is answered 403. Default: false.
    pub replace_oldest: bool,
    /// Whose Path is taken (RFC 3327). Default: nobody's.
    pub path: PathFrom,
    /// Service-Route values of the answer (RFC 3608), as they stand in the header. Default: none.
    pub service_route: Vec<Arc<str>>,
    /// Time between two questions to a flow whether it is alive; `None`: it is not asked. Default: not asked; the
    /// configuration's default is 60 s.
    pub qualify: Option<Duration>,
    /// Which devices are behind a NAT. Default: those whose Contact differs from their source.
    pub nat: Nat,
    /// Time between two messages to a UDP flow behind a NAT, so that its mapping lasts; `None`: none are sent. Default: none; the
    /// configuration's default is 25 s.
    pub nat_ping: Option<Duration>,
    /// After how long without a sign of life the server gives a flow up, as Flow-Timer says it (RFC 5626 §5.4). Default 120 s.
    pub flow_timer: Duration,
    /// Gives GRUUs to devices that ask for them (RFC 5627). Default: true.
    pub gruu: bool,
}

/// Sources whose Path header is believed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum PathFrom {
    /// None: Path is as unknown as any extension.
    #[default]
    Nobody,
    /// All who may register.
    Anybody,
    /// These proxies.
    Networks(Vec<Network>),
}

impl PathFrom {
    /// True when Path is taken from `source`.
    pub fn takes(&self, source: IpAddr) -> bool {
        match self {
            PathFrom::Nobody => false,
            PathFrom::Anybody => true,
            PathFrom::Networks(list) => list.iter().any(|network| network.contains(source)),
        }
    }
}

/// How a NAT is recognised.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Nat {
    /// By a Contact that names another place than the source.
    #[default]
    Auto,
    /// Everybody is behind one: for networks whose gateways rewrite the Contact, so that nothing shows.
    Always,
    /// Nobody is.
    Never,
    /// By the Contact, and everybody in these networks.
    Networks(Vec<Network>),
}

impl Nat {
    /// Is a device behind a NAT, when its Contact shows it or not?
    pub fn hides(&self, source: IpAddr, shows: bool) -> bool {
        match self {
            Nat::Auto => shows,
            Nat::Always => true,
            Nat::Never => false,
            Nat::Networks(list) => shows || list.iter().any(|network| network.contains(source)),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            expires_min: Duration::from_secs(60),
            expires_default: Duration::from_secs(3_600),
            expires_max: Duration::from_secs(3_600),
            expires_jitter: 0,
            contacts_max: 10,
            replace_oldest: false,
            path: PathFrom::Nobody,
            service_route: Vec::new(),
            qualify: None,
            nat: Nat::Auto,
            nat_ping: None,
            flow_timer: Duration::from_secs(120),
            gruu: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_tell_whose_path_and_whose_nat() {
        let inside: IpAddr = "10.1.2.3".parse().expect("an address");
        let outside: IpAddr = "192.0.2.9".parse().expect("an address");
        let list = vec![Network::parse("10.0.0.0/8").expect("a network")];
        let path = PathFrom::Networks(list.clone());
        assert!(path.takes(inside) && !path.takes(outside));
        assert!(!PathFrom::Nobody.takes(inside) && PathFrom::Anybody.takes(outside));
        let nat = Nat::Networks(list);
        assert!(nat.hides(inside, false) && !nat.hides(outside, false));
        assert!(nat.hides(outside, true) && !Nat::Never.hides(outside, true));
        assert!(Nat::Always.hides(outside, false) && !Nat::Auto.hides(outside, false));
    }
}
