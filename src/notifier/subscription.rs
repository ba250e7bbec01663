//! One subscription: who watches what in which dialog, and what it has not been told yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dialog_info::Filter;
use super::facts::ContactFacts;
use super::package::Package;
use crate::base::{Duration, Instant, Now, TimerId, WallTime};
use crate::dialog::{Dialog, DialogRecord};
use crate::transport::Flow;

/// NOTIFYs that may leave before the journal must hold their numbers: after a restart numbers go on behind them.
const RESERVE: u32 = 64;

/// What is watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// An extension.
    One(Arc<str>),
    /// A list of extensions (RFC 4662).
    List {
        /// Its name: the user part of its URI.
        name: Arc<str>,
        /// The extensions on it, in order.
        members: Arc<[Arc<str>]>,
    },
}

impl Target {
    /// The user part of its URI.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Target::One(name) | Target::List { name, .. } => name,
        }
    }

    /// The extensions whose state it shows.
    pub(super) fn members(&self) -> &[Arc<str>] {
        match self {
            Target::One(name) => std::slice::from_ref(name),
            Target::List { members, .. } => members,
        }
    }
}

/// Why a subscription ends (RFC 6665 §4.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Its time is over, or its subscriber asked for the end.
    Timeout,
    /// What it watches is gone.
    NoResource,
    /// Its subscriber may not watch any more.
    Rejected,
}

impl Ending {
    /// The value of `reason`.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Ending::Timeout => "timeout",
            Ending::NoResource => "noresource",
            Ending::Rejected => "rejected",
        }
    }
}

/// What the subscriber has not been told yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// Nothing.
    None,
    /// The state of these extensions of its list.
    Of(BTreeSet<Arc<str>>),
    /// Everything.
    All,
}

/// One subscription.
#[derive(Debug)]
pub struct Subscription {
    pub(super) package: Package,
    /// `id` of the Event header.
    pub(super) id: Option<Arc<str>>,
    /// The account that watches.
    pub(super) watcher: Arc<str>,
    /// Which of its devices, if that is registered.
    pub(super) device: Option<u64>,
    pub(super) target: Target,
    pub(super) filter: Filter,
    pub(super) dialog: Dialog,
    pub(super) expires_at: Instant,
    /// Fires at the end of its time.
    pub(super) expiry: Option<TimerId>,
    /// Fires when a NOTIFY that had to wait may leave.
    pub(super) wait: Option<TimerId>,
    /// The next NOTIFY that only a change of state asks for leaves no earlier.
    pub(super) earliest: Instant,
    pub(super) news: News,
    /// It stands in the line of those that get a NOTIFY now.
    pub(super) queued: bool,
    /// That NOTIFY leaves even when it says what the last one said.
    pub(super) owed: bool,
    /// The last document's content, as a hash.
    pub(super) said: u64,
    /// The number of the NOTIFY that has no answer.
    pub(super) outstanding: Option<u32>,
    /// Numbers up to this one are in the journal as used; zero for one that is not kept.
    pub(super) reserved: u32,
    /// There is no way to its subscriber until that is heard of again.
    pub(super) lost: bool,
    /// The next NOTIFY is the last.
    pub(super) ending: Option<Ending>,
    /// Dialogs that the subscriber was told of, with their extension: those that are gone are told as terminated.
    pub(super) told: BTreeSet<(Arc<str>, String)>,
    /// Contacts that have gone since the last NOTIFY.
    pub(super) gone: Vec<ContactFacts>,
}

/// A subscription as the journal keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubscriptionRecord {
    /// Its dialog; `local_tag` names the subscription.
    pub dialog: DialogRecord,
    /// Name of its package.
    pub package: String,
    /// `id` of its Event header.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<Arc<str>>,
    /// The account that watches.
    pub watcher: Arc<str>,
    /// Name of the extension or list.
    pub target: Arc<str>,
    /// True for a list.
    #[serde(default)]
    pub list: bool,
    /// Filter of the dialog package: Call-ID, to-tag, from-tag.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filter: Option<[Option<String>; 3]>,
    /// When it ends.
    pub expires_at: WallTime,
}

