//! Cluster-wide identifiers: ULIDs, made from the wall time and entropy that the core was handed.

pub use ulid::Ulid;

use super::{Entropy, WallTime};

/// A new ULID: 48 bits of milliseconds, 80 of entropy, so ids sort by time of birth.
pub fn ulid(wall: WallTime, entropy: &mut Entropy) -> Ulid {
    let millis = u64::try_from(wall.as_millis()).unwrap_or(0);
    Ulid::from_parts(millis, entropy.u128())
}
