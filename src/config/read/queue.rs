//! Reads `queues/*.toml`.

use std::sync::Arc;

use super::{Reading, To, steps};
use crate::acd::{
    self, AgeScope, Announce, AssignmentSettings, AtClosing, CallbackScope, CallbackSettings,
    Declining, Expansion, OverflowRule, OverflowWhen, Rona, RonaAction, ServiceLevel, Strategy,
    WrapMode,
};
use crate::base::Duration;
use crate::base::limits::QUEUES_PER_AGENT_MAX;
use crate::config::fields::Fields;
use crate::config::keys::queue::{overflow_when, rona_action};
use crate::config::settings::{Callbacks, QueueSettings};
use crate::config::tree::{Node, Value};
use crate::config::units::duration;

const STRATEGIES: &[(&str, Strategy)] = &[
    ("longest-idle", Strategy::LongestIdle),
    ("most-proficient", Strategy::MostProficient),
    ("fewest-calls", Strategy::FewestCalls),
    ("least-occupied", Strategy::LeastOccupied),
    ("round-robin", Strategy::RoundRobin),
    ("fixed", Strategy::Fixed),
    ("random", Strategy::Random),
    ("ring-all", Strategy::RingAll),
];

const WRAP_MODES: &[(&str, WrapMode)] = &[
    ("timed", WrapMode::Timed),
    ("until-disposition", WrapMode::UntilDisposition),
    ("manual", WrapMode::Manual),
    ("none", WrapMode::None),
];

const AT_CLOSING: &[(&str, AtClosing)] =
    &[("serve", AtClosing::Serve), ("send-on", AtClosing::SendOn)];

const AGE_SCOPES: &[(&str, AgeScope)] = &[("work", AgeScope::Work), ("queue", AgeScope::Queue)];

/// Reads one file.
pub fn read(reading: &mut Reading<'_>, file: &Fields<'_>) {
    let name = reading.name_of("queue", file);
    let agents = agents(reading, file, name.as_deref().unwrap_or("?"));
    let callback = file.fields("callback");
    let callbacks = callback.map(|fields| callbacks(reading, &fields));
    let music = file.text("music").unwrap_or("default");
    if file.node("music").is_some() {
        reading.refer(To::Music, music, file.source, file.span("music"));
    }
    let hours = file.shared("hours");
    if let Some(hours) = &hours {
        reading.refer(To::Hours, hours, file.source, file.span("hours"));
    }
    if hours.is_none() && file.node("at-closing").is_some() {
        let message = "the queue never closes: it has no `hours`";
        reading.warning(file.source, file.span("at-closing"), message);
    }
    let mut overflow = Vec::new();
    let mut overflow_steps = Vec::new();
    for rule in file.tables("overflow") {
        let steps = steps::read(reading, rule.source, rule.node("do"));
        if let Some(when) = rule.text("when").and_then(|text| overflow_when(text).ok()) {
            if when == OverflowWhen::Closed && hours.is_none() {
                let message = "this rule never applies: the queue has no `hours`";
                reading.warning(rule.source, rule.span("when"), message);
            }
            overflow.push(OverflowRule { when });
            overflow_steps.push(steps);
        }
    }
    let expand = expansions(reading, file);
    let Some(name) = name else {
        return;
    };
    let default = acd::QueueSettings::named(name.clone());
    let rona = file.fields("rona");
    let acd = acd::QueueSettings {
        strategy: file
            .one_of("strategy", STRATEGIES)
            .unwrap_or(default.strategy),
        ring_timeout: file
            .duration("ring-timeout")
            .unwrap_or(default.ring_timeout),
        wrap_up: file.duration("wrap-up").unwrap_or(default.wrap_up),
        wrap_mode: file
            .one_of("wrap-mode", WRAP_MODES)
            .unwrap_or(default.wrap_mode),
        wrap_hard_max: file
            .duration("wrap-hard-max")
            .unwrap_or(default.wrap_hard_max),
        disposition_required: file.flag("disposition-required").unwrap_or(false),
        dispositions: file
            .texts("dispositions")
            .into_iter()
            .map(|(text, _)| text.into())
            .collect(),
        service_level: ServiceLevel {
            within: file
                .fields("service-level")
                .and_then(|level| level.duration("within"))
                .unwrap_or(default.service_level.within),
            target: file
                .fields("service-level")
                .and_then(|level| level.number("target"))
                .unwrap_or(default.service_level.target),
        },
        short_abandon: file
            .duration("short-abandon")
            .unwrap_or(default.short_abandon),
        announce: file.fields("announce").map(|announce| Announce {
            every: announce
                .duration("every")
                .unwrap_or(Duration::from_secs(45)),
            position: announce.flag("position").unwrap_or(false),
            wait: announce.flag("wait").unwrap_or(false),
        }),
        max_waiting: file.integer("max-waiting"),
        max_wait: match file.text("max-wait") {
            Some("none") => None,
            Some(_) => file.duration("max-wait"),
            None => default.max_wait,
        },
        credit: file.duration("priority").unwrap_or_default(),
        weight: file.integer("weight").unwrap_or(default.weight),
        age_scope: file
            .one_of("age-scope", AGE_SCOPES)
            .unwrap_or(default.age_scope),
        class_promote_after: file.duration("class-promote-after"),
        skip_delay_when_unstaffed: file
            .flag("skip-delay-when-unstaffed")
            .unwrap_or(default.skip_delay_when_unstaffed),
        expand,
        agents,
        overflow,
        at_closing: file
            .one_of("at-closing", AT_CLOSING)
            .unwrap_or(default.at_closing),
        rona: Rona {
            after: rona
                .and_then(|rona| rona.integer("after"))
                .unwrap_or(default.rona.after),
            action: rona
                .and_then(|rona| rona_action(rona.text("action")?).ok())
                .unwrap_or(RonaAction::NotReady),
        },
        callback: callback.map(|fields| callback_rules(&fields)),
        decline: Declining {
            reason_required: file.flag("decline-reason-required").unwrap_or(false),
            reasons: file
                .texts("decline-reasons")
                .into_iter()
                .map(|(text, _)| text.into())
                .collect(),
            action: file
                .text("decline-action")
                .and_then(|text| rona_action(text).ok())
                .unwrap_or(default.decline.action),
        },
        no_reoffer: file.duration("no-reoffer").unwrap_or(default.no_reoffer),
        ring_all_max: file
            .integer::<i64>("ring-all-max")
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(default.ring_all_max),
        ..default
    };
    if acd.agents.is_empty() && file.node("agents").is_none_or(is_empty_list) {
        let message = format!("nobody serves queue `{name}`");
        reading
            .warning(file.source, file.span("name"), message)
            .help = Some("agents = [ { extension = \"1001\" } ]".to_owned());
    }
    reading.queues.push(Arc::new(QueueSettings {
        acd,
        was: file.shared("was"),
        music: music.into(),
        overflow: overflow_steps,
        hours,
        callback: callbacks,
        place: file.place(),
    }));
}

