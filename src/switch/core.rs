//! The switch: its parts, the way of an input through them, and what is left at the end.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use super::effect::{Effect, Effects, Level};
use super::input::{Input, LoadLevel};
use super::on_guard::TurnedAway;
use super::peers::Verified;
use super::record::{Event, Fact, Record};
use super::routing::{OfferState, Routing, SwitchTimer};
use super::source::Failures;
use crate::acd::{Acd, AcdCommand, AcdEffect, OfferId};
use crate::auth::Nonces;
use crate::base::{Entropy, Instant, Key, Now, TimerId, TimerQueue, WallTime};
use crate::call::{Call, CallOutput, Calls, Ctx, Leg, User};
use crate::config::Settings;
use crate::directory::toggles::AllToggles;
use crate::event::CallRecord;
use crate::media::Ports;
use crate::notifier::Notifier;
use crate::outbound::Outbound;
use crate::proxy::{Proxy, TokenKey};
use crate::registrar::Registrar;
use crate::transaction::{Act, Transactions};
use crate::transport::{Accounts, Guard};
use crate::trunk::Trunks;

/// What the shell knows that no configuration says.
pub struct Boot {
    /// Seeded from the operating system.
    pub entropy: Entropy,
    /// The address that a packet to the rest of the world would leave from.
    pub primary: IpAddr,
    /// Media workers that will take commands.
    pub media_workers: u16,
}

/// What is alive in a switch: all zero when all calls are over and all phones are gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Residue {
    /// Live calls.
    pub calls: usize,
    /// Live legs.
    pub legs: usize,
    /// Calls with a dialplan that runs.
    pub routings: usize,
    /// Live transactions.
    pub transactions: usize,
    /// Armed timers of transactions, calls and the switch; not those that only pings and bindings need.
    pub timers: usize,
    /// RTP ports in use.
    pub ports: usize,
    /// Agent offers that are not settled.
    pub offers: usize,
    /// Work items waiting or with an agent.
    pub work_items: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Starting,
    Ready,
    Draining,
}

/// One signalling shard.
pub struct Switch {
    pub(super) settings: Arc<Settings>,
    pub(super) primary: IpAddr,
    pub(super) entropy: Entropy,
    pub(super) guard: Guard,
    pub(super) failures: Failures,
    pub(super) accounts: Accounts,
    pub(super) turned_away: TurnedAway,
    pub(super) load: LoadLevel,
    pub(super) nonces: Nonces,
    pub(super) tx: Transactions<User>,
    pub(super) registrar: Registrar,
    pub(super) calls: Calls,
    pub(super) proxy: Proxy,
    pub(super) acd: Acd,
    pub(super) notifier: Notifier,
    pub(super) trunks: Trunks,
    pub(super) outbound: Outbound,
    pub(super) toggles: AllToggles,
    /// Legs whose gateway has said nothing yet.
    pub(super) silences: BTreeMap<Key<Leg>, TimerId>,
    /// Calls of which a branch waits for a trunk with room.
    pub(super) held: VecDeque<Key<Call>>,
    /// When it is looked for.
    pub(super) room: Option<TimerId>,
    pub(super) verified: Verified,
    pub(super) routings: BTreeMap<Key<Call>, Routing>,
    pub(super) offers: BTreeMap<OfferId, OfferState>,
    /// What became of the last request for a callback that no call made.
    pub(super) callback_answer: Option<(crate::acd::WorkItemId, crate::acd::CallbackAnswer)>,
    /// Parked calls by slot.
    pub(super) parked: BTreeMap<Arc<str>, Key<Call>>,
    pub(super) timers: TimerQueue<SwitchTimer>,
    pub(super) alive: Option<TimerId>,
    /// When opening hours of queues are looked at.
    pub(super) hours_due: Option<Instant>,
    pub(super) seq: u64,
    pub(super) state: State,
    pub(super) store_ok: bool,
    /// True while an input is handled, and after one that never came to its end.
    inside: bool,
    pub(super) started_at: WallTime,
    /// Calls that the journal opened and did not close, until `Ready`.
    pub(super) open_records: BTreeMap<crate::base::Ulid, CallRecord>,
    /// Work items that the journal restored, until `Ready`.
    pub(super) restored_items: Vec<crate::base::Ulid>,
    pub(super) last_alive: Option<WallTime>,
    // what the parts want done, worked off before `handle` returns
    pub(super) acts: VecDeque<Act<User>>,
    pub(super) outputs: VecDeque<CallOutput>,
    pub(super) orders: VecDeque<AcdCommand>,
    // reused buffers
    act_buffer: Vec<Act<User>>,
    output_buffer: Vec<CallOutput>,
    acd_buffer: Vec<AcdEffect>,
}

