//! The queue by which other threads reach a signalling shard, with its doorbell.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::batch::Waker;
use super::udp::UdpPort;
use crate::switch::Input;
use crate::transport::ProfileId;

/// Waiting letters from which on the readers of streams pause, so that a flood waits in the peers' kernels, not in our memory.
const CROWDED: usize = 10_000;

/// What may lie in the inbox of a shard.
pub enum Letter {
    /// For the core.
    Input(Box<Input>),
    /// The UDP ports after a reload: the profile of every address that stays or is new, and the new ports.
    Ports {
        /// Configured address and its profile.
        profiles: Vec<(SocketAddr, ProfileId)>,
        /// Ports bound since.
        new: Vec<UdpPort>,
    },
    /// A compaction of the journal is over; the size of its snapshot, or `None` when it failed.
    Compacted(Option<u64>),
    /// Finish what is there and end.
    Stop,
}

/// The sending side; clones reach the same shard.
#[derive(Clone)]
pub struct Inbox {
    sender: Sender<Letter>,
    bell: Arc<Bell>,
}

/// The shard's side.
pub struct Letters {
    receiver: Receiver<Letter>,
    bell: Arc<Bell>,
}

struct Bell {
    waker: Waker,
    /// True while the shard sleeps or is about to: only then is a wake-up worth its system call.
    asleep: AtomicBool,
    waiting: AtomicUsize,
}

/// Makes both sides.
pub fn inbox() -> io::Result<(Inbox, Letters)> {
    let (sender, receiver) = channel();
    let bell = Arc::new(Bell {
        waker: Waker::new()?,
        asleep: AtomicBool::new(false),
        waiting: AtomicUsize::new(0),
    });
    let letters = Letters {
        receiver,
        bell: bell.clone(),
    };
    Ok((Inbox { sender, bell }, letters))
}

impl Inbox {
    /// Puts a letter in. False when the shard has ended.
    pub fn post(&self, letter: Letter) -> bool {
        self.bell.waiting.fetch_add(1, Ordering::SeqCst);
        if self.sender.send(letter).is_err() {
            return false;
        }
        if self.bell.asleep.swap(false, Ordering::SeqCst) {
            self.bell.waker.wake();
        }
        true
    }

    /// Puts an input for the core in. False when the shard has ended.
    pub fn input(&self, input: Input) -> bool {
        self.post(Letter::Input(Box::new(input)))
    }

    /// True when so much waits that whoever can wait should.
    pub fn is_crowded(&self) -> bool {
        self.bell.waiting.load(Ordering::Relaxed) > CROWDED
    }

    /// Letters that wait.
    pub fn waiting(&self) -> usize {
        self.bell.waiting.load(Ordering::Relaxed)
    }
}

impl Letters {
    /// The next letter, if one waits.
    pub fn take(&self) -> Option<Letter> {
        let letter = self.receiver.try_recv().ok()?;
        self.bell.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(letter)
    }

    /// Announces that the shard will sleep. True when it may; false when something waits, so it must not.
    pub fn may_sleep(&self) -> bool {
        self.bell.asleep.store(true, Ordering::SeqCst);
        if self.bell.waiting.load(Ordering::SeqCst) > 0 {
            self.bell.asleep.store(false, Ordering::SeqCst);
            return false;
        }
        true
    }

    /// The shard is awake; `rung` when the bell was what woke it.
    pub fn awake(&self, rung: bool) {
        self.bell.asleep.store(false, Ordering::SeqCst);
        if rung {
            self.bell.waker.clear();
        }
    }

    /// What to add to the poller.
    pub fn bell(&self) -> &Waker {
        &self.bell.waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_in_order_and_the_shard_does_not_sleep_over_them() {
        let (inbox, letters) = inbox().expect("inbox");
        assert!(letters.may_sleep());
        letters.awake(false);
        inbox.input(Input::Tick);
        inbox.post(Letter::Stop);
        assert_eq!(inbox.waiting(), 2);
        assert!(!letters.may_sleep());
        assert!(matches!(letters.take(), Some(Letter::Input(_))));
        assert!(matches!(letters.take(), Some(Letter::Stop)));
        assert!(letters.take().is_none());
        assert!(letters.may_sleep());
        drop(letters);
        assert!(!inbox.input(Input::Tick));
    }
}
