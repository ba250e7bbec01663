//! Who is in how many calls: the live legs of each extension and trunk, counted as they come and go.

use std::sync::Arc;

use super::calls::{Call, Calls};
use super::leg::{Endpoint, Leg, Role};
use crate::base::Key;

impl Calls {
    /// Live calls of an extension, whatever their origin (acd.toml §4); `(all, those that are no agent's leg)`.
    pub fn live_on(&self, extension: &str) -> (usize, usize) {
        let Some(legs) = self.on_extension.get(extension) else {
            return (0, 0);
        };
        let mut all: Vec<Key<Call>> = legs.iter().map(|(call, _, _)| *call).collect();
        all.sort_unstable();
        all.dedup();
        let mut own: Vec<Key<Call>> = legs
            .iter()
            .filter(|(_, _, agent)| !agent)
            .map(|(call, _, _)| *call)
            .collect();
        own.sort_unstable();
        own.dedup();
        (all.len(), own.len())
    }

    /// Live legs through a trunk.
    pub fn live_on_trunk(&self, name: &str) -> usize {
        self.on_trunk.get(name).copied().unwrap_or(0)
    }

    /// Extensions whose number of live calls changed since the last question.
    pub fn take_touched(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn count_in(&mut self, key: Key<Leg>) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        match &leg.endpoint {
            Endpoint::Extension(extension) => {
                self.on_extension
                    .entry(extension.clone())
                    .or_default()
                    .push((leg.call, key, leg.role == Role::Agent));
                self.touched.push(extension.clone());
            }
            Endpoint::Trunk(trunk) => *self.on_trunk.entry(trunk.clone()).or_default() += 1,
            Endpoint::Unknown => {}
        }
    }

    /// An agent's part in a call is over, and its device is still in it: until it leaves, that is a call like any other.
    pub(super) fn count_as_own(&mut self, key: Key<Leg>) {
        let Some(Endpoint::Extension(extension)) = self.legs.get(key).map(|leg| &leg.endpoint)
        else {
            return;
        };
        if let Some(legs) = self.on_extension.get_mut(extension) {
            for (_, _, agent) in legs.iter_mut().filter(|(_, leg, _)| *leg == key) {
                *agent = false;
            }
            self.touched.push(extension.clone());
        }
    }

    pub(super) fn count_out(&mut self, key: Key<Leg>, endpoint: &Endpoint) {
        match endpoint {
            Endpoint::Extension(extension) => {
                if let Some(legs) = self.on_extension.get_mut(extension) {
                    legs.retain(|(_, leg, _)| *leg != key);
                    if legs.is_empty() {
                        self.on_extension.remove(extension);
                    }
                }
                self.touched.push(extension.clone());
            }
            Endpoint::Trunk(trunk) => {
                if let Some(live) = self.on_trunk.get_mut(trunk) {
                    *live = live.saturating_sub(1);
                    if *live == 0 {
                        self.on_trunk.remove(trunk);
                    }
                }
            }
            Endpoint::Unknown => {}
        }
    }
}
