//! Reads `dialplans/*.toml`.

use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{Reading, To, place, steps};
use crate::base::Duration;
use crate::config::fields::Fields;
use crate::config::tree::Node;
use crate::dialplan::hours::Span;
use crate::dialplan::{
    Condition, Context, DialMode, Group, HeaderTest, Hours, Menu, Pattern, Rule, Template,
};

/// Names of the modes of dialling.
pub const MODES: &[(&str, DialMode)] = &[
    ("parallel", DialMode::Parallel),
    ("serial", DialMode::Serial),
    ("first", DialMode::First),
];

/// Reads one file.
pub fn read(reading: &mut Reading<'_>, file: &Fields<'_>) {
    for (name, span, fields) in named(file, "hours") {
        hours(reading, &name, span, &fields);
    }
    for (name, span, fields) in named(file, "group") {
        group(reading, &name, span, &fields);
    }
    for (name, span, fields) in named(file, "menu") {
        menu(reading, &name, span, &fields);
    }
    let name = file.shared("context");
    if let Some(name) = &name
        && !reading.define("context", name, file.source, file.span("context"))
    {
        return;
    }
    let mut rules: Vec<Arc<Rule>> = Vec::new();
    for (index, fields) in file.tables("rule").into_iter().enumerate() {
        let rule = rule(reading, &fields, index);
        if fields.node("name").is_some() && rules.iter().any(|other| other.name == rule.name) {
            let message = format!("two rules of this context are named `{}`", rule.name);
            reading.error(fields.source, fields.span("name"), message);
        }
        rules.push(Arc::new(rule));
    }
    if let Some(name) = name {
        let context = Context {
            name: name.clone(),
            rules,
            place: file.place_at(file.span("context").start),
        };
        reading.model.contexts.insert(name, context);
    }
}

/// The tables under a key, by name.
fn named<'a>(file: &Fields<'a>, key: &str) -> Vec<(Arc<str>, Range<usize>, Fields<'a>)> {
    let Some(table) = file.fields(key) else {
        return Vec::new();
    };
    table
        .table
        .entries
        .iter()
        .filter_map(|entry| {
            let fields = Fields::of(file.source, &entry.node)?;
            Some((entry.key.as_str().into(), entry.key_span.clone(), fields))
        })
        .collect()
}

fn hours(reading: &mut Reading<'_>, name: &Arc<str>, span: Range<usize>, fields: &Fields<'_>) {
    if !reading.define("hours", name, fields.source, span.clone()) {
        return;
    }
    let zone = fields.text("zone").unwrap_or(&reading.zone);
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let spans = |key| {
        fields
            .texts(key)
            .iter()
            .filter_map(|(text, _)| Span::parse(text).ok())
            .collect()
    };
    let hours = Hours {
        name: name.clone(),
        zone,
        open: spans("open"),
        closed: spans("closed"),
        place: place(fields.source, span.start),
    };
    reading.model.hours.insert(name.clone(), hours);
}

fn group(reading: &mut Reading<'_>, name: &Arc<str>, span: Range<usize>, fields: &Fields<'_>) {
    if !reading.define("group", name, fields.source, span.clone()) {
        return;
    }
    let mut extensions: Vec<Arc<str>> = Vec::new();
    for (extension, span) in fields.texts("extensions") {
        reading.refer(To::Extension, extension, fields.source, span);
        extensions.push(extension.into());
    }
    if extensions.is_empty()
        && let Some(node) = fields.node("extensions")
    {
        let message = format!("group `{name}` is empty");
        reading.error(fields.source, node.span.clone(), message);
    }
    let group = Group {
        name: name.clone(),
        extensions,
        strategy: fields.one_of("strategy", MODES).unwrap_or_default(),
        place: place(fields.source, span.start),
    };
    reading.model.groups.insert(name.clone(), group);
}

fn menu(reading: &mut Reading<'_>, name: &Arc<str>, span: Range<usize>, fields: &Fields<'_>) {
    if !reading.define("menu", name, fields.source, span.clone()) {
        return;
    }
    reading.variables.insert("digits".to_owned());
    let prompt = prompts(reading, fields, "prompt");
    let mut choices = std::collections::BTreeMap::new();
    for entry in &fields.table.entries {
        let is_choice = entry
            .key
            .chars()
            .all(|c| c.is_ascii_digit() || "*#".contains(c));
        if is_choice {
            let steps = steps::read(reading, fields.source, Some(&entry.node));
            choices.insert(entry.key.as_str().into(), steps);
        }
    }
    if choices.is_empty() {
        let message = format!("menu `{name}` has no choices");
        reading.error(fields.source, span.clone(), message).help =
            Some("\"1\" = [ { queue = \"support\" } ]".to_owned());
    }
    let mut optional = |key: &str| -> Option<_> {
        let node: &Node = fields.node(key)?;
        Some(steps::read(reading, fields.source, Some(node)))
    };
    let menu = Menu {
        name: name.clone(),
        prompt,
        timeout: fields.duration("timeout").unwrap_or(Duration::from_secs(6)),
        digit_timeout: fields
            .duration("digit-timeout")
            .unwrap_or(Duration::from_secs(3)),
        retries: fields.integer("retries").unwrap_or(2),
        choices,
        invalid: optional("invalid"),
        none: optional("none"),
        place: place(fields.source, span.start),
    };
    reading.model.menus.insert(name.clone(), menu);
}

