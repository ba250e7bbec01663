//! The tables of `strowger status`, `calls`, `queues`, `agents`, `registrations` and `trunks`: what people look for, in 120 columns.

use jiff::Timestamp;
use serde_json::Value;

use super::words::{
    ago, ahead, clock, cut, list, number, percent, plain, plural, text, time, wait_ms,
};
use super::{numbers, overflow, past};

/// What a table is shown for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Status,
    Calls,
    Ended,
    Queues,
    Agents,
    Registrations,
    Devices,
    Trunks,
    Bans,
    Numbers,
    NumbersOf,
    Reload,
}

/// A cell that holds nothing.
const EMPTY: &str = "-";

/// Puts an answer of the API into the words of its kind.
pub fn render(kind: Kind, answer: &Value, now: Timestamp) -> String {
    match kind {
        Kind::Status => status(answer, now),
        Kind::Reload => reload(answer),
        Kind::Calls => table(
            &["call", "state", "from", "to", "with", "for", "codec"],
            answer,
            |call| calls(call, now),
        ),
        Kind::Ended => table(
            &["call", "began", "from", "to", "outcome", "talked", "detail"],
            answer,
            |record| past::row(record, now),
        ),
        Kind::Queues => {
            let figures = table(
                &[
                    "queue", "waiting", "longest", "talking", "free", "ready", "in", "agents",
                    "offered", "answered", "lost", "went on", "in time", "expected",
                ],
                answer,
                queues,
            );
            format!("{figures}{}", overflow::rules(items(answer)))
        }
        Kind::Agents => table(
            &[
                "agent", "name", "state", "for", "detail", "devices", "calls", "busy", "queues",
            ],
            answer,
            |agent| agents(agent, now),
        ),
        Kind::Registrations => table(
            &["user", "from", "over", "expires in", "state", "phone"],
            answer,
            |binding| registrations(binding, now),
        ),
        Kind::Devices => table(
            &["user", "over", "expires in", "state", "contact"],
            answer,
            |binding| devices(binding, now),
        ),
        Kind::Numbers => table(
            &["list", "kind", "of", "numbers", "imported", "defined in"],
            answer,
            numbers::row,
        ),
        Kind::NumbersOf => table(
            &["number", "since", "until", "by", "why"],
            answer,
            numbers::entry_row,
        ),
        Kind::Bans => table(&["source", "ends in", "because of"], answer, |ban| {
            bans(ban, now)
        }),
        Kind::Trunks => {
            let trunks_table = table(
                &[
                    "trunk",
                    "state",
                    "registered",
                    "channels",
                    "ping",
                    "gateways",
                ],
                answer,
                |trunk| trunks(trunk, now),
            );
            format!("{trunks_table}{}", unregistered(items(answer), now))
        }
    }
}

fn items(answer: &Value) -> &[Value] {
    match answer {
        Value::Array(rows) => rows,
        other => list(other, "items"),
    }
}

fn table<const N: usize>(
    header: &[&str; N],
    answer: &Value,
    row: impl Fn(&Value) -> [String; N],
) -> String {
    let rows: Vec<[String; N]> = items(answer).iter().map(row).collect();
    if rows.is_empty() {
        return "none".to_owned();
    }
    let head = header.map(str::to_owned);
    let lines = || std::iter::once(&head).chain(&rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    });
    let line = |cells: &[String; N]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    lines().map(line).collect::<Vec<_>>().join("\n")
}

fn bans(ban: &Value, now: Timestamp) -> [String; 3] {
    [
        text(ban, "source").unwrap_or(EMPTY).to_owned(),
        ahead(ban, "until", now).unwrap_or_else(|| EMPTY.to_owned()),
        match text(ban, "by") {
            Some("failures") => "wrong passwords".to_owned(),
            Some("operator") => "an operator".to_owned(),
            other => other.unwrap_or(EMPTY).to_owned(),
        },
    ]
}

/// A party in a cell.
fn party(party: Option<&Value>) -> String {
    cut(&past::party(party), 24)
}

/// A device that was called and has not responded at all. A second is the network's.
fn silent(leg: &Value, now: Timestamp) -> Option<String> {
    let since = time(leg, "silent_since")?;
    let ago = ago(leg, "silent_since", now)?;
    (now.duration_since(since).as_secs() >= 1).then(|| format!("no response for {ago}"))
}

fn calls(call: &Value, now: Timestamp) -> [String; 7] {
    let others: Vec<&Value> = list(call, "legs")
        .iter()
        .filter(|leg| !matches!(text(leg, "role"), Some("caller" | "transferor")))
        .collect();
    let with = match others.as_slice() {
        [] => EMPTY.to_owned(),
        [one] => match silent(one, now) {
            Some(silent) => format!("{} ({silent})", party(one.get("party"))),
            None => party(one.get("party")),
        },
        [one, rest @ ..] => format!("{} and {} more", party(one.get("party")), rest.len()),
    };
    let codec = list(call, "legs").iter().find_map(|leg| text(leg, "codec"));
    [
        cut(text(call, "id").unwrap_or(EMPTY), 26),
        cut(text(call, "state").unwrap_or(EMPTY), 9),
        party(call.get("from")),
        party(call.get("to")),
        cut(&with, 36),
        ago(call, "started_at", now).unwrap_or_else(|| EMPTY.to_owned()),
        cut(codec.unwrap_or(EMPTY), 6),
    ]
}

