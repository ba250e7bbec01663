//! The ring of the last inputs, written to disk when the core panics, so that the fault can be replayed.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::base::Now;
use crate::switch::Input;

/// Inputs kept. They share their buffers with the sockets' batches, so the ring costs at most 256 messages.
const KEPT: usize = 256;
/// Dumps kept in the data directory; a fault that repeats must not fill the disk.
const DUMPS_MAX: usize = 20;

/// The ring.
pub struct Recent {
    inputs: VecDeque<(Now, Input)>,
}

impl Default for Recent {
    fn default() -> Self {
        Recent {
            inputs: VecDeque::with_capacity(KEPT),
        }
    }
}

impl Recent {
    /// Remembers an input, forgetting the oldest.
    pub fn note(&mut self, now: Now, input: &Input) {
        if self.inputs.len() == KEPT {
            self.inputs.pop_front();
        }
        self.inputs.push_back((now, input.clone()));
    }

    /// The newest input.
    pub fn last(&self) -> Option<&Input> {
        self.inputs.back().map(|(_, input)| input)
    }

    /// Writes what is remembered to `dir/panic-MILLISECONDS.txt` (mode 0600: it holds messages), oldest first, one input to a line;
    /// the last one is the input at which the core fell. `None` when there are enough such files.
    pub fn dump(&self, dir: &Path, what: &str) -> io::Result<Option<PathBuf>> {
        let dumps = std::fs::read_dir(dir)?
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("panic-"))
            .count();
        if dumps >= DUMPS_MAX {
            return Ok(None);
        }
        let at = self.inputs.back().map(|(now, _)| *now).unwrap_or_default();
        let mut text = format!(
            "# {} {}\n# panic: {}\n",
            env!("CARGO_PKG_VERSION"),
            at.wall,
            what.replace('\n', " ")
        );
        for (now, input) in &self.inputs {
            // Debug escapes control characters, so a line is a line.
            let _ = writeln!(
                text,
                "{} {} {input:?}",
                now.mono.as_nanos(),
                now.wall.as_micros()
            );
        }
        let path = dir.join(format!("panic-{}.txt", at.wall.as_millis()));
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(Some(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Instant, WallTime};

    #[test]
    fn the_last_inputs_are_written_and_old_ones_forgotten() {
        let dir = tempfile::tempdir().expect("dir");
        let mut recent = Recent::default();
        for i in 0..300u64 {
            let now = Now {
                mono: Instant::from_nanos(i),
                wall: WallTime::from_millis(i as i64),
            };
            recent.note(now, &Input::StoreHealth { ok: i % 2 == 0 });
        }
        let path = recent
            .dump(dir.path(), "two\nlines")
            .expect("writes")
            .expect("path");
        let text = std::fs::read_to_string(path).expect("reads");
        assert_eq!(text.lines().count(), 2 + KEPT);
        assert!(text.lines().nth(1).expect("line").ends_with("two lines"));
        assert!(text.lines().nth(2).expect("line").starts_with("44 44000 "));
        assert!(text.lines().last().expect("line").contains("ok: false"));
    }

    #[test]
    fn a_repeating_fault_does_not_fill_the_disk() {
        let dir = tempfile::tempdir().expect("dir");
        for i in 0..DUMPS_MAX {
            std::fs::write(dir.path().join(format!("panic-{i}.txt")), "").expect("writes");
        }
        assert_eq!(
            Recent::default().dump(dir.path(), "again").expect("looks"),
            None
        );
    }
}
