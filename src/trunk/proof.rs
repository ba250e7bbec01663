//! Answers to challenges of a registrar: only for a realm that is ours to answer, at most twice in a round.

use std::sync::Arc;

use super::settings::Login;
use crate::auth::{self, Algorithm};
use crate::base::Entropy;
use crate::sip::{Challenge, Message, Method, Name};

/// Answers in one round: the first, and one more when the peer says that only its nonce is old (RFC 7616 §3.3).
const ANSWERS_MAX: u8 = 2;
/// Longest challenge that is kept for the next request.
const CHALLENGE_BYTES_MAX: usize = 2048;

/// Which realms a password answers to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RealmPolicy {
    /// This one, in any case of letters.
    Only(Arc<str>),
    /// None is known yet: the first is taken, and kept if the proof is.
    First,
}

impl RealmPolicy {
    /// May the realm be answered?
    pub fn allows(&self, realm: &[u8]) -> bool {
        match self {
            RealmPolicy::Only(only) => only.as_bytes().eq_ignore_ascii_case(realm),
            RealmPolicy::First => true,
        }
    }
}

/// Why a challenge is not answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// There is no password.
    NoPassword,
    /// The challenges are of realms that are not ours.
    ForeignRealm(String),
    /// No challenge could be read, or all want what we do not speak.
    NotSpoken,
    /// The password was wrong.
    Wrong,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::NoPassword => f.write_str("it asks for credentials, and there are none"),
            Refused::ForeignRealm(realm) => {
                write!(
                    f,
                    "it asks for the password of realm `{}`, which is not ours to give",
                    realm.escape_debug()
                )
            }
            Refused::NotSpoken => f.write_str("its challenge cannot be answered"),
            Refused::Wrong => f.write_str("it refuses the credentials"),
        }
    }
}

/// The proofs of one registration.
#[derive(Default, Debug)]
pub(super) struct Proofs {
    /// Header and value of the challenge that is being answered, and how often its nonce was used.
    challenge: Option<(Name, Vec<u8>, u32)>,
    /// The realm that took our proof.
    pinned: Option<Arc<str>>,
    /// Answers to challenges of this round. Credentials with the nonce of an earlier round are not one: registrars forget nonces.
    answers: u8,
    /// The challenge is of this round.
    fresh: bool,
}

impl Proofs {
    /// A new request: the old nonce may still be good.
    pub fn begin_round(&mut self) {
        self.answers = 0;
        self.fresh = false;
    }

    /// Another registrar: its nonces are its own.
    pub fn forget_nonce(&mut self) {
        self.challenge = None;
    }

    /// The realm that the password answers to.
    pub fn realm(&self, login: &Login) -> RealmPolicy {
        match login.realm.as_ref().or(self.pinned.as_ref()) {
            Some(realm) => RealmPolicy::Only(realm.clone()),
            None => RealmPolicy::First,
        }
    }

    /// Takes a 401 or 407. The first challenge that may and can be answered is kept (RFC 8760 §2.4: the topmost is preferred).
    pub fn challenged(&mut self, login: Option<&Login>, response: &Message) -> Result<(), Refused> {
        let Some(login) = login else {
            return Err(Refused::NoPassword);
        };
        let asked = if response.status().map(crate::sip::StatusCode::as_u16) == Some(407) {
            Name::ProxyAuthenticate
        } else {
            Name::WwwAuthenticate
        };
        let policy = self.realm(login);
        let mut refused = Refused::NotSpoken;
        for value in response.headers(asked) {
            let Ok(challenge) = Challenge::parse(value) else {
                continue;
            };
            if !policy.allows(&challenge.realm) {
                refused =
                    Refused::ForeignRealm(String::from_utf8_lossy(&challenge.realm).into_owned());
                continue;
            }
            if value.len() > CHALLENGE_BYTES_MAX || !speaks(&challenge) {
                continue;
            }
            // a second challenge means a wrong password, unless only the nonce is old
            if self.answers >= ANSWERS_MAX || (self.answers > 0 && !challenge.stale) {
                return Err(Refused::Wrong);
            }
            self.challenge = Some((asked, value.to_vec(), 0));
            self.fresh = true;
            return Ok(());
        }
        Err(refused)
    }

    /// The credentials for the next request, if there is a challenge to answer.
    pub fn answer(
        &mut self,
        login: Option<&Login>,
        uri: &str,
        entropy: &mut Entropy,
    ) -> Option<(Name, String)> {
        let login = login?;
        let (asked, value, count) = self.challenge.as_mut()?;
        let challenge = Challenge::parse(value).ok()?;
        *count += 1;
        let cnonce = entropy.token::<16>();
        let proof = auth::respond(
            &challenge,
            &Method::Register,
            uri.as_bytes(),
            &login.username,
            &login.password,
            *count,
            &cnonce,
            b"",
        )?;
        self.answers += u8::from(self.fresh);
        let name = if *asked == Name::ProxyAuthenticate {
            Name::ProxyAuthorization
        } else {
            Name::Authorization
        };
        Some((name, proof))
    }

    /// The proof was taken: its realm is the one from now on.
    pub fn taken(&mut self) {
        let realm = self
            .challenge
            .as_ref()
            .and_then(|(_, value, _)| Challenge::parse(value).ok())
            .map(|challenge| String::from_utf8_lossy(&challenge.realm).into_owned());
        if let (None, Some(realm)) = (&self.pinned, realm) {
            self.pinned = Some(Arc::from(realm));
        }
    }
}

fn speaks(challenge: &Challenge<'_>) -> bool {
    Algorithm::of(challenge.algorithm.as_deref()).is_some()
        && challenge.qop.as_deref().is_none_or(|offered| {
            offered
                .split(|c| *c == b',')
                .any(|one| matches!(one.trim_ascii(), b"auth" | b"auth-int"))
        })
}
