//! The journal: an append-only file of frames, begun anew behind a snapshot when it has grown.
//!
//! ```text
//! DIR/lock                      held while a server uses the directory
//! DIR/snapshot-00000007.log     the whole state when segment 7 began, written aside and renamed when complete
//! DIR/journal-00000007.log      what happened since
//! DIR/journal-00000008.log      … a segment whose snapshot is not complete yet
//! DIR/damaged-…                 bytes that were no frames, kept for whoever looks into it
//! ```
//! A segment in use ends in room: zeros that are there already when frames are written over them (see [`sync`](super::sync)).
//!
//! Reading means: the newest snapshot, then every segment of its number or later. A crash at any point of a compaction leaves either
//! the old snapshot with all segments or the new one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{self, Piece, Pieces};
use super::sync::{LogFile, Syncer};

/// Bytes written to see whether a disk that refused takes data again.
const PROBE_BYTES: usize = 64 * 1024;
/// Room that a new segment begins with: made by whoever opens it, so little.
const ROOM_FIRST: u64 = 256 * 1024;
/// Room that is made at a time, on the other thread.
const ROOM_STEP: u64 = 1024 * 1024;
/// Room that is kept ahead of the last frame: some tenths of a second of the busiest journal, so that a slow fsync is over before it is used up.
const ROOM_AHEAD: u64 = 2 * 1024 * 1024;
/// Bytes of a segment from which a compaction is worth its cost, unless the snapshot itself is larger.
const COMPACT_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// When `append_batch` returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// When the kernel has the bytes: survives kill -9. The fsync follows within 100 ms.
    #[default]
    Written,
    /// When the medium has them: survives a power cut (`journal = "sync"`).
    Synced,
}

/// What was found when the journal was read.
#[derive(Default, Debug, PartialEq, Eq, Clone)]
pub struct Report {
    /// Valid records.
    pub records: u64,
    /// Bytes of a last frame that was cut short, and are gone from the file.
    pub torn_bytes: u64,
    /// Damaged places, one line each: which file, where, how long, and where the bytes were put aside.
    pub damage: Vec<String>,
}

/// Counters for /metrics.
#[derive(Default, Debug)]
pub struct JournalCounters {
    /// Bytes appended.
    pub bytes: AtomicU64,
    /// Records appended.
    pub records: AtomicU64,
    /// Batches appended.
    pub batches: AtomicU64,
    /// Time spent appending, in nanoseconds.
    pub append_nanos: AtomicU64,
    /// Batches that could not be appended.
    pub failures: AtomicU64,
    /// Compactions completed.
    pub compactions: AtomicU64,
}

/// An open journal. One owner; dropping it syncs and releases the directory.
pub struct Journal {
    dir: PathBuf,
    file: Arc<dyn LogFile>,
    segment: u64,
    /// Length of the current segment up to its last good frame.
    good: u64,
    /// Bytes after `good` could not be cut off yet.
    dirty_tail: bool,
    /// Up to where the segment has room; `good` or more, but less where there never was any.
    room: u64,
    /// More room is being made, from `room` on: nothing may be written there meanwhile.
    room_asked: bool,
    snapshot_bytes: u64,
    buffer: Vec<u8>,
    records: u64,
    durability: Durability,
    syncer: Syncer,
    last_write: u64,
    counters: Arc<JournalCounters>,
    _lock: File,
    #[cfg(test)]
    next_file: Option<Arc<dyn LogFile>>,
}

impl Journal {
    /// Opens the journal in `dir`, making it when there is none, and reads its records. Fails when another process holds it.
    pub fn open<R: DeserializeOwned>(
        dir: &Path,
        durability: Durability,
    ) -> io::Result<(Journal, Vec<R>, Report)> {
        fs::create_dir_all(dir)?;
        let lock = lock(dir)?;
        let (snapshots, segments) = tidy(dir)?;
        let base = snapshots.last().copied().unwrap_or(0);
        let mut records = Vec::new();
        let mut report = Report::default();
        let mut snapshot_bytes = 0;
        if base > 0 {
            let path = snapshot_path(dir, base);
            snapshot_bytes = fs::metadata(&path)?.len();
            read(dir, &path, &mut records, &mut report)?;
        }
        let mut segment = base.max(1);
        let mut good = 0;
        for number in segments.into_iter().filter(|&n| n >= base) {
            segment = number;
            good = read(dir, &segment_path(dir, number), &mut records, &mut report)?;
        }
        let file = open_segment(dir, segment)?;
        if file.metadata()?.len() != good {
            file.set_len(good)?;
        }
        file.sync_all()?;
        sync_dir(dir)?;
        let mut journal = Journal {
            dir: dir.to_owned(),
            file: Arc::new(file),
            segment,
            good,
            dirty_tail: false,
            room: good,
            room_asked: false,
            snapshot_bytes,
            buffer: Vec::with_capacity(64 * 1024),
            records: 0,
            durability,
            syncer: Syncer::start()?,
            last_write: 0,
            counters: Arc::default(),
            _lock: lock,
            #[cfg(test)]
            next_file: None,
        };
        journal.first_room();
        Ok((journal, records, report))
    }

