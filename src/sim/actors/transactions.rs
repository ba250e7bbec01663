//! The peers' own transactions: retransmission, absorption, ACK of refusals. RFC 3261 §17, written down a second time and
//! more simply than in the core.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Context, Deed, Reminder, Way};
use crate::base::Duration;
use crate::sim::wire::Text;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Purpose {
    Register(u8),
    Invite(u64),
    ReInvite(u64),
    Bye(u64),
    /// PRACK, CANCEL and whatever else nobody waits for.
    Cancel,
    /// REFER of a call.
    Refer(u64),
    /// SUBSCRIBE, by its number.
    Subscribe(u64),
    /// PUBLISH.
    Publish,
    /// MESSAGE or OPTIONS to a user.
    Page,
}

struct Client {
    request: Text,
    bytes: Vec<u8>,
    way: Way,
    interval: Duration,
    provisional: bool,
    ack: Option<Vec<u8>>,
    done: bool,
    purpose: Purpose,
}

struct Server {
    way: Way,
    last: Option<Vec<u8>>,
    repeat: Option<Duration>,
    /// The request, when it is answered later.
    kept: Option<Text>,
}

/// What a response means to its owner.
pub(super) struct Heard {
    pub purpose: Purpose,
    pub request: Text,
    /// False for a repeated final response.
    pub fresh: bool,
}

/// All transactions of one peer.
pub(super) struct Transactions {
    local: SocketAddr,
    client: BTreeMap<String, Client>,
    server: BTreeMap<String, Server>,
}

/// The key of a transaction: branch and method, with ACK belonging to its INVITE.
pub(super) fn key_of(message: &Text) -> String {
    let method = match message.about().as_str() {
        "ACK" => "INVITE".to_string(),
        other => other.to_string(),
    };
    format!("{}/{method}", message.branch())
}

impl Transactions {
    pub(super) fn new(local: SocketAddr) -> Self {
        Transactions {
            local,
            client: BTreeMap::new(),
            server: BTreeMap::new(),
        }
    }

    /// Forgets everything, as a device without power does.
    pub(super) fn forget(&mut self) {
        self.client.clear();
        self.server.clear();
    }

    /// Sends bytes outside of any transaction.
    pub(super) fn send(&self, context: &mut Context<'_>, way: Way, bytes: Vec<u8>) {
        context.deeds.push(Deed::Send {
            local: self.local,
            way,
            bytes,
        });
    }

    /// Sends a request and watches over it.
    pub(super) fn request(
        &mut self,
        context: &mut Context<'_>,
        way: Way,
        request: Text,
        purpose: Purpose,
    ) {
        let key = key_of(&request);
        let bytes = request.to_bytes();
        self.send(context, way, bytes.clone());
        if !way.stream {
            context.remind(T1, Reminder::Resend(key.clone()));
        }
        context.remind(GIVE_UP, Reminder::GiveUp(key.clone()));
        self.client.insert(
            key,
            Client {
                request,
                bytes,
                way,
                interval: T1,
                provisional: false,
                ack: None,
                done: false,
                purpose,
            },
        );
    }

    /// True when the request has had a provisional response and no final one.
    pub(super) fn may_cancel(&self, key: &str) -> bool {
        self.client
            .get(key)
            .is_some_and(|c| c.provisional && !c.done)
    }

    pub(super) fn resend(&mut self, context: &mut Context<'_>, key: &str) {
        let local = self.local;
        let Some(client) = self.client.get_mut(key) else {
            return;
        };
        let invite = client.request.about() == "INVITE";
        if client.done || (invite && client.provisional) {
            return;
        }
        client.interval = match (invite, client.provisional) {
            (true, _) => client.interval * 2,
            (false, false) => (client.interval * 2).min(T2),
            (false, true) => T2,
        };
        context.deeds.push(Deed::Send {
            local,
            way: client.way,
            bytes: client.bytes.clone(),
        });
        context.remind(client.interval, Reminder::Resend(key.to_string()));
    }

    /// Time is over for a transaction: the purpose of a request that never got its final response.
    pub(super) fn give_up(&mut self, context: &mut Context<'_>, key: &str) -> Option<Purpose> {
        self.server.remove(key);
        let client = self.client.get(key)?;
        if !client.done && client.provisional && client.request.about() == "INVITE" {
            // It rings: no timer B any more. Its owner's patience ends it.
            context.remind(GIVE_UP, Reminder::GiveUp(key.to_string()));
            return None;
        }
        let client = self.client.remove(key)?;
        (!client.done).then_some(client.purpose)
    }

