//! The authentication service (RFC 8224 §6.1): a call of ours is signed with the key that the numbering authority gave us.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::certificate::Unreadable;
use super::passport::{Attestation, Claims, Destination, Kind, Party, text};
use crate::base::WallTime;

/// A key, and where its certificate is published.
pub struct Signer {
    key: EcdsaKeyPair,
    x5u: Arc<str>,
    /// To compare with after a reload.
    pem: Vec<u8>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("x5u", &self.x5u).finish()
    }
}

impl PartialEq for Signer {
    fn eq(&self, other: &Signer) -> bool {
        self.x5u == other.x5u && self.pem == other.pem
    }
}

impl Signer {
    /// Reads a private key on P-256 in PEM (PKCS #8, or as `openssl ecparam` writes it).
    pub fn parse(pem: &[u8], x5u: &str) -> Result<Signer, Unreadable> {
        let wrong = || Unreadable::key("not a private key on P-256 in PEM");
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| wrong())?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = match &der {
            PrivateKeyDer::Pkcs8(key) => {
                EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der()).map_err(|_| wrong())?
            }
            PrivateKeyDer::Sec1(key) => {
                EcdsaKeyPair::from_private_key_der(algorithm, key.secret_sec1_der())
                    .map_err(|_| wrong())?
            }
            _ => return Err(wrong()),
        };
        Ok(Signer {
            key,
            x5u: Arc::from(x5u),
            pem: pem.to_vec(),
        })
    }

    /// The value of an Identity header for a call between two numbers (RFC 8588 §5); nothing when one of them is none. `origin` is our
    /// name for where the call began: a UUID (ATIS-1000074).
    pub fn sign(
        &self,
        now: WallTime,
        caller: &Party,
        called: &Party,
        attestation: Attestation,
        origin: &str,
    ) -> Option<String> {
        let iat = u64::try_from(now.timestamp().as_second()).ok()?;
        let claims = Claims {
            attest: Some(attestation),
            dest: Destination {
                tn: vec![called.tn.clone()?],
                uri: Vec::new(),
            },
            div: None,
            iat,
            orig: Party {
                tn: Some(caller.tn.clone()?),
                uri: None,
            },
            origid: Some(origin.to_owned()),
            rph: None,
        };
        let signed = self.signed(Kind::Shaken, &claims)?;
        Some(format!(
            "{signed};info=<{}>;alg=ES256;ppt=\"shaken\"",
            self.x5u
        ))
    }

    /// The three parts of a PASSporT. The number that each signature needs is drawn by the library: were it drawn from entropy that a
    /// recording can repeat, two signatures would give the key away.
    pub(super) fn signed(&self, kind: Kind, claims: &Claims) -> Option<String> {
        let text = text(kind, &self.x5u, claims);
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).ok()?;
        Some(format!(
            "{text}.{}",
            URL_SAFE_NO_PAD.encode(signature.as_ref())
        ))
    }
}

/// The value of a Date header (RFC 3261 §20.17).
pub fn date(now: WallTime) -> String {
    now.timestamp()
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}
