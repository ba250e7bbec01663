//! What was answered without keeping a transaction, remembered for a while: whoever asks the same again is to hear the same
//! (RFC 3261 §8.2.7), although the server may lag by now, or no longer.

use super::matching::MatchKey;
use crate::base::{Duration, Instant};
use crate::sip::StatusCode;

/// How many are remembered, a power of two: 256 kB. A newer one takes the place of an older one with the same last bits, so that
/// noting one costs a store, whatever comes in.
const PLACES: usize = 1 << 14;
/// How long a request is repeated (timers B and F, 64·T1).
const REPEATED_FOR: Duration = Duration::from_secs(32);

#[derive(Clone, Copy, Default)]
struct Verdict {
    /// The half of the key that the place does not tell.
    print: u64,
    /// In seconds; nobody asks again after it.
    until: u32,
    status: u16,
}

/// The newest answers of [`Transactions::answer_once`](super::Transactions::answer_once).
#[derive(Default)]
pub(super) struct Verdicts {
    /// Empty until the first.
    places: Box<[Verdict]>,
    /// When the last of those who were sent away asks no more.
    away_until: Option<Instant>,
}

fn second(at: Instant) -> u32 {
    u32::try_from(at.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
}

impl Verdicts {
    fn place(key: MatchKey) -> usize {
        usize::try_from(key.low() % PLACES as u64).unwrap_or(0)
    }

    /// Notes what a request was answered with.
    pub(super) fn note(&mut self, now: Instant, key: MatchKey, status: StatusCode) {
        if self.places.is_empty() {
            self.places = vec![Verdict::default(); PLACES].into_boxed_slice();
        }
        let until = now + REPEATED_FOR;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            self.away_until = Some(until);
        }
        if let Some(place) = self.places.get_mut(Self::place(key)) {
            *place = Verdict {
                print: key.high(),
                until: second(until),
                status: status.as_u16(),
            };
        }
    }

    /// What this request was answered with before, as far as it is remembered.
    pub(super) fn of(&self, now: Instant, key: MatchKey) -> Option<u16> {
        let place = self.places.get(Self::place(key))?;
        (place.print == key.high() && place.until > second(now)).then_some(place.status)
    }

    /// True while somebody who was sent away may still ask again.
    pub(super) fn sent_away(&self, now: Instant) -> bool {
        self.away_until.is_some_and(|until| until > now)
    }
}
