//! What subscribers are told: the facts of an extension, gathered when a NOTIFY wants them, and the way of the notifier's requests.

use std::sync::Arc;

use super::core::{State, Switch};
use super::dialing::uri_user;
use super::effect::Effects;
use super::record::{Record, SubscribedRecord};
use crate::base::Now;
use crate::call::{Calls, Sight, Stage, User};
use crate::config::Settings;
use crate::dialog::Dialog;
use crate::directory::Role;
use crate::event::CallFact;
use crate::notifier::{
    Addresses, ContactFacts, ContactState, Ctx, DialogFacts, DialogParty, DialogState, Ending,
    Facts, Notifier, Output, Package, PresenceFacts, Resource, Sent, Target,
};
use crate::registrar::{AddressOfRecord, Binding, BindingChange, Change, RemovalReason};
use crate::sip::{Message, Name};
use crate::transport::{Flow, Way};

/// Our addresses as the notifier is shown them.
struct Shown<'a> {
    calls: &'a Calls,
    settings: &'a Settings,
}

impl Addresses for Shown<'_> {
    fn sent_by(&self, flow: &Flow) -> String {
        self.calls.network().sent_by(flow)
    }

    fn contact(&self, flow: &Flow, user: &str) -> String {
        self.calls.network().contact(flow, &uri_user(user))
    }

    fn route(&self, dialog: &Dialog) -> Flow {
        self.calls.route_of(dialog)
    }

    fn uri(&self, user: &str) -> String {
        uri_of(self.settings, user)
    }
}

/// The URI of an extension or list of ours.
fn uri_of(settings: &Settings, user: &str) -> String {
    format!("sip:{}@{}", uri_user(user), settings.server.domain)
}