    /// Makes the first room of a segment. Whether the disk has any is met again by whoever writes.
    fn first_room(&mut self) {
        let to = self.good + ROOM_FIRST;
        if self.file.make_room(self.good, to).is_ok() {
            self.room = to;
        }
    }

    /// Makes sure that nobody else writes before `end`, and that there will be room for what comes next.
    fn claim(&mut self, end: u64) {
        if self.room_asked
            && let Some(room) = self.syncer.room_made()
        {
            self.room = room;
            self.room_asked = false;
        }
        if end > self.room {
            self.settle_room();
            self.room = self.room.max(end);
        }
        if !self.room_asked && self.room - end < ROOM_AHEAD {
            self.syncer
                .make_room(&self.file, self.room, self.room + ROOM_STEP);
            self.room_asked = true;
        }
    }

    /// Waits until nobody makes room any more.
    fn settle_room(&mut self) {
        if self.room_asked {
            self.room = self.syncer.wait_room();
            self.room_asked = false;
        }
    }

    /// Counters of this journal.
    pub fn counters(&self) -> Arc<JournalCounters> {
        self.counters.clone()
    }

    /// Adds a record to the batch that [`Journal::commit`] writes; gives its JSON, for whoever wants the same text elsewhere.
    pub fn push<T: Serialize + ?Sized>(&mut self, record: &T) -> io::Result<&[u8]> {
        let json = frame::encode(&mut self.buffer, record)?;
        self.records += 1;
        Ok(json)
    }

