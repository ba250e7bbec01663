//! The adapter: a real `Switch` behind the world's `Node`, with its configuration read from text and its journal kept as JSON.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::house;
use super::media::{MediaOrder, MediaReport};
use super::node::{Node, NodeEffect, NodeInput, NodeMaker, Path, Residue};
use super::plan::Plan;
use crate::acd::BrokenRule;
use crate::base::{Duration, Entropy, Instant, Now};
use crate::config::{self, ListenAddress, Settings, SipProfile};
use crate::media::{MediaCommand, MediaEvent, StreamId, StreamStatistics};
use crate::sdp::Direction;
use crate::switch::{
    Answer, Boot, Command, Effect, Effects, Input, Level, LoadLevel, Record, Switch,
};
use crate::transport::{ConnectionId, Flow, Located, ProfileId, TargetHost, Transport};

/// The switch, and what is needed to speak to it.
struct SwitchNode {
    switch: Switch,
    listeners: Vec<(SocketAddr, ProfileId, Transport)>,
    /// What the files on its disk say, for the next life too.
    settings: Rc<RefCell<Arc<Settings>>>,
}

/// Makes switches for a plan.
pub fn maker(plan: &Plan) -> NodeMaker {
    maker_of(&house::files_of(plan), plan.seed)
}

/// Makes switches that read these files.
///
/// # Panics
/// When the files are refused: the house is ours, and its files must be right.
pub fn maker_of(files: &[(String, String)], seed: u64) -> NodeMaker {
    let settings = match load(files) {
        Ok(settings) => Rc::new(RefCell::new(Arc::new(settings))),
        Err(words) => panic!("the simulated house is misconfigured:\n{words}"),
    };
    Box::new(move |now, boots| {
        let current = settings.borrow().clone();
        let listeners = current
            .profiles
            .iter()
            .zip(0_u16..)
            .flat_map(|(p, n)| {
                let listener = move |l: &ListenAddress| (l.address, ProfileId(n), l.transport);
                p.listen.iter().map(listener)
            })
            .collect();
        let boot = Boot {
            entropy: Entropy::from_number(seed.wrapping_mul(31).wrapping_add(u64::from(boots) + 1)),
            primary: house::internal().ip(),
            media_workers: 1,
        };
        Box::new(SwitchNode {
            switch: Switch::new(now, current, boot),
            listeners,
            settings: settings.clone(),
        })
    })
}

/// Reads files as a configuration directory; else what is wrong with them.
fn load(files: &[(String, String)]) -> Result<Settings, String> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let name = format!("strowger-sim-{}-{serial}", std::process::id());
    let directory: PathBuf = std::env::temp_dir().join(name);
    for (file, text) in files {
        let path = directory.join(file);
        let parent = path.parent().expect("a file in a directory");
        std::fs::create_dir_all(parent).expect("the temporary directory can be written");
        std::fs::write(path, text).expect("the temporary directory can be written");
    }
    let loaded = config::load(&directory);
    // What stays behind in the temporary directory harms nobody.
    let _ = std::fs::remove_dir_all(&directory);
    let mut settings = loaded.map_err(|problems| {
        let words: Vec<String> = problems.iter().map(|p| p.message.clone()).collect();
        words.join("; ")
    })?;
    for profile in &mut settings.profiles {
        let mut secure = SipProfile::clone(profile);
        for listen in &mut secure.listen {
            // There are no certificates in this world: what the files call TCP on the port of TLS is TLS to the switch.
            if listen.address.port() == 5061 {
                listen.transport = Transport::Tls;
            }
        }
        *profile = Arc::new(secure);
    }
    Ok(settings)
}

impl SwitchNode {
    fn flow(&self, path: &Path) -> Flow {
        let (profile, transport) = self
            .listeners
            .iter()
            .find(|(address, _, transport)| {
                *address == path.local && transport.is_reliable() == path.stream
            })
            .map_or((ProfileId(0), Transport::Udp), |(_, profile, transport)| {
                (*profile, *transport)
            });
        Flow {
            profile,
            transport,
            local: path.local,
            remote: path.remote,
            connection: path.connection.map(ConnectionId),
        }
    }

