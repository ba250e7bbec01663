//! All trunks: what is asked of whom and when, and what the answers mean.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::gateway::{self, Choice, Gateway, Ping, Resolved};
use super::rate::Starts;
use super::registration::{Change, Register, Registration, Step};
use super::settings::Settings;
use crate::base::{Duration, Entropy, Instant, Now, TimerId, TimerQueue};
use crate::event::TrunkFact;
use crate::sip::Message;
use crate::transport::{Located, Target, Transport};

/// An OPTIONS without an answer so long means that nobody is there. Four copies have left over UDP by then.
const PING_PATIENCE: Duration = Duration::from_secs(5);
/// What the name service says holds at least so long, and where it found nothing it is asked again after that. Guess.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(30);

/// What is to be asked of whom. The answer comes back under the ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Names the answer.
    pub ticket: u64,
    /// The trunk.
    pub trunk: Arc<str>,
    /// The profile whose socket is used.
    pub profile: Arc<str>,
    /// How.
    pub transport: Transport,
    /// Where.
    pub remote: SocketAddr,
    /// What.
    pub what: Asked,
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// OPTIONS, to see whether it is there (RFC 3261 §11).
    Options {
        /// Request-URI.
        uri: Arc<str>,
    },
    /// REGISTER.
    Register(Box<Register>),
}

