//! One media worker: sockets of its streams, an epoll, a queue of commands, and the pace of its players.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant as Clock;

use rand::Rng;

use super::library::PromptStore;
use super::resting::Resting;
use super::socket::SocketPair;
use crate::base::{Duration, Entropy, Instant, Map, Now, TimerId, TimerQueue, WallTime};
use crate::io::batch::{Poller, Waker};
use crate::media::player::FRAME_MS;
use crate::media::srtp::TRAILER_BYTES_MAX;
use crate::media::stream::{self, PACKET_BYTES_MAX, Played, Stream, Taken};
use crate::media::{MediaCommand, MediaEvent, MediaPlan, SourcePolicy, StreamId, StreamStatistics};

/// Ready sockets told of at a time. Few enough that one reading of the clock serves them all: 256 packets are half a millisecond.
const READY_MAX: usize = 256;
/// Larger than any RTP packet on Ethernet; what does not fit is cut and so refused.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// A frame of what is played.
const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);
/// Room for a packet that is made here, and for its protection.
const MADE_BYTES_MAX: usize = PACKET_BYTES_MAX + TRAILER_BYTES_MAX;
/// Players tick on this grid, so that many of them wake the worker at most 200 times a second.
const GRID_NANOS: u64 = 5_000_000;
/// A player that is later than this gives up what it missed instead of sending it in a burst.
const LATE_MAX: Duration = Duration::from_millis(100);
/// How often streams are looked at for what time alone reveals. One-way audio is named within 3 s and this.
const SWEEP: Duration = Duration::from_millis(250);
/// How much later than that a worker without streams looks.
const IDLE: Duration = Duration::from_secs(1);
/// Own RTCP reports (RFC 3550 §6.2).
const REPORT: Duration = Duration::from_secs(5);

const WAKE: u64 = u64::MAX;

#[path = "room.rs"]
mod room;
use room::Room;

struct Slot {
    stream: Stream,
    sockets: SocketPair,
    peer: Option<usize>,
    /// When the next frame is due, while it plays.
    player: Option<(TimerId, Instant)>,
    report_at: Instant,
    /// The conference that it is in.
    room: Option<u64>,
}

impl Slot {
    /// Sends all packets of audio that are made and full.
    fn send_made(&mut self, now: Instant, packet: &mut [u8; MADE_BYTES_MAX]) {
        while let Some((to, length)) = self.stream.next_packet(now, packet) {
            self.send(packet, length, to);
        }
    }

    /// Protects and sends the packet in the first `length` bytes.
    fn send(&mut self, packet: &mut [u8; MADE_BYTES_MAX], length: usize, to: SocketAddr) {
        if let Some(sealed) = self.stream.seal(packet, length)
            && let Some(packet) = packet.get(..sealed)
        {
            self.sockets.send(packet, to);
        }
    }
}

/// A place for a stream, or for the sockets that one left. The generation tells a late readiness report of earlier sockets from one of these.
#[derive(Default)]
struct Place {
    generation: u32,
    slot: Option<Slot>,
    left: Option<SocketPair>,
}

/// State of one worker thread.
pub struct Worker<E> {
    commands: Receiver<MediaCommand>,
    waker: Arc<Waker>,
    prompts: Arc<PromptStore>,
    events: E,
    poller: Poller,
    places: Vec<Place>,
    free: Vec<usize>,
    /// Places whose sockets wait for another stream on the same port.
    resting: Resting,
    index: Map<StreamId, usize>,
    players: TimerQueue<(usize, u32)>,
    rooms: Map<u64, Room>,
    /// When the next frame of the conferences is due, while there are any.
    rooms_due: Option<Instant>,
    frame: Vec<i16>,
    entropy: Entropy,
    cname: String,
    started: Clock,
    out: Vec<MediaEvent>,
    report: Vec<u8>,
}

