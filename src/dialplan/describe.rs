//! Steps in words, for `strowger route` and for logs.

use std::fmt::Write;

use super::model::{DialMode, Feature, Goto, Say, Step, StepKind};
use super::template::{Template, Variables};

impl Step {
    /// The key that names the step in the files.
    pub fn verb(&self) -> &'static str {
        match &self.kind {
            StepKind::Answer => "answer",
            StepKind::Ring(_) => "ring",
            StepKind::Play { .. } => "play",
            StepKind::Say(_) => "say",
            StepKind::Menu(_) => "menu",
            StepKind::Collect(_) => "collect",
            StepKind::Set(_) => "set",
            StepKind::Dial(_) => "dial",
            StepKind::Queue(_) => "queue",
            StepKind::Pickup(_) => "pickup",
            StepKind::Park(_) => "park",
            StepKind::Conference(_) => "conference",
            StepKind::Wait(_) => "wait",
            StepKind::Hangup(_) => "hangup",
            StepKind::Goto(_) => "goto",
            StepKind::Log(_) => "log",
            StepKind::Feature { .. } => "feature",
        }
    }

    /// The step in words, with the variables that are known filled in.
    pub fn describe(&self, variables: &Variables) -> String {
        let list = |templates: &[Template]| {
            templates
                .iter()
                .map(|template| template.preview(variables))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut out = self.verb().to_owned();
        // Writing to a string cannot fail.
        let _ = match &self.kind {
            StepKind::Answer | StepKind::Ring(None) => Ok(()),
            StepKind::Ring(Some(time)) | StepKind::Wait(time) => write!(out, " for {time:?}"),
            StepKind::Play { files, .. } => write!(out, " {}", list(files)),
            StepKind::Say(Say::Number(text)) => {
                write!(out, " the number {}", text.preview(variables))
            }
            StepKind::Say(Say::Digits(text)) => {
                write!(out, " the digits {}", text.preview(variables))
            }
            StepKind::Say(Say::Position(text)) => {
                write!(out, " the position {}", text.preview(variables))
            }
            StepKind::Say(Say::Time(zone)) => write!(out, " the time in {zone}"),
            StepKind::Menu(name) => write!(out, " {name}"),
            StepKind::Collect(collect) => write!(
                out,
                " up to {} digits as {{{}}}",
                collect.max_digits, collect.variable
            ),
            StepKind::Set(values) => {
                let values: Vec<String> = values
                    .iter()
                    .map(|(name, value)| format!("{name} = {}", value.preview(variables)))
                    .collect();
                write!(out, " {}", values.join(", "))
            }
            StepKind::Dial(dial) => {
                let mode = match dial.mode {
                    Some(DialMode::Serial) => ", one after the other",
                    Some(DialMode::First) => ", the first that can be reached",
                    Some(DialMode::Parallel) | None => "",
                };
                let trunks = match dial.trunks.as_slice() {
                    [] => String::new(),
                    trunks => format!(" through {}", trunks.join(", then ")),
                };
                let targets = list(&dial.targets);
                write!(out, " {targets}{trunks}{mode}, for {:?}", dial.timeout)
            }
            StepKind::Queue(queue) => {
                let mut text = format!(" {}", queue.queue.preview(variables));
                if !queue.priority.is_zero() {
                    let _ = write!(text, ", {:?} ahead", queue.priority);
                }
                for ask in &queue.skills {
                    let how = if ask.mandatory {
                        "at least"
                    } else {
                        "preferably"
                    };
                    let _ = write!(text, ", {} {how} {}", ask.skill, ask.min);
                }
                if !queue.prefer.is_empty() {
                    let agents = queue.prefer.iter().map(|one| one.preview(variables));
                    let agents = agents.collect::<Vec<_>>().join(" or ");
                    let _ = write!(text, ", for {agents} during {:?}", queue.prefer_hold);
                }
                write!(out, "{text}")
            }
            StepKind::Pickup(whose) => write!(out, " {}", whose.preview(variables)),
            StepKind::Park(park) => write!(
                out,
                " {} for {:?}",
                park.slot.preview(variables),
                park.timeout
            ),
            StepKind::Conference(name) => write!(out, " {}", name.preview(variables)),
            StepKind::Hangup(cause) => write!(out, " {} ({})", cause.name, cause.status),
            StepKind::Goto(Goto::Context { context, number }) => match number {
                Some(number) => write!(out, " {context} with {}", number.preview(variables)),
                None => write!(out, " {context}"),
            },
            StepKind::Goto(Goto::Rule { context, rule }) => write!(out, " {context}/{rule}"),
            StepKind::Log(text) => write!(out, " {}", text.preview(variables)),
            StepKind::Feature { code, .. } => match code {
                Feature::QueueLogin(None) => write!(out, " queue-login"),
                Feature::QueueLogin(Some(queue)) => write!(out, " queue-login of {queue}"),
                Feature::QueueLogout(None) => write!(out, " queue-logout"),
                Feature::QueueLogout(Some(queue)) => write!(out, " queue-logout of {queue}"),
                Feature::Ready => write!(out, " ready"),
                Feature::NotReady(None) => write!(out, " not-ready"),
                Feature::NotReady(Some(reason)) => write!(out, " not-ready: {reason}"),
                Feature::EndWrap => write!(out, " end-wrap"),
                Feature::DoNotDisturb(true) => write!(out, " do-not-disturb-on"),
                Feature::DoNotDisturb(false) => write!(out, " do-not-disturb-off"),
                Feature::Ring(true) => write!(out, " ring-on"),
                Feature::Ring(false) => write!(out, " ring-off"),
                Feature::Echo => write!(out, " echo"),
                Feature::Time => write!(out, " time"),
            },
        };
        out
    }
}
