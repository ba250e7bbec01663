//! RTCP (RFC 3550 §6): checks compound packets, reads and writes sender and receiver reports.
#![deny(clippy::indexing_slicing)]

/// Packet types.
pub const SENDER_REPORT: u8 = 200;
/// Receiver report.
pub const RECEIVER_REPORT: u8 = 201;
/// Source description.
pub const SOURCE_DESCRIPTION: u8 = 202;
/// Goodbye.
pub const GOODBYE: u8 = 203;

/// One packet of a compound packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// Packet type, 192–223.
    pub kind: u8,
    /// Count of reports or sources, 0–31.
    pub count: u8,
    /// What follows the first four bytes, padding left in.
    pub body: &'a [u8],
}

/// Checks a compound packet (RFC 3550 §A.2): version 2 throughout, a report first, lengths that add up, padding at most in the last.
pub fn is_compound(datagram: &[u8]) -> bool {
    let mut first = true;
    let mut rest = datagram;
    while !rest.is_empty() {
        let Some((packet, after, padded)) = split(rest) else {
            return false;
        };
        if first && !matches!(packet.kind, SENDER_REPORT | RECEIVER_REPORT) {
            return false;
        }
        if padded {
            let padding = packet.body.last().copied().unwrap_or(0);
            if !after.is_empty() || padding == 0 || usize::from(padding) > packet.body.len() {
                return false;
            }
        }
        first = false;
        rest = after;
    }
    !first
}

/// The packets of a datagram, up to the first that is broken.
pub fn packets(datagram: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let (packet, after, _) = split(rest)?;
        rest = after;
        Some(packet)
    })
}

fn split(bytes: &[u8]) -> Option<(Packet<'_>, &[u8], bool)> {
    let [first, kind, high, low] = *bytes.first_chunk::<4>()?;
    if first >> 6 != 2 || !(192..=223).contains(&kind) {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([high, low])) * 4;
    let body = bytes.get(4..4 + length)?;
    let after = bytes.get(4 + length..)?;
    let packet = Packet {
        kind,
        count: first & 0x1f,
        body,
    };
    Some((packet, after, first & 0x20 != 0))
}

/// What a sender says of itself (RFC 3550 §6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderInfo {
    /// Wall time as NTP.
    pub ntp: u64,
    /// The same moment in ticks of its RTP clock.
    pub rtp_timestamp: u32,
    /// Packets sent; wraps.
    pub packets: u32,
    /// Payload octets sent; wraps.
    pub octets: u32,
}

/// What a receiver says of one source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost in all, 24 bits with sign.
    pub lost: i32,
    /// Highest sequence number with cycles above it.
    pub highest_sequence: u32,
    /// Interarrival jitter in ticks.
    pub jitter: u32,
    /// Middle of the NTP time of the last sender report from it, 0 when there was none.
    pub last_report: u32,
    /// Delay since then in 1/65,536 s.
    pub delay: u32,
}

/// A sender or receiver report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Who reports.
    pub ssrc: u32,
    /// Present in sender reports.
    pub sender: Option<SenderInfo>,
    /// The first block, which is the only one in a call of two.
    pub block: Option<ReportBlock>,
}

impl Report {
    /// Reads a packet of type 200 or 201.
    pub fn parse(packet: &Packet<'_>) -> Option<Report> {
        let mut words = packet.body.chunks_exact(4).map(|word| {
            word.first_chunk::<4>()
                .map_or(0, |word| u32::from_be_bytes(*word))
        });
        let ssrc = words.next()?;
        let sender = match packet.kind {
            SENDER_REPORT => Some(SenderInfo {
                ntp: u64::from(words.next()?) << 32 | u64::from(words.next()?),
                rtp_timestamp: words.next()?,
                packets: words.next()?,
                octets: words.next()?,
            }),
            RECEIVER_REPORT => None,
            _ => return None,
        };
        let block = if packet.count == 0 {
            None
        } else {
            let ssrc = words.next()?;
            let loss = words.next()?;
            Some(ReportBlock {
                ssrc,
                fraction_lost: (loss >> 24) as u8,
                // sign of 24 bits
                lost: (loss << 8) as i32 >> 8,
                highest_sequence: words.next()?,
                jitter: words.next()?,
                last_report: words.next()?,
                delay: words.next()?,
            })
        };
        Some(Report {
            ssrc,
            sender,
            block,
        })
    }

