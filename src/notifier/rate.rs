//! How often one account may ask: a bucket of requests that refills with time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Instant;

/// Requests at once: a desk with two hundred lamps subscribes to all of them when it starts, and some phones do it twice.
const BURST: f64 = 500.0;
/// Requests a second in the long run: two hundred subscriptions of a minute are three a second.
const PER_SECOND: f64 = 10.0;
/// Accounts remembered before those that are quiet are forgotten.
const SWEEP: usize = 4_096;

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn filled(self, now: Instant) -> Bucket {
        let waited = now.since(self.at).as_secs_f64();
        Bucket {
            left: (self.left + waited * PER_SECOND).min(BURST),
            at: now,
        }
    }
}

/// Buckets by account. Accounts are people of the directory, so there are not more than there are people.
#[derive(Default)]
pub(super) struct Rates {
    buckets: BTreeMap<Arc<str>, Bucket>,
}

impl Rates {
    /// Takes one request of this account; false when it has asked too often.
    pub(super) fn take(&mut self, now: Instant, account: &Arc<str>) -> bool {
        if self.buckets.len() >= SWEEP {
            self.buckets
                .retain(|_, bucket| bucket.filled(now).left < BURST);
        }
        let new = Bucket {
            left: BURST,
            at: now,
        };
        let bucket = self.buckets.entry(account.clone()).or_insert(new);
        *bucket = bucket.filled(now);
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Duration;

    #[test]
    fn a_flood_of_one_account_is_stopped_and_does_not_touch_another() {
        let mut rates = Rates::default();
        let (one, other): (Arc<str>, Arc<str>) = ("1001".into(), "1002".into());
        let begin = Instant::ZERO;
        let passed = (0..4_000).filter(|_| rates.take(begin, &one)).count();
        assert_eq!(passed, BURST as usize);
        assert!(rates.take(begin, &other));
        assert!(!rates.take(begin, &one));
        assert!(rates.take(begin + Duration::from_secs(1), &one));
    }
}
