//! What the interpreter asks of the switch, and what it hears back.

use std::sync::Arc;

use super::model::{DialMode, Feature, HangupCause, SkillAsk, Steps};
use crate::base::Duration;

/// What came of the last action.
#[derive(Debug, Clone, PartialEq)]
pub enum StepInput {
    /// The first input of a run.
    Begin,
    /// `Answer`, `Ring`, `Play`, `Wait` or `Feature` is done (also: a key ended an interruptible play).
    Done,
    /// The action could not be done; the text goes to the log.
    Failed(String),
    /// Digits of a `Collect`, without its terminator.
    Digits(String),
    /// A `Collect` in which nothing was pressed.
    NoDigits,
    /// A `Dial` is over: answered means that the conversation has ended.
    DialEnded(DialOutcome),
    /// A `Queue` is over.
    QueueLeft(QueueExit),
    /// A `Feature` that the caller may not use, or not now.
    Refused(String),
    /// The caller is gone.
    HungUp,
}

/// How a `Dial` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialOutcome {
    /// Somebody answered, and the conversation is over.
    Answered,
    /// It rang, nobody answered.
    NoAnswer,
    /// Busy.
    Busy,
    /// The called party does not want the call (603).
    Declined,
    /// No device, or none that answers SIP.
    Unreachable,
    /// Refused with this status.
    Failed(u16),
    /// Taken back before anybody answered.
    Cancelled,
    /// A gate denied it.
    NotAllowed,
}

impl DialOutcome {
    /// Value of `{dial-result}`.
    pub fn name(self) -> &'static str {
        match self {
            DialOutcome::Answered => "answered",
            DialOutcome::NoAnswer => "no-answer",
            DialOutcome::Busy => "busy",
            DialOutcome::Declined => "declined",
            DialOutcome::Unreachable => "unreachable",
            DialOutcome::Failed(_) => "failed",
            DialOutcome::Cancelled => "cancelled",
            DialOutcome::NotAllowed => "not-allowed",
        }
    }

    pub(super) fn cause(self) -> HangupCause {
        match self {
            DialOutcome::Answered | DialOutcome::Cancelled => HangupCause::NORMAL,
            DialOutcome::NoAnswer => HangupCause::NO_ANSWER,
            DialOutcome::NotAllowed => HangupCause::FORBIDDEN,
            DialOutcome::Busy => HangupCause::BUSY,
            DialOutcome::Declined => HangupCause::DECLINED,
            DialOutcome::Unreachable => HangupCause::UNREACHABLE,
            DialOutcome::Failed(status) => {
                HangupCause::of_status(status).unwrap_or(HangupCause::FAILURE)
            }
        }
    }
}

/// How a `Queue` ended.
#[derive(Debug, Clone, PartialEq)]
pub enum QueueExit {
    /// An agent took the call, and the conversation is over.
    Served,
    /// A rule of the queue's `overflow` applies: its steps.
    Overflow(Steps),
    /// Waited longer than the queue allows, and no rule says what then.
    TimedOut,
    /// There is no such queue.
    NoSuchQueue,
    /// The queue is closed by its hours.
    Closed,
    /// `max-waiting` is reached.
    Full,
    /// Taken out by a person or a program.
    Withdrawn,
    /// The caller is called back, and need not wait.
    Callback,
    /// The caller wanted to be called back, and there are as many callbacks as there may be.
    CallbackOverCap,
}

impl QueueExit {
    /// Value of `{queue-result}`.
    pub fn name(&self) -> &'static str {
        match self {
            QueueExit::Served => "served",
            QueueExit::Overflow(_) => "overflow",
            QueueExit::TimedOut => "timed-out",
            QueueExit::NoSuchQueue => "no-such-queue",
            QueueExit::Closed => "closed",
            QueueExit::Full => "full",
            QueueExit::Withdrawn => "withdrawn",
            QueueExit::Callback => "callback",
            QueueExit::CallbackOverCap => "callback-over-cap",
        }
    }
}

/// Whom to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialTarget {
    /// An extension: all ringable devices of that user.
    Extension(Arc<str>),
    /// A number through trunks.
    Trunk {
        /// `+E164` where it is one; the trunk's number format applies.
        number: Arc<str>,
        /// Trunks to try in order; empty: every trunk, in the order of the files.
        trunks: Vec<Arc<str>>,
    },
    /// A SIP URI as it is.
    Uri(Arc<str>),
}

/// A `dial` step with its variables filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct DialAction {
    /// At least one; no target twice.
    pub targets: Vec<DialTarget>,
    /// Their order.
    pub mode: DialMode,
    /// Ring time: of each target when serial, else of all.
    pub timeout: Duration,
    /// Number to present instead of the caller's.
    pub caller_id: Option<Arc<str>>,
    /// What the caller hears meanwhile; `None`: the called side's ringing.
    pub music: Option<Arc<str>>,
    /// Phones of this house are told to answer by themselves.
    pub auto_answer: bool,
    /// The gates are asked.
    pub gates: bool,
    /// The PIN that the caller must give.
    pub pin: Option<Arc<str>>,
}

/// A `queue` step with its variables filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueAction {
    /// Name of the queue.
    pub name: Arc<str>,
    /// Head start in the order of waiting.
    pub credit: Duration,
    /// Strict class 0–9.
    pub class: u8,
    /// Skills asked for.
    pub skills: Vec<SkillAsk>,
    /// Extensions that should serve the call.
    pub prefer: Vec<Arc<str>>,
    /// How long it is kept for them.
    pub prefer_hold: Duration,
}

/// What the switch is to do; it calls [`Run::step`] again with what came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Answer the call (once per run) → `Done`, `Failed`.
    Answer,
    /// Send 180 → `Done` at once.
    Ring,
    /// Play prompts in order → `Done`, `Failed`.
    Play {
        /// Names of prompts.
        files: Vec<Arc<str>>,
        /// A key ends it, and is kept for the next `Collect`.
        interruptible: bool,
    },
    /// Play prompts, which a key interrupts, and take digits → `Digits`, `NoDigits`.
    Collect {
        /// Names of prompts; may be empty.
        files: Vec<Arc<str>>,
        /// Ends after this many.
        max_digits: u8,
        /// From the end of the prompts to the first digit.
        timeout: Duration,
        /// Between digits.
        digit_timeout: Duration,
        /// Ends the entry.
        terminator: Option<char>,
    },
    /// Call somebody → `DialEnded`.
    Dial(DialAction),
    /// Wait in a queue → `QueueLeft`.
    Queue(QueueAction),
    /// Do something for the calling agent → `Done`, `Refused`. (Never `Feature::Time`.)
    Feature(Feature),
    /// Take over a call that rings at this extension, or with no name at anybody in a pickup group of the caller → nothing, the run is over;
    /// `Failed`.
    Pickup(Option<Arc<str>>),
    /// Park the caller, or connect it with whoever is parked there → nothing, the run is over; `Done` when nobody came in time; `Failed`.
    Park {
        /// Name of the slot.
        slot: Arc<str>,
        /// How long.
        timeout: Duration,
        /// What is heard meanwhile.
        music: Arc<str>,
    },
    /// Take the caller into the conference of this name → nothing, it ends when the caller hangs up; `Failed`.
    Conference(Arc<str>),
    /// Let this much time pass → `Done`.
    Wait(Duration),
    /// Refuse the call, or end it if it is answered. Nothing follows.
    Hangup {
        /// Why.
        cause: HangupCause,
    },
    /// The caller is gone and the run is over. Nothing follows.
    End,
}
