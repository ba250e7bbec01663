//! `docs/dialplan.md` says what the program does: its tables are held against the parser and the shipped dialplan.

use std::path::Path;

use strowger::config;
use strowger::dialplan::Variables;

use super::shipped;

const STEPS: (&str, &str) = ("<!-- steps -->\n", "<!-- end of steps -->");
const CODES: (&str, &str) = ("<!-- codes -->\n", "<!-- end of codes -->");

/// The star codes of the shipped dialplan, in the order of the file.
fn codes() -> String {
    let settings = shipped();
    let context = settings.dialplan.context("internal").expect("the context");
    let nothing = Variables::default();
    let mut out = String::from("| dial | rule | steps |\n| --- | --- | --- |\n");
    for rule in &context.rules {
        for number in rule.numbers.iter().map(ToString::to_string) {
            if number.starts_with('*') {
                let steps: Vec<String> = rule.steps.iter().map(|s| s.describe(&nothing)).collect();
                let steps = steps.join(", ");
                out += &format!("| `{number}` | {} | {steps} |\n", rule.name);
            }
        }
    }
    out
}

#[test]
fn the_page_of_dialplans_has_every_step_feature_and_code_as_the_program_knows_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dialplan.md");
    let page = std::fs::read_to_string(&path).expect("docs/dialplan.md");
    let mut wanted = page.clone();
    for ((begin, end), text) in [(STEPS, config::step_tables()), (CODES, codes())] {
        let (before, rest) = wanted.split_once(begin).expect(begin);
        let (_, after) = rest.split_once(end).expect(end);
        wanted = format!("{before}{begin}{text}{end}{after}");
    }
    if std::env::var_os("STROWGER_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).expect("writable");
        return;
    }
    assert!(
        page == wanted,
        "docs/dialplan.md is stale: `STROWGER_WRITE_DOCS=1 cargo test --test config dialplan_page` writes its tables anew"
    );
}
