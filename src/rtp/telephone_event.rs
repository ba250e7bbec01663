//! The payload of a telephone event (RFC 4733 §2.3).
#![deny(clippy::indexing_slicing)]

/// One report of an event in progress or ended; each event is reported many times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TelephoneEvent {
    /// 0–9, 10 `*`, 11 `#`, 12–15 `A`–`D`, 16 flash.
    pub event: u8,
    /// The event is over; sent three times.
    pub end: bool,
    /// Power as −dBm0, 0–63.
    pub volume: u8,
    /// Ticks since the event's timestamp.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads the first report of a payload.
    pub fn parse(payload: &[u8]) -> Option<TelephoneEvent> {
        let [event, flags, high, low] = *payload.first_chunk::<4>()?;
        Some(TelephoneEvent {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The payload.
    pub fn bytes(&self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        let end = if self.end { 0x80 } else { 0 };
        [self.event, self.volume & 0x3f | end, high, low]
    }

    /// The key, for events 0–15.
    pub fn digit(&self) -> Option<char> {
        b"0123456789*#ABCD"
            .get(usize::from(self.event))
            .map(|key| char::from(*key))
    }

    /// The event of a key.
    pub fn of_digit(digit: char, end: bool, duration: u16) -> Option<TelephoneEvent> {
        let event = "0123456789*#ABCD"
            .chars()
            .position(|key| key == digit.to_ascii_uppercase())?;
        Some(TelephoneEvent {
            event: event as u8,
            end,
            volume: 10,
            duration,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let event = TelephoneEvent::of_digit('#', true, 1600).expect("a key");
        assert_eq!(event.bytes(), [11, 0x8a, 0x06, 0x40]);
        assert_eq!(TelephoneEvent::parse(&event.bytes()), Some(event));
        assert_eq!(event.digit(), Some('#'));
    }

    #[test]
    fn short_payload_and_flash_are_no_digit() {
        assert_eq!(TelephoneEvent::parse(&[1, 2, 3]), None);
        let flash = TelephoneEvent::parse(&[16, 0, 0, 0]).expect("an event");
        assert_eq!(flash.digit(), None);
        assert_eq!(TelephoneEvent::of_digit('x', true, 0), None);
    }
}