fn queues(queue: &Value) -> [String; 14] {
    let metrics = queue.get("metrics").unwrap_or(&Value::Null);
    let counters = metrics.get("counters").unwrap_or(&Value::Null);
    let waiting = number(queue, "waiting");
    let name = cut(text(queue, "name").unwrap_or(EMPTY), 20);
    [
        match text(queue, "closed") {
            Some("closing") => format!("{name} (closing)"),
            Some(why) => format!("{name} (closed: {})", plain(why)),
            None => name,
        },
        overflow::waiting(queue),
        match waiting {
            0 => EMPTY.to_owned(),
            _ => wait_ms(number(queue, "longest_wait_ms")),
        },
        number(queue, "talking").to_string(),
        number(queue, "agents_free").to_string(),
        number(queue, "agents_ready").to_string(),
        number(queue, "agents_logged_in").to_string(),
        number(queue, "agents_assigned").to_string(),
        number(counters, "offered").to_string(),
        number(counters, "answered").to_string(),
        number(counters, "abandoned").to_string(),
        overflow::went_on(counters),
        percent(metrics.get("service_level").and_then(Value::as_f64)),
        match text(queue, "expected_wait") {
            Some("under-two") => "< 2 min",
            Some("two-to-five") => "2-5 min",
            Some("five-to-ten") => "5-10 min",
            Some("over-ten") => "> 10 min",
            _ => EMPTY,
        }
        .to_owned(),
    ]
}

fn agents(agent: &Value, now: Timestamp) -> [String; 9] {
    let state = text(agent, "state").unwrap_or(EMPTY);
    let queue = text(agent, "queue").unwrap_or(EMPTY);
    let mut detail = match state {
        "not-ready" => text(agent, "reason").unwrap_or(EMPTY).to_owned(),
        "wrap" => ahead(agent, "wrap_until", now)
            .map_or_else(|| queue.to_owned(), |left| format!("{left} left")),
        "alerting" | "talking" => queue.to_owned(),
        "unreachable" => match text(agent, "silent") {
            Some("do-not-disturb") => "do not disturb".to_owned(),
            Some("ring-off") => "devices off".to_owned(),
            _ => EMPTY.to_owned(),
        },
        "ready" => match number(agent, "other_calls") {
            0 => EMPTY.to_owned(),
            calls => plural(calls, "other call"),
        },
        _ => EMPTY.to_owned(),
    };
    if let Some(next) = agent.get("next").and_then(|next| text(next, "status")) {
        detail = format!("{detail}, then {next}");
    }
    let serves: Vec<String> = list(agent, "queues")
        .iter()
        .map(|assignment| {
            let name = text(assignment, "queue").unwrap_or(EMPTY);
            match assignment.get("enabled").and_then(Value::as_bool) {
                Some(false) => format!("({name})"),
                _ => name.to_owned(),
            }
        })
        .collect();
    let counters = agent.get("counters").unwrap_or(&Value::Null);
    [
        cut(text(agent, "extension").unwrap_or(EMPTY), 12),
        cut(text(agent, "name").unwrap_or(EMPTY), 18),
        state.to_owned(),
        match state {
            "logged-out" => EMPTY.to_owned(),
            _ => ago(agent, "since", now).unwrap_or_else(|| EMPTY.to_owned()),
        },
        cut(&detail, 20),
        number(agent, "devices").to_string(),
        number(counters, "handled").to_string(),
        percent(agent.get("occupancy").and_then(Value::as_f64)),
        match serves.as_slice() {
            [] => "none".to_owned(),
            some => cut(&some.join(" "), 24),
        },
    ]
}

fn registrations(binding: &Value, now: Timestamp) -> [String; 6] {
    let is = |field: &str| binding.get(field).and_then(Value::as_bool);
    let state = match (is("healthy"), is("do_not_disturb"), is("ring")) {
        (Some(false), _, _) => "silent",
        (_, Some(true), _) => "do not disturb",
        (_, _, Some(false)) => "off",
        _ => "ok",
    };
    [
        cut(text(binding, "aor").unwrap_or(EMPTY), 30),
        cut(text(binding, "source").unwrap_or(EMPTY), 28),
        text(binding, "transport").unwrap_or(EMPTY).to_owned(),
        ahead(binding, "expires_at", now).unwrap_or_else(|| EMPTY.to_owned()),
        state.to_owned(),
        cut(text(binding, "user_agent").unwrap_or(EMPTY), 28),
    ]
}

/// The contact stands there whole: `devices drop --contact` takes it.
fn devices(binding: &Value, now: Timestamp) -> [String; 5] {
    let [user, _, over, expires, state, _] = registrations(binding, now);
    let contact = plain(text(binding, "contact").unwrap_or(EMPTY));
    [user, over, expires, state, contact]
}

