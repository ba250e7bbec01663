//! `InviteClient`: the client side of an INVITE (RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §7.2, CANCEL of §9.1).
//!
//! ```text
//!                             | INVITE from the user: send
//!                             v
//!       Timer A:         +-----------+  Timer B: timed out
//!       INVITE again  .--|  Calling  |  transport error: failed -----.
//!                     '->+-----------+  cancel: kept for later       |
//!                          |   |   |                                 |
//!         300-699: pass,   |   |   | 2xx: pass                       |
//!         send ACK         |   |   |                                 |
//!            .-------------'   |   '----------------.                |
//!            |                 | 1xx: pass,         |                |
//!            |                 v send kept CANCEL   |                |
//!            |           +------------+             |                |
//!            |           |            |-. 1xx: pass |                |
//!            |           | Proceeding |<' cancel: send CANCEL        |
//!            |           |            |  Timer Cancelled: timed out -+
//!            |           +------------+             |                |
//!            |  300-699: pass, |   | 2xx: pass      |                |
//!            v  send ACK       |   |                v                |
//!      +-----------+           |   |          +----------+           |
//!      | Completed |<----------'   '--------->| Accepted | 2xx: pass |
//!      +-----------+ 300-699: ACK again       +----------+           |
//!            | Timer D, transport error             | Timer M        |
//!            v                                      v                v
//!      +------------------------------------------------------------------+
//!      |                            Terminated                            |
//!      +------------------------------------------------------------------+
//! ```
//!
//! A connection that is lost while the far end rings does not end the call: its response comes over a new one (§18.2.2). The
//! ACK to a 2xx is not ours to send; every 2xx is passed on, so that each fork and each retransmission gets its ACK (§13.2.2.4).

use crate::sip::Message;
use crate::transport::Flow;

use super::ClientKey;
use super::matching::MatchKey;
use super::timer::{Armed, Timer};

/// Where the transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    Provisional,
    Success,
    Failure,
    /// The user no longer wants an answer.
    Cancel,
    TimerA,
    TimerB,
    TimerD,
    TimerM,
    TimerCancelled,
    TransportError,
}

/// What is then done, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Send the INVITE again.
    SendAgain,
    /// Give the response to the user, unless it is a 100.
    Pass,
    /// Send an ACK for this non-2xx response (§17.1.1.3).
    SendAck,
    /// Remember that a CANCEL is due as soon as any response shows that the INVITE arrived.
    KeepCancel,
    /// Take up the kept CANCEL, if there is one.
    ReleaseCancel,
    /// Send the CANCEL, once.
    SendCancel,
    /// Send the CANCEL no more: it can change nothing now (§9.1).
    StopCancel,
    /// Tell the user that nobody answered.
    TimedOut,
    /// Tell the user that the request could not be sent.
    Failed,
    Start(Timer),
    Again(Timer),
    Stop(Timer),
}

