//! Who is calling, signed by the caller's provider: PASSporTs in Identity headers (RFC 8224, RFC 8225), the certificates behind them
//! (RFC 8226), SHAKEN (RFC 8588), diversion (RFC 8946) and priority (RFC 8443).
//!
//! Goes in: header values, the numbers of a call, certificates that somebody else got. Comes out: a verdict, or a header value.
//! It fetches nothing and trusts nobody whom the configuration does not name.

mod certificate;
mod der;
mod judge;
mod passport;
mod sign;
#[cfg(test)]
mod tests;

pub use certificate::{Anchors, Chain, Unreadable};
pub use judge::{Facts, Failure, Verdict, Verstat, judge};
pub use passport::{Attestation, Party, Presented, canonical, presented};
pub use sign::{Signer, date};