    /// Appends a compound packet: this report and a source description with `cname` (RFC 3550 §6.1; cut at 255 bytes).
    pub fn write(&self, cname: &str, out: &mut Vec<u8>) {
        let blocks = u8::from(self.block.is_some());
        let (kind, mut words) = match self.sender {
            Some(_) => (SENDER_REPORT, 6),
            None => (RECEIVER_REPORT, 1),
        };
        words += u16::from(blocks) * 6;
        out.extend([0x80 | blocks, kind]);
        out.extend(words.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        if let Some(sender) = &self.sender {
            out.extend(sender.ntp.to_be_bytes());
            out.extend(sender.rtp_timestamp.to_be_bytes());
            out.extend(sender.packets.to_be_bytes());
            out.extend(sender.octets.to_be_bytes());
        }
        if let Some(block) = &self.block {
            out.extend(block.ssrc.to_be_bytes());
            let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0x00ff_ffff;
            out.extend((u32::from(block.fraction_lost) << 24 | lost).to_be_bytes());
            out.extend(block.highest_sequence.to_be_bytes());
            out.extend(block.jitter.to_be_bytes());
            out.extend(block.last_report.to_be_bytes());
            out.extend(block.delay.to_be_bytes());
        }
        // source description: one chunk, CNAME, closed by one to four zero bytes up to a word
        let name: Vec<u8> = cname.bytes().take(255).collect();
        let chunk = 4 + 2 + name.len();
        let padded = (chunk / 4 + 1) * 4;
        out.extend([0x81, SOURCE_DESCRIPTION]);
        out.extend(((padded / 4) as u16).to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        out.extend([1, name.len() as u8]);
        out.extend(&name);
        out.extend(std::iter::repeat_n(0, padded - chunk));
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // a test may fall over its own bytes
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report() -> Report {
        Report {
            ssrc: 0x1111_2222,
            sender: Some(SenderInfo {
                ntp: 0x0123_4567_89ab_cdef,
                rtp_timestamp: 160,
                packets: 9,
                octets: 1440,
            }),
            block: Some(ReportBlock {
                ssrc: 0x3333_4444,
                fraction_lost: 25,
                lost: -3,
                highest_sequence: 0x0001_0002,
                jitter: 12,
                last_report: 5,
                delay: 6,
            }),
        }
    }

    fn written(report: &Report, cname: &str) -> Vec<u8> {
        let mut out = Vec::new();
        report.write(cname, &mut out);
        out
    }

    #[test]
    fn reports_read_back_as_written() {
        for (sender, block) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut report = report();
            report.sender = report.sender.filter(|_| sender);
            report.block = report.block.filter(|_| block);
            for cname in ["", "a", "ab", "abc", "abcd"] {
                let bytes = written(&report, cname);
                assert!(is_compound(&bytes), "{cname}");
                let all: Vec<_> = packets(&bytes).collect();
                assert_eq!(all.len(), 2);
                assert_eq!(Report::parse(&all[0]), Some(report.clone()));
                assert_eq!(all[1].kind, SOURCE_DESCRIPTION);
                assert_eq!(&all[1].body[6..6 + cname.len()], cname.as_bytes());
                assert_eq!(all[1].body.last(), Some(&0));
            }
        }
    }

    #[test]
    fn what_is_no_compound_packet_is_refused() {
        let good = written(&report(), "x");
        assert!(!is_compound(&[]));
        assert!(!is_compound(&good[..good.len() - 1]));
        assert!(!is_compound(&[&good[..], &[0]].concat()));
        let description = &good[52..];
        assert!(!is_compound(description), "description first");
        let mut version = good.clone();
        version[0] = 0x41;
        assert!(!is_compound(&version));
        let mut padded_first = good.clone();
        padded_first[0] |= 0x20;
        assert!(!is_compound(&padded_first), "padding before the last");
        assert!(
            is_compound(&[0x80, 201, 0, 1, 0, 0, 0, 1]),
            "empty receiver report"
        );
        assert!(
            !is_compound(&[0xa0, 201, 0, 1, 0, 0, 0, 0]),
            "padding of zero"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = is_compound(&bytes);
            for packet in packets(&bytes) {
                let _ = Report::parse(&packet);
            }
        }

        #[test]
        fn no_damage_to_a_report_makes_it_panic(at in 0..52usize, with in any::<u8>()) {
            let mut bytes = written(&report(), "name");
            bytes[at] = with;
            let _ = is_compound(&bytes);
            for packet in packets(&bytes) {
                let _ = Report::parse(&packet);
            }
        }
    }
}
