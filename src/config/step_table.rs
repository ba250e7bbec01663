//! The steps and features of dialplans as tables for people, made of the tables that files are checked against.

use std::fmt::Write;

use super::check::wanted;
use super::keys::dialplan::{FEATURE_DOCS, STEPS};
use super::keys::{Key, Kind};

/// All steps and features, as Markdown. `docs/dialplan.md` holds it, and a test holds that page against it.
pub fn step_tables() -> String {
    let mut out = String::from("| step | value | does | beside it |\n| --- | --- | --- | --- |\n");
    for step in STEPS {
        if matches!(step.argument, Kind::NotYet) {
            continue;
        }
        let beside: Vec<String> = step.options.iter().map(option).collect();
        // writing to a String does not fail
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            step.verb,
            value(&step.argument),
            step.doc,
            beside.join("<br>")
        );
    }
    out.push_str("\n| `feature =` | does |\n| --- | --- |\n");
    for (name, doc) in FEATURE_DOCS {
        let _ = writeln!(out, "| `{name}` | {doc} |");
    }
    let later: Vec<String> = STEPS
        .iter()
        .filter(|step| matches!(step.argument, Kind::NotYet))
        .map(|step| format!("`{}`", step.verb))
        .collect();
    let _ = writeln!(out, "\nNot in this version: {}.", later.join(", "));
    out
}

fn option(key: &Key) -> String {
    let default = match key.default {
        "" => String::new(),
        default => format!(" (default `{default}`)"),
    };
    format!("`{}`: {}{default}. {}", key.name, value(&key.kind), key.doc)
}

/// What a value must be, as messages say it, with an example where the form has one.
fn value(kind: &Kind) -> String {
    let words = match kind {
        Kind::Form(form) => format!("{}: `{}`", form.what, form.example),
        Kind::Table(keys) | Kind::Tables(keys) => {
            let names = keys
                .keys
                .iter()
                .filter(|key| !matches!(key.kind, Kind::NotYet));
            let names: Vec<String> = names.map(|key| format!("`{}`", key.name)).collect();
            format!("a table of {}", names.join(", "))
        }
        Kind::Map(inner) => format!("a table of names and {}", wanted(inner)),
        Kind::OneOrMore(inner) => format!("{}, or a list", value(inner)),
        Kind::Either(kinds) => kinds.iter().map(value).collect::<Vec<_>>().join(", or "),
        other => wanted(other),
    };
    // a pipe would end the cell
    words.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::dialplan::FEATURES;

    #[test]
    fn every_feature_that_files_may_name_is_told_of() {
        let told: Vec<&str> = FEATURE_DOCS.iter().map(|(name, _)| *name).collect();
        assert_eq!(told, FEATURES);
    }

    #[test]
    fn no_step_stands_there_twice() {
        let mut verbs: Vec<&str> = STEPS.iter().map(|step| step.verb).collect();
        verbs.sort_unstable();
        let all = verbs.len();
        verbs.dedup();
        assert_eq!(verbs.len(), all);
    }
}
