//! Reads lists of steps.

use std::sync::Arc;

use super::dialplan::{MODES, prompts, template};
use super::{Reading, To};
use crate::base::Duration;
use crate::config::check::verb;
use crate::config::fields::Fields;
use crate::config::keys::parts;
use crate::config::problem::Source;
use crate::config::tree::{Node, Value};
use crate::dialplan::{
    Collect, Dial, Feature, Goto, HangupCause, Park, QueueStep, Say, SkillAsk, Step, StepKind,
    Steps, Template,
};
use crate::directory::e164;

/// Reads a list; steps that are wrong are left out, the check has reported them.
pub fn read(reading: &mut Reading<'_>, source: &Arc<Source>, node: Option<&Node>) -> Steps {
    let Some(Node {
        value: Value::List(list),
        ..
    }) = node
    else {
        return Steps::from([]);
    };
    let mut steps = Vec::new();
    let mut ended = false;
    for item in list {
        let Some(fields) = Fields::of(source, item) else {
            continue;
        };
        if ended {
            reading.warning(
                source,
                item.span.clone(),
                "this step never runs: the one before it ends the list",
            );
            ended = false;
        }
        if let Some(kind) = step(reading, &fields) {
            ended = matches!(kind, StepKind::Hangup(_) | StepKind::Goto(_));
            steps.push(Step {
                kind,
                place: fields.place(),
            });
        }
    }
    steps.into()
}

fn step(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<StepKind> {
    let step = fields
        .table
        .entries
        .iter()
        .find_map(|entry| verb(&entry.key))?;
    let one = |reading: &mut Reading<'_>, key: &str| {
        template(reading, fields, fields.text(key)?, fields.span(key))
    };
    Some(match step.verb {
        "answer" => StepKind::Answer,
        "ring" => StepKind::Ring(fields.duration("ring")),
        "play" => StepKind::Play {
            files: prompts(reading, fields, "play"),
            interruptible: fields.flag("interruptible").unwrap_or(false),
        },
        "say" => StepKind::Say(say(reading, fields)?),
        "menu" => {
            let name = fields.shared("menu")?;
            reading.refer(To::Menu, &name, fields.source, fields.span("menu"));
            StepKind::Menu(name)
        }
        "collect" => collect(reading, fields)?,
        "set" => set(reading, fields)?,
        "dial" => dial(reading, fields),
        "queue" => queue(reading, fields)?,
        "pickup" => StepKind::Pickup(one(reading, "pickup")?),
        "park" => StepKind::Park(park(reading, fields)?),
        "conference" => StepKind::Conference(one(reading, "conference")?),
        "wait" => StepKind::Wait(fields.duration("wait")?),
        "hangup" => StepKind::Hangup(match fields.text("hangup") {
            Some(name) => HangupCause::named(name)?,
            None => HangupCause::of_status(fields.integer("hangup")?)?,
        }),
        "goto" => goto(reading, fields)?,
        "log" => StepKind::Log(one(reading, "log")?),
        "feature" => feature(reading, fields)?,
        _ => return None,
    })
}

