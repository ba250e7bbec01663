//! The signalling shard: one thread that owns a switch, its UDP ports and its journal.
//!
//! ```text
//! sleep until a datagram, a letter or a deadline
//!   -> one batch of datagrams per port, the letters that wait, a tick if due: each is one input to the core
//!   -> all effects of the batch together: datagrams that come before the first record, journal, the rest of the wire, the rest
//! ```
//! A panic of the core costs the input at which it happened: its effects are dropped, the last inputs are written to the data
//! directory, and the shard goes on. Three in a minute end it, so that a supervisor starts from the journal.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::batch::{BATCH, Poller, Received, Receiver};
use super::clock::Clock;
use super::inbox::{Inbox, Letter, Letters};
use super::load::LoadGauge;
use super::metrics::count;
use super::outlet::{Outlet, World};
use super::recent::Recent;
use super::udp::UdpPorts;
use crate::base::{Instant, Now};
use crate::switch::{Effects, Input, Record};

/// Letters taken in one batch, so that datagrams are not starved.
const LETTERS_PER_BATCH: usize = 256;
/// Deadlines are met on this grid of the clock, up to that much late: the shortest timer of SIP is 100 ms, and most only forget a
/// transaction that is over. Without it each of thousands a second would wake the thread for itself.
const TIMER_GRID: Duration = Duration::from_millis(5);
/// Panics within [`PANIC_WINDOW`] that end the process.
const PANICS_MAX: usize = 3;
/// Over which panics are counted.
const PANIC_WINDOW: Duration = Duration::from_secs(60);
/// Poller token of the inbox; ports count from zero.
const BELL: u64 = u64::MAX;

/// What a shard runs: the switch, or a stand-in in tests.
pub trait Core: Send {
    /// Takes one input and adds its effects to `fx`.
    fn handle(&mut self, now: Now, input: Input, fx: &mut Effects);
    /// When a `Tick` is due.
    fn next_deadline(&mut self) -> Option<Instant>;
    /// The whole state as records: restoring them makes the same core.
    fn snapshot(&mut self, now: Now) -> Vec<Record>;
}

/// How a shard ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// It could not go on: exit code 70.
    Faulty,
}

/// A shard before and while it runs.
pub struct Shard<C, W> {
    core: C,
    clock: Clock,
    outlet: Outlet<W>,
    ports: UdpPorts,
    letters: Letters,
    inbox: Inbox,
    data_dir: PathBuf,
    poller: Poller,
    next_token: u64,
    receiver: Receiver,
    scratch: Vec<Received>,
    effects: Effects,
    ends: Vec<usize>,
    again: VecDeque<Input>,
    recent: Recent,
    load: LoadGauge,
    /// Messages of this turn: read, and turned away by the guard.
    read: usize,
    turned_away: usize,
    panics: VecDeque<Instant>,
    compacting: bool,
    stopping: bool,
    faulty: bool,
}

impl<C: Core, W: World> Shard<C, W> {
    /// A shard around `core`, into which the journal has been restored but which has not seen `Ready` yet.
    pub fn new(
        core: C,
        clock: Clock,
        outlet: Outlet<W>,
        ports: UdpPorts,
        (inbox, letters): (Inbox, Letters),
        data_dir: PathBuf,
    ) -> std::io::Result<Self> {
        let poller = Poller::new(64)?;
        poller.add(letters.bell(), BELL)?;
        let mut shard = Shard {
            core,
            clock,
            outlet,
            ports: UdpPorts::default(),
            letters,
            inbox,
            data_dir,
            poller,
            next_token: 0,
            receiver: Receiver::new(),
            scratch: Vec::new(),
            effects: Effects::new(),
            ends: Vec::new(),
            again: VecDeque::new(),
            recent: Recent::default(),
            load: LoadGauge::default(),
            read: 0,
            turned_away: 0,
            panics: VecDeque::new(),
            compacting: false,
            stopping: false,
            faulty: false,
        };
        for port in ports.list {
            shard.add_port(port)?;
        }
        Ok(shard)
    }

    fn add_port(&mut self, mut port: super::udp::UdpPort) -> std::io::Result<()> {
        port.token = self.next_token;
        self.next_token += 1;
        self.poller.add(&port.socket, port.token)?;
        self.ports.list.push(port);
        Ok(())
    }