/// A gateway, and what is wrong with it.
fn gateway(gateway: &Value) -> String {
    let address = text(gateway, "address").unwrap_or(EMPTY);
    match (text(gateway, "state"), text(gateway, "why")) {
        (Some("down"), Some(why)) => format!("{address} (down: {why})"),
        (Some("down"), None) => format!("{address} (down)"),
        _ => address.to_owned(),
    }
}

fn registered(trunk: &Value, now: Timestamp) -> String {
    let Some(it) = trunk.get("registration").filter(|it| !it.is_null()) else {
        return EMPTY.to_owned();
    };
    match (text(it, "state"), text(it, "why")) {
        (Some("registered"), _) => {
            let left = ahead(it, "expires_at", now).unwrap_or_default();
            format!("yes, {left}")
        }
        (Some("registering"), _) => "asking".to_owned(),
        _ => "no".to_owned(),
    }
}

/// A line for each trunk that should be registered and is not: why, and when it is tried again.
fn unregistered(trunks: &[Value], now: Timestamp) -> String {
    let mut out = String::new();
    for trunk in trunks {
        let Some(it) = trunk.get("registration") else {
            continue;
        };
        let Some(why) = text(it, "why").filter(|_| text(it, "state") != Some("registered")) else {
            continue;
        };
        let what = match text(trunk, "state") {
            Some("registration-refused") => "registration refused",
            _ => "not registered",
        };
        let next = match ahead(it, "next_at", now) {
            Some(left) => format!("next try in {left}"),
            None => "asking again now".to_owned(),
        };
        let why = why.trim_end_matches(" to REGISTER");
        let name = text(trunk, "name").unwrap_or(EMPTY);
        out += &format!("\n{}: {what} ({}), {next}", plain(name), plain(why));
    }
    out
}

fn trunks(trunk: &Value, now: Timestamp) -> [String; 6] {
    let channels = number(trunk, "channels");
    let mut gateways: Vec<String> = list(trunk, "gateways").iter().map(gateway).collect();
    if gateways.is_empty() {
        gateways = list(trunk, "proxies")
            .iter()
            .filter_map(|uri| Some(uri.as_str()?.to_owned()))
            .collect();
    }
    [
        cut(text(trunk, "name").unwrap_or(EMPTY), 24),
        match text(trunk, "state") {
            Some("unknown") => "not pinged",
            Some("registration-refused") => "refused",
            other => other.unwrap_or(EMPTY),
        }
        .to_owned(),
        cut(&registered(trunk, now), 32),
        match trunk.get("max_channels").and_then(Value::as_u64) {
            Some(most) => format!("{channels} of {most}"),
            None => channels.to_string(),
        },
        trunk
            .get("ping_ms")
            .and_then(Value::as_f64)
            .map_or_else(|| EMPTY.to_owned(), |ms| format!("{ms:.1} ms")),
        cut(&gateways.join(", "), 60),
    ]
}

fn status(answer: &Value, now: Timestamp) -> String {
    let version = plain(text(answer, "version").unwrap_or("?"));
    let state = match text(answer, "state").unwrap_or(EMPTY) {
        "draining" => "draining: no new calls, those that are up may finish".to_owned(),
        "degraded" => "degraded: the journal cannot be written, new calls are refused".to_owned(),
        other => plain(other),
    };
    let started = match time(answer, "started_at") {
        Some(at) => format!(
            "{} (since {})",
            ago(answer, "started_at", now).unwrap_or_default(),
            clock(at, now)
        ),
        None => EMPTY.to_owned(),
    };
    let rows = [
        ("state", state),
        ("up for", started),
        (
            "calls",
            format!(
                "{} now ({}), {} since the start",
                number(answer, "calls"),
                plural(number(answer, "legs"), "leg"),
                number(answer, "calls_total"),
            ),
        ),
        ("waiting", number(answer, "waiting").to_string()),
        (
            "registered",
            plural(number(answer, "registrations"), "device"),
        ),
        (
            "in use",
            format!(
                "{}, {}, {}",
                plural(number(answer, "ports"), "RTP port"),
                plural(number(answer, "transactions"), "transaction"),
                plural(number(answer, "timers"), "timer"),
            ),
        ),
        ("events", number(answer, "seq").to_string()),
    ];
    let mut out = format!("strowger {version}");
    for (name, value) in rows {
        out.push_str(&format!("\n{name:<11}{value}"));
    }
    out
}

fn reload(answer: &Value) -> String {
    let changes = list(answer, "changes");
    let mut out = match changes {
        [] => String::from("reloaded: nothing differs"),
        some => format!("reloaded: {}", plural(some.len() as u64, "change")),
    };
    for change in changes.iter().filter_map(Value::as_str) {
        out.push_str(&format!("\n  {}", plain(change)));
    }
    for (field, word) in [("opened", "listening at"), ("closed", "no longer at")] {
        for address in list(answer, field).iter().filter_map(Value::as_str) {
            out.push_str(&format!("\n{word} {}", plain(address)));
        }
    }
    for warning in list(answer, "warnings") {
        out.push('\n');
        out.push_str(text(warning, "shown").unwrap_or_default().trim_end());
    }
    out
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
