//! `strowger why`: explain records for people. One sentence that answers, then a paragraph for each decision, newest first.

use jiff::Timestamp;
use serde_json::Value;

use super::words::{ahead, clock, list, number, plain, plural, text, time, wait_ms};

/// A work item with its decisions, as `GET /work/{id}` gives it.
pub fn of_work(work: &Value, now: Timestamp) -> String {
    let told = paragraphs(
        why_work(work, now),
        &facts_of_work(work, now),
        list(work, "why"),
        None,
        now,
    );
    told + &super::numbers::below(work)
}

/// An agent, as `GET /agents/{extension}` gives it, with the decisions of `GET /agents/{extension}/why`.
pub fn of_agent(agent: &Value, decisions: &[Value], now: Timestamp) -> String {
    paragraphs(
        why_agent(agent, decisions, now),
        "",
        decisions,
        text(agent, "extension"),
        now,
    )
}

fn paragraphs(
    answer: String,
    facts: &str,
    decisions: &[Value],
    agent: Option<&str>,
    now: Timestamp,
) -> String {
    let mut out = plain(&answer);
    if !facts.is_empty() {
        out.push('\n');
        out.push_str(&plain(facts));
    }
    if decisions.is_empty() {
        out.push_str("\n\nNo decision has been made yet.");
    }
    for one in decisions.iter().rev() {
        out.push_str("\n\n");
        out.push_str(&decision(one, agent, now));
    }
    out
}

