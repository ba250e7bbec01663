//! Subscriptions by hand.
