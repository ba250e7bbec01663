//! SIPp with scenarios of `tests/scenarios`: carriers, odd flows and load. `{{name}}` in a scenario is filled in by [`Sipp::set`],
//! `{{>part}}` is a file of `tests/scenarios/parts`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ear::Ear;
use super::process::Process;

/// What a scenario will be run with.
pub struct Sipp {
    scenario: String,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    tcp: bool,
    values: Vec<(String, String)>,
    users: Option<String>,
    calls: u32,
    rate: Option<u32>,
    at_once: Option<u32>,
    timeout: Duration,
}

/// A SIPp that runs.
pub struct Running {
    process: Process,
    folder: tempfile::TempDir,
    name: String,
    timeout: Duration,
}

impl Sipp {
    /// `scenario` is the name of a file in `tests/scenarios`, without `.xml`. One call, 30 s.
    pub fn new(scenario: &str, local: SocketAddr) -> Sipp {
        Sipp {
            scenario: scenario.to_string(),
            local,
            remote: None,
            tcp: false,
            values: Vec::new(),
            users: None,
            calls: 1,
            rate: None,
            at_once: None,
            timeout: Duration::from_secs(30),
        }
    }

    /// Where to call; absent for those who are called.
    pub fn to(mut self, remote: SocketAddr) -> Sipp {
        self.remote = Some(remote);
        self
    }

    pub fn tcp(mut self) -> Sipp {
        self.tcp = true;
        self
    }

    /// Fills in `{{name}}`.
    pub fn set(mut self, name: &str, value: impl ToString) -> Sipp {
        self.values.push((name.to_string(), value.to_string()));
        self
    }

    /// Fills in `{{name}}` with something else than was set before.
    #[track_caller]
    pub fn overriding(mut self, name: &str, value: impl ToString) -> Sipp {
        let before = self.values.len();
        self.values.retain(|(known, _)| known != name);
        assert!(self.values.len() < before, "`{name}` was not set before");
        self.set(name, value)
    }

    /// The media address of the SDP.
    pub fn ear(self, ear: &Ear) -> Sipp {
        let address = ear.address();
        self.set("media_ip", address.ip())
            .set("media_port", address.port())
    }

    /// Lines of an injection file, `[field0]` and so on in the scenario, one line a call.
    pub fn users(mut self, lines: impl IntoIterator<Item = String>) -> Sipp {
        let mut text = String::from("SEQUENTIAL\n");
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        self.users = Some(text);
        self
    }

    /// Ends after that many calls.
    pub fn calls(mut self, calls: u32) -> Sipp {
        self.calls = calls;
        self
    }

    /// New calls per second.
    pub fn rate(mut self, rate: u32) -> Sipp {
        self.rate = Some(rate);
        self
    }

