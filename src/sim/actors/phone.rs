//! A SIP phone, which is also every caller, agent and carrier of the simulated world: it registers, calls, answers, holds,
//! and misbehaves when told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::order::{Answer, Order, Rudeness};
use super::session::{Session, Stage};
use super::transactions::{Purpose, Transactions};
use super::{Actor, Context, Deed, Packet, Reminder};
use crate::base::Duration;
use crate::sim::wire::{self, Text};

/// The header that every peer puts into all that it sends, and that must never be seen behind the server.
pub const MARKER: &str = "X-Foreign-Marker";

/// What a phone is.
#[derive(Clone, Debug)]
pub struct PhoneSettings {
    /// Its name in ladders.
    pub name: String,
    /// User part of its address of record, and its user name for digest.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Domain of its address of record.
    pub domain: String,
    /// Where it lives.
    pub address: SocketAddr,
    /// Where it sends what leaves a dialog.
    pub server: SocketAddr,
    /// TCP instead of UDP.
    pub stream: bool,
    /// `+sip.instance`, if it has one.
    pub instance: Option<String>,
    /// Expires that it asks for, in seconds.
    pub expires: u32,
    /// What it does with incoming calls.
    pub answer: Answer,
    /// How many calls it takes at a time.
    pub lines: usize,
    /// Challenges incoming INVITEs with 407 for this user and password, as carriers do.
    pub challenge: Option<(String, String)>,
    /// How it misbehaves.
    pub rudeness: Rudeness,
}

impl PhoneSettings {
    /// A well-behaved phone on UDP that answers after two seconds and leaves hanging up to the other end.
    pub fn new(user: &str, address: SocketAddr, server: SocketAddr) -> PhoneSettings {
        PhoneSettings {
            name: user.to_string(),
            user: user.to_string(),
            password: format!("secret-{user}"),
            domain: "pbx.example.com".to_string(),
            address,
            server,
            stream: false,
            instance: None,
            expires: 600,
            answer: Answer::After {
                ring: Duration::from_secs(2),
                talk: None,
            },
            lines: 2,
            challenge: None,
            rudeness: Rudeness::default(),
        }
    }
}

pub(super) struct Registration {
    pub call_id: String,
    pub tag: String,
    pub cseq: u32,
    pub wanted: bool,
    pub round: u32,
    pub refused: u32,
    pub open: bool,
}

/// A phone.
pub struct Phone {
    pub(super) settings: PhoneSettings,
    pub(super) transactions: Transactions,
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) registration: Registration,
    next_session: u64,
    pub(super) powered: bool,
    pub(super) healed: bool,
    pub(super) nonce_count: u32,
    pub(super) nonce: String,
}

impl Phone {
    /// A phone that does nothing yet.
    pub fn new(settings: PhoneSettings) -> Phone {
        Phone {
            transactions: Transactions::new(settings.address),
            sessions: BTreeMap::new(),
            registration: Registration {
                call_id: format!("reg-{}", settings.name),
                tag: format!("r{}", settings.user),
                cseq: 0,
                wanted: false,
                round: 0,
                refused: 0,
                open: false,
            },
            next_session: 1,
            powered: true,
            healed: false,
            nonce_count: 0,
            nonce: "unasked".to_string(),
            settings,
        }
    }

    pub(super) fn via(&self, context: &mut Context<'_>) -> String {
        let transport = if self.settings.stream { "TCP" } else { "UDP" };
        format!(
            "SIP/2.0/{transport} {};branch=z9hG4bK{};rport",
            self.settings.address,
            context.token()
        )
    }

    pub(super) fn contact(&self) -> String {
        let transport = if self.settings.stream {
            ";transport=tcp"
        } else {
            ""
        };
        format!(
            "<sip:{}@{}{transport}>",
            self.settings.user, self.settings.address
        )
    }

    pub(super) fn stamp(&self, message: &mut Text) {
        message.push(MARKER, &self.settings.name);
        message.push("User-Agent", "simulated");
    }

    /// Sends a request of a transaction with the marks of this peer.
    pub(super) fn ask(
        &mut self,
        context: &mut Context<'_>,
        remote: SocketAddr,
        mut request: Text,
        purpose: Purpose,
    ) {
        self.stamp(&mut request);
        let stream = self.settings.stream;
        self.transactions
            .request(context, remote, stream, request, purpose);
    }

    /// A response to `request` with the marks of this peer.
    pub(super) fn reply(
        &mut self,
        context: &mut Context<'_>,
        request: &Text,
        code: u16,
        reason: &str,
        tag: &str,
    ) {
        let mut response = Text::response(request, code, reason, tag);
        self.stamp(&mut response);
        let key = super::transactions::key_of(request);
        self.transactions.respond(context, &key, &response);
    }