impl<E: Fn(MediaEvent)> Worker<E> {
    /// A worker that is not running yet.
    pub fn new(
        commands: Receiver<MediaCommand>,
        waker: Arc<Waker>,
        prompts: Arc<PromptStore>,
        events: E,
    ) -> io::Result<Self> {
        let poller = Poller::new(READY_MAX)?;
        poller.add(&*waker, WAKE)?;
        let mut seed = [0; 32];
        rand::rng().fill_bytes(&mut seed);
        let mut entropy = Entropy::from_seed(seed);
        // a name without meaning that lives as long as the process (RFC 7022 §4.2)
        let cname = format!("{:016x}", entropy.u64());
        Ok(Worker {
            commands,
            waker,
            prompts,
            events,
            poller,
            places: Vec::new(),
            free: Vec::new(),
            resting: Resting::default(),
            index: Map::default(),
            players: TimerQueue::new(),
            rooms: Map::default(),
            rooms_due: None,
            frame: Vec::new(),
            entropy,
            cname,
            started: Clock::now(),
            out: Vec::new(),
            report: Vec::new(),
        })
    }

    /// Works until the other end of the queue of commands is dropped.
    pub fn run(mut self) {
        let mut ready = Vec::with_capacity(READY_MAX);
        let mut buffer = [0u8; DATAGRAM_BYTES_MAX];
        let mut sweep_at = self.now();
        loop {
            // without streams it is awake now and then all the same: nobody wakes it to close one that could not be opened
            let rest = if self.index.is_empty() {
                sweep_at + IDLE
            } else {
                sweep_at
            };
            let deadline = self
                .players
                .next_deadline()
                .map_or(rest, |due| due.min(rest));
            let deadline = self.rooms_due.map_or(deadline, |due| due.min(deadline));
            let timeout = Some(deadline.since(self.now()));
            ready.clear();
            if self.poller.wait(timeout, &mut ready).is_err() {
                // only a broken descriptor of our own can fail here: without it there is no media
                return;
            }
            let now = self.now();
            for token in &ready {
                if *token == WAKE {
                    self.waker.clear();
                } else {
                    self.readable(now, *token, &mut buffer);
                }
            }
            // not only when woken: what is not urgent waits for any reason to be awake
            if !self.take_commands() {
                return;
            }
            self.play(now);
            self.tick_rooms(now);
            if now >= sweep_at {
                sweep_at = now + SWEEP;
                self.sweep(now);
                while let Some(index) = self.resting.over(now) {
                    self.let_go(index);
                }
            }
            self.tell();
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.started.elapsed().as_nanos() as u64)
    }

    fn tell(&mut self) {
        for event in self.out.drain(..) {
            (self.events)(event);
        }
    }

