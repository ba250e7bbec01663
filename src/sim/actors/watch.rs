//! What a phone watches and says beside its calls: subscriptions (RFC 6665), presence that it publishes (RFC 3903), texts and questions.

use std::collections::BTreeMap;

use super::phone::Phone;
use super::transactions::{Heard, Purpose};
use super::{Context, Reminder};
use crate::base::Duration;
use crate::sim::wire::{self, Text};

/// A subscription.
struct Watch {
    package: &'static str,
    uri: String,
    call_id: String,
    local_tag: String,
    remote_tag: String,
    cseq: u32,
    target: String,
    routes: Vec<String>,
    lane: u8,
    expires: u32,
    live: bool,
    round: u32,
    attempts: u32,
}

/// All subscriptions of a phone, and what it published.
#[derive(Default)]
pub(super) struct Watches {
    list: BTreeMap<u64, Watch>,
    next: u64,
    etag: Option<String>,
    published: u32,
}

impl Watches {
    /// A subscription is over.
    pub(super) fn end(&mut self, number: u64) {
        if let Some(watch) = self.list.get_mut(&number) {
            watch.live = false;
        }
    }

    /// Forgets everything, as a device without power does.
    pub(super) fn forget(&mut self) {
        self.list.clear();
    }
}

impl Phone {
    pub(super) fn subscribe(
        &mut self,
        context: &mut Context<'_>,
        package: &'static str,
        whom: &str,
    ) {
        if self.healed {
            return;
        }
        context.reach("SUBSCRIBE");
        let number = self.watches.next;
        self.watches.next += 1;
        let watch = Watch {
            package,
            uri: format!("sip:{whom}@{}", self.settings.domain),
            call_id: format!("sub-{}-{}", self.settings.name, context.token()),
            local_tag: context.token(),
            remote_tag: String::new(),
            cseq: 0,
            target: format!("sip:{whom}@{}", self.settings.domain),
            routes: Vec::new(),
            lane: self.best_lane(),
            expires: 60 + u32::try_from(context.entropy.below(300)).unwrap_or(0),
            live: true,
            round: 0,
            attempts: 0,
        };
        let expires = watch.expires;
        self.watches.list.insert(number, watch);
        self.send_subscribe(context, number, expires, None);
    }

    fn send_subscribe(
        &mut self,
        context: &mut Context<'_>,
        number: u64,
        expires: u32,
        challenge: Option<(&str, bool)>,
    ) {
        let (via, contact) = (self.via(context), self.contact());
        let own = format!("<sip:{}@{}>", self.settings.user, self.settings.domain);
        let server = self.settings.server;
        let Some(watch) = self.watches.list.get_mut(&number) else {
            return;
        };
        watch.cseq += 1;
        let to = if watch.remote_tag.is_empty() {
            format!("<{}>", watch.uri)
        } else {
            format!("<{}>;tag={}", watch.uri, watch.remote_tag)
        };
        let mut request = Text::request("SUBSCRIBE", &watch.target)
            .with("Via", &via)
            .with("Max-Forwards", "70")
            .with("From", &format!("{own};tag={}", watch.local_tag))
            .with("To", &to)
            .with("Call-ID", &watch.call_id)
            .with("CSeq", &format!("{} SUBSCRIBE", watch.cseq))
            .with("Contact", &contact)
            .with("Event", watch.package)
            .with("Expires", &expires.to_string());
        for route in &watch.routes {
            request.push("Route", route);
        }
        let hop = watch
            .routes
            .first()
            .map(|r| wire::uri_of(r))
            .or(Some(watch.target.as_str()))
            .filter(|_| !watch.remote_tag.is_empty())
            .and_then(wire::address_of)
            .unwrap_or(server);
        let lane = watch.lane;
        if let Some((challenge, proxy)) = challenge {
            self.authorize(context, &mut request, challenge, proxy);
        }
        let way = self.way_to(hop, lane);
        self.ask(context, way, request, Purpose::Subscribe(number));
    }

    pub(super) fn subscribed(
        &mut self,
        context: &mut Context<'_>,
        number: u64,
        response: &Text,
        request: &Text,
        fresh: bool,
    ) {
        let status = response.status().unwrap_or(0);
        if status < 200 || !fresh {
            return;
        }
        let expires: u32 = request
            .get("Expires")
            .and_then(|e| e.parse().ok())
            .unwrap_or(0);
        let Some(watch) = self.watches.list.get_mut(&number) else {
            return;
        };
        match status {
            200 | 202 => {
                context.reach("subscription granted");
                watch.attempts = 0;
                watch.remote_tag = response.to_tag().to_string();
                if let Some(contact) = response.get("Contact") {
                    watch.target = wire::uri_of(contact).to_string();
                }
                let mut routes: Vec<String> = response
                    .all("Record-Route")
                    .flat_map(|v| v.split(','))
                    .map(|v| v.trim().to_string())
                    .collect();
                routes.reverse();
                watch.routes = routes;
                let granted = response
                    .get("Expires")
                    .and_then(|e| e.parse().ok())
                    .unwrap_or(expires);
                if expires > 0 && watch.live {
                    watch.round += 1;
                    let half = Duration::from_secs(u64::from((granted / 2).max(1)));
                    context.remind(half, Reminder::Resubscribe(number, watch.round));
                }
            }
            401 | 407 => {
                watch.attempts += 1;
                if watch.attempts > 2 {
                    watch.live = false;
                    return;
                }
                if let Some((challenge, proxy)) = Phone::challenge_in(response) {
                    self.send_subscribe(context, number, expires, Some((&challenge, proxy)));
                }
            }
            _ => watch.live = false,
        }
    }

