//! The state of one dialog: identifiers, sequence numbers, route set, remote target (RFC 3261 §12).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::tag::Tag;
use crate::sip::{Builder, Message, Method, Name, NameAddr, StatusCode, Uri};
use crate::transport::Flow;

/// A confirmed or early dialog as one user agent keeps it.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// Call-ID of every message in it.
    pub call_id: Bytes,
    /// Our tag.
    pub local_tag: Tag,
    /// The peer's tag; empty when an RFC 2543 peer sent none.
    pub remote_tag: Bytes,
    /// Our From (as UAC) or To (as UAS) value without the tag.
    local: Bytes,
    /// The peer's value as it wrote it, with its tag.
    remote: Bytes,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    /// Route header values in the order of use.
    route_set: Vec<Bytes>,
    remote_target: Bytes,
    /// The flow on which the peer was last heard.
    pub flow: Flow,
}

/// A dialog as it is kept over a restart; the flow, which names things of this process, is its keeper's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DialogRecord {
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// The peer's tag.
    pub remote_tag: String,
    /// Our From or To value without tag.
    pub local: String,
    /// The peer's value with its tag.
    pub remote: String,
    /// The number that our last request may have had: the next one is higher.
    pub local_cseq: u32,
    /// The number of the peer's last request.
    pub remote_cseq: Option<u32>,
    /// Route values in the order of use.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub route_set: Vec<String>,
    /// URI of the peer's Contact.
    pub remote_target: String,
}

/// A request that is older than one already seen in its dialog (RFC 3261 §12.2.2): answer 500.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfOrder;

/// The URI that requests in the dialog go to, and whether the route set or the target says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteParty {
    /// URI of the next hop (RFC 3261 §12.2.1.1).
    pub next_hop: Bytes,
    /// True when a proxy asked to stay in the path.
    pub routed: bool,
}

fn value_without_tag(party: &NameAddr<'_>) -> Bytes {
    let mut value = Vec::with_capacity(party.uri.raw.len() + 24);
    if let Some(display) = party.display {
        value.extend_from_slice(b"\"");
        for &byte in display {
            if byte == b'"' || byte == b'\\' {
                value.push(b'\\');
            }
            value.push(byte);
        }
        value.extend_from_slice(b"\" ");
    }
    value.push(b'<');
    value.extend_from_slice(party.uri.raw);
    value.push(b'>');
    Bytes::from(value)
}

