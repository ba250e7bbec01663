//! Configuration as operators meet it: the shipped example, the wording of problems, routes, differences, and the interpreter on read files.

mod bad_guard;
mod bad_values;
mod dialplan_page;
mod diff;
mod outbound;
mod queues;
mod registration;
mod route;
mod run;
mod tls;

use std::path::Path;

use strowger::config::{self, Problem, Settings};

/// Files of a configuration directory.
pub struct House(Vec<(String, String)>);

/// A small directory that is fine.
pub fn house() -> House {
    let files = [
        (
            "strowger.toml",
            "[server]\ndomain = \"pbx.test\"\n\n[http]\n\n[store]\n\n[media]\n\n[log]\n",
        ),
        (
            "sip-profiles/internal.toml",
            "name = \"internal\"\nlisten = \"udp:127.0.0.1:5060\"\ndialplan = \"internal\"\nauth = \"digest\"\n",
        ),
        (
            "sip-profiles/external.toml",
            "name = \"external\"\nlisten = \"udp:127.0.0.1:5080\"\ndialplan = \"inbound\"\nauth = \"trunk\"\n\n[[trunk]]\nname = \"acme\"\nproxy = \"sip:127.0.0.2\"\n",
        ),
        (
            "dialplans/internal.toml",
            "context = \"internal\"\n\n[[rule]]\nnumber = \"{ext:4}\"\ndo = [ { dial = \"{ext}\" } ]\n",
        ),
        (
            "dialplans/inbound.toml",
            "context = \"inbound\"\n\n[[rule]]\nname = \"support line\"\nnumber = \"+442071838750\"\ndo = [ { queue = \"support\" } ]\n",
        ),
        (
            "directory/people.toml",
            "[[user]]\nextension = \"1001\"\nname = \"Ada Example\"\npassword = \"secret-1001\"\n",
        ),
        (
            "queues/support.toml",
            "name = \"support\"\nagents = [ { extension = \"1001\" } ]\n",
        ),
    ];
    House(
        files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect(),
    )
}

impl House {
    /// Replaces a text that must be there; an empty one appends.
    #[track_caller]
    pub fn change(&mut self, path: &str, old: &str, new: &str) {
        let (_, text) = self
            .0
            .iter_mut()
            .find(|(name, _)| name == path)
            .expect("a file of the house");
        if old.is_empty() {
            text.push_str(new);
            text.push('\n');
        } else {
            assert!(text.contains(old), "{path} does not contain `{old}`");
            *text = text.replacen(old, new, 1);
        }
    }

    /// Adds or replaces a file.
    pub fn file(&mut self, path: &str, text: &str) {
        self.0.retain(|(name, _)| name != path);
        self.0.push((path.to_owned(), text.to_owned()));
    }

    /// Loads it, with an empty environment.
    pub fn load(&self) -> Result<Settings, Vec<Problem>> {
        let directory = tempfile::tempdir().expect("a directory");
        self.load_in(directory.path(), &|_| None)
    }

    /// Loads it from a folder.
    pub fn load_in(
        &self,
        directory: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Settings, Vec<Problem>> {
        for (name, text) in &self.0 {
            let path = directory.join(name);
            std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        config::load_with(directory, environment)
    }

    /// The settings of a directory that is fine.
    #[track_caller]
    pub fn settings(&self) -> Settings {
        self.load()
            .unwrap_or_else(|problems| panic!("{}", text(&problems)))
    }

    /// Errors, or else warnings.
    pub fn problems(&self) -> Vec<Problem> {
        match self.load() {
            Ok(settings) => settings.warnings,
            Err(problems) => problems,
        }
    }
}

fn text(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| problem.render(false))
        .collect()
}

/// The example at the root of the repository.
pub fn shipped() -> Settings {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    config::load_with(root, &|_| None).unwrap_or_else(|problems| panic!("{}", text(&problems)))
}

#[test]
fn who_cannot_prove_anything_to_a_profile_that_asks_for_it_is_warned_of() {
    let mut house = house();
    let bare = "\n[[user]]\nextension = \"1002\"\nname = \"Ben Example\"\n";
    house.change("directory/people.toml", "", bare);
    let warnings: Vec<String> = house.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "directory/people.toml:7:13: warning: 1002 cannot register on profile `internal`: it asks for a password, and this user has none \
          (add `password = \"…\"`, or the hashes that `strowger passwd 1002` prints)"
        ]
    );
    house.change(
        "sip-profiles/internal.toml",
        "auth = \"digest\"",
        "auth = \"none\"",
    );
    let warnings: Vec<String> = house.problems().iter().map(ToString::to_string).collect();
    assert!(
        !warnings.iter().any(|line| line.contains("1002")),
        "{warnings:?}"
    );
}

