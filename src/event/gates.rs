//! What the gates said of a call before it left: part of the call's record and a fact of its own.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::{Ulid, WallTime};

/// The gates, in the order in which they are asked.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// An emergency number: allowed, and no other gate is asked.
    Emergency,
    /// A full international number to which a trunk leads.
    Number,
    /// Not on a do-not-call list.
    DoNotCall,
    /// Not on a black list, the company's or the caller's.
    BlackList,
    /// On a white list, where the company has one.
    WhiteList,
    /// In a country that may be called.
    Country,
    /// The PIN that the route asks for.
    Pin,
    /// The time of day where the called number is.
    Hours,
    /// What is said about recording.
    Recording,
    /// The number that is presented is owned, and this caller may present it.
    PresentedNumber,
    /// How often the number has been called.
    Attempts,
    /// A channel of a trunk.
    Channel,
}

impl Gate {
    /// All of them, in order.
    pub const ALL: [Gate; 12] = [
        Gate::Emergency,
        Gate::Number,
        Gate::DoNotCall,
        Gate::BlackList,
        Gate::WhiteList,
        Gate::Country,
        Gate::Pin,
        Gate::Hours,
        Gate::Recording,
        Gate::PresentedNumber,
        Gate::Attempts,
        Gate::Channel,
    ];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Gate::Emergency => "emergency",
            Gate::Number => "number",
            Gate::DoNotCall => "do-not-call",
            Gate::BlackList => "black-list",
            Gate::WhiteList => "white-list",
            Gate::Country => "country",
            Gate::Pin => "pin",
            Gate::Hours => "hours",
            Gate::Recording => "recording",
            Gate::PresentedNumber => "presented-number",
            Gate::Attempts => "attempts",
            Gate::Channel => "channel",
        }
    }
}

/// What a gate says, and what all of them come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// The call may leave.
    Allow,
    /// It may not.
    Deny,
    /// The caller is asked for a PIN first.
    Ask,
}

impl Said {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Said::Allow => "allow",
            Said::Deny => "deny",
            Said::Ask => "ask",
        }
    }
}

/// What one gate said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct GateAnswer {
    /// The gate.
    pub gate: Gate,
    /// What it said.
    pub said: Said,
    /// Why, in words.
    pub reason: String,
    /// The list that decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub list: Option<Arc<str>>,
    /// The version of that list; where none decided, of all lists that were looked at: `name@version`, in order.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
}

/// Why the server dials.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The customer of a callback.
    Callback,
    /// A program or a web page asked for the call.
    ClickToDial,
    /// A person dialled, on a route that asks the gates.
    Route,
}

impl Purpose {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Callback => "callback",
            Purpose::ClickToDial => "click-to-dial",
            Purpose::Route => "route",
        }
    }
}

/// What the gates said of one number at one time. The first that denies or asks is the last answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct GateRecord {
    /// When they were asked.
    #[schema(value_type = String)]
    pub at: WallTime,
    /// The number that was to be called.
    #[schema(value_type = String)]
    pub number: Arc<str>,
    /// Why.
    pub purpose: Purpose,
    /// The extension for which it was to be called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub by: Option<Arc<str>>,
    /// The call; none was begun when a program's order was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub call: Option<Ulid>,
    /// The work item, of a callback.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub work: Option<Ulid>,
    /// What all of them came to.
    pub verdict: Said,
    /// What each said, in order.
    pub answers: Vec<GateAnswer>,
    /// When it may be tried again, where time is all that is missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub not_before: Option<WallTime>,
}

impl GateRecord {
    /// The gate that denied or asked, with what it said.
    pub fn decided(&self) -> Option<&GateAnswer> {
        self.answers
            .last()
            .filter(|answer| answer.said != Said::Allow)
    }
}

impl fmt::Display for GateRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decided() {
            None => write!(f, "{}: every gate allows it", self.number),
            Some(answer) => {
                write!(f, "gate {}: {}", answer.gate.as_str(), answer.reason)
            }
        }
    }
}
