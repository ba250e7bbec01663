//! The gates, in order: each looks at the question and says allow, deny with a reason, or ask.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::attempts::Attempts;
use super::list::{List, ListKind, Listed};
use super::lists::Lists;
use super::numbers::key_of;
use super::pins::{PinAnswer, Pins};
use super::record::OutboundRecord;
use super::rules::{CountryRule, Presented, Recording, Rules};
use crate::base::{Ulid, WallTime};
use crate::directory::e164;
use crate::event::{Gate, GateAnswer, GateRecord, Purpose, Said};

/// Records that are kept in memory for `why`; those of calls are in the call's record for good.
const RECENT_MAX: usize = 1000;

/// How far the call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is only asked for: no trunk is chosen, no number to present, nobody is there to give a PIN.
    Asked,
    /// It is about to leave.
    Leaving,
}

/// Whether a trunk can carry the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// One has a channel free.
    Free,
    /// All channels are in use, and the call may wait a moment for one.
    Waits,
    /// All channels are in use.
    None,
    /// No trunk leads there.
    NoTrunk,
}

/// What is to be called, and what is known of it.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// How far it has come.
    pub stage: Stage,
    /// The number, as it will be dialled.
    pub number: &'a str,
    /// Why.
    pub purpose: Purpose,
    /// The extension for which.
    pub by: Option<&'a Arc<str>>,
    /// The queue of the callback.
    pub queue: Option<&'a str>,
    /// The call.
    pub call: Option<Ulid>,
    /// The work item.
    pub work: Option<Ulid>,
    /// The PIN that the route asks for.
    pub pin: Option<&'a str>,
    /// It has been given.
    pub pin_given: bool,
    /// The call is recorded.
    pub recorded: bool,
    /// The number that will be presented, by each trunk that may carry it; an empty one is none.
    pub presented: &'a [Arc<str>],
    /// Whether a trunk can carry it.
    pub channel: Channel,
}

impl<'a> Question<'a> {
    /// Whether a program may order a call to this number for somebody.
    pub fn ordered(number: &'a str, by: Option<&'a Arc<str>>) -> Self {
        Question {
            stage: Stage::Asked,
            number,
            purpose: Purpose::ClickToDial,
            by,
            queue: None,
            call: None,
            work: None,
            pin: None,
            pin_given: false,
            recorded: false,
            presented: &[],
            channel: Channel::Free,
        }
    }
}

/// The gates with what they know.
#[derive(Debug, Default)]
pub struct Outbound {
    rules: Arc<Rules>,
    /// Do-not-call, black and white lists.
    pub lists: Lists,
    attempts: Attempts,
    pins: Pins,
    recent: VecDeque<GateRecord>,
}

impl Outbound {
    /// Takes the rules of the files.
    pub fn configure(&mut self, rules: Arc<Rules>) {
        self.lists.configure(&rules.lists);
        self.rules = rules;
    }

    /// The rules under which it works.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Asks the gates in order, until one denies or asks.
    pub fn ask(&self, at: WallTime, question: &Question<'_>) -> GateRecord {
        let number: Arc<str> = e164(question.number)
            .unwrap_or_else(|| question.number.trim().to_owned())
            .into();
        let mut record = GateRecord {
            at,
            number: number.clone(),
            purpose: question.purpose,
            by: question.by.cloned(),
            call: question.call,
            work: question.work,
            verdict: Said::Allow,
            answers: Vec::new(),
            not_before: None,
        };
        let asking = Asking {
            outbound: self,
            at,
            number: &number,
            key: key_of(&number),
            question,
        };
        for gate in Gate::ALL {
            let (answer, not_before) = asking.gate(gate);
            let said = answer.said;
            record.answers.push(answer);
            if said != Said::Allow {
                record.verdict = said;
                record.not_before = not_before;
                break;
            }
            if gate == Gate::Emergency && self.rules.emergency.contains(&number) {
                break;
            }
        }
        record
    }

