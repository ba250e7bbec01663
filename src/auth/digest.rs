//! Digest: the arithmetic of RFC 7616 with MD5 and SHA-256, for the side that asks and the side that answers.

use std::fmt::{self, Write};

use md5::Md5;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::base::Secret;
use crate::sip::auth::{Challenge, Credentials};
use crate::sip::{Method, Name};

/// A hash of digest authentication (RFC 7616 §6.1, RFC 8760). The session variants are not spoken: no telephone uses them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum Algorithm {
    /// Broken as a hash, but all that most telephones speak. The default.
    #[default]
    #[serde(rename = "md5")]
    Md5,
    /// RFC 8760; opt-in, because many telephones fail at the mere sight of it.
    #[serde(rename = "sha-256")]
    Sha256,
}

impl Algorithm {
    /// The token of the `algorithm` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    /// From the `algorithm` parameter; absent means MD5 (RFC 7616 §3.3).
    pub fn of(parameter: Option<&[u8]>) -> Option<Algorithm> {
        match parameter {
            None => Some(Algorithm::Md5),
            Some(name) if name.eq_ignore_ascii_case(b"MD5") => Some(Algorithm::Md5),
            Some(name) if name.eq_ignore_ascii_case(b"SHA-256") => Some(Algorithm::Sha256),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What we hold of a user's password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    /// The password itself: good for every algorithm and realm.
    Password(Secret),
    /// Hashes of `user:realm:password` in lower-case hexadecimal, one for each algorithm that the user may use.
    Ha1 {
        md5: Option<Secret>,
        sha256: Option<Secret>,
    },
}

/// A hash in lower-case hexadecimal.
#[derive(Clone, Copy)]
struct Hex {
    chars: [u8; 64],
    len: usize,
}

impl Hex {
    fn of(hash: &[u8]) -> Self {
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        let mut hex = Hex {
            chars: [0; 64],
            len: (hash.len() * 2).min(64),
        };
        for (pair, byte) in hex.chars.chunks_exact_mut(2).zip(hash) {
            for (place, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *place = digit(nibble);
            }
        }
        hex
    }

    fn as_bytes(&self) -> &[u8] {
        self.chars.get(..self.len).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("hexadecimal is ASCII")
    }
}

/// The hash of the parts joined by colons.
fn hash(algorithm: Algorithm, parts: &[&[u8]]) -> Hex {
    fn joined<D: Digest>(parts: &[&[u8]]) -> Hex {
        let mut hasher = D::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                hasher.update(b":");
            }
            hasher.update(part);
        }
        Hex::of(&hasher.finalize())
    }
    match algorithm {
        Algorithm::Md5 => joined::<Md5>(parts),
        Algorithm::Sha256 => joined::<Sha256>(parts),
    }
}

/// Hash of `user:realm:password`, to be kept instead of the password.
pub fn ha1(algorithm: Algorithm, username: &[u8], realm: &[u8], password: &Secret) -> Secret {
    let hex = hash(
        algorithm,
        &[username, realm, password.reveal().as_bytes()],
    );
    Secret::new(hex.as_str())
}

