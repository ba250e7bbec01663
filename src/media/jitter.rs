//! The jitter buffer: packets go in as they come and come out in their order at an even pace, as late as the network makes necessary.
//!
//! The delay that is aimed at is what 97 of 100 packets need, counted over the last ten seconds or so. It is reached at the beginnings
//! of talk spurts; within speech by stretching a frame when packets come too late, and by leaving out a quiet one when they have been
//! waiting too long. No clock is read: `now` comes in with each call.

use std::collections::VecDeque;

use crate::base::Instant;
use crate::rtp::Header;
use crate::rtp::arithmetic::{sequence_ahead, ticks_at, timestamp_ahead};

/// Delays are counted in steps of this.
const STEP_MS: u32 = 5;
/// Longest delay that is aimed at: beyond it people talk at the same time (ITU-T G.114 wants 150 ms from mouth to ear).
const TARGET_MS_MAX: u32 = 200;
/// Aim of a buffer that knows nothing yet: two packets.
const TARGET_MS_FIRST: u32 = 40;
const STEPS: usize = (TARGET_MS_MAX / STEP_MS) as usize;
/// The share of packets that shall come in time.
const IN_TIME: f32 = 0.97;
/// How much of what was known is left after each packet: half is forgotten in 350, seven seconds.
const MEMORY: f32 = 0.998;
/// Most packets held: more than a second of the usual ones is stale.
const HELD_MAX: usize = 64;
/// Frames in a row that are guessed before it is taken for silence: what concealment fades out in.
const GUESSED_MAX: u32 = 3;
/// A timestamp that is further off than this begins anew: nobody waits so long, in either direction.
const JUMP_SECONDS: u32 = 2;
/// The fastest packet of this many decides what "in time" means; clocks of phones drift by some 100 ppm.
const BASE_WINDOW: u32 = 500;

/// What is to be played next.
#[derive(PartialEq, Eq, Debug)]
pub enum Take {
    /// This payload; [`JitterBuffer::played`] says how long it was. `surplus`: the buffer is longer than it need be, leave it out if it
    /// is quiet.
    Packet {
        /// The payload number.
        number: u8,
        /// What is in it.
        payload: Vec<u8>,
        /// Better left out.
        surplus: bool,
    },
    /// So many ticks are lost; `copy` is the payload behind them, if it directly follows and is there.
    Lost {
        /// Length.
        ticks: u32,
        /// May hold a copy.
        copy: Option<Vec<u8>>,
    },
    /// So many ticks of time must be gained: play something made up.
    Stretch {
        /// Length.
        ticks: u32,
    },
    /// The sender was silent for so many ticks.
    Pause {
        /// Length.
        ticks: u32,
    },
    /// Nothing is there, and nothing is due.
    Empty,
}

struct Held {
    sequence: u16,
    timestamp: u32,
    number: u8,
    payload: Vec<u8>,
}

/// What became of packets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct JitterCounts {
    /// Came after their time.
    pub late: u64,
    /// Came twice.
    pub repeated: u64,
    /// Never came, or late.
    pub lost: u64,
    /// Frames made up to gain time.
    pub stretched: u64,
}

/// The buffer of one stream.
pub struct JitterBuffer {
    clock_hz: u32,
    source: Option<u32>,
    held: VecDeque<Held>,
    /// Where playing is; `None` while a talk spurt is waited for.
    next: Option<u32>,
    /// Sequence number of what was played last.
    played: Option<u16>,
    /// Ticks of a packet.
    frame: u32,
    delays: Delays,
    guessed: u32,
    short_of_time: bool,
    counts: JitterCounts,
}

impl JitterBuffer {
    /// For a stream whose timestamps count `clock_hz` a second.
    pub fn new(clock_hz: u32) -> JitterBuffer {
        JitterBuffer {
            clock_hz: clock_hz.max(1_000),
            source: None,
            held: VecDeque::new(),
            next: None,
            played: None,
            frame: clock_hz.max(1_000) / 50,
            delays: Delays::default(),
            guessed: 0,
            short_of_time: false,
            counts: JitterCounts::default(),
        }
    }

