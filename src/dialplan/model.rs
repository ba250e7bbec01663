//! What a dialplan is made of: contexts, rules, steps, menus, hours, ring groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::condition::Condition;
use super::hours::Hours;
use super::pattern::Pattern;
use super::template::Template;
use crate::base::Duration;
use crate::directory::Place;

/// Steps in order, shared.
pub type Steps = Arc<[Step]>;

/// One step and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it does.
    pub kind: StepKind,
    /// Where it is written.
    pub place: Place,
}

/// What a step does. What happens when it fails, and at hang-up, stands with each.
/// When the caller hangs up, every step ends at once and nothing after it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// Answers the call. Cannot fail by itself.
    Answer,
    /// Sends 180 Ringing and, if a time is given, waits that long before the next step.
    Ring(Option<Duration>),
    /// Plays prompts one after the other; a missing prompt is logged and skipped.
    Play {
        /// Names of prompts, or paths.
        files: Vec<Template>,
        /// Whether a key ends it. Default: false.
        interruptible: bool,
    },
    /// Speaks a value; what cannot be spoken is logged and skipped.
    Say(Say),
    /// Offers a menu by name and runs the steps of the choice.
    Menu(Arc<str>),
    /// Asks for digits and keeps them in a variable; with none, runs `none`, else goes on with an empty variable.
    Collect(Collect),
    /// Sets variables, in the order of their names.
    Set(Vec<(Arc<str>, Template)>),
    /// Calls somebody. Answered: the run ends with the conversation. Else: the next step; with none left the call is refused with the reason of
    /// the failure.
    Dial(Dial),
    /// Waits in a queue. Served: the run ends with the conversation. Left by an overflow rule: its steps, then the next step. No such queue, full:
    /// the next step.
    Queue(QueueStep),
    /// Takes over a call that rings elsewhere: of an extension, or of anybody in a pickup group of the caller. None rings, or the caller may
    /// not: the next step.
    Pickup(Template),
    /// Parks the caller in a slot, or connects it with whoever is parked there. Taken out of the slot: the run ends with the conversation. Not
    /// taken out in time: the next step. Nobody to park and nobody parked: the next step.
    Park(Park),
    /// Takes the caller into the conference of that name, until it hangs up. It begins with the first who comes.
    Conference(Template),
    /// Waits.
    Wait(Duration),
    /// Ends the call.
    Hangup(HangupCause),
    /// Goes on elsewhere; there is no way back.
    Goto(Goto),
    /// Writes a line to the server's log.
    Log(Template),
    /// Does something for the calling agent. Refused: runs `refused`, else hangs up.
    Feature {
        /// What.
        code: Feature,
        /// Steps for the caller who may not, or cannot now.
        refused: Option<Steps>,
    },
}

impl StepKind {
    /// Steps that need a voice path both ways answer the call first.
    pub fn needs_answer(&self) -> bool {
        match self {
            StepKind::Answer
            | StepKind::Play { .. }
            | StepKind::Say(_)
            | StepKind::Menu(_)
            | StepKind::Collect(_)
            | StepKind::Queue(_)
            | StepKind::Conference(_)
            | StepKind::Feature { .. } => true,
            StepKind::Ring(_)
            | StepKind::Set(_)
            | StepKind::Dial(_)
            | StepKind::Pickup(_)
            | StepKind::Park(_)
            | StepKind::Wait(_)
            | StepKind::Hangup(_)
            | StepKind::Goto(_)
            | StepKind::Log(_) => false,
        }
    }
}

/// A value to speak.
#[derive(Debug, Clone, PartialEq)]
pub enum Say {
    /// A whole number, as a number.
    Number(Template),
    /// Each character by itself.
    Digits(Template),
    /// The time of day; the zone is the step's or the server's.
    Time(Arc<str>),
    /// A place in a queue.
    Position(Template),
}

/// Asks for digits.
#[derive(Debug, Clone, PartialEq)]
pub struct Collect {
    /// Variable that receives them.
    pub variable: Arc<str>,
    /// Prompts before.
    pub prompt: Vec<Template>,
    /// Ends after this many. Default 20, range 1–32.
    pub max_digits: u8,
    /// Fewer are treated as none. Default 1.
    pub min_digits: u8,
    /// Time to the first digit after the prompt. Default 6 s.
    pub timeout: Duration,
    /// Time between digits. Default 3 s.
    pub digit_timeout: Duration,
    /// Ends the entry and is not part of it. Default `#`.
    pub terminator: Option<char>,
    /// How often the prompt is repeated after nothing usable. Default 1.
    pub retries: u8,
    /// Steps when nothing usable came.
    pub none: Option<Steps>,
}

/// In which order targets ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DialMode {
    /// All at once; the first answer wins.
    #[default]
    Parallel,
    /// One after the other, each for `timeout`.
    Serial,
    /// Only the first that can be reached at all; its no-answer ends the step.
    First,
}