    /// False when nobody can command any more.
    fn take_commands(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(command) => {
                    let now = self.now();
                    self.obey(now, command);
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    // ---- packets

    fn readable(&mut self, now: Instant, token: u64, buffer: &mut [u8; DATAGRAM_BYTES_MAX]) {
        let (index, generation, rtcp) = untoken(token);
        let Some(place) = self.places.get_mut(index) else {
            return;
        };
        if place.generation != generation {
            return;
        }
        let Some(slot) = &mut place.slot else {
            if let Some(left) = &place.left {
                left.discard();
            }
            return;
        };
        let socket = if rtcp {
            &slot.sockets.rtcp
        } else {
            &slot.sockets.rtp
        };
        // errors are "nothing there" or the network's answer to something sent earlier; reading took it off
        let Ok((length, from)) = socket.recv_from(buffer) else {
            return;
        };
        let Some(packet) = buffer.get_mut(..length) else {
            return;
        };
        let opened = if rtcp {
            slot.stream.open_rtcp(packet)
        } else {
            slot.stream.open(packet)
        };
        let Some(length) = opened else {
            return;
        };
        let Some(packet) = buffer.get_mut(..length) else {
            return;
        };
        if rtcp {
            if slot.stream.receive_rtcp(now, from, packet) == Taken::Relay
                && let Some(peer) = slot.peer
                && let Some(peer) = slot_at_mut(&mut self.places, peer)
                && let Some(to) = peer.stream.send_rtcp()
                && let Some(sealed) = peer.stream.seal_rtcp(buffer, length)
                && let Some(packet) = buffer.get(..sealed)
            {
                peer.sockets.send_rtcp(packet, to);
            }
            return;
        }
        let taken = slot.stream.receive(now, from, packet, &mut self.out);
        if !slot.sockets.is_connected()
            && let Some(source) = slot.stream.final_source(now)
        {
            slot.sockets.connect(source);
        }
        let target = match taken {
            Taken::Drop => return,
            Taken::Speech => {
                let peer = slot.peer;
                if let Some(peer) = peer {
                    self.transcode(now, index, peer);
                }
                return;
            }
            Taken::Echo => Some(slot),
            Taken::Relay => {
                let peer = slot.peer;
                peer.and_then(|peer| slot_at_mut(&mut self.places, peer))
            }
        };
        if let Some(target) = target
            && let Some(to) = target.stream.send(now, packet)
            && let Some(sealed) = target.stream.seal(buffer, length)
            && let Some(packet) = buffer.get(..sealed)
        {
            target.sockets.send(packet, to);
        }
    }

    /// What one stream has heard is spoken to the other in a codec of its own.
    #[cold]
    fn transcode(&mut self, now: Instant, from: usize, to: usize) {
        let Ok(
            [
                Place {
                    slot: Some(from), ..
                },
                Place { slot: Some(to), .. },
            ],
        ) = self.places.get_disjoint_mut([from, to])
        else {
            return;
        };
        let mut packet = [0; MADE_BYTES_MAX];
        if let Some((target, length)) =
            stream::pass_on(now, &mut from.stream, &mut to.stream, &mut packet)
        {
            to.send(&mut packet, length, target);
        }
        to.send_made(now, &mut packet);
    }

    // ---- time

    fn play(&mut self, now: Instant) {
        let mut packet = [0; MADE_BYTES_MAX];
        while let Some((index, generation)) = self.players.pop_due(now) {
            let Some(place) = self
                .places
                .get_mut(index)
                .filter(|place| place.generation == generation)
            else {
                continue;
            };
            let Some(slot) = &mut place.slot else {
                continue;
            };
            let due = slot.player.take().map_or(now, |(_, due)| due);
            match slot.stream.play_frame(now) {
                Played::Nothing => continue,
                Played::Ended(play) => {
                    self.out.push(MediaEvent::PlayEnded {
                        stream: slot.stream.id(),
                        play,
                    });
                    continue;
                }
                Played::Frame => slot.send_made(now, &mut packet),
            }
            let next = if now.since(due) > LATE_MAX {
                on_grid(now)
            } else {
                due + FRAME
            };
            let timer = self.players.set(next, (index, generation));
            slot.player = Some((timer, next));
        }
    }

    fn sweep(&mut self, now: Instant) {
        let wall = WallTime::from_timestamp(jiff::Timestamp::now());
        let now = Now { mono: now, wall };
        for place in &mut self.places {
            let Some(slot) = &mut place.slot else {
                continue;
            };
            slot.stream.poll(now.mono, &mut self.out);
            if now.mono >= slot.report_at {
                slot.report_at = now.mono + REPORT;
                self.report.clear();
                if let Some(to) = slot.stream.report(now, &self.cname, &mut self.report) {
                    let length = self.report.len();
                    self.report.resize(length + TRAILER_BYTES_MAX, 0);
                    if let Some(sealed) = slot.stream.seal_rtcp(&mut self.report, length)
                        && let Some(datagram) = self.report.get(..sealed)
                    {
                        slot.sockets.send_rtcp(datagram, to);
                    }
                }
            }
        }
    }
}

// ---- commands

impl<E: Fn(MediaEvent)> Worker<E> {
    fn obey(&mut self, now: Instant, command: MediaCommand) {
        match command {
            MediaCommand::Open { stream, local } => {
                if let Err(error) = self.open(now, stream, local) {
                    self.fail(stream, format!("{local}: {error}"));
                }
            }
            MediaCommand::Agree {
                stream,
                plan,
                source,
            } => self.agree(now, stream, plan, source),
            MediaCommand::Join { a, b } => self.join(now, a, b),
            MediaCommand::Part { stream } => {
                if let Some(index) = self.index.get(&stream).copied() {
                    self.part(index);
                }
            }
            MediaCommand::Play {
                stream,
                play,
                files,
                repeat,
            } => {
                if let Err(reason) = self.start_play(now, stream, play, &files, repeat) {
                    self.out.push(MediaEvent::PlayFailed {
                        stream,
                        play,
                        reason,
                    });
                }
            }
            MediaCommand::Stop { stream } => {
                if let Some(index) = self.index.get(&stream).copied() {
                    self.stop(index);
                }
            }
            MediaCommand::Echo { stream } => match self.index.get(&stream).copied() {
                Some(index) => {
                    self.part(index);
                    self.stop(index);
                    if let Some(slot) = slot_at_mut(&mut self.places, index) {
                        slot.stream.echo();
                    }
                }
                None => self.fail(stream, "no such stream".into()),
            },
            MediaCommand::Mix {
                stream,
                conference,
                part,
            } => {
                if let Err(reason) = self.mix(now, stream, conference, part) {
                    self.fail(stream, reason);
                }
            }
            MediaCommand::Close { stream } => self.close(now, stream),
        }
    }

    fn fail(&mut self, stream: StreamId, reason: String) {
        self.out.push(MediaEvent::Failed { stream, reason });
    }

    fn open(&mut self, now: Instant, stream: StreamId, local: SocketAddr) -> io::Result<()> {
        if self.index.contains_key(&stream) {
            return Err(io::Error::other("the stream is open already"));
        }
        let (index, sockets) = match self.rested(local) {
            Some(rested) => rested,
            None => self.bind(local)?,
        };
        let place = self
            .places
            .get_mut(index)
            .expect("a place was found or made");
        // reports of many streams are spread over the interval
        let spread = self.entropy.below(REPORT.as_nanos() as u64);
        place.slot = Some(Slot {
            stream: Stream::new(stream, self.entropy.u128()),
            sockets,
            peer: None,
            player: None,
            report_at: now + Duration::from_nanos(spread),
            room: None,
        });
        self.index.insert(stream, index);
        Ok(())
    }

    /// The sockets that an earlier stream left on this port, with nothing in them. Those of another address go: they are in the way.
    fn rested(&mut self, local: SocketAddr) -> Option<(usize, SocketPair)> {
        let index = self.resting.take(local.port())?;
        let place = self.places.get_mut(index)?;
        let Some(sockets) = place.left.take_if(|left| left.local() == local) else {
            self.let_go(index);
            return None;
        };
        sockets.discard();
        Some((index, sockets))
    }

    /// New sockets in a free place.
    fn bind(&mut self, local: SocketAddr) -> io::Result<(usize, SocketPair)> {
        let sockets = SocketPair::bind(local)?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() - 1
        });
        let place = self
            .places
            .get_mut(index)
            .expect("free places exist, new ones were pushed");
        place.generation = place.generation.wrapping_add(1) & GENERATION;
        let added = self
            .poller
            .add(&sockets.rtp, token(index, place.generation, false))
            .and_then(|()| {
                self.poller
                    .add(&sockets.rtcp, token(index, place.generation, true))
            });
        if let Err(error) = added {
            self.free.push(index);
            return Err(error);
        }
        Ok((index, sockets))
    }

