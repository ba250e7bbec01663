//! TLS: what each profile shows and asks, how trunks are verified, and the change of both while connections live.
//!
//! A handshake takes the configuration that is in force when it begins, so a reload touches no connection. What did not change
//! keeps its tickets: peers resume their sessions over a reload.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::net::TcpStream;

use crate::config::{
    Network, ProfileTls, Settings, TlsVersion, TrunkTls, Trust, certificate_names,
};
use crate::transport::ProfileId;

/// Addresses of trunks remembered at most; a trunk has a handful.
const PEERS_MAX: usize = 10_000;

/// What stands at the listeners of a profile.
#[derive(Clone, Default)]
pub(super) struct Door {
    /// Load balancers that introduce whom they bring.
    pub(super) balancers: Vec<Network>,
    tls: Option<(Arc<ProfileTls>, Arc<ServerConfig>)>,
}

impl Door {
    /// How to greet; `None` when the profile has no certificate.
    pub(super) fn greeting(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|(_, config)| config.clone())
    }

    /// True when `source` is a load balancer of the profile.
    pub(super) fn trusts(&self, source: IpAddr) -> bool {
        self.balancers
            .iter()
            .any(|network| network.contains(source))
    }
}

/// Who is expected at an address.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Peer {
    trunk: Arc<str>,
    name: ServerName<'static>,
}

/// Everything about TLS that the settings say, ready for use.
#[derive(Clone, Default)]
pub(super) struct Security {
    doors: Vec<Door>,
    clients: HashMap<Arc<str>, (Arc<TrunkTls>, Arc<ClientConfig>)>,
    peers: HashMap<(ProfileId, SocketAddr), Vec<Peer>>,
}

impl Security {
    /// For these settings; what is as before is kept from `before`. The text of an error is for the operator.
    pub(super) fn of(settings: &Settings, before: &Security) -> Result<Security, String> {
        let mut doors = Vec::new();
        for profile in &settings.profiles {
            let tls = match &profile.tls {
                Some(tls) => {
                    let kept = before
                        .doors
                        .iter()
                        .filter_map(|door| door.tls.as_ref())
                        .find(|(old, _)| old == tls);
                    let config = match kept {
                        Some((_, config)) => config.clone(),
                        None => server(tls)
                            .map_err(|error| format!("TLS of profile {}: {error}", profile.name))?,
                    };
                    Some((tls.clone(), config))
                }
                None => None,
            };
            doors.push(Door {
                balancers: profile.proxy_protocol.clone(),
                tls,
            });
        }
        let mut clients = HashMap::new();
        for trunk in settings.trunks() {
            let kept = before.clients.get(&trunk.name);
            let config = match kept.filter(|(old, _)| *old == trunk.tls) {
                Some((_, config)) => config.clone(),
                None => client(&trunk.tls)
                    .map_err(|error| format!("TLS of trunk {}: {error}", trunk.name))?,
            };
            clients.insert(trunk.name.clone(), (trunk.tls.clone(), config));
        }
        Ok(Security {
            doors,
            clients,
            peers: HashMap::new(),
        })
    }

    /// The door of a profile.
    pub(super) fn door(&self, profile: ProfileId) -> Door {
        let found = self.doors.get(usize::from(profile.0));
        found.cloned().unwrap_or_default()
    }

