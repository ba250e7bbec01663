//! The calls that ask a running server through its API.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::check::load;
use super::{ConfigArgs, WRONG, complain, say};

/// Which server to ask.
#[derive(Debug, Args)]
pub struct ServerArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Base address of the API [default: from strowger.toml]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Token of the API [default: admin.token in the data directory]
    #[arg(long, env = "STROWGER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// What to ask.
#[derive(Debug)]
pub enum Question {
    /// `POST /reload`
    Reload,
    /// `GET /status`
    Status,
    /// `GET /calls`
    Calls,
    /// `GET /queues`
    Queues,
    /// `GET /agents`
    Agents,
    /// `GET /registrations`
    Registrations,
    /// `GET /trunks`
    Trunks,
    /// `GET /work/{id}/why` or `GET /agents/{extension}/why`
    Why(String),
}

impl Question {
    fn path(&self) -> String {
        match self {
            Question::Reload => "reload".to_owned(),
            Question::Status => "status".to_owned(),
            Question::Calls => "calls".to_owned(),
            Question::Queues => "queues".to_owned(),
            Question::Agents => "agents".to_owned(),
            Question::Registrations => "registrations".to_owned(),
            Question::Trunks => "trunks".to_owned(),
            // Work items have ULIDs: 26 characters of Crockford's alphabet.
            Question::Why(subject) if subject.parse::<crate::base::Ulid>().is_ok() => {
                format!("work/{subject}/why")
            }
            Question::Why(subject) => format!("agents/{subject}/why"),
        }
    }
}

/// Asks, and prints the answer.
pub fn ask(server: &ServerArgs, question: &Question) -> ExitCode {
    match answer(server, question) {
        Ok(value) => {
            let text = if server.json {
                value.to_string()
            } else {
                match question {
                    Question::Why(_) => decisions(&value),
                    _ => table(&value),
                }
            };
            say(&text);
            ExitCode::SUCCESS
        }
        Err(message) => {
            complain(&message);
            ExitCode::from(WRONG)
        }
    }
}

fn answer(server: &ServerArgs, question: &Question) -> Result<Value, String> {
    let (base, token) = match (&server.url, &server.token) {
        (Some(url), Some(token)) => (url.trim_end_matches('/').to_owned(), token.clone()),
        (url, token) => {
            let directory = server.config.directory();
            let settings = load(&directory).ok_or("so the server cannot be found")?;
            let base = match url {
                Some(url) => url.trim_end_matches('/').to_owned(),
                None => format!("http://{}", settings.http.listen),
            };
            let token = match token {
                Some(token) => token.clone(),
                None => token_of(&settings.server.data_dir)?,
            };
            (base, token)
        }
    };
    let url = format!("{base}/api/v1/{}", question.path());
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(std::time::Duration::from_secs(30)))
        .build()
        .into();
    let bearer = format!("Bearer {}", token.trim());
    let sent = match question {
        Question::Reload => agent
            .post(&url)
            .header("Authorization", &bearer)
            .send_empty(),
        _ => agent.get(&url).header("Authorization", &bearer).call(),
    };
    let mut response = sent.map_err(|error| format!("no answer from {url}: {error}"))?;
    let status = response.status();
    let text = response
        .body_mut()
        .read_to_string()
        .map_err(|error| format!("no answer from {url}: {error}"))?;
    let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if status.is_success() {
        return Ok(value);
    }
    // RFC 9457: `detail` says what is wrong, `title` what kind of thing.
    let detail = value
        .get("detail")
        .or_else(|| value.get("title"))
        .and_then(Value::as_str)
        .map_or_else(|| value.to_string(), str::to_owned);
    Err(format!("{status}: {detail}"))
}

fn token_of(data_dir: &Path) -> Result<String, String> {
    let path = data_dir.join("admin.token");
    std::fs::read_to_string(&path).map_err(|error| {
        format!(
            "cannot read the API's token in {}: {error} (has the server been started? else give --token)",
            path.display()
        )
    })
}

/// Columns that stand first where a list has them; the rest follows by name.
const COLUMNS_FIRST: &[&str] = &[
    "aor",
    "extension",
    "name",
    "direction",
    "from",
    "to",
    "state",
    "strategy",
    "waiting",
    "contact",
    "transport",
    "source",
];