impl Switch {
    /// A switch for these settings. It takes calls after the journal has been given to it and [`Input::Ready`].
    pub fn new(now: Now, settings: Arc<Settings>, boot: Boot) -> Switch {
        let mut entropy = boot.entropy;
        let mut secret = [0u8; 32];
        entropy.fill(&mut secret);
        let mut token_secret = [0u8; 32];
        entropy.fill(&mut token_secret);
        let range = settings.server.rtp_ports;
        let ports = Ports::new(
            range.first..=range.last,
            crate::base::limits::PORT_QUARANTINE,
            entropy.fork(),
        );
        let network = super::faces::network(&settings, boot.primary);
        let mut switch = Switch {
            primary: boot.primary,
            guard: Guard::new(settings.guard.clone()),
            failures: Failures::default(),
            accounts: Accounts::default(),
            turned_away: TurnedAway::default(),
            load: LoadLevel::default(),
            nonces: Nonces::new(secret),
            proxy: Proxy::new(TokenKey::new(token_secret)),
            tx: Transactions::new(entropy.fork()),
            calls: Calls::new(network, ports, boot.media_workers, entropy.fork()),
            acd: Acd::new(entropy.fork()),
            registrar: Registrar::new(super::faces::policies(&settings), entropy.fork()),
            notifier: Notifier::new(entropy.fork()),
            trunks: Trunks::new(entropy.fork()),
            outbound: Outbound::default(),
            toggles: AllToggles::default(),
            silences: BTreeMap::new(),
            held: VecDeque::new(),
            room: None,
            verified: Verified::default(),
            routings: BTreeMap::new(),
            offers: BTreeMap::new(),
            callback_answer: None,
            parked: BTreeMap::new(),
            timers: TimerQueue::new(),
            alive: None,
            hours_due: None,
            seq: 0,
            state: State::Starting,
            store_ok: true,
            inside: false,
            started_at: now.wall,
            open_records: BTreeMap::new(),
            restored_items: Vec::new(),
            last_alive: None,
            acts: VecDeque::new(),
            outputs: VecDeque::new(),
            orders: VecDeque::new(),
            act_buffer: Vec::new(),
            output_buffer: Vec::new(),
            acd_buffer: Vec::new(),
            entropy,
            settings,
        };
        switch.outbound.configure(switch.settings.outbound.clone());
        switch
            .orders
            .push_back(AcdCommand::Configure(switch.settings.acd()));
        switch
    }

    /// Takes one input and does all that follows from it.
    pub fn handle(&mut self, now: Now, input: Input, fx: &mut Effects) {
        if std::mem::replace(&mut self.inside, true) {
            // the last one panicked: its effects were dropped, its records with them
            self.registrar.distrust_records();
        }
        self.take(now, input, fx);
        self.inside = false;
    }

