//! Rank 5: who watches what. Subscriptions to event packages (RFC 6665), the documents that they get, what is published (RFC 3903), and
//! messages from person to person (RFC 3428).
//!
//! Goes in: SUBSCRIBE and PUBLISH of somebody who is known and may ask, the facts that a document is made of when one is wanted, what
//! came of our own requests, time. Comes out: [`Output`]s, in order: answers, NOTIFYs, entries for the journal.
//! Packages: `dialog` (RFC 4235), `message-summary` (RFC 3842), `presence` (RFC 3856, RFC 3863), `reg` (RFC 3680); lists of them (RFC 4662).
//! It keeps no copy of what it reports: it says which document it wants ([`Notifier::wanted`]) and is given the facts of that moment.
//! It deliberately knows neither calls nor registrations nor queues, and not who may watch whom: `switch` does.

mod core;
mod dialog_info;
mod facts;
mod keep;
mod list;
mod notify;
mod outgoing;
mod package;
mod pages;
mod pidf;
mod pidf_read;
mod publish;
mod rate;
mod reach;
mod reginfo;
mod request;
mod subscription;
mod summary;
mod xml;

pub use core::{Addresses, Asker, Ctx, Notifier, Output, SubscribeError, Wanted};
pub use facts::{
    ContactFacts, ContactState, DialogFacts, DialogParty, DialogState, Facts, Messages,
    PresenceFacts,
};
pub use notify::Resource;
pub use outgoing::Sent;
pub use package::{ALLOW_EVENTS, Package};
pub use pages::{PAGE_BYTES_MAX, PageEnd, PageParties, Pages};
pub use pidf::Activity;
pub use publish::{PublishError, Published};
pub use request::{Refusal, Wish};
pub use subscription::{Ending, SubscriptionRecord, Target};
