//! `strowger numbers`: lists of numbers, what is on them, and what the gates would say of one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::{Failure, ServerArgs, answered, segment};
use super::tables::{self, Kind};
use super::words::{list, number, plain, plural, text};
use crate::outbound::ListKind;

/// What is done with lists.
#[derive(Debug, Subcommand)]
pub enum NumbersOrder {
    /// Make a list
    Make {
        #[command(flatten)]
        server: ServerArgs,
        /// Its name
        name: String,
        /// do-not-call, black or white
        #[arg(long)]
        kind: Meaning,
        /// The extension whose own it is [default: the company's]
        #[arg(long, value_name = "EXTENSION")]
        owner: Option<String>,
    },
    /// Take a list away, with all that is on it
    Drop {
        #[command(flatten)]
        server: ServerArgs,
        /// Its name
        name: String,
    },
    /// Show what people put on a list
    Show {
        #[command(flatten)]
        server: ServerArgs,
        /// Its name
        name: String,
    },
    /// Put a number on a list
    Add {
        #[command(flatten)]
        server: ServerArgs,
        /// The list
        name: String,
        /// +442071838750, or +44900* for all that begin so
        number: String,
        /// It ends then (2027-01-01T00:00:00Z)
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Take a number from a list
    Remove {
        #[command(flatten)]
        server: ServerArgs,
        /// The list
        name: String,
        /// As it was put there
        number: String,
    },
    /// Put the numbers of a file in the place of those imported before
    Import {
        #[command(flatten)]
        server: ServerArgs,
        /// The list
        name: String,
        /// A text file with a number a line, or a CSV file with the numbers in the first column
        file: PathBuf,
    },
    /// Show what the gates would say of a call, without making it
    Check {
        #[command(flatten)]
        server: ServerArgs,
        /// Whom to call
        number: String,
        /// The extension that would call
        #[arg(long, value_name = "EXTENSION")]
        from: Option<String>,
    },
}

/// What being on a list means.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Meaning {
    /// They do not want to be called
    DoNotCall,
    /// We do not call them
    Black,
    /// Only they are called
    White,
}

impl Meaning {
    fn word(self) -> &'static str {
        match self {
            Meaning::DoNotCall => ListKind::DoNotCall,
            Meaning::Black => ListKind::Black,
            Meaning::White => ListKind::White,
        }
        .as_str()
    }
}

/// Does what was asked for; without an order it shows the lists.
pub fn numbers(server: &ServerArgs, order: Option<NumbersOrder>) -> ExitCode {
    let Some(order) = order else {
        return answered(server, |client| {
            let lists = client.whole_list("numbers-lists")?;
            let shown = tables::render(Kind::Numbers, &lists, Timestamp::now());
            Ok((lists, shown))
        });
    };
    let path = |name: &str| format!("numbers-lists/{}", segment(name));
    match order {
        NumbersOrder::Make {
            server,
            name,
            kind,
            owner,
        } => answered(&server, |client| {
            let order = json!({ "kind": kind.word(), "owner": owner });
            one(client.put_json(&path(&name), &order))
        }),
        NumbersOrder::Drop { server, name } => answered(&server, |client| {
            let gone = client.delete(&path(&name))?;
            Ok((gone, format!("list {} is gone", plain(&name))))
        }),
        NumbersOrder::Show { server, name } => answered(&server, |client| {
            let entries = client.whole_list(&format!("{}/numbers", path(&name)))?;
            let shown = tables::render(Kind::NumbersOf, &entries, Timestamp::now());
            Ok((entries, shown))
        }),
        NumbersOrder::Add {
            server,
            name,
            number,
            until,
            note,
        } => answered(&server, |client| {
            let order = json!({ "until": until.map(|at| at.to_string()), "note": note });
            let path = format!("{}/numbers/{}", path(&name), segment(&number));
            one(client.put_json(&path, &order))
        }),
        NumbersOrder::Remove {
            server,
            name,
            number,
        } => answered(&server, |client| {
            one(client.delete(&format!("{}/numbers/{}", path(&name), segment(&number))))
        }),
        NumbersOrder::Import { server, name, file } => answered(&server, |client| {
            let text = std::fs::read(&file).map_err(|error| {
                Failure::wrong(format!("cannot read {}: {error}", file.display()))
            })?;
            one(client.post_text(&format!("{}/import", path(&name)), &text))
        }),
        NumbersOrder::Check {
            server,
            number,
            from,
        } => answered(&server, |client| {
            let from = from.map_or(String::new(), |from| format!("&from={}", segment(&from)));
            let record = client.get(&format!("gates?number={}{from}", segment(&number)))?;
            let shown = gates(std::slice::from_ref(&record)).join("\n");
            Ok((record, shown))
        }),
    }
}

