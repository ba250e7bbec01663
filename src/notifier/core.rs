//! The notifier of RFC 6665 §4.2: subscriptions begin, are refreshed, get their NOTIFYs and end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::facts::{ContactFacts, Messages};
use super::outgoing::Sent;
use super::package::{ALLOW_EVENTS, Package};
use super::pages::Pages;
use super::publish::Published;
use super::rate::Rates;
use super::request::Wish;
use super::subscription::{Ending, News, Subscription, SubscriptionRecord, Target};
use crate::base::{Arena, Entropy, Instant, Key, Map, Now, TimerQueue};
use crate::dialog::{Dialog, Tag};
use crate::sip::{Builder, Message, Name, StatusCode};
use crate::transaction::{Branch, ServerKey};
use crate::transport::Flow;

/// Most subscriptions in all (guess: ten thousand phones with ten lamps each).
const SUBSCRIPTIONS_MAX: usize = 100_000;
/// Most subscriptions of one account: a console with two hundred lamps, its voicemail and a second device.
const PER_ACCOUNT_MAX: usize = 500;

/// The addresses that our messages show and go to; the switch knows them.
pub trait Addresses {
    /// `host:port` for Via.
    fn sent_by(&self, flow: &Flow) -> String;
    /// Contact value.
    fn contact(&self, flow: &Flow, user: &str) -> String;
    /// Where the next request of a dialog goes.
    fn route(&self, dialog: &Dialog) -> Flow;
    /// The URI of an extension or list.
    fn uri(&self, user: &str) -> String;
}

/// What an operation borrows.
pub struct Ctx<'a> {
    /// The time of this input.
    pub now: Now,
    /// Addresses.
    pub addresses: &'a dyn Addresses,
    /// Makes branches for our requests.
    pub branch: &'a mut dyn FnMut() -> Branch,
    /// What is to be done, in order.
    pub out: &'a mut Vec<Output>,
}

/// What the notifier wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Answer a request.
    Respond {
        /// Its transaction.
        server: ServerKey,
        /// The answer.
        message: Message,
    },
    /// Send a request of ours, and bring what comes of it to [`Notifier::take_sent`].
    Request {
        /// Names the request.
        sent: u64,
        /// Where it goes.
        flow: Flow,
        /// The request.
        message: Message,
    },
    /// Keep a subscription over a restart.
    Keep {
        /// The subscription.
        record: Box<SubscriptionRecord>,
        /// Where its subscriber is.
        flow: Flow,
    },
    /// A subscription is over.
    Forget {
        /// Our tag in its dialog.
        tag: Arc<str>,
    },
}

/// Why a SUBSCRIBE that asks for a new subscription is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubscribeError {
    /// 400: no usable Contact.
    NoContact,
    /// 403: the account has as many as it may have.
    AccountFull,
    /// 503: so has the server.
    Full,
    /// 482: the same request came on another path (RFC 3261 §8.2.2.2).
    Merged,
    /// 421 with `Require: eventlist`: a list for one who does not understand lists (RFC 4662 §4.2).
    ListsNotSupported,
}

/// Who asks for a new subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asker {
    /// The account.
    pub account: Arc<str>,
    /// The registered device of it, if it is one.
    pub device: Option<u64>,
}

/// A NOTIFY that is due: whose state it wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The subscription.
    pub subscription: Key<Subscription>,
    /// Its package.
    pub package: Package,
    /// The extensions whose facts are wanted.
    pub extensions: Vec<Arc<str>>,
}

/// What a timer of a subscription is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    Expiry(Key<Subscription>),
    Wait(Key<Subscription>),
}

/// All subscriptions of a shard, what is published, and messages on their way.
pub struct Notifier {
    pub(super) subscriptions: Arena<Subscription>,
    pub(super) by_tag: Map<Tag, Key<Subscription>>,
    pub(super) by_watcher: BTreeMap<Arc<str>, Vec<Key<Subscription>>>,
    /// Who watches an extension, by itself or on a list.
    pub(super) watching: BTreeMap<(Package, Arc<str>), Vec<Key<Subscription>>>,
    pub(super) timers: TimerQueue<Timer>,
    line: VecDeque<Key<Subscription>>,
    pub(super) sent: Arena<Sent>,
    pub(super) messages: BTreeMap<Arc<str>, Messages>,
    /// What is published.
    pub published: Published,
    /// Messages on their way.
    pub pages: Pages,
    rates: Rates,
    pub(super) entropy: Entropy,
}

