//! One registration of ours at another network (RFC 3261 §10 as a client): asked for, proved, refreshed, moved to the next registrar,
//! given up for a while, taken back.
//!
//! ```text
//!                  due                    2xx
//!   +---------+ ---------> +--------+ ----------> +---------+
//!   | Waiting |            | Asking |             | Waiting | (registered)
//!   +---------+ <--------- +--------+ <---------- +---------+
//!        refused: back-off   |    ^     due: refresh
//!                            '----' 401, 407, 423, silence and 5xx: at once, again or at the next registrar
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::gateway::Choice;
use super::proof::Proofs;
use super::settings::{Login, RegisterSettings};
use super::view::RegistrationView;
use crate::base::{Duration, Entropy, Instant, Now};
use crate::sip::{Message, Name, StatusCode};

/// A REGISTER without a final answer so long is given up: the next registrar is asked.
const PATIENCE: Duration = Duration::from_secs(8);
/// The same while the server stops, which waits for it.
const PATIENCE_LEAVING: Duration = Duration::from_secs(3);
/// First pause after a round in which nobody took us.
const PAUSE: Duration = Duration::from_secs(30);
/// First pause after a refusal that asking again will not change: wrong password, forbidden, no such user. Carriers ban who insists.
const PAUSE_REFUSED: Duration = Duration::from_secs(300);
/// Longest pause of our own choice.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// Longest pause that a Retry-After makes.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Longest expiry that is believed or asked for, in seconds.
const EXPIRES_MAX: u32 = 86_400;
/// Most Service-Route values that are kept, and the longest.
const ROUTES_MAX: usize = 8;
const ROUTE_BYTES_MAX: usize = 512;

/// A REGISTER to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// Request-URI: the registrar's domain.
    pub uri: String,
    /// From and To, without tag.
    pub aor: String,
    /// The same for all of one registration (RFC 3261 §10.2.4).
    pub call_id: Arc<str>,
    /// One higher with each.
    pub cseq: u32,
    /// Tag of From.
    pub tag: Arc<str>,
    /// User part of Contact; empty in bulk.
    pub contact_user: Arc<str>,
    /// Seconds; 0 takes the registration back.
    pub expires: u32,
    /// All numbers at once: Contact has `bnc`, Require and Proxy-Require have `gin` (RFC 6140 §5.2).
    pub bulk: bool,
    /// Answer to a challenge.
    pub proof: Option<(Name, String)>,
}

/// What to do next.
#[allow(clippy::large_enum_variant)] // one at a time
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Send this there. `cause` of the timer: when to give it up.
    Ask(Choice, Register, Instant),
    /// Nothing until then.
    Wait(Instant),
    /// Nothing any more.
    Done,
}

