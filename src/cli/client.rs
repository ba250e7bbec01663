//! The calls that ask a running server through its API.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::check::load;
use super::tables::{self, Kind};
use super::words::{list, plain, text};
use super::{ConfigArgs, FAULT, WRONG, complain, ladder, past, say, why};
use crate::base::{Network, Ulid};

/// Largest capture file that is fetched: as much as the memory for ladders may hold.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same when millions of numbers are sent.
const IMPORT_PATIENCE: Duration = Duration::from_secs(150);

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
    /// The answer of the API as JSON, instead of words
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
    /// `GET /records`
    Ended {
        /// The oldest that are shown.
        since: Option<Timestamp>,
        /// Most that are shown.
        limit: usize,
    },
    /// `GET /queues`
    Queues,
    /// `GET /agents`
    Agents,
    /// `GET /registrations`
    Registrations,
    /// `GET /trunks`
    Trunks,
    /// `GET /calls/{id}/ladder`
    Ladder {
        /// The call.
        id: String,
        /// With the text of every message.
        messages: bool,
    },
    /// `GET /bans`
    Bans,
    /// `POST /bans`
    Ban {
        /// Whom.
        source: Network,
        /// For how long.
        length: Duration,
        /// Whatever it is.
        force: bool,
    },
    /// `DELETE /bans/{source}`
    LiftBan(Network),
    /// `GET /registrations`, with what is needed to drop one
    Devices,
    /// `DELETE /registrations`
    DropDevices {
        /// Whose.
        aor: String,
        /// Which; all without it.
        contact: Option<String>,
    },
    /// `PUT /agents/{extension}/devices`
    Ring {
        /// Whose.
        extension: String,
        /// Which; all without it.
        contact: Option<String>,
        /// It rings, or not.
        on: bool,
    },
    /// `PUT /agents/{extension}/do-not-disturb`
    DoNotDisturb {
        /// Whose.
        extension: String,
        /// On, or off.
        on: bool,
    },
    /// `POST /trunks/{name}/register`
    RegisterTrunk(String),
    /// `GET /work/{id}/why` or `GET /agents/{extension}/why`
    Why(String),
}

impl Question {
    fn path_and_kind(&self) -> (&'static str, Kind) {
        match self {
            Question::Reload => ("reload", Kind::Reload),
            Question::Status => ("status", Kind::Status),
            Question::Calls => ("calls", Kind::Calls),
            Question::Ended { .. } => ("records", Kind::Ended),
            Question::Agents => ("agents", Kind::Agents),
            Question::Registrations => ("registrations", Kind::Registrations),
            Question::Devices
            | Question::DropDevices { .. }
            | Question::Ring { .. }
            | Question::DoNotDisturb { .. } => ("registrations", Kind::Devices),
            Question::Trunks | Question::RegisterTrunk(_) => ("trunks", Kind::Trunks),
            Question::Bans | Question::Ban { .. } | Question::LiftBan(_) => ("bans", Kind::Bans),
            Question::Queues | Question::Why(_) | Question::Ladder { .. } => {
                ("queues", Kind::Queues)
            }
        }
    }
}

/// Why there is nothing to show.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    exit: u8,
    /// HTTP status, when the server answered.
    status: Option<u16>,
    /// What it answered.
    document: Value,
}

impl Failure {
    pub(super) fn wrong(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            exit: WRONG,
            status: None,
            document: Value::Null,
        }
    }
}

/// Asks, and prints the answer.
pub fn ask(server: &ServerArgs, question: &Question) -> ExitCode {
    print(server, |client| answer(client, question, server.json))
}

/// Does something, and prints what it gives: as the API gave it, or in words.
pub(super) fn answered(
    server: &ServerArgs,
    ask: impl FnOnce(&Client) -> Result<(Value, String), Failure>,
) -> ExitCode {
    print(server, |client| {
        let (value, words) = ask(client)?;
        Ok(if server.json {
            value.to_string()
        } else {
            words
        })
    })
}

