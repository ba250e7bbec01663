//! `InviteServer`: the server side of an INVITE (RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §7.1).
//!
//! ```text
//!                              | INVITE: pass to the user
//!                              v
//!             INVITE: last  +------------+  1xx from the user: send
//!          response again .-|            |-.  Timer Trying: send 100
//!                         '>| Proceeding |<'  CANCEL: pass to the user
//!                           |            |
//!                           +------------+
//!        300-699 from the     |        |      2xx from the user:
//!        user: send           |        |      send
//!              .--------------'        '--------------.
//!              v                                      v
//!        +-----------+ INVITE, Timer G:         +----------+ Timer Success: 2xx again
//!        | Completed | response again           | Accepted | INVITE: absorb
//!        +-----------+                          +----------+ ACK: pass to the user
//!          |      | ACK                          |      | acknowledged
//!  Timer H:|      v                      Timer L:|      v (the user says so)
//!  no ACK  |  +-----------+              no ACK  |  +--------------+
//!          |  | Confirmed |                      |  | Acknowledged |
//!          |  +-----------+                      |  +--------------+
//!          |      | Timer I                      |      | Timer L
//!          v      v                              v      v
//!        +------------------------------------------------+
//!        |                   Terminated                   |
//!        +------------------------------------------------+
//! ```
//!
//! Two things stand here that the RFC leaves to the user of the transaction: the 2xx is retransmitted here until the user says
//! that its ACK has come (§13.3.1.4), and for that the RFC's Accepted state is split in two. A lost connection does not end the
//! transaction: its response goes over a new one (§18.2.2).

use crate::sip::Message;
use crate::transport::Flow;

use super::matching::{MatchKey, MergeKey};
use super::timer::{Armed, Timer};

/// Where the transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
    /// Accepted, and the ACK has come: only retransmitted INVITEs are waited for.
    Acknowledged,
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// The INVITE again.
    Invite,
    /// An ACK with the INVITE's branch.
    Ack,
    /// A CANCEL that matches.
    Cancel,
    /// 1xx from the user.
    Provisional,
    /// 2xx from the user.
    Success,
    /// 300–699 from the user.
    Failure,
    /// The user has seen the ACK to its 2xx.
    Acknowledged,
    TimerTrying,
    TimerG,
    TimerH,
    TimerI,
    TimerL,
    TimerSuccess,
    TransportError,
}

/// What is then done, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Keep the user's response and send it.
    SendNew,
    /// Send the kept response again; a 100 when there is none.
    SendLast,
    /// Send a 100.
    SendTrying,
    /// Give the ACK to the user.
    PassAck,
    /// Tell the user that the caller wants out.
    PassCancel,
    /// Tell the user that no ACK came.
    NoAck,
    /// Leave the lost connection for a new one and send the kept response again.
    Reroute,
    Start(Timer),
    Again(Timer),
    Stop(Timer),
}

