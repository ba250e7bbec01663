//! The addresses that we show to peers: sent-by in Via, Contact, and the address in SDP.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::leg::Endpoint;
use super::policy::{InvitePolicy, Prack};
use crate::base::digits::push_host_port;
use crate::media::{Payload, SrtpPolicy};
use crate::transport::{Flow, ProfileId, Transport};

/// What the call core needs to know of a SIP profile.
#[derive(Clone, PartialEq, Debug)]
pub struct ProfileFace {
    /// Its name.
    pub name: Arc<str>,
    /// The address that Contact and SDP show, when it differs from the one that packets leave from.
    pub public: Option<IpAddr>,
    /// The codecs it allows, best first, without telephone-event.
    pub codecs: Vec<Payload>,
    /// Protection of its audio.
    pub srtp: SrtpPolicy,
    /// True when carriers are behind it.
    pub trunks: bool,
    /// The sound file that who is put on hold by its peers hears; none: what the holder sends.
    pub hold_music: Option<Arc<str>>,
    /// How INVITE usages are run with its peers.
    pub policy: InvitePolicy,
}

/// All profiles and the machine's own address.
#[derive(Clone, PartialEq, Debug)]
pub struct Network {
    /// By `ProfileId`.
    pub profiles: Vec<ProfileFace>,
    /// The address that a packet to the rest of the world would leave from; used where a profile listens on any address.
    pub primary: IpAddr,
    /// Domain of the addresses that parties are shown under.
    pub domain: Arc<str>,
    /// How INVITE usages are run with each trunk.
    pub trunk_policies: BTreeMap<Arc<str>, InvitePolicy>,
}

impl Network {
    /// The profile of a flow.
    pub fn profile(&self, id: ProfileId) -> Option<&ProfileFace> {
        self.profiles.get(usize::from(id.0))
    }

    /// How an INVITE usage with this endpoint is run. Telephones in browsers never have to acknowledge provisional responses: their
    /// library answers for them, or not at all.
    pub fn policy(&self, endpoint: &Endpoint, flow: &Flow) -> InvitePolicy {
        let own = match endpoint {
            Endpoint::Trunk(name) => self.trunk_policies.get(name),
            Endpoint::Extension(_) | Endpoint::Unknown => None,
        };
        let mut policy = own
            .or_else(|| self.profile(flow.profile).map(|face| &face.policy))
            .copied()
            .unwrap_or_default();
        if matches!(flow.transport, Transport::Ws | Transport::Wss)
            && policy.prack == Prack::Required
        {
            policy.prack = Prack::Supported;
        }
        policy
    }

    /// The address that the peer of `flow` should see.
    pub fn shown_ip(&self, flow: &Flow) -> IpAddr {
        if flow.remote.ip().is_loopback() {
            let local = flow.local.ip();
            return match (local.is_unspecified(), flow.remote.ip()) {
                (false, _) => local,
                (true, IpAddr::V4(_)) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                (true, IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            };
        }
        if let Some(public) = self.profile(flow.profile).and_then(|face| face.public) {
            return public;
        }
        let local = flow.local.ip();
        if local.is_unspecified() {
            self.primary
        } else {
            local
        }
    }

    /// `host:port` for Via and Contact on `flow` (RFC 3261 §18.1.1).
    pub fn sent_by(&self, flow: &Flow) -> String {
        let mut text = String::with_capacity(24);
        push_host_port(&mut text, self.shown_ip(flow), flow.local.port());
        text
    }

    /// The Contact value for a dialog on `flow`.
    pub fn contact(&self, flow: &Flow, user: &str) -> String {
        let mut text = String::with_capacity(64);
        text.push_str("<sip:");
        text.push_str(user);
        if !user.is_empty() {
            text.push('@');
        }
        push_host_port(&mut text, self.shown_ip(flow), flow.local.port());
        if let Some(transport) = flow.transport.uri_parameter() {
            text.push_str(";transport=");
            text.push_str(transport);
        }
        text.push('>');
        text
    }

    /// The address to bind for media of a leg on `flow`: the profile's own, so that a host with several does not mix them.
    pub fn media_bind(&self, flow: &Flow) -> IpAddr {
        flow.local.ip()
    }
}