    pub(super) fn resubscribe(&mut self, context: &mut Context<'_>, number: u64, round: u32) {
        let lane = self.best_lane();
        let Some(watch) = self.watches.list.get_mut(&number) else {
            return;
        };
        if watch.live && watch.round == round {
            watch.lane = lane;
            let expires = watch.expires;
            context.reach("subscription refreshed");
            self.send_subscribe(context, number, expires, None);
        }
    }

    pub(super) fn unsubscribe_all(&mut self, context: &mut Context<'_>) {
        let live: Vec<u64> = self
            .watches
            .list
            .iter()
            .filter(|(_, w)| w.live && !w.remote_tag.is_empty())
            .map(|(n, _)| *n)
            .collect();
        for number in live {
            if let Some(watch) = self.watches.list.get_mut(&number) {
                watch.round += 1;
            }
            self.send_subscribe(context, number, 0, None);
        }
    }

    /// A NOTIFY came: of a transfer, or of a subscription.
    pub(super) fn notified(&mut self, context: &mut Context<'_>, request: &Text) {
        let over = request
            .get("Subscription-State")
            .is_some_and(|s| s.starts_with("terminated"));
        let event = request.get("Event").unwrap_or("");
        let tag = request.to_tag().to_string();
        let known = if event.starts_with("refer") {
            let known = self.session_of(request, true).is_some();
            if known {
                self.told_of_transfer(context, request);
            }
            known
        } else {
            let call_id = request.call_id();
            let watch = self
                .watches
                .list
                .values_mut()
                .find(|w| w.call_id == call_id && w.local_tag == tag);
            match watch {
                Some(watch) => {
                    context.reach("NOTIFY of a subscription");
                    watch.live &= !over;
                    true
                }
                None => request.to_tag().is_empty(),
            }
        };
        if known {
            self.reply(context, request, 200, "OK", &tag);
        } else {
            self.deny_dialog(context, request, &tag);
        }
    }

    /// A text, or a question what somebody can do.
    pub(super) fn page(&mut self, context: &mut Context<'_>, method: &str, to: &str) {
        if self.healed {
            return;
        }
        let uri = format!("sip:{to}@{}", self.settings.domain);
        let mut request = self.outside(context, method, &uri);
        if method == "MESSAGE" {
            request.push("Content-Type", "text/plain");
            request.body = format!("{} says hello", self.settings.name);
        }
        let way = self.way_out();
        self.ask(context, way, request, Purpose::Page);
    }

    /// Publishes that it is open, or refreshes that.
    pub(super) fn publish(&mut self, context: &mut Context<'_>) {
        if self.healed {
            return;
        }
        let uri = format!("sip:{}@{}", self.settings.user, self.settings.domain);
        let mut request = self.outside(context, "PUBLISH", &uri);
        request.push("Event", "presence");
        request.push("Expires", "120");
        self.watches.published += 1;
        if let Some(etag) = self.watches.etag.take() {
            request.push("SIP-If-Match", &etag);
        }
        let basic = if self.watches.published.is_multiple_of(2) {
            "closed"
        } else {
            "open"
        };
        request.push("Content-Type", "application/pidf+xml");
        request.body = format!(
            "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"{uri}\"><tuple id=\"t1\"><status><basic>{basic}</basic></status></tuple></presence>"
        );
        let way = self.way_out();
        self.ask(context, way, request, Purpose::Publish);
    }

    /// A request outside of any dialog.
    fn outside(&mut self, context: &mut Context<'_>, method: &str, uri: &str) -> Text {
        Text::request(method, uri)
            .with("Via", &self.via(context))
            .with("Max-Forwards", "70")
            .with(
                "From",
                &format!(
                    "<sip:{}@{}>;tag={}",
                    self.settings.user,
                    self.settings.domain,
                    context.token()
                ),
            )
            .with("To", &format!("<{uri}>"))
            .with(
                "Call-ID",
                &format!("page-{}-{}", self.settings.name, context.token()),
            )
            .with("CSeq", &format!("1 {method}"))
    }

    /// What came of a text, a question or a publication.
    pub(super) fn paged(&mut self, context: &mut Context<'_>, response: &Text, heard: &Heard) {
        let status = response.status().unwrap_or(0);
        if status < 200 || !heard.fresh {
            return;
        }
        let method = heard.request.about();
        match status {
            401 | 407 if heard.request.cseq().is_some_and(|(n, _)| n < 3) => {
                let Some((challenge, proxy)) = Phone::challenge_in(response) else {
                    return;
                };
                let mut again = heard.request.clone();
                let number = again.cseq().map_or(1, |(n, _)| n) + 1;
                again
                    .headers
                    .retain(|(name, _)| name != super::phone::MARKER && name != "User-Agent");
                again.set("Via", &self.via(context));
                again.set("CSeq", &format!("{number} {method}"));
                self.authorize(context, &mut again, &challenge, proxy);
                let way = self.way_out();
                self.ask(context, way, again, heard.purpose);
            }
            200..=299 => {
                context.reach(match method.as_str() {
                    "MESSAGE" => "MESSAGE delivered",
                    "PUBLISH" => "PUBLISH taken",
                    _ => "OPTIONS between phones answered",
                });
                if let Some(etag) = response.get("SIP-ETag") {
                    self.watches.etag = Some(etag.to_string());
                }
            }
            _ => {}
        }
    }
}