/// Calls somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Dial {
    /// Extension, ring group, `+E164`, or SIP URI each.
    pub targets: Vec<Template>,
    /// `None`: that of the ring group, else parallel.
    pub mode: Option<DialMode>,
    /// Ring time, of each target when serial. Default 60 s, at most 180 s (RFC 3261 timer C).
    pub timeout: Duration,
    /// Trunks to try in order. Empty: every trunk, in the order of the files, for `+E164` targets.
    pub trunks: Vec<Arc<str>>,
    /// Number to present instead of the caller's.
    pub caller_id: Option<Template>,
    /// What the caller hears meanwhile: `None` is the called side's own ringing.
    pub music: Option<Arc<str>>,
    /// Phones of this house are told to answer by themselves, for an intercom. Default: false.
    pub auto_answer: bool,
    /// The gates are asked before a number is called through a trunk. Default: false; true with a PIN.
    pub gates: bool,
    /// The PIN that the caller must give first.
    pub pin: Option<Arc<str>>,
}

/// Parks a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Park {
    /// Name of the slot.
    pub slot: Template,
    /// How long. Default 2 min.
    pub timeout: Duration,
    /// What is heard meanwhile. Default `default`.
    pub music: Arc<str>,
}

/// Waits in a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueStep {
    /// Name of the queue.
    pub queue: Template,
    /// Head start in the order of waiting. Default 0 s, at most 24 h.
    pub priority: Duration,
    /// Strict class 0–9, lower first. Default 5.
    pub class: u8,
    /// Skills asked for.
    pub skills: Vec<SkillAsk>,
    /// Extensions that should serve the call.
    pub prefer: Vec<Template>,
    /// How long it is kept for them. Default 30 s.
    pub prefer_hold: Duration,
}

/// A skill that a `queue` step asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillAsk {
    /// Its name.
    pub skill: Arc<str>,
    /// Least proficiency, 1 to 10.
    pub min: u8,
    /// Weight in the score of `most-proficient`. Default 1.
    pub weight: u8,
    /// Whether it keeps out who lacks it. Default true.
    pub mandatory: bool,
}

/// Where a run goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Goto {
    /// Matches again in a context, with the called number or another.
    Context {
        /// Name of the context.
        context: Arc<str>,
        /// Number to match instead of the called one.
        number: Option<Template>,
    },
    /// The steps of a rule, whatever its conditions.
    Rule {
        /// Name of the context.
        context: Arc<str>,
        /// Name of the rule.
        rule: Arc<str>,
    },
}

/// What an agent can do from the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feature {
    /// Log in; with a queue, serve that queue again.
    QueueLogin(Option<Arc<str>>),
    /// Log out; with a queue, stop serving that queue only.
    QueueLogout(Option<Arc<str>>),
    /// Take work.
    Ready,
    /// Take no work.
    NotReady(Option<Arc<str>>),
    /// End the wrap-up now.
    EndWrap,
    /// Switch do-not-disturb on or off.
    DoNotDisturb(bool),
    /// Let this phone ring, or not.
    Ring(bool),
    /// Hear yourself until you hang up.
    Echo,
    /// Hear the time of day. The interpreter speaks it itself; the switch never sees this one.
    Time,
}

/// Why a call is ended: RFC 3261 status for a call that is not answered yet, Q.850 cause for the Reason header (RFC 3326).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct HangupCause {
    /// Name in the files.
    pub name: &'static str,
    /// Status to refuse with, 400–699.
    pub status: u16,
    /// Q.850 cause value.
    pub q850: u8,
}

impl HangupCause {
    /// Ordinary end.
    pub const NORMAL: HangupCause = cause("normal", 480, 16);
    /// The called number does not exist here.
    pub const NOT_FOUND: HangupCause = cause("not-found", 404, 1);
    /// The called party is busy.
    pub const BUSY: HangupCause = cause("busy", 486, 17);
    /// Nobody answered.
    pub const NO_ANSWER: HangupCause = cause("no-answer", 480, 19);
    /// No device of the called party can be reached.
    pub const UNREACHABLE: HangupCause = cause("unreachable", 480, 20);
    /// The called party does not want the call.
    pub const DECLINED: HangupCause = cause("declined", 603, 21);
    /// The caller may not.
    pub const FORBIDDEN: HangupCause = cause("forbidden", 403, 21);
    /// The number is no longer in use.
    pub const GONE: HangupCause = cause("gone", 410, 22);
    /// The number is incomplete.
    pub const INCOMPLETE: HangupCause = cause("incomplete", 484, 28);
    /// No capacity now.
    pub const CONGESTION: HangupCause = cause("congestion", 503, 42);
    /// No way there.
    pub const NO_ROUTE: HangupCause = cause("no-route", 404, 3);
    /// No common media.
    pub const NOT_ACCEPTABLE: HangupCause = cause("not-acceptable", 488, 88);
    /// Something is broken here.
    pub const FAILURE: HangupCause = cause("failure", 500, 41);

