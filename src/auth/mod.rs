//! Rank 2: who is it? Digest authentication on both sides, nonces that need no memory, signed caller identity.
//!
//! Goes in: credentials, challenges, passwords. Comes out: verdicts and header values. RFC 7616 with SHA-256 for SIP (RFC 8760),
//! RFC 3261 §22. It deliberately knows no accounts (the caller looks them up) and sends nothing.

pub mod check;
pub mod digest;
pub mod identity;
pub mod nonce;

pub use check::{Held, Outcome, Policy, authenticate};
pub use digest::{Algorithm, Stored, challenge, respond, verify};
pub use nonce::{Nonce, NonceVerdict, Nonces};
