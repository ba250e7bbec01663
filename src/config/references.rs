//! Holds names against what they must lead to, and warns of what is legal but surely wrong.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::problem::{Problem, Severity, Source};
use super::read::{Reading, Reference, To};
use super::settings::{HttpSettings, ProfileAuth};
use super::units::nearest;
use crate::auth::{Algorithm, Stored};
use crate::dialplan::route::BUILT_IN_VARIABLES;
use crate::dialplan::{Dialplan, Goto, StepKind, Steps};
use crate::media::signal::call_tones;

/// Names of the prompts that are built in.
const BUILT_IN_PROMPTS: &str = include_str!("../../prompts/lines.tsv");

/// Reports every name that leads nowhere.
pub fn check(reading: &mut Reading<'_>, directory: &Path) {
    let prompts = Sounds::of(directory);
    let references = std::mem::take(&mut reading.references);
    for reference in &references {
        if let Some(problem) = missing(reading, reference, &prompts) {
            reading.problems.push(problem);
        }
    }
    reading.references = references;
    let groups: Vec<String> = reading.names("group").map(str::to_owned).collect();
    for name in groups {
        if reading.definition("extension", &name).is_some()
            && let Some((source, span)) = reading.definition("group", &name)
        {
            let message = format!(
                "group `{name}` has the name of an extension: `dial` cannot tell them apart"
            );
            reading.error(&source, span, message);
        }
    }
}

fn missing(reading: &Reading<'_>, reference: &Reference, sounds: &Sounds) -> Option<Problem> {
    let name = reference.name.as_str();
    let (what, known): (&str, Vec<&str>) = match &reference.to {
        To::Context => ("context", reading.names("context").collect()),
        To::Rule(context) => {
            let rules = &reading.model.contexts.get(context)?.rules;
            ("rule", rules.iter().map(|rule| &*rule.name).collect())
        }
        To::Queue => ("queue", reading.names("queue").collect()),
        To::Menu => ("menu", reading.names("menu").collect()),
        To::Hours => ("hours", reading.names("hours").collect()),
        To::Trunk => ("trunk", reading.names("trunk").collect()),
        To::Extension => ("extension", reading.names("extension").collect()),
        To::ExtensionOrGroup => {
            let names = reading.names("extension").chain(reading.names("group"));
            ("extension or group", names.collect())
        }
        To::Prompt => (
            "prompt",
            sounds.prompts.iter().map(String::as_str).collect(),
        ),
        To::Music => ("music", sounds.music.iter().map(String::as_str).collect()),
        To::Variable => {
            if name.starts_with("header.") {
                return None;
            }
            let names = reading.variables.iter().map(String::as_str);
            (
                "variable",
                names.chain(BUILT_IN_VARIABLES.iter().copied()).collect(),
            )
        }
        To::Pin => ("PIN", reading.names("PIN").collect()),
        To::Skill => {
            let skills = reading.users.iter().flat_map(|user| user.skills.keys());
            let known: Vec<&str> = skills.map(|skill| &**skill).collect();
            return (!known.contains(&name)).then(|| {
                let problem = Problem::at(
                    Severity::Warning,
                    &reference.source,
                    reference.span.clone(),
                    format!("nobody has the skill `{name}`"),
                );
                with_hint(problem, name, &known)
            });
        }
    };
    if known.contains(&name) {
        return None;
    }
    let message = match &reference.to {
        To::Rule(context) => format!("context `{context}` has no rule `{name}`"),
        To::Variable => format!("nothing sets the variable `{name}`"),
        To::Music | To::Hours => format!("there are no sound files or hours `{name}`").replace(
            "sound files or hours",
            if what == "music" {
                "sound files for music"
            } else {
                "hours"
            },
        ),
        _ => format!("there is no {what} `{name}`"),
    };
    let problem = Problem::at(
        Severity::Error,
        &reference.source,
        reference.span.clone(),
        message,
    );
    Some(with_hint(problem, name, &known))
}