/// A list of objects as a table, anything else as indented JSON.
fn table(value: &Value) -> String {
    let rows = match value {
        Value::Array(rows) => Some(rows),
        Value::Object(object) => object.get("items").and_then(Value::as_array),
        _ => None,
    };
    let Some(rows) = rows else {
        return serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    };
    let Some(Value::Object(first)) = rows.first() else {
        return "none".to_owned();
    };
    // Columns are what every row can show on one line; what people look for stands first.
    let mut columns: Vec<&String> = first
        .iter()
        .filter(|(_, value)| cell(value).is_some())
        .map(|(name, _)| name)
        .collect();
    columns.sort_by_key(|name| {
        let place = COLUMNS_FIRST.iter().position(|first| first == name);
        place.unwrap_or(COLUMNS_FIRST.len())
    });
    let mut lines: Vec<Vec<String>> =
        vec![columns.iter().map(|name| name.replace('_', " ")).collect()];
    for row in rows {
        lines.push(
            columns
                .iter()
                .map(|column| {
                    let value = row.get(column.as_str()).unwrap_or(&Value::Null);
                    cell(value).unwrap_or_else(|| "-".to_owned())
                })
                .collect(),
        );
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|index| {
            lines
                .iter()
                .filter_map(|line| line.get(index))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    lines
        .iter()
        .map(|line| {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// What a cell shows of a value: itself, or the number of a party; lists and other objects have no cell.
fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("-".to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Object(object) => object.get("number")?.as_str().map(str::to_owned),
        Value::Array(_) => None,
        other => Some(other.to_string()),
    }
}

/// Decisions of the ACD, newest last: when and why it looked, whom it chose, and the verdict on each agent.
fn decisions(value: &Value) -> String {
    let rows = match value {
        Value::Array(rows) => rows,
        Value::Object(object) => match object.get("items").and_then(Value::as_array) {
            Some(rows) => rows,
            None => return table(value),
        },
        _ => return table(value),
    };
    if rows.is_empty() {
        return "no decision yet".to_owned();
    }
    let text = |row: &Value, name: &str| {
        row.get(name)
            .and_then(cell)
            .unwrap_or_else(|| "-".to_owned())
    };
    let mut lines = Vec::new();
    for row in rows {
        let mut line = format!("{}  {}", text(row, "at"), text(row, "trigger"));
        for name in ["queue", "item", "key"] {
            let shown = text(row, name);
            if !matches!(shown.as_str(), "-" | "") {
                line.push_str(&format!("  {name} {shown}"));
            }
        }
        let chosen: Vec<&str> = row
            .get("chosen")
            .and_then(Value::as_array)
            .map(|agents| agents.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let outcome = if chosen.is_empty() {
            "nobody".to_owned()
        } else {
            chosen.join(", ")
        };
        line.push_str(&format!("  -> {outcome}"));
        lines.push(line);
        for candidate in row
            .get("candidates")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            lines.push(format!(
                "    {}: {}",
                text(candidate, "agent"),
                text(candidate, "verdict")
            ));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_tables_and_the_rest_is_json() {
        let list = json!({ "items": [
            { "name": "support", "waiting": 3, "agents": [] },
            { "name": "sales", "waiting": null, "agents": [] },
        ]});
        assert_eq!(table(&list), "name     waiting\nsupport  3\nsales    -");
        assert_eq!(table(&json!([])), "none");
        assert_eq!(table(&json!({ "ready": true })), "{\n  \"ready\": true\n}");
    }

    #[test]
    fn parties_show_their_number_and_come_first() {
        let list = json!([{ "answered_at": null, "from": { "number": "1001", "name": "Ada" }, "legs": [], "to": { "number": "1002" } }]);
        assert_eq!(table(&list), "from  to    answered at\n1001  1002  -");
    }

    #[test]
    fn decisions_name_every_candidate_with_its_verdict() {
        let list = json!([{ "at": "12:00", "trigger": "entered", "item": null, "queue": "support", "key": "class 5",
            "candidates": [{ "agent": "1003", "verdict": "in wrap-up" }], "more": 0, "chosen": [] }]);
        assert_eq!(
            decisions(&list),
            "12:00  entered  queue support  key class 5  -> nobody\n    1003: in wrap-up"
        );
        assert_eq!(decisions(&json!([])), "no decision yet");
    }

    #[test]
    fn why_tells_work_from_agents() {
        let path = |subject: &str| Question::Why(subject.to_owned()).path();
        assert_eq!(path("1003"), "agents/1003/why");
        assert_eq!(
            path("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            "work/01ARZ3NDEKTSV4RRFFQ69G5FAV/why"
        );
    }
}
