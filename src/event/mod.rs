//! Rank 1: the published facts about calls, legs, registrations and trunks, and the call record.
//!
//! Goes in: nothing. Comes out: plain serialisable data, the same in the journal, in SQL, in the API and on the event stream.
//! It knows no machine that produces the facts; queue and agent facts are the ACD's own (`acd::AcdEvent`).

pub mod call_record;
pub mod fact;
pub mod gates;

pub use call_record::{CallRecord, Direction, LegRecord, Outcome, Party, TransferRecord};
pub use fact::{CallFact, LegRefusal, RegistrationFact, TrunkFact};
pub use gates::{Gate, GateAnswer, GateRecord, Purpose, Said};