    /// Takes a response; `None` when nobody asked for it.
    pub(super) fn response(&mut self, context: &mut Context<'_>, response: &Text) -> Option<Heard> {
        let local = self.local;
        let key = key_of(response);
        let status = response.status()?;
        let client = self.client.get_mut(&key)?;
        if status < 200 {
            client.provisional = true;
            return Some(Heard {
                purpose: client.purpose,
                request: client.request.clone(),
                fresh: !client.done,
            });
        }
        let fresh = !client.done;
        if fresh && client.request.about() == "INVITE" {
            context.remind(GIVE_UP, Reminder::GiveUp(key.clone()));
        }
        client.done = true;
        if client.request.about() == "INVITE" && status >= 300 {
            let ack = client.ack.get_or_insert_with(|| {
                let mut ack = Text::request("ACK", client.request.uri().unwrap_or("sip:invalid"));
                for name in ["Via", "From", "Call-ID", "Route"] {
                    for value in client.request.all(name) {
                        ack.push(name, value);
                    }
                }
                ack.push("To", response.get("To").unwrap_or(""));
                let number = client.request.cseq().map_or(1, |(n, _)| n);
                ack.push("CSeq", &format!("{number} ACK"));
                ack.push("Max-Forwards", "70");
                ack.to_bytes()
            });
            context.deeds.push(Deed::Send {
                local,
                way: client.way,
                bytes: ack.clone(),
            });
        }
        Some(Heard {
            purpose: client.purpose,
            request: client.request.clone(),
            fresh,
        })
    }

    /// Takes a request; false when it is a repetition (answered again here) or the ACK of a refusal.
    pub(super) fn is_new(&mut self, context: &mut Context<'_>, request: &Text, way: Way) -> bool {
        let key = key_of(request);
        let ack = request.method() == Some("ACK");
        if let Some(server) = self.server.get_mut(&key) {
            if ack {
                server.repeat = None;
            } else if let Some(last) = server.last.clone() {
                let way = server.way;
                self.send(context, way, last);
            }
            return false;
        }
        if ack {
            return true; // of a 2xx: its own branch
        }
        self.server.insert(
            key.clone(),
            Server {
                way,
                last: None,
                repeat: None,
                kept: None,
            },
        );
        if request.method() != Some("INVITE") {
            context.remind(GIVE_UP, Reminder::GiveUp(key));
        }
        true
    }

    /// Keeps a request that will be answered later.
    pub(super) fn keep(&mut self, key: &str, request: Text) {
        if let Some(server) = self.server.get_mut(key) {
            server.kept = Some(request);
        }
    }

    /// A request that was kept.
    pub(super) fn kept(&mut self, key: &str) -> Option<Text> {
        self.server.get_mut(key)?.kept.take()
    }

    /// Where a request came from.
    pub(super) fn path_of(&self, key: &str) -> Option<Way> {
        self.server.get(key).map(|s| s.way)
    }

    /// Answers a request. Refusals of INVITE are repeated until their ACK comes.
    pub(super) fn respond(&mut self, context: &mut Context<'_>, key: &str, response: &Text) {
        let local = self.local;
        let Some(server) = self.server.get_mut(key) else {
            return;
        };
        let bytes = response.to_bytes();
        let status = response.status().unwrap_or(0);
        server.last = Some(bytes.clone());
        context.deeds.push(Deed::Send {
            local,
            way: server.way,
            bytes,
        });
        if status >= 200 && response.about() == "INVITE" {
            context.remind(GIVE_UP, Reminder::GiveUp(key.to_string()));
            if status >= 300 && !server.way.stream {
                server.repeat = Some(T1);
                context.remind(T1, Reminder::ResendFinal(key.to_string()));
            }
        }
    }

    pub(super) fn resend_final(&mut self, context: &mut Context<'_>, key: &str) {
        let local = self.local;
        let Some(server) = self.server.get_mut(key) else {
            return;
        };
        let (Some(interval), Some(last)) = (server.repeat, server.last.clone()) else {
            return;
        };
        let interval = (interval * 2).min(T2);
        server.repeat = Some(interval);
        context.deeds.push(Deed::Send {
            local,
            way: server.way,
            bytes: last,
        });
        context.remind(interval, Reminder::ResendFinal(key.to_string()));
    }
}
