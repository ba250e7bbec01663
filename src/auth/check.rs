//! The whole check of a request's credentials: realm, algorithm, digest, URI, nonce and count, without telling known users from
//! unknown ones.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::base::{Now, Secret};
use crate::sip::{Credentials, Message, Name, Uri};

use super::digest::{self, Algorithm, Stored};
use super::nonce::{NonceVerdict, Nonces};

/// What a profile asks of credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The realm of our challenges.
    pub realm: Arc<str>,
    /// Algorithms that we take, the one of our challenges first. Default MD5 alone, which every telephone speaks.
    pub algorithms: SmallVec<[Algorithm; 2]>,
    /// Take credentials without `qop` (RFC 2617 §3.2.2), from very old telephones. Each nonce is then good for one request.
    /// Default false.
    pub allow_without_qop: bool,
    /// The `uri` of the credentials must name the host and user of the Request-URI, so that an observed response cannot be turned
    /// to another destination (RFC 7616 §3.4.6). False for peers behind something that rewrites Request-URIs. Default true.
    pub check_uri: bool,
}

impl Policy {
    /// The defaults for a realm.
    pub fn new(realm: impl Into<Arc<str>>) -> Self {
        Policy {
            realm: realm.into(),
            algorithms: smallvec![Algorithm::Md5],
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
    /// The password was right but the nonce is old, used, or from before our restart; or some nonce went to another source or is not
    /// ours, and the rest was not looked at: challenge with `stale=true`, and the telephone tries again without asking a person.
    Stale,
    /// Wrong password, unknown user, or a URI of another place: challenge again, and count it against the source.
    Wrong,
    /// They are damaged: answer 400, and count it against the source.
    Malformed,
}

/// What we hold for a user name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held<'s> {
    /// The user's own.
    Theirs(Cow<'s, Stored>),
    /// There is no such user: what we hold of somebody else, found in as many steps. It proves nothing.
    Decoy(Cow<'s, Stored>),
    /// There is no such user, nor anybody else.
    Nothing,
}

/// Judges the `header` (`Authorization`, or `Proxy-Authorization` for a proxy) of a request. `stored` finds what we hold of a user;
/// when it finds nothing, the same arithmetic is done on a decoy, so that time does not tell who exists (RFC 7616 §5.10).
///
/// With a `source` all credentials for our realm must answer challenges that went there. Others are not even looked at, right or
/// wrong: a stranger who writes somebody's address into its datagrams must not have that address banned, nor guess where nobody counts.
#[allow(clippy::too_many_arguments)] // who, when, what, by which rules
pub fn authenticate<'s>(
    nonces: &mut Nonces,
    now: Now,
    request: &Message,
    header: Name,
    source: Option<IpAddr>,
    policy: &Policy,
    stored: impl FnOnce(&str) -> Held<'s>,
) -> Outcome {
    let mut malformed = false;
    let mut found = None;
    for value in request.headers(header) {
        match Credentials::parse(value) {
            Ok(credentials) if *credentials.realm == *policy.realm.as_bytes() => {
                let opened = nonces.opened(&credentials.nonce);
                if let Some(source) = source
                    && !opened.is_some_and(|opened| nonces.is_for(opened, source))
                {
                    return Outcome::Stale;
                }
                if found.is_none()
                    && Algorithm::of(credentials.algorithm.as_deref())
                        .is_some_and(|algorithm| policy.algorithms.contains(&algorithm))
                {
                    found = Some((credentials, opened));
                }
            }
            Ok(_) => {}
            // another scheme is as good as none: its sender is asked for ours (RFC 4475 §3.3.7)
            Err(_) => malformed |= is_digest(value),
        }
    }
    let Some((credentials, opened)) = found else {
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
    let (known, held) = match stored(&username) {
        Held::Theirs(held) => (true, held),
        Held::Decoy(held) => (false, held),
        Held::Nothing => (false, Cow::Owned(Stored::Password(Secret::default()))),
    };
    let proved = digest::verify(&credentials, request.method(), &held, request.body());
    if !proved || !known || (policy.check_uri && !names_same_place(&credentials, request)) {
        return Outcome::Wrong;
    }
    match opened.map(|opened| nonces.consume_opened(now, opened, count)) {
        Some(NonceVerdict::Fresh) => Outcome::Granted {
            username: username.into_owned(),
        },
        Some(NonceVerdict::Stale | NonceVerdict::Replayed | NonceVerdict::Forged) | None => {
            Outcome::Stale
        }
    }
}

/// Host and user agree; ports and parameters may differ, because telephones write them differently in the two places.
fn is_digest(value: &[u8]) -> bool {
    value
        .get(..6)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"digest"))
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Nonce, challenge, respond};
    use crate::base::{Duration, Entropy, Instant};
    use crate::sip::{Challenge, Method};
    use bytes::Bytes;

