//! Rank 5: the automatic call distributor: queues, agents, strategies, AgentOffers, wrap-up, overflow, counters.
//!
//! Goes in: [`AcdCommand`] and the time. Comes out: [`AcdEffect`]. One writer owns all of it; a match step runs after every
//! command that frees an agent or adds a work item, and costs O(log n) in waiting work items and the queues of that agent.
//! It knows no SIP, no calls and no audio: agents are extensions, work items are numbers, and the switch does what the effects
//! say. It reads no clock: deadlines are asked for with [`Acd::next_deadline`].

mod agent;
mod agents;
mod ask;
mod audit;
mod callback;
mod callback_tries;
mod command;
mod configure;
mod core;
mod decline;
mod disposition;
mod effect;
mod entering;
mod event;
mod expected_wait;
mod explain;
mod history;
mod item;
mod lease;
mod line;
mod matching;
mod metrics;
mod offers;
mod overflow;
mod overflow_view;
mod queue;
mod record;
mod rekey;
mod restore;
mod rings;
mod settings;
mod show;
mod strategy;
mod view;
mod wrap;

#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use self::core::BrokenRule;

pub use self::core::Acd;
pub use callback::{CallbackAnswer, CallbackFailure, CallbackRequest};
pub use command::{
    AcdCommand, AgentStatus, CallerInfo, EndedBy, OfferId, OfferOutcome, Preference, Priority,
    SkillNeed, Withdrawal, WorkItemId, WrapEndedBy,
};
pub use decline::DeclineRefused;
pub use disposition::DispositionRefused;
pub use effect::{AcdEffect, CancelReason, LeaveWhy, WaitBand};
pub use event::{AcdEvent, AgentDisplay, CallbackEnd, OfferResult, WrapEnd};
pub use metrics::{AgentCounters, CallbackCounters, OfferCounters, QueueCounters, QueueMetrics};
pub use record::{AcdRecord, AgentRecord, CallbackRecord, ItemRecord, QueueRecord, WrapRecord};
pub use settings::{
    AcdSettings, AgeScope, AgentSettings, Announce, AssignmentSettings, AtClosing, CallbackScope,
    CallbackSettings, Declining, Expansion, OverflowRule, OverflowWhen, QueueSettings, Rona,
    RonaAction, ServiceLevel, WrapMode,
};
pub use strategy::Strategy;
pub use view::{
    AgentView, AssignmentView, Candidate, Decision, ItemState, JourneyEntry, OverflowView, Phase,
    QueueView, WorkItemView,
};