fn copied(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The route set of who sent the request that `response` answers (RFC 3261 §12.1.2).
fn route_set_of(response: &Message) -> Vec<Bytes> {
    let mut route_set: Vec<Bytes> = response
        .headers(Name::RecordRoute)
        .flat_map(crate::sip::split_commas)
        .map(copied)
        .collect();
    route_set.reverse();
    route_set
}

fn contact_of(message: &Message) -> Option<Bytes> {
    message
        .contacts()
        .next()
        .and_then(Result::ok)
        .and_then(|contact| contact.uri().map(|uri| copied(uri.raw)))
}

impl Dialog {
    /// The dialog that our answer to `invite` makes (RFC 3261 §12.1.1). `None` when the request carries no usable Contact.
    pub fn uas(invite: &Message, local_tag: Tag, flow: Flow) -> Option<Dialog> {
        let route_set = invite
            .headers(Name::RecordRoute)
            .flat_map(crate::sip::split_commas)
            .map(copied)
            .collect();
        Some(Dialog {
            call_id: copied(invite.call_id()),
            local_tag,
            remote_tag: copied(invite.from_tag().unwrap_or_default()),
            local: value_without_tag(&invite.to()),
            remote: copied(invite.header(Name::From)?),
            local_cseq: 0,
            remote_cseq: Some(invite.cseq().number),
            route_set,
            remote_target: contact_of(invite)?,
            flow,
        })
    }

    /// The dialog that `response` to our `invite` makes (RFC 3261 §12.1.2). A 2xx without Contact keeps the request-URI as
    /// target: some phones send one and a call is better than none.
    pub fn uac(invite: &Message, response: &Message, flow: Flow) -> Option<Dialog> {
        Some(Dialog {
            call_id: copied(invite.call_id()),
            local_tag: Tag::from_bytes(invite.from_tag()?)?,
            remote_tag: copied(response.to_tag().unwrap_or_default()),
            local: value_without_tag(&invite.from()),
            remote: copied(response.header(Name::To)?),
            local_cseq: invite.cseq().number,
            remote_cseq: None,
            route_set: route_set_of(response),
            remote_target: contact_of(response).unwrap_or_else(|| copied(invite.uri_bytes())),
            flow,
        })
    }

    /// The 2xx to our INVITE confirms this early dialog: its route set and target are those of the 2xx from now on, its sequence
    /// numbers go on (RFC 3261 §12.1.2, §13.2.2.4).
    pub fn confirm(&mut self, response: &Message, flow: Flow) {
        self.route_set = route_set_of(response);
        if let Some(remote) = response.header(Name::To) {
            self.remote = copied(remote);
        }
        self.flow = flow;
        self.refresh_target(response);
    }

    /// Our From from now on, without the tag (RFC 4916 §3.1).
    pub fn set_local(&mut self, value: &[u8]) {
        self.local = copied(value);
    }

    /// True when `message`, sent by the peer, carries this dialog's identifiers. A request has our tag in To, a response in From.
    pub fn matches(&self, message: &Message) -> bool {
        let remote = if message.is_request() {
            message.from_tag()
        } else {
            message.to_tag()
        };
        message.call_id() == &self.call_id[..] && remote.unwrap_or_default() == &self.remote_tag[..]
    }

    /// Takes note of a request from the peer: its sequence number must rise (RFC 3261 §12.2.2), its flow is where the peer is now.
    pub fn receive(&mut self, request: &Message, flow: Flow) -> Result<(), OutOfOrder> {
        let number = request.cseq().number;
        if self.remote_cseq.is_some_and(|last| number <= last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(number);
        self.flow = flow;
        Ok(())
    }

    /// Takes a new remote target from a target refresh request or its 2xx (RFC 3261 §12.2.1.2, §12.2.2).
    pub fn refresh_target(&mut self, message: &Message) {
        if let Some(target) = contact_of(message) {
            self.remote_target = target;
        }
    }

    /// What must be kept to go on with the dialog after a restart. `local_cseq` is at least the number of our last request.
    pub fn record(&self, local_cseq: u32) -> DialogRecord {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        DialogRecord {
            call_id: text(&self.call_id),
            local_tag: self.local_tag.as_str().to_owned(),
            remote_tag: text(&self.remote_tag),
            local: text(&self.local),
            remote: text(&self.remote),
            local_cseq: local_cseq.max(self.local_cseq),
            remote_cseq: self.remote_cseq,
            route_set: self.route_set.iter().map(text).collect(),
            remote_target: text(&self.remote_target),
        }
    }

    /// The dialog of a record, on this flow; `None` when the record's tag is none of ours.
    pub fn restored(record: &DialogRecord, flow: Flow) -> Option<Dialog> {
        let bytes = |text: &String| copied(text.as_bytes());
        Some(Dialog {
            call_id: bytes(&record.call_id),
            local_tag: Tag::from_bytes(record.local_tag.as_bytes())?,
            remote_tag: bytes(&record.remote_tag),
            local: bytes(&record.local),
            remote: bytes(&record.remote),
            local_cseq: record.local_cseq,
            remote_cseq: record.remote_cseq,
            route_set: record.route_set.iter().map(bytes).collect(),
            remote_target: bytes(&record.remote_target),
            flow,
        })
    }

    /// The number of the peer's last request, if it has sent any.
    pub fn remote_cseq(&self) -> Option<u32> {
        self.remote_cseq
    }

    /// URI of the peer's Contact, as it was last heard.
    pub fn remote_target(&self) -> &[u8] {
        &self.remote_target
    }

    /// Where the next request of the dialog goes.
    pub fn remote_party(&self) -> RemoteParty {
        match self.route_set.first() {
            Some(route) => RemoteParty {
                next_hop: NameAddr::parse(route)
                    .map(|addr| copied(addr.uri.raw))
                    .unwrap_or_else(|_| self.remote_target.clone()),
                routed: true,
            },
            None => RemoteParty {
                next_hop: self.remote_target.clone(),
                routed: false,
            },
        }
    }

    /// The number of our last request.
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Takes the number of a further request of ours, for one that is sent again with credentials.
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.local_cseq
    }

    /// Leaves out this many numbers before the next request.
    pub fn skip(&mut self, numbers: u32) -> &mut Self {
        self.local_cseq = self.local_cseq.saturating_add(numbers);
        self
    }

    /// Begins a new request of ours in this dialog (RFC 3261 §12.2.1.1): Via, Max-Forwards, Route, From, To, Call-ID, CSeq. The
    /// caller adds Contact and body. Not for ACK and CANCEL.
    pub fn request(
        &mut self,
        method: &Method,
        transport: &str,
        sent_by: &str,
        branch: &[u8],
    ) -> Builder {
        let number = self.next_cseq();
        self.compose(method, number, transport, sent_by, branch)
    }

    /// The ACK to a 2xx of the INVITE numbered `cseq` (RFC 3261 §13.2.2.4).
    pub fn ack(&self, cseq: u32, transport: &str, sent_by: &str, branch: &[u8]) -> Builder {
        self.compose(&Method::Ack, cseq, transport, sent_by, branch)
    }

    fn compose(
        &self,
        method: &Method,
        cseq: u32,
        transport: &str,
        sent_by: &str,
        branch: &[u8],
    ) -> Builder {
        let first = self
            .route_set
            .first()
            .and_then(|route| NameAddr::parse(route).ok());
        let loose = first
            .as_ref()
            .is_none_or(|route| route.uri.param("lr").is_some());
        let mut builder = match (&first, loose) {
            (Some(route), false) => Builder::request(method, strip_headers(&route.uri)),
            _ => Builder::request(method, &self.remote_target),
        }
        .via(transport, sent_by, branch, true)
        .header(Name::MaxForwards, "70");
        if loose {
            for route in &self.route_set {
                builder = builder.header(Name::Route, route);
            }
        } else {
            for route in self.route_set.iter().skip(1) {
                builder = builder.header(Name::Route, route);
            }
            builder = builder.header_parts(Name::Route, &[b"<", &self.remote_target, b">"]);
        }
        builder
            .header_parts(
                Name::From,
                &[&self.local, b";tag=", self.local_tag.as_str().as_bytes()],
            )
            .header(Name::To, &self.remote)
            .header(Name::CallId, &self.call_id)
            .cseq(cseq, method)
    }
}

fn strip_headers<'a>(uri: &Uri<'a>) -> &'a [u8] {
    match memchr::memchr(b'?', uri.raw) {
        Some(at) => uri.raw.get(..at).unwrap_or(uri.raw),
        None => uri.raw,
    }
}

/// True for a status that ends the whole dialog when a request in it gets it (RFC 5057 §5.1, RFC 3261 §12.2.1.2).
pub fn ends_dialog(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        404 | 408 | 410 | 416 | 481..=485 | 502 | 604
    )
}
