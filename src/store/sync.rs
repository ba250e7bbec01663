//! The thread that makes written bytes durable: an fsync at most 20 ms after the first unsynced write. It also makes room ahead.
//!
//! Room is what a segment has beyond its last frame: bytes of zero that are on the disk already. To write into them changes neither the
//! file's length nor where its blocks are, so an fsync has only the frames to carry, and no `write` waits for the file system's own book-keeping:
//! the slowest of a hundred took 10 µs instead of 4 ms with an fsync every 10 ms beside it (ext4, November 2026).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long writes gather before one fsync takes them all; with the fsync itself it stays under 20 ms on a healthy disk.
const GATHER: Duration = Duration::from_millis(15);
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
    stop: bool,
    /// Room that is wanted or being made: the file, and from where to where.
    room: Option<(Arc<dyn LogFile>, u64, u64)>,
    /// How the last wish for room ended: up to where there is some.
    made: Option<u64>,
}

struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
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
            changed: Condvar::new(),
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
        }
        self.shared.changed.notify_all();
        pending.written
    }

    /// Asks for room in `file`. Nobody else may write there until [`Syncer::room_made`] or [`Syncer::wait_room`] said how it went.
    pub fn make_room(&self, file: &Arc<dyn LogFile>, from: u64, to: u64) {
        let mut pending = self.shared.pending.lock();
        pending.room = Some((file.clone(), from, to));
        pending.made = None;
        self.shared.changed.notify_all();
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
            self.shared.changed.wait(&mut pending);
        }
    }

    /// Waits until write `number` is on the medium, at most `patience`.
    pub fn wait(&self, number: u64, patience: Duration) -> bool {
        let mut pending = self.shared.pending.lock();
        while pending.synced < number && pending.failed.is_none() {
            if self
                .shared
                .changed
                .wait_for(&mut pending, patience)
                .timed_out()
            {
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
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let mut pending = shared.pending.lock();
    loop {
        while pending.files.is_empty() && pending.room.is_none() && !pending.stop {
            shared.changed.wait(&mut pending);
        }
        if let Some((file, from, to)) = pending.room.take() {
            drop(pending);
            let made = file.make_room(from, to);
            pending = shared.pending.lock();
            // A disk without room is met again by whoever writes, who can say what it means.
            pending.made = Some(if made.is_ok() { to } else { from });
            shared.changed.notify_all();
        }
        if pending.files.is_empty() {
            if pending.stop {
                return;
            }
            continue;
        }
        if !pending.stop {
            // Let more writes gather. Wake-ups by those writes do not shorten it; a stop at worst waits these 10 ms.
            drop(pending);
            std::thread::sleep(GATHER);
            pending = shared.pending.lock();
        }
        let files = std::mem::take(&mut pending.files);
        let upto = pending.written;
        drop(pending);
        let result: io::Result<()> = files.iter().try_for_each(|file| file.sync());
        pending = shared.pending.lock();
        match result {
            Ok(()) => pending.synced = pending.synced.max(upto),
            Err(error) => pending.failed = Some(error.to_string()),
        }
        shared.changed.notify_all();
    }
}
