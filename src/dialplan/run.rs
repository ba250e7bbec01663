//! The interpreter: takes what came of the last action, runs steps until one must wait, and returns that action.

use std::sync::Arc;

use super::action::{
    Action, DialAction, DialOutcome, DialTarget, QueueAction, QueueExit, StepInput,
};
use super::model::{
    Collect, Dial, DialMode, Feature, Goto, HangupCause, QueueStep, Say, Step, StepKind, Steps,
};
use super::route::{CallFacts, Dialplan, Found};
use super::say;
use super::template::{Template, Variables};
use crate::base::{Duration, WallTime};
use crate::directory::{Place, e164};

/// Most steps that one call may take. Guess: far beyond any sane plan; a plan that jumps in circles ends here.
const STEPS_MAX: u32 = 10_000;
/// Most steps without waiting for anything.
const STEPS_AT_ONCE_MAX: u32 = 500;
/// Deepest nesting of menus.
const FRAMES_MAX: usize = 32;

/// What happens when the steps of a frame are used up.
#[derive(Debug, Clone, PartialEq)]
enum Then {
    Return,
    /// Offer the menu again.
    Menu {
        name: Arc<str>,
        tries: u8,
    },
    /// The menu's `none`.
    MenuNone {
        name: Arc<str>,
    },
}

#[derive(Debug)]
struct Frame {
    steps: Steps,
    next: usize,
    then: Then,
}

#[derive(Debug)]
enum Waiting {
    /// For `Begin`.
    Begin,
    /// Whatever comes, the next step follows.
    Plain,
    Answer,
    RingFor(Duration),
    Menu {
        name: Arc<str>,
        tries: u8,
    },
    Collect {
        collect: Box<Collect>,
        tries: u8,
    },
    Dial,
    Queue,
    Pickup,
    Park,
    Feature {
        refused: Option<Steps>,
    },
    Over,
}

/// One call's way through the dialplan.
#[derive(Debug)]
pub struct Run {
    plan: Arc<Dialplan>,
    facts: CallFacts,
    variables: Variables,
    frames: Vec<Frame>,
    waiting: Waiting,
    answered: bool,
    /// What to refuse with when the steps are used up.
    failure: Option<HangupCause>,
    place: Option<Place>,
    rule: Option<Arc<str>>,
    steps_taken: u32,
    log: Vec<String>,
}

impl Run {
    /// A run for a call; the first input is `Begin`, which matches a rule.
    pub fn start(plan: Arc<Dialplan>, facts: CallFacts) -> Run {
        let variables = facts.variables();
        Run {
            plan,
            facts,
            variables,
            frames: Vec::new(),
            waiting: Waiting::Begin,
            answered: false,
            failure: None,
            place: None,
            rule: None,
            steps_taken: 0,
            log: Vec::new(),
        }
    }

    /// Where the step stands that asked for the last action.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Name of the rule under way.
    pub fn rule(&self) -> Option<&Arc<str>> {
        self.rule.as_ref()
    }

    /// Sets a variable before the first step: something else that is known of the call.
    pub fn know(&mut self, name: &str, value: &str) {
        self.variables.set(name, value);
    }

    /// The variables as they are now.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The call was answered by other means than `Action::Answer` (a dialled party answered, an API command).
    pub fn set_answered(&mut self) {
        self.answered = true;
    }

