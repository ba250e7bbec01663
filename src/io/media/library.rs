//! Finds prompts by name: the operator's files first, then those built into the program; decoded once.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rust_embed::RustEmbed;

use crate::base::Map;
use crate::media::prompts::{RATE_HZ, SoundError, decode};
use crate::media::signal::call_tones;

/// The set that is built in.
#[derive(RustEmbed)]
#[folder = "prompts/"]
struct BuiltIn;

/// Language of a prompt that is named without one.
const LANGUAGE: &str = "en";

/// Kinds of files, in the order in which they are looked for.
const KINDS: [&str; 2] = ["flac", "wav"];

/// Why a prompt cannot be played: the operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// No such file in the operator's folder or the built-in set.
    #[error("no prompt is named \"{0}\"")]
    Unknown(String),
    /// The file is there but cannot be used.
    #[error("prompt \"{name}\": {error}")]
    Sound {
        /// As asked for.
        name: String,
        /// What is wrong with it.
        error: SoundError,
    },
    /// The file is there but cannot be read.
    #[error("prompt \"{name}\": {error}")]
    Read {
        /// As asked for.
        name: String,
        /// What the system says.
        error: std::io::Error,
    },
}

/// All prompts, decoded when first asked for and kept: 16 kB for each second.
///
/// A name is a file below the folder without its kind: `welcome` is `en/welcome.flac` or `welcome.wav`, `digits/7`, `music/default`,
/// `de/welcome`. A path that begins with `/` is taken as it is. The tones of networks (`tones/gb/busy`, `tones/milliwatt`) are made, unless
/// there is a file of that name.
#[derive(Default)]
pub struct PromptStore {
    folder: Option<PathBuf>,
    decoded: Mutex<Map<String, Arc<[i16]>>>,
}

impl PromptStore {
    /// With the operator's folder of prompts, if there is one. Nothing is read yet.
    pub fn new(folder: Option<PathBuf>) -> PromptStore {
        PromptStore {
            folder,
            decoded: Mutex::default(),
        }
    }

    /// A prompt as 8 kHz mono.
    pub fn get(&self, name: &str) -> Result<Arc<[i16]>, PromptError> {
        if let Some(samples) = self.decoded.lock().get(name) {
            return Ok(samples.clone());
        }
        // two threads may decode the same prompt once each: better than one waiting for the other's disk
        let samples: Arc<[i16]> = match (self.read(name), call_tones::sound(name, RATE_HZ)) {
            (Err(PromptError::Unknown(_)), Some(tone)) => tone.into(),
            (bytes, _) => decode(&bytes?)
                .map_err(|error| PromptError::Sound {
                    name: name.to_owned(),
                    error,
                })?
                .into(),
        };
        self.decoded.lock().insert(name.to_owned(), samples.clone());
        Ok(samples)
    }

    /// True when there is a file of that name, whether or not it can be decoded.
    pub fn has(&self, name: &str) -> bool {
        self.file(name).is_some()
            || candidates(name).any(|file| BuiltIn::get(&file).is_some())
            || call_tones::names().any(|tone| tone == name)
    }

    /// All names that can be played, in order; prompts of the default language without it. For `check` and for the API.
    pub fn names(&self) -> Vec<String> {
        let mut names: BTreeSet<String> =
            BuiltIn::iter().filter_map(|file| name_of(&file)).collect();
        names.extend(call_tones::names());
        if let Some(folder) = &self.folder {
            collect(folder, folder, 0, &mut names);
        }
        names.into_iter().collect()
    }

    /// Decodes everything in advance; what cannot be decoded is found by `get` later.
    pub fn warm(&self) {
        for name in self.names() {
            let _ = self.get(&name);
        }
    }

    /// Forgets what was decoded: after the operator changed files.
    pub fn forget(&self) {
        self.decoded.lock().clear();
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, PromptError> {
        if let Some(file) = self.file(name) {
            return std::fs::read(file).map_err(|error| PromptError::Read {
                name: name.to_owned(),
                error,
            });
        }
        candidates(name)
            .find_map(|file| BuiltIn::get(&file))
            .map(|file| file.data.into_owned())
            .ok_or_else(|| PromptError::Unknown(name.to_owned()))
    }

    /// The operator's file for a name.
    fn file(&self, name: &str) -> Option<PathBuf> {
        let path = Path::new(name);
        if path.is_absolute() {
            return path.is_file().then(|| path.to_owned());
        }
        // a name stays within the folder
        if !path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return None;
        }
        let folder = self.folder.as_ref()?;
        candidates(name)
            .map(|file| folder.join(file))
            .find(|file| file.is_file())
    }
}

