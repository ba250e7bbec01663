//! `strowger calls ID --ladder`: the messages and audio of one call, with the server in the middle.

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::client::{ServerArgs, fetch_pcap};
use super::words::{cut, list, plain, text, time};
use super::{WRONG, complain, say};

/// Width of either side.
const SIDE: usize = 34;

/// Writes the capture file of a call.
pub fn write_pcap(server: &ServerArgs, id: &str, file: &Path) -> ExitCode {
    let bytes = match fetch_pcap(server, id) {
        Ok(bytes) => bytes,
        Err((message, exit)) => {
            complain(&message);
            return ExitCode::from(exit);
        }
    };
    match std::fs::write(file, &bytes) {
        Ok(()) => {
            say(&format!(
                "wrote {} bytes to {}",
                bytes.len(),
                file.display()
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("{} cannot be written: {error}", file.display()));
            ExitCode::from(WRONG)
        }
    }
}

/// Draws an answer of `GET /calls/{id}/ladder`.
pub fn draw(ladder: &Value, messages: bool) -> String {
    let legs = list(ladder, "legs");
    let mut out = format!("call {}", text(ladder, "call").unwrap_or_default());
    for (index, leg) in legs.iter().enumerate() {
        let party = leg.get("party").unwrap_or(&Value::Null);
        let number = match text(party, "number") {
            None | Some("") => "anonymous",
            Some(number) => number,
        };
        let trunk = text(party, "trunk").map_or(String::new(), |trunk| format!(" via {trunk}"));
        out += &format!(
            "\n  leg {}: {} {}{trunk}, Call-ID {}",
            index + 1,
            text(leg, "role").unwrap_or_default(),
            plain(number),
            plain(text(leg, "call_id").unwrap_or_default()),
        );
    }
    if ladder.get("complete") == Some(&Value::Bool(false)) {
        out += "\n  the beginning is no longer in memory (`ladder-memory` of [log])";
    }
    out += "\n";
    for entry in list(ladder, "entries") {
        out += "\n";
        out += &rung(entry, legs);
        if messages && let Some(message) = text(entry, "message") {
            for line in message.lines() {
                out += "\n        ";
                out += &plain(line);
            }
            out += "\n";
        }
    }
    if list(ladder, "entries").is_empty() {
        out += "\nnothing is in memory of this call";
    }
    out
}

/// One line. Callers stand on the left, everybody else on the right.
fn rung(entry: &Value, legs: &[Value]) -> String {
    let at =
        time(entry, "at").map_or_else(String::new, |at| at.strftime("%H:%M:%S.%3f").to_string());
    let what = plain(text(entry, "what").unwrap_or_default());
    let index = entry.get("leg").and_then(Value::as_u64);
    let leg = index.and_then(|index| legs.get(usize::try_from(index).ok()?));
    let left = leg.is_some_and(|leg| text(leg, "role") == Some("caller"));
    let name = index.map_or(String::new(), |index| format!("leg {}", index + 1));
    let cell = match text(entry, "direction") {
        Some(direction) => arrow(&what, (direction == "in") == left),
        None if text(entry, "kind") == Some("media") => format!("~ {what}"),
        None => return format!("{at}  {:SIDE$}  * {what}", ""),
    };
    if text(entry, "direction").is_none() && cell.chars().count() > SIDE {
        return format!("{at}  {:SIDE$}  {cell}  {name}", "");
    }
    let peer = text(entry, "remote").map_or(String::new(), |remote| {
        let transport = text(entry, "transport").unwrap_or_default();
        format!("  {transport} {remote}")
    });
    let (a, b) = if left { (&*cell, "") } else { ("", &*cell) };
    format!("{at}  {a:SIDE$}||{b:SIDE$}  {name}{peer}")
}

/// `── INVITE ─────>`, or the other way round.
fn arrow(what: &str, to_the_right: bool) -> String {
    let what = cut(what, SIDE - 8);
    let rest = "─".repeat((SIDE - 4).saturating_sub(what.chars().count()));
    if to_the_right {
        format!("─ {what} {rest}>")
    } else {
        format!("<─ {what} {rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ladder() -> Value {
        json!({
            "call": "01J9Z3",
            "complete": true,
            "legs": [
                { "role": "caller", "party": { "number": "1001" }, "call_id": "a@x" },
                { "role": "callee", "party": { "number": "+442071838750", "trunk": "acme" }, "call_id": "b@x" },
            ],
            "entries": [
                { "at": "2026-11-20T10:00:00.000000Z", "kind": "sip", "leg": 0, "direction": "in", "transport": "UDP",
                  "local": "127.0.0.1:5060", "remote": "127.0.0.2:5060", "what": "INVITE SDP", "message": "INVITE sip:x SIP/2.0\r\nX: \u{1b}[1m\r\n\r\n" },
                { "at": "2026-11-20T10:00:00.001000Z", "kind": "remark", "what": "queue support, place 1" },
                { "at": "2026-11-20T10:00:00.002000Z", "kind": "sip", "leg": 1, "direction": "out", "transport": "TLS",
                  "local": "127.0.0.1:5060", "remote": "127.0.0.3:5061", "what": "INVITE SDP" },
                { "at": "2026-11-20T10:00:01.002000Z", "kind": "sip", "leg": 1, "direction": "in", "transport": "TLS",
                  "local": "127.0.0.1:5060", "remote": "127.0.0.3:5061", "what": "200 OK SDP" },
                { "at": "2026-11-20T10:00:01.100000Z", "kind": "media", "leg": 1, "what": "digit 5, 80 ms" },
                { "at": "2026-11-20T10:00:02.000000Z", "kind": "sip", "leg": 0, "direction": "out", "transport": "UDP",
                  "local": "127.0.0.1:5060", "remote": "127.0.0.2:5060", "what": "BYE" },
            ],
        })
    }

    #[test]
    fn callers_stand_on_the_left_and_others_on_the_right() {
        let shown = draw(&ladder(), false);
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "call 01J9Z3",
                "  leg 1: caller 1001, Call-ID a@x",
                "  leg 2: callee +442071838750 via acme, Call-ID b@x",
                "",
                "10:00:00.000  ─ INVITE SDP ────────────────────>||                                    leg 1  UDP 127.0.0.2:5060",
                "10:00:00.001                                      * queue support, place 1",
                "10:00:00.002                                    ||─ INVITE SDP ────────────────────>  leg 2  TLS 127.0.0.3:5061",
                "10:00:01.002                                    ||<─ 200 OK SDP ────────────────────  leg 2  TLS 127.0.0.3:5061",
                "10:00:01.100                                    ||~ digit 5, 80 ms                    leg 2",
                "10:00:02.000  <─ BYE ───────────────────────────||                                    leg 1  UDP 127.0.0.2:5060",
            ]
        );
    }

    #[test]
    fn messages_are_shown_on_request_without_control_characters() {
        let shown = draw(&ladder(), true);
        assert!(shown.contains("\n        INVITE sip:x SIP/2.0\n"));
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn a_call_of_which_nothing_is_left_says_so() {
        let shown = draw(
            &json!({ "call": "01J", "complete": false, "legs": [], "entries": [] }),
            false,
        );
        assert!(shown.contains("nothing is in memory"), "{shown}");
        assert!(shown.contains("ladder-memory"), "{shown}");
    }
}
