//! Holds the ledgers of docs/compliance: what is called done is proved by a test that exists, and no requirement is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

const STATUSES: &[&str] = &["done", "partial", "planned", "exception"];
/// The requirements of the five product documents: letter and count. 152 in all.
const REQUIREMENTS: &[(char, u32)] = &[('F', 28), ('G', 20), ('B', 38), ('P', 49), ('D', 17)];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn ledgers() -> Vec<(String, Table)> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("docs/compliance"))
        .expect("the ledgers")
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    let named = |path: PathBuf| {
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path).expect("readable");
        (
            name.clone(),
            text.parse()
                .unwrap_or_else(|fault| panic!("{name}: {fault}")),
        )
    };
    files.into_iter().map(named).collect()
}

/// Each row of each ledger: file, name of the row, the row.
fn rows() -> Vec<(String, String, Table)> {
    let mut rows = Vec::new();
    for (file, ledger) in ledgers() {
        let (key, id) = if file == "requirements.toml" {
            ("requirement", "id")
        } else {
            ("rule", "section")
        };
        let list = ledger
            .get(key)
            .and_then(Value::as_array)
            .unwrap_or_else(|| panic!("{file} has [[{key}]]"));
        for row in list {
            let row = row.as_table().expect("a table").clone();
            let name = text(&row, id)
                .unwrap_or_else(|| panic!("{file}: a row has no `{id}`"))
                .to_string();
            rows.push((file.clone(), name, row));
        }
    }
    rows
}

fn text<'a>(row: &'a Table, key: &str) -> Option<&'a str> {
    row.get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
}

/// `test = "name"` or `test = ["one", "two"]`.
fn tests_of(row: &Table) -> Vec<String> {
    match row.get("test") {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_string)
            .collect(),
        _ => Vec::new(),
    }
}

fn collect(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("readable folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(test_functions(
                &fs::read_to_string(&path).expect("readable"),
            ));
        }
    }
}

/// Names of functions under `#[test]` (or `#[tokio::test]`) that are not ignored, and of those in `proptest!` blocks.
fn test_functions(source: &str) -> Vec<String> {
    let (mut marked, mut ignored, mut names) = (false, false, Vec::new());
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if line.starts_with("#[ignore") {
            ignored = true;
        } else if let Some((_, rest)) = line
            .split_once("fn ")
            .filter(|(before, _)| before.is_empty() || before.ends_with(' '))
        {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if marked && !ignored {
                names.push(name);
            }
            (marked, ignored) = (false, false);
        }
    }
    names
}

#[test]
fn what_is_called_done_is_proved_by_tests_that_exist() {
    let mut tests = BTreeSet::new();
    collect(&root().join("src"), &mut tests);
    collect(&root().join("tests"), &mut tests);
    let mut faults = Vec::new();
    for (file, name, row) in rows() {
        let status = text(&row, "status").unwrap_or_default();
        let named = tests_of(&row);
        if status == "done" && named.is_empty() {
            faults.push(format!("{file} {name}: done, but no `test` is named"));
        }
        for test in named {
            if !tests.contains(&test) {
                faults.push(format!(
                    "{file} {name}: there is no test `{test}` (or it is ignored)"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_row_says_what_and_how_far() {
    let mut faults = Vec::new();
    for (file, name, row) in rows() {
        let words = if file == "requirements.toml" {
            "text"
        } else {
            "requirement"
        };
        if text(&row, words).is_none() {
            faults.push(format!("{file} {name}: no `{words}`"));
        }
        match text(&row, "status") {
            Some(status) if STATUSES.contains(&status) => {}
            other => faults.push(format!(
                "{file} {name}: status {other:?} is none of {STATUSES:?}"
            )),
        }
        if text(&row, "status") == Some("exception") && text(&row, "note").is_none() {
            faults.push(format!(
                "{file} {name}: an exception needs a `note` with the reason"
            ));
        }
        for key in row.keys() {
            if ![
                "id",
                "class",
                "section",
                "text",
                "requirement",
                "status",
                "test",
                "note",
            ]
            .contains(&key.as_str())
            {
                faults.push(format!("{file} {name}: unknown key `{key}`"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn all_152_requirements_are_in_the_ledger_once() {
    let ids: Vec<String> = rows()
        .into_iter()
        .filter(|(file, ..)| file == "requirements.toml")
        .map(|(_, id, _)| id)
        .collect();
    let expected: Vec<String> = REQUIREMENTS
        .iter()
        .flat_map(|(letter, count)| (1..=*count).map(move |n| format!("{letter}-{n:02}")))
        .collect();
    assert_eq!(expected.len(), 152);
    assert_eq!(ids, expected, "in this order, each once");
}

#[test]
fn no_rule_of_an_rfc_stands_twice() {
    let mut seen = BTreeSet::new();
    for (file, name, _) in rows() {
        assert!(
            seen.insert((file.clone(), name.clone())),
            "{file} {name} stands twice"
        );
    }
}

/// The ACD's own specification: sections 0 to 24, its twenty invariants, its twenty-five scenarios.
#[test]
fn every_section_invariant_and_scenario_of_the_acd_is_in_its_ledger() {
    let listed: Vec<String> = rows()
        .into_iter()
        .filter(|(file, ..)| file == "acd.toml")
        .map(|(_, section, _)| section)
        .collect();
    let is_there = |wanted: &str| {
        listed.iter().any(|section| {
            section
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ']))
        })
    };
    let sections = (0..=24).map(|n| n.to_string());
    let invariants = (1..=20).map(|n| format!("21 I{n}"));
    let scenarios = (1..=25).map(|n| format!("24.{n}"));
    let missing: Vec<String> = sections
        .chain(invariants)
        .chain(scenarios)
        .filter(|wanted| !is_there(wanted))
        .collect();
    assert!(missing.is_empty(), "not in acd.toml: {missing:?}");
}

#[test]
fn an_ignored_test_proves_nothing() {
    let source = "#[test]\nfn one() {}\n#[test]\n#[ignore = \"later\"]\nfn two() {}\nfn three() {}\n#[tokio::test]\nasync fn four() {}\n";
    assert_eq!(test_functions(source), ["one", "four"]);
}