fn say(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<Say> {
    let say = fields.fields("say")?;
    if say.table.entries.len() != 1 {
        let message = "`say` speaks one thing";
        reading
            .error(fields.source, fields.span("say"), message)
            .help = Some("for example `{ say = { digits = \"{ext}\" } }`".to_owned());
        return None;
    }
    let mut text = |key: &str| template(reading, &say, say.text(key)?, say.span(key));
    if let Some(number) = text("number") {
        return Some(Say::Number(number));
    }
    if let Some(digits) = text("digits") {
        return Some(Say::Digits(digits));
    }
    if let Some(position) = text("position") {
        return Some(Say::Position(position));
    }
    let zone = match say.text("time") {
        Some(zone) => zone.into(),
        None if say.flag("time") == Some(true) => reading.zone.clone(),
        None => return None,
    };
    Some(Say::Time(zone))
}

fn collect(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<StepKind> {
    let variable = fields.shared("collect")?;
    reading.variables.insert(variable.to_string());
    let max_digits: u8 = fields.integer("max-digits").unwrap_or(20);
    let min_digits = fields.integer("min-digits").unwrap_or(1);
    if min_digits > max_digits {
        let message = format!("at most {max_digits} digits are taken, so {min_digits} never come");
        reading.error(fields.source, fields.span("min-digits"), message);
    }
    let none = fields
        .node("none")
        .map(|node| read(reading, fields.source, Some(node)));
    Some(StepKind::Collect(Collect {
        variable,
        prompt: prompts(reading, fields, "prompt"),
        max_digits,
        min_digits,
        timeout: fields.duration("timeout").unwrap_or(Duration::from_secs(6)),
        digit_timeout: fields
            .duration("digit-timeout")
            .unwrap_or(Duration::from_secs(3)),
        terminator: match fields.text("terminator") {
            Some("none") => None,
            Some(text) => text.chars().next(),
            None => Some('#'),
        },
        retries: fields.integer("retries").unwrap_or(1),
        none,
    }))
}

fn set(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<StepKind> {
    let table = fields.fields("set")?;
    let mut values: Vec<(Arc<str>, Template)> = Vec::new();
    for entry in &table.table.entries {
        if let Err(message) = (parts::VARIABLE.check)(&entry.key) {
            reading.error(fields.source, entry.key_span.clone(), message);
            continue;
        }
        reading.variables.insert(entry.key.clone());
        if let Some(text) = table.text(&entry.key)
            && let Some(value) = template(reading, &table, text, entry.node.span.clone())
        {
            values.push((entry.key.as_str().into(), value));
        }
    }
    Some(StepKind::Set(values))
}

fn dial(reading: &mut Reading<'_>, fields: &Fields<'_>) -> StepKind {
    let mut trunks: Vec<Arc<str>> = Vec::new();
    for (trunk, span) in fields.texts("trunk") {
        reading.refer(To::Trunk, trunk, fields.source, span);
        trunks.push(trunk.into());
    }
    let mut targets = Vec::new();
    for (text, span) in fields.texts("dial") {
        let Some(target) = template(reading, fields, text, span.clone()) else {
            continue;
        };
        match target.as_literal() {
            Some(literal) if literal.starts_with("sip:") || literal.starts_with("sips:") => {
                if let Err(message) = parts::sip_uri(literal) {
                    reading.error(fields.source, span, message);
                } else {
                    let message = "SIP URIs are not called in this version: this target is refused";
                    reading.warning(fields.source, span, message);
                }
            }
            Some(literal) if trunks.is_empty() && e164(literal).is_none() => {
                reading.refer(To::ExtensionOrGroup, literal, fields.source, span);
            }
            _ => reading.any_trunk_dialled |= trunks.is_empty(),
        }
        targets.push(target);
    }
    let caller_id = fields
        .text("caller-id")
        .and_then(|text| template(reading, fields, text, fields.span("caller-id")));
    if let Some(music) = fields.text("music") {
        reading.refer(To::Music, music, fields.source, fields.span("music"));
    }
    let pin = fields.shared("pin");
    if let Some(pin) = &pin {
        reading.refer(To::Pin, pin, fields.source, fields.span("pin"));
    }
    StepKind::Dial(Dial {
        targets,
        mode: fields.one_of("mode", MODES),
        timeout: fields
            .duration("timeout")
            .unwrap_or(Duration::from_secs(60)),
        trunks,
        caller_id,
        music: fields.shared("music"),
        auto_answer: fields.flag("auto-answer").unwrap_or(false),
        gates: pin.is_some() || fields.flag("gates").unwrap_or(false),
        pin,
    })
}

fn queue(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<StepKind> {
    let queue = template(reading, fields, fields.text("queue")?, fields.span("queue"))?;
    if let Some(name) = queue.as_literal() {
        reading.refer(To::Queue, name, fields.source, fields.span("queue"));
    }
    let mut skills = Vec::new();
    for (skill, min, span) in fields.levels("skills") {
        reading.refer(To::Skill, &skill, fields.source, span);
        skills.push(SkillAsk {
            skill,
            min,
            weight: 1,
            mandatory: true,
        });
    }
    let asked = fields.fields("skills");
    for (skill, ask) in asked.iter().flat_map(|skills| skills.named_tables()) {
        let span = asked.as_ref().map_or(0..0, |of| of.span(&skill));
        reading.refer(To::Skill, &skill, fields.source, span);
        skills.push(SkillAsk {
            skill,
            min: ask.integer("min").unwrap_or(1),
            weight: ask.integer("weight").unwrap_or(1),
            mandatory: ask.flag("mandatory").unwrap_or(true),
        });
    }
    let mut prefer = Vec::new();
    for (text, span) in fields.texts("prefer") {
        if let Some(agent) = template(reading, fields, text, span.clone()) {
            if let Some(extension) = agent.as_literal() {
                reading.refer(To::Extension, extension, fields.source, span);
            }
            prefer.push(agent);
        }
    }
    Some(StepKind::Queue(QueueStep {
        queue,
        priority: fields.duration("priority").unwrap_or_default(),
        class: fields.integer("class").unwrap_or(5),
        skills,
        prefer,
        prefer_hold: fields
            .duration("prefer-hold")
            .unwrap_or(Duration::from_secs(30)),
    }))
}

fn park(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<Park> {
    let slot = template(reading, fields, fields.text("park")?, fields.span("park"))?;
    if let Some(music) = fields.text("music") {
        reading.refer(To::Music, music, fields.source, fields.span("music"));
    }
    Some(Park {
        slot,
        timeout: fields
            .duration("timeout")
            .unwrap_or(Duration::from_secs(120)),
        music: fields.shared("music").unwrap_or_else(|| "default".into()),
    })
}

fn goto(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<StepKind> {
    let text = fields.text("goto")?;
    let span = fields.span("goto");
    let (context, rule) = match text.split_once('/') {
        Some((context, rule)) => (context, Some(rule)),
        None => (text, None),
    };
    reading.refer(To::Context, context, fields.source, span.clone());
    let number = fields
        .text("number")
        .and_then(|text| template(reading, fields, text, fields.span("number")));
    let context: Arc<str> = context.into();
    Some(StepKind::Goto(match rule {
        Some(rule) => {
            reading.refer(To::Rule(context.clone()), rule, fields.source, span);
            if fields.node("number").is_some() {
                let message = "a rule named by `goto` runs whatever the number";
                reading.error(fields.source, fields.span("number"), message);
            }
            Goto::Rule {
                context,
                rule: rule.into(),
            }
        }
        None => Goto::Context { context, number },
    }))
}

fn feature(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<StepKind> {
    let name = fields.text("feature")?;
    let queue = fields.shared("queue");
    if let Some(queue) = &queue {
        reading.refer(To::Queue, queue, fields.source, fields.span("queue"));
    }
    let reason = fields.shared("reason");
    for (key, belongs) in [
        ("queue", matches!(name, "queue-login" | "queue-logout")),
        ("reason", name == "not-ready"),
    ] {
        if let Some(entry) = fields.table.entry(key)
            && !belongs
        {
            let message = format!("`{key}` says nothing beside `{name}`");
            reading.error(fields.source, entry.key_span.clone(), message);
        }
    }
    let refused = fields
        .node("refused")
        .map(|node| read(reading, fields.source, Some(node)));
    let code = match name {
        "queue-login" => Feature::QueueLogin(queue),
        "queue-logout" => Feature::QueueLogout(queue),
        "ready" => Feature::Ready,
        "not-ready" => Feature::NotReady(reason),
        "end-wrap" => Feature::EndWrap,
        "do-not-disturb-on" => Feature::DoNotDisturb(true),
        "do-not-disturb-off" => Feature::DoNotDisturb(false),
        "ring-on" => Feature::Ring(true),
        "ring-off" => Feature::Ring(false),
        "echo" => Feature::Echo,
        "time" => Feature::Time,
        _ => return None,
    };
    Some(StepKind::Feature { code, refused })
}
