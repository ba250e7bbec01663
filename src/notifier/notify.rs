//! The NOTIFY itself (RFC 6665 §4.2.2): facts become a document, the document becomes a request in the subscription's dialog.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::core::{Ctx, Notifier, Output};
use super::dialog_info;
use super::facts::Facts;
use super::list::{self, Part};
use super::outgoing::Sent;
use super::package::Package;
use super::pidf;
use super::reginfo;
use super::subscription::{Ending, News, Subscription, Target};
use super::summary;
use crate::base::{Key, Now};
use crate::dialog::Tag;
use crate::sip::{Builder, Message, Method, Name};
use crate::transport::{Flow, Way};

/// The state of one extension, for a document.
#[derive(Clone, PartialEq, Debug)]
pub struct Resource {
    /// The extension.
    pub extension: Arc<str>,
    /// Its person's name.
    pub name: Option<String>,
    /// The facts that the package wants; none when there is no such extension.
    pub facts: Option<Facts>,
}

/// A body with its type.
struct Body {
    kind: String,
    bytes: Vec<u8>,
}

impl Notifier {
    /// Sends the NOTIFY that [`Notifier::wanted`] asked for. One that nobody is owed and that would say again what the last one said is
    /// not sent.
    pub fn notify(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Subscription>,
        mut resources: Vec<Resource>,
    ) {
        let boundary = self.entropy.token::<16>();
        let boundary = String::from_utf8_lossy(&boundary).into_owned();
        let Some(subscription) = self.subscriptions.get_mut(key) else {
            return;
        };
        if matches!(subscription.target, Target::One(_))
            && resources.iter().all(|resource| resource.facts.is_none())
            && subscription.ending.is_none()
        {
            subscription.ending = Some(Ending::NoResource);
        }
        let full = subscription.ending.is_some() || subscription.news == News::All;
        let owed = std::mem::take(&mut subscription.owed) || subscription.ending.is_some();
        for resource in &mut resources {
            if let Some(Facts::Dialogs(dialogs)) = &mut resource.facts {
                dialogs.retain(|dialog| subscription.filter.passes(dialog));
                dialogs.truncate(dialog_info::DIALOGS_MAX);
            }
        }
        let said = hash_of(&resources, &subscription.gone);
        if !owed && full && subscription.said == said {
            subscription.news = News::None;
            return;
        }
        // the first NOTIFY has the number 1 and the version 0; both rise together, over restarts as well
        let version = subscription.dialog.local_cseq();
        let mut left = BTreeSet::new();
        let uri = |user: &str| ctx.addresses.uri(user);
        let body = match &subscription.target {
            Target::One(_) => resources.first().and_then(|resource| {
                let document = document(subscription, ctx.now, resource, version, &uri)?;
                Some(Body {
                    kind: subscription.package.body_type().to_owned(),
                    bytes: document.into_bytes(),
                })
            }),
            Target::List { name, .. } => {
                let mut room = list::BYTES_MAX;
                let mut parts = Vec::with_capacity(resources.len());
                for resource in &resources {
                    let document = document(subscription, ctx.now, resource, version, &uri);
                    let fits = document.as_ref().is_none_or(|text| text.len() <= room);
                    if !fits {
                        left.insert(resource.extension.clone());
                    }
                    let document = document.filter(|_| fits);
                    room = room.saturating_sub(document.as_ref().map_or(0, String::len));
                    parts.push(Part {
                        uri: uri(&resource.extension),
                        name: resource.name.clone(),
                        document,
                        exists: resource.facts.is_some(),
                    });
                }
                let kind = subscription.package.body_type();
                let (kind, bytes) = list::write(&uri(name), version, full, kind, &boundary, &parts);
                Some(Body { kind, bytes })
            }
        };
        for resource in &resources {
            if left.contains(&resource.extension) {
                continue;
            }
            if let Some(Facts::Dialogs(dialogs)) = &resource.facts {
                subscription
                    .told
                    .retain(|(extension, _)| *extension != resource.extension);
                subscription.told.extend(
                    dialogs
                        .iter()
                        .map(|dialog| (resource.extension.clone(), dialog.id.clone())),
                );
            }
        }
        subscription.said = said;
        subscription.gone.clear();
        subscription.news = if left.is_empty() {
            News::None
        } else {
            News::Of(left)
        };
        self.send(ctx, key, body);
    }

