//! SQLite: events and call records as tables for people's questions, written by one thread behind a queue.
//!
//! Every write is idempotent by its key, so the journal may be applied again after a crash. The writer retries for ever when the
//! disk refuses (once a second); what waits is counted and nothing is dropped. A database that is damaged is put aside and a
//! new one begun: the state of the switch is in the journal, not here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Statement, Transaction, params,
};

use crate::base::WallTime;

/// Rows in one transaction at most.
const ROWS_PER_TRANSACTION: usize = 2_000;
/// How long rows gather before one transaction takes them. A transaction costs some 100 µs, each page of a table that it touches is
/// written once, and a wake-up of the writer costs 10 µs for whoever hands the first row over (measured November 2026); questions that
/// must see everything do not wait for it.
const GATHER: Duration = Duration::from_millis(500);
/// How long the writer waits before it tries a refused transaction again.
const RETRY: Duration = Duration::from_secs(1);
/// Events kept; pages of older ones are removed. A subscriber that was away for longer starts from the present state instead (guess).
pub const EVENTS_KEPT: u64 = 2_000_000;
/// Events in one row at most, so that reading a few does not read many.
const EVENTS_PER_PAGE: usize = 256;
/// Inserted events between two looks for old ones.
const PRUNE_EVERY: u64 = 20_000;

/// The schema, one entry per version; an entry is never changed once released.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE events (
        seq   INTEGER PRIMARY KEY,
        at    INTEGER NOT NULL,           -- microseconds since 1970, UTC
        kind  TEXT NOT NULL,
        json  TEXT NOT NULL
    );
    CREATE TABLE call_records (
        id          TEXT PRIMARY KEY,     -- ULID: sorts by the time of birth
        started_at  INTEGER NOT NULL,
        ended_at    INTEGER,
        direction   TEXT NOT NULL,
        from_number TEXT NOT NULL,
        to_number   TEXT NOT NULL,
        outcome     TEXT NOT NULL,
        agent       TEXT,
        duration_ms INTEGER NOT NULL,
        json        TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX call_records_agent ON call_records (agent, id) WHERE agent IS NOT NULL;
    CREATE TABLE legs (
        id          TEXT PRIMARY KEY,
        call        TEXT NOT NULL,
        role        TEXT NOT NULL,
        number      TEXT NOT NULL,
        trunk       TEXT,
        started_at  INTEGER NOT NULL,
        answered_at INTEGER,
        ended_at    INTEGER NOT NULL,
        status      INTEGER NOT NULL,
        sip_call_id TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX legs_call ON legs (call);
    CREATE INDEX legs_sip_call_id ON legs (sip_call_id);
",
    // Events in pages, because a row of its own for each cost more than everything else; a call's legs stand in the JSON of its record.
    "
    CREATE TABLE event_pages (
        first  INTEGER PRIMARY KEY,       -- number of its first event
        last   INTEGER NOT NULL,          -- and of its last
        events TEXT NOT NULL              -- one JSON object a line, in order
    );
    INSERT INTO event_pages (first, last, events) SELECT seq, seq, json FROM events ORDER BY seq;
    DROP TABLE events;
    DROP TABLE legs;
",
];

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventRow {
    /// Its place in the order of all events; the key.
    pub seq: u64,
    /// The event as published, one line of JSON that has its `seq` too.
    pub json: String,
}

/// One call record as a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallRow {
    /// The call's id; the key.
    pub id: String,
    /// When the first INVITE came.
    pub started_at: WallTime,
    /// When the last leg was over; absent while it is not.
    pub ended_at: Option<WallTime>,
    /// `inbound`, `outbound`, `internal`.
    pub direction: String,
    /// Who called.
    pub from_number: String,
    /// Whom the caller asked for.
    pub to_number: String,
    /// How it ended.
    pub outcome: String,
    /// The agent who was bridged.
    pub agent: Option<String>,
    /// From answer to end, in milliseconds.
    pub duration_ms: i64,
    /// The whole record, with its legs.
    pub json: String,
}

/// One thing to write.
#[derive(Clone, Debug)]
pub enum Row {
    /// Kept once by `seq`; a second one with the same number is ignored.
    Event(EventRow),
    /// Replaces an earlier state of the same record.
    Call(Box<CallRow>),
}

enum Job {
    Row(Row),
    /// Calls back when everything before it is committed.
    Barrier(Box<dyn FnOnce() + Send>),
}