impl Notifier {
    /// Nobody watches anything.
    pub fn new(mut entropy: Entropy) -> Notifier {
        Notifier {
            subscriptions: Arena::new(),
            by_tag: Map::default(),
            by_watcher: BTreeMap::new(),
            watching: BTreeMap::new(),
            timers: TimerQueue::new(),
            line: VecDeque::new(),
            sent: Arena::new(),
            messages: BTreeMap::new(),
            published: Published::new(entropy.fork()),
            pages: Pages::default(),
            rates: Rates::default(),
            entropy,
        }
    }

    /// Live subscriptions.
    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// True without a live subscription.
    pub fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Takes one SUBSCRIBE or PUBLISH of this account: false when it asks so often that it gets no answer at all. Any answer would make
    /// the device that does so ask again at once.
    pub fn admit(&mut self, now: Now, account: &Arc<str>) -> bool {
        self.rates.take(now.mono, account)
    }

    /// True when this request's To tag is that of a subscription.
    pub fn knows(&self, request: &Message) -> bool {
        self.of_dialog(request).is_some()
    }

    fn of_dialog(&self, request: &Message) -> Option<Key<Subscription>> {
        let tag = Tag::from_bytes(request.to_tag()?)?;
        let key = *self.by_tag.get(&tag)?;
        let subscription = self.subscriptions.get(key)?;
        subscription.dialog.matches(request).then_some(key)
    }

    /// Takes a SUBSCRIBE outside of dialogs from somebody who may watch this target. It is answered, and the NOTIFY with the whole state
    /// follows at once (RFC 6665 §4.2.1.1, §4.2.1.2). A wish of no time fetches the state and leaves nothing behind (§4.4.3).
    #[allow(clippy::too_many_arguments)] // one request and what is known of it
    pub fn subscribe(
        &mut self,
        ctx: &mut Ctx<'_>,
        server: ServerKey,
        flow: Flow,
        request: &Message,
        wish: Wish,
        asker: &Asker,
        target: Target,
    ) -> Result<(), SubscribeError> {
        let watcher = &asker.account;
        if matches!(target, Target::List { .. }) && !wish.lists {
            return Err(SubscribeError::ListsNotSupported);
        }
        let same = self.same_request(request, watcher, &wish);
        if let Some((_, true)) = same {
            return Err(SubscribeError::Merged);
        }
        let own = self.by_watcher.get(watcher).map_or(0, Vec::len);
        if same.is_none() && own >= PER_ACCOUNT_MAX {
            return Err(SubscribeError::AccountFull);
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(SubscribeError::Full);
        }
        let tag = Tag::new(&mut self.entropy);
        let dialog = Dialog::uas(request, tag, flow).ok_or(SubscribeError::NoContact)?;
        if let Some((earlier, _)) = same {
            // the same dialog of the subscriber begins anew: some phones refresh that way
            self.remove(earlier, ctx);
        }
        let fetch = wish.expires.is_zero();
        let mut subscription = Subscription::new(
            wish.package,
            wish.id,
            watcher.clone(),
            target,
            wish.filter,
            dialog,
            ctx.now.mono + wish.expires,
        );
        subscription.device = asker.device;
        subscription.ending = fetch.then_some(Ending::Timeout);
        let key = self.insert(subscription);
        self.answer(ctx, server, request, key);
        if !fetch {
            self.keep(ctx, key);
        }
        self.stir(ctx.now.mono, key, true);
        Ok(())
    }

    /// An earlier subscription of the same dialog half, and whether it is of the very same request.
    fn same_request(
        &self,
        request: &Message,
        watcher: &Arc<str>,
        wish: &Wish,
    ) -> Option<(Key<Subscription>, bool)> {
        let number = request.cseq().number;
        self.by_watcher.get(watcher)?.iter().find_map(|&key| {
            let known = self.subscriptions.get(key)?;
            let same = known.dialog.call_id == request.call_id()
                && known.dialog.remote_tag == request.from_tag().unwrap_or_default()
                && known.package == wish.package
                && known.id == wish.id;
            same.then(|| (key, known.dialog.remote_cseq() == Some(number)))
        })
    }

    /// Takes a SUBSCRIBE in a dialog: more time, or the end (RFC 6665 §4.2.1.3, §4.4.1). An error is the status to refuse it with.
    pub fn refresh(
        &mut self,
        ctx: &mut Ctx<'_>,
        server: ServerKey,
        flow: Flow,
        request: &Message,
        wish: &Wish,
        watcher: &str,
    ) -> Result<(), StatusCode> {
        let gone = StatusCode::CALL_DOES_NOT_EXIST;
        let key = self.of_dialog(request).ok_or(gone)?;
        let subscription = self.subscriptions.get_mut(key).ok_or(gone)?;
        if subscription.package != wish.package || subscription.id != wish.id {
            return Err(gone);
        }
        if &*subscription.watcher != watcher {
            return Err(StatusCode::FORBIDDEN);
        }
        if subscription.ending.is_some() {
            return Err(gone);
        }
        subscription
            .dialog
            .receive(request, flow)
            .map_err(|_| StatusCode::SERVER_INTERNAL_ERROR)?;
        subscription.dialog.refresh_target(request);
        subscription.expires_at = ctx.now.mono + wish.expires;
        subscription.lost = false;
        subscription.news = News::All;
        if wish.expires.is_zero() {
            subscription.ending = Some(Ending::Timeout);
        }
        let ends = subscription.ending.is_some();
        self.arm_expiry(key);
        self.answer(ctx, server, request, key);
        if !ends {
            self.keep(ctx, key);
        }
        self.stir(ctx.now.mono, key, true);
        Ok(())
    }

