//! Tests of the tables: idempotence, paging, damage, lag.

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn event(seq: u64) -> Row {
    Row::Event(EventRow {
        seq,
        json: format!("{{\"seq\":{seq}}}"),
    })
}

fn call(id: &str, ended: Option<i64>, json: &str) -> Row {
    Row::Call(Box::new(CallRow {
        id: id.into(),
        started_at: WallTime::from_millis(1),
        ended_at: ended.map(WallTime::from_millis),
        direction: "internal".into(),
        from_number: "1001".into(),
        to_number: "1002'; DROP TABLE events; --".into(),
        outcome: "answered".into(),
        agent: None,
        duration_ms: 5,
        json: json.into(),
    }))
}

fn open(dir: &Path) -> Sqlite {
    let (sqlite, notice) = Sqlite::open(&dir.join("test.db")).expect("opens");
    assert_eq!(notice, None);
    sqlite
}

fn count(sqlite: &Sqlite, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let reader = sqlite.reader.lock();
    reader.query_row(&sql, [], |row| row.get(0)).expect("count")
}

#[test]
fn applying_the_same_rows_again_changes_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let sqlite = open(dir.path());
    for _ in 0..3 {
        for seq in 1..=10 {
            sqlite.write(event(seq));
        }
        sqlite.write(call("01A", None, "open"));
        sqlite.write(call("01A", Some(2), "closed"));
    }
    sqlite.write(call("01A", None, "open"));
    assert!(sqlite.wait_written(PATIENCE));
    let numbers = |events: Vec<(u64, String)>| events.into_iter().map(|(seq, _)| seq);
    let all = sqlite.events_after(0, 100).expect("query");
    assert!(numbers(all).eq(1..=10));
    assert_eq!(count(&sqlite, "call_records"), 1);
    assert_eq!(
        sqlite.call("01A").expect("query").as_deref(),
        Some("closed")
    );
    assert_eq!(sqlite.call("01B").expect("query"), None);
    assert_eq!(sqlite.counters().backlog.load(Ordering::Relaxed), 0);
}

#[test]
fn events_are_read_after_a_number_in_order() {
    let dir = tempfile::tempdir().expect("dir");
    let sqlite = open(dir.path());
    assert_eq!(sqlite.event_range().expect("query"), None);
    for seq in [3, 1, 2, 4] {
        sqlite.write(event(seq));
    }
    assert!(sqlite.wait_written(PATIENCE));
    let got = sqlite.events_after(1, 2).expect("query");
    assert_eq!(
        got,
        [
            (2, "{\"seq\":2}".to_string()),
            (3, "{\"seq\":3}".to_string())
        ]
    );
    assert_eq!(sqlite.event_range().expect("query"), Some((1, 4)));
}

#[test]
fn call_records_are_paged_from_the_newest() {
    let dir = tempfile::tempdir().expect("dir");
    let sqlite = open(dir.path());
    for i in 0..25 {
        sqlite.write(call(&format!("{i:03}"), Some(2), "{}"));
    }
    assert!(sqlite.wait_written(PATIENCE));
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = sqlite
            .calls_before(cursor.as_deref(), None, 10)
            .expect("query");
        let Some((last, _)) = page.last() else { break };
        cursor = Some(last.clone());
        seen.extend(page.into_iter().map(|(id, _)| id));
    }
    let expected: Vec<String> = (0..25).rev().map(|i| format!("{i:03}")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn rows_survive_reopening_and_the_schema_is_made_once() {
    let dir = tempfile::tempdir().expect("dir");
    let sqlite = open(dir.path());
    sqlite.write(event(1));
    drop(sqlite);
    let sqlite = open(dir.path());
    assert_eq!(sqlite.events_after(0, 10).expect("query").len(), 1);
    assert_eq!(count(&sqlite, "migrations"), MIGRATIONS.len() as i64);
}

#[test]
fn a_damaged_file_is_put_aside_and_service_starts() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("test.db");
    std::fs::write(
        &path,
        "not a database at all, but long enough to be looked at".repeat(100),
    )
    .expect("write");
    let (sqlite, notice) = Sqlite::open(&path).expect("opens");
    let notice = notice.expect("says so");
    assert!(notice.contains("put aside"), "{notice}");
    assert!(dir.path().join("test.damaged-1").exists());
    sqlite.write(event(1));
    assert!(sqlite.wait_written(PATIENCE));
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("dir");
    drop(open(dir.path()));
    let path = dir.path().join("test.db");
    Connection::open(&path)
        .expect("opens")
        .execute("INSERT INTO migrations (version) VALUES (999)", [])
        .expect("inserts");
    let error = Sqlite::open(&path).err().expect("refused").to_string();
    assert!(error.contains("newer version"), "{error}");
}