fn with_hint(problem: Problem, name: &str, known: &[&str]) -> Problem {
    match nearest(name, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None if (1..=8).contains(&known.len()) => {
            let mut known = known.to_vec();
            known.sort_unstable();
            known.dedup();
            problem.help(format!("there is: {}", known.join(", ")))
        }
        None => problem,
    }
}

/// Names of sound files: built in, and those of the configuration directory.
struct Sounds {
    prompts: BTreeSet<String>,
    music: BTreeSet<String>,
}

impl Sounds {
    fn of(directory: &Path) -> Sounds {
        let mut prompts: BTreeSet<String> = BUILT_IN_PROMPTS
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split('\t').next())
            .chain(["tones/ringback", "music/default"])
            .map(str::to_owned)
            .chain(call_tones::names())
            .collect();
        let mut music = BTreeSet::from(["default".to_owned(), "none".to_owned()]);
        let mut found = BTreeSet::new();
        collect(&directory.join("prompts"), "", 0, &mut found);
        for name in found {
            match name.strip_prefix("music/") {
                Some(name) => {
                    music.insert(name.to_owned());
                }
                None => {
                    prompts.insert(name.strip_prefix("en/").unwrap_or(&name).to_owned());
                    prompts.insert(name);
                }
            }
        }
        Sounds { prompts, music }
    }
}

/// Sound files below a folder, without their endings.
fn collect(folder: &Path, prefix: &str, depth: u8, found: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(file) = entry.file_name().into_string() else {
            continue;
        };
        let path = entry.path();
        if path.is_dir() && depth < 4 {
            collect(&path, &format!("{prefix}{file}/"), depth + 1, found);
        } else if let Some((name, "wav" | "flac")) = file.rsplit_once('.') {
            found.insert(format!("{prefix}{name}"));
        }
    }
}

/// Warns of what nobody can mean.
pub fn warn(reading: &mut Reading<'_>, dialplan: &Dialplan, http: &HttpSettings) {
    if reading.profiles.is_empty() {
        let message = "there is no SIP profile: the server takes no calls";
        reading.problems.push(
            Problem::of_file(Severity::Warning, "sip-profiles", message)
                .help("the shipped example has an `internal.toml` to start from"),
        );
    }
    for (rule, before) in dialplan.shadowed() {
        let message = format!(
            "rule `{}` can never match: rule `{}` at {} takes every call of it",
            rule.name, before.name, before.place
        );
        if let Some((source, span)) = rule_span(reading, &rule.place.file, rule.place.line) {
            reading.warning(&source, span, message);
        }
    }
    unprovable(reading);
    unused_trunks(reading, dialplan);
    unused_contexts(reading, dialplan);
    let alone = http.listen.ip().is_loopback()
        && reading
            .profiles
            .iter()
            .flat_map(|profile| &profile.listen)
            .all(|listen| listen.address.ip().is_loopback());
    // A server that only this machine can reach is an experiment: its passwords guard nothing.
    if !alone {
        let bare = std::mem::take(&mut reading.bare_secrets);
        reading.problems.extend(bare);
    }
}

/// The line at which a rule begins.
fn rule_span(
    reading: &Reading<'_>,
    file: &str,
    line: u32,
) -> Option<(Arc<Source>, std::ops::Range<usize>)> {
    let source = reading
        .defined
        .values()
        .map(|(source, _)| source)
        .find(|source| &*source.name == file)?
        .clone();
    let index = usize::try_from(line).ok()?.checked_sub(1)?;
    let start: usize = source
        .text
        .split_inclusive('\n')
        .take(index)
        .map(str::len)
        .sum();
    let length = source.text.get(start..)?.lines().next()?.trim_end().len();
    Some((source, start..start + length))
}