    /// Keeps a record for `why`.
    pub fn keep(&mut self, record: GateRecord) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(record);
    }

    /// What was asked lately about a work item.
    pub fn of_work(&self, work: Ulid) -> Vec<GateRecord> {
        let of = |record: &&GateRecord| record.work == Some(work);
        self.recent.iter().filter(of).cloned().collect()
    }

    /// A number is being called. Gives what the journal keeps, where somebody counts.
    pub fn called(&mut self, at: WallTime, number: &str) -> Option<OutboundRecord> {
        self.rules.attempts?;
        let number: Arc<str> = e164(number)?.into();
        let record = OutboundRecord::Attempt { number, at };
        self.restore(&record);
        Some(record)
    }

    /// Somebody gives a PIN. One that no file names is never right.
    pub fn give_pin(
        &mut self,
        at: WallTime,
        extension: &Arc<str>,
        pin: &str,
        digits: &str,
    ) -> (PinAnswer, Option<OutboundRecord>) {
        match self.rules.pins.get(pin) {
            Some(rule) => self.pins.try_one(extension, rule, digits, at),
            None => (PinAnswer::Wrong, None),
        }
    }

    /// What the journal says happened.
    pub fn restore(&mut self, record: &OutboundRecord) {
        self.lists.restore(record);
        self.pins.restore(record);
        if let OutboundRecord::Attempt { number, at } = record {
            let keep = Attempts::keep(self.rules.attempts);
            self.attempts.note(number, *at, keep);
        }
    }

    /// Everything that a new journal must begin with.
    pub fn snapshot(&self, at: WallTime) -> Vec<OutboundRecord> {
        let mut records = self.lists.snapshot(at);
        records.extend(self.pins.snapshot());
        let keep = Attempts::keep(self.rules.attempts);
        records.extend(self.attempts.snapshot(at, keep));
        records
    }
}

/// One question, while it is asked.
struct Asking<'a> {
    outbound: &'a Outbound,
    at: WallTime,
    number: &'a Arc<str>,
    key: Option<u64>,
    question: &'a Question<'a>,
}

