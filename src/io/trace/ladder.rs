//! The ladder of one call: every message and media event of its legs that is still kept, with what we did in between.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::mask::masked;
use super::{Heading, Page, Trace, What, media_words, words};
use crate::base::{Duration, Ulid, WallTime};
use crate::event::{CallRecord, Party};
use crate::media::{MediaCommand, StreamId};
use crate::switch::Fact;
use crate::transport::Flow;

/// Entries shown of one call at most.
const ENTRIES_MAX: usize = 5_000;
/// An order to open a port and the message that names the port leave in one batch, in either order.
const SAME_BATCH: Duration = Duration::from_secs(1);

/// What is kept of a call.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Ladder {
    /// The call.
    #[schema(value_type = String)]
    pub call: Ulid,
    /// False when the beginning is no longer in memory, or was before the process started.
    pub complete: bool,
    /// Its legs, in order of their start.
    pub legs: Vec<LadderLeg>,
    /// What happened, in order; at most 5,000 entries.
    pub entries: Vec<LadderEntry>,
}

/// One leg of the ladder.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct LadderLeg {
    /// Its id.
    #[schema(value_type = String)]
    pub id: Ulid,
    /// `caller`, `callee` or `agent`.
    #[schema(value_type = String)]
    pub role: Arc<str>,
    /// The party.
    pub party: Party,
    /// Call-ID of its dialog.
    pub call_id: String,
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LadderKind {
    /// A SIP message.
    Sip,
    /// Something about the audio of a leg.
    Media,
    /// Something that this server did or saw.
    Remark,
}

/// One rung.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct LadderEntry {
    /// When: the start of the batch in which it was handled.
    #[schema(value_type = String)]
    pub at: WallTime,
    /// What it is.
    pub kind: LadderKind,
    /// Index of the leg in `legs`; absent for what concerns the call as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<usize>,
    /// `in` or `out`, of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<&'static str>,
    /// `UDP`, `TCP`, `TLS`, `WS` or `WSS`, of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<&'static str>,
    /// Our address, of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// The peer's address, of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// `INVITE`, `180 Ringing`, `agreed PCMA with …`.
    pub what: String,
    /// The whole message, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A message of a call.
pub(super) struct Found<'a> {
    pub(super) at: WallTime,
    pub(super) leg: usize,
    pub(super) way: Heading,
    pub(super) flow: Flow,
    pub(super) bytes: &'a [u8],
}

/// Finds the messages of a call by the Call-IDs of its legs.
pub(super) struct Legs(HashMap<Vec<u8>, usize>);

impl Legs {
    pub(super) fn of(record: &CallRecord) -> Legs {
        let legs = record.legs.iter().enumerate();
        Legs(
            legs.map(|(index, leg)| (leg.call_id.clone().into_bytes(), index))
                .collect(),
        )
    }

    /// The message at `entry`, if it is one of this call.
    pub(super) fn message<'a>(&self, page: &'a Page, entry: &super::Entry) -> Option<Found<'a>> {
        let What::Message {
            way,
            flow,
            first,
            length,
        } = entry.what
        else {
            return None;
        };
        let bytes = page.message(first, length);
        let leg = *self.0.get(call_id(bytes)?)?;
        Some(Found {
            at: entry.at,
            leg,
            way,
            flow,
            bytes,
        })
    }
}

/// The value of the first Call-ID.
fn call_id(message: &[u8]) -> Option<&[u8]> {
    for line in message.split(|byte| *byte == b'\n').skip(1) {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return None;
        }
        let colon = memchr::memchr(b':', line)?;
        let name = line.get(..colon)?.trim_ascii_end();
        if name.eq_ignore_ascii_case(b"Call-ID") || name.eq_ignore_ascii_case(b"i") {
            return Some(line.get(colon + 1..)?.trim_ascii());
        }
    }
    None
}

/// `INVITE` or `180 Ringing`, and whether a session description is in it.
fn title(message: &[u8]) -> String {
    let line = message
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let title = match line.strip_prefix(b"SIP/2.0 ") {
        Some(status) => {
            // of which request, where it is not plain
            let method = super::cseq(message).unwrap_or_default();
            let method = method
                .split(|byte| byte.is_ascii_whitespace())
                .next()
                .unwrap_or_default();
            let status = String::from_utf8_lossy(status).into_owned();
            if method.is_empty() || method == b"INVITE" {
                status
            } else {
                format!("{status} ({})", String::from_utf8_lossy(method))
            }
        }
        None => {
            let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            String::from_utf8_lossy(method).into_owned()
        }
    };
    let described = memchr::memmem::find(message, b"\nm=audio ").is_some();
    let safe: String = title.chars().filter(|c| !c.is_control()).take(80).collect();
    if described { safe + " SDP" } else { safe }
}

/// The port of the first audio stream in a session description.
fn audio_port(message: &[u8]) -> Option<u16> {
    const LINE: &[u8] = b"\nm=audio ";
    let at = memchr::memmem::find(message, LINE)? + LINE.len();
    let digits = message
        .get(at..)?
        .split(|byte| *byte == b' ')
        .next()
        .and_then(|digits| std::str::from_utf8(digits).ok())?;
    digits.parse().ok()
}

