//! Rank 7: owns the cores and introduces them to each other.
//!
//! Goes in: [`Input`], with the time. Comes out: [`Effect`]s, in order. These two files are the whole contact with the world; the
//! shell and the simulator both speak them, so any run can be recorded and replayed.
//! A request is authenticated here, a call's dialplan is run here, the ACD's orders become legs here. It decides nothing that one
//! of its cores can decide.

mod attempts;
mod callbacks;
mod command;
mod core;
mod dialing;
mod effect;
mod faces;
mod holding;
mod identity;
mod input;
mod on_call;
mod on_command;
mod on_gates;
mod on_gruu;
mod on_guard;
mod on_hours;
mod on_message;
mod on_numbers;
mod on_page;
mod on_pickup;
mod on_proxy;
mod on_queue;
mod on_redirect;
mod on_register;
mod on_subscribe;
mod on_time;
mod on_transfer;
mod opening;
mod overview;
mod peers;
mod record;
mod restore;
mod routing;
mod source;
mod toggles;
mod trunks;
mod view;
mod watching;

pub use command::{Answer, CallbackMade, Command, Refusal, Reply};
pub use core::{Boot, Residue, Switch};
pub use effect::{Effect, Effects, Level};
pub use input::{Input, LoadLevel};
pub use on_numbers::{NumbersAnswer, NumbersOrder};
pub use record::{BindingRecord, Event, Fact, Record, SubscribedRecord};
pub use view::{
    BanView, CallView, GuardView, LegView, QueueDetail, RegistrationView, StatusView, TrunkView,
    WaitingView, WorkDetail,
};
