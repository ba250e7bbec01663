//! `random`: each free agent is as likely as any other; the draw comes from the ACD's seed.

use crate::base::Entropy;

/// A draw; the smallest wins.
pub(in crate::acd) fn key(entropy: &mut Entropy) -> i64 {
    (entropy.u64() >> 1) as i64
}
