//! Declining with a reason, and what an agent gets who declines or lets it ring.

use std::sync::Arc;

use super::agent::AgentKey;
use super::command::{AgentStatus, OfferId};
use super::core::{Acd, Cx};
use super::effect::{AcdEffect, CancelReason};
use super::event::OfferResult;
use super::settings::RonaAction;

/// Why an order to decline is not taken. The AgentOffer, if there is one, stays as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeclineRefused {
    /// There is no such AgentOffer, it has ended in another way, or it was answered.
    NotRinging,
    /// Its queue demands a reason, one of these if there are any.
    ReasonRequired(Vec<Arc<str>>),
    /// The reason is none of these.
    UnknownReason(Vec<Arc<str>>),
}

impl Acd {
    /// Why this decline would not be taken; `None` when it would be, or was taken before.
    pub fn decline_refused(&self, id: OfferId, reason: Option<&str>) -> Option<DeclineRefused> {
        let Some(offer) = self.offers.get(&id).filter(|offer| !offer.answered) else {
            let declined = self.dead_offers.get(&id) == Some(&OfferResult::Declined);
            return (!declined).then_some(DeclineRefused::NotRinging);
        };
        let of = &self.queues.get(offer.queue)?.settings.decline;
        match reason.filter(|reason| !reason.is_empty()) {
            None if of.reason_required => Some(DeclineRefused::ReasonRequired(of.reasons.clone())),
            None => None,
            Some(reason) => {
                let known = of.reasons.is_empty() || of.reasons.iter().any(|r| &**r == reason);
                (!known).then(|| DeclineRefused::UnknownReason(of.reasons.clone()))
            }
        }
    }

    /// The agent does not want it: its devices stop ringing, and the work item goes on from its place.
    pub(super) fn decline(&mut self, cx: &mut Cx, id: OfferId, reason: Option<Arc<str>>) {
        if self.decline_refused(id, reason.as_deref()).is_some() {
            return;
        }
        let Some(item) = self.offers.get(&id).map(|offer| offer.item) else {
            return;
        };
        cx.out.push(AcdEffect::CancelOffer {
            offer: id,
            reason: CancelReason::Withdrawn,
        });
        let reason = reason.filter(|reason| !reason.is_empty());
        self.end_offer(cx, id, OfferResult::Declined, reason);
        self.reopen(cx, item);
    }

    /// What the queue does with an agent who let it ring or declined; `why` is the reason of a status that it sets.
    pub(super) fn act_on(&mut self, cx: &mut Cx, key: AgentKey, action: RonaAction, why: &str) {
        match action {
            RonaAction::NotReady => {
                let Some(agent) = self.agents.get_mut(key) else {
                    return;
                };
                // A break that the agent asked for meanwhile says more than this.
                if agent.next.take_if(|next| next.is_ready()).is_some() || agent.next.is_none() {
                    let reason = Some(why.into());
                    agent.set_status(cx.now.mono, AgentStatus::NotReady { reason });
                }
            }
            RonaAction::Cooldown(time) => self.cool_down(cx, key, time),
            RonaAction::NextOnly => {}
        }
    }
}
