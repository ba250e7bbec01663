//! Notices audio that should come and does not: one way from the beginning, or silence later.

use crate::base::{Duration, Instant};

/// Packets are due and we send, yet nothing came: named after this time (promise of the product).
pub const ONE_WAY_AFTER: Duration = Duration::from_secs(3);
/// No packets where packets are due: told after this time. Longer than comfort noise pauses of phones: usual default of relays.
pub const SILENT_AFTER: Duration = Duration::from_secs(30);

/// What was noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Nothing was ever received since the agreement.
    OneWay(Duration),
    /// Nothing was received for so long.
    Silent(Duration),
}

/// The watch over one stream.
#[derive(Debug, Default)]
pub struct Watch {
    due: bool,
    agreed_at: Instant,
    sent_since: Option<Instant>,
    received_at: Option<Instant>,
    received: u64,
    sent: u64,
    one_way_told: bool,
    silence_told: bool,
}

impl Watch {
    /// A new agreement; `due` says whether the peer is expected to send.
    pub fn agree(&mut self, now: Instant, due: bool) {
        *self = Watch {
            due,
            agreed_at: now,
            ..Watch::default()
        };
    }

    /// A packet was accepted.
    pub fn received(&mut self, now: Instant) {
        self.received += 1;
        self.received_at = Some(now);
        self.silence_told = false;
    }

    /// A packet was sent.
    pub fn sent(&mut self, now: Instant) {
        self.sent += 1;
        if self.sent_since.is_none() {
            self.sent_since = Some(now);
        }
    }

    /// Packets accepted and sent since the agreement.
    pub fn counts(&self) -> (u64, u64) {
        (self.received, self.sent)
    }

    /// Called a few times a second.
    pub fn poll(&mut self, now: Instant) -> Option<Notice> {
        if !self.due {
            return None;
        }
        if self.received == 0
            && !self.one_way_told
            && let Some(since) = self.sent_since
            && now.since(since) >= ONE_WAY_AFTER
        {
            self.one_way_told = true;
            return Some(Notice::OneWay(now.since(since)));
        }
        let quiet = now.since(self.received_at.unwrap_or(self.agreed_at));
        if quiet >= SILENT_AFTER && !self.silence_told {
            self.silence_told = true;
            return Some(Notice::Silent(quiet));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn watch(due: bool) -> Watch {
        let mut watch = Watch::default();
        watch.agree(at(0), due);
        watch
    }

    #[test]
    fn one_way_is_named_once_after_three_seconds() {
        let mut watch = watch(true);
        watch.sent(at(0));
        assert_eq!(watch.poll(at(2999)), None);
        assert_eq!(
            watch.poll(at(3000)),
            Some(Notice::OneWay(Duration::from_secs(3)))
        );
        assert_eq!(watch.poll(at(4000)), None);
        watch.agree(at(5000), true);
        watch.sent(at(5000));
        assert!(watch.poll(at(8000)).is_some());
    }

    #[test]
    fn no_notice_while_we_do_not_send_or_nothing_is_due() {
        assert_eq!(watch(true).poll(at(10_000)), None);
        let mut held = watch(false);
        held.sent(at(0));
        assert_eq!(held.poll(at(100_000)), None);
    }

    #[test]
    fn one_packet_is_enough_to_be_no_one_way() {
        let mut watch = watch(true);
        watch.sent(at(0));
        watch.received(at(2500));
        assert_eq!(watch.poll(at(10_000)), None);
        assert_eq!(watch.counts(), (1, 1));
    }

    #[test]
    fn silence_is_told_once_until_packets_come_again() {
        let mut watch = watch(true);
        watch.received(at(1000));
        assert_eq!(watch.poll(at(30_999)), None);
        assert_eq!(
            watch.poll(at(31_000)),
            Some(Notice::Silent(Duration::from_secs(30)))
        );
        assert_eq!(watch.poll(at(90_000)), None);
        watch.received(at(90_001));
        assert!(watch.poll(at(120_001)).is_some());
    }
}