/// People who have a hash of their password, but not the one that a profile asks for.
fn unprovable(reading: &mut Reading<'_>) {
    let mut found = Vec::new();
    for profile in &reading.profiles {
        let (key, wanted) = match profile.digest {
            _ if profile.auth != ProfileAuth::Digest => continue,
            Algorithm::Md5 => ("ha1-md5", "MD5"),
            Algorithm::Sha256 => ("ha1-sha256", "SHA-256"),
        };
        for user in &reading.users {
            let lacking = match (&user.password, profile.digest) {
                (Some(Stored::Ha1 { md5, .. }), Algorithm::Md5) => md5.is_none(),
                (Some(Stored::Ha1 { sha256, .. }), Algorithm::Sha256) => sha256.is_none(),
                (Some(Stored::Password(_)), _) => false,
                (None, _) => {
                    let message = format!(
                        "{} cannot register on profile `{}`: it asks for a password, and this user has none",
                        user.extension, profile.name
                    );
                    let help = format!(
                        "add `password = \"…\"`, or the hashes that `strowger passwd {}` prints",
                        user.extension
                    );
                    found.push((user.extension.clone(), message, help));
                    continue;
                }
            };
            if lacking {
                let message = format!(
                    "{} cannot register on profile `{}`: it asks for {wanted}, and there is no `{key}`",
                    user.extension, profile.name
                );
                let help = format!("`strowger passwd {}` prints both hashes", user.extension);
                found.push((user.extension.clone(), message, help));
            }
        }
    }
    for (extension, message, help) in found {
        if let Some((source, span)) = reading.definition("extension", &extension) {
            reading.warning(&source, span, message).help = Some(help);
        }
    }
}

fn unused_trunks(reading: &mut Reading<'_>, dialplan: &Dialplan) {
    let mut unused = Vec::new();
    for profile in &reading.profiles {
        for trunk in &profile.trunks {
            let dialled = (reading.any_trunk_dialled && !trunk.proxy.is_empty())
                || reading
                    .references
                    .iter()
                    .any(|reference| reference.to == To::Trunk && reference.name == *trunk.name);
            let taken = (!trunk.from.is_empty() || trunk.register.is_some())
                && dialplan.context(&profile.dialplan).is_some_and(|context| {
                    context
                        .rules
                        .iter()
                        .any(|rule| rule.trunk.as_ref().is_none_or(|name| *name == trunk.name))
                });
            if !dialled && !taken {
                unused.push(trunk.name.clone());
            }
        }
    }
    for name in unused {
        if let Some((source, span)) = reading.definition("trunk", &name) {
            let message =
                format!("nobody uses trunk `{name}`: no step dials it and no rule takes its calls");
            reading.warning(&source, span, message);
        }
    }
}

fn unused_contexts(reading: &mut Reading<'_>, dialplan: &Dialplan) {
    let mut used: BTreeSet<Arc<str>> = reading
        .profiles
        .iter()
        .map(|profile| profile.dialplan.clone())
        .collect();
    let mut note = |steps: &Steps| {
        for step in steps.iter() {
            if let StepKind::Goto(Goto::Context { context, .. } | Goto::Rule { context, .. }) =
                &step.kind
            {
                used.insert(context.clone());
            }
        }
    };
    let model = dialplan.model();
    for rule in model.contexts.values().flat_map(|context| &context.rules) {
        note(&rule.steps);
        rule.closed.iter().for_each(&mut note);
    }
    for menu in model.menus.values() {
        menu.choices
            .values()
            .chain(&menu.invalid)
            .chain(&menu.none)
            .for_each(&mut note);
    }
    for queue in &reading.queues {
        queue.overflow.iter().for_each(&mut note);
    }
    for name in model.contexts.keys() {
        if !used.contains(name)
            && let Some((source, span)) = reading.definition("context", name)
        {
            let message = format!(
                "no call comes to context `{name}`: no profile starts there and no `goto` leads there"
            );
            reading.warning(&source, span, message);
        }
    }
}
