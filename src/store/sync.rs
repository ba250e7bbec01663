//! The thread that makes written bytes durable: an fsync at most 20 ms after the first unsynced write.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long writes gather before one fsync takes them all; with the fsync itself it stays under 20 ms on a healthy disk.
const GATHER: Duration = Duration::from_millis(10);

/// A file that the journal appends to. Tests put a disk in its place that is full or broken.
pub trait LogFile: Send + Sync {
    /// Writes all of `bytes` at the end, or fails, having written some of them.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Waits until everything written is on the medium.
    fn sync(&self) -> io::Result<()>;
}

impl LogFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
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
        while pending.files.is_empty() && !pending.stop {
            shared.changed.wait(&mut pending);
        }
        if pending.files.is_empty() {
            return;
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
