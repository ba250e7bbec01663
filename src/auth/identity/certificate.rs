//! The certificate behind a signature: its chain to an authority that we trust, and the numbers for which it may speak (RFC 8226).
#![deny(clippy::indexing_slicing)]

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::der::{self, Reader};
use crate::base::Duration;

/// `id-pe-TNAuthList`, 1.3.6.1.5.5.7.1.26 (RFC 8226 §9).
const TN_AUTH_LIST: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 26];
/// No certificate of the numbering world says what it is for; one that did would have to say this (1.3.6.1.5.5.7.3.20, TN signing).
const TN_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 20];
/// Certificates that one chain has at most.
const CHAIN_MAX: usize = 8;
/// Entries of a TNAuthList that are looked at.
const ENTRIES_MAX: usize = 1000;

/// What cannot be read as certificates.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    pub(super) fn key(what: &str) -> Unreadable {
        Unreadable(what.to_owned())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let mut list = Vec::new();
    for one in CertificateDer::pem_slice_iter(pem) {
        list.push(one.map_err(|error| Unreadable(format!("not a certificate in PEM: {error}")))?);
    }
    if list.is_empty() {
        return Err(Unreadable("there is no certificate in it".to_owned()));
    }
    Ok(list)
}

/// Authorities whose signatures count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Anchors(Vec<CertificateDer<'static>>);

impl Anchors {
    /// Reads certificates in PEM, one or more.
    pub fn parse(pem: &[u8]) -> Result<Anchors, Unreadable> {
        let list = certificates(pem)?;
        for one in &list {
            anchor_from_trusted_cert(one).map_err(|error| {
                Unreadable(format!("not the certificate of an authority: {error}"))
            })?;
        }
        Ok(Anchors(list))
    }
}

/// A certificate with those that lead to its authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    list: Vec<CertificateDer<'static>>,
}

/// Why a chain does not prove a signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Distrust {
    /// Not signed by an authority of ours, expired, or not made for this.
    Credential(String),
    /// The signature is not of this certificate.
    Signature,
}

impl Chain {
    /// Reads certificates in PEM, the signer's first.
    pub fn parse(pem: &[u8]) -> Result<Chain, Unreadable> {
        let mut list = certificates(pem)?;
        list.truncate(CHAIN_MAX);
        if let Some(first) = list.first() {
            EndEntityCert::try_from(first)
                .map_err(|error| Unreadable(format!("not the certificate of a signer: {error}")))?;
        }
        Ok(Chain { list })
    }

    /// Checks the way to an authority, the times, and the signature over `signed`.
    pub(super) fn verify(
        &self,
        anchors: &Anchors,
        at: Duration,
        signed: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), Distrust> {
        let bad = |what: String| Distrust::Credential(what);
        let (first, rest) = self
            .list
            .split_first()
            .ok_or_else(|| bad("no certificate".to_owned()))?;
        let leaf = EndEntityCert::try_from(first).map_err(|error| bad(error.to_string()))?;
        let roots: Vec<_> = anchors
            .0
            .iter()
            .filter_map(|one| anchor_from_trusted_cert(one).ok())
            .collect();
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &roots,
            rest,
            UnixTime::since_unix_epoch(at),
            KeyUsage::required_if_present(TN_SIGNING),
            None,
            None,
        )
        .map_err(|error| bad(error.to_string()))?;
        // RFC 8225 §8: ES256, which takes a key on P-256
        leaf.verify_signature(
            webpki::aws_lc_rs::ECDSA_P256_SHA256,
            signed,
            &der::signature(signature),
        )
        .map_err(|_| Distrust::Signature)
    }

    /// True when the certificate may speak for the number (digits without `+`). One for a provider code speaks for all numbers of that
    /// provider: which those are is known to the provider's authority alone (RFC 8226 §9). One without a list speaks for none.
    pub(super) fn speaks_for(&self, number: &str) -> bool {
        self.list
            .first()
            .and_then(|first| der::extension(first, TN_AUTH_LIST))
            .and_then(|list| covers(list, number))
            .unwrap_or(false)
    }
}

fn covers(list: &[u8], number: &str) -> Option<bool> {
    let mut entries = Reader::new(Reader::new(list).expect(der::SEQUENCE)?);
    for _ in 0..ENTRIES_MAX {
        let Some((tag, content)) = entries.next() else {
            return Some(false);
        };
        let mut content = Reader::new(content);
        let spoken = match tag {
            0xa0 => content.expect(der::IA5).is_some(),
            0xa1 => {
                let mut range = Reader::new(content.expect(der::SEQUENCE)?);
                let start = range.expect(der::IA5)?;
                let count = range.expect(der::INTEGER)?;
                in_range(start, count, number)
            }
            0xa2 => content.expect(der::IA5)? == number.as_bytes(),
            _ => false,
        };
        if spoken {
            return Some(true);
        }
    }
    Some(false)
}

fn in_range(start: &[u8], count: &[u8], number: &str) -> bool {
    let value = |digits: &str| {
        (digits.len() <= 15 && !digits.is_empty())
            .then(|| digits.parse::<u64>().ok())
            .flatten()
    };
    let Some(first) = std::str::from_utf8(start).ok().and_then(value) else {
        return false;
    };
    if count.len() > 8 {
        return false;
    }
    let count = count.iter().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
    number.len() == start.len() && value(number).is_some_and(|n| n >= first && n - first < count)
}
