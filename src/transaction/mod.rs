//! Rank 3: the four transactions of RFC 3261 §17 with the corrections of RFC 6026, over one timer queue of their own.
//!
//! Goes in: messages that [`via::stamp`](crate::transport::via::stamp) has stamped, requests and responses of the user (the switch), time, lost
//! connections. Comes out: [`Act`]s, in order. Each machine stands in its own file as a pure function from state and event to
//! actions and state, and its whole table is a snapshot.
//!
//! It does here what §17 leaves to its users but every user needs alike: 100 after 200 ms, retransmission of a 2xx until its ACK
//! (§13.3.1.4), CANCEL held back until a provisional response (§9.1), CANCEL answered (§9.2), merged requests found (§8.2.2.2).
//! It deliberately knows no dialogs, no registrations and no policy: an ACK to a 2xx, which belongs to no transaction, is handed
//! to the user, as is every response that no transaction asked for, which must never be forwarded.

mod client;
mod completed;
mod invite_client;
mod invite_server;
mod matching;
mod non_invite_client;
mod non_invite_server;
mod server;
mod size;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
mod timer;
mod verdicts;

pub use matching::Branch;
pub use timer::Timer;

use completed::Completed;
use invite_client::InviteClient;
use invite_server::InviteServer;
use matching::{MatchKey, MergeKey};
use non_invite_client::NonInviteClient;
use non_invite_server::NonInviteServer;

use crate::base::map::PrintMap;
use crate::base::{Arena, Entropy, Instant, Key, Now, TimerQueue};
use crate::sip::{Message, Method};
use crate::transport::{ConnectionId, Flow};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Kind {
    Invite,
    NonInvite,
}

/// Names a server transaction: a request that came in. Stale once the transaction has ended; whatever is asked of it then does
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServerKey(Kind, u64);

impl ServerKey {
    /// True for an INVITE.
    pub fn is_invite(self) -> bool {
        self.0 == Kind::Invite
    }
}

/// Names a client transaction: a request that we sent. Stale once the transaction has ended; whatever is asked of it then does
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientKey(Kind, u64);

impl ClientKey {
    /// True for an INVITE.
    pub fn is_invite(self) -> bool {
        self.0 == Kind::Invite
    }
}

/// What the transactions want done or known, in order.
#[derive(Clone, Debug)]
pub enum Act<U> {
    /// Put this on the wire.
    Send { flow: Flow, message: Message },
    /// A new request, never a retransmission; answer it through [`Transactions::respond`]. An INVITE that is not answered within
    /// 200 ms gets its 100 from here. Not for ACK and CANCEL.
    Request {
        key: ServerKey,
        flow: Flow,
        message: Message,
    },
    /// An ACK that belongs to no transaction: to a 2xx, if a dialog knows it; to nothing otherwise. The ACK of a non-2xx is absorbed.
    Ack { flow: Flow, message: Message },
    /// A CANCEL for an INVITE that has no final response yet. Its own 200 has been sent; answer the INVITE with 487.
    Cancel { key: ServerKey, message: Message },
    /// A response to one of our requests: every provisional one but 100, the final one, and for an INVITE every 2xx, also of other
    /// forks and retransmitted (each wants an ACK).
    Response {
        key: ClientKey,
        user: U,
        flow: Flow,
        message: Message,
    },
    /// A response that nobody waits for. Never forward it. When it is a 2xx to an INVITE that was forgotten, that INVITE comes along.
    StrayResponse {
        flow: Flow,
        message: Message,
        forgotten: Option<Box<(ClientKey, Message)>>,
    },
    /// No final response in time: Timer B or F, or 32 s after a CANCEL. Treat it as 408. The transaction has ended.
    Timeout { key: ClientKey, user: U },
    /// The request could not be sent. Treat it as 503. The transaction has ended.
    Failed { key: ClientKey, user: U },
    /// No ACK came to the final response of this INVITE: Timer H, or Timer L after a 2xx, whose dialog is then dead
    /// (§13.3.1.4: send BYE). The transaction has ended.
    NoAck { key: ServerKey },
}

/// Live transactions and timers: all zero when nothing is left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// INVITEs that came in.
    pub invite_servers: usize,
    /// Other requests that came in.
    pub non_invite_servers: usize,
    /// INVITEs that we sent.
    pub invite_clients: usize,
    /// Other requests that we sent.
    pub non_invite_clients: usize,
    /// Armed timers.
    pub timers: usize,
}

#[derive(Clone, Copy)]
enum Owner {
    Server(ServerKey),
    Client(ClientKey),
}

/// What a request that comes again finds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Served {
    Live(ServerKey),
    /// The number of its response in `Completed`.
    Completed(u64),
}

impl Served {
    fn live(self) -> Option<ServerKey> {
        match self {
            Served::Live(key) => Some(key),
            Served::Completed(_) => None,
        }
    }
}

