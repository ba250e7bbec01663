//! Messages from person to person (RFC 3428 §4, §7): one MESSAGE to every device, one answer to its sender. Nothing is kept for later.

use std::collections::BTreeSet;

use super::core::{Ctx, Notifier, Output};
use super::outgoing::Sent;
use crate::base::{Arena, Duration, Instant, Key};
use crate::dialog::Tag;
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::{Transport, Way};

/// Largest MESSAGE over a transport that does not slow down by itself (RFC 3428 §8).
pub const PAGE_BYTES_MAX: usize = 1_300;
/// Messages on their way at a time.
const PAGES_MAX: usize = 10_000;
/// A sender must have its answer before its own Timer F fires after 32 s.
const ANSWER_DUE: Duration = Duration::from_secs(20);

/// Headers that belong to the message itself and go to the devices with it.
const CARRIED: &[Name] = &[
    Name::ContentDisposition,
    Name::ContentEncoding,
    Name::ContentLanguage,
    Name::Date,
    Name::Expires,
    Name::InReplyTo,
    Name::MimeVersion,
    Name::Priority,
    Name::Subject,
];

/// A message on its way.
#[derive(Debug)]
pub struct Page {
    server: ServerKey,
    request: Message,
    /// Devices that have not answered.
    open: usize,
    /// The best refusal so far.
    best: Option<StatusCode>,
    due: Instant,
}

/// All messages on their way.
#[derive(Default)]
pub struct Pages {
    pages: Arena<Page>,
    due: BTreeSet<(Instant, Key<Page>)>,
}

/// What became of a message that found no device: the sender's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageEnd(pub StatusCode);

/// Who writes to whom, as From and To show it, without tags.
#[derive(Clone, Debug)]
pub struct PageParties {
    /// From value.
    pub from: String,
    /// To value.
    pub to: String,
}

impl Pages {
    /// Messages on their way.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// When [`Notifier::pages_overdue`] is due next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }
}

impl Notifier {
    /// Sends a MESSAGE of somebody who is known on to the devices of a person. It is written anew: our From, our To, a dialog-less Call-ID of
    /// its own, no Contact (RFC 3428 §4). An error is the answer to give at once.
    pub fn page(
        &mut self,
        ctx: &mut Ctx<'_>,
        server: ServerKey,
        request: &Message,
        parties: &PageParties,
        devices: &[Way],
    ) -> Result<(), PageEnd> {
        if devices.is_empty() {
            return Err(PageEnd(StatusCode::TEMPORARILY_UNAVAILABLE));
        }
        if self.pages.pages.len() >= PAGES_MAX {
            return Err(PageEnd(StatusCode::SERVICE_UNAVAILABLE));
        }
        let mut messages = Vec::with_capacity(devices.len());
        for device in devices {
            let message = self.copy_for(ctx, request, parties, device);
            let large = message.bytes().len() > PAGE_BYTES_MAX;
            if !(large && device.flow.transport == Transport::Udp) {
                messages.push((device.flow, message));
            }
        }
        if messages.is_empty() {
            return Err(PageEnd(StatusCode::MESSAGE_TOO_LARGE));
        }
        let due = ctx.now.mono + ANSWER_DUE;
        let page = self.pages.pages.insert(Page {
            server,
            request: request.clone(),
            open: messages.len(),
            best: None,
            due,
        });
        self.pages.due.insert((due, page));
        for (flow, message) in messages {
            self.request(ctx, Sent::Page(page), flow, message);
        }
        Ok(())
    }

