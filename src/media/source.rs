//! Decides from whom packets of a stream are taken: the signalled address, or one learned within a window, then locked.
//!
//! Against injection (strangers who spray relay ports) the rule is: under `Signalled` nothing else is ever let in. Under `Learn` the
//! first source within the window is taken, but the signalled address, and the source locked before, win over a stranger. After the
//! window nothing new is learned.

use std::net::SocketAddr;

use super::command::SourcePolicy;
use crate::base::{Duration, Instant};

/// After a new agreement a source that was locked before has this long to send again before a stranger may be learned.
/// Ten packets at 20 ms, and longer than usual jitter: guess.
const PRIOR_PREFERRED: Duration = Duration::from_millis(500);

/// What the source of a packet means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// From the locked source.
    Known,
    /// Taken, and locked from now on.
    Latched,
    /// Not for this stream.
    Stray,
}

/// The source of one stream.
#[derive(Debug, Default)]
pub struct Source {
    signalled: Option<SocketAddr>,
    locked: Option<SocketAddr>,
    prior: Option<SocketAddr>,
    learn_until: Option<Instant>,
    prior_until: Instant,
    stray: Option<SocketAddr>,
}

impl Source {
    /// A new agreement: where the peer says it is, and how far that is trusted.
    pub fn agree(&mut self, now: Instant, signalled: Option<SocketAddr>, policy: SourcePolicy) {
        let moved = self.signalled != signalled;
        self.signalled = signalled;
        self.stray = None;
        match policy {
            SourcePolicy::Signalled => {
                self.learn_until = None;
                self.prior = None;
                if self.locked != signalled {
                    self.locked = None;
                }
            }
            SourcePolicy::Learn { window } => {
                // a peer that names a new address has moved; its old one has no more claim than a stranger
                self.prior = self.locked.take().filter(|_| !moved);
                self.prior_until = now + PRIOR_PREFERRED;
                self.learn_until = Some(now + window);
            }
        }
    }

    /// Judges the source of a valid packet.
    #[inline]
    pub fn judge(&mut self, now: Instant, from: SocketAddr) -> Verdict {
        if self.locked == Some(from) {
            return Verdict::Known;
        }
        if self.may_take(now, from) {
            self.locked = Some(from);
            return Verdict::Latched;
        }
        self.stray = Some(from);
        Verdict::Stray
    }

    fn may_take(&self, now: Instant, from: SocketAddr) -> bool {
        let learning = self.learn_until.is_some_and(|until| now <= until);
        if self.locked.is_some() {
            // a stranger was quicker than the peer; the peer's own address takes it back while the window is open
            return learning && self.signalled == Some(from);
        }
        if self.signalled == Some(from) || self.prior == Some(from) {
            return true;
        }
        learning && (self.prior.is_none() || now > self.prior_until)
    }

    /// The locked source.
    pub fn locked(&self) -> Option<SocketAddr> {
        self.locked
    }

    /// True when the lock can no longer change, so that the kernel may be told to let only that source in.
    pub fn is_final(&self, now: Instant) -> bool {
        self.locked.is_some()
            && (self.locked == self.signalled || self.learn_until.is_none_or(|until| now > until))
    }

    /// Where to send: to the locked source (symmetric RTP, RFC 4961), else to where it was before, else to the signalled address.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.signalled
            .map(|signalled| self.locked.or(self.prior).unwrap_or(signalled))
    }

    /// Where packets should come from.
    pub fn expected(&self) -> Option<SocketAddr> {
        self.locked.or(self.signalled)
    }

    /// The last source that was refused since the agreement.
    pub fn stray(&self) -> Option<SocketAddr> {
        self.stray
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 4000))
    }

    const LEARN: SourcePolicy = SourcePolicy::Learn {
        window: Duration::from_secs(5),
    };

    #[test]
    fn signalled_policy_never_lets_a_stranger_in() {
        let mut source = Source::default();
        assert_eq!(source.judge(at(0), address(1)), Verdict::Stray);
        source.agree(at(0), Some(address(1)), SourcePolicy::Signalled);
        assert_eq!(source.judge(at(1), address(2)), Verdict::Stray);
        assert_eq!(source.stray(), Some(address(2)));
        assert_eq!(source.judge(at(2), address(1)), Verdict::Latched);
        assert_eq!(source.judge(at(3), address(1)), Verdict::Known);
        assert_eq!(source.judge(at(4), address(2)), Verdict::Stray);
        assert!(source.is_final(at(4)));
    }

    #[test]
    fn learned_source_is_locked_to_the_first() {
        let mut source = Source::default();
        source.agree(at(0), Some(address(1)), LEARN);
        assert_eq!(source.destination(), Some(address(1)));
        assert_eq!(source.judge(at(100), address(9)), Verdict::Latched);
        assert_eq!(source.judge(at(200), address(8)), Verdict::Stray);
        assert_eq!(source.destination(), Some(address(9)));
        assert!(!source.is_final(at(200)));
        assert!(source.is_final(at(5001)));
    }

    #[test]
    fn nothing_is_learned_after_the_window() {
        let mut source = Source::default();
        source.agree(at(0), Some(address(1)), LEARN);
        assert_eq!(source.judge(at(5001), address(9)), Verdict::Stray);
        assert_eq!(source.judge(at(9000), address(1)), Verdict::Latched);
    }

    #[test]
    fn signalled_address_takes_the_stream_back_within_the_window_only() {
        let mut source = Source::default();
        source.agree(at(0), Some(address(1)), LEARN);
        assert_eq!(source.judge(at(10), address(9)), Verdict::Latched);
        assert_eq!(source.judge(at(20), address(1)), Verdict::Latched);
        assert_eq!(source.judge(at(30), address(9)), Verdict::Stray);
        assert!(source.is_final(at(30)));
        source.agree(at(100), Some(address(1)), LEARN);
        assert_eq!(source.judge(at(700), address(9)), Verdict::Latched);
        assert_eq!(source.judge(at(5200), address(1)), Verdict::Stray);
    }

    #[test]
    fn source_from_before_wins_over_a_stranger_when_learning_anew() {
        let mut source = Source::default();
        source.agree(at(0), Some(address(1)), LEARN);
        assert_eq!(source.judge(at(10), address(9)), Verdict::Latched);
        source.agree(at(60_000), Some(address(1)), LEARN);
        assert_eq!(source.destination(), Some(address(9)));
        assert_eq!(source.judge(at(60_005), address(8)), Verdict::Stray);
        assert_eq!(source.judge(at(60_015), address(9)), Verdict::Latched);
        assert_eq!(source.judge(at(60_600), address(8)), Verdict::Stray);
    }

    #[test]
    fn peer_that_rebinds_is_learned_after_its_old_source_is_silent() {
        let mut source = Source::default();
        source.agree(at(0), Some(address(1)), LEARN);
        assert_eq!(source.judge(at(10), address(9)), Verdict::Latched);
        source.agree(at(60_000), Some(address(1)), LEARN);
        assert_eq!(source.judge(at(60_501), address(8)), Verdict::Latched);
    }

    #[test]
    fn zero_address_has_no_destination_even_if_a_source_was_locked() {
        let mut source = Source::default();
        source.agree(at(0), Some(address(1)), SourcePolicy::Signalled);
        source.judge(at(1), address(1));
        source.agree(at(2), None, SourcePolicy::Signalled);
        assert_eq!(source.destination(), None);
        assert_eq!(source.judge(at(3), address(1)), Verdict::Stray);
    }
}
