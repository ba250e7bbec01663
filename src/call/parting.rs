//! A device to which our BYE is under way is still in its call: its extension is not free before the BYE has been answered.
//!
//! ```text
//!  answered leg ── BYE leaves ──> parting ── any final answer, or the way is broken ──> free
//!                                    └── nothing for [`PARTING_MAX`] ─────────────────> free
//! ```
//!
//! Only who gives work asks for this. For everybody else the call is over when the BYE leaves, or a lost datagram would keep a person
//! from calling.

use std::sync::Arc;

use super::calls::Calls;
use super::leg::{Endpoint, Leg};
use crate::base::{Duration, Instant, Key};

/// How long an unanswered BYE keeps its extension from being free. By then it has left four times over UDP (RFC 3261 §17.1.2.2: at 0,
/// 0.5, 1.5 and 3.5 s), and a device that has answered none of them is more likely gone than busy: its person may have another one.
pub(super) const PARTING_MAX: Duration = Duration::from_secs(4);

impl Calls {
    /// The leg of an extension is over for us, and its device has yet to say so.
    pub(super) fn part_with(&mut self, now: Instant, key: Key<Leg>) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let Endpoint::Extension(extension) = &leg.endpoint else {
            return;
        };
        if self.parting.contains_key(&key) {
            return;
        }
        let extension = extension.clone();
        *self.parting_on.entry(extension.clone()).or_default() += 1;
        self.parting_changed.push(extension.clone());
        self.parting.insert(key, extension);
        self.parting_lapse.push_back((now + PARTING_MAX, key));
    }

    /// The device has answered, or cannot be asked.
    pub(super) fn parted(&mut self, key: Key<Leg>) {
        let Some(extension) = self.parting.remove(&key) else {
            return;
        };
        if let Some(legs) = self.parting_on.get_mut(&extension) {
            *legs -= 1;
            if *legs == 0 {
                self.parting_on.remove(&extension);
            }
        }
        self.parting_changed.push(extension);
        while let Some((_, key)) = self.parting_lapse.front()
            && !self.parting.contains_key(key)
        {
            self.parting_lapse.pop_front();
        }
    }

    /// Lets those go that have not answered in time.
    pub(super) fn parting_due(&mut self, now: Instant) {
        while let Some(&(at, key)) = self.parting_lapse.front()
            && at <= now
        {
            self.parting_lapse.pop_front();
            self.parted(key);
        }
    }

    pub(super) fn next_parting(&self) -> Option<Instant> {
        self.parting_lapse.front().map(|(at, _)| *at)
    }

    /// Devices of this extension that have not answered our BYE yet.
    pub fn parting_on(&self, extension: &str) -> usize {
        let legs: Option<&usize> = self.parting_on.get(extension);
        legs.copied().unwrap_or(0)
    }

    /// Extensions of which that has changed since the last question.
    pub fn take_parting_changed(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.parting_changed)
    }

    pub(super) fn parting_len(&self) -> usize {
        self.parting.len()
    }
}

/// Extensions with how many of their devices have not answered our BYE.
pub(super) type PartingOn = std::collections::BTreeMap<Arc<str>, usize>;
