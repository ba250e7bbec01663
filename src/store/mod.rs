//! Rank 8: what is kept on disk: the journal, from which the switch is restored, and SQLite, from which people read.
//!
//! Goes in: the switch's records, in order. Comes out: the same records after a restart; rows for the API.
//!
//! * [`journal`]: an append-only file of checked frames. A batch of records is one `write`, made before the answers that it backs
//!   leave (*written*: survives the death of the process); an fsync follows within 100 ms (*synced*: survives a power cut).
//! * [`sqlite`]: one writer thread behind a queue applies events and call records to tables. Decisions never wait for it: when
//!   the disk is slow or full the queue grows, which is counted, and nothing is lost, because the journal keeps its segments until
//!   the tables have caught up.
//!
//! It knows records as things that can be serialised, not what they mean, and no socket.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the shell is where threads belong

pub mod frame;
pub mod journal;
pub mod sqlite;
pub(crate) mod sync;

pub use journal::{Durability, Journal, Report};
pub use sqlite::{CallRow, EventRow, Row, Sqlite};
