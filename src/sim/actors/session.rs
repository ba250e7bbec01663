//! One call as a phone remembers it: tags, routes, sequence numbers, the requests that it writes.

use std::net::SocketAddr;

use super::Way;
use super::order::CallPlan;
use crate::base::Duration;
use crate::sim::wire::{self, Text};

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// Our INVITE is out, or theirs is in, and nothing is decided.
    Early,
    /// Answered with a 2xx.
    Talking,
    /// Over.
    Over,
}

/// A 2xx to INVITE that waits for its ACK.
pub(super) struct Unacked {
    pub cseq: u32,
    pub bytes: Vec<u8>,
    pub interval: Duration,
    pub waited: Duration,
    pub way: Way,
}

/// A reliable provisional response that waits for its PRACK (RFC 3262).
pub(super) struct Unpracked {
    pub rseq: u32,
    pub bytes: Vec<u8>,
    pub interval: Duration,
    pub waited: Duration,
    pub way: Way,
}

/// A call of one phone.
pub(super) struct Session {
    pub id: u64,
    pub outgoing: bool,
    pub stage: Stage,
    pub call_id: String,
    pub local: String,
    pub local_tag: String,
    pub remote: String,
    pub remote_tag: String,
    pub target: String,
    pub routes: Vec<String>,
    pub cseq: u32,
    pub remote_cseq: u32,
    /// Our INVITE, or theirs.
    pub invite: Text,
    /// Key of the INVITE's transaction.
    pub invite_key: String,
    pub attempts: u32,
    pub cancelled: bool,
    pub wants_cancel: bool,
    pub plan: CallPlan,
    pub talk: Option<Duration>,
    pub media: SocketAddr,
    pub version: u64,
    pub direction: &'static str,
    pub pending_offer: Option<&'static str>,
    pub ack: Option<Vec<u8>>,
    pub unacked: Option<Unacked>,
    pub how: String,
    /// The connection that it came over or goes over.
    pub lane: u8,
    /// Our reliable provisional.
    pub unpracked: Option<Unpracked>,
    /// The answer that went with our reliable provisional: nothing else is said in the 2xx.
    pub early_answer: Option<String>,
    /// RSeq of theirs that had its PRACK last, with the tag.
    pub pracked: Option<(String, u32)>,
    /// Our re-INVITE under way makes no offer: theirs comes in the 2xx.
    pub asks_offer: bool,
    /// The call that this one consults for.
    pub consults_for: Option<u64>,
    /// Said that it rings so often.
    pub rings: u32,
}

impl Session {
    /// A call of which nothing is known but these.
    pub(super) fn new(id: u64, outgoing: bool, call_id: String, media: SocketAddr) -> Session {
        Session {
            id,
            outgoing,
            stage: Stage::Early,
            call_id,
            local: String::new(),
            local_tag: String::new(),
            remote: String::new(),
            remote_tag: String::new(),
            target: String::new(),
            routes: Vec::new(),
            cseq: 0,
            remote_cseq: 0,
            invite: Text::request("INVITE", "sip:none"),
            invite_key: String::new(),
            attempts: 0,
            cancelled: false,
            wants_cancel: false,
            plan: CallPlan::default(),
            talk: None,
            media,
            version: 0,
            direction: "sendrecv",
            pending_offer: None,
            ack: None,
            unacked: None,
            how: String::new(),
            lane: 0,
            unpracked: None,
            early_answer: None,
            pracked: None,
            asks_offer: false,
            consults_for: None,
            rings: 0,
        }
    }

    /// A request inside the dialog, with the next sequence number.
    pub(super) fn request(&mut self, method: &str, via: &str, contact: &str) -> Text {
        self.cseq += 1;
        self.request_numbered(method, via, contact, self.cseq)
    }

    pub(super) fn request_numbered(
        &self,
        method: &str,
        via: &str,
        contact: &str,
        cseq: u32,
    ) -> Text {
        let mut request = Text::request(method, &self.target)
            .with("Via", via)
            .with("Max-Forwards", "70")
            .with("From", &format!("{};tag={}", self.local, self.local_tag))
            .with("To", &with_tag(&self.remote, &self.remote_tag))
            .with("Call-ID", &self.call_id)
            .with("CSeq", &format!("{cseq} {method}"));
        for route in &self.routes {
            request.push("Route", route);
        }
        request.push("Contact", contact);
        request
    }

    /// Where requests inside the dialog go.
    pub(super) fn next_hop(&self, otherwise: SocketAddr) -> SocketAddr {
        self.routes
            .first()
            .map(|r| wire::uri_of(r))
            .or(Some(self.target.as_str()))
            .and_then(wire::address_of)
            .unwrap_or(otherwise)
    }

    /// Learns the remote target and the route set from a 2xx or from an INVITE.
    pub(super) fn learn(&mut self, message: &Text, routes: bool) {
        if let Some(contact) = message.get("Contact") {
            self.target = wire::uri_of(contact).to_string();
        }
        if routes {
            let mut set: Vec<String> = message
                .all("Record-Route")
                .flat_map(|v| v.split(','))
                .map(|v| v.trim().to_string())
                .collect();
            if self.outgoing {
                set.reverse();
            }
            self.routes = set;
        }
    }

    /// The description that we would send now.
    pub(super) fn sdp(&mut self, direction: &str) -> String {
        self.version += 1;
        wire::sdp(self.media, self.id + 1000, self.version, direction)
    }
}

fn with_tag(value: &str, tag: &str) -> String {
    if tag.is_empty() {
        value.to_string()
    } else {
        format!("{value};tag={tag}")
    }
}

/// The direction that answers an offered one (RFC 3264 §6.1).
pub(super) fn mirrored(offered: &str, ours: &'static str) -> &'static str {
    match (offered, ours) {
        ("sendonly" | "hold", "inactive") | ("inactive", _) => "inactive",
        ("sendonly" | "hold", _) => "recvonly",
        ("recvonly", "inactive") => "inactive",
        ("recvonly", _) => "sendonly",
        (_, "c=0") => "inactive",
        (_, ours) => ours,
    }
}
