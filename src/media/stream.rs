//! One stream as pure steps: packet in, packet out, what is played, what is noticed. Sockets and clocks are the worker's.

use std::net::SocketAddr;
use std::sync::Arc;

use super::codec::Codec;
use super::command::{MediaEvent, SourcePolicy, StreamId, StreamStatistics};
use super::dtmf::Keypad;
use super::plan::MediaPlan;
use super::player::{self, FRAME_SAMPLES, Player};
use super::playout::Playout;
use super::relay::{Route, Way};
use super::source::{Source, Verdict};
use super::srtp::Srtp;
use super::statistics::Reception;
use super::transmit::Transmitter;
use super::watch::{Notice, Watch};
use crate::base::{Instant, Now};
use crate::rtp::arithmetic::{ntp, ntp_middle};
use crate::rtp::rtcp::{self, Report};
use crate::rtp::{Header, set_marker};

mod by_ear;
mod transcode;

pub use super::transmit::PACKET_BYTES_MAX;
use by_ear::ByEar;
use transcode::Speech;
pub use transcode::pass_on;

/// What becomes of a packet that came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Nothing more: refused, or used up.
    Drop,
    /// Rewritten in place; goes to the joined stream's [`Stream::send`].
    Relay,
    /// Rewritten in place; goes back by [`Stream::send`] of the same stream.
    Echo,
    /// Decoded; [`pass_on`] takes it to the joined stream, whose packets then come from [`Stream::next_packet`].
    Speech,
}

/// What a stream does with what it receives, and what it sends.
#[derive(Debug)]
enum Mode {
    Idle,
    Relay,
    Echo,
    Play { player: Player, play: u32 },
    Mix(Box<Playout>),
}

