//! Imported numbers: a file each in the data directory, because a register of millions is no business of the journal.
//!
//! The file is written and synced first, then the switch journals that the list has it. What was before goes when that is done; a file that
//! nobody names after a kill in between takes up room, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data_dir;
use super::handle::Handle;
use crate::base::WallTime;
use crate::outbound::{ListView, NumberSet, WrongLine};
use crate::switch::{Answer, Command, NumbersAnswer, NumbersOrder, Refusal};

/// Folder in the data directory.
const FOLDER: &str = "numbers";

/// Why numbers were not imported.
#[derive(Debug)]
pub enum ImportFailure {
    /// A line is no number.
    Line(WrongLine),
    /// The text is not UTF-8.
    NotText,
    /// The disk.
    Disk(io::Error),
    /// The switch.
    Refused(Refusal),
}

/// All that are there and whole, by their names.
pub fn load(data_dir: &Path) -> BTreeMap<Arc<str>, Arc<NumberSet>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(data_dir.join(FOLDER)) else {
        return found;
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.ends_with(".numbers") {
            continue;
        }
        let set = fs::read(entry.path())
            .ok()
            .and_then(|bytes| NumberSet::from_file(&bytes));
        match set {
            Some(set) => {
                found.insert(Arc::from(name), Arc::new(set));
            }
            None => tracing::error!(
                "{} is no whole file of numbers: its list lets nobody through until it is imported again",
                entry.path().display()
            ),
        }
    }
    found
}

fn write(folder: &Path, name: &str, set: &NumberSet) -> io::Result<PathBuf> {
    data_dir::make(folder)?;
    let path = folder.join(name);
    let young = folder.join(format!("{name}.new"));
    let written = fs::File::create(&young)
        .and_then(|mut file| {
            file.write_all(&set.to_file())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&young, &path));
    if let Err(error) = written {
        // a part of it would be in the way of a full disk
        let _ = fs::remove_file(&young);
        return Err(error);
    }
    fs::File::open(folder)?.sync_all()?;
    Ok(path)
}

/// Reads a text of numbers, keeps them, and gives them to a list.
pub async fn import(
    handle: &Handle,
    list: Arc<str>,
    text: Vec<u8>,
) -> Result<ListView, ImportFailure> {
    // a list that is not there is found out before the work
    let name = list.clone();
    let known = handle
        .call(Command::Numbers(NumbersOrder::List { name }))
        .await;
    known.map_err(ImportFailure::Refused)?;
    let settings = handle.settings();
    let folder = settings
        .directory_path
        .join(&settings.server.data_dir)
        .join(FOLDER);
    let at = WallTime::from_timestamp(jiff::Timestamp::now());
    let inside = folder.clone();
    let read = move || {
        let text = String::from_utf8(text).map_err(|_| ImportFailure::NotText)?;
        let set = NumberSet::read(&text).map_err(ImportFailure::Line)?;
        let file = format!("{}-{:08x}.numbers", at.as_micros(), set.fingerprint());
        write(&inside, &file, &set).map_err(ImportFailure::Disk)?;
        Ok((Arc::<str>::from(file), Arc::new(set)))
    };
    #[allow(clippy::disallowed_methods)] // the shell's own thread: millions of lines
    let (file, numbers) = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| ImportFailure::Disk(io::Error::other(error)))??;
    let order = NumbersOrder::Import {
        name: list,
        file: file.clone(),
        numbers,
    };
    let forget = |file: &str| {
        let _ = fs::remove_file(folder.join(file));
    };
    match handle.call(Command::Numbers(order)).await {
        Ok(Answer::Numbers(NumbersAnswer::Imported(view, before))) => {
            if let Some(before) = before.filter(|before| *before != file) {
                forget(&before);
            }
            Ok(*view)
        }
        Ok(_) => Err(ImportFailure::Disk(io::Error::other("another answer"))),
        Err(refusal) => {
            forget(&file);
            Err(ImportFailure::Refused(refusal))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        let set = NumberSet::read("+442071838750\n").expect("numbers");
        fs::create_dir(dir.path().join("1.numbers")).expect("in the way");
        write(dir.path(), "1.numbers", &set).expect_err("a folder is in the way");
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1);
    }

    #[test]
    fn what_is_whole_is_loaded_and_what_is_cut_short_is_not() {
        let dir = tempfile::tempdir().expect("dir");
        let set = NumberSet::read("+442071838750\n").expect("numbers");
        let folder = dir.path().join(FOLDER);
        write(&folder, "1.numbers", &set).expect("written");
        let cut = set.to_file();
        fs::write(folder.join("2.numbers"), &cut[..cut.len() - 1]).expect("written");
        fs::write(folder.join("3.numbers.new"), &cut).expect("written");
        let found = load(dir.path());
        assert_eq!(
            found.keys().map(|k| &**k).collect::<Vec<_>>(),
            ["1.numbers"]
        );
        assert_eq!(*found["1.numbers"], set);
        assert!(load(&dir.path().join("nowhere")).is_empty());
    }
}
