//! The simulated network: latency, loss, duplication, reordering and partitions per link, all drawn from the seed.

use crate::base::{Duration, Entropy, Instant};

/// The quality of the link between one peer and the switch.
#[derive(Clone, Debug)]
pub struct Link {
    /// Shortest one-way delay.
    pub latency_min: Duration,
    /// Longest one-way delay; datagrams overtake each other when it differs from `latency_min`.
    pub latency_max: Duration,
    /// Datagrams lost, in thousandths.
    pub loss_permille: u64,
    /// Datagrams delivered twice, in thousandths.
    pub duplicate_permille: u64,
    /// Nothing passes until this instant.
    pub down_until: Instant,
}

impl Link {
    /// A link that delivers everything after exactly `latency`.
    pub fn perfect(latency: Duration) -> Link {
        Link {
            latency_min: latency,
            latency_max: latency,
            loss_permille: 0,
            duplicate_permille: 0,
            down_until: Instant::ZERO,
        }
    }

    /// When the copies of one datagram arrive: none when it is lost, two when it is duplicated.
    pub fn datagram(&self, now: Instant, entropy: &mut Entropy) -> Vec<Instant> {
        if now < self.down_until || entropy.below(1000) < self.loss_permille {
            return Vec::new();
        }
        let mut arrivals = vec![now + self.delay(entropy)];
        if entropy.below(1000) < self.duplicate_permille {
            arrivals.push(now + self.delay(entropy));
        }
        arrivals
    }

    /// When one write on a reliable stream arrives: later where the network would have had to repeat it, never before `after`.
    pub fn stream(&self, now: Instant, after: Instant, entropy: &mut Entropy) -> Instant {
        let mut at = now.max(self.down_until) + self.delay(entropy);
        let mut repeats = 0;
        while repeats < 4 && entropy.below(1000) < self.loss_permille {
            at += Duration::from_millis(200 << repeats);
            repeats += 1;
        }
        at.max(after)
    }

    fn delay(&self, entropy: &mut Entropy) -> Duration {
        let span = self.latency_max.saturating_sub(self.latency_min);
        let span = u64::try_from(span.as_nanos()).unwrap_or(0);
        self.latency_min + Duration::from_nanos(entropy.below(span + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_keeps_its_order_on_a_bad_link() {
        let link = Link {
            latency_min: Duration::from_millis(1),
            latency_max: Duration::from_millis(90),
            loss_permille: 300,
            duplicate_permille: 300,
            down_until: Instant::ZERO,
        };
        let mut entropy = Entropy::from_number(3);
        let mut last = Instant::ZERO;
        for step in 0..200u64 {
            let now = Instant::ZERO + Duration::from_millis(step);
            let at = link.stream(now, last, &mut entropy);
            assert!(at >= last && at > now);
            last = at;
        }
    }

    #[test]
    fn loss_and_duplication_come_at_their_rates() {
        let link = Link {
            loss_permille: 100,
            duplicate_permille: 50,
            ..Link::perfect(Duration::from_millis(5))
        };
        let mut entropy = Entropy::from_number(9);
        let copies: Vec<usize> = (0..10_000)
            .map(|_| link.datagram(Instant::ZERO, &mut entropy).len())
            .collect();
        let lost = copies.iter().filter(|n| **n == 0).count();
        let twice = copies.iter().filter(|n| **n == 2).count();
        assert!((900..1100).contains(&lost), "{lost}");
        assert!((370..540).contains(&twice), "{twice}");
    }
}
