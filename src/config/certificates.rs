//! Certificates, keys and the authorities that are trusted: what TLS needs of the operator's files, read once and checked.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::problem::{Problem, Severity, Source};
use crate::base::{Duration, WallTime};

/// Largest file of certificates that is read, in bytes: the authorities of a whole system are about 250 kB.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Names taken from one certificate at most; the rest prove nothing.
const NAMES_MAX: usize = 100;
/// How long before its end a certificate is spoken of.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// A certificate with its chain, and the key that proves it.
#[derive(Clone)]
pub struct Identity {
    /// The certificate first, then those that lead to an authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: Arc<PrivateKeyDer<'static>>,
    /// Begin and end of the certificate's validity.
    pub valid: (WallTime, WallTime),
    /// The file of the certificate, as configured.
    pub file: Arc<str>,
    /// Where the configuration names it.
    pub at: (Arc<Source>, Range<usize>),
}

impl PartialEq for Identity {
    /// The same certificate and key, wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key == other.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate of {}", self.file)
    }
}

impl Identity {
    /// What there is to say about its dates: it is over, not valid yet, or ends within 30 days.
    pub fn notice(&self, now: WallTime) -> Option<Problem> {
        let (from, until) = self.valid;
        let days = |time: Duration| time.as_secs() / 86_400;
        let file = &self.file;
        let message = if now >= until {
            let ago = days(now.since(until));
            format!("the certificate in `{file}` expired {ago} days ago: peers will refuse TLS")
        } else if now < from {
            format!("the certificate in `{file}` is not valid yet: peers will refuse TLS")
        } else if until.since(now) < SOON {
            let left = days(until.since(now));
            format!("the certificate in `{file}` expires in {left} days")
        } else {
            return None;
        };
        let (source, span) = &self.at;
        let problem = Problem::at(Severity::Warning, source, span.clone(), message);
        Some(problem.help("put the new one in its place and reload; nothing else is touched"))
    }
}

/// Who may vouch for a peer.
#[derive(Clone, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that the system trusts.
    System,
    /// These.
    Roots(Arc<Vec<CertificateDer<'static>>>),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trust::System => f.write_str("System"),
            Trust::Roots(roots) => write!(f, "{} roots", roots.len()),
        }
    }
}

/// The oldest TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246): what desk phones of the last ten years know.
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446) only.
    V1_3,
}

/// `tls` of a profile: what it shows to those who connect, and what it asks of them.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileTls {
    /// Our certificate.
    pub identity: Identity,
    /// Who vouches for certificates of clients; `None`: none are asked for.
    pub client_ca: Option<Trust>,
    /// With `client_ca`: whether one who shows none is refused. Default: true.
    pub client_required: bool,
    /// Default: 1.2.
    pub min_version: TlsVersion,
}

/// `tls` of a trunk: how its gateways prove who they are (RFC 5922), and how we do.
#[derive(Debug, Clone, PartialEq)]
pub struct TrunkTls {
    /// Who vouches for its certificate. Default: the system's authorities.
    pub ca: Trust,
    /// Whether the certificate is verified at all. Default: true.
    pub verify: bool,
    /// Our certificate for it, if it asks for one.
    pub identity: Option<Identity>,
    /// Names in the certificates of its connections to us by which its calls are known, beside `from`; in lower case.
    pub names: Vec<Arc<str>>,
    /// Default: 1.2.
    pub min_version: TlsVersion,
}

impl Default for TrunkTls {
    fn default() -> Self {
        TrunkTls {
            ca: Trust::System,
            verify: true,
            identity: None,
            names: Vec::new(),
            min_version: TlsVersion::default(),
        }
    }
}

/// Reads all certificates of a PEM file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = bytes(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(list) if list.is_empty() => Err("it holds no certificate in PEM".to_owned()),
        Ok(list) => match list.iter().find(|der| validity(der).is_none()) {
            Some(_) => Err("it holds a certificate that cannot be read".to_owned()),
            None => Ok(list),
        },
        Err(error) => Err(error.to_string()),
    }
}

/// Reads the first private key of a PEM file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&bytes(path)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            "it holds no private key in PEM, or one that is encrypted".to_owned()
        }
        error => error.to_string(),
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if length.len() > FILE_BYTES_MAX {
        return Err("it is larger than 4 MiB".to_owned());
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

/// Says why a key does not go with a certificate.
pub(super) fn mismatch(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Option<String> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain.to_vec(), key.clone_key(), &provider) {
        Ok(_) => None,
        Err(rustls::Error::InconsistentKeys(_)) => {
            Some("does not belong to the certificate".to_owned())
        }
        Err(error) => Some(format!("cannot be used: {error}")),
    }
}

/// Begin and end of a certificate's validity; `None` when it cannot be read.
pub(super) fn validity(der: &CertificateDer<'_>) -> Option<(WallTime, WallTime)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let at = |seconds: i64| WallTime::from_millis(seconds.saturating_mul(1000));
    let validity = certificate.validity();
    Some((
        at(validity.not_before.timestamp()),
        at(validity.not_after.timestamp()),
    ))
}

/// The names that a certificate proves, in lower case: the domains of its `sip` URIs if it has any, else its DNS names
/// (RFC 5922 §7.1). The common name proves nothing.
pub fn names_of(der: &CertificateDer<'_>) -> Vec<Arc<str>> {
    let (mut uris, mut hosts) = (Vec::new(), Vec::new());
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return uris;
    };
    for extension in certificate.extensions() {
        let ParsedExtension::SubjectAlternativeName(alternative) = extension.parsed_extension()
        else {
            continue;
        };
        for name in alternative.general_names.iter().take(NAMES_MAX) {
            match name {
                GeneralName::URI(uri) => uris.extend(sip_domain(uri)),
                GeneralName::DNSName(host) => hosts.push(Arc::from(host.to_ascii_lowercase())),
                _ => {}
            }
        }
    }
    if uris.is_empty() { hosts } else { uris }
}

/// The domain of `sip:domain`; a URI with a user part names a person, not a domain (RFC 5922 §7.1).
fn sip_domain(uri: &str) -> Option<Arc<str>> {
    let (scheme, rest) = uri.split_once(':')?;
    let plain = scheme.eq_ignore_ascii_case("sip")
        && !rest.is_empty()
        && !rest.contains(['@', ':', ';', '?']);
    plain.then(|| Arc::from(rest.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: Vec<rcgen::SanType>) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = names;
        let key = rcgen::KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").into()
    }

    fn san(text: &str) -> rcgen::string::Ia5String {
        text.try_into().expect("ASCII")
    }

    #[test]
    fn sip_uris_come_before_dns_names_and_users_name_no_domain() {
        use rcgen::SanType::{DnsName, URI};
        let both = certificate(vec![
            DnsName(san("GW.acme.example")),
            URI(san("sip:Acme.example")),
            URI(san("sip:bob@other.example")),
            URI(san("https://third.example")),
        ]);
        assert_eq!(names_of(&both), [Arc::from("acme.example")]);
        let dns = certificate(vec![
            DnsName(san("GW.acme.example")),
            URI(san("sip:bob@other.example")),
        ]);
        assert_eq!(names_of(&dns), [Arc::from("gw.acme.example")]);
        assert!(names_of(&CertificateDer::from(vec![1, 2, 3])).is_empty());
    }
}
