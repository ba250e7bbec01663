//! `NonInviteServer`: the server side of any other request (RFC 3261 §17.2.2).
//!
//! ```text
//!                    | request: pass to the user
//!                    v
//!              +------------+
//!              |   Trying   |  request again: absorb
//!              +------------+
//!                |        |
//!  1xx from the  |        |  200-699 from the user: send
//!  user: send    v        '------------------.
//!     +------------+                         |
//!     | Proceeding |  1xx from the user: send; request again: last response again
//!     +------------+                         |
//!                |  200-699 from the user    |
//!                v  send                     |
//!     +------------+                         |
//!     | Completed  |<------------------------'
//!     +------------+  request again: last response again; responses from the user: drop
//!                |
//!                | Timer J
//!                v
//!     +------------+
//!     | Terminated |
//!     +------------+
//! ```
//!
//! A response that could not be delivered is not reported: the peer's own transaction times out, and ours has nothing to undo.

use bytes::Bytes;

use crate::transport::Flow;

use super::matching::MatchKey;
use super::timer::Timer;

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
    /// The request again.
    Request,
    /// 1xx from the user.
    Provisional,
    /// 200–699 from the user.
    Final,
    TimerJ,
}

/// What is then done, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Keep the user's response and send it.
    SendNew,
    /// Send the kept response again.
    SendLast,
    Start(Timer),
}

/// The transition of `event` in `state`.
pub(super) fn step(state: State, event: Event) -> (&'static [Action], State) {
    use Action::{SendLast, SendNew, Start};
    use State::{Completed, Proceeding, Terminated, Trying};
    match (state, event) {
        (Trying, Event::Request) => (&[], Trying),
        (Trying, Event::Provisional) => (&[SendNew], Proceeding),
        (Trying, Event::Final) => (&[SendNew, Start(Timer::J)], Completed),
        (Trying, Event::TimerJ) => (&[], Trying),

        (Proceeding, Event::Request) => (&[SendLast], Proceeding),
        (Proceeding, Event::Provisional) => (&[SendNew], Proceeding),
        (Proceeding, Event::Final) => (&[SendNew, Start(Timer::J)], Completed),
        (Proceeding, Event::TimerJ) => (&[], Proceeding),

        (Completed, Event::Request) => (&[SendLast], Completed),
        (Completed, Event::Provisional) => (&[], Completed),
        (Completed, Event::Final) => (&[], Completed),
        (Completed, Event::TimerJ) => (&[], Terminated),

        (Terminated, Event::Request) => (&[], Terminated),
        (Terminated, Event::Provisional) => (&[], Terminated),
        (Terminated, Event::Final) => (&[], Terminated),
        (Terminated, Event::TimerJ) => (&[], Terminated),
    }
}

/// One such transaction. It does not keep its request, and it is small: a storm of REGISTERs makes many.
pub(super) struct NonInviteServer {
    pub state: State,
    /// Where responses go (§18.2.2).
    pub response_flow: Flow,
    /// The last response sent, as it stood on the wire: most are never needed again, and those that are can be parsed.
    pub response: Option<Bytes>,
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
            Event::Request,
            Event::Provisional,
            Event::Final,
            Event::TimerJ,
        ];
        insta::assert_snapshot!(super::super::table::text(&states, &events, step));
    }
}
