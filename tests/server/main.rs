//! The real binary over loopback: SIPp speaks, ears listen, the API and the database are asked.

// These tests drive real processes: the only ones that may wait on a clock.
#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

mod basic_calls;
mod callbacks;
mod carriers;
mod crash;
mod desk;
mod devices;
mod dialplan;
mod flows_3665;
mod flows_5359;
mod lamps;
mod numbers;
mod observe;
mod operate;
mod orders;
mod past;
mod protocol;
mod queue;
mod reconnecting;
mod registration;
mod toggles;
mod transports;
mod trunk;
mod usage;
