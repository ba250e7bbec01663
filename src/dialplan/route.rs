//! Finds the rule of a call: most specific first, and says why each rule before it did not match.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::hours::Hours;
use super::model::{Context, Group, HeaderTest, Menu, Model, Rule, Steps};
use super::pattern::{Captures, Pattern, Specificity};
use super::template::{Headers, Variables};
use crate::base::WallTime;
use crate::directory::Place;

/// What the dialplan may know of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallFacts {
    /// Name of the profile on which it came.
    pub profile: Arc<str>,
    /// Context in which it starts.
    pub context: Arc<str>,
    /// Caller: extension, `+E164`, or whatever the user part of From was.
    pub from: String,
    /// Called: user part of the request-URI, as `+E164` where the trunk's number format says so.
    pub to: String,
    /// Trunk on which it came.
    pub trunk: Option<Arc<str>>,
    /// Caller's display name; may be empty.
    pub caller_name: String,
    /// Headers that rules may test, by lower-case name; the first value of each.
    pub headers: Arc<Headers>,
    /// Language of the caller, or empty.
    pub language: String,
}

impl CallFacts {
    /// The facts as variables: `from`, `to`, `number`, `caller-name`, `profile`, `context`, `trunk`, `language`, `header.NAME`.
    pub fn variables(&self) -> Variables {
        let mut variables = Variables::of(self.headers.clone());
        for (name, value) in [
            ("from", self.from.as_str()),
            ("to", &self.to),
            ("number", &self.to),
            ("caller-name", &self.caller_name),
            ("profile", &self.profile),
            ("context", &self.context),
            ("trunk", self.trunk.as_deref().unwrap_or_default()),
            ("language", &self.language),
        ] {
            variables.set(name, value);
        }
        variables
    }
}

/// Names of the variables that every run has, beside `header.NAME`.
pub const BUILT_IN_VARIABLES: &[&str] = &[
    "from",
    "to",
    "number",
    "caller-name",
    "profile",
    "context",
    "trunk",
    "language",
    "verstat",
    "attestation",
    "dial-result",
    "transferred-by",
    "dial-status",
    "queue-result",
    "feature-result",
];

/// A rule under one of its patterns, in the order of trying.
#[derive(Debug, Clone, PartialEq)]
struct Candidate {
    rule: Arc<Rule>,
    /// Index into the rule's numbers; `None`: any number.
    pattern: Option<usize>,
}

impl Candidate {
    fn pattern(&self) -> Option<&Pattern> {
        self.rule.numbers.get(self.pattern?)
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Compiled {
    /// All candidates, most specific first.
    order: Vec<Candidate>,
    /// Where in `order` the candidates of an exact number stand.
    exact: BTreeMap<String, Vec<usize>>,
    /// Where in `order` everything else begins.
    patterns_from: usize,
}

/// A rule that was found, with what its pattern kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What the pattern kept, by name.
    pub captures: Captures,
    /// The steps: those of `do`, or of `closed` outside the rule's hours.
    pub steps: Steps,
    /// True when the steps are those of `closed`.
    pub closed: bool,
}

/// One rule that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleVerdict {
    /// Name of the rule.
    pub rule: Arc<str>,
    /// The pattern under which it was tried; empty: any number.
    pub pattern: String,
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// Why it did not match; `None`: it did.
    pub why_not: Option<String>,
}

/// The answer to "where does this call go".
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The rule, or `None` when no rule matched.
    pub found: Option<Found>,
    /// Every rule up to the one that matched, in the order of trying.
    pub explanation: Vec<RuleVerdict>,
}

/// Contexts compiled for matching. Share it behind `Arc`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dialplan {
    model: Model,
    compiled: BTreeMap<Arc<str>, Compiled>,
}

impl Dialplan {
    /// Sorts the rules of every context.
    pub fn compile(model: Model) -> Dialplan {
        let compiled = model
            .contexts
            .iter()
            .map(|(name, context)| (name.clone(), compile(context)))
            .collect();
        Dialplan { model, compiled }
    }

    /// What it was made of.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The menu with this name.
    pub fn menu(&self, name: &str) -> Option<&Menu> {
        self.model.menus.get(name)
    }