/// Counters for /metrics.
#[derive(Default, Debug)]
pub struct SqliteCounters {
    /// Rows handed over and not yet committed.
    pub backlog: AtomicU64,
    /// Rows committed.
    pub written: AtomicU64,
    /// Transactions that failed and were tried again.
    pub retries: AtomicU64,
    /// Rows that the database refused for their content.
    pub refused: AtomicU64,
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite refused.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    /// The operator went back to an older program.
    #[error(
        "the database has schema version {found}, this program knows {known}: it was written by a newer version"
    )]
    Newer {
        /// Version in the file.
        found: usize,
        /// Newest version that this program makes.
        known: usize,
    },
    /// The writer could not be started.
    #[error("the writer's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The database: a queue to its writer, and a connection for questions.
pub struct Sqlite {
    queue: Mutex<Option<Sender<Job>>>,
    reader: Mutex<Connection>,
    counters: Arc<SqliteCounters>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sqlite {
    /// [`Sqlite::open_with`] and a writer as any other thread.
    pub fn open(path: &Path) -> Result<(Self, Option<String>), OpenError> {
        Self::open_with(path, || {})
    }

    /// Opens or makes the database at `path` and starts the writer, whose thread begins with `begin`. A damaged file is put aside; the
    /// second value says so.
    pub fn open_with(
        path: &Path,
        begin: impl FnOnce() + Send + 'static,
    ) -> Result<(Self, Option<String>), OpenError> {
        let (connection, notice) = match open_checked(path) {
            Ok(connection) => (connection, None),
            Err(OpenError::Sql(error)) if is_damage(&error) => {
                let aside = put_aside(path);
                let notice = format!(
                    "{} is damaged ({error}); put aside as {}, a new one is begun",
                    path.display(),
                    aside.display()
                );
                (open_checked(path)?, Some(notice))
            }
            Err(error) => return Err(error),
        };
        let reader = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        reader.busy_timeout(Duration::from_secs(5))?;
        let counters = Arc::new(SqliteCounters::default());
        let (queue, jobs) = channel();
        let theirs = counters.clone();
        let thread = std::thread::Builder::new()
            .name("sqlite".into())
            .spawn(move || {
                begin();
                write_loop(connection, &jobs, &theirs);
            })?;
        let sqlite = Sqlite {
            queue: Mutex::new(Some(queue)),
            reader: Mutex::new(reader),
            counters,
            thread: Mutex::new(Some(thread)),
        };
        Ok((sqlite, notice))
    }

    /// Hands a row to the writer. Never blocks.
    pub fn write(&self, row: Row) {
        self.counters.backlog.fetch_add(1, Ordering::Relaxed);
        self.queue(Job::Row(row));
    }

    /// Calls `done` when every row written before is committed. On shutdown before that, `done` is dropped uncalled.
    pub fn after_written(&self, done: impl FnOnce() + Send + 'static) {
        self.queue(Job::Barrier(Box::new(done)));
        self.hurry();
    }

    /// Ends the gathering.
    fn hurry(&self) {
        if let Some(thread) = self.thread.lock().as_ref() {
            thread.thread().unpark();
        }
    }

    /// Waits until every row written before is committed, at most `patience`; true when it is.
    pub fn wait_written(&self, patience: Duration) -> bool {
        let (done, wait) = channel();
        self.after_written(move || {
            let _ = done.send(());
        });
        wait.recv_timeout(patience).is_ok()
    }

    fn queue(&self, job: Job) {
        if let Some(queue) = self.queue.lock().as_ref() {
            // The writer outlives the queue, so this cannot fail.
            let _ = queue.send(job);
        }
    }

    /// Counters of this database.
    pub fn counters(&self) -> Arc<SqliteCounters> {
        self.counters.clone()
    }

    /// Events after `seq`, oldest first, at most `limit`, as `(seq, json)`.
    pub fn events_after(&self, seq: u64, limit: usize) -> rusqlite::Result<Vec<(u64, String)>> {
        let reader = self.reader.lock();
        let mut query = reader.prepare_cached(
            "SELECT events FROM event_pages
             WHERE first >= coalesce((SELECT max(first) FROM event_pages WHERE first <= ?1), 0) ORDER BY first",
        )?;
        let mut pages = query.query([signed(seq.saturating_add(1))])?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(page) = pages.next()?
        {
            let events = page.get_ref(0)?.as_str()?;
            let events = events
                .lines()
                .filter_map(|line| Some((seq_of(line)?, line)));
            let wanted = events.filter(|(number, _)| *number > seq);
            let room = limit - found.len();
            found.extend(
                wanted
                    .take(room)
                    .map(|(number, line)| (number, line.to_owned())),
            );
        }
        Ok(found)
    }

    /// The oldest and the newest event number that is kept; `None` when there is none.
    pub fn event_range(&self) -> rusqlite::Result<Option<(u64, u64)>> {
        let reader = self.reader.lock();
        reader.query_row("SELECT min(first), max(last) FROM event_pages", [], |row| {
            let (first, last): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(first.zip(last).map(|(a, b)| (unsigned(a), unsigned(b))))
        })
    }

    /// Call records, newest first, older than the record `before` and not older than `since` (ids; `None` begins at the newest, and ends at
    /// the oldest), at most `limit`, as JSON.
    pub fn calls_before(
        &self,
        before: Option<&str>,
        since: Option<&str>,
        limit: usize,
    ) -> rusqlite::Result<Vec<(String, String)>> {
        let reader = self.reader.lock();
        let mut query = reader.prepare_cached(
            "SELECT id, json FROM call_records WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR id >= ?2) ORDER BY id DESC LIMIT ?3",
        )?;
        let rows = query.query_map(params![before, since, signed(limit as u64)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.collect()
    }

    /// One call record as JSON.
    pub fn call(&self, id: &str) -> rusqlite::Result<Option<String>> {
        let reader = self.reader.lock();
        reader
            .query_row("SELECT json FROM call_records WHERE id = ?1", [id], |row| {
                row.get(0)
            })
            .optional()
    }

    /// Writes what waits and ends the writer.
    pub fn close(&self) {
        self.queue.lock().take();
        self.hurry();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

/// The number of an event, by its JSON.
fn seq_of(json: &str) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Numbered {
        seq: u64,
    }
    serde_json::from_str::<Numbered>(json)
        .ok()
        .map(|numbered| numbered.seq)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn open_checked(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // The journal is what survives a power cut; the tables follow it.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Brings the schema to the newest version; each version is one transaction, noted in the table `migrations`.
fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    )?;
    let done: usize = connection.query_row(
        "SELECT coalesce(max(version), 0) FROM migrations",
        [],
        |row| {
            row.get::<_, i64>(0)
                .map(|v| usize::try_from(v).unwrap_or(0))
        },
    )?;
    if done > MIGRATIONS.len() {
        return Err(OpenError::Newer {
            found: done,
            known: MIGRATIONS.len(),
        });
    }
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO migrations (version) VALUES (?1)",
            [index as i64 + 1],
        )?;
        transaction.commit()?;
    }
    Ok(())
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn put_aside(path: &Path) -> PathBuf {
    let mut number = 1;
    let aside = loop {
        let candidate = path.with_extension(format!("damaged-{number}"));
        if !candidate.exists() {
            break candidate;
        }
        number += 1;
    };
    let _ = std::fs::rename(path, &aside);
    for ending in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        let _ = std::fs::remove_file(PathBuf::from(beside));
    }
    aside
}

fn write_loop(mut connection: Connection, jobs: &Receiver<Job>, counters: &SqliteCounters) {
    let mut batch: Vec<Row> = Vec::new();
    let mut barriers: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    let mut since_prune = 0;
    let mut open = true;
    while open {
        match jobs.recv() {
            Ok(job) => take(job, &mut batch, &mut barriers),
            Err(_) => return,
        }
        let waiting = counters.backlog.load(Ordering::Relaxed);
        if barriers.is_empty() && waiting < ROWS_PER_TRANSACTION as u64 {
            std::thread::park_timeout(GATHER);
        }
        while batch.len() < ROWS_PER_TRANSACTION {
            match jobs.try_recv() {
                Ok(job) => take(job, &mut batch, &mut barriers),
                Err(_) => break,
            }
        }
        while let Err(error) = write_all(&mut connection, &batch) {
            if is_refusal(&error) {
                write_one_by_one(&mut connection, &batch, counters);
                break;
            }
            counters.retries.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, waiting = batch.len(), "the database cannot be written; trying again");
            open = wait_for_retry(jobs, &mut batch, &mut barriers);
            if !open {
                break;
            }
        }
        if !open {
            return;
        }
        let count = batch.len() as u64;
        counters.backlog.fetch_sub(count, Ordering::Relaxed);
        counters.written.fetch_add(count, Ordering::Relaxed);
        batch.clear();
        for done in barriers.drain(..) {
            done();
        }
        since_prune += count;
        if since_prune >= PRUNE_EVERY {
            since_prune = 0;
            if let Err(error) = prune(&connection, EVENTS_KEPT) {
                tracing::warn!(%error, "old events could not be removed");
            }
        }
    }
}

fn take(job: Job, batch: &mut Vec<Row>, barriers: &mut Vec<Box<dyn FnOnce() + Send>>) {
    match job {
        Job::Row(row) => batch.push(row),
        Job::Barrier(done) => barriers.push(done),
    }
}

/// Waits [`RETRY`] and takes what comes meanwhile. False when the process stops: a disk that stays full must not keep it, since
/// the journal has everything.
fn wait_for_retry(
    jobs: &Receiver<Job>,
    batch: &mut Vec<Row>,
    barriers: &mut Vec<Box<dyn FnOnce() + Send>>,
) -> bool {
    let until = Instant::now() + RETRY;
    loop {
        match jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(job) => take(job, batch, barriers),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// True when the fault is in a row, not in the disk.
fn is_refusal(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
    )
}

fn write_one_by_one(connection: &mut Connection, batch: &[Row], counters: &SqliteCounters) {
    for row in batch {
        if let Err(error) = write_all(connection, std::slice::from_ref(row)) {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "the database refuses a row; the journal has it");
        }
    }
}

fn write_all(connection: &mut Connection, batch: &[Row]) -> rusqlite::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    {
        // Looked up once for all rows: the key of the cache is the text of the statement.
        let mut calls = transaction.prepare_cached(INSERT_CALL)?;
        let mut events = Vec::new();
        for row in batch {
            match row {
                Row::Event(event) => events.push(event),
                Row::Call(call) => write_call(&mut calls, call)?,
            }
        }
        write_events(&transaction, events)?;
    }
    transaction.commit()
}

