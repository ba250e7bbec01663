//! Holds the house rules of ARCHITECTURE.md against the code: ranks, a core without I/O, short files, one room for `unsafe`.
//!
//! It reads the sources as text. That is coarse, and enough: a path `crate::x` in code is a dependency on `x`, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The ranks. A module names only modules of a lower rank; equal ranks never see each other.
const RANKS: &[(&str, u8)] = &[
    ("base", 0),
    ("sip", 1),
    ("sdp", 1),
    ("rtp", 1),
    ("event", 1),
    ("transport", 2),
    ("auth", 2),
    ("transaction", 3),
    ("registrar", 4),
    ("proxy", 4),
    ("dialog", 4),
    ("media", 4),
    ("directory", 4),
    ("call", 5),
    ("dialplan", 5),
    ("acd", 5),
    ("notifier", 5),
    ("outbound", 5),
    ("trunk", 5),
    ("cluster", 5),
    ("config", 6),
    ("switch", 7),
    ("store", 8),
    ("sim", 8),
    ("io", 9),
    ("api", 10),
    ("cli", 11),
];

/// Modules up to this rank decide and do no I/O. `config` (6) is the one exception that may read files: it turns them into settings.
const CORE_RANK_MAX: u8 = 7;

const FILE_LINES_MAX: usize = 700;

/// The only files that may say `unsafe`: the system calls that std does not offer.
const UNSAFE_FILES: &[&str] = &["src/io/batch.rs", "src/io/media/sys.rs"];

/// What the core may not name, and what it uses instead.
const FORBIDDEN_IN_CORE: &[(&str, &str)] = &[
    (
        "tokio",
        "only io/ and api/ know the runtime; return an Effect",
    ),
    (
        "std::net::UdpSocket",
        "sockets live in io/; return Effect::Send",
    ),
    (
        "std::net::TcpStream",
        "sockets live in io/; return Effect::Send",
    ),
    ("std::net::TcpListener", "sockets live in io/"),
    ("socket2::", "sockets live in io/"),
    ("libc::", "system calls live in io/"),
    ("rusqlite", "SQL lives in store/; return Effect::Journal"),
    ("std::fs", "files are read by config/, store/ and io/"),
    ("File::open", "files are read by config/, store/ and io/"),
    ("std::process", "the core starts nothing"),
    ("std::env", "the environment is read by config/ and cli/"),
    ("std::thread", "threads live in io/"),
    ("Instant::now", "time is handed in as Now"),
    ("SystemTime::now", "time is handed in as Now"),
    ("Zoned::now", "time is handed in as Now"),
    ("Timestamp::now", "time is handed in as Now"),
    ("std::collections::HashMap", "use base::Map"),
    ("std::collections::HashSet", "use base::Set"),
    ("rand::rng", "entropy is a value: base::Entropy"),
    (
        "println!",
        "the core says nothing on its own; return Effect::Log",
    ),
    (
        "eprintln!",
        "the core says nothing on its own; return Effect::Log",
    ),
];

/// What `config` may name although it is core by rank: it reads the operator's files.
const CONFIG_MAY: &[&str] = &["std::fs", "std::env", "File::open"];

struct Source {
    /// Path from the repository root, with `/`.
    path: String,
    /// First folder or file under src/, e.g. `sip`; `None` for lib.rs, main.rs and bin/.
    module: Option<String>,
    /// The text with comments and the contents of string literals blanked; line numbers are kept.
    code: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .expect("readable folder")
        .map(|e| e.expect("entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).expect("readable source");
            let path = file
                .strip_prefix(root())
                .expect("under the root")
                .to_string_lossy()
                .replace('\\', "/");
            let first = path
                .split('/')
                .nth(1)
                .expect("src/x")
                .trim_end_matches(".rs")
                .to_string();
            let module = (!["lib", "main", "bin"].contains(&first.as_str())).then_some(first);
            Source {
                code: blank_comments_and_strings(&text),
                path,
                module,
                text,
            }
        })
        .collect()
}

