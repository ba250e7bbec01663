//! Digest: the arithmetic of RFC 7616 with MD5 and SHA-256, for the side that asks and the side that answers.

use std::fmt::{self, Write};

use md5::Md5;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::base::Secret;
use crate::sip::header::auth::quote;
use crate::sip::{Challenge, Credentials, Method, Name};

/// A hash of digest authentication (RFC 7616 §6.1, RFC 8760). The session variants are not spoken: no telephone uses them.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
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
        let digit = |nibble: u8| {
            if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            }
        };
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
    let hex = hash(algorithm, &[username, realm, password.reveal().as_bytes()]);
    Secret::new(hex.as_str())
}

/// `qop` with what it needs.
enum Protection<'a> {
    /// RFC 2069: no `qop`, no count.
    None,
    Auth {
        nc: &'a [u8],
        cnonce: &'a [u8],
        qop: &'a [u8],
    },
    AuthInt {
        nc: &'a [u8],
        cnonce: &'a [u8],
        qop: &'a [u8],
    },
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
    let Some(algorithm) = Algorithm::of(credentials.algorithm.as_deref()) else {
        return false;
    };
    let protection = match (
        credentials.qop.as_deref(),
        credentials.nc_text.as_deref(),
        credentials.cnonce.as_deref(),
    ) {
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
                    &credentials.username,
                    &credentials.realm,
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
        &credentials.nonce,
        method,
        &credentials.uri,
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
    value.push_str("Digest realm=");
    quote(realm.as_bytes(), &mut value);
    value.push_str(", nonce=");
    quote(nonce.as_bytes(), &mut value);
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
    let algorithm = Algorithm::of(challenge.algorithm.as_deref())?;
    let count = format!("{nc:08x}");
    let nc = count.as_bytes();
    let (protection, qop) = match challenge.qop.as_deref() {
        None => (Protection::None, None),
        Some(offered) if offers(offered, b"auth") => (
            Protection::Auth {
                nc,
                cnonce,
                qop: b"auth",
            },
            Some("auth"),
        ),
        Some(offered) if offers(offered, b"auth-int") => (
            Protection::AuthInt {
                nc,
                cnonce,
                qop: b"auth-int",
            },
            Some("auth-int"),
        ),
        Some(_) => return None,
    };
    let ha1 = hash(
        algorithm,
        &[
            username.as_bytes(),
            &challenge.realm,
            password.reveal().as_bytes(),
        ],
    );
    let response = response(
        algorithm,
        ha1.as_bytes(),
        &challenge.nonce,
        method,
        uri,
        &protection,
        body,
    );
    let mut value = String::with_capacity(256);
    value.push_str("Digest username=");
    quote(username.as_bytes(), &mut value);
    for (name, text) in [
        ("realm", &*challenge.realm),
        ("nonce", &*challenge.nonce),
        ("uri", uri),
        ("response", response.as_bytes()),
    ] {
        let _ = write!(value, ", {name}=");
        quote(text, &mut value);
    }
    if challenge.algorithm.is_some() {
        let _ = write!(value, ", algorithm={algorithm}");
    }
    if let Some(opaque) = &challenge.opaque {
        value.push_str(", opaque=");
        quote(opaque, &mut value);
    }
    if let Some(qop) = qop {
        let _ = write!(value, ", qop={qop}, nc={count}, cnonce=");
        quote(cnonce, &mut value);
    }
    Some(value)
}

