//! The sending half of a stream: samples to packets, and one synchronisation source for all that the peer gets.
//!
//! Samples of any rate go in by [`Transmitter::say`]; packets of the agreed codec and length come out of
//! [`Transmitter::next_packet`] as soon as they are full. Timestamps go on as time does through pauses (RFC 3550 §5.1).
//!
//! Packets of others go out by [`Transmitter::relay`]: as they came while there is nothing else, and as the continuation of what was
//! sent before from the first music, prompt or other partner on. Phones take numbers that fall for late packets, and play nothing.

use super::codec::{Encoder, PAYLOAD_BYTES_MAX, Payload};
use super::plan::MediaPlan;
use super::signal::{Resampler, VoiceActivity};
use crate::base::Instant;
use crate::rtp::arithmetic::ticks_at;
use crate::rtp::rtcp::SenderInfo;
use crate::rtp::{HEADER_BYTES, TelephoneEvent, set_marker, set_numbers, write_header};

/// Room that a packet of ours needs.
pub const PACKET_BYTES_MAX: usize = HEADER_BYTES + PAYLOAD_BYTES_MAX;
/// Opus may rest in silence (RFC 7587 §3.1.3): this long after the last word, and then a packet now and then for the background.
const REST_AFTER_MS: u32 = 200;
const REST_PACKET_MS: u32 = 400;

/// The encoding half: made when the first samples come, anew when their rate changes.
struct Voice {
    encoder: Box<dyn Encoder>,
    from_hz: u32,
    resampler: Resampler,
    pending: Vec<i16>,
    /// Samples of one packet.
    packet: usize,
    /// In milliseconds, how long there was nothing but background, where the peer lets us rest.
    rest: Option<(VoiceActivity, u32)>,
}

/// How packets of others are numbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Numbering {
    /// As they came.
    Theirs,
    /// As the continuation of what went before; the anchor is set by the first of them.
    Ours(Option<Anchor>),
}

/// What is added to the numbers of one source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Anchor {
    source: u32,
    sequence: u16,
    timestamp: u32,
}

/// What was agreed to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Spoken {
    payload: Payload,
    packet_ms: u8,
}

/// The sender of one stream.
pub struct Transmitter {
    ssrc: u32,
    /// Of the next packet, as is the timestamp.
    sequence: u16,
    timestamp: u32,
    clock_hz: u32,
    numbering: Numbering,
    spoken: Option<Spoken>,
    voice: Option<Voice>,
    /// Timestamp of the event that is being sent.
    event_at: u32,
    mark: bool,
    at: Option<Instant>,
    packets: u32,
    octets: u32,
    reported_packets: u32,
}

impl std::fmt::Debug for Transmitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transmitter")
            .field("ssrc", &self.ssrc)
            .field("spoken", &self.spoken)
            .finish_non_exhaustive()
    }
}

impl Transmitter {
    /// One that has nothing to say yet. `seed` gives its source and the beginnings of sequence and timestamp (RFC 3550 §5.1: random).
    pub fn new(seed: u128) -> Transmitter {
        Transmitter {
            ssrc: seed as u32,
            sequence: (seed >> 32) as u16 & 0x7fff,
            timestamp: (seed >> 64) as u32,
            clock_hz: 8_000,
            numbering: Numbering::Theirs,
            spoken: None,
            voice: None,
            event_at: 0,
            mark: true,
            at: None,
            packets: 0,
            octets: 0,
            reported_packets: 0,
        }
    }

    /// Its synchronisation source.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// A new agreement, or a new source of what is said, of `source_hz`. An encoder whose codec, parameters and packet length stay the
    /// same goes on.
    pub fn agree(&mut self, plan: &MediaPlan, source_hz: u32) {
        let spoken = plan.spoken_for(source_hz).map(|payload| Spoken {
            payload: payload.clone(),
            packet_ms: payload
                .codec
                .coder()
                .map_or(20, |coder| coder.packet_ms_for(plan.ptime_ms)),
        });
        if spoken == self.spoken {
            return;
        }
        self.voice = None;
        if let Some(spoken) = &spoken {
            self.set_clock(spoken.payload.clock_hz);
        }
        self.mark = true;
        self.spoken = spoken;
    }

    /// The clock of what is sent from now on. One source has one clock (RFC 7160 §4.1).
    pub fn set_clock(&mut self, clock_hz: u32) {
        if clock_hz != self.clock_hz {
            self.clock_hz = clock_hz;
            self.ssrc = self.ssrc.wrapping_add(0x9e37_79b9);
            self.at = None;
        }
    }

    /// What others send is the continuation of what this stream has sent, from now on.
    pub fn take_over(&mut self) {
        if self.numbering == Numbering::Theirs {
            self.numbering = Numbering::Ours(None);
        }
    }

