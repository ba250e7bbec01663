//! The gates of reliability against the real binary: malformed messages by the thousand with calls up, amplification, what reaches
//! the other leg, floods, slow peers, broken handshakes, guessed passwords, fraud, loops, kill -9, memory.
//!
//! Without more words this is the short form, for every run of the tests. The long one, whose figures count, is `make gates`: it
//! prints a table of what was measured.

// These tests drive real processes: they may wait on a clock.
#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)] // carriers are for others
#[path = "../server/devices.rs"]
mod devices;

mod ground;
mod hand;
mod peers;
mod report;
mod sets;
mod wires;

mod crowd;
mod flood;
mod fraud;
mod inject;
mod loops;
mod malformed;
mod parse;
mod passwords;
mod race;
mod slow;
mod storm;
mod tls;

use std::time::Duration;

/// Calls up meanwhile, and how much of the sets is played.
struct Size {
    calls: u32,
    thin: usize,
    /// The share of the bystander's questions that must be answered within 500 ms, and the longest silence.
    share: f64,
    gap: Duration,
}

const SHORT: Size = Size {
    calls: 20,
    thin: 20,
    // the short form runs beside whatever else the machine does: it finds hangs, the long form measures
    share: 0.1,
    gap: Duration::from_secs(5),
};
const LONG: Size = Size {
    calls: 200,
    thin: 1,
    share: 0.999,
    gap: Duration::from_millis(600),
};
