//! Calls that are over, from their records: the table of `strowger calls --ended`, and what a record says of one call.

use jiff::Timestamp;
use serde_json::Value;

use super::numbers;
use super::words::{clock, cut, duration_ms, list, plain, plural, text, time, wait_ms};

/// A time, or how long ago it was.
pub fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago = crate::config::parse_duration(text)
        .map_err(|why| format!("{why}; or write a time, as 2026-11-20T10:00:00Z"))?;
    let ago = jiff::SignedDuration::try_from(ago).ok();
    ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok())
        .ok_or_else(|| format!("`{text}` is too long ago"))
}

/// Who took part: `1001`, or `+442071838750 via acme`.
pub(super) fn party(party: Option<&Value>) -> String {
    let Some(party) = party else {
        return "-".to_owned();
    };
    let number = match text(party, "number") {
        None | Some("") => "anonymous",
        Some(number) => number,
    };
    plain(&match text(party, "trunk") {
        Some(trunk) => format!("{number} via {trunk}"),
        None => number.to_owned(),
    })
}

/// Seconds of a field as milliseconds.
fn millis(record: &Value, field: &str) -> u64 {
    let seconds = record.get(field).and_then(Value::as_f64).unwrap_or(0.0);
    (seconds * 1000.0) as u64
}

/// The last party that was called and refused; of a call that failed, who it failed at.
fn refuser(record: &Value) -> Option<&Value> {
    let refused = |leg: &&Value| {
        let status = leg.get("status").and_then(Value::as_u64).unwrap_or(0);
        text(leg, "role") != Some("caller") && status >= 300
    };
    list(record, "legs").iter().rev().find(refused)
}

/// `503 at UDP 192.0.2.1:5060, Q.850;cause=34`.
fn refusal(leg: &Value) -> String {
    let status = leg.get("status").and_then(Value::as_u64).unwrap_or(0);
    let at = text(leg, "peer").map_or(String::new(), |peer| format!(" at {peer}"));
    let reason = text(leg, "reason").map_or(String::new(), |reason| format!(", {reason}"));
    plain(&format!("{status}{at}{reason}"))
}

/// A row of `strowger calls --ended`.
pub(super) fn row(record: &Value, now: Timestamp) -> [String; 7] {
    let outcome = text(record, "outcome").unwrap_or("-");
    let answered = outcome == "answered";
    let detail = match refuser(record).filter(|_| !answered) {
        Some(leg) => refusal(leg),
        None => match text(record, "agent") {
            Some(agent) => format!("agent {agent}, ended by {}", ended_by(record)),
            None => format!("ended by {}", ended_by(record)),
        },
    };
    [
        cut(text(record, "id").unwrap_or("-"), 26),
        time(record, "started_at").map_or_else(|| "-".to_owned(), |at| clock(at, now)),
        cut(&party(record.get("from")), 24),
        cut(&party(record.get("to")), 24),
        outcome.to_owned(),
        match answered {
            true => wait_ms(millis(record, "duration_secs")),
            false => "-".to_owned(),
        },
        cut(&detail, 60),
    ]
}

fn ended_by(record: &Value) -> String {
    match text(record, "ended_by") {
        None | Some("") => "nobody".to_owned(),
        Some(by) => plain(by),
    }
}