/// Replaces comments and the inside of string and character literals by spaces, keeping newlines.
fn blank_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let keep_lines = |out: &mut Vec<u8>, part: &[u8]| {
        out.extend(part.iter().map(|&b| if b == b'\n' { b'\n' } else { b' ' }))
    };
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = if rest.starts_with(b"//") {
            rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment_length(rest)
        } else if let Some(hashes) = raw_string_hashes(bytes, at) {
            let mut close = vec![b'"'];
            close.extend(std::iter::repeat_n(b'#', hashes));
            let open = hashes + 2;
            find(&rest[open.min(rest.len())..], &close)
                .map_or(rest.len(), |end| open + end + close.len())
        } else if rest[0] == b'"' {
            quoted_length(rest, b'"')
        } else if rest[0] == b'\'' && is_char_literal(rest) {
            quoted_length(rest, b'\'')
        } else {
            out.push(rest[0]);
            at += 1;
            continue;
        };
        keep_lines(&mut out, &rest[..length]);
        at += length;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn block_comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0usize);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The number of `#` of a raw string that begins here (`r"…"`, `br##"…"##`).
fn raw_string_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes[at] != b'r' {
        return None;
    }
    let before = at.checked_sub(1).map(|i| bytes[i]);
    let starts_word = match before {
        Some(b'b') => at < 2 || !(bytes[at - 2].is_ascii_alphanumeric() || bytes[at - 2] == b'_'),
        Some(b) => !(b.is_ascii_alphanumeric() || b == b'_'),
        None => true,
    };
    let hashes = bytes[at + 1..].iter().take_while(|&&b| b == b'#').count();
    (starts_word && bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A lifetime (`'a`) has no closing quote right after its one character.
fn is_char_literal(rest: &[u8]) -> bool {
    if rest.get(1) == Some(&b'\\') {
        return true;
    }
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(8)]).into_owned();
    text.chars().nth(1) == Some('\'')
}

fn rank(module: &str) -> Option<u8> {
    RANKS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, rank)| *rank)
}

/// The top-level modules that `code` names by `crate::x`, `crate::{x, y::z}` or (in binaries and tests) `strowger::x`.
fn named_modules(code: &str, prefix: &str) -> BTreeSet<(usize, String)> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        if at > 0 && code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + prefix.len()..];
        let names: Vec<String> = match rest.strip_prefix('{') {
            Some(group) => top_level_items(group),
            None => vec![rest.to_string()],
        };
        for name in names {
            let name: String = name
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            found.insert((line, name));
        }
    }
    found
}

/// The comma-separated items of a `{…}` group whose opening brace is already eaten.
fn top_level_items(group: &str) -> Vec<String> {
    let (mut depth, mut items, mut item) = (1, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if c == ',' && depth == 1 {
            items.push(std::mem::take(&mut item));
        } else {
            item.push(c);
        }
    }
    items.push(item);
    items.retain(|i| !i.trim().is_empty());
    items
}

/// The code before the unit tests of a file: tests may use what the core may not.
fn without_tests(source: &Source) -> &str {
    if source.path.ends_with("/tests.rs") || source.path.contains("/tests/") {
        return "";
    }
    source
        .code
        .find("#[cfg(test)]")
        .map_or(source.code.as_str(), |at| &source.code[..at])
}

fn report(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn every_module_has_a_rank_and_stands_in_its_order() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let mut faults = Vec::new();
    let mut last = (0, String::from("base"));
    for line in lib.lines() {
        let Some(name) = line
            .trim()
            .strip_prefix("pub mod ")
            .or_else(|| line.trim().strip_prefix("mod "))
        else {
            continue;
        };
        let name = name.trim_end_matches(';').to_string();
        match rank(&name) {
            None => faults.push(format!("src/lib.rs: `{name}` has no rank: give it one in tests/architecture.rs and ARCHITECTURE.md")),
            Some(rank) if rank < last.0 => faults.push(format!("src/lib.rs: `{name}` [{rank}] stands after `{}` [{}]", last.1, last.0)),
            Some(rank) => last = (rank, name),
        }
    }
    report("modules stand in the order of their rank", &faults);
}