    /// From now on, who is connected to at `remote` must prove to be `host`, by the rules of `trunk`.
    pub(super) fn expect(
        &mut self,
        profile: ProfileId,
        remote: SocketAddr,
        host: &str,
        trunk: Arc<str>,
    ) {
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return;
        };
        let full = self.peers.len() >= PEERS_MAX;
        let expected = match self.peers.entry((profile, remote)) {
            std::collections::hash_map::Entry::Vacant(_) if full => return,
            entry => entry.or_default(),
        };
        let peer = Peer { trunk, name };
        if !expected.contains(&peer) {
            expected.push(peer);
        }
    }

    /// True when nothing is new in [`Security::expect`].
    pub(super) fn expects(
        &self,
        profile: ProfileId,
        remote: SocketAddr,
        host: &str,
        trunk: &Arc<str>,
    ) -> bool {
        let Some(expected) = self.peers.get(&(profile, remote)) else {
            return false;
        };
        expected
            .iter()
            .any(|peer| peer.trunk == *trunk && *peer.name.to_str() == *host)
    }

    /// Takes over whom `other` expects, where the trunk is still there.
    pub(super) fn take_peers_of(&mut self, other: &Security) {
        self.peers = other.peers.clone();
        for expected in self.peers.values_mut() {
            expected.retain(|peer| self.clients.contains_key(&peer.trunk));
        }
        self.peers.retain(|_, expected| !expected.is_empty());
    }

    /// Addresses of trunks whose rules are not those of `other`.
    pub(super) fn unlike(&self, other: &Security) -> Vec<SocketAddr> {
        let same = |peer: &Peer| match (
            self.clients.get(&peer.trunk),
            other.clients.get(&peer.trunk),
        ) {
            (Some((_, ours)), Some((_, theirs))) => Arc::ptr_eq(ours, theirs),
            _ => false,
        };
        self.peers
            .iter()
            .filter(|(_, expected)| !expected.iter().all(same))
            .map(|((_, remote), _)| *remote)
            .collect()
    }

    /// Shakes hands with the peer at `remote` over `stream`. Two trunks may share an address; their gateway must prove both names.
    pub(super) async fn connect(
        self: Arc<Self>,
        profile: ProfileId,
        remote: SocketAddr,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
        let unknown = || format!("nobody said which name {remote} must prove");
        let expected = self.peers.get(&(profile, remote)).ok_or_else(unknown)?;
        let first = expected.first().ok_or_else(unknown)?;
        let (_, config) = self.clients.get(&first.trunk).ok_or_else(unknown)?;
        let stream = tokio_rustls::TlsConnector::from(config.clone())
            .connect(first.name.clone(), stream)
            .await
            .map_err(|error| error.to_string())?;
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        for peer in expected.iter().skip(1) {
            let verify = self
                .clients
                .get(&peer.trunk)
                .is_some_and(|(tls, _)| tls.verify);
            if verify && !certificate.is_some_and(|der| proves(der, &peer.name)) {
                return Err(format!("its certificate does not name {:?}", peer.name));
            }
        }
        Ok(stream)
    }

    /// True when a peer with these verified names may be sent what is meant for `remote` (RFC 5923 §4).
    pub(super) fn may_be(
        &self,
        profile: ProfileId,
        remote: SocketAddr,
        names: &[Arc<str>],
    ) -> bool {
        let Some(expected) = self.peers.get(&(profile, remote)) else {
            return false;
        };
        expected.iter().all(|peer| {
            let wanted = peer.name.to_str();
            names.iter().any(|name| **name == *wanted)
        })
    }
}

static V1_3_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn versions(least: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match least {
        TlsVersion::V1_2 => rustls::ALL_VERSIONS,
        TlsVersion::V1_3 => V1_3_ONLY,
    }
}

fn roots(trust: &Trust) -> Result<Arc<RootCertStore>, Error> {
    let mut store = RootCertStore::empty();
    match trust {
        Trust::Roots(roots) => {
            for root in roots.iter() {
                store.add(root.clone())?;
            }
        }
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "not all authorities of the system can be read");
            }
            store.add_parsable_certificates(found.certs);
        }
    }
    Ok(Arc::new(store))
}

fn server(tls: &ProfileTls) -> Result<Arc<ServerConfig>, Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(tls.min_version))?;
    let builder = match &tls.client_ca {
        Some(trust) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(trust)?, provider());
            let verifier = match tls.client_required {
                true => verifier,
                false => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let identity = &tls.identity;
    let mut config = builder.with_single_cert(identity.chain.clone(), identity.key.clone_key())?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

fn client(tls: &TrunkTls) -> Result<Arc<ClientConfig>, Error> {
    let verifier = Verifier {
        roots: match tls.verify {
            true => Some(roots(&tls.ca)?),
            false => None,
        },
        provider: provider(),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(tls.min_version))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match &tls.identity {
        Some(identity) => {
            builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Verifies a trunk's certificate as the web does, and takes a `sip` URI in it for a name as well (RFC 5922 §7).
#[derive(Debug)]
struct Verifier {
    /// `None`: the operator wants no verification.
    roots: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
            if !proves(end_entity, server_name) {
                verify_server_name(&certificate, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// True when a certificate names `name`: by a `sip` URI (RFC 5922 §7.1), else as the web reads it.
fn proves(der: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let wanted = name.to_str().to_ascii_lowercase();
    if certificate_names(der)
        .iter()
        .any(|found| **found == *wanted)
    {
        return true;
    }
    ParsedCertificate::try_from(der)
        .is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}
