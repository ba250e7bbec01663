//! `strowger run`: from a configuration directory to a serving process, and back down again.

use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, oneshot};

use super::batch::raise_file_limit;
use super::clock::Clock;
use super::connection::Limits;
use super::handle::{Handle, Parts, Replies};
use super::hep::Hep;
use super::inbox::{Letter, inbox};
use super::media::{PromptStore, Workers};
use super::metrics::Metrics;
use super::outlet::Outlet;
use super::reload::{addresses, udp_addresses};
use super::resolve::NameService;
use super::shard::{Core, End, Shard};
use super::tcp::Streams;
use super::trace::Trace;
use super::traffic::Traffic;
use super::udp::{UdpPort, UdpPorts};
use super::witness::Witness;
use super::world::Outside;
use super::{data_dir, entropy, logging, rows};
use crate::base::map::seed_hashing;
use crate::base::{Entropy, Now, WallTime};
use crate::config::{self, JournalMode, ListenAddress, Settings};
use crate::store::{Durability, Journal, Sqlite};
use crate::switch::{Boot, Command, Effects, Input, Record, Switch};

/// Events that a slow subscriber may lag behind before it must read the rest from the tables.
const EVENTS_IN_FLIGHT: usize = 4096;
/// Between two looks whether a drain is over.
const DRAIN_LOOK: Duration = Duration::from_millis(200);

/// How long calls that are ended at the stop may take for the last counts of their audio.
const CALLS_PATIENCE: Duration = Duration::from_secs(3);
/// How long streams may take at the end to write what they have.
const STREAMS_PATIENCE: Duration = Duration::from_millis(500);

/// Starts the API on the running server: binds, spawns, and gives the address. Called on the runtime.
pub type StartApi =
    Box<dyn FnOnce(Handle) -> Pin<Box<dyn Future<Output = io::Result<SocketAddr>> + Send>> + Send>;

/// Why the server did not start.
#[derive(Debug)]
struct Fault {
    what: String,
    code: u8,
}

impl Fault {
    /// The operator can do something about it: exit code 1.
    fn operator(what: impl Into<String>) -> Self {
        Fault {
            what: what.into(),
            code: 1,
        }
    }

    /// The machine or the program is at fault: exit code 70.
    fn internal(what: &str, error: impl fmt::Display) -> Self {
        Fault {
            what: format!("{what}: {error}"),
            code: 70,
        }
    }
}

/// Serves the configuration in `dir` until told to stop. Gives the process's exit code: 0; 1 when the configuration is wrong or
/// something that it names cannot be had; 70 for an internal fault.
pub fn serve(dir: &Path, start_api: Option<StartApi>) -> u8 {
    let colour = io::IsTerminal::is_terminal(&io::stderr());
    let settings = match config::load(dir) {
        Ok(mut settings) => {
            settings.look_at_dates(WallTime::from_timestamp(jiff::Timestamp::now()));
            settings
        }
        Err(problems) => {
            for problem in &problems {
                eprintln!("{}", problem.render(colour));
            }
            return 1;
        }
    };
    for warning in &settings.warnings {
        eprintln!("{}", warning.render(colour));
    }
    logging::start(&settings.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("tokio")
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = start(Arc::new(settings), &runtime, start_api)
                .and_then(|server| server.until_the_end(&runtime));
            runtime.shutdown_timeout(Duration::from_secs(1));
            result
        }
        Err(error) => Err(Fault::internal("the runtime cannot be started", error)),
    };
    match result {
        Ok(()) => 0,
        Err(fault) => {
            eprintln!("strowger: {}", fault.what);
            fault.code
        }
    }
}

/// A serving process.
struct Server {
    handle: Handle,
    streams: Streams,
    sqlite: Arc<Sqlite>,
    /// Tells how the shard ended, when it does.
    ended: oneshot::Receiver<End>,
    drain_timeout: Duration,
}