    /// True when anything has been sent.
    pub fn has_sent(&self) -> bool {
        self.packets > 0
    }

    /// True when the numbers are ours, whoever sends. Reports of others do not fit them.
    pub fn numbers(&self) -> bool {
        self.numbering != Numbering::Theirs
    }

    /// A packet of somebody else leaves.
    #[inline]
    pub fn relay(&mut self, now: Instant, packet: &mut [u8]) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self
            .octets
            .wrapping_add(packet.len().saturating_sub(HEADER_BYTES) as u32);
        let Some(fixed) = packet.first_chunk_mut::<HEADER_BYTES>() else {
            return;
        };
        let [_, _, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *fixed;
        let mut sequence = u16::from_be_bytes([s0, s1]);
        let mut timestamp = u32::from_be_bytes([t0, t1, t2, t3]);
        let source = u32::from_be_bytes([r0, r1, r2, r3]);
        match self.numbering {
            Numbering::Theirs if self.ssrc != source => {
                self.ssrc = source;
                self.sequence = sequence;
            }
            Numbering::Theirs => {}
            Numbering::Ours(anchor) => {
                let anchor = match anchor {
                    Some(anchor) if anchor.source == source => anchor,
                    _ => self.anchor(now, fixed, source, sequence, timestamp),
                };
                sequence = sequence.wrapping_add(anchor.sequence);
                timestamp = timestamp.wrapping_add(anchor.timestamp);
                set_numbers(fixed, sequence, timestamp, self.ssrc);
            }
        }
        // not of one that was overtaken
        if sequence.wrapping_sub(self.sequence) < 0x8000 {
            self.sequence = sequence.wrapping_add(1);
            self.timestamp = timestamp.wrapping_add(self.clock_hz / 50);
            self.at = Some(now);
        }
    }

    /// The first packet of a source follows the last one sent, by as much as time has passed, and is marked.
    #[cold]
    fn anchor(
        &mut self,
        now: Instant,
        header: &mut [u8; HEADER_BYTES],
        source: u32,
        sequence: u16,
        timestamp: u32,
    ) -> Anchor {
        self.follow_time(now);
        set_marker(header);
        let anchor = Anchor {
            source,
            sequence: self.sequence.wrapping_sub(sequence),
            timestamp: self.timestamp.wrapping_sub(timestamp),
        };
        self.numbering = Numbering::Ours(Some(anchor));
        anchor
    }

    /// Lets the timestamp jump by the time since the last packet.
    fn follow_time(&mut self, now: Instant) {
        if let Some(at) = self.at {
            let passed = ticks_at(now, self.clock_hz).wrapping_sub(ticks_at(at, self.clock_hz));
            self.timestamp = self.timestamp.wrapping_add(passed);
        }
    }

    /// True when there is a codec to speak.
    pub fn can_speak(&self) -> bool {
        self.spoken.is_some()
    }

    /// The rate at which speech is best brought: no resampling is done then where the codec takes it.
    pub fn best_hz(&self) -> Option<u32> {
        let spoken = self.spoken.as_ref()?;
        spoken.payload.codec.coder().map(|coder| coder.best_hz())
    }

    /// Begins to speak after silence: the timestamp jumps by the time that has passed, and the first packet is marked (RFC 3551 §4.1).
    pub fn resume(&mut self, now: Instant) {
        self.follow_time(now);
        self.forget();
    }

    /// Forgets what did not fill a packet; the next packet is marked.
    pub fn forget(&mut self) {
        if let Some(voice) = &mut self.voice {
            voice.pending.clear();
        }
        self.mark = true;
    }

    /// Lets `milliseconds` of time pass without a word, until now.
    pub fn pause(&mut self, now: Instant, milliseconds: u32) {
        self.forget();
        self.at = self.at.map(|_| now);
        let ticks = u64::from(milliseconds) * u64::from(self.clock_hz) / 1_000;
        self.timestamp = self.timestamp.wrapping_add(ticks as u32);
    }

    /// Takes samples at `rate_hz`. Nothing happens where no codec was agreed that we speak.
    pub fn say(&mut self, samples: &[i16], rate_hz: u32) {
        let Some(spoken) = &self.spoken else {
            return;
        };
        if self
            .voice
            .as_ref()
            .is_none_or(|voice| voice.from_hz != rate_hz)
        {
            self.voice = Voice::new(spoken, rate_hz);
        }
        if let Some(voice) = &mut self.voice {
            voice.resampler.push(samples, &mut voice.pending);
        }
    }

    /// What the peer reports as lost, in percent.
    pub fn expect_loss(&mut self, percent: u8) {
        if let Some(voice) = &mut self.voice {
            voice.encoder.expect_loss(percent);
        }
    }