    /// Calls that may be up at a time.
    pub fn at_once(mut self, calls: u32) -> Sipp {
        self.at_once = Some(calls);
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Sipp {
        self.timeout = timeout;
        self
    }

    /// Starts it.
    #[track_caller]
    pub fn start(self) -> Running {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/scenarios")
            .join(format!("{}.xml", self.scenario));
        let mut text = with_parts(&source);
        for (name, value) in &self.values {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        if let Some(at) = text.find("{{") {
            let rest: String = text[at..].chars().take(40).collect();
            panic!("scenario {}: nobody filled in {rest}", self.scenario);
        }
        let scenario = folder.path().join("scenario.xml");
        std::fs::write(&scenario, text).expect("writable");
        let mut arguments: Vec<String> = Vec::new();
        arguments.extend(self.remote.map(|remote| remote.to_string()));
        let mut option = |name: &str, value: String| arguments.extend([name.to_string(), value]);
        option("-sf", scenario.display().to_string());
        option("-i", self.local.ip().to_string());
        option("-p", self.local.port().to_string());
        option("-m", self.calls.to_string());
        option("-t", if self.tcp { "t1" } else { "u1" }.to_string());
        option("-timeout", format!("{}s", self.timeout.as_secs().max(1)));
        option(
            "-message_file",
            folder.path().join("messages.log").display().to_string(),
        );
        option(
            "-error_file",
            folder.path().join("errors.log").display().to_string(),
        );
        option(
            "-log_file",
            folder.path().join("actions.log").display().to_string(),
        );
        option("-cid_str", format!("%u-%p-{}@%s", self.scenario));
        // By itself SIPp proves itself for another URI than the one it asks for.
        let value = |name: &str| {
            self.values
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        match (value("callee"), value("domain")) {
            (Some(callee), Some(domain)) => option("-auth_uri", format!("{callee}@{domain}")),
            (None, Some(domain)) => option("-auth_uri", domain.to_string()),
            _ => {}
        }
        if let Some(rate) = self.rate {
            option("-r", rate.to_string());
        }
        if let Some(calls) = self.at_once {
            option("-l", calls.to_string());
        }
        if let Some(users) = self.users {
            let file = folder.path().join("users.csv");
            std::fs::write(&file, users).expect("writable");
            option("-inf", file.display().to_string());
        }
        for flag in [
            "-nostdin",
            "-timeout_error",
            "-trace_msg",
            "-trace_err",
            "-trace_logs",
        ] {
            arguments.push(flag.to_string());
        }
        let name = format!("sipp-{}-{}", self.scenario, self.local.port());
        let process = Process::start(&name, "sipp", &arguments, folder.path());
        let mut running = Running {
            process,
            folder,
            name,
            timeout: self.timeout,
        };
        if self.remote.is_none() {
            // One who is called must listen before anyone calls.
            let local = self.local;
            super::wait_for("SIPp to listen", Duration::from_secs(5), || {
                assert!(
                    running.process.status().is_none(),
                    "{} ended at once:\n{}",
                    running.name,
                    running.process.log()
                );
                listens(local, self.tcp).then_some(())
            });
        }
        running
    }

    /// Starts it and waits for its success.
    #[track_caller]
    pub fn run(self) -> Running {
        let mut running = self.start();
        running.succeed();
        running
    }
}

impl Running {
    /// Waits for the end; every call must have gone as the scenario says.
    #[track_caller]
    pub fn succeed(&mut self) {
        let status = self.process.wait(self.timeout + Duration::from_secs(10));
        assert!(
            status.success(),
            "{}: a call did not go as the scenario says ({status})",
            self.name
        );
    }

    /// `Some(true)` after success, `None` while it runs.
    pub fn outcome(&mut self) -> Option<bool> {
        self.process.status().map(|status| status.success())
    }

    /// Kills it, as a phone that loses its power.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// All messages that it sent and received.
    pub fn messages(&self) -> String {
        self.read("messages.log")
    }

    /// What did not fit the scenario.
    pub fn errors(&self) -> String {
        self.read("errors.log")
    }

    /// The file with the lines of `<log>`, for [`Ear::follow`].
    pub fn actions(&self) -> PathBuf {
        self.folder.path().join("actions.log")
    }

    /// Waits until a message log contains `text`.
    #[track_caller]
    pub fn wait_for_message(&self, text: &str, limit: Duration) {
        super::wait_for(&format!("`{text}` at {}", self.name), limit, || {
            self.messages().contains(text).then_some(())
        });
    }

    fn read(&self, file: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join(file)).unwrap_or_default())
            .into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.process.kill();
            eprintln!(
                "---- {}: errors\n{}\n---- {}: messages\n{}",
                self.name,
                self.errors(),
                self.name,
                self.messages()
            );
        }
    }
}

/// The text of a scenario with its parts (`{{>NAME}}`, from `tests/scenarios/parts`) put in.
fn with_parts(file: &Path) -> String {
    let text =
        std::fs::read_to_string(file).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
    let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/parts");
    let mut pieces = text.split("{{>");
    let mut whole = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").expect("`{{>NAME}}` is closed");
        whole.push_str(&with_parts(&parts.join(name)));
        whole.push_str(rest);
    }
    whole
}

/// Is the socket in the kernel's table? A probe by binding would take the port away for a moment.
fn listens(local: SocketAddr, tcp: bool) -> bool {
    let std::net::IpAddr::V4(ip) = local.ip() else {
        return true;
    };
    let row = format!(
        " {:08X}:{:04X} ",
        u32::from_ne_bytes(Ipv4Addr::octets(&ip)),
        local.port()
    );
    let table = if tcp {
        "/proc/net/tcp"
    } else {
        "/proc/net/udp"
    };
    std::fs::read_to_string(table).is_ok_and(|text| text.contains(&row))
}
