//! One stream as pure steps: packet in, packet out, what is played, what is noticed. Sockets and clocks are the worker's.

use std::net::SocketAddr;
use std::sync::Arc;

use super::codec::Codec;
use super::codec::g711::Law;
use super::command::{MediaEvent, SourcePolicy, StreamId, StreamStatistics};
use super::dtmf::Keypad;
use super::plan::MediaPlan;
use super::player::{FRAME_SAMPLES, Player};
use super::relay::Route;
use super::source::{Source, Verdict};
use super::srtp::Srtp;
use super::statistics::Reception;
use super::watch::{Notice, Watch};
use crate::base::{Instant, Now};
use crate::rtp::arithmetic::{ntp, ntp_middle, ticks_at};
use crate::rtp::rtcp::{self, Report, SenderInfo};
use crate::rtp::{HEADER_BYTES, Header, set_marker, set_ssrc, write_header};

/// Bytes of one packet that a player sends.
pub const PLAYED_BYTES: usize = HEADER_BYTES + FRAME_SAMPLES;

/// G.711's RTP clock.
const PLAYED_CLOCK_HZ: u32 = 8_000;

/// What becomes of a packet that came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Nothing more: refused, or used up.
    Drop,
    /// Rewritten in place; goes to the joined stream's [`Stream::send`].
    Relay,
    /// Rewritten in place; goes back by [`Stream::send`] of the same stream.
    Echo,
}

/// What a stream does with what it receives, and what it sends.
#[derive(Debug)]
enum Mode {
    Idle,
    Relay,
    Echo,
    Play { player: Player, play: u32 },
}

/// What a tick of the player gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Played {
    /// Send the packet there.
    Send(SocketAddr),
    /// The time has passed, but nobody may be sent to (hold).
    Held,
    /// It was over before this tick.
    Ended(u32),
    /// Nothing is being played.
    Nothing,
}

/// Our own synchronisation source, for what we make ourselves.
#[derive(Debug)]
struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    at: Option<Instant>,
    packets: u32,
    octets: u32,
    reported_packets: u32,
}

/// The packet half of one stream.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    plan: Option<MediaPlan>,
    srtp: Option<Box<Srtp>>,
    mode: Mode,
    source: Source,
    rtcp_source: Option<SocketAddr>,
    learns: bool,
    route: Route,
    /// One bit for each payload number that stands for telephone events.
    events: u128,
    keypad: Keypad,
    reception: Reception,
    watch: Watch,
    sender: Sender,
    mark_next: bool,
    statistics: StreamStatistics,
}

impl Stream {
    /// A stream without agreement: it takes nothing and sends nothing. `seed` gives its synchronisation source and the beginnings of
    /// sequence and timestamp (RFC 3550 §5.1: random).
    pub fn new(id: StreamId, seed: u128) -> Stream {
        Stream {
            id,
            plan: None,
            srtp: None,
            mode: Mode::Idle,
            source: Source::default(),
            rtcp_source: None,
            learns: false,
            route: Route::default(),
            events: 0,
            keypad: Keypad::default(),
            reception: Reception::default(),
            watch: Watch::default(),
            sender: Sender {
                ssrc: seed as u32,
                sequence: (seed >> 32) as u16 & 0x7fff,
                timestamp: (seed >> 64) as u32,
                at: None,
                packets: 0,
                octets: 0,
                reported_packets: 0,
            },
            mark_next: false,
            statistics: StreamStatistics::default(),
        }
    }

    /// Its name.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// A completed offer/answer. Joined streams must be [`join`]ed again afterwards, so that payload numbers are mapped anew.
    pub fn agree(&mut self, now: Instant, plan: MediaPlan, policy: SourcePolicy) {
        self.source.agree(now, plan.remote_rtp, policy);
        self.learns = matches!(policy, SourcePolicy::Learn { .. });
        self.rtcp_source = None;
        self.events = plan
            .receive
            .iter()
            .filter(|payload| payload.codec == Codec::TelephoneEvent)
            .fold(0, |bits, payload| bits | 1 << (payload.number & 127));
        let speech = plan
            .receive
            .iter()
            .find(|payload| payload.codec.is_speech());
        self.reception
            .set_clock(speech.map_or(8_000, |payload| payload.clock_hz));
        // a peer on hold may send music or nothing
        let due = plan.direction.receives() && plan.remote_rtp.is_some() && !plan.remote_hold;
        self.watch.agree(now, due);
        if matches!(self.mode, Mode::Echo) {
            self.route = Route::between(&plan, &plan);
        }
        if let Mode::Play { player, .. } = &mut self.mode
            && let Some((_, law)) = played(&plan)
        {
            player.set_law(law);
        }
        let before = self.srtp.take();
        self.srtp = plan
            .srtp
            .as_ref()
            .map(|plan| Box::new(Srtp::new(plan, before.map(|before| *before))));
        self.plan = Some(plan);
    }

