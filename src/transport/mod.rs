//! Rank 2: paths. Flows, Via handling, where a URI leads, and the guard at the door.
//!
//! Goes in: messages with the address that they came from. Comes out: stamped messages, flows for responses, verdicts.
//! RFC 3261 §18, RFC 3581 (rport), RFC 3263, whose name service is asked of the shell. It deliberately knows no sockets,
//! no transactions and no accounts.

mod banned_ranges;
pub mod bucket;
pub mod flow;
pub mod guard;
pub mod locate;
pub mod scanner;
pub mod stun;
pub mod target;
pub mod via;
pub mod way;

pub use bucket::Accounts;
pub use flow::{ConnectionId, Flow, ProfileId, Transport};
pub use guard::{Ban, BannedBy, Guard, GuardSettings, Verdict};
pub use locate::Located;
pub use target::{Target, TargetHost};
pub use way::Way;