    fn copy_for(
        &mut self,
        ctx: &mut Ctx<'_>,
        request: &Message,
        parties: &PageParties,
        device: &Way,
    ) -> Message {
        let branch = (ctx.branch)();
        let tag = Tag::new(&mut self.entropy);
        let call_id = self.entropy.token::<24>();
        let hops = request.max_forwards().unwrap_or(70).saturating_sub(1);
        let mut builder = Builder::request(&Method::Message, &device.request_uri)
            .via(
                device.flow.transport.as_str(),
                &ctx.addresses.sent_by(&device.flow),
                branch.as_ref(),
                true,
            )
            .header_fmt(Name::MaxForwards, format_args!("{hops}"));
        for value in &device.routes {
            builder = builder.header(Name::Route, value);
        }
        builder = builder
            .header_fmt(
                Name::From,
                format_args!("{};tag={}", parties.from, tag.as_str()),
            )
            .header(Name::To, &parties.to)
            .header(Name::CallId, call_id)
            .header(Name::CSeq, "1 MESSAGE");
        for &name in CARRIED {
            builder = builder.copy(request, name);
        }
        let kind = request
            .content_type()
            .map_or_else(|| "text/plain".into(), String::from_utf8_lossy);
        match request.body() {
            [] => builder.finish(),
            body => builder.body(&kind, body),
        }
    }

    /// What came of a MESSAGE to one device; no status when nothing came. The first device that takes it answers for all.
    pub fn paged(&mut self, ctx: &mut Ctx<'_>, key: Key<Page>, status: Option<StatusCode>) {
        let Some(page) = self.pages.pages.get_mut(key) else {
            return; // its sender has been answered
        };
        page.open = page.open.saturating_sub(1);
        let status = status.unwrap_or(StatusCode::TEMPORARILY_UNAVAILABLE);
        if status.is_success() {
            self.end_page(ctx, key, passed_on(status));
            return;
        }
        let status = passed_on(status);
        if page.best.is_none_or(|best| rank(status) > rank(best)) {
            page.best = Some(status);
        }
        if page.open == 0 {
            let best = page.best.unwrap_or(StatusCode::TEMPORARILY_UNAVAILABLE);
            self.end_page(ctx, key, best);
        }
    }

    /// Answers the senders of messages that no device has answered in time.
    pub fn pages_overdue(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(&(at, key)) = self.pages.due.first() {
            if at > ctx.now.mono {
                break;
            }
            self.end_page(ctx, key, StatusCode::TEMPORARILY_UNAVAILABLE);
        }
    }

    fn end_page(&mut self, ctx: &mut Ctx<'_>, key: Key<Page>, status: StatusCode) {
        let Some(page) = self.pages.pages.remove(key) else {
            return;
        };
        self.pages.due.remove(&(page.due, key));
        let tag = self.entropy.token::<8>();
        ctx.out.push(Output::Respond {
            server: page.server,
            message: Builder::response(&page.request, status, "")
                .to_tag(&tag)
                .finish(),
        });
    }
}

/// A device's answer as its sender hears it: whose password we lack, or where else the device is, is nothing for the sender.
fn passed_on(status: StatusCode) -> StatusCode {
    match status.as_u16() {
        202 => StatusCode::ACCEPTED,
        200..=299 => StatusCode::OK,
        300..=399 | 401 | 407 | 408 | 430 | 481 | 500..=512 | 514..=599 => {
            StatusCode::TEMPORARILY_UNAVAILABLE
        }
        _ => status,
    }
}

/// What a person said counts before what a machine said.
fn rank(status: StatusCode) -> u8 {
    match status.as_u16() {
        600..=699 => 3,
        480 => 0,
        404 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_hear_of_people_and_not_of_machines() {
        let code = |number| StatusCode::new(number).expect("valid");
        for (from, to) in [
            (200, 200),
            (202, 202),
            (404, 404),
            (401, 480),
            (302, 480),
            (503, 480),
            (415, 415),
            (513, 513),
            (603, 603),
        ] {
            assert_eq!(passed_on(code(from)), code(to), "{from}");
        }
        assert!(rank(code(603)) > rank(code(486)));
        assert!(rank(code(486)) > rank(code(404)));
        assert!(rank(code(404)) > rank(code(480)));
    }
}