    /// Writes the restored state as a snapshot, says `Ready` to the core, and serves until told to stop.
    pub fn run(mut self) -> End {
        // Before `Ready`, so that what `Ready` journals follows the snapshot in the new segment.
        self.compact();
        let now = self.clock.now();
        self.step(now, Input::Ready);
        self.flush(now);
        let mut ready = Vec::new();
        while !self.faulty {
            ready.clear();
            if let Err(error) = self.sleep(&mut ready) {
                tracing::error!(%error, "epoll failed");
                self.faulty = true;
                break;
            }
            self.turn(&ready);
            if self.stopping && self.letters_are_done() {
                return End::Stopped;
            }
        }
        End::Faulty
    }

    fn letters_are_done(&self) -> bool {
        self.inbox.waiting() == 0 && self.again.is_empty()
    }

    fn sleep(&mut self, ready: &mut Vec<u64>) -> std::io::Result<()> {
        let deadline = self.next_deadline().map(|due| due.on_grid(TIMER_GRID));
        let others = [self.outlet.retry_at(), self.load.looks_again()];
        let until = others.into_iter().chain([deadline]).flatten().min();
        let now = self.clock.now();
        let mut timeout = until.map(|until| until.since(now.mono));
        if !self.again.is_empty() || self.stopping || !self.letters.may_sleep() {
            timeout = Some(Duration::ZERO);
        }
        let result = self.poller.wait(timeout, ready);
        self.letters.awake(ready.contains(&BELL));
        result
    }

    /// One batch.
    fn turn(&mut self, ready: &[u64]) {
        let now = self.clock.now();
        for input in std::mem::take(&mut self.again) {
            self.step(now, input);
        }
        (self.read, self.turned_away) = (0, 0);
        let mut full = self.read_ports(now, ready);
        let mut letters = 0;
        while letters < LETTERS_PER_BATCH
            && let Some(letter) = self.letters.take()
        {
            letters += 1;
            self.open_letter(now, letter);
        }
        full |= letters == LETTERS_PER_BATCH;
        if self.next_deadline().is_some_and(|due| due <= now.mono) {
            self.step(now, Input::Tick);
        }
        if self.outlet.retry_at().is_some_and(|due| due <= now.mono) {
            self.retry_journal(now);
        }
        let inputs = self.ends.len() as u64;
        self.flush(now);
        if inputs > 0 {
            let ended = self.clock.now().mono;
            self.gauge(now, ended, full);
            let metrics = self.outlet.metrics();
            count(&metrics.batches);
            metrics.inputs.fetch_add(inputs, Ordering::Relaxed);
            let busy = ended - now.mono;
            let nanos = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
            metrics.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
        } else if self.load.looks_again().is_some() {
            self.gauge(now, now.mono, false);
        }
        if self
            .outlet
            .journal()
            .is_some_and(|journal| journal.wants_compaction())
        {
            self.compact();
        }
    }

    /// Tells the core when the shard began to lag, or keeps up again. Flushes what follows from it with the next batch.
    fn gauge(&mut self, now: Now, ended: Instant, full: bool) {
        let flood = self.turned_away * 2 > self.read;
        if let Some(level) = self.load.turn(now.mono, ended, full && !flood) {
            self.again.push_back(Input::Load { level });
        }
    }

    /// Reads one batch of each port that is ready; true when there may be more.
    fn read_ports(&mut self, now: Now, ready: &[u64]) -> bool {
        let mut full = false;
        let metrics = self.outlet.metrics().clone();
        for &token in ready {
            let Some(index) = self.ports.list.iter().position(|p| p.token == token) else {
                continue;
            };
            let mut inputs = Vec::new();
            let port = &mut self.ports.list[index];
            let result = port.receive(
                &mut self.receiver,
                &mut self.scratch,
                &metrics,
                |flow, bytes| inputs.push(Input::Received { flow, bytes }),
            );
            match result {
                Ok(read) => full |= read >= BATCH,
                Err(error) => {
                    tracing::warn!(%error, local = %port.socket.local(), "receiving failed");
                }
            }
            for input in inputs {
                self.step(now, input);
            }
        }
        full
    }

