//! `NonInviteClient`: the client side of any other request (RFC 3261 §17.1.2).
//!
//! ```text
//!                        | request from the user: send
//!                        v
//!     Timer E:      +-----------+  Timer F: timed out
//!     request again.|  Trying   |  transport error: failed ----.
//!                  '+-----------+                              |
//!                     |       | 200-699: pass                  |
//!          1xx: pass  |       '------------------.             |
//!                     v                          |             |
//!     Timer E:      +------------+ 1xx: pass     |             |
//!     request again.| Proceeding |               |             |
//!     (every T2)   '+------------+ Timer F: timed out ---------+
//!                     | 200-699: pass            |             |
//!                     v                          |             |
//!                   +-----------+                |             |
//!                   | Completed |<---------------'             |
//!                   +-----------+ responses: absorb            |
//!                     | Timer K                                |
//!                     v                                        |
//!                   +------------+                             |
//!                   | Terminated |<----------------------------'
//!                   +------------+
//! ```

use crate::sip::Message;
use crate::transport::Flow;

use super::matching::MatchKey;
use super::timer::{Armed, Timer};

/// Where the transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    Provisional,
    Final,
    TimerE,
    TimerF,
    TimerK,
    TransportError,
    /// Of a CANCEL: its INVITE has its final response, so it is not sent again. It may have been held back when it was due, and must
    /// not leave now.
    Overtaken,
}

/// What is then done, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Send the request again.
    SendAgain,
    /// Give the response to the user, unless it is a 100.
    Pass,
    /// Tell the user that nobody answered.
    TimedOut,
    /// Tell the user that the request could not be sent.
    Failed,
    Start(Timer),
    /// Arm for the next, doubled interval.
    Again(Timer),
    /// Arm for T2, whatever the interval was.
    Slowly(Timer),
    Stop(Timer),
}

/// The transition of `event` in `state`.
pub(super) fn step(state: State, event: Event) -> (&'static [Action], State) {
    use Action::{Again, Failed, Pass, SendAgain, Slowly, Start, Stop, TimedOut};
    use State::{Completed, Proceeding, Terminated, Trying};
    match (state, event) {
        (Trying, Event::Provisional) => (&[Pass], Proceeding),
        (Trying, Event::Final) => (
            &[Stop(Timer::E), Stop(Timer::F), Start(Timer::K), Pass],
            Completed,
        ),
        (Trying, Event::TimerE) => (&[SendAgain, Again(Timer::E)], Trying),
        (Trying, Event::TimerF) => (&[TimedOut], Terminated),
        (Trying, Event::TimerK) => (&[], Trying),
        (Trying, Event::TransportError) => (&[Failed], Terminated),
        (Trying, Event::Overtaken) => (
            &[Stop(Timer::E), Stop(Timer::F), Start(Timer::K)],
            Completed,
        ),

        (Proceeding, Event::Provisional) => (&[Pass], Proceeding),
        (Proceeding, Event::Final) => (
            &[Stop(Timer::E), Stop(Timer::F), Start(Timer::K), Pass],
            Completed,
        ),
        (Proceeding, Event::TimerE) => (&[SendAgain, Slowly(Timer::E)], Proceeding),
        (Proceeding, Event::TimerF) => (&[TimedOut], Terminated),
        (Proceeding, Event::TimerK) => (&[], Proceeding),
        (Proceeding, Event::TransportError) => (&[Failed], Terminated),
        (Proceeding, Event::Overtaken) => (
            &[Stop(Timer::E), Stop(Timer::F), Start(Timer::K)],
            Completed,
        ),

        (Completed, Event::Provisional) => (&[], Completed),
        (Completed, Event::Final) => (&[], Completed),
        (Completed, Event::TimerE) => (&[], Completed),
        (Completed, Event::TimerF) => (&[], Completed),
        (Completed, Event::TimerK) => (&[], Terminated),
        (Completed, Event::TransportError) => (&[], Completed),
        (Completed, Event::Overtaken) => (&[], Completed),

        (Terminated, Event::Provisional) => (&[], Terminated),
        (Terminated, Event::Final) => (&[], Terminated),
        (Terminated, Event::TimerE) => (&[], Terminated),
        (Terminated, Event::TimerF) => (&[], Terminated),
        (Terminated, Event::TimerK) => (&[], Terminated),
        (Terminated, Event::TransportError) => (&[], Terminated),
        (Terminated, Event::Overtaken) => (&[], Terminated),
    }
}

/// The event of a timer, for the timers that this machine arms.
pub(super) fn timer_event(timer: Timer) -> Option<Event> {
    match timer {
        Timer::E => Some(Event::TimerE),
        Timer::F => Some(Event::TimerF),
        Timer::K => Some(Event::TimerK),
        Timer::A
        | Timer::B
        | Timer::D
        | Timer::G
        | Timer::H
        | Timer::I
        | Timer::J
        | Timer::L
        | Timer::M
        | Timer::Trying
        | Timer::Success
        | Timer::Cancelled => None,
    }
}

/// One such transaction. `user` is empty for a CANCEL, whose answer nobody waits for, and once nobody wants the responses.
pub(super) struct NonInviteClient<U> {
    pub state: State,
    pub request: Message,
    pub flow: Flow,
    /// Where to send it when there is no connection for it, which was tried because of its size.
    pub over_udp: Option<Box<Flow>>,
    pub user: Option<U>,
    pub armed: Armed,
    pub key: MatchKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_in_every_state() {
        let states = [
            State::Trying,
            State::Proceeding,
            State::Completed,
            State::Terminated,
        ];
        let events = [
            Event::Provisional,
            Event::Final,
            Event::TimerE,
            Event::TimerF,
            Event::TimerK,
            Event::TransportError,
            Event::Overtaken,
        ];
        insta::assert_snapshot!(super::super::table::text(&states, &events, step));
    }
}
