//! Rank 6: files to validated settings, the difference between two settings, and errors that say file, line and what to try.
//!
//! Goes in: a configuration directory. Comes out: `Settings`, or every problem found. It reads files and the environment (for
//! secrets), and nothing else: it opens no socket and asks no name server.

pub mod network;
pub mod problem;
pub mod settings;

pub use network::Network;
pub use problem::{Problem, Severity};
pub use settings::{
    CallerIdHeader, HttpSettings, JournalMode, ListenAddress, LogFormat, LogSettings,
    MediaSettings, ProfileAuth, PublicAddress, QueueSettings, RtpPorts, ServerSettings, Settings,
    SipProfile, StoreSettings, Trunk, TrunkCredentials,
};
