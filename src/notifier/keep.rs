//! Subscriptions over restarts and reloads: what the journal gives back, and what new settings change.

use super::core::{Ctx, Notifier, Timer};
use super::package::Package;
use super::subscription::{Ending, News, Subscription, SubscriptionRecord, Target};
use crate::base::{Duration, Key, Now};
use crate::dialog::Tag;
use crate::transport::Flow;

/// Time between two NOTIFYs after a restart, so that all lamps of a house come back without a burst that drowns the calls.
const RESUME_SPACING: Duration = Duration::from_micros(250);

impl Notifier {
    /// Looks at every subscription with new settings: what it watches may have other members, or it may end.
    pub fn revise(
        &mut self,
        ctx: &mut Ctx<'_>,
        still: &dyn Fn(Package, &str, &Target) -> Result<Target, Ending>,
    ) {
        let keys: Vec<Key<Subscription>> = self.subscriptions.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(subscription) = self.subscriptions.get_mut(key) else {
                continue;
            };
            match still(
                subscription.package,
                &subscription.watcher,
                &subscription.target,
            ) {
                Ok(target) if target == subscription.target => continue,
                Ok(target) => {
                    subscription.news = News::All;
                    let package = subscription.package;
                    let before = std::mem::replace(&mut subscription.target, target);
                    self.unindex(package, before.members(), key);
                    self.index(key);
                }
                Err(ending) => {
                    subscription.ending = Some(ending);
                    self.arm_expiry(key);
                }
            }
            let Some(subscription) = self.subscriptions.get(key) else {
                continue;
            };
            match (subscription.ending.is_some(), subscription.lost) {
                // there is nobody to tell of the end
                (true, true) => self.remove(key, ctx),
                (ends, _) => self.stir(ctx.now.mono, key, ends),
            }
        }
    }

    /// Puts back a subscription of the journal; its NOTIFY follows with [`Notifier::resume`].
    pub fn restore(&mut self, now: Now, record: &SubscriptionRecord, flow: Flow) {
        self.restore_gone(&record.dialog.local_tag);
        if let Some(subscription) = Subscription::restored(now, record, flow) {
            self.insert(subscription);
        }
    }

    /// The journal says that a subscription is over.
    pub fn restore_gone(&mut self, tag: &str) {
        let tag = Tag::from_bytes(tag.as_bytes());
        if let Some(key) = tag.and_then(|tag| self.by_tag.get(&tag).copied()) {
            self.detach(key);
        }
    }

    /// After a restart: every subscriber gets the whole state, one after the other.
    pub fn resume(&mut self, now: Now) {
        let mut at = now.mono;
        for (key, subscription) in self.subscriptions.iter_mut() {
            subscription.news = News::All;
            if subscription.lost || subscription.queued || subscription.wait.is_some() {
                continue;
            }
            at += RESUME_SPACING;
            subscription.wait = Some(self.timers.set(at, Timer::Wait(key)));
        }
    }

    /// For a snapshot of the journal: every subscription that is kept.
    pub fn records(&self, now: Now) -> impl Iterator<Item = (SubscriptionRecord, Flow)> + '_ {
        self.subscriptions
            .iter()
            .filter(|(_, subscription)| subscription.reserved > 0 && subscription.ending.is_none())
            .map(move |(_, subscription)| (subscription.record(now), subscription.dialog.flow))
    }
}
