//! Watches effects alone, and complains when an invariant is broken.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Watches only effects and views, and complains when an invariant is broken.
#[derive(Default)]
pub(super) struct Watcher {
    pub entered: u64,
    /// Live AgentOffers by agent, and which work item each is for.
    pub ringing: BTreeMap<Arc<str>, (OfferId, WorkItemId)>,
    pub all_offers: Vec<OfferId>,
    pub won: BTreeMap<WorkItemId, OfferId>,
    pub wrapping: BTreeSet<Arc<str>>,
    /// Work items that are callbacks.
    pub callbacks: BTreeSet<WorkItemId>,
    /// Re-keyed by an event of the last effects.
    pub rekeyed: BTreeSet<WorkItemId>,
}

impl Watcher {
    pub fn watch(&mut self, effects: &[AcdEffect]) {
        self.rekeyed.clear();
        let mut ended = Vec::new();
        for effect in effects {
            match effect {
                AcdEffect::Event(AcdEvent::Rekeyed { item, .. }) => {
                    self.rekeyed.insert(*item);
                }
                AcdEffect::Event(AcdEvent::CallbackPromised { callback, .. }) => {
                    self.callbacks.insert(*callback);
                }
                AcdEffect::Event(AcdEvent::CallbackEnded { callback, .. }) => {
                    ended.push(*callback);
                }
                AcdEffect::Offer {
                    offer, item, agent, ..
                } => {
                    assert!(
                        !self.wrapping.contains(agent),
                        "I7: {agent} is rung in wrap-up"
                    );
                    let old = self.ringing.insert(agent.clone(), (*offer, *item));
                    assert!(old.is_none(), "I2: {agent} is rung twice");
                    assert!(!self.won.contains_key(item), "I1: {item:?} has a winner");
                    self.all_offers.push(*offer);
                }
                AcdEffect::CancelOffer { offer, .. } => {
                    self.won.retain(|_, of| of != offer);
                    self.ringing.retain(|_, (of, _)| of != offer);
                }
                AcdEffect::Accepted { offer, item } => {
                    assert!(self.won.insert(*item, *offer).is_none(), "I1: two winners");
                }
                AcdEffect::Event(AcdEvent::AgentOfferEnded { offer, .. }) => {
                    self.won.retain(|_, of| of != offer);
                    self.ringing.retain(|_, (of, _)| of != offer);
                }
                AcdEffect::Event(AcdEvent::Connected { item, agent, .. }) => {
                    let (offer, of) = self.ringing.remove(agent).expect("it rang");
                    assert_eq!((of, self.won.remove(item)), (*item, Some(offer)), "I1");
                }
                AcdEffect::Event(AcdEvent::AgentState { agent, state, .. }) => {
                    if *state == AgentDisplay::Wrap {
                        self.wrapping.insert(agent.clone());
                    }
                }
                AcdEffect::Event(AcdEvent::WrapEnded { agent, .. }) => {
                    self.wrapping.remove(agent);
                }
                AcdEffect::Event(AcdEvent::Abandoned { item, .. }) => {
                    assert!(
                        !self.ringing.values().any(|(_, of)| of == item),
                        "I13: a leg is left"
                    );
                }
                AcdEffect::Leave { .. }
                | AcdEffect::CallbackAnswered { .. }
                | AcdEffect::InLineAlready { .. }
                | AcdEffect::Announce { .. }
                | AcdEffect::Journal(_)
                | AcdEffect::Event(_) => {}
            }
        }
        for callback in ended {
            assert!(
                !self.ringing.values().any(|(_, of)| *of == callback),
                "I8: somebody rings for a callback that is over"
            );
        }
    }
}