    /// The next full packet, written into `packet`, which has room for [`PACKET_BYTES_MAX`]; its length.
    pub fn next_packet(&mut self, now: Instant, packet: &mut [u8]) -> Option<usize> {
        loop {
            let voice = self.voice.as_mut()?;
            let (number, packet_ms) = self
                .spoken
                .as_ref()
                .map(|spoken| (spoken.payload.number, spoken.packet_ms))?;
            if voice.pending.len() < voice.packet {
                return None;
            }
            let rests = voice.rests(packet_ms);
            let payload = packet.get_mut(HEADER_BYTES..PACKET_BYTES_MAX)?;
            let frame = voice.pending.get(..voice.packet)?;
            // encoded even when it is not sent, so that the encoder's past is not torn
            let length = voice.encoder.encode(frame, payload);
            voice.pending.drain(..voice.packet);
            let at = self.timestamp;
            let ticks = u32::from(packet_ms) * (self.clock_hz / 1_000);
            self.timestamp = at.wrapping_add(ticks);
            if rests || length == 0 {
                self.mark = true;
                continue;
            }
            return self.finish(now, number, at, length, packet);
        }
    }

    /// A report of a telephone event, into `packet`; its length. `starts` begins a new event at this moment; the duration counts in our
    /// clock.
    pub fn event(
        &mut self,
        now: Instant,
        number: u8,
        event: &TelephoneEvent,
        starts: bool,
        packet: &mut [u8],
    ) -> Option<usize> {
        if starts {
            self.forget();
            self.event_at = self.timestamp;
        } else {
            self.mark = false;
        }
        let payload = packet.get_mut(HEADER_BYTES..HEADER_BYTES + 4)?;
        payload.copy_from_slice(&event.bytes());
        let length = self.finish(now, number, self.event_at, 4, packet);
        // speech that comes after is a talk spurt of its own
        self.mark = true;
        length
    }

    fn finish(
        &mut self,
        now: Instant,
        number: u8,
        timestamp: u32,
        payload_bytes: usize,
        packet: &mut [u8],
    ) -> Option<usize> {
        let header = packet.first_chunk_mut::<HEADER_BYTES>()?;
        let mark = std::mem::take(&mut self.mark);
        self.numbering = Numbering::Ours(None);
        write_header(header, mark, number, self.sequence, timestamp, self.ssrc);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_bytes as u32);
        self.at = Some(now);
        Some(HEADER_BYTES + payload_bytes)
    }

    /// What a sender report says of us (RFC 3550 §6.4.1), when something was sent since the last one.
    pub fn report(&mut self, now: Instant, ntp: u64) -> Option<SenderInfo> {
        if self.packets == self.reported_packets {
            return None;
        }
        self.reported_packets = self.packets;
        let passed = self.at.map_or(0, |at| {
            ticks_at(now, self.clock_hz).wrapping_sub(ticks_at(at, self.clock_hz))
        });
        let last = self.spoken.as_ref().map_or(0, |spoken| {
            u32::from(spoken.packet_ms) * (self.clock_hz / 1_000)
        });
        Some(SenderInfo {
            ntp,
            rtp_timestamp: self.timestamp.wrapping_sub(last).wrapping_add(passed),
            packets: self.packets,
            octets: self.octets,
        })
    }
}

impl Voice {
    fn new(spoken: &Spoken, from_hz: u32) -> Option<Voice> {
        let payload = &spoken.payload;
        let coder = payload.codec.coder()?;
        let encoder = (coder.encoder)(coder.rate_for(from_hz), payload);
        let rate_hz = encoder.rate_hz();
        Some(Voice {
            resampler: Resampler::new(from_hz, rate_hz),
            encoder,
            from_hz,
            pending: Vec::new(),
            packet: rate_hz as usize * usize::from(spoken.packet_ms) / 1_000,
            rest: payload
                .parameter("usedtx")
                .filter(|value| *value == "1")
                .map(|_| (VoiceActivity::default(), 0)),
        })
    }

    /// True when the packet at hand need not be sent.
    fn rests(&mut self, packet_ms: u8) -> bool {
        let rate_hz = self.encoder.rate_hz();
        let (Some((activity, quiet_ms)), Some(frame)) =
            (&mut self.rest, self.pending.get(..self.packet))
        else {
            return false;
        };
        if activity.judge(frame, rate_hz) {
            *quiet_ms = 0;
            return false;
        }
        *quiet_ms += u32::from(packet_ms);
        // the background is told again now and then
        let resting = quiet_ms.saturating_sub(REST_AFTER_MS);
        resting > 0 && resting % REST_PACKET_MS >= u32::from(packet_ms)
    }
}

#[cfg(test)]
#[path = "transmit_tests.rs"]
mod tests;