impl Switch {
    /// Runs an operation of the notifier and does what it wants done.
    pub(super) fn with_notifier<R>(
        &mut self,
        now: Now,
        fx: &mut Effects,
        operation: impl FnOnce(&mut Notifier, &mut Ctx<'_>) -> R,
    ) -> R {
        let mut out = Vec::new();
        let tx = &mut self.tx;
        let mut branch = || tx.branch();
        let mut ctx = Ctx {
            now,
            addresses: &Shown {
                calls: &self.calls,
                settings: &self.settings,
            },
            branch: &mut branch,
            out: &mut out,
        };
        let result = operation(&mut self.notifier, &mut ctx);
        for output in out {
            match output {
                Output::Respond { server, message } => {
                    self.with_tx(|tx, acts| tx.respond(now, server, message, acts));
                }
                Output::Request {
                    sent,
                    flow,
                    message,
                } => {
                    self.with_tx(|tx, acts| {
                        tx.send_request(now, flow, message, User::Notify(sent), acts);
                    });
                }
                Output::Keep { record, flow } => {
                    let record = self.subscribed_record(*record, flow);
                    Self::journal(fx, Record::Subscribed(Box::new(record)));
                }
                Output::Forget { tag } => Self::journal(fx, Record::Unsubscribed { tag }),
            }
        }
        result
    }

    pub(super) fn subscribed_record(
        &self,
        subscription: crate::notifier::SubscriptionRecord,
        flow: Flow,
    ) -> SubscribedRecord {
        let profile = super::faces::profile_of(&self.settings, flow.profile)
            .map(|profile| profile.name.clone())
            .unwrap_or_default();
        SubscribedRecord {
            subscription,
            profile,
            transport: Arc::from(flow.transport.as_str()),
            local: flow.local,
            remote: flow.remote,
        }
    }

    /// Sends the next NOTIFY that is due; false when none is.
    pub(super) fn notify_next(&mut self, now: Now, fx: &mut Effects) -> bool {
        if self.state == State::Starting {
            return false;
        }
        let Some(wanted) = self.notifier.wanted() else {
            return false;
        };
        let resources = wanted
            .extensions
            .into_iter()
            .map(|extension| Resource {
                facts: self.facts_about(now, wanted.package, &extension),
                name: self
                    .settings
                    .directory
                    .user(&extension)
                    .map(|user| user.name.to_string()),
                extension,
            })
            .collect();
        self.with_notifier(now, fx, |notifier, ctx| {
            notifier.notify(ctx, wanted.subscription, resources);
        });
        true
    }

    /// The facts about an extension that a package wants; none when there is no such extension.
    fn facts_about(&self, now: Now, package: Package, extension: &Arc<str>) -> Option<Facts> {
        self.settings.directory.user(extension)?;
        Some(match package {
            Package::Dialog => Facts::Dialogs(
                self.calls
                    .sights_of(extension)
                    .into_iter()
                    .map(|sight| self.dialog_facts(extension, sight))
                    .collect(),
            ),
            Package::MessageSummary => Facts::Messages(self.notifier.messages_of(extension)),
            Package::Presence => {
                let mut facts = PresenceFacts {
                    registered: self.registrar.is_registered(now, &self.aor(extension)),
                    on_the_phone: self.calls.live_on(extension).0 > 0,
                    ..PresenceFacts::default()
                };
                self.notifier.published.compose(extension, &mut facts);
                Facts::Presence(facts)
            }
            Package::Reg => Facts::Contacts(
                self.registrar
                    .lookup(now, &self.aor(extension))
                    .map(|binding| contact_facts(now, binding, ContactState::Registered))
                    .collect(),
            ),
        })
    }

    /// A leg as its dialog is told: seen from the telephone, whose tag is the local one. Who takes the call over names these ids.
    fn dialog_facts(&self, extension: &str, sight: Sight) -> DialogFacts {
        let identity = |user: &str| uri_of(&self.settings, user);
        let answered = sight.stage == Stage::Answered;
        let own = self.settings.directory.user(extension);
        DialogFacts {
            id: sight.id.to_string(),
            call_id: sight.call_id,
            local_tag: sight.peer_tag,
            remote_tag: Some(sight.our_tag),
            initiator: sight.caller,
            state: match sight.stage {
                Stage::Trying => DialogState::Trying,
                Stage::Ringing => DialogState::Early,
                Stage::Answered => DialogState::Confirmed,
            },
            local: DialogParty {
                identity: identity(extension),
                display: own.map(|user| user.name.to_string()),
                target: sight.peer_target,
                rendering: answered.then_some(!sight.holds),
            },
            remote: DialogParty {
                identity: identity(&sight.other.number),
                display: sight.other.name.as_deref().map(str::to_owned),
                // whoever takes the call over sends its INVITE to us
                target: None,
                rendering: answered.then_some(!sight.held),
            },
        }
    }

    /// Something about the calls of an extension has changed.
    pub(super) fn calls_changed(&mut self, now: Now, extension: &Arc<str>) {
        self.notifier.changed(now, Package::Dialog, extension);
        self.notifier.changed(now, Package::Presence, extension);
    }

    /// A fact of a call: its legs may look different to who watches them.
    pub(super) fn watch_fact(&mut self, now: Now, fact: &CallFact) {
        let call = match fact {
            CallFact::Ringing { call, .. }
            | CallFact::Answered { call, .. }
            | CallFact::Bridged { call, .. }
            | CallFact::Held { call, .. }
            | CallFact::Resumed { call, .. } => *call,
            // legs that come and go are counted, and that is heard of elsewhere
            _ => return,
        };
        for extension in self.calls.extensions_of(call) {
            self.calls_changed(now, &extension);
        }
    }

    /// A binding changed: its watchers are told, and what its device watches finds it again.
    pub(super) fn watch_binding(&mut self, now: Now, change: &BindingChange, fx: &mut Effects) {
        let binding = &change.binding;
        let extension: Arc<str> = Arc::from(change.aor.user());
        match change.change {
            Change::Added => {
                self.notifier.changed(now, Package::Reg, &extension);
                self.notifier.changed(now, Package::Presence, &extension);
            }
            Change::Refreshed | Change::Moved => {}
            Change::Removed(reason) => {
                let state = match reason {
                    RemovalReason::Unregistered => ContactState::Unregistered,
                    RemovalReason::Expired => ContactState::Expired,
                    RemovalReason::ConnectionClosed
                    | RemovalReason::Replaced
                    | RemovalReason::Operator
                    | RemovalReason::NotConfigured => ContactState::Deactivated,
                };
                let contact = contact_facts(now, binding, state);
                // before its watchers are told: who was told over that connection is one of them
                if let Some(connection) = binding.flow.connection
                    && reason == RemovalReason::ConnectionClosed
                {
                    self.notifier.flow_lost(&extension, connection);
                    if let Some(heir) = self.registrar.heir(now, &change.aor, binding) {
                        let (device, flow) = (heir.device(), heir.way().flow);
                        let heirs = heir.contact();
                        self.notifier
                            .flow_found(now, &extension, device, heirs, flow, None);
                    }
                }
                self.notifier.contact_gone(now, &extension, &contact);
                self.notifier.changed(now, Package::Presence, &extension);
                return;
            }
        }
        let way = binding.way();
        let left = (change.change == Change::Moved).then(|| self.other_flows(now, change));
        self.notifier.flow_found(
            now,
            &extension,
            binding.device(),
            binding.contact(),
            way.flow,
            left.as_deref(),
        );
        if change.change == Change::Added && self.tells_messages(binding.flow) {
            self.tell_messages(now, &extension, &way, fx);
        }
    }

    /// True when devices of this profile are told of waiting messages unasked.
    fn tells_messages(&self, flow: Flow) -> bool {
        super::faces::profile_of(&self.settings, flow.profile)
            .is_some_and(|profile| profile.unsolicited_mwi)
    }

    fn tell_messages(&mut self, now: Now, extension: &str, way: &Way, fx: &mut Effects) {
        self.with_notifier(now, fx, |notifier, ctx| {
            notifier.unsolicited(ctx, extension, way);
        });
    }

    /// What waits in a voicemail box: kept, and told to who subscribed and to who is told unasked. False when there is no such extension.
    pub(super) fn set_messages(
        &mut self,
        now: Now,
        extension: &Arc<str>,
        messages: crate::notifier::Messages,
        fx: &mut Effects,
    ) -> bool {
        if self.settings.directory.user(extension).is_none() {
            return false;
        }
        if self.notifier.set_messages(now, extension, messages) {
            Self::journal(
                fx,
                Record::Messages {
                    extension: extension.clone(),
                    messages,
                },
            );
            let ways: Vec<Way> = self
                .registrar
                .targets(now, &self.aor(extension))
                .iter()
                .filter_map(|device| device.first())
                .filter(|flow| self.tells_messages(flow.flow))
                .map(|flow| flow.way())
                .collect();
            for way in ways {
                self.tell_messages(now, extension, &way, fx);
            }
        }
        true
    }

    /// What came of a request of the notifier; no message when nothing came in time.
    pub(super) fn on_notified(
        &mut self,
        now: Now,
        sent: u64,
        response: Option<&Message>,
        fx: &mut Effects,
    ) {
        let status = response.and_then(Message::status);
        if status.is_some_and(|status| !status.is_final()) {
            return;
        }
        let retry_after = response
            .and_then(|message| message.header(Name::RetryAfter))
            .and_then(seconds);
        match self.notifier.take_sent(sent) {
            Some(Sent::Notify(key, number)) => self.with_notifier(now, fx, |notifier, ctx| {
                notifier.notified(ctx, key, number, status, retry_after);
            }),
            Some(Sent::Page(page)) => self.with_notifier(now, fx, |notifier, ctx| {
                notifier.paged(ctx, page, status);
            }),
            Some(Sent::Unsolicited) | None => {}
        }
    }

    /// A request of the notifier could not be sent.
    pub(super) fn on_notify_failed(&mut self, now: Now, sent: u64, fx: &mut Effects) {
        match self.notifier.take_sent(sent) {
            Some(Sent::Notify(key, number)) => self.with_notifier(now, fx, |notifier, ctx| {
                notifier.unreachable(ctx, key, number);
            }),
            Some(Sent::Page(page)) => self.with_notifier(now, fx, |notifier, ctx| {
                notifier.paged(ctx, page, None);
            }),
            Some(Sent::Unsolicited) | None => {}
        }
    }

    /// What is due for subscriptions, publications and messages.
    pub(super) fn on_notifier_due(&mut self, now: Now, fx: &mut Effects) {
        self.with_notifier(now, fx, |notifier, ctx| {
            notifier.on_time(ctx);
            notifier.pages_overdue(ctx);
        });
        for person in self.notifier.published.expire(now) {
            self.notifier.changed(now, Package::Presence, &person);
        }
    }

    /// May this account watch that, and who is on it now? Calls and presence of the house are for everybody in it; what waits for a
    /// person and where it is registered only for that person and for who keeps the server.
    pub(super) fn target(
        settings: &Settings,
        package: Package,
        watcher: &str,
        name: &str,
    ) -> Result<Target, Ending> {
        let watching = settings.directory.user(watcher).ok_or(Ending::Rejected)?;
        let target = match (settings.directory.user(name), settings.directory.list(name)) {
            (Some(user), _) => Target::One(user.extension.clone()),
            (None, Some(list)) => Target::List {
                name: list.name.clone(),
                members: list.members.clone(),
            },
            (None, None) => return Err(Ending::NoResource),
        };
        let open = matches!(package, Package::Dialog | Package::Presence);
        let own = matches!(&target, Target::One(extension) if **extension == *watcher);
        if open || own || watching.role >= Role::Admin {
            Ok(target)
        } else {
            Err(Ending::Rejected)
        }
    }

    /// The settings are new, or the journal is read: every subscription is looked at again.
    pub(super) fn revise_subscriptions(&mut self, now: Now, fx: &mut Effects) {
        let settings = self.settings.clone();
        self.with_notifier(now, fx, |notifier, ctx| {
            notifier.revise(ctx, &|package, watcher, target| {
                Self::target(&settings, package, watcher, target.name())
            });
        });
    }

    /// Which device each subscriber of the journal is.
    pub(super) fn know_subscribers(&mut self, now: Now) {
        let (registrar, settings) = (&self.registrar, &self.settings);
        self.notifier.know_devices(&|watcher| {
            let aor = AddressOfRecord::new(watcher, &settings.server.domain);
            registrar
                .lookup(now, &aor)
                .map(|own| (own.device(), own.contact().to_owned(), own.way().flow))
                .collect()
        });
    }
}

fn contact_facts(now: Now, binding: &Binding, state: ContactState) -> ContactFacts {
    ContactFacts {
        uri: Arc::from(binding.contact()),
        state,
        expires_secs: binding.expires_at.since(now.mono).as_secs(),
        registered_at: binding.registered_at,
        q: binding.q,
        call_id: Arc::from(binding.call_id()),
        cseq: binding.cseq,
    }
}

/// Seconds of Retry-After; a comment or parameters may follow (RFC 3261 §20.33).
fn seconds(value: &[u8]) -> Option<u32> {
    let end = value
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(value.len());
    let digits = std::str::from_utf8(value.get(..end)?).ok()?;
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX))
}