/// `qop` with what it needs.
enum Protection<'a> {
    /// RFC 2069: no `qop`, no count.
    None,
    Auth { nc: &'a [u8], cnonce: &'a [u8], qop: &'a [u8] },
    AuthInt { nc: &'a [u8], cnonce: &'a [u8], qop: &'a [u8] },
}

/// RFC 7616 §3.4.1.
fn response(
    algorithm: Algorithm,
    ha1: &[u8],
    nonce: &[u8],
    method: &Method,
    uri: &[u8],
    protection: &Protection<'_>,
    body: &[u8],
) -> Hex {
    let method = method.as_str().as_bytes();
    match protection {
        Protection::None => {
            let ha2 = hash(algorithm, &[method, uri]);
            hash(algorithm, &[ha1, nonce, ha2.as_bytes()])
        }
        Protection::Auth { nc, cnonce, qop } => {
            let ha2 = hash(algorithm, &[method, uri]);
            hash(algorithm, &[ha1, nonce, nc, cnonce, qop, ha2.as_bytes()])
        }
        Protection::AuthInt { nc, cnonce, qop } => {
            let body = hash(algorithm, &[body]);
            let ha2 = hash(algorithm, &[method, uri, body.as_bytes()]);
            hash(algorithm, &[ha1, nonce, nc, cnonce, qop, ha2.as_bytes()])
        }
    }
}

/// True when the credentials prove knowledge of the password, for this method and body. Compares in constant time. Says nothing
/// about realm, nonce, count or URI: see [`authenticate`](super::authenticate), which looks at all of them.
pub fn verify(
    credentials: &Credentials<'_>,
    method: &Method,
    stored: &Stored,
    body: &[u8],
) -> bool {
    let Some(algorithm) = Algorithm::of(credentials.algorithm) else {
        return false;
    };
    let protection = match (credentials.qop, credentials.nc, credentials.cnonce) {
        (None, _, _) => Protection::None,
        (Some(qop), Some(nc), Some(cnonce)) if qop.eq_ignore_ascii_case(b"auth") => {
            Protection::Auth { nc, cnonce, qop }
        }
        (Some(qop), Some(nc), Some(cnonce)) if qop.eq_ignore_ascii_case(b"auth-int") => {
            Protection::AuthInt { nc, cnonce, qop }
        }
        (Some(_), _, _) => return false,
    };
    let computed;
    let ha1: &[u8] = match stored {
        Stored::Password(password) => {
            computed = hash(
                algorithm,
                &[
                    credentials.username,
                    credentials.realm,
                    password.reveal().as_bytes(),
                ],
            );
            computed.as_bytes()
        }
        Stored::Ha1 { md5, sha256 } => {
            let kept = match algorithm {
                Algorithm::Md5 => md5,
                Algorithm::Sha256 => sha256,
            };
            match kept {
                Some(kept) => kept.reveal().as_bytes(),
                None => return false,
            }
        }
    };
    let expected = response(
        algorithm,
        ha1,
        credentials.nonce,
        method,
        credentials.uri,
        &protection,
        body,
    );
    let given = credentials.response.to_ascii_lowercase();
    bool::from(expected.as_bytes().ct_eq(&given))
}

/// A challenge: the header (`WWW-Authenticate`, or `Proxy-Authenticate` for a proxy) and its value.
pub fn challenge(
    realm: &str,
    nonce: &str,
    algorithm: Algorithm,
    stale: bool,
    proxy: bool,
) -> (Name, String) {
    let name = if proxy {
        Name::ProxyAuthenticate
    } else {
        Name::WwwAuthenticate
    };
    let mut value = String::with_capacity(128);
    value.push_str("Digest ");
    push_quoted(&mut value, "realm", realm.as_bytes());
    value.push_str(", ");
    push_quoted(&mut value, "nonce", nonce.as_bytes());
    value.push_str(", algorithm=");
    value.push_str(algorithm.as_str());
    value.push_str(", qop=\"auth\"");
    if stale {
        value.push_str(", stale=true");
    }
    (name, value)
}

/// The answer to a challenge: the value of an `Authorization` or `Proxy-Authorization` header. `nc` counts the uses of this nonce
/// from 1. `None` when the challenge wants an algorithm or a protection that we do not speak. Whether the realm may be answered
/// at all is for the caller to know: a password answers only to the realm that it was configured for.
#[allow(clippy::too_many_arguments)] // each is one field of RFC 7616 §3.4
pub fn respond(
    challenge: &Challenge<'_>,
    method: &Method,
    uri: &[u8],
    username: &str,
    password: &Secret,
    nc: u32,
    cnonce: &[u8],
    body: &[u8],
) -> Option<String> {
    let algorithm = Algorithm::of(challenge.algorithm)?;
    let count = format!("{nc:08x}");
    let nc = count.as_bytes();
    let (protection, qop) = match challenge.qop {
        None => (Protection::None, None),
        Some(offered) if offers(offered, b"auth") => (
            Protection::Auth { nc, cnonce, qop: b"auth" },
            Some("auth"),
        ),
        Some(offered) if offers(offered, b"auth-int") => (
            Protection::AuthInt { nc, cnonce, qop: b"auth-int" },
            Some("auth-int"),
        ),
        Some(_) => return None,
    };
    let ha1 = hash(
        algorithm,
        &[
            username.as_bytes(),
            challenge.realm,
            password.reveal().as_bytes(),
        ],
    );
    let response = response(
        algorithm,
        ha1.as_bytes(),
        challenge.nonce,
        method,
        uri,
        &protection,
        body,
    );
    let mut value = String::with_capacity(256);
    value.push_str("Digest ");
    push_quoted(&mut value, "username", username.as_bytes());
    for (name, text) in [
        ("realm", challenge.realm),
        ("nonce", challenge.nonce),
        ("uri", uri),
        ("response", response.as_bytes()),
    ] {
        value.push_str(", ");
        push_quoted(&mut value, name, text);
    }
    if challenge.algorithm.is_some() {
        value.push_str(", algorithm=");
        value.push_str(algorithm.as_str());
    }
    if let Some(opaque) = challenge.opaque {
        value.push_str(", ");
        push_quoted(&mut value, "opaque", opaque);
    }
    if let Some(qop) = qop {
        let _ = write!(value, ", qop={qop}, nc={count}, ");
        push_quoted(&mut value, "cnonce", cnonce);
    }
    Some(value)
}

fn offers(list: &[u8], wanted: &[u8]) -> bool {
    list.split(|c| *c == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(wanted))
}

/// Writes `name="value"`. The value is taken as it stands between its quotes, escapes included, because that is what is hashed;
/// a lone quote and controls, which no parsed value holds, are left out.
fn push_quoted(to: &mut String, name: &str, value: &[u8]) {
    to.push_str(name);
    to.push_str("=\"");
    let mut escaped = false;
    for c in String::from_utf8_lossy(value).chars() {
        if c.is_control() || (c == '"' && !escaped) {
            escaped = false;
            continue;
        }
        escaped = c == '\\' && !escaped;
        to.push(c);
    }
    if escaped {
        to.pop();
    }
    to.push('"');
}
