//! Tests of the shard around a stand-in core: order of journal and wire, failures, panics, deadlines, reload of ports.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc;
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::broadcast;

use super::*;
use crate::base::WallTime;
use crate::io::inbox::inbox;
use crate::io::metrics::Metrics;
use crate::io::outlet::Query;
use crate::io::udp::UdpPort;
use crate::media::MediaCommand;
use crate::store::sync::LogFile;
use crate::store::{Durability, Journal, Sqlite};
use crate::switch::{Answer, Command, Effect, Event, Fact, Reply};
use crate::transport::{ConnectionId, Flow, ProfileId};

/// Does what the datagrams say.
struct Obedient {
    seen: mpsc::Sender<String>,
    deadline: Option<Instant>,
    kept: Vec<u64>,
}

impl Core for Obedient {
    fn handle(&mut self, now: Now, input: Input, fx: &mut Effects) {
        let note = |text: &str| {
            let _ = self.seen.send(text.to_string());
        };
        match input {
            Input::Received { flow, bytes } => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                note(&text);
                let send = Effect::Send {
                    flow,
                    bytes: Bytes::from(format!("re {text}")),
                };
                let (word, number) = text.split_once(' ').unwrap_or((&text, "0"));
                let number: u64 = number.parse().unwrap_or(0);
                match word {
                    "keep" => {
                        self.kept.push(number);
                        fx.push(send);
                        fx.push(Effect::Journal(Record::Seq(number)));
                    }
                    "acknowledge" => {
                        self.kept.push(number);
                        fx.push(send);
                        let bytes = Bytes::from(format!("ACK {number}"));
                        fx.push(Effect::Send { flow, bytes });
                        fx.push(Effect::Journal(Record::Seq(number)));
                    }
                    // a 100 and what else the words say, in this order
                    "try" => {
                        let code = if number == 0 { "INVITE" } else { "SIP/2.0 180" };
                        for text in ["SIP/2.0 100 Trying", code] {
                            let bytes = Bytes::from(text);
                            fx.push(Effect::Send { flow, bytes });
                        }
                    }
                    "event" => fx.push(Effect::Event(Arc::new(Event {
                        seq: number,
                        at: now.wall,
                        fact: Fact::Server { what: "x".into() },
                    }))),
                    "fall" => {
                        fx.push(send);
                        fx.push(Effect::Journal(Record::Seq(666)));
                        panic!("told to fall");
                    }
                    "alarm" => {
                        self.deadline = Some(now.mono + Duration::from_millis(number));
                    }
                    "big" => fx.push(Effect::Send {
                        flow,
                        bytes: Bytes::from(vec![0; 70_000]),
                    }),
                    _ => fx.push(send),
                }
            }
            Input::Tick => {
                self.deadline = None;
                note("tick");
            }
            Input::Command { id, .. } => fx.push(Effect::Reply {
                id,
                reply: Ok(Answer::Done),
            }),
            Input::Ready => note("ready"),
            Input::StoreHealth { ok } => note(if ok { "healthy" } else { "sick" }),
            Input::SendFailed { .. } => note("send failed"),
            _ => {}
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.deadline
    }

    fn snapshot(&mut self, _now: Now) -> Vec<Record> {
        self.kept.iter().map(|&n| Record::Seq(n)).collect()
    }
}

struct Quiet {
    replies: mpsc::Sender<u64>,
}

impl World for Quiet {
    fn stream(&mut self, _flow: Flow, _bytes: Bytes) {}
    fn expect(&mut self, _: ProfileId, _: SocketAddr, _: &str, _: Arc<str>) {}
    fn alias(&mut self, _: ConnectionId, _: SocketAddr) {}
    fn close(&mut self, _connection: ConnectionId) {}
    fn media(&mut self, _command: MediaCommand) {}
    fn batch_ends(&mut self) {}
    fn resolve(&mut self, _query: Query) {}
    fn reply(&mut self, id: u64, _reply: Reply) {
        let _ = self.replies.send(id);
    }
}

