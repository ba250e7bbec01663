//! Makes settings of checked files, one file here for each kind of file there.

pub mod dialplan;
mod invite;
pub mod outbound;
pub mod people;
pub mod profile;
pub mod queue;
mod registration;
pub mod server;
pub mod steps;
mod stir;
pub mod tls;
mod trunk;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fields::Fields;
use super::problem::{Problem, Severity, Source};
use super::settings::{QueueSettings, SipProfile};
use super::tree::{Node, Value};
use crate::base::Secret;
use crate::dialplan::Model;
use crate::directory::{List, Place, User};

/// What a name must lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    Context,
    /// A rule of this context.
    Rule(Arc<str>),
    Queue,
    Menu,
    Hours,
    Trunk,
    Extension,
    ExtensionOrGroup,
    Prompt,
    Music,
    Variable,
    Skill,
    Pin,
}

/// A name that must lead somewhere, and where it stands.
#[derive(Debug)]
pub struct Reference {
    pub to: To,
    pub name: String,
    pub source: Arc<Source>,
    pub span: Range<usize>,
}

/// Where something is defined.
pub type Definition = (Arc<Source>, Range<usize>);

/// What has been read so far.
pub struct Reading<'a> {
    pub directory_path: PathBuf,
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// How bad it is that a variable of the environment is missing.
    pub missing_variable: Severity,
    pub problems: Vec<Problem>,
    pub references: Vec<Reference>,
    /// Names of variables that something sets.
    pub variables: BTreeSet<String>,
    /// Places of passwords in files that everybody may read; reported only when the server is not alone on loopback.
    pub bare_secrets: Vec<Problem>,
    pub model: Model,
    pub users: Vec<Arc<User>>,
    pub lists: Vec<Arc<List>>,
    pub profiles: Vec<Arc<SipProfile>>,
    pub queues: Vec<Arc<QueueSettings>>,
    /// Where each named thing was first defined.
    pub defined: BTreeMap<(&'static str, String), Definition>,
    /// Zone of hours that name none.
    pub zone: Arc<str>,
    /// Whether some step dials a number without naming trunks, so that any trunk may be used.
    pub any_trunk_dialled: bool,
}

impl Reading<'_> {
    /// Reports an error.
    pub fn error(
        &mut self,
        source: &Arc<Source>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.report(Severity::Error, source, span, message)
    }

    /// Reports what is legal but surely wrong.
    pub fn warning(
        &mut self,
        source: &Arc<Source>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.report(Severity::Warning, source, span, message)
    }

    fn report(
        &mut self,
        severity: Severity,
        source: &Arc<Source>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.problems
            .push(Problem::at(severity, source, span, message));
        self.problems.last_mut().expect("just pushed")
    }

    /// Notes that a name is used, to be looked up when everything has been read.
    pub fn refer(&mut self, to: To, name: &str, source: &Arc<Source>, span: Range<usize>) {
        self.references.push(Reference {
            to,
            name: name.to_owned(),
            source: source.clone(),
            span,
        });
    }

    /// Notes that a name is defined; false, and an error, when it was defined before.
    pub fn define(
        &mut self,
        what: &'static str,
        name: &str,
        source: &Arc<Source>,
        span: Range<usize>,
    ) -> bool {
        let key = (what, name.to_owned());
        if let Some((first, first_span)) = self.defined.get(&key) {
            let help = format!(
                "it is already at {}:{}",
                first.name,
                first.position(first_span.start).0
            );
            self.error(source, span, format!("{what} `{name}` is defined twice"))
                .help = Some(help);
            return false;
        }
        self.defined.insert(key, (source.clone(), span));
        true
    }

    /// Where a name was defined.
    pub fn definition(&self, what: &'static str, name: &str) -> Option<Definition> {
        self.defined.get(&(what, name.to_owned())).cloned()
    }

    /// Names of one kind that are defined.
    pub fn names<'b>(&'b self, what: &'static str) -> impl Iterator<Item = &'b str> {
        self.defined
            .keys()
            .filter(move |(kind, _)| *kind == what)
            .map(|(_, name)| name.as_str())
    }

    /// Reads a secret: as it stands, from the environment, or from a file.
    pub fn secret(&mut self, fields: &Fields<'_>, key: &str) -> Option<Secret> {
        let node = fields.node(key)?;
        match &node.value {
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) => {
                let path = self.directory_path.join(&*fields.source.name);
                self.bare(fields.source, node, &path, key);
                Some(Secret::new(text.as_str()))
            }
            Value::Table(_) => {
                let inner = Fields::of(fields.source, node)?;
                if let Some(name) = inner.text("env") {
                    return match (self.environment)(name) {
                        Some(value) if !value.is_empty() => Some(Secret::new(value)),
                        found => {
                            let state = if found.is_some() { "empty" } else { "not set" };
                            let (wrong, help) = match self.missing_variable {
                                Severity::Error => (
                                    "",
                                    "the server takes it from the environment in which it was started",
                                ),
                                Severity::Warning => (
                                    " here",
                                    "a server that runs may have it: `strowger reload` asks that one; `--strict` takes this for an error",
                                ),
                            };
                            let message =
                                format!("the environment variable `{name}` is {state}{wrong}");
                            let severity = self.missing_variable;
                            self.report(severity, fields.source, inner.span("env"), message)
                                .help = Some(help.to_owned());
                            // what it would hold is not known, but it would be there
                            (severity == Severity::Warning).then(|| Secret::new("unknown"))
                        }
                    };
                }
                let name = inner.text("file")?;
                let path = self.directory_path.join(name);
                match std::fs::read_to_string(&path) {
                    Ok(text) => {
                        let text = text.trim_end_matches(['\r', '\n']);
                        if text.is_empty() || text.chars().any(char::is_control) {
                            let message = format!("`{name}` does not hold a password on one line");
                            self.error(fields.source, inner.span("file"), message);
                            return None;
                        }
                        self.bare(fields.source, node, &path, key);
                        Some(Secret::new(text))
                    }
                    Err(error) => {
                        let message = format!("cannot read `{name}`: {error}");
                        let help = "paths are relative to the configuration directory".to_owned();
                        self.error(fields.source, inner.span("file"), message).help = Some(help);
                        None
                    }
                }
            }
            _ => None,
        }
    }

    pub(super) fn bare(&mut self, source: &Arc<Source>, node: &Node, path: &Path, key: &str) {
        if is_world_readable(path) {
            let shown = path
                .strip_prefix(&self.directory_path)
                .unwrap_or(path)
                .display();
            let problem = Problem::at(
                Severity::Warning,
                source,
                node.span.clone(),
                format!("`{key}` stands in a file that everybody on this machine may read"),
            )
            .help(format!("chmod o-r {shown}"));
            self.bare_secrets.push(problem);
        }
    }

    /// The shared name of a table, noted as defined.
    pub fn name_of(&mut self, what: &'static str, fields: &Fields<'_>) -> Option<Arc<str>> {
        let name = fields.shared("name")?;
        self.define(what, &name, fields.source, fields.span("name"));
        Some(name)
    }
}

/// The place of a definition, to sort and to show.
pub fn place(source: &Source, offset: usize) -> Place {
    Place {
        file: source.name.clone(),
        line: source.position(offset).0,
    }
}

#[cfg(unix)]
fn is_world_readable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_world_readable(_: &Path) -> bool {
    false
}
