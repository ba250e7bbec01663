//! The whole check of a request's credentials: realm, algorithm, digest, URI, nonce and count, without telling known users from
//! unknown ones.

use std::borrow::Cow;

use crate::base::{Now, Secret};
use crate::sip::{Credentials, Message, Name, Uri};

use super::digest::{self, Algorithm, Stored};
use super::nonce::{NonceVerdict, Nonces};

/// What a profile asks of credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The realm of our challenges.
    pub realm: String,
    /// Algorithms that we take, the one of our challenges first. Default MD5 alone, which every telephone speaks.
    pub algorithms: Vec<Algorithm>,
    /// Take credentials without `qop` (RFC 2617 §3.2.2), from very old telephones. Each nonce is then good for one request.
    /// Default false.
    pub allow_without_qop: bool,
    /// The `uri` of the credentials must name the host and user of the Request-URI, so that an observed response cannot be turned
    /// to another destination (RFC 7616 §3.4.6). False for peers behind something that rewrites Request-URIs. Default true.
    pub check_uri: bool,
}

impl Policy {
    /// The defaults for a realm.
    pub fn new(realm: impl Into<String>) -> Self {
        Policy {
            realm: realm.into(),
            algorithms: vec![Algorithm::Md5],
            allow_without_qop: false,
            check_uri: true,
        }
    }
}

/// What the credentials of a request are worth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// They prove this user. The nonce count is used up.
    Granted { username: String },
    /// There are none for our realm: challenge. Not a failure: every first request looks like this.
    Missing,
    /// The password was right but the nonce is old, used, or from before our restart: challenge with `stale=true`, and the
    /// telephone tries again without asking a person.
    Stale,
    /// Wrong password, unknown user, or a URI of another place: challenge again, and count it against the source.
    Wrong,
    /// They are damaged: answer 400, and count it against the source.
    Malformed,
}

/// Judges the `header` (`Authorization`, or `Proxy-Authorization` for a proxy) of a request. `stored` finds what we hold of a user;
/// when it finds nothing, the same arithmetic is done on a dummy, so that time does not tell who exists (RFC 7616 §5.10).
pub fn authenticate<'s>(
    nonces: &mut Nonces,
    now: Now,
    request: &Message,
    header: Name,
    policy: &Policy,
    stored: impl FnOnce(&str) -> Option<Cow<'s, Stored>>,
) -> Outcome {
    let mut malformed = false;
    let mut found = None;
    for value in request.headers(header) {
        match Credentials::parse(value) {
            Ok(credentials) if *credentials.realm == *policy.realm.as_bytes() => {
                if Algorithm::of(credentials.algorithm.as_deref())
                    .is_some_and(|algorithm| policy.algorithms.contains(&algorithm))
                {
                    found = Some(credentials);
                    break;
                }
            }
            Ok(_) => {}
            Err(_) => malformed = true,
        }
    }
    let Some(credentials) = found else {
        return if malformed {
            Outcome::Malformed
        } else {
            Outcome::Missing
        };
    };
    let count = match (&credentials.qop, credentials.nc) {
        (None, _) if policy.allow_without_qop => 1,
        (None, _) => return Outcome::Missing,
        // Zero is no count (RFC 7616 §3.4).
        (Some(_), Some(count)) if count > 0 && credentials.cnonce.is_some() => count,
        (Some(_), _) => return Outcome::Malformed,
    };
    let username = String::from_utf8_lossy(&credentials.username);
    let known = stored(&username);
    let dummy = Stored::Password(Secret::default());
    let proved = digest::verify(
        &credentials,
        request.method(),
        known.as_deref().unwrap_or(&dummy),
        request.body(),
    );
    if !proved || known.is_none() || (policy.check_uri && !names_same_place(&credentials, request)) {
        return Outcome::Wrong;
    }
    match nonces.consume(now, &credentials.nonce, count) {
        NonceVerdict::Fresh => Outcome::Granted {
            username: username.into_owned(),
        },
        NonceVerdict::Stale | NonceVerdict::Replayed | NonceVerdict::Forged => Outcome::Stale,
    }
}

/// Host and user agree; ports and parameters may differ, because telephones write them differently in the two places.
fn names_same_place(credentials: &Credentials<'_>, request: &Message) -> bool {
    if *credentials.uri == *request.uri_bytes() {
        return true;
    }
    match (Uri::parse(&credentials.uri), request.uri()) {
        (Ok(named), Ok(asked)) => {
            named.host.eq_ignore_ascii_case(asked.host)
                && named.user_decoded() == asked.user_decoded()
        }
        (Err(_), _) | (_, Err(_)) => false,
    }
}
