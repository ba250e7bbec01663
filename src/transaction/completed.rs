//! Requests but INVITE that have been answered over an unreliable transport: their responses, kept for retransmissions until Timer J
//! (RFC 3261 §17.2.2), in the order in which they are forgotten.
//!
//! A registrar makes thousands a second and needs almost none of them again. So that each costs a copy and not an allocation, the
//! responses stand one behind the other in blocks, and one look at the oldest tells what is due.

use std::collections::VecDeque;

use bytes::Bytes;

use super::matching::MatchKey;
use crate::base::Instant;
use crate::transport::Flow;

/// Responses that share an allocation; a longer one has its own.
const BLOCK_BYTES: usize = 64 * 1024;

struct Entry {
    until: Instant,
    key: MatchKey,
    flow: Flow,
    /// Number of the block, and where the response ends in it; it begins where the one before ends.
    block: u64,
    start: u32,
    end: u32,
}

/// The kept responses. Entries are named by a number that is never used again.
#[derive(Default)]
pub(super) struct Completed {
    entries: VecDeque<Entry>,
    /// Number of the first of `entries`.
    first: u64,
    blocks: VecDeque<Vec<u8>>,
    /// Number of the first of `blocks`.
    first_block: u64,
    /// A block that was emptied, for the next one.
    spare: Option<Vec<u8>>,
}

impl Completed {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keeps `response`, sent on `flow`, until `until`, which is not before that of the one kept last; gives its number.
    pub fn keep(&mut self, until: Instant, key: MatchKey, flow: Flow, response: &[u8]) -> u64 {
        let fits = |block: &Vec<u8>| block.capacity() - block.len() >= response.len();
        if !self.blocks.back().is_some_and(fits) {
            let spare = self.spare.take().filter(fits);
            let new = || Vec::with_capacity(BLOCK_BYTES.max(response.len()));
            self.blocks.push_back(spare.unwrap_or_else(new));
        }
        let (start, end) = match self.blocks.back_mut() {
            Some(block) => {
                let start = block.len();
                block.extend_from_slice(response);
                (start as u32, block.len() as u32)
            }
            None => (0, 0),
        };
        self.entries.push_back(Entry {
            until,
            key,
            flow,
            block: self.first_block + self.blocks.len() as u64 - 1,
            start,
            end,
        });
        self.first + self.entries.len() as u64 - 1
    }

    /// The response of that number and where it went.
    pub fn get(&self, number: u64) -> Option<(Flow, Bytes)> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let entry = self.entries.get(index)?;
        let block = usize::try_from(entry.block.checked_sub(self.first_block)?).ok()?;
        let bytes = self.blocks.get(block)?;
        let response = bytes.get(entry.start as usize..entry.end as usize)?;
        Some((entry.flow, Bytes::copy_from_slice(response)))
    }

    /// When the next is forgotten.
    pub fn next_deadline(&self) -> Option<Instant> {
        Some(self.entries.front()?.until)
    }

    /// Forgets the oldest if it is due; gives under what it was found.
    pub fn pop_due(&mut self, now: Instant) -> Option<MatchKey> {
        if self.entries.front()?.until > now {
            return None;
        }
        let gone = self.entries.pop_front()?;
        self.first += 1;
        let needed = self.entries.front().map(|entry| entry.block);
        while !self.blocks.is_empty() && needed.is_none_or(|needed| self.first_block < needed) {
            self.first_block += 1;
            self.spare = self.blocks.pop_front().map(|mut block| {
                block.clear();
                block
            });
        }
        if self.entries.is_empty() {
            // a storm is over: nothing is held for the next
            self.spare = None;
            self.entries.shrink_to(0);
        }
        Some(gone.key)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::base::Duration;
    use crate::transport::{ProfileId, Transport};

    fn flow() -> Flow {
        let address = SocketAddr::from(([192, 0, 2, 1], 5060));
        Flow {
            profile: ProfileId::default(),
            transport: Transport::Udp,
            local: address,
            remote: address,
            connection: None,
        }
    }

    #[test]
    fn each_response_is_found_until_it_is_due_and_none_after() {
        let mut kept = Completed::default();
        let at = |number: u64| Instant::ZERO + Duration::from_millis(number);
        let text = |number: u64| vec![number as u8; (number as usize * 37) % 3_000];
        let count = 500;
        for number in 0..count {
            let name = kept.keep(at(number), MatchKey::of(number), flow(), &text(number));
            assert_eq!(name, number);
        }
        let large = vec![7; 3 * BLOCK_BYTES];
        assert_eq!(
            kept.keep(at(count), MatchKey::of(count), flow(), &large),
            count
        );
        assert!(kept.blocks.len() > 5);
        for due in 0..=count {
            assert_eq!(kept.next_deadline(), Some(at(due)));
            assert_eq!(kept.pop_due(at(due)), Some(MatchKey::of(due)));
            assert_eq!(kept.pop_due(at(due)), None, "the next is due later");
            assert!(kept.get(due).is_none());
            for number in due + 1..count {
                let (_, response) = kept.get(number).expect("is kept");
                assert_eq!(response, text(number), "{number} after {due}");
            }
            if due < count {
                assert_eq!(kept.get(count).expect("is kept").1, large);
            }
        }
        assert_eq!((kept.len(), kept.blocks.len()), (0, 0));
        assert_eq!(
            kept.keep(at(999), MatchKey::of(1), flow(), b"again"),
            count + 1
        );
        assert_eq!(kept.get(count + 1).expect("is kept").1, "again");
    }
}