/// The transition of `event` in `state`.
pub(super) fn step(state: State, event: Event) -> (&'static [Action], State) {
    use Action::{
        Again, NoAck, PassAck, PassCancel, Reroute, SendLast, SendNew, SendTrying, Start, Stop,
    };
    use State::{Accepted, Acknowledged, Completed, Confirmed, Proceeding, Terminated};
    match (state, event) {
        (Proceeding, Event::Invite) => (&[SendLast], Proceeding),
        (Proceeding, Event::Ack) => (&[], Proceeding),
        (Proceeding, Event::Cancel) => (&[PassCancel], Proceeding),
        (Proceeding, Event::Provisional) => (&[Stop(Timer::Trying), SendNew], Proceeding),
        (Proceeding, Event::Success) => (
            &[
                Stop(Timer::Trying),
                SendNew,
                Start(Timer::Success),
                Start(Timer::L),
            ],
            Accepted,
        ),
        (Proceeding, Event::Failure) => (
            &[
                Stop(Timer::Trying),
                SendNew,
                Start(Timer::G),
                Start(Timer::H),
            ],
            Completed,
        ),
        (Proceeding, Event::Acknowledged) => (&[], Proceeding),
        (Proceeding, Event::TimerTrying) => (&[SendTrying], Proceeding),
        (Proceeding, Event::TimerG) => (&[], Proceeding),
        (Proceeding, Event::TimerH) => (&[], Proceeding),
        (Proceeding, Event::TimerI) => (&[], Proceeding),
        (Proceeding, Event::TimerL) => (&[], Proceeding),
        (Proceeding, Event::TimerSuccess) => (&[], Proceeding),
        (Proceeding, Event::TransportError) => (&[Reroute], Proceeding),

        (Completed, Event::Invite) => (&[SendLast], Completed),
        (Completed, Event::Ack) => (
            &[Stop(Timer::G), Stop(Timer::H), Start(Timer::I)],
            Confirmed,
        ),
        (Completed, Event::Cancel) => (&[], Completed),
        (Completed, Event::Provisional) => (&[], Completed),
        (Completed, Event::Success) => (&[], Completed),
        (Completed, Event::Failure) => (&[], Completed),
        (Completed, Event::Acknowledged) => (&[], Completed),
        (Completed, Event::TimerTrying) => (&[], Completed),
        (Completed, Event::TimerG) => (&[SendLast, Again(Timer::G)], Completed),
        (Completed, Event::TimerH) => (&[NoAck], Terminated),
        (Completed, Event::TimerI) => (&[], Completed),
        (Completed, Event::TimerL) => (&[], Completed),
        (Completed, Event::TimerSuccess) => (&[], Completed),
        (Completed, Event::TransportError) => (&[Reroute], Completed),

        (Confirmed, Event::Invite) => (&[], Confirmed),
        (Confirmed, Event::Ack) => (&[], Confirmed),
        (Confirmed, Event::Cancel) => (&[], Confirmed),
        (Confirmed, Event::Provisional) => (&[], Confirmed),
        (Confirmed, Event::Success) => (&[], Confirmed),
        (Confirmed, Event::Failure) => (&[], Confirmed),
        (Confirmed, Event::Acknowledged) => (&[], Confirmed),
        (Confirmed, Event::TimerTrying) => (&[], Confirmed),
        (Confirmed, Event::TimerG) => (&[], Confirmed),
        (Confirmed, Event::TimerH) => (&[], Confirmed),
        (Confirmed, Event::TimerI) => (&[], Terminated),
        (Confirmed, Event::TimerL) => (&[], Confirmed),
        (Confirmed, Event::TimerSuccess) => (&[], Confirmed),
        (Confirmed, Event::TransportError) => (&[], Confirmed),

        (Accepted, Event::Invite) => (&[], Accepted),
        (Accepted, Event::Ack) => (&[PassAck], Accepted),
        (Accepted, Event::Cancel) => (&[], Accepted),
        (Accepted, Event::Provisional) => (&[], Accepted),
        (Accepted, Event::Success) => (&[SendNew], Accepted),
        (Accepted, Event::Failure) => (&[], Accepted),
        (Accepted, Event::Acknowledged) => (&[Stop(Timer::Success)], Acknowledged),
        (Accepted, Event::TimerTrying) => (&[], Accepted),
        (Accepted, Event::TimerG) => (&[], Accepted),
        (Accepted, Event::TimerH) => (&[], Accepted),
        (Accepted, Event::TimerI) => (&[], Accepted),
        (Accepted, Event::TimerL) => (&[NoAck], Terminated),
        (Accepted, Event::TimerSuccess) => (&[SendLast, Again(Timer::Success)], Accepted),
        (Accepted, Event::TransportError) => (&[Reroute], Accepted),

        (Acknowledged, Event::Invite) => (&[], Acknowledged),
        (Acknowledged, Event::Ack) => (&[PassAck], Acknowledged),
        (Acknowledged, Event::Cancel) => (&[], Acknowledged),
        (Acknowledged, Event::Provisional) => (&[], Acknowledged),
        (Acknowledged, Event::Success) => (&[SendNew], Acknowledged),
        (Acknowledged, Event::Failure) => (&[], Acknowledged),
        (Acknowledged, Event::Acknowledged) => (&[], Acknowledged),
        (Acknowledged, Event::TimerTrying) => (&[], Acknowledged),
        (Acknowledged, Event::TimerG) => (&[], Acknowledged),
        (Acknowledged, Event::TimerH) => (&[], Acknowledged),
        (Acknowledged, Event::TimerI) => (&[], Acknowledged),
        (Acknowledged, Event::TimerL) => (&[], Terminated),
        (Acknowledged, Event::TimerSuccess) => (&[], Acknowledged),
        (Acknowledged, Event::TransportError) => (&[], Acknowledged),

        (Terminated, Event::Invite) => (&[], Terminated),
        (Terminated, Event::Ack) => (&[], Terminated),
        (Terminated, Event::Cancel) => (&[], Terminated),
        (Terminated, Event::Provisional) => (&[], Terminated),
        (Terminated, Event::Success) => (&[], Terminated),
        (Terminated, Event::Failure) => (&[], Terminated),
        (Terminated, Event::Acknowledged) => (&[], Terminated),
        (Terminated, Event::TimerTrying) => (&[], Terminated),
        (Terminated, Event::TimerG) => (&[], Terminated),
        (Terminated, Event::TimerH) => (&[], Terminated),
        (Terminated, Event::TimerI) => (&[], Terminated),
        (Terminated, Event::TimerL) => (&[], Terminated),
        (Terminated, Event::TimerSuccess) => (&[], Terminated),
        (Terminated, Event::TransportError) => (&[], Terminated),
    }
}

/// The event of a timer, for the timers that this machine arms.
pub(super) fn timer_event(timer: Timer) -> Option<Event> {
    match timer {
        Timer::Trying => Some(Event::TimerTrying),
        Timer::G => Some(Event::TimerG),
        Timer::H => Some(Event::TimerH),
        Timer::I => Some(Event::TimerI),
        Timer::L => Some(Event::TimerL),
        Timer::Success => Some(Event::TimerSuccess),
        Timer::A
        | Timer::B
        | Timer::D
        | Timer::E
        | Timer::F
        | Timer::J
        | Timer::K
        | Timer::M
        | Timer::Cancelled => None,
    }
}

/// One such transaction.
pub(super) struct InviteServer {
    pub state: State,
    /// The INVITE, stamped.
    pub request: Message,
    /// Where the INVITE came from.
    pub flow: Flow,
    /// Where responses go (§18.2.2).
    pub response_flow: Flow,
    /// The last response sent.
    pub response: Option<Message>,
    pub armed: Armed,
    pub key: MatchKey,
    /// Second key of an INVITE without the magic cookie, under which its ACK and CANCEL come.
    pub old_key: Option<MatchKey>,
    pub merge: MergeKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_in_every_state() {
        let states = [
            State::Proceeding,
            State::Completed,
            State::Confirmed,
            State::Accepted,
            State::Acknowledged,
            State::Terminated,
        ];
        let events = [
            Event::Invite,
            Event::Ack,
            Event::Cancel,
            Event::Provisional,
            Event::Success,
            Event::Failure,
            Event::Acknowledged,
            Event::TimerTrying,
            Event::TimerG,
            Event::TimerH,
            Event::TimerI,
            Event::TimerL,
            Event::TimerSuccess,
            Event::TransportError,
        ];
        insta::assert_snapshot!(super::super::table::text(&states, &events, step));
    }
}
