//! The ear of an endpoint: packets as they come go in, frames of one rate at an even pace come out.
//!
//! A [`JitterBuffer`] in front of the decoder of whatever comes; what is lost is concealed, pauses are filled with the background that the
//! peer described (RFC 3389), and what has been waiting too long is left out where it is quiet.

use super::codec::{Codec, ComfortNoise, Decoder, Payload};
use super::jitter::{JitterBuffer, JitterCounts, Take};
use super::signal::{Resampler, VoiceActivity};
use crate::base::Instant;
use crate::rtp::Header;

/// Orders of the buffer that are followed for one frame: more than any frame needs.
const ORDERS_MAX: usize = 32;

struct Voice {
    codec: Payload,
    decoder: Box<dyn Decoder>,
    resampler: Resampler,
    activity: VoiceActivity,
}

/// What is heard of one stream.
pub struct Playout {
    rate_hz: u32,
    receive: Vec<Payload>,
    clock_hz: u32,
    buffer: JitterBuffer,
    voice: Option<Voice>,
    noise: Option<ComfortNoise>,
    decoded: Vec<i16>,
    ready: Vec<i16>,
}

impl std::fmt::Debug for Playout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Playout")
            .field("rate_hz", &self.rate_hz)
            .finish_non_exhaustive()
    }
}

impl Playout {
    /// Gives frames of `rate_hz`; understands the payloads of `receive`.
    pub fn new(rate_hz: u32, receive: &[Payload]) -> Playout {
        let clock_hz = clock_of(receive);
        Playout {
            rate_hz,
            receive: receive.to_vec(),
            clock_hz,
            buffer: JitterBuffer::new(clock_hz),
            voice: None,
            noise: None,
            decoded: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Another agreement.
    pub fn agree(&mut self, receive: &[Payload]) {
        if self.receive != receive {
            *self = Playout::new(self.rate_hz, receive);
        }
    }

    /// Samples per second of the frames.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// What became of packets so far.
    pub fn counts(&self) -> JitterCounts {
        self.buffer.counts()
    }

    /// A packet of speech or comfort noise. Others are not for here.
    pub fn put(&mut self, now: Instant, header: &Header, payload: &[u8]) {
        let Some(known) = self.known(header.payload_number) else {
            return;
        };
        let wanted = known.codec == Codec::ComfortNoise || known.codec.coder().is_some();
        let clock_hz = known.clock_hz;
        if !wanted {
            return;
        }
        if clock_hz != self.clock_hz {
            // one source has one clock; what comes under another is a new beginning
            self.clock_hz = clock_hz;
            self.buffer = JitterBuffer::new(clock_hz);
        }
        self.buffer.put(now, header, payload);
    }

    /// The next frame, as long as `out`. False when nothing is heard; `out` is silence then.
    pub fn frame(&mut self, now: Instant, out: &mut [i16]) -> bool {
        for _ in 0..ORDERS_MAX {
            if self.ready.len() >= out.len() || !self.follow(now) {
                break;
            }
        }
        let length = self.ready.len().min(out.len());
        let (heard, rest) = out.split_at_mut(length);
        for (place, sample) in heard.iter_mut().zip(self.ready.drain(..length)) {
            *place = sample;
        }
        rest.fill(0);
        if length > 0 {
            return true;
        }
        let Some(noise) = &mut self.noise else {
            return false;
        };
        self.decoded.clear();
        noise.sound(out.len(), &mut self.decoded);
        out.copy_from_slice(&self.decoded);
        true
    }

    /// Does what the buffer says; false when there is nothing to do.
    fn follow(&mut self, now: Instant) -> bool {
        match self.buffer.take(now) {
            Take::Empty => false,
            Take::Packet {
                number,
                payload,
                surplus,
            } => {
                self.decode(number, &payload, surplus);
                true
            }
            Take::Lost { ticks, copy } => {
                self.fill(ticks, copy.as_deref());
                true
            }
            Take::Stretch { ticks } => {
                self.fill(ticks, None);
                true
            }
            Take::Pause { ticks } => {
                let samples = u64::from(ticks) * u64::from(self.rate_hz);
                let samples = (samples / u64::from(self.clock_hz)) as usize;
                match &mut self.noise {
                    Some(noise) => noise.sound(samples, &mut self.ready),
                    None => self.ready.resize(self.ready.len() + samples, 0),
                }
                true
            }
        }
    }

    fn decode(&mut self, number: u8, payload: &[u8], surplus: bool) {
        let Some(known) = self.known(number).cloned() else {
            return self.buffer.played(0);
        };
        if known.codec == Codec::ComfortNoise {
            // until the next word
            self.noise = ComfortNoise::parse(payload);
            return self.buffer.rests();
        }
        self.noise = None;
        let Some(voice) = voice(&mut self.voice, &known, self.rate_hz) else {
            return self.buffer.played(0);
        };
        self.decoded.clear();
        let rate = u64::from(voice.decoder.rate_hz());
        if voice.decoder.decode(payload, &mut self.decoded).is_err() {
            let usual = rate as usize / 50;
            voice.decoder.conceal(usual, None, &mut self.decoded);
        }
        let ticks = self.decoded.len() as u64 * u64::from(self.clock_hz) / rate;
        self.buffer.played(ticks as u32);
        let speech = voice.activity.judge(&self.decoded, rate as u32);
        if speech || !surplus {
            voice.resampler.push(&self.decoded, &mut self.ready);
        }
    }

    fn fill(&mut self, ticks: u32, copy: Option<&[u8]>) {
        let Some(voice) = &mut self.voice else {
            return;
        };
        let rate = u64::from(voice.decoder.rate_hz());
        let samples = u64::from(ticks) * rate / u64::from(self.clock_hz);
        self.decoded.clear();
        voice
            .decoder
            .conceal(samples as usize, copy, &mut self.decoded);
        voice.resampler.push(&self.decoded, &mut self.ready);
    }

    fn known(&self, number: u8) -> Option<&Payload> {
        self.receive.iter().find(|payload| payload.number == number)
    }
}

/// The decoder for a payload, made when it is another than before.
fn voice<'a>(place: &'a mut Option<Voice>, known: &Payload, rate_hz: u32) -> Option<&'a mut Voice> {
    if place.as_ref().is_none_or(|voice| voice.codec != *known) {
        let coder = known.codec.coder()?;
        let decoder = (coder.decoder)(coder.rate_for(rate_hz));
        *place = Some(Voice {
            codec: known.clone(),
            resampler: Resampler::new(decoder.rate_hz(), rate_hz),
            decoder,
            activity: VoiceActivity::default(),
        });
    }
    place.as_mut()
}

fn clock_of(receive: &[Payload]) -> u32 {
    receive
        .iter()
        .find(|payload| payload.codec.coder().is_some())
        .map_or(8_000, |payload| payload.clock_hz)
}

#[cfg(test)]
#[path = "playout_tests.rs"]
mod tests;
