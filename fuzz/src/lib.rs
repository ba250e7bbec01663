//! What the fuzz targets share: the server's parsers, compiled here from their own files, and the questions asked of every result.
//!
//! The modules are taken by path, so that a target builds in seconds and without tokio, SQLite and the rest of the server.

// Parts that only modules outside of these three use.
#![allow(dead_code)]

#[path = "../../src/base/mod.rs"]
pub mod base;
#[path = "../../src/rtp/mod.rs"]
pub mod rtp;
#[path = "../../src/sdp/mod.rs"]
pub mod sdp;
#[path = "../../src/sip/mod.rs"]
pub mod sip;
#[path = "../../src/transport/mod.rs"]
pub mod transport;

pub mod proxy_protocol;
pub mod same;
pub mod walk;