fn print(server: &ServerArgs, ask: impl FnOnce(&Client) -> Result<String, Failure>) -> ExitCode {
    let answer = Client::of(server).and_then(|client| ask(&client));
    match answer {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            match server.json && !failure.document.is_null() {
                true => say(&failure.document.to_string()),
                false => complain(&failure.message),
            }
            ExitCode::from(failure.exit)
        }
    }
}

/// An answer about configuration without what is drawn for terminals: programs have the fields.
fn without_drawings(mut answer: Value) -> Value {
    for field in ["problems", "warnings"] {
        let list = answer.get_mut(field).and_then(Value::as_array_mut);
        for one in list.into_iter().flatten().filter_map(Value::as_object_mut) {
            one.remove("shown");
        }
    }
    answer
}

fn answer(client: &Client, question: &Question, as_json: bool) -> Result<String, Failure> {
    if let Question::Why(subject) = question {
        return answer_why(client, subject, as_json);
    }
    if let Question::Ladder { id, messages } = question {
        return answer_ladder(client, id, *messages, as_json);
    }
    let (path, kind) = question.path_and_kind();
    let value = match question {
        Question::Reload => client.post(path)?,
        Question::Status => client.get(path)?,
        Question::Ended { since, limit } => client.newest(path, *since, *limit)?,
        Question::Ban {
            source,
            length,
            force,
        } => {
            let order = json!({ "source": source, "seconds": length.as_secs(), "force": force });
            json!({ "items": [client.post_json(path, &order)?] })
        }
        Question::LiftBan(source) => {
            client.delete(&format!("{path}/{}", segment(&source.to_string())))?;
            client.whole_list(path)?
        }
        Question::DropDevices { aor, contact } => {
            let one = contact.as_ref().map_or(String::new(), |contact| {
                format!("&contact={}", segment(contact))
            });
            client.delete(&format!("{path}?aor={}{one}", segment(aor)))?
        }
        Question::Ring {
            extension,
            contact,
            on,
        } => client.put_json(
            &format!("agents/{}/devices", segment(extension)),
            &json!({ "contact": contact, "ring": on }),
        )?,
        Question::DoNotDisturb { extension, on } => client.put_json(
            &format!("agents/{}/do-not-disturb", segment(extension)),
            &json!({ "on": on }),
        )?,
        Question::RegisterTrunk(name) => {
            json!({ "items": [client.post(&format!("{path}/{}/register", segment(name)))?] })
        }
        _ => client.whole_list(path)?,
    };
    Ok(if as_json {
        without_drawings(value).to_string()
    } else {
        tables::render(kind, &value, Timestamp::now())
    })
}

fn answer_why(client: &Client, subject: &str, as_json: bool) -> Result<String, Failure> {
    // Work items have ULIDs: 26 characters of Crockford's alphabet. Agents have extensions.
    if subject.parse::<Ulid>().is_err() {
        let subject = segment(subject);
        let decisions = client.get(&format!("agents/{subject}/why"))?;
        if as_json {
            return Ok(decisions.to_string());
        }
        let agent = client.get(&format!("agents/{subject}"))?;
        let decisions = decisions.as_array().map_or(&[][..], Vec::as_slice);
        return Ok(why::of_agent(&agent, decisions, Timestamp::now()));
    }
    let work = match client.get(&format!("work/{subject}")) {
        // People have the id of the call at hand, and it may have been in no queue, or be over for long.
        Err(failure) if failure.status == Some(404) => {
            if let Ok(call) = client.get(&format!("calls/{subject}")) {
                if !list(&call, "gates").is_empty() {
                    return Ok(match as_json {
                        true => call.to_string(),
                        false => format!(
                            "Call {subject} is in no queue.{}",
                            super::numbers::below(&call)
                        ),
                    });
                }
                return Err(Failure::wrong(format!(
                    "call {subject} is in no queue, so it waits for nobody"
                )));
            }
            let record = client
                .get(&format!("records/{subject}"))
                .map_err(|_| failure)?;
            return Ok(if as_json {
                record.to_string()
            } else {
                let told = past::of_record(&record, Timestamp::now());
                match list(&record, "queues") {
                    // nothing was ever decided
                    [] => told,
                    _ => format!(
                        "{told}\n\nNo decisions are in memory any more: this is what the record says."
                    ),
                }
            });
        }
        other => other?,
    };
    Ok(if as_json {
        work.get("why").unwrap_or(&Value::Null).to_string()
    } else {
        why::of_work(&work, Timestamp::now())
    })
}

