//! Calls between real clients through the real server, with the audio measured. `instruments` proves the instruments themselves, without a server.

// These tests drive real processes: the only ones that may wait on a clock.
#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

mod codecs;
mod conference;
mod first_call;
mod instruments;
mod lamps;
mod nat;
mod phones;
mod proxy;
mod srtp;
mod tls;
