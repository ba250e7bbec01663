//! Finds key presses in telephone events: one digit for each event, however often it is reported.

use crate::base::{Duration, Instant};
use crate::rtp::arithmetic::{ticks_to_duration, timestamp_ahead};
use crate::rtp::{Header, TelephoneEvent};

/// An event without report for so long has ended unseen: all three of its end packets were lost. RFC 4733 §2.5.1.4 has reports each
/// 50 ms or less; ten of them: guess.
const LOST_END: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug)]
struct Event {
    ssrc: u32,
    timestamp: u32,
    event: TelephoneEvent,
    clock_hz: u32,
    reported_at: Instant,
    done: bool,
}

impl Event {
    fn digit(&self) -> Option<(char, Duration)> {
        let digit = self.event.digit()?;
        let duration = ticks_to_duration(u32::from(self.event.duration), self.clock_hz);
        Some((digit, duration))
    }
}

/// The keypad of one stream's peer.
#[derive(Debug, Default)]
pub struct Keypad {
    current: Option<Event>,
}

impl Keypad {
    /// A packet of telephone events came in. Gives the digit that ended: this one by its end bit, or the one before when its end
    /// was lost.
    pub fn receive(
        &mut self,
        now: Instant,
        header: &Header,
        payload: &[u8],
        clock_hz: u32,
    ) -> Option<(char, Duration)> {
        let event = TelephoneEvent::parse(payload)?;
        if let Some(current) = &mut self.current
            && current.ssrc == header.ssrc
        {
            let ahead = timestamp_ahead(header.timestamp, current.timestamp);
            if ahead < 0 {
                return None; // a late report of an event before
            }
            if ahead == 0 && current.event.event == event.event {
                if current.done {
                    return None;
                }
                current.reported_at = now;
                current.event.duration = current.event.duration.max(event.duration);
                if event.end {
                    current.done = true;
                    return current.digit();
                }
                return None;
            }
        }
        let before = self.current.filter(|current| !current.done);
        let started = Event {
            ssrc: header.ssrc,
            timestamp: header.timestamp,
            event,
            clock_hz,
            reported_at: now,
            done: false,
        };
        self.current = Some(started);
        let unfinished = before.and_then(|event| event.digit());
        if unfinished.is_none() && event.end {
            self.current = Some(Event {
                done: true,
                ..started
            });
            return started.digit();
        }
        // an end that comes with the end of another is told by its repetitions or by `poll`
        unfinished
    }

    /// Ends an event whose end was lost.
    pub fn poll(&mut self, now: Instant) -> Option<(char, Duration)> {
        let current = self.current.as_mut().filter(|current| !current.done)?;
        if now.since(current.reported_at) < LOST_END {
            return None;
        }
        current.done = true;
        current.digit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn header(timestamp: u32) -> Header {
        Header {
            marker: false,
            payload_number: 101,
            sequence: 0,
            timestamp,
            ssrc: 1,
            payload_start: 12,
            payload_end: 16,
        }
    }

    fn report(
        pad: &mut Keypad,
        ms: u64,
        timestamp: u32,
        digit: char,
        end: bool,
        ticks: u16,
    ) -> Option<(char, u64)> {
        let payload = TelephoneEvent::of_digit(digit, end, ticks)
            .expect("a key")
            .bytes();
        pad.receive(at(ms), &header(timestamp), &payload, 8_000)
            .map(|(digit, duration)| (digit, duration.as_millis() as u64))
    }

    #[test]
    fn three_end_packets_are_one_digit() {
        let mut pad = Keypad::default();
        assert_eq!(report(&mut pad, 0, 1000, '5', false, 160), None);
        assert_eq!(report(&mut pad, 20, 1000, '5', false, 320), None);
        assert_eq!(report(&mut pad, 40, 1000, '5', true, 800), Some(('5', 100)));
        assert_eq!(report(&mut pad, 40, 1000, '5', true, 800), None);
        assert_eq!(report(&mut pad, 41, 1000, '5', true, 800), None);
        assert_eq!(pad.poll(at(5000)), None);
    }

    #[test]
    fn same_key_twice_is_two_digits() {
        let mut pad = Keypad::default();
        assert_eq!(report(&mut pad, 0, 1000, '5', true, 800), Some(('5', 100)));
        assert_eq!(
            report(&mut pad, 200, 2600, '5', true, 800),
            Some(('5', 100))
        );
    }

    #[test]
    fn end_alone_is_enough() {
        assert_eq!(
            report(&mut Keypad::default(), 0, 1, '#', true, 400),
            Some(('#', 50))
        );
    }

    #[test]
    fn lost_end_is_told_by_the_next_event_or_by_time() {
        let mut pad = Keypad::default();
        report(&mut pad, 0, 1000, '1', false, 160);
        assert_eq!(
            report(&mut pad, 300, 3400, '2', false, 160),
            Some(('1', 20))
        );
        assert_eq!(pad.poll(at(700)), None);
        assert_eq!(pad.poll(at(800)), Some(('2', Duration::from_millis(20))));
        assert_eq!(pad.poll(at(900)), None);
        assert_eq!(report(&mut pad, 950, 3400, '2', true, 320), None);
    }

    #[test]
    fn end_that_arrives_with_the_loss_of_another_is_told_by_its_repetition() {
        let mut pad = Keypad::default();
        report(&mut pad, 0, 1000, '1', false, 160);
        assert_eq!(report(&mut pad, 300, 3400, '2', true, 800), Some(('1', 20)));
        assert_eq!(
            report(&mut pad, 301, 3400, '2', true, 800),
            Some(('2', 100))
        );
    }

    #[test]
    fn late_report_of_an_old_event_is_no_new_digit() {
        let mut pad = Keypad::default();
        report(&mut pad, 0, 1000, '1', true, 160);
        report(&mut pad, 100, 2000, '2', true, 160);
        assert_eq!(report(&mut pad, 101, 1000, '1', true, 160), None);
        assert_eq!(report(&mut pad, 102, 2000, '2', true, 160), None);
    }

    #[test]
    fn timestamps_may_wrap_between_digits() {
        let mut pad = Keypad::default();
        assert!(report(&mut pad, 0, u32::MAX - 10, '1', true, 160).is_some());
        assert!(report(&mut pad, 100, 800, '1', true, 160).is_some());
    }
}