/// The ladder of a call. When the call is over, its record stands above; when nothing is in memory, it is all that is left.
fn answer_ladder(
    client: &Client,
    id: &str,
    messages: bool,
    as_json: bool,
) -> Result<String, Failure> {
    let id = segment(id);
    let drawn = client.get(&format!("calls/{id}/ladder"));
    if as_json {
        return drawn.map(|drawn| drawn.to_string());
    }
    let record = client.get(&format!("records/{id}")).ok();
    let told = record.map(|record| past::of_record(&record, Timestamp::now()));
    match (drawn, told) {
        (Ok(drawn), None) => Ok(ladder::draw(&drawn, messages)),
        (Ok(drawn), Some(told)) => Ok(format!("{told}\n\n{}", ladder::draw(&drawn, messages))),
        (Err(failure), Some(told)) => Ok(format!("{told}\n\n{}", failure.message)),
        (Err(failure), None) => Err(failure),
    }
}

/// A path segment: what is not unreserved is percent-encoded (RFC 3986 §2.1).
pub(super) fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// A way to the API.
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    bearer: String,
    /// Where the token came from, for those whose token is not taken.
    token_from: String,
}

impl Client {
    fn of(server: &ServerArgs) -> Result<Client, Failure> {
        let given = |url: &String| url.trim_end_matches('/').to_owned();
        let (base, token, token_from) = match (&server.url, &server.token) {
            (Some(url), Some(token)) => (given(url), token.clone(), String::new()),
            (url, token) => {
                let directory = server.config.directory();
                let (listen, data_dir) = place(&directory)?;
                let base = match url {
                    Some(url) => given(url),
                    None => format!("http://{listen}"),
                };
                match token {
                    Some(token) => (base, token.clone(), String::new()),
                    None => {
                        let (token, from) = token_of(&data_dir)?;
                        (base, token, from)
                    }
                }
            }
        };
        Ok(Client {
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(PATIENCE))
                .build()
                .into(),
            base,
            bearer: format!("Bearer {}", token.trim()),
            token_from,
        })
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = self.agent.get(&url).header("Authorization", &self.bearer);
        self.taken(request.call())
    }

    fn post(&self, path: &str) -> Result<Value, Failure> {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = self.agent.post(&url).header("Authorization", &self.bearer);
        self.taken(request.send_empty())
    }

    fn post_json(&self, path: &str, order: &Value) -> Result<Value, Failure> {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = self.agent.post(&url).header("Authorization", &self.bearer);
        self.taken(request.send_json(order))
    }

    pub(super) fn put_json(&self, path: &str, order: &Value) -> Result<Value, Failure> {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = self.agent.put(&url).header("Authorization", &self.bearer);
        self.taken(request.send_json(order))
    }

    /// Large, and it may take a while.
    pub(super) fn post_text(&self, path: &str, text: &[u8]) -> Result<Value, Failure> {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = self
            .agent
            .post(&url)
            .config()
            .timeout_global(Some(IMPORT_PATIENCE))
            .build()
            .header("Authorization", &self.bearer)
            .header("Content-Type", "text/plain");
        self.taken(request.send(text))
    }

    pub(super) fn delete(&self, path: &str) -> Result<Value, Failure> {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = self
            .agent
            .delete(&url)
            .header("Authorization", &self.bearer);
        self.taken(request.call())
    }

    /// What is no JSON, as it is.
    fn file(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let url = format!("{}/api/v1/{path}", self.base);
        let request = self.agent.get(&url).header("Authorization", &self.bearer);
        match request.call() {
            Ok(mut response) if response.status().is_success() => response
                .body_mut()
                .with_config()
                .limit(FILE_BYTES_MAX)
                .read_to_vec()
                .map_err(|error| Failure::wrong(format!("the file was cut short: {error}"))),
            other => match self.taken(other) {
                Ok(_) => Err(Failure::wrong("the server sent no file")),
                Err(failure) => Err(failure),
            },
        }
    }

    /// A list with all its pages as one.
    pub(super) fn whole_list(&self, path: &str) -> Result<Value, Failure> {
        let mut whole = self.get(&format!("{path}?limit=1000"))?;
        while let Some(cursor) = text(&whole, "next").map(segment) {
            let page = self.get(&format!("{path}?limit=1000&cursor={cursor}"))?;
            let mut items = list(&whole, "items").to_vec();
            items.extend_from_slice(list(&page, "items"));
            whole = json!({ "items": items, "next": page.get("next") });
        }
        Ok(whole)
    }

    /// The newest items of a list that begins with them.
    fn newest(&self, path: &str, since: Option<Timestamp>, limit: usize) -> Result<Value, Failure> {
        let since = since.map_or(String::new(), |at| {
            format!("&since={}", segment(&at.to_string()))
        });
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let most = (limit - items.len()).min(1000);
            if most == 0 {
                break;
            }
            let page = self.get(&format!("{path}?limit={most}{since}{cursor}"))?;
            items.extend_from_slice(list(&page, "items"));
            match text(&page, "next") {
                Some(next) => cursor = format!("&cursor={}", segment(next)),
                None => break,
            }
        }
        Ok(json!({ "items": items }))
    }

    fn taken(
        &self,
        sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let body = sent.and_then(|mut response| {
            let status = response.status().as_u16();
            Ok((status, response.body_mut().read_to_string()?))
        });
        let (status, body) = body.map_err(|error| {
            Failure::wrong(format!(
                "no server answers at {}: {error}\nStart it with `strowger run`, or say where it is: --config DIR, or --url URL and --token TOKEN",
                self.base
            ))
        })?;
        let parsed = serde_json::from_str(&body);
        if status == 204 {
            return Ok(Value::Null);
        }
        if (200..300).contains(&status) {
            return parsed.map_err(|_| {
                Failure::wrong(format!(
                    "what answers at {} is no Strowger server; is the address right?",
                    self.base
                ))
            });
        }
        Err(refusal(
            status,
            &parsed.unwrap_or(Value::Null),
            &self.token_from,
        ))
    }
}