impl Asking<'_> {
    fn gate(&self, gate: Gate) -> (GateAnswer, Option<WallTime>) {
        let plain = |(said, reason): (Said, String)| GateAnswer {
            gate,
            said,
            reason,
            list: None,
            version: None,
        };
        match gate {
            Gate::Emergency => (plain(self.emergency()), None),
            Gate::Number => (plain(self.number()), None),
            Gate::DoNotCall => (self.none_of(gate, &[None], ListKind::DoNotCall), None),
            Gate::BlackList => {
                let own = self.question.by.map(|by| &**by);
                let owners: &[Option<&str>] = match own {
                    Some(_) => &[None, own],
                    None => &[None],
                };
                (self.none_of(gate, owners, ListKind::Black), None)
            }
            Gate::WhiteList => (self.white(), None),
            Gate::Country => (plain(self.country()), None),
            Gate::Pin => (plain(self.pin()), None),
            Gate::Hours => {
                let (said, not_before) = self.hours();
                (plain(said), not_before)
            }
            Gate::Recording => (plain(self.recording()), None),
            Gate::PresentedNumber => (plain(self.presented()), None),
            Gate::Attempts => {
                let (said, not_before) = self.attempts();
                (plain(said), not_before)
            }
            Gate::Channel => (plain(self.channel()), None),
        }
    }

    fn emergency(&self) -> (Said, String) {
        match self.outbound.rules.emergency.contains(self.number) {
            true => allow("an emergency number: nothing else is asked"),
            false => allow("no emergency number"),
        }
    }

    fn number(&self) -> (Said, String) {
        if self.key.is_none() || e164(self.number).is_none() {
            return deny(format!(
                "`{}` is not an international number like +442071838750",
                self.number
            ));
        }
        match (self.question.stage, self.question.channel) {
            (Stage::Leaving, Channel::NoTrunk) => deny("no trunk leads there".to_owned()),
            _ => allow("an international number"),
        }
    }

    /// None of these lists may name the number.
    fn none_of(&self, gate: Gate, owners: &[Option<&str>], kind: ListKind) -> GateAnswer {
        let lists = owners
            .iter()
            .flat_map(|owner| self.outbound.lists.of(kind, *owner));
        let mut looked_at = Vec::new();
        for list in lists {
            match self.says(list) {
                Listed::No => looked_at.push(list),
                Listed::Yes(how) => {
                    let reason = format!("on list `{}`, {how}", list.settings.name);
                    return by_list(gate, Said::Deny, reason, list);
                }
                Listed::Unknown(why) => return by_list(gate, Said::Deny, why, list),
            }
        }
        by_all(gate, Said::Allow, "on no list", &looked_at)
    }

    /// Where the company has a white list, one of the company's or of the caller's own must name the number.
    fn white(&self) -> GateAnswer {
        let gate = Gate::WhiteList;
        let company: Vec<&List> = self.outbound.lists.of(ListKind::White, None).collect();
        if company.is_empty() {
            return by_all(gate, Said::Allow, "the company has no white list", &[]);
        }
        let own = self.question.by.map(|by| &**by);
        let mut lists = company;
        if own.is_some() {
            lists.extend(self.outbound.lists.of(ListKind::White, own));
        }
        for list in &lists {
            if let Listed::Yes(how) = self.says(list) {
                let reason = format!("on list `{}`, {how}", list.settings.name);
                return by_list(gate, Said::Allow, reason, list);
            }
        }
        by_all(gate, Said::Deny, "on no white list", &lists)
    }

    fn says(&self, list: &List) -> Listed {
        match self.key {
            Some(key) => list.says(key, self.at),
            None => Listed::Unknown("this is no number".to_owned()),
        }
    }

    fn digits(&self) -> &str {
        self.number.strip_prefix('+').unwrap_or(self.number)
    }

    fn country(&self) -> (Said, String) {
        let Some(allowed) = &self.outbound.rules.countries else {
            return allow("no countries are named");
        };
        let prefixed = allowed.iter().any(
            |rule| matches!(rule, CountryRule::Prefix(prefix) if self.digits().starts_with(&**prefix)),
        );
        if prefixed {
            return allow("it begins as one that may be called");
        }
        let (countries, _) = self.outbound.rules.zones.of(self.digits());
        if countries.is_empty() {
            return deny("nobody knows which country this is".to_owned());
        }
        let named = |code: &Arc<str>| {
            let mut rules = allowed.iter();
            rules.any(|rule| matches!(rule, CountryRule::Code(other) if other == code))
        };
        let of = countries.join(" or ");
        match countries.iter().all(named) {
            true => allow(&of),
            false => deny(format!("{of} may not be called")),
        }
    }

    fn pin(&self) -> (Said, String) {
        let Some(pin) = self.question.pin else {
            return allow("the route asks for none");
        };
        let Some(by) = self.question.by else {
            return deny(format!(
                "the route asks for PIN `{pin}`, and only an extension can give one"
            ));
        };
        if let Some(until) = self.outbound.pins.locked(by, self.at) {
            return deny(format!(
                "too many wrong PINs: locked until {}",
                until.timestamp().strftime("%H:%M:%S UTC")
            ));
        }
        match (self.question.pin_given, self.outbound.rules.pins.get(pin)) {
            (_, None) => deny(format!("there is no PIN `{pin}`")),
            (true, Some(_)) => allow("the right PIN was given"),
            (false, Some(_)) if self.question.stage == Stage::Asked => {
                allow("it is asked for when the call is made")
            }
            (false, Some(_)) => (Said::Ask, format!("PIN `{pin}`")),
        }
    }

    fn hours(&self) -> ((Said, String), Option<WallTime>) {
        let rules = &self.outbound.rules;
        let (countries, zones) = rules.zones.of(self.digits());
        let special: Vec<_> = countries
            .iter()
            .filter_map(|code| rules.hours_of.get(code))
            .collect();
        let general = rules.hours.iter();
        // those of the countries replace the general ones; where there are several countries all must be open
        let all: Vec<_> = match special.is_empty() {
            true => general.collect(),
            false if special.len() < countries.len() => {
                special.into_iter().chain(general).collect()
            }
            false => special,
        };
        if all.is_empty() {
            return (allow("no hours are set"), None);
        }
        if zones.is_empty() {
            let why = "nobody knows what time it is there: add a `[[zone]]`".to_owned();
            return (deny(why), None);
        }
        for hours in &all {
            if let Some(why) = hours.closed_in(self.at, zones) {
                return (deny(why), hours.opens(self.at, zones));
            }
        }
        (allow("within the hours of the called number"), None)
    }

    fn recording(&self) -> (Said, String) {
        match (self.outbound.rules.recording, self.question.recorded) {
            (Recording::Any, _) => allow("nothing is said about it"),
            (Recording::Required, true) => allow("recorded, as it must be"),
            (Recording::Forbidden, false) => allow("not recorded"),
            (Recording::Required, false) => {
                deny("calls must be recorded, and this one is not".to_owned())
            }
            (Recording::Forbidden, true) => {
                deny("calls must not be recorded, and this one is".to_owned())
            }
        }
    }

    fn presented(&self) -> (Said, String) {
        let Some(owned) = &self.outbound.rules.presented else {
            return allow("the numbers that may be presented are not named");
        };
        if self.question.stage == Stage::Asked {
            return allow("it is known when the call is made");
        }
        let mut said = deny(format!(
            "no number to present: {} has no direct number, and the route names none",
            self.question.by.map_or("the caller", |by| &**by)
        ));
        for shown in self.question.presented {
            // whichever trunk takes the call, each must present what it may
            let Some(number) = e164(shown) else {
                return said;
            };
            said = self.may_present(owned, &number);
            if said.0 != Said::Allow {
                break;
            }
        }
        said
    }

    fn may_present(&self, owned: &BTreeMap<Arc<str>, Presented>, number: &str) -> (Said, String) {
        let Some(Presented { extensions, queues }) = owned.get(number) else {
            return deny(format!("{number} is no number of ours"));
        };
        let everybody = extensions.is_empty() && queues.is_empty();
        let own = self.question.by.is_some_and(|by| extensions.contains(by));
        let queue = self
            .question
            .queue
            .is_some_and(|name| queues.contains(name));
        match everybody || own || queue {
            true => allow(number),
            false => deny(format!("{number} is ours, and not for this caller")),
        }
    }

    fn attempts(&self) -> ((Said, String), Option<WallTime>) {
        let (Some(limit), Some(key)) = (self.outbound.rules.attempts, self.key) else {
            return (allow("no limit is set"), None);
        };
        match self.outbound.attempts.over(key, self.at, limit) {
            None => (allow("within the limit"), None),
            Some((why, free)) => (deny(why), Some(free)),
        }
    }

    fn channel(&self) -> (Said, String) {
        match (self.question.stage, self.question.channel) {
            (Stage::Asked, _) => allow("it is looked for when the call is made"),
            (_, Channel::Free) => allow("a channel is free"),
            (_, Channel::Waits) => allow("it waits a moment for a channel"),
            (_, Channel::None) => deny("every channel is in use".to_owned()),
            (_, Channel::NoTrunk) => deny("no trunk leads there".to_owned()),
        }
    }
}

fn allow(reason: &str) -> (Said, String) {
    (Said::Allow, reason.to_owned())
}

fn deny(reason: String) -> (Said, String) {
    (Said::Deny, reason)
}

fn by_list(gate: Gate, said: Said, reason: String, list: &List) -> GateAnswer {
    GateAnswer {
        gate,
        said,
        reason,
        list: Some(list.settings.name.clone()),
        version: Some(list.version()),
    }
}

fn by_all(gate: Gate, said: Said, reason: &str, lists: &[&List]) -> GateAnswer {
    let versions: Vec<String> = lists
        .iter()
        .map(|list| format!("{}@{}", list.settings.name, list.version()))
        .collect();
    GateAnswer {
        gate,
        said,
        reason: reason.to_owned(),
        list: None,
        version: (!versions.is_empty()).then(|| versions.join(" ")),
    }
}