    pub(super) fn new_session_id(&mut self) -> u64 {
        let id = self.next_session;
        self.next_session += 1;
        id
    }

    pub(super) fn media_address(&self, session: u64) -> SocketAddr {
        let port = 30_000 + u16::try_from((session * 2) % 20_000).unwrap_or(0);
        SocketAddr::new(self.settings.address.ip(), port)
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values().filter(|s| s.stage != Stage::Over)
    }

    pub(super) fn live_ids(&self) -> Vec<u64> {
        self.live().map(|s| s.id).collect()
    }

    pub(super) fn session_of(&mut self, message: &Text, local_is_to: bool) -> Option<&mut Session> {
        let (local, remote) = if local_is_to {
            (message.to_tag(), message.from_tag())
        } else {
            (message.from_tag(), message.to_tag())
        };
        let call_id = message.call_id();
        self.sessions.values_mut().find(|s| {
            s.call_id == call_id
                && s.local_tag == local
                && (s.remote_tag == remote || s.remote_tag.is_empty())
        })
    }

    /// Ends a call in memory; `how` is kept for sentences.
    pub(super) fn over(&mut self, context: &mut Context<'_>, id: u64, how: &str) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.stage != Stage::Over {
            session.stage = Stage::Over;
            session.how = how.to_string();
            session.pending_offer = None;
            session.unacked = None;
            context.deeds.push(Deed::Mute(session.media));
        }
    }

    pub(super) fn register(
        &mut self,
        context: &mut Context<'_>,
        expires: u32,
        challenge: Option<(&str, bool)>,
    ) {
        self.registration.cseq += 1;
        let uri = format!("sip:{}", self.settings.domain);
        let aor = format!("<sip:{}@{}>", self.settings.user, self.settings.domain);
        let mut contact = self.contact();
        if let Some(instance) = &self.settings.instance {
            contact.push_str(&format!(";+sip.instance=\"<urn:uuid:{instance}>\""));
        }
        let mut request = Text::request("REGISTER", &uri)
            .with("Via", &self.via(context))
            .with("Max-Forwards", "70")
            .with("From", &format!("{aor};tag={}", self.registration.tag))
            .with("To", &aor)
            .with("Call-ID", &self.registration.call_id)
            .with("CSeq", &format!("{} REGISTER", self.registration.cseq))
            .with("Contact", &contact)
            .with("Expires", &expires.to_string());
        if let Some((challenge, proxy)) = challenge {
            self.authorize(context, &mut request, challenge, proxy);
        }
        self.registration.open = true;
        let server = self.settings.server;
        self.ask(context, server, request, Purpose::Register);
    }

    /// Puts credentials into a request.
    pub(super) fn authorize(
        &mut self,
        context: &mut Context<'_>,
        request: &mut Text,
        challenge: &str,
        proxy: bool,
    ) -> bool {
        let nonce = wire::auth_param(challenge, "nonce")
            .unwrap_or("")
            .to_string();
        if nonce == self.nonce {
            self.nonce_count += 1;
        } else {
            self.nonce_count = 1;
            self.nonce = nonce;
        }
        let cnonce = context.token();
        let method = request.about();
        let Some(value) = wire::credentials(
            challenge,
            &self.settings.user,
            &self.settings.password,
            &method,
            request.uri().unwrap_or(""),
            self.nonce_count,
            &cnonce,
        ) else {
            return false;
        };
        let name = if proxy {
            "Proxy-Authorization"
        } else {
            "Authorization"
        };
        request.set(name, &value);
        true
    }

    /// The challenge of a 401 or 407 that this phone can answer.
    pub(super) fn challenge_in(response: &Text) -> Option<(String, bool)> {
        let proxy = response.status() == Some(407);
        let name = if proxy {
            "Proxy-Authenticate"
        } else {
            "WWW-Authenticate"
        };
        response
            .all(name)
            .find(|c| {
                wire::auth_param(c, "algorithm")
                    .unwrap_or("MD5")
                    .eq_ignore_ascii_case("MD5")
            })
            .or_else(|| response.get(name))
            .map(|c| (c.to_string(), proxy))
    }

    fn registered(
        &mut self,
        context: &mut Context<'_>,
        response: &Text,
        request: &Text,
        fresh: bool,
    ) {
        let status = response.status().unwrap_or(0);
        if status < 200 || !fresh {
            return;
        }
        let expires: u32 = request
            .get("Expires")
            .and_then(|e| e.parse().ok())
            .unwrap_or(0);
        self.registration.open = false;
        match status {
            200 => {
                self.registration.refused = 0;
                let own = self.settings.address.to_string();
                let granted = response
                    .all("Contact")
                    .flat_map(|v| v.split(','))
                    .find(|c| c.contains(&own))
                    .and_then(|c| wire::param(c, "expires"))
                    .and_then(|e| e.parse::<u32>().ok())
                    .unwrap_or(expires);
                if expires > 0 && self.registration.wanted {
                    let half = Duration::from_secs(u64::from(granted.max(2) / 2));
                    self.registration.round += 1;
                    context.remind(half, Reminder::Register(self.registration.round));
                }
            }
            401 | 407 => {
                let stale = response
                    .get("WWW-Authenticate")
                    .and_then(|c| wire::auth_param(c, "stale"))
                    .is_some_and(|s| s.eq_ignore_ascii_case("true"));
                let had = request.get("Authorization").is_some();
                if had && !stale {
                    self.registration.refused += 1;
                    if self.registration.refused >= 2 {
                        context.deeds.push(Deed::Note(format!(
                            "{} gives up registering",
                            self.settings.name
                        )));
                        return;
                    }
                }
                if expires > 0 && !self.registration.wanted {
                    return; // told to leave meanwhile
                }
                if self.registration.refused < 2
                    && (stale || !had)
                    && let Some((challenge, proxy)) = Self::challenge_in(response)
                {
                    self.register(context, expires, Some((&challenge, proxy)));
                } else {
                    self.retry_register(context);
                }
            }
            423 => {
                let least = response
                    .get("Min-Expires")
                    .and_then(|e| e.parse().ok())
                    .unwrap_or(3600);
                self.settings.expires = least;
                self.register(context, least, None);
            }
            _ => self.retry_register(context),
        }
    }

    pub(super) fn retry_register(&mut self, context: &mut Context<'_>) {
        self.registration.round += 1;
        let round = self.registration.round;
        let wait = Duration::from_millis(3_000 + context.entropy.below(4_000));
        context.remind(wait, Reminder::Register(round));
    }

    fn hear(&mut self, context: &mut Context<'_>, response: &Text) {
        let Some(heard) = self.transactions.response(context, response) else {
            return;
        };
        match heard.purpose {
            Purpose::Register => self.registered(context, response, &heard.request, heard.fresh),
            Purpose::Invite(id) => self.invite_answered(context, id, response, &heard),
            Purpose::ReInvite(id) => self.offer_answered(context, id, response, &heard),
            Purpose::Bye(id) => {
                if response.status().unwrap_or(0) >= 200 && heard.fresh {
                    self.over(context, id, "hung up");
                }
            }
            Purpose::Cancel => {}
        }
    }

    fn gave_up(&mut self, context: &mut Context<'_>, purpose: Purpose) {
        match purpose {
            Purpose::Register => {
                self.registration.open = false;
                self.retry_register(context);
            }
            Purpose::Invite(id) => self.over(context, id, "no answer from the server"),
            Purpose::ReInvite(id) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.pending_offer = None;
                }
                self.hang_up(context, id);
            }
            Purpose::Bye(id) => self.over(context, id, "BYE was never answered"),
            Purpose::Cancel => {}
        }
    }
}

