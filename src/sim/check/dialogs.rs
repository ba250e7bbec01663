//! The server as a client and in dialogs, seen from the wire (RFC 3261 §9, §12, §13, §15).

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Known, Verdict};
use crate::base::{Duration, Instant};
use crate::sim::trace::Happening;
use crate::sim::wire::Text;

/// How long an INVITE without any answer, or a CANCEL without the 487, keeps a transaction (64·T1).
const TIMER_B: Duration = Duration::from_secs(32);
/// How long a ringing INVITE may go on.
const TIMER_C: Duration = Duration::from_secs(180);

/// One message on the server's side of the wire.
struct Wire {
    at: Instant,
    boot: u32,
    sent: bool,
    actor: Option<usize>,
    text: Text,
}

fn wire(evidence: &Evidence<'_>) -> Vec<Wire> {
    let mut boot = 0;
    let mut all = Vec::new();
    for (at, happening) in evidence.trace.entries() {
        let (sent, actor, bytes) = match happening {
            Happening::Crash(_) => {
                boot += 1;
                continue;
            }
            Happening::NodeReceived { actor, bytes, .. } => (false, Some(*actor), bytes),
            Happening::NodeSent { actor, bytes, .. } => (true, *actor, bytes),
            _ => continue,
        };
        if let Ok(text) = Text::parse_strict(bytes) {
            all.push(Wire {
                at: *at,
                boot,
                sent,
                actor,
                text,
            });
        }
    }
    all
}

fn number(text: &Text) -> u32 {
    text.cseq().map_or(0, |(n, _)| n)
}

/// Within a dialog each new request of the server has a higher CSeq than the one before; repetitions are the same bytes. What it reserved
/// while the journal refused is unknown to the process after a death.
pub(super) fn sequence_numbers_rise(evidence: &Evidence<'_>) -> Verdict {
    let mut highest: Known<BTreeMap<(String, String, String), u32>> = Known::default();
    let mut sent: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (at, happening) in evidence.trace.entries() {
        highest.pass(happening);
        let Happening::NodeSent { bytes, .. } = happening else {
            continue;
        };
        let Ok(text) = Text::parse_strict(bytes) else {
            continue;
        };
        let Some(method) = text.method() else {
            continue;
        };
        let key = format!("{}/{method}/{}", text.branch(), text.call_id());
        let bytes = text.to_bytes();
        if let Some(before) = sent.get(&key) {
            if *before != bytes {
                let sentence = format!("`{}` was repeated with other bytes", text.start);
                return Err((Some(*at), sentence));
            }
            continue;
        }
        sent.insert(key, bytes);
        if method == "ACK" || method == "CANCEL" {
            continue;
        }
        // To tags tell the dialogs of a fork apart; the first INVITE has none.
        let dialog = (
            text.call_id().to_string(),
            text.from_tag().to_string(),
            text.to_tag().to_string(),
        );
        let floor = highest
            .now
            .get(&(dialog.0.clone(), dialog.1.clone(), String::new()))
            .copied()
            .unwrap_or(0);
        let last = highest.now.entry(dialog).or_insert(floor);
        if number(&text) <= *last {
            let sentence = format!(
                "`{}` came with CSeq {} after {last}",
                text.start,
                number(&text)
            );
            return Err((Some(*at), sentence));
        }
        *last = number(&text);
    }
    Ok(())
}

/// INVITEs of the server whose connection closed before anything came back, with the time of that.
fn failed_with_their_connection(evidence: &Evidence<'_>) -> BTreeMap<String, Instant> {
    let mut open: BTreeMap<String, u64> = BTreeMap::new();
    let mut failed: BTreeMap<String, Instant> = BTreeMap::new();
    for (at, happening) in evidence.trace.entries() {
        match happening {
            Happening::NodeSent { path, bytes, .. } => {
                if let (Some(id), Ok(text)) = (path.connection, Text::parse_strict(bytes))
                    && text.method() == Some("INVITE")
                {
                    open.insert(text.branch().to_string(), id);
                }
            }
            Happening::NodeReceived { bytes, .. } => {
                if let Ok(text) = Text::parse_strict(bytes)
                    && text.about() == "INVITE"
                {
                    open.remove(text.branch());
                }
            }
            Happening::Closed(id) => {
                let lost = open.iter().filter(|(_, own)| *own == id);
                failed.extend(lost.map(|(branch, _)| (branch.clone(), *at)));
                open.retain(|_, own| own != id);
            }
            _ => {}
        }
    }
    failed
}