fn start(
    settings: Arc<Settings>,
    runtime: &tokio::runtime::Runtime,
    start_api: Option<StartApi>,
) -> Result<Server, Fault> {
    let draw = |error| Fault::internal("no entropy from the operating system", error);
    let mut entropy = entropy::seeded().map_err(draw)?;
    seed_hashing(entropy.u64());
    match raise_file_limit() {
        Ok(limit) if limit < 8192 => tracing::warn!(
            "only {limit} files may be open: enough for about {} calls; raise LimitNOFILE or ulimit -n",
            limit / 5
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
    let dir = settings.directory_path.join(&settings.server.data_dir);
    let unusable = |error| {
        let what = format!(
            "the data directory {} cannot be used: {error}",
            dir.display()
        );
        Fault::operator(what)
    };
    data_dir::make(&dir).map_err(unusable)?;
    let dir = dir.canonicalize().map_err(unusable)?;
    let (journal, records) = open_journal(&settings, &dir)?;
    let (token, new) = data_dir::admin_token(&dir, &mut entropy).map_err(unusable)?;
    let sqlite = open_sqlite(&settings)?;

    let metrics = Arc::new(Metrics::default());
    let (post, letters) = inbox().map_err(|e| Fault::internal("eventfd", e))?;
    let streams = Streams::new(
        runtime.handle().clone(),
        post.clone(),
        metrics.clone(),
        Limits::default(),
    );
    let (ports, mut lines) = listen(&settings, &streams)?;

    let prompts = Arc::new(PromptStore::new(Some(
        settings.directory_path.join("prompts"),
    )));
    let events_in = post.clone();
    let workers = Workers::start(worker_count(&settings), prompts.clone(), move |event| {
        events_in.input(Input::Media(event));
    })
    .map_err(|e| Fault::internal("the media workers cannot be started", e))?;
    let names = NameService::start(
        runtime.handle().clone(),
        post.clone(),
        metrics.clone(),
        &settings.server.name_servers,
    );

    let clock = Clock::start();
    let core = make_switch(clock, &settings, &workers, entropy);
    let core = restore(core, clock, records, &sqlite);
    let replies = Arc::new(Replies::default());
    let (events, _) = broadcast::channel(EVENTS_IN_FLIGHT);
    let world = Outside {
        streams: streams.clone(),
        workers,
        names,
        replies: replies.clone(),
    };
    let journal_counters = journal.counters();
    let traffic = Arc::new(Traffic::default());
    let ladder_memory = settings.log.ladder_memory;
    let trace = (ladder_memory > 0).then(|| Arc::new(Trace::new(ladder_memory)));
    let hep = match &settings.hep {
        Some(hep) => Some(Hep::start(hep, metrics.clone()).map_err(|error| {
            Fault::operator(format!("no copies can be sent to {}: {error}", hep.server))
        })?),
        None => None,
    };
    let outlet = Outlet::new(
        journal,
        sqlite.clone(),
        events.clone(),
        world,
        metrics.clone(),
    )
    .seen_by(Witness {
        traffic: Some(traffic.clone()),
        trace: trace.clone(),
        hep,
    });
    let shard = Shard::new(
        core,
        clock,
        outlet,
        ports,
        (post.clone(), letters),
        dir.clone(),
    )
    .map_err(|e| Fault::internal("the shard cannot be made", e))?;
    let (says, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("shard-0".into())
        .spawn(move || {
            let run = std::panic::AssertUnwindSafe(|| shard.run());
            let end = std::panic::catch_unwind(run).unwrap_or(End::Faulty);
            let _ = says.send(end);
        })
        .map_err(|e| Fault::internal("the shard's thread cannot be started", e))?;

    let drain_timeout = settings.server.drain_timeout;
    let handle = Handle {
        parts: Arc::new(Parts {
            inbox: post,
            replies,
            events,
            sqlite: sqlite.clone(),
            journal: journal_counters,
            metrics,
            traffic,
            trace,
            settings: Mutex::new(settings.clone()),
            streams: streams.clone(),
            prompts: prompts.clone(),
            admin_token: token.into(),
            reloading: tokio::sync::Mutex::new(()),
        }),
    };
    runtime.spawn(super::expiry::watch(handle.clone()));
    if let Some(start_api) = start_api {
        let address = runtime
            .block_on(start_api(handle.clone()))
            .map_err(|error| {
                let listen = settings.http.listen;
                Fault::operator(format!("cannot listen at http://{listen}: {error}"))
            })?;
        lines.push(format!("listening http://{address}"));
    }
    if new {
        let path = dir.join(data_dir::TOKEN_FILE);
        lines.push(format!("wrote a token for the API to {}", path.display()));
    }
    let Some(status) = runtime.block_on(handle.status()) else {
        return Err(Fault::internal("the switch", "it does not answer"));
    };
    lines.push(format!(
        "ready: {} registrations restored",
        status.registrations
    ));
    let mut out = io::stdout().lock();
    for line in lines {
        // A closed standard output is no reason to stop serving.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
    Ok(Server {
        handle,
        streams,
        sqlite,
        ended,
        drain_timeout,
    })
}

fn open_journal(settings: &Settings, dir: &Path) -> Result<(Journal, Vec<Record>), Fault> {
    let durability = match settings.store.journal {
        JournalMode::Written => Durability::Written,
        JournalMode::Sync => Durability::Synced,
    };
    let (journal, records, report) = Journal::open(&dir.join("journal"), durability)
        .map_err(|error| Fault::operator(format!("the journal cannot be opened: {error}")))?;
    if report.torn_bytes > 0 {
        tracing::warn!(
            bytes = report.torn_bytes,
            "the journal's last record was cut short; no answer relied on it"
        );
    }
    for damage in &report.damage {
        tracing::error!("the journal is damaged: {damage}");
    }
    tracing::info!(records = report.records, "journal read");
    Ok((journal, records))
}

fn open_sqlite(settings: &Settings) -> Result<Arc<Sqlite>, Fault> {
    let path = settings.directory_path.join(&settings.store.sqlite);
    let refused = |error: &dyn fmt::Display| {
        Fault::operator(format!(
            "the database {} cannot be opened: {error}",
            path.display()
        ))
    };
    if let Some(parent) = path.parent() {
        data_dir::make(parent).map_err(|error| refused(&error))?;
    }
    let (sqlite, notice) =
        Sqlite::open_with(&path, super::batch::give_way).map_err(|error| refused(&error))?;
    if let Some(notice) = notice {
        tracing::error!("{notice}");
    }
    Ok(Arc::new(sqlite))
}

/// Opens all addresses of all profiles; every one that cannot be had is named, not only the first.
fn listen(settings: &Settings, streams: &Streams) -> Result<(UdpPorts, Vec<String>), Fault> {
    let mut ports = UdpPorts::default();
    let (mut lines, mut refused) = (Vec::new(), Vec::new());
    let name = |id: crate::transport::ProfileId| {
        let profile = settings.profiles.get(usize::from(id.0));
        profile.map(|p| p.name.to_string()).unwrap_or_default()
    };
    for (address, id) in udp_addresses(settings) {
        match UdpPort::bind(id, address) {
            Ok(port) => {
                lines.push(format!(
                    "listening udp:{} (profile {})",
                    port.socket.local(),
                    name(id)
                ));
                ports.list.push(port);
            }
            Err(error) => refused.push(format!("cannot listen at udp:{address}: {error}")),
        }
    }
    streams.configure(settings).map_err(Fault::operator)?;
    for (listen, id) in addresses(settings, true) {
        match streams.listen(id, listen) {
            Ok(address) => {
                let bound = ListenAddress { address, ..listen };
                lines.push(format!("listening {bound} (profile {})", name(id)));
            }
            Err(error) => refused.push(format!("cannot listen at {listen}: {error}")),
        }
    }
    if refused.is_empty() {
        Ok((ports, lines))
    } else {
        Err(Fault::operator(refused.join("\nstrowger: ")))
    }
}

/// Half the cores, at least one, unless the configuration says otherwise.
fn worker_count(settings: &Settings) -> usize {
    match settings.media.workers {
        Some(count) => usize::from(count.max(1)),
        None => std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).max(1)),
    }
}

/// Gives the journal's records to the core, and those that have rows to the database once more: it may have lagged.
fn restore<C: Core>(mut core: C, clock: Clock, records: Vec<Record>, sqlite: &Sqlite) -> C {
    let now = clock.now();
    let mut fx = Effects::new();
    for record in records {
        if let Some(row) = rows::of_record(&record, None) {
            sqlite.write(row);
        }
        core.handle(now, Input::Restore(Box::new(record)), &mut fx);
    }
    debug_assert!(fx.list.is_empty(), "restoring has no effects before Ready");
    core
}

impl Server {
    /// Waits for signals and drains, and brings everything down in order.
    fn until_the_end(mut self, runtime: &tokio::runtime::Runtime) -> Result<(), Fault> {
        let end = runtime.block_on(self.wait());
        let end = match end {
            Ok(Some(end)) => end,
            Ok(None) => {
                runtime.block_on(self.end_calls());
                self.handle.parts.inbox.post(Letter::Stop);
                runtime.block_on(async { (&mut self.ended).await.unwrap_or(End::Faulty) })
            }
            Err(error) => return Err(Fault::internal("signals cannot be watched", error)),
        };
        runtime.block_on(self.streams.close_all(STREAMS_PATIENCE));
        self.sqlite.close();
        match end {
            End::Stopped => Ok(()),
            End::Faulty => Err(Fault::internal("internal fault", "see the log")),
        }
    }

    /// Ends the calls that are left, so that no phone goes on talking to nobody and every record has its true end.
    async fn end_calls(&self) {
        let until = Instant::now() + CALLS_PATIENCE;
        let _ = self.handle.call(Command::EndCalls).await;
        while Instant::now() < until {
            match self.handle.status().await {
                Some(status) if status.calls > 0 => {}
                _ => return,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Serves until the shard ends by itself (`Some`) or the operator wants an end (`None`).
    async fn wait(&mut self) -> io::Result<Option<End>> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                end = &mut self.ended => return Ok(Some(end.unwrap_or(End::Faulty))),
                _ = hangup.recv() => self.reload().await,
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        self.drain(&mut hangup, &mut terminate, &mut interrupt)
            .await
    }

    async fn reload(&self) {
        match self.handle.reload().await {
            Ok(report) => {
                for warning in &report.warnings {
                    eprintln!("{}", warning.render(false));
                }
                for change in &report.changes {
                    tracing::info!("{change}");
                }
                tracing::info!(opened = ?report.opened, closed = ?report.closed, "configuration read again");
            }
            Err(problems) => {
                for problem in &problems {
                    eprintln!("{}", problem.render(false));
                }
                tracing::error!("the configuration is wrong; nothing was changed");
            }
        }
    }

    /// Refuses new calls, and ends when none is left, when `drain-timeout` is over, or at the next signal.
    async fn drain(
        &mut self,
        hangup: &mut Signal,
        terminate: &mut Signal,
        interrupt: &mut Signal,
    ) -> io::Result<Option<End>> {
        let _ = self.handle.call(Command::Drain).await;
        let began = Instant::now();
        let mut told = false;
        loop {
            let status = self.handle.status().await;
            let (calls, unregistering) =
                status.map_or((0, false), |status| (status.calls, status.unregistering));
            // a registrar that does not answer is given up by the trunk itself
            if calls == 0 && !unregistering {
                tracing::info!("no calls left; stopping");
                return Ok(None);
            }
            if began.elapsed() >= self.drain_timeout {
                tracing::warn!(calls, "drain-timeout is over; stopping");
                return Ok(None);
            }
            if !told && calls > 0 {
                tracing::info!(
                    calls,
                    "draining: new calls are refused; a second signal stops at once"
                );
                told = true;
            }
            tokio::select! {
                end = &mut self.ended => return Ok(Some(end.unwrap_or(End::Faulty))),
                () = tokio::time::sleep(DRAIN_LOOK) => {}
                _ = hangup.recv() => {}
                _ = terminate.recv() => return Ok(None),
                _ = interrupt.recv() => return Ok(None),
            }
        }
    }
}

fn make_switch(
    clock: Clock,
    settings: &Arc<Settings>,
    workers: &Workers,
    entropy: Entropy,
) -> Switch {
    let boot = Boot {
        entropy,
        primary: primary_address(),
        media_workers: workers.count(),
    };
    let mut switch = Switch::new(clock.now(), settings.clone(), boot);
    let data_dir = settings.directory_path.join(&settings.server.data_dir);
    switch.load_numbers(super::numbers::load(&data_dir));
    switch
}

/// The address that a packet to the rest of the world would leave from: asked of the kernel's routes, without sending anything.
/// On a machine without such a route, loopback.
fn primary_address() -> IpAddr {
    // RFC 5737 and RFC 3849: addresses for documentation, which no route singles out.
    let ask = |from: &str, to: &str| -> io::Result<IpAddr> {
        let socket = UdpSocket::bind(from)?;
        socket.connect(to)?;
        Ok(socket.local_addr()?.ip())
    };
    ask("0.0.0.0:0", "192.0.2.1:9")
        .or_else(|_| ask("[::]:0", "[2001:db8::1]:9"))
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

impl Core for Switch {
    fn handle(&mut self, now: Now, input: Input, fx: &mut Effects) {
        Switch::handle(self, now, input, fx);
    }
    fn next_deadline(&mut self) -> Option<crate::base::Instant> {
        Switch::next_deadline(self)
    }
    fn snapshot(&mut self, now: Now) -> Vec<Record> {
        Switch::snapshot(self, now)
    }
}
