//! A SIP phone, which is also every caller, agent and carrier of the simulated world: it registers, calls, answers, holds,
//! and misbehaves when told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::gateway::Gateway;
use super::order::{Answer, Order};
use super::registering::Registration;
use super::rude::{Rude, Rudeness};
use super::session::{Session, Stage};
use super::transactions::{Purpose, Transactions};
use super::watch::Watches;
use super::{Actor, Context, Deed, Packet, Reminder, Way};
use crate::base::Duration;
use crate::sim::wire::Text;

/// The header that every peer puts into all that it sends, and that must never be seen behind the server.
pub const MARKER: &str = "X-Foreign-Marker";

/// What carries a phone's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carriage {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
    /// A connection under TLS, which only the phone can open.
    Tls,
    /// A WebSocket, which only the phone can open: its Contact leads nowhere (RFC 7118).
    Ws,
}

impl Carriage {
    /// Its name in Via.
    pub fn name(self) -> &'static str {
        match self {
            Carriage::Udp => "UDP",
            Carriage::Tcp => "TCP",
            Carriage::Tls => "TLS",
            Carriage::Ws => "WS",
        }
    }
}

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
    /// What carries its messages.
    pub carriage: Carriage,
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
    /// Registers by RFC 5626, with a reg-id.
    pub outbound: bool,
    /// Has two connections at once, each with a registration.
    pub two_lanes: bool,
    /// Knows reliable provisional responses (RFC 3262), both ways.
    pub reliable: bool,
    /// Sends audio before it answers, with its provisional response.
    pub early_media: bool,
    /// Asks for a session timer of so many seconds (RFC 4028).
    pub timer: Option<u32>,
    /// Refreshes the session by itself where it may choose, instead of leaving that to the server.
    pub refreshes: bool,
    /// Sends an empty packet that often, for its NAT.
    pub keep_alive: Option<Duration>,
    /// Serves as a gateway of a carrier: has moods, and takes REGISTER.
    pub is_gateway: bool,
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
            carriage: Carriage::Udp,
            instance: None,
            expires: 600,
            answer: Answer::After {
                ring: Duration::from_secs(2),
                talk: None,
            },
            lines: 2,
            challenge: None,
            outbound: false,
            two_lanes: false,
            reliable: false,
            early_media: false,
            timer: None,
            refreshes: true,
            keep_alive: None,
            is_gateway: false,
            rudeness: Rudeness::default(),
        }
    }
}

