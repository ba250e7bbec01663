//! What changes in a request that is passed on, and in nothing else (RFC 3261 §16.6), and how a loop is known (§16.3 item 4, RFC 5393).

use std::hash::{BuildHasher, Hasher};

use super::context::Hop;
use crate::base::map::HashKey;
use crate::sip::{Message, Name, edit};
use crate::transaction::Branch;

/// Our Via parameter with the fingerprint of what decides where a request goes (RFC 5393 §4.2.1 puts it into the branch).
const LOOP: &str = "loop";

/// The fingerprint of a request: what its way depends on. It comes back changed when it was retargeted on the way (a spiral), and
/// unchanged when it runs in circles.
fn fingerprint(request: &Message) -> u64 {
    let mut hasher = HashKey::default().build_hasher();
    let mut put = |bytes: &[u8]| {
        hasher.write(bytes);
        hasher.write_u8(0);
    };
    put(request.uri_bytes());
    put(request.call_id());
    put(request.from_tag().unwrap_or_default());
    put(request.to_tag().unwrap_or_default());
    put(&request.cseq().number.to_be_bytes());
    // credentials are not among them: they are gone after the first hop
    for name in [Name::Route, Name::ProxyRequire] {
        for value in request.headers(name) {
            put(value);
        }
    }
    hasher.finish()
}

/// True when this very request has passed here before: one of its Via values is ours and says so.
pub fn is_loop(request: &Message, is_ours: impl Fn(&[u8], Option<u16>) -> bool) -> bool {
    let own = format!("{:016x}", fingerprint(request));
    request
        .vias()
        .filter_map(Result::ok)
        .any(|via| via.params.value(LOOP) == Some(own.as_bytes()) && is_ours(via.host, via.port))
}

/// The request as one hop gets it. `received` is the request as it came; what stands in it of ours (our Route) is gone already.
/// `None` when no hop is left (483).
pub(super) fn request_for(
    received: &Message,
    hop: &Hop,
    branch: &Branch,
    record_route: Option<&str>,
    breadth: u32,
) -> Option<Message> {
    let mut message = edit::set_uri(received, &hop.way.request_uri);
    message = edit::decrement_max_forwards(&message)?;
    // what proved the sender to us is nobody else's business
    for name in [Name::ProxyAuthorization, Name::Authorization] {
        if message.header(name).is_some() {
            message = edit::remove(&message, name);
        }
    }
    message = edit::replace(&message, Name::MaxBreadth, breadth.to_string().as_bytes());
    if let Some(value) = record_route {
        message = edit::push(&message, Name::RecordRoute, value.as_bytes());
    }
    for route in hop.way.routes.iter().rev() {
        message = edit::push(&message, Name::Route, route);
    }
    let via = format!(
        "SIP/2.0/{} {};branch={branch};rport;{LOOP}={:016x}",
        hop.way.flow.transport.as_str(),
        hop.sent_by,
        fingerprint(received),
    );
    Some(edit::push_via(&message, via.as_bytes()))
}

/// The request without its top Route value, which was ours (RFC 3261 §16.4).
pub fn without_route(request: &Message) -> Message {
    edit::pop(request, Name::Route)
}