/// Fetches the capture file of a call and writes it.
pub(super) fn fetch_pcap(server: &ServerArgs, id: &str) -> Result<Vec<u8>, (String, u8)> {
    Client::of(server)
        .and_then(|client| client.file(&format!("calls/{}/pcap", segment(id))))
        .map_err(|failure| (failure.message, failure.exit))
}

/// What a refused request is told. RFC 9457: `detail` says what is wrong, `title` what kind of thing.
fn refusal(status: u16, problem: &Value, token_from: &str) -> Failure {
    let detail = text(problem, "detail")
        .or_else(|| text(problem, "title"))
        .map_or_else(|| format!("the server answered {status}"), plain);
    let message = match status {
        401 if token_from.is_empty() => {
            "the server does not take this token (--token or STROWGER_TOKEN); its own is in DATA-DIR/admin.token".to_owned()
        }
        401 => format!(
            "the server does not take the token of {token_from}: it serves another data directory; give its --config DIR or --token"
        ),
        // Refused by a reload: each problem as `strowger check` prints it.
        422 => list(problem, "problems")
            .iter()
            .filter_map(|one| text(one, "shown"))
            .map(str::trim_end)
            .chain([detail.as_str()])
            .collect::<Vec<_>>()
            .join("\n"),
        _ => detail,
    };
    Failure {
        message,
        exit: if status == 500 { FAULT } else { WRONG },
        status: Some(status),
        document: without_drawings(problem.clone()),
    }
}