/// What callers and agents meet of callbacks.
fn callbacks(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Callbacks {
    let mut prompt = |key: &str, default: &str| -> Arc<str> {
        let name = fields.text(key).unwrap_or(default);
        reading.refer(To::Prompt, name, fields.source, fields.span(key));
        Arc::from(name)
    };
    let (promised, identify) = (
        prompt("promised", "callback-promised"),
        prompt("identify", "callback-identify"),
    );
    let digit = fields.text("digit").and_then(|text| text.chars().next());
    let offer_after = fields.duration("offer-after");
    if offer_after.is_some() && digit.is_none() {
        let message = "no `digit` says which key asks for a callback: callers are not offered one";
        reading.warning(fields.source, fields.span("offer-after"), message);
    }
    Callbacks {
        digit,
        offer_after,
        promised,
        identify,
    }
}

/// What the ACD needs to know of callbacks.
fn callback_rules(fields: &Fields<'_>) -> CallbackSettings {
    let default = CallbackSettings::default();
    CallbackSettings {
        cap: fields.integer("cap"),
        scope: match fields.text("scope") {
            Some("tenant") => CallbackScope::Tenant,
            _ => CallbackScope::Queue,
        },
        ttl: fields.duration("expires").unwrap_or(default.ttl),
        retries: match fields.node("retries") {
            None => default.retries,
            Some(_) => fields
                .texts("retries")
                .into_iter()
                .filter_map(|(text, _)| duration(text).ok())
                .collect(),
        },
    }
}

fn is_empty_list(node: &Node) -> bool {
    matches!(&node.value, Value::List(list) if list.is_empty())
}

/// The rings of `expand`; each comes later than the one before.
fn expansions(reading: &mut Reading<'_>, file: &Fields<'_>) -> Vec<Expansion> {
    let mut rings: Vec<Expansion> = Vec::new();
    for fields in file.tables("expand") {
        let Some(after) = fields.duration("after") else {
            continue;
        };
        if rings.last().is_some_and(|before| before.after >= after) {
            let message = "each ring of `expand` comes later than the one before";
            reading.error(fields.source, fields.span("after"), message);
        }
        let mut names = |key: &str, to: fn() -> To| -> Vec<Arc<str>> {
            let texts = fields.texts(key).into_iter();
            texts
                .map(|(text, span)| {
                    reading.refer(to(), text, fields.source, span);
                    Arc::from(text)
                })
                .collect()
        };
        rings.push(Expansion {
            after,
            min_delta: fields.integer("min-delta").unwrap_or(0),
            drop: names("drop", || To::Skill),
            add_queues: names("add-queues", || To::Queue),
            add_agents: names("add-agents", || To::Extension),
        });
    }
    rings
}

fn agents(reading: &mut Reading<'_>, file: &Fields<'_>, queue: &str) -> Vec<AssignmentSettings> {
    let mut agents: Vec<AssignmentSettings> = Vec::new();
    for fields in file.tables("agents") {
        let Some(extension) = fields.shared("extension") else {
            continue;
        };
        let span = fields.span("extension");
        reading.refer(To::Extension, &extension, fields.source, span.clone());
        if agents.iter().any(|other| other.agent == extension) {
            let message = format!("`{extension}` serves queue `{queue}` twice");
            reading.error(fields.source, span, message);
            continue;
        }
        let served = reading
            .queues
            .iter()
            .filter(|queue| queue.acd.agents.iter().any(|a| a.agent == extension))
            .count();
        if served >= QUEUES_PER_AGENT_MAX {
            let message = format!("`{extension}` serves more than {QUEUES_PER_AGENT_MAX} queues");
            reading.error(fields.source, span, message);
        }
        agents.push(AssignmentSettings {
            level: fields.integer("level").unwrap_or(1),
            rank: fields.integer("rank").unwrap_or(1),
            delay: fields.duration("delay").unwrap_or_default(),
            enabled: fields.flag("enabled").unwrap_or(true),
            ..AssignmentSettings::of(extension)
        });
    }
    agents
}