/// The transition of `event` in `state`.
pub(super) fn step(state: State, event: Event) -> (&'static [Action], State) {
    use Action::{
        Again, Failed, KeepCancel, Pass, ReleaseCancel, SendAck, SendAgain, SendCancel, Start,
        Stop, StopCancel, TimedOut,
    };
    use State::{Accepted, Calling, Completed, Proceeding, Terminated};
    match (state, event) {
        (Calling, Event::Provisional) => (
            &[Stop(Timer::A), Stop(Timer::B), Pass, ReleaseCancel],
            Proceeding,
        ),
        (Calling, Event::Success) => (
            &[Stop(Timer::A), Stop(Timer::B), Start(Timer::M), Pass],
            Accepted,
        ),
        (Calling, Event::Failure) => (
            &[
                Stop(Timer::A),
                Stop(Timer::B),
                SendAck,
                Start(Timer::D),
                Pass,
            ],
            Completed,
        ),
        (Calling, Event::Cancel) => (&[KeepCancel], Calling),
        (Calling, Event::TimerA) => (&[SendAgain, Again(Timer::A)], Calling),
        (Calling, Event::TimerB) => (&[TimedOut], Terminated),
        (Calling, Event::TimerD) => (&[], Calling),
        (Calling, Event::TimerM) => (&[], Calling),
        (Calling, Event::TimerCancelled) => (&[], Calling),
        (Calling, Event::TransportError) => (&[Failed], Terminated),

        (Proceeding, Event::Provisional) => (&[Pass], Proceeding),
        (Proceeding, Event::Success) => (
            &[Stop(Timer::Cancelled), StopCancel, Start(Timer::M), Pass],
            Accepted,
        ),
        (Proceeding, Event::Failure) => (
            &[
                Stop(Timer::Cancelled),
                StopCancel,
                SendAck,
                Start(Timer::D),
                Pass,
            ],
            Completed,
        ),
        (Proceeding, Event::Cancel) => (&[SendCancel, Start(Timer::Cancelled)], Proceeding),
        (Proceeding, Event::TimerA) => (&[], Proceeding),
        (Proceeding, Event::TimerB) => (&[], Proceeding),
        (Proceeding, Event::TimerD) => (&[], Proceeding),
        (Proceeding, Event::TimerM) => (&[], Proceeding),
        (Proceeding, Event::TimerCancelled) => (&[TimedOut], Terminated),
        (Proceeding, Event::TransportError) => (&[], Proceeding),

        (Completed, Event::Provisional) => (&[], Completed),
        (Completed, Event::Success) => (&[], Completed),
        (Completed, Event::Failure) => (&[SendAck], Completed),
        (Completed, Event::Cancel) => (&[], Completed),
        (Completed, Event::TimerA) => (&[], Completed),
        (Completed, Event::TimerB) => (&[], Completed),
        (Completed, Event::TimerD) => (&[], Terminated),
        (Completed, Event::TimerM) => (&[], Completed),
        (Completed, Event::TimerCancelled) => (&[], Completed),
        (Completed, Event::TransportError) => (&[], Terminated),

        (Accepted, Event::Provisional) => (&[], Accepted),
        (Accepted, Event::Success) => (&[Pass], Accepted),
        (Accepted, Event::Failure) => (&[], Accepted),
        (Accepted, Event::Cancel) => (&[], Accepted),
        (Accepted, Event::TimerA) => (&[], Accepted),
        (Accepted, Event::TimerB) => (&[], Accepted),
        (Accepted, Event::TimerD) => (&[], Accepted),
        (Accepted, Event::TimerM) => (&[], Terminated),
        (Accepted, Event::TimerCancelled) => (&[], Accepted),
        (Accepted, Event::TransportError) => (&[], Accepted),

        (Terminated, Event::Provisional) => (&[], Terminated),
        (Terminated, Event::Success) => (&[], Terminated),
        (Terminated, Event::Failure) => (&[], Terminated),
        (Terminated, Event::Cancel) => (&[], Terminated),
        (Terminated, Event::TimerA) => (&[], Terminated),
        (Terminated, Event::TimerB) => (&[], Terminated),
        (Terminated, Event::TimerD) => (&[], Terminated),
        (Terminated, Event::TimerM) => (&[], Terminated),
        (Terminated, Event::TimerCancelled) => (&[], Terminated),
        (Terminated, Event::TransportError) => (&[], Terminated),
    }
}

/// The event of a timer, for the timers that this machine arms.
pub(super) fn timer_event(timer: Timer) -> Option<Event> {
    match timer {
        Timer::A => Some(Event::TimerA),
        Timer::B => Some(Event::TimerB),
        Timer::D => Some(Event::TimerD),
        Timer::M => Some(Event::TimerM),
        Timer::Cancelled => Some(Event::TimerCancelled),
        Timer::E
        | Timer::F
        | Timer::G
        | Timer::H
        | Timer::I
        | Timer::J
        | Timer::K
        | Timer::L
        | Timer::Trying
        | Timer::Success => None,
    }
}

/// Whether a CANCEL is wanted or has left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cancelling {
    No,
    /// Wanted, with these Reason values, one a line; waiting for a provisional response.
    Kept(Vec<u8>),
    /// It leaves with the batch of this input.
    Leaving,
    /// Its transaction.
    Sent(ClientKey),
}

/// One such transaction. `user` is empty once nobody wants the responses.
pub(super) struct InviteClient<U> {
    pub state: State,
    pub request: Message,
    pub flow: Flow,
    /// Where to send it when there is no connection for it, which was tried because of its size.
    pub over_udp: Option<Box<Flow>>,
    pub user: Option<U>,
    pub cancelling: Cancelling,
    pub armed: Armed,
    pub key: MatchKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_in_every_state() {
        let states = [
            State::Calling,
            State::Proceeding,
            State::Completed,
            State::Accepted,
            State::Terminated,
        ];
        let events = [
            Event::Provisional,
            Event::Success,
            Event::Failure,
            Event::Cancel,
            Event::TimerA,
            Event::TimerB,
            Event::TimerD,
            Event::TimerM,
            Event::TimerCancelled,
            Event::TransportError,
        ];
        insta::assert_snapshot!(super::super::table::text(&states, &events, step));
    }
}