/// All transactions of one shard. `U` is what the user attaches to a client transaction, to know who wants the response.
pub struct Transactions<U: Copy> {
    invite_servers: Arena<InviteServer>,
    non_invite_servers: Arena<NonInviteServer>,
    completed: Completed,
    invite_clients: Arena<InviteClient<U>>,
    non_invite_clients: Arena<NonInviteClient<U>>,
    servers: PrintMap<MatchKey, Served>,
    clients: PrintMap<MatchKey, ClientKey>,
    /// The first INVITE of each From tag, Call-ID and CSeq.
    merges: PrintMap<MergeKey, ServerKey>,
    timers: TimerQueue<(Owner, Timer)>,
    entropy: Entropy,
    large: size::LargeRequests,
    verdicts: verdicts::Verdicts,
}

impl<U: Copy> Transactions<U> {
    /// No transactions. `entropy` makes branches and tags.
    pub fn new(entropy: Entropy) -> Self {
        Transactions {
            invite_servers: Arena::new(),
            non_invite_servers: Arena::new(),
            completed: Completed::default(),
            invite_clients: Arena::new(),
            non_invite_clients: Arena::new(),
            servers: PrintMap::default(),
            clients: PrintMap::default(),
            merges: PrintMap::default(),
            timers: TimerQueue::new(),
            entropy,
            large: size::LargeRequests::default(),
            verdicts: verdicts::Verdicts::default(),
        }
    }

    /// A new branch for the Via of a request that [`Transactions::send_request`] will send, or of an ACK to a 2xx.
    pub fn branch(&mut self) -> Branch {
        Branch::new(&mut self.entropy)
    }

    /// Takes a message from the wire, already stamped.
    pub fn receive(&mut self, now: Now, flow: Flow, message: Message, out: &mut Vec<Act<U>>) {
        if !message.is_request() {
            return self.receive_response(now, flow, message, out);
        }
        match message.method() {
            Method::Invite => self.receive_invite(now, flow, message, out),
            Method::Ack => self.receive_ack(now, flow, message, out),
            Method::Cancel => self.receive_cancel(now, flow, message, out),
            _ => self.receive_non_invite(now, flow, message, out),
        }
    }

    /// The transport could not send on `flow`, or lost it. Client transactions that have heard nothing fail; INVITE servers move to
    /// a new connection (§18.2.2).
    pub fn flow_failed(&mut self, now: Now, flow: &Flow, out: &mut Vec<Act<U>>) {
        self.clients_failed(now, |other| other.shares_path_with(flow), out);
        let servers: Vec<Key<InviteServer>> = self
            .invite_servers
            .iter()
            .filter(|(_, server)| server.response_flow.shares_path_with(flow))
            .map(|(key, _)| key)
            .collect();
        for key in servers {
            self.invite_server(now, key, invite_server::Event::TransportError, None, out);
        }
    }

    /// A connection is gone: requests sent on it that have heard nothing will hear nothing, and fail. A response still to be sent
    /// finds that out by itself.
    pub fn connection_closed(&mut self, now: Now, connection: ConnectionId, out: &mut Vec<Act<U>>) {
        self.clients_failed(now, |other| other.connection == Some(connection), out);
    }

    fn clients_failed(&mut self, now: Now, failed: impl Fn(&Flow) -> bool, out: &mut Vec<Act<U>>) {
        let clients: Vec<Key<InviteClient<U>>> = self
            .invite_clients
            .iter()
            .filter(|(_, client)| failed(&client.flow))
            .map(|(key, _)| key)
            .collect();
        for key in clients {
            if !self.invite_over_udp(now, key, out) {
                self.invite_client(now, key, invite_client::Event::TransportError, None, out);
            }
        }
        let clients: Vec<Key<NonInviteClient<U>>> = self
            .non_invite_clients
            .iter()
            .filter(|(_, client)| failed(&client.flow))
            .map(|(key, _)| key)
            .collect();
        for key in clients {
            if !self.non_invite_over_udp(now, key, out) {
                let event = non_invite_client::Event::TransportError;
                self.non_invite_client(now, key, event, None, out);
            }
        }
    }

    /// When [`Transactions::on_time`] is due next.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let others = self.completed.next_deadline();
        self.timers.next_deadline().into_iter().chain(others).min()
    }

    /// Fires every timer that is due.
    pub fn on_time(&mut self, now: Now, out: &mut Vec<Act<U>>) {
        while let Some((owner, timer)) = self.timers.pop_due(now.mono) {
            match owner {
                Owner::Server(key) => self.server_timer(now, key, timer, out),
                Owner::Client(key) => self.client_timer(now, key, timer, out),
            }
        }
        while let Some(match_key) = self.completed.pop_due(now.mono) {
            self.servers.remove(&match_key);
        }
    }

    /// How much is live, for leak checks and metrics.
    pub fn counts(&self) -> Counts {
        Counts {
            invite_servers: self.invite_servers.len(),
            non_invite_servers: self.non_invite_servers.len() + self.completed.len(),
            invite_clients: self.invite_clients.len(),
            non_invite_clients: self.non_invite_clients.len(),
            timers: self.timers.len() + self.completed.len(),
        }
    }
}