    /// Every cause that has a name.
    pub const NAMED: &'static [HangupCause] = &[
        Self::NORMAL,
        Self::BUSY,
        Self::NO_ANSWER,
        Self::UNREACHABLE,
        Self::DECLINED,
        Self::FORBIDDEN,
        Self::NOT_FOUND,
        Self::GONE,
        Self::INCOMPLETE,
        Self::CONGESTION,
        Self::NO_ROUTE,
        Self::NOT_ACCEPTABLE,
        Self::FAILURE,
    ];

    /// The cause with this name.
    pub fn named(name: &str) -> Option<HangupCause> {
        Self::NAMED.iter().copied().find(|cause| cause.name == name)
    }

    /// The cause for a SIP status, 400–699; the Q.850 value after RFC 3398 §8.2.6.1.
    pub fn of_status(status: u16) -> Option<HangupCause> {
        if !(400..=699).contains(&status) {
            return None;
        }
        let q850 = match status {
            401 | 402 | 403 | 407 | 603 => 21,
            404 | 485 | 604 => 1,
            405 => 63,
            408 | 504 => 102,
            410 => 22,
            480 => 19,
            483 => 25,
            484 => 28,
            486 | 600 => 17,
            488 | 606 => 88,
            500 | 503 => 41,
            502 => 38,
            _ => 31,
        };
        Some(cause("sip", status, q850))
    }
}

const fn cause(name: &'static str, status: u16, q850: u8) -> HangupCause {
    HangupCause { name, status, q850 }
}

/// A test of a header of the INVITE.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderTest {
    /// It is there.
    Present,
    /// It is exactly this.
    Is(Arc<str>),
    /// It matches this expression.
    Matches(Pattern),
}

/// What to do with a class of calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// For people, and for `goto`; unique in its context.
    pub name: Arc<str>,
    /// Called numbers; empty: any.
    pub numbers: Vec<Pattern>,
    /// Caller's number.
    pub from: Option<Pattern>,
    /// Trunk on which the call came.
    pub trunk: Option<Arc<str>>,
    /// Headers of the INVITE, by lower-case name.
    pub headers: Vec<(Arc<str>, HeaderTest)>,
    /// Opening hours, by name.
    pub hours: Option<Arc<str>>,
    /// Language of the caller.
    pub language: Option<Arc<str>>,
    /// An expression over variables.
    pub condition: Option<Condition>,
    /// Steps of a call that matches.
    pub steps: Steps,
    /// Steps outside `hours`. `None`: the rule does not match then.
    pub closed: Option<Steps>,
    /// Where the rule begins.
    pub place: Place,
}

impl Rule {
    /// How many conditions beside the number narrow the rule.
    pub fn narrowing(&self) -> usize {
        usize::from(self.from.is_some())
            + usize::from(self.trunk.is_some())
            + self.headers.len()
            + usize::from(self.hours.is_some() && self.closed.is_none())
            + usize::from(self.language.is_some())
            + usize::from(self.condition.is_some())
    }
}

/// A named set of rules; profiles say in which a call starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// Its name.
    pub name: Arc<str>,
    /// Rules in file order.
    pub rules: Vec<Arc<Rule>>,
    /// Where it is defined.
    pub place: Place,
}

/// A menu.
#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    /// Its name.
    pub name: Arc<str>,
    /// Prompts.
    pub prompt: Vec<Template>,
    /// Time to the first digit after the prompt. Default 6 s.
    pub timeout: Duration,
    /// Time between digits where choices are longer than one. Default 3 s.
    pub digit_timeout: Duration,
    /// How often the prompt is repeated after silence or a wrong choice. Default 2.
    pub retries: u8,
    /// Steps by the digits of the choice.
    pub choices: BTreeMap<Arc<str>, Steps>,
    /// Steps after a wrong choice, each time.
    pub invalid: Option<Steps>,
    /// Steps when the repeats are used up. `None`: the step after the menu.
    pub none: Option<Steps>,
    /// Where it is defined.
    pub place: Place,
}

/// A ring group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: Arc<str>,
    /// Extensions in order.
    pub extensions: Vec<Arc<str>>,
    /// How they ring.
    pub strategy: DialMode,
    /// Where it is defined.
    pub place: Place,
}

/// Everything that `config` read from `dialplans/*.toml`; names of menus, hours and groups are unique over all files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// Contexts by name.
    pub contexts: BTreeMap<Arc<str>, Context>,
    /// Menus by name.
    pub menus: BTreeMap<Arc<str>, Menu>,
    /// Hours by name.
    pub hours: BTreeMap<Arc<str>, Hours>,
    /// Ring groups by name.
    pub groups: BTreeMap<Arc<str>, Group>,
    /// Zone of `say = { time }` and of hours that name none. Default UTC.
    pub zone: Arc<str>,
}