    /// Closes the sockets that rest in a place, which takes them out of the epoll as well.
    fn let_go(&mut self, index: usize) {
        if let Some(place) = self.places.get_mut(index) {
            place.left = None;
            self.free.push(index);
        }
    }

    fn agree(&mut self, now: Instant, stream: StreamId, plan: MediaPlan, policy: SourcePolicy) {
        let Some(index) = self.index.get(&stream).copied() else {
            return self.fail(stream, "no such stream".into());
        };
        let Some(slot) = slot_at_mut(&mut self.places, index) else {
            return;
        };
        slot.stream.agree(now, plan, policy);
        match slot.stream.final_source(now) {
            Some(source) => slot.sockets.connect(source),
            None => slot.sockets.dissolve(),
        }
        if let Some(peer) = slot.peer {
            self.couple(now, index, peer);
        }
    }

    fn join(&mut self, now: Instant, a: StreamId, b: StreamId) {
        let find = |stream| self.index.get(&stream).copied();
        let (Some(first), Some(second)) = (find(a), find(b)) else {
            let missing = if find(a).is_none() { a } else { b };
            return self.fail(missing, "no such stream on this worker to join".into());
        };
        if first == second {
            return self.fail(a, "a stream cannot be joined to itself".into());
        }
        let already = slot_at(&self.places, first).is_some_and(|slot| slot.peer == Some(second));
        if !already {
            for index in [first, second] {
                self.part(index);
                self.stop(index);
            }
        }
        self.couple(now, first, second);
    }

