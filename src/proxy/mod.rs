//! Rank 4: a stateful proxy (RFC 3261 §16) for what is no call of ours: requests between registered users, and the profiles that ask for it.
//!
//! Goes in: a request that the switch has authenticated and whose [`Hop`]s it knows, the responses of its branches, CANCEL, time.
//! Comes out: the forwarded requests and the responses that the sender gets, through the transactions. A [`Token`] in its
//! Record-Route carries both flows of a dialog, so that no dialog is kept here.
//! It finds no targets, authenticates nobody, and knows neither calls nor registrations.

mod context;
mod forward;
mod token;

pub use context::{Ctx, Hop, Plan, Proxy};
pub use forward::{is_loop, without_route};
pub use token::{Token, TokenKey};
