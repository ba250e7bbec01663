//! Rank 5: what to do with a call. Model, matcher, and an interpreter that runs until it must wait.
//!
//! Goes in: the facts of a call (`CallFacts`), the wall time, and what came of the last action (`StepInput`). Comes out: the next
//! `Action`. It knows neither SIP messages nor media nor queues: it names targets, prompts and queues, the switch does the rest.

pub mod action;
pub mod condition;
mod describe;
pub mod hours;
pub mod model;
pub mod pattern;
pub mod route;
pub mod run;
pub mod say;
pub mod template;

pub use action::{Action, DialAction, DialOutcome, DialTarget, QueueAction, QueueExit, StepInput};
pub use condition::Condition;
pub use hours::Hours;
pub use model::{
    Collect, Context, Dial, DialMode, Feature, Goto, Group, HangupCause, HeaderTest, Menu, Model,
    Park, QueueStep, Rule, Say, SkillAsk, Step, StepKind, Steps,
};
pub use pattern::Pattern;
pub use route::{CallFacts, Dialplan, Found, Route, RuleVerdict};
pub use run::Run;
pub use template::{Headers, Template, Variables};
