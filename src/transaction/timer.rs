//! The timers of RFC 3261 §17 and RFC 6026 by their letters, with what each is for and how long it runs.

use crate::base::limits::{T1, T2, T4};
use crate::base::{Duration, Instant, TimerId, TimerQueue};

/// A timer of a transaction. Timer C (§16.6) belongs to whoever forks, not to a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// INVITE client: next retransmission of the INVITE. T1, doubling; not on reliable transports.
    A,
    /// INVITE client: give up waiting for any response. 64·T1.
    B,
    /// INVITE client: absorb retransmitted final responses. 64·T1, or zero on reliable transports.
    D,
    /// Non-INVITE client: next retransmission of the request. T1, doubling up to T2; not on reliable transports.
    E,
    /// Non-INVITE client: give up waiting for a final response. 64·T1.
    F,
    /// INVITE server: next retransmission of a non-2xx final response. T1, doubling up to T2; not on reliable transports.
    G,
    /// INVITE server: give up waiting for the ACK to a non-2xx final response. 64·T1.
    H,
    /// INVITE server: absorb retransmitted ACKs. T4, or zero on reliable transports.
    I,
    /// Non-INVITE server: absorb retransmitted requests. 64·T1, or zero on reliable transports.
    J,
    /// Non-INVITE client: absorb retransmitted final responses. T4, or zero on reliable transports.
    K,
    /// INVITE server: absorb retransmitted INVITEs after a 2xx; when it fires without an ACK, the call is dead. 64·T1 (RFC 6026).
    L,
    /// INVITE client: pass on further 2xx (other forks, retransmissions). 64·T1 (RFC 6026).
    M,
    /// INVITE server, no letter in the RFC: send 100 unless something was sent before. 200 ms (§17.2.1).
    Trying,
    /// INVITE server, no letter: next retransmission of a 2xx until its ACK. T1, doubling up to T2, on every transport,
    /// because a later hop may be unreliable (§13.3.1.4).
    Success,
    /// INVITE client, no letter: give up waiting for the final response after a CANCEL. 64·T1 (§9.1).
    Cancelled,
}

/// 64·T1: the life of a request (32 s).
const LIFE: Duration = Duration::from_millis(64 * 500);

impl Timer {
    /// How long it runs when first armed. `None`: never armed on this transport. Zero: fires at once.
    pub const fn first(self, reliable: bool) -> Option<Duration> {
        match self {
            Timer::A | Timer::E | Timer::G if reliable => None,
            Timer::D | Timer::I | Timer::J | Timer::K if reliable => Some(Duration::ZERO),
            Timer::A | Timer::E | Timer::G | Timer::Success => Some(T1),
            Timer::B
            | Timer::D
            | Timer::F
            | Timer::H
            | Timer::J
            | Timer::L
            | Timer::M
            | Timer::Cancelled => Some(LIFE),
            Timer::I | Timer::K => Some(T4),
            Timer::Trying => Some(Duration::from_millis(200)),
        }
    }

    /// True for those at whose end nothing is left to do but to forget the transaction (after Timer L perhaps a call without an ACK).
    const fn forgets(self) -> bool {
        match self {
            Timer::D | Timer::I | Timer::J | Timer::K | Timer::L | Timer::M => true,
            Timer::A
            | Timer::B
            | Timer::E
            | Timer::F
            | Timer::G
            | Timer::H
            | Timer::Trying
            | Timer::Success
            | Timer::Cancelled => false,
        }
    }

    /// How long it runs when armed again after it ran for `interval`.
    pub fn next(self, interval: Duration) -> Duration {
        match self {
            Timer::A => interval * 2,
            Timer::E | Timer::G | Timer::Success => (interval * 2).min(T2),
            Timer::B
            | Timer::D
            | Timer::F
            | Timer::H
            | Timer::I
            | Timer::J
            | Timer::K
            | Timer::L
            | Timer::M
            | Timer::Trying
            | Timer::Cancelled => interval,
        }
    }
}

/// Timers that end a transaction which is over anyway come together on this grid of the clock, up to that much late: a wake-up for each of
/// some thousand a second would cost more than to forget them.
const FORGETTING_GRID: Duration = Duration::from_millis(50);

/// When a transaction that may be forgotten at `deadline` is.
pub(super) fn forgotten_at(deadline: Instant) -> Instant {
    deadline.on_grid(FORGETTING_GRID)
}

/// Most timers that one transaction has armed at a time: a retransmission, a limit, and the limit after a CANCEL.
const ARMED_MAX: usize = 3;