fn one(list: Result<Value, Failure>) -> Result<(Value, String), Failure> {
    let list = list?;
    let shown = tables::render(
        Kind::Numbers,
        &json!({ "items": [&list] }),
        Timestamp::now(),
    );
    Ok((list, shown))
}

/// A row of `strowger numbers`.
pub(super) fn row(list: &Value) -> [String; 6] {
    let imported = match text(list, "imported_at") {
        Some(at) => format!(
            "{} on {}",
            number(list, "imported"),
            at.get(..10).unwrap_or(at)
        ),
        None => "-".to_owned(),
    };
    [
        plain(text(list, "name").unwrap_or("-")),
        text(list, "kind").unwrap_or("-").to_owned(),
        plain(text(list, "owner").unwrap_or("the company")),
        number(list, "numbers").to_string(),
        imported,
        plain(
            text(list, "problem")
                .or(text(list, "defined_in"))
                .unwrap_or("-"),
        ),
    ]
}

/// A row of `strowger numbers show`.
pub(super) fn entry_row(entry: &Value) -> [String; 5] {
    let field = |name: &str| plain(text(entry, name).unwrap_or("-"));
    [
        field("number"),
        field("at"),
        field("until"),
        field("by"),
        field("note"),
    ]
}

/// What gates said, a line each, and one for each number before.
pub(super) fn gates(records: &[Value]) -> Vec<String> {
    let mut lines = Vec::new();
    for record in records {
        let answers = list(record, "answers");
        let verdict = match text(record, "verdict") {
            Some("allow") => "may be called",
            Some("deny") => "may not be called",
            _ => "may be called with a PIN",
        };
        let mut head = format!(
            "{} {verdict} ({}",
            text(record, "number").unwrap_or("?"),
            text(record, "purpose").unwrap_or("?")
        );
        if let Some(by) = text(record, "by") {
            head += &format!(" for {by}");
        }
        head += &format!("; {} asked)", plural(answers.len() as u64, "gate"));
        if let Some(at) = text(record, "not_before") {
            head += &format!(", again at {at}");
        }
        lines.push(plain(&head));
        for answer in answers {
            let mut line = format!(
                "  {} {}: {}",
                text(answer, "said").unwrap_or("?"),
                text(answer, "gate").unwrap_or("?"),
                text(answer, "reason").unwrap_or("")
            );
            match (text(answer, "list"), text(answer, "version")) {
                (Some(_), Some(version)) => line += &format!(" (version {version})"),
                (None, Some(versions)) => line += &format!(" (looked at {versions})"),
                _ => {}
            }
            lines.push(plain(&line));
        }
    }
    lines
}

/// The same below what is said of a call or work item; nothing when nothing was asked.
pub(super) fn below(of: &Value) -> String {
    let records = list(of, "gates");
    match records.is_empty() {
        true => String::new(),
        false => format!("\n\nGates:\n{}", gates(records).join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_told_with_the_list_and_its_version() {
        let record = json!({
            "number": "+442071838750", "purpose": "callback", "by": "1001", "verdict": "deny",
            "answers": [
                { "gate": "emergency", "said": "allow", "reason": "no emergency number" },
                { "gate": "do-not-call", "said": "deny", "reason": "on list `national`, imported on 2026-11-01",
                  "list": "national", "version": "3-0000abcd" },
            ],
        });
        assert_eq!(
            below(&json!({ "gates": [record] })),
            "\n\nGates:\n+442071838750 may not be called (callback for 1001; 2 gates asked)\n  \
             allow emergency: no emergency number\n  \
             deny do-not-call: on list `national`, imported on 2026-11-01 (version 3-0000abcd)"
        );
        assert_eq!(below(&json!({})), "");
    }

    #[test]
    fn a_list_shows_whose_it_is_and_what_is_wrong_with_it() {
        let row = row(&json!({
            "name": "national", "kind": "do-not-call", "numbers": 5, "imported": 5, "imported_at": "2026-11-01T00:00:00Z",
            "defined_in": "outbound.toml:7", "problem": "list `national` is out of date",
        }));
        assert_eq!(
            row,
            [
                "national",
                "do-not-call",
                "the company",
                "5",
                "5 on 2026-11-01",
                "list `national` is out of date"
            ]
        );
    }
}
