//! Bytes to SIP messages and back (RFC 3261 §7, §25).
//!
//! In: a datagram, or what [`stream::StreamFramer`] cut from a connection. Out: a [`Message`], which is its buffer and the
//! places of its headers in it; values are parsed when asked for, and serialising gives the same bytes back. [`Builder`]
//! writes new messages, [`edit`] changes parsed ones. Deliberately unknown here: sockets, transactions, dialogs, what a
//! header means for a call.

pub mod builder;
mod check;
pub mod edit;
pub mod error;
pub mod header;
pub mod message;
pub mod method;
mod parse;
#[cfg(test)]
mod parse_tests;
mod salvage;
pub mod status;
pub mod stream;
mod values;

pub use builder::Builder;
pub use error::{Fault, ParseError, Salvaged};
pub use header::name::Name;
pub use message::{Message, Parts};
pub use method::Method;
pub use status::StatusCode;

pub use header::auth::{Challenge, Credentials};
pub use header::contact::ContactValue;
pub use header::cseq::CSeq;
pub use header::lists::split_commas;
pub use header::name_addr::NameAddr;
pub use header::params::Params;
pub use header::reason::Reason;
pub use header::refer::{ReferTo, Replaces};
pub use header::reliable::RAck;
pub use header::session_timer::SessionExpires;
pub use header::uri::{Scheme, Uri};
pub use header::via::Via;