const INSERT_PAGE: &str = "INSERT INTO event_pages (first, last, events) VALUES (?1, ?2, ?3)";

const LAST_EVENT: &str = "SELECT last FROM event_pages ORDER BY first DESC LIMIT 1";

/// A record without an end never replaces one that has it: an old `open` may come again when the journal is applied again.
const INSERT_CALL: &str =
    "INSERT INTO call_records (id, started_at, ended_at, direction, from_number, to_number, outcome, agent, duration_ms, json)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
     ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at, ended_at = excluded.ended_at,
         direction = excluded.direction, from_number = excluded.from_number, to_number = excluded.to_number,
         outcome = excluded.outcome, agent = excluded.agent, duration_ms = excluded.duration_ms, json = excluded.json
     WHERE excluded.ended_at IS NOT NULL OR call_records.ended_at IS NULL";

/// Writes events in pages. Those up to the last one that is there are there: the journal may come again.
fn write_events(transaction: &Transaction<'_>, mut events: Vec<&EventRow>) -> rusqlite::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let last = transaction
        .prepare_cached(LAST_EVENT)?
        .query_row([], |row| row.get(0).map(unsigned))
        .optional()?;
    events.sort_by_key(|event| event.seq);
    events.dedup_by_key(|event| event.seq);
    events.retain(|event| last.is_none_or(|last| event.seq > last));
    let mut insert = transaction.prepare_cached(INSERT_PAGE)?;
    for page in events.chunks(EVENTS_PER_PAGE) {
        let (Some(first), Some(last)) = (page.first(), page.last()) else {
            continue;
        };
        let length = page.iter().map(|event| event.json.len() + 1).sum();
        let mut text = String::with_capacity(length);
        for event in page {
            text.push_str(&event.json);
            text.push('\n');
        }
        insert.execute(params![signed(first.seq), signed(last.seq), text])?;
    }
    Ok(())
}

fn write_call(insert: &mut Statement<'_>, call: &CallRow) -> rusqlite::Result<()> {
    insert.execute(params![
        call.id,
        call.started_at.as_micros(),
        call.ended_at.map(WallTime::as_micros),
        call.direction,
        call.from_number,
        call.to_number,
        call.outcome,
        call.agent,
        call.duration_ms,
        call.json
    ])?;
    Ok(())
}

fn prune(connection: &Connection, keep: u64) -> rusqlite::Result<usize> {
    connection.execute(
        "DELETE FROM event_pages WHERE last <= (SELECT max(last) FROM event_pages) - ?1",
        [signed(keep)],
    )
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
