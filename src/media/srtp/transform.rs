//! The ciphers: AES in counter mode with HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1), and AES-GCM (RFC 7714).
#![deny(clippy::indexing_slicing)]

use std::fmt;

use aes::Aes128;
use aes::cipher::KeyInit;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ctr::cipher::{InnerIvInit, StreamCipher};
use ctr::{Ctr128BE, CtrCore, flavors};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::sdp::CryptoSuite;

type Counter = CtrCore<Aes128, flavors::Ctr128BE>;

/// Bytes of a GCM tag.
const GCM_TAG_BYTES: usize = 16;
/// Bytes of the word with index and E bit that closes an SRTCP packet (before its HMAC tag, behind its GCM tag).
const INDEX_BYTES: usize = 4;
/// "This packet is encrypted": we send nothing else, and take nothing else.
const ENCRYPTED: u32 = 1 << 31;

/// Keys of RTP or RTCP in one direction.
pub(super) enum Transform {
    /// Counter mode and HMAC.
    AesCm {
        cipher: Box<Aes128>,
        salt: [u8; 16],
        auth: Box<Hmac<Sha1>>,
        tag_bytes: usize,
    },
    /// Galois/counter mode.
    Gcm {
        key: Box<LessSafeKey>,
        salt: [u8; 12],
    },
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transform::AesCm { .. } => "AesCm(***)",
            Transform::Gcm { .. } => "Gcm(***)",
        })
    }
}

impl Transform {
    /// From session keys; `rtcp` has the long tag with every suite.
    pub fn new(suite: CryptoSuite, key: &[u8], auth: &[u8], salt: &[u8], rtcp: bool) -> Transform {
        match suite {
            CryptoSuite::AeadAes128Gcm | CryptoSuite::AeadAes256Gcm => {
                let algorithm = if suite == CryptoSuite::AeadAes256Gcm {
                    &AES_256_GCM
                } else {
                    &AES_128_GCM
                };
                let key = UnboundKey::new(algorithm, key).expect("the key length of the suite");
                Transform::Gcm {
                    key: Box::new(LessSafeKey::new(key)),
                    salt: padded(salt),
                }
            }
            CryptoSuite::AesCm128HmacSha1_80 | CryptoSuite::AesCm128HmacSha1_32 => {
                let short = suite == CryptoSuite::AesCm128HmacSha1_32 && !rtcp;
                Transform::AesCm {
                    cipher: Box::new(Aes128::new_from_slice(key).expect("16 bytes")),
                    salt: padded(salt),
                    auth: Box::new(
                        <Hmac<Sha1> as KeyInit>::new_from_slice(auth).expect("any length"),
                    ),
                    tag_bytes: if short { 4 } else { 10 },
                }
            }
        }
    }

    /// Opens RTP in place; `index` is the 48-bit packet index. The length of what is left.
    pub fn open_rtp(
        &self,
        packet: &mut [u8],
        payload: usize,
        ssrc: u32,
        index: u64,
    ) -> Option<usize> {
        match self {
            Transform::AesCm {
                cipher,
                salt,
                auth,
                tag_bytes,
            } => {
                let end = packet.len().checked_sub(*tag_bytes)?;
                let (message, tag) = packet.split_at_mut_checked(end)?;
                let rollover = ((index >> 16) as u32).to_be_bytes();
                proves(auth, message, &rollover, tag)?;
                keystream(cipher, salt, ssrc, index, message.get_mut(payload..)?);
                Some(end)
            }
            Transform::Gcm { key, salt } => {
                let (aad, sealed) = packet.split_at_mut_checked(payload)?;
                let nonce = rtp_nonce(salt, ssrc, index);
                let opened = key.open_in_place(nonce, Aad::from(aad), sealed).ok()?;
                Some(payload + opened.len())
            }
        }
    }

