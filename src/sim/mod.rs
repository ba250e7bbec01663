//! Rank 8: the virtual world in which the shipped core runs: clock, network, peers, checkers, ladders, all from one seed.
//!
//! Goes in: a seed, or a script. Comes out: a trace with its hash, the first broken promise in a sentence, a ladder. The peers
//! are written without any use of the core's own SIP code. It knows nothing of sockets, files or threads.

pub mod actors;
pub mod check;
pub mod house;
pub mod ladder;
pub mod media;
pub mod nat;
pub mod network;
pub mod node;
pub mod plan;
pub mod reach;
pub mod reference_acd;
pub mod run;
pub mod switch_node;
pub mod trace;
pub mod wire;
pub mod world;
