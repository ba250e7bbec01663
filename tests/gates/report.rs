//! The rows of the table that `make gates` prints at its end: gate, measured, limit.

use std::fmt::Display;
use std::io::Write;

/// Says what was measured for a gate of reliability, and what was promised. `scripts/gates.sh` collects the rows.
pub fn row(gate: &str, what: &str, measured: impl Display, limit: impl Display) {
    eprintln!("{gate}: {what}: {measured} (limit: {limit})");
    let Ok(path) = std::env::var("GATES_TABLE") else {
        return;
    };
    let mut table = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .expect("the table can be written");
    writeln!(table, "{gate}\t{what}\t{measured}\t{limit}").expect("written");
}

/// Milliseconds with one decimal, for people.
pub fn ms(time: std::time::Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

/// The value below which that share of the times lies.
pub fn percentile(times: &mut [std::time::Duration], share: f64) -> std::time::Duration {
    times.sort_unstable();
    let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1));
    times.get(place - 1).copied().unwrap_or_default()
}