    fn input(&self, input: NodeInput) -> Result<Input, String> {
        Ok(match input {
            NodeInput::Received { path, bytes } => Input::Received {
                flow: self.flow(&path),
                bytes,
            },
            NodeInput::Closed { path } => Input::ConnectionClosed {
                connection: ConnectionId(path.connection.unwrap_or(0)),
            },
            NodeInput::SendFailed { path } => Input::SendFailed {
                flow: self.flow(&path),
            },
            NodeInput::Tick => Input::Tick,
            NodeInput::Media(report) => Input::Media(event_of(report)),
            NodeInput::Command { id, command } => {
                let command: Command =
                    serde_json::from_value(command).map_err(|e| format!("not a command: {e}"))?;
                Input::Command { id, command }
            }
            NodeInput::Restore(line) => {
                let record: Record = serde_json::from_str(&line)
                    .map_err(|e| format!("the journal cannot be read back: {e} in {line}"))?;
                Input::Restore(Box::new(record))
            }
            NodeInput::Ready => Input::Ready,
            NodeInput::StoreHealth { ok } => Input::StoreHealth { ok },
            NodeInput::Resolved { query, places, ttl } => Input::Resolved {
                query,
                places: places
                    .into_iter()
                    .map(|address| Located::literal(Transport::Udp, address))
                    .collect(),
                ttl,
            },
            NodeInput::Load { level } => Input::Load {
                level: match level {
                    0 => LoadLevel::Easy,
                    1 => LoadLevel::High,
                    _ => LoadLevel::Severe,
                },
            },
            NodeInput::Reload { files } => {
                let mut new = load(&files)?;
                let old = self.settings.borrow().clone();
                new.take_over_from(&old);
                let new = Arc::new(new);
                *self.settings.borrow_mut() = new.clone();
                Input::Settings(new)
            }
        })
    }
}

fn event_of(report: MediaReport) -> MediaEvent {
    match report {
        MediaReport::Latched { stream, remote } => MediaEvent::Latched {
            stream: StreamId(stream),
            remote,
        },
        MediaReport::Digit { stream, digit } => MediaEvent::Digit {
            stream: StreamId(stream),
            digit,
            duration: Duration::from_millis(100),
        },
        MediaReport::PlayEnded { stream, play } => MediaEvent::PlayEnded {
            stream: StreamId(stream),
            play,
        },
        MediaReport::Silent { stream, since } => MediaEvent::Silent {
            stream: StreamId(stream),
            silence: since,
        },
        MediaReport::Closed { stream } => MediaEvent::Closed {
            stream: StreamId(stream),
            statistics: StreamStatistics::default(),
        },
    }
}

fn order_of(command: MediaCommand) -> MediaOrder {
    match command {
        MediaCommand::Open { stream, local } => MediaOrder::Open {
            stream: stream.0,
            local,
        },
        MediaCommand::Agree { stream, plan, .. } => MediaOrder::Agree {
            stream: stream.0,
            remote: plan.remote_rtp,
            due: matches!(plan.direction, Direction::SendRecv | Direction::RecvOnly)
                && !plan.remote_hold,
        },
        MediaCommand::Join { a, b } => MediaOrder::Join { a: a.0, b: b.0 },
        MediaCommand::Part { stream } => MediaOrder::Part { stream: stream.0 },
        MediaCommand::Play {
            stream,
            play,
            files,
            repeat,
        } => MediaOrder::Play {
            stream: stream.0,
            play,
            files,
            repeat,
        },
        MediaCommand::Stop { stream } => MediaOrder::Stop { stream: stream.0 },
        MediaCommand::Echo { stream } => MediaOrder::Echo { stream: stream.0 },
        // the virtual world has no mixer: a member is a stream that nobody relays
        MediaCommand::Mix { stream, .. } => MediaOrder::Part { stream: stream.0 },
        MediaCommand::Close { stream } => MediaOrder::Close { stream: stream.0 },
    }
}