/// What the trunks want done or known.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Send a request.
    Ask(Ask),
    /// Nobody waits for this answer any more.
    Forget(u64),
    /// Ask the name service.
    Resolve {
        /// Names the answer.
        query: u64,
        /// What to find.
        target: Target,
    },
    /// Publish this.
    Fact(TrunkFact),
    /// Tell the operator.
    Warn(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Ping(u32, u64),
    PingLate(u32, u64),
    Register(u32),
    LookUp(u32, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Errand {
    Ping(u32, u64),
    Register(u32),
}

pub(super) struct Trunk {
    /// Names it in timers and tickets, which outlive a reload; its place in the list does not.
    pub(super) number: u32,
    pub(super) settings: Settings,
    pub(super) hosts: Vec<Resolved>,
    pub(super) registration: Option<Registration>,
    register_timer: Option<TimerId>,
    register_ticket: Option<u64>,
    pub(super) up: Option<bool>,
    pub(super) starts: Starts,
    /// The realm that took its password in a call.
    pub(super) realm: Option<Arc<str>>,
}

impl Trunk {
    pub(super) fn gateways(&mut self) -> impl Iterator<Item = &mut Gateway> {
        self.hosts.iter_mut().flat_map(|host| &mut host.gateways)
    }

    fn gateway(&mut self, id: u64) -> Option<&mut Gateway> {
        self.gateways().find(|gateway| gateway.id == id)
    }
}

/// All trunks of a switch.
pub struct Trunks {
    pub(super) list: Vec<Trunk>,
    /// Taken out by a reload, while their registrations are taken back.
    leaving: Vec<Trunk>,
    queries: BTreeMap<u64, (u32, usize)>,
    tickets: BTreeMap<u64, Errand>,
    timers: TimerQueue<Due>,
    next_id: u64,
    next_number: u32,
    pub(super) entropy: Entropy,
}

impl Trunks {
    /// No trunks. `entropy` makes tags, jitter and the draws by weight.
    pub fn new(entropy: Entropy) -> Trunks {
        Trunks {
            list: Vec::new(),
            leaving: Vec::new(),
            queries: BTreeMap::new(),
            tickets: BTreeMap::new(),
            timers: TimerQueue::new(),
            next_id: 0,
            next_number: 0,
            entropy,
        }
    }

    /// When [`Trunks::on_time`] is due next.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    pub(super) fn numbered(&mut self, number: u32) -> Option<&mut Trunk> {
        self.list
            .iter_mut()
            .chain(&mut self.leaving)
            .find(|trunk| trunk.number == number)
    }

    pub(super) fn named(&mut self, name: &str) -> Option<&mut Trunk> {
        self.list
            .iter_mut()
            .find(|trunk| &*trunk.settings.name == name)
    }

    /// Takes the trunks of the configuration. One whose places and registration are as before keeps what is known of them.
    pub fn configure(&mut self, now: Now, all: Vec<Settings>, out: &mut Vec<Output>) {
        let mut before = std::mem::take(&mut self.list);
        for settings in all {
            let kept = before
                .iter()
                .position(|old| {
                    old.settings.name == settings.name && settings.continues(&old.settings)
                })
                .map(|at| before.swap_remove(at));
            match kept {
                Some(mut trunk) => {
                    let pings = trunk.settings.options_ping != settings.options_ping;
                    let number = trunk.number;
                    trunk.settings = settings;
                    let ids: Vec<u64> = trunk.gateways().map(|gateway| gateway.id).collect();
                    self.list.push(trunk);
                    if pings {
                        self.arm_pings(now, number, &ids);
                    }
                }
                None => self.begin(now, settings, out),
            }
        }
        for gone in before {
            self.leave(now, gone, out);
        }
    }

    fn begin(&mut self, now: Now, settings: Settings, out: &mut Vec<Output>) {
        self.next_number = self.next_number.wrapping_add(1);
        let number = self.next_number;
        let registrar = settings
            .register
            .as_ref()
            .and_then(|register| register.registrar.clone());
        let mut hosts: Vec<Resolved> = settings
            .hosts
            .iter()
            .map(|host| Resolved::new(host.clone(), true, &mut self.next_id))
            .collect();
        hosts.extend(registrar.map(|host| Resolved::new(host, false, &mut self.next_id)));
        let registration = settings
            .register
            .clone()
            .map(|register| Registration::new(register, &mut self.entropy));
        let mut trunk = Trunk {
            number,
            settings,
            hosts,
            registration,
            register_timer: None,
            register_ticket: None,
            up: None,
            starts: Starts::default(),
            realm: None,
        };
        let ids: Vec<u64> = trunk.gateways().map(|gateway| gateway.id).collect();
        let names: Vec<usize> = (0..trunk.hosts.len())
            .filter(|&at| trunk.hosts.get(at).is_some_and(Resolved::has_name))
            .collect();
        let registers = trunk.registration.is_some();
        let ready = !ids.is_empty();
        self.list.push(trunk);
        for at in names {
            self.look_up(number, at, out);
        }
        self.arm_pings(now, number, &ids);
        if registers && ready {
            self.arm_register(now.mono, number);
        }
    }

    fn leave(&mut self, now: Now, mut trunk: Trunk, out: &mut Vec<Output>) {
        let number = trunk.number;
        self.queries.retain(|_, (of, _)| *of != number);
        let login = trunk.settings.login.clone();
        let step = trunk
            .registration
            .as_mut()
            .map(|it| it.leave(now, login.as_ref(), &mut self.entropy));
        match step {
            Some(step @ Step::Ask(..)) => {
                self.leaving.push(trunk);
                self.take_step(now, number, step, None, out);
            }
            Some(Step::Wait(_) | Step::Done) | None => {
                if let Some(timer) = trunk.register_timer {
                    self.timers.cancel(timer);
                }
            }
        }
    }

    /// The server stops: registrations are taken back, so that carriers send their calls elsewhere.
    pub fn stop(&mut self, now: Now, out: &mut Vec<Output>) {
        let numbers: Vec<u32> = self.list.iter().map(|trunk| trunk.number).collect();
        for number in numbers {
            let mut entropy = self.entropy.fork();
            let Some(trunk) = self.numbered(number) else {
                continue;
            };
            let login = trunk.settings.login.clone();
            if let Some(registration) = &mut trunk.registration {
                let step = registration.leave(now, login.as_ref(), &mut entropy);
                self.take_step(now, number, step, None, out);
            }
        }
    }

    /// True while a registration is being taken back.
    pub fn is_leaving(&self) -> bool {
        self.list
            .iter()
            .chain(&self.leaving)
            .any(|trunk| trunk.register_ticket.is_some())
    }

    fn look_up(&mut self, number: u32, at: usize, out: &mut Vec<Output>) {
        self.next_id += 1;
        let query = self.next_id;
        let Some(host) = self
            .numbered(number)
            .and_then(|trunk| trunk.hosts.get_mut(at))
        else {
            return;
        };
        host.query = Some(query);
        let target = host.host.target.clone();
        self.queries.insert(query, (number, at));
        out.push(Output::Resolve { query, target });
    }

    /// What the name service found; nothing when it found nothing or nobody answered: then what was known stays.
    pub fn located(
        &mut self,
        now: Now,
        query: u64,
        places: Vec<Located>,
        ttl: Duration,
        out: &mut Vec<Output>,
    ) {
        let Some((number, at)) = self.queries.remove(&query) else {
            return;
        };
        let mut next_id = self.next_id;
        let Some(trunk) = self.numbered(number) else {
            return;
        };
        let Some(host) = trunk.hosts.get_mut(at).filter(|h| h.query == Some(query)) else {
            return;
        };
        host.query = None;
        let mut new = Vec::new();
        let had = !host.gateways.is_empty();
        if !places.is_empty() {
            new = host.place(places, &mut next_id);
        }
        let empty = host.gateways.is_empty();
        let waits = trunk.registration.is_some() && !had && !empty;
        if waits && let Some(registration) = &mut trunk.registration {
            registration.hurry();
        }
        self.next_id = next_id;
        let again = now.mono + ttl.max(LOOK_UP_AGAIN);
        self.timers.set(again, Due::LookUp(number, at));
        self.arm_pings(now, number, &new);
        if waits || (empty && !had) {
            self.arm_register(now.mono, number);
        }
        if empty {
            self.note_state(now, number, "its gateway has no address", out);
        }
    }

    /// OPTIONS to each: soon, but not all in the same moment.
    fn arm_pings(&mut self, now: Now, number: u32, gateways: &[u64]) {
        let pings = self
            .numbered(number)
            .is_some_and(|trunk| trunk.settings.options_ping.is_some());
        if !pings {
            return;
        }
        for (&gateway, place) in gateways.iter().zip(0u32..) {
            let at = now.mono + Duration::from_millis(50) * place;
            self.timers.set(at, Due::Ping(number, gateway));
        }
    }

    fn arm_register(&mut self, at: Instant, number: u32) {
        let timer = self.timers.set(at, Due::Register(number));
        let Some(trunk) = self.numbered(number) else {
            self.timers.cancel(timer);
            return;
        };
        let before = trunk.register_timer.replace(timer);
        if let Some(before) = before {
            self.timers.cancel(before);
        }
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some(due) = self.timers.pop_due(now.mono) {
            match due {
                Due::Ping(number, gateway) => self.ping(now, number, gateway, out),
                Due::PingLate(number, gateway) => {
                    let asked = self
                        .numbered(number)
                        .and_then(|trunk| trunk.gateway(gateway))
                        .and_then(|gateway| gateway.ping.asked);
                    if let Some((_, ticket)) = asked {
                        self.tickets.remove(&ticket);
                        out.push(Output::Forget(ticket));
                        self.pinged(now, number, gateway, Err("no answer to OPTIONS"), out);
                    }
                }
                Due::Register(number) => self.register(now, number, out),
                Due::LookUp(number, at) => self.look_up(number, at, out),
            }
        }
    }

    fn ping(&mut self, now: Now, number: u32, id: u64, out: &mut Vec<Output>) {
        self.next_id += 1;
        let ticket = self.next_id;
        let Some(trunk) = self.numbered(number) else {
            return;
        };
        let Some(interval) = trunk.settings.options_ping else {
            return;
        };
        let (name, profile) = (trunk.settings.name.clone(), trunk.settings.profile.clone());
        let found = trunk.hosts.iter_mut().find_map(|host| {
            let uri = host.host.uri.clone();
            let gateway = host.gateways.iter_mut().find(|gateway| gateway.id == id)?;
            Some((gateway, uri))
        });
        // the name service no longer knows it, or the one under way says more
        let Some((gateway, uri)) = found else { return };
        if gateway.ping.asked.is_some() {
            return;
        }
        gateway.ping.asked = Some((now.mono, ticket));
        let ask = Ask {
            ticket,
            trunk: name,
            profile,
            transport: gateway.place.transport,
            remote: gateway.place.address,
            what: Asked::Options { uri },
        };
        self.tickets.insert(ticket, Errand::Ping(number, id));
        self.timers.set(now.mono + interval, Due::Ping(number, id));
        let patience = PING_PATIENCE.min(interval / 2);
        self.timers
            .set(now.mono + patience, Due::PingLate(number, id));
        out.push(Output::Ask(ask));
    }

    fn pinged(
        &mut self,
        now: Now,
        number: u32,
        id: u64,
        answer: Result<(), &str>,
        out: &mut Vec<Output>,
    ) {
        let Some(trunk) = self.numbered(number) else {
            return;
        };
        let name = trunk.settings.name.clone();
        let several = trunk.gateways().count() > 1;
        let Some(gateway) = trunk.gateway(id) else {
            return;
        };
        let asked = gateway.ping.asked.take();
        let was = gateway.ping.up;
        let place = format!("{} {}", gateway.place.transport, gateway.place.address);
        match answer {
            Ok(()) => {
                gateway.ping = Ping {
                    asked: None,
                    round_trip: asked.map(|(at, _)| now.mono.since(at)),
                    up: Some(true),
                    why: None,
                };
                gateway.breaker.alive(now.mono);
                if several && was == Some(false) {
                    out.push(Output::Fact(TrunkFact::GatewayUp {
                        trunk: name,
                        gateway: place,
                    }));
                }
            }
            Err(why) => {
                gateway.ping.up = Some(false);
                gateway.ping.why = Some(Arc::from(why));
                if several && was != Some(false) {
                    out.push(Output::Warn(format!(
                        "trunk {name}: gateway {place} is down: {why}"
                    )));
                    out.push(Output::Fact(TrunkFact::GatewayDown {
                        trunk: name,
                        gateway: place,
                        reason: why.to_owned(),
                    }));
                }
            }
        }
        self.note_state(now, number, answer.err().unwrap_or_default(), out);
    }

    /// A final answer to what was asked.
    pub fn answered(&mut self, now: Now, ticket: u64, response: &Message, out: &mut Vec<Output>) {
        let Some(status) = response.status().filter(|status| status.is_final()) else {
            return;
        };
        match self.tickets.remove(&ticket) {
            // any answer but these shows that the gateway is there
            Some(Errand::Ping(number, id)) => match status.as_u16() {
                code @ (408 | 503) => {
                    let why = format!("{code} to OPTIONS");
                    self.pinged(now, number, id, Err(&why), out);
                }
                _ => self.pinged(now, number, id, Ok(()), out),
            },
            Some(Errand::Register(number)) => {
                let mut entropy = self.entropy.fork();
                let Some(trunk) = self.numbered(number) else {
                    return;
                };
                trunk.register_ticket = None;
                let login = trunk.settings.login.clone();
                let Some(registration) = &mut trunk.registration else {
                    return;
                };
                let (step, change) =
                    registration.answered(now, response, login.as_ref(), &mut entropy);
                self.take_step(now, number, step, change, out);
            }
            None => {}
        }
    }

    /// What was asked could not be sent, or nobody answered.
    pub fn lost(&mut self, now: Now, ticket: u64, why: &str, out: &mut Vec<Output>) {
        match self.tickets.remove(&ticket) {
            Some(Errand::Ping(number, id)) => self.pinged(now, number, id, Err(why), out),
            Some(Errand::Register(number)) => {
                let mut entropy = self.entropy.fork();
                let Some(trunk) = self.numbered(number) else {
                    return;
                };
                trunk.register_ticket = None;
                let login = trunk.settings.login.clone();
                let Some(registration) = &mut trunk.registration else {
                    return;
                };
                let (step, change) = registration.lost(now, why, login.as_ref(), &mut entropy);
                self.take_step(now, number, step, change, out);
            }
            None => {}
        }
    }

    /// Registers a trunk now, whatever it waits for. False when it does not register at all.
    pub fn register_now(&mut self, now: Now, name: &str, out: &mut Vec<Output>) -> bool {
        let Some(trunk) = self.named(name) else {
            return false;
        };
        let (number, timer) = (trunk.number, trunk.register_timer);
        let Some(registration) = &mut trunk.registration else {
            return false;
        };
        // what is under way is not asked twice
        if trunk.register_ticket.is_some() {
            return true;
        }
        registration.hurry();
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
        self.register(now, number, out);
        true
    }

    fn register(&mut self, now: Now, number: u32, out: &mut Vec<Output>) {
        let mut entropy = self.entropy.fork();
        let Some(trunk) = self.numbered(number) else {
            return;
        };
        trunk.register_timer = None;
        let registrar = trunk.hosts.iter().any(|host| !host.for_calls);
        let choices: Vec<Choice> =
            gateway::choices(&mut trunk.hosts, now.mono, &mut entropy, None, !registrar);
        let login = trunk.settings.login.clone();
        let given_up = trunk.register_ticket.take();
        let Some(registration) = &mut trunk.registration else {
            return;
        };
        let (step, change) = registration.due(now, choices, login.as_ref(), &mut entropy);
        if let Some(ticket) = given_up {
            self.tickets.remove(&ticket);
            out.push(Output::Forget(ticket));
        }
        self.take_step(now, number, step, change, out);
    }

    fn take_step(
        &mut self,
        now: Now,
        number: u32,
        step: Step,
        change: Option<Change>,
        out: &mut Vec<Output>,
    ) {
        match step {
            Step::Ask(choice, register, give_up) => {
                self.next_id += 1;
                let ticket = self.next_id;
                let Some(trunk) = self.numbered(number) else {
                    return;
                };
                let stale = trunk.register_ticket.replace(ticket);
                let ask = Ask {
                    ticket,
                    trunk: trunk.settings.name.clone(),
                    profile: trunk.settings.profile.clone(),
                    transport: choice.transport,
                    remote: choice.address,
                    what: Asked::Register(Box::new(register)),
                };
                if let Some(stale) = stale {
                    self.tickets.remove(&stale);
                    out.push(Output::Forget(stale));
                }
                self.tickets.insert(ticket, Errand::Register(number));
                self.arm_register(give_up, number);
                out.push(Output::Ask(ask));
            }
            Step::Wait(until) => self.arm_register(until, number),
            Step::Done => {
                if let Some(trunk) = self.numbered(number)
                    && let Some(timer) = trunk.register_timer.take()
                {
                    self.timers.cancel(timer);
                }
                self.leaving.retain(|trunk| trunk.number != number);
            }
        }
        let Some(trunk) = self.list.iter().find(|trunk| trunk.number == number) else {
            return;
        };
        let name = trunk.settings.name.clone();
        match change {
            Some(Change::Registered { registrar, expires }) => {
                out.push(Output::Fact(TrunkFact::Registered {
                    trunk: name,
                    registrar,
                    expires_at: now.wall_at(now.mono + expires),
                }));
            }
            Some(Change::Unregistered { why }) => {
                out.push(Output::Warn(format!(
                    "trunk {name} is not registered: {why}"
                )));
                out.push(Output::Fact(TrunkFact::Unregistered {
                    trunk: name,
                    reason: why.to_string(),
                }));
            }
            None => {}
        }
    }

    /// Up when a gateway is, down when all are, else as before.
    pub(super) fn note_state(&mut self, now: Now, number: u32, why: &str, out: &mut Vec<Output>) {
        let Some(trunk) = self.list.iter_mut().find(|trunk| trunk.number == number) else {
            return;
        };
        let states: Vec<Option<bool>> = trunk
            .hosts
            .iter_mut()
            .filter(|host| host.for_calls)
            .flat_map(|host| &mut host.gateways)
            .map(|gateway| gateway.is_up(now.mono))
            .collect();
        let up = if states.contains(&Some(true)) {
            true
        } else if states.iter().all(|state| *state == Some(false)) {
            false
        } else {
            return;
        };
        if trunk.up.replace(up) == Some(up) {
            return;
        }
        let name = trunk.settings.name.clone();
        if up {
            out.push(Output::Fact(TrunkFact::Up { trunk: name }));
        } else {
            out.push(Output::Warn(format!("trunk {name} is down: {why}")));
            out.push(Output::Fact(TrunkFact::Down {
                trunk: name,
                reason: why.to_owned(),
            }));
        }
    }
}
