//! What our own requests are about, so that what comes of them finds its owner.

use super::pages::Page;
use super::subscription::Subscription;
use crate::base::Key;

/// A request of ours that has no final answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// A NOTIFY of a subscription, by its CSeq number.
    Notify(Key<Subscription>, u32),
    /// A NOTIFY to a device that did not ask: nothing follows from its answer.
    Unsolicited,
    /// A MESSAGE on its way to one device.
    Page(Key<Page>),
}