    fn answer(
        &self,
        ctx: &mut Ctx<'_>,
        server: ServerKey,
        request: &Message,
        key: Key<Subscription>,
    ) {
        let Some(subscription) = self.subscriptions.get(key) else {
            return;
        };
        let dialog = &subscription.dialog;
        let user = subscription.target.name();
        let left = subscription.left(ctx.now.mono);
        let mut builder = Builder::response(request, StatusCode::OK, "")
            .to_tag(dialog.local_tag.as_bytes())
            .copy(request, Name::RecordRoute)
            .header(Name::Contact, ctx.addresses.contact(&dialog.flow, user))
            .header_fmt(Name::Expires, format_args!("{left}"))
            .header(Name::AllowEvents, ALLOW_EVENTS);
        if matches!(subscription.target, Target::List { .. }) {
            builder = builder.header(Name::Require, "eventlist");
        }
        ctx.out.push(Output::Respond {
            server,
            message: builder.finish(),
        });
    }

    pub(super) fn insert(&mut self, subscription: Subscription) -> Key<Subscription> {
        let tag = subscription.dialog.local_tag;
        let watcher = subscription.watcher.clone();
        let key = self.subscriptions.insert(subscription);
        self.by_tag.insert(tag, key);
        self.by_watcher.entry(watcher).or_default().push(key);
        self.index(key);
        self.arm_expiry(key);
        key
    }

    pub(super) fn index(&mut self, key: Key<Subscription>) {
        let Some(subscription) = self.subscriptions.get(key) else {
            return;
        };
        for member in subscription.target.members() {
            let place = (subscription.package, member.clone());
            self.watching.entry(place).or_default().push(key);
        }
    }

    pub(super) fn unindex(
        &mut self,
        package: Package,
        members: &[Arc<str>],
        key: Key<Subscription>,
    ) {
        for member in members {
            let place = (package, member.clone());
            if let Some(keys) = self.watching.get_mut(&place) {
                keys.retain(|other| *other != key);
                if keys.is_empty() {
                    self.watching.remove(&place);
                }
            }
        }
    }

    /// Forgets a subscription, here and in the journal.
    pub(super) fn remove(&mut self, key: Key<Subscription>, ctx: &mut Ctx<'_>) {
        if let Some(subscription) = self.detach(key)
            && subscription.reserved > 0
        {
            ctx.out.push(Output::Forget {
                tag: Arc::from(subscription.dialog.local_tag.as_str()),
            });
        }
    }