    struct Bench {
        nonces: Nonces,
        entropy: Entropy,
        policy: Policy,
        now: Now,
    }

    impl Bench {
        fn new() -> Self {
            Bench {
                nonces: Nonces::new([1; 32]),
                entropy: Entropy::from_number(3),
                policy: Policy::new("example.com"),
                now: at(1_000),
            }
        }

        fn nonce(&mut self) -> Nonce {
            self.nonces.issue(self.now, &mut self.entropy)
        }

        fn judge(&mut self, request: &Message) -> Outcome {
            let known = Stored::Password(Secret::new("s3cret"));
            authenticate(
                &mut self.nonces,
                self.now,
                request,
                Name::Authorization,
                None,
                &self.policy,
                |user| match user {
                    "alice" => Held::Theirs(Cow::Borrowed(&known)),
                    "nobody" => Held::Nothing,
                    _ => Held::Decoy(Cow::Borrowed(&known)),
                },
            )
        }
    }

    fn at(seconds: u64) -> Now {
        Now {
            mono: Instant::ZERO + Duration::from_secs(seconds),
            ..Now::default()
        }
    }

    fn granted() -> Outcome {
        Outcome::Granted {
            username: "alice".to_string(),
        }
    }

    fn register(authorization: &str) -> Message {
        let line = if authorization.is_empty() {
            String::new()
        } else {
            format!("Authorization: {authorization}\r\n")
        };
        Message::parse(Bytes::from(format!(
            "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:alice@example.com>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n\
             {line}Content-Length: 0\r\n\r\n"
        )))
        .expect("parses")
    }

    fn answer(nonce: &str, user: &str, password: &str, count: u32) -> String {
        let (_, value) = challenge("example.com", nonce, Algorithm::Md5, false, false);
        let challenge = Challenge::parse(value.as_bytes()).expect("parses");
        let password = Secret::new(password);
        respond(
            &challenge,
            &Method::Register,
            b"sip:example.com:5060;transport=udp",
            user,
            &password,
            count,
            b"cn",
            b"",
        )
        .expect("answers")
    }

    #[test]
    fn right_answer_is_granted_once() {
        let mut bench = Bench::new();
        let nonce = bench.nonce();
        let request = register(&answer(nonce.as_str(), "alice", "s3cret", 1));
        assert_eq!(bench.judge(&request), granted());
        assert_eq!(bench.judge(&request), Outcome::Stale);
        let next = register(&answer(nonce.as_str(), "alice", "s3cret", 2));
        assert_eq!(bench.judge(&next), granted());
    }

    #[test]
    fn ten_thousand_replays_are_all_refused() {
        let mut bench = Bench::new();
        let captured: Vec<Message> = (0..10_000)
            .map(|_| {
                let nonce = bench.nonce();
                register(&answer(nonce.as_str(), "alice", "s3cret", 1))
            })
            .collect();
        assert!(
            captured
                .iter()
                .all(|request| bench.judge(request) == granted())
        );
        bench.now = at(1_100);
        let accepted = captured
            .iter()
            .filter(|request| bench.judge(request) == granted())
            .count();
        assert_eq!(accepted, 0);
        bench.now = at(2_000);
        let accepted = captured
            .iter()
            .filter(|request| bench.judge(request) == granted())
            .count();
        assert_eq!(accepted, 0);
        // Another node, or this one after a restart.
        bench.nonces = Nonces::new([2; 32]);
        let accepted = captured
            .iter()
            .filter(|request| bench.judge(request) == granted())
            .count();
        assert_eq!(accepted, 0);
    }

    #[test]
    fn no_credentials_and_those_of_other_realms_are_missing() {
        let mut bench = Bench::new();
        assert_eq!(bench.judge(&register("")), Outcome::Missing);
        let nonce = bench.nonce();
        let other = answer(nonce.as_str(), "alice", "s3cret", 1)
            .replace("example.com\"", "other.example\"");
        assert_eq!(bench.judge(&register(&other)), Outcome::Missing);
    }