/// A phone.
pub struct Phone {
    pub(super) settings: PhoneSettings,
    pub(super) transactions: Transactions,
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) registrations: Vec<Registration>,
    /// It wants to be reachable.
    pub(super) wanted: bool,
    pub(super) watches: Watches,
    pub(super) gateway: Gateway,
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
            registrations: (0..=u8::from(settings.two_lanes))
                .map(|lane| Registration::new(&settings.name, &settings.user, lane))
                .collect(),
            wanted: false,
            watches: Watches::default(),
            gateway: Gateway::default(),
            next_session: 1,
            powered: true,
            healed: false,
            nonce_count: 0,
            nonce: "unasked".to_string(),
            settings,
        }
    }

    /// Host and port of its Via and Contact.
    fn place(&self) -> String {
        match self.settings.carriage {
            Carriage::Ws => format!("{}.invalid", self.settings.name),
            Carriage::Udp | Carriage::Tcp | Carriage::Tls => self.settings.address.to_string(),
        }
    }

    pub(super) fn via(&self, context: &mut Context<'_>) -> String {
        format!(
            "SIP/2.0/{} {};branch=z9hG4bK{};rport",
            self.settings.carriage.name(),
            self.place(),
            context.token()
        )
    }

    pub(super) fn contact_uri(&self) -> String {
        let transport = match self.settings.carriage {
            Carriage::Udp => "",
            Carriage::Tcp => ";transport=tcp",
            Carriage::Tls => ";transport=tls",
            Carriage::Ws => ";transport=ws",
        };
        format!("sip:{}@{}{transport}", self.settings.user, self.place())
    }

    pub(super) fn contact(&self) -> String {
        format!("<{}>", self.contact_uri())
    }

    /// The Contact of a call: that of its registration, unless it is rude.
    pub(super) fn contact_of_call(&self, context: &mut Context<'_>) -> String {
        if self.settings.carriage == Carriage::Udp && self.is_rude(context, Rude::OtherPort) {
            let mut dead = self.settings.address;
            dead.set_port(9);
            return format!("<sip:{}@{dead}>", self.settings.user);
        }
        self.contact()
    }

    /// Whether it misbehaves in this way now; counts it.
    pub(super) fn is_rude(&self, context: &mut Context<'_>, way: Rude) -> bool {
        let rude = self.settings.rudeness.has(way);
        if rude {
            context.reach(way.name());
        }
        rude
    }

    pub(super) fn is_stream(&self) -> bool {
        self.settings.carriage != Carriage::Udp
    }

    /// The way to a place over a lane.
    pub(super) fn way_to(&self, remote: SocketAddr, lane: u8) -> Way {
        Way {
            remote,
            stream: self.is_stream(),
            lane,
        }
    }

    /// The lane over which it is registered, the first if over several.
    pub(super) fn best_lane(&self) -> u8 {
        self.registrations
            .iter()
            .find(|r| r.held)
            .map_or(0, |r| r.lane)
    }

    /// The way to the server for what begins now.
    pub(super) fn way_out(&self) -> Way {
        self.way_to(self.settings.server, self.best_lane())
    }

    pub(super) fn stamp(&self, message: &mut Text) {
        message.push(MARKER, &self.settings.name);
        message.push("User-Agent", "simulated");
    }

    /// Sends a request of a transaction with the marks of this peer.
    pub(super) fn ask(
        &mut self,
        context: &mut Context<'_>,
        way: Way,
        mut request: Text,
        purpose: Purpose,
    ) {
        self.stamp(&mut request);
        self.transactions.request(context, way, request, purpose);
    }

    /// The answer to a request in a dialog that this peer does not know (RFC 3261 §12.2.2).
    pub(super) fn deny_dialog(&mut self, context: &mut Context<'_>, request: &Text, tag: &str) {
        let reason = "Call/Transaction Does Not Exist";
        self.reply(context, request, 481, reason, tag);
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

    fn hear(&mut self, context: &mut Context<'_>, response: &Text) {
        let Some(heard) = self.transactions.response(context, response) else {
            return;
        };
        match heard.purpose {
            Purpose::Register(lane) => {
                self.registered(context, lane, response, &heard.request, heard.fresh);
            }
            Purpose::Invite(id) => self.invite_answered(context, id, response, &heard),
            Purpose::ReInvite(id) => self.offer_answered(context, id, response, &heard),
            Purpose::Bye(id) => {
                if response.status().unwrap_or(0) >= 200 && heard.fresh {
                    self.over(context, id, "hung up");
                }
            }
            Purpose::Refer(id) => self.refer_answered(context, id, response, heard.fresh),
            Purpose::Subscribe(number) => {
                self.subscribed(context, number, response, &heard.request, heard.fresh);
            }
            Purpose::Page | Purpose::Publish => self.paged(context, response, &heard),
            Purpose::Cancel => {}
        }
    }

    /// Loses its connections, as phones do.
    fn reset(&mut self, context: &mut Context<'_>, lane: Option<u8>) {
        if !self.is_stream() {
            return;
        }
        let live: Vec<Stage> = self.live().map(|s| s.stage).collect();
        let abrupt = context.coin();
        context.reach(if abrupt {
            "connection reset"
        } else {
            "connection closed"
        });
        if live.contains(&Stage::Early) {
            context.reach("connection lost while ringing");
        }
        if live.contains(&Stage::Talking) {
            context.reach("connection lost in a call");
        }
        context.deeds.push(Deed::Close { lane, abrupt });
    }

    fn keep_alive(&mut self, context: &mut Context<'_>) {
        let Some(wait) = self.settings.keep_alive else {
            return;
        };
        if self.wanted {
            let way = self.way_out();
            self.transactions.send(context, way, b"\r\n\r\n".to_vec());
            context.remind(wait, Reminder::KeepAlive);
        }
    }

    fn gave_up(&mut self, context: &mut Context<'_>, purpose: Purpose) {
        match purpose {
            Purpose::Register(lane) => {
                if let Some(registration) = self.registration(lane) {
                    registration.open = false;
                }
                self.retry_register(context, lane);
            }
            Purpose::Invite(id) => self.over(context, id, "no answer from the server"),
            Purpose::ReInvite(id) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.pending_offer = None;
                }
                self.hang_up(context, id);
            }
            Purpose::Bye(id) => self.over(context, id, "BYE was never answered"),
            Purpose::Subscribe(number) => self.watches.end(number),
            Purpose::Refer(_) | Purpose::Page | Purpose::Publish | Purpose::Cancel => {}
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
        if packet.bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
            return; // keeps a NAT open
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
            Reminder::Register(lane, round) => self.register_again(context, lane, round),
            Reminder::RingAgain(id) => self.ring_again(context, id),
            Reminder::ResendReliable(id, rseq) => self.repeat_reliable(context, id, rseq),
            Reminder::SlowBye(key) => self.slow_bye(context, &key),
            Reminder::LateBye(id) => self.late_bye(context, id),
            Reminder::Transfer(id) => self.transfer_as_planned(context, id),
            Reminder::Complete(first, second) => self.complete_transfer(context, first, second),
            Reminder::Refresh(id) => self.refresh(context, id),
            Reminder::KeepAlive => self.keep_alive(context),
            Reminder::Resubscribe(number, round) => self.resubscribe(context, number, round),
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
                self.wanted = true;
                for registration in &mut self.registrations {
                    registration.refused = 0;
                }
                self.register_all(context, self.settings.expires);
                if let Some(wait) = self.settings.keep_alive {
                    context.remind(wait, Reminder::KeepAlive);
                }
            }
            Order::RegisterAndReset => {
                self.wanted = true;
                self.register_all(context, self.settings.expires);
                context.reach("connection lost during REGISTER");
                let abrupt = context.coin();
                context.deeds.push(Deed::Close { lane: None, abrupt });
            }
            Order::Unregister | Order::Retire => {
                self.healed |= order == Order::Retire;
                self.powered = true;
                self.unsubscribe_all(context);
                if self.wanted {
                    self.wanted = false;
                    for registration in &mut self.registrations {
                        registration.round += 1;
                    }
                    self.register_all(context, 0);
                }
            }
            Order::Call(to, plan) if !self.healed => {
                self.call(context, &to, plan);
            }
            Order::Call(..) => {}
            Order::Probe(to) => self.probe(context, &to),
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
                self.watches.forget();
                self.powered = false;
                let abrupt = context.coin();
                context.deeds.push(Deed::Close { lane: None, abrupt });
            }
            Order::Return => {
                if !self.powered {
                    self.powered = true;
                    if self.wanted {
                        self.register_all(context, self.settings.expires);
                    }
                }
            }
            Order::Reset => self.reset(context, None),
            Order::ResetLane(lane) => self.reset(context, Some(lane)),
            Order::HalfOpen => {
                if self.is_stream() {
                    context.reach("half-open connection");
                    context.deeds.push(Deed::HalfOpen);
                    for lane in self.lanes() {
                        self.lane_closed(context, lane);
                    }
                }
            }
            Order::Subscribe(package, whom) => self.subscribe(context, package, &whom),
            Order::Unsubscribe => self.unsubscribe_all(context),
            Order::Message(to) => self.page(context, "MESSAGE", &to),
            Order::Ask(to) => self.page(context, "OPTIONS", &to),
            Order::Publish => self.publish(context),
            Order::Mood(mood) => self.gateway.be(context, mood),
            Order::Admits(admits) => self.gateway.admit(context, admits),
            Order::Password(password) => self.settings.password = password,
            Order::Heal => {
                let back = !self.powered;
                self.powered = true;
                self.healed = true;
                self.settings.rudeness = Rudeness::default();
                self.gateway.heal();
                self.settings.answer = Answer::After {
                    ring: Duration::from_secs(1),
                    talk: Some(Duration::from_secs(5)),
                };
                if back && self.wanted {
                    self.register_all(context, self.settings.expires);
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

    fn closed(&mut self, context: &mut Context<'_>, lane: u8) {
        self.lane_closed(context, lane);
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
        if self.registrations.iter().any(|r| r.open) {
            left.push(format!(
                "{}: a REGISTER waits for its answer",
                self.settings.name
            ));
        }
        left
    }
}