    /// Does nothing from now on; a play that was going on ends without report.
    pub fn idle(&mut self) {
        self.mode = Mode::Idle;
    }

    /// Sends back what it receives.
    pub fn echo(&mut self) {
        self.mode = Mode::Echo;
        self.mark_next = true;
        self.route = self
            .plan
            .as_ref()
            .map_or_else(Route::default, |plan| Route::between(plan, plan));
    }

    /// Begins to play clips of 8 kHz mono. `Err` names why it cannot.
    pub fn play(
        &mut self,
        now: Instant,
        play: u32,
        clips: Vec<Arc<[i16]>>,
        repeat: bool,
    ) -> Result<(), &'static str> {
        self.mode = Mode::Idle;
        let plan = self.plan.as_ref().ok_or("nothing agreed yet")?;
        let (_, law) = played(plan).ok_or("no G.711 agreed")?;
        let player = Player::new(clips, repeat, law).ok_or("nothing to play")?;
        // the timestamp goes on as time did since the last packet (RFC 3550 §5.1)
        if let Some(at) = self.sender.at {
            let passed = ticks_at(now, PLAYED_CLOCK_HZ).wrapping_sub(ticks_at(at, PLAYED_CLOCK_HZ));
            self.sender.timestamp = self.sender.timestamp.wrapping_add(passed);
        }
        self.mark_next = true;
        self.mode = Mode::Play { player, play };
        Ok(())
    }

    /// True while playing.
    pub fn is_playing(&self) -> bool {
        matches!(self.mode, Mode::Play { .. })
    }

    /// The next 20 ms of what is played, written into `packet`.
    pub fn play_frame(&mut self, now: Instant, packet: &mut [u8; PLAYED_BYTES]) -> Played {
        let Mode::Play { player, play } = &mut self.mode else {
            return Played::Nothing;
        };
        let play = *play;
        let (header, payload) = packet.split_at_mut(HEADER_BYTES);
        let header: &mut [u8; HEADER_BYTES] = header.try_into().expect("split at its length");
        let payload: &mut [u8; FRAME_SAMPLES] = payload.try_into().expect("the rest of it");
        if !player.next_frame(payload) {
            self.mode = Mode::Idle;
            return Played::Ended(play);
        }
        let number = self
            .plan
            .as_ref()
            .and_then(played)
            .map(|(number, _)| number);
        let sender = &mut self.sender;
        let timestamp = sender.timestamp;
        sender.timestamp = timestamp.wrapping_add(FRAME_SAMPLES as u32);
        sender.at = Some(now);
        let (Some(number), Some(to)) = (number, self.destination()) else {
            return Played::Held;
        };
        let sender = &mut self.sender;
        write_header(
            header,
            false,
            number,
            sender.sequence,
            timestamp,
            sender.ssrc,
        );
        sender.sequence = sender.sequence.wrapping_add(1);
        sender.packets = sender.packets.wrapping_add(1);
        sender.octets = sender.octets.wrapping_add(FRAME_SAMPLES as u32);
        self.count_sent(now, packet);
        Played::Send(to)
    }

    /// Takes the protection off a datagram that came in on the RTP port, before anything else looks at it. The length of what is left in
    /// place; `None` when it is not the peer's.
    #[inline]
    pub fn open(&mut self, packet: &mut [u8]) -> Option<usize> {
        let Some(srtp) = &mut self.srtp else {
            return Some(packet.len());
        };
        let opened = srtp.open(packet);
        self.statistics.forged_dropped += u64::from(opened.is_none());
        opened
    }

    /// Protects a packet that fills the first `length` bytes of `buffer`, after [`Stream::send`] or [`Stream::play_frame`]. The length
    /// to send.
    #[inline]
    pub fn seal(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        match &mut self.srtp {
            Some(srtp) => srtp.seal(buffer, length),
            None => Some(length),
        }
    }

    /// As [`Stream::open`], for the RTCP port.
    pub fn open_rtcp(&mut self, datagram: &mut [u8]) -> Option<usize> {
        let Some(srtp) = &mut self.srtp else {
            return Some(datagram.len());
        };
        let opened = srtp.open_rtcp(datagram);
        self.statistics.forged_dropped += u64::from(opened.is_none());
        opened
    }

    /// As [`Stream::seal`], for RTCP.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        match &mut self.srtp {
            Some(srtp) => srtp.seal_rtcp(buffer, length),
            None => Some(length),
        }
    }

    /// A datagram came in on the RTP port, its protection taken off.
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &mut [u8],
        out: &mut Vec<MediaEvent>,
    ) -> Taken {
        let Some(header) = Header::parse(packet) else {
            self.statistics.malformed_dropped += 1;
            return Taken::Drop;
        };
        match self.source.judge(now, from) {
            Verdict::Known => {}
            Verdict::Latched => out.push(MediaEvent::Latched {
                stream: self.id,
                remote: from,
            }),
            Verdict::Stray => {
                self.statistics.strays_dropped += 1;
                return Taken::Drop;
            }
        }
        let Some(plan) = self.plan.as_ref().filter(|plan| plan.direction.receives()) else {
            self.statistics.unwanted_dropped += 1;
            return Taken::Drop;
        };
        self.statistics.packets_received += 1;
        self.statistics.octets_received += packet.len() as u64;
        self.watch.received(now);
        let is_event = self.events >> header.payload_number & 1 == 1;
        self.reception.receive(now, &header, !is_event);
        if is_event {
            let clock = plan
                .receive
                .iter()
                .find(|payload| payload.number == header.payload_number)
                .map_or(8_000, |payload| payload.clock_hz);
            let pressed = self
                .keypad
                .receive(now, &header, header.payload(packet), clock);
            self.tell_digit(pressed, out);
        }
        let taken = match &self.mode {
            Mode::Idle | Mode::Play { .. } => return Taken::Drop,
            Mode::Relay => Taken::Relay,
            Mode::Echo => Taken::Echo,
        };
        if !self.route.apply(&header, packet) {
            self.statistics.unwanted_dropped += 1;
            return Taken::Drop;
        }
        if taken == Taken::Echo {
            // Under its own name a peer would take it for a loop (RFC 3550 §8.2). Under the one of our player it would take it for late: the
            // sequence numbers are the peer's, and those of a prompt that was played before may have been higher.
            set_ssrc(packet, !self.sender.ssrc);
        }
        taken
    }

    /// A packet for the peer of this stream: where to send it, or `None` when it must not be sent.
    pub fn send(&mut self, now: Instant, packet: &mut [u8]) -> Option<SocketAddr> {
        let to = self.destination();
        if to.is_none() {
            self.statistics.unwanted_dropped += 1;
            return None;
        }
        self.count_sent(now, packet);
        to
    }

    /// A datagram came in on the RTCP port. `Taken::Relay`: it goes to [`Stream::send_rtcp`] of the joined stream as it is.
    pub fn receive_rtcp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Taken {
        if !rtcp::is_compound(datagram) {
            self.statistics.malformed_dropped += 1;
            return Taken::Drop;
        }
        let signalled = self.plan.as_ref().and_then(|plan| plan.remote_rtcp);
        // behind a NAT the port of RTCP cannot be known, its address is that of RTP
        let learned = self.learns
            && self.rtcp_source.is_none()
            && self
                .source
                .locked()
                .is_some_and(|rtp| rtp.ip() == from.ip());
        if self.rtcp_source != Some(from) {
            if signalled != Some(from) && !learned {
                self.statistics.strays_dropped += 1;
                return Taken::Drop;
            }
            self.rtcp_source = Some(from);
        }
        if let Some(report) = rtcp::packets(datagram)
            .next()
            .and_then(|first| Report::parse(&first))
            && let Some(sender) = report.sender
        {
            self.reception.sender_reported(now, ntp_middle(sender.ntp));
        }
        match self.mode {
            Mode::Relay => Taken::Relay,
            Mode::Idle | Mode::Echo | Mode::Play { .. } => Taken::Drop,
        }
    }

    /// Where RTCP for the peer goes. It goes on during hold (RFC 3264 §8.4).
    pub fn send_rtcp(&self) -> Option<SocketAddr> {
        let signalled = self.plan.as_ref()?.remote_rtcp?;
        Some(self.rtcp_source.unwrap_or(signalled))
    }

    /// Our own report for the peer, written into `datagram`; `None` while others' reports are relayed or there is nothing to report.
    /// Due each 5 s (RFC 3550 §6.2).
    pub fn report(&mut self, now: Now, cname: &str, datagram: &mut Vec<u8>) -> Option<SocketAddr> {
        if matches!(self.mode, Mode::Relay) {
            return None;
        }
        let to = self.send_rtcp()?;
        let block = self.reception.report(now.mono);
        let sender = &mut self.sender;
        let sent = sender.packets != sender.reported_packets;
        if !sent && block.is_none() {
            return None;
        }
        sender.reported_packets = sender.packets;
        let info = sent.then(|| {
            let passed = sender.at.map_or(0, |at| {
                ticks_at(now.mono, PLAYED_CLOCK_HZ).wrapping_sub(ticks_at(at, PLAYED_CLOCK_HZ))
            });
            SenderInfo {
                ntp: ntp(now.wall),
                rtp_timestamp: sender
                    .timestamp
                    .wrapping_sub(FRAME_SAMPLES as u32)
                    .wrapping_add(passed),
                packets: sender.packets,
                octets: sender.octets,
            }
        });
        let report = Report {
            ssrc: sender.ssrc,
            sender: info,
            block,
        };
        report.write(cname, datagram);
        Some(to)
    }

    /// Called a few times a second: what time alone reveals.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<MediaEvent>) {
        let pressed = self.keypad.poll(now);
        self.tell_digit(pressed, out);
        match self.watch.poll(now) {
            None => {}
            Some(Notice::OneWay(since)) => {
                let (received, sent) = self.watch.counts();
                out.push(MediaEvent::OneWay {
                    stream: self.id,
                    since,
                    received,
                    sent,
                    expected_from: self.source.expected(),
                    stray_from: self.source.stray(),
                });
            }
            Some(Notice::Silent(silence)) => out.push(MediaEvent::Silent {
                stream: self.id,
                silence,
            }),
        }
    }

    /// The source, when it is certain and may be told to the kernel.
    pub fn final_source(&self, now: Instant) -> Option<SocketAddr> {
        self.source.locked().filter(|_| self.source.is_final(now))
    }

    /// Counts so far.
    pub fn statistics(&self) -> StreamStatistics {
        StreamStatistics {
            lost: self.reception.lost(),
            jitter_us: self.reception.jitter().as_micros() as u64,
            ..self.statistics
        }
    }

    fn destination(&self) -> Option<SocketAddr> {
        self.plan
            .as_ref()
            .filter(|plan| plan.direction.sends())
            .and_then(|_| self.source.destination())
    }

    fn count_sent(&mut self, now: Instant, packet: &mut [u8]) {
        if self.mark_next {
            // what follows has another source or timestamp: a receiver begins its jitter buffer anew (RFC 3551 §4.1)
            set_marker(packet);
            self.mark_next = false;
        }
        self.statistics.packets_sent += 1;
        self.statistics.octets_sent += packet.len() as u64;
        self.watch.sent(now);
    }

    fn tell_digit(
        &self,
        pressed: Option<(char, crate::base::Duration)>,
        out: &mut Vec<MediaEvent>,
    ) {
        if let Some((digit, duration)) = pressed {
            out.push(MediaEvent::Digit {
                stream: self.id,
                digit,
                duration,
            });
        }
    }
}

/// Relays two streams to each other, payload numbers mapped by codec.
pub fn join(a: &mut Stream, b: &mut Stream) {
    let (there, back) = match (&a.plan, &b.plan) {
        (Some(a), Some(b)) => (Route::between(a, b), Route::between(b, a)),
        _ => (Route::default(), Route::default()),
    };
    a.route = there;
    b.route = back;
    for stream in [a, b] {
        if !matches!(stream.mode, Mode::Relay) {
            stream.mark_next = true;
        }
        stream.mode = Mode::Relay;
    }
}

/// The number and law to play with.
fn played(plan: &MediaPlan) -> Option<(u8, Law)> {
    let payload = plan.g711()?;
    let law = if payload.codec == Codec::Pcma {
        Law::A
    } else {
        Law::Mu
    };
    Some((payload.number, law))
}

#[cfg(test)]
mod tests;