    /// What became of packets so far.
    pub fn counts(&self) -> JitterCounts {
        self.counts
    }

    /// The delay that is aimed at, in milliseconds.
    pub fn target_ms(&self) -> u32 {
        self.delays.target_ms()
    }

    /// A packet came.
    pub fn put(&mut self, now: Instant, header: &Header, payload: &[u8]) {
        // one that jumps in time is another sender under the same name
        let jumped = self.next.is_some_and(|next| {
            timestamp_ahead(header.timestamp, next).unsigned_abs() > JUMP_SECONDS * self.clock_hz
        });
        if self.source != Some(header.ssrc) || jumped {
            *self = JitterBuffer {
                counts: self.counts,
                source: Some(header.ssrc),
                ..JitterBuffer::new(self.clock_hz)
            };
        }
        let arrived = ticks_at(now, self.clock_hz);
        let ticks_per_ms = self.clock_hz / 1_000;
        self.delays
            .note(arrived.wrapping_sub(header.timestamp), ticks_per_ms);
        if let Some(next) = self.next
            && timestamp_ahead(header.timestamp, next) < 0
        {
            let again = self
                .played
                .is_some_and(|played| sequence_ahead(header.sequence, played) <= 0);
            // of what was guessed as lost, what comes later than its turn was not in time
            if again && self.played == Some(header.sequence) {
                self.counts.repeated += 1;
            } else {
                self.counts.late += 1;
                self.short_of_time = true;
            }
            return;
        }
        let place = self
            .held
            .iter()
            .rposition(|held| sequence_ahead(held.sequence, header.sequence) <= 0);
        if place.is_some_and(|place| {
            self.held
                .get(place)
                .is_some_and(|held| held.sequence == header.sequence)
        }) {
            self.counts.repeated += 1;
            return;
        }
        let held = Held {
            sequence: header.sequence,
            timestamp: header.timestamp,
            number: header.payload_number,
            payload: payload.to_vec(),
        };
        self.held.insert(place.map_or(0, |place| place + 1), held);
        if self.held.len() > HELD_MAX {
            self.held.pop_front();
            self.counts.lost += 1;
            self.next = self.held.front().map(|held| held.timestamp);
        }
    }

    /// What is to be played now. Asked for again whenever what was given has been played.
    pub fn take(&mut self, now: Instant) -> Take {
        let now = ticks_at(now, self.clock_hz);
        let target = self.delays.target_ms() * (self.clock_hz / 1_000);
        let Some(next) = self.next else {
            return self.begin(now, target);
        };
        let lag = self.delays.lag(now, next);
        let Some(head) = self.held.front() else {
            if self.guessed >= GUESSED_MAX {
                self.next = None;
                return Take::Empty;
            }
            self.guessed += 1;
            return self.lose(next, self.frame, None);
        };
        let gap = timestamp_ahead(head.timestamp, next).max(0) as u32;
        if self.short_of_time {
            self.short_of_time = false;
            if lag < target as i32 {
                self.counts.stretched += 1;
                return Take::Stretch { ticks: self.frame };
            }
        }
        if gap > 0 {
            let follows = self
                .played
                .is_some_and(|played| sequence_ahead(head.sequence, played) == 1);
            let ticks = gap.min(self.frame);
            if follows {
                self.next = Some(next.wrapping_add(ticks));
                return Take::Pause { ticks };
            }
            let copy = (gap <= self.frame).then(|| head.payload.clone());
            return self.lose(next, ticks, copy);
        }
        self.guessed = 0;
        let surplus = self.held.len() > 1 && lag > (target + 2 * self.frame) as i32;
        match self.held.pop_front() {
            Some(head) => {
                self.played = Some(head.sequence);
                // moved on by `played`, when its length is known
                self.next = Some(head.timestamp);
                Take::Packet {
                    number: head.number,
                    payload: head.payload,
                    surplus,
                }
            }
            None => Take::Empty,
        }
    }