    /// Seals RTP in place.
    pub fn seal_rtp(
        &self,
        buffer: &mut [u8],
        payload: usize,
        length: usize,
        ssrc: u32,
        index: u64,
    ) -> Option<usize> {
        match self {
            Transform::AesCm {
                cipher,
                salt,
                auth,
                tag_bytes,
            } => {
                let (message, rest) = buffer.split_at_mut_checked(length)?;
                keystream(cipher, salt, ssrc, index, message.get_mut(payload..)?);
                let rollover = ((index >> 16) as u32).to_be_bytes();
                let tag = digest(auth, message, &rollover);
                rest.get_mut(..*tag_bytes)?
                    .copy_from_slice(tag.get(..*tag_bytes)?);
                Some(length + tag_bytes)
            }
            Transform::Gcm { key, salt } => {
                let (message, rest) = buffer.split_at_mut_checked(length)?;
                let (aad, plain) = message.split_at_mut_checked(payload)?;
                let nonce = rtp_nonce(salt, ssrc, index);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(aad), plain)
                    .ok()?;
                rest.get_mut(..GCM_TAG_BYTES)?.copy_from_slice(tag.as_ref());
                Some(length + GCM_TAG_BYTES)
            }
        }
    }

    /// The index of an SRTCP packet, read before anything is proved; `None` when it is not encrypted.
    pub fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Transform::AesCm { tag_bytes, .. } => *tag_bytes,
            Transform::Gcm { .. } => 0,
        };
        let end = packet.len().checked_sub(behind)?;
        let word = packet.get(end.checked_sub(INDEX_BYTES)?..end)?;
        let word = u32::from_be_bytes(word.try_into().ok()?);
        (word & ENCRYPTED != 0).then_some(word & !ENCRYPTED)
    }

    /// Opens SRTCP in place; what lies before `prefix` is authenticated only.
    pub fn open_rtcp(
        &self,
        packet: &mut [u8],
        prefix: usize,
        ssrc: u32,
        index: u32,
    ) -> Option<usize> {
        match self {
            Transform::AesCm {
                cipher,
                salt,
                auth,
                tag_bytes,
            } => {
                let end = packet.len().checked_sub(*tag_bytes)?;
                let (message, tag) = packet.split_at_mut_checked(end)?;
                proves(auth, message, &[], tag)?;
                let end = end.checked_sub(INDEX_BYTES)?;
                keystream(
                    cipher,
                    salt,
                    ssrc,
                    u64::from(index),
                    message.get_mut(prefix..end)?,
                );
                Some(end)
            }
            Transform::Gcm { key, salt } => {
                let end = packet.len().checked_sub(INDEX_BYTES)?;
                let word = (index | ENCRYPTED).to_be_bytes();
                let (head, sealed) = packet.get_mut(..end)?.split_at_mut_checked(prefix)?;
                let aad = [&*head, &word].concat();
                let nonce = rtcp_nonce(salt, ssrc, index);
                let opened = key.open_in_place(nonce, Aad::from(aad), sealed).ok()?;
                Some(prefix + opened.len())
            }
        }
    }

    /// Seals SRTCP in place.
    pub fn seal_rtcp(
        &self,
        buffer: &mut [u8],
        prefix: usize,
        length: usize,
        ssrc: u32,
        index: u32,
    ) -> Option<usize> {
        let word = (index | ENCRYPTED).to_be_bytes();
        match self {
            Transform::AesCm {
                cipher,
                salt,
                auth,
                tag_bytes,
            } => {
                let plain = buffer.get_mut(prefix..length)?;
                keystream(cipher, salt, ssrc, u64::from(index), plain);
                let end = length + INDEX_BYTES;
                buffer.get_mut(length..end)?.copy_from_slice(&word);
                let (message, rest) = buffer.split_at_mut_checked(end)?;
                let tag = digest(auth, message, &[]);
                rest.get_mut(..*tag_bytes)?
                    .copy_from_slice(tag.get(..*tag_bytes)?);
                Some(end + tag_bytes)
            }
            Transform::Gcm { key, salt } => {
                let (message, rest) = buffer.split_at_mut_checked(length)?;
                let (head, plain) = message.split_at_mut_checked(prefix)?;
                let aad = [&*head, &word].concat();
                let nonce = rtcp_nonce(salt, ssrc, index);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(aad), plain)
                    .ok()?;
                let (tag_place, rest) = rest.split_at_mut_checked(GCM_TAG_BYTES)?;
                tag_place.copy_from_slice(tag.as_ref());
                rest.get_mut(..INDEX_BYTES)?.copy_from_slice(&word);
                Some(length + GCM_TAG_BYTES + INDEX_BYTES)
            }
        }
    }
}

/// The salt at the high end, zeros behind.
fn padded<const N: usize>(salt: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (byte, salt) in out.iter_mut().zip(salt) {
        *byte = *salt;
    }
    out
}

/// RFC 3711 §4.1.1: salt, SSRC and index, each at its place, and a counter of blocks in the low 16 bits.
fn keystream(cipher: &Aes128, salt: &[u8; 16], ssrc: u32, index: u64, data: &mut [u8]) {
    let place = u128::from(ssrc) << 64 | u128::from(index & 0xffff_ffff_ffff) << 16;
    let iv = (u128::from_be_bytes(*salt) ^ place).to_be_bytes();
    let core = Counter::inner_iv_init(cipher.clone(), &iv.into());
    Ctr128BE::<Aes128>::from_core(core).apply_keystream(data);
}

fn digest(auth: &Hmac<Sha1>, message: &[u8], behind: &[u8]) -> [u8; 20] {
    let mut auth = auth.clone();
    auth.update(message);
    auth.update(behind);
    auth.finalize().into_bytes().into()
}

fn proves(auth: &Hmac<Sha1>, message: &[u8], behind: &[u8], tag: &[u8]) -> Option<()> {
    let right = digest(auth, message, behind);
    bool::from(right.get(..tag.len())?.ct_eq(tag)).then_some(())
}

/// RFC 7714 §8.1.
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let place = u128::from(ssrc) << 48 | u128::from(index & 0xffff_ffff_ffff);
    nonce(salt, place)
}

/// RFC 7714 §9.1.
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    nonce(salt, u128::from(ssrc) << 48 | u128::from(index))
}

fn nonce(salt: &[u8; 12], place: u128) -> Nonce {
    let mut bytes = *salt;
    for (byte, place) in bytes
        .iter_mut()
        .zip(place.to_be_bytes().into_iter().skip(4))
    {
        *byte ^= place;
    }
    Nonce::assume_unique_for_key(bytes)
}
