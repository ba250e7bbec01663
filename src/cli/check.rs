//! `strowger check`: every problem of a configuration directory.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::{WRONG, complain, say};
use crate::base::WallTime;
use crate::config::{self, Problem, Settings};

/// Checks a directory and prints what is wrong.
pub fn check(directory: &Path, as_json: bool, strict: bool) -> ExitCode {
    let (settings, problems) = match config::load_from_aside(directory) {
        Ok(mut settings) => {
            settings.look_at_dates(WallTime::from_timestamp(jiff::Timestamp::now()));
            let warnings = settings.warnings.clone();
            (Some(settings), warnings)
        }
        Err(problems) => (None, problems),
    };
    let settings = settings.filter(|_| !strict || problems.is_empty());
    if as_json {
        say(&json!({ "ok": settings.is_some(), "problems": problems }).to_string());
    } else {
        report(&problems);
        match &settings {
            Some(settings) => say(&summary(directory, settings)),
            None => complain(&format!(
                "{} is wrong: {}",
                directory.display(),
                count(&problems)
            )),
        }
    }
    match settings {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::from(WRONG),
    }
}

/// Prints problems to standard error, each with its line underlined.
pub fn report(problems: &[Problem]) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for problem in problems {
        complain(&problem.render(colour));
    }
}

/// The settings of a directory, or its problems on standard error.
pub fn load(directory: &Path) -> Option<Settings> {
    match config::load_from_aside(directory) {
        Ok(settings) => Some(settings),
        Err(problems) => {
            report(&problems);
            complain(&format!(
                "{} is wrong: {}",
                directory.display(),
                count(&problems)
            ));
            None
        }
    }
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 {
        format!("{n} {what}")
    } else {
        format!("{n} {what}s")
    }
}

fn count(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let mut text = plural(errors, "error");
    if problems.len() > errors {
        text.push_str(&format!(", {}", plural(problems.len() - errors, "warning")));
    }
    text
}

fn summary(directory: &Path, settings: &Settings) -> String {
    let rules = settings
        .dialplan
        .model()
        .contexts
        .values()
        .map(|context| context.rules.len())
        .sum();
    let mut text = format!(
        "{} is fine: {}, {}, {}, {}, {}",
        directory.display(),
        plural(settings.profiles.len(), "profile"),
        plural(settings.trunks().count(), "trunk"),
        plural(rules, "rule"),
        plural(settings.directory.len(), "user"),
        plural(settings.queues.len(), "queue"),
    );
    if !settings.warnings.is_empty() {
        text.push_str(&format!("; {}", plural(settings.warnings.len(), "warning")));
    }
    text
}
