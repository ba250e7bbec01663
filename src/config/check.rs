//! Holds a file against the tables of `keys`: unknown and missing keys, wrong types, values out of bounds. Finds all, not only the first.

use std::ops::Range;
use std::sync::Arc;

use super::keys::dialplan::STEPS;
use super::keys::{Key, Keys, Kind, StepKeys};
use super::problem::{Problem, Severity, Source};
use super::tree::{Node, Table, Value};
use super::units::{duration, nearest, show};

/// Checks a whole file.
pub fn file(source: &Arc<Source>, root: &Node, keys: &'static Keys, problems: &mut Vec<Problem>) {
    let mut check = Check { source, problems };
    if let Value::Table(table) = &root.value {
        check.table(table, root.span.start..root.span.start, keys);
    }
}

struct Check<'a> {
    source: &'a Arc<Source>,
    problems: &'a mut Vec<Problem>,
}

/// "`a`, `b` or `c`".
pub fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}

impl Check<'_> {
    fn error(&mut self, span: &Range<usize>, message: impl Into<String>) -> &mut Problem {
        // A table's span may be long; the first line is enough to underline.
        let text = self.source.text.get(span.clone()).unwrap_or_default();
        let end = span.start + text.lines().next().map_or(0, str::len);
        self.problems.push(Problem::at(
            Severity::Error,
            self.source,
            span.start..end,
            message,
        ));
        self.problems.last_mut().expect("just pushed")
    }

    fn table(&mut self, table: &Table, span: Range<usize>, keys: &'static Keys) {
        for entry in &table.entries {
            if let Some(key) = keys.keys.iter().find(|key| key.name == entry.key) {
                self.value(&entry.node, &entry.key_span, key.kind, key.name);
            } else if let Some((form, kind)) = &keys.others {
                match (form.check)(&entry.key) {
                    Ok(()) => self.value(&entry.node, &entry.key_span, *kind, &entry.key),
                    Err(_) => self.unknown(&entry.key, &entry.key_span, keys.what, keys.keys, &[]),
                }
            } else {
                self.unknown(&entry.key, &entry.key_span, keys.what, keys.keys, &[]);
            }
        }
        for key in keys.keys.iter().filter(|key| key.required) {
            if table.get(key.name).is_none() {
                let help = key.doc.to_owned();
                self.error(&span, format!("{} needs `{}`", keys.what, key.name))
                    .help = Some(help);
            }
        }
    }

    fn unknown(
        &mut self,
        key: &str,
        span: &Range<usize>,
        what: &str,
        keys: &[Key],
        verbs: &[&'static str],
    ) {
        let names: Vec<&str> = keys
            .iter()
            .map(|key| key.name)
            .chain(verbs.iter().copied())
            .collect();
        let help = match nearest(key, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "it has no further keys".to_owned(),
            None => format!(
                "the keys here are {}",
                alternatives(&names).replace(" or ", " and ")
            ),
        };
        self.error(span, format!("unknown key `{key}` in {what}"))
            .help = Some(help);
    }

    /// A table where a list is wanted, or the other way round: these two are easily taken for each other, so the message says what was found.
    fn shape(&mut self, node: &Node, name: &str, wanted: &str, help: Option<String>) {
        let found = node.value.kind();
        let problem = self.error(
            &node.span,
            format!("`{name}` must be {wanted}, not {found}"),
        );
        problem.label = format!("this is {found}");
        problem.help = help;
    }

    fn mismatch(&mut self, node: &Node, name: &str, wanted: &str, help: Option<String>) {
        let found = node.value.kind();
        let problem = self.error(&node.span, format!("`{name}` must be {wanted}"));
        problem.label = format!("this is {found}");
        problem.help = help;
    }

    fn value(&mut self, node: &Node, key_span: &Range<usize>, kind: Kind, name: &str) {
        match kind {
            Kind::Text => match &node.value {
                Value::Text(text) if text.trim().is_empty() => {
                    self.error(&node.span, format!("`{name}` is empty"));
                }
                Value::Text(text) if text.chars().any(char::is_control) => {
                    self.error(&node.span, format!("`{name}` has control characters"));
                }
                Value::Text(_) => {}
                _ => self.mismatch(node, name, "a string", None),
            },
            Kind::Form(form) => match &node.value {
                Value::Text(text) => {
                    if let Err(message) = (form.check)(text) {
                        let problem = self.error(&node.span, message);
                        problem.label = format!("`{name}` is {}", form.what);
                        problem.help = Some(format!("for example `{}`", form.example));
                    }
                }
                _ => {
                    let help = format!("for example `\"{}\"`", form.example);
                    self.mismatch(node, name, "a string", Some(help));
                }
            },
            Kind::Duration(least, most) => self.duration(node, name, least, most),
            Kind::Integer(least, most) => match &node.value {
                Value::Integer(Some(number)) if (least..=most).contains(number) => {}
                Value::Integer(_) => {
                    self.error(
                        &node.span,
                        format!("`{name}` must be from {least} to {most}"),
                    );
                }
                _ => {
                    let wanted = format!("a whole number from {least} to {most}");
                    self.mismatch(node, name, &wanted, None);
                }
            },
            Kind::Number(least, most) => {
                let number = match &node.value {
                    Value::Integer(Some(number)) => Some(*number as f64),
                    Value::Float(number) => Some(*number),
                    _ => None,
                };
                match number {
                    Some(number) if (least..=most).contains(&number) => {}
                    Some(_) => {
                        self.error(
                            &node.span,
                            format!("`{name}` must be from {least} to {most}"),
                        );
                    }
                    None => {
                        let wanted = format!("a number from {least} to {most}");
                        self.mismatch(node, name, &wanted, None);
                    }
                }
            }
            Kind::Flag => {
                if !matches!(node.value, Value::Flag(_)) {
                    let help = match &node.value {
                        Value::Text(text) if matches!(text.as_str(), "true" | "false") => {
                            Some(format!("leave out the quotes: `{name} = {text}`"))
                        }
                        _ => None,
                    };
                    self.mismatch(node, name, "`true` or `false`", help);
                }
            }
            Kind::OneOf(words) => match &node.value {
                Value::Text(text) if words.contains(&text.as_str()) => {}
                Value::Text(text) => {
                    let help = nearest(text, words.iter().copied())
                        .map(|near| format!("did you mean `{near}`?"));
                    let problem = self.error(&node.span, format!("`{name}` cannot be `{text}`"));
                    problem.label = format!("expected {}", alternatives(words));
                    problem.help = help;
                }
                _ => self.mismatch(node, name, &alternatives(words), None),
            },
            Kind::Secret => self.secret(node, name),
            Kind::List(inner) => match &node.value {
                Value::List(list) => {
                    for item in list {
                        self.value(item, key_span, *inner, name);
                    }
                }
                _ => {
                    let help = Some("put it in brackets: `[ … ]`".to_owned());
                    self.mismatch(node, name, "a list", help);
                }
            },
            Kind::OneOrMore(inner) => match &node.value {
                Value::List(list) if list.is_empty() => {
                    self.error(&node.span, format!("`{name}` is empty"));
                }
                Value::List(list) => {
                    for item in list {
                        self.value(item, key_span, *inner, name);
                    }
                }
                _ => self.value(node, key_span, *inner, name),
            },
            Kind::Either(kinds) => self.either(node, key_span, kinds, name),
            Kind::Table(keys) => match &node.value {
                Value::Table(table) => self.table(table, node.span.clone(), keys),
                _ => {
                    let help = table_help(self.source, node, name, keys);
                    self.shape(node, name, "a table", Some(help));
                }
            },
            Kind::Tables(keys) => match &node.value {
                Value::List(list) => {
                    for item in list {
                        match &item.value {
                            Value::Table(table) => self.table(table, item.span.clone(), keys),
                            _ => {
                                let help = entry_help(item, keys);
                                let found = item.value.kind();
                                let message = format!(
                                    "`{name}` must be a list of tables, and {found} stands in it"
                                );
                                let problem = self.error(&item.span, message);
                                problem.label = format!("this is {found}");
                                problem.help = Some(help);
                            }
                        }
                    }
                }
                Value::Table(_) => {
                    let help = match is_header(self.source, node) {
                        true => format!("write `[[{name}]]` with two brackets"),
                        false => format!("put it in brackets: `{name} = [ {{ … }} ]`"),
                    };
                    self.shape(node, name, "a list of tables", Some(help));
                }
                _ => {
                    let help = format!("write `{name} = [ {} ]`", sample(keys));
                    self.shape(node, name, "a list of tables", Some(help));
                }
            },
            Kind::Map(inner) => match &node.value {
                Value::Table(table) => {
                    for entry in &table.entries {
                        self.value(&entry.node, &entry.key_span, *inner, &entry.key);
                    }
                }
                _ => self.shape(
                    node,
                    name,
                    "a table",
                    Some(format!("write `{name} = {{ name = … }}`")),
                ),
            },
            Kind::Steps => self.steps(node, name),
            Kind::NotYet => {
                self.error(
                    key_span,
                    format!("`{name}` is not available in this version"),
                );
            }
        }
    }

    fn duration(&mut self, node: &Node, name: &str, least: super::Duration, most: super::Duration) {
        let help = Some("units are `ms`, `s`, `m`, `h` and `d`: `\"20s\"`, `\"1h30m\"`".to_owned());
        let text = match &node.value {
            Value::Text(text) => text,
            Value::Integer(Some(number)) => {
                let help = Some(format!("write the unit: `{name} = \"{number}s\"`"));
                return self.mismatch(node, name, "a duration with its unit, in quotes", help);
            }
            _ => return self.mismatch(node, name, "a duration with its unit, in quotes", help),
        };
        match duration(text) {
            Err(message) => {
                let problem = self.error(&node.span, message);
                problem.label = format!("`{name}` is a duration");
                problem.help = help;
            }
            Ok(value) if value < least || value > most => {
                let message = format!("`{name}` must be from {} to {}", show(least), show(most));
                self.error(&node.span, message);
            }
            Ok(_) => {}
        }
    }

    fn secret(&mut self, node: &Node, name: &str) {
        let help = || {
            Some(format!(
                "write it, or `{name} = {{ env = \"NAME\" }}`, or `{name} = {{ file = \"path\" }}`"
            ))
        };
        match &node.value {
            Value::Text(text) if text.is_empty() => {
                self.error(&node.span, format!("`{name}` is empty")).help = help();
            }
            Value::Text(_) => {}
            Value::Table(table) => {
                let one = match table.entries.as_slice() {
                    [entry] if matches!(entry.key.as_str(), "env" | "file") => {
                        matches!(&entry.node.value, Value::Text(text) if !text.is_empty())
                    }
                    _ => false,
                };
                if !one {
                    self.error(&node.span, format!("`{name}` is not a secret"))
                        .help = help();
                }
            }
            _ => self.mismatch(node, name, "a secret", help()),
        }
    }

    /// The first kind whose TOML type fits says what is wrong.
    fn either(&mut self, node: &Node, key_span: &Range<usize>, kinds: &'static [Kind], name: &str) {
        let fits = |kind: &Kind| match kind {
            Kind::Text | Kind::Form(_) | Kind::OneOf(_) => matches!(node.value, Value::Text(_)),
            // A number without unit is a duration whose unit is missing.
            Kind::Duration(..) => matches!(node.value, Value::Text(_) | Value::Integer(_)),
            Kind::Integer(..) => matches!(node.value, Value::Integer(_)),
            Kind::Number(..) => matches!(node.value, Value::Integer(_) | Value::Float(_)),
            Kind::Flag => matches!(node.value, Value::Flag(_)),
            // A number of the wrong size is no table that is missing its keys.
            Kind::Table(_) => !matches!(node.value, Value::Integer(_)),
            _ => true,
        };
        let fitting: Vec<Kind> = kinds.iter().copied().filter(|kind| fits(kind)).collect();
        let mut first: Option<Vec<Problem>> = None;
        for kind in &fitting {
            let mut problems = Vec::new();
            Check {
                source: self.source,
                problems: &mut problems,
            }
            .value(node, key_span, *kind, name);
            if problems.is_empty() {
                return;
            }
            // Of two kinds of text the form explains more than the words.
            let explains = !matches!(kind, Kind::OneOf(_)) || fitting.len() == 1;
            if first.is_none() || explains {
                first = Some(problems);
            }
        }
        match first {
            Some(problems) => self.problems.extend(problems),
            None => {
                let wanted: Vec<String> = kinds.iter().map(wanted).collect();
                self.mismatch(node, name, &wanted.join(" or "), None);
            }
        }
    }

    fn steps(&mut self, node: &Node, name: &str) {
        let Value::List(list) = &node.value else {
            let help = Some(format!(
                "for example `{name} = [ {{ answer = true }}, {{ play = \"welcome\" }} ]`"
            ));
            return self.mismatch(node, name, "a list of steps", help);
        };
        for item in list {
            match &item.value {
                Value::Table(table) => self.step(table, &item.span),
                _ => {
                    let problem = self.error(&item.span, "a step is a table");
                    problem.label = format!("this is {}", item.value.kind());
                    problem.help = Some("for example `{ answer = true }`".to_owned());
                }
            }
        }
    }

    fn step(&mut self, table: &Table, span: &Range<usize>) {
        let verbs: Vec<&'static StepKeys> = table
            .entries
            .iter()
            .filter_map(|entry| verb(&entry.key))
            .collect();
        let names: Vec<&'static str> = STEPS.iter().map(|step| step.verb).collect();
        let step = match verbs.as_slice() {
            [step] => *step,
            [] => {
                match table.entries.first() {
                    None => {
                        self.error(span, "this step is empty");
                    }
                    Some(entry) => {
                        let help = match nearest(&entry.key, names.iter().copied()) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!(
                                "the steps are {}",
                                alternatives(&names).replace(" or ", " and ")
                            ),
                        };
                        let message = format!("unknown step `{}`", entry.key);
                        self.error(&entry.key_span, message).help = Some(help);
                    }
                }
                return;
            }
            [first, second, ..] => {
                let message = format!("`{}` and `{}` are two steps", first.verb, second.verb);
                self.error(span, message).help =
                    Some("give each its own braces: `{ … }, { … }`".to_owned());
                return;
            }
        };
        if matches!(step.argument, Kind::NotYet) {
            if let Some(entry) = table.entry(step.verb) {
                let message = format!("step `{}` is not available in this version", step.verb);
                self.error(&entry.key_span, message);
            }
            return;
        }
        for entry in &table.entries {
            if entry.key == step.verb {
                self.value(&entry.node, &entry.key_span, step.argument, step.verb);
            } else if let Some(key) = step.options.iter().find(|key| key.name == entry.key) {
                self.value(&entry.node, &entry.key_span, key.kind, key.name);
            } else {
                let what = format!("a `{}` step", step.verb);
                self.unknown(&entry.key, &entry.key_span, &what, step.options, &[]);
            }
        }
    }
}