    /// The ring group with this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.model.groups.get(name)
    }

    /// The hours with this name.
    pub fn hours(&self, name: &str) -> Option<&Hours> {
        self.model.hours.get(name)
    }

    /// The context with this name.
    pub fn context(&self, name: &str) -> Option<&Context> {
        self.model.contexts.get(name)
    }

    /// The rule with this name.
    pub fn rule(&self, context: &str, rule: &str) -> Option<&Arc<Rule>> {
        self.context(context)?
            .rules
            .iter()
            .find(|candidate| &*candidate.name == rule)
    }

    /// The rule for a call, with the variables as they are now. Cost: one look-up for exact numbers, then the patterns one by one.
    pub fn find(
        &self,
        context: &str,
        number: &str,
        variables: &Variables,
        at: WallTime,
    ) -> Option<Found> {
        let compiled = self.compiled.get(context)?;
        let exact = compiled
            .exact
            .get(number)
            .into_iter()
            .flatten()
            .filter_map(|index| compiled.order.get(*index));
        let others = compiled.order.iter().skip(compiled.patterns_from);
        exact
            .chain(others)
            .find_map(|candidate| self.try_candidate(candidate, number, variables, at).ok())
    }

    /// The rule for a call and the reasons.
    pub fn route(&self, facts: &CallFacts, at: WallTime) -> Route {
        self.route_with(&facts.context, &facts.to, &facts.variables(), at)
    }

    /// As [`Dialplan::route`], with the variables of a run under way.
    pub fn route_with(
        &self,
        context: &str,
        number: &str,
        variables: &Variables,
        at: WallTime,
    ) -> Route {
        let mut explanation = Vec::new();
        let candidates = self
            .compiled
            .get(context)
            .map(|compiled| compiled.order.as_slice())
            .unwrap_or_default();
        for candidate in candidates {
            let mut verdict = RuleVerdict {
                rule: candidate.rule.name.clone(),
                pattern: candidate
                    .pattern()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                place: candidate.rule.place.clone(),
                why_not: None,
            };
            match self.try_candidate(candidate, number, variables, at) {
                Ok(found) => {
                    explanation.push(verdict);
                    return Route {
                        found: Some(found),
                        explanation,
                    };
                }
                Err(why_not) => {
                    verdict.why_not = Some(why_not());
                    explanation.push(verdict);
                }
            }
        }
        Route {
            found: None,
            explanation,
        }
    }

    /// The match, or a way to say why not: the text is only made where somebody reads it.
    fn try_candidate<'a>(
        &'a self,
        candidate: &'a Candidate,
        number: &'a str,
        variables: &'a Variables,
        at: WallTime,
    ) -> Result<Found, Box<dyn Fn() -> String + 'a>> {
        let rule = &candidate.rule;
        let mut captures = Captures::new();
        if let Some(pattern) = candidate.pattern() {
            match pattern.matches(number) {
                Some(kept) => captures = kept,
                None => {
                    return Err(Box::new(move || {
                        format!("the called number `{number}` is not `{pattern}`")
                    }));
                }
            }
        }
        let value = |name: &str| variables.get(name).unwrap_or_default();
        if let Some(pattern) = &rule.from {
            match pattern.matches(value("from")) {
                Some(kept) => captures.extend(kept),
                None => {
                    return Err(Box::new(move || {
                        format!("the caller `{}` is not `{pattern}`", value("from"))
                    }));
                }
            }
        }
        if let Some(trunk) = &rule.trunk
            && value("trunk") != &**trunk
        {
            return Err(Box::new(move || match value("trunk") {
                "" => format!("it did not come on trunk `{trunk}`, but on none"),
                other => format!("it did not come on trunk `{trunk}`, but on `{other}`"),
            }));
        }
        for (name, test) in &rule.headers {
            let found = variables.get(&format!("header.{name}"));
            let holds = match test {
                HeaderTest::Present => found.is_some(),
                HeaderTest::Is(text) => found == Some(&**text),
                HeaderTest::Matches(pattern) => {
                    found.is_some_and(|found| pattern.matches(found).is_some())
                }
            };
            if !holds {
                return Err(Box::new(move || match found {
                    None => format!("header `{name}` is missing"),
                    Some(found) => format!("header `{name}` is `{found}`"),
                }));
            }
        }
        if let Some(language) = &rule.language
            && !value("language").eq_ignore_ascii_case(language)
        {
            return Err(Box::new(move || {
                format!("the language is `{}`, not `{language}`", value("language"))
            }));
        }
        if let Some(condition) = &rule.condition {
            let holds = if captures.is_empty() {
                condition.holds(variables)
            } else {
                let mut variables = variables.clone();
                for (name, value) in &captures {
                    variables.set(name, value);
                }
                condition.holds(&variables)
            };
            if !holds {
                return Err(Box::new(move || format!("`{condition}` does not hold")));
            }
        }
        let mut closed = false;
        if let Some(name) = &rule.hours
            && let Some(hours) = self.hours(name)
            && !hours.is_open(at)
        {
            if rule.closed.is_none() {
                return Err(Box::new(move || hours.explain(at)));
            }
            closed = true;
        }
        let steps = match &rule.closed {
            Some(steps) if closed => steps.clone(),
            _ => rule.steps.clone(),
        };
        Ok(Found {
            rule: rule.clone(),
            captures,
            steps,
            closed,
        })
    }

    /// Rules that can never match because one before them takes everything: (the rule, the one before it).
    pub fn shadowed(&self) -> Vec<(Arc<Rule>, Arc<Rule>)> {
        let mut out = Vec::new();
        for compiled in self.compiled.values() {
            let mut dead: BTreeMap<*const Rule, (usize, &Candidate, &Candidate)> = BTreeMap::new();
            for (index, candidate) in compiled.order.iter().enumerate() {
                let before = compiled.order.iter().take(index).find(|before| {
                    !Arc::ptr_eq(&before.rule, &candidate.rule) && takes_all(before, candidate)
                });
                if let Some(before) = before {
                    dead.entry(Arc::as_ptr(&candidate.rule))
                        .and_modify(|(count, ..)| *count += 1)
                        .or_insert((1, candidate, before));
                }
            }
            // A rule with several numbers is dead when all of them are.
            out.extend(
                dead.into_values()
                    .filter(|(count, candidate, _)| *count >= candidate.rule.numbers.len().max(1))
                    .map(|(_, candidate, before)| (candidate.rule.clone(), before.rule.clone())),
            );
        }
        out.sort_by(|(a, _), (b, _)| {
            (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line))
        });
        out
    }
}

