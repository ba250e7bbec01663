//! GRUUs: URIs that reach one device of a person and no other (RFC 5627).
//!
//! The public one names the instance and lasts for ever. Temporary ones name nothing that an outsider could read or compare: each seals
//! the life of the device's registration with a key of the server, so that any number of them are valid without being kept. The life
//! ends when the registration does, or when the device registers under another Call-ID (§3.1).

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use subtle::ConstantTimeEq;

use super::{AddressOfRecord, Binding, Entry, Keys, Registrar};
use crate::base::{Key, WallTime};
use crate::sip::Uri;

/// What the user part of a temporary GRUU begins with.
const MARK: &str = "tgruu.";
/// Salt, sealed life and keyed hash, eight bytes each.
const SEALED_BYTES: usize = 24;

/// Seals lives into temporary GRUUs. It must outlive the process, as the registrations do.
#[derive(Clone, PartialEq, Eq)]
pub struct GruuKey(pub [u8; 32]);

impl std::fmt::Debug for GruuKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl GruuKey {
    fn hash(&self, purpose: u8, data: &[u8]) -> [u8; 8] {
        let digest = Sha256::new()
            .chain_update(self.0)
            .chain_update([purpose])
            .chain_update(data)
            .finalize();
        let mut out = [0; 8];
        out.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        out
    }

    /// The user part of a temporary GRUU. Another `salt` makes another one of the same life.
    fn seal(&self, salt: u64, life: u64) -> String {
        let salt = salt.to_be_bytes();
        let hidden = life ^ u64::from_be_bytes(self.hash(0, &salt));
        let mut sealed = [0; SEALED_BYTES];
        let claim = salt.into_iter().chain(hidden.to_be_bytes());
        sealed
            .iter_mut()
            .zip(claim)
            .for_each(|(to, from)| *to = from);
        let proof = self.hash(1, sealed.get(..16).unwrap_or_default());
        sealed
            .iter_mut()
            .skip(16)
            .zip(proof)
            .for_each(|(to, from)| *to = from);
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The life in a user part that this key has sealed.
    fn open(&self, user: &str) -> Option<u64> {
        let sealed = URL_SAFE_NO_PAD.decode(user.strip_prefix(MARK)?).ok()?;
        if sealed.len() != SEALED_BYTES {
            return None;
        }
        let (claim, proof) = sealed.split_at_checked(16)?;
        if !bool::from(self.hash(1, claim).ct_eq(proof)) {
            return None;
        }
        let (salt, hidden) = claim.split_at_checked(8)?;
        let hidden = u64::from_be_bytes(hidden.try_into().ok()?);
        Some(hidden ^ u64::from_be_bytes(self.hash(0, salt)))
    }
}

/// What a URI with a `gr` parameter leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gruu {
    /// This device; when it is not registered now, the answer is 480 (RFC 5627 §5.4).
    Device {
        /// Whose it is.
        aor: AddressOfRecord,
        /// Which of theirs: its instance without angle brackets.
        instance: String,
    },
    /// A temporary GRUU that is none of ours, or whose time is over: 404.
    Unknown,
}

impl Registrar {
    /// The key that seals temporary GRUUs; `None` until the first is made or it is restored.
    pub fn gruu_key(&self) -> Option<&GruuKey> {
        self.gruu_key.as_ref()
    }

    /// Takes the key of before a restart.
    pub fn set_gruu_key(&mut self, key: GruuKey) {
        self.gruu_key = Some(key);
    }

    /// Where a URI of our domain leads, if it has a `gr` parameter.
    pub fn gruu(&self, uri: &Uri<'_>) -> Option<Gruu> {
        match uri.param("gr")? {
            Some(instance) => Some(match AddressOfRecord::of(uri) {
                Some(aor) => Gruu::Device {
                    aor,
                    instance: unescaped(instance),
                },
                None => Gruu::Unknown,
            }),
            None => Some(self.temporary(uri).unwrap_or(Gruu::Unknown)),
        }
    }

    fn temporary(&self, uri: &Uri<'_>) -> Option<Gruu> {
        let life = self.gruu_key.as_ref()?.open(&uri.user_text()?)?;
        let entry = self.entries.get(*self.lives.get(&life)?)?;
        Some(Gruu::Device {
            aor: entry.aor.clone(),
            instance: urn(entry.binding.instance()?).to_owned(),
        })
    }