/// A call that is over, as its record tells it.
pub fn of_record(record: &Value, now: Timestamp) -> String {
    let at = |field: &str| time(record, field).map(|at| clock(at, now));
    let mut out = format!(
        "{} called {} at {}",
        party(record.get("from")),
        party(record.get("to")),
        at("started_at").unwrap_or_else(|| "an unknown time".to_owned())
    );
    if let Some(ended) = at("ended_at") {
        out += &format!("; it was over at {ended}, ended by {}", ended_by(record));
    }
    let outcome = text(record, "outcome").unwrap_or("of unknown outcome");
    out += &match (outcome, at("answered_at")) {
        ("answered", _) => format!(
            ", answered, {}",
            duration_ms(millis(record, "duration_secs"))
        ),
        (other, Some(_)) => format!(", {other} (the caller heard announcements only)"),
        (other, None) => format!(", {other}"),
    };
    out.push('.');
    let queues: Vec<&str> = list(record, "queues")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match queues.as_slice() {
        [] => out += " It was in no queue.",
        some => {
            out += &format!(
                " It went through {} ({})",
                plural(some.len() as u64, "queue"),
                plain(&some.join(", "))
            );
            out += &match text(record, "agent") {
                Some(agent) => format!(" and was connected to agent {}.", plain(agent)),
                None => " and was connected to no agent.".to_owned(),
            };
        }
    }
    for leg in list(record, "legs") {
        let role = text(leg, "role").unwrap_or("party");
        let who = party(leg.get("party"));
        let what = match leg.get("status").and_then(Value::as_u64) {
            Some(200) => match text(leg, "peer") {
                Some(peer) => format!("answered at {peer}"),
                None => "answered".to_owned(),
            },
            _ => refusal(leg),
        };
        out += &format!("\n  {role} {who}: {}", plain(&what));
    }
    if record.get("recovered").and_then(Value::as_bool) == Some(true) {
        out +=
            "\n  the server stopped during the call; the times are those of its last sign of life";
    }
    out += &numbers::below(record);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().expect("a time")
    }

    fn failed() -> Value {
        json!({
            "id": "01J9Z3", "from": { "number": "1001" }, "to": { "number": "+442071838750" },
            "started_at": "2026-11-20T10:00:00Z", "answered_at": "2026-11-20T10:00:01Z", "ended_at": "2026-11-20T10:00:05Z",
            "outcome": "failed", "ended_by": "dialplan", "duration_secs": 4.0, "queues": [],
            "legs": [
                { "role": "caller", "party": { "number": "1001" }, "status": 200, "peer": "UDP 192.0.2.9:5060" },
                { "role": "callee", "party": { "number": "+442071838750", "trunk": "acme" }, "status": 503,
                  "peer": "UDP 192.0.2.1:5060", "reason": "Q.850;cause=34" },
            ],
        })
    }

    #[test]
    fn a_call_out_that_failed_says_where_and_why_and_has_no_length() {
        assert_eq!(
            row(&failed(), now()),
            [
                "01J9Z3",
                "10:00:00 UTC",
                "1001",
                "+442071838750",
                "failed",
                "-",
                "503 at UDP 192.0.2.1:5060, Q.850;cause=34",
            ]
        );
        assert_eq!(
            of_record(&failed(), now()),
            "1001 called +442071838750 at 10:00:00 UTC; it was over at 10:00:05 UTC, ended by dialplan, \
             failed (the caller heard announcements only). It was in no queue.\n  \
             caller 1001: answered at UDP 192.0.2.9:5060\n  \
             callee +442071838750 via acme: 503 at UDP 192.0.2.1:5060, Q.850;cause=34"
        );
    }

    #[test]
    fn an_answered_call_through_queues_names_them_and_the_agent() {
        let mut record = failed();
        record["outcome"] = json!("answered");
        record["ended_by"] = json!("caller");
        record["queues"] = json!(["support", "sales"]);
        record["agent"] = json!("1003");
        record["legs"] = json!([]);
        assert_eq!(row(&record, now())[5], "4 s");
        assert_eq!(row(&record, now())[6], "agent 1003, ended by caller");
        let told = of_record(&record, now());
        assert!(
            told.ends_with(
                "went through 2 queues (support, sales) and was connected to agent 1003."
            ),
            "{told}"
        );
    }

    #[test]
    fn what_came_from_the_network_moves_no_cursor() {
        let mut record = failed();
        record["from"]["number"] = json!("10\u{1b}[2J");
        record["legs"][1]["reason"] = json!("Q.850\u{1b}[1m");
        assert!(!of_record(&record, now()).contains('\u{1b}'));
        assert!(
            row(&record, now())
                .iter()
                .all(|cell| !cell.contains('\u{1b}'))
        );
    }
}
