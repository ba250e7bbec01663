//! Session keys from a master key (RFC 3711 §4.3, RFC 6188 for 256 bits, RFC 7714 §11 for GCM). Key derivation rate is zero, as everywhere.

use aes::{Aes128, Aes256};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};

use super::transform::Transform;
use crate::sdp::{CryptoSuite, MasterKey};

/// Bytes of the key of HMAC-SHA1 (RFC 3711 §5.2).
const AUTH_KEY_BYTES: usize = 20;

/// The use of a derived key: its label (RFC 3711 §4.3.1 and §4.3.2).
#[derive(Clone, Copy)]
enum Label {
    RtpCipher = 0,
    RtpAuth = 1,
    RtpSalt = 2,
    RtcpCipher = 3,
    RtcpAuth = 4,
    RtcpSalt = 5,
}

/// `length` bytes of the pseudo-random function for one label.
fn derive(suite: CryptoSuite, master: &MasterKey, label: Label, length: usize) -> Vec<u8> {
    let mut iv = [0u8; 16];
    for (byte, salt) in iv.iter_mut().zip(master.salt(suite)) {
        *byte = *salt;
    }
    // label and index, 56 bits, stand over the low end of a salt of 112 bits
    iv[7] ^= label as u8;
    let mut out = vec![0u8; length];
    let key = master.key(suite);
    if key.len() == 32 {
        let mut stream =
            Ctr128BE::<Aes256>::new_from_slices(key, &iv).expect("lengths of the suite");
        stream.apply_keystream(&mut out);
    } else {
        let mut stream =
            Ctr128BE::<Aes128>::new_from_slices(key, &iv).expect("lengths of the suite");
        stream.apply_keystream(&mut out);
    }
    out
}

/// The transforms of RTP and of RTCP.
pub(super) fn transforms(suite: CryptoSuite, master: &MasterKey) -> (Transform, Transform) {
    let make = |cipher, auth, salt, rtcp| {
        Transform::new(
            suite,
            &derive(suite, master, cipher, suite.key_bytes()),
            &derive(suite, master, auth, AUTH_KEY_BYTES),
            &derive(suite, master, salt, suite.salt_bytes()),
            rtcp,
        )
    };
    (
        make(Label::RtpCipher, Label::RtpAuth, Label::RtpSalt, false),
        make(Label::RtcpCipher, Label::RtcpAuth, Label::RtcpSalt, true),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
            .collect()
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711_appendix_b_3() {
        let suite = CryptoSuite::AesCm128HmacSha1_80;
        let master = MasterKey::new(
            suite,
            hex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6"),
        )
        .expect("lengths");
        assert_eq!(
            derive(suite, &master, Label::RtpCipher, 16),
            hex("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(
            derive(suite, &master, Label::RtpSalt, 14),
            hex("30CBBC08863D8C85D49DB34A9AE1")
        );
        assert_eq!(
            derive(suite, &master, Label::RtpAuth, 20),
            hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
        );
    }
}