#[test]
fn a_module_names_only_modules_of_a_lower_rank() {
    let mut faults = Vec::new();
    for source in sources() {
        let Some(module) = &source.module else {
            continue;
        };
        let Some(own) = rank(module) else {
            faults.push(format!("{}: module `{module}` has no rank", source.path));
            continue;
        };
        for prefix in ["crate::", "strowger::"] {
            for (line, name) in named_modules(&source.code, prefix) {
                match rank(&name) {
                    Some(_) if name == *module => {}
                    Some(theirs) if theirs >= own => {
                        faults.push(format!(
                            "{}:{line}: `{module}` [{own}] names `{name}` [{theirs}]",
                            source.path
                        ));
                    }
                    _ => {}
                }
            }
        }
    }
    report(
        "a module names only modules of a lower rank; equal ranks never see each other",
        &faults,
    );
}

#[test]
fn the_core_does_no_io() {
    let mut faults = Vec::new();
    for source in sources() {
        let Some(module) = &source.module else {
            continue;
        };
        if rank(module).is_none_or(|rank| rank > CORE_RANK_MAX) {
            continue;
        }
        let code = without_tests(&source);
        for (word, instead) in FORBIDDEN_IN_CORE {
            if module == "config" && CONFIG_MAY.contains(word) {
                continue;
            }
            for (at, _) in code.match_indices(word) {
                let wordish = |c: char| c.is_alphanumeric() || c == '_';
                if code[..at].ends_with(wordish)
                    || (word.ends_with(wordish) && code[at + word.len()..].starts_with(wordish))
                {
                    continue;
                }
                let line = code[..at].matches('\n').count() + 1;
                faults.push(format!("{}:{line}: `{word}`: {instead}", source.path));
            }
        }
    }
    report(
        "the core does no I/O, reads no clock and draws no entropy",
        &faults,
    );
}

#[test]
fn unsafe_stays_in_its_rooms() {
    let mut faults = Vec::new();
    for source in sources() {
        if UNSAFE_FILES.contains(&source.path.as_str()) {
            continue;
        }
        for (at, _) in source.code.match_indices("unsafe") {
            let after = source.code[at + "unsafe".len()..].chars().next();
            let before = source.code[..at].chars().next_back();
            let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            if !word(before) && !word(after) {
                faults.push(format!(
                    "{}:{}",
                    source.path,
                    source.code[..at].matches('\n').count() + 1
                ));
            }
        }
    }
    report(
        "`unsafe` stays in the files that talk to the kernel",
        &faults,
    );
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!(
                "{}: {lines} lines, at most {FILE_LINES_MAX}: two things live here",
                source.path
            ));
        }
        if lines > 1 && !source.text.starts_with("//!") {
            faults.push(format!(
                "{}: the first line says what the file does (`//! …`)",
                source.path
            ));
        }
        let name = source
            .path
            .rsplit('/')
            .next()
            .expect("a name")
            .trim_end_matches(".rs");
        if [
            "util", "utils", "common", "helpers", "helper", "manager", "misc",
        ]
        .contains(&name)
        {
            faults.push(format!(
                "{}: a thing without a name has no home yet",
                source.path
            ));
        }
    }
    report("a file does one thing and says which", &faults);
}

#[test]
fn nothing_is_left_to_do_in_the_code() {
    let mut faults = Vec::new();
    for source in sources() {
        for word in ["todo!", "unimplemented!", "dbg!"] {
            for (at, _) in source.code.match_indices(word) {
                faults.push(format!(
                    "{}:{}: {word}",
                    source.path,
                    source.code[..at].matches('\n').count() + 1
                ));
            }
        }
    }
    report(
        "what is not there yet is in the ledger, not in the code",
        &faults,
    );
}

#[test]
fn the_reader_of_sources_sees_what_is_code_and_what_is_not() {
    let code = blank_comments_and_strings(
        "use crate::sip; // crate::switch\nlet a = \"crate::io\"; let c = '\"'; let b = br#\"crate::api \" \"#; fn f<'a>(x: &'a u8) {} /* crate::store /* x */ */ use crate::{base::Now, acd::{self, x}};",
    );
    let names: Vec<String> = named_modules(&code, "crate::")
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["sip", "acd", "base"]);
}

#[test]
fn the_rank_table_names_each_module_once() {
    let mut seen = BTreeMap::new();
    for (name, rank) in RANKS {
        assert!(seen.insert(name, rank).is_none(), "{name} stands twice");
    }
    assert!(RANKS.is_sorted_by_key(|(_, rank)| *rank));
}