fn takes_all(before: &Candidate, candidate: &Candidate) -> bool {
    let number = match (before.pattern(), candidate.pattern()) {
        (None, _) => true,
        (Some(before), Some(candidate)) => before.covers(candidate),
        (Some(_), None) => false,
    };
    let (before, candidate) = (&before.rule, &candidate.rule);
    number
        && (before.from.is_none() || before.from == candidate.from)
        && (before.trunk.is_none() || before.trunk == candidate.trunk)
        && before
            .headers
            .iter()
            .all(|header| candidate.headers.contains(header))
        && (before.hours.is_none()
            || before.closed.is_some()
            || (before.hours == candidate.hours && candidate.closed.is_none()))
        && (before.language.is_none() || before.language == candidate.language)
        && (before.condition.is_none() || before.condition == candidate.condition)
}

fn compile(context: &Context) -> Compiled {
    let mut order: Vec<(Specificity, usize, Candidate)> = Vec::new();
    for rule in &context.rules {
        // More conditions are more specific, so they sort first.
        let narrowing = usize::MAX - rule.narrowing();
        let mut push = |specificity, pattern| {
            order.push((
                specificity,
                narrowing,
                Candidate {
                    rule: rule.clone(),
                    pattern,
                },
            ));
        };
        if rule.numbers.is_empty() {
            push(Specificity::any(), None);
        }
        for (index, pattern) in rule.numbers.iter().enumerate() {
            push(pattern.specificity(), Some(index));
        }
    }
    // Stable: file order breaks ties.
    order.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let order: Vec<Candidate> = order
        .into_iter()
        .map(|(_, _, candidate)| candidate)
        .collect();
    let mut exact: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut patterns_from = 0;
    for (index, candidate) in order.iter().enumerate() {
        if let Some(number) = candidate.pattern().and_then(Pattern::as_exact) {
            exact.entry(number).or_default().push(index);
            patterns_from = index + 1;
        }
    }
    Compiled {
        order,
        exact,
        patterns_from,
    }
}