    /// Sets a variable from outside, for the steps that follow.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.set(name, value);
    }

    /// Lines for the server's log since the last call, each with file and line.
    pub fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// True when nothing more will come.
    pub fn is_over(&self) -> bool {
        matches!(self.waiting, Waiting::Over)
    }

    /// Goes on with what came of the last action. An input that does not fit the last action counts as its failure.
    pub fn step(&mut self, input: StepInput, at: WallTime) -> Action {
        if matches!(input, StepInput::HungUp) {
            self.waiting = Waiting::Over;
            return Action::End;
        }
        match std::mem::replace(&mut self.waiting, Waiting::Plain) {
            Waiting::Over => {
                self.waiting = Waiting::Over;
                return Action::End;
            }
            Waiting::Begin => {
                let (context, number) = (self.facts.context.clone(), self.facts.to.clone());
                if !self.enter(&context, &number, at) {
                    return self.hang_up(HangupCause::NOT_FOUND);
                }
            }
            Waiting::Plain => {
                if let StepInput::Failed(reason) = input {
                    self.note(&reason);
                }
            }
            Waiting::Answer => match input {
                StepInput::Failed(reason) => {
                    self.note(&reason);
                    return self.hang_up(HangupCause::NOT_ACCEPTABLE);
                }
                _ => self.answered = true,
            },
            Waiting::RingFor(time) => return Action::Wait(time),
            Waiting::Menu { name, tries } => {
                if let Some(action) = self.menu_answer(&name, tries, input) {
                    return action;
                }
            }
            Waiting::Collect { collect, tries } => {
                if let Some(action) = self.collect_answer(collect, tries, input) {
                    return action;
                }
            }
            Waiting::Dial => {
                let outcome = match input {
                    StepInput::DialEnded(outcome) => outcome,
                    other => {
                        self.note(&format!("dial ended with {other:?}"));
                        DialOutcome::Failed(500)
                    }
                };
                self.variables.set("dial-result", outcome.name());
                self.variables
                    .set("dial-status", &outcome.cause().status.to_string());
                match outcome {
                    DialOutcome::Answered | DialOutcome::Cancelled => {
                        return self.hang_up(HangupCause::NORMAL);
                    }
                    _ => self.failure = Some(outcome.cause()),
                }
            }
            Waiting::Queue => {
                let exit = match input {
                    StepInput::QueueLeft(exit) => exit,
                    other => {
                        self.note(&format!("queue ended with {other:?}"));
                        QueueExit::Withdrawn
                    }
                };
                self.variables.set("queue-result", exit.name());
                match exit {
                    QueueExit::Served | QueueExit::Callback => {
                        return self.hang_up(HangupCause::NORMAL);
                    }
                    QueueExit::Overflow(steps) => self.push(steps, Then::Return),
                    QueueExit::TimedOut
                    | QueueExit::Closed
                    | QueueExit::Withdrawn
                    | QueueExit::CallbackOverCap => {
                        self.failure = Some(HangupCause::NO_ANSWER);
                    }
                    QueueExit::NoSuchQueue => self.failure = Some(HangupCause::NOT_FOUND),
                    QueueExit::Full => self.failure = Some(HangupCause::CONGESTION),
                }
            }
            Waiting::Pickup | Waiting::Park => match input {
                StepInput::Failed(reason) => {
                    self.note(&reason);
                    self.failure = Some(HangupCause::UNREACHABLE);
                }
                _ => self.failure = Some(HangupCause::NO_ANSWER),
            },
            Waiting::Feature { refused } => match input {
                StepInput::Refused(reason) | StepInput::Failed(reason) => {
                    self.note(&format!("refused: {reason}"));
                    self.variables.set("feature-result", &reason);
                    // What follows would say that it was done, so it does not run.
                    match refused {
                        Some(steps) => {
                            self.frames.clear();
                            self.push(steps, Then::Return);
                        }
                        None => return self.hang_up(HangupCause::FORBIDDEN),
                    }
                }
                _ => self.variables.set("feature-result", "done"),
            },
        }
        self.advance(at)
    }

    /// Matches a number in a context and puts the rule's steps in front. False when no rule matched.
    fn enter(&mut self, context: &Arc<str>, number: &str, at: WallTime) -> bool {
        self.variables.set("context", context);
        self.variables.set("number", number);
        let found = self.plan.find(context, number, &self.variables, at);
        let Some(Found {
            rule,
            captures,
            steps,
            ..
        }) = found
        else {
            self.log
                .push(format!("no rule of context `{context}` matches `{number}`"));
            return false;
        };
        for (name, value) in &captures {
            self.variables.set(name, value);
        }
        self.rule = Some(rule.name.clone());
        self.place = Some(rule.place.clone());
        self.frames.clear();
        self.push(steps, Then::Return);
        true
    }

    fn push(&mut self, steps: Steps, then: Then) {
        // A frame that has nothing left to do makes room, so that menus may call each other for ever.
        while self
            .frames
            .last()
            .is_some_and(|frame| frame.next >= frame.steps.len() && frame.then == Then::Return)
        {
            self.frames.pop();
        }
        self.frames.push(Frame {
            steps,
            next: 0,
            then,
        });
    }

    fn hang_up(&mut self, cause: HangupCause) -> Action {
        self.waiting = Waiting::Over;
        Action::Hangup { cause }
    }

    fn note(&mut self, text: &str) {
        let line = match &self.place {
            Some(place) => format!("{place}: {text}"),
            None => text.to_owned(),
        };
        self.log.push(line);
    }

    fn wait(&mut self, waiting: Waiting, action: Action) -> Action {
        self.waiting = waiting;
        action
    }

    fn advance(&mut self, at: WallTime) -> Action {
        for _ in 0..STEPS_AT_ONCE_MAX {
            self.steps_taken += 1;
            if self.steps_taken > STEPS_MAX || self.frames.len() > FRAMES_MAX {
                break;
            }
            let Some(frame) = self.frames.last_mut() else {
                let rest = if self.answered {
                    HangupCause::NORMAL
                } else {
                    HangupCause::NO_ROUTE
                };
                let cause = self.failure.unwrap_or(rest);
                return self.hang_up(cause);
            };
            let Some(step) = frame.steps.get(frame.next).cloned() else {
                let then = std::mem::replace(&mut frame.then, Then::Return);
                self.frames.pop();
                match then {
                    Then::Return => {}
                    Then::Menu { name, tries } => return self.offer_menu(&name, tries),
                    Then::MenuNone { name } => self.menu_none(&name),
                }
                continue;
            };
            self.place = Some(step.place.clone());
            if step.kind.needs_answer() && !self.answered {
                // The step itself comes again after `Done`.
                return self.wait(Waiting::Answer, Action::Answer);
            }
            frame.next += 1;
            if let Some(action) = self.execute(&step, at) {
                return action;
            }
        }
        self.note("the dialplan goes in circles: the call is ended");
        self.hang_up(HangupCause::FAILURE)
    }

    /// Does a step; `None` when the next one may follow at once.
    fn execute(&mut self, step: &Step, at: WallTime) -> Option<Action> {
        match &step.kind {
            StepKind::Answer => None,
            StepKind::Ring(time) => match (self.answered, *time) {
                (true, None) => None,
                (true, Some(time)) => Some(self.wait(Waiting::Plain, Action::Wait(time))),
                (false, None) => Some(self.wait(Waiting::Plain, Action::Ring)),
                (false, Some(time)) => Some(self.wait(Waiting::RingFor(time), Action::Ring)),
            },
            StepKind::Play {
                files,
                interruptible,
            } => {
                let files = self.prompts(files);
                if files.is_empty() {
                    return None;
                }
                let interruptible = *interruptible;
                Some(self.wait(
                    Waiting::Plain,
                    Action::Play {
                        files,
                        interruptible,
                    },
                ))
            }
            StepKind::Say(what) => {
                let words = match what {
                    Say::Number(text) => say::number(&text.render(&self.variables)),
                    Say::Digits(text) => say::digits(&text.render(&self.variables)),
                    Say::Position(text) => say::position(&text.render(&self.variables)),
                    Say::Time(zone) => say::time(at, zone),
                };
                self.speak(words)
            }
            StepKind::Menu(name) => Some(self.offer_menu(name, 0)),
            StepKind::Collect(collect) => Some(self.ask(Box::new(collect.clone()), 0)),
            StepKind::Set(values) => {
                for (name, value) in values {
                    let value = value.render(&self.variables);
                    self.variables.set(name, &value);
                }
                None
            }
            StepKind::Dial(dial) => self.dial(dial),
            StepKind::Queue(queue) => Some(self.queue(queue)),
            StepKind::Pickup(whose) => {
                let whose = whose.render(&self.variables);
                let whose = whose.trim();
                let whose = (!matches!(whose, "" | "*")).then(|| Arc::from(whose));
                Some(self.wait(Waiting::Pickup, Action::Pickup(whose)))
            }
            StepKind::Park(park) => {
                let action = Action::Park {
                    slot: Arc::from(park.slot.render(&self.variables).trim()),
                    timeout: park.timeout,
                    music: park.music.clone(),
                };
                Some(self.wait(Waiting::Park, action))
            }
            StepKind::Conference(name) => {
                let name = Arc::from(name.render(&self.variables).trim());
                Some(self.wait(Waiting::Park, Action::Conference(name)))
            }
            StepKind::Wait(time) => Some(self.wait(Waiting::Plain, Action::Wait(*time))),
            StepKind::Hangup(cause) => Some(self.hang_up(*cause)),
            StepKind::Goto(goto) => self.goto(goto, at),
            StepKind::Log(text) => {
                let text = text.render(&self.variables);
                self.note(&text);
                None
            }
            StepKind::Feature {
                code: Feature::Time,
                ..
            } => {
                let zone = self.plan.model().zone.clone();
                self.speak(say::time(at, &zone))
            }
            StepKind::Feature { code, refused } => Some(self.wait(
                Waiting::Feature {
                    refused: refused.clone(),
                },
                Action::Feature(code.clone()),
            )),
        }
    }

    fn prompts(&self, files: &[Template]) -> Vec<Arc<str>> {
        files
            .iter()
            .map(|file| file.render(&self.variables))
            .filter(|file| !file.is_empty())
            .map(Arc::from)
            .collect()
    }

    fn speak(&mut self, words: Option<Vec<Arc<str>>>) -> Option<Action> {
        match words {
            Some(files) => Some(self.wait(
                Waiting::Plain,
                Action::Play {
                    files,
                    interruptible: false,
                },
            )),
            None => {
                self.note("this cannot be spoken");
                None
            }
        }
    }

    fn offer_menu(&mut self, name: &Arc<str>, tries: u8) -> Action {
        let plan = self.plan.clone();
        let Some(menu) = plan.menu(name) else {
            self.note(&format!("there is no menu `{name}`"));
            return self.hang_up(HangupCause::FAILURE);
        };
        self.place = Some(menu.place.clone());
        let longest = menu.choices.keys().map(|digits| digits.len()).max();
        let action = Action::Collect {
            files: self.prompts(&menu.prompt),
            max_digits: longest.and_then(|n| u8::try_from(n).ok()).unwrap_or(1),
            timeout: menu.timeout,
            digit_timeout: menu.digit_timeout,
            terminator: None,
        };
        let name = name.clone();
        self.wait(Waiting::Menu { name, tries }, action)
    }

    fn menu_answer(&mut self, name: &Arc<str>, tries: u8, input: StepInput) -> Option<Action> {
        let plan = self.plan.clone();
        let menu = plan.menu(name)?;
        let digits = match input {
            StepInput::Digits(digits) if !digits.is_empty() => Some(digits),
            _ => None,
        };
        self.variables
            .set("digits", digits.as_deref().unwrap_or_default());
        if let Some(choice) = digits
            .as_deref()
            .and_then(|digits| menu.choices.get(digits))
        {
            self.push(choice.clone(), Then::Return);
            return None;
        }
        let again = tries < menu.retries;
        match (&digits, &menu.invalid) {
            (Some(_), Some(invalid)) => {
                let name = name.clone();
                let then = if again {
                    Then::Menu {
                        name,
                        tries: tries + 1,
                    }
                } else {
                    Then::MenuNone { name }
                };
                self.push(invalid.clone(), then);
                None
            }
            _ if again => Some(self.offer_menu(name, tries + 1)),
            _ => {
                self.menu_none(name);
                None
            }
        }
    }

    fn menu_none(&mut self, name: &str) {
        let plan = self.plan.clone();
        if let Some(none) = plan.menu(name).and_then(|menu| menu.none.as_ref()) {
            self.push(none.clone(), Then::Return);
        }
    }

    fn ask(&mut self, collect: Box<Collect>, tries: u8) -> Action {
        let action = Action::Collect {
            files: self.prompts(&collect.prompt),
            max_digits: collect.max_digits,
            timeout: collect.timeout,
            digit_timeout: collect.digit_timeout,
            terminator: collect.terminator,
        };
        self.wait(Waiting::Collect { collect, tries }, action)
    }

    fn collect_answer(
        &mut self,
        collect: Box<Collect>,
        tries: u8,
        input: StepInput,
    ) -> Option<Action> {
        if let StepInput::Digits(digits) = &input
            && digits.chars().count() >= usize::from(collect.min_digits)
        {
            self.variables.set(&collect.variable, digits);
            return None;
        }
        if tries < collect.retries {
            return Some(self.ask(collect, tries + 1));
        }
        self.variables.set(&collect.variable, "");
        if let Some(none) = &collect.none {
            self.push(none.clone(), Then::Return);
        }
        None
    }

    fn dial(&mut self, dial: &Dial) -> Option<Action> {
        let mut targets: Vec<DialTarget> = Vec::new();
        let mut mode = dial.mode;
        for template in &dial.targets {
            let text = template.render(&self.variables);
            let (found, group_mode) = self.targets(text.trim(), &dial.trunks);
            mode = mode.or(group_mode);
            for target in found {
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        if targets.is_empty() {
            self.note("nobody to dial");
            self.variables.set("dial-result", "unreachable");
            self.failure = Some(HangupCause::NOT_FOUND);
            return None;
        }
        let caller_id = dial
            .caller_id
            .as_ref()
            .map(|text| text.render(&self.variables))
            .filter(|text| !text.is_empty());
        let action = Action::Dial(DialAction {
            targets,
            mode: mode.unwrap_or_default(),
            timeout: dial.timeout,
            caller_id: caller_id.map(|text| e164(&text).unwrap_or(text).into()),
            music: dial.music.clone(),
            auto_answer: dial.auto_answer,
            gates: dial.gates,
            pin: dial.pin.clone(),
        });
        Some(self.wait(Waiting::Dial, action))
    }

    fn targets(&self, text: &str, trunks: &[Arc<str>]) -> (Vec<DialTarget>, Option<DialMode>) {
        if text.is_empty() {
            return (Vec::new(), None);
        }
        if text.starts_with("sip:") || text.starts_with("sips:") {
            return (vec![DialTarget::Uri(text.into())], None);
        }
        let number = e164(text);
        if !trunks.is_empty() || number.is_some() {
            let target = DialTarget::Trunk {
                number: number.unwrap_or_else(|| text.to_owned()).into(),
                trunks: trunks.to_vec(),
            };
            return (vec![target], None);
        }
        match self.plan.group(text) {
            Some(group) => (
                group
                    .extensions
                    .iter()
                    .cloned()
                    .map(DialTarget::Extension)
                    .collect(),
                Some(group.strategy),
            ),
            None => (vec![DialTarget::Extension(text.into())], None),
        }
    }

    fn queue(&mut self, queue: &QueueStep) -> Action {
        let action = Action::Queue(QueueAction {
            name: queue.queue.render(&self.variables).into(),
            credit: queue.priority,
            class: queue.class,
            skills: queue.skills.clone(),
            prefer: queue
                .prefer
                .iter()
                .map(|agent| agent.render(&self.variables).into())
                .collect(),
            prefer_hold: queue.prefer_hold,
        });
        self.wait(Waiting::Queue, action)
    }

    fn goto(&mut self, goto: &Goto, at: WallTime) -> Option<Action> {
        let found = match goto {
            Goto::Context { context, number } => {
                let number = match number {
                    Some(number) => number.render(&self.variables),
                    None => self.facts.to.clone(),
                };
                self.enter(context, &number, at)
            }
            Goto::Rule { context, rule } => {
                let plan = self.plan.clone();
                match plan.rule(context, rule) {
                    Some(rule) => {
                        self.variables.set("context", context);
                        self.rule = Some(rule.name.clone());
                        self.frames.clear();
                        self.push(rule.steps.clone(), Then::Return);
                        true
                    }
                    None => false,
                }
            }
        };
        if found {
            None
        } else {
            Some(self.hang_up(HangupCause::NOT_FOUND))
        }
    }
}