impl Subscription {
    /// A subscription that begins; everything is news.
    pub(super) fn new(
        package: Package,
        id: Option<Arc<str>>,
        watcher: Arc<str>,
        target: Target,
        filter: Filter,
        dialog: Dialog,
        expires_at: Instant,
    ) -> Subscription {
        Subscription {
            package,
            id,
            watcher,
            device: None,
            target,
            filter,
            dialog,
            expires_at,
            expiry: None,
            wait: None,
            earliest: Instant::ZERO,
            news: News::All,
            queued: false,
            owed: false,
            said: 0,
            outstanding: None,
            reserved: 0,
            lost: false,
            ending: None,
            told: BTreeSet::new(),
            gone: Vec::new(),
        }
    }

    /// An extension that it shows has changed.
    pub(super) fn has_news_of(&mut self, extension: &Arc<str>) {
        match (&mut self.news, &self.target) {
            (News::All, _) => {}
            (_, Target::One(_)) => self.news = News::All,
            (News::Of(extensions), Target::List { .. }) => {
                extensions.insert(extension.clone());
            }
            (News::None, Target::List { .. }) => {
                self.news = News::Of(BTreeSet::from([extension.clone()]));
            }
        }
    }

    /// Value of the Event header.
    pub(super) fn event(&self) -> String {
        match &self.id {
            Some(id) => format!("{};id={id}", self.package.name()),
            None => self.package.name().to_owned(),
        }
    }

    /// Value of Subscription-State.
    pub(super) fn state(&self, now: Instant) -> String {
        match self.ending {
            Some(ending) => format!("terminated;reason={}", ending.reason()),
            None => format!("active;expires={}", self.left(now)),
        }
    }

    /// Seconds that are left, rounded up, so that a subscriber granted 60 never reads 59.
    pub(super) fn left(&self, now: Instant) -> u64 {
        let left = self.expires_at.since(now);
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }

    /// True when the next NOTIFY's number is not yet in the journal as used; takes the next numbers.
    pub(super) fn must_reserve(&mut self) -> bool {
        let next = self.dialog.local_cseq().saturating_add(1);
        if next <= self.reserved {
            return false;
        }
        self.reserved = next.saturating_add(RESERVE - 1);
        true
    }

    /// For the journal.
    pub(super) fn record(&self, now: Now) -> SubscriptionRecord {
        let filter = &self.filter;
        let parts = [
            filter.call_id.clone(),
            filter.to_tag.clone(),
            filter.from_tag.clone(),
        ];
        SubscriptionRecord {
            dialog: self.dialog.record(self.reserved),
            package: self.package.name().to_owned(),
            id: self.id.clone(),
            watcher: self.watcher.clone(),
            target: self.target.name().clone(),
            list: matches!(self.target, Target::List { .. }),
            filter: parts.iter().any(Option::is_some).then_some(parts),
            expires_at: now.wall_at(self.expires_at),
        }
    }

    /// From the journal. The members of a list are filled in when the settings are looked at.
    pub(super) fn restored(
        now: Now,
        record: &SubscriptionRecord,
        flow: Flow,
    ) -> Option<Subscription> {
        if record.expires_at <= now.wall {
            return None;
        }
        let dialog = Dialog::restored(&record.dialog, flow)?;
        let target = if record.list {
            Target::List {
                name: record.target.clone(),
                members: Arc::from([]),
            }
        } else {
            Target::One(record.target.clone())
        };
        let [call_id, to_tag, from_tag] = record.filter.clone().unwrap_or_default();
        let filter = Filter {
            call_id,
            to_tag,
            from_tag,
        };
        // a wall clock that was set back must not make it live longer than it was ever granted
        let package = Package::parse(record.package.as_bytes())?;
        let most = now.mono + package.expires_max() + Duration::from_secs(1);
        let mut subscription = Subscription::new(
            package,
            record.id.clone(),
            record.watcher.clone(),
            target,
            filter,
            dialog,
            now.mono_at(record.expires_at).min(most),
        );
        subscription.reserved = record.dialog.local_cseq;
        // a connection does not outlive the process: its subscriber must come to us first
        subscription.lost = flow.transport.is_reliable();
        Some(subscription)
    }
}
