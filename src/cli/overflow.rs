//! What `strowger queues` says of overflow: who waits too long, where callers went, and by which rule.

use serde_json::Value;

use super::words::{list, number, plain, plural, text};

/// Who waits: `5 of 10 (1 rung, 2 late)`.
pub(super) fn waiting(queue: &Value) -> String {
    let mut out = number(queue, "waiting").to_string();
    if let Some(most) = queue.get("max_waiting").and_then(Value::as_u64) {
        out += &format!(" of {most}");
    }
    let parts: Vec<String> = [("alerting", "rung"), ("waiting_late", "late")]
        .into_iter()
        .filter_map(|(field, word)| match number(queue, field) {
            0 => None,
            some => Some(format!("{some} {word}")),
        })
        .collect();
    match parts.as_slice() {
        [] => out,
        some => format!("{out} ({})", some.join(", ")),
    }
}

/// Callers who left by a rule, or because the longest wait was over.
pub(super) fn went_on(counters: &Value) -> String {
    (number(counters, "flowed_out") + number(counters, "timed_out")).to_string()
}

/// The rules of all queues that have some, and what else made callers leave.
pub(super) fn rules(queues: &[Value]) -> String {
    let mut out = String::new();
    for queue in queues {
        let name = plain(text(queue, "name").unwrap_or("-"));
        for rule in list(queue, "overflow") {
            let when = text(rule, "when").unwrap_or("-");
            let then = match text(rule, "then") {
                None | Some("") => "the next step of the dialplan",
                Some(then) => then,
            };
            let now = match rule.get("holds").and_then(Value::as_bool) {
                Some(true) => ", holds now",
                _ => "",
            };
            let taken = plural(number(rule, "taken"), "caller");
            out += &format!(
                "\n{name}, {}: {taken} went to {}{now}",
                plain(when),
                plain(then)
            );
        }
        for (reason, count) in others(queue) {
            out += &format!(
                "\n{name}, {}: {} went on with the dialplan",
                plain(&reason),
                plural(count, "caller")
            );
        }
    }
    match out.is_empty() {
        true => out,
        false => format!("\n{out}"),
    }
}

/// Flow-outs for which no rule stands in the file (any more).
fn others(queue: &Value) -> Vec<(String, u64)> {
    let counters = queue
        .get("metrics")
        .and_then(|metrics| metrics.get("counters"))
        .unwrap_or(&Value::Null);
    let has_rule = |reason: &str| {
        list(queue, "overflow")
            .iter()
            .filter_map(|rule| text(rule, "when"))
            .any(|when| when.split(' ').next() == Some(reason))
    };
    let mut found: Vec<(String, u64)> = counters
        .get("flowed_out_by")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(reason, count)| Some((reason.clone(), count.as_u64()?)))
        .filter(|(reason, _)| !has_rule(reason))
        .collect();
    let timed_out = number(counters, "timed_out");
    if timed_out > 0 && !has_rule("max-wait") {
        found.push(("max-wait".to_owned(), timed_out));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn where_callers_went_is_told_by_rule_and_without_one() {
        let queue = json!({
            "name": "support", "waiting": 5, "alerting": 1, "waiting_late": 2, "max_waiting": 10,
            "overflow": [
                { "when": "nobody-logged-in", "holds": true, "taken": 3, "then": "play nobody, hangup normal (480)" },
                { "when": "waited 300s", "holds": false, "taken": 1, "then": "" },
            ],
            "metrics": { "counters": {
                "flowed_out": 6, "timed_out": 2,
                "flowed_out_by": { "nobody-logged-in": 3, "waited": 1, "full": 2 },
            } },
        });
        assert_eq!(waiting(&queue), "5 of 10 (1 rung, 2 late)");
        assert_eq!(went_on(&queue["metrics"]["counters"]), "8");
        assert_eq!(
            rules(&[queue]),
            "\n\nsupport, nobody-logged-in: 3 callers went to play nobody, hangup normal (480), holds now\n\
             support, waited 300s: 1 caller went to the next step of the dialplan\n\
             support, full: 2 callers went on with the dialplan\n\
             support, max-wait: 2 callers went on with the dialplan"
        );
        assert_eq!(rules(&[json!({ "name": "quiet" })]), "");
    }
}
