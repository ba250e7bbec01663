//! SUBSCRIBE and PUBLISH: prove who, see what is asked and whether it may be, and let the notifier do it.

use std::sync::Arc;

use super::core::Switch;
use super::effect::Effects;
use super::source::Source;
use crate::base::Now;
use crate::call::Endpoint;
use crate::directory::Role;
use crate::notifier::{
    ALLOW_EVENTS, Asker, Ending, Package, PublishError, Refusal, SubscribeError, Wish,
};
use crate::sip::{Builder, Message, Name, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::Flow;

/// What an account is told to wait that has as many subscriptions as it may have, or all of them are taken, in seconds.
const FULL_RETRY_SECS: u32 = 300;

/// An answer of nothing but a status and a header that explains it.
struct Answer {
    status: StatusCode,
    header: Option<(Name, String)>,
}

impl Answer {
    fn of(status: StatusCode) -> Answer {
        Answer {
            status,
            header: None,
        }
    }

    fn with(status: StatusCode, name: Name, value: impl Into<String>) -> Answer {
        Answer {
            status,
            header: Some((name, value.into())),
        }
    }

    fn bad_event() -> Answer {
        Answer::of(StatusCode::BAD_EVENT)
    }

    fn too_brief(seconds: u64) -> Answer {
        let value = seconds.to_string();
        Answer::with(StatusCode::INTERVAL_TOO_BRIEF, Name::MinExpires, value)
    }
}

impl Switch {
    /// A SUBSCRIBE, in a dialog of ours or outside of any.
    pub(super) fn on_subscribe(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        fx: &mut Effects,
    ) {
        let Some(watcher) = self.account(now, key, flow, request) else {
            return;
        };
        let wish = match Wish::read(request) {
            Ok(wish) => wish,
            Err(refusal) => {
                let answer = match refusal {
                    Refusal::BadEvent => Answer::bad_event(),
                    Refusal::Malformed => Answer::of(StatusCode::BAD_REQUEST),
                    Refusal::NotAcceptable => Answer::of(StatusCode::NOT_ACCEPTABLE),
                    Refusal::TooBrief(seconds) => Answer::too_brief(seconds),
                };
                return self.explain(now, key, request, answer);
            }
        };
        if !self.store_ok {
            self.answer(now, key, request, StatusCode::SERVICE_UNAVAILABLE);
            return;
        }
        let answer = if request.to_tag().is_some() {
            self.with_notifier(now, fx, |notifier, ctx| {
                notifier.refresh(ctx, key, flow, request, &wish, &watcher)
            })
            .map_err(Answer::of)
        } else {
            self.new_subscription(now, key, flow, request, wish, &watcher, fx)
        };
        if let Err(answer) = answer {
            self.explain(now, key, request, answer);
        }
    }

    #[allow(clippy::too_many_arguments)] // one request and what is known of it
    fn new_subscription(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        wish: Wish,
        watcher: &Arc<str>,
        fx: &mut Effects,
    ) -> Result<(), Answer> {
        let asked = request.uri().ok().and_then(|uri| uri.user_text());
        let asked = asked.ok_or(Answer::of(StatusCode::NOT_FOUND))?;
        let target =
            Self::target(&self.settings, wish.package, watcher, &asked).map_err(|why| {
                Answer::of(match why {
                    Ending::NoResource => StatusCode::NOT_FOUND,
                    Ending::Rejected | Ending::Timeout => StatusCode::FORBIDDEN,
                })
            })?;
        let asker = Asker {
            account: watcher.clone(),
            device: self.device_on(now, watcher, &flow),
        };
        self.with_notifier(now, fx, |notifier, ctx| {
            notifier.subscribe(ctx, key, flow, request, wish, &asker, target)
        })
        .map_err(|error| match error {
            SubscribeError::NoContact => Answer::of(StatusCode::BAD_REQUEST),
            SubscribeError::AccountFull => Answer::of(StatusCode::FORBIDDEN),
            SubscribeError::Merged => Answer::of(StatusCode::LOOP_DETECTED),
            SubscribeError::Full => {
                let seconds = FULL_RETRY_SECS.to_string();
                Answer::with(StatusCode::SERVICE_UNAVAILABLE, Name::RetryAfter, seconds)
            }
            SubscribeError::ListsNotSupported => {
                Answer::with(StatusCode::EXTENSION_REQUIRED, Name::Require, "eventlist")
            }
        })
    }

    /// A PUBLISH: of one's own presence, or of anybody's for who keeps the server.
    pub(super) fn on_publish(&mut self, now: Now, key: ServerKey, flow: Flow, request: &Message) {
        let Some(sender) = self.account(now, key, flow, request) else {
            return;
        };
        let asked = request.uri().ok().and_then(|uri| uri.user_text());
        let directory = &self.settings.directory;
        let Some(person) = asked.and_then(|asked| directory.user(&asked)) else {
            return self.answer(now, key, request, StatusCode::NOT_FOUND);
        };
        let person = person.extension.clone();
        let keeper = directory
            .user(&sender)
            .is_some_and(|user| user.role >= Role::Admin);
        if person != sender && !keeper {
            return self.answer(now, key, request, StatusCode::FORBIDDEN);
        }
        let answer = match self.notifier.published.publish(now, &person, request) {
            Ok((tag, expires)) => {
                let own = self.entropy.token::<8>();
                let response = Builder::response(request, StatusCode::OK, "")
                    .to_tag(&own)
                    .header(Name::SipETag, tag.as_bytes())
                    .header_fmt(Name::Expires, format_args!("{}", expires.as_secs()))
                    .finish();
                self.with_tx(|tx, acts| tx.respond(now, key, response, acts));
                self.notifier.changed(now, Package::Presence, &person);
                return;
            }
            Err(PublishError::Malformed) => Answer::of(StatusCode::BAD_REQUEST),
            Err(PublishError::NoSuchTag) => Answer::of(StatusCode::CONDITIONAL_REQUEST_FAILED),
            Err(PublishError::TooLarge) => Answer::of(StatusCode::REQUEST_ENTITY_TOO_LARGE),
            Err(PublishError::TooBrief(seconds)) => Answer::too_brief(seconds),
            Err(PublishError::BadEvent) => Answer::bad_event(),
            Err(PublishError::BodyType) => Answer::with(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Name::Accept,
                Package::Presence.body_type(),
            ),
        };
        self.explain(now, key, request, answer);
    }

    /// The account that sends this, or nobody when the answer has been sent, or when it asks so often that it gets none.
    pub(super) fn account(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
    ) -> Option<Arc<str>> {
        match self.source(now, key, flow, request) {
            Source::Known(Endpoint::Extension(extension)) => {
                if self.notifier.admit(now, &extension) {
                    return Some(extension);
                }
                self.with_tx(|tx, acts| tx.answer_once(now, key, None, acts));
                None
            }
            Source::Known(Endpoint::Trunk(_) | Endpoint::Unknown) => {
                self.answer(now, key, request, StatusCode::FORBIDDEN);
                None
            }
            Source::Answered => None,
        }
    }

    /// Answers with a status and why. Allow-Events is on everything that refuses a subscription or publication, so that a device knows
    /// what to ask for instead (RFC 6665 §8.2.2).
    fn explain(&mut self, now: Now, key: ServerKey, request: &Message, answer: Answer) {
        let tag = self.entropy.token::<8>();
        let mut builder = Builder::response(request, answer.status, "")
            .to_tag(&tag)
            .header(Name::AllowEvents, ALLOW_EVENTS);
        if let Some((name, value)) = answer.header {
            builder = builder.header(name, value);
        }
        let response = builder.finish();
        self.with_tx(|tx, acts| tx.respond(now, key, response, acts));
    }
}