/// Each final response to an INVITE of the server is acknowledged: a refusal in its transaction, a 2xx in its dialog.
pub(super) fn finals_are_acknowledged(evidence: &Evidence<'_>) -> Verdict {
    let messages = wire(evidence);
    let boots = u32::try_from(evidence.crashes().len()).unwrap_or(u32::MAX);
    let mut invites: BTreeMap<String, u32> = BTreeMap::new();
    // Nothing had come back when the connection closed: the transaction has failed (RFC 3261 §17.1.4).
    let failed = failed_with_their_connection(evidence);
    // When a branch last heard or said something that keeps its transaction alive: the INVITE, a provisional, the CANCEL.
    let mut given_up: BTreeMap<String, Instant> = BTreeMap::new();
    // A BYE that crosses the answer to a re-INVITE ends the wait for the ACK too.
    let mut over: BTreeMap<String, Instant> = BTreeMap::new();
    let mut again: BTreeSet<String> = BTreeSet::new();
    let mut cancelled: BTreeSet<String> = BTreeSet::new();
    for message in &messages {
        let text = &message.text;
        let branch = text.branch().to_string();
        match (message.sent, text.method(), text.status()) {
            (_, Some("BYE"), _) => {
                over.entry(text.call_id().to_string()).or_insert(message.at);
            }
            (true, Some("INVITE"), _) if !text.to_tag().is_empty() => {
                again.insert(branch);
            }
            (true, Some("INVITE"), _) => {
                let end = failed.get(&branch).copied();
                given_up
                    .entry(branch)
                    .or_insert(end.unwrap_or(message.at + TIMER_B));
            }
            (false, None, Some(101..=199)) if text.about() == "INVITE" => {
                // after a CANCEL there is no more waiting, however long it goes on ringing (RFC 3261 §9.1)
                if !cancelled.contains(&branch)
                    && let Some(at) = given_up.get_mut(&branch).filter(|at| message.at < **at)
                {
                    *at = (*at).max(message.at + TIMER_C);
                }
            }
            (true, Some("CANCEL"), _) if cancelled.insert(branch.clone()) => {
                given_up.insert(branch, message.at + TIMER_B);
            }
            _ => {}
        }
    }
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    let mut acks: BTreeSet<(String, u32, String)> = BTreeSet::new();
    let mut ack_branches: BTreeSet<String> = BTreeSet::new();
    for message in messages.iter().filter(|m| m.sent) {
        match message.text.method() {
            Some("INVITE") => {
                numbers
                    .entry(message.text.branch().to_string())
                    .or_insert(number(&message.text));
                invites
                    .entry(message.text.branch().to_string())
                    .or_insert(message.boot);
            }
            Some("ACK") => {
                ack_branches.insert(message.text.branch().to_string());
                acks.insert((
                    message.text.call_id().to_string(),
                    number(&message.text),
                    message.text.to_tag().to_string(),
                ));
            }
            _ => {}
        }
    }
    for message in messages.iter().filter(|m| !m.sent) {
        let text = &message.text;
        let (Some(status), "INVITE") = (text.status(), text.about().as_str()) else {
            continue;
        };
        if numbers.get(text.branch()) != Some(&number(text)) {
            continue; // a CSeq that nobody sent
        }
        // A server that died and came back knows nothing of the INVITEs of its former life.
        if status < 200 || invites.get(text.branch()) != Some(&boots) {
            continue;
        }
        let who = message.actor.map_or("somebody", |a| evidence.name(a));
        if given_up
            .get(text.branch())
            .is_some_and(|at| message.at >= *at)
        {
            continue; // nobody waits for it any more; its sender ends the dialog on its own
        }
        let ended = over.get(text.call_id()).is_some_and(|at| *at <= message.at);
        if ended && again.contains(text.branch()) {
            continue;
        }
        if status < 300 {
            let key = (
                text.call_id().to_string(),
                number(text),
                text.to_tag().to_string(),
            );
            if !acks.contains(&key) {
                let sentence = format!("{who}'s {status} to INVITE was never acknowledged");
                return Err((Some(message.at), sentence));
            }
        } else if !ack_branches.contains(text.branch()) {
            let sentence = format!("{who}'s {status} to INVITE was never acknowledged");
            return Err((Some(message.at), sentence));
        }
    }
    Ok(())
}