    fn take(&mut self, now: Now, input: Input, fx: &mut Effects) {
        match input {
            Input::Received { flow, bytes } => self.on_bytes(now, flow, bytes, fx),
            Input::ConnectionClosed { connection } => {
                self.on_connection_closed(now, connection, fx)
            }
            Input::PeerVerified { connection, names } => self.verified.note(connection, names),
            Input::SendFailed { flow } => {
                let mut acts = std::mem::take(&mut self.act_buffer);
                self.tx.flow_failed(now, &flow, &mut acts);
                self.acts.extend(acts.drain(..));
                self.act_buffer = acts;
            }
            Input::Tick => self.on_tick(now, fx),
            Input::Media(event) => {
                self.with_calls(now, |calls, ctx| calls.on_media(ctx, event));
            }
            Input::Command { id, command } => {
                let reply = self.on_command(now, command, fx);
                self.work_off(now, fx);
                fx.push(Effect::Reply { id, reply });
            }
            Input::Settings(settings) => self.on_settings(now, settings, fx),
            Input::Resolved { query, places, ttl } => {
                self.on_resolved(now, query, places, ttl, fx);
            }
            Input::Restore(record) => {
                self.restore(now, *record);
                return;
            }
            Input::Ready => self.on_ready(now, fx),
            Input::StoreHealth { ok } => self.on_store_health(ok, fx),
            Input::Load { level } => self.on_load(level, fx),
        }
        self.work_off(now, fx);
    }

    /// When `handle(.., Input::Tick, ..)` is due at the latest.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        [
            self.tx.next_deadline(),
            self.registrar.next_deadline(),
            self.calls.next_deadline(),
            self.proxy.next_deadline(),
            self.acd.next_deadline(),
            self.notifier.next_deadline(),
            self.trunks.next_deadline(),
            self.timers.next_deadline(),
            self.hours_due,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is alive.
    pub fn residue(&self) -> Residue {
        let counts = self.tx.counts();
        Residue {
            calls: self.calls.len(),
            legs: self.calls.legs_len(),
            routings: self.routings.len(),
            transactions: counts.invite_servers
                + counts.non_invite_servers
                + counts.invite_clients
                + counts.non_invite_clients
                + self.proxy.len(),
            timers: counts.timers
                + self.calls.timers_len()
                + self.notifier.open_requests()
                + self.timers.len(),
            ports: self.calls.ports_in_use(),
            offers: self.offers.len(),
            work_items: self.acd.open_items(),
        }
    }

    /// Breaks a rule of the ACD on purpose, so that a simulation can prove that its checkers see it.
    #[doc(hidden)]
    pub fn break_rule(&mut self, rule: crate::acd::BrokenRule) {
        self.acd.break_rule(rule);
    }

    /// Works until no part wants anything any more. Transactions first: their messages are oldest.
    pub(super) fn work_off(&mut self, now: Now, fx: &mut Effects) {
        loop {
            if let Some(act) = self.acts.pop_front() {
                self.on_act(now, act, fx);
            } else if let Some(output) = self.outputs.pop_front() {
                self.on_call_output(now, output, fx);
            } else if self.report_live(now) {
                // before the orders of the same step
            } else if let Some(order) = self.orders.pop_front() {
                self.tell_acd(now, order, fx);
            } else if !self.notify_next(now, fx) {
                break;
            }
        }
        self.keep_alive(now);
    }