fn offers(list: &[u8], wanted: &[u8]) -> bool {
    list.split(|c| *c == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"";

    fn stored(password: &str) -> Stored {
        Stored::Password(Secret::new(password))
    }

    /// RFC 7616 §3.9.1, both algorithms.
    fn rfc_7616(algorithm: &str, response: &str) -> String {
        format!(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
             algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    }

    const MD5_RESPONSE: &str = "8ca523f5e9506fed4657c9700eebdbec";
    const SHA256_RESPONSE: &str =
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";

    fn get() -> Method {
        Method::parse(b"GET").expect("a token")
    }

    #[test]
    fn vectors_of_rfc_7616() {
        for (algorithm, response) in [("MD5", MD5_RESPONSE), ("SHA-256", SHA256_RESPONSE)] {
            let value = rfc_7616(algorithm, response);
            let credentials = Credentials::parse(value.as_bytes()).expect("parses");
            assert!(
                verify(&credentials, &get(), &stored("Circle of Life"), BODY),
                "{algorithm}"
            );
            assert!(!verify(
                &credentials,
                &get(),
                &stored("Circle of Lies"),
                BODY
            ));
            assert!(!verify(
                &credentials,
                &Method::Invite,
                &stored("Circle of Life"),
                BODY
            ));
        }
    }

    #[test]
    fn vector_of_rfc_2617_with_qop() {
        let credentials = Credentials::parse(
            br#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
        )
        .expect("parses");
        assert!(verify(
            &credentials,
            &get(),
            &stored("Circle Of Life"),
            BODY
        ));
    }

    #[test]
    fn vector_of_rfc_2069_without_qop() {
        // The example of RFC 2069 §2.4 with the response of its erratum 749.
        let credentials = Credentials::parse(
            br#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", response="1949323746fe6a43ef61f9606e7febea", opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
        )
        .expect("parses");
        assert!(verify(&credentials, &get(), &stored("CircleOfLife"), BODY));
    }

    #[test]
    fn kept_hashes_prove_the_same_as_passwords() {
        let password = Secret::new("Circle of Life");
        let kept = |algorithm| ha1(algorithm, b"Mufasa", b"http-auth@example.org", &password);
        let both = Stored::Ha1 {
            md5: Some(kept(Algorithm::Md5)),
            sha256: Some(kept(Algorithm::Sha256)),
        };
        let only_md5 = Stored::Ha1 {
            md5: Some(kept(Algorithm::Md5)),
            sha256: None,
        };
        let md5 = rfc_7616("MD5", MD5_RESPONSE);
        let md5 = Credentials::parse(md5.as_bytes()).expect("parses");
        let sha256 = rfc_7616("SHA-256", SHA256_RESPONSE);
        let sha256 = Credentials::parse(sha256.as_bytes()).expect("parses");
        assert!(verify(&md5, &get(), &both, BODY));
        assert!(verify(&sha256, &get(), &both, BODY));
        assert!(verify(&md5, &get(), &only_md5, BODY));
        assert!(!verify(&sha256, &get(), &only_md5, BODY));
    }

    #[test]
    fn response_in_capitals_is_taken_and_a_short_one_is_not() {
        let value = rfc_7616("MD5", &MD5_RESPONSE.to_ascii_uppercase());
        let credentials = Credentials::parse(value.as_bytes()).expect("parses");
        assert!(verify(
            &credentials,
            &get(),
            &stored("Circle of Life"),
            BODY
        ));
        for response in ["", "8ca523f5", "8ca523f5e9506fed4657c9700eebdbec00"] {
            let value = rfc_7616("MD5", response);
            let credentials = Credentials::parse(value.as_bytes()).expect("parses");
            assert!(!verify(
                &credentials,
                &get(),
                &stored("Circle of Life"),
                BODY
            ));
        }
    }

    #[test]
    fn every_character_of_the_response_counts() {
        for at in 0..MD5_RESPONSE.len() {
            let mut wrong = MD5_RESPONSE.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
            let value = rfc_7616("MD5", std::str::from_utf8(&wrong).expect("ASCII"));
            let credentials = Credentials::parse(value.as_bytes()).expect("parses");
            let proved = verify(&credentials, &get(), &stored("Circle of Life"), BODY);
            assert!(!proved, "character {at}");
        }
    }

    #[test]
    fn unknown_algorithms_and_protections_prove_nothing() {
        for (from, to) in [
            ("=MD5", "=MD5-sess"),
            ("=MD5", "=SHA-512-256"),
            ("qop=auth", "qop=token"),
        ] {
            let value = rfc_7616("MD5", MD5_RESPONSE).replace(from, to);
            let credentials = Credentials::parse(value.as_bytes()).expect("parses");
            assert!(!verify(
                &credentials,
                &get(),
                &stored("Circle of Life"),
                BODY
            ));
        }
    }

    #[test]
    fn our_answers_satisfy_our_own_check() {
        for challenge in [
            challenge("trunk.example", "abc", Algorithm::Md5, false, false).1,
            challenge("trunk.example", "abc", Algorithm::Sha256, true, true).1,
            r#"Digest realm="trunk.example", nonce="abc", opaque="o\"p""#.to_string(),
            r#"Digest realm="tr\"unk", nonce="abc", qop="auth-int,auth", algorithm=md5"#
                .to_string(),
            r#"Digest realm="trunk.example", nonce="abc", qop="auth-int""#.to_string(),
        ] {
            let parsed = Challenge::parse(challenge.as_bytes()).expect("parses");
            let secret = Secret::new("opensesame");
            let answer = respond(
                &parsed,
                &Method::Invite,
                b"sip:42@trunk.example",
                "al\"ice",
                &secret,
                1,
                b"cn",
                b"v=0",
            )
            .expect("answers");
            let credentials = Credentials::parse(answer.as_bytes()).expect("parses");
            assert_eq!(&*credentials.username, b"al\"ice");
            assert_eq!(credentials.opaque, parsed.opaque);
            assert!(
                verify(&credentials, &Method::Invite, &stored("opensesame"), b"v=0"),
                "{answer}"
            );
            assert!(!verify(
                &credentials,
                &Method::Invite,
                &stored("other"),
                b"v=0"
            ));
        }
    }

    #[test]
    fn body_counts_only_under_auth_int() {
        let challenge =
            Challenge::parse(br#"Digest realm="r", nonce="n", qop="auth-int""#).expect("parses");
        let secret = Secret::new("x");
        let answer = respond(
            &challenge,
            &Method::Invite,
            b"sip:a",
            "u",
            &secret,
            1,
            b"c",
            b"one",
        )
        .expect("answers");
        let credentials = Credentials::parse(answer.as_bytes()).expect("parses");
        assert!(verify(&credentials, &Method::Invite, &stored("x"), b"one"));
        assert!(!verify(&credentials, &Method::Invite, &stored("x"), b"two"));
    }

    #[test]
    fn challenges_that_we_cannot_meet_are_not_answered() {
        for challenge in [
            &br#"Digest realm="r", nonce="n", algorithm=SHA-512-256, qop="auth""#[..],
            br#"Digest realm="r", nonce="n", qop="token""#,
        ] {
            let challenge = Challenge::parse(challenge).expect("parses");
            assert_eq!(
                respond(
                    &challenge,
                    &Method::Invite,
                    b"sip:a",
                    "u",
                    &Secret::new("x"),
                    1,
                    b"c",
                    b""
                ),
                None
            );
        }
    }

    #[test]
    fn challenge_reads_as_the_field_expects_it() {
        assert_eq!(
            challenge("example.com", "n", Algorithm::Md5, false, false),
            (
                Name::WwwAuthenticate,
                r#"Digest realm="example.com", nonce="n", algorithm=MD5, qop="auth""#.to_string()
            )
        );
        assert_eq!(
            challenge("example.com", "n", Algorithm::Sha256, true, true),
            (
                Name::ProxyAuthenticate,
                r#"Digest realm="example.com", nonce="n", algorithm=SHA-256, qop="auth", stale=true"#.to_string()
            )
        );
    }
}
