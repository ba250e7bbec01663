//! Whether a subscriber can be reached: what came of its NOTIFYs, connections that close, devices that come back (RFC 6665 §4.2.2).

use super::core::{Ctx, Notifier};
use super::subscription::{News, Subscription};
use crate::base::{Duration, Key, Now};
use crate::sip::{StatusCode, Uri};
use crate::transport::{ConnectionId, Flow};

/// How long a subscriber that answers 503 without saying how long is left alone.
const BUSY_PAUSE: Duration = Duration::from_secs(30);
/// Longest time that a subscriber may ask to be left alone.
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(600);

/// A registered device: its number, its contact, its flow.
type Device = (u64, String, Flow);

impl Notifier {
    /// What came of a NOTIFY (RFC 6665 §4.2.2): no status when nothing came in time. Only the newest NOTIFY counts. A subscriber that says
    /// 503, or when to come again, is left alone for a while; any other refusal, and silence, end its subscription.
    pub fn notified(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Subscription>,
        number: u32,
        status: Option<StatusCode>,
        retry_after: Option<u32>,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(key) else {
            return;
        };
        let newest = subscription.outstanding == Some(number);
        if newest {
            subscription.outstanding = None;
        }
        let now = ctx.now.mono;
        match status {
            Some(status) if status.is_success() => {}
            Some(StatusCode::CALL_DOES_NOT_EXIST) => return self.remove(key, ctx),
            _ if !newest => return,
            Some(status) if status == StatusCode::SERVICE_UNAVAILABLE || retry_after.is_some() => {
                let pause = retry_after.map_or(BUSY_PAUSE, |seconds| {
                    Duration::from_secs(u64::from(seconds)).min(BUSY_PAUSE_MAX)
                });
                subscription.earliest = now + pause.max(subscription.package.pause());
                // what it was told it has not taken
                subscription.news = News::All;
                subscription.said = 0;
            }
            Some(_) | None => return self.remove(key, ctx),
        }
        if newest && subscription.news != News::None {
            self.stir(now, key, false);
        }
    }

    /// A NOTIFY could not even be sent. Its subscriber may come back on another flow; until then nothing is sent.
    pub fn unreachable(&mut self, ctx: &mut Ctx<'_>, key: Key<Subscription>, number: u32) {
        if let Some(subscription) = self.subscriptions.get_mut(key)
            && subscription.outstanding == Some(number)
        {
            subscription.outstanding = None;
            subscription.lost = true;
            subscription.news = News::All;
            if subscription.ending.is_some() {
                self.remove(key, ctx);
            }
        }
    }

    /// A connection of an account is gone: what is watched through it waits for its subscriber.
    pub fn flow_lost(&mut self, watcher: &str, connection: ConnectionId) {
        for key in self.by_watcher.get(watcher).into_iter().flatten() {
            if let Some(subscription) = self.subscriptions.get_mut(*key)
                && subscription.dialog.flow.connection == Some(connection)
            {
                subscription.lost = true;
                subscription.news = News::All;
            }
        }
    }

    /// A device of an account is heard of on this flow. What it watches goes there when the device moved to it from another than those
    /// that are `left` to it; otherwise (none) only what could not be told where it was before.
    pub fn flow_found(
        &mut self,
        now: Now,
        watcher: &str,
        device: u64,
        contact: &str,
        flow: Flow,
        left: Option<&[Flow]>,
    ) {
        let Some(keys) = self.by_watcher.get(watcher) else {
            return;
        };
        for key in keys.clone() {
            let Some(subscription) = self.subscriptions.get_mut(key) else {
                continue;
            };
            let its = match subscription.device {
                Some(known) => known == device,
                None => same_place(subscription.dialog.remote_target(), contact.as_bytes()),
            };
            let before = subscription.dialog.flow;
            if !its || before.transport != flow.transport {
                continue;
            }
            if subscription.lost {
                subscription.dialog.flow = flow;
                subscription.device = Some(device);
                subscription.lost = false;
                subscription.outstanding = None;
                self.stir(now.mono, key, true);
            } else if left.is_some_and(|left| !left.contains(&before)) {
                subscription.dialog.flow = flow;
            }
        }
    }

    /// Which device each subscriber is, and where that is by now: a process does not keep that for the next one. `devices_of` gives the
    /// devices of an account with contact and flow.
    pub fn know_devices(&mut self, devices_of: &dyn Fn(&str) -> Vec<Device>) {
        for (_, subscription) in self.subscriptions.iter_mut() {
            let target = subscription.dialog.remote_target();
            let devices = devices_of(&subscription.watcher);
            let its = devices.into_iter().find(|(_, contact, flow)| {
                flow.transport == subscription.dialog.flow.transport
                    && same_place(target, contact.as_bytes())
            });
            if let Some((device, _, flow)) = its {
                subscription.device = Some(device);
                subscription.dialog.flow = flow;
            }
        }
    }
}

/// The same host and port: a device's Contact in its SUBSCRIBE and in its REGISTER.
fn same_place(ours: &[u8], theirs: &[u8]) -> bool {
    match (Uri::parse(ours), Uri::parse(theirs)) {
        (Ok(ours), Ok(theirs)) => {
            ours.host.eq_ignore_ascii_case(theirs.host) && ours.port == theirs.port
        }
        (Err(_), _) | (_, Err(_)) => false,
    }
}