    fn open_letter(&mut self, now: Now, letter: Letter) {
        match letter {
            Letter::Input(input) => self.step(now, *input),
            Letter::Ports { profiles, new } => {
                let poller = &self.poller;
                self.ports.list.retain_mut(|port| {
                    match profiles.iter().find(|(a, _)| *a == port.configured) {
                        Some((_, profile)) => {
                            port.profile = *profile;
                            true
                        }
                        None => {
                            let _ = poller.remove(&port.socket);
                            false
                        }
                    }
                });
                for port in new {
                    if let Err(error) = self.add_port(port) {
                        tracing::error!(%error, "a new port cannot be watched");
                    }
                }
            }
            Letter::Compacted(bytes) => {
                self.compacting = false;
                if let (Some(bytes), Some(journal)) = (bytes, self.outlet.journal()) {
                    journal.compacted(bytes);
                }
            }
            Letter::Stop => self.stopping = true,
        }
    }

    /// Gives one input to the core; after a panic its effects are as if it had not come.
    fn step(&mut self, now: Now, input: Input) {
        self.recent.note(now, &input);
        let before = self.effects.list.len();
        self.effects.turned_away = false;
        let (core, effects) = (&mut self.core, &mut self.effects);
        let result = catch_unwind(AssertUnwindSafe(|| core.handle(now, input, effects)));
        if let Err(panic) = result {
            self.effects.list.truncate(before);
            self.fell(now, &*panic);
        }
        if let Some(input) = self.recent.last() {
            let turned_away = self.effects.turned_away;
            self.read += usize::from(matches!(input, Input::Received { .. }));
            self.turned_away += usize::from(turned_away);
            self.outlet.witness().came(now, input, turned_away);
        }
        self.ends.push(self.effects.list.len());
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let core = &mut self.core;
        match catch_unwind(AssertUnwindSafe(|| core.next_deadline())) {
            Ok(deadline) => deadline,
            Err(panic) => {
                let now = self.clock.now();
                self.fell(now, &*panic);
                None
            }
        }
    }

    fn fell(&mut self, now: Now, panic: &(dyn std::any::Any + Send)) {
        let what = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".into());
        count(&self.outlet.metrics().panics);
        match self.recent.dump(&self.data_dir, &what) {
            Ok(path) => {
                tracing::error!(%what, inputs = ?path, "internal fault: one input was dropped")
            }
            Err(error) => {
                tracing::error!(%what, %error, "internal fault; the inputs cannot be written")
            }
        }
        self.panics.push_back(now.mono);
        while self
            .panics
            .front()
            .is_some_and(|&at| now.mono - at > PANIC_WINDOW)
        {
            self.panics.pop_front();
        }
        if self.panics.len() >= PANICS_MAX {
            tracing::error!("{PANICS_MAX} internal faults within a minute: ending");
            self.faulty = true;
        }
    }

    fn flush(&mut self, now: Now) {
        self.outlet.apply(
            now,
            &mut self.effects.list,
            &self.ends,
            &mut self.ports,
            &mut self.again,
        );
        self.ends.clear();
    }

    fn retry_journal(&mut self, now: Now) {
        // What the inputs of this batch want journaled is kept with the rest first.
        self.flush(now);
        let core = &mut self.core;
        if self.outlet.retry(now, || core.snapshot(now)) {
            self.step(now, Input::StoreHealth { ok: true });
        }
    }

    /// Begins a new segment and lets another thread write the snapshot, once the database has what the old segments hold.
    fn compact(&mut self) {
        if self.compacting {
            return;
        }
        let now = self.clock.now();
        let Some(journal) = self.outlet.journal() else {
            return;
        };
        let compaction = match journal.rotate() {
            Ok(compaction) => compaction,
            Err(error) => {
                tracing::warn!(%error, "the journal cannot begin a new segment");
                return;
            }
        };
        let records = self.core.snapshot(now);
        let (sqlite, inbox) = (self.outlet.sqlite().clone(), self.inbox.clone());
        let work = move || {
            super::batch::give_way();
            let bytes = if sqlite.wait_written(Duration::from_secs(3600)) {
                compaction
                    .write(records)
                    .inspect_err(|error| tracing::warn!(%error, "the journal was not compacted"))
                    .ok()
            } else {
                tracing::warn!("the journal was not compacted: the database lags");
                None
            };
            inbox.post(Letter::Compacted(bytes));
        };
        let thread = std::thread::Builder::new().name("compaction".into());
        self.compacting = thread.spawn(work).is_ok();
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