/// Where the server of a directory listens, and its data directory. Only what is needed is read: a running server must be reachable
/// while another file is wrong.
fn place(directory: &Path) -> Result<(String, PathBuf), Failure> {
    let read = std::fs::read_to_string(directory.join("strowger.toml"));
    if let Some(table) = read.ok().and_then(|text| text.parse::<toml::Table>().ok()) {
        let found = |section: &str, key: &str| {
            table
                .get(section)
                .and_then(|section| section.get(key))
                .and_then(toml::Value::as_str)
        };
        return Ok((
            found("http", "listen")
                .unwrap_or("127.0.0.1:8080")
                .to_owned(),
            directory.join(found("server", "data-dir").unwrap_or("var")),
        ));
    }
    // it cannot be read: this says why
    match load(directory) {
        Some(settings) => Ok((settings.http.listen.to_string(), settings.server.data_dir)),
        None => Err(Failure::wrong(
            "so the server cannot be found: give --config DIR, or --url and --token",
        )),
    }
}

/// The token and the file that it is in.
fn token_of(data_dir: &Path) -> Result<(String, String), Failure> {
    let path = data_dir.join("admin.token");
    match std::fs::read_to_string(&path) {
        Ok(token) => Ok((token, path.display().to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Failure::wrong(format!(
                "{} may not be read by you; be the user that runs the server, or give --token",
                path.display()
            )))
        }
        Err(error) => Err(Failure::wrong(format!(
            "there is no {}: {error}\nThe server writes it at its first start: `strowger run`. For a server elsewhere give --url URL and --token TOKEN",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_stays_within_its_place_in_the_path() {
        assert_eq!(segment("1003"), "1003");
        assert_eq!(segment("../status?x"), "..%2Fstatus%3Fx");
    }

    #[test]
    fn a_refused_token_says_where_the_right_one_is() {
        let given = refusal(401, &Value::Null, "");
        assert!(given.message.contains("admin.token"), "{given:?}");
        let found = refusal(401, &Value::Null, "var/admin.token");
        assert!(found.message.contains("var/admin.token"), "{found:?}");
        assert_eq!(found.exit, WRONG);
    }

    #[test]
    fn a_refused_reload_prints_every_problem() {
        let problem = json!({
            "detail": "the configuration has errors; nothing was changed",
            "problems": [{ "shown": "one\n" }, { "shown": "two\n" }],
        });
        assert_eq!(
            refusal(422, &problem, "").message,
            "one\ntwo\nthe configuration has errors; nothing was changed"
        );
    }

    #[test]
    fn a_server_is_found_while_another_file_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("writable");
        };
        std::fs::create_dir(folder.path().join("queues")).expect("writable");
        write("queues/support.toml", "name = 7");
        write(
            "strowger.toml",
            "[server]\ndomain = \"x\"\n[http]\nlisten = \"127.0.0.1:1\"",
        );
        let (listen, data_dir) = place(folder.path()).expect("found");
        assert_eq!(listen, "127.0.0.1:1");
        assert_eq!(data_dir, folder.path().join("var"));
        write("strowger.toml", "[server");
        assert!(place(folder.path()).is_err());
    }

    #[test]
    fn only_a_fault_of_the_server_exits_with_70() {
        assert_eq!(refusal(500, &json!({ "detail": "x" }), "").exit, 70);
        assert_eq!(refusal(503, &json!({ "detail": "x" }), "").exit, 1);
        assert_eq!(
            refusal(404, &Value::Null, "").message,
            "the server answered 404"
        );
    }
}
