//! The `strowger` command: arguments to exit code. Everything else is in the library.

use std::process::ExitCode;

/// Faster than the system's for many small messages, and it gives memory back after a peak.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    strowger::cli::main()
}
