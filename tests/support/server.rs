//! The real binary, on a configuration of its own, on addresses of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use super::api::Api;
use super::lab::Lab;
use super::process::Process;
use super::wait_for;

const START_LIMIT: Duration = Duration::from_secs(20);

/// A server that runs, or ran: `kill9` and `restart` keep its files.
pub struct Server {
    pub lab: Lab,
    folder: tempfile::TempDir,
    process: Option<Process>,
    api: Option<Api>,
    /// `NAME=value` for the server alone.
    variables: Vec<String>,
}

impl Server {
    /// Writes the lab's files to a new folder.
    pub fn prepare(lab: Lab) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Server {
            lab,
            folder,
            process: None,
            api: None,
            variables: Vec::new(),
        };
        server.write_files();
        server
    }

    /// Prepares and starts the server; returns when it says `ready`.
    #[track_caller]
    pub fn start(lab: Lab) -> Server {
        let mut server = Server::prepare(lab);
        server.restart();
        server
    }

    /// Sets a variable in the environment of the server, which the commands beside it do not have.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push(format!("{name}={value}"));
    }

    /// Writes the lab's files (again).
    pub fn write_files(&self) {
        for (name, text) in self.lab.files() {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
            std::fs::write(path, text).expect("writable");
        }
    }

    /// Starts it again on the same files.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process = None;
        let folder = self.folder.path().display().to_string();
        let own = [env!("CARGO_BIN_EXE_strowger"), "run", "--config", &folder].map(String::from);
        let arguments: Vec<String> = self.variables.iter().cloned().chain(own).collect();
        let mut process = Process::start("strowger", "env", &arguments, self.folder.path());
        // The log is appended to, so an earlier life's line must not be taken for this one's.
        let lives = self.lives() + 1;
        wait_for("the server to print `ready`", START_LIMIT, || {
            if let Some(status) = process.status() {
                panic!(
                    "the server ended with {status} before it was ready:\n{}",
                    process.log()
                );
            }
            (ready_lines(&process.log()) >= lives).then_some(())
        });
        std::fs::write(self.path("lives"), lives.to_string()).expect("writable");
        let token = std::fs::read_to_string(self.path("var/admin.token"))
            .expect("the first start writes the admin token");
        self.api = Some(Api::new((self.lab.server, 8080).into(), &token));
        self.process = Some(process);
    }

    fn lives(&self) -> usize {
        std::fs::read_to_string(self.path("lives"))
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// SIGKILL: no word, no flush. Gone when this returns.
    pub fn kill9(&mut self) {
        self.process.as_mut().expect("it runs").kill();
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// A path in the configuration folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn api(&self) -> &Api {
        self.api.as_ref().expect("it has started once")
    }

    /// Runs the command beside the server, on its configuration: `command(&["why", "1001"])`.
    pub fn command(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_strowger"))
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path())
            .current_dir(self.folder.path())
            .output()
            .expect("the binary starts")
    }

    /// Waits until `extension` has `count` registered devices.
    #[track_caller]
    pub fn wait_registered(&self, extension: &str, count: usize) -> Vec<Value> {
        let prefix = format!("{extension}@");
        wait_for(
            &format!("{count} devices of {extension} to be registered"),
            Duration::from_secs(10),
            || {
                let mut found = self.api().list("/registrations");
                found.retain(|r| {
                    r["aor"]
                        .as_str()
                        .is_some_and(|aor| aor.starts_with(&prefix))
                });
                (found.len() == count).then_some(found)
            },
        )
    }

    /// Waits until no call, leg, media port is left behind.
    #[track_caller]
    pub fn wait_idle(&self) {
        wait_for(
            "no call, no leg and no port to be left",
            Duration::from_secs(45),
            || {
                let status = self.api().get("/status");
                ["calls", "legs", "ports"]
                    .iter()
                    .all(|field| status[field] == 0)
                    .then_some(())
            },
        );
    }

    /// An agent logs in and is ready.
    #[track_caller]
    pub fn agent_ready(&self, extension: &str) {
        self.api().put(
            &format!("/agents/{extension}/session"),
            &serde_json::json!({ "session": "in" }),
        );
        self.api().put(
            &format!("/agents/{extension}/status"),
            &serde_json::json!({ "status": "ready" }),
        );
    }

    /// The call records in the database, oldest first.
    #[track_caller]
    pub fn call_records(&self) -> Vec<Value> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(self.path("var/strowger.db"), flags)
            .expect("the server's database");
        let mut rows = database
            .prepare("SELECT json FROM call_records ORDER BY id")
            .expect("its table of call records");
        let texts = rows
            .query_map([], |row| row.get::<_, String>(0))
            .expect("a query")
            .map(|row| row.expect("a row"));
        texts
            .map(|text| serde_json::from_str(&text).expect("a record is JSON"))
            .collect()
    }

    /// Waits until there are `count` call records and gives them.
    #[track_caller]
    pub fn wait_records(&self, count: usize) -> Vec<Value> {
        wait_for(
            &format!("{count} call records"),
            Duration::from_secs(10),
            || {
                let records = self.call_records();
                assert!(
                    records.len() <= count,
                    "more than {count} records: {records:#?}"
                );
                (records.len() == count).then_some(records)
            },
        )
    }
}

fn ready_lines(log: &str) -> usize {
    log.lines().filter(|line| line.starts_with("ready")).count()
}