    /// Writes the records pushed since the last call, with one `write`. On failure none of them is in the journal: the file is cut
    /// back to the last good frame, and the next call may succeed.
    pub fn commit(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let result = self.write_buffer();
        match &result {
            Ok(()) => {
                let add = |counter: &AtomicU64, n| counter.fetch_add(n, Ordering::Relaxed);
                add(&self.counters.bytes, self.buffer.len() as u64);
                add(&self.counters.records, self.records);
                add(&self.counters.batches, 1);
                let nanos = started.elapsed().as_nanos();
                add(
                    &self.counters.append_nanos,
                    u64::try_from(nanos).unwrap_or(u64::MAX),
                );
            }
            Err(_) => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.buffer.clear();
        self.buffer.shrink_to(1024 * 1024);
        self.records = 0;
        result
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        if let Some(why) = self.syncer.failure() {
            return Err(io::Error::other(format!("an earlier fsync failed: {why}")));
        }
        self.cut_tail()?;
        self.claim(self.good + self.buffer.len() as u64);
        if let Err(error) = self.file.write_at(self.good, &self.buffer) {
            self.dirty_tail = true;
            // When the cut fails too, the next call tries again before it writes.
            let _ = self.cut_tail();
            return Err(error);
        }
        if self.durability == Durability::Synced
            && let Err(error) = self.file.sync()
        {
            self.dirty_tail = true;
            let _ = self.cut_tail();
            return Err(error);
        }
        self.good += self.buffer.len() as u64;
        if self.durability == Durability::Written {
            self.last_write = self.syncer.written(&self.file);
        }
        Ok(())
    }

    fn cut_tail(&mut self) -> io::Result<()> {
        if self.dirty_tail {
            self.cut_room()?;
            self.dirty_tail = false;
        }
        Ok(())
    }

    /// Cuts the segment behind its last good frame.
    fn cut_room(&mut self) -> io::Result<()> {
        self.settle_room();
        self.file.truncate(self.good)?;
        self.room = self.good;
        Ok(())
    }

    /// [`Journal::push`] for each and [`Journal::commit`].
    pub fn append_batch<T: Serialize>(&mut self, records: &[T]) -> io::Result<()> {
        for record in records {
            self.push(record)?;
        }
        self.commit()
    }

    /// Waits until everything committed so far is on the medium, at most `patience`; true when it is.
    pub fn wait_synced(&self, patience: Duration) -> bool {
        self.durability == Durability::Synced || self.syncer.wait(self.last_write, patience)
    }

    /// Sees whether a disk that refused takes data again. True: appends will work.
    /// When [`Journal::needs_rewrite`] is true they will only after [`Journal::rewrite`].
    pub fn probe(&mut self) -> bool {
        let attempt = |journal: &mut Journal| -> io::Result<()> {
            journal.cut_tail()?;
            journal.dirty_tail = true;
            journal.settle_room();
            journal.file.write_at(journal.good, &[0; PROBE_BYTES])?;
            journal.file.sync()?;
            journal.cut_tail()
        };
        let ok = attempt(self).is_ok();
        let _ = self.cut_tail();
        ok && !self.dirty_tail
    }

    /// True when an fsync failed, so that the state must be written anew before the journal can be trusted.
    pub fn needs_rewrite(&self) -> bool {
        self.syncer.failure().is_some()
    }

    /// True when the current segment has outgrown the snapshot, so that a compaction pays.
    pub fn wants_compaction(&self) -> bool {
        self.good > COMPACT_BYTES_MIN.max(self.snapshot_bytes)
    }

    /// Begins a new segment. The caller takes a snapshot of the state as of now and lets [`Compaction::write`] finish the work, on
    /// any thread; until then the old files stay.
    pub fn rotate(&mut self) -> io::Result<Compaction> {
        self.commit()?;
        self.cut_tail()?;
        self.cut_room()?;
        let number = self.segment + 1;
        let file = open_segment(&self.dir, number)?;
        file.set_len(0)?;
        sync_dir(&self.dir)?;
        self.file = Arc::new(file);
        #[cfg(test)]
        if let Some(file) = self.next_file.take() {
            self.file = file;
        }
        self.segment = number;
        self.good = 0;
        self.room = 0;
        self.first_room();
        Ok(Compaction {
            dir: self.dir.clone(),
            number,
            counters: self.counters.clone(),
        })
    }

    /// Rotates and writes the snapshot on this thread; afterwards `records` are the whole journal, on the medium.
    pub fn rewrite<T: Serialize>(
        &mut self,
        records: impl IntoIterator<Item = T>,
    ) -> io::Result<()> {
        let failed = self.needs_rewrite();
        if failed {
            // What waits in the buffer is part of the state that the caller hands in.
            self.buffer.clear();
            self.records = 0;
        }
        let compaction = self.rotate()?;
        self.snapshot_bytes = compaction.write(records)?;
        if failed {
            self.syncer.forgive();
        }
        Ok(())
    }

    /// The compaction that was handed out is complete, with a snapshot of `bytes`.
    pub fn compacted(&mut self, bytes: u64) {
        self.snapshot_bytes = bytes;
    }

    /// Makes the journal write to `file` from now on.
    #[cfg(test)]
    pub(crate) fn put_file(&mut self, file: Arc<dyn LogFile>) {
        self.cut_room().expect("no room left behind");
        self.file = file;
    }

    /// Makes the journal write to `file` from the next segment on.
    #[cfg(test)]
    pub(crate) fn put_next_file(&mut self, file: Arc<dyn LogFile>) {
        self.next_file = Some(file);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Room that stays is read over: this only saves its bytes.
        let _ = self.cut_room();
    }
}

/// The second half of a compaction: writes the snapshot, then removes what it replaces.
pub struct Compaction {
    dir: PathBuf,
    number: u64,
    counters: Arc<JournalCounters>,
}

impl Compaction {
    /// Writes `records` aside, syncs, renames, syncs the directory, and removes older files. Gives the snapshot's size in bytes.
    pub fn write<T: Serialize>(self, records: impl IntoIterator<Item = T>) -> io::Result<u64> {
        let aside = self.dir.join(format!("snapshot-{:08}.new", self.number));
        let mut file = File::create(&aside)?;
        let mut buffer = Vec::with_capacity(1024 * 1024);
        let mut length = 0u64;
        for record in records {
            frame::encode(&mut buffer, &record)?;
            if buffer.len() > 960 * 1024 {
                file.write_all(&buffer)?;
                length += buffer.len() as u64;
                buffer.clear();
            }
        }
        file.write_all(&buffer)?;
        length += buffer.len() as u64;
        file.sync_all()?;
        fs::rename(&aside, snapshot_path(&self.dir, self.number))?;
        sync_dir(&self.dir)?;
        // From here the snapshot counts; a failed removal is made up for when the journal is next opened.
        let _ = tidy(&self.dir);
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        Ok(length)
    }
}

fn lock(dir: &Path) -> io::Result<File> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)?;
    match file.try_lock() {
        Ok(()) => {
            let _ = file.set_len(0);
            let _ = writeln!(&file, "{}", std::process::id());
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let owner = fs::read_to_string(&path).unwrap_or_default();
            Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!(
                    "another server (process {}) uses {}; stop it, or give this one its own `data-dir`",
                    owner.trim(),
                    dir.display()
                ),
            ))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes half-written snapshots and everything that a complete one replaced; gives the numbers that remain, in order.
