//! Tests of the journal: cuts at every offset, flipped bits, full and broken disks, crashes inside a compaction.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::*;

fn open(dir: &Path) -> (Journal, Vec<String>, Report) {
    Journal::open(dir, Durability::Written).expect("opens")
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|w| (*w).to_string()).collect()
}

/// A disk with room for so many bytes, or whose fsync fails.
struct BadDisk {
    file: File,
    room: AtomicUsize,
    sync_fails: AtomicBool,
    syncs: AtomicUsize,
    truncate_fails: AtomicBool,
}

impl BadDisk {
    fn of(dir: &Path, room: usize) -> Arc<Self> {
        Arc::new(BadDisk {
            file: open_segment(dir, 1).expect("segment"),
            room: AtomicUsize::new(room),
            sync_fails: AtomicBool::new(false),
            syncs: AtomicUsize::new(0),
            truncate_fails: AtomicBool::new(false),
        })
    }
}

impl LogFile for BadDisk {
    fn make_room(&self, _from: u64, _to: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let room = self.room.load(Ordering::Relaxed);
        let fits = bytes.len().min(room);
        self.file.write_at(offset, &bytes[..fits])?;
        self.room.store(room - fits, Ordering::Relaxed);
        if fits < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        if self.truncate_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("read-only"));
        }
        let freed = self.file.metadata()?.len().saturating_sub(length);
        self.room.fetch_add(freed as usize, Ordering::Relaxed);
        self.file.set_len(length)
    }
    fn sync(&self) -> io::Result<()> {
        if self.sync_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("I/O error"));
        }
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync()
    }
}

#[test]
fn records_come_back_in_order_after_reopening() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut journal, restored, report) = open(dir.path());
    assert!(restored.is_empty() && report == Report::default());
    journal.append_batch(&words(&["a", "b"])).expect("appends");
    journal.append_batch(&words(&["c"])).expect("appends");
    assert!(journal.wait_synced(Duration::from_secs(10)));
    drop(journal);
    let (mut journal, restored, _) = open(dir.path());
    assert_eq!(restored, ["a", "b", "c"]);
    journal.append_batch(&words(&["d"])).expect("appends");
    drop(journal);
    assert_eq!(open(dir.path()).1, ["a", "b", "c", "d"]);
}

#[test]
fn a_cut_at_any_offset_keeps_every_whole_record_before_it_and_appends_go_on() {
    let dir = tempfile::tempdir().expect("dir");
    let list = words(&["first", "the second", "and a third"]);
    let (mut journal, _, _) = open(dir.path());
    journal.append_batch(&list).expect("appends");
    drop(journal);
    let path = segment_path(dir.path(), 1);
    let whole = fs::read(&path).expect("file");
    let mut ends = Vec::new();
    let mut end = 0;
    for word in &list {
        end += frame::HEADER_BYTES + word.len() + 2;
        ends.push(end);
    }
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).expect("cut");
        let (mut journal, restored, report) = open(dir.path());
        let kept = ends.iter().filter(|&&e| e <= cut).count();
        assert_eq!(restored, list[..kept], "cut at {cut}");
        let good = if kept == 0 { 0 } else { ends[kept - 1] };
        let torn = frame::without_room(&whole[good..cut]).len();
        assert_eq!(report.torn_bytes, torn as u64, "cut at {cut}");
        assert!(report.damage.is_empty(), "cut at {cut}");
        journal.append_batch(&words(&["after"])).expect("appends");
        drop(journal);
        let (_, restored, report) = open(dir.path());
        assert_eq!(restored.len(), kept + 1, "cut at {cut}");
        assert_eq!(report.torn_bytes, 0, "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_one_record_which_is_reported_and_put_aside() {
    let dir = tempfile::tempdir().expect("dir");
    let list = words(&["first", "second", "third"]);
    let (mut journal, _, _) = open(dir.path());
    journal.append_batch(&list).expect("appends");
    drop(journal);
    let path = segment_path(dir.path(), 1);
    let whole = fs::read(&path).expect("file");
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).expect("write");
        let (_, restored, report) = open(dir.path());
        assert_eq!(restored.len(), 2, "byte {at}");
        assert!(restored.iter().all(|r| list.contains(r)), "byte {at}");
        assert!(
            report.torn_bytes > 0 || report.damage.len() == 1,
            "byte {at}"
        );
    }
    assert!(fs::read_dir(dir.path()).expect("dir").any(|entry| {
        let name = entry.expect("entry").file_name();
        name.to_string_lossy()
            .starts_with("damaged-journal-00000001")
    }));
}

#[test]
fn a_record_of_another_version_is_put_aside_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut journal, _, _) = open(dir.path());
    journal.append_batch(&[1u32, 2]).expect("appends");
    journal.append_batch(&words(&["text"])).expect("appends");
    journal.append_batch(&[3u32]).expect("appends");
    drop(journal);
    let (_, restored, report) =
        Journal::open::<u32>(dir.path(), Durability::Written).expect("opens");
    assert_eq!(restored, [1, 2, 3]);
    assert_eq!(report.damage.len(), 1);
}

#[test]
fn a_full_disk_is_an_error_that_leaves_no_trace_and_passes() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut journal, _, _) = open(dir.path());
    let disk = BadDisk::of(dir.path(), 40);
    journal.put_file(disk.clone());
    journal.append_batch(&words(&["kept"])).expect("fits");
    let error = journal
        .append_batch(&words(&["this one", "does not fit any more"]))
        .expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.file.metadata().expect("metadata").len(), 14);
    assert!(!journal.probe(), "still full");
    disk.room.store(1 << 20, Ordering::Relaxed);
    assert!(journal.probe());
    assert!(!journal.needs_rewrite());
    journal
        .append_batch(&words(&["later"]))
        .expect("fits again");
    drop(journal);
    let (_, restored, report) = open(dir.path());
    assert_eq!(restored, ["kept", "later"]);
    assert_eq!((report.torn_bytes, report.damage.len()), (0, 0));
}