/// The timers that one transaction has armed in the queue of all.
#[derive(Default)]
pub(super) struct Armed {
    timers: [Option<(Timer, TimerId)>; ARMED_MAX],
    /// How long the retransmission timer of this transaction ran last. It has only one at a time.
    interval: Duration,
}

impl Armed {
    /// Arms `timer` for the first time. True when it is due at once.
    pub fn start<K>(
        &mut self,
        queue: &mut TimerQueue<K>,
        now: Instant,
        timer: Timer,
        reliable: bool,
        key: K,
    ) -> bool {
        let Some(first) = timer.first(reliable) else {
            return false;
        };
        if first.is_zero() {
            return true;
        }
        if timer.next(first) != first {
            self.interval = first;
        }
        self.arm(queue, now + first, timer, key);
        false
    }

    /// Arms a retransmission timer that has just fired again, for its next interval.
    pub fn again<K>(&mut self, queue: &mut TimerQueue<K>, now: Instant, timer: Timer, key: K) {
        self.interval = timer.next(self.interval);
        self.arm(queue, now + self.interval, timer, key);
    }

    /// Arms Timer E at its longest interval, as in the Proceeding state (§17.1.2.2).
    pub fn at_longest<K>(&mut self, queue: &mut TimerQueue<K>, now: Instant, timer: Timer, key: K) {
        self.interval = T2;
        self.arm(queue, now + self.interval, timer, key);
    }

    /// Disarms `timer` if it is armed.
    pub fn stop<K>(&mut self, queue: &mut TimerQueue<K>, timer: Timer) {
        for place in &mut self.timers {
            if let Some((_, id)) = place.take_if(|(armed, _)| *armed == timer) {
                queue.cancel(id);
            }
        }
    }

    /// Notes that `timer` has fired.
    pub fn fired(&mut self, timer: Timer) {
        for place in &mut self.timers {
            place.take_if(|(armed, _)| *armed == timer);
        }
    }

    /// Disarms all.
    pub fn stop_all<K>(&mut self, queue: &mut TimerQueue<K>) {
        for place in &mut self.timers {
            if let Some((_, id)) = place.take() {
                queue.cancel(id);
            }
        }
    }

    fn arm<K>(&mut self, queue: &mut TimerQueue<K>, deadline: Instant, timer: Timer, key: K) {
        self.stop(queue, timer);
        let deadline = if timer.forgets() {
            forgotten_at(deadline)
        } else {
            deadline
        };
        let place = self
            .timers
            .iter_mut()
            .find(|place| place.is_none())
            .expect("no state has more than three timers armed");
        *place = Some((timer, queue.set(deadline, key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_table_4_of_the_rfc() {
        let ms = |timer: Timer, reliable| timer.first(reliable).map(|d| d.as_millis());
        for (timer, unreliable, reliable) in [
            (Timer::A, Some(500), None),
            (Timer::B, Some(32_000), Some(32_000)),
            (Timer::D, Some(32_000), Some(0)),
            (Timer::E, Some(500), None),
            (Timer::F, Some(32_000), Some(32_000)),
            (Timer::G, Some(500), None),
            (Timer::H, Some(32_000), Some(32_000)),
            (Timer::I, Some(5_000), Some(0)),
            (Timer::J, Some(32_000), Some(0)),
            (Timer::K, Some(5_000), Some(0)),
            (Timer::L, Some(32_000), Some(32_000)),
            (Timer::M, Some(32_000), Some(32_000)),
            (Timer::Trying, Some(200), Some(200)),
            (Timer::Success, Some(500), Some(500)),
            (Timer::Cancelled, Some(32_000), Some(32_000)),
        ] {
            assert_eq!(ms(timer, false), unreliable, "{timer:?} over UDP");
            assert_eq!(ms(timer, true), reliable, "{timer:?} over TCP");
        }
        assert_eq!(LIFE, T1 * 64);
    }

    #[test]
    fn retransmission_intervals_double_and_all_but_a_stop_at_t2() {
        let run = |timer: Timer| {
            let mut interval = T1;
            std::array::from_fn::<u128, 6, _>(|_| {
                let this = interval.as_millis();
                interval = timer.next(interval);
                this
            })
        };
        assert_eq!(run(Timer::A), [500, 1000, 2000, 4000, 8000, 16000]);
        assert_eq!(run(Timer::E), [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(run(Timer::G), [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(run(Timer::Success), [500, 1000, 2000, 4000, 4000, 4000]);
    }
}