fn written(record: &Record) -> NodeEffect {
    match serde_json::to_string(record) {
        Ok(line) => NodeEffect::Journal(line.into()),
        Err(e) => NodeEffect::Log {
            fault: true,
            text: format!("a record cannot be written: {e}"),
        },
    }
}

fn push_effect(effect: Effect, fx: &mut Vec<NodeEffect>) {
    match effect {
        Effect::Send { flow, bytes } => fx.push(NodeEffect::Send {
            path: Path {
                stream: flow.transport.is_reliable(),
                local: flow.local,
                remote: flow.remote,
                connection: flow.connection.map(|c| c.0),
            },
            bytes,
        }),
        // nobody in the simulated network speaks TLS
        Effect::Expect { .. } | Effect::Alias { .. } => {}
        Effect::CloseConnection(connection) => fx.push(NodeEffect::Close {
            connection: connection.0,
        }),
        Effect::Media(command) => fx.push(NodeEffect::Media(order_of(command))),
        Effect::Journal(record) => fx.push(written(&record)),
        Effect::Event(event) => {
            fx.push(written(&Record::Event((*event).clone())));
            fx.push(NodeEffect::Event(json!(&*event)));
        }
        Effect::Reply { id, reply } => {
            let reply = match reply {
                Ok(answer) => json!({ "ok": answer }),
                Err(refusal) => json!({ "refused": refusal }),
            };
            fx.push(NodeEffect::Reply { id, reply });
        }
        Effect::Resolve { query, target } => fx.push(NodeEffect::Resolve {
            query,
            name: match target.host {
                TargetHost::Name(name) => name,
                TargetHost::Address(ip) => ip.to_string(),
            },
        }),
        Effect::Log { level, text } => fx.push(NodeEffect::Log {
            // The simulated disk is to blame for this one, not the switch.
            fault: level == Level::Error && !text.starts_with("the journal cannot be written"),
            text,
        }),
    }
}

impl Node for SwitchNode {
    fn handle(&mut self, now: Now, input: NodeInput, fx: &mut Vec<NodeEffect>) {
        let refusable = matches!(input, NodeInput::Reload { .. });
        let input = match self.input(input) {
            Ok(input) => input,
            Err(text) => {
                let text = if refusable {
                    format!("refused: {text}")
                } else {
                    text
                };
                fx.push(NodeEffect::Log {
                    fault: !refusable,
                    text,
                });
                return;
            }
        };
        let mut effects = Effects::new();
        self.switch.handle(now, input, &mut effects);
        for effect in effects.drain() {
            push_effect(effect, fx);
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.switch.next_deadline()
    }

    fn residue(&mut self) -> Residue {
        let left = self.switch.residue();
        Residue(vec![
            ("calls", left.calls),
            ("legs", left.legs),
            ("running dialplans", left.routings),
            ("transactions", left.transactions),
            ("timers", left.timers),
            ("ports", left.ports),
            ("offers", left.offers),
            ("work items", left.work_items),
        ])
    }

    fn bindings(&mut self, now: Now) -> Vec<(String, String)> {
        let mut effects = Effects::new();
        let input = Input::Command {
            id: 0,
            command: Command::Registrations,
        };
        self.switch.handle(now, input, &mut effects);
        let mut all: Vec<(String, String)> = effects
            .drain()
            .filter_map(|effect| match effect {
                Effect::Reply {
                    reply: Ok(Answer::Registrations(list)),
                    ..
                } => Some(list),
                _ => None,
            })
            .flatten()
            .map(|view| (view.aor.to_string(), view.contact.to_string()))
            .collect();
        all.sort();
        all
    }

    fn break_rule(&mut self, rule: &str) -> bool {
        match rule {
            "offer-during-wrap" => self.switch.break_rule(BrokenRule::OfferDuringWrap),
            _ => return false,
        }
        true
    }
}
