//! The thread that makes written bytes durable: an fsync at most 100 ms after the first unsynced write, at once when somebody waits for it.
//! It also makes room ahead.
//!
//! Room is what a segment has beyond its last frame: bytes of zero that are on the disk already. To write into them changes neither the
//! file's length nor where its blocks are, so an fsync has only the frames to carry, and no `write` waits for the file system's own book-keeping:
//! the slowest of a hundred took 10 µs instead of 4 ms with an fsync every 10 ms beside it (ext4, November 2026).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// How long writes gather before one fsync takes them all; with the fsync itself it stays under 100 ms on a healthy disk. Each costs some
/// 130 µs of processor time, however little there is to write.
const GATHER: Duration = Duration::from_millis(90);
/// Zeros are written by this many bytes: the size of a page, because the kernel walks all of a larger unit at each write into it.
const PAGE_BYTES: usize = 4096;

/// A file that the journal appends to. Tests put a disk in its place that is full or broken.
pub trait LogFile: Send + Sync {
    /// Writes all of `bytes` from `offset` on, or fails, having written some of them.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes zeros from `from` to `to`, or fails, having written some of them.
    fn make_room(&self, from: u64, to: u64) -> io::Result<()>;
    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Waits until everything written is on the medium.
    fn sync(&self) -> io::Result<()>;
}

impl LogFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }
    fn make_room(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = [0; PAGE_BYTES];
        let mut at = from;
        while at < to {
            // the first piece ends where a page does
            let left_of_page = PAGE_BYTES as u64 - at % PAGE_BYTES as u64;
            let length = left_of_page.min(to - at);
            let zeros = zeros.get(..length as usize).unwrap_or(&zeros);
            self.write_all_at(zeros, at)?;
            at += length;
        }
        Ok(())
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[derive(Default)]
struct Pending {
    /// Files with unsynced bytes, and the number of the last write among them.
    files: Vec<Arc<dyn LogFile>>,
    written: u64,
    synced: u64,
    failed: Option<String>,
    /// Somebody waits for the medium.
    hurry: bool,
    stop: bool,
    /// Room that is wanted or being made: the file, and from where to where.
    room: Option<(Arc<dyn LogFile>, u64, u64)>,
    /// How the last wish for room ended: up to where there is some.
    made: Option<u64>,
}

struct Shared {
    pending: Mutex<Pending>,
    /// For the thread: there is something to do.
    work: Condvar,
    /// For those who wait for the thread.
    done: Condvar,
}

/// Owns the thread; dropping it syncs what is left and ends the thread.
pub struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("journal-sync".into())
            .spawn(move || run(&theirs))?;
        Ok(Syncer {
            shared,
            thread: Some(thread),
        })
    }

    /// Says that `file` has new bytes; gives the number of this write.
    pub fn written(&self, file: &Arc<dyn LogFile>) -> u64 {
        let mut pending = self.shared.pending.lock();
        pending.written += 1;
        if !pending.files.iter().any(|f| Arc::ptr_eq(f, file)) {
            pending.files.push(file.clone());
            // later writes are taken along without a wake-up
            if pending.files.len() == 1 {
                self.shared.work.notify_one();
            }
        }
        pending.written
    }

    /// Asks for room in `file`. Nobody else may write there until [`Syncer::room_made`] or [`Syncer::wait_room`] said how it went.
    pub fn make_room(&self, file: &Arc<dyn LogFile>, from: u64, to: u64) {
        let mut pending = self.shared.pending.lock();
        pending.room = Some((file.clone(), from, to));
        pending.made = None;
        self.shared.work.notify_one();
    }

    /// Up to where there is room since the last wish; `None` while it is being made.
    pub fn room_made(&self) -> Option<u64> {
        self.shared.pending.lock().made.take()
    }

    /// Waits for the wish that is under way.
    pub fn wait_room(&self) -> u64 {
        let mut pending = self.shared.pending.lock();
        loop {
            if let Some(made) = pending.made.take() {
                return made;
            }
            self.shared.done.wait(&mut pending);
        }
    }

    /// Waits until write `number` is on the medium, at most `patience`.
    pub fn wait(&self, number: u64, patience: Duration) -> bool {
        let mut pending = self.shared.pending.lock();
        let until = Instant::now() + patience;
        while pending.synced < number && pending.failed.is_none() {
            pending.hurry = true;
            self.shared.work.notify_one();
            if self.shared.done.wait_until(&mut pending, until).timed_out() {
                break;
            }
        }
        pending.synced >= number
    }

    /// Why an fsync failed. After that nobody knows which bytes are on the medium, so only a rewrite helps.
    pub fn failure(&self) -> Option<String> {
        self.shared.pending.lock().failed.clone()
    }

    /// The state was written anew.
    pub fn forgive(&self) {
        let mut pending = self.shared.pending.lock();
        pending.failed = None;
        pending.files.clear();
        pending.synced = pending.written;
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.pending.lock().stop = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let mut pending = shared.pending.lock();
    // when the files that gather are synced
    let mut due = None;
    loop {
        if let Some((file, from, to)) = pending.room.take() {
            let made = MutexGuard::unlocked(&mut pending, || file.make_room(from, to));
            // A disk without room is met again by whoever writes, who can say what it means.
            pending.made = Some(if made.is_ok() { to } else { from });
            shared.done.notify_all();
            continue;
        }
        if pending.files.is_empty() {
            if pending.stop {
                return;
            }
            pending.hurry = false;
            due = None;
            shared.work.wait(&mut pending);
            continue;
        }
        let due_at = *due.get_or_insert_with(|| Instant::now() + GATHER);
        if !pending.hurry && !pending.stop && Instant::now() < due_at {
            shared.work.wait_until(&mut pending, due_at);
            continue;
        }
        due = None;
        pending.hurry = false;
        let files = std::mem::take(&mut pending.files);
        let upto = pending.written;
        let result: io::Result<()> = MutexGuard::unlocked(&mut pending, || {
            files.iter().try_for_each(|file| file.sync())
        });
        match result {
            Ok(()) => pending.synced = pending.synced.max(upto),
            Err(error) => pending.failed = Some(error.to_string()),
        }
        shared.done.notify_all();
    }
}