/// A disk that can be full, or make a write wait.
struct Disk {
    file: std::fs::File,
    full: AtomicBool,
    /// Writes that may still begin.
    allowed: AtomicU64,
}

impl LogFile for Disk {
    fn make_room(&self, _from: u64, _to: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        while self.allowed.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.allowed.fetch_sub(1, Ordering::SeqCst);
        LogFile::write_at(&self.file, offset, bytes)
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

struct Rig {
    dir: tempfile::TempDir,
    server: SocketAddr,
    phone: UdpSocket,
    seen: mpsc::Receiver<String>,
    replies: mpsc::Receiver<u64>,
    events: broadcast::Receiver<Arc<Event>>,
    inbox: Inbox,
    metrics: Arc<Metrics>,
    disk: Arc<Disk>,
    sqlite: Arc<Sqlite>,
    thread: Option<JoinHandle<End>>,
}

const PATIENCE: Duration = Duration::from_secs(20);

fn journal_of(dir: &Path) -> (Journal, Vec<Record>) {
    let (journal, records, report) =
        Journal::open(&dir.join("journal"), Durability::Written).expect("opens");
    assert!(
        report.damage.is_empty() && report.torn_bytes == 0,
        "{report:?}"
    );
    (journal, records)
}

impl Rig {
    fn start() -> Rig {
        let dir = tempfile::tempdir().expect("dir");
        let (mut journal, _) = journal_of(dir.path());
        // The shard rotates once at its start; segment 2 is where the disk can be full.
        let first = journal.rotate().expect("rotates");
        first.write(Vec::<Record>::new()).expect("writes");
        let path = dir.path().join("journal/journal-00000003.log");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .expect("opens");
        let disk = Arc::new(Disk {
            file,
            full: AtomicBool::new(false),
            allowed: AtomicU64::new(u64::MAX),
        });
        journal.put_next_file(disk.clone());
        let (sqlite, _) = Sqlite::open(&dir.path().join("test.db")).expect("opens");
        let sqlite = Arc::new(sqlite);
        let (events_out, events) = broadcast::channel(16);
        let (replies_out, replies) = mpsc::channel();
        let (seen_out, seen) = mpsc::channel();
        let metrics = Arc::new(Metrics::default());
        let world = Quiet {
            replies: replies_out,
        };
        let outlet = Outlet::new(journal, sqlite.clone(), events_out, world, metrics.clone());
        let core = Obedient {
            seen: seen_out,
            deadline: None,
            kept: Vec::new(),
        };
        let address = "127.0.0.1:0".parse().expect("address");
        let port = UdpPort::bind(ProfileId(0), address).expect("binds");
        let server = port.socket.local();
        let ports = UdpPorts { list: vec![port] };
        let (inbox, letters) = inbox().expect("inbox");
        let shard = Shard::new(
            core,
            Clock::start(),
            outlet,
            ports,
            (inbox.clone(), letters),
            dir.path().to_owned(),
        )
        .expect("shard");
        let thread = std::thread::spawn(move || shard.run());
        let phone = UdpSocket::bind("127.0.0.1:0").expect("binds");
        phone.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let mut rig = Rig {
            dir,
            server,
            phone,
            seen,
            replies,
            events,
            inbox,
            metrics,
            disk,
            sqlite,
            thread: Some(thread),
        };
        rig.sees("ready");
        rig
    }

    fn say(&self, text: &str) {
        let sent = self.phone.send_to(text.as_bytes(), self.server);
        assert_eq!(sent.expect("sends"), text.len());
    }

    fn hears(&self, text: &str) {
        let mut buffer = [0; 100];
        let (length, _) = self.phone.recv_from(&mut buffer).expect("hears");
        assert_eq!(String::from_utf8_lossy(&buffer[..length]), text);
    }

    fn sees(&mut self, text: &str) {
        assert_eq!(self.seen.recv_timeout(PATIENCE).expect("sees"), text);
    }

    fn stop(&mut self) -> End {
        self.inbox.post(Letter::Stop);
        let thread = self.thread.take().expect("stopped once");
        thread.join().expect("joins")
    }

    /// The records that a restart would find.
    fn restart(&mut self) -> Vec<Record> {
        journal_of(self.dir.path()).1
    }
}

#[test]
fn what_is_answered_is_in_the_journal_even_if_the_process_dies_at_once() {
    let mut rig = Rig::start();
    for i in 1..=50 {
        rig.say(&format!("keep {i}"));
    }
    for i in 1..=50 {
        rig.hears(&format!("re keep {i}"));
    }
    // Read the file under the running shard, as a crash would leave it.
    let bytes = std::fs::read(rig.dir.path().join("journal/journal-00000003.log")).expect("reads");
    let kept = crate::store::frame::Pieces::of(&bytes).count();
    assert_eq!(kept, 50);
    assert_eq!(rig.stop(), End::Stopped);
    let expected: Vec<Record> = (1..=50).map(Record::Seq).collect();
    assert_eq!(rig.restart(), expected);
}

#[test]
fn a_full_disk_holds_answers_back_and_everything_is_written_when_it_has_room() {
    let mut rig = Rig::start();
    rig.disk.full.store(true, Ordering::Relaxed);
    rig.say("keep 1");
    rig.sees("keep 1");
    rig.sees("sick");
    assert_eq!(rig.metrics.sends_held.load(Ordering::Relaxed), 1);
    // Live calls go on: no answer but the first was held.
    rig.say("plain 2");
    rig.hears("re plain 2");
    rig.say("keep 3");
    rig.hears("re keep 3");
    rig.disk.full.store(false, Ordering::Relaxed);
    rig.sees("plain 2");
    rig.sees("keep 3");
    rig.sees("healthy");
    rig.say("keep 4");
    rig.hears("re keep 4");
    assert_eq!(rig.stop(), End::Stopped);
    assert_eq!(
        rig.restart(),
        [Record::Seq(1), Record::Seq(3), Record::Seq(4)]
    );
}

#[test]
fn an_ack_promises_nothing_and_is_not_held_back() {
    let mut rig = Rig::start();
    rig.disk.full.store(true, Ordering::Relaxed);
    rig.say("acknowledge 1");
    rig.hears("ACK 1");
    rig.sees("acknowledge 1");
    rig.sees("sick");
    assert_eq!(rig.metrics.sends_held.load(Ordering::Relaxed), 1);
    rig.disk.full.store(false, Ordering::Relaxed);
    rig.sees("healthy");
    rig.say("acknowledge 2");
    rig.hears("re acknowledge 2");
    rig.hears("ACK 2");
    assert_eq!(rig.stop(), End::Stopped);
}

#[test]
fn what_needs_no_record_leaves_before_what_needs_one_is_written() {
    let mut rig = Rig::start();
    rig.disk.allowed.store(0, Ordering::SeqCst);
    rig.say("keep 1");
    rig.sees("keep 1");
    // the shard waits for its disk, so these two are one batch
    rig.say("plain 2");
    rig.say("keep 3");
    rig.disk.allowed.store(1, Ordering::SeqCst);
    rig.hears("re keep 1");
    rig.hears("re plain 2");
    assert_eq!(rig.disk.allowed.load(Ordering::SeqCst), 0);
    rig.disk.allowed.store(u64::MAX, Ordering::SeqCst);
    rig.hears("re keep 3");
    assert_eq!(rig.stop(), End::Stopped);
}

#[test]
fn a_100_leaves_after_the_request_and_before_a_later_response() {
    let mut rig = Rig::start();
    rig.say("try 0");
    rig.hears("INVITE");
    rig.hears("SIP/2.0 100 Trying");
    rig.say("try 1");
    rig.hears("SIP/2.0 100 Trying");
    rig.hears("SIP/2.0 180");
    assert_eq!(rig.stop(), End::Stopped);
}

#[test]
fn a_panic_costs_one_input_and_leaves_a_trace() {
    let mut rig = Rig::start();
    rig.say("keep 1");
    rig.say("fall");
    rig.say("keep 2");
    rig.hears("re keep 1");
    rig.hears("re keep 2");
    assert_eq!(rig.metrics.panics.load(Ordering::Relaxed), 1);
    let dump = std::fs::read_dir(rig.dir.path())
        .expect("dir")
        .map(|entry| entry.expect("entry").path())
        .find(|path| path.to_string_lossy().contains("panic-"))
        .expect("a dump");
    let text = std::fs::read_to_string(dump).expect("reads");
    assert!(text.contains("told to fall"), "{text}");
    assert!(
        text.lines().last().expect("line").contains("b\"fall\""),
        "{text}"
    );
    assert_eq!(rig.stop(), End::Stopped);
    assert_eq!(rig.restart(), [Record::Seq(1), Record::Seq(2)]);
}

#[test]
fn three_panics_in_a_minute_end_the_shard() {
    let mut rig = Rig::start();
    for _ in 0..3 {
        rig.say("fall");
    }
    let thread = rig.thread.take().expect("runs");
    assert_eq!(thread.join().expect("joins"), End::Faulty);
}

#[test]
fn a_deadline_brings_a_tick_and_no_deadline_brings_none() {
    let mut rig = Rig::start();
    rig.say("alarm 30");
    rig.sees("alarm 30");
    rig.sees("tick");
    std::thread::sleep(Duration::from_millis(50)); // until that batch is counted
    let batches = rig.metrics.batches.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(rig.metrics.batches.load(Ordering::Relaxed), batches);
    assert!(rig.seen.try_recv().is_err());
}

#[test]
fn events_reach_subscribers_the_tables_and_the_journal() {
    let mut rig = Rig::start();
    rig.say("event 7");
    rig.sees("event 7");
    let event = rig.events.blocking_recv().expect("published");
    assert_eq!(event.seq, 7);
    assert!(event.at > WallTime::default());
    assert!(rig.sqlite.wait_written(PATIENCE));
    assert_eq!(rig.sqlite.events_after(0, 10).expect("query").len(), 1);
    assert_eq!(rig.stop(), End::Stopped);
    assert_eq!(rig.restart(), [Record::Event(Event::clone(&event))]);
}

#[test]
fn commands_are_answered_and_refused_datagrams_come_back() {
    let mut rig = Rig::start();
    rig.inbox.input(Input::Command {
        id: 9,
        command: Command::Status,
    });
    assert_eq!(rig.replies.recv_timeout(PATIENCE).expect("reply"), 9);
    rig.say("big");
    rig.sees("big");
    rig.sees("send failed");
    assert_eq!(rig.metrics.sends_refused.load(Ordering::Relaxed), 1);
}

#[test]
fn a_reload_moves_ports_without_losing_those_that_stay() {
    let mut rig = Rig::start();
    let address = "127.0.0.2:0".parse().expect("address");
    let port = UdpPort::bind(ProfileId(1), address).expect("binds");
    let added = port.socket.local();
    let stays = "127.0.0.1:0".parse().expect("address");
    rig.inbox.post(Letter::Ports {
        profiles: vec![(stays, ProfileId(2)), (address, ProfileId(1))],
        new: vec![port],
    });
    rig.say("old 1");
    rig.hears("re old 1");
    let old = std::mem::replace(&mut rig.server, added);
    rig.say("new 2");
    rig.hears("re new 2");
    rig.inbox.post(Letter::Ports {
        profiles: vec![(address, ProfileId(0))],
        new: Vec::new(),
    });
    rig.say("new 3");
    rig.hears("re new 3");
    let probe = UdpSocket::bind(old);
    assert!(probe.is_ok(), "the removed port is free again: {probe:?}");
}
