//! `a=crypto`: keys for SRTP in the description itself (SDES, RFC 4568), read and written.
#![deny(clippy::indexing_slicing)]

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

use super::session::{decimal, words};

/// Longest master key and salt together: 32 and 14 bytes.
const MASTER_BYTES_MAX: usize = 46;

/// A crypto suite: cipher, key length and authentication of SRTP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum CryptoSuite {
    /// AEAD_AES_256_GCM (RFC 7714).
    AeadAes256Gcm,
    /// AEAD_AES_128_GCM (RFC 7714).
    AeadAes128Gcm,
    /// AES_CM_128_HMAC_SHA1_80 (RFC 4568 §6.2.1): what every phone has.
    AesCm128HmacSha1_80,
    /// AES_CM_128_HMAC_SHA1_32 (RFC 4568 §6.2.2): a shorter tag on RTP, the long one on RTCP.
    AesCm128HmacSha1_32,
}

impl CryptoSuite {
    /// The suites that we speak, best first.
    pub const ALL: [CryptoSuite; 4] = [
        CryptoSuite::AeadAes128Gcm,
        CryptoSuite::AeadAes256Gcm,
        CryptoSuite::AesCm128HmacSha1_80,
        CryptoSuite::AesCm128HmacSha1_32,
    ];

    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            CryptoSuite::AeadAes256Gcm => "AEAD_AES_256_GCM",
            CryptoSuite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            CryptoSuite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            CryptoSuite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Bytes of the master key.
    pub const fn key_bytes(self) -> usize {
        match self {
            CryptoSuite::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of the master salt.
    pub const fn salt_bytes(self) -> usize {
        match self {
            CryptoSuite::AeadAes256Gcm | CryptoSuite::AeadAes128Gcm => 12,
            _ => 14,
        }
    }
}

/// A master key with its salt. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterKey(Vec<u8>);

impl MasterKey {
    /// Takes key and salt, one after the other, as `inline:` writes them. `None` when the length is not that of the suite.
    pub fn new(suite: CryptoSuite, bytes: Vec<u8>) -> Option<MasterKey> {
        (bytes.len() == suite.key_bytes() + suite.salt_bytes()).then_some(MasterKey(bytes))
    }

    /// The key alone.
    pub fn key(&self, suite: CryptoSuite) -> &[u8] {
        self.0.get(..suite.key_bytes()).unwrap_or_default()
    }

    /// The salt alone.
    pub fn salt(&self, suite: CryptoSuite) -> &[u8] {
        self.0.get(suite.key_bytes()..).unwrap_or_default()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One `a=crypto` line that we can use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Crypto {
    /// Its number among those of its media line.
    pub tag: u32,
    /// Cipher and authentication.
    pub suite: CryptoSuite,
    /// What its writer encrypts with.
    pub key: MasterKey,
}

impl Crypto {
    /// Reads the value of an `a=crypto` attribute. `None` for what cannot be used: an unknown suite, a key of the wrong length, several
    /// keys or a master key identifier, and session parameters that would change how packets look (RFC 4568 §6.3).
    pub fn parse(value: &[u8]) -> Option<Crypto> {
        let mut words = words(value);
        let tag = decimal::<u32>(words.next()?).filter(|tag| (1..=999_999_999).contains(tag))?;
        let name = words.next()?;
        let suite = CryptoSuite::ALL
            .into_iter()
            .find(|suite| suite.name().as_bytes().eq_ignore_ascii_case(name))?;
        let parameters = words.next()?;
        // several keys are separated by semicolons and told apart by an identifier in each packet, which nobody sends
        if parameters.contains(&b';') {
            return None;
        }
        let (method, info) = parameters.split_at_checked(7)?;
        if !method.eq_ignore_ascii_case(b"inline:") {
            return None;
        }
        let mut parts = info.split(|byte| *byte == b'|');
        let text = parts.next()?;
        // a lifetime is a promise of the writer; an identifier ("1:4") lengthens every packet
        if parts.any(|part| part.contains(&b':')) {
            return None;
        }
        let session = |word: &[u8]| {
            word.first() == Some(&b'-') || word.to_ascii_uppercase().starts_with(b"WSH=")
        };
        if !words.all(session) {
            return None;
        }
        if text.len() > MASTER_BYTES_MAX * 2 {
            return None;
        }
        let bytes = STANDARD
            .decode(text)
            .or_else(|_| STANDARD_NO_PAD.decode(text))
            .ok()?;
        let key = MasterKey::new(suite, bytes)?;
        Some(Crypto { tag, suite, key })
    }

    /// The value of the attribute.
    pub fn value(&self) -> String {
        format!(
            "{} {} inline:{}",
            self.tag,
            self.suite.name(),
            STANDARD.encode(&self.key.0)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    fn parse(line: &str) -> Option<Crypto> {
        Crypto::parse(line.as_bytes())
    }

    #[test]
    fn line_of_the_rfc_is_read_and_written_back() {
        let crypto = parse(&format!("{LINE}|2^20")).expect("RFC 4568 §9.1 without MKI");
        assert_eq!(crypto.tag, 1);
        assert_eq!(crypto.suite, CryptoSuite::AesCm128HmacSha1_80);
        assert_eq!(crypto.key.key(crypto.suite).len(), 16);
        assert_eq!(crypto.key.salt(crypto.suite).len(), 14);
        assert_eq!(crypto.value(), LINE);
        assert_eq!(format!("{:?}", crypto.key), "***");
    }

    #[test]
    fn what_would_change_packets_or_has_the_wrong_key_is_not_used() {
        for bad in [
            format!("{LINE}|2^20|1:4"),
            format!("{LINE} UNENCRYPTED_SRTP"),
            format!("{LINE} UNAUTHENTICATED_SRTP"),
            format!("{LINE} KDR=1"),
            format!("{LINE};inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"),
            LINE.replace("inline:WV", "inline:"),
            LINE.replace("SHA1_80", "SHA1_81"),
            LINE.replace("inline:", "outline"),
            LINE.replacen('1', "0", 1),
            LINE.replacen('1', "9999999999", 1),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            String::new(),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", "A".repeat(60_000)),
        ] {
            assert_eq!(parse(&bad), None, "{bad:.80}");
        }
        assert!(parse(&format!("{LINE} WSH=60 -whatever")).is_some());
    }

    #[test]
    fn keys_of_other_suites_have_their_own_length() {
        let text = STANDARD.encode([7u8; 28]);
        let crypto = parse(&format!("12 AEAD_AES_128_GCM inline:{text}")).expect("GCM");
        assert_eq!(crypto.key.salt(crypto.suite), [7; 12]);
        assert!(parse(&format!("12 AEAD_AES_256_GCM inline:{text}")).is_none());
    }
}
