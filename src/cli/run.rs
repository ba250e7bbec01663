//! `strowger run`: starts the server.

use std::path::Path;
use std::process::ExitCode;

use crate::{api, io};

/// Serves the configuration until told to stop.
pub fn run(directory: &Path) -> ExitCode {
    ExitCode::from(io::run::serve(directory, Some(Box::new(api::start))))
}
