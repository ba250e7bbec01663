//! The simulated media plane: streams without packets. It answers orders with the reports that real workers would give, from
//! what the peers say about themselves (who speaks where, who presses which key).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::{Duration, Instant};

/// What the server tells the media plane.
#[derive(Clone, PartialEq, Debug)]
pub enum MediaOrder {
    /// Bind a stream.
    Open {
        /// The stream.
        stream: u64,
        /// Its address.
        local: SocketAddr,
    },
    /// Offer and answer are through.
    Agree {
        /// The stream.
        stream: u64,
        /// Where the peer receives.
        remote: Option<SocketAddr>,
        /// True when packets from the peer are due.
        due: bool,
    },
    /// Relay between two streams.
    Join {
        /// One.
        a: u64,
        /// The other.
        b: u64,
    },
    /// Leave the relay.
    Part {
        /// The stream.
        stream: u64,
    },
    /// Play files one after the other.
    Play {
        /// The stream.
        stream: u64,
        /// Names this playing.
        play: u32,
        /// What to play.
        files: Vec<Arc<str>>,
        /// Over and over.
        repeat: bool,
    },
    /// Stop playing.
    Stop {
        /// The stream.
        stream: u64,
    },
    /// Send back what comes.
    Echo {
        /// The stream.
        stream: u64,
    },
    /// Free the stream.
    Close {
        /// The stream.
        stream: u64,
    },
}

/// What the media plane reports.
#[derive(Clone, PartialEq, Debug)]
pub enum MediaReport {
    /// The first packet came.
    Latched {
        /// The stream.
        stream: u64,
        /// Where from.
        remote: SocketAddr,
    },
    /// A key was pressed.
    Digit {
        /// The stream.
        stream: u64,
        /// Which key.
        digit: char,
    },
    /// Playing has come to its end.
    PlayEnded {
        /// The stream.
        stream: u64,
        /// Which playing.
        play: u32,
    },
    /// Nothing has come for that long although it is due.
    Silent {
        /// The stream.
        stream: u64,
        /// For how long.
        since: Duration,
    },
    /// The stream is freed.
    Closed {
        /// The stream.
        stream: u64,
    },
}

/// How long one prompt plays in the simulated world.
pub const PROMPT: Duration = Duration::from_millis(1500);
/// How long a stream stays silent before the plane says so.
pub const SILENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Stream {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    due: bool,
    agreed: u32,
    playing: Option<u32>,
    joined: Option<u64>,
}

/// What the plane wants to look at later.
#[derive(Clone, PartialEq, Debug)]
pub enum MediaTimer {
    /// See whether packets come by now.
    Latch(u64, u32),
    /// A playing may have ended.
    PlayEnd(u64, u32),
    /// Silence may be long enough.
    Silence(u64, u32),
    /// Report that a stream is freed.
    Closed(u64),
}

/// All streams of one server, and what the peers do with their audio.
#[derive(Default)]
pub struct MediaPlane {
    streams: BTreeMap<u64, Stream>,
    speaking: BTreeSet<SocketAddr>,
    ports: BTreeMap<SocketAddr, u64>,
    /// Faults of the server that only the media plane can see.
    pub complaints: Vec<String>,
}

