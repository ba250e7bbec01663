//! Loads a configuration directory: reads every file, checks all of them, and returns the settings or every problem.

use std::path::Path;
use std::sync::Arc;

use super::fields::Fields;
use super::keys::FILES;
use super::problem::{Problem, Severity, Source};
use super::read::{self, Reading};
use super::references;
use super::settings::Settings;
use super::{check, tree};
use crate::dialplan::Dialplan;
use crate::directory::Directory;
use crate::outbound::Rules;

/// Largest file that is read, in bytes. Guess: a directory of 100,000 people takes about 20 MB.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The settings of a configuration directory, or every problem found, in the order of files and lines (warnings included).
pub fn load(directory: &Path) -> Result<Settings, Vec<Problem>> {
    load_with(directory, &|name| std::env::var(name).ok())
}

/// As [`load`], for a look at the files by somebody who is not the server: variables that only the server's environment may have are
/// warned of, and their secrets are not those of the server.
pub fn load_from_aside(directory: &Path) -> Result<Settings, Vec<Problem>> {
    let environment = |name: &str| std::env::var(name).ok();
    load_as(directory, &environment, Severity::Warning)
}

/// As [`load`], with the environment of the caller's choice.
pub fn load_with(
    directory: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, Vec<Problem>> {
    load_as(directory, environment, Severity::Error)
}

fn load_as(
    directory: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    missing_variable: Severity,
) -> Result<Settings, Vec<Problem>> {
    let mut reading = Reading {
        directory_path: directory.to_path_buf(),
        environment,
        missing_variable,
        problems: Vec::new(),
        references: Vec::new(),
        variables: Default::default(),
        bare_secrets: Vec::new(),
        model: Default::default(),
        users: Vec::new(),
        lists: Vec::new(),
        profiles: Vec::new(),
        queues: Vec::new(),
        defined: Default::default(),
        zone: Arc::from("UTC"),
        any_trunk_dialled: false,
    };
    let main = directory.join("strowger.toml");
    if !main.is_file() {
        let message = format!("there is no `strowger.toml` in `{}`", directory.display());
        return Err(vec![
            Problem::of_file(Severity::Error, "strowger.toml", message)
                .help("give the configuration directory with `--config DIR`"),
        ]);
    }
    let mut server = None;
    let mut outbound = Rules::default();
    for kind in FILES {
        let names = if kind.path.ends_with(".toml") {
            // all but the first may be absent
            let there = kind.name == "strowger" || directory.join(kind.path).exists();
            there.then(|| kind.path.to_owned()).into_iter().collect()
        } else {
            toml_files(directory, kind.path, &mut reading.problems)
        };
        for name in names {
            let Some(source) = source(directory, &name, &mut reading.problems) else {
                continue;
            };
            let root = tree::parse(&source, &mut reading.problems);
            check::file(&source, &root, kind.keys, &mut reading.problems);
            let Some(file) = Fields::of(&source, &root) else {
                continue;
            };
            match kind.name {
                "strowger" => server = Some(read::server::read(&mut reading, Some(file))),
                "sip-profile" => read::profile::read(&mut reading, &file),
                "dialplan" => read::dialplan::read(&mut reading, &file),
                "directory" => read::people::read(&mut reading, &file),
                "queue" => read::queue::read(&mut reading, &file),
                "outbound" => outbound = read::outbound::read(&mut reading, &file),
                other => unreachable!("a kind of file without reader: {other}"),
            }
        }
    }
    let server = match server {
        Some(server) => server,
        None => read::server::read(&mut reading, None),
    };
    reading.model.zone = server.server.time_zone.clone();
    read::people::check_lists(&mut reading);
    read::outbound::own_numbers(&reading, &mut outbound);
    references::check(&mut reading, directory);
    let dialplan = Dialplan::compile(std::mem::take(&mut reading.model));
    // With errors about, half of the warnings would only be their echo.
    if !reading.problems.iter().any(Problem::is_error) {
        references::warn(&mut reading, &dialplan, &server.http);
    }
    let mut problems = reading.problems;
    problems.sort_by(|a, b| {
        (&a.file, a.line, a.column, a.severity).cmp(&(&b.file, b.line, b.column, b.severity))
    });
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    Ok(Settings {
        directory_path: directory.to_path_buf(),
        server: server.server,
        http: server.http,
        store: server.store,
        media: server.media,
        log: server.log,
        hep: server.hep,
        guard: server.guard,
        profiles: reading.profiles,
        dialplan: Arc::new(dialplan),
        directory: Arc::new(Directory::new(reading.users).with_lists(reading.lists)),
        queues: reading.queues,
        outbound: Arc::new(outbound),
        warnings: problems,
    })
}

/// The `.toml` files of a folder, sorted by name. A folder that is not there has none.
fn toml_files(directory: &Path, folder: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    let entries = match std::fs::read_dir(directory.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("cannot be read: {error}");
            problems.push(Problem::of_file(Severity::Error, folder, message));
            return Vec::new();
        }
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml") && !name.starts_with('.'))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    names.sort();
    names
}

fn source(directory: &Path, name: &str, problems: &mut Vec<Problem>) -> Option<Arc<Source>> {
    let path = directory.join(name);
    let too_large = std::fs::metadata(&path).is_ok_and(|file| file.len() > FILE_BYTES_MAX);
    let text = if too_large {
        Err("it is larger than 64 MiB".to_owned())
    } else {
        std::fs::read(&path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()))
    };
    match text {
        Ok(text) => Some(Arc::new(Source::new(name.into(), text))),
        Err(why) => {
            let message = format!("cannot be read: {why}");
            problems.push(Problem::of_file(Severity::Error, name, message));
            None
        }
    }
}