/// Prompts of a key, each noted as used.
pub fn prompts(reading: &mut Reading<'_>, fields: &Fields<'_>, key: &str) -> Vec<Template> {
    let mut out = Vec::new();
    for (text, span) in fields.texts(key) {
        if let Some(template) = template(reading, fields, text, span.clone()) {
            if let Some(name) = template.as_literal() {
                reading.refer(To::Prompt, name, fields.source, span);
            }
            out.push(template);
        }
    }
    out
}

/// A template, its variables noted as used.
pub fn template(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    text: &str,
    span: Range<usize>,
) -> Option<Template> {
    let template = Template::parse(text).ok()?;
    for name in template.variables() {
        reading.refer(To::Variable, name, fields.source, span.clone());
    }
    Some(template)
}

fn rule(reading: &mut Reading<'_>, fields: &Fields<'_>, index: usize) -> Rule {
    let mut numbers = Vec::new();
    for (text, _) in fields.texts("number") {
        match Pattern::parse(text) {
            Ok(pattern) => {
                keep(reading, &pattern);
                numbers.push(pattern);
            }
            // One mistake is one error: the steps may use what the pattern meant to keep.
            Err(_) => {
                for part in text.split('{').skip(1) {
                    let name = part.split([':', '}']).next().unwrap_or_default();
                    reading.variables.insert(name.to_owned());
                }
            }
        }
    }
    let from = fields
        .text("from")
        .and_then(|text| Pattern::parse(text).ok());
    if let Some(pattern) = &from {
        keep(reading, pattern);
    }
    if let Some(trunk) = fields.text("trunk") {
        reading.refer(To::Trunk, trunk, fields.source, fields.span("trunk"));
    }
    if let Some(hours) = fields.text("hours") {
        reading.refer(To::Hours, hours, fields.source, fields.span("hours"));
    } else if let Some(entry) = fields.table.entry("closed") {
        let message = "`closed` never runs: the rule has no `hours`";
        reading.warning(fields.source, entry.key_span.clone(), message);
    }
    let condition = fields
        .text("if")
        .and_then(|text| Condition::parse(text).ok());
    if let Some(condition) = &condition {
        for name in condition.variables() {
            reading.refer(To::Variable, name, fields.source, fields.span("if"));
        }
    }
    let place = fields.place();
    Rule {
        name: fields
            .shared("name")
            .unwrap_or_else(|| format!("rule {}", index + 1).into()),
        numbers,
        from,
        trunk: fields.shared("trunk"),
        headers: headers(reading, fields),
        hours: fields.shared("hours"),
        language: fields.shared("language"),
        condition,
        steps: steps::read(reading, fields.source, fields.node("do")),
        closed: fields
            .node("closed")
            .map(|node| steps::read(reading, fields.source, Some(node))),
        place,
    }
}

fn keep(reading: &mut Reading<'_>, pattern: &Pattern) {
    for name in pattern.names() {
        reading.variables.insert(name.to_string());
    }
}

fn headers(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Vec<(Arc<str>, HeaderTest)> {
    let Some(table) = fields.fields("header") else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for entry in &table.table.entries {
        let is_name = !entry.key.is_empty()
            && entry
                .key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c));
        if !is_name {
            let message = format!("`{}` is not the name of a header", entry.key);
            reading.error(fields.source, entry.key_span.clone(), message);
            continue;
        }
        let Some(text) = table.text(&entry.key) else {
            continue;
        };
        let test = match text {
            "*" => HeaderTest::Present,
            text if text.starts_with("re:") => match Pattern::parse(text) {
                Ok(pattern) => {
                    keep(reading, &pattern);
                    HeaderTest::Matches(pattern)
                }
                Err(message) => {
                    reading.error(fields.source, entry.node.span.clone(), message);
                    continue;
                }
            },
            text => HeaderTest::Is(text.into()),
        };
        out.push((entry.key.to_ascii_lowercase().into(), test));
    }
    out
}
