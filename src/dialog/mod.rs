//! Rank 4: dialogs (RFC 3261 §12) and the offer/answer state of an INVITE usage (RFC 3264).
//!
//! Goes in: the request or response that makes a dialog, later requests in it. Comes out: requests in the dialog, and a verdict
//! on each request that claims to belong to it. It sends nothing and knows neither calls nor media; transactions carry its
//! messages, `call` owns it.

pub mod offer_answer;
mod state;
mod tag;

pub use offer_answer::OfferAnswer;
pub use state::{Dialog, DialogRecord, OutOfOrder, RemoteParty, ends_dialog};
pub use tag::Tag;