    /// The life of a device's registration for the REGISTER at hand: that of its other flows or of its last REGISTER, unless that had
    /// another Call-ID; else a new one.
    pub(super) fn life_of(
        &mut self,
        aor: &AddressOfRecord,
        instance: &str,
        reg_id: Option<u32>,
        call_id: &[u8],
    ) -> u64 {
        let keys: Keys = self.keys_of(aor).iter().copied().collect();
        let mut siblings: SmallVec<[Key<Entry>; 2]> = SmallVec::new();
        let (mut life, mut renewed) = (0, false);
        for key in keys {
            let Some(entry) = self.entries.get(key) else {
                continue;
            };
            if entry.binding.instance() == Some(instance) {
                siblings.push(key);
                life = life.max(entry.binding.life);
                renewed |=
                    entry.binding.reg_id == reg_id && entry.binding.call_id().as_bytes() != call_id;
            }
        }
        if life != 0 && !renewed {
            return life;
        }
        let fresh = self.entropy.u64().max(1);
        for key in siblings {
            self.set_life(key, fresh);
        }
        fresh
    }

    /// Gives a binding another life.
    pub(super) fn set_life(&mut self, key: Key<Entry>, life: u64) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut entry.binding.life, life);
        if before != life {
            entry.binding.kept_until = WallTime::default(); // the journal knows the other one
            self.end_life(key, before);
        }
        if life != 0 {
            self.lives.insert(life, key);
        }
    }

    /// A binding lives no more under `life`; another flow of its device may.
    pub(super) fn end_life(&mut self, key: Key<Entry>, life: u64) {
        if life == 0 || self.lives.get(&life) != Some(&key) {
            return;
        }
        self.lives.remove(&life);
        let aor = self.entries.get(key).map(|entry| entry.aor.clone());
        let heir = aor.and_then(|aor| {
            self.keys_of(&aor).iter().copied().find(|other| {
                let entry = self.entries.get(*other);
                *other != key && entry.is_some_and(|entry| entry.binding.life == life)
            })
        });
        if let Some(heir) = heir {
            self.lives.insert(life, heir);
        }
    }

    /// The parameters that tell a device its GRUUs (RFC 5627 §5.2).
    pub(super) fn gruu_params(
        &mut self,
        aor: &AddressOfRecord,
        binding: &Binding,
        to: &mut String,
    ) {
        let Some(instance) = binding.instance() else {
            return;
        };
        let (user, domain) = (escaped(aor.user()), aor.domain());
        let _ = write!(
            to,
            ";pub-gruu=\"sip:{user}@{domain};gr={}\"",
            escaped(urn(instance))
        );
        if binding.life == 0 {
            return;
        }
        let salt = self.entropy.u64();
        let entropy = &mut self.entropy;
        let key = self.gruu_key.get_or_insert_with(|| {
            let mut key = [0; 32];
            entropy.fill(&mut key);
            GruuKey(key)
        });
        let user = key.seal(salt, binding.life);
        let _ = write!(to, ";temp-gruu=\"sip:{user}@{domain};gr\"");
    }
}

/// An instance as a GRUU shows it: Contact has the URN in angle brackets (RFC 5626 §4.1), the `gr` parameter bare (RFC 5627 §3.2).
pub(super) fn urn(instance: &str) -> &str {
    instance
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(instance)
}

/// Escapes what may stand neither in a user part nor in a URI parameter.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'():&+$/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Resolves `%HH`; a broken escape stays as it is.
fn unescaped(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok())
            .filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_lives_open_only_with_their_key_and_never_look_alike() {
        let key = GruuKey([7; 32]);
        let one = key.seal(1, 42);
        let other = key.seal(2, 42);
        assert_ne!(one, other);
        assert_eq!(one.len(), MARK.len() + 32);
        assert_eq!((key.open(&one), key.open(&other)), (Some(42), Some(42)));
        assert_eq!(GruuKey([8; 32]).open(&one), None);
        for at in MARK.len()..one.len() {
            let mut forged = one.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert_eq!(key.open(&forged), None, "{forged}");
        }
        assert_eq!(key.open("tgruu."), None);
        assert_eq!(key.open("1001"), None);
    }

    #[test]
    fn escapes_go_there_and_back() {
        let odd = "<urn:uuid:1>;\u{e9} %";
        assert_eq!(unescaped(escaped(odd).as_bytes()), odd);
        assert_eq!(escaped("urn:uuid:0-1"), "urn:uuid:0-1");
        assert_eq!(unescaped(b"a%4"), "a%4");
    }
}
