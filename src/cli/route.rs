//! `strowger route`: where a call would go, and why.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::check::load;
use super::{ConfigArgs, WRONG, complain, say};
use crate::base::WallTime;
use crate::config::Settings;
use crate::dialplan::{CallFacts, Goto, Headers, Route, RuleVerdict, StepKind, Steps, Variables};
use crate::directory::{Place, e164};

/// Deepest nesting of menus and jumps that is shown.
const DEPTH_MAX: usize = 6;

/// The call.
#[derive(Debug, Args)]
pub struct RouteArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Profile on which the call comes
    #[arg(long)]
    profile: String,
    /// Who calls: extension or number
    #[arg(long)]
    from: String,
    /// Who is called: extension or number
    #[arg(long)]
    to: String,
    /// When, like 2026-12-25T10:00:00+00:00 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Trunk on which the call comes [default: the only one of the profile]
    #[arg(long)]
    trunk: Option<String>,
    /// Language of the caller
    #[arg(long, default_value = "")]
    language: String,
    /// A header of the INVITE, like "X-Campaign: spring"; may be repeated
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Prints the way of a call. Exit code 1 when no rule takes it.
pub fn route(arguments: &RouteArgs) -> ExitCode {
    let Some(settings) = load(&arguments.config.directory()) else {
        return ExitCode::from(WRONG);
    };
    let facts = match facts(arguments, &settings) {
        Ok(facts) => facts,
        Err(message) => {
            complain(&message);
            return ExitCode::from(WRONG);
        }
    };
    let at = WallTime::from_timestamp(arguments.at.unwrap_or_else(Timestamp::now));
    let answer = Answer::of(&settings, facts, at);
    say(&if arguments.json {
        answer.json().to_string()
    } else {
        answer.text(&settings)
    });
    if answer.route.found.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(WRONG)
    }
}

fn facts(arguments: &RouteArgs, settings: &Settings) -> Result<CallFacts, String> {
    let Some(profile) = settings.profile(&arguments.profile) else {
        let names: Vec<&str> = settings
            .profiles
            .iter()
            .map(|profile| &*profile.name)
            .collect();
        return Err(format!(
            "there is no profile `{}`; there is: {}",
            arguments.profile,
            names.join(", ")
        ));
    };
    let trunk = match (&arguments.trunk, profile.trunks.as_slice()) {
        (Some(name), trunks) => match trunks.iter().find(|trunk| *trunk.name == **name) {
            Some(trunk) => Some(trunk),
            None => return Err(format!("profile `{}` has no trunk `{name}`", profile.name)),
        },
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let number = |text: &str| match trunk {
        Some(trunk) => trunk.number_format.inward(text),
        None => e164(text).unwrap_or_else(|| text.to_owned()),
    };
    let mut headers = Headers::default();
    for header in &arguments.header {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| format!("`{header}` is not a header like `X-Campaign: spring`"))?;
        headers.add(name.trim(), value.trim());
    }
    Ok(CallFacts {
        profile: profile.name.clone(),
        context: profile.dialplan.clone(),
        from: number(&arguments.from),
        to: number(&arguments.to),
        trunk: trunk.map(|trunk| trunk.name.clone()),
        caller_name: String::new(),
        headers: Arc::new(headers),
        language: arguments.language.clone(),
    })
}

/// One line of the way: a step, or the head of a branch (a key of a menu, a rule that was jumped to).
struct Line {
    depth: usize,
    text: String,
    step: Option<&'static str>,
    place: Place,
}

struct Answer {
    facts: CallFacts,
    at: WallTime,
    route: Route,
    lines: Vec<Line>,
}

impl Answer {
    fn of(settings: &Settings, facts: CallFacts, at: WallTime) -> Answer {
        let route = settings.dialplan.route(&facts, at);
        let mut walk = Walk {
            settings,
            called: facts.to.clone(),
            at,
            variables: facts.variables(),
            lines: Vec::new(),
        };
        if let Some(found) = &route.found {
            for (name, value) in &found.captures {
                walk.variables.set(name, value);
            }
            walk.steps(&found.steps, 0);
        }
        let lines = walk.lines;
        Answer {
            facts,
            at,
            route,
            lines,
        }
    }

