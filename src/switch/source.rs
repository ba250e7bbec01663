//! Who sends this request: a trunk by its address, a person by digest, or nobody that we know.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::smallvec;

use super::core::Switch;
use crate::auth::{self, Algorithm, Held, Outcome, Policy};
use crate::base::{Duration, Instant, Map, Now};
use crate::call::{CallOutput, Endpoint};
use crate::config::ProfileAuth;
use crate::directory::{Directory, User};
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::Flow;

/// Wrong passwords in a row from one source for one user before it is told 403 instead of being asked again.
const TRIES: u32 = 3;
/// How long a run of wrong passwords is remembered.
const MEMORY: Duration = Duration::from_secs(60);
/// Most sources remembered; the oldest is forgotten first.
const SOURCES_MAX: usize = 4096;

/// Longest user name that is counted by itself; longer ones are no user of ours and count as one, so that a stranger's names of tens of
/// thousands of bytes are not kept.
const USER_BYTES_MAX: usize = 64;

/// Most sources of whose refusal the operator is told within [`QUIET`].
const TOLD_MAX: usize = 64;
/// Most lines about one source within [`QUIET`].
const TOLD_OF_SOURCE_MAX: usize = 8;
/// How long nothing more is said of refusals of one source.
const QUIET: Duration = Duration::from_secs(600);

/// Wrong passwords by source and user: a stranger can lock out nobody but its own address.
#[derive(Default)]
pub(super) struct Failures {
    counts: Map<(IpAddr, String), (u32, Instant)>,
    order: VecDeque<(Instant, IpAddr, String)>,
    /// Sources and users of whose refusal the operator was told, oldest first.
    told: VecDeque<(Instant, IpAddr, String)>,
}

fn counted(user: &str) -> &str {
    if user.len() > USER_BYTES_MAX {
        ""
    } else {
        user
    }
}

impl Failures {
    fn expire(&mut self, now: Instant) {
        while let Some((until, source, user)) = self.order.front() {
            if *until > now && self.order.len() <= SOURCES_MAX {
                break;
            }
            let key = (*source, user.clone());
            if self.counts.get(&key).is_some_and(|(_, at)| at == until) {
                self.counts.remove(&key);
            }
            self.order.pop_front();
        }
    }

    /// Counts a wrong password; true when the source has had its tries.
    fn wrong(&mut self, now: Instant, source: IpAddr, user: &str) -> bool {
        self.expire(now);
        let user = counted(user);
        let until = now + MEMORY;
        let entry = self
            .counts
            .entry((source, user.to_owned()))
            .or_insert((0, until));
        entry.0 += 1;
        entry.1 = until;
        let tries = entry.0;
        self.order.push_back((until, source, user.to_owned()));
        tries >= TRIES
    }

    fn right(&mut self, source: IpAddr, user: &str) {
        if self.counts.is_empty() {
            return;
        }
        self.counts.remove(&(source, counted(user).to_owned()));
    }

    /// True when the operator has not been told of this source and user lately. The Internet knocks all day: one line each, a few of
    /// each source (an office behind one address has many phones), and of a flood of sources only the first.
    fn worth_telling(&mut self, now: Instant, source: IpAddr, user: &str) -> bool {
        while self.told.front().is_some_and(|(until, ..)| *until <= now) {
            self.told.pop_front();
        }
        let of_source = || self.told.iter().filter(|(_, ip, _)| *ip == source);
        let worth = self.told.len() < TOLD_MAX
            && of_source().count() < TOLD_OF_SOURCE_MAX
            && of_source().all(|(_, _, told)| told != user);
        if worth {
            self.told.push_back((now + QUIET, source, user.to_owned()));
        }
        worth
    }
}

/// What is known of the sender of a request.
pub(super) enum Source {
    /// Somebody that may go on.
    Known(Endpoint),
    /// The answer has been sent.
    Answered,
}

/// What is held of a user's password. The way to a decoy is as long as that to a user.
fn held<'s>(directory: &'s Directory, name: &str) -> Held<'s> {
    let password = |user: &'s User| user.password.as_ref().map(Cow::Borrowed);
    if let Some(user) = directory.user(name) {
        return password(user).map_or(Held::Nothing, Held::Theirs);
    }
    let decoy = directory.decoy(name).and_then(|user| password(user));
    decoy.map_or(Held::Nothing, Held::Decoy)
}