fn tidy(dir: &Path) -> io::Result<(Vec<u64>, Vec<u64>)> {
    let (mut snapshots, mut segments) = (Vec::new(), Vec::new());
    let mut aside = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let number = |prefix: &str| {
            let digits = name.strip_prefix(prefix)?.strip_suffix(".log")?;
            digits.parse::<u64>().ok()
        };
        if let Some(number) = number("snapshot-") {
            snapshots.push(number);
        } else if let Some(number) = number("journal-") {
            segments.push(number);
        } else if name.starts_with("snapshot-") && name.ends_with(".new") {
            aside.push((name.to_owned(), path));
        }
    }
    snapshots.sort_unstable();
    segments.sort_unstable();
    let base = snapshots.last().copied().unwrap_or(0);
    for (name, path) in aside {
        // One of a later number than the newest snapshot may be under way on another thread.
        let number = name.get(9..17).and_then(|n| n.parse::<u64>().ok());
        if number.is_none_or(|n| n <= base) {
            fs::remove_file(path)?;
        }
    }
    for &old in snapshots.iter().filter(|&&n| n < base) {
        fs::remove_file(snapshot_path(dir, old))?;
    }
    for &old in segments.iter().filter(|&&n| n < base) {
        fs::remove_file(segment_path(dir, old))?;
    }
    snapshots.retain(|&n| n == base);
    segments.retain(|&n| n >= base);
    Ok((snapshots, segments))
}

fn snapshot_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("snapshot-{number:08}.log"))
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("journal-{number:08}.log"))
}

fn open_segment(dir: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(segment_path(dir, number))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Reads one file into `records`; gives the length up to which it is good. Damage is copied aside.
fn read<R: DeserializeOwned>(
    dir: &Path,
    path: &Path,
    records: &mut Vec<R>,
    report: &mut Report,
) -> io::Result<u64> {
    let bytes = fs::read(path)?;
    let mut good = 0;
    for piece in Pieces::of(&bytes) {
        match piece {
            Piece::Frame { offset, payload } => {
                match serde_json::from_slice(payload) {
                    Ok(record) => {
                        records.push(record);
                        report.records += 1;
                    }
                    Err(error) => set_aside(
                        dir,
                        path,
                        offset,
                        payload,
                        &format!("not a record of this version ({error})"),
                        report,
                    )?,
                }
                good = (offset + frame::HEADER_BYTES + payload.len()) as u64;
            }
            Piece::Corrupt { offset, bytes } => {
                set_aside(dir, path, offset, bytes, "checksum wrong", report)?;
            }
            Piece::Torn { bytes, .. } => {
                report.torn_bytes += frame::without_room(bytes).len() as u64;
            }
        }
    }
    Ok(good)
}

fn set_aside(
    dir: &Path,
    path: &Path,
    offset: usize,
    bytes: &[u8],
    what: &str,
    report: &mut Report,
) -> io::Result<()> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let aside = dir.join(format!("damaged-{name}-{offset}.bin"));
    fs::write(&aside, bytes)?;
    report.damage.push(format!(
        "{}: {} bytes at offset {offset}: {what}; put aside as {}",
        path.display(),
        bytes.len(),
        aside.display()
    ));
    Ok(())
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