    fn json(&self) -> Value {
        let facts = &self.facts;
        let matched = self.route.found.as_ref().map(|found| {
            let captures: serde_json::Map<String, Value> = found
                .captures
                .iter()
                .map(|(name, value)| (name.to_string(), json!(value)))
                .collect();
            json!({
                "rule": found.rule.name,
                "file": found.rule.place.file,
                "line": found.rule.place.line,
                "closed": found.closed,
                "captures": captures,
            })
        });
        let steps: Vec<Value> = self
            .lines
            .iter()
            .map(|line| {
                json!({
                    "step": line.step,
                    "text": line.text,
                    "depth": line.depth,
                    "file": line.place.file,
                    "line": line.place.line,
                })
            })
            .collect();
        json!({
            "profile": facts.profile,
            "context": facts.context,
            "from": facts.from,
            "to": facts.to,
            "trunk": facts.trunk,
            "at": self.at,
            "matched": matched,
            "rules": self.route.explanation,
            "steps": steps,
        })
    }

    fn text(&self, settings: &Settings) -> String {
        let facts = &self.facts;
        let zone = TimeZone::get(&settings.server.time_zone).unwrap_or(TimeZone::UTC);
        let local = self.at.timestamp().to_zoned(zone);
        let mut out = format!(
            "from {} to {} on profile {}{}, {}\n\nrules of context {}, in the order of trying:\n",
            facts.from,
            facts.to,
            facts.profile,
            facts
                .trunk
                .as_ref()
                .map(|trunk| format!(" (trunk {trunk})"))
                .unwrap_or_default(),
            local.strftime("%a %Y-%m-%d %H:%M %Z"),
            facts.context,
        );
        out.push_str(&columns(self.route.explanation.iter().map(verdict)));
        let Some(found) = &self.route.found else {
            out.push_str("\nno rule matches: the call is refused with 404 Not Found");
            return out;
        };
        out.push_str(if found.closed {
            "\nsteps (`closed`):\n"
        } else {
            "\nsteps:\n"
        });
        out.push_str(&columns(self.lines.iter().map(|line| {
            let indent = "  ".repeat(line.depth);
            vec![line.place.to_string(), format!("{indent}{}", line.text)]
        })));
        out.trim_end().to_owned()
    }
}

fn verdict(verdict: &RuleVerdict) -> Vec<String> {
    vec![
        verdict.place.to_string(),
        verdict.rule.to_string(),
        match &verdict.why_not {
            Some(why_not) => format!("no: {why_not}"),
            None => "matches".to_owned(),
        },
    ]
}

/// Lines of cells, aligned, with two spaces before each.
fn columns(rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.collect();
    let width = |index: usize| {
        rows.iter()
            .filter_map(|row| row.get(index))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(index, cell)| format!("{cell:width$}", width = width(index)))
            .collect();
        out.push_str("  ");
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// Follows steps without doing them.
struct Walk<'a> {
    settings: &'a Settings,
    called: String,
    at: WallTime,
    variables: Variables,
    lines: Vec<Line>,
}