    #[test]
    fn unknown_users_and_wrong_passwords_look_alike_and_use_up_nothing() {
        let mut bench = Bench::new();
        let nonce = bench.nonce();
        // "s3cret" is the decoy's, and the empty password that of nobody
        for (user, password) in [
            ("alice", "wrong"),
            ("mallory", "s3cret"),
            ("mallory", ""),
            ("nobody", "s3cret"),
            ("nobody", ""),
        ] {
            let request = register(&answer(nonce.as_str(), user, password, 1));
            assert_eq!(bench.judge(&request), Outcome::Wrong, "{user} {password}");
        }
        assert_eq!(bench.nonces.remembered(), 0);
        let request = register(&answer(nonce.as_str(), "alice", "s3cret", 1));
        assert_eq!(bench.judge(&request), granted());
    }

    #[test]
    fn old_nonce_is_stale_only_with_the_right_password() {
        let mut bench = Bench::new();
        let nonce = bench.nonce();
        bench.now = at(1_301);
        let right = register(&answer(nonce.as_str(), "alice", "s3cret", 1));
        let wrong = register(&answer(nonce.as_str(), "alice", "wrong", 1));
        assert_eq!(bench.judge(&right), Outcome::Stale);
        assert_eq!(bench.judge(&wrong), Outcome::Wrong);
        let invented = register(&answer("invented", "alice", "s3cret", 1));
        assert_eq!(bench.judge(&invented), Outcome::Stale);
    }

    #[test]
    fn uri_of_another_place_is_wrong_unless_the_profile_allows_it() {
        let mut bench = Bench::new();
        let nonce = bench.nonce();
        let value = answer(nonce.as_str(), "alice", "s3cret", 1);
        let text = String::from_utf8(register(&value).bytes().to_vec()).expect("text");
        let elsewhere = text.replace(
            "REGISTER sip:example.com SIP",
            "REGISTER sip:example.org SIP",
        );
        let elsewhere = Message::parse(Bytes::from(elsewhere)).expect("parses");
        assert_eq!(bench.judge(&elsewhere), Outcome::Wrong);
        bench.policy.check_uri = false;
        assert_eq!(bench.judge(&elsewhere), granted());
    }

    #[test]
    fn credentials_without_qop_count_once_and_only_where_allowed() {
        let mut bench = Bench::new();
        let nonce = bench.nonce();
        let value = format!("Digest realm=\"example.com\", nonce=\"{nonce}\"");
        let challenge = Challenge::parse(value.as_bytes()).expect("parses");
        let password = Secret::new("s3cret");
        let value = respond(
            &challenge,
            &Method::Register,
            b"sip:example.com",
            "alice",
            &password,
            1,
            b"",
            b"",
        )
        .expect("answers");
        let request = register(&value);
        assert_eq!(bench.judge(&request), Outcome::Missing);
        bench.policy.allow_without_qop = true;
        assert_eq!(bench.judge(&request), granted());
        assert_eq!(bench.judge(&request), Outcome::Stale);
    }

    #[test]
    fn algorithm_that_the_profile_does_not_take_is_missing() {
        let mut bench = Bench::new();
        let nonce = bench.nonce();
        let (_, value) = challenge(
            "example.com",
            nonce.as_str(),
            Algorithm::Sha256,
            false,
            false,
        );
        let challenge = Challenge::parse(value.as_bytes()).expect("parses");
        let password = Secret::new("s3cret");
        let value = respond(
            &challenge,
            &Method::Register,
            b"sip:example.com",
            "alice",
            &password,
            1,
            b"cn",
            b"",
        )
        .expect("answers");
        let request = register(&value);
        assert_eq!(bench.judge(&request), Outcome::Missing);
        bench.policy.algorithms = smallvec![Algorithm::Sha256, Algorithm::Md5];
        assert_eq!(bench.judge(&request), granted());
    }

    #[test]
    fn damaged_credentials_are_malformed_and_never_granted() {
        let mut bench = Bench::new();
        let nonce = bench.nonce();
        let good = answer(nonce.as_str(), "alice", "s3cret", 1);
        for bad in [
            "Digest".to_string(),
            "Digest username=\"alice\", realm=\"example.com\"".to_string(),
            good.replace("nc=00000001", "nc=1"),
            good.replace("nc=00000001", "nc=00000000"),
            good.replace("nc=00000001, ", ""),
            good.replace(", cnonce=\"cn\"", ""),
        ] {
            assert_eq!(bench.judge(&register(&bad)), Outcome::Malformed, "{bad}");
        }
    }
}
