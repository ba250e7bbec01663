//! The capacity token: an agent who holds one is not offered anything else; dropping it gives it back on every way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hands out tokens and knows how many are held, so that the auditor can compare.
#[derive(Default)]
pub(super) struct Tokens {
    held: Arc<AtomicUsize>,
}

/// One agent's whole capacity for voice. It lives inside the agent's [`super::agent::Work`], so leaving that state returns it.
pub(super) struct Token {
    held: Arc<AtomicUsize>,
}

impl Tokens {
    pub(super) fn take(&self) -> Token {
        self.held.fetch_add(1, Ordering::Relaxed);
        Token {
            held: Arc::clone(&self.held),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_token_is_given_back() {
        let tokens = Tokens::default();
        let one = tokens.take();
        let other = tokens.take();
        assert_eq!(tokens.held(), 2);
        drop(one);
        drop(other);
        assert_eq!(tokens.held(), 0);
    }
}