impl Walk<'_> {
    fn head(&mut self, depth: usize, text: String, place: &Place) {
        self.lines.push(Line {
            depth,
            text,
            step: None,
            place: place.clone(),
        });
    }

    fn branch(&mut self, when: String, steps: &Steps, place: &Place, depth: usize) {
        let place = steps.first().map_or(place, |step| &step.place).clone();
        self.head(depth, when, &place);
        let before = self.variables.clone();
        self.steps(steps, depth + 1);
        self.variables = before;
    }

    fn steps(&mut self, steps: &Steps, depth: usize) {
        let dialplan = Arc::clone(&self.settings.dialplan);
        for step in steps.iter() {
            self.lines.push(Line {
                depth,
                text: step.describe(&self.variables),
                step: Some(step.verb()),
                place: step.place.clone(),
            });
            if depth >= DEPTH_MAX {
                self.head(depth, "… and so on".to_owned(), &step.place);
                return;
            }
            match &step.kind {
                StepKind::Set(values) => {
                    for (name, value) in values {
                        let value = value.preview(&self.variables);
                        self.variables.set(name, &value);
                    }
                }
                StepKind::Menu(name) => {
                    if let Some(menu) = dialplan.menu(name) {
                        for (digits, steps) in &menu.choices {
                            self.branch(format!("on {digits}:"), steps, &menu.place, depth + 1);
                        }
                        for (when, steps) in [
                            ("on another key:", &menu.invalid),
                            ("on nothing:", &menu.none),
                        ] {
                            if let Some(steps) = steps {
                                self.branch(when.to_owned(), steps, &menu.place, depth + 1);
                            }
                        }
                    }
                }
                StepKind::Collect(collect) => {
                    if let Some(steps) = &collect.none {
                        self.branch("on nothing:".to_owned(), steps, &step.place, depth + 1);
                    }
                }
                StepKind::Feature {
                    refused: Some(steps),
                    ..
                } => self.branch("if refused:".to_owned(), steps, &step.place, depth + 1),
                StepKind::Queue(queue) => {
                    let name = queue.queue.preview(&self.variables);
                    if let Some(queue) = self.settings.queue(&name).cloned() {
                        for (rule, steps) in queue.acd.overflow.iter().zip(&queue.overflow) {
                            let when = format!("when {}:", overflow(&rule.when));
                            self.branch(when, steps, &queue.place, depth + 1);
                        }
                    }
                }
                StepKind::Goto(goto) => {
                    self.goto(goto, depth);
                    return;
                }
                StepKind::Hangup(_) => return,
                _ => {}
            }
        }
    }

    fn goto(&mut self, goto: &Goto, depth: usize) {
        let dialplan = Arc::clone(&self.settings.dialplan);
        match goto {
            Goto::Context { context, number } => {
                let number = match number {
                    Some(number) => number.preview(&self.variables),
                    None => self.called.clone(),
                };
                self.variables.set("context", context);
                self.variables.set("number", &number);
                let found = dialplan.find(context, &number, &self.variables, self.at);
                match found {
                    Some(found) => {
                        for (name, value) in &found.captures {
                            self.variables.set(name, value);
                        }
                        let text = format!("rule {} of context {context}:", found.rule.name);
                        self.head(depth + 1, text, &found.rule.place);
                        self.steps(&found.steps, depth + 2);
                    }
                    None => {
                        let place = dialplan
                            .context(context)
                            .map(|context| context.place.clone())
                            .unwrap_or_default();
                        let text = format!(
                            "no rule of context {context} matches {number}: refused with 404"
                        );
                        self.head(depth + 1, text, &place);
                    }
                }
            }
            Goto::Rule { context, rule } => {
                if let Some(rule) = dialplan.rule(context, rule) {
                    self.head(depth + 1, format!("rule {}:", rule.name), &rule.place);
                    self.steps(&rule.steps, depth + 2);
                }
            }
        }
    }
}

fn overflow(when: &crate::acd::OverflowWhen) -> String {
    use crate::acd::OverflowWhen;
    use crate::config::show_duration;
    match when {
        OverflowWhen::Waited(time) => format!("waited {}", show_duration(*time)),
        OverflowWhen::MaxWait => "max-wait".to_owned(),
        OverflowWhen::NobodyLoggedIn(time) if time.is_zero() => "nobody-logged-in".to_owned(),
        OverflowWhen::NobodyLoggedIn(time) => {
            format!("nobody-logged-in {}", show_duration(*time))
        }
        OverflowWhen::NobodyReady(time) if time.is_zero() => "nobody-ready".to_owned(),
        OverflowWhen::NobodyReady(time) => format!("nobody-ready {}", show_duration(*time)),
        OverflowWhen::Closed => "closed".to_owned(),
        OverflowWhen::Full => "full".to_owned(),
        OverflowWhen::ExpectedWait(time) => format!("expected-wait {}", show_duration(*time)),
    }
}
