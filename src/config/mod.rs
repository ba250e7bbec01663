//! Rank 6: files to validated settings, the difference between two settings, and errors that say file, line and what to try.
//!
//! Goes in: a configuration directory. Comes out: `Settings`, or every problem found. It reads files and the environment (for
//! secrets), and nothing else: it opens no socket and asks no name server.
//!
//! The way of a file: `tree` parses it and remembers where everything stands, `check` holds it against the tables of `keys`, `read` makes
//! settings of it, `references` looks up every name when all files have been read.

mod certificates;
mod check;
mod diff;
mod fields;
mod keys;
mod load;
pub mod problem;
mod read;
mod references;
mod schema;
pub mod settings;
mod step_table;
pub mod stir;
mod take_over;
mod tree;
pub mod trunk;
mod units;

pub use crate::base::{Network, network};
pub use certificates::{
    Identity, ProfileTls, TlsVersion, TrunkTls, Trust, names_of as certificate_names,
};
pub use diff::{Change, ChangeKind, Object, diff};
pub use load::{load, load_from_aside, load_with};
pub use problem::{Problem, Severity};
pub use schema::{names as schema_names, schema};
pub use settings::{
    HepSettings, HttpSettings, JournalMode, ListenAddress, LogFormat, LogSettings, MediaSettings,
    ProfileAuth, ProfileMode, PublicAddress, QueueSettings, Redirects, RtpPorts, ServerSettings,
    Settings, SipProfile, StoreSettings,
};
pub use step_table::step_tables;
pub use trunk::{CallerIdHeader, CallerName, Trunk, TrunkCredentials, TrunkRegister};
pub use units::{duration as parse_duration, show as show_duration};

use crate::base::Duration;
