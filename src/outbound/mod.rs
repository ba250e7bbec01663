//! Rank 5: the gates before a call leaves the house on the server's own account or for an agent: do-not-call, lists, country, PIN, hours,
//! presented number, attempts, channel.
//!
//! Goes in: the rules of `outbound.toml`, what people change while working (lists, PINs tried, attempts made), and a [`Question`] with the
//! time. Comes out: a [`GateRecord`] that says of each gate what it said and why, and entries for the journal. It dials nothing, knows no
//! trunk and no call: who asks says what was found out about both.
//!
//! The order is the order of [`Gate::ALL`]; the first gate that denies or asks is the last one asked. What is not known is denied, but for an
//! emergency number, which passes all. A gate without a rule in the files allows, and says that there is none.

mod attempts;
mod entry;
mod gates;
mod hours;
mod list;
mod lists;
mod numbers;
mod pins;
mod places;
mod record;
mod rules;
#[cfg(test)]
mod tests;

pub use crate::event::{Gate, GateAnswer, GateRecord, Purpose, Said};
pub use attempts::AttemptLimit;
pub use entry::{Entry, NumberOrPrefix};
pub use gates::{Channel, Outbound, Question, Stage};
pub use hours::{Day, LocalHours, Zones};
pub use list::{Import, ListKind, ListView, Listed};
pub use lists::{EntryView, ListRefusal, Lists};
pub use numbers::{NumberSet, WrongLine, key_of};
pub use pins::{PinAnswer, PinRule};
pub use places::is_country;
pub use record::OutboundRecord;
pub use rules::{CountryRule, ListSettings, Presented, Recording, Rules};