    /// Runs an operation of the call core and keeps what it wants done.
    pub(super) fn with_calls<R>(
        &mut self,
        now: Now,
        operation: impl FnOnce(&mut Calls, &mut Ctx<'_>) -> R,
    ) -> R {
        let mut acts = std::mem::take(&mut self.act_buffer);
        let mut out = std::mem::take(&mut self.output_buffer);
        let mut ctx = Ctx {
            now,
            tx: &mut self.tx,
            acts: &mut acts,
            out: &mut out,
        };
        let result = operation(&mut self.calls, &mut ctx);
        self.acts.extend(acts.drain(..));
        self.outputs.extend(out.drain(..));
        self.act_buffer = acts;
        self.output_buffer = out;
        result
    }

    /// Runs an operation of the transactions and keeps what it wants done.
    pub(super) fn with_tx<R>(
        &mut self,
        operation: impl FnOnce(&mut Transactions<User>, &mut Vec<Act<User>>) -> R,
    ) -> R {
        let mut acts = std::mem::take(&mut self.act_buffer);
        let result = operation(&mut self.tx, &mut acts);
        self.acts.extend(acts.drain(..));
        self.act_buffer = acts;
        result
    }

    fn tell_acd(&mut self, now: Now, order: AcdCommand, fx: &mut Effects) {
        let mut effects = std::mem::take(&mut self.acd_buffer);
        self.acd.handle(now, order, &mut effects);
        for effect in effects.drain(..) {
            self.on_acd_effect(now, effect, fx);
        }
        self.acd_buffer = effects;
    }

    pub(super) fn acd_on_time(&mut self, now: Now, fx: &mut Effects) {
        let mut effects = std::mem::take(&mut self.acd_buffer);
        self.acd.on_time(now, &mut effects);
        for effect in effects.drain(..) {
            self.on_acd_effect(now, effect, fx);
        }
        self.acd_buffer = effects;
    }

    /// Tells the ACD of extensions whose number of live calls changed; false when there are none.
    fn report_live(&mut self, now: Now) -> bool {
        let mut touched = self.calls.take_touched();
        for extension in &touched {
            self.calls_changed(now, extension);
        }
        // who watches an extension has seen the end of its call when our BYE left
        touched.extend(self.calls.take_parting_changed());
        if touched.is_empty() {
            return false;
        }
        for extension in touched {
            let (_, own) = self.calls.live_on(&extension);
            let own = own + self.calls.parting_on(&extension);
            let Some(before) = self.acd.other_calls(&extension) else {
                continue;
            };
            // what it was told of before and has not heard yet is not true any more
            self.orders.retain(
                |order| !matches!(order, AcdCommand::Live { agent, .. } if *agent == extension),
            );
            let calls = u32::try_from(own).unwrap_or(u32::MAX);
            let live = AcdCommand::Live {
                agent: extension,
                calls,
            };
            // an agent who has just called is not free for what the call asks for, and one whose call is over is free when
            // everything that was in it is over too
            if calls > before {
                self.orders.push_front(live);
            } else {
                self.orders.push_back(live);
            }
        }
        true
    }

    /// Publishes a fact under the next number.
    pub(super) fn publish(&mut self, now: Now, fact: Fact, fx: &mut Effects) {
        if self.state == State::Starting {
            return; // what is restored was published when it happened
        }
        self.seq += 1;
        fx.push(Effect::Event(Arc::new(Event {
            seq: self.seq,
            at: now.wall,
            fact,
        })));
    }

    /// Takes new settings; running calls, agents and bindings keep what they have.
    fn on_settings(&mut self, now: Now, settings: Arc<Settings>, fx: &mut Effects) {
        self.settings = settings;
        self.outbound.configure(self.settings.outbound.clone());
        self.calls
            .configure(super::faces::network(&self.settings, self.primary));
        self.orders
            .push_back(AcdCommand::Configure(self.settings.acd()));
        self.look_at_hours(now);
        self.configure_trunks(now, fx);
        self.configure_registrar(now, fx);
        self.revise_subscriptions(now, fx);
        self.work_off(now, fx);
        self.report_all_devices(now);
        self.publish(
            now,
            Fact::Server {
                what: "reloaded".into(),
            },
            fx,
        );
    }

    fn on_store_health(&mut self, ok: bool, fx: &mut Effects) {
        if self.store_ok == ok {
            return;
        }
        self.store_ok = ok;
        let (level, text) = if ok {
            (Level::Info, "the journal can be written again")
        } else {
            (
                Level::Error,
                "the journal cannot be written: new calls and registrations are refused with 503 until it can",
            )
        };
        fx.push(Effect::Log {
            level,
            text: text.to_owned(),
        });
    }

    /// Arms the sign of life while calls are up.
    fn keep_alive(&mut self, now: Now) {
        match (self.alive, self.calls.is_empty()) {
            (None, false) => {
                let at = now.mono + crate::base::Duration::from_secs(1);
                self.alive = Some(self.timers.set(at, SwitchTimer::Alive));
            }
            (Some(id), true) => {
                self.timers.cancel(id);
                self.alive = None;
            }
            (None, true) | (Some(_), false) => {}
        }
    }

    /// True when new calls and registrations may come in.
    pub(super) fn takes_calls(&self) -> bool {
        self.state == State::Ready && self.store_ok
    }

    pub(super) fn journal(fx: &mut Effects, record: Record) {
        fx.push(Effect::Journal(record));
    }
}
