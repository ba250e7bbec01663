//! Rank 5: trunks. Where their gateways are, which of them work, who is registered where, and how many calls they take.
//!
//! Goes in: settings, what the name service found, answers to our OPTIONS and REGISTER, what became of calls, time. Comes out: what to
//! ask of whom ([`Ask`]), names to look up, facts to publish. RFC 3261 §10 as a client, RFC 3263 §4.3, RFC 3608 (Service-Route),
//! RFC 6140 (bulk registration). It deliberately writes no message, knows no call and no dialplan, and holds no flow: the switch
//! gives an [`Ask`] its socket.

mod breaker;
mod calls;
mod gateway;
mod proof;
mod rate;
mod registration;
mod settings;
#[cfg(test)]
mod tests;
mod trunks;
mod verdict;
mod view;

pub use breaker::BreakerSettings;
pub use calls::{Secure, Way};
pub use proof::RealmPolicy;
pub use registration::Register;
pub use settings::{Host, Login, RegisterSettings, Settings};
pub use trunks::{Ask, Asked, Output, Trunks};
pub use verdict::{Verdict, of_status};
pub use view::{GatewayView, RegistrationView, View};