#[test]
fn a_blocked_writer_blocks_nobody_and_catches_up() {
    let dir = tempfile::tempdir().expect("dir");
    let sqlite = open(dir.path());
    let blocker = Connection::open(dir.path().join("test.db")).expect("opens");
    blocker.execute_batch("BEGIN IMMEDIATE").expect("locks");
    for seq in 1..=5_000 {
        sqlite.write(event(seq));
    }
    assert_eq!(sqlite.counters().backlog.load(Ordering::Relaxed), 5_000);
    assert!(!sqlite.wait_written(Duration::from_millis(50)));
    blocker.execute_batch("ROLLBACK").expect("unlocks");
    assert!(sqlite.wait_written(PATIENCE));
    assert_eq!(sqlite.events_after(0, 9_999).expect("query").len(), 5_000);
    assert_eq!(sqlite.counters().backlog.load(Ordering::Relaxed), 0);
}

#[test]
fn old_events_are_removed() {
    let dir = tempfile::tempdir().expect("dir");
    let sqlite = open(dir.path());
    for seq in 1..=100 {
        sqlite.write(event(seq));
        if seq % 10 == 0 {
            assert!(sqlite.wait_written(PATIENCE));
        }
    }
    let connection = Connection::open(dir.path().join("test.db")).expect("opens");
    assert_eq!(prune(&connection, 15).expect("prunes"), 8, "pages");
    assert_eq!(sqlite.event_range().expect("query"), Some((81, 100)));
    let found = sqlite.events_after(0, 1).expect("query");
    assert_eq!(found, [(81, "{\"seq\":81}".to_string())]);
}

#[test]
fn a_database_of_the_first_version_keeps_its_events() {
    let dir = tempfile::tempdir().expect("dir");
    let old = Connection::open(dir.path().join("test.db")).expect("opens");
    let made = old.execute_batch(&format!(
        "CREATE TABLE migrations (version INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
         {} INSERT INTO migrations (version) VALUES (1);
         INSERT INTO events VALUES (7, 0, 'server', '{{\"seq\":7}}'), (8, 0, 'server', '{{\"seq\":8}}');",
        MIGRATIONS[0]
    ));
    made.expect("as it was");
    drop(old);
    let sqlite = open(dir.path());
    sqlite.write(event(8));
    sqlite.write(event(9));
    assert!(sqlite.wait_written(PATIENCE));
    let found = sqlite.events_after(0, 10).expect("query");
    assert!(found.iter().map(|(seq, _)| *seq).eq(7..=9), "{found:?}");
}

#[test]
fn events_are_read_across_pages() {
    let dir = tempfile::tempdir().expect("dir");
    let sqlite = open(dir.path());
    for seq in 1..=1_000 {
        sqlite.write(event(seq));
    }
    assert!(sqlite.wait_written(PATIENCE));
    for after in [0, 1, 255, 256, 257, 511, 512, 999, 1_000, 2_000] {
        let found = sqlite.events_after(after, 300).expect("query");
        let expected = (after + 1..=1_000).take(300);
        assert!(found.iter().map(|(seq, _)| *seq).eq(expected), "{after}");
    }
}