fn decision(decision: &Value, agent: Option<&str>, now: Timestamp) -> String {
    let at = time(decision, "at").map_or_else(|| "at some time".to_owned(), |at| clock(at, now));
    let item = text(decision, "item");
    let about: Vec<String> = [
        text(decision, "queue").map(|queue| format!("queue {queue}")),
        item.filter(|_| agent.is_some())
            .map(|item| format!("work item {item}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut head = format!("{at}  ");
    if !about.is_empty() {
        head.push_str(&format!("{}: ", about.join(", ")));
    }
    head.push_str(&trigger(decision));
    if let Some(key) = text(decision, "key").and_then(place) {
        head.push_str(&format!(" ({key})"));
    }
    head.push('.');
    let chosen: Vec<&str> = list(decision, "chosen")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match chosen.as_slice() {
        [] if item.is_none() => {}
        [] => head.push_str(" Chosen: nobody."),
        some => head.push_str(&format!(" Chosen: {}.", some.join(", "))),
    }
    let mut lines = vec![plain(&head)];
    // Whom was asked about comes first.
    let candidates = list(decision, "candidates");
    let is_agent = |candidate: &&Value| agent.is_some() && text(candidate, "agent") == agent;
    let own = candidates.iter().filter(is_agent);
    let others = candidates.iter().filter(|candidate| !is_agent(candidate));
    for candidate in own.chain(others) {
        lines.push(plain(&format!(
            "  {} {}",
            text(candidate, "agent").unwrap_or("?"),
            text(candidate, "verdict").unwrap_or("?")
        )));
    }
    if candidates.is_empty() {
        lines.push("  no agent is assigned to the queue".to_owned());
    }
    match number(decision, "more") {
        0 => {}
        more => lines.push(format!("  and {} not listed", plural(more, "agent"))),
    }
    lines.join("\n")
}

fn trigger(decision: &Value) -> String {
    match text(decision, "trigger") {
        Some("entered") => "the call entered".to_owned(),
        Some("requeued") => {
            "the call is back in its place, because the agent who was rung did not take it"
                .to_owned()
        }
        Some("agent-free") => "an agent became free".to_owned(),
        Some("timer") => "a delay or a pause ended".to_owned(),
        Some("caller-changed") => "another caller waits in its place".to_owned(),
        Some("configured") => "the configuration changed".to_owned(),
        Some(other) => other.to_owned(),
        None => "a decision".to_owned(),
    }
}

/// The place in the order, in words: `class 5, virtual start 17.250 s, number 7` is of no use with a clock that nobody sees.
fn place(key: &str) -> Option<String> {
    let mut class = None;
    let mut entry = None;
    for part in key.split(", ") {
        class = class.or(part.strip_prefix("class "));
        entry = entry.or(part.strip_prefix("number "));
    }
    let class = match class? {
        "5" => "ordinary priority".to_owned(),
        class => format!("priority class {class} (0 is first, 5 ordinary)"),
    };
    Some(match entry {
        Some(entry) => format!("{class}, entry {entry}"),
        None => class,
    })
}

fn caller(work: &Value) -> String {
    let caller = work.get("caller").unwrap_or(&Value::Null);
    let number = match text(caller, "number") {
        None | Some("") => "an anonymous caller",
        Some(number) => number,
    };
    match text(caller, "name") {
        None | Some("") => number.to_owned(),
        Some(name) => format!("{number} ({name})"),
    }
}

/// Why the call is where it is, in one sentence.
fn why_work(work: &Value, now: Timestamp) -> String {
    let who = caller(work);
    let queue = text(work, "queue").unwrap_or("?");
    let waited = wait_ms(number(work, "waited_ms"));
    let agents: Vec<&str> = list(work, "agents")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let agents = agents.join(", ");
    match text(work, "state") {
        Some("queued") => {
            let place = match number(work, "position") {
                0 => String::new(),
                place => format!(" at place {place}"),
            };
            let begin = format!("{who} has waited {waited} in {queue}{place}");
            let reason = text(work, "waits_for").unwrap_or_default();
            match text(work, "waits_code").unwrap_or_default() {
                _ if reason.is_empty() => format!("{begin}."),
                "next-step" => format!("{begin}: the next step gives it to a free agent."),
                "agents" => format!("{begin}, because {reason}."),
                _ => format!("{begin}, for {reason}."),
            }
        }
        Some("reserved" | "alerting") => {
            format!(
                "{who} does not wait for an agent any more: {agents} is being rung, after {waited} in {queue}."
            )
        }
        Some("connecting") => format!("{agents} has answered {who} and is being connected."),
        Some("connected") => {
            format!("{who} talks with {agents}, after waiting {waited} in {queue}.")
        }
        Some(state) => {
            let how = match state {
                "flowed-out" => "it left the queue by one of its rules",
                "timed-out" => "it reached the longest wait of the queue",
                "abandoned" => "it hung up",
                "withdrawn" => "it was taken out of the queue",
                "ended" => "it was served and was over",
                "failed" => "it was lost when the server stopped",
                other => other,
            };
            let when = list(work, "journey")
                .last()
                .and_then(|entry| time(entry, "at"))
                .map(|at| format!(" at {}", clock(at, now)))
                .unwrap_or_default();
            format!("{who} waits no more: {how}{when}, after {waited} in {queue}.")
        }
        None => format!("{who} is in {queue}."),
    }
}

/// What decides the place of a call in the order.
fn facts_of_work(work: &Value, now: Timestamp) -> String {
    let mut facts = Vec::new();
    if let Some(at) = time(work, "arrival") {
        facts.push(format!("called at {}", clock(at, now)));
    }
    match number(work, "class") {
        5 => {}
        class => facts.push(format!("priority class {class} (0 is first, 5 ordinary)")),
    }
    match number(work, "credit_ms") {
        0 => {}
        ms => facts.push(format!("counted as if it had waited {} more", wait_ms(ms))),
    }
    for need in list(work, "skills") {
        facts.push(format!(
            "needs {} at {} or more",
            text(need, "skill").unwrap_or("?"),
            number(need, "min")
        ));
    }
    match number(work, "bypassed") {
        0 => {}
        times => facts.push(format!(
            "passed over {} for want of an agent with its skills",
            plural(times, "time")
        )),
    }
    facts.join(", ")
}

/// Why the agent has no call, in one sentence.
fn why_agent(agent: &Value, decisions: &[Value], now: Timestamp) -> String {
    let extension = text(agent, "extension").unwrap_or("?");
    let who = match text(agent, "name") {
        Some(name) if name != extension && !name.is_empty() => format!("{extension} ({name})"),
        _ => extension.to_owned(),
    };
    let since = super::words::ago(agent, "since", now)
        .map(|ago| format!(" for {ago}"))
        .unwrap_or_default();
    let queue = text(agent, "queue").unwrap_or("a queue");
    let item = text(agent, "item").unwrap_or("a call");
    match text(agent, "state") {
        Some("logged-out") => format!("{who} gets no calls because they are logged out."),
        Some("unreachable") => {
            format!("{who} gets no calls because none of their devices has been reachable{since}.")
        }
        Some("not-ready") => match text(agent, "reason") {
            Some(reason) => {
                format!("{who} gets no calls because they have been not ready{since}: {reason}.")
            }
            None => format!("{who} gets no calls because they have been not ready{since}."),
        },
        Some("wrap") => {
            let until = match (time(agent, "wrap_until"), ahead(agent, "wrap_until", now)) {
                (Some(at), Some(left)) => format!(" until {}, {left} from now", clock(at, now)),
                _ => String::new(),
            };
            format!("{who} gets no calls because they wrap up {item} of {queue}{until}.")
        }
        Some("alerting") => format!("{who} is being rung for {item} of {queue}."),
        Some("talking") => {
            format!("{who} is not idle: they have been talking{since}, {item} of {queue}.")
        }
        Some("ready") => why_ready(agent, &who, extension, &since, decisions, now),
        Some(other) => format!("{who} is {other}."),
        None => format!("{who} is in no known state."),
    }
}

/// Ready, and yet without a call.
fn why_ready(
    agent: &Value,
    who: &str,
    extension: &str,
    since: &str,
    decisions: &[Value],
    now: Timestamp,
) -> String {
    let queues = list(agent, "queues");
    let on = queues
        .iter()
        .any(|queue| queue.get("enabled").and_then(Value::as_bool) != Some(false));
    if queues.is_empty() {
        return format!("{who} is ready but gets no calls because they serve no queue.");
    }
    if !on {
        return format!(
            "{who} is ready but gets no calls because they are logged out of every queue that they serve."
        );
    }
    let last = decisions.last();
    let of_last = last
        .map_or(&[][..], |last| list(last, "candidates"))
        .iter()
        .find(|one| text(one, "agent") == Some(extension))
        .and_then(|one| text(one, "code"));
    let at = last
        .and_then(|last| time(last, "at"))
        .map(|at| format!(" ({})", clock(at, now)))
        .unwrap_or_default();
    let because = text(agent, "idle_because").unwrap_or("is free");
    match (text(agent, "idle_code"), of_last) {
        // what keeps every call away, and what keeps away the first that waits
        (Some(code), _) if code != "nothing-waits" => match text(agent, "idle_item") {
            Some(item) => format!(
                "{who} is ready{since} and has no call: {item} waits first, and {extension} {because}."
            ),
            None => {
                format!("{who} is ready{since} and gets no calls, because {extension} {because}.")
            }
        },
        (_, Some("after-chosen")) => {
            let taken: Vec<&str> = last
                .map_or(&[][..], |last| list(last, "chosen"))
                .iter()
                .filter_map(Value::as_str)
                .collect();
            format!(
                "{who} is ready and idle{since} because the last call{at} went to {}, who came first in the queue's strategy, and nothing else waits.",
                taken.join(", ")
            )
        }
        _ => format!("{who} is ready and idle{since} because nothing waits that they may take."),
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
