//! Loss and jitter of what a peer sends (RFC 3550 §6.4.1, §A.1, §A.3, §A.8).

use crate::base::{Duration, Instant};
use crate::rtp::Header;
use crate::rtp::arithmetic::{sequence_ahead, ticks_at, ticks_to_duration};
use crate::rtp::rtcp::ReportBlock;

/// A jump of the sequence further than this is a restart of the sender, not loss (RFC 3550 §A.1: MAX_DROPOUT).
const RESTART: i16 = 3000;

#[derive(Clone, Copy, Debug)]
struct Current {
    ssrc: u32,
    base: u32,
    highest: u32,
    received: u32,
    transit: u32,
    /// Scaled by 16 as in RFC 3550 §A.8.
    jitter: u32,
    expected_before: u32,
    received_before: u32,
}

impl Current {
    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.base).wrapping_add(1)
    }

    fn lost(&self) -> i64 {
        i64::from(self.expected()) - i64::from(self.received)
    }
}

/// Reception of one stream, over all sources that it ever had.
#[derive(Debug, Default)]
pub struct Reception {
    current: Option<Current>,
    lost_before: u64,
    clock_hz: u32,
    sender_report: Option<(u32, Instant)>,
}

impl Reception {
    /// Sets the clock by which jitter is counted.
    pub fn set_clock(&mut self, clock_hz: u32) {
        self.clock_hz = clock_hz;
    }

    /// Counts an accepted packet. Only `timed` ones tell of jitter: packets of a telephone event keep the timestamp of its start.
    pub fn receive(&mut self, now: Instant, header: &Header, timed: bool) {
        let transit = ticks_at(now, self.clock_hz).wrapping_sub(header.timestamp);
        if let Some(current) = &mut self.current
            && current.ssrc == header.ssrc
        {
            let ahead = sequence_ahead(header.sequence, current.highest as u16);
            if ahead.unsigned_abs() < RESTART as u16 {
                if ahead > 0 {
                    current.highest = current.highest.wrapping_add(u32::from(ahead as u16));
                }
                current.received = current.received.wrapping_add(1);
                if !timed {
                    return;
                }
                let difference = transit.wrapping_sub(current.transit) as i32;
                current.transit = transit;
                // a jump of the timestamp (hold, another sender behind the same SSRC) is no jitter
                if difference.unsigned_abs() < self.clock_hz {
                    let jitter = current.jitter + difference.unsigned_abs();
                    current.jitter = jitter - ((current.jitter + 8) >> 4);
                }
                return;
            }
        }
        self.begin(header, transit);
    }

    fn begin(&mut self, header: &Header, transit: u32) {
        self.lost_before = self.lost();
        let jitter = self.current.map_or(0, |current| current.jitter);
        let sequence = u32::from(header.sequence);
        self.current = Some(Current {
            ssrc: header.ssrc,
            base: sequence,
            highest: sequence,
            received: 1,
            transit,
            jitter,
            expected_before: 0,
            received_before: 0,
        });
    }

    /// A sender report of the peer came in: its NTP time, middle 32 bits.
    pub fn sender_reported(&mut self, now: Instant, ntp_middle: u32) {
        self.sender_report = Some((ntp_middle, now));
    }

    /// Packets lost in all; duplicates of one source make up for its losses, never below zero.
    pub fn lost(&self) -> u64 {
        let current = self.current.map_or(0, |current| current.lost().max(0));
        self.lost_before + current.unsigned_abs()
    }

    /// Jitter now.
    pub fn jitter(&self) -> Duration {
        self.current.map_or(Duration::ZERO, |current| {
            ticks_to_duration(current.jitter >> 4, self.clock_hz)
        })
    }