    fn send(&mut self, ctx: &mut Ctx<'_>, key: Key<Subscription>, body: Option<Body>) {
        let Some(subscription) = self.subscriptions.get_mut(key) else {
            return;
        };
        let ends = subscription.ending.is_some();
        if !ends && subscription.must_reserve() {
            self.keep(ctx, key);
        }
        let Some(subscription) = self.subscriptions.get_mut(key) else {
            return;
        };
        let now = ctx.now.mono;
        let flow = ctx.addresses.route(&subscription.dialog);
        let branch = (ctx.branch)();
        let sent_by = ctx.addresses.sent_by(&flow);
        let (event, state) = (subscription.event(), subscription.state(now));
        let contact = ctx.addresses.contact(&flow, subscription.target.name());
        let mut builder = subscription
            .dialog
            .request(
                &Method::Notify,
                flow.transport.as_str(),
                &sent_by,
                branch.as_ref(),
            )
            .header(Name::Contact, contact)
            .header(Name::Event, event)
            .header(Name::SubscriptionState, state);
        if matches!(subscription.target, Target::List { .. }) {
            builder = builder.header(Name::Require, "eventlist");
        }
        let message = match body {
            Some(body) => builder.body(&body.kind, &body.bytes),
            None => builder.finish(),
        };
        let number = subscription.dialog.local_cseq();
        subscription.outstanding = Some(number);
        subscription.earliest = now + subscription.package.pause();
        self.request(ctx, Sent::Notify(key, number), flow, message);
        if ends {
            self.remove(key, ctx);
        }
    }

    /// Hands a request of ours to the transactions.
    pub(super) fn request(&mut self, ctx: &mut Ctx<'_>, sent: Sent, flow: Flow, message: Message) {
        let sent = self.sent.insert(sent).to_bits();
        ctx.out.push(Output::Request {
            sent,
            flow,
            message,
        });
    }

    /// A NOTIFY of waiting messages to a device that did not ask for it: many telephones light their lamp by it alone (RFC 3842 knows
    /// only subscriptions).
    pub fn unsolicited(&mut self, ctx: &mut Ctx<'_>, extension: &str, way: &Way) {
        let flow = way.flow;
        let messages = self.messages_of(extension);
        let uri = ctx.addresses.uri(extension);
        let branch = (ctx.branch)();
        let tag = Tag::new(&mut self.entropy);
        let call_id = self.entropy.token::<24>();
        let mut builder = Builder::request(&Method::Notify, &way.request_uri)
            .via(
                flow.transport.as_str(),
                &ctx.addresses.sent_by(&flow),
                branch.as_ref(),
                true,
            )
            .header(Name::MaxForwards, "70");
        for value in &way.routes {
            builder = builder.header(Name::Route, value);
        }
        let message = builder
            .header_fmt(Name::From, format_args!("<{uri}>;tag={}", tag.as_str()))
            .header_fmt(Name::To, format_args!("<{uri}>"))
            .header(Name::CallId, call_id)
            .header(Name::CSeq, "1 NOTIFY")
            .header(Name::Contact, ctx.addresses.contact(&flow, extension))
            .header(Name::Event, Package::MessageSummary.name())
            .header(Name::SubscriptionState, "active")
            .body(
                Package::MessageSummary.body_type(),
                summary::write(&uri, messages).as_bytes(),
            );
        self.request(ctx, Sent::Unsolicited, flow, message);
    }
}

/// The document of one resource; none when it does not exist.
fn document(
    subscription: &Subscription,
    now: Now,
    resource: &Resource,
    version: u32,
    uri: &dyn Fn(&str) -> String,
) -> Option<String> {
    let entity = uri(&resource.extension);
    Some(match resource.facts.as_ref()? {
        Facts::Dialogs(dialogs) => {
            let gone = subscription
                .told
                .iter()
                .filter(|(extension, id)| {
                    *extension == resource.extension
                        && !dialogs.iter().any(|dialog| dialog.id == *id)
                })
                .map(|(_, id)| id.as_str());
            dialog_info::write(&entity, version, dialogs.iter(), gone)
        }
        Facts::Messages(messages) => summary::write(&entity, *messages),
        Facts::Presence(facts) => pidf::write(&entity, facts),
        Facts::Contacts(contacts) => {
            let contacts = contacts.iter().chain(&subscription.gone);
            reginfo::write(&entity, version, now.wall, contacts)
        }
    })
}

/// A number that differs when the content of two documents does: FNV-1a over what would be written.
fn hash_of(resources: &[Resource], gone: &[super::facts::ContactFacts]) -> u64 {
    let text = format!("{resources:?}{gone:?}");
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
