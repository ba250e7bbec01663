//! `strowger run`: starts the server.

use std::path::Path;
use std::process::ExitCode;

use super::check::{load, report};
use super::{FAULT, WRONG, complain};

/// Loads the configuration and serves it.
pub fn run(directory: &Path) -> ExitCode {
    let Some(settings) = load(directory) else {
        return ExitCode::from(WRONG);
    };
    report(&settings.warnings);
    complain("this build has no server in it");
    ExitCode::from(FAULT)
}