/// True of `[name]` and `[[name]]`, false of what stands in braces or brackets behind `=`.
fn is_header(source: &Source, node: &Node) -> bool {
    let text = source.text.get(node.span.clone()).unwrap_or_default();
    match &node.value {
        Value::Table(_) => text.starts_with('['),
        Value::List(_) => text.starts_with("[["),
        _ => false,
    }
}

/// `{ extension = … }`: the keys that an entry needs, or the first that it may have.
fn sample(keys: &Keys) -> String {
    let mut needed: Vec<&str> = keys
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    if needed.is_empty() {
        needed.extend(keys.keys.first().map(|key| key.name));
    }
    let needed: Vec<String> = needed.iter().map(|name| format!("{name} = …")).collect();
    format!("{{ {} }}", needed.join(", "))
}

/// How to write an entry of a list of tables; a string is mostly meant for the one key that is needed.
fn entry_help(item: &Node, keys: &Keys) -> String {
    let needed: Vec<&str> = keys
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    match (&item.value, needed.as_slice()) {
        (Value::Text(text), [only]) => format!("write `{{ {only} = \"{text}\" }}`"),
        _ => format!("each entry is a table: `{}`", sample(keys)),
    }
}

/// How to write a table where a list was found, or something else.
fn table_help(source: &Source, node: &Node, name: &str, keys: &Keys) -> String {
    match &node.value {
        Value::List(_) if is_header(source, node) => {
            format!("write `[{name}]` with one bracket, and only once")
        }
        _ => {
            let names: Vec<&str> = keys.keys.iter().map(|key| key.name).collect();
            format!(
                "write `{name} = {}`; its keys are {}",
                sample(keys),
                alternatives(&names).replace(" or ", " and ")
            )
        }
    }
}

/// The step that a key names. (`http` and `transfer` and the like are no options of any step, so a verb is a verb.)
pub fn verb(key: &str) -> Option<&'static StepKeys> {
    STEPS.iter().find(|step| step.verb == key)
}

/// A kind in words.
pub fn wanted(kind: &Kind) -> String {
    match kind {
        Kind::Text => "a string".to_owned(),
        Kind::Form(form) => form.what.to_owned(),
        Kind::Duration(..) => "a duration".to_owned(),
        Kind::Integer(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Number(least, most) => format!("a number from {least} to {most}"),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::OneOf(words) => alternatives(words),
        Kind::Secret => "a secret".to_owned(),
        Kind::List(_) | Kind::Tables(_) => "a list".to_owned(),
        Kind::OneOrMore(inner) => wanted(inner),
        Kind::Either(kinds) => kinds.iter().map(wanted).collect::<Vec<_>>().join(" or "),
        Kind::Table(_) | Kind::Map(_) => "a table".to_owned(),
        Kind::Steps => "a list of steps".to_owned(),
        Kind::NotYet => "nothing in this version".to_owned(),
    }
}
