//! What the call core is shown of the configuration: addresses and codecs of the profiles, and flows out of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::call::{Network, PeerLogin, ProfileFace};
use crate::config::{PublicAddress, Settings, SipProfile, Trunk};
use crate::media::{Codec, Payload};
use crate::registrar::Policy;
use crate::transport::{Flow, ProfileId, Transport};
use crate::trunk::Trunks;

/// The profiles as the call core sees them.
pub(super) fn network(settings: &Settings, primary: IpAddr) -> Network {
    Network {
        profiles: settings
            .profiles
            .iter()
            .map(|profile| ProfileFace {
                name: profile.name.clone(),
                public: public_address(settings, profile),
                codecs: payloads(&profile.codecs),
                srtp: profile.srtp,
                trunks: !profile.trunks.is_empty(),
                hold_music: super::on_queue::music_file(&profile.hold_music),
                policy: profile.invite,
            })
            .collect(),
        primary,
        domain: settings.server.domain.clone(),
        trunk_policies: settings
            .trunks()
            .map(|trunk| (trunk.name.clone(), trunk.invite))
            .collect(),
    }
}

/// The registration policies, by `ProfileId`.
pub(super) fn policies(settings: &Settings) -> Vec<Arc<Policy>> {
    settings
        .profiles
        .iter()
        .map(|profile| profile.registration.clone())
        .collect()
}

fn public_address(settings: &Settings, profile: &SipProfile) -> Option<IpAddr> {
    match profile
        .public_address
        .unwrap_or(settings.server.public_address)
    {
        PublicAddress::Auto => None,
        PublicAddress::Address(ip) => Some(ip),
    }
}

/// Our payload numbers for codecs: the static ones of RFC 3551, dynamic ones from 96 in order.
fn payloads(codecs: &[Codec]) -> Vec<Payload> {
    let mut dynamic = 96;
    codecs
        .iter()
        .filter(|codec| codec.is_speech())
        .filter_map(|codec| {
            Payload::of_name(codec.name(), dynamic).inspect(|payload| {
                if payload.number == dynamic {
                    dynamic += 1;
                }
            })
        })
        .collect()
}

/// A profile by its place in the settings.
pub(super) fn profile_of(settings: &Settings, id: ProfileId) -> Option<&Arc<SipProfile>> {
    settings.profiles.get(usize::from(id.0))
}

/// A flow from a profile to an address: from its first listener of that transport and address family.
pub(super) fn flow_to(
    settings: &Settings,
    profile: &str,
    transport: Transport,
    remote: SocketAddr,
) -> Option<Flow> {
    let (index, profile) = settings
        .profiles
        .iter()
        .enumerate()
        .find(|(_, candidate)| &*candidate.name == profile)?;
    let local = profile
        .listen
        .iter()
        .find(|listen| {
            listen.transport.as_str() == transport.as_str()
                && listen.address.is_ipv4() == remote.is_ipv4()
        })?
        .address;
    Some(Flow {
        profile: ProfileId(u16::try_from(index).ok()?),
        transport,
        local,
        remote,
        connection: None,
    })
}

/// What requests to a trunk answer its challenges with.
pub(super) fn login_of(trunk: &Trunk, trunks: &Trunks) -> Option<PeerLogin> {
    trunk.credentials.as_ref().map(|login| PeerLogin {
        username: login.username.clone(),
        password: login.password.clone(),
        realm: trunks.realm(&trunk.name),
    })
}
