//! Rank 9: the shell. Sockets, clocks, entropy, threads and tasks: everything that touches the world lives here.
//!
//! Goes in: datagrams, connections, signals. Comes out: the core's effects, carried out. It decides nothing about calls.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the shell is where clocks and threads belong

pub mod batch;
pub mod clock;
pub mod connection;
pub mod data_dir;
pub mod entropy;
pub mod expiry;
pub mod handle;
pub mod hep;
pub mod inbox;
pub mod load;
pub mod log_lines;
pub mod logging;
pub mod media;
pub mod metrics;
pub mod numbers;
pub mod outlet;
mod places;
mod porch;
#[cfg(test)]
mod porch_tests;
mod proxy_protocol;
pub mod queue_figures;
pub mod recent;
pub mod reload;
pub mod resolve;
pub mod rows;
pub mod run;
pub mod shard;
pub mod tcp;
mod tls;
pub mod trace;
pub mod traffic;
mod trunk_figures;
pub mod udp;
pub mod web_socket;
pub mod witness;
pub mod world;

pub use handle::Handle;