#[test]
fn a_variable_that_only_the_server_may_have_is_an_error_to_it_and_a_warning_to_others() {
    let mut house = house();
    house.change(
        "directory/people.toml",
        "password = \"secret-1001\"",
        "password = { env = \"STROWGER_TEST_UNSET\" }",
    );
    let directory = tempfile::tempdir().expect("a directory");
    let own = house.load_in(directory.path(), &|_| None);
    let problems = own.expect_err("the server does not start without it");
    assert!(problems[0].is_error(), "{}", text(&problems));
    let aside = config::load_from_aside(directory.path()).expect("others may look");
    let told: Vec<String> = aside.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with(
            "directory/people.toml:4:20: warning: the environment variable `STROWGER_TEST_UNSET` is not set here (a server that runs may have it"
        ),
        "{told:?}"
    );
}

#[test]
fn the_shipped_example_is_clean() {
    let settings = shipped();
    assert_eq!(text(&settings.warnings), "");
    assert_eq!(settings.directory.len(), 4);
    assert_eq!(settings.acd().agents.len(), 2);
    assert!(settings.trunk("acme").is_some());
}

#[test]
fn the_house_of_these_tests_is_clean() {
    assert_eq!(text(&house().problems()), "");
}

#[test]
fn a_directory_without_strowger_toml_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let problems = config::load(directory.path()).expect_err("empty");
    assert!(
        problems[0]
            .to_string()
            .contains("there is no `strowger.toml`"),
        "{problems:?}"
    );
}

#[test]
fn secrets_come_from_the_environment_and_from_files() {
    let mut house = house();
    house.file("secrets/1001", "from-a-file\n");
    house.change(
        "directory/people.toml",
        "\"secret-1001\"",
        "{ file = \"secrets/1001\" }",
    );
    house.change(
        "sip-profiles/external.toml",
        "",
        "auth = { username = \"a\", password = { env = \"ACME\" } }",
    );
    let directory = tempfile::tempdir().expect("a directory");
    let environment = |name: &str| (name == "ACME").then(|| "from-outside".to_owned());
    let settings = house.load_in(directory.path(), &environment).expect("fine");
    let trunk = settings.trunk("acme").expect("there");
    let credentials = trunk.credentials.as_ref().expect("there");
    assert_eq!(credentials.password.reveal(), "from-outside");
    let user = settings.directory.user("1001").expect("there");
    let stored = user.password.as_ref().expect("there");
    assert!(
        matches!(stored, strowger::auth::Stored::Password(secret) if secret.reveal() == "from-a-file")
    );
}

#[test]
#[cfg(unix)]
fn a_password_that_everybody_can_read_is_a_warning_beyond_loopback_only() {
    let mut house = house();
    assert_eq!(text(&house.problems()), "");
    house.change("sip-profiles/internal.toml", "127.0.0.1", "0.0.0.0");
    // The files of a test are written with the mode that the umask leaves; 022 leaves them readable.
    let problems = text(&house.problems());
    assert!(
        problems.contains("everybody on this machine may read"),
        "{problems}"
    );
    assert!(
        problems.contains("chmod o-r directory/people.toml"),
        "{problems}"
    );
}

#[test]
fn every_problem_is_found_not_only_the_first() {
    let mut house = house();
    house.change(
        "strowger.toml",
        "pbx.test\"",
        "pbx.test\"\nrtp-ports = \"5\"",
    );
    house.change("queues/support.toml", "1001", "1009");
    house.change("dialplans/internal.toml", "dial", "diall");
    let files: Vec<String> = house
        .problems()
        .iter()
        .map(|problem| format!("{}:{}", problem.file, problem.line))
        .collect();
    assert_eq!(
        files,
        [
            "dialplans/internal.toml:5",
            "queues/support.toml:2",
            "strowger.toml:3"
        ]
    );
}

#[test]
fn a_problem_is_shown_with_its_line_underlined() {
    let mut house = house();
    house.change("queues/support.toml", "", "ring_timeout = \"20\"");
    house.change("sip-profiles/internal.toml", "digest", "digets");
    insta::assert_snapshot!(text(&house.problems()), @r#"
      × unknown key `ring_timeout` in a queue
       ╭─[queues/support.toml:3:1]
     2 │ agents = [ { extension = "1001" } ]
     3 │ ring_timeout = "20"
       · ────────────
       ╰────
      help: did you mean `ring-timeout`?
      × `auth` cannot be `digets`
       ╭─[sip-profiles/internal.toml:4:8]
     3 │ dialplan = "internal"
     4 │ auth = "digets"
       ·        ────┬───
       ·            ╰── expected `digest`, `trunk` or `none`
       ╰────
      help: did you mean `digest`?
    "#);
}