impl Switch {
    /// Finds out who sent a request outside of dialogs, or answers it.
    pub(super) fn source(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
    ) -> Source {
        let settings = self.settings.clone();
        let Some(profile) = super::faces::profile_of(&settings, flow.profile) else {
            return self.refuse(now, key, flow, request, StatusCode::FORBIDDEN);
        };
        let ip = flow.remote.ip().to_canonical();
        // several accounts at one carrier are told apart by the contact that each has registered
        let user = request.uri().ok().and_then(|uri| uri.user_text());
        let registered = self
            .trunks
            .registered_for(&profile.name, ip, user.as_deref());
        let trunk = registered.or_else(|| Some(self.sending_trunk(profile, &flow)?.name.clone()));
        if let Some(name) = trunk {
            self.guard.succeeded(now, ip);
            return Source::Known(Endpoint::Trunk(name));
        }
        match profile.auth {
            ProfileAuth::Trunk => {
                self.tell(now, ip, "", || {
                    format!(
                        "{} from {} refused: profile {} takes calls of its trunks only, and no trunk has this address in `from`",
                        request.method().as_str(),
                        flow.remote,
                        profile.name,
                    )
                });
                self.refuse(now, key, flow, request, StatusCode::FORBIDDEN)
            }
            ProfileAuth::None => {
                let user = request.from().uri.user_text().unwrap_or_default();
                Source::Known(match settings.directory.user(&user) {
                    Some(user) => Endpoint::Extension(user.extension.clone()),
                    None => Endpoint::Unknown,
                })
            }
            ProfileAuth::Digest => self.digest(now, key, flow, request, profile.digest),
        }
    }

    fn digest(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        algorithm: Algorithm,
    ) -> Source {
        let ip = flow.remote.ip().to_canonical();
        let settings = self.settings.clone();
        let proxy = *request.method() != Method::Register;
        let header = if proxy {
            Name::ProxyAuthorization
        } else {
            Name::Authorization
        };
        // a phone that was asked with 401 once may go on answering in Authorization
        let header = if proxy
            && request.header(Name::ProxyAuthorization).is_none()
            && request.header(Name::Authorization).is_some()
        {
            Name::Authorization
        } else {
            header
        };
        // phones and testers put the proxy's address into the digest URI whatever the Request-URI is; a response seen on the way is
        // worthless all the same, because its nonce count is used up
        let policy = Policy {
            check_uri: false,
            algorithms: smallvec![algorithm],
            ..Policy::new(settings.server.domain.clone())
        };
        let found = |name: &str| held(&settings.directory, name);
        let outcome = auth::authenticate(
            &mut self.nonces,
            now,
            request,
            header,
            Some(ip),
            &policy,
            found,
        );
        match outcome {
            Outcome::Granted { username } => {
                self.guard.succeeded(now, ip);
                self.failures.right(ip, &username);
                let rate = self.guard.settings().account_rate;
                if !self.accounts.admit(now.mono, &username, rate) {
                    self.tell(now, ip, &username, || {
                        format!("{username} sends more than {rate} requests a second; see `account-rate` of [guard]")
                    });
                    return self.refuse(now, key, flow, request, StatusCode::SERVICE_UNAVAILABLE);
                }
                let from = request.from().uri.user_text().unwrap_or_default();
                // a caller that is not to be named proves itself all the same (RFC 3323 §4.1.1.3)
                let unnamed = *request.method() == Method::Invite
                    && crate::call::identity::is_anonymous(request);
                if from != username && !unnamed {
                    return self.refuse(now, key, flow, request, StatusCode::FORBIDDEN);
                }
                Source::Known(Endpoint::Extension(
                    match settings.directory.user(&username) {
                        Some(user) => user.extension.clone(),
                        None => Arc::from(username),
                    },
                ))
            }
            Outcome::Missing => self.challenge(now, key, ip, request, proxy, false, algorithm),
            // from before a restart, or of a phone that moved: it asks nobody for the password again (RFC 7616 §3.3)
            Outcome::Stale => self.challenge(now, key, ip, request, proxy, true, algorithm),
            Outcome::Wrong => {
                let user = request.from().uri.user_text().unwrap_or_default();
                self.note_failure(now, ip);
                if self.failures.wrong(now.mono, ip, &user) {
                    let known = settings.directory.user(&user).is_some();
                    self.tell(now, ip, &user, || {
                        let why = if known {
                            "wrong password"
                        } else {
                            "no such user"
                        };
                        format!(
                            "{} from {ip} as `{}` refused: {why}",
                            request.method().as_str(),
                            user.escape_debug()
                        )
                    });
                    self.refuse(now, key, flow, request, StatusCode::FORBIDDEN)
                } else {
                    self.challenge(now, key, ip, request, proxy, false, algorithm)
                }
            }
            Outcome::Malformed => {
                if flow.transport.is_reliable() {
                    self.note_failure(now, ip);
                }
                self.refuse(now, key, flow, request, StatusCode::BAD_REQUEST)
            }
        }
    }

    /// Counts wrong credentials of a source, and says so when it is banned for them.
    fn note_failure(&mut self, now: Now, source: IpAddr) {
        if self.guard.failed(now, source) {
            let seconds = self.guard.settings().ban.as_secs();
            // no name that a user can have
            self.tell(now, source, "\n", || {
                format!("{source} is banned for too many wrong passwords, first for {seconds} s, then for longer: `strowger bans`")
            });
        }
    }

    /// A line for the operator about a refusal, unless that source has had its own lately.
    fn tell(&mut self, now: Now, source: IpAddr, user: &str, line: impl FnOnce() -> String) {
        if self.failures.worth_telling(now.mono, source, user) {
            self.outputs.push_back(CallOutput::Warn(line()));
        }
    }