/// Files that a name may mean, best first. A name with its kind is taken literally as well.
fn candidates(name: &str) -> impl Iterator<Item = String> {
    let literal = KINDS
        .iter()
        .any(|kind| Path::new(name).extension().is_some_and(|e| e == *kind));
    let suffixes = KINDS.iter().map(|kind| format!(".{kind}"));
    let suffixes: Vec<String> = literal
        .then(String::new)
        .into_iter()
        .chain(suffixes)
        .collect();
    suffixes.into_iter().flat_map(move |suffix| {
        [
            format!("{LANGUAGE}/{name}{suffix}"),
            format!("{name}{suffix}"),
        ]
    })
}

/// `en/digits/7.flac` -> `digits/7`.
fn name_of(file: &str) -> Option<String> {
    let stem = KINDS
        .iter()
        .find_map(|kind| file.strip_suffix(kind)?.strip_suffix('.'))?;
    let name = stem
        .strip_prefix(LANGUAGE)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(stem);
    Some(name.to_owned())
}

/// Adds the names of sound files below `folder`, four levels deep: deeper is a mistake or a loop of links.
fn collect(root: &Path, folder: &Path, depth: usize, names: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && depth < 4 {
            collect(root, &path, depth + 1, names);
        } else if let Some(name) = path
            .strip_prefix(root)
            .ok()
            .and_then(Path::to_str)
            .and_then(name_of)
        {
            names.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, file: &str, value: i16) {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes folder");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec).expect("creates");
        writer.write_sample(value).expect("writes");
        writer.finalize().expect("finishes");
    }

    #[test]
    fn built_in_prompts_are_found_by_name() {
        let store = PromptStore::default();
        let names = store.names();
        for name in ["welcome", "digits/7", "music/default"] {
            assert!(names.iter().any(|known| known == name), "{name}");
            assert!(store.has(name));
            assert!(!store.get(name).expect("decodes").is_empty());
        }
    }

    #[test]
    fn what_the_program_plays_of_its_own_accord_is_built_in() {
        let store = PromptStore::default();
        let own = ["tones/ringback", "music/default"].map(str::to_owned);
        for name in crate::dialplan::say::prompt_names().into_iter().chain(own) {
            assert!(store.has(&name), "{name}");
        }
    }

    #[test]
    fn every_built_in_prompt_can_be_played() {
        let store = PromptStore::default();
        for name in store.names() {
            assert!(store.get(&name).is_ok(), "{name}");
        }
    }

    #[test]
    fn tones_of_networks_are_made_unless_there_is_a_file() {
        let store = PromptStore::default();
        assert!(store.has("tones/de/busy") && !store.has("tones/de/happy"));
        assert_eq!(store.get("tones/de/busy").expect("made").len(), 960 * 8);
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "tones/de/busy.wav", 5);
        let store = PromptStore::new(Some(folder.path().to_owned()));
        assert_eq!(store.get("tones/de/busy").expect("decodes")[..], [5]);
    }

    #[test]
    fn operators_file_takes_the_place_of_the_built_in_one() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "welcome.wav", 11);
        write(folder.path(), "en/goodbye.wav", 12);
        write(folder.path(), "music/own.wav", 13);
        let store = PromptStore::new(Some(folder.path().to_owned()));
        assert_eq!(store.get("welcome").expect("decodes")[..], [11]);
        assert_eq!(store.get("goodbye").expect("decodes")[..], [12]);
        assert_eq!(store.get("music/own").expect("decodes")[..], [13]);
        assert_eq!(store.get("music/own.wav").expect("decodes")[..], [13]);
        assert!(store.names().contains(&"music/own".to_owned()));
        write(folder.path(), "welcome.wav", 21);
        assert_eq!(store.get("welcome").expect("kept")[..], [11]);
        store.forget();
        assert_eq!(store.get("welcome").expect("decodes")[..], [21]);
    }

    #[test]
    fn unknown_and_escaping_names_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "secret.wav", 1);
        let store = PromptStore::new(Some(folder.path().join("inner")));
        for name in [
            "nothing-of-this-name",
            "../secret",
            "",
            "inner/../../secret",
        ] {
            let error = store.get(name).expect_err(name);
            assert_eq!(error.to_string(), format!("no prompt is named \"{name}\""));
            assert!(!store.has(name));
        }
    }

    #[test]
    fn damaged_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("bad.wav"), b"RIFFxxxx").expect("writes");
        let store = PromptStore::new(Some(folder.path().to_owned()));
        assert!(store.has("bad"));
        let error = store.get("bad").expect_err("broken").to_string();
        assert!(
            error.starts_with("prompt \"bad\": cannot be decoded"),
            "{error}"
        );
    }
}
