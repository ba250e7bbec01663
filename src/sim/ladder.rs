//! A trace as a ladder: one column per party, one arrow per message, the virtual time in milliseconds in front.

use std::fmt::Write as _;

use super::media::MediaOrder;
use super::trace::{Happening, Trace};
use super::wire::{self, Text};
use crate::base::Instant;

const WIDTH: usize = 48;

/// What a ladder shows.
pub struct Ladder<'a> {
    /// Begins here; times count from here.
    pub from: Instant,
    /// Ends here.
    pub until: Instant,
    /// Peers by name, in the order of their columns; the server stands where `server` is found.
    pub columns: &'a [&'a str],
    /// Names of all peers of the world, by number.
    pub names: &'a [String],
    /// Shows what the media plane was told, too.
    pub media: bool,
    /// Shows published facts, reports of the media plane, commands and their answers, too.
    pub facts: bool,
}

/// The name of the server's column.
pub const SERVER: &str = "strowger";

fn label(bytes: &[u8]) -> String {
    let Ok(text) = Text::parse(bytes) else {
        return format!("{} bytes that are no SIP", bytes.len());
    };
    let (number, about) = text.cseq().unwrap_or((0, String::new()));
    let mut label = match (text.method(), text.status()) {
        (Some(method), _) => {
            let user = wire::user_of(text.uri().unwrap_or(""));
            match (method, text.to_tag().is_empty()) {
                ("INVITE", true) => format!("INVITE {user} {number}"),
                (_, _) => format!("{method} {number}"),
            }
        }
        (None, Some(status)) => {
            let reason = text.start.splitn(3, ' ').nth(2).unwrap_or("");
            format!("{status} {reason} ({number} {about})")
        }
        _ => text.start.clone(),
    };
    if text.get("Authorization").is_some() || text.get("Proxy-Authorization").is_some() {
        label.push_str(" +auth");
    }
    if let Some(port) = wire::sdp_port(&text.body) {
        match wire::sdp_direction(&text.body) {
            _ if port == 0 => label.push_str(" sdp:refused"),
            "sendrecv" => label.push_str(" sdp"),
            other => {
                let _ = write!(label, " sdp:{other}");
            }
        }
    }
    label
}

impl Ladder<'_> {
    /// Draws the whole trace.
    pub fn draw(&self, trace: &Trace) -> String {
        let mut out = String::new();
        let mut streams = Streams::default();
        let _ = write!(out, "{:>9} ", "ms");
        for name in self.columns {
            let _ = write!(out, "{name:<WIDTH$}");
        }
        out = out.trim_end().to_string();
        out.push('\n');
        for (at, happening) in trace.entries() {
            if *at < self.from || *at > self.until {
                continue;
            }
            let line = match happening {
                Happening::PeerSent { actor, bytes, .. } => {
                    self.arrow(self.column_of(*actor), self.column(SERVER), &label(bytes))
                }
                Happening::NodeSent {
                    actor: Some(actor),
                    bytes,
                    ..
                } => self.arrow(self.column(SERVER), self.column_of(*actor), &label(bytes)),
                Happening::NodeSent {
                    actor: None,
                    path,
                    bytes,
                } => Some(format!("* to nobody at {}: {}", path.remote, label(bytes))),
                Happening::MediaOrder(order) if self.media => {
                    Some(format!("* {}", told(order, &mut streams)))
                }
                Happening::Event(event) if self.facts => {
                    Some(format!("* {}", event.get("fact").unwrap_or(event)))
                }
                Happening::MediaReport(report) if self.facts => Some(format!("* {report:?}")),
                Happening::Command(id, command) if self.facts => {
                    Some(format!("* command {id}: {command}"))
                }
                Happening::Reply(id, reply) if self.facts => Some(format!("* reply {id}: {reply}")),
                Happening::Log(false, text) if self.facts => Some(format!("* log: {text}")),
                Happening::Crash(_) => Some("* the server dies".to_string()),
                Happening::Restart { .. } => Some("* the server is back".to_string()),
                Happening::JournalRefuses(true) => Some("* the journal refuses".to_string()),
                Happening::JournalRefuses(false) => Some("* the journal writes again".to_string()),
                Happening::Healing => Some("* healing".to_string()),
                Happening::Note(text) => Some(format!("* {text}")),
                Happening::Log(true, text) => Some(format!("* fault: {text}")),
                _ => None,
            };
            if let Some(line) = line {
                let _ = writeln!(
                    out,
                    "{:>9} {}",
                    (*at - self.from).as_millis(),
                    line.trim_end()
                );
            }
        }
        out
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| *c == name)
    }

    fn column_of(&self, actor: usize) -> Option<usize> {
        self.column(self.names.get(actor)?)
    }

    fn arrow(&self, from: Option<usize>, to: Option<usize>, label: &str) -> Option<String> {
        let (from, to) = (from?, to?);
        let (left, right) = (from.min(to), from.max(to));
        let gap = format!("|{}", " ".repeat(WIDTH - 1));
        let mut line = gap.repeat(left);
        line.push('|');
        let body = format!(" {label} ");
        let fill = (WIDTH * (right - left) - 2).saturating_sub(body.chars().count());
        let (before, after) = ("-".repeat(fill / 2), "-".repeat(fill - fill / 2));
        if from < to {
            let _ = write!(line, "{before}{body}{after}>");
        } else {
            let _ = write!(line, "<{before}{body}{after}");
        }
        line.push_str(&gap.repeat(self.columns.len() - right));
        Some(line)
    }
}

/// Streams by the order in which they appear: their own numbers begin anywhere.
#[derive(Default)]
struct Streams(Vec<u64>);

impl Streams {
    fn name(&mut self, stream: u64) -> String {
        let place = self.0.iter().position(|known| *known == stream);
        let place = place.unwrap_or_else(|| {
            self.0.push(stream);
            self.0.len() - 1
        });
        format!("stream {}", place + 1)
    }
}

fn told(order: &MediaOrder, streams: &mut Streams) -> String {
    let mut name = |stream: &u64| streams.name(*stream);
    match order {
        MediaOrder::Open { stream, .. } => format!("media: open {}", name(stream)),
        MediaOrder::Agree {
            stream,
            remote,
            due,
        } => format!(
            "media: agree {} with {}{}",
            name(stream),
            remote.map_or("nobody".to_string(), |r| r.to_string()),
            if *due { "" } else { ", nothing due" }
        ),
        MediaOrder::Join { a, b } => format!("media: join {} and {}", name(a), name(b)),
        MediaOrder::Part { stream } => format!("media: part {}", name(stream)),
        MediaOrder::Play {
            stream,
            files,
            repeat,
            ..
        } => format!(
            "media: play {} to {}{}",
            files.join(", "),
            name(stream),
            if *repeat { " over and over" } else { "" }
        ),
        MediaOrder::Stop { stream } => format!("media: stop {}", name(stream)),
        MediaOrder::Echo { stream } => format!("media: echo {}", name(stream)),
        MediaOrder::Close { stream } => format!("media: close {}", name(stream)),
    }
}
