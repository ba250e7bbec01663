//! Rank 0: what every other module stands on. Time as a value, timers, typed keys, ids, digits, entropy, maps, networks, secrets,
//! shared texts, limits.
//!
//! Goes in: nothing. Comes out: plain types. It knows no protocol and reads no clock: `Now` is handed in by the shell.

pub mod arena;
pub mod digits;
pub mod entropy;
pub mod id;
pub mod limits;
pub mod map;
pub mod network;
pub mod secret;
pub mod text;
pub mod time;
pub mod timer;

pub use arena::{Arena, Key};
pub use entropy::Entropy;
pub use id::Ulid;
pub use map::{Map, Set};
pub use network::Network;
pub use secret::Secret;
pub use text::Text;
pub use time::{Duration, Instant, Now, WallTime};
pub use timer::{TimerId, TimerQueue};