impl MediaPlane {
    /// Takes an order; what it wants to look at later goes to `later`, with the delay.
    pub fn order(&mut self, order: &MediaOrder, later: &mut Vec<(Duration, MediaTimer)>) {
        match order {
            MediaOrder::Open { stream, local } => {
                if let Some(other) = self.ports.insert(*local, *stream) {
                    self.complaints.push(format!(
                        "stream {stream} was opened on {local}, where stream {other} still is"
                    ));
                }
                let fresh = Stream {
                    local: Some(*local),
                    ..Stream::default()
                };
                if self.streams.insert(*stream, fresh).is_some() {
                    self.complaints
                        .push(format!("stream {stream} was opened twice"));
                }
            }
            MediaOrder::Agree {
                stream,
                remote,
                due,
            } => {
                let Some(place) = self.known(*stream, "agreed") else {
                    return;
                };
                place.remote = *remote;
                place.due = *due;
                place.agreed += 1;
                let agreed = place.agreed;
                later.push((
                    Duration::from_millis(40),
                    MediaTimer::Latch(*stream, agreed),
                ));
                later.push((SILENCE, MediaTimer::Silence(*stream, agreed)));
            }
            MediaOrder::Join { a, b } => {
                for (one, other) in [(*a, *b), (*b, *a)] {
                    if let Some(place) = self.known(one, "joined") {
                        let before = place.joined.replace(other);
                        place.playing = None;
                        if let Some(before) = before.filter(|x| *x != other)
                            && let Some(place) = self.streams.get_mut(&before)
                        {
                            place.joined = None;
                        }
                    }
                }
            }
            MediaOrder::Part { stream } => self.part(*stream),
            MediaOrder::Play {
                stream,
                play,
                files,
                repeat,
            } => {
                let Some(place) = self.known(*stream, "played to") else {
                    return;
                };
                place.playing = Some(*play);
                if !repeat {
                    let length = PROMPT * u32::try_from(files.len()).unwrap_or(1);
                    later.push((length, MediaTimer::PlayEnd(*stream, *play)));
                }
            }
            MediaOrder::Stop { stream } => {
                if let Some(place) = self.known(*stream, "stopped") {
                    place.playing = None;
                }
            }
            MediaOrder::Echo { stream } => {
                self.known(*stream, "made an echo");
            }
            MediaOrder::Close { stream } => {
                self.part(*stream);
                match self.streams.remove(stream) {
                    Some(place) => {
                        if let Some(local) = place.local {
                            self.ports.remove(&local);
                        }
                        later.push((Duration::from_millis(1), MediaTimer::Closed(*stream)));
                    }
                    None => self
                        .complaints
                        .push(format!("stream {stream} was closed but is not open")),
                }
            }
        }
    }

    /// A time that the plane asked for has come.
    pub fn timer(
        &mut self,
        timer: &MediaTimer,
        later: &mut Vec<(Duration, MediaTimer)>,
    ) -> Option<MediaReport> {
        match timer {
            MediaTimer::Latch(stream, agreed) => {
                let place = self.streams.get(stream).filter(|p| p.agreed == *agreed)?;
                let remote = place.remote.filter(|r| self.speaking.contains(r))?;
                place.due.then_some(MediaReport::Latched {
                    stream: *stream,
                    remote,
                })
            }
            MediaTimer::PlayEnd(stream, play) => {
                let place = self.streams.get_mut(stream)?;
                if place.playing != Some(*play) {
                    return None;
                }
                place.playing = None;
                Some(MediaReport::PlayEnded {
                    stream: *stream,
                    play: *play,
                })
            }
            MediaTimer::Silence(stream, agreed) => {
                let place = self.streams.get(stream).filter(|p| p.agreed == *agreed)?;
                let speaks = place.remote.is_some_and(|r| self.speaking.contains(&r));
                later.push((SILENCE, timer.clone()));
                (place.due && !speaks).then_some(MediaReport::Silent {
                    stream: *stream,
                    since: SILENCE,
                })
            }
            MediaTimer::Closed(stream) => Some(MediaReport::Closed { stream: *stream }),
        }
    }

    /// A peer speaks at `address` from now on.
    pub fn speak(&mut self, address: SocketAddr) {
        self.speaking.insert(address);
    }

    /// A peer is silent at `address` from now on.
    pub fn mute(&mut self, address: SocketAddr) {
        self.speaking.remove(&address);
    }

    /// A peer that receives at `address` presses a key: the stream that hears it, if one does.
    pub fn press(&self, address: SocketAddr, digit: char) -> Option<MediaReport> {
        let (stream, _) = self
            .streams
            .iter()
            .find(|(_, place)| place.remote == Some(address))?;
        Some(MediaReport::Digit {
            stream: *stream,
            digit,
        })
    }

    /// The peer address that hears the peer at `address` through a relay, if one does.
    pub fn heard_by(&self, address: SocketAddr) -> Option<SocketAddr> {
        let place = self.streams.values().find(|p| p.remote == Some(address))?;
        self.streams.get(&place.joined?)?.remote
    }

    /// The process died: all streams are gone, nothing is reported.
    pub fn crash(&mut self) {
        self.streams.clear();
        self.ports.clear();
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.streams.len()
    }

    fn known(&mut self, stream: u64, verb: &str) -> Option<&mut Stream> {
        if !self.streams.contains_key(&stream) {
            self.complaints
                .push(format!("stream {stream} was {verb} but is not open"));
        }
        self.streams.get_mut(&stream)
    }

    fn part(&mut self, stream: u64) {
        let other = self.streams.get_mut(&stream).and_then(|p| p.joined.take());
        if let Some(place) = other.and_then(|o| self.streams.get_mut(&o)) {
            place.joined = None;
        }
    }
}

/// An instant in milliseconds, for ladders and sentences.
pub fn millis(at: Instant) -> u64 {
    at.as_nanos() / 1_000_000
}