    pub(super) fn detach(&mut self, key: Key<Subscription>) -> Option<Subscription> {
        let subscription = self.subscriptions.remove(key)?;
        let timers = [subscription.expiry, subscription.wait];
        for timer in timers.into_iter().flatten() {
            self.timers.cancel(timer);
        }
        self.by_tag.remove(&subscription.dialog.local_tag);
        if let Some(keys) = self.by_watcher.get_mut(&subscription.watcher) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_watcher.remove(&subscription.watcher);
            }
        }
        self.unindex(subscription.package, subscription.target.members(), key);
        Some(subscription)
    }

    /// Puts a subscription into the journal.
    pub(super) fn keep(&mut self, ctx: &mut Ctx<'_>, key: Key<Subscription>) {
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.must_reserve();
            ctx.out.push(Output::Keep {
                record: Box::new(subscription.record(ctx.now)),
                flow: subscription.dialog.flow,
            });
        }
    }

    pub(super) fn arm_expiry(&mut self, key: Key<Subscription>) {
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            if let Some(timer) = subscription.expiry.take() {
                self.timers.cancel(timer);
            }
            if subscription.ending.is_none() {
                let timer = self.timers.set(subscription.expires_at, Timer::Expiry(key));
                subscription.expiry = Some(timer);
            }
        }
    }

    /// Sees to it that a NOTIFY leaves: now when it is `owed` (it answers a SUBSCRIBE, or ends the subscription), otherwise as soon as the
    /// last one is answered and the package's pause is over.
    pub(super) fn stir(&mut self, now: Instant, key: Key<Subscription>, owed: bool) {
        let Some(subscription) = self.subscriptions.get_mut(key) else {
            return;
        };
        subscription.owed |= owed && subscription.queued;
        if subscription.queued || subscription.lost {
            return;
        }
        if !owed {
            if subscription.outstanding.is_some() || subscription.wait.is_some() {
                return;
            }
            if subscription.earliest > now {
                let timer = self.timers.set(subscription.earliest, Timer::Wait(key));
                subscription.wait = Some(timer);
                return;
            }
        }
        if let Some(timer) = subscription.wait.take() {
            self.timers.cancel(timer);
        }
        subscription.queued = true;
        subscription.owed = owed;
        self.line.push_back(key);
    }

    /// Something about an extension has changed: who watches it will be told. Costs a look-up when nobody does.
    pub fn changed(&mut self, now: Now, package: Package, extension: &Arc<str>) {
        let Some(keys) = self.watching.get(&(package, extension.clone())) else {
            return;
        };
        for key in keys.clone() {
            if let Some(subscription) = self.subscriptions.get_mut(key) {
                subscription.has_news_of(extension);
                self.stir(now.mono, key, false);
            }
        }
    }

    /// A contact of an extension is gone: the next `reg` document says so (RFC 3680 §5.2).
    pub fn contact_gone(&mut self, now: Now, extension: &Arc<str>, contact: &ContactFacts) {
        let place = (Package::Reg, extension.clone());
        for key in self.watching.get(&place).cloned().unwrap_or_default() {
            if let Some(subscription) = self.subscriptions.get_mut(key)
                && subscription.gone.len() < super::reginfo::CONTACTS_MAX
            {
                subscription.gone.push(contact.clone());
            }
        }
        self.changed(now, Package::Reg, extension);
    }

    /// What waits in a voicemail box. True when that is news.
    pub fn set_messages(&mut self, now: Now, extension: &Arc<str>, messages: Messages) -> bool {
        let before = self.messages_of(extension);
        if messages == Messages::default() {
            self.messages.remove(extension);
        } else {
            self.messages.insert(extension.clone(), messages);
        }
        let news = before != messages;
        if news {
            self.changed(now, Package::MessageSummary, extension);
        }
        news
    }

    /// What waits in a voicemail box.
    pub fn messages_of(&self, extension: &str) -> Messages {
        self.messages.get(extension).copied().unwrap_or_default()
    }

    /// All boxes in which something waits.
    pub fn all_messages(&self) -> impl Iterator<Item = (&Arc<str>, Messages)> {
        self.messages.iter().map(|(name, m)| (name, *m))
    }

    /// The next NOTIFY that is to leave now: bring the facts to [`Notifier::notify`].
    pub fn wanted(&mut self) -> Option<Wanted> {
        while let Some(key) = self.line.pop_front() {
            let Some(subscription) = self.subscriptions.get_mut(key) else {
                continue;
            };
            subscription.queued = false;
            let extensions: Vec<Arc<str>> = match &subscription.news {
                News::Of(extensions) if subscription.ending.is_none() => subscription
                    .target
                    .members()
                    .iter()
                    .filter(|member| extensions.contains(*member))
                    .cloned()
                    .collect(),
                News::None | News::Of(_) | News::All => subscription.target.members().to_vec(),
            };
            return Some(Wanted {
                subscription: key,
                package: subscription.package,
                extensions,
            });
        }
        None
    }

    /// What a request of ours was about; it is forgotten by that.
    pub fn take_sent(&mut self, sent: u64) -> Option<Sent> {
        self.sent.remove(Key::from_bits(sent))
    }

    /// When [`Notifier::on_time`] is due next.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let own = self.timers.next_deadline();
        let published = self.published.next_deadline();
        let pages = self.pages.next_deadline();
        [own, published, pages].into_iter().flatten().min()
    }

    /// Does what is due. Publications and pages have their own: [`Published::expire`], [`Pages::overdue`].
    pub fn on_time(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(timer) = self.timers.pop_due(ctx.now.mono) {
            match timer {
                Timer::Wait(key) => {
                    if let Some(subscription) = self.subscriptions.get_mut(key) {
                        subscription.wait = None;
                    }
                    self.stir(ctx.now.mono, key, false);
                }
                Timer::Expiry(key) => {
                    let Some(subscription) = self.subscriptions.get_mut(key) else {
                        continue;
                    };
                    subscription.expiry = None;
                    subscription.ending = Some(Ending::Timeout);
                    if subscription.lost {
                        self.remove(key, ctx);
                    } else {
                        self.stir(ctx.now.mono, key, true);
                    }
                }
            }
        }
    }

    /// Requests of ours that have no final answer, and messages on their way, for leak checks.
    pub fn open_requests(&self) -> usize {
        self.sent.len() + self.pages.len()
    }
}