    fn couple(&mut self, now: Instant, first: usize, second: usize) {
        let Ok([Place { slot: Some(a), .. }, Place { slot: Some(b), .. }]) =
            self.places.get_disjoint_mut([first, second])
        else {
            return;
        };
        stream::join(now, &mut a.stream, &mut b.stream);
        a.peer = Some(second);
        b.peer = Some(first);
    }

    /// Ends a join, both are idle then; or leaves a conference.
    fn part(&mut self, index: usize) {
        self.leave_room(index);
        let Some(peer) = slot_at_mut(&mut self.places, index).and_then(|slot| slot.peer.take())
        else {
            return;
        };
        for index in [index, peer] {
            if let Some(slot) = slot_at_mut(&mut self.places, index) {
                slot.peer = None;
                slot.stream.idle();
            }
        }
    }

    /// Ends a play without report.
    fn stop(&mut self, index: usize) {
        let Some(slot) = slot_at_mut(&mut self.places, index) else {
            return;
        };
        if let Some((timer, _)) = slot.player.take() {
            self.players.cancel(timer);
        }
        if slot.stream.is_playing() {
            slot.stream.idle();
        }
    }

    fn start_play(
        &mut self,
        now: Instant,
        stream: StreamId,
        play: u32,
        files: &[Arc<str>],
        repeat: bool,
    ) -> Result<(), String> {
        let index = self.index.get(&stream).copied().ok_or("no such stream")?;
        self.part(index);
        self.stop(index);
        // one prompt that is missing does not silence the others
        let mut clips = Vec::with_capacity(files.len());
        let mut missing = String::new();
        for file in files {
            match self.prompts.get(file) {
                Ok(clip) => clips.push(clip),
                Err(error) => missing = error.to_string(),
            }
        }
        if clips.is_empty() && !missing.is_empty() {
            return Err(missing);
        }
        let place = self.places.get_mut(index).ok_or("no such stream")?;
        let slot = place.slot.as_mut().ok_or("no such stream")?;
        slot.stream.play(now, play, clips, repeat)?;
        let due = on_grid(now);
        let timer = self.players.set(due, (index, place.generation));
        slot.player = Some((timer, due));
        Ok(())
    }

    fn close(&mut self, now: Instant, stream: StreamId) {
        let mut statistics = StreamStatistics::default();
        if let Some(index) = self.index.remove(&stream) {
            self.part(index);
            self.stop(index);
            if let Some(place) = self.places.get_mut(index)
                && let Some(Slot {
                    stream,
                    mut sockets,
                    ..
                }) = place.slot.take()
            {
                statistics = stream.statistics();
                statistics.overflow_dropped = sockets.overflow_drops();
                sockets.dissolve();
                let port = sockets.local().port();
                place.left = Some(sockets);
                if let Some(oldest) = self.resting.put(now, port, index) {
                    self.let_go(oldest);
                }
            }
        }
        // said even of a stream that never was, so that who closes can always give its port back
        self.out.push(MediaEvent::Closed { stream, statistics });
    }
}

/// The next tick of the players' grid, after `now`.
fn on_grid(now: Instant) -> Instant {
    Instant::from_nanos((now.as_nanos() / GRID_NANOS + 1) * GRID_NANOS)
}

fn slot_at(places: &[Place], index: usize) -> Option<&Slot> {
    places.get(index)?.slot.as_ref()
}

fn slot_at_mut(places: &mut [Place], index: usize) -> Option<&mut Slot> {
    places.get_mut(index)?.slot.as_mut()
}

/// 30 bits of generation, 32 of index, one to tell RTCP from RTP: never equal to `WAKE`.
const GENERATION: u32 = (1 << 30) - 1;

fn token(index: usize, generation: u32, rtcp: bool) -> u64 {
    u64::from(generation) << 33 | (index as u64 & 0xffff_ffff) << 1 | u64::from(rtcp)
}

fn untoken(token: u64) -> (usize, u32, bool) {
    (
        (token >> 1 & 0xffff_ffff) as usize,
        (token >> 33) as u32,
        token & 1 == 1,
    )
}