/// CANCEL leaves only after a provisional response and before the final one, repetitions too (RFC 3261 §9.1).
pub(super) fn cancel_only_when_allowed(evidence: &Evidence<'_>) -> Verdict {
    let mut provisional: BTreeSet<String> = BTreeSet::new();
    let mut ended: BTreeMap<String, Instant> = BTreeMap::new();
    for message in wire(evidence) {
        let branch = message.text.branch().to_string();
        match (message.sent, message.text.method(), message.text.status()) {
            (false, None, Some(status)) if message.text.about() == "INVITE" => {
                if status < 200 {
                    provisional.insert(branch);
                } else {
                    ended.entry(branch).or_insert(message.at);
                }
            }
            (true, Some("CANCEL"), _) => {
                if !provisional.contains(&branch) {
                    let sentence = "a CANCEL left before any provisional response came";
                    return Err((Some(message.at), sentence.into()));
                }
                // What came in the same batch was not read yet.
                let known = ended.get(&branch).is_some_and(|at| *at < message.at);
                if known {
                    let sentence = "a CANCEL left after the final response had come";
                    return Err((Some(message.at), sentence.into()));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// BYE and re-INVITE leave only in dialogs that a 2xx has made, and nothing but BYE after a BYE of either side. A BYE that came out of
/// order and was refused with 500 has ended nothing (RFC 3261 §12.2.2).
pub(super) fn bye_only_in_dialogs(evidence: &Evidence<'_>) -> Verdict {
    let messages = wire(evidence);
    let refused: BTreeSet<String> = messages
        .iter()
        .filter(|m| m.sent && m.text.about() == "BYE" && m.text.status() == Some(500))
        .map(|m| m.text.branch().to_string())
        .collect();
    let mut made: BTreeSet<(String, String)> = BTreeSet::new();
    // Who hangs up is one branch of a fork: the peer's tag counts.
    let mut over: BTreeMap<(String, String, String), Instant> = BTreeMap::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for message in messages {
        let text = &message.text;
        let about = text.about();
        // Our own tag and the Call-ID name the dialog: the peer's tag may differ between the branches of a fork.
        let ours = match (message.sent, text.method().is_some()) {
            (true, true) | (false, false) => text.from_tag(),
            (true, false) | (false, true) => text.to_tag(),
        };
        let dialog = (text.call_id().to_string(), ours.to_string());
        let theirs = if ours == text.from_tag() {
            text.to_tag()
        } else {
            text.from_tag()
        };
        let branch = (dialog.0.clone(), dialog.1.clone(), theirs.to_string());
        match (text.method(), text.status()) {
            (None, Some(status)) if about == "INVITE" && (200..300).contains(&status) => {
                made.insert(dialog);
            }
            (Some("BYE"), _) if !message.sent => {
                if refused.contains(text.branch()) {
                    continue;
                }
                over.entry(branch).or_insert(message.at);
            }
            (Some(method), _) if message.sent && !text.to_tag().is_empty() => {
                let key = format!("{}/{method}", text.branch());
                if method == "ACK" || method == "CANCEL" || !known.insert(key) {
                    continue;
                }
                if !made.contains(&dialog) && matches!(method, "BYE" | "INVITE") {
                    let sentence = format!("`{}` left outside of any confirmed dialog", text.start);
                    return Err((Some(message.at), sentence));
                }
                // the subscription of a REFER outlives its call (RFC 5057 §4.2)
                // What came in one read is answered together: a request of the same instant may have been first.
                let ended = over.get(&branch).is_some_and(|at| *at < message.at);
                if ended && !matches!(method, "BYE" | "NOTIFY") {
                    let sentence = format!("`{}` left in a dialog that had ended", text.start);
                    return Err((Some(message.at), sentence));
                }
                if method == "BYE" {
                    over.insert(branch, message.at);
                }
            }
            _ => {}
        }
    }
    Ok(())
}