impl Actor for Phone {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        vec![self.settings.address]
    }

    fn receive(&mut self, context: &mut Context<'_>, packet: &Packet) {
        if !self.powered {
            return;
        }
        let message = match Text::parse(&packet.bytes) {
            Ok(message) => message,
            Err(fault) => {
                context.deeds.push(Deed::Note(format!(
                    "{} got what is no SIP: {}",
                    self.settings.name, fault.0
                )));
                return;
            }
        };
        if message.status().is_some() {
            self.hear(context, &message);
        } else {
            self.asked(context, &message, packet);
        }
    }

    fn remind(&mut self, context: &mut Context<'_>, reminder: Reminder) {
        if !self.powered {
            return;
        }
        match reminder {
            Reminder::Resend(key) => self.transactions.resend(context, &key),
            Reminder::ResendFinal(key) => self.transactions.resend_final(context, &key),
            Reminder::Resend2xx(id, cseq) => self.repeat_2xx(context, id, cseq),
            Reminder::GiveUp(key) => {
                if let Some(purpose) = self.transactions.give_up(context, &key) {
                    self.gave_up(context, purpose);
                }
            }
            Reminder::Answer(id) => self.answer_now(context, id),
            Reminder::Patience(id) => self.lose_patience(context, id),
            Reminder::TalkOver(id) => self.hang_up(context, id),
            Reminder::Hold(id) => self.hold_as_planned(context, id),
            Reminder::Resume(id) => self.offer(context, id, "sendrecv"),
            Reminder::RetryOffer(id) => {
                if let Some(direction) = self.sessions.get(&id).and_then(|s| s.pending_offer) {
                    self.offer_again(context, id, direction);
                }
            }
            Reminder::Press(id, at) => self.press_key(context, id, at),
            Reminder::LateAck(id) => self.send_ack(context, id),
            Reminder::Register(round) => {
                if round == self.registration.round && self.registration.wanted {
                    self.register(context, self.settings.expires, None);
                }
            }
            Reminder::Abandon(id) => {
                if self
                    .sessions
                    .get(&id)
                    .is_some_and(|s| s.stage == Stage::Early)
                {
                    self.over(context, id, "no final response to a cancelled INVITE");
                }
            }
            Reminder::Idea => {}
        }
    }

    fn order(&mut self, context: &mut Context<'_>, order: Order) {
        if !self.powered && !matches!(order, Order::Return | Order::Heal | Order::Retire) {
            return;
        }
        match order {
            Order::Register => {
                self.registration.wanted = true;
                self.registration.refused = 0;
                self.register(context, self.settings.expires, None);
            }
            Order::Unregister | Order::Retire => {
                self.healed |= order == Order::Retire;
                self.powered = true;
                if self.registration.wanted {
                    self.registration.wanted = false;
                    self.registration.round += 1;
                    self.register(context, 0, None);
                }
            }
            Order::Call(to, plan) => self.call(context, &to, plan),
            Order::HangUp => {
                for id in self.live_ids() {
                    self.hang_up(context, id);
                }
            }
            Order::Hold(dialect) => {
                for id in self.live_ids() {
                    self.hold(context, id, dialect);
                }
            }
            Order::Resume => {
                for id in self.live_ids() {
                    self.offer(context, id, "sendrecv");
                }
            }
            Order::Press(digit) => {
                for id in self.live_ids() {
                    if let Some(session) = self.sessions.get(&id) {
                        context.deeds.push(Deed::Press(session.media, digit));
                    }
                }
            }
            Order::Answer(answer) => self.settings.answer = answer,
            Order::Vanish => {
                for id in self.live_ids() {
                    self.over(context, id, "lost power");
                }
                self.transactions.forget();
                self.powered = false;
                context.deeds.push(Deed::Reset);
            }
            Order::Return => {
                if !self.powered {
                    self.powered = true;
                    if self.registration.wanted {
                        self.register(context, self.settings.expires, None);
                    }
                }
            }
            Order::Reset => context.deeds.push(Deed::Reset),
            Order::Password(password) => self.settings.password = password,
            Order::Heal => {
                let back = !self.powered;
                self.powered = true;
                self.healed = true;
                self.settings.rudeness = Rudeness::default();
                self.settings.answer = Answer::After {
                    ring: Duration::from_secs(1),
                    talk: Some(Duration::from_secs(5)),
                };
                if back && self.registration.wanted {
                    self.register(context, self.settings.expires, None);
                }
                for id in self.live_ids() {
                    let Some(session) = self.sessions.get(&id) else {
                        continue;
                    };
                    if session.cancelled {
                        context.remind(Duration::from_secs(64), Reminder::Abandon(id));
                    }
                    if session.stage == Stage::Early && !session.outgoing {
                        let wait = Duration::from_millis(context.entropy.below(4_000));
                        context.remind(wait, Reminder::Answer(id));
                    }
                    let wait = Duration::from_millis(8_000 + context.entropy.below(50_000));
                    context.remind(wait, Reminder::TalkOver(id));
                }
            }
        }
    }

    fn closed(&mut self, context: &mut Context<'_>) {
        if self.powered && self.registration.wanted && self.settings.stream {
            self.retry_register(context);
        }
    }

    fn unfinished(&self) -> Vec<String> {
        let mut left: Vec<String> = self
            .live()
            .map(|s| {
                format!(
                    "{}: call {} to {} is still {}",
                    self.settings.name,
                    s.call_id,
                    s.remote,
                    match s.stage {
                        Stage::Early if s.outgoing => "waiting for its final answer",
                        Stage::Early => "ringing",
                        Stage::Talking => "up",
                        Stage::Over => "over",
                    }
                )
            })
            .collect();
        if self.registration.open {
            left.push(format!(
                "{}: a REGISTER waits for its answer",
                self.settings.name
            ));
        }
        left
    }
}
