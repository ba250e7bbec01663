//! Strowger: a SIP telephony server with contact-centre queues.
//!
//! The map in code: modules stand in the order of their rank. A module names only modules of a lower rank; equal ranks never
//! see each other, `switch` introduces them. `tests/architecture.rs` holds this table against the code. ARCHITECTURE.md tells
//! the story of one call through these rooms.

// rank 0
pub mod base;

// rank 1
pub mod event;
pub mod rtp;
pub mod sdp;
pub mod sip;

// rank 2
pub mod auth;
pub mod transport;

// rank 3
pub mod transaction;

// rank 4
pub mod dialog;
pub mod directory;
pub mod media;
pub mod proxy;
pub mod registrar;

// rank 5
pub mod acd;
pub mod call;
pub mod dialplan;
pub mod notifier;
pub mod outbound;
pub mod trunk;

// rank 6
pub mod config;

// rank 7
pub mod switch;

// rank 8
pub mod sim;
pub mod store;

// rank 9
pub mod io;

// rank 10
pub mod api;

// rank 11
pub mod cli;
