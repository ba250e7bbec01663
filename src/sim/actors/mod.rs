//! Peers of the server: wire-level actors that know nothing of the core. Phones (of callers and agents), a carrier, a scanner.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::base::{Duration, Entropy, Instant};

mod gateway;
mod incoming;
pub mod order;
mod outgoing;
pub mod phone;
mod registering;
mod reliable;
pub mod rude;
pub mod scanner;
mod session;
mod transactions;
mod transfer;
mod watch;

pub use order::{Admits, Answer, CallPlan, HoldDialect, Mood, Order, Transfer};
pub use phone::{Carriage, Phone, PhoneSettings};
pub use rude::{Rude, Rudeness};
pub use scanner::Scanner;

/// How a peer reaches the server, or was reached by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Way {
    /// The other end.
    pub remote: SocketAddr,
    /// Over a stream: the existing connection of that lane between the two, or a new one.
    pub stream: bool,
    /// Which of several connections to the same place.
    pub lane: u8,
}

impl Way {
    /// A way with one lane.
    pub fn to(remote: SocketAddr, stream: bool) -> Way {
        Way {
            remote,
            stream,
            lane: 0,
        }
    }
}

/// One message as a peer gets it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Who sent it, and how.
    pub way: Way,
    /// The message.
    pub bytes: Bytes,
}

/// What a peer wants to be reminded of. Peers look whether a reminder still means anything.
#[derive(Clone, Debug, PartialEq)]
pub enum Reminder {
    /// Send a request again (RFC 3261 timers A and E), by branch.
    Resend(String),
    /// Send a final response to INVITE again until its ACK comes (timer G), by branch.
    ResendFinal(String),
    /// Send a 2xx to INVITE again until its ACK comes, by call and CSeq.
    Resend2xx(u64, u32),
    /// Give up a transaction (timers B, F, H), by branch.
    GiveUp(String),
    /// Answer (or refuse) an INVITE, by call.
    Answer(u64),
    /// Stop waiting for an answer, by call.
    Patience(u64),
    /// Hang up, by call.
    TalkOver(u64),
    /// Put on hold, by call.
    Hold(u64),
    /// Take off hold, by call.
    Resume(u64),
    /// Try a refused re-INVITE again (491), by call.
    RetryOffer(u64),
    /// Press the next key of the plan, by call.
    Press(u64, usize),
    /// A late ACK, by call.
    LateAck(u64),
    /// Register again on a lane; the number tells an outdated reminder.
    Register(u8, u32),
    /// Say that it rings once more, by call.
    RingAgain(u64),
    /// Send a reliable provisional again until its PRACK comes, by call and RSeq.
    ResendReliable(u64, u32),
    /// Answer a BYE at last, by branch.
    SlowBye(String),
    /// A BYE for what is over, by call.
    LateBye(u64),
    /// Transfer the other end, by call.
    Transfer(u64),
    /// Complete an attended transfer: the first call, and the second.
    Complete(u64, u64),
    /// Refresh the session (RFC 4028), by call.
    Refresh(u64),
    /// Keep the NAT open.
    KeepAlive,
    /// Refresh a subscription, by its number; the second number tells an outdated reminder.
    Resubscribe(u64, u32),
    /// Send CANCEL again is part of `Resend`; this ends a call whose INVITE never got a final answer.
    Abandon(u64),
    /// The peer's own next idea, for scanners.
    Idea,
}

/// What a peer does.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Send one message from `local`.
    Send {
        /// The peer's own address.
        local: SocketAddr,
        /// Where to, and how.
        way: Way,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Ask for a reminder.
    Remind {
        /// After this time.
        after: Duration,
        /// Of this.
        reminder: Reminder,
    },
    /// Close all connections of this peer, or those of one lane: at once, with what is under way (RST), or after it (FIN).
    Close {
        /// Which lane; `None`: all.
        lane: Option<u8>,
        /// What is under way is lost.
        abrupt: bool,
    },
    /// From now on nothing passes on the connections of this peer, and nobody is told.
    HalfOpen,
    /// A situation worth counting was reached: a name of [`crate::sim::reach`].
    Reach(&'static str),
    /// Speak at this address from now on.
    Speak(SocketAddr),
    /// Be silent at this address from now on.
    Mute(SocketAddr),
    /// Press a key.
    Press(SocketAddr, char),
    /// Say something for the trace.
    Note(String),
}

/// The time, entropy and sink that a peer is handed.
pub struct Context<'a> {
    /// The virtual time.
    pub now: Instant,
    /// The peer's own entropy.
    pub entropy: &'a mut Entropy,
    /// What it does.
    pub deeds: &'a mut Vec<Deed>,
}

impl Context<'_> {
    /// Asks for a reminder.
    pub fn remind(&mut self, after: Duration, reminder: Reminder) {
        self.deeds.push(Deed::Remind { after, reminder });
    }

    /// Counts a situation.
    pub fn reach(&mut self, situation: &'static str) {
        self.deeds.push(Deed::Reach(situation));
    }

    /// One of two.
    pub fn coin(&mut self) -> bool {
        self.entropy.below(2) == 0
    }

    /// A random token of twelve characters.
    pub fn token(&mut self) -> String {
        String::from_utf8_lossy(&self.entropy.token::<12>()).into_owned()
    }
}

/// A peer.
pub trait Actor {
    /// Its name in ladders and sentences.
    fn name(&self) -> &str;
    /// The addresses at which it receives.
    fn addresses(&self) -> Vec<SocketAddr>;
    /// A message came.
    fn receive(&mut self, context: &mut Context<'_>, packet: &Packet);
    /// A reminder came.
    fn remind(&mut self, context: &mut Context<'_>, reminder: Reminder);
    /// It is told to do something.
    fn order(&mut self, context: &mut Context<'_>, order: Order);
    /// Its connection of a lane is gone.
    fn closed(&mut self, context: &mut Context<'_>, lane: u8);
    /// Sentences about what it still waits for; empty when all is over.
    fn unfinished(&self) -> Vec<String>;
    /// True when what it sends need not be answered: scanners, and peers that write nonsense on purpose.
    fn is_hostile(&self) -> bool {
        false
    }
}
