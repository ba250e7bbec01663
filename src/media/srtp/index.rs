//! The 48-bit index of a packet from its 16-bit number, and which packets were there before (RFC 3711 §3.3.1, §3.3.2).

/// Packets behind the newest one that are still told from repetitions. RFC 3711 asks for at least 64.
const WINDOW: u64 = 128;

/// The index that `sequence` most probably has when `newest` is the highest so far (RFC 3711 appendix A).
fn guess(newest: u64, sequence: u16) -> u64 {
    let rollover = newest >> 16;
    let low = newest as u16;
    let distance = i32::from(sequence) - i32::from(low);
    let rollover = if distance > 0x8000 {
        rollover.saturating_sub(u64::from(rollover > 0))
    } else if distance < -0x8000 {
        rollover + 1
    } else {
        rollover
    };
    rollover << 16 | u64::from(sequence)
}

/// What was received of one source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    newest: u64,
    /// Bit `n`: the packet `n` before the newest was there.
    seen: u128,
}

impl Received {
    pub fn first(index: u64) -> Received {
        Received {
            newest: index,
            seen: 1,
        }
    }

    pub fn guess(&self, sequence: u16) -> u64 {
        guess(self.newest, sequence)
    }

    /// False for what was there before, or may have been.
    pub fn is_new(&self, index: u64) -> bool {
        match self.newest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WINDOW && self.seen >> behind & 1 == 0,
        }
    }

    /// Its tag proved right.
    pub fn note(&mut self, index: u64) {
        match index.checked_sub(self.newest) {
            Some(ahead) => {
                self.seen = if ahead < WINDOW {
                    self.seen << ahead | 1
                } else {
                    1
                };
                self.newest = index;
            }
            None => {
                let behind = self.newest - index;
                if behind < WINDOW {
                    self.seen |= 1 << behind;
                }
            }
        }
    }
}

/// What was sent of one source. A relay sends in the order in which packets came, which need not be theirs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    newest: u64,
}

/// The last index before a key would have to be replaced (RFC 3711 §9.2): 2⁴⁸ packets are thousands of years of sound.
const INDEX_MAX: u64 = (1 << 48) - 1;

impl Sent {
    pub fn first(sequence: u16) -> Sent {
        Sent {
            newest: u64::from(sequence),
        }
    }

    /// The index of the next packet to send.
    pub fn take(&mut self, sequence: u16) -> Option<u64> {
        let index = guess(self.newest, sequence);
        self.newest = self.newest.max(index);
        (index <= INDEX_MAX).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_roll_over_and_late_packets_belong_to_the_round_before() {
        let mut received = Received::first(0xfffe);
        assert_eq!(received.guess(0xffff), 0xffff);
        assert_eq!(received.guess(1), 0x1_0001);
        received.note(0x1_0001);
        assert_eq!(received.guess(0xffff), 0xffff);
        assert!(received.is_new(0xffff));
        received.note(0xffff);
        assert!(!received.is_new(0xffff));
        assert!(!received.is_new(0xfffe));
    }

    #[test]
    fn a_first_packet_that_was_late_does_not_go_below_zero() {
        let received = Received::first(3);
        assert_eq!(received.guess(0xfff0), 0xfff0);
    }

    #[test]
    fn what_is_older_than_the_window_is_refused() {
        let mut received = Received::first(1000);
        received.note(1000 + WINDOW);
        assert!(!received.is_new(1000));
        assert!(received.is_new(1001));
        received.note(1_000_000);
        assert!(!received.is_new(1000 + WINDOW));
        assert!(received.is_new(999_999));
    }

    #[test]
    fn sending_counts_rounds_too() {
        let mut sent = Sent::first(0xffff);
        assert_eq!(sent.take(0xffff), Some(0xffff));
        assert_eq!(sent.take(0), Some(0x1_0000));
        assert_eq!(sent.take(0xfffe), Some(0xfffe));
        assert_eq!(sent.take(1), Some(0x1_0001));
    }
}