/// Which stream is whose: a message of ours names the port that an order opened just before, or just after.
fn streams(pages: &[Arc<Page>], legs: &Legs) -> HashMap<StreamId, usize> {
    let mut opened: HashMap<u16, Vec<(WallTime, StreamId)>> = HashMap::new();
    let mut named = HashSet::new();
    for page in pages {
        for entry in &page.entries {
            if let What::Order(order) = &entry.what {
                if let MediaCommand::Open { stream, local } = &**order {
                    let at_port = opened.entry(local.port()).or_default();
                    at_port.push((entry.at, *stream));
                }
            } else if let Some(found) = legs.message(page, entry)
                && found.way == Heading::Out
                && let Some(port) = audio_port(found.bytes)
            {
                named.insert((port, found.leg, found.at));
            }
        }
    }
    let mut streams = HashMap::new();
    for (port, leg, at) in named {
        let last = opened.get(&port).into_iter().flatten();
        let last = last
            .filter(|(opened, _)| *opened <= at + SAME_BATCH)
            .max_by_key(|(opened, _)| *opened);
        if let Some((_, stream)) = last {
            streams.insert(*stream, leg);
        }
    }
    streams
}

/// Draws what is kept of the call with this record.
pub fn draw(trace: &Trace, record: &CallRecord) -> Ladder {
    let (pages, forgot) = trace.look();
    let legs = Legs::of(record);
    let streams = streams(&pages, &legs);
    let mut items = HashSet::new();
    let mut entries = Vec::new();
    let oldest = pages
        .iter()
        .find_map(|page| page.entries.first())
        .map(|e| e.at);
    'pages: for page in &pages {
        for entry in &page.entries {
            if entries.len() == ENTRIES_MAX {
                break 'pages;
            }
            entries.extend(rung(page, entry, record, &legs, &streams, &mut items));
        }
    }
    let begun = entries
        .first()
        .is_some_and(|first| first.at <= record.started_at + SAME_BATCH);
    Ladder {
        call: record.id,
        complete: begun && !(forgot && oldest.is_none_or(|oldest| oldest >= record.started_at)),
        legs: record
            .legs
            .iter()
            .map(|leg| LadderLeg {
                id: leg.id,
                role: leg.role.clone(),
                party: leg.party.clone(),
                call_id: leg.call_id.clone(),
            })
            .collect(),
        entries,
    }
}

fn rung(
    page: &Page,
    entry: &super::Entry,
    record: &CallRecord,
    legs: &Legs,
    streams: &HashMap<StreamId, usize>,
    items: &mut HashSet<Ulid>,
) -> Option<LadderEntry> {
    let remark = |leg: Option<usize>, kind, what| LadderEntry {
        at: entry.at,
        kind,
        leg,
        direction: None,
        transport: None,
        local: None,
        remote: None,
        what,
        message: None,
    };
    match &entry.what {
        What::Message { .. } => {
            let found = legs.message(page, entry)?;
            Some(LadderEntry {
                at: found.at,
                kind: LadderKind::Sip,
                leg: Some(found.leg),
                direction: Some(match found.way {
                    Heading::In => "in",
                    Heading::Out => "out",
                }),
                transport: Some(found.flow.transport.as_str()),
                local: Some(found.flow.local.to_string()),
                remote: Some(found.flow.remote.to_string()),
                what: title(found.bytes),
                message: Some(String::from_utf8_lossy(&masked(found.bytes)).into_owned()),
            })
        }
        What::Order(order) => {
            let leg = *streams.get(&order.stream())?;
            Some(remark(
                Some(leg),
                LadderKind::Media,
                media_words::order(order)?,
            ))
        }
        What::Report(report) => {
            let leg = *streams.get(&report.stream())?;
            Some(remark(
                Some(leg),
                LadderKind::Media,
                media_words::report(report)?,
            ))
        }
        What::Fact(event) => match &event.fact {
            Fact::Call(fact) if fact.call() == record.id => {
                let (leg, what) = words::of_call(fact)?;
                let leg = leg.and_then(|leg| record.legs.iter().position(|known| known.id == leg));
                Some(remark(leg, LadderKind::Remark, what))
            }
            Fact::Acd(fact) => {
                let item = words::item_of(fact)?;
                if words::named_call(fact) == Some(record.id) {
                    items.insert(item);
                }
                if !items.contains(&item) {
                    return None;
                }
                Some(remark(None, LadderKind::Remark, words::of_queue(fact)?))
            }
            Fact::Gates(gates) if gates.call == Some(record.id) => {
                Some(remark(None, LadderKind::Remark, words::of_gates(gates)))
            }
            Fact::Gates(_) => None,
            Fact::Call(_) | Fact::Registration(_) | Fact::Trunk(_) | Fact::Server { .. } => None,
        },
    }
}

/// Every message of the call, for a capture file.
pub(super) fn each_message(trace: &Trace, record: &CallRecord, mut each: impl FnMut(Found<'_>)) {
    let (pages, _) = trace.look();
    let legs = Legs::of(record);
    for page in &pages {
        for entry in &page.entries {
            if let Some(found) = legs.message(page, entry) {
                each(found);
            }
        }
    }
}

#[cfg(test)]
#[path = "ladder_tests.rs"]
mod tests;
