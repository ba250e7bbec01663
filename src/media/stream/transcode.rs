//! The slow way through a join: speech is decoded as it comes, and spoken anew in a codec of the other side.

use super::{Mode, Stream, Taken};
use crate::base::Instant;
use crate::media::codec::Payload;
use crate::media::hearing::{Heard, Hearing};
use crate::media::transmit::Transmitter;
use crate::rtp::{Header, TelephoneEvent};

/// What a stream heard, on its way to the other.
#[derive(Debug, Default)]
pub(super) struct Speech {
    hearing: Hearing,
    /// The rate that the other side would like best.
    wanted_hz: u32,
    samples: Vec<i16>,
    /// Silence before the samples.
    pause_ms: u32,
    event: Option<Event>,
    /// Timestamp of the event that is going on.
    event_at: Option<u32>,
}

/// A report of a telephone event, for the other side.
#[derive(Clone, Copy, Debug)]
struct Event {
    number: u8,
    report: TelephoneEvent,
    clock_hz: u32,
    starts: bool,
}

impl Stream {
    /// A packet of speech that the other side cannot take as it is.
    #[cold]
    pub(super) fn decode(&mut self, header: &Header, packet: &[u8]) -> Taken {
        let (Some(speech), Some(known)) = (
            &mut self.speech,
            self.plan
                .as_ref()
                .and_then(|plan| received(&plan.receive, header.payload_number)),
        ) else {
            return Taken::Drop;
        };
        if !matches!(self.mode, Mode::Relay) {
            return Taken::Drop;
        }
        speech.samples.clear();
        speech.event = None;
        speech.event_at = None;
        let wanted = speech.wanted_hz;
        let payload = header.payload(packet);
        match speech
            .hearing
            .hear(header, payload, known, wanted, &mut speech.samples)
        {
            Heard::Samples => speech.pause_ms = 0,
            Heard::AfterPause(ms) => speech.pause_ms = ms,
            Heard::Nothing => return Taken::Drop,
        }
        Taken::Speech
    }

    /// A telephone event among such speech.
    #[cold]
    pub(super) fn decode_event(&mut self, header: &Header, packet: &[u8], number: u8) -> Taken {
        let (Some(speech), Some(known), Some(report)) = (
            &mut self.speech,
            self.plan
                .as_ref()
                .and_then(|plan| received(&plan.receive, header.payload_number)),
            TelephoneEvent::parse(header.payload(packet)),
        ) else {
            return Taken::Drop;
        };
        speech.hearing.passed(header);
        speech.samples.clear();
        let starts = speech.event_at != Some(header.timestamp);
        speech.event_at = Some(header.timestamp);
        speech.event = Some(Event {
            number,
            report,
            clock_hz: known.clock_hz,
            starts,
        });
        Taken::Speech
    }

    /// The report of an event that [`pass_on`] brought, written into `packet`.
    fn event_packet(&mut self, now: Instant, event: &Event, packet: &mut [u8]) -> Option<usize> {
        let plan = self.plan.as_ref()?;
        let clock_hz = received(&plan.payloads, event.number)?.clock_hz;
        // durations count in the clock of their payload (RFC 4733 §2.3.5)
        let ticks = u64::from(event.report.duration) * u64::from(clock_hz)
            / u64::from(event.clock_hz.max(1));
        let report = TelephoneEvent {
            duration: ticks.min(u64::from(u16::MAX)) as u16,
            ..event.report
        };
        self.transmitter
            .event(now, event.number, &report, event.starts, packet)
    }
}

/// Takes what `from` has heard to `to`. The packets that this makes come from [`Stream::next_packet`] of `to`, but for the report of an
/// event, which is written into `packet` at once; its length.
#[cold]
pub fn pass_on(
    now: Instant,
    from: &mut Stream,
    to: &mut Stream,
    packet: &mut [u8],
) -> Option<(std::net::SocketAddr, usize)> {
    let speech = from.speech.as_mut()?;
    let destination = to.destination();
    if let Some(event) = speech.event.take() {
        let destination = destination?;
        let length = to.event_packet(now, &event, packet)?;
        to.count_sent(now, packet.get_mut(..length)?);
        return Some((destination, length));
    }
    let rate_hz = speech.hearing.rate_hz();
    if speech.pause_ms > 0 {
        to.transmitter.pause(now, speech.pause_ms);
        speech.pause_ms = 0;
    }
    if destination.is_none() {
        // on hold the time passes all the same
        let ms = speech.samples.len() as u64 * 1_000 / u64::from(rate_hz.max(1));
        to.transmitter.pause(now, ms as u32);
        to.statistics.unwanted_dropped += 1;
        return None;
    }
    to.transmitter.say(&speech.samples, rate_hz);
    None
}

/// Makes `from` ready to hear for `to`, and `to` to speak what it hears; a join that is made again keeps what it has.
pub(super) fn tune(now: Instant, from: &mut Stream, to: &mut Stream) {
    let (Some(heard), Some(spoken)) = (&from.plan, &to.plan) else {
        return;
    };
    let decodes = heard
        .receive
        .iter()
        .any(|payload| from.route.decodes_number(payload.number));
    if !decodes {
        from.speech = None;
        return;
    }
    let transmitter: &mut Transmitter = &mut to.transmitter;
    transmitter.agree(spoken, heard.heard_hz().unwrap_or(8_000));
    let wanted_hz = transmitter.best_hz().unwrap_or(8_000);
    match &mut from.speech {
        Some(speech) => speech.wanted_hz = wanted_hz,
        None => {
            transmitter.resume(now);
            from.speech = Some(Box::new(Speech {
                wanted_hz,
                ..Speech::default()
            }));
        }
    }
}

fn received(payloads: &[Payload], number: u8) -> Option<&Payload> {
    payloads.iter().find(|payload| payload.number == number)
}