    /// What was given last announced a pause: nothing is missing until the next talk spurt.
    pub fn rests(&mut self) {
        self.next = None;
    }

    /// How long the packet was that [`JitterBuffer::take`] gave.
    pub fn played(&mut self, ticks: u32) {
        self.next = self.next.map(|next| next.wrapping_add(ticks));
        if ticks > 0 {
            self.frame = ticks;
        }
    }

    fn begin(&mut self, now: u32, target: u32) -> Take {
        let Some(head) = self.held.front() else {
            return Take::Empty;
        };
        if self.delays.lag(now, head.timestamp) < target as i32 {
            return Take::Empty;
        }
        self.next = Some(head.timestamp);
        self.played = Some(head.sequence.wrapping_sub(1));
        self.guessed = 0;
        self.short_of_time = false;
        match self.held.pop_front() {
            Some(head) => {
                self.played = Some(head.sequence);
                Take::Packet {
                    number: head.number,
                    payload: head.payload,
                    surplus: false,
                }
            }
            None => Take::Empty,
        }
    }

    fn lose(&mut self, next: u32, ticks: u32, copy: Option<Vec<u8>>) -> Take {
        self.counts.lost += 1;
        self.next = Some(next.wrapping_add(ticks));
        Take::Lost { ticks, copy }
    }
}

/// How late packets are, against the fastest of late.
struct Delays {
    /// The fastest of this window and of the one before, as arrival less timestamp.
    fastest: Option<(u32, u32)>,
    in_window: u32,
    shares: [f32; STEPS],
    known: f32,
}

impl Default for Delays {
    fn default() -> Self {
        Delays {
            fastest: None,
            in_window: 0,
            shares: [0.0; STEPS],
            known: 0.0,
        }
    }
}

impl Delays {
    fn note(&mut self, transit: u32, ticks_per_ms: u32) {
        let (this, before) = self.fastest.unwrap_or((transit, transit));
        let quicker = |a: u32, b: u32| if timestamp_ahead(a, b) < 0 { a } else { b };
        let this = quicker(transit, this);
        self.in_window += 1;
        self.fastest = Some(if self.in_window >= BASE_WINDOW {
            self.in_window = 0;
            (transit, this)
        } else {
            (this, before)
        });
        let late = timestamp_ahead(transit, quicker(this, before)).max(0) as u32;
        let step = (late / ticks_per_ms.max(1) / STEP_MS) as usize;
        self.shares.iter_mut().for_each(|share| *share *= MEMORY);
        if let Some(share) = self.shares.get_mut(step.min(STEPS - 1)) {
            *share += 1.0 - MEMORY;
        }
        self.known = self.known * MEMORY + 1.0 - MEMORY;
    }

    fn base(&self) -> u32 {
        self.fastest.map_or(0, |(this, before)| {
            if timestamp_ahead(this, before) < 0 {
                this
            } else {
                before
            }
        })
    }

    /// How long after the earliest that it could have come the audio of `timestamp` would be played now.
    fn lag(&self, now: u32, timestamp: u32) -> i32 {
        timestamp_ahead(now, timestamp.wrapping_add(self.base()))
    }

    fn target_ms(&self) -> u32 {
        // with less than twenty packets nothing is known
        if self.known < 0.04 {
            return TARGET_MS_FIRST;
        }
        let mut share = 0.0;
        let steps = self.shares.iter().position(|part| {
            share += part;
            share >= IN_TIME * self.known
        });
        // one step more, for what lies between the steps and the frames
        let steps = steps.map_or(STEPS, |steps| steps + 2);
        (steps as u32 * STEP_MS).clamp(2 * STEP_MS, TARGET_MS_MAX)
    }
}

#[cfg(test)]
#[path = "jitter_tests.rs"]
mod tests;