#[test]
fn a_tail_that_could_not_be_cut_at_once_is_cut_before_the_next_write() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut journal, _, _) = open(dir.path());
    let disk = BadDisk::of(dir.path(), 40);
    journal.put_file(disk.clone());
    journal.append_batch(&words(&["kept"])).expect("fits");
    disk.truncate_fails.store(true, Ordering::Relaxed);
    let long = words(&["much too long for the little room that is left"]);
    journal.append_batch(&long).expect_err("full");
    disk.room.store(1 << 20, Ordering::Relaxed);
    journal
        .append_batch(&words(&["no"]))
        .expect_err("tail is dirty");
    assert!(!journal.probe());
    disk.truncate_fails.store(false, Ordering::Relaxed);
    journal
        .append_batch(&words(&["yes"]))
        .expect("writes again");
    drop(journal);
    let (_, restored, report) = open(dir.path());
    assert_eq!(restored, ["kept", "yes"]);
    assert_eq!((report.torn_bytes, report.damage.len()), (0, 0));
}

#[test]
fn after_a_failed_fsync_only_a_rewrite_makes_the_journal_good_again() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut journal, _, _) = open(dir.path());
    let disk = BadDisk::of(dir.path(), 1 << 20);
    disk.sync_fails.store(true, Ordering::Relaxed);
    journal.put_file(disk);
    journal.append_batch(&words(&["perhaps"])).expect("written");
    assert!(!journal.wait_synced(Duration::from_secs(10)));
    assert!(journal.needs_rewrite());
    journal
        .append_batch(&words(&["no"]))
        .expect_err("not trusted");
    journal.rewrite(words(&["state"])).expect("rewrites");
    assert!(!journal.needs_rewrite());
    journal.append_batch(&words(&["more"])).expect("appends");
    drop(journal);
    assert_eq!(open(dir.path()).1, ["state", "more"]);
}

#[test]
fn in_sync_mode_a_failed_fsync_fails_the_batch() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut journal, _, _) =
        Journal::open::<String>(dir.path(), Durability::Synced).expect("opens");
    let disk = BadDisk::of(dir.path(), 1 << 20);
    journal.put_file(disk.clone());
    journal.append_batch(&words(&["kept"])).expect("synced");
    disk.sync_fails.store(true, Ordering::Relaxed);
    journal
        .append_batch(&words(&["lost"]))
        .expect_err("not synced");
    disk.sync_fails.store(false, Ordering::Relaxed);
    assert!(journal.probe());
    drop(journal);
    assert_eq!(open(dir.path()).1, ["kept"]);
}

#[test]
fn a_rewrite_replaces_what_was_there() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut journal, _, _) = open(dir.path());
    for i in 0..1000 {
        journal
            .append_batch(&[format!("record {i}")])
            .expect("appends");
    }
    journal.rewrite(words(&["all of it"])).expect("rewrites");
    journal.append_batch(&words(&["since"])).expect("appends");
    drop(journal);
    assert_eq!(open(dir.path()).1, ["all of it", "since"]);
    assert!(!segment_path(dir.path(), 1).exists());
}

#[test]
fn a_crash_anywhere_in_a_compaction_loses_nothing_and_doubles_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut journal, _, _) = open(dir.path());
    journal.append_batch(&words(&["a", "b"])).expect("appends");
    let compaction = journal.rotate().expect("rotates");
    journal.append_batch(&words(&["c"])).expect("appends");
    // Crash before the snapshot is complete: half of it lies aside.
    fs::write(dir.path().join("snapshot-00000002.new"), b"half").expect("write");
    drop(journal);
    let (journal, restored, report) = open(dir.path());
    assert_eq!(restored, ["a", "b", "c"]);
    assert!(report.damage.is_empty());
    // Complete, but the old segment could not be removed before the crash.
    let old = fs::read(segment_path(dir.path(), 1)).expect("file");
    compaction.write(words(&["ab"])).expect("writes");
    fs::write(segment_path(dir.path(), 1), old).expect("write");
    drop(journal);
    assert_eq!(open(dir.path()).1, ["ab", "c"]);
    assert!(!segment_path(dir.path(), 1).exists());
}

#[test]
fn two_servers_cannot_share_a_directory() {
    let dir = tempfile::tempdir().expect("dir");
    let (journal, _, _) = open(dir.path());
    let Err(error) = Journal::open::<String>(dir.path(), Durability::Written) else {
        panic!("opened twice");
    };
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let text = error.to_string();
    assert!(
        text.contains("another server") && text.contains("data-dir"),
        "{text}"
    );
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    drop(journal);
    open(dir.path());
}

#[test]
fn writes_gather_for_one_fsync_and_who_waits_does_not_wait_for_more() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut journal, _, _) = open(dir.path());
    let disk = BadDisk::of(dir.path(), 1 << 20);
    journal.put_file(disk.clone());
    for _ in 0..10 {
        journal.append_batch(&words(&["a word"])).expect("written");
    }
    assert_eq!(disk.syncs.load(Ordering::Relaxed), 0);
    let begin = std::time::Instant::now();
    for n in 1..=20 {
        journal
            .append_batch(&words(&["promised"]))
            .expect("written");
        assert!(journal.wait_synced(Duration::from_secs(10)));
        assert_eq!(disk.syncs.load(Ordering::Relaxed), n);
    }
    assert!(
        begin.elapsed() < Duration::from_millis(900),
        "ten gatherings"
    );
}