/// What a tick of the player gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Played {
    /// The time has passed; what is to be sent comes from [`Stream::next_packet`].
    Frame,
    /// It was over before this tick.
    Ended(u32),
    /// Nothing is being played.
    Nothing,
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
    /// Where no telephone-events were agreed.
    by_ear: Option<Box<ByEar>>,
    reception: Reception,
    watch: Watch,
    transmitter: Transmitter,
    /// What was heard last, where the joined stream does not have its codec.
    speech: Option<Box<Speech>>,
    /// The one it was joined with last.
    partner: Option<StreamId>,
    /// Reports are ours, since what is sent is.
    reports: bool,
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
            by_ear: None,
            reception: Reception::default(),
            watch: Watch::default(),
            transmitter: Transmitter::new(seed),
            speech: None,
            partner: None,
            reports: true,
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
        self.by_ear = ByEar::for_plan(&plan);
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
        match &mut self.mode {
            Mode::Play { .. } => self.transmitter.agree(&plan, player::RATE_HZ),
            Mode::Mix(playout) => {
                self.transmitter.agree(&plan, playout.rate_hz());
                playout.agree(&plan.receive);
            }
            Mode::Idle | Mode::Relay | Mode::Echo => {}
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
        self.speech = None;
        self.reports = true;
    }

    /// Sends back what it receives.
    pub fn echo(&mut self) {
        self.idle();
        self.mode = Mode::Echo;
        self.mark_next = true;
        // under its own name a peer would take it for a loop (RFC 3550 §8.2)
        self.transmitter.take_over();
        self.follow_clock();
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
        self.idle();
        let plan = self.plan.as_ref().ok_or("nothing agreed yet")?;
        self.transmitter.agree(plan, player::RATE_HZ);
        if !self.transmitter.can_speak() {
            return Err("no codec agreed that can be spoken here");
        }
        let player = Player::new(clips, repeat).ok_or("nothing to play")?;
        self.transmitter.resume(now);
        self.mode = Mode::Play { player, play };
        Ok(())
    }

    /// Becomes a member of a conference of this rate: what it hears comes from [`Stream::hear_frame`], what is said to it goes to
    /// [`Stream::say_frame`]. `Err` names why it cannot.
    pub fn mix(&mut self, now: Instant, rate_hz: u32) -> Result<(), &'static str> {
        self.idle();
        let plan = self.plan.as_ref().ok_or("nothing agreed yet")?;
        self.transmitter.agree(plan, rate_hz);
        if !self.transmitter.can_speak() {
            return Err("no codec agreed that can be spoken here");
        }
        self.transmitter.resume(now);
        self.mode = Mode::Mix(Box::new(Playout::new(rate_hz, &plan.receive)));
        Ok(())
    }

    /// The next frame of what the peer says, as long as `out`; false when it says nothing.
    pub fn hear_frame(&mut self, now: Instant, out: &mut [i16]) -> bool {
        match &mut self.mode {
            Mode::Mix(playout) => playout.frame(now, out),
            Mode::Idle | Mode::Relay | Mode::Echo | Mode::Play { .. } => false,
        }
    }

    /// A frame to be said to the peer; the packets come from [`Stream::next_packet`].
    pub fn say_frame(&mut self, now: Instant, samples: &[i16], rate_hz: u32) {
        if self.destination().is_some() {
            self.transmitter.say(samples, rate_hz);
        } else {
            // on hold the time passes all the same
            let ms = samples.len() as u64 * 1_000 / u64::from(rate_hz.max(1));
            self.transmitter.pause(now, ms as u32);
        }
    }

    /// True while playing.
    pub fn is_playing(&self) -> bool {
        matches!(self.mode, Mode::Play { .. })
    }

    /// The next 20 ms of what is played.
    pub fn play_frame(&mut self, now: Instant) -> Played {
        let Mode::Play { player, play } = &mut self.mode else {
            return Played::Nothing;
        };
        let play = *play;
        let mut frame = [0; FRAME_SAMPLES];
        if !player.next_frame(&mut frame) {
            self.mode = Mode::Idle;
            return Played::Ended(play);
        }
        if self.destination().is_some() {
            self.transmitter.say(&frame, player::RATE_HZ);
        } else {
            // on hold the time passes all the same
            self.transmitter.pause(now, player::FRAME_MS);
        }
        Played::Frame
    }

    /// The next packet of audio that is made here, written into `packet` with room for [`PACKET_BYTES_MAX`]; where it goes, and its length.
    pub fn next_packet(&mut self, now: Instant, packet: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let to = self.destination()?;
        let length = self.transmitter.next_packet(now, packet)?;
        self.count_sent(now, packet.get_mut(..length)?);
        Some((to, length))
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

    /// Protects a packet that fills the first `length` bytes of `buffer`, after [`Stream::send`] or [`Stream::next_packet`]. The length
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
        let taken = match &mut self.mode {
            Mode::Idle | Mode::Play { .. } => {
                self.listen_for_keys(&header, packet, out);
                return Taken::Drop;
            }
            Mode::Mix(playout) => {
                if !is_event {
                    playout.put(now, &header, header.payload(packet));
                }
                return Taken::Drop;
            }
            Mode::Relay => Taken::Relay,
            Mode::Echo => Taken::Echo,
        };
        match self.route.apply(&header, packet) {
            Way::Pass => {}
            Way::Drop => {
                self.statistics.unwanted_dropped += 1;
                return Taken::Drop;
            }
            Way::Decode => return self.decode(&header, packet),
            Way::Event(number) => return self.decode_event(&header, packet, number),
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
        self.transmitter.relay(now, packet);
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
        {
            if let Some(sender) = report.sender {
                self.reception.sender_reported(now, ntp_middle(sender.ntp));
            }
            if let Some(block) = report.block
                && block.ssrc == self.transmitter.ssrc()
            {
                let percent = u16::from(block.fraction_lost) * 100 / 256;
                self.transmitter.expect_loss(percent as u8);
            }
        }
        match self.mode {
            Mode::Relay if !self.reports => Taken::Relay,
            Mode::Relay | Mode::Idle | Mode::Echo | Mode::Play { .. } | Mode::Mix(_) => Taken::Drop,
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
        if !self.reports {
            return None;
        }
        let to = self.send_rtcp()?;
        let block = self.reception.report(now.mono);
        let sender = self.transmitter.report(now.mono, ntp(now.wall));
        if sender.is_none() && block.is_none() {
            return None;
        }
        let report = Report {
            ssrc: self.transmitter.ssrc(),
            sender,
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

    /// What another stream sends goes out here from now on.
    fn meet(&mut self, partner: StreamId) {
        if self.partner.replace(partner) != Some(partner) && self.transmitter.has_sent() {
            self.transmitter.take_over();
        }
        self.follow_clock();
    }

    /// What is relayed has the clock of the codec that was agreed.
    fn follow_clock(&mut self) {
        let payloads = self.plan.iter().flat_map(|plan| &plan.payloads);
        if let Some(speech) = payloads.clone().find(|payload| payload.codec.is_speech()) {
            self.transmitter.set_clock(speech.clock_hz);
        }
    }

    fn count_sent(&mut self, now: Instant, packet: &mut [u8]) {
        if self.mark_next {
            // what follows comes from somebody else: a receiver begins its jitter buffer anew (RFC 3551 §4.1)
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

/// Relays two streams to each other, payload numbers mapped by codec; what the other side has no codec for is transcoded.
pub fn join(now: Instant, a: &mut Stream, b: &mut Stream) {
    let (there, back) = match (&a.plan, &b.plan) {
        (Some(a), Some(b)) => (Route::between(a, b), Route::between(b, a)),
        _ => (Route::default(), Route::default()),
    };
    a.route = there;
    b.route = back;
    // where one way is spoken anew, the sources of both sides mean nothing to each other, and so do their reports
    let transcoded = [&*a, &*b].iter().any(|stream| {
        stream
            .plan
            .as_ref()
            .is_some_and(|plan| stream.route.decodes(plan))
    });
    a.meet(b.id);
    b.meet(a.id);
    transcode::tune(now, a, b);
    transcode::tune(now, b, a);
    // nor do they where numbers are ours
    let reports = transcoded || a.transmitter.numbers() || b.transmitter.numbers();
    for stream in [a, b] {
        if !matches!(stream.mode, Mode::Relay) {
            stream.mark_next = true;
        }
        stream.mode = Mode::Relay;
        stream.reports = reports;
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod transcode_tests;