    /// A report block about the current source, for RTCP; counts loss since the block before.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let (last_report, delay) = self.sender_report.map_or((0, 0), |(ntp, at)| {
            let delay = now.since(at).as_micros().min(u128::from(u32::MAX)) as u64;
            (ntp, ((delay << 16) / 1_000_000) as u32)
        });
        let current = self.current.as_mut()?;
        let expected = current.expected();
        let expected_since = expected.wrapping_sub(current.expected_before);
        let received_since = current.received.wrapping_sub(current.received_before);
        current.expected_before = expected;
        current.received_before = current.received;
        let lost_since = expected_since.saturating_sub(received_since);
        let fraction = (u64::from(lost_since) << 8)
            .checked_div(u64::from(expected_since))
            .unwrap_or(0);
        Some(ReportBlock {
            ssrc: current.ssrc,
            fraction_lost: fraction.min(255) as u8,
            lost: current.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: current.highest,
            jitter: current.jitter >> 4,
            last_report,
            delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reception() -> Reception {
        let mut reception = Reception::default();
        reception.set_clock(8_000);
        reception
    }

    /// Packet `n` of a 20 ms stream that arrives `late_ms` late.
    fn packet(reception: &mut Reception, n: u64, late_ms: u64) {
        packet_of(reception, 1, n, late_ms);
    }

    fn packet_of(reception: &mut Reception, ssrc: u32, n: u64, late_ms: u64) {
        let header = Header {
            marker: false,
            payload_number: 8,
            sequence: n as u16,
            timestamp: (n * 160) as u32,
            ssrc,
            payload_start: 12,
            payload_end: 172,
        };
        let at = Instant::from_nanos((n * 20 + late_ms + 1000) * 1_000_000);
        reception.receive(at, &header, true);
    }

    #[test]
    fn steady_stream_has_no_loss_and_no_jitter() {
        let mut reception = reception();
        (65_000..67_000).for_each(|n| packet(&mut reception, n, 0));
        assert_eq!(reception.lost(), 0);
        assert_eq!(reception.jitter(), Duration::ZERO);
        let block = reception.report(Instant::ZERO).expect("a block");
        assert_eq!(block.highest_sequence, 65_536 + (66_999 - 65_536));
    }

    #[test]
    fn gaps_count_as_lost_and_reordering_does_not() {
        let mut reception = reception();
        for n in [0, 1, 2, 5, 4, 6, 9] {
            packet(&mut reception, n, 0);
        }
        assert_eq!(reception.lost(), 3);
        let block = reception.report(Instant::ZERO).expect("a block");
        assert_eq!(block.lost, 3);
        assert_eq!(block.fraction_lost, (3 * 256 / 10) as u8);
        assert_eq!(
            reception
                .report(Instant::ZERO)
                .expect("a block")
                .fraction_lost,
            0
        );
    }

    #[test]
    fn jitter_settles_at_the_mean_deviation() {
        let mut reception = reception();
        (0..1000).for_each(|n| packet(&mut reception, n, if n % 2 == 0 { 0 } else { 10 }));
        let jitter = reception.jitter().as_micros();
        assert!((9_000..=10_100).contains(&jitter), "{jitter}");
    }

    #[test]
    fn new_source_begins_anew_and_keeps_what_was_lost() {
        let mut reception = reception();
        packet(&mut reception, 1, 0);
        packet(&mut reception, 4, 0);
        packet_of(&mut reception, 2, 30_000, 0);
        packet_of(&mut reception, 2, 30_002, 0);
        assert_eq!(reception.lost(), 3);
        packet_of(&mut reception, 2, 10, 0);
        assert_eq!(
            reception.lost(),
            3,
            "a restart under the same source is no loss"
        );
    }

    #[test]
    fn sender_report_comes_back_with_its_delay() {
        let mut reception = reception();
        packet(&mut reception, 1, 0);
        reception.sender_reported(Instant::from_nanos(1_000_000_000), 77);
        let block = reception
            .report(Instant::from_nanos(1_500_000_000))
            .expect("a block");
        assert_eq!((block.last_report, block.delay), (77, 32_768));
    }
}
