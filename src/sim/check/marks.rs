//! What must never be seen: headers that a peer planted behind the server, control bytes on the wire, faults in the log.

use super::{Evidence, Verdict};
use crate::sim::actors::phone::MARKER;
use crate::sim::trace::Happening;
use crate::sim::wire::Text;

/// No message of the server carries a peer's own header, a NUL, or a CR or LF that is not an end of line.
pub(super) fn nothing_foreign_leaves(evidence: &Evidence<'_>) -> Verdict {
    let marker = MARKER.to_ascii_lowercase();
    for (at, happening) in evidence.trace.entries() {
        let Happening::NodeSent { bytes, .. } = happening else {
            continue;
        };
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
            continue; // keeps a NAT open
        }
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let first = text.lines().next().unwrap_or("").to_string();
        if text.contains(&marker) {
            let sentence = format!("a peer's own header left with `{first}`");
            return Err((Some(*at), sentence));
        }
        let head = text.split("\r\n\r\n").next().unwrap_or("");
        let bare = head.replace("\r\n", "");
        if bare.contains(['\0', '\r', '\n']) {
            let sentence = format!("a control byte left in the headers of `{first}`");
            return Err((Some(*at), sentence));
        }
        if let Err(fault) = Text::parse_strict(bytes) {
            // A refusal echoes what was wrong with the request: only requests must be flawless.
            if !first.starts_with("sip/2.0") {
                return Err((
                    Some(*at),
                    format!("`{first}` left with a fault: {}", fault.0),
                ));
            }
        }
    }
    Ok(())
}

/// The server never reports a fault of its own.
pub(super) fn no_fault_is_logged(evidence: &Evidence<'_>) -> Verdict {
    for (at, happening) in evidence.trace.entries() {
        if let Happening::Log(true, text) = happening {
            return Err((Some(*at), format!("the log says: {text}")));
        }
    }
    for (at, room, kind, fact) in evidence.facts() {
        if room == "acd" && kind == "defect" {
            return Err((Some(at), format!("the queues report a defect: {fact}")));
        }
    }
    Ok(())
}
