//! A child process that cannot outlive its test, with its output in a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::wait_for;

/// How much of a log is printed when a test fails.
const LOG_TAIL_LINES: usize = 120;

/// A running child. Dropping kills it, by its id; if the test process itself dies, the kernel kills it (parent-death signal): an orphaned
/// phone would register again and answer the next test's calls.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    finished: Option<ExitStatus>,
}

impl Process {
    /// Starts `program` in `directory` with its output in `directory/NAME.log`. Call it on the test's own thread: the parent-death signal is
    /// tied to the thread that started the child.
    pub fn start(name: &str, program: &str, arguments: &[String], directory: &Path) -> Process {
        let log = directory.join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", program])
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle of the log"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|fault| panic!("{name}: `{program}` under setpriv does not start: {fault} (run scripts/test-deps.sh)"));
        Process {
            name: name.to_string(),
            child,
            log,
            finished: None,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// `Some` once it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.finished.is_none() {
            self.finished = self.child.try_wait().expect("a child of ours");
        }
        self.finished
    }

    /// Waits until a line of its output begins with `prefix` and gives that line.
    #[track_caller]
    pub fn wait_for_line(&mut self, prefix: &str, limit: Duration) -> String {
        let what = format!("{} to print a line that begins with `{prefix}`", self.name);
        wait_for(&what, limit, || {
            let log = self.log();
            if let Some(line) = log
                .lines()
                .rev()
                .find(|line| line.trim_start().starts_with(prefix))
            {
                return Some(line.to_string());
            }
            if let Some(status) = self.status() {
                panic!(
                    "{} ended with {status} before it printed `{prefix}`",
                    self.name
                );
            }
            None
        })
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        wait_for(&what, limit, || self.status())
    }

    /// Sends a signal by name (`TERM`, `HUP`, `KILL`), to this process alone.
    pub fn signal(&mut self, signal: &str) {
        if self.status().is_none() {
            let sent = Command::new("kill")
                .args([&format!("-{signal}"), &self.id().to_string()])
                .status();
            assert!(
                sent.is_ok_and(|s| s.success()),
                "{}: kill -{signal}",
                self.name
            );
        }
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&mut self) {
        if self.status().is_none() {
            // An error here means that it has just ended by itself.
            let _ = self.child.kill();
            self.finished = Some(self.child.wait().expect("a child of ours"));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.len().saturating_sub(LOG_TAIL_LINES);
            eprintln!(
                "---- {} (last {} of {} lines)\n{}",
                self.name,
                lines.len() - tail,
                lines.len(),
                lines[tail..].join("\n")
            );
        }
    }
}