/// What changed for those who watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Registered {
        registrar: String,
        expires: Duration,
    },
    Unregistered {
        why: Arc<str>,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Registered {
    choice: Choice,
    until: Instant,
    service_route: Vec<String>,
}

/// The machine.
#[derive(Debug)]
pub(super) struct Registration {
    settings: RegisterSettings,
    call_id: Arc<str>,
    tag: Arc<str>,
    cseq: u32,
    proofs: Proofs,
    /// Whom this round has not asked yet.
    rest: VecDeque<Choice>,
    asking: Option<Choice>,
    /// When the next REGISTER is due, while none is under way.
    next: Option<Instant>,
    /// Seconds asked for; 423 raises it.
    expires: u32,
    raised: bool,
    registered: Option<Registered>,
    /// Rounds in a row without success.
    failures: u32,
    refused: bool,
    /// The last round ended in a refusal: still true while the next one asks.
    turned_away: bool,
    retry_after: Duration,
    why: Option<Arc<str>>,
    last: Option<Choice>,
    leaving: bool,
}

impl Registration {
    pub fn new(settings: RegisterSettings, entropy: &mut Entropy) -> Registration {
        let mut text = || Arc::from(String::from_utf8_lossy(&entropy.token::<20>()).as_ref());
        Registration {
            call_id: text(),
            tag: text(),
            cseq: 0,
            expires: u32::try_from(settings.expires.as_secs()).unwrap_or(EXPIRES_MAX),
            settings,
            proofs: Proofs::default(),
            rest: VecDeque::new(),
            asking: None,
            next: None,
            raised: false,
            registered: None,
            failures: 0,
            refused: false,
            turned_away: false,
            retry_after: Duration::ZERO,
            why: None,
            last: None,
            leaving: false,
        }
    }

    pub fn settings(&self) -> &RegisterSettings {
        &self.settings
    }

    pub fn is_registered(&self) -> bool {
        self.registered.is_some()
    }

    /// The registrar said no, and has not been asked successfully since.
    pub fn is_refused(&self) -> bool {
        self.turned_away && self.registered.is_none()
    }

    /// The gateway that took the registration.
    pub fn at(&self) -> Option<u64> {
        self.registered.as_ref().map(|it| it.choice.id)
    }

    /// What calls through it carry as Route (RFC 3608 §6).
    pub fn service_route(&self) -> &[String] {
        self.registered
            .as_ref()
            .map_or(&[], |it| it.service_route.as_slice())
    }

    /// The realm that its password is known to answer to.
    pub fn realm(&self, login: &Login) -> super::proof::RealmPolicy {
        self.proofs.realm(login)
    }

    /// Its registrar has been found: no pause any more.
    pub fn hurry(&mut self) {
        self.next = None;
    }

    /// Its timer: a round begins, or what was asked was not answered.
    pub fn due(
        &mut self,
        now: Now,
        choices: Vec<Choice>,
        login: Option<&Login>,
        entropy: &mut Entropy,
    ) -> (Step, Option<Change>) {
        let expired = self.expire(now.mono);
        if self.asking.is_some() {
            let (step, change) = self.lost(now, "no answer to REGISTER", login, entropy);
            return (step, expired.or(change));
        }
        if self.leaving {
            return (Step::Done, expired);
        }
        if let Some(next) = self.next.filter(|&next| next > now.mono) {
            return (Step::Wait(self.wake(next)), expired);
        }
        self.refused = false;
        self.raised = false;
        self.retry_after = Duration::ZERO;
        self.rest = choices.into();
        // where it is, there it is refreshed
        if let Some(at) = self.at()
            && let Some(place) = self.rest.iter().position(|choice| choice.id == at)
            && let Some(choice) = self.rest.remove(place)
        {
            self.rest.push_front(choice);
        }
        if self.rest.is_empty() {
            self.why = Some(Arc::from("its registrar has no address"));
            let (step, change) = self.pause(now, entropy);
            return (step, expired.or(change));
        }
        (self.ask_next(now, login, entropy), expired)
    }

    fn expire(&mut self, now: Instant) -> Option<Change> {
        if self.registered.as_ref().is_some_and(|it| it.until <= now) {
            let why = self.why.clone().unwrap_or_else(|| Arc::from("expired"));
            return self.fall(why);
        }
        None
    }

    fn fall(&mut self, why: Arc<str>) -> Option<Change> {
        self.why = Some(why.clone());
        self.registered.take().map(|_| Change::Unregistered { why })
    }

    /// The timer is set for the next REGISTER or the end of the registration, whichever comes first.
    fn wake(&self, next: Instant) -> Instant {
        self.registered
            .as_ref()
            .map_or(next, |it| next.min(it.until))
    }

    fn ask_next(&mut self, now: Now, login: Option<&Login>, entropy: &mut Entropy) -> Step {
        let Some(choice) = self.rest.pop_front() else {
            return self.pause(now, entropy).0;
        };
        self.proofs.begin_round();
        if self.last.as_ref().is_some_and(|last| last.id != choice.id) {
            self.proofs.forget_nonce();
        }
        self.ask(now, choice, login, entropy)
    }

    fn ask(
        &mut self,
        now: Now,
        choice: Choice,
        login: Option<&Login>,
        entropy: &mut Entropy,
    ) -> Step {
        self.cseq += 1;
        let uri = format!("sip:{}", self.settings.domain);
        let proof = self.proofs.answer(login, &uri, entropy);
        self.asking = Some(choice.clone());
        self.last = Some(choice.clone());
        self.next = None;
        let register = Register {
            aor: format!("sip:{}@{}", self.settings.user, self.settings.domain),
            uri,
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            tag: self.tag.clone(),
            contact_user: if self.settings.bulk {
                Arc::from("")
            } else {
                self.settings.contact_user.clone()
            },
            expires: if self.leaving { 0 } else { self.expires },
            bulk: self.settings.bulk,
            proof,
        };
        // when a registration ends meanwhile, that is known at once
        let patience = if self.leaving {
            PATIENCE_LEAVING
        } else {
            PATIENCE
        };
        let mut give_up = now.mono + patience;
        if let Some(it) = &self.registered {
            give_up = give_up.min(it.until.max(now.mono + Duration::from_secs(1)));
        }
        Step::Ask(choice, register, give_up)
    }

    /// A final answer to what was asked.
    pub fn answered(
        &mut self,
        now: Now,
        response: &Message,
        login: Option<&Login>,
        entropy: &mut Entropy,
    ) -> (Step, Option<Change>) {
        let (Some(choice), Some(status)) = (self.asking.take(), response.status()) else {
            return (Step::Wait(now.mono + PAUSE), None);
        };
        let code = status.as_u16();
        match code {
            200..=299 if self.leaving => {
                let change = self.fall(Arc::from("taken back"));
                (Step::Done, change)
            }
            200..=299 => self.taken(now, choice, response, entropy),
            401 | 407 => match self.proofs.challenged(login, response) {
                Ok(()) => (self.ask(now, choice, login, entropy), None),
                Err(refused) => self.refused(now, &refused.to_string(), entropy),
            },
            _ if self.leaving => (Step::Done, self.fall(Arc::from("taken back"))),
            423 => {
                let least = response
                    .header(Name::MinExpires)
                    .and_then(crate::sip::header::auth::seconds)
                    .filter(|&least| least > self.expires && least <= EXPIRES_MAX);
                match (least, self.raised) {
                    (Some(least), false) => {
                        self.expires = least;
                        self.raised = true;
                        (self.ask(now, choice, login, entropy), None)
                    }
                    _ => self.refused(now, &said(status), entropy),
                }
            }
            // the address of record or the right to it is at fault, wherever we ask
            400 | 402..=406 | 410 | 413..=416 | 420 | 421 | 484 | 485 | 600..=699 => {
                self.refused(now, &said(status), entropy)
            }
            _ => {
                let wait = retry_after(response).min(RETRY_AFTER_MAX);
                self.retry_after = self.retry_after.max(wait);
                self.elsewhere(now, &said(status), login, entropy)
            }
        }
    }

    /// Nothing came, or it could not be sent.
    pub fn lost(
        &mut self,
        now: Now,
        why: &str,
        login: Option<&Login>,
        entropy: &mut Entropy,
    ) -> (Step, Option<Change>) {
        self.asking = None;
        if self.leaving {
            return (Step::Done, self.fall(Arc::from("taken back")));
        }
        self.elsewhere(now, why, login, entropy)
    }

    fn elsewhere(
        &mut self,
        now: Now,
        why: &str,
        login: Option<&Login>,
        entropy: &mut Entropy,
    ) -> (Step, Option<Change>) {
        self.why = Some(Arc::from(why));
        self.turned_away = false;
        if self.rest.is_empty() {
            return self.pause(now, entropy);
        }
        (self.ask_next(now, login, entropy), None)
    }

    /// The registrar said no: there is no registration any more, and asking again soon makes it worse.
    fn refused(&mut self, now: Now, why: &str, entropy: &mut Entropy) -> (Step, Option<Change>) {
        if self.leaving {
            return (Step::Done, self.fall(Arc::from("taken back")));
        }
        let why: Arc<str> = Arc::from(why);
        let had = self.fall(why.clone());
        let first = !self.refused && self.failures == 0;
        self.refused = true;
        self.turned_away = true;
        self.rest.clear();
        self.proofs.forget_nonce();
        let (step, _) = self.pause(now, entropy);
        let change = had.or_else(|| first.then_some(Change::Unregistered { why }));
        (step, change)
    }

    /// Nobody took us in this round.
    fn pause(&mut self, now: Now, entropy: &mut Entropy) -> (Step, Option<Change>) {
        let first = if self.refused { PAUSE_REFUSED } else { PAUSE };
        let pause = (first * (1 << self.failures.min(8))).min(PAUSE_MAX);
        let pause = jittered(pause, entropy).max(self.retry_after);
        let told = self.failures == 0 && self.registered.is_none() && !self.refused;
        self.failures = self.failures.saturating_add(1);
        let mut next = now.mono + pause;
        // a registration that still holds is tried for once more before it ends
        if let Some(it) = &self.registered {
            let left = it.until.since(now.mono);
            next = next.min(now.mono + (left / 2).max(Duration::from_secs(5)));
        }
        self.next = Some(next);
        let change = told.then(|| Change::Unregistered {
            why: self.why.clone().unwrap_or_else(|| Arc::from("no answer")),
        });
        (Step::Wait(self.wake(next)), change)
    }

    fn taken(
        &mut self,
        now: Now,
        choice: Choice,
        response: &Message,
        entropy: &mut Entropy,
    ) -> (Step, Option<Change>) {
        let granted = granted(response, &self.settings, self.expires);
        if granted == 0 {
            return self.refused(now, "it grants no time at all", entropy);
        }
        self.proofs.taken();
        let was = self.registered.is_some();
        let expires = Duration::from_secs(u64::from(granted));
        let registrar = format!("{} {}", choice.transport, choice.address);
        self.failures = 0;
        self.refused = false;
        self.turned_away = false;
        self.why = None;
        self.rest.clear();
        self.registered = Some(Registered {
            choice,
            until: now.mono + expires,
            service_route: service_route(response),
        });
        // between 75 and 90 % of the time: a fleet that was started together does not stay together
        let share = 75 + u32::try_from(entropy.below(16)).unwrap_or(0);
        let next = now.mono + expires * share / 100;
        self.next = Some(next);
        let change = (!was).then_some(Change::Registered { registrar, expires });
        (Step::Wait(next), change)
    }

    /// The trunk goes: the registration is taken back, if there is one.
    pub fn leave(&mut self, now: Now, login: Option<&Login>, entropy: &mut Entropy) -> Step {
        if self.leaving {
            return Step::Wait(now.mono + PATIENCE);
        }
        self.leaving = true;
        let Some(choice) = self
            .registered
            .as_ref()
            .map(|it| it.choice.clone())
            .or_else(|| self.asking.clone())
        else {
            return Step::Done;
        };
        self.proofs.begin_round();
        self.ask(now, choice, login, entropy)
    }

    /// How it stands.
    pub fn view(&self, now: Now) -> RegistrationView {
        let state = match (&self.registered, &self.asking) {
            (Some(_), _) => "registered",
            (None, Some(_)) => "registering",
            (None, None) => "unregistered",
        };
        let choice = self.registered.as_ref().map(|it| &it.choice);
        let until = self.registered.as_ref().map(|it| it.until);
        RegistrationView {
            state,
            aor: Arc::from(format!(
                "sip:{}@{}",
                self.settings().user,
                self.settings().domain
            )),
            registrar: choice
                .or(self.last.as_ref())
                .map(|choice| format!("{} {}", choice.transport, choice.address)),
            why: self.why.clone(),
            expires_at: until.map(|at| now.wall_at(at)),
            next_at: self.next.map(|at| now.wall_at(at)),
        }
    }
}

/// `403 Forbidden to REGISTER`.
fn said(status: StatusCode) -> String {
    format!(
        "{} {} to REGISTER",
        status.as_u16(),
        status.default_reason()
    )
}

/// 10 % up or down.
fn jittered(time: Duration, entropy: &mut Entropy) -> Duration {
    let percent = 90 + u32::try_from(entropy.below(21)).unwrap_or(0);
    time * percent / 100
}

/// Retry-After, in any of its forms (RFC 3261 §20.33); zero without one.
pub(super) fn retry_after(response: &Message) -> Duration {
    let seconds = response
        .header(Name::RetryAfter)
        .and_then(|value| {
            let end = value
                .iter()
                .position(|c| !c.is_ascii_digit())
                .unwrap_or(value.len());
            crate::sip::header::auth::seconds(value.get(..end)?)
        })
        .unwrap_or(0);
    Duration::from_secs(u64::from(seconds))
}

/// Seconds that the registrar granted our contact (RFC 3261 §10.2.4); without a word of its, those asked for.
fn granted(response: &Message, settings: &RegisterSettings, asked: u32) -> u32 {
    let mut any = None;
    let mut ours = None;
    for contact in response.contacts().flatten() {
        let Some(uri) = contact.uri() else { continue };
        let expires = contact.expires();
        let mine = settings.bulk || uri.user_text().as_deref() == Some(&*settings.contact_user);
        if mine {
            ours = ours.max(Some(expires));
        }
        any = Some(expires);
    }
    ours.or(any)
        .flatten()
        .or_else(|| response.expires())
        .unwrap_or(asked)
        .min(EXPIRES_MAX)
}

fn service_route(response: &Message) -> Vec<String> {
    response
        .addresses(Name::ServiceRoute)
        .take(ROUTES_MAX)
        .filter_map(|route| {
            let raw = route.ok()?.uri.raw;
            let text = std::str::from_utf8(raw).ok()?;
            (text.len() <= ROUTE_BYTES_MAX).then(|| format!("<{text}>"))
        })
        .collect()
}