    #[allow(clippy::too_many_arguments)] // whom to ask, and how
    fn challenge(
        &mut self,
        now: Now,
        key: ServerKey,
        source: IpAddr,
        request: &Message,
        proxy: bool,
        stale: bool,
        algorithm: Algorithm,
    ) -> Source {
        let nonce = self.nonces.issue_to(now, &mut self.entropy, source);
        let (name, value) = auth::challenge(
            &self.settings.server.domain,
            nonce.as_str(),
            algorithm,
            stale,
            proxy,
        );
        let status = if proxy {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED
        } else {
            StatusCode::UNAUTHORIZED
        };
        // no state for a source that has proved nothing: each retransmission is asked again, with the same tag (RFC 3261 §8.2.7)
        let tag = stateless_tag(request);
        let response = Builder::response(request, status, "")
            .to_tag(tag.as_bytes())
            .header(name, value)
            .finish();
        self.with_tx(|tx, acts| tx.answer_once(now, key, Some(response), acts));
        Source::Answered
    }

    fn refuse(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        status: StatusCode,
    ) -> Source {
        self.answer_stranger(now, key, flow, request, status);
        Source::Answered
    }

    /// Answers a request with nothing but a status.
    pub(super) fn answer(
        &mut self,
        now: Now,
        key: ServerKey,
        request: &Message,
        status: StatusCode,
    ) {
        self.answer_with(now, key, request, status, None);
    }

    /// The same with a header that the status needs.
    pub(super) fn answer_with(
        &mut self,
        now: Now,
        key: ServerKey,
        request: &Message,
        status: StatusCode,
        header: Option<(Name, String)>,
    ) {
        let tag = self.entropy.token::<8>();
        let mut builder = Builder::response(request, status, "").to_tag(&tag);
        if let Some((name, value)) = header {
            builder = builder.header(name, value);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            builder = builder.header(Name::RetryAfter, "5");
        }
        if matches!(status.as_u16(), 405 | 501) {
            builder = builder.header(Name::Allow, super::on_message::ALLOW);
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            builder = builder.header(Name::Accept, "application/sdp");
        }
        let response = builder.finish();
        self.with_tx(|tx, acts| tx.respond(now, key, response, acts));
    }

    /// Answers a request of somebody who need not be who the source address says: over UDP, an INVITE's refusal would be repeated
    /// ten times at that address, so a source that has proved nothing gets it once, and once more for each time that it asks.
    pub(super) fn answer_stranger(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        status: StatusCode,
    ) {
        let source = flow.remote.ip().to_canonical();
        if flow.transport.is_reliable()
            || *request.method() != Method::Invite
            || self.guard.is_proven(now, source)
        {
            self.answer(now, key, request, status);
            return;
        }
        let tag = stateless_tag(request);
        let mut builder = Builder::response(request, status, "").to_tag(tag.as_bytes());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            builder = builder.header(Name::RetryAfter, "5");
        }
        let response = builder.finish();
        self.with_tx(|tx, acts| tx.answer_once(now, key, Some(response), acts));
    }
}

/// A To tag that is the same for every retransmission of a request, and that nobody can tell from outside.
pub(super) fn stateless_tag(request: &Message) -> String {
    let key = crate::base::map::HashKey::default();
    let seed = (
        request.top_via().branch().unwrap_or_default(),
        request.call_id(),
        request.from_tag().unwrap_or_default(),
    );
    format!("{:016x}", std::hash::BuildHasher::hash_one(&key, seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn the_operator_is_told_of_a_source_once_in_ten_minutes() {
        let mut failures = Failures::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!(failures.worth_telling(at(0), one, "1001"));
        assert!(!failures.worth_telling(at(599), one, "1001"));
        assert!(failures.worth_telling(at(599), one, "1002"));
        assert!(failures.worth_telling(at(599), other, "1001"));
        assert!(failures.worth_telling(at(600), one, "1001"));
    }

    #[test]
    fn endless_user_names_are_counted_but_not_kept() {
        let mut failures = Failures::default();
        let source = IpAddr::from([192, 0, 2, 1]);
        for try_no in 1..=5_000u32 {
            let told = failures.wrong(
                Instant::from_nanos(try_no.into()),
                source,
                &format!("{try_no}{}", "x".repeat(2_000)),
            );
            assert_eq!(told, try_no >= TRIES);
        }
        assert_eq!(failures.counts.len(), 1);
        assert!(failures.order.len() <= SOURCES_MAX + 1);
        assert!(failures.order.iter().all(|(_, _, user)| user.is_empty()));
    }

    #[test]
    fn a_flood_of_sources_does_not_fill_the_log() {
        let mut failures = Failures::default();
        let told = (0..=255)
            .filter(|last| failures.worth_telling(at(1), IpAddr::from([192, 0, 2, *last]), ""))
            .count();
        assert_eq!(told, TOLD_MAX);
        let mut failures = Failures::default();
        let told = (0..100)
            .filter(|n| failures.worth_telling(at(1), IpAddr::from([192, 0, 2, 1]), &n.to_string()))
            .count();
        assert_eq!(told, TOLD_OF_SOURCE_MAX);
    }
}
